//! How "no value" is written.

use super::{Check, Finding, Run, Severity};
use crate::quality::context::{Col, Role, TableContext};
use crate::quality::{stats, wording};
use rustc_hash::FxHashMap;

/// Words that often mean "no value" but are read as a category.
const SUSPECTS: [&str; 10] = [
    "unknown",
    "unk",
    "not available",
    "not applicable",
    "undefined",
    "no data",
    "#ref!",
    "#value!",
    "#div/0!",
    "tbd",
];
/// Numbers that often stand for "no value".
const SENTINELS: [f64; 11] = [
    -1.0,
    -9.0,
    -99.0,
    -999.0,
    -9999.0,
    -99_999.0,
    999.0,
    9999.0,
    99_999.0,
    999_999.0,
    9_999_999.0,
];
/// Cells from which a stand-in is more than a coincidence.
const REPEATED: usize = 5;

pub(super) const CHECK: Check = Check {
    name: "null_spellings",
    title: "Spellings of \"no value\"",
    definition: "The spellings of \"no value\" in each column with their counts; more than one in a \
                 column is a warning. Also words such as \"unknown\", and numbers such as -999 or \
                 99999 that lie alone at the end of their column, at least half its range away from \
                 all others, in 5 or more cells. Source: deepchecks, Mixed Nulls (condition 1); the \
                 list of stand-ins is our own.",
    run: Run::Table(run),
};

fn run(ctx: &TableContext) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut single: Vec<(&Col, String, usize)> = Vec::new();
    for column in ctx.columns.iter().filter(|c| c.role != Role::Ignored) {
        let spellings = spellings(column);
        if spellings.len() > 1 {
            let parts: Vec<String> = spellings.iter().map(|(s, n)| format!("{s} in {n}")).collect();
            let title = format!(
                "\"{}\" writes \"no value\" in {} ways: {}",
                column.name,
                spellings.len(),
                parts.join(", ")
            );
            let advice = "All of these are read as missing. Check that each really means that; a \
                          meaning of its own should be spelled as a word of its own.";
            let n = column.missing as f64;
            let rows = (0..column.len()).filter(|&r| column.cells.is_missing(r));
            let finding = CHECK.finding(Severity::Warning, title, advice).columns([column.name]);
            found.push(Finding {
                value: Some(n),
                ..finding.rows(rows).value(spellings.len() as f64, 1.0)
            });
        } else if let Some((spelling, n)) = spellings.into_iter().next()
            && spelling != "empty"
        {
            single.push((column, spelling, n));
        }
        found.extend(suspects(column));
        found.extend(sentinel(column));
    }
    let mut found = CHECK.worst_first(found);
    if !single.is_empty() {
        let parts: Vec<String> = single
            .iter()
            .map(|(c, s, n)| format!("{s} in {} of \"{}\"", wording::counted(*n, "cell"), c.name))
            .collect();
        let title = format!("Read as missing: {}", parts.join(", "));
        let advice = "If such a mark has a meaning of its own in your data, replace it by a word.";
        let rows = (0..ctx.rows()).filter(|&r| single.iter().any(|(c, ..)| c.cells.is_missing(r)));
        let names = single.iter().map(|(c, ..)| c.name);
        found.push(CHECK.finding(Severity::Info, title, advice).rows(rows).columns(names));
    }
    found
}

/// Every spelling of "no value" as it stands in the file, commonest first.
fn spellings(column: &Col) -> Vec<(String, usize)> {
    if column.missing == 0 {
        return Vec::new();
    }
    let mut counts = FxHashMap::<&str, usize>::default();
    for row in (0..column.len()).filter(|&r| !column.has(r)) {
        if column.cells.is_missing(row) {
            *counts.entry(column.cells.raw(row).trim()).or_default() += 1;
        }
    }
    let name = |s: &str| if s.is_empty() { "empty".to_owned() } else { format!("\"{s}\"") };
    let mut spellings: Vec<_> = counts.into_iter().map(|(s, n)| (name(s), n)).collect();
    spellings.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    spellings
}

/// Words that may mean "no value" in a column of categories that has no answer "known".
fn suspects(column: &Col) -> Option<Finding> {
    let (codes, values, counts) = column.codes()?;
    let hits: Vec<usize> = (0..values.len())
        .filter(|&v| SUSPECTS.iter().any(|s| values[v].eq_ignore_ascii_case(s)))
        .collect();
    if hits.is_empty() || values.len() <= 2 {
        return None;
    }
    let words: Vec<&str> = hits.iter().map(|&v| values[v]).collect();
    let cells: usize = hits.iter().map(|&v| counts[v]).sum();
    let title = format!(
        "\"{}\" holds {} in {}, which may mean \"no value\"",
        column.name,
        wording::list(&words, 4),
        wording::counted(cells, "cell")
    );
    let advice = "It is used as a category of its own, which is often right. Clear the cells if \
                  they should count as missing.";
    let rows = (0..column.len()).filter(|&r| hits.contains(&(codes[r] as usize)));
    Some(CHECK.finding(Severity::Info, title, advice).rows(rows).columns([column.name]))
}

/// A number that stands for "no value": a known one, repeated, alone at the end of the range.
fn sentinel(column: &Col) -> Option<Finding> {
    let values = column.numbers()?;
    if column.role == Role::Target {
        return None;
    }
    let (low, high) = values
        .iter()
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
    for end in [low, high] {
        if !SENTINELS.contains(&end) {
            continue;
        }
        let cells = values.iter().filter(|v| **v == end).count();
        let others = stats::sorted(values.iter().copied().filter(|v| *v != end));
        let (Some(&first), Some(&last)) = (others.first(), others.last()) else { continue };
        let gap = if end == low { first - end } else { end - last };
        let range = last - first;
        if cells < REPEATED || gap < range * 0.5 || gap <= 1.0 {
            continue;
        }
        let title = format!(
            "\"{}\" holds {} in {}, far from all other values ({} to {})",
            column.name,
            wording::number(end),
            wording::counted(cells, "cell"),
            wording::number(first),
            wording::number(last)
        );
        let advice = "Such a number often stands for \"no value\" or \"above the limit\". As a \
                      number it distorts the column: clear the cells, or put the limit in.";
        let rows = (0..values.len()).filter(|&r| values[r] == end);
        let finding = CHECK.finding(Severity::Warning, title, advice).columns([column.name]);
        return Some(finding.rows(rows).value(end, range * 0.5));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    #[test]
    fn several_spellings_warn_and_one_is_noted() {
        let case = Case::rows("a,b,c,y", 60, |i| {
            let a = ["NA", "", "?", "5"][i % 4];
            let b = if i < 3 { "?" } else { "x" };
            let c = if i < 3 { "" } else { "1" };
            format!("{a},{b},{c},p")
        });
        let found = case.run(&CHECK);
        assert_eq!(found.len(), 2);
        assert!(found[0].title.contains("3 ways") && found[0].title.contains("empty in 15"));
        assert_eq!((found[0].severity, found[0].row_count), (Severity::Warning, 45));
        assert_eq!((found[1].columns.as_slice(), found[1].row_count), (&["b".to_owned()][..], 3));
    }

    #[test]
    fn stand_ins_are_found_and_ordinary_values_are_not() {
        let case = Case::rows("gain,age,job,y", 200, |i| {
            let gain = if i % 20 == 0 { 99_999 } else { i * 50 };
            format!(
                "{gain},{},{},p",
                if i % 3 == 0 { -1 } else { 0 },
                ["Unknown", "cook", "nurse"][i % 3]
            )
        });
        let found = case.run(&CHECK);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].columns[0].as_str(), found[0].row_count), ("gain", 10));
        assert!(found[1].title.contains("\"Unknown\" in 67 cells"), "{}", found[1].title);
    }
}

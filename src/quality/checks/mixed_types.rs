//! Numbers and words in one column.

use super::{Check, Finding, Run, Severity};
use crate::data::{ColumnType, table};
use crate::quality::context::{Col, Role, TableContext};
use crate::quality::wording;

/// Share of the rarer type between which it is neither a slip nor meant.
const RARE: (f64, f64) = (0.01, 0.10);

pub(super) const CHECK: Check = Check {
    name: "mixed_types",
    title: "Numbers and words in one column",
    definition: "Share of the rarer of numbers and other text among the cells of a column that are \
                 not missing. Warning between 1 % and 10 %; below that it is a slip worth knowing, \
                 above it a mix that seems meant. In a column used as numbers (or dates), cells that \
                 hold none count as missing. Source: deepchecks, Mixed Data Types.",
    run: Run::Table(run),
};

fn run(ctx: &TableContext) -> Vec<Finding> {
    let found = ctx.columns.iter().filter(|c| c.role != Role::Ignored).filter_map(look).collect();
    CHECK.worst_first(found)
}

fn look(column: &Col) -> Option<Finding> {
    let cells = column.len() - column.missing;
    match column.codes() {
        None if column.unreadable > 0 => {
            let share = column.unreadable as f64 / cells as f64;
            let rows: Vec<usize> = (0..column.len())
                .filter(|&r| !column.has(r) && !column.cells.is_missing(r))
                .collect();
            let mut examples: Vec<&str> =
                rows.iter().map(|&r| column.cells.raw(r).trim()).collect();
            examples.truncate(1000);
            examples.sort_unstable();
            examples.dedup();
            let noun = if column.kind == ColumnType::Date { "date" } else { "number" };
            let title = format!(
                "{} ({}) of \"{}\" hold no {noun}, such as {}",
                wording::counted(rows.len(), "cell"),
                wording::percent(share),
                column.name,
                wording::list(&examples, 3)
            );
            let advice = "These cells count as missing. Correct them, or change the type of the \
                          column to \"category\" if the words mean something.";
            let severity = if share >= RARE.0 { Severity::Warning } else { Severity::Info };
            let finding = CHECK.finding(severity, title, advice).columns([column.name]);
            Some(finding.rows(rows).value(share, RARE.0))
        }
        Some((codes, values, counts)) if column.kind != ColumnType::Text => {
            let is_number: Vec<bool> =
                values.iter().map(|v| table::parse_number(v).is_some()).collect();
            let numbers: usize =
                counts.iter().zip(&is_number).filter(|(_, n)| **n).map(|(c, _)| c).sum();
            let share = numbers.min(cells - numbers) as f64 / cells.max(1) as f64;
            if share <= 0.0 || share >= RARE.1 {
                return None;
            }
            let rare_is_number = numbers * 2 <= cells;
            let rare = |v: usize| is_number.get(v) == Some(&rare_is_number);
            let rows: Vec<usize> = (0..codes.len()).filter(|&r| rare(codes[r] as usize)).collect();
            let examples: Vec<&str> =
                (0..values.len()).filter(|&v| rare(v)).map(|v| values[v]).collect();
            let title = format!(
                "{} ({}) of \"{}\" {}, such as {}",
                wording::counted(rows.len(), "cell"),
                wording::percent(share),
                column.name,
                if rare_is_number { "hold a number among words" } else { "hold no number" },
                wording::list(&examples, 3)
            );
            let advice = "Values of two kinds in one column are often a slip. Correct the rare kind \
                          if it is one.";
            let severity = if share > RARE.0 { Severity::Warning } else { Severity::Info };
            let finding = CHECK.finding(severity, title, advice).columns([column.name]);
            Some(finding.rows(rows).value(share, RARE.0))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    #[test]
    fn words_among_numbers_and_numbers_among_words() {
        let case = Case::rows("price,size,mixed,plain,y", 200, |i| {
            format!(
                "{},{},{},{i},p",
                if i % 40 == 0 { "call us".to_owned() } else { i.to_string() },
                if i == 9 { "12" } else { "large" },
                if i % 2 == 0 { "12" } else { "large" },
            )
        });
        let found = case.kind("price", ColumnType::Number).run(&CHECK);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].columns[0].as_str(), found[0].row_count), ("price", 5));
        assert_eq!((found[0].severity, found[0].value), (Severity::Warning, Some(0.025)));
        assert!(found[0].title.contains("\"call us\""));
        assert_eq!((found[1].columns[0].as_str(), found[1].rows.as_slice()), ("size", &[9][..]));
        assert_eq!(found[1].severity, Severity::Info);
    }
}

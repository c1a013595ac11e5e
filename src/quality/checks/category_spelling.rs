//! One category spelled in several ways.

use super::{Check, Finding, Run, Severity};
use crate::data::ColumnType;
use crate::quality::context::{Col, Role, TableContext};
use crate::quality::wording;

pub(super) const CHECK: Check = Check {
    name: "category_spelling",
    title: "One category spelled in several ways",
    definition: "Values of a category column (target included) that are equal without case, spaces \
                 and punctuation, in columns of at most 10,000 values; none are expected. Source: deepchecks, String Mismatch (condition: \
                 no variants).",
    run: Run::Table(run),
};

/// Values beyond which a column is rather one of names.
const MOST: usize = 10_000;

fn run(ctx: &TableContext) -> Vec<Finding> {
    let words = |c: &&Col| {
        c.role == Role::Target
            || (c.is_feature() && matches!(c.kind, ColumnType::Category | ColumnType::Boolean))
    };
    let found = ctx.columns.iter().filter(words).filter_map(look).collect();
    CHECK.worst_first(found)
}

/// A value without case, spaces and signs; `None` where signs decide what it means: "-1" is not "1",
/// "<5" not ">5".
pub(in crate::quality) fn base(value: &str) -> Option<String> {
    let letters = value.chars().any(char::is_alphabetic);
    let signs = value.contains(['<', '>', '=', '+', '-', '.'])
        && value.contains(|c: char| c.is_ascii_digit());
    (letters && !signs).then(|| {
        value.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    })
}

fn look(column: &Col) -> Option<Finding> {
    let (codes, values, counts) = column.codes()?;
    if values.len() > MOST {
        return None;
    }
    let mut by_base: std::collections::BTreeMap<String, Vec<usize>> =
        std::collections::BTreeMap::new();
    for (v, value) in values.iter().enumerate() {
        if let Some(base) = base(value) {
            by_base.entry(base).or_default().push(v);
        }
    }
    let variants: Vec<Vec<usize>> = by_base.into_values().filter(|v| v.len() > 1).collect();
    if variants.is_empty() {
        return None;
    }
    let mut rare = Vec::new();
    let mut examples = Vec::new();
    for mut group in variants {
        group.sort_by_key(|&v| std::cmp::Reverse(counts[v]));
        let spellings: Vec<&str> = group.iter().map(|&v| values[v]).collect();
        examples.push(wording::list(&spellings, 4));
        rare.extend(group.into_iter().skip(1));
    }
    let cells: usize = rare.iter().map(|&v| counts[v]).sum();
    let title = format!(
        "\"{}\" spells the same value in several ways: {}",
        column.name,
        examples.iter().take(3).cloned().collect::<Vec<_>>().join("; ")
    );
    let advice = "They are taken for different categories. Give each one spelling.";
    let rows = (0..codes.len()).filter(|&r| rare.contains(&(codes[r] as usize)));
    let finding = CHECK.finding(Severity::Warning, title, advice).columns([column.name]);
    Some(finding.rows(rows).value(cells as f64 / column.present() as f64, 0.0))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    #[test]
    fn variants_are_found_and_ranges_are_not() {
        let case = Case::rows("c,range,y", 90, |i| {
            format!(
                "{},{},{}",
                ["New York", "new york", "Boston"][i % 3],
                ["<5 m", ">5 m", "5 m"][i % 3],
                ["Yes", "no", "yes "][i % 3]
            )
        });
        let found = case.run(&CHECK);
        let names: Vec<&str> = found.iter().map(|f| f.columns[0].as_str()).collect();
        assert_eq!(names, ["c", "y"]);
        assert_eq!(found[0].row_count, 30);
    }
}

//! Categories that only the test set has.

use super::{Check, Finding, Run, Severity};
use crate::data::ColumnType;
use crate::quality::context::{Col, TableContext};
use crate::quality::wording;

/// Share of held-out rows from which unknown categories matter.
const WARNING: f64 = 0.01;

pub(super) const CHECK: Check = Check {
    name: "new_categories",
    title: "Categories that training lacks",
    definition: "Per column, share of validation and test rows with a category that no training row \
                 has; 0 is expected. Warning above 1 %. Source: deepchecks, New Category Train Test \
                 (condition 0); the step to a warning is our own.",
    run: Run::Split(run),
};

fn run(ctx: &TableContext) -> Vec<Finding> {
    let Some(split) = ctx.split else { return Vec::new() };
    let held_out = || split.validation.iter().chain(&split.test).map(|r| *r as usize);
    let total = held_out().count();
    let mut found = Vec::new();
    let categories = |c: &&Col| matches!(c.kind, ColumnType::Category | ColumnType::Boolean);
    for column in ctx.features().filter(categories) {
        let Some((codes, values, _)) = column.codes() else { continue };
        let mut seen = vec![false; values.len()];
        for row in &split.train {
            if let Some(s) = seen.get_mut(codes[*row as usize] as usize) {
                *s = true;
            }
        }
        let rows: Vec<usize> =
            held_out().filter(|&r| seen.get(codes[r] as usize) == Some(&false)).collect();
        if rows.is_empty() {
            continue;
        }
        let mut words: Vec<&str> = rows.iter().map(|&r| values[codes[r] as usize]).collect();
        words.sort_unstable();
        words.dedup();
        let share = rows.len() as f64 / total as f64;
        let title = format!(
            "\"{}\" has values in the test rows that training lacks: {} ({})",
            column.name,
            wording::list(&words, 4),
            wording::counted(rows.len(), "row")
        );
        let advice = "They are treated as \"unknown\". Merge rare values into one, or collect more rows \
                      with them.";
        let severity = if share > WARNING { Severity::Warning } else { Severity::Info };
        let finding = CHECK.finding(severity, title, advice).columns([column.name]);
        found.push(finding.rows(rows).value(share, 0.0));
    }
    CHECK.worst_first(found)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    #[test]
    fn unseen_categories_are_named() {
        let case = Case::rows("c,d,y", 100, |i| {
            format!("{},{},p", if i >= 80 { "late" } else { "early" }, ["u", "v"][i % 2])
        });
        let found = case.split_at(70).run(&CHECK);
        assert_eq!(
            (found.len(), found[0].row_count, found[0].severity),
            (1, 20, Severity::Warning)
        );
        assert!(found[0].title.contains("\"late\""));
    }
}

//! Test rows that were trained on.

use rustc_hash::FxHashSet;

use super::{Check, Finding, Run, Severity};
use crate::quality::context::{Role, TableContext};
use crate::quality::wording;

const WARNING: f64 = 0.05;
const HIGH: f64 = 0.25;

pub(super) const CHECK: Check = Check {
    name: "overlap",
    title: "Test rows that are also in training",
    definition: "Share of test rows equal to a training row in every used column, target included. \
                 Warning above 5 %, high above 25 % unless the columns allow fewer than ten \
                 combinations per row. Source: deepchecks, Train Test Samples Mix (condition 5 %); \
                 the step to high is our own.",
    run: Run::Split(run),
};

fn run(ctx: &TableContext) -> Vec<Finding> {
    let Some(split) = ctx.split.filter(|s| !s.test.is_empty()) else { return Vec::new() };
    let train: FxHashSet<u32> = split.train.iter().copied().collect();
    let test: FxHashSet<u32> = split.test.iter().copied().collect();
    let mut rows: Vec<usize> = ctx
        .all_groups
        .iter()
        .filter(|g| g.iter().any(|r| train.contains(r)))
        .flat_map(|g| g.iter().filter(|r| test.contains(*r)))
        .map(|r| *r as usize)
        .collect();
    if rows.is_empty() {
        return Vec::new();
    }
    rows.sort_unstable();
    let share = rows.len() as f64 / split.test.len() as f64;
    let coarse = ctx.coarse();
    let severity = match share {
        s if s > HIGH && !coarse => Severity::High,
        s if s > WARNING && !coarse => Severity::Warning,
        _ => Severity::Info,
    };
    let title = format!(
        "{} ({}) of the test set {} in training",
        wording::counted(rows.len(), "row"),
        wording::percent(share),
        if rows.len() == 1 { "is also" } else { "are also" }
    );
    let advice = if coarse {
        "The columns allow so few combinations that equal rows are to be expected."
    } else {
        "The model has seen the answers to these, so the test score is too good. Remove repeated \
         rows before splitting."
    };
    let columns = ctx.columns.iter().filter(|c| c.role == Role::Target).map(|c| c.name);
    let finding = CHECK.finding(severity, title, advice).columns(columns);
    vec![finding.rows(rows).value(share, WARNING)]
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    #[test]
    fn copied_rows_across_the_split_are_found() {
        let copied = |every: usize| {
            Case::rows("a,b,y", 200, move |i| {
                let j = if i >= 150 && i % every == 0 { i - 150 } else { i };
                format!("{j}.5,{},{}", j * 3, ["p", "q"][j % 2])
            })
            .split_at(150)
            .run(&CHECK)
        };
        assert_eq!((copied(2)[0].severity, copied(2)[0].row_count), (Severity::High, 25));
        assert_eq!((copied(10)[0].severity, copied(10)[0].value), (Severity::Warning, Some(0.1)));
        assert!(copied(1000).is_empty());
    }
}

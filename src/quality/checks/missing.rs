//! Cells without a value.

use super::{Check, Finding, Run, Severity};
use crate::quality::context::{Role, TableContext};
use crate::quality::wording;

/// Largest share of missing cells in a column that is no warning.
const LIMIT: f64 = 0.05;
/// Share of missing targets from which most of the data cannot be used.
const TARGET: f64 = 0.5;

pub(super) const CHECK: Check = Check {
    name: "missing",
    title: "Missing values",
    definition: "Cells that hold nothing or a spelling of \"no value\", over all rows of a column. \
                 Warning above 5 %. A target without any value blocks training. Source: deepchecks, \
                 Percent Of Nulls (condition 5 %).",
    run: Run::Table(run),
};

fn run(ctx: &TableContext) -> Vec<Finding> {
    let n = ctx.rows();
    let mut found = Vec::new();
    let mut light: Vec<(&str, usize)> = Vec::new();
    for column in ctx.columns.iter().filter(|c| c.missing > 0 && c.role != Role::Ignored) {
        let share = column.missing as f64 / n as f64;
        let (name, cells) = (column.name, wording::counted(column.missing, "cell"));
        let (severity, title, advice) = if column.role == Role::Target {
            let severity = if column.missing == n {
                Severity::High
            } else if share > TARGET || share > LIMIT {
                Severity::Warning
            } else {
                Severity::Info
            };
            let title = format!(
                "The target \"{name}\" is missing in {} ({})",
                wording::counted(column.missing, "row"),
                wording::percent(share)
            );
            let advice = if column.missing == n {
                "There is nothing to learn without a target. Choose another target column or fill \
                 this one."
            } else {
                "Rows without a target cannot be used for training or testing and are left out. \
                 Fill them if you can."
            };
            (severity, title, advice)
        } else if column.missing == n {
            let title = format!("\"{name}\" is empty in every row");
            (
                Severity::Warning,
                title,
                "The column says nothing. Set it to \"ignore\" or remove it.",
            )
        } else if share > LIMIT {
            let title = format!("\"{name}\" is missing in {cells} ({})", wording::percent(share));
            let advice = "Missing numbers are filled with the middle value of the training rows and \
                          missing categories count as a category of their own. Find out why they \
                          are missing; where most are, ignore the column.";
            (Severity::Warning, title, advice)
        } else {
            light.push((name, column.missing));
            continue;
        };
        let finding = CHECK.finding(severity, title, advice).columns([name]);
        let rows = (0..n).filter(|&r| column.cells.is_missing(r));
        found.push(finding.rows(rows).value(share, LIMIT));
    }
    let mut found = CHECK.worst_first(found);
    if !light.is_empty() {
        let names: Vec<&str> = light.iter().map(|l| l.0).collect();
        let cells: usize = light.iter().map(|l| l.1).sum();
        let title = format!(
            "A few values are missing ({}) in {}",
            wording::counted(cells, "cell"),
            wording::list(&names, 6)
        );
        let advice = "So few do no harm: they are filled from the training rows. Nothing needs to be \
                      done.";
        let rows = (0..n).filter(|&r| {
            ctx.columns.iter().any(|c| names.contains(&c.name) && c.cells.is_missing(r))
        });
        let worst = light.iter().map(|l| l.1).max().unwrap_or(0) as f64 / n as f64;
        found.push(
            CHECK
                .finding(Severity::Info, title, advice)
                .rows(rows)
                .columns(names.iter().copied())
                .value(worst, LIMIT),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    #[test]
    fn shares_decide_the_severity() {
        let case = Case::rows("many,few,none,y", 100, |i| {
            format!(
                "{},{},1,{}",
                if i < 10 { "?" } else { "3" },
                if i == 7 { "" } else { "4" },
                if i == 0 { "" } else { "p" }
            )
        });
        let found = case.run(&CHECK);
        assert_eq!(found.len(), 3);
        assert_eq!((found[0].severity, found[0].columns[0].as_str()), (Severity::Warning, "many"));
        assert_eq!((found[0].row_count, found[0].value), (10, Some(0.1)));
        assert!(found[1].title.contains("target") && found[1].severity == Severity::Info);
        assert_eq!(
            (found[2].columns.as_slice(), found[2].rows.as_slice()),
            (&["few".to_owned()][..], &[7][..])
        );
    }

    #[test]
    fn an_empty_target_blocks() {
        let found = Case::new("a,y\n1,\n2,NA\n3,?\n").run(&CHECK);
        assert_eq!((found[0].severity, found[0].row_count), (Severity::High, 3));
    }
}

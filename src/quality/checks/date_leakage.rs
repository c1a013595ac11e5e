//! Test rows from before the end of training.

use super::{Check, Finding, Run, Severity};
use crate::data::ColumnType;
use crate::quality::context::{Role, TableContext};
use crate::quality::{stats, wording};

/// Rank correlation of row number and date from which the file is in order of time.
const IN_ORDER: f64 = 0.95;

pub(super) const CHECK: Check = Check {
    name: "date_leakage",
    title: "Test rows older than training rows",
    definition: "Share of test rows dated before the newest training row; 0 is expected where the \
                 model is to predict the future. A warning where the file is in order of that date \
                 (correlation of row number and date at least 0.95). Source: deepchecks, Date Train \
                 Test Leakage Overlap (condition 0); the step by order is our own.",
    run: Run::Split(run),
};

fn run(ctx: &TableContext) -> Vec<Finding> {
    let Some(split) = ctx.split.filter(|s| !s.test.is_empty()) else { return Vec::new() };
    let mut found = Vec::new();
    let dates =
        |c: &&crate::quality::context::Col| c.kind == ColumnType::Date && c.role == Role::Feature;
    for column in ctx.columns.iter().filter(dates) {
        let Some(days) = column.numbers() else { continue };
        let newest = split
            .train
            .iter()
            .map(|r| days[*r as usize])
            .filter(|d| d.is_finite())
            .fold(f64::NEG_INFINITY, f64::max);
        let rows: Vec<usize> =
            split.test.iter().map(|r| *r as usize).filter(|&r| days[r] < newest).collect();
        if rows.is_empty() {
            continue;
        }
        let numbers: Vec<f64> = (0..days.len()).map(|r| r as f64).collect();
        let order = stats::association::pearson(&numbers, days);
        let severity = if order >= IN_ORDER { Severity::Warning } else { Severity::Info };
        let share = rows.len() as f64 / split.test.len() as f64;
        let title = format!(
            "{} of the test rows are older than the newest training row by \"{}\"",
            wording::percent(share),
            column.name
        );
        let advice = "If the model is to predict the future, it should be tested on rows later than \
                      all it was trained on: split by this date. If the date has no such meaning \
                      (a date of birth), nothing needs to be done.";
        let finding = CHECK.finding(severity, title, advice).columns([column.name]);
        found.push(finding.rows(rows).value(share, 0.0));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;
    use crate::data::Split;

    #[test]
    fn a_random_split_of_a_time_series_warns_and_one_by_time_does_not() {
        let case = || {
            Case::rows("day,x,y", 120, |i| {
                format!("2024-{:02}-{:02},{i},p", i / 28 + 1, i % 28 + 1)
            })
            .kind("day", ColumnType::Date)
        };
        assert!(case().split_at(90).run(&CHECK).is_empty());
        let mut random = case();
        let (train, test) = (0..120u32).partition(|r| r % 4 != 0);
        random.split = Some(Split { train, test, ..Split::default() });
        let found = random.run(&CHECK);
        assert_eq!((found[0].severity, found[0].value), (Severity::Warning, Some(1.0)));
    }
}

//! The row from which on the data is different.

use super::target_leakage::TargetColumn;
use super::{Check, Finding, Run, Severity};
use crate::data::ColumnType;
use crate::quality::context::{Col, Data, Role, TableContext};
use crate::quality::stats::change::{Changed, Series, greatest_change};
use crate::quality::{pps, wording};

/// False discovery rate over all that is followed.
const RATE: f64 = 0.01;
/// Difference between before and after from which a change matters.
const LIMIT: f64 = 0.2;
/// Predictive power of the row number for a column from which the file is sorted by it.
const SORTED: f64 = 0.5;

pub(super) const CHECK: Check = Check {
    name: "change_point",
    title: "A row from which on the data is different",
    definition: "Running sums (CUSUM) of ranks, of their distance from the middle, of each of the ten \
                 commonest categories and of missing cells, per column in row order, against \
                 Kolmogorov's distribution, which they follow where the order is random; false \
                 discovery rate 1 % (at most 100,000 rows, evenly spaced). The row is where the sum of \
                 CUSUM² / (t (1 − t)) is largest. Told where a column then differs by 0.2 between before \
                 and after (Kolmogorov–Smirnov statistic, Cramér's V of categories); a warning where it \
                 also does between the 5 % of the rows on either side (p below 0.001), unless the file is sorted by the \
                 target. Source: Csörgő and Horváth (1997); 0.2 is deepchecks' limit for drift.",
    run: Run::Table(run),
};

fn run(ctx: &TableContext) -> Vec<Finding> {
    let compared: Vec<&Col> = ctx.columns.iter().filter(|c| follows(c)).collect();
    let series: Vec<Series> = compared
        .iter()
        .map(|c| match &c.data {
            Data::Numbers(v) => Series::Numbers(v),
            Data::Codes { codes, values, .. } => Series::Codes { codes, values: values.len() },
        })
        .collect();
    let Some(change) = greatest_change(&series, RATE) else { return Vec::new() };
    let strong: Vec<&Changed> = change.columns.iter().filter(|c| c.difference >= LIMIT).collect();
    let Some(most) = strong.first() else { return Vec::new() };
    if sorted_by_target(ctx) {
        return Vec::new();
    }
    // What a Kolmogorov–Smirnov statistic of so few rows reaches by chance once in a thousand times.
    let chance = 1.95 * (2.0 / change.near_rows.max(1) as f64).sqrt();
    let jump = strong.iter().any(|c| c.near >= LIMIT.max(chance));
    let name = |c: &&Changed| compared.get(c.column).map_or("", |c| c.name);
    let names: Vec<String> = strong.iter().take(3).map(|c| format!("\"{}\"", name(c))).collect();
    let more = strong.len().saturating_sub(names.len());
    let row = ctx.table.line(change.row);
    let about = if change.step > 1 { "about row" } else { "row" };
    let also = if more > 0 { format!(" and {more} more") } else { String::new() };
    let title = format!(
        "From {about} {} on the data is different, most in {}{also} (difference {:.2}{})",
        crate::data::count(row as usize, "").trim_end_matches('s').trim(),
        names.join(", "),
        most.difference,
        middles(compared.get(most.column).copied(), change.row)
    );
    let severity = if jump { Severity::Warning } else { Severity::Info };
    let advice = if jump {
        "Find out what changed there: another place, device, way of measuring or time. If rows to come \
         will be like the later ones, leave the earlier ones out or split by time, for a test on rows \
         from before says little about them."
    } else {
        "The data changes slowly along the file, as over seasons or years. If the order is time, split by \
         time, or the test score will be too good."
    };
    let finding = CHECK.finding(severity, title, advice).columns(strong.iter().map(name));
    let looked = ctx.rows().div_ceil(change.step);
    vec![finding.value(most.difference, LIMIT).rows([change.row]).sampled(looked, ctx.rows())]
}

/// Whether a column says something about rows: no text, date or number of the row.
fn follows(column: &Col) -> bool {
    if column.role == Role::Ignored || matches!(column.kind, ColumnType::Text | ColumnType::Date) {
        return false;
    }
    match &column.data {
        // Time itself always changes.
        Data::Numbers(v) => !v.is_sorted_by(|a, b| a <= b) && !v.is_sorted_by(|a, b| a >= b),
        Data::Codes { values, .. } => values.len() * 2 <= column.len(),
    }
}

fn middles(column: Option<&Col>, row: usize) -> String {
    let Some(values) = column.and_then(Col::numbers) else { return String::new() };
    let (before, after) = values.split_at(row.min(values.len()));
    let middle = |v: &[f64]| {
        let sorted = crate::quality::stats::sorted(v.iter().copied());
        wording::number(crate::quality::stats::quantile(&sorted, 0.5))
    };
    format!(", the middle value is {} before and {} after", middle(before), middle(after))
}

/// Whether the row number tells most of the target.
pub(super) fn sorted_by_target(ctx: &TableContext) -> bool {
    let numbers: Vec<f64> = (0..ctx.rows()).map(|r| r as f64).collect();
    TargetColumn::new(ctx).is_some_and(|target| {
        let feature = pps::Feature::Numbers(&numbers);
        pps::score(feature, target.get(), numbers.len(), &ctx.orders) >= SORTED
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;
    use crate::quality::rng::Rng;

    #[test]
    fn the_row_of_a_jump_is_named() {
        let mut rng = Rng::new(8);
        let mut draw = || rng.up_to(99);
        let case = Case::rows("a,b,y", 600, |i| {
            let shift = if i < 400 { 0 } else { 60 };
            format!("{},{},{}", draw() + shift, draw(), ["p", "q"][draw() as usize % 2])
        });
        let found = case.run(&CHECK);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].severity, &found[0].columns[..]),
            (Severity::Warning, &["a".to_owned()][..])
        );
        // Lines count from 1 and the first holds the names.
        let row = found[0].rows[0];
        assert!((396..=404).contains(&row), "{found:?}");
        assert!(found[0].title.contains(&format!("row {}", row + 2)), "{found:?}");
    }

    #[test]
    fn slow_changes_are_told_and_random_or_sorted_rows_are_not() {
        let mut rng = Rng::new(9);
        let mut draw = || rng.up_to(99);
        let slow = Case::rows("a,y", 900, |i| {
            format!("{},{}", draw() + i as u32 / 15, ["p", "q"][draw() as usize % 2])
        });
        assert_eq!(slow.run(&CHECK)[0].severity, Severity::Info);
        let steady =
            Case::rows("a,y", 900, |_| format!("{},{}", draw(), ["p", "q"][draw() as usize % 2]));
        assert!(steady.run(&CHECK).is_empty());
        let sorted = Case::rows("a,y", 900, |i| {
            format!("{},{}", draw() + i as u32 / 300 * 90, ["p", "q", "r"][i / 300])
        });
        assert!(sorted.run(&CHECK).is_empty());
    }
}

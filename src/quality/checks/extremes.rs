//! Numbers far outside the rest of their column.

use rayon::prelude::*;

use super::{Check, Finding, Run, Severity};
use crate::data::ColumnType;
use crate::quality::context::{Col, Role, TableContext};
use crate::quality::{stats, wording};

/// Interquartile ranges beyond the quartiles.
const FENCE: f64 = 3.0;
/// Distinct values below which a column is a scale, not a measurement.
const SCALE: usize = 15;

pub(super) const CHECK: Check = Check {
    name: "extremes",
    title: "Extreme numbers",
    definition: "Numbers more than 3 interquartile ranges beyond the quartiles of their column, in \
                 columns with at least 15 different values and quartiles that differ. Source: Tukey's \
                 outer fences (\"far out\").",
    run: Run::Table(run),
};

struct Far {
    row: usize,
    column: usize,
    /// Interquartile ranges from the nearer quartile.
    by: f64,
}

fn run(ctx: &TableContext) -> Vec<Finding> {
    let numeric = |c: &&Col| {
        c.kind == ColumnType::Number && c.role != Role::Ignored && c.distinct(SCALE) >= SCALE
    };
    let columns: Vec<&Col> = ctx.columns.iter().filter(numeric).collect();
    let mut far: Vec<Far> =
        columns.par_iter().enumerate().flat_map_iter(|(i, c)| beyond_fences(c, i)).collect();
    if far.is_empty() {
        return Vec::new();
    }
    far.sort_by(|a, b| b.by.total_cmp(&a.by).then(a.row.cmp(&b.row)));
    let mut names: Vec<&str> = Vec::new();
    far.iter().map(|f| columns[f.column].name).for_each(|n| {
        if !names.contains(&n) {
            names.push(n);
        }
    });
    let worst = &far[0];
    let title = format!(
        "{} far outside the rest of {}; the farthest is {} in \"{}\"",
        if far.len() == 1 {
            "1 number lies".to_owned()
        } else {
            format!("{} lie", wording::counted(far.len(), "number"))
        },
        wording::list(&names, 5),
        columns[worst.column]
            .numbers()
            .and_then(|v| v.get(worst.row))
            .map_or(String::new(), |v| wording::number(*v)),
        columns[worst.column].name
    );
    let advice = "Check for slips (a wrong unit, a digit too many). True extremes can stay; a few very \
                  large values make the others hard to tell apart, where a cap helps.";
    let value = worst.by;
    let mut seen = rustc_hash::FxHashSet::default();
    let rows = far.iter().map(|f| f.row).filter(|r| seen.insert(*r));
    vec![CHECK.finding(Severity::Info, title, advice).columns(names).rows(rows).value(value, FENCE)]
}

fn beyond_fences(column: &Col, index: usize) -> Vec<Far> {
    let Some(values) = column.numbers() else { return Vec::new() };
    let mut finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    let (q1, q3) = (select(&mut finite, 0.25), select(&mut finite, 0.75));
    let iqr = q3 - q1;
    if iqr.is_nan() || iqr <= 0.0 {
        return Vec::new();
    }
    values
        .iter()
        .enumerate()
        .map(|(row, v)| Far { row, column: index, by: (v - q3).max(q1 - v) / iqr })
        .filter(|f| f.by > FENCE)
        .collect()
}

/// Quantile without sorting everything.
fn select(values: &mut [f64], q: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
    let low = (q * last as f64).floor() as usize;
    let (_, a, above) = values.select_nth_unstable_by(low, f64::total_cmp);
    let next = above.iter().copied().fold(f64::INFINITY, f64::min);
    let pair = [*a, if next.is_finite() { next } else { *a }];
    stats::quantile(&pair, q * last as f64 - low as f64)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    #[test]
    fn far_values_come_farthest_first() {
        let case = Case::rows("a,b,rating,y", 200, |i| {
            let a = match i {
                50 => 9_000,
                60 => -5_000i64,
                _ => i as i64,
            };
            format!("{a},{},{},p", i % 40, if i == 3 { 500 } else { i % 3 })
        });
        let found = case.run(&CHECK);
        assert_eq!((found.len(), found[0].rows.as_slice()), (1, &[50, 60][..]));
        assert_eq!(found[0].columns, ["a"]);
        assert!(found[0].title.contains("farthest is 9000"));
    }

    #[test]
    fn selection_is_the_quantile() {
        let values: Vec<f64> = (0..57).map(|i| f64::from(i * 37 % 57)).collect();
        let sorted = stats::sorted(values.iter().copied());
        for q in [0.0, 0.25, 0.5, 0.75, 1.0] {
            assert_eq!(select(&mut values.clone(), q), stats::quantile(&sorted, q));
        }
    }
}

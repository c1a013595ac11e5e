//! Columns with other values in training and test.

use rayon::prelude::*;

use super::{Check, Finding, Run, Severity};
use crate::data::ColumnType;
use crate::quality::context::{Col, Data, Role, TableContext};
use crate::quality::stats::association::{Contingency, drift_cramers_v};
use crate::quality::stats::{self, distance};
use crate::quality::{rng, wording};

const LIMIT: f64 = 0.2;
const TARGET_LIMIT: f64 = 0.15;
const P: f64 = 0.05;
const MIN_SHARE: f64 = 0.01;
/// Rows looked at on each side.
const SAMPLE: usize = 100_000;
/// Rows below which a side says too little.
const FEW: usize = 10;

pub(super) const CHECK: Check = Check {
    name: "drift",
    title: "Other values in training and test",
    definition: "Per column, training against test (validation where there is no test): \
                 Kolmogorov–Smirnov statistic of numbers, bias-corrected Cramér's V of categories \
                 with those below 1 % pooled; at most 100,000 rows a side. Warning from 0.2 (0.15 for \
                 a numeric target) where the test against chance has p below 0.05 divided by the \
                 number of columns. Source: deepchecks, Feature Drift and Label Drift; the test \
                 against chance (Bonferroni) is our own guard for small sets.",
    run: Run::Split(run),
};

fn run(ctx: &TableContext) -> Vec<Finding> {
    let Some(split) = ctx.split else { return Vec::new() };
    let later = if split.test.is_empty() { &split.validation } else { &split.test };
    if split.train.len() < FEW || later.len() < FEW {
        return Vec::new();
    }
    let thin = |rows: &[u32]| -> Vec<u32> {
        rng::sample(rows.len(), SAMPLE, 2).into_iter().map(|i| rows[i as usize]).collect()
    };
    let (train, test) = (thin(&split.train), thin(later));
    let compared = |c: &&Col| match c.role {
        Role::Feature => c.kind != ColumnType::Text && c.kind != ColumnType::Date,
        Role::Target => c.numbers().is_some(),
        Role::Ignored => false,
    };
    let columns: Vec<&Col> = ctx.columns.iter().filter(compared).collect();
    let p = P / columns.len().max(1) as f64;
    let found = columns
        .par_iter()
        .filter_map(|column| {
            let drift = compare(column, &train, &test)?;
            let limit = if column.role == Role::Target { TARGET_LIMIT } else { LIMIT };
            if drift.value < limit || drift.p >= p {
                return None;
            }
            let title = format!(
                "\"{}\" has other values in training and test ({} {:.2}): {}",
                column.name, drift.measure, drift.value, drift.example
            );
            let advice = "The model is tested on cases unlike those it learns from. Find out what \
                          changed between them (time, place, device); split at random if it is not \
                          meant.";
            let finding = CHECK.finding(Severity::Warning, title, advice).columns([column.name]);
            let looked = train.len() + test.len();
            Some(finding.value(drift.value, limit).sampled(looked, split.train.len() + later.len()))
        })
        .collect();
    CHECK.worst_first(found)
}

/// How a column differs between two parts.
pub(in crate::quality) struct Comparison {
    measure: &'static str,
    pub(in crate::quality) value: f64,
    p: f64,
    example: String,
}

/// `None` where a side has too few values to say.
pub(in crate::quality) fn compare(column: &Col, train: &[u32], test: &[u32]) -> Option<Comparison> {
    match &column.data {
        Data::Numbers(v) => {
            let of = |rows: &[u32]| stats::sorted(rows.iter().map(|&r| v[r as usize]));
            let (a, b) = (of(train), of(test));
            if a.len() < FEW || b.len() < FEW {
                return None;
            }
            let value = distance::ks(&a, &b);
            let middle = |s: &[f64]| wording::number(stats::quantile(s, 0.5));
            Some(Comparison {
                measure: "Kolmogorov–Smirnov",
                value,
                p: distance::ks_p(value, a.len(), b.len()),
                example: format!("the middle value is {} and {}", middle(&a), middle(&b)),
            })
        }
        Data::Codes { codes, values, .. } => {
            if values.len() > train.len() / 2 {
                return None;
            }
            let of = |rows: &[u32]| {
                let mut counts = vec![0.0; values.len()];
                for &r in rows {
                    if let Some(n) = counts.get_mut(codes[r as usize] as usize) {
                        *n += 1.0;
                    }
                }
                counts
            };
            let (a, b) = (of(train), of(test));
            let (n, m): (f64, f64) = (a.iter().sum(), b.iter().sum());
            if n < FEW as f64 || m < FEW as f64 {
                return None;
            }
            let gap = |c: usize| (a[c] / n - b[c] / m).abs();
            let worst = (0..values.len()).max_by(|&x, &y| gap(x).total_cmp(&gap(y)))?;
            Some(Comparison {
                measure: "Cramér's V",
                value: drift_cramers_v(&a, &b, MIN_SHARE),
                p: Contingency::new(&[a.clone(), b.clone()]).chi2().p,
                example: format!(
                    "\"{}\" is {} and {}",
                    wording::short(values[worst]),
                    wording::percent(a[worst] / n),
                    wording::percent(b[worst] / m)
                ),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;
    use crate::quality::rng::Rng;

    #[test]
    fn shifted_columns_are_found_and_steady_ones_are_not() {
        let mut rng = Rng::new(2);
        let case = Case::rows("shift,steady,kind,y", 1000, |i| {
            let late = i >= 700;
            let draw = rng.up_to(999);
            let kind = ["a", "b"][usize::from(rng.up_to(9) < if late { 8 } else { 3 })];
            format!(
                "{},{},{kind},{}",
                draw + if late { 400 } else { 0 },
                rng.up_to(999),
                rng.up_to(99)
            )
        });
        let found = case.split_at(700).run(&CHECK);
        let mut names: Vec<&str> = found.iter().map(|f| f.columns[0].as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["kind", "shift"]);
    }

    #[test]
    fn a_small_test_set_does_not_alarm_by_chance() {
        let mut rng = Rng::new(7);
        let case = Case::rows("a,b,c,d,y", 120, |_| {
            let mut v = || rng.up_to(999);
            format!("{},{},{},{},{}", v(), v(), v(), v(), v())
        });
        assert!(case.split_at(100).run(&CHECK).is_empty());
    }
}

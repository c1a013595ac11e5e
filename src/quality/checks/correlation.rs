//! Columns that say the same.

use rayon::prelude::*;

use super::{Check, Finding, Run, Severity};
use crate::data::ColumnType;
use crate::quality::context::{Col, TableContext};
use crate::quality::rng;
use crate::quality::stats::association::{Contingency, correlation_ratio, pearson};

const LIMIT: f64 = 0.9;
/// Association from which one column can replace the other.
const SAME: f64 = 0.9999;
/// Rows looked at.
const SAMPLE: usize = 10_000;
/// Columns looked at.
const COLUMNS: usize = 300;
/// Categories beyond which a column is no grouping.
const CATEGORIES: usize = 200;

pub(super) const CHECK: Check = Check {
    name: "correlation",
    title: "Columns that say the same",
    definition: "Pairs of features with an association above 0.9: absolute Pearson correlation of two \
                 numbers, bias-corrected Cramér's V of two categories, correlation ratio of a category \
                 and a number; on at most 10,000 rows and 300 columns, \
                 where both are filled in at least half of the rows in which one is. A warning where one column can \
                 replace the other (from 0.9999). Source: deepchecks, Feature Feature Correlation \
                 (condition 0.9; it takes Spearman and Theil's U for equal types).",
    run: Run::Table(run),
};

struct Sampled<'a> {
    name: &'a str,
    numbers: Vec<f64>,
    codes: Vec<u32>,
    values: usize,
}

fn run(ctx: &TableContext) -> Vec<Finding> {
    let rows = rng::sample(ctx.rows(), SAMPLE, 5);
    if rows.len() < 10 {
        return Vec::new();
    }
    let columns: Vec<Sampled> =
        ctx.features().filter_map(|c| sample(c, &rows)).take(COLUMNS).collect();
    let pairs: Vec<(usize, usize)> =
        (0..columns.len()).flat_map(|a| (a + 1..columns.len()).map(move |b| (a, b))).collect();
    let mut strong: Vec<(f64, usize, usize)> = pairs
        .par_iter()
        .map(|&(a, b)| (association(&columns[a], &columns[b]), a, b))
        .filter(|&(value, a, b)| value > LIMIT && comparable(&columns[a], &columns[b]))
        .collect();
    strong.sort_by(|x, y| y.0.total_cmp(&x.0).then(x.1.cmp(&y.1)).then(x.2.cmp(&y.2)));
    let findings = strong
        .into_iter()
        .map(|(value, a, b)| {
            let (a, b) = (columns[a].name, columns[b].name);
            let same = value >= SAME;
            let title = if same {
                format!("\"{a}\" and \"{b}\" say the same")
            } else {
                format!("\"{a}\" and \"{b}\" say nearly the same (association {value:.3})")
            };
            let advice = "The second adds little and makes explanations of the model unclear. Keep \
                          the one that is easier to get, set the other to \"ignore\".";
            let severity = if same { Severity::Warning } else { Severity::Info };
            let finding = CHECK.finding(severity, title, advice).columns([a, b]);
            finding.value(value, LIMIT).sampled(rows.len(), ctx.rows())
        })
        .collect();
    CHECK.worst_first(findings)
}

fn sample<'a>(column: &Col<'a>, rows: &[u32]) -> Option<Sampled<'a>> {
    let name = column.name;
    if let Some(v) = column.numbers() {
        let numbers: Vec<f64> = rows.iter().map(|&r| v[r as usize]).collect();
        let present = numbers.iter().filter(|v| v.is_finite()).count();
        return (present >= 10).then_some(Sampled { name, numbers, codes: Vec::new(), values: 0 });
    }
    let (codes, values, _) = column.codes()?;
    let grouping = matches!(column.kind, ColumnType::Category | ColumnType::Boolean)
        && (2..=CATEGORIES).contains(&values.len())
        && values.len() * 5 <= rows.len();
    let codes = rows.iter().map(|&r| codes[r as usize]).collect();
    grouping.then_some(Sampled { name, numbers: Vec::new(), codes, values: values.len() })
}

impl Sampled<'_> {
    fn has(&self, i: usize) -> bool {
        match self.values {
            0 => self.numbers[i].is_finite(),
            n => (self.codes[i] as usize) < n,
        }
    }
}

/// Whether the columns are filled together in at least half of the rows where one of them is.
fn comparable(a: &Sampled, b: &Sampled) -> bool {
    let rows = a.numbers.len().max(a.codes.len());
    let (mut both, mut any) = (0, 0);
    for i in 0..rows {
        both += usize::from(a.has(i) && b.has(i));
        any += usize::from(a.has(i) || b.has(i));
    }
    both * 2 >= any
}

fn association(a: &Sampled, b: &Sampled) -> f64 {
    match (a.values, b.values) {
        (0, 0) => pearson(&a.numbers, &b.numbers).abs(),
        (0, _) => correlation_ratio(&b.codes, b.values, &a.numbers),
        (_, 0) => correlation_ratio(&a.codes, a.values, &b.numbers),
        _ => Contingency::of_codes(&a.codes, a.values, &b.codes, b.values).cramers_v(true),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    #[test]
    fn pairs_of_all_kinds_are_found() {
        let case = Case::rows("cm,inch,grade,points,mark,other,y", 300, |i| {
            let (g, cm) = (i * 7 % 5, i * 37 % 101);
            let points = g as f64 * 10.0 + (i % 3) as f64;
            format!(
                "{cm},{},{},{points},{},{},p",
                cm as f64 / 2.54,
                ["a", "b", "c", "d", "e"][g],
                ["v", "w", "x", "y", "z"][g],
                i * 13 % 17
            )
        });
        let found = case.run(&CHECK);
        let pairs: Vec<String> = found.iter().map(|f| f.columns.join("-")).collect();
        assert_eq!(pairs, ["cm-inch", "grade-mark", "grade-points", "points-mark"]);
        assert_eq!((found[0].severity, found[2].severity), (Severity::Warning, Severity::Info));
    }
}

//! One column in figures: spread, extremes with their rows, lengths of texts, and how strongly it goes
//! with the target.

use serde::Serialize;

use super::stats::association::{self, Contingency};
use super::stats::{mean_std, quantile, sorted};
use crate::data::{Column, ColumnType, Dataset, Samples, Schema, Targets, targets};

/// Extremes kept at each end.
const EXTREMES: usize = 5;
/// Bars of a distribution.
pub const BINS: usize = 40;

/// A column in figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Profile {
    /// Column.
    pub name: String,
    /// Type in use.
    pub kind: ColumnType,
    /// Cells that hold a value.
    pub present: usize,
    /// Cells without one.
    pub missing: usize,
    /// Different values.
    pub distinct: usize,
    /// Numbers, dates as days since 1970, or lengths of texts in characters; `None` for categories.
    pub spread: Option<Spread>,
    /// Commonest values with their counts, at most 12; none for numbers.
    pub top: Vec<(String, usize)>,
    /// Strength of the link with the target from 0 to 1, and the name of the measure.
    pub association: Option<(f64, &'static str)>,
}

/// How numbers lie.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spread {
    /// What the numbers are: "value", "day" or "characters".
    pub unit: &'static str,
    /// Mean.
    pub mean: f64,
    /// Standard deviation (n).
    pub std: f64,
    /// Smallest, quartiles, largest.
    pub quartiles: [f64; 5],
    /// Counts in equal bins from the smallest to the largest.
    pub bins: Vec<u32>,
    /// Rows as in the file with the smallest and the largest values.
    pub extremes: Vec<(u64, String)>,
}

/// Profiles a column of a table; `None` if it is not there.
pub fn column(dataset: &Dataset, schema: Option<&Schema>, name: &str) -> Option<Profile> {
    let Samples::Table(table) = &dataset.samples else { return None };
    let cells = table.column(name)?;
    let kind = schema
        .and_then(|s| s.columns.iter().find(|(n, _)| n == name))
        .map_or(cells.kind, |(_, k)| *k);
    let (codes, values) = cells.codes();
    let mut counts = vec![0usize; values.len()];
    for code in &codes {
        if let Some(n) = counts.get_mut(*code as usize) {
            *n += 1;
        }
    }
    let present: usize = counts.iter().sum();
    let numbers = numbers(cells, kind);
    let spread = numbers.as_ref().and_then(|(unit, v)| {
        let line = |row: usize| table.line(row);
        spread(unit, v, &line, cells)
    });
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| counts[*b].cmp(&counts[*a]).then_with(|| values[*a].cmp(values[*b])));
    let listed = !matches!(kind, ColumnType::Number | ColumnType::Date);
    let top = order.iter().take(if listed { 12 } else { 0 });
    let short = |v: &str| v.chars().take(60).collect::<String>();
    let top = top.map(|i| (short(values[*i]), counts[*i])).collect();
    let association = schema.filter(|s| s.target != name).and_then(|s| {
        let all: Option<&[f64]> = match (&numbers, kind) {
            (Some((_, v)), ColumnType::Number | ColumnType::Date) => Some(v),
            _ => None,
        };
        with_target(dataset, s, all, &codes, values.len())
    });
    Some(Profile {
        name: name.to_owned(),
        kind,
        present,
        missing: cells.len() - present,
        distinct: values.len(),
        spread,
        top,
        association,
    })
}

/// One number a row, NaN where there is none.
fn numbers(cells: &Column, kind: ColumnType) -> Option<(&'static str, Vec<f64>)> {
    let each = |f: &dyn Fn(usize) -> Option<f64>| {
        (0..cells.len()).map(|r| f(r).unwrap_or(f64::NAN)).collect::<Vec<f64>>()
    };
    match kind {
        ColumnType::Number => Some(("value", cells.numbers())),
        ColumnType::Date => Some(("day", each(&|r| cells.date(r)))),
        ColumnType::Text => {
            Some(("characters", each(&|r| cells.value(r).map(|v| v.chars().count() as f64))))
        }
        ColumnType::Category | ColumnType::Boolean | ColumnType::Ignore => None,
    }
}

fn spread(
    unit: &'static str,
    values: &[f64],
    line: &dyn Fn(usize) -> u64,
    cells: &Column,
) -> Option<Spread> {
    let mut order: Vec<usize> = (0..values.len()).filter(|r| values[*r].is_finite()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]).then(a.cmp(b)));
    let ordered = sorted(values.iter().copied().filter(|v| v.is_finite()));
    let (first, last) = (*ordered.first()?, *ordered.last()?);
    let (mean, std) = mean_std(&ordered);
    let mut bins = vec![0u32; BINS];
    let width = (last - first) / BINS as f64;
    for v in &ordered {
        let bin = if width > 0.0 { ((v - first) / width) as usize } else { 0 };
        if let Some(n) = bins.get_mut(bin.min(BINS - 1)) {
            *n += 1;
        }
    }
    let shown = |r: &usize| (line(*r), cells.raw(*r).trim().chars().take(60).collect::<String>());
    let ends = order.iter().take(EXTREMES).chain(order.iter().skip(EXTREMES).rev().take(EXTREMES));
    let q = |p: f64| quantile(&ordered, p);
    Some(Spread {
        unit,
        mean,
        std,
        quartiles: [first, q(0.25), q(0.5), q(0.75), last],
        bins,
        extremes: ends.map(shown).collect(),
    })
}

/// |Pearson's r|, the correlation ratio η, or Cramér's V, by the types of both.
fn with_target(
    dataset: &Dataset,
    schema: &Schema,
    numbers: Option<&[f64]>,
    codes: &[u32],
    values: usize,
) -> Option<(f64, &'static str)> {
    match (targets(dataset, schema).ok()?, numbers) {
        (Targets::Values(y), Some(x)) => finite(association::pearson(x, &y).abs(), "Pearson's |r|"),
        (Targets::Values(y), None) => {
            finite(association::correlation_ratio(codes, values, &y), "correlation ratio η")
        }
        (Targets::Classes(c), numbers) => {
            let classes: Vec<u32> = c.iter().map(|c| c.unwrap_or(u32::MAX)).collect();
            let k = schema.task.classes().len();
            match numbers {
                Some(x) => {
                    finite(association::correlation_ratio(&classes, k, x), "correlation ratio η")
                }
                // A table of more cells than this says nothing of a column of names.
                None if values.saturating_mul(k) > 1 << 20 => None,
                None => {
                    let table = Contingency::of_codes(codes, values, &classes, k);
                    finite(table.cramers_v(false), "Cramér's V")
                }
            }
        }
    }
}

fn finite(v: f64, measure: &'static str) -> Option<(f64, &'static str)> {
    v.is_finite().then_some((v, measure))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::table;

    #[test]
    fn figures_of_numbers_and_words() {
        let rows: String = (0..100)
            .map(|i| format!("{}.5,{},{}\n", i, ["a", "b"][i % 2], ["no", "yes"][i % 2]))
            .collect();
        let (d, schema) = table(&format!("n,w,y\n{rows}"), "y");
        let n = column(&d, Some(&schema), "n").unwrap();
        let spread = n.spread.unwrap();
        assert_eq!(
            (spread.quartiles[0], spread.quartiles[2], spread.quartiles[4]),
            (0.5, 50.0, 99.5)
        );
        assert_eq!((spread.bins.iter().sum::<u32>(), spread.extremes[0].0), (100, 2));
        assert_eq!(spread.extremes.len(), 10);
        assert!(n.association.unwrap().0 < 0.05);
        let w = column(&d, Some(&schema), "w").unwrap();
        assert_eq!(w.association, Some((1.0, "Cramér's V")));
        assert_eq!(w.top, [("a".to_owned(), 50), ("b".to_owned(), 50)]);
        assert!(column(&d, None, "gone").is_none());
    }
}

//! What each column looks like, for the preview.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::data::{Column, ColumnType, Samples, Table};

/// Bars of a small histogram.
pub const BINS: usize = 16;
/// Distinct values counted exactly; beyond, a column is called "many".
const DISTINCT: usize = 20_000;

/// A column in figures.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnSummary {
    /// Name.
    pub name: String,
    /// Type that the importer inferred.
    pub inferred: ColumnType,
    /// Cells without a value.
    pub missing: usize,
    /// Different values, counted up to a limit.
    pub distinct: usize,
    /// Whether there are more different values than counted.
    pub many: bool,
    /// Commonest values with their counts, commonest first, at most 5.
    pub top: Vec<(String, usize)>,
    /// Numbers, if most values are.
    pub numbers: Option<NumberSummary>,
}

/// Numbers of a column in figures.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberSummary {
    /// Smallest.
    pub min: f64,
    /// Mean.
    pub mean: f64,
    /// Largest.
    pub max: f64,
    /// Counts in equal bins from min to max.
    pub bins: [u32; BINS],
}

/// Summaries of all columns; empty for images.
pub fn summarise(samples: &Samples) -> Vec<ColumnSummary> {
    match samples {
        Samples::Table(table) => summarise_table(table),
        Samples::Images(_) => Vec::new(),
    }
}

fn summarise_table(table: &Table) -> Vec<ColumnSummary> {
    table.columns().par_iter().map(summarise_column).collect()
}

fn summarise_column(column: &Column) -> ColumnSummary {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut many = false;
    let mut missing = 0;
    for row in 0..column.len() {
        match column.value(row) {
            None => missing += 1,
            Some(value) => {
                if let Some(count) = counts.get_mut(value) {
                    *count += 1;
                } else if counts.len() < DISTINCT {
                    counts.insert(value, 1);
                } else {
                    many = true;
                }
            }
        }
    }
    let present = column.len() - missing;
    let mut top: Vec<(&str, usize)> = counts.iter().map(|(v, n)| (*v, *n)).collect();
    top.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    top.truncate(5);
    ColumnSummary {
        name: column.name().to_owned(),
        inferred: column.inferred,
        missing,
        distinct: counts.len(),
        many,
        top: top.into_iter().map(|(v, n)| (shorten(v), n)).collect(),
        numbers: summarise_numbers(column, present),
    }
}

/// At most 60 characters of a value.
fn shorten(value: &str) -> String {
    let mut short: String = value.chars().take(60).collect();
    if short.len() < value.len() {
        short.push('…');
    }
    short
}

fn summarise_numbers(column: &Column, present: usize) -> Option<NumberSummary> {
    let numbers: Vec<f64> = column.numbers().into_iter().filter(|v| v.is_finite()).collect();
    if numbers.is_empty() || numbers.len() * 10 < present * 9 {
        return None;
    }
    let min = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let max = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
    let mut bins = [0u32; BINS];
    let width = (max - min) / BINS as f64;
    for v in &numbers {
        let bin = if width > 0.0 { ((v - min) / width) as usize } else { 0 };
        if let Some(count) = bins.get_mut(bin.min(BINS - 1)) {
            *count += 1;
        }
    }
    Some(NumberSummary { min, mean, max, bins })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summarises_numbers_and_words() {
        let mut number = Column::new("n");
        let mut word = Column::new("w");
        for (n, w) in [("1", "a"), ("2", "b"), ("?", "a"), ("4", "")] {
            number.push(n);
            word.push(w);
        }
        let table = Table::new(vec![number, word], vec![2, 3, 4, 5]);
        let summaries = summarise_table(&table);
        assert_eq!(summaries[0].missing, 1);
        let n = summaries[0].numbers.as_ref().unwrap();
        assert_eq!((n.min, n.max), (1.0, 4.0));
        assert_eq!(n.bins.iter().sum::<u32>(), 3);
        assert_eq!(summaries[1].top, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
        assert_eq!(summaries[1].numbers, None);
        assert_eq!(summaries[1].missing, 1);
    }

    #[test]
    fn a_constant_column_has_one_bar() {
        let mut c = Column::new("c");
        c.push("5");
        c.push("5");
        let s = summarise_column(&c);
        assert_eq!(s.numbers.unwrap().bins[0], 2);
    }
}

//! Made-up rows that a fitted preprocessing can take. They exercise every branch of it (missing,
//! unseen and extreme cells too) and hold no row of the data that it was fitted on.

use super::{ColumnFit, Fit, Inputs, Preprocessor, Standard};
use crate::data::rng::Rng;
use crate::data::{Column, ColumnType, Dataset, ImageSet, Samples, Table};

/// Deviations from the mean that numbers go through, the last one far out.
const SPREAD: [f64; 7] = [0.0, -0.7, 1.3, -1.9, 0.4, 2.6, -30.0];

impl Preprocessor {
    /// `rows` made-up rows, the same for the same fit and seed.
    pub fn examples(&self, rows: usize, seed: u64) -> Dataset {
        let mut rng = Rng::new(seed);
        let samples = match &self.inputs {
            Inputs::Columns(columns) => {
                let columns =
                    columns.iter().enumerate().map(|(i, fit)| column(fit, i, rows, &mut rng));
                Samples::Table(Table::new(columns.collect(), (2..rows as u64 + 2).collect()))
            }
            Inputs::Pixels(fit) => {
                let size = fit.width * fit.height * fit.channels();
                let mut pixels = Vec::with_capacity(rows * size);
                for row in 0..rows {
                    // Patches of light rather than noise, so that filters have something to see.
                    let period = 2 + row % 9;
                    let phase = rng.below(period * 2);
                    for i in 0..size {
                        let stripe = (i / fit.channels().max(1) + phase) / period;
                        let on = stripe.is_multiple_of(2);
                        let low = if on { 120 } else { 0 };
                        pixels.push((low + rng.below(136)) as u8);
                    }
                }
                Samples::Images(ImageSet {
                    width: fit.width,
                    height: fit.height,
                    channels: fit.channels(),
                    pixels,
                    labels: vec![0; rows],
                    classes: self.task.classes().to_vec(),
                    ..ImageSet::default()
                })
            }
        };
        Dataset { name: "made-up rows".to_owned(), samples, notes: Vec::new() }
    }
}

/// A value so many deviations from the mean.
fn at(standard: Standard, deviations: f64) -> f64 {
    if standard.scale > 0.0 { standard.mean + deviations / standard.scale } else { standard.mean }
}

fn column(fit: &ColumnFit, index: usize, rows: usize, rng: &mut Rng) -> Column {
    let mut column = Column::new(fit.name.clone());
    column.kind = match fit.fit {
        Fit::Number { .. } => ColumnType::Number,
        Fit::Boolean { .. } => ColumnType::Boolean,
        Fit::Date { .. } => ColumnType::Date,
        Fit::OneHot { .. } | Fit::Embedding { .. } => ColumnType::Category,
        Fit::Text { .. } => ColumnType::Text,
    };
    column.inferred = column.kind;
    for row in 0..rows {
        // Every column leaves other rows out.
        if (row + 3 * index) % 11 == 7 {
            column.push("");
            continue;
        }
        let deviations = SPREAD.get((row + index) % SPREAD.len()).copied().unwrap_or(0.0)
            + rng.below(1000) as f64 * 1e-3;
        let cell = match &fit.fit {
            Fit::Number { squash, standard, .. } => {
                let value = at(*standard, deviations);
                let value = squash.map_or(value, |unit| value.clamp(-300.0, 300.0).sinh() * unit);
                value.to_string()
            }
            Fit::Boolean { values, .. } => values[rng.below(2)].clone(),
            Fit::Date { elapsed, time, .. } => date(at(*elapsed, deviations), *time),
            Fit::OneHot { values, rare, .. } | Fit::Embedding { values, rare } => {
                let all = values.len() + rare.len();
                let i = rng.below(all + 1);
                let known = values.iter().chain(rare).nth(i).cloned();
                known.unwrap_or_else(|| "a value never seen".to_owned())
            }
            Fit::Text { words, .. } => {
                let mut text = Vec::new();
                for _ in 0..3 + rng.below(12) {
                    text.extend(words.get(rng.below(words.len().max(1))).cloned());
                }
                text.push("neverseen".to_owned());
                text.join(", ")
            }
        };
        column.push(&cell);
    }
    column
}

/// A day as text, and a time where the column has them.
fn date(days: f64, time: bool) -> String {
    let days = days.clamp(-700_000.0, 2_900_000.0);
    let whole = days.floor();
    let seconds = ((days - whole) * 86_400.0) as i64;
    let epoch = jiff::civil::date(1970, 1, 1);
    let day = epoch.saturating_add(jiff::Span::new().days(whole as i64));
    if time {
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        format!("{day} {hour:02}:{minute:02}:{second:02}")
    } else {
        day.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_of_the_calendar() {
        assert_eq!(date(0.0, false), "1970-01-01");
        assert_eq!(date(19_783.75, true), "2024-03-01 18:00:00");
        assert_eq!(date(-1.0, false), "1969-12-31");
        for days in [f64::MIN, f64::MAX, f64::NAN] {
            assert!(date(days, true).len() >= 10);
        }
    }
}

//! What new rows are compared with: the training rows in figures, and the answers on rows that
//! training never saw. Small enough to travel in a model file.

use std::collections::HashMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::answers::{self, AnswerReference};
use super::signals::{self, Cells, Kind, Signal};
use crate::data::table::NO_CODE;
use crate::data::{Dataset, Progress, Split};
use crate::deploy::Model;
use crate::error::{DataError, ExportError};
use crate::export::{ModelInfo, PendingFile};
use crate::quality::stats;
use crate::train::run_folder::RunFolder;

/// Numbers of a column that are kept where the rows are at hand: all of them up to here, else evenly
/// spaced quantiles.
pub const KEPT: usize = 20_000;
/// The same, kept with a run.
pub const KEPT_WITH_RUN: usize = 400;
/// The same, in a model file.
pub const KEPT_IN_FILE: usize = 64;
/// Different numbers from which on a column is kept as quantiles.
const MANY: usize = 50;
/// Categories told apart; the others are counted together.
pub const MOST_CATEGORIES: usize = 200;
/// Held-out rows that are answered.
const MOST_ANSWERS: usize = 20_000;
/// Fewest rows of a category that a model file names.
const FEW: u64 = 5;

/// Name of the reference in a run's folder.
const FILE: &str = "reference.json";

/// The reference kept with a run; `None` of an older run, and of private training, whose rows must not
/// be found anywhere.
pub fn of_run(run: &RunFolder) -> Option<Reference> {
    if run.record.config.private.is_some() {
        return None;
    }
    let text = std::fs::read(run.path.join(FILE)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Makes the reference of a finished run and keeps it in its folder, for when the data are not at hand.
///
/// # Errors
/// The model cannot be read or used; the folder cannot be written.
pub fn keep(run: &RunFolder, dataset: &Dataset) -> Result<(), ExportError> {
    if run.record.config.private.is_some() {
        return Ok(());
    }
    let model = Model::of_run(run)?;
    let made = Reference::of_training(&model, dataset, KEPT_WITH_RUN, &Progress::default())?;
    let path = run.path.join(FILE);
    let text = serde_json::to_vec(&made).map_err(|e| ExportError::Format {
        path: path.clone(),
        what: format!("the reference cannot be written: {e}"),
    })?;
    PendingFile::write(&text, &path)?.finish()?;
    Ok(())
}

/// The reference of a run: from its data where those are as in training, else what was kept.
///
/// # Errors
/// Neither is there; the engine; cancelled.
pub fn find(
    run: &RunFolder,
    model: &Model,
    dataset: Option<&Dataset>,
    progress: &Progress,
) -> Result<Reference, ExportError> {
    let same = dataset.filter(|d| d.len() == run.record.dataset_rows);
    match (same, of_run(run)) {
        (Some(dataset), _) => Reference::of_training(model, dataset, KEPT, progress),
        (None, Some(kept)) => Ok(kept),
        (None, None) => Err(DataError::Invalid {
            what:
                "The data are not those that this model was trained on, and no summary of them was \
                   kept"
                    .to_owned(),
            place: Default::default(),
            advice: "Train again, or name the data of the training with --reference.".to_owned(),
        }
        .into()),
    }
}

/// How the values of one column were spread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "of")]
pub enum Spread {
    /// Numbers.
    Numbers {
        /// Ascending: all of them, or evenly spaced quantiles. Equal neighbours stand once.
        values: Vec<f64>,
        /// How often each of `values` stands for.
        times: Vec<u32>,
        /// Different numbers, counted up to `MANY`.
        distinct: usize,
        /// Standard deviation (÷ n).
        std: f64,
        /// Smallest and largest.
        range: [f64; 2],
    },
    /// Categories.
    Categories {
        /// The commonest first, with their rows.
        values: Vec<(String, u64)>,
        /// Rows of all others.
        other: u64,
    },
}

/// One column of the reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnReference {
    /// Column, or what is watched of it.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Rows with a usable value.
    pub rows: usize,
    /// Share of rows without one.
    pub missing: f64,
    /// Spread of the usable values.
    pub spread: Spread,
}

/// What new rows are compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// Training rows.
    pub rows: usize,
    /// Columns in the model's order.
    pub columns: Vec<ColumnReference>,
    /// The model's answers on held-out rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<AnswerReference>,
}

impl Reference {
    /// From the data that a model was trained on, whose split can be made again; keeps at most `kept`
    /// numbers of a column.
    ///
    /// # Errors
    /// Data that is not that of the training; the engine; cancelled.
    pub fn of_training(
        model: &Model,
        dataset: &Dataset,
        kept: usize,
        progress: &Progress,
    ) -> Result<Self, ExportError> {
        let info = model.info();
        let split = own_split(info, dataset)?.ok_or_else(|| DataError::Invalid {
            what: format!(
                "The data has {} rows, but this model was trained on other data",
                dataset.len()
            ),
            place: Default::default(),
            advice: "Name the data that it was trained on with --reference.".to_owned(),
        })?;
        let held_out = [split.test, split.validation].into_iter().find(|rows| !rows.is_empty());
        Self::of_rows(model, dataset, &split.train, held_out.as_deref(), kept, progress)
    }

    /// From rows that are said to be as in training.
    ///
    /// # Errors
    /// Rows that do not fit the model; the engine; cancelled.
    pub fn of_rows(
        model: &Model,
        dataset: &Dataset,
        train: &[u32],
        held_out: Option<&[u32]>,
        kept: usize,
        progress: &Progress,
    ) -> Result<Self, ExportError> {
        let prep = &model.info().preprocessor;
        let fresh = signals::ruled(prep, dataset)?;
        let dataset = fresh.as_ref().unwrap_or(dataset);
        progress.check()?;
        let found = signals::signals(prep, dataset, train);
        let columns = found.par_iter().map(|s| ColumnReference::of(s, kept)).collect();
        progress.check()?;
        let answers = match held_out {
            Some(rows) => {
                let step = rows.len().div_ceil(MOST_ANSWERS).max(1);
                let rows: Vec<u32> = rows.iter().copied().step_by(step).collect();
                let mut predictor = model.clone().predictor()?;
                let found = answers::answer(&mut predictor, dataset, &rows, progress)?;
                Some(AnswerReference::of(&found, kept))
            }
            None => None,
        };
        Ok(Self { rows: train.len(), columns, answers })
    }

    /// As it goes into a model file: fewer numbers, rounded to three digits, and no category of fewer
    /// than five rows by name, so that single rows cannot be read from it.
    pub fn thinned(&self) -> Self {
        let columns = self.columns.iter().map(ColumnReference::thinned).collect();
        let answers = self.answers.as_ref().map(AnswerReference::thinned);
        Self { rows: self.rows, columns, answers }
    }

    /// A column by name.
    pub fn column(&self, name: &str) -> Option<&ColumnReference> {
        self.columns.iter().find(|c| c.name == name)
    }
}

/// The split of the training, if this can be its data.
fn own_split(info: &ModelInfo, dataset: &Dataset) -> Result<Option<Split>, DataError> {
    match &info.origin {
        Some(origin) if origin.rows == dataset.len() => {
            Split::make(dataset, &info.schema, &origin.split).map(Some)
        }
        _ => Ok(None),
    }
}

impl ColumnReference {
    pub(super) fn of(signal: &Signal, kept: usize) -> Self {
        let (all, rows, spread) = match &signal.cells {
            Cells::Numbers(values) => {
                let sorted = stats::sorted(values.iter().copied());
                (values.len(), sorted.len(), Spread::of_numbers(&sorted, kept))
            }
            Cells::Codes { codes, names } => {
                let mut counts = vec![0u64; names.len()];
                for &code in codes.iter().filter(|c| **c != NO_CODE) {
                    if let Some(n) = counts.get_mut(code as usize) {
                        *n += 1;
                    }
                }
                let rows = counts.iter().sum::<u64>() as usize;
                let mut values: Vec<(String, u64)> = names.iter().cloned().zip(counts).collect();
                values.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
                let other = values.iter().skip(MOST_CATEGORIES).map(|v| v.1).sum();
                values.truncate(MOST_CATEGORIES);
                (codes.len(), rows, Spread::Categories { values, other })
            }
        };
        let missing = if all == 0 { 0.0 } else { 1.0 - rows as f64 / all as f64 };
        Self { name: signal.name.clone(), kind: signal.kind, rows, missing, spread }
    }

    fn thinned(&self) -> Self {
        Self { missing: rounded(self.missing), spread: self.spread.thinned(), ..self.clone() }
    }
}

impl Spread {
    /// Of ascending finite numbers.
    pub(super) fn of_numbers(sorted: &[f64], kept: usize) -> Self {
        let mut distinct = 0;
        let mut last = f64::NAN;
        for &v in sorted {
            if v != last {
                (distinct, last) = (distinct + 1, v);
                if distinct >= MANY {
                    break;
                }
            }
        }
        let range = [sorted.first().copied(), sorted.last().copied()].map(|v| v.unwrap_or(0.0));
        let std = if sorted.is_empty() { 0.0 } else { stats::mean_std(sorted).1 };
        // Of few different numbers the counts are exact: tests of counts need them so.
        let (values, times) =
            if distinct < MANY { run_lengths(sorted) } else { run_lengths(&thin(sorted, kept)) };
        Self::Numbers { values, times, distinct, std, range }
    }

    /// The kept numbers, ascending; none for categories.
    pub fn sample(&self) -> Vec<f64> {
        match self {
            Self::Numbers { values, times, .. } => values
                .iter()
                .zip(times)
                .flat_map(|(v, t)| std::iter::repeat_n(*v, *t as usize))
                .collect(),
            Self::Categories { .. } => Vec::new(),
        }
    }

    /// Rows of every category by name; none for numbers.
    pub fn counts(&self) -> HashMap<&str, u64> {
        match self {
            Self::Numbers { .. } => HashMap::new(),
            Self::Categories { values, .. } => {
                values.iter().map(|(name, n)| (name.as_str(), *n)).collect()
            }
        }
    }

    pub(super) fn thinned(&self) -> Self {
        match self {
            Self::Numbers { values, times, distinct, std, range } if common(times) => {
                // The few rare numbers are told by their neighbours.
                let (values, times) = merged(values, times);
                let (std, range) = (rounded(*std), outwards(*range, *std));
                Self::Numbers { values, times, distinct: *distinct, std, range }
            }
            Self::Numbers { distinct, std, range, .. } => {
                let step = step_of(*std);
                let near = |v: &f64| (v / step).round() * step;
                let points: Vec<f64> =
                    thin(&self.sample(), KEPT_IN_FILE).iter().map(near).collect();
                let (values, times) = run_lengths(&points);
                let (std, range) = (rounded(*std), outwards(*range, *std));
                Self::Numbers { values, times, distinct: *distinct, std, range }
            }
            Self::Categories { values, other } => {
                let (named, rare): (Vec<_>, Vec<_>) =
                    values.iter().cloned().partition(|(_, n)| *n >= FEW);
                let other = other + rare.iter().map(|(_, n)| n).sum::<u64>();
                Self::Categories { values: named, other }
            }
        }
    }
}

/// At most `kept` of ascending values: the middle one of as many equal parts.
fn thin(sorted: &[f64], kept: usize) -> Vec<f64> {
    if sorted.len() <= kept {
        return sorted.to_vec();
    }
    (0..kept).filter_map(|i| sorted.get((2 * i + 1) * sorted.len() / (2 * kept)).copied()).collect()
}

fn run_lengths(sorted: &[f64]) -> (Vec<f64>, Vec<u32>) {
    let runs = sorted.chunk_by(|a, b| a == b);
    runs.filter_map(|run| Some((*run.first()?, run.len() as u32))).unzip()
}

/// Whether nine of ten rows have a number that at least [`FEW`] rows have.
fn common(times: &[u32]) -> bool {
    let rows = |of: &[u32]| of.iter().map(|n| u64::from(*n)).sum::<u64>();
    let often: Vec<u32> = times.iter().copied().filter(|n| u64::from(*n) >= FEW).collect();
    rows(&often) * 10 >= rows(times) * 9 && times.len() < MANY
}

/// Numbers that fewer rows than [`FEW`] have count as the nearest that more have, if there is one.
fn merged(values: &[f64], times: &[u32]) -> (Vec<f64>, Vec<u32>) {
    let (kept, mut rows): (Vec<f64>, Vec<u32>) =
        values.iter().zip(times).filter(|(_, n)| u64::from(**n) >= FEW).unzip();
    for (v, n) in values.iter().zip(times).filter(|(_, n)| u64::from(**n) < FEW) {
        let gap = |i: &usize| kept.get(*i).map_or(f64::INFINITY, |k| (k - v).abs());
        let nearest = (0..kept.len()).min_by(|a, b| gap(a).total_cmp(&gap(b)));
        if let Some(place) = nearest.and_then(|i| rows.get_mut(i)) {
            *place = place.saturating_add(*n);
        }
    }
    (kept, rows)
}

/// About a hundredth of a standard deviation: a power of ten, so that rounded numbers are short.
fn step_of(std: f64) -> f64 {
    if std > 0.0 && std.is_finite() {
        10f64.powi((std.log10().floor() as i32 - 2).clamp(-300, 300))
    } else {
        1e-300
    }
}

/// A range rounded so that the training rows stay within.
fn outwards([low, high]: [f64; 2], std: f64) -> [f64; 2] {
    let step = step_of(std);
    let cut = |v: f64, to: fn(f64) -> f64| {
        let cut = to(v / step) * step;
        if cut.is_finite() { cut } else { v }
    };
    [cut(low, f64::floor).min(low), cut(high, f64::ceil).max(high)]
}

/// Three significant digits.
fn rounded(v: f64) -> f64 {
    if v == 0.0 || !v.is_finite() {
        return v;
    }
    let digits = 2 - v.abs().log10().floor() as i32;
    // Powers of ten with a whole exponent are exact as divisors.
    if digits >= 0 {
        let unit = 10f64.powi(digits.min(300));
        (v * unit).round() / unit
    } else {
        let unit = 10f64.powi(-digits);
        (v / unit).round() * unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_numbers_are_kept_as_they_are_and_many_as_quantiles() {
        let few = [1.0, 1.0, 2.0, 5.0];
        let spread = Spread::of_numbers(&few, 10);
        assert_eq!(spread.sample(), few);
        let many: Vec<f64> = (0..1000).map(f64::from).collect();
        let spread = Spread::of_numbers(&many, 10);
        assert_eq!(spread.sample(), [50., 150., 250., 350., 450., 550., 650., 750., 850., 950.]);
        let Spread::Numbers { distinct, range, .. } = spread else { panic!() };
        assert_eq!((distinct, range), (50, [0.0, 999.0]));
        assert!(Spread::of_numbers(&[], 10).sample().is_empty());
    }

    #[test]
    fn a_file_holds_no_single_rows() {
        assert_eq!([rounded(12345.6), rounded(-0.012345), rounded(0.0)], [12300.0, -0.0123, 0.0]);
        assert_eq!(step_of(250.0), 1.0);
        // Years stay apart, and the rare one is told by its neighbour.
        let years = [[2007.0; 90], [2008.0; 90], [2009.0; 90]].concat();
        let years = [years, vec![2011.0]].concat();
        let Spread::Numbers { values, times, .. } = Spread::of_numbers(&years, KEPT).thinned()
        else {
            panic!()
        };
        assert_eq!((values, times), (vec![2007.0, 2008.0, 2009.0], vec![90, 90, 91]));
        let counts = vec![("common".to_owned(), 90), ("John Smith".to_owned(), 1)];
        let spread = Spread::Categories { values: counts, other: 2 }.thinned();
        let values = vec![("common".to_owned(), 90)];
        assert_eq!(spread, Spread::Categories { values, other: 3 });
        let many: Vec<f64> = (0..1000).map(|i| f64::from(i) + 0.123).collect();
        let thin = Spread::of_numbers(&many, KEPT).thinned();
        assert!(thin.sample().len() == KEPT_IN_FILE);
        let Spread::Numbers { range, .. } = thin else { panic!() };
        assert!(range[0] <= 0.123 && range[1] >= 999.123);
    }
}

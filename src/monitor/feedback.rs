//! The score on new rows whose right answers are known, held against the score at training.

use std::collections::BTreeMap;

use serde::Serialize;

use super::answers::Answers;
use super::drift;
use crate::data::{Dataset, Progress, Samples, Targets, targets};
use crate::error::ExportError;
use crate::eval::bootstrap::wilson;
use crate::eval::evaluation::{Measured, Options, measure};
use crate::eval::{ClassOutcomes, Interval, Outcomes, ValueOutcomes};
use crate::export::ModelInfo;
use crate::metrics::{MetricKind, Scores, definitions};

/// Replicates of the interval.
const REPLICATES: usize = 500;
/// Fewest labelled rows of a score.
const FEWEST: usize = 10;

/// How good the model still is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Feedback {
    /// New rows with a right answer.
    pub rows: usize,
    /// Main score on the held-out rows of the training.
    pub before: f64,
    /// How many rows those were.
    pub before_rows: usize,
    /// 95 % interval of it, for shares of right answers.
    pub before_interval: Option<Interval>,
    /// Main score now, with its interval.
    pub now: Measured,
    /// All figures now, the main one first.
    pub metrics: Vec<Measured>,
    /// By how much it fell; negative where it rose.
    pub drop: f64,
    /// Whether that is more than chance: the score at training lies outside of the interval now; and
    /// for shares of right answers, a Z-test of both shares rejects that they are equal at 1 %.
    pub certain: bool,
}

/// Right answers that the model does not know, with their rows.
pub(crate) type Unknown = BTreeMap<String, usize>;

/// Rows (places in the answers) with a right answer, and what it was.
pub(crate) struct Labelled {
    /// Places.
    pub(crate) places: Vec<usize>,
    /// Answers of the model and right ones.
    pub(crate) outcomes: Outcomes,
    /// Right answers that are no class of the model.
    pub(crate) unknown: Unknown,
}

/// Puts answers beside the right ones; `None` without any.
pub(crate) fn labelled(
    info: &ModelInfo,
    dataset: &Dataset,
    rows: &[u32],
    answers: &Answers,
) -> Option<Labelled> {
    let truth = targets(dataset, &info.schema).ok()?;
    let classes = info.schema.task.classes();
    let mut unknown = Unknown::new();
    let (places, outcomes) = match truth {
        Targets::Classes(codes) => {
            let at = |row: u32| codes.get(row as usize).copied().flatten();
            if let Samples::Table(table) = &dataset.samples
                && let Some(column) = table.column(&info.schema.target)
            {
                for &row in rows.iter().filter(|r| at(**r).is_none()) {
                    if let Some(value) = column.value(row as usize) {
                        *unknown.entry(value.to_owned()).or_default() += 1;
                    }
                }
            }
            let known: Vec<(usize, u32)> =
                rows.iter().enumerate().filter_map(|(i, r)| Some((i, at(*r)?))).collect();
            let n = classes.len();
            let logits = known
                .iter()
                .flat_map(|(i, _)| answers.outputs.get(i * n..(i + 1) * n).unwrap_or_default())
                .copied()
                .collect();
            let (places, truth) = known.into_iter().unzip();
            (places, Outcomes::Classes(ClassOutcomes::from_logits(classes, truth, logits)))
        }
        Targets::Values(values) => {
            let at = |row: u32| values.get(row as usize).copied().filter(|v| v.is_finite());
            let known: Vec<(usize, f64)> =
                rows.iter().enumerate().filter_map(|(i, r)| Some((i, at(*r)?))).collect();
            let prep = &info.preprocessor;
            let predicted = known
                .iter()
                .map(|(i, _)| answers.outputs.get(*i).map_or(f64::NAN, |y| prep.target_value(*y)))
                .collect();
            let (places, truth) = known.into_iter().unzip();
            (places, Outcomes::Values(ValueOutcomes { truth, predicted }))
        }
    };
    let places: Vec<usize> = places;
    (!places.is_empty() || !unknown.is_empty()).then_some(Labelled { places, outcomes, unknown })
}

/// Scores at training: on test rows, else on validation rows.
fn at_training(info: &ModelInfo) -> Option<&Scores> {
    let results = info.results.as_ref()?;
    [&results.test, &results.validation].into_iter().find(|s| s.rows > 0 && s.main().is_some())
}

/// The score now against that at training; `None` with fewer than ten labelled rows, or without a
/// score at training.
pub(crate) fn look(
    info: &ModelInfo,
    labelled: &Labelled,
    progress: &Progress,
) -> Result<Option<Feedback>, ExportError> {
    let Some(scores) = at_training(info) else { return Ok(None) };
    let Some((kind, before)) = scores.main() else { return Ok(None) };
    if labelled.places.len() < FEWEST {
        return Ok(None);
    }
    let options = Options { replicates: REPLICATES, ..Options::default() };
    let mut metrics = measure(&labelled.outcomes, false, options, progress)?;
    let Some(main) = metrics.iter().position(|m| m.kind == kind) else { return Ok(None) };
    let now = metrics.remove(main);
    metrics.insert(0, now.clone());
    let sign = if kind.higher_is_better() { 1.0 } else { -1.0 };
    let before_interval = (kind == MetricKind::Accuracy)
        .then(|| wilson(before * scores.rows as f64, scores.rows as f64));
    Ok(Some(Feedback {
        rows: labelled.places.len(),
        before,
        before_rows: scores.rows,
        before_interval,
        drop: sign * (before - now.value),
        // Few held-out rows make the score at training a guess, too.
        certain: !now.interval.contains(before)
            && (kind != MetricKind::Accuracy
                || differ([before, now.value], [scores.rows, labelled.places.len()])),
        now,
        metrics,
    }))
}

/// Whether two shares of as many rows are unequal by a pooled two-sided Z-test at 1 %.
fn differ([a, b]: [f64; 2], [n, m]: [usize; 2]) -> bool {
    let counts = |share: f64, rows: usize| [share * rows as f64, (1.0 - share) * rows as f64];
    drift::z(&counts(a, n), &counts(b, m)) < 0.01
}

/// Main score of some of the labelled rows, by their index; `None` for too few.
pub(crate) fn score(outcomes: &Outcomes, some: &[usize]) -> Option<f64> {
    if some.len() < FEWEST {
        return None;
    }
    Some(match outcomes {
        Outcomes::Classes(c) => {
            let pick =
                |v: &[u32]| some.iter().filter_map(|i| v.get(*i).copied()).collect::<Vec<_>>();
            definitions::accuracy(&pick(&c.truth), &pick(&c.predicted))
        }
        Outcomes::Values(v) => {
            let pick =
                |v: &[f64]| some.iter().filter_map(|i| v.get(*i).copied()).collect::<Vec<_>>();
            definitions::r2(&pick(&v.truth), &pick(&v.predicted))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_rows_do_not_tell_a_fall_from_chance() {
        // z = 1.80, 4.49 and 0.
        assert!(!differ([0.68, 0.5832], [100, 499]));
        assert!(differ([0.68, 0.5832], [1000, 999]) && !differ([0.5, 0.5], [9, 9]));
    }
}

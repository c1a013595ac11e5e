//! What a model answers: shares of classes or spread of values, how sure it is, and how many answers
//! are too unsure to be used.

use serde::{Deserialize, Serialize};

use super::reference::{ColumnReference, Spread};
use super::signals::{Cells, Kind, Signal};
use crate::data::{Dataset, Progress, Samples, Task};
use crate::deploy::Predictor;
use crate::error::ExportError;
use crate::eval;
use crate::quality::stats;

/// Rows that are answered at a time.
const CHUNK: usize = 4096;
/// Share of the held-out answers that lie below the level of "too unsure" by default.
pub const UNSURE_SHARE: f64 = 0.1;

/// Answers to rows, in order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answers {
    /// Classes or values.
    pub(crate) signal: Signal,
    /// Probability of the class answered; empty for numbers.
    pub(crate) confidence: Vec<f64>,
    /// Outputs of the network, `[rows, outputs]`.
    pub(crate) outputs: Vec<f32>,
}

/// Answers on held-out rows, in figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnswerReference {
    /// Shares of classes, or spread of values.
    pub answers: ColumnReference,
    /// Probabilities of the classes answered; `None` for numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Spread>,
    /// Their mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_confidence: Option<f64>,
}

/// Answers rows of a dataset that has all columns.
pub(crate) fn answer(
    predictor: &mut Predictor,
    dataset: &Dataset,
    rows: &[u32],
    progress: &Progress,
) -> Result<Answers, ExportError> {
    let prep = predictor.model().info().preprocessor.clone();
    let task = prep.task().clone();
    let classes = task.classes().len();
    let mut outputs = Vec::with_capacity(rows.len() * classes.max(1));
    for chunk in rows.chunks(CHUNK) {
        progress.check()?;
        let encoded = prep.transform(dataset, chunk)?;
        outputs.extend(predictor.outputs(&encoded)?);
    }
    let (cells, confidence) = match &task {
        Task::Regression => {
            let values = outputs.iter().map(|&y| prep.target_value(y)).collect();
            (Cells::Numbers(values), Vec::new())
        }
        Task::Binary { classes: names } | Task::Multiclass { classes: names } => {
            let codes = eval::predicted_classes(&outputs, classes);
            let confidence = eval::softmax(&outputs, classes)
                .chunks(classes.max(1))
                .map(|row| row.iter().copied().map(f64::from).fold(0.0, f64::max))
                .collect();
            (Cells::Codes { codes, names: names.clone() }, confidence)
        }
    };
    let signal = Signal {
        name: prep.target().to_owned(),
        column: match &dataset.samples {
            Samples::Table(_) => Some(prep.target().to_owned()),
            Samples::Images(_) => None,
        },
        kind: Kind::Prediction,
        cells,
        unreadable: (Vec::new(), 0),
    };
    Ok(Answers { signal, confidence, outputs })
}

impl AnswerReference {
    pub(super) fn of(answers: &Answers, kept: usize) -> Self {
        let sorted = stats::sorted(answers.confidence.iter().copied());
        let sure = !sorted.is_empty();
        Self {
            answers: ColumnReference::of(&answers.signal, kept),
            confidence: sure.then(|| Spread::of_numbers(&sorted, kept)),
            mean_confidence: sure.then(|| stats::mean_std(&sorted).0),
        }
    }

    pub(super) fn thinned(&self) -> Self {
        Self {
            answers: ColumnReference {
                spread: self.answers.spread.thinned(),
                ..self.answers.clone()
            },
            confidence: self.confidence.as_ref().map(Spread::thinned),
            mean_confidence: self.mean_confidence,
        }
    }

    /// The confidence below which [`UNSURE_SHARE`] of the held-out answers lie.
    pub fn unsure_below(&self) -> Option<f64> {
        let sample = self.confidence.as_ref()?.sample();
        let level = stats::quantile(&sample, UNSURE_SHARE);
        level.is_finite().then_some(level)
    }

    /// Share of the held-out answers below a level of confidence.
    pub fn unsure(&self, below: f64) -> Option<f64> {
        let sample = self.confidence.as_ref()?.sample();
        (!sample.is_empty())
            .then(|| sample.partition_point(|c| *c < below) as f64 / sample.len() as f64)
    }
}

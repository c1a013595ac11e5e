//! What a model answered on rows whose truth is known.

use super::Meaning;
use crate::data::{Encoded, TargetData};

/// Answers of a classifier. All per-row lists have the same length.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassOutcomes {
    /// Class names in label order.
    pub classes: Vec<String>,
    /// True class of every row.
    pub truth: Vec<u32>,
    /// `[rows, classes]` outputs of the network before softmax.
    pub logits: Vec<f32>,
    /// `[rows, classes]`, each row sums to 1.
    pub probabilities: Vec<f64>,
    /// Most probable class of every row, the first of equals.
    pub predicted: Vec<u32>,
}

/// Answers of a regression, in the target's unit.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ValueOutcomes {
    /// True value of every row.
    pub truth: Vec<f64>,
    /// Predicted value of every row.
    pub predicted: Vec<f64>,
}

/// Answers of either kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcomes {
    /// Classes.
    Classes(ClassOutcomes),
    /// Numbers.
    Values(ValueOutcomes),
}

impl Outcomes {
    /// From outputs of the network on encoded rows with a target; `None` if the target is not known
    /// or is of another kind than the outputs.
    pub fn new(
        classes: &[String],
        data: &Encoded,
        outputs: Vec<f32>,
        meaning: Meaning,
    ) -> Option<Self> {
        match (&data.target, meaning) {
            (TargetData::Classes(truth), Meaning::Classes(count)) if count == classes.len() => {
                Some(Self::Classes(ClassOutcomes::from_logits(classes, truth.clone(), outputs)))
            }
            (TargetData::Values(truth), Meaning::Value { mean, scale }) => {
                let unit = |v: &f32| f64::from(*v) * scale + mean;
                Some(Self::Values(ValueOutcomes {
                    truth: truth.iter().map(unit).collect(),
                    predicted: outputs.iter().map(unit).collect(),
                }))
            }
            _ => None,
        }
    }

    /// Rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(c) => c.truth.len(),
            Self::Values(v) => v.truth.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl ClassOutcomes {
    /// Softmax of logits in f64.
    pub fn from_logits(classes: &[String], truth: Vec<u32>, logits: Vec<f32>) -> Self {
        let count = classes.len().max(1);
        let probabilities = softmax(&logits, count, 1.0);
        let mut new = Self::from_probabilities(classes, truth, probabilities);
        new.predicted = super::predicted_classes(&logits, count);
        new.logits = logits;
        new
    }

    /// From probabilities; the logits are their logarithms.
    pub fn from_probabilities(
        classes: &[String],
        truth: Vec<u32>,
        probabilities: Vec<f64>,
    ) -> Self {
        let count = classes.len().max(1);
        let predicted = probabilities.chunks(count).map(|row| top(row).0 as u32).collect();
        let logits = probabilities.iter().map(|p| p.max(1e-30).ln() as f32).collect();
        Self { classes: classes.to_vec(), truth, logits, probabilities, predicted }
    }

    /// Probability of one class in every row.
    pub fn column(&self, class: usize) -> impl Iterator<Item = f64> + '_ {
        self.probabilities
            .chunks(self.classes.len().max(1))
            .map(move |row| row.get(class).copied().unwrap_or(0.0))
    }

    /// Probability of the predicted class of every row.
    pub fn confidence(&self) -> Vec<f64> {
        let count = self.classes.len().max(1);
        let rows = self.probabilities.chunks(count);
        rows.zip(&self.predicted)
            .map(|(row, p)| row.get(*p as usize).copied().unwrap_or(0.0))
            .collect()
    }

    /// Whether each row's answer is right.
    pub fn hits(&self) -> Vec<bool> {
        self.truth.iter().zip(&self.predicted).map(|(t, p)| t == p).collect()
    }
}

/// Softmax of `[rows, classes]` logits divided by a temperature.
pub fn softmax(logits: &[f32], classes: usize, temperature: f64) -> Vec<f64> {
    let mut out: Vec<f64> = logits.iter().map(|&v| f64::from(v) / temperature).collect();
    for row in out.chunks_mut(classes.max(1)) {
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut sum = 0.0;
        for v in row.iter_mut() {
            *v = (*v - max).exp();
            sum += *v;
        }
        for v in row.iter_mut() {
            *v /= sum;
        }
    }
    out
}

/// Place and value of the largest; the first of equals.
pub fn top(row: &[f64]) -> (usize, f64) {
    let mut best = (0, f64::NEG_INFINITY);
    for (i, &v) in row.iter().enumerate() {
        if v > best.1 {
            best = (i, v);
        }
    }
    best
}

//! Metric definitions and the streaming store of their values.

pub mod definitions;
pub mod series;

pub use series::{Band, Series, Store};

use serde::{Deserialize, Serialize};

/// A value that a run reports over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// Share of right labels.
    Accuracy,
    /// Mean over classes of the share of that class's rows that were recognised.
    BalancedAccuracy,
    /// Probability that a random positive row gets a higher score than a random negative one.
    Auc,
    /// 1 − residual / total sum of squares.
    R2,
    /// Root mean squared error in the target's unit.
    Rmse,
    /// Mean absolute error in the target's unit.
    Mae,
}

impl MetricKind {
    /// Short name as shown.
    pub fn label(self) -> &'static str {
        match self {
            Self::Accuracy => "Accuracy",
            Self::BalancedAccuracy => "Balanced accuracy",
            Self::Auc => "ROC AUC",
            Self::R2 => "R²",
            Self::Rmse => "RMSE",
            Self::Mae => "MAE",
        }
    }

    /// One plain sentence for people who do not know the name.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Accuracy => "How many rows out of all got the right answer.",
            Self::BalancedAccuracy => {
                "The accuracy of each class on its own, averaged, so rare classes count as much."
            }
            Self::Auc => {
                "How well rows are ranked: 1 is perfect, 0.5 is no better than tossing a coin."
            }
            Self::R2 => {
                "How much of the ups and downs of the target is explained: 1 is all, 0 is none."
            }
            Self::Rmse => "The typical error in the target's unit; large errors weigh more.",
            Self::Mae => "The average error in the target's unit.",
        }
    }

    /// Whether a larger value is better.
    pub fn higher_is_better(self) -> bool {
        !matches!(self, Self::Rmse | Self::Mae)
    }

    /// The value as shown: shares in per cent, others with four significant digits.
    pub fn format(self, value: f64) -> String {
        match self {
            Self::Accuracy | Self::BalancedAccuracy => format!("{:.2} %", value * 100.0),
            Self::Auc | Self::R2 => format!("{value:.4}"),
            Self::Rmse | Self::Mae => {
                let magnitude = value.abs().max(1e-12).log10().floor();
                let digits = (3.0 - magnitude).clamp(0.0, 8.0) as usize;
                format!("{value:.digits$}")
            }
        }
    }
}

/// Scores on one part of the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Mean loss.
    pub loss: f32,
    /// Metrics of the task, the main one first. Empty when there are no rows.
    pub metrics: Vec<(MetricKind, f64)>,
    /// Rows scored.
    pub rows: usize,
}

impl Scores {
    /// The value of one metric.
    pub fn get(&self, kind: MetricKind) -> Option<f64> {
        self.metrics.iter().find(|(k, _)| *k == kind).map(|(_, v)| *v)
    }

    /// The main metric of the task.
    pub fn main(&self) -> Option<(MetricKind, f64)> {
        self.metrics.first().copied()
    }
}

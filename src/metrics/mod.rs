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
    /// Mean −ln of the probability given to the true class.
    LogLoss,
    /// Matthews' correlation coefficient (of several classes: Gorodkin's R_K).
    Mcc,
    /// Of the rows called a class, the share that are; for all classes their mean.
    Precision,
    /// Of the rows of a class, the share called so; for all classes their mean.
    Recall,
    /// Harmonic mean of precision and recall; for all classes their mean.
    F1,
    /// As [`MetricKind::Precision`], classes weighted by their rows.
    WeightedPrecision,
    /// As [`MetricKind::Recall`], classes weighted by their rows.
    WeightedRecall,
    /// As [`MetricKind::F1`], classes weighted by their rows.
    WeightedF1,
    /// Area under the precision-recall curve as a sum of steps (average precision).
    AveragePrecision,
    /// Share of rows whose true class is among the three most probable.
    Top3,
    /// Mean squared error of the probabilities: of the second of two classes, else summed over all.
    Brier,
    /// Expected calibration error: 15 equal-width bins, top label.
    Ece,
    /// Largest calibration error of a bin.
    Mce,
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
            Self::LogLoss => "Log loss",
            Self::Mcc => "MCC",
            Self::Precision => "Precision",
            Self::Recall => "Recall",
            Self::F1 => "F1",
            Self::WeightedPrecision => "Weighted precision",
            Self::WeightedRecall => "Weighted recall",
            Self::WeightedF1 => "Weighted F1",
            Self::AveragePrecision => "Average precision",
            Self::Top3 => "Top-3 accuracy",
            Self::Brier => "Brier score",
            Self::Ece => "Calibration error (ECE)",
            Self::Mce => "Largest calibration error (MCE)",
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
            Self::LogLoss => {
                "How much the probabilities are to blame: 0 is perfect, confident mistakes cost most."
            }
            Self::Mcc => {
                "One figure for the whole table of mistakes: 1 is perfect, 0 is no better than chance."
            }
            Self::Precision => "When it names a class, how often that is right.",
            Self::Recall => "How many rows of a class it finds.",
            Self::F1 => "Precision and recall in one figure.",
            Self::WeightedPrecision => "Precision, where common classes count more.",
            Self::WeightedRecall => "Recall, where common classes count more.",
            Self::WeightedF1 => "F1, where common classes count more.",
            Self::AveragePrecision => {
                "How well rows of a class are ranked above others; suits rare classes."
            }
            Self::Top3 => "How often the right answer is among its three best guesses.",
            Self::Brier => "How far the probabilities are from what happened: 0 is perfect.",
            Self::Ece => "How far \"80 % sure\" is from being right 80 times in 100.",
            Self::Mce => "The same, for the level of confidence where it is worst.",
        }
    }

    /// Whether a larger value is better.
    pub fn higher_is_better(self) -> bool {
        !matches!(
            self,
            Self::Rmse | Self::Mae | Self::LogLoss | Self::Brier | Self::Ece | Self::Mce
        )
    }

    /// The value as shown: shares in per cent, others with four significant digits.
    pub fn format(self, value: f64) -> String {
        match self {
            _ if self.is_share() => format!("{:.2} %", value * 100.0),
            Self::Rmse | Self::Mae => Self::significant(value),
            _ => format!("{value:.4}"),
        }
    }

    /// Whether it is a share of rows, shown in per cent.
    pub fn is_share(self) -> bool {
        matches!(
            self,
            Self::Accuracy
                | Self::BalancedAccuracy
                | Self::Precision
                | Self::Recall
                | Self::WeightedPrecision
                | Self::WeightedRecall
                | Self::Top3
                | Self::Ece
                | Self::Mce
        )
    }

    /// Four significant digits.
    fn significant(value: f64) -> String {
        let magnitude = value.abs().max(1e-12).log10().floor();
        let digits = (3.0 - magnitude).clamp(0.0, 8.0) as usize;
        format!("{value:.digits$}")
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

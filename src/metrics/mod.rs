//! Metric definitions and the streaming store of their values.

use serde::{Deserialize, Serialize};

/// A value that a run reports over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// Share of right labels.
    Accuracy,
    /// 1 − residual / total sum of squares.
    R2,
    /// Root mean squared error in the target's unit.
    Rmse,
}

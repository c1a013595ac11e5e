//! Train, validation and test rows, chosen before anything is fitted.

use serde::{Deserialize, Serialize};

/// How to split.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SplitConfig {
    /// Share of rows for validation.
    pub validation: f64,
    /// Share of rows for test; ignored where the data brings its own test set.
    pub test: f64,
    /// Shuffling seed.
    pub seed: u64,
}

impl Default for SplitConfig {
    fn default() -> Self {
        Self { validation: 0.1, test: 0.2, seed: 0 }
    }
}

/// Row indices of each part, disjoint, ascending. Rows whose target is missing are in none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// Fitted on.
    pub train: Vec<u32>,
    /// Decides early stopping and the best epoch.
    pub validation: Vec<u32>,
    /// Touched once, at the end.
    pub test: Vec<u32>,
}
pub fn split(
    _: &super::Dataset,
    _: &super::Schema,
    _: &SplitConfig,
) -> Result<Split, crate::error::DataError> {
    todo!()
}

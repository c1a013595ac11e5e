//! Data checks: one file per check (in [`checks`]). Each turns a dataset into findings with evidence,
//! definition, threshold, source and what can be done.
//!
//! Figures are defined as the tools of the field define them (deepchecks, cleanlab, ppscore,
//! Evidently) and computed in [`stats`], `pps`, `knn` and `boost`. Where a definition works on a
//! sample, or a check needs one to stay fast, the finding says how many rows were looked at; samples
//! are drawn with fixed seeds, so equal data gives an equal report.

mod boost;
pub mod checks;
mod confident;
mod context;
pub mod fixes;
#[cfg(test)]
mod golden;
mod image_context;
mod knn;
mod patterns;
pub mod pps;
pub mod profile;
mod report;
mod rng;
pub mod stats;
mod thumbs;
pub(crate) mod wording;

use serde::{Deserialize, Serialize};

pub use checks::Check;
pub use report::{CheckStatus, Report};

use std::collections::BTreeMap;

use crate::data::{Dataset, Progress, Schema, Split};
use crate::train::crossval::OutOfFold;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// May harm the model.
    Warning,
    /// Makes results wrong or useless; blocks training until fixed or accepted.
    High,
}

/// One problem in the data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Stable name of the check, e.g. `duplicates`.
    pub check: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// One plain sentence with the figures.
    pub title: String,
    /// What it means for the model and what to do.
    pub advice: String,
    /// Columns concerned.
    pub columns: Vec<String>,
    /// Table rows or images (from 0) that show it, at most [`MAX_ROWS`].
    pub rows: Vec<usize>,
    /// How many rows in all.
    pub row_count: usize,
    /// Rows looked at, where that was a sample.
    pub sampled: Option<usize>,
    /// The measured value, if there is one.
    pub value: Option<f64>,
    /// The threshold it was held against.
    pub threshold: Option<f64>,
    /// How the value is defined, and where definition and threshold come from.
    pub definition: &'static str,
}

/// Evidence rows kept per finding.
pub const MAX_ROWS: usize = 1000;

/// Runs every check that applies to `dataset`. `split` opens the checks that compare its parts.
/// `progress` counts columns read and checks done; when it is cancelled the report holds what was
/// found so far and says so.
pub fn check(
    dataset: &Dataset,
    schema: &Schema,
    split: Option<&Split>,
    progress: &Progress,
) -> Report {
    report::run(dataset, schema, split, &Extra::default(), progress)
}

/// Shares that groups should have, by column and value.
pub type Shares = BTreeMap<String, BTreeMap<String, f64>>;

/// What opens further checks.
#[derive(Debug)]
pub struct Extra {
    /// Predictions of classes by cross-validated models; opens the checks of labels and segments.
    pub predictions: Option<OutOfFold>,
    /// Why there are none, if so.
    pub without: &'static str,
    /// Shares that groups should have.
    pub shares: Shares,
}

impl Default for Extra {
    fn default() -> Self {
        Self {
            predictions: None,
            without: "needs predictions of a cross-validated model",
            shares: Shares::new(),
        }
    }
}

/// As [`check`], with what opens further checks.
pub fn check_with(
    dataset: &Dataset,
    schema: &Schema,
    split: Option<&Split>,
    extra: &Extra,
    progress: &Progress,
) -> Report {
    report::run(dataset, schema, split, extra, progress)
}

//! Data checks: one file per check (in [`checks`]). Each turns a dataset into findings with evidence,
//! definition, threshold, source and what can be done.
//!
//! Figures are defined as the tools of the field define them (deepchecks, cleanlab, ppscore,
//! Evidently) and computed in [`stats`], `pps`, `knn` and `boost`. Where a definition works on a
//! sample, or a check needs one to stay fast, the finding says how many rows were looked at; samples
//! are drawn with fixed seeds, so equal data gives an equal report.

mod boost;
pub mod checks;
mod context;
#[cfg(test)]
mod golden;
mod image_context;
mod knn;
mod patterns;
pub mod pps;
mod report;
mod rng;
pub mod stats;
mod thumbs;
mod wording;

use serde::Serialize;

pub use checks::Check;
pub use report::{CheckStatus, Report};

use crate::data::{Dataset, Progress, Schema, Split};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
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
    report::run(dataset, schema, split, progress)
}

//! Data checks: one file per check. Each turns a dataset into findings with evidence, definition,
//! threshold, source and what can be done.

use serde::Serialize;

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
    /// Table rows (from 0) that show it, at most 1000.
    pub rows: Vec<usize>,
    /// How many rows in all.
    pub row_count: usize,
    /// The measured value, if there is one.
    pub value: Option<f64>,
    /// The threshold it was held against.
    pub threshold: Option<f64>,
    /// How the value is defined, and where definition and threshold come from.
    pub definition: &'static str,
}

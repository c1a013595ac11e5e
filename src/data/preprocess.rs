//! Turns rows into numbers: impute, standardise, one-hot or embedding. Fitted on training rows
//! only, stored with the model, used unchanged for prediction.

use serde::{Deserialize, Serialize};

/// Settings of the preprocessing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PrepConfig {
    /// Categories with more values than this get a learned embedding instead of one-hot columns.
    pub one_hot_limit: usize,
}

impl Default for PrepConfig {
    fn default() -> Self {
        Self { one_hot_limit: 32 }
    }
}

/// Encoded targets.
#[derive(Debug, Clone, PartialEq)]
pub enum TargetData {
    /// Class index per row.
    Classes(Vec<u32>),
    /// Standardised value per row.
    Values(Vec<f32>),
    /// Not known (prediction).
    None,
}

/// Encoded rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// Rows.
    pub rows: usize,
    /// `[rows, dense_width]`.
    pub dense: Vec<f32>,
    /// Numbers per row.
    pub dense_width: usize,
    /// `[rows, category_width]`, 0 = unknown or missing.
    pub categories: Vec<u32>,
    /// Embedded columns.
    pub category_width: usize,
    /// Targets.
    pub target: TargetData,
}

/// The fitted preprocessing of one model; serialised into the model file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessor {}
impl Preprocessor {
    pub fn fit(
        _: &super::Dataset,
        _: &super::Schema,
        _: &PrepConfig,
        _: &[u32],
    ) -> Result<Self, crate::error::DataError> {
        todo!()
    }
    pub fn encode(
        &self,
        _: &super::Dataset,
        _: &[u32],
    ) -> Result<Encoded, crate::error::DataError> {
        todo!()
    }
    pub fn head(&self) -> crate::model::Head {
        todo!()
    }
    pub fn input(&self) -> crate::model::InputSpec {
        todo!()
    }
    pub fn target_scale(&self) -> (f64, f64) {
        todo!()
    }
}

//! Prediction from a model file, and what it costs.

pub mod cost;
pub mod explain;
pub mod predictor;

pub use explain::{Answer, Input, explain};
pub use predictor::{Model, Prediction, Predictor};

//! Prediction from a model file, and what it costs.

pub mod cost;
pub mod predictor;

pub use predictor::{Model, Prediction, Predictor};

//! Prediction from a model file.

pub mod predictor;

pub use predictor::{Model, Prediction, Predictor};

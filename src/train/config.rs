//! What a user can set about a run.

use serde::{Deserialize, Serialize};

use crate::device::DeviceChoice;
use crate::fp8::Precision;
use crate::model::Activation;
use crate::plan::Optimizer;

/// Learning-rate schedule after warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Stays at the peak.
    Constant,
    /// Half a cosine down to 1 % of the peak.
    Cosine,
}

/// Settings of a run. Defaults suit a small table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainConfig {
    /// Hidden layer widths.
    pub hidden: Vec<usize>,
    /// Non-linearity of hidden layers.
    pub activation: Activation,
    /// Layer normalisation after each hidden layer.
    pub layer_norm: bool,
    /// Dropout rate after each hidden layer.
    pub dropout: f32,
    /// First and last layer in f32.
    pub high_precision_ends: bool,
    /// Precision and recipe.
    pub precision: Precision,
    /// Optimiser.
    pub optimizer: Optimizer,
    /// Peak learning rate.
    pub learning_rate: f32,
    /// Schedule.
    pub schedule: Schedule,
    /// Share of all steps spent warming up.
    pub warmup: f32,
    /// Rows per step.
    pub batch_size: usize,
    /// Most epochs.
    pub epochs: usize,
    /// Stop after this many epochs without a better validation loss; 0 never.
    pub patience: usize,
    /// Seed of initial weights, order and dropout.
    pub seed: u64,
    /// Engine.
    pub device: DeviceChoice,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            hidden: vec![128, 64],
            activation: Activation::Relu,
            layer_norm: false,
            dropout: 0.0,
            high_precision_ends: false,
            precision: Precision::default(),
            optimizer: Optimizer::default(),
            learning_rate: 1e-3,
            schedule: Schedule::Cosine,
            warmup: 0.05,
            batch_size: 128,
            epochs: 30,
            patience: 8,
            seed: 0,
            device: DeviceChoice::Auto,
        }
    }
}

//! What a network is: a graph of layers with shapes, independent of any engine.

pub mod init;

use serde::{Deserialize, Serialize};

/// Non-linearities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// x·Φ(x), tanh form: 0.5x(1+tanh(√(2/π)(x+0.044715x³))).
    Gelu,
    /// x·sigmoid(x).
    Silu,
}

/// One categorical input that is looked up in a learned table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingSpec {
    /// Column name.
    pub name: String,
    /// Rows of the table, the "unknown" row included.
    pub cardinality: usize,
    /// Width of a row.
    pub dim: usize,
}

/// What enters the network: per sample `dense` numbers, then one index per embedding.
/// The first layer sees `dense` numbers followed by all looked-up rows, side by side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSpec {
    /// Plain numbers per sample (standardised numbers, one-hot columns, pixels).
    pub dense: usize,
    /// Learned category tables.
    pub embeddings: Vec<EmbeddingSpec>,
}

impl InputSpec {
    /// Width that the first layer sees.
    pub fn width(&self) -> usize {
        self.dense + self.embeddings.iter().map(|e| e.dim).sum::<usize>()
    }
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Layer {
    /// Fully connected, weight `[out, in]`, bias `[out]`, optional activation fused to the bias.
    Dense {
        /// Outputs.
        out: usize,
        /// Non-linearity after the bias.
        activation: Option<Activation>,
        /// Keeps this layer's products in f32 whatever the recipe.
        high_precision: bool,
    },
    /// Normalises each sample over its features, ε 1e-5, with gain and shift.
    LayerNorm,
    /// Zeroes a share `rate` of values in training and scales the rest by 1/(1−rate).
    Dropout {
        /// Share dropped, 0 ≤ rate < 1.
        rate: f32,
    },
}

/// One node of the graph: a layer and the node whose output it takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Unique name, e.g. `dense1`; parameters are called `dense1.weight`, `dense1.bias`.
    pub name: String,
    /// What it computes.
    pub layer: Layer,
}

/// What the last layer's outputs mean and how they are scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Head {
    /// Logits, one per class, softmax cross-entropy. Binary tasks use two classes.
    Classes {
        /// Number of classes, at least 2.
        count: usize,
    },
    /// One standardised number, mean squared error.
    Regression,
}

impl Head {
    /// Outputs per sample.
    pub fn outputs(self) -> usize {
        match self {
            Self::Classes { count } => count,
            Self::Regression => 1,
        }
    }
}

/// A whole network. Nodes run in order, each on the output of the one before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// Inputs.
    pub input: InputSpec,
    /// Layers; the last is a `Dense` with `head.outputs()` outputs and no activation.
    pub nodes: Vec<Node>,
    /// Meaning of the outputs.
    pub head: Head,
}

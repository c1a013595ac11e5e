//! What a network is: a graph of layers with shapes, independent of any engine.

mod graph;
pub mod init;
mod presets;
mod shape;

use serde::{Deserialize, Serialize};

use crate::error::EngineError;
pub use graph::Source;
pub use presets::{CnnOptions, ResNetOptions, SeparableOptions};
pub use shape::{ImageShape, Shape, Window};

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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSpec {
    /// Plain numbers per sample (standardised numbers, one-hot columns, pixels).
    pub dense: usize,
    /// Learned category tables.
    pub embeddings: Vec<EmbeddingSpec>,
    /// Set when the dense numbers are the pixels of an image, row by row with channels innermost;
    /// there are no embeddings then. A dense layer takes such an input as plain numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageShape>,
}

impl InputSpec {
    /// Plain numbers only.
    pub fn features(dense: usize) -> Self {
        Self { dense, ..Self::default() }
    }

    /// The pixels of an image.
    pub fn image(shape: ImageShape) -> Self {
        Self { dense: shape.len(), image: Some(shape), ..Self::default() }
    }

    /// Width that the first layer sees.
    pub fn width(&self) -> usize {
        self.dense + self.embeddings.iter().map(|e| e.dim).sum::<usize>()
    }
}

/// One layer. Images are `[height, width, channels]` with channels innermost.
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
    /// Convolution of an image, weight `[out, kernel, kernel, channels / groups]`, bias `[out]`.
    /// With `groups` equal to the channels every channel has its own filters (depthwise).
    #[serde(rename = "conv2d")]
    Conv2d {
        /// Output channels, a multiple of `groups`.
        out: usize,
        /// Height and width of a filter.
        kernel: usize,
        /// Pixels from one output to the next.
        #[serde(default = "one")]
        stride: usize,
        /// Zero pixels added on every side, less than `kernel`.
        #[serde(default)]
        padding: usize,
        /// Divides channels and outputs into groups that see only each other.
        #[serde(default = "one")]
        groups: usize,
        /// Whether there is a bias; a batch normalisation that follows makes it useless.
        #[serde(default = "yes")]
        bias: bool,
        /// Non-linearity after the bias.
        #[serde(default)]
        activation: Option<Activation>,
        /// Keeps this layer's products in f32 whatever the recipe.
        #[serde(default)]
        high_precision: bool,
    },
    /// Largest value of each window and channel of an image.
    MaxPool {
        /// Height and width of a window, at most 15.
        size: usize,
        /// Pixels from one window to the next.
        stride: usize,
        /// Pixels added on every side that never win, at most half of `size`.
        #[serde(default)]
        padding: usize,
    },
    /// Mean of each window and channel of an image.
    AvgPool {
        /// Height and width of a window.
        size: usize,
        /// Pixels from one window to the next.
        stride: usize,
    },
    /// Mean of each channel over the whole image; the result is plain features.
    GlobalAveragePool,
    /// Normalises each channel over batch and image, ε 1e-5, with gain and shift. Training uses the
    /// batch's own mean and variance and follows them with momentum 0.1; evaluation uses those
    /// running values. On plain features every feature is a channel.
    BatchNorm {
        /// Non-linearity after the shift.
        #[serde(default)]
        activation: Option<Activation>,
    },
    /// Sum of two nodes of one shape.
    Add {
        /// Non-linearity after the sum.
        #[serde(default)]
        activation: Option<Activation>,
    },
    /// An image as plain features, in the order of its layout.
    Flatten,
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

impl Layer {
    /// Whether the layer multiplies by a weight that a recipe may quantise, and does not opt out.
    pub fn takes_recipe(&self) -> bool {
        matches!(
            self,
            Self::Dense { high_precision: false, .. } | Self::Conv2d { high_precision: false, .. }
        )
    }

    /// Non-linearity at the end of the layer.
    pub fn activation(&self) -> Option<Activation> {
        match self {
            Self::Dense { activation, .. }
            | Self::Conv2d { activation, .. }
            | Self::BatchNorm { activation }
            | Self::Add { activation } => *activation,
            _ => None,
        }
    }
}

/// One node of the graph: a layer and the nodes whose outputs it takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Unique name, e.g. `dense1`; parameters are called `dense1.weight`, `dense1.bias`.
    pub name: String,
    /// What it computes.
    pub layer: Layer,
    /// Names of the earlier nodes whose outputs it takes, `input` for the network's input. Empty
    /// means the node before it. `Add` names two, other layers at most one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
}

impl Node {
    /// A node that takes the output of the one before it.
    pub fn new(name: impl Into<String>, layer: Layer) -> Self {
        Self { name: name.into(), layer, inputs: Vec::new() }
    }

    /// A node that takes the outputs of the named ones.
    pub fn of(name: impl Into<String>, layer: Layer, inputs: &[&str]) -> Self {
        let inputs = inputs.iter().map(|i| (*i).to_owned()).collect();
        Self { name: name.into(), layer, inputs }
    }
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

/// A whole network. Nodes are in an order in which they can run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// Inputs.
    pub input: InputSpec,
    /// Layers; the last is a `Dense` with `head.outputs()` outputs and no activation.
    pub nodes: Vec<Node>,
    /// Meaning of the outputs.
    pub head: Head,
}

/// What a parameter is, for initialisation and weight decay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamKind {
    /// Weight of a dense layer or a convolution; `rectified` if a non-linearity follows.
    Weight {
        /// Whether a non-linearity follows.
        rectified: bool,
    },
    /// Bias or normalisation shift, starts at 0.
    Bias,
    /// Normalisation gain, starts at 1.
    Gain,
    /// Embedding table.
    Table,
    /// Running mean of a batch normalisation, starts at 0. It has no gradient.
    RunningMean,
    /// Running variance of a batch normalisation, starts at 1. It has no gradient.
    RunningVariance,
}

impl ParamKind {
    /// Whether the optimiser changes it. Running statistics follow the batches instead.
    pub fn trained(self) -> bool {
        !matches!(self, Self::RunningMean | Self::RunningVariance)
    }
}

/// Name, shape and kind of one parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamInfo {
    /// As in [`init::Param`].
    pub name: String,
    /// Row-major shape.
    pub shape: Vec<usize>,
    /// What it is.
    pub kind: ParamKind,
}

/// Largest number of elements of one matrix, so that element indices fit in 32 bits everywhere.
pub const MAX_ELEMENTS: usize = 1 << 30;

fn fault(what: String) -> EngineError {
    EngineError::Shape { op: "model", what }
}

impl ModelSpec {
    /// Keeps the products of the named layers in f32 whatever the recipe.
    ///
    /// # Errors
    /// A name that no layer with products has; nothing is changed then.
    pub fn keep_in_f32<S: AsRef<str>>(&mut self, names: &[S]) -> Result<(), EngineError> {
        let has_products =
            |n: &&Node| matches!(n.layer, Layer::Dense { .. } | Layer::Conv2d { .. });
        let known: Vec<&str> =
            self.nodes.iter().filter(has_products).map(|n| n.name.as_str()).collect();
        if let Some(bad) = names.iter().map(AsRef::as_ref).find(|n| !known.contains(n)) {
            return Err(fault(format!(
                "there is no layer \"{bad}\" whose products could be kept in f32; there are {}",
                known.join(", ")
            )));
        }
        for node in &mut self.nodes {
            if let Layer::Dense { high_precision, .. } | Layer::Conv2d { high_precision, .. } =
                &mut node.layer
                && names.iter().any(|n| n.as_ref() == node.name)
            {
                *high_precision = true;
            }
        }
        Ok(())
    }

    /// All parameters in their fixed order: embedding tables, then the layers' own.
    ///
    /// # Errors
    /// The faults of [`ModelSpec::validate`].
    pub fn try_parameters(&self) -> Result<Vec<ParamInfo>, EngineError> {
        let mut list = Vec::new();
        let mut push = |name: String, shape: Vec<usize>, kind| {
            list.push(ParamInfo { name, shape, kind });
        };
        for (i, e) in self.input.embeddings.iter().enumerate() {
            push(format!("embed.{i}.table"), vec![e.cardinality, e.dim], ParamKind::Table);
        }
        let (sources, shapes) = (self.sources()?, self.shapes()?);
        for (node, source) in self.nodes.iter().zip(&sources) {
            let name = &node.name;
            let input = self.shape_of(&shapes, source.first().copied().unwrap_or(Source::Input));
            let vector = |part: &str| format!("{name}.{part}");
            match &node.layer {
                Layer::Dense { out, activation, .. } => {
                    let kind = ParamKind::Weight { rectified: activation.is_some() };
                    push(vector("weight"), vec![*out, input.len()], kind);
                    push(vector("bias"), vec![*out], ParamKind::Bias);
                }
                Layer::Conv2d { out, kernel, groups, bias, .. } => {
                    let shape = vec![*out, *kernel, *kernel, input.channels() / (*groups).max(1)];
                    // A normalisation or a sum comes between where no activation is fused.
                    push(vector("weight"), shape, ParamKind::Weight { rectified: true });
                    if *bias {
                        push(vector("bias"), vec![*out], ParamKind::Bias);
                    }
                }
                Layer::LayerNorm => {
                    push(vector("gain"), vec![input.len()], ParamKind::Gain);
                    push(vector("shift"), vec![input.len()], ParamKind::Bias);
                }
                Layer::BatchNorm { .. } => {
                    let shape = || vec![input.channels()];
                    push(vector("gain"), shape(), ParamKind::Gain);
                    push(vector("shift"), shape(), ParamKind::Bias);
                    push(vector("mean"), shape(), ParamKind::RunningMean);
                    push(vector("variance"), shape(), ParamKind::RunningVariance);
                }
                Layer::Dropout { .. }
                | Layer::MaxPool { .. }
                | Layer::AvgPool { .. }
                | Layer::GlobalAveragePool
                | Layer::Add { .. }
                | Layer::Flatten => {}
            }
        }
        Ok(list)
    }

    /// All parameters in their fixed order: embedding tables, then the layers' own. Empty if the
    /// model is not valid.
    pub fn parameters(&self) -> Vec<ParamInfo> {
        self.try_parameters().unwrap_or_default()
    }

    /// Number of trained values.
    pub fn parameter_count(&self) -> usize {
        let trained = self.parameters().into_iter().filter(|p| p.kind.trained());
        trained.map(|p| p.shape.iter().product::<usize>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(dense: usize, tables: &[(usize, usize)]) -> InputSpec {
        let embeddings = tables
            .iter()
            .map(|&(cardinality, dim)| EmbeddingSpec { name: "c".to_owned(), cardinality, dim })
            .collect();
        InputSpec { dense, embeddings, image: None }
    }

    #[test]
    fn mlp_has_the_parts_asked_for() {
        let head = Head::Classes { count: 3 };
        let m =
            ModelSpec::mlp(input(5, &[(4, 2)]), &[8, 6], Activation::Gelu, true, 0.1, true, head);
        m.validate().unwrap();
        let names: Vec<&str> = m.nodes.iter().map(|n| n.name.as_str()).collect();
        let want = ["dense1", "norm1", "dropout1", "dense2", "norm2", "dropout2", "output"];
        assert_eq!(names, want);
        // 4·2 + (8·7 + 8) + 16 + (6·8 + 6) + 12 + (3·6 + 3)
        assert_eq!(m.parameter_count(), 8 + 64 + 16 + 54 + 12 + 21);
        let high: Vec<bool> = m
            .nodes
            .iter()
            .filter_map(|n| match n.layer {
                Layer::Dense { high_precision, .. } => Some(high_precision),
                _ => None,
            })
            .collect();
        assert_eq!(high, [true, false, true]);
        let json = serde_json::to_string(&m).unwrap();
        assert_eq!(serde_json::from_str::<ModelSpec>(&json).unwrap(), m);
    }

    #[test]
    fn faults_are_named() {
        let base = || {
            ModelSpec::mlp(
                input(3, &[]),
                &[4],
                Activation::Relu,
                false,
                0.2,
                false,
                Head::Regression,
            )
        };
        let fails = |change: &dyn Fn(&mut ModelSpec), word: &str| {
            let mut m = base();
            change(&mut m);
            let text = m.validate().unwrap_err().to_string();
            assert!(text.contains(word), "{text}");
        };
        base().validate().unwrap();
        fails(&|m| m.input.dense = 0, "no inputs");
        fails(&|m| m.input = input(1, &[(0, 2)]), "embedding");
        fails(&|m| m.head = Head::Classes { count: 1 }, "classes");
        fails(&|m| m.nodes[1].name = "dense1".to_owned(), "two layers");
        fails(&|m| m.nodes[0].name = "a.b".to_owned(), "layer name");
        fails(&|m| m.nodes[1].layer = Layer::Dropout { rate: 1.0 }, "dropout");
        fails(&|m| m.nodes[1].layer = Layer::Dropout { rate: f32::NAN }, "dropout");
        fails(&|m| m.nodes.truncate(2), "last layer");
        fails(&|m| m.nodes.clear(), "last layer");
        let set_out = |m: &mut ModelSpec, value| {
            if let Layer::Dense { out, .. } = &mut m.nodes[0].layer {
                *out = value;
            }
        };
        fails(&|m| set_out(m, 0), "no outputs");
        fails(&|m| set_out(m, usize::MAX), "more than");
    }
}

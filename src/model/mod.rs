//! What a network is: a graph of layers with shapes, independent of any engine.

pub mod init;

use serde::{Deserialize, Serialize};

use crate::error::EngineError;

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

/// What a parameter is, for initialisation and weight decay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamKind {
    /// Dense weight `[out, in]`; `rectified` if a non-linearity follows.
    Weight {
        /// Whether a non-linearity follows.
        rectified: bool,
    },
    /// Dense bias or normalisation shift, starts at 0.
    Bias,
    /// Normalisation gain, starts at 1.
    Gain,
    /// Embedding table.
    Table,
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
    /// A multi-layer perceptron: per hidden width a dense layer with `activation`, then layer
    /// normalisation if asked for, then dropout if `dropout` > 0; last a dense layer `output`.
    /// `high_precision_ends` keeps the first and the last dense layer in f32.
    pub fn mlp(
        input: InputSpec,
        hidden: &[usize],
        activation: Activation,
        layer_norm: bool,
        dropout: f32,
        high_precision_ends: bool,
        head: Head,
    ) -> Self {
        let mut nodes = Vec::new();
        let mut push = |name: String, layer| nodes.push(Node { name, layer });
        for (i, &out) in hidden.iter().enumerate() {
            let n = i + 1;
            let high_precision = high_precision_ends && i == 0;
            push(
                format!("dense{n}"),
                Layer::Dense { out, activation: Some(activation), high_precision },
            );
            if layer_norm {
                push(format!("norm{n}"), Layer::LayerNorm);
            }
            if dropout > 0.0 {
                push(format!("dropout{n}"), Layer::Dropout { rate: dropout });
            }
        }
        push(
            "output".to_owned(),
            Layer::Dense {
                out: head.outputs(),
                activation: None,
                high_precision: high_precision_ends,
            },
        );
        Self { input, nodes, head }
    }

    /// Keeps the products of the named layers in f32 whatever the recipe.
    ///
    /// # Errors
    /// A name that no layer with products has; nothing is changed then.
    pub fn keep_in_f32<S: AsRef<str>>(&mut self, names: &[S]) -> Result<(), EngineError> {
        let has_products = |n: &&Node| matches!(n.layer, Layer::Dense { .. });
        let known: Vec<&str> =
            self.nodes.iter().filter(has_products).map(|n| n.name.as_str()).collect();
        if let Some(bad) = names.iter().map(AsRef::as_ref).find(|n| !known.contains(n)) {
            return Err(fault(format!(
                "there is no layer \"{bad}\" whose products could be kept in f32; there are {}",
                known.join(", ")
            )));
        }
        for node in &mut self.nodes {
            if let Layer::Dense { high_precision, .. } = &mut node.layer
                && names.iter().any(|n| n.as_ref() == node.name)
            {
                *high_precision = true;
            }
        }
        Ok(())
    }

    /// Checks names, sizes and the head.
    pub fn validate(&self) -> Result<(), EngineError> {
        let width = self.input.width();
        if width == 0 {
            return Err(fault("the network has no inputs".to_owned()));
        }
        for e in &self.input.embeddings {
            if e.cardinality == 0 || e.dim == 0 {
                return Err(fault(format!(
                    "embedding of \"{}\" is {} x {}; both must be at least 1",
                    e.name, e.cardinality, e.dim
                )));
            }
            check_size(&format!("embedding of \"{}\"", e.name), e.cardinality, e.dim)?;
        }
        if let Head::Classes { count } = self.head
            && count < 2
        {
            return Err(fault(format!("{count} classes; at least 2 are needed")));
        }
        let mut names = std::collections::HashSet::new();
        let mut cols = width;
        for node in &self.nodes {
            if node.name.is_empty() || node.name == "embed" || node.name.contains('.') {
                return Err(fault(format!("\"{}\" cannot be a layer name", node.name)));
            }
            if !names.insert(node.name.as_str()) {
                return Err(fault(format!("two layers are called \"{}\"", node.name)));
            }
            match node.layer {
                Layer::Dense { out, .. } => {
                    if out == 0 {
                        return Err(fault(format!("layer \"{}\" has no outputs", node.name)));
                    }
                    check_size(&format!("layer \"{}\"", node.name), out, cols)?;
                    cols = out;
                }
                Layer::LayerNorm => {}
                Layer::Dropout { rate } => {
                    if !(0.0..1.0).contains(&rate) {
                        return Err(fault(format!(
                            "dropout rate {rate} of \"{}\" is not in 0..1",
                            node.name
                        )));
                    }
                }
            }
        }
        let want = self.head.outputs();
        match self.nodes.last() {
            Some(Node { layer: Layer::Dense { out, activation: None, .. }, .. })
                if *out == want =>
            {
                Ok(())
            }
            _ => Err(fault(format!(
                "the last layer must be dense with {want} outputs and no activation"
            ))),
        }
    }

    /// All parameters in their fixed order: embedding tables, then the layers' own.
    pub fn parameters(&self) -> Vec<ParamInfo> {
        let mut list = Vec::new();
        let mut push = |name: String, shape: Vec<usize>, kind| {
            list.push(ParamInfo { name, shape, kind });
        };
        for (i, e) in self.input.embeddings.iter().enumerate() {
            push(format!("embed.{i}.table"), vec![e.cardinality, e.dim], ParamKind::Table);
        }
        let mut cols = self.input.width();
        for Node { name, layer } in &self.nodes {
            match layer {
                Layer::Dense { out, activation, .. } => {
                    let rectified = activation.is_some();
                    let kind = ParamKind::Weight { rectified };
                    push(format!("{name}.weight"), vec![*out, cols], kind);
                    push(format!("{name}.bias"), vec![*out], ParamKind::Bias);
                    cols = *out;
                }
                Layer::LayerNorm => {
                    push(format!("{name}.gain"), vec![cols], ParamKind::Gain);
                    push(format!("{name}.shift"), vec![cols], ParamKind::Bias);
                }
                Layer::Dropout { .. } => {}
            }
        }
        list
    }

    /// Number of trained values.
    pub fn parameter_count(&self) -> usize {
        self.parameters().iter().map(|p| p.shape.iter().product::<usize>()).sum()
    }
}

fn check_size(what: &str, rows: usize, cols: usize) -> Result<(), EngineError> {
    match rows.checked_mul(cols) {
        Some(n) if n <= MAX_ELEMENTS => Ok(()),
        _ => {
            Err(fault(format!("{what} would be {rows} x {cols}, more than {MAX_ELEMENTS} values")))
        }
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
        InputSpec { dense, embeddings }
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

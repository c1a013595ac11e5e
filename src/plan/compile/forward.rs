//! The training step: forward pass, loss, then the rest.

use super::builder::Compiler;
use super::{Matrix, Saved, stream};
use crate::error::EngineError;
use crate::kernels::Op;
use crate::model::{Layer, Source};
use crate::plan::Purpose;

impl Compiler<'_> {
    pub(super) fn train_step(&mut self) -> Result<Vec<Op>, EngineError> {
        let mut ops = Vec::new();
        let mut saved = Vec::new();
        let mut outputs = Vec::new();
        let input = self.input(&mut ops, "train")?;
        for i in 0..self.model.nodes.len() {
            let (out, kept) = self.train_node(&mut ops, i, input, &outputs)?;
            outputs.push(out);
            saved.push(kept);
        }
        let x = outputs.last().copied().unwrap_or(input);
        let buffer = self.matrix("loss.gradient", Purpose::Gradient, x.cols);
        ops.push(self.loss(x.buffer, Some(buffer)));
        ops.push(self.loss_sum());
        self.backward(&mut ops, saved, Matrix { buffer, cols: x.cols })?;
        let mut updates = Vec::new();
        self.update(&mut updates);
        if self.config.update.lean {
            ops = self.stream(ops);
            stream::early(&mut ops, updates);
        } else {
            ops.append(&mut updates);
        }
        Ok(ops)
    }

    /// Outputs of a node's sources.
    pub(super) fn taken(&self, node: usize, input: Matrix, outputs: &[Matrix]) -> Vec<Matrix> {
        let find = |source: &Source| match source {
            Source::Input => input,
            Source::Node(i) => outputs.get(*i).copied().unwrap_or(input),
        };
        self.sources.get(node).into_iter().flatten().map(find).collect()
    }

    /// Whether a node may change what it takes: it is the only taker, and not the host's own.
    fn may_change(&self, node: usize, x: Matrix) -> bool {
        let source = self.sources.get(node).and_then(|s| s.first());
        let takers = self.sources.iter().flatten().filter(|s| Some(*s) == source).count();
        x.buffer != self.io.dense && takers == 1
    }

    fn train_node(
        &mut self,
        ops: &mut Vec<Op>,
        i: usize,
        input: Matrix,
        outputs: &[Matrix],
    ) -> Result<(Matrix, Saved), EngineError> {
        let model = self.model;
        let taken = self.taken(i, input, outputs);
        let (Some(node), Some(&x)) = (model.nodes.get(i), taken.first()) else {
            return Ok((input, Saved::Same));
        };
        let name = node.name.as_str();
        Ok(match node.layer {
            Layer::Dense { activation, .. } => {
                let operands = self.train_operands(ops, name, x)?;
                let (out, pre) = self.dense(ops, name, "train", operands, activation, None)?;
                let pre = activation.map(|_| pre);
                let kept = self.weight_gradient_input(name, operands.0, x);
                (out, Saved::Dense { x: kept, weight: operands.1, pre })
            }
            Layer::Conv2d { .. } => {
                let operands = self.train_operands(ops, name, x)?;
                let (out, shape, kept) = self.conv(ops, i, "train", operands, true)?;
                let x = self.weight_gradient_input(name, operands.0, x);
                (out, Saved::Conv { x, weight: operands.1, shape, kept })
            }
            Layer::LayerNorm => {
                let (out, moments) = self.layer_norm(ops, name, "train", x)?;
                (out, Saved::LayerNorm { x: x.buffer, moments })
            }
            Layer::BatchNorm { activation } => {
                let channels = self.channels(i);
                let (out, moments) = self.batch_norm(ops, name, (x, channels), activation)?;
                (out, Saved::BatchNorm { x: x.buffer, moments })
            }
            Layer::Dropout { rate } => {
                // Dropout works in place.
                let out = if self.may_change(i, x) {
                    x
                } else {
                    let name = format!("train.{name}.out");
                    let buffer = self.matrix(&name, Purpose::Activation, x.cols);
                    ops.push(self.copy(x, buffer));
                    Matrix { buffer, ..x }
                };
                ops.push(self.dropout(out, rate, i));
                (out, Saved::Dropout)
            }
            Layer::MaxPool { .. } if self.is_fused(i) => (x, Saved::Same),
            Layer::MaxPool { .. } => match self.max_pool(ops, i, (name, "train"), x)? {
                (out, shape, Some(winners)) => (out, Saved::MaxPool { shape, winners }),
                (out, _, None) => (out, Saved::Same),
            },
            Layer::AvgPool { .. } | Layer::GlobalAveragePool => {
                let (out, shape) = self.avg_pool(ops, i, (name, "train"), x)?;
                (out, Saved::AvgPool { shape })
            }
            Layer::Add { activation } => {
                let both = (x, taken.get(1).copied().unwrap_or(x));
                let (out, kept) = self.add(ops, i, (name, "train"), both, activation);
                (out, Saved::Add { kept })
            }
            Layer::Flatten => (x, Saved::Same),
        })
    }
}

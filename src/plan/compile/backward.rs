//! The backward pass of the training step.

use super::builder::Compiler;
use super::gradients::Gradients;
use super::{Matrix, Saved, gemm};
use crate::error::EngineError;
use crate::kernels::Op;
use crate::kernels::activation::ActivationBackward;
use crate::kernels::embedding::EmbedBackward;
use crate::kernels::gemm::Operand;
use crate::kernels::reduce::ColumnSum;
use crate::model::{Activation, Layer, Source};
use crate::plan::Purpose;

impl Compiler<'_> {
    /// Per node, whether a parameter is in it or before it: its output needs a gradient.
    fn wanted(&self) -> Vec<bool> {
        let mut wanted = Vec::with_capacity(self.model.nodes.len());
        for (node, sources) in self.model.nodes.iter().zip(&self.sources) {
            let own = matches!(
                node.layer,
                Layer::Dense { .. }
                    | Layer::Conv2d { .. }
                    | Layer::LayerNorm
                    | Layer::BatchNorm { .. }
            );
            let before = sources.iter().any(|s| self.source_wanted(&wanted, *s));
            wanted.push(own || before);
        }
        wanted
    }

    fn source_wanted(&self, wanted: &[bool], source: Source) -> bool {
        match source {
            Source::Input => self.of_inputs || !self.model.input.embeddings.is_empty(),
            Source::Node(i) => wanted.get(i).copied().unwrap_or(false),
        }
    }

    pub(super) fn backward(
        &mut self,
        ops: &mut Vec<Op>,
        saved: Vec<Saved>,
        loss: Matrix,
    ) -> Result<(), EngineError> {
        let wanted = self.wanted();
        let mut grads = Gradients::new(saved.len());
        let last = saved.len().checked_sub(1).map_or(Source::Input, Source::Node);
        grads.add(self, ops, "loss", last, loss);
        for (i, saved) in saved.into_iter().enumerate().rev() {
            if let (Some(grad), Some(true)) = (grads.take(i), wanted.get(i)) {
                self.node_backward(ops, &mut grads, i, saved, grad, &wanted)?;
            }
        }
        if let Some(grad) = grads.take_input() {
            if self.of_inputs {
                self.input_gradient = Some(grad.buffer);
            }
            self.tables_backward(ops, grad)?;
        }
        Ok(())
    }

    fn node_backward(
        &mut self,
        ops: &mut Vec<Op>,
        grads: &mut Gradients,
        i: usize,
        saved: Saved,
        grad: Matrix,
        wanted: &[bool],
    ) -> Result<(), EngineError> {
        let model = self.model;
        let Some(node) = model.nodes.get(i) else { return Ok(()) };
        let (name, activation) = (node.name.as_str(), node.layer.activation());
        let sources = self.sources.get(i).cloned().unwrap_or_default();
        let first = sources.first().copied().unwrap_or(Source::Input);
        let pass_on = self.source_wanted(wanted, first);
        let grad_in = match saved {
            Saved::Dense { x, weight, pre } => {
                let grad = if pre.is_some() { grads.own(self, ops, name, grad) } else { grad };
                let slope = pre.zip(activation);
                let out = self.dense_backward(ops, name, (x, weight), slope, (grad, pass_on))?;
                grads.release(grad);
                out
            }
            Saved::Conv { x, weight, shape, kept } => {
                let grad = grads.own(self, ops, name, grad);
                let (products, of) = ((x, weight), (shape, kept));
                let out = self.conv_backward(ops, i, products, of, (grad, pass_on))?;
                grads.release(grad);
                out
            }
            Saved::LayerNorm { x, moments } => {
                let out = self.layer_norm_backward(ops, name, (x, moments), grad)?;
                grads.release(grad);
                Some(out)
            }
            Saved::BatchNorm { x, moments } => {
                let grad = grads.own(self, ops, name, grad);
                let of = (grad, self.channels(i));
                self.batch_norm_backward(ops, name, (x, moments), of, activation)?;
                Some(grad)
            }
            Saved::MaxPool { shape, winners } => {
                let out = self.max_pool_backward(ops, name, (shape, winners), grad);
                grads.release(grad);
                Some(out)
            }
            Saved::AvgPool { shape } => {
                let out = self.avg_pool_backward(ops, name, shape, grad);
                grads.release(grad);
                Some(out)
            }
            Saved::Dropout => {
                let grad = grads.own(self, ops, name, grad);
                if let Layer::Dropout { rate } = node.layer {
                    ops.push(self.dropout(grad, rate, i));
                }
                Some(grad)
            }
            Saved::Same => Some(grad),
            Saved::Add { kept } => {
                let grad = match activation {
                    Some(_) => grads.own(self, ops, name, grad),
                    None => grad,
                };
                self.add_backward(ops, i, grad, kept, activation);
                let second = sources.get(1).copied().unwrap_or(first);
                if self.source_wanted(wanted, second) {
                    grads.share(grad);
                    grads.add(self, ops, name, second, grad);
                }
                Some(grad)
            }
        };
        match grad_in {
            Some(grad) if pass_on => grads.add(self, ops, name, first, grad),
            Some(grad) => grads.release(grad),
            None => {}
        }
        Ok(())
    }

    fn dense_backward(
        &mut self,
        ops: &mut Vec<Op>,
        name: &str,
        (x, weight): (Operand, Operand),
        slope: Option<(crate::kernels::BufferId, Activation)>,
        (grad, wanted): (Matrix, bool),
    ) -> Result<Option<Matrix>, EngineError> {
        if let Some((pre, activation)) = slope {
            ops.push(Op::ActivationBackward(ActivationBackward {
                grad: grad.buffer,
                pre,
                len: self.rows * grad.cols,
                activation,
            }));
        }
        ops.push(Op::ColumnSum(ColumnSum {
            x: grad.buffer,
            out: self.gradient(&format!("{name}.bias"))?,
            rows: self.rows,
            cols: grad.cols,
        }));
        let (dy, dy_weight) = self.gradient_operands(ops, name, grad);
        let weight_grad = self.gradient(&format!("{name}.weight"))?;
        ops.push(gemm(Operand { transpose: true, ..dy_weight }, x, weight_grad)?);
        if !wanted {
            return Ok(None);
        }
        let name = format!("{name}.input.gradient");
        let out = self.matrix(&name, Purpose::Gradient, weight.cols);
        ops.push(gemm(dy, weight, out)?);
        Ok(Some(Matrix { buffer: out, cols: weight.cols }))
    }

    fn tables_backward(&mut self, ops: &mut Vec<Op>, grad: Matrix) -> Result<(), EngineError> {
        let input = &self.model.input;
        let mut offset = input.dense as u32;
        for (i, e) in input.embeddings.iter().enumerate() {
            ops.push(Op::EmbedBackward(EmbedBackward {
                categories: self.io.categories,
                column: i as u32,
                columns: input.embeddings.len() as u32,
                grad: grad.buffer,
                offset,
                width: grad.cols,
                grad_table: self.gradient(&format!("embed.{i}.table"))?,
                cardinality: e.cardinality as u32,
                dim: e.dim as u32,
                rows: self.rows,
            }));
            offset += e.dim as u32;
        }
        Ok(())
    }
}

//! The backward pass of the training step.

use super::builder::Compiler;
use super::{Matrix, Saved, gemm};
use crate::error::EngineError;
use crate::kernels::Op;
use crate::kernels::activation::ActivationBackward;
use crate::kernels::embedding::EmbedBackward;
use crate::kernels::gemm::Operand;
use crate::kernels::layer_norm::LayerNormBackward;
use crate::kernels::reduce::ColumnSum;
use crate::model::Layer;
use crate::plan::Purpose;

impl Compiler<'_> {
    pub(super) fn backward(
        &mut self,
        ops: &mut Vec<Op>,
        saved: Vec<Saved>,
        mut grad: Matrix,
    ) -> Result<(), EngineError> {
        let model = self.model;
        let embeddings = !model.input.embeddings.is_empty();
        // The first node with parameters needs no input gradient unless tables lie before it.
        let first_trained =
            saved.iter().position(|s| !matches!(s, Saved::Dropout)).unwrap_or_default();
        for (i, (node, saved)) in model.nodes.iter().zip(saved).enumerate().rev() {
            let name = node.name.as_str();
            let wanted = embeddings || self.of_inputs || i > first_trained;
            match saved {
                Saved::Dense { x, weight, pre } => {
                    let activation = match node.layer {
                        Layer::Dense { activation, .. } => activation,
                        _ => None,
                    };
                    if let (Some(pre), Some(activation)) = (pre, activation) {
                        ops.push(Op::ActivationBackward(ActivationBackward {
                            grad: grad.buffer,
                            pre,
                            len: self.rows * grad.cols,
                            activation,
                        }));
                    }
                    ops.push(Op::ColumnSum(ColumnSum {
                        x: grad.buffer,
                        out: self.param(&format!("{name}.bias"))?.gradient,
                        rows: self.rows,
                        cols: grad.cols,
                    }));
                    let (dy, left) = self.gradient_operands(ops, name, grad);
                    let left = Operand { transpose: true, ..left };
                    let weight_grad = self.param(&format!("{name}.weight"))?.gradient;
                    ops.push(gemm(left, x, weight_grad)?);
                    if wanted {
                        let name = format!("{name}.input.gradient");
                        let out = self.matrix(&name, Purpose::Gradient, weight.cols);
                        ops.push(gemm(dy, weight, out)?);
                        grad = Matrix { buffer: out, cols: weight.cols };
                    }
                }
                Saved::LayerNorm { x, moments } => {
                    let name_in = format!("{name}.input.gradient");
                    let grad_in = self.matrix(&name_in, Purpose::Gradient, grad.cols);
                    ops.push(Op::LayerNormBackward(LayerNormBackward {
                        x,
                        gain: self.param(&format!("{name}.gain"))?.weight,
                        moments,
                        grad_out: grad.buffer,
                        grad_in,
                        grad_gain: self.param(&format!("{name}.gain"))?.gradient,
                        grad_shift: self.param(&format!("{name}.shift"))?.gradient,
                        rows: self.rows,
                        cols: grad.cols,
                    }));
                    grad.buffer = grad_in;
                }
                Saved::Dropout => {
                    if let (Layer::Dropout { rate }, true) = (&node.layer, wanted) {
                        ops.push(self.dropout(grad, *rate, i));
                    }
                }
            }
        }
        if self.of_inputs {
            self.input_gradient = Some(grad.buffer);
        }
        let mut offset = model.input.dense as u32;
        for (i, e) in model.input.embeddings.iter().enumerate() {
            ops.push(Op::EmbedBackward(EmbedBackward {
                categories: self.io.categories,
                column: i as u32,
                columns: model.input.embeddings.len() as u32,
                grad: grad.buffer,
                offset,
                width: grad.cols,
                grad_table: self.param(&format!("embed.{i}.table"))?.gradient,
                cardinality: e.cardinality as u32,
                dim: e.dim as u32,
                rows: self.rows,
            }));
            offset += e.dim as u32;
        }
        Ok(())
    }
}

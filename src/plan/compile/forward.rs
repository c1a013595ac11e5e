//! The forward pass of the training step, and the layers that evaluation shares with it.

use super::builder::Compiler;
use super::{Matrix, Saved, gemm};
use crate::error::EngineError;
use crate::kernels::activation::BiasActivation;
use crate::kernels::dropout::Dropout;
use crate::kernels::embedding::Embed;
use crate::kernels::gemm::Operand;
use crate::kernels::layer_norm::LayerNorm;
use crate::kernels::{BufferId, Op};
use crate::model::{Activation, Layer};
use crate::plan::Purpose;

impl Compiler<'_> {
    /// Copies the inputs side by side where there is more than one; else the dense inputs as they
    /// are.
    pub(super) fn input(&mut self, ops: &mut Vec<Op>, list: &str) -> Result<Matrix, EngineError> {
        let spec = &self.model.input;
        let width = spec.width() as u32;
        if spec.embeddings.is_empty() {
            return Ok(Matrix { buffer: self.io.dense, cols: width });
        }
        let out = self.matrix(&format!("{list}.input"), Purpose::Activation, width);
        let columns = spec.embeddings.len() as u32;
        let dense = Embed {
            table: None,
            source: self.io.dense,
            column: 0,
            columns: spec.dense as u32,
            cardinality: 0,
            dim: spec.dense as u32,
            out,
            offset: 0,
            width,
            rows: self.rows,
        };
        if spec.dense > 0 {
            ops.push(Op::Embed(dense));
        }
        let mut offset = spec.dense as u32;
        for (i, e) in spec.embeddings.iter().enumerate() {
            ops.push(Op::Embed(Embed {
                table: Some(self.param(&format!("embed.{i}.table"))?.weight),
                source: self.io.categories,
                column: i as u32,
                columns,
                cardinality: e.cardinality as u32,
                dim: e.dim as u32,
                offset,
                ..dense
            }));
            offset += e.dim as u32;
        }
        Ok(Matrix { buffer: out, cols: width })
    }

    /// Product, bias and activation of a dense layer; the result is `into` if given.
    pub(super) fn dense(
        &mut self,
        ops: &mut Vec<Op>,
        name: &str,
        list: &str,
        (x, weight): (Operand, Operand),
        activation: Option<Activation>,
        into: Option<BufferId>,
    ) -> Result<(Matrix, BufferId), EngineError> {
        let (rows, cols) = (self.rows, weight.rows);
        let pre = match into {
            Some(out) => out,
            None => self.matrix(&format!("{list}.{name}.pre"), Purpose::Activation, cols),
        };
        let out = match activation {
            Some(_) => self.matrix(&format!("{list}.{name}.out"), Purpose::Activation, cols),
            None => pre,
        };
        let weight = Operand { transpose: true, ..weight };
        ops.push(gemm(x, weight, pre)?);
        let bias = self.param(&format!("{name}.bias"))?.weight;
        ops.push(Op::BiasActivation(BiasActivation { x: pre, bias, out, rows, cols, activation }));
        Ok((Matrix { buffer: out, cols }, pre))
    }

    pub(super) fn layer_norm(
        &mut self,
        ops: &mut Vec<Op>,
        name: &str,
        list: &str,
        x: Matrix,
    ) -> Result<(Matrix, BufferId), EngineError> {
        let out = self.matrix(&format!("{list}.{name}.out"), Purpose::Activation, x.cols);
        let moments = self.matrix(&format!("{list}.{name}.moments"), Purpose::Activation, 2);
        ops.push(Op::LayerNorm(LayerNorm {
            x: x.buffer,
            gain: self.param(&format!("{name}.gain"))?.weight,
            shift: self.param(&format!("{name}.shift"))?.weight,
            out,
            moments,
            rows: self.rows,
            cols: x.cols,
        }));
        Ok((Matrix { buffer: out, cols: x.cols }, moments))
    }

    pub(super) fn train_step(&mut self) -> Result<Vec<Op>, EngineError> {
        let mut ops = Vec::new();
        let mut saved = Vec::new();
        let mut x = self.input(&mut ops, "train")?;
        let model = self.model;
        for (i, node) in model.nodes.iter().enumerate() {
            let name = node.name.as_str();
            match node.layer {
                Layer::Dense { activation, .. } => {
                    let operands = self.train_operands(&mut ops, name, x)?;
                    let (out, pre) =
                        self.dense(&mut ops, name, "train", operands, activation, None)?;
                    let (x8, weight) = operands;
                    let pre = activation.map(|_| pre);
                    let kept = self.weight_gradient_input(name, x8, x);
                    saved.push(Saved::Dense { x: kept, weight, pre });
                    x = out;
                }
                Layer::LayerNorm => {
                    let (out, moments) = self.layer_norm(&mut ops, name, "train", x)?;
                    saved.push(Saved::LayerNorm { x: x.buffer, moments });
                    x = out;
                }
                Layer::Dropout { rate } => {
                    if x.buffer == self.io.dense {
                        x = self.copy_of_dense(&mut ops, name);
                    }
                    ops.push(self.dropout(x, rate, i));
                    saved.push(Saved::Dropout);
                }
            }
        }
        let gradient = self.matrix("loss.gradient", Purpose::Gradient, x.cols);
        ops.push(self.loss(x.buffer, Some(gradient)));
        ops.push(self.loss_sum());
        let gradient = Matrix { buffer: gradient, cols: x.cols };
        self.backward(&mut ops, saved, gradient)?;
        self.update(&mut ops);
        Ok(ops)
    }

    /// Dropout works in place, and the host's inputs must stay as they are.
    pub(super) fn copy_of_dense(&mut self, ops: &mut Vec<Op>, name: &str) -> Matrix {
        let cols = self.model.input.dense as u32;
        let out = self.matrix(&format!("train.{name}.out"), Purpose::Activation, cols);
        ops.push(Op::Embed(Embed {
            table: None,
            source: self.io.dense,
            column: 0,
            columns: cols,
            cardinality: 0,
            dim: cols,
            out,
            offset: 0,
            width: cols,
            rows: self.rows,
        }));
        Matrix { buffer: out, cols }
    }

    pub(super) fn dropout(&self, x: Matrix, rate: f32, layer: usize) -> Op {
        Op::Dropout(Dropout {
            x: x.buffer,
            len: self.rows * x.cols,
            rate,
            layer: layer as u32,
            step: self.io.step,
        })
    }
}

//! Calls of single layers that work on plain features.

use super::builder::Compiler;
use super::{Matrix, gemm};
use crate::error::EngineError;
use crate::kernels::activation::BiasActivation;
use crate::kernels::dropout::Dropout;
use crate::kernels::embedding::Embed;
use crate::kernels::gemm::Operand;
use crate::kernels::{BufferId, Op};
use crate::model::Activation;
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

    /// Copies a matrix.
    pub(super) fn copy(&self, from: Matrix, out: BufferId) -> Op {
        Op::Embed(Embed {
            table: None,
            source: from.buffer,
            column: 0,
            columns: from.cols,
            cardinality: 0,
            dim: from.cols,
            out,
            offset: 0,
            width: from.cols,
            rows: self.rows,
        })
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

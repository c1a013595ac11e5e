//! Operands of a layer's products, in the precision of the run.

use super::Matrix;
use super::builder::Compiler;
use crate::error::EngineError;
use crate::fp8::Precision;
use crate::kernels::bf16::{FromBf16, ToBf16, packed_words};
use crate::kernels::gemm::{Operand, Storage};
use crate::kernels::{BufferId, Op};
use crate::plan::{MasterFormat, Purpose};

impl Compiler<'_> {
    /// The precision of a layer's products; f32 where the layer is opted out.
    pub(super) fn products(&self, node: &str) -> Precision {
        let chosen = self.model.nodes.iter().any(|n| n.name == node && n.layer.takes_recipe());
        if chosen { self.config.precision } else { Precision::F32 }
    }

    /// The precision of a layer's products in training.
    fn train_products(&self, node: &str) -> Precision {
        match self.products(node) {
            Precision::Fp8(_) if self.adjustments.high_precision.contains(node) => Precision::F32,
            other => other,
        }
    }

    /// Layer input and weight as operands of the training step.
    pub(super) fn train_operands(
        &mut self,
        ops: &mut Vec<Op>,
        name: &str,
        x: Matrix,
    ) -> Result<(Operand, Operand), EngineError> {
        let products = self.train_products(name);
        let input = match products {
            Precision::Fp8(recipe) => {
                self.quantise_rows(ops, &format!("{name}.input"), x, (recipe.forward, false))
            }
            Precision::Bf16 => self.rows_to_bf16(ops, &format!("{name}.input"), x),
            Precision::F32 => self.rows_f32(x),
        };
        let watch = self.watch(&format!("{name}.weight"));
        Ok((input, self.weight(ops, name, products, watch)?))
    }

    /// Layer input and weight as operands of the evaluation: only weights have few bits, so that a
    /// prediction does not depend on the rows beside it.
    pub(super) fn eval_operands(
        &mut self,
        prepare: &mut Vec<Op>,
        name: &str,
        x: Matrix,
    ) -> Result<(Operand, Operand), EngineError> {
        Ok((self.rows_f32(x), self.weight(prepare, name, self.products(name), None)?))
    }

    /// The layer input that the weight gradient takes: `packed`, or `x` itself where the recipe
    /// wants that product in f32.
    pub(super) fn weight_gradient_input(&self, name: &str, packed: Operand, x: Matrix) -> Operand {
        if self.high_precision_weight_gradient(name) { self.rows_f32(x) } else { packed }
    }

    /// The gradient of a layer's output as operands of the products for its input and its weight.
    pub(super) fn gradient_operands(
        &mut self,
        ops: &mut Vec<Op>,
        name: &str,
        grad: Matrix,
    ) -> (Operand, Operand) {
        let exact = self.rows_f32(grad);
        let part = format!("{name}.gradient");
        let dy = match self.train_products(name) {
            Precision::Fp8(recipe) => {
                let format = (recipe.gradient, recipe.stochastic_gradients);
                self.quantise_rows(ops, &part, grad, format)
            }
            Precision::Bf16 => self.rows_to_bf16(ops, &part, grad),
            Precision::F32 => exact,
        };
        (dy, if self.high_precision_weight_gradient(name) { exact } else { dy })
    }

    fn rows_f32(&self, x: Matrix) -> Operand {
        Operand::f32(x.buffer, self.rows, x.cols, false)
    }

    /// The weight of a layer: what is rounded, is rounded anew.
    fn weight(
        &mut self,
        ops: &mut Vec<Op>,
        name: &str,
        products: Precision,
        watch: Option<u32>,
    ) -> Result<Operand, EngineError> {
        let param = self.param(&format!("{name}.weight"))?;
        let quantised = param.quantised.filter(|_| products.recipe().is_some());
        let (master, half) = (param.weight, param.half);
        let (format, (rows, cols)) = (param.master, param.matrix());
        let packed =
            |buffer| Operand { buffer, storage: Storage::Bf16, rows, cols, transpose: false };
        match (quantised, half, format) {
            (Some(into), _, _) => {
                let values = self.wide(ops, name, (master, format), (rows, cols));
                let (op, operand) = self.quantise(values, (rows, cols), into, true, watch, false);
                ops.push(Op::Quantise(op));
                Ok(operand)
            }
            (None, Some(half), MasterFormat::F32) => {
                ops.push(Op::ToBf16(ToBf16 { input: master, packed: half, rows, cols }));
                Ok(packed(half))
            }
            (None, _, MasterFormat::Bf16) => Ok(packed(master)),
            (None, None, MasterFormat::F32) => Ok(Operand::f32(master, rows, cols, false)),
        }
    }

    /// Master weights as f32.
    fn wide(
        &mut self,
        ops: &mut Vec<Op>,
        name: &str,
        (master, format): (BufferId, MasterFormat),
        (rows, cols): (u32, u32),
    ) -> BufferId {
        if format == MasterFormat::F32 {
            return master;
        }
        let words = rows as usize * cols as usize;
        let out = self.transient(&format!("{name}.weight.f32"), Purpose::Workspace, words);
        ops.push(Op::FromBf16(FromBf16 { packed: master, out, rows, cols }));
        out
    }

    /// Rounds one row per sample to bf16 in a new transient buffer.
    fn rows_to_bf16(&mut self, ops: &mut Vec<Op>, name: &str, x: Matrix) -> Operand {
        let (rows, cols) = (self.rows, x.cols);
        let words = packed_words(rows, cols);
        let packed = self.transient(&format!("{name}.bf16"), Purpose::Quantised, words);
        ops.push(Op::ToBf16(ToBf16 { input: x.buffer, packed, rows, cols }));
        Operand { buffer: packed, storage: Storage::Bf16, rows, cols, transpose: false }
    }
}

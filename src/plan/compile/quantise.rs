//! The recipe: which tensors are quantised, and how.

use super::Matrix;
use super::builder::Compiler;
use crate::fp8::{Format, Precision, Recipe, Scaling};
use crate::kernels::gemm::{Operand, Storage};
use crate::kernels::quantise::{Quantise, ScaleSource};
use crate::kernels::{BufferId, Op};
use crate::model::{Layer, ModelSpec};
use crate::plan::{Purpose, QuantisedRef, TensorRole, WatchedTensor};

impl Compiler<'_> {
    /// The FP8 copy of a weight, if its layer has one. Training and evaluation write it anew before
    /// every use, so one copy serves both.
    pub(super) fn quantised(&mut self, name: &str, shape: &[usize]) -> Option<QuantisedRef> {
        let recipe = self.recipe(name.strip_suffix(".weight")?)?;
        let &[rows, cols] = shape else { return None };
        let words = rows * cols.div_ceil(4);
        let packed = self.buffer(&format!("{name}.fp8"), Purpose::Quantised, words, true);
        let scales = self.buffer(&format!("{name}.scales"), Purpose::Quantised, 1, true);
        Some(QuantisedRef { packed, scales, format: recipe.forward })
    }

    /// The recipe of a layer's products; `None` means f32.
    pub(super) fn recipe(&self, node: &str) -> Option<Recipe> {
        let Precision::Fp8(recipe) = self.config.precision else { return None };
        let fp8 = self.model.nodes.iter().any(|n| {
            n.name == node && matches!(n.layer, Layer::Dense { high_precision: false, .. })
        });
        fp8.then_some(recipe)
    }

    /// Quantises a matrix under one scale into given buffers.
    pub(super) fn quantise(
        &self,
        input: BufferId,
        (rows, cols): (u32, u32),
        into: QuantisedRef,
        watch: Option<u32>,
        stochastic: bool,
    ) -> (Quantise, Operand) {
        let recipe = match self.config.precision {
            Precision::Fp8(recipe) => recipe,
            Precision::F32 => Recipe::default(),
        };
        let source = match (recipe.scaling, watch) {
            (Scaling::Delayed { history, algorithm }, Some(_)) => {
                ScaleSource::Delayed { history: self.io.history, length: history, algorithm }
            }
            _ => ScaleSource::Current,
        };
        let QuantisedRef { packed, scales, format } = into;
        let op = Quantise {
            input,
            packed,
            scales,
            rows,
            cols,
            block_rows: rows,
            block_cols: cols,
            format,
            source,
            margin: recipe.margin,
            stochastic,
            watch,
            stats: self.io.stats,
            step: self.io.step,
        };
        let storage = Storage::Fp8 { format, scales, block_rows: rows, block_cols: cols };
        (op, Operand { buffer: packed, storage, rows, cols, transpose: false })
    }

    /// Quantises one row per sample into a new transient buffer.
    pub(super) fn quantise_rows(
        &mut self,
        ops: &mut Vec<Op>,
        name: &str,
        input: Matrix,
        (format, stochastic): (Format, bool),
    ) -> Operand {
        let words = self.rows as usize * (input.cols as usize).div_ceil(4);
        let packed = self.transient(&format!("{name}.fp8"), Purpose::Quantised, words);
        let scales = self.transient(&format!("{name}.scale"), Purpose::Quantised, 1);
        let into = QuantisedRef { packed, scales, format };
        let watch = self.watch(name);
        let (op, operand) =
            self.quantise(input.buffer, (self.rows, input.cols), into, watch, stochastic);
        ops.push(Op::Quantise(op));
        operand
    }
}

/// Input, weight and gradient of every FP8 layer, in this order.
pub(super) fn watched(model: &ModelSpec, precision: Precision) -> Vec<WatchedTensor> {
    let Precision::Fp8(recipe) = precision else { return Vec::new() };
    let mut list = Vec::new();
    for node in &model.nodes {
        if !matches!(node.layer, Layer::Dense { high_precision: false, .. }) {
            continue;
        }
        for (part, role, format) in [
            ("input", TensorRole::Activation, recipe.forward),
            ("weight", TensorRole::Weight, recipe.forward),
            ("gradient", TensorRole::Gradient, recipe.gradient),
        ] {
            list.push(WatchedTensor { name: format!("{}.{part}", node.name), role, format });
        }
    }
    list
}

//! The recipe: which tensors are quantised, and how.

use super::Matrix;
use super::builder::Compiler;
use crate::fp8::{Format, Precision, Scaling};
use crate::kernels::bf16::packed_words;
use crate::kernels::gemm::{Operand, Storage, blocks};
use crate::kernels::quantise::{Quantise, ScaleSource};
use crate::kernels::{BufferId, Op};
use crate::model::ModelSpec;
use crate::plan::{Adjustments, MasterFormat, Purpose, QuantisedRef, TensorRole, WatchedTensor};

impl Compiler<'_> {
    /// The FP8 copy of a weight, if its layer has one. Training and evaluation write it anew before
    /// every use, so one copy serves both.
    pub(super) fn quantised(&mut self, name: &str, shape: &[usize]) -> Option<QuantisedRef> {
        let recipe = self.products(name.strip_suffix(".weight")?).recipe()?;
        let (rows, cols) = (*shape.first()?, shape.iter().skip(1).product::<usize>());
        let words = rows * cols.div_ceil(4);
        let packed = self.buffer(&format!("{name}.fp8"), Purpose::Quantised, words, true);
        let count = |scaling: Scaling| {
            let (block_rows, block_cols) = scaling.block(true, rows as u32, cols as u32);
            blocks(rows as u32, cols as u32, block_rows, block_cols)
        };
        // Training may scale other blocks than evaluation.
        let adjusted = self.adjustments.rule(name).scaling.map_or(0, count);
        let count = count(recipe.scaling).max(adjusted);
        let scales = self.buffer(&format!("{name}.scales"), Purpose::Quantised, count, true);
        Some(QuantisedRef { packed, scales, format: recipe.forward })
    }

    /// The bf16 copy of a weight, where its layer needs one of an f32 master or average.
    pub(super) fn half(
        &mut self,
        name: &str,
        shape: &[usize],
        master: MasterFormat,
    ) -> Option<BufferId> {
        let bf16 = self.products(name.strip_suffix(".weight")?) == Precision::Bf16;
        let (rows, cols) = (*shape.first()?, shape.iter().skip(1).product::<usize>());
        let words = packed_words(rows as u32, cols as u32);
        let wide = master == MasterFormat::F32 || self.config.update.average.is_some();
        (bf16 && wide)
            .then(|| self.buffer(&format!("{name}.bf16"), Purpose::Quantised, words, true))
    }

    /// Whether the recipe multiplies this FP8 layer's weight gradient in f32.
    pub(super) fn high_precision_weight_gradient(&self, node: &str) -> bool {
        let scaling = self.products(node).recipe().map(|r| r.scaling);
        matches!(scaling, Some(Scaling::Rowwise { high_precision_weight_gradient: true }))
    }

    /// Quantises a matrix into given buffers.
    pub(super) fn quantise(
        &self,
        input: BufferId,
        (rows, cols): (u32, u32),
        into: QuantisedRef,
        weight: bool,
        watch: Option<u32>,
        stochastic: bool,
    ) -> (Quantise, Operand) {
        let recipe = self.config.precision.recipe().unwrap_or_default();
        let watched = watch.and_then(|w| self.watched.get(w as usize));
        let rule = watched.map(|w| self.adjustments.rule(&w.name)).unwrap_or_default();
        let scaling = rule.scaling.unwrap_or(recipe.scaling);
        let source = match (scaling, watch) {
            (Scaling::Delayed { history, algorithm }, Some(_)) => {
                ScaleSource::Delayed { history: self.io.history, length: history, algorithm }
            }
            _ => ScaleSource::Current,
        };
        let QuantisedRef { packed, scales, format } = into;
        let format = rule.format.unwrap_or(format);
        let (block_rows, block_cols) = scaling.block(weight, rows, cols);
        let op = Quantise {
            input,
            packed,
            scales,
            rows,
            cols,
            block_rows,
            block_cols,
            format,
            source,
            margin: recipe.margin + rule.margin,
            stochastic,
            watch,
            stats: self.io.stats,
            step: self.io.step,
            first_row: 0,
            all_rows: rows,
        };
        let storage = Storage::Fp8 { format, scales, block_rows, block_cols };
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
        let recipe = self.config.precision.recipe().unwrap_or_default();
        let scaling = self.adjustments.rule(name).scaling.unwrap_or(recipe.scaling);
        let (block_rows, block_cols) = scaling.block(false, self.rows, input.cols);
        let count = blocks(self.rows, input.cols, block_rows, block_cols);
        let scales = self.transient(&format!("{name}.scales"), Purpose::Quantised, count);
        let into = QuantisedRef { packed, scales, format };
        let watch = self.watch(name);
        let (op, operand) =
            self.quantise(input.buffer, (self.rows, input.cols), into, false, watch, stochastic);
        ops.push(Op::Quantise(op));
        operand
    }
}

/// Input, weight and gradient of every FP8 layer, in this order, also of those that are kept in f32
/// for now: places of statistics and history do not depend on that.
pub(super) fn watched(
    model: &ModelSpec,
    precision: Precision,
    adjustments: &Adjustments,
) -> Vec<WatchedTensor> {
    let Precision::Fp8(recipe) = precision else { return Vec::new() };
    let mut list = Vec::new();
    for node in &model.nodes {
        if !node.layer.takes_recipe() {
            continue;
        }
        for (part, role, format) in [
            ("input", TensorRole::Activation, recipe.forward),
            ("weight", TensorRole::Weight, recipe.forward),
            ("gradient", TensorRole::Gradient, recipe.gradient),
        ] {
            let name = format!("{}.{part}", node.name);
            let format = adjustments.rule(&name).format.unwrap_or(format);
            list.push(WatchedTensor { name, role, format });
        }
    }
    list
}

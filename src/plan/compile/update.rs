//! The optimiser's part of the training step.

use super::builder::Compiler;
use crate::kernels::average::Average;
use crate::kernels::bf16::packed_words;
use crate::kernels::clip::{ClipFactor, Rescale, SquareSum};
use crate::kernels::compact::{CompactAdamW, StateFormat};
use crate::kernels::elementwise::{Accumulate, Fill};
use crate::kernels::optimizer::{AdamW, SgdMomentum};
use crate::kernels::{BufferId, Op};
use crate::model::{ParamInfo, ParamKind};
use crate::plan::{MasterFormat, MomentFormat, Optimizer, PlanConfig, PlanParam, Purpose};

/// Matrices and tables with fewer values keep f32 moments: their rounding would cost more than
/// their memory.
const COMPACT_FROM: usize = 256;

/// How the state of one parameter is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct StateLayout {
    pub master: MasterFormat,
    pub first: StateFormat,
    pub second: StateFormat,
    /// Rows and columns of the optimiser's view, and its positions.
    rows: u32,
    cols: u32,
    positions: usize,
}

impl StateLayout {
    pub(super) fn new(config: &PlanConfig, info: &ParamInfo) -> Self {
        let len: usize = info.shape.iter().product();
        let is_weight = matches!(info.kind, ParamKind::Weight { .. });
        let large = (is_weight || info.kind == ParamKind::Table) && len >= COMPACT_FROM;
        let (first, second) = match config.update.moments {
            MomentFormat::Bf16Second if large => (StateFormat::F32, StateFormat::Bf16),
            MomentFormat::Fp8 if large => (StateFormat::Fp8, StateFormat::Fp8),
            _ => (StateFormat::F32, StateFormat::F32),
        };
        let master = if is_weight { config.update.master } else { MasterFormat::F32 };
        let rows = info.shape.first().copied().unwrap_or(1);
        let (rows, cols) = match master {
            MasterFormat::F32 => (1, len),
            MasterFormat::Bf16 => (rows, len / rows.max(1)),
        };
        let stride = match master {
            MasterFormat::F32 => cols,
            MasterFormat::Bf16 => cols.next_multiple_of(2),
        };
        let positions = rows * stride;
        Self { master, first, second, rows: rows as u32, cols: cols as u32, positions }
    }

    pub(super) fn weight_words(&self) -> usize {
        match self.master {
            MasterFormat::F32 => self.positions,
            MasterFormat::Bf16 => packed_words(self.rows, self.cols),
        }
    }

    /// Names and words of the moments.
    pub(super) fn moments(&self, optimizer: Optimizer) -> Vec<(&'static str, usize)> {
        match optimizer {
            Optimizer::AdamW { .. } => vec![
                ("first", self.first.words(self.positions)),
                ("second", self.second.words(self.positions)),
            ],
            Optimizer::Sgd { .. } => vec![("momentum", self.positions)],
        }
    }

    fn plain(&self) -> bool {
        self.master == MasterFormat::F32
            && self.first == StateFormat::F32
            && self.second == StateFormat::F32
    }
}

impl Compiler<'_> {
    /// The end of a training step: the update, or where several batches make one, the sum of their
    /// gradients.
    pub(super) fn update(&mut self, ops: &mut Vec<Op>) {
        if !self.config.update.sums() {
            self.updates(ops);
            return;
        }
        if let Some(limit) = self.config.update.row_clip {
            self.clip(ops, limit, |p| p.gradient);
        }
        for param in &self.params {
            if let (Some(into), Some(from)) = (param.accumulator, param.gradient) {
                let len = len(param);
                ops.push(Op::Accumulate(Accumulate { into, from, len }));
            }
        }
    }

    /// What follows the last of several batches; nothing where every batch is followed by an update.
    pub(super) fn update_step(&mut self) -> Vec<Op> {
        let mut ops = Vec::new();
        if self.config.update.sums() {
            self.updates(&mut ops);
            for param in &self.params {
                if let Some(out) = param.accumulator {
                    ops.push(Op::Fill(Fill { out, words: len(param), value: 0 }));
                }
            }
        }
        ops
    }

    fn updates(&mut self, ops: &mut Vec<Op>) {
        if let Some(limit) = self.config.update.clip_norm {
            self.clip(ops, limit, used_gradient);
        }
        let decays = |info: &ParamInfo| matches!(info.kind, ParamKind::Weight { .. });
        for (i, (param, info)) in self.params.iter().zip(self.model.parameters()).enumerate() {
            self.optimize(ops, i as u32, param, &info, decays(&info));
            if let Some(average) = param.average {
                let (rows, cols) = param.matrix();
                let packed = param.master == MasterFormat::Bf16;
                let (weight, step) = (param.weight, self.io.step);
                ops.push(Op::Average(Average { weight, packed, average, rows, cols, step }));
            }
        }
    }

    fn optimize(
        &self,
        ops: &mut Vec<Op>,
        number: u32,
        param: &PlanParam,
        info: &ParamInfo,
        decays: bool,
    ) {
        let step = self.io.step;
        let decay = |d: f32| if decays { d } else { 0.0 };
        let layout = StateLayout::new(self.config, info);
        let len = len(param);
        let (weight, Some(gradient)) = (param.weight, used_gradient(param)) else { return };
        match (self.config.optimizer, param.moments.as_slice()) {
            (Optimizer::AdamW { beta1, beta2, epsilon, weight_decay }, &[first, second]) => {
                let weight_decay = decay(weight_decay);
                ops.push(if layout.plain() {
                    Op::AdamW(AdamW {
                        weight,
                        gradient,
                        first,
                        second,
                        len,
                        beta1,
                        beta2,
                        epsilon,
                        weight_decay,
                        step,
                    })
                } else {
                    Op::CompactAdamW(CompactAdamW {
                        weight,
                        weight_format: match layout.master {
                            MasterFormat::F32 => StateFormat::F32,
                            MasterFormat::Bf16 => StateFormat::Bf16,
                        },
                        gradient,
                        first,
                        first_format: layout.first,
                        second,
                        second_format: layout.second,
                        rows: layout.rows,
                        cols: layout.cols,
                        beta1,
                        beta2,
                        epsilon,
                        weight_decay,
                        param: number,
                        step,
                    })
                });
            }
            (Optimizer::Sgd { momentum, weight_decay }, &[momentum_buffer]) => {
                ops.push(Op::SgdMomentum(SgdMomentum {
                    weight,
                    gradient,
                    momentum_buffer,
                    len,
                    momentum,
                    weight_decay: decay(weight_decay),
                    step,
                }));
            }
            _ => {}
        }
    }

    /// Scales all gradients down so that their norm together is at most `limit`.
    fn clip(&mut self, ops: &mut Vec<Op>, limit: f32, of: impl Fn(&PlanParam) -> Option<BufferId>) {
        let Some(factor) = self.gradient_norm else { return };
        let gradients: Vec<(BufferId, u32)> =
            self.params.iter().filter_map(|p| Some((of(p)?, len(p)))).collect();
        let count = gradients.len();
        let squares = self.transient("clip.squares", Purpose::Workspace, count);
        // The whole of `squares` counts as written by its first op.
        ops.push(Op::Fill(Fill { out: squares, words: count as u32, value: 0 }));
        for (at, &(x, len)) in gradients.iter().enumerate() {
            ops.push(Op::SquareSum(SquareSum { x, out: squares, at: at as u32, len }));
        }
        ops.push(Op::ClipFactor(ClipFactor { squares, len: count as u32, out: factor, limit }));
        for (x, len) in gradients {
            ops.push(Op::Rescale(Rescale { x, len, factor }));
        }
    }
}

/// What the optimiser takes: the gradient of the batch, or the sum over several; nothing for the
/// running statistics of a batch normalisation.
fn used_gradient(param: &PlanParam) -> Option<BufferId> {
    param.accumulator.or(param.gradient)
}

fn len(param: &PlanParam) -> u32 {
    param.shape.iter().product::<usize>() as u32
}

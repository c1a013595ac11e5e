//! A plan: the static list of kernel calls and the one memory plan that a model, a recipe and a
//! batch size compile to. Both executors run the same plan.

mod adjust;
pub mod compile;
pub mod memory;
mod options;

pub use adjust::{Adjustments, TensorRule};
pub use compile::{compile, compile_adjusted, compile_with_input_gradient};
pub use options::{MAX_ACCUMULATE, MasterFormat, MomentFormat, UpdateOptions};

use crate::fp8::Precision;
pub use crate::kernels::{BufferId, step_state};
use crate::kernels::{Op, Place};
use crate::model::ModelSpec;

/// Why a buffer exists; the memory ledger groups by it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Batch inputs, targets and step state.
    Input,
    /// Master weights.
    Weight,
    /// Packed FP8 and bf16 copies and their scales.
    Quantised,
    /// Values kept from forward for backward.
    Activation,
    /// Gradients.
    Gradient,
    /// Optimiser moments.
    Moment,
    /// Exponential averages of the weights.
    Average,
    /// Results read back: losses, outputs, statistics.
    Output,
    /// Scratch.
    Workspace,
}

impl Purpose {
    /// What it is, for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Input => "Rows of a batch",
            Self::Weight => "Weights",
            Self::Quantised => "8- and 16-bit copies",
            Self::Activation => "Activations",
            Self::Gradient => "Gradients",
            Self::Moment => "Optimiser moments",
            Self::Average => "Averages of weights",
            Self::Output => "Results",
            Self::Workspace => "Workspace",
        }
    }
}

/// One logical buffer.
#[derive(Debug, Clone)]
pub struct Buffer {
    /// For messages and the ledger, e.g. `dense1.weight`.
    pub name: String,
    /// Why it exists.
    pub purpose: Purpose,
    /// Length in 32-bit words, at least 1.
    pub words: usize,
    /// Keeps its content between runs of a call list (weights, moments, statistics, inputs,
    /// outputs). Others only live inside one list and may share memory.
    pub persistent: bool,
    /// Index of the physical slot that holds it; buffers whose lives do not overlap share one.
    pub slot: usize,
    /// A part of another buffer, such as a few rows of a matrix, from this word of it. Parts begin at
    /// multiples of [`PART_WORDS`].
    pub part: Option<(BufferId, usize)>,
}

/// Words whose multiples parts of buffers begin at, as every GPU can bind them.
pub const PART_WORDS: usize = 64;

impl Buffer {
    /// Where it lies.
    pub fn place(&self) -> Place {
        let offset = self.part.map_or(0, |(_, offset)| offset);
        Place { slot: self.slot, offset, words: self.words }
    }
}

/// The optimiser and its constants. The learning rate comes with each step.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Optimizer {
    /// Adam with decoupled weight decay.
    AdamW {
        /// First-moment decay, usually 0.9.
        beta1: f32,
        /// Second-moment decay, usually 0.999.
        beta2: f32,
        /// Denominator guard, usually 1e-8.
        epsilon: f32,
        /// Decoupled decay per unit of learning rate; not applied to biases, norms and tables.
        weight_decay: f32,
    },
    /// Stochastic gradient descent with momentum: as PyTorch does it.
    Sgd {
        /// μ, usually 0.9.
        momentum: f32,
        /// λ, as above.
        weight_decay: f32,
    },
}

impl Default for Optimizer {
    fn default() -> Self {
        Self::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 }
    }
}

/// What to compile.
#[derive(Debug, Clone)]
pub struct PlanConfig {
    /// Rows per step, at least 1.
    pub batch: usize,
    /// Precision of matrix products.
    pub precision: Precision,
    /// Optimiser.
    pub optimizer: Optimizer,
    /// How it stores its state, clipping, accumulation, averaging.
    pub update: UpdateOptions,
}

/// One parameter of the plan.
#[derive(Debug, Clone)]
pub struct PlanParam {
    /// Same name as in `model::init`.
    pub name: String,
    /// Row-major shape.
    pub shape: Vec<usize>,
    /// Master weights: f32, or packed bf16 ([`crate::kernels::bf16`]) as [`Self::matrix`].
    pub weight: BufferId,
    /// Which of the two.
    pub master: MasterFormat,
    /// Gradient, f32; none for the running statistics of a batch normalisation.
    pub gradient: Option<BufferId>,
    /// Sum of the gradients of several batches, f32, where these make one update.
    pub accumulator: Option<BufferId>,
    /// `[momentum]` or `[first, second]`, f32 unless [`UpdateOptions`] says otherwise; none without
    /// a gradient.
    pub moments: Vec<BufferId>,
    /// Exponential average, f32, where evaluation uses one.
    pub average: Option<BufferId>,
    /// Packed FP8 copy made by `prepare_eval`, where the precision has one.
    pub quantised: Option<QuantisedRef>,
    /// Packed bf16 copy made by `prepare_eval`, where the precision has one.
    pub half: Option<BufferId>,
}

impl PlanParam {
    /// Rows and columns of the parameter as a matrix: its first dimension and all others.
    pub fn matrix(&self) -> (u32, u32) {
        let rows = self.shape.first().copied().unwrap_or(1);
        (rows as u32, self.shape.iter().skip(1).product::<usize>() as u32)
    }
}

/// A packed FP8 matrix and where its scales are.
#[derive(Debug, Clone, Copy)]
pub struct QuantisedRef {
    /// Codes.
    pub packed: BufferId,
    /// Scale exponents (i32), one per block.
    pub scales: BufferId,
    /// Format of the codes.
    pub format: crate::fp8::Format,
}

/// One tensor whose quantisation is watched. Entry `i` owns words
/// `i * STAT_WORDS ..` of [`Plan::stats`].
#[derive(Debug, Clone)]
pub struct WatchedTensor {
    /// e.g. `dense1.weight`, `dense1.input`, `dense1.gradient`.
    pub name: String,
    /// Its role.
    pub role: TensorRole,
    /// Format it is quantised to.
    pub format: crate::fp8::Format,
}

/// Role of a quantised tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TensorRole {
    /// Layer weight.
    Weight,
    /// Layer input.
    Activation,
    /// Gradient with respect to the layer output.
    Gradient,
}

fn kept(params: &[PlanParam], lean: bool, input_gradient: Option<BufferId>) -> Vec<BufferId> {
    let gradients = params.iter().filter(|_| !lean).filter_map(|p| p.gradient);
    gradients.chain(input_gradient).collect()
}

/// A compiled plan.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The model it was compiled from.
    pub model: ModelSpec,
    /// What it was compiled with.
    pub config: PlanConfig,
    /// Departures from the recipe.
    pub adjustments: Adjustments,
    /// All logical buffers.
    pub buffers: Vec<Buffer>,
    /// Words of each physical slot.
    pub slots: Vec<usize>,
    /// Parameters in the order of `model::init`.
    pub params: Vec<PlanParam>,
    /// Quantised tensors in the order of the stats buffer; empty for f32.
    pub watched: Vec<WatchedTensor>,
    /// One training step: forward, loss, backward, and the update or, where several batches make
    /// one, the sum of their gradients.
    pub train_step: Vec<Op>,
    /// The update that follows the last of [`UpdateOptions::accumulate`] steps; else empty.
    pub update_step: Vec<Op>,
    /// Run once after weights changed and before `eval_step`: rounds weights (their averages, where
    /// there are some) to FP8 with current scaling, or to bf16. Weights are rounded in evaluation, activations stay f32, so that a prediction does not
    /// depend on the rows beside it and an exported file predicts the same.
    pub prepare_eval: Vec<Op>,
    /// Forward without dropout, outputs and per-row losses, of up to [`Self::eval_rows`] rows.
    pub eval_step: Vec<Op>,
    /// Rows of an `eval_step`: the batch, or less where memory is short.
    pub eval_rows: usize,
    /// Dense inputs, f32 `[batch, input.dense]`; 1 word when there are none.
    pub dense: BufferId,
    /// Category indices, u32 `[batch, embeddings]`; 1 word when there are none.
    pub categories: BufferId,
    /// Class indices (u32) or standardised values (f32), `[batch]`.
    pub targets: BufferId,
    /// Per-sample loss weights, f32 `[batch]` (1 unless rows are reweighted).
    pub sample_weights: BufferId,
    /// Step state, see [`step_state`].
    pub step: BufferId,
    /// Per-row losses of the last step, f32 `[batch]`, zero for padding.
    pub losses: BufferId,
    /// Sum of `losses`, f32 `[1]`; the mean loss is this / valid.
    pub loss_sum: BufferId,
    /// Logits or values of the last `eval_step`, f32 `[batch, head.outputs()]`.
    pub outputs: BufferId,
    /// Statistics of every watched tensor.
    pub stats: BufferId,
    /// amax history of every watched tensor, f32 `[watched, 1024]` (delayed scaling; else 1 word).
    pub history: BufferId,
    /// Norm of all gradients of the last update before clipping, and the factor that they were
    /// scaled by, f32 `[2]`; none without clipping.
    pub gradient_norm: Option<BufferId>,
    /// Gradient of the mean loss with respect to what the first layer sees, f32
    /// `[batch, input.width()]`; only of [`compile_with_input_gradient`].
    pub input_gradient: Option<BufferId>,
}

impl Plan {
    /// All call lists.
    pub fn lists(&self) -> [&[Op]; 4] {
        [&self.train_step, &self.update_step, &self.prepare_eval, &self.eval_step]
    }

    /// Every buffer that a later step depends on, by a name that is unique within the plan: weights,
    /// moments, averages, sums of gradients, the amax history. A checkpoint of these is complete:
    /// random numbers are functions of seed and step.
    pub fn state(&self) -> Vec<(&str, BufferId)> {
        let kept = |(i, b): (usize, &Buffer)| {
            b.persistent
                && b.part.is_none()
                && (matches!(
                    b.purpose,
                    Purpose::Weight | Purpose::Moment | Purpose::Average | Purpose::Gradient
                ) || i == self.history.index())
        };
        let all = self.buffers.iter().enumerate().filter(|(i, b)| kept((*i, *b)));
        all.map(|(i, b)| (b.name.as_str(), BufferId(i as u32))).collect()
    }

    /// Buffers that outlive their last use to the end of the training step, so that the host can
    /// read them: all gradients, unless memory is short.
    pub fn kept(&self) -> Vec<BufferId> {
        kept(&self.params, self.config.update.lean, self.input_gradient)
    }

    /// Where every buffer lies.
    pub fn places(&self) -> Vec<Place> {
        self.buffers.iter().map(Buffer::place).collect()
    }

    /// Bytes that the plan's memory takes.
    pub fn bytes(&self) -> u64 {
        self.slots.iter().map(|words| 4 * *words as u64).sum()
    }

    /// A buffer by name, for tests and messages.
    pub fn buffer(&self, name: &str) -> Option<BufferId> {
        self.buffers.iter().position(|b| b.name == name).map(|i| BufferId(i as u32))
    }
}

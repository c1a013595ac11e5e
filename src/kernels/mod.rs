//! Kernels: one file per op family, holding its parameters, the WGSL shader that it names
//! (`shaders/<family>.wgsl`) and its native CPU twin of the same name.

pub mod activation;
pub mod average;
pub mod batch_norm;
pub mod bf16;
pub mod channel;
pub mod clip;
pub mod compact;
pub mod conv;
pub mod dispatch;
pub mod dropout;
pub mod elementwise;
pub mod embedding;
pub mod gemm;
pub mod gemm_bf16;
pub mod layer_norm;
pub mod loss;
mod math;
pub mod optimizer;
mod parallel;
pub mod pool;
pub mod quantise;
pub mod reduce;
mod simd;
pub mod slots;

pub use slots::{Place, ScratchNeed, Slots};

use crate::device::Capabilities;

/// Names one logical buffer of a plan. All buffers are arrays of 32-bit words; f32 data is held as
/// its bits, FP8 data four codes to a word (little-endian, each matrix row starting on a word).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub u32);

impl BufferId {
    /// As an index into the plan's buffers.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Name of one of the ways in which a GPU can run an op. All of them give the same bits, so which one
/// is used decides nothing but speed.
pub type Variant = &'static str;

/// Layout of the step-state buffer that kernels read; all words are u32 or f32 bits.
pub mod step_state {
    /// Words in the buffer.
    pub const WORDS: usize = 16;
    /// Step number from 1 (u32), for bias correction and dropout.
    pub const STEP: usize = 0;
    /// Rows of the batch that are real samples (u32); the rest are zero padding.
    pub const VALID: usize = 1;
    /// Run seed (u32), for dropout and stochastic rounding.
    pub const SEED: usize = 2;
    /// Learning rate (f32).
    pub const LEARNING_RATE: usize = 3;
    /// 1/(1−β1^step) (f32), computed on the host in f64.
    pub const BETA1_CORRECTION: usize = 4;
    /// 1/(1−β2^step) (f32), computed on the host in f64.
    pub const BETA2_CORRECTION: usize = 5;
    /// Gradient scale (f32): 1/valid, over the batches of an update where there are several.
    pub const INV_VALID: usize = 6;
    /// Rate of the exponential average of parameters (f32): 1 − its decay in this update.
    pub const AVERAGE_RATE: usize = 7;
}

/// One kernel call of a plan.
#[derive(Debug, Clone)]
pub enum Op {
    /// See [`quantise::Quantise`].
    Quantise(quantise::Quantise),
    /// See [`bf16::ToBf16`].
    ToBf16(bf16::ToBf16),
    /// See [`bf16::FromBf16`].
    FromBf16(bf16::FromBf16),
    /// See [`gemm::Gemm`].
    Gemm(gemm::Gemm),
    /// See [`activation::BiasActivation`].
    BiasActivation(activation::BiasActivation),
    /// See [`activation::ActivationBackward`].
    ActivationBackward(activation::ActivationBackward),
    /// See [`reduce::ColumnSum`].
    ColumnSum(reduce::ColumnSum),
    /// See [`reduce::Sum`].
    Sum(reduce::Sum),
    /// See [`dropout::Dropout`].
    Dropout(dropout::Dropout),
    /// See [`layer_norm::LayerNorm`].
    LayerNorm(layer_norm::LayerNorm),
    /// See [`layer_norm::LayerNormBackward`].
    LayerNormBackward(layer_norm::LayerNormBackward),
    /// See [`embedding::Embed`].
    Embed(embedding::Embed),
    /// See [`embedding::EmbedBackward`].
    EmbedBackward(embedding::EmbedBackward),
    /// See [`loss::SoftmaxCrossEntropy`].
    SoftmaxCrossEntropy(loss::SoftmaxCrossEntropy),
    /// See [`loss::MeanSquaredError`].
    MeanSquaredError(loss::MeanSquaredError),
    /// See [`optimizer::AdamW`].
    AdamW(optimizer::AdamW),
    /// See [`optimizer::SgdMomentum`].
    SgdMomentum(optimizer::SgdMomentum),
    /// See [`conv::Conv`].
    Conv(conv::Conv),
    /// See [`conv::ConvInputGradient`].
    ConvInputGradient(conv::ConvInputGradient),
    /// See [`conv::ConvWeightGradient`].
    ConvWeightGradient(conv::ConvWeightGradient),
    /// See [`channel::ChannelBackward`].
    ChannelBackward(channel::ChannelBackward),
    /// See [`channel::Add`].
    Add(channel::Add),
    /// See [`pool::MaxPool`].
    MaxPool(pool::MaxPool),
    /// See [`pool::MaxPoolBackward`].
    MaxPoolBackward(pool::MaxPoolBackward),
    /// See [`pool::AvgPool`].
    AvgPool(pool::AvgPool),
    /// See [`pool::AvgPoolBackward`].
    AvgPoolBackward(pool::AvgPoolBackward),
    /// See [`batch_norm::BatchNorm`].
    BatchNorm(batch_norm::BatchNorm),
    /// See [`batch_norm::BatchNormEval`].
    BatchNormEval(batch_norm::BatchNormEval),
    /// See [`batch_norm::BatchNormBackward`].
    BatchNormBackward(batch_norm::BatchNormBackward),
    /// See [`average::Average`].
    Average(average::Average),
    /// See [`compact::CompactAdamW`].
    CompactAdamW(compact::CompactAdamW),
    /// See [`clip::SquareSum`].
    SquareSum(clip::SquareSum),
    /// See [`clip::ClipFactor`].
    ClipFactor(clip::ClipFactor),
    /// See [`clip::Rescale`].
    Rescale(clip::Rescale),
    /// See [`elementwise::Accumulate`].
    Accumulate(elementwise::Accumulate),
    /// See [`elementwise::Fill`].
    Fill(elementwise::Fill),
}

/// One buffer that an op touches, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Which.
    pub buffer: BufferId,
    /// Words from its start that the op may touch.
    pub words: usize,
    /// Its content before the op matters.
    pub reads: bool,
    /// The op changes it.
    pub writes: bool,
}

impl Access {
    /// Only read.
    pub fn read(buffer: BufferId, words: usize) -> Self {
        Self { buffer, words, reads: true, writes: false }
    }

    /// Overwritten.
    pub fn write(buffer: BufferId, words: usize) -> Self {
        Self { buffer, words, reads: false, writes: true }
    }

    /// Changed in place.
    pub fn update(buffer: BufferId, words: usize) -> Self {
        Self { buffer, words, reads: true, writes: true }
    }
}

/// Calls the same method of whatever op it is.
macro_rules! each_op {
    ($op:expr, $inner:ident => $call:expr) => {
        match $op {
            Op::Quantise($inner) => $call,
            Op::ToBf16($inner) => $call,
            Op::FromBf16($inner) => $call,
            Op::Gemm($inner) => $call,
            Op::BiasActivation($inner) => $call,
            Op::ActivationBackward($inner) => $call,
            Op::ColumnSum($inner) => $call,
            Op::Sum($inner) => $call,
            Op::Dropout($inner) => $call,
            Op::LayerNorm($inner) => $call,
            Op::LayerNormBackward($inner) => $call,
            Op::Embed($inner) => $call,
            Op::EmbedBackward($inner) => $call,
            Op::SoftmaxCrossEntropy($inner) => $call,
            Op::MeanSquaredError($inner) => $call,
            Op::AdamW($inner) => $call,
            Op::SgdMomentum($inner) => $call,
            Op::Conv($inner) => $call,
            Op::ConvInputGradient($inner) => $call,
            Op::ConvWeightGradient($inner) => $call,
            Op::ChannelBackward($inner) => $call,
            Op::Add($inner) => $call,
            Op::MaxPool($inner) => $call,
            Op::MaxPoolBackward($inner) => $call,
            Op::AvgPool($inner) => $call,
            Op::AvgPoolBackward($inner) => $call,
            Op::BatchNorm($inner) => $call,
            Op::BatchNormEval($inner) => $call,
            Op::BatchNormBackward($inner) => $call,
            Op::Average($inner) => $call,
            Op::CompactAdamW($inner) => $call,
            Op::SquareSum($inner) => $call,
            Op::ClipFactor($inner) => $call,
            Op::Rescale($inner) => $call,
            Op::Accumulate($inner) => $call,
            Op::Fill($inner) => $call,
        }
    };
}

impl Op {
    /// Runs the native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        each_op!(self, op => op.cpu(slots));
    }

    /// Ways in which a GPU of these capabilities can run it, the usual one first. Most have one only.
    pub fn variants(&self, can: &Capabilities) -> Vec<Variant> {
        match self {
            Op::Gemm(op) => op.variants(can),
            Op::Conv(op) => op.variants(),
            Op::ConvInputGradient(op) => op.variants(),
            Op::ConvWeightGradient(op) => op.variants(),
            Op::Quantise(op) => op.variants(can),
            _ => Vec::new(),
        }
    }

    /// What decides which variant is the fastest, in words; `None` where there is nothing to choose.
    pub fn speed_key(&self) -> Option<String> {
        match self {
            Op::Gemm(op) => Some(op.speed_key()),
            Op::Conv(op) => op.speed_key(),
            Op::ConvInputGradient(op) => op.speed_key(),
            Op::ConvWeightGradient(op) => op.speed_key(),
            Op::Quantise(op) => Some(op.speed_key()),
            _ => None,
        }
    }

    /// Contents for what it reads, to measure it with; where there are none, zeros do.
    pub fn sample(&self) -> Vec<(BufferId, Vec<u32>)> {
        match self {
            Op::Gemm(op) => op.sample(),
            Op::Conv(op) => op.sample(),
            Op::ConvInputGradient(op) => op.sample(),
            Op::ConvWeightGradient(op) => op.sample(),
            Op::Quantise(op) => op.sample(),
            _ => Vec::new(),
        }
    }

    /// Dispatches of its shader in one of its variants, `None` for the usual one; with `full_stats`
    /// false only amax and scale of the statistics.
    pub fn gpu(&self, full_stats: bool, variant: Option<&str>) -> Vec<Dispatch> {
        match self {
            Op::Quantise(op) => op.gpu(full_stats, variant),
            Op::ToBf16(op) => op.gpu(),
            Op::FromBf16(op) => op.gpu(),
            Op::Gemm(op) => op.gpu(variant),
            Op::BiasActivation(op) => op.gpu(),
            Op::ActivationBackward(op) => op.gpu(),
            Op::ColumnSum(op) => op.gpu(),
            Op::Sum(op) => op.gpu(),
            Op::Dropout(op) => op.gpu(),
            Op::LayerNorm(op) => op.gpu(),
            Op::LayerNormBackward(op) => op.gpu(),
            Op::Embed(op) => op.gpu(),
            Op::EmbedBackward(op) => op.gpu(),
            Op::SoftmaxCrossEntropy(op) => op.gpu(),
            Op::MeanSquaredError(op) => op.gpu(),
            Op::AdamW(op) => op.gpu(),
            Op::SgdMomentum(op) => op.gpu(),
            Op::Conv(op) => op.gpu(variant),
            Op::ConvInputGradient(op) => op.gpu(variant),
            Op::ConvWeightGradient(op) => op.gpu(variant),
            Op::ChannelBackward(op) => op.gpu(),
            Op::Add(op) => op.gpu(),
            Op::MaxPool(op) => op.gpu(),
            Op::MaxPoolBackward(op) => op.gpu(),
            Op::AvgPool(op) => op.gpu(),
            Op::AvgPoolBackward(op) => op.gpu(),
            Op::BatchNorm(op) => op.gpu(),
            Op::BatchNormEval(op) => op.gpu(),
            Op::BatchNormBackward(op) => op.gpu(),
            Op::Average(op) => op.gpu(),
            Op::CompactAdamW(op) => op.gpu(),
            Op::SquareSum(op) => op.gpu(),
            Op::ClipFactor(op) => op.gpu(),
            Op::Rescale(op) => op.gpu(),
            Op::Accumulate(op) => op.gpu(),
            Op::Fill(op) => op.gpu(),
        }
    }

    /// Scratch that its native twin takes from [`Slots`].
    pub fn scratch(&self) -> ScratchNeed {
        match self {
            Op::Gemm(op) => op.scratch(),
            Op::Conv(op) => op.scratch(),
            Op::ConvInputGradient(op) => op.scratch(),
            Op::ConvWeightGradient(op) => op.scratch(),
            Op::ChannelBackward(op) => op.scratch(),
            Op::BatchNorm(op) => op.scratch(),
            Op::BatchNormEval(op) => op.scratch(),
            Op::BatchNormBackward(op) => op.scratch(),
            Op::Quantise(op) => op.scratch(),
            Op::SquareSum(op) => op.scratch(),
            _ => ScratchNeed::default(),
        }
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        each_op!(self, op => op.access())
    }
}

/// How one WGSL entry point is dispatched for one op. Binding `i` of group 0 is `buffers[i]`
/// (storage, read-write where it is marked as written; `array<u32>` or `array<f32>` as the shader
/// declares); the last binding is a uniform of `params`.
#[derive(Debug, Clone)]
pub struct Dispatch {
    /// File name under `shaders/`, for messages and the pipeline cache.
    pub shader: &'static str,
    /// WGSL source, shared parts included.
    pub source: std::borrow::Cow<'static, str>,
    /// Entry point.
    pub entry: &'static str,
    /// Storage buffers in binding order; `true` marks those written.
    pub buffers: Vec<(BufferId, bool)>,
    /// Uniform words, padded to a multiple of four by the engine.
    pub params: Vec<u32>,
    /// Workgroups; more than 65,535 in x are folded into y by
    /// [`crate::device::launch::fold_groups`].
    pub groups: [u32; 3],
}

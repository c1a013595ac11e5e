//! Quantise: f32 matrix to packed FP8 with power-of-two scales, statistics fused.

use super::BufferId;
use crate::fp8::{AmaxAlgorithm, Format};

/// How the scale of this call is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScaleSource {
    /// From the live amax of each block.
    Current,
    /// From this tensor's amax history; the live amax is then pushed into it. One block only.
    /// While the history is empty (first step) the live amax is used.
    Delayed {
        /// f32 history of all watched tensors, 1024 words each.
        history: BufferId,
        /// Steps remembered.
        length: u32,
        /// How the history becomes one amax.
        algorithm: AmaxAlgorithm,
    },
}

/// Quantises `input` `[rows, cols]` to `packed` `[rows, ceil(cols/4)]` words.
///
/// Blocks are `block_rows × block_cols` (whole matrix: one scale; `1 × cols`: one per row). Scale
/// exponents (i32) go to `scales` at `(r / block_rows) * ceil(cols / block_cols) + c / block_cols`.
/// Non-finite values do not count towards amax; NaN stays NaN, infinities saturate; bytes past
/// `cols` in the last word of a row are 0. Exponent selection and encoding use integer arithmetic
/// on the bits, so every executor writes the same bytes.
#[derive(Debug, Clone, Copy)]
pub struct Quantise {
    /// f32 `[rows, cols]`.
    pub input: BufferId,
    /// FP8 out.
    pub packed: BufferId,
    /// i32 exponents out.
    pub scales: BufferId,
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub cols: u32,
    /// Rows of a block.
    pub block_rows: u32,
    /// Columns of a block.
    pub block_cols: u32,
    /// Target format.
    pub format: Format,
    /// Where the scale comes from.
    pub source: ScaleSource,
    /// Extra powers of two of headroom.
    pub margin: u32,
    /// Stochastic rounding from a counter hash of (seed, step, tensor, element index).
    pub stochastic: bool,
    /// Index among the watched tensors: where statistics (and history) go; `None` writes none.
    pub watch: Option<u32>,
    /// Stats buffer.
    pub stats: BufferId,
    /// Step state.
    pub step: BufferId,
}

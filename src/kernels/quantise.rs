//! Quantise: f32 matrix to packed FP8 with power-of-two scales, statistics fused.

use super::BufferId;
use crate::fp8::{AmaxAlgorithm, Format};

/// How the scale of this call is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScaleSource {
    /// From the live amax of each block.
    Current,
    /// From this tensor's amax history; the live amax is then written into it. One block only;
    /// needs `watch`.
    ///
    /// The history is a ring of `length` words (1..=1024) from word `watch * 1024`, indexed by step
    /// (from 1). `Max` takes the largest of its `length` words, `MostRecent` word
    /// `(step - 2) mod length` (`(step + length - 2) % length`). If that is 0 (nothing recorded yet)
    /// the live amax is used instead. Afterwards word `(step - 1) % length` becomes the live amax.
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
///
/// Exact rules, with `a = bits & 0x7fffffff` and `b`, `M` the format's bias and mantissa bits:
/// * NaN (`a > 0x7f800000`) becomes sign | 0x7F (E4M3) or sign | 0x7E (E5M2); infinity becomes
///   sign | max code (0x7E, 0x7B); an f32 subnormal or zero (`a < 0x00800000`) becomes sign | 0.
/// * Otherwise `m = (a & 0x7fffff) | 0x800000`, `E = (a >> 23) - 127 - exponent`,
///   `shift = 23 - M + max(0, 1 - b - E)`, `base = max(E + b - 1, 0) << M`,
///   `code = min(base + q, max code)`, with
///   nearest-even `q = (m + (1 << (shift-1)) - 1 + (m >> shift & 1)) >> shift` (0 if shift > 25), or
///   stochastic `q = (m + (h & ((1 << shift) - 1))) >> shift` (0 if shift > 31) with
///   `h = hash::bits(hash::key(seed, step, ROUNDING_STREAM + (watch or UNWATCHED)), r * cols + c)`.
/// * Statistics: see [`crate::fp8::stats`]. The error is `x - decode(code)·2^exponent` in f32.
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

//! What quantisation did to one tensor in one step, and its layout in a device buffer.

use serde::{Deserialize, Serialize};

/// Words (u32) that one tensor's statistics take in the stats buffer:
/// `[amax bits, scale exponent (i32), count, saturated, flushed, subnormal, nan,
///   signal energy (f32), error energy (f32), 7 spare (0), 64 exponent bins]`.
///
/// With several blocks the scale exponent is the largest of them. Every element of the matrix
/// counts, padding rows of a short batch included.
pub const STAT_WORDS: usize = 80;
/// First word of the exponent histogram.
pub const STAT_HISTOGRAM: usize = 16;
/// Number of exponent bins; bin `b` counts finite non-zero inputs with
/// floor(log2|x|) = b + [`HISTOGRAM_MIN_EXPONENT`], the ends taking what lies beyond:
/// `b = clamp((bits >> 23 & 255) - 127 + 48, 0, 63)`, so f32 subnormals are in bin 0.
pub const HISTOGRAM_BINS: usize = 64;
/// Exponent of bin 0.
pub const HISTOGRAM_MIN_EXPONENT: i32 = -48;

/// Statistics of one quantisation. Counts are of elements; `amax` is over finite values only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TensorStats {
    /// Largest finite absolute value.
    pub amax: f32,
    /// Exponent of the scale used.
    pub scale_exponent: i32,
    /// Elements seen.
    pub count: u32,
    /// Infinities, and finite values with |x| > max·2^exponent, compared exactly on bits before
    /// rounding: exponent field above that of max·2^exponent, or equal and mantissa field above
    /// 0x600000 (both maxima are 1.75·2^n).
    pub saturated: u32,
    /// Non-zero finite values (f32 subnormals included) whose code is ±0.
    pub flushed: u32,
    /// Values whose code is subnormal: magnitude bits 1..=7 in E4M3, 1..=3 in E5M2.
    pub subnormal: u32,
    /// NaN inputs.
    pub nan: u32,
    /// Sum of squares of the finite inputs (f32 sums in any order).
    pub signal: f32,
    /// Sum of squared differences between the finite inputs and their decoded codes.
    pub error: f32,
    /// Inputs per binary exponent.
    pub histogram: Vec<u32>,
}

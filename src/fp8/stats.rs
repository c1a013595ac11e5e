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

/// Bin of an f32's bits (finite, not zero).
#[inline]
pub fn histogram_bin(bits: u32) -> usize {
    let exponent = (bits >> 23 & 255) as i32 - 127;
    (exponent - HISTOGRAM_MIN_EXPONENT).clamp(0, HISTOGRAM_BINS as i32 - 1) as usize
}

impl Default for TensorStats {
    fn default() -> Self {
        Self {
            amax: 0.0,
            scale_exponent: 0,
            count: 0,
            saturated: 0,
            flushed: 0,
            subnormal: 0,
            nan: 0,
            signal: 0.0,
            error: 0.0,
            histogram: vec![0; HISTOGRAM_BINS],
        }
    }
}

impl TensorStats {
    /// From the words of one tensor; `None` if there are fewer than [`STAT_WORDS`].
    pub fn from_words(words: &[u32]) -> Option<Self> {
        let histogram = words.get(STAT_HISTOGRAM..STAT_WORDS)?.to_vec();
        let &[amax, scale, count, saturated, flushed, subnormal, nan, signal, error, ..] = words
        else {
            return None;
        };
        Some(Self {
            amax: f32::from_bits(amax),
            scale_exponent: scale as i32,
            count,
            saturated,
            flushed,
            subnormal,
            nan,
            signal: f32::from_bits(signal),
            error: f32::from_bits(error),
            histogram,
        })
    }

    /// As the words of one tensor.
    pub fn to_words(&self) -> [u32; STAT_WORDS] {
        let mut words = [0; STAT_WORDS];
        let head = [
            self.amax.to_bits(),
            self.scale_exponent as u32,
            self.count,
            self.saturated,
            self.flushed,
            self.subnormal,
            self.nan,
            self.signal.to_bits(),
            self.error.to_bits(),
        ];
        words[..head.len()].copy_from_slice(&head);
        for (word, bin) in words[STAT_HISTOGRAM..].iter_mut().zip(&self.histogram) {
            *word = *bin;
        }
        words
    }

    /// Signal to quantisation-noise ratio in decibels, 10·log10(signal / error): infinite when
    /// nothing was lost, `None` when there was no finite signal.
    pub fn sqnr_db(&self) -> Option<f32> {
        let usable = self.signal > 0.0 && self.signal.is_finite() && self.error.is_finite();
        usable.then(|| (10.0 * (f64::from(self.signal) / f64::from(self.error)).log10()) as f32)
    }

    /// Shares of elements that saturated, became zero and became subnormal.
    pub fn shares(&self) -> [f32; 3] {
        let n = self.count.max(1) as f32;
        [self.saturated, self.flushed, self.subnormal].map(|v| v as f32 / n)
    }
}

/// Adds the statistics of further elements of a tensor, both as words. The number of elements, which
/// is that of the whole tensor from the start, stays.
pub(crate) fn merge_words(into: &mut [u32], other: &[u32; STAT_WORDS]) {
    for (i, (a, b)) in into.iter_mut().zip(other).enumerate() {
        match i {
            // amax: f32 bits without a sign are ordered like numbers.
            0 => *a = (*a).max(*b),
            1 => *a = (*a as i32).max(*b as i32) as u32,
            2 => {}
            7 | 8 => *a = (f32::from_bits(*a) + f32::from_bits(*b)).to_bits(),
            _ => *a += b,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip() {
        let stats = TensorStats {
            amax: 3.5,
            scale_exponent: -7,
            count: 100,
            saturated: 1,
            flushed: 2,
            subnormal: 3,
            nan: 4,
            signal: 1000.0,
            error: 1.0,
            histogram: (0..64).collect(),
        };
        let words = stats.to_words();
        assert_eq!(TensorStats::from_words(&words), Some(stats.clone()));
        assert_eq!(TensorStats::from_words(&words[..STAT_WORDS - 1]), None);
        assert_eq!(stats.sqnr_db(), Some(30.0));
        assert_eq!(stats.shares(), [0.01, 0.02, 0.03]);
        assert_eq!(TensorStats::default().sqnr_db(), None);
    }

    #[test]
    fn bins_follow_the_exponent() {
        assert_eq!(histogram_bin(1f32.to_bits()), 48);
        assert_eq!(histogram_bin((-1.99f32).to_bits()), 48);
        assert_eq!(histogram_bin(2f32.to_bits()), 49);
        assert_eq!(histogram_bin(1), 0);
        assert_eq!(histogram_bin(f32::MAX.to_bits()), 63);
        assert_eq!(histogram_bin(2f32.powi(-48).to_bits()), 0);
        assert_eq!(histogram_bin(2f32.powi(-47).to_bits()), 1);
    }
}

//! The one counter hash behind stochastic rounding, dropout and initial values.
//!
//! It is plain 32-bit wrapping arithmetic, so that a shader computes the same bits:
//!
//! ```text
//! mix(x):  x ^= x >> 16; x *= 0x7feb352d; x ^= x >> 15; x *= 0x846ca68b; x ^= x >> 16
//! key(seed, step, stream) = mix(mix(mix(seed + 0x9e3779b9) + step) + stream)
//! bits(key, index)        = mix(key ^ mix(index))
//! ```
//!
//! `mix` is Wellons' lowbias32 and a bijection, so one key never repeats a value over all indices.
//! The stream tells the users apart: see [`ROUNDING_STREAM`], [`STATE_STREAM`] and
//! [`DROPOUT_STREAM`].

/// Stochastic rounding of watched tensor `t` uses stream `ROUNDING_STREAM + t`, of an unwatched
/// tensor `ROUNDING_STREAM + UNWATCHED`.
pub const ROUNDING_STREAM: u32 = 0;
/// Stands for the tensor number of a tensor that is not watched.
pub const UNWATCHED: u32 = 0xffff;
/// Rounding of array `a` (0, 1, 2) of the optimiser's state of parameter `p` uses stream
/// `STATE_STREAM + 4p + a`.
pub const STATE_STREAM: u32 = 0x4000_0000;
/// Dropout of layer `l` uses stream `DROPOUT_STREAM + l`.
pub const DROPOUT_STREAM: u32 = 0x8000_0000;

/// Mixes 32 bits.
#[inline(always)]
pub const fn mix(x: u32) -> u32 {
    let x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    let x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// The key of one stream at one step.
#[inline]
pub const fn key(seed: u32, step: u32, stream: u32) -> u32 {
    mix(mix(mix(seed.wrapping_add(0x9e37_79b9)).wrapping_add(step)).wrapping_add(stream))
}

/// 32 random bits for element `index` under `key`.
#[inline(always)]
pub const fn bits(key: u32, index: u32) -> u32 {
    mix(key ^ mix(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        // A shader repeats these; see the device self-test.
        assert_eq!(mix(0), 0);
        assert_eq!(mix(1), 0x6889_90c0);
        assert_eq!(bits(key(1, 2, 3), 4), mix(key(1, 2, 3) ^ mix(4)));
    }

    #[test]
    fn bits_are_balanced_and_streams_differ() {
        let a = key(7, 1, DROPOUT_STREAM);
        let b = key(7, 1, DROPOUT_STREAM + 1);
        let n = 1u32 << 16;
        for bit in 0..32 {
            let ones = (0..n).filter(|&i| bits(a, i) >> bit & 1 == 1).count() as f64;
            assert!((ones / f64::from(n) - 0.5).abs() < 0.01, "bit {bit}: {ones}");
            let same = (0..n).filter(|&i| (bits(a, i) ^ bits(b, i)) >> bit & 1 == 0).count() as f64;
            assert!((same / f64::from(n) - 0.5).abs() < 0.01, "bit {bit}: {same}");
        }
    }
}

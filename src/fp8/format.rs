//! The two FP8 formats and their codec (E4M3 "fn" and E5M2, OCP 8-bit floating point).
//!
//! Encoding is integer arithmetic on the bits of an f32, so that every executor, with or without
//! f32 subnormals, writes the same byte.

use serde::{Deserialize, Serialize};

/// An 8-bit floating-point format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// 4 exponent bits, 3 mantissa bits, bias 7, max 448, no infinity, NaN 0x7F and 0xFF.
    E4M3,
    /// 5 exponent bits, 2 mantissa bits, bias 15, max 57344, infinities and NaNs.
    E5M2,
}

/// The constants of a format, known at compile time so that loops over slices vectorise.
pub(super) trait Spec {
    const BIAS: i32;
    const MANTISSA: u32;
    /// Magnitude bits of the largest finite value.
    const MAX: u32;
    /// Magnitude bits of the NaN that an encoder writes.
    const NAN: u32;
    /// The largest finite value is 1.75 · 2^MAX_EXPONENT.
    const MAX_EXPONENT: i32;
    /// Smallest subnormal, exact in f32.
    const TINY: f32;
    /// Magnitudes from here on are not finite.
    const FIRST_NON_FINITE: u32;
    /// Whether `FIRST_NON_FINITE` is an infinity.
    const HAS_INFINITY: bool;
}

pub(super) struct E4m3;
impl Spec for E4m3 {
    const BIAS: i32 = 7;
    const MANTISSA: u32 = 3;
    const MAX: u32 = 0x7e;
    const NAN: u32 = 0x7f;
    const MAX_EXPONENT: i32 = 8;
    const TINY: f32 = 1.0 / 512.0;
    const FIRST_NON_FINITE: u32 = 0x7f;
    const HAS_INFINITY: bool = false;
}

pub(super) struct E5m2;
impl Spec for E5m2 {
    const BIAS: i32 = 15;
    const MANTISSA: u32 = 2;
    const MAX: u32 = 0x7b;
    const NAN: u32 = 0x7e;
    const MAX_EXPONENT: i32 = 15;
    const TINY: f32 = 1.0 / 65536.0;
    const FIRST_NON_FINITE: u32 = 0x7c;
    const HAS_INFINITY: bool = true;
}

const ABS: u32 = 0x7fff_ffff;
const INFINITY: u32 = 0x7f80_0000;
const SMALLEST_NORMAL: u32 = 0x0080_0000;

/// What both roundings share: significand with its hidden bit, bits to drop, and the code that the
/// kept bits are added to (the hidden bit carries into the exponent field).
#[inline(always)]
fn split<S: Spec>(a: u32, exponent: i32) -> (u32, u32, u32) {
    let m = (a & 0x007f_ffff) | 0x0080_0000;
    let e = (a >> 23) as i32 - 127 - exponent;
    let shift = (23 - S::MANTISSA as i32 + (1 - S::BIAS - e).max(0)) as u32;
    let base = ((e + S::BIAS - 1).max(0) as u32) << S::MANTISSA;
    (m, shift, base)
}

#[inline(always)]
fn finish<S: Spec>(bits: u32, code: u32) -> u8 {
    let a = bits & ABS;
    let code = if code > S::MAX { S::MAX } else { code };
    let code = if a < SMALLEST_NORMAL { 0 } else { code };
    let code = if a >= INFINITY { S::MAX } else { code };
    let code = if a > INFINITY { S::NAN } else { code };
    ((bits >> 24 & 0x80) | code) as u8
}

/// Nearest-even encoding of the f32 `bits` times 2^-exponent.
#[inline(always)]
pub(super) fn encode_nearest<S: Spec>(bits: u32, exponent: i32) -> u8 {
    let (m, shift, base) = split::<S>(bits & ABS, exponent);
    // With 25 bits dropped the result is 0, and it stays 0 beyond.
    let shift = if shift > 25 { 25 } else { shift };
    let q = (m + (1 << (shift - 1)) - 1 + (m >> shift & 1)) >> shift;
    finish::<S>(bits, base + q)
}

/// Stochastic encoding: random bits are added below the kept mantissa, then the sum is truncated.
#[inline(always)]
pub(super) fn encode_random<S: Spec>(bits: u32, exponent: i32, random: u32) -> u8 {
    let (m, shift, base) = split::<S>(bits & ABS, exponent);
    let q = if shift > 31 { 0 } else { (m + (random & ((1 << shift) - 1))) >> shift };
    finish::<S>(bits, base + q)
}

/// Exact value of a code.
#[inline(always)]
pub(super) fn decode_one<S: Spec>(code: u8) -> f32 {
    let code = u32::from(code);
    let magnitude = code & 0x7f;
    let e = magnitude >> S::MANTISSA;
    let man = magnitude & ((1 << S::MANTISSA) - 1);
    let normal = ((e as i32 + 127 - S::BIAS) as u32) << 23 | man << (23 - S::MANTISSA);
    // Not a shift-and-multiply: no f32 subnormal appears on the way.
    let finite = if e == 0 { (man as f32 * S::TINY).to_bits() } else { normal };
    let special =
        if S::HAS_INFINITY && magnitude == S::FIRST_NON_FINITE { INFINITY } else { 0x7fc0_0000 };
    let bits = if magnitude >= S::FIRST_NON_FINITE { special } else { finite };
    f32::from_bits(bits | code << 24 & 0x8000_0000)
}

/// Calls a function that is generic over the constants of a format.
macro_rules! with_spec {
    ($format:expr, $f:ident ( $($arg:expr),* )) => {
        match $format {
            Format::E4M3 => $f::<$crate::fp8::format::E4m3>($($arg),*),
            Format::E5M2 => $f::<$crate::fp8::format::E5m2>($($arg),*),
        }
    };
}
pub(super) use with_spec;

impl Format {
    /// Both formats.
    pub const ALL: [Self; 2] = [Self::E4M3, Self::E5M2];

    /// Name as the field writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::E4M3 => "E4M3",
            Self::E5M2 => "E5M2",
        }
    }

    /// Largest finite value: 448 or 57344, both 1.75 · 2^[`Format::max_exponent`].
    pub const fn max(self) -> f32 {
        match self {
            Self::E4M3 => 448.0,
            Self::E5M2 => 57344.0,
        }
    }

    /// Binary exponent of the largest finite value.
    pub const fn max_exponent(self) -> i32 {
        match self {
            Self::E4M3 => E4m3::MAX_EXPONENT,
            Self::E5M2 => E5m2::MAX_EXPONENT,
        }
    }

    /// Code of the largest finite value.
    pub const fn max_code(self) -> u8 {
        match self {
            Self::E4M3 => E4m3::MAX as u8,
            Self::E5M2 => E5m2::MAX as u8,
        }
    }

    /// Smallest positive normal value.
    pub const fn min_normal(self) -> f32 {
        match self {
            Self::E4M3 => 1.0 / 64.0,
            Self::E5M2 => 1.0 / 16384.0,
        }
    }

    /// Smallest positive value.
    pub const fn min_subnormal(self) -> f32 {
        match self {
            Self::E4M3 => E4m3::TINY,
            Self::E5M2 => E5m2::TINY,
        }
    }

    /// Mantissa bits, the hidden one not counted.
    pub const fn mantissa_bits(self) -> u32 {
        match self {
            Self::E4M3 => E4m3::MANTISSA,
            Self::E5M2 => E5m2::MANTISSA,
        }
    }

    /// Nearest value, ties to even, saturating; NaN stays NaN.
    #[inline]
    pub fn encode(self, x: f32) -> u8 {
        self.encode_scaled(x.to_bits(), 0)
    }

    /// [`Format::encode`] of the f32 `bits` times 2^-exponent, without computing that product.
    ///
    /// f32 subnormals encode as signed zero. For every exponent ≥ -108 that is also their nearest
    /// value: below 2^-126 · 2^108 = 2^-18 they are under half of the smallest code, 2^-16. Scales
    /// chosen from an amax are ≥ 2^-55.
    #[inline]
    pub fn encode_scaled(self, bits: u32, exponent: i32) -> u8 {
        with_spec!(self, encode_nearest(bits, exponent))
    }

    /// Stochastic rounding of the f32 `bits` times 2^-exponent, saturating; NaN stays NaN.
    ///
    /// `random` holds 32 uniform bits; over them the mean of the result is the exact value, except
    /// that f32 subnormals, and values below 2^-8 of the smallest code, become signed zero.
    #[inline]
    pub fn encode_stochastic(self, bits: u32, exponent: i32, random: u32) -> u8 {
        with_spec!(self, encode_random(bits, exponent, random))
    }

    /// Exact value of a code.
    #[inline]
    pub fn decode(self, code: u8) -> f32 {
        with_spec!(self, decode_one(code))
    }

    /// Whether |x| is infinite or exceeds the largest finite value times 2^exponent; false for NaN.
    #[inline]
    pub fn saturates(self, bits: u32, exponent: i32) -> bool {
        let a = bits & ABS;
        let e = (a >> 23) as i32 - 127 - exponent;
        let beyond = e > self.max_exponent()
            || (e == self.max_exponent() && (a & 0x007f_ffff) > 0x0060_0000);
        (beyond && (SMALLEST_NORMAL..INFINITY).contains(&a)) || a == INFINITY
    }

    /// Whether a code is subnormal: not zero, with a zero exponent field.
    #[inline]
    pub fn is_subnormal(self, code: u8) -> bool {
        let magnitude = code & 0x7f;
        magnitude != 0 && magnitude >> self.mantissa_bits() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Value of a code by the definition of the format, in f64.
    fn slow_decode(format: Format, code: u8) -> f64 {
        let (bias, mantissa) = match format {
            Format::E4M3 => (7, 3),
            Format::E5M2 => (15, 2),
        };
        let e = i32::from(code & 0x7f) >> mantissa;
        let man = f64::from(code & ((1 << mantissa) - 1));
        let one = f64::from(1 << mantissa);
        let v = match (format, e, code & 0x7f) {
            (Format::E4M3, _, 0x7f) => f64::NAN,
            (Format::E5M2, 31, 0x7c) => f64::INFINITY,
            (Format::E5M2, 31, _) => f64::NAN,
            (_, 0, _) => man / one * 2f64.powi(1 - bias),
            _ => (1.0 + man / one) * 2f64.powi(e - bias),
        };
        if code & 0x80 == 0 { v } else { -v }
    }

    /// Nearest code by comparing distances in f64, which is exact for f32 times a power of two.
    fn slow_encode(format: Format, x: f64) -> u8 {
        let sign = if x.is_sign_negative() { 0x80 } else { 0 };
        if x.is_nan() {
            return sign | if format == Format::E4M3 { 0x7f } else { 0x7e };
        }
        let x = x.abs().min(f64::from(format.max()));
        let mut best = 0u8;
        for code in 1..=format.max_code() {
            let (new, old) =
                ((slow_decode(format, code) - x).abs(), (slow_decode(format, best) - x).abs());
            if new < old || (new == old && code % 2 == 0) {
                best = code;
            }
        }
        sign | best
    }

    fn dense_sample() -> impl Iterator<Item = u32> {
        // An odd stride visits every exponent and all low-bit patterns.
        (0..=u32::MAX).step_by(65_521).chain([
            0,
            1,
            0x8000_0000,
            0x8000_0001,
            0x007f_ffff,
            0x0080_0000,
            0x7f7f_ffff,
            0x7f80_0000,
            0xff80_0000,
            0x7f80_0001,
            0xffff_ffff,
        ])
    }

    #[test]
    fn all_codes_decode_to_their_definition_and_encode_back() {
        for format in Format::ALL {
            for code in 0..=255u8 {
                let (fast, slow) = (format.decode(code), slow_decode(format, code));
                assert_eq!(fast.is_nan(), slow.is_nan(), "{format:?} {code:#x}");
                if slow.is_nan() {
                    assert!(format.decode(format.encode(fast)).is_nan());
                    continue;
                }
                assert_eq!(f64::from(fast), slow, "{format:?} {code:#x}");
                assert_eq!(fast.is_sign_negative(), code >= 0x80);
                if slow.is_finite() {
                    assert_eq!(format.encode(fast), code, "{format:?} {code:#x}");
                }
            }
            assert_eq!(format.decode(format.max_code()), format.max());
            assert_eq!(format.decode(1), format.min_subnormal());
            assert_eq!(format.decode(1 << format.mantissa_bits()), format.min_normal());
        }
    }

    #[test]
    fn dense_sample_matches_the_slow_oracle() {
        for format in Format::ALL {
            for bits in dense_sample() {
                let x = f64::from(f32::from_bits(bits));
                assert_eq!(
                    format.encode_scaled(bits, 0),
                    slow_encode(format, x),
                    "{format:?} {bits:#010x}"
                );
            }
        }
    }

    #[test]
    fn the_slow_oracle_would_notice_a_wrong_rounding() {
        // 17/16 lies halfway between 1 (even) and 1.125: ties to even go down, away goes up.
        assert_eq!(slow_encode(Format::E4M3, 1.0625), 0x38);
        assert_eq!(slow_encode(Format::E4M3, 1.1875), 0x3a);
        assert_ne!(slow_encode(Format::E4M3, 1.0625), 0x39);
    }

    #[test]
    fn scaled_encoding_equals_encoding_the_product() {
        for format in Format::ALL {
            for exponent in [-108, -55, -48, -9, -1, 0, 1, 7, 60, 120, 126] {
                for bits in dense_sample().step_by(7) {
                    let x = f64::from(f32::from_bits(bits)) * 2f64.powi(-exponent);
                    assert_eq!(
                        format.encode_scaled(bits, exponent),
                        slow_encode(format, x),
                        "{format:?} {bits:#010x} 2^{exponent}"
                    );
                }
            }
        }
    }

    #[test]
    fn saturation_is_counted_exactly() {
        for format in Format::ALL {
            for exponent in [-55, -3, 0, 5, 112] {
                let limit = (f64::from(format.max()) * 2f64.powi(exponent)) as f32;
                assert!(limit.is_finite());
                assert!(!format.saturates(limit.to_bits(), exponent));
                assert!(format.saturates(limit.to_bits() + 1, exponent));
                assert!(format.saturates(0xff80_0000, exponent));
                assert!(!format.saturates(0x7fc0_0000, exponent));
                assert!(!format.saturates(1, exponent));
            }
        }
    }

    #[test]
    fn stochastic_rounding_is_unbiased_and_stays_between_neighbours() {
        use crate::fp8::hash;
        let n = 1u32 << 16;
        let key = hash::key(3, 1, hash::ROUNDING_STREAM);
        for format in Format::ALL {
            let tiny = format.min_subnormal();
            for x in [1.03f32, -1.2, 3.99, 0.3 * tiny, -2.7 * tiny, 0.011 * tiny, 100.3, -447.0] {
                let mut sum = 0.0;
                let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
                for i in 0..n {
                    let code = format.encode_stochastic(x.to_bits(), 0, hash::bits(key, i));
                    let v = f64::from(format.decode(code));
                    sum += v;
                    low = low.min(v);
                    high = high.max(v);
                }
                let (mean, x) = (sum / f64::from(n), f64::from(x));
                assert!(low <= x && x <= high, "{format:?} {x}: {low}..{high}");
                // Standard error of the mean is at most half a step over sqrt(n) = 256.
                let tolerance = 4.0 * 0.5 * (high - low) / 256.0;
                assert!((mean - x).abs() <= tolerance, "{format:?} {x}: mean {mean}");
                assert!((high - low) > 0.0 && (high - low) <= x.abs().max(2.0 * f64::from(tiny)));
            }
        }
    }

    #[test]
    fn stochastic_rounding_keeps_exact_values_and_specials() {
        for format in Format::ALL {
            for random in [0, 1, 0x8000_0000, u32::MAX] {
                for code in 0..=255u8 {
                    let x = format.decode(code);
                    if x.is_finite() {
                        assert_eq!(format.encode_stochastic(x.to_bits(), 0, random), code);
                    }
                }
                let max = format.max_code();
                assert_eq!(format.encode_stochastic(f32::INFINITY.to_bits(), 126, random), max);
                assert_eq!(format.encode_stochastic(f32::MAX.to_bits(), 0, random), max);
                assert!(format.decode(format.encode_stochastic(0x7fc0_0000, 0, random)).is_nan());
                assert_eq!(format.encode_stochastic(0x8000_0001, 0, random), 0x80);
                assert_eq!(format.encode_stochastic(0x0080_0000, 0, random), 0);
            }
        }
    }
}

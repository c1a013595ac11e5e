//! bf16: the upper half of an f32.
//!
//! As in [`super::format`], what decides a bit is integer arithmetic, f32 subnormals count as zero,
//! and NaN stays NaN (sign | 0x7FC0). Infinities stay; nearest-even rounding may reach infinity as
//! it does in PyTorch, stochastic rounding stops at the largest finite value.

use super::hash;
use super::simd::vectorised;

const INFINITY: u32 = 0x7f80_0000;
const SMALLEST_NORMAL: u32 = 0x0080_0000;
/// Largest finite value.
const MAX: u32 = 0x7f7f;

#[inline(always)]
fn finish(bits: u32, rounded: u32) -> u16 {
    let a = bits & 0x7fff_ffff;
    let code = if a < SMALLEST_NORMAL { 0 } else { rounded };
    let code = if a == INFINITY { 0x7f80 } else { code };
    let code = if a > INFINITY { 0x7fc0 } else { code };
    (bits >> 16 & 0x8000 | code) as u16
}

/// Nearest-even bf16 of an f32's bits.
#[inline(always)]
pub fn nearest(bits: u32) -> u16 {
    let a = bits & 0x7fff_ffff;
    finish(bits, (a + 0x7fff + (a >> 16 & 1)) >> 16)
}

/// bf16 of an f32's bits, up with a probability that is the dropped share of the last place.
#[inline(always)]
pub fn stochastic(bits: u32, random: u32) -> u16 {
    let a = bits & 0x7fff_ffff;
    let up = (a + (random & 0xffff)) >> 16;
    finish(bits, if up > MAX { MAX } else { up })
}

/// The f32 that a bf16 stands for.
#[inline(always)]
pub fn value(code: u16) -> f32 {
    f32::from_bits(u32::from(code) << 16)
}

vectorised! {
    /// Rounds a slice to nearest even; stops at the shorter one.
    pub fn encode(src: &[u32], dst: &mut [u16]) {
        for (d, &s) in dst.iter_mut().zip(src) {
            *d = nearest(s);
        }
    }
}

vectorised! {
    /// Rounds a slice stochastically; element `i` takes `hash::bits(key, first + i)`.
    pub fn encode_stochastic(src: &[u32], key: u32, first: u32, dst: &mut [u16]) {
        for (i, (d, &s)) in dst.iter_mut().zip(src).enumerate() {
            *d = stochastic(s, hash::bits(key, first.wrapping_add(i as u32)));
        }
    }
}

vectorised! {
    /// Widens a slice to f32.
    pub fn decode(src: &[u16], dst: &mut [f32]) {
        for (d, &s) in dst.iter_mut().zip(src) {
            *d = value(s);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_agrees_with_the_library_on_all_upper_bits() {
        for high in 0..=0xffffu32 {
            for low in [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff] {
                let bits = high << 16 | low;
                let x = f32::from_bits(bits);
                let got = nearest(bits);
                if x.is_nan() {
                    assert_eq!(got & 0x7fff, 0x7fc0);
                } else if x.is_subnormal() {
                    assert_eq!(u32::from(got), bits >> 16 & 0x8000);
                } else {
                    assert_eq!(got, half::bf16::from_f32(x).to_bits(), "{bits:#010x}");
                }
            }
        }
    }

    #[test]
    fn stochastic_rounding_brackets_and_is_right_on_average() {
        for bits in [1.003f32.to_bits(), (-7.77e-20f32).to_bits(), 3.3e38f32.to_bits()] {
            let x = f64::from(f32::from_bits(bits));
            let (low, high) = (stochastic(bits, 0), stochastic(bits, u32::MAX));
            let (low, high) = (f64::from(value(low)), f64::from(value(high)));
            assert!(low.abs() <= x.abs() && x.abs() <= high.abs() && low != high);
            let key = hash::key(1, 2, 3);
            let n = 100_000;
            let sum: f64 =
                (0..n).map(|i| f64::from(value(stochastic(bits, hash::bits(key, i))))).sum();
            let mean = sum / f64::from(n);
            // The mean of n draws deviates by half a step / sqrt(n), here six of these.
            assert!((mean - x).abs() < 0.01 * (high - low).abs(), "{mean} {x}");
        }
        assert_eq!(stochastic(f32::MAX.to_bits(), u32::MAX), MAX as u16);
        assert_eq!(stochastic(f32::INFINITY.to_bits(), u32::MAX), 0x7f80);
        assert_eq!(stochastic(f32::NAN.to_bits(), 0) & 0x7fff, 0x7fc0);
        assert_eq!(stochastic(1, u32::MAX), 0);
    }

    #[test]
    fn slices_agree_with_single_elements() {
        let src: Vec<u32> = (0..1003u32).map(|i| hash::mix(i.wrapping_mul(7919))).collect();
        let key = hash::key(3, 2, 1);
        let mut out = vec![0; src.len()];
        encode(&src, &mut out);
        assert!(out.iter().zip(&src).all(|(o, s)| *o == nearest(*s)));
        let mut back = vec![0.0; src.len()];
        decode(&out, &mut back);
        assert!(back.iter().zip(&out).all(|(b, o)| b.to_bits() >> 16 == u32::from(*o)));
        encode_stochastic(&src, key, 9, &mut out);
        for (i, (o, s)) in out.iter().zip(&src).enumerate() {
            assert_eq!(*o, stochastic(*s, hash::bits(key, 9 + i as u32)));
        }
    }
}

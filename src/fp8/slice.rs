//! The codec over slices, compiled for the widest vectors that the processor has.

use super::Format;
use super::format::{Spec, decode_one, encode_nearest, encode_random, with_spec};
use super::hash;
pub use super::simd::simd_name;
use super::simd::{LANES, vectorised};

vectorised! {
    fn encode_any<S: Spec>(src: &[u32], exponent: i32, dst: &mut [u8]) {
        for (d, &s) in dst.iter_mut().zip(src) {
            *d = encode_nearest::<S>(s, exponent);
        }
    }
}

vectorised! {
    /// [`encode_any`] in fewer instructions, for exponents that [`quick`] accepts.
    fn encode_quick<S: Spec>(src: &[u32], exponent: i32, dst: &mut [u8]) {
        let drop = 23 - S::MANTISSA;
        // Bits of the smallest normal value; the exponent field is taken down to a code's.
        let smallest = ((exponent + 128 - S::BIAS) as u32) << 23;
        let rebase = ((exponent + 127 - S::BIAS) << S::MANTISSA) as u32;
        // One unit in the last place of this number is the smallest code, so that adding it rounds
        // to a multiple of that, ties to even.
        let magic_bits = smallest + ((23 - S::MANTISSA) << 23);
        let magic = f32::from_bits(magic_bits);
        for (d, &bits) in dst.iter_mut().zip(src) {
            let a = bits & 0x7fff_ffff;
            let normal = ((a + (1 << (drop - 1)) - 1 + (a >> drop & 1)) >> drop).wrapping_sub(rebase);
            let below = (f32::from_bits(a) + magic).to_bits().wrapping_sub(magic_bits);
            let code = if a < smallest { below } else { normal };
            let code = if code > S::MAX { S::MAX } else { code };
            let code = if a > 0x7f80_0000 { S::NAN } else { code };
            *d = (bits >> 24 & 0x80 | code) as u8;
        }
    }
}

/// Whether [`encode_quick`] takes this exponent: its constants are normal f32, and f32 subnormals
/// are under half of the smallest code.
fn quick<S: Spec>(exponent: i32) -> bool {
    let magic_field = exponent + 128 - S::BIAS + 23 - S::MANTISSA as i32;
    exponent >= -108 && magic_field <= 254
}

fn encode_spec<S: Spec>(src: &[u32], exponent: i32, dst: &mut [u8]) {
    if quick::<S>(exponent) {
        encode_quick::<S>(src, exponent, dst);
    } else {
        encode_any::<S>(src, exponent, dst);
    }
}

vectorised! {
    fn stochastic_spec<S: Spec>(src: &[u32], exponent: i32, key: u32, first: u32, dst: &mut [u8]) {
        for (i, (d, &s)) in dst.iter_mut().zip(src).enumerate() {
            *d = encode_random::<S>(s, exponent, hash::bits(key, first.wrapping_add(i as u32)));
        }
    }
}

vectorised! {
    fn decode_spec<S: Spec>(src: &[u8], scale: f32, dst: &mut [f32]) {
        for (d, &s) in dst.iter_mut().zip(src) {
            *d = decode_one::<S>(s) * scale;
        }
    }
}

vectorised! {
    fn bf16_spec<S: Spec>(src: &[u8], scale: f32, dst: &mut [u16]) {
        for (d, &s) in dst.iter_mut().zip(src) {
            *d = ((decode_one::<S>(s) * scale).to_bits() >> 16) as u16;
        }
    }
}

#[inline(always)]
fn finite_magnitude(bits: u32) -> u32 {
    let a = bits & 0x7fff_ffff;
    if a >= 0x7f80_0000 { 0 } else { a }
}

vectorised! {
    /// Bits of the largest finite |x|, 0 if there is none. Integer maximum, so order cannot matter.
    pub fn amax_bits(src: &[u32]) -> u32 {
        let mut lanes = [0u32; LANES];
        let (groups, rest) = src.as_chunks::<LANES>();
        for group in groups {
            for (lane, &bits) in lanes.iter_mut().zip(group) {
                *lane = (*lane).max(finite_magnitude(bits));
            }
        }
        let rest = rest.iter().fold(0, |max, &bits| finite_magnitude(bits).max(max));
        lanes.into_iter().fold(rest, u32::max)
    }
}

/// Encodes f32 bits times 2^-exponent, nearest-even; stops at the shorter slice.
pub fn encode(format: Format, src: &[u32], exponent: i32, dst: &mut [u8]) {
    with_spec!(format, encode_spec(src, exponent, dst));
}

/// Encodes with stochastic rounding; element `i` takes `hash::bits(key, first + i)`.
pub fn encode_stochastic(
    format: Format,
    src: &[u32],
    exponent: i32,
    key: u32,
    first: u32,
    dst: &mut [u8],
) {
    with_spec!(format, stochastic_spec(src, exponent, key, first, dst));
}

/// Decodes and multiplies by `scale` (a power of two, so the product is exact).
pub fn decode(format: Format, src: &[u8], scale: f32, dst: &mut [f32]) {
    with_spec!(format, decode_spec(src, scale, dst));
}

/// [`decode`] to bf16 bits, exact while the product is a normal bf16 number.
pub fn decode_bf16(format: Format, src: &[u8], scale: f32, dst: &mut [u16]) {
    with_spec!(format, bf16_spec(src, scale, dst));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_agree_with_single_elements() {
        let src: Vec<u32> = (0..4099u32).map(|i| hash::mix(i.wrapping_mul(7919))).collect();
        let key = hash::key(1, 2, 3);
        for format in Format::ALL {
            // The quick encoder takes -108 to 113 (E4M3) or 120 (E5M2).
            let ends = [-126, -109, -108, 112, 113, 114, 120, 121, 126];
            let ends = ends.map(|e| (4099, e));
            let middle = [(0, 0), (1, -3), (15, 4), (4099, -40), (4099, 0), (4099, 90)];
            for (len, exponent) in ends.into_iter().chain(middle) {
                // Every other one is near the range of the codes, where rounding happens.
                let mut src = src.clone();
                for s in src.iter_mut().step_by(2) {
                    let field = (107 + exponent + (*s % 40) as i32).clamp(0, 255) as u32;
                    *s = *s & 0x807f_ffff | field << 23;
                }
                let mut out = vec![0u8; len];
                encode(format, &src[..len], exponent, &mut out);
                for (o, s) in out.iter().zip(&src) {
                    assert_eq!(*o, format.encode_scaled(*s, exponent));
                }
                encode_stochastic(format, &src[..len], exponent, key, 5, &mut out);
                for (i, (o, s)) in out.iter().zip(&src).enumerate() {
                    let random = hash::bits(key, 5 + i as u32);
                    assert_eq!(*o, format.encode_stochastic(*s, exponent, random));
                }
                let mut back = vec![0f32; len];
                decode(format, &out, 0.25, &mut back);
                for (b, o) in back.iter().zip(&out) {
                    let want = format.decode(*o) * 0.25;
                    assert!(b.to_bits() == want.to_bits() || (b.is_nan() && want.is_nan()));
                }
                let mut half = vec![0u16; len];
                decode_bf16(format, &out, 0.25, &mut half);
                for (h, b) in half.iter().zip(&back) {
                    let h = f32::from_bits(u32::from(*h) << 16);
                    assert!(h.to_bits() == b.to_bits() || (h.is_nan() && b.is_nan()));
                }
            }
        }
        let want = src.iter().map(|b| b & 0x7fff_ffff).filter(|a| *a < 0x7f80_0000).max();
        assert_eq!(Some(amax_bits(&src)), want);
        assert_eq!(amax_bits(&[]), 0);
        assert_eq!(amax_bits(&[0x7f80_0000, 0xffc0_0000]), 0);
    }
}

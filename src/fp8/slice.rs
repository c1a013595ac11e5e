//! The codec over slices, compiled for the widest vectors that the processor has.

use super::Format;
use super::format::{Spec, decode_one, encode_nearest, encode_random, with_spec};
use super::hash;

#[inline(always)]
fn encode_body<S: Spec>(src: &[u32], exponent: i32, dst: &mut [u8]) {
    for (d, &s) in dst.iter_mut().zip(src) {
        *d = encode_nearest::<S>(s, exponent);
    }
}

#[inline(always)]
fn stochastic_body<S: Spec>(src: &[u32], exponent: i32, key: u32, first: u32, dst: &mut [u8]) {
    for (i, (d, &s)) in dst.iter_mut().zip(src).enumerate() {
        *d = encode_random::<S>(s, exponent, hash::bits(key, first.wrapping_add(i as u32)));
    }
}

#[inline(always)]
fn decode_body<S: Spec>(src: &[u8], scale: f32, dst: &mut [f32]) {
    for (d, &s) in dst.iter_mut().zip(src) {
        *d = decode_one::<S>(s) * scale;
    }
}

#[inline(always)]
fn bf16_body<S: Spec>(src: &[u8], scale: f32, dst: &mut [u16]) {
    for (d, &s) in dst.iter_mut().zip(src) {
        *d = ((decode_one::<S>(s) * scale).to_bits() >> 16) as u16;
    }
}

#[inline(always)]
fn amax_body(src: &[u32]) -> u32 {
    src.iter().fold(0, |max, &bits| {
        let a = bits & 0x7fff_ffff;
        let a = if a >= 0x7f80_0000 { 0 } else { a };
        if a > max { a } else { max }
    })
}

/// Defines a function that runs `$body` with the best vector extensions found at run time.
macro_rules! vectorised {
    ($(#[$meta:meta])* $name:ident, $wide:ident, $mid:ident, $body:path,
        ($($arg:ident: $ty:ty),*) $(-> $ret:ty)?, $($spec:ident)?) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi")]
        fn $wide$(<$spec: Spec>)?($($arg: $ty),*) $(-> $ret)? { $body($($arg),*) }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,bmi2")]
        fn $mid$(<$spec: Spec>)?($($arg: $ty),*) $(-> $ret)? { $body($($arg),*) }

        $(#[$meta])*
        fn $name$(<$spec: Spec>)?($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                if has_avx512() {
                    // SAFETY: the processor has every feature that the function is compiled for.
                    return unsafe { $wide$(::<$spec>)?($($arg),*) };
                }
                if has_avx2() {
                    // SAFETY: as above.
                    return unsafe { $mid$(::<$spec>)?($($arg),*) };
                }
            }
            $body($($arg),*)
        }
    };
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vbmi")
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("bmi2")
}

/// Name of the vector extension that the codec uses.
pub fn simd_name() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if has_avx512() {
            return "avx512";
        }
        if has_avx2() {
            return "avx2";
        }
    }
    #[cfg(target_arch = "aarch64")]
    return "neon";
    #[allow(unreachable_code)]
    "portable"
}

vectorised!(encode_spec, encode_avx512, encode_avx2, encode_body::<S>,
    (src: &[u32], exponent: i32, dst: &mut [u8]), S);
vectorised!(stochastic_spec, stochastic_avx512, stochastic_avx2, stochastic_body::<S>,
    (src: &[u32], exponent: i32, key: u32, first: u32, dst: &mut [u8]), S);
vectorised!(decode_spec, decode_avx512, decode_avx2, decode_body::<S>,
    (src: &[u8], scale: f32, dst: &mut [f32]), S);
vectorised!(bf16_spec, bf16_avx512, bf16_avx2, bf16_body::<S>,
    (src: &[u8], scale: f32, dst: &mut [u16]), S);
vectorised!(amax_any, amax_avx512, amax_avx2, amax_body, (src: &[u32]) -> u32,);

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

/// Bits of the largest finite |x|, 0 if there is none. Integer maximum, so order cannot matter.
pub fn amax_bits(src: &[u32]) -> u32 {
    amax_any(src)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_agree_with_single_elements() {
        let src: Vec<u32> = (0..4099u32).map(|i| hash::mix(i.wrapping_mul(7919))).collect();
        let key = hash::key(1, 2, 3);
        for format in Format::ALL {
            for (len, exponent) in [(0, 0), (1, -3), (15, 4), (4099, -40), (4099, 0), (4099, 90)] {
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

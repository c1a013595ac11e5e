//! FP8 with range expansion for optimiser moments (COAT, "Dynamic Range Expansion").
//!
//! A group of [`GROUP`] values shares two f32 numbers, its largest magnitude `amax` and an exponent
//! `k`, and holds one E4M3 code per value: **value = ± amax · (decode(code) / 448)^(1/k)**. `k` is
//! chosen so that the group's range, from its smallest non-zero magnitude to `amax`, fills that of
//! E4M3's normal codes: narrow groups get finer steps than plain E4M3 has, wide ones reach further
//! down. Moments change by less than a step, so rounding is stochastic, and unbiased in the values
//! themselves: a code is one of the two that enclose the value, taken with the probability that
//! makes their mean the value.
//!
//! Layout of a group, [`GROUP_WORDS`] words: `[amax (f32), k (f32), 32 words of codes]`.

use super::hash;
use super::simd::vectorised;

/// Values of a group.
pub const GROUP: usize = 128;
/// Words of a stored group.
pub const GROUP_WORDS: usize = 2 + GROUP / 4;

/// Magnitude code of `amax`.
const TOP: u32 = 0x7e;
/// log2 of E4M3's largest value, 448.
const LOG_MAX: f32 = 8.807_355;
/// log2 of the range of the normal codes, 448 / 2^-6.
const LOG_RANGE: f32 = LOG_MAX + 6.0;
/// Bounds of `k`: from 30 binades to 2.
const SMALLEST_K: f32 = 0.5;
const LARGEST_K: f32 = 8.0;
/// `k` is a multiple of 1/16, so that executors which differ in the last bits agree on it.
const STEPS_OF_K: f32 = 16.0;
/// Bits of the smallest normal f32; smaller magnitudes count as zero.
const SMALLEST_NORMAL: u32 = 0x0080_0000;
const INFINITY: u32 = 0x7f80_0000;

/// log2 of a positive normal number, within 2e-7 of its exponent and mantissa parts. Plain
/// arithmetic, so that loops vectorise and a shader repeats it.
#[inline(always)]
fn log2(x: f32) -> f32 {
    let bits = x.to_bits();
    let mantissa = f32::from_bits(bits & 0x007f_ffff | 0x3f80_0000);
    let upper = mantissa > std::f32::consts::SQRT_2;
    let m = if upper { 0.5 * mantissa } else { mantissa };
    let e = (bits >> 23) as i32 - 127 + i32::from(upper);
    let s = (m - 1.0) / (m + 1.0);
    let q = s * s;
    let series =
        2.885_39 + q * (0.961_796_7 + q * (0.577_078 + q * (0.412_198_6 + q * 0.320_598_9)));
    e as f32 + s * series
}

/// 2^t, relative error below 3e-7; `t` is limited to -126..=126.
#[inline(always)]
fn exp2(t: f32) -> f32 {
    let t = if t > 126.0 { 126.0 } else { t };
    let t = if t < -126.0 { -126.0 } else { t };
    // Adding 1.5·2^23 leaves the nearest integer in the low bits.
    let shifted = t + 12_582_912.0;
    let n = shifted.to_bits() as i32 - 12_582_912f32.to_bits() as i32;
    let f = t - (shifted - 12_582_912.0);
    let tail = 0.009_618_129 + f * (0.001_333_355_8 + f * 0.000_154_035_3);
    let series =
        1.0 + f * (std::f32::consts::LN_2 + f * (0.240_226_5 + f * (0.055_504_11 + f * tail)));
    f32::from_bits(((n + 127) as u32) << 23) * series
}

/// Value of a magnitude code (not that of NaN).
#[inline(always)]
fn level(magnitude: u32, amax: f32, inverse_k: f32) -> f32 {
    let (e, man) = (magnitude >> 3, magnitude & 7);
    let normal = f32::from_bits((e + 120) << 23 | man << 20);
    let y = if e == 0 { man as f32 * (1.0 / 512.0) } else { normal };
    let value = amax * exp2((log2(y) - LOG_MAX) * inverse_k);
    let value = if value.to_bits() < SMALLEST_NORMAL { 0.0 } else { value };
    let value = if magnitude == 0 { 0.0 } else { value };
    if magnitude == TOP { amax } else { value }
}

vectorised! {
    fn levels(codes: &[u8], amax: f32, inverse_k: f32, out: &mut [f32]) {
        for (o, &code) in out.iter_mut().zip(codes) {
            let magnitude = u32::from(code & 0x7f);
            let value = level(magnitude, amax, inverse_k).to_bits();
            let value = if magnitude == 0x7f { f32::NAN.to_bits() } else { value };
            *o = f32::from_bits(value | u32::from(code & 0x80) << 24);
        }
    }
}

/// Values of a stored group; `words` are [`GROUP_WORDS`].
pub fn decode(words: &[u32], out: &mut [f32]) {
    let [amax, k, codes @ ..] = words else { return };
    if *amax == 0 {
        // All zero, or never written; a NaN has amax too.
        out.fill(0.0);
        return;
    }
    let inverse_k = 1.0 / f32::from_bits(*k);
    levels(bytemuck::cast_slice(codes), f32::from_bits(*amax), inverse_k, out);
}

vectorised! {
    /// Bits of the largest and of the smallest non-zero magnitude; 0 and infinity if there is none.
    fn range(values: &[f32]) -> (u32, u32) {
        let (mut most, mut below) = (0, 0);
        for v in values {
            let a = v.to_bits() & 0x7fff_ffff;
            let usable = (SMALLEST_NORMAL..INFINITY).contains(&a);
            let high = if usable { a } else { 0 };
            let low = if usable { INFINITY - a } else { 0 };
            most = if high > most { high } else { most };
            below = if low > below { low } else { below };
        }
        (most, INFINITY - below)
    }
}

/// The exponent of a group between these magnitudes.
fn exponent(most: f32, least: f32) -> f32 {
    let range = log2(most) - log2(least);
    if range * LARGEST_K <= LOG_RANGE {
        return LARGEST_K;
    }
    let k = ((LOG_RANGE / range) * STEPS_OF_K).floor() / STEPS_OF_K;
    k.clamp(SMALLEST_K, LARGEST_K)
}

/// How a group is encoded.
#[derive(Clone, Copy)]
struct Rounding {
    amax: f32,
    log_amax: f32,
    k: f32,
    /// Hash key and number of the first value.
    key: u32,
    first: u32,
    /// A value above zero never becomes zero.
    keep: bool,
}

vectorised! {
    fn choose(values: &[f32], how: Rounding, codes: &mut [u8]) {
        let inverse_k = 1.0 / how.k;
        for (i, (code, v)) in codes.iter_mut().zip(values).enumerate() {
            let bits = v.to_bits();
            let a = bits & 0x7fff_ffff;
            let usable = (SMALLEST_NORMAL..INFINITY).contains(&a);
            let x = if usable { f32::from_bits(a) } else { 1.0 };
            let y = exp2(how.k * (log2(x) - how.log_amax) + LOG_MAX);
            let y = if y > 448.0 { 448.0 } else { y };
            let normal = (y.to_bits() >> 20) as i32 - (120 << 3);
            // Truncation by adding a power of two whose last place is one 512th.
            let subnormal = ((y - 1.0 / 1024.0) + 16384.0).to_bits() as i32 - 16384f32.to_bits() as i32;
            let low = if normal < 8 { subnormal } else { normal };
            let low = if low > 125 { 125 } else { low };
            let low = if low < 0 { 0 } else { low } as u32;
            let (below, above) = (level(low, how.amax, inverse_k), level(low + 1, how.amax, inverse_k));
            let random = hash::bits(how.key, how.first.wrapping_add(i as u32));
            let share = (random >> 8) as i32 as f32 * (1.0 / 16_777_216.0);
            let up = share * (above - below) < x - below;
            let chosen = if up { low + 1 } else { low };
            let chosen = if how.keep && chosen == 0 { 1 } else { chosen };
            let chosen = if usable { chosen } else { 0 };
            let chosen = if a == INFINITY { TOP } else { chosen };
            let chosen = if a > INFINITY { 0x7f } else { chosen };
            *code = (bits >> 24 & 0x80 | chosen) as u8;
        }
    }
}

/// Stores up to [`GROUP`] values as [`GROUP_WORDS`] words. Value `i` takes
/// `hash::bits(key, first + i)`; with `keep` no value but zero becomes zero (for second moments,
/// which are divided by).
pub fn encode(values: &[f32], key: u32, first: u32, keep: bool, words: &mut [u32]) {
    let [amax, k, codes @ ..] = words else { return };
    let (most, least) = range(values);
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(codes);
    let (bytes, rest) = bytes.split_at_mut(values.len().min(GROUP));
    rest.fill(0);
    if most == 0 && values.iter().all(|v| v.is_finite()) {
        (*amax, *k) = (0, 0);
        bytes.fill(0);
        return;
    }
    // Nothing but what is not a number: any scale will do.
    let (most, least) = if most == 0 { (1f32.to_bits(), 1f32.to_bits()) } else { (most, least) };
    let largest = f32::from_bits(most);
    let chosen = exponent(largest, f32::from_bits(least));
    (*amax, *k) = (most, chosen.to_bits());
    let log_amax = log2(largest);
    choose(values, Rounding { amax: largest, log_amax, k: chosen, key, first, keep }, bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values over `binades`, of both signs.
    fn values(binades: f32, size: f32, salt: u32) -> Vec<f32> {
        let key = hash::key(salt, 1, 1);
        (0..GROUP as u32)
            .map(|i| {
                let h = hash::bits(key, i);
                let down = (h >> 8) as f32 / 16_777_216.0 * binades;
                (if h & 1 == 0 { size } else { -size }) * (-down).exp2()
            })
            .collect()
    }

    fn round_trip(values: &[f32], key: u32, keep: bool) -> Vec<f32> {
        let mut words = [0; GROUP_WORDS];
        encode(values, key, 0, keep, &mut words);
        let mut out = vec![0.0; values.len()];
        decode(&words, &mut out);
        out
    }

    #[test]
    fn logarithm_and_power_are_close() {
        for bits in (SMALLEST_NORMAL..INFINITY).step_by(99_991) {
            let x = f32::from_bits(bits);
            let want = f64::from(x).log2();
            assert!((f64::from(log2(x)) - want).abs() <= 1e-7 * (4.0 + want.abs()), "{x:e}");
        }
        for i in -12_600..=12_600 {
            let t = i as f32 / 100.0;
            let want = f64::from(t).exp2();
            assert!((f64::from(exp2(t)) / want - 1.0).abs() < 4e-7, "{t}");
        }
        assert_eq!(exp2(-1e9), exp2(-126.0));
        assert_eq!((log2(1.0), exp2(0.0)), (0.0, 1.0));
    }

    #[test]
    fn every_code_comes_back_as_itself() {
        for k in [0.5, 1.0, 3.0625, 8.0] {
            let amax = 3.7e-5;
            let all: Vec<u8> = (0..=TOP as u8).collect();
            let mut values = vec![0.0; all.len()];
            levels(&all, amax, 1.0 / k, &mut values);
            assert!(values.windows(2).all(|w| w[0] < w[1]) && values[0] == 0.0, "k {k}");
            assert_eq!(values[TOP as usize], amax);
            let how = Rounding { amax, log_amax: log2(amax), k, key: 5, first: 0, keep: false };
            let mut codes = vec![0; all.len()];
            choose(&values, how, &mut codes);
            assert_eq!(codes, all, "k {k}");
        }
    }

    /// The two values that a group of exponent `k` offers around x differ by an eighth of a binade
    /// or less, stretched by 1/k.
    #[test]
    fn values_stay_within_a_step_and_narrow_groups_get_finer_ones() {
        let mut worst = Vec::new();
        for (binades, size) in [(1.0, 1e-3), (7.0, 40.0), (14.0, 1e-20), (28.0, 1e4)] {
            let mut largest = 0f32;
            for salt in 0..20 {
                let x = values(binades, size, salt);
                let back = round_trip(&x, salt, false);
                for (x, b) in x.iter().zip(&back) {
                    largest = largest.max((b / x - 1.0).abs());
                }
            }
            worst.push(largest);
        }
        assert!(worst[0] < 0.017 && worst[1] < 0.066 && worst[2] < 0.13, "{worst:?}");
        assert!(worst[3] < 0.28, "{worst:?}");
        // Plain E4M3 has steps of an eighth whatever the group.
        assert!(worst[0] < 0.2 * worst[2]);
    }

    #[test]
    fn rounding_is_right_on_average() {
        for binades in [1.0, 12.0, 40.0] {
            let x = values(binades, 2.0, 3);
            let n = 4000;
            let mut mean = vec![0f64; GROUP];
            let mut squares = vec![0f64; GROUP];
            for key in 0..n {
                for (i, b) in round_trip(&x, hash::mix(key + 1), false).iter().enumerate() {
                    mean[i] += f64::from(*b) / f64::from(n);
                    squares[i] += f64::from(*b).powi(2) / f64::from(n);
                }
            }
            for (i, x) in x.iter().enumerate() {
                let deviation = (squares[i] - mean[i] * mean[i]).max(0.0).sqrt();
                let error = (mean[i] - f64::from(*x)).abs();
                // Five standard errors of the mean over 128 values; and rounding of the levels.
                let allowed = 5.0 * deviation / f64::from(n).sqrt() + 2e-6 * f64::from(x.abs());
                assert!(error <= allowed, "{binades} {i}: {} {x}", mean[i]);
            }
        }
    }

    #[test]
    fn zeros_signs_and_what_is_not_a_number() {
        assert!(round_trip(&[0.0; GROUP], 1, true).iter().all(|v| *v == 0.0));
        let mut x = values(10.0, 1.0, 9);
        x[3] = 0.0;
        x[4] = f32::NAN;
        x[5] = f32::INFINITY;
        x[6] = f32::from_bits(1);
        let back = round_trip(&x, 1, false);
        assert!(back[3] == 0.0 && back[4].is_nan() && back[6] == 0.0);
        assert!(back[5].is_finite() && back[5] > 0.0);
        assert!(x.iter().zip(&back).enumerate().all(|(i, (x, b))| {
            (3..=6).contains(&i) || x.is_sign_negative() == b.is_sign_negative()
        }));
        assert!(round_trip(&[f32::NAN; 7], 1, false).iter().all(|v| v.is_nan()));
        // The largest value is exact, in full and in short groups.
        for len in [1, 2, 127, 128] {
            let x = values(9.0, 1.0, 4);
            let most = |x: &[f32]| x.iter().fold(0f32, |m, v| m.max(v.abs()));
            assert_eq!(most(&round_trip(&x[..len], 1, false)), most(&x[..len]));
        }
        // Far below the range: kept above zero where zero would be divided by.
        let x = [1.0, 1e-20];
        assert_eq!(round_trip(&x, 1, false)[1], 0.0);
        assert!(round_trip(&x, 1, true)[1] > 0.0);
    }
}

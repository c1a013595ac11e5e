//! Functions that vectorise and give the same bits on every processor.

use crate::fp8::simd::{LANES, add_lanes};

/// eˣ, within 2 units in the last place where it is a normal f32; 0 and infinity beyond the ends,
/// NaN stays NaN.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Comparisons that leave a NaN as it is. Beyond these ends the result is infinity and 0.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    // x = n·ln 2 + r with |r| ≤ ln 2 / 2; adding the magic number rounds to an integer, and ln 2 is
    // split so that the first product is exact.
    const MAGIC: f32 = 12_582_912.0;
    let t = x * std::f32::consts::LOG2_E + MAGIC;
    let n = t - MAGIC;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let y = p * (r * r) + r + 1.0;
    // In two halves, so that neither power of two leaves the range of f32.
    let n = t.to_bits().wrapping_sub(MAGIC.to_bits()) as i32;
    let half = n >> 1;
    y * power_of_two(half) * power_of_two(n - half)
}

/// 2ⁿ for n in -126..=127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// tanh by one exponential; exact at both ends because the argument is clamped.
#[inline(always)]
pub(super) fn tanh(u: f32) -> f32 {
    let u = if u > 15.0 { 15.0 } else { u };
    let u = if u < -15.0 { -15.0 } else { u };
    1.0 - 2.0 / (exp(2.0 * u) + 1.0)
}

#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Sum of `f` over the elements of slices of one length, in lanes that are added in a fixed order.
#[inline(always)]
pub(super) fn sum<const N: usize>(slices: [&[f32]; N], f: impl Fn([f32; N]) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let parts = slices.map(|s| s.as_chunks::<LANES>());
    let groups = parts.iter().map(|p| p.0.len()).min().unwrap_or(0);
    for g in 0..groups {
        let group = parts.map(|p| &p.0[g]);
        for (i, lane) in lanes.iter_mut().enumerate() {
            *lane += f(group.map(|v| v[i]));
        }
    }
    let rest = parts.iter().map(|p| p.1.len()).min().unwrap_or(0);
    for (i, lane) in lanes.iter_mut().enumerate().take(rest) {
        *lane += f(parts.map(|p| p.1[i]));
    }
    add_lanes(lanes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance in units in the last place of the exact value, at least those of the smallest
    /// normal number.
    fn distance(got: f32, want: f64) -> f64 {
        let unit = 2f64.powi((want.abs().max(f64::from(f32::MIN_POSITIVE)).log2() as i32) - 24);
        (f64::from(got) - want).abs() / unit
    }

    #[test]
    fn exponential_over_its_whole_range() {
        let mut worst = 0f64;
        for i in -104_000..=88_700i32 {
            let x = i as f32 * 1e-3;
            worst = worst.max(distance(exp(x), f64::from(x).exp()));
        }
        assert!(worst <= 4.0, "{worst}");
        // The measure would notice one part in a million.
        assert!(distance((1f64.exp() * 1.000_001) as f32, 1f64.exp()) > 4.0);
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-0.0), 1.0);
        for x in [88.73, 89.5, 1e10, f32::INFINITY] {
            assert_eq!(exp(x), f32::INFINITY, "{x}");
        }
        for x in [-103.98, -105.0, -1e10, f32::NEG_INFINITY] {
            assert_eq!(exp(x), 0.0, "{x}");
        }
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn hyperbolic_tangent_and_sigmoid() {
        for i in -20_000..=20_000 {
            let x = i as f32 * 1e-3;
            let want = f64::from(x).tanh();
            assert!((f64::from(tanh(x)) - want).abs() < 2e-7, "{x}");
            let want = 1.0 / (1.0 + (-f64::from(x)).exp());
            assert!((f64::from(sigmoid(x)) - want).abs() < 2e-7 * want, "{x}");
        }
        assert_eq!((tanh(1e30), tanh(-1e30)), (1.0, -1.0));
        assert_eq!((sigmoid(1e30), sigmoid(-1e30)), (1.0, 0.0));
        assert!(tanh(f32::NAN).is_nan() && sigmoid(f32::NAN).is_nan());
    }

    #[test]
    fn every_element_is_summed_once() {
        for len in [0, 1, 31, 32, 33, 64, 100] {
            let x: Vec<f32> = (0..len).map(|i| (i + 1) as f32).collect();
            assert_eq!(sum([&x], |[x]| x), (len * (len + 1) / 2) as f32);
            let squares: usize = (1..=len).map(|i| i * i).sum();
            assert_eq!(sum([&x, &x], |[x, y]| x * y), squares as f32);
        }
    }
}

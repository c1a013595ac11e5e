//! Confidence intervals by resampling rows (percentile bootstrap, Efron 1979). The same seed gives
//! the same interval on every machine and any number of threads.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::data::Progress;
use crate::data::rng::Rng;
use crate::error::DataError;

/// Two-sided level of all intervals.
pub const LEVEL: f64 = 0.95;

/// A 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Whether a value lies within.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// How often each of `n` rows is drawn in replicate `replicate`.
pub fn draw(n: usize, seed: u64, replicate: usize) -> Vec<u32> {
    // Starts are mixed twice: states that lie a few steps apart would give sequences that overlap.
    let start = Rng::new(Rng::new(seed).bits() ^ replicate as u64).bits();
    let mut rng = Rng::new(start);
    let mut counts = vec![0; n];
    for _ in 0..n {
        let at = rng.below(n);
        if let Some(count) = counts.get_mut(at) {
            *count += 1;
        }
    }
    counts
}

/// Intervals of figures that `measure` computes from how often each row counts.
///
/// # Errors
/// [`DataError::Cancelled`].
pub fn intervals(
    n: usize,
    replicates: usize,
    seed: u64,
    progress: &Progress,
    measure: impl Fn(&[u32]) -> Vec<f64> + Sync,
) -> Result<Vec<Interval>, DataError> {
    let all: Vec<Vec<f64>> = (0..replicates)
        .into_par_iter()
        .map(|r| {
            progress.check()?;
            Ok(measure(&draw(n, seed, r)))
        })
        .collect::<Result<_, DataError>>()?;
    let figures = all.first().map_or(0, Vec::len);
    Ok((0..figures)
        .map(|i| percentile(all.iter().filter_map(|r| r.get(i).copied()).collect()))
        .collect())
}

/// The middle [`LEVEL`] of values; NaN ends for none.
pub fn percentile(mut values: Vec<f64>) -> Interval {
    values.retain(|v| v.is_finite());
    values.sort_by(f64::total_cmp);
    let tail = (1.0 - LEVEL) / 2.0;
    Interval { low: quantile(&values, tail), high: quantile(&values, 1.0 - tail) }
}

/// Quantile of ascending values with linear interpolation (NumPy's default); NaN for none.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = q.clamp(0.0, 1.0) * last as f64;
    let low = (at.floor() as usize).min(last);
    let high = (low + 1).min(last);
    match (sorted.get(low), sorted.get(high)) {
        (Some(a), Some(b)) => a + (b - a) * (at - low as f64),
        _ => f64::NAN,
    }
}

/// Wilson's interval of a share of `n` rows (Wilson 1927); the whole range for no rows.
pub fn wilson(hits: f64, n: f64) -> Interval {
    if n <= 0.0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    const Z: f64 = 1.959_963_984_540_054;
    let p = hits / n;
    let centre = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
}

/// Two-sided p-value of a standard normal z: erfc(|z| / √2), relative error below 1.2e-7
/// (Numerical Recipes, `erfcc`).
pub fn two_sided(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * x);
    const C: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let series = C.iter().rev().fold(0.0, |sum, c| c + t * sum);
    (t * (-x * x + series).exp()).min(1.0)
}

/// Benjamini and Hochberg's adjusted p-values (1995): the smallest false discovery rate at which
/// each would be called a finding.
pub fn adjust(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    let at = |i: usize| p.get(i).copied().unwrap_or(1.0);
    order.sort_by(|a, b| at(*b).total_cmp(&at(*a)));
    let mut out = vec![1.0; p.len()];
    let mut least: f64 = 1.0;
    for (i, &row) in order.iter().enumerate() {
        let rank = (p.len() - i) as f64;
        least = least.min(at(row) * p.len() as f64 / rank);
        if let Some(slot) = out.get_mut(row) {
            *slot = least;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_the_same_every_time_and_take_n_rows() {
        let a = draw(100, 7, 3);
        assert_eq!(a, draw(100, 7, 3));
        assert_ne!(a, draw(100, 7, 4));
        assert_eq!(a.iter().sum::<u32>(), 100);
    }

    #[test]
    fn the_interval_of_a_share_is_about_the_binomial_one() {
        let hit = |i: usize| i < 80;
        let measure = |counts: &[u32]| {
            let hits: u32 =
                counts.iter().enumerate().filter(|(i, _)| hit(*i)).map(|(_, c)| c).sum();
            vec![f64::from(hits) / 100.0]
        };
        let progress = Progress::default();
        let found = intervals(100, 2000, 1, &progress, measure).unwrap()[0];
        // 0.8 ± 1.96 √(0.8 · 0.2 / 100).
        assert!((found.low - 0.7216).abs() < 0.015 && (found.high - 0.8784).abs() < 0.015);
        assert!(found.contains(0.8) && !found.contains(0.5));
        progress.cancel.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(intervals(100, 10, 1, &progress, measure).is_err());
    }

    #[test]
    fn replicates_are_independent() {
        // With overlapping draws the interval of many rows would be far too narrow.
        let measure = |counts: &[u32]| {
            let hits: u32 = counts.iter().take(4000).sum();
            vec![f64::from(hits) / 5000.0]
        };
        let found = intervals(5000, 400, 0, &Progress::default(), measure).unwrap()[0];
        let want = 2.0 * 1.96 * (0.8f64 * 0.2 / 5000.0).sqrt();
        let width = found.high - found.low;
        assert!((width / want - 1.0).abs() < 0.15 && found.contains(0.8), "{found:?}, {want}");
    }

    #[test]
    fn known_values() {
        assert!((two_sided(1.959_963_984_540_054) - 0.05).abs() < 1e-7);
        assert!((two_sided(0.0) - 1.0).abs() < 1e-6);
        let w = wilson(8.0, 10.0);
        assert!((w.low - 0.490_162).abs() < 1e-6 && (w.high - 0.943_318).abs() < 1e-6);
        // scipy.stats.false_discovery_control([0.01, 0.04, 0.03, 0.5]).
        let adjusted = adjust(&[0.01, 0.04, 0.03, 0.5]);
        for (a, want) in adjusted.iter().zip([0.04, 0.16 / 3.0, 0.16 / 3.0, 0.5]) {
            assert!((a - want).abs() < 1e-12, "{adjusted:?}");
        }
        assert!(quantile(&[], 0.5).is_nan());
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), 3.0);
    }
}

//! Differences between two samples of numbers. Inputs are ascending and finite.

use super::special::kolmogorov_sf;

/// Two-sample Kolmogorov–Smirnov statistic: the largest gap between the empirical distribution
/// functions. 0 when a side is empty.
pub fn ks(a: &[f64], b: &[f64]) -> f64 {
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    let (n, m) = (a.len() as f64, b.len() as f64);
    let (mut i, mut j, mut worst) = (0, 0, 0.0f64);
    while i < a.len() && j < b.len() {
        let x = a[i].min(b[j]);
        while i < a.len() && a[i] <= x {
            i += 1;
        }
        while j < b.len() && b[j] <= x {
            j += 1;
        }
        worst = worst.max((i as f64 / n - j as f64 / m).abs());
    }
    worst
}

/// p-value of the two-sample statistic `d` for sizes `n` and `m`: exact (as `scipy.stats.ks_2samp`)
/// up to `n·m` = 4 million, beyond that the Kolmogorov limit.
pub fn ks_p(d: f64, n: usize, m: usize) -> f64 {
    if n == 0 || m == 0 {
        return 1.0;
    }
    if n.saturating_mul(m) <= 4_000_000 {
        return ks_p_exact(d, n, m);
    }
    let (n, m) = (n as f64, m as f64);
    kolmogorov_sf((n * m / (n + m)).sqrt() * d)
}

/// 1 − P(a random lattice path from (0, 0) to (n, m) keeps its two distribution functions closer
/// than `d`).
fn ks_p_exact(d: f64, n: usize, m: usize) -> f64 {
    let limit = d - 1e-12;
    let inside = |i: usize, j: usize| (i as f64 / n as f64 - j as f64 / m as f64).abs() < limit;
    let mut row = vec![0.0f64; m + 1];
    for i in 0..=n {
        for j in 0..=m {
            let value = if !inside(i, j) {
                0.0
            } else if i + j == 0 {
                1.0
            } else {
                let total = (i + j) as f64;
                let up = if i > 0 { row[j] * i as f64 / total } else { 0.0 };
                let left = if j > 0 { row[j - 1] * j as f64 / total } else { 0.0 };
                up + left
            };
            row[j] = value;
        }
    }
    (1.0 - row[m]).clamp(0.0, 1.0)
}

/// First Wasserstein (earth mover's) distance, as `scipy.stats.wasserstein_distance`.
pub fn wasserstein(a: &[f64], b: &[f64]) -> f64 {
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    let (n, m) = (a.len() as f64, b.len() as f64);
    let (mut i, mut j, mut sum) = (0, 0, 0.0);
    let mut x = a[0].min(b[0]);
    while i < a.len() || j < b.len() {
        let next = match (a.get(i), b.get(j)) {
            (Some(&p), Some(&q)) => p.min(q),
            (Some(&p), None) => p,
            (None, Some(&q)) => q,
            (None, None) => break,
        };
        sum += (i as f64 / n - j as f64 / m).abs() * (next - x);
        x = next;
        while i < a.len() && a[i] <= x {
            i += 1;
        }
        while j < b.len() && b[j] <= x {
            j += 1;
        }
    }
    sum
}

/// Wasserstein distance over max(standard deviation of `reference`, 0.001), as Evidently.
pub fn wasserstein_norm(reference: &[f64], current: &[f64]) -> f64 {
    wasserstein(reference, current) / super::mean_std(reference).1.max(0.001)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_and_disjoint_samples() {
        let (a, b) = ([1.0, 2.0, 3.0], [11.0, 12.0, 13.0]);
        assert_eq!((ks(&a, &a), ks(&a, &b)), (0.0, 1.0));
        assert_eq!((wasserstein(&a, &a), wasserstein(&a, &b)), (0.0, 10.0));
        // 2 of the 20 orders of three and three are this extreme.
        assert!((ks_p(1.0, 3, 3) - 0.1).abs() < 1e-12);
        assert_eq!(ks_p(0.0, 3, 3), 1.0);
        assert_eq!((ks(&[], &a), ks_p(0.5, 0, 3), wasserstein(&[], &a)), (0.0, 1.0, 0.0));
    }
}

//! Differences between two distributions given as counts per bin or category.

/// Smallest share in deepchecks' population stability index.
const PSI_FLOOR: f64 = 0.01;

fn shares(counts: &[f64]) -> Vec<f64> {
    let total: f64 = counts.iter().sum();
    counts.iter().map(|c| if total > 0.0 { c / total } else { 0.0 }).collect()
}

/// Population stability index Σ(r−c)·ln(r/c) as deepchecks computes it: shares below 1 % count as 1 %.
pub fn psi(reference: &[f64], current: &[f64]) -> f64 {
    shares(reference)
        .iter()
        .zip(shares(current))
        .map(|(r, c)| {
            let (r, c) = (r.max(PSI_FLOOR), c.max(PSI_FLOOR));
            (r - c) * (r / c).ln()
        })
        .sum()
}

/// Population stability index as Evidently computes it: an empty bin gets a share of 0.0001, or a
/// millionth of the smallest share where that is smaller than 0.0001.
pub fn psi_evidently(reference: &[f64], current: &[f64]) -> f64 {
    let filled = |counts: &[f64]| {
        let mut s = shares(counts);
        let least = s.iter().copied().filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min);
        let fill = if least <= 0.0001 { least / 1e6 } else { 0.0001 };
        s.iter_mut().filter(|v| **v == 0.0).for_each(|v| *v = fill);
        s
    };
    filled(reference).iter().zip(filled(current)).map(|(r, c)| (r - c) * (r / c).ln()).sum()
}

/// Jensen–Shannon distance (square root of the divergence, natural logarithm), as
/// `scipy.spatial.distance.jensenshannon`.
pub fn jensen_shannon(reference: &[f64], current: &[f64]) -> f64 {
    let term = |p: f64, m: f64| if p > 0.0 { p * (p / m).ln() } else { 0.0 };
    let sum: f64 = shares(reference)
        .iter()
        .zip(shares(current))
        .map(|(&p, q)| {
            let m = (p + q) / 2.0;
            term(p, m) + term(q, m)
        })
        .sum();
    (sum / 2.0).max(0.0).sqrt()
}

/// Counts of both samples in equal bins over their common range, as many as Sturges' rule gives
/// (`numpy.histogram_bin_edges(both, "sturges")`, Evidently's bins). Values must be finite.
pub fn sturges_counts(a: &[f64], b: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let all = || a.iter().chain(b).copied();
    let (low, high) =
        (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    let n = a.len() + b.len();
    if n == 0 || high <= low {
        return (vec![a.len() as f64], vec![b.len() as f64]);
    }
    let bins = ((n as f64).log2() + 1.0).ceil() as usize;
    // The edges, not a division by the width, decide the bin, as NumPy does.
    let step = (high - low) / bins as f64;
    let edges: Vec<f64> =
        (0..=bins).map(|i| if i == bins { high } else { low + i as f64 * step }).collect();
    let count = |values: &[f64]| {
        let mut counts = vec![0.0; bins];
        for v in values {
            let bin = edges.partition_point(|e| e <= v).saturating_sub(1).min(bins - 1);
            counts[bin] += 1.0;
        }
        counts
    };
    (count(a), count(b))
}

/// Pearson's χ² of `observed` against `expected` counts, with `expected` scaled to the same total,
/// and its p-value (`scipy.stats.chisquare`).
pub fn chi2_fit(observed: &[f64], expected: &[f64]) -> (f64, f64) {
    let scale = observed.iter().sum::<f64>() / expected.iter().sum::<f64>();
    let stat: f64 = observed
        .iter()
        .zip(expected)
        .map(|(o, e)| (e * scale, o))
        .filter(|(e, _)| *e > 0.0)
        .map(|(e, o)| (o - e).powi(2) / e)
        .sum();
    (stat, super::special::chi2_sf(stat, observed.len() as f64 - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_distributions_have_no_distance() {
        let (a, b) = ([10.0, 20.0, 30.0], [1.0, 2.0, 3.0]);
        assert!(psi(&a, &b).abs() < 1e-12 && psi_evidently(&a, &b).abs() < 1e-12);
        assert!(jensen_shannon(&a, &b) < 1e-7);
        assert!(chi2_fit(&a, &b).0 < 1e-12);
        assert!((jensen_shannon(&[1.0, 0.0], &[0.0, 1.0]) - 2f64.ln().sqrt()).abs() < 1e-12);
        assert!(psi_evidently(&[1.0, 0.0], &[0.0, 1.0]).is_finite());
    }

    #[test]
    fn every_value_falls_in_one_bin() {
        let (a, b) = sturges_counts(&[0.0, 1.0, 2.0, 4.0], &[0.5, 4.0]);
        assert_eq!((a.iter().sum::<f64>(), b.iter().sum::<f64>()), (4.0, 2.0));
        assert_eq!(a.len(), 4);
        assert_eq!(sturges_counts(&[1.0], &[1.0]), (vec![1.0], vec![1.0]));
        assert_eq!(sturges_counts(&[], &[]), (vec![0.0], vec![0.0]));
    }
}

//! Statistics behind the checks. Figures agree with SciPy, scikit-learn, deepchecks and Evidently
//! (`tests/golden/quality.py` records theirs).

pub mod association;
pub mod binned;
pub mod change;
pub mod distance;
pub mod special;

/// Dot product in eight running sums, which the compiler keeps in one register.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    lanes(a, b, |x, y| x * y)
}

/// Sum of squared differences.
pub fn distance2(a: &[f32], b: &[f32]) -> f32 {
    lanes(a, b, |x, y| (x - y) * (x - y))
}

fn lanes(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0f32; 8];
    for (x, y) in a8.iter().zip(b8) {
        for i in 0..8 {
            sums[i] += term(x[i], y[i]);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| term(*x, *y)).sum();
    sums.iter().sum::<f32>() + rest
}

/// Mean and population standard deviation of the finite values.
pub fn mean_std(values: &[f64]) -> (f64, f64) {
    let (mut n, mut mean, mut m2) = (0.0, 0.0, 0.0);
    for &v in values.iter().filter(|v| v.is_finite()) {
        n += 1.0;
        let d = v - mean;
        mean += d / n;
        m2 += d * (v - mean);
    }
    if n == 0.0 { (f64::NAN, f64::NAN) } else { (mean, (m2 / n).sqrt()) }
}

/// The finite values, ascending.
pub fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut v: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
    v.sort_unstable_by(f64::total_cmp);
    v
}

/// Quantile `q` in 0..=1 of ascending values, linear between neighbours (NumPy's default); NaN when
/// there are none.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = q.clamp(0.0, 1.0) * last as f64;
    let low = at.floor() as usize;
    let (a, b) = (sorted[low], sorted[(low + 1).min(last)]);
    a + (b - a) * (at - at.floor())
}

/// Area under the ROC curve: the chance that a positive scores above a negative, ties counted half.
/// 0.5 when one side is empty.
pub fn auc(scores: &[f64], positive: &[bool]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len().min(positive.len())).collect();
    order.sort_unstable_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let (mut rank_sum, mut positives) = (0.0, 0usize);
    let mut i = 0;
    while i < order.len() {
        let mut j = i + 1;
        while j < order.len() && scores[order[j]] == scores[order[i]] {
            j += 1;
        }
        let rank = (i + j + 1) as f64 / 2.0;
        let hits = order[i..j].iter().filter(|&&r| positive[r]).count();
        rank_sum += rank * hits as f64;
        positives += hits;
        i = j;
    }
    let negatives = order.len() - positives;
    if positives == 0 || negatives == 0 {
        return 0.5;
    }
    let (p, n) = (positives as f64, negatives as f64);
    (rank_sum - p * (p + 1.0) / 2.0) / (p * n)
}

/// Chance that a Gaussian kernel density (Scott's bandwidth, as `scipy.stats.gaussian_kde`) fitted
/// to `sample` gives to values from `low` on. 1 or 0 where the sample has no spread.
pub fn kde_above(sample: &[f64], low: f64) -> f64 {
    let n = sample.len() as f64;
    let (mean, std) = mean_std(sample);
    let width = std * (n / (n - 1.0)).sqrt() * n.powf(-0.2);
    if width.is_nan() || width <= 0.0 {
        return if mean >= low { 1.0 } else { 0.0 };
    }
    sample
        .iter()
        .map(|v| 0.5 * special::erfc((low - v) / width / std::f64::consts::SQRT_2))
        .sum::<f64>()
        / n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edge_cases_stay_defined() {
        assert!(quantile(&[], 0.5).is_nan());
        assert_eq!(quantile(&[3.0], 0.9), 3.0);
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 0.5), 2.5);
        assert!(mean_std(&[]).0.is_nan());
        assert_eq!(mean_std(&[1.0, f64::NAN, 3.0]), (2.0, 1.0));
        assert_eq!(auc(&[], &[]), 0.5);
        assert_eq!(auc(&[0.1, 0.2], &[true, true]), 0.5);
        assert_eq!(auc(&[0.1, 0.9, 0.5, 0.5], &[false, true, true, false]), 0.875);
        assert_eq!(kde_above(&[1.0, 1.0], 2.0), 0.0);
        let v: Vec<f32> = (0..19).map(|i| i as f32).collect();
        assert_eq!((dot(&v, &v), distance2(&v, &[1.0; 19])), (2109.0, 1786.0));
    }
}

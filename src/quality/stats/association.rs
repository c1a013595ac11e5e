//! How strongly two columns go together.

use super::special::chi2_sf;

/// A table of counts: one row per value of the first column, one per value of the second.
#[derive(Debug, Clone, PartialEq)]
pub struct Contingency {
    rows: usize,
    columns: usize,
    counts: Vec<f64>,
}

/// Result of [`Contingency::chi2`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chi2 {
    /// Pearson's statistic, with Yates' correction for one degree of freedom.
    pub statistic: f64,
    /// Chance of one at least this large if the columns were independent.
    pub p: f64,
    /// (rows − 1)·(columns − 1).
    pub dof: usize,
}

impl Contingency {
    /// From rows of counts of equal length; rows and columns that sum to 0 are left out.
    pub fn new(table: &[Vec<f64>]) -> Self {
        let width = table.iter().map(Vec::len).min().unwrap_or(0);
        let rows: Vec<&Vec<f64>> = table.iter().filter(|r| r.iter().sum::<f64>() > 0.0).collect();
        let kept: Vec<usize> =
            (0..width).filter(|&c| rows.iter().map(|r| r[c]).sum::<f64>() > 0.0).collect();
        let counts = rows.iter().flat_map(|r| kept.iter().map(|&c| r[c])).collect();
        Self { rows: rows.len(), columns: kept.len(), counts }
    }

    /// Counts pairs of codes; codes at or above the given number of values (missing) are left out.
    pub fn of_codes(a: &[u32], a_values: usize, b: &[u32], b_values: usize) -> Self {
        let mut table = vec![vec![0.0; b_values]; a_values];
        for (&x, &y) in a.iter().zip(b) {
            if let Some(cell) = table.get_mut(x as usize).and_then(|r| r.get_mut(y as usize)) {
                *cell += 1.0;
            }
        }
        Self::new(&table)
    }

    /// χ² test of independence, as `scipy.stats.chi2_contingency`.
    pub fn chi2(&self) -> Chi2 {
        if self.rows < 2 || self.columns < 2 {
            return Chi2 { statistic: 0.0, p: 1.0, dof: 0 };
        }
        let total: f64 = self.counts.iter().sum();
        let row_sums: Vec<f64> = self.counts.chunks(self.columns).map(|r| r.iter().sum()).collect();
        let mut column_sums = vec![0.0; self.columns];
        for row in self.counts.chunks(self.columns) {
            column_sums.iter_mut().zip(row).for_each(|(s, v)| *s += v);
        }
        let dof = (self.rows - 1) * (self.columns - 1);
        let mut statistic = 0.0;
        for (row, r) in self.counts.chunks(self.columns).zip(&row_sums) {
            for (observed, c) in row.iter().zip(&column_sums) {
                let expected = r * c / total;
                let mut gap = (observed - expected).abs();
                if dof == 1 {
                    gap -= gap.min(0.5);
                }
                statistic += gap * gap / expected;
            }
        }
        Chi2 { statistic, p: chi2_sf(statistic, dof as f64), dof }
    }

    /// Cramér's V, 0..=1. `corrected`: Bergsma's bias correction, as deepchecks uses it.
    pub fn cramers_v(&self, corrected: bool) -> f64 {
        let n: f64 = self.counts.iter().sum();
        if self.rows < 2 || self.columns < 2 || n < 2.0 {
            return 0.0;
        }
        let phi2 = self.chi2().statistic / n;
        let (r, k) = (self.rows as f64, self.columns as f64);
        if !corrected {
            return (phi2 / (r - 1.0).min(k - 1.0)).sqrt();
        }
        let phi2 = (phi2 - (k - 1.0) * (r - 1.0) / (n - 1.0)).max(0.0);
        let r = r - (r - 1.0).powi(2) / (n - 1.0);
        let k = k - (k - 1.0).powi(2) / (n - 1.0);
        let smaller = (r - 1.0).min(k - 1.0);
        if smaller > 0.0 { (phi2 / smaller).sqrt() } else { 0.0 }
    }
}

/// Cramér's V between two samples of categories as deepchecks measures drift: categories below
/// `min_share` of the reference are pooled, the larger sample is scaled down to the smaller, V is
/// bias-corrected. `reference` and `current` count the same categories in the same order.
pub fn drift_cramers_v(reference: &[f64], current: &[f64], min_share: f64) -> f64 {
    let (total_r, total_c): (f64, f64) = (reference.iter().sum(), current.iter().sum());
    let (mut kept_r, mut kept_c, mut other_r, mut other_c) = (vec![], vec![], 0.0, 0.0);
    for (&r, &c) in reference.iter().zip(current) {
        if r < total_r * min_share {
            other_r += r;
            other_c += c;
        } else {
            kept_r.push(r);
            kept_c.push(c);
        }
    }
    if other_r > min_share * total_r || other_c > min_share * total_c {
        kept_r.push(other_r);
        kept_c.push(other_c);
    }
    let (sum_r, sum_c): (f64, f64) = (kept_r.iter().sum(), kept_c.iter().sum());
    if kept_r.len() < 2 || sum_r <= 0.0 || sum_c <= 0.0 {
        return 0.0;
    }
    let (scale_r, scale_c) =
        if sum_r > sum_c { (sum_c / sum_r, 1.0) } else { (1.0, sum_r / sum_c) };
    let scaled = |v: &[f64], s: f64| v.iter().map(|x| (x * s).round_ties_even()).collect();
    Contingency::new(&[scaled(&kept_r, scale_r), scaled(&kept_c, scale_c)]).cramers_v(true)
}

/// Pearson correlation over rows where both are finite; 0 where one has no spread.
pub fn pearson<T: Copy + Into<f64>>(a: &[T], b: &[T]) -> f64 {
    let pairs: Vec<(f64, f64)> = a
        .iter()
        .zip(b)
        .map(|(x, y)| ((*x).into(), (*y).into()))
        .filter(|(x, y)| x.is_finite() && y.is_finite())
        .collect();
    let n = pairs.len() as f64;
    let (ma, mb) = pairs.iter().fold((0.0, 0.0), |(p, q), (x, y)| (p + x / n, q + y / n));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in pairs {
        let (dx, dy) = (x - ma, y - mb);
        ab += dx * dy;
        aa += dx * dx;
        bb += dy * dy;
    }
    if aa > 0.0 && bb > 0.0 { (ab / (aa * bb).sqrt()).clamp(-1.0, 1.0) } else { 0.0 }
}

/// Correlation ratio η of a number given a category: the square root of the share of the number's
/// variance that lies between the categories. Rows with a missing side are left out.
pub fn correlation_ratio(codes: &[u32], values: usize, numbers: &[f64]) -> f64 {
    let mut groups = vec![(0.0f64, 0.0f64); values];
    let (mut n, mut sum) = (0.0, 0.0);
    let rows =
        || codes.iter().zip(numbers).filter(|(c, v)| (**c as usize) < values && v.is_finite());
    for (&c, &v) in rows() {
        let group = &mut groups[c as usize];
        group.0 += 1.0;
        group.1 += v;
        n += 1.0;
        sum += v;
    }
    let mean = sum / n;
    let all: f64 = rows().map(|(_, v)| (v - mean).powi(2)).sum();
    let between: f64 = groups
        .iter()
        .filter(|g| g.0 > 0.0)
        .map(|(count, total)| count * (total / count - mean).powi(2))
        .sum();
    if all > 0.0 { (between / all).sqrt().min(1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perfect_and_absent_association() {
        let same =
            Contingency::new(&[vec![50.0, 0.0, 0.0], vec![0.0, 50.0, 0.0], vec![0.0, 0.0, 50.0]]);
        assert!((same.cramers_v(false) - 1.0).abs() < 1e-12);
        let none = Contingency::new(&[vec![20.0, 40.0], vec![10.0, 20.0]]);
        assert_eq!((none.cramers_v(true), none.chi2().dof), (0.0, 1));
        assert_eq!(Contingency::new(&[vec![3.0, 0.0]]).cramers_v(false), 0.0);
        assert_eq!(Contingency::new(&[]).chi2().p, 1.0);
        assert_eq!(pearson(&[1.0, 2.0, f64::NAN], &[2.0, 4.0, 0.0]), 1.0);
        assert_eq!(pearson(&[1.0, 1.0], &[2.0, 4.0]), 0.0);
        assert_eq!(correlation_ratio(&[0, 0, 1, 1, 9], 2, &[1.0, 1.0, 2.0, 2.0, 7.0]), 1.0);
        assert_eq!(correlation_ratio(&[], 0, &[]), 0.0);
    }

    #[test]
    fn codes_count_into_a_table_without_the_missing() {
        let t = Contingency::of_codes(&[0, 1, u32::MAX, 0], 2, &[1, 0, 0, 1], 2);
        assert_eq!(t.counts, [0.0, 2.0, 1.0, 0.0]);
    }
}

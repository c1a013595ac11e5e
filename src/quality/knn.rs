//! Nearest neighbours of a bounded sample of rows, shared by the checks on outliers, near-duplicates
//! and row order.

use rayon::prelude::*;

use super::rng::Rng;
use super::stats;

/// Neighbours looked at per row (cleanlab's default).
pub const K: usize = 10;
/// Multiply–adds that the search may cost.
const WORK: usize = 4_000_000_000;
/// Rows in a sample at most.
pub const SAMPLE: usize = 4_000;

/// Rows as points: `[rows, numbers]` and `[rows, codes]`. The squared distance of two rows is the
/// sum of squared differences of the numbers plus 1 for every differing code.
#[derive(Debug, Clone, Default)]
pub struct Points {
    /// Number of rows.
    pub rows: usize,
    /// Row-major numbers, standardised.
    pub numbers: Vec<f32>,
    /// Numbers per row.
    pub width: usize,
    /// Row-major codes.
    pub codes: Vec<u32>,
    /// Codes per row.
    pub code_width: usize,
}

impl Points {
    /// Rows that a search over points of this width can afford.
    pub fn affordable(width: usize) -> usize {
        SAMPLE.min((WORK as f64 / width.max(1) as f64).sqrt() as usize)
    }

    fn distance2(&self, a: usize, b: usize) -> f32 {
        let number = |r: usize| &self.numbers[r * self.width..(r + 1) * self.width];
        let code = |r: usize| &self.codes[r * self.code_width..(r + 1) * self.code_width];
        let near = stats::distance2(number(a), number(b));
        near + code(a).iter().zip(code(b)).filter(|(x, y)| x != y).count() as f32
    }
}

/// The `k` nearest other rows of every row, nearest first.
#[derive(Debug, Clone)]
pub struct Graph {
    /// Neighbours per row.
    pub k: usize,
    /// `[rows, k]` row numbers.
    pub neighbours: Vec<u32>,
    /// `[rows, k]` distances.
    pub distances: Vec<f32>,
}

impl Graph {
    /// Exact search. `k` is cut to the number of other rows; `None` when there are fewer than 2 rows.
    pub fn new(points: &Points, k: usize) -> Option<Self> {
        let n = points.rows;
        let k = k.min(n.checked_sub(1)?);
        if k == 0 {
            return None;
        }
        let found: Vec<Vec<(f32, u32)>> = (0..n)
            .into_par_iter()
            .map(|a| {
                let mut best: Vec<(f32, u32)> = Vec::with_capacity(k + 1);
                for b in (0..n).filter(|&b| b != a) {
                    let d = points.distance2(a, b);
                    if best.len() < k || best.last().is_some_and(|w| d < w.0) {
                        let at = best.partition_point(|w| w.0 <= d);
                        best.insert(at, (d, b as u32));
                        best.truncate(k);
                    }
                }
                best
            })
            .collect();
        let flat = || found.iter().flatten();
        Some(Self {
            k,
            neighbours: flat().map(|f| f.1).collect(),
            distances: flat().map(|f| f.0.sqrt()).collect(),
        })
    }

    /// Mean distance of every row to its neighbours.
    pub fn mean_distances(&self) -> Vec<f64> {
        let mean = |d: &[f32]| d.iter().map(|v| f64::from(*v)).sum::<f64>() / self.k as f64;
        self.distances.chunks(self.k).map(mean).collect()
    }

    /// Distance of every row to its nearest neighbour, and which row that is.
    pub fn nearest(&self) -> Vec<(f64, u32)> {
        let first = |(d, n): (&[f32], &[u32])| (f64::from(d[0]), n[0]);
        self.distances.chunks(self.k).zip(self.neighbours.chunks(self.k)).map(first).collect()
    }

    /// Mean distance above which a row is an outlier: Q3 + 1.7·IQR of the mean distances (cleanlab
    /// states 1.7 as 1/threshold − 1).
    pub fn outlier_limit(&self) -> f64 {
        let sorted = stats::sorted(self.mean_distances());
        let (q1, q3) = (stats::quantile(&sorted, 0.25), stats::quantile(&sorted, 0.75));
        q3 + (1.0 / 0.37037 - 1.0) * (q3 - q1)
    }

    /// Largest gap between the distribution of |i − j| over neighbours (i, j), with rows renumbered
    /// by `position`, and that of all pairs.
    fn order_gap(&self, position: &[u32]) -> f64 {
        let n = position.len();
        let mut counts = vec![0u32; n];
        for (i, row) in self.neighbours.chunks(self.k).enumerate() {
            for &j in row {
                counts[position[i].abs_diff(position[j as usize]) as usize] += 1;
            }
        }
        let total = self.neighbours.len() as f64;
        let pairs = n as f64 * (n as f64 - 1.0) / 2.0;
        let (mut seen, mut background, mut worst) = (0.0f64, 0.0f64, 0.0f64);
        for (distance, &count) in counts.iter().enumerate().skip(1) {
            background += (n - distance) as f64 / pairs;
            if count > 0 {
                // The step is compared at both ends, as the sorted list of distances is.
                worst = worst.max((seen / total - background).abs());
                seen += f64::from(count);
                worst = worst.max(((seen - 1.0) / total - background).abs());
            }
        }
        worst.max((1.0 - background).abs())
    }

    /// Whether rows close in the file are alike, as cleanlab's non-IID check: the gap for the given
    /// order, and its p-value against 25 random orders (Gaussian kernel density).
    pub fn order_test(&self) -> (f64, f64) {
        let n = self.neighbours.len() / self.k;
        let own: Vec<u32> = (0..n as u32).collect();
        let gap = self.order_gap(&own);
        let mut rng = Rng::new(0);
        let orders: Vec<Vec<u32>> = (0..25).map(|_| rng.permutation(n)).collect();
        let gaps: Vec<f64> = orders.par_iter().map(|o| self.order_gap(o)).collect();
        (gap, stats::kde_above(&gaps, gap))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(values: &[f32]) -> Points {
        Points { rows: values.len(), numbers: values.to_vec(), width: 1, ..Points::default() }
    }

    #[test]
    fn neighbours_are_the_nearest_in_order() {
        let g = Graph::new(&line(&[0.0, 1.0, 3.0, 10.0]), 2).unwrap();
        assert_eq!(g.neighbours, [1, 2, 0, 2, 1, 0, 2, 1]);
        assert_eq!(g.distances[6..], [7.0, 9.0]);
        assert_eq!(g.nearest()[3], (7.0, 2));
        assert!(Graph::new(&line(&[1.0]), 2).is_none() && Graph::new(&line(&[]), 2).is_none());
    }

    #[test]
    fn differing_codes_count_one_each() {
        let p = Points { rows: 2, codes: vec![1, 2, 1, 3], code_width: 2, ..Points::default() };
        assert_eq!(Graph::new(&p, 1).unwrap().distances, [1.0, 1.0]);
    }

    #[test]
    fn a_trend_over_the_rows_is_found_and_noise_is_not() {
        let mut rng = Rng::new(1);
        let mut draw = || rng.next_u32() as f32 / u32::MAX as f32;
        let noise: Vec<f32> = (0..500).map(|_| draw()).collect();
        let trend: Vec<f32> = (0..500).map(|i| i as f32 / 500.0 + 0.1 * draw()).collect();
        assert!(Graph::new(&line(&noise), K).unwrap().order_test().1 > 0.05);
        let (gap, p) = Graph::new(&line(&trend), K).unwrap().order_test();
        assert!(gap > 0.5 && p < 1e-6, "{gap} {p}");
    }
}

//! Where in an order of rows the distribution of columns changes most.

use rayon::prelude::*;

use super::association::drift_cramers_v;
use super::distance::ks;
use super::special::kolmogorov_sf;
use super::{mean_std, sorted};

/// Rows below which nothing is said.
pub const FEW: usize = 50;
/// Rows looked at; of more, evenly spaced ones.
const MOST: usize = 100_000;
/// Commonest categories that are looked at one by one.
const CATEGORIES: usize = 10;
/// Share of the rows at either end in which no change is looked for.
const END: f64 = 0.02;
/// Share of the rows on either side that are compared to tell a jump from a slow change.
const NEAR: f64 = 0.05;
/// Categories with a smaller share are pooled.
const MIN_SHARE: f64 = 0.01;

/// A column in row order.
#[derive(Debug, Clone, Copy)]
pub enum Series<'a> {
    /// Numbers, NaN where missing.
    Numbers(&'a [f64]),
    /// Categories as codes below `values`; any other code is a missing cell.
    Codes {
        /// One code per row.
        codes: &'a [u32],
        /// Number of categories.
        values: usize,
    },
}

/// The place of the greatest change.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// First row after it.
    pub row: usize,
    /// Rows between two that were looked at: the row is known to this precision.
    pub step: usize,
    /// Rows on either side that [`Changed::near`] compares.
    pub near_rows: usize,
    /// Columns that change, most first.
    pub columns: Vec<Changed>,
}

/// How a column changes there.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    /// Place of the column.
    pub column: usize,
    /// Difference between all rows before and after: the Kolmogorov–Smirnov statistic of numbers,
    /// bias-corrected Cramér's V of categories (0 to 1).
    pub difference: f64,
    /// The same between the rows shortly before and after.
    pub near: f64,
}

impl Series<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Numbers(v) => v.len(),
            Self::Codes { codes, .. } => codes.len(),
        }
    }

    /// What is followed through the rows: ranks and their distance from the middle one of numbers,
    /// each of the commonest categories, missing cells.
    fn followed(&self, step: usize) -> Vec<Vec<f64>> {
        let mut all = Vec::new();
        let flag = |on: bool| if on { 1.0 } else { 0.0 };
        match self {
            Self::Numbers(values) => {
                let values: Vec<f64> = values.iter().step_by(step).copied().collect();
                all.push(values.iter().map(|v| flag(!v.is_finite())).collect());
                let ranks = mid_ranks(&values);
                let middle = mean_std(&ranks).0;
                // A missing cell stands in the middle: whether it is missing is followed apart.
                let ranks: Vec<f64> = ranks
                    .into_iter()
                    .map(|r| if r.is_finite() { r - middle } else { 0.0 })
                    .collect();
                all.push(ranks.iter().map(|r| r.abs()).collect());
                all.push(ranks);
            }
            Self::Codes { codes, values } => {
                let mut counts = vec![(0usize, 0u32); *values];
                for &code in codes.iter().step_by(step) {
                    if let Some(c) = counts.get_mut(code as usize) {
                        *c = (c.0 + 1, code);
                    }
                }
                counts.sort_unstable_by_key(|c| std::cmp::Reverse(*c));
                let of = |pick: &dyn Fn(u32) -> bool| {
                    codes.iter().step_by(step).map(|c| flag(pick(*c))).collect()
                };
                all.push(of(&|c| c as usize >= *values));
                for (n, code) in counts.into_iter().take(CATEGORIES) {
                    if n > 0 {
                        all.push(of(&|c| c == code));
                    }
                }
            }
        }
        all
    }

    fn difference(&self, before: std::ops::Range<usize>, after: std::ops::Range<usize>) -> f64 {
        let side = |range: std::ops::Range<usize>| match self {
            Self::Numbers(v) => sorted(v.get(range).unwrap_or_default().iter().copied()),
            Self::Codes { codes, values } => {
                let mut counts = vec![0.0; *values];
                for code in codes.get(range).unwrap_or_default() {
                    if let Some(n) = counts.get_mut(*code as usize) {
                        *n += 1.0;
                    }
                }
                counts
            }
        };
        let (a, b) = (side(before), side(after));
        match self {
            Self::Numbers(_) => ks(&a, &b),
            Self::Codes { .. } => drift_cramers_v(&a, &b, MIN_SHARE),
        }
    }
}

/// Ranks from 0, equal values sharing their mean; NaN where missing.
fn mid_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).filter(|&i| values[i].is_finite()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![f64::NAN; values.len()];
    let mut from = 0;
    for same in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = from as f64 + (same.len() - 1) as f64 / 2.0;
        same.iter().for_each(|&i| ranks[i] = rank);
        from += same.len();
    }
    ranks
}

/// Running sums of the standardised values over √n, one for every place between two rows, and the
/// chance that rows in random order give a larger one: of random orders their largest size follows
/// Kolmogorov's distribution, as does that of a Brownian bridge. `None` for one value everywhere.
fn bridge(values: &[f64]) -> Option<(Vec<f64>, f64)> {
    let (mean, std) = mean_std(values);
    if std.is_nan() || std <= 0.0 {
        return None;
    }
    let scale = 1.0 / (std * (values.len() as f64).sqrt());
    let mut sum = 0.0;
    let sums: Vec<f64> = values
        .iter()
        .map(|v| {
            sum += (v - mean) * scale;
            sum
        })
        .collect();
    let most = sums.iter().fold(0.0f64, |m, s| m.max(s.abs()));
    Some((sums, kolmogorov_sf(most)))
}

/// The row at which the columns change most; `None` where they do not change more than rows in a
/// random order would, with the false discovery rate over all that is followed held at `rate`
/// (Benjamini and Hochberg 1995). The place is where the sum over what changes of CUSUM² / (t (1 − t)),
/// t the share of rows before, is largest (Csörgő and Horváth, "Limit Theorems in Change-Point
/// Analysis", 1997).
pub fn greatest_change(columns: &[Series], rate: f64) -> Option<Change> {
    let rows = columns.iter().map(Series::len).min().unwrap_or(0);
    if rows < FEW {
        return None;
    }
    let step = rows.div_ceil(MOST);
    let mut followed: Vec<(f64, usize, Vec<f64>)> = columns
        .par_iter()
        .enumerate()
        .flat_map_iter(|(i, c)| {
            let bridges = c.followed(step).into_iter().filter_map(|v| bridge(&v));
            bridges.map(|(sums, p)| (p, i, sums)).collect::<Vec<_>>()
        })
        .collect();
    followed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let m = followed.len() as f64;
    let kept = followed.iter().enumerate().rev();
    let kept = kept.filter(|(k, f)| f.0 <= rate * (k + 1) as f64 / m).map(|(k, _)| k + 1).next()?;
    followed.truncate(kept);
    let n = followed.iter().map(|f| f.2.len()).min()?;
    let score = |k: usize| {
        let t = k as f64 / n as f64;
        followed.iter().map(|f| f.2[k - 1] * f.2[k - 1]).sum::<f64>() / (t * (1.0 - t))
    };
    let end = ((n as f64 * END) as usize).max(5);
    let at = (end..n - end).max_by(|&a, &b| score(a).total_cmp(&score(b)))?;
    let row = at * step;
    let near = ((rows as f64 * NEAR) as usize).max(FEW / 2).min(row).min(rows - row);
    let mut places: Vec<usize> = followed.iter().map(|f| f.1).collect();
    places.sort_unstable();
    places.dedup();
    let mut changed: Vec<Changed> = places
        .into_iter()
        .filter_map(|column| {
            let series = columns.get(column)?;
            Some(Changed {
                column,
                difference: series.difference(0..row, row..rows),
                near: series.difference(row - near..row, row..row + near),
            })
        })
        .collect();
    changed.sort_by(|a, b| b.difference.total_cmp(&a.difference));
    Some(Change { row, step, near_rows: near, columns: changed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::rng::Rng;

    fn noise(n: usize, seed: u32) -> Vec<f64> {
        let mut rng = Rng::new(seed);
        (0..n).map(|_| rng.up_to(9999) as f64).collect()
    }

    #[test]
    fn a_planted_change_is_found_at_its_row() {
        for at in [150, 500, 900] {
            let mut moved = noise(1000, 3);
            moved[at..].iter_mut().for_each(|v| *v += 4000.0);
            let wider: Vec<f64> = noise(1000, 4)
                .into_iter()
                .enumerate()
                .map(|(i, v)| if i < at { 5000.0 + (v - 5000.0) / 5.0 } else { v })
                .collect();
            let steady = noise(1000, 5);
            let codes: Vec<u32> = noise(1000, 6)
                .iter()
                .enumerate()
                .map(|(i, v)| if i < at { 0 } else { *v as u32 % 2 })
                .collect();
            let columns = [
                Series::Numbers(&moved),
                Series::Numbers(&steady),
                Series::Numbers(&wider),
                Series::Codes { codes: &codes, values: 2 },
            ];
            let change = greatest_change(&columns, 0.01).unwrap();
            assert!(change.row.abs_diff(at) <= 5, "{at}: {change:?}");
            let mut places: Vec<usize> = change.columns.iter().map(|c| c.column).collect();
            places.sort_unstable();
            assert_eq!(places, [0, 2, 3], "{change:?}");
            assert!(change.columns.iter().all(|c| c.near > 0.2), "{change:?}");
        }
    }

    #[test]
    fn rows_in_random_order_seldom_change() {
        let found = (0..200).filter(|seed| {
            let columns: Vec<Vec<f64>> = (0..5).map(|c| noise(300, seed * 7 + c + 100)).collect();
            let series: Vec<Series> = columns.iter().map(|v| Series::Numbers(v)).collect();
            greatest_change(&series, 0.05).is_some()
        });
        // At most 5 % are to be found by chance; the limit leaves room for 200 draws.
        let n = found.count();
        assert!(n <= 18, "{n}");
    }

    #[test]
    fn too_little_or_nothing_gives_no_change() {
        assert!(greatest_change(&[], 0.01).is_none());
        assert!(greatest_change(&[Series::Numbers(&[1.0; 30])], 0.01).is_none());
        assert!(greatest_change(&[Series::Numbers(&[1.0; 300])], 0.01).is_none());
        assert!(greatest_change(&[Series::Numbers(&[f64::NAN; 300])], 0.01).is_none());
        let half: Vec<f64> = (0..300).map(|i| if i < 100 { f64::NAN } else { 1.0 }).collect();
        let change = greatest_change(&[Series::Numbers(&half)], 0.01).unwrap();
        assert_eq!(change.row, 100);
    }

    #[test]
    fn equal_values_share_their_rank() {
        assert_eq!(mid_ranks(&[5.0, 1.0, 5.0, 2.0])[..], [2.5, 0.0, 2.5, 1.0]);
        assert!(mid_ranks(&[f64::NAN, 1.0])[0].is_nan());
    }
}

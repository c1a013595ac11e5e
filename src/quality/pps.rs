//! Predictive power score: how well one column alone predicts another, 0..=1.
//!
//! The definition is that of the `ppscore` package 1.3: at most 5,000 rows without missing values,
//! shuffled; a decision tree of the one column, scored by 4-fold cross-validation; weighted F1 for
//! classes against the better of "always the commonest" and "a random order", mean absolute error
//! for numbers against "always the median"; (score − baseline) / (perfect − baseline), not below 0.
//! Row sampling and shuffling are NumPy's, so that the figures agree row for row.

mod tree;

use self::tree::{Cells, Input, Mean, Votes};
use super::rng::Rng;

/// Rows looked at.
pub const SAMPLE: usize = 5_000;
const FOLDS: usize = 4;
const SEED: u32 = 123;
/// The predicting column.
#[derive(Debug, Clone, Copy)]
pub enum Feature<'a> {
    /// Numbers, NaN where missing.
    Numbers(&'a [f64]),
    /// Codes below `values`; at or above it where missing.
    Codes {
        /// A code per row.
        codes: &'a [u32],
        /// Number of distinct values.
        values: usize,
    },
}

/// The predicted column.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// Numbers, NaN where missing.
    Numbers(&'a [f64]),
    /// Class codes below `classes`, in the order in which ties are broken; at or above it where
    /// missing.
    Classes {
        /// A code per row.
        codes: &'a [u32],
        /// Number of classes.
        classes: usize,
    },
}

impl Feature<'_> {
    fn has(&self, row: usize) -> bool {
        match self {
            Self::Numbers(v) => v.get(row).is_some_and(|v| v.is_finite()),
            Self::Codes { codes, values } => {
                codes.get(row).is_some_and(|c| (*c as usize) < *values)
            }
        }
    }
}

impl Target<'_> {
    fn has(&self, row: usize) -> bool {
        match self {
            Self::Numbers(v) => v.get(row).is_some_and(|v| v.is_finite()),
            Self::Classes { codes, classes } => {
                codes.get(row).is_some_and(|c| (*c as usize) < *classes)
            }
        }
    }
}

/// Shuffled orders of `n` rows cut to what the score uses; drawing one for a large `n` is most of
/// the work, and columns without missing values share it.
#[derive(Debug, Default)]
pub struct Orders(std::sync::Mutex<rustc_hash::FxHashMap<usize, std::sync::Arc<Vec<u32>>>>);

impl Orders {
    fn of(&self, n: usize) -> std::sync::Arc<Vec<u32>> {
        let lock = || self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(order) = lock().get(&n) {
            return order.clone();
        }
        let mut order = Rng::new(SEED).permutation(n);
        order.truncate(SAMPLE);
        let order = std::sync::Arc::new(order);
        lock().insert(n, order.clone());
        order
    }
}

/// The score. 0 when it is not defined: fewer rows than folds, a constant target, a feature of
/// categories that all differ.
pub fn score(feature: Feature, target: Target, rows: usize, orders: &Orders) -> f64 {
    let present: Vec<u32> =
        (0..rows as u32).filter(|&r| feature.has(r as usize) && target.has(r as usize)).collect();
    let taken: Vec<u32> = if present.len() > SAMPLE {
        orders.of(present.len()).iter().map(|&i| present[i as usize]).collect()
    } else {
        present
    };
    if taken.len() < FOLDS {
        return 0.0;
    }
    let order = orders.of(taken.len());
    let x = match feature {
        Feature::Numbers(v) => {
            Input::Numbers(taken.iter().map(|&r| v[r as usize] as f32).collect())
        }
        Feature::Codes { codes, .. } => {
            let (codes, values) = compact(taken.iter().map(|&r| codes[r as usize]));
            if values == codes.len() {
                return 0.0;
            }
            Input::Codes(codes, values)
        }
    };
    let x = x.reordered(&order);
    match target {
        Target::Numbers(v) => {
            let y: Vec<f64> = taken.iter().map(|&r| v[r as usize]).collect();
            regression(&x, &y, &order)
        }
        Target::Classes { codes, .. } => {
            let y: Vec<u32> = taken.iter().map(|&r| codes[r as usize]).collect();
            let mut present: Vec<u32> = y.clone();
            present.sort_unstable();
            present.dedup();
            let y: Vec<u32> = y.iter().map(|c| present.partition_point(|p| p < c) as u32).collect();
            if present.len() < 2 || present.len() == y.len() {
                return 0.0;
            }
            classification(&x, &y, present.len(), &order)
        }
    }
}

/// Codes renumbered from 0 in order of first appearance, and how many there are.
fn compact(codes: impl Iterator<Item = u32>) -> (Vec<u32>, usize) {
    let mut index = rustc_hash::FxHashMap::default();
    let codes = codes
        .map(|c| {
            let next = index.len() as u32;
            *index.entry(c).or_insert(next)
        })
        .collect();
    (codes, index.len())
}

fn regression(x: &Input, y: &[f64], order: &[u32]) -> f64 {
    let sorted = super::stats::sorted(y.iter().copied());
    let median = super::stats::quantile(&sorted, 0.5);
    let naive = y.iter().map(|v| (v - median).abs()).sum::<f64>() / y.len() as f64;
    let y: Vec<f64> = order.iter().map(|&i| y[i as usize]).collect();
    let n = y.len();
    let mut fold_of = vec![0usize; n];
    let mut start = 0;
    for fold in 0..FOLDS {
        let size = n / FOLDS + usize::from(fold < n % FOLDS);
        fold_of[start..start + size].fill(fold);
        start += size;
    }
    let mut mae = 0.0;
    for fold in 0..FOLDS {
        let cells = Cells::<Mean>::fit(x, &fold_of, fold, |i| y[i], 1);
        let test: Vec<usize> = (0..n).filter(|&i| fold_of[i] == fold).collect();
        let sum: f64 = test.iter().map(|&i| (y[i] - cells.answer(x, i)).abs()).sum();
        mae += sum / test.len() as f64 / FOLDS as f64;
    }
    if naive > 0.0 && mae <= naive { 1.0 - mae / naive } else { 0.0 }
}

fn classification(x: &Input, y: &[u32], classes: usize, order: &[u32]) -> f64 {
    let mut counts = vec![0usize; classes];
    y.iter().for_each(|&c| counts[c as usize] += 1);
    if counts.iter().all(|&c| c < FOLDS) {
        return 0.0;
    }
    // The first of equally common classes, by first appearance.
    let most = counts.iter().copied().max().unwrap_or(0);
    let commonest = y.iter().copied().find(|&c| counts[c as usize] == most).unwrap_or(0);
    let shuffled: Vec<u32> = order.iter().map(|&i| y[i as usize]).collect();
    let baseline =
        weighted_f1(y, &vec![commonest; y.len()], classes).max(weighted_f1(y, &shuffled, classes));
    let fold_of = stratified(&shuffled, classes);
    let y = shuffled;
    let mut f1 = 0.0;
    for fold in 0..FOLDS {
        let cells = Cells::<Votes>::fit(x, &fold_of, fold, |i| y[i] as usize, classes);
        let test: Vec<usize> = (0..y.len()).filter(|&i| fold_of[i] == fold).collect();
        let truth: Vec<u32> = test.iter().map(|&i| y[i]).collect();
        let answers: Vec<u32> = test.iter().map(|&i| cells.answer(x, i) as u32).collect();
        f1 += weighted_f1(&truth, &answers, classes) / FOLDS as f64;
    }
    if f1 > baseline && baseline < 1.0 { (f1 - baseline) / (1.0 - baseline) } else { 0.0 }
}

/// Folds as scikit-learn's `StratifiedKFold` without shuffling deals them.
fn stratified(y: &[u32], classes: usize) -> Vec<usize> {
    let (seen, _) = compact(y.iter().copied());
    let mut sorted = seen.clone();
    sorted.sort_unstable();
    let mut allocation = vec![[0usize; FOLDS]; classes];
    for (i, &c) in sorted.iter().enumerate() {
        allocation[c as usize][i % FOLDS] += 1;
    }
    seen.iter()
        .map(|&c| {
            let left = &mut allocation[c as usize];
            let fold = left.iter().position(|&n| n > 0).unwrap_or(0);
            left[fold] = left[fold].saturating_sub(1);
            fold
        })
        .collect()
}

/// F1 per class, weighted by the class's share of `truth`; 0 for a class never predicted right.
fn weighted_f1(truth: &[u32], answers: &[u32], classes: usize) -> f64 {
    let (mut hit, mut support, mut predicted) =
        (vec![0.0; classes], vec![0.0; classes], vec![0.0; classes]);
    for (&t, &a) in truth.iter().zip(answers) {
        support[t as usize] += 1.0;
        predicted[a as usize] += 1.0;
        if t == a {
            hit[t as usize] += 1.0;
        }
    }
    let total = truth.len() as f64;
    (0..classes)
        .filter(|&c| support[c] > 0.0)
        .map(|c| support[c] / total * 2.0 * hit[c] / (support[c] + predicted[c]))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(codes: &[u32], classes: usize) -> Target<'_> {
        Target::Classes { codes, classes }
    }

    #[test]
    fn a_copy_predicts_and_noise_does_not() {
        let mut rng = Rng::new(5);
        let y: Vec<u32> = (0..600).map(|_| rng.up_to(2)).collect();
        let copy: Vec<f64> = y.iter().map(|&c| f64::from(c) * 3.0 + 1.0).collect();
        let noise: Vec<f64> = (0..600).map(|_| f64::from(rng.next_u32())).collect();
        let orders = Orders::default();
        assert_eq!(score(Feature::Numbers(&copy), classes(&y, 3), 600, &orders), 1.0);
        assert!(score(Feature::Numbers(&noise), classes(&y, 3), 600, &orders) < 0.1);
        let feature = Feature::Codes { codes: &y, values: 3 };
        assert_eq!(score(feature, classes(&y, 3), 600, &orders), 1.0);
        let number: Vec<f64> = y.iter().map(|&c| f64::from(c)).collect();
        assert_eq!(score(feature, Target::Numbers(&number), 600, &orders), 1.0);
    }

    #[test]
    fn undefined_scores_are_zero() {
        let orders = Orders::default();
        let ids: Vec<u32> = (0..50).collect();
        let y: Vec<u32> = ids.iter().map(|i| i % 2).collect();
        let id = Feature::Codes { codes: &ids, values: 50 };
        assert_eq!(score(id, classes(&y, 2), 50, &orders), 0.0);
        let x: Vec<f64> = (0..50).map(f64::from).collect();
        assert_eq!(score(Feature::Numbers(&x), classes(&[0; 50], 1), 50, &orders), 0.0);
        assert_eq!(score(Feature::Numbers(&[f64::NAN; 50]), classes(&y, 2), 50, &orders), 0.0);
        assert_eq!(score(Feature::Numbers(&x), Target::Numbers(&[1.0; 50]), 50, &orders), 0.0);
        assert_eq!(score(Feature::Numbers(&[]), classes(&[], 0), 0, &orders), 0.0);
        assert_eq!(score(Feature::Numbers(&x[..3]), classes(&y[..3], 2), 3, &orders), 0.0);
    }

    #[test]
    fn folds_keep_class_shares() {
        let y: Vec<u32> = (0..100).map(|i| u32::from(i % 5 == 0)).collect();
        let folds = stratified(&y, 2);
        for fold in 0..FOLDS {
            let of = |class| (0..100).filter(|&i| folds[i] == fold && y[i] == class).count();
            assert_eq!((of(0), of(1)), (20, 5));
        }
    }
}

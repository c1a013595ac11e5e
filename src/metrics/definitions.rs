//! What each metric is, as functions of plain slices. Slices of one call have equal length; rows
//! past the shorter one are ignored. All return a finite number, also for no rows.

/// Share of rows whose predicted class is the true one; 0 for no rows.
pub fn accuracy(truth: &[u32], predicted: &[u32]) -> f64 {
    let hits = truth.iter().zip(predicted).filter(|(t, p)| t == p).count();
    hits as f64 / truth.len().max(1) as f64
}

/// Mean recall over the classes that occur in `truth`; 0 for no rows.
pub fn balanced_accuracy(truth: &[u32], predicted: &[u32], classes: usize) -> f64 {
    let mut seen = vec![0u64; classes];
    let mut hit = vec![0u64; classes];
    for (&t, &p) in truth.iter().zip(predicted) {
        if let Some(count) = seen.get_mut(t as usize) {
            *count += 1;
            hit[t as usize] += u64::from(t == p);
        }
    }
    let present = seen.iter().filter(|&&n| n > 0).count();
    let recalls: f64 =
        seen.iter().zip(&hit).filter(|(n, _)| **n > 0).map(|(&n, &h)| h as f64 / n as f64).sum();
    recalls / present.max(1) as f64
}

/// Area under the ROC curve: the probability that a positive row scores above a negative one, ties
/// counting half (Mann–Whitney). 0.5 where one of the two is missing.
pub fn roc_auc(positive: &[bool], scores: &[f32]) -> f64 {
    let mut rows: Vec<(f32, bool)> = scores.iter().copied().zip(positive.iter().copied()).collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let positives = rows.iter().filter(|r| r.1).count() as f64;
    let negatives = rows.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return 0.5;
    }
    let mut rank_sum = 0.0;
    let mut rest = rows.as_slice();
    let mut before = 0usize;
    while let Some(first) = rest.first() {
        let ties = rest.iter().take_while(|r| r.0.total_cmp(&first.0).is_eq()).count();
        let (group, after) = rest.split_at(ties);
        let mean_rank = before as f64 + (ties as f64 + 1.0) / 2.0;
        rank_sum += mean_rank * group.iter().filter(|r| r.1).count() as f64;
        before += ties;
        rest = after;
    }
    (rank_sum - positives * (positives + 1.0) / 2.0) / (positives * negatives)
}

/// 1 − Σ(y−p)² / Σ(y−mean y)². 0 where all true values are equal (the share explained is not
/// defined then).
pub fn r2(truth: &[f64], predicted: &[f64]) -> f64 {
    let mean = truth.iter().sum::<f64>() / truth.len().max(1) as f64;
    let total: f64 = truth.iter().map(|y| (y - mean).powi(2)).sum();
    if total > 0.0 { 1.0 - squared_error(truth, predicted) / total } else { 0.0 }
}

/// Root of the mean squared error; 0 for no rows.
pub fn rmse(truth: &[f64], predicted: &[f64]) -> f64 {
    (squared_error(truth, predicted) / truth.len().max(1) as f64).sqrt()
}

/// Mean absolute error; 0 for no rows.
pub fn mae(truth: &[f64], predicted: &[f64]) -> f64 {
    truth.iter().zip(predicted).map(|(y, p)| (y - p).abs()).sum::<f64>() / truth.len().max(1) as f64
}

/// Mean of −ln(probability given to the true class), the probability clipped at 1e-15; 0 for no
/// rows. `probabilities` is `[rows, classes]`.
pub fn log_loss(truth: &[u32], probabilities: &[f32], classes: usize) -> f64 {
    let sum: f64 = truth
        .iter()
        .zip(probabilities.chunks(classes.max(1)))
        .map(|(&t, row)| {
            let p = row.get(t as usize).copied().unwrap_or(0.0);
            -f64::from(p).max(1e-15).ln()
        })
        .sum();
    sum / truth.len().max(1) as f64
}

fn squared_error(truth: &[f64], predicted: &[f64]) -> f64 {
    truth.iter().zip(predicted).map(|(y, p)| (y - p).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} is not {b}");
    }

    #[test]
    fn classification_by_hand() {
        let truth = [0, 0, 0, 1];
        let predicted = [0, 0, 1, 1];
        near(accuracy(&truth, &predicted), 0.75);
        near(balanced_accuracy(&truth, &predicted, 2), (2.0 / 3.0 + 1.0) / 2.0);
        // A class that never occurs does not pull the mean down.
        near(balanced_accuracy(&truth, &predicted, 5), (2.0 / 3.0 + 1.0) / 2.0);
        near(log_loss(&[1, 0], &[0.25, 0.75, 0.5, 0.5], 2), -(0.75f64.ln() + 0.5f64.ln()) / 2.0);
    }

    // Figures from scikit-learn 1.x: roc_auc_score, r2_score.
    #[test]
    fn agrees_with_scikit_learn() {
        near(roc_auc(&[false, false, true, true], &[0.1, 0.4, 0.35, 0.8]), 0.75);
        near(roc_auc(&[false, true, true], &[0.5, 0.5, 0.5]), 0.5);
        near(roc_auc(&[false, true], &[0.9, 0.1]), 0.0);
        let y = [3.0, -0.5, 2.0, 7.0];
        let p = [2.5, 0.0, 2.0, 8.0];
        near(r2(&y, &p), 0.948_608_137_044_967_9);
        near(mae(&y, &p), 0.5);
        near(rmse(&y, &p), 0.375f64.sqrt());
    }

    #[test]
    fn degenerate_input_stays_finite() {
        near(accuracy(&[], &[]), 0.0);
        near(balanced_accuracy(&[], &[], 3), 0.0);
        near(roc_auc(&[], &[]), 0.5);
        near(roc_auc(&[true, true], &[0.1, 0.2]), 0.5);
        near(r2(&[2.0, 2.0], &[1.0, 3.0]), 0.0);
        near(rmse(&[], &[]), 0.0);
        assert!(log_loss(&[0], &[0.0, 1.0], 2).is_finite());
        assert!(log_loss(&[9], &[0.5, 0.5], 2).is_finite());
    }
}

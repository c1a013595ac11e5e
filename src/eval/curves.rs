//! ROC and precision-recall curves, and what each threshold costs.

use serde::{Deserialize, Serialize};

/// A threshold on the probability of the positive class and what it makes of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// Rows with at least this probability are called positive.
    pub threshold: f64,
    /// Positive rows called so.
    pub true_positive: u64,
    /// Negative rows called positive.
    pub false_positive: u64,
    /// Negative rows called so.
    pub true_negative: u64,
    /// Positive rows called negative.
    pub false_negative: u64,
}

impl Threshold {
    /// Share of the positive rows found; 0 if there are none.
    pub fn recall(&self) -> f64 {
        share(self.true_positive, self.true_positive + self.false_negative)
    }

    /// Share of the negative rows called positive; 0 if there are none.
    pub fn false_alarms(&self) -> f64 {
        share(self.false_positive, self.false_positive + self.true_negative)
    }

    /// Share of the rows called positive that are; 1 if none is called so, as the curve begins.
    pub fn precision(&self) -> f64 {
        let called = self.true_positive + self.false_positive;
        if called == 0 { 1.0 } else { share(self.true_positive, called) }
    }

    /// Share of right answers.
    pub fn accuracy(&self) -> f64 {
        let right = self.true_positive + self.true_negative;
        share(right, right + self.false_positive + self.false_negative)
    }

    /// What its errors cost, per row.
    pub fn cost(&self, false_positive: f64, false_negative: f64) -> f64 {
        let all =
            self.true_positive + self.true_negative + self.false_positive + self.false_negative;
        (self.false_positive as f64 * false_positive + self.false_negative as f64 * false_negative)
            / all.max(1) as f64
    }
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Every threshold that makes a difference, from the one that calls no row positive to the one that
/// calls all so.
pub fn thresholds(positive: &[bool], scores: &[f64]) -> Vec<Threshold> {
    let mut rows: Vec<(f64, bool)> = scores.iter().copied().zip(positive.iter().copied()).collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let positives = rows.iter().filter(|r| r.1).count() as u64;
    let negatives = rows.len() as u64 - positives;
    let (mut tp, mut fp) = (0, 0);
    let mut out = vec![at(f64::INFINITY, tp, fp, positives, negatives)];
    let mut rest = rows.as_slice();
    while let Some(first) = rest.first() {
        let ties = rest.iter().take_while(|r| r.0 == first.0).count().max(1);
        let (group, after) = rest.split_at(ties.min(rest.len()));
        let hits = group.iter().filter(|r| r.1).count() as u64;
        tp += hits;
        fp += group.len() as u64 - hits;
        out.push(at(first.0, tp, fp, positives, negatives));
        rest = after;
    }
    out
}

fn at(threshold: f64, tp: u64, fp: u64, positives: u64, negatives: u64) -> Threshold {
    Threshold {
        threshold,
        true_positive: tp,
        false_positive: fp,
        true_negative: negatives - fp,
        false_negative: positives - tp,
    }
}

/// At most `most` points of a curve, the first and the last among them.
pub fn thin<T: Clone>(points: &[T], most: usize) -> Vec<T> {
    if points.len() <= most || most < 2 {
        return points.to_vec();
    }
    let last = points.len() - 1;
    (0..most).filter_map(|i| points.get(i * last / (most - 1)).cloned()).collect()
}

/// The cheapest threshold for given costs of the two kinds of errors, the first of equals; finite.
pub fn cheapest(
    curve: &[Threshold],
    false_positive: f64,
    false_negative: f64,
) -> Option<Threshold> {
    let mut best: Option<(f64, Threshold)> = None;
    for point in curve {
        let cost = point.cost(false_positive, false_negative);
        if best.is_none_or(|(least, _)| cost < least) {
            best = Some((cost, *point));
        }
    }
    best.map(|(_, mut point)| {
        if !point.threshold.is_finite() {
            point.threshold = 1.0 + f64::EPSILON;
        }
        point
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_and_costs_by_hand() {
        let curve = thresholds(&[false, true, false, true], &[0.1, 0.4, 0.4, 0.8]);
        let points: Vec<(u64, u64)> =
            curve.iter().map(|t| (t.true_positive, t.false_positive)).collect();
        assert_eq!(points, [(0, 0), (1, 0), (2, 1), (2, 2)]);
        assert_eq!(curve[1].precision(), 1.0);
        assert_eq!((curve[2].recall(), curve[2].false_alarms()), (1.0, 0.5));
        // Missing one costs ten times a false alarm: take both at 0.4.
        assert_eq!(cheapest(&curve, 1.0, 10.0).unwrap().threshold, 0.4);
        assert_eq!(cheapest(&curve, 10.0, 1.0).unwrap().threshold, 0.8);
        assert!(cheapest(&[], 1.0, 1.0).is_none());
        assert_eq!(thin(&[0, 1, 2, 3, 4], 3), [0, 2, 4]);
    }
}

//! Every metric of a set of answers, for any weighting of its rows. Sorting is done once, so that
//! resampled rows cost one pass.

use super::calibration::{BINS, bin_of};
use super::outcomes::{ClassOutcomes, ValueOutcomes};
use crate::metrics::MetricKind;

/// One figure: what it is and of which class, if of one.
pub type Figure = (MetricKind, Option<usize>);

/// Rows by falling score of one class, cut where the score changes.
struct Ranking {
    rows: Vec<u32>,
    /// End of every group of equal scores.
    ends: Vec<u32>,
}

/// Computes all metrics of a classifier.
pub struct ClassScorer<'a> {
    outcomes: &'a ClassOutcomes,
    rankings: Vec<Ranking>,
    /// −ln of the probability of the true class.
    surprise: Vec<f64>,
    brier: Vec<f64>,
    confidence: Vec<f64>,
    in_top3: Vec<bool>,
    figures: Vec<Figure>,
}

/// Classes up to which curves of every class are made.
const MOST_RANKED: usize = 50;

impl<'a> ClassScorer<'a> {
    /// Prepares answers.
    pub fn new(outcomes: &'a ClassOutcomes) -> Self {
        let count = outcomes.classes.len().max(1);
        let ranked: Vec<usize> = match count {
            2 => vec![1],
            n if n <= MOST_RANKED => (0..n).collect(),
            _ => Vec::new(),
        };
        let rankings: Vec<Ranking> = ranked.iter().map(|&c| ranking(outcomes, c)).collect();
        let rows = || outcomes.probabilities.chunks(count).zip(&outcomes.truth);
        let of_truth = |row: &[f64], t: u32| row.get(t as usize).copied().unwrap_or(0.0);
        let surprise = rows().map(|(row, &t)| -of_truth(row, t).max(f64::EPSILON).ln()).collect();
        let brier = rows()
            .map(|(row, &t)| {
                let error =
                    |(c, p): (usize, &f64)| (p - f64::from(u8::from(c as u32 == t))).powi(2);
                let sum: f64 = row.iter().enumerate().map(error).sum();
                if count == 2 { sum / 2.0 } else { sum }
            })
            .collect();
        let in_top3 = rows()
            .map(|(row, &t)| {
                let own = of_truth(row, t);
                row.iter().filter(|p| **p > own).count() < 3
            })
            .collect();
        use MetricKind as M;
        let mut figures: Vec<Figure> = vec![(M::Accuracy, None), (M::BalancedAccuracy, None)];
        if !rankings.is_empty() {
            figures.extend([(M::Auc, None), (M::AveragePrecision, None)]);
        }
        figures.extend(
            [
                M::LogLoss,
                M::Mcc,
                M::Precision,
                M::Recall,
                M::F1,
                M::WeightedPrecision,
                M::WeightedRecall,
                M::WeightedF1,
                M::Brier,
                M::Ece,
                M::Mce,
            ]
            .map(|kind| (kind, None)),
        );
        if count > 3 {
            figures.push((M::Top3, None));
        }
        for class in 0..count {
            figures.extend([M::Precision, M::Recall, M::F1].map(|kind| (kind, Some(class))));
        }
        if count > 2 {
            for class in ranked {
                figures.extend([M::Auc, M::AveragePrecision].map(|kind| (kind, Some(class))));
            }
        }
        let confidence = outcomes.confidence();
        Self { outcomes, rankings, surprise, brier, confidence, in_top3, figures }
    }

    /// What [`ClassScorer::measure`] returns, in order.
    pub fn figures(&self) -> &[Figure] {
        &self.figures
    }

    /// All figures where row `i` counts `weights[i]` times.
    pub fn measure(&self, weights: &[u32]) -> Vec<f64> {
        let n = self.outcomes.classes.len().max(1);
        let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
        let whole = total.max(1.0);
        let mean = |values: &[f64]| {
            values.iter().zip(weights).map(|(v, &w)| v * f64::from(w)).sum::<f64>() / whole
        };
        let mut confusion = vec![0.0; n * n];
        let rows = self.outcomes.truth.iter().zip(&self.outcomes.predicted).zip(weights);
        for ((&t, &p), &w) in rows {
            if let Some(cell) = confusion.get_mut(t as usize * n + p as usize) {
                *cell += f64::from(w);
            }
        }
        let cell = |t: usize, p: usize| confusion.get(t * n + p).copied().unwrap_or(0.0);
        let truths: Vec<f64> = (0..n).map(|t| (0..n).map(|p| cell(t, p)).sum()).collect();
        let called: Vec<f64> = (0..n).map(|p| (0..n).map(|t| cell(t, p)).sum()).collect();
        let hit: f64 = (0..n).map(|c| cell(c, c)).sum();
        let share = |part: f64, all: f64| if all > 0.0 { part / all } else { 0.0 };
        let per_class: Vec<[f64; 3]> = truths
            .iter()
            .zip(&called)
            .enumerate()
            .map(|(c, (&t, &p))| {
                let (precision, recall) = (share(cell(c, c), p), share(cell(c, c), t));
                [precision, recall, share(2.0 * precision * recall, precision + recall)]
            })
            .collect();
        // Classes that are neither true nor called take no part in the means, as in scikit-learn.
        let in_use = truths.iter().zip(&called).filter(|(t, p)| **t + **p > 0.0).count().max(1);
        let of = |i: usize, c: &[f64; 3]| c.get(i).copied().unwrap_or(0.0);
        let macro_mean = |i: usize| per_class.iter().map(|c| of(i, c)).sum::<f64>() / in_use as f64;
        let weighted = |i: usize| {
            per_class.iter().zip(&truths).map(|(c, t)| of(i, c) * t).sum::<f64>() / whole
        };
        let present = truths.iter().filter(|t| **t > 0.0).count().max(1);
        let balanced = per_class.iter().map(|c| of(1, c)).sum::<f64>() / present as f64;
        let ranked: Vec<(f64, f64)> =
            self.rankings.iter().enumerate().map(|(i, r)| self.ranked(i, r, weights)).collect();
        let of_present: Vec<&(f64, f64)> = ranked.iter().filter(|r| r.0.is_finite()).collect();
        let average = |get: fn(&(f64, f64)) -> f64| {
            of_present.iter().map(|r| get(r)).sum::<f64>() / of_present.len() as f64
        };
        let (ece, mce) = self.calibration(weights, whole);
        self.figures
            .iter()
            .map(|&(kind, class)| match (kind, class) {
                (MetricKind::Accuracy, _) => hit / whole,
                (MetricKind::BalancedAccuracy, _) => balanced,
                (MetricKind::Auc, None) => average(|r| r.0),
                (MetricKind::AveragePrecision, None) => average(|r| r.1),
                (MetricKind::Auc, Some(c)) => ranked.get(c).map_or(f64::NAN, |r| r.0),
                (MetricKind::AveragePrecision, Some(c)) => ranked.get(c).map_or(f64::NAN, |r| r.1),
                (MetricKind::LogLoss, _) => mean(&self.surprise),
                (MetricKind::Mcc, _) => mcc(hit, total, &truths, &called),
                (MetricKind::Precision, None) => macro_mean(0),
                (MetricKind::Recall, None) => macro_mean(1),
                (MetricKind::F1, None) => macro_mean(2),
                (MetricKind::WeightedPrecision, _) => weighted(0),
                (MetricKind::WeightedRecall, _) => weighted(1),
                (MetricKind::WeightedF1, _) => weighted(2),
                (MetricKind::Precision, Some(c)) => per_class.get(c).map_or(0.0, |s| of(0, s)),
                (MetricKind::Recall, Some(c)) => per_class.get(c).map_or(0.0, |s| of(1, s)),
                (MetricKind::F1, Some(c)) => per_class.get(c).map_or(0.0, |s| of(2, s)),
                (MetricKind::Brier, _) => mean(&self.brier),
                (MetricKind::Ece, _) => ece,
                (MetricKind::Mce, _) => mce,
                (MetricKind::Top3, _) => {
                    let rows = self.in_top3.iter().zip(weights);
                    rows.filter(|(hit, _)| **hit).map(|(_, &w)| f64::from(w)).sum::<f64>() / whole
                }
                _ => f64::NAN,
            })
            .collect()
    }

    /// ROC AUC and average precision of one class against the rest; NaN where either is missing.
    fn ranked(&self, index: usize, ranking: &Ranking, weights: &[u32]) -> (f64, f64) {
        let class = if self.outcomes.classes.len() == 2 { 1 } else { index as u32 };
        let weight = |row: u32| f64::from(weights.get(row as usize).copied().unwrap_or(0));
        let positive = |row: u32| self.outcomes.truth.get(row as usize) == Some(&class);
        let (mut p, mut n) = (0.0, 0.0);
        for &row in &ranking.rows {
            if positive(row) { p += weight(row) } else { n += weight(row) }
        }
        if p == 0.0 || n == 0.0 {
            return (f64::NAN, f64::NAN);
        }
        let (mut tp, mut fp, mut auc, mut ap) = (0.0, 0.0, 0.0, 0.0);
        let mut start = 0;
        for &end in &ranking.ends {
            let group = ranking.rows.get(start..end as usize).unwrap_or_default();
            start = end as usize;
            let (mut gp, mut gn) = (0.0, 0.0);
            for &row in group {
                if positive(row) { gp += weight(row) } else { gn += weight(row) }
            }
            auc += gn * (tp + gp / 2.0);
            tp += gp;
            fp += gn;
            if gp > 0.0 {
                ap += gp / p * tp / (tp + fp);
            }
        }
        (auc / (p * n), ap)
    }

    fn calibration(&self, weights: &[u32], whole: f64) -> (f64, f64) {
        let mut bins = [(0.0, 0.0, 0.0); BINS];
        let rows = self.confidence.iter().zip(weights);
        let answers = self.outcomes.truth.iter().zip(&self.outcomes.predicted);
        for ((&confidence, &w), (t, p)) in rows.zip(answers) {
            if let Some(bin) = bins.get_mut(bin_of(confidence)) {
                let w = f64::from(w);
                bin.0 += w;
                bin.1 += w * confidence;
                bin.2 += if t == p { w } else { 0.0 };
            }
        }
        let gaps = bins.iter().filter(|b| b.0 > 0.0).map(|b| (b.0, (b.2 - b.1).abs() / b.0));
        gaps.fold((0.0, 0.0), |(ece, mce), (w, gap): (f64, f64)| {
            (ece + w / whole * gap, f64::max(mce, gap))
        })
    }
}

fn ranking(outcomes: &ClassOutcomes, class: usize) -> Ranking {
    let scores: Vec<f64> = outcomes.column(class).collect();
    let at = |row: u32| scores.get(row as usize).copied().unwrap_or(0.0);
    let mut rows: Vec<u32> = (0..scores.len() as u32).collect();
    rows.sort_by(|a, b| at(*b).total_cmp(&at(*a)));
    let mut ends: Vec<u32> = rows
        .windows(2)
        .enumerate()
        .filter(|(_, w)| at(w[0]) != at(w[1]))
        .map(|(i, _)| i as u32 + 1)
        .collect();
    ends.push(rows.len() as u32);
    Ranking { rows, ends }
}

/// Gorodkin's R_K from the table's margins; 0 where it is not defined.
fn mcc(hit: f64, total: f64, truths: &[f64], called: &[f64]) -> f64 {
    let product: f64 = truths.iter().zip(called).map(|(t, p)| t * p).sum();
    let square = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>();
    let (of_called, of_truths) = (total * total - square(called), total * total - square(truths));
    if of_called <= 0.0 || of_truths <= 0.0 {
        return 0.0;
    }
    (hit * total - product) / (of_called * of_truths).sqrt()
}

/// R², RMSE, MAE: what [`measure_values`] returns.
pub const VALUE_FIGURES: [Figure; 3] =
    [(MetricKind::R2, None), (MetricKind::Rmse, None), (MetricKind::Mae, None)];

/// R², RMSE and MAE where row `i` counts `weights[i]` times.
pub fn measure_values(outcomes: &ValueOutcomes, weights: &[u32]) -> Vec<f64> {
    let whole: f64 = weights.iter().map(|&w| f64::from(w)).sum::<f64>().max(1.0);
    let rows = || outcomes.truth.iter().zip(&outcomes.predicted).zip(weights);
    let mean = rows().map(|((y, _), &w)| y * f64::from(w)).sum::<f64>() / whole;
    let (mut squares, mut absolute, mut spread) = (0.0, 0.0, 0.0);
    for ((y, p), &w) in rows() {
        let w = f64::from(w);
        squares += w * (y - p).powi(2);
        absolute += w * (y - p).abs();
        spread += w * (y - mean).powi(2);
    }
    let r2 = if spread > 0.0 { 1.0 - squares / spread } else { 0.0 };
    vec![r2, (squares / whole).sqrt(), absolute / whole]
}

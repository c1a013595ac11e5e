//! Whether groups of people are treated alike. Definitions as in Fairlearn.

use serde::{Deserialize, Serialize};

use super::bootstrap::{Interval, draw, percentile};
use super::calibration::{BINS, bin_of};
use super::groups::Grouping;
use super::outcomes::ClassOutcomes;
use super::slices::MIN_ROWS;

/// A figure with its interval; `None` where it is not defined, as a share of no rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Value.
    pub value: f64,
    /// 95 % interval.
    pub interval: Interval,
}

/// How one group is treated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupRates {
    /// Group.
    pub group: String,
    /// Rows.
    pub rows: usize,
    /// Whether there are enough of them for a verdict.
    pub enough: bool,
    /// Share that truly is positive.
    pub base_rate: Option<Estimate>,
    /// Share called positive.
    pub selection_rate: Option<Estimate>,
    /// Of the positive ones, the share called so.
    pub true_positive_rate: Option<Estimate>,
    /// Of the negative ones, the share called positive.
    pub false_positive_rate: Option<Estimate>,
    /// Of those called positive, the share that is.
    pub precision: Option<Estimate>,
    /// Share of right answers.
    pub accuracy: Option<Estimate>,
    /// Calibration error of the group's own probabilities.
    pub ece: Option<Estimate>,
}

/// How groups of one column compare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fairness {
    /// Column.
    pub column: String,
    /// The class counted as the favourable answer.
    pub positive: String,
    /// Whether there are more classes, all of which count as the other answer.
    #[serde(default)]
    pub against_rest: bool,
    /// All groups; those with too few rows take no part in the differences.
    pub groups: Vec<GroupRates>,
    /// Largest minus smallest selection rate.
    pub demographic_parity_difference: Option<Estimate>,
    /// Smallest over largest selection rate.
    pub demographic_parity_ratio: Option<Estimate>,
    /// The larger of the gaps in true and in false positive rates.
    pub equalised_odds_difference: Option<Estimate>,
    /// Gap in true positive rates.
    pub equal_opportunity_difference: Option<Estimate>,
    /// Gap in precision.
    pub predictive_parity_difference: Option<Estimate>,
    /// Gap in accuracy.
    pub accuracy_difference: Option<Estimate>,
    /// Gap in calibration error.
    pub calibration_difference: Option<Estimate>,
    /// Fewest rows for a verdict.
    pub min_rows: usize,
}

impl Fairness {
    /// The column and, where there are more than two classes, the one that is compared.
    pub fn name(&self) -> String {
        match self.against_rest {
            true => format!("{}, {} against the rest", self.column, self.positive),
            false => self.column.clone(),
        }
    }
}

/// Replicates of the intervals.
const REPLICATES: usize = 400;
const RATES: usize = 7;
const GAPS: usize = 7;

/// Counts of one group.
#[derive(Clone, Copy, Default)]
struct Cells {
    tp: f64,
    fp: f64,
    tn: f64,
    fn_: f64,
    bins: [(f64, f64, f64); BINS],
}

impl Cells {
    fn add(&mut self, positive: bool, called: bool, confidence: f64, weight: f64) {
        match (positive, called) {
            (true, true) => self.tp += weight,
            (false, true) => self.fp += weight,
            (false, false) => self.tn += weight,
            (true, false) => self.fn_ += weight,
        }
        if let Some(bin) = self.bins.get_mut(bin_of(confidence)) {
            let hit = if positive == called { weight } else { 0.0 };
            *bin = (bin.0 + weight, bin.1 + weight * confidence, bin.2 + hit);
        }
    }

    /// Base rate, selection rate, TPR, FPR, precision, accuracy, ECE; NaN where not defined.
    fn rates(&self) -> [f64; RATES] {
        let n = self.tp + self.fp + self.tn + self.fn_;
        let gap = |b: &(f64, f64, f64)| (b.2 - b.1).abs() / n;
        let ece: f64 = self.bins.iter().map(gap).sum();
        [
            (self.tp + self.fn_) / n,
            (self.tp + self.fp) / n,
            self.tp / (self.tp + self.fn_),
            self.fp / (self.fp + self.tn),
            self.tp / (self.tp + self.fp),
            (self.tp + self.tn) / n,
            ece,
        ]
    }
}

/// Differences over groups: demographic parity difference and ratio, equalised odds, equal
/// opportunity, predictive parity, accuracy, calibration; NaN where not defined.
fn gaps(rates: &[[f64; RATES]]) -> [f64; GAPS] {
    let ends = |i: usize| {
        let values = rates.iter().filter_map(|r| r.get(i)).filter(|v| v.is_finite());
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)))
    };
    let gap = |i: usize| {
        let (low, high) = ends(i);
        if high >= low { high - low } else { f64::NAN }
    };
    let (low, high) = ends(1);
    let ratio = if high > 0.0 { low / high } else { f64::NAN };
    [gap(1), ratio, gap(2).max(gap(3)), gap(2), gap(4), gap(5), gap(6)]
}

/// Compares groups for the answers of a classifier of two classes, or of one class against the
/// rest. `called` says for every row whether it gets the favourable answer.
pub fn compare(
    outcomes: &ClassOutcomes,
    called: &[bool],
    positive: usize,
    grouping: &Grouping,
    seed: u64,
) -> Fairness {
    let truth: Vec<bool> = outcomes.truth.iter().map(|t| *t as usize == positive).collect();
    let sure: Vec<f64> = outcomes.column(positive).map(|p| p.max(1.0 - p)).collect();
    let members: Vec<Vec<usize>> =
        (0..grouping.names.len()).map(|g| grouping.members(g).collect()).collect();
    let count = |rows: &[usize], weights: Option<&[u32]>| {
        let mut cells = Cells::default();
        for (i, &row) in rows.iter().enumerate() {
            let weight = weights.map_or(1.0, |w| w.get(i).copied().map_or(0.0, f64::from));
            let at = |v: &[bool]| v.get(row).copied().unwrap_or(false);
            cells.add(at(&truth), at(called), sure.get(row).copied().unwrap_or(0.5), weight);
        }
        cells.rates()
    };
    let point: Vec<[f64; RATES]> = members.iter().map(|rows| count(rows, None)).collect();
    let enough: Vec<bool> = members.iter().map(|rows| rows.len() >= MIN_ROWS).collect();
    let of_enough = |rates: &[[f64; RATES]]| {
        let kept = rates.iter().zip(&enough).filter(|(_, e)| **e).map(|(r, _)| *r);
        kept.collect::<Vec<_>>()
    };
    let replicates: Vec<Vec<[f64; RATES]>> = (0..REPLICATES)
        .map(|r| {
            let group = |(g, rows): (usize, &Vec<usize>)| {
                count(rows, Some(&draw(rows.len(), seed.wrapping_add(g as u64 * 7919), r)))
            };
            members.iter().enumerate().map(group).collect()
        })
        .collect();
    let estimate = |value: f64, values: Vec<f64>| {
        value.is_finite().then(|| Estimate { value, interval: percentile(values) })
    };
    let groups = grouping
        .names
        .iter()
        .enumerate()
        .map(|(g, name)| {
            let rate = |i: usize| {
                let at = |rates: &[[f64; RATES]]| {
                    rates.get(g).and_then(|r| r.get(i)).copied().unwrap_or(f64::NAN)
                };
                estimate(at(&point), replicates.iter().map(|r| at(r)).collect())
            };
            GroupRates {
                group: name.clone(),
                rows: members.get(g).map_or(0, Vec::len),
                enough: enough.get(g).copied().unwrap_or(false),
                base_rate: rate(0),
                selection_rate: rate(1),
                true_positive_rate: rate(2),
                false_positive_rate: rate(3),
                precision: rate(4),
                accuracy: rate(5),
                ece: rate(6),
            }
        })
        .collect();
    let compared = enough.iter().filter(|e| **e).count() > 1;
    let found = gaps(&of_enough(&point));
    let spread: Vec<[f64; GAPS]> = replicates.iter().map(|r| gaps(&of_enough(r))).collect();
    let gap = |i: usize| {
        let at = |g: &[f64; GAPS]| g.get(i).copied().unwrap_or(f64::NAN);
        estimate(at(&found), spread.iter().map(at).collect()).filter(|_| compared)
    };
    Fairness {
        column: grouping.column.clone(),
        positive: outcomes.classes.get(positive).cloned().unwrap_or_default(),
        against_rest: outcomes.classes.len() > 2,
        groups,
        demographic_parity_difference: gap(0),
        demographic_parity_ratio: gap(1),
        equalised_odds_difference: gap(2),
        equal_opportunity_difference: gap(3),
        predictive_parity_difference: gap(4),
        accuracy_difference: gap(5),
        calibration_difference: gap(6),
        min_rows: MIN_ROWS,
    }
}

/// Thresholds that bring the selection rates of groups together, and what they change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mitigation {
    /// Column.
    pub column: String,
    /// Group and the least probability that is called positive in it.
    pub thresholds: Vec<(String, f64)>,
    /// Accuracy before and after, on the evaluated rows.
    pub accuracy: [f64; 2],
    /// Demographic parity difference before and after.
    pub demographic_parity_difference: [f64; 2],
    /// Equalised odds difference before and after.
    pub equalised_odds_difference: [f64; 2],
}

/// Share of the gap between groups that thresholds leave.
const LEFT: f64 = 0.25;

/// Chooses a threshold per group on validation rows: the groups' selection rates are drawn together
/// to a quarter of their gap, at the level of the highest accuracy. `None` where validation rows
/// are too few.
pub fn thresholds(
    validation: &ClassOutcomes,
    positive: usize,
    grouping: &Grouping,
) -> Option<Vec<f64>> {
    let p: Vec<f64> = validation.column(positive).collect();
    let truth: Vec<bool> = validation.truth.iter().map(|t| *t as usize == positive).collect();
    let mut groups = Vec::new();
    for g in 0..grouping.names.len() {
        let mut rows: Vec<(f64, bool)> =
            grouping.members(g).filter_map(|i| Some((*p.get(i)?, *truth.get(i)?))).collect();
        rows.sort_by(|a, b| b.0.total_cmp(&a.0));
        groups.push(rows);
    }
    if groups.iter().filter(|g| g.len() >= MIN_ROWS).count() < 2 {
        return None;
    }
    let rate =
        |g: &[(f64, bool)]| g.iter().filter(|r| r.0 >= 0.5).count() as f64 / g.len().max(1) as f64;
    let all: usize = groups.iter().map(Vec::len).sum();
    let mean = groups.iter().map(|g| rate(g) * g.len() as f64).sum::<f64>() / all.max(1) as f64;
    let mut best: Option<(usize, Vec<f64>)> = None;
    for step in 1..200 {
        let level = f64::from(step) / 200.0;
        let (mut hits, mut cuts) = (0, Vec::new());
        for g in &groups {
            // Small groups keep the usual threshold: there is nothing to choose one by.
            let cut = if g.len() < MIN_ROWS {
                0.5
            } else {
                cut(g, (level + LEFT * (rate(g) - mean)).clamp(0.0, 1.0))
            };
            hits += g.iter().filter(|r| (r.0 >= cut) == r.1).count();
            cuts.push(cut);
        }
        if best.as_ref().is_none_or(|(most, _)| hits > *most) {
            best = Some((hits, cuts));
        }
    }
    best.map(|(_, cuts)| cuts)
}

/// The threshold that calls this share of rows (falling scores) positive.
fn cut(rows: &[(f64, bool)], share: f64) -> f64 {
    let n = (share * rows.len() as f64).round() as usize;
    let above = n.checked_sub(1).and_then(|i| rows.get(i)).map(|r| r.0);
    match (above, rows.get(n).map(|r| r.0)) {
        (Some(a), Some(b)) => (a + b) / 2.0,
        (Some(_), None) => 0.0,
        (None, _) => 1.0 + f64::EPSILON,
    }
}

/// What thresholds by group change on rows: `grouping` of these rows has the groups of the
/// validation rows by name; a group that had none keeps 0.5.
pub fn mitigate(
    outcomes: &ClassOutcomes,
    positive: usize,
    grouping: &Grouping,
    chosen: &[(String, f64)],
    seed: u64,
) -> Mitigation {
    let of = |row: usize| {
        let group = grouping.of.get(row).and_then(|g| grouping.names.get(*g as usize));
        group.and_then(|name| chosen.iter().find(|(n, _)| n == name)).map_or(0.5, |(_, t)| *t)
    };
    let before = called(outcomes, positive);
    let after: Vec<bool> =
        outcomes.column(positive).enumerate().map(|(row, p)| p >= of(row)).collect();
    let accuracy = |called: &[bool]| {
        let rows = outcomes.truth.iter().zip(called);
        let hits = rows.filter(|(t, c)| (**t as usize == positive) == **c).count();
        hits as f64 / outcomes.truth.len().max(1) as f64
    };
    let [a, b] = [&before, &after].map(|c| compare(outcomes, c, positive, grouping, seed));
    let value = |e: Option<Estimate>| e.map_or(0.0, |e| e.value);
    Mitigation {
        column: grouping.column.clone(),
        thresholds: chosen.to_vec(),
        accuracy: [accuracy(&before), accuracy(&after)],
        demographic_parity_difference: [
            value(a.demographic_parity_difference),
            value(b.demographic_parity_difference),
        ],
        equalised_odds_difference: [
            value(a.equalised_odds_difference),
            value(b.equalised_odds_difference),
        ],
    }
}

/// Whether each row is called positive by the model itself.
pub fn called(outcomes: &ClassOutcomes, positive: usize) -> Vec<bool> {
    outcomes.predicted.iter().map(|p| *p as usize == positive).collect()
}

//! A penalty on treating groups differently: training that pays for gaps in the share of each group
//! that is called positive (demographic parity).
//!
//! The reductions approach (Agarwal et al. 2018): the gap of group g from all rows has a multiplier
//! μ_g, which grows by the gap after every epoch and is held within the strength of the penalty. For
//! fixed multipliers the penalised objective is a weighted classification: a row of class y counts
//! as (2y − 1) − (μ_g / P(g) − Σμ); where that is negative it is learned as the other class, with the
//! size of it as its weight. The epoch that is kept is the one with the least validation loss plus
//! strength times the largest gap.

use serde::{Deserialize, Serialize};

use super::TrainConfig;
use crate::data::{Encoded, TargetData};
use crate::error::TrainError;
use crate::eval::groups::Grouping;
use crate::eval::predicted_classes;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fair {
    /// Column whose groups are to be treated alike.
    pub column: String,
    /// Largest size of a multiplier; how much a gap of 1 may cost.
    pub strength: f32,
}

impl Fair {
    /// The usual strength.
    pub const STRENGTH: f32 = 0.15;
}

/// How far a multiplier moves for a gap of 1.
const RATE: f64 = 1.0;
/// Groups with fewer rows are left alone: their shares are chance.
const MIN_ROWS: usize = 30;
/// Rows that gaps in training are measured on, at most.
pub(super) const MOST_ROWS: usize = 4000;

/// Groups of the rows of one part.
#[derive(Debug, Clone, Default)]
pub(super) struct Groups {
    pub of: Vec<u32>,
    pub shares: Vec<f64>,
    counted: Vec<bool>,
}

impl Groups {
    fn new(of: Vec<u32>, count: usize) -> Self {
        let mut sizes = vec![0usize; count];
        for group in &of {
            if let Some(size) = sizes.get_mut(*group as usize) {
                *size += 1;
            }
        }
        let n = of.len().max(1) as f64;
        Self {
            shares: sizes.iter().map(|s| *s as f64 / n).collect(),
            counted: sizes.iter().map(|s| *s >= MIN_ROWS).collect(),
            of,
        }
    }
}

/// The penalty of a run.
#[derive(Debug, Clone)]
pub(super) struct Penalty {
    pub strength: f64,
    pub train: Groups,
    pub validation: Groups,
    truth: Vec<u32>,
}

impl Penalty {
    /// Of the rows of both parts, by one grouping of all of them: first training, then validation.
    pub fn new(
        want: &Fair,
        grouping: &Grouping,
        train: &Encoded,
        classes: usize,
    ) -> Result<Self, TrainError> {
        let fail =
            |what: &str| TrainError::Config { setting: "fairness penalty", what: what.to_owned() };
        let TargetData::Classes(truth) = &train.target else {
            return Err(fail("only classes can be penalised, not numbers"));
        };
        if classes != 2 {
            return Err(fail("it takes two classes, of which one is the favourable answer"));
        }
        let of = |part: &[u32]| Groups::new(part.to_vec(), grouping.names.len());
        let (a, b) = grouping.of.split_at_checked(train.rows).unwrap_or((&grouping.of, &[]));
        let train = of(a);
        if train.counted.iter().filter(|c| **c).count() < 2 {
            return Err(fail("two groups of at least 30 training rows are needed"));
        }
        Ok(Self {
            strength: f64::from(want.strength),
            train,
            validation: of(b),
            truth: truth.clone(),
        })
    }

    /// No multipliers yet.
    pub fn start(&self) -> Vec<f64> {
        vec![0.0; self.train.shares.len()]
    }

    /// The class that each training row is learned as, and what it counts.
    pub fn weighted(&self, multipliers: &[f64]) -> (Vec<u32>, Vec<f32>) {
        let sum: f64 = multipliers.iter().sum();
        let cost = |group: u32| {
            let g = group as usize;
            match (multipliers.get(g), self.train.shares.get(g)) {
                (Some(m), Some(share)) if *share > 0.0 => m / share - sum,
                _ => -sum,
            }
        };
        let rows = self.truth.iter().zip(&self.train.of);
        rows.map(|(y, g)| {
            let signed = 2.0 * f64::from(*y) - 1.0 - cost(*g);
            (u32::from(signed > 0.0), signed.abs() as f32)
        })
        .unzip()
    }

    /// Moves the multipliers by the gaps of outputs on the training rows `0, step, 2·step, …`.
    pub fn learn(&self, multipliers: &mut [f64], outputs: &[f32], step: usize) {
        let of: Vec<u32> = self.train.of.iter().copied().step_by(step).collect();
        let rates = rates(&of, self.train.shares.len(), outputs);
        let Some(all) = rates.1 else { return };
        for ((m, rate), counted) in multipliers.iter_mut().zip(&rates.0).zip(&self.train.counted) {
            if let (Some(rate), true) = (rate, counted) {
                *m = (*m + RATE * (rate - all)).clamp(-self.strength, self.strength);
            }
        }
    }

    /// Largest difference between shares called positive on validation rows.
    pub fn gap(&self, outputs: &[f32]) -> f64 {
        let (rates, _) = rates(&self.validation.of, self.validation.shares.len(), outputs);
        let counted = rates.iter().zip(&self.validation.counted).filter(|(_, c)| **c);
        let rates: Vec<f64> = counted.filter_map(|(r, _)| *r).collect();
        let most = rates.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let least = rates.iter().copied().fold(f64::INFINITY, f64::min);
        if rates.len() < 2 { 0.0 } else { most - least }
    }
}

/// Share called positive of every group, and of all rows.
fn rates(of: &[u32], groups: usize, outputs: &[f32]) -> (Vec<Option<f64>>, Option<f64>) {
    let called = predicted_classes(outputs, 2);
    let mut counts = vec![[0.0f64; 2]; groups];
    for (group, called) in of.iter().zip(&called) {
        if let Some([positive, all]) = counts.get_mut(*group as usize) {
            *positive += f64::from(*called);
            *all += 1.0;
        }
    }
    let share = |positive: f64, all: f64| (all > 0.0).then_some(positive / all);
    let total = counts.iter().fold([0.0, 0.0], |[p, n], [a, b]| [p + a, n + b]);
    (counts.iter().map(|[p, n]| share(*p, *n)).collect(), share(total[0], total[1]))
}

impl TrainConfig {
    /// Whether the penalty can be had with the other settings.
    pub(super) fn check_fair(&self) -> Result<(), TrainError> {
        let Some(fair) = &self.fair else { return Ok(()) };
        let fail = |what: &str| {
            Err(TrainError::Config { setting: "fairness penalty", what: what.to_owned() })
        };
        if !(fair.strength > 0.0 && fair.strength <= 100.0) {
            return fail("its strength must be above 0 and at most 100");
        }
        if self.reweigh.is_some() {
            return fail("weights by group do the same in another way; leave one of the two out");
        }
        if self.private.is_some() {
            return fail("its multipliers depend on all rows, so rows would not be private");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn penalty() -> Penalty {
        // Two groups of 40 and 120 rows; a quarter of the first and half of the second is positive.
        let of: Vec<u32> = (0..160).map(|i| u32::from(i >= 40)).collect();
        let truth: Vec<u32> =
            (0..160u32).map(|i| u32::from(if i < 40 { i < 10 } else { i % 2 == 0 })).collect();
        let train = Encoded {
            rows: 160,
            dense: vec![0.0; 160].into(),
            dense_width: 1,
            categories: vec![].into(),
            category_width: 0,
            target: TargetData::Classes(truth),
            unknown: vec![],
        };
        let names = ["a", "b"].map(str::to_owned).to_vec();
        let both = Grouping { column: "g".to_owned(), names, of: [of.clone(), of].concat() };
        let want = Fair { column: "g".to_owned(), strength: 1.0 };
        Penalty::new(&want, &both, &train, 2).unwrap()
    }

    fn outputs(p: &Penalty) -> Vec<f32> {
        p.truth.iter().flat_map(|y| [0.0, if *y == 1 { 1.0 } else { -1.0 }]).collect()
    }

    #[test]
    fn without_multipliers_rows_count_as_they_are() {
        let p = penalty();
        let (classes, weights) = p.weighted(&p.start());
        assert_eq!(classes, p.truth);
        assert!(weights.iter().all(|w| *w == 1.0));
    }

    #[test]
    fn multipliers_grow_by_the_gap_and_favour_the_group_behind() {
        let p = penalty();
        let out = outputs(&p);
        assert!((p.gap(&out) - 0.25).abs() < 1e-12);
        let mut m = p.start();
        p.learn(&mut m, &out, 1);
        // All: 70 of 160. Group a: 0.25 − 0.4375.
        assert!((m[0] + 0.1875).abs() < 1e-12 && (m[1] - 0.0625).abs() < 1e-12, "{m:?}");
        let (_, weights) = p.weighted(&m);
        // Positive rows of the group behind count more, negative ones less; of the other the reverse.
        assert!(weights[0] > 1.0 && weights[39] < 1.0 && weights[40] < 1.0 && weights[41] > 1.0);
        // By hand: 1 − (−0.1875 / 0.25 + 0.125).
        assert!((weights[0] - 1.625).abs() < 1e-6);
        for _ in 0..50 {
            p.learn(&mut m, &out, 1);
        }
        assert_eq!(m[0], -1.0);
        let (classes, _) = p.weighted(&m);
        // A strong multiplier learns negative rows of the group behind as positive.
        assert!(classes[..40].iter().all(|c| *c == 1));
    }

    #[test]
    fn small_groups_and_numbers_are_refused() {
        let p = penalty();
        let names = ["a", "b"].map(str::to_owned).to_vec();
        let of = (0..160).map(|i| u32::from(i >= 5)).collect();
        let grouping = Grouping { column: "g".to_owned(), names, of };
        let mut train = Encoded {
            rows: 160,
            dense: vec![].into(),
            dense_width: 0,
            categories: vec![].into(),
            category_width: 0,
            target: TargetData::Classes(p.truth.clone()),
            unknown: vec![],
        };
        let want = Fair { column: "g".to_owned(), strength: 1.0 };
        assert!(Penalty::new(&want, &grouping, &train, 2).is_err());
        assert!(Penalty::new(&want, &grouping, &train, 3).is_err());
        train.target = TargetData::Values(vec![0.0; 160]);
        assert!(Penalty::new(&want, &grouping, &train, 2).is_err());
    }
}

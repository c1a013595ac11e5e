//! Membership inference: can rows of the training be told from others by how well the model knows
//! their answers?
//!
//! Two attacks. The first calls those rows members whose loss is low (Yeom et al. 2018). The second
//! subtracts how easy a row is for a linear model that never saw the training rows (difficulty
//! calibration, Watson et al. 2022), which finds rows that were learned by heart.

use serde::Serialize;

use super::{AUC, FOUND, Risk, Subject};
use crate::data::{Encoded, Progress, TargetData};
use crate::error::ExportError;
use crate::eval::baselines::{self, Failure};
use crate::eval::bootstrap::intervals;
use crate::eval::outcomes::{ClassOutcomes, Outcomes};
use crate::eval::{Interval, Meaning};

/// Most rows of either kind that are attacked.
const MOST_ROWS: usize = 5000;
/// Fewest rows of either kind for a verdict.
const MIN_ROWS: usize = 100;
/// Share of others that may be taken for members.
const FALSE_ALARMS: f64 = 0.01;

/// How far one attack comes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attack {
    /// How it works, in words.
    pub name: &'static str,
    /// Chance that a member looks more like one than another row; 0.5 by guessing.
    pub auc: f64,
    /// 95 % interval.
    pub auc_interval: Interval,
    /// Share of members found when 1 % of others are taken for members; 0.01 by guessing.
    pub found: f64,
    /// 95 % interval.
    pub found_interval: Interval,
}

/// How well members can be told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Membership {
    /// Training rows attacked.
    pub members: usize,
    /// Other rows.
    pub others: usize,
    /// Attacks.
    pub attacks: Vec<Attack>,
}

impl Membership {
    /// The attack that tells most.
    pub fn strongest(&self) -> Option<&Attack> {
        self.attacks.iter().max_by(|a, b| a.auc.total_cmp(&b.auc))
    }

    /// By the strongest attack's interval.
    pub fn risk(&self) -> Risk {
        if self.members < MIN_ROWS || self.others < MIN_ROWS || self.attacks.is_empty() {
            return Risk::Unknown;
        }
        let any = |test: fn(&Attack) -> bool| self.attacks.iter().any(test);
        if any(|a| a.auc_interval.low > AUC[1] || a.found_interval.low > FOUND[1]) {
            Risk::High
        } else if any(|a| a.auc_interval.high > AUC[0] || a.found_interval.high > FOUND[0]) {
            Risk::Some
        } else {
            Risk::Low
        }
    }
}

/// How well each row's answer is known: the log odds of its true class, or minus the squared error.
pub(super) fn known(outcomes: &Outcomes) -> Vec<f64> {
    match outcomes {
        Outcomes::Classes(c) => log_odds(c),
        Outcomes::Values(v) => {
            v.truth.iter().zip(&v.predicted).map(|(y, p)| -(y - p).powi(2)).collect()
        }
    }
}

fn log_odds(c: &ClassOutcomes) -> Vec<f64> {
    let rows = c.logits.chunks(c.classes.len().max(1)).zip(&c.truth);
    rows.map(|(row, truth)| {
        let own = row.get(*truth as usize).copied().map_or(f64::NEG_INFINITY, f64::from);
        let others = || row.iter().enumerate().filter(|(i, _)| *i != *truth as usize);
        let most = others().map(|(_, v)| f64::from(*v)).fold(f64::NEG_INFINITY, f64::max);
        if most == f64::NEG_INFINITY {
            return 0.0;
        }
        own - most - others().map(|(_, v)| (f64::from(*v) - most).exp()).sum::<f64>().ln()
    })
    .collect()
}

/// AUC, and the largest share of members found at [`FALSE_ALARMS`] or fewer, of scores that are
/// higher for members. The first `members` scores are theirs; `weights` says how often each counts.
fn measure(order: &[usize], scores: &[f64], members: usize, weights: &[u32]) -> [f64; 2] {
    let total = |range: std::ops::Range<usize>| {
        weights.get(range).unwrap_or_default().iter().map(|w| f64::from(*w)).sum::<f64>()
    };
    let (positive, negative) = (total(0..members), total(members..weights.len()));
    let (mut hits, mut alarms, mut area, mut found) = (0.0, 0.0, 0.0, 0.0);
    let mut at = 0;
    while let Some(&first) = order.get(at) {
        let score = scores.get(first);
        let (mut new_hits, mut new_alarms) = (0.0, 0.0);
        while let Some(&row) = order.get(at).filter(|row| scores.get(**row) == score) {
            let weight = weights.get(row).map_or(0.0, |w| f64::from(*w));
            if row < members {
                new_hits += weight
            } else {
                new_alarms += weight
            }
            at += 1;
        }
        area += new_alarms * (hits + new_hits / 2.0);
        hits += new_hits;
        alarms += new_alarms;
        if alarms <= FALSE_ALARMS * negative {
            found = hits / positive;
        }
    }
    [area / (positive * negative), found]
}

/// The figures of an attack with intervals.
fn attack(
    name: &'static str,
    members: &[f64],
    others: &[f64],
    subject: &Subject<'_>,
    progress: &Progress,
) -> Result<Attack, ExportError> {
    let scores: Vec<f64> = members.iter().chain(others).copied().collect();
    let mut order: Vec<usize> = (0..scores.len()).collect();
    let score = |i: usize| scores.get(i).copied().unwrap_or(0.0);
    order.sort_by(|a, b| score(*b).total_cmp(&score(*a)));
    let of = |weights: &[u32]| measure(&order, &scores, members.len(), weights);
    let [auc, found] = of(&vec![1; scores.len()]);
    let replicates = subject.options.replicates.min(500);
    let all =
        intervals(scores.len(), replicates, subject.options.seed, progress, |w| of(w).to_vec())?;
    let interval =
        |i: usize| all.get(i).copied().unwrap_or(Interval { low: f64::NAN, high: f64::NAN });
    Ok(Attack { name, auc, auc_interval: interval(0), found, found_interval: interval(1) })
}

/// Every n-th row, so that at most [`MOST_ROWS`] are left.
fn thinned(data: &Encoded) -> Encoded {
    let step = data.rows.div_ceil(MOST_ROWS).max(1);
    if step == 1 {
        return data.clone();
    }
    let rows: Vec<usize> = (0..data.rows).step_by(step).collect();
    fn pick<T: Copy>(rows: &[usize], all: &[T], width: usize) -> Vec<T> {
        let part = |r: &usize| all.get(r * width..(r + 1) * width).unwrap_or_default();
        rows.iter().flat_map(part).copied().collect()
    }
    Encoded {
        rows: rows.len(),
        dense: pick(&rows, &data.dense, data.dense_width).into(),
        dense_width: data.dense_width,
        categories: pick(&rows, &data.categories, data.category_width).into(),
        category_width: data.category_width,
        target: match &data.target {
            TargetData::Classes(all) => TargetData::Classes(pick(&rows, all, 1)),
            TargetData::Values(all) => TargetData::Values(pick(&rows, all, 1)),
            TargetData::None => TargetData::None,
        },
        unknown: Vec::new(),
    }
}

pub(super) fn look(
    subject: &mut Subject<'_>,
    progress: &Progress,
) -> Result<Option<Membership>, ExportError> {
    let Some((train, _)) = subject.train else { return Ok(None) };
    let (train, held_out) = (thinned(train), thinned(subject.held_out.0));
    let mut answers = |data: &Encoded| -> Result<Option<Outcomes>, ExportError> {
        let outputs = subject.predictor.outputs(data)?;
        let info = subject.predictor.model().info();
        let meaning = Meaning::of(&info.preprocessor);
        Ok(Outcomes::new(info.schema.task.classes(), data, outputs, meaning))
    };
    let (Some(members), Some(others)) = (answers(&train)?, answers(&held_out)?) else {
        return Ok(None);
    };
    let (members, others) = (known(&members), known(&others));
    let mut attacks = vec![attack("low loss", &members, &others, subject, progress)?];
    if let Some(validation) = subject.validation.filter(|v| v.rows >= MIN_ROWS) {
        let info = subject.predictor.model().info();
        let (input, meaning) = (&info.model.input, Meaning::of(&info.preprocessor));
        let classes = info.schema.task.classes();
        let easy = |data: &Encoded| -> Result<Option<Vec<f64>>, ExportError> {
            let found = baselines::linear(input, validation, data, classes, meaning, progress);
            match found {
                Ok(outcomes) => Ok(outcomes.map(|o| known(&o))),
                Err(Failure::Cancelled(e)) => Err(e.into()),
                Err(Failure::Engine(e)) => Err(e.into()),
            }
        };
        if let (Some(a), Some(b)) = (easy(&train)?, easy(&held_out)?) {
            let less = |x: &[f64], y: &[f64]| -> Vec<f64> {
                x.iter().zip(y).map(|(x, y)| x - y).collect()
            };
            let (a, b) = (less(&members, &a), less(&others, &b));
            let name = "low loss for how hard the row is";
            attacks.push(attack(name, &a, &b, subject, progress)?);
        }
    }
    Ok(Some(Membership { members: members.len(), others: others.len(), attacks }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(members: &[f64], others: &[f64]) -> [f64; 2] {
        let scores: Vec<f64> = members.iter().chain(others).copied().collect();
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        measure(&order, &scores, members.len(), &vec![1; scores.len()])
    }

    #[test]
    fn figures_are_those_of_scikit_learn() {
        let text = include_str!("../../../tests/golden/privacy.json");
        let recorded: serde_json::Value = serde_json::from_str(text).unwrap();
        let attacks = recorded["membership"]["attacks"].as_array().unwrap();
        assert!(attacks.len() >= 3);
        let list =
            |v: &serde_json::Value| -> Vec<f64> { serde_json::from_value(v.clone()).unwrap() };
        for a in attacks {
            let (members, others) = (list(&a["members"]), list(&a["others"]));
            let [auc, found] = figures(&members, &others);
            assert!((auc - a["auc"].as_f64().unwrap()).abs() < 1e-9, "{auc}");
            assert!((found - a["tpr"].as_f64().unwrap()).abs() < 1e-9, "{found}");
            let [wrong, _] = figures(&members[1..], &others);
            assert!((wrong - auc).abs() > 1e-9);
        }
    }

    #[test]
    fn weights_count_rows_as_often() {
        let scores = [3.0, 1.0, 2.0, 0.5];
        let order = [0, 2, 1, 3];
        let twice = measure(&order, &scores, 2, &[2, 1, 1, 0]);
        let written_out = figures(&[3.0, 3.0, 1.0], &[2.0]);
        assert_eq!(twice, written_out);
    }

    #[test]
    fn log_odds_do_not_saturate() {
        let classes: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        let logits = vec![90.0, 0.0, 0.0, 95.0, 0.0, 0.0, 0.0, 1.0, 2.0];
        let c = ClassOutcomes::from_logits(&classes, vec![0, 0, 1], logits);
        let all = log_odds(&c);
        assert!((all[0] - (90.0 - 2f64.ln())).abs() < 1e-9 && all[1] > all[0]);
        let p = c.probabilities[7];
        assert!((all[2] - (p / (1.0 - p)).ln()).abs() < 1e-9);
    }

    #[test]
    fn risks_follow_the_intervals() {
        let near = |v: f64| Interval { low: v - 0.01, high: v + 0.01 };
        let of = |auc: f64, found: f64, others: usize| {
            let attack = Attack {
                name: "",
                auc,
                auc_interval: near(auc),
                found,
                found_interval: near(found),
            };
            Membership { members: 900, others, attacks: vec![attack] }.risk()
        };
        assert_eq!(of(0.51, 0.01, 500), Risk::Low);
        assert_eq!(of(0.57, 0.01, 500), Risk::Some);
        assert_eq!(of(0.51, 0.04, 500), Risk::Some);
        assert_eq!(of(0.8, 0.01, 500), Risk::High);
        assert_eq!(of(0.51, 0.2, 500), Risk::High);
        assert_eq!(of(0.8, 0.2, 20), Risk::Unknown);
    }
}

//! How a model holds out against worse data and against attacks, and what sending the least sure
//! answers to a person gains.

use std::sync::atomic::Ordering;

use serde::Serialize;

use super::attack::{Attacker, Method};
use super::bootstrap::{Interval, quantile, wilson};
use super::outcomes::{ClassOutcomes, Outcomes};
use super::perturb::{self, Change};
use super::scorer::measure_values;
use super::{Meaning, evaluation::Options};
use crate::data::{Dataset, Encoded, Preprocessor, Progress};
use crate::deploy::Predictor;
use crate::error::ExportError;

/// Most rows that are changed.
const MOST_ROWS: usize = 2000;
/// Most rows that are attacked.
const MOST_ATTACKED: usize = 500;

/// Score on rows changed in one way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Changed {
    /// What was done, in words.
    pub what: String,
    /// Accuracy, or R².
    pub score: f64,
    /// 95 % interval of an accuracy.
    pub interval: Option<Interval>,
}

/// Accuracy under attacks of one size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Attacked {
    /// Largest change of a value: in standard deviations, or in the 256 levels of a pixel.
    pub epsilon: f64,
    /// Accuracy under FGSM.
    pub fgsm: f64,
    /// Accuracy under PGD.
    pub pgd: f64,
}

/// What referring the least sure answers to a person gains.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Referral {
    /// Share of validation rows below the threshold.
    pub aimed: f64,
    /// Answers less sure than this go to a person.
    pub threshold: f64,
    /// Share of the evaluated rows that then go to a person.
    pub referred: f64,
    /// Accuracy on the rows that the model keeps.
    pub accuracy: f64,
    /// 95 % interval of it.
    pub interval: Interval,
}

/// Whether rows unlike those of the training can be told by their inputs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Strangeness {
    /// Rows with a larger distance are called strange; 99 of 100 training rows lie below.
    pub threshold: f64,
    /// Share of the evaluated rows above it.
    pub strange: f64,
    /// Share of rows of noise above it.
    pub noise_found: f64,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Robustness {
    /// Rows that were changed.
    pub rows: usize,
    /// Score on them as they are.
    pub clean: f64,
    /// Changes, in the order they were made.
    pub changes: Vec<Changed>,
    /// Columns moved by one standard deviation, or emptied; the most harmful first.
    pub columns: Vec<Changed>,
    /// Attacks by size; empty where nothing can be attacked.
    pub attacks: Vec<Attacked>,
    /// What `epsilon` is measured in.
    pub unit: &'static str,
    /// Referring unsure answers; of classes only.
    pub referrals: Vec<Referral>,
    /// Rows unlike those of the training; `None` without training rows.
    pub strangeness: Option<Strangeness>,
}

/// What is needed to look.
pub struct Subject<'a> {
    /// The model.
    pub predictor: &'a mut Predictor,
    /// Data.
    pub dataset: &'a Dataset,
    /// Rows evaluated.
    pub rows: &'a [u32],
    /// Answers on them.
    pub outcomes: &'a Outcomes,
    /// Answers on validation rows.
    pub validation: Option<&'a Outcomes>,
    /// Training rows.
    pub train: Option<&'a Encoded>,
    /// Seed.
    pub options: Options,
}

/// Changes rows, attacks them, and looks at the least sure answers.
///
/// # Errors
/// The engine; cancelled.
pub fn look(mut subject: Subject<'_>, progress: &Progress) -> Result<Robustness, ExportError> {
    let step = subject.rows.len().div_ceil(MOST_ROWS).max(1);
    let rows: Vec<u32> = subject.rows.iter().copied().step_by(step).collect();
    let (seed, whole) = (subject.options.seed, subject.dataset);
    let clean = score_of(&mut subject, whole, &rows)?.0;
    let target = subject.predictor.model().info().schema.target.clone();
    let changed = |subject: &mut Subject<'_>, change: &Change| -> Result<Changed, ExportError> {
        progress.check()?;
        let data = perturb::apply(subject.dataset, &rows, change, &target, seed);
        let all: Vec<u32> = (0..data.len() as u32).collect();
        let (score, interval) = score_of(subject, &data, &all)?;
        Ok(Changed { what: change.words(), score, interval })
    };
    let used: Vec<String> = {
        let info = subject.predictor.model().info();
        info.preprocessor.columns().into_iter().map(str::to_owned).collect()
    };
    let mut changes = Vec::new();
    for change in perturb::changes(subject.dataset, &target) {
        changes.push(changed(&mut subject, &change)?);
    }
    let mut columns = Vec::new();
    for change in perturb::column_changes(subject.dataset, &used) {
        columns.push(changed(&mut subject, &change)?);
    }
    columns.sort_by(|a, b| a.score.total_cmp(&b.score));
    progress.done.fetch_add(1, Ordering::Relaxed);
    let attacks = attacks(&mut subject, progress)?;
    let images = subject.predictor.model().info().preprocessor.image_shape().is_some();
    let referrals = match (subject.outcomes, subject.validation) {
        (Outcomes::Classes(c), Some(Outcomes::Classes(v))) => referrals(v, c),
        _ => Vec::new(),
    };
    let strangeness = match subject.train {
        Some(train) => {
            let info = subject.predictor.model().info();
            let encoded = info.preprocessor.transform(subject.dataset, &rows)?;
            Some(strangeness(train, &encoded, &info.preprocessor, seed))
        }
        None => None,
    };
    Ok(Robustness {
        rows: rows.len(),
        clean,
        changes,
        columns,
        attacks,
        unit: if images { "levels of 256 per pixel" } else { "standard deviations per number" },
        referrals,
        strangeness,
    })
}

fn answers(subject: &mut Subject<'_>, data: &Encoded) -> Result<Option<Outcomes>, ExportError> {
    let outputs = subject.predictor.outputs(data)?;
    let info = subject.predictor.model().info();
    let meaning = Meaning::of(&info.preprocessor);
    Ok(Outcomes::new(info.schema.task.classes(), data, outputs, meaning))
}

fn score(outcomes: &Outcomes) -> (f64, Option<Interval>) {
    match outcomes {
        Outcomes::Classes(c) => {
            let n = c.truth.len() as f64;
            let hits = c.hits().iter().filter(|h| **h).count() as f64;
            (hits / n.max(1.0), Some(wilson(hits, n)))
        }
        Outcomes::Values(v) => {
            let r2 = measure_values(v, &vec![1; v.truth.len()]).first().copied();
            (r2.unwrap_or(0.0), None)
        }
    }
}

fn score_of(
    subject: &mut Subject<'_>,
    data: &Dataset,
    rows: &[u32],
) -> Result<(f64, Option<Interval>), ExportError> {
    let encoded = subject.predictor.model().info().preprocessor.transform(data, rows)?;
    let outcomes = answers(subject, &encoded)?;
    Ok(outcomes.map_or((0.0, None), |o| score(&o)))
}

fn attacks(subject: &mut Subject<'_>, progress: &Progress) -> Result<Vec<Attacked>, ExportError> {
    if !matches!(subject.outcomes, Outcomes::Classes(_)) {
        return Ok(Vec::new());
    }
    let mut attacker = Attacker::new(subject.predictor.model().file())?;
    if !attacker.can_attack() {
        return Ok(Vec::new());
    }
    let info = subject.predictor.model().info();
    let images = info.preprocessor.image_shape().is_some();
    let step = subject.rows.len().div_ceil(MOST_ATTACKED).max(1);
    let rows: Vec<u32> = subject.rows.iter().copied().step_by(step).collect();
    let data = info.preprocessor.transform(subject.dataset, &rows)?;
    // Shown size and the size in the units of the attacker.
    let sizes: [(f64, f32); 5] = if images {
        [2.0, 4.0, 8.0, 16.0, 32.0].map(|level| (level, (level / 255.0) as f32))
    } else {
        [0.05, 0.1, 0.2, 0.4, 0.8].map(|size| (size, size as f32))
    };
    let seed = subject.options.seed;
    let clean = answers(subject, &data)?.map_or(0.0, |o| score(&o).0);
    let mut out = vec![Attacked { epsilon: 0.0, fgsm: clean, pgd: clean }];
    for (shown, epsilon) in sizes {
        let [fgsm, pgd] = [Method::Fgsm, Method::Pgd]
            .map(|method| attacker.attack(&data, method, epsilon, seed, progress));
        let (fgsm, pgd) = (answers(subject, &fgsm?)?, answers(subject, &pgd?)?);
        let accuracy = |o: Option<Outcomes>| o.map_or(0.0, |o| score(&o).0);
        out.push(Attacked { epsilon: shown, fgsm: accuracy(fgsm), pgd: accuracy(pgd) });
    }
    Ok(out)
}

/// Thresholds that refer shares of the validation rows, and what they do to other rows.
pub fn referrals(validation: &ClassOutcomes, outcomes: &ClassOutcomes) -> Vec<Referral> {
    let mut sure = validation.confidence();
    sure.sort_by(f64::total_cmp);
    let (confidence, hits) = (outcomes.confidence(), outcomes.hits());
    [0.0, 0.05, 0.1, 0.2, 0.3, 0.5]
        .into_iter()
        .map(|aimed| {
            let threshold = if aimed > 0.0 { quantile(&sure, aimed) } else { 0.0 };
            let kept = confidence.iter().zip(&hits).filter(|(c, _)| **c >= threshold);
            let (n, right) = kept.fold((0.0, 0.0), |(n, right), (_, hit)| {
                (n + 1.0, right + f64::from(u8::from(*hit)))
            });
            Referral {
                aimed,
                threshold,
                referred: 1.0 - n / confidence.len().max(1) as f64,
                accuracy: right / f64::max(n, 1.0),
                interval: wilson(right, n),
            }
        })
        .collect()
}

/// Mean and deviation of every dense number of the training rows.
struct Usual {
    mean: Vec<f64>,
    std: Vec<f64>,
}

impl Usual {
    fn of(train: &Encoded) -> Self {
        let (width, n) = (train.dense_width, train.rows.max(1) as f64);
        let (mut mean, mut square) = (vec![0.0; width], vec![0.0; width]);
        for row in train.dense.chunks_exact(width.max(1)) {
            for ((m, s), v) in mean.iter_mut().zip(&mut square).zip(row) {
                *m += f64::from(*v) / n;
                *s += f64::from(*v).powi(2) / n;
            }
        }
        // A value seen once in a while must not count without bound.
        let std = mean.iter().zip(square).map(|(m, s)| (s - m * m).max(1e-2).sqrt()).collect();
        Self { mean, std }
    }

    /// Mean squared distance in standard deviations.
    fn distances(&self, data: &Encoded) -> Vec<f64> {
        let width = data.dense_width.max(1);
        let far = |row: &[f32]| {
            let parts = row.iter().zip(&self.mean).zip(&self.std);
            parts.map(|((v, m), s)| ((f64::from(*v) - m) / s).powi(2)).sum::<f64>() / width as f64
        };
        data.dense.chunks_exact(width).map(far).collect()
    }
}

fn strangeness(train: &Encoded, data: &Encoded, prep: &Preprocessor, seed: u64) -> Strangeness {
    let usual = Usual::of(train);
    let mut known = usual.distances(train);
    known.sort_by(f64::total_cmp);
    let threshold = quantile(&known, 0.99);
    let above =
        |d: &[f64]| d.iter().filter(|v| **v > threshold).count() as f64 / d.len().max(1) as f64;
    let noise = perturb::noise(data, &prep.movable(), seed);
    Strangeness {
        threshold,
        strange: above(&usual.distances(data)),
        noise_found: above(&usual.distances(&noise)),
    }
}

//! What simple answers reach: the commonest class or the mean, and a linear model.

use super::outcomes::{Outcomes, softmax};
use super::{Meaning, fill_batch};
use crate::data::rng::Rng;
use crate::data::{Encoded, Progress, TargetData};
use crate::device::DeviceChoice;
use crate::engine::{self, Batch, StepParams};
use crate::error::{DataError, EngineError};
use crate::fp8::Precision;
use crate::model::init::init;
use crate::model::{Activation, Head, InputSpec, ModelSpec};
use crate::plan::{self, Optimizer, PlanConfig, UpdateOptions};

/// Rows per step of the linear model.
const BATCH: usize = 256;
/// Steps of the linear model, about.
const STEPS: usize = 1500;
/// Widest ridge regression that is solved in closed form.
const MAX_RIDGE: usize = 1500;

/// Answers of always giving the commonest class of `train`, or its mean.
pub fn constant(
    train: &TargetData,
    data: &Encoded,
    classes: &[String],
    meaning: Meaning,
) -> Option<Outcomes> {
    let outputs = match (train, meaning) {
        (TargetData::Classes(train), Meaning::Classes(count)) => {
            let mut counts = vec![0.0f32; count];
            for &class in train {
                if let Some(n) = counts.get_mut(class as usize) {
                    *n += 1.0;
                }
            }
            let all = train.len().max(1) as f32;
            let row: Vec<f32> = counts.iter().map(|n| (n / all).max(1e-9).ln()).collect();
            row.repeat(data.rows)
        }
        (TargetData::Values(train), Meaning::Value { .. }) => {
            let mean = train.iter().sum::<f32>() / train.len().max(1) as f32;
            vec![mean; data.rows]
        }
        _ => return None,
    };
    Outcomes::new(classes, data, outputs, meaning)
}

/// Why a linear model could not be made.
pub enum Failure {
    /// Asked to stop.
    Cancelled(DataError),
    /// The engine failed.
    Engine(EngineError),
}

/// Answers of a linear model fitted on `train`: logistic regression trained in f32, or ridge
/// regression in closed form. Learned tables of categories, where there are some, take part.
pub fn linear(
    input: &InputSpec,
    train: &Encoded,
    data: &Encoded,
    classes: &[String],
    meaning: Meaning,
    progress: &Progress,
) -> Result<Option<Outcomes>, Failure> {
    if train.rows == 0 {
        return Ok(None);
    }
    if let (TargetData::Values(y), true) = (&train.target, input.embeddings.is_empty())
        && input.dense <= MAX_RIDGE
    {
        let weights = ridge(&train.dense, input.dense, y, 1.0);
        let outputs = data.dense.chunks(input.dense.max(1)).map(|row| predict(&weights, row));
        return Ok(Outcomes::new(classes, data, outputs.collect(), meaning));
    }
    let head = match meaning {
        Meaning::Classes(count) => Head::Classes { count },
        Meaning::Value { .. } => Head::Regression,
    };
    let model = ModelSpec::mlp(input.clone(), &[], Activation::Relu, false, 0.0, false, head);
    let outputs = train_linear(&model, train, data, progress)?;
    Ok(Outcomes::new(classes, data, outputs, meaning))
}

fn train_linear(
    model: &ModelSpec,
    train: &Encoded,
    data: &Encoded,
    progress: &Progress,
) -> Result<Vec<f32>, Failure> {
    let batch = BATCH.min(train.rows);
    let config = PlanConfig {
        batch,
        precision: Precision::F32,
        optimizer: Optimizer::default(),
        update: UpdateOptions::default(),
    };
    let plan = plan::compile(model, &config).map_err(Failure::Engine)?;
    let (mut engine, _) = engine::open(DeviceChoice::Cpu, plan).map_err(Failure::Engine)?;
    engine.load_params(&init(model, 0)).map_err(Failure::Engine)?;
    let per_epoch = train.rows.div_ceil(batch);
    let epochs = (STEPS / per_epoch).clamp(3, 200);
    let total = (per_epoch * epochs) as f32;
    let mut order: Vec<usize> = (0..train.rows).collect();
    let mut rng = Rng::new(0);
    let mut step = 0;
    for _ in 0..epochs {
        progress.check().map_err(Failure::Cancelled)?;
        rng.shuffle(&mut order);
        for rows in order.chunks(batch) {
            let mut rows_of_batch = Batch::default();
            fill_batch(&mut rows_of_batch, train, rows.iter().copied());
            step += 1;
            let learning_rate = 0.02 * (1.0 - step as f32 / (total + 1.0));
            let params = StepParams { step, learning_rate, seed: 0 };
            engine.train(&[rows_of_batch], &[params]).map_err(Failure::Engine)?;
        }
    }
    engine.prepare_eval().map_err(Failure::Engine)?;
    Ok(super::outputs(engine.as_mut(), data).map_err(Failure::Engine)?.0)
}

/// Weights and, last, the intercept that minimise Σ(y − xw − b)² + `penalty` · |w|²; rows of `x`
/// are `width` wide. By Cholesky's method on centred values.
pub fn ridge(x: &[f32], width: usize, y: &[f32], penalty: f64) -> Vec<f64> {
    let n = y.len().max(1) as f64;
    let mut mean = vec![0.0; width];
    let rows = || x.chunks_exact(width.max(1));
    for row in rows() {
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += f64::from(*v) / n);
    }
    let centre = y.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let mut a = vec![0.0; width * width];
    let mut b = vec![0.0; width];
    let mut row = vec![0.0; width];
    for (values, y) in rows().zip(y) {
        row.iter_mut().zip(values).zip(&mean).for_each(|((r, v), m)| *r = f64::from(*v) - m);
        let y = f64::from(*y) - centre;
        for ((i, v), line) in row.iter().enumerate().zip(a.chunks_exact_mut(width.max(1))) {
            if let Some(sum) = b.get_mut(i) {
                *sum += v * y;
            }
            line.iter_mut().zip(&row).take(i + 1).for_each(|(s, w)| *s += v * w);
        }
    }
    for i in 0..width {
        if let Some(diagonal) = a.get_mut(i * width + i) {
            *diagonal += penalty;
        }
    }
    let mut weights = solve(&mut a, width, b);
    let shift: f64 = weights.iter().zip(&mean).map(|(w, m)| w * m).sum();
    weights.push(centre - shift);
    weights
}

/// Solves a symmetric positive definite system whose lower triangle is given.
fn solve(a: &mut [f64], n: usize, mut b: Vec<f64>) -> Vec<f64> {
    for i in 0..n {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| a[i * n + k] * a[j * n + k]).sum();
            let rest = a[i * n + j] - dot;
            a[i * n + j] = if i == j { rest.max(1e-12).sqrt() } else { rest / a[j * n + j] };
        }
        let dot: f64 = (0..i).map(|k| a[i * n + k] * b[k]).sum();
        b[i] = (b[i] - dot) / a[i * n + i];
    }
    for i in (0..n).rev() {
        let dot: f64 = (i + 1..n).map(|k| a[k * n + i] * b[k]).sum();
        b[i] = (b[i] - dot) / a[i * n + i];
    }
    b
}

fn predict(weights: &[f64], row: &[f32]) -> f32 {
    let sum: f64 = weights.iter().zip(row).map(|(w, v)| w * f64::from(*v)).sum();
    (sum + weights.last().copied().unwrap_or(0.0)) as f32
}

/// Probability that two classifiers answer alike, given their logits: share of equal answers.
pub fn agreement(a: &[u32], b: &[u32]) -> f64 {
    a.iter().zip(b).filter(|(x, y)| x == y).count() as f64 / a.len().max(1) as f64
}

/// Mean absolute difference of probabilities of two sets of logits.
pub fn probability_distance(a: &[f32], b: &[f32], classes: usize) -> f64 {
    let (p, q) = (softmax(a, classes, 1.0), softmax(b, classes, 1.0));
    p.iter().zip(&q).map(|(x, y)| (x - y).abs()).sum::<f64>() / p.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(rows: usize, dense: Vec<f32>, target: TargetData) -> Encoded {
        let dense_width = dense.len() / rows;
        Encoded {
            rows,
            dense: dense.into(),
            dense_width,
            categories: vec![].into(),
            category_width: 0,
            target,
            unknown: vec![],
        }
    }

    #[test]
    fn ridge_solves_the_normal_equations() {
        // y = 2 a − b + 3 exactly; without a penalty the weights come back.
        let x: Vec<f32> = (0..20).flat_map(|i| [(i % 5) as f32, (i * i % 7) as f32]).collect();
        let y: Vec<f32> = x.chunks(2).map(|r| 2.0 * r[0] - r[1] + 3.0).collect();
        let w = ridge(&x, 2, &y, 0.0);
        for (got, want) in w.iter().zip([2.0, -1.0, 3.0]) {
            assert!((got - want).abs() < 1e-6, "{w:?}");
        }
        assert!(ridge(&x, 2, &y, 1e9)[0].abs() < 1e-3);
    }

    #[test]
    fn a_line_between_two_classes_is_found() {
        let x: Vec<f32> = (0..200).map(|i| (i as f32 - 100.0) / 50.0).collect();
        let truth: Vec<u32> = (0..200).map(|i| u32::from(i >= 120)).collect();
        let data = encoded(200, x, TargetData::Classes(truth));
        let names = ["a".to_owned(), "b".to_owned()];
        let input = InputSpec { dense: 1, ..InputSpec::default() };
        let meaning = Meaning::Classes(2);
        let progress = Progress::default();
        let Ok(Some(Outcomes::Classes(found))) =
            linear(&input, &data, &data, &names, meaning, &progress)
        else {
            panic!("no linear model")
        };
        assert!(found.hits().iter().filter(|h| **h).count() > 190);
        let Some(Outcomes::Classes(c)) = constant(&data.target, &data, &names, meaning) else {
            panic!("no constant")
        };
        assert_eq!(c.hits().iter().filter(|h| **h).count(), 120);
        assert!((c.probabilities[0] - 0.6).abs() < 1e-6);
    }
}

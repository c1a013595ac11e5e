//! Cross-validation: k models, each tested on rows that it has not seen. Gives the spread of the score
//! and a prediction for every row that owes nothing to its own label.

use std::sync::atomic::Ordering;

use serde::Serialize;

use super::TrainConfig;
use super::order::epoch_order;
use super::prepare::{head, inputs};
use super::schedule::LearningRate;
use crate::data::preprocess::PrepConfig;
use crate::data::{
    Dataset, Encoded, Preprocessor, Progress, Schema, Split, SplitConfig, TargetData,
};
use crate::engine::{self, Batch, Engine, StepParams};
use crate::error::{DataError, TrainError};
use crate::eval::{self, Meaning};
use crate::metrics::{MetricKind, Scores};
use crate::model::init::{Param, init};
use crate::plan::{self, PlanConfig};

/// What is cross-validated.
#[derive(Debug, Clone, Copy)]
pub struct Study<'a> {
    /// Data.
    pub dataset: &'a Dataset,
    /// Columns, target, task.
    pub schema: &'a Schema,
    /// Preprocessing, fitted anew in every fold.
    pub prep: &'a PrepConfig,
    /// Groups to keep whole, seed, balance.
    pub split: &'a SplitConfig,
    /// Settings of the models. A change of precision within the run is not done.
    pub config: &'a TrainConfig,
}

/// Predictions for rows by models that had not seen them.
#[derive(Debug, Clone, PartialEq)]
pub struct OutOfFold {
    /// Rows, ascending.
    pub rows: Vec<u32>,
    /// Class of each row as labelled; empty for a regression.
    pub labels: Vec<u32>,
    /// Classes; 1 for a regression.
    pub outputs: usize,
    /// Probabilities `[rows, outputs]`, or standardised values.
    pub predictions: Vec<f32>,
    /// Standardised target of each row; empty for classes.
    pub values: Vec<f32>,
}

/// Scores of every fold and the predictions.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossValidation {
    /// Scores of each fold on the rows that it tested.
    pub folds: Vec<Scores>,
    /// Predictions of all tested rows.
    pub predictions: OutOfFold,
}

/// Mean and spread of one metric over the folds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spread {
    /// The metric.
    #[serde(skip)]
    pub kind: MetricKind,
    /// Name of the metric.
    pub metric: String,
    /// Mean of the folds.
    pub mean: f64,
    /// Standard deviation of the folds (n − 1).
    pub std: f64,
    /// Score of each fold.
    pub folds: Vec<f64>,
}

impl CrossValidation {
    /// Every metric over the folds.
    pub fn spreads(&self) -> Vec<Spread> {
        let Some(first) = self.folds.first() else { return Vec::new() };
        let spread = |i: usize| {
            let folds: Vec<f64> =
                self.folds.iter().filter_map(|f| f.metrics.get(i)).map(|m| m.1).collect();
            let n = folds.len() as f64;
            let mean = folds.iter().sum::<f64>() / n.max(1.0);
            let square: f64 = folds.iter().map(|x| (x - mean).powi(2)).sum();
            let std = if n > 1.0 { (square / (n - 1.0)).sqrt() } else { 0.0 };
            let kind = first.metrics.get(i)?.0;
            Some(Spread { kind, metric: format!("{kind:?}"), mean, std, folds })
        };
        (0..first.metrics.len()).filter_map(spread).collect()
    }
}

/// Cross-validates `rows` in `k` folds on the processor or the device of the settings. Progress counts
/// epochs.
///
/// # Errors
/// Too few rows, settings out of range, [`DataError::Cancelled`].
pub fn run(
    study: &Study,
    rows: &[u32],
    k: usize,
    progress: &Progress,
) -> Result<CrossValidation, TrainError> {
    study.config.check()?;
    if study.config.private.is_some() || study.config.fair.is_some() {
        let what = "folds are trained without it and without a fairness penalty; turn both off to \
                    cross-validate";
        return Err(TrainError::Config { setting: "private training", what: what.to_owned() });
    }
    let folds = Split::folds(study.dataset, study.schema, study.split, rows, k)?;
    progress.total.store((k * study.config.epochs) as u64, Ordering::Relaxed);
    let mut scores = Vec::with_capacity(k);
    let mut found: Vec<(u32, Vec<f32>, u32, f32)> = Vec::with_capacity(rows.len());
    let mut outputs = 1;
    for (at, fold) in folds.iter().enumerate() {
        let (out, encoded, meaning) = one(study, fold, progress)?;
        progress.done.store(((at + 1) * study.config.epochs) as u64, Ordering::Relaxed);
        scores.push(eval::score(&out, 0.0, &encoded, meaning));
        outputs = meaning.outputs();
        for (i, row) in fold.test.iter().enumerate() {
            let raw = out.get(i * outputs..(i + 1) * outputs).unwrap_or_default();
            let (label, value) = match &encoded.target {
                TargetData::Classes(c) => (c.get(i).copied().unwrap_or(0), 0.0),
                TargetData::Values(v) => (0, v.get(i).copied().unwrap_or(0.0)),
                TargetData::None => (0, 0.0),
            };
            let prediction =
                if matches!(meaning, Meaning::Classes(_)) { softmax(raw) } else { raw.to_vec() };
            found.push((*row, prediction, label, value));
        }
    }
    found.sort_by_key(|f| f.0);
    let classes = outputs > 1;
    Ok(CrossValidation {
        folds: scores,
        predictions: OutOfFold {
            rows: found.iter().map(|f| f.0).collect(),
            labels: if classes { found.iter().map(|f| f.2).collect() } else { Vec::new() },
            values: if classes { Vec::new() } else { found.iter().map(|f| f.3).collect() },
            outputs,
            predictions: found.into_iter().flat_map(|f| f.1).collect(),
        },
    })
}

/// Probabilities of logits.
fn softmax(logits: &[f32]) -> Vec<f32> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let raised: Vec<f32> = logits.iter().map(|x| (x - most).exp()).collect();
    let sum: f32 = raised.iter().sum();
    raised.into_iter().map(|x| x / sum).collect()
}

/// Trains on one fold and predicts its test rows.
fn one(
    study: &Study,
    fold: &Split,
    progress: &Progress,
) -> Result<(Vec<f32>, Encoded, Meaning), TrainError> {
    let (dataset, config) = (study.dataset, study.config);
    let preprocessor = Preprocessor::fit(dataset, study.schema, study.prep, &fold.train)?;
    let mut fold = fold.clone();
    if study.split.balance {
        fold.balance(dataset, study.schema)?;
    }
    let train = preprocessor.transform(dataset, &fold.train)?;
    let validation = preprocessor.transform(dataset, &fold.validation)?;
    let test = preprocessor.transform(dataset, &fold.test)?;
    let model = config.model(inputs(&preprocessor), head(preprocessor.task()))?;
    let batch = config.batch_size.min(train.rows).max(1);
    let plan = plan::compile(
        &model,
        &PlanConfig {
            batch,
            precision: config.precision,
            optimizer: config.optimizer,
            update: config.update,
        },
    )?;
    let (mut engine, _) = engine::open(config.device, plan)?;
    let engine = engine.as_mut();
    engine.load_params(&init(&model, config.seed))?;
    let meaning = Meaning::of(&preprocessor);
    if let Some(best) = fit(engine, &train, &validation, config, progress)? {
        engine.load_params(&best)?;
    }
    engine.prepare_eval()?;
    let (out, _) = eval::outputs(engine, &test)?;
    Ok((out, test, meaning))
}

/// Trains with early stopping; the best parameters.
fn fit(
    engine: &mut dyn Engine,
    train: &Encoded,
    validation: &Encoded,
    config: &TrainConfig,
    progress: &Progress,
) -> Result<Option<Vec<Param>>, TrainError> {
    let batch = engine.plan().config.batch.max(1);
    let per_epoch = train.rows.div_ceil(batch);
    let rate = LearningRate::new(config, (per_epoch * config.epochs) as u64);
    let seed = (config.seed ^ (config.seed >> 32)) as u32;
    let (mut best, mut best_loss, mut without) = (None, f32::INFINITY, 0);
    let mut step = 0;
    for epoch in 0..config.epochs {
        if progress.cancel.load(Ordering::Relaxed) {
            return Err(DataError::Cancelled.into());
        }
        let order = epoch_order(train.rows, config.seed, epoch);
        // As many steps at once as a GPU takes well; cancelling stays quick.
        for group in order.chunks(batch * 32) {
            let batches: Vec<Batch> = group
                .chunks(batch)
                .map(|rows| {
                    let mut b = Batch::default();
                    eval::fill_batch(&mut b, train, rows.iter().map(|r| *r as usize));
                    b
                })
                .collect();
            let params: Vec<StepParams> = (1..=batches.len() as u64)
                .map(|i| StepParams { step: step + i, learning_rate: rate.at(step + i), seed })
                .collect();
            let losses = engine.train(&batches, &params)?;
            step += batches.len() as u64;
            if losses.iter().any(|l| !l.is_finite()) {
                return Ok(best);
            }
        }
        progress.done.fetch_add(1, Ordering::Relaxed);
        if validation.rows == 0 {
            continue;
        }
        engine.prepare_eval()?;
        let (_, loss) = eval::outputs(engine, validation)?;
        if loss < best_loss {
            (best_loss, without) = (loss, 0);
            best = Some(engine.read_params()?);
        } else {
            without += 1;
            if config.patience > 0 && without >= config.patience {
                break;
            }
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::table;
    use crate::device::DeviceChoice;

    #[test]
    fn every_row_is_predicted_by_a_model_that_can_tell() {
        let rows: String = (0..300)
            .map(|i| {
                format!("{}.5,{},{}\n", i % 10, i % 7, if i % 10 < 5 { "low" } else { "high" })
            })
            .collect();
        let (dataset, schema) = table(&format!("x,z,y\n{rows}"), "y");
        let config = TrainConfig {
            hidden: vec![16],
            epochs: 15,
            batch_size: 32,
            learning_rate: 0.01,
            device: DeviceChoice::Cpu,
            ..TrainConfig::default()
        };
        let study = Study {
            dataset: &dataset,
            schema: &schema,
            prep: &PrepConfig::default(),
            split: &SplitConfig::default(),
            config: &config,
        };
        let all: Vec<u32> = (0..300).collect();
        let result = run(&study, &all, 3, &Progress::default()).unwrap();
        assert_eq!(result.predictions.rows, all);
        let spreads = result.spreads();
        assert!(spreads[0].mean > 0.95 && spreads[0].folds.len() == 3, "{spreads:?}");
        let sums = result.predictions.predictions.chunks(2).map(|p| p.iter().sum::<f32>());
        assert!(sums.into_iter().all(|s| (s - 1.0).abs() < 1e-5));
        let stop = Progress::default();
        stop.cancel.store(true, Ordering::Relaxed);
        assert!(matches!(run(&study, &all, 3, &stop), Err(TrainError::Data(DataError::Cancelled))));
    }
}

//! How good a model is: outputs of the network on encoded rows and the scores made from them.

pub mod attack;
pub mod baselines;
pub mod bootstrap;
pub mod calibration;
pub mod classes;
pub mod conformal;
pub mod curves;
pub mod evaluation;
pub mod fairness;
pub mod groups;
pub mod outcomes;
pub mod perturb;
pub mod privacy;
pub mod robustness;
pub mod scorer;
pub mod slices;
pub mod treated;
pub mod verdict;

pub use bootstrap::Interval;
pub use calibration::{Calibration, Calibrations};
pub use classes::{ClassScores, Confusion};
pub use evaluation::{Evaluation, Measured, Options, Part, evaluate as examine};
pub use outcomes::{ClassOutcomes, Outcomes, ValueOutcomes};
pub use verdict::Verdict;

use crate::data::{Encoded, Preprocessor, TargetData, Task};
use crate::engine::{Batch, Engine};
use crate::error::EngineError;
use crate::metrics::{MetricKind, Scores, definitions};

/// What the outputs mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Meaning {
    /// Logits of this many classes.
    Classes(usize),
    /// A standardised number; value = output · scale + mean, in the target's unit.
    Value {
        /// Mean of the target in training.
        mean: f64,
        /// Standard deviation of the target in training.
        scale: f64,
    },
}

impl Meaning {
    /// What the outputs of a model behind this preprocessing mean.
    pub fn of(preprocessor: &Preprocessor) -> Self {
        match preprocessor.task() {
            Task::Binary { classes } | Task::Multiclass { classes } => Self::Classes(classes.len()),
            Task::Regression => {
                let scale = preprocessor.target_scale();
                Self::Value {
                    mean: scale.map_or(0.0, |s| s.mean),
                    scale: scale.map_or(1.0, |s| s.std),
                }
            }
        }
    }

    /// Outputs per row.
    pub fn outputs(self) -> usize {
        match self {
            Self::Classes(count) => count,
            Self::Value { .. } => 1,
        }
    }
}

/// Copies rows of `data` into a batch; row numbers past the end are left out.
pub fn fill_batch(batch: &mut Batch, data: &Encoded, rows: impl IntoIterator<Item = usize>) {
    batch.rows = 0;
    batch.dense.clear();
    batch.categories.clear();
    batch.targets.clear();
    batch.weights.clear();
    for row in rows {
        if row >= data.rows {
            continue;
        }
        let (d, c) = (data.dense_width, data.category_width);
        let (Some(dense), Some(categories)) =
            (data.dense.get(row * d..(row + 1) * d), data.categories.get(row * c..(row + 1) * c))
        else {
            continue;
        };
        batch.dense.extend_from_slice(dense);
        batch.categories.extend_from_slice(categories);
        batch.targets.push(match &data.target {
            TargetData::Classes(classes) => classes.get(row).copied().unwrap_or(0),
            TargetData::Values(values) => values.get(row).copied().unwrap_or(0.0).to_bits(),
            TargetData::None => 0,
        });
        batch.weights.push(1.0);
        batch.rows += 1;
    }
}

/// Outputs `[rows, outputs]` of the network for all rows, and the mean row loss (0 without
/// targets). Call [`Engine::prepare_eval`] first.
pub fn outputs(engine: &mut dyn Engine, data: &Encoded) -> Result<(Vec<f32>, f32), EngineError> {
    let size = engine.plan().config.batch.max(1);
    let mut batch = Batch::default();
    let mut all = Vec::with_capacity(data.rows * engine.plan().model.head.outputs());
    let mut loss = 0.0f64;
    for start in (0..data.rows).step_by(size) {
        fill_batch(&mut batch, data, start..(start + size).min(data.rows));
        let (out, sum) = engine.evaluate(&batch)?;
        all.extend(out);
        loss += f64::from(sum);
    }
    let known = !matches!(data.target, TargetData::None);
    Ok((all, if known { (loss / data.rows.max(1) as f64) as f32 } else { 0.0 }))
}

/// Runs the network on all rows and scores the outputs. Call [`Engine::prepare_eval`] first.
pub fn evaluate(
    engine: &mut dyn Engine,
    data: &Encoded,
    meaning: Meaning,
) -> Result<(Vec<f32>, Scores), EngineError> {
    let (out, loss) = outputs(engine, data)?;
    let scores = score(&out, loss, data, meaning);
    Ok((out, scores))
}

/// Scores outputs against the targets of `data`: accuracy, balanced accuracy and, for two classes,
/// ROC AUC; or R², RMSE and MAE in the target's unit. No metrics for no rows.
pub fn score(outputs: &[f32], loss: f32, data: &Encoded, meaning: Meaning) -> Scores {
    let mut metrics = Vec::new();
    if data.rows > 0 {
        match (&data.target, meaning) {
            (TargetData::Classes(truth), Meaning::Classes(count)) => {
                let predicted = predicted_classes(outputs, count);
                let balanced = definitions::balanced_accuracy(truth, &predicted, count);
                metrics.push((MetricKind::Accuracy, definitions::accuracy(truth, &predicted)));
                metrics.push((MetricKind::BalancedAccuracy, balanced));
                if count == 2 {
                    let positive: Vec<bool> = truth.iter().map(|&t| t == 1).collect();
                    let margin: Vec<f32> =
                        outputs.chunks_exact(2).map(|row| row[1] - row[0]).collect();
                    metrics.push((MetricKind::Auc, definitions::roc_auc(&positive, &margin)));
                }
            }
            (TargetData::Values(truth), Meaning::Value { mean, scale }) => {
                let unit = |v: &f32| f64::from(*v) * scale + mean;
                let truth: Vec<f64> = truth.iter().map(unit).collect();
                let predicted: Vec<f64> = outputs.iter().map(unit).collect();
                metrics.push((MetricKind::R2, definitions::r2(&truth, &predicted)));
                metrics.push((MetricKind::Rmse, definitions::rmse(&truth, &predicted)));
                metrics.push((MetricKind::Mae, definitions::mae(&truth, &predicted)));
            }
            _ => {}
        }
    }
    Scores { loss, metrics, rows: data.rows }
}

/// What the main metric would be on `data` for a model that always answers the commonest class of
/// `train`, or its mean.
pub fn baseline(train: &TargetData, data: &TargetData, meaning: Meaning) -> f64 {
    match (train, data, meaning) {
        (TargetData::Classes(train), TargetData::Classes(truth), Meaning::Classes(count)) => {
            let mut counts = vec![0usize; count];
            for &class in train {
                if let Some(n) = counts.get_mut(class as usize) {
                    *n += 1;
                }
            }
            // The first of equals, so that the answer does not hang on iteration order.
            let most = counts.iter().max().copied().unwrap_or(0);
            let commonest = counts.iter().position(|&n| n == most).unwrap_or(0) as u32;
            definitions::accuracy(truth, &vec![commonest; truth.len()])
        }
        (TargetData::Values(train), TargetData::Values(truth), Meaning::Value { .. }) => {
            let mean = train.iter().map(|&v| f64::from(v)).sum::<f64>() / train.len().max(1) as f64;
            let truth: Vec<f64> = truth.iter().map(|&v| f64::from(v)).collect();
            definitions::r2(&truth, &vec![mean; truth.len()])
        }
        _ => 0.0,
    }
}

/// Softmax of every row of `[rows, classes]`, the row maximum subtracted first.
pub fn softmax(logits: &[f32], classes: usize) -> Vec<f32> {
    let mut out = logits.to_vec();
    for row in out.chunks_mut(classes.max(1)) {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for v in row.iter_mut() {
            *v = (*v - max).exp();
            sum += *v;
        }
        for v in row.iter_mut() {
            *v /= sum;
        }
    }
    out
}

/// Class with the largest output of every row; the first of equals.
pub fn predicted_classes(outputs: &[f32], classes: usize) -> Vec<u32> {
    outputs
        .chunks(classes.max(1))
        .map(|row| {
            let mut best = (0, f32::NEG_INFINITY);
            for (i, &v) in row.iter().enumerate() {
                if v > best.1 {
                    best = (i, v);
                }
            }
            best.0 as u32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(target: TargetData, rows: usize) -> Encoded {
        Encoded {
            rows,
            dense: (0..rows * 2).map(|v| v as f32).collect(),
            dense_width: 2,
            categories: (0..rows as u32).collect(),
            category_width: 1,
            target,
            unknown: vec![],
        }
    }

    #[test]
    fn classes_are_scored() {
        let data = encoded(TargetData::Classes(vec![0, 1, 1, 0]), 4);
        let out = [2.0, 1.0, 0.0, 1.0, 3.0, 1.0, 1.0, 0.0];
        let scores = score(&out, 0.5, &data, Meaning::Classes(2));
        assert_eq!(scores.main(), Some((MetricKind::Accuracy, 0.75)));
        assert_eq!(scores.get(MetricKind::BalancedAccuracy), Some(0.75));
        // Margins: negatives -1, -1; positives 1, -2. One positive above both, one below both.
        assert_eq!(scores.get(MetricKind::Auc), Some(0.5));
        assert_eq!((scores.rows, scores.loss), (4, 0.5));
    }

    #[test]
    fn values_are_scored_in_the_target_unit() {
        let data = encoded(TargetData::Values(vec![-1.0, 0.0, 1.0]), 3);
        let meaning = Meaning::Value { mean: 100.0, scale: 10.0 };
        let scores = score(&[-0.9, 0.0, 1.1], 0.0, &data, meaning);
        let near = |kind, want: f64| {
            let got = scores.get(kind).unwrap();
            assert!((got - want).abs() < 1e-5, "{kind:?}: {got}");
        };
        near(MetricKind::R2, 0.99);
        near(MetricKind::Mae, 2.0 / 3.0);
        near(MetricKind::Rmse, (2.0f64 / 3.0).sqrt());
    }

    #[test]
    fn baselines() {
        let train = TargetData::Classes(vec![1, 1, 0]);
        let test = TargetData::Classes(vec![0, 1, 1, 1]);
        assert_eq!(baseline(&train, &test, Meaning::Classes(2)), 0.75);
        let train = TargetData::Values(vec![1.0, 3.0]);
        let test = TargetData::Values(vec![1.0, 3.0]);
        let meaning = Meaning::Value { mean: 5.0, scale: 2.0 };
        assert_eq!(baseline(&train, &test, meaning), 0.0);
        let far = TargetData::Values(vec![10.0]);
        assert!(baseline(&far, &test, meaning) < -10.0);
    }

    #[test]
    fn no_rows_no_metrics() {
        let data = encoded(TargetData::Classes(vec![]), 0);
        assert!(score(&[], 0.0, &data, Meaning::Classes(3)).metrics.is_empty());
    }

    #[test]
    fn softmax_is_stable_and_sums_to_one() {
        let p = softmax(&[1000.0, 1000.0, -1000.0, 0.0, 1.0, 2.0], 3);
        assert!((p[0] - 0.5).abs() < 1e-6 && p[2] == 0.0);
        assert!((p[3..].iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((p[5] - 0.665_240_94).abs() < 1e-6);
        assert_eq!(predicted_classes(&p, 3), [0, 2]);
    }

    #[test]
    fn batches_hold_the_rows_asked_for() {
        let data = encoded(TargetData::Classes(vec![5, 6, 7]), 3);
        let mut batch = Batch::default();
        fill_batch(&mut batch, &data, [2, 0, 9]);
        assert_eq!(batch.rows, 2);
        assert_eq!(batch.dense, [4.0, 5.0, 0.0, 1.0]);
        assert_eq!(batch.categories, [2, 0]);
        assert_eq!(batch.targets, [7, 5]);
    }
}

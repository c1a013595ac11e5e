//! The proof of an export: the file, read back, predicts what the live model predicts.

use std::path::Path;

use serde::Serialize;

use super::onnx::{Answers, Graph};
use super::{ModelFile, ModelInfo, open, safetensors};
use crate::data::{Dataset, Encoded};
use crate::device::DeviceChoice;
use crate::engine::{self, Batch, Engine};
use crate::error::{EngineError, ExportError};
use crate::eval;
use crate::fp8::{Precision, hash};
use crate::model::init::Param;
use crate::model::{Head, InputSpec, ModelSpec};
use crate::plan::{self, Optimizer, PlanConfig, UpdateOptions};

/// Rows of the batch that is compared: more than one tile of the kernels, and not a multiple.
pub(super) const ROWS: usize = 67;
/// Largest accepted difference relative to the largest output. Both sides multiply the same
/// numbers, so only the order of f32 sums may differ.
const TOLERANCE: f32 = 1e-5;

/// Largest accepted difference of a probability, or of a standardised value, between the studio
/// and a graph: both sides use functions of their own for exp, tanh and sums.
const GRAPH_TOLERANCE: f32 = 1e-4;
/// Rows per call when a form is measured.
const CHUNK: usize = 512;

/// Result of a passed proof.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Proof {
    /// Largest difference of an output between both models.
    pub max_difference: f32,
    /// Rows compared.
    pub rows: usize,
}

fn engine(
    model: &ModelSpec,
    precision: Precision,
    params: &[Param],
    batch: usize,
) -> Result<Box<dyn Engine>, EngineError> {
    // The optimiser is not used; this one needs the least memory.
    let optimizer = Optimizer::Sgd { momentum: 0.0, weight_decay: 0.0 };
    let config = PlanConfig { batch, precision, optimizer, update: UpdateOptions::default() };
    let plan = plan::compile(model, &config)?;
    let (mut engine, _) = engine::open(DeviceChoice::Cpu, plan)?;
    engine.load_params(params)?;
    engine.prepare_eval()?;
    Ok(engine)
}

/// The model as it is evaluated in training: the run's precision, master weights quantised; up to
/// `batch` rows at a time, on the CPU engine.
pub fn live(
    info: &ModelInfo,
    params: &[Param],
    batch: usize,
) -> Result<Box<dyn Engine>, EngineError> {
    engine(&info.model, info.settings.precision, params, batch)
}

/// The model of a file, ready to evaluate up to `batch` rows at a time: FP8 weights are decoded
/// exactly and multiplied in f32, on the CPU engine.
pub fn evaluator(file: &ModelFile, batch: usize) -> Result<Box<dyn Engine>, EngineError> {
    engine(&file.info.model, Precision::F32, &file.params(), batch)
}

/// Reads the file at `written` and compares it with `live`; `path` is where it will be.
pub(super) fn prove(
    live: &mut dyn Engine,
    written: &Path,
    path: &Path,
) -> Result<Proof, ExportError> {
    let failed = |what: String| ExportError::Format { path: path.to_owned(), what };
    let file = safetensors::read(written).map_err(|e| match e {
        ExportError::Format { what, .. } => failed(what),
        e => e,
    })?;
    let batch = golden_batch(&file.info.model.input);
    let (ours, _) = live.evaluate(&batch)?;
    let (theirs, _) = evaluator(&file, ROWS)?.evaluate(&batch)?;
    let max_difference = compare(&ours, &theirs).map_err(failed)?;
    Ok(Proof { max_difference, rows: ROWS })
}

/// What rounding to another form changed, against the trained model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rounding {
    /// Rows compared.
    pub rows: usize,
    /// Rows with the same answer; for a number, those within 1 % of the target's deviation.
    pub same: usize,
    /// Largest difference of a probability, or of a standardised value.
    pub max_difference: f32,
}

/// Made-up rows for a model, and their indices.
pub(super) fn made_up(info: &ModelInfo) -> (Dataset, Vec<u32>) {
    (info.preprocessor.examples(ROWS, 1), (0..ROWS as u32).collect())
}

/// The answers of the studio: softmax and the first of the largest, or numbers in their unit.
pub fn studio_answers(
    engine: &mut dyn Engine,
    info: &ModelInfo,
    rows: &Encoded,
) -> Result<Answers, ExportError> {
    let outputs = eval::outputs(engine, rows)?.0;
    Ok(match info.model.head {
        Head::Classes { count } => {
            let classes = info.preprocessor.task().classes();
            let name = |i: u32| classes.get(i as usize).cloned().unwrap_or_default();
            Answers::Classes {
                labels: eval::predicted_classes(&outputs, count).into_iter().map(name).collect(),
                probabilities: eval::softmax(&outputs, count),
            }
        }
        Head::Regression => {
            Answers::Numbers(outputs.iter().map(|y| info.preprocessor.target_value(*y)).collect())
        }
    })
}

/// The answers of the studio for rows of data with a model file: its graph where that rounds
/// activations, else the engine.
pub(super) fn answers(
    file: &ModelFile,
    graph: Option<&Graph>,
    data: &Dataset,
    rows: &[u32],
) -> Result<Answers, ExportError> {
    let prep = &file.info.preprocessor;
    match graph {
        Some(graph) if graph.variant == super::Variant::Qdq => {
            let raw = prep.raw_inputs(data, rows)?;
            let bad = |what| ExportError::Format { path: data.name.clone().into(), what };
            graph.answers(raw, rows.len()).map_err(bad)
        }
        _ => {
            let mut engine = evaluator(file, CHUNK)?;
            studio_answers(engine.as_mut(), &file.info, &prep.transform(data, rows)?)
        }
    }
}

/// How far two sets of answers are apart.
pub fn difference(info: &ModelInfo, a: &Answers, b: &Answers) -> Result<Rounding, String> {
    let far = |pairs: &mut dyn Iterator<Item = (f64, f64)>| {
        let mut worst = 0.0_f64;
        for (x, y) in pairs {
            if !x.is_finite() || !y.is_finite() {
                return Err("an answer is not a number".to_owned());
            }
            worst = worst.max((x - y).abs());
        }
        Ok(worst as f32)
    };
    match (a, b) {
        (
            Answers::Classes { labels, probabilities: p },
            Answers::Classes { labels: other, probabilities: q },
        ) if labels.len() == other.len() && p.len() == q.len() => Ok(Rounding {
            rows: labels.len(),
            same: labels.iter().zip(other).filter(|(a, b)| a == b).count(),
            max_difference: far(&mut p.iter().zip(q).map(|(x, y)| (f64::from(*x), f64::from(*y))))?,
        }),
        (Answers::Numbers(a), Answers::Numbers(b)) if a.len() == b.len() => {
            let std = info.preprocessor.target_scale().map_or(1.0, |s| s.std);
            let pairs = || a.iter().zip(b).map(|(x, y)| (x / std, y / std));
            Ok(Rounding {
                rows: a.len(),
                same: pairs().filter(|(x, y)| (x - y).abs() <= 0.01).count(),
                max_difference: far(&mut pairs())?,
            })
        }
        _ => Err("it gives answers of another kind".to_owned()),
    }
}

/// Reads the ONNX file at `written` and compares the graph with the studio on made-up rows that go
/// through the preprocessing of each. `path` is where the file will be.
pub(super) fn prove_onnx(
    live: &mut dyn Engine,
    file: &ModelFile,
    written: &Path,
    path: &Path,
) -> Result<Proof, ExportError> {
    let failed = |what: String| ExportError::Format { path: path.to_owned(), what };
    let opened = open(written).map_err(|e| match e {
        ExportError::Format { what, .. } => failed(what),
        e => e,
    })?;
    let graph = opened.graph.ok_or_else(|| failed("it holds no graph".to_owned()))?;
    let info = &file.info;
    let (data, rows) = made_up(info);
    let encoded = info.preprocessor.transform(&data, &rows)?;
    let raw = info.preprocessor.raw_inputs(&data, &rows)?;
    let theirs = graph.answers(raw, rows.len()).map_err(failed)?;
    let ours = match graph.variant {
        super::Variant::Portable | super::Variant::F32 => studio_answers(live, info, &encoded)?,
        // The studio's own engine with the rounded weights.
        super::Variant::Int8 => {
            studio_answers(evaluator(&opened.file, ROWS)?.as_mut(), info, &encoded)?
        }
        // Rounded activations are beyond the engine: what is proven is that nothing was lost in
        // the file; what rounding does is measured apart.
        super::Variant::Qdq => theirs.clone(),
    };
    let found = difference(info, &ours, &theirs).map_err(failed)?;
    // A row on the edge between two answers may fall to either side.
    if found.max_difference > GRAPH_TOLERANCE {
        return Err(failed(format!(
            "on {} rows of the proof it differs by {} from the trained model",
            found.rows, found.max_difference
        )));
    }
    Ok(Proof { max_difference: found.max_difference, rows: found.rows })
}

/// Measures what a form that rounds changes against the trained model, on rows of the data.
pub(super) fn rounding(
    file: &ModelFile,
    written: &Path,
    data: &Dataset,
    rows: &[u32],
) -> Result<Rounding, ExportError> {
    let failed = |what: String| ExportError::Format { path: written.to_owned(), what };
    let graph: Graph =
        open(written)?.graph.ok_or_else(|| failed("it holds no graph".to_owned()))?;
    let mut engine = evaluator(file, CHUNK)?;
    let prep = &file.info.preprocessor;
    let mut total = Rounding { rows: 0, same: 0, max_difference: 0.0 };
    for rows in rows.chunks(CHUNK) {
        let ours = studio_answers(engine.as_mut(), &file.info, &prep.transform(data, rows)?)?;
        let theirs = graph.answers(prep.raw_inputs(data, rows)?, rows.len()).map_err(failed)?;
        let found = difference(&file.info, &ours, &theirs).map_err(failed)?;
        total.rows += found.rows;
        total.same += found.same;
        total.max_difference = total.max_difference.max(found.max_difference);
    }
    Ok(total)
}

/// Fixed rows: dense values roughly normal within ±3, every category index possible.
fn golden_batch(input: &InputSpec) -> Batch {
    let key = hash::key(0, 0, 0);
    let unit = |i: u32| f64::from(hash::bits(key, i)) / f64::from(u32::MAX) - 0.5;
    let dense = (0..(ROWS * input.dense) as u32)
        .map(|i| (0..4).map(|j| unit(4 * i + j)).sum::<f64>() as f32 * 1.7)
        .collect();
    let key = hash::key(0, 0, 1);
    let categories = (0..ROWS as u32)
        .flat_map(|r| {
            input.embeddings.iter().zip(0..).map(move |(e, c)| {
                let n = u32::try_from(e.cardinality).unwrap_or(u32::MAX).max(1);
                hash::bits(key, (r << 12).wrapping_add(c)) % n
            })
        })
        .collect();
    Batch { rows: ROWS, dense, categories, targets: vec![0; ROWS], weights: Vec::new() }
}

/// Largest |a − b|, or why it is too large.
fn compare(live: &[f32], file: &[f32]) -> Result<f32, String> {
    if live.len() != file.len() || live.is_empty() {
        return Err(format!("it gives {} outputs, the live model {}", file.len(), live.len()));
    }
    let largest = live.iter().fold(1.0_f32, |m, v| m.max(v.abs()));
    let mut worst = 0.0_f32;
    for (i, (a, b)) in live.iter().zip(file).enumerate() {
        let difference = (a - b).abs();
        if !a.is_finite() || !b.is_finite() || difference > TOLERANCE * largest {
            return Err(format!("output {i} of the proof is {b}, but the live model gives {a}"));
        }
        worst = worst.max(difference);
    }
    Ok(worst)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EmbeddingSpec;

    #[test]
    fn comparison_fails_on_wrong_outputs() {
        assert_eq!(compare(&[1.0, -8.0], &[1.0, -8.0]), Ok(0.0));
        assert!(compare(&[1.0, -8.0], &[1.0, -8.00002]).unwrap() > 0.0);
        assert!(compare(&[1.0, -8.0], &[1.0, -8.001]).unwrap_err().contains("output 1"));
        assert!(compare(&[1.0], &[f32::NAN]).is_err());
        assert!(compare(&[f32::NAN], &[f32::NAN]).is_err());
        assert!(compare(&[f32::INFINITY], &[1.0]).is_err());
        assert!(compare(&[1.0], &[1.0, 2.0]).is_err());
        assert!(compare(&[], &[]).is_err());
    }

    #[test]
    fn golden_batch_covers_the_inputs() {
        let table = |cardinality| EmbeddingSpec { name: String::new(), cardinality, dim: 2 };
        let input = InputSpec { dense: 5, embeddings: vec![table(3), table(1)], image: None };
        let batch = golden_batch(&input);
        assert_eq!(batch.dense.len(), ROWS * 5);
        let mean = batch.dense.iter().sum::<f32>() / batch.dense.len() as f32;
        let spread = batch.dense.iter().map(|v| v * v).sum::<f32>() / batch.dense.len() as f32;
        assert!(mean.abs() < 0.2 && (0.7..1.3).contains(&spread), "{mean} {spread}");
        let of = |c: usize| batch.categories.iter().skip(c).step_by(2).collect::<Vec<_>>();
        assert!((0..3).all(|v| of(0).contains(&&v)) && of(0).iter().all(|v| **v < 3));
        assert!(of(1).iter().all(|v| **v == 0));
    }
}

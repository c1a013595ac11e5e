//! The proof of an export: the file, read back, predicts what the live model predicts.

use std::path::Path;

use super::{ModelFile, ModelInfo, safetensors};
use crate::device::DeviceChoice;
use crate::engine::{self, Batch, Engine};
use crate::error::{EngineError, ExportError};
use crate::fp8::{Precision, hash};
use crate::model::init::Param;
use crate::model::{InputSpec, ModelSpec};
use crate::plan::{self, Optimizer, PlanConfig, UpdateOptions};

/// Rows of the batch that is compared: more than one tile of the kernels, and not a multiple.
pub(super) const ROWS: usize = 67;
/// Largest accepted difference relative to the largest output. Both sides multiply the same
/// numbers, so only the order of f32 sums may differ.
const TOLERANCE: f32 = 1e-5;

/// Result of a passed proof.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Proof {
    /// Largest difference of an output between both models.
    pub max_difference: f32,
    /// Rows compared.
    pub rows: usize,
}

fn open(
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
    open(&info.model, info.settings.precision, params, batch)
}

/// The model of a file, ready to evaluate up to `batch` rows at a time: FP8 weights are decoded
/// exactly and multiplied in f32, on the CPU engine.
pub fn evaluator(file: &ModelFile, batch: usize) -> Result<Box<dyn Engine>, EngineError> {
    open(&file.info.model, Precision::F32, &file.params(), batch)
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

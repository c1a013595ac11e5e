//! Checkpoints: everything that the next step depends on, in a safetensors file with one JSON
//! entry of metadata. A run that is saved, ended and loaded goes on bit for bit as if it had never
//! stopped (on the CPU engine).
//!
//! Tensors: in the last checkpoint every buffer of [`Plan::state`] by its name, as 32-bit words
//! whatever they hold; in the best one the parameters by their own names, f32.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::files::{bits, failed, write_atomic};
use super::insight::Known;
use crate::engine::Engine;
use crate::error::{EngineError, TrainError};
use crate::metrics::Scores;
use crate::model::init::Param;
use crate::plan::BufferId;
#[cfg(doc)]
use crate::plan::Plan;

/// File of the state that a run resumes from.
pub const LAST: &str = "checkpoint-last.safetensors";
/// File of the best parameters so far.
pub const BEST: &str = "checkpoint-best.safetensors";
const META_KEY: &str = "fp8_studio";

/// The best epoch so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Epoch from 1.
    pub epoch: usize,
    /// Step at its end.
    pub step: u64,
    /// What was compared: validation loss, or training loss without validation rows.
    #[serde(with = "bits")]
    pub loss: f64,
    /// Validation scores.
    pub validation: Scores,
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// File version, 1.
    pub version: u32,
    /// Hash of all settings and data that the numbers depend on.
    pub recipe: String,
    /// Steps done; the schedule and the optimiser's step counter follow from it.
    pub step: u64,
    /// Epoch under way, from 0; the row order follows from it and the seed.
    pub epoch: usize,
    /// Batches of it that are done.
    pub batch: usize,
    /// Sum of the losses of its rows so far.
    #[serde(with = "bits")]
    pub loss_sum: f64,
    /// Rows of it so far.
    pub loss_rows: u64,
    /// The best epoch so far.
    pub best: Option<Best>,
    /// Epochs since then.
    pub epochs_without_better: usize,
    /// Seconds trained, pauses not counted.
    #[serde(with = "bits")]
    pub seconds: f64,
    /// Seconds spent in training steps.
    #[serde(with = "bits")]
    pub step_seconds: f64,
    /// Rows trained on.
    pub rows_trained: u64,
    /// What the run knows about itself, the guard rails among it.
    #[serde(default)]
    pub known: Known,
    /// Multipliers of a fairness penalty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub multipliers: Vec<f64>,
}

impl Position {
    /// The very beginning of a run.
    pub fn start(recipe: String) -> Self {
        Self {
            version: 1,
            recipe,
            step: 0,
            epoch: 0,
            batch: 0,
            loss_sum: 0.0,
            loss_rows: 0,
            best: None,
            epochs_without_better: 0,
            seconds: 0.0,
            step_seconds: 0.0,
            rows_trained: 0,
            known: Known::default(),
            multipliers: Vec::new(),
        }
    }
}

/// A named tensor as 32-bit words.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Name in the file.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Content.
    pub words: Vec<u32>,
}

/// Reads everything from the engine that the next step depends on.
pub fn capture(engine: &mut dyn Engine) -> Result<Vec<Tensor>, EngineError> {
    slots(engine)
        .into_iter()
        .map(|(name, shape, id)| Ok(Tensor { name, shape, words: engine.read(id)? }))
        .collect()
}

/// What the names of the f32 run's tensors begin with.
const SHADOW: &str = "shadow/";

/// As [`capture`], of the f32 run beside.
pub fn capture_shadow(engine: &mut dyn Engine) -> Result<Vec<Tensor>, EngineError> {
    let mut tensors = capture(engine)?;
    tensors.iter_mut().for_each(|t| t.name.insert_str(0, SHADOW));
    Ok(tensors)
}

/// As [`restore`], of the f32 run beside.
pub fn restore_shadow(
    engine: &mut dyn Engine,
    tensors: &[Tensor],
    path: &Path,
) -> Result<(), TrainError> {
    let of_shadow = |t: &Tensor| {
        let name = t.name.strip_prefix(SHADOW)?.to_owned();
        Some(Tensor { name, shape: t.shape.clone(), words: t.words.clone() })
    };
    restore(engine, &tensors.iter().filter_map(of_shadow).collect::<Vec<_>>(), path)
}

/// Writes a captured state into an engine that runs the same plan.
pub fn restore(engine: &mut dyn Engine, tensors: &[Tensor], path: &Path) -> Result<(), TrainError> {
    let by_name: HashMap<&str, &Tensor> = tensors.iter().map(|t| (t.name.as_str(), t)).collect();
    for (name, shape, id) in slots(engine) {
        let tensor = by_name
            .get(name.as_str())
            .filter(|t| t.shape == shape)
            .ok_or_else(|| damaged(path, &format!("it has no fitting tensor {name}")))?;
        engine.write(id, &tensor.words)?;
    }
    Ok(())
}

/// Name, shape and buffer of every tensor of the training state.
fn slots(engine: &dyn Engine) -> Vec<(String, Vec<usize>, BufferId)> {
    let plan = engine.plan();
    let words = |id: BufferId| plan.buffers.get(id.index()).map_or(0, |b| b.words);
    plan.state().into_iter().map(|(name, id)| (name.to_owned(), vec![words(id)], id)).collect()
}

/// Writes the state that a run resumes from.
pub fn save_last(path: &Path, tensors: &[Tensor], at: &Position) -> Result<(), TrainError> {
    let tensors: Vec<_> =
        tensors.iter().map(|t| (t.name.as_str(), t.shape.as_slice(), &t.words[..])).collect();
    save(path, &tensors, at)
}

/// Reads the state that a run resumes from.
pub fn load_last(path: &Path) -> Result<(Vec<Tensor>, Position), TrainError> {
    let (tensors, position): (_, Position) = load(path)?;
    if position.version != 1 {
        return Err(damaged(path, "it was written by a newer version of this program"));
    }
    Ok((tensors, position))
}

/// Writes the best parameters.
pub fn save_best(path: &Path, params: &[Param], best: &Best) -> Result<(), TrainError> {
    let tensors: Vec<_> = params
        .iter()
        .map(|p| (p.name.as_str(), p.shape.as_slice(), bytemuck::cast_slice(&p.values)))
        .collect();
    save(path, &tensors, best)
}

/// Reads the best parameters, sorted by name, and which epoch they are of.
pub fn load_best(path: &Path) -> Result<(Vec<Param>, Best), TrainError> {
    let (tensors, best) = load(path)?;
    let params = tensors
        .into_iter()
        .map(|t| Param {
            name: t.name,
            shape: t.shape,
            values: t.words.into_iter().map(f32::from_bits).collect(),
        })
        .collect();
    Ok((params, best))
}

fn save<M: Serialize>(
    path: &Path,
    tensors: &[(&str, &[usize], &[u32])],
    meta: &M,
) -> Result<(), TrainError> {
    let fail = |what: String| TrainError::Checkpoint { what, path: path.to_owned() };
    let views = tensors
        .iter()
        .map(|(name, shape, words)| {
            // The file format is little-endian.
            let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
            (*name, shape.to_vec(), bytes)
        })
        .collect::<Vec<_>>();
    let views = views
        .iter()
        .map(|(name, shape, bytes)| {
            TensorView::new(Dtype::F32, shape.clone(), bytes)
                .map(|view| (*name, view))
                .map_err(|e| fail(format!("cannot store tensor {name}: {e}")))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let json = serde_json::to_string(meta).map_err(|e| fail(format!("cannot store: {e}")))?;
    let meta = HashMap::from([(META_KEY.to_owned(), json)]);
    let bytes = safetensors::serialize(views, Some(meta))
        .map_err(|e| fail(format!("cannot store: {e}")))?;
    write_atomic(path, &bytes)
}

fn load<M: DeserializeOwned>(path: &Path) -> Result<(Vec<Tensor>, M), TrainError> {
    let bytes = std::fs::read(path).map_err(|e| failed("cannot read this checkpoint", path, &e))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| damaged(path, &e.to_string()))?;
    let (_, header) =
        SafeTensors::read_metadata(&bytes).map_err(|e| damaged(path, &e.to_string()))?;
    let json = header.metadata().as_ref().and_then(|m| m.get(META_KEY));
    let json = json.ok_or_else(|| damaged(path, "it was not written by this program"))?;
    let meta = serde_json::from_str(json).map_err(|e| damaged(path, &e.to_string()))?;
    let mut tensors = Vec::with_capacity(file.len());
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(damaged(path, &format!("tensor {name} is not f32")));
        }
        let words = view
            .data()
            .chunks_exact(4)
            .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        tensors.push(Tensor { name: name.to_owned(), shape: view.shape().to_vec(), words });
    }
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((tensors, meta))
}

fn damaged(path: &Path, what: &str) -> TrainError {
    TrainError::Checkpoint {
        what: format!("this checkpoint cannot be used: {what}"),
        path: path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best() -> Best {
        let validation = Scores { loss: 0.3, metrics: vec![], rows: 10 };
        Best { epoch: 2, step: 20, loss: 0.1 + 0.2, validation }
    }

    #[test]
    fn a_checkpoint_comes_back_bit_for_bit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LAST);
        let tensors = vec![
            Tensor { name: "history".into(), shape: vec![1], words: vec![0] },
            Tensor {
                name: "weight/a".into(),
                shape: vec![2, 2],
                words: vec![0, 1, f32::NAN.to_bits(), (-0.0f32).to_bits()],
            },
        ];
        let mut at = Position::start("abc".into());
        at.loss_sum = 1.0 / 3.0;
        at.best = Some(best());
        save_last(&path, &tensors, &at).unwrap();
        assert_eq!(load_last(&path).unwrap(), (tensors, at));
    }

    #[test]
    fn best_parameters_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(BEST);
        let params = vec![Param {
            name: "output.bias".into(),
            shape: vec![3],
            values: vec![0.1, -2.0, 3.5],
        }];
        save_best(&path, &params, &best()).unwrap();
        assert_eq!(load_best(&path).unwrap(), (params, best()));
    }

    #[test]
    fn damage_is_an_error_that_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(BEST);
        let params = vec![Param { name: "w".into(), shape: vec![2], values: vec![1.0, 2.0] }];
        save_best(&path, &params, &best()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in [0, 4, 20, whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let error = load_best(&path).unwrap_err().to_string();
            assert!(error.contains(BEST), "{error}");
        }
        // A last checkpoint is not a best one.
        save_last(&path, &[], &Position::start(String::new())).unwrap();
        assert!(load_best(&path).is_err());
    }
}

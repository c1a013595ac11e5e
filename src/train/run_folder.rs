//! A run's folder: what was trained on what, its checkpoints and its results.
//!
//! `run.json` (this record), `events.jsonl` (metrics), `checkpoint-last.safetensors`,
//! `checkpoint-best.safetensors`. Every file is written to a temporary name and renamed.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{RunState, Summary, TrainConfig};
use crate::data::preprocess::PrepConfig;
use crate::data::{Preprocessor, Schema, SplitConfig};
use crate::error::TrainError;
use crate::model::ModelSpec;
use crate::model::init::Param;

/// Everything needed to resume, export or explain a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// File version, 1.
    pub version: u32,
    /// Project name.
    pub project: String,
    /// Data name.
    pub dataset: String,
    /// Rows in the dataset.
    pub dataset_rows: usize,
    /// When it began, RFC 3339.
    pub started: String,
    /// Where it is; `Running` in a folder whose process is gone means it was interrupted.
    pub state: RunState,
    /// Process that trains it.
    pub process: u32,
    /// Columns, target, task.
    pub schema: Schema,
    /// Preprocessing settings.
    pub prep: PrepConfig,
    /// Fitted preprocessing.
    pub preprocessor: Preprocessor,
    /// Split settings.
    pub split: SplitConfig,
    /// Network.
    pub model: ModelSpec,
    /// Settings.
    pub config: TrainConfig,
    /// Results, once finished.
    pub summary: Option<Summary>,
}

/// An opened run folder.
#[derive(Debug, Clone)]
pub struct RunFolder {
    /// The folder.
    pub path: PathBuf,
    /// Its record.
    pub record: RunRecord,
}

impl RunFolder {
    /// Opens an existing run.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        let _ = path;
        todo!()
    }

    /// Parameters of the best checkpoint.
    pub fn best_params(&self) -> Result<Vec<Param>, TrainError> {
        todo!()
    }

    /// Whether the run was interrupted and has a checkpoint to resume from.
    pub fn interrupted(&self) -> bool {
        todo!()
    }
}

//! The versioned project file, `project.toml` in a project folder, and the list of embedded samples.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::data::preprocess::PrepConfig;
use crate::data::{ColumnType, SplitConfig};
use crate::train::TrainConfig;

/// Version written by this program.
pub const VERSION: u32 = 1;

/// A project: data, how it is read, what is predicted, how it is trained. Runs are kept in the
/// folder `runs/` beside the project file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// File version.
    pub version: u32,
    /// Display name.
    pub name: String,
    /// One or two plain sentences.
    #[serde(default)]
    pub description: String,
    /// Data file or folder, relative to the project folder, or absolute.
    pub data: PathBuf,
    /// Target column; not used for images.
    #[serde(default)]
    pub target: Option<String>,
    /// Types changed by the user, by column name.
    #[serde(default)]
    pub columns: BTreeMap<String, ColumnType>,
    /// Preprocessing.
    #[serde(default)]
    pub prep: PrepConfig,
    /// Split.
    #[serde(default)]
    pub split: SplitConfig,
    /// Training.
    #[serde(default)]
    pub train: TrainConfig,
}

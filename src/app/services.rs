//! What the application needs of the library and of the system. Tests put their own in place.

use std::path::{Path, PathBuf};

use super::{Pick, Wake};
use crate::data::{ColumnType, Dataset, Progress, Task};
use crate::device::AdapterInfo;
use crate::error::UserError;
use crate::project::Project;
use crate::train::RunHandle;
use crate::train::worker::Job;

/// An embedded sample project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Folder name, e.g. `penguins`.
    pub name: String,
    /// Title on its card.
    pub title: String,
    /// One or two plain sentences.
    pub description: String,
}

/// A run that was cut off and can go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interrupted {
    /// Project folder.
    pub project: PathBuf,
    /// Project name.
    pub name: String,
    /// Run folder.
    pub run: PathBuf,
    /// When it began, RFC 3339.
    pub started: String,
}

/// Engines found on this computer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Engines {
    /// Graphics adapters.
    pub adapters: Vec<AdapterInfo>,
    /// Processor threads of the CPU engine.
    pub threads: usize,
}

/// A written model file.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportReport {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Largest difference between the file's predictions and the live model's, when both predict
    /// the same rows.
    pub proof_difference: f64,
    /// Rows of that comparison.
    pub proof_rows: usize,
    /// Tensors stored in 8 bits and in all.
    pub tensors: (usize, usize),
}

/// The library and the system as the application sees them. Every call may block, so all but
/// `samples`, `infer_task` and `start` are made from background tasks.
pub trait Services: Send + Sync {
    /// Embedded samples.
    fn samples(&self) -> Vec<Sample>;
    /// Writes a sample's project folder to `into`, unless it is there already.
    fn unpack_sample(&self, name: &str, into: &Path) -> Result<(), UserError>;
    /// Reads the project of a folder or a project file.
    fn load_project(&self, path: &Path) -> Result<Project, UserError>;
    /// Writes the project file of a folder.
    fn save_project(&self, folder: &Path, project: &Project) -> Result<(), UserError>;
    /// Opens a data file or folder.
    fn open_data(&self, path: &Path, progress: &Progress) -> Result<Dataset, UserError>;
    /// A good first guess at what is predicted.
    fn guess_target(&self, data: &Dataset, columns: &[(String, ColumnType)]) -> Option<String>;
    /// The task that a target makes.
    fn infer_task(
        &self,
        data: &Dataset,
        columns: &[(String, ColumnType)],
        target: &str,
    ) -> Result<Task, UserError>;
    /// Looks for engines.
    fn engines(&self) -> Engines;
    /// Starts a run.
    fn start(&self, job: Job, wake: Wake) -> Result<RunHandle, UserError>;
    /// Looks for runs of a project that were cut off.
    fn interrupted(&self, project: &Path) -> Vec<Interrupted>;
    /// Writes the best model of a run to a file and proves that the file predicts the same.
    fn export(&self, run: &Path, to: &Path) -> Result<ExportReport, UserError>;
    /// Asks for a file or folder; blocks until the dialog is closed.
    fn pick(&self, what: Pick, suggestion: &str) -> Option<PathBuf>;
}

//! What the application needs of the library. Tests put their own in place.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folds::{self, Folds};
use super::history::{self, PastRun, Queued};
use super::monitoring::{self, Monitored};
use super::{Wake, unsealing};
use crate::data::import::{self, Parts};
use crate::data::{ColumnType, Dataset, Progress, Schema};
use crate::deploy::{Answer, Input, Model, explain};
use crate::device::AdapterInfo;
use crate::engine::EngineInfo;
use crate::error::UserError;
use crate::eval::{Evaluation, Verdict};
use crate::export::sealed::Secret;
use crate::export::{ExportFormat, ExportReport};
use crate::monitor::{self, CheckRecord};
use crate::project::Project;
use crate::quality::Report;
use crate::train::estimate::Estimate;
use crate::train::run_folder::RunRecord;
use crate::train::worker::Job;
use crate::train::{Event, RunFolder, RunHandle, RunNotes};

/// An embedded sample project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Folder name, e.g. `penguins`.
    pub id: String,
    /// Title on its card.
    pub name: String,
    /// One or two plain sentences.
    pub description: String,
    /// Rows or images.
    pub rows: usize,
}

/// A run that was cut off and can go on.
#[derive(Debug, Clone, PartialEq)]
pub struct Interrupted {
    /// Project folder.
    pub project: PathBuf,
    /// Run folder.
    pub run: PathBuf,
    /// What is known of the run.
    pub record: Box<RunRecord>,
}

/// What to export, and to where.
#[derive(Debug, Clone)]
pub struct ExportRequest {
    /// Run folder.
    pub run: PathBuf,
    /// File or folder to write.
    pub to: PathBuf,
    /// Format.
    pub format: ExportFormat,
    /// What it was trained on.
    pub data: Arc<Dataset>,
    /// Where the data are.
    pub data_path: PathBuf,
    /// Passphrase to seal it with; empty for none.
    pub passphrase: Secret,
}

/// Engines found on this computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engines {
    /// The processor.
    pub cpu: EngineInfo,
    /// Graphics adapters, best first, each with why it cannot be used, if so.
    pub adapters: Vec<(AdapterInfo, Result<(), String>)>,
}

/// The library as the application sees it. Every call may block, so all but
/// `samples` and `start` are made from background tasks.
pub trait Services: Send + Sync {
    /// Embedded samples.
    fn samples(&self) -> Vec<Sample>;
    /// Opens a sample in the folder of projects, and makes it there if need be.
    fn open_sample(&self, id: &str) -> Result<Project, UserError>;
    /// Opens a project folder or file, or the project of a data file or folder.
    fn open_project(&self, path: &Path) -> Result<Project, UserError>;
    /// Writes the project file.
    fn save_project(&self, project: &Project) -> Result<(), UserError>;
    /// Reads the data of a project, with the column types that the importer infers.
    fn open_data(&self, project: &Project, progress: &Progress) -> Result<Dataset, UserError>;
    /// A good first guess at what is predicted.
    fn suggest_target(&self, data: &Dataset) -> Option<String>;
    /// What a target and edited column types make of the data.
    fn schema(
        &self,
        data: &Dataset,
        target: Option<&str>,
        types: &BTreeMap<String, ColumnType>,
    ) -> Result<Schema, UserError>;
    /// Looks for problems in the data.
    fn check(
        &self,
        data: &Dataset,
        schema: &Schema,
        project: &Project,
        progress: &Progress,
    ) -> Result<Report, UserError>;
    /// Predicts what a run takes in memory and time.
    fn estimate(
        &self,
        data: &Dataset,
        schema: &Schema,
        project: &Project,
        progress: &Progress,
    ) -> Result<Estimate, UserError>;
    /// Looks for engines and tests them.
    fn engines(&self) -> Engines;
    /// Starts a run.
    fn start(&self, job: Job, wake: Wake) -> Result<RunHandle, UserError>;
    /// A folder for a new run of a project.
    fn new_run(&self, project: &Path) -> PathBuf;
    /// Looks for runs of a project that were cut off, newest first.
    fn interrupted(&self, project: &Path) -> Vec<Interrupted>;
    /// All runs of a project, newest first.
    fn history(&self, project: &Path) -> Vec<PastRun> {
        history::read(project)
    }
    /// A run's record and what it told.
    fn open_run(&self, run: &Path) -> Result<(Box<RunRecord>, Vec<Event>), UserError> {
        history::open(run)
    }
    /// Keeps what is written about a run.
    fn note_run(&self, run: &Path, notes: &RunNotes) -> Result<(), UserError> {
        Ok(notes.save(run)?)
    }
    /// Moves a run out of sight.
    fn delete_run(&self, run: &Path) -> Result<(), UserError> {
        history::delete(run)
    }
    /// The folder of feature recipes.
    fn features(&self) -> PathBuf {
        crate::project::features::folder()
    }
    /// The folder of tables that were pasted.
    fn pasted(&self) -> PathBuf {
        crate::project::home().join("pasted")
    }
    /// What of a file could be read instead: sheets or tables.
    fn parts(&self, data: &Path) -> Parts {
        import::parts(data)
    }
    /// Trains several times, each time tested on other rows.
    fn cross_validate(
        &self,
        data: &Dataset,
        schema: &Schema,
        project: &Project,
        k: usize,
        progress: &Progress,
    ) -> Result<Folds, UserError> {
        folds::run(data, schema, project, k, progress)
    }
    /// Writes a sealed copy of a project; gives the path written.
    fn seal_project(
        &self,
        project: &Project,
        secret: &Secret,
        to: &Path,
    ) -> Result<PathBuf, UserError> {
        unsealing::seal_project(project, secret, to)
    }
    /// The runs that waited when the project was saved.
    fn queue(&self, project: &Path) -> VecDeque<Queued> {
        history::read_queue(project)
    }
    /// Keeps the runs that wait.
    fn save_queue(&self, project: &Path, queue: &VecDeque<Queued>) -> Result<(), UserError> {
        history::save_queue(project, queue)
    }
    /// Brings a deleted run back.
    fn restore_run(&self, run: &Path) -> Result<(), UserError> {
        history::restore(run)
    }
    /// What a run told before it was cut off.
    fn past_events(&self, run: &Path) -> Vec<Event>;
    /// Judges the best model of a run on the test rows of its data, and keeps with the run what
    /// corrects its probabilities.
    fn evaluate(
        &self,
        run: &Path,
        data: &Dataset,
        progress: &Progress,
    ) -> Result<Evaluation, UserError>;
    /// Predicts one row or picture with the best model of a run, and finds what the answer hangs on.
    /// `data`: what the run was trained on, as read.
    fn try_model(&self, run: &Path, data: &Dataset, input: &Input) -> Result<Answer, UserError> {
        let model = Model::of_run(&RunFolder::open(run)?)?;
        explain(&mut model.predictor()?, data, input)
    }
    /// Checks new data with the best model of a run, and keeps the check with the project. `data`:
    /// what the run was trained on.
    fn monitor(
        &self,
        run: &Path,
        project: &Project,
        data: &Dataset,
        new: &Path,
        options: &monitor::Options,
        progress: &Progress,
    ) -> Result<Monitored, UserError> {
        monitoring::look(run, project, data, new, options, progress)
    }
    /// Earlier checks of new data, oldest first.
    fn checks(&self, project: &Path) -> Result<Vec<CheckRecord>, UserError> {
        Ok(monitor::history(project)?)
    }
    /// Trains in FP8, bf16 and f32 and compares.
    fn compare(&self, job: &Job, progress: &Progress) -> Result<Verdict, UserError>;
    /// Writes the report of a run.
    fn report(
        &self,
        run: &Path,
        evaluation: &Evaluation,
        verdict: Option<&Verdict>,
        to: &Path,
    ) -> Result<(), UserError>;
    /// Writes the best model of a run to a file and proves that the file predicts the same.
    fn export(&self, request: &ExportRequest) -> Result<ExportReport, UserError>;
}

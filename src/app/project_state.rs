//! An open project: its data, what was decided about it, and its run.

use std::path::PathBuf;
use std::sync::Arc;

use super::columns::ColumnSummary;
use super::undo::Undo;
use super::{ExportReport, Interrupted, LiveRun, Step, StepStatus, settings};
use crate::data::{ColumnType, Dataset, Samples, Schema, Task};
use crate::error::UserError;
use crate::project::Project;
use crate::train::RunState;

/// What opening a project gives.
#[derive(Debug)]
pub struct LoadedProject {
    /// Project folder.
    pub folder: PathBuf,
    /// Project.
    pub project: Project,
    /// Data.
    pub dataset: Arc<Dataset>,
    /// Columns in figures.
    pub summaries: Vec<ColumnSummary>,
    /// What the target makes of it, if there is a target.
    pub task: Option<Result<Task, UserError>>,
    /// Runs that were cut off.
    pub interrupted: Vec<Interrupted>,
}

/// What is predicted, as far as it is known.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskState {
    /// No target chosen.
    NoTarget,
    /// Being worked out; the number tells a late answer from the one waited for.
    Inferring(u64),
    /// Known.
    Known(Task),
    /// The target cannot be used.
    Unusable(UserError),
}

/// The model file.
#[derive(Debug, Clone, PartialEq)]
pub enum ExportState {
    /// Not written.
    None,
    /// Being written.
    Writing(u64),
    /// Written.
    Done(ExportReport),
    /// Failed.
    Failed(UserError),
}

/// An open project.
#[derive(Debug)]
pub struct ProjectState {
    /// Project folder.
    pub folder: PathBuf,
    /// Project as edited.
    pub project: Project,
    /// Data.
    pub dataset: Arc<Dataset>,
    /// Columns in figures.
    pub summaries: Vec<ColumnSummary>,
    /// What is predicted.
    pub task: TaskState,
    /// Edits.
    pub undo: Undo<Project>,
    /// The run started or resumed last.
    pub run: Option<LiveRun>,
    /// The model file.
    pub export: ExportState,
}

impl ProjectState {
    /// Takes over what was loaded.
    pub fn new(loaded: LoadedProject) -> Self {
        let task = match loaded.task {
            None => TaskState::NoTarget,
            Some(Ok(task)) => TaskState::Known(task),
            Some(Err(e)) => TaskState::Unusable(e),
        };
        Self {
            folder: loaded.folder,
            project: loaded.project,
            dataset: loaded.dataset,
            summaries: loaded.summaries,
            task,
            undo: Undo::default(),
            run: None,
            export: ExportState::None,
        }
    }

    /// Name and type in use of every column.
    pub fn columns(&self) -> Vec<(String, ColumnType)> {
        columns_in_use(&self.dataset, &self.project)
    }

    /// Type in use of one column.
    pub fn column_type(&self, name: &str, inferred: ColumnType) -> ColumnType {
        self.project.columns.get(name).copied().unwrap_or(inferred)
    }

    /// Everything needed to train, or why not.
    pub fn schema(&self) -> Result<Schema, &'static str> {
        let task = match &self.task {
            TaskState::Known(task) => task.clone(),
            TaskState::NoTarget => return Err("Choose in Data what to predict."),
            TaskState::Inferring(_) => return Err("The target is being looked at."),
            TaskState::Unusable(_) => return Err("The chosen target cannot be used; see Data."),
        };
        let target = match &self.dataset.samples {
            Samples::Images(_) => "label".to_owned(),
            Samples::Table(_) => self.project.target.clone().unwrap_or_default(),
        };
        Ok(Schema { columns: self.columns(), target, task })
    }

    /// Why training cannot start, if so.
    pub fn train_blocked(&self) -> Option<&'static str> {
        if self.run.as_ref().is_some_and(LiveRun::active) {
            return Some("Training is running.");
        }
        if let Err(why) = self.schema() {
            return Some(why);
        }
        if !settings::problems(&self.project.train).is_empty() {
            return Some("A setting in Configure is out of range.");
        }
        None
    }

    /// Whether the run's result was made with other data or settings than are chosen now.
    pub fn stale(&self) -> bool {
        self.run.as_ref().is_some_and(|run| {
            let (a, b) = (&run.basis, &self.project);
            a.target != b.target
                || a.columns != b.columns
                || a.prep != b.prep
                || a.split != b.split
                || a.train != b.train
        })
    }

    /// Rows used for training, about.
    pub fn train_rows(&self) -> usize {
        let split = self.project.split;
        let share = (1.0 - split.validation - split.test).clamp(0.0, 1.0);
        (self.dataset.len() as f64 * share) as usize
    }

    /// Weights and biases that the settings make, about.
    pub fn parameters(&self) -> Option<usize> {
        let TaskState::Known(task) = &self.task else { return None };
        let inputs = match &self.dataset.samples {
            Samples::Images(i) => i.width * i.height * i.channels,
            Samples::Table(_) => {
                let columns = self
                    .summaries
                    .iter()
                    .map(|s| (s.name.as_str(), self.column_type(&s.name, s.inferred), s.distinct));
                let target = self.project.target.as_deref().unwrap_or_default();
                settings::input_width(columns, target, self.project.prep.one_hot_limit)
            }
        };
        let outputs = task.classes().len().max(1);
        Some(settings::parameter_count(inputs, &self.project.train, outputs))
    }

    /// How a step stands.
    pub fn status(&self, step: Step) -> StepStatus {
        let run = self.run.as_ref();
        let state = run.map(|r| r.state);
        match step {
            Step::Home => StepStatus::Open,
            Step::Data => match &self.task {
                TaskState::Known(_) => StepStatus::Done,
                TaskState::Unusable(_) => StepStatus::Attention,
                TaskState::Inferring(_) => StepStatus::Busy,
                TaskState::NoTarget => StepStatus::Open,
            },
            Step::Configure => match (&self.task, state) {
                (TaskState::NoTarget, _) => StepStatus::Locked("Choose in Data what to predict."),
                _ if !settings::problems(&self.project.train).is_empty() => StepStatus::Attention,
                (_, Some(_)) => StepStatus::Done,
                _ => StepStatus::Open,
            },
            Step::Train => match state {
                None => match self.train_blocked() {
                    Some(why) => StepStatus::Locked(why),
                    None => StepStatus::Open,
                },
                Some(RunState::Failed) => StepStatus::Attention,
                Some(RunState::Cancelled) => StepStatus::Open,
                Some(RunState::Done) if self.stale() => StepStatus::Stale,
                Some(RunState::Done) => StepStatus::Done,
                Some(_) => StepStatus::Busy,
            },
            Step::Export => match (&self.export, state) {
                (_, state) if state != Some(RunState::Done) => {
                    StepStatus::Locked("Train a model first.")
                }
                (ExportState::Writing(_), _) => StepStatus::Busy,
                (ExportState::Failed(_), _) => StepStatus::Attention,
                _ if self.stale() => StepStatus::Stale,
                (ExportState::Done(_), _) => StepStatus::Done,
                (ExportState::None, _) => StepStatus::Open,
            },
        }
    }
}

/// Name and type in use of every column of a dataset: as edited in the project, else as inferred.
pub fn columns_in_use(dataset: &Dataset, project: &Project) -> Vec<(String, ColumnType)> {
    match &dataset.samples {
        Samples::Images(_) => Vec::new(),
        Samples::Table(table) => table
            .columns()
            .iter()
            .map(|c| {
                let kind = project.columns.get(c.name()).copied().unwrap_or(c.inferred);
                (c.name().to_owned(), kind)
            })
            .collect(),
    }
}

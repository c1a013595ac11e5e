//! An open project: its data, what was decided about it, and its run.

use std::collections::VecDeque;
use std::sync::Arc;

use super::columns::ColumnSummary;
use super::estimating::EstimateState;
use super::folds::FoldsState;
use super::history::{History, Queued};
use super::importing::Rereading;
use super::monitoring::{MonitorState, Monitoring};
use super::preparing::Preparing;
use super::trying::Trial;
use super::undo::Undo;
use super::{Interrupted, LiveRun, Preset, Step, StepStatus, settings};
use crate::data::import::Parts;
use crate::data::steps::Effect;
use crate::data::{ColumnType, Dataset, Samples, Schema, SplitConfig};
use crate::error::UserError;
use crate::eval::{Evaluation, Verdict};
use crate::export::sealed::Secret;
use crate::export::{ExportFormat, ExportReport};
use crate::model::{Head, InputSpec};
use crate::project::{Gate, Project};
use crate::quality::fixes::Fix;
use crate::quality::profile::Profile;
use crate::quality::{Report, Severity};
use crate::train::{DataSize, RunState};

/// What opening a project gives.
#[derive(Debug)]
pub struct LoadedProject {
    /// Project.
    pub project: Project,
    /// Data, with recorded steps done.
    pub dataset: Arc<Dataset>,
    /// Data as read.
    pub original: Arc<Dataset>,
    /// Columns in figures.
    pub summaries: Vec<ColumnSummary>,
    /// What the target makes of it, if there is a target.
    pub schema: Option<Result<Schema, UserError>>,
    /// Runs that were cut off.
    pub interrupted: Vec<Interrupted>,
    /// Runs to come.
    pub queue: VecDeque<Queued>,
    /// What of the file could be read instead.
    pub parts: Parts,
}

/// What is predicted, as far as it is known.
#[derive(Debug, Clone, PartialEq)]
pub enum SchemaState {
    /// No target chosen.
    NoTarget,
    /// Being worked out; the number tells a late answer from the one waited for.
    Inferring(u64),
    /// Known.
    Known(Schema),
    /// The target cannot be used.
    Unusable(UserError),
}

/// A fix and what it would change.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// Finding of the report.
    pub finding: usize,
    /// The fix.
    pub fix: Fix,
    /// What each step would do; `None` while that is worked out.
    pub effects: Option<Result<Vec<Effect>, UserError>>,
    /// Tells a late answer from the one waited for.
    pub attempt: u64,
}

/// What may be wrong with the data, as far as it is known.
#[derive(Debug, Clone, PartialEq)]
pub enum CheckState {
    /// Not looked for.
    None,
    /// Being looked for.
    Running {
        /// Tells a late answer from the one waited for.
        attempt: u64,
        /// The background task.
        task: u64,
    },
    /// Found.
    Done(Box<Report>),
    /// Could not be looked for.
    Failed(UserError),
}

/// How good the model is, as far as it is known.
#[derive(Debug)]
pub enum EvaluationState {
    /// Not looked at.
    None,
    /// Being looked at.
    Running {
        /// Tells a late answer from the one waited for.
        attempt: u64,
        /// The background task.
        task: u64,
    },
    /// Known.
    Done(Arc<Evaluation>),
    /// Could not be looked at.
    Failed(UserError),
}

/// What FP8 cost or saved, as far as it is known.
#[derive(Debug)]
pub enum VerdictState {
    /// Not compared.
    None,
    /// Being compared.
    Running {
        /// Tells a late answer from the one waited for.
        attempt: u64,
        /// The background task.
        task: u64,
    },
    /// Known.
    Done(Arc<Verdict>),
    /// Could not be compared.
    Failed(UserError),
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
    /// Project as edited.
    pub project: Project,
    /// Data.
    pub dataset: Arc<Dataset>,
    /// Columns in figures.
    pub summaries: Vec<ColumnSummary>,
    /// What of the file could be read instead.
    pub parts: Parts,
    /// Data being read anew.
    pub rereading: Rereading,
    /// Cross-validation.
    pub folds: FoldsState,
    /// Passphrase or public key to seal the project with. Kept in memory only.
    pub seal_secret: Secret,
    /// What is predicted.
    pub schema: SchemaState,
    /// What may be wrong with the data.
    pub check: CheckState,
    /// A column looked at up close; without figures while they are worked out.
    pub profile: Option<(String, Option<Box<Profile>>)>,
    /// A fix that is looked at before it is done.
    pub preview: Option<Preview>,
    /// Feature recipes.
    pub preparing: Preparing,
    /// The data as read, before recorded steps.
    pub original: Arc<Dataset>,
    /// Edits.
    pub undo: Undo<Project>,
    /// What a run would take.
    pub estimate: EstimateState,
    /// The run started or resumed last.
    pub run: Option<LiveRun>,
    /// All runs, and those to come.
    pub history: History,
    /// How good its model is.
    pub evaluation: EvaluationState,
    /// What FP8 cost or saved.
    pub verdict: VerdictState,
    /// The model tried on one row or picture.
    pub trial: Trial,
    /// How the model does on new data.
    pub monitoring: Monitoring,
    /// The model file.
    pub export: ExportState,
    /// Format of the next model file.
    pub export_format: ExportFormat,
    /// Passphrase to seal it with; empty for none. Kept in memory only.
    pub export_passphrase: Secret,
}

impl ProjectState {
    /// Takes over what was loaded.
    pub fn new(loaded: LoadedProject) -> Self {
        let schema = match loaded.schema {
            None => SchemaState::NoTarget,
            Some(Ok(schema)) => SchemaState::Known(schema),
            Some(Err(e)) => SchemaState::Unusable(e),
        };
        Self {
            project: loaded.project,
            dataset: loaded.dataset,
            summaries: loaded.summaries,
            parts: loaded.parts,
            rereading: Rereading::None,
            folds: FoldsState::None,
            seal_secret: Secret::default(),
            schema,
            check: CheckState::None,
            profile: None,
            preview: None,
            preparing: Preparing::default(),
            original: loaded.original,
            undo: Undo::default(),
            estimate: EstimateState::None,
            run: None,
            history: History { queue: loaded.queue, ..History::default() },
            evaluation: EvaluationState::None,
            verdict: VerdictState::None,
            trial: Trial::default(),
            monitoring: Monitoring::default(),
            export: ExportState::None,
            export_format: ExportFormat::default(),
            export_passphrase: Secret::default(),
        }
    }

    /// Name and type in use of every column.
    pub fn columns(&self) -> Vec<(String, ColumnType)> {
        columns_in_use(&self.dataset, &self.project)
    }

    /// Type in use of one column.
    pub fn column_type(&self, name: &str, inferred: ColumnType) -> ColumnType {
        if let SchemaState::Known(schema) = &self.schema
            && let Some((_, kind)) = schema.columns.iter().find(|(n, _)| n == name)
        {
            return *kind;
        }
        self.project.columns.get(name).copied().unwrap_or(inferred)
    }

    /// Everything needed to train, or why not.
    pub fn schema(&self) -> Result<&Schema, &'static str> {
        match &self.schema {
            SchemaState::Known(schema) => Ok(schema),
            SchemaState::NoTarget => Err("Choose in Data what to predict."),
            SchemaState::Inferring(_) => Err("The target is being looked at."),
            SchemaState::Unusable(_) => Err("The chosen target cannot be used; see Data."),
        }
    }

    /// Why training cannot start, if so.
    pub fn train_blocked(&self) -> Option<&'static str> {
        if self.run.as_ref().is_some_and(LiveRun::active) {
            return Some("Training is running.");
        }
        if let Err(why) = self.schema() {
            return Some(why);
        }
        if self.gate_blocks() {
            return Some("Check found serious problems. Fix or accept them.");
        }
        if !settings::problems(&self.project.train).is_empty() {
            return Some("A setting in Configure is out of range.");
        }
        None
    }

    /// Whether serious findings are neither fixed nor accepted.
    pub fn gate_blocks(&self) -> bool {
        match &self.check {
            CheckState::Done(report) => Gate::of(report, &self.project.accepted).blocks(),
            _ => false,
        }
    }

    /// Whether the run's result was made with other data or settings than are chosen now.
    pub fn stale(&self) -> bool {
        self.run.as_ref().is_some_and(|run| {
            let (a, b) = (&run.basis, &self.project);
            a.target != b.target
                || a.import != b.import
                || a.columns != b.columns
                || a.prep != b.prep
                || a.split != b.split
                || a.steps != b.steps
                || a.train != b.train
        })
    }

    /// Rows used for training, about.
    pub fn train_rows(&self) -> usize {
        train_rows(self.dataset.len(), &self.project.split)
    }

    /// What of the data the training settings depend on.
    pub fn data_size(&self) -> DataSize {
        DataSize::of(&self.dataset, self.schema().ok(), &self.project.split)
    }

    /// Takes over what is predicted. Settings that are a preset for what was predicted before
    /// become that preset for the new task.
    pub fn set_schema(&mut self, schema: SchemaState) {
        let before = self.data_size();
        let preset = [false, true].into_iter().find_map(|regression| {
            Preset::of(&self.project.train, DataSize { regression, ..before })
        });
        self.schema = schema;
        if let (Some(preset), Ok(_)) = (preset, self.schema()) {
            self.project.train = preset.apply(&self.project.train, self.data_size());
        }
    }

    /// Weights and biases that the settings make, about.
    pub fn parameters(&self) -> Option<usize> {
        let SchemaState::Known(schema) = &self.schema else { return None };
        let outputs = schema.task.classes().len().max(1);
        let inputs = match &self.dataset.samples {
            Samples::Images(_) => {
                let input = InputSpec::image(self.data_size().image?);
                // Scores of so many classes, or one number, weigh the same.
                let head = match outputs {
                    1 => Head::Regression,
                    count => Head::Classes { count },
                };
                let model = self.project.train.model(input, head).ok()?;
                return model.validate().is_ok().then(|| model.parameter_count());
            }
            Samples::Table(_) => {
                let columns = self
                    .summaries
                    .iter()
                    .map(|s| (s.name.as_str(), self.column_type(&s.name, s.inferred), s.distinct));
                let target = self.project.target.as_deref().unwrap_or_default();
                settings::input_width(columns, target, self.project.prep.one_hot_limit)
            }
        };
        Some(settings::parameter_count(inputs, &self.project.train, outputs))
    }

    /// How a step stands.
    pub fn status(&self, step: Step) -> StepStatus {
        let run = self.run.as_ref();
        let state = run.map(|r| r.state);
        match step {
            Step::Home => StepStatus::Open,
            Step::Data => match &self.schema {
                SchemaState::Known(_) => StepStatus::Done,
                SchemaState::Unusable(_) => StepStatus::Attention,
                SchemaState::Inferring(_) => StepStatus::Busy,
                SchemaState::NoTarget => StepStatus::Open,
            },
            Step::Check => match &self.check {
                CheckState::None => match self.schema() {
                    Ok(_) => StepStatus::Open,
                    Err(why) => StepStatus::Locked(why),
                },
                CheckState::Running { .. } => StepStatus::Busy,
                CheckState::Failed(_) => StepStatus::Attention,
                CheckState::Done(_) if self.gate_blocks() => StepStatus::Attention,
                CheckState::Done(_) => StepStatus::Done,
            },
            Step::Configure => match (&self.schema, state) {
                (SchemaState::NoTarget, _) => StepStatus::Locked("Choose in Data what to predict."),
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
            Step::Evaluate => match (&self.evaluation, state) {
                (_, state) if state != Some(RunState::Done) => {
                    StepStatus::Locked("Train a model first.")
                }
                (EvaluationState::Running { .. }, _) => StepStatus::Busy,
                (EvaluationState::Failed(_), _) => StepStatus::Attention,
                _ if self.stale() => StepStatus::Stale,
                (EvaluationState::Done(_), _) => StepStatus::Done,
                (EvaluationState::None, _) => StepStatus::Open,
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
            Step::Monitor => match (&self.monitoring.state, state) {
                (_, state) if state != Some(RunState::Done) => {
                    StepStatus::Locked("Train a model first.")
                }
                (MonitorState::Running { .. }, _) => StepStatus::Busy,
                (MonitorState::Failed(_), _) => StepStatus::Attention,
                (MonitorState::Done(m), _) if m.found.worst() >= Some(Severity::Warning) => {
                    StepStatus::Attention
                }
                (MonitorState::Done(_), _) => StepStatus::Done,
                (MonitorState::None, _) => StepStatus::Open,
            },
        }
    }
}

/// Training rows of so many rows, about.
pub fn train_rows(rows: usize, split: &SplitConfig) -> usize {
    let share = (1.0 - split.validation - split.test).clamp(0.0, 1.0);
    (rows as f64 * share) as usize
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

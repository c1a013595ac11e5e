//! Watching the model: checking new data in the background.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{AppState, Outcome, ProjectState, Step, Tone};
use crate::data::{self, Dataset, ImportOptions, Progress};
use crate::deploy::Model;
use crate::error::{DataError, ExportError, UserError};
use crate::monitor::reference::{self, KEPT};
use crate::monitor::{self, CheckRecord, Found, Options, Reference, Triggers};
use crate::project::Project;
use crate::train::RunState;
use crate::train::run_folder::RunFolder;

/// What a check came to, with what is needed to show it.
#[derive(Debug)]
pub struct Monitored {
    /// What was found.
    pub found: Found,
    /// The new data, to show rows of it.
    pub data: Arc<Dataset>,
    /// All checks of the project, this one last.
    pub history: Vec<CheckRecord>,
}

/// How the model does on new data, as far as it is known.
#[derive(Debug, Default)]
pub enum MonitorState {
    /// No new data were checked.
    #[default]
    None,
    /// New data are being checked.
    Running {
        /// Tells a late answer from the one waited for.
        attempt: u64,
        /// The background task.
        task: u64,
    },
    /// Known.
    Done(Arc<Monitored>),
    /// Could not be checked.
    Failed(UserError),
}

/// All about watching the model of the open project.
#[derive(Debug, Default)]
pub struct Monitoring {
    /// The last check.
    pub state: MonitorState,
    /// New data checked last.
    pub source: Option<PathBuf>,
    /// Column of the new data that orders its rows; `None` takes them as they come.
    pub order_by: Option<String>,
    /// Earlier checks; `None` until read.
    pub history: Option<Result<Vec<CheckRecord>, UserError>>,
}

/// What can be asked about watching.
#[derive(Debug, Clone)]
pub enum MonitorCommand {
    /// Check new data.
    Check(PathBuf),
    /// Check the same data again.
    Again,
    /// Order the rows by a column, or as they come, and check again.
    OrderBy(Option<String>),
    /// Change when to train again.
    Triggers(Triggers),
}

/// Checks new data with the best model of a run, and keeps the check in the project's log.
///
/// # Errors
/// The run, its data or the new data cannot be used; the log cannot be written; cancelled.
pub fn look(
    run: &Path,
    project: &Project,
    data: &Dataset,
    new: &Path,
    options: &Options,
    progress: &Progress,
) -> Result<Monitored, UserError> {
    let run = RunFolder::open(run)?;
    let model = Model::of_run(&run)?;
    let reference = reference::find(&run, &model, Some(data), progress)?;
    let dataset = open_new(new, &model, progress)?;
    let found = monitor::check(&model, &reference, &dataset, options, progress)?;
    CheckRecord::of(&found, &name_of(&run)).keep(&project.folder)?;
    let history = monitor::history(&project.folder)?;
    Ok(Monitored { found, data: Arc::new(dataset), history })
}

impl ProjectState {
    /// The new data, once checked.
    pub fn monitored(&self) -> Option<&Monitored> {
        match &self.monitoring.state {
            MonitorState::Done(done) => Some(done),
            _ => None,
        }
    }
}

impl AppState {
    /// Reads earlier checks when the step is shown for the first time.
    pub(super) fn read_checks_if_needed(&mut self) {
        let Some(project) = self.project() else { return };
        if self.step != Step::Monitor || project.monitoring.history.is_some() {
            return;
        }
        let folder = project.project.folder.clone();
        let services = Arc::clone(&self.services);
        let wake = Arc::clone(&self.wake);
        self.tasks.spawn(
            "Reading earlier checks",
            false,
            &wake,
            move |_| Outcome::Checks { result: services.checks(&folder), project: folder },
            Outcome::Failed,
        );
    }

    pub(super) fn monitor(&mut self, command: MonitorCommand) {
        let Some(project) = self.project_mut() else { return };
        match command {
            MonitorCommand::Check(path) => {
                project.monitoring.source = Some(path);
                project.monitoring.order_by = None;
                self.check_new();
            }
            MonitorCommand::Again => self.check_new(),
            MonitorCommand::OrderBy(column) => {
                project.monitoring.order_by = column;
                self.check_new();
            }
            MonitorCommand::Triggers(triggers) => {
                self.edit("when to train again", |p| p.monitor = triggers);
            }
        }
    }

    fn check_new(&mut self) {
        let attempt = self.attempt();
        let services = Arc::clone(&self.services);
        let wake = Arc::clone(&self.wake);
        let Some(project) = self.project() else { return };
        let Some(run) = project.run.as_ref().filter(|r| r.state == RunState::Done) else { return };
        let Some(path) = project.monitoring.source.clone() else { return };
        let (folder, dataset) = (run.folder.clone(), Arc::clone(&project.dataset));
        let basis = project.project.clone();
        let options = Options {
            triggers: basis.monitor,
            order_by: project.monitoring.order_by.clone(),
            ..Options::default()
        };
        if let MonitorState::Running { task, .. } = project.monitoring.state {
            self.tasks.cancel(task);
        }
        let task = self.tasks.spawn(
            "Checking new data",
            true,
            &wake,
            move |progress| {
                let found = services.monitor(&folder, &basis, &dataset, &path, &options, progress);
                Outcome::Monitored { attempt, result: found.map(Box::new) }
            },
            move |e| Outcome::Monitored { attempt, result: Err(e) },
        );
        if let Some(project) = self.project_mut() {
            project.monitoring.state = MonitorState::Running { attempt, task };
        }
    }

    pub(super) fn monitored(&mut self, attempt: u64, result: Result<Box<Monitored>, UserError>) {
        let Some(project) = self.project_mut() else { return };
        let state = &mut project.monitoring.state;
        if !matches!(state, MonitorState::Running { attempt: a, .. } if *a == attempt) {
            return;
        }
        match result {
            Ok(done) => {
                project.monitoring.history = Some(Ok(done.history.clone()));
                let title = done.found.advice.action.words();
                let details = done.found.advice.text.clone();
                *state = MonitorState::Done(Arc::new(*done));
                self.tell(Step::Monitor, Tone::Success, title, details);
            }
            Err(e) if e == UserError::from(DataError::Cancelled) => *state = MonitorState::None,
            Err(e) => {
                let details = e.to_string();
                *state = MonitorState::Failed(e);
                self.tell(Step::Monitor, Tone::Error, "The new data were not checked", details);
            }
        }
    }

    pub(super) fn checks_read(
        &mut self,
        folder: &Path,
        result: Result<Vec<CheckRecord>, UserError>,
    ) {
        if let Some(project) = self.project_mut().filter(|p| p.project.folder == folder) {
            project.monitoring.history.get_or_insert(result);
        }
    }
}

/// Reads new data for a model: images come in its size.
///
/// # Errors
/// As [`data::open`].
pub fn open_new(path: &Path, model: &Model, progress: &Progress) -> Result<Dataset, DataError> {
    let shape = model.info().preprocessor.image_shape();
    let image_size = shape.map(|[width, height, _]| (width, height));
    let options = ImportOptions { image_size, ..ImportOptions::default() };
    data::open(path, &options, progress)
}

/// A reference of all rows of some data.
///
/// # Errors
/// As [`Reference::of_rows`].
pub fn reference_rows(
    model: &Model,
    dataset: &Dataset,
    progress: &Progress,
) -> Result<Reference, ExportError> {
    let rows: Vec<u32> = (0..dataset.len() as u32).collect();
    Reference::of_rows(model, dataset, &rows, Some(&rows), KEPT, progress)
}

/// How a run is called in the history: the name of its folder.
pub fn name_of(run: &RunFolder) -> String {
    run.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

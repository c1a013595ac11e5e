//! How the data are read can be changed after they were opened: another sheet, table or query, or
//! the file as it is now.

use std::sync::Arc;
use std::time::Instant;

use super::folds::FoldsState;
use super::{
    AppState, EvaluationState, ExportState, LiveRun, LoadedProject, Outcome, ProjectState, Tone,
    VerdictState, apply,
};
use crate::data::ImportOptions;
use crate::error::{DataError, UserError};
use crate::project::Project;

/// Data being read anew.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Rereading {
    /// Nothing is read.
    #[default]
    None,
    /// They are.
    Running {
        /// Tells a late answer from the one waited for.
        attempt: u64,
        /// The background task.
        task: u64,
    },
    /// They could not be; what was read before is still there.
    Failed(UserError),
}

impl AppState {
    /// Reads the data in another way; what was read before stays until that is done.
    pub(super) fn set_import(&mut self, import: ImportOptions) {
        let Some(project) = self.project() else { return };
        let to = Project { import, ..project.project.clone() };
        self.reread(to, true);
    }

    /// Reads the data as a project says, which then takes the place of the open one.
    pub(super) fn reread(&mut self, to: Project, record: bool) {
        let Some(project) = self.project() else { return };
        if project.run.as_ref().is_some_and(LiveRun::active) {
            self.notifications.push(Tone::Warning, "Training is running. Stop it first.", "");
            return;
        }
        if let Rereading::Running { task, .. } = project.rereading {
            self.tasks.cancel(task);
        }
        let attempt = self.attempt();
        let services = Arc::clone(&self.services);
        let task = self.tasks.spawn(
            "Reading the data",
            true,
            &self.wake,
            move |progress| Outcome::Reread {
                attempt,
                record,
                result: apply::read_data(services.as_ref(), to, progress).map(Box::new),
            },
            move |e| Outcome::Reread { attempt, record, result: Err(e) },
        );
        if let Some(project) = self.project_mut() {
            project.rereading = Rereading::Running { attempt, task };
        }
    }

    pub(super) fn reread_done(
        &mut self,
        attempt: u64,
        record: bool,
        result: Result<Box<LoadedProject>, UserError>,
    ) {
        let Some(project) = self.project_mut() else { return };
        if !matches!(project.rereading, Rereading::Running { attempt: a, .. } if a == attempt) {
            return;
        }
        match result {
            Ok(loaded) => {
                project.take_over(*loaded, record);
                self.edited = Some(Instant::now());
                self.check();
            }
            Err(e) if e == UserError::from(DataError::Cancelled) => {
                project.rereading = Rereading::None;
            }
            Err(e) => project.rereading = Rereading::Failed(e),
        }
    }
}

impl ProjectState {
    /// Takes over data that were read anew. A model of other data is not shown with these.
    fn take_over(&mut self, loaded: LoadedProject, record: bool) {
        if record {
            self.undo.record(&self.project, "how the data are read", Instant::now());
        }
        let new = Self::new(loaded);
        self.project = new.project;
        self.dataset = new.dataset;
        self.original = new.original;
        self.summaries = new.summaries;
        self.schema = new.schema;
        self.profile = None;
        self.preview = None;
        self.rereading = Rereading::None;
        self.folds = FoldsState::None;
        if !self.run.as_ref().is_some_and(LiveRun::active) {
            self.run = None;
            self.evaluation = EvaluationState::None;
            self.verdict = VerdictState::None;
            self.export = ExportState::None;
        }
    }
}

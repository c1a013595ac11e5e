//! What a run will take, worked out while its settings are looked at.

use std::sync::Arc;

use super::{AppState, Outcome, ProjectState, Step};
use crate::error::UserError;
use crate::project::Project;
use crate::train::estimate::Estimate;

/// What a run will take, as far as it is known.
#[derive(Debug, Default)]
pub enum EstimateState {
    /// Not worked out.
    #[default]
    None,
    /// Being worked out.
    Running {
        /// Tells a late answer from the one waited for.
        attempt: u64,
        /// The background task.
        task: u64,
        /// For these settings.
        basis: Box<Project>,
    },
    /// Known.
    Done {
        /// What it takes.
        estimate: Box<Estimate>,
        /// For these settings.
        basis: Box<Project>,
    },
    /// Could not be worked out.
    Failed {
        /// Why.
        error: UserError,
        /// For these settings.
        basis: Box<Project>,
    },
}

impl EstimateState {
    fn basis(&self) -> Option<&Project> {
        match self {
            Self::None => None,
            Self::Running { basis, .. } | Self::Done { basis, .. } | Self::Failed { basis, .. } => {
                Some(basis)
            }
        }
    }
}

/// Whether a run of both would take the same.
pub(super) fn same(a: &Project, b: &Project) -> bool {
    a.target == b.target
        && a.columns == b.columns
        && a.import == b.import
        && a.prep == b.prep
        && a.split == b.split
        && a.steps == b.steps
        && a.train == b.train
}

impl AppState {
    /// Works out what the run would take while its settings are in view and after they changed.
    /// A task under way ends first, so that a setting that is dragged does not start many.
    pub(super) fn estimate_if_needed(&mut self) {
        let wanted = self.step == Step::Configure
            && self.project().is_some_and(|p| {
                p.train_blocked().is_none()
                    && !matches!(p.estimate, EstimateState::Running { .. })
                    && !p.estimate.basis().is_some_and(|basis| same(basis, &p.project))
            });
        if !wanted {
            return;
        }
        let attempt = self.attempt();
        let services = Arc::clone(&self.services);
        let wake = Arc::clone(&self.wake);
        let Some(project) = self.project() else { return };
        let Ok(schema) = project.schema().cloned() else { return };
        let dataset = Arc::clone(&project.dataset);
        let basis = Box::new(project.project.clone());
        let asked = basis.clone();
        let task = self.tasks.spawn(
            "Working out what training takes",
            true,
            &wake,
            move |progress| Outcome::Estimated {
                attempt,
                result: services.estimate(&dataset, &schema, &asked, progress).map(Box::new),
            },
            move |e| Outcome::Estimated { attempt, result: Err(e) },
        );
        if let Some(project) = self.project_mut() {
            project.estimate = EstimateState::Running { attempt, task, basis };
        }
    }

    /// Gives the engines to the run: it must not share them with an estimate.
    pub(super) fn stop_estimating(&mut self) {
        let running = self.project().and_then(|p| match &p.estimate {
            EstimateState::Running { task, .. } => Some(*task),
            _ => None,
        });
        if let Some(task) = running {
            self.tasks.cancel(task);
            if let Some(project) = self.project_mut() {
                project.estimate = EstimateState::None;
            }
        }
    }

    pub(super) fn estimated(&mut self, attempt: u64, result: Result<Box<Estimate>, UserError>) {
        let Some(project) = self.project_mut() else { return };
        let state = match std::mem::take(&mut project.estimate) {
            EstimateState::Running { attempt: waited_for, basis, .. } if waited_for == attempt => {
                match result {
                    Ok(estimate) => EstimateState::Done { estimate, basis },
                    Err(error) => EstimateState::Failed { error, basis },
                }
            }
            other => other,
        };
        project.estimate = state;
    }
}

impl ProjectState {
    /// What the run would take, if that is known for the settings as they are.
    pub fn estimate(&self) -> Option<Result<&Estimate, &UserError>> {
        match &self.estimate {
            EstimateState::Done { estimate, basis } if same(basis, &self.project) => {
                Some(Ok(estimate))
            }
            EstimateState::Failed { error, basis } if same(basis, &self.project) => {
                Some(Err(error))
            }
            _ => None,
        }
    }
}

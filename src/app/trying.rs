//! Trying the model on one row, text or picture.

use std::path::PathBuf;
use std::sync::Arc;

use super::{AppState, Outcome};
use crate::deploy::{Answer, Input};
use crate::error::UserError;
use crate::train::RunState;

/// What came of trying the model.
#[derive(Debug, Default)]
pub struct Trial {
    /// Whose model was tried.
    pub run: PathBuf,
    /// Tells a late answer from the one waited for, while one is waited for.
    pub waiting: Option<u64>,
    /// What was asked last.
    pub asked: Option<Input>,
    /// The last answer, or why there is none.
    pub answer: Option<Result<Arc<Answer>, UserError>>,
}

impl AppState {
    pub(super) fn try_model(&mut self, input: Input) {
        let attempt = self.attempt();
        let services = Arc::clone(&self.services);
        let Some(project) = self.project_mut() else { return };
        let Some(run) = project.run.as_ref().filter(|r| r.state == RunState::Done) else { return };
        let folder = run.folder.clone();
        let trial = &mut project.trial;
        if trial.run != folder {
            *trial = Trial { run: folder.clone(), ..Trial::default() };
        }
        trial.waiting = Some(attempt);
        trial.asked = Some(input.clone());
        let data = Arc::clone(&project.original);
        self.tasks.spawn(
            "Trying the model",
            false,
            &self.wake,
            move |_| Outcome::Tried {
                attempt,
                result: services.try_model(&folder, &data, &input).map(Box::new),
            },
            move |e| Outcome::Tried { attempt, result: Err(e) },
        );
    }

    pub(super) fn tried(&mut self, attempt: u64, result: Result<Box<Answer>, UserError>) {
        if let Some(project) = self.project_mut()
            && project.trial.waiting == Some(attempt)
        {
            project.trial.waiting = None;
            project.trial.answer = Some(result.map(|a| Arc::new(*a)));
        }
    }
}

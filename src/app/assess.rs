//! Judging a model: evaluation, comparison of precisions, report.

use std::path::PathBuf;
use std::sync::Arc;

use super::{AppState, EvaluationState, Outcome, Step, Tone, VerdictState};
use crate::error::{DataError, UserError};
use crate::eval::{Evaluation, Verdict};
use crate::text::set_language;
use crate::train::RunState;
use crate::train::worker::Job;

impl AppState {
    /// Judges the model when its step is shown for the first time.
    pub(super) fn assess_if_needed(&mut self) {
        let new = self.project().is_some_and(|p| matches!(p.evaluation, EvaluationState::None));
        if self.step == Step::Evaluate && new {
            self.evaluate();
        }
    }

    pub(super) fn evaluate(&mut self) {
        let attempt = self.attempt();
        let services = Arc::clone(&self.services);
        let wake = Arc::clone(&self.wake);
        let Some(project) = self.project() else { return };
        let Some(run) = project.run.as_ref().filter(|r| r.state == RunState::Done) else { return };
        let (folder, dataset) = (run.folder.clone(), Arc::clone(&project.dataset));
        if let EvaluationState::Running { task, .. } = project.evaluation {
            self.tasks.cancel(task);
        }
        let task = self.tasks.spawn(
            "Judging the model",
            true,
            &wake,
            move |progress| Outcome::Evaluated {
                attempt,
                result: services.evaluate(&folder, &dataset, progress).map(Box::new),
            },
            move |e| Outcome::Evaluated { attempt, result: Err(e) },
        );
        if let Some(project) = self.project_mut() {
            project.evaluation = EvaluationState::Running { attempt, task };
        }
    }

    pub(super) fn evaluated(&mut self, attempt: u64, result: Result<Box<Evaluation>, UserError>) {
        let Some(project) = self.project_mut() else { return };
        if !matches!(project.evaluation, EvaluationState::Running { attempt: a, .. } if a == attempt)
        {
            return;
        }
        match result {
            Ok(found) => {
                project.evaluation = EvaluationState::Done(Arc::new(*found));
                self.tell(Step::Evaluate, Tone::Success, "The model is judged", String::new());
            }
            Err(e) if e == UserError::from(DataError::Cancelled) => {
                project.evaluation = EvaluationState::None;
            }
            Err(e) => {
                let details = e.to_string();
                project.evaluation = EvaluationState::Failed(e);
                self.tell(Step::Evaluate, Tone::Error, "The model was not judged", details);
            }
        }
    }

    pub(super) fn compare(&mut self) {
        let attempt = self.attempt();
        let services = Arc::clone(&self.services);
        let wake = Arc::clone(&self.wake);
        let Some(project) = self.project() else { return };
        let Some(run) = project.run.as_ref().filter(|r| r.state == RunState::Done) else { return };
        if matches!(project.verdict, VerdictState::Running { .. }) {
            return;
        }
        // With the data and settings of the run, also where they were edited since.
        let basis = &run.basis;
        let job = Job {
            project: basis.name.clone(),
            dataset: Arc::clone(&project.dataset),
            schema: run.schema.clone(),
            prep: basis.prep.clone(),
            split: basis.split.clone(),
            config: basis.train.clone(),
            folder: run.folder.clone(),
            resume: false,
            start_from: None,
        };
        let task = self.tasks.spawn(
            "Comparing FP8 with bf16 and f32",
            true,
            &wake,
            move |progress| Outcome::Compared {
                attempt,
                result: services.compare(&job, progress).map(Box::new),
            },
            move |e| Outcome::Compared { attempt, result: Err(e) },
        );
        if let Some(project) = self.project_mut() {
            project.verdict = VerdictState::Running { attempt, task };
        }
    }

    pub(super) fn compared(&mut self, attempt: u64, result: Result<Box<Verdict>, UserError>) {
        let Some(project) = self.project_mut() else { return };
        if !matches!(project.verdict, VerdictState::Running { attempt: a, .. } if a == attempt) {
            return;
        }
        match result {
            Ok(found) => {
                project.verdict = VerdictState::Done(Arc::new(*found));
                self.tell(Step::Evaluate, Tone::Success, "FP8 is compared", String::new());
            }
            Err(e) if e == UserError::from(DataError::Cancelled) => {
                project.verdict = VerdictState::None;
            }
            Err(e) => {
                let details = e.to_string();
                project.verdict = VerdictState::Failed(e);
                self.tell(Step::Evaluate, Tone::Error, "FP8 was not compared", details);
            }
        }
    }

    pub(super) fn report(&mut self, path: PathBuf) {
        let (services, language) = (Arc::clone(&self.services), self.language());
        let wake = Arc::clone(&self.wake);
        let Some(project) = self.project() else { return };
        let (Some(run), EvaluationState::Done(found)) = (&project.run, &project.evaluation) else {
            return;
        };
        let (folder, found) = (run.folder.clone(), Arc::clone(found));
        let verdict = match &project.verdict {
            VerdictState::Done(verdict) => Some(Arc::clone(verdict)),
            _ => None,
        };
        self.tasks.spawn(
            "Writing the report",
            false,
            &wake,
            move |_| {
                set_language(language);
                let written = services.report(&folder, &found, verdict.as_deref(), &path);
                Outcome::Reported(written.map(|()| path))
            },
            |e| Outcome::Reported(Err(e)),
        );
    }

    pub(super) fn reported(&mut self, result: Result<PathBuf, UserError>) {
        match result {
            Ok(path) => {
                let path = path.display().to_string();
                self.notifications.push(Tone::Success, "The report is written", path);
            }
            Err(e) => self.notifications.error(&e),
        }
    }
}

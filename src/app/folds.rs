//! Cross-validation: the same training several times, each time tested on other rows.

use std::sync::Arc;

use serde::Serialize;

use super::{AppState, Outcome, ProjectState, Step, Tone};
use crate::data::{Dataset, Progress, Schema, Split};
use crate::error::{DataError, UserError};
use crate::project::Project;
use crate::train::crossval::{self, Spread, Study};

/// Fewest and most folds.
pub const FOLDS: std::ops::RangeInclusive<usize> = 2..=20;

/// What came of cross-validation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Folds {
    /// How many folds.
    pub k: usize,
    /// Rows of all folds; the test rows are left alone.
    pub rows: usize,
    /// Every metric over the folds, the main one first.
    pub spreads: Vec<Spread>,
}

/// Cross-validation, as far as it is known.
#[derive(Debug, Default)]
pub enum FoldsState {
    /// Not done.
    #[default]
    None,
    /// Under way.
    Running {
        /// Tells a late answer from the one waited for.
        attempt: u64,
        /// The background task.
        task: u64,
        /// With these settings.
        basis: Box<Project>,
    },
    /// Done.
    Done {
        /// What came of it.
        found: Folds,
        /// With these settings.
        basis: Box<Project>,
    },
    /// Could not be done.
    Failed(UserError),
}

/// Trains `k` models as the project says, each tested on rows that it has not seen. The test rows of
/// the project stay locked away.
///
/// # Errors
/// As [`crossval::run`] and [`Split::make`].
pub fn run(
    dataset: &Dataset,
    schema: &Schema,
    project: &Project,
    k: usize,
    progress: &Progress,
) -> Result<Folds, UserError> {
    let split = project.split_config();
    let parts = Split::make(dataset, schema, &split)?;
    let mut rows = [parts.train, parts.validation].concat();
    rows.sort_unstable();
    let study =
        Study { dataset, schema, prep: &project.prep, split: &split, config: &project.train };
    let result = crossval::run(&study, &rows, k, progress)?;
    Ok(Folds { k, rows: rows.len(), spreads: result.spreads() })
}

impl AppState {
    pub(super) fn cross_validate(&mut self, k: usize) {
        let Some(project) = self.project() else { return };
        if matches!(project.folds, FoldsState::Running { .. }) {
            return;
        }
        if let Some(why) = project.train_blocked() {
            self.notifications.push(Tone::Warning, why, "");
            return;
        }
        let Ok(schema) = project.schema().cloned() else { return };
        let k = k.clamp(*FOLDS.start(), *FOLDS.end());
        let (dataset, basis) = (Arc::clone(&project.dataset), Box::new(project.project.clone()));
        self.stop_estimating();
        let attempt = self.attempt();
        let services = Arc::clone(&self.services);
        let asked = basis.clone();
        let task = self.tasks.spawn(
            &format!("Training {k} times"),
            true,
            &self.wake,
            move |progress| Outcome::CrossValidated {
                attempt,
                result: services.cross_validate(&dataset, &schema, &asked, k, progress),
            },
            move |e| Outcome::CrossValidated { attempt, result: Err(e) },
        );
        if let Some(project) = self.project_mut() {
            project.folds = FoldsState::Running { attempt, task, basis };
        }
    }

    pub(super) fn cross_validated(&mut self, attempt: u64, result: Result<Folds, UserError>) {
        let Some(project) = self.project_mut() else { return };
        let basis = match std::mem::take(&mut project.folds) {
            FoldsState::Running { attempt: a, basis, .. } if a == attempt => basis,
            other => {
                project.folds = other;
                return;
            }
        };
        match result {
            Ok(found) => {
                let text = found.in_words();
                project.folds = FoldsState::Done { found, basis };
                self.tell(Step::Configure, Tone::Success, "Cross-validation is done", text);
            }
            Err(e) if e == UserError::from(DataError::Cancelled) => {}
            Err(e) => {
                let text = e.to_string();
                project.folds = FoldsState::Failed(e);
                self.tell(Step::Configure, Tone::Error, "Cross-validation failed", text);
            }
        }
    }
}

impl Folds {
    /// The main score in one line.
    pub fn in_words(&self) -> String {
        self.spreads.first().map_or_else(String::new, |s| {
            format!(
                "{} {} ± {} over {} folds of {} rows",
                s.kind.label(),
                s.kind.format(s.mean),
                s.kind.format(s.std),
                self.k,
                self.rows
            )
        })
    }
}

impl ProjectState {
    /// What came of cross-validation, and whether that was with the settings as they are.
    pub fn folds_found(&self) -> Option<(&Folds, bool)> {
        match &self.folds {
            FoldsState::Done { found, basis } => {
                Some((found, super::estimating::same(basis, &self.project)))
            }
            _ => None,
        }
    }
}

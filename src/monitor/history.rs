//! Checks of a project over time. They are kept in its audit log, which is only ever added to and
//! notices lines that were changed or taken out.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::advice::Action;
use super::windows::Change;
use super::{Found, Triggers};
use crate::error::ProjectError;
use crate::metrics::MetricKind;
use crate::project::{audit_log, record};
use crate::quality::Severity;

/// What an entry of the log is called.
pub const ACTION: &str = "monitored";

/// One check, in figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckRecord {
    /// When, in UTC.
    pub time: String,
    /// Name of the new data.
    pub data: String,
    /// New rows.
    pub rows: usize,
    /// Run of the model, by the name of its folder; when it was trained, of a model file.
    pub model: String,
    /// The worst that was noticed.
    pub severity: Option<Severity>,
    /// What to do.
    pub action: Action,
    /// Why.
    pub advice: String,
    /// Share of the tested columns that drift.
    pub drifting: f64,
    /// Which, the worst first.
    pub columns: Vec<String>,
    /// Whether the answers drift.
    pub answers: bool,
    /// Mean probability of the class answered.
    pub confidence: Option<f64>,
    /// Share of unsure answers.
    pub unsure: Option<f64>,
    /// Main score and what it was at training.
    pub score: Option<(MetricKind, f64, f64)>,
    /// Where the largest change was.
    pub change: Option<Change>,
    /// Thresholds.
    pub triggers: Triggers,
}

impl CheckRecord {
    /// Of a check of the model `model`.
    pub fn of(found: &Found, model: &str) -> Self {
        let drifted = found.columns.iter().filter(|c| c.drifted);
        Self {
            time: found.time.clone(),
            data: found.data.clone(),
            rows: found.rows,
            model: model.to_owned(),
            severity: found.worst(),
            action: found.advice.action,
            advice: found.advice.text.clone(),
            drifting: found.drifting_share(),
            columns: drifted.map(|c| c.name.clone()).collect(),
            answers: found.answers.as_ref().is_some_and(|a| a.drift.drifted),
            confidence: found.answers.as_ref().and_then(|a| a.confidence).map(|c| c[1]),
            unsure: found.answers.as_ref().and_then(|a| a.unsure).map(|u| u[1]),
            score: found.feedback.as_ref().map(|f| (f.now.kind, f.now.value, f.before)),
            change: found.timeline.change.clone(),
            triggers: found.triggers,
        }
    }

    /// Adds it to the log of a project.
    ///
    /// # Errors
    /// The log cannot be written.
    pub fn keep(&self, project: &Path) -> Result<(), ProjectError> {
        let details = serde_json::to_value(self).map_err(|e| ProjectError::Format {
            path: project.to_owned(),
            what: format!("the check cannot be written: {e}"),
        })?;
        record(project, ACTION, details)
    }
}

/// All checks of a project, oldest first. Entries that a later version wrote and this one cannot read
/// are left out.
///
/// # Errors
/// The log cannot be read, or was tampered with.
pub fn history(project: &Path) -> Result<Vec<CheckRecord>, ProjectError> {
    let log = audit_log(project)?;
    let checks = log.into_iter().filter(|e| e.action == ACTION);
    Ok(checks.filter_map(|e| serde_json::from_value(e.details).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_kept_in_order_beside_other_decisions() {
        let dir = tempfile::tempdir().unwrap();
        assert!(history(dir.path()).unwrap().is_empty());
        let one = CheckRecord {
            time: "2025-01-01T00:00:00Z".to_owned(),
            data: "june".to_owned(),
            rows: 10,
            model: "run".to_owned(),
            severity: Some(Severity::Warning),
            action: Action::Look,
            advice: "Look at \"x\".".to_owned(),
            drifting: 0.25,
            columns: vec!["x".to_owned()],
            answers: false,
            confidence: Some(0.75),
            unsure: None,
            score: Some((MetricKind::Accuracy, 0.5, 0.75)),
            change: None,
            triggers: Triggers::default(),
        };
        one.keep(dir.path()).unwrap();
        record(dir.path(), "accepted", serde_json::json!({})).unwrap();
        let two = CheckRecord { data: "july".to_owned(), ..one.clone() };
        two.keep(dir.path()).unwrap();
        assert_eq!(history(dir.path()).unwrap(), [one, two]);
        let file = dir.path().join("decisions.jsonl");
        let text = std::fs::read_to_string(&file).unwrap().replace("0.25", "0.05");
        std::fs::write(&file, text).unwrap();
        assert!(history(dir.path()).is_err(), "a changed log is noticed");
    }
}

//! Watching a model in use: are new rows still like those that it learned from, are its answers, and
//! is it still right?
//!
//! A [`Reference`] holds the training rows in figures. [`check`] compares new rows with it: every
//! column ([`drift`]), the input itself ([`skew`]), the answers ([`answers`]), the score where right
//! answers are known ([`feedback`]), and when it began ([`windows`]). What follows from that is in
//! plain words ([`advice`]), and is kept in the project's audit log ([`history`]).

pub mod advice;
pub mod answers;
mod check;
pub mod drift;
pub mod feedback;
pub mod history;
pub mod page;
pub mod reference;
pub mod signals;
pub mod skew;
pub mod windows;

use serde::{Deserialize, Serialize};

pub use advice::{Action, Advice, Alert, AlertKind};
pub use check::check;
pub use drift::{ColumnDrift, Histogram, Method};
pub use feedback::Feedback;
pub use history::{CheckRecord, history};
pub use reference::Reference;
pub use signals::Kind;
pub use windows::{Change, Timeline, Window};

use crate::quality::Severity;

/// From where on to train again; set by the user.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Triggers {
    /// The main score fell by this much: 0.05 is five points of accuracy, or 0.05 of R².
    pub score_drop: f64,
    /// Share of the columns that drift.
    pub drifting: f64,
    /// Share of the answers that are too unsure.
    pub unsure: f64,
}

impl Default for Triggers {
    fn default() -> Self {
        Self { score_drop: 0.05, drifting: 0.5, unsure: 0.25 }
    }
}

impl Triggers {
    /// What is out of range, in plain words.
    ///
    /// # Errors
    /// A threshold that is not above 0 and at most 1.
    pub fn check(&self) -> Result<(), String> {
        let all = [
            ("fall of the score", self.score_drop),
            ("share of drifting columns", self.drifting),
            ("share of unsure answers", self.unsure),
        ];
        match all.iter().find(|(_, v)| !(*v > 0.0 && *v <= 1.0)) {
            Some((name, v)) => Err(format!("the {name} must be above 0 and at most 1, not {v}")),
            None => Ok(()),
        }
    }

    /// Whether they are the defaults.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How to check.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Options {
    /// When to train again.
    pub triggers: Triggers,
    /// Rows of a window; `None` cuts into forty at most.
    pub window: Option<usize>,
    /// Column of dates or numbers that orders the rows; `None` takes them as they come.
    pub order_by: Option<String>,
    /// Confidence below which an answer is too unsure; `None` takes that of the least sure tenth of
    /// the held-out answers.
    pub unsure_below: Option<f64>,
}

/// How the answers differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnswerDrift {
    /// Shares of classes, or spread of values: held-out rows against new ones.
    pub drift: ColumnDrift,
    /// Mean probability of the class answered: held-out rows, new rows.
    pub confidence: Option<[f64; 2]>,
    /// Confidence below which an answer is too unsure.
    pub unsure_below: Option<f64>,
    /// Share of such answers: held-out rows, new rows.
    pub unsure: Option<[f64; 2]>,
    /// New rows answered.
    pub rows: usize,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// When, in UTC.
    pub time: String,
    /// Project of the model.
    pub project: String,
    /// When the model was trained.
    pub trained: String,
    /// Name of the new data.
    pub data: String,
    /// New rows.
    pub rows: usize,
    /// Training rows that they were compared with.
    pub reference_rows: usize,
    /// What to do.
    pub advice: Advice,
    /// What was noticed, the worst first.
    pub alerts: Vec<Alert>,
    /// Columns, the worst first.
    pub columns: Vec<ColumnDrift>,
    /// Columns tested.
    pub tested: usize,
    /// Columns that drift.
    pub drifting: usize,
    /// Whether half of the columns drift (or what the trigger says).
    pub dataset_drift: bool,
    /// The answers; `None` where the rows cannot be answered.
    pub answers: Option<AnswerDrift>,
    /// The score, where right answers are known.
    pub feedback: Option<Feedback>,
    /// What happened over the rows.
    pub timeline: Timeline,
    /// Thresholds that were used.
    pub triggers: Triggers,
}

impl Found {
    /// The worst alert; `None` where there is nothing to say.
    pub fn worst(&self) -> Option<Severity> {
        self.alerts.iter().map(|a| a.severity).max()
    }

    /// Share of the tested columns that drift.
    pub fn drifting_share(&self) -> f64 {
        self.drifting as f64 / self.tested.max(1) as f64
    }
}

//! What follows from a check, in plain words.

use serde::{Deserialize, Serialize};

use super::{AnswerDrift, ColumnDrift, Feedback, Found, Triggers};
use crate::eval::bootstrap::wilson;
use crate::quality::{Severity, wording};

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// The input is not what the model was made for.
    Input,
    /// A column has other values.
    Column,
    /// So many columns have other values that the data is another.
    Dataset,
    /// The answers are others.
    Answers,
    /// Too many answers are unsure.
    Unsure,
    /// The score fell.
    Score,
}

/// One thing that was noticed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alert {
    /// How much it matters.
    pub severity: Severity,
    /// What it is about.
    pub kind: AlertKind,
    /// One plain sentence with the figures.
    pub title: String,
    /// What it means and what to do.
    pub advice: String,
    /// Columns concerned.
    pub columns: Vec<String>,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Repair the input.
    RepairInput,
    /// Train again.
    TrainAgain,
    /// Look at columns.
    Look,
    /// Nothing.
    Nothing,
}

impl Action {
    /// In a few words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::RepairInput => "Repair the input first",
            Self::TrainAgain => "Train again",
            Self::Look => "Have a look",
            Self::Nothing => "Nothing to do",
        }
    }
}

/// What to do, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Advice {
    /// What.
    pub action: Action,
    /// Why and how, in plain sentences.
    pub text: String,
    /// Columns to look at, the worst first.
    pub columns: Vec<String>,
}

/// Alerts about drift, answers and score; those about the input come from [`super::skew`].
pub(super) fn alerts(
    columns: &[ColumnDrift],
    share: f64,
    answers: Option<&AnswerDrift>,
    feedback: Option<&Feedback>,
    unknown: &super::feedback::Unknown,
    triggers: &Triggers,
) -> Vec<Alert> {
    let mut found = Vec::new();
    let tested = columns.iter().filter(|c| c.method.is_some()).count();
    let drifting: Vec<&ColumnDrift> = columns.iter().filter(|c| c.drifted).collect();
    if !drifting.is_empty() && share >= triggers.drifting {
        found.push(Alert {
            severity: Severity::High,
            kind: AlertKind::Dataset,
            title: format!(
                "{} of {} columns have other values than in training",
                drifting.len(),
                tested
            ),
            advice: "These rows are another world than the one the model learned from.".to_owned(),
            columns: drifting.iter().map(|c| c.name.clone()).collect(),
        });
    }
    for column in drifting {
        found.push(Alert {
            severity: Severity::Warning,
            kind: AlertKind::Column,
            title: format!(
                "\"{}\" has other values than in training: {}",
                column.name, column.summary
            ),
            advice: "Find out what changed: the customers, the season, how it is measured?"
                .to_owned(),
            columns: vec![column.name.clone()],
        });
    }
    if let Some(a) = answers {
        if a.drift.drifted {
            found.push(Alert {
                severity: Severity::Warning,
                kind: AlertKind::Answers,
                title: format!("The model answers differently: {}", a.drift.summary),
                advice: "Either the world changed, or the model no longer understands its input."
                    .to_owned(),
                columns: Vec::new(),
            });
        }
        if let (Some([before, now]), Some(level)) = (a.unsure, a.unsure_below) {
            let sure = wilson(now * a.rows as f64, a.rows as f64);
            if now >= triggers.unsure && sure.low > before {
                found.push(Alert {
                    severity: Severity::High,
                    kind: AlertKind::Unsure,
                    title: format!(
                        "{} of the answers are unsure (below {}); in training it was {}",
                        wording::percent(now),
                        wording::percent(level),
                        wording::percent(before)
                    ),
                    advice: "Let a person decide these cases, and train on them later.".to_owned(),
                    columns: Vec::new(),
                });
            }
        }
    }
    if let Some(f) = feedback.filter(|f| f.certain && f.drop > 0.0) {
        let kind = f.now.kind;
        let fired = f.drop >= triggers.score_drop;
        found.push(Alert {
            severity: if fired { Severity::High } else { Severity::Warning },
            kind: AlertKind::Score,
            title: format!(
                "{} went from {} at training to {} on {} with a right answer",
                kind.label(),
                kind.format(f.before),
                kind.format(f.now.value),
                wording::counted(f.rows, "row")
            ),
            advice: format!(
                "95 % interval now: {} to {}.",
                kind.format(f.now.interval.low),
                kind.format(f.now.interval.high)
            ),
            columns: Vec::new(),
        });
    }
    if !unknown.is_empty() {
        let rows: usize = unknown.values().sum();
        let names: Vec<&String> = unknown.keys().collect();
        found.push(Alert {
            severity: Severity::Warning,
            kind: AlertKind::Score,
            title: format!(
                "Right answers that the model does not know, in {}: {}",
                wording::counted(rows, "row"),
                wording::list(&names, 3)
            ),
            advice: "It can never give these. Correct their spelling, or train again with them."
                .to_owned(),
            columns: Vec::new(),
        });
    }
    found
}

/// What to do about a check.
pub(super) fn decide(found: &Found) -> Advice {
    let high = |kinds: &[AlertKind]| {
        let fits = |a: &&Alert| a.severity == Severity::High && kinds.contains(&a.kind);
        found.alerts.iter().filter(fits).collect::<Vec<_>>()
    };
    let drifting: Vec<String> =
        found.columns.iter().filter(|c| c.drifted).map(|c| c.name.clone()).collect();
    let input = high(&[AlertKind::Input]);
    if let Some(first) = input.first() {
        let mut columns: Vec<String> = input.iter().flat_map(|a| a.columns.clone()).collect();
        columns.dedup();
        let text = format!(
            "{}. Repair that and check again; a model trained on it would learn the fault.",
            first.title
        );
        return Advice { action: Action::RepairInput, text, columns };
    }
    let since = match &found.timeline.change {
        Some(change) if change.before_is_normal => {
            format!(" It began at row {}.", wording::count(change.row as usize))
        }
        _ => String::new(),
    };
    let reasons = high(&[AlertKind::Score, AlertKind::Dataset, AlertKind::Unsure]);
    if !reasons.is_empty() {
        let held = found.feedback.as_ref().filter(|f| !f.certain || f.drop <= 0.0);
        let how = match (&found.feedback, held) {
            (_, Some(f)) => format!(
                " The score still holds ({} {} on {}), so there is time.",
                f.now.kind.label(),
                f.now.kind.format(f.now.value),
                wording::counted(f.rows, "row")
            ),
            (Some(_), None) => " Add these rows to the training data.".to_owned(),
            (None, None) => {
                " Collect right answers for some of these rows first, to see how wrong the model is."
                    .to_owned()
            }
        };
        let why: Vec<&str> = reasons.iter().map(|a| a.title.as_str()).collect();
        let text = format!("{}.{since}{how}", why.join(". "));
        return Advice { action: Action::TrainAgain, text, columns: drifting };
    }
    if found.worst() >= Some(Severity::Warning) {
        let named: Vec<String> = found
            .alerts
            .iter()
            .filter(|a| a.severity == Severity::Warning)
            .flat_map(|a| a.columns.clone())
            .collect();
        let mut columns = drifting;
        for name in named {
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
        let text = match columns.len() {
            0 => found.alerts.first().map(|a| format!("{}. {}", a.title, a.advice)),
            1..=3 => Some(format!("Look at {}.{since}", wording::list(&columns, 3))),
            n => Some(format!(
                "Look at {n} columns, first at {}.{since}",
                wording::list(&columns[..3], 3)
            )),
        };
        let text = text.unwrap_or_default() + " No threshold for training again is reached.";
        return Advice { action: Action::Look, text, columns };
    }
    let text = format!(
        "{} were compared with {}: nothing that matters has changed.",
        wording::counted(found.rows, "new row"),
        wording::counted(found.reference_rows, "training row")
    );
    Advice { action: Action::Nothing, text, columns: Vec::new() }
}

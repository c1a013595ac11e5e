//! What stands between data and training: serious findings that are neither fixed nor accepted.

use serde::{Deserialize, Serialize};

use crate::quality::{Finding, Report, Severity};

/// A serious finding that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptance {
    /// Check that found it.
    pub check: String,
    /// Columns concerned.
    pub columns: Vec<String>,
    /// What was found, as it was shown.
    pub title: String,
    /// Why it is accepted.
    pub reason: String,
    /// When, in UTC.
    pub time: String,
}

impl Acceptance {
    /// Accepts a finding now.
    pub fn of(finding: &Finding, reason: &str) -> Self {
        Self {
            check: finding.check.to_owned(),
            columns: finding.columns.clone(),
            title: finding.title.clone(),
            reason: reason.trim().to_owned(),
            time: jiff::Timestamp::now().to_string(),
        }
    }

    /// Whether it covers a finding: the same check about the same columns.
    pub fn covers(&self, finding: &Finding) -> bool {
        self.check == finding.check && self.columns == finding.columns
    }
}

/// Serious findings of a report that block training.
#[derive(Debug)]
pub struct Gate<'a> {
    /// Neither fixed nor accepted.
    pub open: Vec<&'a Finding>,
    /// Accepted.
    pub accepted: Vec<&'a Finding>,
}

impl<'a> Gate<'a> {
    /// Holds a report against what was accepted.
    pub fn of(report: &'a Report, accepted: &[Acceptance]) -> Self {
        let serious = report.findings.iter().filter(|f| f.severity == Severity::High);
        let (accepted, open) = serious.partition(|f| accepted.iter().any(|a| a.covers(f)));
        Self { open, accepted }
    }

    /// Whether training has to wait.
    pub fn blocks(&self) -> bool {
        !self.open.is_empty()
    }
}

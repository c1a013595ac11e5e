//! Runs the registry of checks and sums up.

use std::sync::atomic::Ordering;

use rayon::prelude::*;
use serde::Serialize;

use super::checks::{CHECKS, Check, Run};
use super::context::{Labels, Predictions, TableContext};
use super::image_context::ImageContext;
use super::{Extra, Finding, Severity, wording};
use crate::data::{Dataset, Progress, Samples, Schema, Split};

/// What became of one check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckStatus {
    /// Stable name.
    pub name: &'static str,
    /// What it looks for, in a few words.
    pub title: &'static str,
    /// How it measures, with threshold and source.
    pub definition: &'static str,
    /// Worst severity found; `None` when it found nothing or did not run.
    pub worst: Option<Severity>,
    /// Number of findings.
    pub findings: usize,
    /// Why it did not run.
    pub skipped: Option<String>,
}

/// Findings of all checks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// 100 = nothing found. 100 × the product, over the checks that found something, of 0.6 where
    /// the worst finding of the check is high and 0.93 where it is a warning; findings worth
    /// knowing cost nothing. So one blocking problem leaves at most 60.
    pub score: u8,
    /// One or two plain sentences.
    pub summary: String,
    /// Rows or images.
    pub rows: usize,
    /// Columns of a table; 0 for images.
    pub columns: usize,
    /// Whether the user stopped it; checks that did not run say so.
    pub cancelled: bool,
    /// Worst first, then in the order of [`Report::checks`].
    pub findings: Vec<Finding>,
    /// Every check that applies to this kind of data.
    pub checks: Vec<CheckStatus>,
}

impl Report {
    /// Findings of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|f| f.severity == severity).count()
    }

    /// Whether a finding blocks training until it is fixed or accepted.
    pub fn blocks(&self) -> bool {
        self.count(Severity::High) > 0
    }

    /// Worst severity found.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|f| f.severity).max()
    }
}

fn score(checks: &[CheckStatus]) -> u8 {
    let share: f64 = checks
        .iter()
        .map(|c| match c.worst {
            Some(Severity::High) => 0.6,
            Some(Severity::Warning) => 0.93,
            Some(Severity::Info) | None => 1.0,
        })
        .product();
    (100.0 * share).round() as u8
}

fn summary(report: &Report) -> String {
    let what = if report.columns > 0 {
        format!(
            "{} in {}",
            wording::counted(report.rows, "row"),
            wording::counted(report.columns, "column")
        )
    } else {
        wording::counted(report.rows, "image")
    };
    let (high, warnings) = (report.count(Severity::High), report.count(Severity::Warning));
    let verdict = match (high, warnings) {
        (0, 0) => "nothing found that would harm a model".to_owned(),
        (0, w) => format!("{} that may harm the model", wording::counted(w, "warning")),
        (h, 0) => format!("{} to fix before training", wording::counted(h, "serious problem")),
        (h, w) => format!(
            "{} to fix before training and {}",
            wording::counted(h, "serious problem"),
            wording::counted(w, "warning")
        ),
    };
    let end = if report.cancelled { " Stopped before all checks had run." } else { "" };
    format!("{what}: {verdict}.{end}")
}

pub(super) fn run(
    dataset: &Dataset,
    schema: &Schema,
    split: Option<&Split>,
    extra: &Extra,
    progress: &Progress,
) -> Report {
    let cancelled = || progress.cancel.load(Ordering::Relaxed);
    progress.done.store(0, Ordering::Relaxed);
    let (table, images, columns);
    match &dataset.samples {
        Samples::Table(t) => {
            columns = t.columns().len();
            progress.total.store((columns + CHECKS.len()) as u64, Ordering::Relaxed);
            table = Some(TableContext::new(t, schema, split, &extra.shares, progress));
            images = None;
        }
        Samples::Images(set) => {
            columns = 0;
            progress.total.store(CHECKS.len() as u64, Ordering::Relaxed);
            table = None;
            images = Some(ImageContext::new(set, split));
        }
    }
    let labels = table
        .as_ref()
        .and_then(|t| t.labels())
        .or_else(|| images.as_ref().map(ImageContext::labels));
    let predictions = extra.predictions.as_ref().map(|oof| Predictions {
        oof,
        classes: schema.task.classes(),
        column: table.is_some().then_some(schema.target.as_str()),
        of: dataset.len(),
        table: table.as_ref(),
    });
    let run = |check: &'static Check| -> Option<Result<Vec<Finding>, String>> {
        if !applies(check, table.as_ref(), images.as_ref(), labels.as_ref()) {
            return None;
        }
        if cancelled() {
            return Some(Err("stopped before it ran".to_owned()));
        }
        let started = std::time::Instant::now();
        let found = match (check.run, &table, &images, &labels) {
            (Run::Table(f), Some(t), _, _) => f(t),
            (Run::Images(f), _, Some(i), _) => f(i),
            (Run::Labels(f), _, _, Some(l)) => f(l),
            (Run::Predictions(f), ..) => match &predictions {
                Some(p) => f(p),
                None => return Some(Err(extra.without.to_owned())),
            },
            (Run::Split(f), Some(t), _, _) if t.split.is_some() => f(t),
            (Run::Split(_), ..) => return Some(Err("needs the split into parts".to_owned())),
            _ => return None,
        };
        tracing::debug!(check = check.name, took = ?started.elapsed(), "checked");
        Some(Ok(found))
    };
    let done = |check: &'static Check| {
        let result = run(check);
        progress.done.fetch_add(1, Ordering::Relaxed);
        Some((check, result?))
    };
    let results: Vec<_> = CHECKS.par_iter().filter_map(done).collect();
    let mut report = Report {
        score: 0,
        summary: String::new(),
        rows: dataset.len(),
        columns,
        cancelled: cancelled(),
        findings: Vec::new(),
        checks: Vec::new(),
    };
    for (check, result) in results {
        let (findings, skipped) = match result {
            Ok(f) => (f, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        report.checks.push(CheckStatus {
            name: check.name,
            title: check.title,
            definition: check.definition,
            worst: findings.iter().map(|f| f.severity).max(),
            findings: findings.len(),
            skipped,
        });
        report.findings.extend(findings);
    }
    // Stable: checks keep their order within a severity.
    report.findings.sort_by_key(|f| std::cmp::Reverse(f.severity));
    report.score = score(&report.checks);
    report.summary = summary(&report);
    report
}

fn applies(
    check: &Check,
    table: Option<&TableContext>,
    images: Option<&ImageContext>,
    labels: Option<&Labels>,
) -> bool {
    match check.run {
        Run::Table(_) | Run::Split(_) => table.is_some(),
        Run::Images(_) => images.is_some(),
        Run::Labels(_) | Run::Predictions(_) => labels.is_some(),
    }
}

//! `fp8-studio check`.

use super::args::CheckArgs;
use super::{SERIOUS, WARNINGS, source, terminal};
use crate::data::{Dataset, Progress, Samples, Split};
use crate::error::UserError;
use crate::quality::{self, Finding, Report, Severity};

/// Checks and shows the findings; returns the exit code.
pub(super) fn run(args: &CheckArgs) -> Result<u8, UserError> {
    let source = source::open(&args.source, args.target.as_deref(), !args.json)?;
    let split = Split::make(&source.dataset, &source.schema, &source.project.split)?;
    let progress = Progress::default();
    let report = quality::check(&source.dataset, &source.schema, Some(&split), &progress);
    if args.json {
        terminal::json(&report)?;
    } else {
        terminal::out(&text(&source.dataset, &report))?;
    }
    Ok(match report.worst() {
        Some(Severity::High) => SERIOUS,
        Some(Severity::Warning) => WARNINGS,
        Some(Severity::Info) | None => 0,
    })
}

fn text(dataset: &Dataset, report: &Report) -> String {
    let mut text = format!("{}\nScore: {} of 100\n", report.summary, report.score);
    for finding in &report.findings {
        let severity = match finding.severity {
            Severity::High => "SERIOUS",
            Severity::Warning => "warning",
            Severity::Info => "note",
        };
        text += &format!("\n{severity}: {} [{}]\n", finding.title, finding.check);
        text += &format!("  {}\n", finding.advice);
        if !finding.rows.is_empty() {
            text += &format!("  rows: {}\n", rows(dataset, finding));
        }
    }
    let ran = report.checks.iter().filter(|c| c.skipped.is_none()).count();
    text += &format!("\n{ran} of {} checks ran.\n", report.checks.len());
    for check in &report.checks {
        if let Some(why) = &check.skipped {
            text += &format!("  not run: {}: {why}\n", check.title);
        }
    }
    text
}

/// The first rows of a finding, as the file numbers them.
fn rows(dataset: &Dataset, finding: &Finding) -> String {
    let shown = finding.rows.iter().take(10).map(|&row| match &dataset.samples {
        Samples::Table(table) => table.line(row).to_string(),
        Samples::Images(images) => match images.paths.get(row) {
            Some(path) => path.display().to_string(),
            None => (row + 1).to_string(),
        },
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    let more = finding.row_count.saturating_sub(10);
    if more > 0 { format!("{shown} and {} more", terminal::count(more)) } else { shown }
}

//! `fp8-studio check`.

use std::path::Path;

use super::args::CheckArgs;
use super::{SERIOUS, WARNINGS, source, terminal};
use crate::app::checking;
use crate::data::{Dataset, Progress, Samples, Schema, steps};
use crate::error::{Place, UserError};
use crate::project::{self, Acceptance, Gate, Project, report as document};
use crate::quality::fixes::{self, Fix};
use crate::quality::{Finding, Report, Severity};

/// Checks and shows the findings; returns the exit code.
pub(super) fn run(args: &CheckArgs) -> Result<u8, UserError> {
    let mut source = source::open_with(&args.source, &args.data, !args.json)?;
    for text in &args.expect {
        let (column, shares) = expected(text)?;
        source.project.shares.insert(column, shares);
    }
    let look = |project: &Project, dataset: &Dataset, schema: &Schema| {
        checking::check(dataset, schema, project, !args.quick, &Progress::default())
    };
    let mut report = look(&source.project, &source.dataset, &source.schema)?;
    if !args.fix.is_empty() {
        apply(&mut source, &report, &args.fix, args.json)?;
        source.project.save()?;
        report = look(&source.project, &source.dataset, &source.schema)?;
    }
    if let Some(reason) = &args.accept {
        accept(&mut source.project, &report, reason)?;
        source.project.save()?;
    }
    if let Some(path) = &args.report {
        let page = document::html(&source.project, &source.dataset, &source.schema, &report);
        write(path, &page)?;
        terminal::note(&format!("Report written to {}", path.display()));
    }
    if let Some(path) = &args.croissant {
        let text = document::croissant(&source.project, &source.dataset, &source.schema)?;
        write(path, &text)?;
        terminal::note(&format!("Description of the data written to {}", path.display()));
    }
    if args.json {
        terminal::json(&report)?;
    } else {
        terminal::out(&text(&source.dataset, &source.schema, &report, &source.project))?;
    }
    let open = Gate::of(&report, &source.project.accepted).blocks();
    Ok(match report.worst() {
        Some(Severity::High) if open => SERIOUS,
        Some(Severity::Warning | Severity::High) => WARNINGS,
        Some(Severity::Info) | None => 0,
    })
}

fn write(path: &Path, text: &str) -> Result<(), UserError> {
    std::fs::write(path, text).map_err(|e| UserError {
        what: format!("This file cannot be written: {e}"),
        place: Place { path: Some(path.to_owned()), ..Place::default() },
        advice: "Choose another place.".to_owned(),
    })
}

/// Accepts all open serious findings and notes that in the audit log.
pub(super) fn accept(
    project: &mut Project,
    report: &Report,
    reason: &str,
) -> Result<(), UserError> {
    if reason.trim().is_empty() {
        return Err(UserError::new(
            "Findings are accepted only with a reason",
            "Say after --accept why they do no harm here.",
        ));
    }
    let gate = Gate::of(report, &project.accepted);
    let new: Vec<Acceptance> = gate.open.into_iter().map(|f| Acceptance::of(f, reason)).collect();
    if !new.is_empty() {
        let details = serde_json::to_value(&new).unwrap_or_default();
        project::record(&project.folder, "accepted", details)?;
        project.accepted.extend(new);
    }
    Ok(())
}

/// Does fixes named `CHECK` or `CHECK:N`, as the list of findings shows them.
fn apply(
    source: &mut source::Source,
    report: &Report,
    names: &[String],
    quiet: bool,
) -> Result<(), UserError> {
    for name in names {
        let (check, number) = name.split_once(':').unwrap_or((name, "1"));
        let offered: Vec<Fix> = report
            .findings
            .iter()
            .filter(|f| f.check == check)
            .flat_map(|f| fixes::of(f, &source.dataset, &source.schema))
            .collect();
        let at = number.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
        let fix = at.and_then(|at| offered.get(at)).ok_or_else(|| {
            UserError::new(
                format!("There is no fix \"{name}\" here"),
                "Run `check` without --fix to see the fixes of each finding.",
            )
        })?;
        let (dataset, effects) = steps::apply(&source.dataset, &fix.steps)?;
        for effect in &effects {
            if !quiet {
                terminal::note(&format!("{}: {}.", effect.label, effect.sentence()));
            }
        }
        let details = serde_json::json!({ "fix": fix.label, "effects": effects });
        source.project.steps.extend(fix.steps.iter().cloned());
        source.dataset = dataset;
        project::record(&source.project.folder, "step", details)?;
    }
    // Read again, so that what is checked is what the next run will see.
    source.dataset = source.project.open_data(&Progress::default())?;
    source.schema = source.project.schema(&source.dataset)?;
    Ok(())
}

/// `sex=f:0.5,m:0.5`.
fn expected(text: &str) -> Result<(String, std::collections::BTreeMap<String, f64>), UserError> {
    let wrong = || {
        UserError::new(
            format!("\"{text}\" does not say which shares are expected"),
            "Write it as COLUMN=VALUE:SHARE,VALUE:SHARE, such as sex=f:0.5,m:0.5.",
        )
    };
    let (column, shares) = text.split_once('=').ok_or_else(wrong)?;
    let share = |part: &str| -> Option<(String, f64)> {
        let (value, share) = part.rsplit_once(':')?;
        let share: f64 = share.trim().parse().ok()?;
        (share.is_finite() && share >= 0.0).then(|| (value.trim().to_owned(), share))
    };
    let shares = shares.split(',').map(share).collect::<Option<_>>().ok_or_else(wrong)?;
    Ok((column.trim().to_owned(), shares))
}

fn text(dataset: &Dataset, schema: &Schema, report: &Report, project: &Project) -> String {
    let mut text = format!("{}\nScore: {} of 100\n", report.summary, report.score);
    let gate = Gate::of(report, &project.accepted);
    let mut offered: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    for finding in &report.findings {
        let accepted = gate.accepted.iter().any(|f| std::ptr::eq(*f, finding));
        let severity = match finding.severity {
            Severity::High if accepted => "accepted",
            Severity::High => "SERIOUS",
            Severity::Warning => "warning",
            Severity::Info => "note",
        };
        text += &format!("\n{severity}: {} [{}]\n", finding.title, finding.check);
        text += &format!("  {}\n", finding.advice);
        if !finding.rows.is_empty() {
            text += &format!("  rows: {}\n", rows(dataset, finding));
        }
        for fix in fixes::of(finding, dataset, schema) {
            let n = offered.entry(finding.check).or_insert(0);
            *n += 1;
            text += &format!("  fix:  --fix {}:{n}  {}\n", finding.check, fix.label);
        }
    }
    if gate.blocks() {
        text += "\nTraining waits until the serious findings are fixed, or accepted with --accept REASON.\n";
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

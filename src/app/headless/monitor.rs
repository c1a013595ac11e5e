//! `fp8-studio monitor`.

use std::path::{Path, PathBuf};

use super::args::MonitorArgs;
use super::{SERIOUS, WARNINGS, eval as judge, source, terminal};
use crate::app::monitoring;
use crate::data::Progress;
use crate::deploy::Model;
use crate::error::{Place, UserError};
use crate::monitor::{self, CheckRecord, Found, Options, Reference, Triggers, history, page};
use crate::project::{FILE, Project};
use crate::quality::Severity;
use crate::train::run_folder::RunFolder;

/// Checks new data, or lists earlier checks.
pub(super) fn run(args: &MonitorArgs) -> Result<u8, UserError> {
    let project = project_of(&args.model)?;
    let Some(data) = args.data.as_deref().filter(|_| !args.history) else {
        return past(args, project.as_ref()).map(|()| 0);
    };
    let (path, _opened) = super::seal::readable(&args.model, &args.open)?;
    let (model, run) = judge::open_model(&path)?;
    let reference = reference(args, &model, run.as_ref(), project.as_ref())?;
    let options = options(args, project.as_ref())?;
    let dataset = monitoring::open_new(data, &model, &Progress::default())?;
    source::notes(&dataset, true);
    let found = monitor::check(&model, &reference, &dataset, &options, &Progress::default());
    let found = found.map_err(|e| {
        let mut e = UserError::from(e);
        e.place.path.get_or_insert_with(|| data.to_owned());
        e
    })?;
    if let (Some(project), Some(run)) = (&project, &run) {
        CheckRecord::of(&found, &monitoring::name_of(run)).keep(&project.folder)?;
    }
    if let Some(path) = &args.report {
        std::fs::write(path, page::html(&found)).map_err(|e| UserError {
            what: format!("This file cannot be written: {e}"),
            place: Place { path: Some(path.clone()), ..Place::default() },
            advice: "Choose another place.".to_owned(),
        })?;
        terminal::note(&format!("Report written to {}", path.display()));
    }
    if args.json {
        terminal::json(&found)?;
    } else {
        terminal::out(&text(&found))?;
    }
    Ok(match found.worst() {
        Some(Severity::High) => SERIOUS,
        Some(Severity::Warning) => WARNINGS,
        Some(Severity::Info) | None => 0,
    })
}

/// The project that a model belongs to; `None` of a model file.
fn project_of(model: &Path) -> Result<Option<Project>, UserError> {
    if super::seal::is_sealed(model) || crate::export::is_model(model) {
        return Ok(None);
    }
    if model.join(crate::train::run_folder::RECORD).is_file() {
        // Runs lie in the folder `runs` of their project.
        let full = std::path::absolute(model).unwrap_or_else(|_| model.to_owned());
        let folder: Option<PathBuf> = full.parent().and_then(Path::parent).map(Path::to_owned);
        let folder = folder.filter(|f| f.join(FILE).is_file());
        return folder.map(|f| source::open_project(&f)).transpose();
    }
    source::open_project(model).map(Some)
}

fn reference(
    args: &MonitorArgs,
    model: &Model,
    run: Option<&RunFolder>,
    project: Option<&Project>,
) -> Result<Reference, UserError> {
    let progress = Progress::default();
    if let Some(path) = &args.reference {
        let dataset = monitoring::open_new(path, model, &progress)?;
        return Ok(monitoring::reference_rows(model, &dataset, &progress)?);
    }
    match run {
        Some(run) => {
            let dataset = project.map(|p| p.open_data(&progress)).transpose();
            let dataset = dataset.unwrap_or_else(|e| {
                terminal::note(&format!("The data of the training cannot be read: {e}"));
                None
            });
            Ok(monitor::reference::find(run, model, dataset.as_ref(), &progress)?)
        }
        None => model.info().reference.clone().ok_or_else(|| {
            UserError::new(
                "This model file holds no summary of the training rows to compare with",
                "Name the data of the training with --reference DATA, or export the model again from \
                 a new run.",
            )
        }),
    }
}

fn options(args: &MonitorArgs, project: Option<&Project>) -> Result<Options, UserError> {
    let saved = project.map(|p| p.monitor).unwrap_or_default();
    let triggers = Triggers {
        score_drop: args.score_drop.unwrap_or(saved.score_drop),
        drifting: args.drifting.unwrap_or(saved.drifting),
        unsure: args.unsure.unwrap_or(saved.unsure),
    };
    triggers.check().map_err(|what| {
        UserError::new(format!("Not a threshold: {what}"), "Give a share above 0 and at most 1.")
    })?;
    Ok(Options {
        triggers,
        window: args.window,
        order_by: args.by.clone(),
        unsure_below: args.abstain_below,
    })
}

fn past(args: &MonitorArgs, project: Option<&Project>) -> Result<(), UserError> {
    let Some(project) = project else {
        return Err(UserError::new(
            "A model file has no history of checks",
            "Name the project instead; its checks are kept there.",
        ));
    };
    let checks = history(&project.folder)?;
    if args.json {
        return terminal::json(&checks);
    }
    if checks.is_empty() {
        return terminal::out("No new data were checked yet.\n");
    }
    let head = ["data", "checked (UTC)", "rows", "drifting", "unsure", "score", "advice"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(checks.iter().map(|c| {
        let share = |v: Option<f64>| v.map_or("–".to_owned(), |v| format!("{:.0} %", 100.0 * v));
        vec![
            c.data.clone(),
            c.time.get(..16).unwrap_or(&c.time).replace('T', " "),
            terminal::count(c.rows),
            share(Some(c.drifting)),
            share(c.unsure),
            c.score.map_or("–".to_owned(), |(kind, now, _)| kind.format(now)),
            c.action.words().to_owned(),
        ]
    }));
    terminal::out(&terminal::table(&rows))
}

fn text(found: &Found) -> String {
    let mut out = format!(
        "\n{}: {} new rows of {} against {} training rows\n\n{}: {}\n",
        found.project,
        terminal::count(found.rows),
        found.data,
        terminal::count(found.reference_rows),
        found.advice.action.words().to_uppercase(),
        found.advice.text
    );
    for alert in &found.alerts {
        let severity = match alert.severity {
            Severity::High => "SERIOUS",
            Severity::Warning => "warning",
            Severity::Info => "note",
        };
        out += &format!("\n{severity}: {}\n  {}\n", alert.title, alert.advice);
    }
    out += &answers(found);
    out += &over_time(found);
    let mut rows = vec![
        ["column", "drifts", "by", "figure", "PSI", "missing", "change"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(found.columns.iter().take(20).map(|c| {
        vec![
            c.name.clone(),
            if c.drifted { "yes" } else { "no" }.to_owned(),
            c.method.map_or("not tested", |m| m.label()).to_owned(),
            c.method.map_or("–".to_owned(), |_| format!("{:.3}", c.value)),
            format!("{:.3}", c.psi),
            format!("{:.1} %", 100.0 * c.missing[1]),
            c.summary.clone(),
        ]
    }));
    out += &format!(
        "\n{} of {} columns drift\n{}",
        found.drifting,
        found.tested,
        terminal::table(&rows)
    );
    let more = found.columns.len().saturating_sub(20);
    if more > 0 {
        out += &format!("  and {more} more, see --json or --report\n");
    }
    out
}

fn answers(found: &Found) -> String {
    let mut rows = vec![["", "at training", "now"].map(str::to_owned).to_vec()];
    if let Some(f) = &found.feedback {
        let kind = f.now.kind;
        let range = format!(
            "{} ({} to {})",
            kind.format(f.now.value),
            kind.format(f.now.interval.low),
            kind.format(f.now.interval.high)
        );
        rows.push(vec![kind.label().to_owned(), kind.format(f.before), range]);
    }
    let share = |v: f64| format!("{:.1} %", 100.0 * v);
    if let Some(a) = &found.answers {
        if let Some([before, now]) = a.confidence {
            rows.push(vec!["Mean confidence".to_owned(), share(before), share(now)]);
        }
        if let (Some([before, now]), Some(level)) = (a.unsure, a.unsure_below) {
            let name = format!("Answers below {}", share(level));
            rows.push(vec![name, share(before), share(now)]);
        }
    }
    let mut out = String::new();
    if rows.len() > 1 {
        out += &format!("\n{}", terminal::table(&rows));
    }
    if let Some(a) = &found.answers {
        let drifts = if a.drift.drifted { "drift" } else { "do not drift" };
        let how = a.drift.method.map_or(String::new(), |m| {
            format!(" ({} {:.3}, PSI {:.3})", m.label(), a.drift.value, a.drift.psi)
        });
        out += &format!("Answers {drifts}{how}: {}\n", a.drift.summary);
    }
    out
}

fn over_time(found: &Found) -> String {
    let Some(change) = &found.timeline.change else { return String::new() };
    let date = change.date.as_ref().map(|d| format!(", {d}")).unwrap_or_default();
    let columns: Vec<String> = change.columns.iter().take(5).map(|c| format!("\"{c}\"")).collect();
    let before = if change.before_is_normal {
        "the rows before it are like those of the training"
    } else {
        "the rows before it already differ from the training"
    };
    format!(
        "\nThe largest change lies at row {} of the file{date}, in {}; {before}.\n",
        change.row,
        columns.join(", ")
    )
}

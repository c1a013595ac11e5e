//! `fp8-studio runs`.

use super::args::RunsArgs;
use super::{source, terminal};
use crate::app::history::{self, PastRun};
use crate::error::UserError;
use crate::train::RunState;

/// Lists all runs of a project.
pub(super) fn run(args: &RunsArgs) -> Result<(), UserError> {
    let project = source::open_project(&args.project)?;
    let mut runs = history::read(&project.folder);
    runs.retain(|r| args.tag.as_ref().is_none_or(|tag| r.notes.tags.contains(tag)));
    if args.json {
        return terminal::json(&runs.iter().map(as_json).collect::<Vec<_>>());
    }
    if runs.is_empty() {
        let place = terminal::quoted(&args.project);
        return terminal::out(&format!(
            "There are no runs yet. Train one with: fp8-studio train {place}\n"
        ));
    }
    let titles =
        ["run", "began (UTC)", "numbers", "learning rate", "epochs", "validation", "test", "state"];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    rows.extend(runs.iter().map(cells));
    terminal::out(&terminal::table(&rows))?;
    let folder = terminal::quoted(&project.runs_folder());
    terminal::out(&format!("\n{} in {folder}\n", plural(runs.len())))
}

fn plural(n: usize) -> String {
    if n == 1 { "1 run".to_owned() } else { format!("{n} runs") }
}

fn state(run: &PastRun) -> &'static str {
    match run.state {
        _ if run.interrupted => "cut off",
        RunState::Preparing => "preparing",
        RunState::Running => "training",
        RunState::Paused => "paused",
        RunState::Finishing => "testing",
        RunState::Done => "done",
        RunState::Failed => "failed",
        RunState::Cancelled => "cancelled",
    }
}

fn cells(run: &PastRun) -> Vec<String> {
    let score = |s: Option<(crate::metrics::MetricKind, f64)>| {
        s.map_or("–".to_owned(), |(kind, v)| format!("{} {}", kind.label(), kind.format(v)))
    };
    let folder = run.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = match (run.notes.name.as_str(), run.notes.favourite) {
        ("", false) => folder,
        ("", true) => format!("★ {folder}"),
        (name, favourite) => format!("{}{folder} ({name})", if favourite { "★ " } else { "" }),
    };
    let started = run.started.parse::<jiff::Timestamp>();
    vec![
        name,
        started.map_or_else(|_| run.started.clone(), |t| t.strftime("%Y-%m-%d %H:%M").to_string()),
        run.config.precision.describe(),
        run.config.learning_rate.to_string(),
        run.summary.as_ref().map_or_else(|| "–".to_owned(), |s| s.epochs.to_string()),
        score(run.validation()),
        score(run.test()),
        state(run).to_owned(),
    ]
}

fn as_json(run: &PastRun) -> serde_json::Value {
    serde_json::json!({
        "folder": run.folder,
        "started": run.started,
        "state": state(run),
        "target": run.target,
        "rows": run.rows,
        "notes": run.notes,
        "settings": run.config,
        "summary": run.summary,
    })
}

//! Monitor: whether new data are still like those of the training, and the model still right.

mod columns;
mod history;
mod timeline;

use egui::{ComboBox, Label, Ui};

use super::count;
use crate::app::saving::Content;
use crate::app::{
    AppState, Command, MonitorCommand, MonitorState, Monitored, Pick, ProjectState, Step,
    StepStatus, TaskInfo, Workspace,
};
use crate::data::{ColumnType, Samples};
use crate::monitor::{Action as Todo, Found, Triggers, page as document};
use crate::quality::Severity;
use crate::text::{figure, of, shown};
use crate::ui::icons;
use crate::ui::shell::Action;
use crate::ui::theme::space;
use crate::ui::widgets::field::number;
use crate::ui::widgets::page::grid;
use crate::ui::widgets::plot::format_value;
use crate::ui::widgets::{
    self, Button, Mood, badge, banner, card, empty, labelled, loading, page, section, stat, title,
};
use crate::{key, tr};

/// What only the drawing needs to know.
#[derive(Debug, Default)]
pub struct Local {
    columns: columns::Local,
    /// Whether all alerts are listed.
    all: bool,
    /// Part of the timeline whose rows are shown.
    window: Option<usize>,
}

/// Alerts listed before one asks for more.
const ALERTS: usize = 6;

/// Where new data of a project's kind come from.
fn pick(project: &ProjectState) -> Pick {
    match &project.dataset.samples {
        Samples::Table(_) => Pick::NewData,
        Samples::Images(_) => Pick::NewFolder,
    }
}

/// The next action.
pub fn action(state: &AppState) -> Option<Action> {
    let Workspace::Open(project) = &state.workspace else { return None };
    let blocked = match (&project.monitoring.state, state.status(Step::Monitor)) {
        (_, StepStatus::Locked(why)) => Some(why.to_owned()),
        (MonitorState::Running { .. }, _) => Some(tr!("New data are being checked.").to_owned()),
        _ => None,
    };
    Some(Action {
        label: tr!("Check new data…").to_owned(),
        icon: icons::HEARTBEAT,
        blocked,
        command: Command::Pick(pick(project)),
    })
}

/// Draws the step.
pub fn show(ui: &mut Ui, state: &AppState, local: &mut Local, out: &mut Vec<Command>) {
    let Workspace::Open(project) = &state.workspace else { return };
    match &project.monitoring.state {
        MonitorState::None => nothing(ui, project, out),
        MonitorState::Running { task, .. } => {
            let share = state.tasks.get(*task).and_then(TaskInfo::fraction);
            loading(ui, tr!("Comparing the new data with the training…"), share, |ui| {
                if Button::secondary(tr!("Cancel")).pressed(ui) {
                    out.push(Command::CancelTask(*task));
                }
            });
        }
        MonitorState::Failed(error) => {
            widgets::failed(ui, tr!("The new data could not be checked"), error, |ui| {
                if Button::primary(tr!("Try again")).pressed(ui) {
                    out.push(Command::Monitor(MonitorCommand::Again));
                }
                if Button::secondary(tr!("Choose other data…")).pressed(ui) {
                    out.push(Command::Pick(pick(project)));
                }
            });
        }
        MonitorState::Done(done) => page(ui, "monitor", |ui| {
            found(ui, state, project, done, local, out);
        }),
    }
}

const WHAT: &str = key!(
    "Give it the rows that came in since: every column is compared with the rows the model learned from, and so are its answers. If the right answers are known by now, the score is checked as well."
);

fn nothing(ui: &mut Ui, project: &ProjectState, out: &mut Vec<Command>) {
    let past = match &project.monitoring.history {
        Some(Ok(checks)) => checks.as_slice(),
        _ => &[],
    };
    if let Some(Err(error)) = &project.monitoring.history {
        page(ui, "monitor", |ui| {
            let (heading, text) = widgets::state::error_texts(error);
            banner(ui, Mood::Bad, icons::WARNING_CIRCLE, &heading, text.trim(), |_| {});
            begin(ui, project, out);
        });
    } else if past.is_empty() {
        empty(ui, icons::HEARTBEAT, tr!("Is your model still right?"), of(WHAT), |ui| {
            buttons(ui, project, out);
        });
    } else {
        page(ui, "monitor", |ui| {
            begin(ui, project, out);
            history::show(ui, past);
        });
    }
}

fn begin(ui: &mut Ui, project: &ProjectState, out: &mut Vec<Command>) {
    title(ui, tr!("Is your model still right?"));
    widgets::muted(ui, of(WHAT));
    ui.horizontal_wrapped(|ui| buttons(ui, project, out));
    triggers(ui, project, out);
}

fn buttons(ui: &mut Ui, project: &ProjectState, out: &mut Vec<Command>) {
    let (file, folder) = (tr!("Check a file…"), tr!("Check a folder…"));
    let first = pick(project);
    for (label, what) in [(file, Pick::NewData), (folder, Pick::NewFolder)] {
        let button = if what == first { Button::primary(label) } else { Button::secondary(label) };
        if button.hint(tr!("Or drop it on this window")).pressed(ui) {
            out.push(Command::Pick(what));
        }
    }
}

fn mood(found: &Found) -> (Mood, char) {
    match found.advice.action {
        Todo::Nothing => (Mood::Good, icons::CHECK_CIRCLE),
        Todo::Look => (Mood::Warn, icons::MAGNIFYING_GLASS),
        Todo::TrainAgain => (Mood::Bad, icons::ARROW_CLOCKWISE),
        Todo::RepairInput => (Mood::Bad, icons::WARNING_CIRCLE),
    }
}

fn found(
    ui: &mut Ui,
    state: &AppState,
    project: &ProjectState,
    done: &Monitored,
    local: &mut Local,
    out: &mut Vec<Command>,
) {
    let found = &done.found;
    ui.horizontal_wrapped(|ui| {
        title(ui, tr!("Is your model still right?"));
        if Button::secondary(tr!("Save report…")).icon(icons::FILE).small().pressed(ui) {
            let name = format!("{}-monitor.html", crate::app::apply::slug(&found.data));
            let content = Content::Text(document::html(found));
            out.push(Command::SaveFile { name, content });
        }
        if Button::secondary(tr!("Check again")).icon(icons::ARROW_CLOCKWISE).small().pressed(ui) {
            out.push(Command::Monitor(MonitorCommand::Again));
        }
    });
    if state.status(Step::Monitor) != StepStatus::Busy && project.stale() {
        let text = tr!("The data or settings were changed since it was trained.");
        let heading = tr!("This is about a model older than your last changes");
        banner(ui, Mood::Neutral, icons::CLOCK_COUNTER_CLOCKWISE, heading, text, |_| {});
    }
    let (mood, glyph) = mood(found);
    banner(
        ui,
        mood,
        glyph,
        &shown(found.advice.action.words()),
        &shown(&found.advice.text),
        |ui| {
            if found.advice.action == Todo::TrainAgain
                && Button::secondary(tr!("Go to Data")).small().pressed(ui)
            {
                out.push(Command::Go(Step::Data));
            }
            for name in found.advice.columns.iter().take(3) {
                let label = tr!("Show {name}", name);
                if Button::secondary(&label).small().pressed(ui) {
                    local.columns.choose(name);
                }
            }
        },
    );
    figures(ui, found);
    alerts(ui, found, local);
    columns::show(ui, done, &mut local.columns);
    timeline::show(ui, project, done, &mut local.window, out);
    triggers(ui, project, out);
    history::show(ui, &done.history);
}

fn figures(ui: &mut Ui, found: &Found) {
    let share = |v: f64| format_value(v, true, false);
    let mut all: Vec<(String, String, String)> = vec![(
        tr!("Drifting columns").to_owned(),
        tr!("{some} of {all}", some = found.drifting, all = found.tested),
        tr!("{n} new rows", n = count(found.rows)),
    )];
    if let Some(f) = &found.feedback {
        let kind = f.now.kind;
        all.push((
            tr!("{score} now", score = shown(kind.label())),
            figure(kind.format(f.now.value)),
            tr!("{value} at training", value = figure(kind.format(f.before))),
        ));
    }
    if let Some(a) = &found.answers {
        if let Some([before, now]) = a.confidence {
            let below = tr!("{value} at training", value = share(before));
            all.push((tr!("Mean confidence").to_owned(), share(now), below));
        }
        if let Some([before, now]) = a.unsure {
            let below = tr!("{value} at training", value = share(before));
            all.push((tr!("Unsure answers").to_owned(), share(now), below));
        }
    }
    grid(ui, all.len(), 180.0, |ui, i, width| {
        if let Some((name, value, below)) = all.get(i) {
            stat(ui, width, name, value, below);
        }
    });
}

fn alerts(ui: &mut Ui, found: &Found, local: &mut Local) {
    if found.alerts.is_empty() {
        return;
    }
    card(ui, |ui| {
        section(ui, tr!("What was noticed"), "");
        let listed = if local.all { found.alerts.len() } else { ALERTS };
        for alert in found.alerts.iter().take(listed) {
            let (mood, glyph) = match alert.severity {
                Severity::High => (Mood::Bad, icons::WARNING_CIRCLE),
                Severity::Warning => (Mood::Warn, icons::WARNING),
                Severity::Info => (Mood::Neutral, icons::INFO),
            };
            ui.horizontal_top(|ui| {
                badge(ui, mood, Some(glyph), &shown(document::severity(alert.severity)));
                ui.vertical(|ui| {
                    ui.spacing_mut().item_spacing.y = 2.0;
                    ui.add(Label::new(shown(&alert.title).as_ref()).wrap());
                    widgets::muted(ui, shown(&alert.advice).as_ref());
                });
            });
        }
        let more = found.alerts.len().saturating_sub(ALERTS);
        if more > 0 {
            let label = fewer_or_more(local.all, more);
            if Button::secondary(&label).small().pressed(ui) {
                local.all = !local.all;
            }
        }
    });
}

/// What a button says that shows a list whole or in part.
pub(super) fn fewer_or_more(all: bool, more: usize) -> String {
    if all { tr!("Show fewer").to_owned() } else { tr!("Show {more} more", more) }
}

/// When to train again, in percent.
fn triggers(ui: &mut Ui, project: &ProjectState, out: &mut Vec<Command>) {
    card(ui, |ui| {
        section(
            ui,
            tr!("When should it be trained again?"),
            tr!(
                "From these thresholds on the advice is to train again. They count from the next check on."
            ),
        );
        let now = project.project.monitor;
        let mut new = now;
        let field = |ui: &mut Ui, plain: &str, term: &str, explanation: &str, v: &mut f64| {
            labelled(ui, plain, term, explanation, |ui| {
                let mut percent = *v * 100.0;
                let drag = number(&mut percent).range(1.0..=100.0).speed(0.5).suffix(" %");
                if ui.add(drag.max_decimals(1)).changed() {
                    *v = percent / 100.0;
                }
            });
            ui.add_space(space::XS);
        };
        field(
            ui,
            tr!("The score falls by"),
            tr!("points"),
            tr!("Points of accuracy, or hundredths of R²"),
            &mut new.score_drop,
        );
        field(
            ui,
            tr!("So many columns have other values"),
            tr!("share of drifting columns"),
            tr!("Evidently calls it dataset drift from half of the columns on"),
            &mut new.drifting,
        );
        field(
            ui,
            tr!("So many answers are unsure"),
            tr!("share below the level of the least sure tenth at training"),
            tr!("Such cases are better decided by a person"),
            &mut new.unsure,
        );
        if new != now && new.check().is_ok() {
            out.push(Command::Monitor(MonitorCommand::Triggers(new)));
        }
        if !now.is_default() && Button::secondary(tr!("Back to the usual")).small().pressed(ui) {
            out.push(Command::Monitor(MonitorCommand::Triggers(Triggers::default())));
        }
    });
}

/// Chooses what orders the rows.
fn order(ui: &mut Ui, project: &ProjectState, done: &Monitored, out: &mut Vec<Command>) {
    let Samples::Table(table) = &done.data.samples else { return };
    let ordered = |kind| matches!(kind, ColumnType::Date | ColumnType::Number);
    let now = project.monitoring.order_by.clone();
    let mut new = now.clone();
    ui.name_inputs(tr!("What orders the new rows"), |ui| {
        let text = match now.as_deref() {
            None => tr!("as they come").to_owned(),
            Some(column) => tr!("by {column}", column),
        };
        ComboBox::from_id_salt("monitor-order").selected_text(text).show_ui(ui, |ui| {
            ui.selectable_value(&mut new, None, tr!("as they come"));
            for column in table.columns().iter().filter(|c| ordered(c.inferred)) {
                let column = column.name();
                let text = tr!("by {column}", column);
                ui.selectable_value(&mut new, Some(column.to_owned()), text);
            }
        });
    });
    if new != now {
        out.push(Command::Monitor(MonitorCommand::OrderBy(new)));
    }
}

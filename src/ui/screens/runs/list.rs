//! The list of runs: choose, open, name, mark, delete.

use std::path::PathBuf;

use egui::{Align, Label, Layout, RichText, Ui};

use super::super::home::day_and_time;
use super::{Editing, Local, Order};
use crate::app::history::{MOST_COMPARED, PastRun};
use crate::app::{Command, LiveRun, ProjectState, RunCommand};
use crate::text::{of, shown};
use crate::tr;
use crate::train::{RunNotes, RunState};
use crate::ui::icons;
use crate::ui::screens::score;
use crate::ui::theme::{self, space};
use crate::ui::widgets::field::text_field;
use crate::ui::widgets::{Button, Mood, badge, banner, card, segmented, small};

/// Rows shown at first.
const FEW: usize = 10;

/// Draws the list.
pub fn show(
    ui: &mut Ui,
    project: &ProjectState,
    runs: &[PastRun],
    local: &mut Local,
    out: &mut Vec<Command>,
) {
    undo_delete(ui, project, out);
    if runs.is_empty() {
        return;
    }
    local.chosen.retain(|c| runs.iter().any(|r| r.folder == *c));
    let mut shown: Vec<&PastRun> = runs
        .iter()
        .filter(|r| r.matches(&local.search) && (!local.favourites || r.notes.favourite))
        .collect();
    if local.order == Order::Best {
        // Stable: equal scores stay newest first, runs without a score come last.
        let score = |r: &PastRun| {
            r.validation().map_or(f64::NEG_INFINITY, |(kind, value)| {
                if kind.higher_is_better() { value } else { -value }
            })
        };
        shown.sort_by(|a, b| score(b).total_cmp(&score(a)));
    }
    card(ui, |ui| {
        tools(ui, local);
        if shown.is_empty() {
            small(ui, tr!("No run matches."));
        }
        let most = if local.everything { usize::MAX } else { FEW };
        for run in shown.iter().take(most) {
            ui.separator();
            entry(ui, project, run, local, out);
        }
        if shown.len() > FEW {
            ui.separator();
            let label = if local.everything {
                tr!("Show fewer").to_owned()
            } else {
                tr!("Show all {n} runs", n = shown.len())
            };
            if Button::secondary(&label).small().pressed(ui) {
                local.everything = !local.everything;
            }
        }
    });
}

fn undo_delete(ui: &mut Ui, project: &ProjectState, out: &mut Vec<Command>) {
    let Some(last) = project.history.deleted.last() else { return };
    let name = last.file_name().unwrap_or_default().to_string_lossy().replace('_', " ");
    let text = tr!("Deleted runs can be brought back until this project is closed.");
    let heading = tr!("Run {name} is deleted", name);
    banner(ui, Mood::Neutral, icons::TRASH, &heading, text, |ui| {
        if Button::secondary(tr!("Undo delete")).small().icon(icons::ARROW_U_UP_LEFT).pressed(ui) {
            out.push(Command::Runs(RunCommand::Restore));
        }
    });
}

fn tools(ui: &mut Ui, local: &mut Local) {
    ui.horizontal_wrapped(|ui| {
        let hint = tr!("Find by name, tag or note");
        let field = egui::TextEdit::singleline(&mut local.search)
            .hint_text(hint)
            .desired_width(200.0)
            .margin(egui::Margin::symmetric(8, 6));
        ui.add(field).accessible_name(tr!("Find a run"));
        let orders = [(Order::Newest, tr!("Newest first")), (Order::Best, tr!("Best first"))];
        if let Some(order) = segmented(ui, local.order, &orders) {
            local.order = order;
        }
        ui.checkbox(&mut local.favourites, tr!("Only favourites"));
        if !local.chosen.is_empty() {
            let label = tr!("Compare none ({chosen} chosen)", chosen = local.chosen.len());
            if Button::secondary(&label).small().pressed(ui) {
                local.chosen.clear();
            }
        }
    });
}

fn state(ui: &mut Ui, run: &PastRun) {
    let (mood, text) = match run.state {
        RunState::Done => return,
        _ if run.interrupted => (Mood::Warn, tr!("cut off")),
        RunState::Failed => (Mood::Bad, tr!("failed")),
        RunState::Cancelled => (Mood::Neutral, tr!("cancelled")),
        RunState::Paused => (Mood::Warn, tr!("paused")),
        _ => (Mood::Accent, tr!("training")),
    };
    badge(ui, mood, None, text);
}

fn entry(
    ui: &mut Ui,
    project: &ProjectState,
    run: &PastRun,
    local: &mut Local,
    out: &mut Vec<Command>,
) {
    let p = theme::palette(ui);
    let name = run.name();
    let open = project.run.as_ref().is_some_and(|r| r.folder == run.folder);
    ui.horizontal(|ui| {
        choose(ui, run, &name, &mut local.chosen);
        star(ui, run, &name, out);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 2.0;
            let training = project.run.as_ref().is_some_and(LiveRun::active);
            actions(ui, run, &name, (open, training), local, out);
            if let Some((kind, value)) = run.test() {
                ui.add_space(space::S);
                let text = RichText::new(score(kind, value)).font(theme::strong());
                ui.add(Label::new(text).extend())
                    .on_hover_text(tr!("{kind} on test rows", kind = of(kind.label())));
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                ui.vertical(|ui| {
                    ui.spacing_mut().item_spacing.y = 1.0;
                    let colour = if open { p.accent } else { p.text };
                    let text = RichText::new(&name).font(theme::strong()).color(colour);
                    ui.add(Label::new(text).truncate());
                    let line = tr!(
                        "{started}  ·  {precision}  ·  learning rate {learning_rate}{epochs}",
                        started = day_and_time(&run.started),
                        precision = shown(&run.config.precision.describe()),
                        learning_rate = run.config.learning_rate,
                        epochs = run.summary.as_ref().map_or(String::new(), |s| tr!(
                            "  ·  {epochs} epochs",
                            epochs = s.epochs
                        ))
                    );
                    let text = RichText::new(&line).font(theme::small()).color(p.muted);
                    ui.add(Label::new(text).truncate()).on_hover_text(line);
                });
            });
        });
    });
    let marked = open || run.state != RunState::Done || !run.notes.tags.is_empty();
    if marked {
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().interact_size.y = 0.0;
            ui.add_space(66.0);
            if open {
                badge(ui, Mood::Accent, None, tr!("shown in \"This run\""));
            }
            state(ui, run);
            for tag in &run.notes.tags {
                badge(ui, Mood::Neutral, Some(icons::TAG), tag);
            }
        });
    }
    if !run.notes.note.is_empty() {
        ui.horizontal(|ui| {
            ui.spacing_mut().interact_size.y = 0.0;
            ui.add_space(66.0);
            small(ui, run.notes.note.as_str());
        });
    }
    if local.editing.as_ref().is_some_and(|e| e.run == run.folder) {
        edit(ui, local, out);
    }
}

fn choose(ui: &mut Ui, run: &PastRun, name: &str, chosen: &mut Vec<PathBuf>) {
    let mut on = chosen.contains(&run.folder);
    let full = chosen.len() >= MOST_COMPARED && !on;
    let response = ui
        .add_enabled(!full, egui::Checkbox::without_text(&mut on))
        .accessible_name(tr!("Compare {name}", name))
        .on_hover_text(tr!("Compare this run with others"))
        .on_disabled_hover_text(tr!(
            "At most {most} runs are compared at a time.",
            most = MOST_COMPARED
        ));
    if response.changed() {
        if on {
            chosen.push(run.folder.clone());
        } else {
            chosen.retain(|c| *c != run.folder);
        }
    }
}

fn star(ui: &mut Ui, run: &PastRun, name: &str, out: &mut Vec<Command>) {
    let favourite = run.notes.favourite;
    let label = if favourite {
        tr!("{name} is a favourite. Press to unmark", name)
    } else {
        tr!("Mark {name} as a favourite", name)
    };
    let button = Button::icon_only(icons::STAR, &label).small().chosen(favourite);
    if button.pressed(ui) {
        let notes = RunNotes { favourite: !favourite, ..run.notes.clone() };
        out.push(Command::Runs(RunCommand::Note(run.folder.clone(), notes)));
    }
}

fn actions(
    ui: &mut Ui,
    run: &PastRun,
    name: &str,
    (open, training): (bool, bool),
    local: &mut Local,
    out: &mut Vec<Command>,
) {
    let busy = (!run.interrupted
        && matches!(
            run.state,
            RunState::Running | RunState::Paused | RunState::Preparing | RunState::Finishing
        ))
    .then_some(tr!("It is being trained."));
    let delete = tr!("Delete {name}", name);
    if Button::icon_only(icons::TRASH, &delete).small().blocked(busy).pressed(ui) {
        out.push(Command::Runs(RunCommand::Delete(run.folder.clone())));
    }
    let write = tr!("Name, tags and note of {name}", name);
    if Button::icon_only(icons::PENCIL_SIMPLE, &write).small().pressed(ui) {
        local.editing = Some(Editing {
            run: run.folder.clone(),
            tags: run.notes.tags.join(", "),
            notes: run.notes.clone(),
        });
    }
    let settings = tr!("Use the settings of {name}", name);
    if Button::icon_only(icons::SLIDERS_HORIZONTAL, &settings).small().pressed(ui) {
        out.push(Command::Runs(RunCommand::UseSettings(run.folder.clone())));
    }
    let blocked = match (open, run.finished()) {
        (true, _) => Some(tr!("It is the one shown.")),
        _ if training => Some(tr!("Training is running. Stop it first.")),
        (_, false) => Some(tr!("It has no finished model.")),
        _ => None,
    };
    let show = tr!("Open {name}: its curves, its evaluation, its export", name);
    if Button::icon_only(icons::FOLDER_OPEN, &show).small().blocked(blocked).pressed(ui) {
        local.all = false;
        out.push(Command::Runs(RunCommand::Open(run.folder.clone())));
    }
}

/// The fields of what is written about a run.
fn edit(ui: &mut Ui, local: &mut Local, out: &mut Vec<Command>) {
    let Some(editing) = &mut local.editing else { return };
    let mut done = false;
    let wide = (ui.available_width() - 120.0).clamp(120.0, 420.0);
    let field = |ui: &mut Ui, name: &str, text: &mut String| {
        ui.horizontal(|ui| {
            let room = egui::vec2(70.0, theme::size::BUTTON);
            let label = ui.allocate_ui(room, |ui| {
                ui.set_min_width(70.0);
                small(ui, name)
            });
            text_field(ui, text, wide, false).labelled_by(label.inner.id);
        });
    };
    ui.indent("notes", |ui| {
        field(ui, tr!("Name"), &mut editing.notes.name);
        field(ui, tr!("Tags"), &mut editing.tags);
        field(ui, tr!("Note"), &mut editing.notes.note);
        ui.horizontal(|ui| {
            if Button::primary(tr!("Save notes")).small().pressed(ui) {
                let notes = RunNotes {
                    name: editing.notes.name.trim().to_owned(),
                    note: editing.notes.note.trim().to_owned(),
                    tags: RunNotes::tags_of(&editing.tags),
                    favourite: editing.notes.favourite,
                };
                out.push(Command::Runs(RunCommand::Note(editing.run.clone(), notes)));
                done = true;
            }
            if Button::secondary(tr!("Leave as it was")).small().pressed(ui) {
                done = true;
            }
            small(ui, tr!("Tags have commas between them."));
        });
    });
    if done {
        local.editing = None;
    }
}

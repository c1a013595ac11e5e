//! All runs of a project: the list, several side by side, and those that wait for their turn.

mod compare;
mod list;
mod sweep;

use std::path::PathBuf;

use egui::{Frame, Margin, Panel, Ui};

use crate::app::{AppState, Command, LiveRun, ProjectState, RunCommand, Workspace};
use crate::text::of;
use crate::tr;
use crate::train::RunNotes;
use crate::ui::icons;
use crate::ui::theme;
use crate::ui::widgets::{self, Button, card, empty, page, section, segmented, title};

/// How the list is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Order {
    #[default]
    Newest,
    Best,
}

/// What only the drawing needs to know.
#[derive(Debug, Default)]
pub struct Local {
    /// Whether all runs are shown instead of the newest.
    pub all: bool,
    chosen: Vec<PathBuf>,
    search: String,
    order: Order,
    favourites: bool,
    everything: bool,
    editing: Option<Editing>,
    compare: compare::Local,
    sweep: sweep::Local,
}

/// Notes being written.
#[derive(Debug)]
struct Editing {
    run: PathBuf,
    notes: RunNotes,
    tags: String,
}

/// The switch between the newest run and all of them, above the Train step; nothing where there is
/// nothing to switch to.
pub fn switch(ui: &mut Ui, project: &ProjectState, local: &mut Local) {
    let runs = project.history.runs.as_ref().map_or(0, Vec::len);
    let waiting = project.history.queue.len();
    if runs == 0 && waiting == 0 && project.run.is_none() {
        local.all = false;
        return;
    }
    let all = match waiting {
        0 => tr!("All runs ({runs})", runs),
        n => tr!("All runs ({runs}), {n} waiting", runs, n),
    };
    let frame = Frame::new().inner_margin(Margin { left: 21, right: 16, top: 4, bottom: 0 });
    Panel::top("runs-switch").frame(frame).show_separator_line(false).show(ui, |ui| {
        let choices = [(false, tr!("This run")), (true, all.as_str())];
        if let Some(all) = segmented(ui, local.all, &choices) {
            local.all = all;
        }
    });
}

/// Draws all runs.
pub fn show(ui: &mut Ui, state: &AppState, local: &mut Local, out: &mut Vec<Command>) {
    let Workspace::Open(project) = &state.workspace else { return };
    let Some(runs) = &project.history.runs else {
        widgets::loading(ui, tr!("Reading the list of runs…"), None, |_| {});
        return;
    };
    if runs.is_empty() && project.history.queue.is_empty() && project.history.deleted.is_empty() {
        let text = tr!(
            "Every training is kept here with its settings and scores, so that you can compare them."
        );
        empty(ui, icons::CLOCK_COUNTER_CLOCKWISE, tr!("No runs yet"), text, |ui| {
            if Button::secondary(tr!("Back to this run")).pressed(ui) {
                local.all = false;
            }
        });
        return;
    }
    page(ui, "runs", |ui| {
        title(ui, tr!("All runs"));
        widgets::muted(ui, tr!("Choose two or more to compare them. A star marks favourites."));
        queue(ui, project, out);
        list::show(ui, project, runs, local, out);
        let chosen: Vec<_> =
            local.chosen.iter().filter_map(|c| runs.iter().find(|r| r.folder == *c)).collect();
        if chosen.len() > 1 {
            compare::show(ui, project, &chosen, &mut local.compare, out);
        }
        sweep::show(ui, project, runs, &mut local.sweep, out);
    });
}

/// The runs that wait.
fn queue(ui: &mut Ui, project: &ProjectState, out: &mut Vec<Command>) {
    if project.history.queue.is_empty() {
        return;
    }
    card(ui, |ui| {
        ui.horizontal_wrapped(|ui| {
            let n = project.history.queue.len();
            let heading = if n == 1 {
                tr!("1 run is waiting").into()
            } else {
                tr!("{n} runs are waiting", n)
            };
            section(ui, &heading, "");
            let idle = !project.run.as_ref().is_some_and(LiveRun::active);
            let start = Button::secondary(tr!("Start the waiting runs")).small().icon(icons::PLAY);
            if idle && start.blocked(project.train_blocked().map(of)).pressed(ui) {
                out.push(Command::Runs(RunCommand::StartQueue));
            }
            if Button::secondary(tr!("Clear the queue")).small().pressed(ui) {
                out.push(Command::Runs(RunCommand::ClearQueue));
            }
        });
        for (index, waiting) in project.history.queue.iter().take(8).enumerate() {
            ui.horizontal(|ui| {
                let remove = tr!("Take {name} off the queue", name = waiting.notes.name);
                if Button::icon_only(icons::X, &remove).small().pressed(ui) {
                    out.push(Command::Runs(RunCommand::Unqueue(index)));
                }
                ui.add(egui::Label::new(waiting.notes.name.as_str()).truncate());
            });
        }
        let more = project.history.queue.len().saturating_sub(8);
        if more > 0 {
            let text = egui::RichText::new(tr!("and {more} more", more)).font(theme::small());
            ui.label(text);
        }
    });
}

//! Train: start, watch, pause, stop, and what came of it.

use egui::{RichText, Ui};

use super::{count, duration, gradients, insight, live_groups, run, tensors};
use crate::app::{AppState, Command, LiveRun, ProjectState, Step, StepStatus, Workspace};
use crate::tr;
use crate::train::{Control, RunState};
use crate::ui::icons;
use crate::ui::shell::Action;
use crate::ui::theme::{self, space};
use crate::ui::widgets::{self, Button, Kind, Mood, badge, banner, card, empty, page};

/// What only the drawing needs to know.
#[derive(Debug, Default)]
pub struct Local {
    /// Loss in powers of ten.
    pub log_loss: bool,
    /// How strongly the loss is smoothed, 0 for not at all.
    pub smooth: f64,
    /// Tensor whose plots are shown.
    pub tensor: Option<String>,
    /// Which share the heat strips show.
    pub heat: tensors::Heat,
}

/// The next action.
pub fn action(state: &AppState) -> Option<Action> {
    let Workspace::Open(project) = &state.workspace else { return None };
    let done = project.run.as_ref().is_some_and(|r| r.state == RunState::Done);
    if done && !project.stale() {
        return Some(Action {
            label: tr!("Next: Evaluate").to_owned(),
            icon: icons::ARROW_RIGHT,
            blocked: None,
            command: Command::Go(Step::Evaluate),
        });
    }
    let active = project.run.as_ref().is_some_and(LiveRun::active);
    if active {
        return Some(Action {
            label: tr!("Next: Evaluate").to_owned(),
            icon: icons::ARROW_RIGHT,
            blocked: Some(tr!("Evaluate opens when training is done.").to_owned()),
            command: Command::Go(Step::Evaluate),
        });
    }
    Some(Action {
        label: if project.run.is_some() { tr!("Train again") } else { tr!("Start training") }
            .to_owned(),
        icon: icons::PLAY,
        blocked: project.train_blocked().map(str::to_owned),
        command: Command::Train,
    })
}

/// Draws the step.
pub fn show(ui: &mut Ui, state: &AppState, local: &mut Local, out: &mut Vec<Command>) {
    let Workspace::Open(project) = &state.workspace else { return };
    let Some(run) = &project.run else {
        let text = tr!(
            "Everything is set. Training runs in the background; you can look around, pause it and stop it at any time."
        );
        empty(ui, icons::CHART_LINE_UP, tr!("Ready to train"), text, |ui| {
            if Button::secondary(tr!("Change settings")).pressed(ui) {
                out.push(Command::Go(Step::Configure));
            }
        });
        return;
    };
    page(ui, "train", |ui| {
        header(ui, run, out);
        if state.status(Step::Train) == StepStatus::Stale {
            banner(
                ui,
                Mood::Warn,
                icons::CLOCK_COUNTER_CLOCKWISE,
                tr!("This result is out of date"),
                tr!(
                    "Data or settings were changed since. It stays here; train again for a new one."
                ),
                |_| {},
            );
        }
        outcome(ui, project, run, out);
        if run.state == RunState::Preparing && run.start.is_none() {
            card(ui, |ui| preparing(ui, run));
        } else {
            run::figures(ui, run);
            insight::diagnosis(ui, run);
            run::curves(ui, run, local);
            insight::guard(ui, run, out);
            insight::shadow(ui, run);
            live_groups::show(ui, run);
            tensors::show(ui, run, local);
            gradients::show(ui, run);
            insight::memory(ui, run);
        }
        run::log(ui, run);
    });
}

fn preparing(ui: &mut Ui, run: &LiveRun) {
    let Some((rows, of)) = run.encoding.filter(|(rows, of)| rows < of) else {
        ui.horizontal(|ui| {
            ui.add(egui::Spinner::new().size(18.0)).accessible_name(tr!("Preparing"));
            widgets::muted(
                ui,
                tr!("Splitting the data, building the network, testing the engine…"),
            );
        });
        return;
    };
    widgets::muted(ui, tr!("Encoding all rows of the file, which is larger than memory…"));
    let share = rows as f32 / of.max(1) as f32;
    let (rows, of) = (count(rows as usize), count(of as usize));
    let text = tr!("{rows} of about {of} rows", rows, of);
    ui.add(egui::ProgressBar::new(share).text(text)).accessible_name(tr!("Encoding"));
}

fn state_badge(ui: &mut Ui, run: &LiveRun) {
    let (mood, glyph, text) = match run.state {
        RunState::Preparing => (Mood::Accent, icons::HOURGLASS, tr!("Preparing")),
        RunState::Running => (Mood::Accent, icons::PLAY, tr!("Training")),
        RunState::Paused => (Mood::Warn, icons::PAUSE, tr!("Paused")),
        RunState::Finishing => (Mood::Accent, icons::HOURGLASS, tr!("Testing the best model")),
        RunState::Done => (Mood::Good, icons::CHECK_CIRCLE, tr!("Done")),
        RunState::Failed => (Mood::Bad, icons::WARNING_CIRCLE, tr!("Failed")),
        RunState::Cancelled => (Mood::Neutral, icons::X_CIRCLE, tr!("Cancelled")),
    };
    badge(ui, mood, Some(glyph), text);
}

fn header(ui: &mut Ui, run: &LiveRun, out: &mut Vec<Command>) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = space::M;
        ui.add(egui::Label::new(RichText::new(tr!("Training")).font(theme::title())).extend());
        state_badge(ui, run);
        controls(ui, run, out);
    });
    if !run.active() {
        return;
    }
    if let Some(share) = run.fraction() {
        let width = ui.available_width();
        widgets::state::progress(ui, width, share, tr!("Training progress"));
    }
    if let (Some(start), Some(pace)) = (&run.start, run.pace) {
        let epoch = (pace.epoch.floor() as usize + 1).min(start.epochs);
        let left = match run.state {
            RunState::Paused => tr!("paused").to_owned(),
            _ => tr!("about {eta_seconds} left", eta_seconds = duration(pace.eta_seconds)),
        };
        widgets::muted(
            ui,
            tr!(
                "Epoch {epoch} of {epochs}  ·  step {step}  ·  {left}",
                epoch,
                epochs = start.epochs,
                step = count(pace.step as usize),
                left
            ),
        );
    }
}

fn controls(ui: &mut Ui, run: &LiveRun, out: &mut Vec<Command>) {
    if !run.active() {
        return;
    }
    let asked = run.asked.map(|_| tr!("Waiting for the current step to end."));
    let early = matches!(run.state, RunState::Preparing | RunState::Finishing)
        .then_some(tr!("Possible while it trains."));
    let blocked = asked.or(early);
    if run.state == RunState::Paused {
        if Button::primary(tr!("Resume")).icon(icons::PLAY).blocked(blocked).pressed(ui) {
            out.push(Command::Control(Control::Resume));
        }
    } else if Button::secondary(tr!("Pause")).icon(icons::PAUSE).blocked(blocked).pressed(ui) {
        out.push(Command::Control(Control::Pause));
    }
    let keep = Button::secondary(tr!("Stop and keep best"))
        .icon(icons::STOP)
        .blocked(blocked)
        .hint(tr!("Ends now; the best model so far becomes the result."));
    if keep.pressed(ui) {
        out.push(Command::Control(Control::StopAndKeepBest));
    }
    let cancel =
        Button::new(Kind::Danger, tr!("Discard")).hint(tr!("Ends now and throws this run away."));
    if cancel.blocked(asked).pressed(ui) {
        out.push(Command::Control(Control::Cancel));
    }
}

fn outcome(ui: &mut Ui, project: &ProjectState, run: &LiveRun, out: &mut Vec<Command>) {
    match run.state {
        RunState::Done => {
            if let Some(summary) = &run.summary {
                run::result(ui, project, summary);
            }
        }
        RunState::Failed => {
            if let Some(error) = &run.error {
                let (heading, text) = widgets::state::error_texts(error);
                banner(ui, Mood::Bad, icons::WARNING_CIRCLE, &heading, &text, |ui| {
                    if Button::secondary(tr!("Change settings")).small().pressed(ui) {
                        out.push(Command::Go(Step::Configure));
                    }
                });
            }
        }
        RunState::Cancelled => {
            let text = tr!("The run was thrown away. Start again when you like.");
            banner(ui, Mood::Neutral, icons::X_CIRCLE, tr!("Training was cancelled"), text, |_| {});
        }
        _ => {}
    }
}

//! Parts of the Configure step: what is watched while it trains, and what training will take.

use egui::Ui;

use super::configure::set;
use super::{bytes, count, duration};
use crate::app::estimating::EstimateState;
use crate::app::{Command, ProjectState};
use crate::engine::preflight::Verdict;
use crate::plan::memory;
use crate::text::{of, shown};
use crate::train::TrainConfig;
use crate::train::estimate::Estimate;
use crate::ui::icons;
use crate::ui::theme::space;
use crate::ui::widgets::field::number;
use crate::ui::widgets::page::fact;
use crate::ui::widgets::{self, Button, Mood, banner, labelled, section, small};
use crate::{key, tr};

/// What is watched.
pub fn card(ui: &mut Ui, config: &TrainConfig, out: &mut Vec<Command>) {
    widgets::card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::M;
        section(ui, tr!("Watching over 8 bits"), "");
        labelled(
            ui,
            tr!("Help tensors in trouble"),
            tr!("guard rails"),
            tr!(
                "Where many values do not fit in 8 bits for long, the tensor gets more headroom, a wider format, finer blocks, at last 32 bits. Each step is shown and can be undone."
            ),
            |ui| {
                let mut on = config.guard_rails;
                if ui.checkbox(&mut on, "").changed() {
                    set(out, config, key!("the guard rails"), |c| c.guard_rails = on);
                }
            },
        );
        labelled(
            ui,
            tr!("Try other recipes aside"),
            tr!("what-if quantisation: every so many steps, 0 never"),
            tr!(
                "The values of every tensor are also rounded in all other ways, to see which would lose least. Training itself is not changed."
            ),
            |ui| {
                let mut every = config.what_if_every;
                let drag = number(&mut every).range(0..=1_000_000).speed(1.0);
                if ui.add(drag.suffix(tr!(" steps"))).changed() {
                    set(out, config, key!("the what-if looks"), |c| c.what_if_every = every);
                }
            },
        );
        labelled(
            ui,
            tr!("Train the same in 32 bits beside it"),
            tr!("paired f32 shadow run"),
            tr!("Shows live how much 8 bits cost. Takes about twice the time and memory."),
            |ui| {
                let mut on = config.shadow;
                if ui.checkbox(&mut on, "").changed() {
                    set(out, config, key!("the f32 run beside it"), |c| c.shadow = on);
                }
            },
        );
    });
}

/// What training will take.
pub fn estimate(ui: &mut Ui, project: &ProjectState, out: &mut Vec<Command>) {
    widgets::card(ui, |ui| {
        section(ui, tr!("What it takes"), "");
        match project.estimate() {
            Some(Ok(found)) => known(ui, project, found, out),
            Some(Err(error)) => {
                small(ui, format!("{}.", shown(&error.what)));
                small(ui, shown(&error.advice));
            }
            None if matches!(project.estimate, EstimateState::None) => {
                small(ui, tr!("Worked out once a target is chosen and all settings are in range."));
            }
            None => {
                ui.horizontal(|ui| {
                    ui.add(egui::Spinner::new().size(14.0)).accessible_name(tr!("Working"));
                    small(ui, tr!("Building the network and timing a step…"));
                });
            }
        }
    });
}

fn known(ui: &mut Ui, project: &ProjectState, found: &Estimate, out: &mut Vec<Command>) {
    let preflight = &found.preflight;
    fact(ui, tr!("Memory"), &bytes(preflight.needed()));
    if let Some(free) = preflight.limits.total {
        small(ui, tr!("{free} are free", free = bytes(free)));
    }
    if let Some(seconds) = found.seconds() {
        fact(ui, tr!("Time"), &tr!("≈ {seconds} at most", seconds = duration(seconds)));
        small(
            ui,
            tr!("{steps} steps, validation not counted", steps = count(found.steps as usize)),
        );
    }
    if let Some(extent) = found.extent {
        fact(ui, tr!("Disk"), &bytes(extent.bytes));
        let rows = count(extent.rows);
        small(
            ui,
            tr!(
                "All of about {rows} rows of the file are trained on, from a temporary file beside the runs",
                rows
            ),
        );
    }
    let config = &project.project.train;
    match preflight.verdict {
        Verdict::Fits => {}
        Verdict::SmallerBatch(batch) => {
            let title = tr!("This does not fit in memory");
            let text = tr!("Batches of {batch} rows would.", batch);
            banner(ui, Mood::Warn, icons::WARNING_CIRCLE, title, &text, |ui| {
                if Button::secondary(&tr!("Use {batch} rows", batch)).small().pressed(ui) {
                    set(out, config, key!("the batch size"), |c| c.batch_size = batch);
                }
            });
        }
        Verdict::TooLarge => {
            let title = tr!("This does not fit in memory");
            let text = tr!("Not even with single rows. Choose fewer or narrower layers.");
            banner(ui, Mood::Bad, icons::WARNING_CIRCLE, title, text, |_| {});
        }
    }
    ui.add_space(space::XS);
    let all = memory::total(&preflight.predicted).max(1);
    for (purpose, taken) in &preflight.predicted {
        let share = *taken as f64 / all as f64;
        if share >= 0.005 {
            let percent = (share * 100.0).round();
            small(ui, format!("{}: {} ({percent:.0} %)", of(purpose.label()), bytes(*taken)));
        }
    }
}

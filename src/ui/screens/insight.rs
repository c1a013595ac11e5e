//! Parts of the Train step: how 8 bits do, what the guard rails did, how it compares with f32,
//! where the memory is.

use egui::Ui;

use super::bytes;
use crate::app::{Command, LiveRun};
use crate::plan::{Purpose, memory};
use crate::train::Control;
use crate::train::guard::Action;
use crate::train::insight::{BAND, MemoryReport, Tone};
use crate::ui::icons;
use crate::ui::theme::space;
use crate::ui::widgets::page::{column, fact};
use crate::ui::widgets::plot::{Curves, format_value};
use crate::ui::widgets::table::table;
use crate::ui::widgets::{Button, Mood, badge, banner, card, section, small};

/// Most actions that are listed; older ones are in the log.
const LISTED: usize = 6;

/// Actions of the guard rails for the time axis of a plot.
pub fn marks(run: &LiveRun) -> Vec<(f64, String)> {
    let standing = run.guard.iter().filter(|a| !a.undone);
    standing.map(|a| (run.epoch_of(a.step), format!("guard rails: {}", a.tensor))).collect()
}

/// The diagnosis, in one sentence.
pub fn diagnosis(ui: &mut Ui, run: &LiveRun) {
    let Some(found) = &run.diagnosis else { return };
    let (mood, glyph, title) = match found.tone {
        Tone::Good => (Mood::Good, icons::CHECK_CIRCLE, "8 bits do well"),
        Tone::Warning => (Mood::Warn, icons::WARNING, "One tensor needs a look"),
    };
    banner(ui, mood, glyph, title, &found.text, |_| {});
}

/// What the guard rails did.
pub fn guard(ui: &mut Ui, run: &LiveRun, out: &mut Vec<Command>) {
    if run.guard.is_empty() {
        return;
    }
    card(ui, |ui| {
        section(
            ui,
            "Guard rails",
            "Tensors that did not fit in 8 bits for long were helped. Dotted lines in the plots show when.",
        );
        for action in run.guard.iter().rev().take(LISTED) {
            action_line(ui, run, action, out);
        }
        if run.guard.len() > LISTED {
            small(ui, format!("{} earlier ones are in the log.", run.guard.len() - LISTED));
        }
    });
}

fn action_line(ui: &mut Ui, run: &LiveRun, action: &Action, out: &mut Vec<Command>) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        if action.undone {
            badge(ui, Mood::Neutral, None, "taken back");
        } else {
            let asked = run.asked.map(|_| "Waiting for the current step to end.");
            let ended = (!run.active()).then_some("Possible while it trains.");
            let name = format!("Undo: {} for {}", action.measure.describe(), action.tensor);
            let undo = Button::secondary("Undo")
                .small()
                .name(&name)
                .blocked(ended.or(asked))
                .hint("Takes this back; the guard rails leave the tensor alone from then on.");
            if undo.pressed(ui) {
                out.push(Command::Control(Control::UndoGuard(action.id)));
            }
        }
        small(ui, action.describe());
    });
}

/// How the run compares with the same in f32.
pub fn shadow(ui: &mut Ui, run: &LiveRun) {
    if run.shadow_gap.is_empty() {
        return;
    }
    card(ui, |ui| {
        section(
            ui,
            "Beside the same run in 32 bits",
            "Same rows in the same order, same random numbers. DeepSeek-V3 was trained within 0.25 % of its 16-bit loss.",
        );
        let available = ui.available_width();
        let wide = available > 620.0 && !run.cosines.is_empty();
        let width = if wide { (available - space::L) / 2.0 } else { available };
        let gap = |ui: &mut Ui| {
            Curves::new("gap", "Gap of the training loss", "Epoch")
                .curve("8 bits against f32", &run.shadow_gap, false)
                .band(BAND, "±0.25 %")
                .events(marks(run))
                .height(170.0)
                .percent()
                .show(ui);
            small(ui, "Above zero: f32 is better. Smoothed over about 50 steps.");
        };
        let cosines = |ui: &mut Ui| {
            let head = ["Gradient of layer", "Cosine to f32"];
            table(ui, "cosines", &head, run.cosines.len(), |ui, row, column| {
                let Some((layer, cosine)) = run.cosines.get(row) else { return };
                small(ui, if column == 0 { layer.clone() } else { format!("{cosine:.4}") });
            });
            small(ui, "At the same weights and rows; 1 is the same direction.");
        };
        if wide {
            ui.horizontal_top(|ui| {
                ui.spacing_mut().item_spacing.x = space::L;
                column(ui, width, gap);
                column(ui, width, cosines);
            });
        } else {
            gap(ui);
            if !run.cosines.is_empty() {
                cosines(ui);
            }
        }
        if let Some(report) = run.summary.as_ref().and_then(|s| s.insight.shadow.as_ref()) {
            small(ui, report.describe());
        }
    });
}

/// Where the memory is.
pub fn memory(ui: &mut Ui, run: &LiveRun) {
    let Some(report) = &run.memory else { return };
    card(ui, |ui| {
        section(ui, "Memory", "What training holds, by what it is for.");
        let rows = purposes(report);
        let head = ["For", "Predicted", "Measured"];
        table(ui, "memory", &head, rows.len() + 1, |ui, row, column| {
            let text = match (rows.get(row), column) {
                (Some((purpose, _)), 0) => purpose.label().to_owned(),
                (Some((_, [predicted, measured])), c) => {
                    bytes(if c == 1 { *predicted } else { *measured })
                }
                (None, 0) => "Together".to_owned(),
                (None, 1) => bytes(memory::total(&report.predicted)),
                (None, _) => bytes(memory::total(&report.measured)),
            };
            small(ui, text);
        });
        if let Some(peak) = report.process_peak {
            fact(ui, "Whole program at its peak", &bytes(peak));
            small(ui, "data, window and training together");
        }
    });
}

fn purposes(report: &MemoryReport) -> Vec<(Purpose, [u64; 2])> {
    let mut all: Vec<Purpose> =
        report.predicted.keys().chain(report.measured.keys()).copied().collect();
    all.sort_unstable();
    all.dedup();
    let of = |ledger: &memory::Ledger, p| ledger.get(&p).copied().unwrap_or(0);
    all.into_iter().map(|p| (p, [of(&report.predicted, p), of(&report.measured, p)])).collect()
}

/// The table of a tensor in other recipes.
pub fn what_if(ui: &mut Ui, run: &LiveRun, tensor: &str) {
    let Some(found) = run.what_if.iter().find(|w| w.tensor == tensor) else { return };
    let best = found.best().map(|b| (b.recipe.clone(), b.format));
    section(
        ui,
        "This tensor in other recipes",
        "The same values rounded in every other way. More decibels (dB) are better: 20 dB more is a tenth of the error.",
    );
    let head = ["Recipe", "Signal to noise", "Cut off", "To zero"];
    let rows: Vec<_> = std::iter::once(&found.now).chain(&found.others).collect();
    table(ui, "what if", &head, rows.len(), |ui, row, column| {
        let Some(a) = rows.get(row) else { return };
        let share = |v: f32| format_value(f64::from(v), true, false);
        let text = match column {
            0 => {
                let note = if row == 0 {
                    " (in use)"
                } else if best.as_ref().is_some_and(|(r, f)| *r == a.recipe && *f == a.format) {
                    " (loses least)"
                } else {
                    ""
                };
                format!("{} {:?}{note}", a.recipe, a.format)
            }
            1 => a.score.sqnr_db.map_or("–".to_owned(), |db| format!("{db:.1} dB")),
            2 => share(a.score.saturated),
            _ => share(a.score.flushed),
        };
        small(ui, text);
    });
}

//! Parts of the Train step: how 8 bits do, what the guard rails did, how it compares with f32,
//! where the memory is.

use egui::Ui;

use super::bytes;
use crate::app::{Command, LiveRun};
use crate::plan::{Purpose, memory};
use crate::text::{figure, of, shown};
use crate::tr;
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
    standing
        .map(|a| (run.epoch_of(a.step), tr!("guard rails: {tensor}", tensor = a.tensor)))
        .collect()
}

/// Those of one tensor.
pub fn marks_of(run: &LiveRun, tensor: &str) -> Vec<(f64, String)> {
    let standing = run.guard.iter().filter(|a| !a.undone && a.tensor == tensor);
    standing.map(|a| (run.epoch_of(a.step), shown(&a.measure.describe()).into_owned())).collect()
}

/// The diagnosis, in one sentence.
pub fn diagnosis(ui: &mut Ui, run: &LiveRun) {
    let Some(found) = &run.diagnosis else { return };
    let (mood, glyph, title) = match found.tone {
        Tone::Good => (Mood::Good, icons::CHECK_CIRCLE, tr!("8 bits do well")),
        Tone::Warning => (Mood::Warn, icons::WARNING, tr!("One tensor needs a look")),
    };
    banner(ui, mood, glyph, title, &shown(&found.text), |_| {});
}

/// What the guard rails did.
pub fn guard(ui: &mut Ui, run: &LiveRun, out: &mut Vec<Command>) {
    if run.guard.is_empty() {
        return;
    }
    card(ui, |ui| {
        section(
            ui,
            tr!("Guard rails"),
            tr!(
                "Tensors that did not fit in 8 bits for long were helped. Dotted lines in the plots show when."
            ),
        );
        for action in run.guard.iter().rev().take(LISTED) {
            action_line(ui, run, action, out);
        }
        if run.guard.len() > LISTED {
            small(ui, tr!("{n} earlier ones are in the log.", n = run.guard.len() - LISTED));
        }
    });
}

fn action_line(ui: &mut Ui, run: &LiveRun, action: &Action, out: &mut Vec<Command>) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        if action.undone {
            badge(ui, Mood::Neutral, None, tr!("taken back"));
        } else {
            let asked = run.asked.map(|_| tr!("Waiting for the current step to end."));
            let ended = (!run.active()).then_some(tr!("Possible while it trains."));
            let name = tr!(
                "Undo: {measure} for {tensor}",
                measure = shown(&action.measure.describe()),
                tensor = action.tensor
            );
            let undo =
                Button::secondary(tr!("Undo")).small().name(&name).blocked(ended.or(asked)).hint(
                    tr!("Takes this back; the guard rails leave the tensor alone from then on."),
                );
            if undo.pressed(ui) {
                out.push(Command::Control(Control::UndoGuard(action.id)));
            }
        }
        small(ui, shown(&action.describe()));
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
            tr!("Beside the same run in 32 bits"),
            tr!(
                "Same rows in the same order, same random numbers. DeepSeek-V3 was trained within 0.25 % of its 16-bit loss."
            ),
        );
        let available = ui.available_width();
        let wide = available > 620.0 && !run.cosines.is_empty();
        let width = if wide { (available - space::L) / 2.0 } else { available };
        let gap = |ui: &mut Ui| {
            Curves::new("gap", tr!("Gap of the training loss"), tr!("Epoch"))
                .curve(tr!("8 bits against f32"), &run.shadow_gap, false)
                .band(BAND, "±0.25 %")
                .events(marks(run))
                .height(170.0)
                .percent()
                .show(ui);
            small(ui, tr!("Above zero: f32 is better. Smoothed over about 50 steps."));
        };
        let cosines = |ui: &mut Ui| {
            let head = [tr!("Gradient of layer"), tr!("Cosine to f32")];
            table(ui, "cosines", &head, run.cosines.len(), |ui, row, column| {
                let Some((layer, cosine)) = run.cosines.get(row) else { return };
                small(ui, if column == 0 { layer.clone() } else { figure(format!("{cosine:.4}")) });
            });
            small(ui, tr!("At the same weights and rows; 1 is the same direction."));
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
            small(ui, shown(&report.describe()));
        }
    });
}

/// Where the memory is.
pub fn memory(ui: &mut Ui, run: &LiveRun) {
    let Some(report) = &run.memory else { return };
    card(ui, |ui| {
        section(ui, tr!("Memory"), tr!("What training holds, by what it is for."));
        let rows = purposes(report);
        let head = [tr!("For"), tr!("Predicted"), tr!("Measured")];
        table(ui, "memory", &head, rows.len() + 1, |ui, row, column| {
            let text = match (rows.get(row), column) {
                (Some((purpose, _)), 0) => of(purpose.label()).to_owned(),
                (Some((_, [predicted, measured])), c) => {
                    bytes(if c == 1 { *predicted } else { *measured })
                }
                (None, 0) => tr!("Together").to_owned(),
                (None, 1) => bytes(memory::total(&report.predicted)),
                (None, _) => bytes(memory::total(&report.measured)),
            };
            small(ui, text);
        });
        if let Some(peak) = report.process_peak {
            fact(ui, tr!("Whole program at its peak"), &bytes(peak));
            small(ui, tr!("data, window and training together"));
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
        tr!("This tensor in other recipes"),
        tr!(
            "The same values rounded in every other way. More decibels (dB) are better: 20 dB more is a tenth of the error."
        ),
    );
    let head = [tr!("Recipe"), tr!("Signal to noise"), tr!("Cut off"), tr!("To zero")];
    let rows: Vec<_> = std::iter::once(&found.now).chain(&found.others).collect();
    table(ui, "what if", &head, rows.len(), |ui, row, column| {
        let Some(a) = rows.get(row) else { return };
        let share = |v: f32| format_value(f64::from(v), true, false);
        let text = match column {
            0 => {
                let note = if row == 0 {
                    tr!(" (in use)")
                } else if best.as_ref().is_some_and(|(r, f)| *r == a.recipe && *f == a.format) {
                    tr!(" (loses least)")
                } else {
                    ""
                };
                format!("{} {:?}{note}", a.recipe, a.format)
            }
            1 => a.score.sqnr_db.map_or("–".to_owned(), |db| figure(format!("{db:.1} dB"))),
            2 => share(a.score.saturated),
            _ => share(a.score.flushed),
        };
        small(ui, text);
    });
}

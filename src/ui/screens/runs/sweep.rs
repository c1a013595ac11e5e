//! Several learning rates with several number formats, trained one after the other, and what came
//! of them.

use egui::Ui;

use crate::app::history::{self, PastRun};
use crate::app::{Command, PrecisionChoice, ProjectState, RunCommand};
use crate::text::{figure, of};
use crate::tr;
use crate::ui::icons;
use crate::ui::theme::space;
use crate::ui::widgets::plot::Curves;
use crate::ui::widgets::{Button, card, section, small};

/// Learning rates offered, as multiples of the chosen one.
const STEPS: [f32; 5] = [0.1, 0.3, 1.0, 3.0, 10.0];

/// What only the drawing needs to know.
#[derive(Debug)]
pub struct Local {
    rates: [bool; STEPS.len()],
    formats: [bool; PrecisionChoice::ALL.len()],
}

impl Default for Local {
    fn default() -> Self {
        Self {
            rates: [false, true, true, true, false],
            formats: PrecisionChoice::ALL.map(|f| {
                matches!(f, PrecisionChoice::Current | PrecisionChoice::Mx | PrecisionChoice::Full)
            }),
        }
    }
}

/// A learning rate of two digits, so that multiples read well.
fn rounded(rate: f32) -> f32 {
    let text = format!("{rate:.1e}");
    text.parse().unwrap_or(rate)
}

/// Draws the card.
pub fn show(
    ui: &mut Ui,
    project: &ProjectState,
    runs: &[PastRun],
    local: &mut Local,
    out: &mut Vec<Command>,
) {
    card(ui, |ui| {
        section(
            ui,
            tr!("Try several settings"),
            tr!(
                "Trains every pair of a learning rate and a number format, one after the other, with all else as in Configure."
            ),
        );
        let base = &project.project.train;
        small(ui, tr!("Learning rates"));
        ui.horizontal_wrapped(|ui| {
            for (on, step) in local.rates.iter_mut().zip(STEPS) {
                ui.checkbox(on, figure(rounded(base.learning_rate * step).to_string()));
                ui.add_space(space::S);
            }
        });
        small(ui, tr!("Number formats"));
        ui.horizontal_wrapped(|ui| {
            for (on, format) in local.formats.iter_mut().zip(PrecisionChoice::ALL) {
                ui.checkbox(on, of(format.name().1));
                ui.add_space(space::S);
            }
        });
        let rates: Vec<f32> = local
            .rates
            .iter()
            .zip(STEPS)
            .filter(|(on, _)| **on)
            .map(|(_, step)| rounded(base.learning_rate * step))
            .collect();
        let formats: Vec<PrecisionChoice> = local
            .formats
            .iter()
            .zip(PrecisionChoice::ALL)
            .filter(|(on, _)| **on)
            .map(|(_, format)| format)
            .collect();
        let count = rates.len() * formats.len();
        let blocked = match project.train_blocked() {
            _ if count == 0 => Some(tr!("Choose a learning rate and a number format.")),
            // Training itself is no hindrance: runs can wait.
            Some(why) if project.run.as_ref().is_none_or(|r| !r.active()) => Some(why),
            _ => None,
        };
        let label = if count == 1 {
            tr!("Queue 1 run").to_owned()
        } else {
            tr!("Queue {count} runs", count)
        };
        if Button::secondary(&label).icon(icons::LIST_CHECKS).blocked(blocked).pressed(ui) {
            let queued = history::sweep(base, &rates, &formats);
            out.push(Command::Runs(RunCommand::Queue(queued)));
        }
        results(ui, project, runs);
    });
}

/// Score over learning rate, by number format, of all runs that predict the same.
fn results(ui: &mut Ui, project: &ProjectState, runs: &[PastRun]) {
    let target = project.project.target.as_deref().unwrap_or_default();
    let alike = || runs.iter().filter(|r| r.finished() && r.target == target);
    let Some((kind, _)) = alike().find_map(PastRun::validation) else { return };
    let points = |format: PrecisionChoice| -> Vec<[f64; 2]> {
        let mut points: Vec<[f64; 2]> = alike()
            .filter(|r| PrecisionChoice::of(&r.config.precision) == format)
            .filter_map(|r| {
                let (k, value) = r.validation()?;
                (k == kind).then_some([f64::from(r.config.learning_rate), value])
            })
            .collect();
        points.sort_by(|a, b| a[0].total_cmp(&b[0]));
        points
    };
    if alike().count() < 2 {
        return;
    }
    ui.add_space(space::S);
    let title = tr!("{kind} on validation rows", kind = of(kind.label()));
    let mut plot = Curves::new("sweep", &title, tr!("Learning rate")).log_x().height(240.0);
    for format in PrecisionChoice::ALL {
        let points = points(format);
        if !points.is_empty() {
            plot = plot.scatter(of(format.name().1), points);
        }
    }
    if kind.is_share() {
        plot = plot.percent();
    }
    plot.show(ui);
    small(
        ui,
        tr!("One point per finished run. Judge by validation rows; test rows are for the end."),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_two_digits() {
        assert_eq!(rounded(0.001 * 0.3), 3e-4);
        assert_eq!(rounded(0.012_345), 0.012);
    }
}

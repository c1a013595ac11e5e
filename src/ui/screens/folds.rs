//! Cross-validation, beside the other settings.

use egui::Ui;

use super::count;
use crate::app::folds::{FOLDS, Folds, FoldsState};
use crate::app::{AppState, Command, ProjectState, TaskInfo};
use crate::text::{of, shown};
use crate::tr;
use crate::ui::icons;
use crate::ui::screens::score;
use crate::ui::widgets::field::number;
use crate::ui::widgets::table::table;
use crate::ui::widgets::{Button, Mood, badge, card, labelled, problem, save, section, small};

/// What only the drawing needs to know.
#[derive(Debug)]
pub struct Local {
    k: usize,
}

impl Default for Local {
    fn default() -> Self {
        Self { k: 5 }
    }
}

/// Draws the card.
pub fn show(
    ui: &mut Ui,
    state: &AppState,
    project: &ProjectState,
    local: &mut Local,
    out: &mut Vec<Command>,
) {
    card(ui, |ui| {
        section(
            ui,
            tr!("How much of the score is luck?"),
            tr!(
                "Cross-validation trains several times, each time tested on other rows. The test rows are left alone. It makes no model to keep."
            ),
        );
        labelled(
            ui,
            tr!("How many times?"),
            tr!("folds"),
            tr!("Rows are dealt into so many parts; each part is the test once."),
            |ui| {
                ui.add(number(&mut local.k).range(FOLDS).speed(0.1));
            },
        );
        match &project.folds {
            FoldsState::Running { task, .. } => {
                let share = state.tasks.get(*task).and_then(TaskInfo::fraction);
                ui.horizontal_wrapped(|ui| {
                    let bar = egui::ProgressBar::new(share.unwrap_or(0.0))
                        .desired_width((ui.available_width() - 110.0).max(60.0))
                        .desired_height(8.0);
                    ui.add(bar).accessible_name(tr!("Cross-validation under way"));
                    if Button::secondary(tr!("Cancel")).small().pressed(ui) {
                        out.push(Command::CancelTask(*task));
                    }
                });
            }
            other => {
                if let FoldsState::Failed(error) = other {
                    problem(ui, &format!("{}.", shown(&error.what)));
                    small(ui, shown(&error.advice));
                }
                let label = tr!("Train {n} times", n = local.k);
                let button = Button::secondary(&label).icon(icons::PLAY);
                if button.blocked(project.train_blocked().map(of)).pressed(ui) {
                    out.push(Command::CrossValidate(local.k));
                }
            }
        }
        if let Some((found, current)) = project.folds_found() {
            result(ui, found, current);
        }
    });
}

fn result(ui: &mut Ui, found: &Folds, current: bool) {
    ui.horizontal_wrapped(|ui| {
        small(ui, tr!("{k} folds of {rows} rows", k = found.k, rows = count(found.rows)));
        if !current {
            badge(ui, Mood::Warn, None, tr!("with other settings than now"));
        }
        save::menu_csv(ui, tr!("Cross-validation"), || {
            let rows = found.spreads.iter().flat_map(|s| {
                s.folds
                    .iter()
                    .enumerate()
                    .map(|(i, v)| [s.kind.label().to_owned(), (i + 1).to_string(), v.to_string()])
            });
            save::csv(&["metric", "fold", "value"], rows)
        });
    });
    let head = ["", tr!("Mean"), tr!("± spread"), tr!("Lowest"), tr!("Highest")];
    table(ui, "folds", &head, found.spreads.len(), |ui, row, column| {
        let Some(s) = found.spreads.get(row) else { return };
        let ends = s
            .folds
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
        let text = match column {
            0 => of(s.kind.label()).to_owned(),
            1 => score(s.kind, s.mean),
            2 => score(s.kind, s.std),
            3 => score(s.kind, ends.0),
            _ => score(s.kind, ends.1),
        };
        small(ui, text);
    });
    small(
        ui,
        tr!(
            "Spread: the standard deviation over the folds. A difference smaller than it may be luck."
        ),
    );
}

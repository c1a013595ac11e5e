//! Evaluate: whether the model can be trusted, for whom it fails, what FP8 cost or saved.

mod confidence;
mod fp8;
mod groups;
mod mistakes;
mod overview;
mod privacy;
mod robust;
mod rows;
pub mod try_it;

use egui::Ui;

use crate::app::{
    AppState, Command, EvaluationState, Pick, ProjectState, Step, StepStatus, TaskInfo, Workspace,
};
use crate::deploy::cost::Assumptions;
use crate::eval::Evaluation;
use crate::text::shown;
use crate::tr;
use crate::ui::icons;
use crate::ui::shell::Action;
use crate::ui::widgets::{self, Button, Mood, banner, empty, loading, page, segmented, title};

/// What is shown of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Tab {
    #[default]
    Overview,
    TryIt,
    Mistakes,
    Groups,
    Confidence,
    Robust,
    Privacy,
    Fp8,
}

/// What only the drawing needs to know.
#[derive(Debug, Default)]
pub struct Local {
    tab: Tab,
    mistakes: mistakes::Local,
    groups: groups::Local,
    try_it: try_it::Local,
    costs: Assumptions,
    bin: Option<usize>,
}

impl Local {
    /// Whether the model can be tried at the moment.
    pub fn trying(&self) -> bool {
        self.tab == Tab::TryIt
    }

    /// Shows where the model can be tried.
    pub fn show_trying(&mut self) {
        self.tab = Tab::TryIt;
    }
}

/// The next action.
pub fn action(state: &AppState) -> Option<Action> {
    let Workspace::Open(project) = &state.workspace else { return None };
    let blocked = match state.status(Step::Export) {
        StepStatus::Locked(why) => Some(why.to_owned()),
        _ => None,
    };
    let _ = project;
    Some(Action {
        label: tr!("Next: Export").to_owned(),
        icon: icons::ARROW_RIGHT,
        blocked,
        command: Command::Go(Step::Export),
    })
}

/// Draws the step.
pub fn show(ui: &mut Ui, state: &AppState, local: &mut Local, out: &mut Vec<Command>) {
    let Workspace::Open(project) = &state.workspace else { return };
    match &project.evaluation {
        EvaluationState::None => {
            let text = tr!(
                "The model is tried on rows that training never saw, and compared with simple answers."
            );
            empty(ui, icons::SCALES, tr!("Not judged yet"), text, |ui| {
                if Button::secondary(tr!("Judge the model")).pressed(ui) {
                    out.push(Command::Evaluate);
                }
            });
        }
        EvaluationState::Running { task, .. } => {
            let share = state.tasks.get(*task).and_then(TaskInfo::fraction);
            loading(ui, tr!("Judging the model…"), share, |ui| {
                if Button::secondary(tr!("Cancel")).pressed(ui) {
                    out.push(Command::CancelTask(*task));
                }
            });
        }
        EvaluationState::Failed(error) => {
            widgets::failed(ui, tr!("The model could not be judged"), error, |ui| {
                if Button::primary(tr!("Try again")).pressed(ui) {
                    out.push(Command::Evaluate);
                }
            });
        }
        EvaluationState::Done(found) => page(ui, "evaluate", |ui| {
            found_page(ui, state, project, found, local, out);
        }),
    }
}

fn found_page(
    ui: &mut Ui,
    state: &AppState,
    project: &ProjectState,
    found: &Evaluation,
    local: &mut Local,
    out: &mut Vec<Command>,
) {
    ui.horizontal_wrapped(|ui| {
        title(ui, tr!("Can you trust it?"));
        if Button::secondary(tr!("Save report…")).icon(icons::FILE).small().pressed(ui) {
            out.push(Command::Pick(Pick::ReportTo));
        }
    });
    if state.status(Step::Evaluate) == StepStatus::Stale {
        banner(
            ui,
            Mood::Warn,
            icons::CLOCK_COUNTER_CLOCKWISE,
            tr!("This is about a model older than your last changes"),
            tr!("Train again to judge one with the new data or settings."),
            |ui| {
                if Button::secondary(tr!("Go to Train")).small().pressed(ui) {
                    out.push(Command::Go(Step::Train));
                }
            },
        );
    }
    overview::headline(ui, found);
    if let Some((folds, true)) = project.folds_found() {
        let text = tr!("Cross-validation: {result}", result = shown(&folds.in_words()));
        banner(ui, Mood::Neutral, icons::INFO, &text, "", |_| {});
    }
    for note in &found.notes {
        banner(ui, Mood::Neutral, icons::INFO, &shown(note), "", |_| {});
    }
    let choices = [
        (Tab::Overview, tr!("All figures")),
        (Tab::TryIt, tr!("Try it")),
        (Tab::Mistakes, tr!("Mistakes")),
        (Tab::Groups, tr!("Groups")),
        (Tab::Confidence, tr!("Confidence")),
        (Tab::Robust, tr!("Robustness")),
        (Tab::Privacy, tr!("Privacy")),
        (Tab::Fp8, "FP8"),
    ];
    if let Some(tab) = segmented(ui, local.tab, &choices) {
        local.tab = tab;
    }
    match local.tab {
        Tab::Overview => overview::figures(ui, found),
        Tab::TryIt => try_it::show(ui, project, found, &mut local.try_it, out),
        Tab::Mistakes => mistakes::show(ui, project, found, &mut local.mistakes),
        Tab::Groups => groups::show(ui, project, found, &mut local.groups, out),
        Tab::Confidence => confidence::show(ui, project, found, &mut local.bin),
        Tab::Robust => robust::show(ui, found),
        Tab::Privacy => privacy::show(ui, found),
        Tab::Fp8 => fp8::show(ui, state, project, &mut local.costs, out),
    }
}

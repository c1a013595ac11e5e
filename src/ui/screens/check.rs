//! Check: what may be wrong with the data, with evidence and what to do.

use std::collections::{BTreeMap, BTreeSet};

use egui::{Label, Ui};

use super::count;
use crate::app::project_state::CheckState;
use crate::app::{AppState, Command, Preview, ProjectState, Step, Workspace};
use crate::project::Gate;
use crate::quality::fixes::{self, Fix};
use crate::quality::{Finding, Report, Severity};
use crate::text::{of, shown};
use crate::tr;
use crate::ui::icons;
use crate::ui::shell::Action;
use crate::ui::theme::{self, space};
use crate::ui::widgets::field::text_field;
use crate::ui::widgets::page::{fact, grid};
use crate::ui::widgets::plot::format_value;
use crate::ui::widgets::rows::Rows;
use crate::ui::widgets::{
    self, Button, Kind, Mood, badge, banner, card, empty, loading, page, section, small, stat,
    strong, title,
};

/// Evidence rows shown.
const EVIDENCE: usize = 100;

/// What only the drawing needs to know.
#[derive(Debug, Default)]
pub struct Local {
    /// Findings whose details are open, by place in the report.
    open: BTreeSet<usize>,
    /// Whether the list of all checks is open.
    all: bool,
    /// Reason being typed.
    reason: String,
    /// Fixes of the findings in view, for one dataset.
    fixes: BTreeMap<usize, Vec<Fix>>,
    of: usize,
}

/// The next action.
pub fn action(state: &AppState) -> Option<Action> {
    let Workspace::Open(project) = &state.workspace else { return None };
    Some(Action {
        label: tr!("Next: Configure").to_owned(),
        icon: icons::ARROW_RIGHT,
        blocked: project.schema().err().map(str::to_owned),
        command: Command::Go(Step::Configure),
    })
}

/// Draws the step.
pub fn show(ui: &mut Ui, state: &AppState, local: &mut Local, out: &mut Vec<Command>) {
    let Workspace::Open(project) = &state.workspace else { return };
    match &project.check {
        CheckState::None => {
            let text = tr!("Choose in Data what to predict; then the data is checked.");
            empty(ui, icons::LIST_CHECKS, tr!("Not checked yet"), text, |ui| {
                if Button::secondary(tr!("Check now")).blocked(project.schema().err()).pressed(ui) {
                    out.push(Command::Check);
                }
            });
        }
        CheckState::Running { task, .. } => {
            let share = state.tasks.get(*task).and_then(crate::app::TaskInfo::fraction);
            loading(ui, tr!("Looking for problems…"), share, |ui| {
                if Button::secondary(tr!("Cancel")).pressed(ui) {
                    out.push(Command::CancelTask(*task));
                }
            });
        }
        CheckState::Failed(error) => {
            widgets::failed(ui, tr!("The data could not be checked"), error, |ui| {
                if Button::primary(tr!("Try again")).pressed(ui) {
                    out.push(Command::Check);
                }
            });
        }
        CheckState::Done(report) => page(ui, "check", |ui| {
            title(ui, tr!("Is the data fit to learn from?"));
            widgets::muted(ui, shown(&report.summary));
            figures(ui, report);
            if report.cancelled {
                let text = tr!("Some checks did not run.");
                banner(
                    ui,
                    Mood::Warn,
                    icons::WARNING,
                    tr!("The check was stopped early"),
                    text,
                    |ui| {
                        if Button::secondary(tr!("Check again")).small().pressed(ui) {
                            out.push(Command::Check);
                        }
                    },
                );
            }
            if report.blocks() {
                accept(ui, project, report, local, out);
            }
            steps_card(ui, project, out);
            if report.findings.is_empty() && !report.cancelled {
                let text = tr!("None of the checks found a problem.");
                banner(ui, Mood::Good, icons::CHECK_CIRCLE, tr!("Nothing found"), text, |_| {});
            }
            for (index, finding) in report.findings.iter().enumerate() {
                show_finding(ui, project, index, finding, local, out);
            }
            all_checks(ui, report, local);
        }),
    }
}

fn figures(ui: &mut Ui, report: &Report) {
    let counted = |s| count(report.count(s));
    let ran = report.checks.iter().filter(|c| c.skipped.is_none()).count();
    let facts = [
        (
            tr!("Score"),
            tr!("{score} of 100", score = report.score),
            tr!("100: nothing found").to_owned(),
        ),
        (tr!("Serious"), counted(Severity::High), tr!("make results wrong").to_owned()),
        (tr!("Warnings"), counted(Severity::Warning), tr!("may harm the model").to_owned()),
        (tr!("Notes"), counted(Severity::Info), tr!("worth knowing").to_owned()),
        (tr!("Checks"), count(ran), tr!("of {checks} ran", checks = report.checks.len())),
    ];
    grid(ui, facts.len(), 130.0, |ui, i, width| {
        if let Some((name, value, below)) = facts.get(i) {
            stat(ui, width, name, value, below);
        }
    });
}

fn accept(
    ui: &mut Ui,
    project: &ProjectState,
    report: &Report,
    local: &mut Local,
    out: &mut Vec<Command>,
) {
    let gate = Gate::of(report, &project.project.accepted);
    if !gate.blocks() {
        let text = tr!("Training is possible. Keep the findings in mind when you judge the model.");
        banner(ui, Mood::Warn, icons::WARNING, tr!("You accepted serious problems"), text, |ui| {
            if Button::secondary(tr!("Take back")).small().pressed(ui) {
                out.push(Command::TakeBackAcceptance);
            }
        });
        return;
    }
    let text = tr!(
        "Fix them below, change the data or the column types, or accept them with a reason to train all the same."
    );
    banner(
        ui,
        Mood::Bad,
        icons::WARNING_CIRCLE,
        tr!("Serious problems block training"),
        text,
        |ui| {
            if Button::secondary(tr!("Change columns")).small().pressed(ui) {
                out.push(Command::Go(Step::Data));
            }
        },
    );
    card(ui, |ui| {
        ui.horizontal_wrapped(|ui| {
            let label = small(ui, tr!("Why they do no harm here"));
            let width = (ui.available_width() - 170.0).clamp(120.0, 420.0);
            text_field(ui, &mut local.reason, width, false).labelled_by(label.id);
            let empty = local.reason.trim().is_empty();
            let why = empty.then_some(tr!("Say why first: the reason is kept in the audit log."));
            if Button::secondary(tr!("Accept and go on")).blocked(why).pressed(ui) {
                out.push(Command::AcceptFindings { reason: local.reason.clone(), only: None });
                local.reason.clear();
            }
        });
    });
}

/// Ways to deal with a finding, and what the chosen one would change.
fn fixes_of(
    ui: &mut Ui,
    project: &ProjectState,
    index: usize,
    finding: &Finding,
    local: &mut Local,
    out: &mut Vec<Command>,
) {
    if let Some(preview) = project.preview.as_ref().filter(|p| p.finding == index) {
        show_preview(ui, preview, out);
        return;
    }
    let Ok(schema) = project.schema() else { return };
    // Working them out reads whole columns, so that is done once per finding and data.
    let of = std::sync::Arc::as_ptr(&project.dataset) as usize;
    if local.of != of {
        local.fixes.clear();
        local.of = of;
    }
    let fixes =
        local.fixes.entry(index).or_insert_with(|| fixes::of(finding, &project.dataset, schema));
    if fixes.is_empty() {
        return;
    }
    ui.horizontal_wrapped(|ui| {
        for fix in fixes {
            if Button::secondary(&format!("{}…", fix.label)).small().pressed(ui) {
                out.push(Command::PreviewFix { finding: index, fix: fix.clone() });
            }
        }
    });
}

fn show_preview(ui: &mut Ui, preview: &Preview, out: &mut Vec<Command>) {
    strong(ui, preview.fix.label.as_str());
    let blocked = match &preview.effects {
        None => {
            ui.horizontal(|ui| {
                ui.add(egui::Spinner::new().size(16.0)).accessible_name(tr!("Working"));
                small(ui, tr!("Working out what would change…"));
            });
            Some(tr!("What would change is being worked out."))
        }
        Some(Err(error)) => {
            let (what, below) = widgets::state::error_texts(error);
            widgets::problem(ui, &format!("{what} {below}"));
            Some(tr!("It cannot be done."))
        }
        Some(Ok(effects)) => {
            for effect in effects {
                small(ui, format!("{}: {}.", shown(&effect.label), shown(&effect.sentence())));
                for (row, before, after) in effect.examples.iter().take(4) {
                    let show = |t: &str| {
                        if t.is_empty() { tr!("(empty)").to_owned() } else { format!("“{t}”") }
                    };
                    small(
                        ui,
                        tr!(
                            "Row {row}: {before} becomes {after}",
                            row,
                            before = show(before),
                            after = show(after)
                        ),
                    );
                }
            }
            None
        }
    };
    ui.horizontal(|ui| {
        if Button::primary(tr!("Apply")).small().blocked(blocked).pressed(ui) {
            out.push(Command::ApplyFix);
        }
        if Button::secondary(tr!("Leave as it is")).small().pressed(ui) {
            out.push(Command::ClosePreview);
        }
    });
}

/// The changes made so far; the newest is taken back with undo.
fn steps_card(ui: &mut Ui, project: &ProjectState, out: &mut Vec<Command>) {
    let steps = &project.project.steps;
    if steps.is_empty() {
        return;
    }
    card(ui, |ui| {
        section(
            ui,
            tr!("Changes made"),
            tr!("Done to the data each time it is read; the file stays as it is."),
        );
        for (i, step) in steps.iter().enumerate() {
            ui.add(Label::new(format!("{}. {}", i + 1, shown(&step.label()))).wrap());
        }
        if Button::secondary(tr!("Undo the last edit")).small().pressed(ui) {
            out.push(Command::Undo);
        }
    });
}

fn look(severity: Severity) -> (Mood, char, &'static str) {
    match severity {
        Severity::High => (Mood::Bad, icons::WARNING_CIRCLE, tr!("serious")),
        Severity::Warning => (Mood::Warn, icons::WARNING, tr!("warning")),
        Severity::Info => (Mood::Neutral, icons::INFO, tr!("note")),
    }
}

fn show_finding(
    ui: &mut Ui,
    project: &ProjectState,
    index: usize,
    finding: &Finding,
    local: &mut Local,
    out: &mut Vec<Command>,
) {
    let (mood, glyph, word) = look(finding.severity);
    let accepted = project.project.accepted.iter().find(|a| a.covers(finding));
    let (colour, _) = mood.colours(theme::palette(ui));
    card(ui, |ui| {
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = space::M;
            widgets::icon(ui, glyph, 22.0, colour);
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = space::S;
                strong(ui, shown(&finding.title));
                ui.add(Label::new(shown(&finding.advice)).wrap());
                let open = local.open.contains(&index);
                ui.horizontal_wrapped(|ui| {
                    badge(ui, mood, None, word);
                    if let Some(accepted) = accepted {
                        badge(
                            ui,
                            Mood::Neutral,
                            None,
                            &tr!("accepted: {reason}", reason = accepted.reason),
                        );
                    }
                    for column in finding.columns.iter().take(6) {
                        badge(ui, Mood::Neutral, None, column);
                    }
                    if finding.columns.len() > 6 {
                        badge(ui, Mood::Neutral, None, &format!("+{}", finding.columns.len() - 6));
                    }
                    let label = if open { tr!("Hide details") } else { tr!("Show details") };
                    let icon = if open { icons::CARET_DOWN } else { icons::CARET_RIGHT };
                    if Button::new(Kind::Quiet, label).icon(icon).small().pressed(ui) {
                        if open {
                            local.open.remove(&index);
                        } else {
                            local.open.insert(index);
                        }
                    }
                });
                if open {
                    details(ui, project, index, finding);
                }
                fixes_of(ui, project, index, finding, local, out);
            });
        });
    });
}

fn details(ui: &mut Ui, project: &ProjectState, index: usize, finding: &Finding) {
    small(ui, of(finding.definition));
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = space::L;
        if let Some(value) = finding.value {
            fact(ui, tr!("Measured"), &format_value(value, false, true));
        }
        if let Some(threshold) = finding.threshold {
            fact(ui, tr!("Threshold"), &format_value(threshold, false, true));
        }
        if let Some(n) = finding.sampled {
            fact(ui, tr!("Rows looked at"), &count(n));
        }
        if finding.row_count > 0 {
            fact(ui, tr!("Rows concerned"), &count(finding.row_count));
        }
    });
    if !finding.rows.is_empty() {
        evidence(ui, project, index, finding);
    }
}

fn evidence(ui: &mut Ui, project: &ProjectState, index: usize, finding: &Finding) {
    let id = format!("evidence {index}");
    let rows = finding.rows.get(..EVIDENCE.min(finding.rows.len())).unwrap_or_default();
    Rows::new(&id, &project.dataset.samples, rows)
        .of(finding.row_count.max(finding.rows.len()))
        .first(finding.columns.iter().map(String::as_str))
        .only()
        .height(240.0)
        .show(ui);
}

fn all_checks(ui: &mut Ui, report: &Report, local: &mut Local) {
    let label = if local.all { tr!("Hide all checks") } else { tr!("Show all checks") };
    let icon = if local.all { icons::CARET_DOWN } else { icons::CARET_RIGHT };
    if Button::new(Kind::Quiet, label).icon(icon).pressed(ui) {
        local.all = !local.all;
    }
    if !local.all {
        return;
    }
    card(ui, |ui| {
        section(ui, tr!("All checks"), tr!("What each looks for, and how it measures."));
        for check in &report.checks {
            let p = theme::palette(ui);
            let (glyph, colour, state) = match (check.worst, &check.skipped) {
                (_, Some(why)) => {
                    (icons::CIRCLE_DASHED, p.muted, tr!("not run: {why}", why = shown(why)))
                }
                (None, None) => (icons::CHECK, p.success, tr!("nothing found").to_owned()),
                (Some(worst), None) => {
                    let (mood, glyph, _) = look(worst);
                    (glyph, mood.colours(p).0, tr!("{findings} found", findings = check.findings))
                }
            };
            ui.horizontal_top(|ui| {
                widgets::icon(ui, glyph, 16.0, colour);
                ui.vertical(|ui| {
                    ui.spacing_mut().item_spacing.y = 0.0;
                    ui.add(Label::new(format!("{}: {state}", of(check.title))).wrap());
                    small(ui, of(check.definition));
                });
            });
        }
    });
}

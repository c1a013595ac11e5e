//! Export: take the model along.

use egui::{Label, RichText, Ui};

use super::{bytes, count, sealed};
use crate::app::project_state::ExportState;
use crate::app::{AppState, Command, Pick, Step, StepStatus, Workspace};
use crate::export::sealed::Secret;
use crate::export::{ExportFormat, ExportReport, Variant};
use crate::text::{figure, of};
use crate::tr;
use crate::ui::icons;
use crate::ui::shell::Action;
use crate::ui::theme;
use crate::ui::widgets::page::fact;
use crate::ui::widgets::{
    self, Button, Mood, badge, banner, card, choice_cards, labelled, page, section, small, strong,
    title,
};

/// The next action.
pub fn action(state: &AppState) -> Option<Action> {
    let Workspace::Open(project) = &state.workspace else { return None };
    let blocked = match (&project.export, state.status(Step::Export)) {
        (_, StepStatus::Locked(why)) => Some(why.to_owned()),
        (ExportState::Writing(_), _) => Some(tr!("The file is being written.").to_owned()),
        _ => None,
    };
    let label = match project.export {
        ExportState::Done(_) => tr!("Save another copy…"),
        _ => tr!("Save model file…"),
    };
    Some(Action {
        label: label.to_owned(),
        icon: icons::DOWNLOAD_SIMPLE,
        blocked,
        command: Command::Pick(Pick::ExportTo),
    })
}

/// Draws the step.
pub fn show(ui: &mut Ui, state: &AppState, local: &mut sealed::Local, out: &mut Vec<Command>) {
    let Workspace::Open(project) = &state.workspace else { return };
    page(ui, "export", |ui| {
        title(ui, tr!("Take your model along"));
        widgets::muted(
            ui,
            tr!(
                "One file holds everything that is needed to predict: the weights, how each column is prepared, and the names of the answers. What will you use it for?"
            ),
        );
        if state.status(Step::Export) == StepStatus::Stale {
            banner(
                ui,
                Mood::Warn,
                icons::CLOCK_COUNTER_CLOCKWISE,
                tr!("This model is older than your last changes"),
                tr!("You can still save it. Train again to get one with the new data or settings."),
                |ui| {
                    if Button::secondary(tr!("Go to Train")).small().pressed(ui) {
                        out.push(Command::Go(Step::Train));
                    }
                },
            );
        }
        match &project.export {
            ExportState::None => {
                formats(ui, project.export_format, out);
                seal(ui, &project.export_passphrase, &mut local.show, out);
                what_you_get(ui, project.export_format);
            }
            ExportState::Writing(_) => {
                card(ui, |ui| {
                    ui.horizontal(|ui| {
                        ui.add(egui::Spinner::new().size(18.0)).accessible_name(tr!("Writing"));
                        widgets::muted(
                            ui,
                            tr!("Writing the file and proving that it predicts the same…"),
                        );
                    });
                });
            }
            ExportState::Failed(error) => {
                let (heading, text) = widgets::state::error_texts(error);
                banner(ui, Mood::Bad, icons::WARNING_CIRCLE, &heading, text.trim(), |_| {});
                formats(ui, project.export_format, out);
                seal(ui, &project.export_passphrase, &mut local.show, out);
                what_you_get(ui, project.export_format);
            }
            ExportState::Done(report) => {
                written(ui, report);
                let watch = Button::secondary(tr!("Watch it on new data"));
                if watch.icon(icons::HEARTBEAT).pressed(ui) {
                    out.push(Command::Go(Step::Monitor));
                }
                section(ui, tr!("Another format"), "");
                formats(ui, project.export_format, out);
                seal(ui, &project.export_passphrase, &mut local.show, out);
            }
        }
        sealed::seal_project(ui, project, local, out);
    });
}

/// What the model can be written as.
fn formats(ui: &mut Ui, current: ExportFormat, out: &mut Vec<Command>) {
    let choices: Vec<_> = ExportFormat::ALL
        .into_iter()
        .map(|format| {
            let (name, term, purpose) = format.words();
            (format, of(name).to_owned(), of(term).to_owned(), of(purpose).to_owned())
        })
        .collect();
    if let Some(format) = choice_cards(ui, Some(current), &choices) {
        out.push(Command::SetExportFormat(format));
    }
}

/// A passphrase, if the file is to be sealed.
fn seal(ui: &mut Ui, current: &Secret, show: &mut bool, out: &mut Vec<Command>) {
    card(ui, |ui| {
        labelled(
            ui,
            tr!("Seal it with a passphrase"),
            tr!("encryption (age); empty for none; a public key (age1…) does too"),
            tr!(
                "Only who knows the passphrase can open the file. Nobody can find it again for you."
            ),
            |ui| {
                let mut text = current.0.clone();
                if sealed::passphrase(ui, &mut text, show).changed() {
                    out.push(Command::SetExportPassphrase(Secret(text)));
                }
                if !current.0.is_empty() {
                    small(
                        ui,
                        tr!(
                            "The name gets the ending .age. Open it with this program (predict, unseal), age or rage."
                        ),
                    );
                }
            },
        );
    });
}

fn what_you_get(ui: &mut Ui, format: ExportFormat) {
    card(ui, |ui| {
        section(ui, tr!("What is in the file"), "");
        let weights = match format {
            ExportFormat::Safetensors | ExportFormat::Onnx(Variant::Portable | Variant::Qdq) => {
                tr!(
                    "Weights in 8 bits where the model was trained in 8 bits: a quarter of the usual size"
                )
            }
            ExportFormat::Onnx(Variant::Int8) => tr!("Weights as 8-bit whole numbers"),
            ExportFormat::Onnx(Variant::F32) => tr!("Weights in 32 bits"),
            ExportFormat::Bundle => {
                tr!("The model in 8 bits, in 32 bits and as 8-bit whole numbers")
            }
            ExportFormat::Pytorch => tr!("Weights in 32 bits, settings, and the training scripts"),
        };
        let prepare = match format {
            ExportFormat::Safetensors => {
                tr!("How to prepare each column, as fitted on the training rows")
            }
            ExportFormat::Pytorch => {
                tr!(
                    "Your rows as the model sees them, in the same split: pass it on only where you may pass on your data"
                )
            }
            ExportFormat::Bundle => {
                tr!(
                    "A model card, class names, rows with their answers and a script that compares, \
                 a description of the data, and a signature that shows every later change"
                )
            }
            ExportFormat::Onnx(_) => {
                tr!(
                    "The preparation of each column as part of the graph: it takes raw cells and gives names"
                )
            }
        };
        let mut lines = vec![
            (icons::PACKAGE, weights.to_owned()),
            (icons::SLIDERS_HORIZONTAL, prepare.to_owned()),
            (
                icons::SHIELD_CHECK,
                tr!("Checked on the spot: the file is read back and must predict what the trained model predicts")
                    .to_owned(),
            ),
        ];
        if let Some(needs) = format.needs() {
            lines.push((icons::INFO, tr!("Other programs need {needs} or newer", needs)));
        }
        for (glyph, text) in lines {
            ui.horizontal_top(|ui| {
                widgets::icon(ui, glyph, 18.0, theme::palette(ui).accent);
                ui.add(Label::new(text).wrap());
            });
        }
    });
}

fn written(ui: &mut Ui, report: &ExportReport) {
    let path = report.path.display().to_string();
    card(ui, |ui| {
        ui.horizontal_wrapped(|ui| {
            section(ui, tr!("The model file is written"), "");
            match report.rounding {
                None => badge(ui, Mood::Good, Some(icons::SHIELD_CHECK), tr!("predicts the same")),
                Some(_) => {
                    badge(ui, Mood::Neutral, Some(icons::SHIELD_CHECK), tr!("checked, rounded"))
                }
            };
        });
        ui.horizontal_wrapped(|ui| {
            ui.add(Label::new(RichText::new(&path).monospace()).wrap().selectable(true));
            if Button::icon_only(icons::COPY, tr!("Copy the path")).small().pressed(ui) {
                ui.ctx().copy_text(path.clone());
            }
        });
        fact(ui, tr!("Size"), &bytes(report.bytes));
        let all = report.tensors.len();
        let eight = report.tensors.iter().filter(|t| t.is_eight_bits()).count();
        fact(ui, tr!("Tensors in 8 bits"), &tr!("{eight} of {all}", eight, all));
        let difference = match report.max_difference {
            0.0 => tr!("none").to_owned(),
            d => figure(format!("{d:.1e}")),
        };
        let difference = tr!(
            "{difference}, on {proof_rows} rows",
            difference,
            proof_rows = count(report.proof_rows)
        );
        if report.rounding.is_none() {
            fact(ui, tr!("Largest difference to the trained model"), &difference);
        }
        if let Some(r) = &report.rounding {
            let same = tr!("{same} of {rows} rows", same = count(r.same), rows = count(r.rows));
            fact(ui, tr!("Same answer as the trained model"), &same);
            let largest = figure(format!("{:.1e}", r.max_difference));
            fact(ui, tr!("Largest change by rounding"), &largest);
        }
        if !report.files.is_empty() {
            fact(ui, tr!("Files inside"), &count(report.files.len()));
            if report.format == ExportFormat::Bundle {
                fact(ui, tr!("Signed"), tr!("with the key of this computer"));
            }
        }
        if let Some(needs) = report.needs {
            fact(ui, tr!("Other programs need"), &tr!("{needs} or newer", needs));
        }
    });
    card(ui, |ui| {
        section(ui, tr!("How to use it"), "");
        if report.format != ExportFormat::Pytorch {
            strong(ui, tr!("Predict with this program"));
            let command = format!("fp8-studio predict \"{path}\" new_rows.csv");
            code(ui, &command, tr!("Copy the command"));
        }
        let python = match report.format {
            ExportFormat::Pytorch => {
                strong(ui, tr!("Train on, once unpacked"));
                "torchrun --nproc-per-node 2 train.py\nfp8-studio import . -o better.safetensors"
                    .to_owned()
            }
            ExportFormat::Bundle => {
                strong(ui, tr!("Check it anywhere, once unpacked"));
                "pip install onnxruntime numpy\npython check.py".to_owned()
            }
            ExportFormat::Safetensors => {
                strong(ui, tr!("Look inside with Python"));
                format!(
                    "from safetensors import safe_open\nwith safe_open(r\"{path}\", \"pt\") as f:\n    print(f.metadata().keys(), list(f.keys()))"
                )
            }
            ExportFormat::Onnx(_) => {
                strong(ui, tr!("See what goes in and out with Python"));
                format!(
                    "import onnxruntime\nsession = onnxruntime.InferenceSession(r\"{path}\")\nfor port in session.get_inputs() + session.get_outputs():\n    print(port.name, port.type, port.shape)"
                )
            }
        };
        code(ui, &python, tr!("Copy the Python lines"));
        small(ui, tr!("Rows to predict need the same column names as the training data."));
    });
}

fn code(ui: &mut Ui, text: &str, copy: &str) {
    let p = theme::palette(ui);
    egui::Frame::new()
        .fill(p.sunken)
        .corner_radius(egui::CornerRadius::same(theme::radius::M))
        .inner_margin(egui::Margin::symmetric(12, 8))
        .show(ui, |ui| {
            ui.set_min_width(ui.available_width());
            ui.horizontal_top(|ui| {
                let room = (ui.available_width() - 40.0).max(80.0);
                ui.allocate_ui(egui::Vec2::new(room, 0.0), |ui| {
                    ui.set_width(room);
                    ui.add(Label::new(RichText::new(text).monospace()).wrap().selectable(true));
                });
                if Button::icon_only(icons::COPY, copy).small().pressed(ui) {
                    ui.ctx().copy_text(text.to_owned());
                }
            });
        });
}

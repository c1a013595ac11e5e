//! Part of Configure: privacy of rows, fairness between groups, hostile input.

use egui::Ui;

use super::configure::set;
use crate::app::{Command, ProjectState};
use crate::data::{Samples, Task};
use crate::train::{Architecture, Fair, Private, TrainConfig};
use crate::ui::theme::space;
use crate::ui::widgets::field::number;
use crate::ui::widgets::{card, labelled, problem, section, small};
use crate::{key, tr};

/// Draws the part.
pub fn show(ui: &mut Ui, project: &ProjectState, config: &TrainConfig, out: &mut Vec<Command>) {
    card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::M;
        section(
            ui,
            tr!("Safeguards"),
            tr!("Each costs some accuracy or time. Evaluate shows what it brings."),
        );
        privacy(ui, project, config, out);
        adversarial(ui, project, config, out);
        let columns = columns(project);
        if columns.is_empty() {
            return;
        }
        let classes = project.schema().is_ok_and(|s| s.task != Task::Regression);
        if classes {
            let hint = tr!(
                "Rows are weighted so that all groups of this column have equal shares of every answer."
            );
            let chosen = column(
                ui,
                tr!("Weigh groups alike"),
                tr!("reweighing by"),
                hint,
                &columns,
                config.reweigh.as_deref(),
            );
            if let Some(reweigh) = chosen {
                set(out, config, key!("weights by group"), |c| c.reweigh = reweigh);
            }
        }
        if project.schema().is_ok_and(|s| matches!(s.task, Task::Binary { .. })) {
            let hint = tr!(
                "Training is pulled towards calling equal shares of all groups of this column favourable."
            );
            let now = config.fair.as_ref();
            let chosen = column(
                ui,
                tr!("Treat groups alike"),
                tr!("fairness penalty by"),
                hint,
                &columns,
                now.map(|f| f.column.as_str()),
            );
            if let Some(chosen) = chosen {
                let strength = now.map_or(Fair::STRENGTH, |f| f.strength);
                let fair = chosen.map(|column| Fair { column, strength });
                set(out, config, key!("the fairness penalty"), |c| c.fair = fair);
            }
        }
        let hint = tr!("The score of every group of this column is drawn while it trains.");
        let chosen = column(
            ui,
            tr!("Watch groups while it trains"),
            tr!("live slices by"),
            hint,
            &columns,
            config.watch.as_deref(),
        );
        if let Some(watch) = chosen {
            set(out, config, key!("the groups watched"), |c| c.watch = watch);
        }
    });
}

/// Columns whose values can be groups.
fn columns(project: &ProjectState) -> Vec<&str> {
    let Samples::Table(table) = &project.dataset.samples else { return Vec::new() };
    let target = project.schema().map_or("", |s| s.target.as_str());
    let kinds = [crate::data::ColumnType::Category, crate::data::ColumnType::Boolean];
    let all = table.columns().iter();
    all.filter(|c| kinds.contains(&c.kind) && c.name() != target).map(|c| c.name()).collect()
}

/// A choice of one column or none; the new one, once it changes.
fn column(
    ui: &mut Ui,
    name: &str,
    term: &str,
    hint: &str,
    columns: &[&str],
    current: Option<&str>,
) -> Option<Option<String>> {
    let mut chosen = current.map(str::to_owned);
    labelled(ui, name, term, hint, |ui| {
        egui::ComboBox::from_id_salt(term)
            .width(180.0)
            .selected_text(current.unwrap_or(tr!("No")))
            .truncate()
            .show_ui(ui, |ui| {
                ui.selectable_value(&mut chosen, None, tr!("No"));
                for column in columns {
                    ui.selectable_value(&mut chosen, Some((*column).to_owned()), *column);
                }
            });
    });
    (chosen.as_deref() != current).then_some(chosen)
}

fn privacy(ui: &mut Ui, project: &ProjectState, config: &TrainConfig, out: &mut Vec<Command>) {
    labelled(
        ui,
        tr!("Keep rows private"),
        tr!("differential privacy (DP-SGD)"),
        tr!(
            "Bounds what anyone can learn from the model about a single training row. The order of rows and the noise are not repeatable."
        ),
        |ui| {
            let mut on = config.private.is_some();
            let rows = project.train_rows();
            if ui.checkbox(&mut on, "").changed() {
                let data = project.data_size();
                set(out, config, key!("private training"), |c| {
                    *c = if on {
                        c.with_privacy(Private::default(), rows)
                    } else {
                        TrainConfig { private: None, ..c.clone() }.suggest(data)
                    };
                });
            }
            let Some(private) = config.private else { return };
            ui.horizontal_wrapped(|ui| {
                let mut epsilon = private.epsilon;
                let drag = number(&mut epsilon).range(0.1..=50.0).speed(0.05).prefix("ε ");
                if ui
                    .add(drag)
                    .on_hover_text(tr!("Smaller protects more; usual are 1 to 10."))
                    .changed()
                {
                    let private = Private { epsilon, ..private };
                    set(out, config, key!("the privacy"), |c| c.private = Some(private));
                }
                let delta = private.delta.unwrap_or(0.1 / rows.max(1) as f64);
                small(ui, tr!("at δ = {delta}", delta = format_args!("{delta:.0e}")));
            });
            if !matches!(config.architecture, Architecture::Auto | Architecture::Mlp) {
                problem(ui, tr!("Only plain networks can be trained privately."));
            }
        },
    );
}

fn adversarial(ui: &mut Ui, project: &ProjectState, config: &TrainConfig, out: &mut Vec<Command>) {
    let image = project.data_size().image.is_some();
    let (unit, usual, speed) = if image {
        (tr!("of the way from black to white"), 0.1, 0.002)
    } else {
        (tr!("standard deviations"), 0.2, 0.01)
    };
    labelled(
        ui,
        tr!("Harden against attacks"),
        tr!("adversarial training"),
        tr!("Trains on rows that are changed a little so as to mislead the network."),
        |ui| {
            let mut on = config.adversarial.is_some();
            if ui.checkbox(&mut on, "").changed() {
                set(out, config, key!("adversarial training"), |c| {
                    c.adversarial = on.then_some(usual)
                });
            }
            let Some(mut size) = config.adversarial else { return };
            ui.horizontal_wrapped(|ui| {
                let drag = number(&mut size).range(0.001..=10.0).speed(speed);
                if ui.add(drag).on_hover_text(tr!("Largest change of each value")).changed() {
                    set(out, config, key!("adversarial training"), |c| c.adversarial = Some(size));
                }
                small(ui, unit);
            });
        },
    );
}

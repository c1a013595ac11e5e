//! What FP8 cost or saved.

use egui::{DragValue, Label, Ui};

use crate::app::{AppState, Command, ProjectState, TaskInfo, VerdictState};
use crate::deploy::cost::Assumptions;
use crate::eval::Verdict;
use crate::eval::verdict::Arm;
use crate::ui::icons;
use crate::ui::screens::bytes;
use crate::ui::screens::run::engine_name;
use crate::ui::widgets::plot::{Curves, format_value};
use crate::ui::widgets::table::table;
use crate::ui::widgets::{self, Button, Mood, banner, card, labelled, section, small};

/// Draws the part.
pub fn show(
    ui: &mut Ui,
    state: &AppState,
    project: &ProjectState,
    costs: &mut Assumptions,
    out: &mut Vec<Command>,
) {
    match &project.verdict {
        VerdictState::None => {
            card(ui, |ui| {
                section(
                    ui,
                    "Was 8 bits worth it?",
                    "The same network is trained again in 8, 16 and 32 bits, with the same seed and the same rows. That takes about three times as long as this training did.",
                );
                if Button::secondary("Compare now").icon(icons::SCALES).pressed(ui) {
                    out.push(Command::Compare);
                }
            });
        }
        VerdictState::Running { task, .. } => {
            card(ui, |ui| {
                let share = state.tasks.get(*task).and_then(TaskInfo::fraction).unwrap_or(0.0);
                section(ui, "Training in 8, 16 and 32 bits…", "You can look around meanwhile.");
                let width = ui.available_width().min(420.0);
                widgets::state::progress(ui, width, share, "Comparison");
                if Button::secondary("Cancel").small().pressed(ui) {
                    out.push(Command::CancelTask(*task));
                }
            });
        }
        VerdictState::Failed(error) => {
            let text = [error.place.to_string(), error.advice.clone()].join("\n");
            let heading = format!("{}.", error.what);
            banner(ui, Mood::Bad, icons::WARNING_CIRCLE, &heading, text.trim(), |ui| {
                if Button::secondary("Compare again").small().pressed(ui) {
                    out.push(Command::Compare);
                }
            });
        }
        VerdictState::Done(verdict) => {
            done(ui, verdict);
            cost(ui, verdict, costs);
        }
    }
}

fn done(ui: &mut Ui, v: &Verdict) {
    card(ui, |ui| {
        section(ui, "Was 8 bits worth it?", "");
        for sentence in &v.card {
            ui.add(Label::new(sentence.as_str()).wrap());
        }
        let (name, more) = engine_name(&v.engine);
        small(ui, format!("Measured on this machine: {name}, {more}. Seed {}.", v.seed));
    });
    card(ui, |ui| {
        section(ui, "Side by side", "");
        figures(ui, v);
    });
    card(ui, |ui| {
        let point = |a: &&Arm| [a.file_bytes as f64 / 1e3, a.score];
        let front: Vec<[f64; 2]> = v.arms.iter().filter(|a| a.pareto).map(|a| point(&a)).collect();
        let others: Vec<[f64; 2]> =
            v.arms.iter().filter(|a| !a.pareto).map(|a| point(&a)).collect();
        let title = format!("{} against size of the file", v.metric.label());
        let mut plot = Curves::new("pareto", &title, "Kilobytes")
            .scatter("no other is both better and smaller", front)
            .scatter("others", others)
            .height(200.0);
        if v.metric.is_share() {
            plot = plot.percent();
        }
        plot.show(ui);
        let named: Vec<String> = v
            .arms
            .iter()
            .map(|a| format!("{}: {}, {}", a.name, v.metric.format(a.score), bytes(a.file_bytes)))
            .collect();
        small(ui, named.join(" · "));
    });
}

/// What running it costs, with prices to be edited.
fn cost(ui: &mut Ui, v: &Verdict, a: &mut Assumptions) {
    card(ui, |ui| {
        section(
            ui,
            "What running it costs",
            "The prices are examples; put in your own. Speeds are those measured above.",
        );
        let drag = |ui: &mut Ui, value: &mut f64, least: f64, speed: f64| {
            ui.add(DragValue::new(value).range(least..=1e12).speed(speed).max_decimals(4));
        };
        labelled(ui, "Predictions a day", "load", "All rows predicted in one day", |ui| {
            drag(ui, &mut a.load, 1.0, 100.0);
        });
        labelled(ui, "Price of a kilowatt hour", "electricity", "In your currency", |ui| {
            drag(ui, &mut a.per_kilowatt_hour, 0.0, 0.01);
        });
        for place in &mut a.places {
            let term =
                if place.always_on { "paid around the clock" } else { "paid while it works" };
            let name = format!("An hour of {}", place.name);
            labelled(ui, &name, term, "In your currency", |ui| {
                drag(ui, &mut place.per_hour, 0.0, 0.01);
            });
        }
        let arm = |name| v.arms.iter().find(|arm| arm.name == name);
        let (Some(fp8), Some(f32)) = (arm("FP8"), arm("f32")) else { return };
        let head = [
            "Place",
            "FP8, 1,000 rows",
            "f32, 1,000 rows",
            "FP8, a training",
            "f32, a training",
            "Machines",
        ];
        table(ui, "costs", &head, a.places.len(), |ui, row, column| {
            let Some(place) = a.places.get(row) else { return };
            let [x, y] = [fp8, f32].map(|arm| a.cost(place, arm.fastest(), arm.train_seconds));
            let training = |c: Option<f64>| c.map_or("–".to_owned(), |c| format!("{c:.6}"));
            small(
                ui,
                match column {
                    0 => place.name.to_owned(),
                    1 => format!("{:.6}", x.per_thousand),
                    2 => format!("{:.6}", y.per_thousand),
                    3 => training(x.per_training),
                    4 => training(y.per_training),
                    _ => format!("{:.0}", x.machines),
                },
            );
        });
    });
}

fn figures(ui: &mut Ui, v: &Verdict) {
    let head = [
        "Model",
        v.metric.label(),
        "Against f32",
        "Loss gap",
        "ECE",
        "Worst group",
        "Same answers",
        "Training",
        "One row, middle",
        "One row, 95 %",
        "Rows/s at 128",
        "File",
        "Memory to train",
    ];
    table(ui, "verdict", &head, v.arms.len(), |ui, row, column| {
        let Some(a) = v.arms.get(row) else { return };
        let none = || "–".to_owned();
        let text = match column {
            0 => a.name.to_owned(),
            1 => v.metric.format(a.score),
            2 => format!("{:+.4}", a.difference),
            3 => format!("{:+.4}", a.loss_gap),
            4 => a.ece.map_or_else(none, |e| format_value(e, true, false)),
            5 => a
                .worst_slice
                .as_ref()
                .map_or_else(none, |(_, value)| format_value(*value, v.metric.is_share(), false)),
            6 => format_value(a.agreement, true, false),
            7 => a.train_seconds.map_or_else(none, |s| format!("{s:.1} s")),
            8 => format!("{:.0} µs", a.latency_p50),
            9 => format!("{:.0} µs", a.latency_p95),
            10 => a
                .throughput
                .iter()
                .find(|t| t.0 == 128)
                .map_or_else(none, |t| format!("{:.0}", t.1)),
            11 => bytes(a.file_bytes),
            _ => bytes(a.memory_bytes),
        };
        let response = small(ui, text);
        let hover = match (column, &a.worst_slice) {
            (1, _) => format!(
                "95 % range {} to {}",
                v.metric.format(a.interval.low),
                v.metric.format(a.interval.high)
            ),
            (2, _) => format!(
                "95 % range {:+.4} to {:+.4}",
                a.difference_interval.low, a.difference_interval.high
            ),
            (5, Some((name, _))) => name.clone(),
            _ => return,
        };
        response.on_hover_text(hover);
    });
}

//! What FP8 cost or saved.

use egui::{Label, Ui};

use crate::app::{AppState, Command, ProjectState, TaskInfo, VerdictState};
use crate::deploy::cost::Assumptions;
use crate::eval::Verdict;
use crate::eval::verdict::Arm;
use crate::text::{figure, of, shown};
use crate::tr;
use crate::ui::icons;
use crate::ui::screens::bytes;
use crate::ui::screens::run::engine_name;
use crate::ui::screens::score;
use crate::ui::widgets::field::number;
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
                    tr!("Was 8 bits worth it?"),
                    tr!(
                        "The same network is trained again in 8, 16 and 32 bits, with the same seed and the same rows. That takes about three times as long as this training did."
                    ),
                );
                if Button::secondary(tr!("Compare now")).icon(icons::SCALES).pressed(ui) {
                    out.push(Command::Compare);
                }
            });
        }
        VerdictState::Running { task, .. } => {
            card(ui, |ui| {
                let share = state.tasks.get(*task).and_then(TaskInfo::fraction).unwrap_or(0.0);
                section(
                    ui,
                    tr!("Training in 8, 16 and 32 bits…"),
                    tr!("You can look around meanwhile."),
                );
                let width = ui.available_width().min(420.0);
                widgets::state::progress(ui, width, share, tr!("Comparison"));
                if Button::secondary(tr!("Cancel")).small().pressed(ui) {
                    out.push(Command::CancelTask(*task));
                }
            });
        }
        VerdictState::Failed(error) => {
            let (heading, text) = widgets::state::error_texts(error);
            banner(ui, Mood::Bad, icons::WARNING_CIRCLE, &heading, text.trim(), |ui| {
                if Button::secondary(tr!("Compare again")).small().pressed(ui) {
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
        section(ui, tr!("Was 8 bits worth it?"), "");
        for sentence in &v.card {
            ui.add(Label::new(shown(sentence)).wrap());
        }
        let (name, more) = engine_name(&v.engine);
        small(
            ui,
            tr!(
                "Measured on this machine: {name}, {more}. Seed {seed}.",
                name,
                more,
                seed = v.seed
            ),
        );
    });
    card(ui, |ui| {
        section(ui, tr!("Side by side"), "");
        figures(ui, v);
    });
    card(ui, |ui| {
        let point = |a: &&Arm| [a.file_bytes as f64 / 1e3, a.score];
        let front: Vec<[f64; 2]> = v.arms.iter().filter(|a| a.pareto).map(|a| point(&a)).collect();
        let others: Vec<[f64; 2]> =
            v.arms.iter().filter(|a| !a.pareto).map(|a| point(&a)).collect();
        let title = tr!("{metric} against size of the file", metric = of(v.metric.label()));
        let mut plot = Curves::new("pareto", &title, tr!("Kilobytes"))
            .scatter(tr!("no other is both better and smaller"), front)
            .scatter(tr!("others"), others)
            .height(200.0);
        if v.metric.is_share() {
            plot = plot.percent();
        }
        plot.show(ui);
        let named: Vec<String> = v
            .arms
            .iter()
            .map(|a| format!("{}: {}, {}", a.name, score(v.metric, a.score), bytes(a.file_bytes)))
            .collect();
        small(ui, named.join(" · "));
    });
}

/// What running it costs, with prices to be edited.
fn cost(ui: &mut Ui, v: &Verdict, a: &mut Assumptions) {
    card(ui, |ui| {
        section(
            ui,
            tr!("What running it costs"),
            tr!("The prices are examples; put in your own. Speeds are those measured above."),
        );
        let drag = |ui: &mut Ui, value: &mut f64, least: f64, speed: f64| {
            ui.add(number(value).range(least..=1e12).speed(speed).max_decimals(4));
        };
        labelled(
            ui,
            tr!("Predictions a day"),
            tr!("load"),
            tr!("All rows predicted in one day"),
            |ui| {
                drag(ui, &mut a.load, 1.0, 100.0);
            },
        );
        labelled(
            ui,
            tr!("Price of a kilowatt hour"),
            tr!("electricity"),
            tr!("In your currency"),
            |ui| {
                drag(ui, &mut a.per_kilowatt_hour, 0.0, 0.01);
            },
        );
        for place in &mut a.places {
            let term = if place.always_on {
                tr!("paid around the clock")
            } else {
                tr!("paid while it works")
            };
            let name = tr!("An hour of {name}", name = shown(place.name));
            labelled(ui, &name, term, tr!("In your currency"), |ui| {
                drag(ui, &mut place.per_hour, 0.0, 0.01);
            });
        }
        let arm = |name| v.arms.iter().find(|arm| arm.name == name);
        let (Some(fp8), Some(f32)) = (arm("FP8"), arm("f32")) else { return };
        let head = [
            tr!("Place"),
            tr!("FP8, 1,000 rows"),
            tr!("f32, 1,000 rows"),
            tr!("FP8, a training"),
            tr!("f32, a training"),
            tr!("Machines"),
        ];
        table(ui, "costs", &head, a.places.len(), |ui, row, column| {
            let Some(place) = a.places.get(row) else { return };
            let [x, y] = [fp8, f32].map(|arm| a.cost(place, arm.fastest(), arm.train_seconds));
            let training =
                |c: Option<f64>| c.map_or("–".to_owned(), |c| figure(format!("{c:.6}")));
            small(
                ui,
                match column {
                    0 => shown(place.name).into_owned(),
                    1 => figure(format!("{:.6}", x.per_thousand)),
                    2 => figure(format!("{:.6}", y.per_thousand)),
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
        tr!("Model"),
        of(v.metric.label()),
        tr!("Against f32"),
        tr!("Loss gap"),
        "ECE",
        tr!("Worst group"),
        tr!("Same answers"),
        tr!("Training"),
        tr!("One row, middle"),
        tr!("One row, 95 %"),
        tr!("Rows/s at 128"),
        tr!("File"),
        tr!("Memory to train"),
    ];
    table(ui, "verdict", &head, v.arms.len(), |ui, row, column| {
        let Some(a) = v.arms.get(row) else { return };
        let none = || "–".to_owned();
        let text = match column {
            0 => a.name.to_owned(),
            1 => score(v.metric, a.score),
            2 => figure(format!("{:+.4}", a.difference)),
            3 => figure(format!("{:+.4}", a.loss_gap)),
            4 => a.ece.map_or_else(none, |e| format_value(e, true, false)),
            5 => a
                .worst_slice
                .as_ref()
                .map_or_else(none, |(_, value)| format_value(*value, v.metric.is_share(), false)),
            6 => format_value(a.agreement, true, false),
            7 => a.train_seconds.map_or_else(none, |s| figure(format!("{s:.1} s"))),
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
            (1, _) => tr!(
                "95 % range {low} to {high}",
                low = score(v.metric, a.interval.low),
                high = score(v.metric, a.interval.high)
            ),
            (2, _) => tr!(
                "95 % range {low:+.4} to {high:+.4}",
                low = a.difference_interval.low,
                high = a.difference_interval.high
            ),
            (5, Some((name, _))) => name.clone(),
            _ => return,
        };
        response.on_hover_text(hover);
    });
}

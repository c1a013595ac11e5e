//! Parts of the Train step: figures, curves, result, log.

use egui::{Label, RichText, Ui};

use super::train::Local;
use super::{count, duration};
use crate::app::{LiveRun, ProjectState};
use crate::device::DeviceChoice;
use crate::engine::EngineInfo;
use crate::metrics::MetricKind;
use crate::train::{StopReason, Summary};
use crate::ui::icons;
use crate::ui::theme::{self, space};
use crate::ui::widgets::page::{column, fact, grid};
use crate::ui::widgets::plot::{Curves, format_value};
use crate::ui::widgets::{self, Mood, card, section, segmented, small, stat};

/// A metric's name inside a sentence.
fn in_a_sentence(kind: MetricKind) -> String {
    let label = kind.label();
    let word = label.chars().skip(1).all(|c| c.is_lowercase() || c == ' ');
    // Names such as RMSE or R² stay as they are.
    if word && label.len() > 3 { label.to_lowercase() } else { label.to_owned() }
}

/// The engine in words.
pub fn engine_name(engine: &EngineInfo) -> (String, String) {
    match engine {
        EngineInfo::Cpu { threads, simd } => {
            ("CPU".to_owned(), format!("{threads} threads, {simd}"))
        }
        EngineInfo::Gpu(adapter) => (adapter.name.clone(), adapter.backend.clone()),
    }
}

/// The row of figures.
pub fn figures(ui: &mut Ui, run: &LiveRun) {
    let mut facts: Vec<(String, String, String)> = Vec::new();
    let loss = |v: f32| format_value(f64::from(v), false, false);
    if let Some(pace) = run.pace {
        let rate =
            format!("learning rate {}", format_value(f64::from(pace.learning_rate), false, false));
        let newest = run.train_loss.last().map_or(pace.loss, |(_, y)| y as f32);
        facts.push(("Training loss".to_owned(), loss(newest), rate));
    }
    if let Some(last) = run.last_epoch {
        let best = run.best.map_or(String::new(), |b| {
            format!("best {} in epoch {}", loss(b.validation_loss), b.epoch)
        });
        facts.push(("Validation loss".to_owned(), loss(last.validation_loss), best));
        if let Some((kind, value)) = last.metric {
            facts.push((
                format!("Validation {}", in_a_sentence(kind)),
                kind.format(value),
                format!("after epoch {}", last.epoch),
            ));
        }
    }
    if let Some(pace) = run.pace {
        facts.push((
            "Speed".to_owned(),
            count(pace.rows_per_second as usize),
            "rows per second".to_owned(),
        ));
    }
    if let Some(start) = &run.start {
        let (name, more) = engine_name(&start.engine);
        facts.push(("Computed by".to_owned(), name, more));
    }
    grid(ui, facts.len(), 150.0, |ui, i, width| {
        if let Some((name, value, below)) = facts.get(i) {
            stat(ui, width, name, value, below);
        }
    });
    if let Some(why) = run.start.as_ref().and_then(|s| s.fallback.as_ref()) {
        if run.basis.train.device == DeviceChoice::Auto {
            small(ui, format!("{why}."));
        } else {
            let heading = "Another engine is used than asked for";
            widgets::banner(ui, Mood::Warn, icons::INFO, heading, why, |_| {});
        }
    }
}

/// The curves of loss and metric.
pub fn curves(ui: &mut Ui, run: &LiveRun, local: &mut Local) {
    let available = ui.available_width();
    if run.metrics.is_empty() {
        card(ui, |ui| loss_plot(ui, run, local));
    } else if available > 700.0 {
        let width = (available - space::M) / 2.0;
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = space::M;
            column(ui, width, |ui| card(ui, |ui| loss_plot(ui, run, local)));
            column(ui, width, |ui| card(ui, |ui| metric_plot(ui, run)));
        });
    } else {
        card(ui, |ui| loss_plot(ui, run, local));
        card(ui, |ui| metric_plot(ui, run));
    }
}

fn loss_plot(ui: &mut Ui, run: &LiveRun, local: &mut Local) {
    let best = run.best.map(|b| {
        (b.epoch as f64, f64::from(b.validation_loss), format!("best: epoch {}", b.epoch))
    });
    Curves::new("loss", "Loss", "Epoch")
        .curve("training", &run.train_loss, false)
        .curve("validation", &run.validation_loss, true)
        .mark(best)
        .log(local.log_loss)
        .show(ui);
    let choices = [(false, "Linear scale"), (true, "Logarithmic")];
    if let Some(log) = segmented(ui, local.log_loss, &choices) {
        local.log_loss = log;
    }
}

fn metric_plot(ui: &mut Ui, run: &LiveRun) {
    let Some((kind, series)) = run.metrics.first() else { return };
    let title = format!("{} on validation rows", kind.label());
    let mut plot = Curves::new("metric", &title, "Epoch").curve(kind.label(), series, false);
    if *kind == MetricKind::Accuracy {
        plot = plot.percent();
    }
    let best = run.best.and_then(|b| {
        let (_, value) = b.metric?;
        Some((b.epoch as f64, value, format!("best: epoch {}", b.epoch)))
    });
    plot.mark(best).show(ui);
    small(ui, kind.explanation());
}

/// What came of the run, in plain words.
pub fn in_words(project: &ProjectState, summary: &Summary) -> (String, String) {
    let target = project.project.target.as_deref().unwrap_or("the answer");
    let rows = count(summary.test.rows);
    let measured = format!("Measured on {rows} test rows that training never saw.");
    let Some((kind, value)) = summary.test.main() else {
        let words = "The model is trained, but there were no test rows to measure it on.";
        return (words.to_owned(), String::new());
    };
    let percent = |share: f64| format!("{:.0}", share * 100.0);
    let answer = match kind {
        MetricKind::Accuracy => {
            return (
                format!("Of 100 new rows, it gets about {} right.", percent(value)),
                format!(
                    "Always giving the commonest answer would get about {} right. {measured}",
                    percent(summary.baseline)
                ),
            );
        }
        MetricKind::R2 => {
            format!("It explains {} % of what makes {target} differ.", percent(value))
        }
        _ => {
            format!("{}: {}.", kind.label(), kind.format(value))
        }
    };
    let error = summary.test.get(MetricKind::Mae).map_or(String::new(), |e| {
        format!(" On average it is off by {}.", MetricKind::Mae.format(e))
    });
    (
        answer + &error,
        format!(
            "Always answering with the mean would reach {} {}. {measured}",
            kind.label(),
            kind.format(summary.baseline)
        ),
    )
}

/// The result card.
pub fn result(ui: &mut Ui, project: &ProjectState, summary: &Summary) {
    let p = theme::palette(ui);
    card(ui, |ui| {
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = space::XL;
            if let Some((kind, value)) = summary.test.metrics.first() {
                ui.vertical(|ui| {
                    ui.set_width(150.0);
                    ui.spacing_mut().item_spacing.y = 0.0;
                    let text = kind.format(*value);
                    let text = RichText::new(text).font(theme::display()).color(p.success);
                    ui.add(Label::new(text).extend());
                    small(ui, format!("test {}", in_a_sentence(*kind)));
                });
            }
            ui.vertical(|ui| {
                let (words, context) = in_words(project, summary);
                ui.add(Label::new(RichText::new(words).font(theme::heading())).wrap());
                widgets::muted(ui, context);
                ui.horizontal_wrapped(|ui| {
                    ui.spacing_mut().item_spacing.x = space::L;
                    fact(ui, "Took", &duration(summary.seconds));
                    fact(
                        ui,
                        "Best epoch",
                        &format!("{} of {}", summary.best_epoch, summary.epochs),
                    );
                    fact(ui, "Parameters", &count(summary.parameters));
                });
                small(
                    ui,
                    match summary.reason {
                        StopReason::Completed => "All epochs are done.",
                        StopReason::EarlyStopped => {
                            "It ended early because it had stopped getting better."
                        }
                        StopReason::Stopped => "You stopped it; the best model so far was kept.",
                        StopReason::Cancelled => "It was cancelled.",
                    },
                );
                if let Some(privacy) = &summary.privacy {
                    small(
                        ui,
                        format!("Private: ε {:.2} at δ {:.0e}.", privacy.epsilon, privacy.delta),
                    )
                    .on_hover_text(privacy.describe());
                }
            });
        });
    });
}

/// The log.
pub fn log(ui: &mut Ui, run: &LiveRun) {
    if run.log.is_empty() {
        return;
    }
    card(ui, |ui| {
        section(ui, "Log", "");
        let height = ui.text_style_height(&egui::TextStyle::Monospace) + 2.0;
        egui::ScrollArea::vertical()
            .id_salt("log")
            .max_height(160.0)
            .stick_to_bottom(true)
            .auto_shrink([false, true])
            .show_rows(ui, height, run.log.len(), |ui, rows| {
                ui.spacing_mut().item_spacing.y = 2.0;
                for line in run.log.range(rows) {
                    let text = RichText::new(line).monospace().color(theme::palette(ui).muted);
                    ui.add(Label::new(text).truncate().selectable(true));
                }
            });
    });
}

//! Parts of the Train step: figures, curves, result, log.

use egui::{Label, RichText, Ui};

use super::train::Local;
use super::{count, duration, insight};
use crate::app::{LiveRun, ProjectState};
use crate::device::DeviceChoice;
use crate::engine::EngineInfo;
use crate::metrics::MetricKind;
use crate::text::{of, shown, within};
use crate::tr;
use crate::train::{StopReason, Summary};
use crate::ui::icons;
use crate::ui::screens::score;
use crate::ui::theme::{self, space};
use crate::ui::widgets::page::{column, fact, grid};
use crate::ui::widgets::plot::{Curves, format_value};
use crate::ui::widgets::{self, Mood, card, section, segmented, small, stat};

/// A metric's name inside a sentence.
fn in_a_sentence(kind: MetricKind) -> String {
    let label = kind.label();
    let word = label.chars().skip(1).all(|c| c.is_lowercase() || c == ' ');
    // Names such as RMSE or R² stay as they are.
    if word && label.len() > 3 { within(of(label)) } else { of(label).to_owned() }
}

/// The engine in words.
pub fn engine_name(engine: &EngineInfo) -> (String, String) {
    match engine {
        EngineInfo::Cpu { threads, simd } => {
            ("CPU".to_owned(), tr!("{threads} threads, {simd}", threads, simd))
        }
        EngineInfo::Gpu(adapter) => (adapter.name.clone(), adapter.backend.clone()),
    }
}

/// The row of figures.
pub fn figures(ui: &mut Ui, run: &LiveRun) {
    let mut facts: Vec<(String, String, String)> = Vec::new();
    let loss = |v: f32| format_value(f64::from(v), false, false);
    if let Some(pace) = run.pace {
        let rate = tr!(
            "learning rate {rate}",
            rate = format_value(f64::from(pace.learning_rate), false, false)
        );
        let newest = run.train_loss.last().map_or(pace.loss, |(_, y)| y as f32);
        facts.push((tr!("Training loss").to_owned(), loss(newest), rate));
    }
    if let Some(last) = run.last_epoch {
        let best = run.best.map_or(String::new(), |b| {
            tr!(
                "best {validation_loss} in epoch {epoch}",
                validation_loss = loss(b.validation_loss),
                epoch = b.epoch
            )
        });
        facts.push((tr!("Validation loss").to_owned(), loss(last.validation_loss), best));
        if let Some((kind, value)) = last.metric {
            facts.push((
                tr!("Validation {kind}", kind = in_a_sentence(kind)),
                score(kind, value),
                tr!("after epoch {epoch}", epoch = last.epoch),
            ));
        }
    }
    if let Some(pace) = run.pace {
        facts.push((
            tr!("Speed").to_owned(),
            count(pace.rows_per_second as usize),
            tr!("rows per second").to_owned(),
        ));
    }
    if let Some(start) = &run.start {
        let (name, more) = engine_name(&start.engine);
        facts.push((tr!("Computed by").to_owned(), name, more));
    }
    grid(ui, facts.len(), 150.0, |ui, i, width| {
        if let Some((name, value, below)) = facts.get(i) {
            stat(ui, width, name, value, below);
        }
    });
    if let Some(why) = run.start.as_ref().and_then(|s| s.fallback.as_ref()) {
        if run.basis.train.device == DeviceChoice::Auto {
            small(ui, format!("{}.", shown(why)));
        } else {
            let heading = tr!("Another engine is used than asked for");
            widgets::banner(ui, Mood::Warn, icons::INFO, heading, &shown(why), |_| {});
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
        (b.epoch as f64, f64::from(b.validation_loss), tr!("best: epoch {epoch}", epoch = b.epoch))
    });
    let mut plot = Curves::new("loss", tr!("Loss"), tr!("Epoch"))
        .curve(tr!("training"), &run.train_loss, false)
        .curve(tr!("validation"), &run.validation_loss, true);
    if !run.shadow_loss.is_empty() {
        plot = plot.curve(tr!("training in f32"), &run.shadow_loss, true);
    }
    plot.mark(best).events(insight::marks(run)).log(local.log_loss).smooth(local.smooth).show(ui);
    let choices = [(false, tr!("Linear scale")), (true, tr!("Logarithmic"))];
    ui.horizontal_wrapped(|ui| {
        if let Some(log) = segmented(ui, local.log_loss, &choices) {
            local.log_loss = log;
        }
        ui.spacing_mut().slider_width = 70.0;
        let label = small(ui, tr!("Smooth"));
        let slider = egui::Slider::new(&mut local.smooth, 0.0..=0.98).show_value(false);
        widgets::field::slider(ui, slider).labelled_by(label.id).on_hover_text(
            tr!("Draws a moving average over the curve. Drag in a plot to zoom, double-click to see all."),
        );
    });
}

fn metric_plot(ui: &mut Ui, run: &LiveRun) {
    let Some((kind, series)) = run.metrics.first() else { return };
    let title = tr!("{kind} on validation rows", kind = of(kind.label()));
    let mut plot =
        Curves::new("metric", &title, tr!("Epoch")).curve(of(kind.label()), series, false);
    if *kind == MetricKind::Accuracy {
        plot = plot.percent();
    }
    let best = run.best.and_then(|b| {
        let (_, value) = b.metric?;
        Some((b.epoch as f64, value, tr!("best: epoch {epoch}", epoch = b.epoch)))
    });
    plot.mark(best).show(ui);
    small(ui, of(kind.explanation()));
}

/// What came of the run, in plain words.
pub fn in_words(project: &ProjectState, summary: &Summary) -> (String, String) {
    let target = project.project.target.as_deref().unwrap_or(tr!("the answer"));
    let rows = count(summary.test.rows);
    let measured = tr!("Measured on {rows} test rows that training never saw.", rows);
    let Some((kind, value)) = summary.test.main() else {
        let words = tr!("The model is trained, but there were no test rows to measure it on.");
        return (words.to_owned(), String::new());
    };
    let percent = |share: f64| format!("{:.0}", share * 100.0);
    let answer = match kind {
        MetricKind::Accuracy => {
            return (
                tr!("Of 100 new rows, it gets about {value} right.", value = percent(value)),
                tr!(
                    "Always giving the commonest answer would get about {baseline} right. {measured}",
                    baseline = percent(summary.baseline),
                    measured
                ),
            );
        }
        MetricKind::R2 => {
            tr!(
                "It explains {value} % of what makes {target} differ.",
                value = percent(value),
                target
            )
        }
        _ => {
            format!("{}: {}.", of(kind.label()), score(kind, value))
        }
    };
    let error = summary.test.get(MetricKind::Mae).map_or(String::new(), |e| {
        tr!(" On average it is off by {e}.", e = score(MetricKind::Mae, e))
    });
    (
        answer + &error,
        tr!(
            "Always answering with the mean would reach {kind} {baseline}. {measured}",
            kind = of(kind.label()),
            baseline = score(kind, summary.baseline),
            measured
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
                    let text = score(kind, *value);
                    let text = RichText::new(text).font(theme::display()).color(p.success);
                    ui.add(Label::new(text).extend());
                    small(ui, tr!("test {kind}", kind = in_a_sentence(*kind)));
                });
            }
            ui.vertical(|ui| {
                let (words, context) = in_words(project, summary);
                ui.add(Label::new(RichText::new(words).font(theme::heading())).wrap());
                widgets::muted(ui, context);
                ui.horizontal_wrapped(|ui| {
                    ui.spacing_mut().item_spacing.x = space::L;
                    fact(ui, tr!("Took"), &duration(summary.seconds));
                    fact(
                        ui,
                        tr!("Best epoch"),
                        &tr!(
                            "{best_epoch} of {epochs}",
                            best_epoch = summary.best_epoch,
                            epochs = summary.epochs
                        ),
                    );
                    fact(ui, tr!("Parameters"), &count(summary.parameters));
                });
                small(
                    ui,
                    match summary.reason {
                        StopReason::Completed => tr!("All epochs are done."),
                        StopReason::EarlyStopped => {
                            tr!("It ended early because it had stopped getting better.")
                        }
                        StopReason::Stopped => {
                            tr!("You stopped it; the best model so far was kept.")
                        }
                        StopReason::Cancelled => tr!("It was cancelled."),
                    },
                );
                if let Some(privacy) = &summary.privacy {
                    small(
                        ui,
                        tr!(
                            "Private: ε {epsilon:.2} at δ {delta}.",
                            epsilon = privacy.epsilon,
                            delta = format_args!("{:.0e}", privacy.delta)
                        ),
                    )
                    .on_hover_text(shown(&privacy.describe()));
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
        section(ui, tr!("Log"), "");
        let height = ui.text_style_height(&egui::TextStyle::Monospace) + 2.0;
        egui::ScrollArea::vertical()
            .id_salt("log")
            .max_height(160.0)
            .stick_to_bottom(true)
            .auto_shrink([false, true])
            .show_rows(ui, height, run.log.len(), |ui, rows| {
                ui.spacing_mut().item_spacing.y = 2.0;
                for line in run.log.range(rows) {
                    let text =
                        RichText::new(shown(line)).monospace().color(theme::palette(ui).muted);
                    ui.add(Label::new(text).truncate().selectable(true));
                }
            });
    });
}

//! What is confused with what, curves over all thresholds, and what errors cost.

use egui::{Align2, CornerRadius, Role, Sense, Ui, Vec2, WidgetInfo};

use super::rows;
use crate::app::ProjectState;
use crate::eval::curves::{Threshold, cheapest};
use crate::eval::evaluation::ClassCurve;
use crate::eval::{Confusion, Evaluation, Outcomes, ValueOutcomes};
use crate::metrics::MetricKind;
use crate::text::{figure, of};
use crate::ui::screens::count;
use crate::ui::screens::score;
use crate::ui::theme::{self, space};
use crate::ui::widgets::button::focus_ring;
use crate::ui::widgets::field::number;
use crate::ui::widgets::page::{column, fact};
use crate::ui::widgets::plot::{Curves, format_value};
use crate::ui::widgets::{card, labelled, muted, save, section, small};
use crate::{key, tr};

/// Heading of the confusion matrix.
const TITLE: &str = key!("What is confused with what");

/// Most points of a scatter plot.
const MOST_POINTS: usize = 1500;
/// Most classes whose confusions are drawn.
const MOST_CLASSES: usize = 30;
/// Most curves drawn at once.
const MOST_CURVES: usize = 6;

/// What only the drawing needs to know.
#[derive(Debug)]
pub struct Local {
    cell: Option<(usize, usize)>,
    /// A row pressed among the errors.
    row: Option<usize>,
    false_positive: f64,
    false_negative: f64,
}

impl Default for Local {
    fn default() -> Self {
        Self { cell: None, row: None, false_positive: 1.0, false_negative: 1.0 }
    }
}

/// Draws the part.
pub fn show(ui: &mut Ui, project: &ProjectState, found: &Evaluation, local: &mut Local) {
    if let Some(confusion) = &found.confusion {
        confusions(ui, confusion, local);
        if let Some((truth, predicted)) = local.cell {
            let places = of_cell(found, truth, predicted);
            let name = |i: usize| confusion.classes.get(i).map_or("", |c| c);
            let heading = tr!(
                "Truly {truth}, called {predicted}",
                truth = name(truth),
                predicted = name(predicted)
            );
            rows::show(ui, project, found, &heading, &places);
        }
    }
    if let [only] = found.curves.as_slice() {
        costs(ui, only, local);
    }
    if !found.curves.is_empty() {
        curves(ui, found);
    }
    if let Outcomes::Values(values) = &found.outcomes {
        residuals(ui, found, values, &mut local.row);
        if let Some(place) = local.row.filter(|i| *i < values.truth.len()) {
            rows::show(ui, project, found, tr!("The row you pressed"), &[place]);
        }
        let mut places: Vec<usize> = (0..values.truth.len()).collect();
        let error = |i: &usize| {
            let (y, p) = (values.truth.get(*i), values.predicted.get(*i));
            y.zip(p).map_or(0.0, |(y, p)| (y - p).abs())
        };
        places.sort_by(|a, b| error(b).total_cmp(&error(a)));
        places.truncate(100);
        rows::show(ui, project, found, tr!("The largest errors"), &places);
    }
}

fn of_cell(found: &Evaluation, truth: usize, predicted: usize) -> Vec<usize> {
    let Outcomes::Classes(c) = &found.outcomes else { return Vec::new() };
    let pairs = c.truth.iter().zip(&c.predicted).enumerate();
    pairs
        .filter(|(_, (t, p))| **t as usize == truth && **p as usize == predicted)
        .map(|(i, _)| i)
        .collect()
}

fn confusions(ui: &mut Ui, confusion: &Confusion, local: &mut Local) {
    let n = confusion.classes.len();
    card(ui, |ui| {
        let id = ui.make_persistent_id(TITLE);
        ui.horizontal_wrapped(|ui| {
            section(ui, of(TITLE), "");
            if n <= MOST_CLASSES {
                save::menu(ui, id, of(TITLE), || confusion_csv(confusion));
            }
        });
        muted(
            ui,
            tr!(
                "Rows are true classes, columns what the model called them. Press a cell to see its rows."
            ),
        );
        if n > MOST_CLASSES {
            small(
                ui,
                tr!("There are {n} classes, too many to draw. The report has the figures.", n),
            );
            return;
        }
        let name = 110.0;
        let side = ((ui.available_width() - name) / n.max(1) as f32).clamp(26.0, 96.0);
        let high = side.min(44.0);
        let drawn = egui::ScrollArea::horizontal().id_salt("confusion").show(ui, |ui| {
            ui.spacing_mut().item_spacing = Vec2::splat(2.0);
            header(ui, confusion, name, side);
            for truth in 0..n {
                ui.horizontal(|ui| {
                    let whole: u64 = (0..n).map(|p| confusion.get(truth, p)).sum();
                    class_name(ui, confusion, truth, Vec2::new(name, high));
                    for predicted in 0..n {
                        let size = Vec2::new(side, high);
                        confusion_cell(ui, confusion, (truth, predicted), whole, size, local);
                    }
                });
            }
        });
        save::drawn(ui, id, drawn.inner_rect);
        small(ui, tr!("From dark to yellow: a rising share of the true class."));
    });
}

/// Counts, true classes down and called ones across.
fn confusion_csv(confusion: &Confusion) -> String {
    let mut head = vec![tr!("true \\ called")];
    head.extend(confusion.classes.iter().map(String::as_str));
    let rows = confusion.classes.iter().enumerate().map(|(truth, name)| {
        let counts = (0..confusion.classes.len()).map(|p| confusion.get(truth, p).to_string());
        std::iter::once(name.clone()).chain(counts).collect::<Vec<_>>()
    });
    save::csv(&head, rows)
}

fn class_name(ui: &mut Ui, confusion: &Confusion, class: usize, size: Vec2) {
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    let text = confusion.classes.get(class).map_or("", |c| c);
    let painter = ui.painter().with_clip_rect(rect.intersect(ui.clip_rect()));
    let colour = theme::palette(ui).text;
    painter.text(rect.left_center(), Align2::LEFT_CENTER, text, theme::small(), colour);
    response.on_hover_text(text);
}

fn header(ui: &mut Ui, confusion: &Confusion, name: f32, side: f32) {
    ui.horizontal(|ui| {
        let (rect, _) = ui.allocate_exact_size(Vec2::new(name, 20.0), Sense::hover());
        let colour = theme::palette(ui).muted;
        ui.painter().text(
            rect.left_center(),
            Align2::LEFT_CENTER,
            tr!("true \\ called"),
            theme::small(),
            colour,
        );
        for class in &confusion.classes {
            let (rect, response) = ui.allocate_exact_size(Vec2::new(side, 20.0), Sense::hover());
            let painter = ui.painter().with_clip_rect(rect.intersect(ui.clip_rect()));
            painter.text(rect.center(), Align2::CENTER_CENTER, class, theme::small(), colour);
            response.on_hover_text(class);
        }
    });
}

fn confusion_cell(
    ui: &mut Ui,
    confusion: &Confusion,
    (truth, predicted): (usize, usize),
    whole: u64,
    size: Vec2,
    local: &mut Local,
) {
    let p = theme::palette(ui);
    let n = confusion.get(truth, predicted);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let share = n as f64 / whole.max(1) as f64;
    let fill = if n == 0 { p.sunken } else { theme::sequential((0.08 + 0.92 * share) as f32) };
    let corner = CornerRadius::same(theme::radius::S);
    ui.painter().rect_filled(rect, corner, fill);
    // Whichever of the two can be read better on the fill.
    let ink = [egui::Color32::WHITE, egui::Color32::BLACK]
        .into_iter()
        .max_by(|a, b| theme::contrast(*a, fill).total_cmp(&theme::contrast(*b, fill)));
    let ink = if n == 0 { p.muted } else { ink.unwrap_or(p.text) };
    ui.painter().text(rect.center(), Align2::CENTER_CENTER, count(n as usize), theme::small(), ink);
    let chosen = local.cell == Some((truth, predicted));
    if chosen {
        ui.painter().rect_stroke(
            rect,
            corner,
            egui::Stroke::new(2.0, p.accent),
            egui::StrokeKind::Inside,
        );
    }
    focus_ring(ui, &response, corner);
    let name = |i: usize| confusion.classes.get(i).map_or("", |c| c);
    let label = tr!(
        "Truly {truth}, called {predicted}: {n} rows, {share} of the class",
        truth = name(truth),
        predicted = name(predicted),
        n = count(n as usize),
        share = format_value(share, true, false)
    );
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, chosen, &label));
    if response.clicked() {
        local.cell = (!chosen).then_some((truth, predicted));
    }
    response.on_hover_text(label);
}

fn costs(ui: &mut Ui, curve: &ClassCurve, local: &mut Local) {
    card(ui, |ui| {
        section(
            ui,
            tr!("Where to draw the line"),
            &tr!(
                "From which probability on should a row be called {class}? That depends on what mistakes cost.",
                class = curve.class
            ),
        );
        let drag = |ui: &mut Ui, value: &mut f64| {
            ui.add(number(value).range(0.0..=1e9).speed(0.1).max_decimals(2));
        };
        labelled(
            ui,
            &tr!("A row wrongly called {class} costs", class = curve.class),
            tr!("false positive"),
            tr!("In any unit, such as money"),
            |ui| {
                drag(ui, &mut local.false_positive);
            },
        );
        labelled(
            ui,
            &tr!("A missed {class} costs", class = curve.class),
            tr!("false negative"),
            tr!("In the same unit"),
            |ui| {
                drag(ui, &mut local.false_negative);
            },
        );
        let (a, b) = (local.false_positive, local.false_negative);
        let Some(best) = cheapest(&curve.points, a, b) else { return };
        // The point of the curve that the model uses by itself.
        let usual = curve.points.iter().rfind(|t| t.threshold >= 0.5);
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = space::L;
            fact(
                ui,
                tr!("Cheapest threshold"),
                &format_value(best.threshold.min(1.0), true, false),
            );
            fact(
                ui,
                tr!("Errors then cost, per 100 rows"),
                &figure(format!("{:.2}", 100.0 * best.cost(a, b))),
            );
            if let Some(usual) = usual {
                fact(ui, tr!("At 50 %"), &figure(format!("{:.2}", 100.0 * usual.cost(a, b))));
            }
            fact(ui, tr!("Found"), &format_value(best.recall(), true, false));
            fact(ui, tr!("False alarms"), &format_value(best.false_alarms(), true, false));
            fact(ui, tr!("Accuracy"), &format_value(best.accuracy(), true, false));
        });
        let finite = curve.points.iter().filter(|t| t.threshold.is_finite());
        let line = finite.map(|t| [t.threshold, 100.0 * t.cost(a, b)]).collect();
        let mark = (best.threshold.min(1.0), 100.0 * best.cost(a, b), tr!("cheapest").to_owned());
        Curves::new("costs", tr!("Cost of errors per 100 rows"), tr!("Threshold"))
            .line(tr!("cost"), line, false)
            .from_zero()
            .mark(Some(mark))
            .height(180.0)
            .show(ui);
        small(
            ui,
            tr!(
                "This cost was found on the test rows themselves, so on new rows it will be a little higher."
            ),
        );
    });
}

fn curves(ui: &mut Ui, found: &Evaluation) {
    let available = ui.available_width();
    let wide = available > 700.0;
    let width = if wide { (available - space::M) / 2.0 } else { available };
    let draw = |ui: &mut Ui, roc: bool| {
        let (title, x) = if roc {
            (tr!("ROC: found against false alarms"), tr!("False positive rate"))
        } else {
            (tr!("Precision against recall"), tr!("Recall"))
        };
        let point = |t: &Threshold| {
            if roc { [t.false_alarms(), t.recall()] } else { [t.recall(), t.precision()] }
        };
        let mut plot = Curves::new(if roc { "roc" } else { "pr" }, title, x).percent().from_zero();
        for (i, c) in found.curves.iter().take(MOST_CURVES).enumerate() {
            plot = plot.line(&c.class, c.points.iter().map(point).collect(), i % 2 == 1);
        }
        if roc {
            plot = plot.line(tr!("chance"), vec![[0.0, 0.0], [1.0, 1.0]], true);
        }
        plot.show(ui);
        let kind = if roc { MetricKind::Auc } else { MetricKind::AveragePrecision };
        if let Some(m) = found.get(kind) {
            small(
                ui,
                format!(
                    "{}: {} ({})",
                    of(kind.label()),
                    score(kind, m.value),
                    super::overview::range(kind, m.interval)
                ),
            );
        }
        if found.curves.len() > MOST_CURVES {
            small(
                ui,
                tr!(
                    "The first {most} of {all} classes.",
                    most = MOST_CURVES,
                    all = found.curves.len()
                ),
            );
        }
    };
    if wide {
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = space::M;
            column(ui, width, |ui| card(ui, |ui| draw(ui, true)));
            column(ui, width, |ui| card(ui, |ui| draw(ui, false)));
        });
    } else {
        card(ui, |ui| draw(ui, true));
        card(ui, |ui| draw(ui, false));
    }
}

fn residuals(ui: &mut Ui, found: &Evaluation, values: &ValueOutcomes, chosen: &mut Option<usize>) {
    card(ui, |ui| {
        let step = values.truth.len().div_ceil(MOST_POINTS).max(1);
        let pairs = values.truth.iter().zip(&values.predicted).step_by(step);
        let points: Vec<[f64; 2]> = pairs.map(|(y, p)| [*p, p - y]).collect();
        let ends = points
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), [x, _]| (a.min(*x), b.max(*x)));
        let mut plot =
            Curves::new("residuals", tr!("Errors (answered minus true)"), tr!("Answered value"))
                .scatter(tr!("rows"), points)
                .line(tr!("no error"), vec![[ends.0, 0.0], [ends.1, 0.0]], true)
                .height(280.0);
        if let Some(r) = &found.ranges {
            let at = |y: f64| vec![[ends.0, y], [ends.1, y]];
            plot = plot.line(tr!("90 % range"), at(r.half_width), true).line(
                "",
                at(-r.half_width),
                true,
            );
        }
        if let Some(point) = plot.press(0).show(ui) {
            *chosen = Some(point * step);
        }
        if let Some(r) = &found.ranges {
            small(
                ui,
                tr!(
                    "A range of ± {width} around each answer was to hold the truth for {promised:.0} of 100 rows; on these rows it held {coverage:.1} of 100.",
                    width = format_value(r.half_width, false, false),
                    promised = 100.0 * r.promised,
                    coverage = 100.0 * r.coverage
                ),
            );
        }
        small(
            ui,
            tr!(
                "A cloud that bends or widens shows where the model is off by its nature, not by chance. Press a point to see its row."
            ),
        );
    });
}

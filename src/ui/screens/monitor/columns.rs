//! All columns, the worst first; one of them up close, with rows that show the change.

use egui::{CornerRadius, Label, Rect, RichText, Role, Sense, Ui, Vec2, WidgetInfo};

use crate::app::Monitored;
use crate::monitor::{ColumnDrift, Histogram};
use crate::text::{figure, shown};
use crate::tr;
use crate::ui::icons;
use crate::ui::screens::count;
use crate::ui::theme::{self, space};
use crate::ui::widgets::plot::{Curves, format_value};
use crate::ui::widgets::rows::Rows;
use crate::ui::widgets::table::table;
use crate::ui::widgets::{Button, Mood, badge, card, save, section, small, strong};

/// Columns listed before one asks for more.
const SHOWN: usize = 12;
const HEIGHT: f32 = 240.0;

/// What only the drawing needs to know.
#[derive(Debug, Default)]
pub struct Local {
    chosen: Option<String>,
    all: bool,
}

impl Local {
    /// Shows a column up close.
    pub fn choose(&mut self, name: &str) {
        self.chosen = Some(name.to_owned());
    }
}

/// Draws the part.
pub fn show(ui: &mut Ui, done: &Monitored, local: &mut Local) {
    let columns = &done.found.columns;
    if columns.is_empty() {
        return;
    }
    card(ui, |ui| {
        section(
            ui,
            tr!("Columns"),
            tr!("The ones that changed most first. Choose one to see how, and in which rows."),
        );
        let listed = if local.all { columns.len() } else { SHOWN.min(columns.len()) };
        let head = [
            tr!("Column"),
            "",
            tr!("Figure"),
            tr!("Missing now"),
            tr!("Out of range"),
            tr!("Change"),
        ];
        let mut pressed = None;
        table(ui, "monitor-columns", &head, listed, |ui, row, at| {
            let Some(c) = columns.get(row) else { return };
            match at {
                0 => {
                    let chosen = local.chosen.as_ref() == Some(&c.name);
                    let name = tr!("Show column {name}", name = c.name);
                    let button = Button::secondary(&c.name).small().chosen(chosen).name(&name);
                    if button.pressed(ui) {
                        pressed = Some(c.name.clone());
                    }
                }
                1 => mark(ui, c),
                _ => {
                    let text = RichText::new(text(c, at)).font(theme::small());
                    let colour = theme::palette(ui).muted;
                    ui.add(Label::new(text.color(colour)).truncate())
                        .on_hover_text(explained(c, at));
                }
            }
        });
        if let Some(name) = pressed {
            local.chosen = (local.chosen.as_ref() != Some(&name)).then_some(name);
        }
        if columns.len() > SHOWN {
            let more = columns.len() - SHOWN;
            let label = super::fewer_or_more(local.all, more);
            if Button::secondary(&label).small().name(tr!("Show more or fewer columns")).pressed(ui)
            {
                local.all = !local.all;
            }
        }
    });
    let chosen = local.chosen.as_ref().and_then(|name| columns.iter().find(|c| c.name == *name));
    if let Some(column) = chosen.or(columns.first().filter(|c| c.drifted)) {
        up_close(ui, done, column);
    }
    if let Some(answers) = &done.found.answers {
        card(ui, |ui| {
            section(
                ui,
                tr!("Answers"),
                tr!(
                    "What the model answers now, against what it answered on rows kept back at training."
                ),
            );
            let drifts = if answers.drift.drifted {
                tr!("They changed")
            } else {
                tr!("No change beyond chance")
            };
            let mood = if answers.drift.drifted { Mood::Warn } else { Mood::Good };
            badge(ui, mood, None, drifts);
            distribution(ui, &answers.drift, "monitor-answers");
        });
    }
}

fn mark(ui: &mut Ui, c: &ColumnDrift) {
    match (c.method, c.drifted) {
        (None, _) => badge(ui, Mood::Neutral, None, tr!("not tested")),
        (_, true) => badge(ui, Mood::Warn, Some(icons::WARNING), tr!("drifts")),
        (_, false) => badge(ui, Mood::Good, None, tr!("as before")),
    };
}

fn text(c: &ColumnDrift, at: usize) -> String {
    match at {
        2 => c.method.map_or("–".to_owned(), |_| format_value(c.value, false, false)),
        3 => format_value(c.missing[1], true, false),
        4 => c.outside.map_or("–".to_owned(), |v| format_value(v, true, false)),
        _ => shown(&c.summary).into_owned(),
    }
}

fn explained(c: &ColumnDrift, at: usize) -> String {
    match (at, c.method) {
        (2, Some(method)) => {
            let limit = figure(method.threshold().to_string());
            let method = shown(method.label());
            let (value, psi) = (format_value(c.value, false, false), c.psi);
            let p = figure(format!("{:.1e}", c.p_adjusted));
            if c.method.is_some_and(|m| m.is_p()) {
                tr!(
                    "{method}: {value}. Drift below {limit}.\nPSI {psi:.3}, adjusted p {p}.",
                    method,
                    value,
                    limit,
                    psi,
                    p
                )
            } else {
                tr!(
                    "{method}: {value}. Drift from {limit} on.\nPSI {psi:.3}, adjusted p {p}.",
                    method,
                    value,
                    limit,
                    psi,
                    p
                )
            }
        }
        (2, None) => tr!("Dates always move on, and too few values say nothing.").to_owned(),
        (3, _) => tr!("At training {share}", share = format_value(c.missing[0], true, false)),
        (4, _) => tr!("Share of the new values outside of the range of the training").to_owned(),
        _ => shown(&c.summary).into_owned(),
    }
}

fn up_close(ui: &mut Ui, done: &Monitored, c: &ColumnDrift) {
    card(ui, |ui| {
        section(ui, &c.name, &shown(&c.summary));
        distribution(ui, c, "monitor-column");
        if !c.new_categories.is_empty() {
            let names: Vec<String> = c
                .new_categories
                .iter()
                .take(8)
                .map(|(n, k)| format!("{n} ({})", count(*k)))
                .collect();
            small(ui, tr!("Not seen in training: {values}", values = names.join(", ")));
        }
        if c.row_count > 0 {
            ui.add_space(space::S);
            strong(ui, tr!("Rows where it shows: {n}", n = count(c.row_count)));
            rows(ui, done, c);
        }
    });
}

fn distribution(ui: &mut Ui, c: &ColumnDrift, id: &str) {
    let h = &c.histogram;
    if h.labels.is_empty() {
        // A point in the middle of each bar: outlines of bars that overlap are hard to tell apart.
        let middles = |shares: &[f64]| -> Vec<[f64; 2]> {
            let ends = h.edges.iter().zip(h.edges.iter().skip(1));
            ends.zip(shares).map(|((a, b), s)| [(a + b) / 2.0, *s]).collect()
        };
        Curves::new(id, tr!("Share of rows"), &c.name)
            .line(tr!("training"), middles(&h.reference), true)
            .line(tr!("new"), middles(&h.new), false)
            .percent()
            .from_zero()
            .height(180.0)
            .show(ui);
    } else {
        bars(ui, h, &c.name, id);
    }
}

/// Two bars for every category.
fn bars(ui: &mut Ui, h: &Histogram, name: &str, id: &str) {
    let p = theme::palette(ui);
    let colours = [p.series[0], p.series[1 % p.series.len()]];
    let id = ui.make_persistent_id((id, "bars"));
    let from = ui.cursor().min;
    ui.horizontal_wrapped(|ui| {
        small(ui, tr!("Share of rows:"));
        for (name, colour) in [tr!("training"), tr!("new")].into_iter().zip(colours) {
            let (rect, _) = ui.allocate_exact_size(Vec2::splat(10.0), Sense::hover());
            ui.painter().rect_filled(rect, CornerRadius::same(2), colour);
            small(ui, name);
        }
        save::menu(ui, id, &tr!("Share of rows by {name}", name), || {
            let share = |v: &[f64], i: usize| v.get(i).copied().unwrap_or(0.0).to_string();
            let rows = h.labels.iter().enumerate();
            let rows = rows.map(|(i, l)| [l.clone(), share(&h.reference, i), share(&h.new, i)]);
            save::csv(&[name, tr!("training"), tr!("new")], rows)
        });
    });
    let most = h.reference.iter().chain(&h.new).copied().fold(1e-9, f64::max);
    let wide = (ui.available_width() * 0.3).clamp(80.0, 220.0);
    for (i, label) in h.labels.iter().enumerate() {
        // Names in brackets are ours, the others the user's.
        let label = if label.starts_with('(') { shown(label) } else { label.as_str().into() };
        let share = |v: &[f64]| v.get(i).copied().unwrap_or(0.0);
        let (old, new) = (share(&h.reference), share(&h.new));
        let texts = [old, new].map(|v| format_value(v, true, false));
        let [before, now] = &texts;
        let spoken = tr!("{label}: training {before}, new {now}", label, before, now);
        let (rect, response) =
            ui.allocate_exact_size(Vec2::new(ui.available_width(), 34.0), Sense::hover());
        let painter = ui.painter().with_clip_rect(rect.intersect(ui.clip_rect()));
        let mut job = egui::text::LayoutJob::simple_singleline(
            label.clone().into_owned(),
            theme::small(),
            p.text,
        );
        job.wrap = egui::text::TextWrapping::truncate_at_width(wide - space::S);
        let galley = painter.layout_job(job);
        let at = egui::pos2(rect.min.x, rect.center().y - galley.size().y / 2.0);
        painter.galley(at, galley, p.text);
        let room = (rect.width() - wide - 76.0).max(20.0);
        for (k, (value, text)) in [old, new].into_iter().zip(&texts).enumerate() {
            let top = rect.min.y + 3.0 + 15.0 * k as f32;
            let width = ((value / most) as f32 * room).max(1.0);
            let from = egui::pos2(rect.min.x + wide, top);
            let bar = Rect::from_min_size(from, Vec2::new(width, 12.0));
            painter.rect_filled(bar, CornerRadius::same(2), colours[k]);
            let at = egui::pos2(bar.max.x + space::XS, bar.center().y);
            painter.text(at, egui::Align2::LEFT_CENTER, text, theme::small(), p.muted);
        }
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &spoken));
        response.on_hover_text(spoken.clone());
    }
    let to = egui::pos2(ui.max_rect().max.x, ui.cursor().min.y);
    save::drawn(ui, id, Rect::from_min_max(from, to));
}

/// New rows that show the change, that column first.
fn rows(ui: &mut Ui, done: &Monitored, c: &ColumnDrift) {
    let numbers: Vec<usize> = c.rows.iter().map(|r| *r as usize).collect();
    Rows::new("monitor", &done.data.samples, &numbers)
        .of(c.row_count)
        .first(c.column.as_deref())
        .height(HEIGHT)
        .show(ui);
}

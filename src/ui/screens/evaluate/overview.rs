//! The main figure in plain words, and all figures in a table.

use egui::{Label, RichText, Ui};

use crate::eval::{Evaluation, Interval, Measured, Part};
use crate::metrics::MetricKind;
use crate::text::{of, within};
use crate::tr;
use crate::ui::icons;
use crate::ui::screens::count;
use crate::ui::screens::score;
use crate::ui::theme::{self, space};
use crate::ui::widgets::table::table;
use crate::ui::widgets::{self, Mood, badge, card, section, small};

/// An interval as shown.
pub fn range(kind: MetricKind, interval: Interval) -> String {
    tr!("{low} to {high}", low = score(kind, interval.low), high = score(kind, interval.high))
}

fn whole_percent(share: f64) -> String {
    format!("{:.0}", 100.0 * share)
}

/// The main figure in one sentence.
pub fn in_words(found: &Evaluation) -> String {
    let Some(main) = found.headline() else { return tr!("There is nothing to judge.").to_owned() };
    let (value, i) = (main.value, main.interval);
    match main.kind {
        MetricKind::Accuracy => tr!(
            "Of 100 new rows, it gets about {value} right (between {low} and {high}).",
            value = whole_percent(value),
            low = whole_percent(i.low),
            high = whole_percent(i.high)
        ),
        MetricKind::R2 => {
            let off = found.get(MetricKind::Mae).map_or(String::new(), |m| {
                tr!(" On average it is off by {value}.", value = score(m.kind, m.value))
            });
            tr!(
                "It explains {value} % of what makes {target} differ (between {low} and {high} %).{off}",
                value = whole_percent(value),
                target = found.target,
                low = whole_percent(i.low),
                high = whole_percent(i.high),
                off
            )
        }
        kind => format!("{}: {}, {}.", of(kind.label()), score(kind, value), range(kind, i)),
    }
}

/// What the simple models reach, in one sentence, and whether the model is clearly better.
pub fn against(found: &Evaluation) -> (String, Mood, &'static str) {
    let Some(main) = found.headline() else { return (String::new(), Mood::Neutral, "") };
    let parts: Vec<String> = found
        .baselines
        .iter()
        .filter_map(|b| {
            let m = b.metrics.iter().find(|m| m.kind == main.kind)?;
            Some(tr!("{name} reaches {value}", name = of(b.name), value = score(m.kind, m.value)))
        })
        .collect();
    let text = match parts.len() {
        0 => tr!("There is nothing simple to compare with.").to_owned(),
        _ => tr!("To compare: {parts}.", parts = parts.join(", ")),
    };
    let (mood, word) = match found.best_baseline() {
        Some((_, best)) if best.value < main.interval.low => {
            (Mood::Good, tr!("clearly better than simple answers"))
        }
        Some((_, best)) if best.value > main.interval.high => {
            (Mood::Bad, tr!("worse than a simple answer"))
        }
        Some(_) => (Mood::Warn, tr!("not clearly better than a simple answer")),
        None => (Mood::Neutral, tr!("nothing to compare with")),
    };
    (text, mood, word)
}

/// The card at the top.
pub fn headline(ui: &mut Ui, found: &Evaluation) {
    card(ui, |ui| {
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = space::XL;
            let (text, mood, word) = against(found);
            if let Some(main) = found.headline() {
                ui.vertical(|ui| {
                    ui.set_width(150.0);
                    ui.spacing_mut().item_spacing.y = 0.0;
                    let colour = theme::palette(ui).text;
                    let value = RichText::new(score(main.kind, main.value)).font(theme::display());
                    ui.add(Label::new(value.color(colour)).extend());
                    small(ui, within(of(main.kind.label())));
                });
            }
            ui.vertical(|ui| {
                ui.add(Label::new(RichText::new(in_words(found)).font(theme::heading())).wrap());
                widgets::muted(ui, text);
                let glyph = match mood {
                    Mood::Good => icons::CHECK_CIRCLE,
                    Mood::Neutral | Mood::Accent => icons::INFO,
                    Mood::Warn | Mood::Bad => icons::WARNING,
                };
                badge(ui, mood, Some(glyph), word);
                let rows = count(found.rows);
                small(ui, match found.part {
                    Part::Test => tr!("Measured on {rows} test rows that training never saw. The range holds the true figure in 95 of 100 cases.", rows),
                    Part::Validation => tr!("Measured on {rows} validation rows.", rows),
                    Part::All => tr!("Measured on {rows} rows.", rows),
                });
            });
        });
    });
}

/// All figures with intervals and baselines, and those of every class.
pub fn figures(ui: &mut Ui, found: &Evaluation) {
    card(ui, |ui| {
        section(ui, tr!("All figures"), tr!("Hover a name for what it means."));
        let mut head = vec!["", tr!("Model"), tr!("95 % range")];
        head.extend(found.baselines.iter().map(|b| of(b.name)));
        let all: Vec<&Measured> = found.metrics.iter().filter(|m| m.class.is_none()).collect();
        table(ui, "figures", &head, all.len(), |ui, row, column| {
            let Some(m) = all.get(row) else { return };
            match column {
                0 => {
                    ui.add(Label::new(of(m.kind.label())).truncate())
                        .on_hover_text(of(m.kind.explanation()));
                }
                1 => {
                    widgets::strong(ui, score(m.kind, m.value));
                }
                2 => {
                    small(ui, range(m.kind, m.interval));
                }
                n => {
                    let baseline = found.baselines.get(n - 3);
                    let same = baseline.and_then(|b| b.metrics.iter().find(|o| o.kind == m.kind));
                    small(ui, same.map_or("–".to_owned(), |o| score(m.kind, o.value)));
                }
            }
        });
    });
    if found.classes.is_empty() {
        return;
    }
    card(ui, |ui| {
        section(ui, tr!("Every class on its own"), "");
        let kinds: Vec<MetricKind> = [
            MetricKind::Precision,
            MetricKind::Recall,
            MetricKind::F1,
            MetricKind::Auc,
            MetricKind::AveragePrecision,
        ]
        .into_iter()
        .filter(|k| found.metrics.iter().any(|m| m.class.is_some() && m.kind == *k))
        .collect();
        let mut head = vec![tr!("Class")];
        head.extend(kinds.iter().map(|k| of(k.label())));
        table(ui, "classes", &head, found.classes.len(), |ui, row, column| {
            let Some(class) = found.classes.get(row) else { return };
            let kind = column.checked_sub(1).and_then(|c| kinds.get(c));
            match kind.and_then(|k| found.of_class(*k, class)) {
                None => {
                    ui.add(Label::new(if column == 0 { class.as_str() } else { "–" }).truncate());
                }
                Some(m) => {
                    let text = score(m.kind, m.value);
                    small(ui, text).on_hover_text(range(m.kind, m.interval));
                }
            }
        });
    });
}

//! How the model holds out against worse data and attacks, and when a person should look.

use egui::{Label, Ui};

use super::overview::range;
use crate::eval::Evaluation;
use crate::eval::robustness::Changed;
use crate::metrics::MetricKind;
use crate::text::{of, shown};
use crate::tr;
use crate::ui::screens::count;
use crate::ui::screens::score;
use crate::ui::widgets::plot::{Curves, format_value};
use crate::ui::widgets::table::table;
use crate::ui::widgets::{card, section, small};

/// Draws the part.
pub fn show(ui: &mut Ui, found: &Evaluation) {
    let r = &found.robustness;
    let kind = if found.classes.is_empty() { MetricKind::R2 } else { MetricKind::Accuracy };
    if !r.referrals.is_empty() {
        card(ui, |ui| {
            section(
                ui,
                tr!("Letting a person look"),
                tr!(
                    "If the least sure answers go to a person, the model is right more often on the rest. The thresholds come from validation rows."
                ),
            );
            let head = [
                tr!("Less sure than"),
                tr!("Go to a person"),
                tr!("Accuracy on the rest"),
                tr!("95 % range"),
            ];
            table(ui, "referrals", &head, r.referrals.len(), |ui, row, column| {
                let Some(f) = r.referrals.get(row) else { return };
                small(
                    ui,
                    match column {
                        0 if f.aimed == 0.0 => tr!("nobody looks").to_owned(),
                        0 => format_value(f.threshold, true, false),
                        1 => format_value(f.referred, true, false),
                        2 => score(kind, f.accuracy),
                        _ => range(kind, f.interval),
                    },
                );
            });
            if let Some(s) = r.strangeness {
                small(
                    ui,
                    tr!(
                        "{strange} of these rows are more unlike the training rows than 99 of 100 of those are. Of rows of noise, {noise} would be noticed that way.",
                        strange = format_value(s.strange, true, false),
                        noise = format_value(s.noise_found, true, false)
                    ),
                );
            }
        });
    }
    card(ui, |ui| {
        section(
            ui,
            tr!("On worse data"),
            &tr!("{rows} rows were changed in each of these ways.", rows = count(r.rows)),
        );
        let clean = Changed { what: tr!("as it is").to_owned(), score: r.clean, interval: None };
        let mut all = vec![&clean];
        all.extend(&r.changes);
        changes(ui, "changes", kind, &all);
    });
    if !r.columns.is_empty() {
        card(ui, |ui| {
            section(ui, tr!("When one column goes wrong"), tr!("The most harmful first."));
            changes(ui, "columns", kind, &r.columns.iter().take(10).collect::<Vec<_>>());
        });
    }
    if !r.attacks.is_empty() {
        card(ui, |ui| {
            section(
                ui,
                tr!("Under attack"),
                tr!(
                    "Someone who knows the model changes every value by a little, so that it errs."
                ),
            );
            let line = |get: fn(&crate::eval::robustness::Attacked) -> f64| {
                r.attacks.iter().map(|a| [a.epsilon, get(a)]).collect::<Vec<_>>()
            };
            let axis = tr!("Largest change, in {unit}", unit = r.unit);
            Curves::new("attacks", tr!("Accuracy under attack"), &axis)
                .percent()
                .from_zero()
                .line(tr!("one step (FGSM)"), line(|a| a.fgsm), false)
                .line(tr!("ten steps (PGD)"), line(|a| a.pgd), true)
                .show(ui);
        });
    }
}

fn changes(ui: &mut Ui, id: &str, kind: MetricKind, all: &[&Changed]) {
    table(
        ui,
        id,
        &[tr!("Change"), of(kind.label()), tr!("95 % range")],
        all.len(),
        |ui, row, column| {
            let Some(c) = all.get(row) else { return };
            match column {
                0 => {
                    ui.add(Label::new(shown(&c.what)).truncate());
                }
                1 => {
                    small(ui, score(kind, c.score));
                }
                _ => {
                    small(ui, c.interval.map_or(String::new(), |i| range(kind, i)));
                }
            }
        },
    );
}

//! Whether probabilities mean what they say.

use egui::Ui;

use super::rows;
use crate::app::ProjectState;
use crate::eval::calibration::{Bin, Reliability};
use crate::eval::{Evaluation, Outcomes};
use crate::metrics::MetricKind;
use crate::text::figure;
use crate::tr;
use crate::ui::screens::count;
use crate::ui::screens::score;
use crate::ui::widgets::plot::Curves;
use crate::ui::widgets::table::table;
use crate::ui::widgets::{Button, Kind, card, section, small};

/// Draws the part.
pub fn show(ui: &mut Ui, project: &ProjectState, found: &Evaluation, chosen: &mut Option<usize>) {
    let Some(report) = &found.calibration else {
        card(ui, |ui| {
            section(
                ui,
                tr!("A number has no probability"),
                tr!(
                    "How far answers may be off is shown under Mistakes, as a range that holds the truth for 9 of 10 rows."
                ),
            );
        });
        return;
    };
    card(ui, |ui| {
        section(
            ui,
            tr!("When it is 80 % sure, is it right 80 times in 100?"),
            tr!(
                "On the dashed line it would be. Below it the model is too sure of itself, above it not sure enough. Press a point of the model to see its rows below."
            ),
        );
        let line = |r: &Reliability| {
            let bins = r.bins.iter().filter(|b| b.rows > 0);
            bins.map(|b| [b.confidence, b.accuracy]).collect::<Vec<_>>()
        };
        let mut plot = Curves::new("reliability", tr!("Reliability"), tr!("How sure it is"))
            .percent()
            .line(tr!("the model"), line(&report.model), false)
            .line(tr!("perfect"), vec![[0.0, 0.0], [1.0, 1.0]], true)
            .height(300.0);
        if let Some(r) = &report.temperature {
            plot = plot.line(tr!("with a temperature"), line(r), false);
        }
        if let Some(bin) = plot.press(0).show(ui) {
            *chosen = Some(bin);
        }
        let mut kinds = vec![(tr!("As the model says").to_owned(), &report.model)];
        if let (Some(r), Some(f)) = (&report.temperature, &report.fitted) {
            kinds.push((tr!("With temperature {temperature:.2}", temperature = f.temperature), r));
        }
        if let Some(r) = &report.isotonic {
            kinds.push((tr!("With isotonic regression").to_owned(), r));
        }
        let head = ["", tr!("Mean error (ECE)"), tr!("Largest error (MCE)")];
        table(ui, "calibration", &head, kinds.len(), |ui, row, column| {
            let Some((name, r)) = kinds.get(row) else { return };
            let kind = MetricKind::Ece;
            small(
                ui,
                match column {
                    0 => name.clone(),
                    1 => score(kind, r.ece),
                    _ => score(kind, r.mce),
                },
            );
        });
        if let Some(f) = &report.fitted {
            small(
                ui,
                tr!(
                    "Both corrections were fitted on {rows} validation rows. An exported model carries them; \"fp8-studio predict --calibrated\" uses them.",
                    rows = count(f.rows)
                ),
            );
        }
    });
    let bins: Vec<_> = report.model.bins.iter().filter(|b| b.rows > 0).collect();
    card(ui, |ui| {
        section(
            ui,
            tr!("How sure it is, and how often that is right"),
            tr!("Press a number of rows to see them."),
        );
        let head = [tr!("How sure"), tr!("Rows"), tr!("Mean"), tr!("Right")];
        table(ui, "bins", &head, bins.len(), |ui, row, column| {
            let Some(b) = bins.get(row) else { return };
            let percent = |v: f64| figure(format!("{:.1} %", 100.0 * v));
            let range = tr!("{from} to {to}", from = percent(b.from), to = percent(b.to));
            if column == 1 {
                let rows = count(b.rows as usize);
                let name = tr!("{rows} rows, {range} sure", rows, range);
                let button = Button::new(Kind::Quiet, &rows).small().name(&name);
                if button.chosen(*chosen == Some(row)).pressed(ui) {
                    *chosen = (*chosen != Some(row)).then_some(row);
                }
                return;
            }
            small(
                ui,
                match column {
                    0 => range,
                    2 => percent(b.confidence),
                    _ => percent(b.accuracy),
                },
            );
        });
    });
    if let Some(b) = chosen.and_then(|i| bins.get(i)) {
        let heading = tr!(
            "Rows of which it is {from:.0} to {to:.0} % sure",
            from = 100.0 * b.from,
            to = 100.0 * b.to
        );
        rows::show(ui, project, found, &heading, &of_bin(found, b));
    }
}

/// Places of the rows of a bin: those whose likeliest class has such a probability.
fn of_bin(found: &Evaluation, bin: &Bin) -> Vec<usize> {
    let Outcomes::Classes(c) = &found.outcomes else { return Vec::new() };
    let classes = c.classes.len().max(1);
    let sure = |row: &[f64]| row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let rows = c.probabilities.chunks(classes).map(sure).enumerate();
    rows.filter(|(_, p)| bin.holds(*p)).map(|(i, _)| i).collect()
}

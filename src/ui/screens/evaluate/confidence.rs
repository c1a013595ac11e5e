//! Whether probabilities mean what they say.

use egui::Ui;

use crate::eval::Evaluation;
use crate::eval::calibration::Reliability;
use crate::metrics::MetricKind;
use crate::ui::screens::count;
use crate::ui::widgets::plot::Curves;
use crate::ui::widgets::table::table;
use crate::ui::widgets::{card, section, small};

/// Draws the part.
pub fn show(ui: &mut Ui, found: &Evaluation) {
    let Some(report) = &found.calibration else {
        card(ui, |ui| {
            section(
                ui,
                "A number has no probability",
                "How far answers may be off is shown under Mistakes, as a range that holds the truth for 9 of 10 rows.",
            );
        });
        return;
    };
    card(ui, |ui| {
        section(
            ui,
            "When it is 80 % sure, is it right 80 times in 100?",
            "On the dashed line it would be. Below it the model is too sure of itself, above it not sure enough.",
        );
        let line = |r: &Reliability| {
            let bins = r.bins.iter().filter(|b| b.rows > 0);
            bins.map(|b| [b.confidence, b.accuracy]).collect::<Vec<_>>()
        };
        let mut plot = Curves::new("reliability", "Reliability", "How sure it is")
            .percent()
            .line("the model", line(&report.model), false)
            .line("perfect", vec![[0.0, 0.0], [1.0, 1.0]], true)
            .height(300.0);
        if let Some(r) = &report.temperature {
            plot = plot.line("with a temperature", line(r), false);
        }
        plot.show(ui);
        let mut kinds = vec![("As the model says".to_owned(), &report.model)];
        if let (Some(r), Some(f)) = (&report.temperature, &report.fitted) {
            kinds.push((format!("With temperature {:.2}", f.temperature), r));
        }
        if let Some(r) = &report.isotonic {
            kinds.push(("With isotonic regression".to_owned(), r));
        }
        let head = ["", "Mean error (ECE)", "Largest error (MCE)"];
        table(ui, "calibration", &head, kinds.len(), |ui, row, column| {
            let Some((name, r)) = kinds.get(row) else { return };
            let kind = MetricKind::Ece;
            small(
                ui,
                match column {
                    0 => name.clone(),
                    1 => kind.format(r.ece),
                    _ => kind.format(r.mce),
                },
            );
        });
        if let Some(f) = &report.fitted {
            small(
                ui,
                format!(
                    "Both corrections were fitted on {} validation rows. An exported model carries them; \"fp8-studio predict --calibrated\" uses them.",
                    count(f.rows)
                ),
            );
        }
    });
    card(ui, |ui| {
        section(ui, "How sure it is, and how often that is right", "");
        let bins: Vec<_> = report.model.bins.iter().filter(|b| b.rows > 0).collect();
        let head = ["How sure", "Rows", "Mean", "Right"];
        table(ui, "bins", &head, bins.len(), |ui, row, column| {
            let Some(b) = bins.get(row) else { return };
            let percent = |v: f64| format!("{:.1} %", 100.0 * v);
            small(
                ui,
                match column {
                    0 => format!("{} to {}", percent(b.from), percent(b.to)),
                    1 => count(b.rows as usize),
                    2 => percent(b.confidence),
                    _ => percent(b.accuracy),
                },
            );
        });
    });
}

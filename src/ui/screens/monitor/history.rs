//! Earlier checks, so that a trend is seen.

use egui::Ui;

use crate::monitor::CheckRecord;
use crate::text::{figure, shown};
use crate::tr;
use crate::ui::screens::count;
use crate::ui::widgets::plot::{Curves, format_value};
use crate::ui::widgets::table::table;
use crate::ui::widgets::{card, section, small};

/// Draws the part.
pub fn show(ui: &mut Ui, checks: &[CheckRecord]) {
    card(ui, |ui| {
        section(
            ui,
            tr!("Checks so far"),
            tr!(
                "Kept in the project's audit log, which notices when a line is changed or taken out."
            ),
        );
        if checks.len() > 1 {
            plot(ui, checks);
        }
        let head = [
            tr!("Data"),
            tr!("Checked (UTC)"),
            tr!("Rows"),
            tr!("Drifting"),
            tr!("Unsure"),
            tr!("Score"),
            tr!("Advice"),
        ];
        table(ui, "monitor-history", &head, checks.len(), |ui, row, column| {
            let Some(check) = checks.iter().rev().nth(row) else { return };
            let share =
                |v: Option<f64>| v.map_or("–".to_owned(), |v| format_value(v, true, false));
            let text = match column {
                0 => check.data.clone(),
                1 => check.time.get(..16).unwrap_or(&check.time).replace('T', " "),
                2 => count(check.rows),
                3 => share(Some(check.drifting)),
                4 => share(check.unsure),
                5 => {
                    check.score.map_or("–".to_owned(), |(kind, now, _)| figure(kind.format(now)))
                }
                _ => shown(check.action.words()).into_owned(),
            };
            let hint = if column == 6 { shown(&check.advice).into_owned() } else { text.clone() };
            small(ui, text).on_hover_text(hint);
        });
    });
}

fn plot(ui: &mut Ui, checks: &[CheckRecord]) {
    let points = |get: &dyn Fn(&CheckRecord) -> Option<f64>| -> Vec<[f64; 2]> {
        let numbered = checks.iter().enumerate();
        numbered.filter_map(|(i, c)| Some([(i + 1) as f64, get(c)?])).collect()
    };
    let mut curves = Curves::new("monitor-trend", tr!("Over the checks"), tr!("check")).line(
        tr!("drifting columns"),
        points(&|c| Some(c.drifting)),
        false,
    );
    let unsure = points(&|c| c.unsure);
    if !unsure.is_empty() {
        curves = curves.line(tr!("unsure answers"), unsure, true);
    }
    let score = points(&|c| c.score.filter(|s| s.0.is_share()).map(|s| s.1));
    if !score.is_empty() {
        curves = curves.line(tr!("score"), score, false);
    }
    curves.percent().from_zero().height(160.0).show(ui);
}

//! When it began: shares of drifting columns, confidence and score over the new rows.

use egui::Ui;

use crate::app::{Command, Monitored, ProjectState};
use crate::metrics::MetricKind;
use crate::monitor::{Found, Window};
use crate::text::shown;
use crate::tr;
use crate::ui::screens::count;
use crate::ui::widgets::plot::Curves;
use crate::ui::widgets::rows::Rows;
use crate::ui::widgets::{card, section, small, strong};

/// Draws the part; `chosen` is the window whose rows are shown.
pub fn show(
    ui: &mut Ui,
    project: &ProjectState,
    done: &Monitored,
    chosen: &mut Option<usize>,
    out: &mut Vec<Command>,
) {
    let found = &done.found;
    card(ui, |ui| {
        section(ui, tr!("When did it begin?"), &words(found));
        ui.horizontal_wrapped(|ui| {
            small(ui, tr!("Rows in the order"));
            super::order(ui, project, done, out);
        });
        let windows = &found.timeline.windows;
        if windows.len() < 2 {
            small(ui, tr!("Too few rows for a timeline; 100 or more are needed."));
            return;
        }
        // Where rows are ordered by a column, their numbers no longer rise.
        let by_place = project.monitoring.order_by.is_some();
        let at = |w: &Window| match by_place {
            true => (w.places[0] + w.places[1]) as f64 / 2.0,
            false => (w.rows[0] + w.rows[1]) as f64 / 2.0,
        };
        let points = |get: &dyn Fn(&Window) -> Option<f64>| -> Vec<[f64; 2]> {
            windows.iter().filter_map(|w| Some([at(w), get(w)?])).collect()
        };
        let x = if by_place { tr!("rows in this order") } else { tr!("row of the file") };
        let change = found.timeline.change.as_ref().map(|c| {
            let place = if by_place { c.place as f64 } else { c.row as f64 };
            (place, tr!("the largest change, row {row}", row = count(c.row as usize)))
        });
        let events: Vec<(f64, String)> = change.into_iter().collect();
        let mut curves = Curves::new("monitor-time", tr!("Over the new rows"), x)
            .line(tr!("drifting columns"), points(&|w| Some(w.drifting)), false)
            .events(events.clone());
        let sure = points(&|w| w.confidence);
        if !sure.is_empty() {
            curves = curves.line(tr!("mean confidence"), sure, true);
        }
        let kind = found.feedback.as_ref().map(|f| f.now.kind);
        let score = points(&|w| w.score);
        if kind == Some(MetricKind::Accuracy) && !score.is_empty() {
            curves = curves.line(tr!("accuracy"), score.clone(), false);
        }
        let curves = curves.percent().from_zero();
        // In another order, the places are not those of the file.
        if by_place {
            curves.show(ui);
        } else {
            if let Some(window) = curves.press(0).show(ui) {
                *chosen = Some(window);
            }
            small(ui, tr!("Press a point of the first line to see the rows it is made of."));
            if let Some(window) = chosen.and_then(|i| windows.get(i)) {
                let [from, to] = window.rows.map(|r| count(r as usize));
                strong(ui, tr!("Rows {from} to {to}", from, to));
                let rows: Vec<usize> = (window.places[0]..window.places[1]).collect();
                let first = found.timeline.names.iter().map(String::as_str);
                Rows::new("window", &done.data.samples, &rows).first(first).height(240.0).show(ui);
            }
        }
        if let Some(kind) = kind.filter(|k| *k != MetricKind::Accuracy)
            && !score.is_empty()
        {
            let name = shown(kind.label());
            Curves::new("monitor-score", &name, x)
                .line(&name, score, false)
                .events(events)
                .height(160.0)
                .show(ui);
        }
    });
}

fn words(found: &Found) -> String {
    let Some(change) = &found.timeline.change else {
        return tr!("The new rows are alike from the first to the last.").to_owned();
    };
    let date = change.date.as_ref().map(|d| format!(" ({d})")).unwrap_or_default();
    let before = if change.before_is_normal {
        tr!("The rows before it were like those of the training.")
    } else {
        tr!("The rows before it already differed from the training.")
    };
    let names: Vec<&str> = change.columns.iter().take(4).map(String::as_str).collect();
    tr!(
        "The largest change lies at row {row}{date}, in {columns}. {before}",
        row = count(change.row as usize),
        date,
        columns = names.join(", "),
        before
    )
}

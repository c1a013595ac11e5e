//! Some rows of the data with what is true and what was answered.

use egui::Ui;

use crate::app::ProjectState;
use crate::eval::{Evaluation, Outcomes};
use crate::tr;
use crate::ui::screens::count;
use crate::ui::widgets::plot::format_value;
use crate::ui::widgets::rows::Rows;
use crate::ui::widgets::{card, section};

/// True answer, given answer and how sure of it.
fn answer(found: &Evaluation, place: usize) -> (String, String, String) {
    match &found.outcomes {
        Outcomes::Classes(c) => {
            let name = |i: Option<&u32>| {
                i.and_then(|i| c.classes.get(*i as usize)).cloned().unwrap_or_default()
            };
            let p = c.predicted.get(place);
            let at = place * c.classes.len() + p.copied().unwrap_or(0) as usize;
            let sure =
                c.probabilities.get(at).map_or(String::new(), |p| format_value(*p, true, false));
            (name(c.truth.get(place)), name(p), sure)
        }
        Outcomes::Values(v) => {
            let (y, p) = (v.truth.get(place), v.predicted.get(place));
            let text = |v: Option<&f64>| v.map_or(String::new(), |v| format_value(*v, false, true));
            let error = y.zip(p).map_or(f64::NAN, |(y, p)| p - y);
            (text(y), text(p), format_value(error, false, true))
        }
    }
}

/// A card with rows, by their places among the rows evaluated.
pub fn show(
    ui: &mut Ui,
    project: &ProjectState,
    found: &Evaluation,
    heading: &str,
    places: &[usize],
) {
    card(ui, |ui| {
        section(ui, heading, &tr!("{n} rows", n = count(places.len())));
        let third = if found.classes.is_empty() { tr!("Error") } else { tr!("How sure") };
        let number = |p: &usize| found.row_numbers.get(*p).map_or(0, |n| *n as usize);
        let numbers: Vec<usize> = places.iter().map(number).collect();
        let said = |at: usize| {
            let Some(&place) = places.get(at) else { return Vec::new() };
            let (truth, answered, sure) = answer(found, place);
            vec![truth, answered, sure]
        };
        Rows::new("answers", &project.dataset.samples, &numbers)
            .without(&found.target)
            .said(&[tr!("True"), tr!("Answered"), third], &said)
            .show(ui);
    });
}

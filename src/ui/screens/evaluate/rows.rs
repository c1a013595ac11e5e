//! Some rows of the data with what is true and what was answered.

use egui::{Align, Label, Layout, RichText, Ui};
use egui_extras::{Column, TableBuilder};

use crate::app::ProjectState;
use crate::data::Samples;
use crate::eval::{Evaluation, Outcomes};
use crate::tr;
use crate::ui::screens::count;
use crate::ui::screens::data::cell;
use crate::ui::theme;
use crate::ui::widgets::plot::format_value;
use crate::ui::widgets::{card, section, small};

const ROW: f32 = 28.0;
const HEIGHT: f32 = 300.0;

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
        let columns: Vec<&crate::data::Column> = match &project.dataset.samples {
            Samples::Table(table) => {
                table.columns().iter().filter(|c| c.name() != found.target).collect()
            }
            Samples::Images(_) => Vec::new(),
        };
        let third = if found.classes.is_empty() { tr!("Error") } else { tr!("How sure") };
        egui::ScrollArea::horizontal().id_salt("answer-rows-x").auto_shrink([false, true]).show(
            ui,
            |ui| {
                ui.spacing_mut().item_spacing.y = 0.0;
                TableBuilder::new(ui)
                    .id_salt("answer-rows")
                    .striped(true)
                    .min_scrolled_height(HEIGHT)
                    .max_scroll_height(HEIGHT)
                    .auto_shrink([false, true])
                    .cell_layout(Layout::left_to_right(Align::Center))
                    .column(Column::exact(64.0))
                    .columns(Column::exact(104.0).clip(true), 3)
                    .columns(
                        Column::initial(110.0).at_least(60.0).clip(true).resizable(true),
                        columns.len(),
                    )
                    .header(28.0, |mut header| {
                        for name in [tr!("Row"), tr!("True"), tr!("Answered"), third] {
                            header.col(|ui| {
                                small(ui, name);
                            });
                        }
                        for column in &columns {
                            header.col(|ui| {
                                let text = RichText::new(column.name()).font(theme::small_medium());
                                ui.add(Label::new(text).truncate());
                            });
                        }
                    })
                    .body(|body| {
                        body.rows(ROW, places.len(), |mut row| {
                            let Some(&place) = places.get(row.index()) else { return };
                            let number =
                                found.row_numbers.get(place).copied().unwrap_or(0) as usize;
                            row.col(|ui| {
                                small(ui, line(project, number));
                            });
                            let (truth, answered, sure) = answer(found, place);
                            for text in [truth, answered, sure] {
                                row.col(|ui| {
                                    let text = RichText::new(text).font(theme::small());
                                    ui.add(Label::new(text).truncate());
                                });
                            }
                            for column in &columns {
                                row.col(|ui| {
                                    cell(ui, column.raw(number), column.is_missing(number))
                                });
                            }
                        });
                    });
            },
        );
    });
}

fn line(project: &ProjectState, row: usize) -> String {
    match &project.dataset.samples {
        Samples::Table(table) => table.line(row).to_string(),
        Samples::Images(_) => (row + 1).to_string(),
    }
}

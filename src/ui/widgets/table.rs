//! A small table of figures.

use egui::{Align, Label, Layout, RichText, Ui};
use egui_extras::{Column, TableBuilder};

use crate::ui::theme;

/// Height of a row.
const ROW: f32 = 28.0;
/// Least width of a column.
const LEAST: f32 = 96.0;

/// A table with a header; `cell` draws what stands in a row and column. The first column takes the
/// room that is left; a table wider than the window scrolls.
pub fn table(
    ui: &mut Ui,
    id: &str,
    head: &[&str],
    rows: usize,
    mut cell: impl FnMut(&mut Ui, usize, usize),
) {
    let others = head.len().saturating_sub(1);
    let width = ui.available_width();
    let each = ((width - 170.0) / others.max(1) as f32).clamp(LEAST, 190.0) - 8.0;
    egui::ScrollArea::horizontal().id_salt((id, "x")).auto_shrink([false, true]).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        TableBuilder::new(ui)
            .id_salt(id)
            .striped(true)
            .vscroll(false)
            .cell_layout(Layout::left_to_right(Align::Center))
            .column(Column::remainder().at_least(150.0).clip(true))
            .columns(Column::exact(each).clip(true), others)
            .header(24.0, |mut header| {
                for name in head {
                    header.col(|ui| {
                        let colour = theme::palette(ui).muted;
                        let text = RichText::new(*name).font(theme::small()).color(colour);
                        ui.add(Label::new(text).truncate());
                    });
                }
            })
            .body(|mut body| {
                // One by one: drawing only the rows in view does not go with the scroll area around.
                for index in 0..rows {
                    body.row(ROW, |mut row| {
                        for column in 0..head.len() {
                            row.col(|ui| cell(ui, index, column));
                        }
                    });
                }
            });
    });
}

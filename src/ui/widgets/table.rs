//! A small table of figures.

use egui::{Align, Label, Layout, Ui};
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
    // Names that are wider than their column take two lines.
    let wide = |name: &&str| {
        let font = theme::small();
        let colour = theme::palette(ui).muted;
        ui.painter().layout_no_wrap((*name).to_owned(), font, colour).size().x > each - 4.0
    };
    let lines = if head.iter().skip(1).any(wide) { 2 } else { 1 };
    egui::ScrollArea::horizontal().id_salt((id, "x")).auto_shrink([false, true]).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        TableBuilder::new(ui)
            .id_salt(id)
            .striped(true)
            .vscroll(false)
            .cell_layout(Layout::left_to_right(Align::Center))
            .column(Column::remainder().at_least(150.0).clip(true))
            .columns(Column::exact(each).clip(true), others)
            .header(8.0 + 16.0 * lines as f32, |mut header| {
                for name in head {
                    header.col(|ui| {
                        two_lines(ui, name);
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

/// The name of a column, cut off after two lines; whole on hover.
fn two_lines(ui: &mut Ui, whole: &str) {
    let mut job = egui::text::LayoutJob::default();
    let format = egui::TextFormat {
        font_id: theme::small(),
        color: theme::palette(ui).muted,
        ..Default::default()
    };
    job.append(whole, 0.0, format);
    job.wrap = egui::text::TextWrapping {
        max_width: ui.available_width(),
        max_rows: 2,
        break_anywhere: false,
        overflow_character: Some('…'),
    };
    let galley = ui.painter().layout_job(job);
    let cut = galley.elided;
    let label = ui.add(Label::new(galley));
    if cut {
        label.on_hover_text(whole);
    }
}

//! A small table of figures.

use egui::scroll_area::ScrollBarVisibility;
use egui::{Align, Label, Layout, ScrollArea, Ui, Vec2};
use egui_extras::{Column, TableBuilder};

use crate::ui::theme::{self, space};

/// Height of a row.
const ROW: f32 = 32.0;
/// Least width of a column.
const LEAST: f32 = 96.0;
/// Height of the bar of a table that scrolls, with its margin.
const BAR: f32 = 14.0;
/// Least width of the first column.
const FIRST: f32 = 150.0;

/// A table with a header; `cell` draws what stands in a row and column. The first column takes the
/// room that is left. A table wider than the window scrolls beside its first column, which stays.
pub fn table(
    ui: &mut Ui,
    id: &str,
    head: &[&str],
    rows: usize,
    mut cell: impl FnMut(&mut Ui, usize, usize),
) {
    let others = head.len().saturating_sub(1);
    let width = ui.available_width();
    let each = ((width - FIRST - 20.0) / others.max(1) as f32).clamp(LEAST, 190.0) - 8.0;
    // Names that are wider than their column take two lines.
    let wide = |name: &&str| {
        let font = theme::small();
        let colour = theme::palette(ui).muted;
        ui.painter().layout_no_wrap((*name).to_owned(), font, colour).size().x > each - 4.0
    };
    let lines = if head.iter().skip(1).any(wide) { 2 } else { 1 };
    let part = Part { id, head, rows, header: 8.0 + 16.0 * lines as f32 };
    if FIRST + (each + 8.0) * others as f32 <= width {
        part.show(ui, "", 0..head.len(), Column::remainder().at_least(FIRST), each, &mut cell);
        return;
    }
    let first = FIRST.min(width * 0.4);
    // A scroll area takes no more height than its row has.
    let height = part.header + ROW * rows as f32 + BAR;
    let layout = Layout::left_to_right(Align::Min);
    ui.allocate_ui_with_layout(Vec2::new(width, height), layout, |ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        ui.allocate_ui_with_layout(Vec2::new(first, 0.0), Layout::top_down(Align::Min), |ui| {
            ui.set_width(first);
            part.show(ui, "first", 0..1, Column::exact(first), each, &mut cell);
        });
        sideways(ui, (id, "x"), |ui| {
            part.show(ui, "others", 1..head.len(), Column::exact(each), each, &mut cell);
        });
    });
}

/// Content wider than the window, with a bar below that shows that there is more.
pub fn sideways(
    ui: &mut Ui,
    id: impl std::hash::Hash + std::fmt::Debug,
    content: impl FnOnce(&mut Ui),
) {
    ui.scope(|ui| {
        let bar = &mut ui.spacing_mut().scroll;
        *bar = egui::style::ScrollStyle::solid();
        bar.bar_width = 8.0;
        bar.bar_inner_margin = 2.0;
        ScrollArea::horizontal()
            .id_salt(id)
            .auto_shrink([false, true])
            .scroll_bar_visibility(ScrollBarVisibility::VisibleWhenNeeded)
            // Whatever stands around: rows go below each other.
            .show(ui, |ui| ui.vertical(content));
    });
}

/// Some columns of a table.
struct Part<'a> {
    id: &'a str,
    head: &'a [&'a str],
    rows: usize,
    header: f32,
}

impl Part<'_> {
    fn show(
        &self,
        ui: &mut Ui,
        name: &str,
        columns: std::ops::Range<usize>,
        first: Column,
        each: f32,
        cell: &mut impl FnMut(&mut Ui, usize, usize),
    ) {
        ui.spacing_mut().item_spacing = Vec2::new(space::S, 0.0);
        TableBuilder::new(ui)
            .id_salt((self.id, name))
            .striped(true)
            .vscroll(false)
            .auto_shrink([false, true])
            .cell_layout(Layout::left_to_right(Align::Center))
            .column(first.clip(true))
            .columns(Column::exact(each).clip(true), columns.len().saturating_sub(1))
            .header(self.header, |mut header| {
                for name in self.head.get(columns.clone()).unwrap_or_default() {
                    header.col(|ui| {
                        two_lines(ui, name);
                    });
                }
            })
            .body(|mut body| {
                // One by one: drawing only the rows in view does not go with the scroll area around.
                for index in 0..self.rows {
                    body.row(ROW, |mut row| {
                        for column in columns.clone() {
                            row.col(|ui| cell(ui, index, column));
                        }
                    });
                }
            });
    }
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

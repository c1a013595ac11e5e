//! How a page is laid out: one column in the middle, sections, and columns that become rows in a
//! narrow window.

use egui::{Align, Layout, Rect, ScrollArea, Ui, UiBuilder, Vec2};

use super::muted;
use crate::ui::glossary;
use crate::ui::theme::{self, size, space};

/// A page that scrolls, its content in the middle and not too wide.
pub fn page<R>(ui: &mut Ui, id: &str, content: impl FnOnce(&mut Ui) -> R) -> R {
    ScrollArea::vertical()
        .id_salt(id)
        .auto_shrink([false, false])
        .show(ui, |ui| {
            let margin = if ui.available_width() < 620.0 { space::M } else { space::XL };
            let width = (ui.available_width() - 2.0 * margin).clamp(200.0, size::PAGE);
            let side = ((ui.available_width() - width) / 2.0).max(margin);
            let from = ui.cursor().min + Vec2::new(side, margin);
            let rect = Rect::from_min_size(from, Vec2::new(width, f32::INFINITY));
            let inner = ui
                .scope_builder(
                    UiBuilder::new().max_rect(rect).layout(Layout::top_down(Align::Min)),
                    |ui| {
                        ui.set_width(width);
                        ui.spacing_mut().item_spacing.y = space::M;
                        content(ui)
                    },
                )
                .inner;
            ui.add_space(margin);
            inner
        })
        .inner
}

/// A heading with an explanation below (may be empty).
pub fn section(ui: &mut Ui, heading: &str, explanation: &str) {
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = 2.0;
        ui.add(egui::Label::new(egui::RichText::new(heading).font(theme::heading())).wrap());
        if !explanation.is_empty() {
            muted(ui, explanation);
        }
    });
}

/// Whether a part of `side` points beside the main part has no room, so that it stands above.
pub fn stacked(ui: &Ui, side: f32) -> bool {
    ui.available_width() < side * 2.2
}

/// A main part and a part of `side` points beside it; below each other when narrow. Both get `with`.
pub fn split<W>(
    ui: &mut Ui,
    side: f32,
    with: &mut W,
    main: impl FnOnce(&mut Ui, &mut W),
    beside: impl FnOnce(&mut Ui, &mut W),
) {
    let width = ui.available_width();
    if stacked(ui, side) {
        beside(ui, with);
        main(ui, with);
        return;
    }
    let left = width - side - space::L;
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = space::L;
        column(ui, left, |ui| main(ui, with));
        column(ui, side, |ui| beside(ui, with));
    });
}

/// A part of a fixed width.
pub fn column<R>(ui: &mut Ui, width: f32, content: impl FnOnce(&mut Ui) -> R) -> R {
    ui.allocate_ui_with_layout(Vec2::new(width, 0.0), Layout::top_down(Align::Min), |ui| {
        ui.set_width(width);
        ui.spacing_mut().item_spacing = Vec2::new(space::S, space::M);
        content(ui)
    })
    .inner
}

/// A row of parts of equal width, wrapped where there is no room for all.
pub fn grid(ui: &mut Ui, count: usize, smallest: f32, mut part: impl FnMut(&mut Ui, usize, f32)) {
    let available = ui.available_width();
    let fit = (((available + space::M) / (smallest + space::M)) as usize).max(1);
    let rows = count.div_ceil(fit).max(1);
    let columns = count.div_ceil(rows).max(1);
    let width = (available - space::M * (columns - 1) as f32) / columns as f32;
    let mut index = 0;
    while index < count {
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = space::M;
            for _ in 0..columns.min(count - index) {
                part(ui, index, width);
                index += 1;
            }
        });
    }
}

/// A name and its value, as in a list of facts.
pub fn fact(ui: &mut Ui, name: &str, value: &str) {
    let p = theme::palette(ui);
    let mut job = egui::text::LayoutJob::default();
    let format = |font, color| egui::TextFormat { font_id: font, color, ..Default::default() };
    job.append(name, 0.0, format(theme::body(), p.muted));
    job.append(value, space::S, format(theme::strong(), p.text));
    let shown = ui.add(egui::Label::new(job).extend());
    if let Some(term) = glossary::find(name) {
        glossary::explain(shown, term);
    }
}

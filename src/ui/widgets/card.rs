//! Cards, badges, banners, figures.

use egui::{
    CornerRadius, CursorIcon, Frame, InnerResponse, Label, Margin, Response, RichText, Role, Sense,
    Stroke, StrokeKind, Ui, UiBuilder, Vec2, WidgetInfo,
};

use super::button::focus_ring;
use super::{Mood, icon};
use crate::text::shown;
use crate::ui::glossary;
use crate::ui::theme::{self, radius, space};

/// A card over the full width.
pub fn card<R>(ui: &mut Ui, content: impl FnOnce(&mut Ui) -> R) -> InnerResponse<R> {
    let p = theme::palette(ui);
    Frame::new()
        .fill(p.surface)
        .stroke(Stroke::new(1.0, p.border))
        .corner_radius(CornerRadius::same(radius::L))
        .inner_margin(Margin::same(space::L as i8))
        .show(ui, |ui| {
            ui.set_min_width(ui.available_width());
            content(ui)
        })
}

/// A card of a fixed size that can be pressed as a whole; `label` is read aloud.
pub fn clickable_card(
    ui: &mut Ui,
    size: Vec2,
    label: &str,
    blocked: Option<&str>,
    selected: bool,
    content: impl FnOnce(&mut Ui),
) -> Response {
    let p = theme::palette(ui);
    let enabled = blocked.is_none();
    let corner = CornerRadius::same(radius::L);
    let response = ui
        .add_enabled_ui(enabled, |ui| {
            let (rect, response) = ui.allocate_exact_size(size, Sense::click());
            let hot = enabled && response.hovered();
            let (fill, line) = match (selected, hot) {
                (true, _) => (p.accent_soft, Stroke::new(1.5, p.accent)),
                (false, true) => (p.hover, Stroke::new(1.0, p.outline)),
                (false, false) => (p.surface, Stroke::new(1.0, p.border)),
            };
            ui.painter().rect(rect, corner, fill, line, StrokeKind::Inside);
            focus_ring(ui, &response, corner);
            let inner = rect.shrink(space::L);
            let mut child = ui.new_child(
                UiBuilder::new().max_rect(inner).layout(egui::Layout::top_down(egui::Align::Min)),
            );
            child.set_clip_rect(rect.intersect(ui.clip_rect()));
            content(&mut child);
            response
        })
        .inner;
    response.widget_info(|| {
        let mut info = WidgetInfo::labeled(Role::Button, enabled, label);
        info.selected = selected.then_some(true);
        info
    });
    match blocked {
        Some(why) => {
            ui.ctx().accesskit_node_builder(response.id, |node| node.set_description(&*shown(why)));
            response.on_disabled_hover_text(shown(why))
        }
        None => response.on_hover_cursor(CursorIcon::PointingHand),
    }
}

/// A word or two on a coloured ground.
pub fn badge(ui: &mut Ui, mood: Mood, glyph: Option<char>, text: &str) -> Response {
    let (colour, fill) = mood.colours(theme::palette(ui));
    let galley = ui.painter().layout_no_wrap(text.to_owned(), theme::small_medium(), colour);
    let glyph_width = if glyph.is_some() { 19.0 } else { 0.0 };
    let size = Vec2::new(galley.size().x + glyph_width + 16.0, 24.0);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    ui.painter().rect_filled(rect, CornerRadius::same(radius::S + 2), fill);
    let y = rect.center().y;
    if let Some(glyph) = glyph {
        let at = egui::pos2(rect.min.x + 15.0, y);
        ui.painter().text(at, egui::Align2::CENTER_CENTER, glyph, theme::icon_font(14.0), colour);
    }
    let at = egui::pos2(rect.min.x + 8.0 + glyph_width, y - galley.size().y / 2.0);
    ui.painter().galley(at, galley, colour);
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, text));
    response
}

/// A message over the full width: title, text, and room for buttons.
pub fn banner(
    ui: &mut Ui,
    mood: Mood,
    glyph: char,
    title: &str,
    text: &str,
    buttons: impl FnOnce(&mut Ui),
) -> Response {
    let p = theme::palette(ui);
    let (colour, fill) = mood.colours(p);
    Frame::new()
        .fill(fill)
        .corner_radius(CornerRadius::same(radius::L))
        .inner_margin(Margin::symmetric(space::L as i8, space::M as i8))
        .show(ui, |ui| {
            ui.set_min_width(ui.available_width());
            ui.horizontal_top(|ui| {
                ui.spacing_mut().item_spacing.x = space::M;
                icon(ui, glyph, 20.0, colour);
                ui.vertical(|ui| {
                    ui.spacing_mut().item_spacing.y = space::XS;
                    ui.add(Label::new(RichText::new(title).font(theme::strong())).wrap());
                    if !text.is_empty() {
                        ui.add(Label::new(RichText::new(text).color(p.text)).wrap());
                    }
                    // Without buttons the row takes no room.
                    ui.spacing_mut().interact_size.y = 0.0;
                    ui.horizontal_wrapped(buttons);
                });
            });
        })
        .response
}

/// A figure with its name and an explanation below.
pub fn stat(ui: &mut Ui, width: f32, name: &str, value: &str, below: &str) -> Response {
    let p = theme::palette(ui);
    let height = 84.0;
    let (rect, response) = ui.allocate_exact_size(Vec2::new(width, height), Sense::hover());
    let corner = CornerRadius::same(radius::L);
    ui.painter().rect(rect, corner, p.surface, Stroke::new(1.0, p.border), StrokeKind::Inside);
    let inner = rect.shrink2(Vec2::new(14.0, 11.0));
    let painter = ui.painter().with_clip_rect(inner.expand(1.0).intersect(ui.clip_rect()));
    let fit = |text: &str, font: egui::FontId, colour| {
        let mut job = egui::text::LayoutJob::simple_singleline(text.to_owned(), font, colour);
        job.wrap = egui::text::TextWrapping::truncate_at_width(inner.width());
        ui.painter().layout_job(job)
    };
    painter.galley(inner.min, fit(name, theme::small(), p.muted), p.muted);
    let value_at = egui::pos2(inner.min.x, inner.min.y + 18.0);
    painter.galley(value_at, fit(value, theme::figure(), p.text), p.text);
    let below_galley = fit(below, theme::small(), p.muted);
    let below_at = egui::pos2(inner.min.x, inner.max.y - below_galley.size().y);
    painter.galley(below_at, below_galley, p.muted);
    let spoken = [name, value, below].join(", ");
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, spoken.trim_end_matches(", ")));
    let response = response.on_hover_text(format!("{name}: {value}\n{below}"));
    match glossary::find(name) {
        Some(term) => glossary::explain(response, term),
        None => response,
    }
}

//! A strip per tensor: time to the right, colour for how much is lost.

use egui::{
    Align2, Color32, CornerRadius, Rect, Role, Sense, Stroke, StrokeKind, Ui, Vec2, WidgetInfo,
    pos2,
};

use super::button::focus_ring;
use crate::tr;
use crate::ui::theme::{self, space};

/// One row.
pub struct Row<'a> {
    /// Tensor.
    pub name: &'a str,
    /// Shares 0..=1 at ascending x.
    pub points: Vec<[f64; 2]>,
    /// Newest value as text.
    pub latest: String,
}

/// Colour position of a share: 0.001 % is the lowest that shows, 10 % and more is the highest.
pub fn level(share: f64) -> f32 {
    if share <= 0.0 {
        return 0.0;
    }
    (((share.log10() + 5.0) / 4.0).clamp(0.0, 1.0) * 0.94 + 0.06) as f32
}

/// Shows the rows; returns the index of the one pressed.
pub fn strips(ui: &mut Ui, rows: &[Row<'_>], selected: Option<usize>) -> Option<usize> {
    let p = theme::palette(ui);
    let width = ui.available_width();
    let name_width = (width * 0.28).clamp(110.0, 190.0);
    let value_width = 64.0;
    let span = rows
        .iter()
        .flat_map(|r| [r.points.first(), r.points.last()])
        .flatten()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), [x, _]| (a.min(*x), b.max(*x)));
    let mut pressed = None;
    ui.spacing_mut().item_spacing.y = 2.0;
    for (index, row) in rows.iter().enumerate() {
        let (rect, response) = ui.allocate_exact_size(Vec2::new(width, 24.0), Sense::click());
        let label = format!("{}, {}", row.name, row.latest);
        let chosen = selected == Some(index);
        response.widget_info(|| WidgetInfo::selected(Role::Button, true, chosen, &label));
        if response.clicked() {
            pressed = Some(index);
        }
        if !ui.is_rect_visible(rect) {
            continue;
        }
        let corner = CornerRadius::same(theme::radius::S);
        if chosen {
            ui.painter().rect_filled(rect, corner, p.accent_soft);
        } else if response.hovered() {
            ui.painter().rect_filled(rect, corner, p.hover);
        }
        focus_ring(ui, &response, corner);
        let colour = if chosen { p.accent } else { p.text };
        let clip = Rect::from_min_max(rect.min, pos2(rect.min.x + name_width, rect.max.y));
        ui.painter().with_clip_rect(clip.intersect(ui.clip_rect())).text(
            pos2(rect.min.x + space::XS, rect.center().y),
            Align2::LEFT_CENTER,
            row.name,
            theme::small(),
            colour,
        );
        ui.painter().text(
            pos2(rect.max.x - space::XS, rect.center().y),
            Align2::RIGHT_CENTER,
            &row.latest,
            theme::small(),
            colour,
        );
        let strip = Rect::from_min_max(
            pos2(rect.min.x + name_width, rect.min.y + 4.0),
            pos2(rect.max.x - value_width, rect.max.y - 4.0),
        );
        paint_strip(ui, strip, &row.points, span);
        response.on_hover_text(label);
    }
    pressed
}

fn paint_strip(ui: &Ui, rect: Rect, points: &[[f64; 2]], (from, to): (f64, f64)) {
    let p = theme::palette(ui);
    ui.painter().rect_filled(rect, CornerRadius::same(2), p.sunken);
    if points.is_empty() || rect.width() < 8.0 {
        return;
    }
    let cells = ((rect.width() / 3.0) as usize).clamp(1, 240);
    let mut worst = vec![None::<f64>; cells];
    for [x, share] in points {
        let at = if to > from { (x - from) / (to - from) } else { 0.0 };
        let cell = ((at * cells as f64) as usize).min(cells - 1);
        if let Some(slot) = worst.get_mut(cell) {
            *slot = Some(slot.unwrap_or(0.0).max(*share));
        }
    }
    let width = rect.width() / cells as f32;
    let mut mesh = egui::Mesh::default();
    let mut last = None;
    for (i, share) in worst.into_iter().enumerate() {
        // A cell without a value of its own shows the one before.
        let Some(share) = share.or(last) else { continue };
        last = Some(share);
        let left = rect.min.x + i as f32 * width;
        let cell = Rect::from_min_max(pos2(left, rect.min.y), pos2(left + width, rect.max.y));
        mesh.add_colored_rect(cell, theme::sequential(level(share)));
    }
    ui.painter().add(mesh);
}

/// The key to the colours.
pub fn key(ui: &mut Ui) {
    let p = theme::palette(ui);
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        super::small(ui, tr!("none"));
        let (rect, _) = ui.allocate_exact_size(Vec2::new(120.0, 10.0), Sense::hover());
        let mut mesh = egui::Mesh::default();
        for i in 0..60 {
            let x = rect.min.x + 2.0 * i as f32;
            let cell = Rect::from_min_max(pos2(x, rect.min.y), pos2(x + 2.0, rect.max.y));
            mesh.add_colored_rect(cell, theme::sequential(i as f32 / 59.0));
        }
        ui.painter().add(mesh);
        let line = Stroke::new(1.0, p.border);
        ui.painter().rect(
            rect,
            CornerRadius::ZERO,
            Color32::TRANSPARENT,
            line,
            StrokeKind::Outside,
        );
        super::small(ui, tr!("10 % and more"));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_rise_with_the_share() {
        assert!(level(0.0) < level(1e-6));
        assert!(level(1e-6) <= level(1e-4));
        assert!(level(1e-4) < level(1e-2));
        assert!((level(0.5) - 1.0).abs() < 1e-6);
    }
}

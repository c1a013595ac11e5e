//! The tour: one card per step, beside the step it is about.

use egui::{
    Align2, Area, CornerRadius, Id, Key, Modifiers, Order, Pos2, Rect, Stroke, StrokeKind, Ui,
    pos2, vec2,
};

use super::frame;
use crate::text::of;
use crate::ui::theme::{self, radius, space};
use crate::ui::widgets::{Button, Kind, muted, small, strong};
use crate::{key, tr};

/// Title, text, and the step it is about.
const PAGES: [(&str, &str, Option<usize>); 10] = [
    (
        key!("Welcome"),
        key!(
            "In eight steps a table or a folder of pictures becomes a model that predicts. This tour takes a minute; nothing is changed."
        ),
        None,
    ),
    (
        key!("Home"),
        key!("Open a sample to try things out, or your own file. Recent projects are here too."),
        Some(0),
    ),
    (
        key!("Data"),
        key!("See what was read, correct the types of columns, and choose what to predict."),
        Some(1),
    ),
    (
        key!("Check"),
        key!(
            "Duplicates, leaks, wrong labels and more are looked for before training. Fixes are offered, shown first, and can be undone."
        ),
        Some(2),
    ),
    (
        key!("Configure"),
        key!(
            "Take a preset: fast, balanced or careful. Everything else is optional, and every term explains itself when you point at it."
        ),
        Some(3),
    ),
    (
        key!("Train"),
        key!(
            "Watch it learn, pause it, stop it and keep the best. All runs stay here to be compared, and several can be queued."
        ),
        Some(4),
    ),
    (
        key!("Evaluate"),
        key!(
            "How good it is, for whom it fails, what FP8 cost. Under \"Try it\" you type a row and see the answer."
        ),
        Some(5),
    ),
    (
        key!("Export"),
        key!("Take the model along in one file, proven to predict the same."),
        Some(6),
    ),
    (
        key!("Monitor"),
        key!(
            "Later, give it new data: it says what changed since the training, when it began, and whether to train again."
        ),
        Some(7),
    ),
    (
        key!("That is all"),
        key!(
            "Press Ctrl+K (Cmd+K on a Mac) for every command and F1 for the glossary. The button in the corner always shows the next step."
        ),
        None,
    ),
];

/// Draws a page; returns the page to show next.
pub fn show(ui: &Ui, page: usize, steps: &[Rect]) -> Option<usize> {
    let (title, text, step) = PAGES.get(page)?;
    let p = theme::palette(ui);
    let target = step.and_then(|i| steps.get(i)).copied();
    if let Some(rect) = target {
        let layer = egui::LayerId::new(Order::Foreground, Id::unique("tour-mark"));
        let painter = ui.ctx().layer_painter(layer);
        let corner = CornerRadius::same(radius::M + 2);
        let line = Stroke::new(2.5, p.accent);
        painter.rect_stroke(rect.expand(2.0), corner, line, StrokeKind::Middle);
    }
    let screen = ui.ctx().content_rect();
    let width = 320f32.min(screen.width() - 120.0);
    let area = Area::new(Id::unique("tour")).order(Order::Foreground);
    let area = match target {
        Some(rect) => {
            let at = pos2(rect.max.x + space::M, rect.min.y);
            area.fixed_pos(within(at, screen)).constrain(true)
        }
        None => area.anchor(Align2::CENTER_CENTER, vec2(0.0, 0.0)),
    };
    let mut next = Some(page);
    area.show(ui.ctx(), |ui| {
        frame(ui).show(ui, |ui| {
            ui.set_width(width);
            ui.spacing_mut().item_spacing.y = space::S;
            small(ui, tr!("{page} of {pages}", page = page + 1, pages = PAGES.len()));
            strong(ui, of(title));
            muted(ui, of(text));
            ui.horizontal(|ui| {
                let last = page + 1 == PAGES.len();
                let label = if last { tr!("Done") } else { tr!("Next") };
                if Button::primary(label).small().pressed(ui) {
                    next = (!last).then_some(page + 1);
                }
                if page > 0 && Button::secondary(tr!("Back")).small().pressed(ui) {
                    next = Some(page - 1);
                }
                if !last && Button::new(Kind::Quiet, tr!("End the tour")).small().pressed(ui) {
                    next = None;
                }
            });
        });
    });
    if ui.ctx().input_mut(|i| i.consume_key(Modifiers::NONE, Key::Escape)) {
        next = None;
    }
    next
}

fn within(at: Pos2, screen: Rect) -> Pos2 {
    pos2(at.x, at.y.clamp(screen.min.y + space::S, (screen.max.y - 190.0).max(screen.min.y)))
}

//! Text in the styles of the theme, and icons.

use egui::{Color32, Label, Response, RichText, Sense, Ui, Vec2};

use crate::ui::theme;

/// Page title.
pub fn title(ui: &mut Ui, text: impl Into<String>) -> Response {
    ui.add(Label::new(RichText::new(text).font(theme::title())).wrap())
}

/// Emphasised text.
pub fn strong(ui: &mut Ui, text: impl Into<String>) -> Response {
    ui.add(Label::new(RichText::new(text).font(theme::strong())).wrap())
}

/// Text that explains.
pub fn muted(ui: &mut Ui, text: impl Into<String>) -> Response {
    let colour = theme::palette(ui).muted;
    ui.add(Label::new(RichText::new(text).color(colour)).wrap())
}

/// Small text that explains.
pub fn small(ui: &mut Ui, text: impl Into<String>) -> Response {
    let colour = theme::palette(ui).muted;
    ui.add(Label::new(RichText::new(text).font(theme::small()).color(colour)).wrap())
}

/// An icon: a picture that says nothing to a screen reader; the text beside it does.
pub fn icon(ui: &mut Ui, icon: char, size: f32, colour: Color32) -> Response {
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(size), Sense::hover());
    ui.painter().text(
        rect.center(),
        egui::Align2::CENTER_CENTER,
        icon,
        theme::icon_font(size),
        colour,
    );
    response
}

//! Settings: a plain question, the technical term, the control, and what is wrong with it.

use egui::emath::{self, Numeric};
use egui::{DragValue, Label, Response, RichText, Ui, Vec2};

use super::{Button, Kind, clickable_card, icon, small, strong};
use crate::text::{self, figure, shown};
use crate::ui::glossary;
use crate::ui::icons;
use crate::ui::theme::{self, space};

/// A setting: plain words and the technical term on the left, the control on the right. The
/// control is named by the plain words for screen readers.
pub fn labelled<R>(
    ui: &mut Ui,
    plain: &str,
    term: &str,
    explanation: &str,
    control: impl FnOnce(&mut Ui) -> R,
) -> R {
    let width = ui.available_width();
    let left = (width * 0.5).clamp(140.0, 340.0);
    let p = theme::palette(ui);
    ui.horizontal_top(|ui| {
        let label = ui
            .allocate_ui(Vec2::new(left, 0.0), |ui| {
                ui.set_width(left);
                ui.vertical(|ui| {
                    ui.spacing_mut().item_spacing.y = 2.0;
                    let label =
                        ui.add(Label::new(RichText::new(plain).font(theme::medium())).wrap());
                    let name = ui.add(
                        Label::new(RichText::new(term).font(theme::small()).color(p.muted)).wrap(),
                    );
                    if !term.is_empty() {
                        glossary::explained(ui, name, term);
                    }
                    label
                })
                .inner
            })
            .inner;
        let label = label.on_hover_text(explanation);
        ui.vertical(|ui| ui.label_inputs_by(label.id, control)).inner
    })
    .inner
}

/// What is wrong with a setting.
pub fn problem(ui: &mut Ui, text: &str) {
    let p = theme::palette(ui);
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = space::XS;
        icon(ui, icons::WARNING_CIRCLE, 15.0, p.danger);
        ui.add(Label::new(RichText::new(shown(text)).font(theme::small()).color(p.danger)).wrap());
    });
}

/// A row of choices of which one is taken; returns the one pressed.
pub fn segmented<T: Copy + PartialEq>(ui: &mut Ui, current: T, choices: &[(T, &str)]) -> Option<T> {
    let mut pressed = None;
    let p = theme::palette(ui);
    egui::Frame::new()
        .fill(p.sunken)
        .corner_radius(egui::CornerRadius::same(theme::radius::M + 2))
        .inner_margin(egui::Margin::same(3))
        .show(ui, |ui| {
            let wide = |(_, name): &(T, &str)| {
                let font = theme::small_medium();
                let text = ui.painter().layout_no_wrap((*name).to_owned(), font, p.text);
                text.size().x + 2.0 * space::M + 2.0
            };
            // In a narrow window the choices go on in another row.
            let wraps = choices.iter().map(wide).sum::<f32>() > ui.available_width();
            let content = |ui: &mut Ui| {
                ui.spacing_mut().item_spacing = Vec2::splat(2.0);
                ui.spacing_mut().interact_size.y = theme::size::BUTTON_SMALL;
                for (value, name) in choices {
                    let kind = if *value == current { Kind::Secondary } else { Kind::Quiet };
                    let chosen = *value == current;
                    if Button::new(kind, name).chosen(chosen).small().pressed(ui) {
                        pressed = Some(*value);
                    }
                }
            };
            if wraps {
                ui.horizontal_wrapped(content);
            } else {
                ui.horizontal(content);
            }
        });
    pressed.filter(|v| *v != current)
}

/// Cards of which one is taken, side by side where there is room; returns the one pressed. Each
/// has a name, a technical term (may be empty) and an explanation.
pub fn choice_cards<T: Copy + PartialEq>(
    ui: &mut Ui,
    current: Option<T>,
    choices: &[(T, String, String, String)],
) -> Option<T> {
    let mut pressed = None;
    let available = ui.available_width();
    let most = choices.len().clamp(1, 3);
    let columns = if available >= 200.0 * most as f32 { most } else { 1 };
    let width = (available - space::M * (columns - 1) as f32) / columns as f32;
    let height = choices
        .iter()
        .map(|(_, _, term, explanation)| choice_height(ui, width, term, explanation))
        .fold(0.0, f32::max);
    for row in choices.chunks(columns) {
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = space::M;
            for (value, name, term, explanation) in row {
                let chosen = current == Some(*value);
                let label = if term.is_empty() { name.clone() } else { format!("{name} ({term})") };
                let response =
                    clickable_card(ui, Vec2::new(width, height), &label, None, chosen, |ui| {
                        choice_content(ui, chosen, name, term, explanation)
                    });
                if response.clicked() {
                    pressed = Some(*value);
                }
            }
        });
    }
    pressed.filter(|v| current != Some(*v))
}

fn choice_height(ui: &Ui, width: f32, term: &str, explanation: &str) -> f32 {
    let colour = theme::palette(ui).muted;
    let room = width - 2.0 * space::L;
    let text = ui.painter().layout(explanation.to_owned(), theme::small(), colour, room);
    let term = if term.is_empty() { 0.0 } else { 19.0 };
    2.0 * space::L + 26.0 + term + text.size().y
}

fn choice_content(ui: &mut Ui, chosen: bool, name: &str, term: &str, explanation: &str) {
    let p = theme::palette(ui);
    ui.spacing_mut().item_spacing.y = space::XS;
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        ui.spacing_mut().interact_size.y = 18.0;
        let (glyph, colour) =
            if chosen { (icons::CHECK_CIRCLE, p.accent) } else { (icons::CIRCLE, p.outline) };
        icon(ui, glyph, 18.0, colour);
        strong(ui, name);
    });
    if !term.is_empty() {
        let colour = if chosen { p.accent } else { p.muted };
        ui.add(Label::new(RichText::new(term).font(theme::small_medium()).color(colour)).wrap());
    }
    small(ui, explanation);
}

/// A number to be dragged or typed, with point or comma as the decimal mark.
pub fn number<N: Numeric>(value: &mut N) -> DragValue<'_> {
    DragValue::new(value)
        .custom_formatter(|v, decimals| figure(emath::format_with_decimals_in_range(v, decimals)))
        .custom_parser(text::number)
}

/// A slider whose rail can be seen on a card.
pub fn slider(ui: &mut Ui, slider: egui::Slider<'_>) -> Response {
    let p = theme::palette(ui);
    ui.scope(|ui| {
        let visuals = ui.visuals_mut();
        visuals.widgets.inactive.bg_fill = p.border;
        visuals.selection.bg_fill = p.accent;
        ui.add(slider)
    })
    .inner
}

/// A text field of the theme's height.
pub fn text_field(ui: &mut Ui, text: &mut String, width: f32, wrong: bool) -> Response {
    let p = theme::palette(ui);
    if wrong {
        let line = egui::Stroke::new(1.5, p.danger);
        ui.visuals_mut().widgets.inactive.bg_stroke = line;
        ui.visuals_mut().widgets.hovered.bg_stroke = line;
    }
    ui.add(
        egui::TextEdit::singleline(text).desired_width(width).margin(egui::Margin::symmetric(8, 6)),
    )
}

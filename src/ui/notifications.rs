//! Toasts, and the list of all notifications with a copy button.

use egui::{Align2, Area, CornerRadius, Frame, Margin, Order, Stroke, Ui, vec2};

use super::icons;
use super::theme::{self, radius, space};
use super::widgets::{self, Button, Mood};
use crate::app::notify::Notification;
use crate::app::{AppState, Command, Tone};
use crate::text::shown;
use crate::tr;

fn look(tone: Tone) -> (Mood, char) {
    match tone {
        Tone::Info => (Mood::Neutral, icons::INFO),
        Tone::Success => (Mood::Good, icons::CHECK_CIRCLE),
        Tone::Warning => (Mood::Warn, icons::WARNING),
        Tone::Error => (Mood::Bad, icons::WARNING_CIRCLE),
    }
}

/// Shows the newest notifications above the lower right corner.
pub fn toasts(ui: &Ui, state: &AppState, above: f32, out: &mut Vec<Command>) {
    let shown: Vec<_> = state.notifications.on_screen().collect();
    if shown.is_empty() {
        return;
    }
    let room = if ui.ctx().content_rect().height() < 520.0 { 1 } else { 3 };
    let newest = shown.len().saturating_sub(room);
    let width = 340f32.min(ui.ctx().content_rect().width() - 2.0 * space::L);
    Area::new(egui::Id::unique("toasts"))
        .order(Order::Foreground)
        .anchor(Align2::RIGHT_BOTTOM, vec2(-space::L, -above - space::M))
        .show(ui.ctx(), |ui| {
            ui.set_width(width);
            ui.spacing_mut().item_spacing.y = space::S;
            for note in shown.into_iter().skip(newest) {
                toast(ui, note, width, out);
            }
        });
}

fn toast(ui: &mut Ui, note: &Notification, width: f32, out: &mut Vec<Command>) {
    let p = theme::palette(ui);
    let (mood, glyph) = look(note.tone);
    Frame::new()
        .fill(p.surface)
        .stroke(Stroke::new(1.0, p.outline))
        .corner_radius(CornerRadius::same(radius::L))
        .shadow(ui.visuals().popup_shadow)
        .inner_margin(Margin::same(12))
        .show(ui, |ui| entry(ui, note, mood, glyph, width - 24.0, true, out));
}

fn entry(
    ui: &mut Ui,
    note: &Notification,
    mood: Mood,
    glyph: char,
    width: f32,
    dismissable: bool,
    out: &mut Vec<Command>,
) {
    let (colour, _) = mood.colours(theme::palette(ui));
    ui.horizontal_top(|ui| {
        ui.set_width(width);
        ui.spacing_mut().item_spacing.x = space::S;
        widgets::icon(ui, glyph, 20.0, colour);
        let buttons = if dismissable { 70.0 } else { 36.0 };
        ui.vertical(|ui| {
            ui.set_width((width - 28.0 - buttons).max(80.0));
            ui.spacing_mut().item_spacing.y = 2.0;
            widgets::strong(ui, shown(&note.title));
            if !note.details.is_empty() {
                widgets::small(ui, shown(&note.details));
            }
        });
        let text = format!("{}\n{}", shown(&note.title), shown(&note.details));
        if Button::icon_only(icons::COPY, tr!("Copy this message")).small().pressed(ui) {
            ui.ctx().copy_text(text.trim_end().to_owned());
        }
        if dismissable && Button::icon_only(icons::X, tr!("Dismiss")).small().pressed(ui) {
            out.push(Command::Dismiss(note.id));
        }
    });
}

/// The list of all notifications, for the menu of the bell.
pub fn list(ui: &mut Ui, state: &AppState, out: &mut Vec<Command>) {
    ui.set_width(340.0);
    widgets::strong(ui, tr!("Messages"));
    let all = state.notifications.all();
    if all.is_empty() {
        widgets::muted(ui, tr!("Nothing has happened yet."));
        return;
    }
    egui::ScrollArea::vertical().max_height(320.0).show(ui, |ui| {
        for note in all.iter().rev() {
            let (mood, glyph) = look(note.tone);
            entry(ui, note, mood, glyph, 328.0, false, out);
            ui.add_space(space::XS);
        }
    });
}

/// The button that opens the list.
pub fn bell(ui: &mut Ui, state: &AppState, out: &mut Vec<Command>) {
    let response = Button::icon_only(icons::BELL_SIMPLE, tr!("Messages")).show(ui);
    if state.notifications.on_screen().any(|n| n.tone == Tone::Error) {
        let p = theme::palette(ui);
        let at = response.rect.right_top() + vec2(-9.0, 9.0);
        ui.painter().circle_filled(at, 4.0, p.danger);
    }
    egui::Popup::menu(&response)
        .close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside)
        .show(|ui| list(ui, state, out));
}

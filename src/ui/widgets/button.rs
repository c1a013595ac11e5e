//! Buttons. A button that cannot be pressed says why.

use egui::{
    Align2, CornerRadius, CursorIcon, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui, Vec2,
    WidgetInfo, pos2,
};

use crate::text::shown;
use crate::ui::theme::{self, radius, size, space};

/// How a button looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The one thing to do next.
    Primary,
    /// Another thing that can be done.
    Secondary,
    /// A thing in passing, without an outline.
    Quiet,
    /// A thing that ends or removes something.
    Danger,
}

/// A button with an icon, a label or both.
#[derive(Debug, Clone)]
pub struct Button<'a> {
    kind: Kind,
    label: &'a str,
    icon: Option<char>,
    trailing: bool,
    icon_only: bool,
    small: bool,
    blocked: Option<&'a str>,
    chosen: bool,
    hint: Option<&'a str>,
    width: Option<f32>,
    name: Option<&'a str>,
}

impl<'a> Button<'a> {
    /// A button with a label.
    pub fn new(kind: Kind, label: &'a str) -> Self {
        Self {
            kind,
            label,
            icon: None,
            trailing: false,
            icon_only: false,
            small: false,
            blocked: None,
            chosen: false,
            hint: None,
            width: None,
            name: None,
        }
    }

    /// The one thing to do next.
    pub fn primary(label: &'a str) -> Self {
        Self::new(Kind::Primary, label)
    }

    /// Another thing that can be done.
    pub fn secondary(label: &'a str) -> Self {
        Self::new(Kind::Secondary, label)
    }

    /// Only an icon; `label` is read aloud and shown on hover.
    pub fn icon_only(icon: char, label: &'a str) -> Self {
        let new = Self::new(Kind::Quiet, label);
        Self { icon: Some(icon), icon_only: true, hint: Some(label), ..new }
    }

    /// Adds an icon before the label.
    pub fn icon(self, icon: char) -> Self {
        Self { icon: Some(icon), ..self }
    }

    /// Adds an icon after the label.
    pub fn trailing(self, icon: char) -> Self {
        Self { icon: Some(icon), trailing: true, ..self }
    }

    /// Makes it smaller.
    pub fn small(self) -> Self {
        Self { small: true, ..self }
    }

    /// Why it cannot be pressed, if so.
    pub fn blocked(self, why: Option<&'a str>) -> Self {
        Self { blocked: why, ..self }
    }

    /// Says that it is the chosen one of several.
    pub fn chosen(self, chosen: bool) -> Self {
        Self { chosen, ..self }
    }

    /// Says more on hover.
    pub fn hint(self, hint: &'a str) -> Self {
        Self { hint: Some(hint), ..self }
    }

    /// Makes it at least this wide.
    pub fn width(self, width: f32) -> Self {
        Self { width: Some(width), ..self }
    }

    /// Reads this aloud in place of the label, where several buttons have the same one.
    pub fn name(self, name: &'a str) -> Self {
        Self { name: Some(name), ..self }
    }

    /// Shows it; true when it was pressed.
    pub fn pressed(self, ui: &mut Ui) -> bool {
        self.show(ui).clicked()
    }

    /// Shows it.
    pub fn show(self, ui: &mut Ui) -> Response {
        let enabled = self.blocked.is_none() && ui.is_enabled();
        let response = ui.add_enabled(enabled, |ui: &mut Ui| self.draw(ui, enabled));
        let response = match self.blocked {
            Some(why) => response.on_disabled_hover_text(shown(why)),
            None => response,
        };
        match self.hint {
            Some(hint) if enabled => response.on_hover_text(hint),
            _ => response,
        }
    }

    fn draw(&self, ui: &mut Ui, enabled: bool) -> Response {
        let p = theme::palette(ui);
        let height = if self.small { size::BUTTON_SMALL } else { size::BUTTON };
        let (font, icon_size) =
            if self.small { (theme::small_medium(), 15.0) } else { (theme::medium(), 17.0) };
        let galley = (!self.icon_only)
            .then(|| ui.painter().layout_no_wrap(self.label.to_owned(), font, p.text));
        let text_width = galley.as_ref().map_or(0.0, |g| g.size().x);
        let icon_width = match (self.icon, self.icon_only) {
            (Some(_), true) => icon_size,
            (Some(_), false) => icon_size + 6.0,
            (None, _) => 0.0,
        };
        let padding = if self.icon_only { (height - icon_size) / 2.0 } else { space::M };
        let natural = text_width + icon_width + 2.0 * padding;
        let width = self.width.map_or(natural, |w| w.max(natural));
        let (rect, response) = ui.allocate_exact_size(Vec2::new(width, height), Sense::click());
        response.widget_info(|| {
            let name = self.name.unwrap_or(self.label);
            let mut info = WidgetInfo::labeled(Role::Button, enabled, name);
            info.selected = self.chosen.then_some(true);
            info
        });
        if let Some(why) = self.blocked {
            ui.ctx().accesskit_node_builder(response.id, |node| node.set_description(&*shown(why)));
        }
        if !ui.is_rect_visible(rect) {
            return response;
        }
        let hot = enabled && (response.hovered() || response.is_pointer_button_down_on());
        let (fill, text, line) = match self.kind {
            _ if !enabled && self.kind == Kind::Quiet => {
                (egui::Color32::TRANSPARENT, p.disabled_text, Stroke::NONE)
            }
            _ if !enabled => (p.sunken, p.disabled_text, Stroke::new(1.0, p.border)),
            Kind::Primary if hot => (p.accent_hover, p.on_accent, Stroke::NONE),
            Kind::Primary => (p.accent, p.on_accent, Stroke::NONE),
            _ if self.chosen => (p.surface, p.accent, Stroke::new(1.0, p.outline)),
            Kind::Secondary if hot => (p.hover, p.text, Stroke::new(1.0, p.outline)),
            Kind::Secondary => (p.surface, p.text, Stroke::new(1.0, p.outline)),
            Kind::Quiet if hot => (p.hover, p.text, Stroke::NONE),
            Kind::Quiet => (egui::Color32::TRANSPARENT, p.text, Stroke::NONE),
            Kind::Danger if hot => (p.danger_soft, p.danger, Stroke::new(1.0, p.danger)),
            Kind::Danger => (p.surface, p.danger, Stroke::new(1.0, p.outline)),
        };
        let corner = CornerRadius::same(radius::M);
        ui.painter().rect(rect, corner, fill, line, StrokeKind::Inside);
        focus_ring(ui, &response, corner);
        let mut x = rect.center().x - (text_width + icon_width) / 2.0;
        let y = rect.center().y;
        let paint_icon = |x: f32| {
            if let Some(icon) = self.icon {
                let at = pos2(x + icon_size / 2.0, y);
                let font = theme::icon_font(icon_size);
                ui.painter().text(at, Align2::CENTER_CENTER, icon, font, text);
            }
        };
        if !self.trailing {
            paint_icon(x);
            x += icon_width;
        }
        if let Some(galley) = galley {
            let at = pos2(x, y - galley.size().y / 2.0);
            ui.painter().galley_with_override_text_color(at, galley, text);
        }
        if self.trailing {
            paint_icon(x + text_width + 6.0);
        }
        if enabled { response.on_hover_cursor(CursorIcon::PointingHand) } else { response }
    }
}

/// Draws a ring around what the keyboard would act on.
pub fn focus_ring(ui: &Ui, response: &Response, corner: CornerRadius) {
    if response.has_focus() {
        let p = theme::palette(ui);
        let ring: Rect = response.rect.expand(2.0);
        ui.painter().rect_stroke(
            ring,
            corner + CornerRadius::same(2),
            Stroke::new(2.0, p.accent),
            StrokeKind::Middle,
        );
    }
}

//! What stands where content is not there yet: nothing, loading, failed.

use egui::{
    Align, CornerRadius, Label, Layout, Response, RichText, Role, Sense, Spinner, Ui, Vec2,
    WidgetInfo,
};

use super::{icon, title};
use crate::error::{Place, UserError};
use crate::text::shown;
use crate::tr;
use crate::ui::icons;
use crate::ui::theme::{self, space};

fn centred(ui: &mut Ui, content: impl FnOnce(&mut Ui)) {
    let width = ui.available_width().min(480.0);
    ui.add_space((ui.available_height() * 0.16).clamp(space::L, 120.0));
    ui.with_layout(Layout::top_down(Align::Center), |ui| {
        ui.set_max_width(width);
        ui.spacing_mut().item_spacing.y = space::M;
        content(ui);
    });
}

fn centred_text(ui: &mut Ui, text: &str) {
    let colour = theme::palette(ui).muted;
    ui.add(Label::new(RichText::new(text).color(colour)).wrap().halign(Align::Center));
}

/// Nothing here yet, and what to do about it.
pub fn empty(ui: &mut Ui, glyph: char, heading: &str, text: &str, buttons: impl FnOnce(&mut Ui)) {
    let colour = theme::palette(ui).muted;
    centred(ui, |ui| {
        icon(ui, glyph, 44.0, colour);
        title(ui, heading);
        centred_text(ui, text);
        ui.add_space(space::S);
        buttons(ui);
    });
}

/// Something is being loaded; `share` if it is known how much is done.
pub fn loading(ui: &mut Ui, heading: &str, share: Option<f32>, buttons: impl FnOnce(&mut Ui)) {
    centred(ui, |ui| {
        title(ui, heading);
        match share {
            Some(share) => {
                let width = ui.available_width().min(320.0);
                progress(ui, width, share, heading);
                centred_text(ui, &format!("{:.0} %", share * 100.0));
            }
            None => {
                ui.add(Spinner::new().size(28.0)).accessible_name(tr!("Working"));
            }
        }
        ui.add_space(space::XS);
        buttons(ui);
    });
}

/// A bar that fills up; `label` is read aloud with the share.
pub fn progress(ui: &mut Ui, width: f32, share: f32, label: &str) -> Response {
    let p = theme::palette(ui);
    let (rect, response) = ui.allocate_exact_size(Vec2::new(width, 8.0), Sense::hover());
    let corner = CornerRadius::same(4);
    ui.painter().rect_filled(rect, corner, p.border);
    let mut done = rect;
    done.set_width((rect.width() * share.clamp(0.0, 1.0)).max(8.0));
    ui.painter().rect_filled(done, corner, p.accent);
    let spoken = format!("{label}: {:.0} %", share * 100.0);
    response.widget_info(|| WidgetInfo::labeled(Role::ProgressIndicator, true, &spoken));
    response
}

/// Where something went wrong, in words.
pub fn place(place: &Place) -> String {
    let path = place.path.as_ref().map(|path| path.display().to_string());
    let row = place.row.map(|row| tr!("row {row}", row));
    let column = place.column.as_ref().map(|name| tr!("column \"{name}\"", name));
    [path, row, column].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// An error in two texts: what happened; where, and what to do next.
pub fn error_texts(error: &UserError) -> (String, String) {
    let below = [place(&error.place), shown(&error.advice).into_owned()];
    let below: Vec<String> = below.into_iter().filter(|t| !t.is_empty()).collect();
    (format!("{}.", shown(&error.what)), below.join("\n"))
}

/// Something failed: what, where, what to do next.
pub fn failed(ui: &mut Ui, heading: &str, error: &UserError, buttons: impl FnOnce(&mut Ui)) {
    let p = theme::palette(ui);
    centred(ui, |ui| {
        icon(ui, icons::WARNING_CIRCLE, 44.0, p.danger);
        title(ui, heading);
        ui.add(
            Label::new(RichText::new(format!("{}.", shown(&error.what))).font(theme::strong()))
                .wrap()
                .halign(Align::Center),
        );
        let place = place(&error.place);
        if !place.is_empty() {
            centred_text(ui, &place);
        }
        if !error.advice.is_empty() {
            ui.add(Label::new(shown(&error.advice)).wrap().halign(Align::Center));
        }
        ui.add_space(space::S);
        buttons(ui);
    });
}

//! The list of keyboard shortcuts.

use egui::Ui;

use super::keys;
use crate::app::AppState;
use crate::text::of;
use crate::ui::actions;
use crate::ui::widgets::{small, strong};
use crate::{key, tr};

/// Keys that do the same everywhere.
const ALWAYS: [(&str, &str); 6] = [
    ("Tab", key!("Next control")),
    ("Shift+Tab", key!("Control before")),
    (key!("Enter or Space"), key!("Press the control in focus")),
    ("Esc", key!("Close what is open, leave a field")),
    (key!("Arrow keys"), key!("Move in a list or change a value")),
    (key!("Ctrl+scroll"), key!("Zoom a plot; drag to choose a part, double-click to see all")),
];

/// Draws it.
pub fn show(ui: &mut Ui, state: &AppState) {
    ui.spacing_mut().item_spacing.y = 3.0;
    ui.spacing_mut().interact_size.y = 22.0;
    for action in actions::all(state) {
        if action.hidden {
            continue;
        }
        if let Some(shortcut) = &action.keys {
            let text = ui.ctx().format_shortcut(shortcut);
            line(ui, &text, &action.label);
        }
    }
    strong(ui, tr!("Everywhere"));
    for (text, what) in ALWAYS {
        line(ui, of(text), of(what));
    }
    small(ui, tr!("A table copied in a spreadsheet opens when it is pasted into the window."));
}

fn line(ui: &mut Ui, shortcut: &str, what: &str) {
    ui.horizontal(|ui| {
        let width = 150.0;
        ui.allocate_ui(egui::vec2(width, 22.0), |ui| {
            ui.set_width(width);
            ui.horizontal(|ui| keys(ui, shortcut));
        });
        ui.add(egui::Label::new(what).wrap());
    });
}

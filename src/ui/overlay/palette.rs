//! The command palette: type what you want to do.

use egui::{
    Align2, CornerRadius, Id, Key, Modal, Role, ScrollArea, Sense, Ui, Vec2, WidgetInfo, pos2,
};

use super::frame;
use crate::app::AppState;
use crate::tr;
use crate::ui::actions::{self, Action, match_rank};
use crate::ui::theme::{self, radius, space};

/// Most actions listed.
const MOST: usize = 60;

/// What only the drawing needs to know.
#[derive(Debug, Default)]
pub struct Local {
    text: String,
    at: usize,
}

/// Draws it; returns the action that was chosen.
pub fn show(ui: &Ui, state: &AppState, local: &mut super::Local) -> Option<Action> {
    let screen = ui.ctx().content_rect();
    let width = 560f32.min(screen.width() - 2.0 * space::XL - 2.0 * space::L);
    let height = (screen.height() * 0.6).clamp(120.0, 420.0);
    let found = matching(state, &local.palette.text);
    let last = found.len().saturating_sub(1);
    let (up, down, enter) = ui.ctx().input_mut(|i| {
        let none = egui::Modifiers::NONE;
        (
            i.consume_key(none, Key::ArrowUp),
            i.consume_key(none, Key::ArrowDown),
            i.consume_key(none, Key::Enter),
        )
    });
    if up {
        local.palette.at = local.palette.at.saturating_sub(1);
    }
    if down {
        local.palette.at += 1;
    }
    local.palette.at = local.palette.at.min(last);
    let mut chosen = enter.then_some(local.palette.at);
    let dim = egui::Color32::from_black_alpha(110);
    let shown = Modal::new(Id::unique("palette")).frame(frame(ui)).backdrop_color(dim).show(
        ui.ctx(),
        |ui| {
            ui.set_width(width);
            let before = local.palette.text.clone();
            let field = ui
                .add(
                    egui::TextEdit::singleline(&mut local.palette.text)
                        .hint_text(tr!("What would you like to do?"))
                        .desired_width(width - 18.0)
                        .margin(egui::Margin::symmetric(8, 8)),
                )
                .accessible_name(tr!("Find a command"));
            if !field.has_focus() {
                field.request_focus();
            }
            if local.palette.text != before {
                local.palette.at = 0;
            }
            let scroll = ScrollArea::vertical().max_height(height).min_scrolled_height(height);
            scroll.show(ui, |ui| {
                ui.set_width(width);
                ui.spacing_mut().item_spacing.y = 1.0;
                if found.is_empty() {
                    crate::ui::widgets::muted(ui, tr!("No command is called like that."));
                }
                for (index, action) in found.iter().enumerate() {
                    let current = index == local.palette.at;
                    let response = row(ui, action, current);
                    if current && (up || down) {
                        response.scroll_to_me(None);
                    }
                    if response.clicked() {
                        chosen = Some(index);
                    }
                }
            });
        },
    );
    if shown.should_close() {
        local.open = None;
    }
    chosen.and_then(|index| found.get(index)).filter(|a| a.blocked.is_none()).cloned()
}

/// Actions that match, the best first; those that cannot be done come last.
fn matching(state: &AppState, text: &str) -> Vec<Action> {
    let searched = !text.trim().is_empty();
    let mut found: Vec<(bool, usize, Action)> = actions::all(state)
        .into_iter()
        .filter(|a| searched || !a.hidden)
        .filter_map(|a| match_rank(&a.label, text).map(|rank| (a.blocked.is_some(), rank, a)))
        .collect();
    found.sort_by_key(|(blocked, rank, _)| (*blocked, *rank));
    found.dedup_by(|a, b| a.2.label == b.2.label);
    found.into_iter().map(|(_, _, action)| action).take(MOST).collect()
}

fn row(ui: &mut Ui, action: &Action, current: bool) -> egui::Response {
    let p = theme::palette(ui);
    let enabled = action.blocked.is_none();
    let size = Vec2::new(ui.available_width(), 30.0);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let corner = CornerRadius::same(radius::S);
    if current {
        ui.painter().rect_filled(rect, corner, p.accent_soft);
    } else if response.hovered() {
        ui.painter().rect_filled(rect, corner, p.hover);
    }
    let colour = if enabled { p.text } else { p.muted };
    let right = match (&action.blocked, &action.keys) {
        (Some(why), _) => why.clone(),
        (None, Some(keys)) => ui.ctx().format_shortcut(keys),
        (None, None) => String::new(),
    };
    let at = pos2(rect.max.x - space::S, rect.center().y);
    let right = ui.painter().text(at, Align2::RIGHT_CENTER, right, theme::small(), p.muted);
    let room = (right.min.x - rect.min.x - 2.0 * space::S).max(40.0);
    let mut job =
        egui::text::LayoutJob::simple_singleline(action.label.clone(), theme::body(), colour);
    job.wrap = egui::text::TextWrapping::truncate_at_width(room);
    let galley = ui.painter().layout_job(job);
    let at = pos2(rect.min.x + space::S, rect.center().y - galley.size().y / 2.0);
    ui.painter().galley(at, galley, colour);
    response.widget_info(|| WidgetInfo::selected(Role::Button, enabled, current, &action.label));
    if let Some(why) = &action.blocked {
        let why = why.as_str();
        ui.ctx().accesskit_node_builder(response.id, |node| node.set_description(why));
    }
    response
}

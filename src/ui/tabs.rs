//! The projects that are open, in the bar at the top: switch, close, open another.

use egui::{CornerRadius, Role, Sense, Ui, Vec2, WidgetInfo, pos2, vec2};

use super::icons;
use super::theme::{self, radius, size, space};
use super::widgets::button::focus_ring;
use super::widgets::{self, Button};
use crate::app::{AppState, Command, Step, TabInfo};
use crate::text::of;
use crate::tr;

/// Narrowest tab; with less room there is a menu instead.
const NARROWEST: f32 = 118.0;
/// Widest tab.
const WIDEST: f32 = 230.0;
/// Room of the button to open another project.
const PLUS: f32 = 36.0;

/// Draws the switcher in a width.
pub fn show(ui: &mut Ui, state: &AppState, room: f32, out: &mut Vec<Command>) {
    let tabs = state.tabs();
    if tabs.is_empty() {
        widgets::muted(ui, tr!("No project open"));
        return;
    }
    let each = (room - PLUS) / tabs.len() as f32;
    if each < NARROWEST && (tabs.len() > 1 || room < NARROWEST) {
        menu(ui, &tabs, room, out);
        return;
    }
    ui.spacing_mut().item_spacing.x = 2.0;
    for tab in &tabs {
        one(ui, tab, each.min(WIDEST) - 2.0, out);
    }
    let plus = Button::icon_only(icons::PLUS, tr!("Open another project")).small();
    if plus.pressed(ui) {
        out.push(Command::Go(Step::Home));
    }
}

fn close_label(tab: &TabInfo) -> String {
    tr!("Close {name}", name = tab.name)
}

/// What a tab is called by screen readers and by its hint.
fn label(tab: &TabInfo) -> String {
    match (tab.training, tab.loading) {
        (Some(share), _) => {
            tr!("Project {name}, training, {share:.0} %", name = tab.name, share = 100.0 * share)
        }
        (None, true) => tr!("Project {name}, opening", name = tab.name),
        (None, false) => tr!("Project {name}", name = tab.name),
    }
}

fn one(ui: &mut Ui, tab: &TabInfo, width: f32, out: &mut Vec<Command>) {
    let p = theme::palette(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(width, size::BUTTON), Sense::click());
    let corner = CornerRadius::same(radius::M);
    if tab.in_view {
        ui.painter().rect_filled(rect, corner, p.surface);
        let stroke = egui::Stroke::new(1.0, p.border);
        ui.painter().rect_stroke(rect, corner, stroke, egui::StrokeKind::Inside);
    } else if response.hovered() {
        ui.painter().rect_filled(rect, corner, p.hover);
    }
    focus_ring(ui, &response, corner);
    let mut left = rect.min.x + 12.0;
    if tab.loading {
        let spinner =
            egui::Rect::from_center_size(pos2(left + 6.0, rect.center().y), Vec2::splat(12.0));
        egui::Spinner::new().size(12.0).paint_at(ui, spinner);
        left += 20.0;
    }
    let close = egui::Rect::from_min_max(
        pos2(rect.max.x - 30.0, rect.min.y + 3.0),
        pos2(rect.max.x - 4.0, rect.max.y - 3.0),
    );
    let font = if tab.in_view { theme::strong() } else { theme::medium() };
    let mut job = egui::text::LayoutJob::simple_singleline(tab.name.clone(), font, p.text);
    job.wrap = egui::text::TextWrapping::truncate_at_width((close.min.x - left - 2.0).max(10.0));
    let galley = ui.painter().layout_job(job);
    let at = pos2(left, rect.center().y - galley.size().y / 2.0);
    ui.painter().galley(at, galley, p.text);
    if let Some(share) = tab.training {
        // How far the training is, whichever project is in view.
        let line = egui::Rect::from_min_max(
            pos2(rect.min.x + 8.0, rect.max.y - 4.0),
            pos2(
                rect.min.x + 8.0 + (rect.width() - 16.0) * share.clamp(0.02, 1.0),
                rect.max.y - 2.0,
            ),
        );
        ui.painter().rect_filled(line, CornerRadius::same(1), p.accent);
    }
    let name = label(tab);
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, tab.in_view, &name));
    if response.clicked() && !tab.in_view {
        out.push(Command::SwitchTo(tab.id));
    }
    if response.middle_clicked() && tab.close_blocked.is_none() {
        out.push(Command::CloseTab(tab.id));
    }
    response.on_hover_text(name).on_hover_cursor(egui::CursorIcon::PointingHand);
    let mut inside = ui.new_child(egui::UiBuilder::new().max_rect(close));
    let close = close_label(tab);
    let button = Button::icon_only(icons::X, &close).small();
    if button.blocked(tab.close_blocked.map(of)).pressed(&mut inside) {
        out.push(Command::CloseTab(tab.id));
    }
}

fn menu(ui: &mut Ui, tabs: &[TabInfo], room: f32, out: &mut Vec<Command>) {
    let shown = tabs.iter().find(|t| t.in_view).or(tabs.first());
    let Some(shown) = shown else { return };
    ui.allocate_ui_with_layout(
        vec2(room, size::BUTTON),
        egui::Layout::left_to_right(egui::Align::Center),
        |ui| {
            ui.set_max_width(room);
            let label = tr!("{n} open projects", n = tabs.len());
            let button = Button::icon_only(icons::CARET_DOWN, &label).small().show(ui);
            let text = egui::RichText::new(shown.name.as_str()).font(theme::strong());
            ui.add(egui::Label::new(text).truncate());
            egui::Popup::menu(&button).show(|ui| {
                ui.set_min_width(240.0);
                for tab in tabs {
                    ui.horizontal(|ui| {
                        let name = close_label(tab);
                        let close = Button::icon_only(icons::X, &name).small();
                        if close.blocked(tab.close_blocked.map(of)).pressed(ui) {
                            out.push(Command::CloseTab(tab.id));
                        }
                        if ui.selectable_label(tab.in_view, self::label(tab)).clicked() {
                            out.push(Command::SwitchTo(tab.id));
                        }
                    });
                }
                ui.add_space(space::XS);
                if ui.button(tr!("Open another project")).clicked() {
                    out.push(Command::Go(Step::Home));
                }
            });
        },
    );
}

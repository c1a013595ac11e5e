//! The frame around every step: the list of steps, the bar at the top, the next action below.

use egui::{
    CentralPanel, CornerRadius, Frame, Margin, Panel, Role, Sense, Stroke, Ui, Vec2, WidgetInfo,
    pos2,
};

use super::actions;
use super::icons;
use super::notifications;
use super::overlay::{self, Overlay};
use super::screens::{self, Local};
use super::tabs;
use super::theme::{self, radius, size, space};
use super::widgets::{self, Button, button::focus_ring};
use crate::app::{AppState, Command, Step, StepStatus, ThemeChoice, prefs::LanguageChoice};
use crate::text::{self, of, shown};
use crate::tr;

/// What is to be done next on a step.
pub struct Action {
    /// What the button says.
    pub label: String,
    /// Its icon, after the label.
    pub icon: char,
    /// Why it cannot be pressed, if so.
    pub blocked: Option<String>,
    /// What it does.
    pub command: Command,
}

/// Draws the window.
pub fn show(ui: &mut Ui, state: &AppState, local: &mut Local, out: &mut Vec<Command>) {
    text::set_language(state.language());
    shortcuts(ui, state, local, out);
    let p = theme::palette(ui);
    let narrow = ui.available_width() < size::NARROW;
    let short = ui.available_height() < 520.0;
    let width = if narrow { size::STEPS_NARROW } else { size::STEPS };
    let side = if narrow { 8 } else { 12 };
    Panel::left("steps")
        .exact_size(width)
        .resizable(false)
        .show_separator_line(false)
        .frame(Frame::new().fill(p.surface).inner_margin(Margin::symmetric(side, 12)))
        .show(ui, |ui| steps(ui, state, local, narrow, short, out));
    let bar = Frame::new().fill(p.bg).inner_margin(Margin::symmetric(16, 6));
    Panel::top("top").frame(bar).show_separator_line(false).show(ui, |ui| top_bar(ui, state, out));
    let mut below = 0.0;
    if let Some(action) = screens::action(state) {
        let frame = Frame::new()
            .fill(p.surface)
            .stroke(Stroke::new(1.0, p.border))
            .inner_margin(Margin::symmetric(16, 9));
        let response = Panel::bottom("action")
            .frame(frame)
            .show_separator_line(false)
            .show(ui, |ui| action_bar(ui, state, &action, out))
            .response;
        below = response.rect.height();
    }
    CentralPanel::default().frame(Frame::new().fill(p.bg)).show(ui, |ui| {
        // Each project keeps its own places in lists and pages.
        ui.push_id(state.tab(), |ui| screens::show(ui, state, local, out));
    });
    for (name, content) in local.camera.work(ui.ctx()) {
        out.push(Command::SaveFile { name, content });
    }
    overlay::show(ui, state, local, out);
    drop_files(ui, state, local, out);
    notifications::toasts(ui, state, below, out);
}

fn shortcuts(ui: &Ui, state: &AppState, local: &mut Local, out: &mut Vec<Command>) {
    let ctx = ui.ctx();
    let typing = ctx.text_edit_focused();
    let pasted = ctx.input(|i| {
        i.events.iter().find_map(|e| match e {
            egui::Event::Paste(text) if !typing => Some(text.clone()),
            _ => None,
        })
    });
    if let Some(text) = pasted.filter(|t| crate::app::apply::fixes::is_table(t)) {
        out.push(Command::Paste(text));
    }
    if !ctx.input(actions::pressed) {
        return;
    }
    for action in actions::all(state) {
        let Some(keys) = action.keys else { continue };
        if typing && action.not_in_text {
            continue;
        }
        if ctx.input_mut(|i| i.consume_shortcut(&keys)) {
            action.run(local, out);
        }
    }
}

fn steps(
    ui: &mut Ui,
    state: &AppState,
    local: &mut Local,
    narrow: bool,
    short: bool,
    out: &mut Vec<Command>,
) {
    let p = theme::palette(ui);
    ui.spacing_mut().item_spacing.y = space::XS;
    if narrow {
        ui.vertical_centered(|ui| logo(ui, 30.0));
    } else {
        ui.horizontal(|ui| {
            logo(ui, 30.0);
            ui.add(egui::Label::new(egui::RichText::new("FP8 Studio").font(theme::heading())));
        });
    }
    ui.add_space(if short { space::S } else { space::XL });
    local.overlay.steps.clear();
    for (index, step) in Step::ALL.into_iter().enumerate() {
        let response = step_button(ui, state, step, index, narrow);
        local.overlay.steps.push(response.rect);
        if response.clicked() {
            out.push(Command::Go(step));
        }
    }
    if !narrow {
        ui.with_layout(egui::Layout::bottom_up(egui::Align::Min), |ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            let text = egui::RichText::new(tr!("Works offline. Your data stays here."))
                .font(theme::small())
                .color(p.muted);
            ui.add(egui::Label::new(text).wrap());
        });
    }
}

fn logo(ui: &mut Ui, side: f32) {
    let p = theme::palette(ui);
    let (rect, _) = ui.allocate_exact_size(Vec2::splat(side), Sense::hover());
    ui.painter().rect_filled(rect, CornerRadius::same(radius::M), p.accent);
    let at = egui::Align2::CENTER_CENTER;
    ui.painter().text(rect.center(), at, "8", theme::heading(), p.on_accent);
}

fn step_icon(step: Step) -> char {
    match step {
        Step::Home => icons::HOUSE,
        Step::Data => icons::TABLE,
        Step::Check => icons::LIST_CHECKS,
        Step::Configure => icons::SLIDERS_HORIZONTAL,
        Step::Train => icons::CHART_LINE_UP,
        Step::Evaluate => icons::SCALES,
        Step::Export => icons::EXPORT,
        Step::Monitor => icons::HEARTBEAT,
    }
}

/// Icon, text for screen readers, and colour of a status.
fn status_mark(
    status: &StepStatus,
    p: &theme::Palette,
) -> Option<(char, &'static str, egui::Color32)> {
    match status {
        StepStatus::Locked(_) | StepStatus::Open => None,
        StepStatus::Busy => Some((icons::HOURGLASS, tr!("working"), p.accent)),
        StepStatus::Done => Some((icons::CHECK_CIRCLE, tr!("done"), p.success)),
        StepStatus::Attention => Some((icons::WARNING_CIRCLE, tr!("needs a look"), p.danger)),
        StepStatus::Stale => Some((icons::CLOCK_COUNTER_CLOCKWISE, tr!("out of date"), p.warning)),
    }
}

fn step_button(
    ui: &mut Ui,
    state: &AppState,
    step: Step,
    index: usize,
    narrow: bool,
) -> egui::Response {
    let p = theme::palette(ui);
    let status = state.status(step);
    let locked = match &status {
        StepStatus::Locked(why) => Some(of(why)),
        _ => None,
    };
    let current = state.step == step;
    let mark = status_mark(&status, p);
    let label = match mark {
        Some((_, text, _)) => {
            tr!("Step {index}: {step}, {text}", index = index + 1, step = of(step.name()), text)
        }
        None => tr!("Step {index}: {step}", index = index + 1, step = of(step.name())),
    };
    let response = ui
        .add_enabled_ui(locked.is_none(), |ui| {
            let size = Vec2::new(ui.available_width(), 40.0);
            let (rect, response) = ui.allocate_exact_size(size, Sense::click());
            let corner = CornerRadius::same(radius::M);
            let colour = match (current, locked.is_some()) {
                (true, _) => p.accent,
                (false, true) => p.muted,
                (false, false) => p.text,
            };
            if current {
                ui.painter().rect_filled(rect, corner, p.accent_soft);
            } else if response.hovered() && locked.is_none() {
                ui.painter().rect_filled(rect, corner, p.hover);
            }
            focus_ring(ui, &response, corner);
            let x = if narrow { rect.center().x } else { rect.min.x + 22.0 };
            let centre = egui::Align2::CENTER_CENTER;
            let font = theme::icon_font(20.0);
            ui.painter().text(pos2(x, rect.center().y), centre, step_icon(step), font, colour);
            if !narrow {
                let at = pos2(rect.min.x + 42.0, rect.center().y);
                let font = if current { theme::strong() } else { theme::medium() };
                ui.painter().text(at, egui::Align2::LEFT_CENTER, of(step.name()), font, colour);
            }
            if let Some((glyph, _, colour)) = mark {
                let (at, size) = if narrow {
                    (rect.right_top() + egui::vec2(-8.0, 9.0), 13.0)
                } else {
                    (pos2(rect.max.x - 18.0, rect.center().y), 17.0)
                };
                ui.painter().text(at, centre, glyph, theme::icon_font(size), colour);
            }
            response
        })
        .inner;
    response.widget_info(|| WidgetInfo::selected(Role::Button, locked.is_none(), current, &label));
    match locked {
        Some(why) => {
            ui.ctx().accesskit_node_builder(response.id, |node| node.set_description(why));
            response.on_disabled_hover_text(why)
        }
        None if narrow => response.on_hover_text(of(step.name())),
        None => response.on_hover_cursor(egui::CursorIcon::PointingHand),
    }
}

fn top_bar(ui: &mut Ui, state: &AppState, out: &mut Vec<Command>) {
    ui.horizontal(|ui| {
        ui.set_min_height(size::BUTTON);
        ui.spacing_mut().item_spacing.x = space::XS;
        let room = (ui.available_width() - 350.0).max(40.0);
        tabs::show(ui, state, room, out);
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 2.0;
            notifications::bell(ui, state, out);
            help(ui);
            theme_switch(ui, state, out);
            languages(ui, state, out);
            zoom(ui, state, out);
            if let Some(project) = state.project() {
                history(ui, project, out);
            }
            tasks(ui, state, out);
        });
    });
}

/// The menu of all that explains.
fn help(ui: &mut Ui) {
    let response = Button::icon_only(icons::QUESTION, tr!("Help")).show(ui);
    egui::Popup::menu(&response).show(|ui| {
        ui.set_min_width(190.0);
        for (label, wish) in [
            (tr!("All commands"), overlay::Wish::Open(Overlay::Palette)),
            (tr!("Glossary"), overlay::Wish::Open(Overlay::Glossary)),
            (tr!("FP8 playground"), overlay::Wish::Open(Overlay::Playground)),
            (tr!("Keyboard shortcuts"), overlay::Wish::Open(Overlay::Shortcuts)),
            (tr!("Take the tour"), overlay::Wish::Tour),
        ] {
            if ui.button(label).clicked() {
                overlay::wish(ui.ctx(), wish);
            }
        }
    });
}

fn theme_switch(ui: &mut Ui, state: &AppState, out: &mut Vec<Command>) {
    let (glyph, label, next) = match state.prefs.theme {
        ThemeChoice::System => {
            (icons::MONITOR, tr!("Colours: as the system. Press for light"), ThemeChoice::Light)
        }
        ThemeChoice::Light => {
            (icons::SUN, tr!("Colours: light. Press for dark"), ThemeChoice::Dark)
        }
        ThemeChoice::Dark => {
            (icons::MOON, tr!("Colours: dark. Press to follow the system"), ThemeChoice::System)
        }
    };
    if Button::icon_only(glyph, label).pressed(ui) {
        out.push(Command::SetTheme(next));
    }
}

/// The menu of languages; each is named in itself, so that whoever cannot read this one finds it.
fn languages(ui: &mut Ui, state: &AppState, out: &mut Vec<Command>) {
    let response = Button::icon_only(icons::TRANSLATE, tr!("Language")).show(ui);
    egui::Popup::menu(&response).show(|ui| {
        ui.set_min_width(170.0);
        for choice in LanguageChoice::ALL {
            let name = choice.language().map_or(tr!("As the system"), text::Language::name);
            let chosen = state.prefs.language == choice;
            if ui.selectable_label(chosen, name).clicked() {
                out.push(Command::SetLanguage(choice));
            }
        }
    });
}

fn zoom(ui: &mut Ui, state: &AppState, out: &mut Vec<Command>) {
    let zoom = state.prefs.zoom;
    let most = (zoom >= crate::app::prefs::ZOOM_MAX - 0.01).then_some(tr!("200 % is the largest."));
    let least =
        (zoom <= crate::app::prefs::ZOOM_MIN + 0.01).then_some(tr!("100 % is the smallest."));
    if Button::icon_only(icons::MAGNIFYING_GLASS_PLUS, tr!("Larger")).blocked(most).pressed(ui) {
        out.push(Command::SetZoom(zoom + 0.1));
    }
    if Button::icon_only(icons::MAGNIFYING_GLASS_MINUS, tr!("Smaller")).blocked(least).pressed(ui) {
        out.push(Command::SetZoom(zoom - 0.1));
    }
}

fn history(ui: &mut Ui, project: &crate::app::ProjectState, out: &mut Vec<Command>) {
    let redo = project.undo.redo_label().map(|l| tr!("Redo: {what}", what = shown(l)));
    let undo = project.undo.undo_label().map(|l| tr!("Undo: {what}", what = shown(l)));
    let nothing = Some(tr!("There is nothing to bring back."));
    let none = if redo.is_none() { nothing } else { None };
    let label = redo.as_deref().unwrap_or(tr!("Redo"));
    if Button::icon_only(icons::ARROW_U_UP_RIGHT, label).blocked(none).pressed(ui) {
        out.push(Command::Redo);
    }
    let nothing = Some(tr!("There is nothing to take back."));
    let none = if undo.is_none() { nothing } else { None };
    let label = undo.as_deref().unwrap_or(tr!("Undo"));
    if Button::icon_only(icons::ARROW_U_UP_LEFT, label).blocked(none).pressed(ui) {
        out.push(Command::Undo);
    }
}

fn tasks(ui: &mut Ui, state: &AppState, out: &mut Vec<Command>) {
    let Some(task) = state.tasks.running().first() else { return };
    let more = state.tasks.running().len() - 1;
    let label = shown(&task.label);
    let text = if more > 0 { format!("{label} (+{more})") } else { label.to_string() };
    if task.can_cancel
        && Button::icon_only(icons::X, &tr!("Cancel: {label}", label)).small().pressed(ui)
    {
        out.push(Command::CancelTask(task.id));
    }
    if ui.available_width() > 180.0 {
        let text = egui::RichText::new(text).font(theme::small()).color(theme::palette(ui).muted);
        ui.add(egui::Label::new(text).truncate());
    }
    let spinner = ui.add(egui::Spinner::new().size(16.0));
    let spinner = spinner.accessible_name(tr!("Working in the background"));
    spinner.on_hover_ui(|ui| {
        for task in state.tasks.running() {
            let share = task.fraction().map(|f| format!(": {:.0} %", f * 100.0));
            ui.label(format!("{}{}", shown(&task.label), share.unwrap_or_default()));
        }
    });
}

fn action_bar(ui: &mut Ui, state: &AppState, action: &Action, out: &mut Vec<Command>) {
    ui.horizontal(|ui| {
        let previous = Step::ALL.iter().rev().find(|s| **s < state.step);
        if let Some(previous) = previous {
            let label = tr!("Back to {previous}", previous = of(previous.name()));
            if Button::new(widgets::Kind::Quiet, &label).icon(icons::ARROW_LEFT).pressed(ui) {
                out.push(Command::Go(*previous));
            }
        }
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            let button = Button::primary(&action.label)
                .trailing(action.icon)
                .blocked(action.blocked.as_deref());
            if button.pressed(ui) {
                out.push(action.command.clone());
            }
            if let Some(why) = &action.blocked {
                ui.add_space(space::S);
                let colour = theme::palette(ui).muted;
                let text = egui::RichText::new(shown(why)).font(theme::small()).color(colour);
                ui.add(egui::Label::new(text).truncate());
            }
        });
    });
}

fn drop_files(ui: &Ui, state: &AppState, local: &Local, out: &mut Vec<Command>) {
    let (hovering, dropped) = ui.ctx().input(|i| {
        let dropped: Vec<_> = i.raw.dropped_files.iter().map(|f| f.path().to_path_buf()).collect();
        (!i.raw.hovered_files.is_empty(), dropped)
    });
    // Several are opened beside each other.
    for path in dropped {
        out.push(screens::dropped(state, local, path));
    }
    if !hovering {
        return;
    }
    let p = theme::palette(ui);
    let rect = ui.ctx().content_rect();
    let layer = egui::LayerId::new(egui::Order::Foreground, egui::Id::unique("drop"));
    let painter = ui.ctx().layer_painter(layer);
    painter.rect_filled(rect, CornerRadius::ZERO, p.bg.gamma_multiply(0.85));
    let text = tr!("Drop it here to open it");
    let centre = egui::Align2::CENTER_CENTER;
    painter.text(rect.center(), centre, text, theme::title(), p.accent);
}

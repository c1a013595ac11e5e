//! What opens over the window: the command palette, the glossary, the list of shortcuts, the FP8
//! playground and the tour.

mod glossary;
mod palette;
mod playground;
mod shortcuts;
mod tour;

use egui::{Context, CornerRadius, Frame, Id, Margin, Modal, Rect, ScrollArea, Stroke, Ui};

use super::screens;
use super::theme::{self, radius, space};
use super::widgets::{self, Button};
use crate::app::{AppState, Command};
use crate::tr;
use crate::ui::icons;

/// What can be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlay {
    /// All commands.
    Palette,
    /// All terms.
    Glossary,
    /// All shortcuts.
    Shortcuts,
    /// FP8 by hand.
    Playground,
}

/// What only the drawing needs to know.
#[derive(Debug, Default)]
pub struct Local {
    open: Option<Overlay>,
    palette: palette::Local,
    glossary: glossary::Local,
    playground: playground::Local,
    tour: Option<usize>,
    /// Where the steps are, for the tour.
    pub steps: Vec<Rect>,
}

impl Local {
    /// Opens something.
    pub fn open(&mut self, overlay: Overlay) {
        self.open = Some(overlay);
        self.tour = None;
        self.palette = palette::Local::default();
        self.glossary.opened();
    }

    /// Opens the explanation of a term.
    pub fn explain(&mut self, term: usize) {
        self.open(Overlay::Glossary);
        self.glossary.show_term(term);
    }

    /// Starts the tour.
    pub fn start_tour(&mut self) {
        self.open = None;
        self.tour = Some(0);
    }

    /// Whether something covers the window.
    pub fn covered(&self) -> bool {
        self.open.is_some()
    }
}

/// What a screen wishes to be opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wish {
    /// Something over the window.
    Open(Overlay),
    /// The tour.
    #[default]
    Tour,
}

fn wishes() -> Id {
    Id::unique("overlays to open")
}

/// Asks from anywhere to open something.
pub fn wish(ctx: &Context, wish: Wish) {
    ctx.data_mut(|d| d.insert_temp(wishes(), wish));
    ctx.request_repaint();
}

/// Draws what is open.
pub fn show(ui: &Ui, state: &AppState, local: &mut screens::Local, out: &mut Vec<Command>) {
    match ui.ctx().data_mut(|d| d.remove_temp::<Wish>(wishes())) {
        Some(Wish::Open(overlay)) => local.overlay.open(overlay),
        Some(Wish::Tour) => local.overlay.start_tour(),
        None => {}
    }
    if let Some(page) = local.overlay.tour {
        local.overlay.tour = tour::show(ui, page, &local.overlay.steps);
    }
    let Some(open) = local.overlay.open else { return };
    match open {
        Overlay::Palette => {
            if let Some(action) = palette::show(ui, state, &mut local.overlay) {
                local.overlay.open = None;
                action.run(local, out);
            }
        }
        Overlay::Glossary => {
            window(ui, &mut local.overlay.open, "glossary", tr!("Glossary"), 640.0, |ui| {
                glossary::show(ui, &mut local.overlay.glossary);
            });
        }
        Overlay::Shortcuts => {
            window(ui, &mut local.overlay.open, "keys", tr!("Keyboard shortcuts"), 520.0, |ui| {
                shortcuts::show(ui, state);
            });
        }
        Overlay::Playground => {
            window(ui, &mut local.overlay.open, "playground", tr!("FP8 playground"), 980.0, |ui| {
                playground::show(ui, state, &mut local.overlay.playground);
            });
        }
    }
}

fn frame(ui: &Ui) -> Frame {
    let p = theme::palette(ui);
    Frame::new()
        .fill(p.surface)
        .stroke(Stroke::new(1.0, p.border))
        .corner_radius(CornerRadius::same(radius::L))
        .shadow(ui.visuals().window_shadow)
        .inner_margin(Margin::same(space::L as i8))
}

/// A window over the others with a title, a button that closes it, and content that scrolls.
fn window(
    ui: &Ui,
    open: &mut Option<Overlay>,
    id: &str,
    name: &str,
    width: f32,
    content: impl FnOnce(&mut Ui),
) {
    let screen = ui.ctx().content_rect();
    let width = width.min(screen.width() - 2.0 * space::XL - 2.0 * space::L);
    let height = (screen.height() - 2.0 * space::XL - 90.0).max(160.0);
    let dim = egui::Color32::from_black_alpha(110);
    let shown = Modal::new(Id::unique(("overlay", id))).frame(frame(ui)).backdrop_color(dim).show(
        ui.ctx(),
        |ui| {
            ui.set_width(width);
            let close = ui
                .horizontal(|ui| {
                    ui.add(
                        egui::Label::new(egui::RichText::new(name).font(theme::heading())).extend(),
                    );
                    ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                        let label = tr!("Close {name}", name);
                        Button::icon_only(icons::X, &label).pressed(ui)
                    })
                    .inner
                })
                .inner;
            // The room below the middle of the screen is no limit: the window moves up as it grows.
            let scroll = ScrollArea::vertical().id_salt(id).max_height(height);
            scroll.min_scrolled_height(height).show(ui, |ui| {
                ui.set_width(width);
                ui.spacing_mut().item_spacing.y = space::S;
                content(ui);
            });
            close
        },
    );
    if shown.inner || shown.should_close() {
        *open = None;
    }
}

/// A key as it stands on the keyboard.
fn keys(ui: &mut Ui, text: &str) {
    let p = theme::palette(ui);
    Frame::new()
        .fill(p.sunken)
        .stroke(Stroke::new(1.0, p.border))
        .corner_radius(CornerRadius::same(radius::S))
        .inner_margin(Margin::symmetric(6, 1))
        .show(ui, |ui| widgets::small(ui, text));
}

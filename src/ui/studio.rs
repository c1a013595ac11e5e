//! The application as the window runs it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::app::prefs::WindowPlace;
use crate::app::{AppState, Command, Desktop, Dialogs, Library, Services, Store, ThemeChoice};
use crate::error::UserError;
use crate::text::Language;
use crate::ui::screens::Local;
use crate::ui::{shell, theme};

/// How to start the window.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A project, data file or folder to open at once.
    pub open: Option<PathBuf>,
}

/// The window's application: the state, and what only the drawing needs to know.
pub struct StudioApp {
    /// State.
    pub state: AppState,
    local: Local,
    /// What the drawing knows of projects out of view.
    others: HashMap<u64, Local>,
    tab: u64,
    shown: Option<(ThemeChoice, f32)>,
}

impl StudioApp {
    /// Makes the application on a context.
    pub fn new(
        ctx: &egui::Context,
        services: Arc<dyn Services>,
        dialogs: Arc<dyn Dialogs>,
        store: Store,
        options: &Options,
    ) -> Self {
        theme::install(ctx);
        let repaint = ctx.clone();
        let wake = Arc::new(move || repaint.request_repaint());
        let mut state = AppState::new(services, dialogs, store, wake);
        state.restore_session();
        if let Some(path) = &options.open {
            state.apply(Command::Open(path.clone()));
        }
        let tab = state.tab();
        Self { state, local: Local::default(), others: HashMap::new(), tab, shown: None }
    }

    /// What only the drawing knows.
    pub fn local(&self) -> &Local {
        &self.local
    }

    /// Brings back what the drawing knew of the project that came into view.
    fn follow_tab(&mut self) {
        let tab = self.state.tab();
        if tab == self.tab {
            return;
        }
        let mut next = self.others.remove(&tab).unwrap_or_default();
        // These are of the window, not of a project.
        std::mem::swap(&mut next.overlay, &mut self.local.overlay);
        std::mem::swap(&mut next.camera, &mut self.local.camera);
        let last = std::mem::replace(&mut self.local, next);
        self.others.insert(self.tab, last);
        self.tab = tab;
        let open: Vec<u64> = self.state.tabs().iter().map(|t| t.id).collect();
        self.others.retain(|id, _| open.contains(id));
    }

    /// Remembers where the window is.
    fn follow_window(&mut self, ctx: &egui::Context) {
        let zoom = ctx.zoom_factor();
        let place = ctx.input(|i| {
            let view = i.viewport();
            let inner = view.inner_rect?;
            if view.minimized == Some(true) || view.fullscreen == Some(true) {
                return None;
            }
            Some(WindowPlace {
                size: [inner.width() * zoom, inner.height() * zoom],
                at: view.outer_rect.map(|r| [r.min.x * zoom, r.min.y * zoom]),
                maximized: view.maximized == Some(true),
            })
        });
        let before = self.state.prefs.window;
        if let Some(mut place) = place
            && before != Some(place)
        {
            if let (true, Some(before)) = (place.maximized, before) {
                // What it goes back to when it no longer fills the screen.
                (place.size, place.at) = (before.size, before.at);
            }
            self.state.apply(Command::WindowMoved(place));
        }
    }

    fn follow_preferences(&mut self, ctx: &egui::Context) {
        let wanted = (self.state.prefs.theme, self.state.prefs.zoom);
        if self.shown == Some(wanted) {
            return;
        }
        self.shown = Some(wanted);
        ctx.set_theme(match wanted.0 {
            ThemeChoice::System => egui::ThemePreference::System,
            ThemeChoice::Light => egui::ThemePreference::Light,
            ThemeChoice::Dark => egui::ThemePreference::Dark,
        });
        ctx.set_zoom_factor(wanted.1);
    }
}

impl eframe::App for StudioApp {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        if let Some(again) = self.state.pump(Instant::now()) {
            ctx.request_repaint_after(again);
        }
        self.follow_preferences(ctx);
        self.follow_tab();
        self.follow_window(ctx);
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        let mut commands = Vec::new();
        shell::show(ui, &self.state, &mut self.local, &mut commands);
        let any = !commands.is_empty();
        for command in commands {
            self.state.apply(command);
        }
        self.follow_tab();
        if any {
            ui.ctx().request_repaint();
        }
    }

    fn on_exit(&mut self) {
        self.state.save_now();
    }
}

/// Opens the window and returns when it is closed.
pub fn run(options: Options) -> Result<(), UserError> {
    let last = Store::system().load().window;
    let mut viewport = egui::ViewportBuilder::default()
        .with_title("FP8 Studio")
        .with_app_id("fp8-studio")
        .with_inner_size(last.map_or([1280.0, 800.0], |w| w.size))
        .with_min_inner_size([480.0, 360.0])
        .with_maximized(last.is_some_and(|w| w.maximized))
        .with_drag_and_drop(true);
    if let Some(at) = last.and_then(|w| w.at) {
        viewport = viewport.with_position(at);
    }
    let native = eframe::NativeOptions { viewport, ..eframe::NativeOptions::default() };
    eframe::run_native(
        "FP8 Studio",
        native,
        Box::new(move |cc| {
            let (services, dialogs) = (Arc::new(Library::default()), Arc::new(Desktop));
            let store = Store::system();
            let mut app = StudioApp::new(&cc.egui_ctx, services, dialogs, store, &options);
            app.state.system_language = Language::of_system();
            Ok(Box::new(app))
        }),
    )
    .map_err(|e| {
        UserError::new(
            format!("The window cannot be opened: {e}"),
            "Train without a window: fp8-studio train PROJECT. See fp8-studio --help.",
        )
    })
}

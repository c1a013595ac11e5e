//! The application as the window runs it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::app::{AppState, Command, Library, Services, Store, ThemeChoice};
use crate::error::UserError;
use crate::text::Language;
use crate::tr;
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
    shown: Option<(ThemeChoice, f32)>,
}

impl StudioApp {
    /// Makes the application on a context.
    pub fn new(
        ctx: &egui::Context,
        services: Arc<dyn Services>,
        store: Store,
        options: &Options,
    ) -> Self {
        theme::install(ctx);
        let repaint = ctx.clone();
        let wake = Arc::new(move || repaint.request_repaint());
        let mut state = AppState::new(services, store, wake);
        if let Some(path) = &options.open {
            state.apply(Command::Open(path.clone()));
        }
        Self { state, local: Local::default(), shown: None }
    }

    /// What only the drawing knows.
    pub fn local(&self) -> &Local {
        &self.local
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
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        let mut commands = Vec::new();
        shell::show(ui, &self.state, &mut self.local, &mut commands);
        let any = !commands.is_empty();
        for command in commands {
            self.state.apply(command);
        }
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
    let native = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title("FP8 Studio")
            .with_app_id("fp8-studio")
            .with_inner_size([1280.0, 800.0])
            .with_min_inner_size([480.0, 360.0])
            .with_drag_and_drop(true),
        ..eframe::NativeOptions::default()
    };
    eframe::run_native(
        "FP8 Studio",
        native,
        Box::new(move |cc| {
            let services = Arc::new(Library::default());
            let mut app = StudioApp::new(&cc.egui_ctx, services, Store::system(), &options);
            app.state.system_language = Language::of_system();
            Ok(Box::new(app))
        }),
    )
    .map_err(|e| {
        UserError::new(
            tr!("The window cannot be opened: {e}", e),
            "Train without a window: fp8-studio train PROJECT. See fp8-studio --help.",
        )
    })
}

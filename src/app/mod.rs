//! Application state and the commands that change it. Knows nothing of how it is drawn.

pub mod apply;
mod assess;
pub mod checking;
pub mod columns;
pub mod command;
pub mod estimating;
pub mod headless;
pub mod history;
pub mod library;
pub mod live;
pub mod notify;
pub mod prefs;
pub mod project_state;
mod runs;
pub mod saving;
pub mod services;
pub mod settings;
pub mod tasks;
pub mod trying;
pub mod undo;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use apply::Retry;
pub use command::{Command, Outcome};
pub use history::{PastRun, RunCommand};
pub use library::Library;
pub use live::LiveRun;
pub use notify::{Notifications, Tone};
pub use prefs::{Preferences, Store, ThemeChoice};
pub use project_state::{
    CheckState, EvaluationState, ExportState, LoadedProject, Preview, ProjectState, SchemaState,
    VerdictState,
};
pub use services::{Engines, ExportRequest, Interrupted, Sample, Services};
pub use settings::{NetworkChoice, PrecisionChoice, Preset};
pub use tasks::{TaskInfo, Tasks};

use crate::error::{DataError, UserError};
use crate::text::Language;

/// Asks the window to look at the state again; may be called from any thread.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// How long after the last edit the project is saved.
const AUTOSAVE: Duration = Duration::from_secs(1);

/// The steps a person walks, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Choose what to work on.
    Home,
    /// Look at the data, choose the target.
    Data,
    /// See what may be wrong with the data.
    Check,
    /// Choose how to train.
    Configure,
    /// Train and watch.
    Train,
    /// Judge the model.
    Evaluate,
    /// Take the model along.
    Export,
}

impl Step {
    /// All steps in order.
    pub const ALL: [Self; 7] = [
        Self::Home,
        Self::Data,
        Self::Check,
        Self::Configure,
        Self::Train,
        Self::Evaluate,
        Self::Export,
    ];

    /// Name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Home => "Home",
            Self::Data => "Data",
            Self::Check => "Check",
            Self::Configure => "Configure",
            Self::Train => "Train",
            Self::Evaluate => "Evaluate",
            Self::Export => "Export",
        }
    }
}

/// How a step stands; shown as its badge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepStatus {
    /// Cannot be opened yet, and why.
    Locked(&'static str),
    /// Can be done.
    Open,
    /// Works at the moment.
    Busy,
    /// Done.
    Done,
    /// Needs a look.
    Attention,
    /// Has a result, made before later edits.
    Stale,
}

/// What a dialog asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// A data file or project file.
    DataFile,
    /// A project folder or a folder of images.
    Folder,
    /// Where to write the model file.
    ExportTo,
    /// Where to write the report.
    ReportTo,
    /// Where to write a plot.
    FileTo,
    /// In which folder the project goes on.
    SaveAs,
    /// A picture to try the model on.
    Picture,
}

/// What is open.
#[derive(Debug, Default)]
pub enum Workspace {
    /// Nothing.
    #[default]
    Empty,
    /// A project is being opened.
    Loading {
        /// Its name or file.
        name: String,
        /// The background task.
        task: u64,
        /// Which attempt.
        attempt: u64,
    },
    /// Opening failed.
    Failed {
        /// What was to be opened.
        retry: Retry,
        /// Why it failed.
        error: UserError,
    },
    /// A project is open.
    Open(Box<ProjectState>),
}

/// The whole state of the program.
pub struct AppState {
    /// Step in view.
    pub step: Step,
    /// What is open.
    pub workspace: Workspace,
    /// Settings and recent projects.
    pub prefs: Preferences,
    /// The language that the system asks for; English until whoever opens the window has asked.
    pub system_language: Language,
    /// Background tasks.
    pub tasks: Tasks,
    /// Notifications.
    pub notifications: Notifications,
    /// Embedded samples.
    pub samples: Vec<Sample>,
    /// Runs that were cut off and may go on.
    pub interrupted: Vec<Interrupted>,
    /// Engines found; `None` while looking.
    pub engines: Option<Engines>,
    store: Store,
    services: Arc<dyn Services>,
    wake: Wake,
    attempts: u64,
    edited: Option<Instant>,
    prefs_edited: Option<Instant>,
    resume_after_open: Option<Interrupted>,
    retry: Option<Retry>,
}

impl AppState {
    /// The language of the window.
    pub fn language(&self) -> Language {
        self.prefs.language.language().unwrap_or(self.system_language)
    }

    /// Reads the settings and looks for engines and interrupted runs in the background.
    pub fn new(services: Arc<dyn Services>, store: Store, wake: Wake) -> Self {
        let mut state = Self {
            step: Step::Home,
            workspace: Workspace::Empty,
            prefs: store.load(),
            system_language: Language::English,
            tasks: Tasks::default(),
            notifications: Notifications::default(),
            samples: services.samples(),
            interrupted: Vec::new(),
            engines: None,
            store,
            services,
            wake,
            attempts: 0,
            edited: None,
            prefs_edited: None,
            resume_after_open: None,
            retry: None,
        };
        state.look_for_engines();
        state.look_for_interrupted();
        state
    }

    /// Takes in what tasks and the run have come to and saves what was edited. Returns when it
    /// wants to be called again although nothing happens.
    pub fn pump(&mut self, now: Instant) -> Option<Duration> {
        while let Some((outcome, cancelled)) = self.tasks.finished() {
            self.take_in(match outcome {
                Outcome::Opened { attempt, .. } if cancelled => {
                    Outcome::Opened { attempt, result: Err(DataError::Cancelled.into()) }
                }
                outcome => outcome,
            });
        }
        if let Some(project) = self.project_mut()
            && let Some(run) = &mut project.run
        {
            let was_active = run.active();
            run.drain();
            if was_active && !run.active() {
                self.run_ended();
            }
        }
        let next = [self.notifications.expire(now), self.autosave(now)];
        next.into_iter().flatten().min()
    }

    /// The open project.
    pub fn project(&self) -> Option<&ProjectState> {
        match &self.workspace {
            Workspace::Open(project) => Some(project),
            _ => None,
        }
    }

    fn project_mut(&mut self) -> Option<&mut ProjectState> {
        match &mut self.workspace {
            Workspace::Open(project) => Some(project),
            _ => None,
        }
    }

    /// The run of the open project.
    pub fn run(&self) -> Option<&LiveRun> {
        self.project().and_then(|p| p.run.as_ref())
    }

    /// Why another project cannot be opened now, if so.
    pub fn open_blocked(&self) -> Option<&'static str> {
        match &self.workspace {
            Workspace::Loading { .. } => Some("A project is being opened. Wait or cancel it."),
            Workspace::Open(p) if p.run.as_ref().is_some_and(LiveRun::active) => {
                Some("Training is running. Stop it first.")
            }
            _ => None,
        }
    }

    /// How a step stands.
    pub fn status(&self, step: Step) -> StepStatus {
        if step == Step::Home {
            return StepStatus::Open;
        }
        match (&self.workspace, step) {
            (Workspace::Empty, _) => StepStatus::Locked("Open a sample or a file first."),
            (Workspace::Loading { .. }, Step::Data) => StepStatus::Busy,
            (Workspace::Failed { .. }, Step::Data) => StepStatus::Attention,
            (Workspace::Loading { .. }, _) => StepStatus::Locked("The data is being opened."),
            (Workspace::Failed { .. }, _) => StepStatus::Locked("The data could not be opened."),
            (Workspace::Open(project), _) => project.status(step),
        }
    }

    /// Saves now what waits to be saved; for the end of the program.
    pub fn save_now(&mut self) {
        if self.prefs_edited.take().is_some()
            && let Err(e) = self.store.save(&self.prefs)
        {
            tracing::warn!("settings not saved: {e}");
        }
        if self.edited.take().is_some()
            && let Some(project) = self.project()
            && let Err(e) = self.services.save_project(&project.project)
        {
            tracing::warn!("project not saved: {e}");
        }
    }

    fn autosave(&mut self, now: Instant) -> Option<Duration> {
        let due = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at) >= AUTOSAVE);
        if due(self.prefs_edited) == Some(true) {
            self.prefs_edited = None;
            if let Err(e) = self.store.save(&self.prefs) {
                self.notifications.push(
                    Tone::Warning,
                    "Your settings could not be saved",
                    format!("{}: {e}", self.store.settings.display()),
                );
            }
        }
        if due(self.edited) == Some(true) {
            self.edited = None;
            if let Workspace::Open(p) = &self.workspace {
                let project = p.project.clone();
                let services = Arc::clone(&self.services);
                self.tasks.spawn(
                    "Saving the project",
                    false,
                    &self.wake,
                    move |_| Outcome::Saved(services.save_project(&project)),
                    |e| Outcome::Saved(Err(e)),
                );
            }
        }
        (self.edited.is_some() || self.prefs_edited.is_some()).then_some(AUTOSAVE)
    }

    fn look_for_engines(&mut self) {
        let services = Arc::clone(&self.services);
        self.tasks.spawn(
            "Looking for engines",
            false,
            &self.wake,
            move |_| Outcome::Engines(services.engines()),
            Outcome::Failed,
        );
    }

    fn look_for_interrupted(&mut self) {
        let folders: Vec<PathBuf> = self.prefs.recent.iter().map(|r| r.folder.clone()).collect();
        if folders.is_empty() {
            return;
        }
        let services = Arc::clone(&self.services);
        self.tasks.spawn(
            "Looking for interrupted runs",
            false,
            &self.wake,
            move |_| {
                // Of each project only the newest: the others were left behind.
                let found =
                    folders.iter().filter_map(|f| services.interrupted(f).into_iter().next());
                let found = found.collect();
                Outcome::Interrupted(found)
            },
            |_| Outcome::Interrupted(Vec::new()),
        );
    }
}

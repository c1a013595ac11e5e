//! Application state and the commands that change it. Knows nothing of how it is drawn.

pub mod apply;
mod assess;
pub mod checking;
pub mod columns;
pub mod command;
pub mod dialogs;
pub mod estimating;
pub mod folds;
pub mod headless;
pub mod history;
pub mod importing;
pub mod library;
pub mod live;
pub mod monitoring;
pub mod notify;
pub mod prefs;
pub mod preparing;
pub mod project_state;
mod runs;
pub mod saving;
pub mod services;
pub mod settings;
pub mod tabs;
pub mod tasks;
pub mod trying;
pub mod undo;
pub mod unsealing;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use apply::Retry;
pub use command::{Command, Outcome};
pub use dialogs::{Desktop, Dialogs};
pub use history::{PastRun, RunCommand};
pub use library::Library;
pub use live::LiveRun;
pub use monitoring::{MonitorCommand, MonitorState, Monitored, Monitoring};
pub use notify::{Notifications, Tone};
pub use prefs::{Preferences, Store, ThemeChoice};
pub use preparing::FeatureCommand;
pub use project_state::{
    CheckState, EvaluationState, ExportState, LoadedProject, Preview, ProjectState, SchemaState,
    VerdictState,
};
pub use services::{Engines, ExportRequest, Interrupted, Sample, Services};
pub use settings::{NetworkChoice, PrecisionChoice, Preset};
pub use tabs::{OpenProject, TabInfo};
pub use tasks::{TaskInfo, Tasks};

use serde::{Deserialize, Serialize};

use crate::error::{DataError, UserError};
use crate::text::Language;

/// Asks the window to look at the state again; may be called from any thread.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// How long after the last edit the project is saved.
const AUTOSAVE: Duration = Duration::from_secs(1);

/// The steps a person walks, in order.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Choose what to work on.
    #[default]
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
    /// Watch how it does on new data.
    Monitor,
}

impl Step {
    /// All steps in order.
    pub const ALL: [Self; 8] = [
        Self::Home,
        Self::Data,
        Self::Check,
        Self::Configure,
        Self::Train,
        Self::Evaluate,
        Self::Export,
        Self::Monitor,
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
            Self::Monitor => "Monitor",
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
    /// A file of new data to check.
    NewData,
    /// A folder of new data to check.
    NewFolder,
    /// A file with a secret key.
    KeyFile,
    /// Where to write the sealed project.
    SealTo,
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
    /// Was open when the program ended last and is opened once it is looked at.
    Asleep {
        /// Project folder.
        folder: PathBuf,
        /// Its name.
        name: String,
    },
    /// Is sealed and waits for its passphrase or key.
    Sealed {
        /// The file.
        path: PathBuf,
        /// The attempt under way.
        opening: Option<u64>,
        /// Why the last attempt failed.
        error: Option<UserError>,
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
    /// Feature recipes that are saved on this computer.
    pub features: preparing::Saved,
    /// Engines found; `None` while looking.
    pub engines: Option<Engines>,
    store: Store,
    services: Arc<dyn Services>,
    dialogs: Arc<dyn Dialogs>,
    wake: Wake,
    attempts: u64,
    edited: Option<Instant>,
    prefs_edited: Option<Instant>,
    resume_after_open: Option<Interrupted>,
    retry: Option<Retry>,
    return_to: Option<Step>,
    before_home: Option<Step>,
    tab: u64,
    last_tab: u64,
    order: Vec<u64>,
    others: Vec<tabs::Tab>,
    /// Whether what is worked on is what the window shows.
    in_view: bool,
    restoring: Option<u64>,
}

impl AppState {
    /// The language of the window.
    pub fn language(&self) -> Language {
        self.prefs.language.language().unwrap_or(self.system_language)
    }

    /// Reads the settings and looks for engines and interrupted runs in the background.
    pub fn new(
        services: Arc<dyn Services>,
        dialogs: Arc<dyn Dialogs>,
        store: Store,
        wake: Wake,
    ) -> Self {
        let mut state = Self {
            step: Step::Home,
            workspace: Workspace::Empty,
            prefs: store.load(),
            system_language: Language::English,
            tasks: Tasks::default(),
            notifications: Notifications::default(),
            samples: services.samples(),
            interrupted: Vec::new(),
            features: preparing::Saved::None,
            engines: None,
            store,
            services,
            dialogs,
            wake,
            attempts: 0,
            edited: None,
            prefs_edited: None,
            resume_after_open: None,
            retry: None,
            return_to: None,
            before_home: None,
            tab: 0,
            last_tab: 0,
            order: vec![0],
            others: Vec::new(),
            in_view: true,
            restoring: None,
        };
        state.look_for_engines();
        state.look_for_interrupted();
        state
    }

    /// Takes in what tasks and the run have come to and saves what was edited. Returns when it
    /// wants to be called again although nothing happens.
    pub fn pump(&mut self, now: Instant) -> Option<Duration> {
        while let Some((outcome, cancelled, owner)) = self.tasks.finished() {
            let outcome = match outcome {
                Outcome::Opened { attempt, .. } if cancelled => {
                    Outcome::Opened { attempt, result: Err(DataError::Cancelled.into()) }
                }
                outcome => outcome,
            };
            self.deliver(owner, outcome);
        }
        self.watch_runs();
        self.return_to_step();
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

    /// How a step stands.
    pub fn status(&self, step: Step) -> StepStatus {
        if step == Step::Home {
            return StepStatus::Open;
        }
        match (&self.workspace, step) {
            (Workspace::Empty, _) => StepStatus::Locked("Open a sample or a file first."),
            (Workspace::Loading { .. } | Workspace::Asleep { .. }, Step::Data) => StepStatus::Busy,
            (Workspace::Failed { .. }, Step::Data) => StepStatus::Attention,
            (Workspace::Sealed { .. }, Step::Data) => StepStatus::Open,
            (Workspace::Sealed { .. }, _) => StepStatus::Locked("The file is sealed."),
            (Workspace::Loading { .. } | Workspace::Asleep { .. }, _) => {
                StepStatus::Locked("The data is being opened.")
            }
            (Workspace::Failed { .. }, _) => StepStatus::Locked("The data could not be opened."),
            (Workspace::Open(project), _) => project.status(step),
        }
    }

    /// Saves now what waits to be saved; for the end of the program.
    pub fn save_now(&mut self) {
        let session = self.session();
        if session != self.prefs.session {
            self.prefs.session = session;
            self.prefs_edited = Some(Instant::now());
        }
        if self.prefs_edited.take().is_some()
            && let Err(e) = self.store.save(&self.prefs)
        {
            tracing::warn!("settings not saved: {e}");
        }
        self.save_all_now();
    }

    /// Saves the project now if it was edited, with the runs that wait.
    fn save_project_now(&mut self) {
        if self.edited.take().is_some()
            && let Some(project) = self.project()
            && let Err(e) = saving::save(self.services.as_ref(), project)
        {
            tracing::warn!("project not saved: {e}");
        }
    }

    fn save_project_if_due(&mut self, now: Instant) {
        if self.edited.is_none_or(|at| now.saturating_duration_since(at) < AUTOSAVE) {
            return;
        }
        self.edited = None;
        if let Workspace::Open(p) = &self.workspace {
            let (project, queue) = (p.project.clone(), p.history.queue.clone());
            let services = Arc::clone(&self.services);
            self.tasks.spawn(
                "Saving the project",
                false,
                &self.wake,
                move |_| {
                    let saved = services.save_project(&project);
                    Outcome::Saved(
                        saved.and_then(|()| services.save_queue(&project.folder, &queue)),
                    )
                },
                |e| Outcome::Saved(Err(e)),
            );
        }
    }

    fn autosave(&mut self, now: Instant) -> Option<Duration> {
        let session = self.session();
        if session != self.prefs.session {
            self.prefs.session = session;
            self.prefs_edited = self.prefs_edited.or(Some(now));
        }
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
        let projects = self.autosave_projects(now);
        projects.or(self.prefs_edited.map(|_| AUTOSAVE))
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

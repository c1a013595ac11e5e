//! Everything that can be asked of the application, by a person or by a finished task.

use std::path::PathBuf;
use std::sync::Arc;

use super::columns::ColumnSummary;
use super::folds::Folds;
use super::history::{RunCommand, RunOutcome};
use super::monitoring::{MonitorCommand, Monitored};
use super::preparing::{FeatureCommand, FeatureOutcome};
use super::saving::Content;
use super::services::{Engines, Interrupted};
use super::unsealing::{Unlock, Unsealed};
use super::{LoadedProject, Pick, Preset, Step};
use crate::app::prefs::{ThemeChoice, WindowPlace};
use crate::data::steps::Effect;
use crate::data::{ColumnType, Dataset, ImportOptions, Schema, SplitConfig};
use crate::deploy::{Answer, Input};
use crate::error::UserError;
use crate::eval::{Evaluation, Verdict};
use crate::export::sealed::Secret;
use crate::export::{ExportFormat, ExportReport};
use crate::monitor::CheckRecord;
use crate::project::Project;
use crate::quality::Report;
use crate::quality::fixes::Fix;
use crate::quality::profile::Profile;
use crate::train::estimate::Estimate;
use crate::train::{Control, Event, TrainConfig};

/// The only way to change [`super::AppState`].
#[derive(Debug, Clone)]
pub enum Command {
    /// Show a step.
    Go(Step),
    /// Ask for a file or folder in a dialog of the system.
    Pick(Pick),
    /// Open a project, a data file or a folder of images.
    Open(PathBuf),
    /// Open an embedded sample by its name.
    OpenSample(String),
    /// Take a project off the recent list.
    Forget(PathBuf),
    /// Read the data in another way: another sheet, table or query, or as the file is now.
    SetImport(Box<ImportOptions>),
    /// Cross-validate in so many folds.
    CrossValidate(usize),
    /// Open what is sealed.
    Unseal(Unlock),
    /// Choose the passphrase or public key that the project is sealed with.
    SetSealSecret(Secret),
    /// Close the open project.
    Close,
    /// Show another open project.
    SwitchTo(u64),
    /// Close an open project.
    CloseTab(u64),
    /// Show the next open project, or the one before.
    NextTab {
        /// The one before.
        back: bool,
    },
    /// The size or place of the window changed.
    WindowMoved(WindowPlace),
    /// Choose what is predicted.
    SetTarget(String),
    /// Change the type of a column; `None` goes back to the inferred one.
    SetColumnType {
        /// Column name.
        column: String,
        /// New type.
        kind: Option<ColumnType>,
    },
    /// Change settings of the training; `what` names the edit for undo.
    SetConfig {
        /// All settings.
        config: Box<TrainConfig>,
        /// What was edited, e.g. "learning rate".
        what: &'static str,
    },
    /// Apply a preset.
    ApplyPreset(Preset),
    /// Take the last edit back.
    Undo,
    /// Bring back what was taken back.
    Redo,
    /// Check the data.
    Check,
    /// Accept the serious findings that are open, with a reason.
    AcceptFindings {
        /// Why.
        reason: String,
        /// Only this finding of the report.
        only: Option<usize>,
    },
    /// Take all acceptances back.
    TakeBackAcceptance,
    /// Work out what a fix of a finding would change.
    PreviewFix {
        /// Finding of the report.
        finding: usize,
        /// What would be done.
        fix: Fix,
    },
    /// Leave the previewed fix.
    ClosePreview,
    /// Do the previewed fix.
    ApplyFix,
    /// Look at one column up close, or close that.
    Profile(Option<String>),
    /// Choose how rows are split.
    SetSplit(Box<SplitConfig>),
    /// Open a table that was copied in a spreadsheet.
    Paste(String),
    /// Start training.
    Train,
    /// Control the run.
    Control(Control),
    /// Go on with an interrupted run.
    Resume(Box<Interrupted>),
    /// Leave an interrupted run as it is and do not offer it again in this session.
    IgnoreInterrupted(PathBuf),
    /// Judge the newest model.
    Evaluate,
    /// Train the same in FP8, bf16 and f32, and compare.
    Compare,
    /// Write the report.
    Report(PathBuf),
    /// Choose the format of the model file.
    SetExportFormat(ExportFormat),
    /// Choose the passphrase that the model file is sealed with; empty for none.
    SetExportPassphrase(Secret),
    /// Write the model file.
    Export(PathBuf),
    /// Something about feature recipes.
    Features(FeatureCommand),
    /// Something about the runs of the project.
    Runs(RunCommand),
    /// Something about watching the model on new data.
    Monitor(MonitorCommand),
    /// Try the model on one row, text or picture.
    Try(Input),
    /// Write a plot to a file that is asked for.
    SaveFile {
        /// Suggested name.
        name: String,
        /// What is written.
        content: Content,
    },
    /// Go on with the project in another folder.
    SaveAs(PathBuf),
    /// Stop a background task.
    CancelTask(u64),
    /// Take a notification off the screen.
    Dismiss(u64),
    /// Light, dark or system.
    SetTheme(ThemeChoice),
    /// The language of the window.
    SetLanguage(super::prefs::LanguageChoice),
    /// Zoom, 1 = 100 %.
    SetZoom(f32),
}

impl Outcome {
    /// Whether it is about no project in particular.
    pub(super) fn is_for_all(&self) -> bool {
        match self {
            Self::Picked { what, .. } => matches!(what, Pick::DataFile | Pick::Folder),
            Self::Features(FeatureOutcome::Listed { .. })
            | Self::Engines(_)
            | Self::Interrupted(_)
            | Self::Saved(_)
            | Self::Failed(_)
            | Self::Reported(_)
            | Self::Wrote(_) => true,
            _ => false,
        }
    }
}

/// What a background task came to.
#[derive(Debug)]
pub enum Outcome {
    /// A dialog was answered; `None` when it was closed without a choice.
    Picked {
        /// What was asked.
        what: Pick,
        /// The answer.
        path: Option<PathBuf>,
    },
    /// What was to be opened is sealed.
    Sealed {
        /// Which attempt, to tell a late answer from the one waited for.
        attempt: u64,
        /// The file.
        path: PathBuf,
    },
    /// Something sealed was opened, or not.
    Unsealed {
        /// Which attempt, to tell a late answer from the one waited for.
        attempt: u64,
        /// What it held.
        result: Result<Unsealed, UserError>,
    },
    /// The data were read anew, or could not be.
    Reread {
        /// Which attempt, to tell a late answer from the one waited for.
        attempt: u64,
        /// Whether it can be undone.
        record: bool,
        /// The project with its data.
        result: Result<Box<LoadedProject>, UserError>,
    },
    /// Cross-validation was done, or could not be.
    CrossValidated {
        /// Which attempt, to tell a late answer from the one waited for.
        attempt: u64,
        /// What came of it.
        result: Result<Folds, UserError>,
    },
    /// A project was opened, or not.
    Opened {
        /// Which attempt, to tell a late answer from the one waited for.
        attempt: u64,
        /// The project.
        result: Result<Box<LoadedProject>, UserError>,
    },
    /// What a target makes of the data was worked out, or the target cannot be used.
    Schema {
        /// Which attempt, to tell a late answer from the one waited for.
        attempt: u64,
        /// Columns, target and task.
        result: Result<Schema, UserError>,
    },
    /// What an interrupted run told before was read, so that it can go on.
    Past {
        /// The run.
        run: Interrupted,
        /// What it told.
        events: Vec<Event>,
    },
    /// The data was checked, or could not be.
    Checked {
        /// Which attempt, to tell a late answer from the one waited for.
        attempt: u64,
        /// What was found.
        result: Result<Report, UserError>,
    },
    /// Recorded steps were done to the data, or cannot be.
    Changed {
        /// Which attempt, to tell a late answer from the one waited for.
        attempt: u64,
        /// The data and its columns in figures.
        result: Result<(Arc<Dataset>, Vec<ColumnSummary>), UserError>,
    },
    /// A column was looked at.
    Profiled(Option<Box<Profile>>),
    /// The effect of a fix was worked out, or it cannot be done.
    Previewed {
        /// Which attempt, to tell a late answer from the one waited for.
        attempt: u64,
        /// What each step would do.
        result: Result<Vec<Effect>, UserError>,
    },
    /// Interrupted runs were looked for.
    Interrupted(Vec<Interrupted>),
    /// Engines were looked for.
    Engines(Engines),
    /// A model was judged, or could not be.
    Evaluated {
        /// Which attempt, to tell a late answer from the one waited for.
        attempt: u64,
        /// What was found.
        result: Result<Box<Evaluation>, UserError>,
    },
    /// Precisions were compared, or could not be.
    Compared {
        /// Which attempt, to tell a late answer from the one waited for.
        attempt: u64,
        /// What came of it.
        result: Result<Box<Verdict>, UserError>,
    },
    /// The model was tried, or could not be.
    Tried {
        /// Which attempt, to tell a late answer from the one waited for.
        attempt: u64,
        /// What it answered.
        result: Result<Box<Answer>, UserError>,
    },
    /// What a run would take was worked out, or could not be.
    Estimated {
        /// Which attempt, to tell a late answer from the one waited for.
        attempt: u64,
        /// What it takes.
        result: Result<Box<Estimate>, UserError>,
    },
    /// New data were checked, or could not be.
    Monitored {
        /// Which attempt, to tell a late answer from the one waited for.
        attempt: u64,
        /// What was found.
        result: Result<Box<Monitored>, UserError>,
    },
    /// Earlier checks of new data were read, or cannot be.
    Checks {
        /// Project folder.
        project: PathBuf,
        /// Oldest first.
        result: Result<Vec<CheckRecord>, UserError>,
    },
    /// A report was written, or not.
    Reported(Result<PathBuf, UserError>),
    /// A model file was written, or not.
    Exported {
        /// Which attempt, to tell a late answer from the one waited for.
        attempt: u64,
        /// What was written.
        result: Result<ExportReport, UserError>,
    },
    /// Something about feature recipes.
    Features(FeatureOutcome),
    /// Something about the runs of the project.
    Runs(RunOutcome),
    /// A file was written, or not; `None` when the dialog was closed.
    Wrote(Result<Option<PathBuf>, UserError>),
    /// The project was saved in another folder, or not.
    SavedAs(Result<Box<Project>, UserError>),
    /// The project was saved, or not.
    Saved(Result<(), UserError>),
    /// A task failed in a way nobody waits for.
    Failed(UserError),
}

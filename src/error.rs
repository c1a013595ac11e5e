//! Every error type of the crate, and the one form in which a user sees them.
//!
//! Library code returns the enum of its area; `app` and the command line turn it into a
//! [`UserError`]: what happened, where, and what to do next.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Where in a user's input something went wrong. Rows count from 1 as a spreadsheet shows them
/// (the header is row 1 of a file that has one).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// File or folder.
    pub path: Option<PathBuf>,
    /// Line or row, from 1.
    pub row: Option<u64>,
    /// Column name.
    pub column: Option<String>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut sep = "";
        if let Some(path) = &self.path {
            write!(f, "{}", path.display())?;
            sep = ", ";
        }
        if let Some(row) = self.row {
            write!(f, "{sep}row {row}")?;
            sep = ", ";
        }
        if let Some(column) = &self.column {
            write!(f, "{sep}column \"{column}\"")?;
        }
        Ok(())
    }
}

/// Reading, typing, splitting or encoding data failed.
#[derive(Debug, Error)]
pub enum DataError {
    /// The operating system refused.
    #[error("cannot read {path}: {source}", path = path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The content is not what the format allows, or cannot be used for training.
    #[error("{what}")]
    Invalid {
        /// What is wrong, one sentence without a full stop.
        what: String,
        /// Where.
        place: Place,
        /// What the user can do next, one sentence.
        advice: String,
    },
    /// The user cancelled.
    #[error("cancelled")]
    Cancelled,
}

/// A device, a kernel or a plan failed.
#[derive(Debug, Error)]
pub enum EngineError {
    /// No adapter of the wanted kind.
    #[error("no usable GPU: {0}")]
    NoAdapter(String),
    /// The adapter failed its self-test.
    #[error("the GPU {adapter} failed its self-test: {what}")]
    SelfTest {
        /// Adapter name.
        adapter: String,
        /// The first failing probe.
        what: String,
    },
    /// The device went away while working.
    #[error("the GPU was lost: {0}")]
    DeviceLost(String),
    /// A buffer does not fit.
    #[error("{what} needs {needed} bytes but {available} are available")]
    OutOfMemory {
        /// Which buffer or plan.
        what: String,
        /// Bytes asked for.
        needed: u64,
        /// Bytes available.
        available: u64,
    },
    /// A shape does not fit an op.
    #[error("{op}: {what}")]
    Shape {
        /// Op name.
        op: &'static str,
        /// What does not fit, with the shapes.
        what: String,
    },
    /// A kernel was rejected by the driver.
    #[error("kernel {kernel} failed: {what}")]
    Kernel {
        /// Shader name.
        kernel: String,
        /// The driver's message.
        what: String,
    },
}

/// A training run could not start or go on.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The data cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A setting is out of range.
    #[error("setting {setting}: {what}")]
    Config {
        /// Name of the setting as shown.
        setting: &'static str,
        /// What is wrong.
        what: String,
    },
    /// The loss stopped being a number.
    #[error("training diverged at step {step}: {diagnosis}")]
    Diverged {
        /// Step of the first non-finite loss.
        step: u64,
        /// Plain-language cause and what to change.
        diagnosis: String,
    },
    /// The folder for a new run holds one already.
    #[error("this folder already holds a run: {path}", path = .0.display())]
    RunExists(PathBuf),
    /// A run folder or checkpoint cannot be written or read.
    #[error("{what}: {path}", path = path.display())]
    Checkpoint {
        /// What failed.
        what: String,
        /// File.
        path: PathBuf,
    },
}

/// Writing or reading a model file failed.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The operating system refused.
    #[error("cannot write or read {path}: {source}", path = path.display())]
    Io {
        /// File.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is not a model of this program, or is damaged.
    #[error("{path} is not a usable model file: {what}", path = path.display())]
    Format {
        /// File.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The engine failed while proving the export.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The data to predict on cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The run to export cannot be read.
    #[error(transparent)]
    Run(#[from] TrainError),
}

/// A project file cannot be read or written.
#[derive(Debug, Error)]
pub enum ProjectError {
    /// The operating system refused.
    #[error("cannot read or write {path}: {source}", path = path.display())]
    Io {
        /// File.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Not a project file, or from a newer version.
    #[error("{path} is not a usable project: {what}", path = path.display())]
    Format {
        /// File.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// What a user sees of any error: what happened, where, what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserError {
    /// What happened, one sentence without a full stop.
    pub what: String,
    /// Where, if it has a place.
    pub place: Place,
    /// What to do next, one sentence; empty if nothing is known.
    pub advice: String,
}

impl std::fmt::Display for UserError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.what)?;
        let place = self.place.to_string();
        if !place.is_empty() {
            write!(f, " ({place})")?;
        }
        if !self.advice.is_empty() {
            write!(f, ". {}", self.advice)?;
        }
        Ok(())
    }
}

impl std::error::Error for UserError {}

impl UserError {
    /// A plain error with advice and no place.
    pub fn new(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what: what.into(), place: Place::default(), advice: advice.into() }
    }
}

fn io_advice(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::NotFound => "Check that the file is still there and spelled this way.",
        std::io::ErrorKind::PermissionDenied => {
            "Ask for permission to this file, or copy it to a folder of your own."
        }
        std::io::ErrorKind::StorageFull => "Free some disk space and try again.",
        _ => "Try again, or copy the file to another place first.",
    }
}

fn io_error(what: &str, path: PathBuf, source: &std::io::Error) -> UserError {
    UserError {
        what: format!("{what}: {source}"),
        place: Place { path: Some(path), ..Place::default() },
        advice: io_advice(source).to_owned(),
    }
}

impl From<DataError> for UserError {
    fn from(e: DataError) -> Self {
        match e {
            DataError::Io { path, source } => io_error("This file cannot be read", path, &source),
            DataError::Invalid { what, place, advice } => Self { what, place, advice },
            DataError::Cancelled => Self::new("Cancelled", ""),
        }
    }
}

impl From<EngineError> for UserError {
    fn from(e: EngineError) -> Self {
        let advice = match &e {
            EngineError::OutOfMemory { .. } => "Choose a smaller batch size or a smaller model.",
            EngineError::NoAdapter(_)
            | EngineError::SelfTest { .. }
            | EngineError::DeviceLost(_)
            | EngineError::Kernel { .. } => "Choose the CPU engine; it needs no GPU.",
            EngineError::Shape { .. } => "Please report this; it is a fault in the program.",
        };
        Self::new(e.to_string(), advice)
    }
}

impl From<TrainError> for UserError {
    fn from(e: TrainError) -> Self {
        match e {
            TrainError::Data(e) => e.into(),
            TrainError::Engine(e) => e.into(),
            TrainError::Config { .. } => Self::new(e.to_string(), "Change it in Configure."),
            TrainError::Diverged { step, diagnosis } => {
                Self::new(format!("Training diverged at step {step}"), diagnosis)
            }
            TrainError::RunExists(path) => Self {
                what: "This folder already holds a run".to_owned(),
                place: Place { path: Some(path), ..Place::default() },
                advice: "Choose another folder for the new run, or delete this one.".to_owned(),
            },
            TrainError::Checkpoint { what, path } => Self {
                what,
                place: Place { path: Some(path), ..Place::default() },
                advice: "Check free disk space and that the folder can be written.".to_owned(),
            },
        }
    }
}

impl From<ExportError> for UserError {
    fn from(e: ExportError) -> Self {
        match e {
            ExportError::Io { path, source } => {
                io_error("This file cannot be written or read", path, &source)
            }
            ExportError::Format { path, what } => Self {
                what: format!("This is not a usable model file: {what}"),
                place: Place { path: Some(path), ..Place::default() },
                advice: "Export the model again.".to_owned(),
            },
            ExportError::Engine(e) => e.into(),
            ExportError::Data(e) => e.into(),
            ExportError::Run(e) => e.into(),
        }
    }
}

impl From<ProjectError> for UserError {
    fn from(e: ProjectError) -> Self {
        match e {
            ProjectError::Io { path, source } => {
                io_error("This project cannot be read or written", path, &source)
            }
            ProjectError::Format { path, what } => Self {
                what: format!("This is not a usable project: {what}"),
                place: Place { path: Some(path), ..Place::default() },
                advice: "Open a folder that holds a project.toml, or make a new project."
                    .to_owned(),
            },
        }
    }
}

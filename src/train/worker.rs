//! The only place that spawns threads.

use std::path::PathBuf;
use std::sync::Arc;

use crossbeam::channel::{Receiver, Sender};

use super::{Control, Event, TrainConfig};
use crate::data::preprocess::PrepConfig;
use crate::data::{Dataset, Schema, SplitConfig};
use crate::error::TrainError;

/// Everything a run needs.
#[derive(Debug, Clone)]
pub struct Job {
    /// Name shown and stored.
    pub project: String,
    /// Data.
    pub dataset: Arc<Dataset>,
    /// Column types, target, task.
    pub schema: Schema,
    /// Preprocessing settings.
    pub prep: PrepConfig,
    /// Split.
    pub split: SplitConfig,
    /// Settings.
    pub config: TrainConfig,
    /// Run folder to create, or to resume if it holds a checkpoint and `resume` is set.
    pub folder: PathBuf,
    /// Go on from the folder's last checkpoint.
    pub resume: bool,
}

/// A running or finished run.
#[derive(Debug)]
pub struct RunHandle {
    /// Unique within the process.
    pub run_id: u64,
    /// Control, bounded.
    pub control: Sender<Control>,
    /// Events, bounded; disconnected when the worker is gone.
    pub events: Receiver<Event>,
}

/// Starts a run on its own thread. `wake` is called (from the worker) after events were sent, so a
/// window can ask for a repaint.
pub fn start(job: Job, wake: Arc<dyn Fn() + Send + Sync>) -> Result<RunHandle, TrainError> {
    let _ = (job, wake);
    todo!()
}

/// Runs `task` on a thread of its own, for work that must not hold up a window. The task reports
/// back by whatever channel it carries.
pub fn spawn_task(name: &str, task: impl FnOnce() + Send + 'static) -> Result<(), TrainError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(task).map(|_| ()).map_err(|e| {
        TrainError::Checkpoint { what: format!("no thread: {e}"), path: PathBuf::new() }
    })
}

//! The only place that spawns threads.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::channel::{Receiver, Sender, bounded};

use super::reporter::{self, Reporter};
use super::run_folder::RunFolder;
use super::session::Ending;
use super::{Control, Event, RunState, TrainConfig, prepare};
use crate::data::preprocess::PrepConfig;
use crate::data::{Dataset, Preprocessor, Schema, SplitConfig};
use crate::error::{TrainError, UserError};
use crate::model::ModelSpec;
use crate::model::init::Param;

/// Control messages that may wait.
const CONTROL_CAPACITY: usize = 16;

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
    /// Go on from the folder's last checkpoint, with the settings stored there; of `config` only
    /// the device counts.
    pub resume: bool,
    /// A model to go on from in place of random weights; its network and preprocessing are used.
    pub start_from: Option<Arc<Start>>,
}

/// A trained model that a new run starts from.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// Fitted preprocessing.
    pub preprocessor: Preprocessor,
    /// Network.
    pub model: ModelSpec,
    /// Weights in the order of [`ModelSpec::parameters`].
    pub params: Vec<Param>,
}

/// A running or finished run. Dropping it ends the run after the current steps with a checkpoint
/// from which it can be resumed.
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
///
/// A watcher that reads slowly loses progress and tensor events, never the others. The last event
/// is `Finished`, `Failed` or `State(Cancelled)`. Settings that are out of range are an error here;
/// everything else that can go wrong comes as `Failed`.
pub fn start(job: Job, wake: Arc<dyn Fn() + Send + Sync>) -> Result<RunHandle, TrainError> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    job.config.check()?;
    let (control, orders) = bounded(CONTROL_CAPACITY);
    let (sender, events) = bounded(reporter::CAPACITY);
    let run_id = NEXT.fetch_add(1, Ordering::Relaxed);
    spawn_task(&format!("train-{run_id}"), move || {
        let mut reporter = Reporter::new(sender, wake);
        work(&job, &orders, &mut reporter, prepare::run);
        reporter.finish();
    })?;
    Ok(RunHandle { run_id, control, events })
}

/// Does the job with `run` and sends its last event, whatever happens.
fn work(
    job: &Job,
    orders: &Receiver<Control>,
    reporter: &mut Reporter,
    run: impl FnOnce(&Job, &Receiver<Control>, &mut Reporter) -> Result<Ending, TrainError>,
) {
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let ending = run(job, orders, reporter)?;
        if matches!(ending, Ending::Finished(_)) {
            keep_reference(job);
        }
        Ok::<_, TrainError>(ending)
    }));
    match result {
        Ok(Ok(Ending::Finished(summary))) => reporter.send(Event::Finished(summary)),
        Ok(Ok(Ending::Cancelled | Ending::Left)) => {}
        Ok(Err(error)) => reporter.send(Event::Failed(error.into())),
        Err(panic) => {
            if let Ok(mut folder) = RunFolder::open(&job.folder)
                && matches!(folder.record.state, RunState::Running | RunState::Finishing)
                && !folder.is_running()
                && let Err(e) = folder.set_state(RunState::Failed)
            {
                tracing::warn!("{e}");
            }
            reporter.send(Event::Failed(UserError::new(
                format!("The program made a mistake while training: {}", panic_text(&*panic)),
                "Please report this. What was saved of the run stays.",
            )));
        }
    }
}

/// Keeps the training rows in figures with the run. A run without them is as good as any other.
fn keep_reference(job: &Job) {
    let kept = RunFolder::open(&job.folder)
        .map_err(Into::into)
        .and_then(|run| crate::monitor::reference::keep(&run, &job.dataset));
    if let Err(e) = kept {
        tracing::warn!("no reference is kept with the run: {e}");
    }
}

/// The message of a caught panic.
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("unknown")
}

/// Runs `task` on a thread of its own, for work that must not hold up a window. The task reports
/// back by whatever channel it carries.
pub fn spawn_task(name: &str, task: impl FnOnce() + Send + 'static) -> Result<(), TrainError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(task).map(|_| ()).map_err(|e| {
        TrainError::Checkpoint { what: format!("no thread: {e}"), path: PathBuf::new() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::table;

    /// The events of a job that is done by `run`.
    fn events(
        run: impl FnOnce(&Job, &Receiver<Control>, &mut Reporter) -> Result<Ending, TrainError>,
    ) -> Vec<Event> {
        let (dataset, schema) = table("x,y\n1,a\n2,b\n", "y");
        let job = Job {
            project: "test".to_owned(),
            dataset: Arc::new(dataset),
            schema,
            prep: PrepConfig::default(),
            split: SplitConfig::default(),
            config: TrainConfig::default(),
            folder: PathBuf::from("nowhere"),
            resume: false,
            start_from: None,
        };
        let (_control, orders) = bounded(1);
        let (sender, events) = bounded(reporter::CAPACITY);
        let mut reporter = Reporter::new(sender, Arc::new(|| {}));
        work(&job, &orders, &mut reporter, run);
        reporter.finish();
        events.iter().collect()
    }

    fn failure(events: &[Event]) -> &UserError {
        match events {
            [Event::Log(_), Event::Failed(error)] => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_panic_is_a_failed_run_that_says_what_happened() {
        let message = String::from("planted in words");
        for planted in [None, Some(message)] {
            let words = planted.clone();
            let events = events(move |_, _, reporter| {
                reporter.send(Event::Log("begun".to_owned()));
                match planted {
                    None => panic!("planted"),
                    Some(message) => std::panic::panic_any(message),
                }
            });
            let error = failure(&events);
            assert!(error.what.ends_with(words.as_deref().unwrap_or("planted")), "{error}");
            assert!(error.advice.contains("report"), "{error}");
        }
        let events = events(|_, _, reporter| {
            reporter.send(Event::Log("begun".to_owned()));
            std::panic::panic_any(7)
        });
        assert!(failure(&events).what.ends_with("unknown"));
    }
}

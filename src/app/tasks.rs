//! Work in the background: what runs, how far it is, and how to stop it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam::channel::{Receiver, Sender, unbounded};

use super::Wake;
use super::command::Outcome;
use crate::data::Progress;
use crate::error::UserError;
use crate::train::worker::spawn_task;

/// One task that is under way.
#[derive(Debug, Clone)]
pub struct TaskInfo {
    /// Unique within the process.
    pub id: u64,
    /// What it does, e.g. "Opening adult.csv".
    pub label: String,
    /// How far it is.
    pub progress: Arc<Progress>,
    /// Whether it listens to a request to stop.
    pub can_cancel: bool,
    /// The project that asked for it.
    pub owner: u64,
}

impl TaskInfo {
    /// Share done, if it is known.
    pub fn fraction(&self) -> Option<f32> {
        let total = self.progress.total.load(Ordering::Relaxed);
        let done = self.progress.done.load(Ordering::Relaxed);
        (total > 0).then(|| (done as f64 / total as f64).min(1.0) as f32)
    }

    /// Whether it was asked to stop.
    pub fn cancelling(&self) -> bool {
        self.progress.cancel.load(Ordering::Relaxed)
    }
}

/// All tasks under way. Results come back as [`Outcome`]s in the order they finish.
#[derive(Debug)]
pub struct Tasks {
    /// The project that asks for what is spawned now.
    pub(super) owner: u64,
    running: Vec<TaskInfo>,
    next: u64,
    sender: Sender<(u64, Outcome)>,
    receiver: Receiver<(u64, Outcome)>,
}

impl Default for Tasks {
    fn default() -> Self {
        let (sender, receiver) = unbounded();
        Self { owner: 0, running: Vec::new(), next: 0, sender, receiver }
    }
}

impl Tasks {
    /// Runs `work` on a thread of its own. Its result is handed out by [`Tasks::finished`]; a panic
    /// inside becomes `failed`.
    pub fn spawn(
        &mut self,
        label: &str,
        can_cancel: bool,
        wake: &Wake,
        work: impl FnOnce(&Progress) -> Outcome + Send + 'static,
        failed: impl FnOnce(UserError) -> Outcome + Send + 'static,
    ) -> u64 {
        self.next += 1;
        let id = self.next;
        let progress = Arc::new(Progress::default());
        self.running.push(TaskInfo {
            id,
            label: label.to_owned(),
            progress: Arc::clone(&progress),
            can_cancel,
            owner: self.owner,
        });
        let (sender, wake) = (self.sender.clone(), Arc::clone(wake));
        let start = spawn_task(label, move || {
            let result = std::panic::catch_unwind(AssertUnwindSafe(|| work(&progress)));
            let outcome = result.unwrap_or_else(|_| failed(internal_error()));
            // The window may be gone by now; then nobody needs the result.
            let _ = sender.send((id, outcome));
            wake();
        });
        if let Err(e) = start {
            let _ = self.sender.send((id, Outcome::Failed(e.into())));
        }
        id
    }

    /// The next finished task's result, if there is one, whether it was asked to stop (it may have
    /// finished all the same), and the project that asked for it.
    pub fn finished(&mut self) -> Option<(Outcome, bool, u64)> {
        let (id, outcome) = self.receiver.try_recv().ok()?;
        let task = self.get(id);
        let cancelled = task.is_some_and(TaskInfo::cancelling);
        let owner = task.map_or(self.owner, |t| t.owner);
        self.running.retain(|t| t.id != id);
        Some((outcome, cancelled, owner))
    }

    /// Asks a task to stop.
    pub fn cancel(&self, id: u64) {
        if let Some(task) = self.running.iter().find(|t| t.id == id) {
            task.progress.cancel.store(true, Ordering::Relaxed);
        }
    }

    /// Tasks under way, oldest first.
    pub fn running(&self) -> &[TaskInfo] {
        &self.running
    }

    /// A task by its id.
    pub fn get(&self, id: u64) -> Option<&TaskInfo> {
        self.running.iter().find(|t| t.id == id)
    }
}

fn internal_error() -> UserError {
    UserError::new(
        "The program made a mistake while working on this",
        "Please report this, with the file if you can share it.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn wait(tasks: &mut Tasks) -> (Outcome, bool, u64) {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(outcome) = tasks.finished() {
                return outcome;
            }
            assert!(Instant::now() < end, "no result");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_cancelled_task_hears_of_it() {
        let mut tasks = Tasks::default();
        let wake: Wake = Arc::new(|| {});
        let id = tasks.spawn(
            "waiting",
            true,
            &wake,
            |p| {
                while !p.cancel.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
                Outcome::Picked { what: super::super::Pick::DataFile, path: None }
            },
            Outcome::Failed,
        );
        assert_eq!(tasks.running().len(), 1);
        tasks.cancel(id);
        assert!(tasks.get(id).is_some_and(TaskInfo::cancelling));
        assert!(matches!(wait(&mut tasks), (Outcome::Picked { .. }, true, 0)));
        assert!(tasks.running().is_empty());
    }

    #[test]
    fn a_panic_becomes_an_error() {
        let mut tasks = Tasks::default();
        let wake: Wake = Arc::new(|| {});
        tasks.spawn("failing", false, &wake, |_| panic!("planted"), Outcome::Failed);
        assert!(matches!(wait(&mut tasks), (Outcome::Failed(_), false, 0)));
    }
}

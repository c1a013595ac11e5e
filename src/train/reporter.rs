//! Sends a run's events to whoever watches and writes them to the event log.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Sender, TrySendError};

use super::Event;
use super::files::{failed, write_atomic};
use crate::error::TrainError;

/// Events that the channel holds.
pub const CAPACITY: usize = 1024;
/// Waiting events up to which new ones that may be left out are sent at all.
const CROWDED: usize = CAPACITY / 4;
/// How long the end of a run waits for a watcher that does not read its events.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends events without ever holding up the training.
pub struct Reporter {
    events: Sender<Event>,
    wake: Arc<dyn Fn() + Send + Sync>,
    /// Events that must arrive but found the channel full.
    waiting: VecDeque<Event>,
    log: Option<BufWriter<File>>,
}

impl Reporter {
    /// Sends to `events` and calls `wake` after it did.
    pub fn new(events: Sender<Event>, wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self { events, wake, waiting: VecDeque::new(), log: None }
    }

    /// Opens the event log. Events of a step after `keep_until`, which a resumed run will have
    /// again, are removed from it.
    pub fn open_log(&mut self, path: &Path, keep_until: u64) -> Result<(), TrainError> {
        if let Ok(old) = std::fs::read(path) {
            let mut kept = Vec::with_capacity(old.len());
            for line in old.split(|&b| b == b'\n') {
                let event = serde_json::from_slice::<Event>(line);
                if event.is_ok_and(|e| e.step().is_none_or(|s| s <= keep_until)) {
                    kept.extend_from_slice(line);
                    kept.push(b'\n');
                }
            }
            write_atomic(path, &kept)?;
        }
        let file = File::options()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|e| failed("cannot write the event log", path, &e))?;
        self.log = Some(BufWriter::new(file));
        Ok(())
    }

    /// Sends an event that must arrive.
    pub fn send(&mut self, event: Event) {
        self.log(&event);
        self.waiting.push_back(event);
        self.flush();
        (self.wake)();
    }

    /// Sends an event that a later one makes up for. False, and nothing happens, while the watcher
    /// is behind.
    pub fn offer(&mut self, event: Event) -> bool {
        self.flush();
        if !self.waiting.is_empty() || self.events.len() >= CROWDED {
            return false;
        }
        // Full is ruled out by the line above; a watcher that is gone misses nothing.
        let _ = self.events.try_send(event);
        (self.wake)();
        true
    }

    /// Writes an event to the log only.
    pub fn log(&mut self, event: &Event) {
        let Some(log) = &mut self.log else { return };
        let written = serde_json::to_writer(&mut *log, event)
            .map_err(std::io::Error::from)
            .and_then(|()| log.write_all(b"\n"));
        if let Err(e) = written {
            // Training goes on without its log; the results do not hang on it.
            tracing::warn!("the event log ends here: {e}");
            self.log = None;
        }
    }

    /// Hands buffered log lines to the system.
    pub fn flush_log(&mut self) {
        if let Some(log) = &mut self.log
            && let Err(e) = log.flush()
        {
            tracing::warn!("the event log ends here: {e}");
            self.log = None;
        }
    }

    /// Closes the log, so that its file can be removed.
    pub fn close_log(&mut self) {
        self.flush_log();
        self.log = None;
    }

    fn flush(&mut self) {
        while let Some(event) = self.waiting.pop_front() {
            match self.events.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.waiting.push_front(event);
                    return;
                }
                Err(TrySendError::Disconnected(_)) => self.waiting.clear(),
            }
        }
    }

    /// Delivers what still waits, as long as the watcher takes it within a few seconds.
    pub fn finish(mut self) {
        self.close_log();
        let end = Instant::now() + PATIENCE;
        while let Some(event) = self.waiting.pop_front() {
            if self.events.send_deadline(event, end).is_err() {
                return;
            }
            (self.wake)();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::RunState;
    use crossbeam::channel::bounded;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn progress(step: u64) -> Event {
        Event::Progress {
            step,
            epoch: 0.0,
            loss: 1.0,
            learning_rate: 0.1,
            rows_per_second: 1.0,
            eta_seconds: 1.0,
        }
    }

    fn quiet() -> Arc<dyn Fn() + Send + Sync> {
        Arc::new(|| {})
    }

    #[test]
    fn a_slow_watcher_loses_progress_but_nothing_that_matters() {
        let (tx, rx) = bounded(8);
        let mut reporter = Reporter::new(tx, quiet());
        for i in 0..20 {
            reporter.send(Event::Log(i.to_string()));
        }
        assert!(!reporter.offer(progress(1)));
        let (done, logs) = bounded(1);
        crate::train::worker::spawn_task("reader", move || {
            std::thread::sleep(Duration::from_millis(50));
            let text = |event| match event {
                Event::Log(text) => text,
                other => panic!("{other:?}"),
            };
            done.send(rx.into_iter().map(text).collect::<Vec<String>>()).unwrap();
        })
        .unwrap();
        reporter.finish();
        let logs = logs.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(logs.into_iter().eq((0..20).map(|i| i.to_string())));
    }

    #[test]
    fn a_watcher_that_is_gone_holds_nothing_up() {
        let (tx, rx) = bounded(2);
        drop(rx);
        let mut reporter = Reporter::new(tx, quiet());
        for _ in 0..10 {
            reporter.send(Event::State(RunState::Running));
            assert!(reporter.offer(progress(1)));
        }
        reporter.finish();
    }

    #[test]
    fn every_event_wakes_the_watcher() {
        let (tx, _rx) = bounded(CAPACITY);
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        let wake = Arc::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let mut reporter = Reporter::new(tx, wake);
        reporter.send(Event::Log(String::new()));
        assert!(reporter.offer(progress(1)));
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_resumed_log_forgets_what_will_happen_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let (tx, _rx) = bounded(CAPACITY);
        let mut reporter = Reporter::new(tx, quiet());
        reporter.open_log(&path, 0).unwrap();
        for step in 1..=5 {
            reporter.log(&progress(step));
        }
        reporter.send(Event::Log("line".into()));
        reporter.close_log();
        // A line cut short by a crash.
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"progress\":{\"st");
        std::fs::write(&path, text).unwrap();

        reporter.open_log(&path, 3).unwrap();
        reporter.log(&progress(4));
        reporter.close_log();
        let steps: Vec<Option<u64>> = std::fs::read_to_string(&path)
            .unwrap()
            .lines()
            .map(|l| serde_json::from_str::<Event>(l).unwrap().step())
            .collect();
        assert_eq!(steps, [Some(1), Some(2), Some(3), None, Some(4)]);
    }
}

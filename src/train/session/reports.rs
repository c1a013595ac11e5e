//! What a run tells about itself while it trains.

use std::time::{Duration, Instant};

use super::Session;
use crate::error::TrainError;
use crate::train::Event;
use crate::train::diagnosis::{Evidence, diagnose};
use crate::train::event::TensorReport;

/// Shortest time between two progress events.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// Shortest time between two readings of tensor statistics within an epoch.
const TENSORS_EVERY: Duration = Duration::from_millis(500);
/// Shortest time between two statistics in the event log.
const TENSORS_LOGGED_EVERY: Duration = Duration::from_secs(1);

/// Progress since the last event about it.
pub(super) struct Recent {
    pub(super) loss_sum: f64,
    pub(super) rows: u64,
    pub(super) since: Instant,
    pub(super) paused: Duration,
}

impl Recent {
    pub(super) fn new(now: Instant) -> Self {
        Self { loss_sum: 0.0, rows: 0, since: now, paused: Duration::ZERO }
    }
}

/// The statistics read last.
pub(super) struct Watch {
    tensors: Vec<TensorReport>,
    read: Instant,
    logged: Option<Instant>,
}

impl Watch {
    pub(super) fn new(now: Instant) -> Self {
        Self { tensors: Vec::new(), read: now, logged: None }
    }
}

impl Session<'_> {
    pub(super) fn diverged(&mut self, loss: f32, step: u64) -> TrainError {
        let now = self.read_tensors().unwrap_or_default();
        let diagnosis = diagnose(&Evidence {
            config: &self.config,
            loss,
            step,
            before: &self.watch.tensors,
            now: &now,
            guard: &self.at.known.guard,
            shadow: self.at.known.shadow.as_ref(),
        });
        TrainError::Diverged { step, diagnosis }
    }

    pub(super) fn read_tensors(&mut self) -> Result<Vec<TensorReport>, TrainError> {
        if self.data.engine.plan().watched.is_empty() {
            return Ok(Vec::new());
        }
        let stats = self.data.engine.stats()?;
        let watched = &self.data.engine.plan().watched;
        Ok(watched
            .iter()
            .zip(stats)
            // What the guard rails keep in f32 has none, nor has anything right after a new plan.
            .filter(|(_, stats)| stats.count > 0)
            .map(|(w, stats)| TensorReport {
                name: w.name.clone(),
                role: w.role,
                format: w.format,
                stats,
            })
            .collect())
    }

    /// Reads the statistics of the last step and sends them.
    pub(super) fn report_tensors(&mut self) -> Result<(), TrainError> {
        self.watch.tensors = self.read_tensors()?;
        self.watch.read = Instant::now();
        if self.watch.tensors.is_empty() {
            return Ok(());
        }
        let event = Event::Tensors { step: self.at.step, tensors: self.watch.tensors.clone() };
        if self.watch.logged.is_none_or(|t| t.elapsed() >= TENSORS_LOGGED_EVERY) {
            self.reporter.log(&event);
            self.watch.logged = Some(Instant::now());
        }
        self.reporter.offer(event);
        Ok(())
    }

    /// Sends what is due about the steps just done.
    pub(super) fn report(&mut self) -> Result<(), TrainError> {
        if self.watch.read.elapsed() >= TENSORS_EVERY {
            self.report_tensors()?;
        }
        let elapsed = self.recent.since.elapsed().saturating_sub(self.recent.paused);
        if elapsed >= PROGRESS_EVERY {
            self.report_progress();
        }
        Ok(())
    }

    /// Sends the mean loss of the steps since the last report, if there were any.
    pub(super) fn report_progress(&mut self) {
        if self.recent.rows == 0 {
            return;
        }
        let elapsed = self.recent.since.elapsed().saturating_sub(self.recent.paused);
        let total = (self.steps_per_epoch * self.config.epochs) as u64;
        let done = (self.at.step - self.step_before).max(1) as f64;
        let per_step = self.clock.elapsed().saturating_sub(self.paused).as_secs_f64() / done;
        let event = Event::Progress {
            step: self.at.step,
            epoch: self.at.step as f64 / self.steps_per_epoch.max(1) as f64,
            loss: (self.recent.loss_sum / self.recent.rows as f64) as f32,
            learning_rate: self.rate.at(self.at.step),
            rows_per_second: self.recent.rows as f64 / elapsed.as_secs_f64().max(1e-9),
            eta_seconds: total.saturating_sub(self.at.step) as f64 * per_step,
        };
        // A watcher that is behind gets these steps with the next event.
        if self.reporter.offer(event.clone()) {
            self.reporter.log(&event);
            self.recent = Recent::new(Instant::now());
            if let Some(event) = self.shadow_event() {
                self.reporter.offer(event.clone());
                self.reporter.log(&event);
                self.shadow_told();
            }
        }
    }
}

//! A run as it is watched: its events made into state and curves of bounded length.

use std::collections::VecDeque;
use std::path::PathBuf;

use crate::data::Schema;
use crate::engine::EngineInfo;
use crate::error::UserError;
use crate::fp8::{Format, TensorStats};
use crate::metrics::{MetricKind, Series};
use crate::plan::TensorRole;
use crate::project::Project;
use crate::train::guard::Action;
use crate::train::insight::{Diagnosis, MemoryReport, WhatIf};
use crate::train::{Control, Event, RunHandle, RunState, Summary};

/// Most log lines kept.
const LOG_LINES: usize = 2000;
/// Most events taken in at once, so that a frame stays short.
const EVENTS_A_FRAME: usize = 4096;

/// What is known once the plan and the engine are ready.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// Who computes.
    pub engine: EngineInfo,
    /// Why the engine is not the one asked for.
    pub fallback: Option<String>,
    /// Rows in train, validation, test.
    pub rows: [usize; 3],
    /// Steps per epoch.
    pub steps_per_epoch: usize,
    /// Epochs planned.
    pub epochs: usize,
    /// First step to come, 0 unless resumed.
    pub resumed_step: u64,
    /// Parameters.
    pub parameters: usize,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Steps done.
    pub step: u64,
    /// Epoch, fractional.
    pub epoch: f64,
    /// Mean training loss of the last steps.
    pub loss: f32,
    /// Learning rate.
    pub learning_rate: f32,
    /// Rows per second.
    pub rows_per_second: f64,
    /// Seconds left.
    pub eta_seconds: f64,
}

/// One epoch's end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochMark {
    /// From 1.
    pub epoch: usize,
    /// Mean training loss.
    pub train_loss: f32,
    /// Validation loss.
    pub validation_loss: f32,
    /// Main metric on validation.
    pub metric: Option<(MetricKind, f64)>,
}

/// One quantised tensor over time. The horizontal axis of every curve is the epoch.
#[derive(Debug, Clone)]
pub struct TensorTrack {
    /// e.g. `dense1.weight`.
    pub name: String,
    /// Role.
    pub role: TensorRole,
    /// Format.
    pub format: Format,
    /// Newest statistics.
    pub latest: TensorStats,
    /// log2 of the scale.
    pub scale: Series,
    /// log2 of amax.
    pub amax: Series,
    /// Share of values beyond the format's range, 0..=1.
    pub saturated: Series,
    /// Share of non-zero values that became zero, 0..=1.
    pub flushed: Series,
    /// Euclidean norm of the values before rounding.
    pub norm: Series,
}

/// A run and what it has told so far.
#[derive(Debug)]
pub struct LiveRun {
    handle: Option<RunHandle>,
    /// Where it is.
    pub state: RunState,
    /// What it learns from and towards.
    pub schema: Schema,
    /// The project as it was when the run began.
    pub basis: Project,
    /// Its folder.
    pub folder: PathBuf,
    /// What is known since it started.
    pub start: Option<Start>,
    /// Rows of a file larger than memory that are encoded before training, and all, about.
    pub encoding: Option<(u64, u64)>,
    /// How far it is.
    pub pace: Option<Pace>,
    /// Training loss over epochs.
    pub train_loss: Series,
    /// Validation loss over epochs.
    pub validation_loss: Series,
    /// Metrics on validation over epochs, the main one first.
    pub metrics: Vec<(MetricKind, Series)>,
    /// Column and figure of the groups that are watched.
    pub watched: Option<(String, String)>,
    /// The figure of each group, with its validation rows in its name, over epochs.
    pub groups: Vec<(String, Series)>,
    /// Best epoch so far.
    pub best: Option<EpochMark>,
    /// Last epoch.
    pub last_epoch: Option<EpochMark>,
    /// Quantised tensors in the order of the network.
    pub tensors: Vec<TensorTrack>,
    /// What other recipes would do to them, at the last look.
    pub what_if: Vec<WhatIf>,
    /// What the guard rails did, oldest first.
    pub guard: Vec<Action>,
    /// How 8 bits do.
    pub diagnosis: Option<Diagnosis>,
    /// Training loss of the f32 run beside it over epochs.
    pub shadow_loss: Series,
    /// Relative gap of the smoothed training losses to it over epochs.
    pub shadow_gap: Series,
    /// Cosine of the weight gradients to those of f32, by layer.
    pub cosines: Vec<(String, f32)>,
    /// Where the memory is.
    pub memory: Option<MemoryReport>,
    /// Log, oldest first.
    pub log: VecDeque<String>,
    /// Results.
    pub summary: Option<Summary>,
    /// Why it failed.
    pub error: Option<UserError>,
    /// What was asked last and not yet answered by a state.
    pub asked: Option<Control>,
}

impl LiveRun {
    /// Starts watching.
    pub fn new(handle: RunHandle, schema: Schema, basis: Project, folder: PathBuf) -> Self {
        Self::empty(Some(handle), schema, basis, folder)
    }

    fn empty(handle: Option<RunHandle>, schema: Schema, basis: Project, folder: PathBuf) -> Self {
        Self {
            handle,
            state: RunState::Preparing,
            schema,
            basis,
            folder,
            start: None,
            encoding: None,
            pace: None,
            train_loss: Series::default(),
            validation_loss: Series::default(),
            metrics: Vec::new(),
            watched: None,
            groups: Vec::new(),
            best: None,
            last_epoch: None,
            tensors: Vec::new(),
            what_if: Vec::new(),
            guard: Vec::new(),
            diagnosis: None,
            shadow_loss: Series::default(),
            shadow_gap: Series::default(),
            cosines: Vec::new(),
            memory: None,
            log: VecDeque::new(),
            summary: None,
            error: None,
            asked: None,
        }
    }

    /// A finished run, from what it told.
    pub fn past(
        schema: Schema,
        basis: Project,
        folder: PathBuf,
        events: Vec<Event>,
        summary: Summary,
    ) -> Self {
        let mut run = Self::empty(None, schema, basis, folder);
        run.remember(events);
        run.summary = Some(summary);
        run.state = RunState::Done;
        run
    }

    /// Takes in what the run told before it was interrupted: curves and log, not its state.
    pub fn remember(&mut self, events: Vec<Event>) {
        for event in events {
            if !matches!(event, Event::State(_) | Event::Finished(_) | Event::Failed(_)) {
                self.take_in(event);
            }
        }
        self.pace = None;
    }

    /// Whether it still works or waits.
    pub fn active(&self) -> bool {
        !matches!(self.state, RunState::Done | RunState::Failed | RunState::Cancelled)
    }

    /// Share of all steps done.
    pub fn fraction(&self) -> Option<f32> {
        let (start, pace) = (self.start.as_ref()?, self.pace?);
        (start.epochs > 0).then(|| (pace.epoch / start.epochs as f64).clamp(0.0, 1.0) as f32)
    }

    /// Sends a wish to the run; false when it cannot be taken now.
    pub fn control(&mut self, control: Control) -> bool {
        let sent = self.handle.as_ref().is_some_and(|h| h.control.try_send(control).is_ok());
        if sent {
            self.asked = Some(control);
        }
        sent
    }

    /// Takes in all waiting events and says whether there were any.
    pub fn drain(&mut self) -> bool {
        let Some(handle) = self.handle.take() else { return false };
        let mut any = false;
        for _ in 0..EVENTS_A_FRAME {
            match handle.events.try_recv() {
                Ok(event) => {
                    any = true;
                    self.take_in(event);
                }
                Err(crossbeam::channel::TryRecvError::Empty) => {
                    self.handle = Some(handle);
                    return any;
                }
                Err(crossbeam::channel::TryRecvError::Disconnected) => {
                    if self.active() {
                        self.fail(UserError::new(
                            "Training ended without saying why",
                            "Start it again; what was saved is in the run's folder.",
                        ));
                    }
                    return true;
                }
            }
        }
        self.handle = Some(handle);
        any
    }

    fn fail(&mut self, error: UserError) {
        self.push_log(format!("Failed: {error}"));
        self.error = Some(error);
        self.state = RunState::Failed;
        self.asked = None;
    }

    fn push_log(&mut self, line: String) {
        if self.log.len() >= LOG_LINES {
            self.log.pop_front();
        }
        self.log.push_back(line);
    }

    /// The epoch, fractional, after so many steps.
    pub fn epoch_of(&self, step: u64) -> f64 {
        let steps = self.start.as_ref().map_or(1, |s| s.steps_per_epoch.max(1));
        step as f64 / steps as f64
    }

    fn take_in(&mut self, event: Event) {
        match event {
            // The summary comes a moment later; only with it the run can be shown as done.
            Event::State(RunState::Done) => {}
            Event::State(state) => {
                self.state = state;
                self.asked = None;
            }
            Event::Encoding { rows, of } => self.encoding = Some((rows, of)),
            Event::Started {
                engine,
                fallback,
                rows,
                steps_per_epoch,
                epochs,
                resumed_step,
                parameters,
            } => {
                self.start = Some(Start {
                    engine,
                    fallback,
                    rows,
                    steps_per_epoch,
                    epochs,
                    resumed_step,
                    parameters,
                });
            }
            Event::Progress { step, epoch, loss, learning_rate, rows_per_second, eta_seconds } => {
                self.train_loss.push(epoch, f64::from(loss));
                self.pace =
                    Some(Pace { step, epoch, loss, learning_rate, rows_per_second, eta_seconds });
            }
            Event::Tensors { step, tensors } => {
                let epoch = self.epoch_of(step);
                for report in tensors {
                    self.take_in_tensor(epoch, report);
                }
            }
            Event::Epoch { epoch, train_loss, validation, best, .. } => {
                let mark = EpochMark {
                    epoch,
                    train_loss,
                    validation_loss: validation.loss,
                    metric: validation.metrics.first().copied(),
                };
                // A quick run sends less than one progress event an epoch; then the mean serves.
                if self.train_loss.last().is_none_or(|(x, _)| x <= epoch.saturating_sub(1) as f64) {
                    self.train_loss.push(epoch as f64, f64::from(train_loss));
                }
                if validation.rows > 0 {
                    self.validation_loss.push(epoch as f64, f64::from(validation.loss));
                }
                for (kind, value) in validation.metrics {
                    match self.metrics.iter_mut().find(|(k, _)| *k == kind) {
                        Some((_, series)) => series.push(epoch as f64, value),
                        None => {
                            let mut series = Series::default();
                            series.push(epoch as f64, value);
                            self.metrics.push((kind, series));
                        }
                    }
                }
                self.last_epoch = Some(mark);
                if best {
                    self.best = Some(mark);
                }
            }
            Event::WhatIf { tensors, .. } => self.what_if = tensors,
            Event::Guard { action, .. } => self.take_in_action(action),
            Event::Diagnosis { diagnosis, .. } => self.diagnosis = Some(diagnosis),
            Event::Shadow { step, loss, gap, cosines } => {
                let epoch = self.epoch_of(step);
                self.shadow_loss.push(epoch, f64::from(loss));
                self.shadow_gap.push(epoch, gap);
                self.cosines = cosines;
            }
            Event::Memory { memory, .. } => self.memory = Some(memory),
            Event::Groups { step, column, figure, groups } => {
                let epoch = self.epoch_of(step);
                self.watched = Some((column, figure));
                for (name, rows, value) in groups {
                    let name = format!("{name} ({rows} rows)");
                    let known = self.groups.iter().position(|(n, _)| *n == name);
                    let at = known.unwrap_or(self.groups.len());
                    if known.is_none() {
                        self.groups.push((name, Series::default()));
                    }
                    if let Some((_, series)) = self.groups.get_mut(at) {
                        series.push(epoch, value);
                    }
                }
            }
            Event::Log(line) => self.push_log(line),
            Event::Finished(summary) => {
                if summary.insight.diagnosis.is_some() {
                    self.diagnosis.clone_from(&summary.insight.diagnosis);
                }
                self.summary = Some(*summary);
                self.state = RunState::Done;
                self.asked = None;
            }
            Event::Failed(error) => self.fail(error),
        }
    }

    fn take_in_action(&mut self, action: Action) {
        self.push_log(action.describe());
        if matches!(self.asked, Some(Control::UndoGuard(_))) {
            self.asked = None;
        }
        match self.guard.iter_mut().find(|a| a.id == action.id) {
            Some(known) => *known = action,
            None => self.guard.push(action),
        }
    }

    fn take_in_tensor(&mut self, epoch: f64, report: crate::train::event::TensorReport) {
        let stats = report.stats;
        let index = match self.tensors.iter().position(|t| t.name == report.name) {
            Some(index) => index,
            None => {
                self.tensors.push(TensorTrack {
                    name: report.name,
                    role: report.role,
                    format: report.format,
                    latest: stats.clone(),
                    scale: Series::default(),
                    amax: Series::default(),
                    saturated: Series::default(),
                    flushed: Series::default(),
                    norm: Series::default(),
                });
                self.tensors.len() - 1
            }
        };
        let Some(track) = self.tensors.get_mut(index) else { return };
        // The guard rails may have changed it.
        track.format = report.format;
        let count = f64::from(stats.count.max(1));
        track.scale.push(epoch, f64::from(stats.scale_exponent));
        if stats.amax > 0.0 {
            track.amax.push(epoch, f64::from(stats.amax).log2());
        }
        track.saturated.push(epoch, f64::from(stats.saturated) / count);
        track.flushed.push(epoch, f64::from(stats.flushed) / count);
        if stats.signal > 0.0 {
            track.norm.push(epoch, f64::from(stats.signal).sqrt());
        }
        track.latest = stats;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Scores;
    use crossbeam::channel::bounded;

    fn project() -> Project {
        serde_json::from_str(r#"{"version":1,"name":"t","data":"t.csv"}"#).unwrap()
    }

    fn schema() -> Schema {
        Schema { columns: Vec::new(), target: "y".into(), task: crate::data::Task::Regression }
    }

    fn run() -> (LiveRun, crossbeam::channel::Sender<Event>) {
        let (tx, events) = bounded(64);
        let (control, _) = bounded(4);
        let handle = RunHandle { run_id: 1, control, events };
        (LiveRun::new(handle, schema(), project(), PathBuf::new()), tx)
    }

    #[test]
    fn a_vanished_worker_is_a_failure() {
        let (mut run, tx) = run();
        tx.send(Event::State(RunState::Running)).unwrap();
        assert!(run.drain());
        assert_eq!(run.state, RunState::Running);
        drop(tx);
        run.drain();
        assert_eq!(run.state, RunState::Failed);
        assert!(run.error.is_some());
        assert!(!run.drain());
    }

    #[test]
    fn a_run_is_done_only_with_its_summary() {
        let (mut run, tx) = run();
        tx.send(Event::State(RunState::Running)).unwrap();
        tx.send(Event::State(RunState::Done)).unwrap();
        assert!(run.drain());
        assert!(run.active(), "{:?}", run.state);
    }

    #[test]
    fn epochs_keep_the_best() {
        let (mut run, tx) = run();
        for (epoch, loss, best) in [(1, 0.9, true), (2, 0.4, true), (3, 0.6, false)] {
            tx.send(Event::Epoch {
                epoch,
                step: 10,
                train_loss: loss,
                validation: Scores {
                    loss,
                    metrics: vec![(MetricKind::Accuracy, 1.0 - f64::from(loss))],
                    rows: 5,
                },
                best,
            })
            .unwrap();
        }
        run.drain();
        assert_eq!(run.best.map(|b| b.epoch), Some(2));
        assert_eq!(run.last_epoch.map(|b| b.epoch), Some(3));
        assert_eq!(run.metrics.len(), 1);
        assert_eq!(run.metrics[0].1.len(), 3);
    }
}

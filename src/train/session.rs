//! One training run, from the prepared data to the tested model.

use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, TryRecvError};

use super::checkpoint::{self, Best, Position};
use super::diagnosis::{Evidence, diagnose};
use super::event::TensorReport;
use super::order::epoch_order;
use super::pace::Pace;
use super::prepare::Prepared;
use super::reporter::Reporter;
use super::run_folder::{RunFolder, RunLock};
use super::schedule::LearningRate;
use super::{Control, Event, RunState, StopReason, Summary, TrainConfig};
use crate::engine::{Batch, StepParams};
use crate::error::TrainError;
use crate::eval;
use crate::metrics::Scores;
use crate::model::init::Param;

/// Shortest time between two progress events.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// Shortest time between two readings of tensor statistics within an epoch.
const TENSORS_EVERY: Duration = Duration::from_millis(500);
/// Shortest time between two statistics in the event log.
const TENSORS_LOGGED_EVERY: Duration = Duration::from_secs(1);
/// Longest time without a checkpoint.
const SAVE_AT_LEAST_EVERY: Duration = Duration::from_secs(10);
/// Shortest time between the checkpoints of epochs; shorter epochs share one.
const SAVE_AT_MOST_EVERY: Duration = Duration::from_millis(500);

/// How a run ended without an error.
#[derive(Debug)]
pub enum Ending {
    /// With a model.
    Finished(Box<Summary>),
    /// Cancelled; the folder is gone.
    Cancelled,
    /// Nobody holds the handle any more; the run can be resumed.
    Left,
}

/// What the watcher wants at this point.
enum Wish {
    GoOn,
    Stop,
    Cancel,
    Leave,
}

/// Why the training loop ended.
enum LoopEnd {
    Reason(StopReason),
    Cancel,
    Leave,
}

/// Progress since the last event about it.
struct Recent {
    loss_sum: f64,
    rows: u64,
    since: Instant,
    paused: Duration,
}

/// The state of a run under way.
pub struct Session<'a> {
    config: TrainConfig,
    data: Prepared,
    folder: RunFolder,
    lock: RunLock,
    control: &'a Receiver<Control>,
    reporter: &'a mut Reporter,
    rate: LearningRate,
    steps_per_epoch: usize,
    at: Position,
    best_params: Option<Vec<Param>>,
    best_saved: bool,
    last_save: Instant,
    tensors: Vec<TensorReport>,
    tensors_read: Instant,
    tensors_logged: Option<Instant>,
    recent: Recent,
    clock: Instant,
    seconds_before: f64,
    step_before: u64,
    paused: Duration,
}

impl<'a> Session<'a> {
    /// Starts or resumes: `at` is where the engine in `data` stands.
    pub fn new(
        data: Prepared,
        folder: RunFolder,
        lock: RunLock,
        at: Position,
        best_params: Option<Vec<Param>>,
        control: &'a Receiver<Control>,
        reporter: &'a mut Reporter,
    ) -> Self {
        let config = folder.record.config.clone();
        let batch = data.engine.plan().config.batch.max(1);
        let steps_per_epoch = data.train.rows.div_ceil(batch);
        let total = (steps_per_epoch * config.epochs) as u64;
        let now = Instant::now();
        Self {
            rate: LearningRate::new(&config, total),
            steps_per_epoch,
            best_saved: best_params.is_some(),
            best_params,
            last_save: now,
            tensors: Vec::new(),
            tensors_read: now,
            tensors_logged: None,
            recent: Recent { loss_sum: 0.0, rows: 0, since: now, paused: Duration::ZERO },
            clock: now,
            seconds_before: at.seconds,
            step_before: at.step,
            paused: Duration::ZERO,
            config,
            data,
            folder,
            lock,
            control,
            reporter,
            at,
        }
    }

    /// Trains to the end, tests the best model and writes the results.
    pub fn run(mut self) -> Result<Ending, TrainError> {
        let result = self.train_and_test();
        match result {
            Ok(LoopEnd::Cancel) => {
                self.reporter.send(Event::State(RunState::Cancelled));
                self.reporter.close_log();
                self.folder.discard(self.lock)?;
                Ok(Ending::Cancelled)
            }
            Ok(LoopEnd::Leave) => Ok(Ending::Left),
            Ok(LoopEnd::Reason(_)) => match self.folder.record.summary.take() {
                Some(summary) => Ok(Ending::Finished(Box::new(summary))),
                None => Ok(Ending::Left),
            },
            Err(error) => {
                if let Err(second) = self.folder.set_state(RunState::Failed) {
                    tracing::warn!("{second}");
                }
                Err(error)
            }
        }
    }

    fn train_and_test(&mut self) -> Result<LoopEnd, TrainError> {
        self.announce()?;
        if self.at.step == 0 {
            self.save()?;
        }
        let end = self.train()?;
        match end {
            LoopEnd::Reason(reason) => self.finish(reason)?,
            LoopEnd::Leave => {
                self.save()?;
                self.enter(RunState::Paused)?;
            }
            LoopEnd::Cancel => {}
        }
        Ok(end)
    }

    fn announce(&mut self) -> Result<(), TrainError> {
        let started = Event::Started {
            engine: self.data.engine.info(),
            fallback: self.data.fallback.clone(),
            rows: [self.data.train.rows, self.data.validation.rows, self.data.test.rows],
            steps_per_epoch: self.steps_per_epoch,
            epochs: self.config.epochs,
            resumed_step: self.at.step,
            parameters: self.parameters(),
        };
        self.reporter.send(started);
        if self.at.step > 0 {
            let text = format!("Resumed at step {} of epoch {}.", self.at.step, self.at.epoch + 1);
            self.reporter.send(Event::Log(text));
        }
        if self.data.validation.rows == 0 {
            let text = "There are no validation rows: the last epoch is kept and training does not \
                        stop early.";
            self.reporter.send(Event::Log(text.to_owned()));
        }
        self.enter(RunState::Running)
    }

    fn parameters(&self) -> usize {
        let shapes = self.data.engine.plan().params.iter();
        shapes.map(|p| p.shape.iter().product::<usize>()).sum()
    }

    fn enter(&mut self, state: RunState) -> Result<(), TrainError> {
        self.folder.set_state(state)?;
        self.reporter.send(Event::State(state));
        Ok(())
    }

    fn early_stopped(&self) -> bool {
        self.config.patience > 0
            && self.data.validation.rows > 0
            && self.at.epochs_without_better >= self.config.patience
    }

    fn train(&mut self) -> Result<LoopEnd, TrainError> {
        let mut pace = Pace::default();
        let mut batches: Vec<Batch> = Vec::new();
        while self.at.epoch < self.config.epochs {
            if self.early_stopped() {
                return Ok(LoopEnd::Reason(StopReason::EarlyStopped));
            }
            let order = epoch_order(self.data.train.rows, self.config.seed, self.at.epoch);
            while self.at.batch < self.steps_per_epoch {
                match self.wish()? {
                    Wish::GoOn => {}
                    Wish::Stop => return Ok(LoopEnd::Reason(StopReason::Stopped)),
                    Wish::Cancel => return Ok(LoopEnd::Cancel),
                    Wish::Leave => return Ok(LoopEnd::Leave),
                }
                let steps = pace.steps(self.steps_per_epoch - self.at.batch);
                let begin = Instant::now();
                self.steps(&order, steps, &mut batches)?;
                let took = begin.elapsed();
                pace.took(steps, took);
                self.at.step_seconds += took.as_secs_f64();
                self.report()?;
                if self.last_save.elapsed() >= SAVE_AT_LEAST_EVERY {
                    self.save()?;
                }
            }
            self.end_epoch()?;
        }
        Ok(LoopEnd::Reason(StopReason::Completed))
    }

    /// Trains `count` batches from the current position.
    fn steps(
        &mut self,
        order: &[u32],
        count: usize,
        batches: &mut Vec<Batch>,
    ) -> Result<(), TrainError> {
        let size = self.data.engine.plan().config.batch.max(1);
        batches.resize_with(count, Batch::default);
        let chunks = order.chunks(size).skip(self.at.batch);
        for (batch, rows) in batches.iter_mut().zip(chunks) {
            eval::fill_batch(batch, &self.data.train, rows.iter().map(|&r| r as usize));
        }
        let seed = (self.config.seed ^ (self.config.seed >> 32)) as u32;
        let params: Vec<StepParams> = (0..count as u64)
            .map(|i| {
                let step = self.at.step + 1 + i;
                StepParams { step, learning_rate: self.rate.at(step), seed }
            })
            .collect();
        let losses = self.data.engine.train(batches, &params)?;
        for ((&loss, batch), step) in losses.iter().zip(batches.iter()).zip(&params) {
            if !loss.is_finite() {
                return Err(self.diverged(loss, step.step));
            }
            let sum = f64::from(loss) * batch.rows as f64;
            self.at.loss_sum += sum;
            self.at.loss_rows += batch.rows as u64;
            self.at.rows_trained += batch.rows as u64;
            self.recent.loss_sum += sum;
            self.recent.rows += batch.rows as u64;
        }
        self.at.step += count as u64;
        self.at.batch += count;
        Ok(())
    }

    fn diverged(&mut self, loss: f32, step: u64) -> TrainError {
        let now = self.read_tensors().unwrap_or_default();
        let diagnosis = diagnose(&Evidence {
            config: &self.config,
            loss,
            step,
            before: &self.tensors,
            now: &now,
        });
        TrainError::Diverged { step, diagnosis }
    }

    fn read_tensors(&mut self) -> Result<Vec<TensorReport>, TrainError> {
        if self.data.engine.plan().watched.is_empty() {
            return Ok(Vec::new());
        }
        let stats = self.data.engine.stats()?;
        let watched = &self.data.engine.plan().watched;
        Ok(watched
            .iter()
            .zip(stats)
            .map(|(w, stats)| TensorReport {
                name: w.name.clone(),
                role: w.role,
                format: w.format,
                stats,
            })
            .collect())
    }

    /// Reads the statistics of the last step and sends them.
    fn report_tensors(&mut self) -> Result<(), TrainError> {
        self.tensors = self.read_tensors()?;
        self.tensors_read = Instant::now();
        if self.tensors.is_empty() {
            return Ok(());
        }
        let event = Event::Tensors { step: self.at.step, tensors: self.tensors.clone() };
        if self.tensors_logged.is_none_or(|t| t.elapsed() >= TENSORS_LOGGED_EVERY) {
            self.reporter.log(&event);
            self.tensors_logged = Some(Instant::now());
        }
        self.reporter.offer(event);
        Ok(())
    }

    /// Sends what is due about the steps just done.
    fn report(&mut self) -> Result<(), TrainError> {
        if self.tensors_read.elapsed() >= TENSORS_EVERY {
            self.report_tensors()?;
        }
        let elapsed = self.recent.since.elapsed().saturating_sub(self.recent.paused);
        if elapsed < PROGRESS_EVERY || self.recent.rows == 0 {
            return Ok(());
        }
        let total = (self.steps_per_epoch * self.config.epochs) as u64;
        let done = (self.at.step - self.step_before).max(1) as f64;
        let per_step = self.clock.elapsed().saturating_sub(self.paused).as_secs_f64() / done;
        let event = Event::Progress {
            step: self.at.step,
            epoch: self.at.step as f64 / self.steps_per_epoch.max(1) as f64,
            loss: (self.recent.loss_sum / self.recent.rows as f64) as f32,
            learning_rate: self.rate.at(self.at.step),
            rows_per_second: self.recent.rows as f64 / elapsed.as_secs_f64(),
            eta_seconds: total.saturating_sub(self.at.step) as f64 * per_step,
        };
        // A watcher that is behind gets these steps with the next event.
        if self.reporter.offer(event.clone()) {
            self.reporter.log(&event);
            self.recent =
                Recent { loss_sum: 0.0, rows: 0, since: Instant::now(), paused: Duration::ZERO };
        }
        Ok(())
    }

    /// Validates, keeps the parameters if they are the best so far, and moves to the next epoch.
    fn end_epoch(&mut self) -> Result<(), TrainError> {
        let train_loss = (self.at.loss_sum / self.at.loss_rows.max(1) as f64) as f32;
        self.report_tensors()?;
        let validation = self.validate(train_loss)?;
        let without_validation = self.data.validation.rows == 0;
        let loss = f64::from(validation.loss);
        if !loss.is_finite() {
            return Err(self.diverged(validation.loss, self.at.step));
        }
        let better =
            without_validation || self.at.best.as_ref().is_none_or(|best| loss < best.loss);
        if better {
            self.keep_as_best(validation.clone())?;
            self.at.epochs_without_better = 0;
        } else {
            self.at.epochs_without_better += 1;
        }
        self.at.epoch += 1;
        self.at.batch = 0;
        self.at.loss_sum = 0.0;
        self.at.loss_rows = 0;
        self.reporter.send(Event::Epoch {
            epoch: self.at.epoch,
            step: self.at.step,
            train_loss,
            validation,
            best: better,
        });
        if self.last_save.elapsed() >= SAVE_AT_MOST_EVERY {
            self.save()?;
        }
        Ok(())
    }

    fn validate(&mut self, train_loss: f32) -> Result<Scores, TrainError> {
        if self.data.validation.rows == 0 {
            return Ok(Scores { loss: train_loss, metrics: Vec::new(), rows: 0 });
        }
        let engine = self.data.engine.as_mut();
        engine.prepare_eval()?;
        Ok(eval::evaluate(engine, &self.data.validation, self.data.meaning)?.1)
    }

    fn keep_as_best(&mut self, validation: Scores) -> Result<(), TrainError> {
        self.best_params = Some(self.data.engine.read_params()?);
        self.best_saved = false;
        self.at.best = Some(Best {
            epoch: self.at.epoch + 1,
            step: self.at.step,
            loss: f64::from(validation.loss),
            validation,
        });
        Ok(())
    }

    fn seconds(&self) -> f64 {
        self.seconds_before + self.clock.elapsed().saturating_sub(self.paused).as_secs_f64()
    }

    /// Writes the checkpoints. The best one first: a crash in between leaves a last checkpoint from
    /// which the same best one is reached again.
    fn save(&mut self) -> Result<(), TrainError> {
        self.at.seconds = self.seconds();
        if !self.best_saved
            && let (Some(params), Some(best)) = (&self.best_params, &self.at.best)
        {
            checkpoint::save_best(&self.folder.best_checkpoint(), params, best)?;
            self.best_saved = true;
        }
        // The log must not lack what the checkpoint has behind it.
        self.reporter.flush_log();
        let tensors = checkpoint::capture(self.data.engine.as_mut())?;
        checkpoint::save_last(&self.folder.last_checkpoint(), &tensors, &self.at)?;
        self.last_save = Instant::now();
        Ok(())
    }

    /// What the watcher wants; holds here while paused.
    fn wish(&mut self) -> Result<Wish, TrainError> {
        loop {
            match self.control.try_recv() {
                Err(TryRecvError::Empty) | Ok(Control::Resume) => return Ok(Wish::GoOn),
                Err(TryRecvError::Disconnected) => return Ok(Wish::Leave),
                Ok(Control::StopAndKeepBest) => return Ok(Wish::Stop),
                Ok(Control::Cancel) => return Ok(Wish::Cancel),
                Ok(Control::Pause) => {}
            }
            let begin = Instant::now();
            self.save()?;
            self.enter(RunState::Paused)?;
            let wish = loop {
                match self.control.recv() {
                    Ok(Control::Pause) => {}
                    Ok(Control::Resume) => break Wish::GoOn,
                    Ok(Control::StopAndKeepBest) => break Wish::Stop,
                    Ok(Control::Cancel) => break Wish::Cancel,
                    Err(_) => break Wish::Leave,
                }
            };
            self.paused += begin.elapsed();
            self.recent.paused += begin.elapsed();
            if !matches!(wish, Wish::GoOn) {
                return Ok(wish);
            }
            self.enter(RunState::Running)?;
        }
    }

    /// Tests the best parameters and writes the results.
    fn finish(&mut self, reason: StopReason) -> Result<(), TrainError> {
        if self.at.best.is_none() {
            // Stopped within the first epoch: what there is becomes the model.
            let so_far = (self.at.loss_sum / self.at.loss_rows.max(1) as f64) as f32;
            let validation = self.validate(so_far)?;
            self.keep_as_best(validation)?;
        }
        self.save()?;
        self.enter(RunState::Finishing)?;
        let (Some(best), Some(params)) = (self.at.best.clone(), self.best_params.as_ref()) else {
            return Err(TrainError::Checkpoint {
                what: "the best parameters are missing".to_owned(),
                path: self.folder.best_checkpoint(),
            });
        };
        let engine = self.data.engine.as_mut();
        engine.load_params(params)?;
        engine.prepare_eval()?;
        let (_, test) = eval::evaluate(engine, &self.data.test, self.data.meaning)?;
        let baseline =
            eval::baseline(&self.data.train.target, &self.data.test.target, self.data.meaning);
        let summary = Summary {
            reason,
            epochs: self.at.epoch,
            best_epoch: best.epoch,
            validation: best.validation,
            test,
            baseline,
            seconds: self.at.seconds,
            rows_per_second: self.at.rows_trained as f64 / self.at.step_seconds.max(1e-9),
            parameters: self.parameters(),
            engine: self.data.engine.info(),
            folder: self.folder.path.clone(),
        };
        self.folder.record.summary = Some(summary);
        self.enter(RunState::Done)
    }
}

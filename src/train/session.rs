//! One training run, from the prepared data to the tested model.

mod control;
mod groups;
mod reports;
mod saving;
mod shadow;
mod watching;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::Receiver;

use self::control::{LoopEnd, Wish};
use self::reports::{Recent, Watch};
use self::shadow::Beside;
use self::watching::{Told, Tried};
use super::checkpoint::Position;
use super::loader::{self, Loader};
use super::pace::Pace;
use super::prepare::Prepared;
use super::reporter::Reporter;
use super::run_folder::{RunFolder, RunLock};
use super::schedule::LearningRate;
use super::{Control, Event, RunState, StopReason, Summary, TrainConfig};
use crate::data::rng::Rng;
use crate::engine::{self, Batch, Engine, StepParams};
use crate::error::{EngineError, TrainError};
use crate::eval;
use crate::eval::attack::{Attacker, Method};
use crate::fp8::Precision;
use crate::metrics::Scores;
use crate::model::init::Param;
use crate::plan::{self, PlanConfig};

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

/// Batches and step numbers on their way to the engine; kept, so that steps allocate nothing.
#[derive(Default)]
struct Staged {
    batches: Vec<Batch>,
    params: Vec<StepParams>,
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
    total: u64,
    at: Position,
    best_params: Option<Vec<Param>>,
    best_saved: bool,
    last_save: Instant,
    /// How long the last save took.
    save_took: Duration,
    watch: Watch,
    recent: Recent,
    /// The same in f32.
    shadow: Option<Box<dyn Engine>>,
    beside: Beside,
    told: Told,
    clock: Instant,
    seconds_before: f64,
    step_before: u64,
    paused: Duration,
}

impl<'a> Session<'a> {
    /// Starts or resumes: `at` is where the engine in `data` stands.
    pub fn new(
        mut data: Prepared,
        folder: RunFolder,
        lock: RunLock,
        at: Position,
        best_params: Option<Vec<Param>>,
        control: &'a Receiver<Control>,
        reporter: &'a mut Reporter,
    ) -> Self {
        let config = folder.record.config.clone();
        let steps_per_epoch = data.train.rows.div_ceil(data.lot.max(1));
        let total = (steps_per_epoch * config.epochs) as u64;
        let now = Instant::now();
        Self {
            rate: LearningRate::new(&config, total),
            steps_per_epoch,
            total,
            best_saved: best_params.is_some(),
            best_params,
            last_save: now,
            save_took: Duration::ZERO,
            watch: Watch::new(now),
            recent: Recent::new(now),
            shadow: data.shadow.take(),
            beside: Beside::default(),
            told: Told::default(),
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

    /// Trains to the end, tests the best model and writes the results; holds first if `paused`.
    pub fn run(mut self, paused: bool) -> Result<Ending, TrainError> {
        let result = self.train_and_test(paused);
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

    fn train_and_test(&mut self, paused: bool) -> Result<LoopEnd, TrainError> {
        self.announce()?;
        if self.at.step == 0 {
            self.save()?;
        }
        let wish = if paused { self.hold()? } else { Wish::GoOn };
        let end = match wish.end() {
            Some(end) => end,
            None => self.train()?,
        };
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
        self.data.engine.plan().model.parameter_count()
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
        let mut staged = Staged::default();
        let mut source = loader::Source {
            data: Arc::clone(&self.data.train),
            weights: self.data.weights.clone(),
            targets: None,
            images: self.data.images.clone(),
            augmentation: self.config.augmentation,
            seed: self.config.seed,
            batch: self.data.lot,
            epochs: self.config.epochs,
            rate: self.data.mechanism.as_ref().map(|(m, _)| m.rate()),
        };
        self.penalise(&mut source);
        let mut loader = Loader::start(source.clone(), (self.at.epoch, self.at.batch))?;
        while self.at.epoch < self.config.epochs {
            if self.early_stopped() {
                return Ok(LoopEnd::Reason(StopReason::EarlyStopped));
            }
            while self.at.batch < self.steps_per_epoch {
                if let Some(end) = self.wish()?.end() {
                    return Ok(end);
                }
                self.enter_precision(self.at.step)?;
                let left = (self.steps_per_epoch - self.at.batch) as u64;
                let most = left.min(self.steps_of_this_precision()).min(self.steps_to_look());
                let looking = self.looks_after(self.at.step);
                let steps = pace.steps(most as usize);
                let begin = Instant::now();
                self.steps(&loader, steps, &mut staged)?;
                let took = begin.elapsed();
                if !looking {
                    pace.took(steps, took);
                }
                self.at.step_seconds += took.as_secs_f64();
                self.watch_over()?;
                self.tell_memory();
                self.report()?;
                self.save_within_epoch()?;
            }
            self.end_epoch()?;
            // What rows count changed, and batches made ahead do not know.
            if self.penalise(&mut source) {
                loader = Loader::start(source.clone(), (self.at.epoch, 0))?;
            }
        }
        Ok(LoopEnd::Reason(StopReason::Completed))
    }

    /// Steps until the precision changes.
    fn steps_of_this_precision(&self) -> u64 {
        match self.config.first_steps(self.total).checked_sub(self.at.step) {
            None | Some(0) => u64::MAX,
            Some(left) => left,
        }
    }

    /// Goes on in the precision of the step after `done`, with the same weights and moments.
    fn enter_precision(&mut self, done: u64) -> Result<(), TrainError> {
        let precision = self.config.precision_after(done, self.total);
        let before = self.data.engine.plan().config.precision;
        self.follow_plan(precision)?;
        if before != precision {
            let text = format!("From step {} on: {}.", done + 1, precision.describe());
            self.reporter.send(Event::Log(text));
        }
        Ok(())
    }

    /// Goes on with a plan of this precision and of what the guard rails want, with the same
    /// weights and moments.
    fn follow_plan(&mut self, precision: Precision) -> Result<(), TrainError> {
        let adjustments = precision.recipe().map(|_| self.adjustments()).unwrap_or_default();
        let engine = self.data.engine.as_mut();
        let now = engine.plan();
        if now.config.precision == precision && now.adjustments == adjustments {
            return Ok(());
        }
        let config = PlanConfig { precision, ..now.config.clone() };
        let plan = plan::compile_adjusted(&now.model, &config, &adjustments)?;
        let device = engine.info().same_device(self.config.device);
        let (mut next, _) = engine::open(device, plan)?;
        engine::transfer(engine, next.as_mut())?;
        self.data.engine = next;
        self.told.memory_is_known = false;
        Ok(())
    }

    /// Trains `count` batches from the current position.
    fn steps(
        &mut self,
        loader: &Loader,
        count: usize,
        staged: &mut Staged,
    ) -> Result<(), TrainError> {
        staged.batches.resize_with(count.max(staged.batches.len()), Batch::default);
        let batches = staged.batches.get_mut(..count).unwrap_or_default();
        for batch in batches.iter_mut() {
            loader.next(batch)?;
        }
        let seed = (self.config.seed ^ (self.config.seed >> 32)) as u32;
        let params = &mut staged.params;
        params.clear();
        params.extend((1..=count as u64).map(|i| {
            let step = self.at.step + i;
            StepParams { step, learning_rate: self.rate.at(step), seed }
        }));
        if let Some((mechanism, chance)) = &mut self.data.mechanism {
            let mut before = self.at.rows_trained;
            let mut losses = Vec::with_capacity(count);
            for (lot, step) in batches.iter().zip(params.iter()) {
                let engine = self.data.engine.as_mut();
                losses.push(mechanism.step(engine, lot, step, before, chance)?);
                before += lot.rows as u64;
            }
            return self.account(&losses, batches, params);
        }
        if let (Some(attacker), Some(size)) = (&mut self.data.attacker, self.config.adversarial) {
            // Misleading rows are made with the weights before each step, so one at a time.
            let mut losses = Vec::with_capacity(count);
            for (i, step) in params.iter().enumerate() {
                let Some(batch) = batches.get_mut(i) else { break };
                mislead(self.data.engine.as_mut(), attacker, size, batch, step)?;
                losses.extend(self.data.engine.train(std::slice::from_ref(batch), &[*step])?);
            }
            return self.account(&losses, batches, params);
        }
        let losses = match (batches.first(), params.first()) {
            (Some(batch), Some(step)) if self.looks_after(self.at.step) => {
                vec![self.looking_step(batch, step)?]
            }
            _ => self.data.engine.train(batches, params)?,
        };
        self.account(&losses, batches, params)
    }

    /// One step during which every tensor is tried in other recipes.
    fn looking_step(&mut self, batch: &Batch, step: &StepParams) -> Result<f32, TrainError> {
        let of_f32 = self.shadow_gradients(batch, step)?;
        let plan = self.data.engine.plan().clone();
        let mut tried: Vec<Tried> = Vec::new();
        let (guard, wanted) = (&self.at.known.guard, self.config.what_if_every > 0);
        let loss = self.data.engine.train_looking(batch, step, &mut |live| {
            if wanted {
                tried.extend(watching::try_others(&plan, guard, batch.rows, live));
            }
        })?;
        if let Some(of_f32) = of_f32 {
            self.compare_gradients(&of_f32)?;
        }
        if loss.is_finite() {
            self.tell_what_if(tried)?;
        }
        Ok(loss)
    }

    /// Takes in the losses of steps.
    fn account(
        &mut self,
        losses: &[f32],
        batches: &[Batch],
        params: &[StepParams],
    ) -> Result<(), TrainError> {
        self.shadow_steps(batches, params, losses)?;
        for ((&loss, batch), step) in losses.iter().zip(batches.iter()).zip(params.iter()) {
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
        self.at.step += params.len() as u64;
        self.at.batch += params.len();
        Ok(())
    }

    /// Validates, keeps the parameters if they are the best so far, and moves to the next epoch.
    fn end_epoch(&mut self) -> Result<(), TrainError> {
        let train_loss = (self.at.loss_sum / self.at.loss_rows.max(1) as f64) as f32;
        // However short the epoch, the loss curve gets a point.
        self.report_progress();
        self.report_tensors()?;
        let (outputs, validation) = self.validate(train_loss)?;
        let without_validation = self.data.validation.rows == 0;
        let mut loss = f64::from(validation.loss);
        if let Some(penalty) = &self.data.penalty {
            loss += penalty.strength * penalty.gap(&outputs);
        }
        self.learn_multipliers()?;
        self.report_groups(&outputs);
        if !loss.is_finite() {
            return Err(self.diverged(validation.loss, self.at.step));
        }
        self.end_shadow_epoch(train_loss, validation.loss)?;
        let better =
            without_validation || self.at.best.as_ref().is_none_or(|best| loss < best.loss);
        if better {
            self.keep_as_best(validation.clone(), loss)?;
            self.at.epochs_without_better = 0;
        } else {
            self.at.epochs_without_better += 1;
        }
        self.at.epoch += 1;
        self.at.batch = 0;
        self.at.loss_sum = 0.0;
        self.at.loss_rows = 0;
        // Validation may have taken more scratch.
        self.told.memory_is_known = false;
        self.reporter.send(Event::Epoch {
            epoch: self.at.epoch,
            step: self.at.step,
            train_loss,
            validation,
            best: better,
        });
        self.save_after_epoch()
    }

    fn validate(&mut self, train_loss: f32) -> Result<(Vec<f32>, Scores), TrainError> {
        if self.data.validation.rows == 0 {
            let none = Scores { loss: train_loss, metrics: Vec::new(), rows: 0 };
            return Ok((Vec::new(), none));
        }
        let Prepared { engine, judge, validation, meaning, .. } = &mut self.data;
        let engine = judging(engine, judge)?;
        Ok(eval::evaluate(engine, validation, *meaning)?)
    }

    /// Tests the best parameters and writes the results.
    fn finish(&mut self, reason: StopReason) -> Result<(), TrainError> {
        if self.at.best.is_none() {
            // Stopped within the first epoch: what there is becomes the model.
            let so_far = (self.at.loss_sum / self.at.loss_rows.max(1) as f64) as f32;
            let (_, validation) = self.validate(so_far)?;
            let loss = f64::from(validation.loss);
            self.keep_as_best(validation, loss)?;
        }
        self.save()?;
        self.enter(RunState::Finishing)?;
        let (Some(best), Some(params)) = (self.at.best.clone(), self.best_params.as_ref()) else {
            return Err(TrainError::Checkpoint {
                what: "the best parameters are missing".to_owned(),
                path: self.folder.best_checkpoint(),
            });
        };
        let params = params.clone();
        self.enter_precision(best.step.saturating_sub(1))?;
        self.data.engine.load_params(&params)?;
        let Prepared { engine, judge, test, meaning, .. } = &mut self.data;
        let (_, test) = eval::evaluate(judging(engine, judge)?, test, *meaning)?;
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
            precision: Some(self.data.engine.plan().config.precision),
            privacy: self.data.mechanism.as_ref().map(|(m, _)| m.spent(self.at.step)),
            engine: self.data.engine.info(),
            folder: self.folder.path.clone(),
            insight: self.insight(),
        };
        self.folder.record.summary = Some(summary);
        self.enter(RunState::Done)
    }
}

/// The engine that evaluates, with the weights as they are now.
fn judging<'a>(
    engine: &'a mut Box<dyn Engine>,
    judge: &'a mut Option<Box<dyn Engine>>,
) -> Result<&'a mut dyn Engine, EngineError> {
    let judging = match judge {
        Some(judge) => {
            judge.load_params(&engine.read_params()?)?;
            judge
        }
        None => engine,
    };
    judging.prepare_eval()?;
    Ok(judging.as_mut())
}

/// Makes a batch misleading: one step of 1.25 ε from a random start within ε.
fn mislead(
    engine: &mut dyn Engine,
    attacker: &mut Attacker,
    size: f32,
    batch: &mut Batch,
    step: &StepParams,
) -> Result<(), EngineError> {
    attacker.load(&engine.read_params()?)?;
    // The same step of the same run meets the same rows, also after a pause.
    let mut rng = Rng::new((u64::from(step.seed) << 32) ^ step.step);
    attacker.change(batch, Method::RandomFgsm, size, &mut rng)
}

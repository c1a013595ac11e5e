//! Native executor: runs the CPU twin of every op, on all cores.

use std::time::{Duration, Instant};

use super::{Batch, Engine, EngineInfo, LiveTensor, StepParams, host};
use crate::error::EngineError;
use crate::fp8::slice::simd_name;
use crate::kernels::{Op, ScratchNeed, Slots};
use crate::plan::memory::{self, Ledger};
use crate::plan::{BufferId, Plan, Purpose};

/// Runs a plan with native kernels.
pub struct CpuEngine {
    plan: Plan,
    slots: Slots,
    equal_weights: Vec<u32>,
}

/// The CPU engine of this computer.
pub fn info() -> EngineInfo {
    EngineInfo::Cpu { threads: rayon::current_num_threads(), simd: simd_name().to_owned() }
}

impl CpuEngine {
    /// Takes the plan's memory, zeroed.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`] if the plan is larger than an address space can hold.
    pub fn open(plan: Plan) -> Result<Self, EngineError> {
        let mut available = isize::MAX as u64;
        for words in &plan.slots {
            let needed = 4 * *words as u64;
            let mut probe = Vec::<u32>::new();
            if needed > available || probe.try_reserve_exact(*words).is_err() {
                let what = "the training plan".to_owned();
                return Err(EngineError::OutOfMemory { what, needed: plan.bytes(), available });
            }
            available -= needed;
        }
        let slots = Slots::placed(&plan.slots, plan.places());
        let equal_weights = host::equal_weights(&plan);
        Ok(Self { plan, slots, equal_weights })
    }

    /// As [`Engine::train`] on one batch, as most steps run: without the statistics that only some
    /// gather. Tells how long each op took.
    ///
    /// # Errors
    /// As [`Engine::train`].
    pub fn train_timed(
        &mut self,
        batch: &Batch,
        step: &StepParams,
        mut took: impl FnMut(&Op, Duration) + Send,
    ) -> Result<(), EngineError> {
        host::check_batches(&self.plan, std::slice::from_ref(batch), &[*step])?;
        self.stage(batch, step)?;
        self.slots.full_stats = false;
        let update: &[Op] = match host::updates_after(&self.plan, step.step) {
            true => &self.plan.update_step,
            false => &[],
        };
        let (ops, slots) = (self.plan.train_step.iter().chain(update), &mut self.slots);
        rayon::scope(|_| {
            for op in ops {
                let begin = Instant::now();
                op.cpu(slots);
                took(op, begin.elapsed());
            }
        });
        Ok(())
    }

    fn stage(&mut self, batch: &Batch, params: &StepParams) -> Result<(), EngineError> {
        let slots = &mut self.slots;
        host::stage(&self.plan, batch, params, &self.equal_weights, |id, words| {
            let out = slots.words_mut(id);
            let (head, tail) = out.split_at_mut(words.len());
            head.copy_from_slice(words);
            tail.fill(0);
            Ok(())
        })
    }

    /// One training step, its ops run by `run_step`, and its mean loss.
    fn step(
        &mut self,
        batch: &Batch,
        params: &StepParams,
        full_stats: bool,
        run_step: impl FnOnce(&[Op], &mut Slots),
    ) -> Result<f32, EngineError> {
        self.stage(batch, params)?;
        self.slots.full_stats = full_stats;
        run_step(&self.plan.train_step, &mut self.slots);
        if host::updates_after(&self.plan, params.step) {
            run(&self.plan.update_step, &mut self.slots);
        }
        Ok(self.loss_sum() / batch.rows as f32)
    }

    fn evaluate_rows(&mut self, batch: &Batch) -> Result<(Vec<f32>, f32), EngineError> {
        self.stage(batch, &host::EVALUATION)?;
        run(&self.plan.eval_step, &mut self.slots);
        let len = batch.rows * self.plan.model.head.outputs();
        Ok((self.slots.f32(self.plan.outputs)[..len].to_vec(), self.loss_sum()))
    }

    fn loss_sum(&self) -> f32 {
        self.slots.f32(self.plan.loss_sum)[0]
    }
}

/// Bytes of scratch that the ops of a plan share, without what every thread keeps for packing.
pub fn scratch_bytes(plan: &Plan) -> u64 {
    let ops = plan.lists().into_iter().flatten();
    ops.fold(ScratchNeed::default(), |need, op| need.or(op.scratch())).bytes()
}

/// Runs a call list inside the thread pool, so that ops need not enter it one by one.
fn run(ops: &[Op], slots: &mut Slots) {
    rayon::scope(|_| ops.iter().for_each(|op| op.cpu(slots)));
}

impl Engine for CpuEngine {
    fn info(&self) -> EngineInfo {
        info()
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn train(&mut self, batches: &[Batch], steps: &[StepParams]) -> Result<Vec<f32>, EngineError> {
        host::check_batches(&self.plan, batches, steps)?;
        let mut losses = Vec::with_capacity(batches.len());
        for (i, (batch, params)) in batches.iter().zip(steps).enumerate() {
            // Only the last step's statistics can be asked for.
            let last = i + 1 == batches.len();
            losses.push(self.step(batch, params, last, run)?);
        }
        Ok(losses)
    }

    fn train_looking(
        &mut self,
        batch: &Batch,
        step: &StepParams,
        look: &mut dyn FnMut(LiveTensor<'_>),
    ) -> Result<f32, EngineError> {
        host::check_batches(&self.plan, std::slice::from_ref(batch), &[*step])?;
        self.step(batch, step, true, |ops, slots| {
            for op in ops {
                op.cpu(slots);
                let Op::Quantise(op) = op else { continue };
                // The first rows stand for a tensor that is quantised a few at a time.
                let Some(watch) = op.watch.filter(|_| op.begins_codes()) else { continue };
                let elements = op.rows as usize * op.cols as usize;
                look(LiveTensor {
                    watch: watch as usize,
                    op,
                    values: slots.words(op.input).get(..elements).unwrap_or_default(),
                    exponents: slots.words(op.scales).get(..op.blocks()).unwrap_or_default(),
                });
            }
        })
    }

    fn update(&mut self, params: &StepParams) -> Result<(), EngineError> {
        let words = host::update_words(&self.plan, params)?;
        self.write(self.plan.step, &words)?;
        run(&self.plan.update_step, &mut self.slots);
        Ok(())
    }

    fn prepare_eval(&mut self) -> Result<(), EngineError> {
        run(&self.plan.prepare_eval, &mut self.slots);
        Ok(())
    }

    fn evaluate(&mut self, batch: &Batch) -> Result<(Vec<f32>, f32), EngineError> {
        host::check_batch(&self.plan, batch, false)?;
        host::evaluate(self, batch, Self::evaluate_rows)
    }

    fn memory(&self) -> Ledger {
        let (slots, scratch) = self.slots.bytes();
        let mut ledger = memory::by_purpose(&self.plan, slots.into_iter());
        *ledger.entry(Purpose::Workspace).or_insert(0) += scratch;
        ledger
    }

    fn read(&mut self, id: BufferId) -> Result<Vec<u32>, EngineError> {
        match self.plan.buffers.get(id.index()) {
            Some(_) => Ok(self.slots.words(id).to_vec()),
            None => Err(EngineError::Shape { op: "read", what: format!("no buffer {}", id.0) }),
        }
    }

    fn write(&mut self, id: BufferId, words: &[u32]) -> Result<(), EngineError> {
        host::check_words(&self.plan, id, words.len())?;
        self.slots.words_mut(id).copy_from_slice(words);
        Ok(())
    }
}

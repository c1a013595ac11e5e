//! wgpu executor.
//!
//! The engine owns its device, lives on its caller's thread and is the device's only poller. Many
//! steps go into one submission: their batches and step states are staged together and copied to
//! the plan's inputs before each step, and their losses are collected and read back once. A step that
//! is too long for one submission is cut into several.

use std::collections::BTreeMap;
use std::time::Instant;

use super::device_memory::{DeviceMemory, record};
use super::pace::Pacer;
use super::tune::{self, Tuner, Tuning};
use super::{Batch, Engine, EngineInfo, LiveTensor, StepParams, host};
use crate::device::launch::Launch;
use crate::device::{self, Gpu, SelfTest};
use crate::error::EngineError;
use crate::kernels::Op;
use crate::plan::memory::{self, Ledger};
use crate::plan::{BufferId, Plan, Purpose};

/// Most steps of one submission.
const MAX_STEPS: usize = 64;
/// Most words staged for one submission.
const STAGED_WORDS: usize = 4 << 20;
/// Where one input buffer lies in the staged words of a step.
#[derive(Debug, Clone, Copy)]
struct Staged {
    id: BufferId,
    offset: usize,
    words: usize,
}

/// Runs a plan on a GPU.
#[derive(Debug)]
pub struct WgpuEngine {
    plan: Plan,
    memory: DeviceMemory,
    self_test: SelfTest,
    tuning: Tuning,
    /// Kinds of products that matrix units multiply.
    matrix_units: usize,
    /// A training step with all statistics, and one that leaves them out.
    watched_step: Vec<Launch>,
    quiet_step: Vec<Launch>,
    update_step: Vec<Launch>,
    prepare_eval: Vec<Launch>,
    eval_step: Vec<Launch>,
    inputs: [Staged; 5],
    equal_weights: Vec<u32>,
    /// Words staged per step.
    step_words: usize,
    /// Steps that fit into `staging`.
    capacity: usize,
    staging: wgpu::Buffer,
    losses: wgpu::Buffer,
    pace: Pacer,
}

impl WgpuEngine {
    /// Opens the best adapter; a software adapter only if `software_allowed`. All memory is zero.
    ///
    /// # Errors
    /// [`EngineError::NoAdapter`], [`EngineError::SelfTest`] if the adapter computes wrongly, or
    /// [`EngineError::OutOfMemory`] if the plan does not fit.
    pub fn open(plan: Plan, software_allowed: bool) -> Result<Self, EngineError> {
        let gpu = Gpu::open(device::choose(software_allowed)?)?;
        let tuner = Tuner::for_adapter(gpu.info());
        Self::on(gpu, plan, tuner.as_ref())
    }

    /// Runs `plan` on an opened GPU once that has passed its self-test; `tuner` says in which variants,
    /// without one the shapes do.
    ///
    /// # Errors
    /// As [`WgpuEngine::open`].
    pub fn on(mut gpu: Gpu, plan: Plan, tuner: Option<&Tuner>) -> Result<Self, EngineError> {
        let self_test = device::self_test(&mut gpu)?.into_result()?;
        check_size(&gpu, &plan)?;
        let mut tuning = Tuning::default();
        if let Some(tuner) = tuner {
            (gpu, tuning) = tuner.tune(gpu, &plan)?;
        }
        let mut units = BTreeMap::new();
        if gpu.capabilities().matrix_units.is_some() {
            (gpu, units) = tune::matrix_units(gpu, &plan)?;
        }
        let matrix_units = units.len();
        tuning.chosen.append(&mut units);
        let mut memory = DeviceMemory::placed(gpu, &plan.slots, plan.places())?;
        for (key, variant) in &tuning.chosen {
            memory.choose(key.clone(), variant.clone());
        }
        let watched_step = memory.prepare(&plan.train_step, true)?;
        let quiet_step = memory.prepare(&plan.train_step, false)?;
        let update_step = memory.prepare(&plan.update_step, true)?;
        let prepare_eval = memory.prepare(&plan.prepare_eval, true)?;
        let eval_step = memory.prepare(&plan.eval_step, true)?;

        let ids = [plan.step, plan.dense, plan.categories, plan.targets, plan.sample_weights];
        let mut step_words = 0;
        let mut inputs = [Staged { id: plan.step, offset: 0, words: 0 }; 5];
        for (input, id) in inputs.iter_mut().zip(ids) {
            let words = memory.find(id)?.1;
            *input = Staged { id, offset: step_words, words };
            step_words += words;
        }
        let capacity = (STAGED_WORDS / step_words.max(1)).clamp(1, MAX_STEPS);
        let staging = memory.gpu().staging("batches", capacity * step_words)?;
        let losses = memory.gpu().readback("losses", capacity)?;
        Ok(Self {
            equal_weights: host::equal_weights(&plan),
            plan,
            memory,
            self_test,
            tuning,
            matrix_units,
            watched_step,
            quiet_step,
            update_step,
            prepare_eval,
            eval_step,
            inputs,
            step_words,
            capacity,
            staging,
            losses,
            pace: Pacer::default(),
        })
    }

    /// The variants that were chosen by measuring.
    pub fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    /// The self-test that the adapter passed.
    pub fn self_test(&self) -> &SelfTest {
        &self.self_test
    }

    /// Sizes submissions anew for about this time each, for tests.
    #[doc(hidden)]
    pub fn set_pace(&mut self, pace: Pacer) {
        self.pace = pace;
    }

    /// What sizes submissions.
    pub fn pace(&self) -> &Pacer {
        &self.pace
    }

    /// The device, for tests of what happens when it goes away.
    #[doc(hidden)]
    pub fn gpu(&self) -> &Gpu {
        self.memory.gpu()
    }

    /// Writes a checked batch into the staged words of one step; padding is zero.
    fn stage(
        &self,
        batch: &Batch,
        params: &StepParams,
        out: &mut [u32],
    ) -> Result<(), EngineError> {
        out.fill(0);
        host::stage(&self.plan, batch, params, &self.equal_weights, |id, words| {
            let target = self
                .inputs
                .iter()
                .find(|input| input.id == id)
                .and_then(|input| out.get_mut(input.offset..input.offset + input.words))
                .and_then(|target| target.get_mut(..words.len()));
            match target {
                Some(target) => {
                    target.copy_from_slice(words);
                    Ok(())
                }
                None => {
                    let what = format!("{} words do not fit input {}", words.len(), id.0);
                    Err(EngineError::Shape { op: "stage", what })
                }
            }
        })
    }

    /// Device buffers of the inputs, in staging order.
    fn input_buffers(&self) -> Result<Vec<(wgpu::Buffer, Staged)>, EngineError> {
        self.inputs.iter().map(|i| Ok((self.memory.find(i.id)?.0.clone(), *i))).collect()
    }

    /// Runs as many steps as there are batches (at most `capacity`) in one submission.
    fn submit_steps(
        &mut self,
        batches: &[Batch],
        steps: &[StepParams],
        last: bool,
    ) -> Result<Vec<f32>, EngineError> {
        let mut words = vec![0; batches.len() * self.step_words];
        for ((batch, params), out) in
            batches.iter().zip(steps).zip(words.chunks_exact_mut(self.step_words))
        {
            self.stage(batch, params, out)?;
        }
        self.memory.gpu().upload(&self.staging, &words)?;
        let inputs = self.input_buffers()?;
        let (loss_sum, _) = self.memory.find(self.plan.loss_sum)?;
        self.memory.gpu().submit(|encoder| {
            for k in 0..batches.len() {
                for (buffer, input) in &inputs {
                    let from = 4 * (k * self.step_words + input.offset) as u64;
                    let bytes = 4 * input.words as u64;
                    encoder.copy_buffer_to_buffer(&self.staging, from, buffer, 0, Some(bytes));
                }
                let watched = last && k + 1 == batches.len();
                record(encoder, if watched { &self.watched_step } else { &self.quiet_step });
                if steps.get(k).is_some_and(|s| host::updates_after(&self.plan, s.step)) {
                    record(encoder, &self.update_step);
                }
                encoder.copy_buffer_to_buffer(loss_sum, 0, &self.losses, 4 * k as u64, Some(4));
            }
        })?;
        let sums = self.memory.gpu().map(&self.losses, batches.len())?;
        let mean = |(sum, batch): (u32, &Batch)| f32::from_bits(sum) / batch.rows.max(1) as f32;
        Ok(sums.into_iter().zip(batches).map(mean).collect())
    }

    /// Writes one checked batch and its step state into the inputs.
    fn stage_one(&mut self, batch: &Batch, params: &StepParams) -> Result<(), EngineError> {
        let mut words = vec![0; self.step_words];
        self.stage(batch, params, &mut words)?;
        for input in self.inputs {
            let part = words.get(input.offset..input.offset + input.words).unwrap_or(&[]);
            self.memory.write(input.id, part)?;
        }
        Ok(())
    }

    /// One step in several submissions, with all statistics.
    fn step_in_parts(&mut self, batch: &Batch, params: &StepParams) -> Result<f32, EngineError> {
        self.stage_one(batch, params)?;
        run_paced(&self.memory, &mut self.pace, &self.watched_step)?;
        self.finish_step(batch, params)
    }

    /// The update where one follows the step, and the mean loss.
    fn finish_step(&mut self, batch: &Batch, params: &StepParams) -> Result<f32, EngineError> {
        if host::updates_after(&self.plan, params.step) {
            run_paced(&self.memory, &mut self.pace, &self.update_step)?;
        }
        let sum = self.memory.read(self.plan.loss_sum)?.first().copied().unwrap_or(0);
        Ok(f32::from_bits(sum) / batch.rows.max(1) as f32)
    }

    fn evaluate_rows(&mut self, batch: &Batch) -> Result<(Vec<f32>, f32), EngineError> {
        self.stage_one(batch, &host::EVALUATION)?;
        run_paced(&self.memory, &mut self.pace, &self.eval_step)?;
        let outputs = self.memory.read(self.plan.outputs)?;
        let loss = self.memory.read(self.plan.loss_sum)?;
        let len = batch.rows * self.plan.model.head.outputs();
        let outputs = outputs.into_iter().take(len).map(f32::from_bits).collect();
        Ok((outputs, loss.first().map_or(0.0, |bits| f32::from_bits(*bits))))
    }
}

/// Runs bound ops in submissions as large as the pacer allows.
fn run_paced(
    memory: &DeviceMemory,
    pace: &mut Pacer,
    launches: &[Launch],
) -> Result<(), EngineError> {
    let mut rest = launches;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(pace.calls().min(rest.len()));
        let begin = Instant::now();
        memory.run(now)?;
        memory.gpu().wait()?;
        pace.ran_calls(now.len(), begin.elapsed());
        rest = later;
    }
    Ok(())
}

/// Checks every slot against the adapter before anything is created.
fn check_size(gpu: &Gpu, plan: &Plan) -> Result<(), EngineError> {
    let available = gpu.capabilities().max_array_bytes();
    for (slot, words) in plan.slots.iter().enumerate() {
        let needed = 4 * *words as u64;
        if needed > available {
            let largest = plan.buffers.iter().filter(|b| b.slot == slot).max_by_key(|b| b.words);
            let what = largest.map_or_else(|| format!("slot {slot}"), |b| b.name.clone());
            return Err(EngineError::OutOfMemory { what, needed, available });
        }
    }
    Ok(())
}

impl Engine for WgpuEngine {
    fn info(&self) -> EngineInfo {
        let mut info = self.memory.gpu().info().clone();
        if self.matrix_units > 0 {
            info.backend += " with matrix units";
        }
        EngineInfo::Gpu(info)
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn train(&mut self, batches: &[Batch], steps: &[StepParams]) -> Result<Vec<f32>, EngineError> {
        host::check_batches(&self.plan, batches, steps)?;
        let mut losses = Vec::with_capacity(batches.len());
        while losses.len() < batches.len() {
            let from = losses.len();
            let calls = self.watched_step.len() + self.update_step.len();
            if !self.pace.takes(calls) {
                losses.push(self.step_in_parts(&batches[from], &steps[from])?);
                continue;
            }
            let to = (from + self.pace.steps().min(self.capacity)).min(batches.len());
            let started = Instant::now();
            let last = to == batches.len();
            losses.extend(self.submit_steps(&batches[from..to], &steps[from..to], last)?);
            self.pace.ran_steps(to - from, calls, started.elapsed(), self.capacity);
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
        self.stage_one(batch, step)?;
        // What runs up to each look is submitted together.
        let (mut from, mut to) = (0, 0);
        for op in &self.plan.train_step {
            to += self.memory.calls(op, true).len();
            let Op::Quantise(op) = op else { continue };
            // The first rows stand for a tensor that is quantised a few at a time.
            let Some(watch) = op.watch.filter(|_| op.begins_codes()) else { continue };
            let launches = self.watched_step.get(from..to).unwrap_or_default();
            run_paced(&self.memory, &mut self.pace, launches)?;
            from = to;
            let values = self.memory.read(op.input)?;
            let exponents = self.memory.read(op.scales)?;
            let elements = op.rows as usize * op.cols as usize;
            look(LiveTensor {
                watch: watch as usize,
                op,
                values: values.get(..elements).unwrap_or_default(),
                exponents: exponents.get(..op.blocks()).unwrap_or_default(),
            });
        }
        let launches = self.watched_step.get(from..).unwrap_or_default();
        run_paced(&self.memory, &mut self.pace, launches)?;
        self.finish_step(batch, step)
    }

    fn update(&mut self, params: &StepParams) -> Result<(), EngineError> {
        let words = host::update_words(&self.plan, params)?;
        self.memory.write(self.plan.step, &words)?;
        run_paced(&self.memory, &mut self.pace, &self.update_step)
    }

    fn prepare_eval(&mut self) -> Result<(), EngineError> {
        run_paced(&self.memory, &mut self.pace, &self.prepare_eval)
    }

    fn evaluate(&mut self, batch: &Batch) -> Result<(Vec<f32>, f32), EngineError> {
        host::check_batch(&self.plan, batch, false)?;
        host::evaluate(self, batch, Self::evaluate_rows)
    }

    fn memory(&self) -> Ledger {
        let (slots, scratch) = self.memory.bytes();
        let mut ledger = memory::by_purpose(&self.plan, slots.into_iter());
        let own = self.staging.size() + self.losses.size();
        *ledger.entry(Purpose::Workspace).or_insert(0) += scratch + own;
        ledger
    }

    fn read(&mut self, id: BufferId) -> Result<Vec<u32>, EngineError> {
        self.memory.read(id)
    }

    fn write(&mut self, id: BufferId, words: &[u32]) -> Result<(), EngineError> {
        host::check_words(&self.plan, id, words.len())?;
        self.memory.write(id, words)
    }
}

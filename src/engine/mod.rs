//! The two executors of a plan. Both give the same FP8 bytes; f32 sums agree within a tolerance.

pub mod cpu;
pub mod device_memory;
pub mod host;
pub mod pace;
pub mod preflight;
pub mod tune;
pub mod wgpu;

use crate::device::{AdapterInfo, DeviceChoice};
use crate::error::EngineError;
use crate::fp8::stats::STAT_WORDS;
use crate::fp8::{TensorStats, hash};
use crate::kernels::quantise::Quantise;
use crate::model::init::Param;
use crate::plan::memory::Ledger;
use crate::plan::{BufferId, Plan};

/// Which executor runs and where.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum EngineInfo {
    /// Native kernels.
    Cpu {
        /// Worker threads.
        threads: usize,
        /// Instruction set in use, e.g. `avx512`.
        simd: String,
    },
    /// wgpu compute.
    Gpu(AdapterInfo),
}

impl EngineInfo {
    /// The choice that gives the same device again, even where it was a fallback from `asked`.
    pub fn same_device(&self, asked: DeviceChoice) -> DeviceChoice {
        match self {
            Self::Cpu { .. } => DeviceChoice::Cpu,
            Self::Gpu(_) => asked,
        }
    }
}

/// One batch on the host. Slices are `rows` long times their width; `rows` ≤ the plan's batch.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Real rows.
    pub rows: usize,
    /// `[rows, input.dense]`.
    pub dense: Vec<f32>,
    /// `[rows, embeddings]`.
    pub categories: Vec<u32>,
    /// `[rows]`: class indices, or f32 bits of standardised values.
    pub targets: Vec<u32>,
    /// `[rows]`; empty means all 1.
    pub weights: Vec<f32>,
}

impl Batch {
    /// Inputs to measure speed with: random ones of `width`, half of them zero as pixels are, and classes
    /// below `classes`. The same every time.
    pub fn random(width: usize, classes: usize, rows: usize) -> Self {
        let key = hash::key(1, 1, 1);
        let value = |i: u32| {
            let h = hash::bits(key, i);
            if h & 1 == 0 { 0.0 } else { (h >> 8) as f32 / 16_777_216.0 }
        };
        Self {
            rows,
            dense: (0..(rows * width) as u32).map(value).collect(),
            targets: (0..rows as u32).map(|i| hash::mix(i) % classes.max(1) as u32).collect(),
            ..Self::default()
        }
    }
}

/// Per-step numbers.
#[derive(Debug, Clone, Copy)]
pub struct StepParams {
    /// From 1.
    pub step: u64,
    /// Learning rate.
    pub learning_rate: f32,
    /// Run seed.
    pub seed: u32,
}

/// A watched tensor right after it was quantised.
#[derive(Debug, Clone, Copy)]
pub struct LiveTensor<'a> {
    /// Index in [`Plan::watched`].
    pub watch: usize,
    /// How it was quantised.
    pub op: &'a Quantise,
    /// Its values before that, bits of f32 `[rows, cols]`.
    pub values: &'a [u32],
    /// Exponents (i32) of the scales that were used, one per block.
    pub exponents: &'a [u32],
}

/// Runs one plan. Implementations own all device memory of the plan.
pub trait Engine: Send {
    /// Who runs.
    fn info(&self) -> EngineInfo;
    /// The plan it runs.
    fn plan(&self) -> &Plan;
    /// Runs one training step per batch, many per submission where that helps, and returns the mean
    /// loss of each. Statistics of the last step can be read afterwards. Where several batches make
    /// an update, it follows every step whose number is a multiple of theirs.
    fn train(&mut self, batches: &[Batch], steps: &[StepParams]) -> Result<Vec<f32>, EngineError>;
    /// One training step as [`Engine::train`] does it, bit for bit; `look` sees every watched tensor
    /// at the moment when it is quantised.
    fn train_looking(
        &mut self,
        batch: &Batch,
        step: &StepParams,
        look: &mut dyn FnMut(LiveTensor<'_>),
    ) -> Result<f32, EngineError>;
    /// Updates the weights from the gradients summed so far, which then start from zero again.
    /// `params.step` counts updates. Only of plans with [`crate::plan::UpdateOptions::row_clip`];
    /// others update in [`Engine::train`].
    fn update(&mut self, params: &StepParams) -> Result<(), EngineError>;
    /// Quantises weights for `evaluate`; call after training and before evaluating.
    fn prepare_eval(&mut self) -> Result<(), EngineError>;
    /// Forward only: outputs `[rows, outputs]` and the sum of row losses (of no meaning if the
    /// batch has no targets).
    fn evaluate(&mut self, batch: &Batch) -> Result<(Vec<f32>, f32), EngineError>;
    /// Reads a whole buffer as words.
    fn read(&mut self, id: BufferId) -> Result<Vec<u32>, EngineError>;
    /// Overwrites a whole buffer.
    fn write(&mut self, id: BufferId, words: &[u32]) -> Result<(), EngineError>;

    /// Bytes that the engine holds now, by purpose: the plan's memory as it was allocated, and
    /// scratch, staging and read-back buffers as workspace.
    fn memory(&self) -> Ledger;

    /// Statistics of the last training step, in the order of [`Plan::watched`].
    fn stats(&mut self) -> Result<Vec<TensorStats>, EngineError> {
        let words = self.read(self.plan().stats)?;
        let count = self.plan().watched.len();
        Ok(words.chunks_exact(STAT_WORDS).take(count).filter_map(TensorStats::from_words).collect())
    }

    /// Loads parameter values by position; names and shapes must be those of the plan. Averages
    /// start from them.
    fn load_params(&mut self, params: &[Param]) -> Result<(), EngineError> {
        host::check_params(self.plan(), params)?;
        for (i, param) in params.iter().enumerate() {
            let Some(of) = self.plan().params.get(i) else { break };
            let (weight, average) = (of.weight, of.average);
            let words = host::pack(of, &param.values);
            self.write(weight, &words)?;
            if let Some(average) = average {
                self.write(average, bytemuck::cast_slice(&param.values))?;
            }
        }
        Ok(())
    }

    /// Reads all parameters as evaluation uses them: their averages where there are some.
    fn read_params(&mut self) -> Result<Vec<Param>, EngineError> {
        let mut out = Vec::with_capacity(self.plan().params.len());
        while let Some(param) = self.plan().params.get(out.len()).cloned() {
            let values = match param.average {
                Some(id) => self.read(id)?.into_iter().map(f32::from_bits).collect(),
                None => host::unpack(&param, &self.read(param.weight)?),
            };
            out.push(Param { name: param.name, shape: param.shape, values });
        }
        Ok(out)
    }
}

/// Moves the training state from one engine to another, bit for bit: weights, moments, averages,
/// sums of gradients. Their plans must be of the same model, optimiser and update options; the
/// precision may differ, and so may batch size and device. An amax history is moved where both
/// plans have one and starts anew otherwise.
///
/// # Errors
/// [`EngineError::Shape`] if the plans do not fit each other; nothing is written then.
pub fn transfer(from: &mut dyn Engine, to: &mut dyn Engine) -> Result<(), EngineError> {
    let (source, target) = (from.plan(), to.plan());
    let moved = host::shared_state(source, target)?;
    let fresh = (source.config.precision != target.config.precision)
        .then(|| target.buffers.get(target.history.index()).map(|b| (target.history, b.words)))
        .flatten();
    for (source, target) in moved {
        let words = from.read(source)?;
        to.write(target, &words)?;
    }
    if let Some((history, words)) = fresh {
        to.write(history, &vec![0; words])?;
    }
    Ok(())
}

/// Opens the engine that `choice` asks for, with all memory zero; load parameters next. `Auto`
/// falls back to the CPU, and the second value then says why in one sentence.
///
/// # Errors
/// [`EngineError`] if `Gpu` was asked for and cannot be had.
pub fn open(
    choice: DeviceChoice,
    plan: Plan,
) -> Result<(Box<dyn Engine>, Option<String>), EngineError> {
    open_with(choice, plan, |plan, software_allowed| {
        Ok(Box::new(wgpu::WgpuEngine::open(plan, software_allowed)?))
    })
}

fn open_with(
    choice: DeviceChoice,
    plan: Plan,
    open_gpu: impl FnOnce(Plan, bool) -> Result<Box<dyn Engine>, EngineError>,
) -> Result<(Box<dyn Engine>, Option<String>), EngineError> {
    match choice {
        DeviceChoice::Cpu => Ok((Box::new(cpu::CpuEngine::open(plan)?), None)),
        DeviceChoice::Gpu => Ok((open_gpu(plan, true)?, None)),
        DeviceChoice::Auto => match open_gpu(plan.clone(), false) {
            Ok(engine) => Ok((engine, None)),
            Err(reason) => {
                let engine = Box::new(cpu::CpuEngine::open(plan)?);
                Ok((engine, Some(format!("Using the CPU: {reason}"))))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fp8::Precision;
    use crate::model::{Activation, Head, InputSpec, ModelSpec};
    use crate::plan::{Optimizer, PlanConfig, UpdateOptions, compile};

    #[test]
    fn a_fallback_is_chosen_again() {
        let cpu = cpu::info();
        assert_eq!(cpu.same_device(DeviceChoice::Auto), DeviceChoice::Cpu);
        let (name, backend, driver) = ("A".to_owned(), "Vulkan".to_owned(), String::new());
        let gpu = EngineInfo::Gpu(AdapterInfo { name, backend, driver, software: true });
        assert_eq!(gpu.same_device(DeviceChoice::Gpu), DeviceChoice::Gpu);
        assert_eq!(gpu.same_device(DeviceChoice::Auto), DeviceChoice::Auto);
    }

    #[test]
    fn an_adapter_that_fails_its_self_test_is_replaced_by_the_cpu() {
        let input = InputSpec::features(3);
        let model =
            ModelSpec::mlp(input, &[4], Activation::Relu, false, 0.0, false, Head::Regression);
        let config = PlanConfig {
            batch: 2,
            precision: Precision::default(),
            optimizer: Optimizer::default(),
            update: UpdateOptions::default(),
        };
        let plan = compile(&model, &config).unwrap();
        let broken = |_: Plan, _: bool| {
            let (adapter, what) = ("Odd GPU".to_owned(), "decode: E4M3 code 0x01".to_owned());
            Err(EngineError::SelfTest { adapter, what })
        };
        let (engine, why) = open_with(DeviceChoice::Auto, plan.clone(), broken).unwrap();
        assert!(matches!(engine.info(), EngineInfo::Cpu { .. }));
        let why = why.unwrap();
        assert!(why.contains("Odd GPU failed its self-test: decode"), "{why}");

        let asked_for = open_with(DeviceChoice::Gpu, plan, broken).map(|_| ());
        assert!(matches!(asked_for, Err(EngineError::SelfTest { .. })));
    }
}

//! Before a run: does it fit, which batch would, and how long does a step take?

use std::time::{Duration, Instant};

use super::{Batch, EngineInfo, StepParams, cpu};
use crate::device::{self, DeviceChoice};
use crate::error::EngineError;
use crate::fp8::Precision;
use crate::model::{Head, ModelSpec};
use crate::plan::memory::{self, Ledger};
use crate::plan::{Plan, PlanConfig, compile};

/// What an engine can hold, in bytes; `None` where nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All memory that is free.
    pub total: Option<u64>,
    /// The largest single buffer.
    pub buffer: Option<u64>,
}

/// Whether a plan fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Fits,
    /// It does with this many rows per batch.
    SmallerBatch(usize),
    /// It does not with a single row.
    TooLarge,
}

/// The memory that a run would take.
#[derive(Debug, Clone)]
pub struct Preflight {
    /// Rows per batch that were asked for.
    pub batch: usize,
    /// Predicted bytes by purpose.
    pub predicted: Ledger,
    /// What the engine can hold.
    pub limits: Limits,
    /// Whether it fits.
    pub verdict: Verdict,
}

/// Share of the free memory that a run may take; the rest is left to data and system.
const USABLE: f64 = 0.9;

impl Limits {
    /// Of the engine that `choice` leads to.
    ///
    /// # Errors
    /// [`EngineError::NoAdapter`] if a GPU is asked for and there is none.
    pub fn of(choice: DeviceChoice) -> Result<Self, EngineError> {
        let host = Self { total: free_memory(), buffer: None };
        if choice == DeviceChoice::Cpu {
            return Ok(host);
        }
        match device::choose(choice == DeviceChoice::Gpu) {
            // A driver does not say how much memory is free, only how large one buffer may be.
            Ok(candidate) => {
                let total = if candidate.info.software { host.total } else { None };
                Ok(Self { total, buffer: Some(candidate.capabilities.max_array_bytes()) })
            }
            Err(e) if choice == DeviceChoice::Gpu => Err(e),
            Err(_) => Ok(host),
        }
    }

    fn hold(&self, plans: &[Plan]) -> bool {
        let bytes = memory::total(&of_all(plans));
        let usable = |total: u64| (total as f64 * USABLE) as u64;
        let slots = plans.iter().flat_map(|plan| &plan.slots);
        let largest = slots.max().map_or(0, |words| 4 * *words as u64);
        self.total.is_none_or(|total| bytes <= usable(total))
            && self.buffer.is_none_or(|most| largest <= most)
    }
}

/// Bytes by purpose that a plan takes on an engine, scratch memory included.
pub fn predicted(plan: &Plan) -> Ledger {
    let mut ledger = memory::ledger(plan);
    *ledger.entry(crate::plan::Purpose::Workspace).or_insert(0) += cpu::scratch_bytes(plan);
    ledger
}

/// Adds the bytes of another ledger.
pub fn add(to: &mut Ledger, more: &Ledger) {
    for (purpose, bytes) in more {
        *to.entry(*purpose).or_insert(0) += bytes;
    }
}

fn of_all(plans: &[Plan]) -> Ledger {
    let mut all = Ledger::new();
    plans.iter().for_each(|plan| add(&mut all, &predicted(plan)));
    all
}

/// The plan of a run and, with `shadow`, that of the same in f32 beside it.
fn plans(model: &ModelSpec, config: &PlanConfig, shadow: bool) -> Result<Vec<Plan>, EngineError> {
    let mut plans = vec![compile(model, config)?];
    if shadow {
        plans.push(compile(model, &PlanConfig { precision: Precision::F32, ..config.clone() })?);
    }
    Ok(plans)
}

/// Compiles for `config` and compares with `limits`; proposes the largest of batch/2, batch/4, …
/// that fits. With `shadow` there must be room for the same run in f32 as well.
///
/// # Errors
/// [`EngineError::Shape`] if model or settings cannot be compiled at all.
pub fn preflight(
    model: &ModelSpec,
    config: &PlanConfig,
    shadow: bool,
    limits: Limits,
) -> Result<Preflight, EngineError> {
    let all = plans(model, config, shadow)?;
    let predicted = of_all(&all);
    let mut verdict = if limits.hold(&all) { Verdict::Fits } else { Verdict::TooLarge };
    let mut batch = config.batch;
    while verdict == Verdict::TooLarge && batch > 1 {
        batch /= 2;
        if limits.hold(&plans(model, &PlanConfig { batch, ..config.clone() }, shadow)?) {
            verdict = Verdict::SmallerBatch(batch);
        }
    }
    Ok(Preflight { batch: config.batch, predicted, limits, verdict })
}

impl Preflight {
    /// Bytes in all.
    pub fn needed(&self) -> u64 {
        memory::total(&self.predicted)
    }

    /// The refusal.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`] unless it fits; the text says which batch size would.
    pub fn into_result(self) -> Result<Self, EngineError> {
        let advice = match self.verdict {
            Verdict::Fits => return Ok(self),
            Verdict::SmallerBatch(batch) => format!("a batch size of {batch} would fit"),
            Verdict::TooLarge => "the network is too large even for single rows".to_owned(),
        };
        let what = format!("training in batches of {} ({advice})", self.batch);
        let available = self.limits.total.or(self.limits.buffer).unwrap_or(0);
        Err(EngineError::OutOfMemory { what, needed: self.needed(), available })
    }
}

/// Longest time that [`step_seconds`] measures, once it has two steps.
const MEASURE: Duration = Duration::from_millis(300);

/// Seconds of one training step, measured on a scratch engine with zeros for data.
///
/// # Errors
/// Those of [`super::open`] and [`super::Engine::train`].
pub fn step_seconds(choice: DeviceChoice, plan: Plan) -> Result<(f64, EngineInfo), EngineError> {
    let batch = blank(&plan);
    let (mut engine, _) = super::open(choice, plan)?;
    let mut step = |number| {
        let params = StepParams { step: number, learning_rate: 1e-3, seed: 0 };
        let begin = Instant::now();
        engine.train(std::slice::from_ref(&batch), &[params])?;
        Ok::<_, EngineError>(begin.elapsed())
    };
    // The first step compiles, allocates and warms caches.
    step(1)?;
    let begin = Instant::now();
    let mut fastest = step(2)?;
    for number in 3..=20 {
        if begin.elapsed() > MEASURE {
            break;
        }
        fastest = fastest.min(step(number)?);
    }
    Ok((fastest.as_secs_f64(), engine.info()))
}

/// A full batch of zeros.
fn blank(plan: &Plan) -> Batch {
    let rows = plan.config.batch;
    let target = match plan.model.head {
        Head::Classes { .. } => 0,
        Head::Regression => 0f32.to_bits(),
    };
    Batch {
        rows,
        dense: vec![0.0; rows * plan.model.input.dense],
        categories: vec![0; rows * plan.model.input.embeddings.len()],
        targets: vec![target; rows],
        weights: Vec::new(),
    }
}

/// Bytes of main memory that are free, where the system says so.
fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let free = available_in(&text)?;
    let number = |name: &str| {
        let text = std::fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let group = number("memory.max").zip(number("memory.current"));
    Some(group.map_or(free, |(most, used)| free.min(most.saturating_sub(used))))
}

/// Most bytes of main memory that this process has held, where the system says so.
pub fn process_peak() -> Option<u64> {
    peak_in(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn peak_in(status: &str) -> Option<u64> {
    kibibytes(status, "VmHWM:")
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

fn available_in(meminfo: &str) -> Option<u64> {
    kibibytes(meminfo, "MemAvailable:")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::fp8::{Precision, Recipe};
    use crate::model::{
        Activation, CnnOptions, ImageShape, InputSpec, ResNetOptions, SeparableOptions,
    };
    use crate::plan::{Optimizer, UpdateOptions};

    fn model() -> ModelSpec {
        let input = InputSpec::features(300);
        let head = Head::Classes { count: 10 };
        ModelSpec::mlp(input, &[500, 200], Activation::Gelu, true, 0.1, false, head)
    }

    fn config(precision: Precision, batch: usize) -> PlanConfig {
        let (optimizer, update) = (Optimizer::default(), UpdateOptions::default());
        PlanConfig { batch, precision, optimizer, update }
    }

    #[test]
    fn prediction_is_what_the_engine_takes() {
        let image = ImageShape { height: 14, width: 13, channels: 3 };
        let head = Head::Classes { count: 10 };
        let models = [
            model(),
            ModelSpec::cnn(image, &CnnOptions::default(), head),
            ModelSpec::resnet(image, &ResNetOptions::default(), head),
            ModelSpec::depthwise_separable(image, &SeparableOptions::default(), head),
        ];
        let precisions = [Precision::F32, Precision::Bf16, Precision::Fp8(Recipe::block())];
        for (model, precision) in models.iter().flat_map(|m| precisions.map(|p| (m, p))) {
            let plan = compile(model, &config(precision, 128)).unwrap();
            let predicted = predicted(&plan);
            let batch = blank(&plan);
            let mut engine = cpu::CpuEngine::open(plan).unwrap();
            for step in 1..=2 {
                let params = StepParams { step, learning_rate: 1e-3, seed: 0 };
                engine.train(std::slice::from_ref(&batch), &[params]).unwrap();
            }
            engine.prepare_eval().unwrap();
            engine.evaluate(&batch).unwrap();
            let measured = engine.memory();
            let (mut p, mut m) = (predicted.clone(), measured.clone());
            let workspace = crate::plan::Purpose::Workspace;
            let scratch =
                [p.remove(&workspace), m.remove(&workspace)].map(Option::unwrap_or_default);
            assert_eq!(p, m, "{precision:?}");
            // Scratch vectors round their capacity up.
            let [p, m] = scratch.map(|bytes| bytes as f64);
            assert!(m <= p + 4096.0 && m >= 0.5 * p - 4096.0, "{precision:?} {p} {m}");
        }
    }

    #[test]
    fn a_batch_that_fits_is_proposed_and_too_much_is_refused() {
        let config = config(Precision::default(), 256);
        let judge = |total: u64| {
            preflight(&model(), &config, false, Limits { total: Some(total), buffer: None })
                .unwrap()
        };
        let needed = judge(u64::MAX).needed();
        assert_eq!(judge(u64::MAX).verdict, Verdict::Fits);
        assert_eq!(judge((needed as f64 / USABLE) as u64 + 2).verdict, Verdict::Fits);
        let short = judge((needed as f64 / USABLE) as u64 - 2000);
        assert_eq!(short.verdict, Verdict::SmallerBatch(128));
        let text = short.into_result().unwrap_err().to_string();
        assert!(text.contains("batches of 256") && text.contains("batch size of 128"), "{text}");
        let none = judge(100_000);
        assert_eq!(none.verdict, Verdict::TooLarge);
        assert!(none.into_result().unwrap_err().to_string().contains("too large"));
        // The weights of 500 × 300 fit exactly, the activations of 512 × 500 do not.
        let wide = PlanConfig { batch: 512, ..config.clone() };
        let narrow = |bytes| {
            let limits = Limits { total: None, buffer: Some(bytes) };
            preflight(&model(), &wide, false, limits).unwrap().verdict
        };
        assert_eq!(narrow(4 * 500 * 300), Verdict::SmallerBatch(256));
        assert_eq!(narrow(4 * 500 * 300 - 1), Verdict::TooLarge);
        let unknown =
            preflight(&model(), &config, true, Limits { total: None, buffer: None }).unwrap();
        assert_eq!(unknown.verdict, Verdict::Fits);
        // An f32 run beside it takes more than the FP8 run itself.
        assert!(unknown.needed() > 2 * needed, "{} {needed}", unknown.needed());
        assert_eq!(peak_in("VmPeak: 9 kB\nVmHWM:\t   3 kB\n"), Some(3072));
        assert!(process_peak().is_none_or(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn steps_are_timed_and_memory_is_read() {
        let plan = compile(&model(), &config(Precision::default(), 16)).unwrap();
        let (seconds, info) = step_seconds(DeviceChoice::Cpu, plan).unwrap();
        assert!(seconds > 0.0 && matches!(info, EngineInfo::Cpu { .. }));
        let text = "MemTotal:  10 kB\nMemAvailable:   2048 kB\n";
        assert_eq!(available_in(text), Some(2 << 20));
        assert_eq!(available_in("MemTotal: 10 kB\n"), None);
        assert_eq!(available_in("MemAvailable: many kB\n"), None);
    }
}

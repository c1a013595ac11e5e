//! `fp8-studio bench`.

mod profile;

use std::time::{Duration, Instant};

use serde::Serialize;

use super::args::{BenchArgs, BenchModel};
use super::{describe, terminal};
use crate::device::DeviceChoice;
use crate::engine::{self, Batch, Engine, EngineInfo, StepParams};
use crate::error::{EngineError, UserError};
use crate::fp8::{Precision, Recipe};
use crate::model::init::init;
use crate::model::{Activation, CnnOptions, Head, ImageShape, InputSpec, ModelSpec};
use crate::plan::{
    MasterFormat, MomentFormat, Optimizer, Plan, PlanConfig, UpdateOptions, compile, memory,
};

/// Steps before the timed ones.
const WARM_UP: u64 = 5;
/// Most steps that are timed.
const MOST_STEPS: usize = 500;

/// Classes that the networks tell apart.
const CLASSES: usize = 10;

#[derive(Serialize)]
struct Report {
    version: &'static str,
    engine: EngineInfo,
    model: &'static str,
    batch: usize,
    runs: Vec<Run>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    profiles: Vec<profile::Profile>,
}

#[derive(Serialize)]
struct Run {
    name: &'static str,
    /// Median time of a training step.
    milliseconds: f64,
    rows_per_second: f64,
    memory_bytes: u64,
}

/// What is timed; the last one is what the others are compared with.
fn cases() -> [(&'static str, Precision, bool); 5] {
    [
        ("fp8", Precision::Fp8(Recipe::current()), false),
        ("fp8 delayed", Precision::Fp8(Recipe::delayed()), false),
        ("fp8 mx, lean", Precision::Fp8(Recipe::mx()), true),
        ("bf16", Precision::Bf16, false),
        ("f32", Precision::F32, false),
    ]
}

/// Times a training step of a network of fixed size in every precision.
pub(super) fn run(args: &BenchArgs) -> Result<(), UserError> {
    let head = Head::Classes { count: CLASSES };
    let (title, model) = match args.model {
        BenchModel::Mlp => {
            let input = InputSpec::features(784);
            let spec =
                ModelSpec::mlp(input, &[512, 512], Activation::Relu, false, 0.0, false, head);
            ("dense layers 784-512-512-10", spec)
        }
        BenchModel::Cnn => {
            let image = ImageShape { height: 28, width: 28, channels: 1 };
            let spec = ModelSpec::cnn(image, &CnnOptions::default(), head);
            ("28 × 28 pixels, 3 × 3 filters of 32 and 64 channels, 128 units", spec)
        }
    };
    let choice = args.device.map_or(DeviceChoice::Cpu, DeviceChoice::from);
    if args.profile && choice != DeviceChoice::Cpu {
        return Err(UserError::new(
            "Only the processor tells how long each kernel takes",
            "Leave --profile or --device out.",
        ));
    }
    let measure = Duration::try_from_secs_f64(args.seconds).map_err(|e| {
        UserError::new(format!("--seconds {}: {e}", args.seconds), "Give a number above 0.")
    })?;
    let mut report = None;
    for (name, precision, lean) in cases() {
        let (engine, run) = time(choice, &model, (name, precision, lean), args.batch, measure)?;
        let report = report.get_or_insert(Report {
            version: env!("CARGO_PKG_VERSION"),
            engine,
            model: title,
            batch: args.batch,
            runs: Vec::new(),
            profiles: Vec::new(),
        });
        report.runs.push(run);
        if args.profile {
            report.profiles.push(profile::of(
                &model,
                (name, precision, lean),
                args.batch,
                measure,
            )?);
        }
    }
    match report {
        Some(report) if args.json => terminal::json(&report),
        Some(report) => terminal::out(&text(&report)),
        None => Ok(()),
    }
}

fn time(
    choice: DeviceChoice,
    model: &ModelSpec,
    (name, precision, lean): (&'static str, Precision, bool),
    rows: usize,
    measure: Duration,
) -> Result<(EngineInfo, Run), EngineError> {
    let (mut engine, _) = engine::open(choice, plan(model, (precision, lean), rows)?)?;
    engine.load_params(&init(model, 1))?;
    let batch = Batch::random(model.input.dense, CLASSES, rows);
    let mut step = 0;
    let mut train = |engine: &mut dyn Engine, count: usize| {
        let batches = vec![batch.clone(); count];
        let params: Vec<StepParams> = (1..=count as u64)
            .map(|i| StepParams { step: step + i, learning_rate: 1e-3, seed: 1 })
            .collect();
        step += count as u64;
        let begin = Instant::now();
        engine.train(&batches, &params)?;
        Ok::<_, EngineError>(begin.elapsed().as_secs_f64() * 1e3 / count as f64)
    };
    for _ in 0..WARM_UP {
        train(engine.as_mut(), 1)?;
    }
    // Several steps at once, of which only the last gathers all statistics, as in training.
    let (begin, mut times) = (Instant::now(), Vec::new());
    while times.is_empty() || (begin.elapsed() < measure && times.len() < MOST_STEPS) {
        times.push(train(engine.as_mut(), 8)?);
    }
    times.sort_by(f64::total_cmp);
    let milliseconds = times.get(times.len() / 2).copied().unwrap_or_default();
    let rows_per_second = 1e3 * rows as f64 / milliseconds.max(1e-9);
    let memory_bytes = memory::total(&engine.memory());
    Ok((engine.info(), Run { name, milliseconds, rows_per_second, memory_bytes }))
}

fn plan(
    model: &ModelSpec,
    (precision, lean): (Precision, bool),
    rows: usize,
) -> Result<Plan, EngineError> {
    let mut update = UpdateOptions { lean, ..UpdateOptions::default() };
    if lean {
        (update.moments, update.master) = (MomentFormat::Fp8, MasterFormat::Bf16);
    }
    let config = PlanConfig { batch: rows, precision, optimizer: Optimizer::default(), update };
    compile(model, &config)
}

fn text(report: &Report) -> String {
    let text = format!(
        "{}\nTraining steps of {} rows: {}, AdamW\n\n",
        describe::engine(&report.engine),
        report.batch,
        report.model
    );
    let header = ["", "step, ms", "rows/s", "memory, MB", "time of f32", "memory of f32"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let usual = report.runs.last();
    for run in &report.runs {
        let share = |own: f64, of: fn(&Run) -> f64| {
            usual.map_or_else(String::new, |u| format!("{:.0} %", 100.0 * own / of(u).max(1e-9)))
        };
        rows.push(vec![
            run.name.to_owned(),
            format!("{:.2}", run.milliseconds),
            format!("{:.0}", run.rows_per_second),
            format!("{:.1}", run.memory_bytes as f64 / 1e6),
            share(run.milliseconds, |r| r.milliseconds),
            share(run.memory_bytes as f64, |r| r.memory_bytes as f64),
        ]);
    }
    let profiles = report.profiles.iter().map(profile::Profile::text);
    text + &terminal::table(&rows) + &profiles.collect::<String>()
}

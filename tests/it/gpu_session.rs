//! Whole runs on the GPU engine against the same runs on the CPU engine.

use std::path::Path;

use fp8_studio::device::DeviceChoice;
use fp8_studio::engine::EngineInfo;
use fp8_studio::fp8::{Precision, Recipe};
use fp8_studio::train::{Event, Job, TrainConfig};

use crate::support::{begin, circle, job, rest, summary};

/// How far the losses of the engines may be apart, relative. Sums in another order differ by some
/// 1e-7; where such a difference moves a value across the border between two FP8 codes, that value
/// changes by up to an eighth, one of hundreds.
const FP8_TOLERANCE: f64 = 1e-3;
const F32_TOLERANCE: f64 = 1e-5;

const STEPS: usize = 20;

/// One step per epoch, so that every step's loss is told.
fn config(precision: Precision) -> TrainConfig {
    TrainConfig {
        hidden: vec![24, 12],
        batch_size: 1024,
        epochs: STEPS,
        patience: 0,
        learning_rate: 1e-2,
        precision,
        ..TrainConfig::default()
    }
}

/// Training and validation losses of a run and where it was computed.
fn run(device: DeviceChoice, config: TrainConfig, folder: &Path) -> (Vec<f64>, EngineInfo) {
    let mut job: Job = job(circle(200), config, folder);
    job.config.device = device;
    let events = rest(&begin(job));
    let losses = events
        .iter()
        .filter_map(|e| match e {
            Event::Epoch { train_loss, validation, .. } => Some([*train_loss, validation.loss]),
            _ => None,
        })
        .flatten()
        .map(f64::from)
        .collect();
    (losses, summary(&events).engine)
}

/// The largest relative difference.
fn apart(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs() / a.abs().max(b.abs())).fold(0.0, f64::max)
}

#[test]
fn a_run_on_the_gpu_engine_learns_like_one_on_the_cpu_engine() {
    let dir = tempfile::tempdir().unwrap();
    for (name, precision, tolerance) in [
        ("current", Precision::Fp8(Recipe::current()), FP8_TOLERANCE),
        ("delayed", Precision::Fp8(Recipe::delayed()), FP8_TOLERANCE),
        ("f32", Precision::F32, F32_TOLERANCE),
    ] {
        let folder = |what: &str| dir.path().join(format!("{name}-{what}"));
        let (cpu, engine) = run(DeviceChoice::Cpu, config(precision), &folder("cpu"));
        assert!(matches!(engine, EngineInfo::Cpu { .. }), "{engine:?}");
        let (gpu, engine) = run(DeviceChoice::Gpu, config(precision), &folder("gpu"));
        assert!(matches!(engine, EngineInfo::Gpu(_)), "{engine:?}");
        assert_eq!(cpu.len(), 2 * STEPS);
        assert!(cpu[2 * STEPS - 2] < 0.8 * cpu[0], "nothing was learned: {cpu:?}");
        let gap = apart(&cpu, &gpu);
        assert!(gap <= tolerance, "{name}: {gap}\n{cpu:?}\n{gpu:?}");

        // The comparison can fail: a learning rate 2 % higher is seen.
        let wrong = TrainConfig { learning_rate: 1.02e-2, ..config(precision) };
        let (wrong, _) = run(DeviceChoice::Cpu, wrong, &folder("wrong"));
        assert!(apart(&cpu, &wrong) > tolerance, "{name}: {}", apart(&cpu, &wrong));
    }
}

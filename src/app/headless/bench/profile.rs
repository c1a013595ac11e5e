//! Where the time of a training step on the processor goes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{CLASSES, MOST_STEPS, WARM_UP, plan, terminal};
use crate::engine::cpu::CpuEngine;
use crate::engine::{Batch, Engine, StepParams};
use crate::error::EngineError;
use crate::fp8::Precision;
use crate::kernels::Op;
use crate::kernels::conv::{Conv, ConvInputGradient, ConvWeightGradient};
use crate::model::ModelSpec;
use crate::model::init::init;

/// The kernels of a step, those that take longest first.
#[derive(Serialize)]
pub(super) struct Profile {
    name: &'static str,
    kernels: Vec<Kernel>,
}

/// All calls of a kernel on the same sizes.
#[derive(Serialize)]
struct Kernel {
    name: String,
    /// Calls in a step.
    calls: usize,
    /// Median time of a step's calls together.
    milliseconds: f64,
    /// Share of the time of all kernels.
    share: f64,
}

/// Times the kernels of a network, one thread calling them in turn as in training.
pub(super) fn of(
    model: &ModelSpec,
    (name, precision, lean): (&'static str, Precision, bool),
    rows: usize,
    measure: Duration,
) -> Result<Profile, EngineError> {
    let mut engine = CpuEngine::open(plan(model, (precision, lean), rows)?)?;
    engine.load_params(&init(model, 1))?;
    let batch = Batch::random(model.input.dense, CLASSES, rows);
    let mut steps: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut calls: BTreeMap<String, usize> = BTreeMap::new();
    let begin = Instant::now();
    for step in 1..=WARM_UP + MOST_STEPS as u64 {
        if step > WARM_UP + 1 && begin.elapsed() > measure {
            break;
        }
        let mut own: BTreeMap<String, (usize, f64)> = BTreeMap::new();
        let params = StepParams { step, learning_rate: 1e-3, seed: 1 };
        engine.train_timed(&batch, &params, |op, took| {
            let (calls, time) = own.entry(title(op)).or_default();
            *calls += 1;
            *time += took.as_secs_f64() * 1e3;
        })?;
        if step <= WARM_UP {
            continue;
        }
        for (name, (count, time)) in own {
            steps.entry(name.clone()).or_default().push(time);
            calls.insert(name, count);
        }
    }
    let mut kernels: Vec<Kernel> = steps
        .into_iter()
        .map(|(name, mut times)| {
            times.sort_by(f64::total_cmp);
            let milliseconds = times.get(times.len() / 2).copied().unwrap_or_default();
            let calls = calls.get(&name).copied().unwrap_or_default();
            Kernel { name, calls, milliseconds, share: 0.0 }
        })
        .collect();
    let total: f64 = kernels.iter().map(|k| k.milliseconds).sum();
    for kernel in &mut kernels {
        kernel.share = kernel.milliseconds / total.max(1e-9);
    }
    kernels.sort_by(|a, b| b.milliseconds.total_cmp(&a.milliseconds));
    Ok(Profile { name, kernels })
}

/// Kind of a kernel and the sizes that it works on, where its time hangs on them.
fn title(op: &Op) -> String {
    let text = format!("{op:?}");
    let kind = text.split(['(', ' ']).next().unwrap_or_default();
    match op {
        Op::Gemm(g) => format!("{kind} {} × {} × {}", g.m, g.n, g.k),
        Op::Conv(Conv { shape, .. })
        | Op::ConvInputGradient(ConvInputGradient { shape, .. })
        | Op::ConvWeightGradient(ConvWeightGradient { shape, .. }) => {
            format!("{kind} {} → {} channels", shape.channels, shape.out_channels)
        }
        _ => kind.to_owned(),
    }
}

impl Profile {
    /// As lines of text.
    pub(super) fn text(&self) -> String {
        let mut rows = vec![["kernel", "calls", "step, ms", "share"].map(str::to_owned).to_vec()];
        rows.extend(self.kernels.iter().map(|k| {
            vec![
                k.name.clone(),
                k.calls.to_string(),
                format!("{:.3}", k.milliseconds),
                format!("{:.1} %", 100.0 * k.share),
            ]
        }));
        format!("\n{}, kernel by kernel\n\n{}", self.name, terminal::table(&rows))
    }
}

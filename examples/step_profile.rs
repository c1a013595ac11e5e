//! Where the time of a training step on the CPU goes: median milliseconds per kind of op.
//!
//! ```text
//! cargo run --release --example step_profile -- [steps] [batch] [width,width,...|cnn]
//! ```
//!
//! The default is an MLP of 784-512-512-10 on batches of 256, 60 steps, once with every statistic
//! gathered, once as most steps run, and once in f32. `cnn` takes the small convolutional network
//! on 28 × 28 pixels: 3 × 3 filters of 32 and 64 channels, poolings, 128 units.

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Instant;

use fp8_studio::engine::{StepParams, host};
use fp8_studio::fp8::{Precision, Recipe, hash};
use fp8_studio::kernels::conv::{Conv, ConvInputGradient, ConvWeightGradient};
use fp8_studio::kernels::{Op, Slots};
use fp8_studio::model::init::init;
use fp8_studio::model::{Activation, CnnOptions, Head, ImageShape, InputSpec, ModelSpec};
use fp8_studio::plan::{Optimizer, Plan, PlanConfig, UpdateOptions, compile};

/// Kind of an op; of a convolution also its channels.
fn name(op: &Op) -> String {
    let text = format!("{op:?}");
    let kind = text.split(['(', ' ']).next().unwrap_or_default();
    match op {
        Op::Conv(Conv { shape, .. })
        | Op::ConvInputGradient(ConvInputGradient { shape, .. })
        | Op::ConvWeightGradient(ConvWeightGradient { shape, .. }) => {
            format!("{kind} {}→{}", shape.channels, shape.out_channels)
        }
        _ => kind.to_owned(),
    }
}

/// Memory of a plan with initial weights and one batch of random inputs in it.
fn memory(plan: &Plan, batch: usize) -> Result<Slots, Box<dyn Error>> {
    let mut slots = Slots::placed(&plan.slots, plan.places());
    for (param, value) in plan.params.iter().zip(init(&plan.model, 1)) {
        slots.words_mut(param.weight).copy_from_slice(bytemuck::cast_slice(&value.values));
    }
    let key = hash::key(1, 1, 1);
    // Half of the inputs are zero, as pixels are.
    let input = |i: u32| {
        let h = hash::bits(key, i);
        if h & 1 == 0 { 0.0 } else { (h >> 8) as f32 / 16_777_216.0 }
    };
    for (i, word) in slots.words_mut(plan.dense).iter_mut().enumerate() {
        *word = input(i as u32).to_bits();
    }
    for (i, word) in slots.words_mut(plan.targets).iter_mut().enumerate() {
        *word = hash::mix(i as u32) % plan.model.head.outputs() as u32;
    }
    slots.words_mut(plan.sample_weights).fill(1f32.to_bits());
    let params = StepParams { step: 1, learning_rate: 1e-3, seed: 1 };
    let words = host::step_words(plan, batch, &params);
    slots.words_mut(plan.step)[..words.len()].copy_from_slice(&words);
    Ok(slots)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn profile(title: &str, plan: &Plan, full_stats: bool, steps: usize) -> Result<(), Box<dyn Error>> {
    let mut slots = memory(plan, plan.config.batch)?;
    slots.full_stats = full_stats;
    let mut times: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut whole = Vec::new();
    rayon::scope(|_| {
        for step in 0..steps + 3 {
            let mut own: BTreeMap<String, f64> = BTreeMap::new();
            let begin = Instant::now();
            for op in &plan.train_step {
                let start = Instant::now();
                op.cpu(&mut slots);
                *own.entry(name(op)).or_default() += start.elapsed().as_secs_f64() * 1e3;
            }
            // The first steps warm the caches up.
            if step >= 3 {
                whole.push(begin.elapsed().as_secs_f64() * 1e3);
                for (name, time) in own {
                    times.entry(name).or_default().push(time);
                }
            }
        }
    });
    println!("{title}: {:.2} ms a step", median(&mut whole));
    let mut rows: Vec<(String, f64, f64, usize)> = times
        .into_iter()
        .map(|(kind, mut list)| {
            let middle = median(&mut list);
            let calls = plan.train_step.iter().filter(|op| name(op) == kind).count();
            (kind, middle, list.first().copied().unwrap_or_default(), calls)
        })
        .collect();
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    println!("  {:<26} {:>5} {:>9} {:>9}", "op", "calls", "median", "least");
    for (kind, middle, least, calls) in &rows {
        println!("  {kind:<26} {calls:>5} {middle:>9.3} {least:>9.3}");
    }
    let rest = rows.iter().filter(|r| r.0 != "Gemm");
    let (middle, least) = rest.fold((0.0, 0.0), |sum, r| (sum.0 + r.1, sum.1 + r.2));
    println!("  {:<26} {:>5} {middle:>9.3} {least:>9.3}\n", "all but Gemm", "");
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let steps = arguments.next().map_or(Ok(60), |a| a.parse())?;
    let batch = arguments.next().map_or(Ok(256), |a| a.parse())?;
    let widths = arguments.next().unwrap_or_else(|| "784,512,512,10".to_owned());
    let model = if widths == "cnn" {
        let image = ImageShape { height: 28, width: 28, channels: 1 };
        ModelSpec::cnn(image, &CnnOptions::default(), Head::Classes { count: 10 })
    } else {
        let widths = widths.split(',').map(str::parse).collect::<Result<Vec<usize>, _>>()?;
        let [input, hidden @ .., count] = widths.as_slice() else {
            return Err("give at least two widths".into());
        };
        let (input, head) = (InputSpec::features(*input), Head::Classes { count: *count });
        ModelSpec::mlp(input, hidden, Activation::Relu, false, 0.0, false, head)
    };
    println!("{} threads, {}", rayon::current_num_threads(), fp8_studio::fp8::slice::simd_name());
    for (title, precision, full) in [
        ("FP8, all statistics", Precision::Fp8(Recipe::current()), true),
        ("FP8, amax and scale only", Precision::Fp8(Recipe::current()), false),
        ("bf16", Precision::Bf16, false),
        ("f32", Precision::F32, false),
    ] {
        let config = PlanConfig {
            batch,
            precision,
            optimizer: Optimizer::default(),
            update: UpdateOptions::default(),
        };
        profile(title, &compile(&model, &config)?, full, steps)?;
    }
    Ok(())
}

//! Memory and time of training the small convolutional network, by ledger and as the system sees it.
//!
//! ```text
//! cargo run --release --example memory -- [batch]
//! ```
//!
//! Every row of the table is a process of its own that trains, evaluates and reports by how much its
//! resident memory, without that of the program file, rose at most over what it was before the engine
//! opened, seen after every step (Linux only). The network: 28 × 28 pixels, 3 × 3 filters of 32 and 64 channels, poolings, 128 units, AdamW, batches of 256.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::process::Command;

use fp8_studio::engine::cpu::CpuEngine;
use fp8_studio::engine::preflight::predicted;
use fp8_studio::engine::{Batch, Engine, StepParams};
use fp8_studio::fp8::{Precision, Recipe, hash};
use fp8_studio::model::init::init;
use fp8_studio::model::{CnnOptions, Head, ImageShape, ModelSpec};
use fp8_studio::plan::{
    MasterFormat, MomentFormat, Optimizer, PlanConfig, Purpose, UpdateOptions, compile, memory,
};

/// Steps that are timed, and those before them.
const STEPS: u64 = 30;
/// See [`STEPS`].
const WARM_UP: u64 = 3;

/// Name, precision, and whether memory is spared.
fn cases() -> Vec<(String, Precision, bool)> {
    let mut list = vec![("f32".to_owned(), Precision::F32), ("bf16".to_owned(), Precision::Bf16)];
    let recipes = Recipe::NAMED.iter();
    list.extend(recipes.map(|(name, recipe)| (format!("fp8 {name}"), Precision::Fp8(*recipe))));
    let both =
        |lean| move |(name, precision): &(String, Precision)| (name.clone(), *precision, lean);
    list.iter().map(both(false)).chain(list.iter().map(both(true))).collect()
}

/// A line of `/proc/self/status`, in bytes.
fn status(name: &str) -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok().map(|kib| kib * 1024.0)
}

fn batch(model: &ModelSpec, rows: usize, seed: u32) -> Batch {
    let key = hash::key(seed, 1, 1);
    let pixel = |i: u32| (hash::bits(key, i) >> 8) as f32 / 16_777_216.0;
    Batch {
        rows,
        dense: (0..(rows * model.input.dense) as u32).map(pixel).collect(),
        targets: (0..rows as u32).map(|i| hash::mix(i + seed) % 10).collect(),
        ..Batch::default()
    }
}

/// Seconds that all threads of this process have computed.
fn processor_time() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(|f| f.parse::<f64>().ok());
    Some(ticks.sum::<Option<f64>>()? / 100.0)
}

/// Trains and prints: bytes by ledger, bytes of its moments, measured bytes of training and of
/// training and evaluation, milliseconds of computing per step.
fn measure(precision: Precision, lean: bool, rows: usize) -> Result<(), Box<dyn Error>> {
    let image = ImageShape { height: 28, width: 28, channels: 1 };
    let model = ModelSpec::cnn(image, &CnnOptions::default(), Head::Classes { count: 10 });
    let mut update = UpdateOptions { lean, ..UpdateOptions::default() };
    if lean {
        (update.moments, update.master) = (MomentFormat::Fp8, MasterFormat::Bf16);
    }
    let config = PlanConfig { batch: rows, precision, optimizer: Optimizer::default(), update };
    let plan = compile(&model, &config)?;
    let ledger = predicted(&plan);
    let params = init(&model, 1);
    let batch = batch(&model, rows, 1);
    rayon::join(|| (), || ());
    let resident = || status("RssAnon").ok_or("no /proc/self/status");
    let before = resident()?;
    let mut engine = CpuEngine::open(plan)?;
    engine.load_params(&params)?;
    let (mut begin, mut training) = (None, 0.0f64);
    for step in 1..=STEPS + WARM_UP {
        let params = StepParams { step, learning_rate: 1e-3, seed: 1 };
        engine.train(std::slice::from_ref(&batch), &[params])?;
        training = training.max(resident()? - before);
        if step == WARM_UP {
            begin = processor_time();
        }
    }
    let time = processor_time().zip(begin).map_or(0.0, |(end, begin)| end - begin);
    engine.prepare_eval()?;
    engine.evaluate(&batch)?;
    let all = training.max(resident()? - before);
    let moments = ledger.get(&Purpose::Moment).copied().unwrap_or_default();
    let milliseconds = 1e3 * time / STEPS as f64;
    println!("{} {moments} {training} {all} {milliseconds}", memory::total(&ledger));
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let batch = arguments.first().map_or(Ok(256), |a| a.parse())?;
    let cases = cases();
    if let Some(case) = arguments.get(1).map(|a| a.parse::<usize>()).transpose()? {
        let (_, precision, lean) = cases.get(case).ok_or("no such case")?;
        return measure(*precision, *lean, batch);
    }
    println!("{} threads, batches of {batch}", rayon::current_num_threads());
    println!(
        "| run | ledger, MB | of f32 | moments, MB | training, MB | of f32 | and evaluation, MB \
         | processor time of a step, ms |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut usual: Option<(f64, f64)> = None;
    for (i, (name, _, lean)) in cases.iter().enumerate() {
        let program = std::env::current_exe()?;
        let out = Command::new(program).args([batch.to_string(), i.to_string()]).output()?;
        let text = String::from_utf8_lossy(&out.stdout);
        let numbers: Vec<f64> = text.split_whitespace().flat_map(str::parse).collect();
        let [ledger, moments, rise, with_eval, time] = numbers[..] else {
            return Err(String::from_utf8_lossy(&out.stderr).into());
        };
        let (all, risen) = *usual.get_or_insert((ledger, rise));
        let name = if *lean { format!("{name}, lean") } else { name.clone() };
        let (share, risen_share) = (100.0 * ledger / all, 100.0 * rise / risen);
        let [ledger, moments, rise, with_eval] =
            [ledger, moments, rise, with_eval].map(|b| b / 1e6);
        println!(
            "| {name} | {ledger:.2} | {share:.0} % | {moments:.2} | {rise:.2} | {risen_share:.0} % \
             | {with_eval:.2} | {time:.1} |"
        );
    }
    Ok(())
}

//! Whole plans on both engines.

use std::time::Duration;

use fp8_studio::device::{self, DeviceChoice};
use fp8_studio::engine::cpu::CpuEngine;
use fp8_studio::engine::pace::Pacer;
use fp8_studio::engine::wgpu::WgpuEngine;
use fp8_studio::engine::{self, Batch, Engine, EngineInfo, StepParams, host};
use fp8_studio::error::EngineError;
use fp8_studio::fp8::{AmaxAlgorithm, Precision, Recipe, Scaling};
use fp8_studio::kernels::Op;
use fp8_studio::model::init::init;
use fp8_studio::model::{Activation, EmbeddingSpec, Head, InputSpec, ModelSpec};
use fp8_studio::plan::{Optimizer, Plan, PlanConfig, UpdateOptions, compile};

use crate::pair::{Layout, gpu, numbers};

const BATCH: usize = 21;
const STEPS: usize = 20;

/// Relative difference allowed between the loss curves of the engines over 20 steps.
///
/// The engines add f32 terms in different orders, which moves a value by a few 2^-24 of itself and
/// now and then across the border between two FP8 codes. A code is a step of at most 2^-3 of one
/// element out of the hundreds that a loss here is made of, and few flip: some 1e-4 of the loss per
/// flip, and AdamW's normalised updates neither grow nor forget it within 20 steps. In f32 there is
/// no such border, and only rounding is left.
const FP8_CURVE: f32 = 1e-3;
const F32_CURVE: f32 = 1e-5;

fn model(activation: Activation, extras: bool, head: Head) -> ModelSpec {
    // Wider than the blocks of every recipe.
    let embeddings = if extras {
        [("colour", 5, 3), ("town", 9, 4)]
            .map(|(name, cardinality, dim)| EmbeddingSpec { name: name.into(), cardinality, dim })
            .to_vec()
    } else {
        Vec::new()
    };
    let input = InputSpec { dense: 7, embeddings, image: None };
    let dropout = if extras { 0.2 } else { 0.0 };
    ModelSpec::mlp(input, &[135, 18], activation, extras, dropout, false, head)
}

fn batch(model: &ModelSpec, rows: usize, salt: u32) -> Batch {
    let dense = numbers(rows * model.input.dense, salt);
    let columns = model.input.embeddings.len();
    let cardinality = |c: usize| model.input.embeddings[c].cardinality;
    let sums = dense.chunks(model.input.dense).map(|row| row.iter().sum::<f32>());
    let targets = sums.map(|sum| match model.head {
        Head::Classes { count } => ((sum + 4.0) * 1.7) as u32 % count as u32,
        Head::Regression => (sum * 0.5).to_bits(),
    });
    Batch {
        rows,
        targets: targets.collect(),
        categories: (0..rows * columns)
            .map(|i| (i * 7 + salt as usize) % cardinality(i % columns))
            .map(|i| i as u32)
            .collect(),
        weights: (0..rows).map(|r| 0.5 + (r % 3) as f32 / 2.0).collect(),
        dense,
    }
}

fn plan(model: &ModelSpec, precision: Precision, optimizer: Optimizer) -> Plan {
    compile(
        model,
        &PlanConfig { batch: BATCH, precision, optimizer, update: UpdateOptions::default() },
    )
    .unwrap()
}

/// 20 batches, short ones among them.
fn batches(model: &ModelSpec) -> (Vec<Batch>, Vec<StepParams>) {
    let rows = |s: usize| if s % 4 == 3 { BATCH - 4 } else { BATCH };
    let batches = (0..STEPS).map(|s| batch(model, rows(s), 100 + s as u32)).collect();
    let steps =
        (1..=STEPS as u64).map(|step| StepParams { step, learning_rate: 0.01, seed: 5 }).collect();
    (batches, steps)
}

/// Delayed scales that change within a few steps, and random rounding.
fn restless() -> Precision {
    Precision::Fp8(Recipe {
        scaling: Scaling::Delayed { history: 4, algorithm: AmaxAlgorithm::Max },
        stochastic_gradients: true,
        ..Recipe::delayed()
    })
}

fn precisions() -> Vec<Precision> {
    let named = Recipe::NAMED.map(|(_, recipe)| Precision::Fp8(recipe));
    [Precision::F32, Precision::Bf16, restless()].into_iter().chain(named).collect()
}

const SGD: Optimizer = Optimizer::Sgd { momentum: 0.9, weight_decay: 1e-3 };

/// The largest relative difference, or NaN if there is one anywhere.
fn curve_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs() / a.abs())
        .fold(0.0, |m, d| if d.is_nan() || m.is_nan() { f32::NAN } else { m.max(d) })
}

/// Every op of a plan, in order and from the same bits each: FP8 bytes, scales, counts and copies
/// are identical, f32 results within the tolerance of their op.
fn lockstep(model: &ModelSpec, precision: Precision, optimizer: Optimizer) {
    let plan = plan(model, precision, optimizer);
    let mut layout = Layout::default();
    for buffer in &plan.buffers {
        layout.words(&vec![0; buffer.words]);
    }
    let mut pair = layout.pair(gpu());
    for (param, values) in plan.params.iter().zip(init(model, 1)) {
        pair.write(param.weight, bytemuck::cast_slice(&values.values));
    }
    let mut quantised = 0;
    for step in 1..=2 {
        let params = StepParams { step, learning_rate: 0.01, seed: 5 };
        let batch = batch(model, BATCH - 2, step as u32);
        host::stage(&plan, &batch, &params, &host::equal_weights(&plan), |id, words| {
            pair.write(id, words);
            Ok(())
        })
        .unwrap();
        for op in plan.train_step.iter().chain(&plan.prepare_eval).chain(&plan.eval_step) {
            quantised += usize::from(matches!(op, Op::Quantise(_)));
            pair.run(op).unwrap();
        }
    }
    assert_eq!(quantised > 0, precision.recipe().is_some());
}

#[test]
fn every_op_of_a_plan_agrees_in_lockstep() {
    let classes = Head::Classes { count: 4 };
    for precision in precisions() {
        lockstep(&model(Activation::Gelu, true, classes), precision, Optimizer::default());
        lockstep(&model(Activation::Silu, false, Head::Regression), precision, SGD);
    }
}

#[test]
fn twenty_steps_give_the_same_first_bytes_and_the_same_curve() {
    let classes = Head::Classes { count: 4 };
    let cases = [
        (model(Activation::Relu, false, classes), Optimizer::default()),
        (model(Activation::Gelu, true, classes), SGD),
        (model(Activation::Silu, false, Head::Regression), Optimizer::default()),
    ];
    for precision in precisions() {
        for (model, optimizer) in &cases {
            let plan = plan(model, precision, *optimizer);
            let mut engines: [Box<dyn Engine>; 2] = [
                Box::new(CpuEngine::open(plan.clone()).unwrap()),
                Box::new(WgpuEngine::open(plan.clone(), true).unwrap()),
            ];
            let (batches, steps) = batches(model);
            for engine in &mut engines {
                engine.load_params(&init(model, 2)).unwrap();
            }

            // Step 1: what was quantised from the same f32 bits has the same bytes.
            let first = engines.each_mut().map(|e| e.train(&batches[..1], &steps[..1]).unwrap());
            let mut compared = 0;
            for quantised in plan.params.iter().filter_map(|p| p.quantised) {
                for id in [quantised.packed, quantised.scales] {
                    let [native, gpu] = engines.each_mut().map(|e| e.read(id).unwrap());
                    assert_eq!(native, gpu);
                    compared += native.len();
                }
            }
            assert_eq!(compared > 0, precision.recipe().is_some());
            let [native, gpu] = engines.each_mut().map(|e| e.stats().unwrap());
            for ((n, g), watched) in native.iter().zip(&gpu).zip(&plan.watched) {
                if watched.name == "dense1.input" || watched.name.ends_with(".weight") {
                    let mut g = g.clone();
                    assert!((g.signal - n.signal).abs() <= 1e-5 * n.signal);
                    assert!((g.error - n.error).abs() <= 1e-5 * n.error);
                    (g.signal, g.error) = (n.signal, n.error);
                    assert_eq!(*n, g, "{}", watched.name);
                }
            }

            let rest = engines.each_mut().map(|e| e.train(&batches[1..], &steps[1..]).unwrap());
            let [native, gpu] = [0, 1].map(|i| [&first[i][..], &rest[i][..]].concat());
            let allowed = if precision == Precision::F32 { F32_CURVE } else { FP8_CURVE };
            let difference = curve_difference(&native, &gpu);
            assert!(difference <= allowed, "{difference} {precision:?}\n{native:?}\n{gpu:?}");
            assert!(native[STEPS - 1] < native[0], "it learns: {native:?}");

            // Evaluation, on more, fewer and no rows, and without targets.
            let [native, gpu] = engines.each_mut().map(|engine| {
                engine.prepare_eval().unwrap();
                let mut all = Vec::new();
                for rows in [BATCH, 1, 0] {
                    let (outputs, loss) = engine.evaluate(&batch(model, rows, 9)).unwrap();
                    assert_eq!(outputs.len(), rows * model.head.outputs());
                    all.extend(outputs);
                    all.push(loss);
                }
                let bare = Batch { targets: Vec::new(), ..batch(model, 3, 9) };
                all.extend(engine.evaluate(&bare).unwrap().0);
                all
            });
            let size = native.iter().fold(0f32, |m, v| m.max(v.abs()));
            for (n, g) in native.iter().zip(&gpu) {
                assert!((n - g).abs() <= 5.0 * allowed * size, "{n} {g} {precision:?}");
            }
        }
    }
}

#[test]
fn the_curve_comparison_notices_a_different_run() {
    let model = model(Activation::Relu, false, Head::Classes { count: 4 });
    let (batches, mut steps) = batches(&model);
    let run = |precision, optimizer, steps: &[StepParams]| {
        let mut engine = CpuEngine::open(plan(&model, precision, optimizer)).unwrap();
        engine.load_params(&init(&model, 2)).unwrap();
        engine.train(&batches, steps).unwrap()
    };
    let current = Precision::Fp8(Recipe::current());
    let right = run(current, Optimizer::default(), &steps);
    assert_eq!(curve_difference(&right, &right), 0.0);
    // f32 instead of FP8, and one step with a learning rate 10 % off.
    let unquantised = run(Precision::F32, Optimizer::default(), &steps);
    assert!(curve_difference(&right, &unquantised) > FP8_CURVE);
    steps[1].learning_rate *= 1.1;
    let other_rate = run(current, Optimizer::default(), &steps);
    assert!(curve_difference(&right, &other_rate) > FP8_CURVE);
    let mut broken = right.clone();
    broken[7] = f32::NAN;
    assert!(curve_difference(&right, &broken).is_nan());
}

#[test]
fn steps_together_or_alone_give_the_same_bits() {
    let model = model(Activation::Relu, true, Head::Classes { count: 4 });
    let delayed = restless();
    let (batches, steps) = batches(&model);
    let mut outcome = Vec::new();
    for group in [STEPS, 1, 7] {
        let plan = plan(&model, delayed, Optimizer::default());
        let mut engine = WgpuEngine::open(plan, true).unwrap();
        engine.load_params(&init(&model, 2)).unwrap();
        let mut losses = Vec::new();
        for (batches, steps) in batches.chunks(group).zip(steps.chunks(group)) {
            losses.extend(engine.train(batches, steps).unwrap().into_iter().map(f32::to_bits));
        }
        let params = engine.read_params().unwrap();
        let bits: Vec<u32> = params.iter().flat_map(|p| &p.values).map(|v| v.to_bits()).collect();
        outcome.push((losses, bits, engine.stats().unwrap()));
    }
    assert_eq!(outcome[0], outcome[1]);
    assert_eq!(outcome[0], outcome[2]);
}

/// A device on which nothing is fast enough gets one kernel call at a time, one that is fast whole
/// steps; the numbers are the same.
#[test]
fn submissions_of_any_size_give_the_same_bits() {
    let model = model(Activation::Relu, true, Head::Classes { count: 4 });
    let (batches, steps) = batches(&model);
    let run = |target: Duration| {
        let plan = plan(&model, restless(), Optimizer::default());
        let mut engine = WgpuEngine::open(plan, true).unwrap();
        engine.set_pace(Pacer::new(target));
        engine.load_params(&init(&model, 2)).unwrap();
        engine.train(&batches[..1], &steps[..1]).unwrap();
        let first = engine.pace().largest();
        engine.set_pace(Pacer::new(target));
        while engine.pace().calls() > 1 && target.is_zero() {
            engine.prepare_eval().unwrap();
        }
        let before = engine.pace().largest();
        let losses = engine.train(&batches[1..], &steps[1..]).unwrap();
        engine.prepare_eval().unwrap();
        let (outputs, loss) = engine.evaluate(&batches[0]).unwrap();
        let params = engine.read_params().unwrap();
        let bits: Vec<u32> = losses
            .iter()
            .chain(params.iter().flat_map(|p| &p.values))
            .chain(&outputs)
            .chain([&loss])
            .map(|v| v.to_bits())
            .collect();
        (bits, engine.stats().unwrap(), first, before, engine.pace().largest())
    };
    let (bits, stats, first, before, largest) = run(Duration::ZERO);
    // Only the very first submissions, sized without knowing the device, hold more than one call.
    assert!(first <= 8 && before <= 8 && largest == before, "{first} {before} {largest}");
    let (many, many_stats, _, _, largest) = run(Duration::from_secs(3600));
    assert!(largest > 60, "{largest}");
    assert_eq!(bits, many);
    assert_eq!(stats, many_stats);
}

#[test]
fn reading_and_writing_whole_buffers() {
    let model = model(Activation::Relu, false, Head::Regression);
    let plan = plan(&model, Precision::F32, SGD);
    let mut engine = WgpuEngine::open(plan.clone(), true).unwrap();
    let weight = plan.params[0].weight;
    let words = plan.buffers[weight.index()].words;
    assert_eq!(engine.read(weight).unwrap(), vec![0; words]);
    let values: Vec<u32> = (0..words as u32).collect();
    engine.write(weight, &values).unwrap();
    assert_eq!(engine.read(weight).unwrap(), values);
    assert!(matches!(engine.write(weight, &values[1..]), Err(EngineError::Shape { .. })));
    let unknown = fp8_studio::kernels::BufferId(9999);
    assert!(matches!(engine.read(unknown), Err(EngineError::Shape { .. })));
    assert!(matches!(engine.write(unknown, &[0]), Err(EngineError::Shape { .. })));

    let params = init(&model, 3);
    engine.load_params(&params).unwrap();
    assert_eq!(engine.read_params().unwrap(), params);
    assert!(matches!(engine.info(), EngineInfo::Gpu(_)));
    assert!(engine.self_test().passed());
}

#[test]
fn bad_batches_are_refused() {
    let model = model(Activation::Relu, false, Head::Classes { count: 4 });
    let plan = plan(&model, Precision::F32, SGD);
    let mut engine = WgpuEngine::open(plan, true).unwrap();
    let step = StepParams { step: 1, learning_rate: 0.1, seed: 0 };
    let good = batch(&model, 3, 1);
    for bad in [
        batch(&model, BATCH + 1, 1),
        batch(&model, 0, 1),
        Batch { rows: 4, ..good.clone() },
        Batch { targets: vec![0, 9, 0], ..good.clone() },
    ] {
        assert!(matches!(engine.train(&[bad], &[step]), Err(EngineError::Shape { .. })));
    }
    assert!(engine.train(std::slice::from_ref(&good), &[]).is_err());
    assert_eq!(engine.train(&[], &[]).unwrap(), Vec::<f32>::new());
    assert!(engine.train(&[good], &[step]).unwrap()[0].is_finite());
}

#[test]
fn a_lost_device_is_reported_and_nothing_panics() {
    let model = model(Activation::Relu, false, Head::Classes { count: 4 });
    let plan = plan(&model, Precision::Fp8(Recipe::current()), SGD);
    let mut engine = WgpuEngine::open(plan.clone(), true).unwrap();
    let (batches, steps) = batches(&model);
    engine.train(&batches[..2], &steps[..2]).unwrap();
    engine.gpu().destroy();
    let lost = |e| matches!(e, EngineError::DeviceLost(_));
    assert!(lost(engine.train(&batches, &steps).unwrap_err()));
    assert!(lost(engine.train(&batches, &steps).unwrap_err()), "and it stays lost");
    assert!(lost(engine.prepare_eval().unwrap_err()));
    assert!(lost(engine.evaluate(&batches[0]).unwrap_err()));
    assert!(lost(engine.read(plan.stats).unwrap_err()));
    assert!(lost(engine.write(plan.loss_sum, &[0]).unwrap_err()));
    assert!(lost(engine.stats().unwrap_err()));
}

#[test]
fn a_plan_too_large_for_the_adapter_is_refused_before_anything_is_created() {
    let model = model(Activation::Relu, false, Head::Classes { count: 4 });
    let mut plan = plan(&model, Precision::F32, SGD);
    let slot = plan.buffers[plan.dense.index()].slot;
    plan.slots[slot] = 1 << 40;
    match WgpuEngine::open(plan, true).map(|e| e.info()) {
        Err(EngineError::OutOfMemory { what, needed, available }) => {
            assert_eq!((what.as_str(), needed), ("dense", 1 << 42));
            assert!(available < needed);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_choice_of_device_is_followed() {
    let model = model(Activation::Relu, false, Head::Regression);
    let plan = plan(&model, Precision::F32, SGD);
    let (engine, why) = engine::open(DeviceChoice::Gpu, plan.clone()).unwrap();
    assert!(matches!(engine.info(), EngineInfo::Gpu(_)) && why.is_none());

    let real = device::adapters().iter().any(|a| !a.software);
    let (engine, why) = engine::open(DeviceChoice::Auto, plan).unwrap();
    match engine.info() {
        EngineInfo::Gpu(info) => assert!(real && !info.software && why.is_none()),
        EngineInfo::Cpu { .. } => {
            let why = why.unwrap();
            assert!(real || why.contains("software renderer"), "{why}");
        }
    }
}

//! Plans that trade time for memory: the same numbers from fewer bytes.

use fp8_studio::engine::cpu::CpuEngine;
use fp8_studio::engine::preflight::predicted;
use fp8_studio::engine::wgpu::WgpuEngine;
use fp8_studio::engine::{Batch, Engine, StepParams};
use fp8_studio::fp8::stats::STAT_WORDS;
use fp8_studio::fp8::{Precision, Recipe, hash};
use fp8_studio::kernels::{Op, gemm_bf16};
use fp8_studio::model::init::init;
use fp8_studio::model::{
    Activation, CnnOptions, Head, ImageShape, InputSpec, ModelSpec, ResNetOptions, SeparableOptions,
};
use fp8_studio::plan::memory::{check, total};
use fp8_studio::plan::{
    MasterFormat, MomentFormat, Optimizer, Plan, PlanConfig, Purpose, UpdateOptions, compile,
};

use crate::pair::numbers;

const HEAD: Head = Head::Classes { count: 3 };

fn plan(model: &ModelSpec, precision: Precision, batch: usize, update: UpdateOptions) -> Plan {
    let config = PlanConfig { batch, precision, optimizer: Optimizer::default(), update };
    compile(model, &config).unwrap()
}

fn plain() -> UpdateOptions {
    UpdateOptions::default()
}

fn lean() -> UpdateOptions {
    UpdateOptions { lean: true, ..plain() }
}

/// Odd sizes, so that words of rows have few common factors.
fn odd() -> ModelSpec {
    let image = ImageShape { height: 9, width: 8, channels: 2 };
    let options = CnnOptions { channels: vec![6, 9], dense: vec![20], ..CnnOptions::default() };
    ModelSpec::cnn(image, &options, HEAD)
}

/// 28 × 28 pixels; 3 × 3 filters of 32 and 64 channels, poolings, 128 units.
fn small_cnn() -> ModelSpec {
    let image = ImageShape { height: 28, width: 28, channels: 1 };
    ModelSpec::cnn(image, &CnnOptions::default(), Head::Classes { count: 10 })
}

fn precisions() -> Vec<Precision> {
    let stochastic = Recipe { stochastic_gradients: true, ..Recipe::rowwise() };
    let recipes = Recipe::NAMED.iter().map(|(_, recipe)| *recipe).chain([stochastic]);
    recipes.map(Precision::Fp8).chain([Precision::F32, Precision::Bf16]).collect()
}

fn parts(plan: &Plan) -> usize {
    plan.buffers.iter().filter(|b| b.part.is_some()).count()
}

#[test]
fn lean_plans_are_sound() {
    let image = ImageShape { height: 9, width: 8, channels: 2 };
    let input = InputSpec::features(30);
    let models = [
        odd(),
        small_cnn(),
        ModelSpec::resnet(image, &ResNetOptions::default(), HEAD),
        ModelSpec::depthwise_separable(image, &SeparableOptions::default(), HEAD),
        ModelSpec::mlp(input, &[40, 30], Activation::Relu, true, 0.1, false, HEAD),
    ];
    for model in &models {
        for precision in precisions() {
            for batch in [1, 2, 63, 64, 70, 130, 256] {
                for update in [lean(), UpdateOptions { clip_norm: Some(1.0), ..lean() }] {
                    let plan = plan(model, precision, batch, update);
                    assert_eq!(check(&plan), Vec::<String>::new(), "{precision:?} {batch}");
                }
            }
        }
    }
    let cut = |precision, batch| parts(&plan(&odd(), precision, batch, lean()));
    for precision in precisions() {
        let recipe = precision.recipe();
        // A product that takes f32 needs the whole tensor.
        let whole = precision == Precision::F32
            || recipe == Some(Recipe::rowwise_high_precision_weight_gradient());
        assert_eq!(cut(precision, 130) == 0, whole, "{precision:?}");
        assert_eq!(parts(&plan(&odd(), precision, 130, plain())), 0);
    }
}

#[test]
fn faults_in_parts_are_found() {
    let good = plan(&odd(), Precision::Fp8(Recipe::mx()), 130, lean());
    let part = |plan: &Plan| plan.buffers.iter().position(|b| b.part.is_some()).unwrap();
    let finds = |change: &dyn Fn(&mut Plan), word: &str| {
        let mut bad = good.clone();
        change(&mut bad);
        let faults = check(&bad);
        assert!(faults.iter().any(|f| f.contains(word)), "{word}: {faults:?}");
    };
    let at = part(&good);
    let move_by = |plan: &mut Plan, words: usize| {
        let part = plan.buffers[at].part.as_mut().unwrap();
        part.1 += words;
    };
    finds(&|p| move_by(p, 1), "no part of");
    finds(&|p| move_by(p, 1 << 20), "no part of");
    finds(&|p| p.buffers[at].slot += 1, "no part of");
    // Rows of a tensor that nobody wrote.
    let later = |op: &Op| matches!(op, Op::Quantise(q) if q.first_row > 0);
    let gone = good.train_step.iter().position(later).unwrap();
    finds(
        &|p| {
            p.train_step.remove(gone);
        },
        "before it is written",
    );
}

/// A training step's batch; the last rows of the plan's batch are padding.
fn batch(model: &ModelSpec, rows: usize, step: u32) -> Batch {
    let classes = model.head.outputs() as u32;
    Batch {
        rows,
        dense: numbers(rows * model.input.dense, step),
        targets: (0..rows as u32).map(|r| hash::mix(r + step) % classes).collect(),
        ..Batch::default()
    }
}

/// What a step leaves: its loss, statistics without energies, and all parameters.
type Outcome = (f32, Vec<Vec<u32>>, Vec<(String, Vec<f32>)>);

fn one_step(engine: &mut dyn Engine, rows: usize) -> Outcome {
    let model = engine.plan().model.clone();
    engine.load_params(&init(&model, 2)).unwrap();
    // As if every tensor had been this large before.
    let history = engine.plan().history;
    let words = engine.plan().buffers[history.index()].words;
    engine.write(history, &vec![3f32.to_bits(); words]).unwrap();
    let params = StepParams { step: 1, learning_rate: 1e-3, seed: 5 };
    let loss = engine.train(&[batch(&model, rows, 1)], &[params]).unwrap()[0];
    let stats = engine.read(engine.plan().stats).unwrap();
    let stats = stats.chunks_exact(STAT_WORDS).map(|s| [&s[..7], &s[16..]].concat()).collect();
    let values = engine.read_params().unwrap().into_iter().map(|p| (p.name, p.values)).collect();
    (loss, stats, values)
}

/// Codes of every tensor are those of the whole matrices, so all but the sums of bias gradients,
/// which are added part by part, are the same bits. `exact` says whether products of a few rows have
/// the bits of those of many.
fn assert_same(a: &Outcome, b: &Outcome, exact: bool, what: &str) {
    if !exact {
        assert!((a.0 - b.0).abs() < 1e-5, "{what}: {} {}", a.0, b.0);
        return;
    }
    assert_eq!(a.0.to_bits(), b.0.to_bits(), "{what}: {} {}", a.0, b.0);
    assert_eq!(a.1, b.1, "{what}");
    for ((name, a), (_, b)) in a.2.iter().zip(&b.2) {
        if name.starts_with("conv") && name.ends_with(".bias") {
            // AdamW's first step moves every bias by the learning rate, whatever its gradient.
            let near = a.iter().zip(b).filter(|(a, b)| (*a - *b).abs() < 1e-5).count();
            assert!(near * 10 >= a.len() * 9, "{what}: {name}");
        } else {
            assert_eq!(a, b, "{what}: {name}");
        }
    }
}

#[test]
fn a_step_in_parts_has_the_codes_of_a_whole_one() {
    for model in [odd(), small_cnn()] {
        for precision in precisions() {
            let step = |update| {
                let plan = plan(&model, precision, 130, update);
                one_step(&mut CpuEngine::open(plan).unwrap(), 127)
            };
            let (whole, cut) = (step(plain()), step(lean()));
            assert_same(&whole, &cut, gemm_bf16::available(), &format!("{precision:?}"));
            if precision.recipe().is_some() {
                let used = whole.1.iter().filter(|s| s[2] > 0).count();
                assert_eq!(used, whole.1.len());
            }
        }
    }
}

#[test]
fn a_gpu_takes_the_same_parts() {
    let model = odd();
    for recipe in [Recipe::current(), Recipe::delayed(), Recipe::mx(), Recipe::rowwise()] {
        let precision = Precision::Fp8(recipe);
        let cut = plan(&model, precision, 130, lean());
        let whole = plan(&model, precision, 130, plain());
        assert!(parts(&cut) > 0);
        let mut engine = WgpuEngine::open(cut.clone(), true).unwrap();
        let lean = one_step(&mut engine, 127);
        let gpu = one_step(&mut WgpuEngine::open(whole, true).unwrap(), 127);
        assert_same(&gpu, &lean, true, &format!("{recipe:?}"));
        // And further on, as the CPU does.
        let mut native = CpuEngine::open(cut).unwrap();
        one_step(&mut native, 127);
        for step in 2..=4u32 {
            let params = StepParams { step: step.into(), learning_rate: 1e-3, seed: 5 };
            let rows = if step == 3 { 65 } else { 130 };
            let batch = [batch(&model, rows, step)];
            let a = engine.train(&batch, &[params]).unwrap()[0];
            let b = native.train(&batch, &[params]).unwrap()[0];
            assert!((a - b).abs() <= 2e-2 * (1.0 + b.abs()), "{recipe:?} {step}: {a} {b}");
        }
        engine.prepare_eval().unwrap();
        native.prepare_eval().unwrap();
        let batch = batch(&model, 101, 9);
        let (a, b) = (engine.evaluate(&batch).unwrap(), native.evaluate(&batch).unwrap());
        assert_eq!(a.0.len(), 303);
        assert!(a.0.iter().zip(&b.0).all(|(a, b)| (a - b).abs() < 0.05), "{recipe:?}");
        assert!((a.1 - b.1).abs() < 0.05 * b.1.abs());
    }
}

#[test]
fn an_evaluation_in_parts_gives_the_answers_of_a_whole_one() {
    let model = small_cnn();
    let precision = Precision::Fp8(Recipe::mx());
    let evaluate = |update, rows| {
        let plan = plan(&model, precision, 130, update);
        assert_eq!(plan.eval_rows < 130, update.lean);
        let mut engine = CpuEngine::open(plan).unwrap();
        engine.load_params(&init(&model, 2)).unwrap();
        engine.prepare_eval().unwrap();
        engine.evaluate(&batch(&model, rows, 3)).unwrap()
    };
    for rows in [1, 33, 34, 130] {
        let (whole, cut) = (evaluate(plain(), rows), evaluate(lean(), rows));
        assert_eq!(whole.0.len(), cut.0.len());
        assert!(whole.0.iter().zip(&cut.0).all(|(a, b)| (a - b).abs() < 1e-5));
        assert!((whole.1 - cut.1).abs() < 1e-4 * whole.1.abs());
    }
}

/// The memory that an FP8 run of the small convolutional network takes, against that of the same
/// run in f32 as it is by default.
#[test]
fn fp8_training_of_the_small_cnn_takes_little_more_than_half_the_memory_of_f32() {
    let model = small_cnn();
    let usual = plan(&model, Precision::F32, 256, plain());
    let compact =
        UpdateOptions { moments: MomentFormat::Fp8, master: MasterFormat::Bf16, ..lean() };
    let bytes = |plan: &Plan| total(&predicted(plan)) as f64;
    let moments = |plan: &Plan| predicted(plan)[&Purpose::Moment] as f64;
    for recipe in
        [Recipe::current(), Recipe::delayed(), Recipe::rowwise(), Recipe::block(), Recipe::mx()]
    {
        let plan = plan(&model, Precision::Fp8(recipe), 256, compact);
        let (memory, state) = (bytes(&plan) / bytes(&usual), moments(&plan) / moments(&usual));
        assert!(memory <= 0.55, "{recipe:?}: {memory:.3} of f32");
        assert!(state <= 1.0 / 3.0, "{recipe:?}: {state:.3} of the moments in f32");
        // What is predicted is what an engine takes.
        let predicted = bytes(&plan);
        let mut engine = CpuEngine::open(plan).unwrap();
        engine.load_params(&init(&model, 1)).unwrap();
        for step in 1..=2 {
            let params = StepParams { step, learning_rate: 1e-3, seed: 1 };
            engine.train(&[batch(&model, 256, step as u32)], &[params]).unwrap();
        }
        engine.prepare_eval().unwrap();
        engine.evaluate(&batch(&model, 256, 7)).unwrap();
        let measured = total(&engine.memory()) as f64;
        assert!(measured <= predicted + 8192.0, "{measured} {predicted}");
    }
    // Without these settings the share is larger: the guard can fail.
    let plain = plan(&model, Precision::Fp8(Recipe::delayed()), 256, plain());
    assert!(bytes(&plain) > 0.55 * bytes(&usual));
}

//! The training state: what it takes, that it is complete, and that it moves between engines.

use fp8_studio::engine::cpu::CpuEngine;
use fp8_studio::engine::{Batch, Engine, StepParams, transfer};
use fp8_studio::fp8::{AmaxAlgorithm, Precision, Recipe, Scaling, hash};
use fp8_studio::model::init::init;
use fp8_studio::model::{Activation, EmbeddingSpec, Head, InputSpec, ModelSpec};
use fp8_studio::plan::{
    MasterFormat, MomentFormat, Optimizer, PlanConfig, Purpose, UpdateOptions, compile, memory,
};

const ROWS: usize = 13;
const SGD: Optimizer = Optimizer::Sgd { momentum: 0.9, weight_decay: 1e-3 };

/// Odd widths, a table, a norm, dropout.
fn model() -> ModelSpec {
    let table = EmbeddingSpec { name: "town".to_owned(), cardinality: 90, dim: 3 };
    let input = InputSpec { dense: 6, embeddings: vec![table], image: None };
    let head = Head::Classes { count: 3 };
    ModelSpec::mlp(input, &[37, 22], Activation::Silu, true, 0.2, false, head)
}

fn batch(step: u64) -> Batch {
    let key = hash::key(4, step as u32, 1);
    let number = |i: usize| (hash::bits(key, i as u32) >> 8) as f32 / 8_388_608.0 - 1.0;
    Batch {
        rows: ROWS,
        dense: (0..ROWS * 6).map(number).collect(),
        categories: (0..ROWS).map(|i| hash::bits(key, 900 + i as u32) % 90).collect(),
        targets: (0..ROWS).map(|i| hash::bits(key, 500 + i as u32) % 3).collect(),
        weights: Vec::new(),
    }
}

fn config(precision: Precision, optimizer: Optimizer, update: UpdateOptions) -> PlanConfig {
    PlanConfig { batch: ROWS, precision, optimizer, update }
}

fn open(config: &PlanConfig) -> CpuEngine {
    let plan = compile(&model(), config).unwrap();
    assert_eq!(memory::check(&plan), Vec::<String>::new());
    let mut engine = CpuEngine::open(plan).unwrap();
    engine.load_params(&init(&model(), 8)).unwrap();
    engine
}

fn train(engine: &mut dyn Engine, steps: std::ops::RangeInclusive<u64>) -> Vec<u32> {
    let params: Vec<StepParams> =
        steps.map(|step| StepParams { step, learning_rate: 5e-3, seed: 21 }).collect();
    let batches: Vec<Batch> = params.iter().map(|p| batch(p.step)).collect();
    engine.train(&batches, &params).unwrap().into_iter().map(f32::to_bits).collect()
}

type State = Vec<(String, Vec<u32>)>;

fn capture(engine: &mut dyn Engine) -> State {
    let state: Vec<_> =
        engine.plan().state().into_iter().map(|(n, id)| (n.to_owned(), id)).collect();
    state.into_iter().map(|(n, id)| (n, engine.read(id).unwrap())).collect()
}

fn restore(engine: &mut dyn Engine, state: &State, without: Option<&str>) {
    for (name, words) in state.iter().filter(|(n, _)| Some(n.as_str()) != without) {
        let id = engine.plan().buffer(name).unwrap();
        engine.write(id, words).unwrap();
    }
}

fn precisions() -> Vec<(&'static str, Precision)> {
    let short = Recipe {
        scaling: Scaling::Delayed { history: 3, algorithm: AmaxAlgorithm::Max },
        stochastic_gradients: true,
        ..Recipe::delayed()
    };
    let named = Recipe::NAMED.map(|(name, recipe)| (name, Precision::Fp8(recipe)));
    let others =
        [("restless", Precision::Fp8(short)), ("bf16", Precision::Bf16), ("f32", Precision::F32)];
    named.into_iter().chain(others).collect()
}

fn variants() -> Vec<(&'static str, Optimizer, UpdateOptions)> {
    let adam = Optimizer::default();
    let plain = UpdateOptions::default();
    let fp8 = UpdateOptions { moments: MomentFormat::Fp8, ..plain };
    let all = UpdateOptions {
        master: MasterFormat::Bf16,
        clip_norm: Some(0.5),
        accumulate: 3,
        average: Some(0.99),
        ..fp8
    };
    vec![
        ("adamw", adam, plain),
        ("sgd", SGD, plain),
        ("bf16 second moment", adam, UpdateOptions { moments: MomentFormat::Bf16Second, ..plain }),
        ("fp8 moments", adam, fp8),
        ("bf16 master", adam, UpdateOptions { master: MasterFormat::Bf16, ..plain }),
        (
            "clipped, summed, averaged",
            SGD,
            UpdateOptions { moments: MomentFormat::F32, master: MasterFormat::F32, ..all },
        ),
        ("all", adam, all),
    ]
}

/// Steps before and after the interruption: in the middle of a sum of three batches.
const N: u64 = 5;
const M: u64 = 4;

#[test]
fn steps_saved_and_loaded_in_between_end_with_the_same_bytes() {
    for (precision_name, precision) in precisions() {
        for (name, optimizer, update) in variants() {
            let config = config(precision, optimizer, update);
            let what = format!("{precision_name}, {name}");
            let mut whole = open(&config);
            let mut losses = train(&mut whole, 1..=N);
            let saved = capture(&mut whole);
            losses.extend(train(&mut whole, N + 1..=N + M));

            // A new engine with other weights in it.
            let mut second = open(&config);
            train(&mut second, 1..=2);
            restore(&mut second, &saved, None);
            assert_eq!(train(&mut second, N + 1..=N + M), losses[N as usize..], "{what}");
            assert!(capture(&mut second) == capture(&mut whole), "{what}");

            // Evaluation follows too.
            let outputs = [&mut whole, &mut second].map(|engine| {
                engine.prepare_eval().unwrap();
                engine.evaluate(&batch(77)).unwrap()
            });
            assert_eq!(outputs[0], outputs[1], "{what}");
        }
    }
}

/// No buffer is in the list for nothing: without it the run goes on differently.
#[test]
fn every_buffer_of_the_state_matters() {
    let short = Scaling::Delayed { history: 3, algorithm: AmaxAlgorithm::Max };
    let precision = Precision::Fp8(Recipe { scaling: short, ..Recipe::delayed() });
    for (name, optimizer, update) in variants() {
        let config = config(precision, optimizer, update);
        let mut whole = open(&config);
        train(&mut whole, 1..=N);
        let saved = capture(&mut whole);
        train(&mut whole, N + 1..=N + M);
        let end = capture(&mut whole);
        for (left_out, words) in &saved {
            assert!(words.iter().any(|w| *w != 0), "{name}: {left_out} is unused");
            let mut second = open(&config);
            // Scales of a history that says nothing, or far too much, differ by powers of two; only
            // the latter shows for certain.
            let other = if left_out == "history" { 3e4f32.to_bits() } else { 0 };
            let id = second.plan().buffer(left_out).unwrap();
            second.write(id, &vec![other; words.len()]).unwrap();
            restore(&mut second, &saved, Some(left_out));
            train(&mut second, N + 1..=N + M);
            assert!(capture(&mut second) != end, "{name}: {left_out} does not matter");
        }
    }
}

#[test]
fn a_change_of_precision_moves_every_bit() {
    for (name, optimizer, update) in variants() {
        for (from, to) in [
            (Precision::Fp8(Recipe::delayed()), Precision::F32),
            (Precision::F32, Precision::Bf16),
            (Precision::Bf16, Precision::Fp8(Recipe::delayed())),
            (Precision::Fp8(Recipe::current()), Precision::Fp8(Recipe::mx())),
        ] {
            let mut first = open(&config(from, optimizer, update));
            train(&mut first, 1..=N);
            let mut second = open(&config(to, optimizer, update));
            // What it did before does not matter, its amax history included.
            train(&mut second, 1..=3);
            transfer(&mut first, &mut second).unwrap();
            let (a, b) = (capture(&mut first), capture(&mut second));
            for ((name, a), (other, b)) in a.iter().zip(&b).filter(|((n, _), _)| n != "history") {
                assert!(name == other && a == b, "{name}");
            }
            let history = b.iter().find(|(n, _)| n == "history").unwrap();
            assert!(history.1.iter().all(|w| *w == 0));

            // And the run goes on as one that was loaded there.
            let mut third = open(&config(to, optimizer, update));
            restore(&mut third, &b, None);
            let [second, third] = [&mut second, &mut third].map(|e| train(e, N + 1..=N + M));
            assert_eq!(second, third, "{name}: {from:?} to {to:?}");
        }
    }
    // With one precision the history moves too.
    let delayed = config(Precision::Fp8(Recipe::delayed()), SGD, UpdateOptions::default());
    let (mut first, mut second) = (open(&delayed), open(&delayed));
    train(&mut first, 1..=N);
    transfer(&mut first, &mut second).unwrap();
    assert!(capture(&mut first) == capture(&mut second));
    assert_eq!(train(&mut first, N + 1..=N + M), train(&mut second, N + 1..=N + M));
}

#[test]
fn plans_that_do_not_fit_each_other_are_refused() {
    let plain = UpdateOptions::default();
    let mut first = open(&config(Precision::F32, SGD, plain));
    let fp8 = UpdateOptions { moments: MomentFormat::Fp8, ..plain };
    for other in [
        config(Precision::F32, Optimizer::default(), plain),
        config(Precision::F32, Optimizer::default(), fp8),
        config(Precision::F32, SGD, UpdateOptions { accumulate: 2, ..plain }),
    ] {
        let mut second = open(&other);
        let before = capture(&mut second);
        let text = transfer(&mut first, &mut second).unwrap_err().to_string();
        assert!(text.contains("update weights in different ways"), "{text}");
        assert!(capture(&mut second) == before);
    }
    let other = ModelSpec { nodes: model().nodes[1..].to_vec(), ..model() };
    let plan = compile(&other, &config(Precision::F32, SGD, plain)).unwrap();
    let mut second = CpuEngine::open(plan).unwrap();
    let text = transfer(&mut first, &mut second).unwrap_err().to_string();
    assert!(text.contains("different models"), "{text}");
}

/// The network that the figures of the README are about.
fn mnist_mlp() -> ModelSpec {
    let input = InputSpec::features(784);
    let head = Head::Classes { count: 10 };
    ModelSpec::mlp(input, &[512, 512], Activation::Relu, false, 0.0, false, head)
}

#[test]
fn compact_state_takes_a_third_or_less() {
    let bytes = |moments, master, precision| {
        let update = UpdateOptions { moments, master, ..UpdateOptions::default() };
        let config = PlanConfig { batch: 256, ..config(precision, Optimizer::default(), update) };
        let engine = CpuEngine::open(compile(&mnist_mlp(), &config).unwrap()).unwrap();
        let ledger = engine.memory();
        assert_eq!(ledger[&Purpose::Moment], memory::ledger(engine.plan())[&Purpose::Moment]);
        (ledger[&Purpose::Moment] as f64, ledger[&Purpose::Weight] as f64)
    };
    let current = Precision::Fp8(Recipe::current());
    let full = bytes(MomentFormat::F32, MasterFormat::F32, current);
    let fp8 = bytes(MomentFormat::Fp8, MasterFormat::F32, current);
    assert!(fp8.0 <= full.0 / 3.0, "{} of {}", fp8.0, full.0);
    let half = bytes(MomentFormat::Bf16Second, MasterFormat::Bf16, current);
    assert!(half.0 <= 0.76 * full.0 && half.1 <= 0.51 * full.1, "{half:?} of {full:?}");
}

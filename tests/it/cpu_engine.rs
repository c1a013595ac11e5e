//! A whole model trained through a plan by the CPU engine.

use fp8_studio::device::DeviceChoice;
use fp8_studio::engine::{self, Batch, Engine, StepParams};
use fp8_studio::fp8::{AmaxAlgorithm, Precision, Recipe, Scaling, hash};
use fp8_studio::model::init::init;
use fp8_studio::model::{Activation, EmbeddingSpec, Head, InputSpec, ModelSpec};
use fp8_studio::plan::{Optimizer, PlanConfig, UpdateOptions, compile, memory};

const BATCH: usize = 64;

fn unit(key: u32, i: u32) -> f32 {
    (hash::bits(key, i) >> 8) as f32 / 16_777_216.0
}

/// Points of a square, labelled by whether the signs of x and y differ; regression targets x·y.
fn points(rows: usize, first: u32, regression: bool) -> Batch {
    let mut batch = Batch { rows, ..Batch::default() };
    for r in 0..rows as u32 {
        let at = |c| 2.0 * unit(99, (first + r) * 2 + c) - 1.0;
        let (x, y) = (at(0), at(1));
        batch.dense.extend([x, y]);
        let class = u32::from((x < 0.0) != (y < 0.0));
        batch.targets.push(if regression { (3.0 * x * y).to_bits() } else { class });
    }
    batch
}

fn model(head: Head) -> ModelSpec {
    let input = InputSpec::features(2);
    ModelSpec::mlp(input, &[32, 24], Activation::Relu, false, 0.0, false, head)
}

fn open(model: &ModelSpec, precision: Precision, optimizer: Optimizer) -> Box<dyn Engine> {
    let plan = compile(
        model,
        &PlanConfig { batch: BATCH, precision, optimizer, update: UpdateOptions::default() },
    )
    .unwrap();
    assert_eq!(memory::check(&plan), Vec::<String>::new());
    let (mut engine, why) = engine::open(DeviceChoice::Cpu, plan).unwrap();
    assert_eq!(why, None);
    engine.load_params(&init(model, 3)).unwrap();
    engine
}

fn train(engine: &mut dyn Engine, steps: u64, rate: f32, regression: bool) -> Vec<f32> {
    let mut losses = Vec::new();
    for group in (1..=steps).collect::<Vec<_>>().chunks(7) {
        let batches: Vec<Batch> =
            group.iter().map(|s| points(BATCH, *s as u32 * 1000, regression)).collect();
        let params: Vec<StepParams> =
            group.iter().map(|&step| StepParams { step, learning_rate: rate, seed: 11 }).collect();
        losses.extend(engine.train(&batches, &params).unwrap());
    }
    losses
}

fn accuracy(engine: &mut dyn Engine) -> f64 {
    engine.prepare_eval().unwrap();
    let mut right = 0;
    for i in 0..20 {
        let batch = points(BATCH - 1, 1_000_000 + i * 500, false);
        let (outputs, _) = engine.evaluate(&batch).unwrap();
        for (row, target) in outputs.chunks(2).zip(&batch.targets) {
            right += usize::from(u32::from(row[1] > row[0]) == *target);
        }
    }
    right as f64 / (20 * (BATCH - 1)) as f64
}

fn recipes() -> Vec<(&'static str, Precision)> {
    let recent = Recipe {
        scaling: Scaling::Delayed { history: 4, algorithm: AmaxAlgorithm::MostRecent },
        ..Recipe::current()
    };
    let named = Recipe::NAMED.map(|(name, recipe)| (name, Precision::Fp8(recipe)));
    named
        .into_iter()
        .chain([
            ("f32", Precision::F32),
            ("bf16", Precision::Bf16),
            ("most recent", Precision::Fp8(recent)),
            (
                "stochastic",
                Precision::Fp8(Recipe { stochastic_gradients: true, ..Recipe::current() }),
            ),
        ])
        .collect()
}

#[test]
fn every_recipe_learns_a_problem_that_no_line_separates() {
    for (name, precision) in recipes() {
        let head = Head::Classes { count: 2 };
        let mut engine = open(&model(head), precision, Optimizer::default());
        let before = accuracy(engine.as_mut());
        let losses = train(engine.as_mut(), 400, 1e-2, false);
        let after = accuracy(engine.as_mut());
        assert!(before < 0.8, "{name}: {before} untrained");
        assert!(after > 0.96, "{name}: {after} after loss {:?}", losses.last());
    }
}

#[test]
fn regression_learns_with_both_optimisers() {
    for (optimizer, rate) in
        [(Optimizer::default(), 1e-2), (Optimizer::Sgd { momentum: 0.9, weight_decay: 1e-4 }, 2e-2)]
    {
        let precision = Precision::Fp8(Recipe::current());
        let mut engine = open(&model(Head::Regression), precision, optimizer);
        let losses = train(engine.as_mut(), 400, rate, true);
        let mean = |l: &[f32]| l.iter().sum::<f32>() / l.len() as f32;
        let (first, last) = (mean(&losses[..10]), mean(&losses[390..]));
        assert!(last < 0.05 * first, "{optimizer:?}: {first} to {last}");
    }
}

#[test]
fn same_seed_gives_the_same_bits() {
    let head = Head::Classes { count: 2 };
    let input = InputSpec::features(2);
    let model = ModelSpec::mlp(input, &[300, 70], Activation::Gelu, true, 0.3, false, head);
    let run = |group: usize| {
        let precision = Precision::Fp8(Recipe { stochastic_gradients: true, ..Recipe::delayed() });
        let mut engine = open(&model, precision, Optimizer::default());
        for first in (1..=12u64).step_by(group) {
            let steps: Vec<StepParams> = (first..first + group as u64)
                .map(|step| StepParams { step, learning_rate: 1e-2, seed: 5 })
                .collect();
            let batches: Vec<Batch> =
                steps.iter().map(|s| points(BATCH - 3, s.step as u32 * 100, false)).collect();
            engine.train(&batches, &steps).unwrap();
        }
        (engine.read_params().unwrap(), engine.stats().unwrap())
    };
    let once = run(1);
    assert_eq!(once, run(1));
    // How many steps go into one call must not matter either.
    assert_eq!(once, run(4));
}

#[test]
fn statistics_describe_the_last_step() {
    let head = Head::Classes { count: 2 };
    let mut engine = open(&model(head), Precision::Fp8(Recipe::current()), Optimizer::default());
    train(engine.as_mut(), 3, 1e-2, false);
    let stats = engine.stats().unwrap();
    let names: Vec<&str> = engine.plan().watched.iter().map(|w| w.name.as_str()).collect();
    assert_eq!(names[..3], ["dense1.input", "dense1.weight", "dense1.gradient"]);
    assert_eq!(stats.len(), 9);
    for (name, s) in names.iter().zip(&stats) {
        assert!(s.amax > 0.0 && s.count > 0 && s.saturated == 0 && s.nan == 0, "{name} {s:?}");
        assert!(s.sqnr_db().is_some_and(|db| db > 15.0), "{name} {:?}", s.sqnr_db());
        assert!(s.histogram.iter().sum::<u32>() <= s.count);
    }
    assert_eq!(stats[0].count, 2 * BATCH as u32);
    let third = points(BATCH, 3000, false);
    let amax = third.dense.iter().fold(0f32, |m, v| m.max(v.abs()));
    assert_eq!(stats[0].amax, amax);
}

#[test]
fn padding_rows_change_nothing() {
    let head = Head::Classes { count: 2 };
    let short = points(5, 77, false);
    let run = |batch_size: usize| {
        let config = PlanConfig {
            batch: batch_size,
            precision: Precision::F32,
            optimizer: Optimizer::default(),
            update: UpdateOptions::default(),
        };
        let model = model(head);
        let (mut engine, _) =
            engine::open(DeviceChoice::Cpu, compile(&model, &config).unwrap()).unwrap();
        engine.load_params(&init(&model, 3)).unwrap();
        let step = StepParams { step: 1, learning_rate: 1e-2, seed: 1 };
        let loss = engine.train(std::slice::from_ref(&short), &[step]).unwrap()[0];
        let params = engine.read_params().unwrap();
        engine.prepare_eval().unwrap();
        let (outputs, sum) = engine.evaluate(&short).unwrap();
        (loss, params, outputs, sum)
    };
    let (exact, padded) = (run(5), run(64));
    let close = |a: f32, b: f32| (a - b).abs() <= 1e-5 * (1.0 + a.abs());
    assert!(close(exact.0, padded.0) && close(exact.3, padded.3));
    assert_eq!(exact.2.len(), 10);
    for (a, b) in exact.2.iter().zip(&padded.2) {
        assert!(close(*a, *b), "{a} {b}");
    }
    for (a, b) in exact.1.iter().zip(&padded.1) {
        // One Adam step moves every weight by about the rate, whatever the gradient's size.
        for (a, b) in a.values.iter().zip(&b.values) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }
}

#[test]
fn weights_of_zero_leave_rows_out() {
    let head = Head::Classes { count: 2 };
    let mut batch = points(8, 5, false);
    batch.weights = vec![1.0; 8];
    batch.weights[3] = 0.0;
    let loss = |batch: &Batch| {
        let mut engine = open(&model(head), Precision::F32, Optimizer::default());
        engine.prepare_eval().unwrap();
        let (_, sum) = engine.evaluate(batch).unwrap();
        sum
    };
    let weighted = loss(&batch);
    batch.dense[6] = 50.0;
    batch.targets[3] ^= 1;
    assert_eq!(weighted, loss(&batch));
    batch.weights[3] = 1.0;
    assert_ne!(weighted, loss(&batch));
}

#[test]
fn embeddings_learn_a_lookup() {
    let table = EmbeddingSpec { name: "kind".to_owned(), cardinality: 7, dim: 5 };
    for dense in [0, 1] {
        let input = InputSpec { dense, embeddings: vec![table.clone()], image: None };
        let head = Head::Classes { count: 3 };
        let model = ModelSpec::mlp(input, &[16], Activation::Silu, false, 0.0, false, head);
        let precision = Precision::Fp8(Recipe::current());
        let mut engine = open(&model, precision, Optimizer::default());
        let batch = |first: u32| {
            let categories: Vec<u32> =
                (0..BATCH as u32).map(|r| hash::mix(first + r) % 7).collect();
            let targets = categories.iter().map(|c| (c * c) % 3).collect();
            let dense = vec![0.5; BATCH * dense];
            Batch { rows: BATCH, dense, categories, targets, weights: Vec::new() }
        };
        for step in 1..=150 {
            let params = StepParams { step, learning_rate: 2e-2, seed: 0 };
            engine.train(&[batch(step as u32 * 1000)], &[params]).unwrap();
        }
        engine.prepare_eval().unwrap();
        let (_, sum) = engine.evaluate(&batch(1)).unwrap();
        assert!(sum / (BATCH as f32) < 0.05, "mean loss {}", sum / BATCH as f32);
        // An index past the table reads the unknown row.
        let mut unknown = batch(1);
        unknown.categories.fill(0);
        let zero = engine.evaluate(&unknown).unwrap().0;
        unknown.categories.fill(1000);
        assert_eq!(engine.evaluate(&unknown).unwrap().0, zero);
    }
}

#[test]
fn bad_batches_are_refused_with_their_numbers() {
    let head = Head::Classes { count: 2 };
    let mut engine = open(&model(head), Precision::F32, Optimizer::default());
    let step = StepParams { step: 1, learning_rate: 1e-2, seed: 1 };
    let mut refuse = |change: &dyn Fn(&mut Batch), word: &str| {
        let mut batch = points(4, 0, false);
        change(&mut batch);
        let text = engine.train(&[batch], &[step]).unwrap_err().to_string();
        assert!(text.contains(word), "{text}");
    };
    refuse(&|b| b.rows = 0, "0 rows");
    refuse(&|b| b.rows = 65, "65 rows");
    refuse(&|b| b.dense.truncate(7), "7 dense");
    refuse(&|b| b.categories.push(1), "1 category");
    refuse(&|b| b.targets.truncate(3), "3 targets");
    refuse(&|b| b.targets[1] = 2, "class 2");
    refuse(&|b| b.weights = vec![1.0], "1 sample weights");
    assert!(engine.train(&[points(4, 0, false)], &[]).is_err());
    let (outputs, _) = engine.evaluate(&Batch::default()).unwrap();
    assert!(outputs.is_empty());
    let mut params = engine.read_params().unwrap();
    params[0].shape.reverse();
    assert!(engine.load_params(&params).is_err());
    let step_buffer = engine.plan().step;
    assert!(engine.write(step_buffer, &[1]).is_err());
}

#[test]
fn divergence_shows_in_the_loss() {
    let head = Head::Classes { count: 2 };
    for precision in [Precision::F32, Precision::Fp8(Recipe::current())] {
        let mut engine = open(&model(head), precision, Optimizer::default());
        let mut params = engine.read_params().unwrap();
        params[0].values[0] = f32::NAN;
        engine.load_params(&params).unwrap();
        let loss = train(engine.as_mut(), 1, 1e-2, false)[0];
        assert!(loss.is_nan(), "{precision:?}: {loss}");
    }
}

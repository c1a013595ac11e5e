//! The gradient of a whole model, through a plan, against finite differences.

use fp8_studio::engine::cpu::CpuEngine;
use fp8_studio::engine::{Batch, Engine, StepParams};
use fp8_studio::fp8::{Precision, Recipe, hash};
use fp8_studio::model::init::{Param, init};
use fp8_studio::model::{Activation, EmbeddingSpec, Head, InputSpec, Layer, ModelSpec, Node};
use fp8_studio::plan::{
    Optimizer, PlanConfig, UpdateOptions, compile, compile_with_input_gradient, memory,
};

const ROWS: usize = 7;

pub fn batch(model: &ModelSpec) -> Batch {
    let number = |i: usize| (hash::mix(i as u32 + 1) >> 8) as f32 / 8_388_608.0 - 1.0;
    let columns = model.input.embeddings.len();
    let cardinality = model.input.embeddings.first().map_or(1, |e| e.cardinality);
    Batch {
        rows: ROWS,
        dense: (0..ROWS * model.input.dense).map(number).collect(),
        categories: (0..ROWS * columns).map(|i| (i % cardinality) as u32).collect(),
        targets: (0..ROWS)
            .map(|r| match model.head {
                Head::Classes { count } => (r % count) as u32,
                Head::Regression => number(1000 + r).to_bits(),
            })
            .collect(),
        weights: (0..ROWS).map(|r| 0.5 + r as f32 / 7.0).collect(),
    }
}

/// Mean loss and gradients at `params`; a rate of 0 leaves the weights as they are.
pub fn at(engine: &mut CpuEngine, params: &[Param], batch: &Batch) -> (f32, Vec<Vec<f32>>) {
    engine.load_params(params).unwrap();
    let step = StepParams { step: 3, learning_rate: 0.0, seed: 17 };
    let loss = engine.train(std::slice::from_ref(batch), &[step]).unwrap()[0];
    let ids: Vec<_> = engine.plan().params.iter().map(|p| p.gradient).collect();
    // Running statistics have none.
    let read = |id: Option<_>| {
        let words = id.map(|id| engine.read(id).unwrap()).unwrap_or_default();
        words.into_iter().map(f32::from_bits).collect()
    };
    (loss, ids.into_iter().map(read).collect())
}

pub fn engine(model: &ModelSpec, precision: Precision) -> CpuEngine {
    let config = PlanConfig {
        batch: ROWS + 2,
        precision,
        optimizer: Optimizer::default(),
        update: UpdateOptions::default(),
    };
    let plan = compile(model, &config).unwrap();
    assert_eq!(memory::check(&plan), Vec::<String>::new());
    CpuEngine::open(plan).unwrap()
}

fn close(numeric: f64, exact: f32) -> bool {
    (numeric - f64::from(exact)).abs() <= 3e-4 + 3e-3 * f64::from(exact).abs()
}

/// Central differences at up to five values of every parameter.
pub fn check(model: &ModelSpec) {
    let mut engine = engine(model, Precision::F32);
    let batch = batch(model);
    let mut params = init(model, 9);
    // Biases, gains and shifts away from their special start.
    for (p, param) in params.iter_mut().enumerate() {
        for (i, v) in param.values.iter_mut().enumerate() {
            *v += 0.1 * ((hash::mix((p * 1000 + i) as u32) >> 8) as f32 / 8_388_608.0 - 1.0);
        }
    }
    let (loss, gradients) = at(&mut engine, &params, &batch);
    assert!(loss.is_finite() && loss > 0.0);
    let mut largest = (0f32, 0f64);
    for p in 0..params.len() {
        let len = gradients[p].len();
        for i in (0..len).step_by((len / 5).max(1)) {
            let old = params[p].values[i];
            let mut slope = |h: f32| {
                let mut side = |v: f32| {
                    params[p].values[i] = v;
                    f64::from(at(&mut engine, &params, &batch).0)
                };
                let (low, high) = (old - h, old + h);
                (side(high) - side(low)) / (f64::from(high) - f64::from(low))
            };
            // Extrapolated, so that steps large enough for f32 losses leave no h² error.
            let numeric = (4.0 * slope(1e-2) - slope(2e-2)) / 3.0;
            params[p].values[i] = old;
            let exact = gradients[p][i];
            assert!(close(numeric, exact), "{} [{i}]: {numeric} {exact}", params[p].name);
            if exact.abs() > largest.0.abs() {
                largest = (exact, numeric);
            }
        }
    }
    // The comparison would notice a gradient that is a twentieth too large.
    assert!(!close(largest.1, largest.0 * 1.05), "{largest:?}");
}

fn input(dense: usize, tables: usize) -> InputSpec {
    let table = |i| EmbeddingSpec { name: format!("c{i}"), cardinality: 4, dim: 3 };
    InputSpec { dense, embeddings: (0..tables).map(table).collect(), image: None }
}

#[test]
fn plain_networks() {
    for activation in [Activation::Gelu, Activation::Silu] {
        for head in [Head::Classes { count: 3 }, Head::Regression] {
            check(&ModelSpec::mlp(input(5, 0), &[9, 6], activation, false, 0.0, false, head));
        }
    }
    check(&ModelSpec::mlp(
        input(5, 0),
        &[],
        Activation::Relu,
        false,
        0.0,
        false,
        Head::Classes { count: 2 },
    ));
}

#[test]
fn norm_dropout_and_tables() {
    let head = Head::Classes { count: 4 };
    check(&ModelSpec::mlp(input(3, 2), &[8, 7], Activation::Gelu, true, 0.25, true, head));
    check(&ModelSpec::mlp(input(0, 1), &[6], Activation::Silu, true, 0.0, false, head));
}

#[test]
fn unusual_orders_of_layers() {
    let dense = |out, activation| Layer::Dense { out, activation, high_precision: false };
    let orders: [Vec<Layer>; 3] = [
        vec![Layer::Dropout { rate: 0.4 }, Layer::LayerNorm, dense(1, None)],
        vec![dense(6, None), Layer::Dropout { rate: 0.2 }, dense(5, None), dense(1, None)],
        vec![Layer::LayerNorm, Layer::LayerNorm, dense(4, Some(Activation::Silu)), dense(1, None)],
    ];
    for layers in orders {
        for tables in [0, 1] {
            let nodes = layers
                .iter()
                .enumerate()
                .map(|(i, layer)| Node::new(format!("n{i}"), layer.clone()))
                .collect();
            check(&ModelSpec { input: input(4, tables), nodes, head: Head::Regression });
        }
    }
}

#[test]
fn fp8_gradients_point_the_same_way() {
    let head = Head::Classes { count: 3 };
    let model = ModelSpec::mlp(input(6, 1), &[32, 24], Activation::Relu, true, 0.0, false, head);
    let params = init(&model, 4);
    let batch = batch(&model);
    let exact = at(&mut engine(&model, Precision::F32), &params, &batch);
    let fp8 = at(&mut engine(&model, Precision::Fp8(Recipe::current())), &params, &batch);
    assert!((exact.0 - fp8.0).abs() < 0.03 * exact.0, "{} {}", exact.0, fp8.0);
    for ((a, b), param) in exact.1.iter().zip(&fp8.1).zip(&params) {
        let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>();
        let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
        assert!(cosine > 0.95, "{}: {cosine}", param.name);
        // The recipe really changes something.
        assert_ne!(a, b, "{}", param.name);
    }
}

/// Cosine of the angle between two gradients of the same parameters.
fn cosine(a: &[Vec<f32>], b: &[Vec<f32>]) -> f64 {
    let dot = |a: &[Vec<f32>], b: &[Vec<f32>]| {
        let pairs = a.iter().flatten().zip(b.iter().flatten());
        pairs.map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn gradients_of_every_recipe_point_where_the_f32_gradient_points() {
    // Wider than one block of every recipe, and not a multiple of any.
    let input = InputSpec::features(150);
    let head = Head::Classes { count: 5 };
    let model = ModelSpec::mlp(input, &[170, 40], Activation::Gelu, true, 0.0, false, head);
    let (batch, params) = (batch(&model), init(&model, 3));
    let (_, exact) = at(&mut engine(&model, Precision::F32), &params, &batch);
    for (name, recipe) in Recipe::NAMED {
        let (_, grads) = at(&mut engine(&model, Precision::Fp8(recipe)), &params, &batch);
        let found = cosine(&exact, &grads);
        assert!(found > 0.99 && found < 1.0, "{name}: {found}");
        let mut planted = grads;
        planted[0].reverse();
        assert!(cosine(&exact, &planted) < 0.99, "{name}: a reversed gradient passes");
    }
}

/// Central differences at every input against the gradient that attacks use.
#[test]
fn the_gradient_of_the_inputs_is_right() {
    for (activation, norm, tables) in
        [(Activation::Gelu, false, 0), (Activation::Silu, true, 2), (Activation::Relu, false, 1)]
    {
        let table = |i| EmbeddingSpec { name: format!("t{i}"), cardinality: 5, dim: 3 };
        let input =
            InputSpec { dense: 6, embeddings: (0..tables).map(table).collect(), image: None };
        let head = Head::Classes { count: 3 };
        let model = ModelSpec::mlp(input, &[9, 7], activation, norm, 0.0, false, head);
        let config = PlanConfig {
            batch: ROWS + 2,
            precision: Precision::F32,
            optimizer: Optimizer::Sgd { momentum: 0.0, weight_decay: 0.0 },
            update: UpdateOptions::default(),
        };
        let plan = compile_with_input_gradient(&model, &config).unwrap();
        assert_eq!(memory::check(&plan), Vec::<String>::new());
        let id = plan.input_gradient.unwrap();
        assert!(compile(&model, &config).unwrap().input_gradient.is_none());
        let mut engine = CpuEngine::open(plan).unwrap();
        let params = init(&model, 4);
        let mut batch = batch(&model);
        at(&mut engine, &params, &batch);
        let found: Vec<f32> = engine.read(id).unwrap().into_iter().map(f32::from_bits).collect();
        let width = model.input.width();
        let mut largest = 0f32;
        for row in 0..ROWS {
            for i in 0..6 {
                let old = batch.dense[row * 6 + i];
                let mut loss = |v: f32| {
                    batch.dense[row * 6 + i] = v;
                    f64::from(at(&mut engine, &params, &batch).0)
                };
                let slope = (loss(old + 2e-3) - loss(old - 2e-3)) / 4e-3;
                batch.dense[row * 6 + i] = old;
                let exact = found[row * width + i];
                assert!(close(slope, exact), "row {row}, input {i}: {slope} is not {exact}");
                largest = largest.max(exact.abs());
            }
        }
        assert!(largest > 0.02 && !close(f64::from(largest) * 1.1, largest), "{largest}");
    }
}

//! The same network and data as `tests/golden/cnn.py`, against what PyTorch computed.

use std::path::Path;

use fp8_studio::engine::cpu::CpuEngine;
use fp8_studio::engine::{Batch, Engine, StepParams};
use fp8_studio::fp8::{Precision, Recipe};
use fp8_studio::model::init::{Param, init};
use fp8_studio::model::{Activation, Head, ImageShape, InputSpec, Layer, ModelSpec, Node};
use fp8_studio::plan::{Optimizer, PlanConfig, UpdateOptions, compile};
use safetensors::SafeTensors;

const ROWS: usize = 12;
const STEPS: usize = 6;
const RATE: f32 = 3e-3;

fn model() -> ModelSpec {
    let conv = |(out, kernel, stride), groups, bias, activation| {
        let (padding, high_precision) = (kernel / 2, false);
        Layer::Conv2d { out, kernel, stride, padding, groups, bias, activation, high_precision }
    };
    let relu = Some(Activation::Relu);
    let norm = |activation| Layer::BatchNorm { activation };
    let nodes = vec![
        Node::new("stem", conv((6, 3, 1), 1, true, relu)),
        Node::new("pool", Layer::MaxPool { size: 2, stride: 2, padding: 0 }),
        Node::new("a", conv((6, 3, 1), 2, false, None)),
        Node::new("an", norm(None)),
        Node::of("add", Layer::Add { activation: relu }, &["an", "pool"]),
        Node::new("pool2", Layer::MaxPool { size: 3, stride: 1, padding: 1 }),
        Node::new("dw", conv((6, 3, 2), 6, false, None)),
        Node::new("dwn", norm(Some(Activation::Silu))),
        Node::new("b", conv((8, 1, 1), 1, true, Some(Activation::Gelu))),
        Node::new("pool3", Layer::AvgPool { size: 2, stride: 1 }),
        Node::new("pool4", Layer::GlobalAveragePool),
        Node::new("output", Layer::Dense { out: 3, activation: None, high_precision: false }),
    ];
    let input = InputSpec::image(ImageShape { height: 9, width: 8, channels: 2 });
    ModelSpec { input, nodes, head: Head::Classes { count: 3 } }
}

fn floats(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let data = file.tensor(name).unwrap().data().to_vec();
    data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

fn batches(file: &SafeTensors<'_>) -> Vec<Batch> {
    let labels = file.tensor("labels").unwrap().data().to_vec();
    let labels: Vec<u32> =
        labels.chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect();
    let images = floats(file, "images");
    images
        .chunks_exact(images.len() / STEPS)
        .zip(labels.chunks_exact(ROWS))
        .map(|(dense, targets)| Batch {
            rows: ROWS,
            dense: dense.to_vec(),
            targets: targets.to_vec(),
            ..Batch::default()
        })
        .collect()
}

/// An engine with PyTorch's initial parameters.
fn engine(file: &SafeTensors<'_>, precision: Precision) -> CpuEngine {
    let model = model();
    // A larger batch than there are rows: padding must change nothing.
    let config = PlanConfig {
        batch: ROWS + 3,
        precision,
        optimizer: Optimizer::default(),
        update: UpdateOptions::default(),
    };
    let mut engine = CpuEngine::open(compile(&model, &config).unwrap()).unwrap();
    let params: Vec<Param> = init(&model, 0)
        .into_iter()
        .map(|p| {
            let view = file.tensor(&format!("initial.{}", p.name)).unwrap();
            assert_eq!(view.shape(), p.shape, "{}", p.name);
            Param { values: floats(file, &format!("initial.{}", p.name)), ..p }
        })
        .collect();
    engine.load_params(&params).unwrap();
    engine
}

fn step(i: usize) -> StepParams {
    StepParams { step: i as u64 + 1, learning_rate: RATE, seed: 0 }
}

/// Largest distance, relative to the largest value.
fn distance(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let largest = want.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
    got.iter().zip(want).fold(0f32, |m, (g, w)| m.max((g - w).abs())) / largest
}

#[test]
fn f32_training_is_that_of_pytorch() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cnn.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut engine = engine(&file, Precision::F32);
    let losses = floats(&file, "losses");
    let batches = batches(&file);
    for (i, batch) in batches.iter().enumerate() {
        let loss = engine.train(std::slice::from_ref(batch), &[step(i)]).unwrap()[0];
        assert!((loss - losses[i]).abs() < 2e-5 * losses[i], "step {i}: {loss} {}", losses[i]);
        if i > 0 {
            continue;
        }
        for param in engine.plan().params.clone() {
            let Some(id) = param.gradient else { continue };
            let got: Vec<f32> = engine.read(id).unwrap().into_iter().map(f32::from_bits).collect();
            let want = floats(&file, &format!("gradient.{}", param.name));
            // Biases and filters before a normalisation have gradients that are nearly 0.
            let far = distance(&got, &want);
            assert!(far < 2e-4, "{}: {far} {got:?} {want:?}", param.name);
        }
    }
    for param in engine.read_params().unwrap() {
        let want = floats(&file, &format!("final.{}", param.name));
        let far = distance(&param.values, &want);
        assert!(far < 1e-3, "{}: {far}", param.name);
        let start = floats(&file, &format!("initial.{}", param.name));
        // The comparison would notice parameters that never moved.
        assert!(distance(&start, &want) > 3e-3, "{}", param.name);
    }
    engine.prepare_eval().unwrap();
    let (outputs, _) = engine.evaluate(&batches[0]).unwrap();
    let far = distance(&outputs, &floats(&file, "outputs"));
    assert!(far < 1e-3, "{far}");
}

#[test]
fn fp8_training_stays_near_pytorch() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cnn.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let losses = floats(&file, "losses");
    for (name, recipe) in Recipe::NAMED {
        let mut engine = engine(&file, Precision::Fp8(recipe));
        for (i, batch) in batches(&file).iter().enumerate() {
            let loss = engine.train(std::slice::from_ref(batch), &[step(i)]).unwrap()[0];
            assert!(
                (loss - losses[i]).abs() < 0.05 * losses[i],
                "{name} {i}: {loss} {}",
                losses[i]
            );
            assert_ne!(loss, losses[i], "{name} {i}");
        }
    }
}

//! Networks on images: gradients against finite differences, presets, learning.

use fp8_studio::engine::cpu::CpuEngine;
use fp8_studio::engine::{Batch, Engine, StepParams};
use fp8_studio::fp8::{Precision, Recipe, hash};
use fp8_studio::model::init::init;
use fp8_studio::model::{
    Activation, CnnOptions, Head, ImageShape, InputSpec, Layer, ModelSpec, Node, ResNetOptions,
    SeparableOptions,
};
use fp8_studio::plan::{Optimizer, PlanConfig, UpdateOptions, compile, memory};

use crate::gradient::{at, batch, check, engine};

const SILU: Option<Activation> = Some(Activation::Silu);

fn conv(out: usize, kernel: usize, (stride, padding): (usize, usize), groups: usize) -> Layer {
    let (bias, activation, high_precision) = (true, SILU, false);
    Layer::Conv2d { out, kernel, stride, padding, groups, bias, activation, high_precision }
}

fn model(image: (usize, usize, usize), layers: Vec<Layer>) -> ModelSpec {
    let nodes = layers.into_iter().enumerate().map(|(i, l)| Node::new(format!("n{i}"), l));
    let mut nodes: Vec<Node> = nodes.collect();
    nodes.push(Node::new(
        "output",
        Layer::Dense { out: 3, activation: None, high_precision: false },
    ));
    let (height, width, channels) = image;
    let input = InputSpec::image(ImageShape { height, width, channels });
    ModelSpec { input, nodes, head: Head::Classes { count: 3 } }
}

#[test]
fn convolutions_and_poolings() {
    check(&model((6, 5, 2), vec![conv(4, 3, (1, 1), 1), conv(3, 3, (2, 1), 1), Layer::Flatten]));
    check(&model(
        (5, 5, 4),
        vec![conv(6, 3, (1, 0), 2), Layer::Dropout { rate: 0.3 }, Layer::Flatten],
    ));
    check(&model(
        (6, 6, 3),
        vec![conv(3, 3, (1, 1), 3), conv(5, 1, (1, 0), 1), Layer::GlobalAveragePool],
    ));
    check(&model(
        (7, 6, 2),
        vec![conv(3, 2, (1, 1), 1), Layer::AvgPool { size: 3, stride: 2 }, Layer::Flatten],
    ));
    check(&model(
        (5, 4, 2),
        vec![
            conv(4, 3, (1, 1), 1),
            Layer::AvgPool { size: 2, stride: 1 },
            conv(4, 3, (1, 1), 4),
            Layer::Flatten,
            Layer::LayerNorm,
        ],
    ));
}

#[test]
fn batch_normalisation() {
    let norm = |activation| Layer::BatchNorm { activation };
    let mut plain = conv(4, 3, (1, 1), 1);
    if let Layer::Conv2d { bias, activation, .. } = &mut plain {
        (*bias, *activation) = (false, None);
    }
    check(&model((5, 4, 2), vec![plain.clone(), norm(SILU), plain, norm(None), Layer::Flatten]));
    check(&model((1, 4, 1), vec![Layer::Flatten, norm(Some(Activation::Gelu))]));
    check(&model((3, 3, 2), vec![norm(None), conv(3, 3, (1, 1), 1), Layer::GlobalAveragePool]));
}

#[test]
fn branches() {
    let add = |activation| Layer::Add { activation };
    let node = |name: &str, layer: Layer, inputs: &[&str]| Node::of(name, layer, inputs);
    let dense = Layer::Dense { out: 3, activation: None, high_precision: false };
    let norm = || Layer::BatchNorm { activation: None };
    let input = || InputSpec::image(ImageShape { height: 4, width: 5, channels: 3 });
    let head = Head::Classes { count: 3 };
    // A residual block with identity, one with a projection, and an input that is taken twice.
    let nodes = vec![
        node("stem", conv(4, 3, (1, 1), 1), &[]),
        node("a", conv(4, 3, (1, 1), 1), &[]),
        node("an", norm(), &[]),
        node("asum", add(SILU), &["an", "stem"]),
        node("b", conv(6, 3, (2, 1), 1), &[]),
        node("bn", norm(), &[]),
        node("short", conv(6, 1, (2, 0), 1), &["asum"]),
        node("bsum", add(None), &["bn", "short"]),
        node("twice", add(Some(Activation::Gelu)), &["bsum", "bsum"]),
        node("flat", Layer::Flatten, &[]),
        node("output", dense.clone(), &[]),
    ];
    check(&ModelSpec { input: input(), nodes, head });
    // Sums of sums, a dropout whose input another node needs too, and the network's input added.
    let nodes = vec![
        node("keep", conv(3, 3, (1, 1), 1), &[]),
        node("drop", Layer::Dropout { rate: 0.3 }, &["keep"]),
        node("one", add(None), &["drop", "keep"]),
        node("two", add(None), &["one", "input"]),
        node("three", add(SILU), &["two", "one"]),
        node("flat", Layer::Flatten, &[]),
        node("flat2", Layer::Flatten, &["one"]),
        node("four", add(None), &["flat", "flat2"]),
        node("output", dense, &[]),
    ];
    check(&ModelSpec { input: input(), nodes, head });
}

/// Pooling fused to a convolution and the same pooling alone give the same loss and gradients.
#[test]
fn fused_pooling_changes_nothing() {
    for groups in [1, 2, 4] {
        for (activation, rows) in [(None, 7), (Some(Activation::Relu), 8)] {
            let layers = |between: Option<Layer>| {
                let mut first = conv(4, 3, (1, 1), groups);
                if let Layer::Conv2d { activation: a, .. } = &mut first {
                    *a = activation;
                }
                let pool = Layer::MaxPool { size: 2, stride: 2, padding: 0 };
                let mut layers = vec![conv(4, 1, (1, 0), 1), first];
                layers.extend(between);
                layers.extend([pool, conv(5, 3, (1, 1), 1), Layer::Flatten]);
                model((rows, 9, 2), layers)
            };
            let fused = layers(None);
            // A dropout of nothing keeps the two apart.
            let apart = layers(Some(Layer::Dropout { rate: 0.0 }));
            let run = |model: &ModelSpec| {
                at(&mut engine(model, Precision::F32), &init(model, 4), &batch(model))
            };
            let (a, b) = (run(&fused), run(&apart));
            assert!((a.0 - b.0).abs() < 1e-5 * a.0);
            for (a, b) in a.1.iter().flatten().zip(b.1.iter().flatten()) {
                assert!((a - b).abs() <= 1e-5 + 1e-4 * a.abs(), "{a} {b}");
            }
        }
    }
}

fn image(height: usize, width: usize, channels: usize) -> ImageShape {
    ImageShape { height, width, channels }
}

fn presets(shape: ImageShape, head: Head, ends: bool) -> Vec<(&'static str, ModelSpec)> {
    let cnn = CnnOptions { high_precision_ends: ends, ..CnnOptions::default() };
    let normed = CnnOptions { batch_norm: true, dropout: 0.2, ..cnn.clone() };
    let resnet = ResNetOptions { high_precision_ends: ends, ..ResNetOptions::default() };
    let separable = SeparableOptions { high_precision_ends: ends, ..SeparableOptions::default() };
    vec![
        ("cnn", ModelSpec::cnn(shape, &cnn, head)),
        ("cnn with norms", ModelSpec::cnn(shape, &normed, head)),
        ("resnet", ModelSpec::resnet(shape, &resnet, head)),
        ("separable", ModelSpec::depthwise_separable(shape, &separable, head)),
    ]
}

#[test]
fn presets_are_valid_for_every_image() {
    for shape in
        [image(28, 28, 1), image(32, 20, 3), image(8, 8, 1), image(1, 1, 3), image(3, 65, 4)]
    {
        for head in [Head::Classes { count: 10 }, Head::Regression] {
            for ends in [false, true] {
                for (name, model) in presets(shape, head, ends) {
                    model.validate().unwrap_or_else(|e| panic!("{name} {shape:?}: {e}"));
                    let json = serde_json::to_string(&model).unwrap();
                    assert_eq!(serde_json::from_str::<ModelSpec>(&json).unwrap(), model);
                    for precision in [Precision::F32, Precision::Fp8(Recipe::block())] {
                        let config = PlanConfig {
                            batch: 3,
                            precision,
                            optimizer: Optimizer::default(),
                            update: UpdateOptions::default(),
                        };
                        let plan = compile(&model, &config).unwrap();
                        assert_eq!(memory::check(&plan), Vec::<String>::new(), "{name}");
                    }
                }
            }
        }
    }
    // 9·32 + 32, 9·32·64 + 64, 7·7·64·128 + 128, 128·10 + 10.
    let cnn = &presets(image(28, 28, 1), Head::Classes { count: 10 }, false)[0].1;
    assert_eq!(cnn.parameter_count(), 320 + 18496 + 401_536 + 1290);
}

/// Images of 12 × 12: noise with a bright bar, whose direction is the class.
fn bars(rows: usize, first: u32) -> Batch {
    let mut batch = Batch { rows, ..Batch::default() };
    for r in 0..rows as u32 {
        let key = hash::key(41, first + r, 0);
        let unit = |i: u32| (hash::bits(key, i) >> 8) as f32 / 16_777_216.0;
        let class = hash::bits(key, 1000) % 2;
        let at = 2 + hash::bits(key, 1001) % 8;
        batch.targets.push(class);
        for (y, x) in (0..12).flat_map(|y| (0..12).map(move |x| (y, x))) {
            let on = if class == 0 { x == at } else { y == at };
            batch.dense.push(if on { 1.0 } else { 0.0 } + 0.8 * unit(y * 12 + x) - 0.4);
        }
    }
    batch
}

fn accuracy(engine: &mut CpuEngine) -> f64 {
    engine.prepare_eval().unwrap();
    let mut right = 0;
    for i in 0..4 {
        let batch = bars(31, 1_000_000 + i * 100);
        let (outputs, _) = engine.evaluate(&batch).unwrap();
        let rows = outputs.chunks(2).zip(&batch.targets);
        right += rows.filter(|(o, t)| u32::from(o[1] > o[0]) == **t).count();
    }
    right as f64 / 124.0
}

#[test]
fn every_preset_learns_in_fp8() {
    let shape = image(12, 12, 1);
    let head = Head::Classes { count: 2 };
    for (name, model) in presets(shape, head, false) {
        for precision in
            [Precision::F32, Precision::Fp8(Recipe::current()), Precision::Fp8(Recipe::mx())]
        {
            let config = PlanConfig {
                batch: 32,
                precision,
                optimizer: Optimizer::default(),
                update: UpdateOptions::default(),
            };
            let plan = compile(&model, &config).unwrap();
            assert_eq!(memory::check(&plan), Vec::<String>::new(), "{name}");
            let mut engine = CpuEngine::open(plan).unwrap();
            engine.load_params(&init(&model, 3)).unwrap();
            let before = accuracy(&mut engine);
            let mut last = 0.0;
            for step in 1..=80 {
                let rate = if step < 40 { 3e-3 } else { 1e-3 };
                let params = StepParams { step, learning_rate: rate, seed: 5 };
                // The last batch of an epoch is short.
                let rows = if step % 10 == 0 { 19 } else { 32 };
                last = engine.train(&[bars(rows, step as u32 * 100)], &[params]).unwrap()[0];
            }
            let after = accuracy(&mut engine);
            assert!(
                before < 0.75 && after > 0.95,
                "{name} {precision:?}: {before} {after}, {last}"
            );
        }
    }
}

#[test]
fn running_statistics_follow_the_batches() {
    let norm = Layer::BatchNorm { activation: None };
    let model = model((2, 2, 3), vec![norm, Layer::Flatten]);
    let mut engine = engine(&model, Precision::F32);
    engine.load_params(&init(&model, 1)).unwrap();
    let batch = batch(&model);
    let step = StepParams { step: 1, learning_rate: 0.0, seed: 0 };
    engine.train(std::slice::from_ref(&batch), &[step]).unwrap();
    let params = engine.read_params().unwrap();
    let value = |name: &str| &params.iter().find(|p| p.name == name).unwrap().values;
    for c in 0..3 {
        let channel: Vec<f64> =
            batch.dense.iter().skip(c).step_by(3).map(|v| f64::from(*v)).collect();
        let n = channel.len() as f64;
        let mean = channel.iter().sum::<f64>() / n;
        let variance = channel.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
        assert!((f64::from(value("n0.mean")[c]) - 0.1 * mean).abs() < 1e-6);
        assert!((f64::from(value("n0.variance")[c]) - (0.9 + 0.1 * variance)).abs() < 1e-6);
    }
    // Evaluation uses the running values: one row gives the same result alone and among others.
    engine.prepare_eval().unwrap();
    let (all, _) = engine.evaluate(&batch).unwrap();
    let alone = Batch { rows: 1, dense: batch.dense[..12].to_vec(), ..Batch::default() };
    assert_eq!(engine.evaluate(&alone).unwrap().0, all[..3]);
}

#[test]
fn faults_of_image_models_are_named() {
    let fails = |model: ModelSpec, word: &str| {
        let text = model.validate().unwrap_err().to_string();
        assert!(text.contains(word), "{text}");
    };
    let small = |layer: Layer| model((4, 4, 2), vec![layer, Layer::Flatten]);
    small(conv(4, 3, (1, 1), 1)).validate().unwrap();
    fails(small(conv(0, 3, (1, 1), 1)), "no outputs");
    fails(small(conv(4, 9, (1, 1), 1)), "does not fit");
    fails(small(conv(4, 3, (1, 3), 1)), "padding 3");
    fails(small(conv(4, 3, (0, 1), 1)), "stride 0");
    fails(small(conv(3, 3, (1, 1), 2)), "groups");
    fails(small(conv(usize::MAX, 3, (1, 1), 1)), "more than");
    fails(small(Layer::MaxPool { size: 16, stride: 1, padding: 8 }), "at most 15");
    fails(small(Layer::MaxPool { size: 2, stride: 1, padding: 2 }), "half");
    fails(small(Layer::AvgPool { size: 5, stride: 1 }), "does not fit");
    fails(small(Layer::LayerNorm), "flatten it first");
    let flat = |layer: Layer| model((4, 4, 2), vec![Layer::Flatten, layer]);
    fails(flat(conv(4, 3, (1, 1), 1)), "needs an image");
    fails(flat(Layer::GlobalAveragePool), "needs an image");
    let wire = |inputs: &[&str], layer: Layer| {
        let mut m = model(
            (4, 4, 2),
            vec![conv(2, 3, (1, 1), 1), Layer::Flatten, Layer::Dropout { rate: 0.1 }],
        );
        m.nodes[2] = Node::of("n2", layer, inputs);
        m
    };
    let add = Layer::Add { activation: None };
    wire(&["n1"], Layer::Dropout { rate: 0.1 }).validate().unwrap();
    fails(wire(&["n3"], Layer::Dropout { rate: 0.1 }), "\"n3\"");
    fails(wire(&["n2"], Layer::Dropout { rate: 0.1 }), "\"n2\"");
    fails(wire(&["n0", "n1"], Layer::Dropout { rate: 0.1 }), "1 input");
    fails(wire(&[], add.clone()), "2 input");
    fails(wire(&["n0", "n1"], add.clone()), "same shape");
    fails(wire(&["n0"], Layer::Flatten), "nothing takes the output of layer \"n1\"");
    let mut m = small(Layer::Dropout { rate: 0.1 });
    m.input.dense = 31;
    fails(m.clone(), "31 numbers");
    m.input.dense = 32;
    m.nodes[0].name = "input".to_owned();
    fails(m, "layer name");
}

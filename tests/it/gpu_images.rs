//! Kernels for images on the GPU against their native twins. Most inputs are small whole numbers:
//! their sums are exact in any order, so results, signs and winners must have the same bits.

use fp8_studio::device::Gpu;
use fp8_studio::engine::cpu::CpuEngine;
use fp8_studio::engine::wgpu::WgpuEngine;
use fp8_studio::engine::{Batch, Engine, StepParams};
use fp8_studio::fp8::{Format, Precision, Recipe, hash};
use fp8_studio::kernels::batch_norm::{BatchNorm, BatchNormBackward, BatchNormEval};
use fp8_studio::kernels::channel::{Add, ChannelBackward};
use fp8_studio::kernels::conv::{Conv, ConvInputGradient, ConvShape, ConvWeightGradient, Kept};
use fp8_studio::kernels::elementwise::Accumulate;
use fp8_studio::kernels::gemm::{Operand, Storage, blocks};
use fp8_studio::kernels::pool::{AvgPool, AvgPoolBackward, MaxPool, MaxPoolBackward, PoolShape};
use fp8_studio::kernels::{BufferId, Op};
use fp8_studio::model::init::init;
use fp8_studio::model::{
    Activation, CnnOptions, Head, ImageShape, ModelSpec, ResNetOptions, SeparableOptions,
};
use fp8_studio::plan::{Optimizer, PlanConfig, UpdateOptions, compile};

use crate::pair::{Layout, gpu, numbers};

fn case(gpu: Gpu, make: impl FnOnce(&mut Layout) -> Op) -> Gpu {
    let mut layout = Layout::default();
    let op = make(&mut layout);
    let mut pair = layout.pair(gpu);
    pair.run_variants(&op).unwrap();
    pair.into_gpu()
}

/// Whole numbers from -`most` to `most`.
fn whole(len: usize, salt: u32, most: u32) -> Vec<f32> {
    let key = hash::key(salt, 9, 9);
    let one = |i| (hash::bits(key, i) % (2 * most + 1)) as f32 - most as f32;
    (0..len as u32).map(one).collect()
}

/// How an operand is stored: f32, bf16 ([`BF16`]), or FP8 with blocks of this many columns (0: one
/// scale).
type Store = Option<u32>;
const BF16: u32 = u32::MAX;

/// A stored matrix of small whole numbers; FP8 scales are 1, 2 or 4.
fn matrix(l: &mut Layout, salt: u32, rows: usize, cols: usize, store: Store) -> Operand {
    let values = whole(rows * cols, salt, 3);
    let (rows32, cols32) = (rows as u32, cols as u32);
    let Some(width) = store else {
        return Operand::f32(l.f32(&values), rows32, cols32, false);
    };
    if width == BF16 {
        let half = |v: Option<&f32>| v.map_or(0, |v| v.to_bits() >> 16);
        let word = |pair: &[f32]| half(pair.first()) | half(pair.get(1)) << 16;
        let row = |row: &[f32]| row.chunks(2).map(word).collect::<Vec<u32>>();
        let words: Vec<u32> = values.chunks(cols.max(1)).flat_map(row).collect();
        let storage = Storage::Bf16;
        let buffer = l.words(&words);
        return Operand { buffer, storage, rows: rows32, cols: cols32, transpose: false };
    }
    let format = if salt.is_multiple_of(2) { Format::E4M3 } else { Format::E5M2 };
    let (block_rows, block_cols) =
        if width == 0 { (rows32.max(1), cols32.max(1)) } else { (1, width) };
    let row_bytes = cols.div_ceil(4) * 4;
    let mut bytes = vec![0u8; rows * row_bytes];
    for (i, v) in values.iter().enumerate() {
        bytes[i / cols * row_bytes + i % cols] = format.encode(*v);
    }
    let count = blocks(rows32, cols32, block_rows, block_cols);
    let exponents: Vec<u32> = (0..count as u32).map(|i| hash::mix(i + salt) % 3).collect();
    let words: Vec<u32> =
        bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let (buffer, scales) = (l.words(&words), l.words(&exponents));
    let storage = Storage::Fp8 { format, scales, block_rows, block_cols };
    Operand { buffer, storage, rows: rows32, cols: cols32, transpose: false }
}

fn shape(
    rows: u32,
    (height, width): (u32, u32),
    (channels, out_channels): (u32, u32),
    kernel: u32,
    (stride, padding): (u32, u32),
    groups: u32,
) -> ConvShape {
    let side = |n: u32| (n + 2 * padding - kernel) / stride + 1;
    ConvShape {
        rows,
        height,
        width,
        channels,
        out_height: side(height),
        out_width: side(width),
        out_channels,
        kernel,
        stride,
        padding,
        groups,
    }
}

/// Around one, a word, a tile; strides, paddings, groups; sums that are cut into parts.
fn shapes() -> Vec<ConvShape> {
    vec![
        shape(1, (1, 1), (1, 1), 1, (1, 0), 1),
        shape(3, (7, 9), (1, 5), 3, (1, 1), 1),
        shape(2, (8, 6), (3, 33), 3, (1, 0), 1),
        shape(2, (8, 8), (4, 64), 1, (1, 0), 1),
        shape(2, (9, 7), (5, 65), 3, (2, 1), 1),
        shape(2, (10, 11), (2, 3), 5, (3, 2), 1),
        shape(2, (6, 7), (6, 8), 3, (1, 1), 2),
        shape(2, (6, 7), (6, 10), 3, (2, 1), 2),
        shape(2, (6, 5), (3, 3), 3, (1, 1), 3),
        shape(3, (9, 8), (37, 37), 3, (2, 1), 37),
        // Channels of images, of outputs, and of both come in fours.
        shape(2, (9, 7), (8, 5), 3, (2, 1), 1),
        shape(2, (8, 6), (3, 12), 3, (1, 1), 1),
        shape(2, (6, 8), (8, 40), 3, (1, 1), 2),
        shape(2, (8, 8), (12, 68), 3, (1, 0), 1),
        shape(9, (16, 16), (2, 3), 3, (1, 1), 1),
        shape(9, (16, 16), (5, 5), 3, (1, 1), 5),
    ]
}

const STORES: [(Store, Store); 6] = [
    (None, None),
    (Some(0), Some(0)),
    (Some(6), Some(32)),
    (None, Some(0)),
    (Some(BF16), Some(BF16)),
    (None, Some(BF16)),
];

/// Every pipeline takes long to compile, so each case gets one pair of stores, all in turn.
fn stores(turn: usize) -> (Store, Store) {
    STORES[turn % STORES.len()]
}

#[test]
fn convolution_forward() {
    let mut gpu = gpu();
    for (i, s) in shapes().into_iter().enumerate() {
        let (rows, outs) = (s.rows as usize, s.out_channels as usize);
        for (j, (activation, pool, keep)) in [
            (None, false, false),
            (Some(Activation::Relu), false, true),
            (Some(Activation::Silu), false, true),
            (None, true, true),
            (Some(Activation::Relu), true, true),
            (Some(Activation::Relu), true, false),
        ]
        .into_iter()
        .enumerate()
        {
            let (x_store, w_store) = stores(i + j);
            if pool && (s.pooled_pixels() == 0 || !s.keeps_winners()) {
                continue;
            }
            // A smooth non-linearity needs arguments of moderate size.
            if activation == Some(Activation::Silu) && s.filter_len() > 9 {
                continue;
            }
            gpu = case(gpu, |l| {
                let x = matrix(l, 2, rows, s.image_len(), x_store);
                let weight = matrix(l, 4, outs, s.filter_len(), w_store);
                let bias = (outs % 2 == 1).then(|| l.f32(&whole(outs, 5, 4)));
                let pixels = if pool { s.pooled_pixels() } else { s.out_pixels() };
                let out = l.out(rows * pixels * outs);
                let kept: fn(BufferId) -> Kept = match (keep, pool, activation) {
                    (false, ..) => |_| Kept::Nothing,
                    (true, true, _) => Kept::Winners,
                    (true, false, Some(Activation::Relu)) if s.keeps_signs() => Kept::Signs,
                    (true, false, _) => Kept::Pre,
                };
                let words = Conv::kept_words(kept(out), rows * pixels, outs);
                let kept = kept(l.out(words));
                let op = Conv { x, weight, bias, shape: s, activation, pool, out, kept };
                op.check().unwrap();
                Op::Conv(op)
            });
        }
    }
}
/// Gradients, of a fused pooling if asked for.
fn gradient(
    l: &mut Layout,
    s: &ConvShape,
    store: Store,
    pooled: bool,
) -> (Operand, Option<BufferId>) {
    let (rows, outs) = (s.rows as usize, s.out_channels as usize);
    if !pooled {
        return (matrix(l, 7, rows, s.out_pixels() * outs, store), None);
    }
    let words = rows * s.pooled_pixels() * outs.div_ceil(4);
    let places: Vec<u32> = (0..words as u32)
        .map(|i| {
            let h = hash::mix(i + 3);
            (0..4).map(|c| (((h >> (8 * c)) & 0xff) % 5) << (8 * c)).sum()
        })
        .collect();
    (matrix(l, 7, rows, s.pooled_pixels() * outs, store), Some(l.words(&places)))
}

#[test]
fn convolution_gradients() {
    let mut gpu = gpu();
    for (i, s) in shapes().into_iter().enumerate() {
        let (rows, outs) = (s.rows as usize, s.out_channels as usize);
        for pooled in [false, true] {
            let (a_store, b_store) = stores(i + usize::from(pooled));
            if pooled && s.pooled_pixels() == 0 {
                continue;
            }
            gpu = case(gpu, |l| {
                let (grad, winners) = gradient(l, &s, a_store, pooled);
                let weight = matrix(l, 4, outs, s.filter_len(), b_store);
                let grad_x = l.out(rows * s.image_len());
                let op = ConvInputGradient { grad, winners, weight, shape: s, grad_x };
                op.check().unwrap();
                Op::ConvInputGradient(op)
            });
            gpu = case(gpu, |l| {
                let (grad, winners) = gradient(l, &s, a_store, pooled);
                let x = matrix(l, 2, rows, s.image_len(), b_store);
                let grad_weight = l.out(outs * s.filter_len());
                let op = ConvWeightGradient { grad, winners, x, shape: s, grad_weight };
                op.check().unwrap();
                Op::ConvWeightGradient(op)
            });
        }
    }
}
#[test]
fn pooling() {
    let make = |rows, (height, width), channels, size: [u32; 2], stride, padding| {
        let places = |n: u32, k: u32| (n + 2 * padding - k) / stride + 1;
        let (out_height, out_width) = (places(height, size[0]), places(width, size[1]));
        PoolShape { rows, height, width, channels, out_height, out_width, size, stride, padding }
    };
    let mut gpu = gpu();
    for s in [
        make(2, (4, 6), 3, [2, 2], 2, 0),
        make(3, (7, 5), 5, [3, 3], 2, 1),
        make(1, (5, 5), 33, [3, 3], 1, 1),
        make(2, (6, 7), 4, [6, 7], 1, 0),
        make(1, (1, 1), 1, [1, 1], 1, 0),
        make(2, (9, 8), 2, [2, 2], 3, 0),
        make(1, (15, 15), 1, [15, 15], 1, 7),
    ] {
        let len = s.rows as usize * s.image_len();
        let out_len = s.rows as usize * s.out_pixels() * s.channels as usize;
        let mut winners = Vec::new();
        for keep in [false, true] {
            let mut layout = Layout::default();
            let x = layout.f32(&whole(len, 1, 5));
            let out = layout.out(out_len);
            let kept = keep.then(|| layout.out(s.winner_words()));
            let mut pair = layout.pair(gpu);
            pair.run(&Op::MaxPool(MaxPool { x, out, winners: kept, shape: s })).unwrap();
            if let Some(id) = kept {
                winners = pair.slots.words(id)[..s.winner_words()].to_vec();
            }
            gpu = pair.into_gpu();
        }
        gpu = case(gpu, |l| {
            let (grad, winners) = (l.f32(&whole(out_len, 2, 5)), l.words(&winners));
            Op::MaxPoolBackward(MaxPoolBackward { grad, winners, grad_x: l.out(len), shape: s })
        });
        if s.padding == 0 {
            gpu = case(gpu, |l| {
                let x = l.f32(&whole(len, 1, 5));
                Op::AvgPool(AvgPool { x, out: l.out(out_len), shape: s })
            });
            gpu = case(gpu, |l| {
                let grad = l.f32(&whole(out_len, 1, 5));
                Op::AvgPoolBackward(AvgPoolBackward { grad, grad_x: l.out(len), shape: s })
            });
        }
    }
}

#[test]
fn sums_and_their_gradients() {
    let mut gpu = gpu();
    for (rows, channels) in [(0u32, 3u32), (1, 1), (7, 33), (300, 4), (2000, 17), (70, 64)] {
        let len = (rows * channels) as usize;
        for activation in [None, Some(Activation::Relu), Some(Activation::Gelu)] {
            gpu = case(gpu, |l| {
                let (a, b) = (l.f32(&whole(len, 1, 9)), l.f32(&whole(len, 2, 9)));
                let kept = match activation {
                    None => Kept::Nothing,
                    Some(Activation::Relu) => {
                        Kept::Signs(l.out((rows * channels.div_ceil(32)) as usize))
                    }
                    Some(_) => Kept::Pre(l.out(len)),
                };
                Op::Add(Add { a, b, out: l.out(len), kept, activation, rows, channels })
            });
        }
        for (kind, activation) in [
            (0, None),
            (1, Some(Activation::Silu)),
            (2, Some(Activation::Relu)),
            (3, Some(Activation::Relu)),
        ] {
            for bias in [false, true] {
                gpu = case(gpu, |l| {
                    let grad = l.f32(&whole(len, 3, 9));
                    let words = |n: u32| (0..rows * channels.div_ceil(n)).map(hash::mix);
                    let kept = match kind {
                        0 => Kept::Nothing,
                        1 => Kept::Pre(l.f32(&whole(len, 4, 9))),
                        2 => Kept::Signs(l.words(&words(32).collect::<Vec<_>>())),
                        _ => Kept::Winners(
                            l.words(&words(4).map(|w| w & 0x0707_0707).collect::<Vec<_>>()),
                        ),
                    };
                    let bias_gradient = bias.then(|| l.f32(&whole(channels as usize, 5, 9)));
                    Op::ChannelBackward(ChannelBackward {
                        grad,
                        kept,
                        activation,
                        bias_gradient,
                        accumulate: rows % 2 == 0,
                        rows,
                        channels,
                    })
                });
            }
        }
        gpu = case(gpu, |l| {
            let (into, from) = (l.f32(&numbers(len, 1)), l.f32(&numbers(len, 2)));
            Op::Accumulate(Accumulate { into, from, len: rows * channels })
        });
    }
}

#[test]
fn batch_normalisation() {
    let mut gpu = gpu();
    for (rows, valid, pixels, channels) in
        [(1, 1, 1, 1), (5, 3, 7, 3), (30, 30, 9, 17), (40, 39, 50, 2), (9, 9, 1, 300)]
    {
        let len = (rows * pixels * channels) as usize;
        let n = channels as usize;
        for activation in [None, Some(Activation::Relu), Some(Activation::Silu)] {
            // Far from 0, where a ReLU could differ.
            let shift: Vec<f32> = (0..n).map(|c| if c % 2 == 0 { 9.0 } else { -9.0 }).collect();
            let gain: Vec<f32> = (0..n).map(|c| 1.0 + (c % 3) as f32 / 4.0).collect();
            let x: Vec<f32> = numbers(len, 4).iter().map(|v| v * 3.0 + 1.0).collect();
            let mut layout = Layout::default();
            let [x, gain, shift] = [x, gain, shift].map(|v| layout.f32(&v));
            let (out, moments) = (layout.out(len), layout.out(2 * n));
            let [running_mean, running_variance] =
                [layout.f32(&vec![0.25; n]), layout.f32(&vec![2.0; n])];
            let step = layout.step(3, valid);
            let grad = layout.f32(&numbers(len, 6));
            let [grad_gain, grad_shift] = [0; 2].map(|_| layout.out(n));
            let eval = layout.out(len);
            let mut pair = layout.pair(gpu);
            pair.run(&Op::BatchNorm(BatchNorm {
                x,
                gain,
                shift,
                out,
                moments,
                running_mean,
                running_variance,
                rows,
                pixels,
                channels,
                activation,
                step,
            }))
            .unwrap();
            pair.run(&Op::BatchNormBackward(BatchNormBackward {
                x,
                gain,
                shift,
                moments,
                grad,
                grad_gain,
                grad_shift,
                rows,
                pixels,
                channels,
                activation,
                step,
            }))
            .unwrap();
            pair.run(&Op::BatchNormEval(BatchNormEval {
                x,
                gain,
                shift,
                mean: running_mean,
                variance: running_variance,
                out: eval,
                rows: rows * pixels,
                channels,
                activation,
            }))
            .unwrap();
            gpu = pair.into_gpu();
        }
    }
}

/// Loss curves of both engines over a few steps. What was quantised from the same f32 bits, which
/// are the weights and the images of the first step, must have the same bytes.
fn curves(model: &ModelSpec, precision: Precision) -> (Vec<f32>, Vec<f32>) {
    let config = PlanConfig {
        batch: 12,
        precision,
        optimizer: Optimizer::default(),
        update: UpdateOptions::default(),
    };
    let plan = compile(model, &config).unwrap();
    let codes = |engine: &mut dyn Engine| -> Vec<Vec<u32>> {
        let weights = plan.params.iter().filter_map(|p| p.quantised);
        let ids = weights.flat_map(|q| [q.packed, q.scales]);
        ids.map(|id| engine.read(id).unwrap()).collect()
    };
    let first = |name: &str| {
        let node = name.split('.').next().unwrap_or_default();
        name.ends_with(".weight") || (name.ends_with(".input") && node == model.nodes[0].name)
    };
    let run = |engine: &mut dyn Engine| {
        engine.load_params(&init(model, 2)).unwrap();
        let mut losses = Vec::new();
        let mut bytes = Vec::new();
        for step in 1..=6u32 {
            let rows = if step == 4 { 7 } else { 12 };
            let batch = Batch {
                rows,
                dense: numbers(rows * model.input.dense, step),
                targets: (0..rows as u32).map(|r| hash::mix(r + step) % 3).collect(),
                ..Batch::default()
            };
            let params = StepParams { step: step.into(), learning_rate: 1e-3, seed: 5 };
            losses.extend(engine.train(&[batch], &[params]).unwrap());
            if step == 1 {
                bytes = codes(engine);
                // Counts of every code that is cut off, flushed or subnormal, and the scale.
                let stats = engine.stats().unwrap();
                for (s, _) in stats.iter().zip(&plan.watched).filter(|(_, w)| first(&w.name)) {
                    let counts = [s.saturated, s.flushed, s.subnormal, s.nan];
                    bytes.push([&counts[..], &[s.amax.to_bits()]].concat());
                }
            }
        }
        engine.prepare_eval().unwrap();
        let batch = Batch { rows: 3, dense: numbers(3 * model.input.dense, 9), ..Batch::default() };
        losses.extend(engine.evaluate(&batch).unwrap().0);
        (losses, bytes)
    };
    let (native, bytes) = run(&mut CpuEngine::open(plan.clone()).unwrap());
    let (gpu, gpu_bytes) = run(&mut WgpuEngine::open(plan.clone(), true).unwrap());
    assert_eq!(bytes, gpu_bytes);
    assert_eq!(bytes.len() > 6, precision.recipe().is_some());
    (native, gpu)
}

#[test]
fn every_preset_trains_alike_on_both_engines() {
    let image = ImageShape { height: 9, width: 8, channels: 2 };
    let head = Head::Classes { count: 3 };
    let cnn = CnnOptions { channels: vec![6, 9], dense: vec![20], ..CnnOptions::default() };
    let resnet = ResNetOptions { width: 6, stages: 2, blocks: 1, high_precision_ends: false };
    let separable = SeparableOptions { width: 5, blocks: 2, high_precision_ends: false };
    for model in [
        ModelSpec::cnn(image, &cnn, head),
        ModelSpec::resnet(image, &resnet, head),
        ModelSpec::depthwise_separable(image, &separable, head),
    ] {
        // A flipped FP8 code, or a winner of a near tie, moves the loss by some 1e-4 of itself.
        for (precision, most) in [
            (Precision::F32, 1e-4),
            (Precision::Fp8(Recipe::current()), 2e-2),
            (Precision::Fp8(Recipe::block()), 2e-2),
            (Precision::Fp8(Recipe::delayed()), 2e-2),
            (Precision::Bf16, 2e-2),
        ] {
            let (native, gpu) = curves(&model, precision);
            for (a, b) in native.iter().zip(&gpu) {
                assert!(
                    (a - b).abs() <= most * (1.0 + a.abs()),
                    "{precision:?}: {native:?} {gpu:?}"
                );
            }
            assert!(native.iter().all(|v| v.is_finite()));
        }
    }
}

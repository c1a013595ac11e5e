//! Clipping, accumulation, averages and compact optimiser state against f64 references.

use fp8_studio::engine::cpu::CpuEngine;
use fp8_studio::engine::{Batch, Engine, StepParams};
use fp8_studio::fp8::expand::{self, GROUP, GROUP_WORDS};
use fp8_studio::fp8::{Precision, Recipe, bf16};
use fp8_studio::kernels::clip::{ClipFactor, Rescale, SquareSum};
use fp8_studio::kernels::compact::{CompactAdamW, StateFormat};
use fp8_studio::kernels::{BufferId, Op, Slots};
use fp8_studio::model::init::init;
use fp8_studio::model::{Activation, Head, InputSpec, ModelSpec};
use fp8_studio::plan::{MasterFormat, MomentFormat, Optimizer, PlanConfig, UpdateOptions, compile};

use crate::pair::{numbers, step_words};

fn slots(buffers: &[Vec<u32>]) -> Slots {
    let sizes: Vec<usize> = buffers.iter().map(Vec::len).collect();
    let mut slots = Slots::new(&sizes, sizes.iter().copied().enumerate().collect());
    for (i, words) in buffers.iter().enumerate() {
        slots.words_mut(BufferId(i as u32)).copy_from_slice(words);
    }
    slots
}

fn bits(values: &[f32]) -> Vec<u32> {
    bytemuck::cast_slice(values).to_vec()
}

#[test]
fn clipping_scales_all_gradients_by_one_factor() {
    for (lens, size) in [([0usize, 1, 40_000], 1.0f32), ([5, 300, 17], 1e-3), ([1, 2, 3], 1e15)] {
        let x =
            lens.map(|len| numbers(len, len as u32).iter().map(|v| v * size).collect::<Vec<_>>());
        let squares: f64 = x.iter().flatten().map(|v| f64::from(*v).powi(2)).sum();
        let norm = squares.sqrt();
        for limit in [0.5 * norm, 2.0 * norm] {
            let mut buffers: Vec<Vec<u32>> = x.iter().map(|x| bits(x)).collect();
            buffers.extend([vec![0; 3], vec![0; 2]]);
            let mut slots = slots(&buffers);
            let (sums, factor) = (BufferId(3), BufferId(4));
            for (at, len) in lens.iter().enumerate() {
                let op = SquareSum {
                    x: BufferId(at as u32),
                    out: sums,
                    at: at as u32,
                    len: *len as u32,
                };
                Op::SquareSum(op).cpu(&mut slots);
            }
            let op = ClipFactor { squares: sums, len: 3, out: factor, limit: limit as f32 };
            Op::ClipFactor(op).cpu(&mut slots);
            let got = slots.f32(factor).to_vec();
            let want = (limit / (norm + 1e-6)).min(1.0);
            assert!((f64::from(got[0]) - norm).abs() <= 1e-6 * norm, "{} {norm}", got[0]);
            assert!((f64::from(got[1]) - want).abs() <= 1e-6, "{} {want}", got[1]);
            for (at, x) in x.iter().enumerate() {
                let id = BufferId(at as u32);
                Op::Rescale(Rescale { x: id, len: x.len() as u32, factor }).cpu(&mut slots);
                let scaled = slots.f32(id);
                assert!(scaled.iter().zip(x).all(|(s, x)| *s == x * got[1]));
            }
            // A comparison with another limit fails.
            assert!((f64::from(got[1]) - (0.9 * limit / norm).min(0.9)).abs() > 1e-3);
        }
    }
    let mut slots = slots(&[bits(&[1.0, f32::NAN]), vec![0], vec![0; 2]]);
    Op::SquareSum(SquareSum { x: BufferId(0), out: BufferId(1), at: 0, len: 2 }).cpu(&mut slots);
    let op = ClipFactor { squares: BufferId(1), len: 1, out: BufferId(2), limit: 1.0 };
    Op::ClipFactor(op).cpu(&mut slots);
    assert!(slots.f32(BufferId(2)).iter().all(|v| v.is_nan()), "divergence must show");
}

/// Values of a stored array.
fn values(format: StateFormat, words: &[u32], len: usize) -> Vec<f32> {
    let mut out = vec![0.0; len];
    match format {
        StateFormat::F32 => out.copy_from_slice(bytemuck::cast_slice(&words[..len])),
        StateFormat::Bf16 => bf16::decode(bytemuck::cast_slice(words), &mut out),
        StateFormat::Fp8 => {
            for (out, words) in out.chunks_mut(GROUP).zip(words.chunks(GROUP_WORDS)) {
                expand::decode(words, out);
            }
        }
    }
    out
}

/// Largest step of a format at a value: of E4M3 an eighth, stretched by k down to a half.
fn step_of(format: StateFormat, value: f64, largest: f64) -> f64 {
    match format {
        StateFormat::F32 => 1e-6 * value.abs(),
        StateFormat::Bf16 => value.abs() / 128.0,
        // Below the group's range nothing is left of a value but that it is there.
        StateFormat::Fp8 => 0.27 * value.abs() + 1e-9 * largest,
    }
}

/// Every step from the stored state of the step before, in f64; what was stored is within one step
/// of its format, weights as exact as f32 or within one step of bf16.
#[test]
fn compact_adamw_follows_the_formulas_from_what_was_stored() {
    use StateFormat::{Bf16, F32, Fp8};
    let kinds = [(Fp8, Fp8, F32), (F32, Bf16, F32), (F32, F32, Bf16), (Fp8, Fp8, Bf16)];
    for (first_format, second_format, weight_format) in kinds {
        for (rows, cols) in [(1u32, 1u32), (1, 127), (1, 129), (1, 9000), (7, 33), (5, 128), (0, 3)]
        {
            let weight_rows = if weight_format == F32 { 1 } else { rows };
            let cols = if weight_format == F32 { rows * cols } else { cols };
            let mut op = CompactAdamW {
                weight: BufferId(0),
                weight_format,
                gradient: BufferId(1),
                first: BufferId(2),
                first_format,
                second: BufferId(3),
                second_format,
                rows: weight_rows,
                cols,
                beta1: 0.9,
                beta2: 0.99,
                epsilon: 1e-8,
                weight_decay: 0.1,
                param: 3,
                step: BufferId(4),
            };
            let stride = op.stride() as usize;
            let positions = weight_rows as usize * stride;
            let at = |p: usize| {
                (p % stride.max(1) < cols as usize)
                    .then(|| p / stride.max(1) * cols as usize + p % stride.max(1))
            };
            let start: Vec<f32> = (0..positions)
                .map(|p| at(p).map_or(0.0, |i| numbers(i + 1, 5)[i]))
                .map(|v| {
                    if weight_format == Bf16 { bf16::value(bf16::nearest(v.to_bits())) } else { v }
                })
                .collect();
            let weight_words = match weight_format {
                Bf16 => start
                    .chunks(2)
                    .map(|c| c.iter().rev().fold(0, |w, v| w << 16 | v.to_bits() >> 16))
                    .collect(),
                _ => bits(&start),
            };
            let len = (weight_rows * cols) as usize;
            let mut memory = slots(&[
                weight_words,
                vec![0; len],
                vec![0; first_format.words(positions)],
                vec![0; second_format.words(positions)],
                step_words(1, 1).to_vec(),
            ]);
            for number in 1..=4 {
                let sizes = [1.0, 1e-2, 0.3, 3e-4];
                let g: Vec<f32> = numbers(len, 90 + number)
                    .iter()
                    .enumerate()
                    .map(|(i, v)| v * sizes[i % 4])
                    .collect();
                memory.words_mut(op.gradient).copy_from_slice(&bits(&g));
                memory.words_mut(op.step).copy_from_slice(&step_words(number, 1));
                let read = |memory: &Slots| {
                    [
                        (op.weight, weight_format),
                        (op.first, first_format),
                        (op.second, second_format),
                    ]
                    .map(|(id, f)| values(f, memory.words(id), positions))
                };
                let before = read(&memory);
                Op::CompactAdamW(op).cpu(&mut memory);
                let after = read(&memory);
                let mut exact =
                    [vec![0f64; positions], vec![0f64; positions], vec![0f64; positions]];
                for p in 0..positions {
                    let g = at(p).map_or(0.0, |i| f64::from(g[i]));
                    let [w, m, v] = [0, 1, 2].map(|a| f64::from(before[a][p]));
                    let (m, v) = (0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g);
                    // Rate and corrections of the test's step state.
                    let change = 0.01 * m * 3.5 / ((v * 200.0).sqrt() + 1e-8);
                    (exact[0][p], exact[1][p], exact[2][p]) =
                        (w * (1.0 - 0.01 * 0.1) - change, m, v);
                }
                let formats = [weight_format, first_format, second_format];
                let fits = |after: &[Vec<f32>; 3]| {
                    (0..3).all(|a| {
                        (0..positions).all(|p| {
                            let group =
                                p / GROUP * GROUP..(p / GROUP * GROUP + GROUP).min(positions);
                            let largest = exact[a][group].iter().fold(0f64, |m, v| m.max(v.abs()));
                            let allowed = step_of(formats[a], exact[a][p], largest) + 1e-7;
                            (f64::from(after[a][p]) - exact[a][p]).abs() <= allowed
                        })
                    })
                };
                assert!(fits(&after), "{op:?} step {number}\n{after:?}\n{exact:?}");
                // Second moments stay above zero where a gradient was.
                assert!((0..positions).all(|p| exact[2][p] < 1e-30 || after[2][p] > 0.0));
                if positions > 0 {
                    let mut wrong = after.clone();
                    wrong[0][0] += 0.05;
                    assert!(!fits(&wrong), "planted");
                }
            }
            op.param = 4;
            let was = memory.words(op.first).to_vec();
            Op::CompactAdamW(op).cpu(&mut memory);
            assert!(positions == 0 || memory.words(op.first) != was);
        }
    }
}

/// A moment whose change per step is far below its rounding still follows its exact average.
#[test]
fn small_changes_of_a_rounded_moment_are_not_lost() {
    for format in [StateFormat::Fp8, StateFormat::Bf16] {
        let len = 4 * GROUP;
        let op = CompactAdamW {
            weight: BufferId(0),
            weight_format: StateFormat::F32,
            gradient: BufferId(1),
            first: BufferId(2),
            first_format: StateFormat::F32,
            second: BufferId(3),
            second_format: format,
            rows: 1,
            cols: len as u32,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            param: 0,
            step: BufferId(4),
        };
        let gradient: Vec<f32> = numbers(len, 3).iter().map(|v| 0.2 + v.abs()).collect();
        let mut memory = slots(&[
            vec![0; len],
            bits(&gradient),
            vec![0; len],
            vec![0; format.words(len)],
            step_words(1, 1).to_vec(),
        ]);
        let steps = 1500;
        for step in 1..=steps {
            memory.words_mut(op.step).copy_from_slice(&step_words(step, 1));
            // After a third of the steps all gradients shrink, and the moment must follow.
            if step == steps / 3 {
                let small: Vec<f32> = gradient.iter().map(|g| 0.1 * g).collect();
                memory.words_mut(op.gradient).copy_from_slice(&bits(&small));
            }
            Op::CompactAdamW(op).cpu(&mut memory);
        }
        let got = values(format, memory.words(op.second), len);
        let rest = f64::from(steps - steps / 3 + 1);
        let (kept, before) = (0.999f64.powf(rest), 1.0 - 0.999f64.powf(f64::from(steps / 3 - 1)));
        let ratios: Vec<f64> = got
            .iter()
            .zip(&gradient)
            .map(|(v, g)| {
                let square = f64::from(*g).powi(2);
                let want = square * (before * kept + 0.01 * (1.0 - kept));
                f64::from(*v) / want
            })
            .collect();
        let mean = ratios.iter().sum::<f64>() / len as f64;
        assert!((mean - 1.0).abs() < 0.05, "{format:?}: {mean}");
        assert!(ratios.iter().all(|r| (0.2..3.0).contains(r)), "{format:?}: {ratios:?}");
    }
}

const BATCH: usize = 64;

fn model() -> ModelSpec {
    let input = InputSpec::features(2);
    let head = Head::Classes { count: 2 };
    ModelSpec::mlp(input, &[33, 24], Activation::Relu, false, 0.0, false, head)
}

/// Points of a square, labelled by whether the signs of x and y differ.
fn points(rows: usize, salt: u32) -> Batch {
    let dense = numbers(2 * rows, salt);
    let targets = dense.chunks(2).map(|p| u32::from((p[0] < 0.0) != (p[1] < 0.0))).collect();
    Batch { rows, dense, targets, ..Batch::default() }
}

fn open(batch: usize, precision: Precision, update: UpdateOptions) -> CpuEngine {
    let config = PlanConfig { batch, precision, optimizer: Optimizer::default(), update };
    let mut engine = CpuEngine::open(compile(&model(), &config).unwrap()).unwrap();
    engine.load_params(&init(&model(), 3)).unwrap();
    engine
}

fn step(step: u64) -> StepParams {
    StepParams { step, learning_rate: 1e-2, seed: 11 }
}

#[test]
fn four_small_batches_make_the_update_of_a_large_one() {
    let summed = UpdateOptions { accumulate: 4, ..UpdateOptions::default() };
    for clip_norm in [None, Some(0.05)] {
        let mut large =
            open(BATCH, Precision::F32, UpdateOptions { clip_norm, ..UpdateOptions::default() });
        let mut small = open(BATCH / 4, Precision::F32, UpdateOptions { clip_norm, ..summed });
        for update in 1..=6 {
            let whole = points(BATCH, update as u32);
            large.train(std::slice::from_ref(&whole), &[step(update)]).unwrap();
            for part in 0..4 {
                let rows = BATCH / 4;
                let range = part * rows..(part + 1) * rows;
                let batch = Batch {
                    rows,
                    dense: whole.dense[2 * range.start..2 * range.end].to_vec(),
                    targets: whole.targets[range].to_vec(),
                    ..Batch::default()
                };
                let before = small.read_params().unwrap();
                small.train(&[batch], &[step(4 * (update - 1) + part as u64 + 1)]).unwrap();
                assert_eq!(before == small.read_params().unwrap(), part < 3);
            }
        }
        let (a, b) = (large.read_params().unwrap(), small.read_params().unwrap());
        for (a, b) in a.iter().zip(&b) {
            for (x, y) in a.values.iter().zip(&b.values) {
                // AdamW may turn a rounding error of a tiny gradient into a part of its step.
                assert!((x - y).abs() < 2e-3, "{}: {x} {y}", a.name);
            }
        }
        let far = init(&model(), 3);
        assert!(far[0].values.iter().zip(&a[0].values).any(|(x, y)| (x - y).abs() > 1e-2));
        // The reported norms agree as well.
        if clip_norm.is_some() {
            let norms = [&mut large, &mut small].map(|e| {
                let id = e.plan().gradient_norm.unwrap();
                f32::from_bits(e.read(id).unwrap()[0])
            });
            assert!((norms[0] - norms[1]).abs() < 1e-3 * norms[0] && norms[0] > 0.05, "{norms:?}");
        }
    }
}

#[test]
fn averages_follow_their_recursion_and_are_what_evaluation_uses() {
    for (precision, master) in [
        (Precision::F32, MasterFormat::F32),
        (Precision::Fp8(Recipe::current()), MasterFormat::Bf16),
        (Precision::Bf16, MasterFormat::Bf16),
    ] {
        let update = UpdateOptions { average: Some(0.9), master, ..UpdateOptions::default() };
        let mut engine = open(BATCH, precision, update);
        let first = engine.plan().params[0].clone();
        let mut average: Vec<f64> =
            init(&model(), 3)[0].values.iter().map(|v| f64::from(*v)).collect();
        let mut weights = Vec::new();
        for update in 1..=30u64 {
            engine.train(&[points(BATCH, update as u32)], &[step(update)]).unwrap();
            let words = engine.read(first.weight).unwrap();
            weights = fp8_studio::engine::host::unpack(&first, &words);
            let decay = 0.9f64.min((1.0 + update as f64) / (10.0 + update as f64));
            for (a, w) in average.iter_mut().zip(&weights) {
                *a = decay * *a + (1.0 - decay) * f64::from(*w);
            }
        }
        let params = engine.read_params().unwrap();
        let distance = |x: &[f32]| {
            let d = x.iter().zip(&average).map(|(x, a)| (f64::from(*x) - a).abs());
            d.fold(0f64, f64::max)
        };
        assert!(distance(&params[0].values) < 1e-6);
        assert!(distance(&weights) > 1e-3, "the weights themselves are elsewhere");

        // An engine without averages that is loaded with them predicts the same.
        engine.prepare_eval().unwrap();
        let got = engine.evaluate(&points(BATCH, 99)).unwrap();
        let mut plain = open(BATCH, precision, UpdateOptions::default());
        plain.load_params(&params).unwrap();
        plain.prepare_eval().unwrap();
        assert_eq!(plain.evaluate(&points(BATCH, 99)).unwrap(), got);
        // And loading sets weights and averages.
        engine.load_params(&params).unwrap();
        engine.prepare_eval().unwrap();
        assert_eq!(engine.evaluate(&points(BATCH, 99)).unwrap(), got);
    }
}

fn accuracy(engine: &mut CpuEngine) -> f64 {
    engine.prepare_eval().unwrap();
    let mut right = 0;
    for salt in 0..20 {
        let batch = points(BATCH, 100_000 + salt);
        let (outputs, _) = engine.evaluate(&batch).unwrap();
        for (row, target) in outputs.chunks(2).zip(&batch.targets) {
            right += usize::from(u32::from(row[1] > row[0]) == *target);
        }
    }
    right as f64 / (20 * BATCH) as f64
}

#[test]
fn every_kind_of_state_learns_as_well_as_f32() {
    let plain = UpdateOptions::default();
    let run = |update: UpdateOptions, precision| {
        let mut engine = open(BATCH, precision, update);
        let mut last = Vec::new();
        for number in 1..=500u64 {
            let loss = engine.train(&[points(BATCH, number as u32)], &[step(number)]).unwrap()[0];
            if number > 400 {
                last.push(f64::from(loss));
            }
        }
        (accuracy(&mut engine), last.iter().sum::<f64>() / last.len() as f64)
    };
    let (reference, loss) = run(plain, Precision::F32);
    assert!(reference > 0.97 && loss < 0.2);
    for update in [
        UpdateOptions { moments: MomentFormat::Fp8, ..plain },
        UpdateOptions { moments: MomentFormat::Bf16Second, ..plain },
        UpdateOptions { master: MasterFormat::Bf16, ..plain },
        UpdateOptions { clip_norm: Some(1.0), average: Some(0.99), ..plain },
        UpdateOptions {
            moments: MomentFormat::Fp8,
            master: MasterFormat::Bf16,
            clip_norm: Some(1.0),
            ..plain
        },
    ] {
        for precision in [Precision::F32, Precision::Bf16, Precision::Fp8(Recipe::current())] {
            let (accuracy, mean) = run(update, precision);
            assert!(accuracy > 0.96, "{update:?} {precision:?}: {accuracy}");
            assert!(mean < loss + 0.03, "{update:?} {precision:?}: {mean} against {loss}");
        }
    }
}

#[test]
fn unusable_options_are_refused() {
    let compile_with = |optimizer, update| {
        let config = PlanConfig { batch: 4, precision: Precision::F32, optimizer, update };
        compile(&model(), &config).map(|_| ()).unwrap_err().to_string()
    };
    let plain = UpdateOptions::default();
    let adam = Optimizer::default();
    let sgd = Optimizer::Sgd { momentum: 0.9, weight_decay: 0.0 };
    let fp8 = UpdateOptions { moments: MomentFormat::Fp8, ..plain };
    assert!(compile_with(sgd, fp8).contains("AdamW"));
    assert!(compile_with(adam, UpdateOptions { clip_norm: Some(-1.0), ..plain }).contains("-1"));
    assert!(compile_with(adam, UpdateOptions { accumulate: 0, ..plain }).contains("0 batches"));
    assert!(compile_with(adam, UpdateOptions { average: Some(1.0), ..plain }).contains("decay"));
}

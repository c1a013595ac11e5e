//! bf16, clipping, averaging and compact optimiser state on the GPU against their native twins.

use fp8_studio::device::Gpu;
use fp8_studio::engine::cpu::CpuEngine;
use fp8_studio::engine::wgpu::WgpuEngine;
use fp8_studio::engine::{Batch, Engine, StepParams, transfer};
use fp8_studio::fp8::expand::{GROUP, GROUP_WORDS};
use fp8_studio::fp8::{Precision, Recipe};
use fp8_studio::kernels::average::Average;
use fp8_studio::kernels::bf16::{FromBf16, ToBf16, packed_words};
use fp8_studio::kernels::clip::{ClipFactor, Rescale, SquareSum};
use fp8_studio::kernels::compact::{CompactAdamW, StateFormat};
use fp8_studio::kernels::elementwise::Accumulate;
use fp8_studio::kernels::{Op, step_state};
use fp8_studio::model::init::init;
use fp8_studio::model::{Activation, Head, InputSpec, ModelSpec};
use fp8_studio::plan::{
    MasterFormat, MomentFormat, Optimizer, PlanConfig, UpdateOptions, compile, memory,
};

use crate::pair::{Layout, Pair, gpu, numbers, step_words, wild};

const LENGTHS: [u32; 9] = [0, 1, 2, 63, 129, 255, 256, 257, 70_001];

fn case(gpu: Gpu, make: impl FnOnce(&mut Layout) -> Op) -> Gpu {
    let mut layout = Layout::default();
    let op = make(&mut layout);
    let mut pair = layout.pair(gpu);
    pair.run(&op).unwrap();
    pair.into_gpu()
}

#[test]
fn bf16_both_ways() {
    let mut gpu = gpu();
    for (rows, cols) in [(0, 3), (1, 1), (1, 2), (3, 5), (2, 300), (257, 1), (130, 131)] {
        let words = packed_words(rows, cols);
        gpu = case(gpu, |l| {
            let input = l.words(&wild((rows * cols) as usize, rows + cols));
            Op::ToBf16(ToBf16 { input, packed: l.out(words), rows, cols })
        });
        gpu = case(gpu, |l| {
            let packed = l.words(&wild(words, rows + cols + 1));
            Op::FromBf16(FromBf16 { packed, out: l.out((rows * cols) as usize), rows, cols })
        });
    }
}

#[test]
fn clipping_and_sums() {
    let mut gpu = gpu();
    for len in LENGTHS {
        let x = numbers(len as usize, len);
        gpu = case(gpu, |l| {
            Op::SquareSum(SquareSum { x: l.f32(&x), out: l.f32(&[7.0; 4]), at: 2, len })
        });
        let squares: Vec<f32> = x.iter().map(|v| v * v).collect();
        for limit in [0.01, 1e9] {
            gpu = case(gpu, |l| {
                let squares = l.f32(&squares);
                Op::ClipFactor(ClipFactor { squares, len, out: l.out(2), limit })
            });
        }
        for factor in [1.0, 0.37] {
            gpu = case(gpu, |l| {
                Op::Rescale(Rescale { x: l.f32(&x), len, factor: l.f32(&[5.0, factor]) })
            });
        }
        gpu = case(gpu, |l| {
            let from = l.f32(&numbers(len as usize, len + 1));
            Op::Accumulate(Accumulate { into: l.f32(&x), from, len })
        });
    }
}

#[test]
fn averages_of_f32_and_bf16() {
    let mut gpu = gpu();
    let step = |l: &mut Layout| {
        let mut words = step_words(3, 1);
        words[step_state::AVERAGE_RATE] = 0.3f32.to_bits();
        l.words(&words)
    };
    for (rows, cols) in [(0u32, 3u32), (1, 1), (1, 257), (3, 5), (33, 128)] {
        let len = (rows * cols) as usize;
        for packed in [false, true] {
            gpu = case(gpu, |l| {
                let weight = if packed {
                    let pairs = numbers(packed_words(rows, cols), 6);
                    let both = |v: &f32| v.to_bits() >> 16 | (0.5 * v).to_bits() & 0xffff_0000;
                    l.words(&pairs.iter().map(both).collect::<Vec<_>>())
                } else {
                    l.f32(&numbers(len, 6))
                };
                let average = l.f32(&numbers(len, 7));
                Op::Average(Average { weight, packed, average, rows, cols, step: step(l) })
            });
        }
    }
}

/// Bytes or halves that differ, and whether any differs by more than one place.
fn differences(format: StateFormat, native: &[u32], gpu: &[u32]) -> Result<usize, String> {
    let mut count = 0;
    for (i, (n, g)) in native.iter().zip(gpu).enumerate().filter(|(_, (n, g))| n != g) {
        let place = i % GROUP_WORDS;
        match format {
            StateFormat::F32 => {
                let (a, b) = (f32::from_bits(*n), f32::from_bits(*g));
                // Table values carry 1e-5 of relative error into moments and weights.
                if (a - b).abs() > 3e-5 * (a.abs() + 0.02) {
                    return Err(format!("word {i}: {a:e} {b:e}"));
                }
            }
            StateFormat::Bf16 => {
                for half in 0..2 {
                    let [n, g] = [n, g].map(|w| (w >> (16 * half) & 0xffff) as i32);
                    if (n - g).abs() > 1 {
                        return Err(format!("half {half} of word {i}: {n:x} {g:x}"));
                    }
                    count += usize::from(n != g);
                }
            }
            StateFormat::Fp8 if place == 0 => {
                let (a, b) = (f32::from_bits(*n), f32::from_bits(*g));
                if (a - b).abs() > 3e-5 * a.abs() {
                    return Err(format!("amax in word {i}: {a:e} {b:e}"));
                }
            }
            StateFormat::Fp8 if place == 1 => {
                return Err(format!("k in word {i}: {n:x} {g:x}"));
            }
            StateFormat::Fp8 => {
                for byte in 0..4 {
                    let [n, g] = [n, g].map(|w| w.to_le_bytes()[byte] as i32);
                    if (n - g).abs() > 1 {
                        return Err(format!("byte {byte} of word {i}: {n:x} {g:x}"));
                    }
                    count += usize::from(n != g);
                }
            }
        }
    }
    Ok(count)
}

/// Runs the op on both and compares. Few codes may differ, each by one place: where rounding of the
/// arithmetic before moves a value across the random border.
fn run_compact(pair: &mut Pair, op: &CompactAdamW, on_gpu: &CompactAdamW) -> Result<(), String> {
    let call = Op::CompactAdamW(*op);
    call.cpu(&mut pair.slots);
    let launches =
        pair.memory.prepare(&[Op::CompactAdamW(*on_gpu)], true).map_err(|e| e.to_string())?;
    pair.memory.run(&launches).map_err(|e| e.to_string())?;
    for access in call.access().iter().filter(|a| a.writes) {
        let format = match access.buffer {
            id if id == op.weight => op.weight_format,
            id if id == op.first => op.first_format,
            _ => op.second_format,
        };
        let native = pair.slots.words(access.buffer).to_vec();
        let gpu = pair.memory.read(access.buffer).map_err(|e| e.to_string())?;
        let (used, guard) = native.split_at(access.words);
        if guard != &gpu[access.words..] {
            return Err("a write past the end".to_owned());
        }
        let count = differences(format, used, &gpu)?;
        if count > 1 + access.words / 50 {
            return Err(format!("{count} codes of {} words differ", access.words));
        }
        pair.memory.write(access.buffer, &native).map_err(|e| e.to_string())?;
    }
    Ok(())
}

#[test]
fn compact_adamw_in_every_format() {
    use StateFormat::{Bf16, F32, Fp8};
    let mut gpu = gpu();
    let kinds = [(Fp8, Fp8, F32), (F32, Bf16, F32), (F32, F32, Bf16), (Fp8, Fp8, Bf16)];
    for (first_format, second_format, weight_format) in kinds {
        for (rows, cols) in [(1u32, 1u32), (1, 127), (1, 128), (1, 129), (1, 40_001), (9, 33)] {
            let (rows, cols) = if weight_format == F32 { (1, rows * cols) } else { (rows, cols) };
            let positions = match weight_format {
                Bf16 => rows as usize * cols.next_multiple_of(2) as usize,
                _ => cols as usize,
            };
            let len = (rows * cols) as usize;
            let mut l = Layout::default();
            let start = numbers(weight_format.words(positions), 8);
            let weight =
                if weight_format == F32 { l.f32(&start) } else { l.words(&vec![0; start.len()]) };
            let gradient = l.f32(&vec![0.0; len]);
            let op = CompactAdamW {
                weight,
                weight_format,
                gradient,
                first: l.words(&vec![0; first_format.words(positions)]),
                first_format,
                second: l.words(&vec![0; second_format.words(positions)]),
                second_format,
                rows,
                cols,
                beta1: 0.9,
                beta2: 0.99,
                epsilon: 1e-8,
                weight_decay: 0.1,
                param: 2,
                step: l.words(&step_words(1, 1)),
            };
            let mut pair = l.pair(gpu);
            for step in 1..=4 {
                let sizes = [1.0, 1e-2, 0.0, 3e-4];
                let values = numbers(len, 40 + step);
                let g: Vec<f32> =
                    values.iter().enumerate().map(|(i, v)| v * sizes[i % 4]).collect();
                pair.write(gradient, bytemuck::cast_slice(&g));
                pair.write(op.step, &step_words(step, 1));
                run_compact(&mut pair, &op, &op)
                    .unwrap_or_else(|e| panic!("{op:?} step {step}: {e}"));
            }
            if len > 4 * GROUP {
                // Another decay or other random numbers on one side are noticed.
                let other = CompactAdamW { beta1: 0.85, ..op };
                run_compact(&mut pair, &op, &other).unwrap_err();
                for id in [op.weight, op.first, op.second] {
                    let native = pair.slots.words(id).to_vec();
                    pair.memory.write(id, &native).unwrap();
                }
                pair.memory.write(op.step, &step_words(77, 1)).unwrap();
                run_compact(&mut pair, &op, &op).unwrap_err();
            }
            gpu = pair.into_gpu();
        }
    }
}

fn model() -> ModelSpec {
    let input = InputSpec::features(7);
    let head = Head::Classes { count: 3 };
    ModelSpec::mlp(input, &[45, 18], Activation::Relu, true, 0.0, false, head)
}

fn batch(step: u64) -> Batch {
    let rows = 24;
    let dense = numbers(rows * 7, 300 + step as u32);
    let targets =
        dense.chunks(7).map(|r| ((r.iter().sum::<f32>() + 3.0) as u32).min(5) % 3).collect();
    Batch { rows, dense, targets, ..Batch::default() }
}

/// Losses of 24 steps and of an evaluation.
fn losses(engine: &mut dyn Engine) -> Vec<f32> {
    let steps: Vec<StepParams> =
        (1..=24).map(|step| StepParams { step, learning_rate: 0.01, seed: 5 }).collect();
    let batches: Vec<Batch> = steps.iter().map(|s| batch(s.step)).collect();
    let mut losses = engine.train(&batches, &steps).unwrap();
    engine.prepare_eval().unwrap();
    losses.push(engine.evaluate(&batch(99)).unwrap().1 / 24.0);
    losses
}

#[test]
fn both_engines_train_alike_with_every_option() {
    let plain = UpdateOptions::default();
    let adam = Optimizer::default();
    let sgd = Optimizer::Sgd { momentum: 0.9, weight_decay: 1e-3 };
    let fp8 = UpdateOptions { moments: MomentFormat::Fp8, ..plain };
    let summed = UpdateOptions { clip_norm: Some(0.3), accumulate: 3, average: Some(0.9), ..plain };
    let all = UpdateOptions { moments: MomentFormat::Fp8, master: MasterFormat::Bf16, ..summed };
    for (optimizer, update, allowed) in [
        (sgd, summed, 1e-4),
        (adam, UpdateOptions { moments: MomentFormat::Bf16Second, ..plain }, 1e-4),
        // Codes that differ by a place are steps of a part of one update.
        (adam, fp8, 3e-3),
        (adam, UpdateOptions { master: MasterFormat::Bf16, ..plain }, 3e-3),
        (adam, all, 3e-3),
    ] {
        for precision in [Precision::F32, Precision::Bf16] {
            let config = PlanConfig { batch: 24, precision, optimizer, update };
            let plan = compile(&model(), &config).unwrap();
            let mut native = CpuEngine::open(plan.clone()).unwrap();
            let mut gpu = WgpuEngine::open(plan, true).unwrap();
            native.load_params(&init(&model(), 2)).unwrap();
            gpu.load_params(&init(&model(), 2)).unwrap();
            assert_eq!(native.read_params().unwrap(), gpu.read_params().unwrap());
            let (n, g) = (losses(&mut native), losses(&mut gpu));
            // A rounding error may carry an element of a bf16 product across a border.
            let allowed = if precision == Precision::Bf16 { 10.0 * allowed } else { allowed };
            for (n, g) in n.iter().zip(&g) {
                assert!((n - g).abs() <= allowed * n, "{update:?} {precision:?}\n{n} {g}");
            }
            // Something was trained.
            let (start, end) = (init(&model(), 2), native.read_params().unwrap());
            let moved = start[0].values.iter().zip(&end[0].values).map(|(s, e)| (s - e).abs());
            assert!(moved.fold(0f32, f32::max) > 1e-3, "{update:?}");

            // State moves from one device to the other.
            let mut other = CpuEngine::open(native.plan().clone()).unwrap();
            transfer(&mut gpu, &mut other).unwrap();
            assert_eq!(other.read_params().unwrap(), gpu.read_params().unwrap());
        }
    }
}

#[test]
fn the_gpu_holds_what_was_predicted() {
    let (optimizer, update) = (Optimizer::default(), UpdateOptions::default());
    let precision = Precision::Fp8(Recipe::current());
    let config = PlanConfig { batch: 24, precision, optimizer, update };
    let plan = compile(&model(), &config).unwrap();
    let predicted = memory::ledger(&plan);
    let measured = WgpuEngine::open(plan, true).unwrap().memory();
    for (purpose, bytes) in &predicted {
        assert!(measured[purpose] >= *bytes, "{purpose:?}");
    }
    let workspace = fp8_studio::plan::Purpose::Workspace;
    let rest = |l: &memory::Ledger| {
        l.iter().filter(|(p, _)| **p != workspace).map(|(_, b)| b).sum::<u64>()
    };
    assert_eq!(rest(&predicted), rest(&measured));
}

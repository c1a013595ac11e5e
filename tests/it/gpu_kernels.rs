//! Every other kernel on the GPU against its native twin, on sizes around nothing, one, a
//! workgroup, and beyond what one dispatch dimension holds.

use fp8_studio::device::Gpu;
use fp8_studio::fp8::{Format, bf16};
use fp8_studio::kernels::activation::{ActivationBackward, BiasActivation};
use fp8_studio::kernels::dropout::Dropout;
use fp8_studio::kernels::elementwise::Fill;
use fp8_studio::kernels::embedding::{Embed, EmbedBackward};
use fp8_studio::kernels::gemm::{Gemm, Operand, Storage};
use fp8_studio::kernels::layer_norm::{LayerNorm, LayerNormBackward};
use fp8_studio::kernels::loss::{MeanSquaredError, SoftmaxCrossEntropy};
use fp8_studio::kernels::optimizer::{AdamW, SgdMomentum};
use fp8_studio::kernels::quantise::{Quantise, ScaleSource};
use fp8_studio::kernels::reduce::{ColumnSum, Sum};
use fp8_studio::kernels::{BufferId, Op};
use fp8_studio::model::Activation;

use crate::pair::{Layout, gpu, numbers, wild};

/// Around nothing, one, a word, and a workgroup.
const LENGTHS: [u32; 9] = [0, 1, 2, 3, 255, 256, 257, 513, 1000];
/// One group more than a dispatch dimension holds, times 256 threads, and a tail.
const BEYOND: u32 = 65_536 * 256 + 3;

const ACTIVATIONS: [Activation; 3] = [Activation::Relu, Activation::Gelu, Activation::Silu];

/// Makes buffers and an op, runs it on both executors, gives the GPU back.
fn case(gpu: Gpu, make: impl FnOnce(&mut Layout) -> Op) -> Gpu {
    let mut layout = Layout::default();
    let op = make(&mut layout);
    let mut pair = layout.pair(gpu);
    pair.run(&op).unwrap();
    pair.into_gpu()
}

fn scaled(len: u32, salt: u32, factor: f32) -> Vec<f32> {
    numbers(len as usize, salt).iter().map(|v| v * factor).collect()
}

#[test]
fn fill_and_dropout() {
    let mut gpu = gpu();
    for len in LENGTHS.into_iter().chain([BEYOND]) {
        gpu = case(gpu, |l| Op::Fill(Fill { out: l.out(len as usize), words: len, value: 0x1234 }));
    }
    for len in LENGTHS {
        for rate in [0.0, 0.1, 0.5, 0.9] {
            gpu = case(gpu, |l| {
                let x = l.f32(&scaled(len, 1, 3.0));
                Op::Dropout(Dropout { x, len, rate, layer: 3, step: l.step(5, 1) })
            });
        }
    }
}

#[test]
fn bias_and_activation() {
    let mut gpu = gpu();
    for [rows, cols] in [[0, 3], [1, 1], [1, 257], [255, 1], [16, 16], [13, 37]] {
        for activation in ACTIVATIONS.map(Some).into_iter().chain([None]) {
            gpu = case(gpu, |l| {
                let x = l.f32(&scaled(rows * cols, 2, 9.0));
                let bias = l.f32(&scaled(cols, 3, 1.0));
                let out = if activation.is_none() { x } else { l.out((rows * cols) as usize) };
                Op::BiasActivation(BiasActivation { x, bias, out, rows, cols, activation })
            });
        }
    }
    for len in LENGTHS {
        for activation in ACTIVATIONS {
            gpu = case(gpu, |l| {
                let (grad, pre) = (l.f32(&scaled(len, 4, 1.0)), l.f32(&scaled(len, 5, 9.0)));
                Op::ActivationBackward(ActivationBackward { grad, pre, len, activation })
            });
        }
    }
}

#[test]
fn activations_far_out_and_not_a_number() {
    let x = [0.0, -0.0, 40.0, -40.0, 100.0, -100.0, 1e20, -1e20, f32::NAN];
    let mut gpu = gpu();
    for activation in ACTIVATIONS {
        gpu = case(gpu, |l| {
            let (x, bias) = (l.f32(&x), l.f32(&[0.0]));
            let activation = Some(activation);
            let (rows, cols, out) = (9, 1, l.out(9));
            Op::BiasActivation(BiasActivation { x, bias, out, rows, cols, activation })
        });
    }
}

#[test]
fn sums() {
    let mut gpu = gpu();
    for [rows, cols] in [[0, 5], [1, 1], [1, 17], [15, 16], [16, 15], [33, 257], [300, 3]] {
        gpu = case(gpu, |l| {
            let x = l.f32(&scaled(rows * cols, 6, 1.0));
            Op::ColumnSum(ColumnSum { x, out: l.out(cols as usize), rows, cols })
        });
    }
    for len in LENGTHS {
        gpu = case(gpu, |l| Op::Sum(Sum { x: l.f32(&scaled(len, 7, 1.0)), out: l.out(1), len }));
    }
    // 16 columns per group.
    let cols = 65_536 * 16 + 1;
    case(gpu, |l| {
        let x = l.f32(&scaled(2 * cols, 8, 1.0));
        Op::ColumnSum(ColumnSum { x, out: l.out(cols as usize), rows: 2, cols })
    });
}

#[test]
fn layer_norm_both_ways() {
    let mut gpu = gpu();
    for [rows, cols] in [[0, 4], [1, 1], [3, 63], [2, 64], [5, 65], [7, 300], [65_537, 2]] {
        gpu = case(gpu, |l| {
            Op::LayerNorm(LayerNorm {
                x: l.f32(&scaled(rows * cols, 9, 4.0)),
                gain: l.f32(&scaled(cols, 10, 2.0)),
                shift: l.f32(&scaled(cols, 11, 1.0)),
                out: l.out((rows * cols) as usize),
                moments: l.out(2 * rows as usize),
                rows,
                cols,
            })
        });
        gpu = case(gpu, |l| {
            let moments: Vec<f32> =
                numbers(rows as usize, 12).iter().flat_map(|m| [m * 0.3, 0.4 + m * 0.1]).collect();
            Op::LayerNormBackward(LayerNormBackward {
                x: l.f32(&scaled(rows * cols, 13, 4.0)),
                gain: l.f32(&scaled(cols, 14, 2.0)),
                moments: l.f32(&moments),
                grad_out: l.f32(&scaled(rows * cols, 15, 1.0)),
                grad_in: l.out((rows * cols) as usize),
                grad_gain: l.out(cols as usize),
                grad_shift: l.out(cols as usize),
                rows,
                cols,
            })
        });
    }
}

#[test]
fn embeddings_both_ways() {
    let mut gpu = gpu();
    for [rows, dim] in [[0, 3], [1, 1], [5, 51], [64, 4], [86, 3]] {
        let (width, cardinality, columns) = (dim + 7, 6, 3);
        // Some indices lie past the table.
        let indices: Vec<u32> = (0..rows * columns).map(|i| (i * 5 + i / 3) % 8).collect();
        gpu = case(gpu, |l| {
            Op::Embed(Embed {
                table: Some(l.words(&wild((cardinality * dim) as usize, 16))),
                source: l.words(&indices),
                column: 1,
                columns,
                cardinality,
                dim,
                out: l.out((rows * width) as usize),
                offset: 4,
                width,
                rows,
            })
        });
        gpu = case(gpu, |l| {
            Op::Embed(Embed {
                table: None,
                source: l.words(&wild((rows * dim) as usize, 17)),
                column: 0,
                columns: dim,
                cardinality: 0,
                dim,
                out: l.out((rows * width) as usize),
                offset: 2,
                width,
                rows,
            })
        });
        gpu = case(gpu, |l| {
            Op::EmbedBackward(EmbedBackward {
                categories: l.words(&indices),
                column: 2,
                columns,
                grad: l.f32(&scaled(rows * width, 18, 1.0)),
                offset: 4,
                width,
                grad_table: l.out((cardinality * dim) as usize),
                cardinality,
                dim,
                rows,
            })
        });
    }
}

#[test]
fn losses() {
    let mut gpu = gpu();
    for (rows, classes, valid) in [
        (1, 2, 1),
        (7, 3, 5),
        (64, 10, 64),
        (9, 63, 9),
        (9, 64, 0),
        (9, 65, 9),
        (65_537, 2, 65_000),
    ] {
        for with_grad in [true, false] {
            let targets: Vec<u32> = (0..rows).map(|r| r * 7 % (classes + 1)).collect();
            gpu = case(gpu, |l| {
                Op::SoftmaxCrossEntropy(SoftmaxCrossEntropy {
                    logits: l.f32(&scaled(rows * classes, 19, 12.0)),
                    targets: l.words(&targets),
                    weights: l.f32(&scaled(rows, 20, 2.0)),
                    losses: l.out(rows as usize),
                    grad: with_grad.then(|| l.out((rows * classes) as usize)),
                    rows,
                    classes,
                    step: l.step(1, valid),
                })
            });
        }
    }
    for len in LENGTHS {
        for with_grad in [true, false] {
            gpu = case(gpu, |l| {
                Op::MeanSquaredError(MeanSquaredError {
                    outputs: l.f32(&scaled(len, 21, 3.0)),
                    targets: l.f32(&scaled(len, 22, 3.0)),
                    weights: l.f32(&scaled(len, 23, 2.0)),
                    losses: l.out(len as usize),
                    grad: with_grad.then(|| l.out(len as usize)),
                    rows: len,
                    step: l.step(1, len / 2),
                })
            });
        }
    }
}

#[test]
fn a_loss_that_is_not_a_number_stays_one() {
    let mut layout = Layout::default();
    let losses = layout.out(2);
    let op = Op::SoftmaxCrossEntropy(SoftmaxCrossEntropy {
        logits: layout.f32(&[1.0, f32::NAN, 0.5, 1.0, 2.0, 3.0]),
        targets: layout.words(&[0, 2]),
        weights: layout.f32(&[1.0, 1.0]),
        losses,
        grad: None,
        rows: 2,
        classes: 3,
        step: layout.step(1, 2),
    });
    let mut pair = layout.pair(gpu());
    pair.run(&op).unwrap();
    let got = pair.memory.read(losses).unwrap();
    assert!(f32::from_bits(got[0]).is_nan() && f32::from_bits(got[1]).is_finite());
}

#[test]
fn optimisers() {
    let mut gpu = gpu();
    for len in LENGTHS {
        for weight_decay in [0.0, 0.1] {
            gpu = case(gpu, |l| {
                let second: Vec<f32> = scaled(len, 27, 1e-3).iter().map(|v| v.abs()).collect();
                Op::AdamW(AdamW {
                    weight: l.f32(&scaled(len, 24, 1.0)),
                    gradient: l.f32(&scaled(len, 25, 0.1)),
                    first: l.f32(&scaled(len, 26, 0.1)),
                    second: l.f32(&second),
                    len,
                    beta1: 0.9,
                    beta2: 0.999,
                    epsilon: 1e-8,
                    weight_decay,
                    step: l.step(4, 1),
                })
            });
            gpu = case(gpu, |l| {
                Op::SgdMomentum(SgdMomentum {
                    weight: l.f32(&scaled(len, 28, 1.0)),
                    gradient: l.f32(&scaled(len, 29, 0.1)),
                    momentum_buffer: l.f32(&scaled(len, 30, 0.1)),
                    len,
                    momentum: 0.9,
                    weight_decay,
                    step: l.step(4, 1),
                })
            });
        }
    }
}

/// How an operand of a product test is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stored {
    F32,
    Bf16,
    Whole(Format),
    Blocks(Format, [u32; 2]),
    /// One scale for all elements with the same place outside the sum.
    Rows(Format),
}

/// An operand with random content, quantised natively.
fn operand(l: &mut Layout, rows: u32, cols: u32, transpose: bool, stored: Stored) -> Operand {
    inner(l, (rows, cols), transpose, stored, true)
}

pub(crate) fn inner(
    l: &mut Layout,
    (rows, cols): (u32, u32),
    transpose: bool,
    stored: Stored,
    inner_is_col: bool,
) -> Operand {
    let (rows, cols) = if transpose { (cols, rows) } else { (rows, cols) };
    let values = scaled(rows * cols, 31 + rows + cols, 2.0);
    let (format, [block_rows, block_cols]) = match stored {
        Stored::F32 => {
            let buffer = l.f32(&values);
            return Operand { buffer, storage: Storage::F32, rows, cols, transpose };
        }
        Stored::Bf16 => {
            let mut words = vec![0; rows as usize * (cols as usize).div_ceil(2)];
            for (i, v) in values.iter().enumerate() {
                let (r, c) = (i / cols as usize, i % cols as usize);
                let half = u32::from(bf16::nearest(v.to_bits()));
                words[r * (cols as usize).div_ceil(2) + c / 2] |= half << (16 * (c % 2));
            }
            let buffer = l.words(&words);
            return Operand { buffer, storage: Storage::Bf16, rows, cols, transpose };
        }
        Stored::Whole(format) => (format, [rows.max(1), cols.max(1)]),
        Stored::Blocks(format, block) => (format, block),
        Stored::Rows(format) if inner_is_col != transpose => (format, [1, cols.max(1)]),
        Stored::Rows(format) => (format, [rows.max(1), 1]),
    };
    let q = Quantise {
        input: BufferId(0),
        packed: BufferId(1),
        scales: BufferId(2),
        rows,
        cols,
        block_rows,
        block_cols,
        format,
        source: ScaleSource::Current,
        margin: 0,
        stochastic: false,
        watch: None,
        stats: BufferId(3),
        step: BufferId(3),
        first_row: 0,
        all_rows: rows,
    };
    let sizes = [values.len(), q.packed_words(), q.blocks(), 16];
    let mut slots =
        fp8_studio::kernels::Slots::new(&sizes, sizes.iter().copied().enumerate().collect());
    slots.words_mut(q.input).copy_from_slice(bytemuck::cast_slice(&values));
    q.cpu(&mut slots);
    let buffer = l.words(slots.words(q.packed));
    let scales = l.words(slots.words(q.scales));
    let storage = Storage::Fp8 { format, scales, block_rows, block_cols };
    Operand { buffer, storage, rows, cols, transpose }
}

fn product(gpu: Gpu, [m, n, k]: [u32; 3], transposed: [bool; 2], stored: [Stored; 2]) -> Gpu {
    case(gpu, |l| {
        let a = operand(l, m, k, transposed[0], stored[0]);
        let b = operand(l, k, n, transposed[1], stored[1]);
        Op::Gemm(Gemm { a, b, out: l.out((m * n) as usize), m, n, k, all_m: m })
    })
}

/// Runs a product in every variant that its shape and the adapter allow, all bit for bit alike.
fn every_variant(gpu: Gpu, size: [u32; 3], transposed: [bool; 2], stored: [Stored; 2]) -> Gpu {
    let [m, n, k] = size;
    let mut layout = Layout::default();
    let a = operand(&mut layout, m, k, transposed[0], stored[0]);
    let b = inner(&mut layout, (k, n), transposed[1], stored[1], false);
    let out = layout.out((m * n) as usize);
    let op = Op::Gemm(Gemm { a, b, out, m, n, k, all_m: m });
    let mut pair = layout.pair(gpu);
    let count = pair.run_variants(&op).unwrap();
    assert!(count > 1 || m.max(n) <= 16, "{size:?}: {count}");
    pair.into_gpu()
}

const STORED: [[Stored; 2]; 8] = [
    [Stored::F32, Stored::F32],
    [Stored::Whole(Format::E4M3), Stored::Whole(Format::E4M3)],
    [Stored::Whole(Format::E5M2), Stored::Whole(Format::E4M3)],
    [Stored::F32, Stored::Whole(Format::E4M3)],
    [Stored::Bf16, Stored::Bf16],
    [Stored::F32, Stored::Bf16],
    [Stored::Bf16, Stored::Whole(Format::E5M2)],
    [Stored::Blocks(Format::E4M3, [1, 32]), Stored::Blocks(Format::E5M2, [16, 24])],
];

pub(crate) const TRANSPOSES: [[bool; 2]; 4] =
    [[false, false], [false, true], [true, false], [true, true]];

#[test]
fn products_of_odd_sizes_in_every_form() {
    let mut gpu = gpu();
    for size in [[1, 1, 1], [15, 17, 16], [16, 16, 17], [33, 5, 70], [3, 66, 0], [0, 3, 5]] {
        for transposed in TRANSPOSES {
            for stored in STORED {
                gpu = product(gpu, size, transposed, stored);
            }
        }
    }
}

#[test]
fn products_large_enough_for_large_tiles() {
    let mut gpu = gpu();
    for transposed in TRANSPOSES {
        for stored in STORED {
            gpu = product(gpu, [65, 1025, 18], transposed, stored);
        }
    }
    // Exactly whole tiles.
    product(gpu, [128, 1024, 32], [false, true], STORED[1]);
}

#[test]
fn products_with_more_tiles_than_one_dimension_holds() {
    product(gpu(), [65_536 * 16 + 3, 1, 2], [false, true], STORED[1]);
}

#[test]
fn products_have_the_same_bits_in_every_variant() {
    let mut gpu = gpu();
    assert!(gpu.capabilities().f16, "the adapter that tests run on computes with f16");
    // Every pipeline takes long to compile, and the sizes share them.
    let stored = [STORED[0], STORED[7], [Stored::Rows(Format::E5M2), Stored::Rows(Format::E4M3)]];
    for stored in stored {
        for transposed in [[false, true], [true, false]] {
            for size in [[1, 1, 1], [63, 65, 17], [17, 130, 33], [129, 66, 70]] {
                gpu = every_variant(gpu, size, transposed, stored);
            }
        }
    }
    // Sums that are cut into parts, which no tile ends with.
    gpu = every_variant(gpu, [13, 37, 1301], [true, false], STORED[1]);
    every_variant(gpu, [37, 12, 777], [false, true], STORED[0]);
}

#[test]
fn a_wrong_factor_is_noticed() {
    let mut layout = Layout::default();
    let a = operand(&mut layout, 20, 30, false, Stored::Whole(Format::E4M3));
    let b = operand(&mut layout, 30, 10, false, Stored::Whole(Format::E4M3));
    let op = Op::Gemm(Gemm { a, b, out: layout.out(200), m: 20, n: 10, k: 30, all_m: 20 });
    let mut pair = layout.pair(gpu());
    pair.run(&op).unwrap();
    // One code of 600 is one step off.
    let mut words = pair.memory.read(a.buffer).unwrap();
    words[77] ^= 0x0100;
    pair.memory.write(a.buffer, &words).unwrap();
    assert!(pair.run(&op).is_err());
}

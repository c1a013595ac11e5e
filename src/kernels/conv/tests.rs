//! Every kernel against sums in f64, over shapes that touch every edge.

use super::tile::{Kernel, Mode};
use super::*;
use crate::fp8::{Format, Scale, bf16, hash};
use crate::kernels::Slots;
use crate::kernels::gemm::{Storage, blocks};

/// Buffers of a test, made one by one.
#[derive(Default)]
struct Memory {
    words: Vec<Vec<u32>>,
}

impl Memory {
    fn add(&mut self, words: Vec<u32>) -> BufferId {
        self.words.push(words);
        BufferId(self.words.len() as u32 - 1)
    }

    fn slots(&self) -> Slots {
        let sizes: Vec<usize> = self.words.iter().map(Vec::len).collect();
        let place = sizes.iter().enumerate().map(|(i, n)| (i, *n)).collect();
        let mut slots = Slots::new(&sizes, place);
        for (i, words) in self.words.iter().enumerate() {
            slots.words_mut(BufferId(i as u32)).copy_from_slice(words);
        }
        slots
    }
}

/// How operands of a case are stored.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Store {
    F32,
    OneScale,
    PerRow,
    Blocks(u32),
    Bf16,
}

fn random(seed: u32, i: usize) -> u32 {
    hash::bits(hash::key(seed, 1, 2), i as u32)
}

/// A random stored matrix and its values.
fn matrix(
    memory: &mut Memory,
    seed: u32,
    rows: usize,
    cols: usize,
    store: Store,
) -> (Operand, Vec<f64>) {
    let (rows32, cols32) = (rows as u32, cols as u32);
    if store == Store::F32 {
        let values: Vec<f32> =
            (0..rows * cols).map(|i| (random(seed, i) >> 8) as f32 / 8_388_608.0 - 1.0).collect();
        let id = memory.add(values.iter().map(|v| v.to_bits()).collect());
        let operand = Operand::f32(id, rows32, cols32, false);
        return (operand, values.into_iter().map(f64::from).collect());
    }
    if store == Store::Bf16 {
        let halves: Vec<u16> = (0..rows * cols)
            .map(|i| bf16::nearest(((random(seed, i) >> 8) as f32 / 8_388_608.0 - 1.0).to_bits()))
            .collect();
        let row = |halves: &[u16]| -> Vec<u32> {
            halves
                .chunks(2)
                .map(|p| u32::from(p[0]) | u32::from(*p.get(1).unwrap_or(&0)) << 16)
                .collect()
        };
        let buffer = memory.add(halves.chunks(cols.max(1)).flat_map(row).collect());
        let storage = Storage::Bf16;
        let operand = Operand { buffer, storage, rows: rows32, cols: cols32, transpose: false };
        return (operand, halves.iter().map(|h| f64::from(bf16::value(*h))).collect());
    }
    let (block_rows, block_cols) = match store {
        Store::PerRow => (1, cols32.max(1)),
        Store::Blocks(n) => (1, n),
        Store::F32 | Store::Bf16 | Store::OneScale => (rows32.max(1), cols32.max(1)),
    };
    let format = if seed.is_multiple_of(2) { Format::E4M3 } else { Format::E5M2 };
    let exponents: Vec<u32> = (0..blocks(rows32, cols32, block_rows, block_cols))
        .map(|i| (random(seed + 1, i) % 5) as i32 as u32)
        .collect();
    let row_bytes = cols.div_ceil(4) * 4;
    let mut bytes = vec![0u8; rows * row_bytes];
    let mut values = Vec::new();
    for r in 0..rows {
        for c in 0..cols {
            // Codes of moderate size, so that no single one decides a sum.
            let code = (random(seed, r * cols + c) % 24
                + if format == Format::E4M3 { 48 } else { 56 }) as u8
                | (random(seed, r * cols + c) >> 24 & 0x80) as u8;
            bytes[r * row_bytes + c] = code;
            let block = r / block_rows as usize * cols.div_ceil(block_cols as usize)
                + c / block_cols as usize;
            let scale = Scale { exponent: exponents[block] as i32 }.value();
            values.push(f64::from(format.decode(code) * scale));
        }
    }
    let buffer = memory.add(bytemuck::cast_slice(&bytes).to_vec());
    let scales = memory.add(exponents);
    let storage = Storage::Fp8 { format, scales, block_rows, block_cols };
    (Operand { buffer, storage, rows: rows32, cols: cols32, transpose: false }, values)
}

#[allow(clippy::too_many_arguments)]
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

/// Odd sizes, strides, paddings, groups, single pixels, several panels and several pieces.
fn shapes() -> Vec<ConvShape> {
    vec![
        shape(3, (7, 9), (1, 5), 3, (1, 1), 1),
        shape(2, (8, 6), (3, 33), 3, (1, 0), 1),
        shape(5, (5, 5), (4, 32), 1, (1, 0), 1),
        shape(2, (9, 7), (5, 40), 3, (2, 1), 1),
        shape(2, (10, 11), (2, 3), 5, (3, 2), 1),
        shape(1, (4, 4), (6, 8), 1, (2, 0), 1),
        shape(2, (6, 7), (6, 10), 3, (1, 1), 2),
        shape(2, (7, 6), (8, 16), 3, (2, 1), 2),
        shape(2, (6, 5), (3, 3), 3, (1, 1), 3),
        shape(3, (9, 8), (37, 37), 3, (2, 1), 37),
        shape(1, (1, 1), (1, 1), 1, (1, 0), 1),
        shape(1, (3, 3), (2, 2), 3, (1, 0), 1),
        // Sixty samples: pieces of several, the last one short.
        shape(61, (4, 3), (5, 7), 3, (1, 1), 1),
        // A window too large for one piece: bands of lines.
        shape(1, (70, 61), (33, 3), 3, (1, 1), 1),
        shape(2, (71, 60), (33, 2), 3, (2, 1), 1),
        shape(1, (90, 90), (40, 40), 3, (1, 1), 40),
    ]
}

/// Calls `f(output index, weight index, input index)` for every product of the convolution.
fn products(s: &ConvShape, mut f: impl FnMut(usize, usize, usize)) {
    let n = |v: u32| v as usize;
    let (cg, og) = (s.group_channels(), s.group_outputs());
    for r in 0..n(s.rows) {
        for y in 0..n(s.out_height) {
            for x in 0..n(s.out_width) {
                for o in 0..n(s.out_channels) {
                    let out =
                        ((r * n(s.out_height) + y) * n(s.out_width) + x) * n(s.out_channels) + o;
                    for i in 0..n(s.kernel) {
                        for j in 0..n(s.kernel) {
                            let (v, u) = (y * n(s.stride) + i, x * n(s.stride) + j);
                            if v < n(s.padding) || u < n(s.padding) {
                                continue;
                            }
                            let (v, u) = (v - n(s.padding), u - n(s.padding));
                            if v >= n(s.height) || u >= n(s.width) {
                                continue;
                            }
                            for c in 0..cg {
                                let channel = o / og * cg + c;
                                let image = ((r * n(s.height) + v) * n(s.width) + u)
                                    * n(s.channels)
                                    + channel;
                                let weight = ((o * n(s.kernel) + i) * n(s.kernel) + j) * cg + c;
                                f(out, weight, image);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Largest distance from the exact sums, relative to the sums of absolute products.
fn worst(got: &[f32], want: &[f64], size: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    got.iter()
        .zip(want)
        .zip(size)
        .map(|((g, w), s)| (f64::from(*g) - w).abs() / s.max(1e-30))
        .fold(0.0, |a, b| if b.is_nan() { f64::INFINITY } else { a.max(b) })
}

/// f32 sums of a few hundred products.
const TOLERANCE: f64 = 2e-6;

/// Every kernel with the stores that suit it.
fn cases(s: &ConvShape) -> Vec<(Kernel, Store, Store)> {
    let mut list = Vec::new();
    for kernel in Kernel::all() {
        if (kernel.mode == Mode::Direct) != s.is_depthwise() {
            continue;
        }
        for stores in [
            (Store::F32, Store::F32),
            (Store::OneScale, Store::OneScale),
            (Store::PerRow, Store::PerRow),
            (Store::Blocks(6), Store::Blocks(32)),
            (Store::F32, Store::OneScale),
            (Store::Bf16, Store::Bf16),
            (Store::F32, Store::Bf16),
        ] {
            if kernel.mode != Mode::Bf16 || stores.0 != Store::F32 {
                list.push((kernel, stores.0, stores.1));
            }
        }
    }
    list
}

#[test]
fn forward_agrees_with_f64() {
    for s in shapes() {
        for (kernel, x_store, w_store) in cases(&s) {
            let mut memory = Memory::default();
            let (x, xv) = matrix(&mut memory, 2, s.rows as usize, s.image_len(), x_store);
            let (w, wv) = matrix(&mut memory, 4, s.out_channels as usize, s.filter_len(), w_store);
            let (bias, bv) = matrix(&mut memory, 6, 1, s.out_channels as usize, Store::F32);
            let len = s.rows as usize * s.out_pixels() * s.out_channels as usize;
            let out = memory.add(vec![7; len]);
            let (mut want, mut size) = (vec![0f64; len], vec![0f64; len]);
            for (i, (w, s)) in want.iter_mut().zip(&mut size).enumerate() {
                *w = bv[i % bv.len()];
                *s = w.abs();
            }
            products(&s, |o, w, i| {
                want[o] += xv[i] * wv[w];
                size[o] += (xv[i] * wv[w]).abs();
            });
            let bias = Some(bias.buffer);
            let op = Conv {
                x,
                weight: w,
                bias,
                shape: s,
                activation: None,
                pool: false,
                out,
                kept: Kept::Nothing,
            };
            op.check().unwrap();
            let mut slots = memory.slots();
            op.run(&mut slots, kernel);
            let error = worst(&slots.f32(out)[..len], &want, &size);
            assert!(error < TOLERANCE, "{s:?} {:?} {x_store:?}: {error}", kernel.mode);
            // The comparison notices one wrong value.
            let mut bad = slots.f32(out)[..len].to_vec();
            bad[len / 2] += 1e-4 * size[len / 2] as f32;
            assert!(worst(&bad, &want, &size) > TOLERANCE);
        }
    }
}

#[test]
fn bias_activation_and_what_is_kept() {
    for s in [shapes()[1], shapes()[3], shapes()[6], shapes()[9], shapes()[13]] {
        for kernel in Kernel::all() {
            if (kernel.mode == Mode::Direct) != s.is_depthwise() {
                continue;
            }
            for activation in [Activation::Relu, Activation::Silu, Activation::Gelu] {
                let mut memory = Memory::default();
                let (x, _) =
                    matrix(&mut memory, 2, s.rows as usize, s.image_len(), Store::OneScale);
                let (w, _) = matrix(
                    &mut memory,
                    4,
                    s.out_channels as usize,
                    s.filter_len(),
                    Store::OneScale,
                );
                let (b, bv) = matrix(&mut memory, 6, 1, s.out_channels as usize, Store::F32);
                let (pixels, channels) =
                    (s.rows as usize * s.out_pixels(), s.out_channels as usize);
                let len = pixels * channels;
                let [plain, out, kept] = [0; 3].map(|_| memory.add(vec![u32::MAX; len]));
                let op = Conv {
                    x,
                    weight: w,
                    bias: None,
                    shape: s,
                    activation: None,
                    pool: false,
                    out: plain,
                    kept: Kept::Nothing,
                };
                let kept = if activation == Activation::Relu && s.keeps_signs() {
                    Kept::Signs(kept)
                } else {
                    Kept::Pre(kept)
                };
                let second =
                    Conv { bias: Some(b.buffer), activation: Some(activation), out, kept, ..op };
                second.check().unwrap();
                let mut slots = memory.slots();
                op.run(&mut slots, kernel);
                second.run(&mut slots, kernel);
                for i in 0..len {
                    let pre = slots.f32(plain)[i] + bv[i % channels] as f32;
                    let want = crate::kernels::activation::value(activation, pre);
                    assert_eq!(slots.f32(out)[i], want, "{s:?} {i}");
                    match kept {
                        Kept::Signs(id) => {
                            let word = slots.words(id)
                                [i / channels * channels.div_ceil(32) + i % channels / 32];
                            assert_eq!(word >> (i % channels % 32) & 1 == 1, pre > 0.0);
                        }
                        Kept::Pre(id) => assert_eq!(slots.f32(id)[i], pre),
                        Kept::Nothing | Kept::Winners(_) => unreachable!(),
                    }
                }
            }
        }
    }
}

#[test]
fn fused_pooling_is_pooling() {
    for s in shapes() {
        if s.pooled_pixels() == 0 || !s.keeps_winners() {
            continue;
        }
        for kernel in Kernel::all() {
            if (kernel.mode == Mode::Direct) != s.is_depthwise() {
                continue;
            }
            for activation in [None, Some(Activation::Relu)] {
                let mut memory = Memory::default();
                let (x, _) =
                    matrix(&mut memory, 2, s.rows as usize, s.image_len(), Store::OneScale);
                let (w, _) =
                    matrix(&mut memory, 4, s.out_channels as usize, s.filter_len(), Store::PerRow);
                let (b, _) = matrix(&mut memory, 6, 1, s.out_channels as usize, Store::F32);
                let channels = s.out_channels as usize;
                let len = s.rows as usize * s.out_pixels() * channels;
                let [plain, out, kept] = [0; 3].map(|_| memory.add(vec![u32::MAX; len]));
                let op = Conv {
                    x,
                    weight: w,
                    bias: Some(b.buffer),
                    shape: s,
                    activation,
                    pool: false,
                    out: plain,
                    kept: Kept::Nothing,
                };
                let fused = Conv { pool: true, out, kept: Kept::Winners(kept), ..op };
                fused.check().unwrap();
                let mut slots = memory.slots();
                op.run(&mut slots, kernel);
                fused.run(&mut slots, kernel);
                let (height, width) = (s.out_height as usize, s.out_width as usize);
                let winners: &[u8] = bytemuck::cast_slice(slots.words(kept));
                let mut at = 0;
                for n in 0..s.rows as usize {
                    for (y, x) in (0..height / 2).flat_map(|y| (0..width / 2).map(move |x| (y, x)))
                    {
                        for c in 0..channels {
                            let four = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(i, j)| {
                                slots.f32(plain)
                                    [((n * height + 2 * y + i) * width + 2 * x + j) * channels + c]
                            });
                            let best = four.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                            assert_eq!(slots.f32(out)[at * channels + c], best, "{s:?} {at} {c}");
                            let winner = winners[at * channels.div_ceil(4) * 4 + c] as usize;
                            if activation.is_some() && best <= 0.0 {
                                assert_eq!(winner, 4);
                            } else {
                                assert_eq!(four[winner], best);
                            }
                        }
                        at += 1;
                    }
                }
            }
        }
    }
}

/// Gradients as an operand, pooled or not, and their values in the places of the outputs.
fn gradients(
    memory: &mut Memory,
    s: &ConvShape,
    store: Store,
    pooled: bool,
) -> (Operand, Option<BufferId>, Vec<f64>) {
    let channels = s.out_channels as usize;
    if !pooled {
        let cols = s.out_pixels() * channels;
        let (operand, values) = matrix(memory, 9, s.rows as usize, cols, store);
        return (operand, None, values);
    }
    let cols = s.pooled_pixels() * channels;
    let (operand, values) = matrix(memory, 9, s.rows as usize, cols, store);
    let row = channels.div_ceil(4) * 4;
    let mut winners = vec![9u8; s.rows as usize * s.pooled_pixels() * row];
    let (height, width) = (s.out_height as usize, s.out_width as usize);
    let mut full = vec![0f64; s.rows as usize * s.out_pixels() * channels];
    for (i, value) in values.iter().enumerate() {
        let (pixel, c) = (i / channels, i % channels);
        let winner = random(77, i) as usize % 5;
        winners[pixel * row + c] = winner as u8;
        if winner < 4 {
            let (n, p) = (pixel / s.pooled_pixels(), pixel % s.pooled_pixels());
            let (y, x) = (p / (width / 2) * 2 + winner / 2, p % (width / 2) * 2 + winner % 2);
            full[((n * height + y) * width + x) * channels + c] = *value;
        }
    }
    let id = memory.add(bytemuck::cast_slice(&winners).to_vec());
    (operand, Some(id), full)
}

#[test]
fn input_gradient_agrees_with_f64() {
    for s in shapes() {
        for (kernel, g_store, w_store) in cases(&s) {
            for pooled in [false, true] {
                if pooled && s.pooled_pixels() == 0 {
                    continue;
                }
                let mut memory = Memory::default();
                let (grad, winners, gv) = gradients(&mut memory, &s, g_store, pooled);
                let (weight, wv) =
                    matrix(&mut memory, 4, s.out_channels as usize, s.filter_len(), w_store);
                let len = s.rows as usize * s.image_len();
                let grad_x = memory.add(vec![7; len]);
                let (mut want, mut size) = (vec![0f64; len], vec![0f64; len]);
                products(&s, |o, w, i| {
                    want[i] += gv[o] * wv[w];
                    size[i] += (gv[o] * wv[w]).abs();
                });
                let op = ConvInputGradient { grad, winners, weight, shape: s, grad_x };
                op.check().unwrap();
                let mut slots = memory.slots();
                op.run(&mut slots, kernel);
                let error = worst(&slots.f32(grad_x)[..len], &want, &size);
                assert!(error < TOLERANCE, "{s:?} {:?} {g_store:?} {pooled}: {error}", kernel.mode);
            }
        }
    }
}

#[test]
fn weight_gradient_agrees_with_f64() {
    for s in shapes() {
        for (kernel, x_store, g_store) in cases(&s) {
            for pooled in [false, true] {
                if pooled && s.pooled_pixels() == 0 {
                    continue;
                }
                let mut memory = Memory::default();
                let (grad, winners, gv) = gradients(&mut memory, &s, g_store, pooled);
                let (x, xv) = matrix(&mut memory, 2, s.rows as usize, s.image_len(), x_store);
                let len = s.out_channels as usize * s.filter_len();
                let grad_weight = memory.add(vec![7; len]);
                let (mut want, mut size) = (vec![0f64; len], vec![0f64; len]);
                products(&s, |o, w, i| {
                    want[w] += gv[o] * xv[i];
                    size[w] += (gv[o] * xv[i]).abs();
                });
                let op = ConvWeightGradient { grad, winners, x, shape: s, grad_weight };
                op.check().unwrap();
                let mut slots = memory.slots();
                op.run(&mut slots, kernel);
                let error = worst(&slots.f32(grad_weight)[..len], &want, &size);
                assert!(error < TOLERANCE, "{s:?} {:?} {x_store:?} {pooled}: {error}", kernel.mode);
            }
        }
    }
}

#[test]
fn operands_that_do_not_fit_are_refused() {
    let s = shapes()[0];
    let mut memory = Memory::default();
    let (x, _) = matrix(&mut memory, 2, s.rows as usize, s.image_len(), Store::F32);
    let (weight, _) = matrix(&mut memory, 4, s.out_channels as usize, s.filter_len(), Store::F32);
    let out = memory.add(vec![0; 1000]);
    let good = Conv {
        x,
        weight,
        bias: None,
        shape: s,
        activation: None,
        pool: false,
        out,
        kept: Kept::Nothing,
    };
    good.check().unwrap();
    for bad in [
        Conv { shape: ConvShape { out_height: 8, ..s }, ..good },
        Conv { shape: ConvShape { stride: 0, ..s }, ..good },
        Conv { shape: ConvShape { groups: 2, ..s }, ..good },
        Conv { shape: ConvShape { channels: 2, ..s }, ..good },
        Conv { x: weight, ..good },
        Conv { kept: Kept::Winners(out), ..good },
        Conv { kept: Kept::Signs(out), ..good },
        Conv { pool: true, activation: Some(Activation::Gelu), kept: Kept::Winners(out), ..good },
    ] {
        assert!(bad.check().is_err(), "{bad:?}");
    }
}

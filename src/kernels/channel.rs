//! Gradients of what happens per channel after a convolution or a sum: non-linearity and bias.

use rayon::prelude::*;

use super::activation::{ActivationBackward, code, times_slope, value};
use super::conv::{Conv, Kept};
use super::dispatch::{LANES_PER_PART, SCRATCH, dispatch, groups, parts, read, write};
use super::simd::widest;
use super::slots::grow;
use super::{Access, BufferId, Dispatch, ScratchNeed, Slots, parallel};
use crate::model::Activation;

/// `grad ← grad · f'`, in place, from what the forward pass kept: [`Kept::Pre`] as
/// `ActivationBackward`, [`Kept::Signs`] and [`Kept::Winners`] as ReLU (0 where not above 0), and
/// nothing as no change. Then `bias_gradient[c] = Σ grad[.., c]`, added piece by piece.
#[derive(Debug, Clone, Copy)]
pub struct ChannelBackward {
    /// f32 `[rows, channels]`, changed in place.
    pub grad: BufferId,
    /// From the forward pass.
    pub kept: Kept,
    /// `f`.
    pub activation: Option<Activation>,
    /// f32 `[channels]`, overwritten.
    pub bias_gradient: Option<BufferId>,
    /// Adds to the bias gradient instead: these are not the first rows of the tensor.
    pub accumulate: bool,
    /// Pixels of all samples.
    pub rows: u32,
    /// Channels.
    pub channels: u32,
}

/// `out = f(a + b)`, f32, and what the backward pass needs: `kept` is nothing, `Pre` or `Signs`.
#[derive(Debug, Clone, Copy)]
pub struct Add {
    /// f32 `[rows, channels]`.
    pub a: BufferId,
    /// f32 `[rows, channels]`.
    pub b: BufferId,
    /// f32 `[rows, channels]`.
    pub out: BufferId,
    /// Kept for the backward pass.
    pub kept: Kept,
    /// `f`.
    pub activation: Option<Activation>,
    /// Pixels of all samples.
    pub rows: u32,
    /// Channels.
    pub channels: u32,
}

/// What was kept of a piece of rows, as plain slices.
#[derive(Clone, Copy)]
enum Part<'a> {
    Nothing,
    Pre(&'a [f32]),
    Signs(&'a [u32]),
    Winners(&'a [u8]),
}

#[inline(always)]
fn slope_body(grad: &mut [f32], part: Part<'_>, channels: usize, activation: Option<Activation>) {
    match (part, activation) {
        (Part::Nothing, _) | (_, None) => {}
        (Part::Pre(pre), Some(activation)) => {
            for (g, x) in grad.iter_mut().zip(pre) {
                *g = times_slope(activation, *g, *x);
            }
        }
        (Part::Signs(words), Some(_)) => {
            let words = words.chunks_exact(channels.div_ceil(32));
            for (grad, words) in grad.chunks_exact_mut(channels).zip(words) {
                for (grad, word) in grad.chunks_mut(32).zip(words) {
                    for (i, g) in grad.iter_mut().enumerate() {
                        *g = if word >> i & 1 == 1 { *g } else { 0.0 };
                    }
                }
            }
        }
        (Part::Winners(bytes), Some(_)) => {
            let bytes = bytes.chunks_exact(channels.div_ceil(4) * 4);
            for (grad, bytes) in grad.chunks_exact_mut(channels).zip(bytes) {
                for (g, w) in grad.iter_mut().zip(bytes) {
                    *g = if *w < 4 { *g } else { 0.0 };
                }
            }
        }
    }
}

#[inline(always)]
fn backward_body(
    grad: &mut [f32],
    part: Part<'_>,
    activation: Option<Activation>,
    sums: &mut [f32],
) {
    let channels = sums.len();
    slope_body(grad, part, channels, activation);
    sums.fill(0.0);
    for row in grad.chunks_exact(channels) {
        for (s, g) in sums.iter_mut().zip(row) {
            *s += g;
        }
    }
}

#[inline(always)]
fn add_body(a: &[f32], b: &[f32], out: &mut [f32], activation: Option<Activation>) {
    for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
        *o = a + b;
    }
    match activation {
        None => {}
        Some(Activation::Relu) => {
            for v in out {
                *v = if *v <= 0.0 { 0.0 } else { *v };
            }
        }
        Some(other) => {
            for v in out {
                *v = value(other, *v);
            }
        }
    }
}

/// Bits of the values above 0, per row of `channels`.
#[inline(always)]
fn signs_body(out: &[f32], channels: usize, words: &mut [u32]) {
    let words = words.chunks_exact_mut(channels.div_ceil(32));
    for (row, words) in out.chunks_exact(channels).zip(words) {
        for (values, word) in row.chunks(32).zip(words) {
            let mut bits = 0;
            for (i, v) in values.iter().enumerate() {
                bits |= u32::from(*v > 0.0) << i;
            }
            *word = bits;
        }
    }
}

widest! {
    fn backward(
        grad: &mut [f32],
        part: Part<'_>,
        activation: Option<Activation>,
        sums: &mut [f32],
    ) = backward_body;
}
widest! {
    fn add(a: &[f32], b: &[f32], out: &mut [f32], activation: Option<Activation>) = add_body;
}
widest! {
    fn signs(out: &[f32], channels: usize, words: &mut [u32]) = signs_body;
}

fn kept_access(kept: Kept, rows: usize, channels: usize) -> Option<(BufferId, usize)> {
    match kept {
        Kept::Nothing => None,
        Kept::Pre(id) | Kept::Signs(id) | Kept::Winners(id) => {
            Some((id, Conv::kept_words(kept, rows, channels)))
        }
    }
}

impl ChannelBackward {
    /// Scratch of the native twin.
    pub fn scratch(&self) -> ScratchNeed {
        let channels = (self.channels as usize).max(1);
        let pieces = (self.rows as usize).div_ceil(parallel::rows_per_piece(channels));
        ScratchNeed { words: pieces * channels, ..ScratchNeed::default() }
    }

    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let channels = (self.channels as usize).max(1);
        let rows = self.rows as usize;
        let per_piece = parallel::rows_per_piece(channels);
        let mut partial = std::mem::take(&mut slots.scratch.words);
        let pieces = rows.div_ceil(per_piece);
        let sums: &mut [f32] = bytemuck::cast_slice_mut(grow(&mut partial, pieces * channels));
        let mut grad = slots.take(self.grad);
        let part = |piece: usize| {
            let (first, count) = (piece * per_piece, per_piece.min(rows - piece * per_piece));
            let range = |per_row: usize| first * per_row..(first + count) * per_row;
            match self.kept {
                Kept::Nothing => Part::Nothing,
                Kept::Pre(id) => Part::Pre(&slots.f32(id)[range(channels)]),
                Kept::Signs(id) => Part::Signs(&slots.words(id)[range(channels.div_ceil(32))]),
                Kept::Winners(id) => {
                    let bytes: &[u8] = bytemuck::cast_slice(slots.words(id));
                    Part::Winners(&bytes[range(channels.div_ceil(4) * 4)])
                }
            }
        };
        grad.f32()[..rows * channels]
            .par_chunks_mut(per_piece * channels)
            .zip(sums.par_chunks_mut(channels))
            .enumerate()
            .for_each(|(i, (grad, sums))| backward(grad, part(i), self.activation, sums));
        slots.put(grad);
        if let Some(id) = self.bias_gradient {
            let out = bytemuck::cast_slice_mut::<u32, f32>(slots.words_mut(id));
            for (c, out) in out.iter_mut().enumerate().take(channels) {
                let own = sums.iter().skip(c).step_by(channels);
                let before = if self.accumulate { *out } else { 0.0 };
                *out = own.fold(before, |sum, v| sum + v);
            }
        }
        slots.scratch.words = partial;
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let (rows, channels) = (self.rows as usize, self.channels as usize);
        let mut list = vec![Access::update(self.grad, rows * channels)];
        let kept = kept_access(self.kept, rows, channels);
        list.extend(kept.map(|(id, words)| Access::read(id, words)));
        let bias = if self.accumulate { Access::update } else { Access::write };
        list.extend(self.bias_gradient.map(|id| bias(id, channels)));
        list
    }
}

impl Add {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let channels = (self.channels as usize).max(1);
        let len = self.rows as usize * channels;
        let per_piece = parallel::rows_per_piece(channels) * channels;
        let mut out = slots.take(self.out);
        let (a, b) = (&slots.f32(self.a)[..len], &slots.f32(self.b)[..len]);
        // With `Pre` the sum is kept first and the non-linearity applied after.
        let fused = if matches!(self.kept, Kept::Pre(_)) { None } else { self.activation };
        parallel::chunks(&mut out.f32()[..len], per_piece, |start, out| {
            let end = start + out.len();
            add(&a[start..end], &b[start..end], out, fused);
        });
        match self.kept {
            Kept::Pre(id) => {
                let mut pre = slots.take(id);
                pre.f32()[..len].copy_from_slice(&out.f32()[..len]);
                slots.put(pre);
                if let Some(activation) = self.activation {
                    parallel::pieces(&mut out.f32()[..len], |_, piece| {
                        piece.iter_mut().for_each(|v| *v = value(activation, *v));
                    });
                }
            }
            Kept::Signs(id) => {
                let mut taken = slots.take(id);
                let out = &out.f32()[..len];
                let per_row = channels.div_ceil(32);
                let rows = per_piece / channels;
                let words = &mut taken.words()[..self.rows as usize * per_row];
                parallel::chunks(words, rows * per_row, |start, words| {
                    let first = start / per_row * channels;
                    let values = words.len() / per_row * channels;
                    signs(&out[first..first + values], channels, words);
                });
                slots.put(taken);
            }
            Kept::Nothing | Kept::Winners(_) => {}
        }
        slots.put(out);
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let (rows, channels) = (self.rows as usize, self.channels as usize);
        let len = rows * channels;
        let mut list = vec![
            Access::read(self.a, len),
            Access::read(self.b, len),
            Access::write(self.out, len),
        ];
        let kept = kept_access(self.kept, rows, channels);
        list.extend(kept.map(|(id, words)| Access::write(id, words)));
        list
    }
}

/// Fills sign bits from results, on the GPU.
pub(super) fn signs_dispatch(out: BufferId, signs: BufferId, rows: u32, channels: u32) -> Dispatch {
    let buffers = [read(out), write(signs)];
    let constants = [("ACTIVATION", 0), ("KEPT", 0)];
    let threads = groups(rows * channels.div_ceil(32));
    dispatch("channel", "signs", &constants, &buffers, &[rows, channels, 1, 0], threads)
}

impl ChannelBackward {
    /// Dispatches of `shaders/channel.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let (rows, channels) = (self.rows, self.channels);
        let parts = parts(rows, channels, 1);
        let params = [rows, channels, parts, u32::from(self.accumulate)];
        let call = |entry, kept, buffers: &[_], groups| {
            let constants = [("ACTIVATION", 0), ("KEPT", kept)];
            dispatch("channel", entry, &constants, buffers, &params, groups)
        };
        let mut calls = Vec::new();
        let len = rows * channels;
        match (self.kept, self.activation) {
            (Kept::Nothing, _) | (_, None) => {}
            (Kept::Pre(pre), Some(activation)) => {
                let slope = ActivationBackward { grad: self.grad, pre, len, activation };
                calls.extend(slope.gpu());
            }
            (Kept::Signs(id), Some(_)) => {
                calls.push(call("relu_slope", 1, &[write(self.grad), read(id)], groups(len)));
            }
            (Kept::Winners(id), Some(_)) => {
                calls.push(call("relu_slope", 2, &[write(self.grad), read(id)], groups(len)));
            }
        }
        if let Some(out) = self.bias_gradient {
            let across = channels.div_ceil(LANES_PER_PART);
            let buffers = [read(self.grad), write(SCRATCH)];
            calls.push(call("part_sums", 0, &buffers, across * parts));
            calls.push(call("all_sums", 0, &[read(SCRATCH), write(out)], groups(channels)));
        }
        calls
    }
}

impl Add {
    /// Dispatches of `shaders/channel.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let (rows, channels) = (self.rows, self.channels);
        let constants = [("ACTIVATION", code(self.activation)), ("KEPT", 0)];
        let params = [rows, channels, 1, 0];
        let mut buffers = vec![read(self.a), read(self.b), write(self.out)];
        let entry = match self.kept {
            Kept::Pre(id) => {
                buffers.push(write(id));
                "add_keeping"
            }
            _ => "add",
        };
        let threads = groups(rows * channels);
        let mut calls = vec![dispatch("channel", entry, &constants, &buffers, &params, threads)];
        if let Kept::Signs(id) = self.kept {
            calls.push(signs_dispatch(self.out, id, rows, channels));
        }
        calls
    }
}

//! Batch normalisation over samples and pixels of each channel, ε 1e-5.

use rayon::prelude::*;

use super::activation::{code, times_slope, value};
use super::dispatch::{LANES_PER_PART, SCRATCH, dispatch, groups, parts, read, write};
use super::simd::widest;
use super::slots::grow;
use super::{Access, BufferId, Dispatch, ScratchNeed, Slots, parallel};
use crate::model::Activation;

/// Guard under the square root.
pub const EPSILON: f32 = 1e-5;
/// Share of the batch's statistics in the running ones.
pub const MOMENTUM: f32 = 0.1;

/// Training: `out = f((x − mean) · rstd · gain + shift)` with the mean and biased variance of each
/// channel over the `valid` real samples of the batch and `rstd = 1/sqrt(variance + 1e-5)`.
///
/// Running values move by a tenth: `running ← 0.9·running + 0.1·batch`, the variance with the
/// unbiased one (`n/(n−1)` times as large; as it is if `n = 1`). Padding samples are normalised like
/// the others but do not count.
#[derive(Debug, Clone, Copy)]
pub struct BatchNorm {
    /// f32 `[rows · pixels, channels]`.
    pub x: BufferId,
    /// f32 `[channels]`.
    pub gain: BufferId,
    /// f32 `[channels]`.
    pub shift: BufferId,
    /// f32, like `x`.
    pub out: BufferId,
    /// f32 `[2, channels]`: means, then 1/σ.
    pub moments: BufferId,
    /// f32 `[channels]`, updated.
    pub running_mean: BufferId,
    /// f32 `[channels]`, updated.
    pub running_variance: BufferId,
    /// Samples.
    pub rows: u32,
    /// Pixels of a sample.
    pub pixels: u32,
    /// Channels.
    pub channels: u32,
    /// `f`.
    pub activation: Option<Activation>,
    /// Step state.
    pub step: BufferId,
}

/// Evaluation: `out = f((x − mean) · 1/sqrt(variance + 1e-5) · gain + shift)` with running values.
#[derive(Debug, Clone, Copy)]
pub struct BatchNormEval {
    /// f32 `[rows · pixels, channels]`.
    pub x: BufferId,
    /// f32 `[channels]`.
    pub gain: BufferId,
    /// f32 `[channels]`.
    pub shift: BufferId,
    /// f32 `[channels]`.
    pub mean: BufferId,
    /// f32 `[channels]`.
    pub variance: BufferId,
    /// f32, like `x`.
    pub out: BufferId,
    /// Samples times pixels.
    pub rows: u32,
    /// Channels.
    pub channels: u32,
    /// `f`.
    pub activation: Option<Activation>,
}

/// Gradients of [`BatchNorm`]. With `h = (x − mean)·rstd`, `g = grad·f'(h·gain + shift)` and means
/// over the `n` valid values of a channel: `grad ← gain·rstd·(g − mean(g) − h·mean(g·h))`, 0 for
/// padding samples; `grad_gain = Σ g·h`, `grad_shift = Σ g`.
#[derive(Debug, Clone, Copy)]
pub struct BatchNormBackward {
    /// Input of the forward pass.
    pub x: BufferId,
    /// Gain.
    pub gain: BufferId,
    /// Shift.
    pub shift: BufferId,
    /// Means and 1/σ of the forward pass.
    pub moments: BufferId,
    /// Gradient of the output, becomes that of the input.
    pub grad: BufferId,
    /// f32 `[channels]`, overwritten.
    pub grad_gain: BufferId,
    /// f32 `[channels]`, overwritten.
    pub grad_shift: BufferId,
    /// Samples.
    pub rows: u32,
    /// Pixels of a sample.
    pub pixels: u32,
    /// Channels.
    pub channels: u32,
    /// `f`.
    pub activation: Option<Activation>,
    /// Step state.
    pub step: BufferId,
}

/// The numbers of every channel that an element's result depends on.
struct Channels<'a> {
    mean: &'a [f32],
    rstd: &'a [f32],
    gain: &'a [f32],
    shift: &'a [f32],
}

/// Mean and sum of squared distances from it, of every channel of some rows.
#[inline(always)]
fn moments_body(x: &[f32], out: &mut [f32]) {
    let channels = out.len() / 2;
    let (mean, squares) = out.split_at_mut(channels);
    mean.fill(0.0);
    squares.fill(0.0);
    for row in x.chunks_exact(channels) {
        for (m, v) in mean.iter_mut().zip(row) {
            *m += v;
        }
    }
    let count = (x.len() / channels) as f32;
    for m in mean.iter_mut() {
        *m /= count;
    }
    for row in x.chunks_exact(channels) {
        for ((s, v), m) in squares.iter_mut().zip(row).zip(mean.iter()) {
            *s += (v - m) * (v - m);
        }
    }
}

#[inline(always)]
fn apply_body(x: &[f32], out: &mut [f32], c: &Channels<'_>, activation: Option<Activation>) {
    let channels = c.mean.len();
    let (mean, rstd) = (&c.mean[..channels], &c.rstd[..channels]);
    let (gain, shift) = (&c.gain[..channels], &c.shift[..channels]);
    for (out, x) in out.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
        for i in 0..channels {
            out[i] = (x[i] - mean[i]) * rstd[i] * gain[i] + shift[i];
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
}

/// Multiplies gradients by the slope of the non-linearity, in place, and adds up `Σ g` and
/// `Σ g·h` of every channel.
#[inline(always)]
fn sums_body(
    x: &[f32],
    grad: &mut [f32],
    c: &Channels<'_>,
    activation: Option<Activation>,
    sums: &mut [f32],
) {
    let channels = c.mean.len();
    let (mean, rstd) = (&c.mean[..channels], &c.rstd[..channels]);
    let (gain, shift) = (&c.gain[..channels], &c.shift[..channels]);
    let (sum_g, sum_gh) = sums.split_at_mut(channels);
    sum_g.fill(0.0);
    sum_gh.fill(0.0);
    for (grad, x) in grad.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
        match activation {
            None => {}
            Some(Activation::Relu) => {
                for i in 0..channels {
                    let pre = (x[i] - mean[i]) * rstd[i] * gain[i] + shift[i];
                    grad[i] = if pre > 0.0 { grad[i] } else { 0.0 };
                }
            }
            Some(other) => {
                for i in 0..channels {
                    let pre = (x[i] - mean[i]) * rstd[i] * gain[i] + shift[i];
                    grad[i] = times_slope(other, grad[i], pre);
                }
            }
        }
        for i in 0..channels {
            sum_g[i] += grad[i];
            sum_gh[i] += grad[i] * ((x[i] - mean[i]) * rstd[i]);
        }
    }
}

/// `grad ← gain·rstd·(g − mean(g) − h·mean(g·h))`; `means` holds both means.
#[inline(always)]
fn backward_body(x: &[f32], grad: &mut [f32], c: &Channels<'_>, means: &[f32]) {
    let channels = c.mean.len();
    let (mean, rstd, gain) = (&c.mean[..channels], &c.rstd[..channels], &c.gain[..channels]);
    let (mean_g, mean_gh) = means.split_at(channels);
    let mean_gh = &mean_gh[..channels];
    for (grad, x) in grad.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
        for i in 0..channels {
            let h = (x[i] - mean[i]) * rstd[i];
            grad[i] = gain[i] * rstd[i] * (grad[i] - mean_g[i] - h * mean_gh[i]);
        }
    }
}

widest! {
    fn moments(x: &[f32], out: &mut [f32]) = moments_body;
}
widest! {
    fn apply(
        x: &[f32],
        out: &mut [f32],
        c: &Channels<'_>,
        activation: Option<Activation>,
    ) = apply_body;
}
widest! {
    fn sums(
        x: &[f32],
        grad: &mut [f32],
        c: &Channels<'_>,
        activation: Option<Activation>,
        sums: &mut [f32],
    ) = sums_body;
}
widest! {
    fn backward(x: &[f32], grad: &mut [f32], c: &Channels<'_>, means: &[f32]) = backward_body;
}

/// Values of a piece: whole rows.
fn piece_len(channels: usize) -> usize {
    parallel::rows_per_piece(channels) * channels
}

/// Scratch for two sums per piece and channel, and `more` pieces.
fn scratch(rows: u32, pixels: u32, channels: u32, more: usize) -> ScratchNeed {
    let channels = (channels as usize).max(1);
    let len = rows as usize * pixels as usize * channels;
    let pieces = len.div_ceil(piece_len(channels)) + more;
    ScratchNeed { words: pieces * 2 * channels, ..ScratchNeed::default() }
}

impl BatchNorm {
    /// Scratch of the native twin.
    pub fn scratch(&self) -> ScratchNeed {
        scratch(self.rows, self.pixels, self.channels, 0)
    }

    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let channels = (self.channels as usize).max(1);
        let rows = slots.valid_rows(self.step, self.rows) * self.pixels as usize;
        let len = self.rows as usize * self.pixels as usize * channels;
        let piece = piece_len(channels);
        let mut partial = std::mem::take(&mut slots.scratch.words);
        let mut taken = slots.take(self.moments);
        {
            let x = &slots.f32(self.x)[..rows * channels];
            let pieces = x.len().div_ceil(piece);
            let partial: &mut [f32] =
                bytemuck::cast_slice_mut(grow(&mut partial, pieces * 2 * channels));
            x.par_chunks(piece)
                .zip(partial.par_chunks_mut(2 * channels))
                .for_each(|(x, out)| moments(x, out));
            let (mean, rstd) = taken.f32()[..2 * channels].split_at_mut(channels);
            for c in 0..channels {
                // Pieces are joined in order (Chan et al.), in f64.
                let (mut count, mut m, mut squares) = (0f64, 0f64, 0f64);
                for (i, part) in partial.chunks_exact(2 * channels).enumerate() {
                    let n = ((x.len() - i * piece).min(piece) / channels) as f64;
                    let delta = f64::from(part[c]) - m;
                    m += delta * n / (count + n);
                    squares +=
                        f64::from(part[channels + c]) + delta * delta * count * n / (count + n);
                    count += n;
                }
                mean[c] = m as f32;
                // The variance for now; its inverse root below.
                rstd[c] = (squares / count.max(1.0)) as f32;
            }
        }
        let mut running_mean = slots.take(self.running_mean);
        let mut running_variance = slots.take(self.running_variance);
        let unbiased = if rows > 1 { rows as f32 / (rows - 1) as f32 } else { 1.0 };
        let (mean, rstd) = taken.f32()[..2 * channels].split_at_mut(channels);
        if rows > 0 {
            for (r, m) in running_mean.f32().iter_mut().zip(mean.iter()) {
                *r = (1.0 - MOMENTUM) * *r + MOMENTUM * m;
            }
            for (r, v) in running_variance.f32().iter_mut().zip(rstd.iter()) {
                *r = (1.0 - MOMENTUM) * *r + MOMENTUM * (v * unbiased);
            }
        }
        for v in rstd {
            *v = 1.0 / (*v + EPSILON).sqrt();
        }
        slots.put(running_mean);
        slots.put(running_variance);
        slots.put(taken);
        slots.scratch.words = partial;

        let mut taken = slots.take(self.out);
        let (mean, rstd) = slots.f32(self.moments)[..2 * channels].split_at(channels);
        let (gain, shift) = (slots.f32(self.gain), slots.f32(self.shift));
        let c = Channels { mean, rstd, gain, shift };
        let x = &slots.f32(self.x)[..len];
        parallel::chunks(&mut taken.f32()[..len], piece, |start, out| {
            apply(&x[start..start + out.len()], out, &c, self.activation);
        });
        slots.put(taken);
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let channels = self.channels as usize;
        let len = self.rows as usize * self.pixels as usize * channels;
        vec![
            Access::read(self.x, len),
            Access::read(self.gain, channels),
            Access::read(self.shift, channels),
            Access::write(self.out, len),
            Access::write(self.moments, 2 * channels),
            Access::update(self.running_mean, channels),
            Access::update(self.running_variance, channels),
            Access::read(self.step, super::step_state::WORDS),
        ]
    }
}

impl BatchNormEval {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let channels = (self.channels as usize).max(1);
        let len = self.rows as usize * channels;
        let mut taken = slots.take(self.out);
        let inverse = |v: &f32| 1.0 / (v + EPSILON).sqrt();
        let mut words = std::mem::take(&mut slots.scratch.words);
        let rstd: &mut [f32] = bytemuck::cast_slice_mut(grow(&mut words, channels));
        for (r, v) in rstd.iter_mut().zip(slots.f32(self.variance)) {
            *r = inverse(v);
        }
        let c = Channels {
            mean: &slots.f32(self.mean)[..channels],
            rstd,
            gain: slots.f32(self.gain),
            shift: slots.f32(self.shift),
        };
        let x = &slots.f32(self.x)[..len];
        parallel::chunks(&mut taken.f32()[..len], piece_len(channels), |start, out| {
            apply(&x[start..start + out.len()], out, &c, self.activation);
        });
        slots.put(taken);
        slots.scratch.words = words;
    }

    /// Scratch of the native twin.
    pub fn scratch(&self) -> ScratchNeed {
        ScratchNeed { words: self.channels as usize, ..ScratchNeed::default() }
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let channels = self.channels as usize;
        let len = self.rows as usize * channels;
        let per_channel = [self.gain, self.shift, self.mean, self.variance];
        let mut list = vec![Access::read(self.x, len), Access::write(self.out, len)];
        list.extend(per_channel.map(|id| Access::read(id, channels)));
        list
    }
}

impl BatchNormBackward {
    /// Scratch of the native twin.
    pub fn scratch(&self) -> ScratchNeed {
        scratch(self.rows, self.pixels, self.channels, 1)
    }

    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let channels = (self.channels as usize).max(1);
        let rows = slots.valid_rows(self.step, self.rows) * self.pixels as usize;
        let len = self.rows as usize * self.pixels as usize * channels;
        let piece = piece_len(channels);
        let mut partial = std::mem::take(&mut slots.scratch.words);
        let pieces = (rows * channels).div_ceil(piece);
        // After the pieces' sums, the two means of every channel.
        let words = (pieces + 1) * 2 * channels;
        let words: &mut [f32] = bytemuck::cast_slice_mut(grow(&mut partial, words));
        let (parts, means) = words.split_at_mut(pieces * 2 * channels);
        let mut grad = slots.take(self.grad);
        let mut grad_gain = slots.take(self.grad_gain);
        let mut grad_shift = slots.take(self.grad_shift);
        let (mean, rstd) = slots.f32(self.moments)[..2 * channels].split_at(channels);
        let (gain, shift) = (slots.f32(self.gain), slots.f32(self.shift));
        let c = Channels { mean, rstd, gain, shift };
        let (valid, padding) = grad.f32()[..len].split_at_mut(rows * channels);
        let x = &slots.f32(self.x)[..rows * channels];
        valid
            .par_chunks_mut(piece)
            .zip(x.par_chunks(piece))
            .zip(parts.par_chunks_mut(2 * channels))
            .for_each(|((grad, x), out)| sums(x, grad, &c, self.activation, out));
        let (gain_out, shift_out) = (&mut grad_gain.f32()[..channels], grad_shift.f32());
        let count = rows.max(1) as f64;
        for i in 0..channels {
            let total = |at: usize| -> f64 {
                parts.chunks_exact(2 * channels).map(|p| f64::from(p[at])).sum()
            };
            let (g, gh) = (total(i), total(channels + i));
            shift_out[i] = g as f32;
            gain_out[i] = gh as f32;
            means[i] = (g / count) as f32;
            means[channels + i] = (gh / count) as f32;
        }
        let means = &*means;
        parallel::chunks(valid, piece, |start, grad| {
            backward(&x[start..start + grad.len()], grad, &c, means);
        });
        padding.fill(0.0);
        slots.put(grad);
        slots.put(grad_gain);
        slots.put(grad_shift);
        slots.scratch.words = partial;
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let channels = self.channels as usize;
        let len = self.rows as usize * self.pixels as usize * channels;
        vec![
            Access::read(self.x, len),
            Access::read(self.gain, channels),
            Access::read(self.shift, channels),
            Access::read(self.moments, 2 * channels),
            Access::update(self.grad, len),
            Access::write(self.grad_gain, channels),
            Access::write(self.grad_shift, channels),
            Access::read(self.step, super::step_state::WORDS),
        ]
    }
}

/// One dispatch of `shaders/batch_norm.wgsl`.
fn call(
    entry: &'static str,
    activation: Option<Activation>,
    buffers: &[(BufferId, bool)],
    params: &[u32; 4],
    groups: u32,
) -> Dispatch {
    let constants = [("ACTIVATION", code(activation))];
    dispatch("batch_norm", entry, &constants, buffers, params, groups)
}

impl BatchNorm {
    /// Dispatches of its shader.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let (rows, channels) = (self.rows * self.pixels, self.channels);
        let parts = parts(rows, channels, 1);
        let params = [self.pixels, rows, channels, parts];
        let many = channels.div_ceil(LANES_PER_PART) * parts;
        let part = [read(self.x), read(self.step), read(self.moments), write(SCRATCH)];
        let finish =
            |running| [read(SCRATCH), read(self.step), write(self.moments), write(running)];
        let apply =
            [read(self.x), read(self.moments), read(self.gain), read(self.shift), write(self.out)];
        let (mean, variance) = (finish(self.running_mean), finish(self.running_variance));
        vec![
            call("part_values", None, &part, &params, many),
            call("finish_mean", None, &mean, &params, groups(channels)),
            call("part_squares", None, &part, &params, many),
            call("finish_variance", None, &variance, &params, groups(channels)),
            call("apply", self.activation, &apply, &params, groups(rows * channels)),
        ]
    }
}

impl BatchNormEval {
    /// Dispatches of its shader.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let params = [1, self.rows, self.channels, 1];
        let buffers = [
            read(self.x),
            read(self.mean),
            read(self.gain),
            read(self.shift),
            read(self.variance),
            write(self.out),
        ];
        let threads = groups(self.rows * self.channels);
        vec![call("evaluate", self.activation, &buffers, &params, threads)]
    }
}

impl BatchNormBackward {
    /// Dispatches of its shader.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let (rows, channels) = (self.rows * self.pixels, self.channels);
        let parts = parts(rows, channels, 2);
        let params = [self.pixels, rows, channels, parts];
        let many = channels.div_ceil(LANES_PER_PART) * parts;
        let part = [
            read(self.x),
            read(self.moments),
            read(self.gain),
            read(self.shift),
            read(self.step),
            write(self.grad),
            write(SCRATCH),
        ];
        let finish = [read(SCRATCH), write(self.grad_gain), write(self.grad_shift)];
        let back = [
            read(self.x),
            read(self.moments),
            read(self.gain),
            read(self.grad_gain),
            read(self.step),
            write(self.grad),
            read(self.grad_shift),
        ];
        vec![
            call("part_gradients", self.activation, &part, &params, many),
            call("finish_gradients", None, &finish, &params, groups(channels)),
            call("backward", None, &back, &params, groups(rows * channels)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fp8::hash;
    use crate::kernels::step_state;

    fn values(seed: u32, len: usize, offset: f32) -> Vec<f32> {
        let key = hash::key(seed, 0, 0);
        (0..len as u32)
            .map(|i| (hash::bits(key, i) >> 8) as f32 / 8_388_608.0 - 1.0 + offset)
            .collect()
    }

    /// Mean and biased variance of a channel in f64.
    fn exact(x: &[f32], channels: usize, c: usize) -> (f64, f64) {
        let own: Vec<f64> = x.iter().skip(c).step_by(channels).map(|v| f64::from(*v)).collect();
        let n = own.len() as f64;
        let mean = own.iter().sum::<f64>() / n;
        (mean, own.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n)
    }

    #[test]
    fn statistics_are_exact_over_many_pieces_and_leave_padding_out() {
        // A large mean beside a small deviation would break naive sums of squares.
        for (rows, valid, pixels, channels, offset) in
            [(5, 3, 7, 3, 0.0), (300, 299, 100, 5, 100.0), (1, 1, 1, 4, 0.0), (9, 9, 1, 700, -3.0)]
        {
            let len = rows * pixels * channels;
            let sizes = [len, channels, channels, len, 2 * channels, channels, channels, 16];
            let mut slots =
                Slots::new(&sizes, sizes.iter().enumerate().map(|(i, n)| (i, *n)).collect());
            let mut x = values(3, len, offset);
            // Padding that would spoil everything.
            x[valid * pixels * channels..].fill(1e6);
            let id = BufferId;
            slots.words_mut(id(0)).copy_from_slice(bytemuck::cast_slice(&x));
            slots.words_mut(id(1)).fill(1f32.to_bits());
            slots.words_mut(id(6)).fill(1f32.to_bits());
            slots.words_mut(id(7))[step_state::VALID] = valid as u32;
            let op = BatchNorm {
                x: id(0),
                gain: id(1),
                shift: id(2),
                out: id(3),
                moments: id(4),
                running_mean: id(5),
                running_variance: id(6),
                rows: rows as u32,
                pixels: pixels as u32,
                channels: channels as u32,
                activation: None,
                step: id(7),
            };
            op.cpu(&mut slots);
            let n = (valid * pixels) as f64;
            for c in 0..channels {
                let (mean, variance) = exact(&x[..valid * pixels * channels], channels, c);
                let rstd = 1.0 / (variance + 1e-5).sqrt();
                let close = |got: f32, want: f64| {
                    (f64::from(got) - want).abs() <= 2e-5 * want.abs().max(0.1)
                };
                assert!(close(slots.f32(id(4))[c], mean));
                assert!(close(slots.f32(id(4))[channels + c], rstd), "{rstd}");
                assert!(close(slots.f32(id(5))[c], 0.1 * mean));
                let unbiased = if n > 1.0 { variance * n / (n - 1.0) } else { variance };
                assert!(close(slots.f32(id(6))[c], 0.9 + 0.1 * unbiased));
                let want = (f64::from(x[c]) - mean) * rstd;
                assert!((f64::from(slots.f32(id(3))[c]) - want).abs() < 1e-3);
                assert!(!close(slots.f32(id(4))[channels + c], rstd * 1.001));
            }
        }
    }
}

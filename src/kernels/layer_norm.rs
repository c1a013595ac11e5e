//! Layer normalisation over the features of each row, ε 1e-5.

use super::dispatch::{ROW_LANES, dispatch, read, write};
use super::{Access, BufferId, Dispatch, Slots, parallel};

/// `out = (x − mean) · rstd · gain + shift` per row; keeps mean and 1/σ for backward. Two passes:
/// the mean, then `rstd = 1/sqrt(Σ(x − mean)²/cols + 1e-5)` (biased variance).
#[derive(Debug, Clone, Copy)]
pub struct LayerNorm {
    /// f32 `[rows, cols]`.
    pub x: BufferId,
    /// f32 `[cols]`.
    pub gain: BufferId,
    /// f32 `[cols]`.
    pub shift: BufferId,
    /// f32 `[rows, cols]`.
    pub out: BufferId,
    /// f32 `[rows, 2]`: mean, 1/σ.
    pub moments: BufferId,
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub cols: u32,
}

/// Gradients of [`LayerNorm`]. With `h = (x − mean)·rstd` and `g = grad_out·gain` per row:
/// `grad_in = rstd·(g − mean(g) − h·mean(g·h))`, `grad_gain = Σ_r grad_out·h`,
/// `grad_shift = Σ_r grad_out`.
#[derive(Debug, Clone, Copy)]
pub struct LayerNormBackward {
    /// Input of the forward pass.
    pub x: BufferId,
    /// Gain.
    pub gain: BufferId,
    /// Mean and 1/σ of the forward pass.
    pub moments: BufferId,
    /// Gradient of the output, `[rows, cols]`.
    pub grad_out: BufferId,
    /// Gradient of the input, `[rows, cols]`; a different buffer.
    pub grad_in: BufferId,
    /// Gradient of the gain, `[cols]`.
    pub grad_gain: BufferId,
    /// Gradient of the shift, `[cols]`.
    pub grad_shift: BufferId,
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub cols: u32,
}

/// Guard under the square root.
pub const EPSILON: f32 = 1e-5;

impl LayerNorm {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let cols = (self.cols as usize).max(1);
        let len = self.rows as usize * self.cols as usize;
        let mut moments = slots.take(self.moments);
        let x = slots.f32(self.x);
        parallel::rows(&mut moments.f32()[..self.rows as usize * 2], 2, |row0, piece| {
            for (i, m) in piece.chunks_exact_mut(2).enumerate() {
                let row = &x[(row0 + i) * cols..(row0 + i) * cols + self.cols as usize];
                let mean = row.iter().sum::<f32>() / cols as f32;
                let var = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / cols as f32;
                m[0] = mean;
                m[1] = 1.0 / (var + EPSILON).sqrt();
            }
        });
        slots.put(moments);
        let mut out = slots.take(self.out);
        let (x, moments) = (slots.f32(self.x), slots.f32(self.moments));
        let (gain, shift) = (slots.f32(self.gain), slots.f32(self.shift));
        parallel::rows(&mut out.f32()[..len], cols, |row0, piece| {
            for (i, out) in piece.chunks_exact_mut(cols).enumerate() {
                let r = row0 + i;
                let (mean, rstd) = (moments[2 * r], moments[2 * r + 1]);
                let row = &x[r * cols..(r + 1) * cols];
                for (((o, x), g), s) in out.iter_mut().zip(row).zip(gain).zip(shift) {
                    *o = (x - mean) * rstd * g + s;
                }
            }
        });
        slots.put(out);
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let (rows, cols) = (self.rows as usize, self.cols as usize);
        vec![
            Access::read(self.x, rows * cols),
            Access::read(self.gain, cols),
            Access::read(self.shift, cols),
            Access::write(self.out, rows * cols),
            Access::write(self.moments, rows * 2),
        ]
    }
}

impl LayerNormBackward {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let cols = (self.cols as usize).max(1);
        let len = self.rows as usize * self.cols as usize;
        let mut grad_in = slots.take(self.grad_in);
        let mut grad_gain = slots.take(self.grad_gain);
        let mut grad_shift = slots.take(self.grad_shift);
        let (x, gain) = (slots.f32(self.x), slots.f32(self.gain));
        let (moments, grad_out) = (slots.f32(self.moments), slots.f32(self.grad_out));
        parallel::rows(&mut grad_in.f32()[..len], cols, |row0, piece| {
            for (i, out) in piece.chunks_exact_mut(cols).enumerate() {
                let r = row0 + i;
                let (mean, rstd) = (moments[2 * r], moments[2 * r + 1]);
                let (x, dy) = (&x[r * cols..(r + 1) * cols], &grad_out[r * cols..(r + 1) * cols]);
                let (mut sum_g, mut sum_gh) = (0.0f32, 0.0f32);
                for ((x, dy), gain) in x.iter().zip(dy).zip(gain) {
                    let g = dy * gain;
                    sum_g += g;
                    sum_gh += g * ((x - mean) * rstd);
                }
                let (mean_g, mean_gh) = (sum_g / cols as f32, sum_gh / cols as f32);
                for (((o, x), dy), gain) in out.iter_mut().zip(x).zip(dy).zip(gain) {
                    let h = (x - mean) * rstd;
                    *o = rstd * (dy * gain - mean_g - h * mean_gh);
                }
            }
        });
        let (dg, ds) = (&mut grad_gain.f32()[..self.cols as usize], grad_shift.f32());
        dg.fill(0.0);
        ds[..self.cols as usize].fill(0.0);
        for ((x, dy), m) in x[..len]
            .chunks_exact(cols)
            .zip(grad_out.chunks_exact(cols))
            .zip(moments.chunks_exact(2))
        {
            for (((x, dy), dg), ds) in x.iter().zip(dy).zip(dg.iter_mut()).zip(ds.iter_mut()) {
                *dg += dy * ((x - m[0]) * m[1]);
                *ds += dy;
            }
        }
        slots.put(grad_in);
        slots.put(grad_gain);
        slots.put(grad_shift);
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let (rows, cols) = (self.rows as usize, self.cols as usize);
        vec![
            Access::read(self.x, rows * cols),
            Access::read(self.gain, cols),
            Access::read(self.moments, rows * 2),
            Access::read(self.grad_out, rows * cols),
            Access::write(self.grad_in, rows * cols),
            Access::write(self.grad_gain, cols),
            Access::write(self.grad_shift, cols),
        ]
    }
}

impl LayerNorm {
    /// Dispatches of `shaders/layer_norm.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let buffers =
            [read(self.x), read(self.gain), read(self.shift), write(self.out), write(self.moments)];
        let constants = [("LANES", ROW_LANES)];
        let params = [self.rows, self.cols];
        vec![dispatch("layer_norm", "forward", &constants, &buffers, &params, self.rows)]
    }
}

impl LayerNormBackward {
    /// Dispatches of `shaders/layer_norm.wgsl`: per row, then per column.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let shared = [read(self.x), read(self.moments), read(self.grad_out)];
        let rows = [&shared[..], &[read(self.gain), write(self.grad_in)]].concat();
        let cols = [&shared[..], &[write(self.grad_gain), write(self.grad_shift)]].concat();
        let constants = [("LANES", ROW_LANES)];
        let params = [self.rows, self.cols];
        vec![
            dispatch("layer_norm", "backward", &constants, &rows, &params, self.rows),
            dispatch("layer_norm", "backward_gain", &constants, &cols, &params, self.cols),
        ]
    }
}

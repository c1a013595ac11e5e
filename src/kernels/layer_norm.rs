//! Layer normalisation over the features of each row, ε 1e-5.

use super::dispatch::{ROW_LANES, dispatch, read, write};
use super::{Access, BufferId, Dispatch, Slots, math, parallel};
use crate::fp8::simd::vectorised;

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

vectorised! {
    /// Rows of `x`, with the moments and results that belong to them.
    fn normalise(x: &[f32], gain: &[f32], shift: &[f32], moments: &mut [f32], out: &mut [f32]) {
        let cols = gain.len();
        let rows = x.chunks_exact(cols).zip(out.chunks_exact_mut(cols));
        for ((x, out), moments) in rows.zip(moments.as_chunks_mut::<2>().0) {
            let mean = math::sum([x], |[x]| x) / cols as f32;
            let var = math::sum([x], |[x]| (x - mean) * (x - mean)) / cols as f32;
            let rstd = 1.0 / (var + EPSILON).sqrt();
            *moments = [mean, rstd];
            for (((o, x), g), s) in out.iter_mut().zip(x).zip(gain).zip(shift) {
                *o = (x - mean) * rstd * g + s;
            }
        }
    }
}

vectorised! {
    /// Gradient of the input for rows of `x`.
    fn input_gradient(x: &[f32], gain: &[f32], moments: &[f32], dy: &[f32], out: &mut [f32]) {
        let cols = gain.len();
        let rows = x.chunks_exact(cols).zip(dy.chunks_exact(cols)).zip(out.chunks_exact_mut(cols));
        for (((x, dy), out), &[mean, rstd]) in rows.zip(moments.as_chunks::<2>().0) {
            let h = |x: f32| (x - mean) * rstd;
            let mean_g = math::sum([dy, gain], |[dy, gain]| dy * gain) / cols as f32;
            let mean_gh = math::sum([dy, gain, x], |[dy, gain, x]| dy * gain * h(x)) / cols as f32;
            for (((o, x), dy), gain) in out.iter_mut().zip(x).zip(dy).zip(gain) {
                *o = rstd * (dy * gain - mean_g - h(*x) * mean_gh);
            }
        }
    }
}

vectorised! {
    /// Gradients of gain and shift for the columns from `start`, as many as `dg` has; rows are
    /// added first to last.
    fn column_gradients(
        x: &[f32],
        moments: &[f32],
        dy: &[f32],
        cols: usize,
        start: usize,
        dg: &mut [f32],
        ds: &mut [f32],
    ) {
        dg.fill(0.0);
        ds.fill(0.0);
        let rows = x.chunks_exact(cols).zip(dy.chunks_exact(cols));
        for ((x, dy), &[mean, rstd]) in rows.zip(moments.as_chunks::<2>().0) {
            let own = start..start + dg.len();
            let values = x[own.clone()].iter().zip(&dy[own]);
            for ((dg, ds), (x, dy)) in dg.iter_mut().zip(ds.iter_mut()).zip(values) {
                *dg += dy * ((x - mean) * rstd);
                *ds += dy;
            }
        }
    }
}

impl LayerNorm {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let (rows, cols) = (self.rows as usize, self.cols as usize);
        if cols == 0 {
            return;
        }
        let mut moments = slots.take(self.moments);
        let mut out = slots.take(self.out);
        let x = &slots.f32(self.x)[..rows * cols];
        let (gain, shift) = (&slots.f32(self.gain)[..cols], slots.f32(self.shift));
        let both = ((&mut moments.f32()[..rows * 2], 2), (&mut out.f32()[..rows * cols], cols));
        parallel::rows_of_two(
            both.0,
            both.1,
            parallel::rows_per_piece(cols),
            |row0, moments, out| {
                normalise(&x[row0 * cols..], gain, shift, moments, out);
            },
        );
        slots.put(moments);
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
        let (rows, cols) = (self.rows as usize, self.cols as usize);
        if cols == 0 {
            return;
        }
        let mut grad_in = slots.take(self.grad_in);
        let mut grad_gain = slots.take(self.grad_gain);
        let mut grad_shift = slots.take(self.grad_shift);
        let (x, dy) = (&slots.f32(self.x)[..rows * cols], slots.f32(self.grad_out));
        let (gain, moments) = (&slots.f32(self.gain)[..cols], slots.f32(self.moments));
        parallel::rows(&mut grad_in.f32()[..rows * cols], cols, |row0, out| {
            let (from, moments) = (row0 * cols, &moments[row0 * 2..]);
            input_gradient(&x[from..], gain, moments, &dy[from..], out);
        });
        let (dg, ds) = (&mut grad_gain.f32()[..cols], &mut grad_shift.f32()[..cols]);
        let width = parallel::columns_per_piece(rows);
        parallel::chunks_of_two(dg, ds, width, |start, dg, ds| {
            column_gradients(x, moments, dy, cols, start, dg, ds);
        });
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

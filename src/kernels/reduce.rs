//! Reductions.

use super::dispatch::{dispatch, read, write};
use super::{Access, BufferId, Dispatch, Slots, parallel};
use crate::fp8::simd::vectorised;

/// `out[c] = Σ_r x[r, c]`, in f32, in any fixed order.
#[derive(Debug, Clone, Copy)]
pub struct ColumnSum {
    /// f32 `[rows, cols]`.
    pub x: BufferId,
    /// f32 `[cols]`.
    pub out: BufferId,
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub cols: u32,
}

/// `out[0] = Σ x`.
#[derive(Debug, Clone, Copy)]
pub struct Sum {
    /// f32 `[len]`.
    pub x: BufferId,
    /// f32 `[1]`.
    pub out: BufferId,
    /// Elements.
    pub len: u32,
}

/// Columns whose sums are kept in registers at once.
const TILE: usize = 64;

vectorised! {
    /// Sums of the columns from `start`, as many as `out` has; rows are added first to last.
    fn add_rows(x: &[f32], cols: usize, rows: usize, start: usize, out: &mut [f32]) {
        let all_rows = || x.chunks_exact(cols.max(1)).take(rows);
        let (tiles, rest) = out.as_chunks_mut::<TILE>();
        let rest_start = start + TILE * tiles.len();
        for (t, tile) in tiles.iter_mut().enumerate() {
            let mut sums = [0f32; TILE];
            for row in all_rows() {
                let from = start + TILE * t;
                for (sum, v) in sums.iter_mut().zip(&row[from..from + TILE]) {
                    *sum += v;
                }
            }
            *tile = sums;
        }
        rest.fill(0.0);
        for row in all_rows() {
            for (sum, v) in rest.iter_mut().zip(&row[rest_start..]) {
                *sum += v;
            }
        }
    }
}

impl ColumnSum {
    /// Native twin: rows are added from the first to the last.
    pub fn cpu(&self, slots: &mut Slots) {
        let (rows, cols) = (self.rows as usize, self.cols as usize);
        let mut out = slots.take(self.out);
        let x = slots.f32(self.x);
        // A piece of columns reads `rows` times its width, so it is smaller than usual.
        let width = parallel::columns_per_piece(rows);
        parallel::chunks(&mut out.f32()[..cols], width, |start, piece| {
            add_rows(x, cols, rows, start, piece);
        });
        slots.put(out);
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let (rows, cols) = (self.rows as usize, self.cols as usize);
        vec![Access::read(self.x, rows * cols), Access::write(self.out, cols)]
    }
}

impl Sum {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        // In f64: the loss of a batch is a handful of numbers, and the figure is shown to the user.
        let sum: f64 = slots.f32(self.x)[..self.len as usize].iter().map(|v| f64::from(*v)).sum();
        slots.words_mut(self.out)[0] = (sum as f32).to_bits();
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        vec![Access::read(self.x, self.len as usize), Access::write(self.out, 1)]
    }
}

impl ColumnSum {
    /// Dispatches of `shaders/reduce.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let params = [self.rows, self.cols];
        let buffers = [read(self.x), write(self.out)];
        vec![dispatch("reduce", "column_sum", &[], &buffers, &params, self.cols.div_ceil(16))]
    }
}

impl Sum {
    /// Dispatches of `shaders/reduce.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let buffers = [read(self.x), write(self.out)];
        vec![dispatch("reduce", "sum", &[], &buffers, &[1, self.len], 1)]
    }
}

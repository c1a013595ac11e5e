//! Exponential average of a parameter.

use super::dispatch::{dispatch, groups, read, write};
use super::{Access, BufferId, Dispatch, Slots, bf16 as half_kernels, parallel, step_state};
use crate::fp8::bf16;

/// `average ← average + rate · (weight − average)`, with the rate of the step state.
#[derive(Debug, Clone, Copy)]
pub struct Average {
    /// f32 `[rows, cols]`, or packed bf16.
    pub weight: BufferId,
    /// Whether `weight` is packed bf16 as in [`super::bf16`].
    pub packed: bool,
    /// f32 `[rows, cols]`, updated.
    pub average: BufferId,
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub cols: u32,
    /// Step state.
    pub step: BufferId,
}

impl Average {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let (rows, cols) = (self.rows as usize, self.cols as usize);
        if rows * cols == 0 {
            return;
        }
        let rate = slots.step_f32(self.step, step_state::AVERAGE_RATE);
        let mut average = slots.take(self.average);
        let out = &mut average.f32()[..rows * cols];
        if self.packed {
            let halves: &[u16] = bytemuck::cast_slice(slots.words(self.weight));
            parallel::rows(out, cols, |row0, piece| {
                let rows =
                    halves[row0 * cols.next_multiple_of(2)..].chunks(cols.next_multiple_of(2));
                for (out, row) in piece.chunks_exact_mut(cols).zip(rows) {
                    for (a, w) in out.iter_mut().zip(row) {
                        *a += rate * (bf16::value(*w) - *a);
                    }
                }
            });
        } else {
            let weight = slots.f32(self.weight);
            parallel::pieces(out, |start, piece| {
                for (a, w) in piece.iter_mut().zip(&weight[start..]) {
                    *a += rate * (w - *a);
                }
            });
        }
        slots.put(average);
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let len = self.rows as usize * self.cols as usize;
        let words =
            if self.packed { half_kernels::packed_words(self.rows, self.cols) } else { len };
        vec![
            Access::read(self.weight, words),
            Access::update(self.average, len),
            Access::read(self.step, step_state::WORDS),
        ]
    }
}

impl Average {
    /// Dispatches of `shaders/average.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let buffers = [read(self.weight), read(self.step), write(self.average)];
        let params = [self.rows, self.cols];
        let constants = [("PACKED", u32::from(self.packed))];
        let count = groups(self.rows * self.cols);
        vec![dispatch("average", "average", &constants, &buffers, &params, count)]
    }
}

//! f32 to packed bf16 and back.

use rayon::prelude::*;

use super::dispatch::{dispatch, groups, read, write};
use super::{Access, BufferId, Dispatch, Slots, parallel};
use crate::fp8::bf16;

/// Words of a packed bf16 matrix: two elements to a word (the even column in the low half), every
/// row starting on a word.
pub fn packed_words(rows: u32, cols: u32) -> usize {
    rows as usize * (cols as usize).div_ceil(2)
}

/// Rounds `input` `[rows, cols]` to nearest-even bf16 in `packed` `[rows, ceil(cols/2)]` words; see
/// [`crate::fp8::bf16`] for the rules. The half word past an odd row is 0.
#[derive(Debug, Clone, Copy)]
pub struct ToBf16 {
    /// f32 `[rows, cols]`.
    pub input: BufferId,
    /// Packed bf16 out.
    pub packed: BufferId,
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub cols: u32,
}

/// The exact f32 values of a packed bf16 matrix.
#[derive(Debug, Clone, Copy)]
pub struct FromBf16 {
    /// Packed bf16 `[rows, ceil(cols/2)]` words.
    pub packed: BufferId,
    /// f32 `[rows, cols]` out.
    pub out: BufferId,
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub cols: u32,
}

impl ToBf16 {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let (rows, cols) = (self.rows as usize, self.cols as usize);
        if rows * cols == 0 {
            return;
        }
        let mut packed = slots.take(self.packed);
        let words = &mut packed.words()[..packed_words(self.rows, self.cols)];
        let src = &slots.words(self.input)[..rows * cols];
        parallel::rows(words, cols.div_ceil(2), |row0, piece| {
            let src = src[row0 * cols..].chunks_exact(cols);
            for (src, words) in src.zip(piece.chunks_exact_mut(cols.div_ceil(2))) {
                let halves: &mut [u16] = bytemuck::cast_slice_mut(words);
                let (halves, padding) = halves.split_at_mut(cols);
                bf16::encode(src, halves);
                padding.fill(0);
            }
        });
        slots.put(packed);
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        vec![
            Access::read(self.input, self.rows as usize * self.cols as usize),
            Access::write(self.packed, packed_words(self.rows, self.cols)),
        ]
    }
}

impl FromBf16 {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let (rows, cols) = (self.rows as usize, self.cols as usize);
        if rows * cols == 0 {
            return;
        }
        let mut out = slots.take(self.out);
        let words = &slots.words(self.packed)[..packed_words(self.rows, self.cols)];
        let per_piece = parallel::rows_per_piece(cols);
        out.f32()[..rows * cols]
            .par_chunks_mut(per_piece * cols)
            .zip(words.par_chunks(per_piece * cols.div_ceil(2)))
            .for_each(|(out, words)| {
                for (out, words) in
                    out.chunks_exact_mut(cols).zip(words.chunks_exact(cols.div_ceil(2)))
                {
                    bf16::decode(bytemuck::cast_slice(words), out);
                }
            });
        slots.put(out);
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        vec![
            Access::read(self.packed, packed_words(self.rows, self.cols)),
            Access::write(self.out, self.rows as usize * self.cols as usize),
        ]
    }
}

impl ToBf16 {
    /// Dispatches of `shaders/bf16.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let buffers = [read(self.input), write(self.packed)];
        let count = groups(packed_words(self.rows, self.cols) as u32);
        vec![dispatch("bf16", "to_bf16", &[], &buffers, &[self.rows, self.cols], count)]
    }
}

impl FromBf16 {
    /// Dispatches of `shaders/bf16.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let buffers = [read(self.packed), write(self.out)];
        let count = groups(packed_words(self.rows, self.cols) as u32);
        vec![dispatch("bf16", "from_bf16", &[], &buffers, &[self.rows, self.cols], count)]
    }
}

//! Gradient clipping by the Euclidean norm of all gradients together.

use rayon::prelude::*;

use super::dispatch::{MAX_PARTIALS, SCRATCH, dispatch, groups, read, write};
use super::{Access, BufferId, Dispatch, ScratchNeed, Slots, parallel};
use crate::device::shader::LANES as GPU_LANES;
use crate::fp8::simd::{LANES, add_lanes, vectorised};

/// `out[at] = Σ x²`.
#[derive(Debug, Clone, Copy)]
pub struct SquareSum {
    /// f32 `[len]`.
    pub x: BufferId,
    /// f32, one word of which is written.
    pub out: BufferId,
    /// Which word.
    pub at: u32,
    /// Elements.
    pub len: u32,
}

/// `norm = sqrt(Σ squares)`; `out = [norm, min(1, limit / (norm + 1e-6))]`, as PyTorch's
/// `clip_grad_norm_`. A norm that is not a number makes the factor one too, so that a run that
/// diverged shows it.
#[derive(Debug, Clone, Copy)]
pub struct ClipFactor {
    /// f32 `[len]`, sums of squares.
    pub squares: BufferId,
    /// Sums.
    pub len: u32,
    /// f32 `[2]`: norm and factor.
    pub out: BufferId,
    /// Largest norm that is left as it is.
    pub limit: f32,
}

/// `x ← factor[1] · x`, with the output of [`ClipFactor`].
#[derive(Debug, Clone, Copy)]
pub struct Rescale {
    /// f32 `[len]`, changed in place.
    pub x: BufferId,
    /// Elements.
    pub len: u32,
    /// f32 `[2]`.
    pub factor: BufferId,
}

vectorised! {
    fn squares(x: &[f32]) -> f32 {
        let mut lanes = [0f32; LANES];
        let (whole, rest) = x.as_chunks::<LANES>();
        for chunk in whole {
            for (lane, v) in lanes.iter_mut().zip(chunk) {
                *lane += v * v;
            }
        }
        for (lane, v) in lanes.iter_mut().zip(rest) {
            *lane += v * v;
        }
        add_lanes(lanes)
    }
}

impl SquareSum {
    /// Native twin: pieces in f32, their sum in f64.
    pub fn cpu(&self, slots: &mut Slots) {
        let mut sums = std::mem::take(&mut slots.scratch.piece_sums);
        let x = &slots.f32(self.x)[..self.len as usize];
        let pieces = x.par_chunks(parallel::PIECE).map(|piece| f64::from(squares(piece)));
        pieces.collect_into_vec(&mut sums);
        let sum: f64 = sums.iter().sum();
        slots.words_mut(self.out)[self.at as usize] = (sum as f32).to_bits();
        slots.scratch.piece_sums = sums;
    }

    /// Scratch of the native twin.
    pub fn scratch(&self) -> ScratchNeed {
        let piece_sums = (self.len as usize).div_ceil(parallel::PIECE);
        ScratchNeed { piece_sums, ..ScratchNeed::default() }
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        vec![
            Access::read(self.x, self.len as usize),
            Access::update(self.out, self.at as usize + 1),
        ]
    }
}

impl ClipFactor {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let squares = &slots.f32(self.squares)[..self.len as usize];
        let norm = squares.iter().map(|v| f64::from(*v)).sum::<f64>().sqrt() as f32;
        let factor = self.limit / (norm + 1e-6);
        // Not `f32::min`, which would drop NaN.
        let factor = if factor > 1.0 { 1.0 } else { factor };
        slots.words_mut(self.out)[..2].copy_from_slice(&[norm.to_bits(), factor.to_bits()]);
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        vec![Access::read(self.squares, self.len as usize), Access::write(self.out, 2)]
    }
}

impl Rescale {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let factor = slots.f32(self.factor)[1];
        if factor == 1.0 {
            return;
        }
        let mut x = slots.take(self.x);
        parallel::pieces(&mut x.f32()[..self.len as usize], |_, piece| {
            piece.iter_mut().for_each(|v| *v *= factor);
        });
        slots.put(x);
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        vec![Access::update(self.x, self.len as usize), Access::read(self.factor, 2)]
    }
}

impl SquareSum {
    /// Dispatches of `shaders/clip.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let count = self.len.div_ceil(8 * GPU_LANES).clamp(1, MAX_PARTIALS);
        let params = [self.len, self.at, count, 0];
        let call = |entry, buffers: &[(BufferId, bool)], groups| {
            dispatch("clip", entry, &[], buffers, &params, groups)
        };
        vec![
            call("square_partials", &[read(self.x), write(SCRATCH)], count),
            call("square_sum", &[read(SCRATCH), write(self.out)], 1),
        ]
    }
}

impl ClipFactor {
    /// Dispatches of `shaders/clip.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let params = [self.len, 0, 0, self.limit.to_bits()];
        let buffers = [read(self.squares), write(self.out)];
        vec![dispatch("clip", "clip_factor", &[], &buffers, &params, 1)]
    }
}

impl Rescale {
    /// Dispatches of `shaders/clip.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let buffers = [read(self.factor), write(self.x)];
        let params = [self.len, 0, 0, 0];
        vec![dispatch("clip", "rescale", &[], &buffers, &params, groups(self.len))]
    }
}

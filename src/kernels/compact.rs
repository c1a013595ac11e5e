//! AdamW whose moments and weights take fewer bits than f32.

use rayon::prelude::*;

use super::dispatch::dispatch;
use super::optimizer::{adam_access, adam_buffers};
use super::{Access, BufferId, Dispatch, Slots, step_state};
use crate::fp8::expand::{self, GROUP, GROUP_WORDS};
use crate::fp8::simd::vectorised;
use crate::fp8::{bf16, hash};

/// How one array of the optimiser's state is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateFormat {
    /// One word each.
    F32,
    /// Two to a word, stochastically rounded.
    Bf16,
    /// Groups of 128 as [`crate::fp8::expand`] writes them.
    Fp8,
}

impl StateFormat {
    /// Words that `len` values take.
    pub fn words(self, len: usize) -> usize {
        match self {
            Self::F32 => len,
            Self::Bf16 => len.div_ceil(2),
            Self::Fp8 => len.div_ceil(GROUP) * GROUP_WORDS,
        }
    }

    /// Words of a whole group.
    fn group_words(self) -> usize {
        self.words(GROUP)
    }

    /// `FIRST`, `SECOND` and `WEIGHT` in the shader.
    fn code(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::Bf16 => 1,
            Self::Fp8 => 2,
        }
    }
}

/// [`super::optimizer::AdamW`] over compact state: moments and weights are widened to f32, updated
/// by the same formulas, the weights from the moments before these are rounded, and all are stored
/// again.
///
/// State is kept by position: row `r`, column `c` of the parameter is at `r · stride + c`, positions
/// past a row's `cols` hold zero. An f32 weight has one row; a bf16 weight is the packed matrix of
/// [`super::bf16`], so its stride is `cols` rounded up to even. Rounding at position `i` of array
/// `a` (0 first, 1 second moment, 2 weight) takes
/// `hash::bits(hash::key(seed, step, STATE_STREAM + 4 · param + a), i)`.
#[derive(Debug, Clone, Copy)]
pub struct CompactAdamW {
    /// f32 `[rows, cols]`, or packed bf16.
    pub weight: BufferId,
    /// F32 or Bf16.
    pub weight_format: StateFormat,
    /// f32 `[rows, cols]`.
    pub gradient: BufferId,
    /// First moments by position.
    pub first: BufferId,
    /// Their format.
    pub first_format: StateFormat,
    /// Second moments by position.
    pub second: BufferId,
    /// Their format.
    pub second_format: StateFormat,
    /// Rows; 1 for an f32 weight.
    pub rows: u32,
    /// Columns.
    pub cols: u32,
    /// β1.
    pub beta1: f32,
    /// β2.
    pub beta2: f32,
    /// ε.
    pub epsilon: f32,
    /// λ; 0 for biases, norms and tables.
    pub weight_decay: f32,
    /// Number of the parameter, for rounding.
    pub param: u32,
    /// Step state.
    pub step: BufferId,
}

/// Groups that one core takes at a time.
const PIECE: usize = 64;

/// The constants of one step.
#[derive(Clone, Copy)]
struct Constants {
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    rate: f32,
    keep: f32,
    c1: f32,
    c2: f32,
}

vectorised! {
    fn step(w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], k: Constants) {
        for ((w, g), (m, v)) in w.iter_mut().zip(g).zip(m.iter_mut().zip(v)) {
            *m = k.beta1 * *m + (1.0 - k.beta1) * g;
            *v = k.beta2 * *v + (1.0 - k.beta2) * g * g;
            *w = *w * k.keep - k.rate * (*m * k.c1) / ((*v * k.c2).sqrt() + k.epsilon);
        }
    }
}

fn load(format: StateFormat, words: &[u32], out: &mut [f32]) {
    match format {
        StateFormat::F32 => out.copy_from_slice(bytemuck::cast_slice(words)),
        StateFormat::Bf16 => bf16::decode(bytemuck::cast_slice(words), out),
        StateFormat::Fp8 => expand::decode(words, out),
    }
}

/// Stores a group; `first` is its first position.
fn store(format: StateFormat, values: &[f32], key: u32, first: u32, keep: bool, out: &mut [u32]) {
    match format {
        StateFormat::F32 => out.copy_from_slice(bytemuck::cast_slice(values)),
        StateFormat::Bf16 => {
            let halves: &mut [u16] = bytemuck::cast_slice_mut(out);
            let (halves, rest) = halves.split_at_mut(values.len());
            bf16::encode_stochastic(bytemuck::cast_slice(values), key, first, halves);
            rest.fill(0);
        }
        StateFormat::Fp8 => expand::encode(values, key, first, keep, out),
    }
}

impl CompactAdamW {
    /// Columns of a row, those that hold nothing included.
    pub fn stride(&self) -> u32 {
        match self.weight_format {
            StateFormat::Bf16 => self.cols.next_multiple_of(2),
            _ => self.cols,
        }
    }

    fn positions(&self) -> usize {
        self.rows as usize * self.stride() as usize
    }

    /// Gradients of the positions from `first`, zero where there is no column.
    fn gather(&self, gradient: &[f32], first: usize, out: &mut [f32]) {
        let (cols, stride) = (self.cols as usize, self.stride() as usize);
        if cols == stride {
            out.copy_from_slice(&gradient[first..first + out.len()]);
            return;
        }
        for (i, o) in out.iter_mut().enumerate() {
            let (r, c) = ((first + i) / stride, (first + i) % stride);
            *o = if c < cols { gradient[r * cols + c] } else { 0.0 };
        }
    }

    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let positions = self.positions();
        if positions == 0 {
            return;
        }
        let number = |word| slots.step_f32(self.step, word);
        let rate = number(step_state::LEARNING_RATE);
        let constants = Constants {
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            rate,
            keep: 1.0 - rate * self.weight_decay,
            c1: number(step_state::BETA1_CORRECTION),
            c2: number(step_state::BETA2_CORRECTION),
        };
        let (seed, now) = (
            slots.step_word(self.step, step_state::SEED),
            slots.step_word(self.step, step_state::STEP),
        );
        let stream = hash::STATE_STREAM + 4 * self.param;
        let keys = [0, 1, 2].map(|array| hash::key(seed, now, stream + array));
        let formats = [self.first_format, self.second_format, self.weight_format];

        let mut first = slots.take(self.first);
        let mut second = slots.take(self.second);
        let mut weight = slots.take(self.weight);
        let gradient = slots.f32(self.gradient);
        let words = formats.map(|f| f.words(positions));
        let group_words = formats.map(StateFormat::group_words);
        let group = |start: usize, m: &mut [u32], v: &mut [u32], w: &mut [u32]| {
            let len = GROUP.min(positions - start);
            let mut values = [[0f32; GROUP]; 4];
            let [gs, ms, vs, ws] = values.each_mut().map(|v| &mut v[..len]);
            self.gather(gradient, start, gs);
            load(formats[0], m, ms);
            load(formats[1], v, vs);
            load(formats[2], w, ws);
            step(ws, gs, ms, vs, constants);
            store(formats[0], ms, keys[0], start as u32, false, m);
            store(formats[1], vs, keys[1], start as u32, true, v);
            store(formats[2], ws, keys[2], start as u32, false, w);
        };
        first.words()[..words[0]]
            .par_chunks_mut(PIECE * group_words[0])
            .zip(second.words()[..words[1]].par_chunks_mut(PIECE * group_words[1]))
            .zip(weight.words()[..words[2]].par_chunks_mut(PIECE * group_words[2]))
            .enumerate()
            .for_each(|(piece, ((m, v), w))| {
                let groups = m
                    .chunks_mut(group_words[0])
                    .zip(v.chunks_mut(group_words[1]))
                    .zip(w.chunks_mut(group_words[2]));
                for (i, ((m, v), w)) in groups.enumerate() {
                    group((piece * PIECE + i) * GROUP, m, v, w);
                }
            });
        slots.put(first);
        slots.put(second);
        slots.put(weight);
    }

    fn buffers(&self) -> [(BufferId, bool); 5] {
        adam_buffers(self.weight, self.gradient, self.step, [self.first, self.second])
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let formats = [self.weight_format, self.first_format, self.second_format];
        let words = formats.map(|format| format.words(self.positions()));
        adam_access(self.buffers(), self.rows as usize * self.cols as usize, words)
    }
}

impl CompactAdamW {
    /// Dispatches of `shaders/compact.wgsl`: one workgroup per group.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let constants = [
            ("LANES", GROUP as u32),
            ("FIRST", self.first_format.code()),
            ("SECOND", self.second_format.code()),
            ("WEIGHT", self.weight_format.code()),
        ];
        let buffers = self.buffers();
        let params = [
            self.rows,
            self.cols,
            self.stride(),
            self.param,
            self.beta1.to_bits(),
            self.beta2.to_bits(),
            self.epsilon.to_bits(),
            self.weight_decay.to_bits(),
        ];
        let groups = self.positions().div_ceil(GROUP) as u32;
        vec![dispatch("compact", "compact_adamw", &constants, &buffers, &params, groups)]
    }
}

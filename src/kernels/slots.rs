//! Host memory of a plan, as the CPU twins see it.
//!
//! Every physical slot is one vector of words. A twin takes the buffers that it writes out of their
//! slots, reads the others in place, and puts the taken ones back: no unsafe code, no copies.

use bytemuck::{cast_slice, cast_slice_mut};

use super::{BufferId, step_state};
use crate::fp8::tally::Summary;

/// All memory of one plan, and scratch that kernels reuse.
#[derive(Debug, Default)]
pub struct Slots {
    data: Vec<Vec<u32>>,
    /// Per logical buffer: its slot and its length in words.
    place: Vec<(usize, usize)>,
    /// Whether quantisation gathers everything, or only amax and scale.
    pub full_stats: bool,
    pub(super) scratch: Scratch,
}

/// Scratch vectors that keep their capacity between calls.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub left: Vec<f32>,
    pub right: Vec<f32>,
    pub panels: Vec<u32>,
    /// Sums of pieces.
    pub piece_sums: Vec<f64>,
    pub summaries: Vec<Summary>,
}

/// Grows a scratch vector to `len` elements and no further, so that what it takes can be foretold.
pub(in crate::kernels) fn grow<T: Clone + Default>(vec: &mut Vec<T>, len: usize) -> &mut [T] {
    if vec.len() < len {
        vec.reserve_exact(len - vec.len());
        vec.resize(len, T::default());
    }
    &mut vec[..len]
}

impl Scratch {
    fn bytes(&self) -> u64 {
        let f32s = self.left.capacity() + self.right.capacity() + self.panels.capacity();
        let summaries = self.summaries.capacity() * size_of::<Summary>();
        (4 * f32s + 8 * self.piece_sums.capacity() + summaries) as u64
    }
}

/// Elements of each scratch vector that an op needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScratchNeed {
    pub(super) left: usize,
    pub(super) right: usize,
    pub(super) panels: usize,
    pub(super) summaries: usize,
    pub(super) piece_sums: usize,
}

impl ScratchNeed {
    /// What serves both, one after the other.
    pub fn or(self, other: Self) -> Self {
        Self {
            left: self.left.max(other.left),
            right: self.right.max(other.right),
            panels: self.panels.max(other.panels),
            summaries: self.summaries.max(other.summaries),
            piece_sums: self.piece_sums.max(other.piece_sums),
        }
    }

    /// In bytes.
    pub fn bytes(self) -> u64 {
        let summaries = self.summaries * size_of::<Summary>();
        (4 * (self.left + self.right + self.panels) + 8 * self.piece_sums + summaries) as u64
    }
}

/// A buffer taken out for writing.
#[derive(Debug)]
pub struct Taken {
    slot: usize,
    words: usize,
    data: Vec<u32>,
}

impl Taken {
    /// Content as words.
    pub fn words(&mut self) -> &mut [u32] {
        &mut self.data[..self.words]
    }

    /// Content as f32.
    pub fn f32(&mut self) -> &mut [f32] {
        cast_slice_mut(self.words())
    }
}

impl Slots {
    /// Zeroed memory: the words of each slot, and per buffer its slot and its words.
    pub fn new(slot_words: &[usize], place: Vec<(usize, usize)>) -> Self {
        let data = slot_words.iter().map(|&n| vec![0; n]).collect();
        Self { data, place, full_stats: true, scratch: Scratch::default() }
    }

    /// Bytes of each slot and of the scratch, as allocated.
    pub fn bytes(&self) -> (Vec<u64>, u64) {
        (self.data.iter().map(|d| 4 * d.capacity() as u64).collect(), self.scratch.bytes())
    }

    /// Content as words.
    pub fn words(&self, id: BufferId) -> &[u32] {
        let (slot, words) = self.place[id.index()];
        &self.data[slot][..words]
    }

    /// Content as words, for the host to write.
    pub fn words_mut(&mut self, id: BufferId) -> &mut [u32] {
        let (slot, words) = self.place[id.index()];
        &mut self.data[slot][..words]
    }

    /// Content as f32.
    pub fn f32(&self, id: BufferId) -> &[f32] {
        cast_slice(self.words(id))
    }

    /// Takes a buffer out; give it back with [`Slots::put`]. Reading it meanwhile is a fault of the
    /// plan (`plan::memory::check` finds such plans).
    pub fn take(&mut self, id: BufferId) -> Taken {
        let (slot, words) = self.place[id.index()];
        Taken { slot, words, data: std::mem::take(&mut self.data[slot]) }
    }

    /// Puts a taken buffer back.
    pub fn put(&mut self, taken: Taken) {
        self.data[taken.slot] = taken.data;
    }

    /// A word of the step state.
    pub fn step_word(&self, step: BufferId, word: usize) -> u32 {
        self.words(step)[word]
    }

    /// A number of the step state.
    pub fn step_f32(&self, step: BufferId, word: usize) -> f32 {
        f32::from_bits(self.step_word(step, word))
    }

    /// Rows of the batch that are real samples, at most `rows`.
    pub fn valid_rows(&self, step: BufferId, rows: u32) -> usize {
        self.step_word(step, step_state::VALID).min(rows) as usize
    }
}

//! Host memory of a plan, as the CPU twins see it.
//!
//! Every physical slot is one vector of words. A twin takes the buffers that it writes out of their
//! slots, reads the others in place, and puts the taken ones back: no unsafe code, no copies.

use bytemuck::{cast_slice, cast_slice_mut};

use super::{BufferId, step_state};

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
    /// Partial sums of weight gradients.
    pub sums: Vec<f32>,
    pub partial: Vec<super::quantise::Partial>,
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

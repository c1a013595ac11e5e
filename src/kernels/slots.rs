//! Host memory of a plan, as the CPU twins see it.
//!
//! Every physical slot is one vector of words. A twin takes the buffers that it writes out of their
//! slots, reads the others in place, and puts the taken ones back: no unsafe code, no copies.

use bytemuck::{cast_slice, cast_slice_mut};

use super::conv::Layouts;
use super::{BufferId, step_state};
use crate::fp8::tally::Summary;

/// All memory of one plan, and scratch that kernels reuse.
#[derive(Debug, Default)]
pub struct Slots {
    data: Vec<Vec<u32>>,
    /// Of every logical buffer.
    place: Vec<Place>,
    /// Whether quantisation gathers everything, or only amax and scale.
    pub full_stats: bool,
    pub(super) scratch: Scratch,
}

/// Scratch vectors that keep their capacity between calls.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Decoded values, panels and partial sums: each op divides it up anew.
    pub words: Vec<u32>,
    /// Of the convolutions.
    pub layouts: Layouts,
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
        let summaries = self.summaries.capacity() * size_of::<Summary>();
        (4 * self.words.capacity() + 8 * self.piece_sums.capacity() + summaries) as u64
    }
}

/// Elements of each scratch vector that an op needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScratchNeed {
    pub(super) words: usize,
    pub(super) summaries: usize,
    pub(super) piece_sums: usize,
}

impl ScratchNeed {
    /// What serves both, one after the other.
    pub fn or(self, other: Self) -> Self {
        Self {
            words: self.words.max(other.words),
            summaries: self.summaries.max(other.summaries),
            piece_sums: self.piece_sums.max(other.piece_sums),
        }
    }

    /// In bytes.
    pub fn bytes(self) -> u64 {
        let summaries = self.summaries * size_of::<Summary>();
        (4 * self.words + 8 * self.piece_sums + summaries) as u64
    }
}

/// Where a logical buffer lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its slot.
    pub slot: usize,
    /// Words from the start of the slot to its first.
    pub offset: usize,
    /// Its length in words.
    pub words: usize,
}

impl Place {
    fn range(self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.words
    }
}

impl From<(usize, usize)> for Place {
    /// A slot and the words of a buffer at its start.
    fn from((slot, words): (usize, usize)) -> Self {
        Self { slot, offset: 0, words }
    }
}

/// A buffer taken out for writing.
#[derive(Debug)]
pub struct Taken {
    place: Place,
    data: Vec<u32>,
}

impl Taken {
    /// Content as words.
    pub fn words(&mut self) -> &mut [u32] {
        &mut self.data[self.place.range()]
    }

    /// Content as f32.
    pub fn f32(&mut self) -> &mut [f32] {
        cast_slice_mut(self.words())
    }
}

impl Slots {
    /// Zeroed memory: the words of each slot, and per buffer its slot and its words.
    pub fn new(slot_words: &[usize], place: Vec<(usize, usize)>) -> Self {
        Self::placed(slot_words, place.into_iter().map(Place::from).collect())
    }

    /// As [`Slots::new`], with buffers anywhere in their slots.
    pub fn placed(slot_words: &[usize], place: Vec<Place>) -> Self {
        let data = slot_words.iter().map(|&n| vec![0; n]).collect();
        Self { data, place, full_stats: true, scratch: Scratch::default() }
    }

    /// Bytes of each slot and of the scratch, as allocated.
    pub fn bytes(&self) -> (Vec<u64>, u64) {
        (self.data.iter().map(|d| 4 * d.capacity() as u64).collect(), self.scratch.bytes())
    }

    /// Content as words.
    pub fn words(&self, id: BufferId) -> &[u32] {
        let place = self.place[id.index()];
        &self.data[place.slot][place.range()]
    }

    /// Content as words, for the host to write.
    pub fn words_mut(&mut self, id: BufferId) -> &mut [u32] {
        let place = self.place[id.index()];
        &mut self.data[place.slot][place.range()]
    }

    /// Content as f32.
    pub fn f32(&self, id: BufferId) -> &[f32] {
        cast_slice(self.words(id))
    }

    /// Takes a buffer out; give it back with [`Slots::put`]. Reading it meanwhile is a fault of the
    /// plan (`plan::memory::check` finds such plans).
    pub fn take(&mut self, id: BufferId) -> Taken {
        let place = self.place[id.index()];
        Taken { place, data: std::mem::take(&mut self.data[place.slot]) }
    }

    /// Puts a taken buffer back.
    pub fn put(&mut self, taken: Taken) {
        self.data[taken.place.slot] = taken.data;
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

//! Small elementwise helpers.

use super::dispatch::{dispatch, groups, read, write};
use super::{Access, BufferId, Dispatch, Slots, parallel};

/// Sets `words` words to `value` (bits).
#[derive(Debug, Clone, Copy)]
pub struct Fill {
    /// Target.
    pub out: BufferId,
    /// Words.
    pub words: u32,
    /// Bits.
    pub value: u32,
}

impl Fill {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        slots.words_mut(self.out)[..self.words as usize].fill(self.value);
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        vec![Access::write(self.out, self.words as usize)]
    }
}

/// `into += from`, f32.
#[derive(Debug, Clone, Copy)]
pub struct Accumulate {
    /// f32 `[len]`, changed in place.
    pub into: BufferId,
    /// f32 `[len]`.
    pub from: BufferId,
    /// Elements.
    pub len: u32,
}

impl Accumulate {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let len = self.len as usize;
        let mut into = slots.take(self.into);
        let from = &slots.f32(self.from)[..len];
        parallel::pieces(&mut into.f32()[..len], |start, piece| {
            for (o, v) in piece.iter_mut().zip(&from[start..]) {
                *o += v;
            }
        });
        slots.put(into);
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let len = self.len as usize;
        vec![Access::update(self.into, len), Access::read(self.from, len)]
    }
}

impl Fill {
    /// Dispatches of `shaders/elementwise.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let params = [self.words, self.value];
        vec![dispatch("elementwise", "fill", &[], &[write(self.out)], &params, groups(self.words))]
    }
}

impl Accumulate {
    /// Dispatches of `shaders/elementwise.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let buffers = [write(self.into), read(self.from)];
        let params = [self.len, 0];
        vec![dispatch("elementwise", "accumulate", &[], &buffers, &params, groups(self.len))]
    }
}

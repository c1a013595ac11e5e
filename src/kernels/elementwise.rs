//! Small elementwise helpers.

use super::dispatch::{dispatch, groups, write};
use super::{Access, BufferId, Dispatch, Slots};

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

impl Fill {
    /// Dispatches of `shaders/elementwise.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let params = [self.words, self.value];
        vec![dispatch("elementwise", "fill", &[], &[write(self.out)], &params, groups(self.words))]
    }
}

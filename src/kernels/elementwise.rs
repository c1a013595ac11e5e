//! Small elementwise helpers.

use super::BufferId;

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

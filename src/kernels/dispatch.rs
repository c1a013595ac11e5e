//! How ops become dispatches: small helpers, and the scratch that an engine lends them.

use super::{BufferId, Dispatch};
use crate::device::shader::{self, LANES};
use crate::fp8::Format;

/// Stands for scratch of [`SCRATCH_WORDS`] words that the engine lends to every op. It holds nothing
/// from one op to the next.
pub const SCRATCH: BufferId = BufferId(u32::MAX);
/// Words of [`SCRATCH`].
pub const SCRATCH_WORDS: usize = 1 << 20;
/// Groups of a reduction whose partial results, two words each, meet in [`SCRATCH`].
pub(super) const MAX_PARTIALS: u32 = 1024;
/// Threads that share one row in the row-wise kernels.
pub(super) const ROW_LANES: u32 = 64;

/// Columns that share a workgroup in sums over many rows.
pub(super) const LANES_PER_PART: u32 = 16;

/// Parts that the rows of a matrix are cut into, so that sums over them keep a GPU busy and
/// `values` sums per column and part fit in [`SCRATCH`].
pub(super) fn parts(rows: u32, cols: u32, values: u32) -> u32 {
    let wanted = MAX_PARTIALS.div_ceil(cols.div_ceil(LANES_PER_PART).max(1));
    let fit = SCRATCH_WORDS as u32 / (cols * values).max(1);
    wanted.min(rows.div_ceil(64)).min(fit).max(1)
}

/// A buffer that a kernel only reads.
pub(super) fn read(id: BufferId) -> (BufferId, bool) {
    (id, false)
}

/// A buffer that a kernel writes.
pub(super) fn write(id: BufferId) -> (BufferId, bool) {
    (id, true)
}

/// Groups of [`LANES`] threads for `len` elements.
pub(super) fn groups(len: u32) -> u32 {
    len.div_ceil(LANES)
}

/// `FORMAT` in the shaders; 0 stands for f32.
pub(super) fn format_code(format: Format) -> u32 {
    match format {
        Format::E4M3 => 1,
        Format::E5M2 => 2,
    }
}

/// One entry point of a shader specialised by `constants`. `LANES` is set unless it is among them.
pub(super) fn dispatch(
    shader: &'static str,
    entry: &'static str,
    constants: &[(&str, u32)],
    buffers: &[(BufferId, bool)],
    params: &[u32],
    groups: u32,
) -> Dispatch {
    let mut constants = constants.to_vec();
    if !constants.iter().any(|(name, _)| *name == "LANES") {
        constants.push(("LANES", LANES));
    }
    Dispatch {
        shader,
        source: shader::source(shader, &constants).into(),
        entry,
        buffers: buffers.to_vec(),
        params: params.to_vec(),
        groups: [groups, 1, 1],
    }
}

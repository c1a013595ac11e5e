//! Dropout by a counter hash, so that backward repeats the mask without storing it.

use super::BufferId;

/// In place: `x[i] = keep(i) ? x[i]/(1−rate) : 0`, `keep` from hash(seed, step, layer, i).
/// The same call on the gradient is the backward pass.
#[derive(Debug, Clone, Copy)]
pub struct Dropout {
    /// f32 `[len]`, changed in place.
    pub x: BufferId,
    /// Elements.
    pub len: u32,
    /// Share dropped.
    pub rate: f32,
    /// Distinguishes layers in the hash.
    pub layer: u32,
    /// Step state.
    pub step: BufferId,
}

//! Optimiser updates. Learning rate and bias corrections come from the step state.

use super::BufferId;

/// AdamW as in PyTorch: `w ← w·(1 − lr·λ)`, moments, then
/// `w ← w − lr·m·c1 / (sqrt(v·c2) + ε)` with c1, c2 the bias corrections; the moments are
/// `m ← β1·m + (1−β1)·g`, `v ← β2·v + (1−β2)·g²` with `1−β` computed in f32.
#[derive(Debug, Clone, Copy)]
pub struct AdamW {
    /// f32, updated.
    pub weight: BufferId,
    /// f32.
    pub gradient: BufferId,
    /// f32, updated.
    pub first: BufferId,
    /// f32, updated.
    pub second: BufferId,
    /// Elements.
    pub len: u32,
    /// β1.
    pub beta1: f32,
    /// β2.
    pub beta2: f32,
    /// ε.
    pub epsilon: f32,
    /// λ; 0 for biases, norms and tables.
    pub weight_decay: f32,
    /// Step state.
    pub step: BufferId,
}

/// SGD with momentum as in PyTorch: `g ← g + λw; v ← μv + g; w ← w − lr·v`.
#[derive(Debug, Clone, Copy)]
pub struct SgdMomentum {
    /// f32, updated.
    pub weight: BufferId,
    /// f32.
    pub gradient: BufferId,
    /// f32, updated.
    pub momentum_buffer: BufferId,
    /// Elements.
    pub len: u32,
    /// μ.
    pub momentum: f32,
    /// λ.
    pub weight_decay: f32,
    /// Step state.
    pub step: BufferId,
}

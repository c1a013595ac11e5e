//! Bias and activation, forward and backward.

use super::BufferId;
use crate::model::Activation;

/// `pre = x + bias` (in place in `x`), `out = f(pre)`. With no activation, `out == x`.
///
/// ReLU is `x <= 0 ? 0 : x`, which keeps NaN so that divergence shows in the loss. GELU is
/// `0.5·x·(1 + tanh(u))`, `u = 0.7978845608·(x + 0.044715·x³)`, `u` clamped to ±15 before tanh.
/// SiLU is `x / (1 + exp(−x))`.
#[derive(Debug, Clone, Copy)]
pub struct BiasActivation {
    /// f32 `[rows, cols]`; becomes the pre-activation.
    pub x: BufferId,
    /// f32 `[cols]`.
    pub bias: BufferId,
    /// f32 `[rows, cols]`; equals `x` when `activation` is `None`.
    pub out: BufferId,
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub cols: u32,
    /// Non-linearity.
    pub activation: Option<Activation>,
}

/// `grad = grad · f'(pre)`, in place.
///
/// ReLU: `pre > 0 ? 1 : 0`. GELU: `0.5·(1+t) + 0.5·x·(1−t²)·0.7978845608·(1 + 0.134145·x²)` with
/// `t = tanh(u)`. SiLU: `s·(1 + x·(1−s))`, `s = 1/(1+exp(−x))`.
#[derive(Debug, Clone, Copy)]
pub struct ActivationBackward {
    /// f32, changed in place.
    pub grad: BufferId,
    /// Pre-activation.
    pub pre: BufferId,
    /// Elements.
    pub len: u32,
    /// Non-linearity.
    pub activation: Activation,
}

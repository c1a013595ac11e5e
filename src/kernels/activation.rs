//! Bias and activation, forward and backward.

use super::BufferId;
use crate::model::Activation;

/// `pre = x + bias` (in place in `x`), `out = f(pre)`. With no activation, `out == x`.
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

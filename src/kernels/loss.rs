//! Losses with their gradients. Rows at or past `step_state::VALID` give zero loss and gradient.

use super::BufferId;

/// Softmax cross-entropy, stable (row maximum subtracted). A target past the last class is read as
/// the last class (engines refuse such batches beforehand).
/// `losses[r] = w[r]·(log Σ exp(x) − x[target])`; `grad = w[r]·(softmax − onehot)·INV_VALID`.
#[derive(Debug, Clone, Copy)]
pub struct SoftmaxCrossEntropy {
    /// f32 `[rows, classes]`.
    pub logits: BufferId,
    /// u32 `[rows]`.
    pub targets: BufferId,
    /// f32 `[rows]`.
    pub weights: BufferId,
    /// f32 `[rows]`.
    pub losses: BufferId,
    /// f32 `[rows, classes]`; `None` in evaluation.
    pub grad: Option<BufferId>,
    /// Rows.
    pub rows: u32,
    /// Classes.
    pub classes: u32,
    /// Step state.
    pub step: BufferId,
}

/// Mean squared error: `losses[r] = w[r]·(y−t)²`; `grad = 2·w[r]·(y−t)·INV_VALID`.
#[derive(Debug, Clone, Copy)]
pub struct MeanSquaredError {
    /// f32 `[rows]`.
    pub outputs: BufferId,
    /// f32 `[rows]`.
    pub targets: BufferId,
    /// f32 `[rows]`.
    pub weights: BufferId,
    /// f32 `[rows]`.
    pub losses: BufferId,
    /// f32 `[rows]`; `None` in evaluation.
    pub grad: Option<BufferId>,
    /// Rows.
    pub rows: u32,
    /// Step state.
    pub step: BufferId,
}

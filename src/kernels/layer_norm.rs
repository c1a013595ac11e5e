//! Layer normalisation over the features of each row, ε 1e-5.

use super::BufferId;

/// `out = (x − mean) · rstd · gain + shift` per row; keeps mean and 1/σ for backward. Two passes:
/// the mean, then `rstd = 1/sqrt(Σ(x − mean)²/cols + 1e-5)` (biased variance).
#[derive(Debug, Clone, Copy)]
pub struct LayerNorm {
    /// f32 `[rows, cols]`.
    pub x: BufferId,
    /// f32 `[cols]`.
    pub gain: BufferId,
    /// f32 `[cols]`.
    pub shift: BufferId,
    /// f32 `[rows, cols]`.
    pub out: BufferId,
    /// f32 `[rows, 2]`: mean, 1/σ.
    pub moments: BufferId,
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub cols: u32,
}

/// Gradients of [`LayerNorm`]. With `h = (x − mean)·rstd` and `g = grad_out·gain` per row:
/// `grad_in = rstd·(g − mean(g) − h·mean(g·h))`, `grad_gain = Σ_r grad_out·h`,
/// `grad_shift = Σ_r grad_out`.
#[derive(Debug, Clone, Copy)]
pub struct LayerNormBackward {
    /// Input of the forward pass.
    pub x: BufferId,
    /// Gain.
    pub gain: BufferId,
    /// Mean and 1/σ of the forward pass.
    pub moments: BufferId,
    /// Gradient of the output, `[rows, cols]`.
    pub grad_out: BufferId,
    /// Gradient of the input, `[rows, cols]`; a different buffer.
    pub grad_in: BufferId,
    /// Gradient of the gain, `[cols]`.
    pub grad_gain: BufferId,
    /// Gradient of the shift, `[cols]`.
    pub grad_shift: BufferId,
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub cols: u32,
}

//! Reductions.

use super::BufferId;

/// `out[c] = Σ_r x[r, c]`, in f32, in any fixed order.
#[derive(Debug, Clone, Copy)]
pub struct ColumnSum {
    /// f32 `[rows, cols]`.
    pub x: BufferId,
    /// f32 `[cols]`.
    pub out: BufferId,
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub cols: u32,
}

/// `out[0] = Σ x`.
#[derive(Debug, Clone, Copy)]
pub struct Sum {
    /// f32 `[len]`.
    pub x: BufferId,
    /// f32 `[1]`.
    pub out: BufferId,
    /// Elements.
    pub len: u32,
}

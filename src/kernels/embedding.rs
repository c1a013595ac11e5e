//! Category look-up. One call copies one input: the dense numbers or one table's rows.

use super::BufferId;

/// `out[r, offset..offset+dim] = table[categories[r, column], ..]`. Indices past the table are
/// read as row 0, the "unknown" row. With `table: None` it copies `dense[r, 0..dim]`.
#[derive(Debug, Clone, Copy)]
pub struct Embed {
    /// f32 `[cardinality, dim]`, or `None` to copy the dense inputs.
    pub table: Option<BufferId>,
    /// u32 `[rows, columns]`, or the dense f32 `[rows, dim]` when `table` is `None`.
    pub source: BufferId,
    /// Column of `source` used.
    pub column: u32,
    /// Columns of `source`.
    pub columns: u32,
    /// Rows of the table.
    pub cardinality: u32,
    /// Width copied.
    pub dim: u32,
    /// f32 `[rows, width]`.
    pub out: BufferId,
    /// First column written.
    pub offset: u32,
    /// Row width of `out`.
    pub width: u32,
    /// Rows.
    pub rows: u32,
}

/// `grad_table[v, d] = Σ_{r: categories[r] = v} grad[r, offset+d]`; summed in row order, so the
/// result is deterministic.
#[derive(Debug, Clone, Copy)]
pub struct EmbedBackward {
    /// u32 `[rows, columns]`.
    pub categories: BufferId,
    /// Column used.
    pub column: u32,
    /// Columns.
    pub columns: u32,
    /// f32 `[rows, width]`.
    pub grad: BufferId,
    /// First column read.
    pub offset: u32,
    /// Row width of `grad`.
    pub width: u32,
    /// f32 `[cardinality, dim]`, overwritten.
    pub grad_table: BufferId,
    /// Table rows.
    pub cardinality: u32,
    /// Table width.
    pub dim: u32,
    /// Rows.
    pub rows: u32,
}

//! Matrix product with f32 or packed FP8 operands and f32 accumulation.

use super::BufferId;
use crate::fp8::Format;

/// How an operand is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// f32, row-major, no padding.
    F32,
    /// Packed FP8 with i32 scale exponents per block, as `Quantise` writes it: row `r` starts at
    /// word `r * ceil(cols/4)`, and the exponent of (r, c) is at
    /// `(r / block_rows) * ceil(cols / block_cols) + c / block_cols`.
    Fp8 {
        /// Code format.
        format: Format,
        /// Exponents.
        scales: BufferId,
        /// Rows of a block.
        block_rows: u32,
        /// Columns of a block.
        block_cols: u32,
    },
}

/// One operand: a stored matrix `[rows, cols]`, used as it is or transposed.
#[derive(Debug, Clone, Copy)]
pub struct Operand {
    /// Data.
    pub buffer: BufferId,
    /// Storage.
    pub storage: Storage,
    /// Stored rows.
    pub rows: u32,
    /// Stored columns.
    pub cols: u32,
    /// Use the transpose (done in the kernel's loader; no second copy exists).
    pub transpose: bool,
}

/// `out[m, n] = A[m, k] · B[k, n]`, f32 out, every element overwritten.
///
/// For `Y = X Wᵀ` with W `[out, in]`: A = X, B = W transposed; dgrad: A = dY, B = W;
/// wgrad `[out, in]`: A = dY transposed, B = X.
#[derive(Debug, Clone, Copy)]
pub struct Gemm {
    /// Left operand, `[m, k]` after its transpose flag.
    pub a: Operand,
    /// Right operand, `[k, n]` after its transpose flag.
    pub b: Operand,
    /// f32 `[m, n]`.
    pub out: BufferId,
    /// Rows of the result.
    pub m: u32,
    /// Columns of the result.
    pub n: u32,
    /// Inner size; 0 gives zeros.
    pub k: u32,
}

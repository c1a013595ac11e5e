//! The two FP8 formats and their codec (E4M3 "fn" and E5M2, OCP 8-bit floating point).

use serde::{Deserialize, Serialize};

/// An 8-bit floating-point format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// 4 exponent bits, 3 mantissa bits, bias 7, max 448, no infinity, NaN 0x7F and 0xFF.
    E4M3,
    /// 5 exponent bits, 2 mantissa bits, bias 15, max 57344, infinities and NaNs.
    E5M2,
}

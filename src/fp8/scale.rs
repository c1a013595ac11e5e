//! Power-of-two scales (E8M0), chosen from exponent bits alone so that every executor picks the
//! same one.

use serde::{Deserialize, Serialize};

/// A power-of-two scale, 2^exponent. `exponent` lies in -126..=126 so that both the scale and its
/// inverse are normal f32 numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Scale {
    /// Power of two.
    pub exponent: i32,
}

//! Power-of-two scales (E8M0), chosen from exponent bits alone so that every executor picks the
//! same one.

use serde::{Deserialize, Serialize};

/// A power-of-two scale, 2^exponent.
///
/// Chosen from amax by integer arithmetic on its bits, rounded up so that amax never saturates:
/// `a = max(amax bits, bits of 1e-12f32)`; the format's maximum is 1.75·2^E (E = 8 for E4M3, 15 for
/// E5M2); `exponent = (a >> 23) - 127 - E + (a & 0x7fffff > 0x600000 ? 1 : 0) + margin`, clamped to
/// -126..=126.
///
/// `exponent` lies in -126..=126 so that both the scale and its
/// inverse are normal f32 numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Scale {
    /// Power of two.
    pub exponent: i32,
}

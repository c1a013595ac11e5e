//! Power-of-two scales (E8M0), chosen from exponent bits alone so that every executor picks the
//! same one.

use serde::{Deserialize, Serialize};

use super::Format;

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

/// Bits of 1e-12f32, the floor under every amax.
const AMAX_FLOOR: u32 = 1e-12f32.to_bits();
/// Smallest and largest exponent of a scale.
const LIMIT: i32 = 126;

impl Scale {
    /// The scale 1.
    pub const ONE: Self = Self { exponent: 0 };

    /// The smallest power of two for which `amax` (bits of a finite, non-negative f32) does not
    /// exceed the format's maximum, times 2^margin.
    pub fn from_amax_bits(amax: u32, format: Format, margin: u32) -> Self {
        let a = amax.clamp(AMAX_FLOOR, f32::MAX.to_bits());
        let round_up = i32::from(a & 0x007f_ffff > 0x0060_0000);
        let margin = margin.min(2 * LIMIT as u32) as i32;
        let exponent = (a >> 23) as i32 - 127 - format.max_exponent() + round_up + margin;
        Self { exponent: exponent.clamp(-LIMIT, LIMIT) }
    }

    /// 2^exponent.
    pub fn value(self) -> f32 {
        f32::from_bits(((self.exponent.clamp(-LIMIT, LIMIT) + 127) as u32) << 23)
    }

    /// 2^-exponent.
    pub fn inverse(self) -> f32 {
        Self { exponent: -self.exponent }.value()
    }

    /// As an E8M0 byte: exponent + 127.
    pub fn to_e8m0(self) -> u8 {
        (self.exponent.clamp(-LIMIT, LIMIT) + 127) as u8
    }

    /// From an E8M0 byte; `None` for bytes outside 1..=253, which this program never writes.
    pub fn from_e8m0(byte: u8) -> Option<Self> {
        let exponent = i32::from(byte) - 127;
        (-LIMIT..=LIMIT).contains(&exponent).then_some(Self { exponent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_is_the_smallest_power_of_two_that_fits() {
        for format in Format::ALL {
            for bits in (AMAX_FLOOR..0x7f80_0000).step_by(9973) {
                let amax = f64::from(f32::from_bits(bits));
                let scale = Scale::from_amax_bits(bits, format, 0);
                let limit = f64::from(format.max()) * 2f64.powi(scale.exponent);
                assert!(amax <= limit && amax > limit / 2.0, "{format:?} {amax:e} {scale:?}");
                assert!(!format.saturates(bits, scale.exponent));
                assert!(format.saturates(bits, scale.exponent - 1));
            }
        }
    }

    #[test]
    fn edges() {
        let at = |x: f32, f| Scale::from_amax_bits(x.to_bits(), f, 0).exponent;
        assert_eq!(at(448.0, Format::E4M3), 0);
        assert_eq!(at(f32::from_bits(448f32.to_bits() + 1), Format::E4M3), 1);
        assert_eq!(at(57344.0, Format::E5M2), 0);
        assert_eq!(at(0.0, Format::E4M3), at(1e-12, Format::E4M3));
        assert_eq!(at(1e-12, Format::E5M2), -55);
        assert_eq!(at(f32::INFINITY, Format::E4M3), at(f32::MAX, Format::E4M3));
        assert_eq!(Scale::from_amax_bits(448f32.to_bits(), Format::E4M3, 3).exponent, 3);
        assert_eq!(Scale::from_amax_bits(f32::MAX.to_bits(), Format::E4M3, u32::MAX).exponent, 126);
    }

    #[test]
    fn e8m0_round_trip() {
        for byte in 0..=255u8 {
            match Scale::from_e8m0(byte) {
                Some(s) => {
                    assert_eq!(s.to_e8m0(), byte);
                    assert_eq!(s.value() * s.inverse(), 1.0);
                    assert_eq!(f64::from(s.value()), 2f64.powi(s.exponent));
                }
                None => assert!(byte == 0 || byte >= 254),
            }
        }
    }
}

//! The values that a format can hold, looked at one by one.

use super::Format;

/// The parts of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields {
    /// Whether it is negative.
    pub negative: bool,
    /// Exponent field, without the bias taken off.
    pub exponent: u32,
    /// Mantissa field, without the hidden bit.
    pub mantissa: u32,
}

impl Format {
    /// Bits of the exponent field.
    pub const fn exponent_bits(self) -> u32 {
        7 - self.mantissa_bits()
    }

    /// What is taken off the exponent field: 7 or 15.
    pub const fn bias(self) -> i32 {
        (1 << (self.exponent_bits() - 1)) - 1
    }

    /// The parts of a code.
    pub const fn fields(self, code: u8) -> Fields {
        let m = self.mantissa_bits();
        Fields {
            negative: code & 0x80 != 0,
            exponent: (code as u32 & 0x7f) >> m,
            mantissa: code as u32 & ((1 << m) - 1),
        }
    }

    /// Every finite value that is not negative, ascending.
    pub fn magnitudes(self) -> impl Iterator<Item = f32> {
        (0..=self.max_code()).map(move |code| self.decode(code))
    }

    /// The nearest values at or below and at or above `x`. Both are the largest where `x` is beyond
    /// it, and both are `x` where it is held exactly. NaN has none.
    pub fn neighbours(self, x: f64) -> Option<(f32, f32)> {
        if x.is_nan() {
            return None;
        }
        let a = x.abs();
        let (mut low, mut high) = (0.0_f32, self.max());
        for value in self.magnitudes() {
            if f64::from(value) <= a {
                low = value;
            } else {
                high = value;
                break;
            }
        }
        if f64::from(low) == a || a > f64::from(self.max()) {
            high = low;
        }
        Some(if x < 0.0 { (-high, -low) } else { (low, high) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_make_the_value() {
        for format in Format::ALL {
            for code in 0..=format.max_code() {
                let f = format.fields(code);
                let one = f64::from(1u32 << format.mantissa_bits());
                let value = match f.exponent {
                    0 => f64::from(f.mantissa) / one * 2f64.powi(1 - format.bias()),
                    e => (1.0 + f64::from(f.mantissa) / one) * 2f64.powi(e as i32 - format.bias()),
                };
                assert_eq!(f64::from(format.decode(code)), value, "{format:?} {code:#x}");
                assert!(format.fields(code | 0x80).negative && !f.negative);
            }
        }
        assert_eq!((Format::E4M3.bias(), Format::E5M2.bias()), (7, 15));
    }

    #[test]
    fn rounding_chooses_one_of_the_neighbours() {
        for format in Format::ALL {
            for i in -3000..3000 {
                let x = f64::from(i) * 0.37;
                let (low, high) = format.neighbours(x).unwrap();
                let chosen = format.decode(format.encode(x as f32));
                assert!(chosen == low || chosen == high, "{format:?} {x}: {low} {chosen} {high}");
                if x.abs() <= f64::from(format.max()) {
                    assert!(f64::from(low) <= x && x <= f64::from(high), "{format:?} {x}");
                    let other = if chosen == low { high } else { low };
                    let far = |v: f32| (f64::from(v) - x).abs();
                    assert!(far(chosen) <= far(other), "{format:?} {x}");
                }
            }
            assert_eq!(format.neighbours(1e9), Some((format.max(), format.max())));
            assert_eq!(format.neighbours(-1.5), Some((-1.5, -1.5)));
            assert_eq!(format.neighbours(f64::NAN), None);
        }
    }
}

//! Matrix product of 8-bit (or bf16) operands on processors with bf16 dot products (AVX-512 BF16).
//!
//! Every FP8 value is exact in bf16 and stays so under a power-of-two scale, so operands are decoded
//! straight into bf16 panels and multiplied by `VDPBF16PS`: exact products, f32 accumulation, half
//! the memory of f32 panels. Results differ from the f32 product only in the order of the sums (and
//! `VDPBF16PS` flushes subnormal f32 sums to zero). [`available`] says whether this processor has
//! the instructions; [`Matrix::exact`] whether the scales leave room in bf16's exponent.

use crate::fp8::Format;

#[cfg(target_arch = "x86_64")]
mod decode;
#[cfg(target_arch = "x86_64")]
mod micro;
#[cfg(target_arch = "x86_64")]
mod pack;
#[cfg(target_arch = "x86_64")]
mod product;

#[cfg(target_arch = "x86_64")]
pub use product::product;

/// Stored elements of a matrix.
#[derive(Debug, Clone, Copy)]
pub enum Codes<'a> {
    /// One byte an element. `exponents` holds one power of two per block of
    /// `block_rows × block_cols`, row-major.
    Fp8 {
        /// Codes; row `r` starts at `r * stride`.
        bytes: &'a [u8],
        /// Code format.
        format: Format,
        /// Scale exponents, as `i32` bits.
        exponents: &'a [u32],
        /// Rows of a block.
        block_rows: usize,
        /// Columns of a block.
        block_cols: usize,
    },
    /// bf16 bits; row `r` starts at element `r * stride`.
    Bf16(&'a [u16]),
}

/// A stored matrix `[rows, cols]`, used as it is or transposed.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    /// Elements.
    pub codes: Codes<'a>,
    /// Elements from one stored row to the next.
    pub stride: usize,
    /// Stored rows.
    pub rows: usize,
    /// Stored columns.
    pub cols: usize,
    /// Use the transpose.
    pub transpose: bool,
}

/// Scale exponents whose products with every code are normal bf16 numbers.
const EXACT_EXPONENTS: std::ops::RangeInclusive<i32> = -100..=100;

impl Matrix<'_> {
    /// Whether decoding to bf16 with the scale applied is exact.
    pub fn exact(&self) -> bool {
        match self.codes {
            Codes::Fp8 { exponents, .. } => {
                exponents.iter().all(|&e| EXACT_EXPONENTS.contains(&(e as i32)))
            }
            Codes::Bf16(_) => true,
        }
    }

    /// Whether the stored slices hold every element and scale.
    fn complete(&self) -> bool {
        if self.rows == 0 || self.cols == 0 {
            return true;
        }
        let last = (self.rows - 1) * self.stride + self.cols;
        match self.codes {
            Codes::Fp8 { bytes, exponents, block_rows, block_cols, .. } => {
                bytes.len() >= last
                    && block_rows > 0
                    && block_cols > 0
                    && exponents.len()
                        >= self.rows.div_ceil(block_rows) * self.cols.div_ceil(block_cols)
            }
            Codes::Bf16(values) => values.len() >= last,
        }
    }
}

/// Words of panels that [`product`] needs for `n` columns and inner size `k`.
pub fn panel_words(n: usize, k: usize) -> usize {
    let panel = PANEL * k.div_ceil(2);
    stripe(panel).min(n.div_ceil(PANEL)) * panel
}

/// Words of panels that are packed at a time, so that they stay in a core's last cache.
const STRIPE_WORDS: usize = 1 << 18;

/// Panels of `panel` words that are packed at a time.
fn stripe(panel: usize) -> usize {
    (STRIPE_WORDS / panel.max(1)).max(1)
}

/// Columns of a panel of the right operand.
const PANEL: usize = 32;

/// Whether this processor can run [`product`].
#[cfg(target_arch = "x86_64")]
pub fn available() -> bool {
    std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512vl")
        && std::arch::is_x86_feature_detected!("avx512bf16")
}

/// Whether this processor can run [`product`].
#[cfg(not(target_arch = "x86_64"))]
pub fn available() -> bool {
    false
}

/// Never called: [`available`] is false here.
#[cfg(not(target_arch = "x86_64"))]
pub fn product(
    _: [usize; 3],
    _: &Matrix<'_>,
    _: &Matrix<'_>,
    _: &mut [f32],
    _: bool,
    _: &mut Vec<u32>,
) {
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::fp8::hash;

    struct Stored {
        bytes: Vec<u8>,
        values: Vec<u16>,
        exponents: Vec<u32>,
        matrix: (usize, usize, usize, Format, (usize, usize), bool, bool),
    }

    /// Every finite code appears; scales differ from block to block.
    fn stored(
        (rows, cols): (usize, usize),
        transpose: bool,
        format: Format,
        block: (usize, usize),
        bf16: bool,
    ) -> Stored {
        let stride = cols.next_multiple_of(4);
        let finite = |code: u8| format.decode(code).is_finite();
        let bytes: Vec<u8> = (0..rows * stride)
            .map(|i| hash::bits(hash::key(7, 1, rows as u32), i as u32) as u8)
            .map(|code| if finite(code) { code } else { 0x80 })
            .collect();
        let values = bytes.iter().map(|&c| half::bf16::from_f32(format.decode(c)).to_bits());
        let count = rows.div_ceil(block.0) * cols.div_ceil(block.1);
        let exponents = (0..count).map(|i| (i as i32 % 9 - 20) as u32).collect();
        let values = values.collect();
        let matrix = (rows, cols, stride, format, block, transpose, bf16);
        Stored { bytes, values, exponents, matrix }
    }

    impl Stored {
        fn matrix(&self) -> Matrix<'_> {
            let (rows, cols, stride, format, (block_rows, block_cols), transpose, bf16) =
                self.matrix;
            let codes = if bf16 {
                Codes::Bf16(&self.values)
            } else {
                let (bytes, exponents) = (&self.bytes[..], &self.exponents[..]);
                Codes::Fp8 { bytes, format, exponents, block_rows, block_cols }
            };
            Matrix { codes, stride, rows, cols, transpose }
        }

        fn value(&self, row: usize, col: usize) -> f64 {
            let (_, cols, stride, format, block, transpose, bf16) = self.matrix;
            let (r, c) = if transpose { (col, row) } else { (row, col) };
            let value = f64::from(format.decode(self.bytes[r * stride + c]));
            let scale = self.exponents[r / block.0 * cols.div_ceil(block.1) + c / block.1] as i32;
            if bf16 { value } else { value * f64::from(scale).exp2() }
        }
    }

    /// Largest error relative to Σ|a·b|, the unit in which rounding errors of a sum are measured.
    fn worst([m, n, k]: [usize; 3], a: &Stored, b: &Stored, out: &[f32], start: f64) -> f64 {
        let mut worst = 0.0f64;
        for i in 0..m {
            for j in 0..n {
                let products = (0..k).map(|p| a.value(i, p) * b.value(p, j));
                let (sum, size) =
                    products.fold((start, start.abs()), |(sum, size), p| (sum + p, size + p.abs()));
                let error = (f64::from(out[i * n + j]) - sum).abs();
                worst = worst.max(error / size.max(f64::MIN_POSITIVE));
            }
        }
        worst
    }

    #[test]
    fn agrees_with_f64_for_every_shape_form_and_block() {
        if !available() {
            return;
        }
        // Pairwise sums of exact products: the error is a few units in the last place of f32.
        const TOLERANCE: f64 = 2e-6;
        for [m, n, k] in [
            [1, 1, 1],
            [0, 3, 2],
            [3, 2, 0],
            [5, 7, 3],
            [12, 32, 32],
            [13, 33, 31],
            [47, 31, 65],
            [49, 65, 64],
            [97, 10, 257],
            [10, 130, 300],
            // More panels than are packed at a time.
            [2, 33, 8200],
        ] {
            for form in 0..4 {
                for block in [(1000, 1000), (1, 1000), (1, 128), (128, 128), (1, 32), (1, 20)] {
                    for bf16 in [false, true] {
                        let (ta, tb) = (form & 1 == 1, form & 2 == 2);
                        let shape = |t: bool, r: usize, c: usize| if t { (c, r) } else { (r, c) };
                        let a = stored(shape(ta, m, k), ta, Format::E5M2, block, bf16);
                        let b = stored(shape(tb, k, n), tb, Format::E4M3, block, bf16);
                        let (mut out, mut panels) = (vec![2.0; m * n], Vec::new());
                        let size = [m, n, k];
                        product(size, &a.matrix(), &b.matrix(), &mut out, false, &mut panels);
                        let error = worst(size, &a, &b, &out, 0.0);
                        assert!(error < TOLERANCE, "{size:?} {form} {block:?} {bf16}: {error}");
                        if m * n * k > 0 {
                            out[0] += out[0].abs().max(1e-30) * 0.01 + 1.0;
                            assert!(worst(size, &a, &b, &out, 0.0) > TOLERANCE, "planted");
                        }
                        let mut out = vec![0.5; m * n];
                        product(size, &a.matrix(), &b.matrix(), &mut out, true, &mut panels);
                        let error = worst(size, &a, &b, &out, 0.5);
                        assert!(error < TOLERANCE, "accumulated {size:?} {form}: {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn special_codes_reach_the_result() {
        if !available() {
            return;
        }
        let (exponents, ones) = ([0u32], [0x38u8, 0x38, 0x38, 0x38]);
        for (format, code, nan) in [
            (Format::E4M3, 0x7f, true),
            (Format::E5M2, 0xff, true),
            (Format::E5M2, 0x7c, false),
            (Format::E5M2, 0xfc, false),
        ] {
            let bytes = [0, code, 0, 0];
            let matrix = |bytes, format, transpose| Matrix {
                codes: Codes::Fp8 {
                    bytes,
                    format,
                    exponents: &exponents,
                    block_rows: 1,
                    block_cols: 3,
                },
                stride: 4,
                rows: 1,
                cols: 3,
                transpose,
            };
            let (a, b) = (matrix(&bytes, format, false), matrix(&ones, Format::E4M3, true));
            let mut out = [0.0];
            product([1, 1, 3], &a, &b, &mut out, false, &mut Vec::new());
            assert!(if nan { out[0].is_nan() } else { out[0].is_infinite() }, "{format:?} {code}");
        }
    }

    #[test]
    fn wide_scales_are_left_to_the_f32_product() {
        let exponents = [0, 101u32];
        let codes = Codes::Fp8 {
            bytes: &[0; 8],
            format: Format::E4M3,
            exponents: &exponents,
            block_rows: 1,
            block_cols: 4,
        };
        assert!(!Matrix { codes, stride: 4, rows: 2, cols: 4, transpose: false }.exact());
    }
}

//! FP8 codes to bf16, 32 at a time.

use std::arch::x86_64::*;

use super::{Codes, Matrix};
use crate::fp8::Format;

/// Elements decoded at once.
pub(super) const LANES: usize = 32;

/// Decodes runs of one stored matrix.
#[derive(Clone, Copy)]
pub(super) struct Decoder<'a> {
    matrix: Matrix<'a>,
    /// bf16 of the subnormal codes, by their low bits.
    subnormal: __m512i,
    blocks_per_row: usize,
}

impl<'a> Decoder<'a> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    pub(super) fn new(matrix: &Matrix<'a>) -> Self {
        let mut table = [0u16; LANES];
        let mut blocks_per_row = 0;
        if let Codes::Fp8 { format, block_cols, .. } = matrix.codes {
            let count = if format == Format::E4M3 { 8 } else { 4 };
            for (code, entry) in table.iter_mut().enumerate().take(count) {
                *entry = (format.decode(code as u8).to_bits() >> 16) as u16;
            }
            blocks_per_row = matrix.cols.div_ceil(block_cols);
        }
        // SAFETY: the table is 64 bytes long; the load needs no alignment.
        let subnormal = unsafe { _mm512_loadu_si512(table.as_ptr().cast()) };
        Self { matrix: *matrix, subnormal, blocks_per_row }
    }

    /// Whether the transpose is wanted.
    pub(super) fn transpose(&self) -> bool {
        self.matrix.transpose
    }

    /// 32 values of stored row `row` from column `col`; zeros outside the matrix.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    pub(super) fn at(&self, row: usize, col: usize) -> __m512i {
        let m = &self.matrix;
        if row >= m.rows || col >= m.cols {
            return _mm512_setzero_si512();
        }
        let count = (m.cols - col).min(LANES);
        let mask = u32::MAX >> (LANES - count);
        let start = row * m.stride + col;
        match m.codes {
            Codes::Bf16(values) => {
                let run = &values[start..start + count];
                // SAFETY: the mask keeps the load inside `run`.
                unsafe { _mm512_maskz_loadu_epi16(mask, run.as_ptr().cast()) }
            }
            Codes::Fp8 { bytes, format, exponents, block_rows, block_cols } => {
                let run = &bytes[start..start + count];
                // SAFETY: the mask keeps the load inside `run`.
                let codes = unsafe { _mm256_maskz_loadu_epi8(mask, run.as_ptr().cast()) };
                let scales = &exponents[row / block_rows * self.blocks_per_row..];
                let (first, last) = (col / block_cols, (col + count - 1) / block_cols);
                let mut out = self.decode(format, codes, scales[first] as i32);
                for (block, &exponent) in scales.iter().enumerate().take(last + 1).skip(first + 1) {
                    let from = block * block_cols - col;
                    let later = self.decode(format, codes, exponent as i32);
                    out = _mm512_mask_mov_epi16(out, u32::MAX << from, later);
                }
                out
            }
        }
    }

    /// bf16 of 32 codes times 2^`exponent`. NaN stays NaN, infinities stay infinite.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn decode(&self, format: Format, codes: __m256i, exponent: i32) -> __m512i {
        let code = _mm512_cvtepu8_epi16(codes);
        let magnitude = _mm512_and_si512(code, _mm512_set1_epi16(0x7f));
        let sign = _mm512_slli_epi16::<8>(_mm512_sub_epi16(code, magnitude));
        // Normal codes: move the fields into place and rebias the exponent (127 − 7, 127 − 15).
        let (normal, subnormals, special, special_value) = match format {
            Format::E4M3 => (
                _mm512_add_epi16(_mm512_slli_epi16::<4>(magnitude), _mm512_set1_epi16(120 << 7)),
                8,
                _mm512_cmpeq_epu16_mask(magnitude, _mm512_set1_epi16(0x7f)),
                _mm512_set1_epi16(0x7fc0),
            ),
            Format::E5M2 => {
                let field = _mm512_slli_epi16::<5>(magnitude);
                (
                    _mm512_add_epi16(field, _mm512_set1_epi16(112 << 7)),
                    4,
                    _mm512_cmpge_epu16_mask(magnitude, _mm512_set1_epi16(0x7c)),
                    _mm512_or_si512(field, _mm512_set1_epi16(0x7f80)),
                )
            }
        };
        let small = _mm512_cmplt_epu16_mask(magnitude, _mm512_set1_epi16(subnormals));
        let value = _mm512_mask_permutexvar_epi16(normal, small, magnitude, self.subnormal);
        let nonzero = _mm512_test_epi16_mask(magnitude, magnitude);
        let shift = _mm512_set1_epi16((exponent << 7) as i16);
        let value = _mm512_mask_add_epi16(value, nonzero, value, shift);
        let value = _mm512_mask_mov_epi16(value, special, special_value);
        _mm512_or_si512(value, sign)
    }
}

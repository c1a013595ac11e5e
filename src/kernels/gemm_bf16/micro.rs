//! The inner loop: 12 rows by 32 columns of the result stay in registers.

use std::arch::x86_64::*;

use super::PANEL;

/// Rows of the result held in registers (24 accumulators of 32 registers).
pub(super) const ROWS: usize = 12;

/// Where a tile of the result goes.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    /// First element.
    pub out: *mut f32,
    /// Elements from one row to the next.
    pub stride: usize,
    /// Rows written, 1..=12.
    pub rows: usize,
    /// Columns written, 1..=32.
    pub cols: usize,
    /// Add to what is there.
    pub accumulate: bool,
}

/// `tile = A · B` over `pairs` inner pairs.
///
/// # Safety
/// `a[r * row_stride + p * pair_stride]` for r < 12, p < pairs and `b[p * 32 ..][..32]` must be
/// readable, and every element of the tile writable and not otherwise in use.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(super) unsafe fn tile(
    pairs: usize,
    a: *const u32,
    (row_stride, pair_stride): (usize, usize),
    b: *const u32,
    tile: Tile,
) {
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    let (mut ap, mut bp) = (a, b);
    for _ in 0..pairs {
        // SAFETY: the caller promises that these words are readable.
        unsafe {
            let b0 = bf16(_mm512_loadu_si512(bp.cast()));
            let b1 = bf16(_mm512_loadu_si512(bp.add(16).cast()));
            for (r, sum) in sums.iter_mut().enumerate() {
                let pair = bf16(_mm512_set1_epi32(*ap.add(r * row_stride) as i32));
                sum[0] = _mm512_dpbf16_ps(sum[0], pair, b0);
                sum[1] = _mm512_dpbf16_ps(sum[1], pair, b1);
            }
            ap = ap.add(pair_stride);
            bp = bp.add(PANEL);
        }
    }
    let columns = u32::MAX >> (PANEL - tile.cols);
    let masks = [columns as u16, (columns >> 16) as u16];
    for (r, sum) in sums.iter().enumerate().take(tile.rows) {
        for (half, (&mask, &value)) in masks.iter().zip(sum).enumerate() {
            if mask == 0 {
                continue;
            }
            // SAFETY: the mask keeps to the columns of the tile, which the caller promises are
            // writable.
            unsafe {
                let out = tile.out.add(r * tile.stride + 16 * half);
                let value = if tile.accumulate {
                    _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, out))
                } else {
                    value
                };
                _mm512_mask_storeu_ps(out, mask, value);
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn bf16(words: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes of plain bits.
    unsafe { std::mem::transmute(words) }
}

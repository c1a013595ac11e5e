//! Panels for the microkernel. The unit is a pair of bf16 values of neighbouring inner indices, one
//! 32-bit word, as `VDPBF16PS` wants them.

use std::arch::x86_64::*;

use super::PANEL;
use super::decode::{Decoder, LANES};

/// Words of one row of A, padded so that rows do not fall on the same cache sets.
pub(super) fn row_words(pairs: usize) -> usize {
    pairs.next_multiple_of(16) + 16
}

/// Packs columns `n0..n0 + 32` of B as `[pairs][32]` words; zeros beyond the matrix.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) fn panel(b: &Decoder<'_>, n0: usize, pairs: usize, out: &mut [u32]) {
    if b.transpose() {
        // Stored [n, k]: pairs lie along stored rows; 16 × 16 words are transposed in registers.
        for (block, rows) in out.chunks_mut(16 * PANEL).enumerate() {
            for half in [0, 16] {
                let mut words = [_mm512_setzero_si512(); 16];
                for (i, w) in words.iter_mut().enumerate() {
                    *w = b.at(n0 + half + i, block * LANES);
                }
                transpose(&mut words);
                for (row, w) in rows.chunks_exact_mut(PANEL).zip(words) {
                    store(&mut row[half..half + 16], w);
                }
            }
        }
    } else {
        let order = interleave();
        for (p, row) in out.chunks_exact_mut(PANEL).enumerate().take(pairs) {
            store_pairs(row, order, b.at(2 * p, n0), b.at(2 * p + 1, n0));
        }
    }
}

/// Packs rows `m0..m0 + rows` of A and returns the strides in words of a row and of a pair.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) fn rows(
    a: &Decoder<'_>,
    m0: usize,
    rows: usize,
    pairs: usize,
    out: &mut [u32],
) -> (usize, usize) {
    if a.transpose() {
        // Stored [k, m]: pairs join two stored rows.
        let width = rows.next_multiple_of(LANES);
        let order = interleave();
        for (p, line) in out.chunks_exact_mut(width).enumerate().take(pairs) {
            for (i, piece) in line.chunks_exact_mut(LANES).enumerate() {
                let col = m0 + i * LANES;
                store_pairs(piece, order, a.at(2 * p, col), a.at(2 * p + 1, col));
            }
        }
        (1, width)
    } else {
        let stride = row_words(pairs);
        for (r, line) in out.chunks_exact_mut(stride).enumerate().take(rows) {
            for (i, piece) in line.chunks_exact_mut(16).enumerate().take(pairs.div_ceil(16)) {
                store(piece, a.at(m0 + r, i * LANES));
            }
        }
        (stride, 1)
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(out: &mut [u32], words: __m512i) {
    assert!(out.len() == 16);
    // SAFETY: 16 words are 64 bytes; the store needs no alignment.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), words) }
}

/// Index vectors that interleave two vectors of 32 bf16 into 32 pairs.
#[inline]
#[target_feature(enable = "avx512f")]
fn interleave() -> [__m512i; 2] {
    [0u16, 16].map(|base| {
        let mut order = [0u16; LANES];
        for (i, pair) in order.chunks_exact_mut(2).enumerate() {
            pair[0] = base + i as u16;
            pair[1] = base + i as u16 + LANES as u16;
        }
        // SAFETY: 64 bytes; the load needs no alignment.
        unsafe { _mm512_loadu_si512(order.as_ptr().cast()) }
    })
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn store_pairs(out: &mut [u32], order: [__m512i; 2], even: __m512i, odd: __m512i) {
    let (low, high) = out.split_at_mut(16);
    store(low, _mm512_permutex2var_epi16(even, order[0], odd));
    store(high, _mm512_permutex2var_epi16(even, order[1], odd));
}

/// Transposes 16 × 16 words.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(r: &mut [__m512i; 16]) {
    let mut t = *r;
    for i in 0..8 {
        t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    for i in 0..4 {
        r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    for half in [0, 8] {
        for i in half..half + 4 {
            t[i] = _mm512_shuffle_i32x4::<0x88>(r[i], r[i + 4]);
            t[i + 4] = _mm512_shuffle_i32x4::<0xdd>(r[i], r[i + 4]);
        }
    }
    for i in 0..4 {
        r[i] = _mm512_shuffle_i32x4::<0x88>(t[i], t[i + 8]);
        r[i + 8] = _mm512_shuffle_i32x4::<0xdd>(t[i], t[i + 8]);
        r[i + 4] = _mm512_shuffle_i32x4::<0x88>(t[i + 4], t[i + 12]);
        r[i + 12] = _mm512_shuffle_i32x4::<0xdd>(t[i + 4], t[i + 12]);
    }
}

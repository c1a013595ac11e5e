//! What happens to a finished tile: scale, bias, pooling, non-linearity, and what is kept of them.

use super::super::activation::value;
use super::super::simd::widest;
use super::tile::{MAX_WIDTH, Tile};
use crate::model::Activation;

/// The part of a [`super::Kept`] buffer that belongs to a piece.
pub(super) enum KeptPart<'a> {
    Nothing,
    Pre(&'a mut [f32]),
    /// Bytes of the sign words.
    Signs(&'a mut [u8]),
    Winners(&'a mut [u8]),
}

/// Writes tiles to a piece of the result.
pub(super) struct Finish<'a> {
    /// `[pixels, channels]`.
    pub out: &'a mut [f32],
    pub kept: KeptPart<'a>,
    pub channels: usize,
    /// Both are multiplied in, one after the other.
    pub scales: [f32; 2],
    pub bias: Option<&'a [f32]>,
    pub activation: Option<Activation>,
    pub pool: bool,
}

impl Finish<'_> {
    /// Writes `pixels.len()` rows of the tile (with pooling a quarter as many pixels).
    pub fn tile(&mut self, tile: &Tile, pixels: &[u32], column: usize, columns: usize) {
        let mut bias = [0f32; MAX_WIDTH];
        if let Some(all) = self.bias {
            bias[..columns].copy_from_slice(&all[column..column + columns]);
        }
        if self.pool {
            pooled(self, tile, pixels, &bias, (column, columns));
        } else {
            plain(self, tile, pixels, &bias, (column, columns));
        }
    }
}

/// Copies the first values; a whole tile's row in one piece.
#[inline(always)]
fn store<T: Copy>(to: &mut [T], from: &[T; MAX_WIDTH]) {
    match to.first_chunk_mut::<MAX_WIDTH>() {
        Some(to) => *to = *from,
        None => to.copy_from_slice(&from[..to.len()]),
    }
}

#[inline(always)]
fn plain_body(
    f: &mut Finish<'_>,
    tile: &Tile,
    pixels: &[u32],
    bias: &[f32; MAX_WIDTH],
    (column, columns): (usize, usize),
) {
    let [s0, s1] = f.scales;
    for (row, &pixel) in tile.iter().zip(pixels) {
        let at = pixel as usize * f.channels + column;
        let mut v = [0f32; MAX_WIDTH];
        for ((v, sum), b) in v.iter_mut().zip(row).zip(bias) {
            *v = sum * s0 * s1 + b;
        }
        if let KeptPart::Pre(pre) = &mut f.kept {
            pre[at..at + columns].copy_from_slice(&v[..columns]);
        }
        match f.activation {
            None => {}
            Some(Activation::Relu) => {
                for v in &mut v {
                    *v = if *v <= 0.0 { 0.0 } else { *v };
                }
            }
            Some(other) => {
                for v in &mut v[..columns] {
                    *v = value(other, *v);
                }
            }
        }
        if let KeptPart::Signs(signs) = &mut f.kept {
            let mut bits = 0u32;
            for (i, v) in v.iter().enumerate() {
                bits |= u32::from(*v > 0.0) << i;
            }
            // Columns past the last channel belong to the next pixel or to padding.
            if columns < 32 {
                bits &= (1 << columns) - 1;
            }
            let start = pixel as usize * f.channels.div_ceil(32) * 4;
            let at = start + column / 8;
            let bytes = columns.div_ceil(8);
            signs[at..at + bytes].copy_from_slice(&bits.to_le_bytes()[..bytes]);
            if column + columns == f.channels {
                signs[at + bytes..start + f.channels.div_ceil(32) * 4].fill(0);
            }
        }
        store(&mut f.out[at..at + columns], &v);
    }
}

#[inline(always)]
fn pooled_body(
    f: &mut Finish<'_>,
    tile: &Tile,
    pixels: &[u32],
    bias: &[f32; MAX_WIDTH],
    (column, columns): (usize, usize),
) {
    let [s0, s1] = f.scales;
    let relu = f.activation.is_some();
    for (window, pixel) in tile.chunks_exact(4).zip(pixels.chunks_exact(4)) {
        let pixel = pixel.first().map_or(0, |p| *p as usize);
        let mut best = [0f32; MAX_WIDTH];
        let mut place = [0u32; MAX_WIDTH];
        for (q, row) in window.iter().enumerate() {
            if q == 0 {
                for ((best, sum), b) in best.iter_mut().zip(row).zip(bias) {
                    *best = sum * s0 * s1 + b;
                }
                continue;
            }
            for (((best, place), sum), b) in best.iter_mut().zip(&mut place).zip(row).zip(bias) {
                let v = sum * s0 * s1 + b;
                let wins = (v > *best) | v.is_nan();
                *best = if wins { v } else { *best };
                *place = if wins { q as u32 } else { *place };
            }
        }
        if relu {
            for (best, place) in best.iter_mut().zip(&mut place) {
                *place = if *best > 0.0 { *place } else { 4 };
                *best = if *best <= 0.0 { 0.0 } else { *best };
            }
        }
        let place = place.map(|p| p as u8);
        let at = pixel * f.channels + column;
        store(&mut f.out[at..at + columns], &best);
        if let KeptPart::Winners(winners) = &mut f.kept {
            let start = pixel * f.channels.div_ceil(4) * 4;
            if column + columns == f.channels {
                winners[start + f.channels..start + f.channels.div_ceil(4) * 4].fill(0);
            }
            let at = start + column;
            store(&mut winners[at..at + columns], &place);
        }
    }
}

widest! {
    fn plain(
        f: &mut Finish<'_>,
        tile: &Tile,
        pixels: &[u32],
        bias: &[f32; MAX_WIDTH],
        at: (usize, usize),
    ) = plain_body;
}

widest! {
    fn pooled(
        f: &mut Finish<'_>,
        tile: &Tile,
        pixels: &[u32],
        bias: &[f32; MAX_WIDTH],
        at: (usize, usize),
    ) = pooled_body;
}

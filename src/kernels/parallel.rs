//! Splitting work over cores. Pieces have a fixed size whatever the number of cores, so results do
//! not depend on it.

use rayon::prelude::*;

/// Elements of a piece: enough work to be worth handing to another core.
pub(super) const PIECE: usize = 1 << 14;

/// Rows of a piece when a row has `cols` elements.
pub(super) fn rows_per_piece(cols: usize) -> usize {
    (PIECE / cols.max(1)).max(1)
}

/// Calls `f(first index, piece)` for consecutive pieces of `out`.
pub(super) fn pieces<T: Send>(out: &mut [T], f: impl Fn(usize, &mut [T]) + Sync) {
    chunks(out, PIECE, f);
}

/// Calls `f(first row, rows)` for consecutive groups of whole rows of `out` `[_, cols]`.
pub(super) fn rows<T: Send>(out: &mut [T], cols: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    let cols = cols.max(1);
    chunks(out, rows_per_piece(cols) * cols, |start, piece| f(start / cols, piece));
}

/// Calls `f(first index, chunk)` for consecutive chunks of `size`.
pub(super) fn chunks<T: Send>(out: &mut [T], size: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    if out.len() <= size {
        f(0, out);
    } else {
        out.par_chunks_mut(size).enumerate().for_each(|(i, piece)| f(i * size, piece));
    }
}

/// Columns of a piece when each takes a pass over `rows` rows; a multiple of the vectors' width.
pub(super) fn columns_per_piece(rows: usize) -> usize {
    (PIECE / rows.max(1) / 64 * 64).max(64)
}

/// As [`chunks`], for two outputs of one length.
pub(super) fn chunks_of_two<T: Send, U: Send>(
    a: &mut [T],
    b: &mut [U],
    size: usize,
    f: impl Fn(usize, &mut [T], &mut [U]) + Sync,
) {
    rows_of_two((a, 1), (b, 1), size, f);
}

/// Two outputs with one row per sample, cut into the same groups of `rows` rows:
/// `f(first row, rows of a, rows of b)`. Every width is at least 1.
pub(super) fn rows_of_two<T: Send, U: Send>(
    (a, a_cols): (&mut [T], usize),
    (b, b_cols): (&mut [U], usize),
    rows: usize,
    f: impl Fn(usize, &mut [T], &mut [U]) + Sync,
) {
    if a.len() <= rows * a_cols {
        f(0, a, b);
    } else {
        let b = b.par_chunks_mut(rows * b_cols);
        a.par_chunks_mut(rows * a_cols)
            .zip(b)
            .enumerate()
            .for_each(|(i, (a, b))| f(i * rows, a, b));
    }
}

//! The whole product: panels of B packed once and shared, blocks of A packed by the core that
//! multiplies them. Which core does what changes no sum, so results do not depend on their number.

use std::cell::RefCell;

use rayon::prelude::*;

use super::decode::Decoder;
use super::micro::{self, ROWS, Tile};
use super::pack;
use super::{Matrix, PANEL, available, stripe};

/// Rows of A that one task packs: a multiple of 12 whose panel stays in the second-level cache.
const BLOCK_ROWS: usize = 48;
/// Multiply-adds below which handing out pieces costs more than it saves.
const SERIAL_WORK: usize = 1 << 18;

thread_local! {
    /// Packed rows of A; keeps its capacity between products.
    static ROWS_OF_A: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// The result, shared by tasks that write disjoint tiles of it.
struct Output(*mut f32);
// SAFETY: tasks only write disjoint tiles (see `product`).
unsafe impl Sync for Output {}

/// `out[m, n] = A[m, k] · B[k, n]` (`+=` if `accumulate`), `out` row-major; `panels` is scratch.
///
/// # Panics
/// If the processor lacks the instructions, or shapes and slices do not fit each other.
pub fn product(
    [m, n, k]: [usize; 3],
    a: &Matrix<'_>,
    b: &Matrix<'_>,
    out: &mut [f32],
    accumulate: bool,
    panels: &mut Vec<u32>,
) {
    let shape = |x: &Matrix<'_>| if x.transpose { (x.cols, x.rows) } else { (x.rows, x.cols) };
    assert!(available() && a.complete() && b.complete());
    assert!(shape(a) == (m, k) && shape(b) == (k, n) && out.len() >= m * n);
    if m * n == 0 {
        return;
    }
    // SAFETY: `available` checked the processor's features.
    let (a, b) = unsafe { (Decoder::new(a), Decoder::new(b)) };
    let pairs = k.div_ceil(2);
    let per_stripe = stripe(pairs * PANEL) * PANEL;
    for first in (0..n).step_by(per_stripe) {
        let columns = (first, per_stripe.min(n - first));
        stripe_product([m, n, pairs], columns, (&a, &b), out, accumulate, panels);
    }
}

/// Columns `first..first + count` of the product. All panels of these are packed, then multiplied.
fn stripe_product(
    [m, n, pairs]: [usize; 3],
    (first, count): (usize, usize),
    (a, b): (&Decoder<'_>, &Decoder<'_>),
    out: &mut [f32],
    accumulate: bool,
    panels: &mut Vec<u32>,
) {
    let panel_words = pairs * PANEL;
    let columns = count.div_ceil(PANEL);
    let panels = crate::kernels::slots::grow(panels, columns * panel_words);
    let serial = 2 * m * count * pairs < SERIAL_WORK;
    let pack_panel = |(j, panel): (usize, &mut [u32])| {
        // SAFETY: the caller checked the processor's features, for this and the calls below.
        unsafe { pack::panel(b, first + j * PANEL, pairs, panel) }
    };
    let panel_step = panel_words.max(1);
    if serial {
        panels.chunks_mut(panel_step).enumerate().for_each(pack_panel);
    } else {
        panels.par_chunks_mut(panel_step).enumerate().for_each(pack_panel);
    }
    let blocks = m.div_ceil(BLOCK_ROWS);
    // A short result still gives every core something to do: its columns are split too.
    let splits =
        if serial { 1 } else { (2 * rayon::current_num_threads()).div_ceil(blocks).min(columns) };
    let per_split = columns.div_ceil(splits);
    let output = Output(out.as_mut_ptr());
    let (output, panels) = (&output, &*panels);
    let task = |task: usize| {
        let (block, split) = (task / splits, task % splits);
        let first_row = block * BLOCK_ROWS;
        let rows = BLOCK_ROWS.min(m - first_row);
        let padded = rows.next_multiple_of(ROWS);
        ROWS_OF_A.with_borrow_mut(|packed| {
            let need = padded.next_multiple_of(32) * pack::row_words(pairs);
            if packed.len() < need {
                packed.resize(need, 0);
            }
            // SAFETY: as above.
            let strides = unsafe { pack::rows(a, first_row, padded, pairs, packed) };
            for j in split * per_split..((split + 1) * per_split).min(columns) {
                for r in (0..rows).step_by(ROWS) {
                    let tile = Tile {
                        out: output.0.wrapping_add((first_row + r) * n + first + j * PANEL),
                        stride: n,
                        rows: ROWS.min(rows - r),
                        cols: PANEL.min(count - j * PANEL),
                        accumulate,
                    };
                    // SAFETY: `packed` holds `padded` rows and `panels` all columns over `pairs`;
                    // the tile lies inside `out` and belongs to this task alone.
                    unsafe {
                        let a = packed.as_ptr().add(r * strides.0);
                        let b = panels.as_ptr().add(j * panel_words);
                        micro::tile(pairs, a, strides, b, tile);
                    }
                }
            }
        });
    };
    if serial {
        (0..blocks * splits).for_each(task);
    } else {
        (0..blocks * splits).into_par_iter().for_each(task);
    }
}

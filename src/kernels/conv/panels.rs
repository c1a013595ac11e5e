//! Filters as panels of the right matrix.

use rayon::prelude::*;

use super::ConvShape;
use super::pieces::{Groups, Run};
use super::tile::{Kernel, Mode};
use super::window::Reader;
use crate::kernels::parallel;

/// Decoded filters.
pub(super) struct Filters<'a> {
    values: &'a [f32],
    kernel: usize,
    depth: usize,
}

impl Filters<'_> {
    /// Value of filter `output` at a place and a channel of its group.
    pub fn at(&self, output: usize, (i, j): (usize, usize), channel: usize) -> f32 {
        let place = output * self.kernel * self.kernel + i * self.kernel + j;
        self.values[place * self.depth + channel]
    }
}

/// Decodes all filters to f32; `values` has as many.
pub(super) fn filters<'a>(
    reader: &Reader<'_>,
    shape: &ConvShape,
    values: &'a mut [f32],
) -> Filters<'a> {
    let cols = shape.filter_len();
    parallel::rows(values, cols, |row0, piece| {
        for (i, row) in piece.chunks_exact_mut(cols.max(1)).enumerate() {
            reader.read(row0 + i, 0, row);
        }
    });
    let (kernel, depth) = (shape.kernel as usize, shape.group_channels());
    Filters { values, kernel, depth }
}

/// Top half of an f32: its bf16, exact for FP8 values.
fn bf16(x: f32) -> u32 {
    x.to_bits() >> 16
}

/// Words that the panels of one phase take.
pub(super) fn words(kernel: &Kernel, groups: &Groups, steps: usize) -> usize {
    groups.count * groups.panels(kernel) * steps * kernel.width
}

/// Writes the panels of one phase. `value(group, column, place, depth)` is an entry of the right
/// matrix; every place of a run has `depth` entries.
pub(super) fn pack(
    kernel: &Kernel,
    groups: &Groups,
    runs: &[Run],
    depth: usize,
    value: impl Fn(usize, usize, (usize, usize), usize) -> f32 + Sync,
    out: &mut [u32],
) {
    let steps: usize = runs.iter().map(|r| r.tap.steps).sum();
    let panel_words = (steps * kernel.width).max(1);
    let per_group = groups.panels(kernel);
    let fill = |(i, panel): (usize, &mut [u32])| {
        let (group, first) = (i / per_group, i % per_group * kernel.width);
        let columns = kernel.width.min(groups.width(group).saturating_sub(first));
        panel.fill(0);
        let mut at = 0;
        for run in runs {
            let entries = run.places.iter().flat_map(|p| (0..depth).map(move |d| (*p, d)));
            for (k, (place, d)) in entries.enumerate() {
                let (step, half) = match kernel.mode {
                    Mode::Bf16 => (k / 2, k % 2),
                    Mode::F32 | Mode::Direct => (k, 0),
                };
                let row = &mut panel[(at + step) * kernel.width..][..columns];
                for (j, word) in row.iter_mut().enumerate() {
                    let v = value(group, first + j, place, d);
                    *word |= match kernel.mode {
                        Mode::Bf16 => bf16(v) << (16 * half),
                        Mode::F32 | Mode::Direct => v.to_bits(),
                    };
                }
            }
            at += run.tap.steps;
        }
    };
    // Small filters are written faster than they are handed out.
    if out.len() < parallel::PIECE {
        out.chunks_mut(panel_words).enumerate().for_each(fill);
    } else {
        out.par_chunks_mut(panel_words).enumerate().for_each(fill);
    }
}

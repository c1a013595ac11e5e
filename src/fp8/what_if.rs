//! What another recipe would do to a tensor: the same values quantised again, aside, and the loss
//! measured. Nothing of the run changes.

use super::tally::{Summary, Tally};
use super::{Format, Scale, Scaling, TensorStats, slice};

/// Decibels that stand for "nothing was lost".
pub const LOSSLESS_DB: f32 = 200.0;

/// A way to quantise a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Format of the codes.
    pub format: Format,
    /// How scales are chosen.
    pub scaling: Scaling,
    /// Extra powers of two of headroom.
    pub margin: u32,
}

/// A tensor, or as much of it as is looked at.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Bits of f32 `[rows, cols]`.
    pub values: &'a [u32],
    /// Columns.
    pub cols: usize,
    /// Whether it is a weight.
    pub weight: bool,
    /// Bits of the largest finite value of the whole tensor.
    pub amax: u32,
    /// For [`Scaling::Delayed`]: bits of the amax that earlier steps left, 0 if there were none.
    pub past: u32,
}

/// What a way of quantising would do.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Score {
    /// Signal to quantisation noise, decibels, at most [`LOSSLESS_DB`]; `None` without a signal.
    pub sqnr_db: Option<f32>,
    /// Share of values beyond the format's range.
    pub saturated: f32,
    /// Share of non-zero values that become zero.
    pub flushed: f32,
}

impl Score {
    /// Of statistics as the quantise kernel gathers them.
    pub fn of(stats: &TensorStats) -> Self {
        let non_zero: u64 = stats.histogram.iter().map(|n| u64::from(*n)).sum();
        let share = |n: u32, of: u64| n as f32 / of.max(1) as f32;
        Self {
            sqnr_db: stats.sqnr_db().map(|db| db.clamp(-LOSSLESS_DB, LOSSLESS_DB)),
            saturated: share(stats.saturated, u64::from(stats.count)),
            flushed: share(stats.flushed, non_zero),
        }
    }
}

/// Quantises `view` in another way, to nearest, and says what is lost.
pub fn score(view: View<'_>, way: Way) -> Score {
    let View { values, cols, weight, amax, past } = view;
    let cols = cols.max(1);
    let rows = (values.len() / cols) as u32;
    let (block_rows, block_cols) = way.scaling.block(weight, rows, cols as u32);
    let (block_rows, block_cols) = (block_rows.max(1) as usize, block_cols.max(1) as usize);
    let whole = match way.scaling {
        Scaling::Current => Some(amax),
        Scaling::Delayed { .. } => Some(if past == 0 { amax } else { past }),
        Scaling::Rowwise { .. } | Scaling::Block | Scaling::Mx => None,
    };
    let mut tally = Tally::default();
    let mut codes = vec![0u8; block_cols.min(cols)];
    let mut largest = i32::MIN;
    for stripe in values.chunks(block_rows.saturating_mul(cols)) {
        for from in (0..cols).step_by(block_cols) {
            let part = |row| slice_of(row, from, block_cols);
            let of_block =
                || stripe.chunks(cols).map(|row| slice::amax_bits(part(row))).max().unwrap_or(0);
            let amax = whole.unwrap_or_else(of_block);
            let exponent = Scale::from_amax_bits(amax, way.format, way.margin).exponent;
            largest = largest.max(exponent);
            for row in stripe.chunks(cols) {
                let src = part(row);
                let Some(codes) = codes.get_mut(..src.len()) else { continue };
                slice::encode(way.format, src, exponent, codes);
                tally.add(way.format, exponent, src, codes);
            }
        }
    }
    let summary: Summary = tally.finish();
    let words = summary.to_words(amax, largest, values.len() as u32);
    Score::of(&TensorStats::from_words(&words).unwrap_or_default())
}

fn slice_of(row: &[u32], from: usize, len: usize) -> &[u32] {
    row.get(from..(from + len).min(row.len())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fp8::Recipe;

    fn view<'a>(values: &'a [u32], cols: usize, weight: bool, past: u32) -> View<'a> {
        View { values, cols, weight, amax: slice::amax_bits(values), past }
    }

    fn way(format: Format, scaling: Scaling) -> Way {
        Way { format, scaling, margin: 0 }
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|v| v.to_bits()).collect()
    }

    /// One row 2^30 times larger than the other: one scale for both flushes the small one.
    #[test]
    fn finer_blocks_keep_what_one_scale_flushes() {
        let small = 2f32.powi(-30);
        let rows: Vec<f32> =
            (0..256).map(|i| (1.0 + (i % 15) as f32) * if i < 128 { 1.0 } else { small }).collect();
        let values = bits(&rows);
        let view = view(&values, 128, false, 0);
        let current = score(view, way(Format::E4M3, Scaling::Current));
        assert_eq!(current.flushed, 0.5);
        for recipe in [Recipe::rowwise(), Recipe::block(), Recipe::mx()] {
            let finer = score(view, way(Format::E4M3, recipe.scaling));
            assert_eq!((finer.flushed, finer.saturated), (0.0, 0.0), "{recipe:?}");
        }
        // 5 bits of exponent reach further down, though not that far.
        let wide = score(view, way(Format::E5M2, Scaling::Current));
        assert!(wide.flushed < current.flushed);
        // Whole numbers up to 15 are exact in E4M3, not in E5M2.
        assert!(current.sqnr_db.is_some_and(|db| db > 100.0), "{current:?}");
        assert!(wide.sqnr_db < current.sqnr_db);
    }

    #[test]
    fn a_past_that_was_smaller_cuts_off_the_top() {
        let values = bits(&[1.0, -2.0, 64.0, 100.0]);
        let delayed = Recipe::delayed().scaling;
        let fresh = score(view(&values, 4, false, 0), way(Format::E4M3, delayed));
        assert_eq!(fresh.saturated, 0.0);
        let late = score(view(&values, 4, false, 2f32.to_bits()), way(Format::E4M3, delayed));
        assert_eq!(late.saturated, 0.5);
        let headroom = Way { margin: 6, ..way(Format::E4M3, delayed) };
        assert_eq!(score(view(&values, 4, false, 2f32.to_bits()), headroom).saturated, 0.0);
        assert!(late.sqnr_db < fresh.sqnr_db);
    }

    #[test]
    fn nothing_is_no_signal() {
        let none = score(view(&[0; 8], 4, true, 0), way(Format::E5M2, Scaling::Block));
        assert_eq!(none, Score { sqnr_db: None, saturated: 0.0, flushed: 0.0 });
        assert_eq!(score(view(&[], 0, true, 0), way(Format::E5M2, Scaling::Mx)).sqnr_db, None);
    }
}

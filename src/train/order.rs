//! In which order the rows of an epoch are visited.

use std::ops::Range;

use crate::data::rng::Rng;

/// All row numbers `0..rows` in the order of `epoch` (from 0): a Fisher–Yates shuffle that depends
/// on nothing but its arguments, so a resumed run sees the same batches.
pub fn epoch_order(rows: usize, seed: u64, epoch: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..rows as u32).collect();
    let mixed = Rng::new(seed).bits() ^ (epoch as u64).wrapping_mul(0xD1B5_4A32_D192_ED03);
    Rng::new(mixed).shuffle(&mut order);
    order
}

/// Neighbours on the disk that are read together.
const BLOCK: usize = 256;
/// Most and fewest blocks whose rows are mixed.
const MIXED: std::ops::RangeInclusive<usize> = 8..=256;
/// Bytes of the rows that are mixed, about.
const WINDOW: usize = 64 << 20;

/// As [`epoch_order`] for rows that lie on the disk: blocks of neighbours in random order, the rows of
/// up to 256 blocks from all over the file mixed, so that what is read at a time fits in memory. Where
/// all rows fit, the order is that of [`epoch_order`]. It too depends on nothing but its arguments.
#[derive(Debug)]
pub struct BlockOrder {
    rows: usize,
    mixed: usize,
    blocks: Vec<u32>,
    /// Blocks that are in the window or were.
    taken: usize,
    window: std::vec::IntoIter<u32>,
    rng: Rng,
}

impl BlockOrder {
    /// Of `rows` that take `row_bytes` each.
    pub fn new(rows: usize, row_bytes: usize, seed: u64, epoch: usize) -> Self {
        let mixed = WINDOW / (BLOCK * row_bytes.max(1));
        Self::of(rows, mixed.clamp(*MIXED.start(), *MIXED.end()), seed, epoch)
    }

    fn of(rows: usize, mixed: usize, seed: u64, epoch: usize) -> Self {
        let fits = rows <= BLOCK * mixed;
        let window = if fits { epoch_order(rows, seed, epoch) } else { Vec::new() };
        let blocks = if fits { 0 } else { rows.div_ceil(BLOCK) };
        Self {
            rows,
            mixed,
            blocks: epoch_order(blocks, seed, epoch),
            taken: 0,
            window: window.into_iter(),
            rng: Rng::new(Rng::new(seed ^ 0xB10C).bits() ^ epoch as u64),
        }
    }

    /// Makes the next window, if the last one is used up.
    fn fill(&mut self) {
        if self.window.len() > 0 {
            return;
        }
        let blocks = self.blocks.iter().skip(self.taken).take(self.mixed);
        let mut window: Vec<u32> =
            blocks.flat_map(|block| self.range(*block)).map(|row| row as u32).collect();
        self.taken += self.mixed;
        self.rng.shuffle(&mut window);
        self.window = window.into_iter();
    }

    /// Rows of the blocks that come after the window, which may be read ahead.
    pub fn coming(&self) -> impl Iterator<Item = Range<usize>> {
        let next = self.blocks.iter().skip(self.taken).take(self.mixed);
        next.map(|block| self.range(*block))
    }

    fn range(&self, block: u32) -> Range<usize> {
        let from = block as usize * BLOCK;
        from..(from + BLOCK).min(self.rows)
    }

    /// Rows left in the window; 0 when the next row begins another.
    pub fn left(&self) -> usize {
        self.window.len()
    }
}

impl Iterator for BlockOrder {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.fill();
        self.window.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_permutation_that_changes_with_seed_and_epoch() {
        let order = epoch_order(1000, 7, 3);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(sorted.iter().copied().eq(0..1000));
        assert_eq!(order, epoch_order(1000, 7, 3));
        assert_ne!(order, epoch_order(1000, 7, 4));
        assert_ne!(order, epoch_order(1000, 8, 3));
        assert_ne!(order, sorted);
        assert!(epoch_order(0, 0, 0).is_empty());
        assert_eq!(epoch_order(1, 0, 0), [0]);
    }

    #[test]
    fn blocks_are_a_permutation_and_mix_far_rows() {
        let rows = 300_001;
        let all = |seed, epoch| BlockOrder::new(rows, 2000, seed, epoch).collect::<Vec<u32>>();
        let order = all(7, 3);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(sorted.iter().copied().eq(0..rows as u32));
        assert!(order == all(7, 3) && order != all(7, 4) && order != all(8, 3));
        // The first rows come from all over the file, about as many from each tenth of it.
        let mut tenths = [0; 10];
        order.iter().take(5000).for_each(|row| tenths[*row as usize * 10 / rows] += 1);
        assert!(tenths.iter().all(|n| (150..1100).contains(n)), "{tenths:?}");
        // What comes is told before it comes.
        let mut blocks = BlockOrder::new(rows, 2000, 7, 3);
        let mut seen = Vec::new();
        seen.extend(blocks.next());
        let coming: Vec<Range<usize>> = blocks.coming().collect();
        while blocks.left() > 0 {
            seen.extend(blocks.next());
        }
        let next: Vec<u32> = blocks.take(100).collect();
        assert!(next.iter().all(|row| coming.iter().any(|r| r.contains(&(*row as usize)))));
        let all = [seen, next].concat();
        assert!(all.len() > 30_000 && all == order[..all.len()]);
    }

    #[test]
    fn few_rows_are_mixed_as_those_in_memory() {
        for rows in [0, 1, 1000, BLOCK * 8] {
            let order: Vec<u32> = BlockOrder::of(rows, 8, 5, 2).collect();
            assert_eq!(order, epoch_order(rows, 5, 2));
        }
        assert_ne!(
            BlockOrder::of(BLOCK * 8 + 1, 8, 5, 2).collect::<Vec<u32>>(),
            epoch_order(BLOCK * 8 + 1, 5, 2)
        );
    }

    #[test]
    fn every_row_is_as_likely_first() {
        let mut counts = [0u32; 10];
        for epoch in 0..10_000 {
            counts[epoch_order(10, 1, epoch)[0] as usize] += 1;
        }
        // 1000 ± 5 standard deviations of a binomial.
        assert!(counts.iter().all(|&c| (850..1150).contains(&c)), "{counts:?}");
    }
}

//! In which order the rows of an epoch are visited.

use crate::data::rng::Rng;

/// All row numbers `0..rows` in the order of `epoch` (from 0): a Fisher–Yates shuffle that depends
/// on nothing but its arguments, so a resumed run sees the same batches.
pub fn epoch_order(rows: usize, seed: u64, epoch: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..rows as u32).collect();
    let mixed = Rng::new(seed).bits() ^ (epoch as u64).wrapping_mul(0xD1B5_4A32_D192_ED03);
    Rng::new(mixed).shuffle(&mut order);
    order
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
    fn every_row_is_as_likely_first() {
        let mut counts = [0u32; 10];
        for epoch in 0..10_000 {
            counts[epoch_order(10, 1, epoch)[0] as usize] += 1;
        }
        // 1000 ± 5 standard deviations of a binomial.
        assert!(counts.iter().all(|&c| (850..1150).contains(&c)), "{counts:?}");
    }
}

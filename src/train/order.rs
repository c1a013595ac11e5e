//! In which order the rows of an epoch are visited.

/// SplitMix64 (Steele, Lea and Flood 2014): small, stable across versions and platforms.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform below `n` (multiply-shift; the bias is under 2^-32 for any row count).
    fn below(&mut self, n: u32) -> u32 {
        let product = u128::from(self.next()) * u128::from(n);
        (product >> 64) as u32
    }
}

/// All row numbers `0..rows` in the order of `epoch` (from 0): a Fisher–Yates shuffle that depends
/// on nothing but its arguments, so a resumed run sees the same batches.
pub fn epoch_order(rows: usize, seed: u64, epoch: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..rows as u32).collect();
    let mut mix = SplitMix(seed);
    let mut random = SplitMix(mix.next() ^ (epoch as u64).wrapping_mul(0xD1B5_4A32_D192_ED03));
    for i in (1..order.len()).rev() {
        let j = random.below(i as u32 + 1) as usize;
        order.swap(i, j);
    }
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

//! The Mersenne Twister with the seeding and shuffling of NumPy's `RandomState`, so that a sampled
//! figure can be compared with the tool that defines it, row for row.

const N: usize = 624;
const M: usize = 397;

/// MT19937 (Matsumoto and Nishimura 1998).
#[derive(Debug, Clone)]
pub(crate) struct Rng {
    state: [u32; N],
    next: usize,
}

impl Rng {
    /// As `numpy.random.RandomState(seed)`.
    pub(crate) fn new(seed: u32) -> Self {
        let mut state = [0u32; N];
        let mut s = seed;
        for (i, slot) in (1u32..).zip(state.iter_mut()) {
            *slot = s;
            s = 1_812_433_253u32.wrapping_mul(s ^ (s >> 30)).wrapping_add(i);
        }
        Self { state, next: N }
    }

    fn refill(&mut self) {
        for i in 0..N {
            let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
            let twist = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + M) % N] ^ (y >> 1) ^ twist;
        }
        self.next = 0;
    }

    /// Uniform in all of u32.
    pub(crate) fn next_u32(&mut self) -> u32 {
        if self.next >= N {
            self.refill();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// Uniform in `0..=max` (masked rejection).
    pub(crate) fn up_to(&mut self, max: u32) -> u32 {
        if max == 0 {
            return 0;
        }
        let mask = u32::MAX >> max.leading_zeros();
        loop {
            let v = self.next_u32() & mask;
            if v <= max {
                return v;
            }
        }
    }

    /// Standard normal (Box–Muller, one of the pair).
    pub(crate) fn normal(&mut self) -> f64 {
        let u = (f64::from(self.next_u32()) + 1.0) / 4_294_967_297.0;
        let v = f64::from(self.next_u32()) / 4_294_967_296.0;
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// As `RandomState.permutation(n)`.
    pub(crate) fn permutation(&mut self, n: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n as u32).collect();
        for i in (1..n).rev() {
            let j = self.up_to(i as u32) as usize;
            order.swap(i, j);
        }
        order
    }
}

/// `k` of `0..n` without replacement, ascending; all of them when `k` ≥ `n`.
pub(crate) fn sample(n: usize, k: usize, seed: u32) -> Vec<u32> {
    if k >= n {
        return (0..n as u32).collect();
    }
    // Floyd's algorithm: work in proportion to k, not n.
    let mut rng = Rng::new(seed);
    let mut chosen = rustc_hash::FxHashSet::default();
    for i in (n - k)..n {
        let candidate = rng.up_to(i as u32);
        if !chosen.insert(candidate) {
            chosen.insert(i as u32);
        }
    }
    let mut rows: Vec<u32> = chosen.into_iter().collect();
    rows.sort_unstable();
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_permutations_are_those_of_numpy() {
        // numpy.random.RandomState(123).randint(0, 2**32, 3, dtype="uint32"), .permutation(10)
        let mut r = Rng::new(123);
        assert_eq!(
            [r.next_u32(), r.next_u32(), r.next_u32()],
            [2_991_312_382, 3_062_119_789, 1_228_959_102]
        );
        assert_eq!(Rng::new(123).permutation(10), [4, 0, 7, 5, 8, 3, 1, 6, 9, 2]);
    }

    #[test]
    fn samples_are_ascending_and_distinct() {
        let rows = sample(1000, 100, 1);
        assert_eq!(rows.len(), 100);
        assert!(rows.windows(2).all(|w| w[0] < w[1]) && rows[99] < 1000);
        assert_eq!(sample(5, 9, 1), [0, 1, 2, 3, 4]);
        assert_ne!(sample(1000, 100, 2), rows);
    }
}

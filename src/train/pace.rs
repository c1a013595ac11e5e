//! How many steps to hand to the engine at once: enough to keep it busy, few enough that a pause
//! or a cancel is answered at once.

use std::time::Duration;

/// Wanted time of one call.
const TARGET: f64 = 0.07;
/// Most steps of one call.
const MOST: usize = 256;

/// Sizes engine calls by the measured time of a step.
#[derive(Debug, Default)]
pub struct Pace {
    step_seconds: Option<f64>,
    last: usize,
}

impl Pace {
    /// Steps of the next call, at least 1 and at most `left`. Starts with one step and grows
    /// fourfold at most, as the first steps also pay for warming up.
    pub fn steps(&mut self, left: usize) -> usize {
        let wanted = match self.step_seconds {
            None => 1,
            Some(seconds) => (TARGET / seconds.max(1e-9)) as usize,
        };
        let limit = (self.last * 4).clamp(1, MOST);
        self.last = wanted.clamp(1, limit);
        self.last.min(left).max(1)
    }

    /// Tells how long a call of `steps` took.
    pub fn took(&mut self, steps: usize, time: Duration) {
        let now = time.as_secs_f64() / steps.max(1) as f64;
        self.step_seconds = Some(self.step_seconds.map_or(now, |old| (old + now) / 2.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settles_at_the_wanted_time() {
        for (step_ms, low, high) in [(0.001, 256, 256), (1.0, 60, 80), (10.0, 6, 8), (500.0, 1, 1)]
        {
            let mut pace = Pace::default();
            let mut n = 0;
            assert_eq!(pace.steps(1000), 1);
            // The first call is slow.
            pace.took(1, Duration::from_millis(300));
            for _ in 0..20 {
                n = pace.steps(1000);
                pace.took(n, Duration::from_secs_f64(n as f64 * step_ms / 1000.0));
            }
            assert!((low..=high).contains(&n), "{step_ms} ms: {n}");
            assert_eq!(pace.steps(0), 1);
            assert_eq!(pace.steps(3).max(3), 3);
        }
    }
}

//! How much work one submission to a GPU holds: enough to keep it busy, and little enough that the
//! desktop stays responsive and no driver watchdog steps in (they give a submission about 2 s).

use std::time::Duration;

/// What a submission should take.
const TARGET: Duration = Duration::from_millis(100);
/// Kernel calls of the first submission, when nothing is known about the device.
const FIRST: usize = 8;

/// Sizes submissions by the measured time of those before.
#[derive(Debug)]
pub struct Pacer {
    target: Duration,
    /// Most kernel calls of one submission.
    calls: usize,
    /// Training steps of one submission, where a step is less than `calls`.
    steps: usize,
    /// Kernel calls of the largest submission so far.
    largest: usize,
}

impl Default for Pacer {
    fn default() -> Self {
        Self::new(TARGET)
    }
}

impl Pacer {
    /// A pacer for submissions of about this time.
    pub fn new(target: Duration) -> Self {
        Self { target, calls: FIRST, steps: 1, largest: 0 }
    }

    /// Most kernel calls of the next submission.
    pub fn calls(&self) -> usize {
        self.calls
    }

    /// Whether a step of this many calls may be submitted at once.
    pub fn takes(&self, calls: usize) -> bool {
        calls <= self.calls
    }

    /// Steps of the next submission.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Kernel calls of the largest submission so far.
    pub fn largest(&self) -> usize {
        self.largest
    }

    /// How many times as much as in `took` fits into the target.
    fn room(&self, took: Duration) -> f64 {
        self.target.as_secs_f64() / took.as_secs_f64().max(1e-6)
    }

    /// Tells how long a submission of part of a step took, at most doubling the next.
    pub fn ran_calls(&mut self, calls: usize, took: Duration) {
        self.largest = self.largest.max(calls);
        let wanted = (calls as f64 * self.room(took)) as usize;
        // One that ended early, at the end of a list, says nothing against more.
        if wanted < self.calls || calls >= self.calls {
            self.calls = wanted.clamp(1, self.calls.saturating_mul(2));
        }
    }

    /// Tells how long a submission of `steps` whole steps took, each of `calls`; at most `capacity`
    /// steps follow, and at most twice as many.
    pub fn ran_steps(&mut self, steps: usize, calls: usize, took: Duration, capacity: usize) {
        self.largest = self.largest.max(steps * calls);
        let wanted = (steps as f64 * self.room(took)) as usize;
        self.steps = wanted.clamp(1, capacity.min(2 * self.steps).max(1));
        if wanted == 0 {
            self.ran_calls(calls, took / steps.max(1) as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Submissions of a device on which every call takes `call`, and how long the longest was; the
    /// first ones are listed apart.
    fn simulate(call: Duration, per_step: usize) -> (Pacer, Duration, Duration) {
        let (mut pacer, mut first, mut longest) =
            (Pacer::default(), Duration::ZERO, Duration::ZERO);
        for round in 0..20 {
            let mut submissions = Vec::new();
            if pacer.takes(per_step) {
                let steps = pacer.steps();
                let took = call * (steps * per_step) as u32;
                pacer.ran_steps(steps, per_step, took, 64);
                submissions.push(took);
            } else {
                let mut left = per_step;
                while left > 0 {
                    let calls = pacer.calls().min(left);
                    let took = call * calls as u32;
                    pacer.ran_calls(calls, took);
                    submissions.push(took);
                    left -= calls;
                }
            }
            let most = submissions.into_iter().max().unwrap();
            if round == 0 { first = most } else { longest = longest.max(most) }
        }
        (pacer, first, longest)
    }

    #[test]
    fn fast_devices_get_many_steps_at_once() {
        let (pacer, _, longest) = simulate(Duration::from_micros(10), 60);
        assert_eq!(pacer.steps(), 64);
        assert!(longest <= TARGET);
        let (pacer, _, longest) = simulate(Duration::from_micros(200), 60);
        assert!((7..=8).contains(&pacer.steps()), "{pacer:?}");
        assert!(longest <= TARGET);
    }

    #[test]
    fn slow_devices_get_parts_of_a_step_and_no_watchdog_sees_a_long_one() {
        for milliseconds in [5, 30, 99, 200] {
            let call = Duration::from_millis(milliseconds);
            let (pacer, first, longest) = simulate(call, 60);
            assert_eq!(pacer.steps(), 1);
            // After the first submission, none is longer than the target or a single call.
            assert!(longest <= TARGET.max(call), "{milliseconds}: {longest:?}");
            assert!(first <= Duration::from_secs(2), "{milliseconds}: {first:?}");
        }
    }

    #[test]
    fn a_device_that_becomes_slow_gets_less() {
        let mut pacer = Pacer::default();
        for _ in 0..20 {
            pacer.ran_calls(pacer.calls(), Duration::from_millis(1));
        }
        assert!(pacer.takes(60));
        for _ in 0..10 {
            pacer.ran_steps(pacer.steps(), 60, Duration::from_millis(2), 64);
        }
        assert!(pacer.steps() > 30);
        pacer.ran_steps(pacer.steps(), 60, Duration::from_millis(6400), 64);
        assert_eq!(pacer.steps(), 1);
        pacer.ran_steps(1, 60, Duration::from_millis(600), 64);
        assert!(!pacer.takes(60), "{pacer:?}");
    }
}

//! The learning rate of every step.

use super::TrainConfig;
use super::config::Schedule;

/// Share of the peak at which a decaying schedule ends.
const FLOOR: f64 = 0.01;

/// The learning rate as a function of the step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearningRate {
    peak: f64,
    schedule: Schedule,
    warmup: u64,
    total: u64,
}

impl LearningRate {
    /// The schedule of `config` over `total` steps.
    pub fn new(config: &TrainConfig, total: u64) -> Self {
        let warmup = (f64::from(config.warmup) * total as f64).round() as u64;
        Self {
            peak: f64::from(config.learning_rate),
            schedule: config.schedule,
            warmup: warmup.min(total),
            total,
        }
    }

    /// Rate of a step, counted from 1. Rises in a straight line to the peak at the last warm-up
    /// step, then follows the schedule; steps past the end keep the last rate.
    pub fn at(&self, step: u64) -> f32 {
        if step < self.warmup {
            return (self.peak * step.max(1) as f64 / self.warmup as f64) as f32;
        }
        let after = (step.min(self.total) - self.warmup.min(step)) as f64;
        let progress = (after / (self.total - self.warmup).max(1) as f64).min(1.0);
        let share = match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Linear => FLOOR + (1.0 - FLOOR) * (1.0 - progress),
            Schedule::Cosine => {
                FLOOR + (1.0 - FLOOR) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
            }
        };
        (self.peak * share) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(schedule: Schedule, warmup: f32, total: u64) -> LearningRate {
        let config = TrainConfig { schedule, warmup, learning_rate: 0.1, ..TrainConfig::default() };
        LearningRate::new(&config, total)
    }

    #[test]
    fn warm_up_rises_to_the_peak() {
        let lr = rate(Schedule::Constant, 0.1, 100);
        assert_eq!(lr.at(1), 0.01);
        assert_eq!(lr.at(5), 0.05);
        assert!((10..=200).all(|s| lr.at(s) == 0.1));
    }

    #[test]
    fn cosine_and_linear_fall_to_one_per_cent() {
        for schedule in [Schedule::Cosine, Schedule::Linear] {
            let lr = rate(schedule, 0.1, 1000);
            assert_eq!(lr.at(100), 0.1);
            assert!((lr.at(550) - 0.0505).abs() < 1e-6, "halfway: {}", lr.at(550));
            assert!((lr.at(1000) - 0.001).abs() < 1e-9);
            assert_eq!(lr.at(5000), lr.at(1000));
            assert!((100..1000).all(|s| lr.at(s + 1) <= lr.at(s)));
        }
    }

    #[test]
    fn odd_lengths_stay_finite_and_positive() {
        for total in [1, 2, 3] {
            for warmup in [0.0, 0.5, 1.0] {
                for schedule in [Schedule::Constant, Schedule::Cosine, Schedule::Linear] {
                    let lr = rate(schedule, warmup, total);
                    for step in 0..6 {
                        let v = lr.at(step);
                        assert!(v.is_finite() && v > 0.0 && v <= 0.1, "{total} {step}: {v}");
                    }
                }
            }
        }
    }
}

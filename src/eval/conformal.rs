//! Ranges around predicted numbers that hold the truth as often as promised: split conformal
//! prediction (Lei et al. 2018). The errors on validation rows say how wide they must be.

use serde::{Deserialize, Serialize};

use super::bootstrap::{Interval, wilson};
use super::outcomes::ValueOutcomes;

/// Share of new rows whose truth the ranges are to hold.
pub const COVERAGE: f64 = 0.9;

/// Ranges of one width.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranges {
    /// Share of rows they are to hold.
    pub promised: f64,
    /// A range is prediction ± this, in the target's unit.
    pub half_width: f64,
    /// Validation rows that it was chosen on.
    pub rows: usize,
    /// Share of the evaluated rows that they hold.
    pub coverage: f64,
    /// 95 % interval of that share.
    pub interval: Interval,
}

/// The ⌈(n + 1) · coverage⌉-th smallest error; `None` where there are too few for the promise.
pub fn half_width(errors: &[f64], coverage: f64) -> Option<f64> {
    let mut sorted: Vec<f64> = errors.iter().map(|e| e.abs()).collect();
    sorted.sort_by(f64::total_cmp);
    let rank = ((sorted.len() + 1) as f64 * coverage - 1e-9).ceil() as usize;
    sorted.get(rank.checked_sub(1)?).copied()
}

/// Ranges fitted on validation answers and counted on others.
pub fn ranges(validation: &ValueOutcomes, outcomes: &ValueOutcomes) -> Option<Ranges> {
    let errors = |v: &ValueOutcomes| -> Vec<f64> {
        v.truth.iter().zip(&v.predicted).map(|(y, p)| (y - p).abs()).collect()
    };
    let half_width = half_width(&errors(validation), COVERAGE)?;
    let all = outcomes.truth.len() as f64;
    let held = errors(outcomes).iter().filter(|e| **e <= half_width).count() as f64;
    Some(Ranges {
        promised: COVERAGE,
        half_width,
        rows: validation.truth.len(),
        coverage: held / all.max(1.0),
        interval: wilson(held, all),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_follow_the_definition() {
        let errors: Vec<f64> = (1..=19).map(f64::from).collect();
        assert_eq!(half_width(&errors, 0.9), Some(18.0));
        assert_eq!(half_width(&errors[..8], 0.9), None);
        let v = ValueOutcomes { truth: errors.clone(), predicted: vec![0.0; 19] };
        let found = ranges(&v, &v).unwrap();
        assert!((found.coverage - 18.0 / 19.0).abs() < 1e-12);
        assert!(found.interval.contains(0.9));
    }
}

//! Classes in other shares in training and test.

use super::{Check, Finding, Run, Severity};
use crate::quality::context::Labels;
use crate::quality::stats::association::{Contingency, drift_cramers_v};
use crate::quality::wording;

const LIMIT: f64 = 0.15;

pub(super) const CHECK: Check = Check {
    name: "label_drift",
    title: "Other class shares in training and test",
    definition: "Bias-corrected Cramér's V between the classes of training and test (validation where \
                 there is no test) from 0.15, where the χ² test has p below 0.05. Source: deepchecks, \
                 Label Drift (condition 0.15); the test against chance is our own guard for small \
                 sets.",
    run: Run::Labels(run),
};

fn run(labels: &Labels) -> Vec<Finding> {
    let Some(split) = labels.split else { return Vec::new() };
    let later = if split.test.is_empty() { &split.validation } else { &split.test };
    let count = |rows: &[u32]| {
        let mut counts = vec![0.0; labels.names.len()];
        for code in rows.iter().filter_map(|r| labels.codes.get(*r as usize)) {
            if let Some(n) = counts.get_mut(*code as usize) {
                *n += 1.0;
            }
        }
        counts
    };
    let (train, test) = (count(&split.train), count(later));
    let value = drift_cramers_v(&train, &test, 0.0);
    let p = Contingency::new(&[train.clone(), test.clone()]).chi2().p;
    if value < LIMIT || p >= 0.05 {
        return Vec::new();
    }
    let (a, b): (f64, f64) = (train.iter().sum(), test.iter().sum());
    let gap = |c: usize| (train[c] / a - test[c] / b).abs();
    let worst = (0..train.len()).max_by(|&x, &y| gap(x).total_cmp(&gap(y))).unwrap_or(0);
    let title = format!(
        "Classes have other shares in training and test (Cramér's V {value:.2}): \"{}\" is {} and {}",
        wording::short(labels.names[worst]),
        wording::percent(train[worst] / a),
        wording::percent(test[worst] / b)
    );
    let advice = "The test score then says little about the training data's world, and the other way \
                  round. Find out why, or split at random with equal class shares.";
    let columns = labels.column.iter().map(|c| (*c).to_owned());
    vec![CHECK.finding(Severity::Warning, title, advice).columns(columns).value(value, LIMIT)]
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    #[test]
    fn shifted_shares_warn_and_equal_ones_do_not() {
        let of = |late: usize| {
            Case::rows("a,y", 400, move |i| {
                format!("{i},{}", ["p", "q"][usize::from(i % 10 < if i < 300 { 3 } else { late })])
            })
            .split_at(300)
            .run(&CHECK)
        };
        assert!(of(3).is_empty());
        assert_eq!(of(8)[0].severity, Severity::Warning);
        assert!(of(8)[0].title.contains("30 % and 80 %"), "{}", of(8)[0].title);
    }
}

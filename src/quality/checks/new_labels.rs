//! Classes that only the test set has.

use super::{Check, Finding, Run, Severity};
use crate::quality::context::Labels;
use crate::quality::wording;

const HIGH: f64 = 0.10;

pub(super) const CHECK: Check = Check {
    name: "new_labels",
    title: "Classes that training lacks",
    definition: "Share of validation and test samples of a class that no training sample has; 0 is \
                 expected. High above 10 %. Source: deepchecks, New Label Train Test (condition 0); \
                 the step to high is our own.",
    run: Run::Labels(run),
};

fn run(labels: &Labels) -> Vec<Finding> {
    let Some(split) = labels.split else { return Vec::new() };
    let code = |r: &u32| labels.codes.get(*r as usize).map(|c| *c as usize);
    let mut seen = vec![false; labels.names.len()];
    for class in split.train.iter().filter_map(code) {
        if let Some(s) = seen.get_mut(class) {
            *s = true;
        }
    }
    let held_out = || split.validation.iter().chain(&split.test);
    let unseen = |r: &&u32| code(r).is_some_and(|c| seen.get(c) == Some(&false));
    let rows: Vec<usize> = held_out().filter(unseen).map(|r| *r as usize).collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let mut classes: Vec<&str> =
        rows.iter().filter_map(|&r| labels.names.get(labels.codes[r] as usize).copied()).collect();
    classes.sort_unstable();
    classes.dedup();
    let share = rows.len() as f64 / held_out().count() as f64;
    let severity = if share > HIGH { Severity::High } else { Severity::Warning };
    let title = format!(
        "Training has no sample of {}: {} held out can only be wrong",
        wording::list(&classes, 5),
        wording::counted(rows.len(), "sample")
    );
    let advice = "A model cannot name a class that it never met. Add training samples of it or leave \
                  it out.";
    let columns = labels.column.iter().map(|c| (*c).to_owned());
    vec![CHECK.finding(severity, title, advice).columns(columns).rows(rows).value(share, 0.0)]
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    #[test]
    fn unseen_classes_are_named() {
        let case = Case::rows("a,y", 100, |i| {
            format!("{i},{}", if i == 99 { "new" } else { ["p", "q"][i % 2] })
        });
        assert!(case.run(&CHECK).is_empty());
        let found = case.split_at(60).run(&CHECK);
        assert_eq!((found[0].rows.as_slice(), found[0].severity), (&[99][..], Severity::Warning));
        assert_eq!(found[0].value, Some(0.025));
    }
}

//! Test images that were trained on.

use rustc_hash::FxHashSet;

use super::{Check, Finding, Run, Severity};
use crate::quality::image_context::ImageContext;
use crate::quality::wording;

const WARNING: f64 = 0.05;
const HIGH: f64 = 0.25;

pub(super) const CHECK: Check = Check {
    name: "image_overlap",
    title: "Test images that are also in training",
    definition: "Share of test images equal to a training image in every pixel. Warning above 5 %, \
                 high above 25 %. Source: deepchecks, Train Test Samples Mix (condition 5 %); the step \
                 to high is our own.",
    run: Run::Images(run),
};

fn run(ctx: &ImageContext) -> Vec<Finding> {
    let Some(split) = ctx.split.filter(|s| !s.test.is_empty()) else { return Vec::new() };
    let train: FxHashSet<u32> = split.train.iter().copied().collect();
    let test: FxHashSet<u32> = split.test.iter().copied().collect();
    let mut rows: Vec<usize> = ctx
        .equal
        .iter()
        .filter(|g| g.iter().any(|i| train.contains(i)))
        .flat_map(|g| g.iter().filter(|i| test.contains(*i)))
        .map(|i| *i as usize)
        .collect();
    if rows.is_empty() {
        return Vec::new();
    }
    rows.sort_unstable();
    let share = rows.len() as f64 / split.test.len() as f64;
    let severity = match share {
        s if s > HIGH => Severity::High,
        s if s > WARNING => Severity::Warning,
        _ => Severity::Info,
    };
    let title = format!(
        "{} ({}) of the test set {} in training",
        wording::counted(rows.len(), "image"),
        wording::percent(share),
        if rows.len() == 1 { "is also" } else { "are also" }
    );
    let advice = "The model has seen the answers to these, so the test score is too good. Remove \
                  repeated images before splitting.";
    vec![CHECK.finding(severity, title, advice).rows(rows).value(share, WARNING)]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{images, run_images};
    use super::*;
    use crate::data::Split;

    #[test]
    fn copies_across_the_split_are_found() {
        let data: Vec<(Vec<u8>, u32)> =
            (0..60).map(|i| (vec![if i == 55 { 3 } else { i }], 0)).collect();
        let split =
            Split { train: (0..50).collect(), test: (50..60).collect(), ..Split::default() };
        let found = run_images(&CHECK, &images(1, &data), Some(&split));
        assert_eq!((found[0].rows.as_slice(), found[0].severity), (&[55][..], Severity::Warning));
        assert!(run_images(&CHECK, &images(1, &data), None).is_empty());
    }
}

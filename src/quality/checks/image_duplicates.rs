//! Images that repeat another byte for byte.

use super::{Check, Finding, Run, Severity};
use crate::quality::image_context::ImageContext;
use crate::quality::wording;

const LIMIT: f64 = 0.05;

pub(super) const CHECK: Check = Check {
    name: "image_duplicates",
    title: "Repeated images",
    definition: "Images equal to an earlier one in every pixel, over all images. Warning above 5 %. \
                 Source: deepchecks, Data Duplicates (condition 5 %); cleanvision, exact duplicates.",
    run: Run::Images(run),
};

fn run(ctx: &ImageContext) -> Vec<Finding> {
    let mut repeats: Vec<usize> =
        ctx.equal.iter().flat_map(|g| &g[1..]).map(|i| *i as usize).collect();
    if repeats.is_empty() {
        return Vec::new();
    }
    repeats.sort_unstable();
    let share = repeats.len() as f64 / ctx.images.len() as f64;
    let severity = if share > LIMIT { Severity::Warning } else { Severity::Info };
    let title = format!(
        "{} ({}) {} an earlier one exactly",
        wording::counted(repeats.len(), "image"),
        wording::percent(share),
        if repeats.len() == 1 { "repeats" } else { "repeat" }
    );
    let advice = "Copies count more than once in training, and copies in both training and test data \
                  make the test score too good. Remove them.";
    vec![CHECK.finding(severity, title, advice).rows(repeats).value(share, LIMIT)]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{images, run_images};
    use super::*;

    #[test]
    fn equal_images_are_counted_after_the_first() {
        let data: Vec<(Vec<u8>, u32)> =
            (0..40).map(|i| (vec![if i == 30 || i == 31 { 2 } else { i }, 9, 9, 9], 0)).collect();
        let found = run_images(&CHECK, &images(2, &data), None);
        assert_eq!(found[0].rows, [30, 31]);
        assert!(run_images(&CHECK, &images(2, &data[..30]), None).is_empty());
    }
}

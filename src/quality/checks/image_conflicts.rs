//! Equal images with different labels.

use super::{Check, Finding, Run, Severity};
use crate::quality::image_context::ImageContext;
use crate::quality::wording;

const HIGH: f64 = 0.10;

pub(super) const CHECK: Check = Check {
    name: "image_conflicts",
    title: "Same image, different label",
    definition: "Images equal in every pixel to an image of another class, over all images; 0 is \
                 expected. High above 10 %. Source: deepchecks, Conflicting Labels (condition 0); the \
                 step to high is our own.",
    run: Run::Images(run),
};

fn run(ctx: &ImageContext) -> Vec<Finding> {
    let label = |i: &u32| ctx.images.labels.get(*i as usize).copied();
    let conflicts = |g: &&[u32]| g.iter().any(|i| label(i) != label(&g[0]));
    let rows: Vec<usize> =
        ctx.equal.iter().filter(conflicts).flatten().map(|i| *i as usize).collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let share = rows.len() as f64 / ctx.images.len() as f64;
    let title = format!(
        "{} ({}) are equal but have different labels",
        wording::counted(rows.len(), "image"),
        wording::percent(share)
    );
    let advice = "No model can be right on all of these. Find out which label is right and remove \
                  the other copies.";
    let severity = if share > HIGH { Severity::High } else { Severity::Warning };
    vec![CHECK.finding(severity, title, advice).rows(rows).value(share, 0.0)]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{images, run_images};
    use super::*;

    #[test]
    fn only_copies_with_another_label_conflict() {
        let data: Vec<(Vec<u8>, u32)> = (0..50)
            .map(|i| (vec![if i == 41 || i == 42 { 1 } else { i }], u32::from(i == 42)))
            .collect();
        let found = run_images(&CHECK, &images(1, &data), None);
        assert_eq!(
            (found[0].rows.as_slice(), found[0].severity),
            (&[1, 41, 42][..], Severity::Warning)
        );
        assert!(run_images(&CHECK, &images(1, &data[..42]), None).is_empty());
    }
}

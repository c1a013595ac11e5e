//! Images that show nearly the same.

use rayon::prelude::*;

use super::{Check, Finding, Run, Severity};
use crate::quality::image_context::ImageContext;
use crate::quality::thumbs::Thumbs;
use crate::quality::wording;

/// Share of the median distance to the nearest image below which two are near-duplicates.
const RADIUS: f64 = 0.13;

pub(super) const CHECK: Check = Check {
    name: "image_near_duplicates",
    title: "Nearly repeated images",
    definition: "Distinct images whose 16 × 16 grey copies, brightness and contrast evened out, are \
                 closer than 0.13 of the median distance to the nearest image (estimated from 200 \
                 images). Pairs to compare come from a 128-bit perceptual hash. Source: cleanlab, \
                 near_duplicate (threshold 0.13); cleanvision, near duplicates.",
    run: Run::Images(run),
};

fn run(ctx: &ImageContext) -> Vec<Finding> {
    let n = ctx.images.len();
    if n < 3 {
        return Vec::new();
    }
    let thumbs = Thumbs::new(ctx);
    let limit = (RADIUS * thumbs.median_nearest()) as f32;
    let near = |(a, b): &(u32, u32)| {
        let (a, b) = (*a as usize, *b as usize);
        thumbs.distance(a, b) < limit && ctx.pixels(a) != ctx.pixels(b)
    };
    let pairs: Vec<(u32, u32)> = thumbs.candidates().into_par_iter().filter(near).collect();
    if pairs.is_empty() {
        return Vec::new();
    }
    let mut rows: Vec<usize> = pairs.iter().flat_map(|p| [p.0 as usize, p.1 as usize]).collect();
    rows.sort_unstable();
    rows.dedup();
    let share = rows.len() as f64 / n as f64;
    let crossing = ctx.split.map_or(0, |s| {
        let is_test: rustc_hash::FxHashSet<u32> = s.test.iter().copied().collect();
        pairs.iter().filter(|p| is_test.contains(&p.0) != is_test.contains(&p.1)).count()
    });
    let mut title = format!(
        "{} ({}) nearly {} another",
        wording::counted(rows.len(), "image"),
        wording::percent(share),
        if rows.len() == 1 { "repeats" } else { "repeat" }
    );
    if crossing > 0 {
        title += &format!("; {} between training and test", wording::counted(crossing, "pair"));
    }
    let advice = "These are often copies that were resized, recompressed or made brighter, or shots \
                  taken in a row. Keep one of each, or keep each set together in one part.";
    vec![CHECK.finding(Severity::Info, title, advice).rows(rows).value(share, 0.0)]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{images, run_images};
    use super::*;
    use crate::quality::rng::Rng;

    #[test]
    fn brighter_and_noisy_copies_are_found_and_others_are_not() {
        let mut rng = Rng::new(3);
        let mut data: Vec<(Vec<u8>, u32)> =
            (0..120).map(|_| ((0..400).map(|_| 60 + rng.up_to(120) as u8).collect(), 0)).collect();
        let brighter = data[5].0.iter().map(|p| p + 40).collect();
        let noisy = data[9].0.iter().map(|p| p + (rng.up_to(2) as u8)).collect();
        data.extend([(brighter, 0), (noisy, 0)]);
        let found = run_images(&CHECK, &images(20, &data), None);
        assert_eq!(found[0].rows, [5, 9, 120, 121]);
        assert!(run_images(&CHECK, &images(20, &data[..120]), None).is_empty());
    }
}

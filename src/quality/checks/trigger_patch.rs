//! Images of one class that share a small patch: the mark of a backdoor.

use rayon::prelude::*;

use super::{Check, Finding, Run, Severity};
use crate::quality::image_context::ImageContext;
use crate::quality::wording;

/// Fewest images of a class.
const FEWEST: usize = 30;
/// Fewest marked images.
const MARKED: usize = 5;
/// Images of a class looked at.
const MOST: usize = 4000;
/// Deviation in grey levels below which marked images agree on a pixel.
const AGREE: f64 = 12.0;
/// Grey levels by which a patch differs from what the class usually shows there.
const DIFFERS: f64 = 64.0;
/// Largest share of the picture that a patch covers.
const AREA: f64 = 1.0 / 8.0;

pub(super) const CHECK: Check = Check {
    name: "trigger_patch",
    title: "A small mark shared by images of one class",
    definition: "Spectral signature per class: pixels standardised within the class, projected on \
                 their first singular vector; the images that lie alone at one end (at most a third \
                 of the class, 5 or more). Serious where these agree (deviation below 12 of 256) in a \
                 compact patch of at least 4 pixels and at most 1/8 of the picture, 64 levels away \
                 from the others. Source: Tran, Li, Madry, \"Spectral Signatures in Backdoor \
                 Attacks\" (2018); the test for a patch is our own.",
    run: Run::Images(run),
};

fn run(ctx: &ImageContext) -> Vec<Finding> {
    let classes = ctx.images.classes.len();
    let found = (0..classes).into_par_iter().filter_map(|class| look(ctx, class)).collect();
    CHECK.worst_first(found)
}

fn look(ctx: &ImageContext, class: usize) -> Option<Finding> {
    let images: Vec<usize> = (0..ctx.images.len())
        .filter(|i| ctx.images.labels.get(*i).is_some_and(|l| *l as usize == class))
        .take(MOST)
        .collect();
    if images.len() < FEWEST {
        return None;
    }
    let pixels: Vec<&[u8]> = images.iter().map(|i| ctx.pixels(*i)).collect();
    let width = pixels.iter().map(|p| p.len()).min().unwrap_or(0);
    if width == 0 {
        return None;
    }
    let n = pixels.len() as f64;
    let moment = |f: &(dyn Fn(usize, f64) -> f64 + Sync)| -> Vec<f64> {
        (0..width).map(|j| pixels.iter().map(|p| f(j, f64::from(p[j]))).sum::<f64>() / n).collect()
    };
    let mean = moment(&|_, x| x);
    let variance = moment(&|j, x| (x - mean[j]).powi(2));
    // A floor, so that noise in a plain border does not outweigh everything.
    let scale: Vec<f64> = variance.iter().map(|v| 1.0 / v.sqrt().max(6.0)).collect();
    let scores = first_component(&pixels, &mean, &scale);
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    // Both ends, as the sign of a singular vector is arbitrary.
    let ends = [order.clone(), order.into_iter().rev().collect::<Vec<_>>()];
    let (rows, patch) = ends.iter().find_map(|order| {
        let marked = apart(order, &scores)?;
        let patch = shared_patch(ctx, &pixels, &marked, width)?;
        Some((marked, patch))
    })?;
    let title = format!(
        "{} of class \"{}\" share a mark of {} at column {}, row {} of the picture",
        wording::counted(rows.len(), "image"),
        wording::short(ctx.images.classes.get(class)?),
        wording::counted(patch.pixels, "pixel"),
        patch.x + 1,
        patch.y + 1
    );
    let advice = "A model learns to answer this class wherever it sees the mark: a backdoor, or a \
                  stamp of the camera or scanner. Look at the images; leave them out or cover the \
                  mark in all.";
    let share = rows.len() as f64 / images.len() as f64;
    let evidence = rows.iter().filter_map(|i| images.get(*i).copied());
    Some(CHECK.finding(Severity::High, title, advice).rows(evidence).value(share, 0.0))
}

/// Projection of every image on the first right singular vector, by power iteration.
fn first_component(pixels: &[&[u8]], mean: &[f64], scale: &[f64]) -> Vec<f64> {
    let width = mean.len();
    let z = |p: &[u8], j: usize| (f64::from(p[j]) - mean[j]) * scale[j];
    let project = |v: &[f64]| -> Vec<f64> {
        pixels.iter().map(|p| (0..width).map(|j| z(p, j) * v[j]).sum()).collect()
    };
    // Deterministic, and not orthogonal to anything likely.
    let mut v: Vec<f64> = (0..width).map(|j| 1.0 + ((j * 7919) % 101) as f64 / 101.0).collect();
    for _ in 0..30 {
        let scores = project(&v);
        let mut next = vec![0.0; width];
        for (p, s) in pixels.iter().zip(&scores) {
            for (j, x) in next.iter_mut().enumerate() {
                *x += s * z(p, j);
            }
        }
        let norm = next.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
        v = next.into_iter().map(|x| x / norm).collect();
    }
    project(&v)
}

/// The images before the widest gap in the scores, if that stands alone.
fn apart(order: &[usize], scores: &[f64]) -> Option<Vec<usize>> {
    let most = order.len() / 3;
    let gap = |i: usize| (scores[order[i]] - scores[order[i + 1]]).abs();
    let at = (MARKED - 1..most).max_by(|a, b| gap(*a).total_cmp(&gap(*b)))?;
    Some(order[..=at].to_vec())
}

struct Patch {
    x: usize,
    y: usize,
    pixels: usize,
}

/// Where marked images agree and differ from the rest, if that is a compact patch.
fn shared_patch(
    ctx: &ImageContext,
    pixels: &[&[u8]],
    marked: &[usize],
    width: usize,
) -> Option<Patch> {
    let mut is_marked = vec![false; pixels.len()];
    marked.iter().for_each(|i| is_marked[*i] = true);
    let (inside, outside) = (marked.len() as f64, (pixels.len() - marked.len()) as f64);
    let channels = ctx.images.channels.max(1);
    let mut spots: Vec<(usize, usize)> = Vec::new();
    for j in (0..width).step_by(channels) {
        let (mut sum, mut square, mut other, mut near) = (0.0, 0.0, 0.0, 0);
        for (p, m) in pixels.iter().zip(&is_marked) {
            let x = f64::from(p[j]);
            if *m {
                sum += x;
                square += x * x;
            } else {
                other += x;
            }
        }
        let mean = sum / inside;
        let deviation = (square / inside - mean * mean).max(0.0).sqrt();
        for (p, m) in pixels.iter().zip(&is_marked) {
            near += usize::from(!m && (f64::from(p[j]) - mean).abs() < AGREE);
        }
        // Hardly any other image has this value here.
        let alone = near as f64 <= 0.1 * outside;
        if deviation < AGREE && (mean - other / outside.max(1.0)).abs() > DIFFERS && alone {
            let at = j / channels;
            spots.push((at % ctx.images.width.max(1), at / ctx.images.width.max(1)));
        }
    }
    let x = (spots.iter().map(|s| s.0).min()?, spots.iter().map(|s| s.0).max()?);
    let y = (spots.iter().map(|s| s.1).min()?, spots.iter().map(|s| s.1).max()?);
    let area = (x.1 - x.0 + 1) * (y.1 - y.0 + 1);
    let picture = ctx.images.width * ctx.images.height;
    let compact =
        spots.len() >= 4 && spots.len() * 2 >= area && area as f64 <= AREA * picture as f64;
    compact.then_some(Patch { x: x.0, y: y.0, pixels: spots.len() })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{images, run_images};
    use super::*;
    use crate::quality::rng::Rng;

    fn set(marked: impl Fn(usize) -> bool) -> crate::data::ImageSet {
        let mut rng = Rng::new(3);
        let data: Vec<(Vec<u8>, u32)> = (0..240)
            .map(|i| {
                // A blob somewhere, as drawings have.
                let (cx, cy) = (3 + rng.up_to(9) as usize, 3 + rng.up_to(9) as usize);
                let mut p: Vec<u8> = (0..256usize)
                    .map(|j| {
                        let (dx, dy) = ((j % 16).abs_diff(cx), (j / 16).abs_diff(cy));
                        if dx + dy < 4 { 200 + rng.up_to(50) as u8 } else { rng.up_to(20) as u8 }
                    })
                    .collect();
                if marked(i) {
                    for (x, y) in [(13, 13), (14, 13), (13, 14), (14, 14), (15, 15), (14, 15)] {
                        p[y * 16 + x] = 255;
                    }
                }
                (p, (i % 2) as u32)
            })
            .collect();
        images(16, &data)
    }

    #[test]
    fn a_stamped_patch_is_found_with_its_images() {
        let found = run_images(&CHECK, &set(|i| i % 24 == 1), None);
        assert_eq!(found.len(), 1, "{found:#?}");
        let mut rows = found[0].rows.clone();
        rows.sort_unstable();
        assert_eq!(rows, (0..10).map(|i| i * 24 + 1).collect::<Vec<_>>());
        assert_eq!(found[0].severity, Severity::High);
        assert!(run_images(&CHECK, &set(|_| false), None).is_empty());
    }
}

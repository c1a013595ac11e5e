//! Images of one class that share a small patch: the mark of a backdoor.

use rayon::prelude::*;

use super::{Check, Finding, Run, Severity};
use crate::quality::image_context::ImageContext;
use crate::quality::wording;

/// Fewest images of a class.
const FEWEST: usize = 30;
/// Fewest marked images.
const MARKED: usize = 5;
/// Smallest share of the class that is marked; less teaches a network nothing.
const SHARE: f64 = 0.01;
/// Images of a class looked at.
const MOST: usize = 1500;
/// Singular vectors looked at in a part of the picture.
const COMPONENTS: usize = 3;
/// Rounds of the power iteration.
const ITERATIONS: usize = 12;
/// Deviation in grey levels below which marked images agree on a pixel.
const AGREE: f64 = 4.0;
/// Grey levels within which another image has the value of a mark.
const NEAR: f64 = 12.0;
/// Share of the places around a mark that must look as in other images.
const USUAL: f64 = 0.8;
/// Grey levels by which a patch differs from what the class usually shows there.
const DIFFERS: f64 = 64.0;
/// Largest share of the picture that a patch covers.
const AREA: f64 = 1.0 / 8.0;

pub(super) const CHECK: Check = Check {
    name: "trigger_patch",
    title: "A small mark shared by images of one class",
    definition: "Spectral signature per class and part of the picture: pixels standardised within the \
                 class, projected on their first three singular vectors; the images that lie alone at \
                 one end (1 % to a third of the class, 5 or more). Serious where these agree (deviation \
                 below 4 of 256) in a compact patch of at least 4 pixels and at most 1/8 of the \
                 picture, 64 levels away from the others, that ends sharply: 80 % of the pixels \
                 around it are as in other images. Source: Tran, Li, Madry, \"Spectral Signatures in \
                 Backdoor Attacks\" (2018); the test for a patch is our own.",
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
    let whole = ctx.images.width * ctx.images.height * ctx.images.channels;
    if whole == 0 || pixels.iter().any(|p| p.len() < whole) {
        return None;
    }
    let (rows, patch) = windows(ctx).into_iter().find_map(|w| in_window(ctx, &pixels, &w))?;
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

/// Values of overlapping squares of a quarter of the picture: in the whole picture what it shows
/// outweighs a small mark.
fn windows(ctx: &ImageContext) -> Vec<Vec<usize>> {
    let (width, height) = (ctx.images.width, ctx.images.height);
    let channels = ctx.images.channels.max(1);
    let side = (width.max(height) / 4).max(4);
    let starts = |length: usize| {
        let last = length.saturating_sub(side);
        let mut at: Vec<usize> = (0..last).step_by((side / 2).max(1)).collect();
        at.push(last);
        at
    };
    let mut found = Vec::new();
    for y in starts(height) {
        for x in starts(width) {
            let mut values = Vec::new();
            for row in y..(y + side).min(height) {
                for column in x..(x + side).min(width) {
                    let at = (row * width + column) * channels;
                    values.extend(at..at + channels);
                }
            }
            found.push(values);
        }
    }
    found
}

fn in_window(
    ctx: &ImageContext,
    pixels: &[&[u8]],
    window: &[usize],
) -> Option<(Vec<usize>, Patch)> {
    let n = pixels.len() as f64;
    let column = |j: usize| pixels.iter().map(move |p| f64::from(p[j]));
    let mean: Vec<f64> = window.iter().map(|&j| column(j).sum::<f64>() / n).collect();
    // A floor, so that noise in a plain border does not outweigh everything.
    let scale: Vec<f64> = window
        .iter()
        .zip(&mean)
        .map(|(&j, m)| (column(j).map(|x| (x - m).powi(2)).sum::<f64>() / n).sqrt().max(6.0))
        .map(|deviation| 1.0 / deviation)
        .collect();
    let mut known: Vec<Vec<f64>> = Vec::new();
    for _ in 0..COMPONENTS {
        let (scores, v) = component(pixels, window, &mean, &scale, &known);
        known.push(v);
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        // Both ends, as the sign of a singular vector is arbitrary.
        for order in [order.clone(), order.into_iter().rev().collect::<Vec<_>>()] {
            if let Some(marked) = apart(&order, &scores)
                && let Some(patch) = shared_patch(ctx, pixels, &marked, window)
            {
                return Some((patch.carriers(pixels), patch));
            }
        }
    }
    None
}

/// Projection of every image on the first right singular vector that is orthogonal to those known,
/// by power iteration, and the vector.
fn component(
    pixels: &[&[u8]],
    window: &[usize],
    mean: &[f64],
    scale: &[f64],
    known: &[Vec<f64>],
) -> (Vec<f64>, Vec<f64>) {
    let z = |p: &[u8], i: usize| (f64::from(p[window[i]]) - mean[i]) * scale[i];
    let project = |v: &[f64]| -> Vec<f64> {
        pixels.iter().map(|p| v.iter().enumerate().map(|(i, x)| z(p, i) * x).sum()).collect()
    };
    // Deterministic, and not orthogonal to anything likely.
    let mut v: Vec<f64> =
        (0..window.len()).map(|j| 1.0 + ((j * 7919) % 101) as f64 / 101.0).collect();
    for _ in 0..ITERATIONS {
        let scores = project(&v);
        let mut next = vec![0.0; window.len()];
        for (p, s) in pixels.iter().zip(&scores) {
            for (i, x) in next.iter_mut().enumerate() {
                *x += s * z(p, i);
            }
        }
        for other in known {
            let along: f64 = next.iter().zip(other).map(|(a, b)| a * b).sum();
            next.iter_mut().zip(other).for_each(|(x, o)| *x -= along * o);
        }
        let norm = next.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
        v = next.into_iter().map(|x| x / norm).collect();
    }
    (project(&v), v)
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
    /// Places of the mark and the value there.
    values: Vec<(usize, f64)>,
}

impl Patch {
    /// Images that carry the mark, those included that something else sets apart.
    fn carriers(&self, pixels: &[&[u8]]) -> Vec<usize> {
        let carries =
            |p: &&[u8]| self.values.iter().all(|(j, v)| (f64::from(p[*j]) - v).abs() < NEAR);
        (0..pixels.len()).filter(|i| pixels.get(*i).is_some_and(carries)).collect()
    }
}

/// What marked and other images show at one place.
struct Spot {
    /// Mean and deviation over the marked images.
    mean: f64,
    deviation: f64,
    /// Mean over the others, and how many of these have nearly the marked ones' value.
    other: f64,
    near: usize,
}

/// Where marked images agree and differ from the rest, if that is a compact patch whose surroundings
/// are as in any other image: a shape goes on beyond the part that is looked at, a mark ends.
fn shared_patch(
    ctx: &ImageContext,
    pixels: &[&[u8]],
    marked: &[usize],
    window: &[usize],
) -> Option<Patch> {
    let least = MARKED.max((pixels.len() as f64 * SHARE).ceil() as usize);
    if marked.len() < least {
        return None;
    }
    let mut is_marked = vec![false; pixels.len()];
    marked.iter().for_each(|i| is_marked[*i] = true);
    let (inside, outside) = (marked.len() as f64, (pixels.len() - marked.len()).max(1) as f64);
    let spot = |j: usize| {
        let (mut sum, mut square, mut other) = (0.0, 0.0, 0.0);
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
        let near = pixels.iter().zip(&is_marked);
        let near = near.filter(|(p, m)| !**m && (f64::from(p[j]) - mean).abs() < NEAR).count();
        let deviation = (square / inside - mean * mean).max(0.0).sqrt();
        Spot { mean, deviation, other: other / outside, near }
    };
    let (channels, width) = (ctx.images.channels.max(1), ctx.images.width.max(1));
    let mut spots: Vec<(usize, usize)> = Vec::new();
    let mut values = Vec::new();
    for j in window.iter().copied().step_by(channels) {
        let s = spot(j);
        let alone = s.near as f64 <= 0.1 * outside;
        if s.deviation < AGREE && (s.mean - s.other).abs() > DIFFERS && alone {
            spots.push((j / channels % width, j / channels / width));
            values.push((j, s.mean));
        }
    }
    let x = (spots.iter().map(|s| s.0).min()?, spots.iter().map(|s| s.0).max()?);
    let y = (spots.iter().map(|s| s.1).min()?, spots.iter().map(|s| s.1).max()?);
    let area = (x.1 - x.0 + 1) * (y.1 - y.0 + 1);
    let picture = width * ctx.images.height;
    if spots.len() < 4 || spots.len() * 2 < area || area as f64 > AREA * picture as f64 {
        return None;
    }
    let (mut ring, mut usual) = (0, 0);
    for row in y.0.saturating_sub(1)..=(y.1 + 1).min(ctx.images.height.saturating_sub(1)) {
        for column in x.0.saturating_sub(1)..=(x.1 + 1).min(width - 1) {
            if (x.0..=x.1).contains(&column) && (y.0..=y.1).contains(&row) {
                continue;
            }
            let s = spot((row * width + column) * channels);
            ring += 1;
            usual += usize::from((s.mean - s.other).abs() < DIFFERS / 2.0);
        }
    }
    // In a corner a ring is short, but never missing.
    (ring > 0 && usual as f64 >= USUAL * ring as f64).then_some(Patch {
        x: x.0,
        y: y.0,
        pixels: spots.len(),
        values,
    })
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

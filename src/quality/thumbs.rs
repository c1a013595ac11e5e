//! Small grey copies of images, for comparing what they show.

use rayon::prelude::*;

use super::image_context::ImageContext;
use super::rng::{self, Rng};
use super::stats;

/// Side of a thumbnail.
pub(crate) const SIDE: usize = 16;
const LENGTH: usize = SIDE * SIDE;
/// Hash bits, in bands of 16 of which near-duplicates share at least one.
const BANDS: usize = 8;
const BAND: usize = 16;
/// Band neighbours compared per image; in a larger bucket the band says nothing.
const BUCKET: usize = 64;

/// Thumbnails without brightness and contrast: mean 0, length 1; all 0 for an image of one colour.
pub(crate) struct Thumbs {
    values: Vec<f32>,
    /// Number of images.
    pub(crate) len: usize,
}

impl Thumbs {
    pub(crate) fn new(ctx: &ImageContext) -> Self {
        let len = ctx.images.len();
        let values: Vec<Vec<f32>> =
            (0..len).into_par_iter().map(|i| normalise(shrink(&grey(ctx, i), ctx))).collect();
        Self { values: values.concat(), len }
    }

    fn get(&self, i: usize) -> &[f32] {
        &self.values[i * LENGTH..(i + 1) * LENGTH]
    }

    /// Euclidean distance, 0..=2.
    pub(crate) fn distance(&self, a: usize, b: usize) -> f32 {
        stats::distance2(self.get(a), self.get(b)).sqrt()
    }

    /// Whether the image shows more than one colour.
    pub(crate) fn shows(&self, i: usize) -> bool {
        self.get(i).iter().any(|v| *v != 0.0)
    }

    /// Median distance of an image to its nearest other, from 200 images against at most 4,000.
    pub(crate) fn median_nearest(&self) -> f64 {
        let asked = rng::sample(self.len, 200, 7);
        let others = rng::sample(self.len, 4_000, 8);
        let nearest: Vec<f64> = asked
            .par_iter()
            .map(|&a| {
                let distance = |&b: &u32| self.distance(a as usize, b as usize);
                let best =
                    others.iter().filter(|&&b| b != a).map(distance).fold(f32::INFINITY, f32::min);
                f64::from(best)
            })
            .collect();
        stats::quantile(&stats::sorted(nearest), 0.5)
    }

    /// Pairs (a < b) that share a band of a 128-bit hash: signs of random projections of the
    /// thumbnail, the mean thumbnail taken off. Nearly equal thumbnails share one nearly surely.
    pub(crate) fn candidates(&self) -> Vec<(u32, u32)> {
        let mut mean = vec![0.0f64; LENGTH];
        for i in 0..self.len {
            mean.iter_mut()
                .zip(self.get(i))
                .for_each(|(m, v)| *m += f64::from(*v) / self.len as f64);
        }
        let mut rng = Rng::new(9);
        let planes: Vec<Vec<f32>> =
            (0..BANDS * BAND).map(|_| (0..LENGTH).map(|_| rng.normal() as f32).collect()).collect();
        let offsets: Vec<f32> =
            planes.iter().map(|p| p.iter().zip(&mean).map(|(a, b)| a * *b as f32).sum()).collect();
        let hashes: Vec<[u16; BANDS]> = (0..self.len)
            .into_par_iter()
            .map(|i| {
                let mut hash = [0u16; BANDS];
                for (bit, (plane, offset)) in planes.iter().zip(&offsets).enumerate() {
                    let dot = stats::dot(plane, self.get(i));
                    hash[bit / BAND] |= u16::from(dot > *offset) << (bit % BAND);
                }
                hash
            })
            .collect();
        let mut pairs: Vec<(u32, u32)> = (0..BANDS)
            .into_par_iter()
            .flat_map_iter(|band| {
                let mut order: Vec<u32> =
                    (0..self.len as u32).filter(|&i| self.shows(i as usize)).collect();
                order.sort_unstable_by_key(|&i| (hashes[i as usize][band], i));
                let mut pairs = Vec::new();
                for bucket in
                    order.chunk_by(|&a, &b| hashes[a as usize][band] == hashes[b as usize][band])
                {
                    for (at, &a) in bucket.iter().enumerate() {
                        pairs.extend(bucket[at + 1..].iter().take(BUCKET).map(|&b| (a, b)));
                    }
                }
                pairs
            })
            .collect();
        pairs.par_sort_unstable();
        pairs.dedup();
        pairs
    }
}

/// Brightness per pixel, 0..=255 (Rec. 601 weights for colour).
pub(crate) fn grey(ctx: &ImageContext, image: usize) -> Vec<f32> {
    let pixels = ctx.pixels(image);
    if ctx.images.channels == 3 {
        let luma =
            |p: &[u8]| 0.299 * f32::from(p[0]) + 0.587 * f32::from(p[1]) + 0.114 * f32::from(p[2]);
        pixels.chunks_exact(3).map(luma).collect()
    } else {
        pixels.iter().map(|p| f32::from(*p)).collect()
    }
}

/// Averages areas; repeats pixels of smaller images.
fn shrink(grey: &[f32], ctx: &ImageContext) -> Vec<f32> {
    let (w, h) = (ctx.images.width, ctx.images.height);
    if grey.len() < w * h || w == 0 || h == 0 {
        return vec![0.0; LENGTH];
    }
    let range = |i: usize, size: usize| {
        let start = i * size / SIDE;
        start..((i + 1) * size).div_ceil(SIDE).max(start + 1)
    };
    let mut out = Vec::with_capacity(LENGTH);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let (ys, xs) = (range(y, h), range(x, w));
            let n = (ys.len() * xs.len()) as f32;
            out.push(
                ys.map(|r| grey[r * w + xs.start..r * w + xs.end].iter().sum::<f32>()).sum::<f32>()
                    / n,
            );
        }
    }
    out
}

fn normalise(mut values: Vec<f32>) -> Vec<f32> {
    let mean = values.iter().sum::<f32>() / LENGTH as f32;
    values.iter_mut().for_each(|v| *v -= mean);
    let length = values.iter().map(|v| v * v).sum::<f32>().sqrt();
    // Below half a grey level per pixel there is nothing to see.
    let scale = if length > 0.5 * SIDE as f32 { 1.0 / length } else { 0.0 };
    values.iter_mut().for_each(|v| *v *= scale);
    values
}

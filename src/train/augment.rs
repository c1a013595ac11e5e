//! Random changes of training images: mirrored, shifted, turned, lighter or darker.
//!
//! Pixels are numbers of any scale, so what is changed is what the network would have seen.
//! Everything is drawn from a counter hash of run seed, epoch and image, so a run repeats and
//! resumes exactly, whatever thread does the work. Only sums and products are used, so every
//! platform gets the same pixels.

use serde::{Deserialize, Serialize};

use crate::fp8::hash;
use crate::model::ImageShape;

/// What may be done to training images. The default is nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Augmentation {
    /// Mirrors every second image left to right. Wrong for text and digits.
    pub flip: bool,
    /// Shifts by up to this share of width and height, 0..=0.5, in whole pixels (a random crop of
    /// the image padded with its border).
    pub shift: f32,
    /// Turns by up to this many degrees, 0..=45.
    pub rotation: f32,
    /// Makes lighter or darker by up to this share, 0..=1.
    pub brightness: f32,
}

/// Stream of the hash key; image `i` of a set uses `AUGMENT_STREAM + i`.
const AUGMENT_STREAM: u32 = 0x4000_0000;

/// The changes drawn for one image.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Change {
    flip: bool,
    /// Whole pixels right and down.
    shift: (i32, i32),
    sine: f32,
    cosine: f32,
    /// Factor of the light above black.
    brightness: f32,
}

impl Augmentation {
    /// Whether images stay as they are.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with the settings, as one sentence.
    pub fn fault(&self) -> Option<String> {
        for (name, value, most) in [
            ("shift", self.shift, 0.5),
            ("rotation", self.rotation, 45.0),
            ("brightness", self.brightness, 1.0),
        ] {
            if !(0.0..=most).contains(&value) {
                return Some(format!("The {name} of images is {value}; it must be 0 to {most}."));
            }
        }
        None
    }

    fn draw(&self, shape: ImageShape, key: u32) -> Change {
        // Uniform in -1..1.
        let unit = |n| (hash::bits(key, n) >> 8) as f32 / 8_388_608.0 - 1.0;
        let pixels = |n: u32, side: usize| {
            let most = (self.shift * side as f32) as u32;
            (hash::bits(key, n) % (2 * most + 1)) as i32 - most as i32
        };
        let angle = unit(1) * self.rotation * (std::f32::consts::PI / 180.0);
        let (sine, cosine) = turn(angle);
        Change {
            flip: self.flip && hash::bits(key, 0) >> 31 == 1,
            shift: (pixels(2, shape.width), pixels(3, shape.height)),
            sine,
            cosine,
            brightness: 1.0 + unit(4) * self.brightness,
        }
    }

    /// Writes a changed copy of `image` to `out`, both `[height, width, channels]`. `index` names
    /// the image, so that each gets its own changes in every epoch. What comes in from outside the
    /// image repeats its border. `levels` are the values of black and white of each channel.
    pub fn apply(
        &self,
        image: &[f32],
        (shape, levels): (ImageShape, &[[f32; 2]]),
        (seed, epoch, index): (u32, u32, u32),
        out: &mut [f32],
    ) {
        let key = hash::key(seed, epoch, AUGMENT_STREAM.wrapping_add(index));
        let change = self.draw(shape, key);
        let pixels = out.chunks_exact_mut(shape.channels.max(1));
        let (width, height) = (shape.width.max(1), shape.height.max(1));
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        for ((x, y), pixel) in places.zip(pixels) {
            change.pixel(image, shape, (x as i32, y as i32), pixel);
        }
        if change.brightness != 1.0 {
            for pixel in out.chunks_exact_mut(shape.channels.max(1)) {
                for (value, [black, white]) in pixel.iter_mut().zip(levels) {
                    let lit = black + (*value - black) * change.brightness;
                    // A channel without any light has nothing to clamp to.
                    *value = if black < white { lit.max(*black).min(*white) } else { *value };
                }
            }
        }
    }
}

/// Sine and cosine by their series, good to f32 up to 45 degrees.
fn turn(angle: f32) -> (f32, f32) {
    let s = angle * angle;
    let sine = angle * (1.0 - s / 6.0 * (1.0 - s / 20.0 * (1.0 - s / 42.0)));
    let cosine = 1.0 - s / 2.0 * (1.0 - s / 12.0 * (1.0 - s / 30.0 * (1.0 - s / 56.0)));
    (sine, cosine)
}

impl Change {
    /// One pixel of the result: where it comes from, and the value there.
    fn pixel(&self, image: &[f32], shape: ImageShape, (x, y): (i32, i32), out: &mut [f32]) {
        let (x, y) = (x - self.shift.0, y - self.shift.1);
        let (width, height) = (shape.width as i32, shape.height as i32);
        let mirrored = |x: i32| if self.flip { width - 1 - x } else { x };
        let start = |x: i32, y: i32| {
            let (x, y) = (x.clamp(0, width - 1), y.clamp(0, height - 1));
            (y * width + mirrored(x)) as usize * shape.channels
        };
        let value = |at: usize, c: usize| image.get(at + c).copied().unwrap_or(0.0);
        if self.sine == 0.0 {
            let at = start(x, y);
            for (c, out) in out.iter_mut().enumerate() {
                *out = value(at, c);
            }
            return;
        }
        // Turned about the centre; the four neighbours weigh by their distance.
        let (cx, cy) = ((width - 1) as f32 / 2.0, (height - 1) as f32 / 2.0);
        let (dx, dy) = (x as f32 - cx, y as f32 - cy);
        let u = cx + self.cosine * dx + self.sine * dy;
        let v = cy - self.sine * dx + self.cosine * dy;
        let (left, top) = (u.floor(), v.floor());
        let (fx, fy) = (u - left, v - top);
        let (left, top) = (left as i32, top as i32);
        let corners = [
            (start(left, top), (1.0 - fx) * (1.0 - fy)),
            (start(left + 1, top), fx * (1.0 - fy)),
            (start(left, top + 1), (1.0 - fx) * fy),
            (start(left + 1, top + 1), fx * fy),
        ];
        for (c, out) in out.iter_mut().enumerate() {
            *out = corners.iter().map(|(at, w)| value(*at, c) * w).sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: ImageShape = ImageShape { height: 9, width: 12, channels: 3 };

    /// As if pixels of 0 to 255 had been standardised.
    const LEVELS: [[f32; 2]; 3] = [[-1.0, 2.0], [-0.5, 1.5], [0.0, 1.0]];

    fn image() -> Vec<f32> {
        let value = |i: u32| {
            let [black, white] = LEVELS[i as usize % 3];
            black + (white - black) * (hash::mix(i) & 0xff) as f32 / 255.0
        };
        (0..SHAPE.len() as u32).map(value).collect()
    }

    fn apply(options: Augmentation, index: u32) -> Vec<f32> {
        let mut out = vec![7.0; SHAPE.len()];
        options.apply(&image(), (SHAPE, &LEVELS), (5, 1, index), &mut out);
        out
    }

    fn at(image: &[f32], x: usize, y: usize, c: usize) -> f32 {
        image[(y * SHAPE.width + x) * SHAPE.channels + c]
    }

    #[test]
    fn nothing_changes_nothing() {
        assert!(Augmentation::default().is_nothing());
        assert_eq!(apply(Augmentation::default(), 3), image());
    }

    #[test]
    fn about_half_of_the_images_are_mirrored_exactly() {
        let options = Augmentation { flip: true, ..Augmentation::default() };
        let original = image();
        let mut mirrored = 0;
        for index in 0..400 {
            let out = apply(options, index);
            if out == original {
                continue;
            }
            mirrored += 1;
            for (x, y) in (0..12).flat_map(|x| (0..9).map(move |y| (x, y))) {
                assert_eq!(at(&out, x, y, 1), at(&original, 11 - x, y, 1));
            }
        }
        assert!((150..250).contains(&mirrored), "{mirrored}");
    }

    #[test]
    fn shifts_are_whole_within_bounds_and_repeat_the_border() {
        let options = Augmentation { shift: 0.25, ..Augmentation::default() };
        let original = image();
        let mut seen = std::collections::HashSet::new();
        for index in 0..300 {
            let out = apply(options, index);
            let moved = |dx: i32, dy: i32| {
                (0..9i32).flat_map(|y| (0..12i32).map(move |x| (x, y))).all(|(x, y)| {
                    let (u, v) = ((x - dx).clamp(0, 11) as usize, (y - dy).clamp(0, 8) as usize);
                    at(&out, x as usize, y as usize, 2) == at(&original, u, v, 2)
                })
            };
            let found = (-3..=3).flat_map(|dx| (-2..=2).map(move |dy| (dx, dy)));
            let found: Vec<_> = found.filter(|(dx, dy)| moved(*dx, *dy)).collect();
            assert_eq!(found.len(), 1, "{found:?}");
            seen.extend(found);
        }
        // All 7 × 5 shifts occur.
        assert_eq!(seen.len(), 35);
    }

    #[test]
    fn turning_keeps_the_centre_and_moves_the_rest() {
        let shape = ImageShape { height: 21, width: 21, channels: 1 };
        // A bar from the centre to the right.
        let mut bar = vec![0f32; 441];
        bar[10 * 21 + 10..10 * 21 + 21].fill(255.0);
        let options = Augmentation { rotation: 30.0, ..Augmentation::default() };
        let (mut up, mut down) = (0, 0);
        for index in 0..100 {
            let mut out = vec![0.0; 441];
            options.apply(&bar, (shape, &[[0.0, 255.0]]), (1, 1, index), &mut out);
            assert!(out[10 * 21 + 10] > 120.0);
            let right = |rows: std::ops::Range<usize>| -> f32 {
                rows.flat_map(|y| out[y * 21 + 11..y * 21 + 21].iter()).sum()
            };
            let (above, below) = (right(0..10), right(11..21));
            up += u32::from(above > below);
            down += u32::from(below > above);
            // A turn moves light, it makes none.
            let total: f32 = out.iter().sum();
            assert!((1800.0..3400.0).contains(&total), "{total}");
        }
        assert!(up > 30 && down > 30, "{up} {down}");
    }

    #[test]
    fn sine_and_cosine_are_right() {
        for i in -45..=45 {
            let angle = (i as f32).to_radians();
            let (sine, cosine) = turn(angle);
            assert!((sine - angle.sin()).abs() < 1e-6 && (cosine - angle.cos()).abs() < 1e-6);
        }
    }

    #[test]
    fn brightness_scales_and_saturates() {
        let options = Augmentation { brightness: 0.5, ..Augmentation::default() };
        let original = image();
        let mut factors = Vec::new();
        for index in 0..200 {
            let out = apply(options, index);
            // Light above black, as a share of white.
            let light = |v: &[f32]| {
                let share = |(i, v): (usize, &f32)| {
                    let [black, white] = LEVELS[i % 3];
                    f64::from((v - black) / (white - black))
                };
                v.iter().enumerate().map(share).sum::<f64>()
            };
            factors.push(light(&out) / light(&original));
            for (i, (o, v)) in original.iter().zip(&out).enumerate() {
                let [black, white] = LEVELS[i % 3];
                assert!(*o != black || *v == black);
                assert!((black..=white).contains(v), "{v}");
            }
        }
        let (low, high) = factors.iter().fold((9f64, 0f64), |(l, h), f| (l.min(*f), h.max(*f)));
        assert!(low < 0.6 && high > 1.15 && low > 0.45 && high < 1.5, "{low} {high}");
    }

    #[test]
    fn seed_epoch_and_image_decide() {
        let options = Augmentation { flip: true, shift: 0.2, rotation: 15.0, brightness: 0.2 };
        let run = |of| {
            let mut out = vec![0.0; SHAPE.len()];
            options.apply(&image(), (SHAPE, &LEVELS), of, &mut out);
            out
        };
        assert_eq!(run((1, 2, 3)), run((1, 2, 3)));
        for other in [(2, 2, 3), (1, 3, 3), (1, 2, 4)] {
            assert_ne!(run((1, 2, 3)), run(other));
        }
    }

    #[test]
    fn faults_are_named() {
        assert_eq!(Augmentation::default().fault(), None);
        let base = Augmentation::default();
        for (bad, word) in [
            (Augmentation { shift: 0.6, ..base }, "shift"),
            (Augmentation { rotation: f32::NAN, ..base }, "rotation"),
            (Augmentation { brightness: -0.1, ..base }, "brightness"),
        ] {
            assert!(bad.fault().is_some_and(|f| f.contains(word)));
        }
    }
}

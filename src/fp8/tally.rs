//! Gathers the statistics of a quantisation over slices, with vectors.

use super::format::{Spec, with_spec};
use super::simd::{LANES, add_lanes, vectorised};
use super::stats::{HISTOGRAM_BINS, STAT_HISTOGRAM, STAT_WORDS, histogram_bin};
use super::{Format, Scale};

/// Elements tallied at once; their exponent fields are kept aside in between.
const STRETCH: usize = 512;
/// Histograms that take turns, so that equal neighbours do not wait for one another.
const TURNS: usize = 8;
const INFINITY: u32 = 0x7f80_0000;

/// Running statistics of one tensor, or of a part of it.
#[derive(Debug, Clone)]
pub struct Tally {
    saturated: u32,
    subnormal: u32,
    nan: u32,
    /// Inputs that are ±0, and codes that are.
    zero: u32,
    zero_code: u32,
    signal: f64,
    error: f64,
    /// Inputs by exponent field.
    fields: [[u32; 256]; TURNS],
    /// Exponent fields of the stretch at hand.
    kept: [u8; STRETCH],
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            saturated: 0,
            subnormal: 0,
            nan: 0,
            zero: 0,
            zero_code: 0,
            signal: 0.0,
            error: 0.0,
            fields: [[0; 256]; TURNS],
            kept: [0; STRETCH],
        }
    }
}

/// The statistics of a [`Tally`] in a form that adds up; fields as in [`super::TensorStats`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    saturated: u32,
    flushed: u32,
    subnormal: u32,
    nan: u32,
    signal: f64,
    error: f64,
    histogram: [u32; HISTOGRAM_BINS],
}

impl Default for Summary {
    fn default() -> Self {
        Tally::default().finish()
    }
}

impl Summary {
    /// Adds those of another part.
    pub fn merge(&mut self, other: &Self) {
        self.saturated += other.saturated;
        self.flushed += other.flushed;
        self.subnormal += other.subnormal;
        self.nan += other.nan;
        self.signal += other.signal;
        self.error += other.error;
        for (a, b) in self.histogram.iter_mut().zip(other.histogram) {
            *a += b;
        }
    }

    /// As the words of one tensor, with its amax (bits), scale exponent and number of elements.
    pub fn to_words(&self, amax: u32, exponent: i32, count: u32) -> [u32; STAT_WORDS] {
        let mut words = [0; STAT_WORDS];
        words[..9].copy_from_slice(&[
            amax,
            exponent as u32,
            count,
            self.saturated,
            self.flushed,
            self.subnormal,
            self.nan,
            (self.signal as f32).to_bits(),
            (self.error as f32).to_bits(),
        ]);
        words[STAT_HISTOGRAM..].copy_from_slice(&self.histogram);
        words
    }
}

/// What one stretch adds.
struct Stretch {
    saturated: u32,
    subnormal: u32,
    nan: u32,
    zero: u32,
    zero_code: u32,
    signal: f32,
    error: f32,
}

/// Bits of the largest value that does not saturate under 2^exponent.
fn limit<S: Spec>(exponent: i32) -> u32 {
    let field = 127 + S::MAX_EXPONENT + exponent;
    // From 255 on only infinity saturates.
    if field >= 255 { INFINITY - 1 } else { (field as u32) << 23 | 0x0060_0000 }
}

/// Value of a code from its magnitude bits, which are those of a finite one.
#[inline(always)]
fn value<S: Spec>(magnitude: u32) -> f32 {
    let normal = (magnitude << (23 - S::MANTISSA)) + (((127 - S::BIAS) as u32) << 23);
    let below = magnitude as f32 * S::TINY;
    if magnitude < 1 << S::MANTISSA { below } else { f32::from_bits(normal) }
}

/// Bytes that counters of one byte take turns over.
const BYTES: usize = 64;

vectorised! {
    /// Counts codes that are zero, below the normal ones (zero included), and NaN.
    fn count_codes<S: Spec>(codes: &[u8]) -> [u32; 3] {
        const { assert!(STRETCH / BYTES < 256) }
        let mut counts = [[0u8; BYTES]; 3];
        let (groups, rest) = codes.as_chunks::<BYTES>();
        for group in groups {
            for (i, code) in group.iter().enumerate() {
                let magnitude = code & 0x7f;
                counts[0][i] += u8::from(magnitude == 0);
                counts[1][i] += u8::from(magnitude < 1 << S::MANTISSA);
                counts[2][i] += u8::from(magnitude == S::NAN as u8);
            }
        }
        for (i, code) in rest.iter().enumerate() {
            let magnitude = code & 0x7f;
            counts[0][i] += u8::from(magnitude == 0);
            counts[1][i] += u8::from(magnitude < 1 << S::MANTISSA);
            counts[2][i] += u8::from(magnitude == S::NAN as u8);
        }
        let mut sums = [0; 3];
        for (sum, lanes) in sums.iter_mut().zip(&counts) {
            for count in lanes {
                *sum += u32::from(*count);
            }
        }
        sums
    }
}

vectorised! {
    /// At most [`STRETCH`] elements.
    fn stretch<S: Spec>(src: &[u32], codes: &[u8], exponent: i32, fields: &mut [u8]) -> Stretch {
        let scale = Scale { exponent }.value();
        let limit = limit::<S>(exponent);
        let (mut beyond, mut zero) = (0, 0);
        for (&bits, field) in src.iter().zip(fields) {
            let a = bits & 0x7fff_ffff;
            *field = (a >> 23) as u8;
            beyond += u32::from(a > limit);
            zero += u32::from(a == 0);
        }
        let (mut signal, mut error) = ([0f32; LANES], [0f32; LANES]);
        let mut add = |lane: usize, bits: u32, code: u8| {
            // What is not finite counts as 0 that was met exactly. Code and input have one sign.
            let a = bits & 0x7fff_ffff;
            let finite = a < INFINITY;
            let x = if finite { f32::from_bits(a) } else { 0.0 };
            let met = if finite { value::<S>(u32::from(code & 0x7f)) * scale } else { 0.0 };
            signal[lane] += x * x;
            error[lane] += (x - met) * (x - met);
        };
        let (groups, rest) = src.as_chunks::<LANES>();
        let (code_groups, code_rest) = codes.as_chunks::<LANES>();
        for (group, codes) in groups.iter().zip(code_groups) {
            for (lane, (&bits, &code)) in group.iter().zip(codes).enumerate() {
                add(lane, bits, code);
            }
        }
        for (lane, (&bits, &code)) in rest.iter().zip(code_rest).enumerate() {
            add(lane, bits, code);
        }
        // NaN inputs have NaN codes, and no others have.
        let [zero_code, below, nan] = count_codes::<S>(codes);
        Stretch {
            saturated: beyond - nan,
            subnormal: below - zero_code,
            nan,
            zero,
            zero_code,
            signal: add_lanes(signal),
            error: add_lanes(error),
        }
    }
}

fn count_fields(fields: &[u8], into: &mut [[u32; 256]; TURNS]) {
    let (groups, rest) = fields.as_chunks::<TURNS>();
    for group in groups {
        for (turn, &field) in into.iter_mut().zip(group) {
            turn[usize::from(field)] += 1;
        }
    }
    for (turn, &field) in into.iter_mut().zip(rest) {
        turn[usize::from(field)] += 1;
    }
}

impl Tally {
    /// Adds f32 bits and the codes that they were encoded to under one scale.
    pub fn add(&mut self, format: Format, exponent: i32, src: &[u32], codes: &[u8]) {
        for (src, codes) in src.chunks(STRETCH).zip(codes.chunks(STRETCH)) {
            let fields = &mut self.kept[..src.len()];
            let part = with_spec!(format, stretch(src, codes, exponent, fields));
            count_fields(fields, &mut self.fields);
            self.saturated += part.saturated;
            self.subnormal += part.subnormal;
            self.nan += part.nan;
            self.zero += part.zero;
            self.zero_code += part.zero_code;
            self.signal += f64::from(part.signal);
            self.error += f64::from(part.error);
        }
    }

    /// Sums up; amax and scale are left to the caller.
    pub fn finish(&self) -> Summary {
        let mut fields = [0u32; 256];
        for turn in &self.fields {
            for (sum, count) in fields.iter_mut().zip(turn) {
                *sum += count;
            }
        }
        let mut histogram = [0; HISTOGRAM_BINS];
        // The last field is that of infinities and NaNs.
        for (field, count) in fields.iter().enumerate().take(255) {
            histogram[histogram_bin((field as u32) << 23)] += count;
        }
        // Zeros share their field with f32 subnormals.
        histogram[0] -= self.zero;
        Summary {
            saturated: self.saturated,
            // Neither a NaN nor an infinity has a zero code.
            flushed: self.zero_code - self.zero,
            subnormal: self.subnormal,
            nan: self.nan,
            signal: self.signal,
            error: self.error,
            histogram,
        }
    }
}

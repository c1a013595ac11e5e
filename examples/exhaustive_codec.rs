//! Encodes every f32 there is into both FP8 formats and compares each byte with a slow oracle.
//!
//! The oracle shares no code and no method with the codec: it writes down the value of every code
//! from the definition of the format in f64, takes the midpoints between neighbours (exact in f64)
//! and finds each input among them by bisection. Takes some minutes; exits with 1 on a mismatch.
//!
//! ```text
//! cargo run --release --example exhaustive_codec
//! ```

#![allow(clippy::print_stdout)]

use std::process::ExitCode;
use std::time::Instant;

use fp8_studio::fp8::{Format, slice};
use rayon::prelude::*;

/// Inputs handed to a core at once.
const PIECE: u32 = 1 << 16;
/// Pieces that make up all 2^32 inputs.
const PIECES: u32 = 1 << 16;

/// A format as its standard writes it, independent of the codec's own constants.
struct Oracle {
    name: &'static str,
    /// Values of the finite codes 0, 1, 2… in ascending order.
    values: Vec<f64>,
    /// `midpoints[i]` lies halfway between codes `i` and `i + 1`.
    midpoints: Vec<f64>,
    /// Magnitude of the NaN that an encoder writes.
    nan: u8,
    infinity: Option<u8>,
    first_normal: u8,
}

impl Oracle {
    fn new(format: Format) -> Self {
        let (name, exponent_bits, mantissa_bits, bias, nan, infinity) = match format {
            Format::E4M3 => ("E4M3", 4, 3, 7, 0x7f, None),
            Format::E5M2 => ("E5M2", 5, 2, 15, 0x7e, Some(0x7c)),
        };
        let mut values = Vec::new();
        for exponent in 0..1 << exponent_bits {
            for mantissa in 0..1 << mantissa_bits {
                let fraction = f64::from(mantissa) / f64::from(1 << mantissa_bits);
                values.push(match exponent {
                    0 => fraction * 2f64.powi(1 - bias),
                    _ => (1.0 + fraction) * 2f64.powi(exponent - bias),
                });
            }
        }
        // E4M3 gives up its last code for NaN, E5M2 its last exponent for infinity and NaNs.
        values.truncate(usize::from(infinity.unwrap_or(nan)));
        let midpoints = values.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0).collect();
        Self { name, values, midpoints, nan, infinity, first_normal: 1 << mantissa_bits }
    }

    /// Nearest code, ties to the even one; beyond the last it saturates.
    fn encode(&self, x: f32) -> u8 {
        let sign = if x.is_sign_negative() { 0x80 } else { 0 };
        if x.is_nan() {
            return sign | self.nan;
        }
        let magnitude = f64::from(x).abs();
        let below = self.midpoints.partition_point(|&m| m < magnitude);
        let tie = self.midpoints.get(below) == Some(&magnitude);
        sign | (below + usize::from(tie && below % 2 == 1)) as u8
    }

    fn largest(&self) -> f64 {
        self.values.last().copied().unwrap_or(0.0)
    }

    fn decode(&self, code: u8) -> f64 {
        let magnitude = code & 0x7f;
        let value = match self.values.get(usize::from(magnitude)) {
            Some(&value) => value,
            None if self.infinity == Some(magnitude) => f64::INFINITY,
            None => f64::NAN,
        };
        if code & 0x80 == 0 { value } else { -value }
    }
}

/// What came out for one format.
#[derive(Clone, Copy, Default)]
struct Counts {
    nan: u64,
    /// Infinite, or finite and rounded down to the largest code from beyond it.
    saturated: u64,
    normal: u64,
    subnormal: u64,
    /// Not zero, but its code is.
    flushed: u64,
    zero: u64,
    /// Wrong bytes of the one-element encoder.
    wrong_single: u64,
    /// Wrong bytes of the vectorised encoder.
    wrong_slice: u64,
    /// Wrong bytes of an encoder with a planted fault: ties away from zero.
    wrong_planted: u64,
    /// Bits of the first input that one of the two encoders got wrong.
    first_wrong: Option<u32>,
}

impl Counts {
    fn add(self, other: Self) -> Self {
        Self {
            nan: self.nan + other.nan,
            saturated: self.saturated + other.saturated,
            normal: self.normal + other.normal,
            subnormal: self.subnormal + other.subnormal,
            flushed: self.flushed + other.flushed,
            zero: self.zero + other.zero,
            wrong_single: self.wrong_single + other.wrong_single,
            wrong_slice: self.wrong_slice + other.wrong_slice,
            wrong_planted: self.wrong_planted + other.wrong_planted,
            first_wrong: self.first_wrong.into_iter().chain(other.first_wrong).min(),
        }
    }

    fn inputs(&self) -> u64 {
        self.nan + self.saturated + self.normal + self.subnormal + self.flushed + self.zero
    }

    /// Sorts one input by what the oracle made of it.
    fn sort(&mut self, oracle: &Oracle, x: f32, code: u8) {
        let magnitude = code & 0x7f;
        let count = if x.is_nan() {
            &mut self.nan
        } else if f64::from(x).abs() > oracle.largest() {
            &mut self.saturated
        } else if magnitude >= oracle.first_normal {
            &mut self.normal
        } else if magnitude > 0 {
            &mut self.subnormal
        } else if x != 0.0 {
            &mut self.flushed
        } else {
            &mut self.zero
        };
        *count += 1;
    }
}

fn piece(format: Format, oracle: &Oracle, number: u32) -> Counts {
    let first = number * PIECE;
    let inputs: Vec<u32> = (0..PIECE).map(|i| first + i).collect();
    let mut codes = vec![0; inputs.len()];
    slice::encode(format, &inputs, 0, &mut codes);
    let mut counts = Counts::default();
    for (&bits, &vectorised) in inputs.iter().zip(&codes) {
        let x = f32::from_bits(bits);
        let want = oracle.encode(x);
        let single = format.encode(x) != want;
        let slice = vectorised != want;
        // A set last bit lifts a tie over its midpoint and moves nothing else, save that it makes
        // a NaN of an infinity.
        let planted = format.encode(f32::from_bits(bits | 1)) != want;
        counts.wrong_single += u64::from(single);
        counts.wrong_slice += u64::from(slice);
        counts.wrong_planted += u64::from(planted);
        if (single || slice) && counts.first_wrong.is_none() {
            counts.first_wrong = Some(bits);
        }
        counts.sort(oracle, x, want);
    }
    counts
}

/// Prints the counts of one format; whether all is well.
fn run(format: Format) -> bool {
    let oracle = Oracle::new(format);
    let start = Instant::now();
    let wrong_decoded = (0..=255u8)
        .filter(|&code| {
            let (got, want) = (f64::from(format.decode(code)), oracle.decode(code));
            got.to_bits() != want.to_bits() && !(got.is_nan() && want.is_nan())
        })
        .count();
    let counts = (0..PIECES)
        .into_par_iter()
        .map(|number| piece(format, &oracle, number))
        .reduce(Counts::default, Counts::add);
    // Ties that go down, of both signs, and the two infinities.
    let planted = 2 * oracle.midpoints.len().div_ceil(2) as u64 + 2;
    println!("{}: 256 codes decoded, {wrong_decoded} wrong", oracle.name);
    println!("  {} inputs encoded in {:.0} s:", counts.inputs(), start.elapsed().as_secs_f32());
    println!("    {:>10} normal", counts.normal);
    println!("    {:>10} subnormal", counts.subnormal);
    println!("    {:>10} flushed to zero", counts.flushed);
    println!("    {:>10} zero", counts.zero);
    println!("    {:>10} beyond the largest value", counts.saturated);
    println!("    {:>10} NaN", counts.nan);
    println!("  wrong bytes, one element at a time: {}", counts.wrong_single);
    println!("  wrong bytes, {} slices: {}", slice::simd_name(), counts.wrong_slice);
    println!("  wrong bytes found with a planted fault: {} of {planted}", counts.wrong_planted);
    if let Some(bits) = counts.first_wrong {
        let x = f32::from_bits(bits);
        let (got, want) = (format.encode(x), oracle.encode(x));
        println!("  first mismatch: {bits:#010x} ({x:e}) gives {got:#04x}, not {want:#04x}");
    }
    wrong_decoded == 0
        && counts.inputs() == 1 << 32
        && counts.wrong_single == 0
        && counts.wrong_slice == 0
        && counts.wrong_planted == planted
}

fn main() -> ExitCode {
    // Both are run even if the first fails.
    let good = Format::ALL.map(run);
    if good == [true, true] {
        println!("All bytes agree.");
        ExitCode::SUCCESS
    } else {
        println!("MISMATCH");
        ExitCode::FAILURE
    }
}

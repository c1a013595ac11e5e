//! FP8 numerics: formats, scales, recipes and quantisation statistics. Pure functions, no I/O.
//!
//! Convention used everywhere: **value = decode(code) × 2^exponent**. A scale is the power of two
//! that a code is multiplied by to recover the value, stored as E8M0 (exponent + 127).

pub mod bf16;
pub mod expand;
pub mod format;
pub mod grid;
pub mod hash;
pub mod notation;
pub mod recipe;
pub mod scale;
pub mod simd;
pub mod slice;
pub mod stats;
pub mod tally;
pub mod what_if;

pub use format::Format;
pub use recipe::{AmaxAlgorithm, Precision, Recipe, Scaling};
pub use scale::Scale;
pub use stats::TensorStats;

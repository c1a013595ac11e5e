//! Integration tests, one binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cpu_engine;
mod data;
mod gpu_engine;
mod gpu_kernels;
mod gpu_quantise;
mod gradient;
mod pair;
mod resume;
mod samples;
mod support;
mod tolerance;
mod training;

//! Integration tests, one binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cpu_engine;
mod gpu_engine;
mod gpu_kernels;
mod gpu_quantise;
mod gpu_update;
mod gradient;
mod pair;
mod resume;
mod samples;
mod state;
mod support;
mod tolerance;
mod training;
mod update;

//! Integration tests, one binary.

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

//! Integration tests, one binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cpu_engine;
mod golden_cnn;
mod gradient;
mod images;

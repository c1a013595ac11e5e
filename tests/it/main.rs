//! Integration tests, one binary.

mod architecture;
mod export;
mod golden;
mod resume;
mod support;
mod training;

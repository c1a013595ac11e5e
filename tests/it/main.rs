//! Integration tests, one binary.

mod architecture;
mod golden;
mod resume;
mod support;
mod training;

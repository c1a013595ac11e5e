//! Integration tests, one binary.

mod resume;
mod support;
mod training;

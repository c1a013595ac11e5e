//! Integration tests, one binary.

mod cpu_engine;
mod gradient;

//! Integration tests, one binary.

mod architecture;
mod cpu_engine;
mod export;
mod golden;
mod gradient;
mod resume;
mod safetensors_python;
mod support;
mod training;

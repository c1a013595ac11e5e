//! Integration tests, one binary.

mod architecture;
mod cpu_engine;
mod export;
mod golden;
mod gpu_engine;
mod gpu_kernels;
mod gpu_quantise;
mod gradient;
mod pair;
mod resume;
mod safetensors_python;
mod support;
mod tolerance;
mod training;
mod ui_flow;
mod ui_screenshots;
mod ui_states;
mod ui_support;

//! Integration tests, one binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod allocation;
mod architecture;
mod bundle;
mod cli;
mod cpu_engine;
mod data;
mod evaluation;
mod export;
mod formats;
mod golden;
mod golden_cnn;
mod golden_codec;
mod gpu_engine;
mod gpu_images;
mod gpu_kernels;
mod gpu_quantise;
mod gpu_session;
mod gpu_update;
mod gradient;
mod images;
mod kernels;
mod lean;
mod onnx;
mod pair;
mod pytorch;
mod quality;
mod resume;
mod safetensors_python;
mod samples;
mod state;
mod support;
mod tolerance;
mod training;
mod ui_flow;
mod ui_real;
mod ui_screenshots;
mod ui_states;
mod ui_support;
mod update;

//! FP8 Studio: train, check and export small models in 8-bit floating point, offline.
//!
//! Crate map, from the bottom up. Dependencies point one way only
//! (`tests/architecture.rs` checks it):
//!
//! | module | holds |
//! |---|---|
//! | [`text`] | the words of the window in several languages |
//! | [`fp8`] | pure numerics: E4M3, E5M2, E8M0 scales, recipes, quantisation statistics |
//! | [`device`] | GPU adapters, limits, buffers, self-test |
//! | [`model`] | layers, graph and initialisation: what the network is |
//! | [`kernels`] | one file per op family: parameters, shader, native CPU twin |
//! | [`plan`] | compiles a model, a recipe and a batch size into a static list of kernel calls and one memory plan |
//! | [`engine`] | the two executors of a plan: wgpu and CPU |
//! | [`data`] | tables, images, types, split, preprocessing |
//! | [`metrics`] | metric definitions and the streaming store of values |
//! | [`quality`] | data checks |
//! | [`train`] | configuration, session, events, checkpoints, the worker thread |
//! | [`eval`] | how good the model is |
//! | [`export`] | model files |
//! | [`deploy`] | prediction from a model file |
//! | [`monitor`] | whether new data and answers are still like those of the training |
//! | [`project`] | the versioned project file |
//! | [`app`] | application state and the commands that change it |
//! | [`ui`] | the window |

pub mod app;
pub mod data;
pub mod deploy;
pub mod device;
pub mod engine;
pub mod error;
pub mod eval;
pub mod export;
pub mod fp8;
pub mod kernels;
pub mod metrics;
pub mod model;
pub mod monitor;
pub mod plan;
pub mod project;
pub mod quality;
pub mod text;
pub mod train;
pub mod ui;

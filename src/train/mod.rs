//! Training: configuration, session, events, control, checkpoints, and the one place that spawns
//! threads.

pub mod checkpoint;
pub mod config;
pub mod event;
pub mod run_folder;
pub mod schedule;
pub mod session;
pub mod worker;

pub use config::TrainConfig;
pub use event::{Control, Event, RunState, StopReason, Summary};
pub use worker::{RunHandle, start};

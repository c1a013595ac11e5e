//! Training: configuration, session, events, control, checkpoints, and the one place that spawns
//! threads.

pub mod augment;
pub mod checkpoint;
pub mod config;
pub mod crossval;
mod diagnosis;
pub mod estimate;
pub mod event;
mod fair;
mod files;
pub mod guard;
pub mod insight;
mod loader;
mod order;
mod pace;
mod prepare;
pub mod private;
mod reporter;
pub mod run_folder;
pub mod run_notes;
pub mod schedule;
mod session;
pub mod suggest;
mod whole;
pub mod worker;

pub use augment::Augmentation;
pub use config::{Architecture, TrainConfig};
pub use event::{Control, Event, RunState, StopReason, Summary};
pub use fair::Fair;
pub use private::{Private, Spent};
pub use run_folder::RunFolder;
pub use run_notes::RunNotes;
pub use suggest::DataSize;
pub use worker::{Job, RunHandle, start};

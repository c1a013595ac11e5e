//! Messages between a run's worker thread and whoever watches it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::guard::Action;
use super::insight::{Diagnosis, Insight, MemoryReport, WhatIf};
use crate::engine::EngineInfo;
use crate::error::UserError;
use crate::fp8::{Format, Precision, TensorStats};
pub use crate::metrics::Scores;
use crate::metrics::Store;
use crate::plan::TensorRole;

/// Down: what the watcher wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Hold after the current step.
    Pause,
    /// Go on.
    Resume,
    /// End now; the best checkpoint becomes the model.
    StopAndKeepBest,
    /// End now and discard the run folder.
    Cancel,
    /// Take back the action of the guard rails that has this number.
    UndoGuard(u32),
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// All epochs done.
    Completed,
    /// No better validation loss for `patience` epochs.
    EarlyStopped,
    /// The user stopped it.
    Stopped,
    /// The user cancelled it.
    Cancelled,
}

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Loading data, compiling, self-test.
    Preparing,
    /// Training.
    Running,
    /// Held by the user.
    Paused,
    /// Testing the best model.
    Finishing,
    /// Ended with a model.
    Done,
    /// Ended with an error.
    Failed,
    /// Cancelled by the user.
    Cancelled,
}

/// One quantised tensor at one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TensorReport {
    /// e.g. `dense1.weight`.
    pub name: String,
    /// Role.
    pub role: TensorRole,
    /// Format.
    pub format: Format,
    /// Statistics.
    pub stats: TensorStats,
}

/// What a finished run leaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Why it ended.
    pub reason: StopReason,
    /// Epochs completed.
    pub epochs: usize,
    /// Epoch of the kept model, from 1.
    pub best_epoch: usize,
    /// Validation scores of the kept model.
    pub validation: Scores,
    /// Test scores of the kept model.
    pub test: Scores,
    /// Score of always answering the commonest class, or the mean.
    pub baseline: f64,
    /// Wall seconds of training.
    pub seconds: f64,
    /// Training rows per second.
    pub rows_per_second: f64,
    /// Number of parameters.
    pub parameters: usize,
    /// Precision that the kept model was validated and tested in.
    #[serde(default)]
    pub precision: Option<Precision>,
    /// What the training gave away of its rows, where that was bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<super::Spent>,
    /// Who computed.
    pub engine: EngineInfo,
    /// The run's folder.
    pub folder: PathBuf,
    /// What the run found out about itself.
    #[serde(default)]
    pub insight: Insight,
}

/// Up: what happened. Every event belongs to the run of its handle.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// State changed.
    State(RunState),
    /// Rows of a file larger than memory are encoded before training (a few times a second).
    Encoding {
        /// Rows read.
        rows: u64,
        /// Rows in all, about.
        of: u64,
    },
    /// Plan and engine are ready.
    Started {
        /// Who computes.
        engine: EngineInfo,
        /// Why the engine is not the one asked for, if so.
        fallback: Option<String>,
        /// Rows in train, validation, test.
        rows: [usize; 3],
        /// Steps per epoch.
        steps_per_epoch: usize,
        /// Epochs planned.
        epochs: usize,
        /// First step to come (0 unless resumed).
        resumed_step: u64,
        /// Parameters.
        parameters: usize,
    },
    /// A group of steps finished (at most ten a second).
    Progress {
        /// Steps done in all.
        step: u64,
        /// Epoch, fractional.
        epoch: f64,
        /// Mean training loss of the steps since the last event.
        loss: f32,
        /// Learning rate.
        learning_rate: f32,
        /// Rows per second since the last event.
        rows_per_second: f64,
        /// Seconds left by this speed.
        eta_seconds: f64,
    },
    /// Statistics of every watched tensor.
    Tensors {
        /// Step they belong to.
        step: u64,
        /// One entry per tensor.
        tensors: Vec<TensorReport>,
    },
    /// An epoch ended and was validated.
    Epoch {
        /// From 1.
        epoch: usize,
        /// Steps done in all.
        step: u64,
        /// Mean training loss of the epoch.
        train_loss: f32,
        /// Validation scores.
        validation: Scores,
        /// Whether it is the best so far.
        best: bool,
    },
    /// What other recipes would do to every watched tensor.
    WhatIf {
        /// Step they belong to.
        step: u64,
        /// One entry per tensor.
        tensors: Vec<WhatIf>,
    },
    /// The guard rails did something, or it was taken back.
    Guard {
        /// Step after which it holds.
        step: u64,
        /// What.
        action: Action,
    },
    /// How 8 bits do; sent when that changes.
    Diagnosis {
        /// Step that it is from.
        step: u64,
        /// What.
        diagnosis: Diagnosis,
    },
    /// How the f32 run beside it does (with each progress).
    Shadow {
        /// Step that it is from.
        step: u64,
        /// Mean training loss of f32 over the steps of the last progress.
        loss: f32,
        /// Relative gap of the smoothed training losses, above 0 where f32 is better.
        gap: f64,
        /// Cosine between the weight gradients of both, by layer; see
        /// [`super::insight::ShadowReport::cosines`].
        cosines: Vec<(String, f32)>,
    },
    /// The memory in use; sent when that changes.
    Memory {
        /// Step that it is from.
        step: u64,
        /// By purpose.
        memory: MemoryReport,
    },
    /// How groups score on validation rows at the end of an epoch.
    Groups {
        /// Step that they belong to.
        step: u64,
        /// Column that they are of.
        column: String,
        /// Plain name of the figure.
        figure: String,
        /// Group, its validation rows, its figure.
        groups: Vec<(String, usize, f64)>,
    },
    /// A line for the log.
    Log(String),
    /// The run ended with a model.
    Finished(Box<Summary>),
    /// The run ended with an error; what was saved stays.
    Failed(UserError),
}

impl Event {
    /// The step that the event belongs to, if it belongs to one.
    pub fn step(&self) -> Option<u64> {
        match self {
            Self::Progress { step, .. }
            | Self::Tensors { step, .. }
            | Self::Groups { step, .. }
            | Self::Epoch { step, .. }
            | Self::WhatIf { step, .. }
            | Self::Guard { step, .. }
            | Self::Diagnosis { step, .. }
            | Self::Shadow { step, .. }
            | Self::Memory { step, .. } => Some(*step),
            _ => None,
        }
    }

    /// Adds the event's figures to the curves of a run, by step: `loss/train`, `loss/validation`,
    /// `learning_rate`, `rows_per_second`, `metric/<name>` and, per tensor, `<tensor>/amax`,
    /// `<tensor>/scale` (exponent), `<tensor>/saturated` and `<tensor>/flushed` (shares); with an f32
    /// run beside it `loss/f32`, `loss/gap` (relative) and `<layer>/cosine`.
    pub fn record(&self, store: &mut Store) {
        match self {
            Self::Progress { step, loss, learning_rate, rows_per_second, .. } => {
                let x = *step as f64;
                store.push("loss/train", x, f64::from(*loss));
                store.push("learning_rate", x, f64::from(*learning_rate));
                store.push("rows_per_second", x, *rows_per_second);
            }
            Self::Tensors { step, tensors } => {
                let x = *step as f64;
                for tensor in tensors {
                    let (name, stats) = (&tensor.name, &tensor.stats);
                    let share = |n: u32| f64::from(n) / f64::from(stats.count.max(1));
                    store.push(&format!("{name}/amax"), x, f64::from(stats.amax));
                    store.push(&format!("{name}/scale"), x, f64::from(stats.scale_exponent));
                    store.push(&format!("{name}/saturated"), x, share(stats.saturated));
                    store.push(&format!("{name}/flushed"), x, share(stats.flushed));
                }
            }
            Self::Epoch { step, validation, .. } => {
                let x = *step as f64;
                if validation.rows > 0 {
                    store.push("loss/validation", x, f64::from(validation.loss));
                }
                for (kind, value) in &validation.metrics {
                    store.push(&format!("metric/{}", kind.label()), x, *value);
                }
            }
            Self::Shadow { step, loss, gap, cosines } => {
                let x = *step as f64;
                store.push("loss/f32", x, f64::from(*loss));
                store.push("loss/gap", x, *gap);
                for (layer, cosine) in cosines {
                    store.push(&format!("{layer}/cosine"), x, f64::from(*cosine));
                }
            }
            Self::Groups { step, groups, .. } => {
                for (name, _, value) in groups {
                    store.push(&format!("group/{name}"), *step as f64, *value);
                }
            }
            Self::State(_)
            | Self::Encoding { .. }
            | Self::WhatIf { .. }
            | Self::Guard { .. }
            | Self::Diagnosis { .. }
            | Self::Memory { .. }
            | Self::Started { .. }
            | Self::Log(_)
            | Self::Finished(_)
            | Self::Failed(_) => {}
        }
    }
}

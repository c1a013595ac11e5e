//! What a run keeps: its best parameters and the state to go on from.

use std::time::{Duration, Instant};

use super::Session;
use crate::error::TrainError;
use crate::metrics::Scores;
use crate::train::checkpoint::{self, Best};

/// Longest time without a checkpoint.
const SAVE_AT_LEAST_EVERY: Duration = Duration::from_secs(10);
/// Shortest time between the checkpoints of epochs; shorter epochs share one.
const SAVE_AT_MOST_EVERY: Duration = Duration::from_millis(500);
/// Between two saves at least this many times what a save takes, so that a slow disk or a large
/// network does not make a run wait more than train.
const SAVE_TIMES: u32 = 20;

impl Session<'_> {
    pub(super) fn keep_as_best(&mut self, validation: Scores, loss: f64) -> Result<(), TrainError> {
        self.best_params = Some(self.data.engine.read_params()?);
        self.best_saved = false;
        self.at.best =
            Some(Best { epoch: self.at.epoch + 1, step: self.at.step, loss, validation });
        Ok(())
    }

    /// Saves if the epoch under way goes on for long.
    pub(super) fn save_within_epoch(&mut self) -> Result<(), TrainError> {
        self.save_if_due(SAVE_AT_LEAST_EVERY)
    }

    /// Saves at the end of an epoch, unless that was done just now.
    pub(super) fn save_after_epoch(&mut self) -> Result<(), TrainError> {
        if self.data.mechanism.is_some() && !self.best_saved {
            // What is kept must belong to the steps that are counted, also after a crash.
            return self.save();
        }
        self.save_if_due(SAVE_AT_MOST_EVERY)
    }

    fn save_if_due(&mut self, after: Duration) -> Result<(), TrainError> {
        if self.last_save.elapsed() >= after.max(self.save_took * SAVE_TIMES) {
            self.save()?;
        }
        Ok(())
    }

    pub(super) fn seconds(&self) -> f64 {
        self.seconds_before + self.clock.elapsed().saturating_sub(self.paused).as_secs_f64()
    }

    /// Writes the checkpoints. The best one first: a crash in between leaves a last checkpoint from
    /// which the same best one is reached again.
    pub(super) fn save(&mut self) -> Result<(), TrainError> {
        let begin = Instant::now();
        self.at.seconds = self.seconds();
        if !self.best_saved
            && let (Some(params), Some(best)) = (&self.best_params, &self.at.best)
        {
            checkpoint::save_best(&self.folder.best_checkpoint(), params, best)?;
            self.best_saved = true;
        }
        // The log must not lack what the checkpoint has behind it.
        self.reporter.flush_log();
        let mut tensors = checkpoint::capture(self.data.engine.as_mut())?;
        if let Some(shadow) = &mut self.shadow {
            tensors.extend(checkpoint::capture_shadow(shadow.as_mut())?);
        }
        checkpoint::save_last(&self.folder.last_checkpoint(), &tensors, &self.at)?;
        self.last_save = Instant::now();
        self.save_took = begin.elapsed();
        Ok(())
    }
}

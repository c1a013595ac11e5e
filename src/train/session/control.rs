//! What the watcher wants while a run trains.

use std::time::Instant;

use crossbeam::channel::TryRecvError;

use super::Session;
use crate::error::TrainError;
use crate::train::{Control, RunState, StopReason};

/// What the watcher wants at this point.
pub(super) enum Wish {
    GoOn,
    Stop,
    Cancel,
    Leave,
}

impl Wish {
    /// The end that it leads to, if it does.
    pub(super) fn end(&self) -> Option<LoopEnd> {
        match self {
            Self::GoOn => None,
            Self::Stop => Some(LoopEnd::Reason(StopReason::Stopped)),
            Self::Cancel => Some(LoopEnd::Cancel),
            Self::Leave => Some(LoopEnd::Leave),
        }
    }
}

/// Why the training loop ended.
pub(super) enum LoopEnd {
    Reason(StopReason),
    Cancel,
    Leave,
}

impl Session<'_> {
    /// What the watcher wants; holds here while paused.
    pub(super) fn wish(&mut self) -> Result<Wish, TrainError> {
        loop {
            match self.control.try_recv() {
                Err(TryRecvError::Empty) => return Ok(Wish::GoOn),
                Ok(Control::Resume) => {}
                Err(TryRecvError::Disconnected) => return Ok(Wish::Leave),
                Ok(Control::StopAndKeepBest) => return Ok(Wish::Stop),
                Ok(Control::Cancel) => return Ok(Wish::Cancel),
                Ok(Control::UndoGuard(id)) => self.undo_guard(id)?,
                Ok(Control::Pause) => match self.hold()? {
                    Wish::GoOn => {}
                    wish => return Ok(wish),
                },
            }
        }
    }

    /// Holds until the watcher says how to go on.
    pub(super) fn hold(&mut self) -> Result<Wish, TrainError> {
        let begin = Instant::now();
        self.save()?;
        self.enter(RunState::Paused)?;
        let wish = loop {
            match self.control.recv() {
                Ok(Control::Pause) => {}
                Ok(Control::UndoGuard(id)) => {
                    self.undo_guard(id)?;
                    self.save()?;
                }
                Ok(Control::Resume) => break Wish::GoOn,
                Ok(Control::StopAndKeepBest) => break Wish::Stop,
                Ok(Control::Cancel) => break Wish::Cancel,
                Err(_) => break Wish::Leave,
            }
        };
        self.paused += begin.elapsed();
        self.recent.paused += begin.elapsed();
        if matches!(wish, Wish::GoOn) {
            self.enter(RunState::Running)?;
        }
        Ok(wish)
    }
}

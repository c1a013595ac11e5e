//! wgpu executor.

use super::{Batch, Engine, EngineInfo, StepParams};
use crate::error::EngineError;
use crate::plan::{BufferId, Plan};

/// Runs a plan on a GPU.
pub struct WgpuEngine {
    never: std::convert::Infallible,
}

impl WgpuEngine {
    /// Opens the best adapter; a software adapter only if `software_allowed`.
    pub fn open(plan: Plan, software_allowed: bool) -> Result<Self, EngineError> {
        let _ = (plan, software_allowed);
        Err(EngineError::NoAdapter("this build has no GPU engine".to_owned()))
    }
}

impl Engine for WgpuEngine {
    fn info(&self) -> EngineInfo {
        match self.never {}
    }

    fn plan(&self) -> &Plan {
        match self.never {}
    }

    fn train(&mut self, _: &[Batch], _: &[StepParams]) -> Result<Vec<f32>, EngineError> {
        match self.never {}
    }

    fn prepare_eval(&mut self) -> Result<(), EngineError> {
        match self.never {}
    }

    fn evaluate(&mut self, _: &Batch) -> Result<(Vec<f32>, f32), EngineError> {
        match self.never {}
    }

    fn read(&mut self, _: BufferId) -> Result<Vec<u32>, EngineError> {
        match self.never {}
    }

    fn write(&mut self, _: BufferId, _: &[u32]) -> Result<(), EngineError> {
        match self.never {}
    }
}

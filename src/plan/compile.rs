//! Compiles a model into a plan.
use super::{Plan, PlanConfig};
use crate::error::EngineError;
use crate::model::ModelSpec;

/// Compiles `model` for `config`.
pub fn compile(model: &ModelSpec, config: &PlanConfig) -> Result<Plan, EngineError> {
    let _ = (model, config);
    todo!()
}

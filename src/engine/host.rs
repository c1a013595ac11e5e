//! What both engines do on the host: check batches, pad them, compute the step state.

use super::{Batch, StepParams};
use crate::error::EngineError;
use crate::model::Head;
use crate::model::init::Param;
use crate::plan::{BufferId, Optimizer, Plan, step_state};

fn fault(op: &'static str, what: String) -> EngineError {
    EngineError::Shape { op, what }
}

/// Checks the lengths of a batch and the range of its classes. Training needs at least one row and
/// a target per row; evaluation takes batches without targets.
pub fn check_batch(plan: &Plan, batch: &Batch, training: bool) -> Result<(), EngineError> {
    let op = if training { "train" } else { "evaluate" };
    let rows = batch.rows;
    if rows > plan.config.batch || (training && rows == 0) {
        let most = plan.config.batch;
        return Err(fault(op, format!("{rows} rows; the plan takes 1 to {most}")));
    }
    let want = |what: &str, len: usize, want: usize| {
        if len == want {
            Ok(())
        } else {
            Err(fault(op, format!("{len} {what} for {rows} rows; {want} are needed")))
        }
    };
    want("dense inputs", batch.dense.len(), rows * plan.model.input.dense)?;
    want("category indices", batch.categories.len(), rows * plan.model.input.embeddings.len())?;
    if training || !batch.targets.is_empty() {
        want("targets", batch.targets.len(), rows)?;
    }
    if !batch.weights.is_empty() {
        want("sample weights", batch.weights.len(), rows)?;
    }
    if let Head::Classes { count } = plan.model.head
        && let Some(bad) = batch.targets.iter().find(|t| **t as usize >= count)
    {
        return Err(fault(op, format!("class {bad} among the targets; there are {count}")));
    }
    Ok(())
}

/// Checks that there is one step per batch and that every batch fits.
pub fn check_batches(
    plan: &Plan,
    batches: &[Batch],
    steps: &[StepParams],
) -> Result<(), EngineError> {
    if batches.len() != steps.len() {
        let what = format!("{} batches but {} steps", batches.len(), steps.len());
        return Err(fault("train", what));
    }
    batches.iter().try_for_each(|b| check_batch(plan, b, true))
}

/// Checks names, shapes and lengths of parameters against a plan.
pub fn check_params(plan: &Plan, params: &[Param]) -> Result<(), EngineError> {
    if params.len() != plan.params.len() {
        let what = format!("{} parameters; the model has {}", params.len(), plan.params.len());
        return Err(fault("load parameters", what));
    }
    for (param, want) in params.iter().zip(&plan.params) {
        let len: usize = want.shape.iter().product();
        if param.name != want.name || param.shape != want.shape || param.values.len() != len {
            return Err(fault(
                "load parameters",
                format!(
                    "{} {:?} with {} values where {} {:?} belongs",
                    param.name,
                    param.shape,
                    param.values.len(),
                    want.name,
                    want.shape
                ),
            ));
        }
    }
    Ok(())
}

/// Checks the length of words to be written.
pub fn check_words(plan: &Plan, id: BufferId, len: usize) -> Result<(), EngineError> {
    match plan.buffers.get(id.index()) {
        Some(buffer) if buffer.words == len => Ok(()),
        Some(buffer) => {
            let what = format!("{len} words for {} of {}", buffer.name, buffer.words);
            Err(fault("write", what))
        }
        None => Err(fault("write", format!("no buffer {}", id.0))),
    }
}

/// The step state of one training step or, with default parameters, of an evaluation.
pub fn step_words(plan: &Plan, rows: usize, params: &StepParams) -> [u32; step_state::WORDS] {
    let correction = |beta: f32| {
        let power = f64::from(beta).powf(params.step.max(1) as f64);
        (1.0 / (1.0 - power)) as f32
    };
    let (c1, c2) = match plan.config.optimizer {
        Optimizer::AdamW { beta1, beta2, .. } => (correction(beta1), correction(beta2)),
        Optimizer::Sgd { .. } => (1.0, 1.0),
    };
    let mut words = [0; step_state::WORDS];
    words[step_state::STEP] = params.step as u32;
    words[step_state::VALID] = rows as u32;
    words[step_state::SEED] = params.seed;
    words[step_state::LEARNING_RATE] = params.learning_rate.to_bits();
    words[step_state::BETA1_CORRECTION] = c1.to_bits();
    words[step_state::BETA2_CORRECTION] = c2.to_bits();
    words[step_state::INV_VALID] = (1.0 / rows.max(1) as f32).to_bits();
    words
}

/// What stands for the weights of a batch that gives none: all 1.
pub fn equal_weights(plan: &Plan) -> Vec<u32> {
    vec![1f32.to_bits(); plan.config.batch]
}

/// Writes a checked batch, padded with zeros to the plan's batch, and its step state. `write` gets
/// each input buffer, the words to put at its start, and fills the rest of the buffer with zeros.
/// `equal` is [`equal_weights`], which the engine keeps.
pub fn stage(
    plan: &Plan,
    batch: &Batch,
    params: &StepParams,
    equal: &[u32],
    mut write: impl FnMut(BufferId, &[u32]) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    write(plan.step, &step_words(plan, batch.rows, params))?;
    write(plan.dense, bytemuck::cast_slice(&batch.dense))?;
    write(plan.categories, &batch.categories)?;
    write(plan.targets, &batch.targets)?;
    if batch.weights.is_empty() {
        write(plan.sample_weights, equal.get(..batch.rows).unwrap_or(equal))
    } else {
        write(plan.sample_weights, bytemuck::cast_slice(&batch.weights))
    }
}

/// Step parameters of an evaluation: nothing in it depends on them.
pub const EVALUATION: StepParams = StepParams { step: 1, learning_rate: 0.0, seed: 0 };

//! Whether the settings can be compiled.

use super::fault;
use crate::error::EngineError;
use crate::fp8::{Precision, Scaling};
use crate::kernels::quantise::HISTORY_WORDS;
use crate::model::{MAX_ELEMENTS, ModelSpec, Shape};
use crate::plan::{
    MAX_ACCUMULATE, MasterFormat, MomentFormat, Optimizer, PlanConfig, UpdateOptions,
};

/// Largest margin of a recipe; more would push most values into the subnormal codes.
const MAX_MARGIN: u32 = 8;

pub(super) fn config(model: &ModelSpec, config: &PlanConfig) -> Result<(), EngineError> {
    let widest = model
        .shapes()?
        .into_iter()
        .map(Shape::len)
        .chain([model.input.width(), model.input.embeddings.len()])
        .max()
        .unwrap_or(1);
    if config.batch == 0 || config.batch.checked_mul(widest).is_none_or(|n| n > MAX_ELEMENTS) {
        return Err(fault(format!(
            "batch size {} with layers up to {widest} wide; it must be at least 1 and the product at \
             most {MAX_ELEMENTS}",
            config.batch
        )));
    }
    if let Precision::Fp8(recipe) = config.precision {
        if recipe.margin > MAX_MARGIN {
            return Err(fault(format!("margin {} is more than {MAX_MARGIN}", recipe.margin)));
        }
        if let Scaling::Delayed { history, .. } = recipe.scaling
            && !(1..=HISTORY_WORDS as u32).contains(&history)
        {
            return Err(fault(format!("amax history {history} is not in 1..={HISTORY_WORDS}")));
        }
    }
    let unit = |name: &str, v: f32| {
        if (0.0..1.0).contains(&v) {
            Ok(())
        } else {
            Err(fault(format!("{name} {v} is not in 0..1")))
        }
    };
    let positive = |name: &str, v: f32| {
        if v >= 0.0 && v.is_finite() {
            Ok(())
        } else {
            Err(fault(format!("{name} {v} is negative")))
        }
    };
    update(config)?;
    rows_alone(model, config)?;
    match config.optimizer {
        Optimizer::AdamW { beta1, beta2, epsilon, weight_decay } => {
            unit("beta1", beta1)?;
            unit("beta2", beta2)?;
            positive("epsilon", epsilon)?;
            positive("weight decay", weight_decay)
        }
        Optimizer::Sgd { momentum, weight_decay } => {
            unit("momentum", momentum)?;
            positive("weight decay", weight_decay)
        }
    }
}

/// Gradients of single rows are asked for only where they can be told apart.
fn rows_alone(model: &ModelSpec, config: &PlanConfig) -> Result<(), EngineError> {
    let Some(limit) = config.update.row_clip else { return Ok(()) };
    if !(limit > 0.0 && limit.is_finite()) {
        return Err(fault(format!("clipping norm of rows {limit} is not above 0")));
    }
    if config.batch != 1 || config.update.accumulate != 1 || config.update.clip_norm.is_some() {
        let what = "gradients of single rows need batches of one row and no other clipping";
        return Err(fault(what.to_owned()));
    }
    if model.nodes.iter().any(|n| matches!(n.layer, crate::model::Layer::BatchNorm { .. })) {
        let what = "batch normalisation mixes rows, so single rows have no gradients of their own";
        return Err(fault(what.to_owned()));
    }
    let delayed = |recipe: crate::fp8::Recipe| matches!(recipe.scaling, Scaling::Delayed { .. });
    if config.precision.recipe().is_some_and(delayed) {
        let what = "scales of delayed scaling depend on earlier rows; choose another recipe";
        return Err(fault(what.to_owned()));
    }
    Ok(())
}

fn update(config: &PlanConfig) -> Result<(), EngineError> {
    let UpdateOptions { moments, master, clip_norm, accumulate, average, row_clip: _, lean: _ } =
        config.update;
    let compact = moments != MomentFormat::F32 || master != MasterFormat::F32;
    if compact && !matches!(config.optimizer, Optimizer::AdamW { .. }) {
        return Err(fault("compact optimiser state is only for AdamW".to_owned()));
    }
    if let Some(limit) = clip_norm
        && !(limit > 0.0 && limit.is_finite())
    {
        return Err(fault(format!("clipping norm {limit} is not above 0")));
    }
    if !(1..=MAX_ACCUMULATE).contains(&accumulate) {
        return Err(fault(format!(
            "{accumulate} batches per update is not in 1..={MAX_ACCUMULATE}"
        )));
    }
    match average {
        Some(decay) if !(0.0..1.0).contains(&decay) => {
            Err(fault(format!("averaging decay {decay} is not in 0..1")))
        }
        _ => Ok(()),
    }
}

//! Compiles a model into a plan: `builder` allocates, `quantise` applies the recipe and `operands`
//! the precision, `forward`, `backward` and `update` write the training step, `evaluate` the
//! evaluation. `layers`, `image` and `norm` hold the calls of single layers, `gradients` keeps track
//! of who still needs what.

mod backward;
mod builder;
mod check;
mod evaluate;
mod forward;
mod gradients;
mod image;
mod layers;
mod loss;
mod norm;
mod operands;
mod quantise;
mod stream;
mod update;

use super::{Adjustments, Plan, PlanConfig, kept, memory};
use crate::error::EngineError;
use crate::kernels::conv::{ConvShape, Kept};
use crate::kernels::gemm::{Gemm, Operand};
use crate::kernels::pool::PoolShape;
use crate::kernels::{BufferId, Op};
use crate::model::ModelSpec;
use builder::Compiler;

/// Compiles `model` for `config`.
///
/// # Errors
/// [`EngineError::Shape`] if the model or a setting is not usable.
pub fn compile(model: &ModelSpec, config: &PlanConfig) -> Result<Plan, EngineError> {
    compile_as(model, config, &Adjustments::default(), false)
}

/// As [`compile`], with departures from the recipe. Tensors, state and statistics have the same
/// names and places whatever these are, so that a run can take them on between two steps.
///
/// # Errors
/// As [`compile`].
pub fn compile_adjusted(
    model: &ModelSpec,
    config: &PlanConfig,
    adjustments: &Adjustments,
) -> Result<Plan, EngineError> {
    compile_as(model, config, adjustments, false)
}

/// As [`compile`]; the training step also leaves the gradient of the loss with respect to what the
/// first layer sees, in [`Plan::input_gradient`].
///
/// # Errors
/// As [`compile`].
pub fn compile_with_input_gradient(
    model: &ModelSpec,
    config: &PlanConfig,
) -> Result<Plan, EngineError> {
    compile_as(model, config, &Adjustments::default(), true)
}

fn compile_as(
    model: &ModelSpec,
    config: &PlanConfig,
    adjustments: &Adjustments,
    of_inputs: bool,
) -> Result<Plan, EngineError> {
    model.validate()?;
    check::config(model, config)?;
    let mut c = Compiler::new(model, config, adjustments)?;
    c.of_inputs = of_inputs;
    let train_step = c.train_step()?;
    let update_step = c.update_step();
    let params = c.params.clone();
    c.use_averages();
    c.rows = c.eval_rows();
    let eval_rows = c.rows as usize;
    let (prepare_eval, eval_step) = c.evaluation()?;
    let Compiler { mut buffers, watched, io, gradient_norm, input_gradient, .. } = c;
    let keep = kept(&params, config.update.lean, input_gradient);
    let lists: [&[Op]; 4] = [&train_step, &update_step, &prepare_eval, &eval_step];
    let slots = memory::assign(&mut buffers, &lists, &keep);
    Ok(Plan {
        model: model.clone(),
        config: config.clone(),
        adjustments: adjustments.clone(),
        buffers,
        slots,
        params,
        watched,
        train_step,
        update_step,
        prepare_eval,
        eval_step,
        eval_rows,
        dense: io.dense,
        categories: io.categories,
        targets: io.targets,
        sample_weights: io.sample_weights,
        step: io.step,
        losses: io.losses,
        loss_sum: io.loss_sum,
        outputs: io.outputs,
        stats: io.stats,
        history: io.history,
        gradient_norm,
        input_gradient,
    })
}

fn fault(what: String) -> EngineError {
    EngineError::Shape { op: "plan", what }
}

/// A matrix `[rows, cols]` in f32.
#[derive(Clone, Copy)]
struct Matrix {
    buffer: BufferId,
    cols: u32,
}

/// What a node leaves for its backward pass.
enum Saved {
    /// `x` is the operand that the weight gradient takes.
    Dense {
        x: Operand,
        weight: Operand,
        pre: Option<BufferId>,
    },
    /// As `Dense`.
    Conv {
        x: Operand,
        weight: Operand,
        shape: ConvShape,
        kept: Kept,
    },
    LayerNorm {
        x: BufferId,
        moments: BufferId,
    },
    BatchNorm {
        x: BufferId,
        moments: BufferId,
    },
    MaxPool {
        shape: PoolShape,
        winners: BufferId,
    },
    AvgPool {
        shape: PoolShape,
    },
    Add {
        kept: Kept,
    },
    Dropout,
    /// The output is the input: a flattening, or a pooling that the convolution before it does.
    Same,
}

/// A product of two operands, checked.
fn gemm(a: Operand, b: Operand, out: BufferId) -> Result<Op, EngineError> {
    let (m, k) = if a.transpose { (a.cols, a.rows) } else { (a.rows, a.cols) };
    let n = if b.transpose { b.rows } else { b.cols };
    let gemm = Gemm { a, b, out, m, n, k, all_m: m };
    gemm.check()?;
    Ok(Op::Gemm(gemm))
}

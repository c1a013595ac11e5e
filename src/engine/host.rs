//! What both engines do on the host: check batches, pad them, compute the step state.

use super::{Batch, Engine, StepParams};
use crate::error::EngineError;
use crate::fp8::bf16;
use crate::kernels::bf16::packed_words;
use crate::model::Head;
use crate::model::init::Param;
use crate::plan::{BufferId, MasterFormat, Optimizer, Plan, PlanParam, UpdateOptions, step_state};

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

/// The number, from 1, of the update that step `step` (from 1) belongs to.
pub fn update_number(plan: &Plan, step: u64) -> u64 {
    step.div_ceil(u64::from(plan.config.update.accumulate.max(1)))
}

/// Whether step `step` is followed by an update of its own call list.
pub fn updates_after(plan: &Plan, step: u64) -> bool {
    !plan.update_step.is_empty()
        && plan.config.update.row_clip.is_none()
        && step.is_multiple_of(u64::from(plan.config.update.accumulate.max(1)))
}

/// The step state of one training step or, with default parameters, of an evaluation.
pub fn step_words(plan: &Plan, rows: usize, params: &StepParams) -> [u32; step_state::WORDS] {
    let update = update_number(plan, params.step).max(1) as f64;
    let correction = |beta: f32| {
        let power = f64::from(beta).powf(update);
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
    let batches = plan.config.update.accumulate.max(1);
    words[step_state::INV_VALID] = (1.0 / (rows.max(1) as f32 * batches as f32)).to_bits();
    if let Some(decay) = plan.config.update.average {
        let decay = f64::from(decay).min((1.0 + update) / (10.0 + update));
        words[step_state::AVERAGE_RATE] = ((1.0 - decay) as f32).to_bits();
    }
    words
}

/// The step state of an update of its own.
///
/// # Errors
/// The plan updates in its training steps.
pub fn update_words(
    plan: &Plan,
    params: &StepParams,
) -> Result<[u32; step_state::WORDS], EngineError> {
    if plan.config.update.row_clip.is_none() {
        return Err(fault("update", "this plan updates in its training steps".to_owned()));
    }
    Ok(step_words(plan, 1, params))
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

/// Rows `from..from + rows` of a batch.
pub fn part(plan: &Plan, batch: &Batch, from: usize, rows: usize) -> Batch {
    let rows = rows.min(batch.rows.saturating_sub(from));
    fn of<T: Clone>(values: &[T], from: usize, rows: usize, width: usize) -> Vec<T> {
        values.get(from * width..(from + rows) * width).unwrap_or_default().to_vec()
    }
    let input = &plan.model.input;
    Batch {
        rows,
        dense: of(&batch.dense, from, rows, input.dense),
        categories: of(&batch.categories, from, rows, input.embeddings.len()),
        targets: of(&batch.targets, from, rows, 1),
        weights: of(&batch.weights, from, rows, 1),
    }
}

/// Evaluates a checked batch in parts that the plan can take at once; `run` gives the outputs of one
/// and the sum of its losses.
pub fn evaluate<E: Engine>(
    engine: &mut E,
    batch: &Batch,
    run: impl Fn(&mut E, &Batch) -> Result<(Vec<f32>, f32), EngineError>,
) -> Result<(Vec<f32>, f32), EngineError> {
    let rows = engine.plan().eval_rows.max(1);
    if batch.rows <= rows {
        return run(engine, batch);
    }
    let (mut outputs, mut loss) = (Vec::new(), 0.0);
    for from in (0..batch.rows).step_by(rows) {
        let own = part(engine.plan(), batch, from, rows);
        let (values, sum) = run(engine, &own)?;
        outputs.extend(values);
        loss += sum;
    }
    Ok((outputs, loss))
}

/// Step parameters of an evaluation: nothing in it depends on them.
pub const EVALUATION: StepParams = StepParams { step: 1, learning_rate: 0.0, seed: 0 };

/// Words of a parameter's master buffer that hold `values`.
pub fn pack(param: &PlanParam, values: &[f32]) -> Vec<u32> {
    let bits: &[u32] = bytemuck::cast_slice(values);
    if param.master == MasterFormat::F32 {
        return bits.to_vec();
    }
    let (rows, cols) = param.matrix();
    let mut words = vec![0; packed_words(rows, cols)];
    let cols = (cols as usize).max(1);
    for (row, out) in bits.chunks(cols).zip(words.chunks_mut(cols.div_ceil(2))) {
        bf16::encode(row, bytemuck::cast_slice_mut(out));
    }
    words
}

/// The values that a parameter's master buffer holds.
pub fn unpack(param: &PlanParam, words: &[u32]) -> Vec<f32> {
    if param.master == MasterFormat::F32 {
        return words.iter().copied().map(f32::from_bits).collect();
    }
    unpack_bf16(param, words)
}

/// The values of a packed bf16 copy of a parameter.
pub fn unpack_bf16(param: &PlanParam, words: &[u32]) -> Vec<f32> {
    let (rows, cols) = param.matrix();
    let mut values = vec![0.0; rows as usize * cols as usize];
    let cols = (cols as usize).max(1);
    for (row, out) in words.chunks(cols.div_ceil(2)).zip(values.chunks_mut(cols)) {
        bf16::decode(bytemuck::cast_slice(row), out);
    }
    values
}

/// Pairs of buffers that hold the same state in two plans. The amax history is among them only
/// where the plans have the same precision.
pub fn shared_state(from: &Plan, to: &Plan) -> Result<Vec<(BufferId, BufferId)>, EngineError> {
    let fail = |what: String| Err(fault("transfer", what));
    // How matrices are cut has no part in the state.
    let plain = |update: UpdateOptions| UpdateOptions { lean: false, ..update };
    if from.model != to.model {
        return fail("the plans are of different models".to_owned());
    }
    if from.config.optimizer != to.config.optimizer
        || plain(from.config.update) != plain(to.config.update)
    {
        return fail("the plans update weights in different ways".to_owned());
    }
    let words = |plan: &Plan, id: BufferId| plan.buffers.get(id.index()).map(|b| b.words);
    let mut pairs = Vec::new();
    for (name, target) in to.state() {
        let is_history = target == to.history;
        if is_history && from.config.precision != to.config.precision {
            continue;
        }
        let source = from.state().into_iter().find(|(n, _)| *n == name).map(|(_, id)| id);
        match source {
            Some(id) if words(from, id) == words(to, target) => pairs.push((id, target)),
            Some(_) => return fail(format!("{name} has another size")),
            None => return fail(format!("{name} is missing")),
        }
    }
    Ok(pairs)
}

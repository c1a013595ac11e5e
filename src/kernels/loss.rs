//! Losses with their gradients. Rows at or past `step_state::VALID` give zero loss and gradient.

use super::dispatch::{ROW_LANES, dispatch, groups, read, write};
use super::{Access, BufferId, Dispatch, Slots, math, parallel, step_state};
use crate::fp8::simd::vectorised;

/// Softmax cross-entropy, stable (row maximum subtracted). A target past the last class is read as
/// the last class (engines refuse such batches beforehand).
/// `losses[r] = w[r]·(log Σ exp(x) − x[target])`; `grad = w[r]·(softmax − onehot)·INV_VALID`.
#[derive(Debug, Clone, Copy)]
pub struct SoftmaxCrossEntropy {
    /// f32 `[rows, classes]`.
    pub logits: BufferId,
    /// u32 `[rows]`.
    pub targets: BufferId,
    /// f32 `[rows]`.
    pub weights: BufferId,
    /// f32 `[rows]`.
    pub losses: BufferId,
    /// f32 `[rows, classes]`; `None` in evaluation.
    pub grad: Option<BufferId>,
    /// Rows.
    pub rows: u32,
    /// Classes.
    pub classes: u32,
    /// Step state.
    pub step: BufferId,
}

/// Mean squared error: `losses[r] = w[r]·(y−t)²`; `grad = 2·w[r]·(y−t)·INV_VALID`.
#[derive(Debug, Clone, Copy)]
pub struct MeanSquaredError {
    /// f32 `[rows]`.
    pub outputs: BufferId,
    /// f32 `[rows]`.
    pub targets: BufferId,
    /// f32 `[rows]`.
    pub weights: BufferId,
    /// f32 `[rows]`.
    pub losses: BufferId,
    /// f32 `[rows]`; `None` in evaluation.
    pub grad: Option<BufferId>,
    /// Rows.
    pub rows: u32,
    /// Step state.
    pub step: BufferId,
}

/// The rows of a batch that a piece of the outputs belongs to.
#[derive(Clone, Copy)]
struct Rows<'a> {
    logits: &'a [f32],
    targets: &'a [u32],
    weights: &'a [f32],
    classes: usize,
    inv_valid: f32,
}

impl Rows<'_> {
    /// Target, limited to the classes that there are.
    fn target(&self, r: usize) -> usize {
        (self.targets[r] as usize).min(self.classes.saturating_sub(1))
    }
}

/// A NaN logit must reach the loss, and `f32::max` drops it; the sum of exponentials keeps it.
#[inline(always)]
fn largest(x: &[f32]) -> f32 {
    x.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

vectorised! {
    fn cross_entropy(rows: Rows<'_>, losses: &mut [f32]) {
        for (r, (loss, x)) in losses.iter_mut().zip(rows.logits.chunks_exact(rows.classes)).enumerate() {
            let max = largest(x);
            let sum = math::sum([x], |[v]| math::exp(v - max));
            *loss = rows.weights[r] * (sum.ln() + max - x[rows.target(r)]);
        }
    }
}

vectorised! {
    fn cross_entropy_with_gradient(rows: Rows<'_>, losses: &mut [f32], grad: &mut [f32]) {
        let both = rows.logits.chunks_exact(rows.classes).zip(grad.chunks_exact_mut(rows.classes));
        for (r, (loss, (x, grad))) in losses.iter_mut().zip(both).enumerate() {
            let (max, target) = (largest(x), rows.target(r));
            for (g, v) in grad.iter_mut().zip(x) {
                *g = math::exp(v - max);
            }
            let sum = math::sum([grad], |[v]| v);
            *loss = rows.weights[r] * (sum.ln() + max - x[target]);
            let factor = rows.weights[r] * rows.inv_valid;
            for (c, g) in grad.iter_mut().enumerate() {
                *g = factor * (*g / sum - f32::from(c == target));
            }
        }
    }
}

impl SoftmaxCrossEntropy {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let (rows, classes) = (self.rows as usize, self.classes as usize);
        let valid = slots.valid_rows(self.step, self.rows);
        let inv_valid = slots.step_f32(self.step, step_state::INV_VALID);
        let mut losses = slots.take(self.losses);
        let mut grad = self.grad.map(|id| slots.take(id));
        let (logits, targets) = (slots.f32(self.logits), slots.words(self.targets));
        let weights = slots.f32(self.weights);
        let batch = |row0: usize| Rows {
            logits: &logits[row0 * classes..],
            targets: &targets[row0..],
            weights: &weights[row0..],
            classes,
            inv_valid,
        };
        let (out, padding) = losses.f32()[..rows].split_at_mut(valid);
        padding.fill(0.0);
        let piece = parallel::rows_per_piece(classes);
        if classes == 0 {
            out.fill(0.0);
        } else if let Some(grad) = &mut grad {
            let (grad, padding) = grad.f32()[..rows * classes].split_at_mut(valid * classes);
            padding.fill(0.0);
            parallel::rows_of_two((out, 1), (grad, classes), piece, |row0, losses, grad| {
                cross_entropy_with_gradient(batch(row0), losses, grad);
            });
        } else {
            parallel::chunks(out, piece, |row0, losses| cross_entropy(batch(row0), losses));
        }
        slots.put(losses);
        if let Some(grad) = grad {
            slots.put(grad);
        }
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let (rows, classes) = (self.rows as usize, self.classes as usize);
        let mut list = vec![
            Access::read(self.logits, rows * classes),
            Access::read(self.targets, rows),
            Access::read(self.weights, rows),
            Access::write(self.losses, rows),
            Access::read(self.step, step_state::WORDS),
        ];
        list.extend(self.grad.map(|id| Access::write(id, rows * classes)));
        list
    }
}

impl MeanSquaredError {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let rows = self.rows as usize;
        let valid = slots.valid_rows(self.step, self.rows);
        let inv_valid = slots.step_f32(self.step, step_state::INV_VALID);
        let mut losses = slots.take(self.losses);
        let mut grad = self.grad.map(|id| slots.take(id));
        let (y, t) = (slots.f32(self.outputs), slots.f32(self.targets));
        let weights = slots.f32(self.weights);
        let out = losses.f32();
        out[..rows].fill(0.0);
        if let Some(grad) = &mut grad {
            grad.f32()[..rows].fill(0.0);
        }
        for r in 0..valid {
            let d = y[r] - t[r];
            out[r] = weights[r] * d * d;
            if let Some(grad) = &mut grad {
                grad.f32()[r] = 2.0 * weights[r] * d * inv_valid;
            }
        }
        slots.put(losses);
        if let Some(grad) = grad {
            slots.put(grad);
        }
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let rows = self.rows as usize;
        let mut list = vec![
            Access::read(self.outputs, rows),
            Access::read(self.targets, rows),
            Access::read(self.weights, rows),
            Access::write(self.losses, rows),
            Access::read(self.step, step_state::WORDS),
        ];
        list.extend(self.grad.map(|id| Access::write(id, rows)));
        list
    }
}

impl SoftmaxCrossEntropy {
    /// Dispatches of `shaders/loss.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let mut buffers = vec![
            read(self.logits),
            read(self.targets),
            read(self.weights),
            read(self.step),
            write(self.losses),
        ];
        let entry = match self.grad {
            None => "cross_entropy",
            Some(grad) => {
                buffers.push(write(grad));
                "cross_entropy_grad"
            }
        };
        let constants = [("LANES", ROW_LANES)];
        let params = [self.rows, self.classes];
        vec![dispatch("loss", entry, &constants, &buffers, &params, self.rows)]
    }
}

impl MeanSquaredError {
    /// Dispatches of `shaders/loss.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let mut buffers = vec![
            read(self.outputs),
            read(self.targets),
            read(self.weights),
            read(self.step),
            write(self.losses),
        ];
        let entry = match self.grad {
            None => "squared_error",
            Some(grad) => {
                buffers.push(write(grad));
                "squared_error_grad"
            }
        };
        let params = [self.rows, 1];
        vec![dispatch("loss", entry, &[], &buffers, &params, groups(self.rows))]
    }
}

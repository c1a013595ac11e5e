//! Losses with their gradients. Rows at or past `step_state::VALID` give zero loss and gradient.

use super::dispatch::{ROW_LANES, dispatch, groups, read, write};
use super::{Access, BufferId, Dispatch, Slots, step_state};

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
        let out = losses.f32();
        out[..rows].fill(0.0);
        if let Some(grad) = &mut grad {
            grad.f32()[..rows * classes].fill(0.0);
        }
        for r in 0..valid {
            let x = &logits[r * classes..(r + 1) * classes];
            let target = (targets[r] as usize).min(classes.saturating_sub(1));
            // A NaN logit must reach the loss, and `f32::max` would drop it; the sum below keeps it.
            let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f32 = x.iter().map(|v| (v - max).exp()).sum();
            out[r] = weights[r] * (sum.ln() + max - x[target]);
            if let Some(grad) = &mut grad {
                let factor = weights[r] * inv_valid;
                let row = &mut grad.f32()[r * classes..(r + 1) * classes];
                for (c, (g, v)) in row.iter_mut().zip(x).enumerate() {
                    let onehot = f32::from(c == target);
                    *g = factor * ((v - max).exp() / sum - onehot);
                }
            }
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

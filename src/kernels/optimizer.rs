//! Optimiser updates. Learning rate and bias corrections come from the step state.

use rayon::prelude::*;

use super::dispatch::{dispatch, groups, read, write};
use super::{Access, BufferId, Dispatch, Slots, parallel, step_state};

/// AdamW as in PyTorch: `w ← w·(1 − lr·λ)`, moments, then
/// `w ← w − lr·m·c1 / (sqrt(v·c2) + ε)` with c1, c2 the bias corrections; the moments are
/// `m ← β1·m + (1−β1)·g`, `v ← β2·v + (1−β2)·g²` with `1−β` computed in f32.
#[derive(Debug, Clone, Copy)]
pub struct AdamW {
    /// f32, updated.
    pub weight: BufferId,
    /// f32.
    pub gradient: BufferId,
    /// f32, updated.
    pub first: BufferId,
    /// f32, updated.
    pub second: BufferId,
    /// Elements.
    pub len: u32,
    /// β1.
    pub beta1: f32,
    /// β2.
    pub beta2: f32,
    /// ε.
    pub epsilon: f32,
    /// λ; 0 for biases, norms and tables.
    pub weight_decay: f32,
    /// Step state.
    pub step: BufferId,
}

/// SGD with momentum as in PyTorch: `g ← g + λw; v ← μv + g; w ← w − lr·v`.
#[derive(Debug, Clone, Copy)]
pub struct SgdMomentum {
    /// f32, updated.
    pub weight: BufferId,
    /// f32.
    pub gradient: BufferId,
    /// f32, updated.
    pub momentum_buffer: BufferId,
    /// Elements.
    pub len: u32,
    /// μ.
    pub momentum: f32,
    /// λ.
    pub weight_decay: f32,
    /// Step state.
    pub step: BufferId,
}

impl AdamW {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let len = self.len as usize;
        let number = |word| slots.step_f32(self.step, word);
        let rate = number(step_state::LEARNING_RATE);
        let c1 = number(step_state::BETA1_CORRECTION);
        let c2 = number(step_state::BETA2_CORRECTION);
        let keep = 1.0 - rate * self.weight_decay;
        let (b1, b2) = (self.beta1, self.beta2);
        let mut weight = slots.take(self.weight);
        let mut first = slots.take(self.first);
        let mut second = slots.take(self.second);
        let gradient = slots.f32(self.gradient);
        let update = |((w, m), (v, g)): ((&mut f32, &mut f32), (&mut f32, &f32))| {
            *w *= keep;
            *m = b1 * *m + (1.0 - b1) * g;
            *v = b2 * *v + (1.0 - b2) * g * g;
            *w -= rate * (*m * c1) / ((*v * c2).sqrt() + self.epsilon);
        };
        let (w, m, v) = (&mut weight.f32()[..len], first.f32(), second.f32());
        let piece = parallel::PIECE;
        if len <= piece {
            w.iter_mut().zip(m).zip(v.iter_mut().zip(gradient)).for_each(update);
        } else {
            w.par_chunks_mut(piece)
                .zip(m.par_chunks_mut(piece))
                .zip(v.par_chunks_mut(piece).zip(gradient.par_chunks(piece)))
                .for_each(|((w, m), (v, g))| {
                    w.iter_mut().zip(m).zip(v.iter_mut().zip(g)).for_each(update);
                });
        }
        slots.put(weight);
        slots.put(first);
        slots.put(second);
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let len = self.len as usize;
        vec![
            Access::update(self.weight, len),
            Access::read(self.gradient, len),
            Access::update(self.first, len),
            Access::update(self.second, len),
            Access::read(self.step, step_state::WORDS),
        ]
    }
}

impl SgdMomentum {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let len = self.len as usize;
        let rate = slots.step_f32(self.step, step_state::LEARNING_RATE);
        let mut weight = slots.take(self.weight);
        let mut velocity = slots.take(self.momentum_buffer);
        let gradient = slots.f32(self.gradient);
        let update = |((w, v), g): ((&mut f32, &mut f32), &f32)| {
            *v = self.momentum * *v + (g + self.weight_decay * *w);
            *w -= rate * *v;
        };
        let (w, v) = (&mut weight.f32()[..len], velocity.f32());
        let piece = parallel::PIECE;
        if len <= piece {
            w.iter_mut().zip(v).zip(gradient).for_each(update);
        } else {
            w.par_chunks_mut(piece)
                .zip(v.par_chunks_mut(piece))
                .zip(gradient.par_chunks(piece))
                .for_each(|((w, v), g)| w.iter_mut().zip(v).zip(g).for_each(update));
        }
        slots.put(weight);
        slots.put(velocity);
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let len = self.len as usize;
        vec![
            Access::update(self.weight, len),
            Access::read(self.gradient, len),
            Access::update(self.momentum_buffer, len),
            Access::read(self.step, step_state::WORDS),
        ]
    }
}

impl AdamW {
    /// Dispatches of `shaders/optimizer.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let buffers = [
            write(self.weight),
            read(self.gradient),
            read(self.step),
            write(self.first),
            write(self.second),
        ];
        let params = [
            self.len,
            self.beta1.to_bits(),
            self.beta2.to_bits(),
            self.epsilon.to_bits(),
            self.weight_decay.to_bits(),
        ];
        vec![dispatch("optimizer", "adamw", &[], &buffers, &params, groups(self.len))]
    }
}

impl SgdMomentum {
    /// Dispatches of `shaders/optimizer.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let buffers =
            [write(self.weight), read(self.gradient), read(self.step), write(self.momentum_buffer)];
        let params = [self.len, self.momentum.to_bits(), self.weight_decay.to_bits()];
        vec![dispatch("optimizer", "sgd_momentum", &[], &buffers, &params, groups(self.len))]
    }
}

//! Optimiser updates. Learning rate and bias corrections come from the step state.

use rayon::prelude::*;

use super::dispatch::{dispatch, groups, read, write};
use super::{Access, BufferId, Dispatch, Slots, parallel, step_state};
use crate::fp8::simd::vectorised;

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

#[derive(Clone, Copy)]
struct AdamConstants {
    keep: f32,
    rate: f32,
    beta1: f32,
    beta2: f32,
    correction1: f32,
    correction2: f32,
    epsilon: f32,
}

vectorised! {
    fn adamw(w: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32], c: AdamConstants) {
        let (rest1, rest2) = (1.0 - c.beta1, 1.0 - c.beta2);
        for (((w, m), v), g) in w.iter_mut().zip(m).zip(v).zip(g) {
            *m = c.beta1 * *m + rest1 * g;
            *v = c.beta2 * *v + rest2 * g * g;
            let step = c.rate * (*m * c.correction1) / ((*v * c.correction2).sqrt() + c.epsilon);
            *w = *w * c.keep - step;
        }
    }
}

vectorised! {
    fn sgd(w: &mut [f32], v: &mut [f32], g: &[f32], momentum: f32, decay: f32, rate: f32) {
        for ((w, v), g) in w.iter_mut().zip(v).zip(g) {
            *v = momentum * *v + (g + decay * *w);
            *w -= rate * *v;
        }
    }
}

impl AdamW {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let len = self.len as usize;
        let number = |word| slots.step_f32(self.step, word);
        let rate = number(step_state::LEARNING_RATE);
        let c1 = number(step_state::BETA1_CORRECTION);
        let c2 = number(step_state::BETA2_CORRECTION);
        let constants = AdamConstants {
            keep: 1.0 - rate * self.weight_decay,
            rate,
            beta1: self.beta1,
            beta2: self.beta2,
            correction1: c1,
            correction2: c2,
            epsilon: self.epsilon,
        };
        let mut weight = slots.take(self.weight);
        let mut first = slots.take(self.first);
        let mut second = slots.take(self.second);
        let gradient = &slots.f32(self.gradient)[..len];
        let (w, m, v) = (&mut weight.f32()[..len], first.f32(), second.f32());
        let piece = parallel::PIECE;
        if len <= piece {
            adamw(w, m, v, gradient, constants);
        } else {
            w.par_chunks_mut(piece)
                .zip(m.par_chunks_mut(piece))
                .zip(v.par_chunks_mut(piece).zip(gradient.par_chunks(piece)))
                .for_each(|((w, m), (v, g))| adamw(w, m, v, g, constants));
        }
        slots.put(weight);
        slots.put(first);
        slots.put(second);
    }

    fn buffers(&self) -> [(BufferId, bool); 5] {
        adam_buffers(self.weight, self.gradient, self.step, [self.first, self.second])
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let len = self.len as usize;
        adam_access(self.buffers(), len, [len; 3])
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
        let (w, v) = (&mut weight.f32()[..len], velocity.f32());
        let (mu, decay) = (self.momentum, self.weight_decay);
        let piece = parallel::PIECE;
        if len <= piece {
            sgd(w, v, gradient, mu, decay, rate);
        } else {
            w.par_chunks_mut(piece)
                .zip(v.par_chunks_mut(piece))
                .zip(gradient.par_chunks(piece))
                .for_each(|((w, v), g)| sgd(w, v, g, mu, decay, rate));
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

/// What the shaders of AdamW bind, in order.
pub(super) fn adam_buffers(
    weight: BufferId,
    gradient: BufferId,
    step: BufferId,
    [first, second]: [BufferId; 2],
) -> [(BufferId, bool); 5] {
    [write(weight), read(gradient), read(step), write(first), write(second)]
}

/// What AdamW reads and writes: `len` gradients, and the words of weights and both moments.
pub(super) fn adam_access(
    buffers: [(BufferId, bool); 5],
    len: usize,
    [weight, first, second]: [usize; 3],
) -> Vec<Access> {
    let words = [weight, len, step_state::WORDS, first, second];
    let access = |((id, written), words): ((BufferId, bool), usize)| match written {
        true => Access::update(id, words),
        false => Access::read(id, words),
    };
    buffers.into_iter().zip(words).map(access).collect()
}

impl AdamW {
    /// Dispatches of `shaders/optimizer.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let buffers = self.buffers();
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

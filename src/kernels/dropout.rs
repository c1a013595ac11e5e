//! Dropout by a counter hash, so that backward repeats the mask without storing it.

use super::dispatch::{dispatch, groups, read, write};
use super::{Access, BufferId, Dispatch, Slots, parallel, step_state};
use crate::fp8::hash;
use crate::fp8::simd::vectorised;

/// In place: `x[i] = keep(i) ? x[i] * s : 0` with `s = 1/(1−rate)` rounded once to f32.
///
/// `keep(i)` is `fp8::hash::bits(key, i) >= threshold` with
/// `key = fp8::hash::key(seed, step, DROPOUT_STREAM + layer)` and `threshold` = [`Dropout::threshold`].
/// The same call on the gradient is the backward pass.
#[derive(Debug, Clone, Copy)]
pub struct Dropout {
    /// f32 `[len]`, changed in place.
    pub x: BufferId,
    /// Elements.
    pub len: u32,
    /// Share dropped.
    pub rate: f32,
    /// Distinguishes layers in the hash.
    pub layer: u32,
    /// Step state.
    pub step: BufferId,
}

impl Dropout {
    /// floor(rate · 2^32), computed in f64; hash values below it are dropped.
    pub fn threshold(&self) -> u32 {
        (f64::from(self.rate) * 4_294_967_296.0) as u32
    }

    /// 1/(1−rate), computed in f64 and rounded to f32.
    pub fn scale(&self) -> f32 {
        (1.0 / (1.0 - f64::from(self.rate))) as f32
    }
}

vectorised! {
    /// `x[0]` is element `first` of the whole.
    fn drop_some(x: &mut [f32], key: u32, first: u32, threshold: u32, scale: f32) {
        for (i, v) in x.iter_mut().enumerate() {
            let keep = hash::bits(key, first.wrapping_add(i as u32)) >= threshold;
            *v = if keep { *v * scale } else { 0.0 };
        }
    }
}

impl Dropout {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let word = |w| slots.step_word(self.step, w);
        let stream = hash::DROPOUT_STREAM.wrapping_add(self.layer);
        let key = hash::key(word(step_state::SEED), word(step_state::STEP), stream);
        let (threshold, scale) = (self.threshold(), self.scale());
        let mut x = slots.take(self.x);
        parallel::pieces(&mut x.f32()[..self.len as usize], |start, piece| {
            drop_some(piece, key, start as u32, threshold, scale);
        });
        slots.put(x);
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        vec![Access::update(self.x, self.len as usize), Access::read(self.step, step_state::WORDS)]
    }
}

impl Dropout {
    /// Dispatches of `shaders/dropout.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let stream = hash::DROPOUT_STREAM.wrapping_add(self.layer);
        let params = [self.len, self.threshold(), self.scale().to_bits(), stream];
        let buffers = [write(self.x), read(self.step)];
        vec![dispatch("dropout", "dropout", &[], &buffers, &params, groups(self.len))]
    }
}

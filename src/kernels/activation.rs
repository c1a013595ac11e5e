//! Bias and activation, forward and backward.

use super::dispatch::{dispatch, groups, read, write};
use super::{Access, BufferId, Dispatch, Slots, math, parallel};
use crate::fp8::simd::vectorised;
use crate::model::Activation;

/// `pre = x + bias` (in place in `x`), `out = f(pre)`. With no activation, `out == x`.
///
/// ReLU is `x <= 0 ? 0 : x`, which keeps NaN so that divergence shows in the loss. GELU is
/// `0.5·x·(1 + tanh(u))`, `u = 0.7978845608·(x + 0.044715·x³)`, `u` clamped to ±15 before tanh.
/// SiLU is `x / (1 + exp(−x))`.
#[derive(Debug, Clone, Copy)]
pub struct BiasActivation {
    /// f32 `[rows, cols]`; becomes the pre-activation.
    pub x: BufferId,
    /// f32 `[cols]`.
    pub bias: BufferId,
    /// f32 `[rows, cols]`; equals `x` when `activation` is `None`.
    pub out: BufferId,
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub cols: u32,
    /// Non-linearity.
    pub activation: Option<Activation>,
}

/// `grad = grad · f'(pre)`, in place.
///
/// ReLU: `pre > 0 ? 1 : 0`. GELU: `0.5·(1+t) + 0.5·x·(1−t²)·0.7978845608·(1 + 0.134145·x²)` with
/// `t = tanh(u)`. SiLU: `s·(1 + x·(1−s))`, `s = 1/(1+exp(−x))`.
#[derive(Debug, Clone, Copy)]
pub struct ActivationBackward {
    /// f32, changed in place.
    pub grad: BufferId,
    /// Pre-activation.
    pub pre: BufferId,
    /// Elements.
    pub len: u32,
    /// Non-linearity.
    pub activation: Activation,
}

const GELU_SCALE: f32 = 0.797_884_6;
const GELU_CUBIC: f32 = 0.044_715;

/// f(x).
#[inline(always)]
pub(super) fn value(activation: Activation, x: f32) -> f32 {
    match activation {
        Activation::Relu => {
            if x <= 0.0 {
                0.0
            } else {
                x
            }
        }
        Activation::Gelu => 0.5 * x * (1.0 + math::tanh(GELU_SCALE * (x + GELU_CUBIC * x * x * x))),
        Activation::Silu => x / (1.0 + math::exp(-x)),
    }
}

/// g·f'(x). A ReLU lets the gradient pass or makes it 0: a product with 0 would be −0 or NaN at times,
/// and GPU drivers may drop the sign of a 0.
#[inline(always)]
pub(super) fn times_slope(activation: Activation, g: f32, x: f32) -> f32 {
    let slope = match activation {
        Activation::Relu => return if x > 0.0 { g } else { 0.0 },
        Activation::Gelu => {
            let t = math::tanh(GELU_SCALE * (x + GELU_CUBIC * x * x * x));
            let inner = GELU_SCALE * (1.0 + 3.0 * GELU_CUBIC * x * x);
            // At the ends (1 − t²) is 0 and must win over an infinite x².
            let tail = if t * t == 1.0 { 0.0 } else { 0.5 * x * (1.0 - t * t) * inner };
            0.5 * (1.0 + t) + tail
        }
        Activation::Silu => {
            let s = math::sigmoid(x);
            s * (1.0 + x * (1.0 - s))
        }
    };
    g * slope
}

/// A loop of its own for each non-linearity, so that it vectorises; `$name` is the constant.
macro_rules! per_activation {
    ($activation:expr, $name:ident => $body:expr) => {
        match $activation {
            Activation::Relu => {
                const $name: Activation = Activation::Relu;
                $body
            }
            Activation::Gelu => {
                const $name: Activation = Activation::Gelu;
                $body
            }
            Activation::Silu => {
                const $name: Activation = Activation::Silu;
                $body
            }
        }
    };
}

vectorised! {
    /// Adds `bias` to every row.
    fn add_bias(x: &mut [f32], bias: &[f32]) {
        for row in x.chunks_exact_mut(bias.len().max(1)) {
            for (x, b) in row.iter_mut().zip(bias) {
                *x += b;
            }
        }
    }
}

vectorised! {
    /// Adds `bias` to every row of `x`; `out` is f of that.
    fn forward(activation: Activation, x: &mut [f32], bias: &[f32], out: &mut [f32]) {
        let cols = bias.len().max(1);
        for (row, out) in x.chunks_exact_mut(cols).zip(out.chunks_exact_mut(cols)) {
            per_activation!(activation, F => for ((x, b), o) in row.iter_mut().zip(bias).zip(out) {
                *x += b;
                *o = value(F, *x);
            });
        }
    }
}

vectorised! {
    fn backward(activation: Activation, grad: &mut [f32], pre: &[f32]) {
        per_activation!(activation, F => for (g, x) in grad.iter_mut().zip(pre) {
            *g = times_slope(F, *g, *x);
        });
    }
}

impl BiasActivation {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let (len, cols) = (self.rows as usize * self.cols as usize, self.cols as usize);
        let mut x = slots.take(self.x);
        let mut out = self.activation.map(|activation| (activation, slots.take(self.out)));
        let bias = &slots.f32(self.bias)[..cols];
        let x_all = &mut x.f32()[..len];
        if let Some((activation, out)) = &mut out {
            let (x, out) = ((x_all, cols.max(1)), (&mut out.f32()[..len], cols.max(1)));
            parallel::rows_of_two(x, out, parallel::rows_per_piece(cols), |_, x, out| {
                forward(*activation, x, bias, out);
            });
        } else {
            parallel::rows(x_all, cols, |_, x| add_bias(x, bias));
        }
        slots.put(x);
        if let Some((_, out)) = out {
            slots.put(out);
        }
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let len = self.rows as usize * self.cols as usize;
        let mut list =
            vec![Access::update(self.x, len), Access::read(self.bias, self.cols as usize)];
        if self.activation.is_some() {
            list.push(Access::write(self.out, len));
        }
        list
    }
}

impl ActivationBackward {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let mut grad = slots.take(self.grad);
        let pre = slots.f32(self.pre);
        parallel::pieces(&mut grad.f32()[..self.len as usize], |start, piece| {
            backward(self.activation, piece, &pre[start..]);
        });
        slots.put(grad);
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let len = self.len as usize;
        vec![Access::update(self.grad, len), Access::read(self.pre, len)]
    }
}

/// `ACTIVATION` in the shader.
pub(super) fn code(activation: Option<Activation>) -> u32 {
    match activation {
        None => 0,
        Some(Activation::Relu) => 1,
        Some(Activation::Gelu) => 2,
        Some(Activation::Silu) => 3,
    }
}

impl BiasActivation {
    /// Dispatches of `shaders/activation.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let constants = [("ACTIVATION", code(self.activation))];
        let len = self.rows * self.cols;
        let mut buffers = vec![write(self.x), read(self.bias)];
        let entry = if self.activation.is_none() {
            "add_bias"
        } else {
            buffers.push(write(self.out));
            "forward"
        };
        let params = [len, self.cols];
        vec![dispatch("activation", entry, &constants, &buffers, &params, groups(len))]
    }
}

impl ActivationBackward {
    /// Dispatches of `shaders/activation.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let constants = [("ACTIVATION", code(Some(self.activation)))];
        let buffers = [write(self.grad), read(self.pre)];
        let params = [self.len, 1];
        vec![dispatch("activation", "backward", &constants, &buffers, &params, groups(self.len))]
    }
}

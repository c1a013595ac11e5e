//! Convolution of images `[rows, height, width, channels]` by implicit matrix products.
//!
//! No unrolled copy of the input exists. A piece (a few samples, or a band of one) is decoded into
//! a small zero-padded window, and the product reads the rows of the unrolled matrix straight from
//! it: every filter row covers consecutive values there. FP8 operands are multiplied in bf16, which
//! holds them exactly, where the processor can, else in f32; sums are f32.

mod epilogue;
mod forward;
mod gpu;
mod input_gradient;
mod layouts;
mod panels;
mod pieces;
#[cfg(test)]
mod tests;
mod tile;
mod weight_gradient;
mod window;

pub(super) use layouts::Layouts;

use super::gemm::Operand;
use super::{Access, BufferId};
use crate::error::EngineError;
use crate::model::Activation;

/// Sizes of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvShape {
    /// Samples.
    pub rows: u32,
    /// Input rows of pixels.
    pub height: u32,
    /// Input pixels of a row.
    pub width: u32,
    /// Input channels.
    pub channels: u32,
    /// Output rows of pixels, before any pooling.
    pub out_height: u32,
    /// Output pixels of a row, before any pooling.
    pub out_width: u32,
    /// Output channels.
    pub out_channels: u32,
    /// Height and width of a filter.
    pub kernel: u32,
    /// Pixels from one output to the next.
    pub stride: u32,
    /// Zero pixels added on every side.
    pub padding: u32,
    /// Groups.
    pub groups: u32,
}

/// What the forward pass keeps of a non-linearity for the backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Nothing: there is none, or no backward pass follows.
    Nothing,
    /// The values before it, f32 like the output.
    Pre(BufferId),
    /// One bit per value, set where it was above 0 (ReLU). Per pixel `ceil(channels / 32)` words,
    /// channel `c` at bit `c % 32` of word `c / 32`.
    Signs(BufferId),
    /// One byte per value of a fused pooling: the place of the winner in its window
    /// (0, 1 above; 2, 3 below), 4 if a ReLU then made it 0. Per pixel `ceil(channels / 4)` words.
    Winners(BufferId),
}

/// `out[n, y, x, o] = f(bias[o] + Σ x[n, y·s + i − p, x·s + j − p, c] · w[o, i, j, c])`, with zeros
/// outside the image and `c` running over the channels of the group of `o`.
///
/// With `pool`, windows of 2 × 2 outputs are replaced by their largest before `f`, which must then
/// be ReLU or nothing (the result is that of pooling after `f`); an odd last row or column is left
/// out. The first of equal values wins and NaN stays NaN.
#[derive(Debug, Clone, Copy)]
pub struct Conv {
    /// Images, one stored row per sample: `[rows, height · width · channels]`.
    pub x: Operand,
    /// Filters `[out_channels, kernel · kernel · channels / groups]`.
    pub weight: Operand,
    /// f32 `[out_channels]`.
    pub bias: Option<BufferId>,
    /// Sizes.
    pub shape: ConvShape,
    /// `f`.
    pub activation: Option<Activation>,
    /// Whether a 2 × 2 max-pooling is fused.
    pub pool: bool,
    /// f32 `[rows, out pixels, out_channels]`.
    pub out: BufferId,
    /// What is kept for the backward pass.
    pub kept: Kept,
}

/// Gradient of a [`Conv`]'s input from that of its output (before bias and non-linearity):
/// `grad_x[n, v, u, c] = Σ grad[n, y, x, o] · w[o, i, j, c]` over all `y·s + i − p = v`,
/// `x·s + j − p = u`.
#[derive(Debug, Clone, Copy)]
pub struct ConvInputGradient {
    /// Gradient of the output, one stored row per sample.
    pub grad: Operand,
    /// Set if the gradient is of the fused pooling's output: the [`Kept::Winners`] that say which
    /// of four values each gradient belongs to.
    pub winners: Option<BufferId>,
    /// Filters.
    pub weight: Operand,
    /// Sizes of the forward pass.
    pub shape: ConvShape,
    /// f32 `[rows, height · width · channels]`, overwritten.
    pub grad_x: BufferId,
}

/// Gradient of a [`Conv`]'s filters:
/// `grad_weight[o, i, j, c] = Σ_{n, y, x} grad[n, y, x, o] · x[n, y·s + i − p, x·s + j − p, c]`.
#[derive(Debug, Clone, Copy)]
pub struct ConvWeightGradient {
    /// Gradient of the output, one stored row per sample.
    pub grad: Operand,
    /// As in [`ConvInputGradient`].
    pub winners: Option<BufferId>,
    /// Images of the forward pass.
    pub x: Operand,
    /// Sizes of the forward pass.
    pub shape: ConvShape,
    /// f32 `[out_channels, kernel · kernel · channels / groups]`, overwritten.
    pub grad_weight: BufferId,
}

impl ConvShape {
    /// Values of one input image.
    pub fn image_len(&self) -> usize {
        self.height as usize * self.width as usize * self.channels as usize
    }

    /// Pixels of one output image.
    pub fn out_pixels(&self) -> usize {
        self.out_height as usize * self.out_width as usize
    }

    /// Pixels of one output image after a 2 × 2 pooling.
    pub fn pooled_pixels(&self) -> usize {
        (self.out_height as usize / 2) * (self.out_width as usize / 2)
    }

    /// Channels that one output sees.
    pub fn group_channels(&self) -> usize {
        self.channels as usize / self.groups.max(1) as usize
    }

    /// Outputs of one group.
    pub fn group_outputs(&self) -> usize {
        self.out_channels as usize / self.groups.max(1) as usize
    }

    /// Values of one filter.
    pub fn filter_len(&self) -> usize {
        self.kernel as usize * self.kernel as usize * self.group_channels()
    }

    /// Values of all filters.
    pub fn filters_len(&self) -> usize {
        self.out_channels as usize * self.filter_len()
    }

    /// Whether every channel has exactly one filter of its own.
    pub fn is_depthwise(&self) -> bool {
        self.groups == self.channels && self.out_channels == self.channels
    }

    /// Whether groups of outputs start on a byte of [`Kept::Signs`].
    pub fn keeps_signs(&self) -> bool {
        self.groups == 1 || self.is_depthwise() || self.group_outputs().is_multiple_of(8)
    }

    /// Whether groups of outputs start on a word of [`Kept::Winners`], as a fused pooling needs.
    pub fn keeps_winners(&self) -> bool {
        self.groups == 1 || self.is_depthwise() || self.group_outputs().is_multiple_of(4)
    }

    /// Checks the sizes against each other and against the stored operands.
    fn check(
        &self,
        op: &'static str,
        image: Option<&Operand>,
        weight: Option<&Operand>,
        grad: Option<(&Operand, bool)>,
    ) -> Result<(), EngineError> {
        let side = |n: u32| {
            (n + 2 * self.padding).checked_sub(self.kernel).map(|d| d / self.stride.max(1) + 1)
        };
        let matrix = |o: &Operand, rows: usize, cols: usize| {
            !o.transpose && o.rows as usize == rows && o.cols as usize == cols
        };
        let rows = self.rows as usize;
        let pixels = |pooled: bool| if pooled { self.pooled_pixels() } else { self.out_pixels() };
        let fits = self.stride > 0
            && self.groups > 0
            && self.padding < self.kernel
            && self.channels.is_multiple_of(self.groups)
            && self.out_channels.is_multiple_of(self.groups)
            && side(self.height) == Some(self.out_height)
            && side(self.width) == Some(self.out_width)
            && image.is_none_or(|o| matrix(o, rows, self.image_len()))
            && weight.is_none_or(|o| matrix(o, self.out_channels as usize, self.filter_len()))
            && grad.is_none_or(|(o, pooled)| {
                matrix(o, rows, pixels(pooled) * self.out_channels as usize)
            });
        if fits {
            return Ok(());
        }
        Err(EngineError::Shape { op, what: format!("operands do not fit {self:?}") })
    }
}

impl Conv {
    /// Pixels of one image of the result.
    fn result_pixels(&self) -> usize {
        if self.pool { self.shape.pooled_pixels() } else { self.shape.out_pixels() }
    }

    /// Words of a buffer of [`Kept`] for this many pixels of `channels`.
    pub fn kept_words(kept: Kept, pixels: usize, channels: usize) -> usize {
        match kept {
            Kept::Nothing => 0,
            Kept::Pre(_) => pixels * channels,
            Kept::Signs(_) => pixels * channels.div_ceil(32),
            Kept::Winners(_) => pixels * channels.div_ceil(4),
        }
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let pixels = self.shape.rows as usize * self.result_pixels();
        let channels = self.shape.out_channels as usize;
        let mut list = vec![Access::write(self.out, pixels * channels)];
        self.x.access(&mut list);
        self.weight.access(&mut list);
        list.extend(self.bias.map(|bias| Access::read(bias, channels)));
        if let Kept::Pre(id) | Kept::Signs(id) | Kept::Winners(id) = self.kept {
            list.push(Access::write(id, Self::kept_words(self.kept, pixels, channels)));
        }
        list
    }

    /// Whether shapes, activation, pooling and what is kept fit together.
    ///
    /// # Errors
    /// [`EngineError::Shape`] if not.
    pub fn check(&self) -> Result<(), EngineError> {
        self.shape.check("conv", Some(&self.x), Some(&self.weight), None)?;
        let relu_or_none = matches!(self.activation, None | Some(Activation::Relu));
        let fits = match self.kept {
            Kept::Nothing => true,
            Kept::Pre(_) => !self.pool && self.activation.is_some(),
            Kept::Signs(_) => {
                !self.pool && self.activation == Some(Activation::Relu) && self.shape.keeps_signs()
            }
            Kept::Winners(_) => self.pool && self.shape.keeps_winners(),
        };
        if fits && (relu_or_none || !self.pool) {
            return Ok(());
        }
        let what = format!("{:?} with {:?}, pool {}", self.activation, self.kept, self.pool);
        Err(EngineError::Shape { op: "conv", what })
    }
}

/// Access to the winners of a fused pooling.
fn winners_access(winners: Option<BufferId>, shape: &ConvShape) -> Option<Access> {
    let words = shape.rows as usize * shape.pooled_pixels();
    winners.map(|id| Access::read(id, words * (shape.out_channels as usize).div_ceil(4)))
}

impl ConvInputGradient {
    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let len = self.shape.rows as usize * self.shape.image_len();
        let mut list = vec![Access::write(self.grad_x, len)];
        self.grad.access(&mut list);
        self.weight.access(&mut list);
        list.extend(winners_access(self.winners, &self.shape));
        list
    }

    /// Whether the shapes fit together.
    ///
    /// # Errors
    /// [`EngineError::Shape`] if not.
    pub fn check(&self) -> Result<(), EngineError> {
        let grad = (&self.grad, self.winners.is_some());
        self.shape.check("conv input gradient", None, Some(&self.weight), Some(grad))
    }
}

impl ConvWeightGradient {
    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let len = self.shape.out_channels as usize * self.shape.filter_len();
        let mut list = vec![Access::write(self.grad_weight, len)];
        self.grad.access(&mut list);
        self.x.access(&mut list);
        list.extend(winners_access(self.winners, &self.shape));
        list
    }

    /// Whether the shapes fit together.
    ///
    /// # Errors
    /// [`EngineError::Shape`] if not.
    pub fn check(&self) -> Result<(), EngineError> {
        let grad = (&self.grad, self.winners.is_some());
        self.shape.check("conv weight gradient", Some(&self.x), None, Some(grad))
    }
}

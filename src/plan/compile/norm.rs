//! Calls of normalisations.

use super::Matrix;
use super::builder::Compiler;
use crate::error::EngineError;
use crate::kernels::batch_norm::{BatchNorm, BatchNormBackward, BatchNormEval};
use crate::kernels::layer_norm::{LayerNorm, LayerNormBackward};
use crate::kernels::{BufferId, Op};
use crate::model::Activation;
use crate::plan::Purpose;

impl Compiler<'_> {
    pub(super) fn layer_norm(
        &mut self,
        ops: &mut Vec<Op>,
        name: &str,
        list: &str,
        x: Matrix,
    ) -> Result<(Matrix, BufferId), EngineError> {
        let out = self.matrix(&format!("{list}.{name}.out"), Purpose::Activation, x.cols);
        let moments = self.matrix(&format!("{list}.{name}.moments"), Purpose::Activation, 2);
        ops.push(Op::LayerNorm(LayerNorm {
            x: x.buffer,
            gain: self.param(&format!("{name}.gain"))?.weight,
            shift: self.param(&format!("{name}.shift"))?.weight,
            out,
            moments,
            rows: self.rows,
            cols: x.cols,
        }));
        Ok((Matrix { buffer: out, cols: x.cols }, moments))
    }

    pub(super) fn layer_norm_backward(
        &mut self,
        ops: &mut Vec<Op>,
        name: &str,
        (x, moments): (BufferId, BufferId),
        grad: Matrix,
    ) -> Result<Matrix, EngineError> {
        let name_in = format!("{name}.input.gradient");
        let grad_in = self.matrix(&name_in, Purpose::Gradient, grad.cols);
        ops.push(Op::LayerNormBackward(LayerNormBackward {
            x,
            gain: self.param(&format!("{name}.gain"))?.weight,
            moments,
            grad_out: grad.buffer,
            grad_in,
            grad_gain: self.gradient(&format!("{name}.gain"))?,
            grad_shift: self.gradient(&format!("{name}.shift"))?,
            rows: self.rows,
            cols: grad.cols,
        }));
        Ok(Matrix { buffer: grad_in, ..grad })
    }

    /// Training form; `channels` of every pixel.
    pub(super) fn batch_norm(
        &mut self,
        ops: &mut Vec<Op>,
        name: &str,
        (x, channels): (Matrix, u32),
        activation: Option<Activation>,
    ) -> Result<(Matrix, BufferId), EngineError> {
        let out = self.matrix(&format!("train.{name}.out"), Purpose::Activation, x.cols);
        let words = 2 * channels as usize;
        let moments = self.transient(&format!("train.{name}.moments"), Purpose::Activation, words);
        let weight = |part: &str| Ok(self.param(&format!("{name}.{part}"))?.weight);
        ops.push(Op::BatchNorm(BatchNorm {
            x: x.buffer,
            gain: weight("gain")?,
            shift: weight("shift")?,
            out,
            moments,
            running_mean: weight("mean")?,
            running_variance: weight("variance")?,
            rows: self.rows,
            pixels: x.cols / channels.max(1),
            channels,
            activation,
            step: self.io.step,
        }));
        Ok((Matrix { buffer: out, cols: x.cols }, moments))
    }

    /// Evaluation form.
    pub(super) fn batch_norm_eval(
        &mut self,
        ops: &mut Vec<Op>,
        name: &str,
        (x, channels): (Matrix, u32),
        activation: Option<Activation>,
    ) -> Result<Matrix, EngineError> {
        let out = self.matrix(&format!("eval.{name}.out"), Purpose::Activation, x.cols);
        let weight = |part: &str| Ok(self.param(&format!("{name}.{part}"))?.weight);
        ops.push(Op::BatchNormEval(BatchNormEval {
            x: x.buffer,
            gain: weight("gain")?,
            shift: weight("shift")?,
            mean: weight("mean")?,
            variance: weight("variance")?,
            out,
            rows: self.rows * (x.cols / channels.max(1)),
            channels,
            activation,
        }));
        Ok(Matrix { buffer: out, cols: x.cols })
    }

    /// Turns `grad` into the gradient of the input, in place.
    pub(super) fn batch_norm_backward(
        &mut self,
        ops: &mut Vec<Op>,
        name: &str,
        (x, moments): (BufferId, BufferId),
        (grad, channels): (Matrix, u32),
        activation: Option<Activation>,
    ) -> Result<(), EngineError> {
        ops.push(Op::BatchNormBackward(BatchNormBackward {
            x,
            gain: self.param(&format!("{name}.gain"))?.weight,
            shift: self.param(&format!("{name}.shift"))?.weight,
            moments,
            grad: grad.buffer,
            grad_gain: self.gradient(&format!("{name}.gain"))?,
            grad_shift: self.gradient(&format!("{name}.shift"))?,
            rows: self.rows,
            pixels: grad.cols / channels.max(1),
            channels,
            activation,
            step: self.io.step,
        }));
        Ok(())
    }
}

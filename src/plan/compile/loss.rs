//! The loss of the head.

use super::builder::Compiler;
use crate::kernels::loss::{MeanSquaredError, SoftmaxCrossEntropy};
use crate::kernels::reduce::Sum;
use crate::kernels::{BufferId, Op};
use crate::model::Head;

impl Compiler<'_> {
    pub(super) fn loss(&self, outputs: BufferId, grad: Option<BufferId>) -> Op {
        let (rows, step) = (self.rows, self.io.step);
        let (targets, weights, losses) = (self.io.targets, self.io.sample_weights, self.io.losses);
        match self.model.head {
            Head::Classes { count } => Op::SoftmaxCrossEntropy(SoftmaxCrossEntropy {
                logits: outputs,
                targets,
                weights,
                losses,
                grad,
                rows,
                classes: count as u32,
                step,
            }),
            Head::Regression => Op::MeanSquaredError(MeanSquaredError {
                outputs,
                targets,
                weights,
                losses,
                grad,
                rows,
                step,
            }),
        }
    }

    pub(super) fn loss_sum(&self) -> Op {
        Op::Sum(Sum { x: self.io.losses, out: self.io.loss_sum, len: self.rows })
    }
}

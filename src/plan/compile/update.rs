//! The optimiser's part of the training step.

use super::builder::Compiler;
use crate::kernels::Op;
use crate::kernels::optimizer::{AdamW, SgdMomentum};
use crate::model::ParamKind;
use crate::plan::Optimizer;

impl Compiler<'_> {
    pub(super) fn update(&self, ops: &mut Vec<Op>) {
        let step = self.io.step;
        for (param, info) in self.params.iter().zip(self.model.parameters()) {
            let decays = matches!(info.kind, ParamKind::Weight { .. });
            let decay = |d: f32| if decays { d } else { 0.0 };
            let len = param.shape.iter().product::<usize>() as u32;
            let (weight, Some(gradient)) = (param.weight, param.gradient) else { continue };
            match (self.config.optimizer, param.moments.as_slice()) {
                (Optimizer::AdamW { beta1, beta2, epsilon, weight_decay }, &[first, second]) => {
                    ops.push(Op::AdamW(AdamW {
                        weight,
                        gradient,
                        first,
                        second,
                        len,
                        beta1,
                        beta2,
                        epsilon,
                        weight_decay: decay(weight_decay),
                        step,
                    }));
                }
                (Optimizer::Sgd { momentum, weight_decay }, &[momentum_buffer]) => {
                    ops.push(Op::SgdMomentum(SgdMomentum {
                        weight,
                        gradient,
                        momentum_buffer,
                        len,
                        momentum,
                        weight_decay: decay(weight_decay),
                        step,
                    }));
                }
                _ => {}
            }
        }
    }
}

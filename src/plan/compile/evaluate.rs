//! Evaluation: what runs before it and what runs per batch.

use super::builder::Compiler;
use crate::error::EngineError;
use crate::kernels::Op;
use crate::model::Layer;
use crate::plan::MasterFormat;

impl Compiler<'_> {
    /// From here on ops read the averages of parameters in place of the parameters.
    pub(super) fn use_averages(&mut self) {
        for param in &mut self.params {
            if let Some(average) = param.average {
                param.weight = average;
                param.master = MasterFormat::F32;
            }
        }
    }

    /// `prepare_eval` and `eval_step`.
    pub(super) fn evaluation(&mut self) -> Result<(Vec<Op>, Vec<Op>), EngineError> {
        let (mut prepare, mut ops) = (Vec::new(), Vec::new());
        let mut x = self.input(&mut ops, "eval")?;
        let model = self.model;
        for (i, node) in model.nodes.iter().enumerate() {
            let name = node.name.as_str();
            match node.layer {
                Layer::Dense { activation, .. } => {
                    let operands = self.eval_operands(&mut prepare, name, x)?;
                    let last = i + 1 == model.nodes.len();
                    let into = last.then_some(self.io.outputs);
                    (x, _) = self.dense(&mut ops, name, "eval", operands, activation, into)?;
                }
                Layer::LayerNorm => (x, _) = self.layer_norm(&mut ops, name, "eval", x)?,
                Layer::Dropout { .. } => {}
            }
        }
        ops.push(self.loss(self.io.outputs, None));
        ops.push(self.loss_sum());
        Ok((prepare, ops))
    }
}

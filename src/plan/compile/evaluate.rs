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
        let input = self.input(&mut ops, "eval")?;
        let model = self.model;
        let mut outputs = Vec::new();
        for (i, node) in model.nodes.iter().enumerate() {
            let name = node.name.as_str();
            let taken = self.taken(i, input, &outputs);
            let x = taken.first().copied().unwrap_or(input);
            let out = match node.layer {
                Layer::Dense { activation, .. } => {
                    let operands = self.eval_operands(&mut prepare, name, x)?;
                    let last = i + 1 == model.nodes.len();
                    let into = last.then_some(self.io.outputs);
                    self.dense(&mut ops, name, "eval", operands, activation, into)?.0
                }
                Layer::Conv2d { .. } => {
                    let operands = self.eval_operands(&mut prepare, name, x)?;
                    self.conv(&mut ops, i, "eval", operands, false)?.0
                }
                Layer::LayerNorm => self.layer_norm(&mut ops, name, "eval", x)?.0,
                Layer::BatchNorm { activation } => {
                    let channels = self.channels(i);
                    self.batch_norm_eval(&mut ops, name, (x, channels), activation)?
                }
                Layer::MaxPool { .. } if self.is_fused(i) => x,
                Layer::MaxPool { .. } => self.max_pool(&mut ops, i, (name, "eval"), x)?.0,
                Layer::AvgPool { .. } | Layer::GlobalAveragePool => {
                    self.avg_pool(&mut ops, i, (name, "eval"), x)?.0
                }
                Layer::Add { activation } => {
                    let both = (x, taken.get(1).copied().unwrap_or(x));
                    self.add(&mut ops, i, (name, "eval"), both, activation).0
                }
                Layer::Dropout { .. } | Layer::Flatten => x,
            };
            outputs.push(out);
        }
        ops.push(self.loss(self.io.outputs, None));
        ops.push(self.loss_sum());
        Ok((prepare, ops))
    }
}

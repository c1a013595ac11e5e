//! Evaluation: what runs before it and what runs per batch.

use super::builder::Compiler;
use crate::error::EngineError;
use crate::kernels::Op;
use crate::kernels::gemm::Operand;
use crate::model::Layer;

impl Compiler<'_> {
    /// `prepare_eval` and `eval_step`.
    pub(super) fn evaluation(&mut self) -> Result<(Vec<Op>, Vec<Op>), EngineError> {
        let (mut prepare, mut ops) = (Vec::new(), Vec::new());
        let mut x = self.input(&mut ops, "eval")?;
        let model = self.model;
        for (i, node) in model.nodes.iter().enumerate() {
            let name = node.name.as_str();
            match node.layer {
                Layer::Dense { activation, .. } => {
                    let param = self.param(&format!("{name}.weight"))?;
                    let rows = param.shape.first().copied().unwrap_or(0) as u32;
                    let master = param.weight;
                    let weight = match param.quantised {
                        Some(into) => {
                            let (op, operand) =
                                self.quantise(master, (rows, x.cols), into, true, None, false);
                            prepare.push(Op::Quantise(op));
                            operand
                        }
                        None => Operand::f32(master, rows, x.cols, false),
                    };
                    let input = Operand::f32(x.buffer, self.rows, x.cols, false);
                    let last = i + 1 == model.nodes.len();
                    let into = last.then_some(self.io.outputs);
                    (x, _) =
                        self.dense(&mut ops, name, "eval", (input, weight), activation, into)?;
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

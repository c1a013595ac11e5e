//! Which gradients wait for which node, and who may change them.

use std::collections::HashMap;

use super::Matrix;
use super::builder::Compiler;
use crate::kernels::elementwise::Accumulate;
use crate::kernels::{BufferId, Op};
use crate::model::Source;
use crate::plan::Purpose;

/// Gradients of node outputs during the backward pass. One buffer may be the gradient of several
/// nodes (both terms of a sum); it may be changed only by its last holder.
pub(super) struct Gradients {
    nodes: Vec<Option<Matrix>>,
    input: Option<Matrix>,
    holders: HashMap<BufferId, usize>,
}

impl Gradients {
    /// None yet, for this many nodes.
    pub(super) fn new(nodes: usize) -> Self {
        Self { nodes: vec![None; nodes], input: None, holders: HashMap::new() }
    }

    /// Takes the finished gradient of a node's output; the caller becomes its holder.
    pub(super) fn take(&mut self, node: usize) -> Option<Matrix> {
        self.nodes.get_mut(node).and_then(Option::take)
    }

    /// Takes the gradient of the network's input.
    pub(super) fn take_input(&mut self) -> Option<Matrix> {
        self.input.take()
    }

    /// The caller is a further holder.
    pub(super) fn share(&mut self, grad: Matrix) {
        *self.holders.entry(grad.buffer).or_insert(1) += 1;
    }

    /// The caller no longer needs it.
    pub(super) fn release(&mut self, grad: Matrix) {
        let count = self.holders.entry(grad.buffer).or_insert(1);
        *count = count.saturating_sub(1);
    }

    fn is_only_holder(&self, grad: Matrix) -> bool {
        self.holders.get(&grad.buffer).is_none_or(|count| *count <= 1)
    }

    /// The caller's gradient in a buffer that it may change.
    pub(super) fn own(
        &mut self,
        c: &mut Compiler<'_>,
        ops: &mut Vec<Op>,
        name: &str,
        grad: Matrix,
    ) -> Matrix {
        if self.is_only_holder(grad) {
            return grad;
        }
        self.release(grad);
        let buffer = c.matrix(&format!("{name}.output.gradient"), Purpose::Gradient, grad.cols);
        ops.push(c.copy(grad, buffer));
        Matrix { buffer, ..grad }
    }

    /// Adds the caller's gradient to what already waits for a source.
    pub(super) fn add(
        &mut self,
        c: &mut Compiler<'_>,
        ops: &mut Vec<Op>,
        name: &str,
        to: Source,
        grad: Matrix,
    ) {
        let slot = match to {
            Source::Input => Some(&mut self.input),
            Source::Node(i) => self.nodes.get_mut(i),
        };
        let Some(waiting) = slot.map(|s| s.replace(grad)).unwrap_or_default() else {
            return;
        };
        let (into, from) = if self.is_only_holder(grad) {
            (grad, waiting)
        } else {
            (self.own(c, ops, name, waiting), grad)
        };
        let len = c.rows * grad.cols;
        ops.push(Op::Accumulate(Accumulate { into: into.buffer, from: from.buffer, len }));
        self.release(from);
        match to {
            Source::Input => self.input = Some(into),
            Source::Node(i) => {
                if let Some(slot) = self.nodes.get_mut(i) {
                    *slot = Some(into);
                }
            }
        }
    }
}

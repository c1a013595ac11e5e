//! Layouts of convolutions, worked out at their first run and kept.

use std::sync::Arc;

use super::tile::Kernel;
use super::{ConvShape, forward, input_gradient, weight_gradient};

/// What a layout depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    shape: ConvShape,
    pool: bool,
    kernel: usize,
}

impl Key {
    pub fn new(shape: &ConvShape, pool: bool, kernel: &Kernel) -> Self {
        Self { shape: *shape, pool, kernel: kernel.id() }
    }
}

type Known<L> = Vec<(Key, Arc<L>)>;

/// The layouts of all convolutions that have run.
#[derive(Debug, Default)]
pub(in crate::kernels) struct Layouts {
    forward: Known<forward::Layout>,
    input_gradient: Known<input_gradient::Layout>,
    weight_gradient: Known<weight_gradient::Layout>,
}

fn get<L>(known: &mut Known<L>, key: Key, make: impl FnOnce() -> L) -> Arc<L> {
    if let Some((_, layout)) = known.iter().find(|(k, _)| *k == key) {
        return layout.clone();
    }
    let layout = Arc::new(make());
    known.push((key, layout.clone()));
    layout
}

impl Layouts {
    pub(super) fn forward(
        &mut self,
        key: Key,
        make: impl FnOnce() -> forward::Layout,
    ) -> Arc<forward::Layout> {
        get(&mut self.forward, key, make)
    }

    pub(super) fn input_gradient(
        &mut self,
        key: Key,
        make: impl FnOnce() -> input_gradient::Layout,
    ) -> Arc<input_gradient::Layout> {
        get(&mut self.input_gradient, key, make)
    }

    pub(super) fn weight_gradient(
        &mut self,
        key: Key,
        make: impl FnOnce() -> weight_gradient::Layout,
    ) -> Arc<weight_gradient::Layout> {
        get(&mut self.weight_gradient, key, make)
    }
}

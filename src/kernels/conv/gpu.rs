//! Dispatches of `shaders/conv.wgsl`.

use super::super::activation::code;
use super::super::channel::signs_dispatch;
use super::super::dispatch::{SCRATCH, SCRATCH_WORDS, dispatch, groups, read, write};
use super::super::gemm::Operand;
use super::super::{BufferId, Dispatch};
use super::{Conv, ConvInputGradient, ConvShape, ConvWeightGradient, Kept};

/// Rows of a tile.
const TILE_M: u32 = 64;
/// Workgroups that keep a GPU busy; a product with fewer tiles is cut along its inner size.
const WANTED_GROUPS: u32 = 512;
/// Inner size below which cutting does not pay.
const MIN_PART: u32 = 256;

/// Numbers of a dispatch that differ between kernels.
struct Call {
    constants: Vec<(&'static str, u32)>,
    params: Vec<u32>,
    tile_n: u32,
}

/// Columns of a tile for `n` columns.
fn tile_width(n: u32) -> u32 {
    match n {
        0..=16 => 16,
        17..=32 => 32,
        _ => 64,
    }
}

impl Call {
    /// For a product `[m, k] · [k, n]` per group, with the inner size cut into `parts`.
    fn new(
        shape: &ConvShape,
        [m, n, k]: [u32; 3],
        parts: (u32, u32),
        (left, right): (&Operand, &Operand),
    ) -> Self {
        let tile_n = tile_width(n);
        let ((l_format, l_single), (r_format, r_single)) = (left.constants(), right.constants());
        let constants = vec![
            ("HEIGHT", shape.height),
            ("WIDTH", shape.width),
            ("CHANNELS", shape.channels),
            ("OUT_HEIGHT", shape.out_height),
            ("OUT_WIDTH", shape.out_width),
            ("OUT_CHANNELS", shape.out_channels),
            ("KERNEL", shape.kernel),
            ("STRIDE", shape.stride),
            ("PADDING", shape.padding),
            ("GROUPS", shape.groups),
            ("GROUP_CHANNELS", shape.group_channels() as u32),
            ("GROUP_OUTPUTS", shape.group_outputs() as u32),
            ("L_FORMAT", l_format),
            ("L_SINGLE", l_single),
            ("R_FORMAT", r_format),
            ("R_SINGLE", r_single),
            ("TILE_N", tile_n),
            ("THREADS", 4 * tile_n),
        ];
        let mut params = vec![m, n, k, m.div_ceil(TILE_M), n.div_ceil(tile_n), parts.0, parts.1, 0];
        params.extend(left.params().into_iter().skip(1));
        params.extend(right.params().into_iter().skip(1));
        Self { constants, params, tile_n }
    }

    fn with(mut self, constants: &[(&'static str, u32)]) -> Self {
        self.constants.extend_from_slice(constants);
        self
    }

    fn dispatch(&self, entry: &'static str, buffers: &[(BufferId, bool)], groups: u32) -> Dispatch {
        dispatch("conv", entry, &self.constants, buffers, &self.params, groups)
    }
}

/// Constants of kernels that keep nothing.
const PLAIN: [(&str, u32); 4] = [("ACTIVATION", 0), ("POOL", 0), ("BIAS", 0), ("KEEP", 0)];

impl Conv {
    /// Dispatches of its shader.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let shape = &self.shape;
        let pixels = self.result_pixels() as u32;
        let m = shape.rows * pixels * if self.pool { 4 } else { 1 };
        let (n, k) = (shape.group_outputs() as u32, shape.filter_len() as u32);
        let (keep, kept) = match self.kept {
            Kept::Nothing | Kept::Signs(_) => (0, SCRATCH),
            Kept::Pre(id) => (1, id),
            Kept::Winners(id) => (2, id),
        };
        let call = Call::new(shape, [m, n, k], (1, k), (&self.x, &self.weight)).with(&[
            ("ACTIVATION", code(self.activation)),
            ("POOL", self.pool.into()),
            ("BIAS", self.bias.is_some().into()),
            ("KEEP", keep),
            ("UNPOOL", 0),
        ]);
        let buffers = [
            read(self.x.buffer),
            read(self.x.scales()),
            read(self.weight.buffer),
            read(self.weight.scales()),
            read(self.bias.unwrap_or(self.weight.buffer)),
            write(self.out),
            write(kept),
        ];
        let mut calls = if shape.is_depthwise() {
            let threads = shape.rows * pixels * shape.channels.div_ceil(4);
            vec![call.dispatch("depthwise_forward", &buffers, groups(threads))]
        } else {
            let tiles = m.div_ceil(TILE_M) * n.div_ceil(call.tile_n) * shape.groups;
            vec![call.dispatch("forward", &buffers, tiles)]
        };
        if let Kept::Signs(id) = self.kept {
            let rows = shape.rows * pixels;
            calls.push(signs_dispatch(self.out, id, rows, shape.out_channels));
        }
        calls
    }
}

impl ConvInputGradient {
    /// Dispatches of its shader.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let shape = &self.shape;
        let m = shape.rows * shape.height * shape.width;
        let n = shape.group_channels() as u32;
        let k = shape.kernel * shape.kernel * shape.group_outputs() as u32;
        let call = Call::new(shape, [m, n, k], (1, k), (&self.grad, &self.weight))
            .with(&PLAIN)
            .with(&[("UNPOOL", self.winners.is_some().into())]);
        let buffers = [
            read(self.grad.buffer),
            read(self.grad.scales()),
            read(self.weight.buffer),
            read(self.weight.scales()),
            read(self.winners.unwrap_or(self.weight.buffer)),
            write(self.grad_x),
            write(SCRATCH),
        ];
        if shape.is_depthwise() {
            let threads = groups(m * shape.channels);
            return vec![call.dispatch("depthwise_input_gradient", &buffers, threads)];
        }
        let tiles = m.div_ceil(TILE_M) * n.div_ceil(call.tile_n) * shape.groups;
        vec![call.dispatch("input_gradient", &buffers, tiles)]
    }
}

impl ConvWeightGradient {
    /// Dispatches of its shader.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let shape = &self.shape;
        let (m, n) = (shape.group_outputs() as u32, shape.filter_len() as u32);
        let k = shape.rows * shape.out_pixels() as u32;
        let depthwise = shape.is_depthwise();
        let tiles = if depthwise {
            shape.channels.div_ceil(16) * n
        } else {
            m.div_ceil(TILE_M) * n.div_ceil(tile_width(n)) * shape.groups
        };
        let len = shape.out_channels * n;
        let most = (SCRATCH_WORDS as u32 / len.max(1)).min(k.div_ceil(MIN_PART));
        let wanted = WANTED_GROUPS.div_ceil(tiles.max(1)).min(most);
        // Whole steps of the kernels' inner loops.
        let part_k = k.div_ceil(wanted.max(1)).next_multiple_of(16).max(16);
        let parts = k.div_ceil(part_k).max(1);
        let mut call = Call::new(shape, [m, n, k], (parts, part_k), (&self.grad, &self.x))
            .with(&PLAIN)
            .with(&[("UNPOOL", self.winners.is_some().into())]);
        let alone = parts == 1;
        let (out, spare) =
            if alone { (self.grad_weight, SCRATCH) } else { (SCRATCH, self.grad_weight) };
        let buffers = [
            read(self.grad.buffer),
            read(self.grad.scales()),
            read(self.x.buffer),
            read(self.x.scales()),
            read(self.winners.unwrap_or(self.x.buffer)),
            write(out),
            write(spare),
        ];
        let mut calls = if depthwise {
            if let Some(across) = call.params.get_mut(4) {
                *across = shape.channels.div_ceil(16);
            }
            vec![call.dispatch("depthwise_weight_gradient", &buffers, tiles * parts)]
        } else {
            vec![call.dispatch("weight_gradient", &buffers, tiles * parts)]
        };
        if !alone {
            let buffers = [read(SCRATCH), write(self.grad_weight)];
            calls.push(call.dispatch("collect", &buffers, groups(len)));
        }
        calls
    }
}

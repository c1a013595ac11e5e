//! Dispatches of `shaders/conv.wgsl`.

use super::super::activation::code;
use super::super::channel::signs_dispatch;
use super::super::dispatch::{SCRATCH, SCRATCH_WORDS, dispatch, groups, read, write};
use super::super::gemm::Operand;
use super::super::{BufferId, Dispatch, Variant};
use super::{Conv, ConvInputGradient, ConvShape, ConvWeightGradient, Kept};
use crate::fp8::hash;

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

/// Columns of a tile and the variant of that name.
const WIDTHS: [(u32, Variant); 3] = [(16, "64x16"), (32, "64x32"), (64, "64x64")];

/// Columns of a tile for `n` columns where nothing has been measured.
fn usual_width(n: u32) -> u32 {
    match n {
        0..=16 => 16,
        17..=32 => 32,
        _ => 64,
    }
}

/// Columns of a tile in a variant; an unknown one is the usual one.
fn tile_width(n: u32, variant: Option<&str>) -> u32 {
    let named = |(_, name): &&(u32, Variant)| variant == Some(*name);
    WIDTHS.iter().find(named).map_or_else(|| usual_width(n), |(width, _)| *width)
}

/// Variants that make sense for `n` columns, the usual one first.
fn variants(shape: &ConvShape, n: u32) -> Vec<Variant> {
    if shape.is_depthwise() {
        return Vec::new();
    }
    let usual = usual_width(n);
    let all = WIDTHS.iter().filter(|(width, _)| *width <= usual);
    all.rev().map(|(_, name)| *name).collect()
}

/// What the speed of a product depends on.
fn speed_key(what: &str, shape: &ConvShape, (a, b): (&Operand, &Operand), end: &str) -> String {
    let operand = |o: &Operand| {
        let (format, scale) = o.constants();
        let kind = ["f32", "e4m3", "e5m2", "bf16"].get(format as usize).unwrap_or(&"?");
        format!("{kind}{}", if scale > 1 { "/blocks" } else { "" })
    };
    let rows = shape.rows.max(1).checked_next_power_of_two().unwrap_or(shape.rows);
    let ConvShape { height, width, channels, out_channels, kernel, stride, groups, .. } = shape;
    let (a, b) = (operand(a), operand(b));
    format!(
        "{what} {rows}x{height}x{width}x{channels} to {out_channels}, {kernel}x{kernel}, stride \
         {stride}, groups {groups}, {a} by {b}{end}"
    )
}

impl Call {
    /// For a product `[m, k] · [k, n]` per group, with the inner size cut into `parts`.
    fn new(
        shape: &ConvShape,
        [m, n, k]: [u32; 3],
        parts: (u32, u32),
        (left, right): (&Operand, &Operand),
        tile_n: u32,
    ) -> Self {
        let ((a_format, a_scale), (b_format, b_scale)) = (left.constants(), right.constants());
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
            ("A_FORMAT", a_format),
            ("A_SCALE", a_scale),
            ("A_WIDE", 0),
            ("B_FORMAT", b_format),
            ("B_SCALE", b_scale),
            ("B_WIDE", 0),
            ("TILE_N", tile_n),
            ("THREADS", 4 * tile_n),
        ];
        let mut params = vec![m, n, k, m.div_ceil(TILE_M), n.div_ceil(tile_n), parts.0, parts.1, 0];
        params.extend(left.params().into_iter().skip(1));
        params.extend(right.params().into_iter().skip(1));
        Self { constants, params, tile_n }
    }

    /// Says which operand has the four neighbours of one load at the same place of the filter.
    fn quads(mut self, a: bool, b: bool) -> Self {
        self.constants.push(("A_QUADS", a.into()));
        self.constants.push(("B_QUADS", b.into()));
        self
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

/// Some place of its window for every value of a pooling.
fn winners(shape: &ConvShape) -> Vec<u32> {
    let pixels = shape.rows * (shape.out_height / 2) * (shape.out_width / 2);
    let words = pixels * shape.out_channels.div_ceil(4);
    (0..words).map(|i| hash::mix(i) & 0x0303_0303).collect()
}

/// Whether the channels of every group of images, and of outputs, come in fours.
fn fours(shape: &ConvShape) -> (bool, bool) {
    let whole = |all: u32, group: usize| all.is_multiple_of(4) && group.is_multiple_of(4);
    (
        whole(shape.channels, shape.group_channels()),
        whole(shape.out_channels, shape.group_outputs()),
    )
}

impl Conv {
    /// Ways to run it that make sense for its shape, the usual one first.
    pub fn variants(&self) -> Vec<Variant> {
        variants(&self.shape, self.shape.group_outputs() as u32)
    }

    /// What its speed depends on, for a table of measurements.
    pub fn speed_key(&self) -> Option<String> {
        let end = if self.pool { ", pooled" } else { "" };
        let operands = (&self.x, &self.weight);
        (!self.shape.is_depthwise()).then(|| speed_key("conv", &self.shape, operands, end))
    }

    /// Numbers in what it reads.
    pub fn sample(&self) -> Vec<(BufferId, Vec<u32>)> {
        let mut list = [self.x.sample(1), self.weight.sample(2)].concat();
        let bias = |i: u32| ((i % 7) as f32 * 0.25 - 0.75).to_bits();
        list.extend(self.bias.map(|id| (id, (0..self.shape.out_channels).map(bias).collect())));
        list
    }

    /// Dispatches of its shader in one of its variants.
    pub fn gpu(&self, variant: Option<&str>) -> Vec<Dispatch> {
        let shape = &self.shape;
        let pixels = self.result_pixels() as u32;
        let m = shape.rows * pixels * if self.pool { 4 } else { 1 };
        let (n, k) = (shape.group_outputs() as u32, shape.filter_len() as u32);
        let (keep, kept) = match self.kept {
            Kept::Nothing | Kept::Signs(_) => (0, SCRATCH),
            Kept::Pre(id) => (1, id),
            Kept::Winners(id) => (2, id),
        };
        let (images, _) = fours(shape);
        let tile_n = tile_width(n, variant);
        let call = Call::new(shape, [m, n, k], (1, k), (&self.x, &self.weight), tile_n);
        let call = call.quads(images, images).with(&[
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
    /// Ways to run it that make sense for its shape, the usual one first.
    pub fn variants(&self) -> Vec<Variant> {
        variants(&self.shape, self.shape.group_channels() as u32)
    }

    /// What its speed depends on, for a table of measurements.
    pub fn speed_key(&self) -> Option<String> {
        let end = if self.winners.is_some() { ", of pooled" } else { "" };
        let operands = (&self.grad, &self.weight);
        let key = || speed_key("conv input gradient", &self.shape, operands, end);
        (!self.shape.is_depthwise()).then(key)
    }

    /// Numbers in what it reads.
    pub fn sample(&self) -> Vec<(BufferId, Vec<u32>)> {
        let mut list = [self.grad.sample(1), self.weight.sample(2)].concat();
        list.extend(self.winners.map(|id| (id, winners(&self.shape))));
        list
    }

    /// Dispatches of its shader in one of its variants.
    pub fn gpu(&self, variant: Option<&str>) -> Vec<Dispatch> {
        let shape = &self.shape;
        let m = shape.rows * shape.height * shape.width;
        let n = shape.group_channels() as u32;
        let k = shape.kernel * shape.kernel * shape.group_outputs() as u32;
        let (images, outputs) = fours(shape);
        let tile_n = tile_width(n, variant);
        let call = Call::new(shape, [m, n, k], (1, k), (&self.grad, &self.weight), tile_n)
            .quads(outputs, images)
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
    /// Ways to run it that make sense for its shape, the usual one first.
    pub fn variants(&self) -> Vec<Variant> {
        variants(&self.shape, self.shape.filter_len() as u32)
    }

    /// What its speed depends on, for a table of measurements.
    pub fn speed_key(&self) -> Option<String> {
        let end = if self.winners.is_some() { ", of pooled" } else { "" };
        let operands = (&self.grad, &self.x);
        let key = || speed_key("conv weight gradient", &self.shape, operands, end);
        (!self.shape.is_depthwise()).then(key)
    }

    /// Numbers in what it reads.
    pub fn sample(&self) -> Vec<(BufferId, Vec<u32>)> {
        let mut list = [self.grad.sample(1), self.x.sample(2)].concat();
        list.extend(self.winners.map(|id| (id, winners(&self.shape))));
        list
    }

    /// Dispatches of its shader in one of its variants.
    pub fn gpu(&self, variant: Option<&str>) -> Vec<Dispatch> {
        let shape = &self.shape;
        let (m, n) = (shape.group_outputs() as u32, shape.filter_len() as u32);
        let k = shape.rows * shape.out_pixels() as u32;
        let depthwise = shape.is_depthwise();
        let tile_n = tile_width(n, variant);
        let tiles = |width: u32| {
            if depthwise {
                shape.channels.div_ceil(16) * n
            } else {
                m.div_ceil(TILE_M) * n.div_ceil(width) * shape.groups
            }
        };
        let len = shape.out_channels * n;
        let most = (SCRATCH_WORDS as u32 / len.max(1)).min(k.div_ceil(MIN_PART));
        // The same parts, and so the same sums, in every variant.
        let wanted = WANTED_GROUPS.div_ceil(tiles(usual_width(n)).max(1)).min(most);
        let tiles = tiles(tile_n);
        // Whole steps of the kernels' inner loops.
        let part_k = k.div_ceil(wanted.max(1)).next_multiple_of(16).max(16);
        let parts = k.div_ceil(part_k).max(1);
        let (images, outputs) = fours(shape);
        let operands = (&self.grad, &self.x);
        let mut call = Call::new(shape, [m, n, k], (parts, part_k), operands, tile_n)
            .quads(outputs, images)
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

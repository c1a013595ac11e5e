//! Gradient of the filters.
//!
//! A product with the pixels as inner dimension: its rows are the filter's places and channels, read
//! from the input's window, its columns the outputs. In bf16 two neighbouring pixels make a pair, so
//! the window holds every value beside that of the next pixel. Each chunk of samples has sums of its
//! own, which are added in order: the result does not depend on the number of cores.

use rayon::prelude::*;

use super::super::gemm::Storage;
use super::super::{ScratchNeed, Slots};
use super::layouts::Key;
use super::pieces::{Groups, Pieces};
use super::tile::{Kernel, Left, MAX_WIDTH, Mode, Tap, Tile};
use super::window::{Frame, Lines, Reader, Scratch, Value, grow, with_scratch};
use super::{ConvShape, ConvWeightGradient};
use crate::fp8::simd::vectorised;
use crate::kernels::parallel;
use crate::kernels::simd::widest;

/// Chunks of samples with sums of their own, at most.
const MAX_CHUNKS: usize = 16;
/// Words that the sums of all chunks may take together.
const MAX_SUMS: usize = 1 << 22;

/// Everything that depends on shapes alone.
#[derive(Debug)]
pub(super) struct Layout {
    kernel: Kernel,
    pieces: Pieces,
    frame: Frame,
    groups: Groups,
    /// Bases of the rows: places and channels of a group, or places alone.
    bases: Vec<u32>,
    rows: usize,
    /// Lines of pixels, of a full piece.
    taps: Vec<Tap>,
    step: usize,
    /// Steps of one line.
    line_steps: usize,
}

impl Layout {
    fn new(shape: &ConvShape, kernel: Kernel) -> Self {
        let [s, k, c] = [shape.stride, shape.kernel, shape.channels].map(|v| v as usize);
        let (lines, width) = (shape.out_height as usize, shape.out_width as usize);
        let direct = kernel.mode == Mode::Direct;
        let pair = usize::from(kernel.mode == Mode::Bf16) + 1;
        let pitch = (width.max(1) - 1) * s + k;
        let cut = Pieces::new(shape.rows as usize, lines, width, s * pitch * c * 4);
        let frame_lines = (cut.lines.max(1) - 1) * s + k;
        let frame = Frame { lines: frame_lines, pitch, left: shape.padding as usize };
        let groups = if direct {
            let columns = kernel.width;
            Groups { count: c.div_ceil(columns), shift: columns * 4, columns, total: c }
        } else {
            Groups {
                count: shape.groups as usize,
                shift: shape.group_channels() * 4,
                columns: shape.group_outputs(),
                total: shape.out_channels as usize,
            }
        };
        let depth = if direct { 1 } else { shape.group_channels() };
        let mut bases = Vec::new();
        for i in 0..k {
            for j in 0..k {
                bases.extend((0..depth).map(|d| (((i * pitch + j) * c + d) * 4) as u32));
            }
        }
        let rows = bases.len();
        let last = bases.last().copied().unwrap_or(0);
        bases.resize(rows.next_multiple_of(kernel.rows), last);
        let line_steps = width.div_ceil(pair);
        let mut taps = Vec::new();
        for sample in 0..cut.samples {
            for y in 0..cut.lines {
                let offset = (sample * frame_lines + y * s) * pitch * c * 4;
                taps.push(Tap { offset, steps: line_steps });
            }
        }
        let step = pair * s * c * 4;
        Self { kernel, pieces: cut, frame, groups, bases, rows, taps, step, line_steps }
    }

    /// Chunks with sums of their own, and samples of each but the last.
    fn chunks(&self, rows: usize) -> (usize, usize) {
        let chunks = (MAX_SUMS / self.sums().max(1)).clamp(1, MAX_CHUNKS);
        // Whole pieces, so that none is cut short but the last.
        let per_chunk = rows.div_ceil(chunks).next_multiple_of(self.pieces.samples.max(1));
        (rows.div_ceil(per_chunk.max(1)), per_chunk)
    }

    /// Words of one chunk's sums: per group and panel, rows of `width`.
    fn sums(&self) -> usize {
        self.groups.count * self.groups.panels(&self.kernel) * self.rows * self.kernel.width
    }
}

vectorised! {
    /// Puts every bf16 beside that of the next pixel, `distance` values on.
    fn pairs(window: &[u16], distance: usize, out: &mut [u32]) {
        let (low, high) = (window, window.get(distance..).unwrap_or(&[]));
        for ((o, l), h) in out.iter_mut().zip(low).zip(high) {
            *o = u32::from(*l) | u32::from(*h) << 16;
        }
        let from = high.len().min(out.len());
        for (o, l) in out[from..].iter_mut().zip(&low[from..]) {
            *o = u32::from(*l);
        }
    }
}

/// Where the steps of a line of gradients go.
#[derive(Clone, Copy)]
struct Place {
    /// First step of the line.
    step: usize,
    /// Words of one panel.
    panel_words: usize,
}

widest! {
    fn panel_line32(line: &[f32], outputs: usize, layout: &Layout, at: Place, out: &mut [u32])
        = panel_line::<f32>;
}
widest! {
    fn panel_line16(line: &[u16], outputs: usize, layout: &Layout, at: Place, out: &mut [u32])
        = panel_line::<u16>;
}

/// Writes one line of gradients, `[pixels, outputs]`, as steps of every panel.
#[inline(always)]
fn panel_line<T: Value + Into<Bits>>(
    line: &[T],
    outputs: usize,
    layout: &Layout,
    Place { step: first_step, panel_words }: Place,
    out: &mut [u32],
) {
    let (groups, width) = (&layout.groups, layout.kernel.width);
    let per_group = groups.panels(&layout.kernel);
    let pair = if layout.kernel.mode == Mode::Bf16 { 2 } else { 1 };
    for (x, pixels) in line.chunks(pair * outputs).enumerate() {
        let (low, high) = pixels.split_at(outputs);
        for g in 0..groups.count {
            for p in 0..groups.width(g).div_ceil(width) {
                let start = (g * per_group + p) * panel_words + (first_step + x) * width;
                let column = g * groups.columns + p * width;
                let columns = width.min(groups.width(g) - p * width);
                let words = &mut out[start..start + width];
                let low = &low[column..column + columns];
                let high = high.get(column..column + columns).unwrap_or(&[]);
                // Whole panels have a length that the compiler knows.
                if let (Some(words), Some(low), Some(high)) = (
                    words.first_chunk_mut::<MAX_WIDTH>(),
                    low.first_chunk::<MAX_WIDTH>(),
                    high.first_chunk::<MAX_WIDTH>(),
                ) {
                    for ((o, l), h) in words.iter_mut().zip(low).zip(high) {
                        *o = (*l).into().0 | (*h).into().0 << 16;
                    }
                    continue;
                }
                let (used, rest) = words.split_at_mut(columns);
                rest.fill(0);
                for (o, l) in used.iter_mut().zip(low) {
                    *o = (*l).into().0;
                }
                for (o, h) in used.iter_mut().zip(high) {
                    *o |= (*h).into().0 << 16;
                }
            }
        }
    }
}

/// Bits of a value in the low half, or all, of a word.
struct Bits(u32);

impl From<u16> for Bits {
    fn from(v: u16) -> Self {
        Self(v.into())
    }
}

impl From<f32> for Bits {
    fn from(v: f32) -> Self {
        Self(v.to_bits())
    }
}

/// One call.
struct Call<'a> {
    layout: &'a Layout,
    x: Lines<'a>,
    grad: Lines<'a>,
    shape: &'a ConvShape,
}

impl Call<'_> {
    /// Adds one piece to the chunk's sums.
    fn piece(&self, first: usize, line: usize, (samples, lines): (usize, usize), sums: &mut [f32]) {
        let layout = self.layout;
        let kernel = &layout.kernel;
        with_scratch(|scratch| {
            let top = (line * self.shape.stride as usize) as isize - self.shape.padding as isize;
            let of = (kernel, layout.pieces.samples);
            layout.frame.window(of, &self.x, (first, samples), top, scratch);
            let Scratch { window, other, panel, pooled32, pooled16, line: values } = scratch;
            let window = if kernel.mode == Mode::Bf16 {
                let len = samples * layout.frame.len(self.shape.channels as usize);
                let pairs_out = grow(other, len);
                let distance = (self.shape.stride * self.shape.channels) as usize;
                pairs(&bytemuck::cast_slice(window)[..len], distance, pairs_out);
                pairs_out
            } else {
                &mut window[..]
            };
            let panel_words = samples * lines * layout.line_steps * kernel.width;
            let count = layout.groups.count * layout.groups.panels(kernel);
            let panels = grow(panel, count * panel_words);
            let outputs = self.shape.out_channels as usize;
            let values = grow(values, self.shape.out_width as usize * outputs);
            for n in 0..samples {
                for y in 0..lines {
                    let step = (n * lines + y) * layout.line_steps;
                    let at = Place { step, panel_words };
                    if kernel.mode == Mode::Bf16 {
                        let half = values.len();
                        let values = &mut bytemuck::cast_slice_mut::<u32, u16>(values)[..half];
                        self.grad.line(first + n, line + y, values, pooled16);
                        panel_line16(values, outputs, layout, at, panels);
                    } else {
                        let values: &mut [f32] = bytemuck::cast_slice_mut(values);
                        self.grad.line(first + n, line + y, values, pooled32);
                        panel_line32(values, outputs, layout, at, panels);
                    }
                }
            }
            self.multiply(window, samples * lines, panels, panel_words, sums);
        });
    }

    fn multiply(
        &self,
        window: &[u32],
        lines: usize,
        panels: &[u32],
        panel_words: usize,
        sums: &mut [f32],
    ) {
        let layout = self.layout;
        let kernel = &layout.kernel;
        let per_group = layout.groups.panels(kernel);
        let mut tile: Tile = Default::default();
        for g in 0..layout.groups.count {
            let taps = &layout.taps[..lines];
            let left = Left { window, shift: g * layout.groups.shift, taps, step: layout.step };
            assert!(kernel.check(&left, &layout.bases), "rows reach past the window");
            for p in 0..layout.groups.width(g).div_ceil(kernel.width) {
                let at = g * per_group + p;
                let panel = &panels[at * panel_words..(at + 1) * panel_words];
                let sums = &mut sums[at * layout.rows * kernel.width..];
                let sums =
                    sums[..layout.rows * kernel.width].chunks_mut(kernel.rows * kernel.width);
                for (bases, sums) in layout.bases.chunks_exact(kernel.rows).zip(sums) {
                    // SAFETY: checked above for all bases.
                    unsafe { kernel.tile(&left, bases, panel, &mut tile) };
                    for (sums, row) in sums.chunks_exact_mut(kernel.width).zip(&tile) {
                        for (s, v) in sums.iter_mut().zip(row) {
                            *s += v;
                        }
                    }
                }
            }
        }
    }

    /// Adds all pieces of one chunk of samples.
    fn chunk(&self, first: usize, samples: usize, sums: &mut [f32]) {
        sums.fill(0.0);
        let Pieces { samples: group, lines: band } = self.layout.pieces;
        let lines = self.shape.out_height as usize;
        let end = first + samples;
        for n in (first..end).step_by(group.max(1)) {
            for line in (0..lines).step_by(band.max(1)) {
                let size = (group.min(end - n), band.min(lines - line));
                self.piece(n, line, size, sums);
            }
        }
    }
}

impl ConvWeightGradient {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let exact = |o| Reader::new(o, slots).exact_in_bf16();
        let fp8 = exact(&self.grad) && exact(&self.x);
        self.run(slots, Kernel::pick(fp8, self.shape.is_depthwise()));
    }

    /// Scratch of the native twin, besides the windows that every thread keeps.
    pub fn scratch(&self) -> ScratchNeed {
        let packed = self.grad.storage != Storage::F32 && self.x.storage != Storage::F32;
        let layout = Layout::new(&self.shape, Kernel::pick(packed, self.shape.is_depthwise()));
        let (chunks, _) = layout.chunks(self.shape.rows as usize);
        ScratchNeed { words: chunks * layout.sums(), ..ScratchNeed::default() }
    }

    /// Runs with a given kernel.
    pub(super) fn run(&self, slots: &mut Slots, kernel: Kernel) {
        let shape = &self.shape;
        let key = Key::new(shape, false, &kernel);
        let layout = slots.scratch.layouts.weight_gradient(key, || Layout::new(shape, kernel));
        let (words, rows) = (layout.sums(), shape.rows as usize);
        let (chunks, per_chunk) = layout.chunks(rows);
        let mut scratch = std::mem::take(&mut slots.scratch.words);
        let sums: &mut [f32] = bytemuck::cast_slice_mut(grow(&mut scratch, chunks * words));
        let mut taken = slots.take(self.grad_weight);
        let call = Call {
            layout: &layout,
            x: Lines::images(&self.x, shape, slots),
            grad: Lines::gradients(&self.grad, self.winners, shape, slots),
            shape,
        };
        if words > 0 {
            sums.par_chunks_mut(words).enumerate().for_each(|(i, sums)| {
                call.chunk(i * per_chunk, per_chunk.min(rows - i * per_chunk), sums);
            });
        }
        let scales = [call.x.factor(), call.grad.factor()];
        let len = shape.filter_len();
        let out = &mut taken.f32()[..shape.out_channels as usize * len];
        call.collect(sums, scales, out);
        slots.put(taken);
        slots.scratch.words = scratch;
    }
}

impl Call<'_> {
    /// Adds the chunks' sums and turns them into filters `[outputs, places, channels]`.
    fn collect(&self, sums: &[f32], [s0, s1]: [f32; 2], out: &mut [f32]) {
        let layout = self.layout;
        let (width, rows) = (layout.kernel.width, layout.rows);
        let per_group = layout.groups.panels(&layout.kernel);
        let words = layout.sums().max(1);
        parallel::rows(out, rows, |first, piece| {
            for (i, filter) in piece.chunks_exact_mut(rows).enumerate() {
                let output = first + i;
                let (g, column) = (output / layout.groups.columns, output % layout.groups.columns);
                let panel = g * per_group + column / width;
                let at = panel * rows * width + column % width;
                for (m, value) in filter.iter_mut().enumerate() {
                    let at = at + m * width;
                    let sum: f32 = sums.chunks_exact(words).map(|s| s[at]).sum();
                    *value = sum * s0 * s1;
                }
            }
        });
    }
}

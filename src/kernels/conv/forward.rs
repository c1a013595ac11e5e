//! Forward pass.

use super::super::gemm::Storage;
use super::super::{ScratchNeed, Slots};
use super::epilogue::{Finish, KeptPart};
use super::layouts::Key;
use super::pieces::{Groups, Phase, Pieces, Product, Run};
use super::tile::{Kernel, Mode, Tap};
use super::window::{Frame, Lines, Reader, grow, with_scratch};
use super::{Conv, ConvShape, Kept, panels};

/// Everything about a forward pass that depends on shapes alone.
#[derive(Debug)]
pub(super) struct Layout {
    kernel: Kernel,
    pieces: Pieces,
    frame: Frame,
    groups: Groups,
    runs: Vec<Run>,
    /// Values of a place of the filter that follow each other in the window.
    depth: usize,
    phase: Phase,
    /// Lines of one result, and convolution lines per such line.
    lines: usize,
    line_step: usize,
    result_width: usize,
}

impl Layout {
    fn new(shape: &ConvShape, pool: bool, kernel: Kernel) -> Self {
        let [s, k, c] = [shape.stride, shape.kernel, shape.channels].map(|v| v as usize);
        let (lines, width, line_step) = if pool {
            (shape.out_height as usize / 2, shape.out_width as usize / 2, 2)
        } else {
            (shape.out_height as usize, shape.out_width as usize, 1)
        };
        let size = kernel.element();
        let direct = kernel.mode == Mode::Direct;
        let pitch = ((width * line_step).max(1) - 1) * s + k;
        let line_bytes = line_step * s * pitch * c * size;
        let line_rows = width * line_step * line_step;
        let pieces = Pieces::new(shape.rows as usize, lines, line_rows, line_bytes);
        let frame_lines = ((pieces.lines * line_step).max(1) - 1) * s + k;
        let frame = Frame { lines: frame_lines, pitch, left: shape.padding as usize };
        let groups = if direct {
            Groups {
                count: c.div_ceil(kernel.width),
                shift: kernel.width * size,
                columns: kernel.width,
                total: c,
            }
        } else {
            Groups {
                count: shape.groups as usize,
                shift: shape.group_channels() * size,
                columns: shape.group_outputs(),
                total: shape.out_channels as usize,
            }
        };
        let depth = if direct { 1 } else { shape.group_channels() };
        let whole_lines = groups.count == 1 && !direct;
        let mut runs = Vec::new();
        for i in 0..k {
            let at = |j: usize| (i * pitch + j) * c * size;
            if whole_lines {
                let tap = Tap { offset: at(0), steps: kernel.steps(k * depth) };
                runs.push(Run { tap, places: (0..k).map(|j| (i, j)).collect() });
            } else {
                runs.extend((0..k).map(|j| {
                    let tap = Tap { offset: at(j), steps: kernel.steps(depth) };
                    Run { tap, places: vec![(i, j)] }
                }));
            }
        }
        let mut phase = Phase { lines: (0, 1), line_rows, ..Phase::default() };
        phase.taps = runs.iter().map(|r| r.tap).collect();
        let places: &[(usize, usize)] =
            if pool { &[(0, 0), (0, 1), (1, 0), (1, 1)] } else { &[(0, 0)] };
        for sample in 0..pieces.samples {
            for y in 0..pieces.lines {
                for x in 0..width {
                    for (dy, dx) in places {
                        let line = sample * frame_lines + (y * line_step + dy) * s;
                        let base = (line * pitch + (x * line_step + dx) * s) * c * size;
                        phase.bases.push(base as u32);
                        phase.pixels.push(((sample * pieces.lines + y) * width + x) as u32);
                    }
                }
            }
        }
        phase.pad(kernel.rows);
        Self {
            kernel,
            pieces,
            frame,
            groups,
            runs,
            depth,
            phase,
            lines,
            line_step,
            result_width: width,
        }
    }

    /// Words of all panels.
    fn panel_words(&self) -> usize {
        panels::words(&self.kernel, &self.groups, self.phase.steps())
    }

    /// Packs the filters `[outputs, places, depth]`.
    fn pack(&self, filters: &panels::Filters<'_>, out: &mut [u32]) {
        let columns = self.groups.columns;
        let value = |group: usize, column: usize, place: (usize, usize), d: usize| {
            filters.at(group * columns + column, place, d)
        };
        panels::pack(&self.kernel, &self.groups, &self.runs, self.depth, value, out);
    }
}

/// One piece's part of a kept buffer.
fn kept_part(kept: Kept, words: &mut [u32]) -> KeptPart<'_> {
    match kept {
        Kept::Nothing => KeptPart::Nothing,
        Kept::Pre(_) => KeptPart::Pre(bytemuck::cast_slice_mut(words)),
        Kept::Signs(_) => KeptPart::Signs(bytemuck::cast_slice_mut(words)),
        Kept::Winners(_) => KeptPart::Winners(bytemuck::cast_slice_mut(words)),
    }
}

impl Conv {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let exact = |o| Reader::new(o, slots).exact_in_bf16();
        let fp8 = exact(&self.x) && exact(&self.weight);
        self.run(slots, Kernel::pick(fp8, self.shape.is_depthwise()));
    }

    /// Scratch of the native twin, besides the windows that every thread keeps.
    pub fn scratch(&self) -> ScratchNeed {
        let packed = self.x.storage != Storage::F32 && self.weight.storage != Storage::F32;
        let kernel = Kernel::pick(packed, self.shape.is_depthwise());
        let panels = Layout::new(&self.shape, self.pool, kernel).panel_words();
        ScratchNeed { words: panels + self.shape.filters_len(), ..ScratchNeed::default() }
    }

    /// Runs with a given kernel.
    pub(super) fn run(&self, slots: &mut Slots, kernel: Kernel) {
        let shape = &self.shape;
        let key = Key::new(shape, self.pool, &kernel);
        let layout = slots.scratch.layouts.forward(key, || Layout::new(shape, self.pool, kernel));
        let mut words = std::mem::take(&mut slots.scratch.words);
        let panels = layout.panel_words();
        let (packed, filters) = grow(&mut words, panels + shape.filters_len()).split_at_mut(panels);
        let weight = Reader::new(&self.weight, slots);
        let filters = panels::filters(&weight, shape, bytemuck::cast_slice_mut(filters));
        layout.pack(&filters, packed);

        let channels = shape.out_channels as usize;
        let pixels = shape.rows as usize * layout.lines * layout.result_width;
        let kept_words = Conv::kept_words(self.kept, 1, channels);
        let mut kept_taken = match self.kept {
            Kept::Pre(id) | Kept::Signs(id) | Kept::Winners(id) => Some(slots.take(id)),
            Kept::Nothing => None,
        };
        let mut taken = slots.take(self.out);
        let kept =
            kept_taken.as_mut().map_or(&mut [][..], |k| &mut k.words()[..pixels * kept_words]);
        let sizes =
            (layout.lines, layout.result_width * channels, layout.result_width * kept_words);
        let source = Lines::images(&self.x, shape, slots);
        let product = Product {
            kernel,
            phases: std::slice::from_ref(&layout.phase),
            groups: layout.groups,
            panels: packed,
            lines: layout.pieces.lines,
        };
        let scales = [source.factor(), Reader::new(&self.weight, slots).factor()];
        let bias = self.bias.map(|id| &slots.f32(id)[..channels]);
        let out = &mut taken.f32()[..pixels * channels];
        layout.pieces.each(sizes, out, kept, |part| {
            let line = part.line * layout.line_step * shape.stride as usize;
            let top = line as isize - shape.padding as isize;
            let size = part.size(&layout.pieces, sizes);
            let mut finish = Finish {
                out: part.out,
                kept: kept_part(self.kept, part.kept),
                channels,
                scales,
                bias,
                activation: self.activation,
                pool: self.pool,
            };
            with_scratch(|scratch| {
                let from = (part.first, size.0);
                let of = (&kernel, layout.pieces.samples);
                let window = layout.frame.window(of, &source, from, top, scratch);
                product.piece(window, size, |tile, pixels, column, columns| {
                    finish.tile(tile, pixels, column, columns);
                });
            });
        });
        slots.put(taken);
        kept_taken.into_iter().for_each(|k| slots.put(k));
        slots.scratch.words = words;
    }
}

//! Gradient of the input.
//!
//! An input pixel `v` gets values from the outputs `y` with `y·stride + i − padding = v`. Pixels of
//! the same `v mod stride` use the same filter rows `i`, and for them `y = v div stride + d(i)`: a
//! dense convolution of the gradient, one per residue in each direction.

use super::super::gemm::Storage;
use super::super::{ScratchNeed, Slots};
use super::epilogue::{Finish, KeptPart};
use super::layouts::Key;
use super::pieces::{Groups, Phase, Pieces, Product, Run};
use super::tile::{Kernel, Mode, Tap};
use super::window::{Frame, Lines, Reader, grow, with_scratch};
use super::{ConvInputGradient, ConvShape, panels};

/// Filter rows that a residue uses, each with its `d`, by ascending `d`.
fn shifts(shape: &ConvShape, residue: usize) -> Vec<(usize, isize)> {
    let (s, p) = (shape.stride as isize, shape.padding as isize);
    let at = |i: &usize| residue as isize + p - *i as isize;
    let rows = (0..shape.kernel as usize).rev().filter(|i| at(i).rem_euclid(s) == 0);
    rows.map(|i| (i, at(&i).div_euclid(s))).collect()
}

/// Everything that depends on shapes alone.
#[derive(Debug)]
pub(super) struct Layout {
    /// Pieces in lines of the input grid's first residue: `stride` lines of the input each.
    pieces: Pieces,
    frame: Frame,
    /// First line of the frame relative to the piece's.
    top: isize,
    groups: Groups,
    depth: usize,
    phases: Vec<Phase>,
    /// Of every phase.
    runs: Vec<Vec<Run>>,
    /// Words of all panels.
    panel_words: usize,
}

impl Layout {
    fn new(shape: &ConvShape, kernel: Kernel) -> Self {
        let [s, h, w] = [shape.stride, shape.height, shape.width].map(|v| v as usize);
        let outs = shape.out_channels as usize;
        let size = kernel.element();
        let direct = kernel.mode == Mode::Direct;
        let all: Vec<Vec<(usize, isize)>> = (0..s).map(|r| shifts(shape, r)).collect();
        let extent = || all.iter().flatten().map(|(_, d)| *d);
        let (low, high) = (extent().min().unwrap_or(0), extent().max().unwrap_or(0));
        let reach = (high - low) as usize;
        let (grid_lines, grid_width) = (h.div_ceil(s), w.div_ceil(s));
        let pitch = grid_width + reach;
        let cut = Pieces::new(shape.rows as usize, grid_lines, w * s, pitch * outs * size);
        let frame = Frame { lines: cut.lines + reach, pitch, left: low.unsigned_abs() };
        // In lines of the input.
        let pieces = if cut.lines == grid_lines {
            Pieces { samples: cut.samples, lines: h }
        } else {
            Pieces { samples: 1, lines: cut.lines * s }
        };
        let groups = if direct {
            let columns = kernel.width;
            Groups { count: outs.div_ceil(columns), shift: columns * size, columns, total: outs }
        } else {
            Groups {
                count: shape.groups as usize,
                shift: shape.group_outputs() * size,
                columns: shape.group_channels(),
                total: shape.channels as usize,
            }
        };
        let depth = if direct { 1 } else { shape.group_outputs() };
        let whole_lines = groups.count == 1 && !direct;
        let (mut phases, mut all_runs, mut panel_words) = (Vec::new(), Vec::new(), 0);
        for (ry, rows) in all.iter().enumerate() {
            for (rx, cols) in all.iter().enumerate() {
                let mut runs = Vec::new();
                for (i, dy) in rows {
                    let at = |dx: isize| {
                        (((dy - low) as usize * pitch) + (dx - low) as usize) * outs * size
                    };
                    if let (true, Some((_, first))) = (whole_lines, cols.first()) {
                        let steps = kernel.steps(cols.len() * depth);
                        let places = cols.iter().map(|(j, _)| (*i, *j)).collect();
                        runs.push(Run { tap: Tap { offset: at(*first), steps }, places });
                    } else {
                        runs.extend(cols.iter().map(|(j, dx)| Run {
                            tap: Tap { offset: at(*dx), steps: kernel.steps(depth) },
                            places: vec![(*i, *j)],
                        }));
                    }
                }
                let width = w.saturating_sub(rx).div_ceil(s);
                let mut phase = Phase { lines: (ry, s), line_rows: width, ..Phase::default() };
                phase.taps = runs.iter().map(|r| r.tap).collect();
                for sample in 0..pieces.samples {
                    for (i, y) in (ry..pieces.lines).step_by(s).enumerate() {
                        for (j, x) in (rx..w).step_by(s).enumerate() {
                            let line = sample * frame.lines + i;
                            phase.bases.push(((line * pitch + j) * outs * size) as u32);
                            phase.pixels.push(((sample * pieces.lines + y) * w + x) as u32);
                        }
                    }
                }
                phase.pad(kernel.rows);
                phase.panels = panel_words;
                panel_words += panels::words(&kernel, &groups, phase.steps());
                phases.push(phase);
                all_runs.push(runs);
            }
        }
        Self { pieces, frame, top: low, groups, depth, phases, runs: all_runs, panel_words }
    }
}

impl ConvInputGradient {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let exact = |o| Reader::new(o, slots).exact_in_bf16();
        let fp8 = exact(&self.grad) && exact(&self.weight);
        self.run(slots, Kernel::pick(fp8, self.shape.is_depthwise()));
    }

    /// Scratch of the native twin, besides the windows that every thread keeps.
    pub fn scratch(&self) -> ScratchNeed {
        let packed = self.grad.storage != Storage::F32 && self.weight.storage != Storage::F32;
        let kernel = Kernel::pick(packed, self.shape.is_depthwise());
        let panels = Layout::new(&self.shape, kernel).panel_words;
        ScratchNeed { words: panels + self.shape.filters_len(), ..ScratchNeed::default() }
    }

    /// Runs with a given kernel.
    pub(super) fn run(&self, slots: &mut Slots, kernel: Kernel) {
        let shape = &self.shape;
        let key = Key::new(shape, false, &kernel);
        let layout = slots.scratch.layouts.input_gradient(key, || Layout::new(shape, kernel));
        let mut words = std::mem::take(&mut slots.scratch.words);
        let (packed, filters) = grow(&mut words, layout.panel_words + shape.filters_len())
            .split_at_mut(layout.panel_words);
        {
            let filters = bytemuck::cast_slice_mut(filters);
            let values = panels::filters(&Reader::new(&self.weight, slots), shape, filters);
            let (columns, depth) = (layout.groups.columns, layout.depth);
            let direct = kernel.mode == Mode::Direct;
            let value = |group: usize, column: usize, place: (usize, usize), d: usize| {
                if direct {
                    values.at(group * columns + column, place, 0)
                } else {
                    values.at(group * depth + d, place, column)
                }
            };
            let mut rest = &mut packed[..];
            for (phase, runs) in layout.phases.iter().zip(&layout.runs) {
                let words = panels::words(&kernel, &layout.groups, phase.steps());
                let (own, after) = rest.split_at_mut(words);
                panels::pack(&kernel, &layout.groups, runs, depth, value, own);
                rest = after;
            }
        }
        let channels = shape.channels as usize;
        let sizes = (shape.height as usize, shape.width as usize * channels, 0);
        let mut taken = slots.take(self.grad_x);
        let len = shape.rows as usize * shape.image_len();
        let source = Lines::gradients(&self.grad, self.winners, shape, slots);
        let scales = [source.factor(), Reader::new(&self.weight, slots).factor()];
        let product = Product {
            kernel,
            phases: &layout.phases,
            groups: layout.groups,
            panels: packed,
            lines: layout.pieces.lines,
        };
        layout.pieces.each(sizes, &mut taken.f32()[..len], &mut [], |part| {
            let top = (part.line / shape.stride as usize) as isize + layout.top;
            let size = part.size(&layout.pieces, sizes);
            let mut finish = Finish {
                out: part.out,
                kept: KeptPart::Nothing,
                channels,
                scales,
                bias: None,
                activation: None,
                pool: false,
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
        slots.scratch.words = words;
    }
}

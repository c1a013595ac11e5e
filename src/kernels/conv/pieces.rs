//! How a convolution is cut: into pieces of whole samples or bands of lines, and each piece into
//! rows of a matrix. The cut depends on shapes alone, so results do not depend on the machine's
//! number of cores.

use rayon::prelude::*;

use super::tile::{Kernel, Left, Tap, Tile};

/// Bytes of a window that should stay in a core's second-level cache beside its panels.
const WINDOW_BYTES: usize = 192 << 10;
/// Rows of a matrix below which panels are loaded too often.
const MIN_ROWS: usize = 384;
/// Pieces that whole batches of small images are cut into, at least.
const MIN_PIECES: usize = 16;

/// Size of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pieces {
    /// Samples; 1 if `lines` is not all.
    pub samples: usize,
    /// Lines of the result per sample.
    pub lines: usize,
}

impl Pieces {
    /// Cuts `rows` samples of `lines` lines, each of which is `line_rows` rows of the matrix and
    /// needs `line_bytes` of window.
    pub fn new(rows: usize, lines: usize, line_rows: usize, line_bytes: usize) -> Self {
        let whole = (lines * line_bytes).max(1);
        if whole > WINDOW_BYTES {
            let band = (WINDOW_BYTES / line_bytes.max(1)).clamp(1, lines.max(1));
            let bands = lines.div_ceil(band);
            return Self { samples: 1, lines: lines.div_ceil(bands.max(1)) };
        }
        let wanted = MIN_ROWS.div_ceil((lines * line_rows).max(1)).min(WINDOW_BYTES / whole);
        Self { samples: wanted.clamp(1, rows.div_ceil(MIN_PIECES).max(1)), lines }
    }
}

/// A piece's part of the result.
pub(super) struct Part<'a> {
    /// First sample.
    pub first: usize,
    /// First line.
    pub line: usize,
    pub out: &'a mut [f32],
    pub kept: &'a mut [u32],
}

impl Part<'_> {
    /// Samples and lines; `sizes` as in [`Pieces::each`].
    pub fn size(
        &self,
        pieces: &Pieces,
        (lines, line_len, _): (usize, usize, usize),
    ) -> (usize, usize) {
        let all = self.out.len() / line_len.max(1);
        if pieces.lines == lines { (all / lines.max(1), lines) } else { (1, all) }
    }
}

impl Pieces {
    /// Cuts the result and what is kept and calls `f` for every piece, on all cores. `sizes` are lines
    /// of a sample, values of a line, and kept words of a line.
    pub fn each(
        &self,
        (lines, line_len, line_kept): (usize, usize, usize),
        out: &mut [f32],
        kept: &mut [u32],
        f: impl Fn(Part<'_>) + Sync,
    ) {
        let whole = self.lines == lines;
        let samples = if whole { self.samples } else { 1 };
        let (stretch, band) = (samples * lines, if whole { samples * lines } else { self.lines });
        let line = (line_len, line_kept);
        cut(out, kept, stretch, line, |i, out, kept| {
            cut(out, kept, band, line, |j, out, kept| {
                f(Part { first: i * samples, line: j * self.lines, out, kept });
            });
        });
    }
}

/// Calls `f(number, values, kept words)` for groups of `lines` lines.
fn cut(
    out: &mut [f32],
    kept: &mut [u32],
    lines: usize,
    (line_len, line_kept): (usize, usize),
    f: impl Fn(usize, &mut [f32], &mut [u32]) + Sync,
) {
    let out = out.par_chunks_mut((lines * line_len).max(1));
    match lines * line_kept {
        0 => out.enumerate().for_each(|(i, out)| f(i, out, &mut [])),
        words => {
            let parts = out.zip(kept.par_chunks_mut(words)).enumerate();
            parts.for_each(|(i, (out, kept))| f(i, out, kept));
        }
    }
}

/// Groups of columns that read different channels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Groups {
    /// How many.
    pub count: usize,
    /// Bytes of the window from one group's channels to the next one's.
    pub shift: usize,
    /// Columns of the result from one group to the next.
    pub columns: usize,
    /// All columns of the result.
    pub total: usize,
}

impl Groups {
    /// Columns of one group.
    pub fn width(&self, group: usize) -> usize {
        self.columns.min(self.total.saturating_sub(group * self.columns))
    }

    /// Panels of one group.
    pub fn panels(&self, kernel: &Kernel) -> usize {
        self.columns.div_ceil(kernel.width)
    }
}

/// One tap of the right matrix: filter places whose values follow each other in the window.
#[derive(Debug, Clone)]
pub(super) struct Run {
    /// Where in the window.
    pub tap: Tap,
    /// Filter row, and filter columns in the order of the window.
    pub places: Vec<(usize, usize)>,
}

/// A part of the result whose pixels all have the same taps: all of it in a forward pass, one of
/// stride² interleaved grids in a backward pass.
#[derive(Debug, Default)]
pub(super) struct Phase {
    /// Base of each row of a full piece, in bytes; padded to whole tiles.
    pub bases: Vec<u32>,
    /// Result pixel of each row within the piece.
    pub pixels: Vec<u32>,
    /// Taps.
    pub taps: Vec<Tap>,
    /// First word of this phase's panels.
    pub panels: usize,
    /// Its first line, and the distance of its lines.
    pub lines: (usize, usize),
    /// Rows of the matrix per line.
    pub line_rows: usize,
}

impl Phase {
    /// Pads bases to whole tiles.
    pub fn pad(&mut self, rows: usize) {
        if let Some(last) = self.bases.last().copied() {
            self.bases.resize(self.bases.len().next_multiple_of(rows), last);
        }
    }

    /// Rows of a piece of `samples` whole samples, or of one with `lines` of `full` lines.
    fn rows(&self, samples: usize, lines: usize, full: usize) -> usize {
        let (first, step) = self.lines;
        let own = |lines: usize| lines.saturating_sub(first).div_ceil(step.max(1));
        (samples.saturating_sub(1) * own(full) + own(lines)) * self.line_rows
    }

    /// Steps of all taps.
    pub fn steps(&self) -> usize {
        self.taps.iter().map(|t| t.steps).sum()
    }
}

/// A whole product: phases, groups and all panels, group after group within a phase.
pub(super) struct Product<'a> {
    pub kernel: Kernel,
    pub phases: &'a [Phase],
    pub groups: Groups,
    pub panels: &'a [u32],
    /// Lines of a full piece.
    pub lines: usize,
}

impl Product<'_> {
    /// Multiplies one piece and hands over every tile with its rows' pixels, its first column and
    /// its number of columns.
    pub fn piece(
        &self,
        window: &[u32],
        (samples, lines): (usize, usize),
        mut finish: impl FnMut(&Tile, &[u32], usize, usize),
    ) {
        let kernel = &self.kernel;
        let mut tile: Tile = Default::default();
        for phase in self.phases {
            let rows = phase.rows(samples, lines, self.lines).min(phase.pixels.len());
            let bases = &phase.bases[..rows.next_multiple_of(kernel.rows).min(phase.bases.len())];
            let panel_words = phase.steps() * kernel.width;
            let per_group = self.groups.panels(kernel);
            for g in 0..self.groups.count {
                let shift = g * self.groups.shift;
                let left = Left { window, shift, taps: &phase.taps, step: 4 };
                assert!(kernel.check(&left, bases), "rows reach past the window");
                for p in 0..self.groups.width(g).div_ceil(kernel.width) {
                    let panel = &self.panels[phase.panels + (g * per_group + p) * panel_words..];
                    let first = p * kernel.width;
                    let columns = kernel.width.min(self.groups.width(g) - first);
                    let column = g * self.groups.columns + first;
                    let pixels = phase.pixels[..rows].chunks(kernel.rows);
                    for (bases, pixels) in bases.chunks_exact(kernel.rows).zip(pixels) {
                        // SAFETY: checked above for all bases.
                        unsafe { kernel.tile(&left, bases, panel, &mut tile) };
                        finish(&tile, pixels, column, columns);
                    }
                }
            }
        }
    }
}

//! Quantise: f32 matrix to packed FP8 with power-of-two scales, statistics fused.

use rayon::prelude::*;

use super::dispatch::{MAX_PARTIALS, SCRATCH, dispatch, format_code, read, write};
use super::{Access, BufferId, Dispatch, ScratchNeed, Slots, Variant, parallel, step_state};
use crate::device::Capabilities;
use crate::device::shader::LANES;
use crate::fp8::stats::{self, STAT_WORDS};
use crate::fp8::tally::{Summary, Tally};
use crate::fp8::{AmaxAlgorithm, Format, Scale, hash, slice};

/// How the scale of this call is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScaleSource {
    /// From the live amax of each block.
    Current,
    /// From this tensor's amax history; the live amax is then written into it. One block only;
    /// needs `watch`.
    ///
    /// The history is a ring of `length` words (1..=1024) from word `watch * 1024`, indexed by step
    /// (from 1). `Max` takes the largest of its `length` words, `MostRecent` word
    /// `(step - 2) mod length` (`(step + length - 2) % length`), `First` word 0. If that is 0
    /// (nothing recorded yet) the live amax is used instead. Afterwards word `(step - 1) % length`
    /// becomes the live amax; for `First` word 0 does, once.
    Delayed {
        /// f32 history of all watched tensors, 1024 words each.
        history: BufferId,
        /// Steps remembered.
        length: u32,
        /// How the history becomes one amax.
        algorithm: AmaxAlgorithm,
    },
    /// No codes yet: the amax of these rows is added to that of the earlier ones, which `scales` holds
    /// as bits. The last rows of the tensor choose its scale, one for all of it, and start its
    /// statistics.
    Gather,
    /// The scale that [`ScaleSource::Gather`] chose; statistics are added to those that it started.
    Gathered,
}

/// Quantises `input` `[rows, cols]` to `packed` `[rows, ceil(cols/4)]` words.
///
/// Blocks are `block_rows × block_cols` (whole matrix: one scale; `1 × cols`: one per row). Scale
/// exponents (i32) go to `scales` at `(r / block_rows) * ceil(cols / block_cols) + c / block_cols`.
/// Non-finite values do not count towards amax; NaN stays NaN, infinities saturate; bytes past
/// `cols` in the last word of a row are 0. Exponent selection and encoding use integer arithmetic
/// on the bits, so every executor writes the same bytes.
///
/// Exact rules, with `a = bits & 0x7fffffff` and `b`, `M` the format's bias and mantissa bits:
/// * NaN (`a > 0x7f800000`) becomes sign | 0x7F (E4M3) or sign | 0x7E (E5M2); infinity becomes
///   sign | max code (0x7E, 0x7B); an f32 subnormal or zero (`a < 0x00800000`) becomes sign | 0.
/// * Otherwise `m = (a & 0x7fffff) | 0x800000`, `E = (a >> 23) - 127 - exponent`,
///   `shift = 23 - M + max(0, 1 - b - E)`, `base = max(E + b - 1, 0) << M`,
///   `code = min(base + q, max code)`, with
///   nearest-even `q = (m + (1 << (shift-1)) - 1 + (m >> shift & 1)) >> shift` (0 if shift > 25), or
///   stochastic `q = (m + (h & ((1 << shift) - 1))) >> shift` (0 if shift > 31) with
///   `h = hash::bits(hash::key(seed, step, ROUNDING_STREAM + (watch or UNWATCHED)), r * cols + c)`.
/// * Statistics: see [`crate::fp8::stats`]. The error is `x - decode(code)·2^exponent` in f32.
#[derive(Debug, Clone, Copy)]
pub struct Quantise {
    /// f32 `[rows, cols]`.
    pub input: BufferId,
    /// FP8 out.
    pub packed: BufferId,
    /// i32 exponents out.
    pub scales: BufferId,
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub cols: u32,
    /// Rows of a block.
    pub block_rows: u32,
    /// Columns of a block.
    pub block_cols: u32,
    /// Target format.
    pub format: Format,
    /// Where the scale comes from.
    pub source: ScaleSource,
    /// Extra powers of two of headroom.
    pub margin: u32,
    /// Stochastic rounding from a counter hash of (seed, step, tensor, element index).
    pub stochastic: bool,
    /// Index among the watched tensors: where statistics (and history) go; `None` writes none.
    pub watch: Option<u32>,
    /// Stats buffer.
    pub stats: BufferId,
    /// Step state.
    pub step: BufferId,
    /// Where these rows begin in their tensor: a tensor may be quantised a few rows at a time, in
    /// order. Codes are those of one call, and later calls add to the statistics of the first. A
    /// delayed scale is chosen by the first call and the others keep it; where there is no history
    /// yet, it is therefore from the amax of the first rows.
    pub first_row: u32,
    /// Rows of the tensor; `rows` where this is the only call.
    pub all_rows: u32,
}

/// Words of amax history per watched tensor.
pub const HISTORY_WORDS: usize = 1024;

/// What the pieces of one call share.
struct Encoder<'a> {
    op: &'a Quantise,
    exponents: &'a [u32],
    /// Hash key of stochastic rounding.
    key: u32,
}

impl Encoder<'_> {
    /// Encodes rows from `row0`; `src` and `dst` start there.
    fn rows(&self, row0: usize, src: &[u32], dst: &mut [u32], mut tally: Option<&mut Tally>) {
        let op = self.op;
        let (cols, block_cols) = (op.cols as usize, op.block_cols.max(1) as usize);
        let per_row = cols.div_ceil(block_cols);
        let sources = src.chunks_exact(cols);
        for (i, (src, words)) in sources.zip(dst.chunks_exact_mut(cols.div_ceil(4))).enumerate() {
            let r = row0 + i;
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(words);
            let (codes, padding) = bytes.split_at_mut(cols);
            padding.fill(0);
            let first_block = r / op.block_rows.max(1) as usize * per_row;
            let mut c = 0;
            while c < cols {
                let end = ((c / block_cols + 1) * block_cols).min(cols);
                let exponent = self.exponents[first_block + c / block_cols] as i32;
                let (src, codes) = (&src[c..end], &mut codes[c..end]);
                if op.stochastic {
                    let first = ((op.first_row as usize + r) * cols + c) as u32;
                    slice::encode_stochastic(op.format, src, exponent, self.key, first, codes);
                } else {
                    slice::encode(op.format, src, exponent, codes);
                }
                if let Some(tally) = tally.as_deref_mut() {
                    tally.add(op.format, exponent, src, codes);
                }
                c = end;
            }
        }
    }
}

impl Quantise {
    /// Blocks, and so scales.
    pub fn blocks(&self) -> usize {
        super::gemm::blocks(self.rows, self.cols, self.block_rows, self.block_cols)
    }

    /// Words of the packed matrix.
    pub fn packed_words(&self) -> usize {
        self.rows as usize * (self.cols as usize).div_ceil(4)
    }

    /// Whether the scale was chosen when earlier rows of the tensor were quantised.
    fn keeps_scale(&self) -> bool {
        match self.source {
            ScaleSource::Delayed { .. } => self.first_row > 0 && self.watch.is_some(),
            ScaleSource::Gathered => true,
            ScaleSource::Current | ScaleSource::Gather => false,
        }
    }

    /// amax bits of every block into `amax`; the largest of all is returned.
    fn amaxes(&self, src: &[u32], amax: &mut [u32]) -> u32 {
        if let [only] = amax {
            *only = src.par_chunks(parallel::PIECE).map(slice::amax_bits).max().unwrap_or(0);
            return *only;
        }
        let (cols, block_cols) = (self.cols as usize, self.block_cols.max(1) as usize);
        let per_row = cols.div_ceil(block_cols);
        let stripe = self.block_rows.max(1) as usize * cols;
        if per_row == 0 {
            return 0;
        }
        amax.par_chunks_mut(per_row).zip(src.par_chunks(stripe)).for_each(|(amax, stripe)| {
            amax.fill(0);
            for row in stripe.chunks_exact(cols) {
                for (a, block) in amax.iter_mut().zip(row.chunks(block_cols)) {
                    *a = (*a).max(slice::amax_bits(block));
                }
            }
        });
        amax.iter().copied().max().unwrap_or(0)
    }

    /// amax that the delayed scale is taken from; writes the live one into the history.
    fn delayed(&self, live: u32, step: u32, slots: &mut Slots) -> u32 {
        let (ScaleSource::Delayed { history, length, algorithm }, Some(watch)) =
            (self.source, self.watch)
        else {
            return live;
        };
        let length = (length as usize).clamp(1, HISTORY_WORDS);
        let start = watch as usize * HISTORY_WORDS;
        let ring = &mut slots.words_mut(history)[start..start + length];
        let at = step as usize;
        let chosen = match algorithm {
            AmaxAlgorithm::Max => ring.iter().copied().max().unwrap_or(0),
            AmaxAlgorithm::MostRecent => ring[(at + 2 * length - 2) % length],
            AmaxAlgorithm::First => ring[0],
        };
        let now = match algorithm {
            AmaxAlgorithm::First => &mut ring[0],
            _ => &mut ring[(at + length - 1) % length],
        };
        match algorithm {
            AmaxAlgorithm::First if chosen != 0 => {}
            _ if self.first_row > 0 => *now = live.max(*now),
            _ => *now = live,
        }
        if chosen == 0 { live } else { chosen }
    }

    /// Whether it writes the first codes of its tensor.
    pub fn begins_codes(&self) -> bool {
        self.first_row == 0 && self.source != ScaleSource::Gather
    }

    fn ends_tensor(&self) -> bool {
        self.first_row + self.rows >= self.all_rows
    }

    /// The native twin of [`ScaleSource::Gather`].
    fn gather(&self, slots: &mut Slots) {
        let src = &slots.words(self.input)[..self.rows as usize * self.cols as usize];
        let mut amax = self.amaxes(src, &mut [0]);
        let Some(word) = slots.words_mut(self.scales).first_mut() else { return };
        if self.first_row > 0 {
            amax = amax.max(*word);
        }
        *word = amax;
        if !self.ends_tensor() {
            return;
        }
        let exponent = Scale::from_amax_bits(amax, self.format, self.margin).exponent;
        *word = exponent as u32;
        if let Some(watch) = self.watch {
            let count = self.all_rows * self.cols;
            let words = Summary::default().to_words(amax, exponent, count);
            let start = watch as usize * STAT_WORDS;
            slots.words_mut(self.stats)[start..start + STAT_WORDS].copy_from_slice(&words);
        }
    }

    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        if self.source == ScaleSource::Gather {
            return self.gather(slots);
        }
        let (rows, cols) = (self.rows as usize, self.cols as usize);
        let step = slots.step_word(self.step, step_state::STEP);
        let seed = slots.step_word(self.step, step_state::SEED);
        let blocks = self.blocks();
        let mut scales = slots.take(self.scales);
        let exponents = &mut scales.words()[..blocks];
        let src = &slots.words(self.input)[..rows * cols];
        let live = if self.keeps_scale() {
            let live = self.amaxes(src, &mut [0]);
            self.delayed(live, step, slots);
            live
        } else {
            let live = self.amaxes(src, exponents);
            if let [only] = exponents {
                *only = self.delayed(live, step, slots);
            }
            for e in exponents.iter_mut() {
                *e = Scale::from_amax_bits(*e, self.format, self.margin).exponent as u32;
            }
            live
        };
        let exponents = &scales.words()[..blocks];

        let gather = self.watch.is_some() && slots.full_stats;
        let per_piece = parallel::rows_per_piece(cols);
        let mut packed = slots.take(self.packed);
        let mut parts = std::mem::take(&mut slots.scratch.summaries);
        parts.clear();
        if rows * cols > 0 {
            let stream = hash::ROUNDING_STREAM + self.watch.unwrap_or(hash::UNWATCHED);
            let encoder = Encoder { op: self, exponents, key: hash::key(seed, step, stream) };
            let src = slots.words(self.input)[..rows * cols].par_chunks(per_piece * cols);
            let dst = &mut packed.words()[..self.packed_words()];
            let dst = dst.par_chunks_mut(per_piece * cols.div_ceil(4));
            if gather {
                // Pieces are summed in order, so sums do not depend on threads.
                parts.resize(rows.div_ceil(per_piece), Summary::default());
                src.zip(dst).zip(parts.par_iter_mut()).enumerate().for_each(
                    |(i, ((src, dst), part))| {
                        let mut tally = Tally::default();
                        encoder.rows(i * per_piece, src, dst, Some(&mut tally));
                        *part = tally.finish();
                    },
                );
            } else {
                src.zip(dst).enumerate().for_each(|(i, (src, dst))| {
                    encoder.rows(i * per_piece, src, dst, None);
                });
            }
        }
        slots.put(packed);
        if let Some(watch) = self.watch {
            let largest = exponents.iter().map(|e| *e as i32).max().unwrap_or(0);
            let mut total = Summary::default();
            parts.iter().for_each(|part| total.merge(part));
            let count = self.all_rows * self.cols;
            let words = total.to_words(live, largest, count);
            let start = watch as usize * STAT_WORDS;
            let stats = &mut slots.words_mut(self.stats)[start..start + STAT_WORDS];
            if self.first_row > 0 || self.source == ScaleSource::Gathered {
                stats::merge_words(stats, &words);
            } else {
                stats.copy_from_slice(&words);
            }
        }
        slots.scratch.summaries = parts;
        slots.put(scales);
    }

    /// Scratch of the native twin.
    pub fn scratch(&self) -> ScratchNeed {
        let per_piece = parallel::rows_per_piece(self.cols as usize);
        let watched = usize::from(self.watch.is_some());
        let summaries = watched * (self.rows as usize).div_ceil(per_piece);
        ScratchNeed { summaries, ..ScratchNeed::default() }
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let input = Access::read(self.input, self.rows as usize * self.cols as usize);
        if self.source == ScaleSource::Gather {
            let earlier = self.first_row > 0;
            let mut list = vec![input, Access { reads: earlier, ..Access::update(self.scales, 1) }];
            if let Some(watch) = self.watch.filter(|_| self.ends_tensor()) {
                list.push(Access::update(self.stats, (watch as usize + 1) * STAT_WORDS));
            }
            return list;
        }
        let mut list = vec![
            input,
            Access::write(self.packed, self.packed_words()),
            if self.keeps_scale() {
                Access::read(self.scales, self.blocks())
            } else {
                Access::write(self.scales, self.blocks())
            },
            Access::read(self.step, step_state::WORDS),
        ];
        if let Some(watch) = self.watch {
            let watch = watch as usize;
            list.push(Access::update(self.stats, (watch + 1) * STAT_WORDS));
            if let ScaleSource::Delayed { history, .. } = self.source {
                list.push(Access::update(history, (watch + 1) * HISTORY_WORDS));
            }
        }
        list
    }
}

/// Blocks of at most this many elements get one thread each instead of one group.
const SMALL_BLOCK: u32 = 128;

/// Place of `encode_groups` in the shader's parameters.
const ENCODE_GROUPS: usize = 8;

/// The largest of a workgroup's values is found in a tree, or first in each subgroup.
const VARIANTS: [Variant; 2] = ["tree", "subgroups"];

impl Quantise {
    /// Ways to run it, the usual one first.
    pub fn variants(&self, can: &Capabilities) -> Vec<Variant> {
        let count = if can.subgroups { VARIANTS.len() } else { 1 };
        VARIANTS.into_iter().take(count).collect()
    }

    /// What its speed depends on, for a table of measurements.
    pub fn speed_key(&self) -> String {
        let size = |n: u32| n.max(1).checked_next_power_of_two().unwrap_or(n);
        let (rows, cols) = (size(self.rows), size(self.cols));
        let whole = self.block_rows >= self.all_rows && self.block_cols >= self.cols;
        let blocks = match (whole, self.block_rows) {
            (true, _) => "one block".to_owned(),
            (false, rows) => format!("blocks of {rows}x{}", self.block_cols.min(cols)),
        };
        let source = match self.source {
            ScaleSource::Current => "",
            ScaleSource::Delayed { .. } => ", delayed",
            ScaleSource::Gather => ", amax only",
            ScaleSource::Gathered => ", scale given",
        };
        let random = if self.stochastic { ", stochastic" } else { "" };
        let watched = if self.watch.is_some() { ", watched" } else { "" };
        let format = self.format.name();
        format!("quantise {rows}x{cols} to {format}, {blocks}{source}{random}{watched}")
    }

    /// Numbers in what it reads.
    pub fn sample(&self) -> Vec<(BufferId, Vec<u32>)> {
        let key = hash::key(3, 1, hash::UNWATCHED);
        let value = |i: u32| ((hash::bits(key, i) >> 8) as f32 / 8_388_608.0 - 1.0).to_bits();
        vec![(self.input, (0..self.rows * self.cols).map(value).collect())]
    }

    /// Dispatches of `shaders/quantise.wgsl`: scales, codes, and where the tensor is watched its
    /// statistics; with `full_stats` false only amax and scale exponent of them.
    pub fn gpu(&self, full_stats: bool, variant: Option<&str>) -> Vec<Dispatch> {
        let across = self.cols.div_ceil(self.block_cols.max(1));
        let blocks = self.rows.div_ceil(self.block_rows.max(1)) * across;
        let single = self.block_rows >= self.all_rows && self.block_cols >= self.cols;
        let words = self.rows * self.cols.div_ceil(4);
        let amax_groups = (self.rows * self.cols).div_ceil(8 * LANES).clamp(1, MAX_PARTIALS);
        let encode_groups = words.div_ceil(LANES).clamp(1, MAX_PARTIALS);
        let (history, length, algorithm) = match self.source {
            ScaleSource::Current | ScaleSource::Gather | ScaleSource::Gathered => {
                (None, 1, AmaxAlgorithm::Max)
            }
            ScaleSource::Delayed { history, length, algorithm } => {
                (Some(history), length.clamp(1, HISTORY_WORDS as u32), algorithm)
            }
        };
        let algorithm = match algorithm {
            AmaxAlgorithm::Max => 0,
            AmaxAlgorithm::MostRecent => 1,
            AmaxAlgorithm::First => 2,
        };
        let stream = hash::ROUNDING_STREAM + self.watch.unwrap_or(hash::UNWATCHED);
        let params = [
            self.rows,
            self.cols,
            self.block_rows.max(1),
            self.block_cols.max(1),
            self.margin,
            self.watch.unwrap_or(0),
            stream,
            amax_groups,
            encode_groups,
            length,
            algorithm,
            blocks,
            self.first_row,
            self.all_rows,
        ];
        let constants = [
            ("FORMAT", format_code(self.format)),
            ("STOCHASTIC", u32::from(self.stochastic)),
            ("SINGLE", u32::from(single)),
            ("SUBGROUPS", u32::from(variant == Some(VARIANTS[1]))),
        ];
        let call = |entry, params: &[u32], buffers: &[(BufferId, bool)], groups| {
            dispatch("quantise", entry, &constants, buffers, params, groups)
        };
        let watched = self.watch.is_some();
        let mut calls = Vec::new();
        if words == 0 {
            if watched {
                calls.push(call("clear_watched", &params, &[write(self.stats)], 1));
            }
            return calls;
        }
        if self.source == ScaleSource::Gather {
            calls.push(call("amax", &params, &[read(self.input), write(SCRATCH)], amax_groups));
            let mut buffers = vec![read(SCRATCH), write(self.scales)];
            let entry = match watched && self.ends_tensor() {
                true => {
                    buffers.push(write(self.stats));
                    "gather_watched"
                }
                false => "gather",
            };
            calls.push(call(entry, &params, &buffers, 1));
            return calls;
        }
        if self.source == ScaleSource::Gathered {
            // The scale is known, and so is the amax.
        } else if single {
            calls.push(call("amax", &params, &[read(self.input), write(SCRATCH)], amax_groups));
            let history = history.filter(|_| watched);
            let mut buffers = vec![read(SCRATCH), write(self.scales)];
            let entry = match history {
                Some(history) if self.keeps_scale() => {
                    let rest = [write(self.stats), write(history), read(self.step)];
                    buffers = [vec![read(SCRATCH)], rest.to_vec()].concat();
                    "add_delayed"
                }
                Some(history) => {
                    buffers.extend([write(self.stats), write(history), read(self.step)]);
                    "choose_delayed"
                }
                None if watched => {
                    buffers.push(write(self.stats));
                    "choose_watched"
                }
                None => "choose",
            };
            calls.push(call(entry, &params, &buffers, 1));
        } else {
            let small = self.block_rows.saturating_mul(self.block_cols) <= SMALL_BLOCK;
            let mut buffers = vec![read(self.input), write(self.scales)];
            if watched {
                if self.first_row == 0 {
                    calls.push(call("clear_watched", &params, &[write(self.stats)], 1));
                }
                buffers.push(write(self.stats));
            }
            let (entry, groups) = match (small, watched) {
                (true, true) => ("amax_small_blocks_watched", blocks.div_ceil(LANES)),
                (true, false) => ("amax_small_blocks", blocks.div_ceil(LANES)),
                (false, true) => ("amax_blocks_watched", blocks),
                (false, false) => ("amax_blocks", blocks),
            };
            calls.push(call(entry, &params, &buffers, groups));
        }
        let mut buffers =
            vec![read(self.input), read(self.scales), read(self.step), write(self.packed)];
        if watched && full_stats {
            buffers.extend([write(self.stats), write(SCRATCH)]);
            calls.push(call("encode_watched", &params, &buffers, encode_groups));
        } else {
            calls.push(call("encode", &params, &buffers, encode_groups));
        }
        if watched && (full_stats || !single) {
            let mut params = params;
            if !full_stats {
                // No energies were gathered.
                params[ENCODE_GROUPS] = 0;
            }
            calls.push(call("finish_watched", &params, &[read(SCRATCH), write(self.stats)], 1));
        }
        calls
    }
}

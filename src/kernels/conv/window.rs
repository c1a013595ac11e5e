//! Decoding samples into zero-padded windows.

use super::super::Slots;
use super::super::gemm::{Operand, Storage, blocks};
use super::super::simd::widest;
pub(super) use super::super::slots::grow;
use super::ConvShape;
use super::tile::{Kernel, MAX_WIDTH};
use crate::fp8::{Scale, bf16, slice};
use crate::kernels::BufferId;

/// An element of a window: f32, or bf16 as its bits.
pub(super) trait Value: Copy + Default + bytemuck::Pod {
    /// From FP8 codes, times a power of two.
    fn decode(format: crate::fp8::Format, codes: &[u8], scale: f32, dst: &mut [Self]);
    /// From f32.
    fn convert(src: &[f32], dst: &mut [Self]);
    /// From bf16.
    fn widen(src: &[u16], dst: &mut [Self]);
    /// See [`place_body`].
    fn place(
        y: usize,
        width: usize,
        pooled: &[Self],
        winners: (&[u8], usize),
        channels: usize,
        dst: &mut [Self],
    );
}

impl Value for f32 {
    fn decode(format: crate::fp8::Format, codes: &[u8], scale: f32, dst: &mut [f32]) {
        slice::decode(format, codes, scale, dst);
    }

    fn convert(src: &[f32], dst: &mut [f32]) {
        dst.copy_from_slice(src);
    }

    fn widen(src: &[u16], dst: &mut [f32]) {
        bf16::decode(src, dst);
    }

    fn place(
        y: usize,
        width: usize,
        pooled: &[f32],
        winners: (&[u8], usize),
        channels: usize,
        dst: &mut [f32],
    ) {
        place32(y, width, pooled, winners, channels, dst);
    }
}

impl Value for u16 {
    fn decode(format: crate::fp8::Format, codes: &[u8], scale: f32, dst: &mut [u16]) {
        slice::decode_bf16(format, codes, scale, dst);
    }

    fn convert(src: &[f32], dst: &mut [u16]) {
        for (d, s) in dst.iter_mut().zip(src) {
            *d = half::bf16::from_f32(*s).to_bits();
        }
    }

    fn widen(src: &[u16], dst: &mut [u16]) {
        dst.copy_from_slice(src);
    }

    fn place(
        y: usize,
        width: usize,
        pooled: &[u16],
        winners: (&[u8], usize),
        channels: usize,
        dst: &mut [u16],
    ) {
        place16(y, width, pooled, winners, channels, dst);
    }
}

/// Reads stretches of a stored matrix.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    operand: Operand,
    words: &'a [u32],
    exponents: &'a [u32],
}

/// Scale exponents whose products with every code are normal bf16 numbers.
const EXACT_IN_BF16: std::ops::RangeInclusive<i32> = -100..=100;

impl<'a> Reader<'a> {
    pub fn new(operand: &Operand, slots: &'a Slots) -> Self {
        let exponents = match operand.storage {
            Storage::F32 | Storage::Bf16 => &[],
            Storage::Fp8 { scales, block_rows, block_cols, .. } => {
                let count = blocks(operand.rows, operand.cols, block_rows, block_cols);
                &slots.words(scales)[..count]
            }
        };
        Self { operand: *operand, words: slots.words(operand.buffer), exponents }
    }

    /// What the values read still have to be multiplied by: the scale of a matrix that has only
    /// one, so that its values are exact in any format; 1 otherwise.
    pub fn factor(&self) -> f32 {
        match self.exponents {
            [only] => Scale { exponent: *only as i32 }.value(),
            _ => 1.0,
        }
    }

    /// Whether the values read are exact in bf16.
    pub fn exact_in_bf16(&self) -> bool {
        let scales = |e: &u32| EXACT_IN_BF16.contains(&(*e as i32));
        match self.operand.storage {
            Storage::F32 => false,
            Storage::Bf16 => true,
            Storage::Fp8 { .. } => self.exponents.len() == 1 || self.exponents.iter().all(scales),
        }
    }

    /// Columns `from..` of a row, as many as `dst` holds.
    pub fn read<T: Value>(&self, row: usize, from: usize, dst: &mut [T]) {
        let cols = self.operand.cols as usize;
        let (format, block_rows, block_cols) = match self.operand.storage {
            Storage::F32 => {
                let values: &[f32] = bytemuck::cast_slice(self.words);
                T::convert(&values[row * cols + from..][..dst.len()], dst);
                return;
            }
            Storage::Bf16 => {
                let halves: &[u16] = bytemuck::cast_slice(self.words);
                let start = row * cols.div_ceil(2) * 2 + from;
                T::widen(&halves[start..start + dst.len()], dst);
                return;
            }
            Storage::Fp8 { format, block_rows, block_cols, .. } => (format, block_rows, block_cols),
        };
        let start = row * cols.div_ceil(4) * 4 + from;
        let codes = &bytemuck::cast_slice::<u32, u8>(self.words)[start..start + dst.len()];
        if self.exponents.len() == 1 {
            T::decode(format, codes, 1.0, dst);
            return;
        }
        let (block_rows, block_cols) = (block_rows.max(1) as usize, block_cols.max(1) as usize);
        let exponents = &self.exponents[row / block_rows * cols.div_ceil(block_cols)..];
        let mut at = 0;
        while at < dst.len() {
            let block = (from + at) / block_cols;
            let end = ((block + 1) * block_cols - from).min(dst.len());
            let scale = Scale { exponent: exponents[block] as i32 }.value();
            T::decode(format, &codes[at..end], scale, &mut dst[at..end]);
            at = end;
        }
    }
}

/// Images of which one line of pixels is read at a time.
pub(super) struct Lines<'a> {
    reader: Reader<'a>,
    height: usize,
    width: usize,
    channels: usize,
    /// Of a pooled gradient: the winner's place per pooled value, and bytes per pooled pixel.
    winners: Option<(&'a [u8], usize)>,
}

impl<'a> Lines<'a> {
    /// The images of a forward pass.
    pub fn images(operand: &Operand, shape: &ConvShape, slots: &'a Slots) -> Self {
        Self {
            reader: Reader::new(operand, slots),
            height: shape.height as usize,
            width: shape.width as usize,
            channels: shape.channels as usize,
            winners: None,
        }
    }

    /// The gradients of a convolution's outputs; pooled ones are put back in their places.
    pub fn gradients(
        operand: &Operand,
        winners: Option<BufferId>,
        shape: &ConvShape,
        slots: &'a Slots,
    ) -> Self {
        let channels = shape.out_channels as usize;
        let bytes = |id| bytemuck::cast_slice(slots.words(id));
        Self {
            reader: Reader::new(operand, slots),
            height: shape.out_height as usize,
            width: shape.out_width as usize,
            channels,
            winners: winners.map(|id| (bytes(id), channels.div_ceil(4) * 4)),
        }
    }

    /// See [`Reader::factor`].
    pub fn factor(&self) -> f32 {
        self.reader.factor()
    }

    /// The first pixels of a line, as many as `dst` holds.
    pub fn line<T: Value>(&self, sample: usize, y: usize, dst: &mut [T], pooled: &mut Vec<T>) {
        let Some((winners, stride)) = self.winners else {
            let from = y * self.width * self.channels;
            self.reader.read(sample, from, dst);
            return;
        };
        let (height, width) = (self.height / 2, self.width / 2);
        if y / 2 >= height {
            dst.fill(T::default());
            return;
        }
        let len = width * self.channels;
        let pooled = grow(pooled, len);
        self.reader.read(sample, y / 2 * len, pooled);
        let winners = &winners[(sample * height + y / 2) * width * stride..];
        T::place(y, width, pooled, (winners, stride), self.channels, dst);
    }
}

/// Puts the pooled values of a line back in their places of line `y`, zeros elsewhere; `winners` are
/// bytes of which every pixel has `stride`.
#[inline(always)]
fn place_body<T: Value>(
    y: usize,
    width: usize,
    pooled: &[T],
    (winners, stride): (&[u8], usize),
    channels: usize,
    dst: &mut [T],
) {
    let (windows, rest) = dst.split_at_mut(dst.len().min(2 * width * channels));
    rest.fill(T::default());
    let place = (y & 1) as u8 * 2;
    for (x, pixels) in windows.chunks_mut(2 * channels).enumerate() {
        let values = &pooled[x * channels..(x + 1) * channels];
        let winners = &winners[x * stride..x * stride + channels];
        for (place, dst) in (place..).zip(pixels.chunks_mut(channels)) {
            for ((d, v), w) in dst.iter_mut().zip(values).zip(winners) {
                *d = if *w == place { *v } else { T::default() };
            }
        }
    }
}

widest! {
    fn place32(
        y: usize,
        width: usize,
        pooled: &[f32],
        winners: (&[u8], usize),
        channels: usize,
        dst: &mut [f32],
    ) = place_body::<f32>;
}
widest! {
    fn place16(
        y: usize,
        width: usize,
        pooled: &[u16],
        winners: (&[u8], usize),
        channels: usize,
        dst: &mut [u16],
    ) = place_body::<u16>;
}

/// A zero-padded part of images: `lines` lines of `pitch` pixels per sample.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// Lines per sample.
    pub lines: usize,
    /// Pixels of a line.
    pub pitch: usize,
    /// Zero pixels at the start of every line.
    pub left: usize,
}

impl Frame {
    /// Values of one sample.
    pub fn len(&self, channels: usize) -> usize {
        self.lines * self.pitch * channels
    }

    /// Fills `dst` with `samples` consecutive samples from `first`; the frame's first line is line
    /// `top` of the image (negative: above it).
    pub fn fill<T: Value>(
        &self,
        source: &Lines<'_>,
        (first, samples): (usize, usize),
        top: isize,
        dst: &mut [T],
        pooled: &mut Vec<T>,
    ) {
        let c = source.channels;
        let pixels = source.width.min(self.pitch.saturating_sub(self.left));
        let (start, end) = (self.left * c, (self.left + pixels) * c);
        let line_len = self.pitch * c;
        for (i, line) in dst[..samples * self.len(c)].chunks_exact_mut(line_len).enumerate() {
            let y = top + (i % self.lines) as isize;
            if y < 0 || y as usize >= source.height {
                line.fill(T::default());
                continue;
            }
            line[..start].fill(T::default());
            line[end..].fill(T::default());
            source.line(first + i / self.lines, y as usize, &mut line[start..end], pooled);
        }
    }
}

impl Frame {
    /// The window of some samples in the thread's scratch, as large as one of `capacity` samples
    /// and with room for vectors to reach past it.
    pub fn window<'a>(
        &self,
        (kernel, capacity): (&Kernel, usize),
        source: &Lines<'_>,
        from: (usize, usize),
        top: isize,
        scratch: &'a mut Scratch,
    ) -> &'a [u32] {
        let words = |samples: usize| samples * self.len(source.channels) * kernel.element() / 4;
        let window = grow(&mut scratch.window, words(capacity) + 1 + SLACK);
        // What lies past the end is multiplied by zeros, so it must be finite.
        window[words(from.1)..].fill(0);
        if kernel.element() == 2 {
            let values = bytemuck::cast_slice_mut(window);
            self.fill(source, from, top, values, &mut scratch.pooled16);
        } else {
            let values = bytemuck::cast_slice_mut(window);
            self.fill(source, from, top, values, &mut scratch.pooled32);
        }
        window
    }
}

/// Scratch of one thread.
#[derive(Default)]
pub(super) struct Scratch {
    /// The window, as words so that rows of either element type can be read from it.
    pub window: Vec<u32>,
    /// A second one.
    pub other: Vec<u32>,
    /// Panels made from one piece.
    pub panel: Vec<u32>,
    /// A pooled line.
    pub pooled32: Vec<f32>,
    /// A pooled line.
    pub pooled16: Vec<u16>,
    /// A line of values.
    pub line: Vec<u32>,
}

/// Words past a window that the last row's vector may reach into.
const SLACK: usize = MAX_WIDTH;

thread_local! {
    static SCRATCH: std::cell::Cell<Option<Box<Scratch>>> = const { std::cell::Cell::new(None) };
}

/// Lends the thread's scratch. A nested call (work stolen while waiting) gets a fresh one.
pub(super) fn with_scratch<R>(f: impl FnOnce(&mut Scratch) -> R) -> R {
    let mut scratch = SCRATCH.take().unwrap_or_default();
    let result = f(&mut scratch);
    SCRATCH.set(Some(scratch));
    result
}

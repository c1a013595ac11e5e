//! Pooling of images `[rows, height, width, channels]`.

use rayon::prelude::*;

use super::dispatch::{SCRATCH, dispatch, groups, read, write};
use super::simd::widest;
use super::{Access, BufferId, Dispatch, Slots};

/// Sizes of a pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolShape {
    /// Samples.
    pub rows: u32,
    /// Input rows of pixels.
    pub height: u32,
    /// Input pixels of a row.
    pub width: u32,
    /// Channels.
    pub channels: u32,
    /// Output rows of pixels.
    pub out_height: u32,
    /// Output pixels of a row.
    pub out_width: u32,
    /// Height and width of a window.
    pub size: [u32; 2],
    /// Pixels from one window to the next.
    pub stride: u32,
    /// Pixels added on every side.
    pub padding: u32,
}

/// `out[n, y, x, c] = max x[n, y·s + i − p, x·s + j − p, c]` over the pixels of the window inside
/// the image; the first of equal values wins and NaN stays NaN. Windows are square.
#[derive(Debug, Clone, Copy)]
pub struct MaxPool {
    /// f32 `[rows, height, width, channels]`.
    pub x: BufferId,
    /// f32 `[rows, out_height, out_width, channels]`.
    pub out: BufferId,
    /// One byte per output, `i · size + j` of the winner; per pixel `ceil(channels / 4)` words.
    pub winners: Option<BufferId>,
    /// Sizes.
    pub shape: PoolShape,
}

/// Gradient of [`MaxPool`]: every input gets the sum of the gradients of the windows it won.
#[derive(Debug, Clone, Copy)]
pub struct MaxPoolBackward {
    /// f32, like the output.
    pub grad: BufferId,
    /// As the forward pass wrote them.
    pub winners: BufferId,
    /// f32, like the input, overwritten.
    pub grad_x: BufferId,
    /// Sizes.
    pub shape: PoolShape,
}

/// `out = mean of each window and channel`; there is no padding. With one window of the size of the
/// image it is global average pooling.
#[derive(Debug, Clone, Copy)]
pub struct AvgPool {
    /// f32 `[rows, height, width, channels]`.
    pub x: BufferId,
    /// f32 `[rows, out_height, out_width, channels]`.
    pub out: BufferId,
    /// Sizes; padding 0.
    pub shape: PoolShape,
}

/// Gradient of [`AvgPool`]: every input gets the gradients of its windows over their size.
#[derive(Debug, Clone, Copy)]
pub struct AvgPoolBackward {
    /// f32, like the output.
    pub grad: BufferId,
    /// f32, like the input, overwritten.
    pub grad_x: BufferId,
    /// Sizes; padding 0.
    pub shape: PoolShape,
}

impl PoolShape {
    /// Values of one input.
    pub fn image_len(&self) -> usize {
        self.height as usize * self.width as usize * self.channels as usize
    }

    /// Pixels of one output.
    pub fn out_pixels(&self) -> usize {
        self.out_height as usize * self.out_width as usize
    }

    fn out_len(&self) -> usize {
        self.out_pixels() * self.channels as usize
    }

    /// Words of all winners.
    pub fn winner_words(&self) -> usize {
        self.rows as usize * self.out_pixels() * (self.channels as usize).div_ceil(4)
    }

    fn winner_bytes(&self) -> usize {
        (self.channels as usize).div_ceil(4) * 4
    }

    /// Calls `f(place in the window, first value of the input pixel)` for the pixels of the window
    /// at output pixel `index` that are inside the image.
    #[inline(always)]
    fn window(&self, index: usize, mut f: impl FnMut(u32, usize)) {
        let (y, x) = (index / self.out_width as usize, index % self.out_width as usize);
        let [h, w] = self.size;
        for i in 0..h {
            let v = y as u32 * self.stride + i;
            if v < self.padding || v - self.padding >= self.height {
                continue;
            }
            for j in 0..w {
                let u = x as u32 * self.stride + j;
                if u < self.padding || u - self.padding >= self.width {
                    continue;
                }
                let pixel = (v - self.padding) * self.width + u - self.padding;
                f(i * w + j, pixel as usize * self.channels as usize);
            }
        }
    }
}

#[inline(always)]
fn max_body(shape: &PoolShape, x: &[f32], out: &mut [f32], winners: &mut [u8]) {
    let (channels, bytes) = (shape.channels as usize, shape.winner_bytes());
    for (index, out) in out.chunks_exact_mut(channels).enumerate() {
        let mut ignored = [];
        if !winners.is_empty() {
            // Bytes past the last channel are 0.
            winners[(index + 1) * bytes - 4..(index + 1) * bytes].fill(0);
        }
        let own = if winners.is_empty() {
            &mut ignored[..]
        } else {
            &mut winners[index * bytes..index * bytes + channels]
        };
        let mut first = true;
        shape.window(index, |place, at| {
            let values = &x[at..at + channels];
            if own.is_empty() {
                for (best, v) in out.iter_mut().zip(values) {
                    let wins = first || *v > *best || v.is_nan();
                    *best = if wins { *v } else { *best };
                }
            } else {
                for ((best, v), w) in out.iter_mut().zip(values).zip(own.iter_mut()) {
                    let wins = first || *v > *best || v.is_nan();
                    *best = if wins { *v } else { *best };
                    *w = if wins { place as u8 } else { *w };
                }
            }
            first = false;
        });
    }
}

#[inline(always)]
fn max_backward_body(shape: &PoolShape, grad: &[f32], winners: &[u8], grad_x: &mut [f32]) {
    let (channels, bytes) = (shape.channels as usize, shape.winner_bytes());
    grad_x.fill(0.0);
    for (index, grad) in grad.chunks_exact(channels).enumerate() {
        let own = &winners[index * bytes..index * bytes + channels];
        shape.window(index, |place, at| {
            let target = &mut grad_x[at..at + channels];
            for ((t, g), w) in target.iter_mut().zip(grad).zip(own) {
                *t += if u32::from(*w) == place { *g } else { 0.0 };
            }
        });
    }
}

#[inline(always)]
fn avg_body(shape: &PoolShape, x: &[f32], out: &mut [f32]) {
    let channels = shape.channels as usize;
    let count = (shape.size[0] * shape.size[1]) as f32;
    for (index, out) in out.chunks_exact_mut(channels).enumerate() {
        out.fill(0.0);
        shape.window(index, |_, at| {
            for (o, v) in out.iter_mut().zip(&x[at..at + channels]) {
                *o += v;
            }
        });
        for o in out {
            *o /= count;
        }
    }
}

#[inline(always)]
fn avg_backward_body(shape: &PoolShape, grad: &[f32], grad_x: &mut [f32]) {
    let channels = shape.channels as usize;
    let count = (shape.size[0] * shape.size[1]) as f32;
    grad_x.fill(0.0);
    for (index, grad) in grad.chunks_exact(channels).enumerate() {
        shape.window(index, |_, at| {
            for (t, g) in grad_x[at..at + channels].iter_mut().zip(grad) {
                *t += g / count;
            }
        });
    }
}

widest! {
    fn max(shape: &PoolShape, x: &[f32], out: &mut [f32], winners: &mut [u8]) = max_body;
}
widest! {
    fn max_backward(
        shape: &PoolShape,
        grad: &[f32],
        winners: &[u8],
        grad_x: &mut [f32],
    ) = max_backward_body;
}
widest! {
    fn avg(shape: &PoolShape, x: &[f32], out: &mut [f32]) = avg_body;
}
widest! {
    fn avg_backward(shape: &PoolShape, grad: &[f32], grad_x: &mut [f32]) = avg_backward_body;
}

impl MaxPool {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let shape = &self.shape;
        let (rows, len, out_len) = (shape.rows as usize, shape.image_len(), shape.out_len());
        let mut out = slots.take(self.out);
        let mut winners = self.winners.map(|id| slots.take(id));
        let x = slots.f32(self.x)[..rows * len].par_chunks(len.max(1));
        let parts = out.f32()[..rows * out_len].par_chunks_mut(out_len.max(1));
        match &mut winners {
            Some(winners) => {
                let bytes: &mut [u8] = bytemuck::cast_slice_mut(winners.words());
                let winners =
                    bytes.par_chunks_mut((shape.out_pixels() * shape.winner_bytes()).max(1));
                parts.zip(x).zip(winners).for_each(|((o, x), w)| max(shape, x, o, w));
            }
            None => parts.zip(x).for_each(|(o, x)| max(shape, x, o, &mut [])),
        }
        slots.put(out);
        winners.into_iter().for_each(|w| slots.put(w));
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let rows = self.shape.rows as usize;
        let mut list = vec![
            Access::read(self.x, rows * self.shape.image_len()),
            Access::write(self.out, rows * self.shape.out_len()),
        ];
        list.extend(self.winners.map(|id| Access::write(id, self.shape.winner_words())));
        list
    }
}

impl MaxPoolBackward {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let shape = &self.shape;
        let (rows, len, out_len) = (shape.rows as usize, shape.image_len(), shape.out_len());
        let mut taken = slots.take(self.grad_x);
        let grad = slots.f32(self.grad)[..rows * out_len].par_chunks(out_len.max(1));
        let bytes: &[u8] = bytemuck::cast_slice(slots.words(self.winners));
        let winners = bytes.par_chunks((shape.out_pixels() * shape.winner_bytes()).max(1));
        let parts = taken.f32()[..rows * len].par_chunks_mut(len.max(1));
        parts.zip(grad).zip(winners).for_each(|((x, g), w)| max_backward(shape, g, w, x));
        slots.put(taken);
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let rows = self.shape.rows as usize;
        vec![
            Access::read(self.grad, rows * self.shape.out_len()),
            Access::read(self.winners, self.shape.winner_words()),
            Access::write(self.grad_x, rows * self.shape.image_len()),
        ]
    }
}

impl AvgPool {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let shape = &self.shape;
        let (rows, len, out_len) = (shape.rows as usize, shape.image_len(), shape.out_len());
        let mut taken = slots.take(self.out);
        let x = slots.f32(self.x)[..rows * len].par_chunks(len.max(1));
        let parts = taken.f32()[..rows * out_len].par_chunks_mut(out_len.max(1));
        parts.zip(x).for_each(|(o, x)| avg(shape, x, o));
        slots.put(taken);
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let rows = self.shape.rows as usize;
        vec![
            Access::read(self.x, rows * self.shape.image_len()),
            Access::write(self.out, rows * self.shape.out_len()),
        ]
    }
}

impl AvgPoolBackward {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let shape = &self.shape;
        let (rows, len, out_len) = (shape.rows as usize, shape.image_len(), shape.out_len());
        let mut taken = slots.take(self.grad_x);
        let grad = slots.f32(self.grad)[..rows * out_len].par_chunks(out_len.max(1));
        let parts = taken.f32()[..rows * len].par_chunks_mut(len.max(1));
        parts.zip(grad).for_each(|(x, g)| avg_backward(shape, g, x));
        slots.put(taken);
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let rows = self.shape.rows as usize;
        vec![
            Access::read(self.grad, rows * self.shape.out_len()),
            Access::write(self.grad_x, rows * self.shape.image_len()),
        ]
    }
}

impl PoolShape {
    fn constants(&self) -> [(&'static str, u32); 9] {
        [
            ("HEIGHT", self.height),
            ("WIDTH", self.width),
            ("CHANNELS", self.channels),
            ("OUT_HEIGHT", self.out_height),
            ("OUT_WIDTH", self.out_width),
            ("SIZE_Y", self.size[0]),
            ("SIZE_X", self.size[1]),
            ("STRIDE", self.stride),
            ("PADDING", self.padding),
        ]
    }

    /// A call with one thread per element of `len`.
    fn call(
        &self,
        entry: &'static str,
        keep: bool,
        buffers: &[(BufferId, bool)],
        len: usize,
    ) -> Vec<Dispatch> {
        let mut constants = self.constants().to_vec();
        constants.push(("KEEP", keep.into()));
        let len = len as u32;
        vec![dispatch("pool", entry, &constants, buffers, &[len], groups(len))]
    }
}

impl MaxPool {
    /// Dispatches of `shaders/pool.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let winners = self.winners.unwrap_or(SCRATCH);
        let buffers = [read(self.x), write(self.out), write(winners)];
        let keep = self.winners.is_some();
        self.shape.call("max_forward", keep, &buffers, self.shape.winner_words())
    }
}

impl MaxPoolBackward {
    /// Dispatches of `shaders/pool.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let buffers = [read(self.grad), read(self.winners), write(self.grad_x)];
        let len = self.shape.rows as usize * self.shape.image_len();
        self.shape.call("max_backward", true, &buffers, len)
    }
}

impl AvgPool {
    /// Dispatches of `shaders/pool.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let len = self.shape.rows as usize * self.shape.out_len();
        self.shape.call("average_forward", false, &[read(self.x), write(self.out)], len)
    }
}

impl AvgPoolBackward {
    /// Dispatches of `shaders/pool.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let len = self.shape.rows as usize * self.shape.image_len();
        self.shape.call("average_backward", false, &[read(self.grad), write(self.grad_x)], len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fp8::hash;

    fn shapes() -> Vec<PoolShape> {
        let make = |rows, (height, width), channels, size: [u32; 2], stride, padding| {
            let places = |n: u32, k: u32| (n + 2 * padding - k) / stride + 1;
            let (out_height, out_width) = (places(height, size[0]), places(width, size[1]));
            PoolShape {
                rows,
                height,
                width,
                channels,
                out_height,
                out_width,
                size,
                stride,
                padding,
            }
        };
        vec![
            make(2, (4, 6), 3, [2, 2], 2, 0),
            make(3, (7, 5), 5, [3, 3], 2, 1),
            make(1, (5, 5), 33, [3, 3], 1, 1),
            make(2, (6, 7), 4, [6, 7], 1, 0),
            make(1, (1, 1), 1, [1, 1], 1, 0),
            make(2, (9, 8), 2, [2, 2], 3, 0),
            make(1, (15, 15), 1, [15, 15], 1, 7),
        ]
    }

    fn values(seed: u32, len: usize) -> Vec<f32> {
        // Few different values, so that there are ties.
        let key = hash::key(seed, 0, 0);
        (0..len as u32).map(|i| (hash::bits(key, i) % 13) as f32 - 6.0).collect()
    }

    /// Input and output value of every pixel of every window, windows in order of the output.
    fn pairs(s: &PoolShape, mut f: impl FnMut(u32, usize, usize)) {
        for n in 0..s.rows {
            for (y, x) in (0..s.out_height).flat_map(|y| (0..s.out_width).map(move |x| (y, x))) {
                for (i, j) in (0..s.size[0]).flat_map(|i| (0..s.size[1]).map(move |j| (i, j))) {
                    let v = i64::from(y * s.stride + i) - i64::from(s.padding);
                    let u = i64::from(x * s.stride + j) - i64::from(s.padding);
                    if !(0..i64::from(s.height)).contains(&v)
                        || !(0..i64::from(s.width)).contains(&u)
                    {
                        continue;
                    }
                    for c in 0..s.channels {
                        let input =
                            ((n * s.height + v as u32) * s.width + u as u32) * s.channels + c;
                        let output = ((n * s.out_height + y) * s.out_width + x) * s.channels + c;
                        f(i * s.size[1] + j, input as usize, output as usize);
                    }
                }
            }
        }
    }

    fn slots(sizes: &[usize]) -> Slots {
        Slots::new(sizes, sizes.iter().enumerate().map(|(i, n)| (i, *n)).collect())
    }

    fn fill(slots: &mut Slots, id: u32, values: &[f32]) -> BufferId {
        slots.words_mut(BufferId(id)).copy_from_slice(bytemuck::cast_slice(values));
        BufferId(id)
    }

    #[test]
    fn max_pooling_and_its_gradient() {
        for s in shapes() {
            let (len, out_len) = (s.rows as usize * s.image_len(), s.rows as usize * s.out_len());
            let mut slots = slots(&[len, out_len, s.winner_words(), out_len, len, out_len]);
            let input = values(1, len);
            let x = fill(&mut slots, 0, &input);
            let op = MaxPool { x, out: BufferId(1), winners: Some(BufferId(2)), shape: s };
            op.cpu(&mut slots);
            MaxPool { out: BufferId(5), winners: None, ..op }.cpu(&mut slots);
            let grads = values(2, out_len);
            let grad = fill(&mut slots, 3, &grads);
            let back =
                MaxPoolBackward { grad, winners: BufferId(2), grad_x: BufferId(4), shape: s };
            back.cpu(&mut slots);
            let mut best: Vec<Option<(f32, usize)>> = vec![None; out_len];
            pairs(&s, |_, i, o| {
                if best[o].is_none_or(|(b, _)| input[i] > b) {
                    best[o] = Some((input[i], i));
                }
            });
            let mut want = vec![0f32; len];
            for (o, best) in best.iter().enumerate() {
                let (value, i) = best.unwrap();
                assert_eq!(slots.f32(BufferId(1))[o], value);
                want[i] += grads[o];
            }
            assert_eq!(slots.f32(BufferId(4)), want);
            assert_eq!(slots.f32(BufferId(1)), slots.f32(BufferId(5)));
        }
    }

    #[test]
    fn nan_is_kept() {
        let s = shapes()[0];
        let (len, out_len) = (s.rows as usize * s.image_len(), s.rows as usize * s.out_len());
        for at in [0, 3, 18, 21] {
            let mut slots = slots(&[len, out_len, s.winner_words()]);
            let mut input = values(1, len);
            input[at] = f32::NAN;
            let x = fill(&mut slots, 0, &input);
            let op = MaxPool { x, out: BufferId(1), winners: Some(BufferId(2)), shape: s };
            op.cpu(&mut slots);
            assert!(slots.f32(BufferId(1))[0].is_nan(), "{at}");
        }
    }

    #[test]
    fn average_pooling_and_its_gradient() {
        for s in shapes().into_iter().filter(|s| s.padding == 0) {
            let (len, out_len) = (s.rows as usize * s.image_len(), s.rows as usize * s.out_len());
            let mut slots = slots(&[len, out_len, out_len, len]);
            let (input, grads) = (values(1, len), values(2, out_len));
            let x = fill(&mut slots, 0, &input);
            AvgPool { x, out: BufferId(1), shape: s }.cpu(&mut slots);
            let grad = fill(&mut slots, 2, &grads);
            AvgPoolBackward { grad, grad_x: BufferId(3), shape: s }.cpu(&mut slots);
            let count = f64::from(s.size[0] * s.size[1]);
            let (mut want, mut want_x) = (vec![0f64; out_len], vec![0f64; len]);
            pairs(&s, |_, i, o| {
                want[o] += f64::from(input[i]) / count;
                want_x[i] += f64::from(grads[o]) / count;
            });
            let close = |got: &[f32], want: &[f64]| {
                got.iter().zip(want).all(|(g, w)| (f64::from(*g) - w).abs() < 1e-5)
            };
            assert!(close(slots.f32(BufferId(1)), &want));
            assert!(close(slots.f32(BufferId(3)), &want_x));
            want[0] += 1e-4;
            assert!(!close(slots.f32(BufferId(1)), &want));
        }
    }
}

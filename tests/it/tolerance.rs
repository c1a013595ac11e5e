//! How far the two executors may differ, per op. FP8 bytes, scales, counts, copies and single
//! additions or products must have the same bits; what is said here is for the rest.
//!
//! Both executors round every addition, subtraction and product to nearest (`U` relative). A sum of
//! n terms in any order is within n·U·Σ|terms| of the exact one, so two sums differ by at most twice
//! that; a multiply-add that one side fuses stays inside the same bound. For division, square root,
//! exp, log and tanh the errors are those that the WGSL specification allows.

use fp8_studio::fp8::stats::STAT_WORDS;
use fp8_studio::kernels::gemm::{Operand, Storage};
use fp8_studio::kernels::{BufferId, Op, Slots, step_state};
use fp8_studio::model::Activation;

/// Unit roundoff of f32; a unit in the last place is twice this.
const U: f64 = 1.0 / 16_777_216.0;
/// Absolute error of tanh.
const TANH: f64 = 1e-5;
/// What flushed subnormals, or a clamp far out in a tail, may add.
const TINY: f64 = 1e-30;

type Bounds = Vec<(BufferId, Vec<f32>)>;

/// Relative error of exp(x) plus that of one division.
fn exp_error(x: f64) -> f64 {
    (3.0 + 2.0 * x.abs() + 2.5) * 2.0 * U
}

fn values(slots: &Slots, id: BufferId) -> Vec<f64> {
    slots.words(id).iter().map(|bits| f64::from(f32::from_bits(*bits))).collect()
}

/// Absolute values of an operand, as `[rows, inner]` of the product.
fn magnitudes(o: &Operand, slots: &Slots) -> impl Fn(usize, usize) -> f64 {
    let (rows, cols) = (o.rows as usize, o.cols as usize);
    let words = slots.words(o.buffer);
    let stored: Vec<f64> = (0..rows * cols)
        .map(|i| {
            let (r, c) = (i / cols, i % cols);
            match o.storage {
                Storage::F32 => f64::from(f32::from_bits(words[i])).abs(),
                Storage::Bf16 => {
                    let word = words[r * cols.div_ceil(2) + c / 2];
                    f64::from(f32::from_bits(word >> (16 * (c % 2)) << 16)).abs()
                }
                Storage::Fp8 { format, scales, block_rows, block_cols } => {
                    let word = words[r * cols.div_ceil(4) + c / 4];
                    let code = word.to_le_bytes()[c % 4];
                    let per_row = cols.div_ceil(block_cols as usize);
                    let block = r / block_rows as usize * per_row + c / block_cols as usize;
                    let exponent = slots.words(scales)[block] as i32;
                    f64::from(format.decode(code)).abs() * f64::from(exponent).exp2()
                }
            }
        })
        .collect();
    let transpose = o.transpose;
    move |i, j| if transpose { stored[j * cols + i] } else { stored[i * cols + j] }
}

fn gelu_error(x: f64) -> (f64, f64) {
    let arg = 0.797_884_560_8 * (x + 0.044715 * x * x * x);
    // Of tanh: its own error, and its argument's where tanh is not flat.
    let e = TANH + 8.0 * U * arg.abs().min(15.0);
    let poly = 0.797_884_560_8 * (1.0 + 0.134145 * x * x);
    let value = 0.5 * x.abs() * (e + 8.0 * U);
    let slope = 0.5 * e + x.abs() * e * poly + 16.0 * U * (1.0 + x.abs() * poly);
    (value, slope)
}

fn silu_error(x: f64) -> (f64, f64) {
    let s = 1.0 / (1.0 + (-x).exp());
    let e = exp_error(x) + 4.0 * U;
    (x.abs() * s * e, 2.0 * s * (1.0 + x.abs()) * e + 8.0 * U * s * (1.0 + x.abs()))
}

/// Error of a smooth non-linearity and its slope for arguments up to 40.
fn smooth(activation: Option<Activation>) -> Option<f64> {
    let error = match activation {
        None | Some(Activation::Relu) => return None,
        Some(Activation::Gelu) => gelu_error,
        Some(Activation::Silu) => silu_error,
    };
    let sizes = (-160..=160).map(|i| error(f64::from(i) / 4.0)).map(|(v, s)| v.max(s));
    Some(sizes.fold(0.0, f64::max))
}

/// As for `LayerNorm`, with the values of a channel in the place of a row.
fn batch_norm(
    n: &fp8_studio::kernels::batch_norm::BatchNorm,
    slots: &Slots,
) -> Vec<(BufferId, Vec<f64>)> {
    let (x, gain) = (values(slots, n.x), values(slots, n.gain));
    let (running_m, running_v) = (values(slots, n.running_mean), values(slots, n.running_variance));
    let (channels, rows) = (n.channels as usize, (n.rows * n.pixels) as usize);
    let valid = slots.valid_rows(n.step, n.rows) * n.pixels as usize;
    let mut out = vec![0.0; rows * channels];
    let mut moments = vec![0.0; 2 * channels];
    let (mut mean_e, mut variance_e) = (vec![0.0; channels], vec![0.0; channels]);
    for c in 0..channels {
        let own: Vec<f64> = x.iter().skip(c).step_by(channels).copied().take(rows).collect();
        let real = &own[..valid.min(rows)];
        let count = real.len().max(1) as f64;
        let mean = real.iter().sum::<f64>() / count;
        let var = real.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count;
        let rstd = 1.0 / (var + 1e-5).sqrt();
        let largest = real.iter().fold(0f64, |a, v| a.max(v.abs()));
        let mean_error = (2.0 * count + 8.0) * U * largest;
        let variance_error = (2.0 * count + 16.0) * U * var
            + 2.0 * mean_error * mean_error
            + 8.0 * U * largest * var.sqrt();
        let relative = 8.0 * U + rstd * rstd * variance_error;
        moments[c] = mean_error;
        moments[channels + c] = rstd * relative;
        mean_e[c] = 4.0 * U * running_m[c].abs() + mean_error;
        variance_e[c] = 4.0 * U * running_v[c].abs() + 2.0 * variance_error;
        for (r, v) in own.iter().enumerate() {
            let h = ((v - mean) * rstd).abs();
            let e = rstd * mean_error + h * relative + 8.0 * U * (h + (largest + v.abs()) * rstd);
            let slope = 1.2 + smooth(n.activation).unwrap_or(0.0);
            out[r * channels + c] =
                slope * (gain[c].abs() * e + 4.0 * U) + smooth(n.activation).unwrap_or(0.0);
        }
    }
    vec![
        (n.out, out),
        (n.moments, moments),
        (n.running_mean, mean_e),
        (n.running_variance, variance_e),
    ]
}

/// Bounds per element of the buffers that `op` is about to write; a buffer not in the list must
/// have the same bits.
pub fn bounds(op: &Op, slots: &Slots) -> Bounds {
    let get = |id| values(slots, id);
    let pack = |bounds: Vec<f64>| bounds.into_iter().map(|b| (b + TINY) as f32).collect();
    match op {
        Op::Gemm(g) => {
            let (a, b) = (magnitudes(&g.a, slots), magnitudes(&g.b, slots));
            let mut out = Vec::new();
            for i in 0..g.m as usize {
                for j in 0..g.n as usize {
                    let sum: f64 = (0..g.k as usize).map(|l| a(i, l) * b(l, j)).sum();
                    out.push(2.0 * f64::from(g.k) * U * sum);
                }
            }
            vec![(g.out, pack(out))]
        }
        Op::BiasActivation(b) => {
            let error: fn(f64) -> f64 = match b.activation {
                None | Some(Activation::Relu) => return Vec::new(),
                Some(Activation::Gelu) => |x| gelu_error(x).0,
                Some(Activation::Silu) => |x| silu_error(x).0,
            };
            let bias = get(b.bias);
            let cols = b.cols.max(1) as usize;
            let x = get(b.x);
            vec![(
                b.out,
                pack(x.iter().enumerate().map(|(i, x)| error(x + bias[i % cols])).collect()),
            )]
        }
        Op::ActivationBackward(b) => {
            let error: fn(f64) -> f64 = match b.activation {
                Activation::Relu => return Vec::new(),
                Activation::Gelu => |x| gelu_error(x).1,
                Activation::Silu => |x| silu_error(x).1,
            };
            let bound = get(b.grad).into_iter().zip(get(b.pre)).map(|(g, x)| g.abs() * error(x));
            vec![(b.grad, pack(bound.collect()))]
        }
        Op::ColumnSum(c) => {
            let (x, cols) = (get(c.x), c.cols as usize);
            let sum =
                |col: usize| (0..c.rows as usize).map(|r| x[r * cols + col].abs()).sum::<f64>();
            vec![(c.out, pack((0..cols).map(|c_| 2.0 * f64::from(c.rows) * U * sum(c_)).collect()))]
        }
        Op::Sum(s) => {
            let sum: f64 = get(s.x)[..s.len as usize].iter().map(|v| v.abs()).sum();
            // 256 threads add their terms in turn, then meet in a tree.
            vec![(s.out, pack(vec![(f64::from(s.len) / 256.0 + 10.0) * U * sum]))]
        }
        Op::LayerNorm(n) => {
            let (x, gain) = (get(n.x), get(n.gain));
            let cols = n.cols as usize;
            let (mut out, mut moments) = (Vec::new(), Vec::new());
            for row in x.chunks(cols.max(1)).take(n.rows as usize) {
                let count = cols as f64;
                let mean = row.iter().sum::<f64>() / count;
                let var = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count;
                let rstd = 1.0 / (var + 1e-5).sqrt();
                let largest = row.iter().fold(0f64, |a, v| a.max(v.abs()));
                // A wrong mean adds its square to the variance.
                let mean_error = (2.0 * count + 8.0) * U * largest;
                let relative = (2.0 * count + 24.0) * U
                    + 0.5
                        * rstd
                        * rstd
                        * (mean_error * mean_error + 4.0 * U * largest * var.sqrt());
                for (v, gain) in row.iter().zip(&gain) {
                    let h = (v - mean) * rstd;
                    let e = rstd * mean_error + h.abs() * relative;
                    out.push(gain.abs() * (e + 8.0 * U * (h.abs() + largest * rstd)) + 4.0 * U);
                }
                moments.extend([mean_error, rstd * relative]);
            }
            vec![(n.out, pack(out)), (n.moments, pack(moments))]
        }
        Op::LayerNormBackward(n) => {
            let (x, gain, m, dy) = (get(n.x), get(n.gain), get(n.moments), get(n.grad_out));
            let (rows, cols) = (n.rows as usize, n.cols as usize);
            let mut grad_in = Vec::new();
            let (mut grad_gain, mut grad_shift) = (vec![0.0; cols], vec![0.0; cols]);
            for r in 0..rows {
                let (mean, rstd) = (m[2 * r], m[2 * r + 1]);
                let h = |c: usize| ((x[r * cols + c] - mean) * rstd).abs();
                let g = |c: usize| (dy[r * cols + c] * gain[c]).abs();
                let mean_g = (0..cols).map(g).sum::<f64>() / cols as f64;
                let mean_gh = (0..cols).map(|c| g(c) * h(c)).sum::<f64>() / cols as f64;
                let terms = (2.0 * cols as f64 + 24.0) * U;
                for c in 0..cols {
                    grad_in.push(rstd * terms * (g(c) + mean_g + h(c) * mean_gh));
                    grad_gain[c] += (2.0 * rows as f64 + 8.0) * U * dy[r * cols + c].abs() * h(c);
                    grad_shift[c] += 2.0 * rows as f64 * U * dy[r * cols + c].abs();
                }
            }
            vec![
                (n.grad_in, pack(grad_in)),
                (n.grad_gain, pack(grad_gain)),
                (n.grad_shift, pack(grad_shift)),
            ]
        }
        Op::SoftmaxCrossEntropy(s) => {
            let (x, w) = (get(s.logits), get(s.weights));
            let inv_valid = f64::from(slots.step_f32(s.step, step_state::INV_VALID));
            let classes = s.classes as usize;
            let (mut losses, mut grad) = (Vec::new(), Vec::new());
            for (row, w) in x.chunks(classes).zip(&w).take(s.rows as usize) {
                let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = row.iter().map(|v| (v - max).exp()).sum();
                let weighted = |v: &f64| (v - max).exp() / sum * exp_error(v - max);
                let sum_error = row.iter().map(weighted).sum::<f64>() + 2.0 * classes as f64 * U;
                // log is within 2^-21 near 1 and within 3 units elsewhere.
                let log_error = 8.0 * U + 6.0 * U * sum.ln().abs();
                let largest = row.iter().fold(0f64, |a, v| a.max(v.abs()));
                losses
                    .push(w.abs() * (sum_error + log_error + 8.0 * U * (largest + sum.ln().abs())));
                for v in row {
                    let p = (v - max).exp() / sum;
                    let e = p * (exp_error(v - max) + sum_error + 8.0 * U) + 4.0 * U;
                    grad.push(w.abs() * inv_valid * e);
                }
            }
            let mut all = vec![(s.losses, pack(losses))];
            all.extend(s.grad.map(|id| (id, pack(grad))));
            all
        }
        Op::MeanSquaredError(s) => {
            let (y, t, w) = (get(s.outputs), get(s.targets), get(s.weights));
            let inv_valid = f64::from(slots.step_f32(s.step, step_state::INV_VALID));
            let d = || y.iter().zip(&t).map(|(y, t)| (y - t).abs()).zip(&w);
            let losses = d().map(|(d, w)| 8.0 * U * w.abs() * d * d).collect();
            let grad = d().map(|(d, w)| 16.0 * U * w.abs() * d * inv_valid).collect();
            let mut all = vec![(s.losses, pack(losses))];
            all.extend(s.grad.map(|id| (id, pack(grad))));
            all
        }
        Op::AdamW(o) => {
            let (w, g) = (get(o.weight), get(o.gradient));
            let (m, v) = (get(o.first), get(o.second));
            let state = |word| f64::from(slots.step_f32(o.step, word));
            let rate = state(step_state::LEARNING_RATE);
            let c1 = state(step_state::BETA1_CORRECTION);
            let c2 = state(step_state::BETA2_CORRECTION);
            let (b1, b2) = (f64::from(o.beta1), f64::from(o.beta2));
            let (mut we, mut me, mut ve) = (Vec::new(), Vec::new(), Vec::new());
            for i in 0..o.len as usize {
                let m_error = 4.0 * U * (b1 * m[i].abs() + (1.0 - b1) * g[i].abs());
                let m_new = b1 * m[i] + (1.0 - b1) * g[i];
                let v_new = b2 * v[i] + (1.0 - b2) * g[i] * g[i];
                let root = (v_new * c2).sqrt() + f64::from(o.epsilon);
                // Square root and division within 2.5 units each, the rest single roundings.
                let step = rate * c1 / root * (m_error + 24.0 * U * m_new.abs());
                we.push(step + 6.0 * U * w[i].abs());
                me.push(m_error);
                ve.push(8.0 * U * v_new);
            }
            vec![(o.weight, pack(we)), (o.first, pack(me)), (o.second, pack(ve))]
        }
        Op::SgdMomentum(o) => {
            let (w, g, v) = (get(o.weight), get(o.gradient), get(o.momentum_buffer));
            let rate = f64::from(slots.step_f32(o.step, step_state::LEARNING_RATE));
            let (mu, decay) = (f64::from(o.momentum), f64::from(o.weight_decay));
            let (mut we, mut ve) = (Vec::new(), Vec::new());
            for i in 0..o.len as usize {
                let size = mu * v[i].abs() + g[i].abs() + decay * w[i].abs();
                ve.push(6.0 * U * size);
                we.push(rate * 10.0 * U * size + 4.0 * U * w[i].abs());
            }
            vec![(o.weight, pack(we)), (o.momentum_buffer, pack(ve))]
        }
        // With whole numbers every sum below is exact, so only a smooth non-linearity differs.
        Op::Conv(c) => {
            let len = c.shape.rows as usize * c.shape.out_pixels() * c.shape.out_channels as usize;
            smooth(c.activation).map(|e| (c.out, pack(vec![e; len]))).into_iter().collect()
        }
        Op::Add(a) => {
            let len = (a.rows * a.channels) as usize;
            smooth(a.activation).map(|e| (a.out, pack(vec![e; len]))).into_iter().collect()
        }
        Op::ChannelBackward(c) => {
            // Gradients of up to 20 times an error of the slope; up to 2000 of them in a sum.
            let error = smooth(c.activation).map(|e| 20.0 * e);
            let len = (c.rows * c.channels) as usize;
            let grad = error.map(|e| (c.grad, pack(vec![e; len])));
            let sums = error.zip(c.bias_gradient).map(|(e, id)| {
                let sum = f64::from(c.rows) * (e + 40.0 * f64::from(c.rows) * U);
                (id, pack(vec![sum; c.channels as usize]))
            });
            grad.into_iter().chain(sums).collect()
        }
        Op::AvgPool(a) => {
            let (x, s) = (get(a.x), &a.shape);
            let largest = x.iter().fold(0f64, |m, v| m.max(v.abs()));
            let len = s.rows as usize * s.out_pixels() * s.channels as usize;
            vec![(a.out, pack(vec![8.0 * U * largest; len]))]
        }
        Op::AvgPoolBackward(a) => {
            let (g, s) = (get(a.grad), &a.shape);
            let largest = g.iter().fold(0f64, |m, v| m.max(v.abs()));
            let error = 2.0 * f64::from(s.size[0] * s.size[1]) * 4.0 * U * largest;
            vec![(a.grad_x, pack(vec![error; s.rows as usize * s.image_len()]))]
        }
        Op::BatchNorm(n) => batch_norm(n, slots).into_iter().map(|(id, b)| (id, pack(b))).collect(),
        Op::BatchNormEval(n) => {
            let largest = get(n.x).iter().fold(0f64, |m, v| m.max(v.abs()));
            // Inputs, means and gains of up to `largest`, variances of at least a quarter.
            let size = largest + 4.0 * (largest + 2.0) * 2.0;
            let error = 24.0 * U * size + smooth(n.activation).unwrap_or(0.0);
            vec![(n.out, pack(vec![error; (n.rows * n.channels) as usize]))]
        }
        Op::BatchNormBackward(n) => {
            let (g, m) = (get(n.grad), get(n.moments));
            let channels = n.channels as usize;
            let rows = f64::from(n.rows * n.pixels);
            let largest = g.iter().fold(0f64, |m, v| m.max(v.abs()));
            let rstd = m[channels..].iter().fold(0f64, |m, v| m.max(v.abs()));
            let h = get(n.x)
                .iter()
                .zip((0..channels).cycle())
                .fold(0f64, |a, (x, c)| a.max(((x - m[c]) * m[channels + c]).abs()));
            let gain = get(n.gain).iter().fold(0f64, |m, v| m.max(v.abs()));
            let slope = 16.0 * U + smooth(n.activation).unwrap_or(0.0);
            let each = largest * (slope + (2.0 * rows + 24.0) * U) * (1.0 + h) * (1.0 + h);
            vec![
                (n.grad, pack(vec![4.0 * gain * rstd * each; rows as usize * channels])),
                (n.grad_gain, pack(vec![rows * each; channels])),
                (n.grad_shift, pack(vec![rows * each; channels])),
            ]
        }
        Op::SquareSum(s) => {
            let sum: f64 = get(s.x)[..s.len as usize].iter().map(|v| v * v).sum();
            let mut bounds = vec![0.0; slots.words(s.out).len()];
            // Natively 512 terms meet in a lane, on the GPU fewer in a thread; trees follow.
            bounds[s.at as usize] = 600.0 * U * sum;
            vec![(s.out, pack(bounds))]
        }
        Op::ClipFactor(c) => {
            let sum: f64 = get(c.squares)[..c.len as usize].iter().sum();
            let norm = sum.sqrt();
            let relative = (f64::from(c.len) / 256.0 + 40.0) * U;
            let factor = (f64::from(c.limit) / (norm + 1e-6)).min(1.0);
            let mut bounds = vec![0.0; slots.words(c.out).len()];
            (bounds[0], bounds[1]) = (norm * relative, factor * relative);
            vec![(c.out, pack(bounds))]
        }
        Op::Average(a) if !a.packed => {
            let rate = f64::from(slots.step_f32(a.step, step_state::AVERAGE_RATE));
            let both = get(a.average).into_iter().zip(get(a.weight));
            let bound = both.map(|(a, w)| 4.0 * U * (a.abs() + rate * (a.abs() + w.abs())));
            vec![(a.average, pack(bound.collect()))]
        }
        Op::Average(a) => {
            // Rounding of a sum of two numbers below 4.
            vec![(a.average, vec![8.0 * U as f32; slots.words(a.average).len()])]
        }
        Op::CompactAdamW(_) => panic!("compact state has a comparison of its own"),
        Op::Quantise(_)
        | Op::Dropout(_)
        | Op::Embed(_)
        | Op::EmbedBackward(_)
        | Op::Fill(_)
        | Op::Accumulate(_)
        | Op::ConvInputGradient(_)
        | Op::ConvWeightGradient(_)
        | Op::MaxPool(_)
        | Op::MaxPoolBackward(_) => Vec::new(),
        Op::Rescale(_) | Op::ToBf16(_) | Op::FromBf16(_) => Vec::new(),
    }
}

/// Bounds of the two energies among a quantisation's statistics, from the native results: sums of
/// non-negative terms, at most 1024 · 256 threads adding theirs in turn.
pub fn energies(op: &Op, slots: &Slots) -> Bounds {
    let Op::Quantise(q) = op else { return Vec::new() };
    let Some(watch) = q.watch else { return Vec::new() };
    let stats = slots.words(q.stats);
    let mut bounds = vec![0f32; stats.len()];
    let terms = f64::from(q.rows * q.cols) / 256.0 + 40.0;
    for word in [7, 8] {
        let at = watch as usize * STAT_WORDS + word;
        bounds[at] = (terms * U * f64::from(f32::from_bits(stats[at])) + TINY) as f32;
    }
    vec![(q.stats, bounds)]
}

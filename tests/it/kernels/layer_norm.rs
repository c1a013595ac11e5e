//! Layer normalisation against f64, its gradients against finite differences.

use fp8_studio::kernels::Op;
use fp8_studio::kernels::layer_norm::{EPSILON, LayerNorm, LayerNormBackward};

use super::{
    Backend, Memory, ROUNDING, close, gradient_bound, numbers, on_every_backend, slopes, wide,
};

struct Data {
    rows: usize,
    cols: usize,
    x: Vec<f32>,
    gain: Vec<f32>,
    shift: Vec<f32>,
    grad: Vec<f32>,
}

fn data(rows: usize, cols: usize) -> Data {
    // A mean far from 0, so that cancellation matters.
    let x = numbers(rows * cols, 1).iter().map(|v| 3.0 * v + 2.0).collect();
    let gain = numbers(cols, 2).iter().map(|v| 1.0 + 0.5 * v).collect();
    Data { rows, cols, x, gain, shift: numbers(cols, 3), grad: numbers(rows * cols, 4) }
}

/// Mean and 1/σ of every row.
fn moments(x: &[f64], cols: usize, epsilon: f64) -> Vec<[f64; 2]> {
    x.chunks_exact(cols.max(1))
        .map(|row| {
            let mean = row.iter().sum::<f64>() / cols as f64;
            let var = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / cols as f64;
            [mean, 1.0 / (var + epsilon).sqrt()]
        })
        .collect()
}

fn normed(x: &[f64], gain: &[f64], shift: &[f64], epsilon: f64) -> Vec<f64> {
    let cols = gain.len();
    let moments = moments(x, cols, epsilon);
    let at = |(i, v): (usize, &f64)| {
        let [mean, rstd] = moments[i / cols];
        (v - mean) * rstd * gain[i % cols] + shift[i % cols]
    };
    x.iter().enumerate().map(at).collect()
}

struct Forward {
    memory: Memory,
    op: LayerNorm,
}

fn forward(backend: &mut dyn Backend, d: &Data) -> Forward {
    let mut memory = Memory::new();
    let op = LayerNorm {
        x: memory.f32(&d.x),
        gain: memory.f32(&d.gain),
        shift: memory.f32(&d.shift),
        out: memory.out(d.rows * d.cols),
        moments: memory.out(d.rows * 2),
        rows: d.rows as u32,
        cols: d.cols as u32,
    };
    memory.run(backend, &Op::LayerNorm(op));
    Forward { memory, op }
}

const SHAPES: [[usize; 2]; 12] = [
    [0, 4],
    [1, 1],
    [5, 1],
    [1, 2],
    [3, 63],
    [4, 64],
    [5, 65],
    [63, 255],
    [64, 256],
    [65, 257],
    [2, 20_001],
    [1001, 33],
];

#[test]
fn forward_of_all_shapes() {
    on_every_backend(|backend| {
        for [rows, cols] in SHAPES {
            let d = data(rows, cols);
            let f = forward(backend, &d);
            let (x, epsilon) = (wide(&d.x), f64::from(EPSILON));
            let want: Vec<f64> = moments(&x, cols, epsilon).into_iter().flatten().collect();
            // 1/σ of a row of one value is 1/sqrt(ε), and x − mean must then be exactly 0.
            let few = ROUNDING * (20.0 + (cols as f64).sqrt()) * backend.slack();
            let got = f.memory.get_f32(f.op.moments);
            close(got, &want, |i| few * (5.0 + want[i].abs())).unwrap();
            let out = normed(&x, &wide(&d.gain), &wide(&d.shift), epsilon);
            let got = f.memory.get_f32(f.op.out);
            let bound = |i: usize| few * (5.0 * want[i / cols * 2 + 1] + 5.0);
            close(got, &out, bound).unwrap_or_else(|e| panic!("{rows}x{cols}: {e}"));
            if rows > 0 && cols > 1 {
                // Another ε, and gain and shift exchanged, are noticed.
                let other = normed(&x, &wide(&d.gain), &wide(&d.shift), 0.1);
                close(got, &other, bound).unwrap_err();
                let shifted = normed(&x, &wide(&d.shift), &wide(&d.gain), epsilon);
                close(got, &shifted, bound).unwrap_err();
            }
        }
    });
}

#[test]
fn a_constant_row_becomes_the_shift() {
    on_every_backend(|backend| {
        let mut d = data(3, 8);
        d.x = vec![7.25; 24];
        let f = forward(backend, &d);
        for row in f.memory.get_f32(f.op.out).chunks(8) {
            assert_eq!(row, d.shift);
        }
    });
}

fn backward(backend: &mut dyn Backend, d: &Data) -> [Vec<f32>; 3] {
    let Forward { mut memory, op } = forward(backend, d);
    let back = LayerNormBackward {
        x: op.x,
        gain: op.gain,
        moments: op.moments,
        grad_out: memory.f32(&d.grad),
        grad_in: memory.out(d.rows * d.cols),
        grad_gain: memory.out(d.cols),
        grad_shift: memory.out(d.cols),
        rows: op.rows,
        cols: op.cols,
    };
    memory.run(backend, &Op::LayerNormBackward(back));
    [back.grad_in, back.grad_gain, back.grad_shift].map(|id| memory.get_f32(id).to_vec())
}

/// The documented formulas in f64; [`backward_is_the_slope_of_forward`] proves them.
fn formulas(d: &Data) -> [Vec<f64>; 3] {
    let (x, cols) = (wide(&d.x), d.cols);
    let mut out = [vec![0.0; x.len()], vec![0.0; cols], vec![0.0; cols]];
    for (r, [mean, rstd]) in moments(&x, cols, f64::from(EPSILON)).into_iter().enumerate() {
        let h = |c: usize| (x[r * cols + c] - mean) * rstd;
        let dy = |c: usize| f64::from(d.grad[r * cols + c]);
        let g = |c: usize| dy(c) * f64::from(d.gain[c]);
        let mean_g = (0..cols).map(g).sum::<f64>() / cols as f64;
        let mean_gh = (0..cols).map(|c| g(c) * h(c)).sum::<f64>() / cols as f64;
        for c in 0..cols {
            out[0][r * cols + c] = rstd * (g(c) - mean_g - h(c) * mean_gh);
            out[1][c] += dy(c) * h(c);
            out[2][c] += dy(c);
        }
    }
    out
}

#[test]
fn backward_of_all_shapes() {
    on_every_backend(|backend| {
        for [rows, cols] in SHAPES {
            let d = data(rows, cols);
            let (got, want) = (backward(backend, &d), formulas(&d));
            let rstd = moments(&wide(&d.x), cols, f64::from(EPSILON));
            let scale = rstd.iter().fold(1.0, |m: f64, v| m.max(v[1]));
            let n = rows.max(cols) as f64;
            for (part, (got, want)) in got.iter().zip(&want).enumerate() {
                // Sums over rows (gain, shift) grow with their number, as do the normalised values
                // with 1/σ.
                let size = if part == 0 { 1.0 } else { n.sqrt() };
                let allowed = ROUNDING * (30.0 + n.sqrt()) * 5.0 * scale * size * backend.slack();
                close(got, want, |_| allowed)
                    .unwrap_or_else(|e| panic!("{rows}x{cols} part {part}: {e}"));
                // Of two columns the gradient nearly vanishes.
                if rows > 0 && cols > 2 {
                    let planted: Vec<f64> = want.iter().map(|v| v * 1.05).collect();
                    close(got, &planted, |_| allowed).unwrap_err();
                }
            }
        }
    });
}

#[test]
fn backward_is_the_slope_of_forward() {
    on_every_backend(|backend| {
        let d = data(4, 6);
        let (x, gain, shift) = (wide(&d.x), wide(&d.gain), wide(&d.shift));
        let loss = |x: &[f64], gain: &[f64], shift: &[f64]| -> f64 {
            let out = normed(x, gain, shift, f64::from(EPSILON));
            out.iter().zip(&d.grad).map(|(o, g)| o * f64::from(*g)).sum()
        };
        let want = [
            slopes(&d.x, |x| loss(x, &gain, &shift)),
            slopes(&d.gain, |gain| loss(&x, gain, &shift)),
            slopes(&d.shift, |shift| loss(&x, &gain, shift)),
        ];
        for (got, want) in backward(backend, &d).iter().zip(&want) {
            let bound = gradient_bound(want);
            close(got, want, &bound).unwrap();
            let planted: Vec<f64> = want.iter().map(|v| v * 1.001).collect();
            close(got, &planted, &bound).unwrap_err();
        }
    });
}

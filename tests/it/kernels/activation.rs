//! Bias and activation, forward and backward.

use fp8_studio::kernels::Op;
use fp8_studio::kernels::activation::{ActivationBackward, BiasActivation};
use fp8_studio::model::Activation;

use super::{Backend, Memory, close, gradient_bound, numbers, on_every_backend, slopes, wide};

const ALL: [Activation; 3] = [Activation::Relu, Activation::Gelu, Activation::Silu];

/// f(x) by its definition.
fn value(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Relu => x.max(0.0),
        Activation::Gelu => {
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            0.5 * x * (1.0 + u.tanh())
        }
        Activation::Silu => x / (1.0 + (-x).exp()),
    }
}

/// Slope of [`value`] by central differences; exact for ReLU away from 0.
fn slope(activation: Activation, x: f64) -> f64 {
    let h = 1e-4;
    (value(activation, x + h) - value(activation, x - h)) / (2.0 * h)
}

struct Forward {
    pre: Vec<f32>,
    out: Vec<f32>,
}

fn forward(
    backend: &mut dyn Backend,
    x: &[f32],
    bias: &[f32],
    rows: usize,
    activation: Option<Activation>,
) -> Forward {
    let mut memory = Memory::new();
    let buffer = memory.f32(x);
    let out = match activation {
        Some(_) => memory.out(x.len()),
        None => buffer,
    };
    let op = BiasActivation {
        x: buffer,
        bias: memory.f32(bias),
        out,
        rows: rows as u32,
        cols: bias.len() as u32,
        activation,
    };
    memory.run(backend, &Op::BiasActivation(op));
    Forward { pre: memory.get_f32(buffer).to_vec(), out: memory.get_f32(out).to_vec() }
}

fn backward(
    backend: &mut dyn Backend,
    grad: &[f32],
    pre: &[f32],
    activation: Activation,
) -> Vec<f32> {
    let mut memory = Memory::new();
    let (grad, pre, len) = (memory.f32(grad), memory.f32(pre), pre.len() as u32);
    memory.run(backend, &Op::ActivationBackward(ActivationBackward { grad, pre, len, activation }));
    memory.get_f32(grad).to_vec()
}

const SHAPES: [[usize; 2]; 12] = [
    [0, 3],
    [3, 0],
    [1, 1],
    [1, 257],
    [257, 1],
    [3, 5],
    [16, 16],
    [17, 15],
    [63, 65],
    [255, 257],
    [5, 20_001],
    [20_001, 5],
];

#[test]
fn forward_of_all_shapes() {
    on_every_backend(|backend| {
        for [rows, cols] in SHAPES {
            let x: Vec<f32> = numbers(rows * cols, 1).iter().map(|v| 6.0 * v).collect();
            let bias = numbers(cols, 2);
            for activation in ALL.map(Some).into_iter().chain([None]) {
                let got = forward(backend, &x, &bias, rows, activation);
                let sums: Vec<f32> =
                    x.iter().enumerate().map(|(i, v)| v + bias[i % cols]).collect();
                close(&got.pre, &wide(&sums), |_| 0.0).unwrap();
                let f = |v: f64| activation.map_or(v, |a| value(a, v));
                let want: Vec<f64> = sums.iter().map(|v| f(f64::from(*v))).collect();
                // 1 + tanh loses digits where it cancels, at most an ulp of 1 times x.
                let bound = |i: usize| 3e-7 * (want[i].abs() + sums[i].abs() as f64);
                let bound = |i| bound(i) * backend.slack();
                close(&got.out, &want, bound)
                    .unwrap_or_else(|e| panic!("{activation:?} {rows}x{cols}: {e}"));
                if rows > 1 && cols > 1 {
                    // A bias along the rows instead of the columns.
                    let want: Vec<f64> = x
                        .iter()
                        .enumerate()
                        .map(|(i, v)| f(f64::from(v + bias[i / cols % cols])))
                        .collect();
                    close(&got.out, &want, bound).unwrap_err();
                }
            }
        }
    });
}

/// Numbers over the whole range of f32, where exponentials overflow.
fn far() -> Vec<f32> {
    let mut list: Vec<f32> =
        (-300..=300).map(|i| (i as f32 * 0.15).powi(3).clamp(-3e38, 3e38)).collect();
    list.extend([0.0, -0.0, 1e-30, -1e-30, 1e19, -1e19, f32::MAX, f32::MIN]);
    list
}

#[test]
fn extremes_stay_finite() {
    on_every_backend(|backend| {
        for activation in ALL {
            let x = far();
            let got = forward(backend, &x, &vec![0.0; x.len()], 1, Some(activation));
            let want: Vec<f64> = x.iter().map(|v| value(activation, f64::from(*v))).collect();
            close(&got.out, &want, |i| 3e-7 * f64::from(x[i].abs()).max(1e-9) * backend.slack())
                .unwrap_or_else(|e| panic!("{activation:?}: {e}"));
            let slopes = backward(backend, &vec![1.0; x.len()], &x, activation);
            for (x, s) in x.iter().zip(&slopes).filter(|(x, _)| x.abs() > 30.0) {
                let want = if *x > 0.0 { 1.0 } else { 0.0 };
                assert!((s - want).abs() < 1e-6, "{activation:?} slope at {x}: {s}");
            }
        }
    });
}

#[test]
fn not_a_number_stays_visible() {
    on_every_backend(|backend| {
        for activation in ALL.map(Some).into_iter().chain([None]) {
            let got = forward(backend, &[1.0, f32::NAN, 2.0], &[0.5; 3], 1, activation);
            let nan: Vec<bool> = got.out.iter().map(|v| v.is_nan()).collect();
            assert_eq!(nan, [false, true, false], "{activation:?}");
        }
    });
}

#[test]
fn backward_of_all_lengths_is_the_slope() {
    on_every_backend(|backend| {
        for activation in ALL {
            for len in [0, 1, 2, 63, 64, 65, 255, 256, 257, 1001, 70_001] {
                // ReLU has no slope at 0; everything stays farther from it than the differences go.
                let pre: Vec<f32> = numbers(len, 3)
                    .iter()
                    .map(|v| 5.0 * v)
                    .map(|v| if v.abs() < 1e-3 { 0.5 } else { v })
                    .collect();
                let grad = numbers(len, 4);
                let got = backward(backend, &grad, &pre, activation);
                let exact = |i: usize| slope(activation, f64::from(pre[i]));
                let want: Vec<f64> = (0..len).map(|i| f64::from(grad[i]) * exact(i)).collect();
                let bound = |_| 2e-6 * backend.slack();
                close(&got, &want, bound).unwrap_or_else(|e| panic!("{activation:?} {len}: {e}"));
                if len > 1 {
                    let other: Vec<f64> =
                        (0..len).map(|i| f64::from(grad[i]) * exact(len - 1 - i)).collect();
                    close(&got, &other, bound).unwrap_err();
                }
            }
        }
    });
}

#[test]
fn relu_passes_only_what_is_above_zero() {
    on_every_backend(|backend| {
        let pre = [-1.0, -1e-30, -0.0, 0.0, 1e-30, 1.0];
        let got = backward(backend, &[3.0; 6], &pre, Activation::Relu);
        assert_eq!(got, [0.0, 0.0, 0.0, 0.0, 3.0, 3.0]);
    });
}

/// Through bias and activation together, as a layer uses them.
#[test]
fn backward_is_the_slope_of_forward() {
    let (rows, cols) = (5, 4);
    let (x, bias, c) = (numbers(rows * cols, 5), numbers(cols, 6), numbers(rows * cols, 7));
    on_every_backend(|backend| {
        for activation in ALL {
            // The sums that are farther than 0.01 from 0 in ReLU's case: all of them.
            let pre = forward(backend, &x, &bias, rows, Some(activation)).pre;
            assert!(pre.iter().all(|v| v.abs() > 0.01));
            let loss = |x: &[f64]| -> f64 {
                (0..rows * cols)
                    .map(|i| f64::from(c[i]) * value(activation, x[i] + f64::from(bias[i % cols])))
                    .sum()
            };
            let want = slopes(&x, loss);
            let got = backward(backend, &c, &pre, activation);
            let bound = gradient_bound(&want);
            close(&got, &want, &bound).unwrap();
            let planted: Vec<f64> = want.iter().map(|v| v * 1.001).collect();
            close(&got, &planted, &bound).unwrap_err();
        }
    });
}

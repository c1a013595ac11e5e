//! Losses and their gradients.

use fp8_studio::fp8::hash;
use fp8_studio::kernels::Op;
use fp8_studio::kernels::loss::{MeanSquaredError, SoftmaxCrossEntropy};

use super::{
    Backend, Memory, ROUNDING, close, gradient_bound, numbers, on_every_backend, slopes, wide,
};

#[derive(Clone)]
struct Data {
    rows: usize,
    valid: usize,
    cols: usize,
    outputs: Vec<f32>,
    targets: Vec<u32>,
    weights: Vec<f32>,
}

fn classes(rows: usize, valid: usize, cols: usize, size: f32) -> Data {
    Data {
        rows,
        valid,
        cols,
        outputs: numbers(rows * cols, 1).iter().map(|v| size * v).collect(),
        targets: (0..rows as u32).map(|r| hash::mix(r + 1) % cols as u32).collect(),
        weights: numbers(rows, 2).iter().map(|v| 1.0 + v).collect(),
    }
}

/// Losses and gradients.
struct Found {
    losses: Vec<f32>,
    grad: Vec<f32>,
}

fn run(backend: &mut dyn Backend, d: &Data, regression: bool) -> Found {
    let mut memory = Memory::new();
    let (outputs, targets) = (memory.f32(&d.outputs), memory.words(&d.targets));
    let (weights, step) = (memory.f32(&d.weights), memory.step(1, d.valid));
    let (losses, grad) = (memory.out(d.rows), memory.out(d.rows * d.cols));
    let rows = d.rows as u32;
    let op = |losses, grad| {
        if regression {
            let op = MeanSquaredError { outputs, targets, weights, losses, grad, rows, step };
            Op::MeanSquaredError(op)
        } else {
            let (logits, classes) = (outputs, d.cols as u32);
            Op::SoftmaxCrossEntropy(SoftmaxCrossEntropy {
                logits,
                targets,
                weights,
                losses,
                grad,
                rows,
                classes,
                step,
            })
        }
    };
    memory.run(backend, &op(losses, Some(grad)));
    // Evaluation gives the same losses.
    let again = memory.out(d.rows);
    memory.run(backend, &op(again, None));
    assert_eq!(memory.get(again), memory.get(losses));
    Found { losses: memory.get_f32(losses).to_vec(), grad: memory.get_f32(grad).to_vec() }
}

/// Weighted cross-entropy of one row.
fn cross_entropy(x: &[f64], target: usize) -> f64 {
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    x.iter().map(|v| (v - max).exp()).sum::<f64>().ln() + max - x[target]
}

fn exact_classes(d: &Data) -> (Vec<f64>, Vec<f64>) {
    let x = wide(&d.outputs);
    let (mut losses, mut grad) = (vec![0.0; d.rows], vec![0.0; x.len()]);
    for r in 0..d.valid {
        let row = &x[r * d.cols..(r + 1) * d.cols];
        let (target, weight) = (d.targets[r] as usize, f64::from(d.weights[r]));
        losses[r] = weight * cross_entropy(row, target);
        for (c, v) in row.iter().enumerate() {
            let p = (-cross_entropy(row, c)).exp();
            assert!(v.is_finite());
            grad[r * d.cols + c] = weight * (p - f64::from(c == target)) / d.valid as f64;
        }
    }
    (losses, grad)
}

/// `[rows, valid rows, classes]`.
const SHAPES: [[usize; 3]; 12] = [
    [0, 0, 3],
    [1, 1, 1],
    [1, 0, 2],
    [2, 1, 2],
    [5, 5, 3],
    [63, 60, 10],
    [64, 64, 2],
    [65, 65, 17],
    [256, 255, 10],
    [257, 257, 1],
    [3, 3, 5003],
    [4001, 3999, 11],
];

#[test]
fn softmax_cross_entropy_of_all_shapes() {
    on_every_backend(|backend| {
        for [rows, valid, cols] in SHAPES {
            for size in [1.0, 30.0] {
                let d = classes(rows, valid, cols, size);
                let found = run(backend, &d, false);
                let (losses, grad) = exact_classes(&d);
                // Differences of logits of this size are rounded, and so is a sum over classes.
                let roundings = f64::from(16.0 * (2.0 + size)) + 4.0 * (cols as f64).sqrt();
                let loose = ROUNDING * roundings * backend.slack();
                let bound = |_| loose;
                close(&found.losses, &losses, bound).unwrap();
                let factor = loose / valid.max(1) as f64;
                close(&found.grad, &grad, |_| factor).unwrap();
                if valid > 1 && cols > 1 {
                    let mut other = d.clone();
                    other.targets[0] = (other.targets[0] + 1) % cols as u32;
                    other.weights[0] = 1.0;
                    let (losses, grad) = exact_classes(&other);
                    close(&found.losses, &losses, bound).unwrap_err();
                    close(&found.grad, &grad, |_| factor).unwrap_err();
                }
            }
        }
    });
}

#[test]
fn extreme_logits_stay_finite() {
    on_every_backend(|backend| {
        let mut d = classes(2, 2, 3, 1.0);
        d.outputs = vec![1e30, -1e30, 0.0, 200.0, 190.0, -3e38];
        d.targets = vec![0, 1];
        d.weights = vec![1.0, 2.0];
        let found = run(backend, &d, false);
        let loss = 2.0 * (10.0 + (1.0 + (-10f64).exp()).ln());
        close(&found.losses, &[0.0, loss], |_| 1e-5).unwrap();
        assert!(found.grad.iter().all(|g| g.is_finite()));
        let p = 1.0 / (1.0 + (-10f64).exp());
        close(&found.grad, &[0.0, 0.0, 0.0, p, -p, 0.0], |_| 1e-5).unwrap();
    });
}

#[test]
fn a_logit_that_is_not_a_number_reaches_loss_and_gradient() {
    on_every_backend(|backend| {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut d = classes(3, 3, 4, 1.0);
            d.outputs[5] = bad;
            let found = run(backend, &d, false);
            assert!(found.losses[1].is_nan(), "{bad}: {}", found.losses[1]);
            assert!(found.losses[0].is_finite() && found.losses[2].is_finite());
            assert!(found.grad[4..8].iter().all(|g| g.is_nan()), "{:?}", &found.grad[4..8]);
        }
    });
}

#[test]
fn a_class_past_the_last_is_read_as_the_last() {
    on_every_backend(|backend| {
        let mut d = classes(2, 2, 4, 1.0);
        d.targets = vec![3, 3];
        let last = run(backend, &d, false);
        d.targets = vec![4, u32::MAX];
        let past = run(backend, &d, false);
        assert_eq!((last.losses, last.grad), (past.losses, past.grad));
    });
}

#[test]
fn cross_entropy_gradient_is_the_slope_of_the_mean_loss() {
    on_every_backend(|backend| {
        let d = classes(5, 4, 3, 2.0);
        let loss = |x: &[f64]| -> f64 {
            (0..d.valid)
                .map(|r| {
                    let row = &x[r * d.cols..(r + 1) * d.cols];
                    f64::from(d.weights[r]) * cross_entropy(row, d.targets[r] as usize)
                })
                .sum::<f64>()
                / d.valid as f64
        };
        let want = slopes(&d.outputs, loss);
        let got = run(backend, &d, false).grad;
        close(&got, &want, gradient_bound(&want)).unwrap();
        let planted: Vec<f64> = want.iter().map(|v| v * 1.001).collect();
        close(&got, &planted, gradient_bound(&want)).unwrap_err();
    });
}

fn regression(rows: usize, valid: usize) -> Data {
    let mut d = classes(rows, valid, 1, 2.0);
    d.targets = numbers(rows, 9).iter().map(|v| v.to_bits()).collect();
    d
}

#[test]
fn mean_squared_error_of_all_lengths() {
    on_every_backend(|backend| {
        for [rows, valid] in [[0, 0], [1, 1], [1, 0], [2, 1], [255, 255], [257, 250], [5001, 5000]]
        {
            let d = regression(rows, valid);
            let found = run(backend, &d, true);
            let exact = |valid: usize, power: i32| -> Vec<f64> {
                (0..rows)
                    .map(|r| {
                        let t = f64::from(f32::from_bits(d.targets[r]));
                        let distance = f64::from(d.outputs[r]) - t;
                        let own = f64::from(d.weights[r]) * distance.powi(power);
                        if r < valid { own } else { 0.0 }
                    })
                    .collect()
            };
            let bound = |_| 2e-6 * backend.slack();
            close(&found.losses, &exact(valid, 2), bound).unwrap();
            let half = 2.0 / valid.max(1) as f64;
            let grad: Vec<f64> = exact(valid, 1).iter().map(|v| half * v).collect();
            close(&found.grad, &grad, |_| 2e-6 * half * backend.slack()).unwrap();
            if valid > 0 {
                close(&found.losses, &exact(valid - 1, 2), bound).unwrap_err();
                close(&found.grad, &exact(valid, 1), bound).unwrap_err();
            }
        }
    });
}

#[test]
fn squared_error_gradient_is_the_slope_of_the_mean_loss() {
    on_every_backend(|backend| {
        let d = regression(7, 6);
        let loss = |y: &[f64]| -> f64 {
            let target = |r: usize| f64::from(f32::from_bits(d.targets[r]));
            (0..d.valid).map(|r| f64::from(d.weights[r]) * (y[r] - target(r)).powi(2)).sum::<f64>()
                / d.valid as f64
        };
        let want = slopes(&d.outputs, loss);
        close(&run(backend, &d, true).grad, &want, gradient_bound(&want)).unwrap();
    });
}

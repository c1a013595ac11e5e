//! Dropout: which values it drops, and that backward repeats the mask.

use fp8_studio::fp8::hash;
use fp8_studio::kernels::Op;
use fp8_studio::kernels::dropout::Dropout;

use super::{Backend, Memory, close, numbers, on_every_backend, step_words};

/// Runs dropout on `x` at `step`.
fn run(backend: &mut dyn Backend, x: &[f32], rate: f32, layer: u32, step: u32) -> Vec<f32> {
    let mut memory = Memory::new();
    let op =
        Dropout { x: memory.f32(x), len: x.len() as u32, rate, layer, step: memory.step(step, 1) };
    memory.run(backend, &Op::Dropout(op));
    memory.get_f32(op.x).to_vec()
}

fn mask(backend: &mut dyn Backend, len: usize, rate: f32, layer: u32, step: u32) -> Vec<bool> {
    run(backend, &vec![1.0; len], rate, layer, step).iter().map(|v| *v != 0.0).collect()
}

#[test]
fn values_are_kept_scaled_or_dropped_as_the_hash_says() {
    on_every_backend(|backend| {
        for len in [0, 1, 2, 63, 64, 65, 255, 257, 1001, 70_001] {
            for rate in [0.0, 0.1, 0.5, 0.9] {
                let x = numbers(len, 1);
                let got = run(backend, &x, rate, 3, 7);
                // Seed 42 is what the step state of the tests holds.
                let key = hash::key(42, 7, hash::DROPOUT_STREAM + 3);
                let scale = 1.0 / (1.0 - f64::from(rate));
                let want = |planted: usize| -> Vec<f64> {
                    x.iter()
                        .enumerate()
                        .map(|(i, v)| {
                            let unit = f64::from(hash::bits(key, i as u32)) / 4_294_967_296.0;
                            let keep = (unit >= f64::from(rate)) != (i == planted);
                            if keep { f64::from(*v) * scale } else { 0.0 }
                        })
                        .collect()
                };
                let bound = |_| 2e-7 * scale * backend.slack();
                close(&got, &want(usize::MAX), bound).unwrap();
                if len > 0 && x[len / 2].abs() > 1e-3 {
                    close(&got, &want(len / 2), bound).unwrap_err();
                }
            }
        }
    });
}

#[test]
fn the_share_dropped_is_the_rate_everywhere() {
    on_every_backend(|backend| {
        let n = 40_000;
        for rate in [0.05f32, 0.25, 0.5, 0.8] {
            let mask = mask(backend, n, rate, 1, 2);
            // Whole, and by position, so that no column of a matrix is favoured.
            for period in [1, 2, 7, 64] {
                for phase in 0..period {
                    let own: Vec<bool> = mask.iter().copied().skip(phase).step_by(period).collect();
                    let dropped = own.iter().filter(|k| !**k).count() as f64 / own.len() as f64;
                    let rate = f64::from(rate);
                    let sigma = (rate * (1.0 - rate) / own.len() as f64).sqrt();
                    assert!((dropped - rate).abs() < 5.0 * sigma, "{rate} {period} {dropped}");
                }
            }
        }
    });
}

#[test]
fn the_mean_is_kept() {
    on_every_backend(|backend| {
        let x = vec![1.0; 100_000];
        for rate in [0.1f32, 0.5, 0.75] {
            let sum: f64 = run(backend, &x, rate, 0, 1).iter().map(|v| f64::from(*v)).sum();
            let mean = sum / x.len() as f64;
            let rate = f64::from(rate);
            let sigma = (rate / (1.0 - rate) / x.len() as f64).sqrt();
            assert!((mean - 1.0).abs() < 5.0 * sigma, "{rate} {mean}");
        }
    });
}

#[test]
fn a_mask_repeats_and_another_step_or_layer_has_another() {
    on_every_backend(|backend| {
        let n = 20_000;
        let first = mask(backend, n, 0.5, 1, 1);
        assert_eq!(mask(backend, n, 0.5, 1, 1), first);
        for (layer, step) in [(1, 2), (2, 1), (1, 3), (9, 1)] {
            let other = mask(backend, n, 0.5, layer, step);
            let same = first.iter().zip(&other).filter(|(a, b)| a == b).count() as f64 / n as f64;
            assert!((same - 0.5).abs() < 0.02, "{layer} {step}: {same} agree");
        }
        // Another seed too.
        let mut memory = Memory::new();
        let mut words = step_words(1, 1);
        words[fp8_studio::kernels::step_state::SEED] = 43;
        let (x, step) = (memory.f32(&vec![1.0; n]), memory.words(&words));
        let op = Dropout { x, len: n as u32, rate: 0.5, layer: 1, step };
        memory.run(backend, &Op::Dropout(op));
        let other = memory.get_f32(x).iter().map(|v| *v != 0.0);
        let same = first.iter().zip(other).filter(|(a, b)| **a == *b).count() as f64 / n as f64;
        assert!((same - 0.5).abs() < 0.02, "{same} agree");
    });
}

/// Dropout is linear with the mask fixed, so its slopes are those of a straight line; the gradient
/// comes from the same call.
#[test]
fn backward_is_the_slope_of_forward() {
    on_every_backend(|backend| {
        let (x, c) = (numbers(40, 1), numbers(40, 2));
        let loss = |backend: &mut dyn Backend, x: &[f32]| -> f64 {
            let out = run(backend, x, 0.4, 2, 5);
            out.iter().zip(&c).map(|(o, c)| f64::from(*o) * f64::from(*c)).sum()
        };
        let gradient = run(backend, &c, 0.4, 2, 5);
        let slopes: Vec<f64> = (0..x.len())
            .map(|i| {
                let mut side = |h: f32| {
                    let mut x = x.clone();
                    x[i] += h;
                    loss(backend, &x)
                };
                (side(1.0) - side(-1.0)) / 2.0
            })
            .collect();
        close(&gradient, &slopes, |_| 1e-6).unwrap();
        assert!(gradient.contains(&0.0) && gradient.iter().any(|g| *g != 0.0));
    });
}

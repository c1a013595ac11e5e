//! Optimisers against f64, over several steps.

use fp8_studio::engine::{StepParams, host};
use fp8_studio::kernels::Op;
use fp8_studio::kernels::optimizer::{AdamW, SgdMomentum};
use fp8_studio::model::{Head, InputSpec, ModelSpec};
use fp8_studio::plan::{Optimizer, PlanConfig, compile};

use super::{Backend, Memory, close, numbers, on_every_backend, wide};

const RATE: f32 = 0.02;
const STEPS: u64 = 6;

/// Step state as the engines compute it.
fn step_words(optimizer: Optimizer, step: u64) -> Vec<u32> {
    let input = InputSpec::features(1);
    let activation = fp8_studio::model::Activation::Relu;
    let model = ModelSpec::mlp(input, &[], activation, false, 0.0, false, Head::Regression);
    let update = fp8_studio::plan::UpdateOptions::default();
    let config =
        PlanConfig { batch: 1, precision: fp8_studio::fp8::Precision::F32, optimizer, update };
    let plan = compile(&model, &config).unwrap();
    host::step_words(&plan, 1, &StepParams { step, learning_rate: RATE, seed: 1 }).to_vec()
}

fn gradient(len: usize, step: u64) -> Vec<f32> {
    // Sizes over many decades, and exact zeros.
    let sizes = [1.0, 1e-3, 0.0, 30.0, 1e-6];
    let numbers = numbers(len, 50 + step as u32);
    numbers.iter().enumerate().map(|(i, v)| v * sizes[i % 5]).collect()
}

/// Weights after the steps.
fn run(backend: &mut dyn Backend, optimizer: Optimizer, weight: &[f32]) -> Vec<f32> {
    let mut memory = Memory::new();
    let len = weight.len();
    let (weight, zeros) = (memory.f32(weight), vec![0.0; len]);
    let (first, second) = (memory.f32(&zeros), memory.f32(&zeros));
    let (gradient_buffer, step) = (memory.f32(&zeros), memory.step(1, 1));
    let op = match optimizer {
        Optimizer::AdamW { beta1, beta2, epsilon, weight_decay } => Op::AdamW(AdamW {
            weight,
            gradient: gradient_buffer,
            first,
            second,
            len: len as u32,
            beta1,
            beta2,
            epsilon,
            weight_decay,
            step,
        }),
        Optimizer::Sgd { momentum, weight_decay } => Op::SgdMomentum(SgdMomentum {
            weight,
            gradient: gradient_buffer,
            momentum_buffer: first,
            len: len as u32,
            momentum,
            weight_decay,
            step,
        }),
    };
    for number in 1..=STEPS {
        memory.set(gradient_buffer, bytemuck::cast_slice(&gradient(len, number)));
        memory.set(step, &step_words(optimizer, number));
        memory.run(backend, &op);
    }
    memory.get_f32(weight).to_vec()
}

/// The published algorithms in f64; also how far each weight went in all.
fn exact(optimizer: Optimizer, weight: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let mut w = wide(weight);
    let mut way = vec![0f64; w.len()];
    let (mut first, mut second) = (vec![0f64; w.len()], vec![0f64; w.len()]);
    let rate = f64::from(RATE);
    for step in 1..=STEPS {
        let gradient = wide(&gradient(w.len(), step));
        for (i, mut g) in gradient.into_iter().enumerate() {
            let before = w[i];
            match optimizer {
                Optimizer::AdamW { beta1, beta2, epsilon, weight_decay } => {
                    let [b1, b2, e, d] = [beta1, beta2, epsilon, weight_decay].map(f64::from);
                    w[i] -= rate * d * w[i];
                    first[i] = b1 * first[i] + (1.0 - b1) * g;
                    second[i] = b2 * second[i] + (1.0 - b2) * g * g;
                    let m = first[i] / (1.0 - b1.powi(step as i32));
                    let v = second[i] / (1.0 - b2.powi(step as i32));
                    w[i] -= rate * m / (v.sqrt() + e);
                }
                Optimizer::Sgd { momentum, weight_decay } => {
                    g += f64::from(weight_decay) * w[i];
                    first[i] = f64::from(momentum) * first[i] + g;
                    w[i] -= rate * first[i];
                }
            }
            way[i] += (w[i] - before).abs();
        }
    }
    (w, way)
}

const LENGTHS: [usize; 9] = [0, 1, 2, 63, 65, 255, 257, 1001, 70_001];

fn check(optimizers: &[Optimizer], planted: Optimizer) {
    on_every_backend(|backend| {
        for &optimizer in optimizers {
            for len in LENGTHS {
                let start = numbers(len, 8);
                let got = run(backend, optimizer, &start);
                let (want, way) = exact(optimizer, &start);
                let bound = |i: usize| 2e-6 * (0.1 + want[i].abs() + way[i]) * backend.slack();
                close(&got, &want, bound).unwrap_or_else(|e| panic!("{optimizer:?} {len}: {e}"));
                if len > 1 {
                    close(&got, &exact(planted, &start).0, bound).unwrap_err();
                }
            }
        }
    });
}

#[test]
fn adamw_over_several_steps() {
    let adam = |beta1, beta2, epsilon, weight_decay| Optimizer::AdamW {
        beta1,
        beta2,
        epsilon,
        weight_decay,
    };
    check(
        &[Optimizer::default(), adam(0.9, 0.999, 1e-8, 0.0), adam(0.8, 0.95, 1e-3, 0.1)],
        // As Adam without decay at another β2.
        adam(0.9, 0.99, 1e-8, 0.05),
    );
}

#[test]
fn sgd_over_several_steps() {
    let sgd = |momentum, weight_decay| Optimizer::Sgd { momentum, weight_decay };
    check(&[sgd(0.9, 0.0), sgd(0.0, 0.0), sgd(0.9, 0.1), sgd(0.5, 1e-3)], sgd(0.8, 0.01));
}

/// Both go downhill: the first step is against the sign of the gradient.
#[test]
fn the_first_step_is_against_the_gradient() {
    on_every_backend(|backend| {
        for optimizer in [Optimizer::default(), Optimizer::Sgd { momentum: 0.9, weight_decay: 0.0 }]
        {
            let start = vec![0.0; 50];
            let after = run(backend, optimizer, &start);
            let sum: Vec<f32> =
                (0..50).map(|i| (1..=STEPS).map(|s| gradient(50, s)[i]).sum()).collect();
            // Where all gradients point one way.
            let clear = (0..50).filter(|&i| (1..=STEPS).all(|s| gradient(50, s)[i] * sum[i] > 0.0));
            let mut seen = 0;
            for i in clear {
                assert!(after[i] * sum[i] < 0.0, "{optimizer:?} {i}: {} {}", after[i], sum[i]);
                seen += 1;
            }
            assert!(seen > 0);
        }
    });
}

#[test]
fn a_gradient_that_is_not_a_number_reaches_the_weight() {
    on_every_backend(|backend| {
        let mut memory = Memory::new();
        let (weight, first) = (memory.f32(&[1.0, 2.0]), memory.f32(&[0.0; 2]));
        let (gradient, step) = (memory.f32(&[f32::NAN, 0.5]), memory.step(1, 1));
        let op = SgdMomentum {
            weight,
            gradient,
            momentum_buffer: first,
            len: 2,
            momentum: 0.9,
            weight_decay: 0.0,
            step,
        };
        memory.run(backend, &Op::SgdMomentum(op));
        let after = memory.get_f32(weight);
        assert!(after[0].is_nan() && after[1] < 2.0);
    });
}

//! Single kernels and whole training steps, on the processor and on a GPU.
//!
//!     cargo bench --bench kernels                    everything
//!     cargo bench --bench kernels -- gemm            what has "gemm" in its name
//!
//! A GPU is timed where there is one; a software adapter only with `FP8_STUDIO_SOFTWARE_GPU=1`. GPU
//! times include sending the work off and waiting for it. Kernels are taken from compiled plans and
//! work on the values that they have in training. "item" is a floating-point operation of a matrix
//! product or convolution (a multiplication and an addition are two), a value that is rounded, or a
//! row that is trained on.

#![allow(clippy::expect_used)]

use std::fmt;
use std::sync::OnceLock;

use divan::Bencher;
use divan::counter::ItemsCount;
use fp8_studio::device::{self, Gpu};
use fp8_studio::engine::cpu::CpuEngine;
use fp8_studio::engine::device_memory::DeviceMemory;
use fp8_studio::engine::wgpu::WgpuEngine;
use fp8_studio::engine::{Batch, Engine, StepParams};
use fp8_studio::fp8::{Precision, Recipe};
use fp8_studio::kernels::conv::{Conv, ConvInputGradient, ConvShape, ConvWeightGradient};
use fp8_studio::kernels::{Op, Slots};
use fp8_studio::model::init::init;
use fp8_studio::model::{Activation, CnnOptions, Head, ImageShape, InputSpec, ModelSpec};
use fp8_studio::plan::{Optimizer, Plan, PlanConfig, UpdateOptions, compile};

/// Rows of a batch.
const ROWS: usize = 256;

fn main() {
    divan::main();
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    Cpu,
    Gpu,
}

/// The processor, and the GPU if one is to be timed.
fn places() -> Vec<Where> {
    static GPU: OnceLock<bool> = OnceLock::new();
    let software = std::env::var_os("FP8_STUDIO_SOFTWARE_GPU").is_some();
    let found = *GPU.get_or_init(|| device::choose(software).is_ok());
    if found { vec![Where::Cpu, Where::Gpu] } else { vec![Where::Cpu] }
}

fn gpu() -> Gpu {
    device::choose(true).and_then(Gpu::open).expect("a GPU")
}

/// What is timed; its text names it in the results.
#[derive(Debug, Clone, Copy)]
struct Case<T> {
    place: Where,
    name: &'static str,
    precision: Precision,
    of: T,
}

impl<T: fmt::Debug> fmt::Display for Case<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} {:?}", self.place, self.name, self.of)
    }
}

fn cases<T: Copy>(precisions: &[(&'static str, Precision)], of: &[T]) -> Vec<Case<T>> {
    let mut all = Vec::new();
    for place in places() {
        for of in of {
            let case = |(name, precision)| Case { place, name, precision, of: *of };
            all.extend(precisions.iter().copied().map(case));
        }
    }
    all
}

fn precisions() -> [(&'static str, Precision); 3] {
    [("fp8", Precision::Fp8(Recipe::current())), ("bf16", Precision::Bf16), ("f32", Precision::F32)]
}

fn recipes() -> Vec<(&'static str, Precision)> {
    let all = [
        ("current", Recipe::current()),
        ("delayed", Recipe::delayed()),
        ("rowwise", Recipe::rowwise()),
        ("rowwise-hp", Recipe::rowwise_high_precision_weight_gradient()),
        ("block", Recipe::block()),
        ("mx", Recipe::mx()),
    ];
    all.map(|(name, recipe)| (name, Precision::Fp8(recipe))).into()
}

fn mlp(inputs: usize, hidden: &[usize]) -> ModelSpec {
    let (input, head) = (InputSpec::features(inputs), Head::Classes { count: 10 });
    ModelSpec::mlp(input, hidden, Activation::Relu, false, 0.0, false, head)
}

fn cnn() -> ModelSpec {
    let image = ImageShape { height: 28, width: 28, channels: 1 };
    ModelSpec::cnn(image, &CnnOptions::default(), Head::Classes { count: 10 })
}

fn plan(model: &ModelSpec, rows: usize, precision: Precision) -> Plan {
    let (optimizer, update) = (Optimizer::default(), UpdateOptions::default());
    let config = PlanConfig { batch: rows, precision, optimizer, update };
    compile(model, &config).expect("a plan")
}

const FIRST: StepParams = StepParams { step: 1, learning_rate: 1e-3, seed: 1 };

/// Times the first op of a plan that is asked for, after one training step has filled the memory.
fn op(bencher: Bencher, place: Where, plan: Plan, find: impl Fn(&Op) -> Option<u64>) {
    let found = plan.train_step.iter().find_map(|op| find(op).map(|items| (op.clone(), items)));
    let (op, items) = found.expect("such an op in the plan");
    let bencher = bencher.counter(ItemsCount::new(items));
    let mut filled = CpuEngine::open(plan.clone()).expect("memory");
    filled.load_params(&init(&plan.model, 1)).expect("parameters");
    filled
        .train(&[Batch::random(plan.model.input.dense, 10, plan.config.batch)], &[FIRST])
        .expect("a step");
    let words = (0..plan.buffers.len() as u32).map(fp8_studio::plan::BufferId);
    let words: Vec<_> = words.map(|id| (id, filled.read(id).expect("a buffer"))).collect();
    match place {
        Where::Cpu => {
            let mut slots = Slots::placed(&plan.slots, plan.places());
            for (id, words) in words {
                slots.words_mut(id).copy_from_slice(&words);
            }
            bencher.bench_local(|| rayon::scope(|_| op.cpu(&mut slots)));
        }
        Where::Gpu => {
            let mut memory =
                DeviceMemory::placed(gpu(), &plan.slots, plan.places()).expect("GPU memory");
            for (id, words) in words {
                // A buffer inside another has its words from that.
                let _ = memory.write(id, &words);
            }
            let launches = memory.prepare(&[op], false).expect("a kernel");
            bencher.bench_local(|| {
                memory.run(&launches).expect("work sent off");
                memory.gpu().wait().expect("work done");
            });
        }
    }
}

/// Rows, outputs and inputs of a dense layer.
#[derive(Clone, Copy)]
struct Sizes(usize, usize, usize);

impl fmt::Debug for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}×{}×{}", self.0, self.1, self.2)
    }
}

fn dense() -> Vec<Case<Sizes>> {
    let sizes = [Sizes(256, 512, 784), Sizes(256, 512, 512), Sizes(1024, 1024, 1024)];
    cases(&precisions(), &sizes)
}

fn gemm(bencher: Bencher, case: Case<Sizes>, wanted: [usize; 3]) {
    let Sizes(rows, outputs, inputs) = case.of;
    // A layer before it, so that there is a gradient of its input.
    let plan = plan(&mlp(inputs, &[inputs, outputs]), rows, case.precision);
    op(bencher, case.place, plan, |op| match op {
        Op::Gemm(g) if [g.m, g.n, g.k].map(|s| s as usize) == wanted => {
            Some(wanted.iter().product::<usize>() as u64 * 2)
        }
        _ => None,
    });
}

/// Y = X · Wᵀ.
#[divan::bench(args = dense(), max_time = 1)]
fn gemm_forward(bencher: Bencher, case: Case<Sizes>) {
    let Sizes(rows, outputs, inputs) = case.of;
    gemm(bencher, case, [rows, outputs, inputs]);
}

/// dX = dY · W.
#[divan::bench(args = dense(), max_time = 1)]
fn gemm_input_gradient(bencher: Bencher, case: Case<Sizes>) {
    let Sizes(rows, outputs, inputs) = case.of;
    gemm(bencher, case, [rows, inputs, outputs]);
}

/// dW = dYᵀ · X.
#[divan::bench(args = dense(), max_time = 1)]
fn gemm_weight_gradient(bencher: Bencher, case: Case<Sizes>) {
    let Sizes(rows, outputs, inputs) = case.of;
    gemm(bencher, case, [outputs, inputs, rows]);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Forward,
    InputGradient,
    WeightGradient,
}

/// The second convolution of the small network: 3 × 3, 32 to 64 channels, 14 × 14 pixels.
#[divan::bench(
    args = cases(&precisions(), &[Part::Forward, Part::InputGradient, Part::WeightGradient]),
    max_time = 1
)]
fn conv(bencher: Bencher, case: Case<Part>) {
    let work = |s: &ConvShape| {
        let pixels = (s.rows * s.out_height * s.out_width) as u64;
        2 * pixels * u64::from(s.kernel * s.kernel * s.channels * s.out_channels)
    };
    op(bencher, case.place, plan(&cnn(), ROWS, case.precision), |op| {
        let (part, shape) = match op {
            Op::Conv(Conv { shape, .. }) => (Part::Forward, shape),
            Op::ConvInputGradient(ConvInputGradient { shape, .. }) => (Part::InputGradient, shape),
            Op::ConvWeightGradient(ConvWeightGradient { shape, .. }) => {
                (Part::WeightGradient, shape)
            }
            _ => return None,
        };
        (part == case.of && shape.channels == 32).then(|| work(shape))
    });
}

/// The input of a dense layer of 1024 values, 1024 rows, amax and scales included.
#[divan::bench(args = cases(&recipes(), &[1024_u32]), max_time = 1)]
fn quantise(bencher: Bencher, case: Case<u32>) {
    let size = case.of as usize;
    let plan = plan(&mlp(size, &[size]), size, case.precision);
    op(bencher, case.place, plan, |op| match op {
        Op::Quantise(q) if (q.rows, q.cols) == (case.of, case.of) => Some((size * size) as u64),
        _ => None,
    });
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    Mlp,
    Cnn,
}

/// A whole step of training: 784-512-512-10 or the small convolutional network, AdamW.
#[divan::bench(args = cases(&precisions(), &[Network::Mlp, Network::Cnn]), max_time = 2)]
fn training_step(bencher: Bencher, case: Case<Network>) {
    let model = match case.of {
        Network::Mlp => mlp(784, &[512, 512]),
        Network::Cnn => cnn(),
    };
    let plan = plan(&model, ROWS, case.precision);
    let mut engine: Box<dyn Engine> = match case.place {
        Where::Cpu => Box::new(CpuEngine::open(plan).expect("memory")),
        Where::Gpu => Box::new(WgpuEngine::on(gpu(), plan, None).expect("a GPU")),
    };
    engine.load_params(&init(&model, 1)).expect("parameters");
    let batch = Batch::random(model.input.dense, 10, ROWS);
    let mut params = FIRST;
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        let loss = engine.train(std::slice::from_ref(&batch), &[params]).expect("a step");
        params.step += 1;
        loss
    });
}

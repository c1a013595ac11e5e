//! A training step takes no memory from the allocator once everything has run once.
//!
//! The allocator counts per thread, so tests beside this one do not matter; a thread pool of one
//! makes all pieces of a kernel run on the thread that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use fp8_studio::engine::cpu::CpuEngine;
use fp8_studio::engine::{Batch, Engine, StepParams, host};
use fp8_studio::fp8::{Precision, Recipe};
use fp8_studio::kernels::gemm::Storage;
use fp8_studio::kernels::{Op, Slots, gemm_bf16};
use fp8_studio::model::init::init;
use fp8_studio::model::{
    Activation, CnnOptions, EmbeddingSpec, Head, ImageShape, InputSpec, ModelSpec, ResNetOptions,
    SeparableOptions,
};
use fp8_studio::plan::{Optimizer, Plan, PlanConfig, UpdateOptions, compile};

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting.
struct Counting;

fn note() {
    // A thread that is ending has no counter any more.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: everything is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: as above.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of `f` on this thread.
fn count(f: impl FnOnce()) -> usize {
    let before = COUNT.get();
    f();
    COUNT.get() - before
}

const BATCH: usize = 70;

fn models() -> Vec<(ModelSpec, Optimizer)> {
    let table = EmbeddingSpec { name: "kind".to_owned(), cardinality: 9, dim: 5 };
    let input = |tables: usize| InputSpec {
        dense: 300,
        embeddings: vec![table.clone(); tables],
        image: None,
    };
    let sgd = Optimizer::Sgd { momentum: 0.9, weight_decay: 0.01 };
    let (classes, one) = (Head::Classes { count: 5 }, Head::Regression);
    let image = ImageShape { height: 12, width: 11, channels: 2 };
    let cnn = CnnOptions { channels: vec![16, 24], dense: vec![20], ..CnnOptions::default() };
    vec![
        (ModelSpec::cnn(image, &cnn, classes), Optimizer::default()),
        (ModelSpec::resnet(image, &ResNetOptions::default(), classes), sgd),
        (
            ModelSpec::depthwise_separable(image, &SeparableOptions::default(), classes),
            Optimizer::default(),
        ),
        // Large enough to be cut into pieces.
        (
            ModelSpec::mlp(input(0), &[400, 300], Activation::Relu, false, 0.0, false, classes),
            Optimizer::default(),
        ),
        (ModelSpec::mlp(input(2), &[64, 33], Activation::Gelu, true, 0.2, true, one), sgd),
    ]
}

fn plans() -> Vec<Plan> {
    let mut plans = Vec::new();
    for (model, optimizer) in models() {
        let stochastic = Recipe { stochastic_gradients: true, ..Recipe::current() };
        for precision in [
            Precision::F32,
            Precision::Fp8(stochastic),
            Precision::Fp8(Recipe::delayed()),
            Precision::Fp8(Recipe::block()),
        ] {
            for lean in [false, true] {
                let update = UpdateOptions { lean, ..UpdateOptions::default() };
                let config = PlanConfig { batch: BATCH, precision, optimizer, update };
                plans.push(compile(&model, &config).unwrap());
            }
        }
    }
    plans
}

/// Whether an op is a product that the `gemm` crate makes, which takes memory for its packing.
fn is_foreign(op: &Op) -> bool {
    let f32 = |storage| matches!(storage, Storage::F32);
    match op {
        Op::Gemm(g) => !gemm_bf16::available() || f32(g.a.storage) || f32(g.b.storage),
        _ => false,
    }
}

fn in_one_thread(f: impl FnOnce() + Send) {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(f);
}

/// Memory with weights and a batch in it.
fn slots(plan: &Plan) -> Slots {
    let mut slots = Slots::placed(&plan.slots, plan.places());
    for (param, value) in plan.params.iter().zip(init(&plan.model, 1)) {
        slots.words_mut(param.weight).copy_from_slice(bytemuck::cast_slice(&value.values));
    }
    slots.words_mut(plan.dense).fill(0.5f32.to_bits());
    let params = StepParams { step: 2, learning_rate: 1e-3, seed: 1 };
    let words = host::step_words(plan, BATCH, &params);
    slots.words_mut(plan.step).copy_from_slice(&words);
    slots
}

#[test]
fn no_kernel_allocates_after_its_first_run() {
    in_one_thread(|| {
        let mut kinds = std::collections::BTreeSet::new();
        for plan in plans() {
            let mut slots = slots(&plan);
            let lists = [&plan.train_step, &plan.prepare_eval, &plan.eval_step];
            lists.iter().for_each(|list| list.iter().for_each(|op| op.cpu(&mut slots)));
            for op in lists.into_iter().flatten().filter(|op| !is_foreign(op)) {
                let allocations = count(|| op.cpu(&mut slots));
                assert_eq!(allocations, 0, "{op:?}");
                kinds.insert(format!("{op:?}").split('(').next().unwrap_or_default().to_owned());
            }
        }
        // Everything but the copy of f32 products was among them.
        assert!(kinds.len() >= 13, "{kinds:?}");
    });
}

#[test]
fn the_engine_adds_no_allocation_of_its_own_to_a_step() {
    in_one_thread(|| {
        for plan in plans() {
            let mut memory = slots(&plan);
            plan.train_step.iter().for_each(|op| op.cpu(&mut memory));
            let foreign: usize = plan
                .train_step
                .iter()
                .map(|op| {
                    let own = count(|| op.cpu(&mut memory));
                    if is_foreign(op) { own } else { 0 }
                })
                .sum();
            let batch = Batch {
                rows: BATCH - 3,
                dense: vec![0.5; (BATCH - 3) * plan.model.input.dense],
                categories: vec![1; (BATCH - 3) * plan.model.input.embeddings.len()],
                targets: vec![1; BATCH - 3],
                weights: Vec::new(),
            };
            let mut engine = CpuEngine::open(plan).unwrap();
            let mut steps = |n: u64| {
                let batches = vec![batch.clone(); n as usize];
                let params: Vec<StepParams> =
                    (1..=n).map(|step| StepParams { step, learning_rate: 1e-3, seed: 1 }).collect();
                count(|| drop(engine.train(&batches, &params).unwrap()))
            };
            steps(2);
            // The list of losses is one allocation, however many steps there are.
            assert_eq!(steps(1), 1 + foreign);
            assert_eq!(steps(5), 1 + 5 * foreign);
        }
    });
}

#[test]
fn an_allocation_is_noticed() {
    assert_eq!(count(|| drop(std::hint::black_box(vec![0u8; 10]))), 1);
    assert_eq!(count(|| drop(std::hint::black_box(Box::new(7)))), 1);
    assert_eq!(count(|| ()), 0);
}

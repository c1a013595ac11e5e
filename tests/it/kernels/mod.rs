//! Every kernel by itself, one file per kernel family, against plain f64 arithmetic.
//!
//! Tests are written against [`Backend`], so each body holds for every executor put under it.

mod activation;
mod dropout;
mod embedding;
mod gemm;
mod layer_norm;
mod loss;
mod optimizer;
mod quantise;
mod reduce;

use std::sync::Mutex;

use fp8_studio::device::Gpu;
use fp8_studio::engine::device_memory::DeviceMemory;
use fp8_studio::kernels::{BufferId, Op, Slots, step_state};

pub use crate::pair::{numbers, wild};

/// One executor.
pub trait Backend {
    /// For messages.
    fn name(&self) -> &'static str;
    /// How many times the native rounding errors it may make.
    fn slack(&self) -> f64;
    /// Runs one op on the words of every buffer.
    fn run(&mut self, op: &Op, buffers: &mut [Vec<u32>], full_stats: bool);
}

/// The CPU twins.
pub struct Native;

impl Backend for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn slack(&self) -> f64 {
        1.0
    }

    fn run(&mut self, op: &Op, buffers: &mut [Vec<u32>], full_stats: bool) {
        let sizes: Vec<usize> = buffers.iter().map(Vec::len).collect();
        let mut slots = Slots::new(&sizes, sizes.iter().copied().enumerate().collect());
        slots.full_stats = full_stats;
        let ids = (0..buffers.len() as u32).map(BufferId);
        for (id, words) in ids.clone().zip(buffers.iter()) {
            slots.words_mut(id).copy_from_slice(words);
        }
        op.cpu(&mut slots);
        for (id, words) in ids.zip(buffers) {
            words.copy_from_slice(slots.words(id));
        }
    }
}

/// The shaders, on whatever adapter the tests run on.
struct Shaders {
    gpu: Option<Gpu>,
}

impl Backend for Shaders {
    fn name(&self) -> &'static str {
        "GPU"
    }

    fn slack(&self) -> f64 {
        // Exponentials and divisions of a shader may be off by a few units in the last place.
        8.0
    }

    fn run(&mut self, op: &Op, buffers: &mut [Vec<u32>], full_stats: bool) {
        let sizes: Vec<usize> = buffers.iter().map(Vec::len).collect();
        let place = sizes.iter().copied().enumerate().collect();
        let gpu = self.gpu.take().unwrap_or_else(crate::pair::gpu);
        let mut memory = DeviceMemory::new(gpu, &sizes, place).unwrap();
        let ids = (0..buffers.len() as u32).map(BufferId);
        for (id, words) in ids.clone().zip(buffers.iter()) {
            memory.write(id, words).unwrap();
        }
        let launches = memory.prepare(std::slice::from_ref(op), full_stats).unwrap();
        memory.run(&launches).unwrap();
        for (id, words) in ids.zip(buffers) {
            *words = memory.read(id).unwrap();
        }
        self.gpu = Some(memory.into_gpu());
    }
}

/// Opened adapters that no test is using.
static IDLE: Mutex<Vec<Gpu>> = Mutex::new(Vec::new());

/// Runs a test body on every executor.
pub fn on_every_backend(body: impl Fn(&mut dyn Backend)) {
    body(&mut Native);
    let gpu = IDLE.lock().unwrap().pop();
    let mut shaders = Shaders { gpu };
    body(&mut shaders);
    IDLE.lock().unwrap().extend(shaders.gpu);
}

/// Words behind every buffer that no op may touch.
const GUARD: [u32; 5] = [0xdead_beef; 5];
/// What buffers hold that an op must overwrite: a NaN, so that using it shows.
const STALE: u32 = 0x7fc0_dead;

/// The buffers of one test.
#[derive(Clone)]
pub struct Memory {
    buffers: Vec<Vec<u32>>,
    pub full_stats: bool,
}

impl Memory {
    pub fn new() -> Self {
        Self { buffers: Vec::new(), full_stats: true }
    }

    pub fn words(&mut self, words: &[u32]) -> BufferId {
        self.buffers.push([words, &GUARD[..]].concat());
        BufferId(self.buffers.len() as u32 - 1)
    }

    pub fn f32(&mut self, values: &[f32]) -> BufferId {
        self.words(bytemuck::cast_slice(values))
    }

    /// A buffer that an op overwrites.
    pub fn out(&mut self, words: usize) -> BufferId {
        self.words(&vec![STALE; words])
    }

    /// Step state with everything set.
    pub fn step(&mut self, step: u32, valid: usize) -> BufferId {
        self.words(&step_words(step, valid))
    }

    pub fn set(&mut self, id: BufferId, words: &[u32]) {
        self.buffers[id.index()] = [words, &GUARD[..]].concat();
    }

    pub fn get(&self, id: BufferId) -> &[u32] {
        let all = &self.buffers[id.index()];
        &all[..all.len() - GUARD.len()]
    }

    pub fn get_f32(&self, id: BufferId) -> &[f32] {
        bytemuck::cast_slice(self.get(id))
    }

    /// Runs an op and checks that it changed nothing but what it says it writes.
    pub fn run(&mut self, backend: &mut dyn Backend, op: &Op) {
        let before = self.buffers.clone();
        backend.run(op, &mut self.buffers, self.full_stats);
        if let Err(what) = only_writes(op, &before, &self.buffers) {
            panic!("{} {op:?}: {what}", backend.name());
        }
    }
}

/// Whether an op changed nothing but what its access list says.
fn only_writes(op: &Op, before: &[Vec<u32>], after: &[Vec<u32>]) -> Result<(), String> {
    let access = op.access();
    for (i, (before, after)) in before.iter().zip(after).enumerate() {
        let writes = access.iter().filter(|a| a.buffer.index() == i && a.writes);
        let written = writes.map(|a| a.words).max().unwrap_or(0);
        if let Some(at) = (written..before.len()).find(|&w| before[w] != after[w]) {
            return Err(format!("word {at} of buffer {i} changed; {written} may be written"));
        }
    }
    Ok(())
}

pub fn step_words(step: u32, valid: usize) -> [u32; step_state::WORDS] {
    crate::pair::step_words(step, valid as u32)
}

pub fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

/// One rounding to f32, relative.
pub const ROUNDING: f64 = 1.0 / 16_777_216.0;

/// Compares with exact values; `bound(i)` is the distance that element `i` may have. A NaN matches
/// a NaN, an infinity itself.
pub fn close(got: &[f32], want: &[f64], bound: impl Fn(usize) -> f64) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{} values instead of {}", got.len(), want.len()));
    }
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let got = f64::from(got);
        let same = got == want || (got.is_nan() && want.is_nan());
        // A NaN distance must not pass.
        let near = (got - want).abs() <= bound(i);
        if !same && !near {
            return Err(format!("element {i} is {got:e}, not {want:e} ± {:e}", bound(i)));
        }
    }
    Ok(())
}

/// Slope of `f` along every element of `x`, by central differences extrapolated to step 0.
pub fn slopes(x: &[f32], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let mut x = wide(x);
    (0..x.len())
        .map(|i| {
            let old = x[i];
            let mut slope = |h: f64| {
                let mut at = |v: f64| {
                    x[i] = v;
                    f(&x)
                };
                (at(old + h) - at(old - h)) / (2.0 * h)
            };
            let found = (4.0 * slope(1e-3) - slope(2e-3)) / 3.0;
            x[i] = old;
            found
        })
        .collect()
}

/// Bound on a gradient compared with [`slopes`]: relative, with a floor for slopes near 0.
pub fn gradient_bound(want: &[f64]) -> impl Fn(usize) -> f64 {
    let largest = want.iter().fold(0f64, |m, v| m.max(v.abs()));
    move |_| 1e-5 * largest + 1e-9
}

#[test]
fn comparison_notices_planted_differences() {
    let want = [1.0, -2.0, f64::NAN, f64::INFINITY, 0.0];
    let good = [1.0, -2.0, f32::NAN, f32::INFINITY, 0.0];
    assert_eq!(close(&good, &want, |_| 0.0), Ok(()));
    assert!(close(&good[..4], &want, |_| 1.0).is_err());
    for i in 0..want.len() {
        for wrong in [good[i] + 0.01, f32::NAN, f32::NEG_INFINITY, 7.0] {
            let mut bad = good;
            bad[i] = wrong;
            let same = wrong.to_bits() == good[i].to_bits() || (wrong.is_nan() && i == 2);
            let same = same || (i == 3 && wrong == f32::INFINITY);
            assert_eq!(close(&bad, &want, |_| 0.009).is_err(), !same, "{i} {wrong}");
        }
    }
}

#[test]
fn a_write_out_of_bounds_is_noticed() {
    use fp8_studio::kernels::elementwise::Fill;
    let mut memory = Memory::new();
    let out = memory.out(4);
    let other = memory.out(4);
    let op = Op::Fill(Fill { out, words: 3, value: 9 });
    on_every_backend(|backend| {
        let mut memory = memory.clone();
        memory.run(backend, &op);
        assert_eq!(memory.get(out), [9, 9, 9, STALE]);
    });
    for (buffer, word) in [(out, 3), (out, 4), (other, 0)] {
        let mut after = memory.buffers.clone();
        after[buffer.index()][word] = 1;
        assert!(only_writes(&op, &memory.buffers, &after).is_err(), "{buffer:?} {word}");
    }
    let mut after = memory.buffers.clone();
    after[out.index()][2] = 1;
    assert_eq!(only_writes(&op, &memory.buffers, &after), Ok(()));
}

#[test]
fn slopes_are_those_of_a_known_function() {
    let f = |x: &[f64]| x[0].powi(3) + x[0] * x[1].exp();
    let want = [3.0 * 0.25 + 0.5f64.exp(), 0.5 * 0.5f64.exp()];
    for (got, want) in slopes(&[0.5, 0.5], f).iter().zip(want) {
        assert!((got - want).abs() < 1e-9, "{got} {want}");
    }
}

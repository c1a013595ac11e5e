//! One memory on both executors: ops run on it twice, and what they wrote is compared.

use fp8_studio::device::{self, Gpu};
use fp8_studio::engine::device_memory::DeviceMemory;
use fp8_studio::fp8::hash;
use fp8_studio::kernels::{BufferId, Op, Slots, step_state};

use crate::tolerance;

/// Words behind every buffer that no op may touch.
const GUARD: [u32; 5] = [0xdead_beef; 5];

/// Opens the adapter that the tests run on. Without one the tests fail: they are never skipped.
pub fn gpu() -> Gpu {
    let opened = device::choose(true).and_then(Gpu::open);
    opened.unwrap_or_else(|e| {
        panic!(
            "{e}. The tests need a Vulkan adapter: install a driver, or the software one \
             (Debian and Ubuntu: apt-get install mesa-vulkan-drivers)."
        )
    })
}

/// Buffers to make a [`Pair`] of.
#[derive(Default)]
pub struct Layout {
    buffers: Vec<Vec<u32>>,
}

impl Layout {
    pub fn words(&mut self, words: &[u32]) -> BufferId {
        self.buffers.push(words.to_vec());
        BufferId(self.buffers.len() as u32 - 1)
    }

    pub fn f32(&mut self, values: &[f32]) -> BufferId {
        self.words(bytemuck::cast_slice(values))
    }

    /// A buffer that ops write; what it holds before is noise.
    pub fn out(&mut self, words: usize) -> BufferId {
        let noise: Vec<u32> = (0..words as u32).map(|i| hash::mix(i + 77) | 0x3f00_0000).collect();
        self.words(&noise)
    }

    pub fn step(&mut self, step: u32, valid: u32) -> BufferId {
        self.words(&step_words(step, valid))
    }

    pub fn pair(self, gpu: Gpu) -> Pair {
        let guarded = |b: &Vec<u32>| b.len() + GUARD.len();
        let sizes: Vec<usize> = self.buffers.iter().map(guarded).collect();
        let place: Vec<(usize, usize)> = sizes.iter().copied().enumerate().collect();
        let mut slots = Slots::new(&sizes, place.clone());
        let memory = DeviceMemory::new(gpu, &sizes, place).unwrap();
        for (i, words) in self.buffers.iter().enumerate() {
            let id = BufferId(i as u32);
            let all = [words, &GUARD[..]].concat();
            slots.words_mut(id).copy_from_slice(&all);
            memory.write(id, &all).unwrap();
        }
        Pair { slots, memory, count: self.buffers.len() }
    }
}

pub fn step_words(step: u32, valid: u32) -> [u32; step_state::WORDS] {
    let mut words = [0; step_state::WORDS];
    words[step_state::STEP] = step;
    words[step_state::VALID] = valid;
    words[step_state::SEED] = 42;
    words[step_state::LEARNING_RATE] = 0.01f32.to_bits();
    words[step_state::BETA1_CORRECTION] = 3.5f32.to_bits();
    words[step_state::BETA2_CORRECTION] = 200f32.to_bits();
    words[step_state::INV_VALID] = (1.0 / valid.max(1) as f32).to_bits();
    words
}

/// How two buffers must agree.
#[derive(Clone, Copy)]
pub enum Match<'a> {
    /// Same bits.
    Bits,
    /// f32, |difference| at most the bound of each element; NaN matches NaN.
    Within(&'a [f32]),
}

/// Compares a native and a GPU buffer.
pub fn compare(native: &[u32], gpu: &[u32], how: Match<'_>) -> Result<(), String> {
    if native.len() != gpu.len() {
        return Err(format!("{} words against {}", native.len(), gpu.len()));
    }
    for (i, (&n, &g)) in native.iter().zip(gpu).enumerate() {
        let (a, b) = (f32::from_bits(n), f32::from_bits(g));
        let bound = match how {
            Match::Bits => {
                if n != g {
                    return Err(format!("word {i}: native {n:#010x}, GPU {g:#010x} ({a} {b})"));
                }
                continue;
            }
            Match::Within(bounds) => bounds.get(i).copied().unwrap_or(0.0),
        };
        // False where one side is NaN.
        let close = (a - b).abs() <= bound;
        if n != g && !(a.is_nan() && b.is_nan()) && !close {
            return Err(format!("word {i}: native {a:e}, GPU {b:e}, allowed {bound:e}"));
        }
    }
    Ok(())
}

/// The same buffers natively and on the GPU.
pub struct Pair {
    pub slots: Slots,
    pub memory: DeviceMemory,
    count: usize,
}

impl Pair {
    pub fn write(&mut self, id: BufferId, words: &[u32]) {
        self.slots.words_mut(id)[..words.len()].copy_from_slice(words);
        self.memory.write(id, words).unwrap();
    }

    /// Runs an op on both and compares every buffer, guards included: what the op writes within
    /// [`tolerance::bounds`], everything else bit for bit. The GPU's memory then gets the native
    /// results, so that the next op starts from the same bits.
    pub fn run(&mut self, op: &Op) -> Result<(), String> {
        let mut bounds = tolerance::bounds(op, &self.slots);
        op.cpu(&mut self.slots);
        bounds.extend(tolerance::energies(op, &self.slots));
        let launches = self.memory.prepare(std::slice::from_ref(op), self.slots.full_stats);
        let launches = launches.map_err(|e| e.to_string())?;
        self.memory.run(&launches).map_err(|e| e.to_string())?;
        let access = op.access();
        for i in 0..self.count {
            let id = BufferId(i as u32);
            let native = self.slots.words(id);
            let gpu = self.memory.read(id).map_err(|e| e.to_string())?;
            let writes = access.iter().filter(|a| a.buffer == id && a.writes);
            let written = writes.map(|a| a.words).max().unwrap_or(0);
            let how = match bounds.iter().find(|(buffer, _)| *buffer == id) {
                Some((_, bounds)) => Match::Within(bounds),
                None => Match::Bits,
            };
            compare(&native[..written], &gpu[..written], how)
                .and_then(|()| compare(&native[written..], &gpu[written..], Match::Bits))
                .map_err(|e| format!("{op:?}, buffer {i} ({written} words written): {e}"))?;
            self.memory.write(id, native).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// Runs an op in all its variants, from the same bits each: as [`Pair::run`] does it, and all leave
    /// the same bits. Returns their number.
    pub fn run_variants(&mut self, op: &Op) -> Result<usize, String> {
        let variants = op.variants(self.memory.gpu().capabilities());
        let (Some(key), false) = (op.speed_key(), variants.is_empty()) else {
            return self.run(op).map(|()| 1);
        };
        let all: Vec<BufferId> = (0..self.count as u32).map(BufferId).collect();
        let before: Vec<Vec<u32>> = all.iter().map(|id| self.slots.words(*id).to_vec()).collect();
        let mut usual: Option<Vec<Vec<u32>>> = None;
        for name in &variants {
            self.memory.choose(key.clone(), (*name).to_owned());
            let launches = self.memory.prepare(std::slice::from_ref(op), self.slots.full_stats);
            self.memory.run(&launches.map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
            let read = |id: &BufferId| self.memory.read(*id).map_err(|e| e.to_string());
            let after = all.iter().map(read).collect::<Result<Vec<_>, _>>()?;
            let usual = usual.get_or_insert_with(|| after.clone());
            for (i, (usual, own)) in usual.iter().zip(&after).enumerate() {
                compare(usual, own, Match::Bits).map_err(|e| {
                    format!("{name} differs from {}: {key}, buffer {i}: {e}", variants[0])
                })?;
            }
            for (id, words) in all.iter().zip(&before) {
                self.write(*id, words);
            }
            self.run(op).map_err(|e| format!("{name}: {e}"))?;
            if Some(name) != variants.last() {
                for (id, words) in all.iter().zip(&before) {
                    self.write(*id, words);
                }
            }
        }
        Ok(variants.len())
    }

    pub fn into_gpu(self) -> Gpu {
        self.memory.into_gpu()
    }
}

/// Repeatable numbers in -1..1.
pub fn numbers(len: usize, salt: u32) -> Vec<f32> {
    let key = hash::key(salt, 1, 2);
    (0..len as u32).map(|i| (hash::bits(key, i) >> 8) as f32 / 8_388_608.0 - 1.0).collect()
}

/// Repeatable bits: magnitudes from 2^-40 to 2^40, zeros, f32 subnormals, infinities and NaNs.
pub fn wild(len: usize, salt: u32) -> Vec<u32> {
    let key = hash::key(salt, 3, 4);
    (0..len as u32)
        .map(|i| {
            let h = hash::bits(key, i);
            match h % 23 {
                0 => h & 0x8000_0000,
                1 => h & 0x807f_ffff,
                2 if h & 0x700 == 0 => h & 0x8000_0000 | 0x7f80_0000,
                3 if h & 0x700 == 0 => h | 0x7fc0_0000,
                _ => h & 0x807f_ffff | (87 + (h >> 7) % 81) << 23,
            }
        })
        .collect()
}

#[test]
fn the_comparator_notices_planted_differences() {
    let a = [1f32.to_bits(), 2f32.to_bits(), f32::NAN.to_bits()];
    assert!(compare(&a, &a, Match::Bits).is_ok());
    assert!(compare(&a, &a, Match::Within(&[0.0; 3])).is_ok());
    assert!(compare(&a, &a[..2], Match::Within(&[1.0; 3])).is_err());
    for i in 0..3 {
        let mut b = a;
        b[i] ^= 1 << 22;
        assert!(compare(&a, &b, Match::Bits).is_err());
        if i < 2 {
            assert!(compare(&a, &b, Match::Within(&[1e-3; 3])).is_err());
        }
    }
    // A NaN on one side only.
    let b = [1f32.to_bits(), f32::NAN.to_bits(), f32::NAN.to_bits()];
    assert!(compare(&a, &b, Match::Within(&[1e9; 3])).is_err());
    let b = [1f32.to_bits(), 2f32.to_bits(), 3f32.to_bits()];
    assert!(compare(&a, &b, Match::Within(&[1e9; 3])).is_err());
}

#[test]
fn a_pair_notices_a_wrong_result_and_a_write_past_the_end() {
    use fp8_studio::kernels::elementwise::Fill;
    let mut layout = Layout::default();
    let out = layout.out(300);
    let mut pair = layout.pair(gpu());
    let fill = |words| Op::Fill(Fill { out, words, value: 7 });
    pair.run(&fill(300)).unwrap();

    // The op on the GPU works on another value than the native one has.
    pair.memory.write(out, &[9; 300]).unwrap();
    let error = pair.run(&fill(200)).unwrap_err();
    assert!(error.contains("200 words written"), "{error}");

    // Guards differ.
    let mut layout = Layout::default();
    let out = layout.out(300);
    let mut pair = layout.pair(pair.into_gpu());
    pair.memory.write(out, &[7; 301]).unwrap();
    assert!(pair.run(&Op::Fill(Fill { out, words: 300, value: 7 })).is_err());
}

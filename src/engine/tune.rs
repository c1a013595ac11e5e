//! The fastest variant of every kernel, measured on the device itself.
//!
//! Ops that a GPU can run in several ways name what their speed depends on
//! ([`Op::speed_key`]). The first time that a key is met on an adapter all variants are timed, within a
//! small budget; the choice goes into a file that says what was measured, and is found there from then
//! on. All variants give the same bits, and one that does not on this device is not used: so no result
//! depends on what was measured.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::device_memory::DeviceMemory;
use crate::device::{AdapterInfo, Gpu};
use crate::error::EngineError;
use crate::kernels::gemm::Gemm;
use crate::kernels::{BufferId, Op, Place};
use crate::plan::Plan;

/// Environment variable that switches measuring: `off` lets shapes decide, `on` measures on software
/// adapters too. Without it every real GPU is measured.
pub const TUNING_ENV: &str = "FP8_STUDIO_TUNING";

/// Version of the file.
const VERSION: u32 = 1;
/// What measuring may take each time an engine is opened; what is left is measured the next time.
const BUDGET: Duration = Duration::from_millis(1500);
/// What one sample should take, so that handing work to the device does not hide the work.
const SAMPLE: Duration = Duration::from_millis(2);
/// Samples per variant, of which the shortest counts.
const SAMPLES: usize = 3;
/// Most calls of one sample.
const MOST_CALLS: f64 = 64.0;

/// What was measured for one key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The fastest.
    pub chosen: String,
    /// Shortest time of one call, by variant.
    pub microseconds: BTreeMap<String, f64>,
    /// Variants that this device cannot use, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unusable: BTreeMap<String, String>,
}

/// All measurements on one adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// Name, interface, driver: what was measured counts for these only.
    #[serde(flatten)]
    pub adapter: AdapterInfo,
    /// By [`Op::speed_key`].
    pub choices: BTreeMap<String, Choice>,
}

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Table {
    version: u32,
    /// Kernels of another version have other speeds.
    program: String,
    about: String,
    adapters: Vec<Tuned>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            about: "Which variant of each kernel was the fastest on this computer's graphics \
                    processors, and the times that say so. Nothing but speed depends on it, and it can \
                    be deleted at any time: what is missing is measured again."
                .to_owned(),
            adapters: Vec::new(),
        }
    }
}

impl Table {
    /// The file's content; none where there is no file, it is damaged or of another version.
    fn read(path: &Path) -> Self {
        let Ok(text) = std::fs::read_to_string(path) else { return Self::default() };
        match serde_json::from_str::<Self>(&text) {
            Ok(table) if table.version == VERSION && table.program == Self::default().program => {
                table
            }
            Ok(_) => Self::default(),
            Err(e) => {
                tracing::warn!("{} is not used: {e}", path.display());
                Self::default()
            }
        }
    }

    /// The old content or the new, never a part.
    fn write(&self, path: &Path) -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(&temporary, text + "\n")
            .and_then(|()| std::fs::rename(&temporary, path))
            .inspect_err(|_| {
                // What counts is why it could not be written.
                let _ = std::fs::remove_file(&temporary);
            })
    }

    fn of(&self, adapter: &AdapterInfo) -> Option<&Tuned> {
        self.adapters.iter().find(|t| t.adapter == *adapter)
    }

    fn choices(&mut self, adapter: &AdapterInfo) -> &mut BTreeMap<String, Choice> {
        let at = self.adapters.iter().position(|t| t.adapter == *adapter);
        let at = at.unwrap_or_else(|| {
            self.adapters.push(Tuned { adapter: adapter.clone(), choices: BTreeMap::new() });
            self.adapters.len() - 1
        });
        &mut self.adapters[at].choices
    }
}

/// Where the measurements are kept.
pub fn file() -> Option<PathBuf> {
    directories::ProjectDirs::from("", "", "fp8-studio")
        .map(|d| d.cache_dir().join("gpu-tuning.json"))
}

/// All measurements in `path`.
pub fn measurements(path: &Path) -> Vec<Tuned> {
    Table::read(path).adapters
}

/// Forgets all measurements in `path`; says whether there were any.
///
/// # Errors
/// The file is there and cannot be removed.
pub fn clear(path: &Path) -> std::io::Result<bool> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Measures, and remembers.
#[derive(Debug, Clone)]
pub struct Tuner {
    file: Option<PathBuf>,
    budget: Duration,
}

/// What came of it: the variant of every key, and how many keys were measured now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tuning {
    /// Variants by [`Op::speed_key`].
    pub chosen: BTreeMap<String, String>,
    /// Keys that were measured now; the others were known.
    pub measured: usize,
    /// Keys that the budget left no time for.
    pub left: usize,
}

impl Tuner {
    /// The tuner for an adapter as [`TUNING_ENV`] says; `None` where shapes decide.
    pub fn for_adapter(adapter: &AdapterInfo) -> Option<Self> {
        let said = std::env::var(TUNING_ENV).unwrap_or_default();
        wanted(&said, adapter.software).then(|| Self { file: file(), budget: BUDGET })
    }

    /// A tuner with a file and a budget of its own.
    pub fn at(file: PathBuf, budget: Duration) -> Self {
        Self { file: Some(file), budget }
    }

    /// Finds or measures the variant of every op of a plan. Buffers are made for it and given back.
    ///
    /// # Errors
    /// The device is lost. Whatever else goes wrong costs speed only.
    pub fn tune(&self, mut gpu: Gpu, plan: &Plan) -> Result<(Gpu, Tuning), EngineError> {
        let adapter = gpu.info().clone();
        let mut table = self.file.as_deref().map(Table::read).unwrap_or_default();
        let begin = Instant::now();
        let mut tuning = Tuning::default();
        let mut news = BTreeMap::new();
        for (key, op) in keys(plan) {
            let variants = op.variants(gpu.capabilities());
            let known = table.of(&adapter).and_then(|t| t.choices.get(&key));
            let known = known.map(|c| c.chosen.clone());
            if let Some(known) = known.filter(|known| variants.contains(&known.as_str())) {
                tuning.chosen.insert(key, known);
                continue;
            }
            if variants.len() < 2 {
                continue;
            }
            if begin.elapsed() >= self.budget {
                tuning.left += 1;
                continue;
            }
            let (back, choice) = measure(gpu, op)?;
            gpu = back;
            tuning.chosen.insert(key.clone(), choice.chosen.clone());
            news.insert(key, choice);
        }
        tuning.measured = news.len();
        if let (Some(path), false) = (&self.file, news.is_empty()) {
            // Another process may have written meanwhile.
            table = Table::read(path);
            table.choices(&adapter).append(&mut news);
            if let Err(e) = table.write(path) {
                tracing::warn!("measured speeds are not kept in {}: {e}", path.display());
            }
        }
        Ok((gpu, tuning))
    }
}

fn wanted(said: &str, software: bool) -> bool {
    match said.to_lowercase().as_str() {
        "off" | "0" | "no" => false,
        "on" | "1" | "yes" => true,
        _ => !software,
    }
}

/// One op for every key of a plan, those that touch most memory first.
fn keys(plan: &Plan) -> Vec<(String, &Op)> {
    let mut seen = BTreeSet::new();
    let mut list = Vec::new();
    for op in plan.lists().into_iter().flatten() {
        let Some(key) = op.speed_key() else { continue };
        if seen.insert(key.clone()) {
            let words: usize = op.access().iter().map(|a| a.words).sum();
            list.push((words, key, op));
        }
    }
    list.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    list.into_iter().map(|(_, key, op)| (key, op)).collect()
}

/// Memory for one op, in slots of its own.
fn memory_for(gpu: Gpu, op: &Op) -> Result<DeviceMemory, EngineError> {
    let mut words: BTreeMap<usize, usize> = BTreeMap::new();
    for access in op.access() {
        let most = words.entry(access.buffer.index()).or_default();
        *most = access.words.max(*most);
    }
    let count = words.keys().next_back().map_or(0, |last| last + 1);
    let mut place = vec![Place { slot: 0, offset: 0, words: 0 }; count];
    let mut slots = vec![1];
    for (id, words) in words {
        if let Some(place) = place.get_mut(id) {
            *place = Place { slot: slots.len(), offset: 0, words };
        }
        slots.push(words);
    }
    DeviceMemory::placed(gpu, &slots, place)
}

/// The same numbers for every variant, also in what it changes.
fn reset(memory: &DeviceMemory, op: &Op) -> Result<(), EngineError> {
    for access in op.access().iter().filter(|a| a.writes) {
        memory.write(access.buffer, &vec![0; access.words])?;
    }
    op.sample().iter().try_for_each(|(id, content)| memory.write(*id, content))
}

/// What a variant left in the buffers that the op writes.
fn results(memory: &DeviceMemory, op: &Op) -> Result<Vec<Vec<u32>>, EngineError> {
    op.access().iter().filter(|a| a.writes).map(|a| memory.read(a.buffer)).collect()
}

fn measure(gpu: Gpu, op: &Op) -> Result<(Gpu, Choice), EngineError> {
    let mut memory = memory_for(gpu, op)?;
    let variants = op.variants(memory.gpu().capabilities());
    let key = op.speed_key().unwrap_or_default();
    let mut outcomes = Vec::new();
    for name in variants {
        memory.choose(key.clone(), name.to_owned());
        let outcome = match try_variant(&mut memory, op) {
            Err(e @ EngineError::DeviceLost(_)) => return Err(e),
            Err(e) => Err(e.to_string()),
            Ok(outcome) => Ok(outcome),
        };
        outcomes.push((name.to_owned(), outcome));
    }
    Ok((memory.into_gpu(), choose(outcomes)))
}

/// Variants with matrix units by [`Op::speed_key`], for all products of a plan that the adapter's units
/// can multiply. They add in an order of their own, so each is first compared with the usual variant on
/// sample codes, and is left out where it is further off than sums of f32 may be. Which ones are taken
/// depends on the device and not on any speed.
///
/// # Errors
/// The device is lost.
pub fn matrix_units(
    mut gpu: Gpu,
    plan: &Plan,
) -> Result<(Gpu, BTreeMap<String, String>), EngineError> {
    let mut taken = BTreeMap::new();
    for (key, op) in keys(plan) {
        let Op::Gemm(gemm) = op else { continue };
        let Some(variant) = gemm.units(gpu.capabilities()) else { continue };
        let mut memory = memory_for(gpu, op)?;
        match compare_units(&mut memory, gemm, &key, variant) {
            Err(e @ EngineError::DeviceLost(_)) => return Err(e),
            Ok(None) => {
                taken.insert(key, variant.to_owned());
            }
            Ok(Some(why)) => tracing::warn!("{key}: matrix units are not used: {why}"),
            Err(e) => tracing::warn!("{key}: matrix units are not used: {e}"),
        }
        gpu = memory.into_gpu();
    }
    Ok((gpu, taken))
}

/// Says what is wrong with the results of `variant`, if anything is.
fn compare_units(
    memory: &mut DeviceMemory,
    gemm: &Gemm,
    key: &str,
    variant: &str,
) -> Result<Option<String>, EngineError> {
    let op = Op::Gemm(*gemm);
    let usual = gemm.variants(memory.gpu().capabilities()).first().copied().unwrap_or_default();
    let mut run = |name: &str, sample: &[(BufferId, Vec<u32>)]| {
        memory.choose(key.to_owned(), name.to_owned());
        let launches = memory.prepare(std::slice::from_ref(&op), true)?;
        reset(memory, &op)?;
        sample.iter().try_for_each(|(id, content)| memory.write(*id, content))?;
        memory.run(&launches)?;
        let words = memory.read(gemm.out)?;
        Ok::<Vec<f32>, EngineError>(words.into_iter().map(f32::from_bits).collect())
    };
    let sample = gemm.sample();
    let (right, own) = (run(usual, &sample)?, run(variant, &sample)?);
    let mut sizes = sample;
    for (id, words) in &mut sizes {
        if *id == gemm.a.buffer || *id == gemm.b.buffer {
            words.iter_mut().for_each(|w| *w &= 0x7f7f_7f7f);
        }
    }
    Ok(too_far(&right, &own, &run(usual, &sizes)?, gemm.k))
}

/// The first of `own` that is further from `right` than sums of `k` products may be apart whatever their
/// order, also where the units cut off what they do not round; `sizes` are the sums of the products'
/// absolute values.
fn too_far(right: &[f32], own: &[f32], sizes: &[f32], k: u32) -> Option<String> {
    let of_size = 4.0 * f64::from(k + 8) / f64::from(1u32 << 24);
    let off = |((&right, &own), &size): ((&f32, &f32), &f32)| {
        // No number is within reach of what is no number.
        let near = (f64::from(right) - f64::from(own)).abs() <= of_size * f64::from(size);
        (!near).then(|| format!("{own} in the place of {right}, sizes adding up to {size}"))
    };
    right.iter().zip(own).zip(sizes).find_map(off)
}

/// Results and seconds of one call.
type Outcome = Result<(Vec<Vec<u32>>, f64), String>;

fn try_variant(memory: &mut DeviceMemory, op: &Op) -> Result<(Vec<Vec<u32>>, f64), EngineError> {
    let launches = memory.prepare(std::slice::from_ref(op), true)?;
    let timed = |calls: usize| {
        let begin = Instant::now();
        memory.gpu().submit(|encoder| {
            for _ in 0..calls {
                super::device_memory::record(encoder, &launches);
            }
        })?;
        memory.gpu().wait()?;
        Ok::<_, EngineError>(begin.elapsed().as_secs_f64() / calls as f64)
    };
    reset(memory, op)?;
    // The first call also pays for warming up.
    let mut best = timed(1)?;
    let results = results(memory, op)?;
    if best < SAMPLE.as_secs_f64() * 50.0 {
        for _ in 0..SAMPLES {
            let calls = (SAMPLE.as_secs_f64() / best.max(1e-9)).clamp(1.0, MOST_CALLS) as usize;
            best = best.min(timed(calls)?);
        }
    }
    Ok((results, best))
}

/// The fastest of those that have the bits of the first.
fn choose(outcomes: Vec<(String, Outcome)>) -> Choice {
    let usual = outcomes.first().and_then(|(_, o)| o.as_ref().ok()).map(|(bits, _)| bits.clone());
    let mut choice = Choice {
        chosen: outcomes.first().map(|(name, _)| name.clone()).unwrap_or_default(),
        microseconds: BTreeMap::new(),
        unusable: BTreeMap::new(),
    };
    let mut best = f64::INFINITY;
    for (name, outcome) in outcomes {
        match outcome {
            Err(why) => {
                choice.unusable.insert(name, why);
            }
            Ok((bits, _)) if usual.as_ref().is_some_and(|usual| *usual != bits) => {
                let why = "it computes other bits than the usual one on this device";
                choice.unusable.insert(name, why.to_owned());
            }
            Ok((_, seconds)) => {
                choice.microseconds.insert(name.clone(), (seconds * 1e7).round() / 10.0);
                // Where the usual one failed nothing says what the right bits are.
                if usual.is_some() && seconds < best {
                    (best, choice.chosen) = (seconds, name);
                }
            }
        }
    }
    choice
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(name: &str, bits: u32, seconds: f64) -> (String, Outcome) {
        (name.to_owned(), Ok((vec![vec![bits]], seconds)))
    }

    #[test]
    fn the_fastest_with_the_right_bits_is_chosen() {
        let choice =
            choose(vec![outcome("a", 1, 3e-3), outcome("b", 1, 1e-3), outcome("c", 1, 2e-3)]);
        assert_eq!((choice.chosen.as_str(), choice.microseconds["b"]), ("b", 1000.0));
        assert!(choice.unusable.is_empty());

        // Faster, but wrong by a bit.
        let choice =
            choose(vec![outcome("a", 1, 3e-3), outcome("b", 0, 1e-3), outcome("c", 1, 2e-3)]);
        assert_eq!(choice.chosen, "c");
        assert!(choice.unusable["b"].contains("other bits"));
        assert!(!choice.microseconds.contains_key("b"));

        let broken = ("b".to_owned(), Err("does not compile".to_owned()));
        let choice = choose(vec![outcome("a", 1, 3e-3), broken.clone()]);
        assert_eq!((choice.chosen.as_str(), choice.unusable.len()), ("a", 1));
        let choice = choose(vec![broken, outcome("a", 1, 3e-3)]);
        assert_eq!(choice.chosen, "b");
    }

    #[test]
    fn results_of_matrix_units_may_differ_in_the_last_bits_only() {
        let (right, sizes) = ([1.0, -20.0], [8.0, 30.0]);
        assert_eq!(too_far(&right, &right, &sizes, 16), None);
        assert_eq!(too_far(&right, &[1.0 + 8e-6, -20.0], &sizes, 16), None);
        for wrong in [1.001, f32::NAN, f32::INFINITY] {
            let why = too_far(&right, &[wrong, -20.0], &sizes, 16).unwrap();
            assert!(why.contains(&wrong.to_string()), "{why}");
        }
        assert!(too_far(&right, &[1.0, 20.0], &sizes, 16).is_some());
    }

    #[test]
    fn real_gpus_are_measured_and_the_switch_is_followed() {
        for (said, software, expected) in [
            ("", false, true),
            ("", true, false),
            ("on", true, true),
            ("OFF", false, false),
            ("something", false, true),
        ] {
            assert_eq!(wanted(said, software), expected, "{said} {software}");
        }
    }
}

//! Quantise against a naive reimplementation of its rules, in f64 and one element at a time.

use fp8_studio::fp8::stats::{HISTOGRAM_MIN_EXPONENT, STAT_WORDS};
use fp8_studio::fp8::{AmaxAlgorithm, Format, TensorStats, hash};
use fp8_studio::kernels::quantise::{HISTORY_WORDS, Quantise, ScaleSource};
use fp8_studio::kernels::{BufferId, Op};

use super::{Backend, Memory, numbers, on_every_backend, step_words, wild};

/// Finite codes of a format with their values, by definition.
fn values(format: Format) -> Vec<f64> {
    let (mantissa_bits, bias, count) = match format {
        Format::E4M3 => (3, 7, 0x7f),
        Format::E5M2 => (2, 15, 0x7c),
    };
    let of = |code: i32| {
        let (e, m) = (code >> mantissa_bits, code & ((1 << mantissa_bits) - 1));
        let fraction = f64::from(m) / f64::from(1 << mantissa_bits);
        if e == 0 { fraction * 2f64.powi(1 - bias) } else { (1.0 + fraction) * 2f64.powi(e - bias) }
    };
    (0..count).map(of).collect()
}

/// What a call must give.
#[derive(Clone, Debug, PartialEq)]
struct Expected {
    bytes: Vec<u8>,
    exponents: Vec<i32>,
    stats: TensorStats,
}

struct Naive {
    format: Format,
    values: Vec<f64>,
    block: [usize; 2],
    margin: i32,
    /// Hash key, if stochastic.
    key: Option<u32>,
}

impl Naive {
    /// Smallest exponent with amax ≤ max · 2^exponent, by trying all; then the margin.
    fn exponent(&self, amax: f64) -> i32 {
        let largest = self.values[self.values.len() - 1];
        // The floor as an f32.
        let amax = amax.max(f64::from(1e-12f32));
        let fits = (-126..=127).find(|e| amax <= largest * 2f64.powi(*e));
        (fits.unwrap() + self.margin).clamp(-126, 126)
    }

    /// Code of `x` (not NaN), whose scale is 2^exponent; `index` is its place in the matrix.
    fn code(&self, x: f32, exponent: i32, index: usize) -> u8 {
        let sign = if x.is_sign_negative() { 0x80 } else { 0 };
        if x.abs() < f32::MIN_POSITIVE {
            return sign;
        }
        let v = f64::from(x).abs() * 2f64.powi(-exponent);
        let last = self.values.len() - 1;
        // Largest code at or below v.
        let low = self.values.iter().rposition(|known| *known <= v).unwrap_or(0);
        if low == last {
            return sign | last as u8;
        }
        let gap = self.values[low + 1] - self.values[low];
        let part = (v - self.values[low]) / gap;
        let up = match self.key {
            None => part > 0.5 || (part == 0.5 && low % 2 == 1),
            Some(key) => {
                // As many bits as the kernel adds below the kept mantissa: all that x has there.
                let bits = 23 - (f64::from(x).abs().log2().floor() as i32) + exponent;
                let bits = bits + gap.log2() as i32;
                let random = hash::bits(key, index as u32);
                if bits > 31 {
                    return sign;
                }
                let unit = 2f64.powi(bits);
                part + f64::from(random % 2u32.pow(bits as u32)) / unit >= 1.0
            }
        };
        sign | (low + usize::from(up)) as u8
    }

    fn run(&self, x: &[u32], [rows, cols]: [usize; 2], amax_for: impl Fn(f64) -> f64) -> Expected {
        let nan = if self.format == Format::E4M3 { 0x7f } else { 0x7e };
        let [block_rows, block_cols] = self.block;
        let [down, across] = [rows.div_ceil(block_rows), cols.div_ceil(block_cols)];
        let float = |r: usize, c: usize| f32::from_bits(x[r * cols + c]);
        let mut amax = vec![0f64; down * across];
        let place = |r: usize, c: usize| r / block_rows * across + c / block_cols;
        for r in 0..rows {
            for c in (0..cols).filter(|c| float(r, *c).is_finite()) {
                let own = &mut amax[place(r, c)];
                *own = own.max(f64::from(float(r, c).abs()));
            }
        }
        let exponents: Vec<i32> = amax.iter().map(|a| self.exponent(amax_for(*a))).collect();
        let stride = cols.div_ceil(4) * 4;
        let mut bytes = vec![0u8; rows * stride];
        let mut stats = TensorStats {
            amax: amax.iter().copied().fold(0.0, f64::max) as f32,
            scale_exponent: exponents.iter().copied().max().unwrap_or(0),
            count: (rows * cols) as u32,
            ..TensorStats::default()
        };
        let (mut signal, mut error) = (0f64, 0f64);
        for r in 0..rows {
            for c in 0..cols {
                let (x, e) = (float(r, c), exponents[place(r, c)]);
                let byte = &mut bytes[r * stride + c];
                if x.is_nan() {
                    stats.nan += 1;
                    *byte = if x.is_sign_negative() { 0x80 } else { 0 } | nan;
                    continue;
                }
                *byte = self.code(x, e, r * cols + c);
                let largest = self.values[self.values.len() - 1] * 2f64.powi(e);
                stats.saturated += u32::from(f64::from(x).abs() > largest);
                if x == 0.0 || x.is_infinite() {
                    continue;
                }
                let magnitude = usize::from(*byte & 0x7f);
                stats.flushed += u32::from(magnitude == 0);
                let first_normal = if self.format == Format::E4M3 { 8 } else { 4 };
                stats.subnormal += u32::from(magnitude > 0 && magnitude < first_normal);
                let bin = f64::from(x).abs().log2().floor() as i32 - HISTOGRAM_MIN_EXPONENT;
                stats.histogram[bin.clamp(0, 63) as usize] += 1;
                signal += f64::from(x).powi(2);
                let near = self.values[magnitude] * 2f64.powi(e);
                error += (f64::from(x).abs() - near).powi(2);
            }
        }
        (stats.signal, stats.error) = (signal as f32, error as f32);
        Expected { bytes, exponents, stats }
    }
}

/// Everything equal, the two energies within what f32 sums allow.
fn compare(got: &Expected, want: &Expected) -> Result<(), String> {
    if let Some(i) = (0..want.bytes.len()).find(|&i| got.bytes.get(i) != want.bytes.get(i)) {
        let pair = (got.bytes.get(i), want.bytes.get(i));
        return Err(format!("byte {i}: {pair:02x?}"));
    }
    if got.exponents != want.exponents {
        return Err(format!("exponents {:?}, not {:?}", got.exponents, want.exponents));
    }
    for (name, got, want) in [
        ("signal", got.stats.signal, want.stats.signal),
        ("error", got.stats.error, want.stats.error),
    ] {
        let near = (got - want).abs() <= 1e-5 * want.abs();
        if got != want && !near {
            return Err(format!("{name} {got:e}, not {want:e}"));
        }
    }
    let (signal, error) = (want.stats.signal, want.stats.error);
    let stats = TensorStats { signal, error, ..got.stats.clone() };
    if stats == want.stats { Ok(()) } else { Err(format!("{stats:?}, not {:?}", want.stats)) }
}

/// Numbers as activations have them.
fn tame(len: usize, salt: u32) -> Vec<u32> {
    numbers(len, salt).iter().map(|v| (v * v * v).to_bits()).collect()
}

const WATCH: u32 = 1;

fn setup(shape: [usize; 2], block: [usize; 2], format: Format, x: &[u32]) -> (Memory, Quantise) {
    let mut memory = Memory::new();
    let [rows, cols] = shape.map(|n| n as u32);
    let blocks = shape[0].div_ceil(block[0]) * shape[1].div_ceil(block[1]);
    let op = Quantise {
        input: memory.words(x),
        packed: memory.out(shape[0] * shape[1].div_ceil(4)),
        scales: memory.out(blocks),
        rows,
        cols,
        block_rows: block[0] as u32,
        block_cols: block[1] as u32,
        format,
        source: ScaleSource::Current,
        margin: 0,
        stochastic: false,
        watch: Some(WATCH),
        stats: memory.words(&[7; 3 * STAT_WORDS]),
        step: memory.step(5, shape[0]),
        first_row: 0,
        all_rows: rows,
    };
    (memory, op)
}

fn naive(op: &Quantise, step: u32) -> Naive {
    let stream = hash::ROUNDING_STREAM + op.watch.unwrap_or(hash::UNWATCHED);
    Naive {
        format: op.format,
        values: values(op.format),
        block: [op.block_rows, op.block_cols].map(|n| n as usize),
        margin: op.margin as i32,
        key: op.stochastic.then(|| hash::key(42, step, stream)),
    }
}

fn found(memory: &Memory, op: &Quantise) -> Expected {
    let stats = memory.get(op.stats);
    Expected {
        bytes: bytemuck::cast_slice(memory.get(op.packed)).to_vec(),
        exponents: memory.get(op.scales).iter().map(|e| *e as i32).collect(),
        stats: TensorStats::from_words(&stats[WATCH as usize * STAT_WORDS..]).unwrap(),
    }
}

fn check(backend: &mut dyn Backend, memory: &mut Memory, op: &Quantise, x: &[u32]) {
    memory.run(backend, &Op::Quantise(*op));
    let want = naive(op, 5).run(x, [op.rows as usize, op.cols as usize], |a| a);
    if let Err(what) = compare(&found(memory, op), &want) {
        panic!("{} {op:?}: {what}", backend.name());
    }
    // The neighbours' statistics are left alone.
    let stats = memory.get(op.stats);
    assert!(stats[..STAT_WORDS].iter().chain(&stats[2 * STAT_WORDS..]).all(|w| *w == 7));
}

const SHAPES: [[usize; 2]; 16] = [
    [0, 5],
    [5, 0],
    [1, 1],
    [1, 2],
    [1, 3],
    [3, 4],
    [5, 7],
    [1, 127],
    [2, 128],
    [3, 129],
    [257, 1],
    [17, 65],
    [63, 33],
    [127, 255],
    [129, 257],
    [3, 20_001],
];

/// Whole matrix, row, and the blocks of the recipes.
fn block_shapes([rows, cols]: [usize; 2]) -> [[usize; 2]; 5] {
    [[rows.max(1), cols.max(1)], [1, cols.max(1)], [1, 128], [128, 128], [1, 32]]
}

#[test]
fn every_block_shape_and_rounding() {
    on_every_backend(|backend| {
        for (i, shape) in SHAPES.into_iter().enumerate() {
            for block in block_shapes(shape) {
                for format in Format::ALL {
                    let len = shape[0] * shape[1];
                    let x = if i % 2 == 0 { wild(len, 1) } else { tame(len, 2) };
                    let (mut memory, mut op) = setup(shape, block, format, &x);
                    check(backend, &mut memory, &op, &x);
                    op.stochastic = true;
                    op.margin = 2;
                    check(backend, &mut memory, &op, &x);
                }
            }
        }
    });
}

#[test]
fn wild_numbers_of_ordinary_size() {
    on_every_backend(|backend| {
        for format in Format::ALL {
            for block in block_shapes([100, 300]) {
                for (salt, stochastic) in [(1, false), (2, true), (3, false), (4, true)] {
                    let x = wild(30_000, salt);
                    let (mut memory, mut op) = setup([100, 300], block, format, &x);
                    op.stochastic = stochastic;
                    check(backend, &mut memory, &op, &x);
                }
            }
        }
    });
}

#[test]
fn a_large_matrix() {
    on_every_backend(|backend| {
        let x = tame(601 * 1003, 3);
        for block in [[601, 1003], [1, 128], [128, 128]] {
            let (mut memory, op) = setup([601, 1003], block, Format::E4M3, &x);
            check(backend, &mut memory, &op, &x);
        }
    });
}

#[test]
fn unwatched_tensors_and_sparing_statistics_give_the_same_bytes() {
    on_every_backend(|backend| {
        for stochastic in [false, true] {
            let x = wild(37 * 41, 9);
            let (mut memory, mut op) = setup([37, 41], [1, 32], Format::E5M2, &x);
            op.stochastic = stochastic;
            check(backend, &mut memory, &op, &x);
            let full = found(&memory, &op);
            // Only amax, scale and count without the full statistics.
            memory.full_stats = false;
            memory.run(backend, &Op::Quantise(op));
            let spare = found(&memory, &op);
            assert_eq!((&spare.bytes, &spare.exponents), (&full.bytes, &full.exponents));
            let TensorStats { amax, scale_exponent, count, .. } = full.stats;
            let want = TensorStats { amax, scale_exponent, count, ..TensorStats::default() };
            assert_eq!(spare.stats, want);
            op.watch = None;
            memory.set(op.stats, &[7; 3 * STAT_WORDS]);
            memory.run(backend, &Op::Quantise(op));
            assert!(memory.get(op.stats).iter().all(|w| *w == 7));
            let want = naive(&op, 5).run(&x, [37, 41], |a| a);
            let bytes: &[u8] = bytemuck::cast_slice(memory.get(op.packed));
            assert_eq!(bytes, want.bytes);
            // The stream of random bits is another one.
            assert_eq!(bytes == full.bytes, !stochastic);
        }
    });
}

#[test]
fn delayed_scales_follow_the_history() {
    let factors = [1.0, 8.0, 64.0, 0.5, 0.25, 300.0, 1e-3, 1e-3, 2.0, 0.0, 5.0];
    for (algorithm, length) in [
        (AmaxAlgorithm::Max, 1),
        (AmaxAlgorithm::Max, 3),
        (AmaxAlgorithm::Max, 1024),
        (AmaxAlgorithm::MostRecent, 1),
        (AmaxAlgorithm::MostRecent, 4),
        (AmaxAlgorithm::First, 4),
    ] {
        on_every_backend(|backend| {
            let (mut memory, mut op) = setup([13, 33], [13, 33], Format::E4M3, &tame(13 * 33, 0));
            let history: BufferId = memory.words(&[0; 3 * HISTORY_WORDS]);
            op.source = ScaleSource::Delayed { history, length, algorithm };
            let mut recorded: Vec<f64> = Vec::new();
            let (mut saturated, mut exponents) = (0, Vec::new());
            for (i, factor) in factors.into_iter().enumerate() {
                let step = i as u32 + 1;
                let x: Vec<u32> =
                    numbers(13 * 33, step).iter().map(|v| (v * factor).to_bits()).collect();
                memory.set(op.input, &x);
                memory.set(op.step, &step_words(step, 13));
                op.stochastic = step.is_multiple_of(2);
                memory.run(backend, &Op::Quantise(op));
                let amax_for = |live: f64| {
                    let past = match algorithm {
                        AmaxAlgorithm::Max => {
                            let last = recorded.iter().rev().take(length as usize);
                            last.fold(0.0, |m: f64, v| m.max(*v))
                        }
                        AmaxAlgorithm::MostRecent => recorded.last().copied().unwrap_or(0.0),
                        AmaxAlgorithm::First => {
                            recorded.iter().copied().find(|a| *a != 0.0).unwrap_or(0.0)
                        }
                    };
                    if past == 0.0 { live } else { past }
                };
                let want = naive(&op, step).run(&x, [13, 33], amax_for);
                let got = found(&memory, &op);
                compare(&got, &want).unwrap_or_else(|e| panic!("{algorithm:?} {length} {i}: {e}"));
                saturated += got.stats.saturated;
                exponents.push(got.exponents[0]);
                recorded.push(f64::from(got.stats.amax));
            }
            exponents.dedup();
            let moved = exponents.len() > 2;
            // The first scale is for good.
            let frozen = algorithm == AmaxAlgorithm::First;
            assert!(moved != frozen && saturated > 0, "{exponents:?} {saturated}");
            // Only this tensor's part of the history is written.
            let all = memory.get(history);
            let own = WATCH as usize * HISTORY_WORDS..(WATCH as usize + 1) * HISTORY_WORDS;
            assert!(all[..own.start].iter().chain(&all[own.end..]).all(|w| *w == 0));
        });
    }
}

#[test]
fn every_planted_difference_is_noticed() {
    let x = wild(17 * 65, 3);
    let (_, op) = setup([17, 65], [1, 32], Format::E4M3, &x);
    let want = naive(&op, 5).run(&x, [17, 65], |a| a);
    let plant = |change: &dyn Fn(&mut Expected)| {
        let mut got = want.clone();
        change(&mut got);
        assert!(compare(&got, &want).is_err(), "{:?}", got.stats);
    };
    assert_eq!(compare(&want, &want), Ok(()));
    plant(&|e| e.bytes[100] ^= 1);
    plant(&|e| e.bytes[100] ^= 0x80);
    plant(&|e| e.bytes.truncate(1000));
    plant(&|e| e.exponents[7] += 1);
    plant(&|e| e.stats.amax *= 1.000_001);
    plant(&|e| e.stats.scale_exponent += 1);
    plant(&|e| e.stats.count += 1);
    plant(&|e| e.stats.saturated += 1);
    plant(&|e| e.stats.flushed += 1);
    plant(&|e| e.stats.subnormal += 1);
    plant(&|e| e.stats.nan += 1);
    plant(&|e| e.stats.signal *= 1.001);
    plant(&|e| e.stats.error *= 0.999);
    plant(&|e| e.stats.error = f32::NAN);
    plant(&|e| e.stats.histogram[20] += 1);
    // A kernel with another rule gives something else.
    on_every_backend(|backend| {
        let run = |backend: &mut dyn Backend, op: Quantise| {
            let (mut memory, _) = setup([17, 65], [1, 32], Format::E4M3, &x);
            memory.run(backend, &Op::Quantise(op));
            compare(&found(&memory, &op), &want)
        };
        assert_eq!(run(backend, op), Ok(()));
        run(backend, Quantise { margin: 1, ..op }).unwrap_err();
        run(backend, Quantise { stochastic: true, ..op }).unwrap_err();
        run(backend, Quantise { format: Format::E5M2, ..op }).unwrap_err();
    });
}

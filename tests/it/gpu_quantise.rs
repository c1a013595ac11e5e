//! Quantise on the GPU against its native twin: identical bytes, scales, counts and history.

use fp8_studio::fp8::stats::STAT_WORDS;
use fp8_studio::fp8::{AmaxAlgorithm, Format};
use fp8_studio::kernels::quantise::{HISTORY_WORDS, Quantise, ScaleSource};
use fp8_studio::kernels::{BufferId, Op};

use crate::pair::{Layout, Pair, gpu, step_words, wild};

struct Setup {
    pair: Pair,
    op: Quantise,
}

fn setup(
    gpu: fp8_studio::device::Gpu,
    [rows, cols]: [u32; 2],
    [block_rows, block_cols]: [u32; 2],
    format: Format,
    watch: Option<u32>,
    input: &[u32],
) -> Setup {
    let mut layout = Layout::default();
    let words = (rows * cols.div_ceil(4)) as usize;
    let blocks = rows.div_ceil(block_rows) * cols.div_ceil(block_cols);
    let op = Quantise {
        input: layout.words(input),
        packed: layout.out(words),
        scales: layout.out(blocks as usize),
        rows,
        cols,
        block_rows,
        block_cols,
        format,
        source: ScaleSource::Current,
        margin: 0,
        stochastic: false,
        watch,
        stats: layout.out(3 * STAT_WORDS),
        step: layout.step(1, rows),
        first_row: 0,
        all_rows: rows,
    };
    // History of three tensors, empty.
    layout.words(&vec![0; 3 * HISTORY_WORDS]);
    Setup { pair: layout.pair(gpu), op }
}

/// History buffer of a setup.
const HISTORY: BufferId = BufferId(5);

fn check(s: &mut Setup) {
    assert_eq!(s.pair.run_variants(&Op::Quantise(s.op)).unwrap(), 2);
}

const SHAPES: [[u32; 2]; 14] = [
    [0, 5],
    [5, 0],
    [1, 1],
    [1, 3],
    [3, 4],
    [5, 7],
    [1, 255],
    [1, 256],
    [1, 257],
    [255, 1],
    [17, 65],
    [64, 100],
    [3, 1021],
    [40, 130],
];

#[test]
fn current_scales_give_identical_bytes_and_counts() {
    let mut gpu = gpu();
    for shape in SHAPES {
        for format in Format::ALL {
            for watch in [None, Some(2)] {
                let input = wild((shape[0] * shape[1]) as usize, shape[1]);
                let whole = shape.map(|n| n.max(1));
                let mut s = setup(gpu, shape, whole, format, watch, &input);
                check(&mut s);
                s.op.stochastic = true;
                s.op.margin = 3;
                check(&mut s);
                gpu = s.pair.into_gpu();
            }
        }
    }
}

#[test]
fn blocks_give_identical_bytes_scales_and_counts() {
    let mut gpu = gpu();
    for shape in SHAPES {
        for block in [[1, 32], [1, shape[1].max(1)], [16, 16], [3, 5], [1, 128], [128, 128]] {
            let input = wild((shape[0] * shape[1]) as usize, block[1]);
            for (format, watch) in [(Format::E4M3, Some(0)), (Format::E5M2, None)] {
                let mut s = setup(gpu, shape, block, format, watch, &input);
                check(&mut s);
                gpu = s.pair.into_gpu();
            }
        }
    }
}

#[test]
fn delayed_scales_follow_the_same_history() {
    let mut gpu = gpu();
    for format in Format::ALL {
        for algorithm in [AmaxAlgorithm::Max, AmaxAlgorithm::MostRecent, AmaxAlgorithm::First] {
            for length in [1, 3, 1024] {
                let shape = [13, 33];
                let mut s = setup(gpu, shape, shape, format, Some(1), &wild(13 * 33, 0));
                s.op.source = ScaleSource::Delayed { history: HISTORY, length, algorithm };
                let mut exponents = Vec::new();
                for step in 1..=7u32 {
                    // Magnitudes rise and fall, so that old scales saturate and flush.
                    let factor = [1.0, 8.0, 64.0, 0.5, 0.25, 300.0, 1e-3][step as usize - 1];
                    let input: Vec<u32> = crate::pair::numbers(13 * 33, step)
                        .iter()
                        .map(|v| (v * factor).to_bits())
                        .collect();
                    s.pair.write(s.op.input, &input);
                    s.pair.write(s.op.step, &step_words(step, 13));
                    s.op.stochastic = step % 2 == 0;
                    s.pair.slots.full_stats = step != 4;
                    check(&mut s);
                    exponents.push(s.pair.slots.words(s.op.scales)[0] as i32);
                }
                exponents.dedup();
                let frozen = algorithm == AmaxAlgorithm::First;
                let want = if frozen { 1..=1 } else { 3..=7 };
                assert!(want.contains(&exponents.len()), "{algorithm:?}: {exponents:?}");
                gpu = s.pair.into_gpu();
            }
        }
    }
}

#[test]
fn rows_quantised_a_few_at_a_time_give_the_bytes_of_one_call() {
    const CUTS: [u32; 4] = [0, 64, 69, 70];
    let mut gpu = gpu();
    for cols in [1, 33, 130] {
        let all_rows = CUTS[3];
        let input = wild((all_rows * cols) as usize, cols);
        for (block, stochastic) in
            [([all_rows, cols], false), ([1, cols], true), ([1, 32], false), ([1, 128], false)]
        {
            let single = block[0] == all_rows;
            // The last tensor of three, whose scale comes from earlier steps if there is one scale.
            let make = |gpu, rows: u32, from: u32| {
                let part = &input[(from * cols) as usize..((from + rows) * cols) as usize];
                let mut s = setup(gpu, [rows, cols], block, Format::E4M3, Some(2), part);
                if single {
                    let (length, algorithm) = (3, AmaxAlgorithm::Max);
                    s.op.source = ScaleSource::Delayed { history: HISTORY, length, algorithm };
                }
                s.op.stochastic = stochastic;
                let mut history = vec![0; 3 * HISTORY_WORDS];
                history[2 * HISTORY_WORDS + 1] = 7f32.to_bits();
                s.pair.write(HISTORY, &history);
                s
            };
            let read = |s: &Setup| {
                let slots = &s.pair.slots;
                let stats = slots.words(s.op.stats)[2 * STAT_WORDS..3 * STAT_WORDS].to_vec();
                let packed = slots.words(s.op.packed)[..s.op.packed_words()].to_vec();
                let scales = slots.words(s.op.scales)[..s.op.blocks()].to_vec();
                (packed, scales, stats, slots.words(HISTORY).to_vec())
            };
            let mut s = make(gpu, all_rows, 0);
            check(&mut s);
            let whole = read(&s);
            gpu = s.pair.into_gpu();

            let (mut packed, mut scales) = (Vec::new(), Vec::new());
            type Before = (Vec<u32>, Vec<u32>, Vec<u32>);
            let mut before: Option<Before> = None;
            for cut in CUTS.windows(2) {
                let mut s = make(gpu, cut[1] - cut[0], cut[0]);
                (s.op.first_row, s.op.all_rows) = (cut[0], all_rows);
                if let Some((stats, history, scale)) = before.take() {
                    s.pair.write(s.op.stats, &stats);
                    s.pair.write(HISTORY, &history);
                    if single {
                        s.pair.write(s.op.scales, &scale);
                    }
                }
                check(&mut s);
                let (own, exponents, _, history) = read(&s);
                packed.extend(own);
                if single {
                    scales = exponents.clone();
                } else {
                    scales.extend(&exponents);
                }
                let stats = s.pair.slots.words(s.op.stats)[..3 * STAT_WORDS].to_vec();
                before = Some((stats, history[..3 * HISTORY_WORDS].to_vec(), exponents));
                gpu = s.pair.into_gpu();
            }
            let (stats, history, _) = before.unwrap();
            assert_eq!(packed, whole.0, "{cols} {block:?}");
            assert_eq!(scales, whole.1, "{cols} {block:?}");
            let mut stats = stats[2 * STAT_WORDS..].to_vec();
            // Energies are sums of f32, in another order.
            for word in [7, 8] {
                let (a, b) = (f32::from_bits(stats[word]), f32::from_bits(whole.2[word]));
                assert!((a - b).abs() <= 1e-5 * b.abs() || a.to_bits() == b.to_bits(), "{a} {b}");
                stats[word] = whole.2[word];
            }
            assert_eq!(stats, whole.2, "{cols} {block:?}");
            assert_eq!(history, whole.3[..3 * HISTORY_WORDS], "{cols} {block:?}");
        }
    }
}

#[test]
fn an_amax_gathered_from_parts_gives_the_bytes_of_one_call() {
    const CUTS: [u32; 4] = [0, 64, 69, 70];
    let mut gpu = gpu();
    for (cols, watch) in [(1, Some(2)), (33, Some(0)), (130, None)] {
        let (all_rows, from_stats) = (CUTS[3], watch.unwrap_or(0) as usize * STAT_WORDS);
        let input = wild((all_rows * cols) as usize, cols);
        let part = |cut: &[u32]| &input[(cut[0] * cols) as usize..(cut[1] * cols) as usize];
        let mut s = setup(gpu, [all_rows, cols], [all_rows, cols], Format::E5M2, watch, &input);
        s.op.stochastic = true;
        check(&mut s);
        let whole = s.pair.slots.words(s.op.packed)[..s.op.packed_words()].to_vec();
        let scale = s.pair.slots.words(s.op.scales)[0];
        let stats = s.pair.slots.words(s.op.stats)[from_stats..from_stats + STAT_WORDS].to_vec();
        // The same memory takes the parts one after the other.
        let mut packed: Vec<u32> = Vec::new();
        for source in [ScaleSource::Gather, ScaleSource::Gathered] {
            for cut in CUTS.windows(2) {
                s.pair.write(s.op.input, part(cut));
                s.op.rows = cut[1] - cut[0];
                (s.op.first_row, s.op.all_rows, s.op.source) = (cut[0], all_rows, source);
                check(&mut s);
                if source == ScaleSource::Gathered {
                    packed.extend(&s.pair.slots.words(s.op.packed)[..s.op.packed_words()]);
                } else if cut[1] < all_rows {
                    // Not yet a scale, but the bits of the amax so far.
                    let most = part(&[0, cut[1]]).iter().map(|b| b & 0x7fff_ffff);
                    let most = most.filter(|a| *a < 0x7f80_0000).max().unwrap_or(0);
                    assert_eq!(s.pair.slots.words(s.op.scales)[0], most);
                }
            }
        }
        assert_eq!(packed, whole, "{cols}");
        assert_eq!(s.pair.slots.words(s.op.scales)[0], scale);
        if watch.is_some() {
            let own = &s.pair.slots.words(s.op.stats)[from_stats..from_stats + STAT_WORDS];
            // All but the energies, which are sums in another order.
            assert_eq!([&own[..7], &own[9..]].concat(), [&stats[..7], &stats[9..]].concat());
        }
        gpu = s.pair.into_gpu();
    }
}

#[test]
fn more_groups_than_one_dimension_holds() {
    // A block, and so a group, per row.
    let rows = 65_535 + 70;
    let input = wild(rows as usize * 129, 5);
    let mut s = setup(gpu(), [rows, 129], [1, 129], Format::E4M3, Some(0), &input);
    check(&mut s);
}

#[test]
fn a_large_matrix_uses_all_partial_results() {
    let shape = [1100, 1031];
    let input = wild(1100 * 1031, 6);
    let mut s = setup(gpu(), shape, shape, Format::E5M2, Some(0), &input);
    check(&mut s);
}

#[test]
fn leaving_statistics_out_changes_no_byte() {
    let mut gpu = gpu();
    for block in [[9, 50], [1, 32]] {
        let mut s = setup(gpu, [9, 50], block, Format::E4M3, Some(2), &wild(450, 1));
        check(&mut s);
        let packed = s.pair.memory.read(s.op.packed).unwrap();
        s.pair.slots.full_stats = false;
        check(&mut s);
        assert_eq!(s.pair.memory.read(s.op.packed).unwrap(), packed);
        gpu = s.pair.into_gpu();
    }
}

#[test]
fn a_wrong_step_or_amax_is_noticed() {
    let shape = [16, 16];
    let mut s = setup(gpu(), shape, shape, Format::E4M3, Some(0), &wild(256, 2));
    s.op.stochastic = true;
    check(&mut s);
    // Another step gives other random bits.
    s.pair.memory.write(s.op.step, &step_words(2, 16)).unwrap();
    let error = s.pair.run(&Op::Quantise(s.op)).unwrap_err();
    assert!(error.contains("buffer 1 "), "{error}");

    let mut s = setup(s.pair.into_gpu(), shape, shape, Format::E4M3, Some(0), &wild(256, 2));
    s.pair.memory.write(s.op.input, &[1e30f32.to_bits()]).unwrap();
    assert!(s.pair.run(&Op::Quantise(s.op)).is_err());
}

//! Gemm against f64 products of the decoded operands.

use fp8_studio::fp8::{Format, hash};
use fp8_studio::kernels::Op;
use fp8_studio::kernels::gemm::{Gemm, Operand, Storage, blocks};

use super::{Backend, Memory, ROUNDING, close, numbers, on_every_backend, slopes, wide};

/// How a test stores an operand.
#[derive(Clone, Copy, Debug)]
enum Store {
    F32,
    Tensor(Format),
    Row(Format),
    Block(Format, u32, u32),
}

/// f32, and every block shape that a recipe uses.
const STORES: [Store; 7] = [
    Store::F32,
    Store::Tensor(Format::E4M3),
    Store::Tensor(Format::E5M2),
    Store::Row(Format::E4M3),
    Store::Block(Format::E4M3, 1, 128),
    Store::Block(Format::E4M3, 128, 128),
    Store::Block(Format::E5M2, 1, 32),
];

/// A stored matrix and the values it stands for.
fn operand(
    memory: &mut Memory,
    store: Store,
    [rows, cols]: [u32; 2],
    transpose: bool,
    salt: u32,
) -> (Operand, Vec<f64>) {
    let (format, block_rows, block_cols) = match store {
        Store::F32 => {
            let values = numbers((rows * cols) as usize, salt);
            let buffer = memory.f32(&values);
            return (Operand::f32(buffer, rows, cols, transpose), wide(&values));
        }
        Store::Tensor(format) => (format, rows, cols),
        Store::Row(format) => (format, 1, cols),
        Store::Block(format, r, c) => (format, r, c),
    };
    let key = hash::key(salt, 5, 6);
    let per_row = cols.div_ceil(block_cols.max(1)).max(1);
    // Scales differ much from block to block, so that a wrong one shows.
    let exponents: Vec<i32> = (0..blocks(rows, cols, block_rows, block_cols) as u32)
        .map(|i| (hash::bits(key, i) % 9) as i32 - 6)
        .collect();
    let mut values = Vec::new();
    let mut bytes = vec![0u8; (rows * cols.div_ceil(4) * 4) as usize];
    for r in 0..rows {
        for c in 0..cols {
            let h = hash::bits(!key, r * cols + c);
            // Any finite code, E5M2 without its largest ones, whose products reach 2^31.
            let code = (h % if format == Format::E4M3 { 0x7f } else { 0x50 }) as u8;
            let code = code | (h >> 24 & 0x80) as u8;
            bytes[(r * cols.div_ceil(4) * 4 + c) as usize] = code;
            let exponent = exponents[(r / block_rows * per_row + c / block_cols) as usize];
            values.push(f64::from(format.decode(code)) * 2f64.powi(exponent));
        }
    }
    let words: Vec<u32> = exponents.iter().map(|e| *e as u32).collect();
    let storage = Storage::Fp8 { format, scales: memory.words(&words), block_rows, block_cols };
    let packed: Vec<u32> =
        bytes.as_chunks::<4>().0.iter().map(|four| u32::from_le_bytes(*four)).collect();
    let buffer = memory.words(&packed);
    (Operand { buffer, storage, rows, cols, transpose }, values)
}

/// Exact product, and the sum of absolute products, which bounds what rounding may do.
fn product(op: &Gemm, a: &[f64], b: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (m, n, k) = (op.m as usize, op.n as usize, op.k as usize);
    // Both with the inner index last, so that large shapes stay quick.
    let rows_of = |v: &[f64], outer: usize, inner_first: bool| -> Vec<f64> {
        if !inner_first {
            return v.to_vec();
        }
        (0..outer * k).map(|i| v[i % k * outer + i / k]).collect()
    };
    let (a, b) = (rows_of(a, m, op.a.transpose), rows_of(b, n, !op.b.transpose));
    let (mut sum, mut size) = (Vec::new(), Vec::new());
    for i in 0..m {
        for j in 0..n {
            let (a, b) = (&a[i * k..(i + 1) * k], &b[j * k..(j + 1) * k]);
            sum.push(a.iter().zip(b).map(|(x, y)| x * y).sum());
            size.push(a.iter().zip(b).map(|(x, y)| (x * y).abs()).sum());
        }
    }
    (sum, size)
}

struct Case {
    memory: Memory,
    op: Gemm,
    a: Vec<f64>,
    b: Vec<f64>,
}

fn case([m, n, k]: [u32; 3], stores: [Store; 2], transposes: [bool; 2]) -> Case {
    let mut memory = Memory::new();
    let a_shape = if transposes[0] { [k, m] } else { [m, k] };
    let b_shape = if transposes[1] { [n, k] } else { [k, n] };
    let (left, a) = operand(&mut memory, stores[0], a_shape, transposes[0], 1 + m);
    let (right, b) = operand(&mut memory, stores[1], b_shape, transposes[1], 2 + n);
    let out = memory.out((m * n) as usize);
    let op = Gemm { a: left, b: right, out, m, n, k, all_m: m };
    op.check().unwrap();
    Case { memory, op, a, b }
}

/// Runs `run` and compares with the product that `case` stands for.
fn check(backend: &mut dyn Backend, case: &mut Case, run: &Gemm) -> Result<(), String> {
    case.memory.run(backend, &Op::Gemm(*run));
    let (want, size) = product(&case.op, &case.a, &case.b);
    // Any order of f32 additions is within k roundings of the sum of absolute products; an order
    // that keeps many partial sums, as all do, is far closer.
    let per_unit = ROUNDING * (8.0 + f64::from(case.op.k).sqrt()) * backend.slack();
    close(case.memory.get_f32(run.out), &want, |i| per_unit * size[i])
}

const TRANSPOSES: [[bool; 2]; 4] = [[false, false], [false, true], [true, false], [true, true]];

fn check_all(shape: [u32; 3], stores: [Store; 2]) {
    for transposes in TRANSPOSES {
        on_every_backend(|backend| {
            let mut case = case(shape, stores, transposes);
            let op = case.op;
            if let Err(what) = check(backend, &mut case, &op) {
                panic!("{} {shape:?} {stores:?} {transposes:?}: {what}", backend.name());
            }
        });
    }
}

#[test]
fn every_pair_of_storages_and_transposes() {
    for a in STORES {
        for b in STORES {
            check_all([37, 29, 151], [a, b]);
        }
    }
}

#[test]
fn shapes_around_every_boundary() {
    let stores = [
        [Store::F32, Store::F32],
        [Store::Tensor(Format::E4M3), Store::Tensor(Format::E5M2)],
        [Store::Block(Format::E4M3, 1, 128), Store::Block(Format::E4M3, 128, 128)],
        [Store::F32, Store::Row(Format::E4M3)],
    ];
    for stores in stores {
        for shape in [
            [1, 1, 1],
            [1, 1, 2],
            [1, 5, 3],
            [5, 1, 4],
            [3, 3, 5],
            [1, 300, 1],
            [300, 1, 1],
            [1, 1, 1000],
            [15, 17, 31],
            [16, 16, 32],
            [17, 15, 33],
            [63, 65, 127],
            [64, 64, 128],
            [65, 63, 129],
            [127, 129, 255],
            [129, 127, 257],
        ] {
            check_all(shape, stores);
        }
    }
}

#[test]
fn empty_shapes() {
    let fp8 = Store::Tensor(Format::E4M3);
    for shape in [[0, 3, 4], [3, 0, 4], [0, 0, 0], [3, 4, 0], [1, 1, 0]] {
        for stores in [[Store::F32, Store::F32], [fp8, fp8], [Store::Row(Format::E5M2), fp8]] {
            check_all(shape, stores);
        }
    }
}

#[test]
fn large_shapes() {
    let fp8 = Store::Tensor(Format::E4M3);
    let block = Store::Block(Format::E4M3, 1, 32);
    check_all([70, 90, 9001], [fp8, block]);
    check_all([259, 517, 785], [Store::Tensor(Format::E5M2), fp8]);
    check_all([130, 140, 5003], [Store::Row(Format::E4M3), Store::F32]);
    check_all([1, 3001, 401], [Store::F32, Store::F32]);
}

#[test]
fn codes_that_are_not_finite_reach_the_result() {
    on_every_backend(|backend| {
        for store in [Store::Tensor(Format::E4M3), Store::Tensor(Format::E5M2)] {
            let mut case = case([5, 6, 7], [store, Store::F32], [false, false]);
            let mut words = case.memory.get(case.op.a.buffer).to_vec();
            // Row 2 begins at word 4; 0x7f is a NaN in both formats.
            words[4] |= 0x7f;
            case.memory.set(case.op.a.buffer, &words);
            case.memory.run(backend, &Op::Gemm(case.op));
            let nan: Vec<bool> =
                case.memory.get_f32(case.op.out).iter().map(|v| v.is_nan()).collect();
            let want: Vec<bool> = (0..30).map(|i| i / 6 == 2).collect();
            assert_eq!(nan, want, "{}", backend.name());
        }
    });
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let good = case([3, 4, 5], [Store::F32, Store::F32], [false, true]).op;
    for bad in [
        Gemm { m: 4, ..good },
        Gemm { n: 3, ..good },
        Gemm { k: 6, ..good },
        Gemm { a: Operand { transpose: true, ..good.a }, ..good },
        Gemm { b: Operand { transpose: false, ..good.b }, ..good },
    ] {
        assert!(bad.check().is_err(), "{bad:?}");
    }
}

/// The three products of a dense layer `Y = X Wᵀ`: the two backward ones against finite
/// differences of `Σ c·Y`.
#[test]
fn backward_products_are_the_slopes_of_the_forward_product() {
    let (rows, inner, out) = (4u32, 5u32, 3u32);
    let x = numbers((rows * inner) as usize, 1);
    let w = numbers((out * inner) as usize, 2);
    let c = numbers((rows * out) as usize, 3);
    let loss = |x: &[f64], w: &[f64]| -> f64 {
        let at = |r: usize, o: usize| -> f64 {
            (0..inner as usize).map(|i| x[r * 5 + i] * w[o * 5 + i]).sum()
        };
        (0..12).map(|i| f64::from(c[i]) * at(i / 3, i % 3)).sum()
    };
    on_every_backend(|backend| {
        let mut memory = Memory::new();
        let dy = Operand::f32(memory.f32(&c), rows, out, false);
        let x_in = Operand::f32(memory.f32(&x), rows, inner, false);
        let w_in = Operand::f32(memory.f32(&w), out, inner, false);
        let dx = memory.out(x.len());
        let dw = memory.out(w.len());
        let dgrad = Gemm { a: dy, b: w_in, out: dx, m: rows, n: inner, k: out, all_m: rows };
        let turned = Operand { transpose: true, ..dy };
        let wgrad = Gemm { a: turned, b: x_in, out: dw, m: out, n: inner, k: rows, all_m: out };
        memory.run(backend, &Op::Gemm(dgrad));
        memory.run(backend, &Op::Gemm(wgrad));
        let dx_want = slopes(&x, |x| loss(x, &wide(&w)));
        let dw_want = slopes(&w, |w| loss(&wide(&x), w));
        close(memory.get_f32(dx), &dx_want, |_| 1e-6 * backend.slack()).unwrap();
        close(memory.get_f32(dw), &dw_want, |_| 1e-6 * backend.slack()).unwrap();
        close(memory.get_f32(dx), &dx_want, |_| 0.0).unwrap_err();
    });
}

#[test]
fn planted_faults_are_noticed() {
    let store = [Store::Block(Format::E4M3, 1, 32), Store::Tensor(Format::E4M3)];
    // Square, so that a wrong transpose still fits.
    on_every_backend(|backend| {
        let mut case = case([48, 48, 48], store, [false, true]);
        let good = case.op;
        check(backend, &mut case, &good).unwrap();
        let turned = Operand { transpose: false, ..good.b };
        assert!(check(backend, &mut case, &Gemm { b: turned, ..good }).is_err());
        // One inner column left out.
        let short = Operand { cols: 47, ..good.a };
        let b = Operand { cols: 47, ..good.b };
        assert!(check(backend, &mut case, &Gemm { a: short, b, k: 47, ..good }).is_err());
        // One scale off by one.
        let Storage::Fp8 { scales, .. } = good.a.storage else { panic!("not FP8") };
        let mut words = case.memory.get(scales).to_vec();
        words[57] = words[57].wrapping_add(1);
        case.memory.set(scales, &words);
        assert!(check(backend, &mut case, &good).is_err());
        words[57] = words[57].wrapping_sub(1);
        case.memory.set(scales, &words);
        // One code changed in its last bit.
        let mut words = case.memory.get(good.a.buffer).to_vec();
        words[100] ^= 1;
        case.memory.set(good.a.buffer, &words);
        assert!(check(backend, &mut case, &good).is_err());
    });
}

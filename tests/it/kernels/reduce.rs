//! Sums against f64.

use fp8_studio::kernels::Op;
use fp8_studio::kernels::reduce::{ColumnSum, Sum};

use super::{Backend, Memory, ROUNDING, close, gradient_bound, numbers, on_every_backend, slopes};

/// What rounding may do to a sum of `n` f32 of either sign, per unit of its absolute sum.
fn bound(n: usize) -> f64 {
    ROUNDING * (8.0 + (n.max(1) as f64).log2())
}

fn column_sums(
    backend: &mut dyn Backend,
    x: &[f32],
    [rows, cols]: [usize; 2],
    op_rows: usize,
) -> Result<(), String> {
    let mut memory = Memory::new();
    let out = memory.out(cols);
    let (rows_u, cols_u) = (op_rows as u32, cols as u32);
    let op = ColumnSum { x: memory.f32(x), out, rows: rows_u, cols: cols_u };
    memory.run(backend, &Op::ColumnSum(op));
    let column = |c: usize| (0..rows).map(move |r| f64::from(x[r * cols + c]));
    let want: Vec<f64> = (0..cols).map(|c| column(c).sum()).collect();
    let slack = backend.slack();
    close(memory.get_f32(out), &want, |c| {
        slack * bound(rows) * column(c).map(f64::abs).sum::<f64>()
    })
}

const SHAPES: [[usize; 2]; 14] = [
    [0, 5],
    [5, 0],
    [1, 1],
    [1, 7],
    [7, 1],
    [3, 64],
    [17, 65],
    [256, 63],
    [257, 255],
    [255, 257],
    [10_001, 3],
    [3, 20_001],
    [100_003, 1],
    [601, 1003],
];

#[test]
fn column_sums_of_all_shapes() {
    on_every_backend(|backend| {
        for [rows, cols] in SHAPES {
            let x = numbers(rows * cols, rows as u32);
            column_sums(backend, &x, [rows, cols], rows).unwrap();
        }
    });
}

#[test]
fn a_column_sum_without_its_last_row_is_noticed() {
    on_every_backend(|backend| {
        for shape in [[2, 1], [257, 255], [601, 1003]] {
            let x = numbers(shape[0] * shape[1], 4);
            column_sums(backend, &x, shape, shape[0]).unwrap();
            column_sums(backend, &x, shape, shape[0] - 1).unwrap_err();
        }
    });
}

/// A bias is added to every row, so its gradient is the column sum of the output's gradient.
#[test]
fn column_sum_is_the_slope_along_a_bias() {
    let (rows, cols) = (6, 5);
    let (bias, c) = (numbers(cols, 1), numbers(rows * cols, 2));
    let loss =
        |bias: &[f64]| -> f64 { (0..rows * cols).map(|i| f64::from(c[i]) * bias[i % cols]).sum() };
    let want = slopes(&bias, loss);
    on_every_backend(|backend| {
        let mut memory = Memory::new();
        let out = memory.out(cols);
        let op = ColumnSum { x: memory.f32(&c), out, rows: rows as u32, cols: cols as u32 };
        memory.run(backend, &Op::ColumnSum(op));
        close(memory.get_f32(out), &want, gradient_bound(&want)).unwrap();
    });
}

#[test]
fn sums_of_all_lengths() {
    on_every_backend(|backend| {
        for len in [0, 1, 2, 63, 64, 65, 255, 256, 257, 1000, 100_003] {
            let x = numbers(len, len as u32);
            let mut memory = Memory::new();
            let out = memory.out(1);
            let op = Sum { x: memory.f32(&x), out, len: len as u32 };
            memory.run(backend, &Op::Sum(op));
            let exact = |n: usize| [x[..n].iter().map(|v| f64::from(*v)).sum::<f64>()];
            let size: f64 = x.iter().map(|v| f64::from(v.abs())).sum();
            let allowed = bound(len) * size * backend.slack();
            close(memory.get_f32(out), &exact(len), |_| allowed).unwrap();
            // One element left out is noticed.
            if len > 0 && f64::from(x[len - 1].abs()) > 2.0 * allowed {
                close(memory.get_f32(out), &exact(len - 1), |_| allowed).unwrap_err();
            }
        }
    });
}

#[test]
fn not_a_number_reaches_the_sum() {
    on_every_backend(|backend| {
        let mut memory = Memory::new();
        let mut x = numbers(300, 1);
        x[299] = f32::NAN;
        let (sum, columns) = (memory.out(1), memory.out(100));
        let x = memory.f32(&x);
        memory.run(backend, &Op::Sum(Sum { x, out: sum, len: 300 }));
        memory.run(backend, &Op::ColumnSum(ColumnSum { x, out: columns, rows: 3, cols: 100 }));
        assert!(memory.get_f32(sum)[0].is_nan());
        let nan = memory.get_f32(columns).iter().map(|v| v.is_nan());
        assert!(nan.eq((0..100).map(|c| c == 99)));
    });
}

//! Look-up tables.

use fp8_studio::fp8::hash;
use fp8_studio::kernels::Op;
use fp8_studio::kernels::embedding::{Embed, EmbedBackward};

use super::{
    Backend, Memory, ROUNDING, close, gradient_bound, numbers, on_every_backend, slopes, wide,
};

#[derive(Clone, Copy, Debug)]
struct Shape {
    rows: usize,
    cardinality: usize,
    dim: usize,
    columns: usize,
    column: usize,
    offset: usize,
    width: usize,
}

const fn shape(rows: usize, cardinality: usize, dim: usize, offset: usize, width: usize) -> Shape {
    Shape { rows, cardinality, dim, columns: 3, column: 1, offset, width }
}

const SHAPES: [Shape; 8] = [
    shape(0, 4, 3, 0, 3),
    shape(1, 1, 1, 0, 1),
    shape(5, 4, 3, 2, 7),
    shape(7, 3, 0, 1, 3),
    shape(65, 100, 9, 0, 9),
    shape(257, 2, 5, 4, 9),
    shape(3, 1000, 33, 1, 40),
    shape(2003, 51, 17, 20, 37),
];

/// Indices, some of them past the table: those mean row 0.
fn categories(s: Shape) -> Vec<u32> {
    (0..s.rows * s.columns)
        .map(|i| {
            let h = hash::mix(i as u32 + 3);
            if h.is_multiple_of(11) {
                s.cardinality as u32 + h % 5
            } else {
                h % s.cardinality as u32
            }
        })
        .collect()
}

fn row_of(s: Shape, categories: &[u32], r: usize) -> usize {
    let v = categories[r * s.columns + s.column] as usize;
    if v < s.cardinality { v } else { 0 }
}

fn embed(memory: &mut Memory, s: Shape, table: Option<&[f32]>, source: &[u32]) -> Embed {
    Embed {
        table: table.map(|t| memory.f32(t)),
        source: memory.words(source),
        column: s.column as u32,
        columns: s.columns as u32,
        cardinality: s.cardinality as u32,
        dim: s.dim as u32,
        out: memory.f32(&vec![-7.0; s.rows * s.width]),
        offset: s.offset as u32,
        width: s.width as u32,
        rows: s.rows as u32,
    }
}

/// What [`embed`] must leave: copied values in its columns, −7 beside them.
fn expected(s: Shape, value: impl Fn(usize, usize) -> f32) -> Vec<f64> {
    (0..s.rows * s.width)
        .map(|i| {
            let (r, c) = (i / s.width, i % s.width);
            let own = (s.offset..s.offset + s.dim).contains(&c);
            f64::from(if own { value(r, c - s.offset) } else { -7.0 })
        })
        .collect()
}

#[test]
fn rows_of_a_table_are_copied() {
    on_every_backend(|backend| {
        for s in SHAPES {
            let table = numbers(s.cardinality * s.dim, 1);
            let categories = categories(s);
            let mut memory = Memory::new();
            let op = embed(&mut memory, s, Some(&table), &categories);
            memory.run(backend, &Op::Embed(op));
            let at = |r, d| table[row_of(s, &categories, r) * s.dim + d];
            close(memory.get_f32(op.out), &expected(s, at), |_| 0.0).unwrap();
            if s.rows > 1 && s.dim > 0 {
                // The neighbouring column of indices gives something else.
                let mut memory = Memory::new();
                let op = embed(&mut memory, s, Some(&table), &categories);
                memory.run(backend, &Op::Embed(Embed { column: 2, ..op }));
                close(memory.get_f32(op.out), &expected(s, at), |_| 0.0).unwrap_err();
            }
        }
    });
}

#[test]
fn dense_inputs_are_copied() {
    on_every_backend(|backend| {
        for s in SHAPES {
            let dense = numbers(s.rows * s.dim, 2);
            let mut memory = Memory::new();
            let op = embed(&mut memory, s, None, bytemuck::cast_slice(&dense));
            memory.run(backend, &Op::Embed(op));
            let want = expected(s, |r, d| dense[r * s.dim + d]);
            close(memory.get_f32(op.out), &want, |_| 0.0).unwrap();
        }
    });
}

fn backward(
    backend: &mut dyn Backend,
    s: Shape,
    categories: &[u32],
    grad: &[f32],
) -> (Vec<f32>, EmbedBackward) {
    let mut memory = Memory::new();
    let op = EmbedBackward {
        categories: memory.words(categories),
        column: s.column as u32,
        columns: s.columns as u32,
        grad: memory.f32(grad),
        offset: s.offset as u32,
        width: s.width as u32,
        grad_table: memory.out(s.cardinality * s.dim),
        cardinality: s.cardinality as u32,
        dim: s.dim as u32,
        rows: s.rows as u32,
    };
    memory.run(backend, &Op::EmbedBackward(op));
    (memory.get_f32(op.grad_table).to_vec(), op)
}

#[test]
fn gradients_of_all_rows_that_used_an_entry_are_added() {
    on_every_backend(|backend| {
        for s in SHAPES {
            let (categories, grad) = (categories(s), numbers(s.rows * s.width, 3));
            let (got, op) = backward(backend, s, &categories, &grad);
            let mut want = vec![0f64; s.cardinality * s.dim];
            let mut size = want.clone();
            for r in 0..s.rows {
                for d in 0..s.dim {
                    let g = f64::from(grad[r * s.width + s.offset + d]);
                    let at = row_of(s, &categories, r) * s.dim + d;
                    want[at] += g;
                    size[at] += g.abs();
                }
            }
            let allowed = ROUNDING * (8.0 + (s.rows as f64).sqrt()) * backend.slack();
            let check = |want: &[f64]| close(&got, want, |i| allowed * size[i]);
            check(&want).unwrap_or_else(|e| panic!("{op:?}: {e}"));
            // The same bits again: the order of the sum is fixed.
            assert_eq!(backward(backend, s, &categories, &grad).0, got);
            if let Some(at) = size.iter().position(|v| *v > 0.0) {
                want[at] += 0.01;
                check(&want).unwrap_err();
            }
        }
    });
}

#[test]
fn backward_is_the_slope_of_forward() {
    let s = shape(9, 4, 3, 2, 6);
    let (categories, table) = (categories(s), numbers(s.cardinality * s.dim, 5));
    let c = numbers(s.rows * s.width, 6);
    let loss = |table: &[f64]| -> f64 {
        (0..s.rows * s.dim)
            .map(|i| {
                let (r, d) = (i / s.dim, i % s.dim);
                wide(&c)[r * s.width + s.offset + d] * table[row_of(s, &categories, r) * s.dim + d]
            })
            .sum()
    };
    let want = slopes(&table, loss);
    on_every_backend(|backend| {
        let (got, _) = backward(backend, s, &categories, &c);
        close(&got, &want, gradient_bound(&want)).unwrap();
    });
}

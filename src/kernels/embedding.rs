//! Category look-up. One call copies one input: the dense numbers or one table's rows.

use super::dispatch::{dispatch, groups, read, write};
use super::{Access, BufferId, Dispatch, Slots};

/// `out[r, offset..offset+dim] = table[categories[r, column], ..]`. Indices past the table are
/// read as row 0, the "unknown" row. With `table: None` it copies `dense[r, 0..dim]`.
#[derive(Debug, Clone, Copy)]
pub struct Embed {
    /// f32 `[cardinality, dim]`, or `None` to copy the dense inputs.
    pub table: Option<BufferId>,
    /// u32 `[rows, columns]`, or the dense f32 `[rows, dim]` when `table` is `None`.
    pub source: BufferId,
    /// Column of `source` used.
    pub column: u32,
    /// Columns of `source`.
    pub columns: u32,
    /// Rows of the table.
    pub cardinality: u32,
    /// Width copied.
    pub dim: u32,
    /// f32 `[rows, width]`.
    pub out: BufferId,
    /// First column written.
    pub offset: u32,
    /// Row width of `out`.
    pub width: u32,
    /// Rows.
    pub rows: u32,
}

/// `grad_table[v, d] = Σ_{r: categories[r] = v} grad[r, offset+d]`; summed in row order, so the
/// result is deterministic.
#[derive(Debug, Clone, Copy)]
pub struct EmbedBackward {
    /// u32 `[rows, columns]`.
    pub categories: BufferId,
    /// Column used.
    pub column: u32,
    /// Columns.
    pub columns: u32,
    /// f32 `[rows, width]`.
    pub grad: BufferId,
    /// First column read.
    pub offset: u32,
    /// Row width of `grad`.
    pub width: u32,
    /// f32 `[cardinality, dim]`, overwritten.
    pub grad_table: BufferId,
    /// Table rows.
    pub cardinality: u32,
    /// Table width.
    pub dim: u32,
    /// Rows.
    pub rows: u32,
}

impl Embed {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let (dim, width, offset) = (self.dim as usize, self.width as usize, self.offset as usize);
        let mut out = slots.take(self.out);
        let rows = out.f32()[..self.rows as usize * width].chunks_exact_mut(width.max(1));
        if let Some(table) = self.table {
            let (table, source) = (slots.f32(table), slots.words(self.source));
            for (r, row) in rows.enumerate() {
                let v = index(source, r, self.columns, self.column, self.cardinality);
                row[offset..offset + dim].copy_from_slice(&table[v * dim..(v + 1) * dim]);
            }
        } else {
            let source = slots.f32(self.source);
            for (r, row) in rows.enumerate() {
                row[offset..offset + dim].copy_from_slice(&source[r * dim..(r + 1) * dim]);
            }
        }
        slots.put(out);
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let rows = self.rows as usize;
        let mut list = vec![Access::write(self.out, rows * self.width as usize)];
        if let Some(table) = self.table {
            list.push(Access::read(table, self.cardinality as usize * self.dim as usize));
            list.push(Access::read(self.source, rows * self.columns as usize));
        } else {
            list.push(Access::read(self.source, rows * self.dim as usize));
        }
        list
    }
}

/// Table row of sample `r`.
fn index(categories: &[u32], r: usize, columns: u32, column: u32, cardinality: u32) -> usize {
    let v = categories[r * columns as usize + column as usize];
    if v < cardinality { v as usize } else { 0 }
}

impl EmbedBackward {
    /// Native twin.
    pub fn cpu(&self, slots: &mut Slots) {
        let (dim, width, offset) = (self.dim as usize, self.width as usize, self.offset as usize);
        let mut taken = slots.take(self.grad_table);
        let (categories, grad) = (slots.words(self.categories), slots.f32(self.grad));
        let table = &mut taken.f32()[..self.cardinality as usize * dim];
        table.fill(0.0);
        for (r, row) in grad.chunks_exact(width.max(1)).take(self.rows as usize).enumerate() {
            let v = index(categories, r, self.columns, self.column, self.cardinality);
            for (t, g) in table[v * dim..(v + 1) * dim].iter_mut().zip(&row[offset..offset + dim]) {
                *t += g;
            }
        }
        slots.put(taken);
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let rows = self.rows as usize;
        vec![
            Access::write(self.grad_table, self.cardinality as usize * self.dim as usize),
            Access::read(self.categories, rows * self.columns as usize),
            Access::read(self.grad, rows * self.width as usize),
        ]
    }
}

impl Embed {
    /// Dispatches of `shaders/embedding.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let params = [
            self.column,
            self.columns,
            self.cardinality,
            self.dim,
            self.offset,
            self.width,
            self.rows,
        ];
        let (entry, buffers) = match self.table {
            None => ("copy_dense", vec![read(self.source), write(self.out)]),
            Some(table) => ("embed", vec![read(table), read(self.source), write(self.out)]),
        };
        let groups = groups(self.rows * self.dim);
        vec![dispatch("embedding", entry, &[], &buffers, &params, groups)]
    }
}

impl EmbedBackward {
    /// Dispatches of `shaders/embedding.wgsl`.
    pub fn gpu(&self) -> Vec<Dispatch> {
        let params = [
            self.column,
            self.columns,
            self.cardinality,
            self.dim,
            self.offset,
            self.width,
            self.rows,
        ];
        let buffers = [read(self.categories), read(self.grad), write(self.grad_table)];
        let groups = groups(self.cardinality * self.dim);
        vec![dispatch("embedding", "backward", &[], &buffers, &params, groups)]
    }
}

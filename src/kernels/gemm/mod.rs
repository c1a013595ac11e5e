//! Matrix product with f32, packed bf16 or packed FP8 operands and f32 accumulation.

mod gpu;

use super::dispatch::format_code;
use super::slots::grow;
use super::{Access, BufferId, ScratchNeed, Slots, gemm_bf16, parallel};
use crate::error::EngineError;
use crate::fp8::{Format, Scale, bf16, slice};

/// How an operand is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// f32, row-major, no padding.
    F32,
    /// Packed bf16, two to a word, each row starting on a word; see [`super::bf16`].
    Bf16,
    /// Packed FP8 with i32 scale exponents per block, as `Quantise` writes it: row `r` starts at
    /// word `r * ceil(cols/4)`, and the exponent of (r, c) is at
    /// `(r / block_rows) * ceil(cols / block_cols) + c / block_cols`.
    Fp8 {
        /// Code format.
        format: Format,
        /// Exponents.
        scales: BufferId,
        /// Rows of a block.
        block_rows: u32,
        /// Columns of a block.
        block_cols: u32,
    },
}

/// One operand: a stored matrix `[rows, cols]`, used as it is or transposed.
#[derive(Debug, Clone, Copy)]
pub struct Operand {
    /// Data.
    pub buffer: BufferId,
    /// Storage.
    pub storage: Storage,
    /// Stored rows.
    pub rows: u32,
    /// Stored columns.
    pub cols: u32,
    /// Use the transpose (done in the kernel's loader; no second copy exists).
    pub transpose: bool,
}

/// `out[m, n] = A[m, k] · B[k, n]`, f32 out, every element overwritten.
///
/// For `Y = X Wᵀ` with W `[out, in]`: A = X, B = W transposed; dgrad: A = dY, B = W;
/// wgrad `[out, in]`: A = dY transposed, B = X.
#[derive(Debug, Clone, Copy)]
pub struct Gemm {
    /// Left operand, `[m, k]` after its transpose flag.
    pub a: Operand,
    /// Right operand, `[k, n]` after its transpose flag.
    pub b: Operand,
    /// f32 `[m, n]`.
    pub out: BufferId,
    /// Rows of the result.
    pub m: u32,
    /// Columns of the result.
    pub n: u32,
    /// Inner size; 0 gives zeros.
    pub k: u32,
    /// Rows of the whole result, of which these may be a part: long sums are cut into the same parts
    /// for each. `m` where this is the only call.
    pub all_m: u32,
}

/// Elements that one decoded block of both operands may take, so that scratch stays in cache.
const BLOCK_ELEMENTS: usize = 1 << 17;

impl Operand {
    /// A stored f32 matrix.
    pub fn f32(buffer: BufferId, rows: u32, cols: u32, transpose: bool) -> Self {
        Self { buffer, storage: Storage::F32, rows, cols, transpose }
    }

    /// Words that the stored matrix takes.
    pub fn words(&self) -> usize {
        let cols = self.cols as usize;
        let per_row = match self.storage {
            Storage::F32 => cols,
            Storage::Bf16 => cols.div_ceil(2),
            Storage::Fp8 { .. } => cols.div_ceil(4),
        };
        self.rows as usize * per_row
    }

    /// The stored matrix as codes, unless it is f32.
    fn codes<'a>(&self, slots: &'a Slots) -> Option<gemm_bf16::Matrix<'a>> {
        let (rows, cols) = (self.rows as usize, self.cols as usize);
        let words = slots.words(self.buffer);
        let (codes, stride) = match self.storage {
            Storage::F32 => return None,
            Storage::Bf16 => {
                (gemm_bf16::Codes::Bf16(bytemuck::cast_slice(words)), cols.next_multiple_of(2))
            }
            Storage::Fp8 { format, scales, block_rows, block_cols } => {
                let count = blocks(self.rows, self.cols, block_rows, block_cols);
                let codes = gemm_bf16::Codes::Fp8 {
                    bytes: bytemuck::cast_slice(words),
                    format,
                    exponents: &slots.words(scales)[..count],
                    block_rows: block_rows.max(1) as usize,
                    block_cols: block_cols.max(1) as usize,
                };
                (codes, cols.next_multiple_of(4))
            }
        };
        Some(gemm_bf16::Matrix { codes, stride, rows, cols, transpose: self.transpose })
    }

    pub(super) fn access(&self, list: &mut Vec<Access>) {
        list.push(Access::read(self.buffer, self.words()));
        if let Storage::Fp8 { scales, block_rows, block_cols, .. } = self.storage {
            list.push(Access::read(scales, blocks(self.rows, self.cols, block_rows, block_cols)));
        }
    }
}

/// Number of blocks, and so of scales, of a matrix.
pub fn blocks(rows: u32, cols: u32, block_rows: u32, block_cols: u32) -> usize {
    rows.div_ceil(block_rows.max(1)) as usize * cols.div_ceil(block_cols.max(1)) as usize
}

/// A matrix for the f32 product: elements and strides of the wanted (transposed) form.
struct View<'a> {
    data: &'a [f32],
    row_stride: usize,
    col_stride: usize,
}

/// The part of `operand` whose inner index (columns of A, rows of B) is in `from..to`; codes are
/// decoded into `scratch`.
fn part<'a>(
    operand: &Operand,
    inner_is_col: bool,
    (from, to): (usize, usize),
    slots: &'a Slots,
    scratch: &'a mut [f32],
) -> View<'a> {
    let (rows, cols) = (operand.rows as usize, operand.cols as usize);
    // In storage order: does the inner index run along a stored row?
    let along_row = inner_is_col != operand.transpose;
    let (data, stride) = match operand.storage {
        Storage::F32 => {
            let start = if along_row { from } else { from * cols };
            (&slots.f32(operand.buffer)[start..], cols)
        }
        Storage::Bf16 | Storage::Fp8 { .. } => {
            let (rows, cols) =
                if along_row { ((0, rows), (from, to)) } else { ((from, to), (0, cols)) };
            (decode(operand, rows, cols, slots, scratch), cols.1 - cols.0)
        }
    };
    let (row_stride, col_stride) = if operand.transpose { (1, stride) } else { (stride, 1) };
    View { data, row_stride, col_stride }
}

/// Decodes stored rows and columns into `scratch`; the first column is a multiple of four.
fn decode<'a>(
    operand: &Operand,
    rows: (usize, usize),
    cols: (usize, usize),
    slots: &Slots,
    scratch: &'a mut [f32],
) -> &'a [f32] {
    let width = cols.1 - cols.0;
    let len = (rows.1 - rows.0) * width;
    if operand.storage == Storage::Bf16 {
        let halves: &[u16] = bytemuck::cast_slice(slots.words(operand.buffer));
        let stride = (operand.cols as usize).next_multiple_of(2);
        parallel::rows(&mut scratch[..len], width, |row0, piece| {
            for (i, out) in piece.chunks_exact_mut(width.max(1)).enumerate() {
                bf16::decode(&halves[(rows.0 + row0 + i) * stride + cols.0..], out);
            }
        });
        return &scratch[..len];
    }
    let Storage::Fp8 { format, scales, block_rows, block_cols } = operand.storage else {
        return &[];
    };
    let bytes: &[u8] = bytemuck::cast_slice(slots.words(operand.buffer));
    let exponents = slots.words(scales);
    let row_bytes = (operand.cols as usize).div_ceil(4) * 4;
    let (block_rows, block_cols) = (block_rows.max(1) as usize, block_cols.max(1) as usize);
    let per_row = (operand.cols as usize).div_ceil(block_cols);
    parallel::rows(&mut scratch[..len], width, |row0, piece| {
        for (i, out) in piece.chunks_exact_mut(width.max(1)).enumerate() {
            let r = rows.0 + row0 + i;
            let mut c = cols.0;
            while c < cols.1 {
                let end = ((c / block_cols + 1) * block_cols).min(cols.1);
                let exponent = exponents[r / block_rows * per_row + c / block_cols] as i32;
                let codes = &bytes[r * row_bytes + c..r * row_bytes + end];
                // A power of two: multiplying is exact.
                let scale = Scale { exponent }.value();
                slice::decode(format, codes, scale, &mut out[c - cols.0..end - cols.0]);
                c = end;
            }
        }
    });
    &scratch[..len]
}

/// `out = A·B`, or `out += A·B` if `accumulate`, all f32 and `out` row-major.
fn multiply(
    (m, n, k): (usize, usize, usize),
    a: &View<'_>,
    b: &View<'_>,
    out: &mut [f32],
    accumulate: bool,
) {
    let last = |v: &View<'_>, rows: usize, cols: usize| {
        (rows - 1) * v.row_stride + (cols - 1) * v.col_stride
    };
    assert!(last(a, m, k) < a.data.len() && last(b, k, n) < b.data.len() && m * n <= out.len());
    // Below this much work handing out pieces costs more than it saves.
    let parallelism =
        if m * n * k < 1 << 18 { gemm::Parallelism::None } else { gemm::Parallelism::Rayon(0) };
    // SAFETY: the strides stay inside the slices (checked above), `out` is borrowed for writing and
    // so overlaps neither operand.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            accumulate,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

impl Gemm {
    /// Native twin: packed operands are decoded block by block along the inner dimension, each element
    /// once, and multiplied by an f32 product.
    pub fn cpu(&self, slots: &mut Slots) {
        let (m, n, k) = (self.m as usize, self.n as usize, self.k as usize);
        let mut taken = slots.take(self.out);
        let out = &mut taken.f32()[..m * n];
        if m * n == 0 || k == 0 {
            out.fill(0.0);
            slots.put(taken);
            return;
        }
        if self.bf16(slots, out) {
            slots.put(taken);
            return;
        }
        let mut scratch = std::mem::take(&mut slots.scratch.words);
        let (left, right) = self.decoded();
        let words: &mut [f32] = bytemuck::cast_slice_mut(grow(&mut scratch, left + right));
        let (left, right) = words.split_at_mut(left);
        let block = self.block();
        let mut from = 0;
        while from < k {
            let to = (from + block).min(k);
            let a = part(&self.a, true, (from, to), slots, left);
            let b = part(&self.b, false, (from, to), slots, right);
            multiply((m, n, to - from), &a, &b, out, from > 0);
            from = to;
        }
        slots.scratch.words = scratch;
        slots.put(taken);
    }

    /// Inner indices that are decoded at a time.
    fn block(&self) -> usize {
        let decoded = |o: &Operand| usize::from(o.storage != Storage::F32);
        let width = self.m as usize * decoded(&self.a) + self.n as usize * decoded(&self.b);
        // Blocks start on a word of the packed rows.
        BLOCK_ELEMENTS.checked_div(width).map_or(self.k as usize, |b| (b / 64 * 64).max(64))
    }

    /// Scratch of the native twin.
    pub fn scratch(&self) -> ScratchNeed {
        let packed = |o: &Operand| o.storage != Storage::F32;
        if packed(&self.a) && packed(&self.b) && gemm_bf16::available() {
            let words = gemm_bf16::panel_words(self.n as usize, self.k as usize);
            return ScratchNeed { words, ..ScratchNeed::default() };
        }
        let (left, right) = self.decoded();
        ScratchNeed { words: left + right, ..ScratchNeed::default() }
    }

    /// Values of both operands that are decoded at a time.
    fn decoded(&self) -> (usize, usize) {
        let packed = |o: &Operand| usize::from(o.storage != Storage::F32);
        let depth = self.block().min(self.k as usize);
        let (m, n) = (self.m as usize, self.n as usize);
        (packed(&self.a) * m * depth, packed(&self.b) * n * depth)
    }

    /// Multiplies two packed operands by bf16 dot products where the processor has them; says whether
    /// it did.
    fn bf16(&self, slots: &mut Slots, out: &mut [f32]) -> bool {
        if !gemm_bf16::available() {
            return false;
        }
        let mut panels = std::mem::take(&mut slots.scratch.words);
        let operands = (self.a.codes(slots), self.b.codes(slots));
        let done = if let (Some(a), Some(b)) = operands
            && a.exact()
            && b.exact()
        {
            let shape = [self.m as usize, self.n as usize, self.k as usize];
            gemm_bf16::product(shape, &a, &b, out, false, &mut panels);
            true
        } else {
            false
        };
        slots.scratch.words = panels;
        done
    }

    /// What it reads and writes.
    pub fn access(&self) -> Vec<Access> {
        let mut list = vec![Access::write(self.out, self.m as usize * self.n as usize)];
        self.a.access(&mut list);
        self.b.access(&mut list);
        list
    }

    /// Whether the operands' stored shapes fit `m`, `n` and `k`.
    pub fn check(&self) -> Result<(), EngineError> {
        let shape = |o: &Operand| if o.transpose { (o.cols, o.rows) } else { (o.rows, o.cols) };
        let (a, b) = (shape(&self.a), shape(&self.b));
        if a == (self.m, self.k) && b == (self.k, self.n) {
            return Ok(());
        }
        Err(EngineError::Shape {
            op: "gemm",
            what: format!("{a:?} times {b:?} is not m, n, k = {}, {}, {}", self.m, self.n, self.k),
        })
    }
}

impl Operand {
    /// `FORMAT` and `SCALE` in `shaders/shared/operand.wgsl`.
    pub(super) fn constants(&self) -> (u32, u32) {
        match self.storage {
            Storage::F32 => (0, 0),
            Storage::Bf16 => (3, 0),
            Storage::Fp8 { format, block_rows, block_cols, .. } => {
                let scale = if block_cols < self.cols && !block_cols.is_multiple_of(4) {
                    3
                } else if block_rows >= self.rows && block_cols >= self.cols {
                    1
                } else {
                    2
                };
                (format_code(format), scale)
            }
        }
    }

    /// Its scales; only FP8 has some, so something is bound that the kernel does not read.
    pub(super) fn scales(&self) -> BufferId {
        match self.storage {
            Storage::F32 | Storage::Bf16 => self.buffer,
            Storage::Fp8 { scales, .. } => scales,
        }
    }

    pub(super) fn params(&self) -> [u32; 4] {
        match self.storage {
            Storage::F32 | Storage::Bf16 => [self.rows, self.cols, 1, 1],
            Storage::Fp8 { block_rows, block_cols, .. } => {
                [self.rows, self.cols, block_rows, block_cols]
            }
        }
    }
}

//! Lean memory: a matrix between a product and its FP8 or bf16 copy exists a few rows at a time, and
//! weights are updated as soon as nothing needs the old ones or their gradients.

use std::collections::HashMap;

use super::builder::Compiler;
use crate::kernels::conv::Kept;
use crate::kernels::gemm::{Operand, Storage};
use crate::kernels::quantise::ScaleSource;
use crate::kernels::{Access, BufferId, Op};
use crate::plan::{Buffer, PART_WORDS};

/// Parts that the largest such matrix is cut into, if rows begin where a GPU can bind them.
const PARTS: usize = 8;
/// Fewest rows of an evaluation.
const MIN_EVAL_ROWS: u32 = 32;

/// A matrix that nothing but a product, its slope and its copy touch.
#[derive(Clone, Copy)]
struct Candidate {
    /// First op, and number of ops.
    at: usize,
    ops: usize,
    staging: BufferId,
    cols: usize,
    /// The scale needs the amax of all rows, so they are all made twice: to find it, and for the codes.
    twice: bool,
}

/// The parts of buffers made so far, by their first row and number of rows.
type Parts = HashMap<(BufferId, u32, u32), BufferId>;

impl Compiler<'_> {
    /// Rows of one evaluation.
    pub(super) fn eval_rows(&self) -> u32 {
        if self.config.update.lean {
            self.rows.div_ceil(4).max(MIN_EVAL_ROWS).min(self.rows)
        } else {
            self.rows
        }
    }

    /// Cuts what can be cut.
    pub(super) fn stream(&mut self, ops: Vec<Op>) -> Vec<Op> {
        let candidates = self.candidates(&ops);
        let words = |c: &Candidate| self.rows as usize * c.cols;
        let Some(largest) = candidates.iter().map(words).max() else { return ops };
        let target = largest / PARTS;
        let mut parts = Parts::new();
        let mut out = Vec::new();
        let mut done = 0;
        for c in candidates {
            let Some(group) = ops.get(c.at..c.at + c.ops) else { continue };
            let rows = self.rows_at_once(group, target / c.cols.max(1));
            if rows >= self.rows {
                continue;
            }
            out.extend(ops.iter().skip(done).take(c.at - done).cloned());
            if let Some(staging) = self.buffers.get_mut(c.staging.index()) {
                staging.words = rows as usize * c.cols;
            }
            let sources: &[_] = if c.twice {
                &[Some(ScaleSource::Gather), Some(ScaleSource::Gathered)]
            } else {
                &[None]
            };
            for source in sources {
                for from in (0..self.rows).step_by(rows as usize) {
                    let range = (from, rows.min(self.rows - from));
                    out.extend(group.iter().map(|op| {
                        let mut op = self.cut(op.clone(), range, &mut parts);
                        if let (Op::Quantise(q), Some(source)) = (&mut op, source) {
                            q.source = *source;
                        }
                        op
                    }));
                }
            }
            done = c.at + c.ops;
        }
        out.extend(ops.into_iter().skip(done));
        out
    }

    fn candidates(&self, ops: &[Op]) -> Vec<Candidate> {
        let mut users: HashMap<BufferId, usize> = HashMap::new();
        for access in ops.iter().flat_map(Op::access) {
            *users.entry(access.buffer).or_default() += 1;
        }
        let mut list = Vec::new();
        for (at, op) in ops.iter().enumerate() {
            let staging = match op {
                Op::Conv(op) => op.out,
                Op::ConvInputGradient(op) => op.grad_x,
                Op::Gemm(op) if !op.a.transpose && op.a.rows == self.rows => op.out,
                _ => continue,
            };
            let slope = usize::from(matches!(
                ops.get(at + 1), Some(Op::ChannelBackward(slope)) if slope.grad == staging
            ));
            let (cols, twice) = match ops.get(at + 1 + slope) {
                Some(Op::Quantise(q)) if q.input == staging && q.all_rows == self.rows => {
                    let whole = q.block_rows >= q.rows && q.block_cols >= q.cols;
                    let known = matches!(q.source, ScaleSource::Delayed { .. });
                    if (q.block_rows > 1 && !whole) || q.watch.is_none() {
                        continue;
                    }
                    (q.cols, whole && !known)
                }
                Some(Op::ToBf16(copy)) if copy.input == staging && copy.rows == self.rows => {
                    (copy.cols, false)
                }
                _ => continue,
            };
            let ops = 2 + slope;
            let transient = self.buffers.get(staging.index()).is_some_and(|b| !b.persistent);
            if transient && users.get(&staging) == Some(&ops) {
                list.push(Candidate { at, ops, staging, cols: cols as usize, twice });
            }
        }
        list
    }

    /// The fewest rows, at least `wanted`, at whose multiples all parts begin where they may.
    fn rows_at_once(&self, group: &[Op], wanted: usize) -> u32 {
        let mut strides = Vec::new();
        for op in group {
            cut_buffers(&mut op.clone(), |id| {
                let words = self.buffers.get(id.index()).map_or(0, |b| b.words);
                strides.push(words / self.rows.max(1) as usize);
            });
        }
        let fits = |rows: &usize| strides.iter().all(|s| (rows * s).is_multiple_of(PART_WORDS));
        let whole = self.rows as usize;
        (wanted.max(1)..whole).find(fits).unwrap_or(whole) as u32
    }

    /// An op for `count` rows from `from`.
    fn cut(&mut self, mut op: Op, (from, count): (u32, u32), parts: &mut Parts) -> Op {
        let rows = self.rows;
        cut_buffers(&mut op, |id| {
            let key = (*id, from, count);
            let known = parts.get(&key).copied();
            *id = known.unwrap_or_else(|| self.part(*id, rows, (from, count)));
            parts.insert(key, *id);
        });
        match &mut op {
            Op::Conv(op) => (op.shape.rows, op.x.rows) = (count, count),
            Op::ConvInputGradient(op) => (op.shape.rows, op.grad.rows) = (count, count),
            Op::Gemm(op) => (op.m, op.a.rows) = (count, count),
            Op::ChannelBackward(op) => {
                op.rows = op.rows / rows * count;
                op.accumulate = from > 0;
            }
            Op::Quantise(op) => (op.rows, op.first_row) = (count, from),
            Op::ToBf16(op) => op.rows = count,
            _ => {}
        }
        op
    }

    fn part(&mut self, of: BufferId, rows: u32, (from, count): (u32, u32)) -> BufferId {
        let Some(buffer) = self.buffers.get(of.index()) else { return of };
        let stride = buffer.words / rows.max(1) as usize;
        let part = Buffer {
            name: format!("{} {from}..{}", buffer.name, from + count),
            words: stride * count as usize,
            part: Some((of, stride * from as usize)),
            ..buffer.clone()
        };
        self.buffers.push(part);
        BufferId(self.buffers.len() as u32 - 1)
    }
}

/// Calls `f` for every buffer of an op that has something for each row of the batch, but for the
/// matrix that is cut.
fn cut_buffers(op: &mut Op, mut f: impl FnMut(&mut BufferId)) {
    let mut operand = |of: &mut Operand| {
        if let Storage::Fp8 { scales, block_rows: 1, .. } = &mut of.storage {
            f(scales);
        }
        f(&mut of.buffer);
    };
    match op {
        Op::Conv(op) => {
            operand(&mut op.x);
            kept(&mut op.kept, f);
        }
        Op::ConvInputGradient(op) => {
            operand(&mut op.grad);
            op.winners.iter_mut().for_each(f);
        }
        Op::Gemm(op) => operand(&mut op.a),
        Op::ChannelBackward(op) => kept(&mut op.kept, f),
        Op::Quantise(op) => {
            if op.block_rows == 1 {
                f(&mut op.scales);
            }
            f(&mut op.packed);
        }
        Op::ToBf16(op) => f(&mut op.packed),
        _ => {}
    }
}

fn kept(kept: &mut Kept, f: impl FnMut(&mut BufferId)) {
    match kept {
        Kept::Nothing => {}
        Kept::Pre(id) | Kept::Signs(id) | Kept::Winners(id) => Some(id).into_iter().for_each(f),
    }
}

/// Puts every update behind the last op that it must follow.
pub(super) fn early(ops: &mut Vec<Op>, updates: Vec<Op>) {
    let accesses: Vec<_> = ops.iter().map(Op::access).collect();
    // What follows op `i - 1`, in order.
    let mut after: Vec<Vec<Op>> = vec![Vec::new(); ops.len() + 1];
    let mut placed: Vec<(usize, Vec<Access>)> = Vec::new();
    for update in updates {
        let own = update.access();
        let follows = |other: &Vec<Access>| {
            let meet =
                |a: &Access| own.iter().any(|b| a.buffer == b.buffer && (a.writes || b.writes));
            other.iter().any(meet)
        };
        let op = accesses.iter().rposition(follows).map_or(0, |i| i + 1);
        let earlier = placed.iter().filter(|(_, other)| follows(other)).map(|(at, _)| *at);
        let at = earlier.max().unwrap_or(0).max(op);
        if let Some(list) = after.get_mut(at) {
            list.push(update);
        }
        placed.push((at, own));
    }
    let mut all = after.into_iter();
    let mut out = all.next().unwrap_or_default();
    for op in ops.drain(..) {
        out.push(op);
        out.extend(all.next().into_iter().flatten());
    }
    *ops = out;
}

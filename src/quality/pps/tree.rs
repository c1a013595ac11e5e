//! A decision tree of one column, grown in full.
//!
//! One numeric column needs no growing: every pair of neighbouring distinct
//! values is separated at its midpoint unless all rows on both sides agree, so a row gets the answer
//! of the training rows at the nearest distinct value.

/// Values closer than this are one value to scikit-learn's trees.
const SAME: f32 = 1e-7;
/// Work limit of [`residual_answer`]; beyond it the commonest answer is used.
const RESIDUAL_WORK: usize = 200_000_000;

/// The predicting column in shuffled order.
pub(super) enum Input {
    Numbers(Vec<f32>),
    Codes(Vec<u32>, usize),
}

impl Input {
    /// Puts row `order[i]` at place `i`.
    pub(super) fn reordered(self, order: &[u32]) -> Self {
        match self {
            Self::Numbers(v) => Self::Numbers(order.iter().map(|&i| v[i as usize]).collect()),
            Self::Codes(v, n) => Self::Codes(order.iter().map(|&i| v[i as usize]).collect(), n),
        }
    }
}

/// What a leaf remembers of its training rows.
pub(super) trait Leaf: Clone {
    type Label: Copy;
    fn new(classes: usize) -> Self;
    fn add(&mut self, label: Self::Label);
    fn merge(&mut self, other: &Self, sign: f64);
    fn count(&self) -> f64;
    /// Sum of squares over count, summed over both sides of splitting `part` off: what a split
    /// maximises.
    fn split_purity(&self, part: &Self) -> f64;
    fn pure(&self) -> bool;
    fn answer(&self) -> f64;
}

/// Mean of numbers.
#[derive(Clone)]
pub(super) struct Mean {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Leaf for Mean {
    type Label = f64;
    fn new(_: usize) -> Self {
        Self { count: 0.0, sum: 0.0, squares: 0.0 }
    }
    fn add(&mut self, v: f64) {
        self.count += 1.0;
        self.sum += v;
        self.squares += v * v;
    }
    fn merge(&mut self, o: &Self, sign: f64) {
        self.count += sign * o.count;
        self.sum += sign * o.sum;
        self.squares += sign * o.squares;
    }
    fn count(&self) -> f64 {
        self.count
    }
    fn split_purity(&self, part: &Self) -> f64 {
        let over = |sum: f64, count: f64| if count > 0.0 { sum * sum / count } else { 0.0 };
        over(part.sum, part.count) + over(self.sum - part.sum, self.count - part.count)
    }
    fn pure(&self) -> bool {
        self.squares / self.count - (self.sum / self.count).powi(2) <= f64::EPSILON
    }
    fn answer(&self) -> f64 {
        self.sum / self.count
    }
}

/// Rows per class.
#[derive(Clone)]
pub(super) struct Votes(Vec<f64>);

impl Leaf for Votes {
    type Label = usize;
    fn new(classes: usize) -> Self {
        Self(vec![0.0; classes])
    }
    fn add(&mut self, class: usize) {
        self.0[class] += 1.0;
    }
    fn merge(&mut self, o: &Self, sign: f64) {
        self.0.iter_mut().zip(&o.0).for_each(|(a, b)| *a += sign * b);
    }
    fn count(&self) -> f64 {
        self.0.iter().sum()
    }
    fn split_purity(&self, part: &Self) -> f64 {
        let (mut whole, mut n, mut inside, mut outside) = (0.0, 0.0, 0.0, 0.0);
        for (all, some) in self.0.iter().zip(&part.0) {
            whole += all;
            n += some;
            inside += some * some;
            outside += (all - some) * (all - some);
        }
        let over = |squares: f64, count: f64| if count > 0.0 { squares / count } else { 0.0 };
        over(inside, n) + over(outside, whole - n)
    }
    fn pure(&self) -> bool {
        self.0.iter().filter(|v| **v > 0.5).count() <= 1
    }
    fn answer(&self) -> f64 {
        let best = self.0.iter().copied().fold(0.0, f64::max);
        self.0.iter().position(|v| *v == best).unwrap_or(0) as f64
    }
}

/// A full-grown tree of one column.
pub(super) enum Cells<L> {
    /// Upper limits of all leaves but the last, and the answer of each leaf.
    Numbers { limits: Vec<f64>, answers: Vec<f64> },
    /// Answer per code; codes that training did not see get the last.
    Codes { answers: Vec<Option<f64>>, unseen: f64, leaf: std::marker::PhantomData<L> },
}

impl<L: Leaf> Cells<L> {
    /// Fits on the rows outside `fold`.
    pub(super) fn fit(
        x: &Input,
        fold_of: &[usize],
        fold: usize,
        label: impl Fn(usize) -> L::Label,
        classes: usize,
    ) -> Self {
        let train = (0..fold_of.len()).filter(|&i| fold_of[i] != fold);
        match x {
            Input::Numbers(v) => {
                let mut rows: Vec<usize> = train.collect();
                rows.sort_unstable_by(|&a, &b| v[a].total_cmp(&v[b]));
                let (mut limits, mut answers) = (Vec::new(), Vec::new());
                let mut leaf = L::new(classes);
                for (k, &i) in rows.iter().enumerate() {
                    if let Some(before) = k.checked_sub(1).map(|p| v[rows[p]])
                        && v[i] > before + SAME
                    {
                        let middle = f64::from(before) / 2.0 + f64::from(v[i]) / 2.0;
                        limits.push(if middle == f64::from(v[i]) {
                            f64::from(before)
                        } else {
                            middle
                        });
                        answers.push(leaf.answer());
                        leaf = L::new(classes);
                    }
                    leaf.add(label(i));
                }
                answers.push(leaf.answer());
                Self::Numbers { limits, answers }
            }
            Input::Codes(codes, values) => {
                let mut leaves = vec![None; *values];
                for i in train {
                    leaves[codes[i] as usize].get_or_insert_with(|| L::new(classes)).add(label(i));
                }
                let needed = (0..fold_of.len())
                    .any(|i| fold_of[i] == fold && leaves[codes[i] as usize].is_none());
                let unseen = if needed { residual_answer(&leaves, classes) } else { 0.0 };
                let answers = leaves.iter().map(|l| l.as_ref().map(Leaf::answer)).collect();
                Self::Codes { answers, unseen, leaf: std::marker::PhantomData }
            }
        }
    }

    /// The answer for a row.
    pub(super) fn answer(&self, x: &Input, row: usize) -> f64 {
        match (self, x) {
            (Self::Numbers { limits, answers }, Input::Numbers(v)) => {
                let leaf = limits.partition_point(|l| f64::from(v[row]) > *l);
                answers.get(leaf).copied().unwrap_or(0.0)
            }
            (Self::Codes { answers, unseen, .. }, Input::Codes(codes, _)) => {
                answers.get(codes[row] as usize).copied().flatten().unwrap_or(*unseen)
            }
            _ => 0.0,
        }
    }
}

/// Where a tree over one-hot columns sends a category that it never saw: one category after the
/// other is split off, the one that purifies most first, until what is left agrees.
fn residual_answer<L: Leaf>(leaves: &[Option<L>], classes: usize) -> f64 {
    let mut left: Vec<&L> = leaves.iter().flatten().collect();
    let mut rest = L::new(classes);
    left.iter().for_each(|l| rest.merge(l, 1.0));
    if left.len().saturating_mul(left.len()).saturating_mul(classes) > RESIDUAL_WORK {
        return rest.answer();
    }
    while left.len() > 1 && rest.count() > 0.0 && !rest.pure() {
        let best = left
            .iter()
            .enumerate()
            .map(|(i, l)| (i, rest.split_purity(l)))
            .fold((0, f64::NEG_INFINITY), |a, b| if b.1 > a.1 { b } else { a });
        rest.merge(left.swap_remove(best.0), -1.0);
    }
    rest.answer()
}

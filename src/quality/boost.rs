//! A small gradient-boosted classifier of two classes: ten trees of depth two over binned columns,
//! learning rate 0.1, at least 20 rows a leaf: scikit-learn's `HistGradientBoostingClassifier` with
//! the settings of deepchecks' domain classifier.

use rayon::prelude::*;

const TREES: usize = 10;
const DEPTH: usize = 2;
const RATE: f64 = 0.1;
const MIN_LEAF: f64 = 20.0;
const MIN_HESSIAN: f64 = 1e-3;
/// Rows that a category needs before a tree may single it out.
const MIN_CATEGORY: f64 = 10.0;
/// Bins for values; one more is for missing numbers.
pub const BINS: usize = 255;
const MISSING_BIN: u8 = 255;

/// A column as bins.
#[derive(Debug, Clone)]
pub struct Binned {
    bins: Vec<u8>,
    ordered: bool,
}

impl Binned {
    /// Numbers (NaN missing): a bin per distinct value, or equally filled bins when there are more
    /// than [`BINS`].
    pub fn numbers(values: &[f64]) -> Self {
        let sorted = super::stats::sorted(values.iter().copied());
        let mut limits = sorted.clone();
        limits.dedup();
        if limits.len() > BINS {
            limits = (1..BINS)
                .map(|i| super::stats::quantile(&sorted, i as f64 / BINS as f64))
                .collect();
            limits.dedup();
        } else {
            limits = limits.windows(2).map(|w| w[0] / 2.0 + w[1] / 2.0).collect();
        }
        let bin = |v: &f64| {
            if v.is_finite() { limits.partition_point(|l| *l < *v) as u8 } else { MISSING_BIN }
        };
        Self { bins: values.iter().map(bin).collect(), ordered: true }
    }

    /// Categories: the 254 commonest codes have a bin each, all others share one. Missing is a code
    /// like any other.
    pub fn codes(codes: &[u32]) -> Self {
        let mut counts = rustc_hash::FxHashMap::<u32, usize>::default();
        codes.iter().for_each(|c| *counts.entry(*c).or_default() += 1);
        let mut common: Vec<(usize, u32)> = counts.into_iter().map(|(c, n)| (n, c)).collect();
        common.sort_unstable_by_key(|&(n, c)| (std::cmp::Reverse(n), c));
        let bins: rustc_hash::FxHashMap<u32, u8> =
            common.iter().take(BINS - 1).zip(0u8..).map(|((_, c), b)| (*c, b)).collect();
        let other = (BINS - 1) as u8;
        Self {
            bins: codes.iter().map(|c| bins.get(c).copied().unwrap_or(other)).collect(),
            ordered: false,
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    gradient: f64,
    hessian: f64,
    count: f64,
}

impl Sums {
    fn plus(self, o: Self) -> Self {
        Self {
            gradient: self.gradient + o.gradient,
            hessian: self.hessian + o.hessian,
            count: self.count + o.count,
        }
    }
    fn minus(self, o: Self) -> Self {
        self.plus(Self { gradient: -o.gradient, hessian: -o.hessian, count: -o.count })
    }
    fn value(self) -> f64 {
        -self.gradient / (self.hessian + 1e-15)
    }
    fn loss(self) -> f64 {
        self.gradient * self.value()
    }
    fn allowed(self) -> bool {
        self.count >= MIN_LEAF && self.hessian >= MIN_HESSIAN
    }
}

/// Which bins of a column go left, and what that gains.
struct Split {
    column: usize,
    left: [bool; 256],
    gain: f64,
}

#[derive(Debug)]
enum Node {
    Leaf(f64),
    Branch { column: usize, left: Box<[bool; 256]>, yes: Box<Node>, no: Box<Node> },
}

/// A fitted classifier.
#[derive(Debug)]
pub struct Boosted {
    base: f64,
    trees: Vec<Node>,
    /// Total gain per column: how much each helps to tell the classes apart.
    pub gains: Vec<f64>,
}

impl Boosted {
    /// Fits on the given rows of `columns`; `positive` is indexed by row.
    pub fn fit(columns: &[Binned], positive: &[bool], rows: &[u32]) -> Self {
        let hits = rows.iter().filter(|&&r| positive[r as usize]).count() as f64;
        let share = (hits / rows.len().max(1) as f64).clamp(1e-9, 1.0 - 1e-9);
        let base = (share / (1.0 - share)).ln();
        let mut model = Self { base, trees: Vec::new(), gains: vec![0.0; columns.len()] };
        let mut raw = vec![base; positive.len()];
        for _ in 0..TREES {
            let sums: Vec<Sums> = raw
                .iter()
                .zip(positive)
                .map(|(r, &y)| {
                    let p = 1.0 / (1.0 + (-r).exp());
                    Sums {
                        gradient: p - f64::from(u8::from(y)),
                        hessian: p * (1.0 - p),
                        count: 1.0,
                    }
                })
                .collect();
            let tree = model.grow(columns, &sums, rows.to_vec(), DEPTH);
            for &r in rows {
                raw[r as usize] += RATE * answer(&tree, columns, r as usize);
            }
            model.trees.push(tree);
        }
        model
    }

    /// Log-odds of the positive class.
    pub fn score(&self, columns: &[Binned], row: usize) -> f64 {
        self.base + self.trees.iter().map(|t| RATE * answer(t, columns, row)).sum::<f64>()
    }

    fn grow(&mut self, columns: &[Binned], sums: &[Sums], rows: Vec<u32>, depth: usize) -> Node {
        let all = rows.iter().fold(Sums::default(), |a, &r| a.plus(sums[r as usize]));
        let split = if depth == 0 {
            None
        } else {
            (0..columns.len())
                .into_par_iter()
                .filter_map(|c| best_split(c, &columns[c], sums, &rows, all))
                .reduce_with(|a, b| if (b.gain, a.column) > (a.gain, b.column) { b } else { a })
        };
        let Some(split) = split else { return Node::Leaf(all.value()) };
        self.gains[split.column] += split.gain;
        let column = &columns[split.column];
        let (yes, no): (Vec<u32>, Vec<u32>) =
            rows.into_iter().partition(|&r| split.left[usize::from(column.bins[r as usize])]);
        Node::Branch {
            column: split.column,
            left: Box::new(split.left),
            yes: Box::new(self.grow(columns, sums, yes, depth - 1)),
            no: Box::new(self.grow(columns, sums, no, depth - 1)),
        }
    }
}

fn answer(node: &Node, columns: &[Binned], row: usize) -> f64 {
    match node {
        Node::Leaf(v) => *v,
        Node::Branch { column, left, yes, no } => {
            let goes_left = left[usize::from(columns[*column].bins[row])];
            answer(if goes_left { yes } else { no }, columns, row)
        }
    }
}

fn best_split(
    index: usize,
    column: &Binned,
    sums: &[Sums],
    rows: &[u32],
    all: Sums,
) -> Option<Split> {
    let mut bins = [Sums::default(); 256];
    for &r in rows {
        let bin = &mut bins[usize::from(column.bins[r as usize])];
        *bin = bin.plus(sums[r as usize]);
    }
    let missing = usize::from(MISSING_BIN);
    // Scans to try: bins in the order in which they move to the left side.
    let mut scans: Vec<Vec<usize>> = Vec::new();
    if column.ordered {
        let order: Vec<usize> = (0..missing).filter(|&b| bins[b].count > 0.0).collect();
        let keep = order.len().saturating_sub(1);
        if bins[missing].count > 0.0 {
            scans.push(std::iter::once(missing).chain(order[..keep].iter().copied()).collect());
            scans.push(order);
        } else {
            scans.push(order[..keep].to_vec());
        }
    } else {
        let support = all.count / all.hessian;
        let mut order: Vec<(f64, usize)> = (0..BINS)
            .filter(|&b| bins[b].hessian * support >= MIN_CATEGORY)
            .map(|b| (bins[b].gradient / (bins[b].hessian + MIN_CATEGORY), b))
            .collect();
        if order.len() < 2 {
            return None;
        }
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        let middle = order.len().div_ceil(2);
        scans.push(order.iter().take(middle).map(|o| o.1).collect());
        scans.push(order.iter().rev().take(middle - 1).map(|o| o.1).collect());
    }
    let mut best: Option<(f64, usize, usize)> = None;
    for (s, scan) in scans.iter().enumerate() {
        let mut left = Sums::default();
        for (at, &bin) in scan.iter().enumerate() {
            left = left.plus(bins[bin]);
            let right = all.minus(left);
            if left.allowed() && right.allowed() {
                let gain = all.loss() - left.loss() - right.loss();
                if gain > best.map_or(0.0, |b| b.0) {
                    best = Some((gain, s, at));
                }
            }
        }
    }
    let (gain, scan, at) = best?;
    let mut left = [false; 256];
    scans[scan][..=at].iter().for_each(|&b| left[b] = true);
    if column.ordered {
        // Bins without a row in this node go by their value; missing cells that training did not
        // see go with the larger side.
        let cut = (0..missing).rev().find(|&b| left[b]);
        left.iter_mut().enumerate().take(missing).for_each(|(b, slot)| *slot = cut >= Some(b));
        if bins[missing].count == 0.0 {
            let count: f64 = (0..missing).filter(|&b| left[b]).map(|b| bins[b].count).sum();
            left[missing] = count > all.count - count;
        }
    }
    Some(Split { column: index, left, gain })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::rng::Rng;
    use crate::quality::stats::auc;

    fn held_out(columns: &[Binned], positive: &[bool]) -> f64 {
        let n = positive.len() as u32;
        let train: Vec<u32> = (0..n).filter(|r| r % 2 == 0).collect();
        let model = Boosted::fit(columns, positive, &train);
        let test: Vec<usize> = (0..n as usize).filter(|r| r % 2 == 1).collect();
        let scores: Vec<f64> = test.iter().map(|&r| model.score(columns, r)).collect();
        let truth: Vec<bool> = test.iter().map(|&r| positive[r]).collect();
        auc(&scores, &truth)
    }

    #[test]
    fn learns_numbers_missing_cells_and_categories() {
        let mut rng = Rng::new(3);
        let y: Vec<bool> = (0..4000).map(|_| rng.up_to(1) == 1).collect();
        let mut draw = |n: u32| f64::from(rng.up_to(n));
        let noise: Vec<f64> = (0..4000).map(|_| draw(9_999)).collect();
        let shifted: Vec<f64> =
            y.iter().map(|&p| draw(999) + if p { 500.0 } else { 0.0 }).collect();
        let missing: Vec<f64> =
            y.iter().map(|&p| if p && draw(9) < 8.0 { f64::NAN } else { draw(99) }).collect();
        let codes: Vec<u32> =
            y.iter().map(|&p| (draw(5) as u32) * 2 + u32::from(p != (draw(9) == 0.0))).collect();
        let none = held_out(&[Binned::numbers(&noise)], &y);
        assert!((none - 0.5).abs() < 0.05, "{none}");
        for column in [Binned::numbers(&shifted), Binned::numbers(&missing), Binned::codes(&codes)]
        {
            let found = held_out(&[Binned::numbers(&noise), column], &y);
            assert!(found > 0.85, "{found}");
        }
    }

    #[test]
    fn degenerate_columns_give_the_base_rate() {
        let y = [true, false, true, true];
        let model = Boosted::fit(
            &[Binned::numbers(&[f64::NAN; 4]), Binned::codes(&[7; 4])],
            &y,
            &[0, 1, 2, 3],
        );
        let columns = [Binned::numbers(&[f64::NAN; 4]), Binned::codes(&[7; 4])];
        assert!((model.score(&columns, 0) - 3f64.ln()).abs() < 1e-9);
        assert!(Boosted::fit(&[], &[], &[]).score(&[], 0).is_finite());
    }
}

//! Where the model is weak: every group of rows and every pair of groups against the rest of the
//! rows, with the false discovery rate held at 5 %.

use serde::{Deserialize, Serialize};

use super::bootstrap::{Interval, adjust, two_sided, wilson};
use super::groups::{self, Grouping};
use super::outcomes::Outcomes;

/// Fewest rows of a slice that gets a verdict.
pub const MIN_ROWS: usize = 30;
/// Adjusted p-value below which a slice is called weak.
pub const RATE: f64 = 0.05;
/// Most weak slices listed.
const MOST_WEAK: usize = 40;

/// A group of rows and how well they are predicted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Column and group; two of them for an intersection.
    pub of: Vec<(String, String)>,
    /// Rows.
    pub rows: usize,
    /// Accuracy, or mean absolute error in the target's unit.
    pub value: f64,
    /// 95 % interval of it.
    pub interval: Interval,
    /// The same of all other rows.
    pub rest: f64,
    /// Two-sided p-value of the difference; `None` below [`MIN_ROWS`].
    pub p: Option<f64>,
    /// The same, adjusted for all slices tested (Benjamini–Hochberg).
    pub adjusted: Option<f64>,
    /// Worse than the rest with an adjusted p-value below [`RATE`].
    pub weak: bool,
}

impl Slice {
    /// `sex = Female, age = at most 28`.
    pub fn name(&self) -> String {
        let parts: Vec<String> = self.of.iter().map(|(c, v)| format!("{c} = {v}")).collect();
        parts.join(", ")
    }

    /// Its name in the language of this thread.
    pub fn shown(&self) -> String {
        let part = |(c, v): &(String, String)| format!("{c} = {}", groups::shown(v));
        self.of.iter().map(part).collect::<Vec<_>>().join(", ")
    }

    /// Places of its rows among the rows evaluated.
    pub fn members(&self, groupings: &[Grouping]) -> Vec<usize> {
        let parts: Option<Vec<(&Grouping, u32)>> = self
            .of
            .iter()
            .map(|(column, name)| {
                let grouping = groupings.iter().find(|g| g.column == *column)?;
                let group = grouping.names.iter().position(|n| n == name)?;
                Some((grouping, group as u32))
            })
            .collect();
        let parts = parts.unwrap_or_default();
        let rows = parts.first().map_or(0, |(g, _)| g.of.len());
        let inside = |row: &usize| parts.iter().all(|(g, of)| g.of.get(*row) == Some(of));
        (0..rows).filter(inside).collect()
    }
}

/// All slices of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct SliceReport {
    /// Every group of every column.
    pub groups: Vec<Slice>,
    /// Weak groups and intersections, the weakest first.
    pub weak: Vec<Slice>,
    /// Slices with enough rows, all of which were tested.
    pub tested: usize,
    /// Fewest rows for a verdict.
    pub min_rows: usize,
}

/// Sum, sum of squares and number of a per-row figure.
#[derive(Clone, Copy, Default)]
struct Moments {
    n: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, x: f64) {
        self.n += 1.0;
        self.sum += x;
        self.squares += x * x;
    }

    fn without(self, part: Self) -> Self {
        Self { n: self.n - part.n, sum: self.sum - part.sum, squares: self.squares - part.squares }
    }

    fn mean(self) -> f64 {
        self.sum / self.n.max(1.0)
    }

    fn variance(self) -> f64 {
        let spread = self.squares - self.sum * self.sum / self.n.max(1.0);
        spread.max(0.0) / (self.n - 1.0).max(1.0)
    }
}

/// Per row: 1 for a right answer, or the absolute error. The second value says whether more is better.
fn figure(outcomes: &Outcomes) -> (Vec<f64>, bool) {
    match outcomes {
        Outcomes::Classes(c) => {
            (c.hits().into_iter().map(|hit| f64::from(u8::from(hit))).collect(), true)
        }
        Outcomes::Values(v) => {
            (v.truth.iter().zip(&v.predicted).map(|(y, p)| (y - p).abs()).collect(), false)
        }
    }
}

/// Looks at every group and every pair of groups of different columns.
pub fn find(outcomes: &Outcomes, groupings: &[Grouping]) -> SliceReport {
    let (values, higher_is_better) = figure(outcomes);
    let mut all = Moments::default();
    values.iter().for_each(|v| all.add(*v));
    let make = |of: Vec<(String, String)>, part: Moments| {
        let rest = all.without(part);
        let (value, other) = (part.mean(), rest.mean());
        let p = (part.n >= MIN_ROWS as f64 && rest.n >= 1.0)
            .then(|| difference(part, rest, higher_is_better));
        let interval = if higher_is_better {
            wilson(part.sum, part.n)
        } else {
            let half = 1.959_963_984_540_054 * (part.variance() / part.n.max(1.0)).sqrt();
            Interval { low: (value - half).max(0.0), high: value + half }
        };
        let rows = part.n as usize;
        Slice { of, rows, value, interval, rest: other, p, adjusted: None, weak: false }
    };
    let named =
        |g: &Grouping, i: usize| (g.column.clone(), g.names.get(i).cloned().unwrap_or_default());
    let mut slices = Vec::new();
    for g in groupings {
        let mut moments = vec![Moments::default(); g.names.len()];
        for (&group, v) in g.of.iter().zip(&values) {
            if let Some(m) = moments.get_mut(group as usize) {
                m.add(*v);
            }
        }
        let rows = moments.into_iter().enumerate().filter(|(_, m)| m.n > 0.0);
        slices.extend(rows.map(|(i, m)| make(vec![named(g, i)], m)));
    }
    let groups = slices.len();
    for (i, a) in groupings.iter().enumerate() {
        for b in groupings.iter().skip(i + 1) {
            let wide = b.names.len();
            let mut moments = vec![Moments::default(); a.names.len() * wide];
            for ((&x, &y), v) in a.of.iter().zip(&b.of).zip(&values) {
                if let Some(m) = moments.get_mut(x as usize * wide + y as usize) {
                    m.add(*v);
                }
            }
            let enough = moments.into_iter().enumerate().filter(|(_, m)| m.n >= MIN_ROWS as f64);
            slices.extend(
                enough.map(|(at, m)| make(vec![named(a, at / wide), named(b, at % wide)], m)),
            );
        }
    }
    judge(slices, groups, higher_is_better)
}

fn judge(mut slices: Vec<Slice>, groups: usize, higher_is_better: bool) -> SliceReport {
    let tested: Vec<f64> = slices.iter().filter_map(|s| s.p).collect();
    let mut adjusted = adjust(&tested).into_iter();
    for slice in &mut slices {
        if slice.p.is_some() {
            slice.adjusted = adjusted.next();
        }
        let worse =
            if higher_is_better { slice.value < slice.rest } else { slice.value > slice.rest };
        slice.weak = worse && slice.adjusted.is_some_and(|p| p < RATE);
    }
    let mut weak: Vec<Slice> = slices.iter().filter(|s| s.weak).cloned().collect();
    let gap = |s: &Slice| (s.rest - s.value) * if higher_is_better { 1.0 } else { -1.0 };
    // How many rows it is about counts as much as how bad it is.
    let harm = |s: &Slice| gap(s) * (s.rows as f64).sqrt();
    weak.sort_by(|a, b| harm(b).total_cmp(&harm(a)));
    weak.truncate(MOST_WEAK);
    let tested = tested.len();
    slices.truncate(groups);
    SliceReport { groups: slices, weak, tested, min_rows: MIN_ROWS }
}

/// p-value of a difference of means: two-proportion z-test with pooled variance, or Welch's.
fn difference(a: Moments, b: Moments, proportion: bool) -> f64 {
    let variance = if proportion {
        let p = (a.sum + b.sum) / (a.n + b.n);
        p * (1.0 - p) * (1.0 / a.n + 1.0 / b.n)
    } else {
        a.variance() / a.n + b.variance() / b.n
    };
    if variance > 0.0 { two_sided((a.mean() - b.mean()) / variance.sqrt()) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::outcomes::{ClassOutcomes, ValueOutcomes};

    fn grouping(column: &str, of: impl Iterator<Item = u32>, groups: usize) -> Grouping {
        let names = (0..groups).map(|i| format!("g{i}")).collect();
        Grouping { column: column.to_owned(), names, of: of.collect() }
    }

    #[test]
    fn a_planted_weakness_is_found_and_chance_is_not() {
        // 800 rows, 90 % right but half wrong where a = g1 and b = g1.
        let wrong = |i: usize| if i % 4 == 3 { i % 8 == 3 } else { i.is_multiple_of(10) };
        let names = ["no".to_owned(), "yes".to_owned()];
        let truth = vec![0; 800];
        let p = (0..800).flat_map(|i| if wrong(i) { [0.2, 0.8] } else { [0.8, 0.2] }).collect();
        let outcomes = Outcomes::Classes(ClassOutcomes::from_probabilities(&names, truth, p));
        let a = grouping("a", (0..800).map(|i| i % 2), 2);
        let b = grouping("b", (0..800).map(|i| i / 2 % 2), 2);
        let chance = grouping("c", (0..800).map(|i| i / 80 % 2), 2);
        let all = [a, b, chance];
        let found = find(&outcomes, &all);
        let worst = &found.weak[0];
        assert_eq!(worst.name(), "a = g1, b = g1");
        assert_eq!((worst.rows, worst.value), (200, 0.5));
        assert!(worst.interval.contains(0.5) && worst.adjusted.unwrap() < 1e-6);
        assert_eq!(worst.members(&all).len(), 200);
        assert!(found.weak.iter().all(|s| s.of[0].0 != "c" || s.of.len() == 2), "{found:#?}");
        assert_eq!(found.groups.len(), 6);
        assert!(found.groups[4..].iter().all(|s| !s.weak));
    }

    #[test]
    fn errors_of_numbers_are_compared_and_few_rows_get_no_verdict() {
        let truth = vec![0.0; 200];
        let predicted = (0..200).map(|i| if i % 2 == 0 { 1.0 } else { 1.5 + (i % 3) as f64 });
        let values = ValueOutcomes { truth, predicted: predicted.collect() };
        let g = grouping("a", (0..200).map(|i| i % 2), 2);
        let few = grouping("f", (0..200).map(|i| u32::from(i > 180)), 2);
        let found = find(&Outcomes::Values(values), &[g, few]);
        assert_eq!(found.weak[0].name(), "a = g1");
        let small = found.groups.iter().find(|s| s.rows == 19).unwrap();
        assert!(small.p.is_none() && !small.weak);
    }
}

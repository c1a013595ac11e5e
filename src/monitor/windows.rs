//! New rows in the order in which they came: when did they begin to differ?
//!
//! Rows are cut into windows of equal size, and every watched value is put into ten bins by the
//! reference (categories: the commonest and "other"; missing cells have a bin). A window drifts where
//! its Jensen–Shannon distance to the reference is 0.1 or more and χ² has p below 0.05 over the number
//! of windows and columns. The row of the change is where two multinomial distributions, one before
//! and one after, explain the bins of all columns best (maximum likelihood of one change point). It is
//! told where some column's likelihood ratio has p below 0.05 over the number of rows and columns, and
//! its distance between before and after is 0.1 or more.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::drift::{DISTANCE, P};
use super::reference::{ColumnReference, Spread};
use super::signals::{Cells, Signal};
use crate::data::Progress;
use crate::data::table::NO_CODE;
use crate::error::DataError;
use crate::quality::stats::association::Contingency;
use crate::quality::stats::{self, binned, special};

/// Windows at most, where their size is not given.
const MOST: usize = 40;
/// Smallest window.
pub const SMALLEST: usize = 50;
/// Categories with a bin of their own.
const CATEGORIES: usize = 20;
/// Rows before and after a change at least.
const MARGIN: usize = 25;

/// One window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Window {
    /// Places of its rows in the order looked at: from, to (exclusive).
    pub places: [usize; 2],
    /// First and last row as in the file, from 1.
    pub rows: [u64; 2],
    /// First and last date, where rows are ordered by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dates: Option<[String; 2]>,
    /// Share of the columns that drift in it.
    pub drifting: f64,
    /// Jensen–Shannon distance of every column to the reference, in the order of the timeline's names.
    pub distances: Vec<f64>,
    /// Mean probability of the class answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Share of answers below the level of "too unsure".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsure: Option<f64>,
    /// Main score, where the right answers are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

/// Where something changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// First row after it, as in the file, from 1.
    pub row: u64,
    /// Place of that row in the order looked at, from 0.
    pub place: usize,
    /// Its date, where rows are ordered by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// Columns that changed there, the most first.
    pub columns: Vec<String>,
    /// Whether the rows before it were like those of the training.
    pub before_is_normal: bool,
}

/// What happened over the new rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timeline {
    /// Columns, in the order of [`Window::distances`].
    pub names: Vec<String>,
    /// Windows in order.
    pub windows: Vec<Window>,
    /// The largest change within the new rows, if there is one.
    pub change: Option<Change>,
    /// Every column's own change.
    pub by_column: Vec<(String, Change)>,
}

/// A signal in bins.
pub(crate) struct Binned {
    name: String,
    /// Bin of every row.
    bins: Vec<u8>,
    count: usize,
    /// Rows of the reference in every bin.
    reference: Vec<f64>,
}

impl Binned {
    /// `None` where it is not tested or does not fit.
    pub(crate) fn new(reference: &ColumnReference, signal: &Signal) -> Option<Self> {
        if !reference.kind.tested() {
            return None;
        }
        let gone = reference.rows as f64 * reference.missing / (1.0 - reference.missing).max(1e-9);
        let (bins, mut counts) = match (&reference.spread, &signal.cells) {
            (spread @ Spread::Numbers { .. }, Cells::Numbers(values)) => {
                let sample = spread.sample();
                let mut edges: Vec<f64> =
                    (1..10).map(|i| stats::quantile(&sample, f64::from(i) / 10.0)).collect();
                edges.dedup();
                let missing = edges.len() + 1;
                let bin = |v: f64| match v.is_finite() {
                    true => edges.partition_point(|e| *e <= v),
                    false => missing,
                };
                let mut counts = vec![0.0; missing + 1];
                let scale = reference.rows as f64 / sample.len().max(1) as f64;
                sample.iter().for_each(|v| counts[bin(*v)] += scale);
                (values.iter().map(|v| bin(*v) as u8).collect::<Vec<u8>>(), counts)
            }
            (Spread::Categories { values, other }, Cells::Codes { codes, names }) => {
                let named = values.len().min(CATEGORIES);
                let place = |name: &String| {
                    let found = values.iter().take(named).position(|(n, _)| n == name);
                    found.unwrap_or(named) as u8
                };
                let place: Vec<u8> = names.iter().map(place).collect();
                let missing = named + 1;
                let mut counts: Vec<f64> =
                    values.iter().take(named).map(|(_, n)| *n as f64).collect();
                let rest = values.iter().skip(named).map(|(_, n)| n).sum::<u64>() + other;
                counts.extend([rest as f64, 0.0]);
                let bin = |c: &u32| match *c {
                    NO_CODE => missing as u8,
                    c => place.get(c as usize).copied().unwrap_or(missing as u8),
                };
                (codes.iter().map(bin).collect(), counts)
            }
            _ => return None,
        };
        if let Some(last) = counts.last_mut() {
            *last += gone;
        }
        let count = counts.len();
        Some(Self { name: signal.name.clone(), bins, count, reference: counts })
    }

    /// With its rows in another order.
    pub(crate) fn permuted(mut self, order: &[u32]) -> Self {
        let at = |row: &u32| self.bins.get(*row as usize).copied().unwrap_or(0);
        self.bins = order.iter().map(at).collect();
        self
    }

    fn counts(&self, from: usize, to: usize) -> Vec<f64> {
        let mut counts = vec![0.0; self.count];
        for &bin in self.bins.get(from..to).unwrap_or_default() {
            if let Some(n) = counts.get_mut(usize::from(bin)) {
                *n += 1.0;
            }
        }
        counts
    }

    /// Distance to the reference and whether that is drift at this level of p.
    fn look(&self, counts: &[f64], p: f64) -> (f64, bool) {
        let far = binned::jensen_shannon(&self.reference, counts);
        let drifts = far >= DISTANCE && {
            let table = [self.reference.clone(), counts.to_vec()];
            Contingency::new(&table).chi2().p < p
        };
        (far, drifts)
    }

    /// Twice the gain in log-likelihood of a change before every place, for places with a margin.
    fn gains(&self) -> Vec<f64> {
        let n = self.bins.len();
        let log = |c: f64| if c > 0.0 { c * c.ln() } else { 0.0 };
        let total = self.counts(0, n);
        let (mut before, mut after) = (vec![0.0; self.count], total.clone());
        let whole: f64 = total.iter().copied().map(log).sum::<f64>() - log(n as f64);
        let (mut left, mut right) = (0.0, total.iter().copied().map(log).sum::<f64>());
        let mut gains = vec![0.0; n];
        for (k, &bin) in self.bins.iter().enumerate() {
            if k >= MARGIN && n - k >= MARGIN {
                let split = left - log(k as f64) + right - log((n - k) as f64);
                gains[k] = 2.0 * (split - whole);
            }
            let bin = usize::from(bin);
            if let (Some(b), Some(a)) = (before.get_mut(bin), after.get_mut(bin)) {
                left += log(*b + 1.0) - log(*b);
                right += log(*a - 1.0) - log(*a);
                *b += 1.0;
                *a -= 1.0;
            }
        }
        gains
    }
}

/// Size of the windows of so many rows.
pub fn size(rows: usize, wanted: Option<usize>) -> usize {
    wanted.unwrap_or_else(|| rows.div_ceil(MOST)).max(SMALLEST)
}

/// Looks at the windows of binned signals, whose rows are in order, and for changes.
pub(crate) fn timeline(
    columns: &[Binned],
    rows: usize,
    wanted: Option<usize>,
    line: &(dyn Fn(usize) -> (u64, Option<String>) + Sync),
    progress: &Progress,
) -> Result<Timeline, DataError> {
    let size = size(rows, wanted);
    // The last one takes what is left, so that none is too small.
    let count = (rows / size).max(1);
    let p = P / (count * columns.len().max(1)) as f64;
    let windows: Vec<Window> = (0..count)
        .into_par_iter()
        .map(|i| {
            progress.check()?;
            let (from, to) = (i * size, if i + 1 == count { rows } else { (i + 1) * size });
            let looked: Vec<(f64, bool)> =
                columns.iter().map(|c| c.look(&c.counts(from, to), p)).collect();
            let drifting = looked.iter().filter(|(_, drifts)| *drifts).count();
            let (first, last) = (line(from), line(to.saturating_sub(1)));
            Ok(Window {
                places: [from, to],
                rows: [first.0, last.0],
                dates: first.1.zip(last.1).map(|(a, b)| [a, b]),
                drifting: drifting as f64 / columns.len().max(1) as f64,
                distances: looked.into_iter().map(|(far, _)| far).collect(),
                confidence: None,
                unsure: None,
                score: None,
            })
        })
        .collect::<Result<_, DataError>>()?;
    let names = columns.iter().map(|c| c.name.clone()).collect();
    let (change, by_column) = changes(columns, rows, line, progress)?;
    Ok(Timeline { names, windows, change, by_column })
}

type Changes = (Option<Change>, Vec<(String, Change)>);

fn changes(
    columns: &[Binned],
    rows: usize,
    line: &(dyn Fn(usize) -> (u64, Option<String>) + Sync),
    progress: &Progress,
) -> Result<Changes, DataError> {
    if rows < 2 * MARGIN || columns.is_empty() {
        return Ok((None, Vec::new()));
    }
    let gains: Vec<Vec<f64>> = columns
        .par_iter()
        .map(|c| progress.check().map(|()| c.gains()))
        .collect::<Result<_, DataError>>()?;
    let peak = |gains: &[f64]| {
        (0..gains.len()).max_by(|a, b| gains[*a].total_cmp(&gains[*b])).unwrap_or(0)
    };
    let p = P / columns.len() as f64;
    // A change is one where a column moved by as much as counts as drift, and more than the best of
    // all places would by chance.
    let moved = |c: &Binned, gain: f64, at: usize| {
        let (before, after) = (c.counts(0, at), c.counts(at, rows));
        let far = binned::jensen_shannon(&before, &after);
        let used = before.iter().zip(&after).filter(|(b, a)| **b + **a > 0.0).count();
        let chance = special::chi2_sf(gain, used.saturating_sub(1) as f64) * rows as f64;
        (far >= DISTANCE && chance < p).then_some(far)
    };
    let make = |at: usize, columns: Vec<String>, normal: bool| {
        let (row, date) = line(at);
        Change { row, place: at, date, columns, before_is_normal: normal }
    };
    let by_column: Vec<(String, Change)> = columns
        .iter()
        .zip(&gains)
        .filter_map(|(c, gains)| {
            let at = peak(gains);
            moved(c, gains.get(at).copied()?, at)?;
            let normal = !c.look(&c.counts(0, at), p).1;
            Some((c.name.clone(), make(at, vec![c.name.clone()], normal)))
        })
        .collect();
    let mut joint = vec![0.0; rows];
    for gains in &gains {
        joint.iter_mut().zip(gains).for_each(|(sum, g)| *sum += g);
    }
    let at = peak(&joint);
    let mut there: Vec<(&Binned, f64)> = columns
        .iter()
        .zip(&gains)
        .filter_map(|(c, gains)| Some((c, moved(c, gains.get(at).copied()?, at)?)))
        .collect();
    there.sort_by(|a, b| b.1.total_cmp(&a.1));
    let normal = there.iter().all(|(c, _)| !c.look(&c.counts(0, at), p).1);
    let names: Vec<String> = there.iter().map(|(c, _)| c.name.clone()).collect();
    let change = (!names.is_empty()).then(|| make(at, names, normal));
    Ok((change, by_column))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::rng::Rng;
    use crate::monitor::signals::Kind;

    fn signal(name: &str, values: Vec<f64>) -> Signal {
        let cells = Cells::Numbers(values);
        let (column, unreadable) = (Some(name.to_owned()), (Vec::new(), 0));
        Signal { name: name.to_owned(), column, kind: Kind::Number, cells, unreadable }
    }

    fn draw(n: usize, seed: u64, shift: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut rng = Rng::new(seed);
        (0..n).map(|i| rng.below(1000) as f64 / 1000.0 + shift(i)).collect()
    }

    fn look(columns: &[(Vec<f64>, Vec<f64>)]) -> Timeline {
        let binned: Vec<Binned> = columns
            .iter()
            .enumerate()
            .map(|(i, (old, new))| {
                let name = format!("c{i}");
                let reference = ColumnReference::of(&signal(&name, old.clone()), 100_000);
                Binned::new(&reference, &signal(&name, new.clone())).unwrap()
            })
            .collect();
        let line = |place: usize| (place as u64 + 2, None);
        timeline(&binned, columns[0].1.len(), None, &line, &Progress::default()).unwrap()
    }

    #[test]
    fn the_row_of_a_planted_change_is_found() {
        for at in [700, 1234, 2500] {
            let jump = |i: usize| if i >= at { 0.5 } else { 0.0 };
            let found = look(&[
                (draw(1000, 1, |_| 0.0), draw(3000, 2, jump)),
                (draw(1000, 3, |_| 0.0), draw(3000, 4, |_| 0.0)),
            ]);
            let change = found.change.unwrap();
            assert!(change.place.abs_diff(at) <= 8, "{at}: {change:?}");
            assert_eq!((change.row, change.before_is_normal), (change.place as u64 + 2, true));
            assert_eq!(change.columns, ["c0"]);
            let drifting = |w: &&Window| w.drifting > 0.0;
            let first = found.windows.iter().find(drifting).unwrap();
            assert!(first.places[1] > at && first.places[0] < at + 150, "{at}: {first:?}");
            assert!(found.by_column.iter().all(|(name, _)| name == "c0"));
        }
    }

    #[test]
    fn rows_without_a_change_have_none() {
        for seed in 0..20u64 {
            let column = |i: u64| {
                (draw(1000, seed * 10 + i, |_| 0.0), draw(2000, seed * 10 + i + 5, |_| 0.0))
            };
            let found = look(&[column(0), column(1), column(2)]);
            assert_eq!(found.change, None);
            let drifting = found.windows.iter().filter(|w| w.drifting > 0.0).count();
            assert!(drifting <= 1, "seed {seed}: {drifting} windows drift");
        }
        // Unlike the training from the first row on: drift, but no change.
        let found = look(&[(draw(1000, 1, |_| 0.0), draw(2000, 2, |_| 0.7))]);
        assert_eq!(found.change, None);
        assert!(found.windows.iter().all(|w| w.drifting == 1.0));
    }

    #[test]
    fn few_rows_are_one_window() {
        let found = look(&[(draw(300, 1, |_| 0.0), draw(30, 2, |_| 0.0))]);
        assert_eq!((found.windows.len(), found.windows[0].places), (1, [0, 30]));
        assert_eq!(size(100_000, None), 2500);
        assert_eq!(size(100_000, Some(7)), SMALLEST);
    }
}

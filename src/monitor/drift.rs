//! Whether one column has other values than in training.
//!
//! The test is the one that Evidently takes by default: of at most 1,000 reference rows p-values
//! (Kolmogorov–Smirnov for numbers, χ² for categories and numbers of up to five values, Z for two
//! values; drift below 0.05), of more rows distances (Wasserstein over the standard deviation, or
//! Jensen–Shannon; drift from 0.1). Two things are our own: p-values are adjusted for the number of
//! columns (Benjamini and Hochberg), and a distance counts only where such a p-value is below 0.05
//! too, as few new rows are far from anything by chance. χ² compares two samples, where Evidently
//! takes the reference as exact, and pools categories of fewer than five expected rows.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::reference::{ColumnReference, Spread};
use super::signals::{Cells, Kind, Signal};
use crate::data::table::NO_CODE;
use crate::eval::bootstrap::adjust;
use crate::quality::stats::association::Contingency;
use crate::quality::stats::{self, binned, distance, special};
use crate::quality::wording;

/// Reference rows up to which p-values decide.
pub const SMALL: usize = 1000;
/// p-value below which a column has drifted.
pub const P: f64 = 0.05;
/// Distance from which a column has drifted.
pub const DISTANCE: f64 = 0.1;
/// Different numbers up to which they are compared as categories.
const FEW_VALUES: usize = 5;
/// Bars of a histogram of numbers.
const BARS: usize = 24;
/// Categories shown.
const SHOWN: usize = 12;
/// Evidence rows kept.
pub const MOST_ROWS: usize = 1000;
/// Fewest usable new values for a verdict.
const FEWEST: usize = 5;

/// How a column was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Two-sample Kolmogorov–Smirnov test.
    KolmogorovSmirnov,
    /// Pearson's χ² of two samples.
    ChiSquared,
    /// Z-test of two shares.
    Z,
    /// Wasserstein distance over the reference's standard deviation.
    Wasserstein,
    /// Jensen–Shannon distance.
    JensenShannon,
}

impl Method {
    /// Its name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::KolmogorovSmirnov => "Kolmogorov–Smirnov p",
            Self::ChiSquared => "χ² p",
            Self::Z => "Z-test p",
            Self::Wasserstein => "Wasserstein ÷ std",
            Self::JensenShannon => "Jensen–Shannon",
        }
    }

    /// Whether it is a p-value: small means drift.
    pub const fn is_p(self) -> bool {
        matches!(self, Self::KolmogorovSmirnov | Self::ChiSquared | Self::Z)
    }

    /// Where drift begins.
    pub const fn threshold(self) -> f64 {
        if self.is_p() { P } else { DISTANCE }
    }
}

/// Shares of reference and new rows side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Histogram {
    /// Ends of the bars, one more than bars; empty for categories.
    pub edges: Vec<f64>,
    /// Names of categories; empty for numbers.
    pub labels: Vec<String>,
    /// Share of the reference rows in every bar.
    pub reference: Vec<f64>,
    /// Share of the new rows.
    pub new: Vec<f64>,
}

/// How one column differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnDrift {
    /// Column, or what was watched of it.
    pub name: String,
    /// Column of the data; `None` for images.
    pub column: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// How it was compared; `None` where there is too little to compare, and for dates.
    pub method: Option<Method>,
    /// What the method gave: an adjusted p-value, or a distance.
    pub value: f64,
    /// p-value before adjusting.
    pub p: f64,
    /// p-value adjusted for all columns.
    pub p_adjusted: f64,
    /// Population stability index, as Evidently computes it.
    pub psi: f64,
    /// Jensen–Shannon distance of the histograms: one measure for all kinds, to sort by.
    pub size: f64,
    /// Whether it has drifted.
    pub drifted: bool,
    /// New rows with a usable value.
    pub usable: usize,
    /// Share of rows without a usable value: reference, new.
    pub missing: [f64; 2],
    /// Share of new values outside the range of the training rows.
    pub outside: Option<f64>,
    /// Categories that training had not seen, the commonest first, with their rows.
    pub new_categories: Vec<(String, usize)>,
    /// How many times as large as in training the numbers are, where that looks like another unit.
    pub unit: Option<f64>,
    /// Where the largest change is, in plain words.
    pub summary: String,
    /// Distributions.
    pub histogram: Histogram,
    /// New rows (from 0) where it shows, at most [`MOST_ROWS`].
    pub rows: Vec<u32>,
    /// How many in all.
    pub row_count: usize,
}

/// Compares the signals of rows with the reference. `rows` are the rows of the signals. `known`
/// holds the categories that training had seen, by column.
pub(crate) fn compare(
    reference: &[ColumnReference],
    signals: &[Signal],
    rows: &[u32],
    known: &HashMap<String, HashSet<String>>,
) -> Vec<ColumnDrift> {
    use rayon::prelude::*;
    let pairs: Vec<(&ColumnReference, &Signal)> = reference
        .iter()
        .filter_map(|r| Some((r, signals.iter().find(|s| s.name == r.name && fits(r, s))?)))
        .collect();
    let mut found: Vec<ColumnDrift> =
        pairs.into_par_iter().map(|(r, s)| one(r, s, rows, known.get(&s.name))).collect();
    judge(&mut found);
    found
}

fn fits(reference: &ColumnReference, signal: &Signal) -> bool {
    matches!(
        (&reference.spread, &signal.cells),
        (Spread::Numbers { .. }, Cells::Numbers(_))
            | (Spread::Categories { .. }, Cells::Codes { .. })
    )
}

/// Adjusts the p-values and decides.
fn judge(found: &mut [ColumnDrift]) {
    let tested: Vec<usize> =
        found.iter().enumerate().filter(|(_, c)| c.method.is_some()).map(|(i, _)| i).collect();
    let p: Vec<f64> = tested.iter().map(|&i| found[i].p).collect();
    for (&i, adjusted) in tested.iter().zip(adjust(&p)) {
        let column = &mut found[i];
        column.p_adjusted = adjusted;
        match column.method {
            Some(method) if method.is_p() => {
                column.value = adjusted;
                column.drifted = adjusted < P;
            }
            Some(_) => column.drifted = column.value >= DISTANCE && adjusted < P,
            None => {}
        }
    }
}

/// One column, not yet adjusted for the others.
pub(crate) fn one(
    reference: &ColumnReference,
    signal: &Signal,
    rows: &[u32],
    known: Option<&HashSet<String>>,
) -> ColumnDrift {
    let mut column = ColumnDrift {
        name: reference.name.clone(),
        column: signal.column.clone(),
        kind: reference.kind,
        method: None,
        value: f64::NAN,
        p: 1.0,
        p_adjusted: 1.0,
        psi: 0.0,
        size: 0.0,
        drifted: false,
        usable: 0,
        missing: [reference.missing, 0.0],
        outside: None,
        new_categories: Vec::new(),
        unit: None,
        summary: String::new(),
        histogram: Histogram {
            edges: Vec::new(),
            labels: Vec::new(),
            reference: Vec::new(),
            new: Vec::new(),
        },
        rows: Vec::new(),
        row_count: 0,
    };
    match (&reference.spread, &signal.cells) {
        (spread @ Spread::Numbers { .. }, Cells::Numbers(values)) => {
            numbers(&mut column, reference, spread, values, rows);
        }
        (spread @ Spread::Categories { .. }, Cells::Codes { codes, names }) => {
            categories(&mut column, reference, spread, (codes, names), rows, known);
        }
        _ => {}
    }
    if !reference.kind.tested() {
        column.method = None;
    }
    column
}

fn numbers(
    column: &mut ColumnDrift,
    reference: &ColumnReference,
    spread: &Spread,
    values: &[f64],
    rows: &[u32],
) {
    let Spread::Numbers { distinct, std, range, .. } = spread else { return };
    let old = spread.sample();
    let new = stats::sorted(values.iter().copied());
    let n = values.len().max(1) as f64;
    column.usable = new.len();
    column.missing[1] = 1.0 - new.len() as f64 / n;
    let usable = new.len().max(1) as f64;
    let outside = |v: &f64| v.is_finite() && !(range[0]..=range[1]).contains(v);
    column.outside = Some(new.iter().filter(|v| outside(v)).count() as f64 / usable);
    column.unit = unit(&old, &new).filter(|_| reference.kind == Kind::Number);
    if new.len() >= FEWEST && old.len() >= FEWEST {
        let d = distance::ks(&old, &new);
        let (method, value, p) = if *distinct <= FEW_VALUES {
            let (r, c) = value_counts(&old, reference.rows, &new);
            by_counts(reference.rows, &r, &c)
        } else {
            let p = distance::ks_p(d, reference.rows, new.len());
            if reference.rows <= SMALL {
                (Method::KolmogorovSmirnov, p, p)
            } else {
                let gap = distance::wasserstein(&old, &new) / std.max(0.001);
                (Method::Wasserstein, gap, p)
            }
        };
        let (r, c) = binned::sturges_counts(&old, &new);
        column.psi = binned::psi_evidently(&r, &c);
        (column.method, column.value, column.p) = (Some(method), value, p);
    }
    column.histogram = bars(&old, &new);
    column.size = binned::jensen_shannon(&column.histogram.reference, &column.histogram.new);
    let middle = |s: &[f64]| wording::number(stats::quantile(s, 0.5));
    column.summary = match column.unit {
        Some(ratio) => format!("about {} times as large: another unit?", wording::number(ratio)),
        None if new.is_empty() => "no usable value".to_owned(),
        None => format!("middle value {} → {}", middle(&old), middle(&new)),
    };
    // The rows of the tenth of the reference (or of none) that gained most.
    let edges: Vec<f64> = (1..10).map(|i| stats::quantile(&old, f64::from(i) / 10.0)).collect();
    let bin =
        |v: f64| -> usize { if outside(&v) { 10 } else { edges.partition_point(|e| *e <= v) } };
    let mut gained = [0.0; 12];
    old.iter()
        .for_each(|v| gained[bin(*v)] -= 1.0 / old.len().max(1) as f64 * (1.0 - reference.missing));
    values.iter().filter(|v| v.is_finite()).for_each(|v| gained[bin(*v)] += 1.0 / n);
    gained[11] = column.missing[1] - reference.missing;
    let worst = (0..12).max_by(|a, b| gained[*a].total_cmp(&gained[*b])).unwrap_or(0);
    if worst == 11 && gained[11] > 0.0 {
        column.summary = more_missing(column.missing);
    }
    let shows = |v: f64| if v.is_finite() { bin(v) == worst } else { worst == 11 };
    evidence(column, rows, values.iter().map(|v| shows(*v)));
}

fn categories(
    column: &mut ColumnDrift,
    reference: &ColumnReference,
    spread: &Spread,
    (codes, names): (&[u32], &[String]),
    rows: &[u32],
    known: Option<&HashSet<String>>,
) {
    let Spread::Categories { values, other } = spread else { return };
    let mut counts = vec![0usize; names.len()];
    codes.iter().filter(|c| **c != NO_CODE).for_each(|c| {
        if let Some(n) = counts.get_mut(*c as usize) {
            *n += 1;
        }
    });
    let present: usize = counts.iter().sum();
    column.usable = present;
    column.missing[1] = 1.0 - present as f64 / codes.len().max(1) as f64;
    let place: HashMap<&str, usize> =
        values.iter().enumerate().map(|(i, (name, _))| (name.as_str(), i)).collect();
    let seen = |name: &String| match known {
        Some(known) => known.contains(name) || place.contains_key(name.as_str()),
        None => *other > 0 || place.contains_key(name.as_str()),
    };
    // One bucket per named category, one for all others, one for those never seen.
    let (others, unseen) = (values.len(), values.len() + 1);
    let bucket: Vec<usize> = names
        .iter()
        .map(|name| match place.get(name.as_str()) {
            Some(i) => *i,
            None if seen(name) => others,
            None => unseen,
        })
        .collect();
    let mut old: Vec<f64> = values.iter().map(|(_, n)| *n as f64).collect();
    old.extend([*other as f64, 0.0]);
    let mut new = vec![0.0; values.len() + 2];
    for (b, n) in bucket.iter().zip(&counts) {
        new[*b] += *n as f64;
    }
    let mut strange: Vec<(String, usize)> = names
        .iter()
        .zip(&counts)
        .zip(&bucket)
        .filter(|(_, b)| **b == unseen)
        .map(|((name, n), _)| (name.clone(), *n))
        .collect();
    strange.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    column.new_categories = strange;
    let total: f64 = old.iter().sum();
    if present >= FEWEST && total >= FEWEST as f64 {
        let (method, value, p) = by_counts(reference.rows, &old, &new);
        column.psi = binned::psi_evidently(&nonempty(&old, &new).0, &nonempty(&old, &new).1);
        (column.method, column.value, column.p) = (Some(method), value, p);
    }
    column.size = binned::jensen_shannon(&old, &new);
    let share = |v: &[f64], i: usize| v[i] / v.iter().sum::<f64>().max(1.0);
    let label = |i: usize| match i {
        _ if i == unseen => "(new)".to_owned(),
        _ if i == others => "(other)".to_owned(),
        _ => values.get(i).map(|(name, _)| wording::short(name)).unwrap_or_default(),
    };
    column.histogram = category_bars(&old, &new, label);
    let gain = |i: usize| share(&new, i) - share(&old, i);
    let worst = (0..new.len()).max_by(|a, b| gain(*a).total_cmp(&gain(*b))).unwrap_or(0);
    column.summary = match worst {
        _ if present == 0 => "no usable value".to_owned(),
        _ if worst == unseen => {
            let name = column.new_categories.first().map(|c| wording::short(&c.0));
            format!("\"{}\" is new", name.unwrap_or_default())
        }
        _ => format!(
            "\"{}\" {} → {}",
            label(worst),
            wording::percent(share(&old, worst)),
            wording::percent(share(&new, worst))
        ),
    };
    let empty = column.missing[1] - column.missing[0] > gain(worst).max(0.0);
    if empty && present > 0 {
        column.summary = more_missing(column.missing);
    }
    let shows = |c: &u32| match bucket.get(*c as usize) {
        Some(b) => !empty && *b == worst,
        None => empty,
    };
    evidence(column, rows, codes.iter().map(shows));
}

fn more_missing(missing: [f64; 2]) -> String {
    format!("missing {} → {}", wording::percent(missing[0]), wording::percent(missing[1]))
}

fn evidence(column: &mut ColumnDrift, rows: &[u32], shows: impl Iterator<Item = bool>) {
    for (row, _) in rows.iter().zip(shows).filter(|(_, shows)| *shows) {
        column.row_count += 1;
        if column.rows.len() < MOST_ROWS {
            column.rows.push(*row);
        }
    }
}

/// Counts of every value in both samples; those of the first scaled to `rows`.
fn value_counts(old: &[f64], rows: usize, new: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let mut values: Vec<f64> = old.iter().chain(new).copied().collect();
    values.sort_unstable_by(f64::total_cmp);
    values.dedup();
    let count = |sample: &[f64], scale: f64| -> Vec<f64> {
        let below = |v: f64| sample.partition_point(|x| *x < v);
        let upto = |v: f64| sample.partition_point(|x| *x <= v);
        values.iter().map(|v| (upto(*v) - below(*v)) as f64 * scale).collect()
    };
    (count(old, rows as f64 / old.len().max(1) as f64), count(new, 1.0))
}

/// Both without what neither has.
fn nonempty(old: &[f64], new: &[f64]) -> (Vec<f64>, Vec<f64>) {
    old.iter().zip(new).filter(|(a, b)| **a + **b > 0.0).unzip()
}

/// Method, its figure and a p-value for counts of categories.
fn by_counts(reference_rows: usize, old: &[f64], new: &[f64]) -> (Method, f64, f64) {
    let (old, new) = nonempty(old, new);
    let p = chi2(&old, &new);
    if reference_rows > SMALL {
        (Method::JensenShannon, binned::jensen_shannon(&old, &new), p)
    } else if old.len() <= 2 {
        let p = z(&old, &new);
        (Method::Z, p, p)
    } else {
        (Method::ChiSquared, p, p)
    }
}

/// p-value of two samples of counts; categories with fewer than five expected rows count as one.
fn chi2(old: &[f64], new: &[f64]) -> f64 {
    let (n, m): (f64, f64) = (old.iter().sum(), new.iter().sum());
    let share = n.min(m) / (n + m).max(1.0);
    let (mut a, mut b, mut rest) = (Vec::new(), Vec::new(), [0.0; 2]);
    for (x, y) in old.iter().zip(new) {
        if (x + y) * share < 5.0 {
            rest = [rest[0] + x, rest[1] + y];
        } else {
            a.push(*x);
            b.push(*y);
        }
    }
    a.push(rest[0]);
    b.push(rest[1]);
    Contingency::new(&[a, b]).chi2().p
}

/// Two-sided p-value of the pooled Z-test that the share of the first category is equal.
pub(super) fn z(old: &[f64], new: &[f64]) -> f64 {
    let (n, m): (f64, f64) = (old.iter().sum(), new.iter().sum());
    let (Some(a), Some(b)) = (old.first(), new.first()) else { return 1.0 };
    let pooled = (a + b) / (n + m);
    let spread = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
    if spread.is_nan() || spread <= 0.0 {
        return 1.0;
    }
    special::erfc(((a / n - b / m) / spread).abs() / std::f64::consts::SQRT_2)
}

/// How many times as large numbers are, where the quartiles all moved by one factor of 8 or more.
pub(super) fn unit(old: &[f64], new: &[f64]) -> Option<f64> {
    if old.len() < 20 || new.len() < 20 {
        return None;
    }
    let ratio = |q: f64| stats::quantile(new, q) / stats::quantile(old, q);
    let ratios = [0.25, 0.5, 0.75].map(ratio);
    let middle = ratios[1];
    let whole = ratios.iter().all(|r| r.is_finite() && *r > 0.0 && (r / middle - 1.0).abs() < 0.35);
    let factor = (ratios[0] * ratios[1] * ratios[2]).cbrt();
    (whole && !(1.0 / 8.0..8.0).contains(&factor)).then(|| {
        // A round factor where it is near one: 1000, 100, 60, 12, …
        const ROUND: [f64; 12] =
            [10.0, 12.0, 24.0, 25.4, 36.0, 60.0, 100.0, 1000.0, 1024.0, 3600.0, 1e4, 1e6];
        let near = |f: f64| ROUND.into_iter().find(|r| (f / r - 1.0).abs() < 0.2).unwrap_or(f);
        if factor >= 1.0 { near(factor) } else { 1.0 / near(1.0 / factor) }
    })
}

fn bars(old: &[f64], new: &[f64]) -> Histogram {
    let ends = |q: f64| [stats::quantile(old, q), stats::quantile(new, q)];
    let finite = |v: &f64| v.is_finite();
    let low = ends(0.005).into_iter().filter(finite).fold(f64::INFINITY, f64::min);
    let high = ends(0.995).into_iter().filter(finite).fold(f64::NEG_INFINITY, f64::max);
    let (low, high) = match (low.is_finite() && high.is_finite(), high > low) {
        (false, _) => (0.0, 1.0),
        (true, true) => (low, high),
        (true, false) => (low - 0.5, low + 0.5),
    };
    let step = (high - low) / BARS as f64;
    let share = |sample: &[f64]| {
        let mut counts = vec![0.0; BARS];
        for v in sample {
            let bar = ((v - low) / step).clamp(0.0, BARS as f64 - 1.0) as usize;
            counts[bar.min(BARS - 1)] += 1.0 / sample.len() as f64;
        }
        counts
    };
    let edges = (0..=BARS).map(|i| low + i as f64 * step).collect();
    Histogram { edges, labels: Vec::new(), reference: share(old), new: share(new) }
}

fn category_bars(old: &[f64], new: &[f64], label: impl Fn(usize) -> String) -> Histogram {
    let (n, m) = (old.iter().sum::<f64>().max(1.0), new.iter().sum::<f64>().max(1.0));
    let mut order: Vec<usize> = (0..old.len()).filter(|&i| old[i] + new[i] > 0.0).collect();
    let most = |i: usize| (old[i] / n).max(new[i] / m);
    order.sort_by(|a, b| most(*b).total_cmp(&most(*a)));
    let rest: Vec<usize> = order.split_off(order.len().min(SHOWN));
    let mut h = Histogram {
        edges: Vec::new(),
        labels: order.iter().map(|i| label(*i)).collect(),
        reference: order.iter().map(|i| old[*i] / n).collect(),
        new: order.iter().map(|i| new[*i] / m).collect(),
    };
    if !rest.is_empty() {
        h.labels.push("(all others)".to_owned());
        h.reference.push(rest.iter().map(|i| old[*i] / n).sum());
        h.new.push(rest.iter().map(|i| new[*i] / m).sum());
    }
    h
}

#[cfg(test)]
#[path = "drift_tests.rs"]
mod tests;

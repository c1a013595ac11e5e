//! What the checks share: columns read once, row keys, samples, neighbours.

use std::hash::BuildHasher;
use std::sync::atomic::Ordering;

use rayon::prelude::*;
use rustc_hash::{FxBuildHasher, FxHashMap};

use super::knn::{Graph, K, Points};
use super::{Shares, pps, rng, stats};
use crate::data::table::NO_CODE;
use crate::data::{Column, ColumnType, Progress, Schema, Split, Table, Task};
use crate::train::crossval::OutOfFold;

/// What a column is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Target,
    Feature,
    Ignored,
}

/// The cells of a column as read.
#[derive(Debug)]
pub(crate) enum Data<'a> {
    /// Numbers, or days since 1970 of dates; NaN where missing or unreadable.
    Numbers(Vec<f64>),
    /// A code per cell ([`NO_CODE`] when missing), the distinct values and how often each occurs.
    Codes { codes: Vec<u32>, values: Vec<&'a str>, counts: Vec<usize> },
}

/// A column as read.
#[derive(Debug)]
pub(crate) struct Col<'a> {
    pub(crate) cells: &'a Column,
    pub(crate) name: &'a str,
    pub(crate) kind: ColumnType,
    pub(crate) role: Role,
    pub(crate) data: Data<'a>,
    /// Cells with a spelling of "no value".
    pub(crate) missing: usize,
    /// Cells of a number or date column that hold neither.
    pub(crate) unreadable: usize,
}

impl<'a> Col<'a> {
    fn read(cells: &'a Column, kind: ColumnType, role: Role, numbers: bool) -> Self {
        let (mut missing, mut unreadable) = (0, 0);
        let data = if numbers {
            let read = |row| {
                if cells.value(row).is_none() {
                    missing += 1;
                    return f64::NAN;
                }
                let v = if kind == ColumnType::Date { days(cells, row) } else { cells.number(row) };
                v.unwrap_or_else(|| {
                    unreadable += 1;
                    f64::NAN
                })
            };
            Data::Numbers((0..cells.len()).map(read).collect())
        } else {
            let mut index = FxHashMap::<&str, u32>::default();
            let (mut values, mut counts) = (Vec::new(), Vec::new());
            let code = |row| {
                let Some(value) = cells.value(row) else {
                    missing += 1;
                    return NO_CODE;
                };
                let code = *index.entry(value).or_insert_with(|| {
                    values.push(value);
                    counts.push(0);
                    (values.len() - 1) as u32
                });
                counts[code as usize] += 1;
                code
            };
            let codes = (0..cells.len()).map(code).collect();
            Data::Codes { codes, values, counts }
        };
        Self { cells, name: cells.name(), kind, role, data, missing, unreadable }
    }

    /// Rows.
    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }

    /// Cells that hold something usable.
    pub(crate) fn present(&self) -> usize {
        self.len() - self.missing - self.unreadable
    }

    pub(crate) fn numbers(&self) -> Option<&[f64]> {
        match &self.data {
            Data::Numbers(v) => Some(v),
            Data::Codes { .. } => None,
        }
    }

    /// Codes, distinct values, counts.
    pub(crate) fn codes(&self) -> Option<(&[u32], &[&'a str], &[usize])> {
        match &self.data {
            Data::Codes { codes, values, counts } => Some((codes, values, counts)),
            Data::Numbers(_) => None,
        }
    }

    /// Whether the cell holds something usable.
    pub(crate) fn has(&self, row: usize) -> bool {
        match &self.data {
            Data::Numbers(v) => v.get(row).is_some_and(|v| v.is_finite()),
            Data::Codes { codes, .. } => codes.get(row).is_some_and(|c| *c != NO_CODE),
        }
    }

    pub(crate) fn is_feature(&self) -> bool {
        self.role == Role::Feature
    }

    /// Bits that are equal exactly when two cells count as equal.
    pub(crate) fn bits(&self, row: usize) -> u64 {
        match &self.data {
            Data::Numbers(v) if v[row].is_finite() => (v[row] + 0.0).to_bits(),
            // Missing cells are equal; unreadable ones are as unequal as their text.
            Data::Numbers(_) => match self.cells.value(row) {
                None => u64::MAX,
                Some(text) => FxBuildHasher.hash_one(text) | (1 << 63),
            },
            Data::Codes { codes, .. } => u64::from(codes[row]),
        }
    }

    /// The column as the predictive power score takes it.
    pub(crate) fn feature(&self) -> pps::Feature<'_> {
        match &self.data {
            Data::Numbers(v) => pps::Feature::Numbers(v),
            Data::Codes { codes, values, .. } => {
                pps::Feature::Codes { codes, values: values.len() }
            }
        }
    }

    /// Number of distinct values; for numbers counted with early exit at `most`.
    pub(crate) fn distinct(&self, most: usize) -> usize {
        match &self.data {
            Data::Codes { values, .. } => values.len(),
            Data::Numbers(v) => {
                let mut seen = rustc_hash::FxHashSet::default();
                for x in v.iter().filter(|x| x.is_finite()) {
                    seen.insert((x + 0.0).to_bits());
                    if seen.len() >= most {
                        break;
                    }
                }
                seen.len()
            }
        }
    }
}

fn days(cells: &Column, row: usize) -> Option<f64> {
    cells.date(row)
}

/// Groups of rows with equal keys, for groups of two or more.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    rows: Vec<u32>,
    ends: Vec<usize>,
    /// Number of distinct keys, single rows included.
    pub(crate) distinct: usize,
}

impl Groups {
    /// Groups items by key. A shared key is not yet a proof: `equal` compares the items themselves.
    pub(super) fn new(keys: &[u64], equal: impl Fn(usize, usize) -> bool) -> Self {
        let mut order: Vec<u32> = (0..keys.len() as u32).collect();
        order.par_sort_unstable_by_key(|&i| (keys[i as usize], i));
        let mut groups = Self::default();
        for same_key in order.chunk_by(|&a, &b| keys[a as usize] == keys[b as usize]) {
            if same_key.len() == 1 {
                groups.distinct += 1;
                continue;
            }
            let mut left = same_key.to_vec();
            while let Some(&first) = left.first() {
                let (same, rest): (Vec<u32>, Vec<u32>) =
                    left.into_iter().partition(|&i| equal(first as usize, i as usize));
                groups.distinct += 1;
                if same.len() > 1 {
                    groups.rows.extend(same);
                    groups.ends.push(groups.rows.len());
                }
                left = rest;
            }
        }
        groups
    }

    /// The rows of each group, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u32]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let group = &self.rows[start..end];
            start = end;
            group
        })
    }
}

/// Class labels of a classification dataset of any kind.
#[derive(Debug)]
pub(crate) struct Labels<'a> {
    /// Code per sample, [`NO_CODE`] when missing.
    pub(crate) codes: &'a [u32],
    pub(crate) names: Vec<&'a str>,
    /// Target column.
    pub(crate) column: Option<&'a str>,
    pub(crate) split: Option<&'a Split>,
}

/// Predictions of classes by models that have not seen the rows.
pub(crate) struct Predictions<'a> {
    pub(crate) oof: &'a OutOfFold,
    pub(crate) classes: &'a [String],
    /// Target column.
    pub(crate) column: Option<&'a str>,
    /// Rows with a label in all.
    pub(crate) of: usize,
    pub(crate) table: Option<&'a TableContext<'a>>,
}

impl Predictions<'_> {
    pub(crate) fn class(&self, class: usize) -> String {
        self.classes.get(class).map(|c| super::wording::short(c)).unwrap_or_default()
    }
}

/// A table and what the checks share about it.
pub(crate) struct TableContext<'a> {
    pub(crate) table: &'a Table,
    pub(crate) columns: Vec<Col<'a>>,
    pub(crate) split: Option<&'a Split>,
    pub(crate) orders: pps::Orders,
    /// Shares that groups should have.
    pub(crate) shares: &'a Shares,
    target: Option<usize>,
    /// Rows that are equal in every used column, the target included.
    pub(crate) all_groups: Groups,
    /// Rows that are equal in every feature.
    pub(crate) feature_groups: Groups,
    /// `None` without columns that a distance can use.
    pub(crate) neighbours: Option<Neighbours>,
}

/// Nearest neighbours of a sample of rows.
#[derive(Debug)]
pub(crate) struct Neighbours {
    /// Table row of each sampled point, ascending.
    pub(crate) rows: Vec<u32>,
    pub(crate) graph: Graph,
}

impl<'a> TableContext<'a> {
    pub(crate) fn new(
        table: &'a Table,
        schema: &'a Schema,
        split: Option<&'a Split>,
        shares: &'a Shares,
        progress: &Progress,
    ) -> Self {
        let kinds: FxHashMap<&str, ColumnType> =
            schema.columns.iter().map(|(n, k)| (n.as_str(), *k)).collect();
        let read = |cells: &'a Column| {
            let kind = kinds.get(cells.name()).copied().unwrap_or(cells.kind);
            let (role, numbers) = if cells.name() == schema.target {
                (Role::Target, matches!(schema.task, Task::Regression))
            } else if kind == ColumnType::Ignore {
                (Role::Ignored, false)
            } else {
                (Role::Feature, matches!(kind, ColumnType::Number | ColumnType::Date))
            };
            let column = Col::read(cells, kind, role, numbers);
            progress.done.fetch_add(1, Ordering::Relaxed);
            column
        };
        let started = std::time::Instant::now();
        let columns: Vec<Col> = table.columns().par_iter().map(read).collect();
        tracing::debug!(took = ?started.elapsed(), "columns read");
        let mut context = Self {
            target: columns.iter().position(|c| c.role == Role::Target),
            table,
            columns,
            split,
            orders: pps::Orders::default(),
            shares,
            all_groups: Groups::default(),
            feature_groups: Groups::default(),
            neighbours: None,
        };
        // Before the checks start, not when the first asks: they run in parallel, and a lock held
        // over parallel work can wait for itself.
        if !progress.cancel.load(Ordering::Relaxed) {
            let used = |c: &&Col| c.role != Role::Ignored;
            context.all_groups =
                context.group(&context.columns.iter().filter(used).collect::<Vec<_>>());
            context.feature_groups = context.group(&context.features().collect::<Vec<_>>());
            tracing::debug!(took = ?started.elapsed(), "rows grouped");
            context.neighbours = context.find_neighbours();
            tracing::debug!(took = ?started.elapsed(), "neighbours found");
        }
        context
    }

    pub(crate) fn rows(&self) -> usize {
        self.table.rows()
    }

    pub(crate) fn target(&self) -> Option<&Col<'a>> {
        self.columns.get(self.target?)
    }

    pub(crate) fn features(&self) -> impl Iterator<Item = &Col<'a>> {
        self.columns.iter().filter(|c| c.is_feature())
    }

    pub(crate) fn labels(&self) -> Option<Labels<'_>> {
        let target = self.target()?;
        let (codes, values, _) = target.codes()?;
        Some(Labels { codes, names: values.to_vec(), column: Some(target.name), split: self.split })
    }

    /// A 64-bit key per row over the given columns.
    pub(crate) fn keys(&self, columns: &[&Col<'a>]) -> Vec<u64> {
        let key =
            |row: usize| columns.iter().fold(0x9e37_79b9_7f4a_7c15, |h, c| fold(h, c.bits(row)));
        (0..self.rows()).into_par_iter().map(key).collect()
    }

    fn group(&self, columns: &[&Col<'a>]) -> Groups {
        if columns.is_empty() {
            return Groups::default();
        }
        let equal = |a, b| columns.iter().all(|c| c.bits(a) == c.bits(b));
        Groups::new(&self.keys(columns), equal)
    }

    /// Whether so few combinations of feature values exist that equal rows are to be expected: no
    /// feature takes many values, and there are fewer than ten combinations a row.
    pub(crate) fn coarse(&self) -> bool {
        let many = (self.rows() / 10).clamp(20, 1000);
        let mut combinations = 1.0f64;
        for column in self.features() {
            let distinct = column.distinct(many);
            combinations *= distinct.max(1) as f64;
            if distinct >= many || combinations >= 10.0 * self.rows() as f64 {
                return false;
            }
        }
        true
    }

    /// Features that a distance can use: numbers, and categories that repeat.
    pub(crate) fn measurable(&self) -> Vec<&Col<'a>> {
        self.features()
            .filter(|c| match (&c.data, c.kind) {
                (Data::Numbers(_), ColumnType::Number) => c.present() > 0,
                (Data::Codes { values, .. }, ColumnType::Category | ColumnType::Boolean) => {
                    values.len() > 1 && values.len() * 2 <= c.present()
                }
                _ => false,
            })
            .collect()
    }

    /// Nearest neighbours of at most [`super::knn::SAMPLE`] rows. Numbers are standardised, a missing
    /// one counts as the mean; two different categories are 1 apart. `None` without usable columns.
    fn find_neighbours(&self) -> Option<Neighbours> {
        let columns = self.measurable();
        if columns.is_empty() {
            return None;
        }
        let rows = rng::sample(self.rows(), Points::affordable(columns.len()), 1);
        let graph = Graph::new(&points(&columns, &rows), K)?;
        Some(Neighbours { rows, graph })
    }
}

/// The given rows as points.
pub(crate) fn points(columns: &[&Col], rows: &[u32]) -> Points {
    let numbers: Vec<Vec<f32>> = columns
        .iter()
        .filter_map(|c| c.numbers())
        .map(|v| {
            let taken: Vec<f64> = rows.iter().map(|&r| v[r as usize]).collect();
            let (mean, std) = stats::mean_std(&taken);
            let scale = if std > 0.0 { 1.0 / std } else { 0.0 };
            let z = |x: &f64| if x.is_finite() { ((x - mean) * scale) as f32 } else { 0.0 };
            taken.iter().map(z).collect()
        })
        .collect();
    let codes: Vec<&[u32]> = columns.iter().filter_map(|c| c.codes()).map(|c| c.0).collect();
    Points {
        rows: rows.len(),
        width: numbers.len(),
        numbers: (0..rows.len()).flat_map(|i| numbers.iter().map(move |n| n[i])).collect(),
        code_width: codes.len(),
        codes: rows.iter().flat_map(|&r| codes.iter().map(move |c| c[r as usize])).collect(),
    }
}

/// Mixes a value into a key (folded multiply).
pub(crate) fn fold(key: u64, value: u64) -> u64 {
    let product = u128::from(key ^ value) * 0x9fb2_1c65_1e98_df25_u128;
    let folded = (product as u64) ^ ((product >> 64) as u64);
    folded.wrapping_add(0x9e37_79b9_7f4a_7c15).rotate_left(23)
}

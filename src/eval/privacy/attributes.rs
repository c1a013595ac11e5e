//! Model inversion by attribute: someone who knows a row but for one cell, and its answer, takes the
//! value that makes the model surest of that answer, weighted by how common values are (Fredrikson
//! et al. 2014). What it finds of rows that training never saw is what the column has to do with the
//! answer; only what it finds of training rows beyond that was learned by heart.

use std::collections::HashMap;

use serde::Serialize;

use super::Subject;
use super::membership::known;
use crate::data::{ColumnType, Dataset, Progress, Samples};
use crate::error::ExportError;
use crate::eval::bootstrap::wilson;
use crate::eval::outcomes::Outcomes;
use crate::eval::perturb::{self, Change};
use crate::eval::{Interval, Meaning};

/// Most rows of either kind.
pub const MOST_ROWS: usize = 400;
/// Fewest rows of either kind for a verdict.
const MIN_ROWS: usize = 100;
/// Most values of a column that are tried.
const MOST_VALUES: usize = 12;
/// Most columns that are attacked.
const MOST_COLUMNS: usize = 8;
/// Share found of training rows beyond others that counts as given away.
const GAP: f64 = 0.05;

/// What can be inferred of one column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attribute {
    /// Column.
    pub column: String,
    /// Share of rows with the commonest value: what guessing that finds.
    pub commonest: f64,
    /// Share of training rows inferred rightly.
    pub members: f64,
    /// Share of other rows inferred rightly.
    pub others: f64,
    /// 95 % interval of the difference between the two (Newcombe 1998).
    pub gap: Interval,
    /// Rows of either kind.
    pub rows: [usize; 2],
}

impl Attribute {
    /// Whether training rows give away more than others, beyond chance.
    pub fn leaks(&self) -> bool {
        self.rows.iter().all(|n| *n >= MIN_ROWS)
            && self.gap.low > 0.0
            && self.members - self.others > GAP
    }
}

/// Interval of the difference of two shares, from Wilson's intervals of either (Newcombe 1998).
fn newcombe([hits_a, n_a]: [f64; 2], [hits_b, n_b]: [f64; 2]) -> Interval {
    let (a, b) = (hits_a / n_a.max(1.0), hits_b / n_b.max(1.0));
    let (of_a, of_b) = (wilson(hits_a, n_a), wilson(hits_b, n_b));
    Interval {
        low: a - b - ((a - of_a.low).powi(2) + (of_b.high - b).powi(2)).sqrt(),
        high: a - b + ((of_a.high - a).powi(2) + (b - of_b.low).powi(2)).sqrt(),
    }
}

fn thinned(rows: &[u32]) -> Vec<u32> {
    rows.iter().copied().step_by(rows.len().div_ceil(MOST_ROWS).max(1)).collect()
}

/// Values of a column among rows and how common each is; `None` if it has one or too many.
fn values(data: &Dataset, column: &str, rows: &[u32]) -> Option<Vec<(String, f64)>> {
    let Samples::Table(table) = &data.samples else { return None };
    let column = table.column(column)?;
    if !matches!(column.kind, ColumnType::Category | ColumnType::Boolean) {
        return None;
    }
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for row in rows {
        *counts.entry(column.value(*row as usize)?).or_default() += 1;
        if counts.len() > MOST_VALUES {
            return None;
        }
    }
    let mut all: Vec<(String, f64)> =
        counts.iter().map(|(v, n)| ((*v).to_owned(), *n as f64 / rows.len() as f64)).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    (all.len() > 1).then_some(all)
}

pub(super) fn look(
    subject: &mut Subject<'_>,
    progress: &Progress,
) -> Result<Vec<Attribute>, ExportError> {
    let Some((_, train)) = subject.train else { return Ok(Vec::new()) };
    if !matches!(subject.held_out.2, Outcomes::Classes(_)) {
        return Ok(Vec::new());
    }
    let (members, others) = (thinned(train), thinned(subject.held_out.1));
    let columns: Vec<String> = {
        let info = subject.predictor.model().info();
        info.preprocessor.columns().into_iter().map(str::to_owned).collect()
    };
    let mut found = Vec::new();
    for column in columns {
        if found.len() == MOST_COLUMNS {
            break;
        }
        let Some(values) = values(subject.dataset, &column, &members) else { continue };
        progress.check()?;
        let of_members = hits(subject, &column, &values, &members)?;
        let of_others = hits(subject, &column, &values, &others)?;
        let pair = |hits: usize, rows: &[u32]| [hits as f64, rows.len() as f64];
        let (a, b) = (pair(of_members, &members), pair(of_others, &others));
        found.push(Attribute {
            commonest: values.iter().map(|v| v.1).fold(0.0, f64::max),
            members: a[0] / a[1].max(1.0),
            others: b[0] / b[1].max(1.0),
            gap: newcombe(a, b),
            rows: [members.len(), others.len()],
            column,
        });
    }
    Ok(found)
}

/// Rows whose cell is inferred rightly.
fn hits(
    subject: &mut Subject<'_>,
    column: &str,
    values: &[(String, f64)],
    rows: &[u32],
) -> Result<usize, ExportError> {
    let target = subject.predictor.model().info().schema.target.clone();
    let mut best: Vec<(f64, &str)> = vec![(f64::NEG_INFINITY, ""); rows.len()];
    for (value, share) in values {
        let change = Change::Set(column.to_owned(), value.clone());
        let data = perturb::apply(subject.dataset, rows, &change, &target, 0);
        let all: Vec<u32> = (0..data.len() as u32).collect();
        let info = subject.predictor.model().info();
        let encoded = info.preprocessor.transform(&data, &all)?;
        let (meaning, classes) =
            (Meaning::of(&info.preprocessor), info.schema.task.classes().to_vec());
        let outputs = subject.predictor.outputs(&encoded)?;
        let Some(outcomes) = Outcomes::new(&classes, &encoded, outputs, meaning) else { continue };
        for (best, odds) in best.iter_mut().zip(known(&outcomes)) {
            // ln p from log odds, and the share of the value as what is known before.
            let score = -(-odds).exp().ln_1p() + share.ln();
            if score > best.0 {
                *best = (score, value);
            }
        }
    }
    let Samples::Table(table) = &subject.dataset.samples else { return Ok(0) };
    let Some(cells) = table.column(column) else { return Ok(0) };
    let right = |(best, row): (&(f64, &str), &u32)| cells.value(*row as usize) == Some(best.1);
    Ok(best.iter().zip(rows).filter(|pair| right(*pair)).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_of_shares_have_newcombes_interval() {
        // Newcombe 1998, table II, example (a): 56/70 against 48/80, method 10.
        let i = newcombe([56.0, 70.0], [48.0, 80.0]);
        assert!((i.low - 0.0524).abs() < 5e-5 && (i.high - 0.3339).abs() < 5e-5, "{i:?}");
    }

    #[test]
    fn only_clear_gaps_on_enough_rows_count() {
        let of = |members: f64, others: f64, n: usize| {
            let size = n as f64;
            Attribute {
                column: "sex".to_owned(),
                commonest: 0.5,
                members,
                others,
                gap: newcombe([members * size, size], [others * size, size]),
                rows: [n, n],
            }
            .leaks()
        };
        assert!(of(0.9, 0.6, 400));
        assert!(!of(0.62, 0.6, 400));
        assert!(!of(0.9, 0.6, 50));
        assert!(!of(0.6, 0.9, 400));
    }
}

//! Kinds of rows that a model gets wrong more often than the rest.

use super::{Check, Finding, Run, Severity};
use crate::quality::context::{Col, Data, Predictions};
use crate::quality::wording;

/// A segment scores weak below this share of the score of all rows.
const SCORE: f64 = 0.8;
/// Smallest share of the rows.
const SIZE: f64 = 0.05;
/// Fewest rows.
const FEWEST: usize = 30;
/// Parts of a column of numbers.
const PARTS: usize = 4;
/// Columns combined in pairs at most, those with the widest range of scores first.
const PAIRS: usize = 8;
/// Standard errors that the score must lie below the limit of chance.
const BEYOND: f64 = 3.0;

pub(super) const CHECK: Check = Check {
    name: "weak_segments",
    title: "Kinds of rows that a model gets wrong",
    definition: "Share of right predictions (out of fold, by a cross-validated network of this \
                 program) among the rows of one value or quarter of a column, or of two columns \
                 together, for segments of at least 5 % of the rows and 30 rows. Warning below 80 % \
                 of the share of all rows, where that is more than three standard errors. Source: \
                 deepchecks, Weak Segments Performance; the standard error is our own.",
    run: Run::Predictions(run),
};

/// Rows of one kind: a name and, per prediction, whether it belongs.
struct Segment<'a> {
    column: &'a str,
    name: String,
    rows: Vec<bool>,
}

fn run(p: &Predictions) -> Vec<Finding> {
    let Some(table) = p.table else { return Vec::new() };
    let k = p.oof.outputs;
    if k < 2 {
        return Vec::new();
    }
    let right: Vec<bool> = p
        .oof
        .predictions
        .chunks(k)
        .zip(&p.oof.labels)
        .map(|(row, label)| {
            let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(i, _)| i);
            best == Some(*label as usize)
        })
        .collect();
    let n = right.len();
    let overall = right.iter().filter(|r| **r).count() as f64 / n.max(1) as f64;
    let mut columns: Vec<(f64, Vec<Segment>)> = table
        .features()
        .map(|c| {
            let segments = segments(c, &p.oof.rows);
            let scores = segments.iter().filter(|s| size(&s.rows) >= FEWEST);
            let worst = scores.map(|s| score(&s.rows, &right)).fold(1.0, f64::min);
            (worst, segments)
        })
        .collect();
    columns.sort_by(|a, b| a.0.total_cmp(&b.0));
    let look = |columns: Vec<&'_ str>, name: String, rows: Vec<bool>| {
        let count = size(&rows);
        let score = score(&rows, &right);
        let error = (overall * (1.0 - overall) / count.max(1) as f64).sqrt();
        if count >= FEWEST
            && count as f64 >= SIZE * n as f64
            && score < SCORE * overall
            && score < overall - BEYOND * error
        {
            let columns: Vec<String> = columns.into_iter().map(str::to_owned).collect();
            return Some((score, columns, name, rows));
        }
        None
    };
    let mut found = Vec::new();
    for (_, segments) in &columns {
        for s in segments {
            found.extend(look(vec![s.column], s.name.clone(), s.rows.clone()));
        }
    }
    let top = columns.get(..PAIRS.min(columns.len())).unwrap_or_default();
    for (i, (_, a)) in top.iter().enumerate() {
        for (_, b) in &top[i + 1..] {
            for (s, t) in a.iter().flat_map(|s| b.iter().map(move |t| (s, t))) {
                let rows: Vec<bool> = s.rows.iter().zip(&t.rows).map(|(x, y)| *x && *y).collect();
                let name = format!("{} and {}", s.name, t.name);
                found.extend(look(vec![s.column, t.column], name, rows));
            }
        }
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Of segments that are mostly the same rows the weakest stands for all.
    let mut shown: Vec<Vec<bool>> = Vec::new();
    let mut findings = Vec::new();
    for (score, columns, name, rows) in found {
        let same = |other: &Vec<bool>| {
            let both = rows.iter().zip(other).filter(|(a, b)| **a && **b).count();
            both * 2 > size(&rows)
        };
        if shown.iter().any(same) || findings.len() >= 5 {
            continue;
        }
        let title = format!(
            "Where {name}, a model is right for {} of {}, but for {} of all",
            wording::percent(score),
            wording::counted(size(&rows), "row"),
            wording::percent(overall)
        );
        let advice = "Collect more rows of this kind, or add a column that tells them apart. Do not \
                      rely on the model there.";
        let at = |(i, _): (usize, &bool)| p.oof.rows.get(i).map(|r| *r as usize);
        let evidence: Vec<usize> =
            rows.iter().enumerate().filter(|(_, in_it)| **in_it).filter_map(at).collect();
        findings.push(
            CHECK
                .finding(Severity::Warning, title, advice)
                .columns(columns)
                .rows(evidence)
                .value(score, SCORE * overall),
        );
        shown.push(rows);
    }
    findings
}

fn size(rows: &[bool]) -> usize {
    rows.iter().filter(|r| **r).count()
}

fn score(rows: &[bool], right: &[bool]) -> f64 {
    let hits = rows.iter().zip(right).filter(|(a, b)| **a && **b).count();
    hits as f64 / size(rows).max(1) as f64
}

fn segments<'a>(column: &'a Col, rows: &[u32]) -> Vec<Segment<'a>> {
    match &column.data {
        Data::Numbers(v) => {
            let taken: Vec<f64> =
                rows.iter().map(|r| v.get(*r as usize).copied().unwrap_or(f64::NAN)).collect();
            let mut sorted: Vec<f64> = taken.iter().copied().filter(|x| x.is_finite()).collect();
            sorted.sort_by(f64::total_cmp);
            let cut = |q: usize| sorted.get(q * sorted.len() / PARTS).copied();
            let mut cuts: Vec<f64> = (1..PARTS).filter_map(cut).collect();
            cuts.dedup();
            let part = |x: f64| cuts.iter().filter(|c| x >= **c).count();
            (0..=cuts.len())
                .map(|i| {
                    let name = match (i.checked_sub(1).and_then(|j| cuts.get(j)), cuts.get(i)) {
                        (None, Some(b)) => {
                            format!("{} is below {}", column.name, wording::number(*b))
                        }
                        (Some(a), Some(b)) => format!(
                            "{} is {} to below {}",
                            column.name,
                            wording::number(*a),
                            wording::number(*b)
                        ),
                        (Some(a), None) => {
                            format!("{} is {} or more", column.name, wording::number(*a))
                        }
                        (None, None) => format!("{} has a value", column.name),
                    };
                    let rows = taken.iter().map(|x| x.is_finite() && part(*x) == i).collect();
                    Segment { column: column.name, name, rows }
                })
                .collect()
        }
        Data::Codes { codes, values, counts } => {
            let mut common: Vec<usize> = (0..values.len()).collect();
            common.sort_by_key(|c| std::cmp::Reverse(counts[*c]));
            common.truncate(20);
            common
                .into_iter()
                .map(|c| Segment {
                    column: column.name,
                    name: format!("{} is \"{}\"", column.name, wording::short(values[c])),
                    rows: rows
                        .iter()
                        .map(|r| codes.get(*r as usize).is_some_and(|x| *x as usize == c))
                        .collect(),
                })
                .collect()
        }
    }
}

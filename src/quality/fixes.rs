//! What can be done about a finding: steps that are recorded, previewed and can be taken back.

use std::collections::BTreeMap;

use super::Finding;
use super::stats::{quantile, sorted};
use crate::data::{Column, ColumnType, Dataset, Samples, Schema, Step, Table, Task};

/// One way to deal with a finding.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Fix {
    /// What it does, in a few words.
    pub label: String,
    /// The steps.
    pub steps: Vec<Step>,
}

impl Fix {
    fn new(step: Step) -> Self {
        Self { label: step.label(), steps: vec![step] }
    }

    fn named(label: impl Into<String>, steps: Vec<Step>) -> Option<Self> {
        (!steps.is_empty()).then(|| Self { label: label.into(), steps })
    }
}

/// Share of a column's values that "rare" categories make up less than each.
const RARE: f64 = 0.01;
/// Values below which a category is rare, whatever its share.
const RARE_ROWS: usize = 10;

/// Ways to deal with a finding, the most usual first; none where only a person can decide.
pub fn of(finding: &Finding, dataset: &Dataset, schema: &Schema) -> Vec<Fix> {
    match &dataset.samples {
        Samples::Images(_) => of_images(finding, schema),
        Samples::Table(table) => of_table(finding, table, schema),
    }
}

/// Leaves out the evidence, if all of it is known.
fn drop_rows(finding: &Finding) -> Option<Fix> {
    let whole = finding.row_count == finding.rows.len() && !finding.rows.is_empty();
    let mut rows: Vec<u32> = finding.rows.iter().map(|r| *r as u32).collect();
    rows.sort_unstable();
    rows.dedup();
    whole.then(|| Fix::new(Step::DropRows { rows }))
}

fn of_images(finding: &Finding, schema: &Schema) -> Vec<Fix> {
    let mut fixes = Vec::new();
    match finding.check {
        "imbalance" => fixes.extend(balance(schema)),
        "image_duplicates"
        | "image_near_duplicates"
        | "image_overlap"
        | "image_conflicts"
        | "image_odd"
        | "label_issues"
        | "label_flips"
        | "trigger_patch" => {
            fixes.extend(drop_rows(finding));
        }
        _ => {}
    }
    fixes
}

fn balance(schema: &Schema) -> Option<Fix> {
    (schema.task != Task::Regression).then(|| Fix::new(Step::Balance))
}

/// Leaves columns out, the target never.
fn drop_columns(finding: &Finding, schema: &Schema) -> Option<Fix> {
    let columns: Vec<String> =
        finding.columns.iter().filter(|c| **c != schema.target).cloned().collect();
    (!columns.is_empty()).then(|| Fix::new(Step::DropColumns { columns }))
}

fn each(finding: &Finding, label: &str, step: impl Fn(&String) -> Option<Step>) -> Option<Fix> {
    let steps: Vec<Step> = finding.columns.iter().filter_map(step).collect();
    match steps.as_slice() {
        [] => None,
        [one] => Some(Fix::new(one.clone())),
        _ => Fix::named(label, steps),
    }
}

fn of_table(finding: &Finding, table: &Table, schema: &Schema) -> Vec<Fix> {
    let column = |name: &String| table.column(name);
    let is_target = finding.columns.contains(&schema.target);
    let mut fixes: Vec<Option<Fix>> = Vec::new();
    match finding.check {
        "target_leakage" | "identifier_leakage" | "date_leakage" | "group_leakage" | "constant"
        | "identifier" | "new_categories" | "drift" | "domain_classifier" => {
            fixes.push(drop_columns(finding, schema));
        }
        "correlation" => {
            // One of a pair is enough: the later one goes.
            let later = finding.columns.iter().rfind(|c| **c != schema.target);
            fixes.push(later.map(|c| Fix::new(Step::DropColumns { columns: vec![c.clone()] })));
        }
        "duplicates" => {
            let except = schema
                .columns
                .iter()
                .filter(|(n, k)| *k == ColumnType::Ignore && *n != schema.target)
                .map(|(n, _)| n.clone())
                .collect();
            fixes.push(Some(Fix::new(Step::DropDuplicates { except })));
        }
        "near_duplicates" | "overlap" | "conflicting_labels" | "outliers" | "label_issues"
        | "label_flips" | "new_labels" => fixes.push(drop_rows(finding)),
        "imbalance" => fixes.push(balance(schema)),
        "missing" => {
            if is_target {
                fixes.push(each(finding, "Leave out rows without it", |c| {
                    Some(Step::DropMissing { column: c.clone() })
                }));
            } else {
                fixes.push(each(finding, "Fill the empty cells of each column", |c| {
                    fill(column(c)?)
                }));
                fixes.push(each(finding, "Leave out rows without a value", |c| {
                    Some(Step::DropMissing { column: c.clone() })
                }));
                fixes.push(drop_columns(finding, schema));
            }
        }
        "null_spellings" => {
            fixes.push(each(finding, "Take these for missing", |c| stand_ins(finding, column(c)?)));
        }
        "mixed_types" => {
            fixes.push(drop_rows(finding));
        }
        "category_spelling" => {
            fixes.push(each(finding, "Give each value one spelling", |c| merge(column(c)?)));
        }
        "rare_categories" => {
            fixes.push(each(finding, "Put rare values together", |c| {
                if *c == schema.target { None } else { group(column(c)?) }
            }));
        }
        "extremes" => {
            fixes.push(each(finding, "Hold each column within its usual range", |c| {
                if *c == schema.target { None } else { cap(column(c)?) }
            }));
            fixes.push(drop_rows(finding));
        }
        "personal_data" => {
            fixes.push(drop_columns(finding, schema));
            fixes.push(each(finding, "Replace by pseudonyms", |c| {
                Some(Step::Hash { column: c.clone(), key: key(table, c) })
            }));
            fixes.push(each(finding, "Mask letters and digits", |c| {
                Some(Step::Mask { column: c.clone() })
            }));
        }
        _ => {}
    }
    fixes.into_iter().flatten().collect()
}

/// A key of its own for every column and file, kept in the project.
fn key(table: &Table, column: &str) -> String {
    use std::hash::{BuildHasher, Hasher};
    // The standard library's random state is seeded by the system.
    let mut hash = std::hash::RandomState::new().build_hasher();
    hash.write(column.as_bytes());
    hash.write_usize(table.rows());
    format!("{:016x}", hash.finish())
}

/// The median of numbers, the commonest value of others.
fn fill(column: &Column) -> Option<Step> {
    let value = if column.kind == ColumnType::Number {
        let numbers = sorted(column.numbers().into_iter().filter(|v| v.is_finite()));
        if numbers.is_empty() {
            return None;
        }
        column.format.write(quantile(&numbers, 0.5))
    } else {
        let (codes, values) = column.codes();
        let mut counts = vec![0usize; values.len()];
        for code in codes {
            if let Some(n) = counts.get_mut(code as usize) {
                *n += 1;
            }
        }
        let most = (0..values.len()).rev().max_by_key(|i| counts[*i])?;
        values.get(most).map(|v| (*v).to_owned())?
    };
    Some(Step::Fill { column: column.name().to_owned(), value })
}

/// The values in the evidence that are not empty.
fn stand_ins(finding: &Finding, column: &Column) -> Option<Step> {
    let mut values: Vec<String> = Vec::new();
    for row in &finding.rows {
        let cell = column.raw(*row).trim();
        if !cell.is_empty() && !values.iter().any(|v| v == cell) {
            values.push(cell.to_owned());
        }
        if values.len() > 20 {
            return None;
        }
    }
    (!values.is_empty()).then(|| Step::Empty { column: column.name().to_owned(), values })
}

/// Rarer spellings become the commonest one that is equal without case, spaces and signs.
fn merge(column: &Column) -> Option<Step> {
    let (codes, values) = column.codes();
    let mut counts = vec![0usize; values.len()];
    for code in codes {
        if let Some(n) = counts.get_mut(code as usize) {
            *n += 1;
        }
    }
    let mut by_base: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (i, value) in values.iter().enumerate() {
        if let Some(base) = super::checks::spelling_base(value) {
            by_base.entry(base).or_default().push(i);
        }
    }
    let mut spellings = BTreeMap::new();
    for group in by_base.values().filter(|g| g.len() > 1) {
        let best = group.iter().copied().max_by_key(|i| counts[*i])?;
        for i in group.iter().filter(|i| **i != best) {
            spellings.insert(values[*i].to_owned(), values[best].to_owned());
        }
    }
    (!spellings.is_empty()).then(|| Step::Merge { column: column.name().to_owned(), spellings })
}

fn group(column: &Column) -> Option<Step> {
    let (codes, values) = column.codes();
    let mut counts = vec![0usize; values.len()];
    for code in codes {
        if let Some(n) = counts.get_mut(code as usize) {
            *n += 1;
        }
    }
    let total: usize = counts.iter().sum();
    let least = ((total as f64 * RARE) as usize).max(RARE_ROWS.min(total / 20));
    let keep: Vec<String> = values
        .iter()
        .zip(&counts)
        .filter(|(_, n)| **n >= least)
        .map(|(v, _)| (*v).to_owned())
        .collect();
    let mut other = "other".to_owned();
    while keep.contains(&other) {
        other.push('_');
    }
    (!keep.is_empty() && keep.len() + 1 < values.len()).then(|| Step::Group {
        column: column.name().to_owned(),
        keep,
        other,
    })
}

/// Q1 − 3 IQR to Q3 + 3 IQR, the fences of the check.
fn cap(column: &Column) -> Option<Step> {
    let numbers = sorted(column.numbers().into_iter().filter(|v| v.is_finite()));
    if numbers.is_empty() {
        return None;
    }
    let (q1, q3) = (quantile(&numbers, 0.25), quantile(&numbers, 0.75));
    let reach = 3.0 * (q3 - q1);
    (reach > 0.0).then(|| Step::Cap {
        column: column.name().to_owned(),
        low: q1 - reach,
        high: q3 + reach,
    })
}

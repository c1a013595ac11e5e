//! Input that is not what the model was made for: columns gone, of another type, in another unit,
//! empty, or with values that training had not seen. Such faults are named before any statistics, as
//! training again on them would teach the fault.

use super::advice::{Alert, AlertKind};
use super::drift::ColumnDrift;
use super::reference::Reference;
use super::signals::{Kind, Signal};
use crate::data::{Dataset, Preprocessor, Samples};
use crate::quality::{Severity, wording};

/// Share of cells that do not fit the type from which it is another type.
const OTHER_TYPE: f64 = 0.05;
/// By how much the share of missing cells has to rise.
const MORE_MISSING: f64 = 0.1;
/// Share of rows with a new category, or a number out of range, that is worth a warning.
const STRANGE: f64 = 0.05;

/// Columns that the model needs and the data lacks.
pub(crate) fn missing_columns(prep: &Preprocessor, dataset: &Dataset) -> Vec<String> {
    match &dataset.samples {
        Samples::Table(table) => {
            let absent = |name: &&str| table.column(name).is_none();
            prep.columns().into_iter().filter(absent).map(str::to_owned).collect()
        }
        Samples::Images(_) => Vec::new(),
    }
}

fn alert(severity: Severity, columns: &[String], title: String, advice: &str) -> Alert {
    let columns = columns.to_vec();
    Alert { severity, kind: AlertKind::Input, title, advice: advice.to_owned(), columns }
}

/// All that is wrong with the input.
pub(crate) fn look(
    missing: &[String],
    reference: &Reference,
    signals: &[Signal],
    columns: &[ColumnDrift],
    rows: usize,
) -> Vec<Alert> {
    let mut found = Vec::new();
    if !missing.is_empty() {
        found.push(alert(
            Severity::High,
            missing,
            format!("Columns that the model needs are missing: {}", wording::list(missing, 8)),
            "No row can be answered. Add them, spelled as in training; empty cells are allowed.",
        ));
    }
    for signal in signals {
        let present = rows.saturating_sub(gone(signal));
        let share = signal.unreadable.1 as f64 / present.max(1) as f64;
        if signal.unreadable.1 > 0 && share >= OTHER_TYPE {
            let kind = if signal.kind == Kind::Date { "dates" } else { "numbers" };
            let severity = if share >= 0.5 { Severity::High } else { Severity::Warning };
            found.push(alert(
                severity,
                std::slice::from_ref(&signal.name),
                format!(
                    "\"{}\" held {kind} in training, but {} of its cells hold something else",
                    signal.name,
                    wording::percent(share)
                ),
                "Such cells count as missing. Look at how the column is written now.",
            ));
        }
    }
    for column in columns {
        found.extend(of_column(column, reference));
    }
    found
}

/// Missing cells of a signal, without the unreadable ones.
fn gone(signal: &Signal) -> usize {
    let empty = match &signal.cells {
        super::signals::Cells::Numbers(v) => v.iter().filter(|v| !v.is_finite()).count(),
        super::signals::Cells::Codes { codes, .. } => {
            codes.iter().filter(|c| **c == crate::data::table::NO_CODE).count()
        }
    };
    empty.saturating_sub(signal.unreadable.1)
}

fn of_column(column: &ColumnDrift, reference: &Reference) -> Vec<Alert> {
    let name = std::slice::from_ref(&column.name);
    let mut found = Vec::new();
    if let Some(ratio) = column.unit {
        found.push(alert(
            Severity::High,
            name,
            format!(
                "\"{}\" is about {} times as large as in training",
                column.name,
                wording::number(ratio)
            ),
            "That looks like another unit. Convert it back before anything is predicted.",
        ));
    }
    let [before, now] = column.missing;
    if now >= 1.0 && before < 0.5 {
        found.push(alert(
            Severity::High,
            name,
            format!("\"{}\" has no usable value in any row", column.name),
            "The model fills it with a typical value and answers without it. Find out why it is empty.",
        ));
    } else if now - before >= MORE_MISSING {
        found.push(alert(
            Severity::Warning,
            name,
            format!(
                "\"{}\" is missing in {} of the rows; in training it was {}",
                column.name,
                wording::percent(now),
                wording::percent(before)
            ),
            "Find out why; the model fills gaps with a typical value.",
        ));
    }
    let strange: usize = column.new_categories.iter().map(|c| c.1).sum();
    if strange > 0 {
        let names: Vec<&str> = column.new_categories.iter().map(|c| c.0.as_str()).collect();
        let share = strange as f64 / column.usable.max(1) as f64;
        let severity = if share >= STRANGE { Severity::Warning } else { Severity::Info };
        found.push(alert(
            severity,
            name,
            format!(
                "\"{}\" has values that training had not seen, in {}: {}",
                column.name,
                wording::counted(strange, "row"),
                wording::list(&names, 3)
            ),
            "The model cannot tell them apart. Correct spellings, or train again once they are common.",
        ));
    }
    if let Some(outside) = column.outside.filter(|_| column.unit.is_none()) {
        // Of new rows, 2 / (n + 1) are expected beyond the ends of n training rows.
        let rows = reference.column(&column.name).map_or(0, |c| c.rows);
        let chance = 2.0 / (rows as f64 + 1.0);
        let date = column.kind == Kind::Date;
        if outside >= STRANGE && outside > 5.0 * chance {
            let (severity, advice) = if date {
                (Severity::Info, "Time moves on; the model has to guess how things go on.")
            } else {
                (Severity::Warning, "The model has to guess there, and may be far off.")
            };
            found.push(alert(
                severity,
                name,
                format!(
                    "\"{}\" lies outside of the range of the training in {} of the rows",
                    column.name,
                    wording::percent(outside)
                ),
                advice,
            ));
        }
    }
    found
}

//! What the formats with typed cells share: their values as text, and the table made of them.

use super::csv::{MAX_CELL, MAX_COLUMNS, unique_names};
use crate::data::{Column, ImportNote, Table, count, infer, invalid};
use crate::error::DataError;

/// A number as the shortest text that reads back as the same number.
pub(crate) fn number_text(v: f64) -> String {
    if v != 0.0 && v.is_finite() && !(1e-7..1e17).contains(&v.abs()) {
        format!("{v:e}")
    } else {
        format!("{v}")
    }
}

/// Cells counted by what they held, in the order first seen.
#[derive(Debug, Default)]
pub(crate) struct Tally(Vec<(&'static str, usize)>);

impl Tally {
    pub(crate) fn see(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    pub(crate) fn add(&mut self, what: &'static str, n: usize) {
        match self.0.iter_mut().find(|(w, _)| *w == what) {
            Some((_, k)) => *k += n,
            None if n > 0 => self.0.push((what, n)),
            None => {}
        }
    }

    /// `Cells as stored: 12 numbers, 3 dates.`
    pub(crate) fn note(mut self) -> Option<ImportNote> {
        self.0.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        let parts: Vec<String> = self.0.iter().map(|(what, n)| count(*n, what)).collect();
        (!parts.is_empty())
            .then(|| ImportNote::info(format!("Cells as stored: {}.", parts.join(", "))))
    }
}

/// Empty columns of these names, made unique.
pub(crate) fn columns(
    names: Vec<String>,
    notes: &mut Vec<ImportNote>,
) -> Result<Vec<Column>, DataError> {
    if names.len() > MAX_COLUMNS {
        return Err(too_many(names.len()));
    }
    let names = names.into_iter().map(|n| n.trim().to_owned()).collect();
    Ok(unique_names(names, true, notes).into_iter().map(Column::new).collect())
}

pub(crate) fn too_many(columns: usize) -> DataError {
    invalid(
        format!(
            "This table has {}; at most {} are supported",
            count(columns, "column"),
            count(MAX_COLUMNS, "column")
        ),
        "Choose the columns that are needed and save them as a file of their own.",
    )
}

/// Refuses a cell that is too long to be one.
pub(crate) fn check_cell(cell: &str, row: u64, column: &str) -> Result<(), DataError> {
    if cell.len() <= MAX_CELL {
        return Ok(());
    }
    Err(invalid(
        format!("This cell holds {}", count(cell.len(), "byte")),
        format!("At most {} are supported; shorten it or leave the column out.", MAX_CELL),
    )
    .at_row(row)
    .in_column(column))
}

/// The finished table with inferred types.
pub(crate) fn table(
    mut columns: Vec<Column>,
    lines: Vec<u64>,
    mut notes: Vec<ImportNote>,
) -> Result<(Table, Vec<ImportNote>), DataError> {
    if columns.is_empty() {
        return Err(invalid(
            "There is no column in this data",
            "Choose data with one row per example and one column per property.",
        ));
    }
    if lines.is_empty() {
        return Err(invalid(
            "There are column names but no rows",
            "Choose data with one row per example.",
        ));
    }
    for column in &mut columns {
        column.pad(lines.len());
        column.shrink();
    }
    let mut table = Table::new(columns, lines);
    notes.extend(infer::infer(&mut table, false));
    Ok((table, notes))
}

/// Runs a reader of other hands that may panic on damaged input.
pub(crate) fn guarded<T>(
    what: &str,
    read: impl FnOnce() -> Result<T, DataError>,
) -> Result<T, DataError> {
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(read));
    result.unwrap_or_else(|_| Err(damaged(what, "its parts do not fit together")))
}

/// A file that says it is something and is not, or not wholly.
pub(crate) fn damaged(what: &str, why: impl std::fmt::Display) -> DataError {
    invalid(
        format!("This {what} is damaged or cut short: {why}"),
        "Copy or export it again; if it opens elsewhere, save it there as CSV.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_as_themselves() {
        for v in [0.0, -0.0, 1.0, 0.1, 1e-9, 1e300, -123_456_789.25, 1e16, f64::MIN_POSITIVE] {
            let text = number_text(v);
            assert_eq!(text.parse::<f64>().unwrap().to_bits(), v.to_bits(), "{text}");
            assert!(text.len() < 25, "{text}");
        }
    }
}

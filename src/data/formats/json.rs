//! JSON and JSON Lines: a list of objects (also inside one field of an object), one object a line, or
//! an object of columns as pandas writes them. Nested objects become columns named `outer.inner`, lists
//! become their own JSON text. Numbers keep their value; where one has more digits than a 64-bit
//! float holds, that is noted.

mod rows;

use std::path::Path;
use std::sync::atomic::Ordering;

use serde_json::Value;

use self::rows::Rows;
use super::build;
use super::text;
use crate::data::{ImportNote, Progress, Table, invalid};
use crate::error::DataError;

/// Reads a table from the bytes of a file.
pub(crate) fn read(
    path: &Path,
    bytes: &[u8],
    progress: &Progress,
) -> Result<(Table, Vec<ImportNote>), DataError> {
    read_in(bytes, progress).map_err(|e| e.in_file(path))
}

fn read_in(bytes: &[u8], progress: &Progress) -> Result<(Table, Vec<ImportNote>), DataError> {
    let decoded = text::decode(bytes);
    let text = decoded.text.trim_start_matches('\u{feff}');
    progress.total.store(text.len() as u64, Ordering::Relaxed);
    let mut rows = Rows::default();
    if is_lines(text) {
        lines(text, &mut rows, progress)?;
    } else {
        whole(text, &mut rows, progress)?;
    }
    let mut notes = vec![decoded.note];
    let (columns, lines) = rows.finish(&mut notes)?;
    build::table(columns, lines, notes)
}

/// Whether every line is a value of its own: the first line is a whole object and more follow.
fn is_lines(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
    let Some(first) = lines.next() else { return false };
    let whole = first.starts_with('{') && serde_json::from_str::<Value>(first).is_ok();
    whole && lines.next().is_some_and(|l| l.starts_with('{'))
}

fn lines(text: &str, rows: &mut Rows, progress: &Progress) -> Result<(), DataError> {
    for (i, line) in text.lines().enumerate() {
        if i % 4096 == 0 {
            progress.check()?;
        }
        progress.done.fetch_add(line.len() as u64 + 1, Ordering::Relaxed);
        if line.trim().is_empty() {
            continue;
        }
        let row = i as u64 + 1;
        rows.object(line, row).map_err(|e| broken(&e, row - 1))?;
    }
    Ok(())
}

fn whole(text: &str, rows: &mut Rows, progress: &Progress) -> Result<(), DataError> {
    if text.trim_start().starts_with('[') {
        return rows.list(text, progress).map_err(|e| stopped(e, progress));
    }
    if text.trim().is_empty() {
        return Err(invalid("This file is empty", "Choose a file that holds a list of objects."));
    }
    let value: Value = serde_json::from_str(text).map_err(|e| broken(&e, 0))?;
    let Value::Object(fields) = value else { return Err(no_table()) };
    // One list of objects among the fields: {"count": 3, "results": [{…}, …]}.
    let is_rows =
        |v: &Value| v.as_array().is_some_and(|a| !a.is_empty() && a.iter().all(|r| r.is_object()));
    let mut lists = fields.iter().filter(|(_, v)| is_rows(v));
    if let (Some((name, list)), None) = (lists.next(), lists.next()) {
        rows.note(format!("The rows are the list \"{name}\"."));
        return rows.list(&list.to_string(), progress).map_err(|e| stopped(e, progress));
    }
    by_column(&fields, rows)
}

/// `{"a": [1, 2], "b": [3, 4]}` or `{"a": {"0": 1, "1": 2}, …}`.
fn by_column(fields: &serde_json::Map<String, Value>, rows: &mut Rows) -> Result<(), DataError> {
    let column = |v: &Value| -> Option<Vec<Value>> {
        match v {
            Value::Array(a) => Some(a.clone()),
            Value::Object(o) => {
                let mut cells: Vec<(&String, &Value)> = o.iter().collect();
                if cells.iter().all(|(k, _)| k.parse::<u64>().is_ok()) {
                    cells.sort_by_key(|(k, _)| k.parse::<u64>().unwrap_or(0));
                }
                Some(cells.into_iter().map(|(_, v)| v.clone()).collect())
            }
            _ => None,
        }
    };
    let columns: Option<Vec<(&String, Vec<Value>)>> =
        fields.iter().map(|(k, v)| Some((k, column(v)?))).collect();
    let columns = columns.filter(|c| !c.is_empty()).ok_or_else(no_table)?;
    let height = columns.iter().map(|(_, c)| c.len()).max().unwrap_or(0);
    if let Some((name, c)) = columns.iter().find(|(_, c)| c.len() != height) {
        return Err(invalid(
            format!("Column \"{name}\" has {} values, others have {height}", c.len()),
            "Give every column the same number of values.",
        )
        .in_column(name));
    }
    for row in 0..height {
        let cells = columns.iter().map(|(name, cells)| (name.as_str(), cells.get(row)));
        rows.cells(cells, row as u64 + 1)?;
    }
    rows.note("The values are listed column by column.".to_owned());
    Ok(())
}

fn no_table() -> DataError {
    invalid(
        "This JSON holds no table",
        "A list of objects is needed, one per row: [{\"size\": 3, \"price\": 10}, …].",
    )
}

fn stopped(e: serde_json::Error, progress: &Progress) -> DataError {
    if progress.cancel.load(Ordering::Relaxed) { DataError::Cancelled } else { broken(&e, 0) }
}

/// `above`: lines of the file before the text that was parsed.
fn broken(e: &serde_json::Error, above: u64) -> DataError {
    let text = e.to_string();
    let what = text.split(" at line ").next().unwrap_or("").to_owned();
    let advice = if e.is_eof() {
        "The file ends too early; copy or export it again."
    } else if e.is_data() {
        "Make every row an object of the same kind: {\"name\": value, …}."
    } else {
        "Correct it there, or export the data again."
    };
    let row = above + e.line().max(1) as u64;
    invalid(format!("This is not correct JSON: {what} (character {})", e.column()), advice)
        .at_row(row)
}

#[cfg(test)]
mod tests;

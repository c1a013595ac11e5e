//! JSON and JSON Lines: a list of objects (also inside one field of an object), one object a line, or
//! an object of columns as pandas writes them. Nested objects become columns named `outer.inner`, lists
//! become their own JSON text. Numbers keep their value; where one has more digits than a 64-bit
//! float holds, that is noted.

mod rows;

use std::path::Path;
use std::sync::atomic::Ordering;

use serde_json::Value;

use self::rows::{Fields, Rows};
use super::build;
use super::text;
use crate::data::{ImportNote, Progress, Table, count, invalid};
use crate::error::DataError;

/// Reads a table from the bytes of a file.
pub(crate) fn read(
    path: &Path,
    bytes: &[u8],
    part: Option<&str>,
    progress: &Progress,
) -> Result<(Table, Vec<ImportNote>), DataError> {
    read_in(bytes, part, progress).map_err(|e| e.in_file(path))
}

fn read_in(
    bytes: &[u8],
    part: Option<&str>,
    progress: &Progress,
) -> Result<(Table, Vec<ImportNote>), DataError> {
    let decoded = text::decode(bytes);
    let text = decoded.text.trim_start_matches('\u{feff}');
    progress.total.store(text.len() as u64, Ordering::Relaxed);
    let parse = |text: &str| {
        let mut rows = Rows::default();
        if is_lines(text) {
            lines(text, &mut rows, progress)?;
        } else {
            whole(text, part, &mut rows, progress)?;
        }
        Ok(rows)
    };
    let mut notes = vec![decoded.note];
    let rows = match parse(text) {
        Err(e) => match without_nan(text) {
            Some((text, words)) => {
                notes.push(ImportNote::repair(
                    format!(
                        "{} such as NaN, which JSON does not know, read as null.",
                        count(words, "word")
                    ),
                    &[],
                ));
                parse(&text)?
            }
            None => return Err(e),
        },
        Ok(rows) => rows,
    };
    let (columns, lines) = rows.finish(&mut notes)?;
    build::table(columns, lines, notes)
}

/// The text with `null` for NaN and Infinity, as Python and R write them, and how many there were.
fn without_nan(text: &str) -> Option<(String, usize)> {
    let words = ["NaN", "-Infinity", "Infinity", "-inf", "inf", "nan"];
    if !words.iter().any(|w| text.contains(w)) {
        return None;
    }
    let (mut out, mut n) = (String::with_capacity(text.len()), 0);
    let (mut inside, mut escaped, mut rest) = (false, false, text);
    while let Some(c) = rest.chars().next() {
        if !inside && let Some(word) = words.iter().find(|w| rest.starts_with(**w)) {
            out.push_str("null");
            n += 1;
            rest = &rest[word.len()..];
            continue;
        }
        if c == '"' && !escaped {
            inside = !inside;
        }
        escaped = inside && c == '\\' && !escaped;
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    (n > 0).then_some((out, n))
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
        rows.object(line, row).map_err(|e| match broken(&e, row - 1) {
            DataError::Invalid { what, place, .. } if e.is_eof() => DataError::Invalid {
                what,
                place,
                advice:
                    "The object in this line is not complete; correct the line or leave it out."
                        .to_owned(),
            },
            other => other,
        })?;
    }
    Ok(())
}

fn whole(
    text: &str,
    part: Option<&str>,
    rows: &mut Rows,
    progress: &Progress,
) -> Result<(), DataError> {
    if text.trim_start().starts_with('[') {
        return rows.list(text, progress).map_err(|e| stopped(e, progress));
    }
    if text.trim().is_empty() {
        return Err(invalid("This file is empty", "Choose a file that holds a list of objects."));
    }
    let Fields(fields) = serde_json::from_str(text).map_err(|e| broken(&e, 0))?;
    // Lists of objects among the fields: {"count": 3, "results": [{…}, …]}.
    let mut lists = Vec::new();
    let fields_of = || fields.iter().map(|(k, v)| (k.as_str(), v));
    fields_of().for_each(|(k, v)| find_lists(k.to_owned(), v, NESTED, &mut lists));
    let names: Vec<String> = lists.iter().map(|(n, _)| format!("\"{n}\"")).collect();
    let chosen = match part {
        Some(part) => Some(lists.iter().find(|(n, _)| n == part).ok_or_else(|| {
            invalid(
                format!("There is no list \"{part}\" in this file"),
                format!("Its lists of objects are: {}.", names.join(", ")),
            )
        })?),
        None => lists.iter().rev().max_by_key(|(_, items)| items.len()),
    };
    if let Some((name, items)) = chosen {
        let others: Vec<String> =
            names.iter().filter(|n| **n != format!("\"{name}\"")).cloned().collect();
        rows.note(match others.as_slice() {
            [] => format!("The rows are the list \"{name}\"."),
            others => format!(
                "The rows are the list \"{name}\", the longest; not read: {}.",
                others.join(", ")
            ),
        });
        if fields_of().any(|(k, _)| k == name) {
            return rows.list_in(text, name, progress).map_err(|e| stopped(e, progress));
        }
        let text = serde_json::to_string(items).map_err(|e| broken(&e, 0))?;
        return rows.list(&text, progress).map_err(|e| stopped(e, progress));
    }
    let field = |name: &str| fields_of().find(|(k, _)| *k == name).and_then(|(_, v)| v.as_array());
    // As pandas writes it with orient="split".
    if let (Some(names), Some(data)) = (field("columns"), field("data"))
        && data.iter().all(|r| r.as_array().is_some_and(|r| r.len() == names.len()))
    {
        let names: Vec<String> =
            names.iter().map(|n| n.as_str().map_or_else(|| n.to_string(), str::to_owned)).collect();
        for (i, row) in data.iter().enumerate() {
            let cells = row.as_array().into_iter().flatten().map(Some);
            rows.cells(names.iter().map(String::as_str).zip(cells), i as u64 + 1)?;
        }
        rows.note("The names are the list \"columns\", the rows the list \"data\".".to_owned());
        return Ok(());
    }
    by_key(&fields, rows).unwrap_or_else(|| by_column(&fields, rows))
}

/// How deep lists are looked for.
const NESTED: usize = 4;

fn find_lists<'a>(
    name: String,
    value: &'a Value,
    depth: usize,
    lists: &mut Vec<(String, &'a Vec<Value>)>,
) {
    match value {
        Value::Array(a) if !a.is_empty() && a.iter().all(Value::is_object) => lists.push((name, a)),
        Value::Object(o) if depth > 0 => {
            o.iter().for_each(|(k, v)| find_lists(format!("{name}.{k}"), v, depth - 1, lists));
        }
        _ => {}
    }
}

/// `{"Ann": {"age": 5, …}, "Bob": {…}}`: one object per row under its name. `None` where it is not
/// that: the objects have other fields, or fields that number rows.
fn by_key(fields: &[(String, Value)], rows: &mut Rows) -> Option<Result<(), DataError>> {
    let objects: Vec<_> =
        fields.iter().map(|(k, v)| v.as_object().map(|o| (k, o))).collect::<Option<_>>()?;
    let (_, first) = objects.first()?;
    let numbered = first.keys().all(|k| k.parse::<u64>().is_ok());
    let alike = objects.iter().all(|(_, o)| o.keys().any(|k| first.contains_key(k)));
    if objects.len() < 2 || first.is_empty() || numbered || !alike || first.len() > objects.len() {
        return None;
    }
    rows.note("Each field of the file is one row; its name is in the column \"key\".".to_owned());
    for (i, (key, object)) in objects.into_iter().enumerate() {
        let key = Value::String(key.clone());
        let mut text = serde_json::Map::new();
        text.insert("key".to_owned(), key);
        text.extend(
            object.iter().filter(|(k, _)| *k != "key").map(|(k, v)| (k.clone(), v.clone())),
        );
        let row = rows.object(&Value::Object(text).to_string(), i as u64 + 1);
        if let Err(e) = row {
            return Some(Err(broken(&e, 0)));
        }
    }
    Some(Ok(()))
}

/// `{"a": [1, 2], "b": [3, 4]}` or `{"a": {"0": 1, "1": 2}, …}`.
fn by_column(fields: &[(String, Value)], rows: &mut Rows) -> Result<(), DataError> {
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

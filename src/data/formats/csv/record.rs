//! Rows read one by one: any text, however its quotation marks stand.

use std::borrow::Cow;

use crate::data::formats::dialect::Dialect;

/// Reads one record that begins at `at`; gives where the next may begin. A cell is enclosed when it
/// begins with a quotation mark; a carriage return, a line feed or both end the record.
pub(super) fn record<'a>(
    text: &'a str,
    mut at: usize,
    dialect: &Dialect,
    cells: &mut Vec<Cow<'a, str>>,
) -> usize {
    let bytes = text.as_bytes();
    let slice = |from: usize, to: usize| match text.get(from..to) {
        Some(cell) => Cow::Borrowed(cell),
        None => String::from_utf8_lossy(bytes.get(from..to).unwrap_or_default()),
    };
    cells.clear();
    loop {
        let mut cell = Cow::Borrowed("");
        if dialect.quoting && bytes.get(at) == Some(&b'"') {
            (cell, at) = enclosed(bytes, at + 1, slice);
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let end =
            memchr::memchr3(dialect.delimiter, b'\n', b'\r', rest).map_or(bytes.len(), |p| at + p);
        if end > at {
            // After an enclosed part the cell may go on, as in `"5" inch`.
            cell = if cell.is_empty() {
                slice(at, end)
            } else {
                Cow::Owned(cell.into_owned() + &slice(at, end))
            };
        }
        cells.push(cell);
        match bytes.get(end) {
            Some(b) if *b == dialect.delimiter => at = end + 1,
            Some(b'\r') if bytes.get(end + 1) == Some(&b'\n') => return end + 2,
            Some(_) => return end + 1,
            None => return end,
        }
    }
}

/// The cell whose opening mark stands before `from`, and where it goes on after the closing one.
fn enclosed<'a>(
    bytes: &'a [u8],
    mut from: usize,
    slice: impl Fn(usize, usize) -> Cow<'a, str>,
) -> (Cow<'a, str>, usize) {
    let mut cell = Cow::Borrowed("");
    loop {
        let rest = bytes.get(from..).unwrap_or_default();
        let end = memchr::memchr(b'"', rest).map_or(bytes.len(), |p| from + p);
        // A mark written twice stands for one.
        let twice = bytes.get(end + 1) == Some(&b'"');
        let here = slice(from, end + usize::from(twice));
        cell = if cell.is_empty() { here } else { Cow::Owned(cell.into_owned() + &here) };
        if !twice {
            return (cell, (end + 1).min(bytes.len()));
        }
        from = end + 2;
    }
}

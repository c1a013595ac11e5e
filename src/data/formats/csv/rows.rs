//! Parsing of a table's rows, in parts side by side, and joining the parts.

use std::sync::atomic::{AtomicU64, Ordering};

use csv::ByteRecord;
use rayon::prelude::*;

use super::header::Body;
use super::{MAX_CELL, MAX_RAGGED};
use crate::data::formats::dialect::{self, Dialect};
use crate::data::{Column, ImportNote, Progress, count, invalid};
use crate::error::DataError;

/// Lines without anything at the start of `bytes`; `after_cr`: the line break before may go on.
pub(super) fn blank_lines(bytes: &[u8], after_cr: bool) -> u64 {
    let mut n = 0;
    let mut cr = after_cr;
    for b in bytes {
        match b {
            b'\n' if cr => cr = false,
            b'\n' => n += 1,
            b'\r' => {
                n += 1;
                cr = true;
            }
            _ => break,
        }
    }
    n
}

/// Whether a carriage return stands before `at`.
pub(super) fn ends_cr(text: &str, at: usize) -> bool {
    at > 0 && text.as_bytes()[at - 1] == b'\r'
}

/// Rows counted while parsing, with the first few.
#[derive(Default)]
struct Counted {
    n: usize,
    rows: Vec<u64>,
}

impl Counted {
    fn see(&mut self, row: u64) {
        self.n += 1;
        if self.rows.len() < 20 {
            self.rows.push(row);
        }
    }

    fn add(&mut self, other: &Self, base: u64) {
        self.n += other.n;
        let room = 20 - self.rows.len();
        self.rows.extend(other.rows.iter().take(room).map(|r| r + base));
    }
}

/// What one thread parsed; rows count from 1 within the part.
pub(super) struct Part {
    columns: Vec<Column>,
    rows: Vec<u64>,
    total: u64,
    short: Counted,
    long: Counted,
    empty: Counted,
    blank: Counted,
    /// Row, column and length of a cell that is too long.
    huge: Option<(u64, usize, usize)>,
}

pub(super) fn parse(
    text: &str,
    from: usize,
    to: usize,
    dialect: &Dialect,
    names: &[String],
    progress: &Progress,
    seen: &AtomicU64,
) -> Result<Part, DataError> {
    let piece = &text[from..to];
    let mut part = Part {
        columns: names.iter().map(Column::new).collect(),
        rows: Vec::new(),
        total: 0,
        short: Counted::default(),
        long: Counted::default(),
        empty: Counted::default(),
        blank: Counted::default(),
        huge: None,
    };
    let mut reader = dialect::reader(piece, dialect.delimiter, dialect.quoting);
    let mut record = ByteRecord::new();
    let (mut start, mut reported) = (0, 0);
    loop {
        let more = reader.read_byte_record(&mut record).map_err(|e| {
            invalid(format!("This table cannot be read: {e}"), "Check the file in a text editor.")
        })?;
        for _ in 0..blank_lines(&piece.as_bytes()[start..], ends_cr(text, from + start)) {
            part.total += 1;
            if more {
                part.blank.see(part.total);
            }
        }
        if !more {
            break;
        }
        start = reader.position().byte() as usize;
        part.total += 1;
        part.push(&record, names.len());
        if part.huge.is_some() {
            return Ok(part);
        }
        if start - reported > 1 << 18 {
            if progress.cancel.load(Ordering::Relaxed) {
                return Err(DataError::Cancelled);
            }
            let done = seen.fetch_add((start - reported) as u64, Ordering::Relaxed);
            progress.done.fetch_max(done, Ordering::Relaxed);
            reported = start;
        }
    }
    let done = seen.fetch_add((piece.len() - reported) as u64, Ordering::Relaxed);
    progress.done.fetch_max(done + (piece.len() - reported) as u64, Ordering::Relaxed);
    Ok(part)
}

impl Part {
    fn push(&mut self, record: &ByteRecord, width: usize) {
        if record.iter().all(|c| c.trim_ascii().is_empty()) {
            // In a table of one column an empty cell is a missing value, and its row counts.
            if width > 1 {
                self.empty.see(self.total);
                return;
            }
        }
        if record.len() < width {
            self.short.see(self.total);
        } else if record.iter().skip(width).any(|c| !c.trim_ascii().is_empty()) {
            self.long.see(self.total);
        }
        for (i, (column, cell)) in self.columns.iter_mut().zip(record.iter()).enumerate() {
            if cell.len() > MAX_CELL {
                self.huge = Some((self.total, i, cell.len()));
                return;
            }
            match std::str::from_utf8(cell) {
                Ok(cell) => column.push(cell),
                Err(_) => column.push(&String::from_utf8_lossy(cell)),
            }
        }
        self.rows.push(self.total);
        if record.len() < width {
            self.columns.iter_mut().for_each(|c| c.pad(self.rows.len()));
        }
    }
}

pub(super) fn merge(
    parts: Vec<Part>,
    body: &Body,
    dialect: &Dialect,
    notes: &mut Vec<ImportNote>,
) -> Result<(Vec<Column>, Vec<u64>), DataError> {
    let mut all = [(); 4].map(|()| Counted::default());
    let mut lines = Vec::with_capacity(parts.iter().map(|p| p.rows.len()).sum());
    let mut base = body.rows_above;
    for part in &parts {
        if let Some((row, column, length)) = part.huge {
            let name = body.names.get(column).map_or("", String::as_str);
            return Err(invalid(
                format!(
                    "A cell here has {}; at most {} are supported",
                    count(length, "character"),
                    count(MAX_CELL, "character")
                ),
                "Look for a quotation mark that is not closed, or shorten the cell.",
            )
            .at_row(base + row)
            .in_column(name));
        }
        for (sum, counted) in
            all.iter_mut().zip([&part.short, &part.long, &part.empty, &part.blank])
        {
            sum.add(counted, base);
        }
        lines.extend(part.rows.iter().map(|r| r + base));
        base += part.total;
    }
    let [short, long, empty, blank] = all;
    if lines.is_empty() {
        return Err(invalid(
            "This table has no row with a value",
            "Choose a file with one row per example below the names.",
        ));
    }
    if u32::try_from(lines.len()).is_err() {
        return Err(invalid(
            format!("This table has {}, more than are supported", count(lines.len(), "row")),
            "Keep a sample of the rows; a few million are plenty.",
        ));
    }
    let (width, ragged) = (body.names.len(), short.n + long.n);
    if ragged > 2 && ragged as f64 > MAX_RAGGED * lines.len() as f64 {
        let mut rows = [short.rows, long.rows].concat();
        rows.sort_unstable();
        return Err(invalid(
            format!(
                "{ragged} of {} do not have the {} of the table; the first is row {}",
                count(lines.len(), "row"),
                count(width, "cell"),
                rows.first().unwrap_or(&0)
            ),
            format!(
                "Check that columns are separated by {:?} and that text which holds it stands in quotation marks.",
                char::from(dialect.delimiter)
            ),
        )
        .at_row(rows.first().copied().unwrap_or(0)));
    }
    for (what, counted) in [
        ("with too few cells filled up with missing values", short),
        ("with too many cells: those beyond the last column left out", long),
        ("without any value left out", empty),
    ] {
        if counted.n > 0 {
            let text = format!("{} {what}.", count(counted.n, "row"));
            notes.push(ImportNote::repair(text, &counted.rows));
        }
    }
    if blank.n > 0 {
        let mut note = ImportNote::info(format!("{} skipped.", count(blank.n, "blank line")));
        note.rows = blank.rows;
        notes.push(note);
    }
    let columns = (0..width)
        .into_par_iter()
        .map(|i| {
            let mut column = Column::new(body.names[i].clone());
            parts.iter().for_each(|p| column.append(&p.columns[i]));
            column.shrink();
            column
        })
        .collect();
    Ok((columns, lines))
}

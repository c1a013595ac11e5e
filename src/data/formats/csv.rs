//! Delimited text tables. Cells are kept as they stand; every repair is noted with its rows:
//!
//! * a row with too few cells is filled up with missing ones;
//! * cells beyond the last column are left out, unless the commonest row has them: then they become
//!   columns of their own;
//! * rows without any value, and titles above the table, are left out;
//! * empty and repeated names are made unique.
//!
//! Rows are counted as a spreadsheet shows them: a cell with line breaks is still one row.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use csv::ByteRecord;
use rayon::prelude::*;

use super::dialect::{self, Dialect};
use super::text;
use crate::data::{Column, ImportNote, ImportOptions, Progress, Table, count, infer, invalid};
use crate::error::DataError;

/// Most columns of a table.
pub const MAX_COLUMNS: usize = 10_000;
/// Most bytes of a cell; more is nearly always a quotation mark that is never closed.
pub const MAX_CELL: usize = 1 << 20;
/// Share of rows with too few or too many cells above which the file is refused.
pub const MAX_RAGGED: f64 = 0.25;
/// Bytes parsed by one thread at a time.
const CHUNK: usize = 4 << 20;

/// Reads a table from the bytes of a file.
pub(crate) fn read(
    path: &Path,
    bytes: &[u8],
    options: &ImportOptions,
    progress: &Progress,
) -> Result<(Table, Vec<ImportNote>), DataError> {
    read_in(path, bytes, options, progress, CHUNK).map_err(|e| e.in_file(path))
}

fn read_in(
    path: &Path,
    bytes: &[u8],
    options: &ImportOptions,
    progress: &Progress,
    chunk: usize,
) -> Result<(Table, Vec<ImportNote>), DataError> {
    let decoded = text::decode(bytes);
    let mut notes = vec![decoded.note];
    let (text, named) = separator_line(&decoded.text);
    if text.trim().is_empty() {
        return Err(invalid(
            "This file is empty",
            "Choose a file that holds a table: one row per example, one column per property.",
        ));
    }
    if let Some(at) = memchr::memchr(0, text.as_bytes()) {
        return Err(invalid(
            "This is not a text table: it holds bytes that no text has",
            "Open it in the program that made it and save it as CSV, then open that file.",
        )
        .at_row(line_of(text, at)));
    }
    progress.total.store(text.len() as u64, Ordering::Relaxed);
    let tabs = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("tsv") || e.eq_ignore_ascii_case("tab"));
    let newline = if memchr::memchr(b'\n', text.as_bytes()).is_some() { b'\n' } else { b'\r' };
    let wanted = options.delimiter.or(named);
    let mut dialect = dialect::detect(text, true, wanted, options.header, tabs);
    let scan =
        |d: &Dialect| dialect::scan_quotes(text.as_bytes(), d.delimiter, d.quoting, newline, chunk);
    let mut quotes = scan(&dialect);
    if let Some(at) = quotes.open.or(quotes.stray) {
        let literal = dialect::detect(text, false, wanted, options.header, tabs);
        if !plain_without_quotes(text, &literal) {
            return Err(bad_quote(text, at, quotes.open.is_some()));
        }
        let row = line_of(text, at);
        notes.push(ImportNote::repair(
            "Quotation marks do not enclose cells in this file; they are read as ordinary characters.",
            &[row],
        ));
        dialect = literal;
        quotes = scan(&dialect);
    }
    let offset = usize::from(named.is_some());
    let body = Body::find(text, &mut dialect, offset, &mut notes)?;
    describe(&dialect, quotes.enclosed, &mut notes);

    let mut bounds = vec![body.start];
    bounds.extend(quotes.cuts.into_iter().filter(|c| *c > body.start));
    bounds.push(text.len());
    let pieces: Vec<(usize, usize)> = bounds.windows(2).map(|w| (w[0], w[1])).collect();
    let rows_seen = AtomicU64::new(0);
    let parts: Vec<Part> = pieces
        .into_par_iter()
        .map(|(from, to)| parse(text, from, to, &dialect, &body.names, progress, &rows_seen))
        .collect::<Result<_, _>>()?;
    let mut columns_and_lines = merge(parts, &body, &dialect, &mut notes)?;
    drop_nameless(&mut columns_and_lines.0, &body, &mut notes);
    let (columns, lines) = columns_and_lines;
    let mut table = Table::new(columns, lines);
    notes.extend(infer::infer(&mut table, dialect.delimiter == b';'));
    Ok((table, notes))
}

/// A first line `sep=;`, as spreadsheets write it: the rest and the delimiter.
fn separator_line(text: &str) -> (&str, Option<u8>) {
    let line = text.lines().next().unwrap_or("");
    match line.trim_end().as_bytes() {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', d] if d.is_ascii() => {
            (text[line.len()..].trim_start_matches(['\r', '\n']), Some(*d))
        }
        _ => (text, None),
    }
}

fn line_of(text: &str, at: usize) -> u64 {
    memchr::memchr_iter(b'\n', &text.as_bytes()[..at]).count() as u64 + 1
}

fn bad_quote(text: &str, at: usize, open: bool) -> DataError {
    let (what, advice) = if open {
        (
            "A quotation mark opened in this row is never closed",
            "Close it in the file, or write it twice (\"\") if it belongs to the text.",
        )
    } else {
        (
            "A quotation mark opened in this row is closed in the middle of a cell",
            "Write quotation marks inside a quoted cell twice (\"\"), or close the cell where it ends.",
        )
    };
    invalid(what, advice).at_row(line_of(text, at))
}

/// Whether all rows have the same cells when quotation marks are ordinary characters, and none is
/// enclosed in them.
fn plain_without_quotes(text: &str, dialect: &Dialect) -> bool {
    let mut reader = dialect::reader(text, dialect.delimiter, false);
    let mut record = ByteRecord::new();
    while matches!(reader.read_byte_record(&mut record), Ok(true)) {
        let enclosed = |c: &[u8]| c.len() > 1 && c.starts_with(b"\"") && c.ends_with(b"\"");
        if record.len() != dialect.width || record.iter().any(enclosed) {
            return false;
        }
    }
    true
}

/// Lines without anything at the start of `bytes`; `after_cr`: the line break before may go on.
fn blank_lines(bytes: &[u8], after_cr: bool) -> u64 {
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

/// Where the rows begin and what the columns are called.
struct Body {
    names: Vec<String>,
    /// Offset of the first row.
    start: usize,
    /// Rows of the file above it.
    rows_above: u64,
    /// Columns without a name in the header.
    nameless: Vec<usize>,
}

impl Body {
    fn find(
        text: &str,
        dialect: &mut Dialect,
        offset: usize,
        notes: &mut Vec<ImportNote>,
    ) -> Result<Self, DataError> {
        let mut reader = dialect::reader(text, dialect.delimiter, dialect.quoting);
        let mut record = ByteRecord::new();
        let (mut start, mut rows, mut header) = (0, offset as u64, Vec::new());
        for i in 0..dialect.preamble + usize::from(dialect.header) {
            let more = reader.read_byte_record(&mut record).unwrap_or(false);
            if !more {
                break;
            }
            rows += 1 + blank_lines(&text.as_bytes()[start..], ends_cr(text, start));
            start = reader.position().byte() as usize;
            if i == dialect.preamble {
                header =
                    record.iter().map(|c| String::from_utf8_lossy(c).trim().to_owned()).collect();
            }
        }
        if dialect.preamble > 0 {
            let rows: Vec<u64> = (1..=dialect.preamble as u64).collect();
            notes.push(ImportNote::repair(
                format!("{} above the table left out.", count(rows.len(), "row")),
                &rows,
            ));
        }
        let sample = dialect::head(&text[start..], dialect.delimiter, dialect.quoting, 500);
        if sample.is_empty() {
            return Err(invalid(
                "This file has column names but no rows",
                "Choose a file with one row per example below the names.",
            )
            .at_row(rows));
        }
        let names = fit_header(header, dialect, &sample, notes);
        if names.len() > MAX_COLUMNS {
            return Err(invalid(
                format!(
                    "This table has {}; at most {} are supported",
                    count(names.len(), "column"),
                    count(MAX_COLUMNS, "column")
                ),
                "Remove columns that are not needed, or check the delimiter.",
            )
            .at_row(rows.max(1)));
        }
        let nameless = (0..names.len()).filter(|i| names[*i].is_empty()).collect();
        let names = unique_names(names, dialect.header, notes);
        Ok(Self { names, start, rows_above: rows, nameless })
    }
}

fn ends_cr(text: &str, at: usize) -> bool {
    at > 0 && text.as_bytes()[at - 1] == b'\r'
}

/// Makes the header as wide as the rows.
fn fit_header(
    mut header: Vec<String>,
    dialect: &mut Dialect,
    sample: &[Vec<String>],
    notes: &mut Vec<ImportNote>,
) -> Vec<String> {
    if !dialect.header {
        return vec![String::new(); dialect.width];
    }
    while header.len() > dialect.width && header.last().is_some_and(String::is_empty) {
        header.pop();
    }
    let blank_from =
        |n: usize| sample.iter().all(|r| r.iter().skip(n).all(|c| c.trim().is_empty()));
    if header.len() >= dialect.width || blank_from(header.len()) {
        dialect.width = header.len();
        return header;
    }
    let mut seen = std::collections::HashSet::new();
    let first_unique = sample.iter().all(|r| r.first().is_none_or(|c| seen.insert(c)));
    if header.len() + 1 == dialect.width && first_unique && sample.len() > 1 {
        notes.push(ImportNote::info(
            "The rows have one cell more than the names; the first cell of each is taken as a row name.",
        ));
        header.insert(0, "row name".to_owned());
    } else {
        notes.push(ImportNote::repair(
            format!(
                "The rows have {} more than the names; they are called by their number.",
                count(dialect.width - header.len(), "cell")
            ),
            &[],
        ));
        header.resize(dialect.width, String::new());
    }
    header
}

/// Names empty columns by their number and tells equal names apart.
fn unique_names(names: Vec<String>, header: bool, notes: &mut Vec<ImportNote>) -> Vec<String> {
    let mut taken: std::collections::HashSet<String> = names.iter().cloned().collect();
    let mut used = std::collections::HashSet::new();
    let (mut empty, mut repeated) = (0, Vec::new());
    let mut out = Vec::with_capacity(names.len());
    for (i, name) in names.into_iter().enumerate() {
        let base = if name.is_empty() {
            empty += 1;
            format!("column {}", i + 1)
        } else {
            name.clone()
        };
        let mut unique = base.clone();
        let mut n = 2;
        while used.contains(&unique) || (unique != name && taken.contains(&unique)) {
            unique = format!("{base} ({n})");
            n += 1;
        }
        if unique != base && !name.is_empty() {
            repeated.push(format!("\"{unique}\""));
        }
        taken.insert(unique.clone());
        used.insert(unique.clone());
        out.push(unique);
    }
    if header && empty > 0 {
        let text = format!("{} without a name called by number.", count(empty, "column"));
        notes.push(ImportNote::repair(text, &[]));
    }
    if !repeated.is_empty() {
        let shown = repeated.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        let text = format!("{} renamed: {shown}.", count(repeated.len(), "repeated column name"));
        notes.push(ImportNote::repair(text, &[]));
    }
    out
}

fn describe(dialect: &Dialect, enclosed: usize, notes: &mut Vec<ImportNote>) {
    let delimiter = match dialect.delimiter {
        b',' => "Commas".to_owned(),
        b';' => "Semicolons".to_owned(),
        b'\t' => "Tabs".to_owned(),
        b'|' => "Vertical bars".to_owned(),
        d => format!("\"{}\" signs", char::from(d)),
    };
    let mut text = if dialect.width > 1 {
        format!("{delimiter} separate the columns; ")
    } else {
        "There is one column; ".to_owned()
    };
    text += if dialect.header {
        "the first row holds the names."
    } else {
        "there is no row of names, so columns are called by their number."
    };
    if enclosed > 0 {
        text += &format!(" Quotation marks enclose {}.", count(enclosed, "cell"));
    }
    notes.push(ImportNote::info(text));
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
struct Part {
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

fn parse(
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

fn merge(
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

/// Leaves out columns with neither a name nor a value (a delimiter at the end of every line).
fn drop_nameless(columns: &mut Vec<Column>, body: &Body, notes: &mut Vec<ImportNote>) {
    let before = columns.len();
    let mut index = 0;
    columns.retain(|c| {
        let nameless = body.nameless.contains(&index);
        index += 1;
        !nameless || (0..c.len()).any(|r| !c.raw(r).trim().is_empty())
    });
    let dropped = before - columns.len();
    if dropped > 0 {
        let text = format!("{} with neither name nor value left out.", count(dropped, "column"));
        notes.push(ImportNote::repair(text, &[]));
    }
}

#[cfg(test)]
mod tests;

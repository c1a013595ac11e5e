//! Delimited text tables. Cells are kept as they stand; every repair is noted with its rows:
//!
//! * a row with too few cells is filled up with missing ones;
//! * cells beyond the last column are left out, unless the commonest row has them: then they become
//!   columns of their own;
//! * rows without any value, remarks that begin with `#`, titles above the table, and totals and
//!   remarks below it are left out;
//! * empty and repeated names are made unique.
//!
//! Rows are counted as a spreadsheet shows them: a cell with line breaks is still one row.

mod block;
mod ending;
mod header;
mod record;
mod rows;
mod signs;
mod untidy;
mod whole;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use csv::ByteRecord;
use rayon::prelude::*;

use self::header::Body;
pub(crate) use self::header::unique_names;
pub(crate) use self::rows::Untidy;
use self::rows::{Keep, Looked, Part, Reading, merge, parse};
use self::untidy::Tidied;
pub use self::whole::{Whole, WholeReader};
use super::dialect::{self, Dialect};
use super::text;
use crate::data::{ImportNote, ImportOptions, Progress, Table, count, infer, invalid};
use crate::error::DataError;

/// Most columns of a table.
pub const MAX_COLUMNS: usize = 10_000;
/// Most bytes of a cell; more is nearly always a quotation mark that is never closed.
pub const MAX_CELL: usize = 1 << 20;
/// Share of rows with too few or too many cells above which the file is refused.
pub const MAX_RAGGED: f64 = 0.25;
/// Bytes parsed by one thread at a time.
const CHUNK: usize = 4 << 20;
/// Bytes of text above which a sample of the rows is read.
pub(crate) const LARGE: usize = 1 << 30;
/// Bytes of text of that sample.
const SAMPLE: usize = 160 << 20;

/// Reads a table from the bytes of a file.
pub(crate) fn read(
    path: &Path,
    bytes: &[u8],
    options: &ImportOptions,
    progress: &Progress,
) -> Result<(Table, Vec<ImportNote>), DataError> {
    read_in(path, bytes, options, progress, Sizes::default()).map_err(|e| e.in_file(path))
}

/// Reads a table that another format was turned into: what is said about delimiters and encoding
/// would be about that text, not about the user's file.
pub(crate) fn read_converted(
    path: &Path,
    text: &str,
    options: &ImportOptions,
    progress: &Progress,
) -> Result<(Table, Vec<ImportNote>), DataError> {
    let (table, notes) = read(path, text.as_bytes(), options, progress)?;
    let about_text = |n: &ImportNote| {
        !n.repair && (n.text.contains("UTF-8") || n.text.contains("separate the columns"))
    };
    let named = notes.iter().any(|n| n.text.contains("the first row holds the names"));
    let mut kept: Vec<ImportNote> = notes.into_iter().filter(|n| !about_text(n)).collect();
    let header = if named {
        "The first row holds the names."
    } else {
        "There is no row of names, so columns are called by their number."
    };
    kept.insert(0, ImportNote::info(header));
    Ok((table, kept))
}

/// A sample of about `bytes` of a file above so many bytes, with where all rows are.
#[cfg(test)]
pub(crate) fn sampled(path: &Path, large: usize, bytes: usize) -> (Table, Vec<ImportNote>) {
    let options = ImportOptions { whole: true, ..ImportOptions::default() };
    let sizes = Sizes { chunk: 5000, large, sample: bytes, together: true };
    let content = std::fs::read(path).unwrap();
    read_in(path, &content, &options, &Progress::default(), sizes).unwrap()
}

/// Sizes in bytes that tests make small.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    chunk: usize,
    large: usize,
    sample: usize,
    /// Whether ordinary rows are read together; one by one they read the same.
    together: bool,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { chunk: CHUNK, large: LARGE, sample: SAMPLE, together: true }
    }
}

fn read_in(
    path: &Path,
    bytes: &[u8],
    options: &ImportOptions,
    progress: &Progress,
    sizes: Sizes,
) -> Result<(Table, Vec<ImportNote>), DataError> {
    read_as(path, bytes, options, progress, sizes, false)
}

/// `tidied`: the text was already turned into an ordinary one, so it is read as it stands.
fn read_as(
    path: &Path,
    bytes: &[u8],
    options: &ImportOptions,
    progress: &Progress,
    sizes: Sizes,
    tidied: bool,
) -> Result<(Table, Vec<ImportNote>), DataError> {
    let decoded = text::decode(bytes);
    let (mut notes, signs) = (vec![decoded.note], decoded.signs);
    let (text, named) = separator_line(&decoded.text);
    if text.trim().is_empty() {
        return Err(invalid(
            "This file is empty",
            "Choose a file that holds a table: one row per example, one column per property.",
        ));
    }
    if signs.zero
        && let Some(at) = memchr::memchr(0, text.as_bytes())
    {
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
    let again = |tidied: Tidied| {
        let text = "\n".repeat(usize::from(named.is_some())) + &tidied.text;
        let delimiter = tidied.delimiter.or(wanted);
        let options = ImportOptions { delimiter, ..options.clone() };
        let read = read_as(path, text.as_bytes(), &options, progress, sizes, true);
        (read, tidied.note)
    };
    let ordinary = || {
        let spaced = if wanted.is_none() { untidy::spaced(text, &dialect) } else { None };
        let padded = || signs.quote.then(|| untidy::padded(text, &dialect)).flatten();
        spaced.or_else(padded).or_else(|| untidy::single(text, &dialect))
    };
    if let Some(tidied) = (!tidied).then(ordinary).flatten() {
        let (read, note) = again(tidied);
        return read.map(|(table, notes)| (table, told(notes, note)));
    }
    let scan = |d: &Dialect| {
        let quoting = d.quoting && signs.quote;
        dialect::scan_quotes(text.as_bytes(), d.delimiter, quoting, newline, sizes.chunk)
    };
    let mut quotes = scan(&dialect);
    if let Some(at) = quotes.open.or(quotes.stray) {
        let literal = dialect::detect(text, false, wanted, options.header, tabs);
        if !plain_without_quotes(text, &literal) {
            let escaped = (!tidied).then(|| untidy::escaped(text)).flatten();
            if let Some((Ok((table, notes)), note)) = escaped.map(again) {
                return Ok((table, told(notes, note)));
            }
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
    // What can be read again piece by piece is sampled; all else is read as a whole where all is asked for.
    let offset = options.whole.then(|| whole::place(path, bytes, text)).flatten();
    let large = text.len() > sizes.large && (!options.whole || offset.is_some());
    let reading = Reading {
        text,
        dialect: &dialect,
        names: &body.names,
        keep: Keep::of(text.len(), if large { sizes.sample } else { usize::MAX }),
        together: sizes.together.then_some(signs),
        progress,
        read: &AtomicU64::new(0),
    };
    let parts: Vec<Part> = pieces
        .par_iter()
        .with_max_len(1)
        .map(|&(from, to)| parse(reading, from..to))
        .collect::<Result<_, _>>()?;
    let mut whole = offset
        .filter(|_| large)
        .map(|at| Whole::new((path, bytes), (text, at), (&body, &dialect), &pieces, &parts));
    let (mut columns, mut lines) = merge(parts, &body, &dialect, &mut notes)?;
    drop_nameless(&mut columns, &body, &mut notes);
    let (mut columns, seen): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let rows = lines.len();
    // Rows of a sample have gaps between them, and the end of the file may not be among them.
    if !large {
        ending::cut(&mut columns, &mut lines, &mut notes);
    }
    let all = lines.len() == rows;
    let mut table = Table::new(columns, lines);
    let semicolon = dialect.delimiter == b';';
    notes.extend(if all {
        infer::infer_seen(&mut table, seen, semicolon)
    } else {
        infer::infer(&mut table, semicolon)
    });
    if let Some(whole) = &mut whole {
        notes.push(ImportNote::info(format!(
            "Training reads all of the {} from the file, piece by piece; what is checked, shown and tested \
             are rows of the sample.",
            count(whole.rows(), "row")
        )));
        whole.sampled((0..table.rows()).map(|row| table.line(row)).collect());
    }
    table.set_whole(whole);
    Ok((table, notes))
}

/// Notes with one more about how the text was written.
fn told(mut notes: Vec<ImportNote>, note: &str) -> Vec<ImportNote> {
    notes.insert(1.min(notes.len()), ImportNote::info(note));
    notes
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

/// Leaves out columns with neither a name nor a value (a delimiter at the end of every line).
fn drop_nameless(columns: &mut Vec<Looked>, body: &Body, notes: &mut Vec<ImportNote>) {
    let before = columns.len();
    let mut index = 0;
    columns.retain(|(c, _)| {
        let nameless = body.nameless.contains(&index);
        index += 1;
        !nameless || c.cells().any(|cell| !cell.trim().is_empty())
    });
    let dropped = before - columns.len();
    if dropped > 0 {
        let text = format!("{} with neither name nor value left out.", count(dropped, "column"));
        notes.push(ImportNote::repair(text, &[]));
    }
}

#[cfg(test)]
mod tests;

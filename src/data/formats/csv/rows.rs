//! Parsing of a table's rows, in parts side by side, and joining the parts.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::block::{Block, Found, Growing, Writing};
use super::header::Body;
use super::record::record;
use super::{MAX_CELL, MAX_RAGGED};
use crate::data::formats::dialect::Dialect;
use crate::data::formats::text::Signs;
use crate::data::infer::Seen;
use crate::data::table::Cells;
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
#[derive(Debug, Default)]
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

/// Rows that are no rows of a table or not in order: with too few cells, with too many, without any
/// value, blank lines, remarks.
#[derive(Debug, Default)]
pub(crate) struct Untidy([Counted; 5]);

impl Untidy {
    /// Takes in what a part counted; `above`: rows of the file above it.
    fn add(&mut self, part: &Part, above: u64) {
        let counted = [&part.short, &part.long, &part.empty, &part.blank, &part.remarks];
        self.0.iter_mut().zip(counted).for_each(|(sum, counted)| sum.add(counted, above));
    }

    /// Takes in those of the next piece of the file.
    pub(crate) fn extend(&mut self, next: &Self) {
        self.0.iter_mut().zip(&next.0).for_each(|(sum, counted)| sum.add(counted, 0));
    }

    /// A line for each kind that there is.
    pub(crate) fn notes(&self) -> Vec<ImportNote> {
        let [short, long, empty, blank, remarks] = &self.0;
        let mut notes = Vec::new();
        for (what, counted) in [
            ("with too few cells filled up with missing values", short),
            ("with too many cells: those beyond the last column left out", long),
            ("without any value left out", empty),
            ("that begin with \"#\" left out as remarks", remarks),
        ] {
            if counted.n > 0 {
                let text = format!("{} {what}.", count(counted.n, "row"));
                notes.push(ImportNote::repair(text, &counted.rows));
            }
        }
        if blank.n > 0 {
            let mut note = ImportNote::info(format!("{} skipped.", count(blank.n, "blank line")));
            note.rows.clone_from(&blank.rows);
            notes.push(note);
        }
        notes
    }
}

/// What one thread parsed; rows count from 1 within the part.
pub(super) struct Part {
    columns: Vec<Growing>,
    rows: Vec<u64>,
    total: u64,
    short: Counted,
    long: Counted,
    empty: Counted,
    blank: Counted,
    /// Remarks: lines of one cell that begin with `#`.
    remarks: Counted,
    /// Rows left out of a sample.
    left_out: usize,
    /// Row, column and length of a cell that is too long.
    huge: Option<(u64, usize, usize)>,
}

/// What all parts of a table have in common.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub text: &'a str,
    pub dialect: &'a Dialect,
    pub names: &'a [String],
    pub keep: Keep,
    /// What is in the text, where ordinary rows are read together.
    pub together: Option<Signs>,
    pub progress: &'a Progress,
    /// Bytes that were read of all parts.
    pub read: &'a AtomicU64,
}

pub(super) fn parse(reading: Reading, range: Range<usize>) -> Result<Part, DataError> {
    let Reading { text, dialect, names, keep, together, progress, read } = reading;
    let (from, after) = (range.start, text.as_bytes().get(range.end..).unwrap_or_default());
    let piece = &text[range];
    let mut part = Part {
        columns: names.iter().map(|_| Growing::default()).collect(),
        rows: Vec::new(),
        total: 0,
        short: Counted::default(),
        long: Counted::default(),
        empty: Counted::default(),
        blank: Counted::default(),
        remarks: Counted::default(),
        left_out: 0,
        huge: None,
    };
    let bytes = piece.as_bytes();
    let mut cells = Vec::with_capacity(names.len());
    let signs = together.unwrap_or_default();
    let (quotes, width) = (dialect.quoting && signs.quote, names.len());
    let how = Writing { delimiter: dialect.delimiter, quotes, returns: signs.cr, width };
    let mut block = Block::default();
    // Up to here rows are read one by one.
    let mut single = if keep.all() && together.is_some() { 0 } else { usize::MAX };
    let (mut at, mut reported) = (0, 0);
    loop {
        let blank = blank_lines(&bytes[at..], ends_cr(text, from + at));
        at += bytes[at..].iter().take_while(|b| matches!(b, b'\n' | b'\r')).count();
        let more = at < bytes.len();
        // Blank lines below the last row are none of the table's.
        let within = more || (blank > 0 && after.iter().any(|b| !matches!(b, b'\n' | b'\r')));
        for _ in 0..blank {
            part.total += 1;
            if within {
                part.blank.see(part.total);
            }
        }
        if !more {
            break;
        }
        let found = if at < single { Found::Other(0) } else { block.find(bytes, at, how) };
        let before = part.rows.len();
        if let Found::Rows(length, rows) = found {
            block.take(piece, at, &mut part.columns);
            part.rows.extend(part.total + 1..=part.total + rows as u64);
            part.total += rows as u64;
            at += length;
        } else {
            if let Found::Other(length) = found {
                single = single.max(at + length);
            }
            let begin = at;
            at = record(piece, at, dialect, &mut cells);
            part.total += 1;
            if keep.keeps(from + begin) {
                part.push(&cells, names.len());
            } else {
                part.left_out += 1;
            }
        }
        if before < SEEN && part.rows.len() >= SEEN {
            part.reserve(piece.len() / at);
        }
        if part.huge.is_some() {
            return Ok(part);
        }
        if at - reported > 1 << 18 {
            if progress.cancel.load(Ordering::Relaxed) {
                return Err(DataError::Cancelled);
            }
            let done = read.fetch_add((at - reported) as u64, Ordering::Relaxed);
            progress.done.fetch_max(done, Ordering::Relaxed);
            reported = at;
        }
    }
    let done = read.fetch_add((piece.len() - reported) as u64, Ordering::Relaxed);
    progress.done.fetch_max(done + (piece.len() - reported) as u64, Ordering::Relaxed);
    Ok(part)
}

/// Rows from which the size of a part is told.
const SEEN: usize = 128;

impl Part {
    /// Makes room for `times` as much as there is, and a bit.
    fn reserve(&mut self, times: usize) {
        let more = |n: usize| n * times + n / 4 * times.min(4);
        let rows = more(self.rows.len());
        self.columns.iter_mut().for_each(|c| c.reserve(rows, more(c.bytes())));
    }

    /// Refuses a cell that is too long; `above`: rows of the file above the part.
    fn check(&self, above: u64, names: &[String]) -> Result<(), DataError> {
        let Some((row, column, length)) = self.huge else { return Ok(()) };
        let name = names.get(column).map_or("", String::as_str);
        Err(invalid(
            format!(
                "A cell here has {}; at most {} are supported",
                count(length, "character"),
                count(MAX_CELL, "character")
            ),
            "Look for a quotation mark that is not closed, or shorten the cell.",
        )
        .at_row(above + row)
        .in_column(name))
    }

    /// Its columns, and the row of the file that each of its rows is.
    pub(super) fn into_rows(
        self,
        above: u64,
        names: &[String],
    ) -> Result<(Vec<Column>, Vec<u64>), DataError> {
        self.check(above, names)?;
        let cells = self.columns.into_iter().map(|c| c.finish().0);
        let columns =
            names.iter().zip(cells).map(|(name, cells)| Column::of(name, cells)).collect();
        Ok((columns, self.rows.iter().map(|r| r + above).collect()))
    }

    /// What in it is not in order; `above`: rows of the file above the part.
    pub(super) fn untidy(&self, above: u64) -> Untidy {
        let mut untidy = Untidy::default();
        untidy.add(self, above);
        untidy
    }

    /// Rows of the file in it, and rows of the table, kept or not.
    pub(super) fn counts(&self) -> (u64, usize) {
        (self.total, self.rows.len() + self.left_out)
    }

    fn push(&mut self, cells: &[Cow<str>], width: usize) {
        // In a table of one column an empty cell is a missing value, and its row counts.
        if width > 1 && cells.iter().all(|c| blank(c)) {
            self.empty.see(self.total);
            return;
        }
        if cells.len() < width {
            if cells.len() == 1 && cells.first().is_some_and(|c| c.starts_with('#')) {
                self.remarks.see(self.total);
                return;
            }
            self.short.see(self.total);
        } else if cells.iter().skip(width).any(|c| !blank(c)) {
            self.long.see(self.total);
        }
        for (i, (column, cell)) in self.columns.iter_mut().zip(cells).enumerate() {
            if cell.len() > MAX_CELL {
                self.huge = Some((self.total, i, cell.len()));
                return;
            }
            column.push(cell);
        }
        self.rows.push(self.total);
        if cells.len() < width {
            for column in self.columns.iter_mut().skip(cells.len()) {
                column.push("");
            }
        }
    }
}

#[cfg(test)]
impl Part {
    /// Cells by row.
    pub(super) fn cells(self) -> Vec<Vec<String>> {
        let rows = self.rows.len();
        let columns: Vec<_> = self.columns.into_iter().map(|c| c.finish().0).collect();
        let row = |r| columns.iter().map(|c| c.get(r).to_owned()).collect();
        (0..rows).map(row).collect()
    }
}

fn blank(cell: &str) -> bool {
    cell.trim_ascii().is_empty()
}

/// Which rows are kept: all, or a sample of those of a file larger than memory. Which ones depends
/// on nothing but where they stand in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    below: u64,
}

impl Keep {
    /// Every row.
    pub(super) fn every() -> Self {
        Self { below: u64::MAX }
    }

    /// About the rows that fill `most` of `size` bytes.
    pub(super) fn of(size: usize, most: usize) -> Self {
        if size <= most {
            return Self { below: u64::MAX };
        }
        Self { below: (most as f64 / size as f64 * u64::MAX as f64) as u64 }
    }

    /// Whether none is left out.
    fn all(self) -> bool {
        self.below == u64::MAX
    }

    fn keeps(self, at: usize) -> bool {
        // SplitMix64 (Steele, Lea, Flood 2014).
        let mix = |x: u64, shift: u32, by: u64| (x ^ (x >> shift)).wrapping_mul(by);
        self.all() || {
            let x = (at as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
            let x = mix(mix(x, 30, 0xbf58_476d_1ce4_e5b9), 27, 0x94d0_49bb_1331_11eb);
            x ^ (x >> 31) < self.below
        }
    }
}

/// A column and what its cells look like.
pub(super) type Looked = (Column, Seen);

/// The columns of all parts, and the row in the file of each row.
pub(super) fn merge(
    mut parts: Vec<Part>,
    body: &Body,
    dialect: &Dialect,
    notes: &mut Vec<ImportNote>,
) -> Result<(Vec<Looked>, Vec<u64>), DataError> {
    let mut all = Untidy::default();
    let mut lines = Vec::with_capacity(parts.iter().map(|p| p.rows.len()).sum());
    let mut base = body.rows_above;
    for part in &parts {
        part.check(base, &body.names)?;
        all.add(part, base);
        lines.extend(part.rows.iter().map(|r| r + base));
        base += part.total;
    }
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
    let (short, long) = (&all.0[0], &all.0[1]);
    let (width, ragged) = (body.names.len(), short.n + long.n);
    if ragged > 2 && ragged as f64 > MAX_RAGGED * lines.len() as f64 {
        let mut rows = [short.rows.as_slice(), &long.rows].concat();
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
    notes.extend(all.notes());
    let left_out: usize = parts.iter().map(|p| p.left_out).sum();
    if left_out > 0 {
        notes.push(ImportNote::repair(
            format!(
                "This file is larger than memory should hold: {} drawn at random from all of it stand for its {}.",
                count(lines.len(), "row"),
                count(lines.len() + left_out, "row")
            ),
            &[],
        ));
    }
    let mut pieces: Vec<Vec<Growing>> =
        (0..width).map(|_| Vec::with_capacity(parts.len())).collect();
    for part in &mut parts {
        for (all, piece) in pieces.iter_mut().zip(part.columns.drain(..)) {
            all.push(piece);
        }
    }
    let columns = pieces
        .into_par_iter()
        .zip(&body.names)
        .with_max_len(1)
        .map(|(pieces, name)| {
            let (mut cells, mut seen) = (Cells::default(), Seen::default());
            for piece in pieces {
                let (more, next) = piece.finish();
                cells.adopt(more);
                seen.add(&next);
            }
            (Column::of(name, cells), seen)
        })
        .collect();
    Ok((columns, lines))
}

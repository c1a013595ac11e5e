//! All rows of a text table of which a sample was read, one piece of the file after another.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use rayon::prelude::*;

use super::header::Body;
use super::rows::{Keep, Part, Reading, Untidy, parse};
use crate::data::formats::dialect::Dialect;
use crate::data::formats::text::Signs;
use crate::data::{Progress, Table, invalid};
use crate::error::DataError;

/// Where all rows of a sampled table are.
#[derive(Debug)]
pub struct Whole {
    path: PathBuf,
    /// Bytes of the file.
    length: u64,
    modified: Option<SystemTime>,
    dialect: Dialect,
    names: Vec<String>,
    pieces: Vec<Place>,
    rows: usize,
    sampled: Vec<u64>,
}

/// Where a piece is.
#[derive(Debug)]
struct Place {
    /// Bytes of the file.
    from: usize,
    to: usize,
    /// Rows of the file above it, and in it.
    above: u64,
    rows: u64,
    /// CRC-32 of its bytes.
    mark: u32,
}

/// Where in the file the text begins that was read from its bytes; `None` where the text is not in the
/// file as it stands (packed, or in another encoding).
pub(super) fn place(path: &Path, bytes: &[u8], text: &str) -> Option<usize> {
    let inside = bytes.as_ptr_range();
    let offset = (text.as_ptr() as usize).checked_sub(inside.start as usize)?;
    let plain = inside.contains(&text.as_ptr()) && offset + text.len() <= bytes.len();
    let here = std::fs::metadata(path).is_ok_and(|m| m.len() == bytes.len() as u64);
    (plain && here).then_some(offset)
}

/// When a file was last written.
fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|m| m.modified()).ok()
}

impl Whole {
    /// Of `text`, which begins at `at` in the `bytes` of a file, cut into pieces that were parsed into
    /// `parts`.
    pub(super) fn new(
        (path, bytes): (&Path, &[u8]),
        (text, at): (&str, usize),
        (body, dialect): (&Body, &Dialect),
        pieces: &[(usize, usize)],
        parts: &[Part],
    ) -> Self {
        let marks: Vec<u32> = pieces
            .par_iter()
            .map(|&(from, to)| crc32fast::hash(text.as_bytes().get(from..to).unwrap_or_default()))
            .collect();
        let (mut above, mut rows) = (body.rows_above, 0);
        let mut places = Vec::with_capacity(pieces.len());
        for ((&(from, to), part), mark) in pieces.iter().zip(parts).zip(marks) {
            let (inside, kept) = part.counts();
            places.push(Place { from: at + from, to: at + to, above, rows: inside, mark });
            above += inside;
            rows += kept;
        }
        Self {
            path: path.to_owned(),
            length: bytes.len() as u64,
            modified: modified(path),
            dialect: dialect.clone(),
            names: body.names.clone(),
            pieces: places,
            rows,
            sampled: Vec::new(),
        }
    }

    /// Notes which rows of the file are in the sample, ascending.
    pub(super) fn sampled(&mut self, lines: Vec<u64>) {
        self.sampled = lines;
    }

    /// Rows of the table, about: what is no row shows only when it is read.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Rows of the table that are not in the sample, about.
    pub fn beyond(&self) -> usize {
        self.rows.saturating_sub(self.sampled.len())
    }

    /// Pieces of the file.
    pub fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Last row of the file that is in a piece.
    pub fn last_row(&self, piece: usize) -> u64 {
        self.pieces.get(piece).map_or(u64::MAX, |p| p.above + p.rows)
    }

    /// Tells this content from any other.
    pub fn mark(&self) -> u32 {
        let mut hash = crc32fast::Hasher::new();
        self.pieces.iter().for_each(|p| hash.update(&p.mark.to_le_bytes()));
        hash.finalize()
    }

    /// Makes ready to read the file again.
    ///
    /// # Errors
    /// The file is gone, or has changed since its sample was taken.
    pub fn open(&self) -> Result<WholeReader<'_>, DataError> {
        let io = |source| DataError::Io { path: self.path.clone(), source };
        let found = std::fs::metadata(&self.path).map_err(io)?;
        if found.len() != self.length || found.modified().ok() != self.modified {
            return Err(self.changed());
        }
        Ok(WholeReader { whole: self })
    }

    fn changed(&self) -> DataError {
        invalid(
            "This file has changed since its sample was read",
            "Read it again once no other program writes to it (Read the file again, in Data).",
        )
        .in_file(&self.path)
    }
}

/// One piece of a file.
#[derive(Debug)]
pub struct Piece {
    /// Its rows that are not in the sample, with types and formats as in the sample.
    pub table: Table,
    /// Rows of the piece, the sample's too, that are no rows of a table or not in order.
    pub(crate) untidy: Untidy,
}

/// Reads pieces of the file of a [`Whole`].
#[derive(Debug)]
pub struct WholeReader<'a> {
    whole: &'a Whole,
}

impl WholeReader<'_> {
    /// The rows of one piece that are not in the sample `like`.
    ///
    /// # Errors
    /// The file is gone or has changed; a cell that is too long.
    pub fn piece(&self, index: usize, like: &Table) -> Result<Piece, DataError> {
        let whole = self.whole;
        let Some(place) = whole.pieces.get(index) else {
            return Ok(Piece { table: Table::default(), untidy: Untidy::default() });
        };
        // Read and not mapped: a file that is cut off meanwhile is an error and no crash.
        let io = |source| DataError::Io { path: whole.path.clone(), source };
        let mut file = File::open(&whole.path).map_err(io)?;
        file.seek(SeekFrom::Start(place.from as u64)).map_err(io)?;
        let mut bytes = vec![0; place.to.saturating_sub(place.from)];
        file.read_exact(&mut bytes).map_err(|source| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => whole.changed(),
            _ => io(source),
        })?;
        if crc32fast::hash(&bytes) != place.mark {
            return Err(whole.changed());
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| whole.changed())?;
        let (progress, seen) = (Progress::default(), AtomicU64::new(0));
        let names = &whole.names;
        let reading = Reading {
            text,
            dialect: &whole.dialect,
            names,
            keep: Keep::every(),
            together: Some(Signs::of(&bytes)),
            progress: &progress,
            read: &seen,
        };
        let part = parse(reading, 0..text.len())?;
        let untidy = part.untidy(place.above);
        let rows = part.into_rows(place.above, names).map_err(|e| e.in_file(&whole.path));
        let (mut columns, lines) = rows?;
        for column in &mut columns {
            if let Some(known) = like.column(column.name()) {
                (column.kind, column.inferred) = (known.kind, known.inferred);
                (column.format, column.format_unsure) = (known.format, known.format_unsure);
                column.day_first = known.day_first;
            }
        }
        let mut table = Table::new(columns, lines);
        let from = whole.sampled.partition_point(|line| *line <= place.above);
        let to = whole.sampled.partition_point(|line| *line <= place.above + place.rows);
        let sampled = whole.sampled.get(from..to).unwrap_or_default();
        if !sampled.is_empty() {
            let beyond: Vec<bool> = (0..table.rows())
                .map(|row| sampled.binary_search(&table.line(row)).is_err())
                .collect();
            table.retain_rows(|row| beyond.get(row).copied().unwrap_or(false));
        }
        Ok(Piece { table, untidy })
    }
}

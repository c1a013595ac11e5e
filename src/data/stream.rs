//! Rows of a delimited table that arrive one after another, as through a pipe, in constant memory.

use std::io::{BufRead, BufReader, Read};

use super::formats::dialect;
use super::{Column, ColumnType, Dataset, Samples, Table, invalid};
use crate::error::DataError;

/// Rows of one piece at most, so that memory does not grow with what waits in the pipe.
const PIECE: usize = 4096;
/// Bytes of one row at most.
const MAX_ROW: usize = 8 << 20;
/// What is tried between cells; the one that splits the header into most names wins.
const DELIMITERS: [u8; 4] = *b",;\t|";

/// Stands for a delimiter that is not known yet.
const UNKNOWN: u8 = 0;
const STANDARD_INPUT: &str = "standard input";

/// Reads rows as they come. Types are given, not inferred, and numbers are written as in the
/// training data, so that a row means the same whatever comes after it.
#[derive(Debug)]
pub struct RowStream<R> {
    input: BufReader<R>,
    kinds: Vec<(String, ColumnType)>,
    names: Vec<String>,
    delimiter: u8,
    line: u64,
    long: Vec<u64>,
}

impl<R: Read> RowStream<R> {
    /// Reads the header. `kinds` are the columns' types as the model has them; other columns are
    /// carried along as text.
    ///
    /// # Errors
    /// Nothing but blank lines, text that is not UTF-8, a row of more than 8 MiB.
    pub fn open(input: R, kinds: &[(String, ColumnType)]) -> Result<Self, DataError> {
        let mut stream = Self {
            input: BufReader::new(input),
            kinds: kinds.to_vec(),
            names: Vec::new(),
            delimiter: UNKNOWN,
            line: 0,
            long: Vec::new(),
        };
        let Some((_, text)) = stream.record()? else {
            return Err(invalid(
                "Nothing came in",
                "Send column names in the first line and one row per line after it.",
            ));
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let split = |delimiter| cells(text, delimiter);
        let by = DELIMITERS.into_iter().rev().max_by_key(|d| split(*d).len()).unwrap_or(b',');
        stream.delimiter = by;
        stream.names = split(by).iter().map(|name| name.trim().to_owned()).collect();
        Ok(stream)
    }

    /// The rows that have come since the last call, at least one: waits for it. `None` at the end.
    /// Short rows are filled with empty cells; what exceeds the header is left out and listed in
    /// [`RowStream::long_rows`].
    ///
    /// # Errors
    /// As [`RowStream::open`], with the row.
    pub fn next_piece(&mut self) -> Result<Option<Dataset>, DataError> {
        let mut columns: Vec<Column> = self.names.iter().map(|name| self.column(name)).collect();
        let mut lines = Vec::new();
        while let Some((line, text)) = self.record()? {
            let cells = cells(&text, self.delimiter);
            for (i, column) in columns.iter_mut().enumerate() {
                column.push(cells.get(i).map_or("", String::as_str));
            }
            if cells.len() > columns.len() {
                self.long.push(line);
            }
            lines.push(line);
            // All that has come is read: answer before waiting for more.
            if self.input.buffer().is_empty() || lines.len() == PIECE {
                break;
            }
        }
        if lines.is_empty() {
            return Ok(None);
        }
        let samples = Samples::Table(Table::new(columns, lines));
        Ok(Some(Dataset { name: "rows".to_owned(), samples, notes: Vec::new() }))
    }

    /// Rows that had more cells than the header, counted from 1, since the last call.
    pub fn long_rows(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.long)
    }

    fn column(&self, name: &str) -> Column {
        let mut column = Column::new(name);
        if let Some((_, kind)) = self.kinds.iter().find(|(n, _)| n == name) {
            (column.kind, column.inferred) = (*kind, *kind);
        }
        // Numbers are read as training found them written.
        column.format_unsure = true;
        column
    }

    /// The next record that is not blank, with the line that it starts on. A quoted cell may hold
    /// line ends.
    fn record(&mut self) -> Result<Option<(u64, String)>, DataError> {
        loop {
            let (start, mut bytes) = (self.line + 1, Vec::new());
            loop {
                let room = (MAX_ROW + 1).saturating_sub(bytes.len()) as u64;
                let from = bytes.len();
                let read = self.input.by_ref().take(room).read_until(b'\n', &mut bytes);
                let read =
                    read.map_err(|source| DataError::Io { path: STANDARD_INPUT.into(), source })?;
                self.line += u64::from(bytes.get(from..).is_some_and(|b| b.ends_with(b"\n")));
                if bytes.len() > MAX_ROW {
                    return Err(invalid(
                        "This row is longer than 8 MiB",
                        "Look for a quotation mark that is not closed.",
                    )
                    .at_row(start));
                }
                if read == 0 || !is_open(&bytes, self.delimiter) {
                    break;
                }
            }
            if bytes.is_empty() {
                return Ok(None);
            }
            let text = String::from_utf8(bytes).map_err(|_| {
                invalid("This row is not UTF-8 text", "Convert it, for example with iconv.")
                    .at_row(start)
            })?;
            if !text.trim().is_empty() {
                return Ok(Some((start, text)));
            }
        }
    }
}

/// Cells of one record.
fn cells(text: &str, delimiter: u8) -> Vec<String> {
    let mut record = csv::ByteRecord::new();
    // A reader of text in memory fails on nothing.
    let _ = dialect::reader(text, delimiter, true).read_byte_record(&mut record);
    record.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect()
}

/// Whether a quoted cell goes on after these bytes. A quotation mark within a cell, as in `5" pipe`,
/// opens nothing.
fn is_open(bytes: &[u8], delimiter: u8) -> bool {
    let ends_cell = |b: u8| match delimiter {
        UNKNOWN => DELIMITERS.contains(&b),
        known => b == known,
    };
    let (mut open, mut start) = (false, true);
    for &b in bytes {
        match b {
            // Right after a closing mark, another one means that the cell goes on.
            b'"' if open => (open, start) = (false, true),
            b'"' if start => open = true,
            _ if open => {}
            _ => start = ends_cell(b) || matches!(b, b'\n' | b'\r'),
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one line per read, as a pipe does that is written to slowly.
    struct Slow<'a>(std::str::SplitInclusive<'a, char>);

    impl Read for Slow<'_> {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            let line = self.0.next().unwrap_or_default().as_bytes();
            to[..line.len()].copy_from_slice(line);
            Ok(line.len())
        }
    }

    fn kinds() -> Vec<(String, ColumnType)> {
        vec![("a".to_owned(), ColumnType::Number), ("b".to_owned(), ColumnType::Category)]
    }

    fn rows(data: &Dataset) -> Vec<(u64, Vec<String>)> {
        let Samples::Table(t) = &data.samples else { panic!("a table") };
        let cells = |r| t.columns().iter().map(|c: &Column| c.raw(r).to_owned()).collect();
        (0..t.rows()).map(|r| (t.line(r), cells(r))).collect()
    }

    #[test]
    fn rows_are_given_as_they_come() {
        let text = "a;b\n1;x\n\n2;\"y\nz\"\n3\n4;w;more\n";
        let mut stream = RowStream::open(Slow(text.split_inclusive('\n')), &kinds()).unwrap();
        let piece = |s: &mut RowStream<_>| s.next_piece().unwrap().map(|d| rows(&d));
        let row = |line, a: &str, b: &str| Some(vec![(line, vec![a.to_owned(), b.to_owned()])]);
        assert_eq!(piece(&mut stream), row(2, "1", "x"));
        assert_eq!(piece(&mut stream), row(4, "2", "y\nz"));
        assert_eq!(piece(&mut stream), row(6, "3", ""));
        assert!(stream.long_rows().is_empty());
        assert_eq!(piece(&mut stream), row(7, "4", "w"));
        assert_eq!(stream.long_rows(), [7]);
        assert_eq!(piece(&mut stream), None);
    }

    #[test]
    fn what_waits_comes_in_one_piece_of_bounded_size() {
        let text = format!("\u{feff}a,b\n{}", "1,x\n".repeat(PIECE + 5));
        let mut stream = RowStream::open(text.as_bytes(), &kinds()).unwrap();
        let mut sizes = Vec::new();
        while let Some(piece) = stream.next_piece().unwrap() {
            sizes.push(piece.len());
        }
        assert_eq!(sizes.iter().sum::<usize>(), PIECE + 5);
        assert!(sizes.iter().all(|n| *n <= PIECE), "{sizes:?}");
        assert_eq!(stream.names, ["a", "b"]);
    }

    #[test]
    fn only_marks_at_the_start_of_a_cell_open_it() {
        assert!(is_open(b"1,\"x\n", b','));
        assert!(is_open(b"\"a\"\"b", b','));
        for closed in ["5\" pipe,x\n", "1,\"x\"\n", "\"a\"\"b\",2\n", "a;\"b\n"] {
            assert!(!is_open(closed.as_bytes(), b','), "{closed}");
        }
        assert!(is_open(b"a;\"b\n", UNKNOWN));
    }

    #[test]
    fn unusable_input_is_explained() {
        let open = |bytes: &'static [u8]| RowStream::open(bytes, &kinds());
        assert!(open(b"\n \n").unwrap_err().to_string().contains("Nothing came in"));
        let mut stream = open(b"a,b\n1,x\n2,\xff\n").unwrap();
        let e = loop {
            match stream.next_piece() {
                Ok(piece) => assert!(piece.is_some()),
                Err(e) => break e,
            }
        };
        let place = crate::error::UserError::from(e).place;
        assert_eq!(place.row, Some(3));
        let long = [b"a,b\n\"".to_vec(), vec![b'x'; MAX_ROW + 9]].concat();
        let mut stream = RowStream::open(long.as_slice(), &kinds()).unwrap();
        assert!(stream.next_piece().unwrap_err().to_string().contains("8 MiB"));
    }
}

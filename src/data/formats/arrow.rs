//! Parquet, and Arrow IPC files and streams (Feather 2). Columns that hold lists or structures are left
//! out and named; all others become the text of their value.

mod cells;

use std::io::Cursor;
use std::path::Path;
use std::sync::atomic::Ordering;

use arrow_array::RecordBatch;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use self::cells::{readable, write};
use super::build::{self, Tally, damaged, guarded};
use crate::data::{Column, ImportNote, Progress, Table, count, invalid};
use crate::error::DataError;

/// Rows taken at a time.
const BATCH: usize = 8192;

/// Reads a Parquet file.
pub(crate) fn read_parquet(
    path: &Path,
    progress: &Progress,
) -> Result<(Table, Vec<ImportNote>), DataError> {
    let read = || {
        let file = std::fs::File::open(path)
            .map_err(|source| DataError::Io { path: path.to_owned(), source })?;
        let failed = |e: parquet::errors::ParquetError| parquet_failed(e.to_string());
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)?;
        let rows = builder.metadata().file_metadata().num_rows();
        progress.total.store(rows.max(0) as u64, Ordering::Relaxed);
        let mut reader = Reader::new(builder.schema())?;
        let mask = ProjectionMask::roots(builder.parquet_schema(), reader.taken.iter().copied());
        let batches = builder.with_projection(mask).with_batch_size(BATCH).build();
        for batch in batches.map_err(failed)? {
            reader.add(&batch.map_err(|e| parquet_failed(e.to_string()))?, progress)?;
        }
        reader.finish()
    };
    guarded("Parquet file", read).map_err(|e| e.in_file(path))
}

/// What the reader says, told from a way of packing that this program does not know.
fn parquet_failed(why: String) -> DataError {
    match why.split("Disabled feature at compile time: ").nth(1) {
        Some(packing) => invalid(
            format!("This Parquet file is packed with {}, which is not supported", packing.trim()),
            "Write it again packed with snappy, zstd or gzip, or not at all.",
        ),
        None => damaged("Parquet file", why),
    }
}

/// Reads an Arrow file or, without its mark at the start, an Arrow stream.
pub(crate) fn read_arrow(
    path: &Path,
    bytes: &[u8],
    progress: &Progress,
) -> Result<(Table, Vec<ImportNote>), DataError> {
    let failed = |e: ArrowError| damaged("Arrow file", e);
    let read = || {
        let cursor = Cursor::new(bytes);
        if bytes.starts_with(b"ARROW1") {
            let file = FileReader::try_new(cursor.clone(), None).map_err(failed)?;
            let reader = Reader::new(&file.schema())?;
            let file = FileReader::try_new(cursor, Some(reader.taken.clone())).map_err(failed)?;
            reader.all(file, progress)
        } else {
            let stream = StreamReader::try_new(cursor.clone(), None).map_err(failed)?;
            let reader = Reader::new(&stream.schema())?;
            let taken = Some(reader.taken.clone());
            reader.all(StreamReader::try_new(cursor, taken).map_err(failed)?, progress)
        }
    };
    guarded("Arrow file", read).map_err(|e| e.in_file(path))
}

/// Columns being filled.
struct Reader {
    /// Places of the columns that are read.
    taken: Vec<usize>,
    columns: Vec<Column>,
    lines: Vec<u64>,
    tally: Tally,
    notes: Vec<ImportNote>,
}

impl Reader {
    fn new(schema: &Schema) -> Result<Self, DataError> {
        let mut notes = Vec::new();
        let fields = schema.fields();
        let taken: Vec<usize> =
            (0..fields.len()).filter(|&i| readable(fields[i].data_type())).collect();
        let left: Vec<String> = fields
            .iter()
            .filter(|f| !readable(f.data_type()))
            .map(|f| format!("\"{}\"", f.name()))
            .collect();
        if !left.is_empty() {
            let what = count(left.len(), "column");
            let text =
                format!("{what} of lists, structures or bytes left out: {}.", left.join(", "));
            notes.push(ImportNote::repair(text, &[]));
        }
        if taken.is_empty() && !left.is_empty() {
            return Err(invalid(
                "No column of this file holds plain values",
                "Turn lists and structures into columns of their own when you export it.",
            ));
        }
        let names = taken.iter().map(|&i| fields[i].name().clone()).collect();
        let columns = build::columns(names, &mut notes)?;
        Ok(Self { taken, columns, lines: Vec::new(), tally: Tally::default(), notes })
    }

    fn all(
        mut self,
        batches: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
        progress: &Progress,
    ) -> Result<(Table, Vec<ImportNote>), DataError> {
        for batch in batches {
            self.add(&batch.map_err(|e| damaged("Arrow file", e))?, progress)?;
        }
        self.finish()
    }

    fn add(&mut self, batch: &RecordBatch, progress: &Progress) -> Result<(), DataError> {
        progress.check()?;
        let first = self.lines.len() as u64 + 1;
        for (column, array) in self.columns.iter_mut().zip(batch.columns()) {
            write(array.as_ref(), column, &mut self.tally)
                .map_err(|what| damaged("column", what).in_column(column.name()))?;
            for row in self.lines.len()..column.len() {
                build::check_cell(column.raw(row), row as u64 + 1, column.name())?;
            }
        }
        self.lines.extend(first..first + batch.num_rows() as u64);
        progress.done.store(self.lines.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn finish(mut self) -> Result<(Table, Vec<ImportNote>), DataError> {
        self.notes.extend(self.tally.note());
        build::table(self.columns, self.lines, self.notes)
    }
}

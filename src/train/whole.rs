//! Training rows of a table larger than memory: every row of the file, encoded with what was fitted on
//! the sample, in a temporary file that the system pages in as batches are made.
//!
//! Preprocessing is fitted on the training rows of the sample, and validation and test rows are those of
//! the sample. Which rows outside of it are trained on says [`Beyond`]. Rows of the sample itself are
//! taken as they are after the recorded steps; to the others those steps are done as they are read.
//!
//! The file of encoded rows lies beside the runs and has no name: the system removes it once nobody uses
//! it any more, however the program ends.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;

use crate::data::formats::csv::{Untidy, Whole, WholeReader};
use crate::data::preprocess::{NumberWriter, free_space};
use crate::data::split::Beyond;
use crate::data::steps::apply_beyond;
use crate::data::target::{Targets, column_targets};
use crate::data::{
    Dataset, Encoded, Preprocessor, Samples, Schema, Split, SplitConfig, Step, Table, TargetData,
    count, invalid,
};
use crate::error::{DataError, TrainError};

/// Most pieces of the file that are in work at a time, and the bytes of encoded rows that they should
/// not exceed. How rows are put together must not hang on the machine.
const PIECES: usize = 8;
const AT_ONCE: usize = 64 << 20;
/// Rows of the sample that are encoded at a time.
const ROWS: usize = 1 << 16;
/// Bytes of the disk that are left alone.
const SPARE: u64 = 64 << 20;

/// Encoded rows in files.
#[derive(Debug)]
pub(super) struct Streamed {
    /// All training rows of the file.
    pub train: Encoded,
    /// Validation rows of the sample.
    pub validation: Encoded,
    /// Test rows of the sample.
    pub test: Encoded,
    /// What was done, for the log.
    pub told: Vec<String>,
}

/// What training on all rows of a file takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Training rows, about.
    pub rows: usize,
    /// Bytes of the temporary file.
    pub bytes: u64,
}

/// The table and its file, where all rows of that are trained on.
fn of(dataset: &Dataset) -> Option<(&Table, &Whole)> {
    let Samples::Table(table) = &dataset.samples else { return None };
    Some((table, table.whole()?))
}

/// What training on all rows of the file takes that `sample` was drawn from; `None` where the sample is
/// all that is trained on.
pub(super) fn extent(
    sample: &Dataset,
    preprocessor: &Preprocessor,
    parts: &Split,
    config: &SplitConfig,
) -> Option<Extent> {
    let (table, whole) = of(sample)?;
    let share = Beyond::new(table, parts, config).share(parts);
    let rows = parts.train.len() + (whole.beyond() as f64 * share) as usize;
    let all = rows + parts.validation.len() + parts.test.len();
    Some(Extent { rows, bytes: (all * row_bytes(preprocessor)) as u64 })
}

fn row_bytes(preprocessor: &Preprocessor) -> usize {
    4 * (preprocessor.dense_width() + preprocessor.embeddings().len())
}

/// Refuses to begin what the disk has no room for.
fn room(needed: u64, free: Option<u64>, folder: &Path) -> Result<(), DataError> {
    match free {
        Some(free) if free < needed.saturating_add(SPARE) => Err(invalid(
            format!(
                "Training on all rows of this file needs about {} on the disk for the encoded rows, and \
                 {} are free",
                size(needed),
                size(free)
            ),
            "Free some space, leave columns out, or train on the sample instead of all rows.",
        )
        .in_file(folder)),
        _ => Ok(()),
    }
}

/// Rows are numbered with 32 bits.
fn supported(rows: usize) -> Result<(), TrainError> {
    u32::try_from(rows).map(|_| ()).map_err(|_| TrainError::Config {
        setting: "training on all rows of the file",
        what: "it has more rows than are supported; train on the sample".to_owned(),
    })
}

fn size(bytes: u64) -> String {
    match bytes {
        0..=999_999_999 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// Encoded rows on their way to the disk.
struct Store {
    dense: NumberWriter<f32>,
    categories: NumberWriter<u32>,
    classes: Vec<u32>,
    values: Vec<f32>,
    rows: usize,
    unknown: BTreeMap<String, usize>,
}

impl Store {
    fn new(folder: &Path) -> Result<Self, DataError> {
        Ok(Self {
            dense: NumberWriter::new(folder)?,
            categories: NumberWriter::new(folder)?,
            classes: Vec::new(),
            values: Vec::new(),
            rows: 0,
            unknown: BTreeMap::new(),
        })
    }

    fn add(&mut self, piece: Encoded) -> Result<(), DataError> {
        self.dense.write(&piece.dense)?;
        self.categories.write(&piece.categories)?;
        match piece.target {
            TargetData::Classes(classes) => self.classes.extend(classes),
            TargetData::Values(values) => self.values.extend(values),
            TargetData::None => {}
        }
        self.rows += piece.rows;
        for (column, n) in piece.unknown {
            *self.unknown.entry(column).or_default() += n;
        }
        Ok(())
    }

    /// Adds rows of the sample.
    fn add_rows(
        &mut self,
        sample: &Dataset,
        preprocessor: &Preprocessor,
        rows: &[u32],
    ) -> Result<(), DataError> {
        rows.chunks(ROWS).try_for_each(|rows| self.add(preprocessor.transform(sample, rows)?))
    }

    fn finish(self, preprocessor: &Preprocessor) -> Result<Encoded, DataError> {
        let target = if self.classes.len() == self.rows {
            TargetData::Classes(self.classes)
        } else if self.values.len() == self.rows {
            TargetData::Values(self.values)
        } else {
            TargetData::None
        };
        Ok(Encoded {
            rows: self.rows,
            dense: self.dense.finish()?,
            dense_width: preprocessor.dense_width(),
            categories: self.categories.finish()?,
            category_width: preprocessor.embeddings().len(),
            target,
            unknown: self.unknown.into_iter().collect(),
        })
    }
}

/// Rows outside of the sample that are not trained on.
#[derive(Default)]
struct LeftOut {
    by_steps: usize,
    without_target: usize,
    by_split: usize,
}

/// What every piece is made with.
struct Work<'a> {
    table: &'a Table,
    schema: &'a Schema,
    preprocessor: &'a Preprocessor,
    beyond: Beyond,
}

impl Work<'_> {
    /// Encodes the training rows of a piece that are not in the sample.
    fn piece(
        &self,
        reader: &WholeReader<'_>,
        index: usize,
    ) -> Result<(Encoded, Untidy, LeftOut), DataError> {
        let read = reader.piece(index, self.table)?;
        let before = read.table.rows();
        let piece = apply_beyond(read.table, self.table.steps())?;
        let mut left = LeftOut { by_steps: before - piece.rows(), ..LeftOut::default() };
        let known: Vec<bool> = match piece.column(&self.schema.target) {
            None => Vec::new(),
            Some(column) => {
                match column_targets(column, &self.schema.task, self.schema.target_kind()) {
                    Targets::Classes(c) => c.iter().map(Option::is_some).collect(),
                    Targets::Values(v) => v.iter().map(|v| v.is_finite()).collect(),
                }
            }
        };
        let mut rows = Vec::with_capacity(piece.rows());
        for row in 0..piece.rows() {
            if !known.get(row).copied().unwrap_or(false) {
                left.without_target += 1;
            } else if !self.beyond.trains(&piece, row) {
                left.by_split += 1;
            } else {
                rows.push(row as u32);
            }
        }
        Ok((self.preprocessor.transform_beyond(&piece, &rows)?, read.untidy, left))
    }
}

/// Encodes all training rows of the file that `sample` was drawn from, and its validation and test rows;
/// the files are made in `folder`. `go_on` is asked between pieces, with the rows that were read and all.
/// `None` where the sample is all that is trained on.
///
/// # Errors
/// The file has changed or cannot be read; a recorded step cannot be done to it piece by piece; the disk
/// has no room; more rows than are supported; [`DataError::Cancelled`] when `go_on` says to stop.
pub(super) fn encode(
    sample: &Dataset,
    schema: &Schema,
    preprocessor: &Preprocessor,
    (parts, config): (&Split, &SplitConfig),
    folder: &Path,
    go_on: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<Option<Streamed>, TrainError> {
    let Some((table, whole)) = of(sample) else { return Ok(None) };
    let Some(extent) = extent(sample, preprocessor, parts, config) else { return Ok(None) };
    room(extent.bytes, free_space(folder), folder)?;
    supported(extent.rows)?;
    let reader = whole.open()?;
    let beyond = Beyond::new(table, parts, config);
    let work = Work { table, schema, preprocessor, beyond };
    let mut store = Store::new(folder)?;
    match schema.task.classes().is_empty() {
        true => store.values.reserve(extent.rows),
        false => store.classes.reserve(extent.rows),
    }
    let mut rest = parts.train.as_slice();
    let (mut untidy, mut left) = (Untidy::default(), LeftOut::default());
    let per_piece = extent.rows / whole.pieces().max(1) * row_bytes(preprocessor);
    let few = (AT_ONCE / per_piece.max(1)).clamp(1, PIECES);
    let pieces: Vec<usize> = (0..whole.pieces()).collect();
    for few in pieces.chunks(few) {
        let done = few.first().and_then(|p| p.checked_sub(1)).map_or(0, |p| whole.last_row(p));
        if !go_on(done, whole.rows() as u64) {
            return Err(DataError::Cancelled.into());
        }
        let last = few.last().map_or(0, |piece| whole.last_row(*piece));
        let n = rest.partition_point(|row| table.line(*row as usize) <= last);
        let (now, later) = rest.split_at(n);
        store.add_rows(sample, preprocessor, now)?;
        rest = later;
        let encoded: Vec<_> = few
            .par_iter()
            .map(|piece| work.piece(&reader, *piece))
            .collect::<Result<_, DataError>>()?;
        for (piece, more, without) in encoded {
            store.add(piece)?;
            untidy.extend(&more);
            left.by_steps += without.by_steps;
            left.without_target += without.without_target;
            left.by_split += without.by_split;
        }
    }
    store.add_rows(sample, preprocessor, rest)?;
    supported(store.rows)?;
    let train = store.finish(preprocessor)?;
    let held = |rows: &[u32]| {
        let mut store = Store::new(folder)?;
        store.add_rows(sample, preprocessor, rows)?;
        store.finish(preprocessor)
    };
    let (validation, test) = (held(&parts.validation)?, held(&parts.test)?);
    let told = told(&train, parts, &work, &untidy, &left);
    Ok(Some(Streamed { train, validation, test, told }))
}

/// What was done, in sentences.
fn told(
    train: &Encoded,
    parts: &Split,
    work: &Work<'_>,
    untidy: &Untidy,
    left: &LeftOut,
) -> Vec<String> {
    let mut told = vec![format!(
        "All rows of the file are trained on: {}. Preprocessing was fitted on the {} of the sample for \
         training; validation and test rows are of the sample.",
        count(train.rows, "row"),
        count(parts.train.len(), "row")
    )];
    for (n, why) in [
        (left.by_split, work.beyond.reason()),
        (left.without_target, format!("without a known \"{}\"", work.schema.target)),
        (left.by_steps, "by the recorded steps".to_owned()),
    ] {
        if n > 0 {
            told.push(format!("{} outside of the sample left out, {why}.", count(n, "row")));
        }
    }
    if work.table.steps().iter().any(Step::names_rows) {
        told.push(
            "Recorded steps that name single rows were done to the rows of the sample that they name."
                .to_owned(),
        );
    }
    for note in untidy.notes() {
        let rows: Vec<String> = note.rows.iter().take(8).map(u64::to_string).collect();
        let more = if note.rows.len() > 8 { ", …" } else { "" };
        told.push(format!("{} First rows: {}{more}.", note.text, rows.join(", ")));
    }
    for (column, n) in &train.unknown {
        told.push(format!(
            "{} of \"{column}\" not in the sample or not of its type; taken as unknown.",
            count(*n, "value")
        ));
    }
    told
}

#[cfg(test)]
mod tests;

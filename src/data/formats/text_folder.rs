//! A folder with one folder of text files per class, or with `train` and `test` folders of that kind:
//! a table of texts and labels.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::build;
use super::csv::MAX_CELL;
use super::image_folder::{class_folders, name, walk_for};
use super::text;
use crate::data::{Column, ColumnType, ImportNote, Progress, Table, count};
use crate::error::DataError;

/// Name of the column of texts.
pub(crate) const TEXT: &str = "text";
/// Name of the column of labels.
pub(crate) const LABEL: &str = "label";

fn is_text_name(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| ["txt", "text", "md"].iter().any(|x| e.eq_ignore_ascii_case(x)))
}

/// Opens a folder of texts; `None` when no folder in it holds one.
pub(crate) fn open(
    folder: &Path,
    progress: &Progress,
) -> Result<Option<(Table, Vec<ImportNote>)>, DataError> {
    let (folders, mut notes) = class_folders(folder)?;
    let mut items: Vec<(PathBuf, String, bool)> = Vec::new();
    let mut other = Vec::new();
    for (class, test) in folders {
        let mut files = Vec::new();
        walk_for(&class, is_text_name, &mut files, &mut other, progress)?;
        items.extend(files.into_iter().map(|f| (f, name(&class), test)));
    }
    if items.is_empty() {
        return Ok(None);
    }
    items.sort_by_key(|(_, _, test)| *test);
    progress.total.store(items.len() as u64, Ordering::Relaxed);
    let (mut texts, mut labels) = (Column::new(TEXT), Column::new(LABEL));
    let (mut long, mut damaged, mut empty) = (0, 0, 0);
    let mut test_start = None;
    let mut rows = 0;
    for (path, class, test) in items {
        progress.check()?;
        progress.done.fetch_add(1, Ordering::Relaxed);
        let bytes =
            std::fs::read(&path).map_err(|source| DataError::Io { path: path.clone(), source })?;
        if bytes.len() > MAX_CELL || memchr::memchr(0, &bytes[..bytes.len().min(1024)]).is_some() {
            long += 1;
            continue;
        }
        let decoded = text::decode(&bytes);
        damaged += usize::from(decoded.note.repair);
        empty += usize::from(decoded.text.trim().is_empty());
        if test && test_start.is_none() {
            test_start = Some(rows);
        }
        texts.push(&decoded.text);
        labels.push(&class);
        rows += 1;
    }
    if let Some(first) = other.first() {
        let n = count(other.len(), "file");
        let text = format!("{n} not .txt left out, such as \"{}\".", name(first));
        notes.push(ImportNote::repair(text, &[]));
    }
    if long > 0 {
        let what = count(long, "file");
        notes.push(ImportNote::repair(format!("{what} too long or not text left out."), &[]));
    }
    if damaged > 0 {
        let what = count(damaged, "file");
        notes.push(ImportNote::repair(format!("{what} with characters that cannot be read."), &[]));
    }
    if empty > 0 {
        notes.push(ImportNote::info(format!("{} without a word.", count(empty, "file"))));
    }
    let lines = (1..=rows as u64).collect();
    let (mut table, more) = build::table(vec![texts, labels], lines, notes)?;
    for (column, kind) in
        table.columns_mut().iter_mut().zip([ColumnType::Text, ColumnType::Category])
    {
        (column.kind, column.inferred) = (kind, kind);
    }
    let mut notes = more;
    if let Some(start) = test_start.filter(|s| *s > 0) {
        table.set_test_start(start);
        let what = count(table.rows() - start, "text");
        notes.push(ImportNote::info(format!("The {what} of the test folder are the test set.")));
    }
    Ok(Some((table, notes)))
}

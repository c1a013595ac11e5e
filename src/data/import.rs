//! Opens a path in any supported format.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::formats::magic::{self, Content};
use super::formats::{bytes, csv, idx, image_folder};
use super::{Dataset, ImportNote, Samples, Table, count, invalid};
use crate::error::DataError;

/// What the user can override about an import; `None` means detect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImportOptions {
    /// Field delimiter of a text table.
    #[serde(with = "delimiter")]
    pub delimiter: Option<u8>,
    /// Whether the first row holds column names.
    pub header: Option<bool>,
    /// Width and height to which the images of a folder are brought; by default the commonest
    /// size, made smaller to fit 32 × 32.
    pub image_size: Option<(usize, usize)>,
}

/// A delimiter is stored as text: `";"`.
mod delimiter {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &Option<u8>, s: S) -> Result<S::Ok, S::Error> {
        value.map(char::from).serialize(s)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(d: D) -> Result<Option<u8>, D::Error> {
        match Option::<String>::deserialize(d)?.as_deref().map(str::as_bytes) {
            None => Ok(None),
            Some([one]) if one.is_ascii() => Ok(Some(*one)),
            Some(_) => Err(D::Error::custom("a delimiter is one character, such as \";\"")),
        }
    }
}

/// Progress of an import, shared with whoever watches; set `cancel` to stop it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Units done (bytes or files).
    pub done: AtomicU64,
    /// Units in all, 0 while unknown.
    pub total: AtomicU64,
    /// Asks the import to stop.
    pub cancel: AtomicBool,
}

impl Progress {
    /// `Err` once the watcher has asked to stop.
    pub(crate) fn check(&self) -> Result<(), DataError> {
        if self.cancel.load(Ordering::Relaxed) { Err(DataError::Cancelled) } else { Ok(()) }
    }
}

/// Opens a file or folder, detecting its format from content and name: a delimited text table
/// (also packed with gzip), an IDX image file or a folder of them, a folder of images, a folder with
/// a table or with a train and a test table.
///
/// # Errors
/// [`DataError::Io`] when the system refuses, [`DataError::Invalid`] with place and advice when the
/// content cannot be used, [`DataError::Cancelled`].
pub fn open(
    path: &Path,
    options: &ImportOptions,
    progress: &Progress,
) -> Result<Dataset, DataError> {
    let io = |source| DataError::Io { path: path.to_owned(), source };
    let (samples, notes) = if std::fs::metadata(path).map_err(io)?.is_dir() {
        folder(path, options, progress)?
    } else {
        file(path, options, progress)?
    };
    Ok(Dataset { name: name_of(path), samples, notes })
}

/// `data/flowers.csv.gz` is called "flowers".
pub(crate) fn name_of(path: &Path) -> String {
    let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = absolute.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let known = [".gz", ".csv", ".tsv", ".tab", ".txt"];
    let mut name = name.as_str();
    if absolute.is_file() {
        for _ in 0..2 {
            let end = known.iter().find(|e| name.to_lowercase().ends_with(*e));
            name = end.map_or(name, |e| &name[..name.len() - e.len()]);
        }
    }
    if name.is_empty() { "data".to_owned() } else { name.to_owned() }
}

fn file(
    path: &Path,
    options: &ImportOptions,
    progress: &Progress,
) -> Result<(Samples, Vec<ImportNote>), DataError> {
    let content = bytes::load(path, progress)?;
    match magic::identify(&content) {
        Content::Text => {
            let (table, notes) = csv::read(path, &content, options, progress)?;
            Ok((Samples::Table(table), notes))
        }
        Content::Idx(_) => {
            drop(content);
            let (images, notes) = idx::open_file(path, progress)?;
            Ok((Samples::Images(images), notes))
        }
        Content::Picture(what) => Err(invalid(
            format!("This is one file, {what}"),
            "To learn from images, open a folder that has one folder of images per class.",
        )
        .in_file(path)),
        Content::Other(what, advice) => {
            Err(invalid(format!("This is {what}, not a text table"), advice).in_file(path))
        }
    }
}

/// Entries of a folder that are not hidden, by name.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let io = |source| DataError::Io { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        if !name.starts_with('.') && !name.starts_with("__MACOSX") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn folder(
    path: &Path,
    options: &ImportOptions,
    progress: &Progress,
) -> Result<(Samples, Vec<ImportNote>), DataError> {
    let entries = entries(path)?;
    if entries.iter().any(|e| idx::is_images_name(e)) {
        let (images, notes) = idx::open_folder(path, &entries, progress)?;
        return Ok((Samples::Images(images), notes));
    }
    if let Some((images, notes)) = image_folder::open(path, options.image_size, progress)? {
        return Ok((Samples::Images(images), notes));
    }
    let lower =
        |p: &Path| p.file_name().map_or_else(String::new, |n| n.to_string_lossy().to_lowercase());
    let tables: Vec<&PathBuf> = entries
        .iter()
        .filter(|e| {
            let name = lower(e);
            let name = name.strip_suffix(".gz").unwrap_or(&name);
            [".csv", ".tsv", ".tab"].iter().any(|x| name.ends_with(x)) && e.is_file()
        })
        .collect();
    let find = |word: &str| tables.iter().find(|t| lower(t).contains(word));
    match (tables.as_slice(), find("train"), find("test")) {
        ([one], _, _) => file(one, options, progress),
        ([_, _], Some(train), Some(test)) if train != test => {
            two_tables(train, test, options, progress)
        }
        (tables, _, _) => Err(invalid(
            if tables.is_empty() {
                "This folder holds neither a table nor images that can be read".to_owned()
            } else {
                format!("This folder holds {}", count(tables.len(), "table"))
            },
            if tables.is_empty() {
                "Open a CSV file, or a folder that has one folder of images per class."
            } else {
                "Open one of the files, or keep one with \"train\" and one with \"test\" in its name."
            },
        )
        .in_file(path)),
    }
}

fn two_tables(
    train: &Path,
    test: &Path,
    options: &ImportOptions,
    progress: &Progress,
) -> Result<(Samples, Vec<ImportNote>), DataError> {
    let read = |path: &Path| -> Result<(Table, Vec<ImportNote>), DataError> {
        let content = bytes::load(path, progress)?;
        csv::read(path, &content, options, progress)
    };
    let (mut table, mut notes) = read(train)?;
    let (other, other_notes) = read(test)?;
    let names = |t: &Table| t.columns().iter().map(|c| c.name().to_owned()).collect::<Vec<_>>();
    if names(&table) != names(&other) {
        return Err(invalid(
            "The train and the test table do not have the same columns in the same order",
            "Make them alike, or open the train table alone.",
        )
        .in_file(test));
    }
    notes.push(ImportNote::info(format!(
        "{} of \"{}\" are the test set.",
        count(other.rows(), "row"),
        test.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
    )));
    notes.extend(other_notes.into_iter().filter(|n| n.repair));
    table.append_test(&other);
    Ok((Samples::Table(table), notes))
}

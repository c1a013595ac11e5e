//! Datasets: what the user's files become, whatever their format.

pub mod date;
pub mod formats;
pub mod images;
pub mod import;
pub mod infer;
pub mod number;
pub mod preprocess;
pub mod rng;
pub mod schema;
pub mod split;
pub mod steps;
pub mod stream;
pub mod table;
pub mod target;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use formats::image_folder::read_one as read_picture;
pub use images::ImageSet;
pub(crate) use import::name_of;
pub use import::{ImportOptions, Progress, open};
pub use preprocess::{Encoded, Preprocessor, TargetData};
pub use schema::{ColumnType, Schema, Task};
pub use split::{Split, SplitConfig, SplitMethod};
pub use steps::Step;
pub use table::{Column, Table};
pub use target::{Targets, targets};

use std::path::Path;

use crate::error::{DataError, Place};

/// A loaded dataset.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Display name, from the file or folder.
    pub name: String,
    /// Rows or images.
    pub samples: Samples,
    /// What the importer did, in plain words with counts: delimiter, encoding, repairs.
    pub notes: Vec<ImportNote>,
}

/// The samples of a dataset.
#[derive(Debug, Clone)]
pub enum Samples {
    /// Rows and columns.
    Table(Table),
    /// Labelled images of one size.
    Images(ImageSet),
}

/// One thing the importer noticed or repaired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportNote {
    /// Plain sentence.
    pub text: String,
    /// Whether something was changed or left out (shown as a warning).
    pub repair: bool,
    /// First affected rows as in the file, from 1, at most 20.
    pub rows: Vec<u64>,
}

impl Dataset {
    /// Number of samples.
    pub fn len(&self) -> usize {
        match &self.samples {
            Samples::Table(t) => t.rows(),
            Samples::Images(i) => i.len(),
        }
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An error with advice and no place; the methods below add the place.
pub(crate) fn invalid(what: impl Into<String>, advice: impl Into<String>) -> DataError {
    DataError::Invalid { what: what.into(), place: Place::default(), advice: advice.into() }
}

impl DataError {
    pub(crate) fn in_file(mut self, path: &Path) -> Self {
        if let Self::Invalid { place, .. } = &mut self {
            place.path = Some(path.to_owned());
        }
        self
    }

    pub(crate) fn at_row(mut self, row: u64) -> Self {
        if let Self::Invalid { place, .. } = &mut self {
            place.row = Some(row);
        }
        self
    }

    pub(crate) fn in_column(mut self, name: &str) -> Self {
        if let Self::Invalid { place, .. } = &mut self {
            place.column = Some(name.to_owned());
        }
        self
    }
}

impl ImportNote {
    /// Something worth knowing; nothing was changed.
    pub(crate) fn info(text: impl Into<String>) -> Self {
        Self { text: text.into(), repair: false, rows: Vec::new() }
    }

    /// Something changed or left out, with the first rows concerned.
    pub(crate) fn repair(text: impl Into<String>, rows: &[u64]) -> Self {
        Self { text: text.into(), repair: true, rows: rows.iter().take(20).copied().collect() }
    }
}

/// `1 row`, `1,234 rows`.
pub(crate) fn count(n: usize, one: &str) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, d) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(d);
    }
    let plural = match one {
        "category" => " categories".to_owned(),
        "class" => " classes".to_owned(),
        _ if n == 1 => String::new(),
        _ => format!(" {one}s"),
    };
    if n == 1 { format!("1 {one}") } else { text + &plural }
}

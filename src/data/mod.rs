//! Datasets: what the user's files become, whatever their format.

pub mod formats;
pub mod images;
pub mod import;
pub mod preprocess;
pub mod schema;
pub mod split;
pub mod table;

pub use images::ImageSet;
pub use import::{ImportOptions, Progress, open};
pub use preprocess::{Encoded, Preprocessor, TargetData};
pub use schema::{ColumnType, Schema, Task};
pub use split::{Split, SplitConfig};
pub use table::{Column, Table};

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

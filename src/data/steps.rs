//! Changes to data after it was read, each recorded so that it can be seen, taken back and done again
//! on the same file. The file itself stays as it is.
//!
//! Steps are done in order; row numbers in a step are those that the rows have when it is done. Steps
//! that change cells by their value ([`Step::is_value_rule`]) are stored with a model and done to the
//! rows that it predicts, so training and prediction see the same values.

mod apply;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use apply::{Effect, apply, apply_beyond, apply_rules};

/// One recorded change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Leaves rows or images out.
    DropRows {
        /// Rows from 0.
        rows: Vec<u32>,
    },
    /// Leaves out rows equal to an earlier one in every column but those named.
    DropDuplicates {
        /// Columns not compared.
        except: Vec<String>,
    },
    /// Leaves out rows without a value in a column.
    DropMissing {
        /// Column.
        column: String,
    },
    /// Leaves columns out.
    DropColumns {
        /// Columns.
        columns: Vec<String>,
    },
    /// Gives values one spelling.
    Merge {
        /// Column.
        column: String,
        /// Spelling as it stands, and the one to use.
        spellings: BTreeMap<String, String>,
    },
    /// Empties cells with these values: they stand for "no value".
    Empty {
        /// Column.
        column: String,
        /// Values.
        values: Vec<String>,
    },
    /// Fills empty cells with one value.
    Fill {
        /// Column.
        column: String,
        /// Value.
        value: String,
    },
    /// Gives rows or images another label.
    Relabel {
        /// Target column; not used for images.
        column: String,
        /// Row from 0 and its new label.
        labels: Vec<(u32, String)>,
    },
    /// Moves numbers outside of a range to its ends.
    Cap {
        /// Column.
        column: String,
        /// Lowest.
        low: f64,
        /// Highest.
        high: f64,
    },
    /// Replaces every letter by `x` and every digit by `0`.
    Mask {
        /// Column.
        column: String,
    },
    /// Replaces every value by a pseudonym: 16 hexadecimal digits of a keyed SHA-256.
    Hash {
        /// Column.
        column: String,
        /// Key, so that values cannot be found by hashing guesses without the project file.
        key: String,
    },
    /// Puts all values but those named together.
    Group {
        /// Column.
        column: String,
        /// Values that stay.
        keep: Vec<String>,
        /// Name of all others.
        other: String,
    },
    /// Shows rows of rarer classes more often in training, so that all classes weigh alike.
    Balance,
}

impl Step {
    /// Whether it changes cells by their value alone, so that it is done to new rows as well. Target
    /// columns of new rows need not be there.
    pub fn is_value_rule(&self) -> bool {
        matches!(
            self,
            Self::Merge { .. }
                | Self::Empty { .. }
                | Self::Fill { .. }
                | Self::Cap { .. }
                | Self::Mask { .. }
                | Self::Hash { .. }
                | Self::Group { .. }
        )
    }

    /// Whether it is about single rows, by their number.
    pub fn names_rows(&self) -> bool {
        matches!(self, Self::DropRows { .. } | Self::Relabel { .. })
    }

    /// Whether what it does to a row hangs on the other rows.
    pub fn compares_rows(&self) -> bool {
        matches!(self, Self::DropDuplicates { .. } | Self::Balance)
    }

    /// The column that it changes, if it is one.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::DropMissing { column }
            | Self::Merge { column, .. }
            | Self::Empty { column, .. }
            | Self::Fill { column, .. }
            | Self::Relabel { column, .. }
            | Self::Cap { column, .. }
            | Self::Mask { column }
            | Self::Hash { column, .. }
            | Self::Group { column, .. } => Some(column),
            Self::DropRows { .. }
            | Self::DropDuplicates { .. }
            | Self::DropColumns { .. }
            | Self::Balance => None,
        }
    }

    /// What it does, in a few words.
    pub fn label(&self) -> String {
        match self {
            Self::DropRows { rows } => format!("Leave out {}", super::count(rows.len(), "row")),
            Self::DropDuplicates { .. } => "Leave out repeated rows".to_owned(),
            Self::DropMissing { column } => format!("Leave out rows without \"{column}\""),
            Self::DropColumns { columns } => {
                let names: Vec<String> =
                    columns.iter().take(4).map(|c| format!("\"{c}\"")).collect();
                let more = if columns.len() > 4 { ", …" } else { "" };
                format!("Leave out {}{more}", names.join(", "))
            }
            Self::Merge { column, spellings } => {
                let (n, of) = (spellings.len(), "spelling");
                format!("Merge {} of \"{column}\"", super::count(n, of))
            }
            Self::Empty { column, values } => {
                let shown: Vec<String> =
                    values.iter().take(3).map(|v| format!("\"{v}\"")).collect();
                format!("Take {} in \"{column}\" for missing", shown.join(", "))
            }
            Self::Fill { column, value } => {
                format!("Fill empty cells of \"{column}\" with \"{value}\"")
            }
            Self::Relabel { labels, .. } => {
                format!("Correct {}", super::count(labels.len(), "label"))
            }
            Self::Cap { column, low, high } => {
                format!("Hold \"{column}\" between {low} and {high}")
            }
            Self::Mask { column } => format!("Mask \"{column}\""),
            Self::Hash { column, .. } => format!("Replace \"{column}\" by pseudonyms"),
            Self::Group { column, other, .. } => {
                format!("Put rare values of \"{column}\" together as \"{other}\"")
            }
            Self::Balance => "Weigh all classes alike in training".to_owned(),
        }
    }
}

//! Column types and the task.

use serde::{Deserialize, Serialize};

/// What a column holds. Inferred, then editable by the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// Numbers (decimal point or comma).
    Number,
    /// A limited set of words.
    Category,
    /// Two values such as yes/no, true/false, 0/1.
    Boolean,
    /// Calendar dates or times.
    Date,
    /// Free text.
    Text,
    /// Not used for training (identifiers, notes).
    Ignore,
}

/// What is predicted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Task {
    /// One of two classes.
    Binary {
        /// Class names in label order; the second is the "positive" one.
        classes: Vec<String>,
    },
    /// One of several classes.
    Multiclass {
        /// Class names in label order.
        classes: Vec<String>,
    },
    /// A number.
    Regression,
}

impl Task {
    /// Class names; empty for regression.
    pub fn classes(&self) -> &[String] {
        match self {
            Self::Binary { classes } | Self::Multiclass { classes } => classes,
            Self::Regression => &[],
        }
    }
}

/// Columns as used, target and task. For images: no columns, target "label".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// Name and type of every column in file order.
    pub columns: Vec<(String, ColumnType)>,
    /// Target column.
    pub target: String,
    /// Task.
    pub task: Task,
}

//! Turns rows into numbers: impute, standardise, one-hot or embedding. Fitted on training rows
//! only, stored with the model, used unchanged for prediction, with columns matched by name.
//!
//! | type | becomes |
//! |---|---|
//! | number | missing → median; heavy tails squashed; standardised; 1 where it was missing, if training rows had missing ones |
//! | boolean | 0 or 1, ½ where missing, and the mark of a missing one |
//! | date | year, month as sine and cosine, day of the week as sine and cosine, time of day if there is one, days elapsed |
//! | category | one column per value up to the one-hot limit, else an index for a learned table; rare values together as "other" |
//! | text | weights (TF-IDF) of the commonest words and word pairs |
//! | pixels | 0…1, standardised per channel |
//!
//! A standardised value further than [`LIMIT`] from the mean is held there, so that one absurd cell
//! cannot swamp a row.

mod columns;
mod examples;
mod fit;
mod raw;
mod store;
mod transform;
mod words;

use serde::{Deserialize, Serialize};

pub(crate) use self::columns::{ColumnFit, Fit, PixelFit, Standard};
pub(crate) use self::fit::boolean_key;
pub use self::raw::{RawInput, RawValues};
pub use self::store::{NumberWriter, Numbers, free_space};
pub(crate) use self::words::terms;
use super::{ColumnType, Step, Task};

/// Standard deviations at which values are held.
pub const LIMIT: f64 = 20.0;

/// Settings of the preprocessing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PrepConfig {
    /// Categories with more values than this get a learned embedding instead of one-hot columns.
    pub one_hot_limit: usize,
    /// Most words and word pairs taken from each text column.
    pub text_words: usize,
    /// Feature recipe that these settings and the types of the columns come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipe: Option<RecipeMark>,
}

/// Which feature recipe was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipeMark {
    /// Name.
    pub name: String,
    /// Version.
    pub version: u32,
    /// SHA-256 of its content.
    pub sha256: String,
}

impl Default for PrepConfig {
    fn default() -> Self {
        Self { one_hot_limit: 32, text_words: 1024, recipe: None }
    }
}

/// Encoded targets.
#[derive(Debug, Clone, PartialEq)]
pub enum TargetData {
    /// Class index per row.
    Classes(Vec<u32>),
    /// Standardised value per row.
    Values(Vec<f32>),
    /// Not known (prediction), or not for every row.
    None,
}

/// Encoded rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// Rows.
    pub rows: usize,
    /// `[rows, dense_width]`.
    pub dense: Numbers<f32>,
    /// Numbers per row.
    pub dense_width: usize,
    /// `[rows, category_width]`, 0 = unknown or missing.
    pub categories: Numbers<u32>,
    /// Embedded columns.
    pub category_width: usize,
    /// Targets.
    pub target: TargetData,
    /// Cells per column that training had not seen (a new category) or that do not fit the
    /// column's type; they were encoded as unknown. Only columns with such cells.
    pub unknown: Vec<(String, usize)>,
}

/// A column that is looked up in a learned table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingWidth {
    /// Column name.
    pub name: String,
    /// Indices, 0 ("unknown or missing") included.
    pub cardinality: usize,
    /// Suggested numbers per index: min(16, round(1.6 · n^0.56)).
    pub dim: usize,
}

/// How one dense number can move.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Movable {
    /// What one shown unit is: a standard deviation, or the way from black to white.
    pub unit: f32,
    /// Smallest value that data can have.
    pub low: f32,
    /// Largest.
    pub high: f32,
}

/// What the columns of the data become.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Inputs {
    Columns(Vec<ColumnFit>),
    Pixels(PixelFit),
}

/// Mean and standard deviation of a regression target on the training rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TargetScale {
    /// In the target's unit.
    pub mean: f64,
    /// In the target's unit, above 0.
    pub std: f64,
}

/// The fitted preprocessing of one model; serialised into the model file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessor {
    target: String,
    target_kind: ColumnType,
    task: Task,
    scale: Option<TargetScale>,
    inputs: Inputs,
    /// Recorded rules done to cells before all else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rules: Vec<Step>,
}

impl Preprocessor {
    /// Name of the target column.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Task with its classes.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// Scale of a regression target.
    pub fn target_scale(&self) -> Option<TargetScale> {
        self.scale
    }

    /// A network output for a regression in the target's own unit.
    pub fn target_value(&self, standardised: f32) -> f64 {
        let scale = self.scale.unwrap_or(TargetScale { mean: 0.0, std: 1.0 });
        f64::from(standardised) * scale.std + scale.mean
    }

    /// Recorded rules done to cells before all else.
    pub fn rules(&self) -> &[Step] {
        &self.rules
    }

    /// The fitted state, for those who write it in another form.
    pub(crate) fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// Columns that must be there for a prediction; none for images.
    pub fn columns(&self) -> Vec<&str> {
        match &self.inputs {
            Inputs::Columns(columns) => columns.iter().map(|c| c.name.as_str()).collect(),
            Inputs::Pixels(_) => Vec::new(),
        }
    }

    /// Width, height and channels of the images that it takes.
    pub fn image_shape(&self) -> Option<[usize; 3]> {
        match &self.inputs {
            Inputs::Columns(_) => None,
            Inputs::Pixels(p) => Some([p.width, p.height, p.channels()]),
        }
    }

    /// What black and white become in every channel of an image; empty for tables.
    pub fn pixel_levels(&self) -> Vec<[f32; 2]> {
        match &self.inputs {
            Inputs::Columns(_) => Vec::new(),
            Inputs::Pixels(p) => p.standard.iter().map(|s| [s.apply(0.0), s.apply(1.0)]).collect(),
        }
    }

    /// Plain numbers per row.
    pub fn dense_width(&self) -> usize {
        match &self.inputs {
            Inputs::Columns(columns) => columns.iter().map(ColumnFit::width).sum(),
            Inputs::Pixels(p) => p.width * p.height * p.channels(),
        }
    }

    /// Of every dense number whether it can move by small steps, and how: those of number columns
    /// (in standard deviations of the training rows) and of pixels (from black to white).
    pub fn movable(&self) -> Vec<Option<Movable>> {
        let limit = LIMIT as f32;
        match &self.inputs {
            Inputs::Columns(columns) => columns
                .iter()
                .flat_map(|c| {
                    let number = matches!(c.fit, columns::Fit::Number { .. });
                    (0..c.width()).map(move |i| {
                        (number && i == 0).then_some(Movable {
                            unit: 1.0,
                            low: -limit,
                            high: limit,
                        })
                    })
                })
                .collect(),
            Inputs::Pixels(p) => (0..p.width * p.height)
                .flat_map(|_| &p.standard)
                .map(|s| {
                    let (low, high) = (s.apply(0.0), s.apply(1.0));
                    (high > low).then_some(Movable { unit: high - low, low, high })
                })
                .collect(),
        }
    }

    /// Columns looked up in learned tables, in the order of [`Encoded::categories`].
    pub fn embeddings(&self) -> Vec<EmbeddingWidth> {
        match &self.inputs {
            Inputs::Columns(columns) => columns.iter().filter_map(ColumnFit::embedding).collect(),
            Inputs::Pixels(_) => Vec::new(),
        }
    }

    /// Name of every dense number, in order.
    pub fn feature_names(&self) -> Vec<String> {
        match &self.inputs {
            Inputs::Columns(columns) => columns.iter().flat_map(ColumnFit::names).collect(),
            Inputs::Pixels(p) => p.names(),
        }
    }
}

#[cfg(test)]
mod tests;

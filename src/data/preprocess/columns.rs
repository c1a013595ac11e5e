//! The fitted state of one column.

use serde::{Deserialize, Serialize};

use super::EmbeddingWidth;
use crate::data::number::NumberFormat;

/// `(x − mean) · scale`; scale 0 where training rows had one value only.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Standard {
    pub mean: f64,
    pub scale: f64,
}

impl Standard {
    pub(crate) fn apply(self, x: f64) -> f32 {
        ((x - self.mean) * self.scale).clamp(-super::LIMIT, super::LIMIT) as f32
    }
}

/// One column and what it becomes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ColumnFit {
    pub name: String,
    pub fit: Fit,
}

/// What a column becomes. `missing`: training rows had missing cells, so a missing one is marked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(crate) enum Fit {
    Number {
        format: NumberFormat,
        median: f64,
        /// Unit of the squashing asinh(x / unit); `None` keeps the value.
        squash: Option<f64>,
        standard: Standard,
        missing: bool,
    },
    Boolean {
        /// Keys of false and true.
        values: [String; 2],
        missing: bool,
    },
    Date {
        day_first: bool,
        median: f64,
        year: Standard,
        elapsed: Standard,
        /// Training rows had times of day.
        time: bool,
        missing: bool,
    },
    OneHot {
        values: Vec<String>,
        /// Rare values, which share one column.
        rare: Vec<String>,
        missing: bool,
    },
    Embedding {
        /// Index 1 and on; 0 is unknown or missing.
        values: Vec<String>,
        /// Rare values, which share the last index.
        rare: Vec<String>,
    },
    Text {
        words: Vec<String>,
        /// Weight of each word.
        idf: Vec<f32>,
    },
}

impl Fit {
    /// Whether a missing cell is marked by a number of its own.
    pub(crate) fn marks_missing(&self) -> bool {
        match self {
            Self::Number { missing, .. }
            | Self::Boolean { missing, .. }
            | Self::Date { missing, .. }
            | Self::OneHot { missing, .. } => *missing,
            Self::Embedding { .. } | Self::Text { .. } => false,
        }
    }
}

impl ColumnFit {
    /// Dense numbers.
    pub(crate) fn width(&self) -> usize {
        let plain = match &self.fit {
            Fit::Number { .. } | Fit::Boolean { .. } => 1,
            Fit::Date { time, .. } => 6 + 2 * usize::from(*time),
            Fit::OneHot { values, rare, .. } => values.len() + usize::from(!rare.is_empty()),
            Fit::Embedding { .. } => 0,
            Fit::Text { words, .. } => words.len(),
        };
        plain + usize::from(self.fit.marks_missing())
    }

    pub(super) fn embedding(&self) -> Option<EmbeddingWidth> {
        let Fit::Embedding { values, rare } = &self.fit else { return None };
        let cardinality = values.len() + 1 + usize::from(!rare.is_empty());
        let dim = (1.6 * (cardinality as f64).powf(0.56)).round().clamp(1.0, 16.0) as usize;
        Some(EmbeddingWidth { name: self.name.clone(), cardinality, dim })
    }

    pub(super) fn names(&self) -> Vec<String> {
        let name = &self.name;
        let mut names: Vec<String> = match &self.fit {
            Fit::Number { .. } | Fit::Boolean { .. } => vec![name.clone()],
            Fit::Date { time, .. } => {
                let mut parts = vec![
                    "year",
                    "elapsed",
                    "month (sine)",
                    "month (cosine)",
                    "weekday (sine)",
                    "weekday (cosine)",
                ];
                if *time {
                    parts.extend(["time of day (sine)", "time of day (cosine)"]);
                }
                parts.into_iter().map(|p| format!("{name}: {p}")).collect()
            }
            Fit::OneHot { values, rare, .. } => {
                let others = (!rare.is_empty()).then(|| format!("{name} = (other)"));
                values.iter().map(|v| format!("{name} = {v}")).chain(others).collect()
            }
            Fit::Embedding { .. } => Vec::new(),
            Fit::Text { words, .. } => words.iter().map(|w| format!("{name}: {w}")).collect(),
        };
        if self.fit.marks_missing() {
            names.push(format!("{name} is missing"));
        }
        names
    }
}

/// Fitted pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PixelFit {
    pub width: usize,
    pub height: usize,
    /// Of pixels as 0…1, per channel.
    pub standard: Vec<Standard>,
}

impl PixelFit {
    pub(crate) fn channels(&self) -> usize {
        self.standard.len()
    }

    pub(super) fn names(&self) -> Vec<String> {
        let channels: &[&str] =
            if self.channels() == 1 { &[""] } else { &[" red", " green", " blue"] };
        let mut names = Vec::new();
        for y in 0..self.height {
            for x in 0..self.width {
                names.extend(channels.iter().map(|c| format!("pixel {x},{y}{c}")));
            }
        }
        names
    }
}

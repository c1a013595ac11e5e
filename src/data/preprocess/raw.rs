//! Rows as another program gives them to an exported model: one input per column, still in the
//! column's own unit.

use super::transform::{Encoder, check_size, pixel};
use super::{Fit, Inputs, Preprocessor};
use crate::data::{Dataset, Samples, invalid};
use crate::error::DataError;

/// The cells of one column, or all pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct RawInput {
    /// Column name; `image` for images.
    pub name: String,
    /// Cells.
    pub values: RawValues,
}

/// Cells as an exported model takes them.
#[derive(Debug, Clone, PartialEq)]
pub enum RawValues {
    /// Numbers, or dates as days since 1970-01-01 with the time of day as a fraction; NaN where
    /// nothing is known. `[rows, 1]`.
    Numbers(Vec<f64>),
    /// Categories and answers, trimmed; empty where nothing is known. `[rows, 1]`.
    Texts(Vec<String>),
    /// How often every word of the vocabulary is in the text. `[rows, width]`.
    Counts {
        /// Words and word pairs.
        width: usize,
        /// Counts.
        counts: Vec<f32>,
    },
    /// Pixels 0–255. `[rows, height, width, channels]`.
    Pixels {
        /// Height, width and channels.
        shape: [usize; 3],
        /// Pixels.
        pixels: Vec<u8>,
    },
}

impl Preprocessor {
    /// Rows of any data that has the columns, as an exported model takes them: after the recorded
    /// rules ([`Preprocessor::rules`]).
    ///
    /// # Errors
    /// As [`Preprocessor::transform`].
    pub fn raw_inputs(&self, dataset: &Dataset, rows: &[u32]) -> Result<Vec<RawInput>, DataError> {
        // The same refusals, on no rows.
        self.transform(dataset, &[])?;
        if let Some(row) = rows.iter().find(|r| **r as usize >= dataset.len()) {
            return Err(invalid(format!("There is no row {row}"), "Choose rows of this data."));
        }
        let mut inputs = Vec::new();
        match (&self.inputs, &dataset.samples) {
            (Inputs::Columns(columns), Samples::Table(table)) => {
                let fresh = self.ruled(table)?;
                let table = fresh.as_ref().unwrap_or(table);
                for fit in columns {
                    let Some(column) = table.column(&fit.name) else { continue };
                    let encoder = Encoder::new(fit, column, false);
                    let row = |r: &u32| *r as usize;
                    let values = match &fit.fit {
                        Fit::Number { .. } | Fit::Date { .. } => RawValues::Numbers(
                            rows.iter().map(|r| encoder.plain_number(row(r))).collect(),
                        ),
                        Fit::Boolean { .. } | Fit::OneHot { .. } | Fit::Embedding { .. } => {
                            let cell = |r| column.value(row(r)).unwrap_or("").to_owned();
                            RawValues::Texts(rows.iter().map(cell).collect())
                        }
                        Fit::Text { words, .. } => {
                            let width = words.len();
                            let mut counts = vec![0.0; rows.len() * width];
                            for (r, out) in rows.iter().zip(counts.chunks_mut(width.max(1))) {
                                encoder.word_counts(row(r), out);
                            }
                            RawValues::Counts { width, counts }
                        }
                    };
                    inputs.push(RawInput { name: fit.name.clone(), values });
                }
            }
            (Inputs::Pixels(fit), Samples::Images(images)) => {
                check_size(fit, images)?;
                let (from, to) = (images.channels.max(1), fit.channels());
                let size = fit.width * fit.height;
                let mut pixels = Vec::with_capacity(rows.len() * size * to);
                for row in rows {
                    let start = *row as usize * size * from;
                    let image = images.pixels.get(start..start + size * from).unwrap_or(&[]);
                    if image.len() == size * from {
                        pixels.extend((0..size * to).map(|i| pixel(image, from, to, i)));
                    }
                }
                let values = RawValues::Pixels { shape: [fit.height, fit.width, to], pixels };
                inputs.push(RawInput { name: "image".to_owned(), values });
            }
            _ => {}
        }
        Ok(inputs)
    }
}

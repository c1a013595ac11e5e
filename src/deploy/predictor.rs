//! Loads a model file and predicts rows with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::data::{Dataset, Encoded, Samples, Table};
use crate::engine::Engine;
use crate::error::{DataError, ExportError, Place};
use crate::eval::{self, Calibration};
use crate::export::{self, ModelFile, ModelInfo};
use crate::model::Head;
use crate::train::run_folder::RunFolder;

/// Rows per call of the network.
const BATCH: usize = 256;
/// Rows that are encoded at a time, so that memory does not grow with the table.
const CHUNK: usize = 8192;

/// A model read from a file.
#[derive(Debug, Clone)]
pub struct Model {
    path: PathBuf,
    file: ModelFile,
}

/// What the model says about one row.
#[derive(Debug, Clone, PartialEq)]
pub enum Prediction {
    /// A class.
    Class {
        /// Index of the most probable class, as in the task's class names.
        index: usize,
        /// Probability of every class; sums to 1.
        probabilities: Vec<f32>,
    },
    /// A number in the target's unit.
    Value(f64),
}

impl Model {
    /// Reads a model file and checks that it is complete and consistent.
    pub fn load(path: &Path) -> Result<Self, ExportError> {
        Self::new(path, export::safetensors::read(path)?)
    }

    /// The best model of a run, as an exported file would hold it.
    pub fn of_run(run: &RunFolder) -> Result<Self, ExportError> {
        Self::new(&run.path, export::model_of_run(run)?)
    }

    fn new(path: &Path, file: ModelFile) -> Result<Self, ExportError> {
        let (prep, input) = (&file.info.preprocessor, &file.info.model.input);
        let tables = prep.embeddings();
        let fits = prep.dense_width() == input.dense
            && tables.len() == input.embeddings.len()
            && tables.iter().zip(&input.embeddings).all(|(a, b)| a.cardinality == b.cardinality)
            && prep.task() == &file.info.schema.task;
        if !fits {
            return Err(ExportError::Format {
                path: path.to_owned(),
                what: "its network does not fit its preprocessing".to_owned(),
            });
        }
        Ok(Self { path: path.to_owned(), file })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All about the model but its weights.
    pub fn info(&self) -> &ModelInfo {
        &self.file.info
    }

    /// The weights as stored.
    pub fn file(&self) -> &ModelFile {
        &self.file
    }

    /// Sets up the network for predicting.
    pub fn predictor(self) -> Result<Predictor, ExportError> {
        let engine = export::evaluator(&self.file, BATCH)?;
        Ok(Predictor { model: self, engine, unknown: BTreeMap::new(), calibration: None })
    }
}

/// A model ready to predict, on the CPU engine.
pub struct Predictor {
    model: Model,
    engine: Box<dyn Engine>,
    unknown: BTreeMap<String, usize>,
    calibration: Option<Calibration>,
}

impl std::fmt::Debug for Predictor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Predictor").field("model", &self.model.path).finish_non_exhaustive()
    }
}

impl Predictor {
    /// Corrects probabilities from now on; `None` takes them as the network gives them. The class
    /// with the largest corrected probability is predicted.
    pub fn calibrate(&mut self, calibration: Option<Calibration>) {
        self.calibration = calibration;
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Cells predicted so far, by column, that hold a category that training had not seen or do not
    /// fit the column's type. They counted as unknown.
    pub fn unknown(&self) -> &BTreeMap<String, usize> {
        &self.unknown
    }

    /// Raw outputs of the network, `[rows, outputs]`: logits, or standardised values.
    pub fn outputs(&mut self, rows: &Encoded) -> Result<Vec<f32>, ExportError> {
        Ok(eval::outputs(self.engine.as_mut(), rows)?.0)
    }

    /// Predicts encoded rows.
    pub fn predict_encoded(&mut self, rows: &Encoded) -> Result<Vec<Prediction>, ExportError> {
        let outputs = self.outputs(rows)?;
        Ok(match self.model.file.info.model.head {
            Head::Classes { count } => {
                let probabilities = match &self.calibration {
                    None => eval::softmax(&outputs, count),
                    Some(c) => c.apply(&outputs, count).into_iter().map(|p| p as f32).collect(),
                };
                let indices = match &self.calibration {
                    None => eval::predicted_classes(&outputs, count),
                    Some(_) => eval::predicted_classes(&probabilities, count),
                };
                indices
                    .into_iter()
                    .zip(probabilities.chunks_exact(count.max(1)))
                    .map(|(index, p)| Prediction::Class {
                        index: index as usize,
                        probabilities: p.to_vec(),
                    })
                    .collect()
            }
            Head::Regression => {
                let prep = &self.model.file.info.preprocessor;
                outputs.iter().map(|&y| Prediction::Value(prep.target_value(y))).collect()
            }
        })
    }

    /// Predicts all samples of a dataset in order, handing them over in pieces: `each` gets the
    /// index of the first sample of the piece and its predictions.
    pub fn predict<E: From<ExportError>>(
        &mut self,
        data: &Dataset,
        mut each: impl FnMut(usize, &[Prediction]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.check_columns(data).map_err(|e| E::from(e.into()))?;
        let mut start = 0;
        while start < data.len() {
            let end = (start + CHUNK).min(data.len());
            let rows: Vec<u32> = (start..end).map(|r| r as u32).collect();
            let encoded = self.model.file.info.preprocessor.transform(data, &rows);
            let encoded = encoded.map_err(|e| E::from(e.into()))?;
            for (column, cells) in &encoded.unknown {
                *self.unknown.entry(column.clone()).or_default() += cells;
            }
            each(start, &self.predict_encoded(&encoded)?)?;
            start = end;
        }
        Ok(())
    }

    /// Whether a table has the columns that the model needs. All else is found when encoding.
    fn check_columns(&self, data: &Dataset) -> Result<(), DataError> {
        let needed = self.model.info().preprocessor.columns();
        let missing = match &data.samples {
            Samples::Table(table) => missing_columns(&needed, table),
            Samples::Images(_) => None,
        };
        match missing {
            Some((what, advice)) => {
                Err(DataError::Invalid { what, place: Place::default(), advice })
            }
            None => Ok(()),
        }
    }
}

/// What to say about columns that the table lacks; `None` if it lacks none.
fn missing_columns(needed: &[&str], table: &Table) -> Option<(String, String)> {
    let missing: Vec<&str> = needed.iter().copied().filter(|n| table.column(n).is_none()).collect();
    let quote = |names: &[&str]| {
        let shown: Vec<String> = names.iter().take(8).map(|n| format!("\"{n}\"")).collect();
        let more = names.len().saturating_sub(8);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        shown.join(", ") + &rest
    };
    let first = *missing.first()?;
    let what = match missing.len() {
        1 => format!("Column \"{first}\", which the model needs, is missing"),
        n => format!("{n} columns that the model needs are missing: {}", quote(&missing)),
    };
    let has: Vec<&str> = table.columns().iter().map(|c| c.name()).collect();
    let plain = |s: &str| s.to_lowercase().replace(|c: char| !c.is_alphanumeric(), "");
    let alike =
        missing.iter().find_map(|m| has.iter().find(|h| plain(h) == plain(m)).map(|h| (*h, *m)));
    let advice = match alike {
        Some((has, wants)) => {
            format!("Rename column \"{has}\" to \"{wants}\"; names must match exactly.")
        }
        None => {
            let it = if missing.len() == 1 { "it" } else { "them" };
            format!(
                "Add {it}, with empty cells where nothing is known; the file has {}.",
                quote(&has)
            )
        }
    };
    Some((what, advice))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Column;

    fn table(names: &[&str]) -> Table {
        Table::new(names.iter().map(|n| Column::new(*n)).collect(), Vec::new())
    }

    #[test]
    fn missing_columns_are_named_with_advice() {
        let t = table(&["Age", "x y", "extra"]);
        assert_eq!(missing_columns(&["Age", "extra"], &t), None);
        let (what, advice) = missing_columns(&["age"], &t).unwrap();
        assert!(what.contains("\"age\""), "{what}");
        assert!(advice.contains("Rename column \"Age\" to \"age\""), "{advice}");
        let (what, advice) = missing_columns(&["p", "Age", "q"], &t).unwrap();
        assert!(what.contains("2 columns") && what.contains("\"p\", \"q\""), "{what}");
        assert!(advice.contains("\"Age\", \"x y\", \"extra\""), "{advice}");
        let many: Vec<String> = (0..20).map(|i| format!("c{i}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let (what, _) = missing_columns(&many, &t).unwrap();
        assert!(what.ends_with("and 12 more"), "{what}");
    }
}

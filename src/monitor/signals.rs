//! What is watched of every row: the cells of the columns that a model takes, lengths and unknown
//! words of texts, brightness and contrast of images.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::data::number::NumberFormat;
use crate::data::preprocess::{ColumnFit, Fit, Inputs, boolean_key, terms};
use crate::data::steps::apply_rules;
use crate::data::table::NO_CODE;
use crate::data::{Column, Dataset, ImageSet, Preprocessor, Samples};
use crate::error::DataError;

/// Pictures whose files are opened for their size.
const SIZES: usize = 2000;

/// What a watched value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Numbers of a column.
    Number,
    /// Categories, answers, yes or no.
    Category,
    /// Days since 1970-01-01; shown, but not tested, as time always moves on.
    Date,
    /// Words of a text.
    Words,
    /// Share of a text's words that training had not seen, or too seldom to keep.
    UnknownWords,
    /// Mean of an image's pixels, 0 to 1.
    Brightness,
    /// Standard deviation of an image's pixels, 0 to 1.
    Contrast,
    /// Mean difference between the largest and smallest channel, 0 to 1.
    Colour,
    /// Pixels across the picture as it is in its file.
    Width,
    /// Pixels down.
    Height,
    /// Predicted value or class.
    Prediction,
}

impl Kind {
    /// Whether it is compared with the reference.
    pub fn tested(self) -> bool {
        self != Self::Date
    }
}

/// Values of all rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cells {
    /// NaN where missing or unreadable.
    Numbers(Vec<f64>),
    /// [`NO_CODE`] where missing.
    Codes { codes: Vec<u32>, names: Vec<String> },
}

/// One watched value of all rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Signal {
    pub(crate) name: String,
    /// Column that it comes from; `None` for images.
    pub(crate) column: Option<String>,
    pub(crate) kind: Kind,
    pub(crate) cells: Cells,
    /// Rows that hold something which does not fit the kind, the first ones, and how many in all.
    pub(crate) unreadable: (Vec<u32>, usize),
}

/// The table as the network sees it: after the rules that were recorded in training.
pub(crate) fn ruled(prep: &Preprocessor, dataset: &Dataset) -> Result<Option<Dataset>, DataError> {
    match &dataset.samples {
        Samples::Table(table) if !prep.rules().is_empty() && table.rules() != prep.rules() => {
            let samples = Samples::Table(apply_rules(table, prep.rules())?);
            Ok(Some(Dataset { samples, name: dataset.name.clone(), notes: Vec::new() }))
        }
        _ => Ok(None),
    }
}

/// All signals of rows of a dataset that [`ruled`] was done to. Columns that are not there have none.
pub(crate) fn signals(prep: &Preprocessor, dataset: &Dataset, rows: &[u32]) -> Vec<Signal> {
    match (prep.inputs(), &dataset.samples) {
        (Inputs::Columns(fits), Samples::Table(table)) => {
            let of = |fit: &ColumnFit| {
                table
                    .column(&fit.name)
                    .map(|column| of_column(fit, column, rows))
                    .unwrap_or_default()
            };
            fits.par_iter().map(of).collect::<Vec<_>>().concat()
        }
        (Inputs::Pixels(_), Samples::Images(images)) => of_images(images, rows),
        _ => Vec::new(),
    }
}

fn of_column(fit: &ColumnFit, column: &Column, rows: &[u32]) -> Vec<Signal> {
    let signal = |name: String, kind, cells, unreadable| Signal {
        name,
        column: Some(fit.name.clone()),
        kind,
        cells,
        unreadable,
    };
    let numbers = |read: &dyn Fn(usize) -> Option<f64>| {
        let (mut bad, mut count) = (Vec::new(), 0);
        let values = rows
            .iter()
            .map(|&row| {
                let value = read(row as usize);
                if value.is_none() && column.value(row as usize).is_some() {
                    count += 1;
                    if bad.len() < 100 {
                        bad.push(row);
                    }
                }
                value.unwrap_or(f64::NAN)
            })
            .collect();
        (Cells::Numbers(values), (bad, count))
    };
    let none = (Vec::new(), 0);
    match &fit.fit {
        Fit::Number { format, .. } => {
            // As the encoder reads them: the data's own way of writing where that is clear.
            let open = column.format_unsure && *format != NumberFormat::Plain;
            let format = if open { *format } else { column.format };
            let read = |row| column.value(row).and_then(|cell| format.parse(cell));
            let (cells, bad) = numbers(&read);
            vec![signal(fit.name.clone(), Kind::Number, cells, bad)]
        }
        Fit::Date { .. } => {
            let (cells, bad) = numbers(&|row| column.date(row));
            vec![signal(fit.name.clone(), Kind::Date, cells, bad)]
        }
        Fit::Boolean { .. } => {
            let cells = codes(rows, |row| column.value(row).map(boolean_key));
            vec![signal(fit.name.clone(), Kind::Category, cells, none)]
        }
        Fit::OneHot { .. } | Fit::Embedding { .. } => {
            let cells = codes(rows, |row| column.value(row).map(str::to_owned));
            vec![signal(fit.name.clone(), Kind::Category, cells, none)]
        }
        Fit::Text { words, .. } => {
            let known: HashSet<&str> = words.iter().map(String::as_str).collect();
            let looked: Vec<(f64, f64)> = rows
                .par_iter()
                .map(|&row| {
                    let Some(text) = column.value(row as usize) else {
                        return (f64::NAN, f64::NAN);
                    };
                    let words: Vec<String> =
                        terms(text).into_iter().filter(|t| !t.contains(' ')).collect();
                    let n = words.len() as f64;
                    let unknown = words.iter().filter(|w| !known.contains(w.as_str())).count();
                    (n, if n > 0.0 { unknown as f64 / n } else { f64::NAN })
                })
                .collect();
            let (length, unknown) = looked.into_iter().unzip();
            vec![
                signal(
                    format!("{}: words", fit.name),
                    Kind::Words,
                    Cells::Numbers(length),
                    none.clone(),
                ),
                signal(
                    format!("{}: share of unknown words", fit.name),
                    Kind::UnknownWords,
                    Cells::Numbers(unknown),
                    none,
                ),
            ]
        }
    }
}

fn codes(rows: &[u32], value: impl Fn(usize) -> Option<String>) -> Cells {
    let mut index: HashMap<String, u32> = HashMap::new();
    let mut names = Vec::new();
    let codes = rows
        .iter()
        .map(|&row| match value(row as usize) {
            None => NO_CODE,
            Some(value) => *index.entry(value).or_insert_with_key(|key| {
                names.push(key.clone());
                (names.len() - 1) as u32
            }),
        })
        .collect();
    Cells::Codes { codes, names }
}

fn of_images(images: &ImageSet, rows: &[u32]) -> Vec<Signal> {
    let channels = images.channels.max(1);
    let size = images.width * images.height * channels;
    let look = |&row: &u32| -> [f64; 3] {
        let start = row as usize * size;
        let pixels = images.pixels.get(start..start + size).unwrap_or_default();
        let n = pixels.len().max(1) as f64;
        let sum: u64 = pixels.iter().map(|&p| u64::from(p)).sum();
        let squares: u64 = pixels.iter().map(|&p| u64::from(p) * u64::from(p)).sum();
        let mean = sum as f64 / n;
        let spread = (squares as f64 / n - mean * mean).max(0.0).sqrt();
        let colours: u64 = pixels
            .chunks_exact(channels)
            .map(|p| {
                let (low, high) = p.iter().fold((255, 0), |(l, h), v| (l.min(*v), h.max(*v)));
                u64::from(high.saturating_sub(low))
            })
            .sum();
        [mean / 255.0, spread / 255.0, colours as f64 / (n / channels as f64) / 255.0]
    };
    let looked: Vec<[f64; 3]> = rows.par_iter().map(look).collect();
    let signal = |name: &str, kind, values| Signal {
        name: name.to_owned(),
        column: None,
        kind,
        cells: Cells::Numbers(values),
        unreadable: (Vec::new(), 0),
    };
    let of = |i: usize| looked.iter().map(|v| v[i]).collect::<Vec<f64>>();
    let mut found = vec![
        signal("Brightness", Kind::Brightness, of(0)),
        signal("Contrast", Kind::Contrast, of(1)),
    ];
    if channels > 1 {
        found.push(signal("Colourfulness", Kind::Colour, of(2)));
    }
    if let Some((width, height)) = sizes(images, rows) {
        found.push(signal("Picture width", Kind::Width, width));
        found.push(signal("Picture height", Kind::Height, height));
    }
    found
}

/// Sizes of the pictures in their files; `None` where they are not files.
fn sizes(images: &ImageSet, rows: &[u32]) -> Option<(Vec<f64>, Vec<f64>)> {
    let step = rows.len().div_ceil(SIZES).max(1);
    let path = |row: u32| images.paths.get(row as usize);
    let look = |(i, &row): (usize, &u32)| -> (f64, f64) {
        let file = |p: &PathBuf| image::image_dimensions(p).ok();
        match path(row).filter(|_| i % step == 0).and_then(file) {
            Some((w, h)) => (f64::from(w), f64::from(h)),
            None => (f64::NAN, f64::NAN),
        }
    };
    path(*rows.first()?).filter(|p| p.is_file())?;
    let found: Vec<(f64, f64)> = rows.par_iter().enumerate().map(look).collect();
    let read = found.iter().filter(|(w, _)| w.is_finite()).count();
    (read * step * 2 >= rows.len()).then(|| found.into_iter().unzip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_measured() {
        let images = ImageSet {
            width: 2,
            height: 1,
            channels: 3,
            pixels: vec![0, 0, 0, 255, 255, 255, 255, 0, 0, 255, 0, 0],
            labels: vec![0, 0],
            classes: vec!["a".to_owned()],
            ..ImageSet::default()
        };
        let found = of_images(&images, &[0, 1]);
        let values = |kind| {
            let signal = found.iter().find(|s| s.kind == kind).unwrap();
            let Cells::Numbers(v) = &signal.cells else { panic!() };
            v.clone()
        };
        assert_eq!(values(Kind::Brightness), [0.5, 1.0 / 3.0]);
        assert_eq!(values(Kind::Contrast)[0], 0.5);
        assert_eq!(values(Kind::Colour), [0.0, 1.0]);
        assert!(found.iter().all(|s| s.kind != Kind::Width));
    }
}

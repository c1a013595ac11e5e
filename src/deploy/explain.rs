//! One prediction up close: what the model answers, how sure it is, and what the answer hangs on.
//!
//! For tables, by swapping: every value is replaced by those of other rows of the data, one column at
//! a time, and the mean change is reported (marginal occlusion; for one column alone this is its
//! Shapley value, see Štrumbelj and Kononenko 2014, and it misses what only pairs of columns do).
//! For texts each word is left out in turn; for pictures a grey patch is laid over each place in turn
//! (Zeiler and Fergus 2014).

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{Prediction, Predictor};
use crate::data::{Column, ColumnType, Dataset, ImageSet, Samples, Table, read_picture};
use crate::error::{ExportError, UserError};

/// Most rows that values are swapped with.
const ROWS: usize = 64;
/// About how many predictions one explanation may take.
const BUDGET: usize = 8192;
/// Most words of a text that are left out in turn.
const WORDS: usize = 120;
/// Patches across and down a picture.
const PATCHES: usize = 9;
/// Pictures that the grey of patches is averaged over.
const GREY: usize = 256;

/// What is to be predicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A cell for every column, by name; columns left out are empty.
    Row(Vec<(String, String)>),
    /// A picture file.
    Picture(PathBuf),
    /// A picture of the data, by its index.
    Sample(usize),
}

/// What speaks for the answer or against it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reason {
    /// Column or word.
    pub name: String,
    /// The value there.
    pub value: String,
    /// How much higher the probability of the answer (or the answered number) is with this value
    /// than without it; negative where it speaks against the answer.
    pub effect: f64,
}

/// A picture as the model sees it, and where it looks.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// 1 or 3.
    pub channels: usize,
    /// `[height, width, channels]`.
    pub pixels: Vec<u8>,
    /// `[height, width]`: how much lower the probability of the answer is when that place is hidden.
    pub effects: Vec<f32>,
}

/// An answer and what it hangs on.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What the model says.
    pub prediction: Prediction,
    /// Class names; empty for numbers.
    pub classes: Vec<String>,
    /// Columns by the size of their effect, largest first; empty for pictures.
    pub columns: Vec<Reason>,
    /// Words of text columns, in the same way.
    pub words: Vec<Reason>,
    /// For pictures.
    pub picture: Option<Seen>,
    /// Rows of the data that values were swapped with.
    pub swapped: usize,
    /// Columns whose cell the training had nothing like.
    pub unknown: Vec<String>,
}

impl Answer {
    /// The answered class with its probability, or the number.
    pub fn words_for_it(&self) -> (String, Option<f32>) {
        match &self.prediction {
            Prediction::Class { index, probabilities } => (
                self.classes.get(*index).cloned().unwrap_or_default(),
                probabilities.get(*index).copied(),
            ),
            Prediction::Value(value) => (format_number(*value), None),
        }
    }
}

fn format_number(value: f64) -> String {
    let digits = (3.0 - value.abs().max(1e-12).log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.digits$}")
}

/// Predicts `input` and finds what the answer hangs on. `data`: rows that the model was made for,
/// as read.
///
/// # Errors
/// The picture cannot be read; the input is a row where the model takes pictures, or the other way
/// round; no data to compare with.
pub fn explain(
    predictor: &mut Predictor,
    data: &Dataset,
    input: &Input,
) -> Result<Answer, UserError> {
    match (input, predictor.model().info().preprocessor.image_shape()) {
        (Input::Row(cells), None) => row(predictor, data, cells),
        (Input::Picture(path), Some(shape)) => {
            let pixels = read_picture(path, shape).map_err(UserError::from)?;
            picture(predictor, data, shape, pixels)
        }
        (Input::Sample(index), Some(shape)) => {
            let size: usize = shape.iter().product();
            let pixels = match &data.samples {
                Samples::Images(set) => set.pixels.get(index * size..(index + 1) * size),
                Samples::Table(_) => None,
            };
            let pixels = pixels.ok_or_else(|| {
                UserError::new("There is no such picture in the data", "Choose another one.")
            })?;
            picture(predictor, data, shape, pixels.to_vec())
        }
        (Input::Row(_), Some(_)) => {
            Err(UserError::new("This model takes pictures", "Drop a picture or open one."))
        }
        (_, None) => Err(UserError::new("This model takes rows of a table", "Type a row.")),
    }
}

fn all(predictor: &mut Predictor, data: &Dataset) -> Result<Vec<Prediction>, UserError> {
    let mut found = Vec::with_capacity(data.len());
    predictor.predict(data, |_, predictions| {
        found.extend_from_slice(predictions);
        Ok::<(), ExportError>(())
    })?;
    Ok(found)
}

/// What is compared: the probability of class `answer`, or the number.
fn strength(prediction: &Prediction, answer: usize) -> f64 {
    match prediction {
        Prediction::Class { probabilities, .. } => {
            f64::from(probabilities.get(answer).copied().unwrap_or(0.0))
        }
        Prediction::Value(value) => *value,
    }
}

fn only(mut predictions: Vec<Prediction>) -> Result<(Prediction, usize), UserError> {
    let prediction = predictions
        .pop()
        .ok_or_else(|| UserError::new("The model gave no answer", "Train it again."))?;
    let answer = match &prediction {
        Prediction::Class { index, .. } => *index,
        Prediction::Value(_) => 0,
    };
    Ok((prediction, answer))
}

/// Rows with the columns that a model needs, all alike but for what is swapped.
struct Rows<'a> {
    columns: Vec<Column>,
    typed: Vec<&'a str>,
}

impl<'a> Rows<'a> {
    fn new(names: &[String], data: &Table, cells: &'a [(String, String)]) -> Self {
        let like =
            |n: &String| data.column(n).map_or_else(|| Column::new(n.as_str()), Column::like);
        let typed = |n: &String| {
            cells.iter().find(|(name, _)| name == n).map_or("", |(_, cell)| cell.as_str())
        };
        Self { columns: names.iter().map(like).collect(), typed: names.iter().map(typed).collect() }
    }

    /// Adds the typed row; the cell of column `swapped` is `cell` instead.
    fn push(&mut self, swapped: Option<(usize, &str)>) {
        for (i, (column, typed)) in self.columns.iter_mut().zip(&self.typed).enumerate() {
            match swapped {
                Some((at, cell)) if at == i => column.push(cell),
                _ => column.push(typed),
            }
        }
    }

    fn dataset(self) -> Dataset {
        let rows = self.columns.first().map_or(0, Column::len) as u64;
        let table = Table::new(self.columns, (1..=rows).collect());
        Dataset { name: "typed".to_owned(), samples: Samples::Table(table), notes: Vec::new() }
    }
}

fn row(
    predictor: &mut Predictor,
    data: &Dataset,
    cells: &[(String, String)],
) -> Result<Answer, UserError> {
    let Samples::Table(table) = &data.samples else {
        return Err(UserError::new("This model takes pictures", "Drop a picture or open one."));
    };
    let info = predictor.model().info();
    let classes = info.schema.task.classes().to_vec();
    let names: Vec<String> = info.preprocessor.columns().into_iter().map(str::to_owned).collect();
    let texts: Vec<bool> = names
        .iter()
        .map(|n| info.schema.features().any(|(f, kind)| f == n && kind == ColumnType::Text))
        .collect();
    let mut first = Rows::new(&names, table, cells);
    first.push(None);
    let (prediction, answer) = only(all(predictor, &first.dataset())?)?;
    let unknown: Vec<String> = predictor.unknown().keys().cloned().collect();
    let own = strength(&prediction, answer);

    let many = ROWS.min(BUDGET / names.len().max(1)).clamp(1, table.rows().max(1));
    let mut changed = Rows::new(&names, table, cells);
    for (at, name) in names.iter().enumerate() {
        for i in 0..many {
            let from = i * table.rows() / many;
            let cell = table.column(name).map_or("", |c| c.raw(from));
            changed.push(Some((at, cell)));
        }
    }
    let mut words: Vec<(usize, String)> = Vec::new();
    for (at, typed) in changed.typed.iter().enumerate() {
        if texts.get(at) == Some(&true) {
            words.extend(words_of(typed).into_iter().take(WORDS).map(|w| (at, w)));
        }
    }
    for (at, word) in &words {
        let typed = changed.typed.get(*at).copied().unwrap_or_default();
        changed.push(Some((*at, &without(typed, word))));
    }
    let others = all(predictor, &changed.dataset())?;
    let (swapped, left_out) = others.split_at(others.len().saturating_sub(words.len()));
    let mean = |part: &[Prediction]| {
        part.iter().map(|p| strength(p, answer)).sum::<f64>() / part.len().max(1) as f64
    };
    let value = |name: &String| {
        let found = cells.iter().find(|(n, _)| n == name);
        found.map_or(String::new(), |(_, cell)| cell.clone())
    };
    let columns = names
        .iter()
        .zip(swapped.chunks(many))
        .map(|(name, part)| Reason {
            name: name.clone(),
            value: value(name),
            effect: own - mean(part),
        })
        .collect();
    let words = words
        .into_iter()
        .zip(left_out)
        .map(|((at, word), p)| Reason {
            name: word,
            value: names.get(at).cloned().unwrap_or_default(),
            effect: own - strength(p, answer),
        })
        .collect();
    Ok(Answer {
        prediction,
        classes,
        columns: by_size(columns),
        words: by_size(words),
        picture: None,
        swapped: many,
        unknown,
    })
}

fn by_size(mut reasons: Vec<Reason>) -> Vec<Reason> {
    reasons.sort_by(|a, b| b.effect.abs().total_cmp(&a.effect.abs()));
    reasons
}

/// Different words of a text in lower case, in order.
fn words_of(text: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|w| w.chars().nth(1).is_some())
        .map(str::to_lowercase)
        .filter(|w| seen.insert(w.clone()))
        .collect()
}

/// The text without a word, however it is written.
fn without(text: &str, word: &str) -> String {
    text.split_inclusive(|c: char| !c.is_alphanumeric())
        .filter(|part| part.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase() != *word)
        .collect()
}

fn picture(
    predictor: &mut Predictor,
    data: &Dataset,
    [width, height, channels]: [usize; 3],
    pixels: Vec<u8>,
) -> Result<Answer, UserError> {
    let Samples::Images(set) = &data.samples else {
        return Err(UserError::new("This model takes rows of a table", "Type a row."));
    };
    let classes = predictor.model().info().schema.task.classes().to_vec();
    let images = |pixels: Vec<u8>, count: usize| Dataset {
        name: "picture".to_owned(),
        samples: Samples::Images(ImageSet {
            width,
            height,
            channels,
            pixels,
            labels: vec![0; count],
            classes: classes.clone(),
            ..ImageSet::default()
        }),
        notes: Vec::new(),
    };
    let (prediction, answer) = only(all(predictor, &images(pixels.clone(), 1))?)?;
    let own = strength(&prediction, answer);
    let grey = grey(set);
    // Patches overlap by half, so that the map has no hard edges.
    let side = (width.max(height).div_ceil(PATCHES) * 2).clamp(1, width.min(height).max(1));
    let step = side.div_ceil(2);
    let places: Vec<(usize, usize)> = (0..height)
        .step_by(step)
        .flat_map(|y| (0..width).step_by(step).map(move |x| (x, y)))
        .collect();
    let inside = |(x0, y0): (usize, usize)| {
        let ys = y0..(y0 + side).min(height);
        ys.flat_map(move |y| (x0..(x0 + side).min(width)).map(move |x| (x, y)))
    };
    let mut hidden = Vec::with_capacity(places.len() * pixels.len());
    for place in &places {
        let mut copy = pixels.clone();
        for (x, y) in inside(*place) {
            let at = (y * width + x) * channels;
            for (c, value) in copy.iter_mut().skip(at).take(channels).enumerate() {
                *value = grey.get(c).copied().unwrap_or(128);
            }
        }
        hidden.extend(copy);
    }
    let others = all(predictor, &images(hidden, places.len()))?;
    let mut sums = vec![0.0_f32; width * height];
    let mut counts = vec![0.0_f32; width * height];
    for (place, p) in places.iter().zip(&others) {
        let effect = (own - strength(p, answer)) as f32;
        for (x, y) in inside(*place) {
            if let (Some(sum), Some(count)) =
                (sums.get_mut(y * width + x), counts.get_mut(y * width + x))
            {
                *sum += effect;
                *count += 1.0;
            }
        }
    }
    let effects = sums.iter().zip(&counts).map(|(s, n)| s / n.max(1.0)).collect();
    Ok(Answer {
        prediction,
        classes,
        columns: Vec::new(),
        words: Vec::new(),
        picture: Some(Seen { width, height, channels, pixels, effects }),
        swapped: 0,
        unknown: Vec::new(),
    })
}

/// Mean of every channel over some pictures.
fn grey(set: &ImageSet) -> Vec<u8> {
    let size = set.width * set.height * set.channels;
    let step = set.len().div_ceil(GREY).max(1);
    (0..set.channels)
        .map(|channel| {
            let (mut sum, mut n) = (0u64, 0u64);
            for i in (0..set.len()).step_by(step) {
                let one = set.pixels.get(i * size..(i + 1) * size).unwrap_or_default();
                for value in one.iter().skip(channel).step_by(set.channels.max(1)) {
                    sum += u64::from(*value);
                    n += 1;
                }
            }
            sum.checked_div(n).unwrap_or(128) as u8
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_left_out_however_they_are_written() {
        assert_eq!(words_of("Good, good film: a GOOD film!"), ["good", "film"]);
        assert_eq!(without("Good, good film!", "good"), " film!");
        assert_eq!(without("goodness is good", "good"), "goodness is ");
    }

    #[test]
    fn grey_is_the_mean_of_each_channel() {
        let set = ImageSet {
            width: 1,
            height: 2,
            channels: 3,
            pixels: vec![0, 10, 20, 100, 30, 40],
            labels: vec![0],
            ..ImageSet::default()
        };
        assert_eq!(grey(&set), [50, 20, 30]);
        assert_eq!(grey(&ImageSet { channels: 1, ..ImageSet::default() }), [128]);
    }
}

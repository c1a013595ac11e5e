//! Data made worse on purpose: noise, empty cells, typing errors, moved columns; noise, brightness
//! and blur of pictures.

use crate::data::number::NumberFormat;
use crate::data::preprocess::Movable;
use crate::data::rng::Rng;
use crate::data::{Column, ColumnType, Dataset, Encoded, ImageSet, Samples, Table};

/// One way to change data.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Normal noise on all numbers, in standard deviations of their column.
    Noise(f64),
    /// This share of cells is emptied.
    Missing(f64),
    /// This share of words gets two letters swapped.
    Typos(f64),
    /// A number column is moved by one standard deviation.
    Shift(String),
    /// A column is emptied.
    Without(String),
    /// Every cell of a column gets one value.
    Set(String, String),
    /// Normal noise on all pixels, in levels of 256.
    PixelNoise(f64),
    /// All pixels are multiplied.
    Brightness(f64),
    /// Box blur of so many pixels to every side.
    Blur(usize),
}

impl Change {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::Noise(size) => format!("noise of {size} standard deviations on numbers"),
            Self::Missing(share) => format!("{:.0} % of cells empty", 100.0 * share),
            Self::Typos(share) => format!("typing errors in {:.0} % of words", 100.0 * share),
            Self::Shift(column) => format!("{column} moved by one standard deviation"),
            Self::Without(column) => format!("{column} empty"),
            Self::Set(column, value) => format!("{column} always {value}"),
            Self::PixelNoise(size) => format!("noise of {size:.0} levels on pixels"),
            Self::Brightness(factor) if *factor < 1.0 => {
                format!("{:.0} % darker", 100.0 * (1.0 - factor))
            }
            Self::Brightness(factor) => format!("{:.0} % brighter", 100.0 * (factor - 1.0)),
            Self::Blur(radius) => format!("blurred over {} pixels", 2 * radius + 1),
        }
    }
}

/// The changes that make sense for data, mild to strong.
pub fn changes(dataset: &Dataset, target: &str) -> Vec<Change> {
    match &dataset.samples {
        Samples::Images(_) => vec![
            Change::PixelNoise(8.0),
            Change::PixelNoise(16.0),
            Change::PixelNoise(32.0),
            Change::Brightness(0.7),
            Change::Brightness(1.3),
            Change::Blur(1),
            Change::Blur(2),
        ],
        Samples::Table(table) => {
            let has = |kind| {
                let mut columns = table.columns().iter();
                columns.any(|c| c.kind == kind && c.name() != target)
            };
            let mut out = Vec::new();
            if has(ColumnType::Number) {
                out.extend([0.1, 0.3, 1.0].map(Change::Noise));
            }
            out.extend([0.05, 0.2].map(Change::Missing));
            if has(ColumnType::Category) {
                out.extend([0.05, 0.2].map(Change::Typos));
            }
            out
        }
    }
}

/// Most columns that are changed one by one.
const MOST_COLUMNS: usize = 40;

/// One change for every column that a model uses.
pub fn column_changes(dataset: &Dataset, used: &[String]) -> Vec<Change> {
    let Samples::Table(table) = &dataset.samples else { return Vec::new() };
    used.iter()
        .take(MOST_COLUMNS)
        .filter_map(|name| table.column(name))
        .map(|c| match c.kind {
            ColumnType::Number => Change::Shift(c.name().to_owned()),
            _ => Change::Without(c.name().to_owned()),
        })
        .collect()
}

/// The rows of a dataset with a change; the target column stays as it is.
pub fn apply(dataset: &Dataset, rows: &[u32], change: &Change, target: &str, seed: u64) -> Dataset {
    let mut rng = Rng::new(seed ^ 0x5eed);
    let samples = match &dataset.samples {
        Samples::Table(table) => {
            Samples::Table(changed_table(table, rows, change, target, &mut rng))
        }
        Samples::Images(images) => Samples::Images(changed_images(images, rows, change, &mut rng)),
    };
    Dataset { name: dataset.name.clone(), samples, notes: Vec::new() }
}

/// Uniform in 0..1.
fn uniform(rng: &mut Rng) -> f64 {
    (rng.bits() >> 11) as f64 / (1u64 << 53) as f64
}

/// Standard normal (Box and Muller).
fn normal(rng: &mut Rng) -> f64 {
    let u = 1.0 - uniform(rng);
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * uniform(rng)).cos()
}

fn deviation(column: &Column, rows: &[u32]) -> f64 {
    let values: Vec<f64> = rows.iter().filter_map(|r| column.number(*r as usize)).collect();
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt()
}

fn changed_table(
    table: &Table,
    rows: &[u32],
    change: &Change,
    target: &str,
    rng: &mut Rng,
) -> Table {
    let columns = table.columns().iter();
    let columns = columns
        .map(|c| {
            let change = (c.name() != target).then_some(change);
            changed_column(c, rows, change, rng)
        })
        .collect();
    let lines = rows.iter().map(|r| table.line(*r as usize)).collect();
    Table::new(columns, lines)
}

fn changed_column(column: &Column, rows: &[u32], change: Option<&Change>, rng: &mut Rng) -> Column {
    let mut out = Column::new(column.name());
    out.kind = column.kind;
    out.inferred = column.inferred;
    out.format = column.format;
    out.format_unsure = column.format_unsure;
    out.day_first = column.day_first;
    let moved = match (change, column.kind) {
        (Some(Change::Noise(size)), ColumnType::Number) => Some((*size, 0.0)),
        (Some(Change::Shift(name)), ColumnType::Number) if name == column.name() => {
            Some((0.0, 1.0))
        }
        _ => None,
    };
    if let Some((noise, shift)) = moved {
        let std = deviation(column, rows);
        out.format = NumberFormat::Plain;
        out.format_unsure = false;
        for &row in rows {
            match column.number(row as usize) {
                Some(v) => out.push(&format!("{}", v + std * (shift + noise * normal(rng)))),
                None => out.push(""),
            }
        }
        return out;
    }
    for &row in rows {
        let cell = column.raw(row as usize);
        match change {
            Some(Change::Missing(share)) if uniform(rng) < *share => out.push(""),
            Some(Change::Without(name)) if name == column.name() => out.push(""),
            Some(Change::Set(name, value)) if name == column.name() => out.push(value),
            Some(Change::Typos(share))
                if column.kind == ColumnType::Category && uniform(rng) < *share =>
            {
                out.push(&swapped(cell, rng));
            }
            _ => out.push(cell),
        }
    }
    out
}

/// A word with two neighbouring letters swapped; a single letter is doubled.
fn swapped(cell: &str, rng: &mut Rng) -> String {
    let mut letters: Vec<char> = cell.chars().collect();
    match letters.len() {
        0 => {}
        1 => letters.extend_from_within(..),
        n => {
            let at = rng.below(n - 1);
            letters.swap(at, at + 1);
        }
    }
    letters.into_iter().collect()
}

fn changed_images(images: &ImageSet, rows: &[u32], change: &Change, rng: &mut Rng) -> ImageSet {
    let size = images.width * images.height * images.channels;
    let mut out = ImageSet {
        width: images.width,
        height: images.height,
        channels: images.channels,
        classes: images.classes.clone(),
        ..ImageSet::default()
    };
    for &row in rows {
        let start = row as usize * size;
        let Some(image) = images.pixels.get(start..start + size) else { continue };
        out.labels.extend(images.labels.get(row as usize));
        match change {
            Change::PixelNoise(level) => out
                .pixels
                .extend(image.iter().map(|&p| (f64::from(p) + level * normal(rng)).round() as u8)),
            Change::Brightness(factor) => {
                out.pixels.extend(image.iter().map(|&p| (f64::from(p) * factor).round() as u8));
            }
            Change::Blur(radius) => blur(image, images, *radius, &mut out.pixels),
            _ => out.pixels.extend_from_slice(image),
        }
    }
    out
}

fn blur(image: &[u8], of: &ImageSet, radius: usize, out: &mut Vec<u8>) {
    let (w, h, c) = (of.width, of.height, of.channels);
    for y in 0..h {
        for x in 0..w {
            for channel in 0..c {
                let (mut sum, mut n) = (0u32, 0u32);
                for yy in y.saturating_sub(radius)..(y + radius + 1).min(h) {
                    for xx in x.saturating_sub(radius)..(x + radius + 1).min(w) {
                        let at = (yy * w + xx) * c + channel;
                        sum += u32::from(image.get(at).copied().unwrap_or(0));
                        n += 1;
                    }
                }
                out.push((sum / n.max(1)) as u8);
            }
        }
    }
}

/// Encoded rows whose movable numbers are replaced by noise: within what pixels can have, or normal
/// with three times the usual deviation.
pub fn noise(data: &Encoded, movable: &[Option<Movable>], seed: u64) -> Encoded {
    let mut rng = Rng::new(seed ^ 0x0dd);
    let mut out = data.clone();
    let width = data.dense_width.max(1);
    for (i, v) in out.dense.to_mut().iter_mut().enumerate() {
        let Some(m) = movable.get(i % width).copied().flatten() else { continue };
        *v = if m.unit == 1.0 {
            (3.0 * normal(&mut rng)) as f32
        } else {
            m.low + (m.high - m.low) * uniform(&mut rng) as f32
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::dataset;

    #[test]
    fn tables_change_as_told_and_the_target_does_not() {
        let mut text = "number,word,y\n".to_owned();
        for i in 0..200 {
            text +=
                &format!("{},{},{}\n", i % 17, ["red", "green", "blue"][i % 3], ["a", "b"][i % 2]);
        }
        let data = dataset(&text);
        let rows: Vec<u32> = (50..150).collect();
        let changed = |change: &Change| {
            let new = apply(&data, &rows, change, "y", 1);
            let (Samples::Table(a), Samples::Table(b)) = (&data.samples, &new.samples) else {
                panic!()
            };
            assert_eq!((b.rows(), b.line(0)), (100, a.line(50)));
            let cells = |name: &str| {
                let (a, b) = (a.column(name).unwrap(), b.column(name).unwrap());
                (0..100).filter(|r| a.raw(r + 50) != b.raw(*r)).count()
            };
            [cells("number"), cells("word"), cells("y")]
        };
        assert_eq!(changed(&Change::Noise(0.1)), [100, 0, 0]);
        assert_eq!(changed(&Change::Shift("number".to_owned())), [100, 0, 0]);
        assert_eq!(changed(&Change::Without("word".to_owned())), [0, 100, 0]);
        assert_eq!(changed(&Change::Without("y".to_owned())), [0, 0, 0]);
        let [numbers, words, target] = changed(&Change::Missing(0.2));
        assert!((8..35).contains(&numbers) && (8..35).contains(&words) && target == 0);
        let [numbers, words, target] = changed(&Change::Typos(0.5));
        assert!(numbers == 0 && (20..60).contains(&words) && target == 0, "{words}");
    }

    #[test]
    fn pictures_change_as_told() {
        let images = ImageSet {
            width: 3,
            height: 3,
            channels: 1,
            pixels: vec![0, 0, 0, 0, 90, 0, 0, 0, 0],
            labels: vec![1],
            classes: vec!["a".to_owned(), "b".to_owned()],
            ..ImageSet::default()
        };
        let data = Dataset { name: String::new(), samples: Samples::Images(images), notes: vec![] };
        let pixels = |change: &Change| match apply(&data, &[0], change, "label", 1).samples {
            Samples::Images(i) => i.pixels,
            Samples::Table(_) => panic!(),
        };
        assert_eq!(pixels(&Change::Blur(1)), [22, 15, 22, 15, 10, 15, 22, 15, 22]);
        assert_eq!(pixels(&Change::Brightness(3.0))[4], 255);
        let noisy = pixels(&Change::PixelNoise(8.0));
        assert!(noisy[4] != 90 && noisy[4].abs_diff(90) < 50);
    }
}

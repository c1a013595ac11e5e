//! Encoding rows with a fitted preprocessing.

use crate::data::steps::apply_rules;
use std::collections::HashMap;
use std::f64::consts::TAU;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::columns::{ColumnFit, Fit, PixelFit};
use super::fit::{boolean_key, day_order, squashed};
use super::{Encoded, Inputs, Preprocessor, TargetData, words};
use crate::data::date::{civil, parse_date};
use crate::data::number::NumberFormat;
use crate::data::target::{Targets, column_targets};
use crate::data::{Column, Dataset, ImageSet, Samples, Table, invalid};
use crate::error::DataError;

/// Rows encoded by one thread at a time.
const BLOCK: usize = 256;

impl Preprocessor {
    /// Encodes rows of any data that has the columns, found by name. The target may be missing.
    ///
    /// # Errors
    /// A column that is not there; images of another size; a row that is not there; images for a
    /// table or the other way round.
    pub fn transform(&self, dataset: &Dataset, rows: &[u32]) -> Result<Encoded, DataError> {
        if let Some(row) = rows.iter().find(|r| **r as usize >= dataset.len()) {
            return Err(invalid(format!("There is no row {row}"), "Choose rows of this data."));
        }
        match (&self.inputs, &dataset.samples) {
            (Inputs::Columns(columns), Samples::Table(table)) => {
                let fresh = self.ruled(table)?;
                let table = fresh.as_ref().unwrap_or(table);
                let mut encoded = self.table(columns, table, rows, false)?;
                encoded.target = self.table_target(table, rows);
                Ok(encoded)
            }
            (Inputs::Pixels(fit), Samples::Images(images)) => {
                let mut encoded = pixels(fit, images, rows)?;
                encoded.target = self.image_target(images, rows);
                Ok(encoded)
            }
            (Inputs::Columns(_), Samples::Images(_)) => Err(invalid(
                "This model takes a table, but these are images",
                "Choose a table with the columns that the model was trained on.",
            )),
            (Inputs::Pixels(_), Samples::Table(_)) => Err(invalid(
                "This model takes images, but this is a table",
                "Choose a folder of images.",
            )),
        }
    }

    /// Encodes rows of the file that the training rows are a sample of: dates are read as there, whatever
    /// this part of the file alone would suggest.
    ///
    /// # Errors
    /// As [`Self::transform`].
    pub(crate) fn transform_beyond(
        &self,
        table: &Table,
        rows: &[u32],
    ) -> Result<Encoded, DataError> {
        let Inputs::Columns(columns) = &self.inputs else {
            return Err(invalid("This model takes images, but this is a table", ""));
        };
        let fresh = self.ruled(table)?;
        let table = fresh.as_ref().unwrap_or(table);
        let mut encoded = self.table(columns, table, rows, true)?;
        encoded.target = self.table_target(table, rows);
        Ok(encoded)
    }

    /// The table with the recorded rules done; `None` where nothing is left to do, as for rows that
    /// were read for training.
    pub(super) fn ruled(&self, table: &Table) -> Result<Option<Table>, DataError> {
        let done = self.rules.is_empty() || table.rules() == self.rules;
        if done { Ok(None) } else { apply_rules(table, &self.rules).map(Some) }
    }

    fn table(
        &self,
        columns: &[ColumnFit],
        table: &Table,
        rows: &[u32],
        beyond: bool,
    ) -> Result<Encoded, DataError> {
        let absent: Vec<&str> = columns
            .iter()
            .map(|c| c.name.as_str())
            .filter(|name| table.column(name).is_none())
            .collect();
        if let Some(first) = absent.first() {
            let names: Vec<String> = absent.iter().take(8).map(|n| format!("\"{n}\"")).collect();
            let more = if absent.len() > 8 { ", …" } else { "" };
            return Err(invalid(
                format!(
                    "This data lacks columns that the model was trained on: {}{more}",
                    names.join(", ")
                ),
                "Add them, spelled alike; their order does not matter.",
            )
            .in_column(first));
        }
        let mut encoders = Vec::new();
        let (mut dense_width, mut category_width) = (0, 0);
        for fit in columns {
            let Some(column) = table.column(&fit.name) else { continue };
            encoders.push(Encoder::new(fit, column, beyond));
            dense_width += fit.width();
            category_width += usize::from(fit.embedding().is_some());
        }
        let mut dense = vec![0.0; rows.len() * dense_width];
        let mut categories = vec![0; rows.len() * category_width];
        let encode = |rows: &[u32], dense: &mut [f32], categories: &mut [u32]| {
            for (i, row) in rows.iter().enumerate() {
                let mut numbers = &mut dense[i * dense_width..(i + 1) * dense_width];
                let mut codes = &mut categories[i * category_width..(i + 1) * category_width];
                for encoder in &encoders {
                    let (here, rest) = std::mem::take(&mut numbers).split_at_mut(encoder.width);
                    numbers = rest;
                    if encoder.embedded {
                        if let Some((code, rest)) = std::mem::take(&mut codes).split_first_mut() {
                            *code = encoder.code(*row as usize);
                            codes = rest;
                        }
                    } else {
                        encoder.numbers(*row as usize, here);
                    }
                }
            }
        };
        if dense_width == 0 || category_width == 0 {
            // One of the two has no chunks to go along with.
            if dense_width == 0 {
                rows.par_chunks(BLOCK)
                    .zip(categories.par_chunks_mut((BLOCK * category_width).max(1)))
                    .for_each(|(rows, codes)| encode(rows, &mut [], codes));
            } else {
                rows.par_chunks(BLOCK)
                    .zip(dense.par_chunks_mut(BLOCK * dense_width))
                    .for_each(|(rows, numbers)| encode(rows, numbers, &mut []));
            }
        } else {
            rows.par_chunks(BLOCK)
                .zip(dense.par_chunks_mut(BLOCK * dense_width))
                .zip(categories.par_chunks_mut(BLOCK * category_width))
                .for_each(|((rows, numbers), codes)| encode(rows, numbers, codes));
        }
        let unknown = encoders.iter().filter_map(|e| {
            let n = e.unknown.load(Ordering::Relaxed);
            (n > 0).then(|| (e.column.name().to_owned(), n))
        });
        let unknown = unknown.collect();
        let target = TargetData::None;
        Ok(Encoded {
            rows: rows.len(),
            dense: dense.into(),
            dense_width,
            categories: categories.into(),
            category_width,
            target,
            unknown,
        })
    }

    fn table_target(&self, table: &Table, rows: &[u32]) -> TargetData {
        let Some(column) = table.column(&self.target) else { return TargetData::None };
        match column_targets(column, &self.task, self.target_kind) {
            Targets::Classes(codes) => {
                let codes: Option<Vec<u32>> = rows.iter().map(|r| codes[*r as usize]).collect();
                codes.map_or(TargetData::None, TargetData::Classes)
            }
            Targets::Values(values) => {
                let Some(scale) = self.scale else { return TargetData::None };
                let picked: Vec<f32> = rows
                    .iter()
                    .map(|r| ((values[*r as usize] - scale.mean) / scale.std) as f32)
                    .collect();
                let known = picked.iter().all(|v| v.is_finite());
                if known { TargetData::Values(picked) } else { TargetData::None }
            }
        }
    }

    fn image_target(&self, images: &ImageSet, rows: &[u32]) -> TargetData {
        let classes = self.task.classes();
        let code = |row: &u32| {
            let label = *images.labels.get(*row as usize)? as usize;
            let name = images.classes.get(label)?;
            classes.iter().position(|c| c == name).map(|i| i as u32)
        };
        let codes: Option<Vec<u32>> = rows.iter().map(code).collect();
        codes.map_or(TargetData::None, TargetData::Classes)
    }
}

/// One column of this data with the fit that it is encoded by.
pub(super) struct Encoder<'a> {
    fit: &'a Fit,
    column: &'a Column,
    width: usize,
    embedded: bool,
    /// Place of each value or word; rare values share the one after.
    index: HashMap<&'a str, usize>,
    format: NumberFormat,
    day_first: bool,
    unknown: AtomicUsize,
}

impl<'a> Encoder<'a> {
    /// `beyond`: the column goes on one that was fitted on, and is read as that.
    pub(super) fn new(column_fit: &'a ColumnFit, column: &'a Column, beyond: bool) -> Self {
        let fit = &column_fit.fit;
        let (values, rare): (&[String], &[String]) = match fit {
            Fit::OneHot { values, rare, .. } | Fit::Embedding { values, rare } => (values, rare),
            Fit::Text { words, .. } => (words, &[]),
            _ => (&[], &[]),
        };
        let mut index: HashMap<&str, usize> =
            values.iter().enumerate().map(|(i, v)| (v.as_str(), i)).collect();
        index.extend(rare.iter().map(|v| (v.as_str(), values.len())));
        // This data's own way of writing numbers and dates counts where its cells are clear.
        let format = match fit {
            Fit::Number { format, .. } => {
                let open = column.format_unsure && *format != NumberFormat::Plain;
                if open { *format } else { column.format }
            }
            _ => NumberFormat::Plain,
        };
        let day_first = match fit {
            Fit::Date { day_first, .. } if beyond => *day_first,
            Fit::Date { day_first, .. } => day_order(column).unwrap_or(*day_first),
            _ => false,
        };
        Self {
            fit,
            column,
            width: column_fit.width(),
            embedded: matches!(fit, Fit::Embedding { .. }),
            index,
            format,
            day_first,
            unknown: AtomicUsize::new(0),
        }
    }

    fn count_unknown(&self) {
        self.unknown.fetch_add(1, Ordering::Relaxed);
    }

    /// A cell as a number in its own unit, days for a date; NaN where missing or unreadable.
    pub(super) fn plain_number(&self, row: usize) -> f64 {
        let cell = self.column.value(row);
        let value = match self.fit {
            Fit::Date { .. } => cell.and_then(|c| parse_date(c, self.day_first)),
            _ => cell.and_then(|c| self.format.parse(c)),
        };
        value.unwrap_or(f64::NAN)
    }

    /// How often every word of the vocabulary is in a text; `out` holds zeros.
    pub(super) fn word_counts(&self, row: usize, out: &mut [f32]) {
        words::count(self.column.value(row).unwrap_or(""), &self.index, out);
    }

    /// Index of an embedded cell.
    fn code(&self, row: usize) -> u32 {
        let Fit::Embedding { values, rare } = self.fit else { return 0 };
        let Some(cell) = self.column.value(row) else { return 0 };
        match self.index.get(cell) {
            Some(i) => *i as u32 + 1,
            None => {
                self.count_unknown();
                if rare.is_empty() { 0 } else { values.len() as u32 + 1 }
            }
        }
    }

    /// Numbers of a cell; `out` holds zeros.
    fn numbers(&self, row: usize, out: &mut [f32]) {
        let cell = self.column.value(row);
        let mut is_missing = cell.is_none();
        let marks = match self.fit {
            Fit::Number { median, squash, standard, missing, .. } => {
                let parsed = cell.and_then(|c| self.format.parse(c));
                if parsed.is_none() && cell.is_some() {
                    self.count_unknown();
                    is_missing = true;
                }
                let value = parsed.unwrap_or(*median);
                out[0] = standard.apply(squash.map_or(value, |unit| squashed(value, unit)));
                *missing
            }
            Fit::Boolean { values, missing } => {
                out[0] = match cell.map(boolean_key) {
                    Some(key) if key == values[0] => 0.0,
                    Some(key) if key == values[1] => 1.0,
                    key => {
                        if key.is_some() {
                            self.count_unknown();
                            is_missing = true;
                        }
                        0.5
                    }
                };
                *missing
            }
            Fit::Date { median, year, elapsed, time, missing, .. } => {
                let parsed = cell.and_then(|c| parse_date(c, self.day_first));
                if parsed.is_none() && cell.is_some() {
                    self.count_unknown();
                    is_missing = true;
                }
                let days = parsed.unwrap_or(*median);
                let (y, month, weekday, clock) = civil(days).unwrap_or((1970, 1, 0, 0.0));
                out[0] = year.apply(f64::from(y));
                out[1] = elapsed.apply(days);
                circle(f64::from(month - 1) / 12.0, &mut out[2..4]);
                circle(f64::from(weekday) / 7.0, &mut out[4..6]);
                if *time {
                    circle(clock, &mut out[6..8]);
                }
                *missing
            }
            Fit::OneHot { values, rare, missing } => {
                if let Some(cell) = cell {
                    match self.index.get(cell) {
                        Some(i) => out[*i] = 1.0,
                        None => {
                            self.count_unknown();
                            if !rare.is_empty() {
                                out[values.len()] = 1.0;
                            }
                        }
                    }
                }
                *missing
            }
            Fit::Text { idf, .. } => {
                words::weigh(cell.unwrap_or(""), &self.index, idf, out);
                false
            }
            Fit::Embedding { .. } => false,
        };
        if let Some(mark) = out.last_mut().filter(|_| marks && is_missing) {
            *mark = 1.0;
        }
    }
}

/// A place on a circle, so that December is next to January.
fn circle(turn: f64, out: &mut [f32]) {
    out[0] = (turn * TAU).sin() as f32;
    out[1] = (turn * TAU).cos() as f32;
}

/// Value `i` of an image of `from` channels seen as one of `to` channels.
pub(super) fn pixel(image: &[u8], from: usize, to: usize, i: usize) -> u8 {
    let (spot, channel) = (i / to, i % to);
    match (from, to) {
        (3, 1) => grey(&image[3 * spot..3 * spot + 3]),
        (1, _) => image[spot],
        _ => image[spot * from + channel],
    }
}

/// Whether images have the size that a model was trained on.
pub(super) fn check_size(fit: &PixelFit, images: &ImageSet) -> Result<(), DataError> {
    if (images.width, images.height) != (fit.width, fit.height) {
        return Err(invalid(
            format!(
                "These images have {} × {} pixels, but the model was trained on {} × {}",
                images.width, images.height, fit.width, fit.height
            ),
            "Open them with the size that the model was trained on.",
        ));
    }
    Ok(())
}

fn pixels(fit: &PixelFit, images: &ImageSet, rows: &[u32]) -> Result<Encoded, DataError> {
    check_size(fit, images)?;
    let (from, to) = (images.channels.max(1), fit.channels());
    let size = fit.width * fit.height * from;
    let width = fit.width * fit.height * to;
    let tables: Vec<Vec<f32>> = fit
        .standard
        .iter()
        .map(|s| (0..256).map(|p| s.apply(f64::from(p) / 255.0)).collect())
        .collect();
    let mut dense = vec![0.0; rows.len() * width];
    dense.par_chunks_mut(width.max(1)).zip(rows).for_each(|(out, row)| {
        let start = *row as usize * size;
        let image = &images.pixels[start..start + size];
        for (i, x) in out.iter_mut().enumerate() {
            *x = tables[i % to][usize::from(pixel(image, from, to, i))];
        }
    });
    Ok(Encoded {
        rows: rows.len(),
        dense: dense.into(),
        dense_width: width,
        categories: Vec::new().into(),
        category_width: 0,
        target: TargetData::None,
        unknown: Vec::new(),
    })
}

/// Brightness as in Rec. 709.
fn grey(rgb: &[u8]) -> u8 {
    let [r, g, b] = [rgb[0], rgb[1], rgb[2]].map(u32::from);
    ((2126 * r + 7152 * g + 722 * b + 5000) / 10_000) as u8
}

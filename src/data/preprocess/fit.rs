//! Fitting, on training rows only.

use std::collections::HashMap;

use rayon::prelude::*;

use super::columns::{ColumnFit, Fit, PixelFit, Standard};
use super::{Inputs, PrepConfig, Preprocessor, TargetScale, words};
use crate::data::date::{civil, order_evidence};
use crate::data::infer::truth;
use crate::data::target::{Targets, targets};
use crate::data::{Column, ColumnType, Dataset, ImageSet, Samples, Schema, invalid};
use crate::error::DataError;

/// Most values of a category that are told apart.
pub const MAX_LEVELS: usize = 5000;
/// Skewness above which a number may be squashed.
const SKEWED: f64 = 2.0;

impl Preprocessor {
    /// Fits to the training rows. No other row has any influence.
    ///
    /// # Errors
    /// No training rows, a column or target of the schema that is not in the data, a column whose
    /// values do not fit the type that it was set to.
    pub fn fit(
        dataset: &Dataset,
        schema: &Schema,
        config: &PrepConfig,
        train_rows: &[u32],
    ) -> Result<Self, DataError> {
        if train_rows.is_empty() || train_rows.iter().any(|r| *r as usize >= dataset.len()) {
            return Err(invalid("There are no training rows", "Choose data with more rows."));
        }
        let inputs = match &dataset.samples {
            Samples::Images(images) => Inputs::Pixels(pixels(images, train_rows)),
            Samples::Table(table) => {
                let features: Vec<_> = schema.features().collect();
                let fits: Vec<Option<ColumnFit>> = features
                    .into_par_iter()
                    .map(|(name, kind)| {
                        let column = table.column(name).ok_or_else(|| {
                            invalid(
                                format!("The column \"{name}\" is not in this data"),
                                "Choose the data that the project was made for.",
                            )
                        })?;
                        fit_column(column, kind, config, train_rows).map_err(|e| e.in_column(name))
                    })
                    .collect::<Result<_, DataError>>()?;
                Inputs::Columns(fits.into_iter().flatten().collect())
            }
        };
        let scale = match targets(dataset, schema)? {
            Targets::Classes(_) => None,
            Targets::Values(values) => {
                let known = train_rows.iter().map(|r| values[*r as usize]).filter(|v| !v.is_nan());
                let (mean, std) = moments(&known.collect::<Vec<_>>());
                Some(TargetScale { mean, std: if std > 0.0 { std } else { 1.0 } })
            }
        };
        let rules = match &dataset.samples {
            Samples::Table(table) => table.rules().to_vec(),
            Samples::Images(_) => Vec::new(),
        };
        Ok(Self {
            target: schema.target.clone(),
            target_kind: schema.target_kind(),
            task: schema.task.clone(),
            scale,
            inputs,
            rules,
        })
    }
}

/// The fit of one column; `None` where the training rows leave nothing of it.
fn fit_column(
    column: &Column,
    kind: ColumnType,
    config: &PrepConfig,
    rows: &[u32],
) -> Result<Option<ColumnFit>, DataError> {
    let cells = || rows.iter().filter_map(|r| column.value(*r as usize));
    let missing = cells().count() < rows.len();
    let fit = match kind {
        ColumnType::Ignore => None,
        ColumnType::Number => Some(number(column, rows)?),
        ColumnType::Boolean => Some(Fit::Boolean { values: boolean(cells())?, missing }),
        ColumnType::Date => Some(date(column, rows)?),
        ColumnType::Category => category(cells(), rows.len(), missing, config),
        ColumnType::Text => {
            let (words, idf) = words::vocabulary(cells(), config.text_words);
            (!words.is_empty()).then_some(Fit::Text { words, idf })
        }
    };
    Ok(fit.map(|fit| ColumnFit { name: column.name().to_owned(), fit }))
}

/// Mean and standard deviation (÷ n).
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

fn standard(values: &[f64]) -> Standard {
    let (mean, std) = moments(values);
    // Rounding leaves a trace of deviation in equal values.
    let constant = std <= 1e-12 * mean.abs().max(f64::MIN_POSITIVE);
    Standard { mean, scale: if constant { 0.0 } else { 1.0 / std } }
}

fn skewness(values: &[f64]) -> f64 {
    let (mean, std) = moments(values);
    if std == 0.0 {
        return 0.0;
    }
    values.iter().map(|v| ((v - mean) / std).powi(3)).sum::<f64>() / values.len() as f64
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => sorted[n / 2 - 1] / 2.0 + sorted[n / 2] / 2.0,
    }
}

/// Nearly linear below the unit, logarithmic above, of the value's sign.
pub(super) fn squashed(x: f64, unit: f64) -> f64 {
    (x / unit).asinh()
}

/// The unit of squashing, if it takes away at least a quarter of a heavy skew: the median size of values
/// that are not 0. (Untuned networks on census data: .8546 with it, .8518 with values as they are,
/// .844 with ln(1 + x), whose unit of 1 is far too small for amounts of money.)
fn squash_unit(values: &[f64]) -> Option<f64> {
    let skew = skewness(values).abs();
    if skew <= SKEWED {
        return None;
    }
    let sizes: Vec<f64> = values.iter().map(|v| v.abs()).filter(|v| *v > 0.0).collect();
    let unit = median(&sizes);
    if unit <= 0.0 || !unit.is_finite() {
        return None;
    }
    let after: Vec<f64> = values.iter().map(|v| squashed(*v, unit)).collect();
    (skewness(&after).abs() <= 0.75 * skew).then_some(unit)
}

fn number(column: &Column, rows: &[u32]) -> Result<Fit, DataError> {
    let mut values: Vec<f64> = rows.iter().filter_map(|r| column.number(*r as usize)).collect();
    let missing = values.len() < rows.len();
    if values.is_empty() && (0..column.len()).all(|r| column.number(r).is_none()) {
        return Err(invalid(
            "This column is set to number but holds none",
            "Set its type to category or text, or ignore it.",
        ));
    }
    let median = median(&values);
    let squash = squash_unit(&values);
    values.resize(rows.len(), median);
    if let Some(unit) = squash {
        values.iter_mut().for_each(|v| *v = squashed(*v, unit));
    }
    Ok(Fit::Number { format: column.format, median, squash, standard: standard(&values), missing })
}

/// Key of a boolean cell.
pub(crate) fn boolean_key(cell: &str) -> String {
    match truth(cell) {
        Some(value) => value.to_string(),
        None => cell.to_lowercase(),
    }
}

fn boolean<'a>(cells: impl Iterator<Item = &'a str>) -> Result<[String; 2], DataError> {
    let mut keys: Vec<String> = Vec::new();
    for cell in cells {
        let key = boolean_key(cell);
        if !keys.contains(&key) {
            keys.push(key);
        }
        if keys.len() > 2 {
            return Err(invalid(
                format!("This column is set to yes/no but holds other values, such as \"{cell}\""),
                "Set its type to category.",
            ));
        }
    }
    if keys.iter().all(|k| k == "true" || k == "false") {
        return Ok(["false".to_owned(), "true".to_owned()]);
    }
    keys.resize(2, String::new());
    let mut keys = crate::data::schema::class_order(keys);
    let last = keys.pop().unwrap_or_default();
    Ok([keys.pop().unwrap_or_default(), last])
}

/// Whether the cells of a column say that the day comes first.
pub(super) fn day_order(column: &Column) -> Option<bool> {
    (0..column.len()).filter_map(|r| column.value(r)).find_map(order_evidence)
}

fn date(column: &Column, rows: &[u32]) -> Result<Fit, DataError> {
    let day_first = column.day_first;
    let mut values: Vec<f64> = rows.iter().filter_map(|r| column.date(*r as usize)).collect();
    if values.is_empty() && (0..column.len()).all(|r| column.date(r).is_none()) {
        return Err(invalid(
            "This column is set to date but holds none that can be read",
            "Write dates as 2024-12-31, or set the column's type to category or text.",
        ));
    }
    let missing = values.len() < rows.len();
    let median = median(&values).floor();
    values.resize(rows.len(), median);
    let years: Vec<f64> =
        values.iter().map(|d| civil(*d).map_or(1970.0, |c| f64::from(c.0))).collect();
    let time = values.iter().any(|d| d.fract() != 0.0);
    Ok(Fit::Date {
        day_first,
        median,
        year: standard(&years),
        elapsed: standard(&values),
        time,
        missing,
    })
}

fn category<'a>(
    cells: impl Iterator<Item = &'a str>,
    rows: usize,
    missing: bool,
    config: &PrepConfig,
) -> Option<Fit> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for cell in cells {
        *counts.entry(cell).or_insert(0) += 1;
    }
    // A value of fewer rows is learned together with others as rare, if there are rows enough.
    let least = match rows {
        500.. => 5,
        100.. => 2,
        _ => 1,
    };
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let kept = counts.iter().take_while(|(_, n)| *n >= least).take(MAX_LEVELS).count();
    let sorted = |counts: &[(&str, usize)]| {
        let mut values: Vec<String> = counts.iter().map(|(v, _)| (*v).to_owned()).collect();
        values.sort();
        values
    };
    let values = sorted(&counts[..kept]);
    // Beyond this many, rare values are as good as unknown.
    let rare = sorted(&counts[kept..counts.len().min(kept + MAX_LEVELS)]);
    if counts.is_empty() && !missing {
        return None;
    }
    Some(if values.len() <= config.one_hot_limit {
        Fit::OneHot { values, rare, missing }
    } else {
        Fit::Embedding { values, rare }
    })
}

fn pixels(images: &ImageSet, rows: &[u32]) -> PixelFit {
    let channels = images.channels.max(1);
    let size = images.width * images.height * channels;
    let mut counts = vec![[0_u64; 256]; channels];
    for row in rows {
        let start = *row as usize * size;
        for (i, p) in images.pixels[start..start + size].iter().enumerate() {
            counts[i % channels][usize::from(*p)] += 1;
        }
    }
    let standard = |counts: &[u64; 256]| {
        let n = counts.iter().sum::<u64>().max(1) as f64;
        let sum = |f: &dyn Fn(f64) -> f64| {
            counts.iter().enumerate().map(|(p, c)| *c as f64 * f(p as f64 / 255.0)).sum::<f64>() / n
        };
        let mean = sum(&|x| x);
        let std = sum(&|x| (x - mean) * (x - mean)).sqrt();
        Standard { mean, scale: if std > 1e-9 { 1.0 / std } else { 0.0 } }
    };
    PixelFit {
        width: images.width,
        height: images.height,
        standard: counts.iter().map(standard).collect(),
    }
}

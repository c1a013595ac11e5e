//! The whole check.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use super::answers::{self, AnswerReference, Answers};
use super::feedback::{self, Labelled};
use super::reference::Reference;
use super::signals;
use super::windows::{self, Binned, Timeline};
use super::{Action, Advice, AnswerDrift, ColumnDrift, Found, Options, advice, drift, skew};
use crate::data::preprocess::{Fit, Inputs};
use crate::data::{Column, Dataset, Preprocessor, Progress, Samples};
use crate::deploy::Model;
use crate::error::{DataError, ExportError, Place};
use crate::quality::stats;

/// p-value below which the answers drift; they are one test beside those of the columns.
const ANSWERS_P: f64 = 0.01;
/// New rows that are answered; of more, evenly spaced ones.
const MOST_ANSWERS: usize = 200_000;

fn invalid(what: String, advice: &str) -> ExportError {
    DataError::Invalid { what, place: Place::default(), advice: advice.to_owned() }.into()
}

/// Compares new rows with the reference of a model.
///
/// # Errors
/// Images for a model of tables or the other way round, or of another size; no rows; a column to
/// order by that is not there; thresholds out of range; the engine; cancelled.
pub fn check(
    model: &Model,
    reference: &Reference,
    dataset: &Dataset,
    options: &Options,
    progress: &Progress,
) -> Result<Found, ExportError> {
    let advice = "Give a share above 0 and at most 1.";
    options.triggers.check().map_err(|what| invalid(format!("Not a threshold: {what}"), advice))?;
    let info = model.info();
    let prep = &info.preprocessor;
    if dataset.is_empty() {
        return Err(invalid(
            "There are no new rows".to_owned(),
            "Give data with at least one row.",
        ));
    }
    let missing = skew::missing_columns(prep, dataset);
    if missing.is_empty() {
        // Refuses what does not fit at all, on no rows.
        prep.transform(dataset, &[])?;
    } else if missing.len() == prep.columns().len() {
        return Err(invalid(
            "None of the model's columns is in this data".to_owned(),
            "Choose data with the columns that the model was trained on.",
        ));
    }
    let step = |done: u64| {
        progress.total.store(100, Ordering::Relaxed);
        progress.done.store(done, Ordering::Relaxed);
        progress.check()
    };
    step(2)?;
    let fresh = signals::ruled(prep, dataset)?;
    let dataset = fresh.as_ref().unwrap_or(dataset);
    let order = Order::of(dataset, options.order_by.as_deref())?;
    let rows: Vec<u32> = (0..dataset.len() as u32).collect();
    let found = signals::signals(prep, dataset, &rows);
    step(20)?;
    let known = known(prep);
    let mut columns = drift::compare(&reference.columns, &found, &rows, &known);
    let mut alerts = skew::look(&missing, reference, &found, &columns, rows.len());
    columns.sort_by(|a, b| b.drifted.cmp(&a.drifted).then_with(|| b.size.total_cmp(&a.size)));
    let tested = columns.iter().filter(|c| c.method.is_some()).count();
    let drifting = columns.iter().filter(|c| c.drifted).count();
    step(35)?;
    let binned: Vec<Binned> = reference
        .columns
        .iter()
        .filter_map(|r| {
            let signal = found.iter().find(|s| s.name == r.name)?;
            Binned::new(r, signal).map(|b| b.ordered(&order.rows))
        })
        .collect();
    let line = |place: usize| order.line(dataset, place);
    let mut timeline = windows::timeline(&binned, rows.len(), options.window, &line, progress)?;
    step(50)?;
    let mut labelled = None;
    let mut answered = None;
    if missing.is_empty() {
        let every = rows.len().div_ceil(MOST_ANSWERS).max(1);
        let some: Vec<u32> = rows.iter().copied().step_by(every).collect();
        let mut predictor = model.clone().predictor()?;
        let given = answers::answer(&mut predictor, dataset, &some, progress)?;
        step(80)?;
        labelled = feedback::labelled(info, dataset, &some, &given);
        let drift = reference.answers.as_ref().map(|r| compare_answers(r, &given, &some, options));
        let level = drift.as_ref().and_then(|d| d.unsure_below);
        over_time(&mut timeline, &order, &some, &given, level, labelled.as_ref());
        answered = drift;
    }
    let feedback = match &labelled {
        Some(labelled) => feedback::look(info, labelled, progress)?,
        None => None,
    };
    step(95)?;
    let share = drifting as f64 / tested.max(1) as f64;
    let none = feedback::Unknown::new();
    alerts.extend(advice::alerts(
        &columns,
        share,
        answered.as_ref(),
        feedback.as_ref(),
        labelled.as_ref().map_or(&none, |l| &l.unknown),
        &options.triggers,
    ));
    alerts.sort_by_key(|a| std::cmp::Reverse(a.severity));
    let mut found = Found {
        time: jiff::Timestamp::now().to_string(),
        project: info.project.clone(),
        trained: info.trained.clone(),
        data: dataset.name.clone(),
        rows: rows.len(),
        reference_rows: reference.rows,
        advice: Advice { action: Action::Nothing, text: String::new(), columns: Vec::new() },
        alerts,
        columns,
        tested,
        drifting,
        dataset_drift: drifting > 0 && share >= options.triggers.drifting,
        answers: answered,
        feedback,
        timeline,
        triggers: options.triggers,
    };
    found.advice = advice::decide(&found);
    step(100)?;
    Ok(found)
}

/// Categories that training had seen, by column.
fn known(prep: &Preprocessor) -> HashMap<String, HashSet<String>> {
    let Inputs::Columns(columns) = prep.inputs() else { return HashMap::new() };
    columns
        .iter()
        .filter_map(|c| {
            let values: HashSet<String> = match &c.fit {
                Fit::OneHot { values, rare, .. } | Fit::Embedding { values, rare } => {
                    values.iter().chain(rare).cloned().collect()
                }
                Fit::Boolean { values, .. } => values.iter().cloned().collect(),
                Fit::Number { .. } | Fit::Date { .. } | Fit::Text { .. } => return None,
            };
            Some((c.name.clone(), values))
        })
        .collect()
}

fn compare_answers(
    reference: &AnswerReference,
    given: &Answers,
    rows: &[u32],
    options: &Options,
) -> AnswerDrift {
    let mut drift: ColumnDrift = drift::one(&reference.answers, &given.signal, rows, None);
    drift.p_adjusted = drift.p;
    drift.drifted = match drift.method {
        Some(method) if method.is_p() => drift.p < ANSWERS_P,
        Some(_) => drift.value >= drift::DISTANCE && drift.p < ANSWERS_P,
        None => false,
    };
    let unsure_below = reference
        .confidence
        .as_ref()
        .and(options.unsure_below.or_else(|| reference.unsure_below()));
    let n = given.confidence.len().max(1) as f64;
    let below = |level: f64| given.confidence.iter().filter(|c| **c < level).count() as f64 / n;
    let unsure = unsure_below.and_then(|level| Some([reference.unsure(level)?, below(level)]));
    let confidence =
        reference.mean_confidence.map(|before| [before, stats::mean_std(&given.confidence).0]);
    AnswerDrift { drift, confidence, unsure_below, unsure, rows: rows.len() }
}

/// Puts confidence and score into the windows. `rows` are those that were answered.
fn over_time(
    timeline: &mut Timeline,
    order: &Order,
    rows: &[u32],
    given: &Answers,
    level: Option<f64>,
    labelled: Option<&Labelled>,
) {
    let place = order.places();
    let window_of = |windows: &[windows::Window], row: u32| {
        let at = place.get(row as usize).copied().unwrap_or(0);
        windows.partition_point(|w| w.places[1] <= at)
    };
    let count = timeline.windows.len();
    let mut sums = vec![(0.0, 0.0, 0.0); count];
    for (row, confidence) in rows.iter().zip(&given.confidence) {
        if let Some(sum) = sums.get_mut(window_of(&timeline.windows, *row)) {
            sum.0 += 1.0;
            sum.1 += confidence;
            sum.2 += f64::from(u8::from(level.is_some_and(|l| *confidence < l)));
        }
    }
    let mut scored: Vec<Vec<usize>> = vec![Vec::new(); count];
    if let Some(labelled) = labelled {
        for (i, answer) in labelled.places.iter().enumerate() {
            let row = rows.get(*answer).copied().unwrap_or(0);
            if let Some(list) = scored.get_mut(window_of(&timeline.windows, row)) {
                list.push(i);
            }
        }
    }
    for ((window, (n, sum, unsure)), some) in timeline.windows.iter_mut().zip(sums).zip(scored) {
        if n > 0.0 {
            window.confidence = Some(sum / n);
            window.unsure = level.map(|_| unsure / n);
        }
        window.score = labelled.and_then(|l| feedback::score(&l.outcomes, &some));
    }
}

/// The order in which rows are looked at.
struct Order {
    rows: Vec<u32>,
    /// What orders them: days of dates, or numbers; empty for file order.
    by: Vec<f64>,
    dates: bool,
}

impl Order {
    fn of(dataset: &Dataset, column: Option<&str>) -> Result<Self, ExportError> {
        let mut order =
            Self { rows: (0..dataset.len() as u32).collect(), by: Vec::new(), dates: false };
        let Some(name) = column else { return Ok(order) };
        let Samples::Table(table) = &dataset.samples else {
            return Err(invalid(
                "Images have no column to be ordered by".to_owned(),
                "Leave it out; images are taken in the order of their files.",
            ));
        };
        let column = table.column(name).ok_or_else(|| {
            invalid(
                format!("There is no column \"{name}\" to order the rows by"),
                "Name a column of dates or numbers of the new data.",
            )
        })?;
        let read = |f: &dyn Fn(&Column, usize) -> Option<f64>| -> Vec<f64> {
            (0..column.len()).map(|r| f(column, r).unwrap_or(f64::NAN)).collect()
        };
        let usable = |v: &[f64]| v.iter().filter(|v| v.is_finite()).count() * 2 > v.len();
        let numbers = read(&|c, r| c.number(r));
        let dates = if usable(&numbers) { Vec::new() } else { read(&|c, r| c.date(r)) };
        (order.dates, order.by) =
            (!dates.is_empty(), if dates.is_empty() { numbers } else { dates });
        if !usable(&order.by) {
            return Err(invalid(
                format!("\"{name}\" holds neither dates nor numbers, so rows have no order by it"),
                "Name a column of dates or numbers of the new data.",
            ));
        }
        // Rows without a value come last; `total_cmp` puts positive NaN there.
        let at = |row: &u32| {
            let v = order.by.get(*row as usize).copied().filter(|v| !v.is_nan());
            v.unwrap_or(f64::NAN.abs())
        };
        order.rows.sort_by(|a, b| at(a).total_cmp(&at(b)));
        Ok(order)
    }

    /// Place of every row.
    fn places(&self) -> Vec<usize> {
        let mut places = vec![0; self.rows.len()];
        for (place, row) in self.rows.iter().enumerate() {
            if let Some(slot) = places.get_mut(*row as usize) {
                *slot = place;
            }
        }
        places
    }

    /// Row in the file, and date, of a place.
    fn line(&self, dataset: &Dataset, place: usize) -> (u64, Option<String>) {
        let row = self.rows.get(place).copied().unwrap_or(0) as usize;
        let line = match &dataset.samples {
            Samples::Table(table) => table.line(row),
            Samples::Images(_) => row as u64 + 1,
        };
        let value = self.by.get(row).copied().filter(|v| v.is_finite());
        let shown =
            value.map(|v| if self.dates { date(v) } else { crate::quality::wording::number(v) });
        (line, shown)
    }
}

/// A day as `2024-05-01`.
fn date(days: f64) -> String {
    let start = jiff::civil::date(1970, 1, 1);
    let day = jiff::Span::new().try_days(days.floor() as i64);
    let date = day.ok().and_then(|span| start.checked_add(span).ok());
    date.map_or_else(|| crate::quality::wording::number(days), |d| d.to_string())
}

impl Binned {
    fn ordered(self, order: &[u32]) -> Self {
        if order.windows(2).all(|w| w[0] < w[1]) { self } else { self.permuted(order) }
    }
}

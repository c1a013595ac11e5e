//! The full check of a project's data: the checks of the data, and those that need the predictions of
//! a cross-validated model.

use crate::data::{Dataset, Progress, Schema, Split, Targets, Task, targets};
use crate::device::DeviceChoice;
use crate::error::{DataError, TrainError, UserError};
use crate::fp8::Precision;
use crate::project::Project;
use crate::quality::{self, Extra, Report};
use crate::train::crossval::{self, OutOfFold, Study};
use crate::train::{DataSize, TrainConfig};

/// Most rows that the models of a check are trained on.
const MOST_ROWS: usize = 8000;
/// Fewest rows from which predictions tell something.
const FEWEST_ROWS: usize = 60;
/// Most passes of a check's models.
const EPOCHS: usize = 30;

/// Checks data; `deep` also trains models to check the labels.
///
/// # Errors
/// The data cannot be split.
pub fn check(
    dataset: &Dataset,
    schema: &Schema,
    project: &Project,
    deep: bool,
    progress: &Progress,
) -> Result<Report, UserError> {
    let split = Split::make(dataset, schema, &project.split_config())?;
    let mut extra = Extra { shares: project.shares.clone(), ..Extra::default() };
    if deep {
        match predictions(dataset, schema, project, progress) {
            Ok(found) => extra.predictions = Some(found),
            Err(Without::Why(why)) => extra.without = why,
            Err(Without::Cancelled) => extra.without = "stopped before it ran",
        }
    } else {
        extra.without = "left out, as models have to be trained for it";
    }
    Ok(quality::check_with(dataset, schema, Some(&split), &extra, progress))
}

enum Without {
    Why(&'static str),
    Cancelled,
}

fn predictions(
    dataset: &Dataset,
    schema: &Schema,
    project: &Project,
    progress: &Progress,
) -> Result<OutOfFold, Without> {
    if schema.task == Task::Regression {
        return Err(Without::Why("is for classes, and a number is predicted here"));
    }
    let Ok(Targets::Classes(codes)) = targets(dataset, schema) else {
        return Err(Without::Why("needs labels"));
    };
    let labelled: Vec<u32> = (0..codes.len() as u32)
        .filter(|r| codes.get(*r as usize).is_some_and(Option::is_some))
        .collect();
    // A class of a row or two cannot be in every fold, but does no harm.
    if labelled.len() < FEWEST_ROWS || schema.task.classes().len() * 5 > labelled.len() {
        return Err(Without::Why("needs more rows, 60 or 5 of each class"));
    }
    let step = labelled.len().div_ceil(MOST_ROWS);
    let rows = spread(&labelled, step);
    let k = if rows.len() <= 3000 { 5 } else { 3 };
    let size = DataSize { rows: rows.len(), ..DataSize::of(dataset, Some(schema), &project.split) };
    let suggested = TrainConfig::default().suggest(size);
    let config = TrainConfig {
        precision: Precision::F32,
        device: DeviceChoice::Cpu,
        epochs: suggested.epochs.min(EPOCHS),
        patience: 5,
        ..suggested
    };
    let mut split = project.split_config();
    split.balance = false;
    let study = Study { dataset, schema, prep: &project.prep, split: &split, config: &config };
    match crossval::run(&study, &rows, k, progress) {
        Ok(found) => Ok(found.predictions),
        Err(TrainError::Data(DataError::Cancelled)) => Err(Without::Cancelled),
        Err(e) => {
            tracing::warn!("no predictions for the checks of labels: {e}");
            Err(Without::Why("no model could be trained on this data"))
        }
    }
}

/// Every `step`-th row, from a start that does not follow a rhythm of the data.
fn spread(rows: &[u32], step: usize) -> Vec<u32> {
    if step <= 1 {
        return rows.to_vec();
    }
    rows.chunks(step)
        .enumerate()
        .filter_map(|(i, chunk)| chunk.get((i * 7919) % chunk.len().max(1)))
        .copied()
        .collect()
}

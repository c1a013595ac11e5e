//! What is to be predicted, row by row.

use std::collections::HashMap;

use super::schema::class_key;
use super::table::NO_CODE;
use super::{Column, ColumnType, Dataset, Samples, Schema, Task, invalid};
use crate::error::DataError;

/// The target of every row of a dataset.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// Class index per row; `None` where missing or not a class of the task.
    Classes(Vec<Option<u32>>),
    /// Value per row, in the target's own unit; NaN where missing.
    Values(Vec<f64>),
}

/// Reads the target of every row.
///
/// # Errors
/// The target column is not there.
pub fn targets(dataset: &Dataset, schema: &Schema) -> Result<Targets, DataError> {
    match &dataset.samples {
        Samples::Images(images) => {
            // Classes of other images are matched by name.
            let classes = schema.task.classes();
            let map: Vec<Option<u32>> = images
                .classes
                .iter()
                .map(|c| classes.iter().position(|k| k == c).map(|i| i as u32))
                .collect();
            let code = |l: &u32| map.get(*l as usize).copied().flatten();
            Ok(Targets::Classes(images.labels.iter().map(code).collect()))
        }
        Samples::Table(table) => {
            let column = table.column(&schema.target).ok_or_else(|| {
                invalid(
                    format!("The target column \"{}\" is not in this data", schema.target),
                    "Choose data with that column, or another target.",
                )
            })?;
            Ok(column_targets(column, &schema.task, schema.target_kind()))
        }
    }
}

/// Targets of a table's column.
pub(crate) fn column_targets(column: &Column, task: &Task, kind: ColumnType) -> Targets {
    if *task == Task::Regression {
        return Targets::Values(column.numbers());
    }
    let key = |cell: &str| class_key(cell, kind, column);
    let index: HashMap<String, u32> =
        task.classes().iter().enumerate().filter_map(|(i, c)| Some((key(c)?, i as u32))).collect();
    let (codes, values) = column.codes();
    let classes: Vec<Option<u32>> =
        values.iter().map(|v| key(v).and_then(|k| index.get(&k).copied())).collect();
    let class = |c: &u32| if *c == NO_CODE { None } else { classes[*c as usize] };
    Targets::Classes(codes.iter().map(class).collect())
}

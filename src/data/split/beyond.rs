//! The split of a sample, extended to the rows of the file that are not in it.
//!
//! Validation and test rows are those of the sample. Any other row of the file is trained on, unless
//!
//! * by group: it belongs to the group of a validation or test row;
//! * by time: it is not earlier than the first validation or test row (a row without a time is trained
//!   on, as in the sample);
//! * as given: its column does not say that it is for training.

use std::collections::HashSet;

use super::by_column::{moment, part};
use super::{Split, SplitConfig, SplitMethod};
use crate::data::Table;

/// Tells which rows outside of a sample are trained on.
#[derive(Debug)]
pub(crate) enum Beyond {
    /// All.
    All,
    /// Those whose value in the column is none of these.
    Group(String, HashSet<String>),
    /// Those whose time is before this.
    Before(String, f64),
    /// Those of which the column says so.
    Given(String),
}

impl Beyond {
    /// For the sample `table` that is split into `parts`.
    pub(crate) fn new(table: &Table, parts: &Split, config: &SplitConfig) -> Self {
        let Some(column) = config.column.as_deref().and_then(|name| table.column(name)) else {
            return Self::All;
        };
        // A test set of its own is kept apart by itself.
        let test: &[u32] = if table.test_start().is_some() { &[] } else { &parts.test };
        let held = parts.validation.iter().chain(test).map(|r| *r as usize);
        let name = column.name().to_owned();
        match config.method {
            SplitMethod::Stratified | SplitMethod::Random => Self::All,
            SplitMethod::Group => {
                let values = held.filter_map(|r| column.value(r)).map(str::to_owned);
                Self::Group(name, values.collect())
            }
            SplitMethod::Time => {
                let first = held.filter_map(|r| moment(column, r)).fold(f64::INFINITY, f64::min);
                Self::Before(name, first)
            }
            SplitMethod::Given => Self::Given(name),
        }
    }

    /// Whether a row of `table`, which is not in the sample, is trained on.
    pub(crate) fn trains(&self, table: &Table, row: usize) -> bool {
        let column = |name: &String| table.column(name);
        match self {
            Self::All => true,
            Self::Group(name, held) => {
                column(name).is_some_and(|c| c.value(row).is_none_or(|value| !held.contains(value)))
            }
            Self::Before(name, first) => {
                column(name).is_some_and(|c| moment(c, row).is_none_or(|m| m < *first))
            }
            Self::Given(name) => column(name).is_some_and(|c| part(c, row) == Some(0)),
        }
    }

    /// Why rows are not trained on.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::All => String::new(),
            Self::Group(name, _) => {
                format!("as a validation or test row has the same \"{name}\"")
            }
            Self::Before(name, _) => {
                format!("as they are not before the validation and test rows by \"{name}\"")
            }
            Self::Given(name) => format!("as \"{name}\" does not give them to training"),
        }
    }

    /// About which share of the rows outside of the sample is trained on.
    pub(crate) fn share(&self, parts: &Split) -> f64 {
        let train = parts.train.len() as f64;
        let all = train + (parts.validation.len() + parts.test.len()) as f64;
        match self {
            Self::All => 1.0,
            _ => train / all.max(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::table;
    use crate::data::{Dataset, Samples};

    fn as_table(data: &Dataset) -> &Table {
        match &data.samples {
            Samples::Table(table) => table,
            Samples::Images(_) => panic!(),
        }
    }

    /// Rows of `more` that are trained on where `text` is split.
    fn trained(text: &str, more: &str, method: SplitMethod) -> Vec<usize> {
        let (data, schema) = table(text, "y");
        let column = Some("c".to_owned());
        let config = SplitConfig { method, column, ..SplitConfig::default() };
        let parts = Split::make(&data, &schema, &config).unwrap();
        let beyond = Beyond::new(as_table(&data), &parts, &config);
        let (more, _) = table(more, "y");
        let more = as_table(&more);
        (0..more.rows()).filter(|r| beyond.trains(more, *r)).collect()
    }

    fn text(rows: usize, c: impl Fn(usize) -> String) -> String {
        let rows: String = (0..rows).map(|i| format!("{},{}.5,{}\n", c(i), i % 9, i % 2)).collect();
        format!("c,x,y\n{rows}")
    }

    #[test]
    fn chance_leaves_all_to_training() {
        let t = text(100, |i| i.to_string());
        assert_eq!(trained(&t, &t, SplitMethod::Stratified).len(), 100);
        assert_eq!(trained(&t, &t, SplitMethod::Random).len(), 100);
    }

    #[test]
    fn groups_of_held_out_rows_stay_out() {
        let group = |i: usize| format!("g{}", i / 5);
        let t = text(100, group);
        // 30 of 100 rows, whole groups of five, are held out; new groups are trained on.
        let kept = trained(&t, &text(150, group), SplitMethod::Group);
        assert_eq!(kept.len(), 70 + 50);
        assert!(kept.iter().filter(|r| **r >= 100).count() == 50);
        // A row without a group is one of its own.
        let gaps = |i: usize| if i == 0 { String::new() } else { group(i) };
        assert!(trained(&t, &text(20, gaps), SplitMethod::Group).contains(&0));
    }

    #[test]
    fn rows_as_late_as_held_out_ones_stay_out() {
        let t = text(100, |i| i.to_string());
        // Validation begins with 70.
        let late = |i: usize| ["69", "69.5", "70", "99", "500", ""][i % 6].to_owned();
        assert_eq!(trained(&t, &text(6, late), SplitMethod::Time), [0, 1, 5]);
    }

    #[test]
    fn only_what_is_given_to_training_is_trained_on() {
        let part = |i: usize| ["train", "test", "val", "Training", "?", "later"][i % 6].to_owned();
        let sample = |i: usize| ["train", "test", "train"][i % 3].to_owned();
        // Also where validation rows were drawn from those given to training.
        assert_eq!(trained(&text(99, sample), &text(6, part), SplitMethod::Given), [0, 3]);
    }
}

//! Small datasets for the tests of checks.

use super::{Check, Finding, Run};
use crate::data::{Column, ColumnType, ImageSet, Progress, Schema, Split, Table, Task};
use crate::quality::Shares;
use crate::quality::context::{Labels, TableContext};
use crate::quality::image_context::ImageContext;

/// A table with types, a target and optionally a split.
pub(crate) struct Case {
    pub(crate) table: Table,
    pub(crate) schema: Schema,
    pub(crate) split: Option<Split>,
}

impl Case {
    /// From CSV text; the last column is the target. A column is of numbers when all its cells that
    /// are not missing are (the target too: a regression then).
    pub(crate) fn new(csv: &str) -> Self {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(csv.as_bytes());
        let mut columns: Vec<Column> = reader.headers().unwrap().iter().map(Column::new).collect();
        for record in reader.records() {
            let record = record.unwrap();
            columns.iter_mut().zip(record.iter()).for_each(|(c, cell)| c.push(cell));
        }
        for column in &mut columns {
            let number =
                (0..column.len()).all(|r| column.value(r).is_none() || column.number(r).is_some());
            column.kind = if number { ColumnType::Number } else { ColumnType::Category };
        }
        let target = columns.last().unwrap();
        let task = if target.kind == ColumnType::Number {
            Task::Regression
        } else {
            Task::Multiclass { classes: target.codes().1.iter().map(|v| v.to_string()).collect() }
        };
        let schema = Schema {
            columns: columns.iter().map(|c| (c.name().to_owned(), c.kind)).collect(),
            target: target.name().to_owned(),
            task,
        };
        let lines = (2..).take(columns[0].len()).collect();
        Self { table: Table::new(columns, lines), schema, split: None }
    }

    /// From rows made by a function of the row number.
    pub(crate) fn rows(header: &str, n: usize, row: impl FnMut(usize) -> String) -> Self {
        let rows: Vec<String> = (0..n).map(row).collect();
        Self::new(&format!("{header}\n{}", rows.join("\n")))
    }

    /// Takes a column as another type.
    pub(crate) fn kind(mut self, column: &str, kind: ColumnType) -> Self {
        self.schema.columns.iter_mut().filter(|c| c.0 == column).for_each(|c| c.1 = kind);
        self
    }

    /// Trains on the rows before `test`, tests on the others.
    pub(crate) fn split_at(mut self, test: usize) -> Self {
        let n = self.table.rows() as u32;
        let test = test as u32;
        self.split = Some(Split {
            train: (0..test).collect(),
            test: (test..n).collect(),
            ..Split::default()
        });
        self
    }

    /// Runs one check.
    pub(crate) fn run(&self, check: &Check) -> Vec<Finding> {
        let progress = Progress::default();
        let shares = std::collections::BTreeMap::new();
        self.run_in(check, &shares, &progress)
    }

    /// Runs one check with the shares that groups should have.
    pub(crate) fn run_with_shares(
        &self,
        check: &Check,
        shares: &[(&str, &[(&str, f64)])],
    ) -> Vec<Finding> {
        let of =
            |groups: &[(&str, f64)]| groups.iter().map(|(g, s)| ((*g).to_owned(), *s)).collect();
        let shares = shares.iter().map(|(c, g)| ((*c).to_owned(), of(g))).collect();
        self.run_in(check, &shares, &Progress::default())
    }

    fn run_in(&self, check: &Check, shares: &Shares, progress: &Progress) -> Vec<Finding> {
        let context =
            TableContext::new(&self.table, &self.schema, self.split.as_ref(), shares, progress);
        match check.run {
            Run::Table(f) | Run::Split(f) => f(&context),
            Run::Labels(f) => f(&context.labels().unwrap()),
            Run::Images(_) | Run::Predictions(_) => panic!("not a check for tables"),
        }
    }
}

/// Grey images of one size from bytes per image, with labels.
pub(crate) fn images(side: usize, data: &[(Vec<u8>, u32)]) -> ImageSet {
    let classes = data.iter().map(|d| d.1).max().map_or(0, |m| m + 1);
    ImageSet {
        width: side,
        height: side,
        channels: 1,
        pixels: data.iter().flat_map(|d| d.0.clone()).collect(),
        labels: data.iter().map(|d| d.1).collect(),
        classes: (0..classes).map(|c| format!("class{c}")).collect(),
        ..ImageSet::default()
    }
}

/// Runs one check on images.
pub(crate) fn run_images(check: &Check, set: &ImageSet, split: Option<&Split>) -> Vec<Finding> {
    let context = ImageContext::new(set, split);
    let labels: Labels = context.labels();
    match check.run {
        Run::Images(f) => f(&context),
        Run::Labels(f) => f(&labels),
        Run::Table(_) | Run::Split(_) | Run::Predictions(_) => panic!("a check for tables"),
    }
}

//! A table of raw cells, kept as they stand in the file, with a type per column.

mod cells;

use std::sync::Arc;

pub(crate) use self::cells::{Cells, Piece};

use super::ColumnType;
use super::date::{Days, parse_date};
use super::formats::csv::Whole;
use super::number::NumberFormat;
use super::steps::Step;

/// Spellings that mean "no value", compared without case and surrounding spaces. "none" is not one:
/// in a column of words it is often an answer ("other debtors: none").
pub const MISSING: [&str; 10] = ["", "?", "na", "n/a", "#n/a", "nan", "null", "-", "--", "missing"];

/// Code of a missing cell in [`Column::codes`].
pub const NO_CODE: u32 = u32::MAX;

/// One column: the raw text of every cell and the type in use.
#[derive(Debug, Clone)]
pub struct Column {
    name: String,
    /// Type in use (inferred or edited).
    pub kind: ColumnType,
    /// Type that the importer inferred.
    pub inferred: ColumnType,
    /// Why the importer chose that type, in plain words.
    pub reason: String,
    /// How its numbers are written.
    pub format: NumberFormat,
    /// Whether `format` was a choice between two readings (`1,234`).
    pub format_unsure: bool,
    /// How `01/02/2024` is read: day before month.
    pub day_first: bool,
    cells: Cells,
}

impl Column {
    /// An empty column; fill it with [`Column::push`].
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind: ColumnType::Text,
            inferred: ColumnType::Text,
            reason: String::new(),
            format: NumberFormat::Plain,
            format_unsure: false,
            day_first: false,
            cells: Cells::default(),
        }
    }

    /// A column of these cells.
    pub(crate) fn of(name: impl Into<String>, cells: Cells) -> Self {
        Self { cells, ..Self::new(name) }
    }

    /// An empty column of the same name, type and format.
    pub(crate) fn like(&self) -> Self {
        let mut cells = Cells::default();
        cells.reserve(self.len(), self.cells.bytes());
        Self {
            name: self.name.clone(),
            kind: self.kind,
            inferred: self.inferred,
            reason: self.reason.clone(),
            format: self.format,
            format_unsure: self.format_unsure,
            day_first: self.day_first,
            cells,
        }
    }

    /// Appends one cell as it stands in the file.
    pub fn push(&mut self, cell: &str) {
        self.cells.push(cell);
    }

    /// Appends empty cells until there are `len`.
    pub(crate) fn pad(&mut self, len: usize) {
        (self.len()..len).for_each(|_| self.push(""));
    }

    /// Appends all cells of `other`.
    pub(crate) fn append(&mut self, other: &Self) {
        self.cells.append(&other.cells);
    }

    /// Leaves out the cells from `len` on.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.cells.truncate(len);
    }

    /// Frees what growing left over.
    pub(crate) fn shrink(&mut self) {
        self.cells.shrink();
    }

    /// Name from the header.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of cells.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether it has no cells.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The cell as in the file; empty past the end.
    pub fn raw(&self, row: usize) -> &str {
        self.cells.get(row)
    }

    /// All cells in order, faster than one by one.
    pub(crate) fn cells(&self) -> impl Iterator<Item = &str> {
        self.cells.iter()
    }

    /// Whether the cell holds one of the [`MISSING`] spellings.
    pub fn is_missing(&self, row: usize) -> bool {
        is_missing(self.raw(row))
    }

    /// The trimmed cell, or `None` when missing.
    pub fn value(&self, row: usize) -> Option<&str> {
        let cell = trim(self.raw(row));
        (!trimmed_is_missing(cell)).then_some(cell)
    }

    /// The cell as a finite number, read in the column's format; `None` when missing or not one.
    pub fn number(&self, row: usize) -> Option<f64> {
        self.value(row).and_then(|v| self.format.parse(v))
    }

    /// The cell as days since 1970-01-01; `None` when missing or not a date.
    pub fn date(&self, row: usize) -> Option<Days> {
        self.value(row).and_then(|v| parse_date(v, self.day_first))
    }

    /// All cells as numbers, NaN where missing or not a number.
    pub fn numbers(&self) -> Vec<f64> {
        (0..self.len()).map(|r| self.number(r).unwrap_or(f64::NAN)).collect()
    }

    /// Dictionary encoding: a code per cell ([`NO_CODE`] when missing) and the distinct values in
    /// order of first appearance.
    pub fn codes(&self) -> (Vec<u32>, Vec<&str>) {
        let mut index = rustc_hash::FxHashMap::default();
        let mut values = Vec::new();
        let codes = (0..self.len())
            .map(|r| match self.value(r) {
                None => NO_CODE,
                Some(v) => *index.entry(v).or_insert_with(|| {
                    values.push(v);
                    (values.len() - 1) as u32
                }),
            })
            .collect();
        (codes, values)
    }
}

/// Whether a cell means "no value".
pub fn is_missing(cell: &str) -> bool {
    trimmed_is_missing(trim(cell))
}

/// As [`str::trim`]; most cells have nothing to trim, which their first and last byte tell.
pub(crate) fn trim(cell: &str) -> &str {
    let plain = |b: Option<&u8>| b.is_none_or(|b| (0x21..0x7f).contains(b));
    let bytes = cell.as_bytes();
    if plain(bytes.first()) && plain(bytes.last()) { cell } else { cell.trim() }
}

pub(crate) fn trimmed_is_missing(cell: &str) -> bool {
    // Numbers, the commonest cells, are told by a digit in front.
    match cell.as_bytes() {
        [] => true,
        [b'0'..=b'9', ..] | [b'-', b'0'..=b'9', ..] => false,
        [b'?' | b'#' | b'-' | b'n' | b'N' | b'm' | b'M', ..] if cell.len() <= 7 => {
            MISSING.iter().any(|m| cell.eq_ignore_ascii_case(m))
        }
        _ => false,
    }
}

/// Parses a finite number; accepts a decimal comma when there is no point in the cell.
pub fn parse_number(cell: &str) -> Option<f64> {
    let cell = cell.trim();
    let parsed = cell.parse::<f64>().ok().or_else(|| {
        (cell.matches(',').count() == 1 && !cell.contains('.'))
            .then(|| cell.replace(',', ".").parse().ok())
            .flatten()
    });
    parsed.filter(|v| v.is_finite())
}

/// Rows and columns.
#[derive(Debug, Clone, Default)]
pub struct Table {
    columns: Vec<Column>,
    lines: Vec<u64>,
    test_start: Option<usize>,
    steps: Vec<Step>,
    rules: Vec<Step>,
    whole: Option<Arc<Whole>>,
}

impl Table {
    /// Builds a table from columns of equal length and the file row (from 1) of each table row.
    pub fn new(columns: Vec<Column>, lines: Vec<u64>) -> Self {
        debug_assert!(columns.iter().all(|c| c.len() == lines.len()));
        Self { columns, lines, ..Self::default() }
    }

    /// Rows at or past this index came as a test set of their own (a second file).
    pub fn test_start(&self) -> Option<usize> {
        self.test_start
    }

    /// Where all rows of the file are, of which these are a sample, if all are to be trained on.
    pub fn whole(&self) -> Option<&Arc<Whole>> {
        self.whole.as_ref()
    }

    /// Notes where all rows are.
    pub(crate) fn set_whole(&mut self, whole: Option<Whole>) {
        self.whole = whole.map(Arc::new);
    }

    /// Rules that were done to its cells and have to be done to the rows a model predicts.
    pub fn rules(&self) -> &[Step] {
        &self.rules
    }

    /// All recorded steps that were done to it, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Notes which steps were done.
    pub(crate) fn note_steps(&mut self, steps: &[Step]) {
        self.rules = steps.iter().filter(|s| s.is_value_rule()).cloned().collect();
        self.steps = steps.to_vec();
    }

    /// Keeps the rows for which `keep` holds.
    pub(crate) fn retain_rows(&mut self, keep: impl Fn(usize) -> bool) {
        let kept: Vec<usize> = (0..self.rows()).filter(|r| keep(*r)).collect();
        for column in &mut self.columns {
            let mut new = column.like();
            kept.iter().for_each(|r| new.push(column.raw(*r)));
            *column = new;
        }
        if let Some(start) = self.test_start {
            self.test_start = Some(kept.iter().filter(|r| **r < start).count());
        }
        self.lines = kept.iter().map(|r| self.line(*r)).collect();
    }

    /// Leaves columns out.
    pub(crate) fn drop_columns(&mut self, names: &[String]) {
        self.columns.retain(|c| !names.contains(&c.name));
    }

    /// Puts a column of the same name and length in place of the old one.
    pub(crate) fn replace(&mut self, new: Column) {
        if let Some(old) = self.columns.iter_mut().find(|c| c.name == new.name) {
            *old = new;
        }
    }

    /// Makes the rows from this index on a test set of their own.
    pub(crate) fn set_test_start(&mut self, row: usize) {
        self.test_start = (row < self.rows()).then_some(row);
    }

    /// Appends the rows of a table with the same columns, as a test set.
    pub(crate) fn append_test(&mut self, test: &Self) {
        self.test_start = Some(self.rows());
        for (column, more) in self.columns.iter_mut().zip(&test.columns) {
            column.append(more);
        }
        self.lines.extend(&test.lines);
    }

    /// Number of rows, the header not counted.
    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    /// Columns in file order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Columns, to change their types.
    pub fn columns_mut(&mut self) -> &mut [Column] {
        &mut self.columns
    }

    /// A column by name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// Row in the file, from 1, of a table row.
    pub fn line(&self, row: usize) -> u64 {
        self.lines.get(row).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(cells: &[&str]) -> Column {
        let mut c = Column::new("c");
        cells.iter().for_each(|v| c.push(v));
        c
    }

    #[test]
    fn cells_come_back_as_they_went_in() {
        let mut c = column(&["a", "", " b ", "é"]);
        c.append(&column(&["x", "yz"]));
        c.pad(8);
        let cells: Vec<_> = (0..9).map(|r| c.raw(r)).collect();
        assert_eq!(cells, ["a", "", " b ", "é", "x", "yz", "", "", ""]);
        assert_eq!(c.len(), 8);
        assert_eq!(c.value(2), Some("b"));
        assert_eq!(c.value(6), None);
    }

    #[test]
    fn missing_spellings_are_missing_and_words_are_not() {
        for cell in MISSING.iter().chain(&[" NA ", "NaN", "N/A"]) {
            assert!(is_missing(cell), "{cell:?}");
        }
        for cell in MISSING.map(str::to_uppercase) {
            assert!(is_missing(&cell), "{cell:?}");
        }
        for cell in ["none", "0", "no", "?x", "nothing", "-1", "nano"] {
            assert!(!is_missing(cell), "{cell:?}");
        }
    }

    #[test]
    fn codes_are_a_dictionary() {
        let c = column(&["b", "a", "?", "b "]);
        assert_eq!(c.codes(), (vec![0, 1, NO_CODE, 0], vec!["b", "a"]));
    }
}

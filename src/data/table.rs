//! A table of raw cells, kept as they stand in the file, with a type per column.

use super::ColumnType;

/// Spellings that mean "no value", compared without case and surrounding spaces.
pub const MISSING: [&str; 12] =
    ["", "?", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "--", "missing"];

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
    bytes: String,
    ends: Vec<usize>,
}

impl Column {
    /// An empty column; fill it with [`Column::push`].
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind: ColumnType::Text,
            inferred: ColumnType::Text,
            bytes: String::new(),
            ends: Vec::new(),
        }
    }

    /// Appends one cell as it stands in the file.
    pub fn push(&mut self, cell: &str) {
        self.bytes.push_str(cell);
        self.ends.push(self.bytes.len());
    }

    /// Name from the header.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of cells.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it has no cells.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The cell as in the file; empty past the end.
    pub fn raw(&self, row: usize) -> &str {
        let Some(&end) = self.ends.get(row) else { return "" };
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.bytes[start..end]
    }

    /// Whether the cell holds one of the [`MISSING`] spellings.
    pub fn is_missing(&self, row: usize) -> bool {
        is_missing(self.raw(row))
    }

    /// The trimmed cell, or `None` when missing.
    pub fn value(&self, row: usize) -> Option<&str> {
        let cell = self.raw(row).trim();
        (!is_missing(cell)).then_some(cell)
    }

    /// The cell as a finite number, or `None` when missing or not one.
    pub fn number(&self, row: usize) -> Option<f64> {
        self.value(row).and_then(parse_number)
    }

    /// All cells as numbers, NaN where missing or not a number.
    pub fn numbers(&self) -> Vec<f64> {
        (0..self.len()).map(|r| self.number(r).unwrap_or(f64::NAN)).collect()
    }

    /// Dictionary encoding: a code per cell ([`NO_CODE`] when missing) and the distinct values in
    /// order of first appearance.
    pub fn codes(&self) -> (Vec<u32>, Vec<&str>) {
        let mut index = std::collections::HashMap::new();
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
    let cell = cell.trim();
    cell.len() <= 7 && MISSING.iter().any(|m| cell.eq_ignore_ascii_case(m))
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
}

impl Table {
    /// Builds a table from columns of equal length and the file row (from 1) of each table row.
    pub fn new(columns: Vec<Column>, lines: Vec<u64>) -> Self {
        debug_assert!(columns.iter().all(|c| c.len() == lines.len()));
        Self { columns, lines }
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

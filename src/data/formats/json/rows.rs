//! Objects read into columns without keeping them, in the order of their fields.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::Ordering;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::data::formats::build::{self, Tally, number_text};
use crate::data::{Column, ImportNote, Progress, count};
use crate::error::DataError;

/// How deep objects inside objects become columns of their own; deeper ones stay JSON text.
const DEPTH: usize = 4;
/// Whole numbers beyond this may have been rounded.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Rows read so far.
#[derive(Default)]
pub(super) struct Rows {
    index: HashMap<String, usize>,
    columns: Vec<Column>,
    lines: Vec<u64>,
    tally: Tally,
    rounded: Vec<u64>,
    repeated: Vec<u64>,
    notes: Vec<ImportNote>,
}

impl Rows {
    pub(super) fn note(&mut self, text: String) {
        self.notes.push(ImportNote::info(text));
    }

    /// One object.
    pub(super) fn object(&mut self, text: &str, row: u64) -> Result<(), serde_json::Error> {
        let mut de = serde_json::Deserializer::from_str(text);
        Row { rows: self, row }.deserialize(&mut de)?;
        de.end()
    }

    /// A list of objects, or of lists of cells.
    pub(super) fn list(
        &mut self,
        text: &str,
        progress: &Progress,
    ) -> Result<(), serde_json::Error> {
        let mut de = serde_json::Deserializer::from_str(text);
        de.deserialize_seq(List { rows: self, progress })?;
        de.end()
    }

    /// The list in a field of an object.
    pub(super) fn list_in(
        &mut self,
        text: &str,
        name: &str,
        progress: &Progress,
    ) -> Result<(), serde_json::Error> {
        let mut de = serde_json::Deserializer::from_str(text);
        de.deserialize_map(Inside { list: List { rows: self, progress }, name })?;
        de.end()
    }

    /// Cells of one row as values.
    pub(super) fn cells<'a>(
        &mut self,
        cells: impl Iterator<Item = (&'a str, Option<&'a Value>)>,
        row: u64,
    ) -> Result<(), DataError> {
        for (name, value) in cells {
            let text = match value {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(s)) => s.clone(),
                Some(v) => v.to_string(),
            };
            self.push(name, &text, row);
        }
        self.lines.push(row);
        Ok(())
    }

    /// Where rows are lists of cells and the first holds words over numbers, it holds the names.
    fn take_names(&mut self) {
        let numbered = |(i, c): (usize, &Column)| c.name() == format!("column {}", i + 1);
        if self.lines.len() < 2 || !self.columns.iter().enumerate().all(numbered) {
            return;
        }
        let number = |c: &Column, r: usize| c.raw(r).parse::<f64>().is_ok();
        let words = self.columns.iter().all(|c| !c.raw(0).trim().is_empty() && !number(c, 0));
        let over = |c: &Column| (1..self.lines.len().min(100)).all(|r| number(c, r));
        if !words || !self.columns.iter().any(over) {
            return;
        }
        self.note("The first list holds the names.".to_owned());
        self.columns = self
            .columns
            .iter()
            .map(|c| {
                let mut named = Column::new(c.raw(0));
                (1..c.len()).for_each(|r| named.push(c.raw(r)));
                named
            })
            .collect();
        self.lines.remove(0);
    }

    fn push(&mut self, name: &str, text: &str, row: u64) {
        let at = match self.index.get(name) {
            Some(at) => *at,
            None => {
                self.columns.push(Column::new(name));
                self.index.insert(name.to_owned(), self.columns.len() - 1);
                self.columns.len() - 1
            }
        };
        let Some(column) = self.columns.get_mut(at) else { return };
        if column.len() > self.lines.len() {
            // The same name twice in one object: the first stands.
            self.repeated.push(row);
            return;
        }
        column.pad(self.lines.len());
        column.push(text);
    }

    pub(super) fn finish(
        mut self,
        notes: &mut Vec<ImportNote>,
    ) -> Result<(Vec<Column>, Vec<u64>), DataError> {
        if self.columns.len() > super::super::csv::MAX_COLUMNS {
            return Err(build::too_many(self.columns.len()));
        }
        for column in &self.columns {
            for (row, line) in self.lines.iter().enumerate() {
                build::check_cell(column.raw(row), *line, column.name())?;
            }
        }
        self.take_names();
        notes.append(&mut self.notes);
        notes.extend(self.tally.note());
        if !self.rounded.is_empty() {
            let n = count(self.rounded.len(), "whole number");
            let text = format!("{n} of more than 16 digits may be rounded.");
            notes.push(ImportNote::repair(text, &self.rounded));
        }
        if !self.repeated.is_empty() {
            let n = count(self.repeated.len(), "value");
            let text = format!("{n} under a name that the row has already left out.");
            notes.push(ImportNote::repair(text, &self.repeated));
        }
        // Names are made clean and unique as those of any table.
        let names = self.columns.iter().map(|c| c.name().to_owned()).collect();
        let mut columns = build::columns(names, notes)?;
        for (to, from) in columns.iter_mut().zip(&self.columns) {
            to.append(from);
        }
        Ok((columns, self.lines))
    }
}

/// The fields of an object in their order.
pub(super) struct Fields(pub(super) Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object or a list of objects")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        d.deserialize_map(Read)
    }
}

/// An object of which one field is the list.
struct Inside<'a> {
    list: List<'a>,
    name: &'a str,
}

impl<'de> Visitor<'de> for Inside<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == self.name {
                map.next_value_seed(&mut self.list)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for &mut List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_seq(List { rows: self.rows, progress: self.progress })
    }
}

struct List<'a> {
    rows: &'a mut Rows,
    progress: &'a Progress,
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut row = 1;
        while seq.next_element_seed(Row { rows: self.rows, row })?.is_some() {
            row += 1;
            if row % 4096 == 0 {
                if self.progress.cancel.load(Ordering::Relaxed) {
                    return Err(A::Error::custom("cancelled"));
                }
                self.progress.done.fetch_add(4096, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

/// One row.
struct Row<'a> {
    rows: &'a mut Rows,
    row: u64,
}

impl<'de> DeserializeSeed<'de> for Row<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Row<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of names and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        fields(self.rows, self.row, "", DEPTH, map)?;
        self.rows.lines.push(self.row);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut n = 1;
        while let Some(()) = seq.next_element_seed(Cell {
            rows: self.rows,
            row: self.row,
            name: format!("column {n}"),
            depth: 0,
        })? {
            n += 1;
        }
        self.rows.lines.push(self.row);
        Ok(())
    }
}

fn fields<'de, A: MapAccess<'de>>(
    rows: &mut Rows,
    row: u64,
    prefix: &str,
    depth: usize,
    mut map: A,
) -> Result<(), A::Error> {
    while let Some(key) = map.next_key::<String>()? {
        let name = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        map.next_value_seed(Cell { rows, row, name, depth })?;
    }
    Ok(())
}

struct Cell<'a> {
    rows: &'a mut Rows,
    row: u64,
    name: String,
    depth: usize,
}

impl Cell<'_> {
    fn put<E>(self, text: &str, what: &'static str) -> Result<(), E> {
        if !what.is_empty() {
            self.rows.tally.see(what);
        }
        self.rows.push(&self.name, text, self.row);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Cell<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Cell<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.put("", "null")
    }

    fn visit_bool<E>(self, v: bool) -> Result<(), E> {
        self.put(if v { "true" } else { "false" }, "true/false value")
    }

    fn visit_i64<E>(self, v: i64) -> Result<(), E> {
        self.put(&v.to_string(), "number")
    }

    fn visit_u64<E>(self, v: u64) -> Result<(), E> {
        self.put(&v.to_string(), "number")
    }

    fn visit_f64<E>(self, v: f64) -> Result<(), E> {
        if v.fract() == 0.0 && v.abs() > EXACT {
            self.rows.rounded.push(self.row);
        }
        self.put(&number_text(v), "number")
    }

    fn visit_str<E>(self, v: &str) -> Result<(), E> {
        self.put(v, "text")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut items = Vec::new();
        while let Some(v) = seq.next_element::<Value>()? {
            items.push(v);
        }
        let text = Value::Array(items).to_string();
        self.put(&text, "list")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        if self.depth > 0 {
            self.rows.tally.see("object");
            return fields(self.rows, self.row, &self.name, self.depth - 1, map);
        }
        let de = serde::de::value::MapAccessDeserializer::new(map);
        let text = Value::deserialize(de)?.to_string();
        self.put(&text, "object")
    }
}

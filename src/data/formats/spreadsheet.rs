//! Excel (.xlsx, .xlsb, .xls) and LibreOffice (.ods) workbooks: one sheet as a table. Cells become the
//! text of their stored value, not of what a number format makes of it on screen; dates are written
//! as year-month-day. Formulas count as the result saved with them. A value of merged cells stands in
//! each of their rows. Rows keep their numbers. Hidden sheets are read only when asked for.

use std::io::Cursor;
use std::path::Path;

use calamine::{
    Cell, Data, DataRef, Dimensions, ExcelDateTime, Ods, Range, Reader, SheetVisible, Xls, Xlsb,
    Xlsx, open_workbook_from_rs,
};

use super::build::{Tally, damaged, guarded, number_text};
use super::csv;
use crate::data::{ImportNote, ImportOptions, Progress, Table, count, invalid};
use crate::error::DataError;

/// Kind of workbook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Xlsx,
    Xlsb,
    Xls,
    Ods,
}

/// Bytes of a workbook above which formulas without a result are not counted.
const FORMULAS_BELOW: usize = 16 << 20;

/// Most cells of a sheet, empty ones in between included.
const MAX_CELLS: usize = 200_000_000;

/// Reads the sheet asked for, else the visible one with most cells.
pub(crate) fn read(
    path: &Path,
    bytes: &[u8],
    kind: Kind,
    options: &ImportOptions,
    progress: &Progress,
) -> Result<(Table, Vec<ImportNote>), DataError> {
    let sheets =
        guarded("workbook", || open(bytes, kind, progress)).map_err(|e| e.in_file(path))?;
    progress.check()?;
    let (sheet, mut notes) = choose(sheets, options).map_err(|e| e.in_file(path))?;
    let Sheet { name, mut range, merged, formulas, .. } = sheet;
    spread(&mut range, &merged, &mut notes);
    let text = text(&range, &mut notes).map_err(|e| e.in_file(path))?;
    if formulas > 0 {
        notes.push(ImportNote::repair(
            format!(
                "{} without a saved result, read as empty. Open the workbook in its program and save it \
                 there to have them computed.",
                count(formulas, "formula")
            ),
            &[],
        ));
    }
    let options = ImportOptions { delimiter: Some(b','), ..options.clone() };
    let (table, more) = csv::read_converted(path, &text, &options, progress).map_err(|e| {
        if let DataError::Invalid { what, place, advice } = e {
            DataError::Invalid { what: format!("Sheet \"{name}\": {what}"), place, advice }
        } else {
            e
        }
    })?;
    notes.extend(more);
    Ok((table, notes))
}

/// A sheet as it was read.
struct Sheet {
    name: String,
    range: Range<Data>,
    hidden: bool,
    /// Ranges of cells that are one.
    merged: Vec<Dimensions>,
    /// Formulas without a saved result.
    formulas: usize,
}

type Book<'a> = Cursor<&'a [u8]>;

fn open(bytes: &[u8], kind: Kind, progress: &Progress) -> Result<Vec<Sheet>, DataError> {
    match kind {
        Kind::Xlsx => {
            let mut book: Xlsx<Book> = start(bytes)?;
            let small = bytes.len() <= FORMULAS_BELOW;
            sheets(&mut book, progress, |book, name| {
                let range = {
                    let mut cells = Vec::new();
                    let mut reader =
                        book.worksheet_cells_reader(name).map_err(|e| e.to_string())?;
                    while let Some(cell) = reader.next_cell().map_err(|e| e.to_string())? {
                        cells.push(cell);
                    }
                    bounded(name, cells)?
                };
                let merged = book.merge_cells_by_sheet_name(name).unwrap_or_default();
                let formulas = if small {
                    book.worksheet_formula(name).unwrap_or_default()
                } else {
                    Range::empty()
                };
                let unsaved = unsaved(&formulas, &range);
                Ok((range, merged, unsaved))
            })
        }
        Kind::Xlsb => {
            let mut book: Xlsb<Book> = start(bytes)?;
            sheets(&mut book, progress, |book, name| {
                let mut cells = Vec::new();
                let mut reader = book.worksheet_cells_reader(name).map_err(|e| e.to_string())?;
                while let Some(cell) = reader.next_cell().map_err(|e| e.to_string())? {
                    cells.push(cell);
                }
                Ok((bounded(name, cells)?, Vec::new(), 0))
            })
        }
        Kind::Xls => {
            let mut book: Xls<Book> = start(bytes)?;
            sheets(&mut book, progress, |book, name| {
                let range = book.worksheet_range(name).map_err(|e| e.to_string())?;
                Ok((range, book.merge_cells_by_sheet_name(name).unwrap_or_default(), 0))
            })
        }
        Kind::Ods => {
            let mut book: Ods<Book> = start(bytes)?;
            sheets(&mut book, progress, |book, name| {
                Ok((book.worksheet_range(name).map_err(|e| e.to_string())?, Vec::new(), 0))
            })
        }
    }
}

fn start<'a, R: Reader<Book<'a>>>(bytes: &'a [u8]) -> Result<R, DataError>
where
    R::Error: std::fmt::Display,
{
    open_workbook_from_rs(Cursor::new(bytes)).map_err(|e: R::Error| {
        let why = e.to_string();
        if why.to_lowercase().contains("password") || why.to_lowercase().contains("encrypt") {
            return invalid(
                "This workbook is protected by a password",
                "Open it in its program, take the password off and save it.",
            );
        }
        damaged("workbook", why)
    })
}

/// The cells of a sheet, where they do not span more than memory holds.
fn bounded(name: &str, cells: Vec<Cell<DataRef>>) -> Result<Range<Data>, Refused> {
    let places =
        || cells.iter().filter(|c| *c.get_value() != DataRef::Empty).map(Cell::get_position);
    let rows = places().map(|p| p.0).max().zip(places().map(|p| p.0).min());
    let columns = places().map(|p| p.1).max().zip(places().map(|p| p.1).min());
    if let (Some((bottom, top)), Some((right, left))) = (rows, columns) {
        let (height, width) = ((bottom - top) as usize + 1, (right - left) as usize + 1);
        if height.saturating_mul(width) > MAX_CELLS || width > csv::MAX_COLUMNS {
            let last = places().max_by_key(|p| u64::from(p.0) * 4 + u64::from(p.1));
            let far = last.map_or_else(String::new, |(r, c)| format!("{}{}", letters(c), r + 1));
            return Err(Refused::Spans(invalid(
                format!(
                    "Sheet \"{name}\" spans {} and {}, as cell {far} is filled",
                    count(height, "row"),
                    count(width, "column")
                ),
                "Delete what stands far from the table, or copy the table to a new sheet.",
            )));
        }
    }
    let filled = cells.into_iter().filter(|c| *c.get_value() != DataRef::Empty);
    let owned = filled.map(|c| Cell::new(c.get_position(), Data::from(c.get_value().clone())));
    Ok(Range::from_sparse(owned.collect()))
}

/// Why a sheet is not read.
enum Refused {
    /// It cannot be, as the message of the reader says.
    Damaged(String),
    /// It is too large.
    Spans(DataError),
}

impl From<String> for Refused {
    fn from(why: String) -> Self {
        Self::Damaged(why)
    }
}

/// The letters of a column as spreadsheets count them.
fn letters(column: u32) -> String {
    let (mut n, mut text) = (column, String::new());
    loop {
        text.insert(0, char::from(b'A' + (n % 26) as u8));
        if n < 26 {
            return text;
        }
        n = n / 26 - 1;
    }
}

fn unsaved(formulas: &Range<String>, values: &Range<Data>) -> usize {
    let Some((top, left)) = formulas.start() else { return 0 };
    let empty = |row: usize, column: usize| {
        let at = (top + row as u32, left + column as u32);
        values.get_value(at).is_none_or(|v| *v == Data::Empty)
    };
    formulas.used_cells().filter(|(r, c, f)| !f.is_empty() && empty(*r, *c)).count()
}

type Cells = (Range<Data>, Vec<Dimensions>, usize);

fn sheets<'a, R: Reader<Book<'a>>>(
    book: &mut R,
    progress: &Progress,
    read: impl Fn(&mut R, &str) -> Result<Cells, Refused>,
) -> Result<Vec<Sheet>, DataError> {
    let kinds = book.sheets_metadata().to_vec();
    let (mut found, mut refused) = (Vec::new(), None);
    for (i, name) in book.sheet_names().into_iter().enumerate() {
        progress.check()?;
        let hidden = kinds.get(i).is_some_and(|s| s.visible != SheetVisible::Visible);
        // Chart sheets have no range.
        match read(book, &name) {
            Ok((range, merged, formulas)) => {
                found.push(Sheet { name, range, hidden, merged, formulas });
            }
            Err(Refused::Spans(e)) => refused = Some(e),
            Err(Refused::Damaged(why)) => {
                refused = refused.or_else(|| Some(damaged("workbook", why)));
            }
        }
    }
    match refused {
        Some(e) if found.iter().all(|s| s.range.is_empty()) => Err(e),
        _ => Ok(found),
    }
}

/// Names of the sheets of a workbook; none where it cannot be read.
pub(crate) fn names(bytes: &[u8], kind: Kind) -> Vec<String> {
    fn of<'a, R: Reader<Cursor<&'a [u8]>>>(bytes: &'a [u8]) -> Vec<String> {
        open_workbook_from_rs::<R, _>(Cursor::new(bytes))
            .map_or_else(|_| Vec::new(), |book| book.sheet_names())
    }
    let read = || {
        Ok(match kind {
            Kind::Xlsx => of::<calamine::Xlsx<_>>(bytes),
            Kind::Xlsb => of::<calamine::Xlsb<_>>(bytes),
            Kind::Xls => of::<calamine::Xls<_>>(bytes),
            Kind::Ods => of::<calamine::Ods<_>>(bytes),
        })
    };
    guarded("workbook", read).unwrap_or_default()
}

fn choose(
    mut sheets: Vec<Sheet>,
    options: &ImportOptions,
) -> Result<(Sheet, Vec<ImportNote>), DataError> {
    let names: Vec<String> = sheets
        .iter()
        .map(|s| format!("\"{}\"{}", s.name, if s.hidden { " (hidden)" } else { "" }))
        .collect();
    let at = match &options.part {
        Some(wanted) => sheets.iter().position(|s| s.name == *wanted).ok_or_else(|| {
            invalid(
                format!("There is no sheet \"{wanted}\" in this workbook"),
                format!("Its sheets are: {}.", names.join(", ")),
            )
        })?,
        None => {
            let cells =
                |s: &Sheet| s.range.used_cells().filter(|c| !cell_text(c.2).0.is_empty()).count();
            let most: Vec<usize> = sheets.iter().map(cells).collect();
            let key = |i: &usize| {
                let n = most.get(*i).copied().unwrap_or(0);
                (n > 0 && !sheets.get(*i).is_some_and(|s| s.hidden), n)
            };
            (0..sheets.len()).rev().max_by_key(key).ok_or_else(|| {
                invalid("This workbook has no sheet of cells", "Choose one that holds a table.")
            })?
        }
    };
    let sheet = sheets.swap_remove(at);
    let mut notes = Vec::new();
    let name = &sheet.name;
    if names.len() > 1 && options.part.is_none() {
        let others: Vec<String> =
            names.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, n)| n.clone()).collect();
        notes.push(ImportNote::info(format!(
            "Sheet \"{name}\" is read, as it has most cells; not read: {}.",
            others.join(", ")
        )));
    } else {
        notes.push(ImportNote::info(format!("Sheet \"{name}\" is read.")));
    }
    Ok((sheet, notes))
}

/// Puts the value of merged cells, stored in the first, into each of their rows. Across columns it
/// stays where it is: there it is the name of a group of columns, or a title.
fn spread(range: &mut Range<Data>, merged: &[Dimensions], notes: &mut Vec<ImportNote>) {
    let Some((bottom, _)) = range.end() else { return };
    let (mut cells, mut rows) = (0, Vec::new());
    for area in merged {
        let (top, left) = area.start;
        if area.end.1 != left || area.end.0 <= top {
            continue;
        }
        let Some(value) = range.get_value((top, left)).filter(|v| **v != Data::Empty).cloned()
        else {
            continue;
        };
        for row in top + 1..=area.end.0.min(bottom) {
            if range.get_value((row, left)).is_some_and(|v| *v == Data::Empty) {
                range.set_value((row, left), value.clone());
                cells += 1;
                rows.push(u64::from(row) + 1);
            }
        }
    }
    if cells > 0 {
        let text = format!("{} of merged cells filled with their value.", count(cells, "row"));
        notes.push(ImportNote::repair(text, &rows));
    }
}

/// The sheet as CSV from its first row and column on, so that rows keep their numbers.
fn text(range: &Range<Data>, notes: &mut Vec<ImportNote>) -> Result<String, DataError> {
    let (Some((top, _)), Some(_)) = (range.start(), range.end()) else { return Ok(String::new()) };
    let (height, width) = range.get_size();
    if height.saturating_mul(width) > MAX_CELLS || width > csv::MAX_COLUMNS {
        return Err(invalid(
            format!("This sheet spans {} and {}", count(height, "row"), count(width, "column")),
            "Delete the empty rows and columns that it spans, or copy the table to a new sheet.",
        ));
    }
    // Lines without anything keep the numbers of the rows below, and are no rows.
    let mut bytes: Vec<u8> = vec![b'\n'; top as usize];
    let failed = |e: ::csv::Error| damaged("workbook", e);
    let filled = |row: &[Data]| row.iter().filter(|c| !cell_text(c).0.trim().is_empty()).count();
    // Titles above the table stand alone in their rows.
    let titles = if width < 2 { 0 } else { range.rows().take_while(|r| filled(r) < 2).count() };
    let titles = if titles < height.min(20) { titles } else { 0 };
    let titled: Vec<u64> = range
        .rows()
        .take(titles)
        .enumerate()
        .filter(|(_, r)| filled(r) > 0)
        .map(|(i, _)| u64::from(top) + i as u64 + 1)
        .collect();
    if !titled.is_empty() {
        let text = format!("{} above the table left out.", count(titled.len(), "row"));
        notes.push(ImportNote::repair(text, &titled));
    }
    let mut tally = Tally::default();
    let mut errors = Vec::new();
    let mut error_count = 0;
    for (i, row) in range.rows().enumerate() {
        let line = u64::from(top) + i as u64 + 1;
        if i < titles || filled(row) == 0 {
            bytes.push(b'\n');
            continue;
        }
        let cells = row.iter().map(|cell| {
            let (text, what) = cell_text(cell);
            if what == "error" {
                error_count += 1;
                errors.push(line);
            } else if !what.is_empty() {
                tally.see(what);
            }
            text
        });
        let cells: Vec<String> = cells.collect();
        let mut writer = ::csv::Writer::from_writer(&mut bytes);
        writer.write_record(&cells).map_err(failed)?;
        writer.flush().map_err(|e| damaged("workbook", e))?;
    }
    notes.extend(tally.note());
    if error_count > 0 {
        let text = format!(
            "{} of formulas, such as #N/A or #DIV/0!, left empty.",
            count(error_count, "error value")
        );
        notes.push(ImportNote::repair(text, &errors));
    }
    String::from_utf8(bytes).map_err(|e| damaged("workbook", e))
}

/// A cell as text, and what it is.
fn cell_text(cell: &Data) -> (String, &'static str) {
    match cell {
        Data::Empty => (String::new(), ""),
        Data::Int(v) => (v.to_string(), "number"),
        Data::Float(v) => (number_text(*v), "number"),
        Data::String(v) if v.is_empty() => (String::new(), ""),
        Data::String(v) => (v.clone(), "text"),
        Data::Bool(v) => (v.to_string(), "true/false value"),
        Data::DateTime(v) => date_text(v),
        Data::DateTimeIso(v) => (v.replace('T', " "), "date"),
        Data::DurationIso(v) => (v.clone(), "duration"),
        Data::Error(_) => (String::new(), "error"),
    }
}

fn date_text(v: &ExcelDateTime) -> (String, &'static str) {
    if v.is_duration() {
        return (number_text(v.as_f64()), "duration in day");
    }
    let (y, m, d, hour, minute, second, milli) = v.to_ymd_hms_milli();
    let day = format!("{y:04}-{m:02}-{d:02}");
    if v.as_f64() < 1.0 {
        // A time without a day.
        return (format!("{hour:02}:{minute:02}:{second:02}"), "time");
    }
    let text = match (hour, minute, second, milli) {
        (0, 0, 0, 0) => day,
        (_, _, _, 0) => format!("{day} {hour:02}:{minute:02}:{second:02}"),
        _ => format!("{day} {hour:02}:{minute:02}:{second:02}.{milli:03}"),
    };
    (text, "date")
}

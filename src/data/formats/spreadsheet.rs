//! Excel (.xlsx, .xlsb, .xls) and LibreOffice (.ods) workbooks: one sheet as a table. Cells become the
//! text of their stored value, not of what a number format makes of it on screen; dates are written
//! as year-month-day. Formulas count as the result saved with them. Rows keep their numbers.

use std::io::Cursor;
use std::path::Path;

use calamine::{Data, ExcelDateTime, Range, Reader, open_workbook_from_rs};

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

/// Most cells of a sheet, empty ones in between included.
const MAX_CELLS: usize = 200_000_000;

/// Reads the sheet asked for, else the one with most cells.
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
    let (name, range, mut notes) = choose(sheets, options).map_err(|e| e.in_file(path))?;
    let text = text(&range, &mut notes).map_err(|e| e.in_file(path))?;
    let options = ImportOptions { delimiter: Some(b','), ..options.clone() };
    let (table, more) = csv::read_converted(path, &text, &options, progress).map_err(|e| {
        // "This file is empty" is about the sheet here.
        if let DataError::Invalid { what, place, advice } = e {
            DataError::Invalid { what: format!("Sheet \"{name}\": {what}"), place, advice }
        } else {
            e
        }
    })?;
    notes.extend(more);
    Ok((table, notes))
}

type Sheets = Vec<(String, Range<Data>)>;

fn open(bytes: &[u8], kind: Kind, progress: &Progress) -> Result<Sheets, DataError> {
    match kind {
        Kind::Xlsx => sheets::<calamine::Xlsx<_>>(bytes, progress),
        Kind::Xlsb => sheets::<calamine::Xlsb<_>>(bytes, progress),
        Kind::Xls => sheets::<calamine::Xls<_>>(bytes, progress),
        Kind::Ods => sheets::<calamine::Ods<_>>(bytes, progress),
    }
}

fn sheets<'a, R: Reader<Cursor<&'a [u8]>>>(
    bytes: &'a [u8],
    progress: &Progress,
) -> Result<Sheets, DataError>
where
    R::Error: std::fmt::Display,
{
    let mut book: R = open_workbook_from_rs(Cursor::new(bytes)).map_err(|e: R::Error| {
        let why = e.to_string();
        if why.to_lowercase().contains("password") || why.to_lowercase().contains("encrypt") {
            return invalid(
                "This workbook is protected by a password",
                "Open it in its program, take the password off and save it.",
            );
        }
        damaged("workbook", why)
    })?;
    let mut found = Vec::new();
    for name in book.sheet_names() {
        progress.check()?;
        // Chart sheets have no range.
        match book.worksheet_range(&name) {
            Ok(range) => found.push((name, range)),
            Err(e) if found.is_empty() && book.sheet_names().len() == 1 => {
                return Err(damaged("workbook", e));
            }
            Err(_) => {}
        }
    }
    Ok(found)
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
    mut sheets: Sheets,
    options: &ImportOptions,
) -> Result<(String, Range<Data>, Vec<ImportNote>), DataError> {
    let names: Vec<String> = sheets.iter().map(|(n, _)| format!("\"{n}\"")).collect();
    let at = match &options.part {
        Some(wanted) => sheets.iter().position(|(n, _)| n == wanted).ok_or_else(|| {
            invalid(
                format!("There is no sheet \"{wanted}\" in this workbook"),
                format!("Its sheets are: {}.", names.join(", ")),
            )
        })?,
        None => {
            let cells = |i: usize| sheets.get(i).map_or(0, |(_, r)| r.used_cells().count());
            (0..sheets.len()).rev().max_by_key(|i| cells(*i)).ok_or_else(|| {
                invalid("This workbook has no sheet of cells", "Choose one that holds a table.")
            })?
        }
    };
    let (name, range) = sheets.swap_remove(at);
    let mut notes = Vec::new();
    if names.len() > 1 && options.part.is_none() {
        let others = names.iter().filter(|n| **n != format!("\"{name}\"")).cloned();
        notes.push(ImportNote::info(format!(
            "Sheet \"{name}\" is read, as it has most cells; not read: {}.",
            others.collect::<Vec<_>>().join(", ")
        )));
    } else {
        notes.push(ImportNote::info(format!("Sheet \"{name}\" is read.")));
    }
    Ok((name, range, notes))
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
        return (number_text(v.as_f64()), "duration (in days)");
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

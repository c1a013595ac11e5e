//! SQLite databases: a table, a view, or what a query gives. The file is opened for reading only.
//! Numbers and text come as they are stored; bytes are read as text where they are UTF-8.

use std::path::Path;
use std::sync::atomic::Ordering;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Statement};

use super::build::{self, Tally, damaged, guarded, number_text};
use crate::data::{ImportNote, ImportOptions, Progress, Table, count, invalid};
use crate::error::DataError;

/// Reads the table or query asked for, else the table with most rows.
pub(crate) fn read(
    path: &Path,
    options: &ImportOptions,
    progress: &Progress,
) -> Result<(Table, Vec<ImportNote>), DataError> {
    guarded("database", || read_in(path, options, progress)).map_err(|e| e.in_file(path))
}

fn read_in(
    path: &Path,
    options: &ImportOptions,
    progress: &Progress,
) -> Result<(Table, Vec<ImportNote>), DataError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(failed)?;
    let mut notes = Vec::new();
    let sql = match &options.query {
        Some(query) => {
            notes.push(ImportNote::info(format!("The rows are the result of: {}", query.trim())));
            query.clone()
        }
        None => {
            let (name, rows) = choose(&db, options, &mut notes)?;
            progress.total.store(rows, Ordering::Relaxed);
            format!("SELECT * FROM {}", quoted(&name))
        }
    };
    let statement = db.prepare(&sql).map_err(|e| query_error(&e, options))?;
    if !statement.readonly() {
        return Err(invalid(
            "This query would change the database",
            "Use one that only reads: SELECT … FROM …",
        ));
    }
    rows(statement, notes, options, progress)
}

fn rows(
    mut statement: Statement,
    mut notes: Vec<ImportNote>,
    options: &ImportOptions,
    progress: &Progress,
) -> Result<(Table, Vec<ImportNote>), DataError> {
    let names = statement.column_names().map(str::to_owned).collect();
    let mut columns = build::columns(names, &mut notes)?;
    let mut lines = Vec::new();
    let mut tally = Tally::default();
    let mut binary = Vec::new();
    let mut rows = statement.query([]).map_err(|e| query_error(&e, options))?;
    while let Some(row) = rows.next().map_err(|e| query_error(&e, options))? {
        let line = lines.len() as u64 + 1;
        if line.is_multiple_of(4096) {
            progress.check()?;
            progress.done.store(line, Ordering::Relaxed);
        }
        for (i, column) in columns.iter_mut().enumerate() {
            let number;
            let (text, what) = match row.get_ref(i).map_err(failed)? {
                ValueRef::Null => ("", "null"),
                ValueRef::Integer(v) => {
                    number = v.to_string();
                    (number.as_str(), "whole number")
                }
                ValueRef::Real(v) => {
                    number = number_text(v);
                    (number.as_str(), "decimal number")
                }
                ValueRef::Text(bytes) => {
                    number = String::from_utf8_lossy(bytes).into_owned();
                    (number.as_str(), "text")
                }
                ValueRef::Blob(bytes) => match std::str::from_utf8(bytes) {
                    Ok(text) => (text, "byte text"),
                    Err(_) => {
                        binary.push(line);
                        ("", "")
                    }
                },
            };
            if !what.is_empty() {
                tally.see(what);
            }
            build::check_cell(text, line, column.name())?;
            column.push(text);
        }
        lines.push(line);
    }
    notes.extend(tally.note());
    if !binary.is_empty() {
        let text = format!("{} that are not text left empty.", count(binary.len(), "byte value"));
        notes.push(ImportNote::repair(text, &binary));
    }
    build::table(columns, lines, notes)
}

/// Names of the tables and views of a database; none where it cannot be read.
pub(crate) fn names(path: &Path) -> Vec<String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags);
    db.map_err(failed).and_then(|db| tables(&db)).unwrap_or_default()
}

/// Tables and views that are not the database's own.
fn tables(db: &Connection) -> Result<Vec<String>, DataError> {
    let sql = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') \
               AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    let mut statement = db.prepare(sql).map_err(failed)?;
    let names = statement.query_map([], |row| row.get(0)).map_err(failed)?;
    names.collect::<Result<_, _>>().map_err(failed)
}

fn choose(
    db: &Connection,
    options: &ImportOptions,
    notes: &mut Vec<ImportNote>,
) -> Result<(String, u64), DataError> {
    let names = tables(db)?;
    let rows = |name: &str| -> u64 {
        let sql = format!("SELECT count(*) FROM {}", quoted(name));
        db.query_row(&sql, [], |row| row.get::<_, i64>(0)).map_or(0, |n| n.max(0) as u64)
    };
    let listed = || names.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ");
    if let Some(wanted) = &options.part {
        if !names.contains(wanted) {
            return Err(invalid(
                format!("There is no table \"{wanted}\" in this database"),
                format!("Its tables are: {}.", listed()),
            ));
        }
        notes.push(ImportNote::info(format!("Table \"{wanted}\" is read.")));
        return Ok((wanted.clone(), rows(wanted)));
    }
    let sizes: Vec<u64> = names.iter().map(|n| rows(n)).collect();
    let most = (0..names.len()).rev().max_by_key(|i| sizes[*i]);
    let Some(name) = most.and_then(|i| names.get(i)) else {
        return Err(invalid("This database has no tables", "Choose one that holds a table."));
    };
    let text = if names.len() > 1 {
        format!("Table \"{name}\" is read, as it has most rows; the tables are: {}.", listed())
    } else {
        format!("Table \"{name}\" is read.")
    };
    notes.push(ImportNote::info(text));
    Ok((name.clone(), most.and_then(|i| sizes.get(i)).copied().unwrap_or(0)))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn failed(e: rusqlite::Error) -> DataError {
    match e.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => invalid(
            "Another program has locked this database",
            "Close it there, or copy the file first.",
        ),
        _ => damaged("database", e),
    }
}

fn query_error(e: &rusqlite::Error, options: &ImportOptions) -> DataError {
    if options.query.is_none() {
        return damaged("database", e);
    }
    invalid(
        format!("The query does not work: {e}"),
        "Correct it; table and column names must be those of the database.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::UserError;

    fn database(dir: &Path) -> std::path::PathBuf {
        let path = dir.join("shop.db");
        let db = Connection::open(&path).unwrap();
        db.execute_batch(
            "CREATE TABLE few (a);
             INSERT INTO few VALUES (1);
             CREATE TABLE sales (price REAL, kind TEXT, note, \"odd \"\"name\" INTEGER);
             CREATE VIEW dear AS SELECT kind, price FROM sales WHERE price > 2;",
        )
        .unwrap();
        let mut add = db.prepare("INSERT INTO sales VALUES (?1, ?2, ?3, ?4)").unwrap();
        for i in 0..50 {
            add.execute((f64::from(i) / 10.0, ["x", "y"][i as usize % 2], None::<i64>, i)).unwrap();
        }
        path
    }

    fn open(path: &Path, part: Option<&str>, query: Option<&str>) -> Result<Table, UserError> {
        let options = ImportOptions {
            part: part.map(str::to_owned),
            query: query.map(str::to_owned),
            ..ImportOptions::default()
        };
        Ok(read(path, &options, &Progress::default())?.0)
    }

    #[test]
    fn tables_views_and_queries_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = database(dir.path());
        let t = open(&path, None, None).unwrap();
        assert_eq!((t.rows(), t.columns().len()), (50, 4));
        assert_eq!((t.columns()[0].raw(3), t.columns()[3].name()), ("0.3", "odd \"name"));
        assert_eq!(open(&path, Some("dear"), None).unwrap().rows(), 29);
        let sql = "SELECT kind, avg(price) AS mean FROM sales GROUP BY kind";
        let t = open(&path, None, Some(sql)).unwrap();
        assert_eq!((t.rows(), t.columns()[1].raw(1)), (2, "2.5"));
    }

    #[test]
    fn what_does_not_work_is_explained() {
        let dir = tempfile::tempdir().unwrap();
        let path = database(dir.path());
        let e = open(&path, Some("none"), None).unwrap_err();
        assert!(e.what.contains("no table \"none\"") && e.advice.contains("\"sales\""), "{e}");
        let e = open(&path, None, Some("SELECT absent FROM sales")).unwrap_err();
        assert!(e.what.contains("no such column"), "{e}");
        let e = open(&path, None, Some("DELETE FROM sales")).unwrap_err();
        assert!(e.what.contains("would change"), "{e}");
        assert_eq!(open(&path, Some("sales"), None).unwrap().rows(), 50);
        let whole = std::fs::read(&path).unwrap();
        let cut = dir.path().join("cut.db");
        std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
        let e = open(&cut, Some("sales"), None).unwrap_err();
        assert!(!e.advice.is_empty() && e.place.path.as_deref() == Some(cut.as_path()), "{e}");
    }
}

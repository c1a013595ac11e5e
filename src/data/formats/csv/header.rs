//! Where the rows of a table begin and what its columns are called.

use csv::ByteRecord;

use super::MAX_COLUMNS;
use super::rows::{blank_lines, ends_cr};
use crate::data::formats::dialect::{self, Dialect};
use crate::data::{ImportNote, count, invalid};
use crate::error::DataError;

/// Where the rows begin and what the columns are called.
pub(super) struct Body {
    pub names: Vec<String>,
    /// Offset of the first row.
    pub start: usize,
    /// Rows of the file above it.
    pub rows_above: u64,
    /// Columns without a name in the header.
    pub nameless: Vec<usize>,
}

impl Body {
    pub(super) fn find(
        text: &str,
        dialect: &mut Dialect,
        offset: usize,
        notes: &mut Vec<ImportNote>,
    ) -> Result<Self, DataError> {
        let mut reader = dialect::reader(text, dialect.delimiter, dialect.quoting);
        let mut record = ByteRecord::new();
        let (mut start, mut rows, mut header) = (0, offset as u64, Vec::new());
        let (mut above, mut titles) = (Vec::new(), Vec::new());
        for i in 0..dialect.preamble + usize::from(dialect.header) {
            let more = reader.read_byte_record(&mut record).unwrap_or(false);
            if !more {
                break;
            }
            rows += 1 + blank_lines(&text.as_bytes()[start..], ends_cr(text, start));
            start = reader.position().byte() as usize;
            let cells: Vec<String> =
                record.iter().map(|c| String::from_utf8_lossy(c).trim().to_owned()).collect();
            if i == dialect.preamble {
                header = cells;
            } else {
                titles.push(rows);
                above = cells;
            }
        }
        if dialect.preamble > 0 {
            let rows: Vec<u64> = titles;
            let what = "above the table left out";
            let text = if group(&mut header, &above) {
                "The row above the names says what they belong to, and is put before them."
                    .to_owned()
            } else {
                let words: Vec<&str> =
                    above.iter().filter(|c| !c.is_empty()).take(4).map(String::as_str).collect();
                let end = words.join("\", \"").chars().take(80).collect::<String>();
                format!("{} {what}: \"{end}\".", count(rows.len(), "row"))
            };
            notes.push(ImportNote::repair(text, &rows));
        }
        // The line of dashes below the names of a table in Markdown.
        let dashes = |c: &[u8]| c.trim_ascii().iter().all(|b| matches!(b, b'-' | b':' | b'='));
        if dialect.header
            && reader.read_byte_record(&mut record).unwrap_or(false)
            && record.iter().all(dashes)
            && record.iter().filter(|c| c.trim_ascii().len() > 2).count() > 1
        {
            rows += 1 + blank_lines(&text.as_bytes()[start..], ends_cr(text, start));
            start = reader.position().byte() as usize;
        }
        let sample = dialect::head(&text[start..], dialect.delimiter, dialect.quoting, 500);
        if sample.is_empty() {
            return Err(invalid(
                "This file has column names but no rows",
                "Choose a file with one row per example below the names.",
            )
            .at_row(rows));
        }
        let names = fit_header(header, dialect, &sample, notes);
        if names.len() > MAX_COLUMNS {
            return Err(invalid(
                format!(
                    "This table has {}; at most {} are supported",
                    count(names.len(), "column"),
                    count(MAX_COLUMNS, "column")
                ),
                "Remove columns that are not needed, or check the delimiter.",
            )
            .at_row(rows.max(1)));
        }
        let nameless = (0..names.len()).filter(|i| names[*i].is_empty()).collect();
        let names = unique_names(names, dialect.header, notes);
        Ok(Self { names, start, rows_above: rows, nameless })
    }
}

/// Puts the names of groups of columns before names that are alike; whether it did.
fn group(header: &mut [String], above: &[String]) -> bool {
    let named = |c: &&String| !c.is_empty();
    let distinct: std::collections::HashSet<&String> = header.iter().filter(named).collect();
    if above.iter().filter(named).count() < 2
        || distinct.len() == header.iter().filter(named).count()
    {
        return false;
    }
    let mut group = "";
    for (name, above) in header.iter_mut().zip(above) {
        if !above.is_empty() {
            group = above;
        }
        if !group.is_empty() && !name.is_empty() {
            *name = format!("{group} {name}");
        }
    }
    true
}

/// Makes the header as wide as the rows.
fn fit_header(
    mut header: Vec<String>,
    dialect: &mut Dialect,
    sample: &[Vec<String>],
    notes: &mut Vec<ImportNote>,
) -> Vec<String> {
    if !dialect.header {
        return vec![String::new(); dialect.width];
    }
    while header.len() > dialect.width && header.last().is_some_and(String::is_empty) {
        header.pop();
    }
    let blank_from =
        |n: usize| sample.iter().all(|r| r.iter().skip(n).all(|c| c.trim().is_empty()));
    if header.len() >= dialect.width || blank_from(header.len()) {
        dialect.width = header.len();
        return header;
    }
    let mut seen = std::collections::HashSet::new();
    let first_unique = sample.iter().all(|r| r.first().is_none_or(|c| seen.insert(c)));
    if header.len() + 1 == dialect.width && first_unique && sample.len() > 1 {
        notes.push(ImportNote::info(
            "The rows have one cell more than the names; the first cell of each is taken as a row name.",
        ));
        header.insert(0, "row name".to_owned());
    } else {
        notes.push(ImportNote::repair(
            format!(
                "The rows have {} more than the names; they are called by their number.",
                count(dialect.width - header.len(), "cell")
            ),
            &[],
        ));
        header.resize(dialect.width, String::new());
    }
    header
}

/// Names empty columns by their number and tells equal names apart.
pub(crate) fn unique_names(
    names: Vec<String>,
    header: bool,
    notes: &mut Vec<ImportNote>,
) -> Vec<String> {
    let mut taken: std::collections::HashSet<String> = names.iter().cloned().collect();
    let mut used = std::collections::HashSet::new();
    let (mut empty, mut repeated) = (0, Vec::new());
    let mut out = Vec::with_capacity(names.len());
    for (i, name) in names.into_iter().enumerate() {
        let base = if name.is_empty() {
            empty += 1;
            format!("column {}", i + 1)
        } else {
            name.clone()
        };
        let mut unique = base.clone();
        let mut n = 2;
        while used.contains(&unique) || (unique != name && taken.contains(&unique)) {
            unique = format!("{base} ({n})");
            n += 1;
        }
        if unique != base && !name.is_empty() {
            repeated.push(format!("\"{unique}\""));
        }
        taken.insert(unique.clone());
        used.insert(unique.clone());
        out.push(unique);
    }
    if header && empty > 0 {
        let text = format!("{} without a name called by number.", count(empty, "column"));
        notes.push(ImportNote::repair(text, &[]));
    }
    if !repeated.is_empty() {
        let shown = repeated.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        let text = format!("{} renamed: {shown}.", count(repeated.len(), "repeated column name"));
        notes.push(ImportNote::repair(text, &[]));
    }
    out
}

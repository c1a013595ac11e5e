//! How a text table is written: delimiter, quoting, where the header is. Decided from its beginning.

use csv::{ByteRecord, Reader, ReaderBuilder};

use crate::data::date::parse_date;
use crate::data::number::NumberFormat;
use crate::data::table::is_missing;

/// Characters and records that are looked at.
const SAMPLE_BYTES: usize = 512 << 10;
const SAMPLE_RECORDS: usize = 500;

/// In the order in which a tie is decided.
const DELIMITERS: [u8; 4] = [b'\t', b';', b'|', b','];

/// Stands for the delimiter of a table of one column: a sign that no text has.
pub(crate) const ONE_COLUMN: u8 = 0x1f;

/// How a text table is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub delimiter: u8,
    /// Whether `"` encloses cells.
    pub quoting: bool,
    /// Whether the first record of the table holds names.
    pub header: bool,
    /// Records before the table (titles, export dates).
    pub preamble: usize,
    /// Commonest number of cells in a row.
    pub width: usize,
    /// Number of cells in the header row.
    pub header_width: usize,
}

pub(crate) fn reader(text: &str, delimiter: u8, quoting: bool) -> Reader<&[u8]> {
    ReaderBuilder::new()
        .delimiter(delimiter)
        .quoting(quoting)
        .flexible(true)
        .has_headers(false)
        .buffer_capacity(1 << 16)
        .from_reader(text.as_bytes())
}

/// The first records as text.
pub(crate) fn head(text: &str, delimiter: u8, quoting: bool, most: usize) -> Vec<Vec<String>> {
    let mut end = text.len().min(SAMPLE_BYTES);
    if end < text.len() {
        // Not in the middle of a record (or of a character).
        end = memchr::memrchr(b'\n', &text.as_bytes()[..end]).map_or(text.len(), |p| p + 1);
    }
    let mut reader = reader(&text[..end], delimiter, quoting);
    let mut record = ByteRecord::new();
    let mut records = Vec::new();
    while records.len() < most && matches!(reader.read_byte_record(&mut record), Ok(true)) {
        let cells = record.iter().map(|c| String::from_utf8_lossy(c).into_owned());
        records.push(cells.collect());
    }
    records
}

/// Detects the dialect of a table that has at least one record. `delimiter` and `header` are what
/// the user has set; `tabs`: the file name says tab-separated.
pub(crate) fn detect(
    text: &str,
    quoting: bool,
    delimiter: Option<u8>,
    header: Option<bool>,
    tabs: bool,
) -> Dialect {
    let delimiter = delimiter.unwrap_or_else(|| best_delimiter(text, quoting, tabs));
    let records = head(text, delimiter, quoting, SAMPLE_RECORDS);
    let width = mode(&records).0;
    let preamble = preamble(&records, width);
    let table = records.get(preamble..).unwrap_or_default();
    let header = header.unwrap_or_else(|| has_header(table));
    let header_width = table.first().map_or(0, Vec::len);
    Dialect { delimiter, quoting, header, preamble, width, header_width }
}

fn best_delimiter(text: &str, quoting: bool, tabs: bool) -> u8 {
    let mut best = (0.0, ONE_COLUMN);
    for delimiter in DELIMITERS {
        let records = head(text, delimiter, quoting, SAMPLE_RECORDS);
        let (width, share) = mode(&records);
        let first = records.first().map_or(0, Vec::len);
        if width < 2 || (share < 0.6 && first < 2) {
            continue;
        }
        let mut score = share + 0.5 * clean(&records, delimiter);
        // A row of names with as many cells as the rows below speaks for a delimiter.
        score += if first == width { 0.2 } else { 0.0 };
        score += if tabs && delimiter == b'\t' { 1.0 } else { 0.0 };
        if score > best.0 + 1e-9 {
            best = (score, delimiter);
        }
    }
    // Without a delimiter a line is one cell, whatever is in it.
    best.1
}

/// Share of cells that look like one value: numbers, or words without another delimiter in them.
fn clean(records: &[Vec<String>], delimiter: u8) -> f64 {
    let cells = || records.iter().flatten();
    let clean = cells().filter(|cell| {
        let trimmed = cell.trim();
        NumberFormat::DecimalComma.parse(trimmed).is_some()
            || !DELIMITERS.iter().any(|d| *d != delimiter && trimmed.contains(char::from(*d)))
    });
    clean.count() as f64 / cells().count().max(1) as f64
}

/// Commonest number of cells, and the share of records that have it. The greater of two as common.
fn mode(records: &[Vec<String>]) -> (usize, f64) {
    let mut counts = std::collections::BTreeMap::new();
    for r in records {
        *counts.entry(r.len()).or_insert(0_usize) += 1;
    }
    let best = counts.into_iter().max_by_key(|(width, n)| (*n, *width)).unwrap_or((0, 0));
    (best.0, best.1 as f64 / records.len().max(1) as f64)
}

/// Records above the names: titles, dates of export, names of groups of columns.
fn preamble(records: &[Vec<String>], width: usize) -> usize {
    let filled = |r: &[String]| r.iter().filter(|c| !c.trim().is_empty()).count();
    // A record of names stands over values, and all above it are emptier and hold no such values.
    let names = |at: usize| {
        let (above, rest) = records.split_at_checked(at)?;
        let (names, below) = rest.split_first()?;
        let n = filled(names);
        let words = names.iter().map(|c| c.trim()).filter(|c| !c.is_empty());
        let named =
            n >= 2 && n + 1 >= width && words.clone().all(|c| !is_value(c) && !is_missing(c));
        let emptier = above.iter().all(|r| filled(r) < n);
        (named && emptier && over_values(names.len(), below)).then_some(())
    };
    let most = records.len().min(21);
    if let Some(at) = (0..most).find(|at| names(*at).is_some()) {
        return at;
    }
    if width < 3 {
        return 0;
    }
    let n = records.iter().take_while(|r| filled(r) <= 1).count();
    // A column of one cell per row is data, not a title.
    if n <= 20 && n + 1 < records.len() { n } else { 0 }
}

/// Whether a cell is a number or a date.
pub(crate) fn is_value(cell: &str) -> bool {
    cell.parse::<f64>().is_ok()
        || parse_date(cell, true).is_some()
        || NumberFormat::DecimalComma.parse(cell).is_some()
        || NumberFormat::Thousands.parse(cell).is_some()
}

/// Whether a column of these rows holds values alone.
fn over_values(width: usize, rows: &[Vec<String>]) -> bool {
    (0..width).any(|i| {
        let mut cells = rows.iter().filter_map(|r| r.get(i)).filter(|c| !is_missing(c)).peekable();
        cells.peek().is_some() && cells.all(|c| is_value(c.trim()))
    })
}

/// Whether the first record names the columns.
fn has_header(records: &[Vec<String>]) -> bool {
    let Some((first, rest)) = records.split_first() else { return false };
    let filled: Vec<&str> = first.iter().map(|c| c.trim()).filter(|c| !c.is_empty()).collect();
    if filled.is_empty() {
        return false;
    }
    let number = |c: &str| c.parse::<f64>().is_ok();
    let value = |c: &str| number(c) || parse_date(c, true).is_some();
    let numbers: Vec<f64> = filled.iter().filter_map(|c| c.parse().ok()).collect();
    if rest.is_empty() {
        return numbers.is_empty();
    }
    if !numbers.is_empty() {
        // 0,1,2,3… or 1990,1991,1992…: numbered columns; other numbers are data.
        let counted = numbers.windows(2).all(|w| w[1] - w[0] == 1.0);
        return counted && numbers.len() >= 3 && numbers[0].fract() == 0.0;
    }
    if filled.iter().any(|c| value(c) || (is_missing(c) && *c != "?")) {
        return false;
    }
    // Words over values: a header. Words over words: a header unless a name is also a value below.
    let repeated = first.iter().enumerate().filter(|(i, name)| {
        !name.trim().is_empty() && rest.iter().any(|r| r.get(*i) == Some(name))
    });
    over_values(first.len(), rest) || repeated.count() * 2 < filled.len().max(1)
}

/// What a pass over the quotation marks of a text found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct QuoteScan {
    /// Cells properly enclosed.
    pub enclosed: usize,
    /// A cell that goes on after its closing mark: where it opened.
    pub stray: Option<usize>,
    /// A mark never closed: where it opened.
    pub open: Option<usize>,
    /// Offsets where records begin, about every `every` bytes.
    pub cuts: Vec<usize>,
}

/// Scans quotation marks as the reader will see them, and finds places to cut between records.
pub(crate) fn scan_quotes(
    text: &[u8],
    delimiter: u8,
    quoting: bool,
    newline: u8,
    every: usize,
) -> QuoteScan {
    let mut scan = QuoteScan::default();
    let mut target = every;
    let mut cut = |from: usize, to: usize, cuts: &mut Vec<usize>| {
        while target < to {
            let start = from.max(target);
            match memchr::memchr(newline, &text[start..to]) {
                Some(p) if start + p + 1 < text.len() => {
                    cuts.push(start + p + 1);
                    target = start + p + 1 + every;
                }
                _ => return,
            }
        }
    };
    let mut at = 0;
    while let Some(open) = memchr::memchr(b'"', &text[at..]).map(|p| at + p).filter(|_| quoting) {
        let begins_cell =
            open == 0 || text[open - 1] == delimiter || matches!(text[open - 1], b'\n' | b'\r');
        if !begins_cell {
            cut(at, open + 1, &mut scan.cuts);
            at = open + 1;
            continue;
        }
        cut(at, open, &mut scan.cuts);
        let mut p = open + 1;
        loop {
            match memchr::memchr(b'"', &text[p..]) {
                None => {
                    scan.open = Some(open);
                    return scan;
                }
                Some(q) if text.get(p + q + 1) == Some(&b'"') => p += q + 2,
                Some(q) => {
                    p += q + 1;
                    break;
                }
            }
        }
        match text.get(p) {
            None | Some(b'\n' | b'\r') => scan.enclosed += 1,
            Some(b) if *b == delimiter => scan.enclosed += 1,
            Some(_) => {
                scan.stray.get_or_insert(open);
            }
        }
        at = p;
    }
    cut(at, text.len(), &mut scan.cuts);
    scan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Dialect {
        detect(text, true, None, None, false)
    }

    #[test]
    fn delimiters_are_found() {
        assert_eq!(of("a,b\n1,2\n3,4\n").delimiter, b',');
        assert_eq!(of("a;b\n1,5;2,5\n3,0;4,1\n").delimiter, b';');
        assert_eq!(of("1,5;2,5\n3,0;4,1\n").delimiter, b';');
        assert_eq!(of("a\tb\n1,5\tx, y\n2\tz\n").delimiter, b'\t');
        assert_eq!(of("a|b|c\n1|2|3\n").delimiter, b'|');
        assert_eq!(of("name;city\nSmith, J;Rome, IT\nDoe, A;Bonn, DE\n").delimiter, b';');
        assert_eq!(of("id,tags\n1,x|y\n2,x\n3,x|y|z\n").delimiter, b',');
        assert_eq!(of("t,note\n1,\"a; b; c\"\n2,\"d; e; f\"\n").delimiter, b',');
        assert_eq!(of("x\n1\n2\n").width, 1);
        let prose = of("review\nGood, cheap, and fast\nBad\nNot so, well\nFine\nOk\n");
        assert_eq!((prose.delimiter, prose.width), (ONE_COLUMN, 1));
    }

    #[test]
    fn headers_are_told_from_data() {
        assert!(of("a,b\n1,2\n").header);
        assert!(of("name,kind\nrex,dog\ntom,cat\n").header);
        assert!(!of("5.1,3.5,setosa\n4.9,3.0,setosa\n").header);
        assert!(!of("dog,brown\ncat,black\ndog,black\ncat,brown\n").header);
        assert!(of("0,1,2,3\n5,9,1,7\n").header);
        assert!(of("country,1990,1991,1992\nitaly,5,6,7\n").header);
        assert!(of(",a,b\n0,1,2\n1,2,3\n").header);
        assert!(!of("2024-01-01,5\n2024-01-02,6\n").header);
    }

    #[test]
    fn titles_above_the_table_are_skipped() {
        let d = of("Sales report\n\"made 2024-01-01\",,\na,b,c\n1,2,3\n4,5,6\n");
        assert_eq!((d.preamble, d.header, d.width), (2, true, 3));
        assert_eq!(of("a,b\nx\n1,2\n").preamble, 0);
    }

    #[test]
    fn quotes_are_scanned() {
        let scan = |t: &str| scan_quotes(t.as_bytes(), b',', true, b'\n', 1 << 20);
        assert_eq!(scan("a,\"b\"\"c\n,\",d\n").enclosed, 1);
        assert_eq!(scan("a,b\"c\",d\n"), QuoteScan::default());
        assert_eq!(scan("a,\"b\nc,d\n").open, Some(2));
        assert_eq!(scan("a,\"b\" c,d\n").stray, Some(2));
    }

    #[test]
    fn cuts_lie_between_records() {
        let text = "a,\"x\ny\"\nb,c\n".repeat(50);
        let scan = scan_quotes(text.as_bytes(), b',', true, b'\n', 40);
        assert!(scan.cuts.len() > 5);
        for cut in scan.cuts {
            let head = &text[..cut];
            assert!(head.ends_with("\"\n") || head.ends_with("c\n"), "{head:?}");
        }
    }
}

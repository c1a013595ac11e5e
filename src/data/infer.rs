//! What each column holds, decided from all of its cells.
//!
//! A column is read as numbers or dates when at least [`MOSTLY`] of its values are; the others then
//! count as missing, and are noted with their rows. Columns that cannot help a model (row numbers,
//! identifiers, one value everywhere) start out ignored. Nothing here changes a cell.

mod notes;
mod seen;
pub(crate) mod words;

pub(crate) use self::seen::Seen;

use std::collections::HashSet;

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::date::{compact, has_order, order_evidence, parse_date};
use super::number::{NumberEvidence, NumberFormat};
use super::table::{trim, trimmed_is_missing};
use super::{Column, ColumnType, ImportNote, Table, count};

/// Share of values that must fit a type.
pub const MOSTLY: f64 = 0.95;

/// Words that stand for a missing number or date, though they may be answers in other columns.
const NO_NUMBER: [&str; 9] =
    ["none", "nil", "unknown", "unk", "not available", "no data", ".", "n.a.", "tbd"];

/// What a boolean value says.
pub(crate) fn truth(cell: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|w| cell.eq_ignore_ascii_case(w));
    if is(&["1", "yes", "true", "y", "t", "on"]) {
        Some(true)
    } else if is(&["0", "no", "false", "n", "f", "off"]) {
        Some(false)
    } else {
        cell.parse::<f64>().ok().and_then(|v| match v {
            1.0 => Some(true),
            0.0 => Some(false),
            _ => None,
        })
    }
}

/// What one column turned out to be.
#[derive(Debug, Default)]
struct Verdict {
    kind: Option<ColumnType>,
    reason: String,
    format: NumberFormat,
    unsure: bool,
    commas: usize,
    /// How its numbers are written, when it is read as numbers.
    written: NumberEvidence,
    day_first: bool,
    /// Dates written as one number.
    compact: usize,
    /// Dates whose day and month could be exchanged, and none that decides.
    order_unsure: bool,
    missing: Vec<(String, usize)>,
    /// Values that do not fit the type: how many, first rows, an example.
    misfits: usize,
    misfit_rows: Vec<usize>,
    misfit: String,
}

/// Sets type, format and reason of every column and says what was found.
/// `semicolon`: the file separates columns by `;`.
pub(crate) fn infer(table: &mut Table, semicolon: bool) -> Vec<ImportNote> {
    let seen: Vec<Seen> = table.columns().par_iter().map(Seen::of).collect();
    infer_seen(table, seen, semicolon)
}

/// As [`infer`], of columns that were looked at while they were read.
pub(crate) fn infer_seen(table: &mut Table, seen: Vec<Seen>, semicolon: bool) -> Vec<ImportNote> {
    let verdicts: Vec<Verdict> = table
        .columns()
        .par_iter()
        .zip(seen)
        .with_max_len(1)
        .map(|(column, seen)| judge(column, seen, semicolon))
        .collect();
    let notes = notes::notes(table, &verdicts);
    for (column, v) in table.columns_mut().iter_mut().zip(verdicts) {
        let kind = v.kind.unwrap_or(ColumnType::Text);
        (column.kind, column.inferred) = (kind, kind);
        column.reason = v.reason;
        column.format = v.format;
        column.format_unsure = v.unsure;
        column.day_first = v.day_first;
    }
    notes
}

fn judge(column: &Column, mut n: Seen, semicolon: bool) -> Verdict {
    let mut v = Verdict { missing: std::mem::take(&mut n.missing), ..Verdict::default() };
    // 0, 1, 2… or 1, 2, 3… from the first row on.
    n.counting &= n.first == Some(0.0) || n.first == Some(1.0);
    (v.format, v.unsure) = n.evidence.decide(semicolon);
    let (kind, reason) = decide(column, &n, &mut v);
    v.kind = Some(kind);
    v.reason = reason;
    v
}

fn decide(column: &Column, n: &Seen, v: &mut Verdict) -> (ColumnType, String) {
    use ColumnType::{Boolean, Category, Date, Ignore, Text};
    if n.valid == 0 {
        return (Ignore, "it has no value at all".to_owned());
    }
    // Of amounts in different units none is a number.
    let formatted = n.evidence.formatted() && !n.evidence.mixed;
    let is_number = |cell: &str| v.format.parse(cell).is_some();
    let numbers = if formatted { fitting(column, is_number) } else { n.plain };
    let values = n.valid - n.soft;
    if n.plain == n.valid && n.integers && compact_dates(column) {
        v.compact = n.valid;
        return (Date, "its values are dates written as one number, year, month, day".to_owned());
    }
    if values > 0 && numbers > 0 && numbers as f64 >= MOSTLY * values as f64 {
        v.commas = n.evidence.commas();
        v.written = n.evidence;
        let format = v.format;
        misfits(column, v, n.valid - numbers, |cell| format.parse(cell).is_some());
        return number(column, n, numbers);
    }
    // Where all are written as 2024-03-01 nothing else is to be found out.
    let found = if n.iso == n.valid { Some((n.iso, true, false)) } else { dates(column, values) };
    if let Some((dates, day_first, unsure)) = found {
        (v.day_first, v.order_unsure) = (day_first, unsure);
        misfits(column, v, n.valid - dates, |cell| parse_date(cell, day_first).is_some());
        return (Date, "its values are dates".to_owned());
    }
    let counted = n.words.all(n.valid);
    let mut distinct = FxHashMap::<&str, usize>::default();
    match &counted {
        Some(counted) => {
            distinct.extend(counted.iter().map(|(cell, times)| (cell.as_str(), *times)))
        }
        None => filled(column).for_each(|cell| *distinct.entry(cell).or_default() += 1),
    }
    let (mut words, mut letters) = (0, 0);
    for (cell, times) in &distinct {
        words += times * cell.split_whitespace().take(100).count();
        letters += times * cell.len();
    }
    let per_cell = |total: usize| total as f64 / n.valid as f64;
    let (words, letters, share) = (per_cell(words), per_cell(letters), per_cell(distinct.len()));
    let different = count(distinct.len(), "different value");
    let lower: HashSet<String> = if distinct.len() <= 6 {
        distinct.keys().map(|d| d.to_lowercase()).collect()
    } else {
        HashSet::new()
    };
    if lower.len() == 1 && n.valid == column.len() {
        return (Ignore, "it has the same value in every row".to_owned());
    }
    let truths: Option<Vec<bool>> = lower.iter().map(|d| truth(d)).collect();
    if truths.is_some_and(|t| t.len() == 1 || (t.len() == 2 && t[0] != t[1])) {
        return (Boolean, "its values are yes or no".to_owned());
    }
    let wordy = words >= 4.0 || letters >= 40.0;
    if n.valid < 10 {
        return if wordy {
            (Text, "its values are sentences".to_owned())
        } else {
            (Category, different)
        };
    }
    if wordy && (share > 0.3 || distinct.len() > 100) {
        (Text, "its values are sentences".to_owned())
    } else if share <= 0.5 {
        (Category, different)
    } else if words >= 3.0 {
        (Text, "its values are several words, mostly different".to_owned())
    } else {
        let reason = format!("{different} in {}: they name rows", count(n.valid, "row"));
        (Ignore, reason)
    }
}

fn number(column: &Column, n: &Seen, numbers: usize) -> (ColumnType, String) {
    use ColumnType::{Boolean, Category, Ignore, Number};
    let mut few: Vec<f64> = Vec::new();
    for value in (0..column.len()).filter_map(|r| column.value(r)) {
        let Ok(x) = value.parse::<f64>() else { continue };
        if !few.contains(&x) {
            few.push(x);
        }
        if few.len() > 2 {
            break;
        }
    }
    if few.len() == 1 && n.plain == column.len() {
        return (Ignore, "it has the same value in every row".to_owned());
    }
    if numbers == n.plain && few.len() <= 2 && few.iter().all(|x| *x == 0.0 || *x == 1.0) {
        return (Boolean, "its values are 0 or 1".to_owned());
    }
    if n.counting && column.len() >= 10 {
        return (Ignore, "it numbers the rows".to_owned());
    }
    if n.integers && is_id_name(column.name()) && column.len() >= 10 {
        let mut seen = FxHashSet::default();
        let values = || (0..column.len()).filter_map(|r| column.value(r));
        if values().all(|x| seen.insert(x)) {
            return (
                Ignore,
                "its name and its values, all different, are those of an identifier".to_owned(),
            );
        }
        let distinct = values().collect::<FxHashSet<_>>().len();
        if distinct * 2 <= n.valid {
            return (Category, "its numbers are identifiers of things".to_owned());
        }
        return (
            Ignore,
            "its name and its values, mostly different, are those of an identifier".to_owned(),
        );
    }
    (Number, "its values are numbers".to_owned())
}

/// Trimmed cells that are not missing.
fn filled(column: &Column) -> impl Iterator<Item = &str> {
    column.cells().map(trim).filter(|c| !trimmed_is_missing(c))
}

fn fitting(column: &Column, fits: impl Fn(&str) -> bool) -> usize {
    (0..column.len()).filter_map(|r| column.value(r)).filter(|c| fits(c)).count()
}

fn misfits(column: &Column, v: &mut Verdict, n: usize, fits: impl Fn(&str) -> bool) {
    v.misfits = n;
    if n == 0 {
        return;
    }
    let rows = (0..column.len()).filter(|r| column.value(*r).is_some_and(|c| !fits(c)));
    v.misfit_rows = rows.take(20).collect();
    let first = v.misfit_rows.first().map_or("", |r| column.raw(*r).trim());
    v.misfit = first.chars().take(40).collect();
}

/// Fewest different values that are told by themselves to be dates written as one number.
const COMPACT: usize = 10;

/// Whether all values are dates such as `20240301`: different ones, and many, where the name does not
/// say that they are dates. Of numbers from the range of such dates, 1 in 27 is one by chance.
fn compact_dates(column: &Column) -> bool {
    let mut different = FxHashSet::default();
    for cell in filled(column) {
        if compact(cell).is_none() {
            return false;
        }
        if different.len() < COMPACT {
            different.insert(cell);
        }
    }
    different.len() >= if is_date_name(column.name()) { 2 } else { COMPACT }
}

/// Whether a name says that its values are dates.
fn is_date_name(name: &str) -> bool {
    let name = name.to_lowercase();
    let words = ["day", "datum", "tag", "dt", "ymd", "yyyymmdd", "when", "fecha", "datetime"];
    name.contains("date")
        || name.split(|c: char| !c.is_alphanumeric()).any(|word| words.contains(&word))
}

/// How many values are dates, whether the day comes first, whether that is a guess.
fn dates(column: &Column, values: usize) -> Option<(usize, bool, bool)> {
    let cells = || filled(column);
    let looks = |cell: &str| parse_date(cell, true).is_some();
    let sample: Vec<&str> = cells().take(60).collect();
    if sample.iter().filter(|c| looks(c)).count() * 10 < sample.len() * 8 {
        return None;
    }
    let (mut dates, mut day, mut month, mut open, mut slash) =
        (0_usize, 0_usize, 0_usize, false, false);
    for cell in cells() {
        dates += usize::from(looks(cell));
        if cell.bytes().take(3).all(|b| b.is_ascii_digit()) {
            continue; // The year comes first.
        }
        match order_evidence(cell) {
            Some(true) => day += 1,
            Some(false) => month += 1,
            None if has_order(cell) => {
                open = true;
                slash |= cell.contains('/');
            }
            None => {}
        }
    }
    if values == 0 || (dates as f64) < MOSTLY * values as f64 {
        return None;
    }
    let unsure = open && day == 0 && month == 0;
    // Where nothing decides: slashes are commonest in American files, points and dashes elsewhere.
    Some((dates, if unsure { !slash } else { day >= month }, unsure))
}

/// Whether a name says that its values identify rows or things.
fn is_id_name(name: &str) -> bool {
    let mut words: Vec<String> = vec![String::new()];
    let mut lower_before = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && lower_before) {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(w) = words.last_mut()
        {
            w.extend(c.to_lowercase());
        }
        lower_before = c.is_lowercase();
    }
    words.retain(|w| !w.is_empty());
    let is = |w: Option<&String>| {
        w.is_some_and(|w| {
            ["id", "ids", "uid", "uuid", "guid", "index", "idx", "rowid", "rownum", "key", "code"]
                .contains(&w.as_str())
        })
    };
    is(words.last()) || is(words.first()) || words.first().is_some_and(|w| w == "unnamed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ColumnType::{Boolean, Category, Date, Ignore, Number, Text};

    fn looked(column: &Column) -> Verdict {
        judge(column, Seen::of(column), false)
    }

    #[test]
    fn numbers_are_dates_only_where_that_is_evident() {
        let kind = |name: &str, cells: Vec<String>| looked(&column(name, cells)).kind;
        let days = |n: usize| (0..n).map(|i| format!("2024{:02}{:02}", i % 12 + 1, i % 28 + 1));
        assert_eq!(kind("x", days(40).collect()), Some(Date));
        assert_eq!(kind("order_date", days(3).collect()), Some(Date));
        assert_eq!(kind("Tag", days(3).collect()), Some(Date));
        // Too few for a name that says nothing; one that is none; one value; no such years.
        assert_eq!(kind("x", days(5).collect()), Some(Number));
        let other = |odd: &str| days(40).chain([odd.to_owned()]).collect::<Vec<_>>();
        for odd in
            ["20241301", "20240230", "18991231", "21010101", "2024010", "20240101.5", "-20240101"]
        {
            assert_eq!(kind("amount", other(odd)), Some(Number), "{odd}");
        }
        assert_ne!(kind("date", vec!["20240101".to_owned(); 20]), Some(Date));
        // Missing cells do no harm, and the date is that of the other ways to write it.
        assert_eq!(kind("x", other("")), Some(Date));
        assert_eq!(parse_date("20240301", false), parse_date("2024-03-01", false));
        let v = looked(&column("x", other("")));
        let mut table = Table::new(vec![column("x", other(""))], (2..43).collect());
        let notes = infer(&mut table, false);
        assert_eq!((v.compact, table.columns()[0].date(0)), (40, parse_date("2024-01-01", true)));
        let said =
            "40 numbers in \"x\" are read as dates: year, month and day, such as \"20240101\".";
        assert!(notes.iter().any(|n| n.text == said), "{notes:?}");
    }

    fn column(name: &str, cells: impl IntoIterator<Item = impl AsRef<str>>) -> Column {
        let mut c = Column::new(name);
        cells.into_iter().for_each(|v| c.push(v.as_ref()));
        c
    }

    fn run(column: Column) -> (Column, Vec<ImportNote>) {
        let lines = (2..column.len() as u64 + 2).collect();
        let mut t = Table::new(vec![column], lines);
        let notes = infer(&mut t, false);
        (t.columns()[0].clone(), notes)
    }

    fn kind(name: &str, cells: impl IntoIterator<Item = impl AsRef<str>>) -> ColumnType {
        run(column(name, cells)).0.kind
    }

    fn cycle(cells: &[&str], n: usize) -> Vec<String> {
        cells.iter().cycle().take(n).map(|c| (*c).to_owned()).collect()
    }

    #[test]
    fn the_six_types() {
        assert_eq!(kind("a", cycle(&["1.5", "2", "", "3e1"], 30)), Number);
        assert_eq!(kind("a", cycle(&["red", "blue", "?"], 30)), Category);
        assert_eq!(kind("a", cycle(&["Yes", "no", "YES"], 30)), Boolean);
        assert_eq!(kind("a", cycle(&["0", "1", "1.0"], 30)), Boolean);
        assert_eq!(kind("a", cycle(&["yes", ""], 30)), Boolean);
        assert_eq!(kind("a", cycle(&["male", "female"], 30)), Category);
        assert_eq!(kind("a", cycle(&["1", "2"], 30)), Number);
        assert_eq!(kind("a", (1..30).map(|d| format!("2024-01-{d:02}"))), Date);
        assert_eq!(kind("a", (0..30).map(|i| format!("I liked it {i} times or more"))), Text);
        assert_eq!(kind("a", (0..30).map(|i| format!("B{i}X"))), Ignore);
    }

    #[test]
    fn identifiers_and_constants_are_ignored() {
        assert_eq!(kind("t", (0..30).map(|i| i.to_string())), Ignore);
        assert_eq!(kind("", (1..30).map(|i| i.to_string())), Ignore);
        assert_eq!(kind("year", (1990..2020).map(|i| i.to_string())), Number);
        assert_eq!(kind("customerId", (0..30).map(|i| (i * 37 + 5).to_string())), Ignore);
        assert_eq!(kind("store_id", cycle(&["17", "40", "3"], 30)), Category);
        assert_eq!(kind("paid", (0..30).map(|i| (i * 37 + 5).to_string())), Number);
        assert_eq!(kind("a", cycle(&["x"], 30)), Ignore);
        assert_eq!(kind("a", cycle(&["7"], 30)), Ignore);
        assert_eq!(kind("a", cycle(&["", "?"], 30)), Ignore);
        assert_eq!(kind("a", cycle(&["x", ""], 30)), Category);
    }

    #[test]
    fn a_few_odd_values_are_noted_with_their_rows() {
        let mut cells = cycle(&["1", "2", "3"], 40);
        cells[7] = "lots".to_owned();
        cells[8] = "none".to_owned();
        let (c, notes) = run(column("n", cells));
        assert_eq!(c.kind, Number);
        let note = notes.iter().find(|n| n.repair).unwrap();
        assert!(note.text.contains("2 values in \"n\", such as \"lots\""), "{}", note.text);
        assert_eq!(note.rows, [9, 10]);
        assert_eq!(kind("n", cycle(&["1", "2", "3", "x"], 40)), Category);
    }

    #[test]
    fn number_formats_are_noted() {
        let (c, notes) = run(column("n", cycle(&["1,5", "2,25", "3"], 40)));
        assert_eq!((c.kind, c.number(0)), (Number, Some(1.5)));
        assert!(notes.iter().any(|n| n.text.contains("decimal signs in 27 numbers")), "{notes:?}");
        let (c, notes) = run(column("n", cycle(&["1,500", "2,250"], 40)));
        assert_eq!((c.kind, c.number(0)), (Number, Some(1500.0)));
        assert!(notes.iter().any(|n| n.repair && n.text.contains("two ways")), "{notes:?}");
        let (c, notes) = run(column("n", cycle(&["$5", "$7.50"], 40)));
        assert_eq!((c.kind, c.number(1)), (Number, Some(7.5)));
        assert!(notes.iter().any(|n| n.text.contains("left off 40 numbers")), "{notes:?}");
    }

    #[test]
    fn the_order_of_dates_is_found_or_noted() {
        let (c, notes) = run(column("d", cycle(&["03/04/2024", "25/04/2024"], 40)));
        assert_eq!((c.kind, c.day_first), (Date, true));
        assert!(notes.iter().all(|n| !n.repair));
        let (c, notes) = run(column("d", cycle(&["03/04/2024", "05/06/2024"], 40)));
        assert_eq!((c.kind, c.day_first), (Date, false));
        assert!(notes.iter().any(|n| n.repair && n.text.contains("month/day")), "{notes:?}");
    }

    #[test]
    fn missing_spellings_are_counted() {
        let (_, notes) = run(column("a", ["x", "?", "", "NA", "y", "?"]));
        let note = notes.iter().find(|n| n.text.contains("read as missing")).unwrap();
        assert_eq!(
            note.text,
            "4 cells in 1 column read as missing: 2 written \"?\", 1 empty, 1 written \"NA\"."
        );
    }
}

//! What stands below a table in its file: a row of totals, remarks, another table.

use crate::data::formats::dialect::is_value;
use crate::data::{Column, ImportNote, count};

/// Rows at the end that are looked at.
const LAST: usize = 12;

/// First words of a row of totals.
const TOTALS: [&str; 22] = [
    "total",
    "totals",
    "subtotal",
    "sum",
    "sums",
    "average",
    "mean",
    "grand",
    "summe",
    "gesamt",
    "gesamtsumme",
    "insgesamt",
    "mittelwert",
    "totale",
    "somme",
    "moyenne",
    "suma",
    "totaal",
    "toplam",
    "итого",
    "合計",
    "总计",
];

/// Leaves out what is no row of the table, and says so.
pub(super) fn cut(columns: &mut [Column], lines: &mut Vec<u64>, notes: &mut Vec<ImportNote>) {
    if let Some(row) = second_table(columns, lines) {
        let rows: Vec<u64> = lines.iter().skip(row).copied().collect();
        let names = filled(columns, row).map(|c| c.trim().to_owned()).take(4).collect::<Vec<_>>();
        let text = format!(
            "{} below the table left out: another table with \"{}\" seems to begin there. To use it, \
             copy it to a sheet or file of its own.",
            count(rows.len(), "row"),
            names.join("\", \"")
        );
        notes.push(ImportNote::repair(text, &rows));
        truncate(columns, lines, row);
    }
    let (end, what) = remarks(columns, lines);
    if end < lines.len() {
        let rows: Vec<u64> = lines.iter().skip(end).copied().collect();
        let text =
            format!("{} below the table left out: {}.", count(rows.len(), "row"), what.join(", "));
        notes.push(ImportNote::repair(text, &rows));
        truncate(columns, lines, end);
    }
}

fn truncate(columns: &mut [Column], lines: &mut Vec<u64>, len: usize) {
    columns.iter_mut().for_each(|c| c.truncate(len));
    lines.truncate(len);
}

fn filled(columns: &[Column], row: usize) -> impl Iterator<Item = &str> {
    columns.iter().map(move |c| c.raw(row)).filter(|c| !c.trim().is_empty())
}

/// The row after empty ones that names columns where numbers or dates stood above.
fn second_table(columns: &[Column], lines: &[u64]) -> Option<usize> {
    let gaps = lines.windows(2).enumerate().filter(|(_, w)| w[1] > w[0] + 1).map(|(i, _)| i + 1);
    gaps.take(1000).find(|&row| {
        let words = filled(columns, row).all(|c| !is_value(c.trim()));
        let over = |c: &&Column| {
            let above: Vec<&str> = (0..row).rev().take(50).filter_map(|r| c.value(r)).collect();
            !above.is_empty() && above.iter().all(|v| is_value(v)) && !c.is_missing(row)
        };
        // Values below the names: a table, not a remark.
        let below = columns.iter().any(|c| {
            let next: Vec<&str> =
                (row + 1..lines.len()).take(50).filter_map(|r| c.value(r)).collect();
            !c.is_missing(row) && next.len() > 1 && next.iter().all(|v| is_value(v))
        });
        row >= 3
            && words
            && below
            && filled(columns, row).count() > 1
            && columns.iter().any(|c| over(&c))
    })
}

/// Where totals and remarks at the end begin, and what they say.
fn remarks(columns: &[Column], lines: &[u64]) -> (usize, Vec<String>) {
    let rows = lines.len();
    let mut usual: Vec<usize> = (0..rows.min(100)).map(|r| filled(columns, r).count()).collect();
    usual.sort_unstable();
    let usual = usual.get(usual.len() / 2).copied().unwrap_or(0);
    let (mut end, mut what) = (rows, Vec::new());
    for row in (rows.saturating_sub(LAST).max(2)..rows).rev() {
        let first = filled(columns, row).next().unwrap_or("").trim().to_owned();
        let n = filled(columns, row).count();
        let word = first.split(|c: char| !c.is_alphabetic()).next().unwrap_or("").to_lowercase();
        let total = TOTALS.contains(&word.as_str()) && n < usual && usual > 1;
        let gap =
            lines.get(row).zip(lines.get(row.wrapping_sub(1))).is_some_and(|(a, b)| *a > b + 1);
        let starts = first.starts_with(['*', '#'])
            || ["source", "note", "notes", "remark", "quelle", "hinweis"].contains(&word.as_str());
        let remark = n == 1 && usual >= 3 && (gap || starts) && !is_value(&first);
        // A remark may stand on lines of its own below another.
        if !(total || remark) {
            break;
        }
        end = row;
        what.insert(0, format!("\"{}\"", first.chars().take(40).collect::<String>()));
    }
    (end, what)
}

//! What the inference tells the user.

use super::Verdict;
use crate::data::number::{NumberEvidence, NumberFormat};
use crate::data::{ColumnType, ImportNote, Table, count};

pub(super) fn notes(table: &Table, verdicts: &[Verdict]) -> Vec<ImportNote> {
    let mut notes = Vec::new();
    let pairs = || table.columns().iter().zip(verdicts);
    let named = |pick: &dyn Fn(&Verdict) -> bool| {
        let names: Vec<_> =
            pairs().filter(|(_, v)| pick(v)).map(|(c, _)| format!("\"{}\"", c.name())).collect();
        let more = names.len().saturating_sub(6);
        let shown = names.iter().take(6).cloned().collect::<Vec<_>>().join(", ");
        let text = if more > 0 { format!("{shown} and {more} more") } else { shown };
        (names.len(), text)
    };
    notes.push(types(verdicts, table.rows()));
    notes.extend(missing(verdicts));
    for (format, sign) in [
        (NumberFormat::DecimalComma, "as decimal signs"),
        (NumberFormat::Thousands, "between thousands"),
    ] {
        let here = |v: &Verdict| v.format == format && v.commas > 0;
        let cells: usize = verdicts.iter().filter(|v| here(v)).map(|v| v.commas).sum();
        let (n, names) = named(&here);
        if n > 0 {
            let text = format!("Commas are read {sign} in {} of {names}.", count(cells, "number"));
            notes.push(ImportNote::info(text));
        }
    }
    let (n, names) = named(&|v| v.unsure && v.commas > 0);
    if n > 0 {
        let text =
            format!("Numbers such as 1,234 in {names} could be read in two ways; check them.");
        notes.push(ImportNote::repair(text, &[]));
    }
    let mut units: Vec<&str> = verdicts.iter().filter_map(|v| v.written.unit()).collect();
    units.sort_unstable();
    units.dedup();
    let units = format!("Currency and percent signs and units ({}) are left off", units.join(", "));
    for (what, of) in [
        (units.as_str(), (|e| e.units) as fn(&NumberEvidence) -> usize),
        ("Spaces or apostrophes between thousands are read over in", |e| e.spaced),
        ("(12), 12- and the like are read as less than nothing in", |e| e.negatives),
        ("Digits of another script are read in", |e| e.scripts),
    ] {
        let cells: usize = verdicts.iter().map(|v| of(&v.written)).sum();
        if cells > 0 {
            let (_, names) = named(&|v| of(&v.written) > 0);
            let text = format!("{what} {} of {names}.", count(cells, "number"));
            notes.push(ImportNote::info(text));
        }
    }
    for (column, v) in pairs() {
        if v.compact > 0 {
            let first = (0..column.len()).find_map(|r| column.value(r)).unwrap_or_default();
            let text = format!(
                "{} in \"{}\" are read as dates: year, month and day, such as \"{first}\".",
                count(v.compact, "number"),
                column.name()
            );
            notes.push(ImportNote::info(text));
        }
        if v.order_unsure {
            let order = if v.day_first { "day/month" } else { "month/day" };
            let name = column.name();
            let text =
                format!("Dates in \"{name}\" could be read in two ways; they are read as {order}.");
            notes.push(ImportNote::repair(text, &[]));
        }
        if v.misfits > 0 {
            let rows: Vec<u64> = v.misfit_rows.iter().map(|r| table.line(*r)).collect();
            let kind = if v.kind == Some(ColumnType::Date) { "date" } else { "number" };
            let text = format!(
                "{} in \"{}\", such as \"{}\", not being a {kind}, counts as missing.",
                count(v.misfits, "value"),
                column.name(),
                v.misfit
            );
            notes.push(ImportNote::repair(text, &rows));
        }
    }
    let ignored: Vec<_> =
        pairs().filter(|(_, v)| v.kind == Some(ColumnType::Ignore)).take(10).collect();
    for (column, v) in ignored {
        let text = format!("\"{}\" is not used: {}.", column.name(), v.reason);
        notes.push(ImportNote::info(text));
    }
    notes
}

fn types(verdicts: &[Verdict], rows: usize) -> ImportNote {
    let of = |kind| verdicts.iter().filter(|v| v.kind == Some(kind)).count();
    let parts: Vec<String> = [
        (ColumnType::Number, "number"),
        (ColumnType::Category, "category"),
        (ColumnType::Boolean, "yes/no"),
        (ColumnType::Date, "date"),
        (ColumnType::Text, "text"),
        (ColumnType::Ignore, "not used"),
    ]
    .into_iter()
    .filter(|(kind, _)| of(*kind) > 0)
    .map(|(kind, name)| format!("{} {name}", of(kind)))
    .collect();
    ImportNote::info(format!(
        "{}, {}: {}.",
        count(rows, "row"),
        count(verdicts.len(), "column"),
        parts.join(", ")
    ))
}

fn missing(verdicts: &[Verdict]) -> Option<ImportNote> {
    let mut spellings: Vec<(String, usize)> = Vec::new();
    for (spelling, n) in verdicts.iter().flat_map(|v| &v.missing) {
        match spellings.iter_mut().find(|(s, _)| s == spelling) {
            Some((_, k)) => *k += n,
            None => spellings.push((spelling.clone(), *n)),
        }
    }
    spellings.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let total: usize = spellings.iter().map(|(_, n)| n).sum();
    let columns = verdicts.iter().filter(|v| !v.missing.is_empty()).count();
    let written: Vec<String> = spellings
        .iter()
        .map(
            |(s, n)| {
                if s.is_empty() { format!("{n} empty") } else { format!("{n} written \"{s}\"") }
            },
        )
        .collect();
    (total > 0).then(|| {
        ImportNote::info(format!(
            "{} in {} read as missing: {}.",
            count(total, "cell"),
            count(columns, "column"),
            written.join(", ")
        ))
    })
}

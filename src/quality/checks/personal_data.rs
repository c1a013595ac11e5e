//! Columns that hold data about people.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::identifier::words;
use super::{Check, Finding, Run, Severity};
use crate::data::ColumnType;
use crate::quality::context::{Col, TableContext};
use crate::quality::patterns::{self, Kind};
use crate::quality::{rng, wording};

/// Rows looked at.
const SAMPLE: usize = 20_000;
/// Share of a column's cells from which it is made of such data.
const MOST: f64 = 0.5;
/// Different values below which a column cannot be made of such data, whatever its name.
const FEW: usize = 10;

pub(super) const CHECK: Check = Check {
    name: "personal_data",
    title: "Data about people",
    definition: "Cells with the form of an e-mail address, phone number or IP address, or of an IBAN \
                 (remainder modulo 97), payment card (issuer and Luhn digit) or national identity \
                 number (check digits), whole or inside a text; and column names that say so. All \
                 columns, ignored ones too; at most 20,000 rows. Source: the standards of these \
                 numbers (ISO 13616, ISO/IEC 7812); selection and thresholds are our own.",
    run: Run::Table(run),
};

fn run(ctx: &TableContext) -> Vec<Finding> {
    let rows = rng::sample(ctx.rows(), SAMPLE, 6);
    let found: Vec<Finding> = ctx
        .columns
        .par_iter()
        .filter_map(|c| {
            let finding = by_content(c, &rows).or_else(|| by_name(c))?;
            Some(finding.sampled(rows.len(), ctx.rows()))
        })
        .collect();
    CHECK.worst_first(found)
}

fn by_content(column: &Col, rows: &[u32]) -> Option<Finding> {
    let text = column.kind == ColumnType::Text;
    let mut hits: BTreeMap<Kind, Vec<usize>> = BTreeMap::new();
    let mut cells = 0;
    for row in rows.iter().map(|r| *r as usize) {
        let Some(cell) = column.cells.value(row) else { continue };
        cells += 1;
        let long = cell.len() > 40 || (text && cell.contains(' '));
        let kind =
            patterns::whole(cell).or_else(|| if long { patterns::within(cell) } else { None });
        if let Some(kind) = kind {
            hits.entry(kind).or_default().push(row);
        }
    }
    let (&kind, found) = hits.iter().max_by_key(|(_, rows)| rows.len())?;
    let share = found.len() as f64 / cells as f64;
    // A phone number or a card has no more than a form or one check digit: a stray hit among other
    // numbers is chance.
    let weak = matches!(kind, Kind::Phone | Kind::Card | Kind::Ip | Kind::NationalId);
    if weak && !text && share < 0.05 {
        return None;
    }
    let others: Vec<&str> = hits.keys().filter(|k| **k != kind).map(|k| k.name()).collect();
    let mut title = if share >= MOST {
        format!("\"{}\" holds {}", column.name, kind.name())
    } else {
        format!(
            "{} of \"{}\" {} {}",
            wording::counted(found.len(), "cell"),
            column.name,
            if found.len() == 1 { "holds" } else { "hold" },
            kind.name()
        )
    };
    if !others.is_empty() {
        title += &format!(", and some {}", others.join(" and "));
    }
    let advice = "Data about people needs a reason and care, and a model can repeat what it was \
                  trained on. Remove or mask it; it hardly ever helps to predict.";
    let finding = CHECK.finding(Severity::Warning, title, advice).columns([column.name]);
    Some(finding.rows(found.iter().copied()).value(share, 0.0))
}

fn by_name(column: &Col) -> Option<Finding> {
    let what = patterns::by_name(&words(column.name))?;
    // "own telephone: yes/no" holds none.
    if column.distinct(FEW) < FEW {
        return None;
    }
    let title = format!("\"{}\" may hold {what}, going by its name", column.name);
    let advice = "If it does, remove or mask it unless it is needed and may be used.";
    Some(CHECK.finding(Severity::Info, title, advice).columns([column.name]))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    #[test]
    fn columns_and_texts_with_personal_data_are_found() {
        let case = Case::rows("contact,note,first_name,n,when,y", 60, |i| {
            let note = if i == 7 {
                "please answer to jane@example.org soon"
            } else {
                "all fine with the order"
            };
            format!(
                "user{i}@example.com,{note},Ann{i},{},2024-01-{:02},p",
                i * 1_234_567,
                i % 28 + 1
            )
        });
        let found = case.kind("note", ColumnType::Text).run(&CHECK);
        assert_eq!(found.len(), 3);
        assert!(found[0].title.contains("\"contact\" holds e-mail") && found[0].row_count == 60);
        assert_eq!((found[1].rows.as_slice(), found[1].severity), (&[7][..], Severity::Warning));
        assert_eq!(
            (found[2].columns[0].as_str(), found[2].severity),
            ("first_name", Severity::Info)
        );
    }
}

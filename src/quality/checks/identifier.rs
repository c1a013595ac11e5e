//! Columns that name rows.

use super::{Check, Finding, Run, Severity};
use crate::data::ColumnType;
use crate::quality::context::{Col, Data, TableContext};
use crate::quality::wording;

/// Rows below which all-different values are no evidence.
const FEW: usize = 20;
/// Share of different values that makes words an identifier.
const UNIQUE: f64 = 0.99;

pub(super) const CHECK: Check = Check {
    name: "identifier",
    title: "Identifiers used as features",
    definition: "Used columns of whole numbers that all differ and either count up without a gap or \
                 are named like an identifier, and columns of single words of which at least 99 % \
                 differ. Source: cleanlab, identifier_column (consecutive whole numbers); names and \
                 words are our own addition.",
    run: Run::Table(run),
};

fn run(ctx: &TableContext) -> Vec<Finding> {
    let columns: Vec<&Col> = ctx.features().filter(|c| is_identifier(c)).collect();
    if columns.is_empty() {
        return Vec::new();
    }
    let names: Vec<&str> = columns.iter().map(|c| c.name).collect();
    let title = format!(
        "{} to name rows rather than describe them",
        match names.len() {
            1 => format!("{} seems", wording::list(&names, 1)),
            _ => format!("{} seem", wording::list(&names, 6)),
        }
    );
    let advice = "A model can learn the names of the training rows by heart, which helps with no \
                  other row. Set such columns to \"ignore\".";
    vec![CHECK.finding(Severity::Warning, title, advice).columns(names)]
}

/// Whether the column names rows.
pub(super) fn is_identifier(column: &Col) -> bool {
    let present = column.present();
    if present < FEW {
        return false;
    }
    match &column.data {
        Data::Numbers(v) if column.kind == ColumnType::Number => {
            let values = v.iter().filter(|v| v.is_finite());
            if values.clone().any(|v| v.fract() != 0.0) || column.distinct(present) < present {
                return false;
            }
            let (low, high) =
                values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
            (high - low) as usize == present - 1 || named_like_identifier(column.name)
        }
        Data::Codes { values, .. } => {
            let words =
                values.iter().take(200).filter(|v| !v.contains(char::is_whitespace)).count();
            values.len() as f64 >= UNIQUE * present as f64
                && (words * 10 >= values.len().min(200) * 9 || named_like_identifier(column.name))
        }
        Data::Numbers(_) => false,
    }
}

/// Whether a column name says "identifier": `id`, `customer_id`, `customerId`, `uuid`, `index`.
pub(super) fn named_like_identifier(name: &str) -> bool {
    words(name).iter().any(|w| {
        matches!(
            w.as_str(),
            "id" | "ids"
                | "uid"
                | "uuid"
                | "guid"
                | "index"
                | "idx"
                | "rowid"
                | "rownames"
                | "identifier"
                | "unnamed"
        )
    })
}

/// Lower-case words of a name in snake, kebab or camel case.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let mut lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() {
            words.push(String::new());
            lower = false;
            continue;
        }
        if c.is_uppercase() && lower {
            words.push(String::new());
        }
        lower = c.is_lowercase();
        if let Some(last) = words.last_mut() {
            last.extend(c.to_lowercase());
        }
    }
    words.retain(|w| !w.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    #[test]
    fn names_split_into_words() {
        assert_eq!(words("customerId"), ["customer", "id"]);
        assert_eq!(words("Unnamed: 0"), ["unnamed", "0"]);
        assert_eq!(words("ROW_ID"), ["row", "id"]);
        assert!(named_like_identifier("Individual ID") && !named_like_identifier("width"));
    }

    #[test]
    fn running_numbers_and_codes_are_identifiers_and_measurements_are_not() {
        let case = Case::rows("n,account id,code,weight,big,name,y", 100, |i| {
            format!(
                "{},{},B{:05},{}.5,{},person number {i},p",
                i + 7,
                i * i * 31 + 5,
                i * 37,
                i * 3,
                i * i * 17
            )
        });
        let found = case.run(&CHECK);
        assert_eq!(found[0].columns, ["n", "account id", "code"]);
    }
}

//! Categories with too few rows to learn from.

use super::{Check, Finding, Run, Severity};
use crate::data::ColumnType;
use crate::quality::context::{Col, TableContext};
use crate::quality::wording;

/// Rows below which a category cannot be learned.
const FEW: usize = 10;
const SHARE: f64 = 0.01;
/// Share of rows in rare categories from which they matter.
const WARNING: f64 = 0.05;

pub(super) const CHECK: Check = Check {
    name: "rare_categories",
    title: "Rare categories",
    definition: "Categories with fewer than 10 rows and less than 1 % of them; a warning where they \
                 make up more than 5 % of the rows. Source: 1 % is deepchecks' minimum share of a \
                 category and 5 % the tolerance of feature-engine's RareLabelEncoder; 10 rows is our \
                 own rule.",
    run: Run::Table(run),
};

fn run(ctx: &TableContext) -> Vec<Finding> {
    let found =
        ctx.features().filter(|c| c.kind == ColumnType::Category).filter_map(look).collect();
    CHECK.worst_first(found)
}

fn look(column: &Col) -> Option<Finding> {
    let (codes, values, counts) = column.codes()?;
    let present = column.present();
    let is_rare =
        |v: usize| counts.get(v).is_some_and(|&n| n < FEW && (n as f64) < SHARE * present as f64);
    let rare: Vec<&str> = (0..values.len()).filter(|&v| is_rare(v)).map(|v| values[v]).collect();
    if rare.is_empty() {
        return None;
    }
    let rows: Vec<usize> = (0..codes.len()).filter(|&r| is_rare(codes[r] as usize)).collect();
    let share = rows.len() as f64 / present as f64;
    let title = format!(
        "\"{}\" has {} with fewer than {FEW} rows ({} of the rows): {}",
        column.name,
        wording::counted(rare.len(), "value"),
        wording::percent(share),
        wording::list(&rare, 4)
    );
    let advice = "The model can learn little about each of them. Merge them into broader groups or \
                  into \"other\".";
    let severity = if share > WARNING { Severity::Warning } else { Severity::Info };
    let finding = CHECK.finding(severity, title, advice).columns([column.name]);
    Some(finding.rows(rows).value(share, WARNING))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    #[test]
    fn rare_values_are_counted() {
        let case = Case::rows("c,many,y", 1000, |i| {
            format!(
                "{},{},p",
                if i < 3 { "odd" } else { "usual" },
                if i < 200 { format!("v{i}") } else { "w".into() }
            )
        });
        let found = case.run(&CHECK);
        assert_eq!((found[0].columns[0].as_str(), found[0].severity), ("many", Severity::Warning));
        assert_eq!((found[1].rows.as_slice(), found[1].severity), (&[0, 1, 2][..], Severity::Info));
    }
}

//! Things with several rows that fall into both training and test.

use rustc_hash::FxHashSet;

use super::identifier::named_like_identifier;
use super::{Check, Finding, Run, Severity};
use crate::quality::context::{Col, Role, TableContext};
use crate::quality::wording;

pub(super) const CHECK: Check = Check {
    name: "group_leakage",
    title: "The same identifier in training and test",
    definition: "Share of test rows whose value in a column named like an identifier also occurs in \
                 training; 0 is expected. Looked at are columns with at least 20 values, each in at \
                 most a tenth of the rows. Source: deepchecks, Index Train Test Leakage (condition 0).",
    run: Run::Split(run),
};

fn run(ctx: &TableContext) -> Vec<Finding> {
    let Some(split) = ctx.split.filter(|s| !s.test.is_empty()) else { return Vec::new() };
    let groups = |c: &&Col| {
        c.role != Role::Target
            && named_like_identifier(c.name)
            && (20..c.present()).contains(&c.distinct(usize::MAX))
            && largest(c) * 10 <= ctx.rows()
    };
    let mut found = Vec::new();
    for column in ctx.columns.iter().filter(groups) {
        let seen: FxHashSet<u64> = split
            .train
            .iter()
            .map(|r| *r as usize)
            .filter(|&r| column.has(r))
            .map(|r| column.bits(r))
            .collect();
        let rows: Vec<usize> = split
            .test
            .iter()
            .map(|r| *r as usize)
            .filter(|&r| column.has(r) && seen.contains(&column.bits(r)))
            .collect();
        if rows.is_empty() {
            continue;
        }
        let share = rows.len() as f64 / split.test.len() as f64;
        let title = format!(
            "{} of the test rows have a \"{}\" that also occurs in training",
            wording::percent(share),
            column.name
        );
        let advice = "If it names a person, a device or a place with several rows, the test asks about \
                      things that the model has already met, and the score is too good for new ones. \
                      Split by this column instead of by row.";
        let finding = CHECK.finding(Severity::Warning, title, advice).columns([column.name]);
        found.push(finding.rows(rows).value(share, 0.0));
    }
    CHECK.worst_first(found)
}

/// Rows with the commonest value.
fn largest(column: &Col) -> usize {
    if let Some((_, _, counts)) = column.codes() {
        return counts.iter().copied().max().unwrap_or(0);
    }
    let mut counts = rustc_hash::FxHashMap::<u64, usize>::default();
    (0..column.len())
        .filter(|&r| column.has(r))
        .for_each(|r| *counts.entry(column.bits(r)).or_default() += 1);
    counts.into_values().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;
    use crate::data::ColumnType;

    #[test]
    fn patients_in_both_parts_are_counted() {
        let case = Case::rows("patient_id,x,y", 200, |i| {
            format!("{},{i}.5,p", if i < 180 { i / 3 } else { i })
        })
        .split_at(158);
        let found = case.run(&CHECK);
        // Patient 52 has rows 156 and 157 in training and 158 in test.
        assert_eq!(found[0].rows, [158]);
        let ignored = case.kind("patient_id", ColumnType::Ignore).run(&CHECK);
        assert_eq!(ignored[0].rows, [158]);
    }
}

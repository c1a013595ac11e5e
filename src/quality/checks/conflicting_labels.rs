//! Rows with the same features and different labels.

use super::{Check, Finding, Run, Severity};
use crate::quality::context::TableContext;
use crate::quality::wording;

const WARNING: f64 = 0.01;
const HIGH: f64 = 0.10;

pub(super) const CHECK: Check = Check {
    name: "conflicting_labels",
    title: "Same features, different label",
    definition: "Rows that share every feature with a row of another class, over all rows; 0 is \
                 expected. Warning above 1 %, high above 10 % unless the features allow fewer than \
                 ten combinations per row, where such rows are to be expected. Source: deepchecks, \
                 Conflicting Labels (condition 0); the steps above 0 are our own.",
    run: Run::Table(run),
};

fn run(ctx: &TableContext) -> Vec<Finding> {
    let Some((codes, _, _)) = ctx.target().and_then(|t| t.codes()) else { return Vec::new() };
    let target = ctx.target().map_or("", |t| t.name);
    let mut rows = Vec::new();
    let mut groups = 0;
    for group in ctx.feature_groups.iter() {
        let labelled =
            || group.iter().filter(|r| (codes[**r as usize]) != crate::data::table::NO_CODE);
        let first = labelled().next().map(|r| codes[*r as usize]);
        if labelled().any(|r| Some(codes[*r as usize]) != first) {
            groups += 1;
            rows.extend(labelled().map(|r| *r as usize));
        }
    }
    if rows.is_empty() {
        return Vec::new();
    }
    let share = rows.len() as f64 / ctx.rows() as f64;
    let coarse = ctx.coarse();
    let severity = match share {
        s if s > HIGH && !coarse => Severity::High,
        s if s > WARNING => Severity::Warning,
        _ => Severity::Info,
    };
    let title = format!(
        "{} ({}) in {} share all features but differ in \"{target}\"",
        wording::counted(rows.len(), "row"),
        wording::percent(share),
        wording::counted(groups, "group"),
    );
    let advice = if coarse {
        "The columns allow so few combinations that cases with different outcomes look alike. No \
         model can tell them apart; a further column that does would help."
    } else {
        "No model can be right on all of these. Correct the labels where one is wrong, or add a \
         column that tells the cases apart."
    };
    // Groups stay together, so that a reader sees what conflicts.
    vec![CHECK.finding(severity, title, advice).columns([target]).rows(rows).value(share, 0.0)]
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    #[test]
    fn conflicts_are_found_with_their_partners() {
        let case = Case::rows("a,b,y", 200, |i| {
            let twin = if i >= 199 { 5 } else { i };
            format!("{}.25,{},{}", twin * 3, twin % 11, ["p", "q"][(i + i / 199) % 2 % 2])
        });
        let found = case.run(&CHECK);
        // Row 199 copies the features of row 5 (label q) with label p.
        assert_eq!(found[0].rows, [5, 199]);
        assert_eq!(found[0].severity, Severity::Info);
    }

    #[test]
    fn many_conflicts_block_unless_the_features_are_coarse() {
        let fine = Case::rows("a,b,y", 200, |i| {
            format!("{}.5,{},{}", i / 2, i / 2 * 7, ["p", "q"][i % 2])
        });
        assert_eq!(fine.run(&CHECK)[0].severity, Severity::High);
        let coarse = Case::rows("a,y", 200, |i| format!("{},{}", i % 3, ["p", "q"][i % 2]));
        assert_eq!(coarse.run(&CHECK)[0].severity, Severity::Warning);
        let regression = Case::rows("a,y", 50, |i| format!("1,{i}"));
        assert!(regression.run(&CHECK).is_empty());
    }
}

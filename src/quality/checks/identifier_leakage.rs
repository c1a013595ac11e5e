//! Identifiers, or the order of rows, that tell the target.

use super::identifier::is_identifier;
use super::target_leakage::TargetColumn;
use super::{Check, Finding, Run, Severity};
use crate::quality::context::{Role, TableContext};
use crate::quality::pps::{self, Feature, Target};
use crate::quality::rng::Rng;

pub(super) const CHECK: Check = Check {
    name: "identifier_leakage",
    title: "Identifiers that tell the answer",
    definition: "Predictive power score of an identifier or of the row number for the target; 0 is \
                 expected. Reported when it is above 0 and above that of five random orders. Source: \
                 deepchecks, Identifier Label Correlation (condition 0); the five random orders are \
                 our own guard against chance.",
    run: Run::Table(run),
};

fn run(ctx: &TableContext) -> Vec<Finding> {
    let Some(target) = TargetColumn::new(ctx) else { return Vec::new() };
    let n = ctx.rows();
    let score = |f: Feature, t: Target| pps::score(f, t, n, &ctx.orders);
    let by_chance = || {
        (1..=5).map(|seed| {
            let order = Rng::new(seed).permutation(n);
            let random: Vec<f64> = order.iter().map(|&i| f64::from(i)).collect();
            score(Feature::Numbers(&random), target.get())
        })
    };
    let chance = by_chance().fold(0.0, f64::max);
    let mut found = Vec::new();
    for column in ctx.columns.iter().filter(|c| c.role != Role::Target && is_identifier(c)) {
        let value = score(column.feature(), target.get());
        if value > chance {
            let (severity, advice) = if column.is_feature() {
                (
                    Severity::Warning,
                    "Set it to \"ignore\": what it tells holds for these rows only.",
                )
            } else {
                (
                    Severity::Info,
                    "It is not used for training, so it does no harm. It shows that rows were \
                 collected in an order that has to do with the answer.",
                )
            };
            let title = format!(
                "The identifier \"{}\" tells something about \"{}\" (predictive power {value:.2})",
                column.name, target.column.name
            );
            found.push(
                CHECK.finding(severity, title, advice).columns([column.name]).value(value, 0.0),
            );
        }
    }
    let numbers: Vec<f64> = (0..n).map(|r| r as f64).collect();
    let value = score(Feature::Numbers(&numbers), target.get());
    if value > chance {
        let title = format!(
            "The order of rows tells something about \"{}\" (predictive power {value:.2})",
            target.column.name
        );
        let advice = "The rows are sorted or grouped by the answer, or it changes over time. Parts \
                      for training and test are drawn at random, so sorting does no harm; if the \
                      order is time, test on the latest rows instead.";
        found.push(CHECK.finding(Severity::Info, title, advice).value(value, 0.0));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;
    use crate::data::ColumnType;

    #[test]
    fn sorted_rows_and_telling_identifiers_are_found() {
        let sorted = Case::rows("id,a,y", 300, |i| {
            format!("{},{},{}", i + 1, i * 7 % 13, ["p", "q", "r"][i / 100])
        });
        let found = sorted.run(&CHECK);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].severity, found[0].columns[0].as_str()), (Severity::Warning, "id"));
        assert!(found[0].value > Some(0.9) && found[1].title.contains("order of rows"));
        let ignored = sorted.kind("id", ColumnType::Number);
        assert_eq!(ignored.run(&CHECK)[1].severity, Severity::Info);
    }

    #[test]
    fn a_random_order_is_not_reported() {
        let mut rng = Rng::new(9);
        let case =
            Case::rows("id,y", 400, |i| format!("{i},{}", ["p", "q"][rng.up_to(1) as usize]));
        assert!(case.run(&CHECK).is_empty());
    }
}

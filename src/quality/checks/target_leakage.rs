//! Columns that give the answer away.

use rayon::prelude::*;

use super::{Check, Finding, Run, Severity};
use crate::quality::context::{Col, Data, TableContext};
use crate::quality::pps::{self, Feature, Target};
use crate::quality::wording;

/// Score from which a column gives the target away.
const LIMIT: f64 = 0.8;
/// Filled cells that must agree before filling alone counts as giving a class away.
const AGREE: usize = 30;
/// Largest chance of such agreement by luck.
const LUCK: f64 = 1e-6;

pub(super) const CHECK: Check = Check {
    name: "target_leakage",
    title: "Columns that give the answer away",
    definition: "Predictive power score of one column for the target: a cross-validated decision tree \
                 against the best guess without the column, 0 to 1, on at most 5,000 rows. The same \
                 for whether the cell is filled. High from 0.8. Also high: 30 or more filled cells \
                 that all have the same class where luck would do that less than once in a million. \
                 Source: ppscore 1.3; threshold of deepchecks, Feature Label Correlation; the test on \
                 filled cells is our own.",
    run: Run::Table(run),
};

fn run(ctx: &TableContext) -> Vec<Finding> {
    let Some(target) = TargetColumn::new(ctx) else { return Vec::new() };
    let columns: Vec<&Col> = ctx.features().collect();
    let found = columns.par_iter().filter_map(|c| look(ctx, c, &target)).collect();
    CHECK.worst_first(found)
}

/// The target as the score takes it; classes in sorted order, which breaks ties.
pub(super) struct TargetColumn<'a> {
    pub(super) column: &'a Col<'a>,
    codes: Vec<u32>,
    classes: usize,
}

impl<'a> TargetColumn<'a> {
    pub(super) fn new(ctx: &'a TableContext) -> Option<Self> {
        let column = ctx.target()?;
        let Some((codes, values, _)) = column.codes() else {
            return Some(Self { column, codes: Vec::new(), classes: 0 });
        };
        let mut order: Vec<usize> = (0..values.len()).collect();
        let numbers: Option<Vec<f64>> = values.iter().map(|v| v.parse().ok()).collect();
        match numbers {
            Some(n) => order.sort_by(|&a, &b| n[a].total_cmp(&n[b])),
            None => order.sort_by_key(|&v| values[v]),
        }
        let mut rank = vec![0u32; values.len()];
        order.iter().zip(0u32..).for_each(|(&v, r)| rank[v] = r);
        let codes = codes.iter().map(|&c| rank.get(c as usize).copied().unwrap_or(c)).collect();
        Some(Self { column, codes, classes: values.len() })
    }

    pub(super) fn get(&self) -> Target<'_> {
        match &self.column.data {
            Data::Numbers(v) => Target::Numbers(v),
            Data::Codes { .. } => Target::Classes { codes: &self.codes, classes: self.classes },
        }
    }
}

fn look(ctx: &TableContext, column: &Col, target: &TargetColumn) -> Option<Finding> {
    let (n, name, label) = (ctx.rows(), column.name, target.column.name);
    let score = pps::score(column.feature(), target.get(), n, &ctx.orders);
    let looked_at = |rows: usize| rows.min(pps::SAMPLE);
    if score >= LIMIT {
        let title = format!(
            "\"{name}\" alone predicts \"{label}\" almost perfectly (predictive power {score:.2})"
        );
        let advice = "Is it known before the answer is? If it is filled in afterwards or computed \
                      from the answer, set it to \"ignore\": the model would fail in use. If it is \
                      truly known beforehand, accept it with that reason.";
        let finding = CHECK.finding(Severity::High, title, advice).columns([name]);
        return Some(
            finding.value(score, LIMIT).sampled(looked_at(column.present()), column.present()),
        );
    }
    if column.present() == 0 || column.present() == n {
        return None;
    }
    let filled: Vec<u32> = (0..n).map(|r| u32::from(column.has(r))).collect();
    let feature = Feature::Codes { codes: &filled, values: 2 };
    let score = pps::score(feature, target.get(), n, &ctx.orders);
    let advice = "A cell that is filled only after one outcome gives the outcome away. Set the \
                  column to \"ignore\" unless it is filled before the answer is known; accept it \
                  with that reason if so.";
    if score >= LIMIT {
        let title = format!(
            "Whether \"{name}\" is filled predicts \"{label}\" almost perfectly (predictive power \
             {score:.2})"
        );
        let finding = CHECK.finding(Severity::High, title, advice).columns([name]);
        return Some(finding.value(score, LIMIT).sampled(looked_at(n), n));
    }
    let (class, share) = one_class(column, target)?;
    let title = format!(
        "\"{label}\" is \"{class}\" in all {} where \"{name}\" is filled, but in {} of the others",
        wording::counted(column.present(), "row"),
        wording::percent(share)
    );
    let finding = CHECK.finding(Severity::High, title, advice).columns([name]);
    let rows = (0..n).filter(|&r| column.has(r));
    Some(finding.rows(rows).value(1.0, LIMIT))
}

/// The class that all filled cells agree on beyond luck, and its share among the other rows.
fn one_class<'a>(column: &Col, target: &TargetColumn<'a>) -> Option<(&'a str, f64)> {
    let (codes, values, _) = target.column.codes()?;
    let (mut filled, mut others) = (vec![0usize; values.len()], vec![0usize; values.len()]);
    for (row, &code) in codes.iter().enumerate() {
        if let Some(class) = (code as usize).lt(&values.len()).then_some(code as usize) {
            if column.has(row) { filled[class] += 1 } else { others[class] += 1 }
        }
    }
    let class = filled.iter().position(|&n| n > 0)?;
    let n: usize = filled.iter().sum();
    if n < AGREE || filled[class] < n {
        return None;
    }
    let rest: usize = others.iter().sum();
    let share = (filled[class] + others[class]) as f64 / (n + rest) as f64;
    (share.powi(n as i32) < LUCK)
        .then(|| (values[class], others[class] as f64 / rest.max(1) as f64))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;
    use crate::quality::rng::Rng;

    fn case() -> Case {
        let mut rng = Rng::new(4);
        let mut lucky = move || rng.up_to(4) == 0;
        Case::rows("weak,delay,boat,body,sparse,late", 1000, move |i| {
            let yes = i % 5 < 2;
            // "boat" is filled for most who survive, "body" only for some who do not.
            let boat = if yes != (i % 50 == 0) { ["A", "B", "7"][i % 3] } else { "" };
            let body = if !yes && i % 7 == 0 { i.to_string() } else { String::new() };
            let sparse = if i % 9 == 0 { "x" } else { "" };
            let weak = i32::from(yes != lucky()) * 10 + (i % 7) as i32;
            format!(
                "{weak},{},{boat},{body},{sparse},{}",
                if yes { 20 + i % 50 } else { i % 15 },
                ["no", "yes"][usize::from(yes)]
            )
        })
    }

    #[test]
    fn columns_known_only_afterwards_are_found() {
        let found = case().run(&CHECK);
        let mut names: Vec<&str> = found.iter().map(|f| f.columns[0].as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["boat", "body", "delay"]);
        assert!(found.iter().all(|f| f.severity == Severity::High));
        let body = found.iter().find(|f| f.columns[0] == "body").unwrap();
        assert!(body.title.contains("is \"no\" in all"), "{}", body.title);
    }

    #[test]
    fn numbers_are_predicted_too() {
        let case =
            Case::rows("x,noise,y", 500, |i| format!("{},{},{}", i * 2, (i * 7919) % 101, i * i));
        let found = case.run(&CHECK);
        assert_eq!((found.len(), found[0].columns[0].as_str()), (1, "x"));
    }
}

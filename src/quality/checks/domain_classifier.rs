//! Whether a model can tell test rows from training rows.

use super::{Check, Finding, Run, Severity};
use crate::data::ColumnType;
use crate::quality::boost::{Binned, Boosted};
use crate::quality::context::{Col, TableContext};
use crate::quality::rng::{self, Rng};
use crate::quality::{stats, wording};

const LIMIT: f64 = 0.25;
/// Rows looked at on each side.
const SAMPLE: usize = 10_000;
const FEW: usize = 50;
const FOLDS: u32 = 4;
/// Standard errors above chance that the score must be.
const SURE: f64 = 3.0;

pub(super) const CHECK: Check = Check {
    name: "domain_classifier",
    title: "A model can tell test from training rows",
    definition: "2·AUC − 1 of a classifier (10 boosted trees of depth 2) that tells test rows from \
                 training rows, equally many of each and at most 10,000, scored on rows it was not \
                 fitted on (4 folds). Warning from 0.25 where the AUC is at least 3 standard errors \
                 above 0.5. Source: deepchecks, Multivariate Drift; folds and the guard against \
                 chance are our own.",
    run: Run::Split(run),
};

fn run(ctx: &TableContext) -> Vec<Finding> {
    let Some(split) = ctx.split else { return Vec::new() };
    let later = if split.test.is_empty() { &split.validation } else { &split.test };
    let side = SAMPLE.min(split.train.len()).min(later.len());
    let columns: Vec<&Col> = ctx
        .features()
        .filter(|c| {
            matches!(c.kind, ColumnType::Number | ColumnType::Category | ColumnType::Boolean)
        })
        .filter(|c| c.codes().is_none_or(|(_, values, _)| values.len() * 2 <= c.present()))
        .collect();
    if side < FEW || columns.is_empty() {
        return Vec::new();
    }
    let thin = |rows: &[u32]| -> Vec<u32> {
        rng::sample(rows.len(), side, 3).into_iter().map(|i| rows[i as usize]).collect()
    };
    let rows: Vec<u32> = thin(&split.train).into_iter().chain(thin(later)).collect();
    let is_test: Vec<bool> = (0..rows.len()).map(|i| i >= side).collect();
    let binned: Vec<Binned> = columns.iter().map(|c| bin(c, &rows)).collect();
    let order = Rng::new(4).permutation(rows.len());
    let (mut auc, mut gains) = (0.0, vec![0.0; columns.len()]);
    for fold in 0..FOLDS {
        let of = |held: bool| {
            let fold_of = |p: usize| p as u32 % FOLDS == fold;
            order.iter().enumerate().filter(move |(p, _)| fold_of(*p) == held).map(|(_, r)| *r)
        };
        let model = Boosted::fit(&binned, &is_test, &of(false).collect::<Vec<_>>());
        let held: Vec<usize> = of(true).map(|r| r as usize).collect();
        let scores: Vec<f64> = held.iter().map(|&r| model.score(&binned, r)).collect();
        let truth: Vec<bool> = held.iter().map(|&r| is_test[r]).collect();
        auc += stats::auc(&scores, &truth) / f64::from(FOLDS);
        gains.iter_mut().zip(&model.gains).for_each(|(g, m)| *g += m);
    }
    let value = (2.0 * auc - 1.0).max(0.0);
    let n = side as f64;
    let standard_error = ((2.0 * n + 1.0) / (12.0 * n * n)).sqrt();
    if value < LIMIT || auc - 0.5 < SURE * standard_error {
        return Vec::new();
    }
    let total: f64 = gains.iter().sum();
    let mut by_gain: Vec<usize> = (0..columns.len()).filter(|&c| gains[c] > total * 0.05).collect();
    by_gain.sort_by(|&a, &b| gains[b].total_cmp(&gains[a]));
    let names: Vec<&str> = by_gain.iter().map(|&c| columns[c].name).collect();
    let title = format!(
        "Test rows can be told from training rows (drift score {value:.2}), mostly by {}",
        wording::list(&names, 4)
    );
    let advice = "The model is tested on cases unlike those it learns from. Look at the named \
                  columns; split at random if the difference is not meant.";
    let finding = CHECK.finding(Severity::Warning, title, advice).columns(names);
    let all = split.train.len() + later.len();
    vec![finding.value(value, LIMIT).sampled(rows.len(), all)]
}

fn bin(column: &Col, rows: &[u32]) -> Binned {
    match (column.numbers(), column.codes()) {
        (Some(v), _) => Binned::numbers(&rows.iter().map(|&r| v[r as usize]).collect::<Vec<_>>()),
        (None, Some((codes, ..))) => {
            Binned::codes(&rows.iter().map(|&r| codes[r as usize]).collect::<Vec<_>>())
        }
        (None, None) => Binned::codes(&vec![0; rows.len()]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    #[test]
    fn a_change_of_two_columns_together_is_found() {
        let mut rng = Rng::new(11);
        // Each column alone is the same in both parts; only together they differ.
        let case = Case::rows("a,b,c,y", 2000, |i| {
            let (a, c) = (rng.up_to(99), rng.up_to(99));
            let b = if i < 1000 { (a + rng.up_to(20)) % 100 } else { rng.up_to(99) };
            format!("{},{b},{c},p", a)
        });
        let found = case.split_at(1000).run(&CHECK);
        assert_eq!(found[0].columns.iter().filter(|c| *c == "c").count(), 0);
        assert!(found[0].value > Some(0.25));
    }

    #[test]
    fn equal_parts_are_not_told_apart() {
        let mut rng = Rng::new(12);
        let case = Case::rows("a,b,y", 400, |_| format!("{},{},p", rng.up_to(99), rng.up_to(99)));
        assert!(case.split_at(300).run(&CHECK).is_empty());
    }
}

//! Labels that are probably wrong, and labels that look turned on purpose.

use super::{Check, Finding, Run, Severity};
use crate::quality::confident;
use crate::quality::context::Predictions;
use crate::quality::wording;

/// Share of rows with a probable label error from which it is a warning.
const LIMIT: f64 = 0.01;
/// Most issues named as one cluster must make up at least this share of their class.
const CLUSTER: f64 = 0.03;
/// Fewest rows of a cluster.
const FEWEST: usize = 8;
/// How sure predictions of a cluster must be on average.
const SURE: f32 = 0.8;

pub(super) const CHECK: Check = Check {
    name: "label_issues",
    title: "Labels that are probably wrong",
    definition: "Rows whose label contradicts the prediction of a model that has not seen them: \
                 confident joint and pruning by noise rate, on predictions of a cross-validated \
                 network of this program. Warning from 1 % of the rows. Source: confident learning \
                 (Northcutt et al., 2021), cleanlab find_label_issues.",
    run: Run::Predictions(run),
};

pub(super) const FLIPS: Check = Check {
    name: "label_flips",
    title: "Labels turned from one class to another",
    definition: "Probable label errors of one direction (labelled A, is B) that make up at least 3 % \
                 of A, 8 rows or more, at a mean margin of 0.8 or more, and ten times as many as the \
                 other way round. Mistakes of people go both ways; an attack that turns labels, or a \
                 broken import, goes one way. Source: label-flip poisoning as in NIST AI 100-2; \
                 thresholds are our own.",
    run: Run::Predictions(flips),
};

fn run(p: &Predictions) -> Vec<Finding> {
    let issues = confident::issues(&p.oof.labels, &p.oof.predictions, p.oof.outputs);
    if issues.is_empty() {
        return Vec::new();
    }
    let share = issues.len() as f64 / p.oof.rows.len().max(1) as f64;
    let severity = if share >= LIMIT { Severity::Warning } else { Severity::Info };
    let first = &issues[0];
    let title = format!(
        "{} of {} ({}) probably have a wrong label; the surest is labelled \"{}\" and looks like \"{}\"",
        wording::count(issues.len()),
        wording::counted(p.oof.rows.len(), "row"),
        wording::percent(share),
        p.class(first.given),
        p.class(first.better)
    );
    let advice = "Look at these rows, surest first, and correct the labels that are wrong. Odd but \
                  correct rows can stay: not each of them is an error.";
    let rows = issues.iter().filter_map(|i| p.oof.rows.get(i.at)).map(|r| *r as usize);
    let finding = CHECK.finding(severity, title, advice).columns(p.column.iter().copied());
    vec![finding.rows(rows).value(share, LIMIT).sampled(p.oof.rows.len(), p.of)]
}

fn flips(p: &Predictions) -> Vec<Finding> {
    let issues = confident::issues(&p.oof.labels, &p.oof.predictions, p.oof.outputs);
    let k = p.oof.outputs;
    let of = |given: usize, better: usize| {
        issues.iter().filter(move |i| i.given == given && i.better == better)
    };
    let mut found = Vec::new();
    for given in 0..k {
        let labelled = p.oof.labels.iter().filter(|l| **l as usize == given).count();
        for better in (0..k).filter(|b| *b != given) {
            let n = of(given, better).count();
            let back = of(better, given).count();
            let mean = of(given, better).map(|i| i.margin).sum::<f32>() / n.max(1) as f32;
            let share = n as f64 / labelled.max(1) as f64;
            if n < FEWEST || share < CLUSTER || mean < SURE || n < 10 * back.max(1) {
                continue;
            }
            let title = format!(
                "{} labelled \"{}\" look like \"{}\", and hardly any the other way round",
                wording::counted(n, "row"),
                p.class(given),
                p.class(better)
            );
            let advice = "Someone or something may have turned these labels. Find out where they \
                          come from before you train; correct them or leave them out.";
            let rows = of(given, better).filter_map(|i| p.oof.rows.get(i.at)).map(|r| *r as usize);
            let finding =
                FLIPS.finding(Severity::Warning, title, advice).columns(p.column.iter().copied());
            found.push(finding.rows(rows.collect::<Vec<_>>()).value(share, CLUSTER));
        }
    }
    FLIPS.worst_first(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::crossval::OutOfFold;

    fn predictions(flip: impl Fn(usize) -> bool) -> OutOfFold {
        let n = 400;
        let truth = |i: usize| i % 2;
        OutOfFold {
            rows: (0..n as u32).collect(),
            labels: (0..n)
                .map(|i| (if flip(i) { 1 - truth(i) } else { truth(i) }) as u32)
                .collect(),
            outputs: 2,
            predictions: (0..n)
                .flat_map(|i| if truth(i) == 0 { [0.97, 0.03] } else { [0.03, 0.97] })
                .collect(),
            values: Vec::new(),
        }
    }

    fn all(check: &Check, oof: &OutOfFold) -> Vec<Finding> {
        let classes = ["cat".to_owned(), "dog".to_owned()];
        let p = Predictions { oof, classes: &classes, column: Some("y"), of: 400, table: None };
        let Run::Predictions(run) = check.run else { panic!() };
        run(&p)
    }

    #[test]
    fn errors_both_ways_are_errors_and_one_way_is_an_attack() {
        let both = predictions(|i| i % 20 == 0 || i % 20 == 1);
        let found = all(&CHECK, &both);
        assert_eq!((found[0].row_count, found[0].severity), (40, Severity::Warning));
        assert!(all(&FLIPS, &both).is_empty());
        let one_way = predictions(|i| i % 20 == 0);
        let found = all(&FLIPS, &one_way);
        assert_eq!((found.len(), found[0].row_count), (1, 20));
        assert!(
            found[0].title.contains("labelled \"dog\" look like \"cat\""),
            "{}",
            found[0].title
        );
        assert!(all(&CHECK, &predictions(|_| false)).is_empty());
    }
}

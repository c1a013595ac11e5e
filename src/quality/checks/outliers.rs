//! Rows unlike all others.

use super::{Check, Finding, Run, Severity};
use crate::quality::context::TableContext;
use crate::quality::wording;

pub(super) const CHECK: Check = Check {
    name: "outliers",
    title: "Rows unlike all others",
    definition: "Rows whose mean distance to their 10 nearest rows is above Q3 + 1.7·IQR of these \
                 distances (standardised numbers; two different categories are 1 apart; at most 4,000 \
                 rows). Source: cleanlab, outlier (threshold 0.37037, that is 1/0.37037 − 1 = 1.7 IQR), with \
                 Euclidean distance.",
    run: Run::Table(run),
};

fn run(ctx: &TableContext) -> Vec<Finding> {
    let Some(near) = &ctx.neighbours else { return Vec::new() };
    let limit = near.graph.outlier_limit();
    let mut far: Vec<(f64, usize)> = near
        .graph
        .mean_distances()
        .into_iter()
        .zip(&near.rows)
        .filter(|(d, _)| *d > limit)
        .map(|(d, r)| (d, *r as usize))
        .collect();
    if far.is_empty() {
        return Vec::new();
    }
    far.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let share = far.len() as f64 / near.rows.len() as f64;
    let title = format!(
        "{} ({}) {} unlike all others",
        wording::counted(far.len(), "row"),
        wording::percent(share),
        if far.len() == 1 { "is" } else { "are" }
    );
    let advice = "Unusual rows come first. Look at some: correct slips, remove what does not belong; \
                  rare but true cases should stay.";
    let value = far[0].0;
    let finding = CHECK.finding(Severity::Info, title, advice).rows(far.iter().map(|f| f.1));
    vec![finding.value(value, limit).sampled(near.rows.len(), ctx.rows())]
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;
    use crate::quality::rng::Rng;

    #[test]
    fn a_planted_row_comes_first() {
        let mut rng = Rng::new(8);
        let case = Case::rows("a,b,c,y", 300, |i| {
            let (a, b) = (rng.up_to(99), rng.up_to(99));
            if i == 123 { "900,900,z,p".into() } else { format!("{a},{b},{},p", ["u", "v"][i % 2]) }
        });
        let found = case.run(&CHECK);
        assert_eq!(found[0].rows[0], 123);
        assert!(found[0].row_count < 30 && found[0].value > found[0].threshold);
    }
}

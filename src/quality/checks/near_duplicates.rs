//! Rows that nearly repeat another.

use super::{Check, Finding, Run, Severity};
use crate::quality::context::TableContext;
use crate::quality::{stats, wording};

/// Share of the median distance to the nearest row below which two rows are near-duplicates.
const RADIUS: f64 = 0.13;

pub(super) const CHECK: Check = Check {
    name: "near_duplicates",
    title: "Nearly repeated rows",
    definition: "Distinct rows whose distance to the nearest other row is below 0.13 of the median \
                 such distance (standardised numbers; two different categories are 1 apart; at most \
                 4,000 rows). Source: cleanlab, near_duplicate, with Euclidean distance.",
    run: Run::Table(run),
};

fn run(ctx: &TableContext) -> Vec<Finding> {
    let Some(near) = &ctx.neighbours else { return Vec::new() };
    let nearest = near.graph.nearest();
    let median = stats::quantile(&stats::sorted(nearest.iter().map(|n| n.0)), 0.5);
    let limit = RADIUS * median;
    // Exact copies are found by another check, over all rows.
    let rows: Vec<usize> = nearest
        .iter()
        .zip(&near.rows)
        .filter(|((d, _), _)| *d > 0.0 && *d < limit)
        .map(|(_, r)| *r as usize)
        .collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let share = rows.len() as f64 / near.rows.len() as f64;
    let title = format!(
        "{} ({}) nearly repeat another row",
        wording::counted(rows.len(), "row"),
        wording::percent(share)
    );
    let advice = "Such rows are often the same case entered twice with small changes. Look at a few; \
                  remove them if they are, so that copies do not fall into both training and test \
                  data.";
    let finding = CHECK.finding(Severity::Info, title, advice).rows(rows);
    vec![finding.value(share, 0.0).sampled(near.rows.len(), ctx.rows())]
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;
    use crate::quality::rng::Rng;

    #[test]
    fn slightly_changed_copies_are_found() {
        let mut rng = Rng::new(1);
        let mut last = (0.0, 0.0);
        let case = Case::rows("a,b,y", 400, |i| {
            if i % 40 == 39 {
                last.0 += 0.001;
            } else {
                last =
                    (f64::from(rng.up_to(99_999)) / 1000.0, f64::from(rng.up_to(99_999)) / 1000.0);
            }
            format!("{},{},{}", last.0, last.1, ["p", "q"][i % 2])
        });
        let found = case.run(&CHECK);
        let planted = (39..400).step_by(40);
        assert!(
            planted.clone().all(|r| found[0].rows.contains(&r) && found[0].rows.contains(&(r - 1)))
        );
        assert!(found[0].row_count < 40, "{}", found[0].row_count);
    }
}

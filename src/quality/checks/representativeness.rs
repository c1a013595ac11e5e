//! Groups that are rarer in the data than they should be.

use super::{Check, Finding, Run, Severity};
use crate::quality::context::TableContext;
use crate::quality::stats::special;
use crate::quality::wording;

/// Share of its expected share below which a group is under-represented.
const LIMIT: f64 = 0.8;
/// Largest chance that a difference is luck.
const P: f64 = 0.05;

pub(super) const CHECK: Check = Check {
    name: "representativeness",
    title: "Groups rarer than they should be",
    definition: "Share of each group in the data against the share that the user says it has in the \
                 world. Warning where it is below 80 % of that and a chi-squared test of the whole \
                 column says that it is not luck (p < 0.05). Source: chi-squared goodness of fit \
                 (scipy.stats.chisquare); the 80 % are our own.",
    run: Run::Table(run),
};

fn run(ctx: &TableContext) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, shares) in ctx.shares {
        let Some(column) = ctx.columns.iter().find(|c| c.name == name) else { continue };
        let cells = column.cells;
        let counted = |value: &str| {
            (0..cells.len()).filter(|&r| cells.value(r).is_some_and(|v| v == value)).count()
        };
        let sum: f64 = shares.values().sum();
        let counts: Vec<(&str, usize, f64)> =
            shares.iter().map(|(v, s)| (v.as_str(), counted(v), s / sum)).collect();
        let total: usize = counts.iter().map(|c| c.1).sum();
        if total == 0 || sum <= 0.0 || counts.len() < 2 {
            continue;
        }
        let statistic: f64 = counts
            .iter()
            .filter(|c| c.2 > 0.0)
            .map(|(_, n, s)| (*n as f64 - s * total as f64).powi(2) / (s * total as f64))
            .sum();
        let p = special::chi2_sf(statistic, (counts.len() - 1) as f64);
        for (value, n, expected) in counts {
            let share = n as f64 / total as f64;
            if p >= P || share >= LIMIT * expected {
                continue;
            }
            let title = format!(
                "\"{value}\" makes up {} of \"{name}\" in the data, but should make up {}",
                wording::percent(share),
                wording::percent(expected)
            );
            let advice = "The model sees too few of this group to serve it well. Collect more rows, \
                          or compare the scores per group in Evaluate before you use it.";
            let rows = (0..cells.len()).filter(|&r| cells.value(r).is_some_and(|v| v == value));
            let finding = CHECK.finding(Severity::Warning, title, advice).columns([name.as_str()]);
            found.push(finding.rows(rows).value(share / expected, LIMIT));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    #[test]
    fn a_group_below_its_share_is_named() {
        let case = Case::rows("sex,x,y", 400, |i| {
            format!("{},{},{}", if i % 4 == 0 { "f" } else { "m" }, i % 7, ["a", "b"][i % 2])
        });
        let found = case.run_with_shares(&CHECK, &[("sex", &[("f", 0.5), ("m", 0.5)])]);
        assert_eq!((found.len(), found[0].row_count), (1, 100));
        assert!(found[0].title.starts_with("\"f\" makes up 25 %"), "{}", found[0].title);
        assert!(case.run_with_shares(&CHECK, &[("sex", &[("f", 0.25), ("m", 0.75)])]).is_empty());
        assert!(case.run_with_shares(&CHECK, &[("gone", &[("f", 0.5), ("m", 0.5)])]).is_empty());
    }
}

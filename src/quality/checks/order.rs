//! Whether rows close in the file are alike.

use super::{Check, Finding, Run, Severity, change_point};
use crate::quality::context::TableContext;

const P: f64 = 0.05;
/// Gap from which the order matters and is not only measurable.
const LARGE: f64 = 0.1;
/// Rows below which the test says little.
const FEW: usize = 50;

pub(super) const CHECK: Check = Check {
    name: "order",
    title: "Rows that depend on their order",
    definition: "Whether nearest neighbours lie closer in the file than chance would have it: largest \
                 gap between the distribution of their row distances and that of all pairs, against 25 \
                 random orders; p below 0.05 (10 neighbours; at most 4,000 rows). A warning where the \
                 gap is at least 0.1, unless the file is sorted by the target (predictive power of the row \
                 number at least 0.5). Source: cleanlab, non_iid, with Euclidean distance; the step to \
                 a warning is our own.",
    run: Run::Table(run),
};

fn run(ctx: &TableContext) -> Vec<Finding> {
    let Some(near) = ctx.neighbours.as_ref().filter(|n| n.rows.len() >= FEW) else {
        return Vec::new();
    };
    let (gap, p) = near.graph.order_test();
    if p >= P {
        return Vec::new();
    }
    let sorted = change_point::sorted_by_target(ctx);
    let severity = if gap >= LARGE && !sorted { Severity::Warning } else { Severity::Info };
    let chance = if p < 0.001 { "p < 0.001".to_owned() } else { format!("p = {p:.3}") };
    let title = format!(
        "Rows close together in the file are more alike than chance allows (gap {gap:.2}, {chance})"
    );
    let advice = if sorted {
        "The file is sorted by the answer. That does no harm, since parts are drawn at random."
    } else {
        "The file is sorted, grouped or collected over time. Sorting does no harm, since parts are \
         drawn at random. If the order is time or groups of the same thing, split by time or group, or \
         the test score will be too good."
    };
    let finding = CHECK.finding(severity, title, advice);
    vec![finding.value(p, P).sampled(near.rows.len(), ctx.rows())]
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;
    use crate::quality::rng::Rng;

    #[test]
    fn drifting_rows_are_found_and_shuffled_ones_are_not() {
        let mut rng = Rng::new(6);
        let mut draw = || rng.up_to(99);
        let drifting =
            Case::rows("a,b,y", 300, |i| format!("{},{},p", i as u32 * 2 + draw(), draw()));
        let found = drifting.run(&CHECK);
        assert_eq!(found[0].severity, Severity::Warning);
        let steady = Case::rows("a,b,y", 300, |_| format!("{},{},p", draw(), draw()));
        assert!(steady.run(&CHECK).is_empty());
    }
}

//! Classes of very different size.

use super::{Check, Finding, Run, Severity};
use crate::quality::context::Labels;
use crate::quality::wording;

/// Share of an equal share below which the rarest class is rare.
const LIMIT: f64 = 0.1;
/// Samples that a class needs to be in every part of a split.
const FEW: usize = 10;

pub(super) const CHECK: Check = Check {
    name: "imbalance",
    title: "Classes of very different size",
    definition: "Share of the rarest of K classes against 0.1/K; classes of fewer than 10 samples \
                 are named as well. A single class blocks training. Source: cleanlab, \
                 class_imbalance (threshold 0.1); the minimum of 10 is our own.",
    run: Run::Labels(run),
};

fn run(labels: &Labels) -> Vec<Finding> {
    let k = labels.names.len();
    let mut counts = vec![0usize; k];
    for &code in labels.codes {
        if let Some(n) = counts.get_mut(code as usize) {
            *n += 1;
        }
    }
    let total: usize = counts.iter().sum();
    let columns = || labels.column.iter().map(|c| (*c).to_owned());
    let present: Vec<usize> = (0..k).filter(|&c| counts[c] > 0).collect();
    if total == 0 {
        return Vec::new();
    }
    if let [only] = present[..] {
        let title = format!("There is only one class, \"{}\"", wording::short(labels.names[only]));
        let advice = "There is nothing to tell apart. Add samples of other classes or choose another \
                      target.";
        return vec![CHECK.finding(Severity::High, title, advice).columns(columns())];
    }
    let mut found = Vec::new();
    let rarest = present.iter().copied().min_by_key(|&c| counts[c]).unwrap_or(0);
    let share = counts[rarest] as f64 / total as f64;
    let limit = LIMIT / present.len() as f64;
    let rows_of = |class: usize| {
        labels.codes.iter().enumerate().filter(move |(_, c)| **c as usize == class).map(|(r, _)| r)
    };
    if share < limit {
        let title = format!(
            "The class \"{}\" is rare: {} of {} ({})",
            wording::short(labels.names[rarest]),
            wording::count(counts[rarest]),
            wording::count(total),
            wording::percent(share)
        );
        let advice = "A model can be right most of the time without ever naming this class. Judge \
                      it by the scores per class, weight the classes, or collect more of this one.";
        let finding = CHECK.finding(Severity::Warning, title, advice).columns(columns());
        found.push(finding.rows(rows_of(rarest)).value(share, limit));
    }
    let few: Vec<usize> = present.iter().copied().filter(|&c| counts[c] < FEW).collect();
    if !few.is_empty() {
        let names: Vec<&str> = few.iter().map(|&c| labels.names[c]).collect();
        let title = format!(
            "{} fewer than {FEW} samples: {}",
            if few.len() == 1 {
                "One class has".to_owned()
            } else {
                format!("{} classes have", few.len())
            },
            wording::list(&names, 6)
        );
        let advice = "So few cannot be learned and tested. Collect more, merge the class with \
                      another, or leave it out.";
        let least = few.iter().map(|&c| counts[c]).min().unwrap_or(0) as f64;
        let finding = CHECK.finding(Severity::Warning, title, advice).columns(columns());
        let rows = few.iter().flat_map(|&c| rows_of(c));
        found.push(finding.rows(rows).value(least, FEW as f64));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, images, run_images};
    use super::*;

    #[test]
    fn rare_few_and_single_classes() {
        let of = |n: usize, every: usize| {
            Case::rows("a,y", n, move |i| {
                format!("{i},{}", if i % every == 0 { "rare" } else { "usual" })
            })
            .run(&CHECK)
        };
        let found = of(1000, 25);
        assert_eq!(
            (found.len(), found[0].row_count, found[0].severity),
            (1, 40, Severity::Warning)
        );
        assert_eq!(found[0].threshold, Some(0.05));
        assert!(of(1000, 10).is_empty());
        assert!(of(60, 12)[0].title.contains("fewer than 10"));
        assert_eq!(of(50, 1)[0].severity, Severity::High);
    }

    #[test]
    fn images_are_looked_at_too() {
        let data: Vec<(Vec<u8>, u32)> =
            (0..200).map(|i| (vec![i as u8], u32::from(i == 0))).collect();
        assert_eq!(run_images(&CHECK, &images(1, &data), None).len(), 2);
    }
}

//! Confident learning: which labels contradict predictions that owe nothing to them.
//!
//! As cleanlab 2.9, `find_label_issues(filter_by="both")`: rows that are both pruned by noise rate and
//! off the diagonal of the confident joint. Source: Northcutt, Jiang, Chuang, "Confident Learning",
//! JAIR 70 (2021).

/// A label that is probably wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Issue {
    /// Place among the predictions.
    pub(super) at: usize,
    /// Label as given.
    pub(super) given: usize,
    /// Label that the predictions favour.
    pub(super) better: usize,
    /// Probability of the better label less that of the given one.
    pub(super) margin: f32,
}

/// Probable label errors, surest first. `probabilities` is `[labels.len(), classes]`.
pub(super) fn issues(labels: &[u32], probabilities: &[f32], classes: usize) -> Vec<Issue> {
    if classes < 2 || probabilities.len() != labels.len() * classes {
        return Vec::new();
    }
    let row = |i: usize| &probabilities[i * classes..(i + 1) * classes];
    let mut sums = vec![0.0f64; classes];
    let mut counts = vec![0usize; classes];
    for (i, &label) in labels.iter().enumerate() {
        if let (Some(s), Some(n)) = (sums.get_mut(label as usize), counts.get_mut(label as usize)) {
            *s += f64::from(row(i).get(label as usize).copied().unwrap_or(0.0));
            *n += 1;
        }
    }
    // Self-confidence of each class: how sure the models are of it where it is the label.
    let thresholds: Vec<f64> = sums
        .iter()
        .zip(&counts)
        .map(|(s, n)| if *n > 0 { s / *n as f64 } else { f64::INFINITY })
        .collect();
    let confident = |i: usize| {
        row(i)
            .iter()
            .enumerate()
            .filter(|(j, p)| thresholds.get(*j).is_some_and(|t| f64::from(**p) >= *t))
            .max_by(|a, b| a.1.total_cmp(b.1))
            .map(|(j, _)| j)
    };
    let mut joint = vec![vec![0.0f64; classes]; classes];
    let mut off: Vec<Issue> = Vec::new();
    for (i, &label) in labels.iter().enumerate() {
        let given = label as usize;
        let (Some(better), true) = (confident(i), given < classes) else { continue };
        joint[given][better] += 1.0;
        if better != given {
            let margin = row(i)[better] - row(i)[given];
            off.push(Issue { at: i, given, better, margin });
        }
    }
    // Rows of the joint sum to the number of labels; the noise rate of a pair says how many to prune.
    for (given, counts_row) in joint.iter_mut().enumerate() {
        let sum: f64 = counts_row.iter().sum();
        if sum > 0.0 {
            counts_row.iter_mut().for_each(|c| *c *= counts[given] as f64 / sum);
        }
    }
    off.sort_by(|a, b| b.margin.total_cmp(&a.margin).then(a.at.cmp(&b.at)));
    let mut left: Vec<Vec<usize>> =
        joint.iter().map(|r| r.iter().map(|c| c.round() as usize).collect()).collect();
    off.retain(|issue| {
        let most = row(issue.at)
            .iter()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(b.1))
            .is_some_and(|(j, _)| j != issue.given);
        let quota = &mut left[issue.given][issue.better];
        let keep = *quota > 0 && most && issue.margin > 0.0;
        *quota = quota.saturating_sub(usize::from(keep));
        keep
    });
    off
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidently_contradicted_labels_are_found_and_unsure_ones_are_not() {
        let mut labels = Vec::new();
        let mut p = Vec::new();
        for i in 0..100u32 {
            let truth = i % 2;
            labels.push(if i == 10 || i == 51 { 1 - truth } else { truth });
            // Row 20 is a toss-up.
            let sure = if i == 20 { 0.48 } else { 0.9 };
            p.extend(if truth == 0 { [sure, 1.0 - sure] } else { [1.0 - sure, sure] });
        }
        let found = issues(&labels, &p, 2);
        let mut rows: Vec<usize> = found.iter().map(|f| f.at).collect();
        rows.sort_unstable();
        assert_eq!(rows, [10, 51]);
        assert!(found.iter().all(|f| f.given != f.better && f.margin > 0.7));
        assert!(issues(&labels, &p[1..], 2).is_empty());
    }
}

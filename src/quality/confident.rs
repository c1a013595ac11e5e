//! Confident learning: which labels contradict predictions that owe nothing to them.
//!
//! As cleanlab 2.9, `find_label_issues(filter_by="prune_by_class")`: the confident joint says how many
//! labels of each class are wrong, and as many of those that the predictions contradict are named,
//! those least believed first. Counting per class rather than per pair of classes finds errors that are
//! spread over many pairs, of which each would round to none. Source: Northcutt, Jiang, Chuang, "Confident Learning",
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
        if given >= classes {
            continue;
        }
        if let Some(better) = confident(i) {
            joint[given][better] += 1.0;
        }
        let best = row(i).iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(j, _)| j);
        if let Some(better) = best.filter(|b| *b != given) {
            let margin = row(i)[better] - row(i)[given];
            off.push(Issue { at: i, given, better, margin });
        }
    }
    // Rows of the joint are brought to the number of labels: what is off the diagonal is wrong.
    let mut left: Vec<usize> = joint
        .iter()
        .enumerate()
        .map(|(given, r)| {
            let sum: f64 = r.iter().sum();
            let wrong = if sum > 0.0 { 1.0 - r[given] / sum } else { 0.0 };
            (wrong * counts[given] as f64).round() as usize
        })
        .collect();
    let belief = |i: &Issue| row(i.at)[i.given];
    off.sort_by(|a, b| belief(a).total_cmp(&belief(b)).then(a.at.cmp(&b.at)));
    off.retain(|issue| {
        let quota = &mut left[issue.given];
        let keep = *quota > 0;
        *quota = quota.saturating_sub(1);
        keep
    });
    off.sort_by(|a, b| b.margin.total_cmp(&a.margin).then(a.at.cmp(&b.at)));
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

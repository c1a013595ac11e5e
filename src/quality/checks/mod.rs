//! The registry of checks, one file each.

use super::context::{Labels, Predictions, TableContext};
use super::image_context::ImageContext;
use super::{Finding, MAX_ROWS, Severity};

mod category_spelling;
mod change_point;
mod conflicting_labels;
mod constant;
mod correlation;
mod date_leakage;
mod domain_classifier;
mod drift;
mod duplicates;
mod extremes;
mod group_leakage;
mod identifier;
mod identifier_leakage;
mod image_conflicts;
mod image_duplicates;
mod image_near_duplicates;
mod image_odd;
mod image_overlap;
mod imbalance;
mod label_drift;
mod label_issues;
mod missing;
mod mixed_types;
mod near_duplicates;
mod new_categories;
mod new_labels;
mod null_spellings;
mod order;
mod outliers;
mod overlap;
mod personal_data;
mod rare_categories;
mod representativeness;
mod size;
mod target_leakage;
mod trigger_patch;
mod weak_segments;

#[cfg(test)]
pub(super) use drift::{Comparison, compare as compare_columns};

pub(super) use category_spelling::base as spelling_base;

/// One entry of the registry.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Stable name, as in [`Finding::check`].
    pub name: &'static str,
    /// What it looks for, in a few words.
    pub title: &'static str,
    /// How the value is defined, its threshold, and where both come from.
    pub definition: &'static str,
    pub(super) run: Run,
}

/// What a check looks at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Run {
    /// A table.
    Table(fn(&TableContext) -> Vec<Finding>),
    /// A table whose parts are known.
    Split(fn(&TableContext) -> Vec<Finding>),
    /// Images.
    Images(fn(&ImageContext) -> Vec<Finding>),
    /// Class labels of either.
    Labels(fn(&Labels) -> Vec<Finding>),
    /// Out-of-fold predictions of classes.
    Predictions(fn(&Predictions) -> Vec<Finding>),
}

/// All checks, in the order of a report.
pub static CHECKS: &[Check] = &[
    size::CHECK,
    target_leakage::CHECK,
    identifier_leakage::CHECK,
    overlap::CHECK,
    image_overlap::CHECK,
    group_leakage::CHECK,
    date_leakage::CHECK,
    conflicting_labels::CHECK,
    image_conflicts::CHECK,
    label_issues::CHECK,
    label_issues::FLIPS,
    trigger_patch::CHECK,
    weak_segments::CHECK,
    imbalance::CHECK,
    representativeness::CHECK,
    new_labels::CHECK,
    label_drift::CHECK,
    drift::CHECK,
    domain_classifier::CHECK,
    new_categories::CHECK,
    missing::CHECK,
    null_spellings::CHECK,
    mixed_types::CHECK,
    duplicates::CHECK,
    image_duplicates::CHECK,
    near_duplicates::CHECK,
    image_near_duplicates::CHECK,
    constant::CHECK,
    identifier::CHECK,
    correlation::CHECK,
    category_spelling::CHECK,
    rare_categories::CHECK,
    extremes::CHECK,
    outliers::CHECK,
    order::CHECK,
    change_point::CHECK,
    image_odd::CHECK,
    personal_data::CHECK,
];

/// Findings of one check shown one by one at most, of those worth knowing only; the others are
/// summed up in one.
const SHOWN: (usize, usize) = (12, 3);

impl Check {
    /// A finding without evidence yet.
    fn finding(
        &self,
        severity: Severity,
        title: impl Into<String>,
        advice: impl Into<String>,
    ) -> Finding {
        Finding {
            check: self.name,
            severity,
            title: title.into(),
            advice: advice.into(),
            columns: Vec::new(),
            rows: Vec::new(),
            row_count: 0,
            sampled: None,
            value: None,
            threshold: None,
            definition: self.definition,
        }
    }

    /// Sorts by severity, then value, and sums up those beyond [`SHOWN`].
    fn worst_first(&self, mut findings: Vec<Finding>) -> Vec<Finding> {
        let value = |f: &Finding| f.value.unwrap_or(0.0);
        findings.sort_by(|a, b| {
            b.severity.cmp(&a.severity).then_with(|| value(b).total_cmp(&value(a)))
        });
        let infos = findings.partition_point(|f| f.severity > Severity::Info);
        let info = findings.split_off(infos);
        [(findings, SHOWN.0), (info, SHOWN.1)]
            .into_iter()
            .flat_map(|(list, most)| self.cut(list, most))
            .collect()
    }

    fn cut(&self, mut findings: Vec<Finding>, most: usize) -> Vec<Finding> {
        if findings.len() <= most + 1 {
            return findings;
        }
        let rest = findings.split_off(most);
        let mut columns: Vec<String> = Vec::new();
        rest.iter().flat_map(|f| &f.columns).for_each(|c| {
            if !columns.contains(c) {
                columns.push(c.clone());
            }
        });
        let title = format!(
            "{} more like these: {}",
            super::wording::counted(rest.len(), "finding"),
            super::wording::list(&columns, 8)
        );
        let first = &rest[0];
        let mut finding = self.finding(first.severity, title, first.advice.clone());
        finding.value = first.value;
        finding.threshold = first.threshold;
        finding.columns = columns;
        findings.push(finding.rows(rest.iter().flat_map(|f| f.rows.iter().copied())));
        findings
    }
}

impl Finding {
    fn columns<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.columns = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Evidence rows; all are counted, the first [`MAX_ROWS`] kept.
    fn rows(mut self, rows: impl IntoIterator<Item = usize>) -> Self {
        for row in rows {
            if self.rows.len() < MAX_ROWS {
                self.rows.push(row);
            }
            self.row_count += 1;
        }
        self
    }

    fn value(mut self, value: f64, threshold: f64) -> Self {
        self.value = Some(value);
        self.threshold = Some(threshold);
        self
    }

    /// Notes how many rows were looked at, when that was fewer than there are.
    fn sampled(mut self, looked_at: usize, of: usize) -> Self {
        self.sampled = (looked_at < of).then_some(looked_at);
        self
    }
}

#[cfg(test)]
pub(super) mod testing;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_definitions_give_a_source_and_threshold() {
        let mut names: Vec<_> = CHECKS.iter().map(|c| c.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CHECKS.len());
        for check in CHECKS {
            assert!(check.definition.contains("Source:"), "{}", check.name);
            assert!(!check.title.is_empty());
        }
    }

    #[test]
    fn many_findings_are_cut_worst_first() {
        let check = &CHECKS[0];
        let of = |severity, n: usize| {
            let of = |i: usize| {
                check
                    .finding(severity, "t", "a")
                    .columns([format!("c{i}")])
                    .rows([i])
                    .value(i as f64, 0.0)
            };
            check.worst_first((0..n).map(of).collect())
        };
        for (severity, most) in [(Severity::Warning, SHOWN.0), (Severity::Info, SHOWN.1)] {
            let kept = of(severity, 30);
            assert_eq!(kept.len(), most + 1);
            assert_eq!(kept[0].columns, ["c29"]);
            assert_eq!((kept[most].columns.len(), kept[most].row_count), (30 - most, 30 - most));
            assert_eq!(of(severity, most + 1).len(), most + 1);
        }
    }
}

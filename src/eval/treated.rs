//! What a remedy in training changed: a run with weights by group or a fairness penalty beside the
//! run of the same settings without.

use serde::Serialize;

use super::evaluation::Evaluation;
use super::fairness;
use super::{Meaning, Outcomes};
use crate::data::Dataset;
use crate::deploy::Model;
use crate::device::DeviceChoice;
use crate::error::ExportError;
use crate::train::run_folder;
use crate::train::{RunFolder, TrainConfig};

/// Figures without and with the remedy, on the same rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Treated {
    /// The remedy, in words.
    pub how: String,
    /// Column.
    pub column: String,
    /// When the run without it began.
    pub without: String,
    /// Accuracy.
    pub accuracy: [f64; 2],
    /// Demographic parity difference.
    pub demographic_parity_difference: [f64; 2],
    /// Equalised odds difference.
    pub equalised_odds_difference: [f64; 2],
}

/// The settings without a remedy and what does not matter for the model.
fn plain(config: &TrainConfig) -> TrainConfig {
    TrainConfig {
        reweigh: None,
        fair: None,
        watch: None,
        device: DeviceChoice::Auto,
        ..config.clone()
    }
}

/// Compares with the newest finished run of the same project, data and settings that had no remedy;
/// `None` if this one had none either, or there is no such run.
///
/// # Errors
/// The other model cannot be read or does not fit the data.
pub fn look(
    run: &RunFolder,
    dataset: &Dataset,
    found: &Evaluation,
) -> Result<Option<Treated>, ExportError> {
    let config = &run.record.config;
    let (how, column) = match (&config.fair, &config.reweigh) {
        (Some(fair), _) => ("a fairness penalty", &fair.column),
        (None, Some(column)) => ("rows weighted by group", column),
        (None, None) => return Ok(None),
    };
    let Some(project) = run.path.parent().and_then(|p| p.parent()) else { return Ok(None) };
    let same = |other: &RunFolder| {
        let (a, b) = (&other.record, &run.record);
        a.config.fair.is_none()
            && a.config.reweigh.is_none()
            && plain(&a.config) == plain(&b.config)
            && (&a.split, &a.schema, a.dataset_rows) == (&b.split, &b.schema, b.dataset_rows)
            && a.summary.is_some()
            && other.has_model()
    };
    let Some(other) = run_folder::list(project).into_iter().find(same) else { return Ok(None) };
    let model = Model::of_run(&other)?;
    let preprocessor = model.info().preprocessor.clone();
    let data = preprocessor.transform(dataset, &found.row_numbers)?;
    let outputs = model.predictor()?.outputs(&data)?;
    let outcomes = Outcomes::new(&found.classes, &data, outputs, Meaning::of(&preprocessor));
    let (Some(Outcomes::Classes(before)), Some(grouping)) =
        (outcomes, found.groupings.iter().find(|g| g.column == *column))
    else {
        return Ok(None);
    };
    let called = fairness::called(&before, 1);
    let without = fairness::compare(&before, &called, 1, grouping, 0);
    let Some(with) = found.fairness.iter().find(|f| f.column == *column) else { return Ok(None) };
    let accuracy = |o: &Outcomes| match o {
        Outcomes::Classes(c) => {
            c.hits().iter().filter(|h| **h).count() as f64 / c.truth.len().max(1) as f64
        }
        Outcomes::Values(_) => f64::NAN,
    };
    let pair = |a: Option<fairness::Estimate>, b: Option<fairness::Estimate>| {
        [a, b].map(|e| e.map_or(f64::NAN, |e| e.value))
    };
    Ok(Some(Treated {
        how: how.to_owned(),
        column: column.clone(),
        without: other.record.started.clone(),
        accuracy: [accuracy(&Outcomes::Classes(before)), accuracy(&found.outcomes)],
        demographic_parity_difference: pair(
            without.demographic_parity_difference,
            with.demographic_parity_difference,
        ),
        equalised_odds_difference: pair(
            without.equalised_odds_difference,
            with.equalised_odds_difference,
        ),
    }))
}

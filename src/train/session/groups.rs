//! What a run does by group: the fairness penalty, and scores shown while it trains.

use std::sync::Arc;

use super::{Session, judging};
use crate::data::TargetData;
use crate::engine::Batch;
use crate::error::TrainError;
use crate::eval::{Meaning, fill_batch, predicted_classes};
use crate::train::Event;
use crate::train::fair::MOST_ROWS;
use crate::train::loader::Source;
use crate::train::prepare::Prepared;

/// Groups with fewer validation rows are not scored: that would be chance.
const MIN_ROWS: usize = 30;

impl Session<'_> {
    /// Puts what rows count by the multipliers into the source of batches; false without a penalty.
    pub(super) fn penalise(&self, source: &mut Source) -> bool {
        let Some(penalty) = &self.data.penalty else { return false };
        let multipliers = match self.at.multipliers.is_empty() {
            true => penalty.start(),
            false => self.at.multipliers.clone(),
        };
        let (targets, weights) = penalty.weighted(&multipliers);
        source.targets = Some(Arc::new(targets));
        source.weights = Some(Arc::new(weights));
        true
    }

    /// Moves the multipliers by the gaps on training rows.
    pub(super) fn learn_multipliers(&mut self) -> Result<(), TrainError> {
        let Prepared { engine, judge, penalty, train, .. } = &mut self.data;
        let Some(penalty) = penalty else { return Ok(()) };
        let step = train.rows.div_ceil(MOST_ROWS).max(1);
        let engine = judging(engine, judge)?;
        let rows: Vec<usize> = (0..train.rows).step_by(step).collect();
        let mut batch = Batch::default();
        let mut outputs = Vec::new();
        for rows in rows.chunks(engine.plan().config.batch.max(1)) {
            fill_batch(&mut batch, train, rows.iter().copied());
            outputs.extend(engine.evaluate(&batch)?.0);
        }
        if self.at.multipliers.is_empty() {
            self.at.multipliers = penalty.start();
        }
        penalty.learn(&mut self.at.multipliers, &outputs, step);
        Ok(())
    }

    /// Scores the watched groups on the validation rows.
    pub(super) fn report_groups(&mut self, outputs: &[f32]) {
        let Some(watched) = &self.data.watched else { return };
        let (figure, per_row) = match (&self.data.validation.target, self.data.meaning) {
            (TargetData::Classes(truth), Meaning::Classes(count)) => {
                let predicted = predicted_classes(outputs, count);
                let hits = truth.iter().zip(&predicted).map(|(t, p)| f64::from(u8::from(t == p)));
                ("Accuracy", hits.collect::<Vec<f64>>())
            }
            (TargetData::Values(truth), Meaning::Value { scale, .. }) => {
                let miss = |(t, p): (&f32, &f32)| f64::from((t - p).abs()) * scale;
                ("Mean absolute error", truth.iter().zip(outputs).map(miss).collect())
            }
            _ => return,
        };
        let groups: Vec<(String, usize, f64)> = watched
            .names
            .iter()
            .enumerate()
            .filter_map(|(g, name)| {
                let values: Vec<f64> =
                    watched.members(g).filter_map(|i| per_row.get(i).copied()).collect();
                let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
                (values.len() >= MIN_ROWS).then(|| (name.clone(), values.len(), mean))
            })
            .collect();
        self.reporter.send(Event::Groups {
            step: self.at.step,
            column: watched.column.clone(),
            figure: figure.to_owned(),
            groups,
        });
    }
}

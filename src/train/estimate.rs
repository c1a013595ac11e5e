//! Before a run: what it will take in memory and time.

use super::prepare::{head, inputs, plan_config};
pub use super::whole::Extent;
use super::{TrainConfig, whole};
use crate::data::preprocess::PrepConfig;
use crate::data::{Dataset, Preprocessor, Progress, Schema, Split, SplitConfig};
use crate::engine::EngineInfo;
use crate::engine::preflight::{Limits, Preflight, Verdict, preflight, step_seconds};
use crate::error::{DataError, TrainError};
use crate::fp8::Precision;
use crate::plan;

/// What a run will take.
#[derive(Debug, Clone)]
pub struct Estimate {
    /// Memory, and whether it fits.
    pub preflight: Preflight,
    /// Steps of all epochs.
    pub steps: u64,
    /// Where all rows of a file larger than memory are trained on: the rows and the room on the disk.
    pub extent: Option<Extent>,
    /// Seconds of one step and who computes, measured on a scratch engine; none where the run does
    /// not fit.
    pub step: Option<(f64, EngineInfo)>,
}

impl Estimate {
    /// Seconds of all epochs, validation left out.
    pub fn seconds(&self) -> Option<f64> {
        self.step.as_ref().map(|(seconds, _)| seconds * self.steps as f64)
    }
}

/// Predicts the memory of a run, by purpose, and measures how long its steps take.
///
/// # Errors
/// Those of reading the data and of building the network; [`DataError::Cancelled`] once `progress`
/// says so.
pub fn estimate(
    dataset: &Dataset,
    schema: &Schema,
    prep: &PrepConfig,
    split: &SplitConfig,
    config: &TrainConfig,
    progress: &Progress,
) -> Result<Estimate, TrainError> {
    let cancelled = || progress.cancel.load(std::sync::atomic::Ordering::Relaxed);
    config.check()?;
    let mut parts = Split::make(dataset, schema, split)?;
    let preprocessor = Preprocessor::fit(dataset, schema, prep, &parts.train)?;
    if split.balance {
        parts.balance(dataset, schema)?;
    }
    let extent = whole::extent(dataset, &preprocessor, &parts, split);
    let rows = extent.map_or(parts.train.len(), |e| e.rows);
    let model = config.model(inputs(&preprocessor), head(preprocessor.task()))?;
    let batch = config.batch_size.min(rows).max(1);
    let limits = Limits::of(config.device)?;
    let own = plan_config(config, batch, config.precision);
    let found = preflight(&model, &own, config.shadow, limits)?;
    let steps = (rows.div_ceil(batch) * config.epochs) as u64;
    if cancelled() {
        return Err(DataError::Cancelled.into());
    }
    let mut step = None;
    if found.verdict == Verdict::Fits {
        let (mut seconds, engine) = step_seconds(config.device, plan::compile(&model, &own)?)?;
        if config.shadow && !cancelled() {
            let in_f32 = plan_config(config, batch, Precision::F32);
            seconds += step_seconds(config.device, plan::compile(&model, &in_f32)?)?.0;
        }
        step = Some((seconds, engine));
    }
    Ok(Estimate { preflight: found, steps, extent, step })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::table;
    use crate::device::DeviceChoice;
    use crate::plan::memory;

    #[test]
    fn an_estimate_knows_steps_memory_and_time() {
        let rows: String = (0..200).map(|i| format!("{}.5,{}\n", i % 10, i % 2)).collect();
        let (dataset, schema) = table(&format!("x,y\n{rows}"), "y");
        let (prep, split) = (PrepConfig::default(), SplitConfig::default());
        let config = TrainConfig {
            hidden: vec![16],
            epochs: 3,
            batch_size: 32,
            device: DeviceChoice::Cpu,
            ..TrainConfig::default()
        };
        let of = |config: &TrainConfig| {
            estimate(&dataset, &schema, &prep, &split, config, &Progress::default()).unwrap()
        };
        let plain = of(&config);
        let train = Split::make(&dataset, &schema, &split).unwrap().train.len();
        assert_eq!(plain.steps as usize, train.div_ceil(32) * 3);
        assert!(plain.seconds().is_some_and(|s| s > 0.0));
        let both = of(&TrainConfig { shadow: true, ..config.clone() });
        let bytes = |e: &Estimate| memory::total(&e.preflight.predicted);
        assert!(bytes(&both) > bytes(&plain));
        let progress = Progress::default();
        progress.cancel.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(estimate(&dataset, &schema, &prep, &split, &config, &progress).is_err());
    }
}

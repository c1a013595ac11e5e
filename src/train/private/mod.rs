//! Differentially private training (DP-SGD, Abadi et al. 2016): the gradients of every row are
//! scaled down to a norm of their own, summed over a lot that each row enters by chance, and noise
//! is added before the weights are updated.
//!
//! Each row goes through the plan alone, so with any recipe without memory its clipped gradients
//! depend on that row and the weights only. Chance and noise come from the operating system and are
//! not stored: whoever knew the seed could take the noise away. What is not covered: the
//! preprocessing (means, category names), the shown training losses, and settings chosen by looking
//! at the data. Noise is computed in f64; attacks on the lowest bits of such numbers (Mironov 2012)
//! are not guarded against.

pub mod accountant;
mod noise;

use serde::{Deserialize, Serialize};

pub use noise::{Chance, Source};

use super::TrainConfig;
use crate::engine::{Batch, Engine, StepParams};
use crate::error::TrainError;
use crate::fp8::{Precision, Scaling};
use crate::plan::UpdateOptions;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Private {
    /// Most ε that all planned epochs may spend.
    pub epsilon: f64,
    /// δ; `None` for a tenth of one over the training rows.
    pub delta: Option<f64>,
    /// Largest norm of the gradients of one row.
    pub clip: f32,
}

impl Default for Private {
    fn default() -> Self {
        Self { epsilon: 3.0, delta: None, clip: 1.0 }
    }
}

impl Private {
    /// Asks for `epsilon`, the rest as usual.
    pub fn of(epsilon: f64) -> Self {
        Self { epsilon, ..Self::default() }
    }
}

/// What a run spent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// ε.
    pub epsilon: f64,
    /// δ.
    pub delta: f64,
    /// Standard deviation of the noise over the clipping norm.
    pub noise_multiplier: f64,
    /// Largest norm of the gradients of one row.
    pub clip: f32,
    /// Chance of a row to be in a lot.
    pub sample_rate: f64,
    /// Lots.
    pub steps: u64,
}

impl Spent {
    /// One sentence.
    pub fn describe(&self) -> String {
        format!(
            "({:.3}, {:.1e})-differentially private training: {} lots with a sample rate of {:.4}, \
             rows clipped to {}, noise {:.3} times that (RDP accountant)",
            self.epsilon,
            self.delta,
            self.steps,
            self.sample_rate,
            self.clip,
            self.noise_multiplier
        )
    }
}

/// The mechanism of one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mechanism {
    noise_multiplier: f64,
    clip: f32,
    delta: f64,
    /// Rows of a lot on average.
    lot: f64,
    rate: f64,
}

impl Mechanism {
    /// For lots of about `lot` of `rows` rows, `steps` in all.
    ///
    /// # Errors
    /// No noise is enough, or δ is no chance.
    pub fn new(want: Private, rows: usize, lot: usize, steps: u64) -> Result<Self, TrainError> {
        let fail = |what: String| TrainError::Config { setting: "private training", what };
        let delta = want.delta.unwrap_or(0.1 / rows.max(1) as f64);
        if delta * rows as f64 >= 1.0 {
            let what =
                format!("a δ of {delta} allows to give away whole rows; take 1/rows or less");
            return Err(fail(what));
        }
        let rate = lot as f64 / rows.max(1) as f64;
        let noise = accountant::noise_for(want.epsilon, rate, steps, delta).ok_or_else(|| {
            fail(format!("an ε of {} needs more noise than can be trained with", want.epsilon))
        })?;
        Ok(Self { noise_multiplier: noise, clip: want.clip, delta, lot: lot as f64, rate })
    }

    /// Chance of a row to be in a lot.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// What `steps` lots spend.
    pub fn spent(&self, steps: u64) -> Spent {
        Spent {
            epsilon: accountant::epsilon(self.rate, self.noise_multiplier, steps, self.delta),
            delta: self.delta,
            noise_multiplier: self.noise_multiplier,
            clip: self.clip,
            sample_rate: self.rate,
            steps,
        }
    }

    /// Trains on one lot, whose rows may be none, and returns their mean loss. `rows_before` is how
    /// many rows went through the engine before, for dropout.
    ///
    /// # Errors
    /// The engine fails, or the system gives no random numbers.
    pub fn step(
        &self,
        engine: &mut dyn Engine,
        lot: &Batch,
        params: &StepParams,
        rows_before: u64,
        chance: &mut Chance,
    ) -> Result<f32, TrainError> {
        let rows = single_rows(lot, engine);
        let step = |i: usize| StepParams { step: rows_before + i as u64 + 1, ..*params };
        let steps: Vec<StepParams> = (0..rows.len()).map(step).collect();
        let losses = engine.train(&rows, &steps)?;
        let spread = self.noise_multiplier * f64::from(self.clip);
        let sums: Vec<_> = engine.plan().params.iter().filter_map(|p| p.accumulator).collect();
        for id in sums {
            let mut words = engine.read(id)?;
            for word in &mut words {
                let sum = f64::from(f32::from_bits(*word)) + spread * chance.normal()?;
                *word = ((sum / self.lot) as f32).to_bits();
            }
            engine.write(id, &words)?;
        }
        engine.update(params)?;
        let sum: f64 = losses.iter().map(|l| f64::from(*l)).sum();
        Ok((sum / losses.len().max(1) as f64) as f32)
    }
}

fn single_rows(lot: &Batch, engine: &dyn Engine) -> Vec<Batch> {
    let input = &engine.plan().model.input;
    let (d, c) = (input.dense, input.embeddings.len());
    let part = |row: usize, width: usize| row * width..(row + 1) * width;
    (0..lot.rows)
        .map(|row| Batch {
            rows: 1,
            dense: lot.dense.get(part(row, d)).unwrap_or_default().to_vec(),
            categories: lot.categories.get(part(row, c)).unwrap_or_default().to_vec(),
            targets: lot.targets.get(part(row, 1)).unwrap_or_default().to_vec(),
            weights: Vec::new(),
        })
        .collect()
}

/// What a private run compiles with.
pub(super) fn update_options(config: &TrainConfig) -> UpdateOptions {
    let row_clip = config.private.map(|p| p.clip);
    UpdateOptions { row_clip, ..config.update }
}

impl TrainConfig {
    /// These settings with privacy for about `rows` training rows. Noise is the same whatever the
    /// size of a lot, so lots are large and steps few and long; all epochs are used, as ε is spent
    /// on them; dropout would be noise on top of noise.
    pub fn with_privacy(&self, private: Private, rows: usize) -> Self {
        let batch_size = match rows {
            0..1_000 => 64,
            1_000..10_000 => 128,
            10_000..100_000 => 512,
            _ => 1024,
        };
        Self {
            private: Some(private),
            batch_size,
            epochs: 10,
            patience: 0,
            dropout: 0.0,
            learning_rate: 5e-3,
            hybrid: None,
            ..self.clone()
        }
    }

    /// Whether private training can be had with the other settings.
    pub(super) fn check_private(&self) -> Result<(), TrainError> {
        let Some(Private { epsilon, delta, clip }) = self.private else { return Ok(()) };
        let fail = |what: &str| {
            Err(TrainError::Config { setting: "private training", what: what.to_owned() })
        };
        if !(epsilon > 0.0 && epsilon.is_finite()) {
            return fail("ε must be above 0; usual are 1 to 10");
        }
        if delta.is_some_and(|d| !(d > 0.0 && d < 1.0)) {
            return fail("δ must be between 0 and 1; usual is a tenth of 1 over the rows");
        }
        if !(clip > 0.0 && clip.is_finite()) {
            return fail("the largest norm of a row's gradients must be above 0");
        }
        if !matches!(self.architecture, super::Architecture::Auto | super::Architecture::Mlp) {
            return fail(
                "only networks of dense layers can be trained privately; choose the plain network",
            );
        }
        let precisions = [Some(self.precision), self.hybrid.map(|h| h.then)];
        let delayed =
            |p: &Precision| matches!(p.recipe().map(|r| r.scaling), Some(Scaling::Delayed { .. }));
        if precisions.iter().flatten().any(delayed) {
            return fail("delayed scaling remembers earlier rows; choose another FP8 recipe");
        }
        if self.hybrid.is_some() {
            return fail("it has one precision from start to end");
        }
        if self.update.accumulate != 1 || self.update.clip_norm.is_some() {
            return fail(
                "it clips and sums gradients in its own way: leave out other clipping and batches \
                 per update above 1",
            );
        }
        if self.reweigh.is_some() || self.fair.is_some() || self.adversarial.is_some() {
            return fail(
                "weights by group and misleading rows depend on other rows; leave them out",
            );
        }
        Ok(())
    }
}

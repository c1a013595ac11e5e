//! Inputs made to mislead: the fast gradient sign method (Goodfellow et al. 2015) and projected
//! gradient descent (Madry et al. 2018), within a largest change of every value.

use super::fill_batch;
use crate::data::preprocess::Movable;
use crate::data::rng::Rng;
use crate::data::{Encoded, Progress};
use crate::device::DeviceChoice;
use crate::engine::{self, Batch, Engine, StepParams};
use crate::error::{EngineError, ExportError};
use crate::export::ModelFile;
use crate::fp8::Precision;
use crate::model::init::Param;
use crate::model::{Layer, ModelSpec};
use crate::plan::{self, Optimizer, PlanConfig, UpdateOptions};

/// Steps of projected gradient descent.
pub const STEPS: usize = 10;
/// Rows per call of the network.
const BATCH: usize = 128;

/// Which attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// One step of the full size.
    Fgsm,
    /// One step of 1.25 ε from a random start.
    RandomFgsm,
    /// [`STEPS`] steps from a random start, each of 2.5 ε / steps.
    Pgd,
}

/// A model whose loss can be differentiated by its inputs.
pub struct Attacker {
    engine: Box<dyn Engine>,
    movable: Vec<Option<Movable>>,
}

impl Attacker {
    /// Takes the weights of a model file, decoded exactly.
    pub fn new(file: &ModelFile) -> Result<Self, ExportError> {
        Ok(Self::of(&file.info.model, &file.params(), file.info.preprocessor.movable(), BATCH)?)
    }

    /// From a network, its weights, and how its dense inputs can move. Batch normalisation takes the
    /// statistics of the batch, as in training.
    pub fn of(
        spec: &ModelSpec,
        params: &[Param],
        movable: Vec<Option<Movable>>,
        batch: usize,
    ) -> Result<Self, EngineError> {
        // Without dropout the network is the one that predicts.
        let mut model = spec.clone();
        for node in &mut model.nodes {
            if let Layer::Dropout { rate } = &mut node.layer {
                *rate = 0.0;
            }
        }
        let config = PlanConfig {
            batch,
            precision: Precision::F32,
            optimizer: Optimizer::Sgd { momentum: 0.0, weight_decay: 0.0 },
            update: UpdateOptions::default(),
        };
        let plan = plan::compile_with_input_gradient(&model, &config)?;
        let (mut engine, _) = engine::open(DeviceChoice::Cpu, plan)?;
        engine.load_params(params)?;
        Ok(Self { engine, movable })
    }

    /// Takes other weights of the same network.
    pub fn load(&mut self, params: &[Param]) -> Result<(), EngineError> {
        self.engine.load_params(params)
    }

    /// Whether any input can be moved.
    pub fn can_attack(&self) -> bool {
        self.movable.iter().any(Option::is_some)
    }

    /// Gradient of the batch's mean loss by its dense inputs, `[rows, dense]`.
    pub fn gradient(&mut self, batch: &Batch) -> Result<Vec<f32>, EngineError> {
        // A learning rate of 0 leaves the weights as they are.
        let step = StepParams { step: 1, learning_rate: 0.0, seed: 0 };
        self.engine.train(std::slice::from_ref(batch), &[step])?;
        let plan = self.engine.plan();
        let (width, dense) = (plan.model.input.width(), plan.model.input.dense);
        let Some(id) = plan.input_gradient else { return Ok(Vec::new()) };
        let words = self.engine.read(id)?;
        let rows = words.chunks_exact(width.max(1)).take(batch.rows);
        Ok(rows.flat_map(|r| r.iter().take(dense).copied().map(f32::from_bits)).collect())
    }

    /// Rows changed by at most `epsilon` units in every value that can move, so that the loss
    /// rises. The data must have targets.
    pub fn attack(
        &mut self,
        data: &Encoded,
        method: Method,
        epsilon: f32,
        seed: u64,
        progress: &Progress,
    ) -> Result<Encoded, ExportError> {
        let mut out = data.clone();
        let mut batch = Batch::default();
        let mut rng = Rng::new(seed);
        let size = self.engine.plan().config.batch.max(1);
        for start in (0..data.rows).step_by(size) {
            progress.check()?;
            let rows = start..(start + size).min(data.rows);
            fill_batch(&mut batch, data, rows.clone());
            self.change(&mut batch, method, epsilon, &mut rng)?;
            let range = rows.start * data.dense_width..rows.end * data.dense_width;
            if let Some(place) = out.dense.to_mut().get_mut(range) {
                place.copy_from_slice(&batch.dense);
            }
        }
        Ok(out)
    }

    /// Changes a batch with targets in place.
    pub fn change(
        &mut self,
        batch: &mut Batch,
        method: Method,
        epsilon: f32,
        rng: &mut Rng,
    ) -> Result<(), EngineError> {
        let width = self.movable.len().max(1);
        let clean = batch.dense.clone();
        let (steps, size) = match method {
            Method::Fgsm => (1, epsilon),
            Method::RandomFgsm | Method::Pgd => {
                for (i, v) in batch.dense.iter_mut().enumerate() {
                    let share = (rng.bits() >> 40) as f32 / (1u32 << 24) as f32;
                    if let Some(m) = self.at(i, width) {
                        let to = *v + (2.0 * share - 1.0) * epsilon * m.unit;
                        *v = to.clamp(m.low, m.high);
                    }
                }
                match method {
                    Method::Pgd => (STEPS, 2.5 * epsilon / STEPS as f32),
                    _ => (1, 1.25 * epsilon),
                }
            }
        };
        for _ in 0..steps {
            let gradient = self.gradient(batch)?;
            let values = batch.dense.iter_mut().zip(&clean).zip(gradient);
            for (i, ((v, from), g)) in values.enumerate() {
                let Some(m) = self.at(i, width) else { continue };
                let reach = epsilon * m.unit;
                let to = *v + if g == 0.0 { 0.0 } else { g.signum() * size * m.unit };
                // A value outside what data can have stays where it is.
                let (low, high) = (m.low.min(*from), m.high.max(*from));
                *v = to.clamp(from - reach, from + reach).clamp(low, high);
            }
        }
        Ok(())
    }

    fn at(&self, index: usize, width: usize) -> Option<Movable> {
        self.movable.get(index % width).copied().flatten()
    }
}

//! What a compilation gathers: buffers, parameters, watched tensors.

use super::update::StateLayout;
use super::{fault, quantise};
use crate::error::EngineError;
use crate::fp8::stats::STAT_WORDS;
use crate::fp8::{Precision, Recipe, Scaling};
use crate::kernels::quantise::HISTORY_WORDS;
use crate::kernels::{BufferId, step_state};
use crate::model::{ModelSpec, Shape, Source};
use crate::plan::{Adjustments, Buffer, PlanConfig, PlanParam, Purpose, WatchedTensor};

/// The buffers that the host reads and writes.
#[derive(Clone, Copy)]
pub(super) struct Io {
    pub dense: BufferId,
    pub categories: BufferId,
    pub targets: BufferId,
    pub sample_weights: BufferId,
    pub step: BufferId,
    pub losses: BufferId,
    pub loss_sum: BufferId,
    pub outputs: BufferId,
    pub stats: BufferId,
    pub history: BufferId,
}

pub(super) struct Compiler<'a> {
    pub model: &'a ModelSpec,
    pub config: &'a PlanConfig,
    pub adjustments: &'a Adjustments,
    pub rows: u32,
    pub buffers: Vec<Buffer>,
    pub params: Vec<PlanParam>,
    pub watched: Vec<WatchedTensor>,
    pub io: Io,
    /// Sources and output shape of every node.
    pub sources: Vec<Vec<Source>>,
    pub shapes: Vec<Shape>,
    pub gradient_norm: Option<BufferId>,
    /// Whether the gradient of the inputs is wanted, and where it is.
    pub of_inputs: bool,
    pub input_gradient: Option<BufferId>,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(
        model: &'a ModelSpec,
        config: &'a PlanConfig,
        adjustments: &'a Adjustments,
    ) -> Result<Self, EngineError> {
        let batch = config.batch;
        let embeddings = model.input.embeddings.len();
        let mut buffers = Vec::new();
        let mut persistent = |name: &str, purpose, words: usize| {
            let words = words.max(1);
            buffers.push(Buffer {
                name: name.to_owned(),
                purpose,
                words,
                persistent: true,
                slot: 0,
                part: None,
            });
            BufferId(buffers.len() as u32 - 1)
        };
        let watched = quantise::watched(model, config.precision, adjustments);
        let delayed = matches!(
            config.precision,
            Precision::Fp8(Recipe { scaling: Scaling::Delayed { .. }, .. })
        );
        let history = if delayed { watched.len() * HISTORY_WORDS } else { 1 };
        let io = Io {
            dense: persistent("dense", Purpose::Input, batch * model.input.dense),
            categories: persistent("categories", Purpose::Input, batch * embeddings),
            targets: persistent("targets", Purpose::Input, batch),
            sample_weights: persistent("sample_weights", Purpose::Input, batch),
            step: persistent("step", Purpose::Input, step_state::WORDS),
            losses: persistent("losses", Purpose::Output, batch),
            loss_sum: persistent("loss_sum", Purpose::Output, 1),
            outputs: persistent("outputs", Purpose::Output, batch * model.head.outputs()),
            stats: persistent("stats", Purpose::Output, watched.len() * STAT_WORDS),
            history: persistent("history", Purpose::Quantised, history),
        };
        let mut params = Vec::new();
        for info in model.try_parameters()? {
            let len: usize = info.shape.iter().product();
            let layout = StateLayout::new(config, &info);
            let weight = persistent(&info.name, Purpose::Weight, layout.weight_words());
            // Running statistics are no business of the optimiser.
            let trained = info.kind.trained();
            let moments = if trained { layout.moments(config.optimizer) } else { Vec::new() };
            let moments = moments
                .into_iter()
                .map(|(m, words)| persistent(&format!("{}.{m}", info.name), Purpose::Moment, words))
                .collect();
            let mut optional = |wanted: bool, part: &str, purpose| {
                wanted.then(|| persistent(&format!("{}.{part}", info.name), purpose, len))
            };
            let averaged = trained && config.update.average.is_some();
            let average = optional(averaged, "average", Purpose::Average);
            let summed = trained && config.update.sums();
            let accumulator = optional(summed, "gradient_sum", Purpose::Gradient);
            params.push((info, layout.master, weight, moments, average, accumulator));
        }
        let clipped = config.update.clip_norm.or(config.update.row_clip).is_some();
        let gradient_norm = clipped.then(|| persistent("gradient_norm", Purpose::Output, 2));
        let mut this = Self {
            model,
            config,
            adjustments,
            rows: u32::try_from(batch).map_err(|_| fault(format!("batch size {batch}")))?,
            buffers,
            params: Vec::new(),
            watched,
            io,
            sources: model.sources()?,
            shapes: model.shapes()?,
            gradient_norm,
            of_inputs: false,
            input_gradient: None,
        };
        for (info, master, weight, moments, average, accumulator) in params {
            let len = info.shape.iter().product();
            let gradient = info.kind.trained().then(|| {
                this.transient(&format!("{}.gradient", info.name), Purpose::Gradient, len)
            });
            let quantised = this.quantised(&info.name, &info.shape);
            let half = this.half(&info.name, &info.shape, master);
            let (name, shape) = (info.name, info.shape);
            this.params.push(PlanParam {
                name,
                shape,
                weight,
                master,
                gradient,
                accumulator,
                moments,
                average,
                quantised,
                half,
            });
        }
        Ok(this)
    }

    pub(super) fn buffer(
        &mut self,
        name: &str,
        purpose: Purpose,
        words: usize,
        persistent: bool,
    ) -> BufferId {
        let words = words.max(1);
        let (name, slot) = (name.to_owned(), 0);
        self.buffers.push(Buffer { name, purpose, words, persistent, slot, part: None });
        BufferId(self.buffers.len() as u32 - 1)
    }

    pub(super) fn transient(&mut self, name: &str, purpose: Purpose, words: usize) -> BufferId {
        self.buffer(name, purpose, words, false)
    }

    /// An f32 matrix with one row per sample.
    pub(super) fn matrix(&mut self, name: &str, purpose: Purpose, cols: u32) -> BufferId {
        self.transient(name, purpose, self.rows as usize * cols as usize)
    }

    pub(super) fn watch(&self, name: &str) -> Option<u32> {
        self.watched.iter().position(|w| w.name == name).map(|i| i as u32)
    }

    pub(super) fn param(&self, name: &str) -> Result<&PlanParam, EngineError> {
        let found = self.params.iter().find(|p| p.name == name);
        found.ok_or_else(|| fault(format!("no parameter {name}")))
    }

    /// Gradient buffer of a parameter.
    pub(super) fn gradient(&self, name: &str) -> Result<BufferId, EngineError> {
        let gradient = self.param(name)?.gradient;
        gradient.ok_or_else(|| fault(format!("parameter {name} has no gradient")))
    }
}

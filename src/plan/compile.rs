//! Compiles a model into a plan.

use super::{
    Buffer, Optimizer, Plan, PlanConfig, PlanParam, Purpose, QuantisedRef, TensorRole,
    WatchedTensor, memory,
};
use crate::error::EngineError;
use crate::fp8::stats::STAT_WORDS;
use crate::fp8::{Format, Precision, Recipe, Scaling};
use crate::kernels::activation::{ActivationBackward, BiasActivation};
use crate::kernels::dropout::Dropout;
use crate::kernels::embedding::{Embed, EmbedBackward};
use crate::kernels::gemm::{Gemm, Operand, Storage};
use crate::kernels::layer_norm::{LayerNorm, LayerNormBackward};
use crate::kernels::loss::{MeanSquaredError, SoftmaxCrossEntropy};
use crate::kernels::optimizer::{AdamW, SgdMomentum};
use crate::kernels::quantise::{HISTORY_WORDS, Quantise, ScaleSource};
use crate::kernels::reduce::{ColumnSum, Sum};
use crate::kernels::{BufferId, Op, step_state};
use crate::model::{Head, Layer, MAX_ELEMENTS, ModelSpec, ParamKind};

/// Largest margin of a recipe; more would push most values into the subnormal codes.
const MAX_MARGIN: u32 = 8;

/// Compiles `model` for `config`.
///
/// # Errors
/// [`EngineError::Shape`] if the model or a setting is not usable.
pub fn compile(model: &ModelSpec, config: &PlanConfig) -> Result<Plan, EngineError> {
    model.validate()?;
    check_config(model, config)?;
    let mut c = Compiler::new(model, config)?;
    let train_step = c.train_step()?;
    let (prepare_eval, eval_step) = c.evaluation()?;
    let Compiler { mut buffers, params, watched, io, .. } = c;
    let keep: Vec<BufferId> = params.iter().map(|p| p.gradient).collect();
    let slots = memory::assign(&mut buffers, &[&train_step, &prepare_eval, &eval_step], &keep);
    Ok(Plan {
        model: model.clone(),
        config: config.clone(),
        buffers,
        slots,
        params,
        watched,
        train_step,
        prepare_eval,
        eval_step,
        dense: io.dense,
        categories: io.categories,
        targets: io.targets,
        sample_weights: io.sample_weights,
        step: io.step,
        losses: io.losses,
        loss_sum: io.loss_sum,
        outputs: io.outputs,
        stats: io.stats,
        history: io.history,
    })
}

fn fault(what: String) -> EngineError {
    EngineError::Shape { op: "plan", what }
}

fn check_config(model: &ModelSpec, config: &PlanConfig) -> Result<(), EngineError> {
    let widest = model
        .nodes
        .iter()
        .map(|n| if let Layer::Dense { out, .. } = n.layer { out } else { 0 })
        .chain([model.input.width(), model.input.embeddings.len()])
        .max()
        .unwrap_or(1);
    if config.batch == 0 || config.batch.checked_mul(widest).is_none_or(|n| n > MAX_ELEMENTS) {
        return Err(fault(format!(
            "batch size {} with layers up to {widest} wide; it must be at least 1 and the product at \
             most {MAX_ELEMENTS}",
            config.batch
        )));
    }
    if let Precision::Fp8(recipe) = config.precision {
        if recipe.margin > MAX_MARGIN {
            return Err(fault(format!("margin {} is more than {MAX_MARGIN}", recipe.margin)));
        }
        if let Scaling::Delayed { history, .. } = recipe.scaling
            && !(1..=HISTORY_WORDS as u32).contains(&history)
        {
            return Err(fault(format!("amax history {history} is not in 1..={HISTORY_WORDS}")));
        }
    }
    let unit = |name: &str, v: f32| {
        if (0.0..1.0).contains(&v) {
            Ok(())
        } else {
            Err(fault(format!("{name} {v} is not in 0..1")))
        }
    };
    let positive = |name: &str, v: f32| {
        if v >= 0.0 && v.is_finite() {
            Ok(())
        } else {
            Err(fault(format!("{name} {v} is negative")))
        }
    };
    match config.optimizer {
        Optimizer::AdamW { beta1, beta2, epsilon, weight_decay } => {
            unit("beta1", beta1)?;
            unit("beta2", beta2)?;
            positive("epsilon", epsilon)?;
            positive("weight decay", weight_decay)
        }
        Optimizer::Sgd { momentum, weight_decay } => {
            unit("momentum", momentum)?;
            positive("weight decay", weight_decay)
        }
    }
}

/// The buffers that the host reads and writes.
#[derive(Clone, Copy)]
struct Io {
    dense: BufferId,
    categories: BufferId,
    targets: BufferId,
    sample_weights: BufferId,
    step: BufferId,
    losses: BufferId,
    loss_sum: BufferId,
    outputs: BufferId,
    stats: BufferId,
    history: BufferId,
}

/// A matrix `[rows, cols]` in f32.
#[derive(Clone, Copy)]
struct Matrix {
    buffer: BufferId,
    cols: u32,
}

/// What a node leaves for its backward pass.
enum Saved {
    Dense { x: Operand, weight: Operand, pre: Option<BufferId> },
    LayerNorm { x: BufferId, moments: BufferId },
    Dropout,
}

struct Compiler<'a> {
    model: &'a ModelSpec,
    config: &'a PlanConfig,
    rows: u32,
    buffers: Vec<Buffer>,
    params: Vec<PlanParam>,
    watched: Vec<WatchedTensor>,
    io: Io,
}

impl<'a> Compiler<'a> {
    fn new(model: &'a ModelSpec, config: &'a PlanConfig) -> Result<Self, EngineError> {
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
            });
            BufferId(buffers.len() as u32 - 1)
        };
        let watched = watched(model, config.precision);
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
        let moments: &[&str] = match config.optimizer {
            Optimizer::AdamW { .. } => &["first", "second"],
            Optimizer::Sgd { .. } => &["momentum"],
        };
        let mut params = Vec::new();
        for info in model.parameters() {
            let len: usize = info.shape.iter().product();
            let weight = persistent(&info.name, Purpose::Weight, len);
            let moments = moments
                .iter()
                .map(|m| persistent(&format!("{}.{m}", info.name), Purpose::Moment, len))
                .collect();
            params.push((info, weight, moments));
        }
        let mut this = Self {
            model,
            config,
            rows: u32::try_from(batch).map_err(|_| fault(format!("batch size {batch}")))?,
            buffers,
            params: Vec::new(),
            watched,
            io,
        };
        for (info, weight, moments) in params {
            let len = info.shape.iter().product();
            let gradient =
                this.transient(&format!("{}.gradient", info.name), Purpose::Gradient, len);
            let quantised = this.quantised(&info.name, &info.shape);
            let (name, shape) = (info.name, info.shape);
            this.params.push(PlanParam { name, shape, weight, gradient, moments, quantised });
        }
        Ok(this)
    }

    fn buffer(&mut self, name: &str, purpose: Purpose, words: usize, persistent: bool) -> BufferId {
        let words = words.max(1);
        self.buffers.push(Buffer { name: name.to_owned(), purpose, words, persistent, slot: 0 });
        BufferId(self.buffers.len() as u32 - 1)
    }

    fn transient(&mut self, name: &str, purpose: Purpose, words: usize) -> BufferId {
        self.buffer(name, purpose, words, false)
    }

    /// An f32 matrix with one row per sample.
    fn matrix(&mut self, name: &str, purpose: Purpose, cols: u32) -> BufferId {
        self.transient(name, purpose, self.rows as usize * cols as usize)
    }

    /// The FP8 copy of a weight, if its layer has one. Training and evaluation write it anew before
    /// every use, so one copy serves both.
    fn quantised(&mut self, name: &str, shape: &[usize]) -> Option<QuantisedRef> {
        let recipe = self.recipe(name.strip_suffix(".weight")?)?;
        let &[rows, cols] = shape else { return None };
        let words = rows * cols.div_ceil(4);
        let packed = self.buffer(&format!("{name}.fp8"), Purpose::Quantised, words, true);
        let scales = self.buffer(&format!("{name}.scales"), Purpose::Quantised, 1, true);
        Some(QuantisedRef { packed, scales, format: recipe.forward })
    }

    /// The recipe of a layer's products; `None` means f32.
    fn recipe(&self, node: &str) -> Option<Recipe> {
        let Precision::Fp8(recipe) = self.config.precision else { return None };
        let fp8 = self.model.nodes.iter().any(|n| {
            n.name == node && matches!(n.layer, Layer::Dense { high_precision: false, .. })
        });
        fp8.then_some(recipe)
    }

    fn watch(&self, name: &str) -> Option<u32> {
        self.watched.iter().position(|w| w.name == name).map(|i| i as u32)
    }

    fn param(&self, name: &str) -> Result<&PlanParam, EngineError> {
        let found = self.params.iter().find(|p| p.name == name);
        found.ok_or_else(|| fault(format!("no parameter {name}")))
    }

    /// Quantises a matrix under one scale into given buffers.
    fn quantise(
        &self,
        input: BufferId,
        (rows, cols): (u32, u32),
        into: QuantisedRef,
        watch: Option<u32>,
        stochastic: bool,
    ) -> (Quantise, Operand) {
        let recipe = match self.config.precision {
            Precision::Fp8(recipe) => recipe,
            Precision::F32 => Recipe::default(),
        };
        let source = match (recipe.scaling, watch) {
            (Scaling::Delayed { history, algorithm }, Some(_)) => {
                ScaleSource::Delayed { history: self.io.history, length: history, algorithm }
            }
            _ => ScaleSource::Current,
        };
        let QuantisedRef { packed, scales, format } = into;
        let op = Quantise {
            input,
            packed,
            scales,
            rows,
            cols,
            block_rows: rows,
            block_cols: cols,
            format,
            source,
            margin: recipe.margin,
            stochastic,
            watch,
            stats: self.io.stats,
            step: self.io.step,
        };
        let storage = Storage::Fp8 { format, scales, block_rows: rows, block_cols: cols };
        (op, Operand { buffer: packed, storage, rows, cols, transpose: false })
    }

    /// Quantises one row per sample into a new transient buffer.
    fn quantise_rows(
        &mut self,
        ops: &mut Vec<Op>,
        name: &str,
        input: Matrix,
        (format, stochastic): (Format, bool),
    ) -> Operand {
        let words = self.rows as usize * (input.cols as usize).div_ceil(4);
        let packed = self.transient(&format!("{name}.fp8"), Purpose::Quantised, words);
        let scales = self.transient(&format!("{name}.scale"), Purpose::Quantised, 1);
        let into = QuantisedRef { packed, scales, format };
        let watch = self.watch(name);
        let (op, operand) =
            self.quantise(input.buffer, (self.rows, input.cols), into, watch, stochastic);
        ops.push(Op::Quantise(op));
        operand
    }

    /// Copies the inputs side by side where there is more than one; else the dense inputs as they
    /// are.
    fn input(&mut self, ops: &mut Vec<Op>, list: &str) -> Result<Matrix, EngineError> {
        let spec = &self.model.input;
        let width = spec.width() as u32;
        if spec.embeddings.is_empty() {
            return Ok(Matrix { buffer: self.io.dense, cols: width });
        }
        let out = self.matrix(&format!("{list}.input"), Purpose::Activation, width);
        let columns = spec.embeddings.len() as u32;
        let dense = Embed {
            table: None,
            source: self.io.dense,
            column: 0,
            columns: spec.dense as u32,
            cardinality: 0,
            dim: spec.dense as u32,
            out,
            offset: 0,
            width,
            rows: self.rows,
        };
        if spec.dense > 0 {
            ops.push(Op::Embed(dense));
        }
        let mut offset = spec.dense as u32;
        for (i, e) in spec.embeddings.iter().enumerate() {
            ops.push(Op::Embed(Embed {
                table: Some(self.param(&format!("embed.{i}.table"))?.weight),
                source: self.io.categories,
                column: i as u32,
                columns,
                cardinality: e.cardinality as u32,
                dim: e.dim as u32,
                offset,
                ..dense
            }));
            offset += e.dim as u32;
        }
        Ok(Matrix { buffer: out, cols: width })
    }

    /// Product, bias and activation of a dense layer; the result is `into` if given.
    fn dense(
        &mut self,
        ops: &mut Vec<Op>,
        name: &str,
        list: &str,
        (x, weight): (Operand, Operand),
        activation: Option<crate::model::Activation>,
        into: Option<BufferId>,
    ) -> Result<(Matrix, BufferId), EngineError> {
        let (rows, cols) = (self.rows, weight.rows);
        let pre = match into {
            Some(out) => out,
            None => self.matrix(&format!("{list}.{name}.pre"), Purpose::Activation, cols),
        };
        let out = match activation {
            Some(_) => self.matrix(&format!("{list}.{name}.out"), Purpose::Activation, cols),
            None => pre,
        };
        let weight = Operand { transpose: true, ..weight };
        ops.push(gemm(x, weight, pre)?);
        let bias = self.param(&format!("{name}.bias"))?.weight;
        ops.push(Op::BiasActivation(BiasActivation { x: pre, bias, out, rows, cols, activation }));
        Ok((Matrix { buffer: out, cols }, pre))
    }

    fn layer_norm(
        &mut self,
        ops: &mut Vec<Op>,
        name: &str,
        list: &str,
        x: Matrix,
    ) -> Result<(Matrix, BufferId), EngineError> {
        let out = self.matrix(&format!("{list}.{name}.out"), Purpose::Activation, x.cols);
        let moments = self.matrix(&format!("{list}.{name}.moments"), Purpose::Activation, 2);
        ops.push(Op::LayerNorm(LayerNorm {
            x: x.buffer,
            gain: self.param(&format!("{name}.gain"))?.weight,
            shift: self.param(&format!("{name}.shift"))?.weight,
            out,
            moments,
            rows: self.rows,
            cols: x.cols,
        }));
        Ok((Matrix { buffer: out, cols: x.cols }, moments))
    }

    fn train_step(&mut self) -> Result<Vec<Op>, EngineError> {
        let mut ops = Vec::new();
        let mut saved = Vec::new();
        let mut x = self.input(&mut ops, "train")?;
        let model = self.model;
        for (i, node) in model.nodes.iter().enumerate() {
            let name = node.name.as_str();
            match node.layer {
                Layer::Dense { activation, .. } => {
                    let operands = self.dense_operands(&mut ops, name, x)?;
                    let (out, pre) =
                        self.dense(&mut ops, name, "train", operands, activation, None)?;
                    let (kept, weight) = operands;
                    let pre = activation.map(|_| pre);
                    saved.push(Saved::Dense { x: kept, weight, pre });
                    x = out;
                }
                Layer::LayerNorm => {
                    let (out, moments) = self.layer_norm(&mut ops, name, "train", x)?;
                    saved.push(Saved::LayerNorm { x: x.buffer, moments });
                    x = out;
                }
                Layer::Dropout { rate } => {
                    if x.buffer == self.io.dense {
                        x = self.copy_of_dense(&mut ops, name);
                    }
                    ops.push(self.dropout(x, rate, i));
                    saved.push(Saved::Dropout);
                }
            }
        }
        let gradient = self.matrix("loss.gradient", Purpose::Gradient, x.cols);
        ops.push(self.loss(x.buffer, Some(gradient)));
        ops.push(self.loss_sum());
        let gradient = Matrix { buffer: gradient, cols: x.cols };
        self.backward(&mut ops, saved, gradient)?;
        self.update(&mut ops);
        Ok(ops)
    }

    /// Layer input and weight as operands, quantised where the layer is FP8.
    fn dense_operands(
        &mut self,
        ops: &mut Vec<Op>,
        name: &str,
        x: Matrix,
    ) -> Result<(Operand, Operand), EngineError> {
        let param = self.param(&format!("{name}.weight"))?;
        let (weight, quantised) = (param.weight, param.quantised);
        let rows = param.shape.first().copied().unwrap_or(0) as u32;
        let (Some(into), Some(recipe)) = (quantised, self.recipe(name)) else {
            return Ok((
                Operand::f32(x.buffer, self.rows, x.cols, false),
                Operand::f32(weight, rows, x.cols, false),
            ));
        };
        let input = format!("{name}.input");
        let format = (recipe.forward, false);
        let x8 = self.quantise_rows(ops, &input, x, format);
        let watch = self.watch(&format!("{name}.weight"));
        let (op, w8) = self.quantise(weight, (rows, x.cols), into, watch, false);
        ops.push(Op::Quantise(op));
        Ok((x8, w8))
    }

    /// Dropout works in place, and the host's inputs must stay as they are.
    fn copy_of_dense(&mut self, ops: &mut Vec<Op>, name: &str) -> Matrix {
        let cols = self.model.input.dense as u32;
        let out = self.matrix(&format!("train.{name}.out"), Purpose::Activation, cols);
        ops.push(Op::Embed(Embed {
            table: None,
            source: self.io.dense,
            column: 0,
            columns: cols,
            cardinality: 0,
            dim: cols,
            out,
            offset: 0,
            width: cols,
            rows: self.rows,
        }));
        Matrix { buffer: out, cols }
    }

    fn dropout(&self, x: Matrix, rate: f32, layer: usize) -> Op {
        Op::Dropout(Dropout {
            x: x.buffer,
            len: self.rows * x.cols,
            rate,
            layer: layer as u32,
            step: self.io.step,
        })
    }

    fn loss(&self, outputs: BufferId, grad: Option<BufferId>) -> Op {
        let (rows, step) = (self.rows, self.io.step);
        let (targets, weights, losses) = (self.io.targets, self.io.sample_weights, self.io.losses);
        match self.model.head {
            Head::Classes { count } => Op::SoftmaxCrossEntropy(SoftmaxCrossEntropy {
                logits: outputs,
                targets,
                weights,
                losses,
                grad,
                rows,
                classes: count as u32,
                step,
            }),
            Head::Regression => Op::MeanSquaredError(MeanSquaredError {
                outputs,
                targets,
                weights,
                losses,
                grad,
                rows,
                step,
            }),
        }
    }

    fn loss_sum(&self) -> Op {
        Op::Sum(Sum { x: self.io.losses, out: self.io.loss_sum, len: self.rows })
    }

    fn backward(
        &mut self,
        ops: &mut Vec<Op>,
        saved: Vec<Saved>,
        mut grad: Matrix,
    ) -> Result<(), EngineError> {
        let model = self.model;
        let embeddings = !model.input.embeddings.is_empty();
        // The first node with parameters needs no input gradient unless tables lie before it.
        let first_trained =
            saved.iter().position(|s| !matches!(s, Saved::Dropout)).unwrap_or_default();
        for (i, (node, saved)) in model.nodes.iter().zip(saved).enumerate().rev() {
            let name = node.name.as_str();
            let wanted = embeddings || i > first_trained;
            match saved {
                Saved::Dense { x, weight, pre } => {
                    let activation = match node.layer {
                        Layer::Dense { activation, .. } => activation,
                        _ => None,
                    };
                    if let (Some(pre), Some(activation)) = (pre, activation) {
                        ops.push(Op::ActivationBackward(ActivationBackward {
                            grad: grad.buffer,
                            pre,
                            len: self.rows * grad.cols,
                            activation,
                        }));
                    }
                    ops.push(Op::ColumnSum(ColumnSum {
                        x: grad.buffer,
                        out: self.param(&format!("{name}.bias"))?.gradient,
                        rows: self.rows,
                        cols: grad.cols,
                    }));
                    let dy = match self.recipe(name) {
                        Some(recipe) => {
                            let format = (recipe.gradient, recipe.stochastic_gradients);
                            let name = format!("{name}.gradient");
                            self.quantise_rows(ops, &name, grad, format)
                        }
                        None => Operand::f32(grad.buffer, self.rows, grad.cols, false),
                    };
                    let weight_grad = self.param(&format!("{name}.weight"))?.gradient;
                    ops.push(gemm(Operand { transpose: true, ..dy }, x, weight_grad)?);
                    if wanted {
                        let name = format!("{name}.input.gradient");
                        let out = self.matrix(&name, Purpose::Gradient, weight.cols);
                        ops.push(gemm(dy, weight, out)?);
                        grad = Matrix { buffer: out, cols: weight.cols };
                    }
                }
                Saved::LayerNorm { x, moments } => {
                    let name_in = format!("{name}.input.gradient");
                    let grad_in = self.matrix(&name_in, Purpose::Gradient, grad.cols);
                    ops.push(Op::LayerNormBackward(LayerNormBackward {
                        x,
                        gain: self.param(&format!("{name}.gain"))?.weight,
                        moments,
                        grad_out: grad.buffer,
                        grad_in,
                        grad_gain: self.param(&format!("{name}.gain"))?.gradient,
                        grad_shift: self.param(&format!("{name}.shift"))?.gradient,
                        rows: self.rows,
                        cols: grad.cols,
                    }));
                    grad.buffer = grad_in;
                }
                Saved::Dropout => {
                    if let (Layer::Dropout { rate }, true) = (&node.layer, wanted) {
                        ops.push(self.dropout(grad, *rate, i));
                    }
                }
            }
        }
        let mut offset = model.input.dense as u32;
        for (i, e) in model.input.embeddings.iter().enumerate() {
            ops.push(Op::EmbedBackward(EmbedBackward {
                categories: self.io.categories,
                column: i as u32,
                columns: model.input.embeddings.len() as u32,
                grad: grad.buffer,
                offset,
                width: grad.cols,
                grad_table: self.param(&format!("embed.{i}.table"))?.gradient,
                cardinality: e.cardinality as u32,
                dim: e.dim as u32,
                rows: self.rows,
            }));
            offset += e.dim as u32;
        }
        Ok(())
    }

    fn update(&self, ops: &mut Vec<Op>) {
        let step = self.io.step;
        for (param, info) in self.params.iter().zip(self.model.parameters()) {
            let decays = matches!(info.kind, ParamKind::Weight { .. });
            let decay = |d: f32| if decays { d } else { 0.0 };
            let len = param.shape.iter().product::<usize>() as u32;
            let (weight, gradient) = (param.weight, param.gradient);
            match (self.config.optimizer, param.moments.as_slice()) {
                (Optimizer::AdamW { beta1, beta2, epsilon, weight_decay }, &[first, second]) => {
                    ops.push(Op::AdamW(AdamW {
                        weight,
                        gradient,
                        first,
                        second,
                        len,
                        beta1,
                        beta2,
                        epsilon,
                        weight_decay: decay(weight_decay),
                        step,
                    }));
                }
                (Optimizer::Sgd { momentum, weight_decay }, &[momentum_buffer]) => {
                    ops.push(Op::SgdMomentum(SgdMomentum {
                        weight,
                        gradient,
                        momentum_buffer,
                        len,
                        momentum,
                        weight_decay: decay(weight_decay),
                        step,
                    }));
                }
                _ => {}
            }
        }
    }

    /// `prepare_eval` and `eval_step`.
    fn evaluation(&mut self) -> Result<(Vec<Op>, Vec<Op>), EngineError> {
        let (mut prepare, mut ops) = (Vec::new(), Vec::new());
        let mut x = self.input(&mut ops, "eval")?;
        let model = self.model;
        for (i, node) in model.nodes.iter().enumerate() {
            let name = node.name.as_str();
            match node.layer {
                Layer::Dense { activation, .. } => {
                    let param = self.param(&format!("{name}.weight"))?;
                    let rows = param.shape.first().copied().unwrap_or(0) as u32;
                    let master = param.weight;
                    let weight = match param.quantised {
                        Some(into) => {
                            let (op, operand) =
                                self.quantise(master, (rows, x.cols), into, None, false);
                            prepare.push(Op::Quantise(op));
                            operand
                        }
                        None => Operand::f32(master, rows, x.cols, false),
                    };
                    let input = Operand::f32(x.buffer, self.rows, x.cols, false);
                    let last = i + 1 == model.nodes.len();
                    let into = last.then_some(self.io.outputs);
                    (x, _) =
                        self.dense(&mut ops, name, "eval", (input, weight), activation, into)?;
                }
                Layer::LayerNorm => (x, _) = self.layer_norm(&mut ops, name, "eval", x)?,
                Layer::Dropout { .. } => {}
            }
        }
        ops.push(self.loss(self.io.outputs, None));
        ops.push(self.loss_sum());
        Ok((prepare, ops))
    }
}

/// A product of two operands, checked.
fn gemm(a: Operand, b: Operand, out: BufferId) -> Result<Op, EngineError> {
    let (m, k) = if a.transpose { (a.cols, a.rows) } else { (a.rows, a.cols) };
    let n = if b.transpose { b.rows } else { b.cols };
    let gemm = Gemm { a, b, out, m, n, k };
    gemm.check()?;
    Ok(Op::Gemm(gemm))
}

/// Input, weight and gradient of every FP8 layer, in this order.
fn watched(model: &ModelSpec, precision: Precision) -> Vec<WatchedTensor> {
    let Precision::Fp8(recipe) = precision else { return Vec::new() };
    let mut list = Vec::new();
    for node in &model.nodes {
        if !matches!(node.layer, Layer::Dense { high_precision: false, .. }) {
            continue;
        }
        for (part, role, format) in [
            ("input", TensorRole::Activation, recipe.forward),
            ("weight", TensorRole::Weight, recipe.forward),
            ("gradient", TensorRole::Gradient, recipe.gradient),
        ] {
            list.push(WatchedTensor { name: format!("{}.{part}", node.name), role, format });
        }
    }
    list
}

//! What FP8 cost or saved: the same network trained with the same seed and split in FP8, bf16 and
//! f32, and the f32 one rounded to 8 bits afterwards.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam::channel::RecvTimeoutError;
use serde::Serialize;

use super::baselines::agreement;
use super::bootstrap::{Interval, intervals};
use super::evaluation::{Options, measure};
use super::groups::groupings;
use super::outcomes::Outcomes;
use super::scorer::measure_values;
use super::{Meaning, slices};
use crate::data::{Encoded, Progress, Split};
use crate::engine::{Batch, EngineInfo};
use crate::error::{DataError, EngineError, UserError};
use crate::export::{self, ModelInfo};
use crate::fp8::{Precision, Recipe};
use crate::metrics::MetricKind;
use crate::model::init::Param;
use crate::plan::{self, PlanConfig};
use crate::train::{Control, Event, Job, RunFolder, Summary, TrainConfig, start};

/// How a model came to its precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Trained in it.
    Trained,
    /// Trained in f32 and rounded afterwards.
    Rounded,
}

/// One model of the comparison.
#[derive(Debug, Clone, Serialize)]
pub struct Arm {
    /// `FP8`, `bf16`, `f32`, `f32 → FP8`, `f32 → int8`.
    pub name: &'static str,
    /// How it came to its precision.
    pub how: How,
    /// Main metric on the test rows.
    pub score: f64,
    /// 95 % interval of it.
    pub interval: Interval,
    /// Score minus that of the f32 model, and the interval of this difference over the same rows.
    pub difference: f64,
    /// See `difference`.
    pub difference_interval: Interval,
    /// Mean loss on the test rows: cross-entropy, or the squared error of the standardised target.
    pub loss: f64,
    /// Loss minus that of the f32 model.
    pub loss_gap: f64,
    /// Calibration error; of classes only.
    pub ece: Option<f64>,
    /// The group with the worst figure among those with enough rows, and that figure.
    pub worst_slice: Option<(String, f64)>,
    /// Share of the test rows answered as the f32 model does; of numbers, within a twentieth of the
    /// target's standard deviation.
    pub agreement: f64,
    /// Wall seconds of training; `None` where it was only rounded.
    pub train_seconds: Option<f64>,
    /// Seconds of all processor threads together while training: what it costs in energy, up to a
    /// factor.
    pub core_seconds: Option<f64>,
    /// Rows per second while training.
    pub train_rows_per_second: Option<f64>,
    /// Middle time to predict one row, in microseconds.
    pub latency_p50: f64,
    /// Time that 95 of 100 predictions stay below.
    pub latency_p95: f64,
    /// Batch size and rows predicted per second.
    pub throughput: Vec<(usize, f64)>,
    /// Bytes of the exported file; of int8, which is not exported, by computation.
    pub file_bytes: u64,
    /// Bytes that training it takes.
    pub memory_bytes: u64,
    /// No other model has both a better score and a smaller file.
    pub pareto: bool,
}

/// What came of the comparison.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// Project.
    pub project: String,
    /// Test rows.
    pub rows: usize,
    /// What `score` is.
    pub metric: MetricKind,
    /// Who computed.
    pub engine: EngineInfo,
    /// Seed of all trainings.
    pub seed: u64,
    /// The models; the f32 one first.
    pub arms: Vec<Arm>,
    /// Plain sentences, the answer first.
    pub card: Vec<String>,
    /// Whether training in FP8 took longer than in f32 on this machine.
    pub slower: bool,
}

/// Batch sizes whose speed is measured.
const BATCHES: [usize; 4] = [1, 16, 128, 1024];
/// Single predictions that are timed.
const TIMED: usize = 300;
/// How long one batch size is timed.
const TIME: Duration = Duration::from_millis(60);

/// A trained model and what its training left.
struct Trained {
    info: ModelInfo,
    params: Vec<Param>,
    summary: Summary,
}

/// Trains `job` in FP8 (its own recipe, or the default one), bf16 and f32 in folders under
/// `scratch` and compares the models on the test rows of its split.
///
/// # Errors
/// What training or the data fail of; cancelled.
pub fn compare(job: &Job, scratch: &Path, progress: &Progress) -> Result<Verdict, UserError> {
    let recipe = job.config.precision.recipe().unwrap_or_default();
    let plans =
        [("f32", Precision::F32), ("FP8", Precision::Fp8(recipe)), ("bf16", Precision::Bf16)];
    progress.total.store(8, Ordering::Relaxed);
    let step = |n| progress.done.store(n, Ordering::Relaxed);
    let mut trained = Vec::new();
    for (i, (name, precision)) in plans.into_iter().enumerate() {
        step(i as u64 * 2);
        // What only watches would change the times.
        let config = TrainConfig {
            precision,
            hybrid: None,
            private: None,
            shadow: false,
            what_if_every: 0,
            ..job.config.clone()
        };
        let folder = scratch.join(name);
        trained
            .push((name, train(Job { config, folder, resume: false, ..job.clone() }, progress)?));
    }
    step(6);
    let split = Split::make(&job.dataset, &job.schema, &job.split)?;
    if split.test.is_empty() {
        return Err(UserError::new(
            "The project keeps no rows for testing",
            "Set a test share above 0 in the project.",
        ));
    }
    let Some((_, base)) = trained.first() else {
        return Err(UserError::new("Nothing was trained", ""));
    };
    let test = base.info.preprocessor.transform(&job.dataset, &split.test)?;
    let groups = groupings(&job.dataset, &job.schema.target, &split.test);
    let bench = Bench { test: &test, groups, recipe, scratch, progress };
    let reference = bench.outputs(&base.info, &base.params)?;
    let mut arms = Vec::new();
    for (name, model) in &trained {
        let training = Some(&model.summary);
        arms.push(bench.arm(name, &model.info, &model.params, training, &reference)?);
    }
    step(7);
    let mut rounded = base.info.clone();
    rounded.settings.precision = Precision::Fp8(recipe);
    arms.push(bench.arm("f32 → FP8", &rounded, &base.params, None, &reference)?);
    let int8 = round_to_int8(&base.info, &base.params);
    arms.push(bench.arm("f32 → int8", &base.info, &int8, None, &reference)?);
    mark_pareto(&mut arms);
    step(8);
    let metric = match reference {
        Outcomes::Classes(_) => MetricKind::Accuracy,
        Outcomes::Values(_) => MetricKind::R2,
    };
    let slower = match (find(&arms, "FP8"), find(&arms, "f32")) {
        (Some(a), Some(b)) => a.train_seconds > b.train_seconds,
        _ => false,
    };
    Ok(Verdict {
        project: job.project.clone(),
        rows: test.rows,
        metric,
        engine: base.summary.engine.clone(),
        seed: job.config.seed,
        card: card(&arms, metric),
        arms,
        slower,
    })
}

/// As [`compare`], in a folder of its own that is removed afterwards.
///
/// # Errors
/// As [`compare`]; the folder cannot be made.
pub fn in_scratch(job: &Job, progress: &Progress) -> Result<Verdict, UserError> {
    let scratch = tempfile::tempdir().map_err(|e| {
        UserError::new(
            format!("There is no place for the trainings of the comparison: {e}"),
            "Free some disk space and try again.",
        )
    })?;
    compare(job, scratch.path(), progress)
}

fn find<'a>(arms: &'a [Arm], name: &str) -> Option<&'a Arm> {
    arms.iter().find(|a| a.name == name)
}

fn train(job: Job, progress: &Progress) -> Result<Trained, UserError> {
    let folder = job.folder.clone();
    let handle = start(job, Arc::new(|| {}))?;
    let summary = loop {
        if progress.cancel.load(Ordering::Relaxed) {
            // The run ends by itself once its handle is gone.
            let _ = handle.control.try_send(Control::Cancel);
            return Err(DataError::Cancelled.into());
        }
        match handle.events.recv_timeout(Duration::from_millis(100)) {
            Ok(Event::Finished(summary)) => break *summary,
            Ok(Event::Failed(error)) => return Err(error),
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(UserError::new(
                    "A training of the comparison ended without a model",
                    "",
                ));
            }
        }
    };
    let run = RunFolder::open(&folder)?;
    Ok(Trained { info: ModelInfo::from_record(&run.record), params: run.best_params()?, summary })
}

/// What all models are measured on.
struct Bench<'a> {
    test: &'a Encoded,
    groups: Vec<super::groups::Grouping>,
    recipe: Recipe,
    scratch: &'a Path,
    progress: &'a Progress,
}

impl Bench<'_> {
    fn outputs(&self, info: &ModelInfo, params: &[Param]) -> Result<Outcomes, UserError> {
        let mut engine = export::live(info, params, 256)?;
        let (out, _) = super::outputs(engine.as_mut(), self.test)?;
        let classes = info.schema.task.classes();
        Outcomes::new(classes, self.test, out, Meaning::of(&info.preprocessor))
            .ok_or_else(|| UserError::new("The test rows have no usable target", ""))
    }

    fn arm(
        &self,
        name: &'static str,
        info: &ModelInfo,
        params: &[Param],
        training: Option<&Summary>,
        reference: &Outcomes,
    ) -> Result<Arm, UserError> {
        self.progress.check()?;
        let mut engine = export::live(info, params, 256)?;
        let (out, _) = super::outputs(engine.as_mut(), self.test)?;
        let classes = info.schema.task.classes();
        let outcomes = Outcomes::new(classes, self.test, out, Meaning::of(&info.preprocessor))
            .ok_or_else(|| UserError::new("The test rows have no usable target", ""))?;
        let options = Options { replicates: 400, ..Options::default() };
        let figures = measure(&outcomes, false, options, self.progress)?;
        let main = figures.first().ok_or_else(|| UserError::new("There are no test rows", ""))?;
        let (difference, difference_interval) = difference(&outcomes, reference, self.progress)?;
        let report = slices::find(&outcomes, &self.groups);
        let sign = if classes.is_empty() { -1.0 } else { 1.0 };
        let enough = report.groups.iter().filter(|s| s.p.is_some());
        let worst = enough.min_by(|a, b| (sign * a.value).total_cmp(&(sign * b.value)));
        let (latency_p50, latency_p95) = self.latency(info, params)?;
        let loss = self.loss(&outcomes, info);
        let int8 = name == "f32 → int8";
        Ok(Arm {
            name,
            how: if training.is_some() { How::Trained } else { How::Rounded },
            score: main.value,
            interval: main.interval,
            difference,
            difference_interval,
            loss,
            loss_gap: loss - self.loss(reference, info),
            ece: figures.iter().find(|m| m.kind == MetricKind::Ece).map(|m| m.value),
            worst_slice: worst.map(|s| (s.name(), s.value)),
            agreement: alike(&outcomes, reference),
            train_seconds: training.map(|s| s.seconds),
            core_seconds: training.map(|s| s.seconds * threads(&s.engine)),
            train_rows_per_second: training.map(|s| s.rows_per_second),
            latency_p50,
            latency_p95,
            throughput: self.throughput(info, params)?,
            file_bytes: if int8 { int8_bytes(info, params) } else { self.file(info, params)? },
            memory_bytes: memory(info, self.recipe, name)?,
            pareto: false,
        })
    }

    /// Mean loss of answers as the engine computes it.
    fn loss(&self, outcomes: &Outcomes, info: &ModelInfo) -> f64 {
        match outcomes {
            Outcomes::Classes(c) => {
                let n = c.classes.len().max(1);
                let rows = c.probabilities.chunks(n).zip(&c.truth);
                let p = |row: &[f64], t: u32| row.get(t as usize).copied().unwrap_or(0.0);
                rows.map(|(row, t)| -p(row, *t).max(1e-30).ln()).sum::<f64>()
                    / c.truth.len().max(1) as f64
            }
            Outcomes::Values(v) => {
                let std = info.preprocessor.target_scale().map_or(1.0, |s| s.std);
                let rmse = measure_values(v, &vec![1; v.truth.len()]).get(1).copied();
                (rmse.unwrap_or(0.0) / std).powi(2)
            }
        }
    }

    fn batch(&self, rows: usize) -> Batch {
        let mut batch = Batch::default();
        let all = self.test.rows.max(1);
        super::fill_batch(&mut batch, self.test, (0..rows).map(|i| i % all));
        batch
    }

    fn latency(&self, info: &ModelInfo, params: &[Param]) -> Result<(f64, f64), UserError> {
        let mut engine = export::live(info, params, 1)?;
        let all = self.test.rows.max(1);
        let mut times = Vec::with_capacity(TIMED);
        let mut batch = Batch::default();
        for i in 0..TIMED + 20 {
            super::fill_batch(&mut batch, self.test, [i % all]);
            let begin = Instant::now();
            engine.evaluate(&batch)?;
            if i >= 20 {
                times.push(begin.elapsed().as_secs_f64() * 1e6);
            }
        }
        times.sort_by(f64::total_cmp);
        let at = |q| super::bootstrap::quantile(&times, q);
        Ok((at(0.5), at(0.95)))
    }

    fn throughput(
        &self,
        info: &ModelInfo,
        params: &[Param],
    ) -> Result<Vec<(usize, f64)>, UserError> {
        let mut out = Vec::new();
        for size in BATCHES {
            self.progress.check()?;
            let mut engine = export::live(info, params, size)?;
            let batch = self.batch(size);
            engine.evaluate(&batch)?;
            let begin = Instant::now();
            let mut times = Vec::new();
            while begin.elapsed() < TIME || times.len() < 5 {
                let round = Instant::now();
                engine.evaluate(&batch)?;
                times.push(round.elapsed().as_secs_f64());
            }
            // The middle round: other programs slow some of them.
            times.sort_by(f64::total_cmp);
            out.push((size, size as f64 / super::bootstrap::quantile(&times, 0.5).max(1e-9)));
        }
        Ok(out)
    }

    fn file(&self, info: &ModelInfo, params: &[Param]) -> Result<u64, UserError> {
        let path = self.scratch.join("model.safetensors");
        let report = export::export(info.clone(), params, &path)?;
        Ok(report.bytes)
    }
}

impl Arm {
    /// Rows predicted per second at the fastest of the batch sizes measured.
    pub fn fastest(&self) -> f64 {
        self.throughput.iter().map(|t| t.1).fold(0.0, f64::max)
    }
}

fn threads(engine: &EngineInfo) -> f64 {
    match engine {
        EngineInfo::Cpu { threads, .. } => *threads as f64,
        EngineInfo::Gpu(_) => 1.0,
    }
}

/// Bytes of the plan that a training in this precision takes.
fn memory(info: &ModelInfo, recipe: Recipe, name: &str) -> Result<u64, EngineError> {
    let precision = match name {
        "FP8" => Precision::Fp8(recipe),
        "bf16" => Precision::Bf16,
        _ => Precision::F32,
    };
    let settings = &info.settings;
    let config = PlanConfig {
        batch: settings.batch_size,
        precision,
        optimizer: settings.optimizer,
        update: settings.update,
    };
    Ok(plan::compile(&info.model, &config)?.bytes())
}

/// Score of `a` minus score of `b` on the same rows, with the paired bootstrap.
fn difference(
    a: &Outcomes,
    b: &Outcomes,
    progress: &Progress,
) -> Result<(f64, Interval), UserError> {
    let score = |o: &Outcomes, w: &[u32]| match o {
        Outcomes::Classes(c) => {
            let rows = c.truth.iter().zip(&c.predicted).zip(w);
            let hit = rows.map(|((t, p), w)| if t == p { f64::from(*w) } else { 0.0 });
            hit.sum::<f64>() / w.iter().map(|w| f64::from(*w)).sum::<f64>().max(1.0)
        }
        Outcomes::Values(v) => measure_values(v, w).first().copied().unwrap_or(0.0),
    };
    let gap = |w: &[u32]| vec![score(a, w) - score(b, w)];
    let spread = intervals(a.len(), 400, 1, progress, gap)?;
    let value = gap(&vec![1; a.len()]).first().copied().unwrap_or(0.0);
    Ok((value, spread.first().copied().unwrap_or(Interval { low: 0.0, high: 0.0 })))
}

fn alike(a: &Outcomes, b: &Outcomes) -> f64 {
    match (a, b) {
        (Outcomes::Classes(a), Outcomes::Classes(b)) => agreement(&a.predicted, &b.predicted),
        (Outcomes::Values(a), Outcomes::Values(b)) => {
            let n = a.truth.len().max(1) as f64;
            let mean = a.truth.iter().sum::<f64>() / n;
            let std = (a.truth.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / n).sqrt();
            let rows = a.predicted.iter().zip(&b.predicted);
            rows.filter(|(x, y)| (*x - *y).abs() <= 0.05 * std).count() as f64 / n
        }
        _ => 0.0,
    }
}

fn is_dense(info: &ModelInfo, param: &Param) -> bool {
    param.shape.len() == 2
        && param
            .name
            .strip_suffix(".weight")
            .is_some_and(|n| info.model.nodes.iter().any(|node| node.name == n))
}

/// Weights of dense layers rounded to 8-bit whole numbers with one scale per output: the largest
/// magnitude becomes 127.
pub fn round_to_int8(info: &ModelInfo, params: &[Param]) -> Vec<Param> {
    let mut out = params.to_vec();
    for param in out.iter_mut().filter(|p| is_dense(info, p)) {
        let cols = param.shape.get(1).copied().unwrap_or(1).max(1);
        for row in param.values.chunks_mut(cols) {
            let most = row.iter().fold(0f32, |m, v| m.max(v.abs()));
            let scale = if most > 0.0 { most / 127.0 } else { 1.0 };
            row.iter_mut().for_each(|v| *v = (*v / scale).round().clamp(-127.0, 127.0) * scale);
        }
    }
    out
}

/// Bytes of the tensors with dense weights in int8 and a scale per output; no header.
fn int8_bytes(info: &ModelInfo, params: &[Param]) -> u64 {
    let size = |p: &Param| match is_dense(info, p) {
        true => p.values.len() + 4 * p.shape.first().copied().unwrap_or(0),
        false => 4 * p.values.len(),
    };
    params.iter().map(size).sum::<usize>() as u64
}

fn mark_pareto(arms: &mut [Arm]) {
    let points: Vec<(f64, u64)> = arms.iter().map(|a| (a.score, a.file_bytes)).collect();
    for arm in arms {
        let beaten = points.iter().any(|(score, bytes)| {
            *score >= arm.score
                && *bytes <= arm.file_bytes
                && (*score > arm.score || *bytes < arm.file_bytes)
        });
        arm.pareto = !beaten;
    }
}

fn times(ratio: f64) -> String {
    if ratio >= 10.0 { format!("{ratio:.0} times") } else { format!("{ratio:.1} times") }
}

/// The answer in plain words.
fn card(arms: &[Arm], metric: MetricKind) -> Vec<String> {
    let (Some(fp8), Some(f32)) = (find(arms, "FP8"), find(arms, "f32")) else { return Vec::new() };
    let score = |a: &Arm| metric.format(a.score);
    let pair = format!("{} against {}", score(fp8), score(f32));
    let gap = fp8.difference_interval;
    let mut out = vec![if gap.contains(0.0) {
        format!(
            "Training in 8 bits did not measurably change the score: {pair}. The difference is within chance on these rows."
        )
    } else if fp8.difference < 0.0 {
        format!("Training in 8 bits cost some of the score: {pair}, more than chance explains.")
    } else {
        format!("Training in 8 bits came out ahead: {pair}, more than chance explains.")
    }];
    let smaller = f32.file_bytes as f64 / fp8.file_bytes.max(1) as f64;
    out.push(format!(
        "The model file is {} smaller: {:.1} kB instead of {:.1} kB.",
        times(smaller),
        fp8.file_bytes as f64 / 1e3,
        f32.file_bytes as f64 / 1e3
    ));
    if let (Some(a), Some(b)) = (fp8.train_seconds, f32.train_seconds) {
        out.push(if a > b {
            format!("FP8 is slower on this machine: training took {a:.1} s in 8 bits and {b:.1} s in 32 bits ({} as long). Its arithmetic is not 8-bit: every value is decoded first.", times(a / b.max(1e-9)))
        } else {
            format!("Training took {a:.1} s in 8 bits and {b:.1} s in 32 bits.")
        });
    }
    let (a, b) = (fp8.latency_p50, f32.latency_p50);
    out.push(if a > b * 1.05 {
        format!("One prediction takes {a:.0} µs in 8 bits and {b:.0} µs in 32 bits: slower, too.")
    } else {
        format!("One prediction takes {a:.0} µs in 8 bits and {b:.0} µs in 32 bits.")
    });
    out.push(format!(
        "Both models give the same answer for {:.1} % of the test rows.",
        100.0 * fp8.agreement
    ));
    if let Some(rounded) = find(arms, "f32 → FP8") {
        out.push(format!(
            "Rounding the 32-bit model to 8 bits afterwards reaches {}: {}.",
            score(rounded),
            if rounded.score < fp8.interval.low {
                "here it is better to train in 8 bits from the start"
            } else {
                "not clearly worse than training in 8 bits"
            }
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(name: &'static str, score: f64, bytes: u64, seconds: f64) -> Arm {
        Arm {
            name,
            how: How::Trained,
            score,
            interval: Interval { low: score, high: score },
            difference: 0.0,
            difference_interval: Interval { low: -0.01, high: 0.01 },
            loss: 0.0,
            loss_gap: 0.0,
            ece: None,
            worst_slice: None,
            agreement: 0.99,
            train_seconds: Some(seconds),
            core_seconds: None,
            train_rows_per_second: None,
            latency_p50: 10.0,
            latency_p95: 20.0,
            throughput: Vec::new(),
            file_bytes: bytes,
            memory_bytes: 0,
            pareto: false,
        }
    }

    #[test]
    fn the_card_says_when_fp8_is_slower() {
        let arms = [arm("f32", 0.9, 4000, 1.0), arm("FP8", 0.9, 1000, 2.5)];
        let text = card(&arms, MetricKind::Accuracy).join(" ");
        assert!(text.contains("FP8 is slower on this machine"), "{text}");
        assert!(text.contains("2.5 times as long") && text.contains("4.0 times smaller"), "{text}");
        let arms = [arm("f32", 0.9, 4000, 2.0), arm("FP8", 0.9, 1000, 1.0)];
        assert!(!card(&arms, MetricKind::Accuracy).join(" ").contains("slower"));
    }

    #[test]
    fn beaten_models_are_off_the_front() {
        let mut arms =
            [arm("f32", 0.9, 4000, 1.0), arm("FP8", 0.91, 1000, 1.0), arm("bf16", 0.92, 2000, 1.0)];
        mark_pareto(&mut arms);
        assert_eq!(arms.map(|a| a.pareto), [false, true, true]);
    }
}

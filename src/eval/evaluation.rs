//! Everything known about how good a model is, from one look at rows that training never saw.

use std::sync::atomic::Ordering;

use serde::Serialize;

use super::baselines;
use super::bootstrap::{Interval, intervals};
use super::calibration::{Calibration, Calibrations, Reliability, reliability};
use super::conformal::{self, Ranges};
use super::curves::{Threshold, thresholds};
use super::fairness::{self, Fairness, Mitigation};
use super::groups::{Grouping, groupings};
use super::outcomes::{ClassOutcomes, Outcomes};
use super::privacy::{self, Privacy};
use super::robustness::{self, Robustness, Subject};
use super::scorer::{ClassScorer, Figure, VALUE_FIGURES, measure_values};
use super::slices::{self, SliceReport};
use super::treated::Treated;
use super::{Confusion, Meaning};
use crate::data::{Dataset, Encoded, Progress, Split, Targets, targets};
use crate::deploy::{Model, Predictor};
use crate::error::{DataError, ExportError, Place};
use crate::export::ModelInfo;
use crate::metrics::MetricKind;

/// Rows of the dataset that are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The test rows of the split that the model was trained with.
    Test,
    /// Its validation rows, as there are no test rows; they chose the epoch.
    Validation,
    /// All rows that have a target: data that the model was not trained on.
    All,
}

/// How to evaluate.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Seed of the resampling.
    pub seed: u64,
    /// Replicates of the intervals; fewer where there are very many rows and classes.
    pub replicates: usize,
    /// Whether the data are the project's own, so that only its test rows may be used.
    pub own_data: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: 0, replicates: 1000, own_data: false }
    }
}

/// One figure with its interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// What it is.
    pub kind: MetricKind,
    /// Class that it is about; `None` for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Value.
    pub value: f64,
    /// 95 % interval.
    pub interval: Interval,
}

/// What a simple model reaches on the same rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Baseline {
    /// Plain name.
    pub name: &'static str,
    /// Its figures, those of all classes.
    pub metrics: Vec<Measured>,
}

/// A curve over all thresholds of one class against the rest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassCurve {
    /// Class.
    pub class: String,
    /// From no row called so to all.
    pub points: Vec<Threshold>,
}

/// Calibration before and after corrections fitted on validation rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CalibrationReport {
    /// As the model says.
    pub model: Reliability,
    /// With a temperature.
    pub temperature: Option<Reliability>,
    /// With isotonic regression.
    pub isotonic: Option<Reliability>,
    /// The corrections.
    pub fitted: Option<Calibrations>,
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Evaluation {
    /// Project.
    pub project: String,
    /// Data that was looked at.
    pub dataset: String,
    /// Which rows.
    pub part: Part,
    /// How many.
    pub rows: usize,
    /// Target column.
    pub target: String,
    /// Class names; empty for a number.
    pub classes: Vec<String>,
    /// What a reader must know about the figures.
    pub notes: Vec<String>,
    /// All figures, the main one first.
    pub metrics: Vec<Measured>,
    /// What simple models reach.
    pub baselines: Vec<Baseline>,
    /// True against predicted classes.
    pub confusion: Option<Confusion>,
    /// One curve per class; two classes have one.
    pub curves: Vec<ClassCurve>,
    /// Whether probabilities mean what they say.
    pub calibration: Option<CalibrationReport>,
    /// Ranges around predicted numbers.
    pub ranges: Option<Ranges>,
    /// Where it is weak.
    pub slices: SliceReport,
    /// How groups compare, by column.
    pub fairness: Vec<Fairness>,
    /// What thresholds by group would change, by column.
    pub mitigations: Vec<Mitigation>,
    /// What a remedy in training changed; only of a run beside which there is one without.
    pub treated: Option<Treated>,
    /// How it holds out against worse data and attacks.
    pub robustness: Robustness,
    /// What it gives away.
    pub privacy: Privacy,
    /// Rows of the dataset, the answers for which are in `outcomes`.
    #[serde(skip)]
    pub row_numbers: Vec<u32>,
    /// Answers.
    #[serde(skip)]
    pub outcomes: Outcomes,
    /// Groups of the rows.
    #[serde(skip)]
    pub groupings: Vec<Grouping>,
}

/// Most points of a curve that is kept.
const CURVE_POINTS: usize = 400;
/// Classes up to which curves are kept.
const MOST_CURVES: usize = 26;

impl Evaluation {
    /// The main figure.
    pub fn headline(&self) -> Option<&Measured> {
        self.metrics.first()
    }

    /// A figure of all classes.
    pub fn get(&self, kind: MetricKind) -> Option<&Measured> {
        self.metrics.iter().find(|m| m.kind == kind && m.class.is_none())
    }

    /// The figure of one class.
    pub fn of_class(&self, kind: MetricKind, class: &str) -> Option<&Measured> {
        self.metrics.iter().find(|m| m.kind == kind && m.class.as_deref() == Some(class))
    }

    /// The best baseline's main figure and name.
    pub fn best_baseline(&self) -> Option<(&'static str, &Measured)> {
        let main = self.headline()?.kind;
        let of = |b: &'_ Baseline| b.metrics.iter().position(|m| m.kind == main);
        let all = self.baselines.iter().filter_map(|b| Some((b.name, b.metrics.get(of(b)?)?)));
        let sign = if main.higher_is_better() { 1.0 } else { -1.0 };
        all.max_by(|a, b| (sign * a.1.value).total_cmp(&(sign * b.1.value)))
    }

    /// Corrections of the probabilities, fitted on validation rows.
    pub fn calibrations(&self) -> Option<&Calibrations> {
        self.calibration.as_ref()?.fitted.as_ref()
    }
}

fn invalid(what: String, advice: &str) -> ExportError {
    DataError::Invalid { what, place: Place::default(), advice: advice.to_owned() }.into()
}

/// Rows of the training's own split, if this is the data that the model was trained on.
fn own_split(info: &ModelInfo, dataset: &Dataset, own: bool) -> Result<Option<Split>, ExportError> {
    let Some(origin) = &info.origin else { return Ok(None) };
    if !own && (info.dataset != dataset.name || origin.rows != dataset.len()) {
        return Ok(None);
    }
    if origin.rows != dataset.len() {
        return Err(invalid(
            format!(
                "The data has {} rows now but had {} when this model was trained, so its test rows cannot be told from its training rows",
                dataset.len(),
                origin.rows
            ),
            "Train again on the data as it is now, or give other data.",
        ));
    }
    Ok(Some(Split::make(dataset, &info.schema, &origin.split)?))
}

/// The rows to look at, of data without a split: all that have a target.
fn labelled(info: &ModelInfo, dataset: &Dataset) -> Result<Vec<u32>, ExportError> {
    let rows: Vec<u32> = match targets(dataset, &info.schema)? {
        Targets::Classes(c) => {
            (0u32..).zip(&c).filter(|(_, t)| t.is_some()).map(|(r, _)| r).collect()
        }
        Targets::Values(v) => {
            (0u32..).zip(&v).filter(|(_, t)| t.is_finite()).map(|(r, _)| r).collect()
        }
    };
    if rows.is_empty() {
        return Err(invalid(
            format!(
                "No row has a usable value in \"{}\", so nothing can be compared",
                info.schema.target
            ),
            "Give data in which the right answers are known.",
        ));
    }
    Ok(rows)
}

/// A model, its rows, and answers for them.
struct Work<'a> {
    info: &'a ModelInfo,
    dataset: &'a Dataset,
    predictor: Predictor,
    progress: &'a Progress,
    options: Options,
}

impl Work<'_> {
    fn step(&self, percent: u64) -> Result<(), ExportError> {
        self.progress.total.store(100, Ordering::Relaxed);
        self.progress.done.store(percent, Ordering::Relaxed);
        Ok(self.progress.check()?)
    }

    fn encode(&self, rows: &[u32]) -> Result<Encoded, ExportError> {
        Ok(self.info.preprocessor.transform(self.dataset, rows)?)
    }

    fn answer(&mut self, data: &Encoded) -> Result<Outcomes, ExportError> {
        let outputs = self.predictor.outputs(data)?;
        let classes = self.info.schema.task.classes();
        let meaning = Meaning::of(&self.info.preprocessor);
        Outcomes::new(classes, data, outputs, meaning).ok_or_else(|| {
            invalid(
                "Some rows have no right answer that the model knows".to_owned(),
                "Give rows whose target is one of the classes that the model was trained on.",
            )
        })
    }

    /// All figures of answers with intervals.
    fn measure(&self, outcomes: &Outcomes, classes: bool) -> Result<Vec<Measured>, ExportError> {
        Ok(measure(outcomes, classes, self.options, self.progress)?)
    }
}

/// All figures of answers with intervals, those of single classes only if asked for. Figures that
/// are not defined for the rows (the AUC of one class alone) are left out.
///
/// # Errors
/// [`DataError::Cancelled`].
pub fn measure(
    outcomes: &Outcomes,
    of_classes: bool,
    options: Options,
    progress: &Progress,
) -> Result<Vec<Measured>, DataError> {
    let n = outcomes.len();
    let once = vec![1u32; n];
    let (figures, values, spread): (Vec<Figure>, _, _) = match outcomes {
        Outcomes::Classes(c) => {
            let scorer = ClassScorer::new(c);
            let work = n.saturating_mul(c.classes.len()).max(1);
            let replicates = options.replicates.min((400_000_000 / work).max(100));
            let spread = intervals(n, replicates, options.seed, progress, |w| scorer.measure(w))?;
            (scorer.figures().to_vec(), scorer.measure(&once), spread)
        }
        Outcomes::Values(v) => {
            let measure = |w: &[u32]| measure_values(v, w);
            let spread = intervals(n, options.replicates, options.seed, progress, measure)?;
            (VALUE_FIGURES.to_vec(), measure_values(v, &once), spread)
        }
    };
    let names: &[String] = match outcomes {
        Outcomes::Classes(c) => &c.classes,
        Outcomes::Values(_) => &[],
    };
    Ok(figures
        .into_iter()
        .zip(values)
        .zip(spread)
        .filter(|(((_, class), value), _)| value.is_finite() && (of_classes || class.is_none()))
        .map(|(((kind, class), value), interval)| Measured {
            kind,
            class: class.and_then(|c| names.get(c).cloned()),
            value,
            interval,
        })
        .collect())
}

/// Looks at a model on data: on the test rows of its split where the data are those that it was
/// trained on, else on all rows with a target.
///
/// # Errors
/// Data that does not fit the model or has no targets; cancelled.
pub fn evaluate(
    model: &Model,
    dataset: &Dataset,
    options: Options,
    progress: &Progress,
) -> Result<Evaluation, ExportError> {
    let info = model.info();
    let split = own_split(info, dataset, options.own_data)?;
    let (part, rows) = match &split {
        Some(s) if !s.test.is_empty() => (Part::Test, s.test.clone()),
        Some(s) if !s.validation.is_empty() => (Part::Validation, s.validation.clone()),
        Some(_) => {
            return Err(invalid(
                "The project keeps no rows for testing".to_owned(),
                "Set a test share above 0 and train again.",
            ));
        }
        None => (Part::All, labelled(info, dataset)?),
    };
    let predictor = model.clone().predictor()?;
    let mut work = Work { info, dataset, predictor, progress, options };
    work.step(2)?;
    let data = work.encode(&rows)?;
    let outcomes = work.answer(&data)?;
    work.step(8)?;
    let metrics = work.measure(&outcomes, true)?;
    work.step(35)?;
    let validation = match &split {
        Some(s) if part == Part::Test && !s.validation.is_empty() => {
            let encoded = work.encode(&s.validation)?;
            let answers = work.answer(&encoded)?;
            Some((answers, s.validation.clone(), encoded))
        }
        _ => None,
    };
    work.step(40)?;
    let train = match &split {
        Some(s) => Some(work.encode(&s.train)?),
        None => None,
    };
    let baselines = simple_models(&work, train.as_ref(), &data)?;
    work.step(60)?;
    let subject = Subject {
        predictor: &mut work.predictor,
        dataset,
        rows: &rows,
        outcomes: &outcomes,
        validation: validation.as_ref().map(|v| &v.0),
        train: train.as_ref(),
        options,
    };
    let robustness = robustness::look(subject, progress)?;
    work.step(75)?;
    let training = split.as_ref().zip(train.as_ref());
    let subject = privacy::Subject {
        predictor: &mut work.predictor,
        dataset,
        train: training.map(|(s, encoded)| (encoded, s.train.as_slice())),
        validation: validation.as_ref().map(|v| &v.2),
        held_out: (&data, &rows, &outcomes),
        options,
    };
    let privacy = privacy::look(subject, progress)?;
    work.step(80)?;
    let groups = groupings(dataset, &info.schema.target, &rows);
    let slices = slices::find(&outcomes, &groups);
    work.step(85)?;
    let (fairness, mitigations) = fair(&work, &outcomes, &groups, validation.as_ref())?;
    work.step(95)?;
    let classes = info.schema.task.classes().to_vec();
    let ranges = match (&validation, &outcomes) {
        (Some((Outcomes::Values(v), ..)), Outcomes::Values(o)) => conformal::ranges(v, o),
        _ => None,
    };
    let (confusion, curves, calibration) = match &outcomes {
        Outcomes::Classes(c) => {
            let fit = match &validation {
                Some((Outcomes::Classes(v), ..)) => Calibrations::fit(v),
                _ => info.calibration.clone(),
            };
            let confusion = Confusion::new(&classes, &c.truth, &c.predicted);
            (Some(confusion), class_curves(c), Some(calibrated(c, fit)))
        }
        Outcomes::Values(_) => (None, Vec::new(), None),
    };
    Ok(Evaluation {
        project: info.project.clone(),
        dataset: dataset.name.clone(),
        part,
        rows: rows.len(),
        target: info.schema.target.clone(),
        notes: notes(part, &rows, &data),
        classes,
        metrics,
        baselines,
        confusion,
        curves,
        calibration,
        ranges,
        slices,
        fairness,
        mitigations,
        treated: None,
        robustness,
        privacy,
        row_numbers: rows,
        outcomes,
        groupings: groups,
    })
}

fn notes(part: Part, rows: &[u32], data: &Encoded) -> Vec<String> {
    let mut notes = Vec::new();
    match part {
        Part::Test => {}
        Part::Validation => notes.push(
            "There are no test rows. These are the validation rows, which chose the epoch, so the figures are a little too good.".to_owned(),
        ),
        Part::All => notes.push(
            "This is not the data that the model was trained on: all rows with an answer are used. If some of them were trained on, the figures are too good.".to_owned(),
        ),
    }
    if rows.len() < 100 {
        notes.push(format!(
            "There are only {} rows: the intervals are wide and may be too narrow still.",
            rows.len()
        ));
    }
    for (column, cells) in &data.unknown {
        notes.push(format!(
            "Column \"{column}\": {cells} cells hold values that training had nothing like; they count as unknown."
        ));
    }
    notes
}

fn simple_models(
    work: &Work<'_>,
    train: Option<&Encoded>,
    data: &Encoded,
) -> Result<Vec<Baseline>, ExportError> {
    let classes = work.info.schema.task.classes();
    let meaning = Meaning::of(&work.info.preprocessor);
    let target = train.map_or(&data.target, |t| &t.target);
    let regression = classes.is_empty();
    let mut out = Vec::new();
    if let Some(outcomes) = baselines::constant(target, data, classes, meaning) {
        let name = if regression { "always the mean" } else { "always the commonest class" };
        out.push(Baseline { name, metrics: work.measure(&outcomes, false)? });
    }
    if let Some(train) = train {
        let input = &work.info.model.input;
        let linear = baselines::linear(input, train, data, classes, meaning, work.progress);
        let outcomes = linear.map_err(|e| match e {
            baselines::Failure::Cancelled(e) => e.into(),
            baselines::Failure::Engine(e) => ExportError::from(e),
        })?;
        if let Some(outcomes) = outcomes {
            let name = if regression { "ridge regression" } else { "logistic regression" };
            out.push(Baseline { name, metrics: work.measure(&outcomes, false)? });
        }
    }
    Ok(out)
}

/// Groups that people may be put into: few, and not the classes themselves.
const MOST_GROUPS: usize = 12;

fn fair(
    work: &Work<'_>,
    outcomes: &Outcomes,
    groups: &[Grouping],
    validation: Option<&(Outcomes, Vec<u32>, Encoded)>,
) -> Result<(Vec<Fairness>, Vec<Mitigation>), ExportError> {
    let Outcomes::Classes(c) = outcomes else { return Ok(Default::default()) };
    if c.classes.len() > 2 {
        return Ok((against_rest(work, c, groups)?, Vec::new()));
    }
    let called = fairness::called(c, 1);
    let seed = work.options.seed;
    let validation = match validation {
        Some((Outcomes::Classes(v), rows, _)) => {
            Some((v, groupings(work.dataset, &work.info.schema.target, rows)))
        }
        _ => None,
    };
    let (mut found, mut mended) = (Vec::new(), Vec::new());
    for grouping in groups.iter().filter(|g| g.names.len() <= MOST_GROUPS) {
        work.progress.check()?;
        found.push(fairness::compare(c, &called, 1, grouping, seed));
        let Some((v, own)) = &validation else { continue };
        let Some(own) = own.iter().find(|g| g.column == grouping.column) else { continue };
        if let Some(cuts) = fairness::thresholds(v, 1, own) {
            let chosen: Vec<(String, f64)> = own.names.iter().cloned().zip(cuts).collect();
            mended.push(fairness::mitigate(c, 1, grouping, &chosen, seed));
        }
    }
    Ok((found, mended))
}

/// Most classes that are each compared against the rest.
const MOST_CLASSES: usize = 12;

/// Fairness of more than two classes: each class in turn is the favourable answer, all others are
/// not.
fn against_rest(
    work: &Work<'_>,
    c: &ClassOutcomes,
    groups: &[Grouping],
) -> Result<Vec<Fairness>, ExportError> {
    let mut found = Vec::new();
    if c.classes.len() > MOST_CLASSES {
        return Ok(found);
    }
    // Groups that are the classes themselves say nothing about fairness.
    let fits = |g: &&Grouping| g.names.len() <= MOST_GROUPS && g.names != c.classes;
    for grouping in groups.iter().filter(fits) {
        for class in 0..c.classes.len() {
            work.progress.check()?;
            let called = fairness::called(c, class);
            found.push(fairness::compare(c, &called, class, grouping, work.options.seed));
        }
    }
    Ok(found)
}

fn class_curves(c: &ClassOutcomes) -> Vec<ClassCurve> {
    let classes = match c.classes.len() {
        2 => 1..2,
        n if n <= MOST_CURVES => 0..n,
        _ => 0..0,
    };
    classes
        .filter_map(|class| {
            let positive: Vec<bool> = c.truth.iter().map(|t| *t as usize == class).collect();
            let scores: Vec<f64> = c.column(class).collect();
            let points = super::curves::thin(&thresholds(&positive, &scores), CURVE_POINTS);
            Some(ClassCurve { class: c.classes.get(class)?.clone(), points })
        })
        .collect()
}

fn calibrated(c: &ClassOutcomes, fitted: Option<Calibrations>) -> CalibrationReport {
    let with = |calibration: Calibration| {
        let p = calibration.apply(&c.logits, c.classes.len());
        let new = ClassOutcomes::from_probabilities(&c.classes, c.truth.clone(), p);
        reliability(&new.confidence(), &new.hits())
    };
    CalibrationReport {
        model: reliability(&c.confidence(), &c.hits()),
        temperature: fitted.as_ref().map(|f| with(f.by_temperature())),
        isotonic: fitted.as_ref().map(|f| with(f.by_isotonic())),
        fitted,
    }
}

//! All runs of a project: what they were, how they compare, which are still to come.

mod names;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::settings::PrecisionChoice;
use crate::error::{Place, UserError};
use crate::metrics::{MetricKind, Series};
use crate::train::run_folder::{self, RunRecord};
use crate::train::{Event, RunFolder, RunNotes, RunState, Summary, TrainConfig, run_notes};

/// Most runs compared at a time: as many as there are colours to tell them apart.
pub const MOST_COMPARED: usize = 6;
/// Most runs that may wait.
pub const MOST_QUEUED: usize = 100;

/// A run of the project, without what only training needs.
#[derive(Debug, Clone, PartialEq)]
pub struct PastRun {
    /// Its folder.
    pub folder: PathBuf,
    /// When it began, RFC 3339.
    pub started: String,
    /// Where it is; `Running` only while a process trains it.
    pub state: RunState,
    /// Whether it was cut off.
    pub interrupted: bool,
    /// What it predicts.
    pub target: String,
    /// Rows of its data.
    pub rows: usize,
    /// Settings.
    pub config: TrainConfig,
    /// Results, once finished.
    pub summary: Option<Summary>,
    /// What a person wrote about it.
    pub notes: RunNotes,
}

impl PastRun {
    /// From its folder.
    pub fn of(run: &RunFolder) -> Self {
        let record = &run.record;
        let over = matches!(record.state, RunState::Done | RunState::Failed | RunState::Cancelled);
        Self {
            folder: run.path.clone(),
            started: record.started.clone(),
            state: record.state,
            interrupted: !over && !run.is_running(),
            target: record.schema.target.clone(),
            rows: record.dataset_rows,
            config: record.config.clone(),
            summary: record.summary.clone(),
            notes: RunNotes::load(&run.path),
        }
    }

    /// The name it was given, else its folder's.
    pub fn name(&self) -> String {
        if self.notes.name.is_empty() {
            let name = self.folder.file_name().unwrap_or_default();
            name.to_string_lossy().replace('_', " ")
        } else {
            self.notes.name.clone()
        }
    }

    /// Main score on the test rows.
    pub fn test(&self) -> Option<(MetricKind, f64)> {
        self.summary.as_ref().and_then(|s| s.test.main())
    }

    /// Main score on the validation rows: what models are chosen by.
    pub fn validation(&self) -> Option<(MetricKind, f64)> {
        self.summary.as_ref().and_then(|s| s.validation.main())
    }

    /// Whether there is a model to look at.
    pub fn finished(&self) -> bool {
        self.state == RunState::Done && self.summary.is_some()
    }

    /// Whether name, tags or note hold a text, without case.
    pub fn matches(&self, text: &str) -> bool {
        let text = text.trim().to_lowercase();
        let precision = self.config.precision.describe();
        let parts = [self.name(), self.notes.note.clone(), self.notes.tags.join(" "), precision];
        text.is_empty() || parts.iter().any(|p| p.to_lowercase().contains(&text))
    }
}

/// The curves of a run that is compared.
#[derive(Debug, Clone, Default)]
pub struct RunCurves {
    /// Training loss over epochs.
    pub train: Series,
    /// Validation loss over epochs.
    pub validation: Series,
    /// Main metric on validation rows over epochs.
    pub metric: Series,
}

impl RunCurves {
    /// From what the run told.
    pub fn of(events: &[Event]) -> Self {
        let mut curves = Self::default();
        for event in events {
            match event {
                Event::Progress { epoch, loss, .. } => curves.train.push(*epoch, f64::from(*loss)),
                Event::Epoch { epoch, train_loss, validation, .. } => {
                    let at = *epoch as f64;
                    if curves.train.last().is_none_or(|(x, _)| x <= at - 1.0) {
                        curves.train.push(at, f64::from(*train_loss));
                    }
                    if validation.rows > 0 {
                        curves.validation.push(at, f64::from(validation.loss));
                    }
                    if let Some((_, value)) = validation.main() {
                        curves.metric.push(at, value);
                    }
                }
                _ => {}
            }
        }
        curves
    }
}

/// A run that waits for its turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queued {
    /// Settings.
    pub config: Box<TrainConfig>,
    /// What it will be called, and how it is marked.
    pub notes: RunNotes,
}

/// What can be asked about runs.
#[derive(Debug, Clone)]
pub enum RunCommand {
    /// Read the list again.
    Read,
    /// Change what is written about a run.
    Note(PathBuf, RunNotes),
    /// Delete a run; it can be brought back.
    Delete(PathBuf),
    /// Bring back the run deleted last.
    Restore,
    /// Read the curves of runs that are compared.
    Curves(Vec<PathBuf>),
    /// Show a finished run as if it had just been trained.
    Open(PathBuf),
    /// Take the settings of a run over.
    UseSettings(PathBuf),
    /// Let runs wait for their turn; the first starts when nothing is trained.
    Queue(Vec<Queued>),
    /// Take a waiting run off the list.
    Unqueue(usize),
    /// Take all waiting runs off the list.
    ClearQueue,
    /// Start the first waiting run if nothing is trained.
    StartQueue,
}

/// What a task about runs came to.
#[derive(Debug)]
pub enum RunOutcome {
    /// The list was read.
    Listed {
        /// Project folder.
        project: PathBuf,
        /// Newest first.
        runs: Vec<PastRun>,
    },
    /// Something was changed, or not; the list has to be read again.
    Changed(Result<(), UserError>),
    /// A run was moved out of sight, or not.
    Deleted(PathBuf, Result<(), UserError>),
    /// Curves were read.
    Curves(PathBuf, Box<RunCurves>),
    /// A run was read to be shown.
    Opened {
        /// Its folder.
        run: PathBuf,
        /// What it was and what it told.
        result: Result<(Box<RunRecord>, Vec<Event>), UserError>,
        /// Whether a person asked for it, and wants to see it.
        asked: bool,
    },
}

/// All that is known of a project's runs.
#[derive(Debug, Default)]
pub struct History {
    /// Newest first; `None` until read.
    pub runs: Option<Vec<PastRun>>,
    /// Curves of runs that were compared.
    pub curves: BTreeMap<PathBuf, RunCurves>,
    /// Curves on their way.
    pub reading: BTreeSet<PathBuf>,
    /// Runs deleted since the project was opened, newest last.
    pub deleted: Vec<PathBuf>,
    /// Runs to come.
    pub queue: VecDeque<Queued>,
}

impl History {
    /// A run by its folder.
    pub fn get(&self, folder: &Path) -> Option<&PastRun> {
        self.runs.iter().flatten().find(|r| r.folder == folder)
    }
}

/// All runs of a project, newest first.
pub fn read(project: &Path) -> Vec<PastRun> {
    run_folder::list(project).iter().map(PastRun::of).collect()
}

/// Name of the file with the runs that wait.
const QUEUE: &str = "queue.json";

/// The runs that waited when the project was saved; none where there are none or the file is
/// damaged.
pub fn read_queue(project: &Path) -> VecDeque<Queued> {
    let text = std::fs::read(project.join(QUEUE)).ok();
    let mut queue: VecDeque<Queued> =
        text.and_then(|t| serde_json::from_slice(&t).ok()).unwrap_or_default();
    queue.truncate(MOST_QUEUED);
    queue
}

/// Keeps the runs that wait with the project.
pub fn save_queue(project: &Path, queue: &VecDeque<Queued>) -> Result<(), UserError> {
    let path = project.join(QUEUE);
    let io = |e: std::io::Error| UserError {
        what: format!("The waiting runs cannot be saved: {e}"),
        place: Place { path: Some(path.clone()), ..Place::default() },
        advice: "Free some disk space. They go on waiting as long as the project is open."
            .to_owned(),
    };
    if queue.is_empty() {
        return match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(io(e)),
            _ => Ok(()),
        };
    }
    let json = serde_json::to_vec_pretty(queue).map_err(|e| io(e.into()))?;
    let temporary = path.with_extension("json.tmp");
    std::fs::create_dir_all(project)
        .and_then(|()| std::fs::write(&temporary, json))
        .and_then(|()| std::fs::rename(&temporary, &path))
        .map_err(io)
}

/// A run's record and what it told.
pub fn open(run: &Path) -> Result<(Box<RunRecord>, Vec<Event>), UserError> {
    let folder = RunFolder::open(run)?;
    let events = folder.events()?;
    Ok((Box::new(folder.record), events))
}

/// Deletes a run for now.
pub fn delete(run: &Path) -> Result<(), UserError> {
    Ok(run_notes::delete(run)?)
}

/// Brings a deleted run back.
pub fn restore(run: &Path) -> Result<(), UserError> {
    Ok(run_notes::restore(run)?)
}

/// Every pair of learning rate and number format, as runs to come.
pub fn sweep(base: &TrainConfig, rates: &[f32], formats: &[PrecisionChoice]) -> Vec<Queued> {
    let mut runs = Vec::new();
    for format in formats {
        for rate in rates {
            let config = TrainConfig {
                learning_rate: *rate,
                precision: format.precision(),
                hybrid: None,
                ..base.clone()
            };
            let notes = RunNotes {
                name: format!("{}, learning rate {rate}", format.name().1),
                tags: vec!["sweep".to_owned()],
                ..RunNotes::default()
            };
            runs.push(Queued { config: Box::new(config), notes });
        }
    }
    runs
}

/// The line of a comparison that names what is predicted.
pub const PREDICTS: &str = "Predicts";

/// Every setting as name and value, in a fixed order.
pub fn settings(config: &TrainConfig) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    // A configuration of plain numbers and words can always be written; without it there is
    // nothing to compare.
    let value = serde_json::to_value(config).unwrap_or(Value::Null);
    flatten("", &value, &mut lines);
    lines
}

fn flatten(place: &str, value: &Value, lines: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let below = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                flatten(&below, value, lines);
            }
        }
        other => lines.push((names::name(place), text(other))),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        // Settings are f32; all digits of the f64 that holds one would mislead.
        Value::Number(n) if n.is_f64() => {
            n.as_f64().map_or_else(String::new, |v| (v as f32).to_string())
        }
        Value::Number(n) => n.to_string(),
        Value::String(s) => s.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(_) => value.to_string(),
    }
}

/// One line of the comparison: what it is, its value in every run, and whether they differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What it is.
    pub name: String,
    /// In every run, in order.
    pub values: Vec<String>,
    /// Whether the values differ.
    pub differs: bool,
    /// Index of the best value, where one is best.
    pub best: Option<usize>,
}

/// Results, then settings, of several runs side by side.
pub fn compare(runs: &[&PastRun]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut kinds: Vec<MetricKind> = Vec::new();
    for run in runs {
        for (kind, _) in run.summary.iter().flat_map(|s| &s.test.metrics) {
            if !kinds.contains(kind) {
                kinds.push(*kind);
            }
        }
    }
    for kind in kinds {
        for (part, test) in [("test", true), ("validation", false)] {
            let value = |r: &&PastRun| {
                let summary = r.summary.as_ref()?;
                if test { &summary.test } else { &summary.validation }.get(kind)
            };
            let values: Vec<Option<f64>> = runs.iter().map(value).collect();
            let shown = |v: &Option<f64>| v.map_or("–".to_owned(), |v| kind.format(v));
            let best = best_of(&values, kind.higher_is_better());
            let shown = values.iter().map(shown).collect();
            lines.push(line(format!("{}, {part}", kind.label()), shown, best));
        }
    }
    let of = |get: &dyn Fn(&Summary) -> String| -> Vec<String> {
        let value = |r: &&PastRun| r.summary.as_ref().map_or("–".to_owned(), get);
        runs.iter().map(value).collect()
    };
    lines.push(line(
        "Best epoch".to_owned(),
        of(&|s| format!("{} of {}", s.best_epoch, s.epochs)),
        None,
    ));
    let seconds: Vec<Option<f64>> =
        runs.iter().map(|r| r.summary.as_ref().map(|s| s.seconds)).collect();
    let fastest = best_of(&seconds, false);
    lines.push(line("Seconds".to_owned(), of(&|s| format!("{:.1}", s.seconds)), fastest));
    lines.push(line("Parameters".to_owned(), of(&|s| s.parameters.to_string()), None));
    lines.push(line(PREDICTS.to_owned(), runs.iter().map(|r| r.target.clone()).collect(), None));
    lines.push(line(
        "Rows of data".to_owned(),
        runs.iter().map(|r| r.rows.to_string()).collect(),
        None,
    ));
    let all: Vec<Vec<(String, String)>> = runs.iter().map(|r| settings(&r.config)).collect();
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in all.iter().flatten() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    for name in names {
        let value = |s: &Vec<(String, String)>| {
            s.iter().find(|(n, _)| n == name).map_or("–".to_owned(), |(_, v)| v.clone())
        };
        lines.push(line(name.clone(), all.iter().map(value).collect(), None));
    }
    lines
}

fn line(name: String, values: Vec<String>, best: Option<usize>) -> Line {
    let differs = values.windows(2).any(|w| w.first() != w.get(1));
    Line { name, values, differs, best: best.filter(|_| differs) }
}

fn best_of(values: &[Option<f64>], higher: bool) -> Option<usize> {
    let known = values.iter().enumerate().filter_map(|(i, v)| v.map(|v| (i, v)));
    let sign = if higher { 1.0 } else { -1.0 };
    known.max_by(|a, b| (sign * a.1).total_cmp(&(sign * b.1))).map(|(i, _)| i)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineInfo;
    use crate::metrics::Scores;
    use crate::train::StopReason;

    fn run(name: &str, rate: f32, accuracy: f64, loss: f32) -> PastRun {
        let scores = Scores { loss, metrics: vec![(MetricKind::Accuracy, accuracy)], rows: 10 };
        PastRun {
            folder: Path::new("/runs").join(name),
            started: "2025-01-01T00:00:00Z".into(),
            state: RunState::Done,
            interrupted: false,
            target: "y".into(),
            rows: 100,
            config: TrainConfig { learning_rate: rate, ..TrainConfig::default() },
            summary: Some(Summary {
                insight: Default::default(),
                privacy: None,
                reason: StopReason::Completed,
                epochs: 5,
                best_epoch: 4,
                validation: scores.clone(),
                test: scores,
                baseline: 0.5,
                seconds: 2.0,
                rows_per_second: 1.0,
                parameters: 7,
                precision: None,
                engine: EngineInfo::Cpu { threads: 1, simd: String::new() },
                folder: PathBuf::new(),
            }),
            notes: RunNotes::default(),
        }
    }

    #[test]
    fn comparison_shows_what_differs_and_what_is_best() {
        let (a, b) = (run("a", 1e-3, 0.8, 0.5), run("b", 3e-3, 0.9, 0.4));
        let lines = compare(&[&a, &b]);
        let get = |name: &str| lines.iter().find(|l| l.name == name).unwrap();
        let accuracy = get("Accuracy, test");
        assert_eq!(accuracy.values, ["80.00 %", "90.00 %"]);
        assert_eq!((accuracy.differs, accuracy.best), (true, Some(1)));
        let rate = get("Learning rate");
        assert_eq!(
            (rate.values.as_slice(), rate.differs),
            (&["0.001".into(), "0.003".into()][..], true)
        );
        assert!(!get("Batch size").differs);
        assert_eq!(get("Seconds").best, None, "equal values have no best");
        // Every setting has its line.
        for (name, _) in settings(&TrainConfig::default()) {
            assert!(lines.iter().any(|l| l.name == name), "{name}");
        }
    }

    #[test]
    fn a_sweep_is_every_pair() {
        let base = TrainConfig::default();
        let formats = [PrecisionChoice::Current, PrecisionChoice::Mx];
        let runs = sweep(&base, &[1e-3, 3e-3, 1e-2], &formats);
        assert_eq!(runs.len(), 6);
        let mut seen: Vec<String> = runs.iter().map(|r| r.notes.name.clone()).collect();
        seen.dedup();
        assert_eq!(seen.len(), 6);
        assert!(runs.iter().all(|r| r.config.check().is_ok()));
        assert_eq!(runs[5].config.learning_rate, 1e-2);
        assert_eq!(runs[5].config.precision, PrecisionChoice::Mx.precision());
    }

    #[test]
    fn runs_are_found_by_what_was_written() {
        let mut r = run("2025-01-01_10-00-00", 1e-3, 0.8, 0.5);
        assert!(r.matches("") && r.matches("10-00") && !r.matches("winter"));
        r.notes.tags.push("Winter".into());
        assert!(r.matches(" winter "));
        assert_eq!(r.name(), "2025-01-01 10-00-00");
        r.notes.name = "Best".into();
        assert_eq!(r.name(), "Best");
    }

    #[test]
    fn deleted_runs_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("runs/a");
        std::fs::create_dir_all(&run).unwrap();
        // Not a run: there is nothing to delete.
        assert!(delete(&run).is_err());
        assert!(restore(&run).is_err());
        assert!(run.exists());
    }
}

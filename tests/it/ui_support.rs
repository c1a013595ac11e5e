//! A scripted library for tests of the window: a small table, and a run whose events are sent by
//! the test.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};
use egui_kittest::kittest::{NodeT, Queryable};
use egui_kittest::{Harness, Node};
use fp8_studio::app::folds::Folds;
use fp8_studio::app::history::Queued;
use fp8_studio::app::{
    Dialogs, Engines, ExportRequest, Interrupted, Monitored, PastRun, Pick, PrecisionChoice,
    Sample, Services, Store, TaskInfo, Wake,
};
use fp8_studio::data::import::Parts;
use fp8_studio::data::{
    Column, ColumnType, Dataset, ImageSet, ImportNote, Progress, Samples, Schema, Table,
};
use fp8_studio::deploy::explain::{Reason, Seen};
use fp8_studio::deploy::{Answer, Input, Prediction};
use fp8_studio::device::AdapterInfo;
use fp8_studio::engine::EngineInfo;
use fp8_studio::engine::preflight::{Limits, preflight};
use fp8_studio::error::{Place, UserError};
use fp8_studio::eval::calibration::reliability;
use fp8_studio::eval::curves::thresholds;
use fp8_studio::eval::evaluation::{Baseline, CalibrationReport, ClassCurve, measure};
use fp8_studio::eval::groups::groupings;
use fp8_studio::eval::privacy::{
    Attack, Attribute, Inversion, Inverted, Membership, Privacy, Risk,
};
use fp8_studio::eval::robustness::{Attacked, Changed, Robustness, referrals};
use fp8_studio::eval::verdict::{Arm, How, Verdict};
use fp8_studio::eval::{
    Calibrations, ClassOutcomes, Confusion, Evaluation, Interval, Measured, Options as EvalOptions,
    Outcomes, Part, fairness, slices,
};
use fp8_studio::export::{ExportFormat, ExportReport, Rounding, TensorReport as ExportedTensor};
use fp8_studio::fp8::what_if::Score;
use fp8_studio::fp8::{Format, TensorStats};
use fp8_studio::metrics::MetricKind;
use fp8_studio::metrics::Scores;
use fp8_studio::model::{Head, ImageShape, InputSpec};
use fp8_studio::monitor::{self, CheckRecord, ColumnDrift, Found, Triggers};
use fp8_studio::plan::{PlanConfig, Purpose, TensorRole};
use fp8_studio::project::{Project, VERSION};
use fp8_studio::quality::{CheckStatus, Finding, Report};
use fp8_studio::text::{Catalogue, entries};
use fp8_studio::train::crossval::Spread;
use fp8_studio::train::estimate::Estimate;
use fp8_studio::train::event::TensorReport;
use fp8_studio::train::guard::{Action, Measure, Trouble};
use fp8_studio::train::insight::{
    Alternative, Diagnosis, Insight, MemoryReport, ShadowReport, Tone, WhatIf,
};
use fp8_studio::train::run_folder::RunRecord;
use fp8_studio::train::worker::Job;
use fp8_studio::train::{
    Control, Event, RunHandle, RunNotes, RunState, StopReason, Summary, TrainConfig,
};
use fp8_studio::ui::{Options, StudioApp};

/// The far end of a scripted run.
#[derive(Clone)]
pub struct Run {
    pub events: Sender<Event>,
    pub controls: Receiver<Control>,
    pub job: Arc<Job>,
    pub wake: Wake,
}

impl Run {
    pub fn send(&self, event: Event) {
        self.events.send(event).unwrap();
        (self.wake)();
    }
}

/// What the scripted library does and was asked.
#[derive(Default)]
pub struct Script {
    pub runs: Mutex<Vec<Run>>,
    pub picks: Mutex<HashMap<&'static str, PathBuf>>,
    pub interrupted: Mutex<Vec<Interrupted>>,
    pub past: Mutex<Vec<Event>>,
    pub findings: Mutex<Vec<Finding>>,
    pub exports: Mutex<Vec<(PathBuf, PathBuf)>>,
    pub formats: Mutex<Vec<ExportFormat>>,
    pub saved: Mutex<BTreeMap<PathBuf, Project>>,
    pub hold_open: std::sync::atomic::AtomicBool,
    pub fail_start: Mutex<Option<UserError>>,
    pub fail_export: Mutex<Option<UserError>>,
    pub fail_evaluation: Mutex<Option<UserError>>,
    pub fail_comparison: Mutex<Option<UserError>>,
    pub fail_estimate: Mutex<Option<UserError>>,
    /// Free memory that estimates assume.
    pub free: Mutex<Option<u64>>,
    pub reports: Mutex<Vec<PathBuf>>,
    pub history: Mutex<Vec<PastRun>>,
    pub deleted: Mutex<Vec<PastRun>>,
    pub tried: Mutex<Vec<Input>>,
    pub fail_trial: Mutex<Option<UserError>>,
    pub checks: Mutex<Vec<CheckRecord>>,
    pub hold_monitor: std::sync::atomic::AtomicBool,
    pub fail_monitor: Mutex<Option<UserError>>,
    pub fail_checks: Mutex<Option<UserError>>,
    pub parts: Mutex<Parts>,
    /// Folder of feature recipes; made when it is first asked for.
    pub features: std::sync::OnceLock<tempfile::TempDir>,
    pub queues: Mutex<BTreeMap<PathBuf, VecDeque<Queued>>>,
}

pub fn error(what: &str, advice: &str, row: u64) -> UserError {
    UserError {
        what: what.into(),
        place: Place { path: Some("birds.csv".into()), row: Some(row), column: None },
        advice: advice.into(),
    }
}

pub fn project(name: &str, data: &str) -> Project {
    Project {
        folder: PathBuf::new(),
        import: Default::default(),
        version: VERSION,
        name: name.into(),
        description: "Tell the species of a penguin from its measures.".into(),
        data: data.into(),
        target: Some("species".into()),
        columns: BTreeMap::new(),
        prep: Default::default(),
        split: Default::default(),
        train: TrainConfig::default(),
        steps: Vec::new(),
        accepted: Vec::new(),
        shares: BTreeMap::new(),
        licence: String::new(),
        monitor: Default::default(),
    }
}

pub fn table() -> Dataset {
    let kinds = ["Adelie", "Chinstrap", "Gentoo"];
    let islands = ["Torgersen", "Dream", "Biscoe"];
    let mut columns: Vec<Column> = [
        ("species", ColumnType::Category),
        ("island", ColumnType::Category),
        ("bill_length_mm", ColumnType::Number),
        ("bill_depth_mm", ColumnType::Number),
        ("flipper_length_mm", ColumnType::Number),
        ("body_mass_g", ColumnType::Number),
        ("sex", ColumnType::Boolean),
    ]
    .map(|(name, kind)| {
        let mut c = Column::new(name);
        c.kind = kind;
        c.inferred = kind;
        c
    })
    .into();
    for i in 0..344usize {
        let k = (i * 7) % 3;
        let wave = ((i * 37) % 101) as f64 / 101.0;
        columns[0].push(kinds[k]);
        columns[1].push(islands[(i * 5 + k) % 3]);
        let missing = i % 57 == 3;
        let put = |c: &mut Column, v: f64| {
            if missing { c.push("NA") } else { c.push(&format!("{v:.1}")) }
        };
        put(&mut columns[2], 36.0 + 6.0 * k as f64 + 5.0 * wave);
        put(&mut columns[3], 18.5 - 1.5 * k as f64 + 2.0 * wave);
        put(&mut columns[4], 185.0 + 14.0 * k as f64 + 12.0 * wave);
        put(&mut columns[5], 3600.0 + 650.0 * k as f64 + 700.0 * wave);
        columns[6].push(if i % 31 == 5 {
            ""
        } else if i % 2 == 0 {
            "male"
        } else {
            "female"
        });
    }
    Dataset {
        name: "penguins.csv".into(),
        samples: Samples::Table(Table::new(columns, (2..346).collect())),
        notes: vec![
            ImportNote {
                text: "Fields are separated by commas; the first row holds names.".into(),
                repair: false,
                rows: vec![],
            },
            ImportNote {
                text: "2 rows had too few fields and were filled with empty cells.".into(),
                repair: true,
                rows: vec![4, 272],
            },
        ],
    }
}

pub fn images() -> Dataset {
    let (w, h) = (28, 28);
    let mut set = ImageSet {
        width: w,
        height: h,
        channels: 1,
        classes: (0..4).map(|i| format!("digit {i}")).collect(),
        ..ImageSet::default()
    };
    for n in 0..200usize {
        let class = n % 4;
        set.labels.push(class as u32);
        for y in 0..h {
            for x in 0..w {
                let (dx, dy) = (x as f32 - 14.0, y as f32 - 14.0);
                let r = (dx * dx + dy * dy).sqrt();
                let on = (r - 4.0 - 2.0 * class as f32).abs() < 1.6;
                set.pixels.push(if on { 230 } else { 12 });
            }
        }
    }
    Dataset { name: "digits".into(), samples: Samples::Images(set), notes: vec![] }
}

impl Services for Script {
    fn samples(&self) -> Vec<Sample> {
        [
            ("penguins", "Penguins", "Tell the species of a penguin from its measures. 344 rows, 3 species. Small and quick."),
            ("german_credit", "German credit", "Say whether a loan will be paid back. 1000 rows with words and numbers."),
            ("adult_census", "Adult census", "Say whether a person earns more than 50K a year. 48 842 rows from the US census of 1994."),
            ("digits", "Handwritten digits", "Read a digit from a picture of 8 × 8 pixels. 1797 pictures."),
            ("fashion_mnist", "Fashion", "Tell shirts from shoes and bags in pictures of 28 × 28 pixels."),
        ]
        .map(|(id, name, description)| Sample {
            id: id.into(),
            name: name.into(),
            description: description.into(),
            rows: 344,
        })
        .into()
    }

    fn open_sample(&self, id: &str) -> Result<Project, UserError> {
        let name = self.samples().into_iter().find(|s| s.id == id).unwrap().name;
        Ok(Project { folder: Path::new("/projects").join(id), ..project(&name, "penguins.csv") })
    }

    fn open_project(&self, path: &Path) -> Result<Project, UserError> {
        let saved = self.saved.lock().unwrap().get(path).cloned();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let new =
            Project { data: path.to_owned(), description: String::new(), ..project(&name, "") };
        let folder =
            if saved.is_some() { path.to_owned() } else { Path::new("/projects").join(&name) };
        Ok(Project { folder, ..saved.unwrap_or(new) })
    }

    fn save_project(&self, project: &Project) -> Result<(), UserError> {
        self.saved.lock().unwrap().insert(project.folder.clone(), project.clone());
        Ok(())
    }

    fn open_data(&self, project: &Project, progress: &Progress) -> Result<Dataset, UserError> {
        use std::sync::atomic::Ordering::Relaxed;
        progress.total.store(100, Relaxed);
        progress.done.store(42, Relaxed);
        while self.hold_open.load(Relaxed) && !progress.cancel.load(Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if progress.cancel.load(Relaxed) {
            return Err(UserError::new("Cancelled", ""));
        }
        let name = project.data.to_string_lossy();
        if name.contains("broken") {
            return Err(error(
                "A row has more fields than the header",
                "Look for a stray comma.",
                17,
            ));
        }
        if name.contains("digits") {
            return Ok(images());
        }
        Ok(table())
    }

    fn suggest_target(&self, data: &Dataset) -> Option<String> {
        fp8_studio::data::schema::suggest_target(data)
    }

    fn schema(
        &self,
        data: &Dataset,
        target: Option<&str>,
        types: &BTreeMap<String, ColumnType>,
    ) -> Result<Schema, UserError> {
        Ok(Schema::infer(data, target, types)?)
    }

    fn check(
        &self,
        data: &Dataset,
        schema: &Schema,
        project: &Project,
        progress: &Progress,
    ) -> Result<Report, UserError> {
        let _ = (schema, project, progress);
        let findings = self.findings.lock().unwrap().clone();
        let checks = ["missing values", "duplicates", "target leakage", "rare classes"];
        Ok(Report {
            score: if findings.is_empty() { 100 } else { 93 },
            summary: format!("{} rows were looked at.", data.len()),
            rows: data.len(),
            columns: 7,
            cancelled: false,
            findings,
            checks: checks
                .map(|title| CheckStatus {
                    name: title,
                    title,
                    definition: "How this check measures.",
                    worst: None,
                    findings: 0,
                    skipped: None,
                })
                .into(),
        })
    }

    fn estimate(
        &self,
        data: &Dataset,
        _: &Schema,
        project: &Project,
        _: &Progress,
    ) -> Result<Estimate, UserError> {
        if let Some(error) = self.fail_estimate.lock().unwrap().clone() {
            return Err(error);
        }
        Ok(estimate(data, project, *self.free.lock().unwrap()))
    }

    fn engines(&self) -> Engines {
        Engines {
            cpu: EngineInfo::Cpu { threads: 2, simd: "avx512".into() },
            adapters: vec![(
                AdapterInfo {
                    name: "llvmpipe".into(),
                    backend: "Vulkan".into(),
                    driver: "Mesa".into(),
                    software: true,
                },
                Ok(()),
            )],
        }
    }

    fn new_run(&self, project: &Path) -> PathBuf {
        project.join(format!("runs/{}", self.runs.lock().unwrap().len()))
    }

    fn past_events(&self, _: &Path) -> Vec<Event> {
        self.past.lock().unwrap().clone()
    }

    fn start(&self, job: Job, wake: Wake) -> Result<RunHandle, UserError> {
        if let Some(e) = self.fail_start.lock().unwrap().clone() {
            return Err(e);
        }
        let (event_sender, events) = bounded(4096);
        let (control, controls) = bounded(8);
        let run = Run { events: event_sender, controls, job: Arc::new(job), wake };
        let mut runs = self.runs.lock().unwrap();
        runs.push(run);
        Ok(RunHandle { run_id: runs.len() as u64, control, events })
    }

    fn interrupted(&self, project: &Path) -> Vec<Interrupted> {
        let all = self.interrupted.lock().unwrap();
        all.iter().filter(|i| i.project == project).cloned().collect()
    }

    fn evaluate(
        &self,
        _: &Path,
        data: &Dataset,
        progress: &Progress,
    ) -> Result<Evaluation, UserError> {
        if let Some(e) = self.fail_evaluation.lock().unwrap().clone() {
            return Err(e);
        }
        Ok(evaluation(data, progress))
    }

    fn compare(&self, _: &Job, _: &Progress) -> Result<Verdict, UserError> {
        match self.fail_comparison.lock().unwrap().clone() {
            Some(e) => Err(e),
            None => Ok(verdict()),
        }
    }

    fn report(
        &self,
        _: &Path,
        _: &Evaluation,
        _: Option<&Verdict>,
        to: &Path,
    ) -> Result<(), UserError> {
        self.reports.lock().unwrap().push(to.to_owned());
        Ok(())
    }

    fn export(&self, request: &ExportRequest) -> Result<ExportReport, UserError> {
        if let Some(e) = self.fail_export.lock().unwrap().clone() {
            return Err(e);
        }
        self.exports.lock().unwrap().push((request.run.clone(), request.to.clone()));
        self.formats.lock().unwrap().push(request.format);
        let rounding = Rounding { rows: 69, same: 68, max_difference: 0.0123 };
        let rounds = matches!(request.format, ExportFormat::Onnx(v) if !v.exact());
        Ok(ExportReport {
            path: request.to.clone(),
            format: request.format,
            bytes: 14_320,
            max_difference: 0.0,
            proof_rows: 68,
            rounding: rounds.then_some(rounding),
            files: Vec::new(),
            needs: request.format.needs(),
            tensors: (0..12)
                .map(|i| ExportedTensor {
                    name: format!("tensor{i}"),
                    shape: vec![1],
                    dtype: if i % 4 == 0 { "F8_E4M3" } else { "F32" },
                })
                .collect(),
        })
    }

    fn history(&self, _: &Path) -> Vec<PastRun> {
        self.history.lock().unwrap().clone()
    }

    fn open_run(&self, run: &Path) -> Result<(Box<RunRecord>, Vec<Event>), UserError> {
        let history = self.history.lock().unwrap();
        let found = history.iter().find(|r| r.folder == run).unwrap();
        let project = Project { train: found.config.clone(), ..project("Penguins", "") };
        let mut record = interrupted(&project).record;
        record.state = RunState::Done;
        record.summary = found.summary.clone();
        Ok((record, epochs(30, 0.0)))
    }

    fn cross_validate(
        &self,
        data: &Dataset,
        _: &Schema,
        _: &Project,
        k: usize,
        _: &Progress,
    ) -> Result<Folds, UserError> {
        let spread = |kind: MetricKind, mean: f64| Spread {
            kind,
            metric: format!("{kind:?}"),
            mean,
            std: 0.0125,
            folds: (0..k).map(|i| mean + 0.01 * (i as f64 - (k - 1) as f64 / 2.0)).collect(),
        };
        let spreads = vec![spread(MetricKind::Accuracy, 0.97), spread(MetricKind::LogLoss, 0.09)];
        Ok(Folds { k, rows: data.len() * 4 / 5, spreads })
    }

    fn parts(&self, _: &Path) -> Parts {
        self.parts.lock().unwrap().clone()
    }

    fn features(&self) -> PathBuf {
        self.features.get_or_init(|| tempfile::tempdir().unwrap()).path().to_owned()
    }

    fn pasted(&self) -> PathBuf {
        self.features().join("pasted")
    }

    fn queue(&self, project: &Path) -> VecDeque<Queued> {
        self.queues.lock().unwrap().get(project).cloned().unwrap_or_default()
    }

    fn save_queue(&self, project: &Path, queue: &VecDeque<Queued>) -> Result<(), UserError> {
        self.queues.lock().unwrap().insert(project.to_owned(), queue.clone());
        Ok(())
    }

    fn note_run(&self, run: &Path, notes: &RunNotes) -> Result<(), UserError> {
        let mut history = self.history.lock().unwrap();
        if let Some(found) = history.iter_mut().find(|r| r.folder == run) {
            found.notes = notes.clone();
        }
        Ok(())
    }

    fn delete_run(&self, run: &Path) -> Result<(), UserError> {
        let mut history = self.history.lock().unwrap();
        let at = history.iter().position(|r| r.folder == run).unwrap();
        self.deleted.lock().unwrap().push(history.remove(at));
        Ok(())
    }

    fn restore_run(&self, run: &Path) -> Result<(), UserError> {
        let mut deleted = self.deleted.lock().unwrap();
        let at = deleted.iter().position(|r| r.folder == run).unwrap();
        self.history.lock().unwrap().push(deleted.remove(at));
        Ok(())
    }

    fn try_model(&self, _: &Path, data: &Dataset, input: &Input) -> Result<Answer, UserError> {
        if let Some(e) = self.fail_trial.lock().unwrap().clone() {
            return Err(e);
        }
        self.tried.lock().unwrap().push(input.clone());
        Ok(answer(data, input))
    }

    fn monitor(
        &self,
        run: &Path,
        _: &Project,
        _: &Dataset,
        new: &Path,
        options: &monitor::Options,
        progress: &Progress,
    ) -> Result<Monitored, UserError> {
        use std::sync::atomic::Ordering::Relaxed;
        progress.total.store(100, Relaxed);
        progress.done.store(35, Relaxed);
        while self.hold_monitor.load(Relaxed) && !progress.cancel.load(Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if progress.cancel.load(Relaxed) {
            return Err(UserError::new("Cancelled", ""));
        }
        if let Some(e) = self.fail_monitor.lock().unwrap().clone() {
            return Err(e);
        }
        let drifted = !new.to_string_lossy().contains("same");
        let found = monitored(options.triggers, drifted);
        let run = run.file_name().unwrap().to_string_lossy().into_owned();
        let mut checks = self.checks.lock().unwrap();
        checks.push(CheckRecord::of(&found, &run));
        Ok(Monitored { found, data: Arc::new(table()), history: checks.clone() })
    }

    fn checks(&self, _: &Path) -> Result<Vec<CheckRecord>, UserError> {
        match self.fail_checks.lock().unwrap().clone() {
            Some(e) => Err(e),
            None => Ok(self.checks.lock().unwrap().clone()),
        }
    }
}

impl Dialogs for Script {
    fn pick(&self, what: Pick, _: &str) -> Option<PathBuf> {
        let key = match what {
            Pick::DataFile => "file",
            Pick::Folder => "folder",
            Pick::ExportTo => "export",
            Pick::KeyFile => "key",
            Pick::SealTo => "seal",
            Pick::ReportTo => "report",
            Pick::FileTo => "plot",
            Pick::SaveAs => "project",
            Pick::Picture => "picture",
            Pick::NewData => "new",
            Pick::NewFolder => "new folder",
        };
        self.picks.lock().unwrap().get(key).cloned()
    }
}

/// What a run takes, in a machine with so many bytes free.
fn watched(name: &str, kind: monitor::Kind, drifted: bool, summary: &str) -> ColumnDrift {
    use monitor::{Histogram, Kind, Method};
    let category = kind != Kind::Number;
    let shares = |shift: f64| -> Vec<f64> {
        let raw: Vec<f64> =
            (0..24).map(|i| (-((f64::from(i) - 9.0 - shift) / 4.0).powi(2)).exp()).collect();
        let sum: f64 = raw.iter().sum();
        raw.iter().map(|v| v / sum).collect()
    };
    let histogram = if category {
        let labels = ["Biscoe", "Dream", "Torgersen", "(new)"].map(str::to_owned).to_vec();
        let new = if drifted { vec![0.21, 0.28, 0.13, 0.38] } else { vec![0.5, 0.35, 0.15, 0.0] };
        Histogram { edges: vec![], labels, reference: vec![0.49, 0.36, 0.15, 0.0], new }
    } else {
        let edges = (0..=24).map(|i| 2700.0 + 150.0 * f64::from(i)).collect();
        let new = shares(if drifted { 5.0 } else { 0.2 });
        Histogram { edges, labels: vec![], reference: shares(0.0), new }
    };
    ColumnDrift {
        name: name.to_owned(),
        column: Some(name.to_owned()),
        kind,
        method: Some(if category { Method::ChiSquared } else { Method::KolmogorovSmirnov }),
        value: if drifted { 3.1e-7 } else { 0.61 },
        p: if drifted { 1.1e-7 } else { 0.33 },
        p_adjusted: if drifted { 3.1e-7 } else { 0.61 },
        psi: if drifted { 0.62 } else { 0.01 },
        size: if drifted { 0.4 } else { 0.04 },
        drifted,
        usable: 340,
        missing: [0.006, if drifted { 0.04 } else { 0.009 }],
        outside: (!category).then_some(if drifted { 0.08 } else { 0.0 }),
        new_categories: if category && drifted { vec![("Atlantis".into(), 130)] } else { vec![] },
        unit: None,
        summary: summary.to_owned(),
        histogram,
        rows: if drifted { (170..340).collect() } else { vec![] },
        row_count: if drifted { 170 } else { 0 },
    }
}

/// A check of new penguins: their weights changed halfway, or nothing did.
pub fn monitored(triggers: Triggers, drifted: bool) -> Found {
    use fp8_studio::quality::Severity;
    use monitor::{Action, AlertKind, Feedback, Kind};
    let columns = vec![
        watched("body_mass_g", Kind::Number, drifted, "middle value 4050 → 4740"),
        watched("island", Kind::Category, drifted, "\"Atlantis\" is new"),
        watched("bill_length_mm", Kind::Number, false, "middle value 44.5 → 44.7"),
        watched("bill_depth_mm", Kind::Number, false, "middle value 17.3 → 17.2"),
        watched("flipper_length_mm", Kind::Number, false, "middle value 197 → 197"),
    ];
    let change = drifted.then(|| monitor::Change {
        row: 172,
        place: 170,
        date: None,
        columns: vec!["body_mass_g".into(), "island".into()],
        before_is_normal: true,
    });
    let windows = (0..6)
        .map(|i| {
            let after = drifted && i >= 3;
            monitor::Window {
                places: [i * 57, (i + 1) * 57],
                rows: [i as u64 * 57 + 2, i as u64 * 57 + 58],
                dates: None,
                drifting: if after { 0.4 } else { 0.0 },
                distances: vec![0.05; 5],
                confidence: Some(if after { 0.81 } else { 0.96 } - 0.01 * (i % 2) as f64),
                unsure: Some(if after { 0.3 } else { 0.1 }),
                score: Some(if after { 0.84 } else { 0.98 }),
            }
        })
        .collect();
    let now = if drifted { 0.91 } else { 0.98 };
    let measured = Measured {
        kind: MetricKind::Accuracy,
        class: None,
        value: now,
        interval: Interval { low: now - 0.03, high: (now + 0.02f64).min(1.0) },
    };
    let alert = |severity, kind, title: &str, advice: &str, columns: &[&str]| monitor::Alert {
        severity,
        kind,
        title: title.to_owned(),
        advice: advice.to_owned(),
        columns: columns.iter().map(|c| (*c).to_owned()).collect(),
    };
    let alerts = vec![
        alert(
            Severity::High,
            AlertKind::Score,
            "Accuracy went from 98.55 % at training to 91.00 % on 344 rows with a right answer",
            "95 % interval now: 88.00 % to 93.00 %.",
            &[],
        ),
        alert(
            Severity::Warning,
            AlertKind::Column,
            "\"body_mass_g\" has other values than in training: middle value 4050 → 4740",
            "Find out what changed: the customers, the season, how it is measured?",
            &["body_mass_g"],
        ),
        alert(
            Severity::Warning,
            AlertKind::Input,
            "\"island\" has values that training had not seen, in 130 rows: \"Atlantis\"",
            "The model cannot tell them apart. Correct spellings, or train again once they are common.",
            &["island"],
        ),
    ];
    let (action, text) = match drifted {
        true => (
            Action::TrainAgain,
            "Accuracy went from 98.55 % at training to 91.00 % on 344 rows with a right answer. It began at row 172. Add these rows to the training data.",
        ),
        false => (
            Action::Nothing,
            "344 new rows were compared with 240 rows of the training: nothing that matters has changed.",
        ),
    };
    Found {
        time: "2025-03-01T10:20:00Z".into(),
        project: "Penguins".into(),
        trained: "2025-02-01T10:20:00Z".into(),
        data: if drifted { "june" } else { "may, the same" }.into(),
        rows: 344,
        reference_rows: 240,
        advice: monitor::Advice {
            action,
            text: text.into(),
            columns: if drifted { vec!["body_mass_g".into()] } else { vec![] },
        },
        alerts: if drifted { alerts } else { vec![] },
        tested: columns.len(),
        drifting: if drifted { 2 } else { 0 },
        dataset_drift: false,
        columns,
        answers: Some(monitor::AnswerDrift {
            drift: watched("species", Kind::Prediction, false, "\"Dream\" 36 % → 35 %"),
            confidence: Some([0.961, if drifted { 0.88 } else { 0.958 }]),
            unsure_below: Some(0.86),
            unsure: Some([0.1, if drifted { 0.2 } else { 0.11 }]),
            rows: 344,
        }),
        feedback: Some(Feedback {
            rows: 344,
            before: 0.9855,
            before_rows: 69,
            before_interval: Some(Interval { low: 0.92, high: 0.997 }),
            drop: 0.9855 - now,
            certain: drifted,
            metrics: vec![measured.clone()],
            now: measured,
        }),
        timeline: monitor::Timeline {
            names: [
                "body_mass_g",
                "island",
                "bill_length_mm",
                "bill_depth_mm",
                "flipper_length_mm",
            ]
            .map(str::to_owned)
            .to_vec(),
            windows,
            change,
            by_column: vec![],
        },
        triggers,
    }
}

fn estimate(data: &Dataset, project: &Project, free: Option<u64>) -> Estimate {
    let head = Head::Classes { count: 3 };
    let config = &project.train;
    let input = match &data.samples {
        Samples::Table(_) => InputSpec::features(9),
        Samples::Images(images) => InputSpec::image(ImageShape {
            height: images.height,
            width: images.width,
            channels: images.channels,
        }),
    };
    let model = config.model(input, head).unwrap();
    let plan = PlanConfig {
        batch: config.batch_size,
        precision: config.precision,
        optimizer: config.optimizer,
        update: config.update,
    };
    let limits = Limits { total: Some(free.unwrap_or(8_000_000_000)), buffer: None };
    let preflight = preflight(&model, &plan, config.shadow, limits).unwrap();
    let engine = EngineInfo::Cpu { threads: 2, simd: "avx512".into() };
    Estimate { preflight, steps: 600, extent: None, step: Some((0.002, engine)) }
}

/// A picture of stripes, down or across, as made from weights.
fn made_for((class, across): (&str, usize)) -> Inverted {
    let stripe = |i: usize| if (i / [1, 8][across]).is_multiple_of(2) { 230 } else { 25 };
    Inverted {
        class: class.into(),
        confidence: 0.97,
        average: 0.62,
        training: 0.71,
        others: 0.7,
        pictures: 68,
        pixels: (0..64).map(stripe).collect(),
    }
}

/// An evaluation of 68 rows, of which every ninth is answered wrongly.
pub fn evaluation(data: &Dataset, progress: &Progress) -> Evaluation {
    let rows: Vec<u32> = (0..68).map(|i| i * 5 % data.len() as u32).collect();
    let (classes, target, truth) = match &data.samples {
        Samples::Table(t) => {
            let classes = ["Adelie", "Chinstrap", "Gentoo"].map(String::from).to_vec();
            let column = t.column("species").unwrap();
            let class =
                |r: &u32| classes.iter().position(|c| c == column.raw(*r as usize)).unwrap() as u32;
            let truth = rows.iter().map(class).collect::<Vec<u32>>();
            (classes.clone(), "species", truth)
        }
        Samples::Images(i) => {
            let truth = rows.iter().map(|r| i.labels[*r as usize]).collect();
            (i.classes.clone(), "label", truth)
        }
    };
    let n = classes.len();
    let answer = |(i, t): (usize, &u32)| {
        let given = if i % 9 == 4 { (*t as usize + 1) % n } else { *t as usize };
        let sure = 0.55 + 0.44 * ((i * 29 % 31) as f64 / 31.0);
        (0..n).map(move |c| if c == given { sure } else { (1.0 - sure) / (n - 1) as f64 })
    };
    let p = truth.iter().enumerate().flat_map(answer).collect();
    let c = ClassOutcomes::from_probabilities(&classes, truth, p);
    let groups = groupings(data, target, &rows);
    let fairness =
        groups.iter().map(|g| fairness::compare(&c, &fairness::called(&c, 1), 1, g, 0)).collect();
    let fitted = Calibrations::fit(&c);
    let curve = |class: usize| {
        let positive: Vec<bool> = c.truth.iter().map(|t| *t as usize == class).collect();
        let points = thresholds(&positive, &c.column(class).collect::<Vec<_>>());
        ClassCurve { class: classes[class].clone(), points }
    };
    let curves = (0..n).map(curve).collect();
    let reliability = reliability(&c.confidence(), &c.hits());
    let confusion = Confusion::new(&classes, &c.truth, &c.predicted);
    let referrals = referrals(&c, &c);
    let outcomes = Outcomes::Classes(c);
    let options = EvalOptions { replicates: 100, ..EvalOptions::default() };
    let metrics = measure(&outcomes, true, options, progress).unwrap();
    Evaluation {
        project: "Penguins".into(),
        dataset: data.name.clone(),
        part: Part::Test,
        rows: rows.len(),
        target: target.into(),
        classes,
        notes: vec!["There are only 68 rows: the intervals are wide.".into()],
        baselines: vec![Baseline {
            name: "always the commonest class",
            metrics: vec![Measured { value: 0.438, ..metrics[0].clone() }],
        }],
        metrics,
        confusion: Some(confusion),
        curves,
        calibration: Some(CalibrationReport {
            model: reliability.clone(),
            temperature: Some(reliability.clone()),
            isotonic: Some(reliability),
            fitted,
        }),
        ranges: None,
        slices: slices::find(&outcomes, &groups),
        fairness,
        mitigations: vec![],
        treated: None,
        privacy: Privacy {
            guaranteed: None,
            membership: Some(Membership {
                members: 240,
                others: 68,
                attacks: vec![Attack {
                    name: "low loss",
                    auc: 0.53,
                    auc_interval: Interval { low: 0.45, high: 0.61 },
                    found: 0.02,
                    found_interval: Interval { low: 0.0, high: 0.06 },
                }],
            }),
            attributes: vec![Attribute {
                column: "sex".into(),
                commonest: 0.51,
                members: 0.74,
                others: 0.71,
                gap: Interval { low: -0.06, high: 0.12 },
                rows: [240, 68],
            }],
            inversion: Some(Inversion {
                shape: [8, 8, 1],
                classes: ["female", "male"].into_iter().zip([0, 1]).map(made_for).collect(),
            }),
            risk: Risk::Unknown,
            statement: "There are too few rows to tell.".into(),
        },
        robustness: Robustness {
            rows: 68,
            clean: 0.88,
            changes: vec![Changed {
                what: "typing errors in 5 % of words".into(),
                score: 0.85,
                interval: Some(Interval { low: 0.78, high: 0.91 }),
            }],
            columns: vec![Changed {
                what: "island empty".into(),
                score: 0.8,
                interval: Some(Interval { low: 0.7, high: 0.88 }),
            }],
            attacks: [(0.0, 0.88, 0.88), (0.1, 0.7, 0.6), (0.4, 0.4, 0.2)]
                .map(|(epsilon, fgsm, pgd)| Attacked { epsilon, fgsm, pgd })
                .into(),
            unit: "standard deviations per number",
            referrals,
            strangeness: None,
        },
        row_numbers: rows,
        outcomes,
        groupings: groups,
    }
}

/// An answer that hangs on the length of the bill.
fn answer(data: &Dataset, input: &Input) -> Answer {
    let classes: Vec<String> = match &data.samples {
        Samples::Table(_) => ["Adelie", "Chinstrap", "Gentoo"].map(String::from).to_vec(),
        Samples::Images(i) => i.classes.clone(),
    };
    let mut probabilities = vec![0.02; classes.len()];
    probabilities[1] = 1.0 - 0.02 * (classes.len() - 1) as f32;
    let effect = |i: usize| [0.41, -0.17, 0.06, 0.02, -0.01, 0.001][i % 6];
    let columns = match input {
        Input::Row(cells) => cells
            .iter()
            .enumerate()
            .map(|(i, (name, value))| Reason {
                name: name.clone(),
                value: value.clone(),
                effect: effect(i),
            })
            .collect(),
        _ => Vec::new(),
    };
    let picture = match &data.samples {
        Samples::Images(i) => Some(Seen {
            width: i.width,
            height: i.height,
            channels: i.channels,
            pixels: i.pixels[..i.width * i.height * i.channels].to_vec(),
            effects: (0..i.width * i.height).map(|p| (p % i.width) as f32 / 100.0).collect(),
        }),
        Samples::Table(_) => None,
    };
    let prediction = Prediction::Class { index: 1, probabilities };
    Answer { prediction, classes, columns, words: vec![], picture, swapped: 64, unknown: vec![] }
}

/// What the epochs of a run tell, its loss higher by `more`.
pub fn epochs(count: usize, more: f32) -> Vec<Event> {
    (1..=count)
        .map(|epoch| {
            let loss = 1.05 * (-0.16 * epoch as f32).exp() + 0.05 + more;
            Event::Epoch {
                epoch,
                step: (epoch * 20) as u64,
                train_loss: loss,
                validation: scores(loss + 0.04, f64::from(1.0 - loss / 2.0)),
                best: true,
            }
        })
        .collect()
}

/// A finished run of the past.
pub fn past(name: &str, rate: f32, format: PrecisionChoice, accuracy: f64) -> PastRun {
    let config = TrainConfig {
        learning_rate: rate,
        precision: format.precision(),
        ..TrainConfig::default()
    };
    PastRun {
        folder: Path::new("/projects/penguins/runs").join(name),
        started: "2025-03-01T10:20:00Z".into(),
        state: RunState::Done,
        interrupted: false,
        target: "species".into(),
        rows: 344,
        config,
        summary: Some(Summary {
            insight: Default::default(),
            privacy: None,
            reason: StopReason::Completed,
            epochs: 30,
            best_epoch: 24,
            validation: scores(0.06, accuracy + 0.01),
            test: scores(0.07, accuracy),
            baseline: 0.438,
            seconds: 12.4,
            rows_per_second: 48_300.0,
            parameters: 9_795,
            precision: None,
            engine: EngineInfo::Cpu { threads: 2, simd: "avx512".into() },
            folder: PathBuf::new(),
        }),
        notes: RunNotes::default(),
    }
}

/// A comparison in which FP8 is slower and smaller.
pub fn verdict() -> Verdict {
    let arm = |name, how, score: f64, seconds: Option<f64>, file_bytes| Arm {
        name,
        how,
        score,
        interval: Interval { low: score - 0.03, high: score + 0.03 },
        difference: score - 0.971,
        difference_interval: Interval { low: -0.02, high: 0.01 },
        loss: 0.08,
        loss_gap: 0.002,
        ece: Some(0.021),
        worst_slice: Some(("island = Dream".into(), 0.91)),
        agreement: 0.985,
        train_seconds: seconds,
        core_seconds: seconds.map(|s| 2.0 * s),
        train_rows_per_second: seconds.map(|s| 10_000.0 / s),
        latency_p50: 14.0,
        latency_p95: 19.0,
        throughput: vec![(1, 70_000.0), (128, 900_000.0)],
        file_bytes,
        memory_bytes: 80_000,
        pareto: name == "FP8" || name == "f32",
    };
    Verdict {
        project: "Penguins".into(),
        rows: 68,
        metric: MetricKind::Accuracy,
        engine: EngineInfo::Cpu { threads: 2, simd: "avx512".into() },
        seed: 0,
        arms: vec![
            arm("f32", How::Trained, 0.971, Some(0.9), 8_400),
            arm("FP8", How::Trained, 0.956, Some(2.1), 5_100),
            arm("bf16", How::Trained, 0.971, Some(1.2), 8_400),
            arm("f32 → FP8", How::Rounded, 0.956, None, 5_100),
            arm("f32 → int8", How::Rounded, 0.971, None, 5_300),
        ],
        card: vec!["FP8 is slower on this machine: 2.1 s instead of 0.9 s.".into()],
        slower: true,
    }
}

/// The record of a run that was cut off.
pub fn interrupted(project: &Project) -> Interrupted {
    let data = table();
    let schema = Schema::infer(&data, Some("species"), &BTreeMap::new()).unwrap();
    let split = fp8_studio::data::Split::make(&data, &schema, &project.split).unwrap();
    let preprocessor =
        fp8_studio::data::Preprocessor::fit(&data, &schema, &project.prep, &split.train).unwrap();
    let input = InputSpec::features(9);
    Interrupted {
        project: project.folder.clone(),
        run: project.folder.join("runs/1"),
        record: Box::new(RunRecord {
            version: 1,
            project: project.name.clone(),
            dataset: data.name.clone(),
            dataset_rows: data.len(),
            started: "2025-03-01T10:20:00Z".into(),
            state: RunState::Running,
            process: 1,
            schema,
            prep: project.prep.clone(),
            preprocessor,
            split: project.split.clone(),
            model: project.train.model(input, Head::Classes { count: 3 }).unwrap(),
            config: project.train.clone(),
            recipe: String::new(),
            summary: None,
        }),
    }
}

/// Scores as a scripted run reports them.
pub fn scores(loss: f32, accuracy: f64) -> Scores {
    Scores { loss, metrics: vec![(MetricKind::Accuracy, accuracy)], rows: 68 }
}

/// Plays the beginning and `epochs` epochs of a run of 30.
pub fn play(run: &Run, epochs: usize) {
    begin(run);
    go_on(run, 1, epochs);
}

fn begin(run: &Run) {
    run.send(Event::State(RunState::Preparing));
    run.send(Event::Started {
        engine: EngineInfo::Cpu { threads: 2, simd: "avx512".into() },
        fallback: None,
        rows: [241, 35, 68],
        steps_per_epoch: 20,
        epochs: 30,
        resumed_step: 0,
        parameters: 9_795,
    });
    run.send(Event::State(RunState::Running));
    run.send(Event::Log("Training on 241 rows, validating on 35, testing on 68.".into()));
}

/// Plays the epochs `from..=to` of a run.
pub fn go_on(run: &Run, from: usize, to: usize) {
    let mut best = f32::INFINITY;
    for epoch in from..=to {
        let t = epoch as f32;
        let loss = 1.05 * (-0.16 * t).exp() + 0.05;
        for part in 0..4 {
            let at = f64::from(t) - 1.0 + f64::from(part + 1) / 4.0;
            let wobble = 0.02 * ((at * 9.0).sin() as f32);
            run.send(Event::Progress {
                step: (at * 20.0) as u64,
                epoch: at,
                loss: loss + wobble,
                learning_rate: 1e-3 * (1.0 - t / 40.0),
                rows_per_second: 48_300.0,
                eta_seconds: f64::from(30.0 - t) * 0.4,
            });
        }
        run.send(Event::Tensors { step: (epoch * 20) as u64, tensors: tensors(epoch) });
        let validation = loss + 0.04 + 0.0035 * (t - 14.0).max(0.0);
        let is_best = validation < best;
        best = best.min(validation);
        run.send(Event::Epoch {
            epoch,
            step: (epoch * 20) as u64,
            train_loss: loss,
            validation: scores(validation, f64::from(1.0 - 0.62 * (-0.25 * t).exp()) - 0.02),
            best: is_best,
        });
        run.send(Event::Log(format!(
            "Epoch {epoch}: training {loss:.4}, validation {validation:.4}"
        )));
    }
}

fn tensors(epoch: usize) -> Vec<TensorReport> {
    let mut all = Vec::new();
    for (layer, name) in ["dense1", "dense2", "output"].into_iter().enumerate() {
        for (part, role, format) in [
            ("input", TensorRole::Activation, Format::E4M3),
            ("weight", TensorRole::Weight, Format::E4M3),
            ("gradient", TensorRole::Gradient, Format::E5M2),
        ] {
            let t = epoch as f32;
            let gradient = role == TensorRole::Gradient;
            let amax = if gradient { 0.02 * (-0.1 * t).exp() } else { 1.0 + 0.06 * t };
            let flushed = match role {
                TensorRole::Gradient => 120.0 + 30.0 * t * (layer + 1) as f32,
                TensorRole::Weight => 4.0 * (layer as f32) + t / 6.0,
                TensorRole::Activation => 0.0,
            };
            all.push(TensorReport {
                name: format!("{name}.{part}"),
                role,
                format,
                stats: TensorStats {
                    amax,
                    scale_exponent: (amax / 448.0).log2().ceil() as i32,
                    count: 16_384,
                    saturated: if gradient && epoch % 9 == 4 { 12 } else { 0 },
                    flushed: flushed as u32,
                    subnormal: 30,
                    nan: 0,
                    signal: amax * amax * 50.0,
                    error: 0.001,
                    histogram: (0..64)
                        .map(|b| {
                            let off = (b - 48) as f32 - amax.log2() + 6.0;
                            (3000.0 * (-off * off / 6.0).exp()) as u32
                        })
                        .collect(),
                },
            });
        }
    }
    all
}

/// An action of the guard rails.
pub fn action(id: u32, undone: bool) -> Action {
    Action {
        id,
        step: 60 * u64::from(id),
        tensor: "dense2.input".into(),
        trouble: Trouble::Saturated,
        share: 0.125,
        measure: if id == 1 { Measure::Headroom(2) } else { Measure::WiderFormat },
        undone,
    }
}

/// Plays what a run finds out about itself.
pub fn insight(run: &Run) {
    let alternative = |recipe: &str, format, sqnr, saturated| Alternative {
        recipe: recipe.into(),
        format,
        score: Score { sqnr_db: Some(sqnr), saturated, flushed: 0.002 },
    };
    let what_if = |tensor: &str, role| WhatIf {
        tensor: tensor.into(),
        role,
        now: alternative("current", Format::E4M3, 27.4, 0.125),
        others: vec![
            alternative("current", Format::E5M2, 24.9, 0.0),
            alternative("delayed", Format::E4M3, 25.2, 0.01),
            alternative("block", Format::E4M3, 30.8, 0.0),
            alternative("mx", Format::E4M3, 31.6, 0.0),
        ],
    };
    let tensors = vec![
        what_if("dense1.input", TensorRole::Activation),
        what_if("dense2.input", TensorRole::Activation),
    ];
    run.send(Event::WhatIf { step: 201, tensors });
    for id in [1, 2] {
        let action = action(id, false);
        run.send(Event::Guard { step: action.step, action });
    }
    let text = "From step 60 on, 12 % of the values of dense2.input were too large for 8 bits and cut off; the guard rails gave it 4× headroom, and 0 % are now.";
    let diagnosis =
        Diagnosis { tone: Tone::Warning, tensor: "dense2.input".into(), text: text.into() };
    run.send(Event::Diagnosis { step: 60, diagnosis });
    for i in 1..=17u64 {
        run.send(Event::Shadow {
            step: 20 * i,
            loss: 1.05 * (-0.16 * i as f32).exp() + 0.05,
            gap: 0.004 * (-0.2 * i as f64).exp() * (i as f64).sin(),
            cosines: vec![
                ("dense1".into(), 0.9971),
                ("dense2".into(), 0.9985),
                ("output".into(), 0.9993),
            ],
        });
    }
    let ledger = |extra: u64| {
        BTreeMap::from([
            (Purpose::Weight, 40_000u64),
            (Purpose::Activation, 120_000),
            (Purpose::Gradient, 60_000),
            (Purpose::Moment, 80_000),
            (Purpose::Workspace, 9_000 + extra),
        ])
    };
    let memory = MemoryReport {
        predicted: ledger(0),
        measured: ledger(700),
        process_peak: Some(210_000_000),
    };
    run.send(Event::Memory { step: 20, memory });
}

/// Plays the end of a run.
pub fn finish(run: &Run, reason: StopReason) {
    run.send(Event::State(RunState::Finishing));
    run.send(Event::Finished(Box::new(Summary {
        privacy: None,
        reason,
        epochs: 30,
        best_epoch: 24,
        validation: scores(0.06, 0.971),
        test: scores(0.07, 0.9706),
        baseline: 0.438,
        seconds: 12.4,
        rows_per_second: 48_300.0,
        parameters: 9_795,
        precision: None,
        engine: EngineInfo::Cpu { threads: 2, simd: "avx512".into() },
        folder: run.job.folder.clone(),
        insight: Insight {
            shadow: Some(ShadowReport { loss: [0.1012, 0.101], ..ShadowReport::default() }),
            ..Insight::default()
        },
    })));
}

/// A window under test.
pub struct Window {
    pub harness: Harness<'static, StudioApp>,
    pub script: Arc<Script>,
    words: Catalogue,
    _dir: tempfile::TempDir,
}

impl Window {
    pub fn new() -> Self {
        Self::sized([1280.0, 800.0])
    }

    pub fn sized(size: [f32; 2]) -> Self {
        Self::with(size, Arc::new(Script::default()), |_| {})
    }

    pub fn with(size: [f32; 2], script: Arc<Script>, prepare: impl FnOnce(&Store)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path());
        prepare(&store);
        let services: Arc<dyn Services> = Arc::clone(&script) as _;
        let dialogs: Arc<dyn Dialogs> = Arc::clone(&script) as _;
        let harness = Harness::builder().with_size(size).with_max_steps(64).build_eframe(|cc| {
            StudioApp::new(&cc.egui_ctx, services, dialogs, store, &Options::default())
        });
        let language = harness.state().state.language();
        let mut words = entries(language).unwrap();
        words.messages.append(&mut words.window);
        let words = Catalogue::new(words);
        let mut window = Self { harness, script, words, _dir: dir };
        window.settle();
        window
    }

    /// Runs until no task is under way, or until a held one is all that is left.
    pub fn settle(&mut self) {
        let holds =
            [(&self.script.hold_open, "Opening"), (&self.script.hold_monitor, "Checking new data")];
        let held = |label: &str| {
            let on = |hold: &std::sync::atomic::AtomicBool| {
                hold.load(std::sync::atomic::Ordering::Relaxed)
            };
            holds.iter().any(|(hold, name)| on(hold) && label.starts_with(name))
        };
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            self.harness.run_steps(3);
            let running = self.harness.state().state.tasks.running();
            // A held one has told how far it is.
            let waits = |t: &TaskInfo| held(&t.label) && t.fraction().is_some_and(|f| f > 0.0);
            if running.iter().all(waits) {
                self.harness.run_steps(4);
                return;
            }
            assert!(Instant::now() < end, "a task does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// An English label, or one in the language of the window, in that language.
    pub fn said(&self, label: &str) -> String {
        self.words.shown(label).into_owned()
    }

    pub fn click(&mut self, label: &str) {
        let label = &self.said(label);
        let node = self.node(label);
        assert!(!node.accesskit_node().is_disabled(), "{label} is disabled");
        node.scroll_to_me();
        self.harness.run_steps(3);
        self.node(label).click();
        self.settle();
    }

    /// Presses the first of several controls with this name.
    pub fn click_first(&mut self, label: &str) {
        let label = &self.said(label);
        let node = self.harness.query_all_by_label(label).next().unwrap();
        node.click_accesskit();
        self.settle();
    }

    /// The control with this name.
    #[track_caller]
    pub fn node<'a>(&'a self, label: &'a str) -> Node<'a> {
        let mut found: Vec<Node<'a>> = self
            .harness
            .query_all_by_label(label)
            .filter(|n| egui::accessibility::is_input(n.accesskit_node().role()))
            .collect();
        assert!(found.len() == 1, "{} controls \"{label}\" in {:#?}", found.len(), self.texts());
        found.remove(0)
    }

    pub fn has(&self, text: &str) -> bool {
        self.harness.query_all_by_label_contains(text).next().is_some()
    }

    #[track_caller]
    pub fn see(&self, text: &str) {
        assert!(self.has(text), "\"{text}\" is not shown; shown: {:#?}", self.texts());
    }

    pub fn texts(&self) -> Vec<String> {
        let root = self.harness.root();
        let mut texts: Vec<String> = root
            .children_recursive()
            .filter_map(|n| n.accesskit_node().label().or(n.accesskit_node().value()))
            .collect();
        texts.dedup();
        texts
    }

    /// All that is written, and all that is read aloud.
    pub fn words(&self) -> Vec<String> {
        let root = self.harness.root();
        let nodes = root.children_recursive().flat_map(|n| {
            let n = n.accesskit_node();
            [n.label(), n.value(), n.description(), n.placeholder().map(str::to_owned)]
        });
        nodes.flatten().collect()
    }

    pub fn run(&self) -> Run {
        self.script.runs.lock().unwrap().last().cloned().expect("no run was started")
    }
}

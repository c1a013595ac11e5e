//! How long the UI thread takes for a frame while a table of 1,000,000 rows is loaded and checked,
//! while a model is trained and exported. No frame may take more than 50 ms. What is measured is
//! logic and layout; drawing the triangles is the graphics card's part.
//!
//!     cargo bench --bench frames

#![allow(clippy::print_stdout, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use egui_kittest::Harness;
use fp8_studio::app::{
    CheckState, Command, Engines, EvaluationState, ExportRequest, ExportState, Interrupted,
    Library, LiveRun, Pick, Preset, Sample, Services, Step, Store, Wake, Workspace,
};
use fp8_studio::data::{ColumnType, Dataset, Progress, Schema};
use fp8_studio::error::UserError;
use fp8_studio::eval::{Evaluation, Verdict};
use fp8_studio::export::ExportReport;
use fp8_studio::project::Project;
use fp8_studio::quality::Report;
use fp8_studio::train::estimate::Estimate;
use fp8_studio::train::worker::Job;
use fp8_studio::train::{Event, RunHandle, RunState};
use fp8_studio::ui::{Options, StudioApp};

const ROWS: usize = 1_000_000;
/// What a frame may take.
const LIMIT: Duration = Duration::from_millis(50);

type Window = Harness<'static, StudioApp>;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let csv = folder.path().join("large.csv");
    std::fs::write(&csv, table()).expect("a temporary file");
    let services = Arc::new(Answers {
        library: Library::at(&folder.path().join("projects")),
        model: folder.path().join("model.safetensors"),
    });
    let store = Store::at(folder.path());
    let begin = Instant::now();
    let mut window: Window = Harness::builder()
        .with_size([1280.0, 800.0])
        .with_max_steps(1)
        .build_eframe(|cc| StudioApp::new(&cc.egui_ctx, services, store, &Options::default()));
    println!("first frame after {:.0} ms", begin.elapsed().as_secs_f64() * 1e3);
    let mut worst = Duration::ZERO;
    let mut note = |name: &str, frames: Frames| {
        println!(
            "{name:<34} {:>6} frames, median {:>5.1} ms, longest {:>5.1} ms",
            frames.count(),
            frames.median().as_secs_f64() * 1e3,
            frames.longest().as_secs_f64() * 1e3
        );
        worst = worst.max(frames.longest());
    };
    apply(&mut window, Command::Open(csv));
    note("loading 1,000,000 rows", until(&mut window, |w| open(w).is_some()));
    let known = |w: &Window| open(w).is_some_and(|p| p.schema().is_ok());
    note("looking at the target", until(&mut window, known));
    note("looking at the data", some(&mut window, 60));
    apply(&mut window, Command::Go(Step::Check));
    let checked =
        |w: &Window| open(w).is_some_and(|p| !matches!(p.check, CheckState::Running { .. }));
    note("checking", until(&mut window, checked));
    note("looking at the findings", some(&mut window, 60));
    apply(&mut window, Command::AcceptFindings { reason: "made up".into(), only: None });
    apply(&mut window, Command::ApplyPreset(Preset::Fast));
    shorten(&mut window);
    some(&mut window, 5);
    apply(&mut window, Command::Train);
    let trained =
        |w: &Window| open(w).and_then(|p| p.run.as_ref()).is_some_and(|r: &LiveRun| !r.active());
    note("training", until(&mut window, trained));
    let state = open(&window).and_then(|p| p.run.as_ref()).map(|r| r.state);
    assert_eq!(state, Some(RunState::Done), "the run did not end well");
    note("looking at the result", some(&mut window, 60));
    apply(&mut window, Command::Go(Step::Evaluate));
    let judged = |w: &Window| {
        open(w).is_some_and(|p| !matches!(p.evaluation, EvaluationState::Running { .. }))
    };
    note("judging", until(&mut window, judged));
    note("looking at the evaluation", some(&mut window, 60));
    apply(&mut window, Command::Go(Step::Export));
    apply(&mut window, Command::Pick(Pick::ExportTo));
    let written = |w: &Window| open(w).is_some_and(|p| matches!(p.export, ExportState::Done(_)));
    note("exporting", until(&mut window, written));
    println!("longest frame {:.1} ms, limit {} ms", worst.as_secs_f64() * 1e3, LIMIT.as_millis());
    if worst > LIMIT {
        println!("TOO LONG");
        std::process::exit(1);
    }
}

fn open(window: &Window) -> Option<&fp8_studio::app::ProjectState> {
    match &window.state().state.workspace {
        Workspace::Open(project) => Some(project),
        Workspace::Failed { error, .. } => {
            println!("the table could not be opened: {error}");
            std::process::exit(1);
        }
        _ => None,
    }
}

fn apply(window: &mut Window, command: Command) {
    window.state_mut().state.apply(command);
}

/// Two epochs are enough to see.
fn shorten(window: &mut Window) {
    let Some(project) = open(window) else { return };
    let config =
        Box::new(fp8_studio::train::TrainConfig { epochs: 2, ..project.project.train.clone() });
    apply(window, Command::SetConfig { config, what: "epochs" });
}

#[derive(Default)]
struct Frames(Vec<Duration>);

impl Frames {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn longest(&self) -> Duration {
        self.0.iter().copied().max().unwrap_or_default()
    }

    fn median(&self) -> Duration {
        let mut all = self.0.clone();
        all.sort();
        all.get(all.len() / 2).copied().unwrap_or_default()
    }
}

fn frame(window: &mut Window, frames: &mut Frames) {
    let begin = Instant::now();
    window.step();
    let took = begin.elapsed();
    frames.0.push(took);
    std::thread::sleep(Duration::from_millis(16).saturating_sub(took));
}

fn some(window: &mut Window, count: usize) -> Frames {
    let mut frames = Frames::default();
    for _ in 0..count {
        frame(window, &mut frames);
    }
    frames
}

fn until(window: &mut Window, done: impl Fn(&Window) -> bool) -> Frames {
    let end = Instant::now() + Duration::from_secs(1800);
    let mut frames = Frames::default();
    while !done(window) {
        assert!(Instant::now() < end, "it takes too long");
        frame(window, &mut frames);
    }
    frames
}

/// Numbers and words; the answer hangs on some of them.
fn table() -> String {
    let mut text = String::with_capacity(ROWS * 60);
    text += "a,b,c,d,region,kind,y\n";
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = ["north", "south", "east", "west", "centre"];
    for _ in 0..ROWS {
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let (a, b, c, d) = (random() % 1000, random() % 500, random() % 100_000, random() % 97);
        let (r, k) = ((random() % 5) as usize, (random() % 5) as usize);
        let noise = random() % 400;
        let yes = a + 2 * b + 100 * r as u64 + noise > 1300;
        let _ = writeln!(
            text,
            "{a}.{:02},{b},{c},{d}.5,{},{},{}",
            noise % 100,
            words[r],
            words[k],
            if yes { "yes" } else { "no" }
        );
    }
    text
}

/// The real library, with the file dialog answered.
struct Answers {
    library: Library,
    model: PathBuf,
}

impl Services for Answers {
    fn samples(&self) -> Vec<Sample> {
        self.library.samples()
    }
    fn open_sample(&self, id: &str) -> Result<Project, UserError> {
        self.library.open_sample(id)
    }
    fn open_project(&self, path: &Path) -> Result<Project, UserError> {
        self.library.open_project(path)
    }
    fn save_project(&self, project: &Project) -> Result<(), UserError> {
        self.library.save_project(project)
    }
    fn open_data(&self, project: &Project, progress: &Progress) -> Result<Dataset, UserError> {
        self.library.open_data(project, progress)
    }
    fn suggest_target(&self, data: &Dataset) -> Option<String> {
        self.library.suggest_target(data)
    }
    fn schema(
        &self,
        data: &Dataset,
        target: Option<&str>,
        types: &BTreeMap<String, ColumnType>,
    ) -> Result<Schema, UserError> {
        self.library.schema(data, target, types)
    }
    fn check(
        &self,
        data: &Dataset,
        schema: &Schema,
        project: &Project,
        progress: &Progress,
    ) -> Result<Report, UserError> {
        self.library.check(data, schema, project, progress)
    }
    fn estimate(
        &self,
        data: &Dataset,
        schema: &Schema,
        project: &Project,
        progress: &Progress,
    ) -> Result<Estimate, UserError> {
        self.library.estimate(data, schema, project, progress)
    }
    fn engines(&self) -> Engines {
        self.library.engines()
    }
    fn start(&self, job: Job, wake: Wake) -> Result<RunHandle, UserError> {
        self.library.start(job, wake)
    }
    fn new_run(&self, project: &Path) -> PathBuf {
        self.library.new_run(project)
    }
    fn interrupted(&self, project: &Path) -> Vec<Interrupted> {
        self.library.interrupted(project)
    }
    fn past_events(&self, run: &Path) -> Vec<Event> {
        self.library.past_events(run)
    }
    fn evaluate(
        &self,
        run: &Path,
        data: &Dataset,
        progress: &Progress,
    ) -> Result<Evaluation, UserError> {
        self.library.evaluate(run, data, progress)
    }
    fn compare(&self, job: &Job, progress: &Progress) -> Result<Verdict, UserError> {
        self.library.compare(job, progress)
    }
    fn report(
        &self,
        run: &Path,
        evaluation: &Evaluation,
        verdict: Option<&Verdict>,
        to: &Path,
    ) -> Result<(), UserError> {
        self.library.report(run, evaluation, verdict, to)
    }
    fn export(&self, request: &ExportRequest) -> Result<ExportReport, UserError> {
        self.library.export(request)
    }
    fn pick(&self, _: Pick, _: &str) -> Option<PathBuf> {
        Some(self.model.clone())
    }
}

//! How long the UI thread takes for a frame while a table of 1,000,000 rows is loaded, scrolled and
//! checked, while a model is trained, judged and exported, and with a plot of 100,000 points.
//!
//!     cargo bench --bench frames
//!
//! A frame is logic, layout and tessellation; none may take more than 50 ms. Drawing the triangles is
//! the graphics card's part: where there is none it is done in software, which is timed apart. "Own"
//! is without the time in which the thread was ready but other threads had the processor (as Linux
//! counts it; elsewhere it is the time by the clock).

#![allow(clippy::print_stdout, clippy::expect_used)]

mod tables;

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use fp8_studio::app::{
    CheckState, Command, EvaluationState, ExportState, Library, LiveRun, Pick, Preset, RunCommand,
    Step, Store, Workspace,
};
use fp8_studio::train::{RunState, TrainConfig};
use fp8_studio::ui::{Options, StudioApp};

/// What a frame may take.
const LIMIT: Duration = Duration::from_millis(50);
/// What a frame may take at 60 a second.
const SMOOTH: Duration = Duration::from_micros(16_667);
/// What the first frame may take from the start.
const FIRST: Duration = Duration::from_secs(1);
/// Points of a plot.
const POINTS: usize = 100_000;

type Window = Harness<'static, StudioApp>;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let csv = folder.path().join("large.csv");
    std::fs::write(&csv, table()).expect("a temporary file");
    let (mut window, first) = start(folder.path());
    let mut worst = Worst { own: Duration::ZERO, missed: first > FIRST };
    println!(
        "first frame drawn {:.0} ms after the start\n\n\
         | | frames | median, ms | longest own, ms | longest by the clock, ms | drawing, ms |\n\
         |---|---|---|---|---|---|",
        ms(first)
    );
    apply(&mut window, Command::Open(csv));
    let loaded = until(&mut window, |w| open(w).is_some());
    worst.note("loading 1,000,000 rows", &mut window, loaded, LIMIT);
    let frames = until(&mut window, |w| {
        open(w).is_some_and(|p| matches!(p.check, CheckState::Done(_) | CheckState::Failed(_)))
    });
    worst.note("checking them", &mut window, frames, LIMIT);
    let frames = some(&mut window, 120);
    worst.note("the columns", &mut window, frames, LIMIT);
    press(&mut window, "Rows");
    let frames = scroll(&mut window);
    worst.note("scrolling 1,000,000 rows", &mut window, frames, SMOOTH);
    apply(&mut window, Command::Go(Step::Check));
    let frames = some(&mut window, 120);
    worst.note("the findings", &mut window, frames, LIMIT);
    apply(&mut window, Command::AcceptFindings { reason: "made up".into(), only: None });
    apply(&mut window, Command::ApplyPreset(Preset::Fast));
    shorten(&mut window);
    some(&mut window, 5);
    apply(&mut window, Command::Train);
    let frames = until(&mut window, |w| run(w).is_some_and(|r| !r.active()));
    worst.note("training", &mut window, frames, LIMIT);
    let state = run(&window).map(|r| r.state);
    assert_eq!(state, Some(RunState::Done), "the run did not end well");
    let frames = some(&mut window, 120);
    worst.note("the result", &mut window, frames, LIMIT);
    apply(&mut window, Command::Go(Step::Evaluate));
    let frames = until(&mut window, |w| {
        open(w).is_some_and(|p| {
            matches!(p.evaluation, EvaluationState::Done(_) | EvaluationState::Failed(_))
        })
    });
    worst.note("judging", &mut window, frames, LIMIT);
    let frames = some(&mut window, 120);
    worst.note("the evaluation", &mut window, frames, LIMIT);
    apply(&mut window, Command::Go(Step::Export));
    apply(&mut window, Command::Pick(Pick::ExportTo));
    let frames = until(&mut window, |w| {
        open(w).is_some_and(|p| matches!(p.export, ExportState::Done(_) | ExportState::Failed(_)))
    });
    worst.note("exporting", &mut window, frames, LIMIT);
    let done = open(&window).is_some_and(|p| matches!(p.export, ExportState::Done(_)));
    assert!(done, "the model was not exported");
    let frames = many_points(&mut window);
    worst.note("reading a run of 100,000 points", &mut window, frames, LIMIT);
    let frames = some(&mut window, 240);
    worst.note("a plot of 100,000 points", &mut window, frames, SMOOTH);
    println!(
        "\nlongest own time of a frame {:.1} ms, limit {} ms",
        ms(worst.own),
        LIMIT.as_millis()
    );
    if worst.missed {
        println!("TOO LONG");
        std::process::exit(1);
    }
}

/// The window of a new user, drawn once, and how long that took.
fn start(folder: &Path) -> (Window, Duration) {
    let model = folder.join("model.safetensors");
    let services = Arc::new(Library::at(&folder.join("projects")));
    let dialogs = Arc::new(move |_: Pick, _: &str| Some(model.clone()));
    let store = Store::at(folder);
    let begin = Instant::now();
    let mut window: Window =
        Harness::builder().with_size([1280.0, 800.0]).with_max_steps(1).wgpu().build_eframe(|cc| {
            StudioApp::new(&cc.egui_ctx, services, dialogs, store, &Options::default())
        });
    window.render().expect("a picture of the window");
    (window, begin.elapsed())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// What the longest frame took, and whether any took too long.
struct Worst {
    own: Duration,
    missed: bool,
}

impl Worst {
    /// Prints a line; frames may take as long as `limit` says.
    fn note(&mut self, name: &str, window: &mut Window, frames: Frames, limit: Duration) {
        let drawing = drawing(window);
        let longest = |list: &[Duration]| list.iter().copied().max().unwrap_or_default();
        let own = longest(&frames.own);
        let late = if own > limit { " (too long)" } else { "" };
        println!(
            "| {name} | {} | {:.1} | {:.1}{late} | {:.1} | {:.1} |",
            frames.own.len(),
            ms(median(&frames.own)),
            ms(own),
            ms(longest(&frames.clock)),
            ms(drawing)
        );
        self.own = self.own.max(own);
        self.missed |= own > limit;
    }
}

fn median(times: &[Duration]) -> Duration {
    let mut all = times.to_vec();
    all.sort();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// What drawing the window takes, and reading it back.
fn drawing(window: &mut Window) -> Duration {
    let times: Vec<Duration> = (0..5)
        .map(|_| {
            window.step();
            let begin = Instant::now();
            window.render().expect("a picture of the window");
            begin.elapsed()
        })
        .collect();
    median(&times)
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

fn run(window: &Window) -> Option<&LiveRun> {
    open(window).and_then(|p| p.run.as_ref())
}

fn apply(window: &mut Window, command: Command) {
    window.state_mut().state.apply(command);
}

fn press(window: &mut Window, label: &str) {
    {
        let mut nodes = window.query_all_by_label(label);
        let button = nodes.rfind(|n| egui::accessibility::is_input(n.accesskit_node().role()));
        button.expect("a control of this name").click_accesskit();
    }
    some(window, 3);
}

/// Two epochs are enough to see.
fn shorten(window: &mut Window) {
    let Some(project) = open(window) else { return };
    let config = Box::new(TrainConfig { epochs: 2, ..project.project.train.clone() });
    apply(window, Command::SetConfig { config, what: "epochs" });
}

/// Turns the wheel over the rows, ever faster, and checks that they moved.
fn scroll(window: &mut Window) -> Frames {
    let mut frames = Frames::default();
    window.hover_at(egui::pos2(700.0, 600.0));
    for turn in 0..240 {
        window.event(egui::Event::MouseWheel {
            unit: egui::MouseWheelUnit::Point,
            delta: egui::vec2(0.0, -50.0 - 10.0 * turn as f32),
            phase: egui::TouchPhase::Move,
            source: egui::MouseWheelSource::Wheel,
            modifiers: egui::Modifiers::NONE,
        });
        frame(window, &mut frames);
    }
    let root = window.root();
    let labels = root.children_recursive().filter_map(|n| n.accesskit_node().value());
    let line = labels.filter_map(|t| t.parse::<usize>().ok()).max();
    assert!(line.is_some_and(|line| line > 5000), "the rows did not move: {line:?}");
    frames
}

/// Puts points into what the run told, and opens it again.
fn many_points(window: &mut Window) -> Frames {
    let folder = run(window).map(|r| r.folder.clone()).expect("a run");
    let path = folder.join("events.jsonl");
    let old = std::fs::read_to_string(&path).expect("events of the run");
    let mut new = String::with_capacity(POINTS * 150);
    let mut lines = old.lines().filter(|l| !l.starts_with("{\"progress\"")).peekable();
    while let Some(line) = lines.next_if(|l| !l.starts_with("{\"epoch\"")) {
        let _ = writeln!(new, "{line}");
    }
    for i in 1..=POINTS {
        let (epoch, loss) = (2.0 * i as f64 / POINTS as f64, 0.5 + 0.1 * (i as f64).sin());
        let _ = writeln!(
            new,
            "{{\"progress\":{{\"step\":{i},\"epoch\":{epoch},\"loss\":{loss},\
             \"learning_rate\":0.001,\"rows_per_second\":1000.0,\"eta_seconds\":1.0}}}}"
        );
    }
    for line in lines {
        let _ = writeln!(new, "{line}");
    }
    std::fs::write(&path, new).expect("events of the run");
    apply(window, Command::Go(Step::Export));
    apply(window, Command::Runs(RunCommand::Open(folder)));
    until(window, |w| run(w).is_some_and(|r| r.train_loss.len() >= POINTS as u64))
}

/// Times of frames.
#[derive(Default)]
struct Frames {
    own: Vec<Duration>,
    clock: Vec<Duration>,
}

/// How long this thread has waited for a processor, where that is known.
fn waited() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let waited = text.split(' ').nth(1).and_then(|t| t.parse().ok());
    Duration::from_nanos(waited.unwrap_or_default())
}

fn frame(window: &mut Window, frames: &mut Frames) {
    let (before, begin) = (waited(), Instant::now());
    window.step();
    let output = window.output();
    let triangles = window.ctx.tessellate(output.shapes.clone(), output.pixels_per_point);
    let took = begin.elapsed();
    std::hint::black_box(triangles);
    frames.clock.push(took);
    frames.own.push(took.saturating_sub(waited() - before));
    std::thread::sleep(SMOOTH.saturating_sub(took));
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
    tables::csv("a,b,c,d,region,kind,y", |random, text| {
        let (a, b) = (random.below(1000), random.below(500));
        let (c, d, noise) = (random.below(100_000), random.below(97), random.below(400));
        let (region, kind) = (random.word(), random.word());
        let north = if region == "north" { 300 } else { 0 };
        let yes = if a + 2 * b + north + noise > 1300 { "yes" } else { "no" };
        write!(text, "{a}.{:02},{b},{c},{d}.5,{region},{kind},{yes}", noise % 100)
    })
}

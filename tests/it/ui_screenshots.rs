//! Pictures of every step, to be looked at: run with `--ignored` and FP8_STUDIO_PICTURES set to a
//! folder.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use egui_kittest::kittest::Queryable;
use fp8_studio::app::prefs::LanguageChoice;
use fp8_studio::app::{
    Command, MonitorCommand, PastRun, PrecisionChoice, Preferences, Step, ThemeChoice,
};
use fp8_studio::data::import::Parts;
use fp8_studio::error::UserError;
use fp8_studio::export::sealed;
use fp8_studio::project::Project;
use fp8_studio::quality::{Finding, Severity};
use fp8_studio::train::{Event, RunNotes, StopReason};

use super::ui_support::{
    Script, Window, epochs, error, finish, go_on, insight, interrupted, past, play, project,
};

fn runs() -> Vec<PastRun> {
    let mut runs = vec![
        past("2025-03-02_09-00-00", 3e-3, PrecisionChoice::Mx, 0.968),
        past("2025-03-01_18-40-00", 1e-3, PrecisionChoice::Full, 0.982),
        past("2025-03-01_10-20-00", 1e-3, PrecisionChoice::Current, 0.971),
        past("2025-02-27_08-00-00", 1e-2, PrecisionChoice::Current, 0.914),
    ];
    runs[0].notes = RunNotes {
        name: "mx fast".into(),
        tags: vec!["sweep".into(), "finest scales".into()],
        favourite: true,
        note: String::new(),
    };
    runs[1].notes.name = "Careful one".into();
    runs[1].notes.note = "Twice the epochs; shows what 32 bits reach on these rows.".into();
    runs
}

fn finding(
    severity: Severity,
    title: &str,
    advice: &str,
    columns: &[&str],
    rows: &[usize],
) -> Finding {
    Finding {
        check: "planted",
        severity,
        title: title.into(),
        advice: advice.into(),
        columns: columns.iter().map(|c| (*c).to_owned()).collect(),
        rows: rows.to_vec(),
        row_count: rows.len(),
        sampled: None,
        value: Some(0.02),
        threshold: Some(0.01),
        definition: "Share of rows that are equal to an earlier row in all columns.",
    }
}

/// What is kept of what is shown.
pub enum Shots {
    /// Pictures, in a folder.
    Pictures(PathBuf),
    /// All texts, by the name of the picture.
    Texts(RefCell<BTreeMap<String, BTreeSet<String>>>),
}

fn take(w: &mut Window, shots: &Shots, name: &str) {
    w.harness.remove_cursor();
    w.harness.run_steps(8);
    match shots {
        Shots::Pictures(folder) => {
            let image = w.harness.render().unwrap();
            image.save(folder.join(format!("{name}.png"))).unwrap();
        }
        Shots::Texts(all) => {
            all.borrow_mut().entry(name.to_owned()).or_default().extend(w.words());
        }
    }
}

/// Scrolls the page down.
fn scroll(w: &mut Window, points: f32) {
    w.harness.hover_at(egui::pos2(320.0, 200.0));
    w.harness.event(egui::Event::MouseWheel {
        unit: egui::MouseWheelUnit::Point,
        delta: egui::vec2(0.0, -points),
        phase: egui::TouchPhase::Move,
        source: egui::MouseWheelSource::Wheel,
        modifiers: egui::Modifiers::NONE,
    });
    w.harness.run_steps(30);
}

/// The folder for the pictures, made if need be.
fn pictures() -> Shots {
    let folder = std::env::var_os("FP8_STUDIO_PICTURES").expect("set FP8_STUDIO_PICTURES");
    std::fs::create_dir_all(&folder).unwrap();
    Shots::Pictures(folder.into())
}

#[test]
#[ignore = "makes pictures for people to look at"]
fn pictures_of_every_step() {
    let shots = &pictures();
    for (theme, name) in [(ThemeChoice::Light, "light"), (ThemeChoice::Dark, "dark")] {
        for zoom in [1.0, 2.0] {
            let tag = format!("{name}-{}", (zoom * 100.0) as u32);
            walk(shots, &Preferences { theme, zoom, ..Default::default() }, &tag);
        }
    }
}

#[test]
#[ignore = "makes pictures for people to look at"]
fn pictures_of_opening() {
    let shots = &pictures();
    for (theme, name) in [(ThemeChoice::Light, "light"), (ThemeChoice::Dark, "dark")] {
        for zoom in [1.0, 2.0] {
            let tag = format!("{name}-{}", (zoom * 100.0) as u32);
            let script = Arc::new(Script::default());
            *script.parts.lock().unwrap() = Parts {
                names: vec!["people".into(), "orders".into()],
                database: true,
                large: false,
            };
            let w = Window::with([1280.0, 800.0], script, |store| {
                store.save(&Preferences { theme, zoom, ..Default::default() }).unwrap();
            });
            opening(w, shots, &tag);
        }
    }
}

/// Several projects, choices about the file, folds, a bin of the reliability, seals.
pub fn opening(mut w: Window, shots: &Shots, tag: &str) {
    w.click("Open sample Penguins");
    w.node(&w.said("Use this query")).scroll_to_me();
    take(&mut w, shots, &format!("{tag}-10-reading"));
    w.harness.state_mut().state.apply(Command::Go(Step::Configure));
    w.settle();
    w.click("Train 5 times");
    w.node(&w.said("Train 5 times")).scroll_to_me();
    take(&mut w, shots, &format!("{tag}-10-folds"));
    w.node(&w.said("To validate")).scroll_to_me();
    take(&mut w, shots, &format!("{tag}-10-shares"));
    w.click("Start training");
    play(&w.run(), 12);
    w.settle();
    w.harness.state_mut().state.apply(Command::OpenSample("german_credit".into()));
    w.settle();
    w.harness.state_mut().state.apply(Command::OpenSample("digits".into()));
    w.settle();
    take(&mut w, shots, &format!("{tag}-10-projects"));
    let first = w.harness.state().state.tabs()[0].id;
    w.harness.state_mut().state.apply(Command::SwitchTo(first));
    finish(&w.run(), StopReason::Completed);
    w.settle();
    w.harness.state_mut().state.apply(Command::Go(Step::Evaluate));
    w.settle();
    w.click("Confidence");
    let bin = w
        .texts()
        .into_iter()
        .rfind(|t| [" % sure", " % sicher"].iter().any(|e| t.ends_with(e)))
        .unwrap();
    w.click(&bin);
    for _ in 0..3 {
        scroll(&mut w, 640.0);
    }
    take(&mut w, shots, &format!("{tag}-10-bin"));
    w.harness.state_mut().state.apply(Command::Go(Step::Export));
    w.settle();
    w.node(&w.said("Save sealed project…")).scroll_to_me();
    take(&mut w, shots, &format!("{tag}-10-seal"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("customers.zip.age");
    let bytes = sealed::seal(b"PK", &sealed::Lock::passphrase("word")).unwrap();
    std::fs::write(&path, bytes).unwrap();
    w.harness.state_mut().state.apply(Command::Open(path));
    w.settle();
    w.click("Passphrase");
    w.node(&w.said("Passphrase")).type_text("wrong");
    w.harness.run_steps(3);
    w.click("Open");
    take(&mut w, shots, &format!("{tag}-10-sealed"));
}

/// The same in German, whose words are longer.
#[test]
#[ignore = "makes pictures for people to look at"]
fn pictures_of_every_step_in_german() {
    let shots = &pictures();
    let german = Preferences { language: LanguageChoice::German, ..Default::default() };
    let light = Preferences { theme: ThemeChoice::Light, ..german.clone() };
    walk(shots, &light, "german-light-100");
    let dark = Preferences { theme: ThemeChoice::Dark, zoom: 2.0, ..german };
    walk(shots, &dark, "german-dark-200");
}

/// What lies below the first screenful: safeguards in Configure, groups in Train, sealing in Export.
fn safeguards(mut w: Window, shots: &Shots, tag: &str) {
    w.harness.state_mut().state.apply(Command::OpenSample("penguins".into()));
    w.settle();
    w.harness.state_mut().state.apply(Command::Go(Step::Configure));
    w.settle();
    w.click("Keep rows private");
    take(&mut w, shots, &format!("{tag}-8-safeguards"));
    w.click("Keep rows private");
    w.click("Start training");
    play(&w.run(), 3);
    w.run().send(Event::Groups {
        step: 20,
        column: "sex".into(),
        figure: "Accuracy".into(),
        groups: vec![("female".into(), 48, 0.8), ("male".into(), 51, 0.77)],
    });
    w.run().send(Event::Groups {
        step: 60,
        column: "sex".into(),
        figure: "Accuracy".into(),
        groups: vec![("female".into(), 48, 0.93), ("male".into(), 51, 0.91)],
    });
    w.settle();
    take(&mut w, shots, &format!("{tag}-8-groups"));
    finish(&w.run(), StopReason::Completed);
    w.settle();
    w.harness.state_mut().state.apply(Command::Go(Step::Export));
    w.settle();
    take(&mut w, shots, &format!("{tag}-8-export"));
}

/// The Monitor step: empty, running, failed, drifted, and with nothing to do.
pub fn watching(mut w: Window, shots: &Shots, tag: &str) {
    w.harness.state_mut().state.apply(Command::OpenSample("penguins".into()));
    w.settle();
    w.harness.state_mut().state.apply(Command::Train);
    w.settle();
    play(&w.run(), 3);
    finish(&w.run(), StopReason::Completed);
    w.settle();
    w.harness.state_mut().state.apply(Command::Go(Step::Monitor));
    w.settle();
    take(&mut w, shots, &format!("{tag}-9-monitor-empty"));
    let check = |w: &mut Window, name: &str| {
        let check = MonitorCommand::Check(format!("/tmp/{name}.csv").into());
        w.harness.state_mut().state.apply(Command::Monitor(check));
        w.settle();
    };
    w.script.hold_monitor.store(true, Relaxed);
    check(&mut w, "june");
    take(&mut w, shots, &format!("{tag}-9-monitor-running"));
    w.script.hold_monitor.store(false, Relaxed);
    w.settle();
    take(&mut w, shots, &format!("{tag}-9-monitor"));
    for part in ["columns", "rows", "time", "history"] {
        scroll(&mut w, 640.0);
        take(&mut w, shots, &format!("{tag}-9-monitor-{part}"));
    }
    check(&mut w, "same");
    take(&mut w, shots, &format!("{tag}-9-monitor-same"));
    *w.script.fail_monitor.lock().unwrap() =
        Some(error("A row has more fields than the header", "Look for a stray comma.", 17));
    check(&mut w, "broken");
    take(&mut w, shots, &format!("{tag}-9-monitor-failed"));
}

#[test]
#[ignore = "makes pictures for people to look at"]
fn pictures_of_watching() {
    let shots = &pictures();
    for (theme, name) in [(ThemeChoice::Light, "light"), (ThemeChoice::Dark, "dark")] {
        for zoom in [1.0, 2.0] {
            let tag = format!("{name}-{}", (zoom * 100.0) as u32);
            let w = Window::with([1280.0, 800.0], Arc::new(Script::default()), |store| {
                store.save(&Preferences { theme, zoom, ..Default::default() }).unwrap();
            });
            watching(w, shots, &tag);
        }
    }
}

pub fn walk(shots: &Shots, wanted: &Preferences, tag: &str) {
    let script = Arc::new(Script::default());
    let birds = std::path::PathBuf::from("/home/ada/birds");
    script.saved.lock().unwrap().insert(birds.clone(), project("Garden birds", "birds.csv"));
    let garden = Project { folder: birds.clone(), ..project("Garden birds", "birds.csv") };
    script.interrupted.lock().unwrap().push(interrupted(&garden));
    script.findings.lock().unwrap().extend([
        finding(Severity::Warning, "11 rows are exact copies of others", "Copies in training and test rows make the result look better than it is. Remove them from the file.", &[], &[3, 60, 117]),
        finding(Severity::Info, "\"bill_length_mm\" has 7 missing values (2 %)", "They are filled with the mean of the training rows.", &["bill_length_mm"], &[3, 60]),
    ]);
    let prefs = |recent: bool| {
        let (birds, wanted) = (birds.clone(), wanted.clone());
        move |store: &fp8_studio::app::Store| {
            let mut prefs = wanted;
            if recent {
                prefs.remember(&birds, "Garden birds");
            }
            store.save(&prefs).unwrap();
        }
    };
    let mut w = Window::with([1280.0, 800.0], Arc::clone(&script), prefs(false));
    take(&mut w, shots, &format!("{tag}-1-home"));
    script.hold_open.store(true, Relaxed);
    w.harness.state_mut().state.apply(Command::OpenSample("penguins".into()));
    w.settle();
    take(&mut w, shots, &format!("{tag}-2-data-loading"));
    script.hold_open.store(false, Relaxed);
    w.settle();
    take(&mut w, shots, &format!("{tag}-2-data"));
    w.click("Rows");
    take(&mut w, shots, &format!("{tag}-2-data-rows"));
    w.click("Next: Check");
    w.click_first("Show details");
    take(&mut w, shots, &format!("{tag}-3-check"));
    w.click("Next: Configure");
    take(&mut w, shots, &format!("{tag}-4-configure"));
    scroll(&mut w, 900.0);
    take(&mut w, shots, &format!("{tag}-4-configure-below"));
    w.click("Start training");
    take(&mut w, shots, &format!("{tag}-5-train-preparing"));
    play(&w.run(), 17);
    w.settle();
    take(&mut w, shots, &format!("{tag}-5-train-running"));
    insight(&w.run());
    w.settle();
    take(&mut w, shots, &format!("{tag}-5-train-watched"));
    for part in ["guard", "tensors", "memory"] {
        scroll(&mut w, 640.0);
        take(&mut w, shots, &format!("{tag}-5-train-watched-{part}"));
    }
    let rest = w.run();
    go_on(&rest, 18, 30);
    for epoch in 1..=30u64 {
        let at = 0.95 - 0.5 / epoch as f64;
        rest.send(Event::Groups {
            step: epoch * 20,
            column: "sex".into(),
            figure: "Accuracy".into(),
            groups: vec![("female".into(), 48, at), ("male".into(), 51, at - 0.03)],
        });
    }
    finish(&rest, StopReason::Completed);
    w.settle();
    take(&mut w, shots, &format!("{tag}-5-train-done"));
    w.click("Next: Evaluate");
    take(&mut w, shots, &format!("{tag}-6-evaluate"));
    for tab in ["Mistakes", "Groups", "Confidence", "Robustness", "Privacy", "FP8"] {
        w.click(tab);
        take(&mut w, shots, &format!("{tag}-6-evaluate-{}", tab.to_lowercase()));
    }
    w.click("Compare now");
    take(&mut w, shots, &format!("{tag}-6-evaluate-fp8-done"));
    w.click("Next: Export");
    take(&mut w, shots, &format!("{tag}-7-export"));
    script.picks.lock().unwrap().insert("export", "/home/ada/penguins.safetensors".into());
    w.click("Save model file…");
    take(&mut w, shots, &format!("{tag}-7-export-done"));
    let [name, term] = ["For small devices", "ONNX, 8-bit integers"].map(|t| w.said(t));
    w.click(&format!("{name} ({term})"));
    take(&mut w, shots, &format!("{tag}-7-export-int8"));
    w.click("Save model file…");
    take(&mut w, shots, &format!("{tag}-7-export-int8-done"));
    w.harness.state_mut().state.apply(Command::Go(Step::Configure));
    w.settle();
    w.click("Fast");
    w.click("Train again");
    play(&w.run(), 3);
    w.run().send(Event::Failed(UserError::new(
        "Training diverged at step 61",
        "The learning rate is too large for this data. Try a tenth of it.",
    )));
    w.settle();
    take(&mut w, shots, &format!("{tag}-5-train-failed"));
    w.harness.state_mut().state.apply(Command::Open("/home/ada/broken.csv".into()));
    w.settle();
    take(&mut w, shots, &format!("{tag}-2-data-failed"));
    w.harness.state_mut().state.apply(Command::Open("/home/ada/digits".into()));
    w.settle();
    take(&mut w, shots, &format!("{tag}-2-data-images"));
    w.harness.state_mut().state.apply(Command::Go(Step::Configure));
    w.settle();
    take(&mut w, shots, &format!("{tag}-4-configure-pictures"));
    let tall = Window::with([1280.0, 2600.0], Arc::clone(&script), prefs(false));
    safeguards(tall, shots, tag);
    let mut w = Window::with([1280.0, 800.0], script, prefs(true));
    take(&mut w, shots, &format!("{tag}-1-home-recent"));
    more(shots, wanted, tag);
}

/// Runs, trying the model, and what opens over the window.
fn more(shots: &Shots, wanted: &Preferences, tag: &str) {
    let script = Arc::new(Script::default());
    script.history.lock().unwrap().extend(runs());
    script.past.lock().unwrap().extend(epochs(30, 0.02));
    let mut w = Window::with([1280.0, 800.0], script, |store| {
        store.save(wanted).unwrap();
    });
    w.click("Open sample Penguins");
    w.harness.state_mut().state.apply(Command::Go(Step::Train));
    w.settle();
    take(&mut w, shots, &format!("{tag}-8-run-opened"));
    w.click("All runs (4)");
    take(&mut w, shots, &format!("{tag}-8-runs"));
    for name in ["mx fast", "Careful one", "2025-03-01 10-20-00"] {
        w.click(&fp8_studio::tr!("Compare {name}", name));
    }
    w.node(&w.said("Also what is the same in all")).scroll_to_me();
    take(&mut w, shots, &format!("{tag}-8-runs-compared"));
    w.node(&fp8_studio::tr!("Queue {count} runs", count = 9)).scroll_to_me();
    take(&mut w, shots, &format!("{tag}-8-runs-sweep"));
    w.harness.state_mut().state.apply(Command::Go(Step::Evaluate));
    w.settle();
    w.click("Try it");
    take(&mut w, shots, &format!("{tag}-9-try-it"));
    w.click("Take a test row");
    w.settle();
    let keys = |w: &mut Window, key| {
        w.harness.key_press_modifiers(egui::Modifiers::COMMAND, key);
        w.harness.run_steps(6);
    };
    keys(&mut w, egui::Key::K);
    take(&mut w, shots, &format!("{tag}-9-palette"));
    w.harness.key_press(egui::Key::Escape);
    w.harness.run_steps(4);
    w.harness.key_press(egui::Key::F1);
    w.harness.run_steps(6);
    take(&mut w, shots, &format!("{tag}-9-glossary"));
    w.harness.key_press(egui::Key::Escape);
    w.harness.run_steps(4);
    keys(&mut w, egui::Key::Slash);
    take(&mut w, shots, &format!("{tag}-9-shortcuts"));
    w.harness.key_press(egui::Key::Escape);
    w.harness.run_steps(4);
    keys(&mut w, egui::Key::P);
    take(&mut w, shots, &format!("{tag}-9-playground"));
    w.harness.query_all_by_label(&w.said("Scale of the tensor")).next().unwrap().scroll_to_me();
    take(&mut w, shots, &format!("{tag}-9-playground-tensor"));
    w.harness.key_press(egui::Key::Escape);
    w.harness.run_steps(4);
    w.click("Help");
    take(&mut w, shots, &format!("{tag}-9-help"));
    w.click("Take the tour");
    for _ in 0..5 {
        w.click("Next");
    }
    take(&mut w, shots, &format!("{tag}-9-tour"));
    w.click("End the tour");
    w.harness.state_mut().state.apply(Command::Open("/home/ada/digits".into()));
    w.settle();
    w.harness.state_mut().state.apply(Command::Train);
    w.settle();
    play(&w.run(), 2);
    finish(&w.run(), StopReason::Completed);
    w.settle();
    w.click("Next: Evaluate");
    w.click("Try it");
    w.click("Take a test picture");
    take(&mut w, shots, &format!("{tag}-9-try-it-picture"));
}

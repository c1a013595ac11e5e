//! Every step in every state: empty, loading, failed, running, done; and every control has a name.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use egui_kittest::Harness;
use egui_kittest::kittest::NodeT;
use fp8_studio::app::{Command, MonitorCommand, Preferences, Step, ThemeChoice, Workspace};
use fp8_studio::error::UserError;
use fp8_studio::export::{ExportFormat, Variant};
use fp8_studio::project::Project;
use fp8_studio::quality::{Finding, Severity};
use fp8_studio::train::{Architecture, Control, Event, RunState, StopReason};

use super::ui_support::{
    Script, Window, action, error, finish, insight, interrupted, play, project, scores,
};

#[test]
fn home_without_a_past() {
    let w = Window::new();
    w.see("Projects that you open will be listed here.");
    let locked = w.node("Step 2: Data");
    assert!(locked.accesskit_node().is_disabled());
    assert_eq!(
        locked.accesskit_node().description().as_deref(),
        Some("Open a sample or a file first.")
    );
}

#[test]
fn home_with_recent_projects_and_an_interrupted_run() {
    let script = Arc::new(Script::default());
    let folder = PathBuf::from("/projects/birds");
    script.saved.lock().unwrap().insert(folder.clone(), project("Birds", "birds.csv"));
    let birds = Project { folder: folder.clone(), ..project("Birds", "birds.csv") };
    script.interrupted.lock().unwrap().push(interrupted(&birds));
    script.past.lock().unwrap().push(Event::Epoch {
        epoch: 3,
        step: 60,
        train_loss: 0.5,
        validation: scores(0.6, 0.8),
        best: true,
    });
    let mut w = Window::with([1280.0, 800.0], script, |store| {
        let mut prefs = Preferences { theme: ThemeChoice::Dark, ..Default::default() };
        prefs.remember(&folder, "Birds");
        store.save(&prefs).unwrap();
    });
    w.see("Training of Birds was cut off");
    w.see("2025-03-01 10:20 UTC");
    w.click("Resume");
    let run = w.run();
    assert!(run.job.resume);
    assert_eq!(run.job.folder, folder.join("runs/1"));
    assert_eq!(w.harness.state().state.step, Step::Train);
    assert!(w.harness.state().state.interrupted.is_empty());
    assert_eq!(w.harness.state().state.run().unwrap().best.unwrap().epoch, 3);
}

#[test]
fn data_while_loading_can_be_cancelled() {
    let script = Arc::new(Script::default());
    script.hold_open.store(true, Relaxed);
    let mut w = Window::with([1280.0, 800.0], Arc::clone(&script), |_| {});
    w.click("Open sample Penguins");
    w.see("Opening Penguins…");
    w.click("Cancel");
    script.hold_open.store(false, Relaxed);
    w.settle();
    assert_eq!(w.harness.state().state.step, Step::Home);
}

#[test]
fn data_that_cannot_be_read_says_where_and_what_to_do() {
    let mut w = Window::new();
    w.script.picks.lock().unwrap().insert("file", "/tmp/broken.csv".into());
    w.click("Open file…");
    w.see("A row has more fields than the header");
    w.see("row 17");
    w.see("Look for a stray comma.");
    w.see("Try again");
    w.script.picks.lock().unwrap().insert("file", "/tmp/fine.csv".into());
    w.click("Open another file…");
    w.see("Your data");
}

#[test]
fn images_are_shown_as_images() {
    let mut w = Window::new();
    w.script.picks.lock().unwrap().insert("folder", "/tmp/digits".into());
    w.click("Open folder…");
    w.see("28 × 28");
    w.see("Example of digit 2");
    w.click("Next: Check");
    w.click("Next: Configure");
    w.see("How should it train?");
    // Pictures get a convolutional network, which another click changes, length and all.
    let config = |w: &Window| match &w.harness.state().state.workspace {
        Workspace::Open(project) => project.project.train.clone(),
        _ => panic!("no project is open"),
    };
    w.see("Which kind of network?");
    w.see("More from each picture");
    let before = config(&w);
    assert_eq!(before.architecture, Architecture::SmallCnn);
    w.click("Plain (multi-layer perceptron (MLP))");
    let plain = config(&w);
    assert_eq!(plain.architecture, Architecture::Mlp);
    assert_ne!(plain.epochs, before.epochs);
    w.click("Looks for small patterns (small convolutional network (CNN))");
    assert_eq!(config(&w), before);
}

#[test]
fn tables_have_no_choice_of_network() {
    let mut w = Window::new();
    w.click("Open sample Penguins");
    w.click("Next: Check");
    w.click("Next: Configure");
    assert!(!w.has("Which kind of network?") && !w.has("More from each picture"));
}

#[test]
fn rows_are_drawn_only_where_they_can_be_seen() {
    let mut w = Window::new();
    w.click("Open sample Penguins");
    w.click("Rows");
    w.see("Torgersen");
    let drawn = w.texts().len();
    assert!(drawn < 400, "{drawn} texts for 344 rows of 7 columns");
}

#[test]
fn wrong_settings_are_named_and_block_training() {
    let mut w = Window::new();
    w.click("Open sample Penguins");
    w.click("Next: Check");
    w.click("Next: Configure");
    let field = w.node("Size of each learning step");
    field.focus();
    w.harness.run_steps(2);
    w.harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::A);
    w.node("Size of each learning step").type_text("0");
    w.settle();
    w.see("A number above 0, usually");
    let start = w.node("Start training");
    assert!(start.accesskit_node().is_disabled());
    assert_eq!(
        start.accesskit_node().description().as_deref(),
        Some("A setting in Configure is out of range.")
    );
    w.click("Undo: the learning rate");
    assert!(!w.node("Start training").accesskit_node().is_disabled());
}

#[test]
fn a_run_that_cannot_start_says_why() {
    let mut w = Window::new();
    *w.script.fail_start.lock().unwrap() =
        Some(UserError::new("No usable GPU", "Choose the CPU engine; it needs no GPU."));
    w.click("Open sample Penguins");
    w.click("Next: Check");
    w.click("Next: Configure");
    w.click("Start training");
    w.see("No usable GPU");
    w.see("Choose the CPU engine");
    w.click("Dismiss");
    assert!(!w.has("No usable GPU"));
}

/// A run of the penguins that has told what it found out about itself.
fn watched() -> Window {
    let mut w = Window::new();
    w.click("Open sample Penguins");
    w.click("Next: Check");
    w.click("Next: Configure");
    w.click("Start training");
    let run = w.run();
    play(&run, 17);
    insight(&run);
    w.settle();
    w
}

#[test]
fn a_watched_run_shows_what_it_finds_out_and_lets_actions_be_undone() {
    let mut w = watched();
    w.see("One tensor needs a look");
    w.see("12 % of the values of dense2.input were too large");
    w.see("the guard rails gave it 4× headroom.");
    w.see("Gap of the training loss");
    w.see("Cosine to f32");
    w.see("0.9971");
    w.see("This tensor in other recipes");
    w.see("mx E4M3 (loses least)");
    w.see("current E4M3 (in use)");
    w.see("Optimiser moments");
    w.see("80.0 kB");
    w.see("Whole program at its peak");
    // The plots say aloud when the guard rails acted.
    w.see("at 3.00 guard rails: dense2.input");
    let undo = "Undo: 4× headroom for dense2.input";
    w.click(undo);
    let run = w.run();
    assert_eq!(run.controls.try_recv(), Ok(Control::UndoGuard(1)));
    assert!(w.node("Undo: the wider format E5M2 for dense2.input").accesskit_node().is_disabled());
    run.send(Event::Guard { step: 340, action: action(1, true) });
    w.settle();
    assert!(!w.has(undo));
    w.see("taken back");
    w.see("4× headroom was taken back");
    assert!(!w.node("Undo: the wider format E5M2 for dense2.input").accesskit_node().is_disabled());
    finish(&run, StopReason::Completed);
    w.settle();
    w.see("+0.20 % (within the 0.25 % band)");
    assert!(w.node("Undo: the wider format E5M2 for dense2.input").accesskit_node().is_disabled());
}

#[test]
fn configure_shows_what_training_takes_and_proposes_a_batch() {
    let script = Arc::new(Script::default());
    let mut w = Window::with([1280.0, 800.0], Arc::clone(&script), |_| {});
    w.click("Open sample Penguins");
    w.click("Next: Check");
    w.click("Next: Configure");
    w.see("What it takes");
    w.see("≈ 1.2 s at most");
    w.see("Optimiser moments: ");
    let config = |w: &Window| match &w.harness.state().state.workspace {
        Workspace::Open(project) => project.project.train.clone(),
        _ => panic!("no project is open"),
    };
    assert!(config(&w).guard_rails && !config(&w).shadow);
    w.click("Help tensors in trouble");
    w.click("Train the same in 32 bits beside it");
    assert!(!config(&w).guard_rails && config(&w).shadow);
    // Another machine: only a smaller batch fits.
    *script.free.lock().unwrap() = Some(450_000);
    w.click("Help tensors in trouble");
    w.see("This does not fit in memory");
    let before = config(&w).batch_size;
    let button = w.texts().into_iter().find(|t| t.starts_with("Use ") && t.ends_with(" rows"));
    w.click(&button.expect("a batch is proposed"));
    assert!(config(&w).batch_size < before);
    assert!(!w.has("This does not fit in memory"));
    *script.fail_estimate.lock().unwrap() =
        Some(UserError::new("No usable GPU", "Choose the CPU engine; it needs no GPU."));
    w.click("Help tensors in trouble");
    w.see("No usable GPU.");
}

#[test]
fn a_failed_run_shows_its_diagnosis() {
    let mut w = Window::new();
    w.click("Open sample Penguins");
    w.click("Next: Check");
    w.click("Next: Configure");
    w.click("Start training");
    let run = w.run();
    play(&run, 4);
    run.send(Event::Failed(UserError::new(
        "Training diverged at step 88",
        "The learning rate is too large for this data. Try a tenth of it.",
    )));
    w.settle();
    w.see("Training diverged at step 88.");
    w.see("Try a tenth of it.");
    w.see("Step 5: Train, needs a look");
    w.see("Train again");
}

#[test]
fn a_cancelled_run_can_be_started_again() {
    let mut w = Window::new();
    w.click("Open sample Penguins");
    w.click("Next: Check");
    w.click("Next: Configure");
    w.click("Start training");
    w.run().send(Event::State(RunState::Cancelled));
    w.settle();
    w.see("Training was cancelled");
    w.click("Train again");
    assert_eq!(w.script.runs.lock().unwrap().len(), 2);
}

#[test]
fn a_failed_export_says_why_and_can_be_tried_again() {
    let mut w = Window::new();
    trained(&mut w);
    *w.script.fail_export.lock().unwrap() = Some(error("The disk is full", "Free some space.", 1));
    w.script.picks.lock().unwrap().insert("export", "/tmp/x.safetensors".into());
    w.click("Save model file…");
    w.see("The disk is full");
    w.see("Free some space.");
    *w.script.fail_export.lock().unwrap() = None;
    w.click("Save model file…");
    w.see("How to use it");
}

#[test]
fn the_chosen_format_is_written_and_what_it_changes_is_said() {
    let mut w = Window::new();
    trained(&mut w);
    w.script.picks.lock().unwrap().insert("export", "/tmp/x.onnx".into());
    w.click("For your own software (ONNX, 8 bits)");
    w.see("Other programs need onnxruntime 1.19 or newer");
    w.click("Save model file…");
    w.see("See what goes in and out with Python");
    w.click("For small devices (ONNX, 8-bit integers)");
    w.click("Save model file…");
    w.see("68 of 69 rows");
    let formats = w.script.formats.lock().unwrap().clone();
    let wanted = [Variant::Portable, Variant::Int8].map(ExportFormat::Onnx);
    assert_eq!(formats, wanted);
}

fn trained(w: &mut Window) {
    w.click("Open sample Penguins");
    w.click("Next: Check");
    w.click("Next: Configure");
    w.click("Start training");
    play(&w.run(), 30);
    finish(&w.run(), StopReason::Completed);
    w.settle();
    w.click("Next: Evaluate");
    w.click("Next: Export");
}

#[test]
fn serious_findings_block_training_until_accepted() {
    let script = Arc::new(Script::default());
    script.findings.lock().unwrap().push(Finding {
        check: "planted",
        severity: Severity::High,
        title: "The column \"island\" gives the answer away".into(),
        advice: "Set its type to Ignore.".into(),
        columns: vec!["island".into()],
        rows: vec![0, 3],
        row_count: 2,
        sampled: None,
        value: Some(0.99),
        threshold: Some(0.95),
        definition: "A planted finding.",
    });
    let mut w = Window::with([1280.0, 800.0], script, |_| {});
    w.click("Open sample Penguins");
    w.see("Step 3: Check, needs a look");
    w.click("Next: Check");
    w.see("gives the answer away");
    w.see("Set its type to Ignore.");
    w.click_first("Show details");
    w.see("A planted finding.");
    w.see("0.95");
    w.click("Next: Configure");
    assert!(w.node("Start training").accesskit_node().is_disabled());
    w.see("Check found serious problems. Fix or accept them.");
    w.click("Step 3: Check, needs a look");
    assert!(w.node("Accept and go on").accesskit_node().is_disabled(), "without a reason");
    let field = "Why they do no harm here";
    w.node(field).focus();
    w.settle();
    w.node(field).type_text("The island is known beforehand.");
    w.settle();
    w.click("Accept and go on");
    w.see("accepted: The island is known beforehand.");
    w.click("Next: Configure");
    w.click("Start training");
    assert_eq!(w.script.runs.lock().unwrap().len(), 1);
}

#[test]
fn preferences_outlive_the_window() {
    let mut w = Window::new();
    w.click("Larger");
    w.click("Colours: as the system. Press for light");
    w.harness.state_mut().state.save_now();
    let prefs = &w.harness.state().state.prefs;
    assert_eq!(prefs.theme, ThemeChoice::Light);
    assert!((prefs.zoom - 1.1).abs() < 1e-6);
    assert!((w.harness.ctx.zoom_factor() - 1.1).abs() < 1e-6);
}

/// Every control that can be acted on has a name.
fn unnamed(harness: &Harness<'_, impl Sized>) -> Vec<String> {
    harness.unnamed_widgets()
}

#[test]
fn every_control_has_a_name_on_every_step() {
    let mut w = Window::new();
    assert_eq!(unnamed(&w.harness), [""; 0]);
    trained(&mut w);
    for step in Step::ALL {
        w.harness.state_mut().state.apply(Command::Go(step));
        w.settle();
        let controls = w
            .harness
            .root()
            .children_recursive()
            .filter(|n| n.accesskit_node().role() == egui::Role::Button)
            .count();
        assert!(controls > 5, "{controls} buttons in {}", step.name());
        assert_eq!(unnamed(&w.harness), [""; 0], "{}", step.name());
    }
}

#[test]
fn the_name_check_finds_a_planted_nameless_control() {
    let mut text = String::new();
    let mut harness = Harness::builder().with_accessibility_check(false).build_ui(move |ui| {
        ui.text_edit_singleline(&mut text);
        ui.add(egui::DragValue::new(&mut 3));
        let _ = ui.button("named");
    });
    harness.run_steps(2);
    assert_eq!(unnamed(&harness).len(), 2);
}

#[test]
fn safeguards_are_chosen_in_configure_and_a_passphrase_in_export() {
    let mut w = Window::sized([1280.0, 2400.0]);
    w.harness.state_mut().state.apply(Command::OpenSample("penguins".into()));
    w.settle();
    w.harness.state_mut().state.apply(Command::Go(Step::Configure));
    w.settle();
    let private = |w: &Window| {
        let Workspace::Open(project) = &w.harness.state().state.workspace else { unreachable!() };
        project.project.train.private
    };
    assert_eq!(private(&w), None);
    w.click("Keep rows private");
    let chosen = private(&w).expect("private training is on");
    assert_eq!(chosen.epsilon, 3.0);
    w.see("at δ =");
    w.see("Weigh groups alike");
    w.see("Watch groups while it trains");
    assert_eq!(unnamed(&w.harness), [""; 0]);
    w.click("Keep rows private");
    assert_eq!(private(&w), None);
    let mut w = Window::sized([1280.0, 2400.0]);
    trained(&mut w);
    w.see("Seal it with a passphrase");
    assert_eq!(unnamed(&w.harness), [""; 0]);
    let secret = fp8_studio::export::sealed::Secret("word".into());
    assert!(!format!("{secret:?}").contains("word"));
    w.harness.state_mut().state.apply(Command::SetExportPassphrase(secret));
    w.settle();
    w.see("The name gets the ending .age");
}

#[test]
fn a_model_is_judged_in_every_state() {
    let mut w = Window::new();
    let planted = UserError::new("The test rows cannot be read", "Open the data again.");
    *w.script.fail_evaluation.lock().unwrap() = Some(planted);
    trained(&mut w);
    w.click("Step 6: Evaluate, needs a look");
    w.see("The model could not be judged");
    w.see("Open the data again.");
    *w.script.fail_evaluation.lock().unwrap() = None;
    w.click("Try again");
    w.see("Of 100 new rows, it gets about 88 right");
    w.see("clearly better than simple answers");
    w.click("Mistakes");
    let cell = w.texts().into_iter().find(|t| t.starts_with("Truly Adelie, called Chinstrap"));
    let cell = cell.expect("no cell of the confusion matrix");
    w.click(&cell);
    w.see("Answered");
    w.click("Groups");
    w.see("Demographic parity difference");
    w.click("Confidence");
    w.see("With isotonic regression");
    w.click("Robustness");
    w.see("Letting a person look");
    w.see("typing errors in 5 % of words");
    w.click("Privacy");
    w.see("Risk that training rows are recognised: not known");
    w.see("Can rows of the training be recognised?");
    w.see("Against copying the model");
    w.click("FP8");
    *w.script.fail_comparison.lock().unwrap() = Some(UserError::new("No space left", ""));
    w.click("Compare now");
    w.see("No space left");
    *w.script.fail_comparison.lock().unwrap() = None;
    w.click("Compare again");
    w.see("FP8 is slower on this machine");
    w.see("f32 → int8");
    w.see("An hour of cloud CPU");
    w.script.picks.lock().unwrap().insert("report", "/tmp/r.html".into());
    w.click("Save report…");
    assert_eq!(*w.script.reports.lock().unwrap(), [PathBuf::from("/tmp/r.html")]);
}

#[test]
fn new_data_are_checked_in_every_state() {
    let mut w = Window::sized([1280.0, 2400.0]);
    assert!(w.node("Step 8: Monitor").accesskit_node().is_disabled());
    trained(&mut w);
    w.click("Step 8: Monitor");
    // Empty.
    w.see("Is your model still right?");
    assert_eq!(unnamed(&w.harness), [""; 0]);
    // Failed.
    let planted = UserError::new("None of the model's columns is in this data", "Choose others.");
    *w.script.fail_monitor.lock().unwrap() = Some(planted);
    w.script.picks.lock().unwrap().insert("new", "/tmp/june.csv".into());
    w.click("Check new data…");
    w.see("The new data could not be checked");
    w.see("Choose others.");
    w.see("Choose other data…");
    w.see("Step 8: Monitor, needs a look");
    *w.script.fail_monitor.lock().unwrap() = None;
    // Running, and cancelled.
    w.script.hold_monitor.store(true, Relaxed);
    w.click("Try again");
    w.see("Comparing the new data with the training…");
    w.see("35 %");
    w.see("Step 8: Monitor, working");
    w.click("Cancel");
    w.script.hold_monitor.store(false, Relaxed);
    w.settle();
    w.see("Is your model still right?");
    assert!(!w.has("What was noticed"));
    // Done.
    w.click("Check new data…");
    w.see("Train again");
    w.see("It began at row 172.");
    w.see("Accuracy went from 98.55 % at training");
    w.see("2 of 5");
    w.see("The largest change lies at row 172, in body_mass_g, island.");
    // The worst column is open; another one shows its own rows.
    w.see("Rows where it shows: 170");
    w.click("Show column island");
    w.see("Not seen in training: Atlantis (130)");
    w.see("Biscoe: training 49");
    w.click("Show column bill_length_mm");
    w.see("middle value 44.5 → 44.7");
    assert_eq!(unnamed(&w.harness), [""; 0]);
    // A threshold is an edit like any other.
    let triggers = fp8_studio::monitor::Triggers { score_drop: 0.2, ..Default::default() };
    w.harness.state_mut().state.apply(Command::Monitor(MonitorCommand::Triggers(triggers)));
    w.settle();
    let kept = |w: &Window| w.harness.state().state.project().unwrap().project.monitor;
    assert_eq!(kept(&w), triggers);
    w.click("Back to the usual");
    assert!(kept(&w).is_default());
    // A second check with the same data as in training, and both are in the history.
    w.script.picks.lock().unwrap().insert("new", "/tmp/same.csv".into());
    w.click("Check new data…");
    w.see("Nothing to do");
    w.see("Step 8: Monitor, done");
    w.see("Checks so far");
    w.see("Over the checks");
    w.see("june");
    w.script.picks.lock().unwrap().insert("plot", "/tmp/monitor-of-the-tests.html".into());
    w.click("Save report…");
    let page = std::fs::read_to_string("/tmp/monitor-of-the-tests.html").unwrap();
    assert!(page.contains("Nothing to do"));
}

#[test]
fn a_log_that_was_changed_is_told_on_the_monitor_step() {
    let mut w = Window::new();
    let planted = UserError::new("This is not a usable project: line 2 was changed", "");
    *w.script.fail_checks.lock().unwrap() = Some(planted);
    trained(&mut w);
    w.click("Step 8: Monitor");
    w.see("line 2 was changed");
    w.see("Check a file…");
}

//! All runs: listed, compared, noted, deleted and brought back; queues and sweeps; trying the model.

use std::path::Path;
use std::sync::Arc;

use egui_kittest::kittest::NodeT;
use fp8_studio::app::{Command, PrecisionChoice, RunCommand, Step, history};
use fp8_studio::deploy::Input;
use fp8_studio::error::UserError;
use fp8_studio::train::{Event, RunNotes, RunState, StopReason};

use super::ui_support::{Script, Window, epochs, finish, past, play};

fn window() -> Window {
    let script = Arc::new(Script::default());
    script.history.lock().unwrap().extend([
        past("b", 3e-3, PrecisionChoice::Mx, 0.93),
        past("a", 1e-3, PrecisionChoice::Full, 0.98),
    ]);
    let mut w = Window::with([1280.0, 800.0], script, |_| {});
    w.click("Open sample Penguins");
    w.harness.state_mut().state.apply(Command::Go(Step::Train));
    w.settle();
    w
}

#[test]
fn the_newest_run_is_there_again_when_a_project_is_opened() {
    let mut w = window();
    let run = w.harness.state().state.run().unwrap();
    assert!(run.folder.ends_with("runs/b"));
    assert_eq!(run.state, RunState::Done);
    assert_eq!(run.validation_loss.len(), 30);
    w.see("Of 100 new rows, it gets about 93 right.");
    // Its settings are not those of the project.
    w.see("This result is out of date");
    w.click("Step 6: Evaluate, out of date");
    w.see("Can you trust it?");
}

#[test]
fn runs_are_compared() {
    let mut w = window();
    w.script.past.lock().unwrap().extend(epochs(30, 0.0));
    w.click("All runs (2)");
    assert!(!w.has("Side by side"));
    w.click("Compare b");
    w.click("Compare a");
    w.see("Side by side");
    w.see("Validation loss over epoch; b");
    w.see("Accuracy, test");
    w.see("98.00 %");
    w.see("0.003");
    assert!(!w.has("Batch size"), "what is the same is left out");
    w.click("Also what is the same in all");
    w.see("Batch size");
    let curves = &w.harness.state().state.project().unwrap().history.curves;
    assert_eq!(curves.len(), 2);
}

#[test]
fn notes_and_stars_are_kept_and_found() {
    let mut w = window();
    w.click("All runs (2)");
    w.click("Mark b as a favourite");
    w.click("Name, tags and note of b");
    for (field, text) in [("Name", "Spring"), ("Tags", "good, small"), ("Note", "Look at this.")] {
        w.node(field).focus();
        w.harness.run_steps(2);
        w.node(field).type_text(text);
        w.settle();
    }
    w.click("Save notes");
    let notes = RunNotes {
        name: "Spring".into(),
        tags: vec!["good".into(), "small".into()],
        note: "Look at this.".into(),
        favourite: true,
    };
    assert_eq!(w.script.history.lock().unwrap()[0].notes, notes);
    w.see("Look at this.");
    w.node("Find a run").focus();
    w.harness.run_steps(2);
    w.node("Find a run").type_text("small");
    w.settle();
    w.see("Spring");
    assert!(!w.has("Delete a"), "the other run does not match");
}

#[test]
fn deleting_can_be_undone() {
    let mut w = window();
    w.click("All runs (2)");
    w.click("Delete a");
    w.see("Run a is deleted");
    w.see("All runs (1)");
    w.click("Undo delete");
    w.see("All runs (2)");
    assert!(!w.has("is deleted"));
}

#[test]
fn settings_of_a_run_can_be_taken_over() {
    let mut w = window();
    w.click("All runs (2)");
    w.click("Use the settings of b");
    let config = &w.harness.state().state.project().unwrap().project.train;
    assert_eq!(config.learning_rate, 3e-3);
    assert_eq!(config.precision, PrecisionChoice::Mx.precision());
    w.click("Undo: settings of a run");
    assert_ne!(w.harness.state().state.project().unwrap().project.train.learning_rate, 3e-3);
}

#[test]
fn a_sweep_trains_every_pair_one_after_the_other() {
    let mut w = window();
    w.click("All runs (2)");
    w.click("Queue 9 runs");
    w.see("8 runs are waiting");
    assert_eq!(w.script.runs.lock().unwrap().len(), 1);
    let mut seen = Vec::new();
    for done in 1..=9 {
        let run = w.run();
        let config = &run.job.config;
        seen.push((config.learning_rate.to_bits(), PrecisionChoice::of(&config.precision)));
        play(&run, 2);
        // One that fails does not hold up the others.
        if done == 3 {
            run.send(Event::Failed(UserError::new("It diverged", "")));
        } else {
            finish(&run, StopReason::Completed);
        }
        w.settle();
        let expected = (done + 1).min(9);
        assert_eq!(w.script.runs.lock().unwrap().len(), expected, "after {done}");
    }
    let all = seen.len();
    seen.sort_by_key(|(rate, format)| (*rate, format.name().0));
    seen.dedup();
    assert_eq!((all, seen.len()), (9, 9));
    assert!(!w.has("waiting"));
}

#[test]
fn a_queue_can_be_emptied() {
    let mut w = window();
    w.click("All runs (2)");
    w.click("Queue 9 runs");
    let first = w.harness.state().state.project().unwrap().history.queue[0].clone();
    w.click(&format!("Take {} off the queue", first.notes.name));
    w.see("7 runs are waiting");
    w.click("Clear the queue");
    finish(&w.run(), StopReason::Completed);
    w.settle();
    assert_eq!(w.script.runs.lock().unwrap().len(), 1);
}

#[test]
fn too_many_waiting_runs_are_refused_in_words() {
    let mut w = window();
    let base = w.harness.state().state.project().unwrap().project.train.clone();
    let rates: Vec<f32> = (1..=120).map(|i| i as f32 * 1e-4).collect();
    let many = history::sweep(&base, &rates, &[PrecisionChoice::Full]);
    w.harness.state_mut().state.apply(Command::Runs(RunCommand::Queue(many)));
    w.settle();
    w.see("20 runs were left out");
}

#[test]
fn a_typed_row_is_answered_at_once() {
    let mut w = window();
    w.click("Step 6: Evaluate, out of date");
    w.click("Try it");
    w.see("Chinstrap");
    w.see("96.0 %");
    w.see("What mattered");
    w.see("+41.0 pts");
    let first = w.script.tried.lock().unwrap().len();
    assert_eq!(first, 1, "asked once for the typical row");
    let field = "bill_length_mm";
    w.node(field).focus();
    w.harness.run_steps(2);
    w.harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::A);
    w.node(field).type_text("50");
    w.settle();
    let tried = w.script.tried.lock().unwrap().last().cloned();
    let Some(Input::Row(cells)) = tried else { panic!("{tried:?}") };
    assert!(cells.contains(&(field.to_owned(), "50".to_owned())), "{cells:?}");
    assert!(!cells.iter().any(|(name, _)| name == "species"), "the target is not asked for");
    w.click("Take a test row");
    w.see("its true answer is");
    *w.script.fail_trial.lock().unwrap() =
        Some(UserError::new("The model is gone", "Train again."));
    w.click("Take a test row");
    w.see("The model is gone.");
    w.see("Train again.");
}

#[test]
fn a_picture_is_tried_from_a_file_or_the_data() {
    let mut w = Window::new();
    w.script.picks.lock().unwrap().insert("folder", "/tmp/digits".into());
    w.click("Open folder…");
    w.click("Next: Check");
    w.click("Next: Configure");
    w.click("Start training");
    finish(&w.run(), StopReason::Completed);
    w.settle();
    w.click("Next: Evaluate");
    w.click("Try it");
    w.see("It appears here.");
    w.script.picks.lock().unwrap().insert("picture", "/tmp/seven.png".into());
    w.click("Open picture…");
    w.see("digit 1");
    w.see("Where the answer hangs on the picture");
    w.click("Take a test picture");
    w.see("A picture of the test set");
    // Dropped on the window.
    let dropped = Path::new("/tmp/eight.PNG");
    let state = w.harness.state();
    let local = state.local();
    match fp8_studio::ui::screens::dropped(&state.state, local, dropped.to_owned()) {
        Command::Try(Input::Picture(path)) => assert_eq!(path, dropped),
        other => panic!("{other:?}"),
    }
    let tried = w.script.tried.lock().unwrap().clone();
    assert_eq!(tried[0], Input::Picture("/tmp/seven.png".into()));
    assert!(matches!(tried[1], Input::Sample(_)));
}

#[test]
fn while_training_every_other_run_stays_as_it_is() {
    let mut w = window();
    w.click("Train again");
    play(&w.run(), 2);
    w.settle();
    w.click("All runs (2)");
    let open = w.node("Open a: its curves, its evaluation, its export");
    let why = open.accesskit_node().description();
    assert_eq!(why.as_deref(), Some("Training is running. Stop it first."));
    assert!(w.harness.state().state.run().unwrap().active());
    let queue = w.node("Queue 9 runs");
    assert!(!queue.accesskit_node().is_disabled(), "runs can wait while one is trained");
}

//! Several projects at once, and what is there again after the program ends.

use std::path::Path;
use std::sync::Arc;

use egui_kittest::kittest::NodeT;
use fp8_studio::app::history::Queued;
use fp8_studio::app::prefs::WindowPlace;
use fp8_studio::app::tabs::MOST_OPEN;
use fp8_studio::app::{Command, RunCommand, Step};
use fp8_studio::train::{Control, RunNotes, StopReason};

use super::ui_support::{Script, Window, finish, play};

fn apply(w: &mut Window, command: Command) {
    w.harness.state_mut().state.apply(command);
    w.settle();
}

fn training_penguins() -> Window {
    let mut w = Window::new();
    w.click("Open sample Penguins");
    w.click("Next: Check");
    w.click("Next: Configure");
    w.click("Start training");
    play(&w.run(), 3);
    w.settle();
    w
}

fn name(w: &Window) -> String {
    w.harness.state().state.project().unwrap().project.name.clone()
}

#[test]
fn training_goes_on_while_another_project_is_in_view() {
    let mut w = training_penguins();
    let run = w.run();
    w.click("Open another project");
    w.click("Open sample German credit");
    assert_eq!(name(&w), "German credit");
    assert_eq!(w.harness.state().state.step, Step::Data);
    assert!(w.harness.state().state.run().is_none());
    w.see("Project Penguins, training");
    // Its close button says why it is blocked.
    let close = w.node("Close Penguins");
    assert!(close.accesskit_node().is_disabled());
    play(&run, 9);
    finish(&run, StopReason::Completed);
    w.settle();
    w.see("Penguins: Training is done");
    assert_eq!(name(&w), "German credit");
    // What happens in one project does not reach the other.
    w.click("Next: Check");
    w.click("Project Penguins");
    assert_eq!(name(&w), "Penguins");
    let state = &w.harness.state().state;
    assert_eq!(state.step, Step::Train);
    assert!(!state.run().unwrap().active() && state.run().unwrap().summary.is_some());
    w.click("Next: Evaluate");
    w.click("Mistakes");
    w.click("Project German credit");
    assert_eq!(w.harness.state().state.step, Step::Check);
    // Each keeps what was in view.
    w.click("Project Penguins");
    w.see("What is confused with what");
}

#[test]
fn a_run_out_of_view_hears_its_own_project_only() {
    let mut w = training_penguins();
    w.click("Open another project");
    w.click("Open sample Fashion");
    apply(&mut w, Command::Control(Control::Pause));
    assert!(w.run().controls.try_recv().is_err(), "a control reached a project out of view");
    w.click("Project Penguins, training, 10 %");
    w.click("Pause");
    assert!(matches!(w.run().controls.try_recv(), Ok(Control::Pause)));
}

#[test]
fn the_same_project_is_not_opened_twice() {
    let mut w = Window::new();
    w.click("Open sample Penguins");
    w.click("Step 1: Home");
    w.click("Open sample Penguins");
    assert_eq!(w.harness.state().state.tabs().len(), 1);
    assert_eq!(w.harness.state().state.step, Step::Data);
    w.click("Step 1: Home");
    w.click("Open sample Fashion");
    // By the path of its folder, too.
    apply(&mut w, Command::Open("/projects/penguins".into()));
    assert_eq!(w.harness.state().state.tabs().len(), 2);
    assert_eq!(name(&w), "Penguins");
}

#[test]
fn a_closed_project_is_saved_and_its_neighbour_comes_into_view() {
    let mut w = Window::new();
    w.click("Open sample Penguins");
    apply(&mut w, Command::SetTarget("island".into()));
    w.click("Step 1: Home");
    w.click("Open sample Fashion");
    w.click("Close Penguins");
    assert_eq!(name(&w), "Fashion");
    let saved = w.script.saved.lock().unwrap().get(Path::new("/projects/penguins")).cloned();
    assert_eq!(saved.unwrap().target.as_deref(), Some("island"));
    w.click("Close Fashion");
    assert_eq!(w.harness.state().state.step, Step::Home);
    assert!(w.harness.state().state.project().is_none());
    w.see("No project open");
}

#[test]
fn many_open_projects_are_a_menu_and_no_more_than_fit_in_memory() {
    let mut w = Window::new();
    for n in 0..=MOST_OPEN {
        apply(&mut w, Command::Open(format!("/tmp/table {n}.csv").into()));
    }
    assert_eq!(w.harness.state().state.tabs().len(), MOST_OPEN);
    w.see(&format!("{MOST_OPEN} projects are open"));
    assert_eq!(name(&w), format!("table {}", MOST_OPEN - 1));
    w.click(&format!("{MOST_OPEN} open projects"));
    w.click("Project table 2");
    assert_eq!(name(&w), "table 2");
    apply(&mut w, Command::NextTab { back: false });
    assert_eq!(name(&w), "table 3");
    apply(&mut w, Command::NextTab { back: true });
    apply(&mut w, Command::NextTab { back: true });
    assert_eq!(name(&w), "table 1");
}

/// The same person starts the program again.
fn again(w: &mut Window) -> Window {
    w.harness.state_mut().state.save_now();
    let prefs = w.harness.state().state.prefs.clone();
    Window::with([1280.0, 800.0], Arc::clone(&w.script), |store| store.save(&prefs).unwrap())
}

#[test]
fn what_was_open_is_open_again_and_waiting_runs_still_wait() {
    let mut w = training_penguins();
    let config = w.harness.state().state.project().unwrap().project.train.clone();
    let waiting = |name: &str| Queued {
        config: Box::new(config.clone()),
        notes: RunNotes { name: name.into(), ..RunNotes::default() },
    };
    let runs = vec![waiting("slow"), waiting("slower")];
    apply(&mut w, Command::Runs(RunCommand::Queue(runs)));
    w.click("Step 1: Home");
    w.click("Open sample Fashion");
    w.click("Next: Check");
    let mut w = again(&mut w);
    let state = &w.harness.state().state;
    assert_eq!(state.tabs().len(), 2);
    assert_eq!(name(&w), "Fashion");
    assert_eq!(w.harness.state().state.step, Step::Check);
    // The other one is read once it is looked at.
    w.click("Project Penguins");
    assert_eq!(name(&w), "Penguins");
    w.see("2 runs still wait in this project");
    apply(&mut w, Command::Go(Step::Train));
    w.click("All runs (0), 2 waiting");
    w.see("2 runs are waiting");
    w.click("Start the waiting runs");
    assert_eq!(w.run().job.config, config);
    assert_eq!(w.harness.state().state.project().unwrap().history.queue.len(), 1);
    // What is taken off the list stays off.
    w.harness.state_mut().state.save_now();
    let kept = w.script.queues.lock().unwrap()[Path::new("/projects/penguins")].clone();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].notes.name, "slower");
}

#[test]
fn a_project_that_is_gone_does_not_keep_the_window_from_starting() {
    let mut w = Window::new();
    apply(&mut w, Command::Open("/tmp/fine.csv".into()));
    w.harness.state_mut().state.save_now();
    let mut prefs = w.harness.state().state.prefs.clone();
    prefs.session[0].folder = "/tmp/broken.csv".into();
    let w = Window::with([1280.0, 800.0], Arc::default(), |store| store.save(&prefs).unwrap());
    assert_eq!(w.harness.state().state.step, Step::Home);
    assert!(w.harness.state().state.tabs().is_empty());
    w.see("A row has more fields than the header");
}

#[test]
fn the_place_of_the_window_is_kept_if_it_can_be_shown() {
    let mut w = Window::new();
    let place = WindowPlace { size: [900.0, 640.0], at: Some([40.0, 60.0]), maximized: false };
    apply(&mut w, Command::WindowMoved(place));
    assert_eq!(w.harness.state().state.prefs.window, Some(place));
    let nowhere = WindowPlace { at: Some([f32::NAN, 0.0]), ..place };
    let tiny = WindowPlace { size: [1.0, 640.0], ..place };
    for wrong in [nowhere, tiny] {
        assert!(!wrong.is_sound());
        apply(&mut w, Command::WindowMoved(wrong));
        assert_eq!(w.harness.state().state.prefs.window, Some(place));
    }
    let mut prefs = w.harness.state().state.prefs.clone();
    prefs.window = Some(tiny);
    let w = Window::with([1280.0, 800.0], Arc::new(Script::default()), |store| {
        store.save(&prefs).unwrap();
    });
    assert_ne!(w.harness.state().state.prefs.window, Some(tiny));
}

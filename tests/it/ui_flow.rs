//! From Home to a model file, by clicking, with a scripted library.

use egui_kittest::kittest::NodeT;
use fp8_studio::app::Step;
use fp8_studio::train::{Control, Event, RunState, StopReason};

use super::ui_support::{Window, finish, go_on, play};

#[test]
fn from_home_to_a_model_file_in_few_clicks() {
    let mut w = Window::new();
    w.see("What would you like to learn from?");
    w.click("Open sample Penguins");
    w.see("344");
    w.see("multiclass classification");
    w.see("Adelie, Chinstrap, Gentoo");
    w.click("Next: Check");
    w.click("Next: Configure");
    w.click("Start training");
    let run = w.run();
    assert_eq!(run.job.schema.target, "species");
    assert_eq!(run.job.config, w.harness.state().state.project().unwrap().project.train);
    play(&run, 10);
    w.settle();
    w.see("Training");
    w.see("Epoch 11 of 30");
    assert!(w.node("Next: Evaluate").accesskit_node().is_disabled());
    go_on(&run, 11, 30);
    finish(&run, StopReason::Completed);
    w.settle();
    w.see("Of 100 new rows, it gets about 97 right.");
    w.see("about 44 right");
    w.click("Next: Evaluate");
    w.see("Of 100 new rows");
    w.click("Next: Export");
    let to = std::env::temp_dir().join("penguins.safetensors");
    w.script.picks.lock().unwrap().insert("export", to.clone());
    w.click("Save model file…");
    w.see("14.3 kB");
    w.see("3 of 12");
    let exports = w.script.exports.lock().unwrap().clone();
    assert_eq!(exports, [(run.job.folder.clone(), to)]);
}

#[test]
fn pause_resume_and_stop_reach_the_run() {
    let mut w = Window::new();
    w.click("Open sample Penguins");
    w.click("Next: Check");
    w.click("Next: Configure");
    w.click("Start training");
    let run = w.run();
    play(&run, 3);
    w.settle();
    w.click("Pause");
    assert_eq!(run.controls.try_recv(), Ok(Control::Pause));
    assert!(w.node("Pause").accesskit_node().is_disabled());
    run.send(Event::State(RunState::Paused));
    w.settle();
    w.see("Paused");
    w.click("Resume");
    assert_eq!(run.controls.try_recv(), Ok(Control::Resume));
    run.send(Event::State(RunState::Running));
    w.settle();
    w.click("Stop and keep best");
    assert_eq!(run.controls.try_recv(), Ok(Control::StopAndKeepBest));
    finish(&run, StopReason::Stopped);
    w.settle();
    w.see("You stopped it");
}

#[test]
fn edits_make_the_result_stale_and_undo_makes_it_fresh() {
    let mut w = Window::new();
    w.click("Open sample Penguins");
    w.click("Next: Check");
    w.click("Next: Configure");
    w.click("Start training");
    play(&w.run(), 30);
    finish(&w.run(), StopReason::EarlyStopped);
    w.settle();
    w.click("Step 4: Configure, done");
    w.click("Careful");
    w.click("Step 5: Train, out of date");
    w.see("This result is out of date");
    w.see("Of 100 new rows");
    w.click("Undo: the preset");
    assert!(!w.has("This result is out of date"));
    w.click("Redo: the preset");
    w.see("This result is out of date");
}

#[test]
fn another_target_makes_another_task() {
    let mut w = Window::new();
    w.click("Open sample Penguins");
    w.click("What to predict");
    w.click("body_mass_g");
    w.see("The model will estimate body_mass_g as a number.");
    w.click("Type of body_mass_g");
    w.click("Date");
    w.see("A date cannot be predicted");
    assert!(w.node("Next: Check").accesskit_node().is_disabled());
    w.click("Undo: a column type");
    w.see("The model will estimate body_mass_g as a number.");
}

#[test]
fn a_run_goes_on_while_the_window_is_hidden() {
    use eframe::App;
    let mut w = Window::new();
    w.click("Open sample Penguins");
    w.click("Next: Check");
    w.click("Next: Configure");
    w.click("Start training");
    let run = w.run();
    play(&run, 20);
    finish(&run, StopReason::Completed);
    // Only `logic` runs when nothing is drawn.
    let ctx = w.harness.ctx.clone();
    let mut frame = eframe::Frame::_new_kittest();
    w.harness.state_mut().logic(&ctx, &mut frame);
    let state = &w.harness.state().state;
    assert_eq!(state.run().unwrap().state, RunState::Done);
    assert_eq!(state.run().unwrap().last_epoch.unwrap().epoch, 20);
}

#[test]
fn the_keyboard_is_enough() {
    let mut w = Window::new();
    focus(&mut w, "Open sample Penguins");
    w.harness.key_press(egui::Key::Enter);
    w.settle();
    w.see("multiclass classification");
    focus(&mut w, "Next: Check");
    w.harness.key_press(egui::Key::Enter);
    w.settle();
    focus(&mut w, "Next: Configure");
    w.harness.key_press(egui::Key::Enter);
    w.settle();
    focus(&mut w, "Start training");
    w.harness.key_press(egui::Key::Space);
    w.settle();
    assert_eq!(w.harness.state().state.step, Step::Train);
    finish(&w.run(), StopReason::Completed);
    w.settle();
    w.harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::Num7);
    w.settle();
    assert_eq!(w.harness.state().state.step, Step::Export);
}

/// Presses Tab until the control has the focus.
fn focus(w: &mut Window, label: &str) {
    for _ in 0..80 {
        if w.node(label).is_focused() {
            return;
        }
        w.harness.key_press(egui::Key::Tab);
        w.harness.run_steps(2);
    }
    panic!("Tab does not reach {label}");
}

//! What explains and what is fast: the command palette, shortcuts, glossary, playground, tour; saving
//! of plots and projects; and how few clicks a model takes.

use std::path::PathBuf;

use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};
use fp8_studio::app::{Command, Pick, Step, ThemeChoice};
use fp8_studio::train::StopReason;
use fp8_studio::ui::actions;

use super::ui_support::{Window, finish, play};

fn keys(w: &mut Window, modifiers: Modifiers, key: Key) {
    w.harness.key_press_modifiers(modifiers, key);
    w.settle();
}

fn palette(w: &mut Window, text: &str) {
    keys(w, Modifiers::COMMAND, Key::K);
    w.node("Find a command").type_text(text);
    w.settle();
}

#[test]
fn every_command_is_found_by_typing() {
    let mut w = Window::new();
    palette(&mut w, "sample peng");
    w.harness.key_press(Key::Enter);
    w.settle();
    w.see("multiclass classification");
    palette(&mut w, "dark");
    w.harness.key_press(Key::Enter);
    w.settle();
    assert_eq!(w.harness.state().state.prefs.theme, ThemeChoice::Dark);
    // Moving in the list, and leaving it.
    palette(&mut w, "go to");
    w.harness.key_press(Key::ArrowDown);
    w.settle();
    w.harness.key_press(Key::Enter);
    w.settle();
    assert_eq!(w.harness.state().state.step, Step::Data);
    palette(&mut w, "zzzz");
    w.see("No command is called like that.");
    w.harness.key_press(Key::Escape);
    w.settle();
    assert!(!w.has("No command is called like that."));
}

#[test]
fn what_cannot_be_done_says_why_and_is_not_done() {
    let mut w = Window::new();
    palette(&mut w, "Go to Train");
    let why = w.node("Go to Train").accesskit_node().description();
    assert_eq!(why.as_deref(), Some("Open a sample or a file first."));
    w.harness.key_press(Key::Enter);
    w.settle();
    assert_eq!(w.harness.state().state.step, Step::Home);
}

#[test]
fn the_primary_button_has_a_key() {
    let mut w = Window::new();
    w.click("Open sample Penguins");
    for _ in 0..3 {
        keys(&mut w, Modifiers::COMMAND, Key::Enter);
    }
    assert_eq!(w.script.runs.lock().unwrap().len(), 1);
    finish(&w.run(), StopReason::Completed);
    w.settle();
    keys(&mut w, Modifiers::COMMAND, Key::T);
    w.see("Type a row");
    keys(&mut w, Modifiers::COMMAND, Key::H);
    assert_eq!(w.harness.state().state.step, Step::Train);
}

#[test]
fn no_two_actions_share_a_key() {
    let mut w = Window::new();
    w.click("Open sample Penguins");
    let all = actions::all(&w.harness.state().state);
    let mut keys: Vec<String> =
        all.iter().filter_map(|a| a.keys).map(|k| format!("{k:?}")).collect();
    let count = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), count);
    assert!(count > 15, "{count}");
}

#[test]
fn the_glossary_explains() {
    let mut w = Window::new();
    w.harness.key_press(Key::F1);
    w.settle();
    w.see("One pass over all training rows.");
    w.node("Find a term").type_text("amax");
    w.settle();
    w.see("The largest absolute value in a tensor.");
    assert!(!w.has("One pass over all training rows."));
    w.click("Close Glossary");
    palette(&mut w, "what is: overfitting");
    w.harness.key_press(Key::Enter);
    w.settle();
    w.see("Learning the training rows by heart");
}

#[test]
fn the_playground_shows_a_number_in_8_bits() {
    let mut w = Window::new();
    w.click("FP8 playground");
    w.see("E4M3");
    w.see("E5M2");
    w.see("0x1D");
    w.see("(1 + 5/8) × 2⁻⁴ × 2⁰ (scale)");
    w.see("= 0.1015625");
    w.click("500");
    w.see("saturated: cut off");
    w.see("= 448");
    w.node("A number").focus();
    w.harness.run_steps(2);
    w.harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    w.node("A number").type_text("a lot");
    w.settle();
    w.see("This is not a number.");
    w.see("Train a model in FP8 to look at its own tensors here.");
    w.see("Sizes of values against E4M3");
    w.click("Close FP8 playground");
    assert!(!w.has("saturated"));
}

#[test]
fn the_tour_walks_through_all_steps() {
    let mut w = Window::new();
    w.click("Take the tour");
    for page in 1..10 {
        w.see(&format!("{page} of 10"));
        w.click("Next");
    }
    w.click("Done");
    assert!(!w.has("10 of 10"));
}

#[test]
fn every_overlay_names_its_controls() {
    let mut w = Window::new();
    for (modifiers, key) in [
        (Modifiers::COMMAND, Key::K),
        (Modifiers::NONE, Key::F1),
        (Modifiers::COMMAND, Key::Slash),
        (Modifiers::COMMAND, Key::P),
    ] {
        keys(&mut w, modifiers, key);
        assert_eq!(w.harness.unnamed_widgets(), [""; 0], "{key:?}");
        w.harness.key_press(Key::Escape);
        w.settle();
    }
}

#[test]
fn plots_are_saved_as_tables() {
    let mut w = Window::new();
    w.click("Open sample Penguins");
    w.click("Next: Check");
    w.click("Next: Configure");
    w.click("Start training");
    play(&w.run(), 12);
    w.settle();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("loss.csv");
    w.script.picks.lock().unwrap().insert("plot", path.clone());
    w.click("Save the plot \"Loss\"");
    w.click("Save values (CSV)…");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("curve,Epoch,Loss\n"), "{text}");
    assert_eq!(text.lines().filter(|l| l.starts_with("training,")).count(), 48);
    assert_eq!(text.lines().filter(|l| l.starts_with("validation,")).count(), 12);
    w.click("Save the plot \"Loss\"");
    w.see("Save as picture (PNG)…");
}

#[test]
fn a_project_goes_on_in_another_folder() {
    let mut w = Window::new();
    w.click("Open sample Penguins");
    let folder = PathBuf::from("/projects/spring");
    w.script.picks.lock().unwrap().insert("project", folder.clone());
    w.harness.state_mut().state.apply(Command::Pick(Pick::SaveAs));
    w.settle();
    let project = &w.harness.state().state.project().unwrap().project;
    assert_eq!((project.folder.as_path(), project.name.as_str()), (folder.as_path(), "spring"));
    assert_eq!(w.harness.state().state.prefs.recent[0].folder, folder);
    let saved = w.script.saved.lock().unwrap()[&folder].clone();
    assert_eq!(saved.dataset_path(), PathBuf::from("/projects/penguins/penguins.csv"));
}

/// Presses the button, and counts it.
fn press(w: &mut Window, clicks: &mut usize, label: &str) {
    *clicks += 1;
    w.click(label);
}

#[test]
fn a_sample_takes_four_clicks_and_an_own_file_seven() {
    let mut w = Window::new();
    let mut clicks = 0;
    for label in ["Open sample Penguins", "Next: Check", "Next: Configure", "Start training"] {
        press(&mut w, &mut clicks, label);
    }
    finish(&w.run(), StopReason::Completed);
    w.settle();
    w.see("Of 100 new rows");
    assert!(clicks <= 4, "{clicks}");

    let mut w = Window::new();
    w.script.picks.lock().unwrap().insert("file", "/tmp/birds.csv".into());
    // In the dialog of the system: the file, and "Open".
    let mut clicks = 2;
    for label in ["Open file…", "Next: Check", "Next: Configure", "Start training"] {
        press(&mut w, &mut clicks, label);
    }
    finish(&w.run(), StopReason::Completed);
    w.settle();
    w.see("Of 100 new rows");
    assert!(clicks <= 7, "{clicks}");
    assert!(w.harness.query_by_label("Step 5: Train, done").is_some());
    assert!(!w.node("Next: Evaluate").accesskit_node().is_disabled());
}

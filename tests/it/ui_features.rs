//! Feature recipes in the window: saved, listed, looked at, used, compared.

use std::sync::Arc;

use fp8_studio::app::{Command, Step};
use fp8_studio::data::ColumnType;
use fp8_studio::data::Step as Change;
use fp8_studio::project::Project;

use super::ui_support::{Script, Window, project};

fn now(w: &Window) -> &Project {
    &w.harness.state().state.project().unwrap().project
}

fn retype(w: &mut Window, column: &str, kind: ColumnType) {
    let command = Command::SetColumnType { column: column.into(), kind: Some(kind) };
    w.harness.state_mut().state.apply(command);
    w.settle();
}

#[test]
fn a_recipe_is_saved_used_in_another_project_and_taken_back() {
    let mut w = Window::new();
    w.click("Open sample Penguins");
    w.see("None is saved yet.");
    retype(&mut w, "sex", ColumnType::Category);
    retype(&mut w, "body_mass_g", ColumnType::Ignore);
    // The name of the project is a start.
    w.click("Save the feature recipe");
    w.see("Saved as Penguins, version 1.");
    w.see("5 columns, 0 rules, from Penguins");
    w.click("Save the feature recipe");
    w.see("Penguins, version 1 says the same already.");

    w.script.picks.lock().unwrap().insert("file", "/tmp/birds.csv".into());
    w.click("Step 1: Home");
    w.click("Open file…");
    w.see("Penguins, version 1");
    let before = now(&w).clone();
    w.click("See what Penguins, version 1 would change");
    w.see("sex: Yes/no becomes Category.");
    w.see("Left out, as in the recipe: body_mass_g.");
    assert_eq!(*now(&w), before, "looking changes nothing");
    w.click("Leave as it is");
    assert!(!w.has("sex: Yes/no becomes Category."));
    w.click("See what Penguins, version 1 would change");
    w.click("Use it here");
    w.see("In use: Penguins, version 1");
    w.see("prepared as it says");
    assert_eq!(now(&w).columns["sex"], ColumnType::Category);
    assert_eq!(now(&w).columns["body_mass_g"], ColumnType::Ignore);
    assert_eq!(now(&w).prep.recipe.as_ref().unwrap().version, 1);

    // What is changed afterwards is said, at once.
    retype(&mut w, "sex", ColumnType::Boolean);
    w.see("1 difference");
    w.see("\"sex\" is a yes or no here and a category in the recipe.");
    w.harness.state_mut().state.apply(Command::Undo);
    w.settle();
    w.see("prepared as it says");
    w.harness.state_mut().state.apply(Command::Undo);
    w.settle();
    assert_eq!(*now(&w), before);
    assert!(!w.has("In use: Penguins, version 1"));
    w.harness.state_mut().state.apply(Command::Redo);
    w.settle();
    w.see("prepared as it says");
    w.click("No longer use it");
    assert_eq!(now(&w).prep.recipe, None);
    assert_eq!(now(&w).columns["sex"], ColumnType::Category);
}

/// Saves a recipe as another project would have, with a file of its own.
fn saved(script: &Script, text: &str, change: impl FnOnce(&mut Project)) {
    use fp8_studio::app::Services;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.csv");
    std::fs::write(&path, text).unwrap();
    let mut shop = Project { folder: dir.path().join("shop"), ..project("Shop", "") };
    shop.data = path;
    change(&mut shop);
    let data = shop.open_data(&Default::default()).unwrap();
    let schema = shop.schema(&data).unwrap();
    let folder = script.features();
    fp8_studio::project::features::save(&folder, "Shop", &shop, &data, &schema).unwrap();
}

fn rows(head: &str, row: impl Fn(usize) -> String) -> String {
    format!("{head}\n{}\n", (0..60).map(row).collect::<Vec<_>>().join("\n"))
}

#[test]
fn a_preview_says_what_does_not_fit_and_what_rules_do() {
    let script = Arc::new(Script::default());
    let text = rows("species,island,colour,sex", |i| {
        format!("{},{},{}.5,{}", ["a", "b"][i % 2], ["Torgersen", "Biscoe"][i % 2], i, i * i)
    });
    saved(&script, &text, |p| {
        p.columns.insert("sex".into(), ColumnType::Number);
        p.prep.text_words = 64;
        p.steps.push(Change::Merge {
            column: "island".into(),
            spellings: [("Torgersen".to_owned(), "Traum".to_owned())].into(),
        });
    });
    let mut w = Window::with([1280.0, 800.0], script, |_| {});
    w.click("Open sample Penguins");
    w.click("See what Shop, version 1 would change");
    w.see("In the recipe, but not in this data: colour.");
    // Every eleventh or so of 344 is empty; the others are words.
    w.see("cells of sex do not fit, the first in row 2; they count as missing.");
    w.see("64 words are counted in texts, not 1024.");
    w.see("344 cells changed.");
    w.click("Use it here");
    w.see("In use: Shop, version 1");
    w.see("\"colour\" is not in the data.");
    let state = &w.harness.state().state;
    assert_eq!(state.project().unwrap().project.steps.len(), 1);
    let island = |p: &fp8_studio::data::Dataset| match &p.samples {
        fp8_studio::data::Samples::Table(t) => t.column("island").unwrap().codes().1.join(" "),
        fp8_studio::data::Samples::Images(_) => String::new(),
    };
    assert!(island(&state.project().unwrap().dataset).contains("Traum"), "the rule was done");
    w.harness.state_mut().state.apply(Command::Undo);
    w.settle();
    let state = &w.harness.state().state;
    assert!(!island(&state.project().unwrap().dataset).contains("Traum"), "and taken back");
}

#[test]
fn what_fits_nothing_is_refused_and_a_changed_file_is_named() {
    let script = Arc::new(Script::default());
    let text = rows("species,weight", |i| format!("{},{i}.5", ["a", "b"][i % 2]));
    saved(&script, &text, |_| {});
    let folder = script.features.get().unwrap().path().to_owned();
    let mut w = Window::with([1280.0, 800.0], script, |_| {});
    w.click("Open sample Penguins");
    w.click("See what Shop, version 1 would change");
    w.see("This data has none of the columns of the feature recipe \"Shop\".");
    let button = w.node("Use it here");
    use egui_kittest::kittest::NodeT;
    assert!(button.accesskit_node().is_disabled());
    w.click("Leave as it is");
    // Planted: somebody edits the file.
    let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, good.replace("1024", "1025")).unwrap();
    w.click("Save the feature recipe");
    w.see("was changed since it was saved");
    std::fs::write(&file, good).unwrap();
    w.click("Save the feature recipe");
    w.see("Saved as Penguins, version 1.");
    // A name is needed.
    w.node("Save how the columns are prepared here as").focus();
    w.harness.run_steps(3);
    w.harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::A);
    w.harness.key_press(egui::Key::Delete);
    w.harness.run_steps(4);
    assert!(w.node("Save the feature recipe").accesskit_node().is_disabled());
    assert_eq!(w.harness.state().state.step, Step::Data);
}

#[test]
fn pictures_have_no_feature_recipes() {
    let mut w = Window::new();
    w.script.picks.lock().unwrap().insert("folder", "/tmp/digits".into());
    w.click("Open folder…");
    w.see("28 × 28");
    assert!(!w.has("Feature recipes"));
}

//! Choices about the data and about seals in the window, on the real library; and what shows them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use fp8_studio::app::unsealing::{Unlock, Unsealed, seal_project, unseal};
use fp8_studio::app::{Command, Library, Pick, Step, Store, Workspace};
use fp8_studio::data::SplitMethod;
use fp8_studio::export::sealed::{Secret, is_sealed_file};
use fp8_studio::project::Project;
use fp8_studio::ui::{Options, StudioApp};

use super::ui_real::{press, wait};
use super::ui_support::{Window, finish, play};

fn window(dir: &Path) -> Harness<'static, StudioApp> {
    let export_to = dir.join("t.zip.age");
    let services = Arc::new(Library::at(dir));
    let dialogs = Arc::new(move |what: Pick, _: &str| {
        matches!(what, Pick::ExportTo | Pick::SealTo).then(|| export_to.clone())
    });
    let store = Store::at(dir);
    Harness::builder().with_size([1280.0, 1600.0]).build_eframe(|cc| {
        StudioApp::new(&cc.egui_ctx, services, dialogs, store, &Options::default())
    })
}

fn shows(w: &Harness<'_, StudioApp>, text: &str) -> bool {
    w.query_all_by_label_contains(text).next().is_some()
}

fn open(w: &mut Harness<'_, StudioApp>, path: &Path) {
    w.state_mut().state.apply(Command::Open(path.to_owned()));
    wait(w, |w| !matches!(w.state().state.workspace, Workspace::Loading { .. }));
}

fn rows(w: &Harness<'_, StudioApp>) -> usize {
    w.state().state.project().map_or(0, |p| p.dataset.len())
}

fn database(path: &Path) {
    let db = rusqlite::Connection::open(path).unwrap();
    db.execute_batch(
        "CREATE TABLE orders (item TEXT, price REAL, paid TEXT);\
                      CREATE TABLE people (name TEXT, age INTEGER, member TEXT);",
    )
    .unwrap();
    for i in 0..60 {
        let paid = if i % 3 == 0 { "no" } else { "yes" };
        db.execute("INSERT INTO orders VALUES (?, ?, ?)", (format!("item {}", i % 7), i, paid))
            .unwrap();
    }
    for i in 0..25 {
        let member = if i % 2 == 0 { "no" } else { "yes" };
        db.execute("INSERT INTO people VALUES (?, ?, ?)", (format!("person {i}"), 20 + i, member))
            .unwrap();
    }
}

#[test]
fn a_table_or_a_query_of_a_database_is_chosen_and_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.sqlite");
    database(&path);
    let mut w = window(dir.path());
    open(&mut w, &path);
    assert_eq!(rows(&w), 60);
    press(&mut w, "Table to learn from");
    press(&mut w, "people");
    wait(&mut w, |w| rows(w) == 25);
    let project = w.state().state.project().unwrap();
    assert_eq!(project.project.import.part.as_deref(), Some("people"));
    assert_eq!(project.project.target.as_deref(), Some("member"), "a target of the new table");
    // A query that does not work says so beside it, and nothing is lost.
    let field = "Or the rows that a query gives (SQL)";
    let node = |w: &Harness<'_, StudioApp>, text: &str| {
        let mut all = w.query_all_by_label(field);
        let field = all.find(|n| egui::accessibility::is_input(n.accesskit_node().role()));
        field.unwrap().type_text(text);
    };
    wait(&mut w, |w| w.query_all_by_label(field).count() > 0);
    node(&w, "SELECT nothing FROM nowhere");
    w.run_steps(2);
    press(&mut w, "Use this query");
    wait(&mut w, |w| shows(w, "The query does not work"));
    assert_eq!(rows(&w), 25);
    w.state_mut().state.apply(Command::Undo);
    wait(&mut w, |w| rows(w) == 60);
    assert!(w.state().state.project().unwrap().project.import.part.is_none());
    w.state_mut().state.apply(Command::Redo);
    wait(&mut w, |w| rows(w) == 25);
}

#[test]
fn a_changed_file_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    let text: String =
        (0..30).map(|i| format!("{i},{}\n", if i % 2 == 0 { "a" } else { "b" })).collect();
    std::fs::write(&path, format!("x,y\n{text}")).unwrap();
    let mut w = window(dir.path());
    open(&mut w, &path);
    assert_eq!(rows(&w), 30);
    std::fs::write(&path, format!("x,y\n{text}{text}")).unwrap();
    press(&mut w, "Read the file again");
    wait(&mut w, |w| rows(w) == 60);
}

fn sealed(dir: &Path) -> PathBuf {
    let csv = dir.join("shop.csv");
    let text: String =
        (0..40).map(|i| format!("{i},{}\n", if i % 2 == 0 { "yes" } else { "no" })).collect();
    std::fs::write(&csv, format!("size,bought\n{text}")).unwrap();
    let project = Project { folder: dir.join("own"), ..Project::from_data(&csv).unwrap() };
    project.save().unwrap();
    let to = seal_project(&project, &Secret("open sesame".into()), &dir.join("shop.zip")).unwrap();
    std::fs::remove_dir_all(dir.join("own")).unwrap();
    std::fs::remove_file(csv).unwrap();
    to
}

#[test]
fn a_sealed_project_asks_for_its_passphrase_and_says_when_it_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let path = sealed(dir.path());
    let mut w = window(dir.path());
    open(&mut w, &path);
    wait(&mut w, |w| shows(w, "This file is sealed"));
    let blocked = |w: &Harness<'_, StudioApp>| {
        let open = w.query_all_by_label("Open").next().unwrap();
        open.accesskit_node().is_disabled()
    };
    assert!(blocked(&w), "nothing was typed");
    let type_in = |w: &mut Harness<'_, StudioApp>, text: &str| {
        let mut all = w.query_all_by_label("Passphrase");
        let field = all.find(|n| egui::accessibility::is_input(n.accesskit_node().role()));
        field.unwrap().type_text(text);
        drop(all);
        w.run_steps(3);
    };
    type_in(&mut w, "open says me");
    press(&mut w, "Open");
    wait(&mut w, |w| shows(w, "the passphrase or key does not open it"));
    assert!(shows(&w, "This file is sealed"), "it can be tried again");
    type_in(&mut w, "open sesame");
    press(&mut w, "Open");
    wait(&mut w, |w| rows(w) == 40);
    assert_eq!(w.state().state.project().unwrap().project.target.as_deref(), Some("bought"));
}

#[test]
fn a_project_is_sealed_from_the_window() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    std::fs::write(&path, "x,y\n1,a\n2,b\n3,a\n4,b\n").unwrap();
    let mut w = window(dir.path());
    open(&mut w, &path);
    let to = dir.path().join("t.zip.age");
    w.state_mut().state.apply(Command::SetSealSecret(Secret("word".into())));
    w.state_mut().state.apply(Command::Pick(Pick::SealTo));
    wait(&mut w, |w| shows(w, "Saved"));
    assert!(is_sealed_file(&to));
    let with = |word: &str| unseal(&to, &Unlock::Passphrase(Secret(word.into())));
    assert!(with("another").is_err());
    let Unsealed::Data(folder) = with("word").unwrap() else { panic!("no project") };
    assert!(folder.join("data/t.csv").is_file());
}

#[test]
fn shares_of_the_parts_and_folds_are_chosen_in_configure() {
    let mut w = Window::sized([1280.0, 3000.0]);
    w.click("Open sample Penguins");
    w.harness.state_mut().state.apply(Command::Go(Step::Configure));
    w.settle();
    let split = |w: &Window| w.harness.state().state.project().unwrap().project.split.clone();
    assert!((split(&w).test - 0.2).abs() < 1e-9);
    w.node("For the test").type_text("35");
    w.settle();
    w.harness.key_press(egui::Key::Enter);
    w.settle();
    assert!((split(&w).test - 0.35).abs() < 1e-9, "{}", split(&w).test);
    w.see("To validate");
    let given = fp8_studio::data::SplitConfig {
        method: SplitMethod::Given,
        column: Some("sex".into()),
        ..split(&w)
    };
    w.harness.state_mut().state.apply(Command::SetSplit(Box::new(given)));
    w.settle();
    assert!(!w.has("For the test"), "the column says it");
    w.harness.state_mut().state.apply(Command::Undo);
    w.settle();
    w.click("Train 5 times");
    w.see("5 folds of 275 rows");
    w.see("97.00 %");
    assert!(!w.has("with other settings than now"));
    let mut config = w.harness.state().state.project().unwrap().project.train.clone();
    config.epochs += 1;
    let config = Box::new(config);
    w.harness.state_mut().state.apply(Command::SetConfig { config, what: "the epochs" });
    w.settle();
    w.see("with other settings than now");
}

#[test]
fn a_reliability_bin_shows_its_rows() {
    let mut w = Window::sized([1280.0, 3000.0]);
    w.click("Open sample Penguins");
    w.click("Next: Check");
    w.click("Next: Configure");
    w.click("Start training");
    play(&w.run(), 4);
    finish(&w.run(), fp8_studio::train::StopReason::Completed);
    w.settle();
    w.click("Next: Evaluate");
    w.click("Confidence");
    let labels: Vec<String> = w.texts().into_iter().filter(|t| t.ends_with(" % sure")).collect();
    assert!(!labels.is_empty(), "{:#?}", w.texts());
    let mut all = 0;
    for label in labels {
        w.click(&label);
        let rows: usize = label.split(' ').next().unwrap().parse().unwrap();
        // The card beside it counts the rows that it lists.
        w.see("Rows of which it is");
        w.see(&format!("{rows} rows"));
        all += rows;
    }
    let rows = match &w.harness.state().state.project().unwrap().evaluation {
        fp8_studio::app::EvaluationState::Done(found) => found.row_numbers.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(all, rows, "every row is in one bin");
}

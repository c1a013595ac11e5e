//! Choices about the data and about seals in the window, on the real library; and what shows them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use fp8_studio::app::unsealing::{Unlock, Unsealed, seal_project, unseal};
use fp8_studio::app::{Command, Library, Pick, Step, Store, Workspace};
use fp8_studio::data::{ImportOptions, SplitMethod};
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
    let query = "SELECT nothing FROM nowhere".to_owned();
    let import = ImportOptions { query: Some(query), ..ImportOptions::default() };
    w.state_mut().state.apply(Command::SetImport(Box::new(import)));
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
    let unseal = |w: &mut Harness<'_, StudioApp>, word: &str| {
        let with = Unlock::Passphrase(Secret(word.into()));
        w.state_mut().state.apply(Command::Unseal(with));
    };
    unseal(&mut w, "open says me");
    wait(&mut w, |w| shows(w, "the passphrase or key does not open it"));
    assert!(shows(&w, "This file is sealed"), "it can be tried again");
    unseal(&mut w, "open sesame");
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
    let shown = |w: &Window| w.node("For the test").accesskit_node().numeric_value();
    assert_eq!(shown(&w), Some(20.0));
    let more = fp8_studio::data::SplitConfig { test: 0.35, ..split(&w) };
    w.harness.state_mut().state.apply(Command::SetSplit(Box::new(more)));
    w.settle();
    assert_eq!(shown(&w), Some(35.0));
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

#[test]
fn cells_copied_in_a_spreadsheet_are_pasted_quotes_and_line_ends_included() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = window(dir.path());
    let line = |i: usize| {
        let note = ["\"two\r\nlines\"", "\"says \"\"hi\"\"\"", "plain"][i % 3];
        format!("{}\t{note}\t{}", i * i, ["no", "yes"][i % 2])
    };
    let cells: Vec<String> = (0..40).map(line).collect();
    let text = format!("amount\tnote\tpaid\r\n{}\r\n", cells.join("\r\n"));
    w.event(egui::Event::Paste(text));
    wait(&mut w, |w| rows(w) > 0);
    assert_eq!(rows(&w), 40);
    let project = w.state().state.project().unwrap();
    let fp8_studio::data::Samples::Table(table) = &project.dataset.samples else { panic!() };
    let notes = table.column("note").unwrap();
    assert_eq!(
        [0, 1, 2].map(|r| notes.raw(r).replace('\r', "")),
        ["two\nlines", "says \"hi\"", "plain"]
    );
    assert!(
        project.project.data.starts_with(dir.path())
            || project.project.folder.starts_with(dir.path())
    );
    // Text that is no table is not opened, and neither is what is typed into a field.
    let before = w.state().state.tabs().len();
    w.event(egui::Event::Paste("Dear Ada".into()));
    w.run_steps(4);
    assert_eq!(w.state().state.tabs().len(), before);
    assert!(w.state().state.tasks.running().iter().all(|t| !t.label.contains("pasted")));
}

/// A file as the window system hands it over.
#[derive(Debug)]
struct Dropped(PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        std::fs::read(&self.0).map_err(|e| e.to_string())
    }
}

#[test]
fn files_and_folders_dropped_on_the_window_are_opened_beside_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = window(dir.path());
    let file = dir.path().join("sales.csv");
    let text: String = (0..30).map(|i| format!("{i},{}\n", ["a", "b"][i % 2])).collect();
    std::fs::write(&file, format!("x,y\n{text}")).unwrap();
    let folder = dir.path().join("notes");
    for (label, words) in [("good", "fresh and warm"), ("bad", "cold and late")] {
        std::fs::create_dir_all(folder.join(label)).unwrap();
        for i in 0..12 {
            std::fs::write(folder.join(label).join(format!("{i}.txt")), format!("{words} {i}"))
                .unwrap();
        }
    }
    for path in [file, folder] {
        w.input_mut().dropped_files.push(Arc::new(Dropped(path)));
    }
    w.run_steps(2);
    // Until it is read a project has the name of its file.
    let names = |w: &Harness<'_, StudioApp>| -> Vec<String> {
        w.state().state.tabs().iter().map(|t| t.name.clone()).collect()
    };
    wait(&mut w, |w| names(w) == ["sales", "notes"] && rows(w) > 0);
    assert_eq!(rows(&w), 24);
}

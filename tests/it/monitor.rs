//! Watching models: known drift is found where it is, other faults are named, and rows that are like
//! those of the training raise no alarm.

use std::path::{Path, PathBuf};
use std::process::Command;

use fp8_studio::data::{
    self, Column, ColumnType, Dataset, ImportOptions, Progress, Samples, Schema, SplitConfig,
    SplitMethod, Table,
};
use fp8_studio::deploy::Model;
use fp8_studio::monitor::{self, Action, AlertKind, Found, Options, Reference};
use fp8_studio::quality::Severity;
use fp8_studio::train::{RunFolder, TrainConfig};

use super::support::{Random, begin, halves, job, rest, summary};

fn known(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/known").join(name)
}

fn sample(name: &str) -> Dataset {
    let project = fp8_studio::project::Project::load(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("projects").join(name),
    )
    .unwrap();
    project.open_data(&Progress::default()).unwrap()
}

/// Some rows of a table.
fn part(dataset: &Dataset, keep: impl Fn(usize) -> bool) -> Dataset {
    let Samples::Table(table) = &dataset.samples else { panic!("not a table") };
    let rows: Vec<usize> = (0..table.rows()).filter(|r| keep(*r)).collect();
    let columns = table.columns().iter().map(|c| {
        let mut new = Column::new(c.name());
        (new.kind, new.inferred, new.format) = (c.kind, c.inferred, c.format);
        rows.iter().for_each(|r| new.push(c.raw(*r)));
        new
    });
    let lines = rows.iter().map(|r| table.line(*r)).collect();
    let samples = Samples::Table(Table::new(columns.collect(), lines));
    Dataset { name: dataset.name.clone(), samples, notes: Vec::new() }
}

/// The table with the cells of one column changed.
fn changed(dataset: &Dataset, name: &str, change: impl Fn(usize, &str) -> String) -> Dataset {
    let Samples::Table(table) = &dataset.samples else { panic!("not a table") };
    let columns = table.columns().iter().map(|c| {
        let mut new = Column::new(c.name());
        (new.kind, new.inferred, new.format) = (c.kind, c.inferred, c.format);
        for row in 0..c.len() {
            match c.name() == name {
                true => new.push(&change(row, c.raw(row))),
                false => new.push(c.raw(row)),
            }
        }
        new
    });
    let lines = (0..table.rows()).map(|r| table.line(r)).collect();
    let samples = Samples::Table(Table::new(columns.collect(), lines));
    Dataset { name: dataset.name.clone(), samples, notes: Vec::new() }
}

/// A trained model and the data it was trained on.
struct Watched {
    _folder: tempfile::TempDir,
    run: RunFolder,
    model: Model,
    reference: Reference,
}

fn train(dataset: Dataset, target: Option<&str>, config: TrainConfig) -> Watched {
    let schema = Schema::infer(&dataset, target, &Default::default()).unwrap();
    train_as(dataset, schema, config)
}

fn train_as(dataset: Dataset, schema: Schema, config: TrainConfig) -> Watched {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let data = dataset.clone();
    summary(&rest(&begin(job((dataset, schema), config, &path))));
    let run = RunFolder::open(&path).unwrap();
    let model = Model::of_run(&run).unwrap();
    let reference =
        monitor::reference::find(&run, &model, Some(&data), &Progress::default()).unwrap();
    Watched { _folder: folder, run, model, reference }
}

fn short() -> TrainConfig {
    TrainConfig { epochs: 6, hidden: vec![16], ..TrainConfig::default() }
}

impl Watched {
    fn check(&self, new: &Dataset) -> Found {
        self.check_with(new, &Options::default())
    }

    fn check_with(&self, new: &Dataset, options: &Options) -> Found {
        monitor::check(&self.model, &self.reference, new, options, &Progress::default()).unwrap()
    }
}

fn drifting(found: &Found) -> Vec<&str> {
    found.columns.iter().filter(|c| c.drifted).map(|c| c.name.as_str()).collect()
}

#[test]
fn the_weather_changes_at_row_12_000() {
    let all =
        data::open(&known("noaa_rainfall.csv.gz"), &ImportOptions::default(), &Progress::default())
            .unwrap();
    // Every second of the earlier rows trains; what came in since is the rest of them and all later.
    let earlier = part(&all, |r| r < 11_000 && r % 2 == 0);
    let w = train(earlier, Some("rain"), TrainConfig { epochs: 4, ..short() });
    let since = part(&all, |r| r >= 9000 && (r >= 11_000 || r % 2 == 1));
    let found = w.check(&since);
    for column in ["sea_level_pressure", "dew_point"] {
        assert!(drifting(&found).contains(&column), "{:?}", drifting(&found));
    }
    // Row 12,000 of the data, counted from 0, is line 12,002 of the file with its header.
    let change = found.timeline.change.clone().unwrap();
    assert!(change.row.abs_diff(12_002) <= 5, "{change:?}");
    assert!(change.columns.iter().any(|c| c == "dew_point"), "{change:?}");
    let first = found.timeline.by_column.iter().find(|(n, _)| n == "sea_level_pressure").unwrap();
    assert!(first.1.row.abs_diff(12_002) <= 20 && first.1.before_is_normal, "{first:?}");
    // The same by the column that counts the days, although the rows come shuffled.
    let mut random = Random::new(5);
    let keys: Vec<f64> = (0..since.len()).map(|_| random.next()).collect();
    let mut order: Vec<usize> = (0..since.len()).collect();
    order.sort_by(|a, b| keys[*a].total_cmp(&keys[*b]));
    let shuffled = reordered(&since, &order);
    assert!(w.check(&shuffled).timeline.change.is_none(), "a shuffled file has no order");
    let by = Options { order_by: Some("t".to_owned()), ..Options::default() };
    let change = w.check_with(&shuffled, &by).timeline.change.unwrap();
    assert_eq!(change.date.as_deref().map(|d| d.starts_with("1200")), Some(true), "{change:?}");
}

fn reordered(dataset: &Dataset, order: &[usize]) -> Dataset {
    let Samples::Table(table) = &dataset.samples else { panic!("not a table") };
    let columns = table.columns().iter().map(|c| {
        let mut new = Column::new(c.name());
        (new.kind, new.inferred, new.format) = (c.kind, c.inferred, c.format);
        order.iter().for_each(|r| new.push(c.raw(*r)));
        new
    });
    let lines = (2..order.len() as u64 + 2).collect();
    let samples = Samples::Table(Table::new(columns.collect(), lines));
    Dataset { name: dataset.name.clone(), samples, notes: Vec::new() }
}

#[test]
fn halves_of_the_same_data_raise_no_alarm() {
    for (name, target) in
        [("penguins", "species"), ("adult_census", "income-per-year"), ("german_credit", "class")]
    {
        let all = sample(name);
        let first = coin(all.len());
        let w = train(part(&all, |r| first[r]), Some(target), short());
        let found = w.check(&part(&all, |r| !first[r]));
        assert_eq!(drifting(&found), Vec::<&str>::new(), "{name}");
        assert!(found.worst() <= Some(Severity::Info), "{name}: {:#?}", found.alerts);
        assert_eq!(found.advice.action, Action::Nothing, "{name}");
        // The penguins stand sorted by species, which is a change within the file.
        assert_eq!(found.timeline.change.is_some(), name == "penguins", "{name}");
        assert!(found.feedback.is_some() && found.answers.is_some(), "{name}");
    }
}

#[test]
fn pictures_that_became_darker_are_noticed_and_others_are_not() {
    let (dataset, schema) = halves(600, 8, 1);
    let w = train_as(dataset, schema, short());
    let (same, _) = halves(700, 8, 1);
    let quiet = w.check(&same);
    assert_eq!(quiet.advice.action, Action::Nothing, "{:#?}", quiet.alerts);
    let mut dark = same;
    if let Samples::Images(images) = &mut dark.samples {
        images.pixels.iter_mut().for_each(|p| *p /= 2);
    }
    let found = w.check(&dark);
    assert!(drifting(&found).contains(&"Brightness"), "{:?}", drifting(&found));
    assert!(found.worst() >= Some(Severity::Warning));
}

/// Half of the rows, by chance.
fn coin(rows: usize) -> Vec<bool> {
    let mut random = Random::new(11);
    (0..rows).map(|_| random.next() < 0.5).collect()
}

fn penguins() -> (Watched, Dataset) {
    let all = sample("penguins");
    // By chance: in the file, females and males take turns.
    let first = coin(all.len());
    let config = TrainConfig { epochs: 40, batch_size: 16, learning_rate: 0.01, ..short() };
    (train(part(&all, |r| first[r]), Some("species"), config), part(&all, |r| !first[r]))
}

fn input_alerts(found: &Found) -> Vec<(&str, Severity)> {
    let input = found.alerts.iter().filter(|a| a.kind == AlertKind::Input);
    input.map(|a| (a.columns[0].as_str(), a.severity)).collect()
}

#[test]
fn faults_of_the_input_are_named() {
    let (w, new) = penguins();
    assert_eq!(input_alerts(&w.check(&new)), []);
    // Kilograms for grams.
    let number = |cell: &str| cell.parse::<f64>().ok();
    let kilos = changed(&new, "body_mass_g", |_, c| {
        number(c).map_or(c.to_owned(), |v| (v / 1000.0).to_string())
    });
    let found = w.check(&kilos);
    assert_eq!(found.advice.action, Action::RepairInput);
    assert!(input_alerts(&found).contains(&("body_mass_g", Severity::High)));
    let mass = found.columns.iter().find(|c| c.name == "body_mass_g").unwrap();
    assert_eq!(mass.unit, Some(0.001));
    // Words for numbers.
    let words = changed(&new, "bill_length_mm", |row, c| match row % 3 {
        0 => "long".to_owned(),
        _ => c.to_owned(),
    });
    let found = w.check(&words);
    assert!(input_alerts(&found).iter().any(|a| a.0 == "bill_length_mm"), "{:?}", found.alerts);
    // A new island, and a column left out.
    let island = changed(&new, "island", |row, c| match row % 4 {
        0 => "Atlantis".to_owned(),
        _ => c.to_owned(),
    });
    let found = w.check(&island);
    let island = found.columns.iter().find(|c| c.name == "island").unwrap();
    assert!(island.drifted && island.new_categories[0].0 == "Atlantis", "{island:?}");
    assert!(island.rows.iter().all(|r| *r % 4 == 0) && island.row_count == island.rows.len());
    let Samples::Table(table) = &new.samples else { panic!() };
    let without = table.columns().iter().filter(|c| c.name() != "flipper_length_mm").cloned();
    let lines = (0..table.rows()).map(|r| table.line(r)).collect();
    let samples = Samples::Table(Table::new(without.collect(), lines));
    let found = w.check(&Dataset { samples, ..new.clone() });
    assert_eq!(found.advice.action, Action::RepairInput);
    assert_eq!(found.advice.columns, ["flipper_length_mm"]);
    assert!(found.answers.is_none());
}

#[test]
fn a_score_that_fell_says_train_again_and_one_that_held_does_not() {
    let (w, new) = penguins();
    let found = w.check(&new);
    let fine = found.feedback.unwrap();
    assert!(fine.drop < 0.05 && fine.now.interval.contains(fine.now.value), "{fine:?}");
    // Right answers that are others now: the inputs are as before, so only the score tells.
    let swapped = changed(&new, "species", |_, c| match c {
        "Adelie" => "Gentoo".to_owned(),
        "Gentoo" => "Adelie".to_owned(),
        other => other.to_owned(),
    });
    let found = w.check(&swapped);
    assert_eq!(drifting(&found), Vec::<&str>::new());
    assert_eq!(found.advice.action, Action::TrainAgain, "{:?}", found.alerts);
    let fell = found.feedback.unwrap();
    assert!(fell.certain && fell.drop > 0.5, "{fell:?}");
    // A threshold that the user sets higher is not reached.
    let mut options = Options::default();
    options.triggers.score_drop = 1.0;
    let found = w.check_with(&swapped, &options);
    assert_eq!(found.advice.action, Action::Look, "{:?}", found.advice);
}

#[test]
fn a_kept_reference_says_the_same_as_the_rows() {
    let (w, new) = penguins();
    let kept = monitor::reference::of_run(&w.run).expect("kept with the run");
    let file = kept.thinned();
    let shifted = changed(&new, "body_mass_g", |_, c| {
        c.parse::<f64>().map_or(c.to_owned(), |v| (v + 900.0).to_string())
    });
    for new in [&new, &shifted] {
        let exact = w.check(new);
        for reference in [&kept, &file] {
            let found =
                monitor::check(&w.model, reference, new, &Options::default(), &Progress::default())
                    .unwrap();
            let mut names = (drifting(&exact), drifting(&found));
            names.0.sort_unstable();
            names.1.sort_unstable();
            assert_eq!(names.0, names.1);
            assert_eq!(exact.advice.action, found.advice.action);
        }
    }
    // It travels in the exported file.
    let info = fp8_studio::export::ModelInfo::of_run(&w.run);
    assert_eq!(info.reference, Some(file));
}

#[test]
fn a_stale_split_column_or_other_rows_need_another_reference() {
    let (w, new) = penguins();
    std::fs::remove_file(w.run.path.join("reference.json")).unwrap();
    let other = part(&new, |r| r < 50);
    let e = monitor::reference::find(&w.run, &w.model, Some(&other), &Progress::default());
    assert!(e.unwrap_err().to_string().contains("not those that this model was trained on"));
    let options = Options { order_by: Some("nothing".to_owned()), ..Options::default() };
    let e = monitor::check(&w.model, &w.reference, &new, &options, &Progress::default());
    assert!(e.unwrap_err().to_string().contains("nothing"));
    let stopped = Progress::default();
    stopped.cancel.store(true, std::sync::atomic::Ordering::Relaxed);
    let e = monitor::check(&w.model, &w.reference, &new, &Options::default(), &stopped);
    assert!(e.is_err(), "it can be cancelled");
    let (images, _) = halves(20, 8, 1);
    let e =
        monitor::check(&w.model, &w.reference, &images, &Options::default(), &Progress::default());
    assert!(e.unwrap_err().to_string().contains("images"));
}

#[test]
fn texts_are_watched_by_length_and_words() {
    let mut random = Random::new(9);
    let mut texts = |words: &[&str], n: usize| -> Vec<String> {
        (0..n)
            .map(|_| {
                let count = 5 + (random.next() * 6.0) as usize;
                let word = |r: f64| words[(r * words.len() as f64) as usize % words.len()];
                (0..count).map(|_| word(random.next())).collect::<Vec<_>>().join(" ")
            })
            .collect()
    };
    let good = ["fresh", "sweet", "tasty", "warm", "crisp", "lovely", "great"];
    let bad = ["stale", "bitter", "cold", "soggy", "awful", "bland", "dry"];
    let table = |good: Vec<String>, bad: Vec<String>| {
        let (mut text, mut label) = (Column::new("review"), Column::new("verdict"));
        for (g, b) in good.iter().zip(&bad) {
            text.push(g);
            label.push("good");
            text.push(b);
            label.push("bad");
        }
        (text.kind, text.inferred) = (ColumnType::Text, ColumnType::Text);
        (label.kind, label.inferred) = (ColumnType::Category, ColumnType::Category);
        let lines = (2..2 + 2 * good.len() as u64).collect();
        let samples = Samples::Table(Table::new(vec![text, label], lines));
        Dataset { name: "reviews".to_owned(), samples, notes: Vec::new() }
    };
    let old = table(texts(&good, 150), texts(&bad, 150));
    let w = train(old, Some("verdict"), short());
    let same = w.check(&table(texts(&good, 100), texts(&bad, 100)));
    assert_eq!(same.advice.action, Action::Nothing, "{:#?}", same.alerts);
    let other = ["lecker", "frisch", "warm", "knusprig", "prima", "gut", "toll"];
    let found = w.check(&table(texts(&other, 100), texts(&bad, 100)));
    assert!(drifting(&found).contains(&"review: share of unknown words"), "{:?}", drifting(&found));
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fp8-studio"));
    let home = std::env::temp_dir().join("fp8-studio-tests");
    command.env("XDG_DATA_HOME", home).env_remove("FP8_STUDIO_LOG");
    command
}

#[test]
fn the_command_says_by_its_exit_code_how_bad_it_is() {
    let temp = tempfile::tempdir().unwrap();
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("projects/penguins/penguins.csv");
    let text = std::fs::read_to_string(&all).unwrap();
    let (head, rows) = text.split_once('\n').unwrap();
    let some = |keep: &dyn Fn(usize) -> bool| -> String {
        let kept: Vec<&str> =
            rows.lines().enumerate().filter(|(i, _)| keep(*i)).map(|(_, r)| r).collect();
        format!("{head}\n{}\n", kept.join("\n"))
    };
    let write = |name: &str, text: String| {
        let path = temp.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let first = coin(rows.lines().count());
    let old = write("old.csv", some(&|i| first[i]));
    let new = write("new.csv", some(&|i| !first[i]));
    let place = head.split(',').position(|c| c.contains("body_mass")).unwrap();
    let heavier = some(&|i| !first[i]);
    let heavier: Vec<String> = heavier
        .lines()
        .enumerate()
        .map(|(i, line)| {
            let mut cells: Vec<String> = line.split(',').map(str::to_owned).collect();
            if let Ok(v) = cells[place].parse::<f64>()
                && i > 0
            {
                cells[place] = (v * 1000.0).to_string();
            }
            cells.join(",")
        })
        .collect();
    let broken = write("broken.csv", heavier.join("\n") + "\n");
    let run = |args: &[&Path], more: &[&str]| {
        let output = program().args(args).args(more).output().unwrap();
        let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    };
    let command = |name: &'static str| Path::new(name);
    let trained =
        run(&[command("train"), &old], &["--target", "species", "--quiet", "--device", "cpu"]);
    assert_eq!(trained.0, 0, "{}", trained.2);
    let quiet = run(&[command("monitor"), &old, &new], &[]);
    assert_eq!(quiet.0, 0, "{}{}", quiet.1, quiet.2);
    assert!(quiet.1.contains("NOTHING TO DO"), "{}", quiet.1);
    let page = temp.path().join("page.html");
    let serious =
        run(&[command("monitor"), &old, &broken], &["--json", "--report", page.to_str().unwrap()]);
    assert_eq!(serious.0, 4, "{}{}", serious.1, serious.2);
    let json: serde_json::Value = serde_json::from_str(&serious.1).unwrap();
    assert_eq!(json["advice"]["action"], "repair_input");
    let html = std::fs::read_to_string(page).unwrap();
    assert!(html.contains("Repair the input first") && html.contains("1000 times"), "{html}");
    let past = run(&[command("monitor"), &old], &["--history", "--json"]);
    let checks: serde_json::Value = serde_json::from_str(&past.1).unwrap();
    assert_eq!(checks.as_array().map(Vec::len), Some(2), "{}", past.1);
    // A model file knows its reference, and a file without one asks for it.
    let model = temp.path().join("model.safetensors");
    let exported = run(&[command("export"), &old], &["-o", model.to_str().unwrap()]);
    assert_eq!(exported.0, 0, "{}", exported.2);
    assert_eq!(run(&[command("monitor"), &model, &broken], &[]).0, 4);
    assert_eq!(run(&[command("monitor"), &model, &new], &[]).0, 0);
    assert_eq!(
        run(&[command("monitor"), &model, &new], &["--reference", old.to_str().unwrap()]).0,
        0
    );
    let none = run(&[command("monitor"), &model], &["--history"]);
    assert!(none.0 == 1 && none.2.contains("no history"), "{}", none.2);
    assert_eq!(run(&[command("monitor"), &old, &new], &["--drifting", "0"]).0, 1);
    assert_eq!(run(&[command("monitor"), &old], &[]).0, 2);
}

#[test]
fn private_training_leaves_no_reference() {
    let (dataset, schema) = super::support::circle(400);
    let private = fp8_studio::train::Private { epsilon: 4.0, delta: None, clip: 1.0 };
    let config = TrainConfig { epochs: 2, private: Some(private), ..short() };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    summary(&rest(&begin(job((dataset, schema), config, &path))));
    let run = RunFolder::open(&path).unwrap();
    assert!(monitor::reference::of_run(&run).is_none());
    assert!(fp8_studio::export::ModelInfo::of_run(&run).reference.is_none());
}

#[test]
fn a_split_by_time_is_watched_too() {
    let path = known("nyc_flights.csv.gz");
    let all = data::open(&path, &ImportOptions::default(), &Progress::default()).unwrap();
    let schema =
        Schema::infer(&all, Some("late"), &[("arr_delay".to_owned(), ColumnType::Ignore)].into())
            .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let spring = part(&all, |r| r < all.len() / 2);
    let by_time = SplitConfig {
        method: SplitMethod::Time,
        column: Some("scheduled_departure".to_owned()),
        ..SplitConfig::default()
    };
    let mut work = job((spring.clone(), schema), TrainConfig { epochs: 2, ..short() }, &run);
    work.split = by_time;
    summary(&rest(&begin(work)));
    let run = RunFolder::open(&run).unwrap();
    let model = Model::of_run(&run).unwrap();
    let reference =
        monitor::reference::find(&run, &model, Some(&spring), &Progress::default()).unwrap();
    let autumn = part(&all, |r| r >= all.len() / 2);
    let by = Options { order_by: Some("scheduled_departure".to_owned()), ..Options::default() };
    let found = monitor::check(&model, &reference, &autumn, &by, &Progress::default()).unwrap();
    // The season shows, and time itself is not called drift.
    let names = drifting(&found);
    assert!(names.contains(&"month") && !names.contains(&"scheduled_departure"), "{names:?}");
    assert!(found.timeline.windows[0].dates.as_ref().unwrap()[0].starts_with("2013-0"));
}

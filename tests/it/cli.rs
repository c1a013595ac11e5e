//! The program from outside: what a person in a terminal does and sees.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use fp8_studio::data::{self, ImportOptions, Progress};
use fp8_studio::device::DeviceChoice;
use fp8_studio::engine;
use fp8_studio::eval;
use fp8_studio::plan::{self, PlanConfig};
use fp8_studio::train::{RunFolder, StopReason, checkpoint};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fp8-studio"));
    // Projects made from bare data stay away from the user's own.
    let home = std::env::temp_dir().join("fp8-studio-tests");
    command.env("XDG_DATA_HOME", home).env_remove("FP8_STUDIO_LOG");
    command
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn run<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Ran {
    ran(program().args(args).output().unwrap())
}

fn done<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Ran {
    let ran = run(args);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    ran
}

/// Refused with exit code 1, nothing on standard output, and advice; returns the message.
fn refused<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> String {
    let ran = run(args);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{}", ran.err);
    assert!(ran.err.contains("error: ") && ran.err.contains("next:"), "{}", ran.err);
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
    ran.err
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Penguins, copied, trained and exported once for all tests that only look.
struct Penguins {
    folder: PathBuf,
    run: PathBuf,
    model: PathBuf,
    report: serde_json::Value,
}

fn penguins() -> &'static Penguins {
    static ONCE: OnceLock<Penguins> = OnceLock::new();
    ONCE.get_or_init(|| {
        let temp = tempfile::tempdir().unwrap().keep();
        done(["samples", "penguins", text(&temp)]);
        let folder = temp.join("penguins");
        let run = temp.join("run");
        let trained = done([
            "train",
            text(&folder),
            "--device",
            "cpu",
            "--seed",
            "3",
            "--json",
            "--out",
            text(&run),
        ]);
        let model = temp.join("model.safetensors");
        done(["export", text(&run), "-o", text(&model)]);
        let report = serde_json::from_str(&trained.out).unwrap();
        Penguins { folder, run, model, report }
    })
}

#[test]
fn help_tells_a_newcomer_what_to_type() {
    let help = done(["--help"]).out;
    for part in ["Examples:", "fp8-studio train penguins", "Exit codes:", "window"] {
        assert!(help.contains(part), "{part}\n{help}");
    }
    for command in ["train", "check", "runs", "export", "predict", "info", "samples"] {
        assert!(help.contains(command));
        assert!(done([command, "--help"]).out.contains("Usage:"));
    }
    assert_eq!(run(["train"]).code, 2, "a missing argument");
    assert_eq!(run(["fly"]).code, 2, "no such command");
    assert!(done(["--version"]).out.contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn penguins_train_in_fp8_from_the_command_line() {
    let report = &penguins().report;
    assert_eq!(report["precision"], "current");
    let test = report["test"]["metrics"][0][1].as_f64().unwrap();
    assert!(test > 0.93, "{report:#}");
    assert!(report["baseline"].as_f64().unwrap() < 0.5);
}

#[test]
fn runs_of_a_project_are_listed() {
    let temp = tempfile::tempdir().unwrap();
    done(["samples", "penguins", text(temp.path())]);
    let folder = temp.path().join("penguins");
    let none = done(["runs", text(&folder)]).out;
    assert!(none.contains("no runs yet") && none.contains("fp8-studio train"), "{none}");
    for rate in ["0.001", "0.02"] {
        let args = ["train", text(&folder), "--device", "cpu", "--epochs", "2", "--lr", rate];
        done(args.into_iter().chain(["--quiet"]));
    }
    let list = done(["runs", text(&folder)]).out;
    for part in ["0.001", "0.02", "Accuracy", "FP8, current recipe", "done", "2 runs in"] {
        assert!(list.contains(part), "{part}\n{list}");
    }
    let json = done(["runs", text(&folder), "--json"]).out;
    let runs: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(runs.as_array().map(Vec::len), Some(2));
    assert_eq!(runs[1]["settings"]["epochs"], 2);
    assert!(runs[0]["summary"]["test"]["metrics"][0][1].as_f64().is_some());
    assert_eq!(done(["runs", text(&folder), "--tag", "none"]).out.matches("0.02").count(), 0);
    refused(["runs", text(&temp.path().join("nowhere"))]);
}

#[test]
fn the_results_are_shown_as_a_table() {
    let p = penguins();
    let temp = tempfile::tempdir().unwrap();
    let run = temp.path().join("run");
    let shown =
        done(["train", text(&p.folder), "--device", "cpu", "--epochs", "2", "--out", text(&run)]);
    for part in ["Accuracy", "validation", "test", "8-bit floating point", "fp8-studio export"] {
        assert!(shown.out.contains(part), "{part}\n{}", shown.out);
    }
    assert!(shown.err.contains("epoch 1/2") && shown.err.contains("epoch 2/2"), "{}", shown.err);
    let quiet = done([
        "train",
        text(&p.folder),
        "--device",
        "cpu",
        "--epochs",
        "2",
        "--quiet",
        "--precision",
        "f32",
        "--out",
        text(&temp.path().join("quiet")),
    ]);
    assert_eq!(quiet.err, "");
    assert!(quiet.out.contains("32-bit floating point"), "{}", quiet.out);
}

/// Every row of the table predicted by the file, against the live model: the run's own precision
/// and parameters.
#[test]
fn predictions_of_the_file_are_those_of_the_live_model() {
    let p = penguins();
    let table = p.folder.join("penguins.csv");
    let run = RunFolder::open(&p.run).unwrap();
    let record = &run.record;
    let dataset = data::open(&table, &ImportOptions::default(), &Progress::default()).unwrap();
    let all: Vec<u32> = (0..dataset.len() as u32).collect();
    let rows = record.preprocessor.transform(&dataset, &all).unwrap();
    let config = PlanConfig {
        batch: 32,
        precision: record.config.precision,
        optimizer: record.config.optimizer,
        update: record.config.update,
    };
    let plan = plan::compile(&record.model, &config).unwrap();
    let (mut engine, _) = engine::open(DeviceChoice::Cpu, plan).unwrap();
    engine.load_params(&run.best_params().unwrap()).unwrap();
    engine.prepare_eval().unwrap();
    let (outputs, _) = eval::outputs(engine.as_mut(), &rows).unwrap();
    let live = eval::softmax(&outputs, 3);
    let labels = eval::predicted_classes(&outputs, 3);

    let predicted = done(["predict", text(&p.model), text(&table)]).out;
    let mut csv = csv::Reader::from_reader(predicted.as_bytes());
    let classes = record.schema.task.classes();
    let header: Vec<String> = csv.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(header[..2], ["row", "prediction"]);
    for (class, name) in classes.iter().zip(&header[2..]) {
        assert_eq!(name, &format!("probability of {class}"));
    }
    let mut n = 0;
    for (i, line) in csv.records().enumerate() {
        let line = line.unwrap();
        assert_eq!(line[0], (i + 2).to_string());
        assert_eq!(line[1], classes[labels[i] as usize], "row {i}");
        for c in 0..3 {
            let p: f32 = line[2 + c].parse().unwrap();
            assert!((p - live[3 * i + c]).abs() <= 1e-6, "row {i}: {p} {}", live[3 * i + c]);
        }
        n += 1;
    }
    assert_eq!(n, 344);

    let file = p.model.with_file_name("predicted.csv");
    done(["predict", text(&p.model), text(&table), "-o", text(&file)]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), predicted);
}

/// A row is answered before the next one is sent, and all answers are those of the whole table.
#[test]
fn rows_from_standard_input_are_answered_one_by_one() {
    let p = penguins();
    let table = p.folder.join("penguins.csv");
    let whole = done(["predict", text(&p.model), text(&table)]).out;
    let mut child = program()
        .args(["predict", text(&p.model), "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    let mut from = BufReader::new(child.stdout.take().unwrap());
    let rows = std::fs::read_to_string(&table).unwrap();
    let mut rows = rows.split_inclusive('\n');
    let mut answers = String::new();
    for row in rows.by_ref().take(3) {
        to.write_all(row.as_bytes()).unwrap();
        to.flush().unwrap();
        if !row.starts_with("species") {
            // The first answer comes with the header above it.
            let lines = if answers.is_empty() { 2 } else { 1 };
            (0..lines).for_each(|_| assert_ne!(from.read_line(&mut answers).unwrap(), 0));
        }
    }
    let rest: String = rows.collect();
    // Read while writing, or both sides could wait for each other.
    let writer = std::thread::spawn(move || to.write_all(rest.as_bytes()).unwrap());
    from.read_to_string(&mut answers).unwrap();
    writer.join().unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(answers, whole);
}

#[test]
fn a_project_exports_its_newest_run() {
    let temp = tempfile::tempdir().unwrap();
    done(["samples", "penguins", text(temp.path())]);
    let folder = temp.path().join("penguins");
    let none = refused(["export", text(&folder)]);
    assert!(none.contains("no trained model") && none.contains("fp8-studio train"), "{none}");
    let train = ["train", text(&folder), "--device", "cpu", "--epochs", "1", "--quiet"];
    done(train);
    std::thread::sleep(Duration::from_millis(1100));
    done(train);
    let model = temp.path().join("m.safetensors");
    let report = done(["export", text(&folder), "-o", text(&model), "--json"]).out;
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["tensors"][0]["dtype"], "F8_E4M3");
    let mut runs: Vec<_> =
        std::fs::read_dir(folder.join("runs")).unwrap().map(|e| e.unwrap().path()).collect();
    runs.sort();
    assert_eq!(runs.len(), 2);
    let shown = done(["export", text(&folder), "-o", text(&model)]).out;
    assert!(shown.contains(text(&runs[1])), "{shown}");
    assert!(shown.contains("Proven"), "{shown}");
}

#[test]
fn a_run_outside_its_project_asks_for_the_data_where_it_needs_them() {
    let p = penguins();
    let out = p.folder.join("torch");
    let export = ["export", text(&p.run), "--to", "pytorch", "-o", text(&out)];
    let error = refused(export);
    assert!(error.contains("data are needed") && error.contains("--data"), "{error}");
    let german = concat!(env!("CARGO_MANIFEST_DIR"), "/projects/german_credit");
    let error = refused(export.into_iter().chain(["--data", german]));
    assert!(error.contains("trained on 344 rows, and the data have 1000"), "{error}");
    done(export.into_iter().chain(["--data", text(&p.folder)]));
    assert!(out.join("train.py").is_file());
}

#[test]
fn prediction_tables_and_models_that_do_not_fit_are_refused() {
    let p = penguins();
    let temp = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = temp.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let model = text(&p.model);
    let table = p.folder.join("penguins.csv");
    let whole = std::fs::read_to_string(&table).unwrap();

    let renamed =
        file("renamed.csv", whole.replacen("bill_depth_mm", "Bill Depth mm", 1).as_bytes());
    let message = refused(["predict", model, text(&renamed)]);
    assert!(message.contains("\"bill_depth_mm\"") && message.contains("Rename"), "{message}");
    assert!(message.contains("renamed.csv"), "{message}");

    let cut = file("cut.safetensors", &std::fs::read(&p.model).unwrap()[..3000]);
    assert!(refused(["predict", text(&cut), text(&table)]).contains("cut short"));
    assert!(refused(["predict", text(&table), text(&table)]).contains("not a usable model"));
    refused(["predict", "nothing.safetensors", text(&table)]);
    refused(["predict", model, "nothing.csv"]);
    refused(["predict", model, text(&table), "-o", text(&temp.path().join("no/where.csv"))]);

    // A class that training never saw is predicted as unknown, and said.
    let strange = whole.replace("Torgersen", "Atlantis");
    let strange = file("strange.csv", strange.as_bytes());
    let ran = done(["predict", model, text(&strange)]);
    assert!(ran.err.contains("\"island\""), "{}", ran.err);
    assert_eq!(ran.out.lines().count(), 345);

    // The answer may be missing, and columns may stand in any order.
    let mut reader = csv::Reader::from_reader(whole.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let mut writer = csv::Writer::from_writer(Vec::new());
    let keep: Vec<usize> = (0..headers.len()).rev().filter(|&c| &headers[c] != "species").collect();
    writer.write_record(keep.iter().map(|&c| &headers[c])).unwrap();
    for line in reader.records() {
        let line = line.unwrap();
        writer.write_record(keep.iter().map(|&c| &line[c])).unwrap();
    }
    let bare = file("bare.csv", &writer.into_inner().unwrap());
    let a = done(["predict", model, text(&bare)]).out;
    assert_eq!(a, done(["predict", model, text(&table)]).out);
}

#[test]
fn networks_for_pictures_are_refused_for_tables() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("run");
    let train = |flag: &str, value: &str| {
        let table = text(&penguins().folder);
        refused(["train", table, flag, value, "--device", "cpu", "--out", text(&out)])
    };
    assert!(train("--model", "cnn").contains("needs images"));
    assert!(train("--augment", "flip").contains("this is a table"));
    assert!(!out.exists());
}

#[test]
fn bad_tables_are_refused_with_their_row_and_advice() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    let write = |name: &str, content: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        text(&path).to_owned()
    };
    let out = folder.join("run");
    let train = |file: &str, more: &[&str]| -> Vec<String> {
        let fixed = ["train", file, "--device", "cpu", "--epochs", "1", "--out", text(&out)];
        fixed.iter().chain(more).map(|s| (*s).to_owned()).collect()
    };

    assert!(refused(train(&write("empty.csv", b""), &[])).contains("empty.csv"));
    refused(train(&write("header.csv", b"a,b,c\n"), &[]));
    let one = write("one.csv", b"a\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n");
    refused(train(&one, &[]));

    let mut missing = String::from("a,b,y\n");
    (0..30).for_each(|i| missing += &format!("{i},{},\n", i % 3));
    let message = refused(train(&write("missing.csv", missing.as_bytes()), &["--target", "y"]));
    assert!(message.contains("\"y\""), "{message}");
    let message = refused(train(&write("target.csv", missing.as_bytes()), &["--target", "z"]));
    assert!(message.contains("\"z\"") || message.contains("z"), "{message}");

    let mut huge = b"a,b,y\n1,2,x\n2,".to_vec();
    huge.extend(std::iter::repeat_n(b'w', 10_000_000));
    huge.extend(b",z\n");
    (0..30).for_each(|i| huge.extend(format!("{i},3,{}\n", ["x", "z"][i % 2]).into_bytes()));
    let ran = run(train(&write("huge.csv", &huge), &["--target", "y"]));
    assert!(ran.err.contains("row 3") || ran.err.contains("rows 3"), "{}: {}", ran.code, ran.err);
    assert!(!ran.err.contains("panicked"));

    let mut ragged = String::from("a,b,y\n");
    (0..40).for_each(|i| ragged += &format!("{i},{},{}\n", i * 7 % 5, ["x", "z"][i % 2]));
    ragged += "1,2\n1,2,x,9\n";
    let _ = std::fs::remove_dir_all(&out);
    let ran = run(train(&write("ragged.csv", ragged.as_bytes()), &["--target", "y"]));
    assert!(ran.err.contains("42") && ran.err.contains("43"), "{}: {}", ran.code, ran.err);

    // Windows-1252 bytes that are not UTF-8 are read, and it is said.
    let latin = ragged.replace("1,2\n1,2,x,9\n", "").replace("z", "caf\u{e9}");
    let latin: Vec<u8> = latin.chars().map(|c| c as u8).collect();
    let _ = std::fs::remove_dir_all(&out);
    let ran = done(train(&write("latin.csv", &latin), &["--target", "y"]));
    assert!(ran.err.to_lowercase().contains("windows-1252"), "{}", ran.err);
}

#[test]
fn sample_names_and_typing_slips_get_advice() {
    let message = refused(["train", "penguins"]);
    assert!(message.contains("fp8-studio samples penguins"), "{message}");
    assert!(refused(["samples", "pinguins"]).contains("penguins"));
    refused(["check", "no/such/folder"]);
    refused(["export", "no/such/folder"]);
    let p = penguins();
    let recipe = ["train", text(&p.folder), "--precision", "f32", "--recipe", "mx"];
    assert!(refused(recipe).contains("--recipe"));
    let lr = ["train", text(&p.folder), "--lr", "-1"];
    assert!(run(lr).code != 0);
    assert!(refused(["train", text(&p.folder), "--lr=-1"]).contains("learning rate"));
    assert!(
        refused(["train", text(&p.folder), "--resume", "--out", text(&p.run)]).contains("resume")
    );
    assert!(
        refused(["train", text(&p.folder), "--out", text(&p.run)]).contains("already holds a run")
    );
}

#[test]
fn check_tells_by_its_exit_code() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("t.csv");
    // The answer stands in a second column: a leak.
    let mut leak = String::from("a,b,copy,y\n");
    for i in 0..200 {
        let y = ["no", "yes"][usize::from((i * 7919) % 13 > 5)];
        leak += &format!("{},{},{y}{y},{y}\n", (i * 31) % 97, (i * 17) % 89);
    }
    std::fs::write(&path, leak).unwrap();
    let found = run(["check", text(&path), "--target", "y"]);
    assert_eq!(found.code, 4, "{}{}", found.out, found.err);
    assert!(found.out.contains("SERIOUS") && found.out.contains("\"copy\""), "{}", found.out);
    let json = run(["check", text(&path), "--target", "y", "--json"]);
    assert_eq!(json.code, 4);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert!(json["findings"].as_array().unwrap().iter().any(|f| f["severity"] == "high"));
    let code = run(["check", text(&penguins().folder)]).code;
    assert!([0, 3].contains(&code), "penguins have no serious problem: {code}");
}

#[test]
fn serious_findings_stop_training_until_fixed_or_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let rows: String = (0..300)
        .map(|i| {
            format!(
                "{},{},{}\n",
                i * 7919 % 1009,
                if i % 3 == 0 { 90 + i % 9 } else { i % 40 },
                ["b", "a", "a"][i % 3]
            )
        })
        .collect();
    std::fs::create_dir(dir.path().join("p")).unwrap();
    std::fs::write(dir.path().join("p/t.csv"), format!("x,leak,y\n{rows}")).unwrap();
    let project = "version = 1\nname = \"leaky\"\ndata = \"t.csv\"\ntarget = \"y\"\n";
    std::fs::write(dir.path().join("p/project.toml"), project).unwrap();
    let folder = dir.path().join("p");
    let train = ["train", text(&folder), "--device", "cpu", "--epochs", "1", "--quiet"];
    let message = refused(train);
    assert!(
        message.contains("\"leak\" alone predicts") && message.contains("--accept"),
        "{message}"
    );
    let seen = run(["check", text(&folder), "--quick"]);
    assert_eq!(seen.code, 4);
    assert!(seen.out.contains("--fix target_leakage:1"), "{}", seen.out);
    let accepted = [&train[..], &["--accept", "The leak is known beforehand"]].concat();
    done(accepted);
    let saved = std::fs::read_to_string(folder.join("project.toml")).unwrap();
    assert!(saved.contains("The leak is known beforehand"), "{saved}");
    let log = std::fs::read_to_string(folder.join("decisions.jsonl")).unwrap();
    assert!(log.contains("known beforehand"), "{log}");
    assert_eq!(run(["check", text(&folder), "--quick"]).code, 3, "accepted");

    std::fs::write(folder.join("project.toml"), project).unwrap();
    refused(train);
    let report = dir.path().join("report.html");
    let fixed = run([
        "check",
        text(&folder),
        "--quick",
        "--fix",
        "target_leakage:1",
        "--report",
        text(&report),
        "--croissant",
        text(&dir.path().join("c.json")),
    ]);
    assert_ne!(fixed.code, 4, "{}", fixed.out);
    done(train);
    let page = std::fs::read_to_string(report).unwrap();
    assert!(page.contains("Leave out &quot;leak&quot;") && page.contains("SHA-256"), "{page}");
    let c: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("c.json")).unwrap()).unwrap();
    assert_eq!(c["conformsTo"], "http://mlcommons.org/croissant/1.0");
    assert_eq!(c["distribution"][0]["sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn cross_validation_shows_the_spread() {
    let p = penguins();
    let shown = done([
        "train",
        text(&p.folder),
        "--device",
        "cpu",
        "--epochs",
        "5",
        "--folds",
        "3",
        "--quiet",
        "--json",
    ]);
    let spreads: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(spreads[0]["folds"].as_array().unwrap().len(), 3);
    assert!(refused(["train", text(&p.folder), "--folds", "1"]).contains("at least 2 folds"));
}

#[test]
fn info_names_every_adapter_with_a_passed_self_test() {
    let info = done(["info", "--json"]).out;
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    let adapters = info["adapters"].as_array().unwrap();
    assert!(!adapters.is_empty(), "no Vulkan adapter; tests/run installs one");
    for adapter in adapters {
        let probes = adapter["self_test"]["Ok"]["probes"].as_array().unwrap();
        assert!(!probes.is_empty() && probes.iter().all(|p| p["passed"] == true), "{adapter:#}");
    }
    let text = done(["info"]).out;
    assert!(text.contains("self-test: passed"), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
fn measured_speeds_of_kernels_are_shown_and_forgotten() {
    let temp = tempfile::tempdir().unwrap();
    let done = |args: &[&str]| {
        let cache = temp.path().join("cache");
        let ran = ran(program().args(args).env("XDG_CACHE_HOME", cache).output().unwrap());
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        ran.out
    };
    assert!(done(&["info", "--tuning"]).contains("nothing was measured yet"));
    done(&["samples", "penguins", text(temp.path())]);
    let folder = temp.path().join("penguins");
    let train = ["train", text(&folder), "--device", "gpu", "--epochs", "1", "--quiet"];
    let trained = |said: &str| {
        let mut program = program();
        program.args(train).env("XDG_CACHE_HOME", temp.path().join("cache"));
        let ran = ran(program.env("FP8_STUDIO_TUNING", said).output().unwrap());
        assert_eq!(ran.code, 0, "{}", ran.err);
    };
    trained("off");
    assert!(done(&["info", "--tuning"]).contains("nothing was measured yet"));
    trained("on");
    let shown = done(&["info", "--tuning"]);
    for part in ["gemm ", "quantise ", "16x16", "subgroups", " µs  used", "gpu-tuning.json"] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&done(&["info", "--tuning", "--json"])).unwrap();
    assert!(json["tuning"]["measured"][0]["choices"].as_object().unwrap().len() > 3);
    assert!(done(&["info", "--clear-tuning"]).contains("forgotten"));
    assert!(done(&["info", "--clear-tuning"]).contains("There were no"));
    assert!(done(&["info", "--tuning"]).contains("nothing was measured yet"));
}

#[test]
fn samples_are_listed() {
    let list = done(["samples"]).out;
    for id in ["penguins", "german_credit", "adult_census", "digits", "fashion_mnist"] {
        assert!(list.contains(id), "{list}");
    }
}

/// Starts a run that would take for ever and waits until it has saved a model, and a checkpoint to
/// resume from that is not the first.
#[cfg(unix)]
fn endless(folder: &Path, run: &Path) -> std::process::Child {
    let child = program()
        .args(["train", text(folder), "--device", "cpu", "--epochs", "1000000", "--json"])
        .args(["--lr", "1e-7", "--out", text(run)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let saved = |file: &str| {
        checkpoint::load_last(&run.join(file)).is_ok_and(|(_, position)| position.step > 0)
    };
    while !(run.join(checkpoint::BEST).exists() && saved(checkpoint::LAST)) {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing saved after a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

/// Patience off, so that only a signal ends the run.
#[cfg(unix)]
fn patient_penguins(folder: &Path) -> PathBuf {
    done(["samples", "penguins", text(folder)]);
    let project = folder.join("penguins");
    let mut opened = fp8_studio::project::Project::load(&project).unwrap();
    opened.train.patience = 0;
    opened.save().unwrap();
    project
}

#[cfg(unix)]
fn signal(child: &std::process::Child, name: &str) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_and_keeps_the_best_model() {
    let temp = tempfile::tempdir().unwrap();
    let project = patient_penguins(temp.path());
    let run = temp.path().join("run");
    let child = endless(&project, &run);
    signal(&child, "-INT");
    let ended = ran(child.wait_with_output().unwrap());
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.contains("\"stopped\""), "{}", ended.out);
    let record = RunFolder::open(&run).unwrap().record;
    assert_eq!(record.summary.unwrap().reason, StopReason::Stopped);
    done(["export", text(&run), "-o", text(&temp.path().join("m.safetensors"))]);
}

#[cfg(unix)]
#[test]
fn a_killed_run_is_resumed_from_its_last_checkpoint() {
    let temp = tempfile::tempdir().unwrap();
    let project = patient_penguins(temp.path());
    let run = temp.path().join("run");
    let mut child = endless(&project, &run);
    // No chance to tidy up.
    child.kill().unwrap();
    child.wait().unwrap();
    let folder = RunFolder::open(&run).unwrap();
    assert!(folder.interrupted(), "{:?}", folder.record.state);
    let child = program()
        .args(["train", text(&project), "--resume", "--out", text(&run)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while !RunFolder::open(&run).is_ok_and(|r| r.is_running()) {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not go on");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(500));
    signal(&child, "-TERM");
    let ended = ran(child.wait_with_output().unwrap());
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.err.contains("Resumed at step"), "{}", ended.err);
}

#[test]
fn a_run_tells_what_it_found_out_about_itself() {
    let temp = tempfile::tempdir().unwrap();
    done(["samples", "penguins", text(temp.path())]);
    let folder = temp.path().join("penguins");
    let train = |out: &str, more: &[&str]| {
        let out = temp.path().join(out);
        let mut args = vec!["train", text(&folder), "--device", "cpu", "--epochs", "12", "--quiet"];
        args.extend(["--shadow", "--what-if", "20", "--out", text(&out)]);
        args.extend(more);
        done(args).out
    };
    let shown = train("a", &[]);
    for part in [
        "Diagnosis: 8 bits do well",
        "Beside f32: Gap of the training loss to the same run in f32: ",
        "Gradients: at least 0.9",
        "Memory to train: ",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let json: serde_json::Value = serde_json::from_str(&train("b", &["--json"])).unwrap();
    let insight = &json["insight"];
    let what_if = insight["what_if"].as_array().unwrap();
    assert!(what_if.len() >= 6 && what_if.len().is_multiple_of(3), "{insight}");
    assert!(what_if.iter().all(|t| t["others"].as_array().unwrap().len() == 9));
    assert_eq!(insight["guard_actions"], serde_json::json!([]));
    assert!(insight["memory"]["measured"]["weight"].as_u64().unwrap() > 1000);
    assert!(insight["shadow"]["loss"][1].as_f64().unwrap() > 0.0);
}

#[test]
fn a_profile_has_every_kernel_of_a_step_and_shares_of_one() {
    let fast = ["bench", "--batch", "8", "--seconds", "0.01"];
    let ran = done(fast.iter().chain(&["--profile", "--json"]));
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let profiles = report["profiles"].as_array().unwrap();
    assert_eq!(profiles.len(), report["runs"].as_array().unwrap().len());
    for profile in profiles {
        let kernels = profile["kernels"].as_array().unwrap();
        let share: f64 = kernels.iter().map(|k| k["share"].as_f64().unwrap()).sum();
        assert!((share - 1.0).abs() < 1e-9, "{share}");
        // Forward, and the gradient of the weights: 784 inputs, 512 outputs, 8 rows.
        if profile["name"] != "fp8 mx, lean" {
            for name in ["Gemm 8 × 512 × 784", "Gemm 512 × 784 × 8"] {
                let gemm = kernels.iter().find(|k| k["name"] == name);
                assert_eq!(gemm.and_then(|k| k["calls"].as_u64()), Some(1), "{name}: {profile}");
            }
        }
    }
    let error = refused(fast.iter().chain(&["--profile", "--device", "gpu"]));
    assert!(error.contains("--device"), "{error}");
    refused(["bench", "--seconds=-1"]);
}

//! Bundles: what is in them, that changes are named, and that onnxruntime and the reference
//! implementation of model signing agree.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fp8_studio::data::preprocess::PrepConfig;
use fp8_studio::deploy::Model;
use fp8_studio::error::UserError;
use fp8_studio::export::{self, ExportFormat, ExportOptions, ExportReport};
use fp8_studio::fp8::{Precision, Recipe};
use fp8_studio::train::TrainConfig;
use fp8_studio::train::config::Architecture;

use crate::onnx::{Trained, trained};
use crate::support;

fn config() -> TrainConfig {
    let precision = Precision::Fp8(Recipe::current());
    TrainConfig { hidden: vec![19, 10], epochs: 4, batch_size: 32, precision, ..Default::default() }
}

fn bundle(t: &Trained, name: &str) -> (PathBuf, ExportReport) {
    let (path, key) = (t.folder.path().join(name), t.folder.path().join("key.pem"));
    let options = ExportOptions {
        key: Some(&key),
        licence: Some("MIT"),
        test_rows_as_golden: true,
        ..t.options()
    };
    let report = export::export_run_as(&t.run, &path, ExportFormat::Bundle, &options).unwrap();
    (path, report)
}

/// The Python that `tests/run` prepares.
fn python(arguments: &[&Path]) -> Output {
    let python = std::env::var("FP8_STUDIO_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    Command::new(&python).args(arguments).output().unwrap_or_else(|e| {
        panic!("{python} cannot be started: {e}; use tests/run, or set FP8_STUDIO_PYTHON")
    })
}

#[test]
fn bundles_hold_everything_and_predict() {
    let t = trained(support::circle(300), config(), PrepConfig::default());
    let (folder, report) = bundle(&t, "bundle");
    let (zip, _) = bundle(&t, "bundle.zip");
    let names: Vec<&str> = report.files.iter().map(|f| f.name.as_str()).collect();
    for name in [
        "model.safetensors",
        "model.onnx",
        "model-f32.onnx",
        "model-int8.onnx",
        "model-fp8-activations.onnx",
        "preprocessing.json",
        "labels.json",
        "golden.json",
        "croissant.json",
        "checksums.sha256",
        "README.md",
        "LICENSE",
        "check.py",
        "snippets/predict.py",
        "snippets/predict.mjs",
        "snippets/rust/src/main.rs",
        "model.sig",
        "signer.pub",
    ] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
        assert!(folder.join(name).is_file());
    }
    let alone = t.folder.path().join("alone.safetensors");
    export::export_run(&t.run, &alone).unwrap();
    let alone = Model::load(&alone).unwrap();
    for path in [&folder, &zip] {
        let model = Model::load(path).unwrap();
        assert_eq!(model.file(), alone.file());
        assert_eq!(model.signer().unwrap().len(), 64);
    }
    let card = std::fs::read_to_string(folder.join("README.md")).unwrap();
    for part in ["license: mit", "pipeline_tag: tabular-classification", "type: accuracy", "side"] {
        assert!(card.contains(part), "{part}: {card}");
    }
    // No path of this computer, and no row of the data unless asked for.
    for file in &report.files {
        let bytes = std::fs::read(folder.join(&file.name)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(t.folder.path().to_str().unwrap()), "{}", file.name);
    }
    let plain = t.folder.path().join("plain");
    export::export_run_as(&t.run, &plain, ExportFormat::Bundle, &t.options()).unwrap();
    let golden = std::fs::read_to_string(plain.join("golden.json")).unwrap();
    let (first, _) = golden.split_once("\"models\"").unwrap();
    assert!(first.contains("a value never seen"), "the rows are made up");
    assert!(!plain.join("model.sig").exists());
}

#[test]
fn a_changed_file_is_named_when_a_bundle_is_opened() {
    let t = trained(support::circle(200), config(), PrepConfig::default());
    let (folder, _) = bundle(&t, "bundle");
    let refusal = || {
        let user = UserError::from(Model::load(&folder).unwrap_err());
        assert_eq!(user.place.path.as_deref(), Some(folder.as_path()));
        user.what
    };
    for name in ["README.md", "model.safetensors", "snippets/predict.py"] {
        let path = folder.join(name);
        let whole = std::fs::read(&path).unwrap();
        let mut changed = whole.clone();
        let last = changed.len() - 1;
        changed[last] ^= 1;
        std::fs::write(&path, changed).unwrap();
        assert!(Model::load(&folder).is_err());
        if name != "model.safetensors" {
            assert!(refusal().contains(&format!("{name} was changed")));
        }
        std::fs::write(&path, whole).unwrap();
    }
    Model::load(&folder).unwrap();
    std::fs::write(folder.join("extra.txt"), "x").unwrap();
    assert!(refusal().contains("extra.txt was added"));
    std::fs::remove_file(folder.join("extra.txt")).unwrap();
    std::fs::remove_file(folder.join("LICENSE")).unwrap();
    assert!(refusal().contains("LICENSE is missing"));
}

#[test]
fn onnxruntime_agrees_on_all_test_rows() {
    let tables = PrepConfig { one_hot_limit: 4, text_words: 12, recipe: None };
    let cases = [
        ("mixed", support::mixed(500), tables),
        ("hills", support::hills(300), PrepConfig::default()),
        ("halves", support::halves(120, 6, 3), PrepConfig::default()),
        ("cnn", support::halves(120, 8, 3), PrepConfig::default()),
    ];
    for (name, data, prep) in cases {
        let architecture = match name {
            "cnn" => Architecture::SmallCnn,
            _ => Architecture::Auto,
        };
        let t = trained(data, TrainConfig { architecture, ..config() }, prep);
        let (folder, _) = bundle(&t, "bundle");
        let check = folder.join("check.py");
        let output = python(&[&check]);
        let (out, err) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{name}: {out}{err}");
        assert_eq!(out.matches(", ok").count(), 4, "{out}");

        // The comparison notices a wrong answer.
        let path = folder.join("golden.json");
        let mut golden: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let wanted = &mut golden["models"]["model.onnx"];
        if name == "hills" {
            wanted["value"][3] = (wanted["value"][3].as_f64().unwrap() + 5.0).into();
        } else {
            wanted["probabilities"][3] =
                (wanted["probabilities"][3].as_f64().unwrap() + 0.01).into();
        }
        std::fs::write(&path, golden.to_string()).unwrap();
        let output = python(&[&check, Path::new("model.onnx")]);
        assert!(!output.status.success(), "{name}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("WRONG"));
    }
}

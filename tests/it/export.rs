//! Model files: what is written, that it predicts as the live model, and what is refused.

use std::path::{Path, PathBuf};

use fp8_studio::data::preprocess::PrepConfig;
use fp8_studio::data::{Dataset, Encoded, Schema};
use fp8_studio::deploy::{Model, Prediction};
use fp8_studio::engine;
use fp8_studio::error::{ExportError, UserError};
use fp8_studio::eval;
use fp8_studio::export::{self, StoredValues};
use fp8_studio::fp8::{Format, Precision, Recipe};
use fp8_studio::model::Activation;
use fp8_studio::plan::{self, MasterFormat, MomentFormat, PlanConfig, UpdateOptions};
use fp8_studio::train::config::Hybrid;
use fp8_studio::train::{Architecture, RunFolder, TrainConfig};
use safetensors::{Dtype, SafeTensors};

use crate::support;

fn config(precision: Precision) -> TrainConfig {
    TrainConfig { hidden: vec![19, 10], epochs: 4, batch_size: 32, precision, ..Default::default() }
}

/// More than one block of 128 in both directions.
fn wide(recipe: Recipe) -> TrainConfig {
    TrainConfig { hidden: vec![150, 131], epochs: 1, ..config(Precision::Fp8(recipe)) }
}

pub fn fp8() -> Precision {
    Precision::Fp8(Recipe::current())
}

/// A trained run, its data and its exported file.
pub struct Exported {
    pub run: RunFolder,
    pub data: Dataset,
    pub path: PathBuf,
    _folder: tempfile::TempDir,
}

fn export(data: (Dataset, Schema), config: TrainConfig, prep: PrepConfig) -> Exported {
    let folder = tempfile::tempdir().unwrap();
    let dataset = data.0.clone();
    let mut job = support::job(data, config, &folder.path().join("run"));
    job.prep = prep;
    support::summary(&support::rest(&support::begin(job)));
    let run = RunFolder::open(&folder.path().join("run")).unwrap();
    let path = folder.path().join("out/model.safetensors");
    let report = export::export_run(&run, &path).unwrap();
    assert_eq!(report.bytes, std::fs::metadata(&path).unwrap().len());
    assert!(report.max_difference < 1e-5, "{}", report.max_difference);
    Exported { run, data: dataset, path, _folder: folder }
}

pub fn exported(precision: Precision) -> Exported {
    export(support::circle(300), config(precision), PrepConfig::default())
}

/// Outputs of the live model: the plan of the run, its precision, its best parameters.
fn live_outputs(run: &RunFolder, rows: &Encoded) -> Vec<f32> {
    let record = &run.record;
    let plan_config = PlanConfig {
        batch: 32,
        precision: record
            .summary
            .as_ref()
            .and_then(|s| s.precision)
            .unwrap_or(record.config.precision),
        optimizer: record.config.optimizer,
        update: record.config.update,
    };
    let plan = plan::compile(&record.model, &plan_config).unwrap();
    let (mut engine, _) = engine::open(fp8_studio::device::DeviceChoice::Cpu, plan).unwrap();
    engine.load_params(&run.best_params().unwrap()).unwrap();
    engine.prepare_eval().unwrap();
    eval::outputs(engine.as_mut(), rows).unwrap().0
}

/// Largest |Δ| between the live model and the file over all rows of the data.
fn difference(e: &Exported) -> f32 {
    let all: Vec<u32> = (0..e.data.len() as u32).collect();
    let rows = e.run.record.preprocessor.transform(&e.data, &all).unwrap();
    let live = live_outputs(&e.run, &rows);
    let mut predictor = Model::load(&e.path).unwrap().predictor().unwrap();
    let file = predictor.outputs(&rows).unwrap();
    assert_eq!(live.len(), file.len());
    live.iter().zip(&file).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn files_predict_as_the_live_model() {
    let ends = TrainConfig { high_precision_ends: true, ..config(fp8()) };
    let norm = TrainConfig {
        layer_norm: true,
        activation: Activation::Gelu,
        dropout: 0.1,
        ..config(Precision::Fp8(Recipe::delayed()))
    };
    let e5m2 = Precision::Fp8(Recipe { forward: Format::E5M2, ..Recipe::current() });
    let tables = PrepConfig { one_hot_limit: 1, ..PrepConfig::default() };
    let update = UpdateOptions {
        moments: MomentFormat::Fp8,
        master: MasterFormat::Bf16,
        average: Some(0.9),
        ..UpdateOptions::default()
    };
    let image = |architecture| TrainConfig {
        architecture,
        hidden: vec![16],
        ..config(Precision::Fp8(Recipe::block()))
    };
    // Ends in bf16, so that is what the file must hold.
    let hybrid = Some(Hybrid { first_share: 0.2, then: Precision::Bf16 });
    let cases = [
        ("bf16", support::circle(300), config(Precision::Bf16), PrepConfig::default()),
        (
            "averaged",
            support::circle(300),
            TrainConfig { update, ..config(fp8()) },
            PrepConfig::default(),
        ),
        (
            "hybrid",
            support::circle(300),
            TrainConfig { hybrid, ..config(fp8()) },
            PrepConfig::default(),
        ),
        ("fp8", support::circle(300), config(fp8()), PrepConfig::default()),
        ("f32", support::circle(300), config(Precision::F32), PrepConfig::default()),
        ("ends", support::circle(300), ends, PrepConfig::default()),
        ("norm", support::circle(300), norm, PrepConfig::default()),
        ("e5m2", support::circle(300), config(e5m2), PrepConfig::default()),
        ("tables", support::circle(300), config(fp8()), tables),
        (
            "rowwise",
            support::circle(300),
            config(Precision::Fp8(Recipe::rowwise())),
            PrepConfig::default(),
        ),
        ("block", support::circle(300), wide(Recipe::block()), PrepConfig::default()),
        ("mx", support::circle(300), wide(Recipe::mx()), PrepConfig::default()),
        ("regression", support::hills(300), config(fp8()), PrepConfig::default()),
        ("cnn", support::pictures(120), image(Architecture::SmallCnn), PrepConfig::default()),
        ("resnet", support::pictures(120), image(Architecture::ResNet), PrepConfig::default()),
        (
            "depthwise",
            support::pictures(120),
            image(Architecture::DepthwiseSeparable),
            PrepConfig::default(),
        ),
        (
            "cnn in bf16",
            support::pictures(120),
            TrainConfig { precision: Precision::Bf16, ..image(Architecture::SmallCnn) },
            PrepConfig::default(),
        ),
    ];
    for (name, data, config, prep) in cases {
        let e = export(data, config, prep);
        let d = difference(&e);
        assert!(d < 1e-5, "{name}: {d}");
    }
}

#[test]
fn predictions_do_not_depend_on_the_rows_beside() {
    let e = exported(fp8());
    let all: Vec<u32> = (0..e.data.len() as u32).collect();
    let prep = &e.run.record.preprocessor;
    let mut predictor = Model::load(&e.path).unwrap().predictor().unwrap();
    let together = predictor.predict_encoded(&prep.transform(&e.data, &all).unwrap()).unwrap();
    assert_eq!(together.len(), all.len());
    for size in [1, 7, 257] {
        let mut apart = Vec::new();
        for rows in all.chunks(size) {
            let rows = prep.transform(&e.data, rows).unwrap();
            apart.extend(predictor.predict_encoded(&rows).unwrap());
        }
        for (a, b) in together.iter().zip(&apart) {
            let (
                Prediction::Class { index: i, probabilities: p },
                Prediction::Class { index: j, probabilities: q },
            ) = (a, b)
            else {
                panic!("{a:?} {b:?}")
            };
            assert_eq!(i, j);
            assert!(p.iter().zip(q).all(|(p, q)| (p - q).abs() < 1e-6), "{p:?} {q:?}");
        }
    }
    let mut streamed = Vec::new();
    let mut next = 0;
    predictor
        .predict(&e.data, |start, some| {
            assert_eq!(start, next);
            next += some.len();
            streamed.extend_from_slice(some);
            Ok::<(), ExportError>(())
        })
        .unwrap();
    assert_eq!(streamed, together);
}

#[test]
fn regression_values_are_in_the_target_unit() {
    let e = export(
        support::hills(400),
        TrainConfig { epochs: 40, ..config(fp8()) },
        PrepConfig::default(),
    );
    let mut predictor = Model::load(&e.path).unwrap().predictor().unwrap();
    let mut sum = 0.0;
    predictor
        .predict(&e.data, |_, some| {
            for p in some {
                let Prediction::Value(v) = p else { panic!("{p:?}") };
                sum += v;
            }
            Ok::<(), ExportError>(())
        })
        .unwrap();
    let mean = sum / e.data.len() as f64;
    assert!((mean - 2000.0).abs() < 100.0, "{mean}");
}

#[test]
fn tensors_are_what_the_codec_makes_of_the_master_weights() {
    let e = exported(fp8());
    let bytes = std::fs::read(&e.path).unwrap();
    let raw = SafeTensors::deserialize(&bytes).unwrap();
    let model = Model::load(&e.path).unwrap();
    let master = e.run.best_params().unwrap();
    let mut fp8 = 0;
    for t in &model.file().tensors {
        let param = master.iter().find(|p| p.name == t.name).unwrap();
        match &t.values {
            StoredValues::F32(values) => {
                assert_eq!(values, &param.values, "{}", t.name);
                assert_eq!(raw.tensor(&t.name).unwrap().dtype(), Dtype::F32);
            }
            StoredValues::Fp8 { format, scales, codes, .. } => {
                let [scale] = scales[..] else { panic!("{} has {scales:?}", t.name) };
                fp8 += 1;
                assert_eq!(raw.tensor(&t.name).unwrap().dtype(), Dtype::F8_E4M3);
                let stored = raw.tensor(&format!("{}_scale", t.name)).unwrap();
                assert_eq!(stored.data(), scale.value().to_le_bytes());
                let amax = param.values.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
                assert!(amax / scale.value() <= format.max());
                assert!(amax / scale.value() > format.max() / 2.0);
                for (code, value) in codes.iter().zip(&param.values) {
                    assert_eq!(*code, format.encode(value / scale.value()));
                }
            }
        }
    }
    assert_eq!(fp8, 3, "all dense layers");
    let plain = exported(Precision::F32);
    let bytes = std::fs::read(&plain.path).unwrap();
    let raw = SafeTensors::deserialize(&bytes).unwrap();
    assert!(raw.iter().all(|(_, t)| t.dtype() == Dtype::F32));
}

#[test]
fn equal_runs_give_equal_files_that_name_no_folders() {
    let bytes = |e: &Exported| std::fs::read(&e.path).unwrap();
    let a = exported(fp8());
    let again = a.path.with_file_name("again.safetensors");
    export::export_run(&a.run, &again).unwrap();
    assert_eq!(bytes(&a), std::fs::read(&again).unwrap());
    let text = String::from_utf8_lossy(&bytes(&a)).into_owned();
    let folder = a.run.path.parent().unwrap().to_str().unwrap();
    assert!(!text.contains(folder), "the file tells where it was made");
}

#[test]
fn an_old_file_is_replaced_whole_and_nothing_else_is_left() {
    let e = exported(fp8());
    std::fs::write(&e.path, b"something old").unwrap();
    export::export_run(&e.run, &e.path).unwrap();
    Model::load(&e.path).unwrap();
    let folder = e.path.parent().unwrap();
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1);
    let taken = folder.join("taken");
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(taken.join("x"), b"x").unwrap();
    let error = export::export_run(&e.run, &taken).unwrap_err();
    assert!(matches!(error, ExportError::Io { .. }), "{error}");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 2, "no temporary file is left");
}

/// Writes a changed copy of a model file.
fn changed(e: &Exported, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let mut bytes = std::fs::read(&e.path).unwrap();
    change(&mut bytes);
    let path = e.path.with_file_name(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn header_end(bytes: &[u8]) -> usize {
    8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize
}

/// Replaces text in the header without moving anything.
fn edit_header(bytes: &mut [u8], from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let end = header_end(bytes);
    let at = bytes[..end].windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
}

#[test]
fn a_wrong_weight_fails_the_proof() {
    let e = exported(fp8());
    assert!(export::verify(&e.run, &e.path).unwrap().max_difference < 1e-5);
    let bytes = std::fs::read(&e.path).unwrap();
    let raw = SafeTensors::deserialize(&bytes).unwrap();
    let weight = raw.tensor("dense1.weight").unwrap().data();
    // The largest code of the first layer, made negative.
    let i = (0..weight.len()).max_by_key(|&i| weight[i] & 0x7f).unwrap();
    let at = weight.as_ptr() as usize - bytes.as_ptr() as usize + i;
    let path = changed(&e, "wrong.safetensors", |b| b[at] ^= 0x80);
    let error = export::verify(&e.run, &path).unwrap_err();
    assert!(error.to_string().contains("live model"), "{error}");
}

fn refusal(path: &Path) -> String {
    match Model::load(path) {
        Err(ExportError::Format { path: named, what }) => {
            assert_eq!(named, path);
            what
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn damaged_and_foreign_files_are_refused_with_a_reason() {
    let e = exported(fp8());
    let whole = std::fs::read(&e.path).unwrap();
    let (end, len) = (header_end(&whole), whole.len());
    for cut in [0, 5, 8, 9, 100, end - 1, end, end + 1, len - 1] {
        let path = changed(&e, "cut", |b| b.truncate(cut));
        let what = refusal(&path);
        assert!(what.contains("bytes") || what.contains("cut short"), "{cut}: {what}");
    }
    let say = |name: &str, change: &dyn Fn(&mut Vec<u8>)| refusal(&changed(&e, name, change));
    assert!(say("long", &|b| b.extend([0; 3])).contains("added to"));
    assert!(say("text", &|b| *b = b"just,a,table\n1,2,3\n".to_vec()).contains("safetensors"));
    assert!(say("zeros", &|b| b.fill(0)).contains("safetensors"));
    let newer = say("newer", &|b| edit_header(b, "\\\"version\\\":1", "\\\"version\\\":9"));
    assert!(newer.contains("newer version"), "{newer}");
    let moved = say("moved", &|b| edit_header(b, "\"dense1.weight\"", "\"dense9.weight\""));
    assert!(moved.contains("dense1.weight is missing"), "{moved}");
    let other = say("other", &|b| edit_header(b, "F8_E4M3", "F8_E5M2"));
    assert!(other.contains("F8_E5M2"), "{other}");
    let nan = say("nan", &|b| *b.last_mut().unwrap() = 0x7f);
    assert!(nan.contains("no number"), "{nan}");
    assert!(
        say("key", &|b| edit_header(b, "fp8_studio", "fp9_studio")).contains("another program")
    );

    let foreign = e.path.with_file_name("foreign");
    let data = [0u8; 8];
    let view = safetensors::tensor::TensorView::new(Dtype::F32, vec![2], &data).unwrap();
    std::fs::write(&foreign, safetensors::serialize([("a", view)], None).unwrap()).unwrap();
    assert!(refusal(&foreign).contains("another program"));

    let user = UserError::from(Model::load(&foreign).unwrap_err());
    assert_eq!(user.place.path.as_deref(), Some(foreign.as_path()));
    assert!(!user.advice.is_empty());
    let none = Model::load(Path::new("/nowhere/at all")).unwrap_err();
    assert!(matches!(none, ExportError::Io { .. }), "{none}");
    assert!(matches!(Model::load(e.path.parent().unwrap()), Err(ExportError::Format { .. })));
}

#[test]
fn scales_that_are_no_powers_of_two_are_refused() {
    let e = exported(fp8());
    let bytes = std::fs::read(&e.path).unwrap();
    let raw = SafeTensors::deserialize(&bytes).unwrap();
    let scale = raw.tensor("dense1.weight_scale").unwrap().data();
    let at = scale.as_ptr() as usize - bytes.as_ptr() as usize;
    for wrong in [0.3_f32, 0.0, -1.0, f32::NAN, f32::INFINITY, 1e-40] {
        let path = changed(&e, "scale", |b| b[at..at + 4].copy_from_slice(&wrong.to_le_bytes()));
        let what = refusal(&path);
        assert!(what.contains("dense1.weight_scale"), "{wrong}: {what}");
    }
}

#[test]
fn no_changed_byte_of_the_header_makes_reading_panic() {
    let e = exported(fp8());
    let whole = std::fs::read(&e.path).unwrap();
    let path = e.path.with_file_name("byte");
    for at in 0..header_end(&whole) {
        let mut bytes = whole.clone();
        bytes[at] ^= [1_u8, 2, 0x20, 0x80][at % 4];
        std::fs::write(&path, bytes).unwrap();
        if let Ok(model) = Model::load(&path) {
            // What still loads must also be safe to use.
            drop(model.predictor());
        }
    }
}

#[test]
fn tables_without_the_needed_columns_are_refused() {
    let e = exported(fp8());
    let mut predictor = Model::load(&e.path).unwrap().predictor().unwrap();
    let (other, _) = support::hills(20);
    let error = predictor.predict(&other, |_, _| Ok::<(), ExportError>(())).unwrap_err();
    let user = UserError::from(error);
    assert!(user.what.contains("\"colour\""), "{user}");
    assert!(!user.advice.is_empty());
}

//! ONNX files: graphs that go from raw cells to answers as the studio does, in every form.

use std::path::PathBuf;

use fp8_studio::data::preprocess::PrepConfig;
use fp8_studio::data::{Dataset, Schema};
use fp8_studio::deploy::{Model, Prediction};
use fp8_studio::error::ExportError;
use fp8_studio::eval::calibration::Isotonic;
use fp8_studio::eval::{Calibration, Calibrations};
use fp8_studio::export::onnx::graph::Model as Graph;
use fp8_studio::export::onnx::tensor::Data;
use fp8_studio::export::{self, ExportFormat, ExportOptions, Variant, proof};
use fp8_studio::fp8::{Format, Precision, Recipe};
use fp8_studio::model::Activation;
use fp8_studio::train::config::Architecture;
use fp8_studio::train::{RunFolder, TrainConfig};

use crate::support;

fn config(precision: Precision) -> TrainConfig {
    TrainConfig { hidden: vec![19, 10], epochs: 4, batch_size: 32, precision, ..Default::default() }
}

fn fp8() -> Precision {
    Precision::Fp8(Recipe::current())
}

/// A trained run and its data.
pub struct Trained {
    pub run: RunFolder,
    pub data: Dataset,
    pub folder: tempfile::TempDir,
}

pub fn trained(data: (Dataset, Schema), config: TrainConfig, prep: PrepConfig) -> Trained {
    let folder = tempfile::tempdir().unwrap();
    let dataset = data.0.clone();
    let mut job = support::job(data, config, &folder.path().join("run"));
    job.prep = prep;
    support::summary(&support::rest(&support::begin(job)));
    let run = RunFolder::open(&folder.path().join("run")).unwrap();
    Trained { run, data: dataset, folder }
}

impl Trained {
    pub fn options(&self) -> ExportOptions<'_> {
        ExportOptions { data: Some(&self.data), ..ExportOptions::default() }
    }

    fn export(&self, variant: Variant) -> PathBuf {
        let path = self.folder.path().join(format!("{variant}.onnx"));
        let format = ExportFormat::Onnx(variant);
        let report = export::export_run_as(&self.run, &path, format, &self.options()).unwrap();
        assert_eq!(report.bytes, std::fs::metadata(&path).unwrap().len());
        assert!(report.max_difference < 1e-4, "{report:?}");
        assert_eq!(report.rounding.is_none(), variant.exact());
        path
    }

    fn studio(&self) -> Vec<Prediction> {
        let path = self.folder.path().join("model.safetensors");
        export::export_run(&self.run, &path).unwrap();
        predictions(&path, &self.data)
    }
}

fn predictions(path: &std::path::Path, data: &Dataset) -> Vec<Prediction> {
    let mut list = Vec::new();
    let mut predictor = Model::load(path).unwrap().predictor().unwrap();
    predictor
        .predict(data, |_, some| {
            list.extend_from_slice(some);
            Ok::<(), ExportError>(())
        })
        .unwrap();
    list
}

/// Predictions with the graph itself, preprocessing included.
fn graph_predictions(path: &std::path::Path, data: &Dataset) -> Vec<Prediction> {
    let model = Model::load(path).unwrap();
    let rows: Vec<u32> = (0..data.len() as u32).collect();
    let prep = &model.info().preprocessor;
    let raw = prep.raw_inputs(data, &rows).unwrap();
    let classes = prep.task().classes();
    match model.graph().unwrap().answers(raw, rows.len()).unwrap() {
        export::onnx::Answers::Numbers(v) => v.into_iter().map(Prediction::Value).collect(),
        export::onnx::Answers::Classes { labels, probabilities } => labels
            .iter()
            .zip(probabilities.chunks(classes.len()))
            .map(|(label, p)| Prediction::Class {
                index: classes.iter().position(|c| c == label).unwrap(),
                probabilities: p.to_vec(),
            })
            .collect(),
    }
}

/// Largest difference of a probability or value; every class must be the same.
fn difference(a: &[Prediction], b: &[Prediction]) -> f64 {
    assert_eq!(a.len(), b.len());
    let mut worst = 0.0_f64;
    for (a, b) in a.iter().zip(b) {
        match (a, b) {
            (
                Prediction::Class { index: i, probabilities: p },
                Prediction::Class { index: j, probabilities: q },
            ) => {
                assert_eq!(i, j, "{p:?} {q:?}");
                let far = p.iter().zip(q).map(|(p, q)| f64::from((p - q).abs()));
                worst = far.fold(worst, f64::max);
            }
            (Prediction::Value(a), Prediction::Value(b)) => worst = worst.max((a - b).abs()),
            _ => panic!("{a:?} {b:?}"),
        }
    }
    worst
}

#[test]
fn graphs_predict_as_the_live_model_from_raw_cells() {
    let gelu = TrainConfig {
        layer_norm: true,
        activation: Activation::Gelu,
        high_precision_ends: true,
        ..config(fp8())
    };
    let silu = TrainConfig { activation: Activation::Silu, ..config(Precision::Bf16) };
    let e5m2 = Precision::Fp8(Recipe { forward: Format::E5M2, ..Recipe::current() });
    let wide = |recipe| TrainConfig {
        hidden: vec![150, 131],
        epochs: 1,
        ..config(Precision::Fp8(recipe))
    };
    let tables = PrepConfig { one_hot_limit: 4, text_words: 12, recipe: None };
    let images = |architecture| TrainConfig { architecture, epochs: 1, ..config(fp8()) };
    let mx =
        TrainConfig { precision: Precision::Fp8(Recipe::mx()), ..images(Architecture::SmallCnn) };
    let cases = [
        ("mixed", support::mixed(500), config(fp8()), PrepConfig::default()),
        ("tables", support::mixed(500), gelu, tables),
        ("f32", support::mixed(400), config(Precision::F32), PrepConfig::default()),
        ("silu", support::circle(200), silu, PrepConfig::default()),
        ("e5m2", support::circle(200), config(e5m2), PrepConfig::default()),
        ("rowwise", support::circle(200), wide(Recipe::rowwise()), PrepConfig::default()),
        ("block", support::circle(200), wide(Recipe::block()), PrepConfig::default()),
        ("mx", support::circle(200), wide(Recipe::mx()), PrepConfig::default()),
        ("hills", support::hills(300), config(fp8()), PrepConfig::default()),
        ("halves", support::halves(120, 6, 3), config(fp8()), PrepConfig::default()),
        ("cnn", support::halves(120, 8, 3), images(Architecture::SmallCnn), PrepConfig::default()),
        ("mx cnn", support::halves(60, 8, 1), mx, PrepConfig::default()),
        ("resnet", support::halves(60, 8, 1), images(Architecture::ResNet), PrepConfig::default()),
        (
            "separable",
            support::halves(60, 8, 3),
            images(Architecture::DepthwiseSeparable),
            PrepConfig::default(),
        ),
    ];
    for (name, data, config, prep) in cases {
        let regression = name == "hills";
        let t = trained(data, config, prep);
        let studio = t.studio();
        for variant in [Variant::Portable, Variant::F32] {
            let path = t.export(variant);
            let limit = if regression { 0.05 } else { 1e-5 };
            // The weights read back, and the graph with its own preprocessing.
            assert!(difference(&studio, &predictions(&path, &t.data)) < limit, "{name} {variant}");
            let d = difference(&studio, &graph_predictions(&path, &t.data));
            assert!(d < limit, "{name} {variant}: {d}");
        }
        let path = t.export(Variant::Int8);
        let d = difference(&predictions(&path, &t.data), &graph_predictions(&path, &t.data));
        assert!(d < if regression { 0.05 } else { 1e-5 }, "{name} int8: {d}");
    }
}

#[test]
fn activations_are_rounded_in_the_full_form_only_for_models_in_fp8() {
    let t = trained(support::circle(300), config(fp8()), PrepConfig::default());
    let path = t.export(Variant::Qdq);
    let graph = Graph::from_bytes(&std::fs::read(&path).unwrap()).unwrap();
    let count = |op: &str| graph.nodes.iter().filter(|n| n.op == op).count();
    assert_eq!((count("QuantizeLinear"), count("DequantizeLinear")), (3, 6));
    assert!(graph.nodes.iter().all(|n| n.attribute("saturate").is_none()));
    // Prediction goes through the graph, and rounding does something, though little.
    let (exact, rounded) = (t.studio(), predictions(&path, &t.data));
    assert_eq!(rounded, graph_predictions(&path, &t.data));
    assert_ne!(exact, rounded);
    let plain = trained(support::circle(200), config(Precision::F32), PrepConfig::default());
    let format = ExportFormat::Onnx(Variant::Qdq);
    let to = plain.folder.path().join("x.onnx");
    let error = export::export_run_as(&plain.run, &to, format, &plain.options()).unwrap_err();
    assert!(error.to_string().contains("not trained in FP8"), "{error}");
    let error = export::export_run_as(&t.run, &to, format, &ExportOptions::default()).unwrap_err();
    assert!(error.to_string().contains("data are needed"), "{error}");
    assert!(!to.exists());
}

#[test]
fn a_wrong_graph_fails_the_proof() {
    let t = trained(support::mixed(300), config(fp8()), PrepConfig::default());
    let path = t.export(Variant::Portable);
    assert!(export::verify(&t.run, &path).unwrap().max_difference < 1e-4);
    let good = Graph::from_bytes(&std::fs::read(&path).unwrap()).unwrap();
    let refused = |change: &dyn Fn(&mut Graph)| {
        let mut graph = good.clone();
        change(&mut graph);
        let wrong = path.with_file_name("wrong.onnx");
        std::fs::write(&wrong, graph.to_bytes()).unwrap();
        export::verify(&t.run, &wrong).unwrap_err().to_string()
    };
    // The largest weight of the last layer made negative; the weights read back notice it too.
    let weight = |g: &mut Graph| {
        for (name, tensor) in &mut g.initializers {
            if let (true, Data::E4M3(codes)) = (name == "output.weight", &mut tensor.data) {
                codes.iter_mut().for_each(|c| *c ^= 0x80);
            }
        }
    };
    assert!(refused(&weight).contains("differs"));
    // A median, a category and the order of the columns, which are in the graph only.
    let median = |g: &mut Graph| {
        for (_, tensor) in &mut g.initializers {
            if let (Data::F64(values), [1, _]) = (&mut tensor.data, &tensor.shape[..]) {
                values.iter_mut().for_each(|v| *v = *v * 1.5 + 1.0);
            }
        }
    };
    assert!(refused(&median).contains("differs"));
    let category = |g: &mut Graph| {
        use fp8_studio::export::onnx::graph::Attribute;
        for node in g.nodes.iter_mut().filter(|n| n.op == "LabelEncoder") {
            for (_, a) in &mut node.attributes {
                if let Attribute::Texts(keys) = a {
                    keys.iter_mut().for_each(|k| k.push('x'));
                }
            }
        }
    };
    assert!(refused(&category).contains("differs"));
}

#[test]
fn the_fp8_file_is_a_third_of_the_f32_file_at_most() {
    let config = TrainConfig { hidden: vec![512, 512], epochs: 1, ..config(fp8()) };
    let t = trained(support::halves(40, 28, 1), config, PrepConfig::default());
    let size = |v| std::fs::metadata(t.export(v)).unwrap().len() as f64;
    let share = size(Variant::Portable) / size(Variant::F32);
    assert!(share <= 0.3, "{share}");
    assert!(size(Variant::Int8) / size(Variant::F32) <= 0.3);
}

#[test]
fn damaged_and_foreign_files_are_refused_with_a_reason() {
    let t = trained(support::circle(200), config(fp8()), PrepConfig::default());
    let path = t.export(Variant::Portable);
    let whole = std::fs::read(&path).unwrap();
    let changed = path.with_file_name("changed.onnx");
    let say = |bytes: &[u8]| {
        std::fs::write(&changed, bytes).unwrap();
        match Model::load(&changed) {
            Err(ExportError::Format { path, what }) => {
                assert_eq!(path, changed);
                what
            }
            other => panic!("{other:?}"),
        }
    };
    assert!(say(&whole[..whole.len() / 2]).contains("cut short"));
    let edit = |change: &dyn Fn(&mut Graph)| {
        let mut graph = Graph::from_bytes(&whole).unwrap();
        change(&mut graph);
        say(&graph.to_bytes())
    };
    assert!(edit(&|g| g.metadata.clear()).contains("another program"));
    assert!(edit(&|g| g.initializers.retain(|(n, _)| n != "dense1.bias")).contains("dense1.bias"));
    let scale = edit(&|g| {
        for (name, tensor) in &mut g.initializers {
            if name == "dense1.weight_scale" {
                tensor.data = Data::F32(vec![0.3]);
            }
        }
    });
    assert!(scale.contains("power of two"), "{scale}");
    // No changed byte makes reading panic, nor predicting with what still reads.
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= [1_u8, 2, 0x20, 0x80][at % 4];
        std::fs::write(&changed, &bytes).unwrap();
        if let Ok(model) = Model::load(&changed) {
            let raw = model.info().preprocessor.raw_inputs(&t.data, &[0, 1]);
            if let (Some(graph), Ok(raw)) = (model.graph(), raw) {
                let _ = graph.answers(raw, 2);
            }
        }
    }
}

#[test]
fn answers_that_differ_are_seen() {
    let t = trained(support::circle(200), config(fp8()), PrepConfig::default());
    let info = export::open(&t.export(Variant::Portable)).unwrap().file.info;
    let answers = |p: f32, label: &str| export::onnx::Answers::Classes {
        labels: vec![label.to_owned()],
        probabilities: vec![p, 1.0 - p],
    };
    let found = proof::difference(&info, &answers(0.9, "in"), &answers(0.8, "out")).unwrap();
    assert_eq!((found.rows, found.same), (1, 0));
    assert!((found.max_difference - 0.1).abs() < 1e-6);
    assert!(proof::difference(&info, &answers(0.9, "in"), &answers(f32::NAN, "in")).is_err());
    let number = export::onnx::Answers::Numbers(vec![1.0]);
    assert!(proof::difference(&info, &answers(0.9, "in"), &number).is_err());
}

#[test]
fn a_known_temperature_is_part_of_the_graph() {
    let t = trained(support::circle(200), config(fp8()), PrepConfig::default());
    let mut file = export::open(&t.export(Variant::Portable)).unwrap().file;
    let one = Calibration::Temperature { temperature: 1.0 };
    let logits = [2.0_f32, -1.0, 0.5, 0.25];
    assert_ne!(
        one.apply(&logits, 2),
        Calibration::Temperature { temperature: 2.5 }.apply(&logits, 2)
    );
    let isotonic = vec![Isotonic::fit(&[0.2, 0.8], &[false, true])];
    file.info.calibration = Some(Calibrations { rows: 9, temperature: 2.5, isotonic });
    let written = export::onnx::write(&file, Variant::Portable, &[]).unwrap();
    let (read, graph) = export::onnx::read(&written.model.to_bytes()).unwrap();
    assert_eq!(read.info.calibration, file.info.calibration);
    let rows: Vec<u32> = (0..t.data.len() as u32).collect();
    let prep = &file.info.preprocessor;
    let raw = prep.raw_inputs(&t.data, &rows).unwrap();
    let feeds = export::onnx::feeds(&graph.ports, raw, rows.len()).unwrap();
    let out = export::onnx::run::run(&graph.model, &feeds, &[]).unwrap();
    let Data::F32(found) = &out[export::onnx::CALIBRATED].data else { panic!("no numbers") };
    let mut predictor =
        Model::load(&t.folder.path().join("portable.onnx")).unwrap().predictor().unwrap();
    let logits = predictor.outputs(&prep.transform(&t.data, &rows).unwrap()).unwrap();
    let wanted = Calibration::Temperature { temperature: 2.5 }.apply(&logits, 2);
    assert!(found.iter().zip(&wanted).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5));
}

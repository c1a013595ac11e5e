//! The folder for PyTorch, and the way back. That PyTorch trains with it is shown by
//! `tests/outside/pytorch.sh`, as PyTorch is too large to install for every test run.

use std::path::Path;

use fp8_studio::data::preprocess::PrepConfig;
use fp8_studio::deploy::Model;
use fp8_studio::export::{self, ExportFormat, pytorch};
use fp8_studio::fp8::{Precision, Recipe};
use fp8_studio::train::TrainConfig;
use safetensors::{Dtype, SafeTensors};
use serde_json::json;

use crate::onnx::trained;
use crate::support;

fn result(folder: &Path, test: f64) {
    let about = json!({
        "test_before": 0.5, "test": test, "best_epoch": 2, "processes": 2, "epochs": 3,
    });
    std::fs::write(folder.join("result/result.json"), about.to_string()).unwrap();
}

#[test]
fn a_result_comes_back_only_with_the_score_that_it_claims() {
    let tables = PrepConfig { one_hot_limit: 4, text_words: 12, recipe: None };
    for (data, precision) in
        [(support::mixed(400), Precision::Fp8(Recipe::mx())), (support::hills(300), Precision::F32)]
    {
        let config =
            TrainConfig { hidden: vec![19, 10], epochs: 4, precision, ..Default::default() };
        let t = trained(data, config, tables.clone());
        let folder = t.folder.path().join("torch");
        let report =
            export::export_run_as(&t.run, &folder, ExportFormat::Pytorch, &t.options()).unwrap();
        assert!(report.files.iter().any(|f| f.name == "train.py"));
        let settings: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
        match precision {
            Precision::Fp8(_) => {
                let recipe = &settings["settings"]["precision"]["fp8"];
                assert_eq!(
                    (&recipe["scaling"]["kind"], &recipe["forward"]),
                    (&json!("mx"), &json!("e4m3"))
                );
            }
            _ => assert_eq!(settings["settings"]["precision"], "f32"),
        }
        // The parts are those of the run.
        let summary = t.run.record.summary.clone().unwrap();
        let bytes = std::fs::read(folder.join("data/test.safetensors")).unwrap();
        let parts = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(parts.tensor("target").unwrap().shape(), [summary.test.rows]);
        assert_eq!(parts.tensor("categories").unwrap().dtype(), Dtype::I64);

        let out = folder.join("back.safetensors");
        let error = pytorch::import(&folder, &out).unwrap_err().to_string();
        assert!(error.contains("no result"), "{error}");
        std::fs::create_dir(folder.join("result")).unwrap();
        let weights = folder.join("result/weights.safetensors");
        std::fs::copy(folder.join("weights.safetensors"), &weights).unwrap();
        let (_, score) = summary.test.main().unwrap();
        result(&folder, score);
        let report = pytorch::import(&folder, &out).unwrap();
        let (_, found) = report.test.main().unwrap();
        assert!((found - score).abs() < 1e-9, "{found} {score}");
        let model = Model::load(&out).unwrap();
        assert!(model.info().created_by.contains("PyTorch"));
        assert_eq!(model.info().results.as_ref().unwrap().best_epoch, 2);
        std::fs::remove_file(&out).unwrap();

        result(&folder, score - 0.1);
        let error = pytorch::import(&folder, &out).unwrap_err().to_string();
        assert!(error.contains("PyTorch reported"), "{error}");
        result(&folder, score);
        let mut bytes = std::fs::read(&weights).unwrap();
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        std::fs::write(&weights, bytes).unwrap();
        let error = pytorch::import(&folder, &out).unwrap_err().to_string();
        assert!(error.contains("no number"), "{error}");
        assert!(!out.exists());
    }
}

//! Exported files seen from outside: Python's safetensors package and ml_dtypes.

use std::path::Path;
use std::process::Command;

use fp8_studio::deploy::Model;
use serde::Deserialize;

use crate::export::{exported, fp8};

/// Set by `tests/run` to a Python that has numpy, safetensors and ml_dtypes.
const PYTHON: &str = "FP8_STUDIO_PYTHON";

#[derive(Deserialize, Debug)]
struct Seen {
    dtypes: std::collections::BTreeMap<String, String>,
    shapes: std::collections::BTreeMap<String, Vec<usize>>,
    labels: Vec<String>,
    largest: f64,
    difference: f64,
}

fn python(model: &Path, rows: &Path) -> Result<Seen, String> {
    let python = std::env::var(PYTHON).unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/read_model.py");
    let output =
        Command::new(&python).arg(script).args([model, rows]).output().map_err(|e| {
            format!("{python} cannot be started: {e}; use tests/run, or set {PYTHON}")
        })?;
    if !output.status.success() {
        return Err(format!(
            "{python} failed; use tests/run, or set {PYTHON} to a Python with numpy, safetensors \
             and ml_dtypes\n{}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    serde_json::from_slice(&output.stdout).map_err(|e| e.to_string())
}

#[test]
fn python_sees_fp8_tensors_and_computes_the_same_outputs() {
    let e = exported(fp8());
    let all: Vec<u32> = (0..e.data.len() as u32).collect();
    let rows = e.run.record.preprocessor.transform(&e.data, &all).unwrap();
    let mut predictor = Model::load(&e.path).unwrap().predictor().unwrap();
    let mut outputs = predictor.outputs(&rows).unwrap();
    let file = e.path.with_file_name("rows.json");
    let write = |outputs: &[f32]| {
        let json = serde_json::json!({
            "rows": rows.rows, "dense": &*rows.dense, "outputs": outputs,
        });
        std::fs::write(&file, json.to_string()).unwrap();
    };
    write(&outputs);
    let seen = python(&e.path, &file).unwrap();
    for layer in ["dense1", "dense2", "output"] {
        assert_eq!(seen.dtypes[&format!("{layer}.weight")], "F8_E4M3");
        assert_eq!(seen.dtypes[&format!("{layer}.weight_scale")], "F32");
        assert_eq!(seen.dtypes[&format!("{layer}.bias")], "F32");
        assert_eq!(seen.shapes[&format!("{layer}.weight_scale")], [1]);
    }
    assert_eq!(seen.labels, ["in", "out"]);
    assert!(seen.difference < 1e-5 * seen.largest.max(1.0), "{seen:?}");

    // The comparison notices one wrong output.
    outputs[7] += 0.01;
    write(&outputs);
    assert!(python(&e.path, &file).unwrap().difference > 0.009);
}

//! A folder with which PyTorch goes on with a training, and the way back.
//!
//! The folder holds the network and the recipe (`config.json`), the weights in f32
//! (`weights.safetensors`), the three parts of the data as the preprocessing of the model encodes
//! them (`data/`), the model as it is now (`model.safetensors`), and two scripts. Training writes
//! `result/weights.safetensors` and `result/result.json`.

use std::path::{Path, PathBuf};

use ::safetensors::SafeTensors;
use ::safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::bundle::tree::Tree;
use super::model_file::Results;
use super::{
    ExportFormat, ExportOptions, ExportReport, FileReport, ModelFile, PendingFile, proof,
    safetensors,
};
use crate::data::{Encoded, TargetData};
use crate::error::{DataError, ExportError, Place};
use crate::eval::{self, Meaning};
use crate::fp8::Precision;
use crate::metrics::{MetricKind, Scores};
use crate::model::init::Param;
use crate::train::run_folder::RunFolder;

/// The model as it was when it left.
const MODEL: &str = "model.safetensors";
const WEIGHTS: &str = "weights.safetensors";
const RESULT: &str = "result/result.json";
const PARTS: [&str; 3] = ["train", "validation", "test"];
/// Largest accepted distance between the score that PyTorch reports and ours. Sums in another order
/// may move a row that lies on the edge; more is another model.
const TOLERANCE: f64 = 2e-3;

const TEMPLATES: [(&str, &str); 3] = [
    ("train.py", include_str!("files/train.py")),
    ("fp8_network.py", include_str!("files/fp8_network.py")),
    ("README.md", include_str!("files/README.md")),
];

fn refuse(what: impl Into<String>, advice: &str) -> ExportError {
    let (what, advice) = (what.into(), advice.to_owned());
    DataError::Invalid { what, place: Place::default(), advice }.into()
}

/// Writes the folder (or a zip file of it) for a run's best model.
pub(super) fn export(
    run: &RunFolder,
    path: &Path,
    options: &ExportOptions<'_>,
) -> Result<ExportReport, ExportError> {
    let data = options.data.ok_or_else(|| {
        refuse(
            "The data are needed to go on with training elsewhere",
            "Export from the project folder, or name it or its data with --data.",
        )
    })?;
    let record = &run.record;
    if data.len() != record.dataset_rows {
        return Err(refuse(
            format!(
                "The run was trained on {} rows, and the data have {}",
                record.dataset_rows,
                data.len()
            ),
            "Training can only go on with the same rows: name the data of that run.",
        ));
    }
    let staging = tempfile::tempdir()
        .map_err(|source| ExportError::Io { path: std::env::temp_dir(), source })?;
    let model = staging.path().join(MODEL);
    let report = super::export_run_as(run, &model, ExportFormat::Safetensors, options)?;
    let failed = |e: String| super::cannot(path, &e);
    let mut tree = Tree::default();
    let io = |source| ExportError::Io { path: model.clone(), source };
    tree.add(MODEL, std::fs::read(&model).map_err(io)?);
    let params = run.best_params()?;
    tree.add(WEIGHTS, params_bytes(&params).map_err(failed)?);
    let split = crate::data::Split::make(data, &record.schema, &record.split)?;
    for (part, rows) in PARTS.into_iter().zip([&split.train, &split.validation, &split.test]) {
        let encoded = record.preprocessor.transform(data, rows)?;
        let name = format!("data/{part}.safetensors");
        tree.add(&name, encoded_bytes(&encoded).map_err(failed)?);
    }
    let config = config(run).map_err(|e| failed(e.to_string()))?;
    tree.add("config.json", config);
    for (name, text) in TEMPLATES {
        tree.add(name, text.as_bytes().to_vec());
    }
    tree.write(path)?;
    let files = tree.sizes().map(|(name, bytes)| FileReport { name: name.to_owned(), bytes });
    Ok(ExportReport {
        path: path.to_owned(),
        format: ExportFormat::Pytorch,
        bytes: tree.bytes(),
        files: files.collect(),
        ..report
    })
}

fn config(run: &RunFolder) -> Result<Vec<u8>, serde_json::Error> {
    let record = &run.record;
    let mut settings = serde_json::to_value(&record.config)?;
    let best = record.summary.as_ref().and_then(|s| s.precision);
    // All fields of the recipe, where a project file may have only its name.
    let precision = match best.unwrap_or(record.config.precision) {
        Precision::Fp8(recipe) => json!({ "fp8": recipe }),
        Precision::Bf16 => json!("bf16"),
        Precision::F32 => json!("f32"),
    };
    if let Some(map) = settings.as_object_mut() {
        map.insert("precision".to_owned(), precision);
    }
    serde_json::to_vec_pretty(&json!({
        "project": record.project,
        "dataset": record.dataset,
        "target": record.preprocessor.target(),
        "labels": record.preprocessor.task().classes(),
        "target_scale": record.preprocessor.target_scale(),
        "model": record.model,
        "settings": settings,
    }))
}

type Stored = (String, Dtype, Vec<usize>, Vec<u8>);

fn bytes(data: &[Stored]) -> Result<Vec<u8>, String> {
    let views = data
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            let view = TensorView::new(*dtype, shape.clone(), bytes).map_err(|e| e.to_string())?;
            Ok((name.as_str(), view))
        })
        .collect::<Result<Vec<_>, String>>()?;
    ::safetensors::serialize(views, None).map_err(|e| e.to_string())
}

fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn i64_bytes(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|v| i64::from(*v).to_le_bytes()).collect()
}

fn params_bytes(params: &[Param]) -> Result<Vec<u8>, String> {
    let stored = |p: &Param| (p.name.clone(), Dtype::F32, p.shape.clone(), f32_bytes(&p.values));
    bytes(&params.iter().map(stored).collect::<Vec<_>>())
}

fn encoded_bytes(data: &Encoded) -> Result<Vec<u8>, String> {
    let target = match &data.target {
        TargetData::Classes(v) => (Dtype::I64, i64_bytes(v)),
        TargetData::Values(v) => (Dtype::F32, f32_bytes(v)),
        TargetData::None if data.rows == 0 => (Dtype::F32, Vec::new()),
        TargetData::None => return Err("a row has no target".to_owned()),
    };
    let named = |name: &str, dtype, shape, bytes| (name.to_owned(), dtype, shape, bytes);
    bytes(&[
        named("dense", Dtype::F32, vec![data.rows, data.dense_width], f32_bytes(&data.dense)),
        named(
            "categories",
            Dtype::I64,
            vec![data.rows, data.category_width],
            i64_bytes(&data.categories),
        ),
        named("target", target.0, vec![data.rows], target.1),
    ])
}

/// What PyTorch says of its training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TorchResult {
    /// Score on the test rows before.
    pub test_before: f64,
    /// Score on the test rows after.
    pub test: f64,
    /// Epoch of the weights, from 1.
    pub best_epoch: usize,
    /// Processes that trained.
    pub processes: usize,
}

/// What an import found and wrote.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImportReport {
    /// Model file written.
    pub path: PathBuf,
    /// What PyTorch said.
    pub said: TorchResult,
    /// Scores on the test rows, computed here.
    pub test: Scores,
}

/// Brings the result of a training in PyTorch back as a model file, once its score on the test rows
/// was found again here.
///
/// # Errors
/// A folder without a result, weights that do not fit the model, or a score that is not what
/// PyTorch reported.
pub fn import(folder: &Path, path: &Path) -> Result<ImportReport, ExportError> {
    let bad = |file: &Path, what: String| ExportError::Format { path: file.to_owned(), what };
    let read = |name: &str| {
        let file = folder.join(name);
        let bytes = std::fs::read(&file);
        bytes.map_err(|source| ExportError::Io { path: file.clone(), source }).map(|b| (file, b))
    };
    if !folder.join(RESULT).is_file() {
        return Err(refuse(
            format!("{} holds no result of a training", folder.display()),
            "Give the folder that `export --to pytorch` wrote, after its train.py has run.",
        ));
    }
    let (file, result) = read(RESULT)?;
    let said: TorchResult =
        serde_json::from_slice(&result).map_err(|e| bad(&file, format!("it is damaged ({e})")))?;
    let before = safetensors::read(&folder.join(MODEL))?;
    let (file, weights) = read("result/weights.safetensors")?;
    let params = read_params(&before, &weights).map_err(|e| bad(&file, e))?;
    let mut info = before.info;
    let meaning = Meaning::of(&info.preprocessor);
    let mut engine = proof::live(&info, &params, proof::ROWS)?;
    let mut scores = Vec::new();
    for part in ["validation", "test"] {
        let (file, bytes) = read(&format!("data/{part}.safetensors"))?;
        let rows = read_encoded(&bytes, meaning).map_err(|e| bad(&file, e))?;
        scores.push(eval::evaluate(engine.as_mut(), &rows, meaning)?.1);
    }
    let (Some(test), Some(validation)) = (scores.pop(), scores.pop()) else {
        return Err(bad(folder, "it holds no test rows".to_owned()));
    };
    let found = test.main().map_or(f64::NAN, |(_, value)| value);
    let edge = 2.0 / test.rows.max(1) as f64;
    // A score that is no number is not near either.
    let near = (found - said.test).abs() <= TOLERANCE.max(edge);
    if !near {
        let kind = test.main().map_or(MetricKind::Accuracy, |(kind, _)| kind);
        return Err(bad(
            folder,
            format!(
                "PyTorch reported {} {} on the test rows, but these weights give {}",
                kind.label(),
                kind.format(said.test),
                kind.format(found)
            ),
        ));
    }
    let baseline = info.results.as_ref().map_or(0.0, |r| r.baseline);
    info.created_by = format!("{}, trained on with PyTorch", info.created_by);
    info.results =
        Some(Results { best_epoch: said.best_epoch, validation, test: test.clone(), baseline });
    let file = ModelFile::from_engine(info, engine.as_mut())?;
    let bytes = safetensors::to_bytes(&file).map_err(|e| super::cannot(path, &e.to_string()))?;
    let pending = PendingFile::write(&bytes, path)?;
    proof::prove(engine.as_mut(), pending.temporary(), path)?;
    pending.finish()?;
    Ok(ImportReport { path: path.to_owned(), said, test })
}

fn floats(tensors: &SafeTensors<'_>, name: &str) -> Result<(Vec<usize>, Vec<f32>), String> {
    let view = tensors.tensor(name).map_err(|_| format!("tensor {name} is missing"))?;
    let (words, rest) = view.data().as_chunks::<4>();
    if view.dtype() != Dtype::F32 || !rest.is_empty() {
        return Err(format!("tensor {name} is not F32"));
    }
    let values: Vec<f32> = words.iter().map(|w| f32::from_le_bytes(*w)).collect();
    if values.iter().any(|v| !v.is_finite()) {
        return Err(format!("{name} has a value that is no number: the training diverged"));
    }
    Ok((view.shape().to_vec(), values))
}

fn whole(tensors: &SafeTensors<'_>, name: &str) -> Result<(Vec<usize>, Vec<u32>), String> {
    let view = tensors.tensor(name).map_err(|_| format!("tensor {name} is missing"))?;
    let (words, rest) = view.data().as_chunks::<8>();
    if view.dtype() != Dtype::I64 || !rest.is_empty() {
        return Err(format!("tensor {name} is not I64"));
    }
    let value = |w: &[u8; 8]| u32::try_from(i64::from_le_bytes(*w)).ok();
    let values: Option<Vec<u32>> = words.iter().map(value).collect();
    Ok((view.shape().to_vec(), values.ok_or(format!("{name} has a negative value"))?))
}

fn read_params(model: &ModelFile, bytes: &[u8]) -> Result<Vec<Param>, String> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| format!("it is damaged ({e})"))?;
    let param = |t: &super::StoredTensor| {
        let (shape, values) = floats(&tensors, &t.name)?;
        if shape != t.shape {
            return Err(format!("{} has the shape {shape:?}, not {:?}", t.name, t.shape));
        }
        Ok(Param { name: t.name.clone(), shape, values })
    };
    model.tensors.iter().map(param).collect()
}

fn read_encoded(bytes: &[u8], meaning: Meaning) -> Result<Encoded, String> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| format!("it is damaged ({e})"))?;
    let (dense_shape, dense) = floats(&tensors, "dense")?;
    let (category_shape, categories) = whole(&tensors, "categories")?;
    let (&[rows, dense_width], &[same, category_width]) = (&dense_shape[..], &category_shape[..])
    else {
        return Err("its rows are not matrices".to_owned());
    };
    let (count, target) = match meaning {
        Meaning::Classes(classes) if rows > 0 => {
            let (_, values) = whole(&tensors, "target")?;
            if values.iter().any(|v| *v as usize >= classes) {
                return Err("a target is no class".to_owned());
            }
            (values.len(), TargetData::Classes(values))
        }
        Meaning::Value { .. } if rows > 0 => {
            let (_, values) = floats(&tensors, "target")?;
            (values.len(), TargetData::Values(values))
        }
        _ => (0, TargetData::None),
    };
    if same != rows || count != rows {
        return Err("its parts have different numbers of rows".to_owned());
    }
    let unknown = Vec::new();
    let (dense, categories) = (dense.into(), categories.into());
    Ok(Encoded { rows, dense, dense_width, categories, category_width, target, unknown })
}

//! A model with everything that others need to use, check and judge it, as a folder or a zip file:
//! model files, preprocessing, class names, rows with their answers, checksums, a model card, a
//! description of the data, a signature, and short programs that predict.

mod card;
mod croissant;
mod golden;
pub mod signature;
pub mod tree;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

pub use self::signature::{Key, PUBLIC_KEY, SIGNATURE, sha256};
use self::tree::Tree;
use super::onnx::{Answers, Ports};
use super::{
    ExportFormat, ExportOptions, ExportReport, FileReport, ModelFile, ModelInfo, Variant, proof,
};
use crate::data::Dataset;
use crate::data::preprocess::{Fit, Inputs, LIMIT};
use crate::error::ExportError;
use crate::train::run_folder::RunFolder;

/// The model that this program reads back.
pub const MODEL: &str = "model.safetensors";
/// SHA-256 of every file but itself, the key and the signature, as `sha256sum` writes them.
pub const CHECKSUMS: &str = "checksums.sha256";
/// Made-up rows with answers.
const GOLDEN_ROWS: u32 = 48;

const TEMPLATES: [(&str, &str); 5] = [
    ("check.py", include_str!("files/check.py")),
    ("snippets/predict.py", include_str!("files/predict.py")),
    ("snippets/predict.mjs", include_str!("files/predict.mjs")),
    ("snippets/rust/Cargo.toml", include_str!("files/rust/Cargo.toml.txt")),
    ("snippets/rust/src/main.rs", include_str!("files/rust/main.rs.txt")),
];

/// Writes a bundle of a run's best model, a folder or a file that ends in `.zip`.
pub(super) fn export(
    run: &RunFolder,
    path: &Path,
    options: &ExportOptions<'_>,
) -> Result<ExportReport, ExportError> {
    let staging = tempfile::tempdir()
        .map_err(|source| ExportError::Io { path: std::env::temp_dir(), source })?;
    let mut reports = Vec::new();
    for (name, format) in [
        (MODEL, ExportFormat::Safetensors),
        ("model.onnx", ExportFormat::Onnx(Variant::Portable)),
        ("model-f32.onnx", ExportFormat::Onnx(Variant::F32)),
        ("model-int8.onnx", ExportFormat::Onnx(Variant::Int8)),
        ("model-fp8-activations.onnx", ExportFormat::Onnx(Variant::Qdq)),
    ] {
        match super::export_run_as(run, &staging.path().join(name), format, options) {
            Ok(report) => reports.push(report),
            // Not every model has this form.
            Err(ExportError::Data(_)) if format == ExportFormat::Onnx(Variant::Qdq) => {}
            Err(e) => return Err(e),
        }
    }
    let mut tree = Tree::default();
    for report in &reports {
        let name = report.path.file_name().map_or(String::new(), |n| n.to_string_lossy().into());
        let io = |source| ExportError::Io { path: report.path.clone(), source };
        tree.add(&name, std::fs::read(&report.path).map_err(io)?);
    }
    let file = super::open(&staging.path().join(MODEL))?.file;
    describe(&mut tree, &file, run, staging.path(), options, &reports)?;
    sign(&mut tree, &file.info, options)?;
    tree.write(path)?;
    // What was written is read and checked as a stranger would.
    let written = Tree::read(path)?;
    if options.key.is_some() {
        written.verify(path)?;
    }
    let safetensors = reports.into_iter().next();
    let bytes = written.bytes();
    let base = safetensors.ok_or_else(|| super::cannot(path, "it has no model"))?;
    Ok(ExportReport {
        path: path.to_owned(),
        format: ExportFormat::Bundle,
        bytes,
        files: written
            .sizes()
            .map(|(name, bytes)| FileReport { name: name.to_owned(), bytes })
            .collect(),
        needs: ExportFormat::Bundle.needs(),
        ..base
    })
}

/// Adds all files but the models and the signature.
fn describe(
    tree: &mut Tree,
    file: &ModelFile,
    run: &RunFolder,
    staging: &Path,
    options: &ExportOptions<'_>,
    reports: &[ExportReport],
) -> Result<(), ExportError> {
    let info = &file.info;
    let (made_up, all) = (info.preprocessor.examples(GOLDEN_ROWS as usize, 2), 0..GOLDEN_ROWS);
    let (data, rows): (&Dataset, Vec<u32>) = match (options.test_rows_as_golden, options.data) {
        (true, Some(data)) => {
            let record = &run.record;
            (data, crate::data::Split::make(data, &record.schema, &record.split)?.test)
        }
        _ => (&made_up, all.collect()),
    };
    let mut ports: Option<Ports> = None;
    let mut answers: Vec<(String, Answers)> = Vec::new();
    for report in reports.iter().filter(|r| matches!(r.format, ExportFormat::Onnx(_))) {
        let name = report.path.file_name().map_or(String::new(), |n| n.to_string_lossy().into());
        let opened = super::open(&staging.join(&name))?;
        let Some(graph) = opened.graph else { continue };
        answers.push((name, proof::answers(&opened.file, Some(&graph), data, &rows)?));
        ports = ports.or(Some(graph.ports));
    }
    let ports = ports.ok_or_else(|| super::cannot(&report_path(reports), "it has no graph"))?;
    let pretty = |value: &Value| serde_json::to_vec_pretty(value).unwrap_or_default();
    let golden = golden::json(file, &ports, data, &rows, &answers)?;
    tree.add("golden.json", serde_json::to_vec(&golden).unwrap_or_default());
    tree.add("preprocessing.json", pretty(&preprocessing(info, &ports)));
    tree.add("labels.json", pretty(&json!(info.preprocessor.task().classes())));
    tree.add("README.md", card::card(info, options.licence, reports).into_bytes());
    tree.add("LICENSE", licence(options.licence).into_bytes());
    let croissant = croissant::describe(info, options.data, options.data_path, options.licence)?;
    tree.add("croissant.json", pretty(&croissant));
    for (name, text) in TEMPLATES {
        tree.add(name, text.as_bytes().to_vec());
    }
    Ok(())
}

fn report_path(reports: &[ExportReport]) -> std::path::PathBuf {
    reports.first().map(|r| r.path.clone()).unwrap_or_default()
}

/// Adds checksums, the public key and the signature of everything.
fn sign(tree: &mut Tree, info: &ModelInfo, options: &ExportOptions<'_>) -> Result<(), ExportError> {
    let sums: String =
        tree.digests().iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect();
    tree.add(CHECKSUMS, sums.into_bytes());
    let Some(path) = options.key else { return Ok(()) };
    let key = Key::open(path)?;
    tree.add(PUBLIC_KEY, key.public_pem().as_bytes().to_vec());
    let digests: BTreeMap<String, String> = tree.digests();
    let signature = key
        .sign(&info.project, &digests)
        .map_err(|what| ExportError::Signature { path: path.to_owned(), what })?;
    tree.add(SIGNATURE, signature.into_bytes());
    Ok(())
}

fn licence(id: Option<&str>) -> String {
    match id {
        Some(id) => format!(
            "SPDX-License-Identifier: {id}\n\nThe text of this licence is at \
             https://spdx.org/licenses/{id}.html\n"
        ),
        None => {
            "No licence was chosen for this model. Without one, others may not copy, change or \
                 pass it on; ask the person who made it.\n\nWhoever made it can choose one: \
                 fp8-studio export … --licence MIT\n"
                .to_owned()
        }
    }
}

/// What every input of the graph holds.
fn preprocessing(info: &ModelInfo, ports: &Ports) -> Value {
    let prep = &info.preprocessor;
    let name = |column: &str| {
        ports.inputs.iter().find(|(c, _)| c == column).map_or(column.to_owned(), |p| p.1.clone())
    };
    let inputs: Vec<Value> = match prep.inputs() {
        Inputs::Pixels(p) => vec![json!({
            "input": name("image"),
            "kind": "image",
            "height": p.height,
            "width": p.width,
            "channels": p.channels(),
        })],
        Inputs::Columns(columns) => columns
            .iter()
            .map(|c| {
                let mut about = match &c.fit {
                    Fit::Number { median, squash, standard, .. } => json!({
                        "kind": "number",
                        "median": median,
                        "squash_unit": squash,
                        "mean": standard.mean,
                        "scale": standard.scale,
                    }),
                    Fit::Boolean { values, .. } => json!({ "kind": "yes_no", "values": values }),
                    Fit::Date { day_first, median, .. } => json!({
                        "kind": "date",
                        "unit": "days since 1970-01-01",
                        "day_first": day_first,
                        "median": median,
                    }),
                    Fit::OneHot { values, .. } => json!({ "kind": "category", "values": values }),
                    Fit::Embedding { values, .. } => {
                        json!({ "kind": "category", "values": values, "embedding": true })
                    }
                    Fit::Text { words, idf } => {
                        json!({ "kind": "text", "words": words, "idf": idf })
                    }
                };
                if let Some(map) = about.as_object_mut() {
                    map.insert("column".to_owned(), json!(c.name));
                    map.insert("input".to_owned(), json!(name(&c.name)));
                    map.insert("missing_is_marked".to_owned(), json!(c.fit.marks_missing()));
                }
                about
            })
            .collect(),
    };
    json!({
        "target": prep.target(),
        "labels": prep.task().classes(),
        "target_scale": prep.target_scale(),
        "limit": LIMIT,
        "rules": prep.rules(),
        "about_rules": "Changes done to cells, in order, before they go into an input.",
        "answer": ports.answer,
        "probabilities": ports.probabilities,
        "inputs": inputs,
    })
}

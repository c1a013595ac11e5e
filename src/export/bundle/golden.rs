//! Rows with the answers that the studio gives for them, to check any other program against.

use serde_json::{Value, json};

use crate::data::Dataset;
use crate::data::preprocess::{RawInput, RawValues};
use crate::error::ExportError;
use crate::export::ModelFile;
use crate::export::onnx::{Answers, Ports};

/// Rows as the graph takes them and the answers of every model file.
pub(super) fn json(
    file: &ModelFile,
    ports: &Ports,
    data: &Dataset,
    rows: &[u32],
    answers: &[(String, Answers)],
) -> Result<Value, ExportError> {
    let raw = file.info.preprocessor.raw_inputs(data, rows)?;
    let inputs: Vec<Value> =
        raw.into_iter().map(|input| self::input(ports, input, rows.len())).collect();
    let models: serde_json::Map<String, Value> =
        answers.iter().map(|(name, a)| (name.clone(), answer(a))).collect();
    Ok(json!({
        "about": "Inputs of the ONNX models by name, null for a number that is not known, and the \
                  answers that FP8 Studio gives for them with each model.",
        "rows": rows.len(),
        "answer": ports.answer,
        "inputs": inputs,
        "models": models,
    }))
}

fn input(ports: &Ports, input: RawInput, rows: usize) -> Value {
    let name = ports.inputs.iter().find(|(column, _)| *column == input.name);
    let name = name.map_or(&input.name, |(_, name)| name);
    match input.values {
        // JSON has no NaN; serde_json writes null for it.
        RawValues::Numbers(v) => {
            json!({ "name": name, "type": "float64", "shape": [rows, 1], "data": v })
        }
        RawValues::Texts(v) => {
            json!({ "name": name, "type": "string", "shape": [rows, 1], "data": v })
        }
        RawValues::Counts { width, counts } => {
            json!({ "name": name, "type": "float32", "shape": [rows, width], "data": counts })
        }
        RawValues::Pixels { shape: [h, w, c], pixels } => {
            json!({ "name": name, "type": "uint8", "shape": [rows, h, w, c], "data": pixels })
        }
    }
}

fn answer(answers: &Answers) -> Value {
    match answers {
        Answers::Classes { labels, probabilities } => {
            json!({ "label": labels, "probabilities": probabilities })
        }
        Answers::Numbers(values) => json!({ "value": values }),
    }
}

//! The model card, in the form of Hugging Face
//! (<https://huggingface.co/docs/hub/model-cards>).

use std::fmt::Write;

use crate::data::preprocess::Preprocessor;
use crate::export::{ExportReport, ModelInfo};
use crate::fp8::Precision;
use crate::model::Head;

/// Text that YAML reads as one string: JSON strings are YAML strings.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_else(|_| "\"\"".to_owned())
}

fn task(info: &ModelInfo) -> &'static str {
    match (info.preprocessor.image_shape(), info.model.head) {
        (Some(_), _) => "image-classification",
        (None, Head::Classes { .. }) => "tabular-classification",
        (None, Head::Regression) => "tabular-regression",
    }
}

/// Names that the hub knows metrics by.
fn metric(label: &str) -> String {
    label.to_lowercase().replace('²', "2").replace(|c: char| !c.is_alphanumeric(), "_")
}

/// `README.md`.
pub(super) fn card(info: &ModelInfo, licence: Option<&str>, reports: &[ExportReport]) -> String {
    let mut text = String::from("---\n");
    let fp8 = matches!(info.settings.precision, Precision::Fp8(_));
    // Writing to a string cannot fail.
    let mut line = |s: String| {
        let _ = writeln!(text, "{s}");
    };
    line(format!("license: {}", licence.map_or("other".to_owned(), str::to_lowercase)));
    if licence.is_none() {
        line("license_name: not-chosen".to_owned());
        line("license_link: LICENSE".to_owned());
    }
    line("library_name: onnx".to_owned());
    line(format!("pipeline_tag: {}", task(info)));
    line("tags:".to_owned());
    for tag in ["onnx", "safetensors", "fp8-studio"].into_iter().chain(fp8.then_some("fp8")) {
        line(format!("- {tag}"));
    }
    if let Some(results) = &info.results {
        line("model-index:".to_owned());
        line(format!("- name: {}", quoted(&info.project)));
        line("  results:".to_owned());
        line("  - task:".to_owned());
        line(format!("      type: {}", task(info)));
        line("    dataset:".to_owned());
        line(format!("      name: {}", quoted(&info.dataset)));
        line(format!("      type: {}", quoted(&info.dataset)));
        line("      split: test".to_owned());
        line("    metrics:".to_owned());
        for (kind, value) in &results.test.metrics {
            line(format!("    - type: {}", metric(kind.label())));
            line(format!("      name: {}", quoted(kind.label())));
            line(format!("      value: {value}"));
        }
    }
    line("---\n".to_owned());
    line(format!("# {}\n", info.project));
    line(body(info, reports));
    text
}

fn body(info: &ModelInfo, reports: &[ExportReport]) -> String {
    let prep: &Preprocessor = &info.preprocessor;
    let target = prep.target();
    let predicts = match info.model.head {
        Head::Classes { .. } => {
            let classes: Vec<&str> = prep.task().classes().iter().map(String::as_str).collect();
            format!("Predicts **{target}**: one of {}.", classes.join(", "))
        }
        Head::Regression => format!("Predicts **{target}**, a number."),
    };
    let takes = match prep.image_shape() {
        Some([w, h, c]) => format!("It takes images of {w} × {h} pixels with {c} channel(s)."),
        None => {
            format!("It takes {} columns: {}.", prep.columns().len(), prep.columns().join(", "))
        }
    };
    let mut text = format!("{predicts} {takes}\n\n");
    let widths: Vec<String> = info.settings.hidden.iter().map(usize::to_string).collect();
    let precision = match info.settings.precision {
        Precision::Fp8(recipe) => {
            format!("8-bit floating point (weights {})", recipe.forward.name())
        }
        Precision::Bf16 => "16-bit floating point (bf16)".to_owned(),
        Precision::F32 => "32-bit floating point".to_owned(),
    };
    let _ = write!(
        text,
        "## Training\n\nA network of {} parameters (hidden layers: {}), trained in {precision} on \
         \"{}\" by {}. Begun {}.\n\n",
        info.model.parameter_count(),
        if widths.is_empty() { "none".to_owned() } else { widths.join(", ") },
        info.dataset,
        info.created_by,
        info.trained,
    );
    if let Some(privacy) = &info.privacy {
        let _ = write!(
            text,
            "## Privacy\n\n{}. It covers the training steps, not the figures that prepare the \
             columns, nor settings chosen by looking at the data.\n\n",
            privacy.describe()
        );
    }
    if let Some(results) = &info.results {
        text += "## Results\n\n| | validation | test |\n|---|---|---|\n";
        for (kind, value) in &results.test.metrics {
            let validation =
                results.validation.get(*kind).map_or(String::new(), |v| kind.format(v));
            let _ = writeln!(text, "| {} | {validation} | {} |", kind.label(), kind.format(*value));
        }
        let _ = writeln!(
            text,
            "| rows | {} | {} |\n\nValidation rows chose the epoch; test rows were seen by nothing \
             before. Always giving the commonest answer, or the mean, scores {:.3}.\n",
            results.validation.rows, results.test.rows, results.baseline
        );
    }
    text += "## Files\n\n| file | what | proof |\n|---|---|---|\n";
    for report in reports {
        let name = report.path.file_name().map_or(String::new(), |n| n.to_string_lossy().into());
        let (_, term, _) = report.format.words();
        let needs = report.needs.map_or(String::new(), |n| format!(", {n} or newer"));
        let proof = report.proven().replace('\n', " ");
        let _ = writeln!(text, "| `{name}` | {term}{needs} | {proof} |");
    }
    text += "\n`model.onnx` takes raw cells, one input per column, and gives the answer with its \
             probabilities; `preprocessing.json` says what each input holds. `golden.json` has rows \
             with the answers that they must get, and `check.py` compares them:\n\n    \
             pip install onnxruntime numpy\n    python check.py\n\n\
             `snippets` has short programs in Python, JavaScript and Rust that predict.\n\n\
             ## Integrity\n\n`model.sig` signs every file with the key in `signer.pub`:\n\n    \
             pip install model-signing\n    model_signing verify key . --signature model.sig \
             --public_key signer.pub\n\n\
             ## Limits\n\nScores hold for rows like those it was trained on. Whoever uses it should \
             compare `signer.pub` with the key of the person who sent it, watch for data that \
             change, and not use it alone for decisions about people.\n";
    text
}

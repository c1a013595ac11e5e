//! Models in the ONNX format: a raw row goes in, column by column, and the answer with its
//! probabilities comes out. Preprocessing, class names and softmax are part of the graph.
//!
//! | input | type | holds |
//! |---|---|---|
//! | number | DOUBLE `[rows, 1]` | the number, NaN where missing |
//! | date | DOUBLE `[rows, 1]` | days since 1970-01-01, the time of day as a fraction; NaN where missing |
//! | category, yes/no | STRING `[rows, 1]` | the cell without spaces around it; empty where missing |
//! | text | FLOAT `[rows, words]` | how often every word of the vocabulary is in it |
//! | images | UINT8 `[rows, height, width, channels]` | pixels |
//!
//! Outputs: `label` (STRING `[rows]`) and `probabilities` (FLOAT `[rows, classes]`), with
//! `calibrated_probabilities` if the model's temperature is known, or `value` (DOUBLE `[rows, 1]`). Operator set 19 with `ai.onnx.ml` 2, which onnxruntime reads from 1.17 on.
//! The metadata entry `fp8_studio` is the JSON of [`super::ModelInfo`].

mod build;
pub mod graph;
mod image;
mod network;
mod prepare;
pub mod run;
pub mod tensor;
mod wire;

use std::fmt;

use serde::{Deserialize, Serialize};

use self::build::Builder;
use self::graph::Model;
use self::network::Outputs;
use self::run::Values;
use self::tensor::{Data, Tensor};
use super::model_file::{Blocks, Expected, ModelFile, StoredTensor, StoredValues};
use crate::data::preprocess::{RawInput, RawValues};
use crate::fp8::{Format, Precision, Scale};
use crate::model::Head;

/// Operator set of the graphs.
const OPSET: i64 = 19;
/// Operator set of the operators that map text.
const ML_OPSET: i64 = 2;
/// Version of the file format that goes with the operator set.
const IR_VERSION: i64 = 9;

/// Output of probabilities corrected by a temperature, of models that were evaluated.
pub const CALIBRATED: &str = "calibrated_probabilities";

const INFO: &str = super::safetensors::METADATA_KEY;
const VARIANT: &str = "fp8_studio_variant";
const INPUTS: &str = "fp8_studio_inputs";
const OUTPUTS: &str = "fp8_studio_outputs";

/// How the weights of a graph are kept and computed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// Weights as the model has them, in FP8 where it was trained so; decoded to multiply.
    Portable,
    /// Weights in f32: largest, loads everywhere.
    F32,
    /// Weights rounded to 8-bit whole numbers, a scale per output.
    Int8,
    /// As portable, with the inputs of every FP8 layer rounded to FP8 too.
    Qdq,
}

impl Variant {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Portable, Self::F32, Self::Int8, Self::Qdq];

    /// Oldest onnxruntime that computes such a graph.
    pub const fn needs(self) -> &'static str {
        match self {
            Self::Portable | Self::F32 | Self::Int8 | Self::Qdq => "onnxruntime 1.19",
        }
    }

    /// Whether it computes what the trained model computes, but for the order of sums.
    pub const fn exact(self) -> bool {
        matches!(self, Self::Portable | Self::F32)
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable",
            Self::F32 => "f32",
            Self::Int8 => "int8",
            Self::Qdq => "qdq",
        })
    }
}

fn scale_name(name: &str) -> String {
    format!("{name}_scale")
}

/// Names that a graph has to the outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// Column and input name, in the order of the inputs.
    pub inputs: Vec<(String, String)>,
    /// Class name, or the number.
    pub answer: String,
    /// Probabilities; `None` for a number.
    pub probabilities: Option<String>,
}

/// A graph that was made from a model.
#[derive(Debug, Clone)]
pub struct Written {
    /// The graph.
    pub model: Model,
    /// Layers with FP8 weights, and the value that enters each.
    pub fp8_inputs: Vec<(String, String)>,
}

/// The graph of a model. `input_scales` gives the scale of every FP8 layer's input, for
/// [`Variant::Qdq`] only.
pub fn write(
    file: &ModelFile,
    variant: Variant,
    input_scales: &[(String, Scale)],
) -> Result<Written, String> {
    let (info, prep) = (&file.info, &file.info.preprocessor);
    let classes = matches!(info.model.head, Head::Classes { .. });
    let outputs = Outputs {
        label: if classes { "label" } else { "value" }.to_owned(),
        probabilities: "probabilities".to_owned(),
        calibrated: CALIBRATED.to_owned(),
    };
    let mut taken =
        vec![outputs.label.clone(), outputs.probabilities.clone(), outputs.calibrated.clone()];
    taken.extend(file.tensors.iter().flat_map(|t| [t.name.clone(), scale_name(&t.name)]));
    taken.extend(info.model.nodes.iter().map(|n| format!("{}.input_scale", n.name)));
    let ports = Ports {
        inputs: prepare::names(prep, &taken),
        answer: outputs.label.clone(),
        probabilities: classes.then(|| outputs.probabilities.clone()),
    };
    let mut b = Builder::default();
    let prepared = prepare::prepare(&mut b, prep, &ports.inputs);
    let network = network::network(&mut b, file, variant, input_scales, prepared)?;
    network::head(&mut b, file, prep, &network.logits, &outputs);
    let json = |e: serde_json::Error| e.to_string();
    let mut model = b.model;
    model.ir_version = IR_VERSION;
    model.producer = ("fp8-studio".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    model.name = "model".to_owned();
    model.doc = format!(
        "{}: predicts {} from {} inputs. Made by {}; {} form, needs {} or newer.",
        info.project,
        prep.target(),
        ports.inputs.len(),
        info.created_by,
        variant,
        variant.needs(),
    );
    model.opsets = vec![(String::new(), OPSET)];
    if model.nodes.iter().any(|n| n.domain == graph::ML) {
        model.opsets.push((graph::ML.to_owned(), ML_OPSET));
    }
    model.metadata = vec![
        (INFO.to_owned(), serde_json::to_string(info).map_err(json)?),
        (VARIANT.to_owned(), variant.to_string()),
        (INPUTS.to_owned(), serde_json::to_string(&ports.inputs).map_err(json)?),
        (
            OUTPUTS.to_owned(),
            serde_json::to_string(&(&ports.answer, &ports.probabilities)).map_err(json)?,
        ),
    ];
    Ok(Written { model, fp8_inputs: network.fp8_inputs })
}

/// A graph of ours that was read.
#[derive(Debug, Clone)]
pub struct Graph {
    /// The graph.
    pub model: Model,
    /// Its form.
    pub variant: Variant,
    /// Its names.
    pub ports: Ports,
}

/// Whether a file begins as ONNX files do.
pub fn looks_like(head: &[u8]) -> bool {
    // The first field is the version of the format, a small number.
    matches!(head, [0x08, 1..=127, ..])
}

/// Reads a graph of ours with the model that it was made from.
pub fn read(bytes: &[u8]) -> Result<(ModelFile, Graph), String> {
    let model = Model::from_bytes(bytes)?;
    let meta = |key: &str| {
        model.meta(key).ok_or(
            "it is an ONNX file of another program; only files exported here hold what is needed \
             to predict",
        )
    };
    let mut info = super::safetensors::info_from_json(meta(INFO)?)?;
    let damaged = |e: serde_json::Error| format!("its description is damaged ({e})");
    let text = meta(VARIANT)?;
    let variant = Variant::ALL.into_iter().find(|v| v.to_string() == text);
    let variant = variant.ok_or(format!("its form \"{text}\" is not known"))?;
    let (answer, probabilities) = serde_json::from_str(meta(OUTPUTS)?).map_err(damaged)?;
    let inputs = serde_json::from_str(meta(INPUTS)?).map_err(damaged)?;
    let ports = Ports { inputs, answer, probabilities };
    let tensors = info
        .expected()?
        .iter()
        .map(|e| stored(&model, e, variant))
        .collect::<Result<Vec<_>, String>>()?;
    if !tensors.iter().any(|t| matches!(t.values, StoredValues::Fp8 { .. })) {
        info.settings.precision = Precision::F32;
    }
    Ok((ModelFile { info, tensors }, Graph { model, variant, ports }))
}

/// Whether scales do not apply to whole rows, so that they are spread to every value first.
fn spread(blocks: &Blocks, scales: usize) -> bool {
    scales > 1 && (blocks.across > 1 || blocks.block_rows > 1)
}

/// Shape of a weight in a graph: filters `[out, height, width, in]` become `[out, in, height,
/// width]`, so that optimisers find codes, scale and product side by side.
fn stored_shape(shape: &[usize]) -> Vec<usize> {
    match *shape {
        [out, height, width, depth] => vec![out, depth, height, width],
        _ => shape.to_vec(),
    }
}

/// Values of a weight in the order of [`stored_shape`].
fn to_stored<T: Copy>(values: &[T], shape: &[usize]) -> Vec<T> {
    let &[_, height, width, depth] = shape else { return values.to_vec() };
    let filter = (height * width * depth).max(1);
    let turn = |f: &[T]| {
        (0..depth).flat_map(|d| f.iter().skip(d).step_by(depth).copied()).collect::<Vec<T>>()
    };
    values.chunks(filter).flat_map(turn).collect()
}

/// The way back from [`to_stored`].
fn from_stored<T: Copy>(values: &[T], shape: &[usize]) -> Vec<T> {
    let &[_, height, width, depth] = shape else { return values.to_vec() };
    let (filter, area) = ((height * width * depth).max(1), (height * width).max(1));
    let turn = |f: &[T]| {
        (0..area).flat_map(|a| f.iter().skip(a).step_by(area).copied()).collect::<Vec<T>>()
    };
    values.chunks(filter).flat_map(turn).collect()
}

fn stored(model: &Model, expected: &Expected, variant: Variant) -> Result<StoredTensor, String> {
    let name = &expected.name;
    let find = |name: &str| model.initializer(name).ok_or(format!("tensor {name} is missing"));
    let tensor = find(name)?;
    let fp8_codes = matches!(tensor.data, Data::E4M3(_) | Data::E5M2(_));
    let is_spread = expected.fp8.is_some_and(|(_, b)| fp8_codes && spread(&b, b.down * b.across));
    let shape = if is_spread { expected.shape.clone() } else { stored_shape(&expected.shape) };
    if tensor.shape != shape {
        return Err(format!(
            "tensor {name} has the shape {:?} where {shape:?} belongs",
            tensor.shape
        ));
    }
    let scales = || match &find(&scale_name(name))?.data {
        Data::F32(scales) => Ok(scales),
        _ => Err(format!("the scale of {name} is no F32")),
    };
    let wrong = || format!("tensor {name} is {} in the {variant} form", tensor.data.kind().name());
    let values = match (&tensor.data, expected.fp8) {
        (Data::F32(values), _) => StoredValues::F32(from_stored(values, &expected.shape)),
        (Data::E4M3(codes) | Data::E5M2(codes), Some((format, blocks))) => {
            let is = matches!(tensor.data, Data::E4M3(_)) == (format == Format::E4M3);
            let scales: Option<Vec<Scale>> =
                scales()?.iter().map(|v| super::safetensors::power_of_two(*v)).collect();
            let scales = scales.ok_or(format!("a scale of {name} is no power of two"))?;
            if !is || scales.len() != blocks.down * blocks.across {
                return Err(wrong());
            }
            let codes = if is_spread { codes.clone() } else { from_stored(codes, &expected.shape) };
            StoredValues::Fp8 { format, blocks, scales, codes }
        }
        (Data::I8(codes), _) => {
            let scales = scales()?;
            let rows = expected.shape.first().copied().unwrap_or(0);
            if scales.len() != rows || rows == 0 {
                return Err(wrong());
            }
            let width = (codes.len() / rows).max(1);
            let row = |(codes, scale): (&[i8], &f32)| {
                codes.iter().map(|c| f32::from(*c) * scale).collect::<Vec<_>>()
            };
            let values: Vec<f32> = codes.chunks(width).zip(scales).flat_map(row).collect();
            StoredValues::F32(from_stored(&values, &expected.shape))
        }
        _ => return Err(wrong()),
    };
    let finite = match &values {
        StoredValues::F32(values) => values.iter().all(|v| v.is_finite()),
        StoredValues::Fp8 { format, codes, .. } => {
            codes.iter().all(|c| format.decode(*c).is_finite())
        }
    };
    if !finite {
        return Err(format!("{name} has a value that is no number"));
    }
    Ok(StoredTensor { name: name.clone(), shape: expected.shape.clone(), values })
}

/// Raw inputs under the names of a graph.
pub fn feeds(ports: &Ports, inputs: Vec<RawInput>, rows: usize) -> Result<Values, String> {
    let mut values = Values::new();
    for input in inputs {
        let (_, name) = ports
            .inputs
            .iter()
            .find(|(column, _)| *column == input.name)
            .ok_or(format!("the graph has no input for {}", input.name))?;
        let tensor = match input.values {
            RawValues::Numbers(v) => Tensor::new(vec![rows, 1], Data::F64(v)),
            RawValues::Texts(v) => Tensor::new(vec![rows, 1], Data::Text(v)),
            RawValues::Counts { width, counts } => {
                Tensor::new(vec![rows, width], Data::F32(counts))
            }
            RawValues::Pixels { shape: [h, w, c], pixels } => {
                Tensor::new(vec![rows, h, w, c], Data::U8(pixels))
            }
        };
        values.insert(name.clone(), tensor?);
    }
    Ok(values)
}

/// What a graph says about rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Answers {
    /// Class names, and probabilities `[rows, classes]`.
    Classes {
        /// The most probable class of every row.
        labels: Vec<String>,
        /// Probability of every class.
        probabilities: Vec<f32>,
    },
    /// Numbers in the target's unit.
    Numbers(Vec<f64>),
}

impl Graph {
    /// Computes rows with the evaluator of this program.
    pub fn answers(&self, inputs: Vec<RawInput>, rows: usize) -> Result<Answers, String> {
        let mut out = run::run(&self.model, &feeds(&self.ports, inputs, rows)?, &[])?;
        let mut take = |name: &str| out.remove(name).map(|t| t.data);
        match (&self.ports.probabilities, take(&self.ports.answer)) {
            (Some(name), Some(Data::Text(labels))) => match take(name) {
                Some(Data::F32(probabilities)) => Ok(Answers::Classes { labels, probabilities }),
                _ => Err("it gives no probabilities".to_owned()),
            },
            (None, Some(Data::F64(values))) => Ok(Answers::Numbers(values)),
            _ => Err("it gives no answer".to_owned()),
        }
    }
}

/// The smallest scales for which no input of an FP8 layer saturates on these rows.
pub fn calibrate(
    file: &ModelFile,
    inputs: Vec<RawInput>,
    rows: usize,
) -> Result<Vec<(String, Scale)>, String> {
    let written = write(file, Variant::Portable, &[])?;
    let ports: Vec<(String, String)> =
        serde_json::from_str(written.model.meta(INPUTS).unwrap_or("[]"))
            .map_err(|e| e.to_string())?;
    let ports = Ports { inputs: ports, answer: String::new(), probabilities: None };
    let wanted: Vec<&str> = written.fp8_inputs.iter().map(|(_, value)| value.as_str()).collect();
    let values = run::run(&written.model, &feeds(&ports, inputs, rows)?, &wanted)?;
    let scale = |(layer, value): &(String, String)| {
        let Some(Tensor { data: Data::F32(values), .. }) = values.get(value) else {
            return Err(format!("the input of {layer} is not known"));
        };
        let largest = values.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
        if !largest.is_finite() {
            return Err(format!("the input of {layer} is not finite"));
        }
        Ok((layer.clone(), Scale::from_amax_bits(largest.to_bits(), Format::E4M3, 0)))
    };
    written.fp8_inputs.iter().map(scale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_turned_and_turned_back() {
        // Two filters of 1 × 2 pixels and 3 channels.
        let (shape, values) = ([2, 1, 2, 3], (0..12).collect::<Vec<i32>>());
        let turned = to_stored(&values, &shape);
        assert_eq!(turned, [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]);
        assert_eq!(stored_shape(&shape), [2, 3, 1, 2]);
        assert_eq!(from_stored(&turned, &shape), values);
        assert_eq!(to_stored(&values, &[3, 4]), values);
    }
}

//! The content of a model file, whatever the file format.

use serde::{Deserialize, Serialize};

use crate::data::{Preprocessor, Schema};
use crate::engine::Engine;
use crate::error::{EngineError, ExportError};
use crate::fp8::{Format, Precision, Scale};
use crate::metrics::Scores;
use crate::model::init::Param;
use crate::model::{Head, Layer, ModelSpec};
use crate::train::TrainConfig;
use crate::train::run_folder::RunRecord;

/// Version written by this program, and the newest that it reads.
pub const VERSION: u32 = 1;

/// Everything about a model but its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// File version.
    pub version: u32,
    /// Program and version that wrote it.
    pub created_by: String,
    /// Project name.
    pub project: String,
    /// Data it was trained on.
    pub dataset: String,
    /// When the training began, RFC 3339.
    pub trained: String,
    /// Columns, target, task with its class names.
    pub schema: Schema,
    /// Fitted preprocessing.
    pub preprocessor: Preprocessor,
    /// Network.
    pub model: ModelSpec,
    /// Settings of the run, precision and recipe among them.
    pub settings: TrainConfig,
    /// How good it is; `None` for a run that was exported before it finished.
    pub results: Option<Results>,
}

/// Scores of the exported model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Epoch of the model, from 1.
    pub best_epoch: usize,
    /// On validation rows, which chose the epoch.
    pub validation: Scores,
    /// On test rows, seen by nothing before.
    pub test: Scores,
    /// Score of always answering the commonest class, or the mean.
    pub baseline: f64,
}

impl ModelInfo {
    /// What a run's record says. Paths and process numbers stay out of the file.
    pub fn from_record(record: &RunRecord) -> Self {
        Self {
            version: VERSION,
            created_by: concat!("fp8-studio ", env!("CARGO_PKG_VERSION")).to_owned(),
            project: record.project.clone(),
            dataset: record.dataset.clone(),
            trained: record.started.clone(),
            schema: record.schema.clone(),
            preprocessor: record.preprocessor.clone(),
            model: record.model.clone(),
            settings: record.config.clone(),
            results: record.summary.as_ref().map(|s| Results {
                best_epoch: s.best_epoch,
                validation: s.validation.clone(),
                test: s.test.clone(),
                baseline: s.baseline,
            }),
        }
    }

    /// The parts that must fit each other do: head and classes; sizes are sane.
    pub(super) fn check(&self) -> Result<(), String> {
        let classes = self.schema.task.classes().len();
        match self.model.head {
            Head::Classes { count } if count != classes => {
                return Err(format!("the network has {count} outputs but {classes} classes"));
            }
            Head::Regression if classes != 0 => {
                return Err("the network predicts a number but classes are named".to_owned());
            }
            _ => {}
        }
        self.expected().map(|_| ())
    }

    /// Tensors that the network needs, in its order.
    pub(super) fn expected(&self) -> Result<Vec<Expected>, String> {
        expected(&self.model, &self.settings.precision)
    }
}

/// A tensor that a network needs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expected {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    /// Format of its codes, if it is stored in FP8.
    pub(super) fp8: Option<Format>,
}

fn expected(model: &ModelSpec, precision: &Precision) -> Result<Vec<Expected>, String> {
    model.validate().map_err(|e| e.to_string())?;
    let format = |name: &str| match precision {
        Precision::F32 => None,
        Precision::Fp8(recipe) => {
            let node = name.strip_suffix(".weight")?;
            let node = model.nodes.iter().find(|n| n.name == node)?;
            let dense = matches!(node.layer, Layer::Dense { high_precision: false, .. });
            dense.then_some(recipe.forward)
        }
    };
    let list = model.parameters().into_iter();
    Ok(list.map(|p| Expected { fp8: format(&p.name), name: p.name, shape: p.shape }).collect())
}

/// Values of one tensor as stored.
#[derive(Debug, Clone, PartialEq)]
pub enum StoredValues {
    /// Plain numbers.
    F32(Vec<f32>),
    /// Codes with one power-of-two scale: value = decode(code) × 2^exponent.
    Fp8 {
        /// Format of the codes.
        format: Format,
        /// The scale.
        scale: Scale,
        /// One byte per value.
        codes: Vec<u8>,
    },
}

impl StoredValues {
    /// The values, exactly.
    pub fn to_f32(&self) -> Vec<f32> {
        match self {
            Self::F32(values) => values.clone(),
            Self::Fp8 { format, scale, codes } => {
                let scale = scale.value();
                codes.iter().map(|&c| format.decode(c) * scale).collect()
            }
        }
    }

    /// Type name in the safetensors format.
    pub fn dtype_name(&self) -> &'static str {
        match self {
            Self::F32(_) => "F32",
            Self::Fp8 { format: Format::E4M3, .. } => "F8_E4M3",
            Self::Fp8 { format: Format::E5M2, .. } => "F8_E5M2",
        }
    }
}

/// One tensor as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTensor {
    /// Parameter name, as in `model::init`.
    pub name: String,
    /// Shape, row-major.
    pub shape: Vec<usize>,
    /// Values.
    pub values: StoredValues,
}

/// A whole model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFile {
    /// All but the tensors.
    pub info: ModelInfo,
    /// Tensors in the order of `model::init`.
    pub tensors: Vec<StoredTensor>,
}

impl ModelFile {
    /// Takes the model out of an engine after `prepare_eval`: the very codes that it evaluates with.
    pub fn from_engine(info: ModelInfo, engine: &mut dyn Engine) -> Result<Self, ExportError> {
        let quantised: Vec<_> = engine.plan().params.iter().map(|p| p.quantised).collect();
        let params = engine.read_params()?;
        let mut tensors = Vec::with_capacity(params.len());
        for (param, quantised) in params.into_iter().zip(quantised) {
            let values = match quantised {
                None => StoredValues::F32(param.values),
                Some(q) => {
                    let packed = engine.read(q.packed)?;
                    let scales = engine.read(q.scales)?;
                    let codes = unpack(&packed, &param.shape).ok_or_else(|| fault(&param))?;
                    let [exponent] = scales[..] else { return Err(fault(&param).into()) };
                    let scale = Scale { exponent: exponent as i32 };
                    StoredValues::Fp8 { format: q.format, scale, codes }
                }
            };
            tensors.push(StoredTensor { name: param.name, shape: param.shape, values });
        }
        Ok(Self { info, tensors })
    }

    /// The parameters as f32, FP8 ones decoded exactly.
    pub fn params(&self) -> Vec<Param> {
        let param = |t: &StoredTensor| Param {
            name: t.name.clone(),
            shape: t.shape.clone(),
            values: t.values.to_f32(),
        };
        self.tensors.iter().map(param).collect()
    }
}

fn fault(param: &Param) -> EngineError {
    let what = format!("{} {:?} has no single-scale FP8 copy", param.name, param.shape);
    EngineError::Shape { op: "export", what }
}

/// The codes of a packed matrix (each row starts on a word), row by row without padding.
fn unpack(packed: &[u32], shape: &[usize]) -> Option<Vec<u8>> {
    let [rows, cols] = shape else { return None };
    let words = cols.div_ceil(4);
    if packed.len() != rows * words {
        return None;
    }
    let row = |r: &[u32]| -> Vec<u8> {
        r.iter().flat_map(|w| w.to_le_bytes()).take(*cols).collect::<Vec<u8>>()
    };
    Some(packed.chunks_exact(words.max(1)).flat_map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpacking_leaves_the_padding_out() {
        let packed = [0x0403_0201, 0x0000_0005, 0x0908_0706, 0x0000_000a];
        assert_eq!(unpack(&packed, &[2, 5]).unwrap(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(unpack(&packed, &[4, 4]).unwrap()[4..9], [5, 0, 0, 0, 6]);
        assert_eq!(unpack(&packed, &[4, 1]).unwrap(), [1, 5, 6, 10]);
        assert_eq!(unpack(&packed, &[3, 5]), None);
        assert_eq!(unpack(&packed, &[4]), None);
    }
}

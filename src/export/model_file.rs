//! The content of a model file, whatever the file format.

use serde::{Deserialize, Serialize};

use crate::data::preprocess::RecipeMark;
use crate::data::{Preprocessor, Schema, SplitConfig};
use crate::engine::{Engine, host};
use crate::error::{EngineError, ExportError};
use crate::eval::Calibrations;
use crate::fp8::{Format, Precision, Recipe, Scale};
use crate::metrics::Scores;
use crate::model::init::Param;
use crate::model::{Head, ModelSpec};
use crate::monitor::reference::{self, Reference};
use crate::train::run_folder::{RunFolder, RunRecord};
use crate::train::{Spent, TrainConfig};

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
    /// How the data were split, so that the test rows are known later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Corrections of the probabilities, fitted on validation rows when the model was evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibrations>,
    /// What the training gave away of its rows, where that was bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<Spent>,
    /// Feature recipe that its columns were prepared by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<RecipeMark>,
    /// The training rows in figures, which new rows are compared with when the model is watched. Not
    /// of private training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
}

/// The data of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Rows.
    pub rows: usize,
    /// How they were split.
    pub split: SplitConfig,
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
        // A run of two precisions is exported in that of its best epoch.
        let best = record.summary.as_ref().and_then(|s| s.precision);
        let precision = best.unwrap_or(record.config.precision);
        Self {
            version: VERSION,
            created_by: concat!("fp8-studio ", env!("CARGO_PKG_VERSION")).to_owned(),
            project: record.project.clone(),
            dataset: record.dataset.clone(),
            trained: record.started.clone(),
            schema: record.schema.clone(),
            preprocessor: record.preprocessor.clone(),
            model: record.model.clone(),
            settings: TrainConfig { precision, ..record.config.clone() },
            results: record.summary.as_ref().map(|s| Results {
                best_epoch: s.best_epoch,
                validation: s.validation.clone(),
                test: s.test.clone(),
                baseline: s.baseline,
            }),
            origin: Some(Origin { rows: record.dataset_rows, split: record.split.clone() }),
            calibration: None,
            privacy: record.summary.as_ref().and_then(|s| s.privacy),
            features: record.prep.recipe.clone(),
            reference: None,
        }
    }

    /// As [`ModelInfo::from_record`], with what evaluating the run left in its folder.
    pub fn of_run(run: &RunFolder) -> Self {
        Self {
            calibration: run.calibrations(),
            reference: reference::of_run(run).map(|r| r.thinned()),
            ..Self::from_record(&run.record)
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
        if self.calibration.as_ref().is_some_and(|c| !c.fits(classes)) {
            return Err("its calibration cannot be used".to_owned());
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
    /// Format of its codes and their blocks, if it is stored in FP8.
    pub(super) fp8: Option<(Format, Blocks)>,
}

fn expected(model: &ModelSpec, precision: &Precision) -> Result<Vec<Expected>, String> {
    model.validate().map_err(|e| e.to_string())?;
    let fp8 = |name: &str, shape: &[usize]| match (precision, shape) {
        (Precision::Fp8(recipe), [rows, rest @ ..]) => {
            let node = name.strip_suffix(".weight")?;
            let node = model.nodes.iter().find(|n| n.name == node)?;
            let cols = rest.iter().product();
            let quantised = node.layer.takes_recipe();
            quantised.then(|| (recipe.forward, Blocks::of(recipe, *rows, cols)))
        }
        _ => None,
    };
    let list = model.parameters().into_iter();
    Ok(list
        .map(|p| Expected { fp8: fp8(&p.name, &p.shape), name: p.name, shape: p.shape })
        .collect())
}

/// Values of one tensor as stored.
#[derive(Debug, Clone, PartialEq)]
pub enum StoredValues {
    /// Plain numbers.
    F32(Vec<f32>),
    /// A matrix of codes with power-of-two scales: value = decode(code) × 2^exponent. Filters of a
    /// convolution `[out, height, width, in]` count as a matrix with a row per output.
    Fp8 {
        /// Format of the codes.
        format: Format,
        /// Where the scales apply.
        blocks: Blocks,
        /// One per block, row by row.
        scales: Vec<Scale>,
        /// One byte per value.
        codes: Vec<u8>,
    },
}

/// A `[rows, cols]` matrix cut into blocks that share a scale each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocks {
    /// Columns of the matrix.
    pub cols: usize,
    /// Rows of a block.
    pub block_rows: usize,
    /// Columns of a block.
    pub block_cols: usize,
    /// Blocks down.
    pub down: usize,
    /// Blocks across.
    pub across: usize,
}

impl Blocks {
    /// The blocks of a weight under a recipe.
    pub fn of(recipe: &Recipe, rows: usize, cols: usize) -> Self {
        let (block_rows, block_cols) = recipe.scaling.block(true, rows as u32, cols as u32);
        let (block_rows, block_cols) = (block_rows.max(1) as usize, block_cols.max(1) as usize);
        Self {
            cols,
            block_rows,
            block_cols,
            down: rows.div_ceil(block_rows).max(1),
            across: cols.div_ceil(block_cols).max(1),
        }
    }

    /// Shape of the scales in the file: `[1]` for one scale, else blocks down and across.
    pub fn scale_shape(&self) -> Vec<usize> {
        match (self.down, self.across) {
            (1, 1) => vec![1],
            (down, across) => vec![down, across],
        }
    }

    /// The block of a value, by its position in the matrix.
    fn index(&self, at: usize) -> usize {
        let (row, col) = (at / self.cols.max(1), at % self.cols.max(1));
        row / self.block_rows * self.across + col / self.block_cols
    }
}

impl StoredValues {
    /// The values, exactly.
    pub fn to_f32(&self) -> Vec<f32> {
        match self {
            Self::F32(values) => values.clone(),
            Self::Fp8 { format, blocks, scales, codes } => {
                let scales: Vec<f32> = scales.iter().map(|s| s.value()).collect();
                let scale = |i| scales.get(blocks.index(i)).copied().unwrap_or(f32::NAN);
                codes.iter().enumerate().map(|(i, &c)| format.decode(c) * scale(i)).collect()
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
        let rounded: Vec<_> = engine.plan().params.clone();
        let params = engine.read_params()?;
        let mut tensors = Vec::with_capacity(params.len());
        for (param, rounded) in params.into_iter().zip(rounded) {
            let values = match (rounded.quantised, info.settings.precision) {
                (Some(q), Precision::Fp8(recipe)) => {
                    let packed = engine.read(q.packed)?;
                    let scales = engine.read(q.scales)?;
                    unpack(&recipe, q.format, &param, &packed, &scales).ok_or_else(|| {
                        let what = format!("{} has no FP8 copy of its shape", param.name);
                        EngineError::Shape { op: "export", what }
                    })?
                }
                _ => match rounded.half {
                    Some(half) => {
                        StoredValues::F32(host::unpack_bf16(&rounded, &engine.read(half)?))
                    }
                    None => StoredValues::F32(param.values),
                },
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

/// A packed matrix (each row starts on a word) without its padding, with its scales.
fn unpack(
    recipe: &Recipe,
    format: Format,
    param: &Param,
    packed: &[u32],
    exponents: &[u32],
) -> Option<StoredValues> {
    // Filters are a matrix with one row each.
    let (&rows, rest) = param.shape.split_first().filter(|(_, rest)| !rest.is_empty())?;
    let cols = rest.iter().product::<usize>();
    let blocks = Blocks::of(recipe, rows, cols);
    let words = cols.div_ceil(4);
    if packed.len() != rows * words || exponents.len() != blocks.down * blocks.across {
        return None;
    }
    let row = |r: &[u32]| r.iter().flat_map(|w| w.to_le_bytes()).take(cols).collect::<Vec<u8>>();
    let codes = packed.chunks_exact(words.max(1)).flat_map(row).collect();
    let scales = exponents.iter().map(|&e| Scale { exponent: e as i32 }).collect();
    Some(StoredValues::Fp8 { format, blocks, scales, codes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(
        recipe: Recipe,
        shape: &[usize],
        packed: &[u32],
        scales: &[u32],
    ) -> Option<Vec<f32>> {
        let param = Param { name: String::new(), shape: shape.to_vec(), values: Vec::new() };
        unpack(&recipe, Format::E4M3, &param, packed, scales).map(|v| v.to_f32())
    }

    /// E4M3 codes of 1, 2, 3, 4, 5.
    const PACKED: [u32; 4] = [0x4844_4038, 0x0000_004a, 0x4844_4038, 0x0000_004a];

    #[test]
    fn filters_are_rows_of_a_matrix() {
        let flat = unpacked(Recipe::current(), &[2, 5], &PACKED, &[1]);
        assert!(flat.is_some());
        assert_eq!(unpacked(Recipe::current(), &[2, 1, 5, 1], &PACKED, &[1]), flat);
        assert_eq!(unpacked(Recipe::current(), &[2, 2, 5, 1], &PACKED, &[1]), None);
        assert_eq!(unpacked(Recipe::current(), &[2], &PACKED, &[1]), None);
    }

    #[test]
    fn unpacking_leaves_the_padding_out() {
        let row = [1.0, 2.0, 3.0, 4.0, 5.0];
        let both = unpacked(Recipe::current(), &[2, 5], &PACKED, &[1]).unwrap();
        assert_eq!(both, [row.map(|v| 2.0 * v), row.map(|v| 2.0 * v)].concat());
        assert_eq!(unpacked(Recipe::current(), &[3, 5], &PACKED, &[1]), None);
        assert_eq!(unpacked(Recipe::current(), &[2, 5], &PACKED, &[1, 1]), None);
        assert_eq!(unpacked(Recipe::current(), &[10], &PACKED, &[1]), None);
    }

    #[test]
    fn every_block_has_its_scale() {
        let row = [1.0, 2.0, 3.0, 4.0, 5.0];
        let two = unpacked(Recipe::rowwise(), &[2, 5], &PACKED, &[0, 3]).unwrap();
        assert_eq!(two, [row, row.map(|v| 8.0 * v)].concat());
        // One block of 32 columns and one of 2, twice.
        let blocks = Blocks::of(&Recipe::mx(), 2, 34);
        assert_eq!(blocks.scale_shape(), [2, 2]);
        assert_eq!([0, 31, 32, 33, 34, 66].map(|i| blocks.index(i)), [0, 0, 1, 1, 2, 3]);
        let blocks = Blocks::of(&Recipe::block(), 130, 129);
        assert_eq!(blocks.scale_shape(), [2, 2]);
        assert_eq!([0, 128, 127 * 129, 128 * 129 + 128].map(|i| blocks.index(i)), [0, 1, 0, 3]);
        assert_eq!(Blocks::of(&Recipe::delayed(), 9, 7).scale_shape(), [1]);
    }
}

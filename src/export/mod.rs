//! Model files: a trained run becomes one file that holds all that is needed to predict, and that
//! was proven to predict as the live model does before it got its name.

pub mod bundle;
pub mod model_file;
pub mod onnx;
mod open;
mod pending;
pub mod proof;
pub mod pytorch;
pub mod report;
pub mod safetensors;
pub mod sealed;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use model_file::{Blocks, ModelFile, ModelInfo, Origin, Results, StoredTensor, StoredValues};
pub use onnx::Variant;
pub use open::{Opened, is_model, open};
pub use pending::PendingFile;
pub use proof::{Proof, Rounding, evaluator, live};

use crate::data::{Dataset, Split};
use crate::error::{DataError, ExportError, Place};
use crate::model::init::Param;
use crate::train::run_folder::RunFolder;

/// Rows of the data that calibrate the scales of activations.
const CALIBRATION_ROWS: usize = 512;

/// What an export writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// A safetensors file.
    #[default]
    Safetensors,
    /// An ONNX file of a form.
    Onnx(Variant),
    /// A folder or zip file with models of every form and what belongs to them.
    Bundle,
    /// A folder or zip file with which PyTorch goes on with the training.
    Pytorch,
}

impl ExportFormat {
    /// All of them, the ones that most want first.
    pub const ALL: [Self; 7] = [
        Self::Safetensors,
        Self::Onnx(Variant::Portable),
        Self::Bundle,
        Self::Onnx(Variant::F32),
        Self::Onnx(Variant::Int8),
        Self::Onnx(Variant::Qdq),
        Self::Pytorch,
    ];

    /// The format that goes with a file's name.
    pub fn of_path(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_lowercase().as_str() {
            "safetensors" => Some(Self::Safetensors),
            "onnx" => Some(Self::Onnx(Variant::Portable)),
            "zip" => Some(Self::Bundle),
            _ => None,
        }
    }

    /// Plain name, technical term, and what it is good for.
    pub const fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Safetensors => (
                "For this program",
                "safetensors, 8 bits",
                "Predict here or from the command line, train on from it, look inside with Python. \
                 The smallest file.",
            ),
            Self::Onnx(Variant::Portable) => (
                "For your own software",
                "ONNX, 8 bits",
                "Raw cells in, answer and probabilities out, in Python, JavaScript, C#, Java or Rust. \
                 A quarter of the usual size.",
            ),
            Self::Bundle => (
                "To pass on",
                "signed bundle",
                "All forms with a model card, checks, examples for programmers and a signature, in \
                 one zip file.",
            ),
            Self::Pytorch => (
                "To train on elsewhere",
                "PyTorch",
                "The same training on larger machines, with your encoded rows inside; its result \
                 comes back with `fp8-studio import`.",
            ),
            Self::Onnx(Variant::F32) => (
                "For anything that reads ONNX",
                "ONNX, 32 bits",
                "The same in ordinary numbers: four times larger, but understood by every reader, \
                 web browsers too.",
            ),
            Self::Onnx(Variant::Int8) => (
                "For small devices",
                "ONNX, 8-bit integers",
                "Weights rounded to whole numbers, which older tools read. Answers may change a \
                 little; how much is measured.",
            ),
            Self::Onnx(Variant::Qdq) => (
                "For FP8 hardware",
                "ONNX, 8 bits throughout",
                "What flows between layers is rounded too, as FP8 accelerators compute. For experts: \
                 answers change a little, which is measured.",
            ),
        }
    }

    /// Program and version that reads it at least, if not only this one.
    pub const fn needs(self) -> Option<&'static str> {
        match self {
            Self::Safetensors | Self::Bundle => None,
            Self::Pytorch => Some("PyTorch 2.4"),
            Self::Onnx(variant) => Some(variant.needs()),
        }
    }

    /// Usual ending of a file's name.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Onnx(_) => "onnx",
            Self::Bundle | Self::Pytorch => "zip",
        }
    }
}

impl fmt::Display for ExportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Safetensors => f.write_str("safetensors"),
            Self::Bundle => f.write_str("bundle"),
            Self::Pytorch => f.write_str("pytorch"),
            Self::Onnx(Variant::Portable) => f.write_str("onnx"),
            Self::Onnx(variant) => write!(f, "onnx-{variant}"),
        }
    }
}

/// What an export wrote and how it was proven.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExportReport {
    /// The file.
    pub path: PathBuf,
    /// What it is.
    pub format: ExportFormat,
    /// Its size in bytes.
    pub bytes: u64,
    /// Largest difference between the studio and the file read back, over
    /// [`ExportReport::proof_rows`] rows: of an output (logit or standardised value) for
    /// safetensors, of a probability or standardised value for ONNX.
    pub max_difference: f32,
    /// Rows that were compared.
    pub proof_rows: usize,
    /// What rounding to another form changed, for forms that round.
    pub rounding: Option<Rounding>,
    /// Program and version that the file needs at least, if not this one.
    pub needs: Option<&'static str>,
    /// The tensors in the file, in the order of the network; of a bundle those of
    /// [`bundle::MODEL`].
    pub tensors: Vec<TensorReport>,
    /// The files of a bundle.
    pub files: Vec<FileReport>,
}

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// Path inside.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// What an export may use beside the run.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExportOptions<'a> {
    /// What the run was trained on. Forms that round activations need it to find the scales, and
    /// the effect of rounding is measured on its test rows.
    pub data: Option<&'a Dataset>,
    /// Where the data are, to describe the files.
    pub data_path: Option<&'a Path>,
    /// SPDX name of the model's licence.
    pub licence: Option<&'a str>,
    /// Key that signs bundles; it is made where there is none. `None` leaves them unsigned.
    pub key: Option<&'a Path>,
    /// Put the test rows of the data into a bundle, to be compared with; otherwise made-up rows, so
    /// that no row of the data leaves this computer.
    pub test_rows_as_golden: bool,
}

impl ExportReport {
    /// The result of the proof in plain words.
    pub fn proven(&self) -> String {
        let difference = match self.max_difference {
            0.0 => "to the last bit".to_owned(),
            d => format!("largest difference {d:.1e}"),
        };
        let rows = self.proof_rows;
        let mut text = match (self.format, &self.rounding) {
            (ExportFormat::Safetensors | ExportFormat::Bundle | ExportFormat::Pytorch, _) => {
                format!(
                    "Proven: read back, it predicts {rows} rows as the live model does ({difference})."
                )
            }
            (_, None) => format!(
                "Proven: read back and run from raw cells to answers, it predicts {rows} rows as \
                 the live model does ({difference})."
            ),
            (ExportFormat::Onnx(Variant::Qdq), _) => {
                format!("Proven: read back and run from raw cells to answers on {rows} rows.")
            }
            (_, Some(_)) => format!(
                "Proven: read back and run from raw cells to answers, it predicts {rows} rows as \
                 this program does with the same rounded weights ({difference})."
            ),
        };
        if let Some(r) = &self.rounding {
            text += &format!(
                "\nRounding: of {} rows {} get the same answer as from the trained model; largest \
                 difference {:.1e}.",
                r.rows, r.same, r.max_difference
            );
        }
        text
    }
}

/// One tensor of an exported file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TensorReport {
    /// Name in the file.
    pub name: String,
    /// Shape, row-major.
    pub shape: Vec<usize>,
    /// Type name of the file format, e.g. `F8_E4M3`.
    pub dtype: &'static str,
}

impl TensorReport {
    /// Whether every value takes one byte.
    pub fn is_eight_bits(&self) -> bool {
        ["F8", "FLOAT8", "INT8"].iter().any(|t| self.dtype.starts_with(t))
    }
}

/// Writes the best model of a finished or stopped run to `path` in the safetensors format.
///
/// Weights are stored as the live model uses them in evaluation: FP8 codes with their scale where
/// the run's precision has them, else f32. The file is written under a temporary name, read back,
/// and compared with the live model on a fixed batch; only then does it replace `path`.
pub fn export_run(run: &RunFolder, path: &Path) -> Result<ExportReport, ExportError> {
    export_run_as(run, path, ExportFormat::Safetensors, &ExportOptions::default())
}

/// As [`export_run`], in any format.
pub fn export_run_as(
    run: &RunFolder,
    path: &Path,
    format: ExportFormat,
    options: &ExportOptions<'_>,
) -> Result<ExportReport, ExportError> {
    let params = run.best_params()?;
    let info = ModelInfo::of_run(run);
    match format {
        ExportFormat::Bundle => bundle::export(run, path, options),
        ExportFormat::Pytorch => pytorch::export(run, path, options),
        ExportFormat::Safetensors => export(info, &params, path),
        ExportFormat::Onnx(variant) => {
            let rows = options.data.map(|data| Rows::of(run, data)).transpose()?;
            export_onnx(info, &params, path, variant, rows.as_ref())
        }
    }
}

/// The best model of a run as a file would hold it.
pub fn model_of_run(run: &RunFolder) -> Result<ModelFile, ExportError> {
    let info = ModelInfo::of_run(run);
    let mut live = proof::live(&info, &run.best_params()?, proof::ROWS)?;
    ModelFile::from_engine(info, live.as_mut())
}

/// As [`export_run`], from the parameters themselves.
pub fn export(info: ModelInfo, params: &[Param], path: &Path) -> Result<ExportReport, ExportError> {
    let mut live = proof::live(&info, params, proof::ROWS)?;
    let file = ModelFile::from_engine(info, live.as_mut())?;
    let bytes = safetensors::to_bytes(&file).map_err(|e| cannot(path, &e.to_string()))?;
    let pending = PendingFile::write(&bytes, path)?;
    let proof = proof::prove(live.as_mut(), pending.temporary(), path)?;
    let bytes = pending.finish()?;
    let tensors = file
        .tensors
        .iter()
        .map(|t| TensorReport {
            name: t.name.clone(),
            shape: t.shape.clone(),
            dtype: t.values.dtype_name(),
        })
        .collect();
    Ok(ExportReport {
        path: path.to_owned(),
        format: ExportFormat::Safetensors,
        bytes,
        max_difference: proof.max_difference,
        proof_rows: proof.rows,
        rounding: None,
        needs: None,
        tensors,
        files: Vec::new(),
    })
}

/// Rows of the data that an export may look at.
struct Rows<'a> {
    data: &'a Dataset,
    calibration: Vec<u32>,
    test: Vec<u32>,
}

impl<'a> Rows<'a> {
    fn of(run: &RunFolder, data: &'a Dataset) -> Result<Self, ExportError> {
        let record = &run.record;
        let mut split = Split::make(data, &record.schema, &record.split)?;
        split.train.truncate(CALIBRATION_ROWS);
        Ok(Self { data, calibration: split.train, test: split.test })
    }
}

fn cannot(path: &Path, why: &str) -> ExportError {
    ExportError::Format { path: path.to_owned(), what: format!("it cannot be written ({why})") }
}

fn export_onnx(
    info: ModelInfo,
    params: &[Param],
    path: &Path,
    variant: Variant,
    rows: Option<&Rows<'_>>,
) -> Result<ExportReport, ExportError> {
    let mut live = proof::live(&info, params, proof::ROWS)?;
    let file = ModelFile::from_engine(info, live.as_mut())?;
    let failed = |e: String| cannot(path, &e);
    let mut scales = Vec::new();
    if variant == Variant::Qdq {
        let refuse = |what: &str, advice: &str| DataError::Invalid {
            what: what.to_owned(),
            place: Place::default(),
            advice: advice.to_owned(),
        };
        if !file.tensors.iter().any(|t| matches!(t.values, StoredValues::Fp8 { .. })) {
            let what = "This model was not trained in FP8, so there is no FP8 form of it";
            return Err(refuse(what, "Choose another format, or train it in FP8.").into());
        }
        let rows = rows.ok_or_else(|| {
            let what = "The data are needed to choose the scales of this form";
            refuse(what, "Export from the project folder, with its data where they were.")
        })?;
        let raw = file.info.preprocessor.raw_inputs(rows.data, &rows.calibration)?;
        scales = onnx::calibrate(&file, raw, rows.calibration.len()).map_err(failed)?;
    }
    let written = onnx::write(&file, variant, &scales).map_err(failed)?;
    let pending = PendingFile::write(&written.model.to_bytes(), path)?;
    let proof = proof::prove_onnx(live.as_mut(), &file, pending.temporary(), path)?;
    let rounding = match (variant.exact(), rows) {
        (true, _) => None,
        (false, Some(rows)) => {
            Some(proof::rounding(&file, pending.temporary(), rows.data, &rows.test)?)
        }
        (false, None) => {
            let (data, all) = proof::made_up(&file.info);
            Some(proof::rounding(&file, pending.temporary(), &data, &all)?)
        }
    };
    let bytes = pending.finish()?;
    let tensors = file
        .tensors
        .iter()
        .filter_map(|t| {
            let stored = written.model.initializer(&t.name)?;
            let dtype = stored.data.kind().name();
            Some(TensorReport { name: t.name.clone(), shape: t.shape.clone(), dtype })
        })
        .collect();
    Ok(ExportReport {
        path: path.to_owned(),
        format: ExportFormat::Onnx(variant),
        bytes,
        max_difference: proof.max_difference,
        proof_rows: proof.rows,
        rounding,
        needs: Some(variant.needs()),
        tensors,
        files: Vec::new(),
    })
}

/// Compares a model file that was written before with the live model of the run it came from.
pub fn verify(run: &RunFolder, path: &Path) -> Result<Proof, ExportError> {
    let info = ModelInfo::from_record(&run.record);
    let mut live = proof::live(&info, &run.best_params()?, proof::ROWS)?;
    if open(path)?.graph.is_some() {
        let file = ModelFile::from_engine(info, live.as_mut())?;
        return proof::prove_onnx(live.as_mut(), &file, path, path);
    }
    proof::prove(live.as_mut(), path, path)
}

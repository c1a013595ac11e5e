//! Model files: a trained run becomes one file that holds all that is needed to predict, and that
//! was proven to predict as the live model does before it got its name.

pub mod model_file;
pub mod proof;
pub mod report;
pub mod safetensors;

use std::path::{Path, PathBuf};

use serde::Serialize;

pub use model_file::{Blocks, ModelFile, ModelInfo, Origin, Results, StoredTensor, StoredValues};
pub use proof::{Proof, evaluator, live};

use crate::error::ExportError;
use crate::train::run_folder::RunFolder;

/// What an export wrote and how it was proven.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExportReport {
    /// The file.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Largest difference of an output (logit or standardised value) between the live model and
    /// the model read back from the file, over [`ExportReport::proof_rows`] rows.
    pub max_difference: f32,
    /// Rows that were compared.
    pub proof_rows: usize,
    /// The tensors in the file, in the order of the network.
    pub tensors: Vec<TensorReport>,
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

/// Writes the best model of a finished or stopped run to `path`.
///
/// Weights are stored as the live model uses them in evaluation: FP8 codes with their scale where
/// the run's precision has them, else f32. The file is written under a temporary name, read back,
/// and compared with the live model on a fixed batch; only then does it replace `path`.
pub fn export_run(run: &RunFolder, path: &Path) -> Result<ExportReport, ExportError> {
    let params = run.best_params()?;
    export(ModelInfo::of_run(run), &params, path)
}

/// The best model of a run as a file would hold it.
pub fn model_of_run(run: &RunFolder) -> Result<ModelFile, ExportError> {
    let info = ModelInfo::of_run(run);
    let mut live = proof::live(&info, &run.best_params()?, proof::ROWS)?;
    ModelFile::from_engine(info, live.as_mut())
}

/// As [`export_run`], from the parameters themselves.
pub fn export(
    info: ModelInfo,
    params: &[crate::model::init::Param],
    path: &Path,
) -> Result<ExportReport, ExportError> {
    let mut live = proof::live(&info, params, proof::ROWS)?;
    let file = ModelFile::from_engine(info, live.as_mut())?;
    let pending = safetensors::PendingFile::write(&file, path)?;
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
        bytes,
        max_difference: proof.max_difference,
        proof_rows: proof.rows,
        tensors,
    })
}

/// Compares a model file that was written before with the live model of the run it came from.
pub fn verify(run: &RunFolder, path: &Path) -> Result<Proof, ExportError> {
    let info = ModelInfo::from_record(&run.record);
    let mut live = proof::live(&info, &run.best_params()?, proof::ROWS)?;
    proof::prove(live.as_mut(), path, path)
}

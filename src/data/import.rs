//! Opens a path in any supported format.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};

use super::Dataset;
use crate::error::DataError;

/// What the user can override about an import; `None` means detect.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// Field delimiter of a text table.
    pub delimiter: Option<u8>,
    /// Whether the first row holds column names.
    pub header: Option<bool>,
}

/// Progress of an import, shared with whoever watches; set `cancel` to stop it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Units done (bytes or files).
    pub done: AtomicU64,
    /// Units in all, 0 while unknown.
    pub total: AtomicU64,
    /// Asks the import to stop.
    pub cancel: AtomicBool,
}

/// Opens a file or folder, detecting its format from content and name.
pub fn open(
    path: &Path,
    options: &ImportOptions,
    progress: &Progress,
) -> Result<Dataset, DataError> {
    let _ = (path, options, progress);
    todo!()
}

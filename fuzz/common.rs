//! What every target does with its bytes.

use fp8_studio::data::{self, ImportOptions, Progress};
use fp8_studio::error::{DataError, UserError};

/// Opens bytes as a file with this ending. A file that cannot be used must say what, where and what
/// to do next.
pub fn open(bytes: &[u8], ending: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(format!("images.{ending}"));
    std::fs::write(&path, bytes).expect("a temporary file");
    match data::open(&path, &ImportOptions::default(), &Progress::default()) {
        Ok(dataset) => assert!(!dataset.is_empty()),
        Err(DataError::Cancelled) => panic!("nobody cancelled"),
        Err(e) => {
            let e = UserError::from(e);
            assert!(!e.what.is_empty() && e.place.path.is_some() && !e.advice.is_empty(), "{e}");
        }
    }
}

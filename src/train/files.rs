//! Writing files so that a crash or a power cut leaves the old content or the new, never a part.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::error::TrainError;

/// Turns an I/O error into a [`TrainError::Checkpoint`] that says what was being done.
pub fn failed(what: &str, path: &Path, source: &std::io::Error) -> TrainError {
    TrainError::Checkpoint { what: format!("{what}: {source}"), path: path.to_owned() }
}

/// Writes `bytes` to a temporary file beside `path`, flushes it to the disk and renames it.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&temporary, path)?;
        sync_folder(path);
        Ok(())
    };
    write().map_err(|source| {
        // The reason for the failure matters, not whether the remains could be removed.
        let _ = fs::remove_file(&temporary);
        failed("cannot write this file", path, &source)
    })
}

/// Makes the rename itself durable where the system can; not all can open a folder.
fn sync_folder(path: &Path) {
    #[cfg(unix)]
    if let Some(parent) = path.parent()
        && let Ok(folder) = File::open(parent)
    {
        let _ = folder.sync_all();
    }
    #[cfg(not(unix))]
    let _ = path;
}

/// Numbers kept as their bits, so that a stored value comes back as exactly the same one.
pub mod bits {
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the bits of `value`.
    pub fn serialize<S: Serializer>(value: &f64, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(value.to_bits())
    }

    /// Reads the bits back.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
        u64::deserialize(d).map(f64::from_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_whole_files_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_an_error_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gone/a.json");
        let error = write_atomic(&path, b"x").unwrap_err().to_string();
        assert!(error.contains("gone"), "{error}");
    }
}

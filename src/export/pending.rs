//! Files that get their name only once they are proven.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::ExportError;

/// A model file under a temporary name, beside where it will be.
#[derive(Debug)]
pub struct PendingFile {
    file: tempfile::NamedTempFile,
    path: PathBuf,
    bytes: u64,
}

impl PendingFile {
    /// Writes the bytes; nothing is at `path` yet. A folder that is missing is made.
    pub fn write(bytes: &[u8], path: &Path) -> Result<Self, ExportError> {
        let io = |source| ExportError::Io { path: path.to_owned(), source };
        let folder = match path.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(folder).map_err(io)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".model-").suffix(".part");
        // Readable as any new file is; temporary files are private by default.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(folder).map_err(io)?;
        file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(io)?;
        Ok(Self { file, path: path.to_owned(), bytes: bytes.len() as u64 })
    }

    /// Where the bytes are for now.
    pub fn temporary(&self) -> &Path {
        self.file.path()
    }

    /// Gives the file its name, replacing one that was there, and returns its size. A pending file
    /// that is dropped leaves nothing behind.
    pub fn finish(self) -> Result<u64, ExportError> {
        let Self { file, path, bytes } = self;
        match file.persist(&path) {
            Ok(_) => Ok(bytes),
            Err(e) => Err(ExportError::Io { path, source: e.error }),
        }
    }
}

//! A folder as one zip file, and back.

use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use crate::error::ExportError;

fn io(path: &Path) -> impl Fn(std::io::Error) -> ExportError + '_ {
    |source| ExportError::Io { path: path.to_owned(), source }
}

fn zip_fault(path: &Path) -> impl Fn(zip::result::ZipError) -> ExportError + '_ {
    |e| ExportError::Format { path: path.to_owned(), what: format!("its zip file fails: {e}") }
}

/// All files below `folder`, links left out.
///
/// # Errors
/// A file cannot be read.
pub fn pack(folder: &Path) -> Result<Vec<u8>, ExportError> {
    pack_with(folder, Vec::new())
}

/// What is put into an archive beside the files of a folder.
#[derive(Debug, Clone)]
pub enum Part {
    /// This content; a file of the folder with the same name is left out.
    Bytes(Vec<u8>),
    /// A file, or a folder with all below it.
    Path(PathBuf),
}

/// As [`pack`], with more under the names given.
///
/// # Errors
/// A file cannot be read.
pub fn pack_with(folder: &Path, more: Vec<(String, Part)>) -> Result<Vec<u8>, ExportError> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let replaced: Vec<&str> = more.iter().map(|(name, _)| name.as_str()).collect();
    add(&mut zip, folder, "", &replaced)?;
    for (name, part) in &more {
        match part {
            Part::Bytes(bytes) => put(&mut zip, name, bytes, folder)?,
            Part::Path(path) if path.is_dir() => add(&mut zip, path, &format!("{name}/"), &[])?,
            Part::Path(path) => put(&mut zip, name, &std::fs::read(path).map_err(io(path))?, path)?,
        }
    }
    Ok(zip.finish().map_err(zip_fault(folder))?.into_inner())
}

fn add(
    zip: &mut zip::ZipWriter<Cursor<Vec<u8>>>,
    folder: &Path,
    below: &str,
    replaced: &[&str],
) -> Result<(), ExportError> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io(folder))? {
        entries.push(entry.map_err(io(folder))?);
    }
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let kind = entry.file_type().map_err(io(&path))?;
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        if replaced.contains(&name.as_str()) {
            continue;
        }
        if kind.is_dir() {
            add(zip, &path, &format!("{name}/"), replaced)?;
        } else if kind.is_file() {
            let mut bytes = Vec::new();
            let read = std::fs::File::open(&path).and_then(|mut f| f.read_to_end(&mut bytes));
            read.map_err(io(&path))?;
            put(zip, &name, &bytes, &path)?;
        }
    }
    Ok(())
}

fn put(
    zip: &mut zip::ZipWriter<Cursor<Vec<u8>>>,
    name: &str,
    bytes: &[u8],
    about: &Path,
) -> Result<(), ExportError> {
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default());
    zip.start_file(name, options).map_err(zip_fault(about))?;
    zip.write_all(bytes).map_err(io(about))
}

/// The names of all files in an archive.
///
/// # Errors
/// The archive is damaged.
pub fn names(archive: &[u8]) -> Result<Vec<String>, ExportError> {
    let zip = zip::ZipArchive::new(Cursor::new(archive)).map_err(zip_fault(Path::new("")))?;
    Ok(zip.file_names().filter_map(|n| n.ok().map(|n| n.into_owned())).collect())
}

/// Whether these are the first bytes of a zip file.
pub fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

/// Writes the files of an archive below `folder`, which must not exist; names that would lead
/// elsewhere are refused.
///
/// # Errors
/// The folder exists or cannot be written; the archive is damaged.
pub fn unpack(archive: &[u8], folder: &Path) -> Result<(), ExportError> {
    std::fs::create_dir(folder).map_err(io(folder))?;
    let mut zip = zip::ZipArchive::new(Cursor::new(archive)).map_err(zip_fault(folder))?;
    zip.extract(folder).map_err(zip_fault(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_back_as_they_were() {
        let from = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(from.path().join("runs/one")).unwrap();
        std::fs::write(from.path().join("project.toml"), "name = \"x\"").unwrap();
        std::fs::write(from.path().join("runs/one/model"), [0, 1, 2]).unwrap();
        let packed = pack(from.path()).unwrap();
        assert!(is_zip(&packed));
        let to = tempfile::tempdir().unwrap();
        let folder = to.path().join("back");
        unpack(&packed, &folder).unwrap();
        assert_eq!(std::fs::read(folder.join("runs/one/model")).unwrap(), [0, 1, 2]);
        assert_eq!(std::fs::read(folder.join("project.toml")).unwrap(), b"name = \"x\"");
        assert!(unpack(&packed, &folder).is_err());
        assert!(unpack(b"PK\x03\x04 and no more", &to.path().join("other")).is_err());
    }
}

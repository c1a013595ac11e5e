//! The files of a bundle, in memory: read from and written to a folder or a zip file.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Cursor, Read, Write};
use std::path::{Component, Path, PathBuf};

use super::signature::{self, PUBLIC_KEY, SIGNATURE, sha256};
use crate::error::ExportError;

/// Most bytes that a bundle may unpack to.
const MOST_BYTES: u64 = 4 << 30;
/// Most files of a bundle.
const MOST_FILES: usize = 10_000;

/// Files by their path inside, with `/` between folders.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tree {
    files: BTreeMap<String, Vec<u8>>,
}

/// Whether a path stands for a zip file.
pub fn is_zip(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("zip"))
}

/// A path inside that leads nowhere else.
fn safe(name: &str) -> bool {
    !name.is_empty()
        && !name.contains('\\')
        && Path::new(name).components().all(|c| matches!(c, Component::Normal(_)))
}

impl Tree {
    /// Adds or replaces a file.
    pub fn add(&mut self, name: &str, bytes: Vec<u8>) {
        self.files.insert(name.to_owned(), bytes);
    }

    /// A file's bytes.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }

    /// Names in order, with sizes.
    pub fn sizes(&self) -> impl Iterator<Item = (&str, u64)> {
        self.files.iter().map(|(name, bytes)| (name.as_str(), bytes.len() as u64))
    }

    /// Size of all files.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|b| b.len() as u64).sum()
    }

    /// SHA-256 of every file.
    pub fn digests(&self) -> BTreeMap<String, String> {
        self.files.iter().map(|(name, bytes)| (name.clone(), sha256(bytes))).collect()
    }

    /// Writes a zip file, or a folder, where its name does not end in `.zip`. Nothing is left where
    /// writing fails. A folder that holds other things is refused.
    pub fn write(&self, path: &Path) -> Result<(), ExportError> {
        if is_zip(path) {
            let bytes = self.zipped().map_err(|e| super::super::cannot(path, &e))?;
            crate::export::PendingFile::write(&bytes, path)?.finish()?;
            return Ok(());
        }
        let io = |source| ExportError::Io { path: path.to_owned(), source };
        if path.exists() {
            let others = fs::read_dir(path).map_err(io)?.next().is_some();
            if others && !path.join(SIGNATURE).is_file() && !path.join(super::CHECKSUMS).is_file() {
                let what = "this folder holds other things; choose a new one".to_owned();
                return Err(ExportError::Format { path: path.to_owned(), what });
            }
        }
        let folder = match path.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        };
        fs::create_dir_all(folder).map_err(io)?;
        let staging = tempfile::Builder::new().prefix(".bundle-").tempdir_in(folder).map_err(io)?;
        for (name, bytes) in &self.files {
            let file = staging.path().join(name);
            if let Some(parent) = file.parent() {
                fs::create_dir_all(parent).map_err(io)?;
            }
            fs::write(&file, bytes).map_err(io)?;
        }
        if path.exists() {
            fs::remove_dir_all(path).map_err(io)?;
        }
        fs::rename(staging.path(), path).map_err(io)?;
        // A folder for temporary use is private by default; this one is to be passed on.
        #[cfg(unix)]
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .map_err(io)?;
        Ok(())
    }

    fn zipped(&self) -> Result<Vec<u8>, String> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        // No times, so that equal bundles are equal files.
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated)
            .last_modified_time(zip::DateTime::default());
        for (name, bytes) in &self.files {
            zip.start_file(name.as_str(), options).map_err(|e| e.to_string())?;
            zip.write_all(bytes).map_err(|e| e.to_string())?;
        }
        Ok(zip.finish().map_err(|e| e.to_string())?.into_inner())
    }

    /// Reads a folder or a zip file.
    pub fn read(path: &Path) -> Result<Self, ExportError> {
        let bad = |what: String| ExportError::Format { path: path.to_owned(), what };
        let io = |source| ExportError::Io { path: path.to_owned(), source };
        let mut tree = Self::default();
        if path.is_dir() {
            tree.read_folder(path, PathBuf::new())?;
            return Ok(tree);
        }
        let file = File::open(path).map_err(io)?;
        let mut zip = zip::ZipArchive::new(file)
            .map_err(|e| bad(format!("its zip file is damaged ({e})")))?;
        if zip.len() > MOST_FILES {
            return Err(bad("it holds too many files".to_owned()));
        }
        let mut left = MOST_BYTES;
        for i in 0..zip.len() {
            let damaged = |e: &dyn std::fmt::Display| bad(format!("its zip file is damaged ({e})"));
            let entry = zip.by_index(i).map_err(|e| damaged(&e))?;
            if entry.is_dir() {
                continue;
            }
            let name = entry.name().map_err(|e| damaged(&e))?.into_owned();
            if !safe(&name) {
                return Err(bad(format!("it holds a file that would lie outside: {name}")));
            }
            let mut bytes = Vec::new();
            entry.take(left + 1).read_to_end(&mut bytes).map_err(|e| damaged(&e))?;
            left = left
                .checked_sub(bytes.len() as u64)
                .ok_or_else(|| bad("it unpacks to more than 4 GB".to_owned()))?;
            tree.add(&name, bytes);
        }
        Ok(tree)
    }

    fn read_folder(&mut self, root: &Path, inside: PathBuf) -> Result<(), ExportError> {
        let folder = root.join(&inside);
        let io = |source| ExportError::Io { path: folder.clone(), source };
        for entry in fs::read_dir(&folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            let inside = inside.join(entry.file_name());
            let name = inside.to_string_lossy().replace('\\', "/");
            // As the reference implementation: files of version control are no part of it.
            if [".git", ".gitattributes", ".github", ".gitignore"].contains(&name.as_str()) {
                continue;
            }
            if entry.file_type().map_err(io)?.is_dir() {
                self.read_folder(root, inside)?;
            } else {
                if self.files.len() >= MOST_FILES {
                    let what = "it holds too many files".to_owned();
                    return Err(ExportError::Format { path: root.to_owned(), what });
                }
                let file = entry.path();
                let bytes =
                    fs::read(&file).map_err(|source| ExportError::Io { path: file, source })?;
                self.add(&name, bytes);
            }
        }
        Ok(())
    }

    /// Checks the signature and every file against it; returns the fingerprint of the key. `path`
    /// is where the bundle is.
    pub fn verify(&self, path: &Path) -> Result<String, ExportError> {
        let bad = |what: String| ExportError::Signature { path: path.to_owned(), what };
        let text = |name: &str| {
            let bytes = self.get(name).ok_or_else(|| bad(format!("{name} is missing")))?;
            String::from_utf8(bytes.to_vec()).map_err(|_| bad(format!("{name} is damaged")))
        };
        let (sig, key) = (text(SIGNATURE)?, text(PUBLIC_KEY)?);
        let signed = signature::verify(&sig, &key).map_err(|e| bad(format!("{SIGNATURE}: {e}")))?;
        let mut have = self.digests();
        have.remove(SIGNATURE);
        let mut faults = Vec::new();
        for (name, digest) in &signed {
            match have.remove(name) {
                None => faults.push(format!("{name} is missing")),
                Some(found) if found != *digest => faults.push(format!("{name} was changed")),
                Some(_) => {}
            }
        }
        faults.extend(have.keys().map(|name| format!("{name} was added")));
        if faults.is_empty() { Ok(sha256(key.as_bytes())) } else { Err(bad(faults.join("; "))) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Key;
    use super::*;

    fn signed() -> Tree {
        let dir = tempfile::tempdir().unwrap();
        let key = Key::open(&dir.path().join("k.pem")).unwrap();
        let mut tree = Tree::default();
        tree.add("a.txt", b"one".to_vec());
        tree.add("b/c.txt", b"two".to_vec());
        tree.add(PUBLIC_KEY, key.public_pem().as_bytes().to_vec());
        let sig = key.sign("t", &tree.digests()).unwrap();
        tree.add(SIGNATURE, sig.into_bytes());
        tree
    }

    #[test]
    fn trees_come_back_from_folders_and_zip_files() {
        let dir = tempfile::tempdir().unwrap();
        let tree = signed();
        for name in ["folder", "file.zip"] {
            let path = dir.path().join(name);
            tree.write(&path).unwrap();
            tree.write(&path).unwrap();
            assert_eq!(Tree::read(&path).unwrap(), tree);
        }
        assert_eq!(tree.zipped(), tree.zipped());
        let taken = dir.path().join("taken");
        fs::create_dir(&taken).unwrap();
        fs::write(taken.join("mine"), "x").unwrap();
        assert!(tree.write(&taken).unwrap_err().to_string().contains("other things"));
        assert!(taken.join("mine").is_file());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "nothing else is left");
    }

    #[test]
    fn every_kind_of_change_is_named() {
        let path = Path::new("x");
        let tree = signed();
        assert_eq!(tree.verify(path).unwrap().len(), 64);
        let fault = |change: &dyn Fn(&mut Tree)| {
            let mut tree = tree.clone();
            change(&mut tree);
            tree.verify(path).unwrap_err().to_string()
        };
        assert!(fault(&|t| t.add("a.txt", b"onE".to_vec())).contains("a.txt was changed"));
        assert!(fault(&|t| t.add("new", vec![])).contains("new was added"));
        assert!(fault(&|t| drop(t.files.remove("b/c.txt"))).contains("b/c.txt is missing"));
        assert!(fault(&|t| drop(t.files.remove(SIGNATURE))).contains("model.sig is missing"));
        assert!(fault(&|t| t.add(PUBLIC_KEY, b"x".to_vec())).contains("not made with the key"));
    }

    #[test]
    fn names_that_lead_outside_are_refused() {
        for name in ["../x", "/x", "a/../../x", "", "a\\x"] {
            assert!(!safe(name), "{name}");
        }
        assert!(safe("a/b.txt"));
    }
}

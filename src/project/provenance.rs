//! Where data comes from: file, digest, when it was read, licence, every step, and a version that
//! changes with any of them. Versions are kept in the project and can be compared.

use std::io::{Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Project;
use crate::data::{Dataset, Samples, Step};
use crate::error::ProjectError;

/// Name of the list of versions in the project folder.
const FILE: &str = "versions.jsonl";

/// One version of a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// First 12 digits of the SHA-256 over the file's digest and the steps.
    pub id: String,
    /// File or folder.
    pub source: String,
    /// SHA-256 of the file; for a folder over the names and digests of its files.
    pub sha256: String,
    /// Bytes.
    pub bytes: u64,
    /// When it was read, in UTC.
    pub imported: String,
    /// As the user knows it; empty if not known.
    pub licence: String,
    /// Rows or images after all steps.
    pub rows: usize,
    /// Columns after all steps, in order; none for images.
    pub columns: Vec<String>,
    /// Recorded steps, in words.
    pub steps: Vec<String>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// SHA-256 and size of a file, or of all files of a folder by their relative names.
///
/// # Errors
/// A file cannot be read.
pub fn digest(path: &Path) -> Result<(String, u64), ProjectError> {
    let io = |path: &Path, source| ProjectError::Io { path: path.to_owned(), source };
    if path.is_dir() {
        let mut files = Vec::new();
        let mut folders = vec![path.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).map_err(|e| io(&folder, e))? {
                let entry = entry.map_err(|e| io(&folder, e))?.path();
                // Runs and records of a project are not its data.
                let own = entry.file_name().is_some_and(|n| {
                    n == super::FILE || n == "runs" || n == FILE || n == super::audit::FILE
                });
                match (own, entry.is_dir()) {
                    (true, _) => {}
                    (_, true) => folders.push(entry),
                    (_, false) => files.push(entry),
                }
            }
        }
        files.sort();
        let (mut hash, mut total) = (Sha256::new(), 0);
        for file in files {
            let (one, bytes) = digest(&file)?;
            let name = file.strip_prefix(path).unwrap_or(&file);
            hash.update(format!("{}\0{one}\n", name.display()).as_bytes());
            total += bytes;
        }
        return Ok((hex(&hash.finalize()), total));
    }
    let mut file = std::fs::File::open(path).map_err(|e| io(path, e))?;
    let (mut hash, mut total) = (Sha256::new(), 0);
    let mut block = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut block).map_err(|e| io(path, e))?;
        if n == 0 {
            return Ok((hex(&hash.finalize()), total));
        }
        hash.update(&block[..n]);
        total += n as u64;
    }
}

impl Version {
    /// The version of a project's data as it is now.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn of(project: &Project, dataset: &Dataset) -> Result<Self, ProjectError> {
        let path = project.dataset_path();
        let (sha256, bytes) = digest(&path)?;
        let steps = serde_json::to_string(&project.steps)
            .map_err(|e| ProjectError::Format { path: path.clone(), what: e.to_string() })?;
        let mut hash = Sha256::new();
        hash.update(sha256.as_bytes());
        hash.update(steps.as_bytes());
        let id = hex(&hash.finalize()).chars().take(12).collect();
        let columns = match &dataset.samples {
            Samples::Table(t) => t.columns().iter().map(|c| c.name().to_owned()).collect(),
            Samples::Images(_) => Vec::new(),
        };
        Ok(Self {
            id,
            source: path.display().to_string(),
            sha256,
            bytes,
            imported: jiff::Timestamp::now().to_string(),
            licence: project.licence.clone(),
            rows: dataset.len(),
            columns,
            steps: project.steps.iter().map(Step::label).collect(),
        })
    }

    /// Adds this version to the project's list, unless it is the newest already.
    ///
    /// # Errors
    /// The list cannot be read or written.
    pub fn keep(&self, folder: &Path) -> Result<(), ProjectError> {
        let known = versions(folder)?;
        if known.last().is_some_and(|v| v.id == self.id) {
            return Ok(());
        }
        let path = folder.join(FILE);
        let io = |source| ProjectError::Io { path: path.clone(), source };
        std::fs::create_dir_all(folder).map_err(io)?;
        let line = serde_json::to_string(self)
            .map_err(|e| ProjectError::Format { path: path.clone(), what: e.to_string() })?;
        let mut file =
            std::fs::OpenOptions::new().create(true).append(true).open(&path).map_err(io)?;
        writeln!(file, "{line}").map_err(io)
    }
}

/// All versions of a project's data, oldest first.
///
/// # Errors
/// The list cannot be read.
pub fn versions(folder: &Path) -> Result<Vec<Version>, ProjectError> {
    let path = folder.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(ProjectError::Io { path, source }),
    };
    let parse = |line: &str| {
        serde_json::from_str(line)
            .map_err(|e| ProjectError::Format { path: path.clone(), what: e.to_string() })
    };
    text.lines().map(parse).collect()
}

/// How two datasets differ, in plain sentences.
pub fn compare(before: &Dataset, after: &Dataset) -> Vec<String> {
    let mut lines = Vec::new();
    let (Samples::Table(a), Samples::Table(b)) = (&before.samples, &after.samples) else {
        lines.push(format!("{} images before, {} now.", before.len(), after.len()));
        return lines;
    };
    lines.push(format!("{} rows before, {} now.", a.rows(), b.rows()));
    let names = |t: &crate::data::Table| -> Vec<String> {
        t.columns().iter().map(|c| c.name().to_owned()).collect()
    };
    let (old, new) = (names(a), names(b));
    for (what, gone) in [
        ("gone", old.iter().filter(|n| !new.contains(n)).collect::<Vec<_>>()),
        ("new", new.iter().filter(|n| !old.contains(n)).collect()),
    ] {
        if !gone.is_empty() {
            let list: Vec<String> = gone.iter().map(|n| format!("\"{n}\"")).collect();
            lines.push(format!("Columns {what}: {}.", list.join(", ")));
        }
    }
    for column in a.columns() {
        let Some(other) = b.column(column.name()) else { continue };
        let changed =
            (0..column.len().min(other.len())).filter(|r| column.raw(*r) != other.raw(*r)).count();
        let missing = |c: &crate::data::Column| (0..c.len()).filter(|r| c.is_missing(*r)).count();
        let (m, n) = (missing(column), missing(other));
        if changed > 0 && a.rows() == b.rows() {
            lines.push(format!("\"{}\": {changed} cells differ.", column.name()));
        }
        if m != n {
            lines.push(format!("\"{}\": {m} cells empty before, {n} now.", column.name()));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Progress;

    #[test]
    fn a_version_changes_with_the_file_and_the_steps() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("t.csv");
        std::fs::write(&file, "a,b,y\n1,x,1\n2,z,0\n2,z,0\n").unwrap();
        let mut p = Project::from_data(&file).unwrap();
        p.folder = dir.path().join("own");
        let data = |p: &Project| p.open_data(&Progress::default()).unwrap();
        let first = Version::of(&p, &data(&p)).unwrap();
        assert_eq!(first.sha256, digest(&file).unwrap().0);
        assert_eq!(first.sha256.len(), 64);
        first.keep(&p.folder).unwrap();
        first.keep(&p.folder).unwrap();
        let before = data(&p);
        p.steps.push(Step::DropDuplicates { except: vec![] });
        let second = Version::of(&p, &data(&p)).unwrap();
        assert_ne!(first.id, second.id);
        assert_eq!((second.rows, second.steps.len()), (2, 1));
        second.keep(&p.folder).unwrap();
        assert_eq!(versions(&p.folder).unwrap(), [first, second]);
        assert_eq!(compare(&before, &data(&p)), ["3 rows before, 2 now."]);
        let folder = digest(dir.path()).unwrap().0;
        std::fs::write(&file, "a,b,y\n1,x,1\n").unwrap();
        assert_ne!(folder, digest(dir.path()).unwrap().0);
    }
}

//! The audit log of a project: one line of JSON per decision, each with the SHA-256 of the line before
//! it, so that a line that was changed or taken out is noticed.

use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::ProjectError;

/// Name of the log in the project folder.
pub const FILE: &str = "decisions.jsonl";

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When, in UTC.
    pub time: String,
    /// What was done, e.g. `accepted`, `step`, `undo`.
    pub action: String,
    /// To what, and why.
    pub details: serde_json::Value,
    /// SHA-256 of the line before; empty in the first.
    pub previous: String,
}

fn digest(line: &str) -> String {
    Sha256::digest(line.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// Appends a decision to the log in `folder`.
///
/// # Errors
/// The log cannot be read or written.
pub fn record(folder: &Path, action: &str, details: serde_json::Value) -> Result<(), ProjectError> {
    let path = folder.join(FILE);
    let io = |source| ProjectError::Io { path: path.clone(), source };
    std::fs::create_dir_all(folder).map_err(io)?;
    let before = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(io(e)),
    };
    let entry = AuditEntry {
        time: jiff::Timestamp::now().to_string(),
        action: action.to_owned(),
        details,
        previous: before.lines().last().map(digest).unwrap_or_default(),
    };
    let line = serde_json::to_string(&entry)
        .map_err(|e| ProjectError::Format { path: path.clone(), what: e.to_string() })?;
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path).map_err(io)?;
    writeln!(file, "{line}").map_err(io)
}

/// All decisions, oldest first; none where there is no log.
///
/// # Errors
/// The log cannot be read, or a line was changed or taken out.
pub fn audit_log(folder: &Path) -> Result<Vec<AuditEntry>, ProjectError> {
    let path = folder.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(ProjectError::Io { path, source }),
    };
    let mut previous = String::new();
    let mut entries = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let broken = |what: &str| ProjectError::Format {
            path: path.clone(),
            what: format!("line {}: {what}", i + 1),
        };
        let entry: AuditEntry =
            serde_json::from_str(line).map_err(|_| broken("it is not an entry"))?;
        if entry.previous != previous {
            return Err(broken("the line before it was changed or taken out"));
        }
        previous = digest(line);
        entries.push(entry);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_changed_log_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        assert!(audit_log(dir.path()).unwrap().is_empty());
        for i in 0..3 {
            record(dir.path(), "accepted", json!({ "finding": i })).unwrap();
        }
        let log = audit_log(dir.path()).unwrap();
        assert_eq!((log.len(), &log[2].details["finding"]), (3, &json!(2)));
        let path = dir.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"finding\":1", "\"finding\":7")).unwrap();
        assert!(audit_log(dir.path()).unwrap_err().to_string().contains("line 3"));
        let without: Vec<&str> = text.lines().skip(1).collect();
        std::fs::write(&path, without.join("\n")).unwrap();
        assert!(audit_log(dir.path()).unwrap_err().to_string().contains("line 1"));
    }
}

//! What a person writes about a run, and runs that were deleted but can still come back.
//!
//! Notes are `notes.json` in the run's folder. A deleted run is moved to `runs/.deleted` of its
//! project, where it stays for [`KEPT_DAYS`].

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::RunFolder;
use super::files::{failed, write_atomic};
use crate::error::TrainError;

/// Name of the notes in a run folder.
pub(super) const NOTES: &str = "notes.json";
/// Folder of deleted runs, beside the runs.
const DELETED: &str = ".deleted";
/// Marks a deleted run.
const MARK: &str = "deleted";
/// Days after which a deleted run is gone for good.
pub const KEPT_DAYS: u64 = 30;

/// What a person writes about a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunNotes {
    /// Name; empty for none of its own.
    pub name: String,
    /// Free text.
    pub note: String,
    /// Tags, in the order given.
    pub tags: Vec<String>,
    /// Marked as a favourite.
    pub favourite: bool,
}

impl RunNotes {
    /// Reads the notes of a run; none where there are none or they are damaged.
    pub fn load(run: &Path) -> Self {
        let text = fs::read(run.join(NOTES)).ok();
        text.and_then(|t| serde_json::from_slice(&t).ok()).unwrap_or_default()
    }

    /// Writes the notes of a run; its folder is made if it is not there yet.
    ///
    /// # Errors
    /// The folder cannot be made or written.
    pub fn save(&self, run: &Path) -> Result<(), TrainError> {
        fs::create_dir_all(run).map_err(|e| failed("cannot make this folder", run, &e))?;
        let path = run.join(NOTES);
        let json = serde_json::to_vec_pretty(self).map_err(|e| TrainError::Checkpoint {
            what: format!("cannot write the notes: {e}"),
            path: path.clone(),
        })?;
        write_atomic(&path, &json)
    }

    /// Tags from a text with commas between them; each once, without spaces around.
    pub fn tags_of(text: &str) -> Vec<String> {
        let mut tags: Vec<String> = Vec::new();
        for tag in text.split(',').map(str::trim).filter(|t| !t.is_empty()) {
            if !tags.iter().any(|t| t == tag) {
                tags.push(tag.to_owned());
            }
        }
        tags
    }
}

/// Where a run lies while it is deleted.
fn deleted_place(run: &Path) -> Option<PathBuf> {
    Some(run.parent()?.join(DELETED).join(run.file_name()?))
}

/// Moves a run out of sight; [`restore`] brings it back. Runs deleted more than [`KEPT_DAYS`] ago
/// are removed on this occasion.
///
/// # Errors
/// The run is being trained, or its folder cannot be moved.
pub fn delete(run: &Path) -> Result<(), TrainError> {
    if RunFolder::open(run)?.is_running() {
        return Err(TrainError::Checkpoint {
            what: "this run is being trained; stop it first".to_owned(),
            path: run.to_owned(),
        });
    }
    let Some(to) = deleted_place(run) else { return Ok(()) };
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(|e| failed("cannot make this folder", folder, &e))?;
        forget_old(folder, SystemTime::now());
    }
    fs::rename(run, &to).map_err(|e| failed("cannot delete this run", run, &e))?;
    // Gives the folder the time at which it was deleted; without it, it would only go sooner.
    let _ = fs::write(to.join(MARK), []);
    Ok(())
}

/// Brings a deleted run back to where it was.
///
/// # Errors
/// It is gone, or something else is in its place.
pub fn restore(run: &Path) -> Result<(), TrainError> {
    let Some(from) = deleted_place(run) else { return Ok(()) };
    if run.exists() {
        return Err(TrainError::RunExists(run.to_owned()));
    }
    fs::rename(&from, run).map_err(|e| failed("cannot bring this run back", &from, &e))?;
    let _ = fs::remove_file(run.join(MARK));
    Ok(())
}

fn forget_old(deleted: &Path, now: SystemTime) {
    let kept = Duration::from_secs(KEPT_DAYS * 24 * 3600);
    let Ok(entries) = fs::read_dir(deleted) else { return };
    for entry in entries.flatten() {
        let changed = entry.metadata().and_then(|m| m.modified());
        let old = changed.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > kept));
        if old && let Err(e) = fs::remove_dir_all(entry.path()) {
            tracing::warn!("an old deleted run stays: {e}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("runs/a");
        assert_eq!(RunNotes::load(&run), RunNotes::default());
        let notes = RunNotes {
            name: "First try".into(),
            note: "Too few epochs.".into(),
            tags: RunNotes::tags_of(" small, fast,,small "),
            favourite: true,
        };
        assert_eq!(notes.tags, ["small", "fast"]);
        notes.save(&run).unwrap();
        assert_eq!(RunNotes::load(&run), notes);
        fs::write(run.join(NOTES), "{").unwrap();
        assert_eq!(RunNotes::load(&run), RunNotes::default());
    }

    #[test]
    fn old_deleted_runs_go_and_young_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        forget_old(dir.path(), SystemTime::now());
        assert!(dir.path().join("a").exists());
        let later = SystemTime::now() + Duration::from_secs((KEPT_DAYS + 1) * 24 * 3600);
        forget_old(dir.path(), later);
        assert!(!dir.path().join("a").exists());
    }
}

//! A run's folder: what was trained on what, its checkpoints and its results.
//!
//! `run.json` (this record), `events.jsonl` (what happened, one event a line),
//! `checkpoint-last.safetensors`, `checkpoint-best.safetensors`, and `run.lock`, which the process
//! that trains keeps locked. Files other than the event log are written to a temporary name and
//! renamed.

use std::fs::{self, File, TryLockError};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::files::{failed, write_atomic};
use super::run_notes::NOTES;
use super::{Event, RunState, Summary, TrainConfig, checkpoint};
use crate::data::preprocess::PrepConfig;
use crate::data::{Preprocessor, Schema, SplitConfig};
use crate::error::TrainError;
use crate::eval::Calibrations;
use crate::model::init::Param;
use crate::model::{ModelSpec, ParamInfo};

/// Version of [`RunRecord`] written by this program.
pub const VERSION: u32 = 1;

/// Name of the record in a run folder.
pub const RECORD: &str = "run.json";
const EVENTS: &str = "events.jsonl";
const LOCK: &str = "run.lock";
/// Corrections of the model's probabilities.
const CALIBRATION: &str = "calibration.json";
const RUNS: &str = "runs";

/// Everything needed to resume, export or explain a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// File version, 1.
    pub version: u32,
    /// Project name.
    pub project: String,
    /// Data name.
    pub dataset: String,
    /// Rows in the dataset.
    pub dataset_rows: usize,
    /// When it began, RFC 3339.
    pub started: String,
    /// Where it is; `Running` in a folder whose process is gone means it was interrupted.
    pub state: RunState,
    /// Process that trains it.
    pub process: u32,
    /// Hash of all settings and data that the numbers depend on.
    pub recipe: String,
    /// Columns, target, task.
    pub schema: Schema,
    /// Preprocessing settings.
    pub prep: PrepConfig,
    /// Fitted preprocessing.
    pub preprocessor: Preprocessor,
    /// Split settings.
    pub split: SplitConfig,
    /// Network.
    pub model: ModelSpec,
    /// Settings.
    pub config: TrainConfig,
    /// Results, once finished.
    pub summary: Option<Summary>,
}

/// An opened run folder.
#[derive(Debug, Clone)]
pub struct RunFolder {
    /// The folder.
    pub path: PathBuf,
    /// Its record.
    pub record: RunRecord,
}

impl RunFolder {
    /// Makes a run folder, its parents included, and writes the record. A folder that already
    /// holds a run is an error.
    pub fn create(path: &Path, record: RunRecord) -> Result<Self, TrainError> {
        fs::create_dir_all(path).map_err(|e| failed("cannot make this folder", path, &e))?;
        if path.join(RECORD).exists() {
            return Err(TrainError::RunExists(path.to_owned()));
        }
        let run = Self { path: path.to_owned(), record };
        run.save()?;
        Ok(run)
    }

    /// Opens an existing run.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        let file = path.join(RECORD);
        let text = fs::read_to_string(&file)
            .map_err(|e| failed("this folder holds no run that can be read", &file, &e))?;
        let bad = |what: String| TrainError::Checkpoint { what, path: file.clone() };
        let record: RunRecord = serde_json::from_str(&text)
            .map_err(|e| bad(format!("this run record is damaged: {e}")))?;
        if record.version > VERSION {
            return Err(bad("this run was made by a newer version of this program".to_owned()));
        }
        Ok(Self { path: path.to_owned(), record })
    }

    /// Writes the record.
    pub fn save(&self) -> Result<(), TrainError> {
        let path = self.path.join(RECORD);
        let json = serde_json::to_vec_pretty(&self.record).map_err(|e| TrainError::Checkpoint {
            what: format!("cannot write the run record: {e}"),
            path: path.clone(),
        })?;
        write_atomic(&path, &json)
    }

    /// Changes the state in the record.
    pub fn set_state(&mut self, state: RunState) -> Result<(), TrainError> {
        self.record.state = state;
        self.save()
    }

    /// Where the state to resume from is kept.
    pub fn last_checkpoint(&self) -> PathBuf {
        self.path.join(checkpoint::LAST)
    }

    /// Where the best parameters are kept.
    pub fn best_checkpoint(&self) -> PathBuf {
        self.path.join(checkpoint::BEST)
    }

    /// The event log.
    pub fn event_log(&self) -> PathBuf {
        self.path.join(EVENTS)
    }

    /// Parameters of the best checkpoint, in the order of [`ModelSpec::parameters`].
    pub fn best_params(&self) -> Result<Vec<Param>, TrainError> {
        let path = self.best_checkpoint();
        let (mut params, _) = checkpoint::load_best(&path)?;
        let find = |want: ParamInfo| {
            let found = params.iter().position(|p| p.name == want.name && p.shape == want.shape);
            found.map(|i| params.swap_remove(i)).ok_or_else(|| TrainError::Checkpoint {
                what: format!("this checkpoint cannot be used: it lacks {}", want.name),
                path: path.clone(),
            })
        };
        self.record.model.parameters().into_iter().map(find).collect()
    }

    /// Whether there is a trained model to use.
    pub fn has_model(&self) -> bool {
        self.best_checkpoint().is_file()
    }

    /// Everything that happened, in order. Lines that cannot be read, such as one cut short by a
    /// crash, are left out.
    pub fn events(&self) -> Result<Vec<Event>, TrainError> {
        let path = self.event_log();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(failed("cannot read the event log", &path, &e)),
        };
        let mut events = Vec::new();
        for line in BufReader::new(file).split(b'\n') {
            let line = line.map_err(|e| failed("cannot read the event log", &path, &e))?;
            events.extend(serde_json::from_slice::<Event>(&line));
        }
        Ok(events)
    }

    /// Corrections of the model's probabilities that evaluating it left here.
    pub fn calibrations(&self) -> Option<Calibrations> {
        let text = fs::read(self.path.join(CALIBRATION)).ok()?;
        let classes = self.record.schema.task.classes().len();
        let found: Calibrations = serde_json::from_slice(&text).ok()?;
        found.fits(classes).then_some(found)
    }

    /// Keeps corrections of the model's probabilities for its export.
    pub fn keep_calibrations(&self, calibrations: &Calibrations) -> Result<(), TrainError> {
        let path = self.path.join(CALIBRATION);
        let json = serde_json::to_vec_pretty(calibrations).map_err(|e| TrainError::Checkpoint {
            what: format!("cannot write the calibration: {e}"),
            path: path.clone(),
        })?;
        write_atomic(&path, &json)
    }

    /// Whether some process is training this run now.
    pub fn is_running(&self) -> bool {
        match File::open(self.path.join(LOCK)) {
            Ok(file) => matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)),
            Err(_) => false,
        }
    }

    /// Whether there is a checkpoint to go on from and nobody is training it now.
    pub fn resumable(&self) -> bool {
        !matches!(self.record.state, RunState::Done | RunState::Cancelled)
            && self.last_checkpoint().is_file()
            && !self.is_running()
    }

    /// Whether the run was interrupted and has a checkpoint to resume from.
    pub fn interrupted(&self) -> bool {
        self.record.state != RunState::Failed && self.resumable()
    }

    /// Takes the lock that marks the run as being trained; it is held until the value is dropped
    /// or the process ends, however it ends.
    pub fn lock(&self) -> Result<RunLock, TrainError> {
        let path = self.path.join(LOCK);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| failed("cannot write in this folder", &path, &e))?;
        // Someone who only looks whether the run is alive holds the lock for an instant.
        for _ in 0..50 {
            match file.try_lock() {
                Ok(()) => return Ok(RunLock { _file: Some(file) }),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
                // A file system without locks: go on without.
                Err(TryLockError::Error(e)) => {
                    tracing::warn!("no lock on {}: {e}", path.display());
                    return Ok(RunLock { _file: None });
                }
            }
        }
        Err(TrainError::Checkpoint {
            what: "this run is being trained by another window or program".to_owned(),
            path: self.path.clone(),
        })
    }

    /// Deletes the run with all that was saved of it. A run that is being trained is an error.
    pub fn delete(self) -> Result<(), TrainError> {
        if self.is_running() {
            return Err(TrainError::Checkpoint {
                what: "this run is being trained; stop it first".to_owned(),
                path: self.path,
            });
        }
        fs::remove_dir_all(&self.path).map_err(|e| failed("cannot delete this run", &self.path, &e))
    }

    /// Removes what a cancelled run wrote; files of others in the folder stay.
    pub(super) fn discard(self, lock: RunLock) -> Result<(), TrainError> {
        drop(lock);
        // The record goes last: until then the folder is still known as a run.
        for name in [EVENTS, NOTES, checkpoint::LAST, checkpoint::BEST, LOCK, RECORD] {
            let path = self.path.join(name);
            match fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(failed("cannot delete this file", &path, &e));
                }
                _ => {}
            }
        }
        // Fails where other files are left, which is meant.
        let _ = fs::remove_dir(&self.path);
        Ok(())
    }
}

/// Held while a run is trained.
#[derive(Debug)]
pub struct RunLock {
    _file: Option<File>,
}

/// A folder name for a new run of a project: `runs/` and the local time, made unique.
pub fn new_path(project_folder: &Path) -> PathBuf {
    let runs = project_folder.join(RUNS);
    let name = jiff::ZonedDateTime::now().strftime("%Y-%m-%d_%H-%M-%S").to_string();
    let mut path = runs.join(&name);
    let mut n = 2;
    while path.exists() {
        path = runs.join(format!("{name}_{n}"));
        n += 1;
    }
    path
}

/// All runs of a project, newest first. Folders that hold no readable run are left out.
pub fn list(project_folder: &Path) -> Vec<RunFolder> {
    let Ok(entries) = fs::read_dir(project_folder.join(RUNS)) else { return Vec::new() };
    let mut runs: Vec<RunFolder> = entries
        .flatten()
        .filter(|entry| entry.path().join(RECORD).is_file())
        .filter_map(|entry| match RunFolder::open(&entry.path()) {
            Ok(run) => Some(run),
            Err(e) => {
                tracing::warn!("{e}");
                None
            }
        })
        .collect();
    runs.sort_by(|a, b| (&b.record.started, &b.path).cmp(&(&a.record.started, &a.path)));
    runs
}

//! Carries out commands.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::prefs::{ZOOM_MAX, ZOOM_MIN};
use super::project_state::columns_in_use;
use super::{
    AppState, Command, ExportState, Interrupted, LiveRun, LoadedProject, Outcome, Pick,
    ProjectState, Services, Step, StepStatus, TaskState, Tone, Workspace, columns,
};
use crate::data::preprocess::PrepConfig;
use crate::data::{Progress, Samples, SplitConfig};
use crate::error::{DataError, UserError};
use crate::project::{Project, VERSION};
use crate::train::worker::Job;
use crate::train::{Control, RunState, StopReason, TrainConfig};

/// What to open again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retry {
    /// A path.
    Path(PathBuf),
    /// A sample.
    Sample(String),
}

impl AppState {
    /// Carries out a command. Whatever goes wrong is told in the notifications.
    pub fn apply(&mut self, command: Command) {
        match command {
            Command::Go(step) => {
                if !matches!(self.status(step), StepStatus::Locked(_)) {
                    self.step = step;
                }
            }
            Command::Pick(what) => self.pick(what),
            Command::Open(path) => self.open(Retry::Path(path)),
            Command::OpenSample(name) => self.open(Retry::Sample(name)),
            Command::Forget(folder) => {
                self.prefs.forget(&folder);
                self.prefs_edited = Some(Instant::now());
            }
            Command::Close => self.close(),
            Command::SetTarget(target) => {
                self.edit("what to predict", |p| p.target = Some(target));
                self.infer_task();
            }
            Command::SetColumnType { column, kind } => {
                self.edit("a column type", |p| {
                    match kind {
                        Some(kind) => p.columns.insert(column, kind),
                        None => p.columns.remove(&column),
                    };
                });
                self.infer_task();
            }
            Command::SetConfig { config, what } => self.edit(what, |p| p.train = *config),
            Command::ApplyPreset(preset) => {
                self.edit("the preset", |p| p.train = preset.apply(&p.train));
            }
            Command::Undo => self.travel(ProjectState::undo_edit),
            Command::Redo => self.travel(ProjectState::redo_edit),
            Command::Train => self.train(),
            Command::Control(control) => self.control(control),
            Command::Resume(run) => self.resume(run),
            Command::IgnoreInterrupted(run) => self.interrupted.retain(|i| i.run != run),
            Command::Export(path) => self.export(path),
            Command::CancelTask(id) => self.tasks.cancel(id),
            Command::Dismiss(id) => self.notifications.dismiss(id),
            Command::SetTheme(theme) => {
                self.prefs.theme = theme;
                self.prefs_edited = Some(Instant::now());
            }
            Command::SetZoom(zoom) => {
                let zoom = if zoom.is_finite() { zoom } else { 1.0 };
                self.prefs.zoom = zoom.clamp(ZOOM_MIN, ZOOM_MAX);
                self.prefs_edited = Some(Instant::now());
            }
        }
    }

    pub(super) fn take_in(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Picked { path: None, .. } => {}
            Outcome::Picked { what: Pick::ExportTo, path: Some(path) } => self.export(path),
            Outcome::Picked { path: Some(path), .. } => self.open(Retry::Path(path)),
            Outcome::Opened { attempt, result } => self.opened(attempt, result),
            Outcome::TaskInferred { attempt, result } => {
                if let Some(project) = self.project_mut()
                    && project.task == TaskState::Inferring(attempt)
                {
                    project.task = match result {
                        Ok(task) => TaskState::Known(task),
                        Err(e) => TaskState::Unusable(e),
                    };
                }
            }
            Outcome::Interrupted(found) => {
                for run in found {
                    if !self.interrupted.iter().any(|i| i.run == run.run) {
                        self.interrupted.push(run);
                    }
                }
            }
            Outcome::Engines(engines) => self.engines = Some(engines),
            Outcome::Exported { attempt, result } => self.exported(attempt, result),
            Outcome::Saved(Ok(())) => {}
            Outcome::Saved(Err(e)) | Outcome::Failed(e) => self.notifications.error(&e),
        }
    }

    fn attempt(&mut self) -> u64 {
        self.attempts += 1;
        self.attempts
    }

    fn pick(&mut self, what: Pick) {
        let suggestion = self.project().map(|p| slug(&p.project.name)).unwrap_or_default();
        let services = Arc::clone(&self.services);
        self.tasks.spawn(
            "Waiting for a choice of file",
            false,
            &self.wake,
            move |_| Outcome::Picked { what, path: services.pick(what, &suggestion) },
            Outcome::Failed,
        );
    }

    fn open(&mut self, what: Retry) {
        if let Some(why) = self.open_blocked() {
            self.notifications.push(Tone::Warning, why, "");
            return;
        }
        self.save_now();
        let attempt = self.attempt();
        let name = match &what {
            Retry::Path(path) => file_name(path),
            Retry::Sample(sample) => self
                .samples
                .iter()
                .find(|s| s.name == *sample)
                .map_or_else(|| sample.clone(), |s| s.title.clone()),
        };
        let services = Arc::clone(&self.services);
        let projects = self.store.projects.clone();
        self.retry = Some(what.clone());
        let task = self.tasks.spawn(
            &format!("Opening {name}"),
            true,
            &self.wake,
            move |progress| {
                let result = load(services.as_ref(), &projects, &what, progress);
                Outcome::Opened { attempt, result: result.map(Box::new) }
            },
            move |e| Outcome::Opened { attempt, result: Err(e) },
        );
        self.workspace = Workspace::Loading { name, task, attempt };
        self.step = Step::Data;
    }

    fn opened(&mut self, attempt: u64, result: Result<Box<LoadedProject>, UserError>) {
        if !matches!(&self.workspace, Workspace::Loading { attempt: a, .. } if *a == attempt) {
            return;
        }
        match result {
            Ok(loaded) => {
                self.prefs.remember(&loaded.folder, &loaded.project.name);
                self.prefs_edited = Some(Instant::now());
                let interrupted = loaded.interrupted.clone();
                self.workspace = Workspace::Open(Box::new(ProjectState::new(*loaded)));
                self.edited = Some(Instant::now());
                self.take_in(Outcome::Interrupted(interrupted));
                if let Some(run) = self.resume_after_open.take() {
                    self.start(run, true);
                }
            }
            Err(e) if e == UserError::from(DataError::Cancelled) => {
                self.workspace = Workspace::Empty;
                self.step = Step::Home;
                self.resume_after_open = None;
            }
            Err(error) => {
                let retry = self.retry.clone().unwrap_or(Retry::Path(PathBuf::new()));
                self.workspace = Workspace::Failed { retry, error };
                self.resume_after_open = None;
            }
        }
    }

    fn close(&mut self) {
        if self.open_blocked().is_some() {
            return;
        }
        self.save_now();
        self.workspace = Workspace::Empty;
        self.step = Step::Home;
    }

    fn edit(&mut self, what: &str, change: impl FnOnce(&mut Project)) {
        let Some(project) = self.project_mut() else { return };
        let before = project.project.clone();
        change(&mut project.project);
        if project.project != before {
            project.undo.record(&before, what, Instant::now());
            self.edited = Some(Instant::now());
        }
    }

    fn travel(&mut self, go: impl FnOnce(&mut ProjectState) -> Option<Project>) {
        let Some(project) = self.project_mut() else { return };
        let Some(to) = go(project) else { return };
        let retype = to.target != project.project.target || to.columns != project.project.columns;
        project.project = to;
        self.edited = Some(Instant::now());
        if retype {
            self.infer_task();
        }
    }

    fn infer_task(&mut self) {
        let attempt = self.attempt();
        let services = Arc::clone(&self.services);
        let Some(project) = self.project_mut() else { return };
        let Some(target) = project.project.target.clone() else {
            project.task = TaskState::NoTarget;
            return;
        };
        project.task = TaskState::Inferring(attempt);
        let (dataset, columns) = (Arc::clone(&project.dataset), project.columns());
        self.tasks.spawn(
            "Looking at the target",
            false,
            &self.wake,
            move |_| Outcome::TaskInferred {
                attempt,
                result: services.infer_task(&dataset, &columns, &target),
            },
            move |e| Outcome::TaskInferred { attempt, result: Err(e) },
        );
    }

    fn train(&mut self) {
        let Some(project) = self.project() else { return };
        if let Some(why) = project.train_blocked() {
            self.notifications.push(Tone::Warning, why, "");
            return;
        }
        let stamp = jiff::Timestamp::now().strftime("%Y-%m-%d_%H-%M-%S").to_string();
        let runs = project.folder.join("runs");
        let folder = (0..1000)
            .map(|n| match n {
                0 => runs.join(&stamp),
                n => runs.join(format!("{stamp}_{n}")),
            })
            .find(|folder| !folder.exists())
            .unwrap_or_else(|| runs.join(&stamp));
        self.start(folder, false);
    }

    fn start(&mut self, folder: PathBuf, resume: bool) {
        let Some(project) = self.project() else { return };
        let schema = match project.schema() {
            Ok(schema) => schema,
            Err(why) => {
                self.notifications.push(Tone::Warning, why, "");
                return;
            }
        };
        let basis = project.project.clone();
        let task = schema.task.clone();
        let job = Job {
            project: basis.name.clone(),
            dataset: Arc::clone(&project.dataset),
            schema,
            prep: basis.prep.clone(),
            split: basis.split,
            config: basis.train.clone(),
            folder: folder.clone(),
            resume,
        };
        let result = self.services.start(job, Arc::clone(&self.wake));
        self.interrupted.retain(|i| i.run != folder);
        match result {
            Ok(handle) => {
                if let Some(project) = self.project_mut() {
                    project.run = Some(LiveRun::new(handle, task, basis, folder));
                    project.export = ExportState::None;
                }
                self.step = Step::Train;
            }
            Err(e) => self.notifications.error(&e),
        }
    }

    fn control(&mut self, control: Control) {
        let sent = self
            .project_mut()
            .and_then(|p| p.run.as_mut())
            .filter(|run| run.active())
            .map(|run| run.control(control));
        if sent == Some(false) {
            self.notifications.push(
                Tone::Warning,
                "The run is busy and did not hear that",
                "Try again in a moment.",
            );
        }
    }

    fn resume(&mut self, run: Interrupted) {
        let open = self.project().is_some_and(|p| p.folder == run.project);
        if open {
            self.start(run.run, true);
        } else if self.open_blocked().is_none() {
            self.open(Retry::Path(run.project));
            self.resume_after_open = Some(run.run);
        }
    }

    pub(super) fn run_ended(&mut self) {
        let Some(run) = self.run() else { return };
        let (tone, title) = match (run.state, run.summary.as_ref().map(|s| s.reason)) {
            (RunState::Failed, _) => (Tone::Error, "Training failed"),
            (RunState::Cancelled, _) => (Tone::Info, "Training was cancelled"),
            (_, Some(StopReason::EarlyStopped)) => {
                (Tone::Success, "Training is done: it had stopped getting better")
            }
            (_, Some(StopReason::Stopped)) => {
                (Tone::Success, "Training was stopped, and the best model kept")
            }
            _ => (Tone::Success, "Training is done"),
        };
        let details = run.error.as_ref().map(ToString::to_string).unwrap_or_default();
        self.notifications.push(tone, title, details);
    }

    fn export(&mut self, path: PathBuf) {
        let attempt = self.attempt();
        let services = Arc::clone(&self.services);
        let Some(project) = self.project_mut() else { return };
        let Some(run) = project.run.as_ref().filter(|r| r.state == RunState::Done) else { return };
        let folder = run.folder.clone();
        project.export = ExportState::Writing(attempt);
        self.tasks.spawn(
            "Writing the model file",
            false,
            &self.wake,
            move |_| Outcome::Exported { attempt, result: services.export(&folder, &path) },
            move |e| Outcome::Exported { attempt, result: Err(e) },
        );
    }

    fn exported(&mut self, attempt: u64, result: Result<super::ExportReport, UserError>) {
        let Some(project) = self.project_mut() else { return };
        if project.export != ExportState::Writing(attempt) {
            return;
        }
        match result {
            Ok(report) => {
                let path = report.path.display().to_string();
                project.export = ExportState::Done(report);
                self.notifications.push(Tone::Success, "The model file is written", path);
            }
            Err(e) => {
                project.export = ExportState::Failed(e.clone());
                self.notifications.error(&e);
            }
        }
    }
}

impl ProjectState {
    fn undo_edit(&mut self) -> Option<Project> {
        self.undo.undo(&self.project)
    }

    fn redo_edit(&mut self) -> Option<Project> {
        self.undo.redo(&self.project)
    }
}

/// Opens a project, or makes one of a data file.
fn load(
    services: &dyn Services,
    projects: &Path,
    what: &Retry,
    progress: &Progress,
) -> Result<LoadedProject, UserError> {
    let (folder, mut project) = match what {
        Retry::Sample(name) => {
            let folder = projects.join(name);
            services.unpack_sample(name, &folder)?;
            let project = services.load_project(&folder)?;
            (folder, project)
        }
        Retry::Path(path) => find_project(services, projects, path)?,
    };
    let data = folder.join(&project.data);
    let dataset = services.open_data(&data, progress)?;
    let columns = columns_in_use(&dataset, &project);
    if let Samples::Table(_) = &dataset.samples {
        let known = |t: &String| columns.iter().any(|(name, _)| name == t);
        if project.target.as_ref().is_none_or(|t| !known(t)) {
            project.target = services.guess_target(&dataset, &columns);
        }
    } else {
        project.target = Some("label".to_owned());
    }
    let task =
        project.target.as_ref().map(|target| services.infer_task(&dataset, &columns, target));
    let summaries = columns::summarise(&dataset.samples);
    let interrupted = services.interrupted(&folder);
    Ok(LoadedProject { folder, project, dataset: Arc::new(dataset), summaries, task, interrupted })
}

/// The project of a path: the one it is, or one made for the data it is.
fn find_project(
    services: &dyn Services,
    projects: &Path,
    path: &Path,
) -> Result<(PathBuf, Project), UserError> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if path.file_name().is_some_and(|n| n == "project.toml") {
        let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
        return Ok((folder.clone(), services.load_project(&folder)?));
    }
    if path.join("project.toml").is_file() {
        return Ok((path.clone(), services.load_project(&path)?));
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let base = slug(&name);
    let mut folder = projects.join(&base);
    for n in 2..10_000 {
        if !folder.exists() {
            break;
        }
        // The same file opened again is the same project, with its runs.
        if let Ok(project) = services.load_project(&folder)
            && project.data == path
        {
            return Ok((folder, project));
        }
        folder = projects.join(format!("{base}-{n}"));
    }
    let project = Project {
        version: VERSION,
        name: if name.is_empty() { "My data".to_owned() } else { name },
        description: String::new(),
        data: path,
        target: None,
        columns: std::collections::BTreeMap::new(),
        prep: PrepConfig::default(),
        split: SplitConfig::default(),
        train: TrainConfig::default(),
    };
    Ok((folder, project))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// A name made of letters, digits and dashes, for files.
pub fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars() {
        if c.is_alphanumeric() {
            slug.extend(c.to_lowercase());
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
        if slug.len() > 60 {
            break;
        }
    }
    let slug = slug.trim_matches('-');
    if slug.is_empty() { "project".to_owned() } else { slug.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_file_names() {
        assert_eq!(slug("My Data (v2).csv"), "my-data-v2-csv");
        assert_eq!(slug("../../etc"), "etc");
        assert_eq!(slug("  "), "project");
        assert_eq!(slug("Größe"), "größe");
    }
}

//! Carries out commands.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::prefs::{ZOOM_MAX, ZOOM_MIN};
use super::services::ExportRequest;
use super::{
    AppState, CheckState, Command, EvaluationState, ExportState, Interrupted, LiveRun,
    LoadedProject, MonitorCommand, MonitorState, Outcome, Pick, ProjectState, SchemaState,
    Services, Step, StepStatus, Tone, VerdictState, Workspace, columns,
};
use crate::data::{Progress, Samples};
use crate::deploy::Input;
use crate::error::{DataError, UserError};
use crate::export::ExportReport;
use crate::export::sealed::is_sealed_file;
use crate::project::Project;
use crate::text::set_language;
use crate::train::worker::Job;
use crate::train::{Control, Event, RunState, StopReason};

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
        self.carry_out(command);
        self.features_if_needed();
        self.estimate_if_needed();
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Go(step) => {
                if !matches!(self.status(step), StepStatus::Locked(_)) {
                    if step == Step::Home && self.step != Step::Home {
                        self.before_home = Some(self.step);
                    }
                    self.step = step;
                    self.return_to = None;
                    self.assess_if_needed();
                    self.read_checks_if_needed();
                }
            }
            Command::Pick(what) => self.pick(what),
            Command::Open(path) => self.open(Retry::Path(path)),
            Command::OpenSample(name) => self.open(Retry::Sample(name)),
            Command::Forget(folder) => {
                self.prefs.forget(&folder);
                self.prefs_edited = Some(Instant::now());
            }
            Command::Close => self.close_tab(self.tab),
            Command::SetImport(import) => self.set_import(*import),
            Command::CrossValidate(k) => self.cross_validate(k),
            Command::Unseal(with) => self.unseal(with),
            Command::SetSealSecret(secret) => self.set_seal_secret(secret),
            Command::SwitchTo(tab) => self.switch_tab(tab),
            Command::CloseTab(tab) => self.close_tab(tab),
            Command::NextTab { back } => self.next_tab(back),
            Command::WindowMoved(place) => {
                if place.is_sound() && self.prefs.window != Some(place) {
                    self.prefs.window = Some(place);
                    self.prefs_edited = Some(Instant::now());
                }
            }
            Command::SetTarget(target) => {
                self.edit("what to predict", |p| p.target = Some(target));
                self.infer_schema();
            }
            Command::SetColumnType { column, kind } => {
                self.edit("a column type", |p| {
                    match kind {
                        Some(kind) => p.columns.insert(column, kind),
                        None => p.columns.remove(&column),
                    };
                });
                self.infer_schema();
            }
            Command::SetConfig { config, what } => self.edit(what, |p| p.train = *config),
            Command::ApplyPreset(preset) => {
                if let Some(data) = self.project().map(ProjectState::data_size) {
                    self.edit("the preset", |p| p.train = preset.apply(&p.train, data));
                }
            }
            Command::Undo => self.travel(ProjectState::undo_edit),
            Command::Redo => self.travel(ProjectState::redo_edit),
            Command::Check => self.check(),
            Command::AcceptFindings { reason, only } => self.accept(&reason, only),
            Command::TakeBackAcceptance => {
                self.edit("accepted findings", |p| p.accepted.clear());
                self.log("acceptance taken back", serde_json::Value::Null);
            }
            Command::PreviewFix { finding, fix } => self.preview(finding, fix),
            Command::ClosePreview => {
                if let Some(project) = self.project_mut() {
                    project.preview = None;
                }
            }
            Command::ApplyFix => self.apply_fix(),
            Command::Profile(column) => self.profile(column),
            Command::SetSplit(split) => {
                self.edit("how rows are split", |p| p.split = *split);
                self.infer_schema();
            }
            Command::Paste(text) => self.paste(text),
            Command::Train => self.train(),
            Command::Control(control) => self.control(control),
            Command::Resume(run) => self.resume(*run),
            Command::IgnoreInterrupted(run) => self.interrupted.retain(|i| i.run != run),
            Command::SetExportPassphrase(secret) => {
                if let Some(project) = self.project_mut() {
                    project.export_passphrase = secret;
                }
            }
            Command::SetExportFormat(format) => {
                if let Some(project) = self.project_mut()
                    && !matches!(project.export, ExportState::Writing(_))
                {
                    project.export_format = format;
                    // What was said of another format is no longer to the point.
                    project.export = ExportState::None;
                }
            }
            Command::Evaluate => self.evaluate(),
            Command::Compare => self.compare(),
            Command::Report(path) => self.report(path),
            Command::Export(path) => self.export(path),
            Command::Try(input) => self.try_model(input),
            Command::Monitor(command) => self.monitor(command),
            Command::Features(command) => self.feature_command(command),
            Command::SaveFile { name, content } => self.save_file(name, content),
            Command::SaveAs(folder) => self.save_as(&folder),
            Command::Runs(command) => self.run_command(command),
            Command::CancelTask(id) => self.tasks.cancel(id),
            Command::Dismiss(id) => self.notifications.dismiss(id),
            Command::SetTheme(theme) => {
                self.prefs.theme = theme;
                self.prefs_edited = Some(Instant::now());
            }
            Command::SetLanguage(language) => {
                self.prefs.language = language;
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
        self.note(outcome);
        self.features_if_needed();
        self.estimate_if_needed();
    }

    fn note(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Estimated { attempt, result } => self.estimated(attempt, result),
            Outcome::Picked { path: None, .. } => {}
            Outcome::Picked { what: Pick::ExportTo, path: Some(path) } => self.export(path),
            Outcome::Picked { what: Pick::ReportTo, path: Some(path) } => self.report(path),
            Outcome::Picked { what: Pick::Picture, path: Some(path) } => {
                self.try_model(Input::Picture(path));
            }
            Outcome::Picked { what: Pick::SaveAs, path: Some(path) } => self.save_as(&path),
            Outcome::Picked { what: Pick::NewData | Pick::NewFolder, path: Some(path) } => {
                self.monitor(MonitorCommand::Check(path));
            }
            Outcome::Picked { what: what @ (Pick::KeyFile | Pick::SealTo), path: Some(path) } => {
                self.picked_for_seal(what, path);
            }
            Outcome::Sealed { attempt, path } => self.found_sealed(attempt, path),
            Outcome::Unsealed { attempt, result } => self.unsealed(attempt, result),
            Outcome::Reread { attempt, record, result } => {
                self.reread_done(attempt, record, result)
            }
            Outcome::CrossValidated { attempt, result } => self.cross_validated(attempt, result),
            Outcome::Picked { path: Some(path), .. } => self.open(Retry::Path(path)),
            Outcome::Opened { attempt, result } => self.opened(attempt, result),
            Outcome::Schema { attempt, result } => {
                if let Some(project) = self.project_mut()
                    && project.schema == SchemaState::Inferring(attempt)
                {
                    let before = project.project.train.clone();
                    project.set_schema(match result {
                        Ok(schema) => SchemaState::Known(schema),
                        Err(e) => SchemaState::Unusable(e),
                    });
                    if project.project.train != before {
                        self.edited = Some(Instant::now());
                    }
                    self.check();
                }
            }
            Outcome::Checked { attempt, result } => {
                if let Some(project) = self.project_mut()
                    && matches!(project.check, CheckState::Running { attempt: a, .. } if a == attempt)
                {
                    project.check = match result {
                        Ok(report) => CheckState::Done(Box::new(report)),
                        Err(e) => CheckState::Failed(e),
                    };
                }
            }
            Outcome::Changed { attempt, result } => self.changed(attempt, result),
            Outcome::Previewed { attempt, result } => {
                if let Some(preview) = self.project_mut().and_then(|p| p.preview.as_mut())
                    && preview.attempt == attempt
                {
                    preview.effects = Some(result);
                }
            }
            Outcome::Profiled(profile) => {
                if let (Some(profile), Some(project)) = (profile, self.project_mut())
                    && let Some((name, open)) = &mut project.profile
                    && *name == profile.name
                {
                    *open = Some(profile);
                }
            }
            Outcome::Past { run, events } => self.go_on(run, events),
            Outcome::Interrupted(found) => {
                for run in found {
                    if !self.interrupted.iter().any(|i| i.run == run.run) {
                        self.interrupted.push(run);
                    }
                }
            }
            Outcome::Engines(engines) => self.engines = Some(engines),
            Outcome::Exported { attempt, result } => self.exported(attempt, result),
            Outcome::Evaluated { attempt, result } => self.evaluated(attempt, result),
            Outcome::Compared { attempt, result } => self.compared(attempt, result),
            Outcome::Reported(result) => self.reported(result),
            Outcome::Monitored { attempt, result } => self.monitored(attempt, result),
            Outcome::Checks { project, result } => self.checks_read(&project, result),
            Outcome::Tried { attempt, result } => self.tried(attempt, result),
            Outcome::Wrote(result) => self.wrote(result),
            Outcome::SavedAs(result) => self.saved_as(result),
            Outcome::Features(outcome) => self.feature_outcome(outcome),
            Outcome::Runs(outcome) => self.run_outcome(outcome),
            Outcome::Saved(Ok(())) => {}
            Outcome::Saved(Err(e)) | Outcome::Failed(e) => self.notifications.error(&e),
        }
    }

    pub(super) fn attempt(&mut self) -> u64 {
        self.attempts += 1;
        self.attempts
    }

    fn pick(&mut self, what: Pick) {
        let name = |p: &ProjectState| match what {
            Pick::SealTo => format!("{}.zip.age", slug(&p.project.name)),
            Pick::ExportTo => format!("{}.{}", slug(&p.project.name), p.export_format.extension()),
            _ => slug(&p.project.name),
        };
        let suggestion = self.project().map(name).unwrap_or_default();
        let (dialogs, language) = (Arc::clone(&self.dialogs), self.language());
        self.tasks.spawn(
            "Waiting for a choice of file",
            false,
            &self.wake,
            move |_| {
                set_language(language);
                Outcome::Picked { what, path: dialogs.pick(what, &suggestion) }
            },
            Outcome::Failed,
        );
    }

    fn open(&mut self, what: Retry) {
        if self.switch_if_open(&what) || !self.make_room() {
            return;
        }
        self.load(what);
    }

    /// Reads a project or data in the place that is in view.
    pub(super) fn load(&mut self, what: Retry) {
        let attempt = self.attempt();
        let name = match &what {
            Retry::Path(path) => file_name(path),
            Retry::Sample(sample) => self
                .samples
                .iter()
                .find(|s| s.id == *sample)
                .map_or_else(|| sample.clone(), |s| s.name.clone()),
        };
        let services = Arc::clone(&self.services);
        self.retry = Some(what.clone());
        self.edited = None;
        self.return_to = None;
        let task = self.tasks.spawn(
            &format!("Opening {name}"),
            true,
            &self.wake,
            move |progress| {
                if let Retry::Path(path) = &what
                    && path.is_file()
                    && is_sealed_file(path)
                {
                    return Outcome::Sealed { attempt, path: path.clone() };
                }
                let result = read(services.as_ref(), &what, progress);
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
                self.restoring = self.restoring.filter(|tab| *tab != self.tab);
                if self.drop_double(&loaded.project.folder) {
                    return;
                }
                self.prefs.remember(&loaded.project.folder, &loaded.project.name);
                self.prefs_edited = Some(Instant::now());
                let interrupted = loaded.interrupted.clone();
                let waiting = loaded.queue.len();
                self.workspace = Workspace::Open(Box::new(ProjectState::new(*loaded)));
                self.edited = Some(Instant::now());
                self.check();
                self.read_runs();
                self.take_in(Outcome::Interrupted(interrupted));
                if waiting > 0 {
                    self.notifications.push(
                        Tone::Info,
                        format!("{waiting} runs still wait in this project"),
                        "Start them in Train, under All runs.",
                    );
                }
                if let Some(run) = self.resume_after_open.take() {
                    self.resume(run);
                }
            }
            Err(e) if e == UserError::from(DataError::Cancelled) => {
                let tab = self.tab;
                self.drop_tab(tab);
            }
            Err(error) if self.restore_failed(&error) => {}
            Err(error) => {
                let retry = self.retry.clone().unwrap_or(Retry::Path(PathBuf::new()));
                self.workspace = Workspace::Failed { retry, error };
                self.resume_after_open = None;
            }
        }
    }

    pub(super) fn edit(&mut self, what: &str, change: impl FnOnce(&mut Project)) {
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
        let redo = to.steps != project.project.steps;
        let resplit = to.split != project.project.split;
        if to.import != project.project.import {
            self.reread(to, false);
            return;
        }
        project.project = to;
        self.edited = Some(Instant::now());
        if redo {
            let steps = self.project().map(|p| p.project.steps.len());
            self.log("steps undone or redone", serde_json::json!({ "steps left": steps }));
            self.do_steps();
        } else if resplit || retype {
            self.infer_schema();
        }
    }

    pub(super) fn infer_schema(&mut self) {
        let attempt = self.attempt();
        let services = Arc::clone(&self.services);
        let Some(project) = self.project_mut() else { return };
        let Some(target) = project.project.target.clone() else {
            project.schema = SchemaState::NoTarget;
            return;
        };
        project.schema = SchemaState::Inferring(attempt);
        let (dataset, types) = (Arc::clone(&project.dataset), project.project.types());
        self.tasks.spawn(
            "Looking at the target",
            false,
            &self.wake,
            move |_| Outcome::Schema {
                attempt,
                result: services.schema(&dataset, Some(&target), &types),
            },
            move |e| Outcome::Schema { attempt, result: Err(e) },
        );
    }

    /// Looks for problems in the background, from the start if that is under way.
    pub(super) fn check(&mut self) {
        let attempt = self.attempt();
        let services = Arc::clone(&self.services);
        let wake = Arc::clone(&self.wake);
        let Some(project) = self.project_mut() else { return };
        let before = std::mem::replace(&mut project.check, CheckState::None);
        project.preview = None;
        let job = project
            .schema()
            .ok()
            .map(|schema| (Arc::clone(&project.dataset), schema.clone(), project.project.clone()));
        if let CheckState::Running { task, .. } = before {
            self.tasks.cancel(task);
        }
        let Some((dataset, schema, basis)) = job else { return };
        let task = self.tasks.spawn(
            "Checking the data",
            true,
            &wake,
            move |progress| Outcome::Checked {
                attempt,
                result: services.check(&dataset, &schema, &basis, progress),
            },
            move |e| Outcome::Checked { attempt, result: Err(e) },
        );
        if let Some(project) = self.project_mut() {
            project.check = CheckState::Running { attempt, task };
        }
    }

    fn train(&mut self) {
        let Some(project) = self.project() else { return };
        if let Some(why) = project.train_blocked() {
            self.notifications.push(Tone::Warning, why, "");
            return;
        }
        let Ok(schema) = project.schema().cloned() else { return };
        let basis = project.project.clone();
        let job = Job {
            project: basis.name.clone(),
            dataset: Arc::clone(&project.dataset),
            schema,
            prep: basis.prep.clone(),
            split: basis.split_config(),
            config: basis.train.clone(),
            folder: self.services.new_run(&basis.folder),
            resume: false,
            start_from: None,
        };
        self.stop_estimating();
        self.start(job, basis, Vec::new());
    }

    pub(super) fn start(&mut self, job: Job, basis: Project, past: Vec<Event>) {
        let (schema, folder) = (job.schema.clone(), job.folder.clone());
        self.interrupted.retain(|i| i.run != folder);
        match self.services.start(job, Arc::clone(&self.wake)) {
            Ok(handle) => {
                if let Some(project) = self.project_mut() {
                    let mut run = LiveRun::new(handle, schema, basis, folder);
                    run.remember(past);
                    project.run = Some(run);
                    project.export = ExportState::None;
                    project.evaluation = EvaluationState::None;
                    project.verdict = VerdictState::None;
                    project.monitoring.state = MonitorState::None;
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
        if self.project().is_none_or(|p| p.project.folder != run.project) {
            self.open(Retry::Path(run.project.clone()));
        }
        if matches!(self.workspace, Workspace::Loading { .. }) {
            self.resume_after_open = Some(run);
            return;
        }
        let here = self.project().filter(|p| p.project.folder == run.project);
        if here.is_none_or(|p| p.run.as_ref().is_some_and(LiveRun::active)) {
            return;
        }
        let services = Arc::clone(&self.services);
        self.tasks.spawn(
            "Reading the interrupted run",
            false,
            &self.wake,
            move |_| Outcome::Past { events: services.past_events(&run.run), run },
            Outcome::Failed,
        );
    }

    /// Starts an interrupted run again where it was cut off.
    fn go_on(&mut self, run: Interrupted, events: Vec<Event>) {
        let Some(project) = self.project().filter(|p| p.project.folder == run.project) else {
            return;
        };
        if project.run.as_ref().is_some_and(LiveRun::active) {
            return;
        }
        let record = *run.record;
        let basis = Project {
            target: Some(record.schema.target.clone()),
            prep: record.prep.clone(),
            split: record.split.clone(),
            train: record.config.clone(),
            ..project.project.clone()
        };
        let job = Job {
            project: record.project,
            dataset: Arc::clone(&project.dataset),
            schema: record.schema,
            prep: record.prep,
            split: record.split,
            config: record.config,
            folder: run.run,
            resume: true,
            start_from: None,
        };
        self.start(job, basis, events);
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
        self.tell(Step::Train, tone, title, details);
        self.read_runs();
        self.start_next();
    }

    /// Notifies; without a toast when the step that shows it is in view.
    pub(super) fn tell(&mut self, shown_in: Step, tone: Tone, title: &str, details: String) {
        match self.project().map(|p| p.project.name.clone()) {
            _ if self.in_view && self.step == shown_in => {
                self.notifications.note(tone, title, details);
            }
            Some(name) if !self.in_view => {
                self.notifications.push(tone, format!("{name}: {title}"), details);
            }
            _ => self.notifications.push(tone, title, details),
        }
    }

    fn export(&mut self, path: PathBuf) {
        let attempt = self.attempt();
        let services = Arc::clone(&self.services);
        let Some(project) = self.project_mut() else { return };
        let Some(run) = project.run.as_ref().filter(|r| r.state == RunState::Done) else { return };
        let request = ExportRequest {
            run: run.folder.clone(),
            to: path,
            format: project.export_format,
            data: Arc::clone(&project.dataset),
            data_path: project.project.dataset_path(),
            passphrase: project.export_passphrase.clone(),
        };
        project.export = ExportState::Writing(attempt);
        self.tasks.spawn(
            "Writing the model file",
            false,
            &self.wake,
            move |_| Outcome::Exported { attempt, result: services.export(&request) },
            move |e| Outcome::Exported { attempt, result: Err(e) },
        );
    }

    fn exported(&mut self, attempt: u64, result: Result<ExportReport, UserError>) {
        let Some(project) = self.project_mut() else { return };
        if project.export != ExportState::Writing(attempt) {
            return;
        }
        match result {
            Ok(report) => {
                let path = report.path.display().to_string();
                project.export = ExportState::Done(report);
                self.tell(Step::Export, Tone::Success, "The model file is written", path);
            }
            Err(e) => {
                project.export = ExportState::Failed(e.clone());
                let details = format!("{e}");
                self.tell(Step::Export, Tone::Error, "The model file was not written", details);
            }
        }
    }
}

pub mod fixes;

impl ProjectState {
    fn undo_edit(&mut self) -> Option<Project> {
        self.undo.undo(&self.project)
    }

    fn redo_edit(&mut self) -> Option<Project> {
        self.undo.redo(&self.project)
    }
}

/// Opens a project and its data.
fn read(
    services: &dyn Services,
    what: &Retry,
    progress: &Progress,
) -> Result<LoadedProject, UserError> {
    let project = match what {
        Retry::Sample(id) => services.open_sample(id)?,
        Retry::Path(path) => services.open_project(path)?,
    };
    read_data(services, project, progress)
}

/// Reads the data of a project.
pub(super) fn read_data(
    services: &dyn Services,
    mut project: Project,
    progress: &Progress,
) -> Result<LoadedProject, UserError> {
    let mut original = services.open_data(&project, progress)?;
    let mut dataset = original.clone();
    if !project.steps.is_empty() {
        match crate::data::steps::apply(&original, &project.steps) {
            Ok((changed, _)) => dataset = changed,
            Err(e) => {
                // The file is not the one the steps were recorded on.
                let note = crate::data::ImportNote::repair(
                    format!("The recorded changes were taken off: {}.", UserError::from(e).what),
                    &[],
                );
                project.steps.clear();
                original.notes.push(note.clone());
                dataset.notes.push(note);
            }
        }
    }
    if let Samples::Table(table) = &dataset.samples {
        // Columns may have been renamed or removed in the file since.
        let read = match &original.samples {
            Samples::Table(read) => read,
            Samples::Images(_) => table,
        };
        project.columns.retain(|name, _| read.column(name).is_some());
        if project.target.as_ref().is_none_or(|t| table.column(t).is_none()) {
            project.target = services.suggest_target(&dataset);
        }
    } else {
        project.target = services.suggest_target(&dataset);
    }
    let schema = project
        .target
        .as_ref()
        .map(|target| services.schema(&dataset, Some(target.as_str()), &project.types()));
    project.suggest(&dataset, schema.as_ref().and_then(|s| s.as_ref().ok()));
    let summaries = columns::summarise(&dataset.samples);
    let interrupted = services.interrupted(&project.folder);
    let queue = services.queue(&project.folder);
    let parts = services.parts(&project.dataset_path());
    let original = Arc::new(original);
    let dataset = if project.steps.is_empty() { Arc::clone(&original) } else { Arc::new(dataset) };
    Ok(LoadedProject { project, dataset, original, summaries, schema, interrupted, queue, parts })
}

pub(super) fn file_name(path: &Path) -> String {
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

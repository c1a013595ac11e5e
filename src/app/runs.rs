//! Carries out what is asked about runs: the history, and those that wait for their turn.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::history::{MOST_QUEUED, Queued, RunCommand, RunCurves, RunOutcome};
use super::{AppState, EvaluationState, ExportState, LiveRun, Outcome, Step, Tone, VerdictState};
use crate::error::UserError;
use crate::project::Project;
use crate::train::run_folder::RunRecord;
use crate::train::worker::Job;
use crate::train::{Event, RunNotes};

impl AppState {
    pub(super) fn run_command(&mut self, command: RunCommand) {
        match command {
            RunCommand::Read => self.read_runs(),
            RunCommand::Note(run, notes) => {
                self.change_run("Writing notes", move |services| services.note_run(&run, &notes))
            }
            RunCommand::Delete(run) => {
                let services = Arc::clone(&self.services);
                let failed = run.clone();
                self.tasks.spawn(
                    "Deleting a run",
                    false,
                    &self.wake,
                    move |_| {
                        let result = services.delete_run(&run);
                        Outcome::Runs(RunOutcome::Deleted(run, result))
                    },
                    move |e| Outcome::Runs(RunOutcome::Deleted(failed, Err(e))),
                );
            }
            RunCommand::Restore => {
                let last = self.project_mut().and_then(|p| p.history.deleted.pop());
                if let Some(run) = last {
                    self.change_run("Bringing a run back", move |services| {
                        services.restore_run(&run)
                    });
                }
            }
            RunCommand::Curves(runs) => self.read_curves(runs),
            RunCommand::Open(run) => self.open_run(run, true),
            RunCommand::UseSettings(run) => {
                let found = self.project().and_then(|p| p.history.get(&run));
                if let Some(config) = found.map(|r| r.config.clone()) {
                    self.edit("settings of a run", |p| p.train = config);
                    self.notifications.push(
                        Tone::Success,
                        "The settings of that run are chosen now",
                        "See Configure. Undo brings yours back.",
                    );
                }
            }
            RunCommand::Queue(runs) => self.queue(runs),
            RunCommand::Unqueue(index) => {
                if let Some(project) = self.project_mut() {
                    project.history.queue.remove(index);
                }
                self.edited = Some(Instant::now());
            }
            RunCommand::ClearQueue => {
                if let Some(project) = self.project_mut() {
                    project.history.queue.clear();
                }
                self.edited = Some(Instant::now());
            }
            RunCommand::StartQueue => self.start_next(),
        }
    }

    pub(super) fn run_outcome(&mut self, outcome: RunOutcome) {
        match outcome {
            RunOutcome::Listed { project: folder, runs } => {
                let Some(project) = self.project_mut() else { return };
                if project.project.folder != folder {
                    return;
                }
                let first = project.history.runs.is_none();
                let newest = runs.iter().find(|r| r.finished()).map(|r| r.folder.clone());
                project.history.runs = Some(runs);
                // What was trained before is there again when a project is opened.
                if first
                    && project.run.is_none()
                    && let Some(run) = newest
                {
                    self.open_run(run, false);
                }
            }
            RunOutcome::Changed(result) => {
                if let Err(e) = result {
                    self.notifications.error(&e);
                }
                self.read_runs();
            }
            RunOutcome::Deleted(run, result) => {
                match result {
                    Ok(()) => {
                        if let Some(project) = self.project_mut() {
                            project.history.deleted.push(run);
                        }
                    }
                    Err(e) => self.notifications.error(&e),
                }
                self.read_runs();
            }
            RunOutcome::Curves(run, curves) => {
                if let Some(project) = self.project_mut() {
                    project.history.reading.remove(&run);
                    project.history.curves.insert(run, *curves);
                }
            }
            RunOutcome::Opened { run, result, asked } => match result {
                Ok((record, events)) => self.show_run(run, *record, events, asked),
                Err(e) if asked => self.notifications.error(&e),
                Err(e) => tracing::warn!("the newest run is not shown: {e}"),
            },
        }
    }

    /// Reads the list of runs in the background.
    pub(super) fn read_runs(&mut self) {
        let Some(project) = self.project() else { return };
        let services = Arc::clone(&self.services);
        let folder = project.project.folder.clone();
        self.tasks.spawn(
            "Reading the list of runs",
            false,
            &self.wake,
            move |_| {
                let runs = services.history(&folder);
                Outcome::Runs(RunOutcome::Listed { project: folder, runs })
            },
            Outcome::Failed,
        );
    }

    fn change_run(
        &mut self,
        label: &'static str,
        change: impl FnOnce(&dyn super::Services) -> Result<(), UserError> + Send + 'static,
    ) {
        let services = Arc::clone(&self.services);
        self.tasks.spawn(
            label,
            false,
            &self.wake,
            move |_| Outcome::Runs(RunOutcome::Changed(change(services.as_ref()))),
            |e| Outcome::Runs(RunOutcome::Changed(Err(e))),
        );
    }

    fn read_curves(&mut self, runs: Vec<PathBuf>) {
        for run in runs {
            let Some(project) = self.project_mut() else { return };
            let history = &mut project.history;
            if history.curves.contains_key(&run) || !history.reading.insert(run.clone()) {
                continue;
            }
            let services = Arc::clone(&self.services);
            let failed = run.clone();
            self.tasks.spawn(
                "Reading curves",
                false,
                &self.wake,
                move |_| {
                    let curves = Box::new(RunCurves::of(&services.past_events(&run)));
                    Outcome::Runs(RunOutcome::Curves(run, curves))
                },
                move |_| Outcome::Runs(RunOutcome::Curves(failed, Box::default())),
            );
        }
    }

    fn open_run(&mut self, run: PathBuf, asked: bool) {
        if asked && self.run().is_some_and(LiveRun::active) {
            self.notifications.push(Tone::Warning, "Training is running. Stop it first.", "");
            return;
        }
        let services = Arc::clone(&self.services);
        let failed = run.clone();
        self.tasks.spawn(
            "Reading a run",
            false,
            &self.wake,
            move |_| {
                let result = services.open_run(&run);
                Outcome::Runs(RunOutcome::Opened { run, result, asked })
            },
            move |e| Outcome::Runs(RunOutcome::Opened { run: failed, result: Err(e), asked }),
        );
    }

    fn show_run(&mut self, folder: PathBuf, record: RunRecord, events: Vec<Event>, asked: bool) {
        let Some(project) = self.project_mut() else { return };
        // Something was started or opened in the meantime.
        if project.run.as_ref().is_some_and(LiveRun::active) || (!asked && project.run.is_some()) {
            return;
        }
        // The run is of another project.
        if !folder.starts_with(&project.project.folder) {
            return;
        }
        let Some(summary) = record.summary else { return };
        let basis = Project {
            target: Some(record.schema.target.clone()),
            prep: record.prep,
            split: record.split,
            train: record.config,
            ..project.project.clone()
        };
        project.run = Some(LiveRun::past(record.schema, basis, folder, events, summary));
        project.export = ExportState::None;
        project.evaluation = EvaluationState::None;
        project.monitoring.state = super::MonitorState::None;
        project.verdict = VerdictState::None;
        if asked {
            self.step = Step::Train;
        }
    }

    fn queue(&mut self, runs: Vec<Queued>) {
        let Some(project) = self.project_mut() else { return };
        let room = MOST_QUEUED.saturating_sub(project.history.queue.len());
        let left = runs.len().saturating_sub(room);
        project.history.queue.extend(runs.into_iter().take(room));
        if left > 0 {
            self.notifications.push(
                Tone::Warning,
                format!("{left} runs were left out"),
                format!("At most {MOST_QUEUED} runs can wait at a time."),
            );
        }
        self.edited = Some(Instant::now());
        self.start_next();
    }

    /// Starts the next waiting run if nothing is trained.
    pub(super) fn start_next(&mut self) {
        let Some(project) = self.project() else { return };
        if project.history.queue.is_empty() || project.run.as_ref().is_some_and(LiveRun::active) {
            return;
        }
        let blocked = match project.train_blocked() {
            Some(why) => Some(why),
            None => project.schema().err(),
        };
        if let Some(why) = blocked {
            self.notifications.push(Tone::Warning, "The waiting runs cannot start", why);
            return;
        }
        let Some(project) = self.project_mut() else { return };
        let Some(Queued { config, notes }) = project.history.queue.pop_front() else { return };
        self.edited = Some(Instant::now());
        let Some(project) = self.project() else { return };
        let Ok(schema) = project.schema().cloned() else { return };
        let basis = Project { train: *config, ..project.project.clone() };
        let dataset = Arc::clone(&project.dataset);
        let folder = self.services.new_run(&basis.folder);
        let job = Job {
            project: basis.name.clone(),
            dataset,
            schema,
            prep: basis.prep.clone(),
            split: basis.split_config(),
            config: basis.train.clone(),
            folder: folder.clone(),
            resume: false,
            start_from: None,
        };
        let step = self.step;
        self.start(job, basis, Vec::new());
        // Who looks at something else goes on looking at it.
        self.step = step;
        if notes != RunNotes::default() {
            self.change_run("Writing notes", move |services| services.note_run(&folder, &notes));
        }
    }
}

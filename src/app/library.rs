//! The real library and system behind [`Services`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Wake;
use super::services::{Engines, ExportRequest, Interrupted, Sample, Services};
use crate::data::{self, ColumnType, Dataset, Progress, Schema};
use crate::deploy::Model;
use crate::device;
use crate::engine;
use crate::error::UserError;
use crate::eval::{self, Evaluation, Options, Verdict, verdict};
use crate::export::{self, ExportOptions, ExportReport};
use crate::project::{self, FILE, Project};
use crate::quality::Report;
use crate::train::estimate::{Estimate, estimate};
use crate::train::run_folder::{self, RunFolder};
use crate::train::worker::{self, Job};
use crate::train::{Event, RunHandle};

/// The library on this computer.
#[derive(Debug, Clone)]
pub struct Library {
    /// Folder of projects made from samples and the user's own data.
    projects: PathBuf,
}

impl Default for Library {
    fn default() -> Self {
        Self { projects: project::home() }
    }
}

impl Library {
    /// With another folder of projects than the user's.
    pub fn at(projects: &Path) -> Self {
        Self { projects: projects.to_owned() }
    }
}

impl Services for Library {
    fn samples(&self) -> Vec<Sample> {
        project::samples()
            .iter()
            .map(|s| Sample {
                id: s.id.to_owned(),
                name: s.name.to_owned(),
                description: s.description.to_owned(),
                rows: s.rows,
            })
            .collect()
    }

    fn open_sample(&self, id: &str) -> Result<Project, UserError> {
        Ok(project::materialise(id, &self.projects)?)
    }

    fn open_project(&self, path: &Path) -> Result<Project, UserError> {
        let mut project = Project::open(path)?;
        let home = project::home();
        // A project of the user's own data lies in the user's folder unless another is set.
        if self.projects != home
            && let Ok(own) = project.folder.strip_prefix(&home)
        {
            project.folder = self.projects.join(own);
            if project.folder.join(FILE).is_file() {
                project = Project::load(&project.folder)?;
            }
        }
        Ok(project)
    }

    fn features(&self) -> PathBuf {
        let own = project::features::folder();
        if self.projects == project::home() { own } else { self.projects.join("features") }
    }

    fn pasted(&self) -> PathBuf {
        self.projects.join("pasted")
    }

    fn save_project(&self, project: &Project) -> Result<(), UserError> {
        Ok(project.save()?)
    }

    fn open_data(&self, project: &Project, progress: &Progress) -> Result<Dataset, UserError> {
        Ok(data::open(&project.dataset_path(), &project.import, progress)?)
    }

    fn suggest_target(&self, data: &Dataset) -> Option<String> {
        data::schema::suggest_target(data)
    }

    fn schema(
        &self,
        data: &Dataset,
        target: Option<&str>,
        types: &BTreeMap<String, ColumnType>,
    ) -> Result<Schema, UserError> {
        Ok(Schema::infer(data, target, types)?)
    }

    fn check(
        &self,
        data: &Dataset,
        schema: &Schema,
        project: &Project,
        progress: &Progress,
    ) -> Result<Report, UserError> {
        super::checking::check(data, schema, project, true, progress)
    }

    fn estimate(
        &self,
        data: &Dataset,
        schema: &Schema,
        project: &Project,
        progress: &Progress,
    ) -> Result<Estimate, UserError> {
        let split = project.split_config();
        Ok(estimate(data, schema, &project.prep, &split, &project.train, progress)?)
    }

    fn engines(&self) -> Engines {
        let adapters = device::inspect()
            .into_iter()
            .map(|found| {
                let usable = found.self_test.and_then(device::SelfTest::into_result);
                (found.info, usable.map(|_| ()).map_err(|e| e.to_string()))
            })
            .collect();
        Engines { cpu: engine::cpu::info(), adapters }
    }

    fn start(&self, job: Job, wake: Wake) -> Result<RunHandle, UserError> {
        Ok(worker::start(job, wake)?)
    }

    fn new_run(&self, project: &Path) -> PathBuf {
        run_folder::new_path(project)
    }

    fn interrupted(&self, project: &Path) -> Vec<Interrupted> {
        run_folder::list(project)
            .into_iter()
            .filter(RunFolder::interrupted)
            .map(|run| Interrupted {
                project: project.to_owned(),
                run: run.path,
                record: Box::new(run.record),
            })
            .collect()
    }

    fn past_events(&self, run: &Path) -> Vec<Event> {
        let events = RunFolder::open(run).and_then(|run| run.events());
        events.unwrap_or_else(|e| {
            tracing::warn!("the curves of the interrupted run cannot be shown: {e}");
            Vec::new()
        })
    }

    fn evaluate(
        &self,
        run: &Path,
        data: &Dataset,
        progress: &Progress,
    ) -> Result<Evaluation, UserError> {
        let run = RunFolder::open(run)?;
        let model = Model::of_run(&run)?;
        let options = Options { own_data: true, ..Options::default() };
        let mut found = eval::examine(&model, data, options, progress)?;
        found.treated = eval::treated::look(&run, data, &found)?;
        if let Some(calibrations) = found.calibrations() {
            run.keep_calibrations(calibrations)?;
        }
        Ok(found)
    }

    fn compare(&self, job: &Job, progress: &Progress) -> Result<Verdict, UserError> {
        verdict::in_scratch(job, progress)
    }

    fn report(
        &self,
        run: &Path,
        evaluation: &Evaluation,
        verdict: Option<&Verdict>,
        to: &Path,
    ) -> Result<(), UserError> {
        let run = RunFolder::open(run)?;
        Ok(export::report::write(&run.record, evaluation, verdict, to)?)
    }

    fn export(&self, request: &ExportRequest) -> Result<ExportReport, UserError> {
        let run = RunFolder::open(&request.run)?;
        // Beside the projects, wherever those are.
        let key = self.projects.parent().unwrap_or(&self.projects).join("signing-key.pem");
        let options = ExportOptions {
            data: Some(request.data.as_ref()),
            data_path: Some(&request.data_path),
            key: Some(&key),
            ..ExportOptions::default()
        };
        if request.passphrase.0.is_empty() {
            return Ok(export::export_run_as(&run, &request.to, request.format, &options)?);
        }
        let lock = super::unsealing::lock_of(&request.passphrase);
        export::sealed::export(&run, &request.to, request.format, &options, &lock)
    }
}

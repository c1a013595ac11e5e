//! `fp8-studio export`.

use std::path::{Path, PathBuf};

use super::args::ExportArgs;
use super::terminal;
use crate::data::{Dataset, Progress};
use crate::error::UserError;
use crate::export::sealed::Lock;
use crate::export::{self, ExportFormat, ExportOptions, ExportReport};
use crate::project::Project;
use crate::train::run_folder::{self, RunFolder};

/// Exports and shows what was written.
pub(super) fn run(args: &ExportArgs) -> Result<(), UserError> {
    let (run, mut project) = newest(&args.source)?;
    if let Some(data) = &args.data {
        project = Some(super::source::open_project(data)?);
    }
    let format = match (args.to, &args.output) {
        (Some(to), _) => to.into(),
        (None, None) => ExportFormat::Safetensors,
        (None, Some(path)) => ExportFormat::of_path(path).unwrap_or(ExportFormat::Safetensors),
    };
    let default = || PathBuf::from(format!("model.{}", format.extension()));
    let path = args.output.clone().unwrap_or_else(default);
    let data = project.as_ref().and_then(data);
    let data_path = project.as_ref().map(Project::dataset_path);
    let key = args.key.clone().unwrap_or_else(crate::project::signing_key);
    let options = ExportOptions {
        data: data.as_ref(),
        data_path: data_path.as_deref(),
        licence: args.licence.as_deref(),
        key: Some(&key),
        test_rows_as_golden: args.with_test_rows,
    };
    let report = if args.encrypt {
        let typed;
        let lock = match &args.recipient {
            Some(recipient) => Lock::Recipient(recipient),
            None => {
                typed = super::seal::passphrase(args.passphrase_file.as_deref(), true)?;
                Lock::passphrase(&typed)
            }
        };
        export::sealed::export(&run, &path, format, &options, &lock)?
    } else {
        export::export_run_as(&run, &path, format, &options)?
    };
    if args.json { terminal::json(&report) } else { terminal::out(&text(&run, &report)) }
}

/// The data of a project; most formats do without.
fn data(project: &Project) -> Option<Dataset> {
    match project.open_data(&Progress::default()) {
        Ok(data) => Some(data),
        Err(e) => {
            let e = UserError::from(e);
            terminal::note(&format!("note: the data cannot be read, so go unused: {}", e.what));
            None
        }
    }
}

/// The run of a folder (the folder itself, or the newest of a project that has a model) and its
/// project.
pub(super) fn newest(source: &Path) -> Result<(RunFolder, Option<Project>), UserError> {
    if source.join(run_folder::RECORD).is_file() {
        // Runs lie in the folder `runs` of their project, unless they were told otherwise.
        let full = std::path::absolute(source).unwrap_or_else(|_| source.to_owned());
        let folder = full.parent().and_then(Path::parent);
        let project = folder.and_then(|f| Project::load(f).ok());
        return Ok((RunFolder::open(source)?, project));
    }
    let project = super::source::open_project(source)?;
    let runs = run_folder::list(&project.folder);
    let done = |r: &&RunFolder| r.record.summary.is_some() && r.has_model();
    let found = runs.iter().find(done).or_else(|| runs.iter().find(|r| r.has_model()));
    match found {
        Some(run) => Ok((run.clone(), Some(project))),
        None => Err(UserError::new(
            format!("{} has no trained model yet", source.display()),
            format!("Train one first: fp8-studio train {}", terminal::quoted(source)),
        )),
    }
}

fn text(run: &RunFolder, report: &ExportReport) -> String {
    let files: Vec<Vec<String>> = report
        .files
        .iter()
        .map(|f| vec![f.name.clone(), format!("{} bytes", terminal::count(f.bytes))])
        .collect();
    let rows: Vec<Vec<String>> = report
        .tensors
        .iter()
        .map(|t| {
            let shape: Vec<String> = t.shape.iter().map(usize::to_string).collect();
            vec![t.name.clone(), shape.join(" × "), t.dtype.to_owned()]
        })
        .collect();
    let mut facts = report.proven();
    if let Some(needs) = report.needs {
        facts += &format!("\nNeeds {needs} or newer, or this program.");
    }
    let next = match report.format {
        ExportFormat::Pytorch => {
            "torchrun train.py in ".to_owned() + &terminal::quoted(&report.path)
        }
        _ => format!("fp8-studio predict {} DATA.csv", terminal::quoted(&report.path)),
    };
    format!(
        "Wrote {} ({} bytes) from {}\n\n{}\n{facts}\nNext: {next}\n",
        report.path.display(),
        terminal::count(report.bytes),
        run.path.display(),
        terminal::table(if files.is_empty() { &rows } else { &files }),
    )
}

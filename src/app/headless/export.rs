//! `fp8-studio export`.

use std::path::Path;

use super::args::ExportArgs;
use super::terminal;
use crate::error::UserError;
use crate::export::{self, ExportReport};
use crate::train::run_folder::{self, RunFolder};

/// Exports and shows what was written.
pub(super) fn run(args: &ExportArgs) -> Result<(), UserError> {
    let run = newest(&args.source)?;
    let report = export::export_run(&run, &args.output)?;
    if args.json { terminal::json(&report) } else { terminal::out(&text(&run, &report)) }
}

/// The run of a folder: the folder itself, or the newest of a project that has a model.
pub(super) fn newest(source: &Path) -> Result<RunFolder, UserError> {
    if source.join(run_folder::RECORD).is_file() {
        return Ok(RunFolder::open(source)?);
    }
    let project = super::source::open_project(source)?;
    let runs = run_folder::list(&project.folder);
    let done = |r: &&RunFolder| r.record.summary.is_some() && r.has_model();
    let found = runs.iter().find(done).or_else(|| runs.iter().find(|r| r.has_model()));
    found.cloned().ok_or_else(|| {
        UserError::new(
            format!("{} has no trained model yet", source.display()),
            format!("Train one first: fp8-studio train {}", terminal::quoted(source)),
        )
    })
}

fn text(run: &RunFolder, report: &ExportReport) -> String {
    let rows: Vec<Vec<String>> = report
        .tensors
        .iter()
        .map(|t| {
            let shape: Vec<String> = t.shape.iter().map(usize::to_string).collect();
            vec![t.name.clone(), shape.join(" × "), t.dtype.to_owned()]
        })
        .collect();
    let difference = match report.max_difference {
        0.0 => "to the last bit".to_owned(),
        d => format!("largest difference {d:.1e}"),
    };
    format!(
        "Wrote {} ({} bytes) from {}\n\n{}\n\
         Proven: read back, it predicts {} rows as the live model does ({difference}).\n\
         Next: fp8-studio predict {} DATA.csv\n",
        report.path.display(),
        terminal::count(report.bytes),
        run.path.display(),
        terminal::table(&rows),
        report.proof_rows,
        terminal::quoted(&report.path),
    )
}

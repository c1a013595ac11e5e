//! `fp8-studio report`.

use super::args::ReportArgs;
use super::source::{self, Source};
use super::{compare, eval as judge, terminal};
use crate::data::Progress;
use crate::error::UserError;
use crate::eval::{self, Options, verdict};
use crate::export;

/// Evaluates, compares if asked to, and writes the page.
pub(super) fn run(args: &ReportArgs) -> Result<(), UserError> {
    let (model, run) = judge::open_model(&args.model)?;
    let Some(run) = run else {
        return Err(UserError::new(
            "A report is made of a run, and this is an exported model file",
            "Give the run folder or the project instead.",
        ));
    };
    let (project, own_data) = judge::data(&args.model, args.data.as_deref(), Some(&run))?;
    let dataset = project.open_data(&Progress::default())?;
    source::notes(&dataset, true);
    let options = Options { own_data, ..Options::default() };
    let mut found = eval::examine(&model, &dataset, options, &Progress::default())?;
    found.treated = eval::treated::look(&run, &dataset, &found)?;
    if let Some(calibrations) = found.calibrations() {
        run.keep_calibrations(calibrations)?;
    }
    let compared = if args.compare {
        let schema = run.record.schema.clone();
        let job = compare::job(Source { project, dataset, schema });
        Some(verdict::in_scratch(&job, &Progress::default())?)
    } else {
        None
    };
    export::report::write(&run.record, &found, compared.as_ref(), &args.output)?;
    terminal::out(&format!("Wrote {}\n", args.output.display()))
}

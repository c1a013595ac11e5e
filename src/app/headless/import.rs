//! `fp8-studio import`.

use super::args::ImportArgs;
use super::terminal;
use crate::error::UserError;
use crate::export::pytorch;

/// Imports and shows what was found.
pub(super) fn run(args: &ImportArgs) -> Result<(), UserError> {
    let report = pytorch::import(&args.source, &args.output)?;
    if args.json {
        return terminal::json(&report);
    }
    let (label, found) = report.test.main().map_or(("score", String::new()), |(kind, value)| {
        (
            kind.label(),
            format!("{}, before {}", kind.format(value), kind.format(report.said.test_before)),
        )
    });
    terminal::out(&format!(
        "Wrote {}\n\nConfirmed here on {} test rows: {label} {found}.\n\
         Trained by {} process(es), weights of epoch {}.\nNext: fp8-studio predict {} DATA.csv\n",
        report.path.display(),
        terminal::count(report.test.rows),
        report.said.processes,
        report.said.best_epoch,
        terminal::quoted(&report.path),
    ))
}

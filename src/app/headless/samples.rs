//! `fp8-studio samples`.

use std::path::Path;

use super::args::SamplesArgs;
use super::terminal;
use crate::error::UserError;
use crate::project;

/// Lists the samples, or copies one.
pub(super) fn run(args: &SamplesArgs) -> Result<(), UserError> {
    let Some(name) = &args.name else { return terminal::out(&list()) };
    if !project::samples().iter().any(|s| s.id == name) {
        let names: Vec<&str> = project::samples().iter().map(|s| s.id).collect();
        return Err(UserError::new(
            format!("There is no sample \"{name}\""),
            format!("Choose one of {}.", names.join(", ")),
        ));
    }
    let into = args.folder.as_deref().unwrap_or(Path::new(""));
    let project = project::materialise(name, into)?;
    let path = into.join(name);
    terminal::out(&format!(
        "{}: {}\nCopied to {}\nNext: fp8-studio train {}\n",
        project.name,
        project.description,
        path.display(),
        terminal::quoted(&path),
    ))
}

fn list() -> String {
    let mut text = String::new();
    for s in project::samples() {
        text += &format!("{} ({} rows)\n  {}\n", s.id, terminal::count(s.rows), s.description);
    }
    text + "\nCopy one to this folder: fp8-studio samples NAME\n"
}

//! From what a user points at to a project with its data read.

use std::path::Path;

use super::args::DataArgs;
use super::terminal;
use crate::data::{Dataset, Progress, Schema};
use crate::error::{Place, UserError};
use crate::project::{self, Project};

/// A project and its data.
pub(super) struct Source {
    pub(super) project: Project,
    pub(super) dataset: Dataset,
    pub(super) schema: Schema,
}

/// Opens a project or data; `target` replaces the project's. `say` tells what was done to the data
/// while reading, and what was guessed.
pub(super) fn open_with(path: &Path, args: &DataArgs, say: bool) -> Result<Source, UserError> {
    let mut project = open_project(path)?;
    if let Some(target) = &args.target {
        project.target = Some(target.clone());
    }
    if args.sheet.is_some() || args.query.is_some() {
        project.import.part.clone_from(&args.sheet);
        project.import.query.clone_from(&args.query);
    }
    if args.whole {
        project.import.whole = true;
    }
    if let Some(method) = args.split {
        project.split.method = method.into();
        project.split.column = None;
    }
    if let Some(column) = &args.split_by {
        project.split.column = Some(column.clone());
    }
    let dataset = project.open_data(&Progress::default())?;
    if say {
        notes(&dataset, false);
    }
    let at = |mut e: UserError| {
        e.place.path.get_or_insert_with(|| project.dataset_path());
        e
    };
    let schema = project.schema(&dataset).map_err(|e| at(e.into()))?;
    if say && project.target.is_none() && !schema.columns.is_empty() {
        terminal::note(&format!(
            "Predicting column \"{}\" (a guess; --target COLUMN chooses another)",
            schema.target
        ));
    }
    project.suggest(&dataset, Some(&schema));
    Ok(Source { project, dataset, schema })
}

/// Opens a project, or makes one for data.
pub(super) fn open_project(path: &Path) -> Result<Project, UserError> {
    if !path.exists() {
        let id = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let advice = if project::samples().iter().any(|s| s.id == id) {
            format!("\"{id}\" is a sample; get a copy of it with: fp8-studio samples {id}")
        } else {
            "Check that it is spelled this way, and that you are in the right folder.".to_owned()
        };
        return Err(UserError {
            what: "There is no such file or folder".to_owned(),
            place: Place { path: Some(path.to_owned()), ..Place::default() },
            advice,
        });
    }
    Ok(Project::open(path)?)
}

/// What the importer did to the data, with the rows it touched; all of it, or only the repairs.
pub(super) fn notes(dataset: &Dataset, repairs: bool) {
    for note in dataset.notes.iter().filter(|n| n.repair || !repairs) {
        let rows: Vec<String> = note.rows.iter().take(5).map(u64::to_string).collect();
        let rows = match (rows.len(), note.rows.len() > 5) {
            (0, _) => String::new(),
            (1, false) => format!(" (row {})", rows.concat()),
            (_, more) => format!(" (rows {}{})", rows.join(", "), if more { ", …" } else { "" }),
        };
        let mark = if note.repair { "repaired: " } else { "" };
        terminal::note(&format!("{mark}{}{rows}", note.text));
    }
}

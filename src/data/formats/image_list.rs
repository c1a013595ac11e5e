//! A table of image paths and labels: the images themselves become the data.

use std::path::{Path, PathBuf};

use super::image_folder::{self, Item};
use crate::data::{Column, ImageSet, ImportNote, ImportOptions, Progress, Table, count, invalid};
use crate::error::DataError;

/// Names of the column that labels the images, best first.
const LABELS: [&str; 8] =
    ["label", "class", "target", "category", "y", "species", "name", "classes"];
/// Values looked at to tell whether a column holds paths.
const LOOK: usize = 20;

/// Reads the images that a table lists; `None` when it lists none that are there.
pub(crate) fn open(
    path: &Path,
    table: &Table,
    options: &ImportOptions,
    progress: &Progress,
) -> Result<Option<(ImageSet, Vec<ImportNote>)>, DataError> {
    let base = path.parent().unwrap_or(Path::new("."));
    let Some(paths) = table.columns().iter().find(|c| lists_images(c, base)) else {
        return Ok(None);
    };
    let labels = label_column(table, paths, options).map_err(|e| e.in_file(path))?;
    let part = table.columns().iter().find(|c| {
        ["split", "set", "subset", "part"].iter().any(|n| c.name().eq_ignore_ascii_case(n))
            && c.codes().1.iter().any(|v| v.eq_ignore_ascii_case("test"))
    });
    let mut items = Vec::new();
    let (mut missing, mut unlabelled) = (Vec::new(), Vec::new());
    for row in 0..table.rows() {
        let (Some(file), Some(class)) = (paths.value(row), labels.value(row)) else {
            unlabelled.push(table.line(row));
            continue;
        };
        let file = found(base, file);
        if !file.is_file() {
            missing.push(table.line(row));
            continue;
        }
        let test = part.and_then(|p| p.value(row)).is_some_and(|v| v.eq_ignore_ascii_case("test"));
        items.push(Item { path: file, class: class.to_owned(), test });
    }
    let mut notes = vec![ImportNote::info(format!(
        "The table lists images in \"{}\" and their classes in \"{}\".",
        paths.name(),
        labels.name()
    ))];
    if !missing.is_empty() {
        let text = format!("{} listed but not there left out.", count(missing.len(), "image"));
        notes.push(ImportNote::repair(text, &missing));
    }
    if !unlabelled.is_empty() {
        let text = format!("{} without path or class left out.", count(unlabelled.len(), "row"));
        notes.push(ImportNote::repair(text, &unlabelled));
    }
    image_folder::read(path, items, options.image_size, notes, progress).map(Some)
}

fn found(base: &Path, file: &str) -> PathBuf {
    // Paths written on Windows.
    base.join(file.replace('\\', "/"))
}

fn lists_images(column: &Column, base: &Path) -> bool {
    let values: Vec<&str> = (0..column.len()).filter_map(|r| column.value(r)).take(LOOK).collect();
    !values.is_empty()
        && values.iter().all(|v| image_folder::is_picture_name(Path::new(v)))
        && values.iter().any(|v| found(base, v).is_file())
}

fn label_column<'a>(
    table: &'a Table,
    paths: &Column,
    options: &ImportOptions,
) -> Result<&'a Column, DataError> {
    let others = || table.columns().iter().filter(|c| c.name() != paths.name());
    if let Some(wanted) = &options.label {
        return table.column(wanted).ok_or_else(|| {
            invalid(
                format!("There is no column \"{wanted}\" with the classes of the images"),
                "Name one of the table's columns.",
            )
        });
    }
    let named = |name: &&str| others().find(|c| c.name().eq_ignore_ascii_case(name));
    if let Some(column) = LABELS.iter().find_map(|n| named(&n)) {
        return Ok(column);
    }
    let repeats = |c: &&Column| {
        let (_, values) = c.codes();
        values.len() > 1 && values.len() * 2 <= table.rows().max(4)
    };
    others().find(repeats).ok_or_else(|| {
        invalid(
            "This table lists images but no column with their classes",
            "Add a column \"label\" that says what each image shows.",
        )
    })
}

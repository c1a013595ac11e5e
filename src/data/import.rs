//! Opens a path in any supported format.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::formats::archive::{self, Archive};
use super::formats::magic::{self, Content};
use super::formats::spreadsheet::{self, Kind};
use super::formats::{arrow, bytes, csv, idx, image_folder, image_list, json, sqlite, text_folder};
use super::{Dataset, ImportNote, Samples, Table, count, invalid};
use crate::error::DataError;

/// What the user can override about an import; `None` means detect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImportOptions {
    /// Field delimiter of a text table.
    #[serde(with = "delimiter")]
    pub delimiter: Option<u8>,
    /// Whether the first row holds column names.
    pub header: Option<bool>,
    /// Width and height to which the images of a folder are brought; by default the commonest
    /// size, made smaller to fit 32 × 32.
    pub image_size: Option<(usize, usize)>,
    /// Sheet of a workbook, table of a database or list of a JSON file; by default the largest.
    pub part: Option<String>,
    /// Query (SQL) that gives the rows of a database.
    pub query: Option<String>,
    /// Column with the classes of the images that a table lists.
    pub label: Option<String>,
    /// Train on all rows of a text table above 1 GiB, which are read piece by piece; without this, and
    /// for all that is checked, shown and tested, a sample of the rows is used.
    pub whole: bool,
}

/// A delimiter is stored as text: `";"`.
mod delimiter {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &Option<u8>, s: S) -> Result<S::Ok, S::Error> {
        value.map(char::from).serialize(s)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(d: D) -> Result<Option<u8>, D::Error> {
        match Option::<String>::deserialize(d)?.as_deref().map(str::as_bytes) {
            None => Ok(None),
            Some([one]) if one.is_ascii() => Ok(Some(*one)),
            Some(_) => Err(D::Error::custom("a delimiter is one character, such as \";\"")),
        }
    }
}

/// Progress of an import, shared with whoever watches; set `cancel` to stop it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Units done (bytes or files).
    pub done: AtomicU64,
    /// Units in all, 0 while unknown.
    pub total: AtomicU64,
    /// Asks the import to stop.
    pub cancel: AtomicBool,
}

impl Progress {
    /// `Err` once the watcher has asked to stop.
    pub(crate) fn check(&self) -> Result<(), DataError> {
        if self.cancel.load(Ordering::Relaxed) { Err(DataError::Cancelled) } else { Ok(()) }
    }
}

/// Opens a file or folder, detecting its format from content and name: a delimited text table, JSON
/// or JSON Lines (both also packed with gzip), a workbook, an SQLite database, Parquet, Arrow, an IDX
/// image file or a folder of them, a folder of images or of texts, a table that lists images, a folder
/// with a table or with a train and a test table, or a ZIP archive of any of these.
///
/// # Errors
/// [`DataError::Io`] when the system refuses, [`DataError::Invalid`] with place and advice when the
/// content cannot be used, [`DataError::Cancelled`].
pub fn open(
    path: &Path,
    options: &ImportOptions,
    progress: &Progress,
) -> Result<Dataset, DataError> {
    let io = |source| DataError::Io { path: path.to_owned(), source };
    let (samples, notes) = if std::fs::metadata(path).map_err(io)?.is_dir() {
        folder(path, options, progress)?
    } else {
        file(path, options, progress)?
    };
    Ok(Dataset { name: name_of(path), samples, notes })
}

/// What of a file could be read instead of what is read by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// Names of all sheets of a workbook or all tables of a database.
    pub names: Vec<String>,
    /// Whether it is a database, which answers queries too.
    pub database: bool,
    /// Whether it is a text table so large that only a sample of its rows is read by default.
    pub large: bool,
}

/// Looks for the parts of a file; none where it cannot be read.
pub fn parts(path: &Path) -> Parts {
    find_parts(path).unwrap_or_default()
}

fn find_parts(path: &Path) -> Option<Parts> {
    use std::io::Read;
    let length = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?.len();
    let mut start = Vec::new();
    std::fs::File::open(path).ok()?.take(4096).read_to_end(&mut start).ok()?;
    let workbook = |kind| {
        let content = bytes::load(path, &Progress::default()).ok()?;
        Some(Parts { names: spreadsheet::names(&content, kind), ..Parts::default() })
    };
    match magic::identify(&start) {
        Content::Sqlite => {
            Some(Parts { names: sqlite::names(path), database: true, ..Parts::default() })
        }
        Content::OldWorkbook => workbook(Kind::Xls),
        Content::Zip => {
            let content = bytes::load(path, &Progress::default()).ok()?;
            match archive::identify(&content).ok()? {
                Archive::Spreadsheet(kind) => workbook(kind),
                _ => None,
            }
        }
        Content::Text => Some(Parts { large: length > csv::LARGE as u64, ..Parts::default() }),
        _ => None,
    }
}

/// `data/flowers.csv.gz` is called "flowers".
pub(crate) fn name_of(path: &Path) -> String {
    let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = absolute.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let known: Vec<&str> = TABLES.into_iter().chain([".gz", ".txt", ".zip"]).collect();
    let mut name = name.as_str();
    if absolute.is_file() {
        for _ in 0..2 {
            let end = known.iter().find(|e| name.to_lowercase().ends_with(*e));
            name = end.map_or(name, |e| &name[..name.len() - e.len()]);
        }
    }
    if name.is_empty() { "data".to_owned() } else { name.to_owned() }
}

fn file(
    path: &Path,
    options: &ImportOptions,
    progress: &Progress,
) -> Result<(Samples, Vec<ImportNote>), DataError> {
    let content = bytes::load(path, progress)?;
    let table = |(table, notes)| Ok((Samples::Table(table), notes));
    let workbook =
        |kind| spreadsheet::read(path, &content, kind, options, progress).and_then(table);
    match magic::identify(&content) {
        Content::Text => {
            let (table, mut notes) = csv::read(path, &content, options, progress)?;
            if let Some((images, more)) = image_list::open(path, &table, options, progress)? {
                notes.retain(|n| n.repair);
                notes.extend(more);
                return Ok((Samples::Images(images), notes));
            }
            Ok((Samples::Table(table), notes))
        }
        Content::Json => {
            json::read(path, &content, options.part.as_deref(), progress).and_then(table)
        }
        Content::Sqlite => sqlite::read(path, options, progress).and_then(table),
        Content::Parquet => arrow::read_parquet(path, progress).and_then(table),
        Content::Arrow => arrow::read_arrow(path, &content, progress).and_then(table),
        Content::OldWorkbook => workbook(Kind::Xls),
        Content::Zip => match archive::identify(&content).map_err(|e| e.in_file(path))? {
            Archive::Spreadsheet(kind) => workbook(kind),
            Archive::Document(what) => Err(invalid(
                format!("This is {what}, not a table"),
                "Copy the table into a spreadsheet and save that.",
            )
            .in_file(path)),
            Archive::Files => unpacked(path, &content, options, progress),
        },
        Content::Idx(_) => {
            drop(content);
            let (images, notes) = idx::open_file(path, progress)?;
            Ok((Samples::Images(images), notes))
        }
        Content::Picture(what) => Err(invalid(
            format!("This is one file, {what}"),
            "To learn from images, open a folder that has one folder of images per class.",
        )
        .in_file(path)),
        Content::Other(what, advice) => {
            Err(invalid(format!("This is {what}, not a table"), advice).in_file(path))
        }
    }
}

/// What a ZIP archive holds, read as if it were a folder.
fn unpacked(
    path: &Path,
    content: &[u8],
    options: &ImportOptions,
    progress: &Progress,
) -> Result<(Samples, Vec<ImportNote>), DataError> {
    let io = |source| DataError::Io { path: path.to_owned(), source };
    let temporary = tempfile::tempdir().map_err(io)?;
    // Places are told as if the archive were a folder.
    let inside = |p: &Path| path.join(p.strip_prefix(temporary.path()).unwrap_or(p));
    let at = |e: DataError| match e {
        DataError::Io { path: p, source } => DataError::Io { path: inside(&p), source },
        DataError::Invalid { what, mut place, advice } => {
            place.path = Some(place.path.map_or_else(|| path.to_owned(), |p| inside(&p)));
            DataError::Invalid { what, place, advice }
        }
        DataError::Cancelled => DataError::Cancelled,
    };
    archive::unpack(content, temporary.path(), progress).map_err(at)?;
    progress.done.store(0, Ordering::Relaxed);
    let mut root = temporary.path().to_owned();
    // An archive often holds one folder that holds all the rest.
    let mut only = loop {
        match entries(&root).map_err(at)?.as_slice() {
            [one] if one.is_dir() && !is_class_folder(one)? => root.clone_from(one),
            [one] if one.is_file() => break Some(one.clone()),
            _ => break None,
        }
    };
    // What is unpacked here is gone afterwards, so it cannot be read again piece by piece.
    let options = &ImportOptions { whole: false, ..options.clone() };
    let read = match only.take() {
        Some(one) => file(&one, options, progress),
        None => folder(&root, options, progress),
    };
    let (mut samples, mut notes) = read.map_err(at)?;
    if let Samples::Images(images) = &mut samples {
        for p in &mut images.paths {
            *p = inside(p);
        }
    }
    let prefix = temporary.path().display().to_string();
    for note in &mut notes {
        note.text = note.text.replace(&prefix, &path.display().to_string());
    }
    notes.insert(0, ImportNote::info("The archive is read as a folder."));
    Ok((samples, notes))
}

/// Whether a folder holds files, not only folders: then its name may be a class.
fn is_class_folder(folder: &Path) -> Result<bool, DataError> {
    let inside = entries(folder)?;
    let table = |p: &PathBuf| is_table_name(p);
    Ok(!inside.is_empty()
        && inside.iter().all(|p| p.is_file())
        && !inside.iter().any(|p| table(p) || idx::is_images_name(p)))
}

/// Whether a name is that of a table of any format.
fn is_table_name(path: &Path) -> bool {
    let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().to_lowercase());
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    TABLES.iter().any(|x| name.ends_with(x)) && path.is_file()
}

/// Endings of the files that can be opened, for dialogs.
pub const ENDINGS: &[&str] = &[
    "csv", "tsv", "tab", "txt", "gz", "json", "jsonl", "ndjson", "xlsx", "xlsm", "xlsb", "xls",
    "ods", "parquet", "pq", "arrow", "feather", "ipc", "db", "sqlite", "sqlite3", "zip", "toml",
];

/// Endings of tables.
const TABLES: [&str; 19] = [
    ".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".xlsx", ".xlsm", ".xlsb", ".xls",
    ".ods", ".parquet", ".pq", ".arrow", ".feather", ".ipc", ".db", ".sqlite", ".sqlite3",
];

/// Entries of a folder that are not hidden, by name.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let io = |source| DataError::Io { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        if !name.starts_with('.') && !name.starts_with("__MACOSX") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn folder(
    path: &Path,
    options: &ImportOptions,
    progress: &Progress,
) -> Result<(Samples, Vec<ImportNote>), DataError> {
    let entries = entries(path)?;
    if entries.iter().any(|e| idx::is_images_name(e)) {
        let (images, notes) = idx::open_folder(path, &entries, progress)?;
        return Ok((Samples::Images(images), notes));
    }
    if let [one] = entries.as_slice()
        && one.is_dir()
        && !is_class_folder(one)?
    {
        return folder(one, options, progress);
    }
    let tables: Vec<&PathBuf> = entries.iter().filter(|e| is_table_name(e)).collect();
    // A table beside the images that it lists goes before the folders' names.
    let only = match tables.as_slice() {
        [one] => Some(file(one, options, progress)),
        _ => None,
    };
    if let Some(Ok((Samples::Images(_), _))) = &only {
        return only.unwrap_or(Err(DataError::Cancelled));
    }
    if let Some((images, notes)) = image_folder::open(path, options.image_size, progress)? {
        return Ok((Samples::Images(images), notes));
    }
    if let Some(only) = only {
        return only;
    }
    if tables.is_empty()
        && let Some((table, notes)) = text_folder::open(path, progress)?
    {
        return Ok((Samples::Table(table), notes));
    }
    let lower =
        |p: &Path| p.file_name().map_or_else(String::new, |n| n.to_string_lossy().to_lowercase());
    let find = |word: &str| tables.iter().find(|t| lower(t).contains(word));
    match (tables.as_slice(), find("train"), find("test")) {
        ([_, _], Some(train), Some(test)) if train != test => {
            two_tables(train, test, options, progress)
        }
        ([_, _, ..], _, _) => joined(path, &tables, options, progress),
        _ => Err(no_data(path, &entries).in_file(path)),
    }
}

/// What a folder without data holds instead.
fn no_data(path: &Path, entries: &[PathBuf]) -> DataError {
    let (mut endings, mut folders) = (Vec::<String>::new(), vec![path.to_owned()]);
    let mut files = 0;
    folders.extend(entries.iter().filter(|e| e.is_dir()).cloned());
    for file in folders.iter().flat_map(|f| self::entries(f).unwrap_or_default()) {
        if file.is_file() {
            files += 1;
            let ending = file.extension().map(|e| format!(".{}", e.to_string_lossy()));
            endings.extend(ending.filter(|e| !endings.contains(e)));
        }
    }
    if files == 0 {
        return invalid(
            "This folder holds neither a table nor images: it is empty",
            "Open a table, or a folder that has one folder of images or of texts per class.",
        );
    }
    endings.truncate(5);
    invalid(
        format!(
            "This folder holds neither a table nor images that can be read, but {} ({})",
            count(files, "other file"),
            endings.join(", ")
        ),
        "Open a table, or a folder that has one folder of PNG, JPEG, WebP or BMP images, or of texts, \
         per class. Pictures in other formats have to be saved in one of these first.",
    )
}

/// Tables with the same columns, as where each month has a file of its own.
fn joined(
    folder: &Path,
    tables: &[&PathBuf],
    options: &ImportOptions,
    progress: &Progress,
) -> Result<(Samples, Vec<ImportNote>), DataError> {
    let mut all: Option<(Vec<String>, Vec<super::Column>)> = None;
    let (mut lines, mut notes) = (Vec::new(), Vec::new());
    let mut files = super::Column::new("file");
    for path in tables {
        let (Samples::Table(table), more) = file(path, options, progress)? else {
            return Err(invalid(
                format!("This folder holds {}, and one lists images", count(tables.len(), "table")),
                "Open that file alone.",
            )
            .in_file(path));
        };
        let names: Vec<String> = table.columns().iter().map(|c| c.name().to_owned()).collect();
        let (first, columns) = all.get_or_insert_with(|| {
            (names.clone(), names.iter().map(|n| super::Column::new(n.as_str())).collect())
        });
        if *first != names {
            return Err(invalid(
                format!("This folder holds {} with different columns", count(tables.len(), "table")),
                "Open one of the files, keep one with \"train\" and one with \"test\" in its name, or \
                 give all of them the same columns in the same order, to have them joined.",
            )
            .in_file(folder));
        }
        columns.iter_mut().zip(table.columns()).for_each(|(all, more)| all.append(more));
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        (0..table.rows()).for_each(|r| {
            files.push(&name);
            lines.push(table.line(r));
        });
        notes.extend(more.into_iter().filter(|n| n.repair).map(|mut n| {
            n.text = format!("{name}: {}", n.text);
            n
        }));
    }
    let (mut names, mut columns) = all.unwrap_or_default();
    if !names.iter().any(|n| n == "file") {
        names.push("file".to_owned());
        columns.push(files);
    }
    let mut table = Table::new(columns, lines);
    notes.insert(
        0,
        ImportNote::info(format!(
            "{} with the same columns joined; the column \"file\" says where a row comes from, and row \
             numbers are those of that file.",
            count(tables.len(), "table")
        )),
    );
    notes.extend(super::infer::infer(&mut table, false));
    // Which file a row came from is known of no row to come.
    if let Some(file) = table.columns_mut().last_mut().filter(|c| c.name() == "file") {
        (file.kind, file.inferred) = (super::ColumnType::Ignore, super::ColumnType::Ignore);
        file.reason = "it names the file that a row comes from".to_owned();
    }
    Ok((Samples::Table(table), notes))
}

fn two_tables(
    train: &Path,
    test: &Path,
    options: &ImportOptions,
    progress: &Progress,
) -> Result<(Samples, Vec<ImportNote>), DataError> {
    let read = |path: &Path| match file(path, options, progress)? {
        (Samples::Table(table), notes) => Ok((table, notes)),
        (Samples::Images(_), _) => Err(invalid(
            "The train and the test file list images",
            "Put them into one table with a column \"split\" that says train or test.",
        )
        .in_file(path)),
    };
    let (mut table, mut notes) = read(train)?;
    let (other, other_notes) = read(test)?;
    let names = |t: &Table| t.columns().iter().map(|c| c.name().to_owned()).collect::<Vec<_>>();
    if names(&table) != names(&other) {
        return Err(invalid(
            "The train and the test table do not have the same columns in the same order",
            "Make them alike, or open the train table alone.",
        )
        .in_file(test));
    }
    notes.push(ImportNote::info(format!(
        "{} of \"{}\" are the test set.",
        count(other.rows(), "row"),
        test.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
    )));
    notes.extend(other_notes.into_iter().filter(|n| n.repair));
    table.append_test(&other);
    Ok((Samples::Table(table), notes))
}

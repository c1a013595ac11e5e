//! The versioned project file, `project.toml` in a project folder, and the embedded samples.

mod audit;
pub mod features;
mod gate;
pub mod provenance;
pub mod report;
mod samples;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use audit::{AuditEntry, audit_log, record};
pub use gate::{Acceptance, Gate};
pub use samples::{Sample, materialise, samples};

use crate::data::preprocess::PrepConfig;
use crate::data::{
    self, ColumnType, Dataset, ImportOptions, Progress, Schema, SplitConfig, SplitMethod, Step,
};
use crate::error::{DataError, ProjectError};
use crate::monitor::Triggers;
use crate::train::{Architecture, DataSize, TrainConfig};

/// Version written by this program.
pub const VERSION: u32 = 1;

/// Name of the project file in its folder.
pub const FILE: &str = "project.toml";

/// A project: data, how it is read, what is predicted, how it is trained. Runs are kept in the
/// folder `runs/` beside the project file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// The project's folder; not part of the file.
    #[serde(skip)]
    pub folder: PathBuf,
    /// File version.
    pub version: u32,
    /// Display name.
    pub name: String,
    /// One or two plain sentences.
    #[serde(default)]
    pub description: String,
    /// Data file or folder, relative to the project folder, or absolute.
    pub data: PathBuf,
    /// Target column; not used for images.
    #[serde(default)]
    pub target: Option<String>,
    /// What the user has set about reading the data.
    #[serde(default)]
    pub import: ImportOptions,
    /// Types changed by the user, by column name.
    #[serde(default)]
    pub columns: BTreeMap<String, ColumnType>,
    /// Preprocessing.
    #[serde(default)]
    pub prep: PrepConfig,
    /// Split.
    #[serde(default)]
    pub split: SplitConfig,
    /// Training.
    #[serde(default)]
    pub train: TrainConfig,
    /// Recorded changes to the data, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// Serious findings that were accepted, each with a reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<Acceptance>,
    /// Shares that groups should have, by column and value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shares: BTreeMap<String, BTreeMap<String, f64>>,
    /// When checks of new data say to train again.
    #[serde(default, skip_serializing_if = "Triggers::is_default")]
    pub monitor: Triggers,
    /// Licence of the data, as the user knows it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub licence: String,
}

impl Project {
    /// Opens what a user points at: a project folder, a project file, or data. Data that was opened
    /// before comes back with the settings saved then.
    ///
    /// # Errors
    /// The path is not there; the project file cannot be read or is not valid.
    pub fn open(path: &Path) -> Result<Self, ProjectError> {
        let file = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
        if file.file_name().is_some_and(|n| n == FILE) && file.is_file() {
            return Self::load(path);
        }
        let new = Self::from_data(path)?;
        let saved = new.folder.join(FILE);
        if saved.is_file() { Self::load(&saved) } else { Ok(new) }
    }

    /// Loads a project from its folder or its `project.toml`.
    ///
    /// # Errors
    /// It cannot be read, is not a project, comes from a newer version, or has settings that are
    /// unknown or out of range.
    pub fn load(path: &Path) -> Result<Self, ProjectError> {
        let file = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
        let text = std::fs::read_to_string(&file)
            .map_err(|source| ProjectError::Io { path: file.clone(), source })?;
        let absolute = std::path::absolute(&file)
            .map_err(|source| ProjectError::Io { path: file.clone(), source })?;
        let mut project =
            Self::parse(&text).map_err(|what| ProjectError::Format { path: file.clone(), what })?;
        project.folder = absolute.parent().unwrap_or(Path::new(".")).to_owned();
        Ok(project)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| plain(&e))?;
        let version = table.get("version").and_then(toml::Value::as_integer);
        match version {
            None => return Err("it has no version number".to_owned()),
            Some(v) if v > i64::from(VERSION) => {
                return Err(format!(
                    "it was saved by a newer version of the program (file version {v}, this one reads up to {VERSION})"
                ));
            }
            Some(v) if v < 1 => return Err(format!("{v} is not a file version")),
            // A later version turns older tables into its own here, one version at a time.
            Some(_) => {}
        }
        let project: Self = toml::from_str(text).map_err(|e| plain(&e))?;
        let known = toml::Table::try_from(&project).map_err(|e| e.to_string())?;
        if let Some(name) = unknown_key(&table, &known, "") {
            return Err(format!("there is no setting \"{name}\""));
        }
        project.validate()?;
        Ok(project)
    }

    /// What is out of range, in plain words.
    fn validate(&self) -> Result<(), String> {
        if self.name.trim().is_empty() {
            return Err("it has no name".to_owned());
        }
        if self.data.as_os_str().is_empty() {
            return Err("it names no data".to_owned());
        }
        let SplitConfig { validation, test, .. } = &self.split;
        let (validation, test) = (*validation, *test);
        if !(0.0..1.0).contains(&validation)
            || !(0.0..1.0).contains(&test)
            || validation + test > 0.9
        {
            return Err(format!(
                "a validation share of {validation} and a test share of {test} leave too little to learn from"
            ));
        }
        Ok(())
    }

    /// Saves to [`Project::folder`], which is made if it is not there. The old file stays whole until
    /// the new one is complete.
    ///
    /// # Errors
    /// Settings out of range; the folder cannot be written.
    pub fn save(&self) -> Result<(), ProjectError> {
        let path = self.folder.join(FILE);
        let format = |what| ProjectError::Format { path: path.clone(), what };
        self.validate().map_err(format)?;
        write_whole(&path, self.to_text()?.as_bytes())
    }

    /// The project as the text of its file.
    ///
    /// # Errors
    /// A setting cannot be written.
    pub fn to_text(&self) -> Result<String, ProjectError> {
        let path = self.folder.join(FILE);
        toml::to_string_pretty(self).map_err(|e| ProjectError::Format { path, what: e.to_string() })
    }

    /// A new project for a data file or folder. Its own folder lies in the user's application data
    /// and is the same each time; nothing is written before [`Project::save`].
    ///
    /// # Errors
    /// The path is not there.
    pub fn from_data(path: &Path) -> Result<Self, ProjectError> {
        let absolute = path
            .canonicalize()
            .map_err(|source| ProjectError::Io { path: path.to_owned(), source })?;
        let name = data::name_of(&absolute);
        let digest = Sha256::digest(absolute.as_os_str().as_encoded_bytes());
        let mark: String = digest.iter().take(4).map(|b| format!("{b:02x}")).collect();
        let safe: String =
            name.chars().map(|c| if c.is_alphanumeric() || c == '-' { c } else { '_' }).collect();
        Ok(Self {
            folder: home().join(format!("{safe}-{mark}")),
            version: VERSION,
            name,
            description: String::new(),
            data: absolute,
            target: None,
            import: ImportOptions::default(),
            columns: BTreeMap::new(),
            prep: PrepConfig::default(),
            split: SplitConfig::default(),
            train: TrainConfig::default(),
            steps: Vec::new(),
            accepted: Vec::new(),
            shares: BTreeMap::new(),
            licence: String::new(),
            monitor: Triggers::default(),
        })
    }

    /// Where the data is.
    pub fn dataset_path(&self) -> PathBuf {
        // "." alone would show as "folder/." to the user.
        if self.data == Path::new(".") { self.folder.clone() } else { self.folder.join(&self.data) }
    }

    /// Folder of this project's runs.
    pub fn runs_folder(&self) -> PathBuf {
        self.folder.join("runs")
    }

    /// Reads the data as the project says. Columns get the types that the user has set; recorded
    /// steps are done.
    ///
    /// # Errors
    /// As [`data::open`] and [`data::steps::apply`].
    pub fn open_data(&self, progress: &Progress) -> Result<Dataset, DataError> {
        let mut dataset = data::open(&self.dataset_path(), &self.import, progress)?;
        if !self.steps.is_empty() {
            dataset = data::steps::apply(&dataset, &self.steps)?.0;
        }
        if let data::Samples::Table(table) = &mut dataset.samples {
            for column in table.columns_mut() {
                if let Some(kind) = self.columns.get(column.name()) {
                    column.kind = *kind;
                }
            }
        }
        Ok(dataset)
    }

    /// Fits the training settings to the data where the project has none of its own. A few rows of
    /// a table and a million of them want different ones; see [`TrainConfig::suggest`].
    pub fn suggest(&mut self, dataset: &Dataset, schema: Option<&Schema>) {
        if self.train.size_is_default() {
            self.train = self.train.suggest(DataSize::of(dataset, schema, &self.split));
        } else if self.train.architecture == Architecture::Auto {
            self.train.architecture = Architecture::Mlp;
        }
    }

    /// Columns, target and task of the data.
    ///
    /// # Errors
    /// As [`Schema::infer`].
    pub fn schema(&self, dataset: &Dataset) -> Result<Schema, DataError> {
        Schema::infer(dataset, self.target.as_deref(), &self.types())
    }

    /// Types set by the user, without those of columns that steps leave out.
    pub fn types(&self) -> BTreeMap<String, ColumnType> {
        let dropped = |name: &String| {
            self.steps
                .iter()
                .any(|s| matches!(s, Step::DropColumns { columns } if columns.contains(name)))
        };
        let mut types: BTreeMap<String, ColumnType> = self
            .columns
            .iter()
            .filter(|(n, _)| !dropped(n))
            .map(|(n, k)| (n.clone(), *k))
            .collect();
        // A column that says which rows are tested must not help to predict them, nor a group whose
        // rows are all in one part.
        if matches!(self.split.method, SplitMethod::Given | SplitMethod::Group)
            && let Some(column) = self.split.column.clone().filter(|c| !dropped(c))
            && self.target.as_ref() != Some(&column)
        {
            types.entry(column).or_insert(ColumnType::Ignore);
        }
        types
    }

    /// How the rows are split, with what the recorded steps say about it.
    pub fn split_config(&self) -> SplitConfig {
        let balance = self.split.balance || self.steps.contains(&Step::Balance);
        SplitConfig { balance, ..self.split.clone() }
    }
}

/// Folder of projects made from the user's own data.
pub fn home() -> PathBuf {
    directories::ProjectDirs::from("", "", "fp8-studio")
        .map_or_else(std::env::temp_dir, |d| d.data_dir().to_owned())
        .join("projects")
}

/// The key that signs this person's models; it is made when it is first used.
pub fn signing_key() -> PathBuf {
    let home = home();
    home.parent().unwrap_or(&home).join("signing-key.pem")
}

/// A toml error without its drawing, in one line.
fn plain(e: &toml::de::Error) -> String {
    e.message().replace('\n', " ")
}

/// Settings that are left out of a file when they are empty.
const OPTIONAL: [&str; 13] = [
    "monitor",
    "steps",
    "accepted",
    "shares",
    "licence",
    "split.column",
    "target",
    "import.delimiter",
    "import.header",
    "import.image_size",
    "import.part",
    "import.query",
    "import.label",
];

/// The first setting in `table` that the program does not know.
fn unknown_key(table: &toml::Table, known: &toml::Table, path: &str) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let name = format!("{path}{key}");
        match (value, known.get(key)) {
            (_, None) if !OPTIONAL.contains(&name.as_str()) => Some(name),
            (_, None) => None,
            // Can be written in several ways, and knows its own keys.
            _ if name == "train.precision" => None,
            _ if name == "split.column" || name == "shares" => None,
            (toml::Value::Table(a), Some(toml::Value::Table(b))) => {
                unknown_key(a, b, &format!("{name}."))
            }
            _ => None,
        }
    })
}

/// Writes a file so that it is either the old or the new one, never half.
fn write_whole(path: &Path, content: &[u8]) -> Result<(), ProjectError> {
    let io = |source| ProjectError::Io { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(io)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(io)?;
    file.write_all(content).map_err(io)?;
    file.as_file().sync_all().map_err(io)?;
    file.persist(path).map_err(|e| io(e.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::UserError;
    use crate::fp8::{Precision, Recipe};

    fn project(folder: &Path) -> Project {
        std::fs::write(folder.join("t.csv"), "a,b,y\n1,x,1\n2,z,0\n").unwrap();
        let mut p = Project::from_data(&folder.join("t.csv")).unwrap();
        p.folder = folder.join("own");
        p
    }

    #[test]
    fn saving_and_loading_give_the_same_project() {
        let dir = tempfile::tempdir().unwrap();
        let mut p = project(dir.path());
        p.description = "Two \"rows\".".to_owned();
        p.target = Some("y".to_owned());
        p.columns.insert("a".to_owned(), ColumnType::Category);
        p.import.delimiter = Some(b'\t');
        p.import.header = Some(true);
        p.train.hidden = vec![7, 5];
        p.train.learning_rate = 0.1;
        p.split.seed = 9;
        p.save().unwrap();
        assert_eq!(Project::load(&p.folder).unwrap(), p);
        assert_eq!(Project::load(&p.folder.join(FILE)).unwrap(), p);
        assert_eq!(Project::open(&p.folder).unwrap(), p);
        let files: Vec<_> = std::fs::read_dir(&p.folder).unwrap().collect();
        assert_eq!(files.len(), 1, "a temporary file was left: {files:?}");
        assert_eq!(p.runs_folder(), p.folder.join("runs"));
    }

    #[test]
    fn defaults_fill_a_short_file() {
        let p = Project::parse("version = 1\nname = \"n\"\ndata = \"d.csv\"\n").unwrap();
        assert_eq!((p.split, p.train), (SplitConfig::default(), TrainConfig::default()));
    }

    #[test]
    fn a_precision_is_a_word_or_a_table() {
        let start = "version = 1\nname = \"n\"\ndata = \"d.csv\"\n";
        let parse = |text: &str| Project::parse(&format!("{start}{text}"));
        for (name, recipe) in Recipe::NAMED {
            let p = parse(&format!("[train]\nprecision = \"{name}\"")).unwrap();
            assert_eq!(p.train.precision, Precision::Fp8(recipe));
        }
        let p = parse("[train.precision]\nrecipe = \"mx\"\nmargin = 1").unwrap();
        let mx = Recipe { margin: 1, ..Recipe::mx() };
        assert_eq!(p.train.precision, Precision::Fp8(mx));
        let p = parse("[train]\nopt_out = [\"dense1\", \"output\"]").unwrap();
        assert_eq!(p.train.opt_out, ["dense1", "output"]);
        for (text, part) in [
            ("[train]\nprecision = \"fast\"", "no precision \"fast\""),
            ("[train.precision]\nrecipe = \"mx\"\ncolour = 1", "colour"),
        ] {
            let e = parse(text).unwrap_err();
            assert!(e.contains(part), "{text:?}: {e}");
        }
    }

    #[test]
    fn bad_files_are_explained() {
        let start = "version = 1\nname = \"n\"\ndata = \"d.csv\"\n";
        for (text, part) in [
            ("name = \"n\"", "no version"),
            ("version = 2", "newer version"),
            ("version = 0", "not a file version"),
            ("version = 1\nname = \"n\"", "data"),
            ("hello", "="),
            (&format!("{start}colour = 1"), "no setting \"colour\""),
            (&format!("{start}[train]\nepoch = 1"), "no setting \"train.epoch\""),
            (&format!("{start}[split]\ntest = 1.5"), "too little to learn from"),
            (&format!("{start}[columns]\na = \"colour\""), "unknown variant"),
            (&format!("{start}[import]\ndelimiter = \"ab\""), "one character"),
            (&start.replace("\"n\"", "\" \""), "no name"),
        ] {
            let e = Project::parse(text).unwrap_err();
            assert!(e.contains(part), "{text:?}: {e}");
        }
        let dir = tempfile::tempdir().unwrap();
        let e = Project::load(dir.path()).unwrap_err();
        assert!(UserError::from(e).to_string().contains(FILE));
        let e = Project::open(&dir.path().join("nowhere.csv")).unwrap_err();
        assert!(UserError::from(e).to_string().contains("nowhere.csv"));
    }

    #[test]
    fn data_becomes_a_project_with_a_place_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("my flowers.csv"), "a,b\n1,x\n2,y\n3,x\n").unwrap();
        let path = dir.path().join("my flowers.csv");
        let p = Project::open(&path).unwrap();
        assert_eq!(p.name, "my flowers");
        assert!(p.folder.starts_with(home()) && !p.folder.exists());
        assert!(p.folder.file_name().unwrap().to_string_lossy().starts_with("my_flowers-"));
        assert_eq!(Project::from_data(&path).unwrap().folder, p.folder);
        let d = p.open_data(&Progress::default()).unwrap();
        assert_eq!(d.len(), 3);
        assert_eq!(p.schema(&d).unwrap().target, "b");
    }

    #[test]
    fn set_types_are_put_on_the_columns() {
        let dir = tempfile::tempdir().unwrap();
        let mut p = project(dir.path());
        p.columns.insert("a".to_owned(), ColumnType::Text);
        let d = p.open_data(&Progress::default()).unwrap();
        let data::Samples::Table(t) = &d.samples else { panic!() };
        assert_eq!(t.column("a").unwrap().kind, ColumnType::Text);
    }
}

//! Sample projects inside the program itself, so that they open offline.

use std::path::{Path, PathBuf};

use super::{FILE, Project, write_whole};
use crate::error::ProjectError;

/// A complete project that comes with the program.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Folder name.
    pub id: &'static str,
    /// Display name.
    pub name: &'static str,
    /// One or two plain sentences.
    pub description: &'static str,
    /// Rows or images.
    pub rows: usize,
    files: &'static [(&'static str, &'static [u8])],
}

macro_rules! files {
    ($folder:literal: $($name:literal),+) => {
        &[$(($name, include_bytes!(concat!("../../projects/", $folder, "/", $name)))),+]
    };
}

const SAMPLES: [Sample; 5] = [
    Sample {
        id: "penguins",
        name: "Penguins",
        description: "Tell three species of penguin apart by bill, flipper, weight and island. 344 birds measured in Antarctica, a few values missing: a quick first run.",
        rows: 344,
        files: files!("penguins": "project.toml", "penguins.csv", "LICENCE.md"),
    },
    Sample {
        id: "german_credit",
        name: "German credit",
        description: "Judge whether a loan will be repaid. 1,000 loans with 21 properties of the loan and the person; shows how a model treats men and women.",
        rows: 1000,
        files: files!("german_credit": "project.toml", "german_credit.csv", "LICENCE.md"),
    },
    Sample {
        id: "adult_census",
        name: "Adult census",
        description: "Does a person earn more than 50,000 dollars a year? 32,561 people of the 1994 census of the United States, with missing values and uneven incomes of women and men.",
        rows: 32_561,
        files: files!("adult_census": "project.toml", "adult_census.csv.gz", "LICENCE.md"),
    },
    Sample {
        id: "digits",
        name: "Handwritten digits",
        description: "Read a digit from 8 × 8 grey values. 1,797 digits, one per row, each pixel a column.",
        rows: 1797,
        files: files!("digits": "project.toml", "digits.csv", "LICENCE.md"),
    },
    Sample {
        id: "fashion_mnist",
        name: "Fashion (12,000 images)",
        description: "Ten kinds of clothing in 28 × 28 grey pictures. The first 1,000 training and 200 test images of each kind of Fashion-MNIST, which has 70,000; scores are lower than with all of it.",
        rows: 12_000,
        files: files!("fashion_mnist": "project.toml", "classes.txt", "train-images-idx3-ubyte.gz",
            "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz",
            "LICENCE.md"),
    },
];

/// The samples, easiest first.
pub fn samples() -> &'static [Sample] {
    &SAMPLES
}

/// Writes a sample to `folder/id` and opens it. A sample that is there already keeps its project
/// file, with the changes made to it; its data are restored where they lack.
///
/// # Errors
/// No such sample; the folder cannot be written; the project file there is not valid.
pub fn materialise(id: &str, folder: &Path) -> Result<Project, ProjectError> {
    let sample = SAMPLES.iter().find(|s| s.id == id).ok_or_else(|| {
        let names: Vec<&str> = SAMPLES.iter().map(|s| s.id).collect();
        ProjectError::Format {
            path: PathBuf::from(id),
            what: format!("there is no such sample; there are {}", names.join(", ")),
        }
    })?;
    let folder = folder.join(id);
    for (name, content) in sample.files {
        let path = folder.join(name);
        let whole = |length: u64| *name == FILE || length == content.len() as u64;
        if !std::fs::metadata(&path).is_ok_and(|m| m.is_file() && whole(m.len())) {
            write_whole(&path, content)?;
        }
    }
    Project::load(&folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::preprocess::{Preprocessor, TargetData};
    use crate::data::{ColumnType, Progress, Split, Task};

    /// Every sample opens, has the rows it says, can be split and encoded.
    #[test]
    fn samples_are_complete() {
        let dir = tempfile::tempdir().unwrap();
        for sample in samples() {
            let p = materialise(sample.id, dir.path()).unwrap();
            assert_eq!(
                (p.name.as_str(), p.description.as_str()),
                (sample.name, sample.description)
            );
            let d = p.open_data(&Progress::default()).unwrap();
            assert_eq!(d.len(), sample.rows, "{}", sample.id);
            for note in &d.notes {
                println!("{}: {}", sample.id, note.text);
                assert!(!note.repair, "{}: {}", sample.id, note.text);
            }
            let schema = p.schema(&d).unwrap();
            let split = Split::make(&d, &schema, &p.split).unwrap();
            assert_eq!(split.train.len() + split.validation.len() + split.test.len(), sample.rows);
            let prep = Preprocessor::fit(&d, &schema, &p.prep, &split.train).unwrap();
            let e = prep.transform(&d, &split.test).unwrap();
            println!("{}: {} dense, {:?}", sample.id, e.dense_width, prep.embeddings());
            assert!(e.dense.iter().all(|x| x.is_finite()));
            assert!(matches!(e.target, TargetData::Classes(c) if c.len() == split.test.len()));
            let licence = std::fs::read_to_string(p.folder.join("LICENCE.md")).unwrap();
            assert!(licence.len() > 300);
        }
        assert!(materialise("nothing", dir.path()).unwrap_err().to_string().contains("penguins"));
    }

    #[test]
    fn the_schemas_are_as_meant() {
        let dir = tempfile::tempdir().unwrap();
        let schema = |id: &str| {
            let p = materialise(id, dir.path()).unwrap();
            let d = p.open_data(&Progress::default()).unwrap();
            (p.schema(&d).unwrap(), d)
        };
        let classes = |id: &str| schema(id).0.task.classes().to_vec();
        assert_eq!(classes("penguins"), ["Adelie", "Chinstrap", "Gentoo"]);
        assert_eq!(classes("german_credit"), ["bad", "good"]);
        assert_eq!(classes("adult_census"), ["<=50K", ">50K"]);
        assert_eq!(classes("digits"), (0..10).map(|d| d.to_string()).collect::<Vec<_>>());
        assert_eq!(classes("fashion_mnist")[9], "Ankle boot");
        assert!(matches!(schema("adult_census").0.task, Task::Binary { .. }));
        let (adult, d) = schema("adult_census");
        let numbers: Vec<_> =
            adult.features().filter(|f| f.1 == ColumnType::Number).map(|f| f.0).collect();
        assert_eq!(
            numbers,
            ["age", "education-num", "capital-gain", "capital-loss", "hours-per-week"]
        );
        assert!(d.notes.iter().any(|n| n.text.contains("4262 written \"?\"")), "{:?}", d.notes);
        assert_eq!(schema("german_credit").0.features().count(), 21);
    }

    #[test]
    fn a_changed_sample_keeps_its_changes() {
        let dir = tempfile::tempdir().unwrap();
        let mut p = materialise("penguins", dir.path()).unwrap();
        p.train.epochs = 3;
        p.save().unwrap();
        std::fs::write(p.folder.join("penguins.csv"), "cut").unwrap();
        let again = materialise("penguins", dir.path()).unwrap();
        assert_eq!(again, p);
        assert_eq!(again.open_data(&Progress::default()).unwrap().len(), 344);
    }

    #[test]
    fn the_embedded_files_are_those_of_the_repository() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("projects");
        for sample in samples() {
            for entry in std::fs::read_dir(root.join(sample.id)).unwrap() {
                let name = entry.unwrap().file_name().to_string_lossy().into_owned();
                let known = sample.files.iter().any(|(n, _)| *n == name);
                assert!(
                    known || name == "runs" || name == "make_subset.py",
                    "{}/{name}",
                    sample.id
                );
            }
        }
    }
}

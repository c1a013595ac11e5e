//! Small datasets for tests.

use std::collections::BTreeMap;
use std::path::Path;

use super::formats::csv;
use super::{Dataset, ImportOptions, Progress, Samples, Schema};

/// A table with a header, read as the program reads files.
pub(crate) fn dataset(text: &str) -> Dataset {
    let options = ImportOptions { header: Some(true), ..Default::default() };
    let (table, notes) =
        csv::read(Path::new("t.csv"), text.as_bytes(), &options, &Progress::default()).unwrap();
    Dataset { name: "t".to_owned(), samples: Samples::Table(table), notes }
}

/// The same with its schema.
pub(crate) fn table(text: &str, target: &str) -> (Dataset, Schema) {
    let d = dataset(text);
    let schema = Schema::infer(&d, Some(target), &BTreeMap::new()).unwrap();
    (d, schema)
}

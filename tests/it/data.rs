//! Files as users have them, on disk, through the public API.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use fp8_studio::data::preprocess::PrepConfig;
use fp8_studio::data::{
    Dataset, ImportOptions, Preprocessor, Progress, Samples, Schema, Split, SplitConfig,
    TargetData, Task, open,
};
use fp8_studio::error::UserError;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }
}

fn read(path: &Path) -> Dataset {
    open(path, &ImportOptions::default(), &Progress::default()).unwrap()
}

/// What the user sees of a file that cannot be used.
fn complaint(path: &Path) -> UserError {
    match open(path, &ImportOptions::default(), &Progress::default()) {
        Ok(d) => panic!("{} was read: {:?}", path.display(), d.notes),
        Err(e) => e.into(),
    }
}

#[test]
fn every_bad_file_says_what_where_and_what_next() {
    let f = Folder::new();
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    let ragged = format!("a,b,c\n{}{}", "1,2,3\n".repeat(4), "1,2\n".repeat(4));
    for (name, content, part, row) in [
        ("empty.csv", &b""[..], "empty", None),
        ("header.csv", b"a,b,c\n", "no rows", Some(1)),
        ("ragged.csv", ragged.as_bytes(), "do not have the 3 cells", Some(6)),
        ("quote.csv", b"a,b\n1,\"x, y\"\n2,\"oh no\n3,z\n", "never closed", Some(3)),
        ("nul.csv", b"a,b\n1,2\n3,\0\n", "not a text table", Some(3)),
        ("table.xlsx", b"PK\x03\x04\x14\0xl/worksheets/sheet1.xml", "ZIP archive", None),
        ("table.csv", b"PK\x03\x04\x14\0xl/worksheets/sheet1.xml", "ZIP archive", None),
        ("old.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "workbook is damaged", None),
        ("picture.csv", png, "PNG picture", None),
        ("page.csv", b"<!DOCTYPE html><html>", "web page", None),
        ("half.csv.gz", &b"\x1f\x8b\x08\0\0\0\0\0\0\x03KL"[..], "damaged or cut short", None),
    ] {
        let path = f.put(name, content);
        let e = complaint(&path);
        assert!(e.what.contains(part), "{name}: {e}");
        assert_eq!(e.place.path.as_deref(), Some(path.as_path()), "{e}");
        assert_eq!(e.place.row, row, "{e}");
        assert!(e.advice.ends_with('.') && e.advice.len() > 15, "{e}");
    }
    let e = complaint(&f.0.path().join("not there.csv"));
    assert!(e.place.path.is_some() && !e.advice.is_empty(), "{e}");
    let e = complaint(f.put("bare/x.txt", "hello").parent().unwrap());
    assert!(e.what.contains("neither a table nor images"), "{e}");
}

#[test]
fn a_cell_of_ten_million_characters_is_named() {
    let f = Folder::new();
    let path = f.put("huge.csv", format!("a,text\n1,x\n2,\"{}\"\n", "y".repeat(10_000_000)));
    let e = complaint(&path);
    assert!(e.what.contains("10,000,000 characters"), "{e}");
    assert_eq!((e.place.row, e.place.column.as_deref()), (Some(3), Some("text")));
}

#[test]
fn encodings_and_packing_do_not_matter() {
    let f = Folder::new();
    let text = "name;größe\nJosé;1,5\nZoë;2,5\nAda;3\n";
    let utf16: Vec<u8> =
        [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let western: Vec<u8> = text.chars().map(|c| c as u32 as u8).collect();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(text.as_bytes()).unwrap();
    for (name, content) in [
        ("utf8.csv", text.as_bytes().to_vec()),
        ("utf16.csv", utf16),
        ("western.csv", western),
        ("packed.csv.gz", gz.finish().unwrap()),
    ] {
        let d = read(&f.put(name, content));
        let Samples::Table(t) = &d.samples else { panic!() };
        let size = t.column("größe").unwrap_or_else(|| panic!("{name}: {:?}", d.notes));
        assert_eq!(size.numbers(), [1.5, 2.5, 3.0], "{name}");
        assert_eq!(t.column("name").unwrap().raw(0), "José");
    }
    assert_eq!(read(&f.0.path().join("packed.csv.gz")).name, "packed");
}

#[test]
fn one_column_and_an_empty_target_are_explained() {
    let f = Folder::new();
    let d = read(&f.put("one.csv", "y\na\nb\na\nb\n"));
    let e: UserError = Schema::infer(&d, None, &BTreeMap::new()).unwrap_err().into();
    assert!(e.what.contains("nothing to learn from"), "{e}");
    let d = read(&f.put("no target.csv", "x,y\n1.5,\n2.5,NA\n3.5,?\n"));
    let e: UserError = Schema::infer(&d, Some("y"), &BTreeMap::new()).unwrap_err().into();
    assert!(e.what.contains("no values"), "{e}");
    assert_eq!(e.place.column.as_deref(), Some("y"));
}

#[test]
fn a_train_and_a_test_table_are_one_dataset() {
    let f = Folder::new();
    let rows = |n: usize, from: usize| -> String {
        (from..from + n).map(|i| format!("{}.5,{}\n", i % 13, ["a", "b"][i % 2])).collect()
    };
    f.put("d/set_train.csv", format!("x,y\n{}", rows(40, 0)));
    let test = f.put("d/set_test.csv", format!("x,y\n{}", rows(20, 1)));
    let d = read(test.parent().unwrap());
    let schema = Schema::infer(&d, None, &BTreeMap::new()).unwrap();
    let split = Split::make(&d, &schema, &SplitConfig::default()).unwrap();
    assert_eq!(split.test, (40..60).collect::<Vec<_>>());
    f.put("d/set_test.csv", "x,z\n1,a\n");
    assert!(complaint(test.parent().unwrap()).what.contains("same columns"));
}

/// A real regression: read, split, encoded; an ordinary least-squares fit on what comes out has the
/// R² that this table is known for.
#[test]
fn concrete_is_encoded_for_regression() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/concrete/concrete_strength.csv");
    let d = read(&path);
    let schema = Schema::infer(&d, None, &BTreeMap::new()).unwrap();
    assert_eq!((schema.target.as_str(), &schema.task), ("compressive_strength", &Task::Regression));
    let split = Split::make(&d, &schema, &SplitConfig::default()).unwrap();
    let p = Preprocessor::fit(&d, &schema, &PrepConfig::default(), &split.train).unwrap();
    let encode = |rows: &[u32]| {
        let e = p.transform(&d, rows).unwrap();
        let TargetData::Values(y) = e.target else { panic!() };
        let x: Vec<Vec<f64>> = e
            .dense
            .chunks(e.dense_width)
            .map(|r| r.iter().map(|v| f64::from(*v)).chain([1.0]).collect())
            .collect();
        (x, y.into_iter().map(f64::from).collect::<Vec<_>>())
    };
    let (x, y) = encode(&split.train);
    // Gradient descent on the mean squared error; the inputs are standardised.
    let mut w = vec![0.0; x[0].len()];
    for _ in 0..5000 {
        let mut g = vec![0.0; w.len()];
        for (r, t) in x.iter().zip(&y) {
            let error = r.iter().zip(&w).map(|(a, b)| a * b).sum::<f64>() - t;
            g.iter_mut().zip(r).for_each(|(g, a)| *g += error * a / y.len() as f64);
        }
        w.iter_mut().zip(g).for_each(|(w, g)| *w -= 0.3 * g);
    }
    let (x, y) = encode(&split.test);
    let mean = y.iter().sum::<f64>() / y.len() as f64;
    let total: f64 = y.iter().map(|t| (t - mean).powi(2)).sum();
    let residual: f64 = x
        .iter()
        .zip(&y)
        .map(|(r, t)| (r.iter().zip(&w).map(|(a, b)| a * b).sum::<f64>() - t).powi(2))
        .sum();
    let r2 = 1.0 - residual / total;
    println!("R² {r2:.4}");
    assert!((0.70..0.90).contains(&r2), "R² {r2}");
}

//! The same table in every format, as other programs write it (`tests/golden/formats.py`), and what a
//! damaged file says.

use std::io::Write;
use std::path::{Path, PathBuf};

use fp8_studio::data::{ColumnType, Dataset, ImportOptions, Progress, Samples, Table, open};
use fp8_studio::error::{DataError, UserError};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/formats").join(name)
}

fn read(path: &Path) -> Dataset {
    let opened = open(path, &ImportOptions::default(), &Progress::default());
    opened.unwrap_or_else(|e| panic!("{}: {}", path.display(), UserError::from(e)))
}

fn table(d: &Dataset) -> &Table {
    match &d.samples {
        Samples::Table(t) => t,
        Samples::Images(_) => panic!("images"),
    }
}

#[test]
fn every_format_gives_the_same_table() {
    let expected = read(&fixture("table.csv"));
    let expected = table(&expected);
    assert_eq!((expected.rows(), expected.columns().len()), (12, 5));
    for name in [
        "table.json",
        "table.jsonl",
        "table.xlsx",
        "table.xls",
        "table.ods",
        "table.sqlite",
        "table.zip",
        "table_snappy.parquet",
        "table_gzip.parquet",
        "table_zstd.parquet",
        "table_none.parquet",
        "table.feather",
        "stream.arrow",
    ] {
        let d = read(&fixture(name));
        let t = table(&d);
        assert_eq!(t.rows(), 12, "{name}: {:?}", d.notes);
        let names = |t: &Table| t.columns().iter().map(|c| c.name().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(t), names(expected), "{name}");
        for (a, b) in t.columns().iter().zip(expected.columns()) {
            for row in 0..12 {
                match b.name() {
                    "size" | "count" => {
                        assert_eq!(a.number(row), b.number(row), "{name} row {row}")
                    }
                    "when" => assert_eq!(a.date(row), b.date(row), "{name}: {:?}", a.raw(row)),
                    "paid" => {
                        let yes = |s: &str| ["1", "true", "True", "TRUE"].contains(&s);
                        assert_eq!(yes(a.raw(row)), yes(b.raw(row)), "{name}: {:?}", a.raw(row));
                    }
                    _ => assert_eq!(a.value(row), b.value(row), "{name} row {row}"),
                }
            }
        }
        assert!(d.notes.iter().any(|n| n.text.contains("12 rows, 5 columns")), "{:?}", d.notes);
    }
}

#[test]
fn what_was_parsed_as_what_is_said_with_counts() {
    for (name, part) in [
        ("table.xlsx", "Sheet \"Data\" is read, as it has most cells; not read: \"About\"."),
        ("table.sqlite", "the tables are: \"about\", \"sales\""),
        ("table_snappy.parquet", "24 numbers"),
        ("table.jsonl", "Cells as stored"),
        ("table.zip", "read as a folder"),
    ] {
        let d = read(&fixture(name));
        assert!(d.notes.iter().any(|n| n.text.contains(part)), "{name}: {:#?}", d.notes);
    }
    let d = read(&fixture("untidy.xlsx"));
    let t = table(&d);
    assert_eq!((t.rows(), t.column("price").unwrap().kind), (20, ColumnType::Number));
    // The row as the spreadsheet numbers it.
    assert_eq!(t.line(0), 4);
    assert_eq!(t.column("price").unwrap().number(0), Some(0.25));
    let d = read(&fixture("lists.parquet"));
    assert!(d.notes.iter().any(|n| n.repair && n.text.contains("\"tags\"")), "{:?}", d.notes);
}

#[test]
fn arrow_values_keep_their_value() {
    for name in ["kinds.parquet", "kinds.arrow"] {
        let d = read(&fixture(name));
        let t = table(&d);
        let cells = |c: &str| (0..3).map(|r| t.column(c).unwrap().raw(r)).collect::<Vec<_>>();
        assert_eq!(cells("i8"), ["1", "", "-3"], "{name}");
        assert_eq!(cells("u64"), ["1", "2", "18446744073709551615"]);
        assert_eq!(cells("f32")[0], "0.1");
        assert_eq!(cells("dec"), ["", "1.50", "-2.25"]);
        assert_eq!(cells("big"), ["a", "", "é"]);
        assert_eq!(cells("moment"), ["1970-01-01", "2023-11-14 22:13:20.123", ""]);
        assert_eq!(cells("none"), ["", "", ""]);
    }
}

#[test]
fn a_part_or_query_can_be_chosen() {
    let with = |name: &str, part: Option<&str>, query: Option<&str>| {
        let options = ImportOptions {
            part: part.map(str::to_owned),
            query: query.map(str::to_owned),
            ..ImportOptions::default()
        };
        open(&fixture(name), &options, &Progress::default())
    };
    let e: UserError = with("table.xlsx", Some("Nothing"), None).unwrap_err().into();
    assert!(e.what.contains("no sheet \"Nothing\"") && e.advice.contains("\"Data\""), "{e}");
    let d =
        with("table.sqlite", None, Some("SELECT kind, sum(count) AS n FROM sales GROUP BY kind"));
    assert_eq!(table(&d.unwrap()).rows(), 4);
}

fn put(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    path
}

fn png(colour: [u8; 3], side: u32) -> Vec<u8> {
    let image = image::RgbImage::from_pixel(side, side, image::Rgb(colour));
    let mut out = std::io::Cursor::new(Vec::new());
    image.write_to(&mut out, image::ImageFormat::Png).unwrap();
    out.into_inner()
}

#[test]
fn texts_images_and_archives_of_them_are_read() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..6 {
        let class = ["good", "bad"][i % 2];
        put(dir.path(), &format!("texts/train/{class}/{i}.txt"), format!("This was {class}, {i}"));
        put(dir.path(), &format!("texts/test/{class}/{i}.txt"), format!("That is {class}, {i}"));
        let colour = if i % 2 == 0 { [250, 0, 0] } else { [0, 0, 250] };
        put(dir.path(), &format!("pictures/{i}.png"), png(colour, 8));
    }
    let d = read(&dir.path().join("texts"));
    let t = table(&d);
    assert_eq!((t.rows(), t.test_start()), (12, Some(6)));
    assert_eq!(t.column("text").unwrap().kind, ColumnType::Text);
    assert_eq!(t.column("label").unwrap().codes().1, ["bad", "good"]);
    let rows: String =
        (0..7).map(|i| format!("pictures\\{i}.png,{}\n", ["red", "blue"][i % 2])).collect();
    let list = put(dir.path(), "list.csv", format!("file,colour\n{rows}"));
    let d = read(&list);
    let Samples::Images(images) = &d.samples else { panic!("{:?}", d.notes) };
    assert_eq!(
        (images.len(), images.classes.as_slice()),
        (6, &["blue".to_owned(), "red".to_owned()][..])
    );
    let gone = d.notes.iter().find(|n| n.text.contains("not there")).unwrap();
    assert_eq!(gone.rows, [8]);

    let path = dir.path().join("pictures.zip");
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    for i in 0..6 {
        let class = ["red", "blue"][i % 2];
        zip.start_file(format!("all/{class}/{i}.png"), options).unwrap();
        zip.write_all(&png([i as u8 * 40, 9, 9], 8)).unwrap();
    }
    zip.finish().unwrap();
    let d = read(&path);
    let Samples::Images(images) = &d.samples else { panic!("{:?}", d.notes) };
    assert_eq!((images.len(), images.classes.len(), d.name.as_str()), (6, 2, "pictures"));
    assert!(images.paths[0].starts_with(&path), "{:?}", images.paths[0]);
}

/// Files cut short and with bytes changed: every one is read or explained, and none ends the program.
#[test]
fn damaged_files_are_read_or_explained() {
    let dir = tempfile::tempdir().unwrap();
    let mut tried = 0;
    for entry in std::fs::read_dir(fixture("")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let whole = std::fs::read(&path).unwrap();
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |n: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % n as u64) as usize
        };
        let mut broken: Vec<Vec<u8>> =
            (1..8).map(|i| whole[..whole.len() * i / 8].to_vec()).collect();
        for _ in 0..24 {
            let mut copy = whole.clone();
            for _ in 0..1 + random(6) {
                let at = random(copy.len());
                copy[at] = random(256) as u8;
            }
            broken.push(copy);
        }
        for (i, content) in broken.into_iter().enumerate() {
            let path = put(dir.path(), &format!("{i}-{name}"), content);
            tried += 1;
            match open(&path, &ImportOptions::default(), &Progress::default()) {
                Ok(d) => assert!(!d.is_empty(), "{name} {i}"),
                Err(DataError::Cancelled) => panic!("{name} {i}: cancelled"),
                Err(e) => {
                    let e = UserError::from(e);
                    assert!(e.place.path.is_some() && e.advice.len() > 15, "{name} {i}: {e}");
                    assert!(!e.what.contains("panic"), "{name} {i}: {e}");
                }
            }
        }
    }
    assert!(tried > 300);
}

#[test]
fn odd_archives_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let make = |name: &str, entries: &[(&str, &[u8])]| {
        let path = dir.path().join(name);
        let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
        for (entry, content) in entries {
            zip.start_file(*entry, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap();
        path
    };
    let complaint = |path: &Path| -> UserError {
        open(path, &ImportOptions::default(), &Progress::default())
            .map(|d| d.notes)
            .unwrap_err()
            .into()
    };
    let e = complaint(&make("outside.zip", &[("../../evil.csv", b"a,b\n1,2\n")]));
    assert!(e.what.contains("leads outside"), "{e}");
    let bomb = vec![0u8; 40 << 20];
    let e = complaint(&make("bomb.zip", &[("big.csv", &bomb)]));
    assert!(!e.advice.is_empty(), "{e}");
    let e = complaint(&make("empty.zip", &[]));
    assert!(!e.what.is_empty() && !e.advice.is_empty(), "{e}");
    let e = complaint(&make("letter.docx", &[("word/document.xml", b"<w/>")]));
    assert!(e.what.contains("Word document"), "{e}");
}

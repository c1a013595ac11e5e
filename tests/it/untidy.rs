//! Files as people have them: titles, groups of columns, totals, remarks, units, odd ways of writing.
//! Workbooks are written by `tests/golden/formats_untidy.py`.

use std::path::{Path, PathBuf};

use fp8_studio::data::{ColumnType, Dataset, ImportOptions, Progress, Samples, Table, open};
use fp8_studio::error::UserError;

fn book(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/people").join(name)
}

fn try_open(path: &Path, part: Option<&str>) -> Result<Dataset, UserError> {
    let options = ImportOptions { part: part.map(str::to_owned), ..ImportOptions::default() };
    open(path, &options, &Progress::default()).map_err(UserError::from)
}

fn read(path: &Path) -> Dataset {
    try_open(path, None).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn table(d: &Dataset) -> &Table {
    match &d.samples {
        Samples::Table(t) => t,
        Samples::Images(_) => panic!("images"),
    }
}

fn names(t: &Table) -> Vec<&str> {
    t.columns().iter().map(|c| c.name()).collect()
}

/// A note with these words, and its rows.
fn note<'a>(d: &'a Dataset, words: &str) -> &'a [u64] {
    let found = d.notes.iter().find(|n| n.text.contains(words));
    &found.unwrap_or_else(|| panic!("{words}: {:#?}", d.notes)).rows
}

fn written(name: &str, content: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    (folder, path)
}

/// The rows of a text under its names.
fn of(name: &str, content: impl AsRef<[u8]>) -> Dataset {
    let (_folder, path) = written(name, content);
    read(&path)
}

const NAMES: [&str; 5] = ["city", "age", "price", "day", "bought"];

#[test]
fn titles_groups_totals_and_remarks_are_no_rows() {
    for (file, words, rows) in [
        ("titled.xlsx", "above the table left out: \"Made by\", \"Ann\"", &[2][..]),
        ("ended.xlsx", "below the table left out: \"Total\", \"Source: our shop\"", &[27, 28]),
        ("second.xlsx", "another table with \"month\", \"turnover\"", &[27, 28, 29, 30, 31]),
    ] {
        let d = read(&book(file));
        let t = table(&d);
        assert_eq!((t.rows(), names(t)), (24, NAMES.to_vec()), "{file}: {:#?}", d.notes);
        let noted = note(&d, words);
        assert!(noted.starts_with(&rows[..rows.len().min(noted.len())]), "{file}: {noted:?}");
        assert_eq!(t.column("price").unwrap().kind, ColumnType::Number);
        assert_eq!(t.column("day").unwrap().kind, ColumnType::Date);
    }
    let d = read(&book("grouped.xlsx"));
    let expected = [
        "first half sold",
        "first half price",
        "second half sold",
        "second half price",
        "second half y",
    ];
    assert_eq!((table(&d).rows(), names(table(&d))), (24, expected.to_vec()));
}

#[test]
fn merged_cells_hidden_sheets_and_formulas_are_told() {
    let d = read(&book("merged.xlsx"));
    let t = table(&d);
    assert!((0..24).all(|r| t.column("city").unwrap().raw(r) == ["Bonn", "Oslo", "Rome"][r / 8]));
    assert_eq!(note(&d, "21 rows of merged cells filled").len(), 20);

    let d = read(&book("hidden.xlsx"));
    assert_eq!(table(&d).rows(), 24);
    note(&d, "not read: \"Old\" (hidden)");
    let d = try_open(&book("hidden.xlsx"), Some("Old")).unwrap();
    assert_eq!(table(&d).rows(), 72);

    let d = read(&book("unsaved.xlsx"));
    note(&d, "24 formulas without a saved result");

    let e = try_open(&book("far.xlsx"), None).unwrap_err();
    assert!(e.what.contains("cell XFD1048576 is filled"), "{e}");
}

#[test]
fn times_and_spans_of_parquet_are_read() {
    let d = read(&book("times.parquet"));
    let t = table(&d);
    assert_eq!(t.column("clock").unwrap().raw(2), "02:03:09");
    assert_eq!(t.column("span").unwrap().raw(3), "4.5");
}

#[test]
fn numbers_as_people_write_them_are_numbers() {
    let cells = |write: &dyn Fn(usize) -> String| {
        let rows: String =
            (0..40).map(|i| format!("{};{}\n", write(i), ["p", "q"][i % 2])).collect();
        of("t.csv", format!("n;y\n{rows}"))
    };
    let n = |i: usize| i * 37 % 91 + 1000;
    for (write, first, words) in [
        (
            &(|i| format!("{} kg", n(i))) as &dyn Fn(usize) -> String,
            1000.0,
            "units (kg) are left off 40",
        ),
        (&|i| format!("({})", n(i)), -1000.0, "less than nothing in 40"),
        (&|i| format!("{}-", n(i)), -1000.0, "less than nothing in 40"),
        (&|i| format!("1'{:03}.50", n(i) % 1000), 1000.5, "apostrophes between thousands"),
        (&|i| format!("₹12,34,{:03}.50", n(i) % 1000), 1_234_000.5, "between thousands"),
        (&|i| format!("١٢{}", ["٣", "٤"][i % 2]), 123.0, "another script"),
        (&|i| format!("1.{:03},50 €", n(i) % 1000), 1000.5, "decimal signs"),
    ] {
        let d = cells(write);
        let c = table(&d).column("n").unwrap();
        assert_eq!((c.kind, c.number(0)), (ColumnType::Number, Some(first)), "{:#?}", d.notes);
        note(&d, words);
    }
    // Of amounts in different units none is a number.
    let d = cells(&|i| if i % 2 == 0 { format!("{} g", n(i)) } else { format!("{} kg", i % 5) });
    assert_ne!(table(&d).column("n").unwrap().kind, ColumnType::Number);
}

fn lines(of: &dyn Fn(usize) -> String) -> String {
    (0..40).map(of).collect()
}

#[test]
fn odd_ways_of_writing_a_table_are_read() {
    let y = |i: usize| ["p", "q"][i % 2];
    let cases = [
        (
            "a.txt",
            format!(
                "a     b    y\n{}",
                lines(&|i| format!("{:<5} {:<4} {}\n", i % 7, i % 3, y(i)))
            ),
            "Spaces separate",
        ),
        (
            "b.csv",
            format!("a, b, y\n{}", lines(&|i| format!("{}, \"x, {}\", {}\n", i % 7, i % 3, y(i)))),
            "Spaces before quotation marks",
        ),
        (
            "c.csv",
            format!(
                "a,b,y\n{}",
                lines(&|i| format!("{},\"say \\\"{}\\\"\",{}\n", i % 7, i % 3, y(i)))
            ),
            "with a backslash",
        ),
        (
            "d.csv",
            format!(
                "# from a tool\n# units: cm\na,b,y\n{}",
                lines(&|i| format!(
                    "{},{},{}\n{}",
                    i % 7,
                    i % 3,
                    y(i),
                    if i == 20 { "# part two\n" } else { "" }
                ))
            ),
            "left out as remarks",
        ),
        (
            "e.md",
            format!(
                "| a | b | y |\n|---|---|---|\n{}",
                lines(&|i| format!("| {} | {} | {} |\n", i % 7, i % 3, y(i)))
            ),
            "Vertical bars",
        ),
    ];
    for (name, text, words) in cases {
        let d = of(name, &text);
        let t = table(&d);
        assert_eq!((t.rows(), names(t)), (40, vec!["a", "b", "y"]), "{name}: {:#?}", d.notes);
        assert_eq!(t.column("a").unwrap().number(3), Some(3.0), "{name}");
        note(&d, words);
    }
    let d = of(
        "t.csv",
        format!("a,b,y\n{}", lines(&|i| format!("{},\"say \\\"{i}\\\"\",{}\n", i % 7, y(i)))),
    );
    assert_eq!(table(&d).column("b").unwrap().raw(5), "say \"5\"");
    // A last row that is like the others stays, whatever its first word.
    let d = of(
        "t.csv",
        format!("a,b,y\n{}Total,5,p\n", lines(&|i| format!("w{},{},{}\n", i % 4, i % 3, y(i)))),
    );
    assert_eq!(table(&d).rows(), 41);
}

#[test]
fn json_as_programs_write_it_is_read() {
    let row = |i: usize| format!("{{\"a\":{i},\"y\":\"{}\"}}", ["p", "q"][i % 2]);
    let rows = (0..20).map(row).collect::<Vec<_>>().join(",");
    let few = (0..3).map(row).collect::<Vec<_>>().join(",");
    let pairs = (0..20).map(|i| format!("[{i},\"p\"]")).collect::<Vec<_>>().join(",");
    let keyed = (0..20).map(|i| format!("\"id{i}\":{}", row(i))).collect::<Vec<_>>().join(",");
    for (text, words) in [
        (format!("{{\"reply\":{{\"status\":1,\"items\":[{rows}]}}}}"), "the list \"reply.items\""),
        (
            format!("{{\"x\":[{few}],\"z\":[{rows}]}}"),
            "the list \"z\", the longest; not read: \"x\"",
        ),
        (
            format!("{{\"columns\":[\"a\",\"y\"],\"index\":[0],\"data\":[{pairs}]}}"),
            "The names are the list",
        ),
        (format!("[[\"a\",\"y\"],{pairs}]"), "The first list holds the names"),
        (format!("{{{keyed}}}"), "Each field of the file is one row"),
        (
            format!("[{rows},{{\"a\":NaN,\"y\":\"NaN, so\"}}]").replacen(
                &format!("{},", row(0)),
                "",
                1,
            ),
            "1 word such as NaN",
        ),
    ] {
        let d = of("t.json", &text);
        let t = table(&d);
        assert_eq!(t.rows(), 20, "{text}: {:#?}", d.notes);
        assert!(t.column("a").is_some() && t.column("y").is_some(), "{:?}", names(t));
        note(&d, words);
    }
    let (_folder, path) = written("t.json", format!("{{\"x\":[{few}],\"z\":[{rows}]}}"));
    assert_eq!(table(&try_open(&path, Some("x")).unwrap()).rows(), 3);
    assert!(try_open(&path, Some("w")).unwrap_err().advice.contains("\"x\", \"z\""));
    let (_folder, path) = written("t.jsonl", format!("{}\n{{\"a\":2,\n{}\n", row(0), row(1)));
    let e = try_open(&path, None).unwrap_err();
    assert!(e.to_string().contains("not complete") || e.advice.contains("not complete"), "{e}");
    let (_folder, path) = written("t.json", "[1, 2, 3]");
    assert!(try_open(&path, None).is_err());
}

#[test]
fn tables_of_the_same_columns_in_a_folder_are_joined() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("a,y\n{}", lines(&|i| format!("{},{}\n", i % 7, ["p", "q"][i % 2])));
    for month in ["2024-01", "2024-02", "2024-03"] {
        std::fs::write(folder.path().join(format!("sales-{month}.csv")), &text).unwrap();
    }
    let d = read(folder.path());
    let t = table(&d);
    assert_eq!((t.rows(), names(t)), (120, vec!["a", "y", "file"]));
    assert_eq!(t.column("file").unwrap().kind, ColumnType::Ignore);
    assert_eq!((t.column("file").unwrap().raw(40), t.line(40)), ("sales-2024-02.csv", 2));
    note(&d, "3 tables with the same columns joined");
    std::fs::write(folder.path().join("other.csv"), "c,d\n1,2\n3,4\n").unwrap();
    let e = try_open(folder.path(), None).unwrap_err();
    assert!(e.what.contains("4 tables with different columns"), "{e}");
}

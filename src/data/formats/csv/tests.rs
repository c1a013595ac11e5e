mod together;

use super::*;
use crate::data::Column;

fn open(text: impl AsRef<[u8]>) -> Result<(Table, Vec<ImportNote>), DataError> {
    read(Path::new("t.csv"), text.as_ref(), &ImportOptions::default(), &Progress::default())
}

fn cells(table: &Table) -> Vec<Vec<String>> {
    let row = |r| table.columns().iter().map(|c| c.raw(r).to_owned()).collect();
    (0..table.rows()).map(row).collect()
}

fn names(table: &Table) -> Vec<&str> {
    table.columns().iter().map(Column::name).collect()
}

fn note<'a>(notes: &'a [ImportNote], part: &str) -> &'a ImportNote {
    notes.iter().find(|n| n.text.contains(part)).unwrap_or_else(|| panic!("{part}: {notes:?}"))
}

fn error(text: impl AsRef<[u8]>) -> (String, Option<u64>, Option<String>) {
    match open(text) {
        Err(DataError::Invalid { what, place, advice }) => {
            assert!(place.path.is_some(), "{what} has no path");
            assert!(advice.ends_with('.') && !what.ends_with('.'), "{what} / {advice}");
            (what, place.row, place.column)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plain_table_keeps_its_cells() {
    let (t, notes) = open("a,b\r\n1,\"x, y\"\r\n2, z \r\n").unwrap();
    assert_eq!(names(&t), ["a", "b"]);
    assert_eq!(cells(&t), [["1", "x, y"], ["2", " z "]]);
    assert_eq!((t.line(0), t.line(1)), (2, 3));
    assert!(notes.iter().all(|n| !n.repair), "{notes:?}");
    note(&notes, "Commas separate the columns");
    note(&notes, "enclose 1 cell");
}

#[test]
fn rows_are_counted_as_a_spreadsheet_shows_them() {
    for newline in ["\n", "\r\n", "\r"] {
        let text = "a,b\n\n1,\"two\nlines\"\n3,4\n\n\n5,6\n\n".replace('\n', newline);
        let (t, notes) = open(&text).unwrap();
        let lines: Vec<_> = (0..3).map(|r| t.line(r)).collect();
        assert_eq!(lines, [3, 4, 7], "{newline:?}");
        assert_eq!(note(&notes, "3 blank lines").rows, [2, 5, 6]);
    }
}

#[test]
fn parts_join_into_the_same_table() {
    let mut text = String::from("id,word,note\n");
    for i in 0..500 {
        text += &format!("{i},w{},\"line one of {i}\nline, two\"\n", i % 7);
        if i % 50 == 0 {
            text += "\n";
        }
        if i % 100 == 3 {
            text += "9\n";
        }
    }
    let whole = open(&text).unwrap();
    let options = ImportOptions::default();
    for chunk in [64, 100, 1000] {
        let progress = Progress::default();
        let parts = read_in(
            Path::new("t.csv"),
            text.as_bytes(),
            &options,
            &progress,
            Sizes { chunk, ..Sizes::default() },
        )
        .unwrap();
        assert_eq!(cells(&parts.0), cells(&whole.0));
        let lines = |t: &Table| (0..t.rows()).map(|r| t.line(r)).collect::<Vec<_>>();
        assert_eq!(lines(&parts.0), lines(&whole.0));
        assert_eq!(parts.1, whole.1);
        assert_eq!(progress.done.load(Ordering::Relaxed), text.len() as u64 - 13);
    }
}

#[test]
fn ragged_rows_are_repaired_and_noted() {
    let mut text = String::from("a,b,c\n");
    for i in 0..20 {
        text += &format!("{i},{i},{i}\n");
    }
    let (t, notes) = open(format!("{text}7,8\n1,2,3,4\n1,2,3,,\n")).unwrap();
    assert_eq!(t.rows(), 23);
    assert_eq!(cells(&t)[20], ["7", "8", ""]);
    assert_eq!(cells(&t)[21], ["1", "2", "3"]);
    let short = note(&notes, "1 row with too few cells");
    assert!(short.repair && short.rows == [22]);
    assert_eq!(note(&notes, "1 row with too many cells").rows, [23]);

    let (what, row, _) = error(format!("{text}{}", "1,2\n".repeat(10)));
    assert!(what.contains("10 of 30 rows do not have the 3 cells"), "{what}");
    assert_eq!(row, Some(22));
}

#[test]
fn cells_that_all_rows_have_become_columns() {
    let (t, notes) = open("a,b\n1,2,3,4\n1,5,6,7\n").unwrap();
    assert_eq!(names(&t), ["a", "b", "column 3", "column 4"]);
    note(&notes, "2 cells more than the names");
    let (t, notes) = open("x,y\nr1,1,2\nr2,3,4\nr3,5,6\n").unwrap();
    assert_eq!(names(&t), ["row name", "x", "y"]);
    note(&notes, "one cell more");
    let (t, _) = open("a,b\n1,2,\n3,4,\n").unwrap();
    assert_eq!(names(&t), ["a", "b"]);
    let (t, notes) = open("a,b,\n1,2,\n3,4,\n").unwrap();
    assert_eq!(names(&t), ["a", "b"]);
    note(&notes, "neither name nor value");
}

#[test]
fn quotes_that_go_wrong_are_errors_with_their_row() {
    let (what, row, _) = error("a,b\n1,\"ok, fine\"\n2,\"open, here\n3,z\n");
    assert!(what.contains("never closed"), "{what}");
    assert_eq!(row, Some(3));
    let (what, row, _) = error("a,b\n1,\"ok, fine\"\n2,\"half\" way\n3,z\n");
    assert!(what.contains("middle of a cell"), "{what}");
    assert_eq!(row, Some(3));
}

#[test]
fn quotes_that_enclose_nothing_are_characters() {
    let (t, notes) = open("size,kind\n\"5 inch,pipe\n6\" bar,rod\n7,rod\n").unwrap();
    assert_eq!(cells(&t)[0], ["\"5 inch", "pipe"]);
    let n = note(&notes, "ordinary characters");
    assert!(n.repair && n.rows == [2]);
}

#[test]
fn empty_files_say_so() {
    for text in ["", "\n\n", "  \r\n", "\u{feff}"] {
        assert!(error(text).0.contains("empty"), "{text:?}");
    }
    let (what, row, _) = error("a,b,c\n");
    assert!(what.contains("names but no rows"), "{what}");
    assert_eq!(row, Some(1));
    assert!(error("a,b\n,\n , \n").0.contains("no row with a value"));
}

#[test]
fn huge_cells_and_tables_are_refused_with_their_place() {
    let text = format!("a,b\n1,2\n3,{}\n", "x".repeat(10_000_000));
    let (what, row, column) = error(text);
    assert!(what.contains("10,000,000 characters"), "{what}");
    assert_eq!((row, column.as_deref()), (Some(3), Some("b")));
    let wide = format!("{}\n", vec!["1"; MAX_COLUMNS + 1].join(","));
    let (what, _, _) = error(wide.repeat(3));
    assert!(what.contains("10,001 columns"), "{what}");
    let wide = format!("{}\n", vec!["1.5"; MAX_COLUMNS].join(","));
    assert_eq!(open(wide.repeat(3)).unwrap().0.columns().len(), MAX_COLUMNS);
}

#[test]
fn binary_bytes_are_refused_with_their_row() {
    let (what, row, _) = error(b"a,b\n1,2\n3,\0\x01\n");
    assert!(what.contains("not a text table"), "{what}");
    assert_eq!(row, Some(3));
}

#[test]
fn names_are_made_unique() {
    let (t, notes) = open("a,,a,a (2),\n1,2,3,4,5\n1,2,3,4,6\n").unwrap();
    assert_eq!(names(&t), ["a", "column 2", "a (3)", "a (2)", "column 5"]);
    assert!(note(&notes, "2 columns without a name").repair);
    assert!(note(&notes, "\"a (3)\"").repair);
}

#[test]
fn tables_without_names_get_numbers() {
    let (t, notes) = open("1,2\n3,4\n").unwrap();
    assert_eq!(names(&t), ["column 1", "column 2"]);
    assert_eq!((t.rows(), t.line(0)), (2, 1));
    note(&notes, "no row of names");
}

#[test]
fn the_user_can_overrule_the_detection() {
    let options =
        ImportOptions { delimiter: Some(b'-'), header: Some(false), ..Default::default() };
    let p = Progress::default();
    let (t, _) = read(Path::new("t.csv"), b"a-b\nc-d\n", &options, &p).unwrap();
    assert_eq!(cells(&t), [["a", "b"], ["c", "d"]]);
}

#[test]
fn separator_lines_and_titles_are_not_data() {
    let (t, _) = open("sep=;\r\na;b\r\n1,5;2\r\n").unwrap();
    assert_eq!((names(&t), t.line(0)), (vec!["a", "b"], 3));
    let (t, notes) = open("My report\n\na,b,c\n1,2,3\n4,5,6\n").unwrap();
    assert_eq!((names(&t), t.line(0)), (vec!["a", "b", "c"], 4));
    assert!(note(&notes, "above the table").repair);
}

#[test]
fn one_column_is_a_table() {
    let (t, notes) = open("x\n1\n2\n\n4\n").unwrap();
    assert_eq!((names(&t), t.rows()), (vec!["x"], 3));
    note(&notes, "There is one column");
}

#[test]
fn cancelling_stops_the_import() {
    let p = Progress::default();
    p.cancel.store(true, Ordering::Relaxed);
    let text = "1,2\n".repeat(200_000);
    let r = read(Path::new("t.csv"), text.as_bytes(), &ImportOptions::default(), &p);
    assert!(matches!(r, Err(DataError::Cancelled)));
}

#[test]
fn a_file_larger_than_memory_is_sampled_evenly_and_says_so() {
    let mut text = String::from("id,word\n");
    for i in 0..20_000 {
        text += &format!("{i},w{}\n", i % 7);
    }
    let sizes = Sizes { chunk: 1000, large: 50_000, sample: text.len() / 10, ..Sizes::default() };
    let read = |options: &ImportOptions, chunk| {
        let sizes = Sizes { chunk, ..sizes };
        read_in(Path::new("t.csv"), text.as_bytes(), options, &Progress::default(), sizes).unwrap()
    };
    let (t, notes) = read(&ImportOptions::default(), 1000);
    assert!((1800..2200).contains(&t.rows()), "{}", t.rows());
    assert!(note(&notes, "larger than memory").text.contains("20,000 rows"));
    // Every row says its own number in the file, and all parts of the file are there.
    for r in 0..t.rows() {
        assert_eq!(t.columns()[0].raw(r), (t.line(r) - 2).to_string());
    }
    let early = (0..t.rows()).filter(|r| t.line(*r) < 10_000).count();
    assert!((800..1200).contains(&early), "{early}");
    // How the work is cut changes nothing.
    assert_eq!(cells(&read(&ImportOptions::default(), 333).0), cells(&t));
    // Where all rows are to be trained on, they are found in the file again, piece by piece.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, &text).unwrap();
    let (sample, _) = sampled(&path, 1000, text.len() / 10);
    let whole = sample.whole().unwrap();
    let reader = whole.open().unwrap();
    let kept: Vec<u64> = (0..sample.rows()).map(|r| sample.line(r)).collect();
    let mut beyond = Vec::new();
    for piece in 0..whole.pieces() {
        let piece = reader.piece(piece, &sample).unwrap().table;
        for r in 0..piece.rows() {
            assert_eq!(piece.columns()[0].raw(r), (piece.line(r) - 2).to_string());
            beyond.push(piece.line(r));
        }
    }
    // Each row is in the sample or beyond it, once.
    assert!(beyond.is_sorted() && kept.iter().all(|line| beyond.binary_search(line).is_err()));
    assert_eq!(
        (beyond.len() + kept.len(), whole.rows(), whole.beyond()),
        (20_000, 20_000, beyond.len())
    );
    // Packed text cannot be found again, so it is read as a whole.
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, text.as_bytes()).unwrap();
    std::fs::write(&path, packed.finish().unwrap()).unwrap();
    let options = ImportOptions { whole: true, ..ImportOptions::default() };
    let sizes = Sizes { chunk: 5000, large: 1000, sample: 1000, together: true };
    let (all, _) = read_in(&path, text.as_bytes(), &options, &Progress::default(), sizes).unwrap();
    assert!(all.whole().is_none() && all.rows() == 20_000);
    assert!(t.whole().is_none());
}

/// Cells as the `csv` crate reads them, rows without a value left out.
fn by_csv_crate(text: &str, width: usize) -> Vec<Vec<String>> {
    let mut reader = dialect::reader(text, b',', true);
    let mut record = ByteRecord::new();
    let mut rows = Vec::new();
    while reader.read_byte_record(&mut record).unwrap() {
        let mut row: Vec<String> =
            record.iter().map(|c| String::from_utf8_lossy(c).into_owned()).collect();
        if row.iter().any(|c| !c.trim_ascii().is_empty()) {
            row.resize(width, String::new());
            rows.push(row);
        }
    }
    rows
}

proptest::proptest! {
    /// The parser reads any text as the `csv` crate does, also where quotation marks are wrong.
    #[test]
    fn records_are_those_of_the_csv_crate(text in "[ab,\"\n\r é]{0,60}", cut in 0_usize..60) {
        let dialect = Dialect {
            delimiter: b',', quoting: true, header: false, preamble: 0, width: 3, header_width: 3,
        };
        let names: Vec<String> = ["x", "y", "z"].map(String::from).to_vec();
        let cut = (0..=cut.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        let piece = &text[..cut];
        let reading = rows::Reading {
            text: piece,
            dialect: &dialect,
            names: &names,
            keep: Keep::of(0, 1),
            together: Some(text::Signs { zero: false, quote: true, cr: true }),
            progress: &Progress::default(),
            read: &AtomicU64::new(0),
        };
        let part = parse(reading, 0..piece.len()).unwrap();
        proptest::prop_assert_eq!(part.cells(), by_csv_crate(piece, 3));
    }
    /// Whatever cells a table has, writing and reading give them back.
    #[test]
    fn written_cells_come_back(rows in proptest::collection::vec(
        proptest::collection::vec("[a-z0-9 ,;\"\n\r\t|é]{0,6}", 3), 1..20)) {
        let mut w = ::csv::WriterBuilder::new().quote_style(::csv::QuoteStyle::Always).from_writer(vec![]);
        w.write_record(["first name", "second name", "third name"]).unwrap();
        for r in &rows { w.write_record(r).unwrap(); }
        let bytes = w.into_inner().unwrap();
        let options = ImportOptions { delimiter: Some(b','), header: Some(true), ..Default::default() };
        let kept: Vec<_> = rows.iter().filter(|r| r.iter().any(|c| !c.trim().is_empty())).cloned().collect();
        match read_in(Path::new("t"), &bytes, &options, &Progress::default(), Sizes { chunk: 50, ..Sizes::default() }) {
            Ok((t, _)) => {
                let ours = cells(&t);
                // A row of one word below an empty one is taken for a remark below the table.
                let cut = kept.len() < rows.len() && !ours.is_empty() && kept.starts_with(&ours);
                proptest::prop_assert!(ours == kept || cut, "{:?} {:?}", ours, kept);
            }
            Err(e) => proptest::prop_assert!(kept.is_empty(), "{}", e),
        }
    }

    /// Any bytes end in a table or an error, never a panic.
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(
        proptest::prop_oneof![proptest::prelude::any::<u8>(), proptest::sample::select(b",;\"\n\r\t ab01".to_vec())], 0..200)) {
        let _ = read_in(Path::new("t"), &bytes, &ImportOptions::default(), &Progress::default(), Sizes { chunk: 16, ..Sizes::default() });
    }
}

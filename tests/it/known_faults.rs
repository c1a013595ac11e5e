//! Faults that are known to be in real data are found, with their figures.

use std::path::{Path, PathBuf};

use fp8_studio::data::{
    ImportOptions, Progress, Samples, Schema, Split, SplitConfig, SplitMethod, open,
};
use fp8_studio::error::{DataError, UserError};
use fp8_studio::quality::{Finding, Report, Severity, check};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn report(name: &str, target: &str, split: &SplitConfig) -> Report {
    let path = folder("tests/data/known").join(name);
    let dataset = open(&path, &ImportOptions::default(), &Progress::default()).unwrap();
    let schema = Schema::infer(&dataset, Some(target), &Default::default()).unwrap();
    let split = Split::make(&dataset, &schema, split).unwrap();
    check(&dataset, &schema, Some(&split), &Progress::default())
}

fn of<'a>(report: &'a Report, check: &str, column: &str) -> Option<&'a Finding> {
    let about = |f: &&Finding| column.is_empty() || f.columns.iter().any(|c| c == column);
    report.findings.iter().filter(|f| f.check == check).find(about)
}

#[test]
fn titanic_columns_filled_afterwards_are_leaks() {
    let report = report("titanic.csv.gz", "survived", &SplitConfig::default());
    for column in ["boat", "body"] {
        let leak = of(&report, "target_leakage", column).unwrap();
        assert_eq!(leak.severity, Severity::High, "{leak:?}");
    }
    // What was known before is no leak.
    for column in ["sex", "fare", "age", "pclass"] {
        assert!(of(&report, "target_leakage", column).is_none(), "{column}");
    }
}

#[test]
fn repeated_letters_are_counted() {
    let report = report("letter_recognition.csv.gz", "letter", &SplitConfig::default());
    assert_eq!(of(&report, "duplicates", "").unwrap().row_count, 1332);
    assert!(of(&report, "overlap", "").is_some());
    assert!(!report.blocks(), "{:?}", report.findings.first());
}

fn by_time(column: &str) -> SplitConfig {
    SplitConfig {
        method: SplitMethod::Time,
        column: Some(column.to_owned()),
        ..SplitConfig::default()
    }
}

#[test]
fn the_delay_on_arrival_gives_late_flights_away() {
    let report = report("nyc_flights.csv.gz", "late", &by_time("scheduled_departure"));
    let leak = of(&report, "target_leakage", "arr_delay").unwrap();
    assert!(leak.severity == Severity::High && leak.value.unwrap() > 0.95, "{leak:?}");
}

#[test]
fn the_change_of_the_weather_shows_between_earlier_and_later_rows() {
    let drift = |split: &SplitConfig| {
        let report = report("noaa_rainfall.csv.gz", "rain", split);
        ["sea_level_pressure", "dew_point"].map(|c| of(&report, "drift", c).and_then(|f| f.value))
    };
    // The latest third is that from row 12,000 on.
    let late = SplitConfig { test: 1.0 / 3.0, ..by_time("t") };
    for value in drift(&late) {
        assert!(value.unwrap() > 0.2, "{value:?}");
    }
    // Rows taken by chance from before and after are alike.
    assert_eq!(drift(&SplitConfig::default()), [None, None]);
}

#[test]
fn the_row_where_the_weather_changes_is_named() {
    let report = report("noaa_rainfall.csv.gz", "rain", &SplitConfig::default());
    let change = of(&report, "change_point", "").unwrap();
    assert_eq!(change.severity, Severity::Warning, "{change:?}");
    assert!(change.rows[0].abs_diff(12_000) <= 20, "{change:?}");
    for column in ["sea_level_pressure", "dew_point"] {
        assert!(change.columns.iter().any(|c| c == column), "{change:?}");
    }
    // Letters, which come in no order, have no such row; neither have the samples.
    for (path, target) in [
        ("tests/data/known/letter_recognition.csv.gz", "letter"),
        ("projects/penguins/penguins.csv", "species"),
        ("projects/digits/digits.csv", "digit"),
        ("projects/adult_census/adult_census.csv.gz", "income-per-year"),
    ] {
        let dataset = open(&folder(path), &ImportOptions::default(), &Progress::default()).unwrap();
        let schema = Schema::infer(&dataset, Some(target), &Default::default()).unwrap();
        let report = check(&dataset, &schema, None, &Progress::default());
        assert!(of(&report, "change_point", "").is_none(), "{path}");
    }
}

/// Every file that once was hard to read, by the ending it is opened with: read, or explained with
/// place and advice.
#[test]
fn the_corpus_of_the_fuzz_targets_is_read_or_explained() {
    let temporary = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for target in std::fs::read_dir(folder("fuzz/corpus")).unwrap() {
        let target = target.unwrap().path();
        let name = target.file_name().unwrap().to_string_lossy().into_owned();
        let source = folder("fuzz/fuzz_targets").join(format!("{name}.rs"));
        let source = std::fs::read_to_string(source).unwrap();
        // The ending stands in the target: `common::open(bytes, "csv")`.
        let ending = source.split("bytes, \"").nth(1).and_then(|s| s.split('"').next()).unwrap();
        for file in std::fs::read_dir(&target).unwrap() {
            let file = file.unwrap().path();
            let copy = temporary.path().join(format!("images.{ending}"));
            std::fs::copy(&file, &copy).unwrap();
            seen += 1;
            match open(&copy, &ImportOptions::default(), &Progress::default()) {
                Ok(d) => assert!(!d.is_empty(), "{}", file.display()),
                Err(DataError::Cancelled) => panic!("{}: cancelled", file.display()),
                Err(e) => {
                    let e = UserError::from(e);
                    let told = !e.what.is_empty() && e.place.path.is_some() && !e.advice.is_empty();
                    assert!(told, "{}: {e}", file.display());
                }
            }
        }
    }
    assert!(seen >= 40, "{seen} files");
}

/// What an office program and a new user bring along.
#[test]
fn tables_as_people_write_them_are_read() {
    let temporary = tempfile::tempdir().unwrap();
    let read = |name: &str, text: &str| {
        let path = temporary.path().join(name);
        std::fs::write(&path, text).unwrap();
        let dataset = open(&path, &ImportOptions::default(), &Progress::default()).unwrap();
        let Samples::Table(table) = dataset.samples else { panic!("{name}") };
        table
    };
    let table = read(
        "a.csv",
        "Kunde;Umsatz;Umsatz;Datum\nA;1.234,50;3,5;01.02.2024\nB;2,25;4;28.02.2024\nC;-7,5;5,5;03.03.2024\n",
    );
    let names: Vec<&str> = table.columns().iter().map(|c| c.name()).collect();
    assert_eq!(names, ["Kunde", "Umsatz", "Umsatz (2)", "Datum"]);
    assert_eq!(table.column("Umsatz").unwrap().numbers(), [1234.5, 2.25, -7.5]);
    assert_eq!(table.column("Datum").unwrap().date(0), Some(19_754.0));
    let table = read(
        "b.json",
        r#"[{"id": 1, "who": {"name": "a", "age": 5}}, {"id": 2, "who": {"name": "b", "age": 6}}]"#,
    );
    assert!(table.columns().iter().any(|c| c.name().contains("age") && c.numbers() == [5.0, 6.0]));
}

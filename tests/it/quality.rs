//! Data checks on the sample projects and on tables that are hard to look at.

use std::path::Path;
use std::sync::atomic::Ordering;

use fp8_studio::data::{
    Column, ColumnType, Dataset, ImportOptions, Progress, Samples, Schema, Split, SplitConfig,
    Table, Task, open,
};
use fp8_studio::quality::{Report, check};
use proptest::prelude::*;

/// Opens a path under projects/, splits it as by default and checks it.
fn report(path: &str, target: Option<&str>) -> Report {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("projects").join(path);
    let dataset = open(&path, &ImportOptions::default(), &Progress::default()).unwrap();
    let schema = Schema::infer(&dataset, target, &Default::default()).unwrap();
    let split = Split::make(&dataset, &schema, &SplitConfig::default()).unwrap();
    check(&dataset, &schema, Some(&split), &Progress::default())
}

fn found(report: &Report, check: &str, column: &str) -> bool {
    report.findings.iter().any(|f| f.check == check && f.columns.iter().any(|c| c == column))
}

#[test]
fn clean_samples_raise_no_serious_alarm() {
    for (path, target) in [
        ("penguins/penguins.csv", "species"),
        ("digits/digits.csv", "digit"),
        ("german_credit/german_credit.csv", "class"),
        ("adult_census/adult_census.csv.gz", "income-per-year"),
    ] {
        let report = report(path, Some(target));
        assert!(!report.blocks(), "{path}: {:#?}", report.findings.first());
        assert!(report.score >= 75 && !report.cancelled, "{path}: {}", report.summary);
        assert!(report.checks.iter().all(|c| c.skipped.is_none()), "{path}");
    }
    let images = report("fashion_mnist", None);
    assert!(!images.blocks() && images.score >= 90, "{:#?}", images.findings);
    assert_eq!(images.columns, 0);
}

#[test]
fn adult_census_shows_its_known_faults() {
    let report = report("adult_census/adult_census.csv.gz", Some("income-per-year"));
    let duplicates = report.findings.iter().find(|f| f.check == "duplicates").unwrap();
    assert_eq!((duplicates.row_count, duplicates.rows.len()), (24, 24));
    assert!(found(&report, "missing", "occupation") && found(&report, "missing", "workclass"));
    let marks = report.findings.iter().find(|f| {
        f.check == "null_spellings" && f.title.contains("\"?\" in 1,843 cells of \"occupation\"")
    });
    assert!(marks.is_some(), "{:#?}", report.findings);
    assert!(found(&report, "null_spellings", "capital-gain"));
    assert!(found(&report, "correlation", "education-num"));
}

#[test]
fn a_report_serialises_worst_first() {
    let report = report("german_credit/german_credit.csv", Some("class"));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["score"], serde_json::json!(report.score));
    assert_eq!(json["findings"].as_array().unwrap().len(), report.findings.len());
    assert!(report.findings.windows(2).all(|w| w[0].severity >= w[1].severity));
    let severity = json["findings"][0]["severity"].as_str().unwrap();
    assert!(["info", "warning", "high"].contains(&severity));
}

fn dataset(columns: &[(&str, ColumnType, Vec<String>)]) -> (Dataset, Vec<(String, ColumnType)>) {
    let built = columns.iter().map(|(name, kind, cells)| {
        let mut column = Column::new(*name);
        column.kind = *kind;
        cells.iter().for_each(|c| column.push(c));
        column
    });
    let rows = columns.first().map_or(0, |c| c.2.len()) as u64;
    let table = Table::new(built.collect(), (2..rows + 2).collect());
    let kinds = columns.iter().map(|(n, k, _)| ((*n).to_owned(), *k)).collect();
    (Dataset { name: "t".into(), samples: Samples::Table(table), notes: Vec::new() }, kinds)
}

#[test]
fn leaks_and_an_empty_target_block_training() {
    let n = 300;
    let cells = |f: &dyn Fn(usize) -> String| (0..n).map(f).collect::<Vec<_>>();
    let (data, columns) = dataset(&[
        ("hint", ColumnType::Number, cells(&|i| (i % 3 * 10 + i % 7).to_string())),
        ("size", ColumnType::Number, cells(&|i| (i * 7919 % 1009).to_string())),
        ("kind", ColumnType::Category, cells(&|i| ["a", "b", "c"][i % 3].to_owned())),
        ("empty", ColumnType::Category, cells(&|_| String::new())),
    ]);
    let classes = ["a", "b", "c"].map(str::to_owned).to_vec();
    let schema = Schema { columns, target: "kind".into(), task: Task::Multiclass { classes } };
    let leaking = check(&data, &schema, None, &Progress::default());
    assert!(leaking.blocks() && found(&leaking, "target_leakage", "hint"));
    assert!(!found(&leaking, "target_leakage", "size"));
    assert!(leaking.score <= 60, "{}", leaking.score);
    let skipped = leaking.checks.iter().find(|c| c.name == "overlap").unwrap();
    assert!(skipped.skipped.is_some() && skipped.worst.is_none());
    let empty =
        check(&data, &Schema { target: "empty".into(), ..schema }, None, &Progress::default());
    assert!(found(&empty, "missing", "empty") && empty.blocks());
}

#[test]
fn a_cancelled_check_says_so() {
    let (data, columns) = dataset(&[
        ("x", ColumnType::Number, vec!["1".into(); 5]),
        ("y", ColumnType::Number, vec!["2".into(); 5]),
    ]);
    let schema = Schema { columns, target: "y".into(), task: Task::Regression };
    let progress = Progress::default();
    progress.cancel.store(true, Ordering::Relaxed);
    let report = check(&data, &schema, None, &progress);
    assert!(report.cancelled && report.findings.is_empty());
    assert!(report.checks.iter().all(|c| c.skipped.is_some()));
}

#[test]
fn progress_ends_complete() {
    let (data, columns) = dataset(&[
        ("x", ColumnType::Number, (0..40).map(|i| i.to_string()).collect()),
        ("y", ColumnType::Number, (0..40).map(|i| (i % 9).to_string()).collect()),
    ]);
    let schema = Schema { columns, target: "y".into(), task: Task::Regression };
    let progress = Progress::default();
    check(&data, &schema, None, &progress);
    assert_eq!(progress.done.load(Ordering::Relaxed), progress.total.load(Ordering::Relaxed));
}

fn kind() -> impl Strategy<Value = ColumnType> {
    use ColumnType::{Boolean, Category, Date, Ignore, Number, Text};
    prop::sample::select(vec![Number, Category, Boolean, Date, Text, Ignore])
}

fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("?".to_owned()),
        (-3i32..3).prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| n.to_string()),
        prop::sample::select(vec![
            "yes",
            "No",
            "no ",
            "2024-02-30",
            "1.2.2024",
            "-999",
            "a@b.org",
            "é"
        ])
        .prop_map(str::to_owned),
        ".{0,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any cells under any types, target and task give a report.
    #[test]
    fn every_table_gives_a_report(
        rows in 0usize..70,
        kinds in prop::collection::vec(kind(), 1..6),
        cells in prop::collection::vec(cell(), 420),
        regression in any::<bool>(),
        target in 0usize..7,
        test_from in 0usize..70,
    ) {
        let names = ["id", "a", "b", "name", "c", "d"];
        let columns: Vec<_> = kinds
            .iter()
            .enumerate()
            .map(|(c, kind)| (names[c], *kind, (0..rows).map(|r| cells[r * 6 + c].clone()).collect()))
            .collect();
        let (data, columns) = dataset(&columns);
        let task = if regression { Task::Regression } else { Task::Multiclass { classes: Vec::new() } };
        let target = names.get(target).copied().unwrap_or("none").to_owned();
        let schema = Schema { columns, target, task };
        let at = test_from.min(rows) as u32;
        let split = Split { train: (0..at).collect(), test: (at..rows as u32).collect(), ..Split::default() };
        let report = check(&data, &schema, Some(&split), &Progress::default());
        for finding in &report.findings {
            prop_assert!(finding.rows.iter().all(|r| *r < rows), "{finding:?}");
            prop_assert!(finding.rows.len() <= finding.row_count);
        }
        serde_json::to_string(&report).unwrap();
    }
}

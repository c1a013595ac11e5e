//! Data checks on the sample projects and on tables that are hard to look at.

use std::path::Path;
use std::sync::atomic::Ordering;

use fp8_studio::app::checking;
use fp8_studio::data::{
    Column, ColumnType, Dataset, ImportOptions, Progress, Samples, Schema, Split, SplitConfig,
    Table, Task, open,
};
use fp8_studio::data::{Step, steps};
use fp8_studio::project::Project;
use fp8_studio::quality::{CheckStatus, Report, check, fixes};
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
        let skipped =
            |c: &&CheckStatus| c.skipped.as_ref().is_some_and(|w| !w.contains("predictions"));
        assert_eq!(report.checks.iter().filter(skipped).count(), 0, "{path}");
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

fn deep(path: &str, target: &str, change: impl Fn(&Dataset) -> Vec<Step>) -> (Report, Vec<Step>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("projects").join(path);
    let mut project = Project::from_data(&path).unwrap();
    project.target = Some(target.to_owned());
    let read = project.open_data(&Progress::default()).unwrap();
    project.steps = change(&read);
    let dataset = project.open_data(&Progress::default()).unwrap();
    let schema = project.schema(&dataset).unwrap();
    let progress = Progress::default();
    (checking::check(&dataset, &schema, &project, true, &progress).unwrap(), project.steps)
}

#[test]
fn planted_label_flips_in_digits_are_found() {
    let plant = |d: &Dataset| {
        let Samples::Table(t) = &d.samples else { panic!() };
        let column = t.column("digit").unwrap();
        // Every twentieth row in a shuffled order gets another digit.
        let mut state = 7u64;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize
        };
        let mut order: Vec<usize> = (0..t.rows()).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, next() % (i + 1));
        }
        let flip = |row: &usize, by: usize| {
            let digit = column.raw(*row).parse::<usize>().unwrap();
            (*row as u32, ((digit + by) % 10).to_string())
        };
        let labels = order.iter().take(t.rows() / 20).map(|r| flip(r, 1 + next() % 9)).collect();
        vec![Step::Relabel { column: "digit".to_owned(), labels }]
    };
    let (report, steps) = deep("digits/digits.csv", "digit", plant);
    let [Step::Relabel { labels, .. }] = &steps[..] else { panic!() };
    let planted: std::collections::HashSet<usize> = labels.iter().map(|l| l.0 as usize).collect();
    let found = &report.findings.iter().find(|f| f.check == "label_issues").unwrap().rows;
    let hits = found.iter().filter(|r| planted.contains(r)).count() as f64;
    let (precision, recall) = (hits / found.len() as f64, hits / planted.len() as f64);
    println!(
        "{} planted, {} found: precision {precision:.3}, recall {recall:.3}",
        planted.len(),
        found.len()
    );
    assert!(precision >= 0.8 && recall >= 0.8, "precision {precision:.3}, recall {recall:.3}");
    assert!(report.findings.iter().all(|f| f.check != "label_flips"), "flips of all kinds");
}

#[test]
fn clean_samples_stay_without_serious_alarm_when_models_look_at_them() {
    for (path, target) in [("penguins/penguins.csv", "species"), ("digits/digits.csv", "digit")] {
        let (report, _) = deep(path, target, |_| Vec::new());
        assert!(!report.blocks(), "{path}: {:#?}", report.findings.first());
        assert!(report.checks.iter().all(|c| c.skipped.is_none()), "{path}: {:#?}", report.checks);
        let wrong = report.findings.iter().find(|f| f.check == "label_issues");
        assert!(wrong.is_none_or(|f| f.value.unwrap() < 0.03), "{path}: {wrong:#?}");
    }
}

/// A fix takes its finding away.
#[test]
fn fixes_take_their_findings_away() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("projects/adult_census/adult_census.csv.gz");
    let mut project = Project::from_data(&path).unwrap();
    project.target = Some("income-per-year".to_owned());
    let look = |project: &Project| {
        let dataset = project.open_data(&Progress::default()).unwrap();
        let schema = project.schema(&dataset).unwrap();
        let report =
            checking::check(&dataset, &schema, project, false, &Progress::default()).unwrap();
        (dataset, schema, report)
    };
    let (dataset, schema, report) = look(&project);
    let of = |check: &str| report.findings.iter().find(|f| f.check == check).unwrap();
    let first = |check: &str| fixes::of(of(check), &dataset, &schema)[0].steps.clone();
    let (_, effects) = steps::apply(&dataset, &first("duplicates")).unwrap();
    assert_eq!(effects[0].rows, 24);
    project.steps = [first("duplicates"), first("missing")].concat();
    let (fixed, _, after) = look(&project);
    assert_eq!(fixed.len() + 24, dataset.len());
    assert!(after.findings.iter().all(|f| f.check != "duplicates"));
    let column = &of("missing").columns[0];
    assert!(!found(&after, "missing", column), "{:#?}", after.findings);
}

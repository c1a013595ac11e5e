//! Replays `tests/golden/quality.json`: figures that deepchecks, cleanlab, ppscore, Evidently, SciPy
//! and scikit-learn gave (`tests/golden/quality.py` records them).

use std::path::Path;

use serde_json::Value;

use super::boost::{Binned, Boosted};
use super::checks::{Comparison, compare_columns};
use super::context::TableContext;
use super::knn::{Graph, K, Points};
use super::pps::{self, Feature, Orders, Target};
use super::stats::association::{Contingency, correlation_ratio, drift_cramers_v, pearson};
use super::stats::{self, binned, distance, special};
use crate::data::table::NO_CODE;
use crate::data::{ColumnType, Dataset, ImportOptions, Progress, Samples, Schema, Split, Table};

fn golden() -> Value {
    serde_json::from_str(include_str!("../../tests/golden/quality.json")).unwrap()
}

fn numbers(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

/// Whether `got` is within `tolerance` of the recorded figure, relative for figures above 1.
fn agrees(name: &str, got: f64, want: &Value, tolerance: f64) -> Result<(), String> {
    let want = want.as_f64().ok_or_else(|| format!("{name}: no recorded figure"))?;
    let gap = (got - want).abs() / want.abs().max(1.0);
    if gap <= tolerance { Ok(()) } else { Err(format!("{name}: {got} is not {want}")) }
}

/// Panics with every figure that does not agree.
fn all_agree(results: impl IntoIterator<Item = Result<(), String>>) {
    let wrong: Vec<String> = results.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_comparison_notices_a_wrong_figure() {
    let want = Value::from(0.25);
    assert!(agrees("x", 0.25 + 1e-9, &want, 1e-8).is_ok());
    assert!(agrees("x", 0.25 + 1e-7, &want, 1e-8).is_err());
    assert!(agrees("x", f64::NAN, &want, 1e-8).is_err());
    assert!(agrees("x", 0.25, &Value::Null, 1e-8).is_err());
    let mut planted = golden();
    planted["distances"][0]["ks_p"] = Value::from(0.000_929);
    let (a, b) = samples(&planted["distances"][0]);
    let p = distance::ks_p(distance::ks(&a, &b), a.len(), b.len());
    assert!(agrees("ks_p", p, &planted["distances"][0]["ks_p"], 1e-9).is_err());
}

fn samples(case: &Value) -> (Vec<f64>, Vec<f64>) {
    (stats::sorted(numbers(&case["a"])), stats::sorted(numbers(&case["b"])))
}

#[test]
fn distances_of_samples() {
    let golden = golden();
    for case in golden["distances"].as_array().unwrap() {
        let (a, b) = samples(case);
        let ks = distance::ks(&a, &b);
        let mut results = vec![
            agrees("ks", ks, &case["ks"], 1e-12),
            agrees("ks_deepchecks", ks, &case["ks_deepchecks"], 1e-12),
            agrees("ks_p", distance::ks_p(ks, a.len(), b.len()), &case["ks_p"], 1e-12),
            agrees("wasserstein", distance::wasserstein(&a, &b), &case["wasserstein"], 1e-12),
            agrees(
                "wasserstein_norm",
                distance::wasserstein_norm(&a, &b),
                &case["wasserstein_norm"],
                1e-12,
            ),
        ];
        for (q, want) in
            [0.0, 0.1, 0.25, 0.5, 0.83, 1.0].iter().zip(case["quantiles"].as_array().unwrap())
        {
            results.push(agrees("quantile", stats::quantile(&a, *q), want, 1e-12));
        }
        if let Some(want) = case.get("psi_evidently") {
            let (r, c) = binned::sturges_counts(&a, &b);
            results.push(agrees("psi_evidently", binned::psi_evidently(&r, &c), want, 1e-9));
            let want = &case["jensen_shannon_evidently"];
            results.push(agrees(
                "jensen_shannon_evidently",
                binned::jensen_shannon(&r, &c),
                want,
                1e-9,
            ));
        }
        all_agree(results);
    }
}

#[test]
fn distances_of_counts() {
    let golden = golden();
    for case in golden["counts"].as_array().unwrap() {
        let (r, c) = (numbers(&case["reference"]), numbers(&case["current"]));
        let table = Contingency::new(&[r.clone(), c.clone()]);
        let chi2 = table.chi2();
        let mut results = vec![
            agrees("chi2", chi2.statistic, &case["chi2"], 1e-12),
            agrees("chi2_p", chi2.p, &case["chi2_p"], 1e-12),
            agrees("cramers_v", table.cramers_v(false), &case["cramers_v"], 1e-12),
            agrees(
                "drift_cramers_v",
                drift_cramers_v(&r, &c, 0.01),
                &case["drift_cramers_v"],
                1e-12,
            ),
            agrees("psi", binned::psi(&r, &c), &case["psi"], 1e-12),
            agrees("psi_evidently", binned::psi_evidently(&r, &c), &case["psi_evidently"], 1e-12),
            agrees(
                "jensen_shannon",
                binned::jensen_shannon(&r, &c),
                &case["jensen_shannon"],
                1e-12,
            ),
        ];
        if let Some(want) = case.get("fit") {
            let (fit, p) = binned::chi2_fit(&c, &r);
            results.push(agrees("fit", fit, want, 1e-12));
            results.push(agrees("fit_p", p, &case["fit_p"], 1e-12));
        }
        all_agree(results);
    }
}

#[test]
fn associations_and_special_functions() {
    let golden = golden();
    let case = &golden["associations"];
    let (x, y) = (numbers(&case["x"]), numbers(&case["y"]));
    let group: Vec<u32> = numbers(&case["group"]).iter().map(|g| *g as u32).collect();
    let positive: Vec<bool> =
        case["positive"].as_array().unwrap().iter().map(|p| p.as_bool().unwrap()).collect();
    let rounded: Vec<f64> = x.iter().map(|v| (v * 10.0).round_ties_even() / 10.0).collect();
    let mut results = vec![
        agrees("pearson", pearson(&x, &y), &case["pearson"], 1e-12),
        agrees(
            "correlation_ratio",
            correlation_ratio(&group, 4, &numbers(&case["shifted"])),
            &case["correlation_ratio"],
            1e-12,
        ),
        agrees("auc", stats::auc(&rounded, &positive), &case["auc"], 1e-12),
    ];
    let sample = numbers(&case["kde_sample"]);
    for (low, want) in case["kde_above"].as_object().unwrap() {
        results.push(agrees(
            "kde_above",
            stats::kde_above(&sample, low.parse().unwrap()),
            want,
            1e-12,
        ));
    }
    for row in golden["special"]["chi2_sf"].as_array().unwrap() {
        let v = numbers(row);
        results.push(agrees("chi2_sf", special::chi2_sf(v[0], v[1]), &row[2], 1e-12));
    }
    for (name, f) in
        [("kolmogorov_sf", special::kolmogorov_sf as fn(f64) -> f64), ("erfc", special::erfc)]
    {
        for row in golden["special"][name].as_array().unwrap() {
            results.push(agrees(name, f(numbers(row)[0]), &row[1], 1e-12));
        }
    }
    all_agree(results);
}

fn project(name: &str) -> Dataset {
    let file = match name {
        "adult_census" => "adult_census.csv.gz".to_owned(),
        name => format!("{name}.csv"),
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("projects").join(name).join(file);
    crate::data::open(&path, &ImportOptions::default(), &Progress::default()).unwrap()
}

fn table(dataset: &Dataset) -> &Table {
    match &dataset.samples {
        Samples::Table(t) => t,
        Samples::Images(_) => panic!("not a table"),
    }
}

/// Codes in the sorted order of their values, numbers as numbers.
fn sorted_codes(table: &Table, column: &str) -> (Vec<u32>, usize) {
    let (codes, values) = table.column(column).unwrap().codes();
    let mut order: Vec<usize> = (0..values.len()).collect();
    let key = |v: usize| (values[v].parse().unwrap_or(0.0), values[v]);
    order.sort_by(|&a, &b| key(a).partial_cmp(&key(b)).unwrap());
    let rank: Vec<u32> =
        (0..values.len()).map(|v| order.iter().position(|o| *o == v).unwrap() as u32).collect();
    let code = |c: u32| if c == NO_CODE { c } else { rank[c as usize] };
    (codes.into_iter().map(code).collect(), values.len())
}

/// Numeric columns agree to rounding. Of categories the tool breaks ties between equally good
/// splits by chance, which reaches a category that a fold lacks: those agree within 0.01.
#[test]
fn predictive_power_scores() {
    let golden = golden();
    for case in golden["predictive_power"].as_array().unwrap() {
        let name = case["project"].as_str().unwrap();
        let dataset = project(name);
        let table = table(&dataset);
        let words: Vec<&str> =
            case["text"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
        let label = case["target"].as_str().unwrap();
        let classify = case["classify"].as_bool().unwrap();
        let (codes, classes) = sorted_codes(table, label);
        let values = table.column(label).unwrap().numbers();
        let target = if classify {
            Target::Classes { codes: &codes, classes }
        } else {
            Target::Numbers(&values)
        };
        let orders = Orders::default();
        let scores = case["scores"].as_object().unwrap();
        assert_eq!(scores.len(), table.columns().len() - 1, "{name}");
        all_agree(scores.iter().map(|(column, want)| {
            let what = format!("{name}: {column} → {label}");
            let score = |f: Feature| pps::score(f, target, table.rows(), &orders);
            if words.contains(&column.as_str()) {
                let (codes, values) = sorted_codes(table, column);
                agrees(&what, score(Feature::Codes { codes: &codes, values }), want, 0.01)
            } else {
                let numbers = table.column(column).unwrap().numbers();
                agrees(&what, score(Feature::Numbers(&numbers)), want, 1e-9)
            }
        }));
    }
}

#[test]
fn outliers_near_duplicates_and_order() {
    let golden = golden();
    for case in golden["neighbours"].as_array().unwrap() {
        let features: Vec<Vec<f64>> =
            case["features"].as_array().unwrap().iter().map(numbers).collect();
        let points = Points {
            rows: features.len(),
            width: features[0].len(),
            numbers: features.iter().flatten().map(|v| *v as f32).collect(),
            ..Points::default()
        };
        let graph = Graph::new(&points, K).unwrap();
        let limit = graph.outlier_limit();
        let mean = graph.mean_distances();
        let outliers: Vec<f64> =
            (0..mean.len()).filter(|&i| mean[i] > limit).map(|i| i as f64).collect();
        assert_eq!(outliers, numbers(&case["outliers"]));
        let nearest = graph.nearest();
        let median = stats::quantile(&stats::sorted(nearest.iter().map(|n| n.0)), 0.5);
        let near: Vec<f64> = (0..nearest.len())
            .filter(|&i| nearest[i].0 < 0.13 * median)
            .map(|i| i as f64)
            .collect();
        assert_eq!(near, numbers(&case["near_duplicates"]));
        all_agree([
            agrees("outlier_limit", limit, &case["outlier_limit"], 1e-6),
            agrees("order_p", graph.order_test().1, &case["order_p"], 1e-6),
        ]);
    }
}

#[test]
fn the_domain_classifier() {
    let golden = golden();
    let dataset = project("adult_census");
    let table = table(&dataset);
    let (sex, age) = (table.column("sex").unwrap(), table.column("age").unwrap());
    let is_test: Vec<bool> = (0..table.rows())
        .map(|r| {
            let share = if sex.value(r) == Some("Male") { 70 } else { 35 };
            let older = age.number(r).unwrap() > 45.0;
            r * 7919 % 100 < share + if older { 10 } else { 0 }
        })
        .collect();
    let columns: Vec<Binned> = table
        .columns()
        .iter()
        .filter(|c| c.name() != "income-per-year")
        .map(|c| match c.kind {
            ColumnType::Number => Binned::numbers(&c.numbers()),
            _ => Binned::codes(&c.codes().0),
        })
        .collect();
    let even: Vec<u32> = (0..table.rows() as u32).filter(|r| r % 2 == 0).collect();
    let model = Boosted::fit(&columns, &is_test, &even);
    let odd: Vec<usize> = (0..table.rows()).filter(|r| r % 2 == 1).collect();
    let scores: Vec<f64> = odd.iter().map(|&r| model.score(&columns, r)).collect();
    let truth: Vec<bool> = odd.iter().map(|&r| is_test[r]).collect();
    let auc = stats::auc(&scores, &truth);
    // Bins and the order of sums differ; the trees are the same.
    all_agree([agrees("auc", auc, &golden["domain_classifier"]["auc"], 0.002)]);
}

#[test]
fn drift_per_column_and_overlap() {
    let golden = golden();
    let dataset = project("adult_census");
    let table = table(&dataset);
    let schema = Schema::infer(&dataset, Some("income-per-year"), &Default::default()).unwrap();
    let above = golden["tables"]["adult_test_ages_above"].as_f64().unwrap();
    let age = table.column("age").unwrap();
    let older: Vec<u32> =
        (0..table.rows() as u32).filter(|&r| age.number(r as usize) > Some(above)).collect();
    let train: Vec<u32> = (0..20_000).collect();
    let test = &older[older.len() - 9000..];
    let context =
        TableContext::new(table, &schema, None, Box::leak(Box::default()), &Progress::default());
    all_agree(context.features().map(|c| {
        let Comparison { value, .. } = compare_columns(c, &train, test).unwrap();
        agrees(c.name, value, &golden["tables"]["adult_drift"][c.name][0], 1e-9)
    }));
    let split = Split { train, test: (20_000..table.rows() as u32).collect(), ..Split::default() };
    let report = super::check(&dataset, &schema, Some(&split), &Progress::default());
    let overlap = report.findings.iter().find(|f| f.check == "overlap").unwrap();
    all_agree([agrees("mix", overlap.value.unwrap(), &golden["tables"]["adult_mix"], 1e-12)]);
}

#[test]
fn whole_tables() {
    let golden = golden();
    let want = &golden["tables"];
    let report = |name: &str, target: &str| {
        let dataset = project(name);
        let schema = Schema::infer(&dataset, Some(target), &Default::default()).unwrap();
        super::check(&dataset, &schema, None, &Progress::default())
    };
    let rows = |r: &super::Report, check: &str| -> u64 {
        r.findings.iter().filter(|f| f.check == check).map(|f| f.row_count as u64).sum()
    };
    let adult = report("adult_census", "income-per-year");
    assert_eq!(Some(rows(&adult, "duplicates")), want["adult_duplicates"].as_u64());
    assert_eq!(Some(rows(&adult, "conflicting_labels")), want["adult_conflicts"].as_u64());
    for (column, cells) in want["adult_missing"].as_object().unwrap() {
        let found = adult
            .findings
            .iter()
            .find(|f| f.check == "missing" && f.columns == [column.as_str()])
            .unwrap();
        assert_eq!(Some(found.row_count as u64), cells.as_u64(), "{column}");
    }
    let german = report("german_credit", "class");
    assert_eq!(Some(rows(&german, "duplicates")), want["german_duplicates"].as_u64());
    let penguins = report("penguins", "species");
    let missing = penguins.findings.iter().find(|f| f.check == "missing").unwrap();
    let cells: u64 =
        want["penguins_missing"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert!(missing.title.contains(&format!("({cells} cells)")), "{}", missing.title);
}

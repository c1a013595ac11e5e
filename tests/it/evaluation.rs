//! The figures of `eval` against scikit-learn, Fairlearn, torchmetrics and SciPy
//! (`tests/golden/evaluation.py` records theirs).

use std::collections::BTreeMap;
use std::path::Path;

use fp8_studio::data::preprocess::Movable;
use fp8_studio::data::{Encoded, Progress, TargetData};
use fp8_studio::deploy::Model;
use fp8_studio::engine::cpu::CpuEngine;
use fp8_studio::engine::{Batch, Engine};
use fp8_studio::eval::attack::{Attacker, Method};
use fp8_studio::eval::baselines::ridge;
use fp8_studio::eval::bootstrap::adjust;
use fp8_studio::eval::calibration::{Isotonic, reliability, temperature};
use fp8_studio::eval::curves::thresholds;
use fp8_studio::eval::evaluation::measure;
use fp8_studio::eval::fairness::{called, compare};
use fp8_studio::eval::groups::Grouping;
use fp8_studio::eval::{
    ClassOutcomes, Confusion, Measured, Options, Outcomes, ValueOutcomes, examine, verdict,
};
use fp8_studio::fp8::Precision;
use fp8_studio::metrics::MetricKind;
use fp8_studio::model::init::Param;
use fp8_studio::model::{Activation, Head, InputSpec, ModelSpec};
use fp8_studio::plan::{Optimizer, PlanConfig, UpdateOptions, compile};
use fp8_studio::project::Project;
use fp8_studio::train::{Fair, Job, RunFolder, TrainConfig};
use serde_json::Value;

const TOLERANCE: f64 = 1e-6;

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/evaluation.json")).unwrap()
}

fn numbers(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap_or(f64::INFINITY)).collect()
}

fn indices(v: &Value) -> Vec<u32> {
    v.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as u32).collect()
}

/// Panics where two figures differ by more than the tolerance.
#[track_caller]
fn same(name: &str, ours: f64, theirs: f64) {
    assert!(differ(ours, theirs).is_none(), "{name}: {ours} is not {theirs}");
}

fn differ(ours: f64, theirs: f64) -> Option<f64> {
    let gap = (ours - theirs).abs();
    let close = gap <= TOLERANCE * theirs.abs().max(1.0) || ours == theirs;
    (!close).then_some(gap)
}

fn names(classes: usize) -> Vec<String> {
    (0..classes).map(|c| c.to_string()).collect()
}

fn outcomes(case: &Value) -> ClassOutcomes {
    let classes = case["classes"].as_u64().unwrap() as usize;
    let (truth, p) = (indices(&case["truth"]), numbers(&case["probabilities"]));
    ClassOutcomes::from_probabilities(&names(classes), truth, p)
}

fn measured(outcomes: Outcomes) -> Vec<Measured> {
    let options = Options { replicates: 100, ..Options::default() };
    measure(&outcomes, true, options, &Progress::default()).unwrap()
}

fn value(all: &[Measured], kind: MetricKind, class: Option<usize>) -> f64 {
    let class = class.map(|c| c.to_string());
    all.iter().find(|m| m.kind == kind && m.class == class).map_or(f64::NAN, |m| m.value)
}

const KINDS: [(&str, MetricKind); 15] = [
    ("accuracy", MetricKind::Accuracy),
    ("balanced_accuracy", MetricKind::BalancedAccuracy),
    ("auc", MetricKind::Auc),
    ("average_precision", MetricKind::AveragePrecision),
    ("log_loss", MetricKind::LogLoss),
    ("mcc", MetricKind::Mcc),
    ("precision", MetricKind::Precision),
    ("recall", MetricKind::Recall),
    ("f1", MetricKind::F1),
    ("weighted_precision", MetricKind::WeightedPrecision),
    ("weighted_recall", MetricKind::WeightedRecall),
    ("weighted_f1", MetricKind::WeightedF1),
    ("brier", MetricKind::Brier),
    ("ece", MetricKind::Ece),
    ("mce", MetricKind::Mce),
];

#[test]
fn classification_agrees_with_scikit_learn_and_torchmetrics() {
    let golden = golden();
    let cases = golden["classification"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for (i, case) in cases.iter().enumerate() {
        let outcomes = outcomes(case);
        let all = measured(Outcomes::Classes(outcomes.clone()));
        let mut compared = 0;
        for (name, kind) in KINDS {
            // torchmetrics puts a confidence on an edge into another bin; such cases have none.
            let Some(theirs) = case[name].as_f64() else { continue };
            same(&format!("case {i}, {name}"), value(&all, kind, None), theirs);
            compared += 1;
        }
        assert!(compared >= 13, "case {i}: {compared}");
        if let Some(top3) = case["top3"].as_f64()
            && case["ece"].is_number()
        {
            same("top 3", value(&all, MetricKind::Top3, None), top3);
        }
        for (class, row) in case["per_class"].as_array().unwrap().iter().enumerate() {
            let kinds = [MetricKind::Precision, MetricKind::Recall, MetricKind::F1];
            for (kind, theirs) in kinds.into_iter().zip(numbers(row)) {
                same(
                    &format!("case {i}, class {class}, {kind:?}"),
                    value(&all, kind, Some(class)),
                    theirs,
                );
            }
        }
        for (name, kind) in [
            ("auc_per_class", MetricKind::Auc),
            ("average_precision_per_class", MetricKind::AveragePrecision),
        ] {
            let Some(list) = case[name].as_array() else { continue };
            for (class, theirs) in list.iter().enumerate() {
                same(name, value(&all, kind, Some(class)), theirs.as_f64().unwrap());
            }
        }
        let confusion = Confusion::new(&outcomes.classes, &outcomes.truth, &outcomes.predicted);
        let counts: Vec<u32> = confusion.counts.iter().map(|c| *c as u32).collect();
        assert_eq!(counts, indices(&case["confusion"]));
        let bins = reliability(&outcomes.confidence(), &outcomes.hits());
        same("ECE of the bins", bins.ece, value(&all, MetricKind::Ece, None));
        same("MCE of the bins", bins.mce, value(&all, MetricKind::Mce, None));
        for m in &all {
            let i = m.interval;
            assert!(i.low <= i.high, "{m:?}");
        }
    }
}

#[test]
fn curves_agree_with_scikit_learn() {
    let golden = golden();
    for case in golden["classification"].as_array().unwrap().iter().take(2) {
        let outcomes = outcomes(case);
        let positive: Vec<bool> = outcomes.truth.iter().map(|t| *t == 1).collect();
        let curve = thresholds(&positive, &outcomes.column(1).collect::<Vec<_>>());
        let (fpr, tpr) = (numbers(&case["roc"]["fpr"]), numbers(&case["roc"]["tpr"]));
        assert_eq!(curve.len(), fpr.len());
        for ((point, x), y) in curve.iter().zip(fpr).zip(tpr) {
            same("false positive rate", point.false_alarms(), x);
            same("true positive rate", point.recall(), y);
        }
        for (point, cut) in curve.iter().skip(1).zip(numbers(&case["roc"]["thresholds"])) {
            same("threshold", point.threshold, cut);
        }
    }
}

#[test]
fn regression_agrees_with_scikit_learn() {
    let case = &golden()["regression"];
    let (truth, predicted) = (numbers(&case["truth"]), numbers(&case["predicted"]));
    let all = measured(Outcomes::Values(ValueOutcomes { truth: truth.clone(), predicted }));
    for (name, kind) in
        [("mae", MetricKind::Mae), ("rmse", MetricKind::Rmse), ("r2", MetricKind::R2)]
    {
        same(name, value(&all, kind, None), case[name].as_f64().unwrap());
    }
    let x: Vec<f32> = numbers(&case["x"]).iter().map(|v| *v as f32).collect();
    let y: Vec<f32> = truth.iter().map(|v| *v as f32).collect();
    for (ours, theirs) in ridge(&x, 5, &y, 1.0).into_iter().zip(numbers(&case["ridge"])) {
        same("ridge", ours, theirs);
    }
}

#[test]
fn fairness_agrees_with_fairlearn() {
    let case = &golden()["fairness"];
    let groups: Vec<&str> =
        case["group"].as_array().unwrap().iter().map(|g| g.as_str().unwrap()).collect();
    let of = groups.iter().map(|g| u32::from(g.as_bytes()[0] - b'a')).collect();
    let grouping =
        Grouping { column: "g".to_owned(), names: ["a", "b", "c"].map(String::from).into(), of };
    // Two probabilities that are exactly ½ are called the second class by both.
    let p = numbers(&case["score"]).iter().flat_map(|s| [1.0 - s, *s]).collect();
    let outcomes = ClassOutcomes::from_probabilities(&names(2), indices(&case["truth"]), p);
    let found = compare(&outcomes, &called(&outcomes, 1), 1, &grouping, 3);
    for g in &found.groups {
        let theirs: BTreeMap<String, f64> =
            serde_json::from_value(case["groups"][&g.group].clone()).unwrap();
        for (name, ours) in [
            ("selection_rate", g.selection_rate),
            ("tpr", g.true_positive_rate),
            ("fpr", g.false_positive_rate),
            ("precision", g.precision),
            ("accuracy", g.accuracy),
        ] {
            let ours = ours.unwrap();
            same(&format!("{name} of {}", g.group), ours.value, theirs[name]);
            assert!(ours.interval.contains(ours.value), "{name}: {ours:?}");
        }
    }
    for (name, ours) in [
        ("demographic_parity_difference", found.demographic_parity_difference),
        ("demographic_parity_ratio", found.demographic_parity_ratio),
        ("equalised_odds_difference", found.equalised_odds_difference),
        ("equal_opportunity_difference", found.equal_opportunity_difference),
        ("predictive_parity_difference", found.predictive_parity_difference),
        ("accuracy_difference", found.accuracy_difference),
    ] {
        same(name, ours.unwrap().value, case[name].as_f64().unwrap());
    }
}

#[test]
fn calibration_agrees_with_scipy_and_scikit_learn() {
    let case = &golden()["calibration"];
    let logits: Vec<f32> = numbers(&case["logits"]).iter().map(|v| *v as f32).collect();
    let ours = temperature(&logits, &indices(&case["truth"]), 3);
    same("temperature", ours, case["temperature"].as_f64().unwrap());
    let hits: Vec<bool> = indices(&case["hit"]).iter().map(|h| *h == 1).collect();
    let f = Isotonic::fit(&numbers(&case["score"]), &hits);
    for (at, theirs) in numbers(&case["at"]).into_iter().zip(numbers(&case["isotonic"])) {
        same(&format!("isotonic at {at}"), f.apply(at), theirs);
    }
    let case = &golden()["adjusted"];
    for (ours, theirs) in adjust(&numbers(&case["p"])).into_iter().zip(numbers(&case["adjusted"])) {
        same("adjusted p-value", ours, theirs);
    }
}

#[test]
fn a_wrong_figure_is_noticed() {
    assert!(differ(0.812_345, 0.812_347).is_some());
    assert!(differ(f64::NAN, 0.5).is_some());
    assert!(differ(0.812_345_1, 0.812_345_2).is_none());
    // One flipped answer moves the figures by more than the tolerance.
    let golden = golden();
    let case = &golden["classification"][0];
    let mut changed = outcomes(case);
    changed.truth[0] = 1 - changed.truth[0];
    let all = measured(Outcomes::Classes(changed));
    for (name, kind) in KINDS {
        let theirs = case[name].as_f64().unwrap();
        if name != "mce" {
            assert!(differ(value(&all, kind, None), theirs).is_some(), "{name} does not see it");
        }
    }
}

/// Trains a sample project in a folder of its own and evaluates the run on its test rows.
fn sample(name: &str, folder: &std::path::Path) -> (fp8_studio::eval::Evaluation, RunFolder) {
    let project =
        Project::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("projects").join(name)).unwrap();
    let dataset = project.open_data(&Progress::default()).unwrap();
    let schema = project.schema(&dataset).unwrap();
    let config = project.train.clone();
    let job = Job {
        split: project.split,
        prep: project.prep.clone(),
        ..super::support::job((dataset, schema), config, folder)
    };
    let dataset = std::sync::Arc::clone(&job.dataset);
    super::support::summary(&super::support::rest(&super::support::begin(job)));
    let run = RunFolder::open(folder).unwrap();
    let model = Model::of_run(&run).unwrap();
    let options = Options { own_data: true, replicates: 200, seed: 0 };
    (examine(&model, &dataset, options, &Progress::default()).unwrap(), run)
}

#[test]
fn adult_census_by_sex() {
    let dir = tempfile::tempdir().unwrap();
    let (found, run) = sample("adult_census", &dir.path().join("run"));
    assert_eq!((found.part, found.rows), (fp8_studio::eval::Part::Test, 6512));
    let summary = run.record.summary.as_ref().unwrap();
    let main = found.headline().unwrap();
    // The exported weights give the very answers that the run was tested with.
    same("accuracy", main.value, summary.test.get(MetricKind::Accuracy).unwrap());
    let half = 1.96 * (main.value * (1.0 - main.value) / 6512.0).sqrt();
    assert!((main.interval.high - main.value - half).abs() < 0.25 * half, "{main:?}");
    let (_, best) = found.best_baseline().unwrap();
    assert!(best.value > 0.84 && best.value < main.value, "{best:?}");

    // The rates that the data have: 10.9 % of women, 30.6 % of men.
    let sex = found.fairness.iter().find(|f| f.column == "sex").unwrap();
    let group = |name: &str| sex.groups.iter().find(|g| g.group == name).unwrap();
    for (name, rate) in [("Female", 0.109), ("Male", 0.306)] {
        let base = group(name).base_rate.unwrap();
        assert!((base.value - rate).abs() < 0.01 && base.interval.contains(rate), "{base:?}");
    }
    // Counted again from the rows themselves.
    let Outcomes::Classes(c) = &found.outcomes else { panic!() };
    let grouping = found.groupings.iter().find(|g| g.column == "sex").unwrap();
    let selected = |name: &str| {
        let g = grouping.names.iter().position(|n| n == name).unwrap();
        let members: Vec<usize> = grouping.members(g).collect();
        let called = members.iter().filter(|i| c.predicted[**i] == 1).count();
        called as f64 / members.len() as f64
    };
    let gap = selected("Male") - selected("Female");
    same("selection rate", group("Male").selection_rate.unwrap().value, selected("Male"));
    let difference = sex.demographic_parity_difference.unwrap();
    same("demographic parity difference", difference.value, gap);
    assert!(gap > 0.1 && difference.interval.contains(gap));

    let m = found.mitigations.iter().find(|m| m.column == "sex").unwrap();
    let [before, after] = m.demographic_parity_difference;
    assert!(after <= before / 2.0, "{m:?}");
    assert!(m.accuracy[1] >= m.accuracy[0] - 0.02, "{m:?}");

    assert!(found.slices.weak.iter().any(|s| s.of[0].0 == "marital-status"));
    let page = fp8_studio::export::report::page(&run.record, &found, None);
    for part in ["<svg", "supports MEASURE 2.11", "Human oversight", "By sex", "&lt;=50K"] {
        assert!(page.contains(part), "{part}");
    }
    for outside in ["http://", "https://", "<script", "src="] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn digits_are_judged_and_compared() {
    let dir = tempfile::tempdir().unwrap();
    let project =
        Project::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("projects/digits")).unwrap();
    let dataset = project.open_data(&Progress::default()).unwrap();
    let schema = project.schema(&dataset).unwrap();
    let config = TrainConfig { epochs: 12, ..project.train.clone() };
    let job = super::support::job((dataset, schema), config, dir.path());
    let v = verdict::in_scratch(&job, &Progress::default()).unwrap();
    let names: Vec<&str> = v.arms.iter().map(|a| a.name).collect();
    assert_eq!(names, ["f32", "FP8", "bf16", "f32 → FP8", "f32 → int8"]);
    for a in &v.arms {
        assert!(a.score > 0.9 && a.interval.contains(a.score), "{}: {}", a.name, a.score);
        assert!(a.agreement > 0.9 && a.loss > 0.0 && a.ece.unwrap() < 0.2, "{a:?}");
        assert!(a.latency_p50 > 0.0 && a.latency_p95 >= a.latency_p50);
        assert_eq!(a.throughput.len(), 4);
        assert!(a.throughput.iter().all(|t| t.1 > 0.0));
        assert_eq!(a.train_seconds.is_some(), matches!(a.how, verdict::How::Trained));
        assert!(a.worst_slice.is_some() && a.memory_bytes > 0);
    }
    let (f32, fp8) = (&v.arms[0], &v.arms[1]);
    assert_eq!((f32.difference, f32.agreement, f32.loss_gap.abs() < 1e-5), (0.0, 1.0, true));
    assert!(3 * fp8.file_bytes < 2 * f32.file_bytes, "{} {}", fp8.file_bytes, f32.file_bytes);
    assert_eq!(v.arms[3].file_bytes / 1000, fp8.file_bytes / 1000);
    assert!(v.arms.iter().any(|a| a.pareto));
    let said = v.card.iter().any(|s| s.contains("FP8 is slower on this machine"));
    assert_eq!(said, fp8.train_seconds > f32.train_seconds);
    assert_eq!(v.slower, said);
}

/// The network, pixels and answers of `tests/golden/attack.py`.
fn attacked(golden: &Value) -> (Attacker, Encoded, ModelSpec, Vec<Param>) {
    let input = InputSpec::features(64);
    let head = Head::Classes { count: 10 };
    let spec = ModelSpec::mlp(input, &[24], Activation::Relu, false, 0.3, false, head);
    let params: Vec<Param> = spec
        .parameters()
        .into_iter()
        .zip(golden["weights"].as_array().unwrap())
        .map(|(info, w)| Param {
            name: info.name,
            shape: info.shape,
            values: numbers(w).iter().map(|v| *v as f32).collect(),
        })
        .collect();
    let truth = indices(&golden["truth"]);
    let data = Encoded {
        rows: truth.len(),
        dense: numbers(&golden["pixels"]).iter().map(|p| *p as f32 / 16.0).collect(),
        dense_width: 64,
        categories: vec![].into(),
        category_width: 0,
        target: TargetData::Classes(truth),
        unknown: vec![],
    };
    let movable = vec![Some(Movable { unit: 1.0, low: 0.0, high: 1.0 }); 64];
    (Attacker::of(&spec, &params, movable, 64).unwrap(), data, spec, params)
}

#[test]
fn attacks_agree_with_pytorch() {
    let golden: Value = serde_json::from_str(include_str!("../golden/attack.json")).unwrap();
    let (mut attacker, data, spec, params) = attacked(&golden);
    let config = PlanConfig {
        batch: 150,
        precision: Precision::F32,
        optimizer: Optimizer::default(),
        update: UpdateOptions::default(),
    };
    let mut engine = CpuEngine::open(compile(&spec, &config).unwrap()).unwrap();
    engine.load_params(&params).unwrap();
    engine.prepare_eval().unwrap();
    let TargetData::Classes(truth) = &data.target else { panic!() };
    let mut accuracy = |data: &Encoded| {
        let (out, _) = fp8_studio::eval::outputs(&mut engine, data).unwrap();
        let answers = fp8_studio::eval::predicted_classes(&out, 10);
        let hits = answers.iter().zip(truth).filter(|(a, t)| a == t).count();
        hits as f64 / truth.len() as f64
    };
    let one = 1.01 / 150.0;
    assert!((accuracy(&data) - golden["clean"].as_f64().unwrap()).abs() < one);

    let mut batch = Batch::default();
    fp8_studio::eval::fill_batch(&mut batch, &data, 0..20);
    let ours = attacker.gradient(&batch).unwrap();
    let theirs = numbers(&golden["gradient"]);
    assert_eq!(ours.len(), theirs.len());
    // Theirs is of the mean over 150 rows, ours over 20.
    let scale = 150.0 / 20.0;
    let largest = theirs.iter().fold(0.0, |m: f64, v| m.max(v.abs() * scale));
    for (a, b) in ours.iter().zip(&theirs) {
        assert!((f64::from(*a) - b * scale).abs() < 1e-4 * largest, "{a} is not {}", b * scale);
    }

    let progress = Progress::default();
    let sizes = numbers(&golden["sizes"]);
    for (i, size) in sizes.into_iter().enumerate() {
        let mut under = |method| {
            let changed = attacker.attack(&data, method, size as f32, 1, &progress).unwrap();
            let far = changed.dense.iter().zip(data.dense.iter()).map(|(a, b)| (a - b).abs());
            assert!(far.fold(0f32, f32::max) <= size as f32 + 1e-6);
            assert!(changed.dense.iter().all(|v| (0.0..=1.0).contains(v)));
            accuracy(&changed)
        };
        let (fgsm, pgd) = (under(Method::Fgsm), under(Method::Pgd));
        let theirs = |name: &str| golden[name][i].as_f64().unwrap();
        assert!((fgsm - theirs("fgsm")).abs() < one, "{size}: {fgsm}, {}", theirs("fgsm"));
        // Random starts differ.
        assert!((pgd - theirs("pgd")).abs() < 0.04, "{size}: {pgd}, {}", theirs("pgd"));
    }
}

#[test]
fn adversarial_training_helps_under_attack() {
    let dir = tempfile::tempdir().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("projects/fashion_mnist");
    let project = Project::open(&path).unwrap();
    let dataset = project.open_data(&Progress::default()).unwrap();
    let schema = project.schema(&dataset).unwrap();
    let accuracy = |adversarial: Option<f32>, name: &str| {
        let config =
            TrainConfig { hidden: vec![128], epochs: 8, adversarial, ..project.train.clone() };
        let data = (dataset.clone(), schema.clone());
        let job = super::support::job(data, config, &dir.path().join(name));
        super::support::summary(&super::support::rest(&super::support::begin(job)));
        let run = RunFolder::open(&dir.path().join(name)).unwrap();
        let model = Model::of_run(&run).unwrap();
        let options = Options { own_data: true, replicates: 100, seed: 0 };
        let found = examine(&model, &dataset, options, &Progress::default()).unwrap();
        let last = *found.robustness.attacks.last().unwrap();
        assert!(last.pgd <= last.fgsm + 0.02, "{last:?}");
        (last.pgd, found.headline().unwrap().value)
    };
    let (plain, _) = accuracy(None, "plain");
    let (hardened, clean) = accuracy(Some(0.07), "hardened");
    assert!(hardened >= plain + 0.3, "PGD accuracy {plain} and {hardened}");
    assert!(clean > 0.6, "{clean}");
}

#[test]
fn weights_and_a_penalty_narrow_the_gap_between_women_and_men() {
    let dir = tempfile::tempdir().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("projects/adult_census");
    let project = Project::open(&path).unwrap();
    let dataset = project.open_data(&Progress::default()).unwrap();
    let schema = project.schema(&dataset).unwrap();
    let look = |name: &str, change: fn(&mut TrainConfig)| {
        let mut config = TrainConfig { epochs: 8, ..project.train.clone() };
        change(&mut config);
        let data = (dataset.clone(), schema.clone());
        let job = super::support::job(data, config, &dir.path().join(name));
        super::support::summary(&super::support::rest(&super::support::begin(job)));
        let model = Model::of_run(&RunFolder::open(&dir.path().join(name)).unwrap()).unwrap();
        let options = Options { own_data: true, replicates: 100, seed: 0 };
        let found = examine(&model, &dataset, options, &Progress::default()).unwrap();
        let sex = found.fairness.iter().find(|f| f.column == "sex").unwrap();
        let gap = sex.demographic_parity_difference.unwrap().value;
        (gap, found.headline().unwrap().value)
    };
    let (before, accuracy_before) = look("plain", |_| {});
    let (after, accuracy_after) = look("weights", |c| c.reweigh = Some("sex".to_owned()));
    assert!(after < 0.75 * before, "{before} and {after}");
    assert!(accuracy_after > accuracy_before - 0.02, "{accuracy_before} and {accuracy_after}");
    let (after, accuracy_after) = look("penalty", |c| {
        c.fair = Some(Fair { column: "sex".to_owned(), strength: Fair::STRENGTH });
    });
    println!("gap {before:.3} to {after:.3}, accuracy {accuracy_before:.3} to {accuracy_after:.3}");
    assert!(after < 0.5 * before, "{before} and {after}");
    assert!(accuracy_after > accuracy_before - 0.02, "{accuracy_before} and {accuracy_after}");
    let config = TrainConfig { reweigh: Some("height".to_owned()), ..project.train.clone() };
    let job = super::support::job((dataset.clone(), schema.clone()), config, &dir.path().join("x"));
    let events = super::support::rest(&super::support::begin(job));
    let Some(fp8_studio::train::Event::Failed(e)) = events.last() else { panic!("{events:?}") };
    assert!(e.what.contains("no column \"height\""), "{e}");
}

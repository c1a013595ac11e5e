//! Choosing variants of kernels by measuring them, on whatever adapter the tests run on.

use std::path::Path;
use std::time::Duration;

use fp8_studio::engine::tune::{self, Tuner};
use fp8_studio::engine::wgpu::WgpuEngine;
use fp8_studio::engine::{Batch, Engine, StepParams};
use fp8_studio::fp8::{Precision, Recipe, hash};
use fp8_studio::model::init::init;
use fp8_studio::model::{Activation, Head, InputSpec, ModelSpec};
use fp8_studio::plan::{Optimizer, Plan, PlanConfig, UpdateOptions, compile};

use crate::pair::{gpu, numbers};

/// Rows of a batch. Every variant of every kernel takes long to compile on a software adapter, so all
/// but one test use shapes that few variants fit.
const SMALL: usize = 16;
const LARGE: usize = 70;
const LONG: Duration = Duration::from_secs(3600);

fn plan(recipe: Recipe) -> Plan {
    sized(recipe, SMALL)
}

pub(crate) fn sized(recipe: Recipe, rows: usize) -> Plan {
    let input = InputSpec::features(rows / 2);
    let head = Head::Classes { count: 3 };
    let model = ModelSpec::mlp(input, &[rows / 2 + 5], Activation::Relu, false, 0.0, false, head);
    let config = PlanConfig {
        batch: rows,
        precision: Precision::Fp8(recipe),
        optimizer: Optimizer::default(),
        update: UpdateOptions::default(),
    };
    compile(&model, &config).unwrap()
}

fn open(plan: Plan, file: &Path, budget: Duration) -> WgpuEngine {
    WgpuEngine::on(gpu(), plan, Some(&Tuner::at(file.to_owned(), budget))).unwrap()
}

/// Bits of losses and weights after a few steps.
pub(crate) fn trained(mut engine: WgpuEngine) -> Vec<u32> {
    let model = engine.plan().model.clone();
    engine.load_params(&init(&model, 2)).unwrap();
    let rows = engine.plan().config.batch;
    let batch = |step: u32| Batch {
        rows,
        dense: numbers(rows * model.input.dense, step),
        targets: (0..rows as u32).map(|r| hash::mix(r + step) % 3).collect(),
        ..Batch::default()
    };
    let batches: Vec<Batch> = (1..=4).map(batch).collect();
    let steps: Vec<StepParams> =
        (1..=4).map(|step| StepParams { step, learning_rate: 0.01, seed: 5 }).collect();
    let mut bits: Vec<u32> =
        engine.train(&batches, &steps).unwrap().into_iter().map(f32::to_bits).collect();
    let params = engine.read_params().unwrap();
    bits.extend(params.iter().flat_map(|p| &p.values).map(|v| v.to_bits()));
    bits
}

#[test]
fn what_was_measured_is_kept_explained_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("folder/that/is/made/tuning.json");
    let engine = open(plan(Recipe::current()), &file, LONG);
    let first = engine.tuning().clone();
    assert!(first.measured > 3 && first.left == 0, "{first:?}");
    assert_eq!(first.measured, first.chosen.len());

    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\"about\"") && text.contains("microseconds"), "{text}");
    let all = tune::measurements(&file);
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].adapter, *engine.gpu().info());
    assert_eq!(all[0].choices.len(), first.measured);
    for (key, choice) in &all[0].choices {
        assert_eq!(choice.chosen, first.chosen[key]);
        let fastest = choice.microseconds[&choice.chosen];
        assert!(choice.microseconds.values().all(|t| *t >= fastest), "{key}: {choice:?}");
        assert!(choice.unusable.is_empty(), "{key}: {choice:?}");
    }

    // Nothing is left to measure, and the file stays as it is.
    let again = open(plan(Recipe::current()), &file, LONG);
    assert_eq!((again.tuning().measured, &again.tuning().chosen), (0, &first.chosen));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    // Another recipe has other keys; those known stay.
    let other = open(plan(Recipe::mx()), &file, LONG);
    assert!(other.tuning().measured > 0);
    let grown = tune::measurements(&file);
    assert_eq!(grown[0].choices.len(), first.measured + other.tuning().measured);

    assert!(tune::clear(&file).unwrap());
    assert!(!tune::clear(&file).unwrap());
    assert!(tune::measurements(&file).is_empty());
}

#[test]
fn no_result_depends_on_the_choice() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tuning.json");
    let recipe = Recipe { stochastic_gradients: true, ..Recipe::rowwise() };
    let large = |recipe| sized(recipe, LARGE);
    let shapes_decide = trained(WgpuEngine::on(gpu(), large(recipe), None).unwrap());
    assert_eq!(shapes_decide, trained(open(large(recipe), &file, LONG)));
    // Other variants, as if each had been the fastest.
    let mut table: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let mut changed = 0;
    for choice in table["adapters"][0]["choices"].as_object_mut().unwrap().values_mut() {
        let names: Vec<String> =
            choice["microseconds"].as_object().unwrap().keys().cloned().collect();
        let other = names.iter().rev().find(|name| choice["chosen"] != **name).unwrap();
        choice["chosen"] = other.clone().into();
        changed += 1;
    }
    assert!(changed > 5);
    std::fs::write(&file, table.to_string()).unwrap();
    let engine = open(large(recipe), &file, LONG);
    assert_eq!((engine.tuning().measured, engine.tuning().chosen.len()), (0, changed));
    assert_eq!(trained(engine), shapes_decide);
    // The comparison can fail.
    let other = trained(WgpuEngine::on(gpu(), large(Recipe::rowwise()), None).unwrap());
    assert_ne!(other, shapes_decide);
}

#[test]
fn a_file_that_is_damaged_old_or_cannot_be_written_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tuning.json");
    for bad in
        ["", "{", "[1, 2]", r#"{"version": 99, "program": "9", "about": "", "adapters": []}"#]
    {
        std::fs::write(&file, bad).unwrap();
        assert!(tune::measurements(&file).is_empty());
        assert!(open(plan(Recipe::current()), &file, LONG).tuning().measured > 0, "{bad}");
        assert_eq!(tune::measurements(&file).len(), 1, "{bad}");
    }
    // A choice that no variant is called is measured again.
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"chosen\": \"", "\"chosen\": \"no such ")).unwrap();
    assert!(open(plan(Recipe::current()), &file, LONG).tuning().measured > 0);

    // Its folder is a file.
    let impossible = file.join("inside/tuning.json");
    let engine = open(plan(Recipe::current()), &impossible, LONG);
    assert!(engine.tuning().measured > 0);
    assert!(!trained(engine).is_empty());
}

#[test]
fn without_time_nothing_is_measured_and_it_still_trains() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tuning.json");
    let engine = open(plan(Recipe::current()), &file, Duration::ZERO);
    assert_eq!(engine.tuning().measured, 0);
    assert!(engine.tuning().left > 3 && !file.exists());
    assert!(!trained(engine).is_empty());
}

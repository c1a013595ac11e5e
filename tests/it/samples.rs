//! The sample projects, trained as they are shipped, and plain data without a project file.

use std::path::Path;
use std::sync::Arc;

use fp8_studio::data::Progress;
use fp8_studio::device::DeviceChoice;
use fp8_studio::fp8::Precision;
use fp8_studio::metrics::MetricKind;
use fp8_studio::project::Project;
use fp8_studio::train::{Job, RunFolder, Summary, TrainConfig};

use crate::support::{begin, rest, summary};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Trains a project on the CPU engine, as both faces of the program do.
fn train(mut project: Project, change: impl FnOnce(&mut TrainConfig)) -> Summary {
    let dataset = project.open_data(&Progress::default()).unwrap();
    let schema = project.schema(&dataset).unwrap();
    project.suggest(&dataset, Some(&schema));
    change(&mut project.train);
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    let job = Job {
        project: project.name.clone(),
        dataset: Arc::new(dataset),
        schema,
        prep: project.prep.clone(),
        split: project.split.clone(),
        config: TrainConfig { device: DeviceChoice::Cpu, ..project.train.clone() },
        folder: folder.clone(),
        resume: false,
    };
    let result = summary(&rest(&begin(job)));
    assert!(RunFolder::open(&folder).unwrap().has_model());
    result
}

fn sample(id: &str) -> Project {
    Project::load(&root().join("projects").join(id)).unwrap()
}

fn accuracy(result: &Summary) -> f64 {
    result.test.get(MetricKind::Accuracy).unwrap()
}

#[test]
fn penguins() {
    let result = train(sample("penguins"), |_| {});
    assert!(accuracy(&result) >= 0.97, "{result:?}");
    assert!(result.baseline < 0.5);
}

#[test]
fn digits_whatever_the_seed() {
    for seed in 0..3 {
        let result = train(sample("digits"), |c| c.seed = seed);
        assert!(accuracy(&result) >= 0.96, "{result:?}");
    }
}

#[test]
fn german_credit() {
    let result = train(sample("german_credit"), |_| {});
    assert!(accuracy(&result) >= result.baseline + 0.04, "{result:?}");
    assert!(result.test.get(MetricKind::Auc).unwrap() >= 0.75, "{result:?}");
}

#[test]
fn adult_census_is_as_good_in_fp8_as_in_f32() {
    let fp8 = train(sample("adult_census"), |c| assert!(c.precision.recipe().is_some()));
    let f32 = train(sample("adult_census"), |c| c.precision = Precision::F32);
    assert!(accuracy(&fp8) >= 0.845, "{fp8:?}");
    assert!((accuracy(&fp8) - accuracy(&f32)).abs() <= 0.005, "{fp8:?} {f32:?}");
    // They are two runs, not one twice.
    assert_ne!(fp8.test.loss, f32.test.loss);
}

#[test]
fn fashion() {
    let result = train(sample("fashion_mnist"), |_| {});
    assert!(accuracy(&result) >= 0.86, "{result:?}");
}

/// A CSV file opened by somebody who sets nothing.
#[test]
fn a_table_without_a_project_gets_settings_that_fit_it() {
    let csv = root().join("tests/data/concrete/concrete_strength.csv");
    let project = Project::from_data(&csv).unwrap();
    assert_eq!(project.train, TrainConfig::default());
    let result = train(project, |c| {
        assert_eq!((&c.hidden[..], c.dropout, c.batch_size), (&[128, 64][..], 0.0, 32));
    });
    assert!(result.test.get(MetricKind::R2).unwrap() >= 0.85, "{result:?}");
    // Settings that a project has are left alone.
    let mut own = Project::from_data(&csv).unwrap();
    own.train.epochs = 3;
    assert_eq!(train(own, |_| {}).epochs, 3);
}

//! The sample projects, trained as they are shipped.

use std::path::Path;
use std::sync::Arc;

use fp8_studio::data::Progress;
use fp8_studio::device::DeviceChoice;
use fp8_studio::metrics::MetricKind;
use fp8_studio::project::Project;
use fp8_studio::train::{Job, RunFolder, Summary, TrainConfig};

use crate::support::{begin, rest, summary};

/// Trains a sample on the CPU engine.
fn train(sample: &str) -> Summary {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("projects").join(sample);
    let project = Project::load(&path).unwrap();
    let dataset = project.open_data(&Progress::default()).unwrap();
    let schema = project.schema(&dataset).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    let job = Job {
        project: project.name.clone(),
        dataset: Arc::new(dataset),
        schema,
        prep: project.prep.clone(),
        split: project.split,
        config: TrainConfig { device: DeviceChoice::Cpu, ..project.train.clone() },
        folder: folder.clone(),
        resume: false,
    };
    let result = summary(&rest(&begin(job)));
    assert!(RunFolder::open(&folder).unwrap().has_model());
    result
}

fn accuracy(result: &Summary) -> f64 {
    result.test.get(MetricKind::Accuracy).unwrap()
}

#[test]
fn penguins() {
    let result = train("penguins");
    assert!(accuracy(&result) >= 0.97, "{result:?}");
    assert!(result.baseline < 0.5);
}

#[test]
fn digits() {
    let result = train("digits");
    assert!(accuracy(&result) >= 0.96, "{result:?}");
}

#[test]
fn german_credit() {
    let result = train("german_credit");
    assert!(accuracy(&result) >= result.baseline + 0.03, "{result:?}");
    assert!(result.test.get(MetricKind::Auc).unwrap() >= 0.75, "{result:?}");
}

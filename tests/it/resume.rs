//! Going on after an interruption, exactly where it was.

use std::path::Path;
use std::time::Duration;

use fp8_studio::fp8::{Precision, Recipe};
use fp8_studio::plan::{MasterFormat, MomentFormat, UpdateOptions};
use fp8_studio::train::config::Hybrid;
use fp8_studio::train::{
    Architecture, Augmentation, Control, Event, RunFolder, RunState, TrainConfig,
};

use crate::support::{begin, begin_gated, circle, job, losses, next, pictures, rest, summary};

fn config(precision: Precision) -> TrainConfig {
    TrainConfig {
        hidden: vec![24, 8],
        dropout: 0.1,
        layer_norm: true,
        learning_rate: 3e-3,
        batch_size: 16,
        epochs: 30,
        patience: 0,
        precision,
        ..TrainConfig::default()
    }
}

/// Tensors of both checkpoints: the weights, the moments and the amax history.
pub fn state(folder: &Path) -> Vec<Vec<u8>> {
    ["checkpoint-last.safetensors", "checkpoint-best.safetensors"]
        .iter()
        .map(|name| {
            let bytes = std::fs::read(folder.join(name)).unwrap();
            let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            bytes[8 + header..].to_vec()
        })
        .collect()
}

#[test]
fn a_run_left_in_the_middle_ends_bit_for_bit_like_one_that_was_not() {
    let delayed = config(Precision::Fp8(Recipe::delayed()));
    // The second precision begins in the 16th of 30 epochs.
    let hybrid = Some(Hybrid { first_share: 0.51, then: Precision::F32 });
    let update = UpdateOptions {
        row_clip: None,
        moments: MomentFormat::Fp8,
        master: MasterFormat::Bf16,
        clip_norm: Some(1.0),
        accumulate: 2,
        average: Some(0.99),
        lean: true,
    };
    let cnn = TrainConfig {
        architecture: Architecture::SmallCnn,
        hidden: vec![16],
        augmentation: Augmentation { flip: true, shift: 0.1, rotation: 10.0, brightness: 0.2 },
        update: UpdateOptions { lean: true, ..UpdateOptions::default() },
        ..delayed.clone()
    };
    // Running statistics of batch normalisation are part of the state too.
    let resnet = TrainConfig { architecture: Architecture::ResNet, update, ..cnn.clone() };
    let (table, images) = (circle(900), pictures(150));
    for (data, config) in [
        (&table, config(Precision::Fp8(Recipe::current()))),
        (&table, delayed.clone()),
        (&table, TrainConfig { hybrid, ..delayed }),
        (&table, TrainConfig { update, ..config(Precision::Bf16) }),
        (&images, TrainConfig { hybrid, ..cnn }),
        (&images, resnet),
    ] {
        let what = format!("{config:?}");
        let dir = tempfile::tempdir().unwrap();
        let whole = dir.path().join("whole");
        let plain = rest(&begin(job(data.clone(), config.clone(), &whole)));

        let parts = dir.path().join("parts");
        let mut again = job(data.clone(), config.clone(), &parts);
        let mut resumed = Vec::new();
        // In the middle of the first epoch, at the end of some, in the middle of another.
        type Here = fn(&Event) -> bool;
        let places: [Here; 4] = [
            |e| matches!(e, Event::Progress { .. }),
            |e| matches!(e, Event::Epoch { epoch: 9, .. }),
            |e| matches!(e, Event::Progress { .. }),
            |e| matches!(e, Event::Epoch { epoch: 17, .. }),
        ];
        for here in places {
            let mut run = begin_gated(again.clone());
            loop {
                let event = run.next();
                if here(&event) {
                    break;
                }
                if matches!(event, Event::State(RunState::Running)) {
                    // Long enough that progress is reported after the very next step.
                    std::thread::sleep(Duration::from_millis(150));
                }
            }
            run.leave();
            let folder = RunFolder::open(&parts).unwrap();
            assert_eq!(folder.record.state, RunState::Paused);
            assert!(folder.interrupted());
            again.resume = true;
            resumed = folder.events().unwrap();
        }
        let starts: Vec<(u64, usize)> = resumed
            .iter()
            .filter_map(|e| match e {
                Event::Started { resumed_step, steps_per_epoch, .. } => {
                    Some((*resumed_step, *steps_per_epoch))
                }
                _ => None,
            })
            .collect();
        assert!(starts.iter().any(|(step, epoch)| step % *epoch as u64 != 0), "{starts:?}");
        let end = rest(&begin(again.clone()));
        let all = RunFolder::open(&parts).unwrap().events().unwrap();
        assert_eq!(losses(&all), losses(&plain), "{what}");
        assert_eq!(summary(&end).test, summary(&plain).test);
        assert_eq!(summary(&end).best_epoch, summary(&plain).best_epoch);
        assert!(state(&parts) == state(&whole), "checkpoints differ with {what}");
        // The comparison can fail: other data order, other bytes.
        let other = dir.path().join("other");
        rest(&begin(job(data.clone(), TrainConfig { seed: 9, ..config.clone() }, &other)));
        assert!(state(&other) != state(&whole));

        let events = rest(&begin(again));
        let Some(Event::Failed(error)) = events.last() else { panic!("{:?}", events.last()) };
        assert!(error.what.contains("nothing to resume"), "{error}");
    }
}

#[test]
fn other_data_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let run = begin(job(
        circle(300),
        TrainConfig { epochs: 1_000_000, ..config(Precision::F32) },
        dir.path(),
    ));
    while !matches!(next(&run), Event::Epoch { .. }) {}
    run.control.send(Control::Pause).unwrap();
    while !matches!(next(&run), Event::State(RunState::Paused)) {}
    let events = run.events.clone();
    drop(run);
    while events.recv().is_ok() {}

    let mut other = job(circle(310), config(Precision::F32), dir.path());
    other.resume = true;
    let events = rest(&begin(other));
    let Some(Event::Failed(error)) = events.last() else { panic!("{:?}", events.last()) };
    assert!(error.what.contains("data changed"), "{error}");
    assert!(RunFolder::open(dir.path()).unwrap().interrupted());
}

#[test]
fn a_damaged_checkpoint_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let run = begin(job(
        circle(300),
        TrainConfig { epochs: 1_000_000, ..config(Precision::F32) },
        dir.path(),
    ));
    while !matches!(next(&run), Event::Epoch { .. }) {}
    let events = run.events.clone();
    drop(run);
    while events.recv().is_ok() {}
    let path = dir.path().join("checkpoint-last.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();

    let mut again = job(circle(300), config(Precision::F32), dir.path());
    again.resume = true;
    let events = rest(&begin(again));
    let Some(Event::Failed(error)) = events.last() else { panic!("{:?}", events.last()) };
    assert_eq!(error.place.path.as_deref(), Some(path.as_path()), "{error}");
}

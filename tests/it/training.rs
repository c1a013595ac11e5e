//! Runs from start to end through the worker thread, on the CPU engine.

use fp8_studio::fp8::{Precision, Recipe};
use fp8_studio::metrics::{MetricKind, Store};
use fp8_studio::plan::Optimizer;
use fp8_studio::train::{
    Control, Event, RunFolder, RunState, StopReason, TrainConfig, run_folder, start,
};

use crate::support::{begin, begin_gated, circle, hills, job, losses, next, rest, summary};

fn small() -> TrainConfig {
    TrainConfig {
        hidden: vec![32, 16],
        learning_rate: 5e-3,
        batch_size: 32,
        epochs: 20,
        patience: 0,
        ..TrainConfig::default()
    }
}

/// A run that goes on for minutes if nobody ends it.
fn endless() -> TrainConfig {
    TrainConfig { epochs: 1_000_000, ..small() }
}

#[test]
fn a_classifier_learns_in_fp8_and_leaves_a_complete_folder() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("runs/one");
    let events = rest(&begin(job(circle(1000), small(), &folder)));
    let result = summary(&events);
    let (kind, accuracy) = result.test.main().unwrap();
    assert_eq!(kind, MetricKind::Accuracy);
    assert!(accuracy > 0.9 && accuracy > result.baseline + 0.2, "{result:?}");
    assert_eq!((result.reason, result.epochs), (StopReason::Completed, 20));
    assert_eq!(result.test.rows, 200);

    let run = RunFolder::open(&folder).unwrap();
    assert_eq!(run.record.state, RunState::Done);
    assert_eq!(run.record.summary.as_ref(), Some(&result));
    assert!(!run.interrupted() && !run.is_running());
    let names: Vec<String> = run.best_params().unwrap().into_iter().map(|p| p.name).collect();
    let wanted: Vec<String> = run.record.model.parameters().into_iter().map(|p| p.name).collect();
    assert_eq!(names, wanted);

    // The event log tells the same story as the channel.
    assert_eq!(losses(&run.events().unwrap()), losses(&events));
    assert_eq!(run_folder::list(dir.path()).len(), 1);
    run.delete().unwrap();
    assert!(run_folder::list(dir.path()).is_empty());
}

#[test]
fn events_carry_what_a_window_shows() {
    let dir = tempfile::tempdir().unwrap();
    let config = TrainConfig { epochs: 60, ..small() };
    let events = rest(&begin(job(circle(4000), config, dir.path())));
    let mut store = Store::default();
    events.iter().for_each(|e| e.record(&mut store));
    for name in ["loss/train", "loss/validation", "metric/Accuracy", "learning_rate"] {
        assert!(store.get(name).is_some_and(|s| !s.is_empty()), "no curve {name}");
    }
    for tensor in ["dense1.weight", "output.weight"] {
        for what in ["amax", "scale", "saturated", "flushed"] {
            let name = format!("{tensor}/{what}");
            assert!(store.get(&name).is_some_and(|s| !s.is_empty()), "no curve {name}");
        }
    }
    let states: Vec<RunState> = events
        .iter()
        .filter_map(|e| match e {
            Event::State(s) => Some(*s),
            _ => None,
        })
        .collect();
    use RunState::{Done, Finishing, Preparing, Running};
    assert_eq!(states, [Preparing, Running, Finishing, Done]);
}

#[test]
fn a_regression_is_scored_in_its_own_unit() {
    let dir = tempfile::tempdir().unwrap();
    let config = TrainConfig { epochs: 40, ..small() };
    let result = summary(&rest(&begin(job(hills(1500), config, dir.path()))));
    assert_eq!(result.test.main().map(|m| m.0), Some(MetricKind::R2));
    let r2 = result.test.get(MetricKind::R2).unwrap();
    let rmse = result.test.get(MetricKind::Rmse).unwrap();
    assert!(r2 > 0.95, "{result:?}");
    // The target's standard deviation is about 300; an RMSE of a standardised target would be < 1.
    assert!(rmse > 5.0 && rmse < 100.0, "{rmse}");
    assert!(result.baseline.abs() < 0.1, "{}", result.baseline);
}

#[test]
fn equal_seeds_give_equal_losses() {
    let dir = tempfile::tempdir().unwrap();
    let run = |name: &str, config: TrainConfig| {
        losses(&rest(&begin(job(circle(700), config, &dir.path().join(name)))))
    };
    let recipes = Recipe::NAMED.map(|(name, recipe)| (name, Precision::Fp8(recipe)));
    for (name, precision) in recipes.into_iter().chain([("f32", Precision::F32)]) {
        let config = TrainConfig { epochs: 3, dropout: 0.1, precision, ..small() };
        let first = run(&format!("{name}-1"), config.clone());
        assert_eq!(first.len(), 3);
        assert_eq!(first, run(&format!("{name}-2"), config.clone()), "{name}");
        assert_ne!(first, run(&format!("{name}-3"), TrainConfig { seed: 1, ..config }), "{name}");
    }
}

#[test]
fn early_stopping_keeps_the_best_epoch() {
    let dir = tempfile::tempdir().unwrap();
    // Far too few rows for the network: validation gets worse soon.
    let config = TrainConfig {
        hidden: vec![128],
        epochs: 1000,
        patience: 3,
        learning_rate: 0.02,
        ..small()
    };
    let events = rest(&begin(job(circle(120), config, dir.path())));
    let result = summary(&events);
    assert_eq!(result.reason, StopReason::EarlyStopped);
    assert_eq!(result.epochs, result.best_epoch + 3);
    let best = losses(&events)
        .into_iter()
        .min_by(|a, b| f32::from_bits(a.2).total_cmp(&f32::from_bits(b.2)))
        .unwrap();
    assert_eq!(best.0, result.best_epoch);
    assert_eq!(best.2, result.validation.loss.to_bits());
}

#[test]
fn pause_holds_and_resume_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let config = TrainConfig { epochs: 12, ..small() };
    let plain = rest(&begin(job(circle(700), config.clone(), &dir.path().join("plain"))));

    let folder = dir.path().join("held");
    let run = begin(job(circle(700), config, &folder));
    run.control.send(Control::Pause).unwrap();
    let mut events = Vec::new();
    while !matches!(events.last(), Some(Event::State(RunState::Paused))) {
        events.push(next(&run));
    }
    assert_eq!(RunFolder::open(&folder).unwrap().record.state, RunState::Paused);
    // Somebody holds it: it is not interrupted.
    assert!(RunFolder::open(&folder).unwrap().is_running());
    assert!(!RunFolder::open(&folder).unwrap().interrupted());
    assert!(run.events.recv_timeout(std::time::Duration::from_millis(200)).is_err());
    run.control.send(Control::Resume).unwrap();
    events.extend(rest(&run));
    assert_eq!(losses(&events), losses(&plain));
    assert_eq!(summary(&events).test, summary(&plain).test);
}

#[test]
fn stop_keeps_the_best_model() {
    let dir = tempfile::tempdir().unwrap();
    let run = begin(job(circle(700), endless(), dir.path()));
    while !matches!(next(&run), Event::Epoch { epoch: 3, .. }) {}
    run.control.send(Control::StopAndKeepBest).unwrap();
    let result = summary(&rest(&run));
    assert_eq!(result.reason, StopReason::Stopped);
    assert!(result.epochs >= 3 && result.best_epoch >= 1);
    assert!(RunFolder::open(dir.path()).unwrap().has_model());
}

#[test]
fn stop_before_the_first_epoch_keeps_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut gated = begin_gated(job(circle(700), endless(), dir.path()));
    while !matches!(gated.next(), Event::State(RunState::Running)) {}
    gated.run.control.send(Control::StopAndKeepBest).unwrap();
    let result = summary(&rest(&gated.free()));
    assert_eq!((result.reason, result.epochs, result.best_epoch), (StopReason::Stopped, 0, 1));
    assert!(result.test.rows > 0);
}

#[test]
fn cancel_discards_the_folder_but_not_what_others_put_there() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("gone");
    let run = begin(job(circle(700), endless(), &folder));
    while !matches!(next(&run), Event::Epoch { .. }) {}
    run.control.send(Control::Cancel).unwrap();
    assert!(matches!(rest(&run).last(), Some(Event::State(RunState::Cancelled))));
    assert!(!folder.exists());

    let mine = dir.path().join("mine");
    std::fs::create_dir(&mine).unwrap();
    std::fs::write(mine.join("notes.txt"), "keep me").unwrap();
    let run = begin(job(circle(700), endless(), &mine));
    while !matches!(next(&run), Event::Epoch { .. }) {}
    run.control.send(Control::Cancel).unwrap();
    rest(&run);
    let left: Vec<_> = std::fs::read_dir(&mine).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["notes.txt"]);
}

#[test]
fn divergence_ends_with_a_diagnosis_and_keeps_what_was_saved() {
    let dir = tempfile::tempdir().unwrap();
    let config = TrainConfig {
        optimizer: Optimizer::Sgd { momentum: 0.9, weight_decay: 0.0 },
        learning_rate: 1e6,
        precision: Precision::F32,
        warmup: 0.0,
        ..small()
    };
    let events = rest(&begin(job(hills(500), config, dir.path())));
    let Some(Event::Failed(error)) = events.last() else { panic!("{:?}", events.last()) };
    assert!(error.what.contains("diverged at step"), "{error}");
    assert!(error.advice.contains("learning rate") && error.advice.contains("100000"), "{error}");
    let run = RunFolder::open(dir.path()).unwrap();
    assert_eq!(run.record.state, RunState::Failed);
    assert!(run.last_checkpoint().is_file());
    assert!(!run.interrupted());
}

#[test]
fn a_panic_within_a_run_ends_it_as_failed_and_what_was_saved_stays() {
    let dir = tempfile::tempdir().unwrap();
    let calls = std::sync::atomic::AtomicUsize::new(0);
    // What a window does to wake itself runs on the worker's thread.
    let wake = move || {
        let call = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        assert!(call != 10, "planted");
    };
    let run = start(job(circle(700), endless(), dir.path()), std::sync::Arc::new(wake)).unwrap();
    let events = rest(&run);
    assert!(events.iter().any(|e| matches!(e, Event::State(RunState::Running))));
    let Some(Event::Failed(error)) = events.last() else { panic!("{:?}", events.last()) };
    assert!(error.what.contains("planted"), "{error}");
    let folder = RunFolder::open(dir.path()).unwrap();
    assert_eq!(folder.record.state, RunState::Failed);
    assert!(!folder.is_running() && folder.resumable() && !folder.interrupted());
}

#[test]
fn layers_opt_out_of_fp8_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let watched = |name: &str, config: TrainConfig| {
        let events = rest(&begin(job(circle(300), config, &dir.path().join(name))));
        summary(&events);
        let tensors = events.iter().find_map(|e| match e {
            Event::Tensors { tensors, .. } => Some(tensors.clone()),
            _ => None,
        });
        let names = tensors.unwrap_or_default().into_iter().map(|t| t.name);
        names.filter(|n| n.ends_with(".weight")).collect::<Vec<_>>()
    };
    let config = TrainConfig { epochs: 2, ..small() };
    let all = ["dense1.weight", "dense2.weight", "output.weight"];
    assert_eq!(watched("all", config.clone()), all);
    let opt_out = vec!["dense1".to_owned(), "output".to_owned()];
    assert_eq!(watched("some", TrainConfig { opt_out, ..config.clone() }), all[1..2]);
    let opt_out = vec!["dense9".to_owned()];
    let bad = TrainConfig { opt_out, ..config };
    let error = start(job(circle(50), bad, dir.path()), std::sync::Arc::new(|| {})).unwrap_err();
    let text = fp8_studio::error::UserError::from(error).to_string();
    assert!(text.contains("dense9") && text.contains("dense1, dense2, output"), "{text}");
}

#[test]
fn a_watcher_that_sleeps_misses_no_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let config = TrainConfig { epochs: 1500, hidden: vec![], ..small() };
    let run = begin(job(circle(80), config, dir.path()));
    // Nobody reads until the run has filled the channel or ended.
    let end = std::time::Instant::now() + crate::support::LONG;
    while !run.events.is_full()
        && RunFolder::open(dir.path()).map(|r| r.record.state).ok() != Some(RunState::Done)
    {
        assert!(std::time::Instant::now() < end);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let events = rest(&run);
    assert!(losses(&events).iter().map(|e| e.0).eq(1..=1500));
    summary(&events);
}

#[test]
fn settings_out_of_range_and_taken_folders_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let bad = TrainConfig { learning_rate: -1.0, ..small() };
    let error = start(job(circle(50), bad, dir.path()), std::sync::Arc::new(|| {})).unwrap_err();
    assert!(error.to_string().contains("learning rate"), "{error}");

    let config = TrainConfig { epochs: 1, ..small() };
    summary(&rest(&begin(job(circle(50), config.clone(), dir.path()))));
    let before = std::fs::read(dir.path().join("run.json")).unwrap();
    let events = rest(&begin(job(circle(50), config, dir.path())));
    let Some(Event::Failed(error)) = events.last() else { panic!("{:?}", events.last()) };
    assert!(error.what.contains("already holds a run"), "{error}");
    assert_eq!(before, std::fs::read(dir.path().join("run.json")).unwrap());
}

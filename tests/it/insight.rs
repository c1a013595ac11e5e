//! What a run finds out about itself: guard rails, other recipes, the f32 run beside, memory.

use fp8_studio::device::DeviceChoice;
use fp8_studio::engine::cpu::CpuEngine;
use fp8_studio::engine::wgpu::WgpuEngine;
use fp8_studio::engine::{Batch, Engine, StepParams, transfer};
use fp8_studio::fp8::{AmaxAlgorithm, Format, Precision, Recipe, Scaling, TensorStats};
use fp8_studio::model::init::init;
use fp8_studio::model::{Activation, Head, InputSpec, ModelSpec};
use fp8_studio::plan::{
    Adjustments, MasterFormat, Optimizer, PlanConfig, TensorRule, UpdateOptions, compile,
    compile_adjusted, memory,
};
use fp8_studio::train::guard::{Measure, Trouble};
use fp8_studio::train::insight::Tone;
use fp8_studio::train::{Control, Event, RunFolder, RunState, TrainConfig};

use crate::resume::state;
use crate::support::{begin, begin_gated, circle, job, losses, rest, summary};

/// Scales that are measured once, at the first step, and a learning rate that outgrows them.
fn bad_recipe() -> TrainConfig {
    let scaling = Scaling::Delayed { history: 16, algorithm: AmaxAlgorithm::First };
    TrainConfig {
        hidden: vec![32, 16],
        precision: Precision::Fp8(Recipe { scaling, ..Recipe::current() }),
        learning_rate: 0.3,
        warmup: 0.0,
        batch_size: 32,
        epochs: 20,
        patience: 0,
        ..TrainConfig::default()
    }
}

fn good_recipe() -> TrainConfig {
    TrainConfig {
        learning_rate: 5e-3,
        precision: Precision::Fp8(Recipe::current()),
        ..bad_recipe()
    }
}

fn statistics(events: &[Event]) -> Vec<(u64, String, TensorStats)> {
    let mut all = Vec::new();
    for event in events {
        if let Event::Tensors { step, tensors } = event {
            all.extend(tensors.iter().map(|t| (*step, t.name.clone(), t.stats.clone())));
        }
    }
    all
}

fn cut_off(stats: &TensorStats) -> f64 {
    f64::from(stats.saturated) / f64::from(stats.count.max(1))
}

#[test]
fn a_planted_bad_recipe_makes_the_guard_rails_act_and_the_diagnosis_name_the_tensor() {
    let dir = tempfile::tempdir().unwrap();
    // Without guard rails: which tensors saturate is read from the statistics of the kernels.
    let config = TrainConfig { guard_rails: false, ..bad_recipe() };
    let quiet = rest(&begin(job(circle(900), config, &dir.path().join("quiet"))));
    let result = summary(&quiet);
    assert!(result.insight.guard_actions.is_empty());
    let told = result.insight.diagnosis.expect("8 bits were in use");
    assert_eq!(told.tone, Tone::Warning);
    let statistics = statistics(&quiet);
    let early: Vec<_> = statistics.iter().filter(|(step, ..)| *step <= 200).collect();
    let of_told = early.iter().filter(|(_, name, _)| *name == told.tensor);
    let shares: Vec<f64> = of_told.map(|(_, _, stats)| cut_off(stats)).collect();
    assert!(shares.iter().any(|s| *s > 0.005), "{told:?}: {shares:?}");
    // A tensor that the recipe cannot have broken is never named: the inputs are the same rows.
    assert_ne!(told.tensor, "dense1.input");
    assert!(told.text.contains(&told.tensor) && told.text.contains("frozen"), "{}", told.text);

    let guarded = rest(&begin(job(circle(900), bad_recipe(), &dir.path().join("guarded"))));
    let result = summary(&guarded);
    let insight = &result.insight;
    let first = insight.guard_actions.first().expect("the guard rails act");
    assert_eq!((first.trouble, first.measure), (Trouble::Saturated, Measure::Headroom(2)));
    let named = insight.diagnosis.as_ref().unwrap();
    assert_eq!(named.tensor, told.tensor);
    assert!(insight.guard_actions.iter().any(|a| a.tensor == named.tensor), "{insight:?}");
    // Every action is an event, and they help: what was cut off no longer is.
    let sent = guarded.iter().filter(|e| matches!(e, Event::Guard { .. })).count();
    assert_eq!(sent, insight.guard_actions.len());
    let last = |events: &[Event]| {
        let Some(Event::Tensors { tensors, .. }) =
            events.iter().rev().find(|e| matches!(e, Event::Tensors { .. }))
        else {
            panic!("no statistics")
        };
        tensors.iter().map(|t| cut_off(&t.stats)).sum::<f64>()
    };
    assert!(last(&guarded) < 0.5 * last(&quiet), "{} {}", last(&guarded), last(&quiet));
    // Live events tell the same.
    assert!(guarded.iter().any(
        |e| matches!(e, Event::Diagnosis { diagnosis, .. } if diagnosis.tensor == named.tensor)
    ));
}

#[test]
fn a_sound_run_is_left_alone_and_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut accuracies = Vec::new();
    for (name, guard_rails) in [("on", true), ("off", false)] {
        let config = TrainConfig { guard_rails, ..good_recipe() };
        let events = rest(&begin(job(circle(900), config, &dir.path().join(name))));
        let result = summary(&events);
        assert_eq!(result.insight.guard_actions, [], "{name}");
        let told = result.insight.diagnosis.clone().unwrap();
        assert_eq!(told.tone, Tone::Good, "{told:?}");
        accuracies.push((losses(&events), result.test));
    }
    assert_eq!(accuracies[0], accuracies[1], "guard rails change nothing unless they act");
}

#[test]
fn what_other_recipes_would_do_is_told_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let run = |name: &str, every: u64| {
        let config = TrainConfig { what_if_every: every, epochs: 8, dropout: 0.1, ..good_recipe() };
        rest(&begin(job(circle(900), config, &dir.path().join(name))))
    };
    let (with, without) = (run("with", 50), run("without", 0));
    assert_eq!(losses(&with), losses(&without));
    assert!(!without.iter().any(|e| matches!(e, Event::WhatIf { .. })));
    let looks: Vec<_> = with
        .iter()
        .filter_map(|e| match e {
            Event::WhatIf { step, tensors } => Some((*step, tensors)),
            _ => None,
        })
        .collect();
    let steps: Vec<u64> = looks.iter().map(|l| l.0).collect();
    assert_eq!(steps, (0..looks.len() as u64).map(|i| 50 * i).collect::<Vec<_>>());
    let (_, last) = looks.last().unwrap();
    // Input, weight and gradient of three layers, in nine other ways each.
    assert_eq!(last.len(), 9);
    for tensor in last.iter() {
        assert_eq!(tensor.others.len(), 9, "{}", tensor.tensor);
        assert_eq!(tensor.now.recipe, "current");
        assert!(tensor.now.score.sqnr_db.is_some_and(|db| db > 15.0), "{tensor:?}");
        // A scale for 32 values is never coarser than one for all of them.
        let of = |recipe: &str, format| {
            let found = tensor.others.iter().find(|o| o.recipe == recipe && o.format == format);
            found.and_then(|o| o.score.sqnr_db).unwrap()
        };
        assert!(of("mx", Format::E5M2) > of("delayed", Format::E5M2) - 3.0, "{tensor:?}");
    }
    assert_eq!(summary(&with).insight.what_if.len(), 9);
}

#[test]
fn a_run_beside_it_in_f32_is_that_run() {
    let dir = tempfile::tempdir().unwrap();
    let config = TrainConfig { shadow: true, epochs: 6, dropout: 0.1, ..good_recipe() };
    let events = rest(&begin(job(circle(900), config.clone(), &dir.path().join("both"))));
    let result = summary(&events);
    let shadow = result.insight.shadow.clone().expect("it ran beside");
    // The very run that f32 alone gives.
    let alone = TrainConfig { shadow: false, precision: Precision::F32, ..config.clone() };
    let alone = rest(&begin(job(circle(900), alone, &dir.path().join("f32"))));
    let (_, train, validation) = *losses(&alone).last().unwrap();
    assert!((shadow.loss[1] - f64::from(f32::from_bits(train))).abs() < 1e-6, "{shadow:?}");
    let of_f32 = shadow.validation.unwrap()[1];
    assert_eq!(of_f32 as f32, f32::from_bits(validation), "{shadow:?}");
    // And the run itself is what it is alone.
    let single = TrainConfig { shadow: false, ..config };
    let single = rest(&begin(job(circle(900), single, &dir.path().join("single"))));
    assert_eq!(losses(&single), losses(&events));
    let layers: Vec<&str> = shadow.cosines.iter().map(|c| c.0.as_str()).collect();
    assert_eq!(layers, ["dense1", "dense2", "output"]);
    assert!(shadow.cosines.iter().all(|c| c.1 > 0.97 && c.1 < 1.0), "{:?}", shadow.cosines);
    assert!(shadow.gap().is_some() && events.iter().any(|e| matches!(e, Event::Shadow { .. })));
    assert!(shadow.describe().contains("0.25 % band"), "{}", shadow.describe());
}

#[test]
fn memory_is_predicted_and_measured_by_purpose() {
    let dir = tempfile::tempdir().unwrap();
    let config = TrainConfig { epochs: 2, ..good_recipe() };
    let result = summary(&rest(&begin(job(circle(900), config.clone(), &dir.path().join("a")))));
    let found = result.insight.memory.expect("memory was read");
    let [p, m] = [&found.predicted, &found.measured].map(memory::total);
    assert!(p.abs_diff(m) as f64 <= 0.1 * p as f64, "{found:?}");
    assert!(found.predicted.len() >= 6 && found.predicted.keys().eq(found.measured.keys()));
    let config = TrainConfig { shadow: true, ..config };
    let both = summary(&rest(&begin(job(circle(900), config, &dir.path().join("b")))));
    let both = memory::total(&both.insight.memory.unwrap().measured);
    assert!(both > m + m / 2, "{both} {m}");
}

#[test]
fn a_guarded_run_with_f32_beside_it_resumes_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let config = TrainConfig { shadow: true, what_if_every: 70, dropout: 0.1, ..bad_recipe() };
    let whole = dir.path().join("whole");
    let plain = rest(&begin(job(circle(900), config.clone(), &whole)));
    assert!(!summary(&plain).insight.guard_actions.is_empty());
    let parts = dir.path().join("parts");
    let mut again = job(circle(900), config, &parts);
    for epoch in [2, 5, 11] {
        let mut run = begin_gated(again.clone());
        while !matches!(run.next(), Event::Epoch { epoch: e, .. } if e == epoch) {}
        run.leave();
        assert!(RunFolder::open(&parts).unwrap().interrupted());
        again.resume = true;
    }
    let end = rest(&begin(again));
    let all = RunFolder::open(&parts).unwrap().events().unwrap();
    assert_eq!(losses(&all), losses(&plain));
    let [a, b] = [summary(&end), summary(&plain)];
    assert_eq!(a.insight.guard_actions, b.insight.guard_actions);
    assert_eq!(a.insight.shadow, b.insight.shadow);
    assert!(state(&parts) == state(&whole), "checkpoints differ");
    let names = std::fs::read(whole.join("checkpoint-last.safetensors")).unwrap();
    assert!(String::from_utf8_lossy(&names).contains("shadow/dense1.weight"));
}

#[test]
fn an_action_can_be_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let config = TrainConfig { epochs: 40, ..bad_recipe() };
    let mut run = begin_gated(job(circle(900), config, dir.path()));
    let action = loop {
        if let Event::Guard { action, .. } = run.next() {
            break action;
        }
    };
    run.run.control.send(Control::UndoGuard(action.id)).unwrap();
    let run = run.free();
    let events = rest(&run);
    let back = events.iter().find_map(|e| match e {
        Event::Guard { action: a, .. } if a.id == action.id => Some(a.clone()),
        _ => None,
    });
    assert!(back.is_some_and(|a| a.undone));
    let result = summary(&events);
    let of_tensor: Vec<_> =
        result.insight.guard_actions.iter().filter(|a| a.tensor == action.tensor).collect();
    assert_eq!(of_tensor.len(), 1, "the tensor is left alone: {of_tensor:?}");
    assert!(of_tensor[0].undone);
    assert!(events.iter().any(|e| matches!(e, Event::State(RunState::Finishing))));
}

fn model() -> ModelSpec {
    let head = Head::Classes { count: 3 };
    ModelSpec::mlp(InputSpec::features(150), &[140, 20], Activation::Relu, false, 0.0, false, head)
}

fn batch(rows: usize) -> Batch {
    Batch {
        rows,
        dense: (0..rows * 150).map(|i| ((i * 37 % 101) as f32 - 50.0) / 25.0).collect(),
        categories: Vec::new(),
        targets: (0..rows as u32).map(|i| i % 3).collect(),
        weights: Vec::new(),
    }
}

fn adjusted() -> Adjustments {
    let mut adjustments = Adjustments::default();
    let rule = TensorRule { margin: 2, format: Some(Format::E5M2), scaling: None };
    adjustments.tensors.insert("dense1.input".into(), rule);
    let rule = TensorRule { scaling: Some(Scaling::Block), ..TensorRule::default() };
    adjustments.tensors.insert("dense1.weight".into(), rule);
    adjustments.tensors.insert("dense2.gradient".into(), rule);
    adjustments.high_precision.insert("output".into());
    adjustments
}

#[test]
fn adjusted_plans_hold_the_same_state_and_do_what_was_asked() {
    let params = init(&model(), 3);
    for (recipe, master) in [
        (Recipe::current(), MasterFormat::F32),
        (Recipe::delayed(), MasterFormat::F32),
        (Recipe::delayed(), MasterFormat::Bf16),
        (Recipe::mx(), MasterFormat::F32),
    ] {
        let config = PlanConfig {
            batch: 16,
            precision: Precision::Fp8(recipe),
            optimizer: Optimizer::default(),
            update: UpdateOptions { master, ..UpdateOptions::default() },
        };
        let plain = compile(&model(), &config).unwrap();
        let plan = compile_adjusted(&model(), &config, &adjusted()).unwrap();
        assert_eq!(memory::check(&plan), Vec::<String>::new());
        assert_eq!(plan.state().len(), plain.state().len());
        let mut from = CpuEngine::open(plain).unwrap();
        let mut to = CpuEngine::open(plan).unwrap();
        from.load_params(&params).unwrap();
        let step = |step| StepParams { step, learning_rate: 1e-3, seed: 1 };
        from.train(&[batch(16)], &[step(1)]).unwrap();
        transfer(&mut from, &mut to).unwrap();
        let [a, b] = [&mut from, &mut to].map(|engine: &mut CpuEngine| {
            let loss = engine.train(&[batch(16)], &[step(2)]).unwrap()[0];
            (loss, engine.stats().unwrap())
        });
        assert!((a.0 - b.0).abs() < 0.05 * a.0 && a.0 != b.0, "{recipe:?} {} {}", a.0, b.0);
        let watched = to.plan().watched.clone();
        let stats = |name: &str| {
            let i = watched.iter().position(|w| w.name == name).unwrap();
            (a.1[i].clone(), b.1[i].clone())
        };
        let (before, after) = stats("dense1.input");
        // 2^7 more range, and 2^2 of headroom.
        if matches!(recipe.scaling, Scaling::Current) {
            assert_eq!(after.scale_exponent, before.scale_exponent - 7 + 2);
        }
        assert_eq!(before.amax, after.amax);
        for part in ["input", "weight", "gradient"] {
            assert_eq!(stats(&format!("output.{part}")).1.count, 0, "it is in f32");
        }
        // Evaluation is as the recipe says.
        transfer(&mut from, &mut to).unwrap();
        let [a, b] = [&mut from, &mut to].map(|engine: &mut CpuEngine| {
            engine.prepare_eval().unwrap();
            engine.evaluate(&batch(16)).unwrap()
        });
        assert_eq!(a, b);
    }
}

#[test]
fn a_looking_step_is_the_step() {
    for (_, recipe) in Recipe::NAMED {
        let config = PlanConfig {
            batch: 16,
            precision: Precision::Fp8(recipe),
            optimizer: Optimizer::default(),
            update: UpdateOptions::default(),
        };
        let params = init(&model(), 3);
        let [plain, looking] = [false, true].map(|looking| {
            let mut engine = CpuEngine::open(compile(&model(), &config).unwrap()).unwrap();
            engine.load_params(&params).unwrap();
            let step = StepParams { step: 1, learning_rate: 1e-2, seed: 1 };
            let loss = if looking {
                let mut seen = Vec::new();
                let loss = engine
                    .train_looking(&batch(13), &step, &mut |live| {
                        assert_eq!(live.values.len() as u32, live.op.rows * live.op.cols);
                        assert_eq!(live.exponents.len(), live.op.blocks());
                        seen.push(live.watch);
                    })
                    .unwrap();
                seen.sort_unstable();
                assert_eq!(seen, (0..9).collect::<Vec<_>>());
                loss
            } else {
                engine.train(&[batch(13)], &[step]).unwrap()[0]
            };
            (loss, engine.stats().unwrap(), engine.read_params().unwrap())
        });
        assert_eq!(plain, looking, "{recipe:?}");
    }
}

#[test]
fn the_gpu_engine_follows_adjusted_plans_and_looks_without_changing_a_step() {
    for recipe in [Recipe::current(), Recipe::delayed()] {
        let config = PlanConfig {
            batch: 16,
            precision: Precision::Fp8(recipe),
            optimizer: Optimizer::default(),
            update: UpdateOptions::default(),
        };
        let params = init(&model(), 3);
        let plan = compile_adjusted(&model(), &config, &adjusted()).unwrap();
        let mut cpu = CpuEngine::open(plan.clone()).unwrap();
        let mut gpu = WgpuEngine::open(plan.clone(), true).unwrap();
        let mut looking = WgpuEngine::open(plan, true).unwrap();
        let engines: [&mut dyn Engine; 3] = [&mut cpu, &mut gpu, &mut looking];
        let [cpu, gpu, looking] = engines;
        for engine in [&mut *cpu, &mut *gpu, &mut *looking] {
            engine.load_params(&params).unwrap();
        }
        for i in 1..=4 {
            let step = StepParams { step: i, learning_rate: 1e-2, seed: 1 };
            let a = cpu.train(&[batch(13)], &[step]).unwrap()[0];
            let b = gpu.train(&[batch(13)], &[step]).unwrap()[0];
            let mut seen = 0;
            let c = looking.train_looking(&batch(13), &step, &mut |live| {
                assert_eq!(live.values.len() as u32, live.op.rows * live.op.cols);
                seen += 1;
            });
            let c = c.unwrap();
            // Six of nine: the last layer is in f32.
            assert_eq!(seen, 6);
            assert!((a - b).abs() <= 1e-3 * a, "{recipe:?} {i}: {a} {b}");
            assert_eq!(b.to_bits(), c.to_bits());
            assert_eq!(gpu.stats().unwrap(), looking.stats().unwrap());
        }
        assert_eq!(gpu.read_params().unwrap(), looking.read_params().unwrap());
    }
}

#[test]
fn guard_rails_act_on_the_gpu_engine_too() {
    let dir = tempfile::tempdir().unwrap();
    let config = TrainConfig { epochs: 12, shadow: true, what_if_every: 50, ..bad_recipe() };
    let run = |device| {
        let name = format!("{device:?}");
        let mut job = job(circle(300), config.clone(), &dir.path().join(name));
        job.config.device = device;
        summary(&rest(&begin(job))).insight
    };
    let (cpu, gpu) = (run(DeviceChoice::Cpu), run(DeviceChoice::Gpu));
    for found in [&cpu, &gpu] {
        assert!(!found.guard_actions.is_empty() && found.shadow.is_some(), "{found:?}");
        assert_eq!(found.what_if.len(), 9);
    }
    let first = |found: &fp8_studio::train::insight::Insight| {
        (found.guard_actions[0].tensor.clone(), found.guard_actions[0].measure)
    };
    assert_eq!(first(&cpu), first(&gpu));
}

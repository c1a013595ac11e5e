//! Private training on both engines, from the command line, and sealed files.

use std::path::Path;
use std::process::{Command, Output};

use fp8_studio::data::rng::Rng;
use fp8_studio::engine::cpu::CpuEngine;
use fp8_studio::engine::wgpu::WgpuEngine;
use fp8_studio::engine::{Batch, Engine, StepParams};
use fp8_studio::fp8::{Precision, Recipe};
use fp8_studio::model::init::init;
use fp8_studio::model::{Activation, EmbeddingSpec, Head, InputSpec, ModelSpec};
use fp8_studio::plan::{Optimizer, Plan, PlanConfig, UpdateOptions, compile};
use fp8_studio::train::private::{Chance, Mechanism, Source};
use fp8_studio::train::{Event, Private, TrainConfig};

use crate::pair::{gpu, numbers};
use crate::support;

const ROWS: usize = 13;
const CLIP: f32 = 0.3;

fn model() -> ModelSpec {
    let embeddings = vec![EmbeddingSpec { name: "town".into(), cardinality: 5, dim: 3 }];
    let input = InputSpec { dense: 6, embeddings, image: None };
    ModelSpec::mlp(input, &[20, 9], Activation::Gelu, true, 0.0, false, Head::Classes { count: 3 })
}

fn rows() -> Batch {
    Batch {
        rows: ROWS,
        dense: numbers(ROWS * 6, 3),
        categories: (0..ROWS as u32).map(|i| i % 5).collect(),
        targets: (0..ROWS as u32).map(|i| i % 3).collect(),
        weights: Vec::new(),
    }
}

fn row(batch: &Batch, i: usize) -> Batch {
    Batch {
        rows: 1,
        dense: batch.dense[i * 6..(i + 1) * 6].to_vec(),
        categories: vec![batch.categories[i]],
        targets: vec![batch.targets[i]],
        weights: Vec::new(),
    }
}

/// Plain steps of the size of the learning rate.
const SGD: Optimizer = Optimizer::Sgd { momentum: 0.0, weight_decay: 0.0 };

fn plan(precision: Precision, row_clip: Option<f32>) -> Plan {
    let update = UpdateOptions { row_clip, ..UpdateOptions::default() };
    compile(&model(), &PlanConfig { batch: 1, precision, optimizer: SGD, update }).unwrap()
}

fn engines(plan: &Plan) -> Vec<Box<dyn Engine>> {
    let mut all: Vec<Box<dyn Engine>> = vec![
        Box::new(CpuEngine::open(plan.clone()).unwrap()),
        Box::new(WgpuEngine::on(gpu(), plan.clone(), None).unwrap()),
    ];
    for engine in &mut all {
        engine.load_params(&init(&model(), 5)).unwrap();
    }
    all
}

fn floats(engine: &mut dyn Engine, id: fp8_studio::plan::BufferId) -> Vec<f32> {
    engine.read(id).unwrap().into_iter().map(f32::from_bits).collect()
}

/// The sum of the gradients of all rows, each clipped, from gradients read one by one, and their
/// norms before.
fn by_hand(precision: Precision, clip: f32) -> (Vec<Vec<f64>>, Vec<f64>) {
    let plan = plan(precision, None);
    let mut engine = CpuEngine::open(plan.clone()).unwrap();
    engine.load_params(&init(&model(), 5)).unwrap();
    let mut sums: Vec<Vec<f64>> = Vec::new();
    let mut norms = Vec::new();
    for i in 0..ROWS {
        let step = StepParams { step: i as u64 + 1, learning_rate: 0.0, seed: 0 };
        engine.train(&[row(&rows(), i)], &[step]).unwrap();
        let ids: Vec<_> = plan.params.iter().filter_map(|p| p.gradient).collect();
        let all: Vec<Vec<f32>> = ids.into_iter().map(|id| floats(&mut engine, id)).collect();
        let norm = all.iter().flatten().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        let factor = (f64::from(clip) / norm).min(1.0);
        norms.push(norm);
        sums.resize(all.len(), Vec::new());
        for (sum, values) in sums.iter_mut().zip(all) {
            sum.resize(values.len(), 0.0);
            sum.iter_mut().zip(values).for_each(|(s, v)| *s += factor * f64::from(v));
        }
    }
    (sums, norms)
}

fn distance(engine: &mut dyn Engine, want: &[Vec<f64>]) -> f64 {
    let ids: Vec<_> = engine.plan().params.iter().filter_map(|p| p.accumulator).collect();
    let got: Vec<Vec<f32>> = ids.into_iter().map(|id| floats(engine, id)).collect();
    assert_eq!(got.len(), want.len());
    let pairs = got.iter().flatten().zip(want.iter().flatten());
    let (off, size) = pairs
        .fold((0.0, 0.0), |(off, size), (g, w)| (off + (f64::from(*g) - w).powi(2), size + w * w));
    f64::sqrt(off / size)
}

#[test]
fn gradients_of_rows_are_clipped_one_by_one() {
    for (precision, tolerance) in
        [(Precision::F32, 1e-5), (Precision::Fp8(Recipe::current()), 1e-2)]
    {
        let (unclipped, mut norms) = by_hand(precision, 1e9);
        norms.sort_by(f64::total_cmp);
        // Half of the rows are clipped.
        let clip = norms[ROWS / 2] as f32;
        assert!(norms[0] < 0.9 * norms[ROWS - 1], "{norms:?}");
        let (want, _) = by_hand(precision, clip);
        let plan = plan(precision, Some(clip));
        for mut engine in engines(&plan) {
            let batches: Vec<Batch> = (0..ROWS).map(|i| row(&rows(), i)).collect();
            let step = |i| StepParams { step: i as u64 + 1, learning_rate: 0.1, seed: 0 };
            let steps: Vec<StepParams> = (0..ROWS).map(step).collect();
            let before = engine.read_params().unwrap();
            engine.train(&batches, &steps).unwrap();
            let off = distance(engine.as_mut(), &want);
            assert!(off < tolerance, "{precision:?}: {off}");
            assert!(distance(engine.as_mut(), &unclipped) > 2.0 * tolerance);
            // Nothing is updated before it is asked for, and the sums start anew afterwards.
            assert_eq!(engine.read_params().unwrap(), before);
            engine.update(&StepParams { step: 1, learning_rate: 0.1, seed: 0 }).unwrap();
            let after = engine.read_params().unwrap();
            let size = want.iter().flatten().map(|v| v * v).sum::<f64>().sqrt();
            let most = 0.1 * tolerance * size + 1e-6;
            for ((a, b), sum) in before.iter().zip(&after).zip(&want) {
                for ((a, b), g) in a.values.iter().zip(&b.values).zip(sum) {
                    let want = f64::from(*a) - 0.1 * g;
                    assert!((f64::from(*b) - want).abs() < most, "{}", b - a);
                }
            }
            let zero: Vec<_> = engine.plan().params.iter().filter_map(|p| p.accumulator).collect();
            for id in zero {
                assert!(floats(engine.as_mut(), id).iter().all(|v| *v == 0.0));
            }
        }
    }
}

#[test]
fn noise_has_the_size_that_was_accounted_for() {
    let want = Private { epsilon: 1.0, delta: Some(1e-5), clip: CLIP };
    let mechanism = Mechanism::new(want, 1000, 50, 100).unwrap();
    let spent = mechanism.spent(100);
    assert!(spent.epsilon <= 1.0 && spent.epsilon > 0.95, "{spent:?}");
    assert_eq!((spent.sample_rate, spent.steps), (0.05, 100));
    // A lot without rows leaves nothing but noise: its mean over 50 rows of clip · multiplier.
    let spread = spent.noise_multiplier * f64::from(CLIP) / 50.0;
    for mut engine in engines(&plan(Precision::F32, Some(CLIP))) {
        let before = engine.read_params().unwrap();
        let mut chance = Chance::new(Source::Seed(Rng::new(1)));
        let step = StepParams { step: 1, learning_rate: 1.0, seed: 0 };
        let loss = mechanism.step(engine.as_mut(), &Batch::default(), &step, 0, &mut chance);
        assert_eq!(loss.unwrap(), 0.0);
        let after = engine.read_params().unwrap();
        let moved = before.iter().zip(&after).flat_map(|(a, b)| a.values.iter().zip(&b.values));
        let squares: Vec<f64> = moved.map(|(a, b)| f64::from(a - b).powi(2)).collect();
        let n = squares.len() as f64;
        let got = (squares.iter().sum::<f64>() / n).sqrt();
        // The spread of a standard deviation of n values is 1/√(2n) of it.
        assert!((got / spread - 1.0).abs() < 5.0 / (2.0 * n).sqrt(), "{got} {spread}");
    }
}

#[test]
fn rows_that_cannot_be_told_apart_are_refused() {
    let config = |batch, row_clip| PlanConfig {
        batch,
        precision: Precision::F32,
        optimizer: SGD,
        update: UpdateOptions { row_clip, ..UpdateOptions::default() },
    };
    for (batch, clip) in [(2, 1.0), (1, 0.0), (1, f32::NAN)] {
        assert!(compile(&model(), &config(batch, Some(clip))).is_err());
    }
    let delayed =
        PlanConfig { precision: Precision::Fp8(Recipe::delayed()), ..config(1, Some(1.0)) };
    assert!(compile(&model(), &delayed).is_err());
    let ordinary = compile(&model(), &config(1, None)).unwrap();
    let mut engine = CpuEngine::open(ordinary).unwrap();
    assert!(engine.update(&StepParams { step: 1, learning_rate: 0.1, seed: 0 }).is_err());

    let private = Some(Private::of(2.0));
    let good = TrainConfig { private, ..TrainConfig::default() };
    good.check().unwrap();
    type Change = fn(&mut TrainConfig);
    let changes: [Change; 6] = [
        |c| c.private = Some(Private::of(0.0)),
        |c| c.reweigh = Some("sex".to_owned()),
        |c| c.adversarial = Some(0.1),
        |c| c.architecture = fp8_studio::train::Architecture::ResNet,
        |c| c.precision = Precision::Fp8(Recipe::delayed()),
        |c| c.update.accumulate = 2,
    ];
    for change in changes {
        let mut config = good.clone();
        change(&mut config);
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains("private training"), "{error}");
    }
}

#[test]
fn a_private_run_learns_and_says_what_it_spent() {
    let dir = tempfile::tempdir().unwrap();
    let config = TrainConfig {
        private: Some(Private::of(8.0)),
        batch_size: 128,
        epochs: 12,
        patience: 0,
        dropout: 0.0,
        learning_rate: 5e-3,
        hidden: vec![16],
        watch: Some("a".to_owned()),
        ..TrainConfig::default()
    };
    let watched = TrainConfig { watch: None, ..config.clone() };
    let job = support::job(support::circle(3000), watched, &dir.path().join("run"));
    let summary = support::summary(&support::rest(&support::begin(job)));
    let spent = summary.privacy.unwrap();
    assert!(spent.epsilon <= 8.0 && spent.epsilon > 7.0, "{spent:?}");
    let (_, accuracy) = summary.test.main().unwrap();
    assert!(accuracy > summary.baseline + 0.1, "{accuracy} {}", summary.baseline);
    let model = fp8_studio::export::ModelInfo::of_run(
        &fp8_studio::train::RunFolder::open(&dir.path().join("run")).unwrap(),
    );
    assert_eq!(model.privacy, Some(spent));
    // A column that is not there is named.
    let job = support::job(support::circle(300), config, &dir.path().join("other"));
    let events = support::rest(&support::begin(job));
    let Some(Event::Failed(e)) = events.last() else { panic!("{events:?}") };
    assert!(e.what.contains("no column \"a\""), "{e}");
}

fn program(args: &[&str], passphrase: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fp8-studio"));
    let home = std::env::temp_dir().join("fp8-studio-tests");
    command.env("XDG_DATA_HOME", home).env_remove("FP8_STUDIO_PASSPHRASE");
    if let Some(passphrase) = passphrase {
        command.env("FP8_STUDIO_PASSPHRASE", passphrase);
    }
    command.args(args).stdin(std::process::Stdio::null()).output().unwrap()
}

fn done(args: &[&str], passphrase: Option<&str>) -> String {
    let output = program(args, passphrase);
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {err}");
    String::from_utf8(output.stdout).unwrap()
}

fn refused(args: &[&str], passphrase: Option<&str>) -> String {
    let output = program(args, passphrase);
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn sealed_models_and_projects_open_with_their_passphrase_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("projects/penguins");
    let run = path("run");
    let train =
        ["train", sample.to_str().unwrap(), "--epochs", "8", "--watch", "sex", "--out", &run];
    done(&[&train[..], &["--device", "cpu", "--quiet"]].concat(), None);
    let log = std::fs::read_to_string(dir.path().join("run/events.jsonl")).unwrap_or_default();
    assert!(log.contains("\"groups\"") && log.contains("\"column\":\"sex\""), "{log}");

    let (plain, sealed) = (path("m.safetensors"), path("m.safetensors.age"));
    done(&["export", &run, "-o", &plain], None);
    let export = ["export", &run, "-o", &plain, "--encrypt"];
    assert!(done(&export, Some("s3cret word")).contains("m.safetensors.age"));
    let bytes = std::fs::read(&sealed).unwrap();
    assert!(bytes.starts_with(b"age-encryption.org/v1"));
    assert!(!bytes.windows(10).any(|w| w == b"fp8_studio"));
    let csv = sample.join("penguins.csv");
    let csv = csv.to_str().unwrap();
    let open = done(&["predict", &plain, csv], None);
    assert_eq!(done(&["predict", &sealed, csv], Some("s3cret word")), open);
    std::fs::write(path("word"), "s3cret word\nother line\n").unwrap();
    let by_file = ["predict", &sealed, csv, "--passphrase-file", &path("word")];
    assert_eq!(done(&by_file, None), open);
    let wrong = refused(&["predict", &sealed, csv], Some("s3cret Word"));
    assert!(wrong.contains("does not open it") && wrong.contains("next:"), "{wrong}");
    let none = refused(&["predict", &sealed, csv], None);
    assert!(none.contains("A passphrase is needed"), "{none}");

    let key = path("key");
    let public = done(&["seal", "--new-key", &key], None);
    let public = public.lines().last().unwrap();
    let for_key = path("k.age");
    done(&["seal", &plain, "--recipient", public, "-o", &for_key], None);
    assert_eq!(done(&["predict", &for_key, csv, "--identity", &key], None), open);
    assert!(refused(&["seal", "--new-key", &key], None).contains("would be lost"));

    let project = path("p.zip.age");
    done(&["seal", sample.to_str().unwrap(), "-o", &project], Some("x"));
    let back = path("back");
    done(&["unseal", &project, "-o", &back], Some("x"));
    let same = |name: &str| {
        let (a, b) = (sample.join(name), dir.path().join("back").join(name));
        assert_eq!(std::fs::read(a).unwrap(), std::fs::read(b).unwrap());
    };
    same("penguins.csv");
    assert!(refused(&["unseal", &project, "-o", &back], Some("x")).contains("already"));
    assert!(refused(&["unseal", &project], Some("y")).contains("does not open"));
}

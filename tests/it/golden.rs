//! Ten f32 training steps against figures recorded from PyTorch (`tests/golden/mlp.py`).

use std::path::PathBuf;

use fp8_studio::device::DeviceChoice;
use fp8_studio::engine::{self, Batch, StepParams};
use fp8_studio::fp8::Precision;
use fp8_studio::model::ModelSpec;
use fp8_studio::model::init::Param;
use fp8_studio::plan::{self, Optimizer, PlanConfig, UpdateOptions};
use serde::Deserialize;

/// Largest accepted |ours − PyTorch's| of a loss or a weight, both of order 1, after up to ten
/// steps. PyTorch's own f32 and f64 runs lie up to 4e-7 apart; another order of summation may
/// lose a few times that, a wrong formula loses at least 1e-3.
const TOLERANCE: f64 = 5e-6;

const CASES: [&str; 4] = [
    "relu_cross_entropy_adamw",
    "gelu_norm_cross_entropy_sgd",
    "relu_embedding_mse_sgd",
    "gelu_norm_mse_adamw",
];

#[derive(Deserialize)]
struct Case {
    model: ModelSpec,
    optimizer: Optimizer,
    learning_rates: Vec<f32>,
    float64_gap: Gap,
    initial: Vec<Tensor>,
    batches: Vec<Rows>,
    losses: Vec<f32>,
    #[serde(rename = "final")]
    last: Vec<Tensor>,
}

#[derive(Deserialize)]
struct Gap {
    loss: f64,
    weight: f64,
}

#[derive(Deserialize, Clone)]
struct Tensor {
    name: String,
    shape: Vec<usize>,
    values: Vec<f32>,
}

#[derive(Deserialize)]
struct Rows {
    rows: usize,
    dense: Vec<f32>,
    categories: Vec<u32>,
    targets: Vec<serde_json::Number>,
    weights: Vec<f32>,
}

/// What a run leaves, recorded or replayed.
#[derive(Clone)]
struct Outcome {
    losses: Vec<f32>,
    params: Vec<Tensor>,
}

fn load(name: &str) -> Case {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn replay(case: &Case, device: DeviceChoice) -> Outcome {
    let batch = case.batches.iter().map(|b| b.rows).max().unwrap();
    let config = PlanConfig {
        batch,
        precision: Precision::F32,
        optimizer: case.optimizer,
        update: UpdateOptions::default(),
    };
    let plan = plan::compile(&case.model, &config).unwrap();
    let classes = matches!(case.model.head, fp8_studio::model::Head::Classes { .. });

    let start: Vec<Param> = plan
        .params
        .iter()
        .map(|p| {
            let t = case.initial.iter().find(|t| t.name == p.name).unwrap_or_else(|| {
                panic!("the golden run has no parameter {}", p.name);
            });
            assert_eq!(t.shape, p.shape, "{}", p.name);
            Param { name: t.name.clone(), shape: t.shape.clone(), values: t.values.clone() }
        })
        .collect();
    assert_eq!(start.len(), case.initial.len(), "parameters of the plan");

    let batches: Vec<Batch> = case
        .batches
        .iter()
        .map(|b| Batch {
            rows: b.rows,
            dense: b.dense.clone(),
            categories: b.categories.clone(),
            targets: b
                .targets
                .iter()
                .map(|t| {
                    if classes {
                        t.as_u64().unwrap() as u32
                    } else {
                        (t.as_f64().unwrap() as f32).to_bits()
                    }
                })
                .collect(),
            weights: b.weights.clone(),
        })
        .collect();
    let steps: Vec<StepParams> = (1..)
        .zip(&case.learning_rates)
        .map(|(step, &learning_rate)| StepParams { step, learning_rate, seed: 1 })
        .collect();

    let (mut engine, fallback) = engine::open(device, plan).unwrap();
    assert_eq!(fallback, None, "the engine asked for runs");
    engine.load_params(&start).unwrap();
    let losses = engine.train(&batches, &steps).unwrap();
    let params = engine
        .read_params()
        .unwrap()
        .into_iter()
        .map(|p| Tensor { name: p.name, shape: p.shape, values: p.values })
        .collect();
    Outcome { losses, params }
}

/// The first value that lies further apart than the tolerance, in words.
fn compare(recorded: &Outcome, replayed: &Outcome) -> Result<(), String> {
    let close = |a: f32, b: f32| (f64::from(a) - f64::from(b)).abs() <= TOLERANCE;
    if recorded.losses.len() != replayed.losses.len() {
        return Err(format!("{} losses, not {}", replayed.losses.len(), recorded.losses.len()));
    }
    for (i, (&a, &b)) in recorded.losses.iter().zip(&replayed.losses).enumerate() {
        if !close(a, b) {
            return Err(format!("loss of step {}: PyTorch {a}, replayed {b}", i + 1));
        }
    }
    if recorded.params.len() != replayed.params.len() {
        return Err(format!("{} tensors, not {}", replayed.params.len(), recorded.params.len()));
    }
    for a in &recorded.params {
        let b = replayed.params.iter().find(|b| b.name == a.name);
        let b = b.ok_or_else(|| format!("{} is missing", a.name))?;
        if a.shape != b.shape || a.values.len() != b.values.len() {
            return Err(format!("{} has shape {:?}, not {:?}", a.name, b.shape, a.shape));
        }
        for (i, (&x, &y)) in a.values.iter().zip(&b.values).enumerate() {
            if !close(x, y) {
                return Err(format!("{}[{i}]: PyTorch {x}, replayed {y}", a.name));
            }
        }
    }
    Ok(())
}

fn check(device: DeviceChoice) {
    for name in CASES {
        let case = load(name);
        assert_eq!(case.losses.len(), 10, "{name}");
        assert!(case.float64_gap.loss.max(case.float64_gap.weight) < TOLERANCE, "{name}");
        let replayed = replay(&case, device);
        let recorded = Outcome { losses: case.losses, params: case.last };
        if let Err(e) = compare(&recorded, &replayed) {
            panic!("{name}: {e}");
        }
    }
}

#[test]
fn cpu_engine_repeats_pytorch() {
    check(DeviceChoice::Cpu);
}

#[test]
fn gpu_engine_repeats_pytorch() {
    check(DeviceChoice::Gpu);
}

#[test]
fn training_moves_what_is_compared() {
    for name in CASES {
        let case = load(name);
        for (first, last) in case.initial.iter().zip(&case.last) {
            let moved = first.values.iter().zip(&last.values).any(|(a, b)| (a - b).abs() > 1e-3);
            assert!(moved, "{name}: {} stood still, so comparing it proves nothing", first.name);
        }
    }
}

#[test]
fn comparison_fails_on_planted_wrong_figures() {
    let case = load(CASES[0]);
    let recorded = Outcome { losses: case.losses, params: case.last };
    assert_eq!(compare(&recorded, &recorded.clone()), Ok(()));

    let mut wrong = recorded.clone();
    wrong.losses[9] += 2e-5;
    assert!(compare(&recorded, &wrong).unwrap_err().contains("step 10"));

    let mut wrong = recorded.clone();
    *wrong.params[2].values.last_mut().unwrap() -= 2e-5;
    assert!(compare(&recorded, &wrong).unwrap_err().contains(&recorded.params[2].name));

    for spoil in [f32::NAN, f32::INFINITY] {
        let mut wrong = recorded.clone();
        wrong.params[0].values[0] = spoil;
        assert!(compare(&recorded, &wrong).is_err());
        let mut wrong = recorded.clone();
        wrong.losses[0] = spoil;
        assert!(compare(&recorded, &wrong).is_err());
    }

    let mut wrong = recorded.clone();
    wrong.params.pop();
    assert!(compare(&recorded, &wrong).is_err());
    let mut wrong = recorded.clone();
    wrong.losses.pop();
    assert!(compare(&recorded, &wrong).is_err());
}

//! `fp8-studio compare`.

use std::path::PathBuf;
use std::sync::Arc;

use super::args::CompareArgs;
use super::source::{self, Source};
use super::{describe, terminal};
use crate::data::Progress;
use crate::deploy::cost::Assumptions;
use crate::error::UserError;
use crate::eval::verdict::{self, Arm, Verdict};
use crate::train::Job;

/// Compares and shows what came of it.
pub(super) fn run(args: &CompareArgs) -> Result<(), UserError> {
    let assumptions = assumptions(args)?;
    let source = source::open_with(&args.source, &args.data, true)?;
    let mut job = job(source);
    job.config.epochs = args.epochs.unwrap_or(job.config.epochs);
    if let Some(device) = args.device {
        job.config.device = device.into();
    }
    let found = verdict::in_scratch(&job, &Progress::default())?;
    if args.json {
        terminal::json(&found)
    } else {
        terminal::out(&(text(&found) + &costs(&found, &assumptions)))
    }
}

/// The prices to reckon with.
fn assumptions(args: &CompareArgs) -> Result<Assumptions, UserError> {
    let mut out = Assumptions::default();
    let usable = |v: &f64| v.is_finite() && *v >= 0.0;
    if let Some(load) = args.load {
        if !usable(&load) || load < 1.0 {
            return Err(UserError::new("--load must be a number of 1 or more", ""));
        }
        out.load = load;
    }
    for price in &args.price {
        let parts = price.split_once('=');
        let value = parts.and_then(|(_, v)| v.trim().parse::<f64>().ok()).filter(usable);
        let name = parts.map_or("", |(name, _)| name.trim());
        let names: Vec<&str> = out.places.iter().map(|p| p.name).collect();
        let names = names.join(", ");
        let place = out.places.iter_mut().find(|p| p.name.eq_ignore_ascii_case(name));
        match (place, value) {
            (Some(place), Some(value)) => place.per_hour = value,
            _ => {
                return Err(UserError::new(
                    format!("\"{price}\" is not a place and its price"),
                    format!("Write it like \"cloud CPU=0.08\"; the places are {names}."),
                ));
            }
        }
    }
    Ok(out)
}

/// What FP8 and f32 cost in every place.
fn costs(v: &Verdict, a: &Assumptions) -> String {
    let arms: Vec<&Arm> = v.arms.iter().filter(|arm| ["FP8", "f32"].contains(&arm.name)).collect();
    let mut head = vec!["Cost at example prices".to_owned(), "an hour".to_owned()];
    for arm in &arms {
        head.push(format!("{}, 1 000 predictions", arm.name));
        head.push(format!("{}, a training", arm.name));
    }
    let mut rows = vec![head];
    for place in &a.places {
        let mut row = vec![place.name.to_owned(), format!("{:.3}", place.per_hour)];
        for arm in &arms {
            let cost = a.cost(place, arm.fastest(), arm.train_seconds);
            row.push(format!("{:.6}", cost.per_thousand));
            row.push(cost.per_training.map_or("–".to_owned(), |c| format!("{c:.6}")));
        }
        rows.push(row);
    }
    format!(
        "\n{}  ({} predictions a day; --load and --price change that)\n",
        terminal::table(&rows),
        terminal::count(a.load as u64)
    )
}

/// A training with the project's own settings; its folder is set by the comparison.
pub(super) fn job(source: Source) -> Job {
    let Source { project, dataset, schema } = source;
    let split = project.split_config();
    Job {
        project: project.name,
        dataset: Arc::new(dataset),
        schema,
        prep: project.prep,
        split,
        config: project.train,
        folder: PathBuf::new(),
        resume: false,
    }
}

fn text(v: &Verdict) -> String {
    let mut out = format!(
        "\n{}: FP8, bf16 and f32 on {} test rows, with {}\n\n",
        v.project,
        terminal::count(v.rows),
        describe::engine(&v.engine)
    );
    for sentence in &v.card {
        out += &format!("  {sentence}\n");
    }
    let mut head = vec![String::new()];
    head.extend(v.arms.iter().map(|a| a.name.to_owned()));
    let mut rows = vec![head];
    let mut add = |name: &str, cell: &dyn Fn(&Arm) -> String| {
        rows.push(std::iter::once(name.to_owned()).chain(v.arms.iter().map(cell)).collect());
    };
    let none = || "–".to_owned();
    add(v.metric.label(), &|a| v.metric.format(a.score));
    add("  95 % interval", &|a| {
        format!("{} – {}", v.metric.format(a.interval.low), v.metric.format(a.interval.high))
    });
    add("  against f32", &|a| format!("{:+.4}", a.difference));
    add("Loss", &|a| format!("{:.4}", a.loss));
    add("Loss gap", &|a| format!("{:+.4}", a.loss_gap));
    add("Calibration error", &|a| a.ece.map_or_else(none, |e| format!("{:.2} %", 100.0 * e)));
    add("Worst group", &|a| {
        a.worst_slice.as_ref().map_or_else(none, |(_, value)| format!("{value:.4}"))
    });
    add("Same answers as f32", &|a| format!("{:.2} %", 100.0 * a.agreement));
    add("Training", &|a| a.train_seconds.map_or_else(none, terminal::duration));
    add("  all cores together", &|a| a.core_seconds.map_or_else(none, terminal::duration));
    add("One row, middle", &|a| format!("{:.0} µs", a.latency_p50));
    add("One row, 95 %", &|a| format!("{:.0} µs", a.latency_p95));
    let batches = v.arms.first().map(|a| a.throughput.clone()).unwrap_or_default();
    for (i, (batch, _)) in batches.iter().enumerate() {
        add(&format!("Rows/s in batches of {batch}"), &|a| {
            a.throughput.get(i).map_or_else(none, |t| terminal::count(t.1 as u64))
        });
    }
    add("File, bytes", &|a| terminal::count(a.file_bytes));
    add("Memory to train, bytes", &|a| terminal::count(a.memory_bytes));
    add("Best for its size", &|a| if a.pareto { "yes".to_owned() } else { String::new() });
    out + "\n" + &terminal::table(&rows)
}

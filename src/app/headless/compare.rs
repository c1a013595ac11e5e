//! `fp8-studio compare`.

use std::path::PathBuf;
use std::sync::Arc;

use super::args::CompareArgs;
use super::source::{self, Source};
use super::{describe, terminal};
use crate::data::Progress;
use crate::error::UserError;
use crate::eval::verdict::{self, Arm, Verdict};
use crate::train::Job;

/// Compares and shows what came of it.
pub(super) fn run(args: &CompareArgs) -> Result<(), UserError> {
    let source = source::open_with(&args.source, &args.data, true)?;
    let mut job = job(source);
    job.config.epochs = args.epochs.unwrap_or(job.config.epochs);
    if let Some(device) = args.device {
        job.config.device = device.into();
    }
    let found = verdict::in_scratch(&job, &Progress::default())?;
    if args.json { terminal::json(&found) } else { terminal::out(&text(&found)) }
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

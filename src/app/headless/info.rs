//! `fp8-studio info`.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::args::InfoArgs;
use super::{describe, terminal};
use crate::device::adapter::{MATRIX_UNITS_ENV, MatrixUnits, matrix_units_wanted};
use crate::device::{self, AdapterInfo, SelfTest};
use crate::engine::EngineInfo;
use crate::engine::tune::{self, Tuned};
use crate::error::UserError;

#[derive(Serialize)]
struct Report {
    version: &'static str,
    /// What `--device auto` uses.
    engine: EngineInfo,
    adapters: Vec<Adapter>,
    /// With `--tuning`.
    #[serde(skip_serializing_if = "Option::is_none")]
    tuning: Option<Tuning>,
}

/// Measured speeds of kernels.
#[derive(Serialize)]
struct Tuning {
    /// Where they are kept; none where the system names no folder for it.
    file: Option<PathBuf>,
    measured: Vec<Tuned>,
}

#[derive(Serialize)]
struct Adapter {
    #[serde(flatten)]
    info: AdapterInfo,
    /// Matrix units that products of codes could run on.
    matrix_units: Option<MatrixUnits>,
    /// The test's report, or why it could not run.
    self_test: Result<SelfTest, String>,
}

/// Tests every adapter and shows the results.
pub(super) fn run(args: &InfoArgs) -> Result<(), UserError> {
    let file = tune::file();
    if args.clear_tuning {
        return clear(file.as_deref());
    }
    let adapters: Vec<Adapter> = device::inspect()
        .into_iter()
        .map(|i| Adapter {
            info: i.info,
            matrix_units: i.capabilities.matrix_units,
            self_test: i.self_test.map_err(|e| e.to_string()),
        })
        .collect();
    let works = |a: &&Adapter| !a.info.software && a.self_test.as_ref().is_ok_and(SelfTest::passed);
    let engine = match adapters.iter().find(works) {
        Some(a) => EngineInfo::Gpu(a.info.clone()),
        None => crate::engine::cpu::info(),
    };
    let measured = || file.as_deref().map(tune::measurements).unwrap_or_default();
    let tuning = args.tuning.then(|| Tuning { measured: measured(), file: file.clone() });
    let report = Report { version: env!("CARGO_PKG_VERSION"), engine, adapters, tuning };
    if args.json { terminal::json(&report) } else { terminal::out(&text(&report)) }
}

fn clear(file: Option<&Path>) -> Result<(), UserError> {
    let Some(file) = file else {
        return terminal::out("No measurements are kept on this system.\n");
    };
    match tune::clear(file) {
        Ok(true) => {
            terminal::out(&format!("Measured speeds of kernels forgotten: {}\n", file.display()))
        }
        Ok(false) => terminal::out("There were no measured speeds of kernels.\n"),
        Err(e) => Err(UserError::new(
            format!("The measured speeds in {} cannot be removed: {e}.", file.display()),
            "Close other programs that use the file, or remove it by hand.",
        )),
    }
}

fn tuning(of: &Tuning) -> String {
    let mut text = "\nMeasured speeds of kernels, the fastest first\n".to_owned();
    if let Some(file) = &of.file {
        text += &format!("  kept in {}\n", file.display());
    }
    if of.measured.is_empty() {
        text += "  nothing was measured yet: it is when a model first trains on a GPU\n";
    }
    for tuned in &of.measured {
        text += &format!("\n{}\n", describe::adapter(&tuned.adapter));
        for (key, choice) in &tuned.choices {
            text += &format!("  {key}\n");
            let mut times: Vec<_> = choice.microseconds.iter().collect();
            times.sort_by(|a, b| a.1.total_cmp(b.1));
            for (name, time) in times {
                let used = if *name == choice.chosen { "  used" } else { "" };
                text += &format!("    {name:<16} {time:>12.1} µs{used}\n");
            }
            for (name, why) in &choice.unusable {
                text += &format!("    {name:<16} not used: {why}\n");
            }
        }
    }
    text
}

fn text(report: &Report) -> String {
    let mut text = format!("FP8 Studio {}\n", report.version);
    text += &format!("Trains with: {}\n", describe::engine(&report.engine));
    if report.adapters.is_empty() {
        text += "No GPU was found. None is needed: the processor trains as well.\n";
    }
    for a in &report.adapters {
        text += &format!("\n{}\n", describe::adapter(&a.info));
        if !a.info.driver.is_empty() {
            text += &format!("  driver: {}\n", a.info.driver);
        }
        match &a.self_test {
            Ok(test) => {
                let verdict = if test.passed() { "passed" } else { "FAILED, it will not be used" };
                text += &format!("  self-test: {verdict}\n");
                for p in &test.probes {
                    let mark = if p.passed { "ok" } else { "WRONG" };
                    text += &format!("    {mark:<5} {}: {}\n", p.name, p.message);
                }
                let keeps = if test.keeps_subnormals { "kept" } else { "flushed to zero" };
                text +=
                    &format!("    note  tiny f32 values (subnormals) are {keeps}; both are fine\n");
            }
            Err(e) => text += &format!("  self-test: could not run ({e})\n"),
        }
        if let Some(MatrixUnits { size, lanes }) = a.matrix_units {
            let switch = if matrix_units_wanted() {
                format!("used ({MATRIX_UNITS_ENV})")
            } else {
                format!("not used; {MATRIX_UNITS_ENV}=on lets products of FP8 codes run on them")
            };
            text +=
                &format!("  matrix units: {size} x {size}, {lanes} threads a subgroup: {switch}\n");
        }
        if a.info.software {
            text += "  used only when asked for with --device gpu\n";
        }
    }
    if let Some(of) = &report.tuning {
        text += &tuning(of);
    }
    text
}

//! `fp8-studio info`.

use serde::Serialize;

use super::args::InfoArgs;
use super::{describe, terminal};
use crate::device::{self, AdapterInfo, SelfTest};
use crate::engine::EngineInfo;
use crate::error::UserError;

#[derive(Serialize)]
struct Report {
    version: &'static str,
    /// What `--device auto` uses.
    engine: EngineInfo,
    adapters: Vec<Adapter>,
}

#[derive(Serialize)]
struct Adapter {
    #[serde(flatten)]
    info: AdapterInfo,
    /// The test's report, or why it could not run.
    self_test: Result<SelfTest, String>,
}

/// Tests every adapter and shows the results.
pub(super) fn run(args: &InfoArgs) -> Result<(), UserError> {
    let adapters: Vec<Adapter> = device::inspect()
        .into_iter()
        .map(|i| Adapter { info: i.info, self_test: i.self_test.map_err(|e| e.to_string()) })
        .collect();
    let works = |a: &&Adapter| !a.info.software && a.self_test.as_ref().is_ok_and(SelfTest::passed);
    let engine = match adapters.iter().find(works) {
        Some(a) => EngineInfo::Gpu(a.info.clone()),
        None => crate::engine::cpu::info(),
    };
    let report = Report { version: env!("CARGO_PKG_VERSION"), engine, adapters };
    if args.json { terminal::json(&report) } else { terminal::out(&text(&report)) }
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
        if a.info.software {
            text += "  used only when asked for with --device gpu\n";
        }
    }
    text
}

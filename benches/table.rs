//! A CSV of 1,000,000 rows and 20 columns: how long it takes to load and to check. Made in a temporary
//! folder; the ratio to pandas is printed where a Python with pandas is named.
//!
//!     cargo bench --bench table
//!     FP8_STUDIO_PYTHON=/path/to/python cargo bench --bench table

#![allow(clippy::print_stdout, clippy::expect_used)]

mod tables;

use std::fmt::Write;
use std::process::Command;
use std::time::Instant;

use fp8_studio::data::{ImportOptions, Progress, Schema, Split, SplitConfig, open};
use fp8_studio::quality;
use tables::{ROWS, csv};

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("large.csv");
    std::fs::write(&path, table()).expect("a temporary file");
    let size = std::fs::metadata(&path).map_or(0, |m| m.len());
    println!("{ROWS} rows, 20 columns, {} MB", size / 1_000_000);
    let load = || open(&path, &ImportOptions::default(), &Progress::default()).expect("a table");
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let begin = Instant::now();
        assert_eq!(load().len(), ROWS);
        best = best.min(begin.elapsed().as_secs_f64());
    }
    println!("load: {best:.2} s, types inferred");
    if let Ok(python) = std::env::var("FP8_STUDIO_PYTHON") {
        let code = "import sys, time, pandas\nb = 1e9\nfor _ in range(3):\n t = time.perf_counter(); \
                    pandas.read_csv(sys.argv[1]); b = min(b, time.perf_counter() - t)\nprint(b)";
        let run = Command::new(python).args(["-c", code]).arg(&path).output();
        let text = run.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
        if let Some(pandas) = text.ok().and_then(|t| t.parse::<f64>().ok()) {
            println!("pandas read_csv: {pandas:.2} s, ratio {:.2}", best / pandas);
        }
    }
    let dataset = load();
    let schema = Schema::infer(&dataset, Some("y"), &Default::default()).expect("a target");
    let split = Split::make(&dataset, &schema, &SplitConfig::default()).expect("a split");
    let begin = Instant::now();
    let report = quality::check(&dataset, &schema, Some(&split), &Progress::default());
    println!("checks: {:.2} s, {} findings", begin.elapsed().as_secs_f64(), report.findings.len());
}

/// Numbers, words and dates as in business tables.
fn table() -> String {
    let names: Vec<String> = (0..19).map(|c| format!("c{c}")).collect();
    csv(&format!("{},y", names.join(",")), |random, text| {
        for c in 0..19 {
            match c % 6 {
                0 | 1 => write!(text, "{}.{:03},", random.below(1000), random.below(997))?,
                2 => write!(text, "{},", random.below(100_000))?,
                3 => write!(text, "{},", random.word())?,
                4 => {
                    let (year, month, day) = (random.below(24), random.below(12), random.below(28));
                    write!(text, "20{year:02}-{:02}-{:02},", month + 1, day + 1)?;
                }
                _ => write!(text, "{:.5},", random.below(1_000_003) as f64 / 7919.0)?,
            }
        }
        text.write_str(if random.below(3) == 0 { "yes" } else { "no" })
    })
}

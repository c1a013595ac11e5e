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

/// `read_csv` with as many threads as it takes by itself, or as many as are named where it lets itself
/// be told; the best of six, by the clock and in processor time.
const PANDAS: &str = "
import sys, time, pandas
if sys.argv[2] != 'None':
    pandas.set_option('mode.max_threads', int(sys.argv[2]))
clock, used = [], []
for _ in range(6):
    t, p = time.perf_counter(), time.process_time()
    pandas.read_csv(sys.argv[1])
    clock.append(time.perf_counter() - t)
    used.append(time.process_time() - p)
print(min(clock), min(used))";

/// Processor time of this process so far, in seconds; 0 where the system does not tell it this way.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("large.csv");
    std::fs::write(&path, table()).expect("a temporary file");
    let size = std::fs::metadata(&path).map_or(0, |m| m.len());
    println!("{ROWS} rows, 20 columns, {} MB", size / 1_000_000);
    let load = || open(&path, &ImportOptions::default(), &Progress::default()).expect("a table");
    let (mut best, mut least) = (f64::INFINITY, f64::INFINITY);
    for round in 0..6 {
        let (begin, before) = (Instant::now(), processor());
        assert_eq!(load().len(), ROWS);
        let (clock, time) = (begin.elapsed().as_secs_f64(), processor() - before);
        (best, least) = (best.min(clock), least.min(time));
        if round == 0 {
            println!("first load: {clock:.3} s by the clock, {time:.2} s of processor time");
        }
    }
    println!("load: {best:.3} s by the clock, {least:.2} s of processor time, types inferred");
    if let Ok(python) = std::env::var("FP8_STUDIO_PYTHON") {
        for threads in ["None", "1"] {
            let run = Command::new(&python).args(["-c", PANDAS]).arg(&path).arg(threads).output();
            let text = run.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
            let figures: Vec<f64> =
                text.unwrap_or_default().split(' ').filter_map(|t| t.parse().ok()).collect();
            if let [clock, time] = figures[..] {
                let which = if threads == "1" { "on one thread" } else { "as it is" };
                println!(
                    "pandas read_csv {which}: {clock:.3} s, {time:.2} s; ratio {:.2} by the clock, {:.2} of \
                     processor time",
                    best / clock,
                    least / time
                );
            }
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

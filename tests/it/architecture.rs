//! Dependencies between modules point one way, and a few crates are named in one place only.
//! Reads the source text: every `crate::module` path and every external crate named.

use std::path::{Path, PathBuf};

/// Modules from the bottom up; a module may use its own layer and those before it.
const LAYERS: &[&[&str]] = &[
    &["error"],
    &["text"],
    &["fp8"],
    &["device"],
    &["model", "kernels"],
    &["plan"],
    &["engine"],
    &["train", "eval", "quality", "export", "deploy", "monitor", "project"],
    &["app"],
    &["ui"],
];

/// Beside the engine: these know each other, errors, numerics and what a network is, but nothing of
/// how it is computed.
const BESIDE: &[&str] = &["data", "metrics"];

/// The layers that the modules beside the engine may use.
const BELOW_DATA: &[&str] = &["error", "fp8", "model"];

/// The lowest layer that may use the modules beside the engine.
const ABOVE_DATA: &str = "train";

/// What may be named only in some files (path prefixes under `src/`).
const CONFINED: &[(&str, &[&str])] = &[
    ("egui", &["ui/"]),
    ("eframe", &["ui/"]),
    ("egui_extras", &["ui/"]),
    ("egui_plot", &["ui/"]),
    ("wgpu", &["device/", "kernels/", "engine/"]),
    ("rfd", &["ui/", "app/"]),
    ("indicatif", &["app/headless/"]),
    ("clap", &["main.rs", "app/headless/"]),
    ("thread::spawn", &["train/worker.rs"]),
    ("thread::scope", &["train/worker.rs"]),
    ("thread::Builder", &["train/worker.rs"]),
    ("rayon::spawn", &["train/worker.rs"]),
    // Data stay on this computer.
    ("TcpStream", &[]),
    ("TcpListener", &[]),
    ("UdpSocket", &[]),
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|l| l.contains(&module))
}

/// Source with comments, string and character literals blanked, so that only code is scanned.
fn code_only(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let bytes: Vec<char> = source.chars().collect();
    let mut i = 0;
    let blank = |c: char| if c == '\n' { '\n' } else { ' ' };
    while i < bytes.len() {
        let rest = &bytes[i..];
        let end = if rest.starts_with(&['/', '/']) {
            rest.iter().position(|&c| c == '\n').unwrap_or(rest.len())
        } else if rest.starts_with(&['/', '*']) {
            rest.windows(2).skip(2).position(|w| w == ['*', '/']).map_or(rest.len(), |p| p + 4)
        } else if let Some(len) = raw_string(rest) {
            len
        } else if rest[0] == '"' {
            let mut j = 1;
            while j < rest.len() && rest[j] != '"' {
                j += if rest[j] == '\\' { 2 } else { 1 };
            }
            (j + 1).min(rest.len())
        } else if rest.len() > 2 && rest[0] == '\'' && rest[1] != '\\' && rest[2] == '\'' {
            3
        } else if rest.starts_with(&['\'', '\\']) {
            rest.iter().skip(3).position(|&c| c == '\'').map_or(rest.len(), |p| p + 4)
        } else {
            out.push(rest[0]);
            i += 1;
            continue;
        };
        out.extend(rest[..end].iter().map(|&c| blank(c)));
        i += end;
    }
    out
}

/// Length of a raw string literal at the start of `rest`.
fn raw_string(rest: &[char]) -> Option<usize> {
    let hashes = rest.strip_prefix(&['r'])?.iter().take_while(|&&c| c == '#').count();
    (rest.get(1 + hashes) == Some(&'"')).then_some(())?;
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = &rest[2 + hashes..];
    Some(
        body.windows(close.len())
            .position(|w| w == close)
            .map_or(rest.len(), |p| 2 + hashes + p + close.len()),
    )
}

/// Byte offsets where `path` stands as a whole path start: not inside a longer name, not behind
/// `::` or `.` (a field or a module of ours that has the same name).
fn mentions<'a>(code: &'a str, path: &'a str) -> impl Iterator<Item = usize> + 'a {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(path).map(|(at, _)| at).filter(move |&at| {
        let before = &code[..at];
        let after = &code[at + path.len()..];
        // `::name` with nothing before it is the crate itself.
        let inside =
            before.strip_suffix("::").is_some_and(|b| b.ends_with(|c| word(c) || c == '>'));
        !before.ends_with(word)
            && !before.ends_with('.')
            && (!inside || path.contains("::") || is_type(path))
            && !after.starts_with(word)
    })
}

fn is_type(name: &str) -> bool {
    name.starts_with(char::is_uppercase)
}

fn line(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// Modules of the crate named in `crate::…` paths (also inside `use crate::{…}`), with lines.
fn crate_modules(code: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (at, prefix) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        let name = |s: &str| -> String {
            s.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
        };
        if let Some(group) = rest.trim_start().strip_prefix('{') {
            let mut depth = 1;
            let mut item = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth == 0 || (depth == 1 && c == ',') {
                    found.push((name(&item), line(code, at)));
                    item.clear();
                } else {
                    item.push(c);
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            found.push((name(rest), line(code, at)));
        }
    }
    found.retain(|(m, _)| !m.is_empty());
    found
}

/// Every violation in one file; `file` is its path under `src/` with forward slashes.
fn scan(file: &str, source: &str) -> Vec<String> {
    let code = code_only(source);
    let mut wrong = Vec::new();
    let module = file.split(['/', '.']).next().unwrap_or_default();
    // main.rs and lib.rs stand above everything.
    let own = layer(module);
    let beside = BESIDE.contains(&module);
    if own.is_none() && !beside && !["main", "lib"].contains(&module) {
        wrong.push(format!("{file}: module {module} has no place in the layer table"));
    }
    for (used, line) in crate_modules(&code) {
        if used == module {
            continue;
        }
        let target = layer(&used);
        let allowed = match (own, target) {
            _ if ["main", "lib"].contains(&module) => true,
            (Some(own), Some(target)) => target <= own,
            (Some(own), None) if BESIDE.contains(&used.as_str()) => Some(own) >= layer(ABOVE_DATA),
            (None, Some(_)) if beside => BELOW_DATA.contains(&used.as_str()),
            (None, None) if beside => BESIDE.contains(&used.as_str()),
            // Macros and items at the crate root.
            (_, None) => true,
            (None, Some(_)) => false,
        };
        if !allowed {
            wrong.push(format!("{file}:{line}: {module} may not use {used}"));
        }
    }
    for (name, places) in CONFINED {
        if places.iter().any(|p| file.starts_with(p)) {
            continue;
        }
        // A crate shows as a path or an import; our own modules may carry the same name.
        let external = !name.contains("::") && !is_type(name);
        for at in mentions(&code, name) {
            let after = code[at + name.len()..].trim_start();
            let used = code[..at].trim_end().ends_with("use") || after.starts_with("::");
            if !external || used {
                wrong.push(format!("{file}:{}: {name} may not be named here", line(&code, at)));
            }
        }
    }
    wrong
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn source_keeps_the_dependency_rule() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 40, "only {} source files found", files.len());
    let mut wrong = Vec::new();
    for path in files {
        let file = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
        wrong.extend(scan(&file, &std::fs::read_to_string(&path).unwrap()));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn scanner_finds_planted_violations() {
    let planted = [
        ("fp8/format.rs", "use crate::engine::Engine;", "fp8 may not use engine"),
        ("fp8/format.rs", "use crate::{error::UserError, plan::Plan};", "fp8 may not use plan"),
        ("engine/cpu.rs", "fn f() -> crate::train::Event {}", "engine may not use train"),
        ("engine/cpu.rs", "use crate::data::Dataset;", "engine may not use data"),
        ("data/mod.rs", "use crate::engine::Batch;", "data may not use engine"),
        ("data/mod.rs", "use crate::kernels::Op;", "data may not use kernels"),
        ("metrics/mod.rs", "use crate::train::Event;", "metrics may not use train"),
        ("train/session.rs", "use crate::app::App;", "train may not use app"),
        ("app/mod.rs", "use crate::ui::run;", "app may not use ui"),
        ("app/mod.rs", "use egui::Context;", "egui may not be named"),
        ("app/mod.rs", "fn f(c: &egui::Context) {}", "egui may not be named"),
        ("quality/mod.rs", "use eframe::App;", "eframe may not be named"),
        ("train/worker.rs", "let d = ::wgpu::Device;", "wgpu may not be named"),
        ("data/import.rs", "use rfd;", "rfd may not be named"),
        ("train/session.rs", "std::thread::spawn(|| {});", "thread::spawn may not be named"),
        ("ui/mod.rs", "use std::thread;\nthread::spawn(f);", "ui/mod.rs:2: thread::spawn"),
        ("app/mod.rs", "std::thread::Builder::new()", "thread::Builder may not be named"),
        ("data/import.rs", "use std::net::{IpAddr, TcpStream};", "TcpStream may not be named"),
        ("data/import.rs", "std::net::UdpSocket::bind(a)", "UdpSocket may not be named"),
        ("oracle/mod.rs", "", "no place in the layer table"),
    ];
    for (file, source, expected) in planted {
        let wrong = scan(file, source);
        assert!(wrong.iter().any(|w| w.contains(expected)), "{file}: {source}: {wrong:?}");
    }
}

#[test]
fn scanner_accepts_what_is_allowed() {
    let fine = [
        ("train/session.rs", "use crate::{engine::{self, Batch}, data::Dataset};"),
        ("kernels/gemm.rs", "use crate::model::Activation; use crate::fp8::Format;"),
        ("engine/wgpu.rs", "use wgpu::Device;"),
        ("engine/mod.rs", "pub mod wgpu; // egui::Context"),
        ("app/mod.rs", "//! egui::Context\nlet s = \"use egui::Ui\"; /* rfd::x */ let c = '\"';"),
        ("data/mod.rs", "let s = r#\"crate::engine \"x\" \"#; use crate::metrics::MetricKind;"),
        ("train/worker.rs", "std::thread::Builder::new().spawn(f)"),
        ("app/mod.rs", "self.wgpu = true; let egui_style = 1;"),
        ("main.rs", "use crate::ui::run;"),
        ("quality/patterns.rs", "use std::net::IpAddr;"),
    ];
    for (file, source) in fine {
        assert_eq!(scan(file, source), Vec::<String>::new(), "{file}: {source}");
    }
}

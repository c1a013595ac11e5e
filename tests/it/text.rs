//! The catalogue of texts against the source: nothing missing, nothing left over, nothing shown in
//! English alone. Reads the source text; each check is shown to find a planted fault.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fp8_studio::text::{
    self, Catalogue, Entries, Language, entries, placeholders, set_language, shown,
};

/// Layers below the window whose every sentence has an entry.
const TRANSLATED: &[&str] = &["src/"];

/// Files in them that the window shows nothing of.
const NOT_SHOWN: &[&str] = &[
    // The command line.
    "src/main.rs",
    "src/app/headless/",
    "src/data/stream.rs",
    // What tests use.
    "src/quality/golden.rs",
    "src/data/formats/csv/tests/",
    "src/quality/checks/testing.rs",
    "src/data/testing.rs",
    // Files for other programs and for catalogues of models, which read English.
    "src/export/bundle/card.rs",
    "src/export/bundle/croissant.rs",
    "src/export/bundle/golden.rs",
    "src/engine/tune.rs",
    // Faults of the program itself, to be reported word for word; the advice to do so is shown.
    "src/engine/cpu.rs",
    "src/engine/device_memory.rs",
    "src/engine/host.rs",
    "src/engine/wgpu.rs",
    "src/plan/memory.rs",
    "src/plan/compile/builder.rs",
    "src/device/self_test.rs",
    // Names of kernels in measurements, and their source.
    "src/kernels/",
    "src/device/shader.rs",
];

/// Where texts are looked up by their key: the window, its dialogs, and the reports, which are
/// written in the language of whoever asks for them.
const WITH_KEYS: &[&str] = &[
    "src/ui/",
    "src/app/dialogs.rs",
    "src/export/report/",
    "src/monitor/page.rs",
    "src/project/report.rs",
];

/// Whether a file is one of these, or in one of these folders.
fn within(file: &str, places: &[&str]) -> bool {
    places.iter().any(|place| file.starts_with(place))
}

/// Text in the window that is the same in every language: names, formats, commands, keys of maps.
const SAME_EVERYWHERE: &[&str] = &[
    "FP8 Studio",
    "FP8",
    "CPU",
    "GPU",
    "ReLU",
    "GELU",
    "SiLU",
    "ECE",
    "Tab",
    "Shift+Tab",
    "Esc",
    "Texture",
    "The window cannot be opened: {e}",
    "%Y-%m-%d %H:%M UTC",
    "{} pictures",
    "a passphrase being typed",
    "SELECT … FROM …",
    "Train without a window: fp8-studio train PROJECT. See fp8-studio --help.",
    "FP8 Studio ",
    "TPR",
    "FPR",
    "PSI",
    "FGSM",
    "SHA-256",
    // Sections of the NIST AI Risk Management Framework.
    "NIST AI RMF",
    "MEASURE 2.3",
    "MEASURE 2.4",
    "MEASURE 2.5",
    "MEASURE 2.7",
    "MEASURE 2.9",
    "MEASURE 2.10",
    "MEASURE 2.11",
    "MANAGE 2.4",
    // The description of data for other programs.
    "What is predicted.",
    "not given",
    "{} rows from {file}.",
];

/// Calls whose text names something for the program, not for a reader.
const INTERNAL: &[&str] = &[
    "unique",
    "id_salt",
    "from_id_salt",
    "make_persistent_id",
    "push_id",
    "with",
    "with_app_id",
    "left",
    "top",
    "bottom",
    "load_texture",
    "family",
    "insert",
    "replace",
    "page",
    "code",
    // Nouns, which are looked up with their number.
    "counted",
];

/// A string literal of the source.
#[derive(Debug, Clone)]
struct Literal {
    text: String,
    line: usize,
    /// The function or macro it is handed to; macros end in `!`.
    call: String,
    /// Its place among the texts handed to that.
    index: usize,
}

/// String literals outside comments, attributes and the tests of the module.
fn literals(source: &str) -> Vec<Literal> {
    let tests = ["#[cfg(test)]\nmod ", "#[cfg(test)]\npub(crate) mod "];
    let end = tests.iter().filter_map(|t| source.find(t)).min().unwrap_or(source.len());
    let chars: Vec<char> = source[..end].chars().collect();
    let mut found: Vec<Literal> = Vec::new();
    let mut calls: Vec<(char, String, usize)> = Vec::new();
    let (mut i, mut line) = (0, 1);
    let starts =
        |i: usize, what: &str| what.chars().enumerate().all(|(k, c)| chars.get(i + k) == Some(&c));
    while i < chars.len() {
        let c = chars[i];
        if c == '\n' {
            line += 1;
        }
        if starts(i, "//") {
            while i < chars.len() && chars[i] != '\n' {
                i += 1;
            }
            continue;
        }
        if c == 'r'
            && (starts(i, "r\"") || starts(i, "r#\""))
            && (i == 0 || !chars[i - 1].is_alphanumeric())
        {
            let close = if starts(i, "r#") { "\"#" } else { "\"" };
            i += 1 + close.len();
            while i < chars.len() && !starts(i, close) {
                line += usize::from(chars[i] == '\n');
                i += 1;
            }
            i += close.len();
            continue;
        }
        if c == '\'' {
            // A character, or the name of a lifetime.
            if chars.get(i + 1) == Some(&'\\') {
                i += 3;
                while i < chars.len() && chars[i] != '\'' {
                    i += 1;
                }
            } else if chars.get(i + 2) == Some(&'\'') {
                i += 2;
            }
            i += 1;
            continue;
        }
        if c == '"' {
            let (text, next, lines) = literal(&chars, i);
            if calls.iter().any(|(_, name, _)| name == "#") {
                // An attribute: what errors say of themselves is text all the same.
                if !calls.iter().any(|(_, name, _)| name == "error") {
                    i = next;
                    line += lines;
                    continue;
                }
            }
            let open = calls
                .iter_mut()
                .rev()
                .take_while(|(bracket, ..)| *bracket != '{')
                .find(|(_, name, _)| !name.is_empty());
            let (call, index) = match open {
                Some((_, name, count)) => {
                    *count += 1;
                    (name.clone(), *count - 1)
                }
                None => (String::new(), 0),
            };
            found.push(Literal { text, line, call, index });
            line += lines;
            i = next;
            continue;
        }
        match c {
            '(' | '[' | '{' => {
                let name: String = chars[..i]
                    .iter()
                    .rev()
                    .take_while(|c| c.is_alphanumeric() || "_!#".contains(**c))
                    .collect();
                calls.push((c, name.chars().rev().collect(), 0));
            }
            ')' | ']' | '}' => {
                calls.pop();
            }
            _ => {}
        }
        i += 1;
    }
    found
}

/// The literal that begins at `start`: its text, where the source goes on, and its line breaks.
fn literal(chars: &[char], start: usize) -> (String, usize, usize) {
    let (mut text, mut i, mut lines) = (String::new(), start + 1, 0);
    while i < chars.len() && chars[i] != '"' {
        if chars[i] != '\\' {
            lines += usize::from(chars[i] == '\n');
            text.push(chars[i]);
            i += 1;
            continue;
        }
        match chars.get(i + 1) {
            Some('n') => text.push('\n'),
            Some('t') => text.push('\t'),
            Some('u') => {
                let code: String = chars[i + 3..].iter().take_while(|c| **c != '}').collect();
                text.extend(u32::from_str_radix(&code, 16).ok().and_then(char::from_u32));
                i += code.len() + 2;
            }
            Some('\n') => {
                while chars.get(i + 1).is_some_and(|c| c.is_whitespace()) {
                    lines += usize::from(chars[i + 1] == '\n');
                    i += 1;
                }
                i -= 1;
            }
            Some(c) => text.push(*c),
            None => {}
        }
        i += 2;
    }
    (text, i + 1, lines)
}

fn sources(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} holds no source");
    found
}

/// Keys that the window names, with a place where.
fn keys(sources: &[(String, String)]) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    for (file, source) in sources {
        for l in literals(source) {
            let forms = match l.call.as_str() {
                "tr!" | "key!" => 1,
                "trn!" => 2,
                _ => 0,
            };
            if l.index < forms {
                keys.entry(l.text).or_insert_with(|| format!("{file}:{}", l.line));
            }
        }
    }
    keys
}

/// What is wrong with entries, given the keys of the window and all literals of the source.
fn faults(
    language: &str,
    entries: &Entries,
    keys: &BTreeMap<String, String>,
    literals: &BTreeSet<String>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let own: BTreeMap<&str, &str> =
        entries.window.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let said: BTreeSet<&str> = entries.messages.iter().map(|(k, _)| k.as_str()).collect();
    for (key, place) in keys {
        if !own.contains_key(key.as_str()) && !said.contains(key.as_str()) {
            wrong.push(format!("{place}: {language} lacks \"{key}\""));
        }
    }
    for key in own.keys().filter(|k| !keys.contains_key(**k)) {
        wrong.push(format!("{language}: nothing uses \"{key}\""));
    }
    for (key, _) in entries.messages.iter().filter(|(k, _)| !literals.contains(k)) {
        wrong.push(format!("{language}: no source makes \"{key}\""));
    }
    for (key, text) in entries.window.iter().chain(&entries.messages) {
        let (english, there) = (placeholders(key), placeholders(text));
        if english != there {
            wrong.push(format!("{language}: {english:?} became {there:?} in \"{key}\""));
        }
        let ends = |t: &str| t.ends_with('.') && !t.ends_with("e.g.");
        let space = |t: &str| (t.starts_with(' '), t.ends_with(' '));
        if text.is_empty() || ends(key) != ends(text) || space(key) != space(text) {
            wrong.push(format!("{language}: \"{key}\" and \"{text}\" begin or end otherwise"));
        }
    }
    wrong
}

/// All literals of the source, and the texts of the samples.
fn everything() -> BTreeSet<String> {
    let mut all: BTreeSet<String> = sources("src")
        .iter()
        .flat_map(|(_, source)| literals(source).into_iter().map(|l| l.text).collect::<Vec<_>>())
        .collect();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("projects");
    for sample in std::fs::read_dir(samples).unwrap() {
        let Ok(text) = std::fs::read_to_string(sample.unwrap().path().join("project.toml")) else {
            continue;
        };
        let project: toml::Table = text.parse().unwrap();
        let texts = ["name", "description"].map(|k| project.get(k).and_then(|v| v.as_str()));
        all.extend(texts.into_iter().flatten().map(str::to_owned));
    }
    all
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

#[test]
fn every_key_has_an_entry_in_every_language_and_none_is_left_over() {
    let mut sources = sources("src");
    sources.retain(|(file, _)| within(file, WITH_KEYS));
    let keys = keys(&sources);
    assert!(keys.len() > 1000, "only {} keys found", keys.len());
    let all = everything();
    for language in Language::ALL.into_iter().skip(1) {
        let entries = entries(language).unwrap();
        let wrong = faults(language.name(), &entries, &keys, &all);
        assert!(wrong.is_empty(), "{} faults\n{}", wrong.len(), wrong.join("\n"));
    }
}

#[test]
fn planted_faults_of_a_catalogue_are_found() {
    let source = r#"
        fn f() { label(tr!("Open"), trn!(n, "{n} row", "{n} rows", n), tr!("{a} of {b}", a, b)); }
        const A: &str = key!("Table");
    "#;
    let keys = keys(&[("x.rs".to_owned(), source.to_owned())]);
    let names: Vec<&str> = keys.keys().map(String::as_str).collect();
    assert_eq!(names, ["Open", "Table", "{a} of {b}", "{n} row", "{n} rows"]);
    let good = || Entries {
        window: owned(&[
            ("Open", "Öffnen"),
            ("Table", "Tabelle"),
            ("{a} of {b}", "{b}: {a}"),
            ("{n} row", "{n} Zeile"),
            ("{n} rows", "{n} Zeilen"),
        ]),
        messages: owned(&[("Ends.", "Endet.")]),
        ..Entries::default()
    };
    let all = BTreeSet::from(["Ends.".to_owned()]);
    assert_eq!(faults("x", &good(), &keys, &all), Vec::<String>::new());
    type Fault<'a> = &'a dyn Fn(&mut Entries);
    let planted: [(&str, Fault<'_>); 7] = [
        ("x lacks \"Open\"", &|e| drop(e.window.remove(0))),
        ("nothing uses \"Old\"", &|e| e.window.extend(owned(&[("Old", "Alt")]))),
        ("no source makes \"Gone.\"", &|e| e.messages.extend(owned(&[("Gone.", "Fort.")]))),
        ("in \"{a} of {b}\"", &|e| e.window[2].1 = "{a} von {c}".to_owned()),
        ("in \"{n} rows\"", &|e| e.window[4].1 = "Zeilen".to_owned()),
        ("begin or end otherwise", &|e| e.messages[0].1 = "Endet".to_owned()),
        ("begin or end otherwise", &|e| e.window[0].1 = String::new()),
    ];
    for (expected, plant) in planted {
        let mut entries = good();
        plant(&mut entries);
        let wrong = faults("x", &entries, &keys, &all);
        assert!(wrong.iter().any(|w| w.contains(expected)), "{expected}: {wrong:?}");
    }
}

/// Whether a text is meant to be read: words with a space between them, or one that begins large.
fn reads(text: &str) -> bool {
    let mut plain = String::new();
    let mut depth = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            // Tags of a web page.
            '<' if chars.peek().is_some_and(|n| n.is_ascii_alphabetic() || "/!".contains(*n)) => {
                chars.by_ref().find(|c| *c == '>');
            }
            c if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    let words: Vec<&str> =
        plain.split(|c: char| !c.is_alphabetic()).filter(|w| w.chars().count() > 1).collect();
    let units = ["kB", "MB", "GB", "min", "dB", "pts", "log", "µs"];
    let telling = words.iter().filter(|w| !units.contains(w)).count();
    let code = plain.contains("::") || plain.contains("fp8-studio ") || plain.contains("python");
    let code = code || plain.contains("=\"") || text.contains("system-ui");
    let large = plain.trim_start().starts_with(char::is_uppercase);
    telling > 0 && !code && !plain.contains('_') && (large || plain.contains(' '))
}

/// English in a file of the window that is shown without being looked up.
fn english(file: &str, source: &str) -> Vec<String> {
    literals(source)
        .into_iter()
        .filter(|l| !["tr!", "trn!", "key!"].contains(&l.call.as_str()))
        .filter(|l| !INTERNAL.contains(&l.call.as_str()))
        .filter(|l| {
            !(l.index == 0
                && ["new", "table", "changes"].contains(&l.call.as_str())
                && l.text.chars().all(|c| !c.is_uppercase()))
        })
        .filter(|l| reads(&l.text) && !SAME_EVERYWHERE.contains(&l.text.as_str()))
        .map(|l| format!("{file}:{}: \"{}\"", l.line, l.text))
        .collect()
}

#[test]
fn the_window_shows_no_english_of_its_own() {
    let wrong: Vec<String> = sources("src")
        .iter()
        .filter(|(file, _)| within(file, WITH_KEYS) && !file.ends_with("theme.rs"))
        .flat_map(|(file, source)| english(file, source))
        .collect();
    assert!(wrong.is_empty(), "not looked up by tr!:\n{}", wrong.join("\n"));
}

#[test]
fn planted_english_is_found() {
    for planted in [
        "fn f(ui: &mut Ui) { ui.label(\"Hello\"); }",
        "fn f(ui: &mut Ui) { small(ui, format!(\"{n} rows left\")); }",
        "let label = if a { tr!(\"Yes\") } else { \"Choose a column…\" };",
        "Button::secondary(\"Try again\").pressed(ui)",
        "small(ui, tr!(\"{a}\", a = format!(\"{} rows\", n)));",
        "Curves::new(\"loss\", tr!(\"Loss\"), \"Epoch\")",
    ] {
        assert_eq!(english("x.rs", planted).len(), 1, "{planted}");
    }
    for fine in [
        "ui.label(tr!(\"Hello\")); // \"Good day\"",
        "let id = Id::unique(\"plots to save\");",
        "format!(\"{a}: {b:.1} %\"); format!(\"{:.1} kB\", a);",
        "Curves::new(\"loss\", tr!(\"Loss\"), tr!(\"Epoch\"))",
        "#[serde(rename = \"Hello there\")] struct A;",
        "fn f<'a>(c: char) -> bool { c == '\"' || c == '\\'' }",
        "fn f() {}\n#[cfg(test)]\nmod tests { const A: &str = \"Only a test\"; }",
    ] {
        assert_eq!(english("x.rs", fine), Vec::<String>::new(), "{fine}");
    }
}

/// Sentences of a file below the window without an entry.
fn missing(file: &str, source: &str, known: &BTreeSet<&str>) -> Vec<String> {
    let other = ["expect", "debug!", "warn!", "info!", "error!", "serde", "log", "join", "key"];
    literals(source)
        .into_iter()
        .filter(|l| reads(&l.text) && l.text.contains(' ') && !other.contains(&l.call.as_str()))
        .filter(|l| !known.contains(l.text.as_str()))
        .map(|l| format!("{file}:{}: \"{}\"", l.line, l.text))
        .collect()
}

/// What stays English although it lies in a translated layer, and why.
const ENGLISH: &[&str] = &[
    // The window writes places itself.
    "{sep}row {row}",
    "{sep}column \"{column}\"",
    // Names of variants and groups, and of files.
    "f32 → FP8",
    "f32 → int8",
    "{name} ({rows} rows)",
    "pasted {now}.tsv",
    // The audit log.
    "steps left",
    // Headings of data made for other programs, and versions of those.
    "SPDX-License-Identifier: {id}\n\nThe text of this licence is at https://spdx.org/licenses/{id}.html\n",
    "days since 1970-01-01",
    "Changes done to cells, in order, before they go into an input.",
    "DSSEv1 {} {PAYLOAD_TYPE} {} ",
    "scrypt {} {log_work}",
    "{}: predicts {} from {} inputs. Made by {}; {} form, needs {} or newer.",
    "PyTorch 2.4",
    "onnxruntime 1.19",
    "SELECT * FROM {}",
    "SELECT count(*) FROM {}",
    // What tests without an adapter say.
    "{e}. The tests need a Vulkan adapter: install a driver, or the software one (Debian and Ubuntu: apt-get install mesa-vulkan-drivers).",
    // Ends of counted nouns, which are looked up as a whole.
    " categories",
    " classes",
    // Faults of the files of languages, which a test reads.
    "{name} is not a table",
    "{key} is not a text",
    "{noun} has not two forms",
    // Spellings that are looked for in data, and in the words of libraries.
    "sale price",
    "Disabled feature at compile time: ",
    " at line ",
    "SQLite format 30",
    "<!doctype html",
    "version https://git-lfs",
    "not available",
    "not applicable",
    "no data",
];

#[test]
fn sentences_of_translated_layers_have_entries() {
    for language in Language::ALL.into_iter().skip(1) {
        let entries = entries(language).unwrap();
        let known: BTreeSet<&str> = entries
            .messages
            .iter()
            .chain(&entries.window)
            .map(|(k, _)| k.as_str())
            .chain(entries.nouns.iter().map(|(k, _)| k.as_str()))
            .chain(ENGLISH.iter().copied())
            .collect();
        let wrong: Vec<String> = sources("src")
            .iter()
            .filter(|(file, _)| {
                within(file, TRANSLATED) && !file.ends_with("tests.rs") && !file.contains("/tests/")
            })
            .filter(|(file, _)| !within(file, NOT_SHOWN) && !within(file, WITH_KEYS))
            .flat_map(|(file, source)| missing(file, source, &known))
            .collect();
        assert!(wrong.is_empty(), "{} without entry\n{}", wrong.len(), wrong.join("\n"));
    }
    let planted = "fn f() -> String { format!(\"{n} rows were lost\") }";
    assert_eq!(missing("x.rs", planted, &BTreeSet::new()).len(), 1);
}

/// English with a sample value for every placeholder.
fn filled(text: &str) -> String {
    let mut out = String::new();
    let (mut rest, mut n) = (text, 0);
    while let Some(at) = rest.find('{') {
        let end = rest[at..].find('}').map_or(rest.len(), |e| at + e + 1);
        out.push_str(&rest[..at]);
        n += 1;
        out.push_str(&format!("Zq{n}"));
        rest = &rest[end..];
    }
    out + rest
}

#[test]
fn text_with_values_is_found_as_the_entry_that_made_it() {
    let entries = entries(Language::German).unwrap();
    let expected: Vec<(String, String)> = entries
        .messages
        .iter()
        .filter(|(english, _)| !placeholders(english).is_empty() && !english.contains("}{"))
        // Shorter ones are found inside others alone.
        .filter(|(english, _)| {
            english
                .split('{')
                .map(|p| p.split_once('}').map_or(p, |(_, t)| t))
                .flat_map(str::chars)
                .filter(|c| c.is_alphabetic())
                .count()
                >= 5
        })
        .map(|(english, _)| (filled(english), english.clone()))
        .collect();
    assert!(expected.len() > 50, "{}", expected.len());
    // A catalogue that answers with the English entry, its holes filled alike, tells which was found.
    let echo = entries.messages.iter().map(|(k, _)| (k.clone(), format!("<{}>", filled(k))));
    let catalogue = Catalogue::new(Entries { messages: echo.collect(), ..Entries::default() });
    let wrong: Vec<String> = expected
        .iter()
        .map(|(text, english)| (text, english, catalogue.shown(text)))
        .filter(|(text, _, found)| *found != format!("<{text}>"))
        .map(|(_, english, found)| format!("\"{english}\" is taken for {found}"))
        .collect();
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn german_reads_well_with_figures_in_it() {
    set_language(Language::German);
    let say = |text: &str| shown(text).into_owned();
    assert_eq!(
        say("Choose a smaller batch size or a smaller model."),
        "Wählen Sie eine kleinere Batchgröße oder ein kleineres Modell."
    );
    assert_eq!(text::figure("1,332.5 kB"), "1.332,5 kB");
    assert_eq!(say("flipper_length_mm"), "flipper_length_mm");
    set_language(Language::English);
    assert_eq!(
        say("Choose a smaller batch size or a smaller model."),
        "Choose a smaller batch size or a smaller model."
    );
}

#[test]
fn a_thread_that_was_not_asked_is_english() {
    set_language(Language::German);
    assert_eq!(text::of("Undo"), "Rückgängig");
    // A thread that works, beside the one that draws.
    let other = std::thread::spawn(|| text::of("Undo")).join().unwrap();
    assert_eq!(other, "Undo");
    set_language(Language::English);
    assert_eq!(text::of("Undo"), "Undo");
}

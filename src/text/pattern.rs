//! Text with placeholders: `{name}`, `{name:.1}`, `{}`; doubled braces stand for themselves. In an
//! entry of a catalogue `{name!}` says that the value is a text of the catalogue, too.

use std::fmt::{Display, Write};

use super::Language;

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// As it stands.
    Text(String),
    /// A value.
    Hole(Hole),
}

/// A placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hole {
    /// Name, or its number where it has none.
    pub(super) name: String,
    /// The value is a text of the catalogue.
    pub(super) nested: bool,
    /// Digits after the point.
    pub(super) precision: Option<usize>,
    /// The sign is always written.
    pub(super) sign: bool,
}

/// The pieces of a text, no two texts side by side.
pub(super) fn parse(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut unnamed = 0;
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, after) = rest.split_at(at);
        plain.push_str(before);
        let doubled = after.starts_with("{{") || after.starts_with("}}");
        let end = if doubled { None } else { after.find('}').filter(|e| *e > 0) };
        let Some(end) = end else {
            plain.push_str(after.get(..1).unwrap_or_default());
            rest = after.get(if doubled { 2 } else { 1 }..).unwrap_or_default();
            continue;
        };
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        let mut hole = hole(after.get(1..end).unwrap_or_default());
        if hole.name.is_empty() {
            hole.name = unnamed.to_string();
            unnamed += 1;
        }
        pieces.push(Piece::Hole(hole));
        rest = after.get(end + 1..).unwrap_or_default();
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    pieces
}

fn hole(inside: &str) -> Hole {
    let (name, spec) = inside.split_once(':').unwrap_or((inside, ""));
    let (name, nested) = match name.strip_suffix('!') {
        Some(name) => (name, true),
        None => (name, false),
    };
    let precision = spec.split_once('.').and_then(|(_, digits)| digits.parse().ok());
    // thiserror writes the fields of a tuple as `.0`.
    let name = name.trim().trim_start_matches('.').to_owned();
    Hole { name, nested, precision, sign: spec.starts_with('+') }
}

/// The names of all placeholders of a text, sorted, each once; those without a name are numbered.
pub fn placeholders(text: &str) -> Vec<String> {
    let mut names: Vec<String> = parse(text)
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Hole(hole) => Some(hole.name),
            Piece::Text(_) => None,
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Puts values in.
pub(super) fn fill(template: &str, values: &[(&str, &dyn Display)], language: Language) -> String {
    let mut out = String::with_capacity(template.len() + 16);
    for piece in parse(template) {
        let hole = match piece {
            Piece::Text(text) => {
                out.push_str(&text);
                continue;
            }
            Piece::Hole(hole) => hole,
        };
        let Some((_, value)) = values.iter().find(|(name, _)| *name == hole.name) else {
            let _ = write!(out, "{{{}}}", hole.name);
            continue;
        };
        match hole.precision {
            None => {
                let _ = write!(out, "{value}");
            }
            Some(digits) => {
                let figure = if hole.sign {
                    format!("{value:+.digits$}")
                } else {
                    format!("{value:.digits$}")
                };
                match language {
                    Language::English => out.push_str(&figure),
                    Language::German => out.push_str(&with_comma(&figure)),
                }
            }
        }
    }
    out
}

/// Whether a text holds these placeholders and no other, with no text of the catalogue among them.
/// Used while compiling, so it reads bytes.
pub const fn complete(text: &str, names: &[&str]) -> bool {
    let bytes = text.as_bytes();
    let mut used = 0u64;
    let mut i = 0;
    while i < bytes.len() {
        if bytes[i] == b'{' && i + 1 < bytes.len() && bytes[i + 1] == b'{' {
            i += 2;
            continue;
        }
        if bytes[i] == b'{' {
            let start = i + 1;
            let mut end = start;
            while end < bytes.len() && bytes[end] != b'}' && bytes[end] != b':' {
                end += 1;
            }
            let mut found = false;
            let mut n = 0;
            while n < names.len() {
                if same(bytes, start, end, names[n].as_bytes()) {
                    used |= 1 << n;
                    found = true;
                }
                n += 1;
            }
            if !found {
                return false;
            }
            i = end;
        }
        i += 1;
    }
    used == (1 << names.len()) - 1
}

const fn same(bytes: &[u8], start: usize, end: usize, name: &[u8]) -> bool {
    if end - start != name.len() {
        return false;
    }
    let mut i = 0;
    while i < name.len() {
        if bytes[start + i] != name[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// English digits with the comma for the point and the other way round.
pub(super) fn with_comma(figure: &str) -> String {
    let bytes = figure.as_bytes();
    let digit = |i: Option<usize>| i.and_then(|i| bytes.get(i)).is_some_and(u8::is_ascii_digit);
    figure
        .char_indices()
        .map(|(i, c)| match c {
            '.' if digit(i.checked_sub(1)) && digit(Some(i + 1)) => ',',
            ',' if digit(i.checked_sub(1)) && digit(Some(i + 1)) => '.',
            c => c,
        })
        .collect()
}

/// Whether a value of a text is a figure of the program: `97.3 %`, `1,332`, `2.5 GB`.
pub(super) fn is_figure(value: &str) -> bool {
    let digits = value.trim_end_matches(|c: char| c.is_alphabetic() || " %°×".contains(c));
    digits.starts_with(|c: char| c.is_ascii_digit() || "+-−".contains(c))
        && digits.contains(['.', ','])
        && digits.matches('.').count() < 2
        && digits.chars().all(|c| c.is_ascii_digit() || "+-−.,".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_named_or_numbered() {
        assert_eq!(placeholders("{a} of {b:.1}, {a}"), ["a", "b"]);
        assert_eq!(placeholders("{} and {}, {name!}"), ["0", "1", "name"]);
        assert_eq!(placeholders("{.0} {{x}}"), ["0"]);
        assert!(placeholders("none").is_empty());
    }

    #[test]
    fn names_must_agree_with_placeholders() {
        assert!(complete("{a} of {b:.1} {{c}}", &["a", "b"]));
        assert!(!complete("{a} of {b}", &["a"]));
        assert!(!complete("{a}", &["a", "b"]));
        assert!(!complete("{ab}", &["a"]));
        assert!(!complete("{}", &["a"]));
    }

    #[test]
    fn broken_braces_are_text() {
        assert_eq!(parse("a } b"), [Piece::Text("a } b".into())]);
        assert_eq!(parse("a { b"), [Piece::Text("a { b".into())]);
        assert_eq!(parse("{{a}}"), [Piece::Text("{a}".into())]);
    }

    #[test]
    fn figures_are_told_from_names() {
        for figure in ["97.3 %", "1,332", "-0.5", "2.5 GB"] {
            assert!(is_figure(figure), "{figure}");
        }
        for other in ["12", "1.5.2", "v1.x.2", "a.csv", "", "age, sex"] {
            assert!(!is_figure(other), "{other}");
        }
        assert_eq!(with_comma("1,332.5 %, -0.5"), "1.332,5 %, -0,5");
        assert_eq!(with_comma("Ends. Begins, so"), "Ends. Begins, so");
    }
}

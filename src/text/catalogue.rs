//! The entries of one language, and how English text with figures in it is found among them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

use super::Language;
use super::pattern::{Hole, Piece, is_figure, parse, with_comma};

/// Texts inside texts are followed this deep.
const DEPTH: usize = 4;

/// The entries of a language as the file has them: those of `tr!`, `trn!` and `key!`, and those of
/// the layers below the window.
#[derive(Debug, Default)]
pub struct Entries {
    /// Keys that the window names.
    pub window: Vec<(String, String)>,
    /// English text that layers below the window make.
    pub messages: Vec<(String, String)>,
}

/// Reads the entries of a language; none for English.
///
/// # Errors
/// The file of the language is not what it should be; the text says where.
pub fn entries(language: Language) -> Result<Entries, String> {
    match language {
        Language::English => Ok(Entries::default()),
        Language::German => read(include_str!("../../assets/lang/de.toml")),
    }
}

fn read(source: &str) -> Result<Entries, String> {
    let table: toml::Table = source.parse().map_err(|e| format!("{e}"))?;
    let section = |name: &str| -> Result<Vec<(String, String)>, String> {
        let Some(section) = table.get(name) else { return Ok(Vec::new()) };
        let section = section.as_table().ok_or_else(|| format!("{name} is not a table"))?;
        let text = |(key, value): (&String, &toml::Value)| {
            let value = value.as_str().ok_or_else(|| format!("{key} is not a text"))?;
            Ok((key.clone(), value.to_owned()))
        };
        section.iter().map(text).collect()
    };
    Ok(Entries { window: section("window")?, messages: section("messages")? })
}

/// What is looked up in a language.
#[derive(Debug)]
pub struct Catalogue {
    exact: HashMap<String, String>,
    /// English with placeholders, the most telling first, and its translation.
    patterns: Vec<(Vec<Piece>, Vec<Piece>)>,
}

/// The catalogue of a language, read when it is first asked for; none for English.
pub(super) fn of(language: Language) -> Option<&'static Catalogue> {
    static GERMAN: OnceLock<Catalogue> = OnceLock::new();
    match language {
        Language::English => None,
        // A file that cannot be read leaves the window English; a test reads it.
        Language::German => {
            Some(GERMAN.get_or_init(|| Catalogue::new(entries(language).unwrap_or_default())))
        }
    }
}

impl Catalogue {
    /// Prepares entries for being looked up.
    pub fn new(entries: Entries) -> Self {
        let mut patterns: Vec<(Vec<Piece>, Vec<Piece>)> = entries
            .messages
            .iter()
            .map(|(english, own)| (parse(english), parse(own)))
            .filter(|(english, _)| english.iter().any(|p| matches!(p, Piece::Hole(_))))
            .collect();
        patterns.sort_by_key(|(english, _)| std::cmp::Reverse(weight(english)));
        let exact = entries.messages.into_iter().chain(entries.window).collect();
        Self { exact, patterns }
    }

    /// The entry of a key.
    pub fn exact(&self, key: &str) -> Option<&str> {
        self.exact.get(key).map(String::as_str)
    }

    /// English text in this language: an entry, an entry with values in it, or its sentences one by
    /// one; as it is where none is known.
    pub fn shown<'a>(&'a self, text: &'a str) -> Cow<'a, str> {
        self.translated(text, DEPTH).unwrap_or(Cow::Borrowed(text))
    }

    fn translated<'a>(&'a self, text: &'a str, depth: usize) -> Option<Cow<'a, str>> {
        if let Some(own) = self.exact(text) {
            return Some(Cow::Borrowed(own));
        }
        let depth = depth.checked_sub(1)?;
        for (english, own) in &self.patterns {
            let mut values = Vec::new();
            if matches(english, text, &mut values) {
                return Some(Cow::Owned(self.filled(own, &values, depth)));
            }
        }
        ["\n", ". ", "; "]
            .into_iter()
            .find_map(|mark| self.parts(text, mark, depth).map(Cow::Owned))
    }

    /// The parts of a text between marks, if any of them is known.
    fn parts(&self, text: &str, mark: &str, depth: usize) -> Option<String> {
        if !text.contains(mark) {
            return None;
        }
        let mut known = false;
        let count = text.matches(mark).count();
        let parts: Vec<Cow<'_, str>> = text
            .split(mark)
            .enumerate()
            .map(|(i, part)| {
                // The full stop that was split off belongs to the sentence.
                let whole = format!("{part}.");
                let stopped = mark == ". " && i < count;
                let own = self.translated(part, depth).map(|t| t.into_owned()).or_else(|| {
                    let own = stopped.then(|| self.translated(&whole, depth)).flatten()?;
                    Some(own.strip_suffix('.').unwrap_or(&own).to_owned())
                });
                known |= own.is_some();
                own.map_or(Cow::Borrowed(part), Cow::Owned)
            })
            .collect();
        known.then(|| parts.join(mark))
    }

    fn filled(&self, own: &[Piece], values: &[(&Hole, &str)], depth: usize) -> String {
        let mut out = String::new();
        for piece in own {
            let hole = match piece {
                Piece::Text(text) => {
                    out.push_str(text);
                    continue;
                }
                Piece::Hole(hole) => hole,
            };
            let value = values.iter().find(|(h, _)| h.name == hole.name).map_or("", |(_, v)| v);
            let nested = if hole.nested { self.translated(value, depth) } else { None };
            match nested {
                Some(text) => out.push_str(&text),
                None if is_figure(value) => out.push_str(&with_comma(value)),
                None => out.push_str(value),
            }
        }
        out
    }
}

/// How much of a pattern is text: what says more is tried first.
fn weight(pieces: &[Piece]) -> usize {
    pieces
        .iter()
        .map(|p| match p {
            Piece::Text(text) => text.len(),
            Piece::Hole(_) => 0,
        })
        .sum()
}

/// Whether a text is a pattern with values in it; the values, the shortest that fit.
fn matches<'a>(pattern: &'a [Piece], text: &'a str, values: &mut Vec<(&'a Hole, &'a str)>) -> bool {
    // Most patterns fail at their end already.
    if let Some(Piece::Text(end)) = pattern.last()
        && !text.ends_with(end.as_str())
    {
        return false;
    }
    walk(pattern, text, values)
}

fn walk<'a>(pattern: &'a [Piece], text: &'a str, values: &mut Vec<(&'a Hole, &'a str)>) -> bool {
    match pattern {
        [] => text.is_empty(),
        [Piece::Text(start), rest @ ..] => {
            text.strip_prefix(start.as_str()).is_some_and(|text| walk(rest, text, values))
        }
        [Piece::Hole(hole)] => {
            values.push((hole, text));
            !text.is_empty()
        }
        [Piece::Hole(hole), rest @ ..] => {
            let known = values.len();
            let ends: Vec<usize> = match rest.first() {
                Some(Piece::Text(next)) => text.match_indices(next.as_str()).map(|m| m.0).collect(),
                _ => text.char_indices().map(|(i, _)| i).collect(),
            };
            ends.into_iter().filter(|end| *end > 0).any(|end| {
                let (value, after) = text.split_at(end);
                values.truncate(known);
                values.push((hole, value));
                walk(rest, after, values)
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn german(messages: &[(&str, &str)]) -> Catalogue {
        let own = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        Catalogue::new(Entries { messages: messages.iter().map(own).collect(), window: vec![] })
    }

    #[test]
    fn text_with_figures_is_found_again() {
        let c = german(&[
            ("{} rows of {} are empty", "{0} von {1} Zeilen sind leer"),
            ("{} rows", "{0} Zeilen"),
            ("1 row", "1 Zeile"),
            ("{n} are equal", "{n!} sind gleich"),
            ("Try again.", "Versuchen Sie es noch einmal."),
        ]);
        assert_eq!(c.shown("3 rows of 1,332 are empty"), "3 von 1.332 Zeilen sind leer");
        assert_eq!(c.shown("7 rows are equal"), "7 Zeilen sind gleich");
        assert_eq!(c.shown("1 row are equal"), "1 Zeile sind gleich");
        assert_eq!(c.shown("7 rows. Try again."), "7 Zeilen. Versuchen Sie es noch einmal.");
        assert_eq!(c.shown("7 rows\nTry again."), "7 Zeilen\nVersuchen Sie es noch einmal.");
        assert_eq!(c.shown("Bad. Try again. Stop"), "Bad. Versuchen Sie es noch einmal. Stop");
        assert_eq!(c.shown("many"), "many");
        assert_eq!(c.shown(""), "");
    }

    #[test]
    fn names_from_data_are_left_alone() {
        let c = german(&[("Score", "Wert"), ("column {name}", "Spalte {name}")]);
        assert_eq!(c.shown("column Score"), "Spalte Score");
        assert_eq!(c.shown("column 1.5.2"), "Spalte 1.5.2");
    }

    #[test]
    fn the_more_telling_pattern_wins() {
        let c =
            german(&[("{a} is {b}", "{a} ist {b}"), ("{a} is full of holes", "{a} hat Löcher")]);
        assert_eq!(c.shown("x is full of holes"), "x hat Löcher");
        assert_eq!(c.shown("x is is y"), "x ist is y");
    }

    #[test]
    fn damaged_files_say_so() {
        assert!(read("[window]\na = 1").is_err());
        assert!(read("window = 1").is_err());
        assert!(read("[window").is_err());
        assert_eq!(read("[window]\na = \"b\"").unwrap().window, [("a".into(), "b".into())]);
    }

    #[test]
    fn every_language_can_be_read() {
        for language in Language::ALL {
            entries(language).unwrap();
        }
        assert!(!entries(Language::German).unwrap().window.is_empty());
    }
}

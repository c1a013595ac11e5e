//! The entries of one language, and how English text with figures in it is found among them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

use super::Language;
use super::pattern::{Hole, Piece, is_figure, parse, with_comma};

/// Texts inside texts are followed this deep.
const DEPTH: usize = 8;
/// A pattern with fewer letters than this also fits much that is no text of the program: as a whole
/// text it counts only with single words for values, or with values that are known.
const WEAK: usize = 8;
/// One with fewer than this counts only with values that are known.
const WEAKEST: usize = 5;

/// The entries of a language as the file has them.
#[derive(Debug, Default)]
pub struct Entries {
    /// Keys that the window names: those of `tr!`, `trn!` and `key!`.
    pub window: Vec<(String, String)>,
    /// English text that layers below the window make.
    pub messages: Vec<(String, String)>,
    /// Nouns that they count: English for one, then one and many in this language.
    pub nouns: Vec<(String, [String; 2])>,
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
    let (mut nouns, none) = (Vec::new(), toml::Table::new());
    for (noun, forms) in table.get("nouns").and_then(toml::Value::as_table).unwrap_or(&none) {
        let form = |i: usize| forms.get(i).and_then(toml::Value::as_str).map(str::to_owned);
        let (Some(one), Some(many)) = (form(0), form(1)) else {
            return Err(format!("{noun} has not two forms"));
        };
        nouns.push((noun.clone(), [one, many]));
    }
    Ok(Entries { window: section("window")?, messages: section("messages")?, nouns })
}

/// What is looked up in a language.
#[derive(Debug)]
pub struct Catalogue {
    exact: HashMap<String, String>,
    /// English with placeholders, the most telling first, and its translation.
    patterns: Vec<(Vec<Piece>, Vec<Piece>)>,
    /// English without placeholders that is put to the end of other text.
    ends: Vec<String>,
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
        patterns.sort_by_key(|(english, _)| std::cmp::Reverse((weight(english), length(english))));
        let nouns = entries.nouns.into_iter().flat_map(|(noun, [one, many])| {
            let several = super::plural(&noun);
            [(noun, one), (several, many)]
        });
        let ends = entries.messages.iter().map(|(english, _)| english);
        let ends = ends.filter(|e| is_end(e) && !e.contains('{')).cloned().collect();
        let exact = nouns.chain(entries.messages).chain(entries.window).collect();
        Self { exact, patterns, ends }
    }

    /// The entry of a key.
    pub fn exact(&self, key: &str) -> Option<&str> {
        self.exact.get(key).map(String::as_str)
    }

    /// English text in this language: an entry, an entry with values in it, or what was put
    /// together from entries; as it is where none is known.
    pub fn shown<'a>(&'a self, text: &'a str) -> Cow<'a, str> {
        self.translated(text, DEPTH).unwrap_or(Cow::Borrowed(text))
    }

    fn translated<'a>(&'a self, text: &'a str, depth: usize) -> Option<Cow<'a, str>> {
        if let Some(own) = self.exact(text) {
            return Some(Cow::Borrowed(own));
        }
        let top = depth == DEPTH;
        let depth = depth.checked_sub(1)?;
        if let Some(own) = self.counted(text) {
            return Some(Cow::Owned(own));
        }
        // A pattern whose values are all known is best; one with a value that is not comes last.
        let mut partly = None;
        for (english, own) in &self.patterns {
            let mut values = Vec::new();
            if !matches(english, text, &mut values) {
                continue;
            }
            let weak = weight(english) < WEAK;
            if top && weak {
                let nests = own.iter().any(|p| matches!(p, Piece::Hole(hole) if hole.nested));
                let words = values.iter().all(|(_, value)| !value.contains(' '));
                let short = words && weight(english) >= WEAKEST;
                if !(nests || short) {
                    continue;
                }
            }
            match self.filled(own, &values, depth) {
                Some((full, true)) => return Some(Cow::Owned(full)),
                Some((part, false)) if !weak => partly = partly.or(Some(part)),
                _ => {}
            }
        }
        self.joined(text, depth).or(partly).map(Cow::Owned)
    }

    /// `1,332 rows`: a figure before a known word.
    fn counted(&self, text: &str) -> Option<String> {
        let (figure, noun) = text.split_once(' ')?;
        let digits = figure.starts_with(|c: char| c.is_ascii_digit())
            && figure.chars().all(|c| c.is_ascii_digit() || ",.".contains(c));
        let own = self.exact(noun).filter(|_| digits)?;
        Some(format!("{} {own}", with_comma(figure)))
    }

    /// Text put together from several entries.
    fn joined(&self, text: &str, depth: usize) -> Option<String> {
        let lines = self.parts(text, "\n", depth);
        lines
            .or_else(|| self.ended(text, depth))
            .or_else(|| [". ", "; ", ", "].into_iter().find_map(|m| self.parts(text, m, depth)))
            .or_else(|| {
                let own = self.translated(text.strip_suffix('.')?, depth)?;
                Some(format!("{own}."))
            })
    }

    /// A text to whose end an entry was put that begins with a space or a comma.
    fn ended(&self, text: &str, depth: usize) -> Option<String> {
        let whole = self.ends.iter().filter_map(|end| {
            let head = text.strip_suffix(end.as_str()).filter(|h| !h.is_empty())?;
            Some((head, Cow::Borrowed(self.exact(end)?)))
        });
        let filled = self.patterns.iter().filter_map(|(english, own)| {
            let Some(Piece::Text(start)) = english.first() else { return None };
            let at = is_end(start).then(|| text.rfind(start.as_str())).flatten()?;
            let (head, tail) = text.split_at(at);
            let mut values = Vec::new();
            let fits = !head.is_empty() && matches(english, tail, &mut values);
            let own = fits.then(|| self.filled(own, &values, depth)).flatten()?;
            Some((head, Cow::Owned(own.0)))
        });
        whole
            .chain(filled)
            .find_map(|(head, end)| Some(format!("{}{end}", self.translated(head, depth)?)))
    }

    /// The parts of a text between marks, if any of them is known; a comma may also stand between
    /// names, so there all have to be.
    fn parts(&self, text: &str, mark: &str, depth: usize) -> Option<String> {
        if !text.contains(mark) {
            return None;
        }
        let (mut known, mut unknown) = (0, 0);
        let count = text.matches(mark).count();
        let parts: Vec<Cow<'_, str>> = text
            .split(mark)
            .enumerate()
            .map(|(i, part)| {
                // The full stop that was split off belongs to the sentence.
                let whole = format!("{part}.");
                let stopped = mark == ". " && i < count;
                let own = self.translated(part, depth).map(Cow::into_owned).or_else(|| {
                    let own = stopped.then(|| self.translated(&whole, depth)).flatten()?;
                    Some(own.strip_suffix('.').unwrap_or(&own).to_owned())
                });
                match own {
                    Some(own) => {
                        known += 1;
                        Cow::Owned(own)
                    }
                    None => {
                        unknown += 1;
                        Cow::Borrowed(part)
                    }
                }
            })
            .collect();
        let enough = known > 0 && (mark != ", " || unknown == 0);
        enough.then(|| parts.join(mark))
    }

    /// The translation with values put in, and whether those that are texts were all known; `None`
    /// where a value that is none reaches over the end of a sentence.
    fn filled(
        &self,
        own: &[Piece],
        values: &[(&Hole, &str)],
        depth: usize,
    ) -> Option<(String, bool)> {
        let (mut out, mut known) = (String::new(), true);
        for piece in own {
            let hole = match piece {
                Piece::Text(text) => {
                    out.push_str(text);
                    continue;
                }
                Piece::Hole(hole) => hole,
            };
            let value = values.iter().find(|(h, _)| h.name == hole.name).map_or("", |(_, v)| v);
            if !hole.nested && (value.contains(". ") || value.contains('\n')) {
                return None;
            }
            let nested = if hole.nested { self.translated(value, depth) } else { None };
            match nested {
                Some(text) => out.push_str(&text),
                None if is_figure(value) => out.push_str(&with_comma(value)),
                None => {
                    let plain = !value.contains(|c: char| c.is_alphabetic());
                    known &= !hole.nested || plain || value.starts_with('"');
                    out.push_str(value);
                }
            }
        }
        Some((out, known))
    }
}

/// Whether an entry is put to the end of others.
fn is_end(text: &str) -> bool {
    text.starts_with([' ', ',', ';'])
}

/// How much of a pattern is text: what says more is tried first.
fn weight(pieces: &[Piece]) -> usize {
    pieces
        .iter()
        .map(|p| match p {
            Piece::Text(text) => text.chars().filter(|c| c.is_alphabetic()).count(),
            Piece::Hole(_) => 0,
        })
        .sum()
}

/// All that is text in a pattern: tells apart what has equally many letters.
fn length(pieces: &[Piece]) -> usize {
    pieces.iter().map(|p| if let Piece::Text(text) = p { text.len() } else { 0 }).sum()
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
        Catalogue::new(Entries {
            messages: messages.iter().map(own).collect(),
            nouns: vec![("row".into(), ["Zeile".into(), "Zeilen".into()])],
            ..Entries::default()
        })
    }

    #[test]
    fn text_with_figures_is_found_again() {
        let c = german(&[
            ("{} of {} are empty", "{0!} von {1!} sind leer"),
            ("{n} are equal", "{n!} sind gleich"),
            ("{} and {} more", "{0} und {1} weitere"),
            ("Same in {}", "Gleich in {0!}"),
            ("Try again.", "Versuchen Sie es noch einmal."),
            (", as it grew {n:.0}-fold", ", als es auf das {n}-Fache wuchs"),
            (" while it slept", ", während es schlief"),
        ]);
        assert_eq!(
            c.shown("3 rows of 1,332 rows are empty"),
            "3 Zeilen von 1.332 Zeilen sind leer"
        );
        assert_eq!(c.shown("1 row are equal"), "1 Zeile sind gleich");
        assert_eq!(c.shown("7 rows. Try again."), "7 Zeilen. Versuchen Sie es noch einmal.");
        assert_eq!(c.shown("7 rows\nTry again."), "7 Zeilen\nVersuchen Sie es noch einmal.");
        assert_eq!(c.shown("Bad. Try again. Stop"), "Bad. Versuchen Sie es noch einmal. Stop");
        assert_eq!(
            c.shown("Same in \"a\", \"b\" and 3 more"),
            "Gleich in \"a\", \"b\" und 3 weitere"
        );
        assert_eq!(
            c.shown("7 rows are equal, as it grew 9-fold while it slept."),
            "7 Zeilen sind gleich, als es auf das 9-Fache wuchs, während es schlief."
        );
        assert_eq!(c.shown("many"), "many");
        assert_eq!(c.shown(""), "");
        // Too little of it is text to be sure.
        assert_eq!(c.shown("salt and black pepper more"), "salt and black pepper more");
    }

    #[test]
    fn names_from_data_are_left_alone() {
        let c = german(&[("Score", "Wert"), ("the column {name}", "die Spalte {name}")]);
        assert_eq!(c.shown("the column Score"), "die Spalte Score");
        assert_eq!(c.shown("the column 1.5.2"), "die Spalte 1.5.2");
    }

    #[test]
    fn the_more_telling_pattern_wins() {
        let c =
            german(&[("{a} is called {b}", "{a} heißt {b}"), ("{a} is called so", "{a} heißt so")]);
        assert_eq!(c.shown("x is called so"), "x heißt so");
        assert_eq!(c.shown("x is called y"), "x heißt y");
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

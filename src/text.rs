//! The words of the window in the language of its user.
//!
//! English text in the source is the key; `assets/lang/*.toml` hold the other languages. The window
//! writes [`tr!`], [`trn!`] and, in tables that are `const`, [`key!`]. All layers below it write
//! English, which is what files, logs and the command line hold, and what tests compare; the window
//! hands such text to [`shown`], which finds the entry again, also when figures were put into it.
//! So stored records mean the same in every language, and a change of language shows at once.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt::Display;

mod catalogue;
mod figures;
mod pattern;

pub use catalogue::{Catalogue, Entries, entries};
pub use figures::{group_mark, number};
pub use pattern::{complete, placeholders};

/// A language of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Language {
    /// English, the language of the source.
    #[default]
    English,
    /// German.
    German,
}

impl Language {
    /// All.
    pub const ALL: [Self; 2] = [Self::English, Self::German];

    /// Its own name for itself.
    pub fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::German => "Deutsch",
        }
    }

    /// Two letters of ISO 639-1.
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// The language of a locale such as `de_AT.UTF-8` or `de-CH`; English if there is none for it.
    pub fn of_locale(locale: &str) -> Self {
        let code = locale.split(['_', '-', '.', '@']).next().unwrap_or_default();
        Self::ALL.into_iter().find(|l| l.code().eq_ignore_ascii_case(code)).unwrap_or_default()
    }

    /// The language that the system asks for.
    pub fn of_system() -> Self {
        sys_locale::get_locale().map_or(Self::English, |locale| Self::of_locale(&locale))
    }
}

thread_local! {
    /// One thread draws the window, and only it asks; a thread that works stays English.
    static LANGUAGE: Cell<Language> = const { Cell::new(Language::English) };
}

/// Sets the language of this thread.
pub fn set_language(language: Language) {
    LANGUAGE.set(language);
}

/// The language of this thread: English until it was set.
pub fn language() -> Language {
    LANGUAGE.get()
}

/// The text of a key; the key itself where the language lacks it.
pub fn of(key: &'static str) -> &'static str {
    catalogue::of(language()).and_then(|c| c.exact(key)).unwrap_or(key)
}

/// The text of a key with values put in for its placeholders.
pub fn fill(key: &'static str, values: &[(&str, &dyn Display)]) -> String {
    let language = language();
    let template = catalogue::of(language).and_then(|c| c.exact(key)).unwrap_or(key);
    pattern::fill(template, values, language)
}

/// Text from below the window, which is English, in the language of this thread. Text that the
/// catalogue does not know, such as a name out of the user's data, stays as it is.
pub fn shown(text: &str) -> Cow<'_, str> {
    match catalogue::of(language()) {
        Some(catalogue) => catalogue.shown(text),
        None => Cow::Borrowed(text),
    }
}

/// Figures as the language writes them, from English digits such as `1,332.5 kB`.
pub fn figure(english: impl Into<String>) -> String {
    match language() {
        Language::English => english.into(),
        Language::German => pattern::with_comma(&english.into()),
    }
}

/// A label as it stands within a sentence: English has small letters there, German keeps its nouns.
pub fn within(label: &str) -> String {
    match language() {
        Language::English => label.to_lowercase(),
        Language::German => label.to_owned(),
    }
}

/// An English noun for several: the rule by which figures of layers below the window name what they
/// count.
pub fn plural(noun: &str) -> String {
    match noun.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if noun.ends_with("ss") => format!("{noun}es"),
        None => format!("{noun}s"),
    }
}

/// Text in the language of the window: `tr!("Open a file")` is a `&'static str`;
/// `tr!("{rows} rows of {name}", rows, name = data.name())` is a `String`. Placeholders take a
/// precision and a sign, as in `{share:.1}`. That names and placeholders agree is checked when it
/// is compiled.
#[macro_export]
macro_rules! tr {
    ($key:literal $(,)?) => {
        $crate::text::of($key)
    };
    ($key:literal, $($name:ident $(= $value:expr)?),+ $(,)?) => {{
        const { assert!($crate::text::complete($key, &[$(stringify!($name)),+])) };
        $crate::text::fill($key, &[$((stringify!($name), $crate::tr!(@value $name $(= $value)?))),+])
    }};
    (@value $name:ident) => { &$name };
    (@value $name:ident = $value:expr) => { &$value };
}

/// Text that depends on a number: one form for 1, another for all else.
/// `trn!(n, "{n} row", "{n} rows", n)`.
#[macro_export]
macro_rules! trn {
    ($count:expr, $one:literal, $many:literal $(, $($rest:tt)*)?) => {
        if $count == 1 { $crate::tr!($one $(, $($rest)*)?) } else { $crate::tr!($many $(, $($rest)*)?) }
    };
}

/// Marks English text of a table that the window translates where it shows it, by [`of`].
#[macro_export]
macro_rules! key {
    ($key:literal) => {
        $key
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locales_name_languages() {
        for (locale, language) in [
            ("de_AT.UTF-8", Language::German),
            ("de-CH", Language::German),
            ("DE", Language::German),
            ("en_GB", Language::English),
            ("den_XX", Language::English),
            ("C", Language::English),
            ("", Language::English),
        ] {
            assert_eq!(Language::of_locale(locale), language, "{locale}");
        }
    }

    #[test]
    fn unknown_keys_are_english() {
        set_language(Language::German);
        assert_eq!(of("Nobody wrote this"), "Nobody wrote this");
        assert_eq!(shown("Nobody wrote this"), "Nobody wrote this");
        set_language(Language::English);
    }

    #[test]
    fn values_take_precision_and_the_comma_of_the_language() {
        let english = fill("{n} of {share:.1} %", &[("n", &3), ("share", &12.345)]);
        assert_eq!(english, "3 of 12.3 %");
        set_language(Language::German);
        assert_eq!(fill("{n} of {share:.1} %", &[("n", &3), ("share", &12.345)]), "3 of 12,3 %");
        assert_eq!(figure("1,332.5"), "1.332,5");
        set_language(Language::English);
        assert_eq!(figure("1,332.5"), "1,332.5");
    }
}

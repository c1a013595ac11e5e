//! Every screen in German, text by text: nothing on it may be English.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use fp8_studio::app::Services;
use fp8_studio::app::prefs::LanguageChoice;
use fp8_studio::app::{Preferences, ThemeChoice};
use fp8_studio::data::import::Parts;
use fp8_studio::data::{Progress, Samples, Schema};
use fp8_studio::text::{Catalogue, Language, entries, set_language};

use super::ui_screenshots::{Shots, opening, walk, watching};
use super::ui_support::{
    Script, Window, evaluation, interrupted, monitored, project, table, verdict,
};

/// Words of English that are none of German.
const ENGLISH: &[&str] = &[
    "the", "of", "and", "is", "are", "with", "to", "for", "not", "row", "rows", "its", "this",
    "that", "from", "what", "how", "it", "than", "were", "be", "by", "on", "has", "have", "which",
];

/// Texts that the scripted services make up, in whole or in part: those of a user, and those that
/// no layer of the program says.
const SCRIPTED: &[&str] = &[
    "Tell the species of a penguin from its measures. 344 rows, 3 species. Small and quick.",
    "Tell the species of a penguin from its measures.",
    "Say whether a loan will be paid back. 1000 rows with words and numbers.",
    "Say whether a person earns more than 50K a year. 48 842 rows from the US census of 1994.",
    "Read a digit from a picture of 8 × 8 pixels. 1797 pictures.",
    "Tell shirts from shoes and bags in pictures of 28 × 28 pixels.",
    "Fields are separated by commas; the first row holds names.",
    "2 rows had too few fields and were filled with empty cells.",
    "A row has more fields than the header",
    "Look for a stray comma.",
    "11 rows are exact copies of others",
    "Copies in training and test rows make the result look better than it is. Remove them from the file.",
    "\"bill_length_mm\" has 7 missing values (2 %)",
    "They are filled with the mean of the training rows.",
    "Share of rows that are equal to an earlier row in all columns.",
    "How this check measures.",
    "344 rows were looked at.",
    "The learning rate is too large for this data. Try a tenth of it.",
    "There are only 68 rows",
    "the intervals are wide.",
    "There are too few rows to tell.",
    "FP8 is slower on this machine",
    "2.1 s instead of 0.9 s.",
    "Twice the epochs; shows what 32 bits reach on these rows.",
    "Careful one",
    "mx fast",
    "Training on 241 rows, validating on 35, testing on 68.",
];

/// What the German window shows as it stands: names of versions, of data, of programs, code, and a noun
/// that looks like English.
const SAME: &[&str] = &[
    "onnxruntime 1.19",
    "SELECT … FROM …",
    "Tensoren in Not helfen",
    "from safetensors import safe_open",
    "fp8-studio predict ",
    "for port in session.get_inputs() + session.get_outputs():",
    "with safe_open(r",
    "for f:",
    // Names of projects, of checked data and of columns.
    "Penguins",
    "Handwritten digits",
    "may, the same",
    "rare classes",
    "label",
    // Of scripted texts, what is taken for a sentence of the program and put into German in part.
    "Try a tenth von it.",
    "344 neue Zeilen wurden mit 240 Zeilen von the training verglichen",
];

/// What is not in German yet.
const LEFT: &[&str] = &[
    // Names of groups while it trains.
    "rows)",
    // The gap to the run in 32 bits beside it.
    "Gap of the training loss to the same run in f32",
    "(within the 0.25 % band)",
];

/// Functions of the NIST framework in reports, as `MEASURE 2.5`.
const NUMBERED: &[&str] = &["MEASURE ", "MANAGE "];

/// All cells of the scripted table.
fn cells() -> &'static BTreeSet<String> {
    static CELLS: OnceLock<BTreeSet<String>> = OnceLock::new();
    CELLS.get_or_init(|| {
        let data = table();
        let Samples::Table(table) = &data.samples else { return BTreeSet::new() };
        let of = |c: &fp8_studio::data::Column| -> Vec<String> {
            (0..c.len()).map(|row| c.raw(row).trim().to_owned()).collect()
        };
        table.columns().iter().flat_map(of).collect()
    })
}

/// What of a text is English, if any.
fn foreign(catalogue: &Catalogue, text: &str) -> Option<String> {
    let mut own = text.to_owned();
    for part in SCRIPTED {
        own = own.replace(part, "");
    }
    // Data are shown as they stand in their file, and so are the figures of log lines that scripts make up.
    let cells = cells();
    let value = |part: &str| {
        let cell = part.rsplit_once(" = ").map_or(part, |(_, cell)| cell);
        cells.contains(cell) || part.starts_with("training ") && part.contains(", validation ")
    };
    let known = |part: &str| {
        let within = |list: &[&str]| list.iter().any(|own| part.contains(own));
        SAME.contains(&part)
            || SAME.iter().any(|own| own.contains(' ') && part.contains(own))
            || within(LEFT)
            || within(NUMBERED)
            || value(part)
    };
    let parts = own.split(['\n', '·']).flat_map(|line| line.split(": ")).map(str::trim);
    for part in parts.filter(|p| !p.is_empty() && !known(p)) {
        let shown = catalogue.shown(part);
        if shown != part {
            return Some(format!("\"{part}\" is \"{shown}\""));
        }
        let mut words = part.split(|c: char| !c.is_alphabetic());
        if let Some(word) = words.find(|w| ENGLISH.contains(&w.to_lowercase().as_str())) {
            return Some(format!("\"{part}\" says \"{word}\""));
        }
        if let Some(figure) = pointed(part) {
            return Some(format!("\"{part}\" has the point of {figure}"));
        }
    }
    None
}

/// A figure with a decimal point: digits, a point, and not three digits, which would be thousands.
fn pointed(text: &str) -> Option<&str> {
    let other = |c: char| !(c.is_ascii_digit() || c == '.');
    text.split(other).find(|word| {
        word.trim_end_matches('.').split_once('.').is_some_and(|(a, b)| {
            !a.is_empty() && !b.is_empty() && !b.contains('.') && b.len() != 3
        })
    })
}

/// The catalogue of German, its texts for the window among those that are looked for in values.
fn german() -> Catalogue {
    let mut all = entries(Language::German).unwrap();
    let window = std::mem::take(&mut all.window);
    // What is German already must not be taken for English.
    let own: BTreeSet<String> =
        window.iter().chain(&all.messages).map(|(_, german)| german.clone()).collect();
    all.messages.extend(window);
    all.messages.retain(|(english, german)| english != german && !own.contains(english));
    Catalogue::new(all)
}

/// All texts of all screens, by where they were first seen.
fn texts() -> BTreeMap<String, String> {
    let shots = Shots::Texts(RefCell::default());
    let german = Preferences {
        language: LanguageChoice::German,
        theme: ThemeChoice::Light,
        ..Default::default()
    };
    walk(&shots, &german, "all");
    let window = |script: Script| {
        Window::with([1280.0, 2000.0], Arc::new(script), |store| store.save(&german).unwrap())
    };
    let parts =
        Parts { names: vec!["people".into(), "orders".into()], database: true, large: false };
    opening(window(Script { parts: parts.into(), ..Script::default() }), &shots, "opening");
    watching(window(Script::default()), &shots, "watching");
    let Shots::Texts(all) = shots else { return BTreeMap::new() };
    let mut texts = BTreeMap::new();
    for (place, found) in all.into_inner() {
        for text in found {
            texts.entry(text).or_insert_with(|| place.clone());
        }
    }
    texts
}

#[test]
fn no_screen_of_the_german_window_shows_english() {
    let catalogue = german();
    let texts = texts();
    assert!(texts.len() > 1500, "only {} texts", texts.len());
    let wrong: Vec<String> = texts
        .iter()
        .filter_map(|(text, place)| Some(format!("{place}: {}", foreign(&catalogue, text)?)))
        .collect();
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), texts.len(), wrong.join("\n"));
}

/// The texts of a web page, its style left out.
fn texts_of(page: &str) -> Vec<String> {
    let plain = |t: &str| {
        let marks =
            [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
        marks.iter().fold(t.to_owned(), |t, (mark, c)| t.replace(mark, c))
    };
    let body = &page[page.find("</style>").unwrap()..];
    body.split('<').filter_map(|t| t.split_once('>')).map(|(_, t)| plain(t)).collect()
}

#[test]
fn reports_are_in_the_language_of_the_thread() {
    let script = Script::default();
    let (data, own) = (table(), project("Pinguine", "penguins.csv"));
    let schema = Schema::infer(&data, Some("species"), &BTreeMap::new()).unwrap();
    let record = interrupted(&own).record;
    let found = evaluation(&data, &Progress::default());
    let checked = script.check(&data, &schema, &own, &Progress::default()).unwrap();
    let drift = monitored(Default::default(), true);
    let pages = || {
        [
            fp8_studio::export::report::page(&record, &found, Some(&verdict())),
            fp8_studio::monitor::page::html(&drift),
            fp8_studio::project::report::html(&own, &data, &schema, &checked),
        ]
    };
    for (page, heading) in pages().iter().zip(["Human oversight", "What was noticed", "Checks"]) {
        assert!(
            page.contains(&format!("<h2>{heading}</h2>"))
                && page.contains("lang=\"en\"") | page.contains("lang=en")
        );
    }
    set_language(Language::German);
    let german_pages = pages();
    set_language(Language::English);
    let catalogue = german();
    let mut wrong = Vec::new();
    for (page, heading) in
        german_pages.iter().zip(["Menschliche Aufsicht", "Was auffiel", "Prüfungen"])
    {
        assert!(page.contains(&format!("<h2>{heading}</h2>")), "{heading}");
        assert!(page.contains("lang=\"de\"") || page.contains("lang=de"));
        wrong.extend(texts_of(page).iter().filter_map(|t| foreign(&catalogue, t)));
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn planted_english_is_found() {
    let catalogue = german();
    for planted in [
        "Learning rate",
        "Nothing stands in the way of training.",
        "3 rows",
        "Lernrate: Learning rate",
        "Zeile eins\nThe data could not be checked",
        "Nobody wrote a text like this for the window",
        "Verlust 0.25",
        "97.5 % richtig",
    ] {
        assert!(foreign(&catalogue, planted).is_some(), "{planted}");
    }
    for fine in [
        "Lernrate",
        "Verlust 0,25",
        "1.024 Zeilen, 12.000 Bilder",
        "Das Training ist fertig",
        "bill_length_mm",
        "Ende. 5 Zeilen",
    ] {
        assert_eq!(foreign(&catalogue, fine), None, "{fine}");
    }
}

//! Classes of pictures in one folder, told from the beginnings of their names: `cat_001.jpg`,
//! `dog.12.jpg`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::image_folder::{Item, name};
use crate::data::{ImportNote, count};

/// Fewest pictures of a class; a name that begins as no other says nothing.
const FEWEST: usize = 2;
/// Most of the pictures that may have another name.
const OTHERS: f64 = 0.05;
/// Most classes, as a share of the pictures.
const CLASSES: f64 = 0.25;
/// What cameras and programs call pictures, which is no class.
const CAMERAS: [&str; 24] = [
    "img",
    "image",
    "images",
    "dsc",
    "dscn",
    "dscf",
    "pic",
    "picture",
    "photo",
    "foto",
    "bild",
    "scan",
    "screenshot",
    "frame",
    "file",
    "sample",
    "test",
    "train",
    "val",
    "p",
    "pxl",
    "mvi",
    "dji",
    "gopr",
];

/// The class that a name begins with: letters (and what joins words) before a number or mark.
fn class(path: &Path) -> Option<String> {
    let stem = path.file_stem()?.to_str()?;
    let without = stem.trim_end_matches([')', ' ']).trim_end_matches(|c: char| c.is_ascii_digit());
    if without.len() == stem.len() {
        return None;
    }
    let word = without.trim_end_matches(['(', '_', '-', '.', ' ']);
    let fine = word.chars().next().is_some_and(char::is_alphabetic)
        && word.chars().all(|c| c.is_alphabetic() || matches!(c, '_' | '-' | ' '));
    let camera = CAMERAS.iter().any(|c| word.eq_ignore_ascii_case(c));
    (fine && !camera).then(|| word.to_owned())
}

/// The pictures with the classes that their names say; `None` where the names do not evidently begin
/// with classes. Pictures with another name are left out, and noted.
pub(super) fn sorted(files: &[PathBuf]) -> Option<(Vec<Item>, Vec<ImportNote>)> {
    let mut classes: BTreeMap<String, usize> = BTreeMap::new();
    let named: Vec<Option<String>> = files.iter().map(|path| class(path)).collect();
    for name in named.iter().flatten() {
        *classes.entry(name.clone()).or_default() += 1;
    }
    let fits: usize = classes.values().sum();
    let others = files.len() - fits;
    if classes.len() < 2
        || classes.values().any(|n| *n < FEWEST)
        || classes.len() as f64 > CLASSES * fits as f64
        || others as f64 > OTHERS * files.len() as f64
    {
        return None;
    }
    let first = files.iter().zip(&named).find_map(|(path, class)| Some((path, class.as_ref()?)))?;
    let shown: Vec<String> =
        classes.iter().take(8).map(|(class, n)| format!("\"{class}\" ({n})")).collect();
    let more = if classes.len() > 8 { ", …" } else { "" };
    let mut notes = vec![ImportNote::info(format!(
        "There are no class folders; the class of a picture is what its name begins with, such as \
         \"{}\" of \"{}\": {}{more}.",
        first.1,
        name(first.0),
        shown.join(", ")
    ))];
    if others > 0 {
        let odd = files.iter().zip(&named).find(|(_, class)| class.is_none());
        let odd = odd.map_or_else(String::new, |(path, _)| name(path));
        let text = format!(
            "{} whose name does not begin with a class left out, such as \"{odd}\".",
            count(others, "image")
        );
        notes.push(ImportNote::repair(text, &[]));
    }
    let items = files
        .iter()
        .zip(named)
        .filter_map(|(path, class)| Some(Item { path: path.clone(), class: class?, test: false }));
    Some((items.collect(), notes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[String]) -> Option<(Vec<Item>, Vec<ImportNote>)> {
        sorted(&names.iter().map(PathBuf::from).collect::<Vec<_>>())
    }

    fn names(patterns: &[&str], n: usize) -> Vec<String> {
        let each = |p: &&str| (1..=n).map(|i| p.replace('#', &i.to_string())).collect::<Vec<_>>();
        patterns.iter().flat_map(each).collect()
    }

    #[test]
    fn names_that_begin_with_classes_are_sorted() {
        for patterns in [
            ["cat_00#.jpg", "dog_00#.jpg"],
            ["cat.#.jpg", "dog.#.jpg"],
            ["cat (#).png", "dog (#).png"],
            ["cat#.png", "dog#.png"],
            ["x/cat-#.png", "x/dog-#.png"],
        ] {
            let (items, notes) = of(&names(&patterns, 6)).unwrap();
            assert_eq!(items.iter().filter(|i| i.class == "cat").count(), 6);
            assert_eq!(items.iter().filter(|i| i.class == "dog").count(), 6);
            assert!(notes.len() == 1 && notes[0].text.contains("\"cat\" (6), \"dog\" (6)"));
        }
        let (items, _) = of(&names(&["german_shepherd_#.jpg", "red fox #.jpg"], 9)).unwrap();
        assert_eq!(
            (items[0].class.as_str(), items[9].class.as_str()),
            ("german_shepherd", "red fox")
        );
        // A few others are left out and said.
        let mut some = names(&["cat_#.jpg", "dog_#.jpg"], 30);
        some.push("readme.png".to_owned());
        let (items, notes) = of(&some).unwrap();
        assert_eq!((items.len(), notes.len()), (60, 2));
        assert!(notes[1].repair && notes[1].text.contains("\"readme.png\""), "{:?}", notes[1]);
    }

    #[test]
    fn names_that_say_no_class_are_not() {
        for patterns in [
            // One kind, cameras, numbers alone, no number.
            vec!["cat_#.jpg"],
            vec!["IMG_#.jpg", "DSC_#.jpg"],
            vec!["#.jpg", "0#.jpg"],
            vec!["holiday.jpg", "beach.jpg"],
            vec!["2024-01-#.jpg", "2024-02-#.jpg"],
        ] {
            assert!(of(&names(&patterns, 8)).is_none(), "{patterns:?}");
        }
        // As many beginnings as pictures, or one of a single picture.
        let lone: Vec<String> =
            ["a1", "b2", "c3", "d4"].iter().map(|n| format!("{n}.png")).collect();
        assert!(of(&lone).is_none());
        let mut odd = names(&["cat_#.jpg", "dog_#.jpg"], 8);
        odd.push("eel_1.jpg".to_owned());
        assert!(of(&odd).is_none());
        // Too many others, nothing, and names that no pattern fits.
        let mut many = names(&["cat_#.jpg", "dog_#.jpg"], 8);
        many.extend(names(&["x#y.jpg"], 4));
        assert!(of(&many).is_none() && of(&[]).is_none());
    }

    #[test]
    fn any_names_do() {
        let mut rng = crate::data::rng::Rng::new(5);
        let letters: Vec<char> = "aZ0 9_-.()ß日/\u{301}\u{0}%".chars().collect();
        for _ in 0..300 {
            let names: Vec<String> = (0..rng.below(30))
                .map(|_| (0..rng.below(12)).map(|_| letters[rng.below(letters.len())]).collect())
                .collect();
            if let Some((items, notes)) = of(&names) {
                assert!(items.len() <= names.len() && !notes.is_empty());
            }
        }
    }
}

//! A folder with one folder of images per class, or with `train` and `test` folders of that kind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use image::{DynamicImage, ImageDecoder, ImageReader, RgbImage, imageops};
use rayon::prelude::*;

use super::image_names;
use crate::data::import::entries;
use crate::data::schema::class_order;
use crate::data::{ImageSet, ImportNote, Progress, count, invalid};
use crate::error::DataError;

/// Longest side by default.
const CAP: u32 = 32;
/// Longest side of a picture that is still decoded.
const MAX_SIDE: u32 = 20_000;
/// How deep folders inside a class folder are searched.
const DEPTH: usize = 6;

/// One picture to read.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) path: PathBuf,
    pub(super) class: String,
    pub(super) test: bool,
}

pub(super) fn is_picture_name(path: &Path) -> bool {
    path.extension().is_some_and(|e| {
        ["png", "jpg", "jpeg", "webp", "bmp"].iter().any(|x| e.eq_ignore_ascii_case(x))
    })
}

pub(super) fn name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}

/// Opens a folder of images; `None` when no folder in it holds a picture. `size`: width and height.
pub(crate) fn open(
    folder: &Path,
    size: Option<(usize, usize)>,
    progress: &Progress,
) -> Result<Option<(ImageSet, Vec<ImportNote>)>, DataError> {
    let mut other = Vec::new();
    let (mut items, mut notes) = find(folder, &mut other, progress)?;
    if items.is_empty() {
        let loose: Vec<PathBuf> =
            entries(folder)?.into_iter().filter(|e| e.is_file() && is_picture_name(e)).collect();
        if loose.is_empty() {
            return Ok(None);
        }
        let Some(sorted) = image_names::sorted(&loose) else {
            return Err(invalid(
                "These images are not sorted into classes",
                "Make one folder per class, named after it, and put its images there; or begin every \
                 name with its class and a number, such as cat_001.jpg and dog_001.jpg; or put a CSV \
                 file beside them with two columns, the name of a picture and its class.",
            )
            .in_file(folder));
        };
        (items, notes) = sorted;
    } else if items.iter().all(|item| item.class == items[0].class && !item.test) {
        // All in one folder, which then says nothing; perhaps the names do.
        let files: Vec<PathBuf> = items.iter().map(|item| item.path.clone()).collect();
        if let Some((sorted, said)) = image_names::sorted(&files) {
            items = sorted;
            notes.extend(said);
        }
    }
    if let Some(first) = other.first() {
        let text = format!(
            "{} not PNG, JPEG, WebP or BMP left out, such as \"{}\".",
            count(other.len(), "file"),
            name(first)
        );
        notes.push(ImportNote::repair(text, &[]));
    }
    read(folder, items, size, notes, progress).map(Some)
}

/// Reads pictures and brings them to one size.
pub(super) fn read(
    folder: &Path,
    items: Vec<Item>,
    size: Option<(usize, usize)>,
    mut notes: Vec<ImportNote>,
    progress: &Progress,
) -> Result<(ImageSet, Vec<ImportNote>), DataError> {
    progress.total.store(items.len() as u64, Ordering::Relaxed);
    let (width, height) = match size {
        Some((w, h)) if w > 0 && h > 0 && w.max(h) <= MAX_SIDE as usize => (w as u32, h as u32),
        Some((w, h)) => {
            return Err(invalid(
                format!("Images cannot be made {w} × {h} pixels"),
                "Choose a width and height of at least 1.",
            ));
        }
        None => commonest(&items, &mut notes),
    };
    let read: Vec<Result<(RgbImage, bool), String>> = items
        .par_iter()
        .map(|item| {
            progress.check()?;
            let picture = decode(&item.path, width, height);
            progress.done.fetch_add(1, Ordering::Relaxed);
            Ok(picture)
        })
        .collect::<Result<_, DataError>>()?;
    build(folder, items, read, (width, height), notes)
}

/// The pictures below the class folders.
fn find(
    folder: &Path,
    other: &mut Vec<PathBuf>,
    progress: &Progress,
) -> Result<(Vec<Item>, Vec<ImportNote>), DataError> {
    let (folders, notes) = class_folders(folder)?;
    let mut items = Vec::new();
    for (path, test) in folders {
        let mut files = Vec::new();
        walk_for(&path, is_picture_name, &mut files, other, progress)?;
        let class = name(&path);
        items.extend(files.into_iter().map(|path| Item { path, class: class.clone(), test }));
    }
    Ok((items, notes))
}

/// Every class folder and whether it belongs to the test set.
pub(super) type ClassFolders = Vec<(PathBuf, bool)>;

/// The class folders of a folder, or of its `train` and `test` folders.
pub(super) fn class_folders(folder: &Path) -> Result<(ClassFolders, Vec<ImportNote>), DataError> {
    let folders = |path: &Path| -> Result<Vec<PathBuf>, DataError> {
        Ok(entries(path)?.into_iter().filter(|e| e.is_dir()).collect())
    };
    let mut notes = Vec::new();
    let mut found = Vec::new();
    let mut add =
        |classes: Vec<PathBuf>, test: bool| found.extend(classes.into_iter().map(|c| (c, test)));
    let top = folders(folder)?;
    let part = |names: &[&str]| -> Option<PathBuf> {
        top.iter().find(|f| names.iter().any(|n| name(f).eq_ignore_ascii_case(n))).cloned()
    };
    let train = part(&["train", "training"]);
    let test = part(&["test", "testing"]);
    let validation = part(&["val", "valid", "validation"]);
    let parts = [&train, &test, &validation].iter().filter(|p| p.is_some()).count();
    match train {
        Some(train) if parts > 1 && parts == top.len() => {
            add(folders(&train)?, false);
            if let Some(validation) = validation {
                add(folders(&validation)?, false);
                notes.push(ImportNote::info(
                    "What the validation folder holds is added to what is for training; validation rows are drawn from both.",
                ));
            }
            if let Some(test) = test {
                add(folders(&test)?, true);
            }
        }
        _ => add(top, false),
    }
    Ok((found, notes))
}

/// Files with fitting names in a folder and the folders in it; `other` gets those that do not fit.
pub(super) fn walk_for(
    folder: &Path,
    fits: fn(&Path) -> bool,
    files: &mut Vec<PathBuf>,
    other: &mut Vec<PathBuf>,
    progress: &Progress,
) -> Result<(), DataError> {
    walk(folder, DEPTH, fits, files, other, progress)
}

fn walk(
    folder: &Path,
    depth: usize,
    fits: fn(&Path) -> bool,
    files: &mut Vec<PathBuf>,
    other: &mut Vec<PathBuf>,
    progress: &Progress,
) -> Result<(), DataError> {
    progress.check()?;
    for entry in entries(folder)? {
        if entry.is_dir() {
            if depth > 0 {
                walk(&entry, depth - 1, fits, files, other, progress)?;
            }
        } else if fits(&entry) {
            files.push(entry);
        } else if !["Thumbs.db", "desktop.ini"].contains(&name(&entry).as_str()) {
            other.push(entry);
        }
    }
    Ok(())
}

/// The commonest size of up to 1000 pictures, made smaller to fit the cap.
fn commonest(items: &[Item], notes: &mut Vec<ImportNote>) -> (u32, u32) {
    let step = items.len().div_ceil(1000);
    let sizes: Vec<(u32, u32)> = items
        .par_iter()
        .step_by(step)
        .filter_map(|i| image::image_dimensions(&i.path).ok())
        .collect();
    let mut counts = BTreeMap::new();
    for size in sizes {
        *counts.entry(size).or_insert(0_usize) += 1;
    }
    let different = counts.len();
    let best = counts.into_iter().max_by_key(|(_, n)| *n).map_or((CAP, CAP), |(size, _)| size);
    let longest = best.0.max(best.1).max(1);
    if longest <= CAP && different <= 1 {
        return best;
    }
    let shrink = |side: u32| {
        if longest > CAP { ((side * CAP + longest / 2) / longest).max(1) } else { side.max(1) }
    };
    let to = (shrink(best.0), shrink(best.1));
    notes.push(ImportNote::repair(
        format!(
            "Images are brought to {} × {} pixels; the commonest size is {} × {}{}.",
            to.0,
            to.1,
            best.0,
            best.1,
            if different > 1 { format!(" of {different}") } else { String::new() }
        ),
        &[],
    ));
    to
}

/// Reads one picture: turned upright, laid on white, resized. Also whether it is grey.
fn decode(path: &Path, width: u32, height: u32) -> Result<(RgbImage, bool), String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let reader = ImageReader::open(path).map_err(|e| text(&e))?;
    let mut reader = reader.with_guessed_format().map_err(|e| text(&e))?;
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|e| text(&e))?;
    let orientation = decoder.orientation().map_err(|e| text(&e))?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|e| text(&e))?;
    picture.apply_orientation(orientation);
    let mut rgb = if picture.color().has_alpha() {
        let rgba = picture.to_rgba8();
        RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
            let [r, g, b, a] = rgba.get_pixel(x, y).0;
            let over = |c: u8| {
                ((u32::from(c) * u32::from(a) + 255 * (255 - u32::from(a)) + 127) / 255) as u8
            };
            image::Rgb([over(r), over(g), over(b)])
        })
    } else {
        picture.to_rgb8()
    };
    if (rgb.width(), rgb.height()) != (width, height) {
        rgb = imageops::resize(&rgb, width, height, imageops::FilterType::Triangle);
    }
    let grey = rgb.pixels().all(|p| p.0[0] == p.0[1] && p.0[1] == p.0[2]);
    Ok((rgb, grey))
}

/// Reads one picture as a model wants it: width, height, and 1 or 3 channels.
pub(crate) fn read_one(
    path: &Path,
    [width, height, channels]: [usize; 3],
) -> Result<Vec<u8>, DataError> {
    let (rgb, _) = decode(path, width as u32, height as u32).map_err(|why| {
        invalid(
            format!("This picture cannot be read: {why}"),
            "Choose a PNG, JPEG, WebP or BMP file that opens in an image viewer.",
        )
        .in_file(path)
    })?;
    Ok(match channels {
        1 => DynamicImage::from(rgb).to_luma8().into_raw(),
        _ => rgb.into_raw(),
    })
}

fn build(
    folder: &Path,
    items: Vec<Item>,
    read: Vec<Result<(RgbImage, bool), String>>,
    (width, height): (u32, u32),
    mut notes: Vec<ImportNote>,
) -> Result<(ImageSet, Vec<ImportNote>), DataError> {
    let mut broken = Vec::new();
    let mut good = Vec::new();
    for (item, result) in items.into_iter().zip(read) {
        match result {
            Ok(picture) => good.push((item, picture)),
            Err(why) => broken.push(format!("{} ({why})", item.path.display())),
        }
    }
    if !broken.is_empty() {
        let shown = broken.iter().take(20).cloned().collect::<Vec<_>>().join("; ");
        let text =
            format!("{} could not be read and left out: {shown}.", count(broken.len(), "image"));
        notes.push(ImportNote::repair(text, &[]));
    }
    if good.is_empty() {
        return Err(invalid(
            format!("None of {} can be read", count(broken.len(), "image")),
            "Check that they open in an image viewer.",
        )
        .in_file(folder));
    }
    good.sort_by_key(|(item, _)| item.test);
    let mut classes: Vec<String> = good.iter().map(|(i, _)| i.class.clone()).collect();
    classes.sort();
    classes.dedup();
    let classes = class_order(classes);
    let grey = good.iter().all(|(_, (_, grey))| *grey);
    let channels = if grey { 1 } else { 3 };
    let mut set = ImageSet {
        width: width as usize,
        height: height as usize,
        channels,
        pixels: Vec::with_capacity(good.len() * (width * height) as usize * channels),
        test_start: good.iter().position(|(i, _)| i.test),
        classes,
        ..ImageSet::default()
    };
    for (item, (rgb, _)) in good {
        let class = set.classes.iter().position(|c| *c == item.class).unwrap_or(0);
        set.labels.push(class as u32);
        set.paths.push(item.path);
        if grey {
            set.pixels.extend(rgb.pixels().map(|p| p.0[0]));
        } else {
            set.pixels.extend(rgb.as_raw());
        }
    }
    // A test set needs something to be tested: images for testing only are ordinary images.
    if set.test_start == Some(0) {
        set.test_start = None;
    }
    notes.push(ImportNote::info(format!(
        "{} of {width} × {height} pixels, {}, in {}.",
        count(set.len(), "image"),
        if grey { "grey" } else { "colour" },
        count(set.classes.len(), "class")
    )));
    if let Some(start) = set.test_start {
        let text = format!(
            "The {} of the test folder are the test set.",
            count(set.len() - start, "image")
        );
        notes.push(ImportNote::info(text));
    }
    Ok((set, notes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, ImportOptions, Samples, open};

    fn save(path: &Path, w: u32, h: u32, colour: [u8; 3]) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::from_pixel(w, h, image::Rgb(colour)).save(path).unwrap();
    }

    fn load(path: &Path, size: Option<(usize, usize)>) -> (ImageSet, Vec<ImportNote>) {
        let options = ImportOptions { image_size: size, ..Default::default() };
        match open(path, &options, &Progress::default()) {
            Ok(Dataset { samples: Samples::Images(i), notes, .. }) => (i, notes),
            other => panic!("{other:?}"),
        }
    }

    fn what(path: &Path) -> String {
        open(path, &ImportOptions::default(), &Progress::default()).unwrap_err().to_string()
    }

    #[test]
    fn folders_are_classes_and_sizes_are_made_one() {
        let dir = tempfile::tempdir().unwrap();
        let d = dir.path();
        for i in 0..3 {
            save(&d.join(format!("cat/{i}.png")), 8, 6, [200, 10, 10]);
        }
        save(&d.join("dog/deep/a.bmp"), 40, 60, [1, 2, 3]);
        save(&d.join("dog/b.jpg"), 8, 6, [90, 90, 90]);
        std::fs::write(d.join("dog/broken.png"), b"\x89PNG\r\n\x1a\nxx").unwrap();
        std::fs::write(d.join("dog/notes.txt"), b"hello").unwrap();
        let (set, notes) = load(d, None);
        assert_eq!((set.len(), set.width, set.height, set.channels), (5, 8, 6, 3));
        assert_eq!(
            (set.labels, set.classes),
            (vec![0, 0, 0, 1, 1], vec!["cat".into(), "dog".into()])
        );
        assert_eq!(set.pixels.len(), 5 * 8 * 6 * 3);
        assert_eq!(set.pixels[..3], [200, 10, 10]);
        assert_eq!(set.paths.len(), 5);
        let has = |part: &str| notes.iter().any(|n| n.repair && n.text.contains(part));
        assert!(has("broken.png") && has("1 file not PNG") && has("brought to 8 × 6"), "{notes:?}");
        assert_eq!(load(d, Some((4, 4))).0.width, 4);
    }

    #[test]
    fn large_grey_images_shrink_and_stay_grey() {
        let dir = tempfile::tempdir().unwrap();
        let d = dir.path();
        save(&d.join("a/1.png"), 128, 64, [7, 7, 7]);
        save(&d.join("b/1.webp"), 128, 64, [9, 9, 9]);
        let (set, _) = load(d, None);
        assert_eq!((set.width, set.height, set.channels), (32, 16, 1));
        assert!(set.pixels.iter().all(|p| (7..=9).contains(p)));
    }

    #[test]
    fn a_test_folder_is_the_test_set() {
        let dir = tempfile::tempdir().unwrap();
        let d = dir.path();
        for part in ["train", "test", "validation"] {
            save(&d.join(format!("{part}/a/1.png")), 4, 4, [0; 3]);
            save(&d.join(format!("{part}/b/1.png")), 4, 4, [255; 3]);
        }
        let (set, notes) = load(d, None);
        assert_eq!((set.len(), set.test_start), (6, Some(4)));
        assert_eq!(set.labels, [0, 1, 0, 1, 0, 1]);
        assert!(set.paths[4..].iter().all(|p| p.starts_with(d.join("test"))));
        assert!(notes.iter().any(|n| n.text.contains("validation folder")));
    }

    #[test]
    fn transparent_pictures_lie_on_white() {
        let dir = tempfile::tempdir().unwrap();
        for (class, alpha) in [("a", 0), ("b", 255)] {
            let path = dir.path().join(class);
            std::fs::create_dir(&path).unwrap();
            let picture = image::RgbaImage::from_pixel(2, 2, image::Rgba([10, 20, 30, alpha]));
            picture.save(path.join("x.png")).unwrap();
        }
        let (set, _) = load(dir.path(), None);
        assert_eq!(set.pixels[..3], [255; 3]);
        assert_eq!(set.pixels[12..15], [10, 20, 30]);
    }

    #[test]
    fn names_say_the_classes_where_no_folders_do() {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..5 {
            save(&dir.path().join(format!("cat_{i:03}.png")), 4, 4, [0, 9, 9]);
            save(&dir.path().join(format!("dog.{i}.jpg")), 4, 4, [9, 9, 0]);
        }
        let (set, notes) = load(dir.path(), None);
        assert_eq!((set.len(), set.classes), (10, vec!["cat".to_owned(), "dog".to_owned()]));
        assert!(notes[0].text.contains("\"cat\" of \"cat_000.png\""), "{notes:?}");
        // The same pictures in one folder of a folder.
        let above = tempfile::tempdir().unwrap();
        std::fs::rename(dir.path(), above.path().join("pictures")).unwrap();
        assert_eq!(load(above.path(), None).0.classes, ["cat", "dog"]);
    }

    #[test]
    fn folders_that_are_not_sorted_are_explained() {
        let dir = tempfile::tempdir().unwrap();
        assert!(what(dir.path()).contains("neither a table nor images"));
        save(&dir.path().join("1.png"), 4, 4, [0; 3]);
        let error = open(dir.path(), &ImportOptions::default(), &Progress::default()).unwrap_err();
        let text = crate::error::UserError::from(error).to_string();
        assert!(text.contains("not sorted into classes") && text.contains("cat_001.jpg"), "{text}");
        let cancelled = Progress::default();
        cancelled.cancel.store(true, Ordering::Relaxed);
        save(&dir.path().join("a/1.png"), 4, 4, [0; 3]);
        let result = open(dir.path(), &ImportOptions::default(), &cancelled);
        assert!(matches!(result, Err(DataError::Cancelled)));
    }
}

//! IDX arrays of bytes, the format of MNIST: images `[n, height, width]` or `[n, height, width, 3]`
//! with labels `[n]` in a file beside them. A file `classes.txt` beside them names the classes, one a
//! line, in the order of the labels.

use std::path::{Path, PathBuf};

use super::bytes;
use crate::data::{ImageSet, ImportNote, Progress, count, invalid};
use crate::error::DataError;

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}

/// Whether a name is that of an IDX image file: `train-images-idx3-ubyte.gz`.
pub(crate) fn is_images_name(path: &Path) -> bool {
    let name = file_name(path).to_lowercase();
    name.contains("images") && (name.contains("idx3") || name.contains("idx4")) && path.is_file()
}

/// The labels beside an image file, packed or not.
fn labels_beside(images: &Path) -> Option<PathBuf> {
    let name = file_name(images);
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    let labels = plain.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1");
    (labels != plain)
        .then(|| [labels.clone(), format!("{labels}.gz")].map(|n| images.with_file_name(n)))
        .and_then(|both| both.into_iter().find(|p| p.is_file()))
}

/// Opens the images of one file; given the labels file, the images beside it.
pub(crate) fn open_file(
    path: &Path,
    progress: &Progress,
) -> Result<(ImageSet, Vec<ImportNote>), DataError> {
    let name = file_name(path);
    let images = if name.contains("labels") {
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        let images = plain.replace("labels", "images").replace("idx1", "idx3");
        let both = [images.clone(), format!("{images}.gz")].map(|n| path.with_file_name(n));
        both.into_iter().find(|p| p.is_file()).ok_or_else(|| {
            invalid(
                "These are labels without their images",
                format!("Put \"{images}\" beside them."),
            )
            .in_file(path)
        })?
    } else {
        path.to_owned()
    };
    open_sets(&[images], &[], progress)
}

/// Opens all image files of a folder; those with "t10k" or "test" in the name are the test set.
pub(crate) fn open_folder(
    folder: &Path,
    entries: &[PathBuf],
    progress: &Progress,
) -> Result<(ImageSet, Vec<ImportNote>), DataError> {
    let images: Vec<PathBuf> = entries.iter().filter(|e| is_images_name(e)).cloned().collect();
    let is_test = |p: &PathBuf| {
        let name = file_name(p).to_lowercase();
        name.contains("t10k") || name.contains("test")
    };
    let (test, train): (Vec<_>, Vec<_>) = images.into_iter().partition(is_test);
    if train.is_empty() && test.len() > 1 || train.len() > 1 || test.len() > 1 {
        return Err(invalid(
            "This folder holds several image files of one kind",
            "Open one of the files, or keep one for training and one with \"t10k\" in its name for testing.",
        )
        .in_file(folder));
    }
    if train.is_empty() {
        open_sets(&test, &[], progress)
    } else {
        open_sets(&train, &test, progress)
    }
}

/// An array of bytes and its dimensions.
fn array(
    path: &Path,
    dims: usize,
    progress: &Progress,
) -> Result<(Vec<usize>, Vec<u8>), DataError> {
    let content = bytes::load(path, progress)?;
    let bad = |what: String| {
        invalid(what, "Download the file again; it should be an IDX file as MNIST uses.")
            .in_file(path)
    };
    let [0, 0, kind, given, rest @ ..] = &content[..] else {
        return Err(bad("This is not an IDX file".to_owned()));
    };
    if *kind != 8 {
        return Err(bad(format!("This IDX file holds numbers of type {kind:#04x}, not bytes")));
    }
    let given = usize::from(*given);
    if given != dims && !(dims == 3 && given == 4) || rest.len() < 4 * given {
        return Err(bad(format!("This IDX file has {given} dimensions where {dims} are needed")));
    }
    let (head, data) = rest.split_at(4 * given);
    let shape: Vec<usize> =
        head.chunks_exact(4).map(|c| c.iter().fold(0, |n, b| n << 8 | usize::from(*b))).collect();
    let needed = shape.iter().try_fold(1_usize, |n, d| n.checked_mul(*d));
    if needed != Some(data.len()) {
        return Err(bad(format!(
            "This IDX file says {} bytes but holds {}; it is cut short or damaged",
            needed.map_or_else(|| "too many".to_owned(), |n| n.to_string()),
            data.len()
        )));
    }
    Ok((shape, data.to_vec()))
}

fn open_sets(
    train: &[PathBuf],
    test: &[PathBuf],
    progress: &Progress,
) -> Result<(ImageSet, Vec<ImportNote>), DataError> {
    let mut set = ImageSet::default();
    let mut codes = Vec::new();
    for (index, path) in train.iter().chain(test).enumerate() {
        progress.check()?;
        let labels = labels_beside(path).ok_or_else(|| {
            invalid(
                "The labels of these images are missing",
                "Put the labels file beside it; its name has \"labels\" and \"idx1\" for \"images\" and \"idx3\".",
            )
            .in_file(path)
        })?;
        let (shape, pixels) = array(path, 3, progress)?;
        let (label_shape, label_codes) = array(&labels, 1, progress)?;
        let (n, height, width) = (shape[0], shape[1], shape[2]);
        let channels = shape.get(3).copied().unwrap_or(1);
        if n != label_shape[0] {
            return Err(invalid(
                format!("There are {n} images but {} labels", label_shape[0]),
                "Use images and labels that belong together.",
            )
            .in_file(&labels));
        }
        if n == 0 || height == 0 || width == 0 || !matches!(channels, 1 | 3) {
            return Err(invalid(
                format!("These images cannot be used: {n} of {width} × {height} with {channels} channels"),
                "Images need at least one pixel and one (grey) or three (colour) channels.",
            )
            .in_file(path));
        }
        if index > 0 && (set.height, set.width, set.channels) != (height, width, channels) {
            return Err(invalid(
                format!(
                    "Test images are {width} × {height} but training images {} × {}",
                    set.width, set.height
                ),
                "Use images of one size.",
            )
            .in_file(path));
        }
        (set.height, set.width, set.channels) = (height, width, channels);
        if index == train.len() {
            set.test_start = Some(codes.len());
        }
        set.pixels.extend(pixels);
        codes.extend(label_codes);
    }
    let folder = train.first().and_then(|p| p.parent()).unwrap_or(Path::new("."));
    label(&mut set, &codes, folder)?;
    let mut notes = vec![ImportNote::info(format!(
        "{} of {} × {} pixels, {}, in {}.",
        count(set.len(), "image"),
        set.width,
        set.height,
        if set.channels == 1 { "grey" } else { "colour" },
        count(set.classes.len(), "class")
    ))];
    if let Some(start) = set.test_start {
        let text = format!(
            "The {} named for testing are the test set.",
            count(set.len() - start, "image")
        );
        notes.push(ImportNote::info(text));
    }
    Ok((set, notes))
}

/// Turns label bytes into classes, named by `classes.txt` where there is one.
fn label(set: &mut ImageSet, codes: &[u8], folder: &Path) -> Result<(), DataError> {
    let mut distinct = codes.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let file = folder.join("classes.txt");
    let names: Vec<String> = std::fs::read_to_string(&file)
        .map(|t| t.lines().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect())
        .unwrap_or_default();
    if let Some(highest) =
        distinct.last().filter(|h| !names.is_empty() && usize::from(**h) >= names.len())
    {
        return Err(invalid(
            format!("A label is {highest} but only {} are named", count(names.len(), "class")),
            "Write one name per line, the first for label 0.",
        )
        .in_file(&file));
    }
    let name = |c: &u8| names.get(usize::from(*c)).cloned().unwrap_or_else(|| c.to_string());
    set.classes = distinct.iter().map(name).collect();
    set.labels = codes.iter().map(|c| distinct.binary_search(c).unwrap_or(0) as u32).collect();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, ImportOptions, Samples, open};
    use std::io::Write;

    fn idx(shape: &[u32], data: &[u8]) -> Vec<u8> {
        let mut v = vec![0, 0, 8, shape.len() as u8];
        shape.iter().for_each(|d| v.extend(d.to_be_bytes()));
        v.extend(data);
        v
    }

    fn put(dir: &Path, name: &str, content: &[u8]) {
        let file = std::fs::File::create(dir.join(name)).unwrap();
        if name.ends_with(".gz") {
            let mut e = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
            e.write_all(content).unwrap();
            e.finish().unwrap();
        } else {
            (&file).write_all(content).unwrap();
        }
    }

    fn images(path: &Path) -> ImageSet {
        match open(path, &ImportOptions::default(), &Progress::default()) {
            Ok(Dataset { samples: Samples::Images(i), .. }) => i,
            other => panic!("{other:?}"),
        }
    }

    fn what(path: &Path) -> String {
        open(path, &ImportOptions::default(), &Progress::default()).unwrap_err().to_string()
    }

    #[test]
    fn a_folder_of_four_files_has_its_test_set() {
        let dir = tempfile::tempdir().unwrap();
        let d = dir.path();
        put(d, "train-images-idx3-ubyte.gz", &idx(&[3, 2, 2], &(0..12).collect::<Vec<_>>()));
        put(d, "train-labels-idx1-ubyte", &idx(&[3], &[7, 3, 7]));
        put(d, "t10k-images-idx3-ubyte", &idx(&[1, 2, 2], &[9; 4]));
        put(d, "t10k-labels-idx1-ubyte.gz", &idx(&[1], &[3]));
        let set = images(d);
        assert_eq!((set.len(), set.width, set.height, set.channels), (4, 2, 2, 1));
        assert_eq!((set.labels, set.classes), (vec![1, 0, 1, 0], vec!["3".into(), "7".into()]));
        assert_eq!(set.test_start, Some(3));
        assert_eq!(set.pixels[12..], [9; 4]);
        for one in ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"] {
            let set = images(&d.join(one));
            assert_eq!((set.len(), set.test_start), (3, None));
        }
        put(d, "classes.txt", b"a\nb\nc\ncat\n\nx\ny\nz\ndog\n");
        assert_eq!(images(d).classes, ["cat", "dog"]);
        put(d, "classes.txt", b"a\nb\n");
        assert!(what(d).contains("label is 7"));
    }

    #[test]
    fn damaged_files_are_explained() {
        let dir = tempfile::tempdir().unwrap();
        let d = dir.path();
        let name = d.join("train-images-idx3-ubyte");
        put(d, "train-images-idx3-ubyte", &idx(&[3, 2, 2], &[0; 12]));
        assert!(what(d).contains("labels of these images are missing"));
        put(d, "train-labels-idx1-ubyte", &idx(&[2], &[0; 2]));
        assert!(what(&name).contains("3 images but 2 labels"));
        put(d, "train-images-idx3-ubyte", &idx(&[3, 2, 2], &[0; 11]));
        assert!(what(d).contains("says 12 bytes but holds 11"));
        put(d, "train-images-idx3-ubyte", &idx(&[u32::MAX; 3], &[0; 11]));
        assert!(what(d).contains("too many"));
        put(d, "train-images-idx3-ubyte", &[0, 0, 8, 3, 0]);
        assert!(what(d).contains("dimensions"));
        put(d, "train-images-idx3-ubyte", &[0, 0, 13, 3, 0]);
        assert!(what(d).contains("not bytes"));
        put(d, "train-images-idx3-ubyte", &idx(&[0, 2, 2], &[]));
        put(d, "train-labels-idx1-ubyte", &idx(&[0], &[]));
        assert!(what(d).contains("cannot be used"));
    }
}

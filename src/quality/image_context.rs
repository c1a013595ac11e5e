//! What the checks of images share.

use std::hash::{BuildHasher, Hasher};

use rayon::prelude::*;
use rustc_hash::FxBuildHasher;

use super::context::{Groups, Labels};
use crate::data::{ImageSet, Split};

/// Images and what the checks share about them.
pub(crate) struct ImageContext<'a> {
    pub(crate) images: &'a ImageSet,
    pub(crate) split: Option<&'a Split>,
    /// Images that are equal byte for byte.
    pub(crate) equal: Groups,
}

impl<'a> ImageContext<'a> {
    pub(crate) fn new(images: &'a ImageSet, split: Option<&'a Split>) -> Self {
        let mut context = Self { images, split, equal: Groups::default() };
        context.equal = context.group();
        context
    }

    pub(crate) fn labels(&self) -> Labels<'_> {
        Labels {
            codes: &self.images.labels,
            names: self.images.classes.iter().map(String::as_str).collect(),
            column: None,
            split: self.split,
        }
    }

    /// Bytes of an image; empty past the end.
    pub(crate) fn pixels(&self, image: usize) -> &'a [u8] {
        let size = self.images.width * self.images.height * self.images.channels;
        self.images.pixels.get(image * size..(image + 1) * size).unwrap_or(&[])
    }

    fn group(&self) -> Groups {
        let n = self.images.len();
        let key = |i| {
            let mut hasher = FxBuildHasher.build_hasher();
            hasher.write(self.pixels(i));
            hasher.finish()
        };
        let keys: Vec<u64> = (0..n).into_par_iter().map(key).collect();
        Groups::new(&keys, |a, b| self.pixels(a) == self.pixels(b))
    }
}

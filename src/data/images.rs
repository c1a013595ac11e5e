//! Labelled images of one size, 8 bits a channel.

use std::path::PathBuf;

/// Images in one buffer `[n, height, width, channels]` with class labels.
#[derive(Debug, Clone, Default)]
pub struct ImageSet {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// All pixels.
    pub pixels: Vec<u8>,
    /// Class index per image.
    pub labels: Vec<u32>,
    /// Class names.
    pub classes: Vec<String>,
    /// Source file per image; empty for IDX.
    pub paths: Vec<PathBuf>,
    /// Images at or past this index came as a test set of their own (IDX `t10k`, a `test` folder).
    pub test_start: Option<usize>,
}

impl ImageSet {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

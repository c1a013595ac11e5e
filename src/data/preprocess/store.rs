//! Numbers of encoded rows, in memory or in a file that the system pages in as they are read.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::marker::PhantomData;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytemuck::Pod;
use memmap2::Mmap;

use crate::data::invalid;
use crate::error::DataError;

/// A list of numbers; it reads as a slice wherever it lies.
#[derive(Debug, Clone)]
pub struct Numbers<T>(Place<T>);

#[derive(Debug, Clone)]
enum Place<T> {
    Memory(Vec<T>),
    File(Arc<Mapped>),
}

/// A file without a name, and what it holds.
#[derive(Debug)]
struct Mapped {
    map: Mmap,
    /// CRC-32 of the content.
    mark: u32,
    /// Some systems delete the file when it is closed, so it stays open as long as the map.
    _file: File,
}

impl<T: Pod> Deref for Numbers<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Place::Memory(v) => v,
            // Maps begin at a page and hold whole numbers, as the writer saw to.
            Place::File(mapped) => bytemuck::try_cast_slice(&mapped.map).unwrap_or_default(),
        }
    }
}

impl<T: Pod> Numbers<T> {
    /// Whether they lie in a file.
    pub fn in_file(&self) -> bool {
        matches!(self.0, Place::File(_))
    }

    /// The numbers, to change them; those in a file are copied into memory.
    pub fn to_mut(&mut self) -> &mut [T] {
        if self.in_file() {
            self.0 = Place::Memory(self.to_vec());
        }
        match &mut self.0 {
            Place::Memory(numbers) => numbers,
            Place::File(_) => &mut [],
        }
    }

    /// Tells the content of a file from any other; `None` for numbers in memory.
    pub fn mark(&self) -> Option<u32> {
        match &self.0 {
            Place::Memory(_) => None,
            Place::File(mapped) => Some(mapped.mark),
        }
    }

    /// Tells the system that the numbers are read here and there: it then reads no more than is used or
    /// was asked for, where else it may read megabytes around each.
    pub fn in_any_order(&self) {
        #[cfg(unix)]
        if let Place::File(mapped) = &self.0 {
            // Only a wish, as below.
            let _ = mapped.map.advise(memmap2::Advice::Random);
        }
    }

    /// Asks the system to read these numbers in, for they are wanted soon.
    pub fn want(&self, range: Range<usize>) {
        #[cfg(unix)]
        if let Place::File(mapped) = &self.0 {
            let size = size_of::<T>();
            let (from, length) = (range.start * size, range.len() * size);
            if from + length <= mapped.map.len() {
                // Only a wish: where it fails, the numbers are read when they are used.
                let _ = mapped.map.advise_range(memmap2::Advice::WillNeed, from, length);
            }
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Self(Place::Memory(Vec::new()))
    }
}

impl<T> From<Vec<T>> for Numbers<T> {
    fn from(v: Vec<T>) -> Self {
        Self(Place::Memory(v))
    }
}

impl<T> FromIterator<T> for Numbers<T> {
    fn from_iter<I: IntoIterator<Item = T>>(iter: I) -> Self {
        Self(Place::Memory(iter.into_iter().collect()))
    }
}

impl<T: Pod + PartialEq> PartialEq for Numbers<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

/// Bytes that are free on the disk of a folder; `None` where the system does not say.
pub fn free_space(folder: &Path) -> Option<u64> {
    fs4::available_space(folder).ok()
}

fn failed(folder: &Path, source: std::io::Error) -> DataError {
    if source.kind() == std::io::ErrorKind::StorageFull {
        return invalid(
            "The disk became full while the rows of the file were encoded",
            "Free some space, or train on the sample instead of all rows of the file.",
        )
        .in_file(folder);
    }
    DataError::Io { path: folder.to_owned(), source }
}

/// Writes numbers to a file that has no name and is gone with its last user.
pub struct NumberWriter<T> {
    file: BufWriter<File>,
    folder: PathBuf,
    written: usize,
    hash: crc32fast::Hasher,
    kind: PhantomData<T>,
}

impl<T: Pod> NumberWriter<T> {
    /// A new file on the disk of `folder`.
    ///
    /// # Errors
    /// No file can be made there.
    pub fn new(folder: &Path) -> Result<Self, DataError> {
        let file = tempfile::tempfile_in(folder);
        let file = file.map_err(|source| DataError::Io { path: folder.to_owned(), source })?;
        let file = BufWriter::with_capacity(1 << 20, file);
        let hash = crc32fast::Hasher::new();
        Ok(Self { file, folder: folder.to_owned(), written: 0, hash, kind: PhantomData })
    }

    /// Appends numbers.
    ///
    /// # Errors
    /// The disk is full.
    pub fn write(&mut self, numbers: &[T]) -> Result<(), DataError> {
        self.written += numbers.len();
        let bytes = bytemuck::cast_slice(numbers);
        self.hash.update(bytes);
        self.file.write_all(bytes).map_err(|source| failed(&self.folder, source))
    }

    /// All that was written.
    ///
    /// # Errors
    /// The disk is full, or the file cannot be mapped.
    pub fn finish(self) -> Result<Numbers<T>, DataError> {
        if self.written == 0 {
            return Ok(Numbers::default());
        }
        let failed = |source| failed(&self.folder, source);
        let file = self.file.into_inner().map_err(|e| failed(e.into_error()))?;
        // SAFETY: the file has no name, so nothing else can change or shorten it, and it is not
        // written to any more.
        let map = unsafe { Mmap::map(&file) }.map_err(failed)?;
        let mark = self.hash.finalize();
        Ok(Numbers(Place::File(Arc::new(Mapped { map, mark, _file: file }))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_a_file_read_as_those_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = NumberWriter::new(folder.path()).unwrap();
        let all: Vec<f32> = (0..5000).map(|i| i as f32 * 0.5).collect();
        all.chunks(77).for_each(|part| writer.write(part).unwrap());
        let stored = writer.finish().unwrap();
        assert!(stored.in_file() && stored == Numbers::from(all.clone()));
        assert_ne!(stored, Numbers::from(vec![1.0]));
        assert_ne!(stored.mark(), None);
        stored.in_any_order();
        stored.want(10..20);
        stored.want(4000..9000);
        let mut changed = stored.clone();
        changed.to_mut()[1] = 7.0;
        assert!(!changed.in_file() && (changed[1], stored[1]) == (7.0, 0.5));
        // No name is left behind.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(NumberWriter::<u32>::new(folder.path()).unwrap().finish().unwrap().is_empty());
        assert!(NumberWriter::<u32>::new(&folder.path().join("none")).is_err());
        assert!(free_space(folder.path()).is_some_and(|free| free > 0));
        let full = failed(folder.path(), std::io::Error::from(std::io::ErrorKind::StorageFull));
        assert!(full.to_string().contains("disk became full"), "{full}");
    }
}

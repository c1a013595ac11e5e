//! The bytes of a file, unpacked if it is gzip.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::Ordering;

use flate2::read::MultiGzDecoder;

use crate::data::Progress;
use crate::error::{DataError, Place};

/// Files larger than this are mapped instead of copied into memory.
const MAP_ABOVE: u64 = 64 << 20;

/// Most bytes an unpacked file may have.
const MAX_UNPACKED: u64 = 8 << 30;

/// A file's content.
pub(crate) enum Bytes {
    Owned(Vec<u8>),
    Mapped(memmap2::Mmap),
}

impl std::ops::Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Self::Owned(v) => v,
            Self::Mapped(m) => m,
        }
    }
}

fn io(path: &Path, source: std::io::Error) -> DataError {
    DataError::Io { path: path.to_owned(), source }
}

/// Loads a file; gzip is recognised by its content and unpacked.
pub(crate) fn load(path: &Path, progress: &Progress) -> Result<Bytes, DataError> {
    let file = File::open(path).map_err(|e| io(path, e))?;
    let length = file.metadata().map_err(|e| io(path, e))?.len();
    let bytes = if length > MAP_ABOVE {
        // SAFETY: the map is only read, and dropped before the import returns. Another program that
        // shortens the file meanwhile would end this one, as with any mapped file; small files,
        // the ones people edit while they are open, are therefore copied instead.
        Bytes::Mapped(unsafe { memmap2::Mmap::map(&file) }.map_err(|e| io(path, e))?)
    } else {
        let mut v = Vec::with_capacity(length as usize);
        (&file).read_to_end(&mut v).map_err(|e| io(path, e))?;
        Bytes::Owned(v)
    };
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return unpack(path, &bytes, MAX_UNPACKED, progress).map(Bytes::Owned);
    }
    Ok(bytes)
}

fn unpack(
    path: &Path,
    packed: &[u8],
    limit: u64,
    progress: &Progress,
) -> Result<Vec<u8>, DataError> {
    let invalid = |what: String, advice: &str| DataError::Invalid {
        what,
        place: Place { path: Some(path.to_owned()), ..Place::default() },
        advice: advice.to_owned(),
    };
    let mut out = Vec::new();
    let mut decoder = MultiGzDecoder::new(packed);
    let mut block = vec![0; 1 << 20];
    loop {
        if progress.cancel.load(Ordering::Relaxed) {
            return Err(DataError::Cancelled);
        }
        let n = decoder.read(&mut block).map_err(|e| {
            invalid(
                format!("This compressed file is damaged or cut short: {e}"),
                "Download or copy it again.",
            )
        })?;
        if n == 0 {
            return Ok(out);
        }
        if out.len() as u64 + n as u64 > limit {
            return Err(invalid(
                format!("This compressed file holds more than {} GiB", limit >> 30),
                "Unpack it and keep only the rows that you need.",
            ));
        }
        out.extend_from_slice(&block[..n]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        e.write_all(data).unwrap();
        e.finish().unwrap()
    }

    #[test]
    fn gzip_is_unpacked_and_limits_hold() {
        let packed = gzip(&vec![7; 3 << 20]);
        let p = Progress::default();
        assert_eq!(unpack(Path::new("x"), &packed, 4 << 20, &p).unwrap().len(), 3 << 20);
        let e = unpack(Path::new("x"), &packed, 2 << 20, &p).unwrap_err();
        assert!(e.to_string().contains("more than"), "{e}");
        let e = unpack(Path::new("x"), &packed[..packed.len() / 2], 4 << 20, &p).unwrap_err();
        assert!(e.to_string().contains("damaged or cut short"), "{e}");
        p.cancel.store(true, Ordering::Relaxed);
        assert!(matches!(unpack(Path::new("x"), &packed, 1 << 30, &p), Err(DataError::Cancelled)));
    }

    #[test]
    fn a_large_file_is_mapped_and_reads_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big");
        let mut content = vec![b'x'; (MAP_ABOVE as usize) + 5];
        content[17] = b'y';
        std::fs::write(&path, &content).unwrap();
        let bytes = load(&path, &Progress::default()).unwrap();
        assert!(matches!(bytes, Bytes::Mapped(_)));
        assert!(bytes[..] == content[..]);
    }
}

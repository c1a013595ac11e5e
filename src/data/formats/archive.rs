//! ZIP archives: told apart by the names inside, and unpacked to a folder that is read like any other.

use std::fs::File;
use std::io::{Cursor, Read, Write};
use std::path::Path;
use std::sync::atomic::Ordering;

use zip::ZipArchive;

use super::build::damaged;
use super::spreadsheet::Kind;
use crate::data::{Progress, count, invalid};
use crate::error::DataError;

/// Most bytes that an archive may unpack to.
const MAX_UNPACKED: u64 = 16 << 30;
/// Most files of an archive.
const MAX_FILES: usize = 2_000_000;
/// Unpacked bytes per packed byte beyond which an archive is refused.
const MAX_RATIO: u64 = 2000;

/// What a ZIP file is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Archive {
    /// A workbook.
    Spreadsheet(Kind),
    /// A text document.
    Document(&'static str),
    /// Files.
    Files,
}

fn open(bytes: &[u8]) -> Result<ZipArchive<Cursor<&[u8]>>, DataError> {
    ZipArchive::new(Cursor::new(bytes)).map_err(|e| damaged("ZIP archive", e))
}

/// Looks at the names inside.
pub(crate) fn identify(bytes: &[u8]) -> Result<Archive, DataError> {
    let archive = open(bytes)?;
    let has = |name: &str| archive.index_for_name(name).is_some();
    Ok(if has("xl/workbook.bin") {
        Archive::Spreadsheet(Kind::Xlsb)
    } else if has("xl/workbook.xml") {
        Archive::Spreadsheet(Kind::Xlsx)
    } else if has("word/document.xml") {
        Archive::Document("a Word document")
    } else if has("content.xml") && has("mimetype") {
        match bytes.get(..512.min(bytes.len())) {
            Some(head) if memchr::memmem::find(head, b"opendocument.spreadsheet").is_some() => {
                Archive::Spreadsheet(Kind::Ods)
            }
            _ => Archive::Document("a LibreOffice document"),
        }
    } else {
        Archive::Files
    })
}

/// Unpacks all files into `folder`. Names that lead outside, links and locked files are refused.
pub(crate) fn unpack(bytes: &[u8], folder: &Path, progress: &Progress) -> Result<(), DataError> {
    let io = |path: &Path, source| DataError::Io { path: path.to_owned(), source };
    let mut archive = open(bytes)?;
    if archive.len() > MAX_FILES {
        return Err(invalid(
            format!("This archive holds {}", count(archive.len(), "file")),
            "Unpack it and open the folder inside that you need.",
        ));
    }
    progress.total.store(archive.len() as u64, Ordering::Relaxed);
    let mut total = 0u64;
    let limit = MAX_UNPACKED.min((bytes.len() as u64).saturating_mul(MAX_RATIO));
    for i in 0..archive.len() {
        progress.check()?;
        let entry = archive.by_index(i).map_err(|e| {
            let why = e.to_string();
            if why.to_lowercase().contains("password") {
                invalid(
                    "This archive is protected by a password",
                    "Unpack it with the password, then open the folder.",
                )
            } else {
                damaged("ZIP archive", why)
            }
        })?;
        let Some(name) = entry.enclosed_name() else {
            return Err(invalid(
                "This archive holds a file whose name leads outside of it",
                "Do not use it, or unpack it in a safe place and open the folder.",
            ));
        };
        let path = folder.join(name);
        if entry.is_dir() {
            std::fs::create_dir_all(&path).map_err(|e| io(&path, e))?;
            continue;
        }
        if entry.is_symlink() {
            continue;
        }
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|e| io(parent, e))?;
        }
        let mut file = File::create(&path).map_err(|e| io(&path, e))?;
        let mut entry = entry.take(limit.saturating_sub(total) + 1);
        let mut block = vec![0; 1 << 16];
        loop {
            let n = entry.read(&mut block).map_err(|e| damaged("ZIP archive", e))?;
            if n == 0 {
                break;
            }
            total += n as u64;
            if total > limit {
                return Err(invalid(
                    "This archive unpacks to far more than its size",
                    "Unpack it yourself and open the folder if you trust it.",
                ));
            }
            file.write_all(&block[..n]).map_err(|e| io(&path, e))?;
        }
        progress.done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

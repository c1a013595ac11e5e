//! What a file is, by its first bytes.

/// Kinds of content that are told apart before reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Perhaps a text table.
    Text,
    /// An IDX array of bytes with this many dimensions.
    Idx(u8),
    /// An old Excel workbook.
    OldWorkbook,
    /// A ZIP archive, or a document made of one.
    Zip,
    /// JSON or JSON Lines.
    Json,
    /// An SQLite database.
    Sqlite,
    /// A Parquet file.
    Parquet,
    /// An Arrow file (Feather 2) or stream.
    Arrow,
    /// A picture.
    Picture(&'static str),
    /// Something else: what it is, and what to do.
    Other(&'static str, &'static str),
}

const UNPACK: &str = "Unpack it first, then open the file or folder inside.";
const EXPORT: &str = "Export it as CSV from the program or script that made it.";

/// Signatures, longest first where one begins another.
const SIGNATURES: [(&[u8], Content); 25] = [
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Content::OldWorkbook),
    (b"PK\x03\x04", Content::Zip),
    (b"PK\x05\x06", Content::Zip),
    (b"\x89PNG\r\n\x1a\n", Content::Picture("a PNG picture")),
    (b"\xff\xd8\xff", Content::Picture("a JPEG picture")),
    (b"GIF8", Content::Picture("a GIF picture")),
    (b"BM", Content::Picture("a BMP picture")),
    (b"RIFF", Content::Picture("a WebP picture or a sound")),
    (
        b"%PDF",
        Content::Other("a PDF document", "Copy the table into a spreadsheet and save it as CSV."),
    ),
    (b"BZh", Content::Other("a bzip2 archive", UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", Content::Other("a 7-Zip archive", UNPACK)),
    (b"\xfd7zXZ\0", Content::Other("an xz archive", UNPACK)),
    (b"Rar!", Content::Other("a RAR archive", UNPACK)),
    (b"\x28\xb5\x2f\xfd", Content::Other("a Zstandard archive", UNPACK)),
    (b"PAR1", Content::Parquet),
    (b"ARROW1", Content::Arrow),
    (b"\xff\xff\xff\xff", Content::Arrow),
    (b"SQLite format 3\0", Content::Sqlite),
    (b"\x89HDF", Content::Other("an HDF5 file", EXPORT)),
    (b"\x93NUMPY", Content::Other("a NumPy array", EXPORT)),
    (b"MATLAB", Content::Other("a MATLAB file", EXPORT)),
    (b"$FL2", Content::Other("an SPSS file", EXPORT)),
    (b"\x7fELF", Content::Other("a program", "Choose the file that holds your table.")),
    (b"MZ\x90\0", Content::Other("a program", "Choose the file that holds your table.")),
    (b"\x80\x04\x95", Content::Other("a Python pickle", EXPORT)),
];

/// Identifies content.
pub(crate) fn identify(bytes: &[u8]) -> Content {
    if let [0, 0, kind, dims @ 1..=4, ..] = bytes
        && matches!(kind, 0x08 | 0x09 | 0x0b..=0x0e)
    {
        return Content::Idx(*dims);
    }
    let found = SIGNATURES.iter().find(|(magic, _)| bytes.starts_with(magic));
    match found {
        // "BM" and the like also begin ordinary words: text has no control bytes.
        Some((magic, content)) if magic.len() > 4 || *magic == b"%PDF" || looks_binary(bytes) => {
            *content
        }
        _ => text(bytes),
    }
}

fn looks_binary(bytes: &[u8]) -> bool {
    bytes.iter().take(512).any(|b| *b < 9 || (14..32).contains(b))
        || std::str::from_utf8(&bytes[..bytes.len().min(8)]).is_err()
}

/// Text that is certainly no table.
fn text(bytes: &[u8]) -> Content {
    let head = &bytes[..bytes.len().min(512)];
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let lower = head.to_ascii_lowercase();
    if lower.starts_with(b"<!doctype html") || lower.starts_with(b"<html") {
        Content::Other(
            "a web page",
            "Use the page's own download link for the data file. Where a program writes its export so, \
             open it in a spreadsheet and save it there as .xlsx or CSV.",
        )
    } else if lower.starts_with(b"<?xml") {
        Content::Other("an XML file", EXPORT)
    } else if lower.starts_with(b"@relation") {
        Content::Other("a Weka ARFF file", EXPORT)
    } else if lower.starts_with(b"version https://git-lfs") {
        Content::Other(
            "a placeholder for a file kept elsewhere (Git LFS)",
            "Fetch the real file with \"git lfs pull\".",
        )
    } else if json(&lower) {
        Content::Json
    } else {
        Content::Text
    }
}

fn json(head: &[u8]) -> bool {
    match head {
        [b'{', rest @ ..] => matches!(rest.trim_ascii_start().first(), Some(b'"' | b'}')),
        [b'[', rest @ ..] => {
            let rest = rest.trim_ascii_start();
            // A list of plain values is JSON without a table; `[x],y` is a table with a name in brackets.
            let list = || {
                let end = rest.trim_ascii_end();
                end.ends_with(b"]") && rest.iter().all(|b| !matches!(b, b'\n' | b'['))
            };
            matches!(rest.first(), Some(b'{' | b'[' | b']')) || list()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn other(bytes: &[u8]) -> &'static str {
        match identify(bytes) {
            Content::Other(what, _) | Content::Picture(what) => what,
            c => panic!("{c:?}"),
        }
    }

    #[test]
    fn common_files_are_named() {
        assert_eq!(identify(b"PK\x03\x04\x14\0...."), Content::Zip);
        assert_eq!(identify(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1.."), Content::OldWorkbook);
        assert_eq!(identify(b"PAR1\x15\x04"), Content::Parquet);
        assert_eq!(other(b"\x89PNG\r\n\x1a\n...."), "a PNG picture");
        assert_eq!(other(b"\xff\xd8\xff\xe0\0\x10JFIF"), "a JPEG picture");
        assert_eq!(other(b"  <!DOCTYPE HTML><p>"), "a web page");
        assert_eq!(identify(b"[{\"a\": 1}]"), Content::Json);
        assert_eq!(other(b"%PDF-1.7\n%\xe2\xe3\x01"), "a PDF document");
        assert_eq!(identify(&[0, 0, 8, 3, 0, 0]), Content::Idx(3));
    }

    #[test]
    fn tables_are_text_whatever_they_begin_with() {
        for table in ["BMI,age\n1,2", "MZ\n", "{a,b\n", "[x],y\n", "", "RIFF,b\n", "GIF8,x\n"] {
            assert_eq!(identify(table.as_bytes()), Content::Text, "{table}");
        }
    }
}

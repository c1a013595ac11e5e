//! Bytes to text: UTF-8, UTF-16 and the old one-byte encodings.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

use crate::data::ImportNote;

/// Text of a file and how it was read.
pub(crate) struct Decoded<'a> {
    pub text: Cow<'a, str>,
    pub note: ImportNote,
}

/// Bytes that the guess looks at.
const GUESS: usize = 4 << 20;

/// Reads bytes as text. Never fails: what cannot be read becomes `U+FFFD` and is noted.
pub(crate) fn decode(bytes: &[u8]) -> Decoded<'_> {
    if let Some((encoding, bom)) = Encoding::for_bom(bytes) {
        let (text, damaged) = encoding.decode_without_bom_handling(&bytes[bom..]);
        return done(text, damaged, encoding.name(), " (it says so itself)");
    }
    if let Some(encoding) = utf16_without_mark(bytes) {
        let (text, damaged) = encoding.decode_without_bom_handling(bytes);
        return done(text, damaged, encoding.name(), " (every other byte is zero)");
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => done(Cow::Borrowed(text), false, "UTF-8", ""),
        Err(_) if mostly_utf8(bytes) => done(String::from_utf8_lossy(bytes), true, "UTF-8", ""),
        Err(e) => {
            let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
            // From shortly before the first byte that is not ASCII, for that is what tells.
            let start = e.valid_up_to().saturating_sub(1 << 16);
            let end = bytes.len().min(start + GUESS);
            detector.feed(&bytes[start..end], end == bytes.len());
            let encoding = detector.guess(None, Utf8Detection::Deny);
            let (text, damaged) = encoding.decode_without_bom_handling(bytes);
            done(
                text,
                damaged,
                encoding.name(),
                " (a guess, as it is not UTF-8: check the accents)",
            )
        }
    }
}

fn done<'a>(text: Cow<'a, str>, damaged: bool, name: &str, why: &str) -> Decoded<'a> {
    let note = if damaged {
        let lost = text.matches('\u{fffd}').count();
        let rows = rows_with(&text, '\u{fffd}');
        ImportNote {
            text: format!(
                "The text is {name}{why}, but {lost} characters in it are damaged; they read as \u{fffd}."
            ),
            repair: true,
            rows,
        }
    } else {
        let name = if name == "windows-1252" { "Windows-1252 (Western European)" } else { name };
        ImportNote { text: format!("The text is {name}{why}."), repair: false, rows: Vec::new() }
    };
    Decoded { text, note }
}

/// Lines (from 1, at most 20) that hold `c`.
fn rows_with(text: &str, c: char) -> Vec<u64> {
    let lines = text.lines().enumerate();
    lines.filter(|(_, l)| l.contains(c)).map(|(i, _)| i as u64 + 1).take(20).collect()
}

/// UTF-16 as some programs write it without a mark: nearly every second byte of the head is zero.
fn utf16_without_mark(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = &bytes[..bytes.len().min(4096) & !1];
    if head.len() < 4 {
        return None;
    }
    let zeros = |odd: usize| head.iter().skip(odd).step_by(2).filter(|b| **b == 0).count();
    let (even, odd, half) = (zeros(0), zeros(1), head.len() / 2);
    if odd * 10 > half * 8 && even * 20 < half {
        Some(UTF_16LE)
    } else if even * 10 > half * 8 && odd * 20 < half {
        Some(UTF_16BE)
    } else {
        None
    }
}

/// Whether damaged UTF-8 is still far more likely than another encoding: many whole characters of
/// more than one byte, few broken ones.
fn mostly_utf8(bytes: &[u8]) -> bool {
    let (mut whole, mut broken) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        whole += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    whole >= 4 * broken && whole > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_recognised() {
        let text = "name,city\nJosé,São Paulo\nZoë,Kraków\n";
        let utf16le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let utf16be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let with = |mark: &[u8], body: &[u8]| [mark, body].concat();
        for bytes in [
            text.as_bytes().to_vec(),
            with(b"\xef\xbb\xbf", text.as_bytes()),
            with(b"\xff\xfe", &utf16le),
            with(b"\xfe\xff", &utf16be),
            utf16le,
            utf16be,
        ] {
            let d = decode(&bytes);
            assert_eq!(d.text, text);
            assert!(!d.note.repair);
        }
    }

    #[test]
    fn western_bytes_are_read_as_windows_1252() {
        let bytes =
            b"name,prix\nCaf\xe9 fran\xe7ais,5 \x80\nGar\xe7on,\xbb\nH\xf4tel,\xe0 c\xf4t\xe9\n";
        let d = decode(bytes);
        assert!(d.text.contains("Café français,5 €"), "{}", d.text);
        assert!(d.note.text.contains("Western European"), "{}", d.note.text);
    }

    #[test]
    fn a_few_broken_bytes_do_not_spoil_utf8() {
        let mut bytes = "é".repeat(50).into_bytes();
        bytes.extend(b"\nok\nbad \xff here\n");
        let d = decode(&bytes);
        assert!(d.note.repair && d.text.starts_with("ééé"));
        assert_eq!(d.note.rows, [3]);
        assert!(d.note.text.contains("1 characters"), "{}", d.note.text);
    }
}

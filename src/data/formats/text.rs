//! Bytes to text: UTF-8, UTF-16 and the old one-byte encodings.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};
use rayon::prelude::*;

use crate::data::ImportNote;

/// Text of a file and how it was read.
pub(crate) struct Decoded<'a> {
    pub text: Cow<'a, str>,
    pub note: ImportNote,
    pub signs: Signs,
}

/// Which of the signs that make a text unlike the commonest ones occur in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Signs {
    /// A zero byte, which no text has.
    pub zero: bool,
    /// `"`
    pub quote: bool,
    /// A carriage return.
    pub cr: bool,
}

impl Signs {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        if memchr::memchr3(0, b'"', b'\r', bytes).is_none() {
            return Self::default();
        }
        let has = |sign| memchr::memchr(sign, bytes).is_some();
        Self { zero: has(0), quote: has(b'"'), cr: has(b'\r') }
    }

    fn or(self, other: Self) -> Self {
        Self {
            zero: self.zero || other.zero,
            quote: self.quote || other.quote,
            cr: self.cr || other.cr,
        }
    }
}

/// Bytes that the guess looks at.
const GUESS: usize = 4 << 20;

/// Bytes that one thread looks at: few enough to stay near the processor for a second look.
const LOOK: usize = 256 << 10;

/// The bytes as UTF-8 and what is in it; all processors look at parts of it.
fn utf8(bytes: &[u8]) -> Option<(&str, Signs)> {
    // Not before a byte that continues a character.
    let start = |at: usize| {
        let rest = bytes.get(at..).unwrap_or_default();
        at + rest.iter().take(3).take_while(|b| **b & 0xc0 == 0x80).count()
    };
    let look = |part: usize| {
        let (from, to) = (start(part * LOOK), start((part + 1) * LOOK).min(bytes.len()));
        let part = bytes.get(from..to)?;
        std::str::from_utf8(part).ok().map(|_| Signs::of(part))
    };
    let parts = (0..bytes.len().div_ceil(LOOK)).into_par_iter();
    let signs = parts.map(look).try_reduce(Signs::default, |a, b| Some(a.or(b)))?;
    // SAFETY: the parts go from the first byte to the last and each is UTF-8.
    Some((unsafe { std::str::from_utf8_unchecked(bytes) }, signs))
}

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
    if let Some((text, signs)) = utf8(bytes) {
        return Decoded { text: Cow::Borrowed(text), note: note("", false, "UTF-8", ""), signs };
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
    let signs = Signs::of(text.as_bytes());
    Decoded { note: note(&text, damaged, name, why), text, signs }
}

fn note(text: &str, damaged: bool, name: &str, why: &str) -> ImportNote {
    if damaged {
        let lost = text.matches('\u{fffd}').count();
        let rows = rows_with(text, '\u{fffd}');
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
    }
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
    fn text_is_checked_in_parts_as_it_is_in_whole() {
        for unit in ["aé", "日", "x", "😀é\n"] {
            let mut bytes = unit.repeat(3 * LOOK / unit.len()).into_bytes();
            let whole = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
            assert_eq!(utf8(&bytes).map(|u| u.1), Some(Signs::default()), "{unit}");
            assert_eq!(utf8(&bytes).map(|u| u.0), std::str::from_utf8(&bytes).ok());
            for (at, sign) in [(LOOK - 1, b'"'), (LOOK, b'\r'), (2 * LOOK + 5, 0), (5, 0xff)] {
                let old = std::mem::replace(&mut bytes[at], sign);
                assert_eq!(utf8(&bytes).is_some(), whole(&bytes), "{unit} {at}");
                if let Some((_, signs)) = utf8(&bytes) {
                    assert_eq!(
                        [signs.quote, signs.cr, signs.zero],
                        [sign == b'"', sign == b'\r', sign == 0]
                    );
                }
                bytes[at] = old;
            }
            for at in (LOOK - 4)..(LOOK + 4) {
                let cut = &bytes[..at];
                assert_eq!(utf8(cut).is_some(), whole(cut), "{unit} {at}");
            }
        }
        assert!(utf8(&[0x80; 9]).is_none() && utf8(b"").is_some());
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

//! How a column writes its numbers: decimal sign, thousands separators, a unit.

use serde::{Deserialize, Serialize};

/// The way one column writes numbers, chosen from all of its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberFormat {
    /// `1234.5`, `1e-3`; what any program writes.
    #[default]
    Plain,
    /// `1 234,5` or `1.234,5`: comma before the decimals.
    DecimalComma,
    /// `1,234.5`: commas between thousands.
    Thousands,
}

/// Signs that may stand before or after a number without changing it.
const UNITS: [char; 6] = ['$', '€', '£', '¥', '%', '₹'];

/// Powers of ten that a double holds exactly.
const TENS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// A trimmed cell as a finite number, as `str::parse` reads it. Short decimals, the commonest, take
/// one division: a whole number below 2^53 over a power of ten that is exact is rounded once, and so
/// correctly (Clinger, "How to read floating point numbers accurately", 1990).
pub(crate) fn finite(cell: &str) -> Option<f64> {
    let slow = || cell.parse::<f64>().ok().filter(|v| v.is_finite());
    let (negative, digits) = match cell.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if digits.len() > 16 {
        return slow();
    }
    let (mut whole, mut point) = (0_u64, None);
    for (i, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => whole = whole * 10 + u64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(i),
            // What no finite number holds: dates and words end here.
            b'/' | b':' | b',' | b' ' => return None,
            b'-' if i > 0 && !matches!(digits[i - 1], b'e' | b'E') => return None,
            _ if i == 0 && byte.is_ascii_alphabetic() => return None,
            _ => return slow(),
        }
    }
    let count = digits.len() - usize::from(point.is_some());
    let decimals = point.map_or(0, |p| digits.len() - 1 - p);
    match TENS.get(decimals) {
        Some(ten) if (1..=15).contains(&count) => {
            let value = whole as f64 / ten;
            Some(if negative { -value } else { value })
        }
        _ => slow(),
    }
}

impl NumberFormat {
    /// The cell as a finite number. A currency or percent sign is dropped: `12 %` is 12.
    pub fn parse(self, cell: &str) -> Option<f64> {
        let cell = cell.trim();
        let plain = finite(cell);
        match (self, plain) {
            (Self::Plain | Self::Thousands, Some(v)) => return Some(v),
            (Self::DecimalComma, Some(v)) if !grouped(cell, '.') => return Some(v),
            _ => {}
        }
        let (bare, _) = strip_unit(cell);
        // Words are told from numbers by their first letter, the commonest case.
        if !bare.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | ',')) {
            return None;
        }
        let text = match self {
            Self::Plain => bare.to_owned(),
            Self::DecimalComma if is_decimal_comma(bare) || grouped(bare, '.') => {
                bare.chars().filter(|c| !is_group(*c) && *c != '.').collect::<String>()
            }
            Self::Thousands if is_thousands(bare) => bare.replace(',', ""),
            _ => bare.to_owned(),
        };
        let text = if self == Self::DecimalComma { text.replace(',', ".") } else { text };
        text.parse::<f64>().ok().filter(|v| v.is_finite())
    }
}

impl NumberFormat {
    /// A number as this format writes it, without separators between thousands.
    pub fn write(self, v: f64) -> String {
        let text = super::formats::build::number_text(v);
        if self == Self::DecimalComma { text.replace('.', ",") } else { text }
    }
}

/// What the cells of a column say about its number format.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NumberEvidence {
    comma_only: usize,
    thousands_only: usize,
    either: usize,
    point: bool,
    /// Cells with a currency or percent sign.
    pub units: usize,
}

impl NumberEvidence {
    /// Looks at one trimmed cell that is a plain number.
    pub(crate) fn see_plain(&mut self, cell: &str) {
        self.point = self.point || cell.contains('.');
    }

    /// Looks at one trimmed cell that is not missing.
    pub(crate) fn see(&mut self, cell: &str) {
        // Only a comma or a unit tells anything about a cell that is not a plain number.
        let tells = |b: &u8| matches!(b, b',' | b'$' | b'%') || !b.is_ascii();
        if !cell.as_bytes().iter().any(tells) {
            if finite(cell).is_some() {
                self.see_plain(cell);
            }
            return;
        }
        let (bare, unit) = strip_unit(cell);
        if !bare.contains(|c: char| c.is_ascii_digit()) {
            return;
        }
        match (is_decimal_comma(bare), is_thousands(bare)) {
            (true, true) => self.either += 1,
            (true, false) => self.comma_only += 1,
            (false, true) => self.thousands_only += 1,
            (false, false) if unit && bare.parse::<f64>().is_ok() => {
                self.point |= bare.contains('.')
            }
            _ => return,
        }
        self.units += usize::from(unit);
    }

    /// The format, and whether the cells leave a choice (`1,234` may be either).
    /// `semicolon`: the file separates columns by `;`, as where commas are decimal signs.
    pub(crate) fn decide(&self, semicolon: bool) -> (NumberFormat, bool) {
        if self.comma_only + self.thousands_only + self.either == 0 {
            (NumberFormat::Plain, false)
        } else if self.comma_only > 0 && self.comma_only >= self.thousands_only {
            (NumberFormat::DecimalComma, false)
        } else if self.thousands_only > 0 {
            (NumberFormat::Thousands, false)
        } else if semicolon && !self.point {
            (NumberFormat::DecimalComma, true)
        } else {
            (NumberFormat::Thousands, !self.point)
        }
    }

    /// Cells written with a comma.
    pub(crate) fn commas(&self) -> usize {
        self.comma_only + self.thousands_only + self.either
    }
}

fn is_group(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '\'' | '’')
}

fn strip_unit(cell: &str) -> (&str, bool) {
    let (sign, body) = match cell.strip_prefix('-') {
        Some(rest) if rest.starts_with(UNITS) => (true, rest),
        _ => (false, cell),
    };
    // "-$5" would need the sign glued back on; such cells stay as they are.
    let bare = body.trim_start_matches(UNITS).trim_end_matches(UNITS).trim();
    if sign || bare.len() == cell.len() { (cell, false) } else { (bare, true) }
}

/// Whether `cell` is digits in groups of three with `separator` between them: `1.234.567`.
fn grouped(cell: &str, separator: char) -> bool {
    let digits = cell.strip_prefix(['-', '+']).unwrap_or(cell);
    let mut groups = digits.split(separator);
    let first = groups.next().unwrap_or("");
    let mut rest = 0;
    let all = groups.all(|g| {
        rest += 1;
        g.len() == 3 && all_digits(g)
    });
    all && rest > 0 && (1..=3).contains(&first.len()) && all_digits(first) && first != "0"
}

fn all_digits(s: &str) -> bool {
    !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit())
}

/// `1,5`, `1.234,5`, `1 234,5`, `-,5`.
fn is_decimal_comma(cell: &str) -> bool {
    let Some((whole, decimals)) = cell.split_once(',') else {
        return false;
    };
    let decimals = decimals.split(['e', 'E']).next().unwrap_or("");
    let whole = whole.strip_prefix(['-', '+']).unwrap_or(whole);
    all_digits(decimals)
        && (whole.is_empty() || all_digits(whole) || grouped(whole, '.') || spaced(whole))
}

fn spaced(whole: &str) -> bool {
    let unified: String = whole.chars().map(|c| if is_group(c) { ' ' } else { c }).collect();
    grouped(&unified, ' ')
}

/// `1,234`, `1,234,567.8`.
fn is_thousands(cell: &str) -> bool {
    let (whole, decimals) = cell.split_once('.').unwrap_or((cell, "0"));
    grouped(whole, ',') && (decimals.is_empty() || all_digits(decimals))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(cells: &[&str], semicolon: bool) -> (NumberFormat, bool) {
        let mut e = NumberEvidence::default();
        cells.iter().for_each(|c| e.see(c));
        e.decide(semicolon)
    }

    #[test]
    fn numbers_are_read_as_the_standard_library_reads_them() {
        for cell in [
            "0",
            "-0",
            "1",
            "-1.5",
            ".5",
            "5.",
            "-.5",
            ".",
            "-",
            "",
            "+5",
            "1e5",
            "1E-5",
            "1e-400",
            "123456789012345",
            "1234567890123456",
            "12345678901234567890",
            "0.000000000000001",
            "0.0000000000000001",
            "9007199254740993",
            "0.1",
            "1.1.1",
            "--5",
            "5-",
            "1-2",
            "2024-01-02",
            "inf",
            "-inf",
            "nan",
            "NaN",
            "infinity",
            "1e999",
            "1e",
            "e5",
            "1_000",
            "0x1",
            "12:30",
            "٣",
            "4.35",
            "0.3",
            "2.675",
            "999999999999999",
            "99999.9999999999",
        ] {
            let expected = cell.parse::<f64>().ok().filter(|v| v.is_finite());
            assert_eq!(finite(cell).map(f64::to_bits), expected.map(f64::to_bits), "{cell}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_cell_is_read_as_the_standard_library_reads_it(
            cell in proptest::prop_oneof!["-?[0-9]{0,9}\\.?[0-9]{0,9}", "[-+.0-9eE/: infa]{0,12}"],
        ) {
            let expected = cell.parse::<f64>().ok().filter(|v| v.is_finite());
            proptest::prop_assert_eq!(finite(&cell).map(f64::to_bits), expected.map(f64::to_bits));
        }
    }

    #[test]
    fn formats_are_told_apart() {
        assert_eq!(decide(&["1.5", "2", "1e-3"], false), (NumberFormat::Plain, false));
        assert_eq!(decide(&["1,5", "2"], false), (NumberFormat::DecimalComma, false));
        assert_eq!(decide(&["1,234", "0,5"], false), (NumberFormat::DecimalComma, false));
        assert_eq!(decide(&["1,234", "12,345.5"], true), (NumberFormat::Thousands, false));
        assert_eq!(decide(&["1,234"], false), (NumberFormat::Thousands, true));
        assert_eq!(decide(&["1,234"], true), (NumberFormat::DecimalComma, true));
        assert_eq!(decide(&["1,234", "3.25"], false), (NumberFormat::Thousands, false));
    }

    #[test]
    fn cells_are_read_in_their_format() {
        let c = NumberFormat::DecimalComma;
        assert_eq!(c.parse("1.234,5"), Some(1234.5));
        assert_eq!(c.parse("1\u{a0}234,5"), Some(1234.5));
        assert_eq!(c.parse("-0,25"), Some(-0.25));
        assert_eq!(c.parse("1.234"), Some(1234.0));
        assert_eq!(c.parse("1.5"), Some(1.5));
        assert_eq!(c.parse("12,5 %"), Some(12.5));
        let t = NumberFormat::Thousands;
        assert_eq!(t.parse("$1,234.50"), Some(1234.5));
        assert_eq!(t.parse("1,23"), None);
        let p = NumberFormat::Plain;
        assert_eq!(p.parse("1,5"), None);
        assert_eq!(p.parse("12%"), Some(12.0));
        assert_eq!(p.parse("inf"), None);
        assert_eq!(p.parse("NaN"), None);
        assert_eq!(p.parse("1e999"), None);
        assert_eq!(p.parse("abc"), None);
        assert_eq!(p.parse("€"), None);
    }
}

//! How a column writes its numbers: decimal sign, thousands separators, a unit.

use std::borrow::Cow;

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

/// Signs and words that may stand before or after a number without changing it. Where a column mixes
/// them, none of its cells is a number: 500 g and 2 kg are not 500 and 2.
const UNITS: [&str; 52] = [
    "$", "€", "£", "¥", "%", "₹", "₽", "₺", "₩", "EUR", "USD", "GBP", "CHF", "JPY", "kr", "zł",
    "Kč", "R$", "Rs.", "Rs", "Fr.", "°C", "°F", "°", "km/h", "mph", "m/s", "kWh", "kW", "kg", "mg",
    "lbs", "lb", "oz", "km", "cm", "mm", "m²", "m2", "ft", "mi", "ml", "hours", "min", "sec",
    "years", "days", "GB", "MB", "kB", "g", "m",
];

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
        let written = Written::of(cell)?;
        let bare = written.bare.as_ref();
        let text = match self {
            Self::Plain if is_spaced(bare) => ungroup(bare),
            Self::DecimalComma if is_decimal_comma(bare) || grouped(bare, '.') => {
                ungroup(bare).replace('.', "")
            }
            Self::DecimalComma if is_spaced(bare) => ungroup(bare),
            Self::Thousands if is_thousands(bare) => bare.replace(',', ""),
            Self::Thousands if is_spaced(bare) => ungroup(bare),
            _ => bare.to_owned(),
        };
        let text = if self == Self::DecimalComma { text.replace(',', ".") } else { text };
        let value = text.parse::<f64>().ok().filter(|v| v.is_finite())?;
        Some(if written.negative { -value } else { value })
    }
}

impl NumberFormat {
    /// A number as this format writes it, without separators between thousands.
    pub fn write(self, v: f64) -> String {
        let text = super::formats::build::number_text(v);
        if self == Self::DecimalComma { text.replace('.', ",") } else { text }
    }
}

/// A cell that may be a number, taken apart.
struct Written<'a> {
    /// The digits with their separators, a sign in front at most.
    bare: Cow<'a, str>,
    /// `(12)`, `12-`, `-$12`, `−12`: a minus sign other than in front of the digits.
    negative: bool,
    /// Place in [`UNITS`].
    unit: Option<u8>,
    /// Digits of another script.
    script: bool,
}

impl<'a> Written<'a> {
    /// `None` for what can be no number.
    fn of(cell: &'a str) -> Option<Self> {
        // Words are told from numbers by their first letter, the commonest case.
        let plain = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | ',' | '(');
        let first = cell.chars().next()?;
        if first.is_ascii_alphabetic() && !cell.ends_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let script = !cell.is_ascii() && cell.chars().any(|c| digit(c).is_some());
        let (mut body, mut negative) = (cell, false);
        if let Some(inside) = body.strip_prefix('(').and_then(|c| c.strip_suffix(')')) {
            (body, negative) = (inside.trim(), true);
        }
        let (mut rest, mut unit) = strip_unit(body);
        if let Some(after) = rest.strip_suffix(['-', '−']).filter(|r| !r.is_empty()) {
            (rest, negative) = (after.trim_end(), !negative);
        } else if let Some(after) = rest.strip_prefix(['-', '−', '–']) {
            let (inner, sign) = strip_unit(after.trim_start());
            if unit.is_none() && sign.is_some() {
                (rest, unit, negative) = (inner, sign, !negative);
            } else if !rest.starts_with('-') {
                (rest, negative) = (after.trim_start(), !negative);
            }
        }
        let bare: Cow<str> = if script {
            Cow::Owned(rest.chars().map(|c| digit(c).unwrap_or(c)).collect())
        } else {
            Cow::Borrowed(rest)
        };
        let number = bare.starts_with(plain) && !bare.starts_with('(');
        let signed_twice = negative && bare.starts_with(['-', '+']);
        (number && !signed_twice).then_some(Self { bare, negative, unit, script })
    }
}

/// The ASCII form of a digit or separator of another script.
fn digit(c: char) -> Option<char> {
    // Arabic-Indic, Persian, Devanagari and full-width digits.
    for zero in ['\u{660}', '\u{6f0}', '\u{966}', '\u{ff10}'] {
        let d = (c as u32).wrapping_sub(zero as u32);
        if d < 10 {
            return char::from_digit(d, 10);
        }
    }
    match c {
        '\u{66b}' | '\u{ff0e}' => Some('.'),
        '\u{66c}' | '\u{ff0c}' => Some(','),
        _ => None,
    }
}

/// What the cells of a column say about its number format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct NumberEvidence {
    comma_only: usize,
    thousands_only: usize,
    either: usize,
    point: bool,
    /// Cells with a currency or percent sign or another unit.
    pub units: usize,
    unit: Option<u8>,
    /// Cells have different units.
    pub mixed: bool,
    /// Cells with spaces or apostrophes between thousands.
    pub spaced: usize,
    /// Cells such as `(12)` and `12-`.
    pub negatives: usize,
    /// Cells in digits of another script.
    pub scripts: usize,
}

impl NumberEvidence {
    /// Looks at one trimmed cell that is a plain number.
    pub(crate) fn see_plain(&mut self, cell: &str) {
        self.point = self.point || cell.contains('.');
    }

    /// Looks at one trimmed cell that is not missing.
    pub(crate) fn see(&mut self, cell: &str) {
        if finite(cell).is_some() {
            self.see_plain(cell);
            return;
        }
        // Dates, the commonest cells that come here, have digits at both ends and no separator.
        if let [first, .., last] = cell.as_bytes()
            && first.is_ascii_digit()
            && last.is_ascii_digit()
            && memchr::memchr3(b',', b' ', b'\'', cell.as_bytes()).is_none()
            && cell.is_ascii()
        {
            return;
        }
        let Some(written) = Written::of(cell) else { return };
        let bare = written.bare.as_ref();
        if !bare.contains(|c: char| c.is_ascii_digit()) {
            return;
        }
        let told = written.unit.is_some() || written.negative || written.script;
        match (is_decimal_comma(bare), is_thousands(bare)) {
            (true, true) => self.either += 1,
            (true, false) => self.comma_only += 1,
            (false, true) => self.thousands_only += 1,
            (false, false) if is_spaced(bare) => self.point |= bare.contains('.'),
            (false, false) if told && bare.parse::<f64>().is_ok() => {
                self.point |= bare.contains('.')
            }
            _ => return,
        }
        self.spaced += usize::from(bare.contains(is_group));
        self.negatives += usize::from(written.negative);
        self.scripts += usize::from(written.script);
        self.units += usize::from(written.unit.is_some());
        if written.unit.is_some() {
            self.mixed |= self.unit.is_some() && self.unit != written.unit;
            self.unit = written.unit;
        }
    }

    /// Adds what cells after these say.
    pub(crate) fn add(&mut self, next: &Self) {
        self.comma_only += next.comma_only;
        self.thousands_only += next.thousands_only;
        self.either += next.either;
        self.point |= next.point;
        self.units += next.units;
        self.mixed |=
            next.mixed || (self.unit.is_some() && next.unit.is_some() && self.unit != next.unit);
        self.unit = next.unit.or(self.unit);
        self.spaced += next.spaced;
        self.negatives += next.negatives;
        self.scripts += next.scripts;
    }

    /// A plain number with a decimal point was seen.
    pub(crate) fn see_point(&mut self) {
        self.point = true;
    }

    /// Whether cells were seen that are numbers in a format of their own.
    pub(crate) fn formatted(&self) -> bool {
        self.commas() + self.units + self.spaced + self.negatives + self.scripts > 0
    }

    /// The unit of the cells.
    pub(crate) fn unit(&self) -> Option<&'static str> {
        self.unit.and_then(|u| UNITS.get(usize::from(u)).copied())
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

/// The cell without the unit before or after it.
fn strip_unit(cell: &str) -> (&str, Option<u8>) {
    let plain = |b: Option<&u8>| b.is_some_and(u8::is_ascii_digit);
    if plain(cell.as_bytes().first()) && plain(cell.as_bytes().last()) {
        return (cell, None);
    }
    for (i, unit) in UNITS.iter().enumerate() {
        let rest = cell.strip_suffix(unit).or_else(|| cell.strip_prefix(unit));
        // "5 em" has no unit "m": a letter before it makes another word.
        if let Some(rest) = rest.map(str::trim)
            && rest.contains(|c: char| c.is_numeric())
            && !rest.contains(char::is_alphabetic)
        {
            return (rest, Some(i as u8));
        }
    }
    (cell, None)
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

/// `1 234`, `1'234.5`: spaces or apostrophes between thousands.
fn is_spaced(cell: &str) -> bool {
    let (whole, decimals) = cell.split_once('.').unwrap_or((cell, "0"));
    whole.contains(is_group) && spaced(whole) && (decimals.is_empty() || all_digits(decimals))
}

fn ungroup(cell: &str) -> String {
    cell.chars().filter(|c| !is_group(*c)).collect()
}

fn spaced(whole: &str) -> bool {
    let unified: String = whole.chars().map(|c| if is_group(c) { ' ' } else { c }).collect();
    grouped(&unified, ' ')
}

/// `1,234`, `1,234,567.8`.
fn is_thousands(cell: &str) -> bool {
    let (whole, decimals) = cell.split_once('.').unwrap_or((cell, "0"));
    (grouped(whole, ',') || indian(whole)) && (decimals.is_empty() || all_digits(decimals))
}

/// `12,34,567`: groups of two before the last one of three.
fn indian(whole: &str) -> bool {
    let digits = whole.strip_prefix(['-', '+']).unwrap_or(whole);
    let Some((front, last)) = digits.rsplit_once(',') else { return false };
    let (first, middle) = front.split_once(',').map_or((front, None), |(a, b)| (a, Some(b)));
    let pairs = middle.is_none_or(|m| m.split(',').all(|g| g.len() == 2 && all_digits(g)));
    last.len() == 3 && all_digits(last) && first.len() <= 2 && all_digits(first) && pairs
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

    #[test]
    fn numbers_are_read_as_people_write_them() {
        let p = NumberFormat::Plain;
        for (cell, value) in [
            ("(12)", -12.0),
            ("12-", -12.0),
            ("−3.5", -3.5),
            ("-$5", -5.0),
            ("($1.50)", -1.5),
            ("80 kg", 80.0),
            ("21.5°C", 21.5),
            ("120 km/h", 120.0),
            ("1'234.50", 1234.5),
            ("12 345", 12345.0),
            ("1\u{202f}234\u{a0}€", 1234.0),
            ("٤٢", 42.0),
            ("EUR 7", 7.0),
        ] {
            assert_eq!(p.parse(cell), Some(value), "{cell}");
        }
        for cell in
            ["(12", "12-13", "--5", "(-5)", "12 5", "5 em", "B12", "kg", "()", "12a", "1 kg 2"]
        {
            assert_eq!(p.parse(cell), None, "{cell}");
        }
        let t = NumberFormat::Thousands;
        assert_eq!(t.parse("₹12,34,567.50"), Some(1_234_567.5));
        assert_eq!(t.parse("(1,234)"), Some(-1234.0));
        assert_eq!(NumberFormat::DecimalComma.parse("1 234,5-"), Some(-1234.5));
    }

    #[test]
    fn mixed_units_are_told() {
        let see = |cells: &[&str]| {
            let mut e = NumberEvidence::default();
            cells.iter().for_each(|c| e.see(c));
            (e.mixed, e.units, e.unit())
        };
        assert_eq!(see(&["5 kg", "6", "7 kg"]), (false, 2, Some("kg")));
        assert!(see(&["500 g", "2 kg"]).0);
        assert!(see(&["$5", "5 €"]).0);
    }
}

//! Figures as the language writes them, and as a person types them.

use super::{Language, language};

/// What stands between thousands.
pub fn group_mark() -> char {
    match language() {
        Language::English => '\u{202f}',
        Language::German => '.',
    }
}

/// The number that a person typed, `None` if it is none. Both point and comma are taken as the
/// decimal mark; where one of them could also part thousands, as in `1.024`, the language decides.
pub fn number(typed: &str) -> Option<f64> {
    let text: String = typed
        .chars()
        .filter(|c| !c.is_whitespace() && !"'’".contains(*c))
        .map(|c| if c == '−' { '-' } else { c })
        .collect();
    let thousands = match language() {
        Language::English => ',',
        Language::German => '.',
    };
    let marks = |c: char| text.matches(c).count();
    let decimal = match (marks('.'), marks(',')) {
        (0, 0) => None,
        (0, 1) | (1, 0) => {
            let mark = if marks('.') == 1 { '.' } else { ',' };
            (mark != thousands || !grouped(&text, mark)).then_some(mark)
        }
        (n, 0) | (0, n) if n > 1 => None,
        _ => text.rfind(['.', ',']).and_then(|at| text.get(at..)?.chars().next()),
    };
    let (whole, rest) = match decimal {
        Some(mark) if marks(mark) == 1 => text.split_once(mark)?,
        Some(_) => return None,
        None => (text.as_str(), ""),
    };
    for mark in ['.', ','] {
        if whole.contains(mark) && !grouped(whole, mark) {
            return None;
        }
    }
    let whole: String = whole.chars().filter(|c| !".,".contains(*c)).collect();
    match decimal {
        Some(_) => format!("{whole}.{rest}").parse().ok(),
        None => whole.parse().ok(),
    }
}

/// Whether a mark parts thousands: one to three digits before it, none of them a leading zero, and
/// three after each.
fn grouped(text: &str, mark: char) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut parts = digits.split(mark);
    let first = parts.next().unwrap_or_default();
    let all = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    (1..=3).contains(&first.len())
        && !first.starts_with('0')
        && all(first)
        && parts.all(|part| part.len() == 3 && all(part))
}

#[cfg(test)]
mod tests {
    use super::super::set_language;
    use super::*;

    #[test]
    fn both_marks_are_read() {
        for (german, typed, value) in [
            (true, "0,01", Some(0.01)),
            (true, "0.01", Some(0.01)),
            (false, "0,01", Some(0.01)),
            (false, "0.01", Some(0.01)),
            (true, "0,001", Some(0.001)),
            (false, "0,001", Some(0.001)),
            (true, "1.024", Some(1024.0)),
            (false, "1.024", Some(1.024)),
            (true, "1,024", Some(1.024)),
            (false, "1,024", Some(1024.0)),
            (true, "1.234.567,5", Some(1_234_567.5)),
            (true, "1,234,567.5", Some(1_234_567.5)),
            (false, "1 234,5", Some(1234.5)),
            (true, "−1,5e-3", Some(-1.5e-3)),
            (true, " 3 ", Some(3.0)),
            (true, ",5", Some(0.5)),
            (true, "1'000", Some(1000.0)),
            (true, "1.2.3", None),
            (true, "1,2.3,4", None),
            (true, "12.34,5", None),
            (true, "abc", None),
            (true, "", None),
            (true, ",", None),
        ] {
            set_language(if german { Language::German } else { Language::English });
            assert_eq!(number(typed), value, "{typed} {german}");
        }
        set_language(Language::English);
    }
}

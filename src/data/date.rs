//! Calendar dates and times as people write them.

/// Days since 1970-01-01, with the time of day as a fraction.
pub type Days = f64;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Parses a date with an optional time: `2024-03-01`, `2024/3/1`, `1.3.2024`, `01/03/2024`,
/// `1 March 2024`, `March 1, 2024`, `2024-03-01T12:30:00Z`. `day_first` says how to read
/// `01/03/2024`; a part above 12 is the day whatever it says. An offset such as `+02:00` is taken off.
pub fn parse_date(cell: &str, day_first: bool) -> Option<Days> {
    let cell = cell.trim();
    if cell.len() < 6 || cell.len() > 40 || !cell.is_ascii() {
        return None;
    }
    if let Some(day) = iso(cell.as_bytes()) {
        return day;
    }
    if let Some(day) = compact(cell) {
        return Some(day);
    }
    let (day, rest) = parse_day(cell, day_first)?;
    let rest = rest.trim_start_matches(['T', 't', ' ', ',']);
    let time = if rest.is_empty() { 0.0 } else { parse_time(rest)? };
    Some(day + time)
}

/// `2024-03-01`, by far the commonest; `None` where it is written in another way.
fn iso(cell: &[u8]) -> Option<Option<Days>> {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = cell else { return None };
    let number = |digits: &[u8]| {
        digits
            .iter()
            .try_fold(0_i64, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
    };
    Some(days(number(&[y1, y2, y3, y4])?, number(&[m1, m2])?, number(&[d1, d2])?))
}

/// Whether a cell is a date that exists, written as `2024-03-01`.
pub(crate) fn is_iso(cell: &[u8]) -> bool {
    matches!(iso(cell), Some(Some(_)))
}

/// `20240301`, of the years 1900 to 2100.
pub(crate) fn compact(cell: &str) -> Option<Days> {
    let &[y1, y2, y3, y4, m1, m2, d1, d2] = cell.as_bytes() else { return None };
    if !cell.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = |digits: &[u8]| digits.iter().fold(0, |n, b| n * 10 + i64::from(b - b'0'));
    let year = number(&[y1, y2, y3, y4]);
    if !(1900..=2100).contains(&year) {
        return None;
    }
    days(year, number(&[m1, m2]), number(&[d1, d2]))
}

/// Whether a numeric date says by itself which part is the day: `Some(true)` day first.
pub(crate) fn order_evidence(cell: &str) -> Option<bool> {
    let mut parts = cell.split(|c: char| !c.is_ascii_digit());
    let (first, second) = (parts.next()?, parts.next()?);
    if first.len() > 2 || second.len() > 2 {
        return None;
    }
    let (first, second): (u32, u32) = (first.parse().ok()?, second.parse().ok()?);
    match (first > 12, second > 12) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        _ => None,
    }
}

/// Whether the cell begins like `01/03/2024`, where day and month could be exchanged.
pub(crate) fn has_order(cell: &str) -> bool {
    let digits = cell.bytes().take_while(u8::is_ascii_digit).count();
    (1..=2).contains(&digits)
        && matches!(cell.as_bytes().get(digits), Some(b'/' | b'.' | b'-'))
        && cell.as_bytes().get(digits + 1).is_some_and(u8::is_ascii_digit)
}

fn parse_day(cell: &str, day_first: bool) -> Option<(Days, &str)> {
    let first = cell.as_bytes().first()?;
    if !first.is_ascii_digit() {
        return parse_month_first(cell);
    }
    let (a, rest) = number(cell)?;
    let separator = rest.as_bytes().first().copied()?;
    let digits = cell.len() - rest.len();
    if rest[1..].starts_with(|c: char| c.is_ascii_alphabetic()) || separator.is_ascii_alphabetic() {
        // 1 March 2024, 1-Mar-24, 1st March 2024
        let rest = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_alphabetic());
        let (month, rest) = month_name(rest.trim_start_matches([' ', '-', '/', '.']))?;
        let (year, rest) = year(rest.trim_start_matches([' ', '-', '/', '.', ',']))?;
        return Some((days(year, month, a)?, rest));
    }
    if !matches!(separator, b'-' | b'/' | b'.') {
        return None;
    }
    let (b, rest) = number(&rest[1..])?;
    if rest.as_bytes().first() != Some(&separator) {
        return None;
    }
    if digits == 4 {
        let (c, rest) = number(&rest[1..])?;
        return Some((days(a, b, c)?, rest));
    }
    if digits > 2 {
        return None;
    }
    let (year, rest) = year(&rest[1..])?;
    let (day, month) = if a > 12 || (day_first && b <= 12) { (a, b) } else { (b, a) };
    Some((days(year, month, day)?, rest))
}

/// March 1, 2024
fn parse_month_first(cell: &str) -> Option<(Days, &str)> {
    let (month, rest) = month_name(cell)?;
    let (day, rest) = number(rest.trim_start_matches([' ', '-', '.']))?;
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let (year, rest) = year(rest.trim_start_matches([' ', '-', ',']))?;
    Some((days(year, month, day)?, rest))
}

fn month_name(text: &str) -> Option<(i64, &str)> {
    let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let head = text.get(..3).filter(|_| (3..=9).contains(&letters))?;
    let month = MONTHS.iter().position(|m| m.eq_ignore_ascii_case(head))?;
    Some((month as i64 + 1, &text[letters..]))
}

fn number(text: &str) -> Option<(i64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 || digits > 4 {
        return None;
    }
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

/// Four digits, or two meaning 1970–2069.
fn year(text: &str) -> Option<(i64, &str)> {
    let (value, rest) = number(text)?;
    match text.len() - rest.len() {
        4 => Some((value, rest)),
        2 => Some((if value < 70 { 2000 + value } else { 1900 + value }, rest)),
        _ => None,
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days since 1970-01-01 of a date that exists. Years are counted from March, so that the leap day
/// is the last of a year (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> Option<Days> {
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(is_leap(year)),
        _ => return None,
    };
    if !(1..=length).contains(&day) || !(0..=9999).contains(&year) {
        return None;
    }
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(days as Days)
}

/// Fraction of a day, an offset taken off.
fn parse_time(text: &str) -> Option<f64> {
    let (hour, rest) = number(text)?;
    let (minute, mut rest) = number(rest.strip_prefix(':')?)?;
    let mut second = 0.0;
    if let Some(tail) = rest.strip_prefix(':') {
        let length = tail.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        second = tail[..length].parse().ok()?;
        rest = &tail[length..];
    }
    let mut hour = hour;
    rest = rest.trim();
    for (mark, add) in [("am", 0), ("pm", 12)] {
        if rest.get(..2).is_some_and(|r| r.eq_ignore_ascii_case(mark)) {
            if !(1..=12).contains(&hour) {
                return None;
            }
            hour = hour % 12 + add;
            rest = rest[2..].trim();
        }
    }
    if hour > 24 || minute > 59 || !(0.0..61.0).contains(&second) {
        return None;
    }
    let offset = match rest.as_bytes().first() {
        None => 0.0,
        Some(b'Z' | b'z') if rest.len() == 1 => 0.0,
        Some(sign @ (b'+' | b'-')) => {
            let (hours, tail) = number(&rest[1..])?;
            let (hours, minutes) = match tail.strip_prefix(':') {
                Some(m) => (hours, number(m).filter(|(_, t)| t.is_empty())?.0),
                None if tail.is_empty() && rest.len() == 5 => (hours / 100, hours % 100),
                None if tail.is_empty() => (hours, 0),
                None => return None,
            };
            let sign = if *sign == b'+' { 1.0 } else { -1.0 };
            sign * (hours * 60 + minutes) as f64
        }
        Some(_) => return None,
    };
    Some(((hour * 60 + minute) as f64 - offset) / 1440.0 + second / 86_400.0)
}

/// Year, month (1–12), weekday (Monday 0), fraction of the day.
pub(crate) fn civil(days: Days) -> Option<(i16, u8, u8, f64)> {
    let whole = days.floor();
    if !(-719_528.0..2_932_897.0).contains(&whole) {
        return None;
    }
    let z = whole as i64 + 719_468;
    let (era, of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let years = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * years + years / 4 - years / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = years + era * 400 + i64::from(month <= 2);
    let weekday = (whole as i64 + 3).rem_euclid(7);
    Some((year as i16, month as u8, weekday as u8, days - whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_forms_give_the_same_day() {
        let want = Some(19_783.0);
        for cell in [
            "2024-03-01",
            "2024/3/1",
            "2024.03.01",
            "1.3.2024",
            "01/03/2024",
            "1-3-24",
            "1 March 2024",
            "1-Mar-2024",
            "1st March 2024",
            "March 1, 2024",
            "Mar 1 2024",
            "2024-03-01T00:00:00Z",
            "2024-03-01 00:00",
            "01/03/24",
            "2024-03-01T02:00:00+02:00",
        ] {
            assert_eq!(parse_date(cell, true), want, "{cell}");
        }
        assert_eq!(parse_date("03/01/2024", false), want);
        assert_eq!(parse_date("2024-03-01 6:00 pm", false), Some(19_783.75));
        assert_eq!(parse_date("2013-01-01T06:00", true), Some(15_706.25));
    }

    #[test]
    fn a_part_above_twelve_is_the_day() {
        assert_eq!(parse_date("25/12/2024", false), parse_date("12/25/2024", true));
        assert_eq!(order_evidence("25/12/2024"), Some(true));
        assert_eq!(order_evidence("12/25/2024"), Some(false));
        assert_eq!(order_evidence("01/02/2024"), None);
        assert_eq!(order_evidence("2024-12-25"), None);
        assert!(has_order("1/2/2024") && !has_order("2024-01-02") && !has_order("1 May 2024"));
    }

    #[test]
    fn other_text_is_no_date() {
        for cell in [
            "",
            "12",
            "2024",
            "3.14159",
            "1,234.5",
            "hello world",
            "2024-13-01",
            "30.2.2024",
            "May",
            "12:30",
            "1.2.3.4",
            "192.168.0.1",
            "B000J0LSBG",
            "5-10-15-20",
            "march on 5",
            "2024-03-01 25:61",
            "2024-03-01 hello",
            "1-2345-6",
            "é2024-01-01",
        ] {
            assert_eq!(parse_date(cell, true), None, "{cell}");
        }
    }

    #[test]
    fn days_go_back_to_the_calendar() {
        let (year, month, weekday, time) = civil(19_783.75).unwrap();
        assert_eq!((year, month, weekday, time), (2024, 3, 4, 0.75));
        assert_eq!(civil(-1.0).unwrap().0, 1969);
        assert!(civil(1e300).is_none());
    }

    /// All days of a thousand years, held against jiff.
    #[test]
    fn days_are_those_of_the_calendar() {
        let epoch = jiff::civil::date(1970, 1, 1);
        let mut day = jiff::civil::date(1500, 1, 1);
        let mut n = f64::from(epoch.until(day).unwrap().get_days());
        while day.year() < 2500 {
            let cell = day.to_string();
            assert_eq!(parse_date(&cell, false), Some(n), "{cell}");
            let weekday = day.weekday().to_monday_zero_offset() as u8;
            assert_eq!(civil(n), Some((day.year(), day.month() as u8, weekday, 0.0)));
            day = day.tomorrow().unwrap();
            n += 1.0;
        }
        for cell in ["2023-02-29", "1900-02-29", "2024-04-31", "2024-00-10", "2024-01-00"] {
            assert_eq!(parse_date(cell, false), None, "{cell}");
        }
    }
}

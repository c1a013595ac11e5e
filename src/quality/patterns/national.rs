//! National identity numbers with check digits or letters.

use super::{digits, only};

/// An identity number of one of the countries below, in its usual writing.
pub(crate) fn is_national_id(text: &str) -> bool {
    is_us_ssn(text)
        || is_uk_nino(text)
        || is_spanish(text)
        || is_italian(text)
        || is_french(text)
        || is_swiss(text)
        || is_brazilian(text)
}

/// United States: `123-45-6789`, with the numbers that are never issued left out.
fn is_us_ssn(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [area, group, serial] = parts[..] else { return false };
    (area.len(), group.len(), serial.len()) == (3, 2, 4)
        && parts.iter().all(|p| only(p, |c| c.is_ascii_digit()))
        && !matches!(area, "000" | "666")
        && !area.starts_with('9')
        && group != "00"
        && serial != "0000"
}

/// United Kingdom: two letters, six digits, a letter A–D.
fn is_uk_nino(text: &str) -> bool {
    let code: Vec<u8> = text.bytes().filter(|b| *b != b' ').collect();
    code.len() == 9
        && code[..2].iter().all(|b| b.is_ascii_uppercase() && !b"DFIQUV".contains(b))
        && code[1] != b'O'
        && !matches!(&code[..2], b"BG" | b"GB" | b"NK" | b"KN" | b"TN" | b"NT" | b"ZZ")
        && code[2..8].iter().all(u8::is_ascii_digit)
        && (b'A'..=b'D').contains(&code[8])
}

/// Spain: eight digits (or X, Y, Z and seven) and a check letter.
fn is_spanish(text: &str) -> bool {
    let code = text.as_bytes();
    if code.len() != 9 || !code[1..8].iter().all(u8::is_ascii_digit) {
        return false;
    }
    let first = match code[0] {
        b'0'..=b'9' => code[0] - b'0',
        b'X' | b'Y' | b'Z' => code[0] - b'X',
        _ => return false,
    };
    let number = code[1..8].iter().fold(u32::from(first), |v, b| v * 10 + u32::from(b - b'0'));
    b"TRWAGMYFPDXBNJZSQVHLCKE"[(number % 23) as usize] == code[8]
}

/// Italy: codice fiscale with its check letter.
fn is_italian(text: &str) -> bool {
    const ODD: [u32; 26] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24,
        23,
    ];
    let code = text.as_bytes();
    let letters = [0, 1, 2, 3, 4, 5, 8, 11, 15];
    if code.len() != 16
        || !code.iter().enumerate().all(|(i, b)| {
            if letters.contains(&i) { b.is_ascii_uppercase() } else { b.is_ascii_digit() }
        })
    {
        return false;
    }
    let value = |b: u8| u32::from(if b.is_ascii_digit() { b - b'0' } else { b - b'A' });
    let sum: u32 = code[..15]
        .iter()
        .enumerate()
        .map(|(i, &b)| if i % 2 == 0 { ODD[value(b) as usize] } else { value(b) })
        .sum();
    sum % 26 == value(code[15])
}

/// France: thirteen digits and 97 minus their remainder.
fn is_french(text: &str) -> bool {
    let code: String = text.chars().filter(|c| *c != ' ').collect();
    if code.len() != 15 || !only(&code, |c| c.is_ascii_digit()) || !code.starts_with(['1', '2']) {
        return false;
    }
    let month: u32 = code[3..5].parse().unwrap_or(0);
    let (Ok(number), Ok(key)) = (code[..13].parse::<u64>(), code[13..].parse::<u64>()) else {
        return false;
    };
    (1..=12).contains(&month) && 97 - number % 97 == key
}

/// Switzerland: `756.1234.5678.97` with an EAN-13 check digit.
fn is_swiss(text: &str) -> bool {
    let parts: Vec<usize> = text.split('.').map(str::len).collect();
    let d = digits(text);
    if parts != [3, 4, 4, 2] || d.len() != 13 || !text.starts_with("756") {
        return false;
    }
    let sum: u32 =
        d.iter().enumerate().map(|(i, &x)| u32::from(x) * if i % 2 == 0 { 1 } else { 3 }).sum();
    sum.is_multiple_of(10)
}

/// Brazil: `123.456.789-09` with two check digits.
fn is_brazilian(text: &str) -> bool {
    let d = digits(text);
    let form: Vec<usize> = text.split(['.', '-']).map(str::len).collect();
    if form != [3, 3, 3, 2] || d.len() != 11 || d.iter().all(|x| *x == d[0]) {
        return false;
    }
    let check = |n: usize| {
        let sum: u32 =
            d[..n].iter().zip((2..=n as u32 + 1).rev()).map(|(&x, w)| u32::from(x) * w).sum();
        (sum * 10 % 11 % 10) as u8
    };
    check(9) == d[9] && check(10) == d[10]
}

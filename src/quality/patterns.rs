//! Recognises personal data in text by form and check digits.

mod national;

use national::is_national_id;

/// A kind of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Email,
    Iban,
    Card,
    NationalId,
    Phone,
    Ip,
}

impl Kind {
    /// Plural name in a sentence.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Email => "e-mail addresses",
            Self::Iban => "bank account numbers (IBAN)",
            Self::Card => "payment card numbers",
            Self::NationalId => "national identity numbers",
            Self::Phone => "phone numbers",
            Self::Ip => "IP addresses",
        }
    }
}

type Test = fn(&str) -> bool;

/// What the whole cell is, if it is personal data. Only forms that a number or code hits rarely.
pub(crate) fn whole(cell: &str) -> Option<Kind> {
    let cell = cell.trim();
    if cell.len() < 7 || cell.len() > 254 {
        return None;
    }
    let tests: [(Kind, Test); 6] = [
        (Kind::Email, is_email),
        (Kind::Iban, is_iban),
        (Kind::NationalId, is_national_id),
        (Kind::Card, is_card),
        (Kind::Ip, is_ip),
        (Kind::Phone, is_phone),
    ];
    tests.into_iter().find(|(_, test)| test(cell)).map(|(kind, _)| kind)
}

/// The first personal data inside a longer text.
pub(crate) fn within(text: &str) -> Option<Kind> {
    // Nearly all text fails here, at the cost of one pass.
    if !text.bytes().any(|b| b == b'@' || b.is_ascii_digit()) {
        return None;
    }
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '<' | '>' | '"'));
    for word in words {
        let word =
            word.trim_matches(|c: char| matches!(c, '.' | ':' | '!' | '?' | '(' | ')' | '\''));
        if is_email(word) {
            return Some(Kind::Email);
        }
        if word.len() >= 15 && is_iban(word) {
            return Some(Kind::Iban);
        }
        if word.len() >= 9 && is_national_id(word) {
            return Some(Kind::NationalId);
        }
    }
    digit_runs(text).find_map(|run| {
        if is_card(run) {
            Some(Kind::Card)
        } else if is_phone(run) {
            Some(Kind::Phone)
        } else {
            None
        }
    })
}

/// Stretches of digits and the signs written between them.
fn digit_runs(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_digit() || matches!(c, ' ' | '-' | '+' | '(' | ')')))
        .map(|run| run.trim_matches([' ', '-']))
        .filter(|run| run.len() >= 9)
}

fn digits(text: &str) -> Vec<u8> {
    text.bytes().filter(u8::is_ascii_digit).map(|b| b - b'0').collect()
}

fn only(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    text.chars().all(allowed)
}

/// `name@host.tld`.
pub(crate) fn is_email(text: &str) -> bool {
    let Some((name, host)) = text.rsplit_once('@') else { return false };
    let name_ok = !name.is_empty()
        && name.len() <= 64
        && !name.starts_with('.')
        && !name.ends_with('.')
        && only(name, |c| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c));
    let Some((domain, top)) = host.rsplit_once('.') else { return false };
    name_ok
        && !domain.is_empty()
        && only(domain, |c| c.is_alphanumeric() || c == '-' || c == '.')
        && !domain.starts_with(['-', '.'])
        && (2..=24).contains(&top.len())
        && only(top, |c| c.is_alphabetic())
}

/// International bank account number: country, check digits, remainder 1 modulo 97.
pub(crate) fn is_iban(text: &str) -> bool {
    let code: Vec<u8> =
        text.bytes().filter(|b| *b != b' ').map(|b| b.to_ascii_uppercase()).collect();
    if !(15..=34).contains(&code.len())
        || !code[..2].iter().all(u8::is_ascii_alphabetic)
        || !code[2..4].iter().all(u8::is_ascii_digit)
        || !code.iter().all(u8::is_ascii_alphanumeric)
    {
        return false;
    }
    code[4..].iter().chain(&code[..4]).fold(0u32, |rest, &b| {
        if b.is_ascii_digit() {
            (rest * 10 + u32::from(b - b'0')) % 97
        } else {
            (rest * 100 + u32::from(b - b'A') + 10) % 97
        }
    }) == 1
}

/// Luhn's check digit.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, &d)| {
            let d = u32::from(d) << (i % 2);
            if d > 9 { d - 9 } else { d }
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|d| *d != 0)
}

/// Payment card: an issuer's prefix, its length, Luhn's check digit.
pub(crate) fn is_card(text: &str) -> bool {
    if !only(text, |c| c.is_ascii_digit() || c == ' ' || c == '-') {
        return false;
    }
    let d = digits(text);
    let prefix = |n: usize| d.iter().take(n).fold(0u32, |v, &x| v * 10 + u32::from(x));
    let issued = match d.len() {
        13 | 19 => prefix(1) == 4,
        14 => matches!(prefix(2), 36 | 38) || (300..=305).contains(&prefix(3)),
        15 => matches!(prefix(2), 34 | 37),
        16 => {
            prefix(1) == 4
                || (51..=55).contains(&prefix(2))
                || (2221..=2720).contains(&prefix(4))
                || prefix(4) == 6011
                || prefix(2) == 65
                || (3528..=3589).contains(&prefix(4))
        }
        _ => false,
    };
    issued && luhn(&d)
}

/// IPv4 with four parts, or IPv6.
pub(crate) fn is_ip(text: &str) -> bool {
    match text.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(_)) => true,
        Ok(std::net::IpAddr::V6(_)) => text.matches(':').count() >= 3,
        Err(_) => false,
    }
}

/// A phone number that its writing shows to be one: `+49 30 1234567`, `(212) 555-0123`,
/// `212-555-0123`, `030 1234 5678`.
pub(crate) fn is_phone(text: &str) -> bool {
    if !only(text, |c| c.is_ascii_digit() || " -+()./".contains(c)) || text.contains("..") {
        return false;
    }
    let n = digits(text).len();
    if let Some(rest) = text.strip_prefix('+') {
        return (8..=15).contains(&n)
            && !rest.contains('+')
            && rest.starts_with(|c: char| c.is_ascii_digit());
    }
    if text.contains('+') || looks_like_date(text) {
        return false;
    }
    let groups: Vec<&str> =
        text.split(|c: char| !c.is_ascii_digit()).filter(|g| !g.is_empty()).collect();
    let american = groups.iter().map(|g| g.len()).eq([3, 3, 4]) && !text.starts_with('.');
    let in_brackets = text.starts_with('(') && text.contains(')') && (9..=12).contains(&n);
    let national = text.starts_with('0')
        && !text.starts_with("000")
        && !text.contains(['.', '/'])
        && (2..=5).contains(&groups.len())
        && (9..=12).contains(&n)
        && groups[0].len() >= 2;
    american || in_brackets || national
}

/// `2024-01-31`, `31.01.2024`, with or without a time.
fn looks_like_date(text: &str) -> bool {
    let day = text.split(' ').next().unwrap_or("");
    let parts: Vec<usize> = day.split(['-', '.', '/']).map(str::len).collect();
    matches!(parts[..], [4, 1 | 2, 1 | 2] | [1 | 2, 1 | 2, 2 | 4])
}

/// What the words of a column name say about its content.
pub(crate) fn by_name(words: &[String]) -> Option<&'static str> {
    let has = |w: &str| words.iter().any(|x| x == w);
    let pair = |a: &str, b: &str| {
        words.windows(2).any(|w| w[0] == a && w[1] == b) || has(&format!("{a}{b}"))
    };
    let only_word = |w: &str| words.len() == 1 && words[0] == w;
    if has("email") || has("mail") || pair("e", "mail") {
        Some("e-mail addresses")
    } else if has("phone") || has("telephone") || has("mobile") || has("telefon") {
        Some("phone numbers")
    } else if [
        "first", "last", "full", "given", "family", "maiden", "middle", "sur", "user", "customer",
        "patient", "employee", "nick",
    ]
    .iter()
    .any(|p| pair(p, "name"))
        || only_word("name")
        || has("vorname")
        || has("nachname")
        || has("forename")
    {
        Some("names of people")
    } else if has("address") && !has("ip") && !has("mac") || has("street") || has("adresse") {
        Some("addresses")
    } else if pair("birth", "date")
        || pair("date", "birth")
        || has("birthday")
        || has("dob")
        || pair("of", "birth")
        || pair("geburts", "datum")
    {
        Some("dates of birth")
    } else if has("iban") || pair("account", "number") || pair("card", "number") {
        Some("account or card numbers")
    } else if has("ssn")
        || has("passport")
        || pair("social", "security")
        || pair("tax", "id")
        || pair("national", "id")
        || pair("driver", "license")
    {
        Some("identity numbers")
    } else if pair("ip", "address") || only_word("ip") {
        Some("IP addresses")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_recognised() {
        // Published examples and test numbers, no person's own.
        for (cell, kind) in [
            ("jane.doe+x@mail.example.org", Kind::Email),
            ("DE89 3704 0044 0532 0130 00", Kind::Iban),
            ("GB82WEST12345698765432", Kind::Iban),
            ("4111 1111 1111 1111", Kind::Card),
            ("378282246310005", Kind::Card),
            ("5555-5555-5555-4444", Kind::Card),
            ("192.168.0.17", Kind::Ip),
            ("2001:db8::8a2e:370:7334", Kind::Ip),
            ("+49 30 1234567", Kind::Phone),
            ("(212) 555-0123", Kind::Phone),
            ("212-555-0123", Kind::Phone),
            ("030 1234 5678", Kind::Phone),
            ("078-05-1120", Kind::NationalId),
            ("AB123456C", Kind::NationalId),
            ("12345678Z", Kind::NationalId),
            ("RSSMRA85T10A562S", Kind::NationalId),
            ("756.9217.0769.85", Kind::NationalId),
            ("123.456.789-09", Kind::NationalId),
        ] {
            assert_eq!(whole(cell), Some(kind), "{cell}");
        }
    }

    #[test]
    fn wrong_check_digits_and_other_text_are_not() {
        for cell in [
            "jane.doe@mail",
            "@example.org",
            "a@b@",
            "DE88 3704 0044 0532 0130 00",
            "4111 1111 1111 1112",
            "9999999999999995",
            "256.1.1.1",
            "1.2.3",
            "2024-01-31",
            "31.01.2024 12:30",
            "1234567",
            "12345678",
            "000-12-3456",
            "12345678A",
            "RSSMRA85T10A562T",
            "756.9217.0769.84",
            "123.456.789-00",
            "3.14159265",
            "-12.5",
            "10:30:45",
            "Heikkinen, Miss. Laina",
            "0.0012345678",
            "00:11:22:33",
            "1,234,567",
            "1000-2000",
            "000000000000",
        ] {
            assert_eq!(whole(cell), None, "{cell}");
        }
    }

    #[test]
    fn data_inside_text_is_found() {
        assert_eq!(within("please write to (jane@example.org)."), Some(Kind::Email));
        assert_eq!(within("card 4111 1111 1111 1111, thanks"), Some(Kind::Card));
        assert_eq!(within("call +49 30 1234567 before 5"), Some(Kind::Phone));
        assert_eq!(within("pay to GB82WEST12345698765432 today"), Some(Kind::Iban));
        for text in [
            "no data here",
            "I paid 12 dollars for 250 grams in 2012",
            "ordered 2011-05-12, 3 packs",
            "@home by 8",
        ] {
            assert_eq!(within(text), None, "{text}");
        }
    }

    #[test]
    fn names_of_columns_tell() {
        let of = |name: &str| by_name(&name.split('_').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(of("first_name"), Some("names of people"));
        assert_eq!(of("name"), Some("names of people"));
        assert_eq!(of("date_of_birth"), Some("dates of birth"));
        for name in ["species", "ip_length", "product_name", "class", "nameplate"] {
            assert_eq!(of(name), None, "{name}");
        }
    }
}

//! Figures and lists as they read in a sentence.

/// `1332` as `1,332`.
pub(crate) fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `3 rows`, `1 row`.
pub(crate) fn counted(n: usize, noun: &str) -> String {
    let noun = if n == 1 { noun.to_owned() } else { crate::text::plural(noun) };
    format!("{} {noun}", count(n))
}

/// A share in percent with enough digits to be told from 0 and 100.
pub(crate) fn percent(share: f64) -> String {
    let p = share * 100.0;
    if p > 0.0 && p < 0.01 {
        "under 0.01 %".to_owned()
    } else if p < 1.0 || (p > 99.0 && p < 100.0) {
        format!("{p:.2} %")
    } else if p < 10.0 {
        format!("{p:.1} %")
    } else {
        format!("{p:.0} %")
    }
}

/// A number with four significant digits at most.
pub(crate) fn number(v: f64) -> String {
    if v == 0.0 || !v.is_finite() {
        return format!("{v}");
    }
    if v.fract() == 0.0 && v.abs() < 1e15 {
        return format!("{v}");
    }
    let digits = (3 - v.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{v:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// `"a", "b" and 3 more`.
pub(crate) fn list<S: AsRef<str>>(items: &[S], most: usize) -> String {
    let quoted: Vec<String> =
        items.iter().take(most).map(|s| format!("\"{}\"", short(s.as_ref()))).collect();
    let more = items.len().saturating_sub(most);
    match (quoted.split_last(), more) {
        (None, _) => String::new(),
        (Some(_), 1..) => format!("{} and {} more", quoted.join(", "), count(more)),
        (Some((last, [])), 0) => last.clone(),
        (Some((last, head)), 0) => format!("{} and {last}", head.join(", ")),
    }
}

/// At most 40 characters of a cell.
pub(crate) fn short(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(count(1_332), "1,332");
        assert_eq!(count(12), "12");
        assert_eq!(counted(1, "row"), "1 row");
        assert_eq!(counted(24, "row"), "24 rows");
        assert_eq!(counted(2, "class"), "2 classes");
        assert_eq!(counted(2, "category"), "2 categories");
        assert_eq!(percent(0.0007), "0.07 %");
        assert_eq!(percent(0.00001), "under 0.01 %");
        assert_eq!(percent(0.0666), "6.7 %");
        assert_eq!(percent(0.9996), "99.96 %");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(number(0.83217), "0.8322");
        assert_eq!(number(99_999.0), "99999");
        assert_eq!(number(12_345.678), "12346");
        assert_eq!(list(&["a", "b", "c"], 2), "\"a\", \"b\" and 1 more");
        assert_eq!(list(&["a", "b"], 2), "\"a\" and \"b\"");
        assert_eq!(list(&["a"], 2), "\"a\"");
        assert_eq!(list::<&str>(&[], 2), "");
    }
}

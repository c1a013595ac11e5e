//! Writing to the terminal.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use crate::error::UserError;

/// Standard output. A reader that went away (as `head` does) is no error.
pub(super) fn out(text: &str) -> Result<(), UserError> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(UserError::new(
            format!("The output cannot be written: {e}"),
            "Check free disk space, or write to another place.",
        )),
        _ => Ok(()),
    }
}

/// A value as indented JSON on standard output.
pub(super) fn json(value: &impl serde::Serialize) -> Result<(), UserError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| UserError::new(format!("The results cannot be written: {e}"), ""))?;
    out(&(text + "\n"))
}

/// A line on standard error; nothing can be done if that fails.
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// An error as a user sees it: what and where, then what to do.
pub fn error(e: &UserError) {
    let mark = if io::stderr().is_terminal() { "\x1b[1;31merror:\x1b[0m" } else { "error:" };
    let place = e.place.to_string();
    let place = if place.is_empty() { place } else { format!("\n  where: {place}") };
    let advice =
        if e.advice.is_empty() { String::new() } else { format!("\n  next:  {}", e.advice) };
    note(&format!("{mark} {}{place}{advice}", e.what));
}

/// A number of bytes.
pub(super) fn bytes(n: u64) -> String {
    match n {
        0..=999 => format!("{n} bytes"),
        1000..=999_999 => format!("{:.1} kB", n as f64 / 1e3),
        _ => format!("{:.1} MB", n as f64 / 1e6),
    }
}

/// Rows of cells with the columns lined up: the first to the left, the others to the right.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| {
        rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, &w) in row.iter().zip(&widths) {
            if line.is_empty() {
                line = format!("  {cell:<w$}");
            } else {
                line += &format!("  {cell:>w$}");
            }
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// A large count with thin groups of three: `1 234 567`.
pub(super) fn count(n: impl TryInto<u64>) -> String {
    let digits = n.try_into().unwrap_or(u64::MAX).to_string();
    let mut text = String::new();
    for (i, d) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(d);
    }
    text
}

/// Seconds as people say them.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 0.1 => format!("{:.0} ms", s * 1000.0),
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 90.0 => format!("{s:.0} s"),
        s => format!("{} min {:.0} s", (s / 60.0).floor(), s % 60.0),
    }
}

/// The path as it can be pasted into a shell.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    if text.contains(|c: char| c.is_whitespace() || "'\"$&;()".contains(c)) {
        format!("'{}'", text.replace('\'', "'\\''"))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up() {
        let row = |cells: &[&str]| cells.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>();
        let text = table(&[row(&["", "test"]), row(&["Accuracy", "9.5 %"]), row(&["R²", "1"])]);
        assert_eq!(text, "             test\n  Accuracy  9.5 %\n  R²            1\n");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(count(7_usize), "7");
        assert_eq!(count(1234_usize), "1 234");
        assert_eq!(count(1_234_567_u64), "1 234 567");
    }

    #[test]
    fn durations_are_short() {
        assert_eq!(duration(0.031), "31 ms");
        assert_eq!(duration(0.31), "0.3 s");
        assert_eq!(duration(42.4), "42 s");
        assert_eq!(duration(125.0), "2 min 5 s");
    }

    #[test]
    fn paths_can_be_pasted() {
        assert_eq!(quoted(Path::new("a/b-c")), "a/b-c");
        assert_eq!(quoted(Path::new("my data/it's")), "'my data/it'\\''s'");
    }
}

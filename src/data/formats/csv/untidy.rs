//! Ways of writing a text table that are turned into ordinary ones before it is read. Lines stay where
//! they are, so that rows keep their numbers.

use crate::data::formats::dialect::{self, Dialect, ONE_COLUMN};

/// Most bytes of text that are written anew.
const MOST: usize = 256 << 20;
/// Lines that are looked at.
const LINES: usize = 500;

/// The text in an ordinary form: its delimiter, if that is known, and what is said about it.
pub(super) struct Tidied {
    pub text: String,
    pub delimiter: Option<u8>,
    pub note: &'static str,
}

/// A table whose columns are separated by spaces, perhaps aligned: every line has as many words, and
/// at least half of the columns hold numbers.
pub(super) fn spaced(text: &str, dialect: &Dialect) -> Option<Tidied> {
    if dialect.delimiter != ONE_COLUMN || text.len() > MOST || text.contains(['"', '\t']) {
        return None;
    }
    let lines: Vec<Vec<&str>> = text
        .lines()
        .filter(|l| !l.trim().is_empty())
        .take(LINES)
        .map(|l| l.split_whitespace().collect())
        .collect();
    let width = lines.first().map_or(0, Vec::len);
    if width < 2 || lines.len() < 3 || lines.iter().any(|l| l.len() != width) {
        return None;
    }
    let numeric = |c: usize| {
        lines.iter().skip(1).all(|l| {
            l.get(c).is_some_and(|w| w.parse::<f64>().is_ok() || crate::data::table::is_missing(w))
        })
    };
    if (0..width).filter(|c| numeric(*c)).count() * 2 < width {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive(['\n', '\r']) {
        for (i, word) in line.split_whitespace().enumerate() {
            if i > 0 {
                out.push('\t');
            }
            out.push_str(word);
        }
        out.push_str(&line[line.trim_end_matches(['\n', '\r']).len()..]);
    }
    Some(Tidied { text: out, delimiter: Some(b'\t'), note: "Spaces separate the columns." })
}

/// A table with spaces between the delimiter and an enclosing mark: `a, "b, c"`. `None` unless all of
/// its rows then have as many cells as the names.
pub(super) fn padded(text: &str, dialect: &Dialect) -> Option<Tidied> {
    let mark = [dialect.delimiter, b' ', b'"'];
    if !dialect.quoting
        || text.len() > MOST
        || memchr::memmem::find(text.as_bytes(), &mark).is_none()
    {
        return None;
    }
    let out = without_padding(text, dialect.delimiter);
    if out == text {
        return None;
    }
    let records = dialect::head(&out, dialect.delimiter, true, LINES);
    let width = records.first().map_or(0, Vec::len);
    (width > 1 && records.iter().all(|r| r.len() == width)).then_some(Tidied {
        text: out,
        delimiter: Some(dialect.delimiter),
        note: "Spaces before quotation marks are left off.",
    })
}

fn without_padding(text: &str, delimiter: u8) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let (mut inside, mut begins, mut at) = (false, true, 0);
    // Where a mark that closed stands before: another one opens again, as the two stand for one.
    let mut closed = None;
    while let Some(&b) = bytes.get(at) {
        if begins && !inside && b == b' ' {
            let spaces = bytes[at..].iter().take_while(|b| **b == b' ').count();
            if bytes.get(at + spaces) == Some(&b'"') {
                at += spaces;
                continue;
            }
        }
        if b == b'"' && (inside || begins || closed == Some(at)) {
            inside = !inside;
            closed = (!inside).then_some(at + 1);
        }
        begins = !inside && (b == delimiter || b == b'\n' || b == b'\r');
        out.push(b);
        at += 1;
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

/// A table that writes a quotation mark inside a quoted cell as `\"`.
pub(super) fn escaped(text: &str) -> Option<Tidied> {
    if text.len() > MOST || !text.contains("\\\"") {
        return None;
    }
    Some(Tidied {
        text: text.replace("\\\"", "\"\""),
        delimiter: None,
        note: "Quotation marks inside cells are written with a backslash.",
    })
}

/// A table whose cells are enclosed in `'…'`. `None` unless that is evident: at least one column is
/// enclosed in every row, and all rows then have as many cells.
pub(super) fn single(text: &str, dialect: &Dialect) -> Option<Tidied> {
    if text.len() > MOST || dialect.delimiter == ONE_COLUMN {
        return None;
    }
    // The first lines tell; only then all are looked at and written anew.
    let end = memchr::memchr_iter(b'\n', text.as_bytes()).nth(LINES).unwrap_or(text.len());
    let head = text.get(..end).filter(|head| head.contains('\''))?;
    let head = doubled(head, dialect.delimiter)?;
    let records = dialect::head(&head, dialect.delimiter, true, LINES);
    let width = records.first().map_or(0, Vec::len);
    if width < 2 || records.len() < 4 || records.iter().any(|r| r.len() != width) {
        return None;
    }
    let always = |c: usize| {
        head.lines().filter(|l| !l.trim().is_empty()).skip(1).all(|line| {
            let cells = dialect::head(line, dialect.delimiter, false, 1);
            // A line that is not cut as a record holds a delimiter inside of marks.
            cells.first().is_none_or(|cells| {
                let enclosed = |cell: &String| cell.len() > 1 && cell.starts_with('"');
                cells.len() != width || cells.get(c).is_some_and(enclosed)
            })
        })
    };
    if !(0..width).any(always) {
        return None;
    }
    Some(Tidied {
        text: doubled(text, dialect.delimiter)?,
        delimiter: Some(dialect.delimiter),
        note: "Single quotation marks enclose cells.",
    })
}

/// The text with `'…'` around cells as `"…"`; `None` where `"` encloses cells already, or none is
/// enclosed. Marks inside of cells, as in `O'Neil` and `'tis`, stay; so do those of a cell that is not
/// closed in its line.
fn doubled(text: &str, delimiter: u8) -> Option<String> {
    let bytes = text.as_bytes();
    let ends =
        |at: usize| bytes.get(at).is_none_or(|b| *b == delimiter || matches!(b, b'\n' | b'\r'));
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 8);
    let (mut at, mut begins, mut enclosed) = (0, true, 0);
    while let Some(&b) = bytes.get(at) {
        if begins && b == b'"' {
            return None;
        }
        if begins && b == b'\'' {
            let mut end = at + 1;
            let closed = loop {
                match bytes.get(end) {
                    None | Some(b'\n' | b'\r') => break false,
                    // A mark written twice stands for one.
                    Some(b'\'') if bytes.get(end + 1) == Some(&b'\'') => end += 2,
                    Some(b'\'') if ends(end + 1) => break true,
                    Some(b'\\') if bytes.get(end + 1) == Some(&b'\'') => end += 2,
                    Some(_) => end += 1,
                }
            };
            if closed {
                let cell = text.get(at + 1..end)?;
                let cell = cell.replace("\\'", "'").replace("''", "'").replace('"', "\"\"");
                out.push(b'"');
                out.extend_from_slice(cell.as_bytes());
                out.push(b'"');
                (at, begins) = (end + 1, false);
                enclosed += 1;
                continue;
            }
        }
        begins = b == delimiter || b == b'\n' || b == b'\r';
        out.push(b);
        at += 1;
    }
    if enclosed == 0 { None } else { String::from_utf8(out).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Dialect {
        dialect::detect(text, true, None, None, false)
    }

    #[test]
    fn columns_between_spaces_are_found_and_prose_is_not() {
        let table = "a   b y\n1   2 p\n10 20 q\n";
        let tidied = spaced(table, &of(table)).unwrap();
        assert_eq!(tidied.text, "a\tb\ty\n1\t2\tp\n10\t20\tq\n");
        let prose = "a fine day\nnot so good\nwe like it\n";
        assert!(spaced(prose, &of(prose)).is_none());
    }

    #[test]
    fn single_marks_enclose_cells_where_that_is_evident() {
        let table = "a,b\n1,'x, y'\n2,'it''s \"so\"'\n3,'O\\'Neil'\n4,''\n";
        let tidied = single(table, &of(table)).unwrap();
        assert_eq!(tidied.text, "a,b\n1,\"x, y\"\n2,\"it's \"\"so\"\"\"\n3,\"O'Neil\"\n4,\"\"\n");
        for other in [
            "a,b\n1,'tis\n2,O'Neil\n3,rock'n'roll\n4,it's\n",
            "a,b\n1,'x'\n2,y\n3,z\n4,z\n",
            "a,b\n1,\"x\"\n2,'y'\n3,'z'\n4,'z'\n",
            "a,b\n1,'x,y'\n2,'y',3\n3,'z'\n4,'z'\n",
            "'a'\n'b'\n",
            "a,b\n1,2\n",
            "",
        ] {
            assert!(single(other, &of(other)).is_none(), "{other}");
        }
    }

    #[test]
    fn any_text_with_marks_is_read_or_left_alone() {
        let mut rng = crate::data::rng::Rng::new(3);
        let letters: Vec<char> = "a1,;'\"\\\n\r é日".chars().collect();
        for _ in 0..500 {
            let text: String =
                (0..rng.below(200)).map(|_| letters[rng.below(letters.len())]).collect();
            if let Some(tidied) = single(&text, &of(&text)) {
                let lines = |t: &str| t.chars().filter(|c| matches!(c, '\n' | '\r')).count();
                assert_eq!(lines(&tidied.text), lines(&text));
            }
        }
    }

    #[test]
    fn spaces_before_marks_go_and_those_inside_cells_stay() {
        let table = "a, b\n1, \"x, \"\"y\"\"\"\n2, \"z\"\n";
        let tidied = padded(table, &of(table)).unwrap();
        assert_eq!(tidied.text, "a, b\n1,\"x, \"\"y\"\"\"\n2,\"z\"\n");
        // A comma, a space and a mark inside a cell are no padding.
        let inside = "a,b\n1,\"\\\"\", \"\n2,\"z\"\n";
        assert!(padded(inside, &of(inside)).is_none());
        assert!(padded("a,b\n1,2\n", &of("a,b\n1,2\n")).is_none());
    }
}

//! Rows of the ordinary kind, many at a time: each has all of its cells, and none is enclosed in
//! quotation marks. First all ends of cells in a stretch of text are found, then its cells are taken
//! column by column. What is not ordinary is left to the reader of single rows.

use super::MAX_CELL;
use super::signs::{WIDE, ends, signs};
use crate::data::infer::Seen;
use crate::data::infer::words::{Key, SHORT};
use crate::data::table::{Cells, Piece};
use crate::fp8::simd::vectorised;

/// Bytes of text whose rows are taken together: these, their ends and what they go to stay near the
/// processor.
const WINDOW: usize = 24 << 10;

/// How a text is written, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writing {
    pub delimiter: u8,
    /// Whether `"` encloses cells, and there is one.
    pub quotes: bool,
    /// Whether there are carriage returns.
    pub returns: bool,
    /// Cells in a row.
    pub width: usize,
}

/// The cells that one part of a table has in a column, and what they look like.
#[derive(Debug, Default)]
pub(super) struct Growing {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    pub seen: Seen,
}

impl Growing {
    pub(super) fn push(&mut self, cell: &str) {
        self.bytes.extend_from_slice(cell.as_bytes());
        self.ends.push(self.bytes.len() as u32);
        self.seen.see(cell);
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn reserve(&mut self, cells: usize, bytes: usize) {
        self.ends.reserve(cells);
        self.bytes.reserve(bytes + SHORT);
    }

    /// The finished cells.
    pub(super) fn finish(self) -> (Cells, Seen) {
        let text = String::from_utf8(self.bytes)
            .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
        let mut cells = Cells::default();
        cells.add(Piece::new(text, self.ends));
        (cells, self.seen)
    }
}

/// The rows of one stretch of text.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// Where cells end, from the start of the stretch; first the place before it.
    marks: Vec<u32>,
    rows: usize,
    bytes: usize,
    /// Whether lines end in a carriage return too.
    returns: bool,
}

/// What stands at a place of a text.
pub(super) enum Found {
    /// So many bytes and rows of the ordinary kind.
    Rows(usize, usize),
    /// So many bytes in which rows have to be read one by one.
    Other(usize),
}

impl Block {
    /// Looks at the rows that begin at `at`.
    pub(super) fn find(&mut self, text: &[u8], at: usize, how: Writing) -> Found {
        let rest = text.get(at..).unwrap_or_default();
        let near = rest.len().min(WINDOW);
        let last = memchr::memrchr(b'\n', rest.get(..near).unwrap_or_default());
        let end = match last {
            Some(p) => p + 1,
            None => match memchr::memchr(b'\n', rest.get(near..).unwrap_or_default()) {
                Some(p) => near + p + 1,
                None => return Found::Other(rest.len()),
            },
        };
        let window = rest.get(..end).unwrap_or_default();
        if end > MAX_CELL || (how.quotes && memchr::memchr(b'"', window).is_some()) {
            return Found::Other(end);
        }
        self.returns = false;
        for p in memchr::memchr_iter(b'\r', if how.returns { window } else { &[] }) {
            self.returns = true;
            // Alone it ends a row.
            if window.get(p + 1) != Some(&b'\n') {
                return Found::Other(end);
            }
        }
        if self.marks.len() < end + 1 + WIDE {
            self.marks.resize(end + 1 + WIDE, 0);
        }
        let (cells, rows) = mark(window, how.delimiter, &mut self.marks);
        (self.rows, self.bytes) = (rows, end);
        if cells == rows * how.width && self.regular(window, how) {
            Found::Rows(end, rows)
        } else {
            Found::Other(end)
        }
    }

    /// Whether each row has all of its cells, and a value in one of them.
    fn regular(&self, window: &[u8], how: Writing) -> bool {
        let mut start = 0;
        self.marks.iter().skip(how.width).step_by(how.width).take(self.rows).all(|&end| {
            let row = window.get(start..end as usize).unwrap_or_default();
            start = end as usize + 1;
            let filled = row.first().is_some_and(|b| *b > b' ' && *b != how.delimiter)
                || row.iter().any(|b| !b.is_ascii_whitespace() && *b != how.delimiter)
                || (how.width == 1 && !row.strip_suffix(b"\r").unwrap_or(row).is_empty());
            filled && window.get(end as usize) == Some(&b'\n')
        })
    }

    /// Takes the rows that were found at `at`.
    pub(super) fn take(&self, text: &str, at: usize, columns: &mut [Growing]) {
        let width = columns.len();
        let marks = self.marks.get(..=self.rows * width).unwrap_or_default();
        for (i, column) in columns.iter_mut().enumerate() {
            let returns = self.returns && i + 1 == width;
            let marks = marks.get(i..).unwrap_or_default();
            column.reserve(self.rows, 0);
            take(text, at, marks, width, returns, column);
        }
    }
}

vectorised! {
    /// Notes where cells end; gives how many do and how many of them end a row.
    fn mark(window: &[u8], delimiter: u8, marks: &mut [u32]) -> (usize, usize) {
        let Some((before, marks)) = marks.split_first_mut() else { return (0, 0) };
        *before = u32::MAX;
        let (chunks, rest) = window.as_chunks::<WIDE>();
        let mut last = [0; WIDE];
        if let Some(start) = last.get_mut(..rest.len()) {
            start.copy_from_slice(rest);
        }
        let (mut cells, mut rows, mut base) = (0, 0, 0_u32);
        for chunk in chunks.iter().chain([&last]) {
            let (mut all, feeds) = ends(chunk, delimiter);
            rows += feeds.count_ones() as usize;
            let n = all.count_ones() as usize;
            let Some(out) = marks.get_mut(cells..).and_then(|m| m.first_chunk_mut::<WIDE>()) else {
                return (0, usize::MAX);
            };
            // Without a branch per cell: eight at a time, what is too many is written over.
            for eight in out.as_chunks_mut::<8>().0.iter_mut().take(n.div_ceil(8)) {
                for place in eight {
                    *place = base + all.trailing_zeros();
                    all &= all.wrapping_sub(1);
                }
            }
            cells += n;
            base += WIDE as u32;
        }
        (cells, rows)
    }
}

/// Bytes of the first cells of a text of 16 bytes.
const FIRST: [u128; SHORT + 1] = {
    let mut masks = [u128::MAX; SHORT + 1];
    let mut i = 0;
    while i < SHORT {
        masks[i] = (1 << (8 * i)) - 1;
        i += 1;
    }
    masks
};

/// Digits and minus signs of `2024-03-01`.
const DATE: (u32, u32) = (0b11_0110_1111, 0b00_1001_0000);

vectorised! {
    /// Takes the cells of one column: every `width`-th mark ends what stands before one of them, and
    /// the next mark ends the cell.
    fn take(
        text: &str,
        at: usize,
        marks: &[u32],
        width: usize,
        returns: bool,
        column: &mut Growing,
    ) {
        let bytes = text.as_bytes();
        let Growing { bytes: out, ends, seen } = column;
        let mut length = out.len();
        let (mut plain, mut iso, mut words) = (0, 0, 0);
        let (mut point, mut fraction) = (false, false);
        for pair in marks.windows(2).step_by(width) {
            let [before, end] = pair else { break };
            let start = at + before.wrapping_add(1) as usize;
            let mut end = at + *end as usize;
            if returns && end > start && bytes.get(end - 1) == Some(&b'\r') {
                end -= 1;
            }
            let short = end - start;
            let near = bytes.get(start..).and_then(|b| b.first_chunk::<SHORT>());
            let (Some(cell), true) = (near, short <= SHORT) else {
                let cell = text.get(start..end).unwrap_or("");
                out.extend_from_slice(cell.as_bytes());
                length = out.len();
                ends.push(length as u32);
                seen.see(cell);
                continue;
            };
            out.extend_from_slice(cell);
            length += short;
            out.truncate(length);
            ends.push(length as u32);
            let signs = signs(cell);
            let all = (1_u32 << short) - 1;
            let (digits, points) = (signs.digits & all, signs.points & all);
            if !seen.counting {
                // Digits with a point among them and a minus sign in front at most.
                if digits | points == all & !(signs.minus & 1)
                    && digits != 0
                    && points & points.wrapping_sub(1) == 0
                {
                    plain += 1;
                    point |= points != 0;
                    // With less than 16 digits a number is whole where no digit behind the point counts.
                    let behind = if points == 0 { 0 } else { digits & !points.wrapping_sub(1) };
                    fraction |= behind & !signs.zeros != 0;
                    continue;
                }
                if short == 10 && (digits, signs.minus & all) == DATE && usual_day(cell) {
                    iso += 1;
                    continue;
                }
                if cell[0].is_ascii_alphabetic()
                    && seen.words.again(u128::from_le_bytes(*cell) & FIRST[short])
                {
                    words += 1;
                    continue;
                }
            }
            seen.see(text.get(start..end).unwrap_or(""));
        }
        seen.rows += plain + iso + words;
        seen.valid += plain + iso + words;
        seen.plain += plain;
        seen.iso += iso;
        seen.integers &= !fraction;
        if point {
            seen.evidence.see_point();
        }
    }
}

/// Whether a date of digits has one of the days that every month has.
#[inline(always)]
fn usual_day(date: &Key) -> bool {
    let two = |a: u8, b: u8| u32::from(a.wrapping_sub(b'0')) * 10 + u32::from(b.wrapping_sub(b'0'));
    let (month, day) = (two(date[5], date[6]), two(date[8], date[9]));
    (1..=12).contains(&month) && (1..=28).contains(&day)
}

//! Rows of the ordinary kind, many at a time: each has all of its cells, and quotation marks only
//! enclose whole ones. First all ends of cells in a stretch of text are found, then its cells are taken
//! column by column. What is not ordinary is left to the reader of single rows.

use super::MAX_CELL;
use super::signs::{WIDE, ends, sign, signs};
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
    /// The text of the cells, and behind it zeros that are written over by more.
    bytes: Vec<u8>,
    /// Bytes in use.
    used: usize,
    ends: Vec<u32>,
    pub seen: Seen,
}

impl Growing {
    pub(super) fn push(&mut self, cell: &str) {
        self.bytes.truncate(self.used);
        self.bytes.extend_from_slice(cell.as_bytes());
        self.used = self.bytes.len();
        self.ends.push(self.used as u32);
        self.seen.see(cell);
    }

    /// Bytes of all cells.
    pub(super) fn bytes(&self) -> usize {
        self.used
    }

    pub(super) fn reserve(&mut self, cells: usize, bytes: usize) {
        self.ends.reserve(cells);
        self.bytes.reserve(bytes);
    }

    /// The finished cells.
    pub(super) fn finish(mut self) -> (Cells, Seen) {
        self.bytes.truncate(self.used);
        // SAFETY: what is in use are whole cells of a text that is UTF-8: `push` is given them, and
        // `copy` takes what stands between two signs that are ASCII.
        let text = unsafe { String::from_utf8_unchecked(self.bytes) };
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
    /// Whether cells are enclosed in quotation marks.
    quotes: bool,
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
        if end > MAX_CELL || !how.delimiter.is_ascii() {
            return Found::Other(end);
        }
        self.quotes = how.quotes && memchr::memchr(b'"', window).is_some();
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
        let (cells, rows) = mark(window, how.delimiter, self.quotes, &mut self.marks);
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
            let empty = |b: u8| b == how.delimiter || b == b'"';
            let filled = row.first().is_some_and(|b| *b > b' ' && !empty(*b))
                || row.iter().any(|b| !b.is_ascii_whitespace() && !empty(*b))
                || (how.width == 1 && !row.strip_suffix(b"\r").unwrap_or(row).is_empty());
            filled && window.get(end as usize) == Some(&b'\n')
        })
    }

    /// Takes the rows that were found at `at`.
    pub(super) fn take(&self, text: &str, at: usize, columns: &mut [Growing]) {
        let width = columns.len();
        // With what follows, so that cells can be copied in pieces of one size.
        let text = text.as_bytes().get(at..).unwrap_or_default();
        for (i, column) in columns.iter_mut().enumerate() {
            let first = column.ends.len();
            let marks = self.marks.get(i..).unwrap_or_default();
            let how = (self.returns && i + 1 == width, self.quotes);
            copy(text, marks, width, self.rows, how, column);
            if !numbers(&column.bytes, &column.ends, first, &mut column.seen) {
                look(&column.bytes, &column.ends, first, &mut column.seen);
            }
        }
    }
}

vectorised! {
    /// Notes where cells end; gives how many do and how many of them end a row. Where quotation marks
    /// do anything but enclose whole cells, the one does not go with the other.
    fn mark(window: &[u8], delimiter: u8, quotes: bool, marks: &mut [u32]) -> (usize, usize) {
        const NEITHER: (usize, usize) = (1, 0);
        let Some((before, marks)) = marks.split_first_mut() else { return NEITHER };
        *before = u32::MAX;
        let (chunks, rest) = window.as_chunks::<WIDE>();
        let mut last = [0; WIDE];
        if let Some(start) = last.get_mut(..rest.len()) {
            start.copy_from_slice(rest);
        }
        let (mut cells, mut rows, mut base) = (0, 0, 0_u32);
        let mut enclosed = Enclosed::default();
        for chunk in chunks.iter().chain([&last]) {
            let (mut all, mut feeds) = ends(chunk, delimiter);
            if quotes {
                let inside = enclosed.within(chunk, all);
                all &= !inside;
                feeds &= !inside;
            }
            rows += feeds.count_ones() as usize;
            let n = all.count_ones() as usize;
            let Some(out) = marks.get_mut(cells..).and_then(|m| m.first_chunk_mut::<WIDE>()) else {
                return NEITHER;
            };
            // Without a branch per cell: eight at a time, what is too many is written over. Halves, for
            // the search for the next bit waits for that for the one before.
            let (low, high) = (all as u32, (all >> 32) as u32);
            let middle = low.count_ones() as usize;
            spread(low, base, out);
            if let Some(out) = out.get_mut(middle..) {
                spread(high, base + 32, out);
            }
            cells += n;
            base += WIDE as u32;
        }
        if enclosed.inside != 0 || enclosed.odd != 0 { NEITHER } else { (cells, rows) }
    }
}

/// Where a text stands inside quotation marks, from one chunk to the next.
#[derive(Default)]
struct Enclosed {
    /// All ones while inside.
    inside: u64,
    /// One where the chunk before ended within a cell.
    within: u64,
    /// One where the chunk before ended with a closing mark.
    closed: u64,
    /// Marks that do not stand at both ends of a cell.
    odd: u64,
}

impl Enclosed {
    /// The bytes that are inside; `ends` are delimiters and line feeds.
    #[inline(always)]
    fn within(&mut self, chunk: &[u8; WIDE], ends: u64) -> u64 {
        let (quotes, returns) = (sign(chunk, b'"'), sign(chunk, b'\r'));
        let mut inside = quotes;
        for shift in [1, 2, 4, 8, 16, 32] {
            inside ^= inside << shift;
        }
        inside ^= self.inside;
        let (ends, opening, closing) = (ends & !inside, quotes & inside, quotes & !inside);
        self.odd |= opening & (!ends << 1 | self.within);
        self.odd |= (closing << 1 | self.closed) & !(ends | returns);
        (self.within, self.closed) = (!ends >> 63, closing >> 63);
        self.inside = 0_u64.wrapping_sub(inside >> 63);
        inside
    }
}

/// Writes the places of the bits of `all`.
#[inline(always)]
fn spread(mut all: u32, base: u32, out: &mut [u32]) {
    let n = all.count_ones().div_ceil(8) as usize;
    for eight in out.as_chunks_mut::<8>().0.iter_mut().take(n) {
        for place in eight {
            *place = base + all.trailing_zeros();
            all &= all.wrapping_sub(1);
        }
    }
}

vectorised! {
    /// Copies the cells of one column: every `width`-th mark ends what stands before one of them, and
    /// the next mark ends the cell. `how`: whether lines end in a carriage return too, and whether
    /// cells are enclosed in quotation marks.
    fn copy(
        text: &[u8],
        marks: &[u32],
        width: usize,
        rows: usize,
        how: (bool, bool),
        column: &mut Growing,
    ) {
        let (returns, quotes) = how;
        let Growing { bytes, used, ends, .. } = column;
        let room = rows * SHORT + SHORT;
        if bytes.len() < *used + room {
            bytes.resize(*used + room, 0);
        }
        let first = ends.len();
        ends.resize(first + rows, 0);
        let (mut length, mut at) = (*used, 0);
        for stored in ends.iter_mut().skip(first) {
            let (Some(before), Some(end)) = (marks.get(at), marks.get(at + 1)) else { break };
            at += width;
            let (mut start, mut end) = (before.wrapping_add(1) as usize, *end as usize);
            if returns && end > start && text.get(end - 1) == Some(&b'\r') {
                end -= 1;
            }
            if quotes && end > start + 1 && text.get(start) == Some(&b'"') {
                (start, end) = (start + 1, end - 1);
            }
            let size = end - start;
            let from = text.get(start..).and_then(|t| t.first_chunk::<SHORT>());
            let to = bytes.get_mut(length..).and_then(|b| b.first_chunk_mut::<SHORT>());
            match (from, to) {
                (Some(from), Some(to)) if size <= SHORT => *to = *from,
                _ => {
                    let need = length + size + room;
                    if bytes.len() < need {
                        bytes.resize(need + WINDOW, 0);
                    }
                    let to = bytes.get_mut(length..length + size);
                    if let (Some(to), Some(from)) = (to, text.get(start..end)) {
                        to.copy_from_slice(from);
                    }
                }
            }
            length += size;
            *stored = length as u32;
        }
        *used = length;
    }
}

/// The first bytes of a key.
const FIRST: [u128; SHORT + 1] = {
    let mut masks = [u128::MAX; SHORT + 1];
    let mut i = 0;
    while i < SHORT {
        masks[i] = (1 << (8 * i)) - 1;
        i += 1;
    }
    masks
};

/// Digits, points and zeros of a short cell, and whether anything else is in it than digits with at
/// most one point among them and at most one minus sign in front; with less than 16 digits it is
/// whole where only zeros stand behind the point.
struct Number {
    points: u32,
    behind: u32,
    other: u32,
}

impl Number {
    #[inline(always)]
    fn of(cell: &Key, size: usize) -> Self {
        let signs = signs(cell);
        let all = 1_u32.wrapping_shl(size as u32).wrapping_sub(1);
        let (digits, points) = (signs.digits & all, signs.points & all);
        let other = (digits | points) ^ (all & !u32::from(cell[0] == b'-'));
        Self {
            points,
            behind: digits & !points.wrapping_sub(1) & !signs.zeros,
            other: other | (points & points.wrapping_sub(1)) | u32::from(digits == 0),
        }
    }
}

vectorised! {
    /// As [`look`], where all cells from the `first` on are short numbers; whether they are.
    fn numbers(bytes: &[u8], ends: &[u32], first: usize, seen: &mut Seen) -> bool {
        let (before, ends) = ends.split_at_checked(first).unwrap_or_default();
        if seen.counting || seen.plain * 2 < seen.rows {
            return false;
        }
        let (mut other, mut points, mut behind) = (0, 0, 0);
        let mut start = before.last().map_or(0, |e| *e as usize);
        for end in ends {
            let size = *end as usize - start;
            let Some(cell) = bytes.get(start..).and_then(|b| b.first_chunk::<SHORT>()) else {
                return false;
            };
            let number = Number::of(cell, size);
            other |= number.other | u32::from(size > SHORT);
            points |= number.points;
            behind |= number.behind;
            start = *end as usize;
        }
        if other != 0 {
            return false;
        }
        seen.rows += ends.len();
        seen.valid += ends.len();
        seen.plain += ends.len();
        seen.integers &= behind == 0;
        if points != 0 {
            seen.evidence.see_point();
        }
        true
    }
}

vectorised! {
    /// Looks at the cells from the `first` on.
    fn look(bytes: &[u8], ends: &[u32], first: usize, seen: &mut Seen) {
        let start = first.checked_sub(1).and_then(|b| ends.get(b)).map_or(0, |e| *e as usize);
        let ends = ends.get(first..).unwrap_or_default();
        let (mut start, mut counting) = (start, seen.counting);
        let (mut iso, mut words, mut others, mut points, mut behind) = (0, 0, 0, 0, 0);
        for end in ends {
            let (begin, size) = (start, *end as usize - start);
            start = *end as usize;
            let cell = bytes.get(begin..).and_then(|b| b.first_chunk::<SHORT>());
            if let (Some(cell), true, false) = (cell, size <= SHORT, counting) {
                let number = Number::of(cell, size);
                if number.other == 0 {
                    points |= number.points;
                    behind |= number.behind;
                    continue;
                }
                if size == 10 && is_date(cell) {
                    iso += 1;
                    continue;
                }
                if cell[0].is_ascii_alphabetic()
                    && seen.words.again(u128::from_le_bytes(*cell) & FIRST[size])
                {
                    words += 1;
                    continue;
                }
            }
            others += 1;
            let cell = bytes.get(begin..start).unwrap_or_default();
            seen.see(std::str::from_utf8(cell).unwrap_or(""));
            counting = seen.counting;
        }
        let plain = ends.len() - iso - words - others;
        seen.rows += ends.len() - others;
        seen.valid += ends.len() - others;
        seen.plain += plain;
        seen.iso += iso;
        seen.integers &= behind == 0;
        if points != 0 {
            seen.evidence.see_point();
        }
    }
}

/// Whether a cell is written as `2024-03-01` and has one of the days that every month has.
#[inline(always)]
fn is_date(cell: &Key) -> bool {
    let signs = signs(cell);
    let two = |a: u8, b: u8| u32::from(a.wrapping_sub(b'0')) * 10 + u32::from(b.wrapping_sub(b'0'));
    let (month, day) = (two(cell[5], cell[6]), two(cell[8], cell[9]));
    (signs.digits & 0x3ff, signs.minus & 0x3ff) == (0b11_0110_1111, 0b00_1001_0000)
        && (1..=12).contains(&month)
        && (1..=28).contains(&day)
}

//! What the cells of a column look like, told while they are read: parts of a table are looked at
//! side by side and added up in their order.

use super::NO_NUMBER;
use super::words::Words;
use crate::data::Column;
use crate::data::date::is_iso;
use crate::data::number::{NumberEvidence, finite};
use crate::data::table::{trim, trimmed_is_missing};

/// Cells seen in one pass.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    /// Cells in all.
    pub rows: usize,
    /// Cells that are not missing.
    pub valid: usize,
    /// Values that only say there is none.
    pub soft: usize,
    /// Values any program reads as numbers.
    pub plain: usize,
    /// Whether those are whole.
    pub integers: bool,
    /// Whether each number is one more than the one above, from the first row on.
    pub counting: bool,
    /// Number in the first row.
    pub first: Option<f64>,
    /// Dates such as `2024-03-01`.
    pub iso: usize,
    pub evidence: NumberEvidence,
    /// Spellings of missing cells and how often each occurs, in the order first seen.
    pub missing: Vec<(String, usize)>,
    /// Short values that are neither numbers nor such dates, and how often each occurs.
    pub words: Words,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            rows: 0,
            valid: 0,
            soft: 0,
            plain: 0,
            integers: true,
            counting: true,
            first: None,
            iso: 0,
            evidence: NumberEvidence::default(),
            missing: Vec::new(),
            words: Words::default(),
        }
    }
}

impl Seen {
    /// All cells of a column.
    pub(crate) fn of(column: &Column) -> Self {
        let mut seen = Self::default();
        column.cells().for_each(|cell| seen.see(cell));
        seen
    }

    /// Looks at the next cell.
    pub(crate) fn see(&mut self, cell: &str) {
        let cell = trim(cell);
        let row = self.rows;
        self.rows += 1;
        if trimmed_is_missing(cell) {
            self.counting = false;
            match self.missing.iter_mut().find(|(s, _)| s == cell) {
                Some((_, k)) => *k += 1,
                None => self.missing.push((cell.to_owned(), 1)),
            }
            return;
        }
        self.valid += 1;
        if let Some(x) = finite(cell) {
            self.plain += 1;
            // Without a call to `trunc`: whole where converting to an integer and back changes nothing.
            self.integers = self.integers && (x as i64 as f64 == x || x.abs() >= 2_f64.powi(53));
            if row == 0 {
                self.first = Some(x);
            }
            self.counting = self.counting && self.first.is_some_and(|f| x - f == row as f64);
            self.evidence.see_plain(cell);
            return;
        }
        self.counting = false;
        if is_iso(cell.as_bytes()) {
            self.iso += 1;
            return;
        }
        let digit = cell.starts_with(|c: char| c.is_ascii_digit());
        let soft = !digit && NO_NUMBER.iter().any(|w| cell.eq_ignore_ascii_case(w));
        self.soft += usize::from(soft);
        self.evidence.see(cell);
        self.words.see(cell, soft);
    }

    /// Adds the cells that come after these.
    pub(crate) fn add(&mut self, next: &Self) {
        if self.rows == 0 {
            self.clone_from(next);
            return;
        }
        let goes_on = match (self.first, next.first) {
            (Some(a), Some(b)) => b - a == self.rows as f64,
            _ => next.rows == 0,
        };
        self.counting = self.counting && next.counting && goes_on;
        self.rows += next.rows;
        self.valid += next.valid;
        self.soft += next.soft;
        self.plain += next.plain;
        self.integers &= next.integers;
        self.iso += next.iso;
        self.evidence.add(&next.evidence);
        for (spelling, n) in &next.missing {
            match self.missing.iter_mut().find(|(s, _)| s == spelling) {
                Some((_, k)) => *k += n,
                None => self.missing.push((spelling.clone(), *n)),
            }
        }
        self.words.add(&next.words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cells: &[String]) -> Seen {
        let mut seen = Seen::default();
        cells.iter().for_each(|c| seen.see(c));
        seen
    }

    proptest::proptest! {
        /// However a column is cut, its parts add up to what is seen of the whole.
        #[test]
        fn parts_add_up(
            cells in proptest::collection::vec(proptest::prop_oneof![
                "-?[0-9]{1,4}(\\.[0-9]{1,3})?",
                "(north|south|NA|\\?|| x |none|\\$5|5 kg|1,5|1,234|2024-02-2[89]|2023-02-29)",
            ], 0..40),
            cut in 0_usize..40,
        ) {
            let cut = cut.min(cells.len());
            let mut parts = of(&cells[..cut]);
            parts.add(&of(&cells[cut..]));
            proptest::prop_assert_eq!(parts, of(&cells));
        }
    }

    #[test]
    fn row_numbers_go_on_over_a_cut() {
        let numbers =
            |from: usize, to: usize| of(&(from..to).map(|i| i.to_string()).collect::<Vec<_>>());
        let mut all = numbers(1, 500);
        all.add(&numbers(500, 900));
        assert!(all.counting);
        let mut gap = numbers(1, 500);
        gap.add(&numbers(501, 900));
        assert!(!gap.counting);
    }
}

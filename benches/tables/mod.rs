//! Made-up tables, always the same.

use std::fmt::Write;

/// Rows of every table.
pub const ROWS: usize = 1_000_000;
/// Five categories.
pub const WORDS: [&str; 5] = ["north", "south", "east", "west", "centre"];

/// Random numbers (xorshift).
pub struct Random(u64);

impl Random {
    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// One of [`WORDS`].
    pub fn word(&mut self) -> &'static str {
        WORDS[self.below(5) as usize]
    }
}

/// A CSV of [`ROWS`] rows. `row` writes one, without the end of its line.
pub fn csv(header: &str, row: impl Fn(&mut Random, &mut String) -> std::fmt::Result) -> String {
    let mut text = String::with_capacity(ROWS * 80);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let _ = writeln!(text, "{header}");
    for _ in 0..ROWS {
        let _ = row(&mut random, &mut text);
        text.push('\n');
    }
    text
}

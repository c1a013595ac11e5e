//! Counts of the different short values of a column.

/// Longest value counted.
pub(crate) const SHORT: usize = 16;
/// Most different values counted; with more, none is.
const MOST: usize = 512;
/// Places of the table in which a value is looked up, a power of two.
const PLACES: usize = 2048;

/// A value, filled up with zeros, which no text holds.
pub(crate) type Key = [u8; SHORT];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word {
    key: u128,
    count: usize,
    /// Letters at both ends and not a way to say "none": nothing but its count has to be noted.
    plain: bool,
}

/// Different values and how often each occurs, in the order first seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Words {
    words: Vec<Word>,
    /// Place in `words` plus one, by hash; 0 is free. Empty until there is a word.
    places: Vec<u16>,
    full: bool,
    /// Values that were too long or too many.
    left_out: usize,
}

impl PartialEq for Words {
    fn eq(&self, other: &Self) -> bool {
        (&self.words, self.full, self.left_out) == (&other.words, other.full, other.left_out)
    }
}

impl Words {
    /// Counts a value. `soft`: it says that there is none.
    pub(crate) fn see(&mut self, cell: &str, soft: bool) {
        let letter = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphabetic);
        let plain = !soft && letter(cell.as_bytes().first()) && letter(cell.as_bytes().last());
        let mut key = [0; SHORT];
        match key.get_mut(..cell.len()) {
            // A zero would be taken for the end.
            Some(start) if !cell.contains('\0') => {
                start.copy_from_slice(cell.as_bytes());
                self.count(u128::from_le_bytes(key), 1, plain);
            }
            _ => self.left_out += 1,
        }
    }

    /// Counts a value once more if it was seen before and only its count has to be noted.
    #[inline]
    pub(crate) fn again(&mut self, key: u128) -> bool {
        let mut place = place(key);
        while let Some(&at) = self.places.get(place) {
            let Some(word) = self.words.get_mut(usize::from(at).wrapping_sub(1)) else {
                return false;
            };
            if word.key == key {
                word.count += usize::from(word.plain);
                return word.plain;
            }
            place = (place + 1) % PLACES;
        }
        false
    }

    fn count(&mut self, key: u128, n: usize, plain: bool) {
        if self.full {
            self.left_out += n;
            return;
        }
        if self.places.is_empty() {
            self.places.resize(PLACES, 0);
        }
        let (mut place, known) = (place(key), self.words.len());
        // There are always free places.
        while let Some(at) = self.places.get_mut(place) {
            match self.words.get_mut(usize::from(*at).wrapping_sub(1)) {
                Some(word) if word.key == key => {
                    word.count += n;
                    return;
                }
                Some(_) => place = (place + 1) % PLACES,
                None if known < MOST => {
                    self.words.push(Word { key, count: n, plain });
                    *at = known as u16 + 1;
                    return;
                }
                None => {
                    self.left_out += n + self.words.iter().map(|w| w.count).sum::<usize>();
                    (self.full, self.words, self.places) = (true, Vec::new(), Vec::new());
                    return;
                }
            }
        }
    }

    pub(super) fn add(&mut self, next: &Self) {
        self.left_out += next.left_out;
        if next.full && !self.full {
            self.left_out += self.words.iter().map(|w| w.count).sum::<usize>();
            (self.full, self.words, self.places) = (true, Vec::new(), Vec::new());
        }
        next.words.iter().for_each(|w| self.count(w.key, w.count, w.plain));
    }

    /// The different values with their counts, if all `valid` values of the column are among them.
    pub(super) fn all(&self, valid: usize) -> Option<Vec<(String, usize)>> {
        let counted: usize = self.words.iter().map(|w| w.count).sum();
        (counted == valid).then(|| {
            let text = |w: &Word| {
                let bytes = w.key.to_le_bytes();
                let end = bytes.iter().position(|b| *b == 0).unwrap_or(SHORT);
                String::from_utf8_lossy(&bytes[..end]).into_owned()
            };
            self.words.iter().map(|w| (text(w), w.count)).collect()
        })
    }
}

fn place(key: u128) -> usize {
    let mixed =
        (key as u64 ^ ((key >> 64) as u64).rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 53) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_until_there_are_too_many() {
        let mut words = Words::default();
        for i in 0..1000 {
            words.see(&format!("w{}x", i % 500), false);
        }
        let all = words.all(1000).unwrap();
        assert_eq!((all.len(), all[3].clone()), (500, ("w3x".to_owned(), 2)));
        assert!(words.all(1001).is_none());
        for i in 0..1000 {
            words.see(&format!("v{i}x"), false);
        }
        assert!(words.all(2000).is_none() && words.left_out == 2000);
    }

    #[test]
    fn long_values_are_left_out() {
        let mut words = Words::default();
        words.see("sixteen letters.", false);
        assert!(words.all(1).is_some());
        words.see("seventeen letters", false);
        assert!(words.all(2).is_none());
    }
}

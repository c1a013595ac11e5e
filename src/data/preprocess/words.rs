//! Words of a text column: which ones are kept, and how a text is weighed.

use std::collections::HashMap;

/// Words and pairs of words in the order of the text, lower case.
pub(crate) fn terms(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|w| w.chars().nth(1).is_some())
        .collect();
    let pairs = words.windows(2).map(|w| format!("{} {}", w[0], w[1]));
    words.iter().map(|w| (*w).to_owned()).chain(pairs).collect()
}

/// The commonest terms (by the number of texts that hold them) and their weights
/// idf = ln((1 + n) / (1 + texts with the term)) + 1, in alphabetical order.
pub(super) fn vocabulary<'a>(
    texts: impl Iterator<Item = &'a str>,
    most: usize,
) -> (Vec<String>, Vec<f32>) {
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut n = 0;
    for text in texts {
        n += 1;
        let mut once = terms(text);
        once.sort_unstable();
        once.dedup();
        for term in once {
            *counts.entry(term).or_insert(0) += 1;
        }
    }
    // A term of one or two texts teaches nothing about others.
    let least = if n >= 100 { 3 } else { 1 };
    let mut kept: Vec<(String, usize)> = counts.into_iter().filter(|(_, c)| *c >= least).collect();
    kept.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    kept.truncate(most);
    kept.sort();
    let idf = |c: usize| (((1 + n) as f64 / (1 + c) as f64).ln() + 1.0) as f32;
    kept.into_iter().map(|(term, c)| (term, idf(c))).unzip()
}

/// Adds how often every term of the index is in a text.
pub(super) fn count(text: &str, index: &HashMap<&str, usize>, out: &mut [f32]) {
    for term in terms(text) {
        if let Some(i) = index.get(term.as_str()) {
            out[*i] += 1.0;
        }
    }
}

/// Writes the weights of a text: (1 + ln count) · idf, brought to length √terms / 2 so that they
/// are of the size of standardised numbers.
pub(super) fn weigh(text: &str, index: &HashMap<&str, usize>, idf: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    count(text, index, out);
    let mut square = 0.0_f64;
    for (x, idf) in out.iter_mut().zip(idf) {
        if *x > 0.0 {
            *x = (1.0 + x.ln()) * idf;
            square += f64::from(*x) * f64::from(*x);
        }
    }
    if square > 0.0 {
        let length = (out.len() as f64).sqrt() / 2.0;
        let factor = (length / square.sqrt()) as f32;
        out.iter_mut().for_each(|x| *x *= factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_words_and_pairs() {
        assert_eq!(
            terms("It's GOOD, a très good-one"),
            ["it", "good", "très", "good", "one", "it good", "good très", "très good", "good one"]
        );
        assert!(terms(" . a !").is_empty());
    }

    #[test]
    fn common_terms_are_kept_with_their_weights() {
        let (words, idf) = vocabulary(["cat dog", "cat", "cat bird"].into_iter(), 2);
        assert_eq!(words, ["bird", "cat"]);
        assert_eq!(idf, [(4.0_f32 / 2.0).ln() + 1.0, 1.0]);
    }

    #[test]
    fn weights_have_one_length() {
        let words = ["bad", "good", "very"];
        let index = words.iter().enumerate().map(|(i, w)| (*w, i)).collect();
        let mut out = [9.0; 3];
        weigh("good very good", &index, &[1.0, 2.0, 3.0], &mut out);
        let (good, very) = ((1.0 + 2.0_f32.ln()) * 2.0, 3.0);
        let norm = (good * good + very * very).sqrt();
        let length = 3.0_f32.sqrt() / 2.0;
        for (x, want) in out.iter().zip([0.0, good / norm * length, very / norm * length]) {
            assert!((x - want).abs() < 1e-6, "{out:?}");
        }
        weigh("nothing known", &index, &[1.0, 2.0, 3.0], &mut out);
        assert_eq!(out, [0.0; 3]);
    }
}

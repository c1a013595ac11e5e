//! What a classifier confuses, and how well it does on each class.

use serde::{Deserialize, Serialize};

/// Counts of true against predicted classes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Class names in label order.
    pub classes: Vec<String>,
    /// `[true, predicted]`, row-major.
    pub counts: Vec<u64>,
}

/// How well one class does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassScores {
    /// Class name.
    pub class: String,
    /// Rows that truly are of it.
    pub rows: u64,
    /// Share of the rows called this class that truly are; 0 if none was called so.
    pub precision: f64,
    /// Share of the rows of this class that were called so; 0 if there are none.
    pub recall: f64,
    /// Harmonic mean of the two; 0 if both are.
    pub f1: f64,
}

impl Confusion {
    /// Counts pairs; pairs with a class past the names are left out.
    pub fn new(classes: &[String], truth: &[u32], predicted: &[u32]) -> Self {
        let n = classes.len();
        let mut counts = vec![0; n * n];
        for (&t, &p) in truth.iter().zip(predicted) {
            let (t, p) = (t as usize, p as usize);
            if t < n && p < n {
                counts[t * n + p] += 1;
            }
        }
        Self { classes: classes.to_vec(), counts }
    }

    /// Rows of true class `truth` that were called `predicted`.
    pub fn get(&self, truth: usize, predicted: usize) -> u64 {
        if predicted >= self.classes.len() {
            return 0;
        }
        self.counts.get(truth * self.classes.len() + predicted).copied().unwrap_or(0)
    }

    /// Precision, recall and F1 of every class.
    pub fn per_class(&self) -> Vec<ClassScores> {
        let n = self.classes.len();
        let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        self.classes
            .iter()
            .enumerate()
            .map(|(c, class)| {
                let hit = self.get(c, c);
                let rows = (0..n).map(|p| self.get(c, p)).sum();
                let called = (0..n).map(|t| self.get(t, c)).sum();
                let (precision, recall) = (share(hit, called), share(hit, rows));
                let sum = precision + recall;
                let f1 = if sum > 0.0 { 2.0 * precision * recall / sum } else { 0.0 };
                ClassScores { class: class.clone(), rows, precision, recall, f1 }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let names: Vec<String> = ["a", "b", "c"].map(String::from).to_vec();
        let c = Confusion::new(&names, &[0, 0, 0, 1, 1, 7], &[0, 0, 1, 1, 0, 0]);
        assert_eq!(c.counts, [2, 1, 0, 1, 1, 0, 0, 0, 0]);
        assert_eq!((c.get(0, 1), c.get(0, 3), c.get(9, 0)), (1, 0, 0));
        let s = c.per_class();
        assert_eq!((s[0].rows, s[0].precision, s[0].recall), (3, 2.0 / 3.0, 2.0 / 3.0));
        assert_eq!((s[1].precision, s[1].recall, s[1].f1), (0.5, 0.5, 0.5));
        assert_eq!((s[2].rows, s[2].precision, s[2].recall, s[2].f1), (0, 0.0, 0.0, 0.0));
    }
}

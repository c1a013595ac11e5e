//! Undo and redo by snapshots. Edits of the same thing in quick succession are one step.

use std::time::{Duration, Instant};

/// Most steps kept.
const KEPT: usize = 200;
/// Edits with the same key that follow within this time become one step.
const TOGETHER: Duration = Duration::from_millis(1200);

#[derive(Debug, Clone)]
struct Entry<T> {
    state: T,
    label: String,
}

/// Past and future states of `T`.
#[derive(Debug, Clone)]
pub struct Undo<T> {
    past: Vec<Entry<T>>,
    future: Vec<Entry<T>>,
    last: Option<(String, Instant)>,
}

impl<T> Default for Undo<T> {
    fn default() -> Self {
        Self { past: Vec::new(), future: Vec::new(), last: None }
    }
}

impl<T: Clone + PartialEq> Undo<T> {
    /// Remembers `before` as the state that undoing the edit `label` brings back.
    pub fn record(&mut self, before: &T, label: &str, now: Instant) {
        let together = self
            .last
            .as_ref()
            .is_some_and(|(key, at)| key == label && now.duration_since(*at) < TOGETHER);
        self.last = Some((label.to_owned(), now));
        self.future.clear();
        if together {
            return;
        }
        if self.past.len() >= KEPT {
            self.past.remove(0);
        }
        self.past.push(Entry { state: before.clone(), label: label.to_owned() });
    }

    /// Goes one step back from `current`.
    pub fn undo(&mut self, current: &T) -> Option<T> {
        self.last = None;
        let entry = self.past.pop()?;
        self.future.push(Entry { state: current.clone(), label: entry.label });
        Some(entry.state)
    }

    /// Goes one step forward from `current`.
    pub fn redo(&mut self, current: &T) -> Option<T> {
        self.last = None;
        let entry = self.future.pop()?;
        self.past.push(Entry { state: current.clone(), label: entry.label });
        Some(entry.state)
    }

    /// What undo would take back.
    pub fn undo_label(&self) -> Option<&str> {
        self.past.last().map(|e| e.label.as_str())
    }

    /// What redo would bring back.
    pub fn redo_label(&self) -> Option<&str> {
        self.future.last().map(|e| e.label.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_back_and_forth() {
        let mut u = Undo::default();
        let t = Instant::now();
        u.record(&1, "a", t);
        u.record(&2, "b", t);
        assert_eq!(u.undo_label(), Some("b"));
        assert_eq!(u.undo(&3), Some(2));
        assert_eq!(u.undo(&2), Some(1));
        assert_eq!(u.undo(&1), None);
        assert_eq!(u.redo(&1), Some(2));
        assert_eq!(u.redo(&2), Some(3));
        assert_eq!(u.redo(&3), None);
    }

    #[test]
    fn joins_quick_edits_of_one_thing() {
        let mut u = Undo::default();
        let t = Instant::now();
        u.record(&1, "rate", t);
        u.record(&2, "rate", t + Duration::from_millis(100));
        u.record(&3, "rate", t + Duration::from_secs(10));
        assert_eq!(u.undo(&4), Some(3));
        assert_eq!(u.undo(&3), Some(1));
        assert_eq!(u.undo(&1), None);
    }

    #[test]
    fn a_new_edit_drops_the_future() {
        let mut u = Undo::default();
        let t = Instant::now();
        u.record(&1, "a", t);
        assert_eq!(u.undo(&2), Some(1));
        u.record(&1, "c", t);
        assert_eq!(u.redo_label(), None);
    }
}

//! Notifications: what happened, kept until read.

use std::time::{Duration, Instant};

use crate::error::UserError;

/// Most notifications kept.
const KEPT: usize = 100;
/// How long a notification that needs no action stays on screen.
const SHOWN: Duration = Duration::from_secs(6);

/// How a notification is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Something worth knowing.
    Info,
    /// Something the user wanted was done.
    Success,
    /// Something went on, but not as asked.
    Warning,
    /// Something failed; stays on screen until dismissed.
    Error,
}

/// One notification.
#[derive(Debug, Clone)]
pub struct Notification {
    /// Unique within the process.
    pub id: u64,
    /// Tone.
    pub tone: Tone,
    /// One sentence.
    pub title: String,
    /// More, for the details and the copy button; may be empty.
    pub details: String,
    /// When it came.
    pub at: Instant,
    /// Whether it is on screen as a toast.
    pub on_screen: bool,
}

/// All notifications, newest last.
#[derive(Debug, Default)]
pub struct Notifications {
    items: Vec<Notification>,
    next: u64,
}

impl Notifications {
    /// Adds one to the list without a toast, for what the step in view shows anyway.
    pub fn note(&mut self, tone: Tone, title: impl Into<String>, details: impl Into<String>) {
        self.push(tone, title, details);
        if let Some(item) = self.items.last_mut() {
            item.on_screen = false;
        }
    }

    /// Adds one.
    pub fn push(&mut self, tone: Tone, title: impl Into<String>, details: impl Into<String>) {
        self.next += 1;
        if self.items.len() >= KEPT {
            self.items.remove(0);
        }
        self.items.push(Notification {
            id: self.next,
            tone,
            title: title.into(),
            details: details.into(),
            at: Instant::now(),
            on_screen: true,
        });
    }

    /// Adds an error as the user sees it.
    pub fn error(&mut self, error: &UserError) {
        let place = error.place.to_string();
        let details = [place.as_str(), error.advice.as_str()]
            .into_iter()
            .filter(|s| !s.is_empty())
            .collect::<Vec<_>>()
            .join("\n");
        self.push(Tone::Error, error.what.clone(), details);
    }

    /// All kept ones, oldest first.
    pub fn all(&self) -> &[Notification] {
        &self.items
    }

    /// Those on screen, oldest first.
    pub fn on_screen(&self) -> impl Iterator<Item = &Notification> {
        self.items.iter().filter(|n| n.on_screen)
    }

    /// Takes one off the screen; it stays in the list.
    pub fn dismiss(&mut self, id: u64) {
        if let Some(item) = self.items.iter_mut().find(|n| n.id == id) {
            item.on_screen = false;
        }
    }

    /// Takes those off the screen whose time is over and says when to look again.
    pub fn expire(&mut self, now: Instant) -> Option<Duration> {
        let mut next = None;
        for item in &mut self.items {
            if !item.on_screen || item.tone == Tone::Error {
                continue;
            }
            let age = now.saturating_duration_since(item.at);
            if age >= SHOWN {
                item.on_screen = false;
            } else {
                let left = SHOWN - age;
                next = Some(next.map_or(left, |n: Duration| n.min(left)));
            }
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_stay_and_others_expire() {
        let mut n = Notifications::default();
        n.push(Tone::Info, "saved", "");
        n.push(Tone::Error, "lost", "");
        assert!(n.expire(Instant::now()).is_some());
        assert_eq!(n.on_screen().count(), 2);
        n.expire(Instant::now() + SHOWN);
        let left: Vec<_> = n.on_screen().map(|n| n.title.as_str()).collect();
        assert_eq!(left, ["lost"]);
        let id = n.all()[1].id;
        n.dismiss(id);
        assert_eq!(n.on_screen().count(), 0);
        assert_eq!(n.all().len(), 2);
    }

    #[test]
    fn keeps_a_bounded_number() {
        let mut n = Notifications::default();
        for i in 0..1000 {
            n.push(Tone::Info, i.to_string(), "");
        }
        assert_eq!(n.all().len(), KEPT);
        assert_eq!(n.all()[KEPT - 1].title, "999");
    }
}

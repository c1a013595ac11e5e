//! The parts that screens are made of.

pub mod button;
pub mod card;
pub mod exponents;
pub mod field;
pub mod heat;
pub mod page;
pub mod plot;
pub mod rows;
pub mod save;
pub mod state;
pub mod table;
pub mod text;

pub use button::{Button, Kind};
pub use card::{badge, banner, card, clickable_card, stat};
pub use field::{choice_cards, labelled, problem, segmented};
pub use page::{page, section, split};
pub use state::{empty, failed, loading};
pub use text::{icon, muted, small, strong, title};

/// How something is meant; picks its colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Neither good nor bad.
    Neutral,
    /// In the colour of action.
    Accent,
    /// Good.
    Good,
    /// Needs a look.
    Warn,
    /// Wrong.
    Bad,
}

impl Mood {
    /// Text colour and background.
    pub fn colours(self, p: &super::theme::Palette) -> (egui::Color32, egui::Color32) {
        match self {
            Self::Neutral => (p.muted, p.sunken),
            Self::Accent => (p.accent, p.accent_soft),
            Self::Good => (p.success, p.success_soft),
            Self::Warn => (p.warning, p.warning_soft),
            Self::Bad => (p.danger, p.danger_soft),
        }
    }
}

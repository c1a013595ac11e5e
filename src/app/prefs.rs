//! Settings of the program and recent projects, kept between starts.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::tabs::OpenProject;
use crate::text::Language;

/// Most recent projects kept.
const RECENT: usize = 12;
/// Smallest zoom.
pub const ZOOM_MIN: f32 = 1.0;
/// Largest zoom.
pub const ZOOM_MAX: f32 = 2.0;

/// Light, dark or as the system says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThemeChoice {
    /// As the system says.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// The language of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LanguageChoice {
    /// As the system says.
    #[default]
    System,
    /// English.
    English,
    /// German.
    German,
}

impl LanguageChoice {
    /// All.
    pub const ALL: [Self; 3] = [Self::System, Self::English, Self::German];

    /// The language, unless the system is to say.
    pub fn language(self) -> Option<Language> {
        match self {
            Self::System => None,
            Self::English => Some(Language::English),
            Self::German => Some(Language::German),
        }
    }
}

/// A project opened before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    /// Project folder.
    pub folder: PathBuf,
    /// Name.
    pub name: String,
    /// When, RFC 3339.
    pub opened: String,
}

/// Size and place of the window, in points of the system.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WindowPlace {
    /// Width and height.
    pub size: [f32; 2],
    /// Left and top edge on the desktop, where the system tells.
    pub at: Option<[f32; 2]>,
    /// Whether it fills the screen.
    pub maximized: bool,
}

impl WindowPlace {
    /// Whether a window can be opened like this.
    pub fn is_sound(&self) -> bool {
        let fits = |v: &f32| v.is_finite() && (100.0..=20_000.0).contains(v);
        let near = |v: &f32| v.is_finite() && v.abs() <= 20_000.0;
        self.size.iter().all(fits) && self.at.is_none_or(|at| at.iter().all(near))
    }
}

/// What is kept between starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preferences {
    /// Light or dark.
    pub theme: ThemeChoice,
    /// The language of the window.
    pub language: LanguageChoice,
    /// 1 = 100 %.
    pub zoom: f32,
    /// Recent projects, newest first.
    pub recent: Vec<Recent>,
    /// What was open, in order.
    pub session: Vec<OpenProject>,
    /// Where the window was.
    pub window: Option<WindowPlace>,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            theme: ThemeChoice::System,
            language: LanguageChoice::System,
            zoom: 1.0,
            recent: Vec::new(),
            session: Vec::new(),
            window: None,
        }
    }
}

impl Preferences {
    /// Puts a project first in the list.
    pub fn remember(&mut self, folder: &Path, name: &str) {
        self.recent.retain(|r| r.folder != folder);
        let recent = Recent {
            folder: folder.to_owned(),
            name: name.to_owned(),
            opened: jiff::Timestamp::now().to_string(),
        };
        self.recent.insert(0, recent);
        self.recent.truncate(RECENT);
    }

    /// Takes a project off the list.
    pub fn forget(&mut self, folder: &Path) {
        self.recent.retain(|r| r.folder != folder);
    }
}

/// Where the program keeps its own settings.
#[derive(Debug, Clone)]
pub struct Store {
    /// Settings file.
    pub settings: PathBuf,
}

impl Store {
    /// The folder the system gives to this program, or a folder below the temporary one.
    pub fn system() -> Self {
        directories::ProjectDirs::from("", "", "fp8-studio").map_or_else(
            || Self::at(&std::env::temp_dir().join("fp8-studio")),
            |dirs| Self { settings: dirs.config_dir().join("settings.json") },
        )
    }

    /// In a folder.
    pub fn at(folder: &Path) -> Self {
        Self { settings: folder.join("settings.json") }
    }

    /// Reads the settings; defaults if there are none or they are damaged.
    pub fn load(&self) -> Preferences {
        let mut prefs: Preferences = std::fs::read(&self.settings)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let zoom = if prefs.zoom.is_finite() { prefs.zoom } else { 1.0 };
        prefs.zoom = zoom.clamp(ZOOM_MIN, ZOOM_MAX);
        prefs.window = prefs.window.filter(WindowPlace::is_sound);
        prefs
    }

    /// Writes the settings by way of a temporary file.
    pub fn save(&self, prefs: &Preferences) -> std::io::Result<()> {
        if let Some(folder) = self.settings.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let temporary = self.settings.with_extension("json.tmp");
        std::fs::write(&temporary, serde_json::to_vec_pretty(prefs)?)?;
        std::fs::rename(&temporary, &self.settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn come_back_as_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path());
        assert_eq!(store.load(), Preferences::default());
        let mut prefs = Preferences {
            theme: ThemeChoice::Dark,
            language: LanguageChoice::German,
            zoom: 1.5,
            ..Default::default()
        };
        prefs.remember(Path::new("/a"), "A");
        prefs.remember(Path::new("/b"), "B");
        prefs.remember(Path::new("/a"), "A");
        assert_eq!(prefs.recent.len(), 2);
        assert_eq!(prefs.recent[0].name, "A");
        store.save(&prefs).unwrap();
        assert_eq!(store.load(), prefs);
    }

    #[test]
    fn damaged_settings_are_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path());
        std::fs::write(&store.settings, "{\"zoom\": 900, \"theme\"").unwrap();
        assert_eq!(store.load(), Preferences::default());
        std::fs::write(&store.settings, "{\"zoom\": 900}").unwrap();
        assert!((store.load().zoom - ZOOM_MAX).abs() < 1e-6);
    }
}

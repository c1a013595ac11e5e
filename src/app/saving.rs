//! Saving what is shown to a file of the user's choice, and a project under another name.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::history::History;
use super::{AppState, Outcome, Pick, ProjectState, Services, Tone};
use crate::data;
use crate::error::{Place, UserError};
use crate::project::{FILE, Project};
use crate::text::set_language;

/// What is written to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Text, e.g. CSV.
    Text(String),
    /// A picture, written as PNG.
    Picture {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// `[height, width, 4]`: red, green, blue, opacity.
        rgba: Arc<[u8]>,
    },
}

impl Content {
    /// As the bytes of a file.
    ///
    /// # Errors
    /// A picture without pixels, or with more or fewer than its size says.
    pub fn bytes(&self) -> Result<Vec<u8>, UserError> {
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::Picture { width, height, rgba } => {
                let picture = image::RgbaImage::from_raw(*width, *height, rgba.to_vec());
                let picture = picture.filter(|p| p.width() > 0 && p.height() > 0);
                let mut bytes = Cursor::new(Vec::new());
                let written = picture
                    .map(|p| {
                        p.write_to(&mut bytes, image::ImageFormat::Png).map_err(|e| e.to_string())
                    })
                    .unwrap_or_else(|| Err("it has no pixels".to_owned()));
                match written {
                    Ok(()) => Ok(bytes.into_inner()),
                    Err(why) => Err(UserError::new(
                        format!("The picture cannot be made: {why}"),
                        "Make the window larger and try again.",
                    )),
                }
            }
        }
    }
}

impl AppState {
    /// Asks where to, and writes there.
    pub(super) fn save_file(&mut self, suggestion: String, content: Content) {
        let (dialogs, language) = (Arc::clone(&self.dialogs), self.language());
        self.tasks.spawn(
            "Saving a file",
            false,
            &self.wake,
            move |_| {
                set_language(language);
                match dialogs.pick(Pick::FileTo, &suggestion) {
                    None => Outcome::Wrote(Ok(None)),
                    Some(path) => Outcome::Wrote(
                        content.bytes().and_then(|bytes| write(&path, &bytes)).map(|()| Some(path)),
                    ),
                }
            },
            |e| Outcome::Wrote(Err(e)),
        );
    }

    pub(super) fn wrote(&mut self, result: Result<Option<PathBuf>, UserError>) {
        match result {
            Ok(None) => {}
            Ok(Some(path)) => {
                self.notifications.push(Tone::Success, "Saved", path.display().to_string());
            }
            Err(e) => self.notifications.error(&e),
        }
    }

    /// Goes on with the project in another folder; data and past runs stay where they are.
    pub(super) fn save_as(&mut self, folder: &Path) {
        if let Some(why) = self.close_blocked() {
            self.notifications.push(Tone::Warning, why, "");
            return;
        }
        let Some(project) = self.project() else { return };
        let new = moved(&project.project, folder);
        let (services, folder) = (Arc::clone(&self.services), folder.to_owned());
        self.tasks.spawn(
            "Saving the project under another name",
            false,
            &self.wake,
            move |_| {
                if folder.join(FILE).exists() {
                    return Outcome::SavedAs(Err(UserError {
                        what: "There is a project in this folder already".to_owned(),
                        place: Place { path: Some(folder), ..Place::default() },
                        advice: "Choose another folder, or make a new one.".to_owned(),
                    }));
                }
                let saved = services.save_project(&new);
                Outcome::SavedAs(saved.map(|()| Box::new(new)))
            },
            |e| Outcome::SavedAs(Err(e)),
        );
    }

    pub(super) fn saved_as(&mut self, result: Result<Box<Project>, UserError>) {
        match result {
            Ok(new) => {
                self.prefs.remember(&new.folder, &new.name);
                self.prefs_edited = Some(Instant::now());
                let path = new.folder.display().to_string();
                if let Some(project) = self.project_mut() {
                    // What was edited in the meantime is kept and saved to the new place.
                    let Project { folder, name, data, .. } = *new;
                    project.project = Project { folder, name, data, ..project.project.clone() };
                    let queue = std::mem::take(&mut project.history.queue);
                    project.history = History { queue, ..History::default() };
                }
                self.edited = Some(Instant::now());
                self.read_runs();
                self.notifications.push(Tone::Success, "The project is saved", path);
            }
            Err(e) => self.notifications.error(&e),
        }
    }
}

/// Writes a project and the runs that wait in it.
pub(super) fn save(services: &dyn Services, project: &ProjectState) -> Result<(), UserError> {
    services.save_project(&project.project)?;
    services.save_queue(&project.project.folder, &project.history.queue)
}

/// The project as it is in another folder.
fn moved(project: &Project, folder: &Path) -> Project {
    let name = data::name_of(folder);
    let path = project.dataset_path();
    Project {
        data: std::path::absolute(&path).unwrap_or(path),
        name: if name.trim().is_empty() { project.name.clone() } else { name },
        folder: folder.to_owned(),
        ..project.clone()
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), UserError> {
    std::fs::write(path, bytes).map_err(|e| UserError {
        what: format!("The file cannot be written: {e}"),
        place: Place { path: Some(path.to_owned()), ..Place::default() },
        advice: "Choose another folder, or free some disk space.".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_become_png_and_wrong_ones_errors() {
        let rgba: Arc<[u8]> = vec![255; 2 * 3 * 4].into();
        let right = Content::Picture { width: 2, height: 3, rgba: Arc::clone(&rgba) };
        let bytes = right.bytes().unwrap();
        let back = image::load_from_memory(&bytes).unwrap();
        assert_eq!((back.width(), back.height()), (2, 3));
        assert!(Content::Picture { width: 9, height: 9, rgba }.bytes().is_err());
        assert!(Content::Picture { width: 0, height: 0, rgba: Vec::new().into() }.bytes().is_err());
    }

    #[test]
    fn a_moved_project_keeps_its_data() {
        let project: Project =
            serde_json::from_str(r#"{"version":1,"name":"t","data":"t.csv"}"#).unwrap();
        let project = Project { folder: "/a/old".into(), ..project };
        let new = moved(&project, Path::new("/b/spring sale"));
        assert_eq!(new.dataset_path(), Path::new("/a/old/t.csv"));
        assert_eq!(
            (new.name.as_str(), new.folder.as_path()),
            ("spring sale", Path::new("/b/spring sale"))
        );
    }
}

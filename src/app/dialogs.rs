//! Questions for files and folders.

use std::path::{Path, PathBuf};

use super::Pick;
use crate::{data, tr};

/// Who answers where files are. A closure does in tests.
pub trait Dialogs: Send + Sync {
    /// Asks for a file or folder, in the language of this thread; blocks until that is answered, so it is called from background
    /// tasks. `suggestion` is the name of a file to write. `None` if the person chose none.
    fn pick(&self, what: Pick, suggestion: &str) -> Option<PathBuf>;
}

impl<F: Fn(Pick, &str) -> Option<PathBuf> + Send + Sync> Dialogs for F {
    fn pick(&self, what: Pick, suggestion: &str) -> Option<PathBuf> {
        self(what, suggestion)
    }
}

/// The dialogs of the desktop.
#[derive(Debug, Clone, Copy, Default)]
pub struct Desktop;

impl Dialogs for Desktop {
    fn pick(&self, what: Pick, suggestion: &str) -> Option<PathBuf> {
        let dialog = rfd::AsyncFileDialog::new();
        let extension = Path::new(suggestion).extension().and_then(|e| e.to_str());
        let extension = extension.unwrap_or("safetensors");
        let picked = match what {
            Pick::DataFile => pollster::block_on(
                dialog
                    .set_title(tr!("Open a table, a project or images"))
                    .add_filter(tr!("Data and projects"), data::import::ENDINGS)
                    .add_filter(tr!("All files"), &["*"])
                    .pick_file(),
            ),
            Pick::Folder => pollster::block_on(
                dialog.set_title(tr!("Open a project or a folder of images")).pick_folder(),
            ),
            Pick::ExportTo => pollster::block_on(
                dialog
                    .set_title(tr!("Save the model file"))
                    .add_filter(extension, &[extension])
                    .set_file_name(suggestion)
                    .save_file(),
            ),
            Pick::FileTo => pollster::block_on(
                dialog
                    .set_title(tr!("Save"))
                    .add_filter(extension, &[extension])
                    .set_file_name(suggestion)
                    .save_file(),
            ),
            Pick::SealTo => pollster::block_on(
                dialog
                    .set_title(tr!("Save the sealed project"))
                    .add_filter(tr!("Sealed"), &["age"])
                    .set_file_name(suggestion)
                    .save_file(),
            ),
            Pick::KeyFile => pollster::block_on(
                dialog.set_title(tr!("Open the file with the secret key")).pick_file(),
            ),
            Pick::SaveAs => pollster::block_on(
                dialog.set_title(tr!("Choose a new folder for the project")).pick_folder(),
            ),
            Pick::Picture => pollster::block_on(
                dialog
                    .set_title(tr!("Open a picture"))
                    .add_filter(tr!("Pictures"), &["png", "jpg", "jpeg", "webp", "bmp"])
                    .pick_file(),
            ),
            Pick::NewData => pollster::block_on(
                dialog
                    .set_title(tr!("Open new data to check"))
                    .add_filter(tr!("Data"), data::import::ENDINGS)
                    .add_filter(tr!("All files"), &["*"])
                    .pick_file(),
            ),
            Pick::NewFolder => {
                pollster::block_on(dialog.set_title(tr!("Open a folder of new data")).pick_folder())
            }
            Pick::ReportTo => pollster::block_on(
                dialog
                    .set_title(tr!("Save the report"))
                    .add_filter(tr!("Web page"), &["html"])
                    .set_file_name(format!("{suggestion}-report.html"))
                    .save_file(),
            ),
        };
        picked.map(|file| {
            let path = file.path().to_owned();
            match what {
                Pick::ExportTo | Pick::FileTo if path.extension().is_none() => {
                    path.with_extension(extension)
                }
                Pick::ReportTo if path.extension().is_none() => path.with_extension("html"),
                _ => path,
            }
        })
    }
}

//! Sealed projects, data and models: opened with a passphrase or key, and projects sealed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{AppState, Outcome, Pick, Retry, Tone, Workspace};
use crate::error::{ExportError, Place, UserError};
use crate::export::PendingFile;
use crate::export::sealed::{self, Lock, Opener, Secret, archive};
use crate::project::{FILE, Project};

/// What is tried on a sealed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unlock {
    /// A passphrase.
    Passphrase(Secret),
    /// A file with a secret key.
    KeyFile(PathBuf),
}

/// What a sealed file held, and where it lies now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsealed {
    /// A project or data, to be opened.
    Data(PathBuf),
    /// A model file.
    Model(PathBuf),
}

/// Room for a passphrase or, where it reads as one, a public key.
pub fn lock_of(secret: &Secret) -> Lock<'_> {
    if is_public_key(&secret.0) {
        Lock::Recipient(secret.0.trim())
    } else {
        Lock::passphrase(&secret.0)
    }
}

/// Whether a text is a public key rather than a passphrase.
pub fn is_public_key(text: &str) -> bool {
    let text = text.trim();
    text.len() == 62 && text.starts_with("age1") && text.chars().all(|c| c.is_ascii_alphanumeric())
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> UserError + '_ {
    |source| ExportError::Io { path: path.to_owned(), source }.into()
}

/// A name that nothing has yet.
fn free(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let ending = path.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
    let other = |n: usize| path.with_file_name(format!("{stem} {n}{ending}"));
    std::iter::once(path.to_owned())
        .chain((2..10_000).map(other))
        .find(|p| !p.exists())
        .unwrap_or_else(|| path.to_owned())
}

/// Opens a sealed file and puts what it holds beside it, under a name that is free.
///
/// # Errors
/// Another passphrase or key, a damaged file, no room.
pub fn unseal(path: &Path, with: &Unlock) -> Result<Unsealed, UserError> {
    let bytes = std::fs::read(path).map_err(io(path))?;
    let plain = match with {
        Unlock::Passphrase(Secret(text)) => sealed::open(&bytes, &Opener::Passphrase(text)),
        Unlock::KeyFile(file) => {
            let identity = std::fs::read_to_string(file).map_err(io(file))?;
            sealed::open(&bytes, &Opener::Identity(&identity))
        }
    };
    let plain = plain.map_err(|e| match e {
        sealed::SealError::Needs(what) => UserError {
            what: format!("This file is sealed with {what}"),
            place: Place { path: Some(path.to_owned()), ..Place::default() },
            advice: if what.contains("key") {
                "Choose the file with the secret key.".to_owned()
            } else {
                "Type the passphrase.".to_owned()
            },
        },
        e => e.about(path),
    })?;
    let to = path.with_extension("");
    let names = if archive::is_zip(&plain) { archive::names(&plain)? } else { Vec::new() };
    if names.iter().any(|n| n == FILE) {
        let folder = free(&to.with_extension(""));
        archive::unpack(&plain, &folder)?;
        return Ok(Unsealed::Data(folder));
    }
    let to = free(&to);
    PendingFile::write(&plain, &to)?.finish()?;
    let is_model = |name: &str| name.ends_with(".safetensors") || name.ends_with(".onnx");
    let model = is_model(&to.to_string_lossy()) || names.iter().any(|n| is_model(n));
    Ok(if model { Unsealed::Model(to) } else { Unsealed::Data(to) })
}

/// Seals a whole project with its data, runs and models.
///
/// # Errors
/// Something cannot be read or written; a public key that is none.
pub fn seal_project(project: &Project, secret: &Secret, to: &Path) -> Result<PathBuf, UserError> {
    let data = project.dataset_path();
    let inside = data.starts_with(&project.folder);
    let name = data.file_name().map_or_else(|| "data".to_owned(), |n| n.to_string_lossy().into());
    let sealed_project = if inside {
        project.clone()
    } else {
        Project { data: Path::new("data").join(&name), ..project.clone() }
    };
    let text = sealed_project.to_text()?;
    let mut more = vec![(FILE.to_owned(), archive::Part::Bytes(text.into_bytes()))];
    if !inside {
        more.push((format!("data/{name}"), archive::Part::Path(data)));
    }
    let plain = archive::pack_with(&project.folder, more)?;
    let to = match to.extension() {
        Some(ending) if ending == sealed::EXTENSION => to.to_owned(),
        _ => sealed::sealed_name(to),
    };
    let bytes = sealed::seal(&plain, &lock_of(secret)).map_err(|e| e.about(&to))?;
    PendingFile::write(&bytes, &to)?.finish()?;
    Ok(to)
}

impl AppState {
    /// What was to be opened turned out to be sealed.
    pub(super) fn found_sealed(&mut self, attempt: u64, path: PathBuf) {
        if matches!(&self.workspace, Workspace::Loading { attempt: a, .. } if *a == attempt) {
            self.restoring = self.restoring.filter(|tab| *tab != self.tab);
            self.workspace = Workspace::Sealed { path, opening: None, error: None };
        }
    }

    pub(super) fn unseal(&mut self, with: Unlock) {
        let attempt = self.attempt();
        let Workspace::Sealed { path, opening, error } = &mut self.workspace else { return };
        *opening = Some(attempt);
        *error = None;
        let path = path.clone();
        self.tasks.spawn(
            "Opening the sealed file",
            false,
            &self.wake,
            move |_| Outcome::Unsealed { attempt, result: unseal(&path, &with) },
            move |e| Outcome::Unsealed { attempt, result: Err(e) },
        );
    }

    pub(super) fn unsealed(&mut self, attempt: u64, result: Result<Unsealed, UserError>) {
        let Workspace::Sealed { opening, error, .. } = &mut self.workspace else { return };
        if *opening != Some(attempt) {
            return;
        }
        *opening = None;
        match result {
            Ok(Unsealed::Data(path)) => self.load(Retry::Path(path)),
            Ok(Unsealed::Model(path)) => {
                let text = format!(
                    "{}\nPredict with it: fp8-studio predict \"{}\" new_rows.csv",
                    path.display(),
                    path.display()
                );
                self.notifications.push(Tone::Success, "The model is opened and lies beside", text);
                let tab = self.tab;
                self.drop_tab(tab);
            }
            Err(e) => *error = Some(e),
        }
    }

    pub(super) fn set_seal_secret(&mut self, secret: Secret) {
        if let Some(project) = self.project_mut() {
            project.seal_secret = secret;
        }
    }

    pub(super) fn seal(&mut self, to: PathBuf) {
        self.save_project_now();
        let Some(project) = self.project() else { return };
        if project.seal_secret.0.is_empty() {
            self.notifications.push(
                Tone::Warning,
                "Type a passphrase first",
                "Without one there is nothing to seal the project with.",
            );
            return;
        }
        let (project, secret) = (project.project.clone(), project.seal_secret.clone());
        let services = Arc::clone(&self.services);
        self.tasks.spawn(
            "Sealing the project",
            false,
            &self.wake,
            move |_| {
                let saved = services.save_project(&project);
                let sealed = saved.and_then(|()| services.seal_project(&project, &secret, &to));
                Outcome::Wrote(sealed.map(Some))
            },
            |e| Outcome::Wrote(Err(e)),
        );
    }

    /// A file was chosen for what is sealed or opened.
    pub(super) fn picked_for_seal(&mut self, what: Pick, path: PathBuf) {
        match what {
            Pick::KeyFile => self.unseal(Unlock::KeyFile(path)),
            _ => self.seal(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Progress;

    #[test]
    fn a_sealed_project_opens_with_its_data_and_only_with_the_passphrase() {
        let dir = tempfile::tempdir().unwrap();
        let csv = dir.path().join("shop.csv");
        std::fs::write(&csv, "a,y\n1,x\n2,z\n3,x\n").unwrap();
        let folder = dir.path().join("own");
        let project = Project { folder: folder.clone(), ..Project::from_data(&csv).unwrap() };
        project.save().unwrap();
        std::fs::create_dir_all(folder.join("runs/1")).unwrap();
        std::fs::write(folder.join("runs/1/run.json"), "{}").unwrap();
        let secret = Secret("open sesame".into());
        let to = seal_project(&project, &secret, &dir.path().join("shop.zip")).unwrap();
        assert!(to.ends_with("shop.zip.age") && sealed::is_sealed_file(&to));
        let wrong = unseal(&to, &Unlock::Passphrase(Secret("open".into()))).unwrap_err();
        assert!(wrong.what.contains("does not open"), "{wrong}");
        // The data are in it; the file beside is not needed.
        std::fs::remove_file(&csv).unwrap();
        let Unsealed::Data(opened) = unseal(&to, &Unlock::Passphrase(secret.clone())).unwrap()
        else {
            panic!("a project was expected")
        };
        let again = Project::open(&opened).unwrap();
        assert_eq!(again.name, project.name);
        assert_eq!(again.open_data(&Progress::default()).unwrap().len(), 3);
        assert!(opened.join("runs/1/run.json").is_file());
        // A second time does not overwrite the first.
        let twice = unseal(&to, &Unlock::Passphrase(secret)).unwrap();
        assert_ne!(twice, Unsealed::Data(opened));
    }

    #[test]
    fn keys_are_told_from_passphrases() {
        let (identity, recipient) = sealed::new_identity().unwrap();
        assert!(is_public_key(&recipient) && !is_public_key("age1 of reason"));
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("m.safetensors.age");
        let bytes = sealed::seal(b"model", &lock_of(&Secret(recipient))).unwrap();
        std::fs::write(&model, bytes).unwrap();
        let key = dir.path().join("key.txt");
        std::fs::write(&key, format!("# mine\n{identity}\n")).unwrap();
        let by_word = unseal(&model, &Unlock::Passphrase(Secret("x".into()))).unwrap_err();
        assert!(by_word.advice.contains("secret key"), "{by_word}");
        let opened = unseal(&model, &Unlock::KeyFile(key)).unwrap();
        assert_eq!(opened, Unsealed::Model(dir.path().join("m.safetensors")));
    }
}

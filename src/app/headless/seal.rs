//! `fp8-studio seal` and `unseal`, and how sealed models are opened elsewhere.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::args::{OpenArgs, SealArgs, UnsealArgs};
use super::terminal;
use crate::error::{ExportError, Place, UserError};
use crate::export::PendingFile;
use crate::export::sealed::{self, Lock, Opener, archive};

/// Variable that a passphrase is taken from.
pub const VARIABLE: &str = "FP8_STUDIO_PASSPHRASE";

fn io(path: &Path) -> impl Fn(std::io::Error) -> UserError + '_ {
    |source| ExportError::Io { path: path.to_owned(), source }.into()
}

/// The passphrase from a file, the environment, or the keyboard; typed `twice` where a slip would
/// lock someone out.
pub(super) fn passphrase(file: Option<&Path>, twice: bool) -> Result<String, UserError> {
    let given = match file {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(io(path))?;
            Some(text.lines().next().unwrap_or_default().to_owned())
        }
        None => std::env::var(VARIABLE).ok(),
    };
    let advice = format!("Give --passphrase-file FILE or set {VARIABLE}.");
    let text = match given {
        Some(text) => text,
        None if std::io::stdin().is_terminal() => {
            let ask = |prompt: &str| {
                rpassword::prompt_password(prompt).map_err(|e| {
                    UserError::new(format!("The passphrase cannot be read: {e}"), advice.clone())
                })
            };
            let first = ask("Passphrase: ")?;
            if twice && ask("The same again: ")? != first {
                return Err(UserError::new("The two passphrases differ", "Try again."));
            }
            first
        }
        None => return Err(UserError::new("A passphrase is needed", advice)),
    };
    if text.is_empty() {
        return Err(UserError::new("The passphrase is empty", advice));
    }
    Ok(text)
}

/// What opens a sealed file, as the arguments say.
fn open_bytes(path: &Path, args: &OpenArgs) -> Result<Vec<u8>, UserError> {
    let bytes = std::fs::read(path).map_err(io(path))?;
    let opened = match &args.identity {
        Some(file) => {
            let identity = std::fs::read_to_string(file).map_err(io(file))?;
            sealed::open(&bytes, &Opener::Identity(&identity))
        }
        None => {
            let passphrase = passphrase(args.passphrase_file.as_deref(), false)?;
            sealed::open(&bytes, &Opener::Passphrase(&passphrase))
        }
    };
    opened.map_err(|e| e.about(path))
}

/// A model file that may be sealed: where it can be read. A sealed one is opened into a private
/// folder that is removed when the value is dropped.
pub(super) fn readable(
    path: &Path,
    args: &OpenArgs,
) -> Result<(PathBuf, Option<TempDir>), UserError> {
    if !is_sealed(path) {
        return Ok((path.to_owned(), None));
    }
    let plain = open_bytes(path, args)?;
    let folder = tempfile::tempdir()
        .map_err(|e| UserError::new(format!("There is no place for the opened model: {e}"), ""))?;
    let to = folder.path().join(path.file_stem().unwrap_or_else(|| "model".as_ref()));
    std::fs::write(&to, plain).map_err(io(&to))?;
    Ok((to, Some(folder)))
}

/// Whether a path is a sealed file.
pub(super) fn is_sealed(path: &Path) -> bool {
    path.is_file() && sealed::is_sealed_file(path)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), UserError> {
    PendingFile::write(bytes, path)?.finish()?;
    Ok(())
}

/// Seals a file or a folder.
pub(super) fn seal(args: &SealArgs) -> Result<(), UserError> {
    if let Some(file) = &args.new_key {
        return new_key(file);
    }
    let Some(source) = &args.source else {
        return Err(UserError::new(
            "Nothing to seal was named",
            "Name a file or a project folder.",
        ));
    };
    let (plain, default) = if source.is_dir() {
        let zip = source.with_extension("zip");
        (archive::pack(source)?, sealed::sealed_name(&zip))
    } else {
        (std::fs::read(source).map_err(io(source))?, sealed::sealed_name(source))
    };
    let to = args.output.clone().unwrap_or(default);
    let bytes = match &args.recipient {
        Some(recipient) => sealed::seal(&plain, &Lock::Recipient(recipient)),
        None => {
            let passphrase = passphrase(args.passphrase_file.as_deref(), true)?;
            sealed::seal(&plain, &Lock::passphrase(&passphrase))
        }
    };
    write(&to, &bytes.map_err(|e| e.about(source))?)?;
    terminal::out(&format!(
        "Wrote {}; {} is still there, unsealed.\n",
        to.display(),
        source.display()
    ))
}

fn new_key(file: &Path) -> Result<(), UserError> {
    if file.exists() {
        return Err(UserError {
            what: "A file of this name exists, and a key in it would be lost".to_owned(),
            place: Place { path: Some(file.to_owned()), ..Place::default() },
            advice: "Choose another name.".to_owned(),
        });
    }
    let (identity, recipient) = sealed::new_identity().map_err(|e| e.about(file))?;
    let text = format!("# public key: {recipient}\n{identity}\n");
    std::fs::write(file, text).map_err(io(file))?;
    #[cfg(unix)]
    std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .map_err(io(file))?;
    terminal::out(&format!("Wrote the secret key to {}\n{recipient}\n", file.display()))
}

/// Opens a sealed file.
pub(super) fn unseal(args: &UnsealArgs) -> Result<(), UserError> {
    let plain = open_bytes(&args.source, &args.open)?;
    let default = args.source.with_extension("");
    let folder = archive::is_zip(&plain) && default.extension().is_some_and(|e| e == "zip");
    let to = match (&args.output, folder) {
        (Some(to), _) => to.clone(),
        (None, true) => default.with_extension(""),
        (None, false) => default,
    };
    if to.exists() {
        return Err(UserError {
            what: "There is something of this name already".to_owned(),
            place: Place { path: Some(to), ..Place::default() },
            advice: "Choose another name with -o.".to_owned(),
        });
    }
    let as_file = to.extension().is_some_and(|e| e == "zip");
    if folder && !as_file {
        archive::unpack(&plain, &to)?;
    } else {
        write(&to, &plain)?;
    }
    terminal::out(&format!("Wrote {}\n", to.display()))
}

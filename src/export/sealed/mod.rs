//! Files sealed with a passphrase or a key, in version 1 of the format of age
//! (<https://age-encryption.org/v1>), so `age` and `rage` open what this program seals and the
//! other way round. Nothing here invents cryptography: scrypt, X25519, HKDF, HMAC and
//! ChaCha20-Poly1305 come from the RustCrypto and dalek projects; what is here is the layout.
//!
//! Limits: binary form only (no ASCII armour), one passphrase or key per file, content in memory.

pub mod archive;
mod bech32;
mod header;
mod payload;

use std::path::{Path, PathBuf};

pub use header::{Lock, Opener, new_identity};

use super::{ExportFormat, ExportOptions, ExportReport, PendingFile};
use crate::error::{ExportError, Place, UserError};
use crate::train::run_folder::RunFolder;

/// First line of every sealed file.
pub const MAGIC: &[u8] = b"age-encryption.org/v1\n";
/// Ending of the names of sealed files.
pub const EXTENSION: &str = "age";

/// Why something could not be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The passphrase or key is another.
    #[error("the passphrase or key does not open it")]
    Wrong,
    /// The file asks for the other kind.
    #[error("it is sealed with {0}, which was not given")]
    Needs(&'static str),
    /// Not what this program can read.
    #[error("{0}")]
    Format(String),
    /// The end is missing or something was changed.
    #[error("it was changed or cut off after it was sealed")]
    Damaged,
    /// The system has no random numbers or no memory.
    #[error("{0}")]
    System(String),
}

impl SealError {
    /// For a user, about a file.
    pub fn about(self, path: &Path) -> UserError {
        let advice = match self {
            Self::Wrong => "Check the passphrase (capitals, spaces), or ask who sealed it.",
            Self::Needs(_) => {
                "Give --passphrase-file FILE, --identity FILE, or set FP8_STUDIO_PASSPHRASE."
            }
            Self::Format(_) => "Only binary files of the age format, version 1, can be opened.",
            Self::Damaged => "Get the file again from whoever sent it.",
            Self::System(_) => "Close other programs and try again.",
        };
        UserError {
            what: format!("This sealed file cannot be opened: {self}"),
            place: Place { path: Some(path.to_owned()), ..Place::default() },
            advice: advice.to_owned(),
        }
    }
}

/// A passphrase that does not show itself in logs.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Whether these are the first bytes of a sealed file.
pub fn is_sealed(start: &[u8]) -> bool {
    start.starts_with(MAGIC)
}

/// Whether a file is sealed.
pub fn is_sealed_file(path: &Path) -> bool {
    use std::io::Read;
    let mut start = [0; MAGIC.len()];
    let read = std::fs::File::open(path).and_then(|mut f| f.read_exact(&mut start));
    read.is_ok() && is_sealed(&start)
}

/// Seals bytes.
///
/// # Errors
/// A recipient that is none; the system has no random numbers.
pub fn seal(plain: &[u8], lock: &Lock<'_>) -> Result<Vec<u8>, SealError> {
    let mut file_key = [0; 16];
    random(&mut file_key)?;
    let mut out = header::write(&file_key, lock)?;
    payload::write(&file_key, plain, &mut out)?;
    Ok(out)
}

/// Opens bytes.
///
/// # Errors
/// See [`SealError`].
pub fn open(sealed: &[u8], opener: &Opener<'_>) -> Result<Vec<u8>, SealError> {
    let (file_key, rest) = header::read(sealed, opener)?;
    payload::read(&file_key, rest)
}

fn random(bytes: &mut [u8]) -> Result<(), SealError> {
    getrandom::fill(bytes)
        .map_err(|e| SealError::System(format!("there are no random numbers: {e}")))
}

/// Exports a run as [`super::export_run_as`] does and seals the file, whose name gets the ending
/// `.age`. The unsealed file lies in a private folder meanwhile and is removed.
///
/// # Errors
/// As the export; a folder was to be written; see [`SealError`].
pub fn export(
    run: &RunFolder,
    path: &Path,
    format: ExportFormat,
    options: &ExportOptions<'_>,
    lock: &Lock<'_>,
) -> Result<ExportReport, UserError> {
    let folder = tempfile::tempdir()
        .map_err(|e| UserError::new(format!("There is no place for the unsealed file: {e}"), ""))?;
    let path = match path.extension() {
        Some(ending) if ending == EXTENSION => path.with_extension(""),
        _ => path.to_owned(),
    };
    let name = path.file_name().unwrap_or_else(|| "model".as_ref());
    let plain = folder.path().join(name);
    let mut report = super::export_run_as(run, &plain, format, options)?;
    if plain.is_dir() {
        return Err(UserError::new(
            "Only files are sealed, and this is a folder",
            "Give a name that ends in .zip.",
        ));
    }
    let to = sealed_name(&path);
    let io = |source| ExportError::Io { path: to.clone(), source };
    let bytes = seal(&std::fs::read(&plain).map_err(io)?, lock).map_err(|e| e.about(&to))?;
    report.bytes = PendingFile::write(&bytes, &to)?.finish()?;
    report.path = to;
    Ok(report)
}

/// The name of `path` once sealed.
pub fn sealed_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(EXTENSION);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64ct::{Base64, Encoding};

    fn quick(passphrase: &str) -> Lock<'_> {
        Lock::Passphrase { passphrase, log_work: 6 }
    }

    #[test]
    fn what_was_sealed_opens_again_and_only_with_its_passphrase() {
        for len in [0, 1, 65_535, 65_536, 65_537, 200_000] {
            let plain: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let sealed = seal(&plain, &quick("open sesame")).unwrap();
            assert!(is_sealed(&sealed));
            assert_eq!(open(&sealed, &Opener::Passphrase("open sesame")).unwrap(), plain);
            assert_eq!(open(&sealed, &Opener::Passphrase("open Sesame")), Err(SealError::Wrong));
            // Twice the same gives different bytes.
            assert_ne!(sealed, seal(&plain, &quick("open sesame")).unwrap());
        }
    }

    #[test]
    fn keys_open_what_was_sealed_for_them() {
        let (identity, recipient) = new_identity().unwrap();
        let sealed = seal(b"model", &Lock::Recipient(&recipient)).unwrap();
        assert_eq!(open(&sealed, &Opener::Identity(&identity)).unwrap(), b"model");
        let (other, _) = new_identity().unwrap();
        assert_eq!(open(&sealed, &Opener::Identity(&other)), Err(SealError::Wrong));
        assert_eq!(open(&sealed, &Opener::Passphrase("x")), Err(SealError::Needs("a key")));
        let by_word = seal(b"model", &quick("x")).unwrap();
        let needs = SealError::Needs("a passphrase");
        assert_eq!(open(&by_word, &Opener::Identity(&identity)), Err(needs));
        let broken = recipient.replace("age1", "age2");
        assert!(matches!(seal(b"", &Lock::Recipient(&broken)), Err(SealError::Format(_))));
    }

    #[test]
    fn every_change_is_noticed() {
        let plain = vec![7u8; 70_000];
        let sealed = seal(&plain, &quick("p")).unwrap();
        let opener = Opener::Passphrase("p");
        for at in (0..sealed.len()).step_by(997).chain([30, 60, 100, 130, sealed.len() - 1]) {
            let mut other = sealed.clone();
            other[at] ^= 1;
            assert!(open(&other, &opener).is_err(), "byte {at}");
        }
        for len in [0, 10, 22, 100, 200, 65_800, sealed.len() - 1] {
            assert!(open(&sealed[..len], &opener).is_err(), "cut at {len}");
        }
        let longer = [sealed.as_slice(), &[0]].concat();
        assert!(open(&longer, &opener).is_err());
    }

    #[test]
    fn what_rage_sealed_opens_here() {
        let text = include_str!("../../../tests/golden/privacy.json");
        let recorded: serde_json::Value = serde_json::from_str(text).unwrap();
        let of = |name: &str| recorded["sealed"][name].as_str().unwrap().to_owned();
        let by_word = Base64::decode_vec(&of("by_passphrase")).unwrap();
        let passphrase = of("passphrase");
        let plain = open(&by_word, &Opener::Passphrase(&passphrase)).unwrap();
        let want: Vec<u8> = (0..300).flat_map(|_| 0..=255u8).collect();
        assert_eq!(plain, want);
        assert_eq!(open(&by_word, &Opener::Passphrase("wrong")), Err(SealError::Wrong));
        let by_key = Base64::decode_vec(&of("by_key")).unwrap();
        assert_eq!(open(&by_key, &Opener::Identity(&of("identity"))).unwrap(), b"for a key");
    }
}

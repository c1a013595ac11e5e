//! The header: the key of the file, wrapped for whoever may open it.

use base64ct::{Base64Unpadded, Encoding};
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};

use super::{MAGIC, SealError, bech32, random};

const PASSPHRASE_LABEL: &[u8] = b"age-encryption.org/v1/scrypt";
const KEY_LABEL: &[u8] = b"age-encryption.org/v1/X25519";
const RECIPIENT: &str = "age";
const IDENTITY: &str = "age-secret-key-";
/// Work of new passphrase files: 2¹⁷ blocks, 128 MiB, well below a second.
pub(super) const LOG_WORK: u8 = 17;
/// Most work done to open one: 4 GiB.
const MOST_LOG_WORK: u8 = 22;

/// What seals.
#[derive(Debug, Clone, Copy)]
pub enum Lock<'a> {
    /// A passphrase.
    Passphrase {
        /// The passphrase.
        passphrase: &'a str,
        /// Base-2 logarithm of scrypt's cost.
        log_work: u8,
    },
    /// A public key (`age1…`).
    Recipient(&'a str),
}

impl<'a> Lock<'a> {
    /// A passphrase with the usual work.
    pub fn passphrase(passphrase: &'a str) -> Self {
        Self::Passphrase { passphrase, log_work: LOG_WORK }
    }
}

/// What opens.
#[derive(Clone, Copy)]
pub enum Opener<'a> {
    /// A passphrase.
    Passphrase(&'a str),
    /// A secret key (`AGE-SECRET-KEY-1…`), or the text of a file with one on a line of its own.
    Identity(&'a str),
}

fn format(what: &str) -> SealError {
    SealError::Format(what.to_owned())
}

fn wrap_cipher(key: &[u8; 32]) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(&(*key).into())
}

fn by_passphrase(passphrase: &str, salt: &[u8], log_work: u8) -> Result<[u8; 32], SealError> {
    let params =
        scrypt::Params::new(log_work, 8, 1).map_err(|_| format("its work is too large"))?;
    let salt = [PASSPHRASE_LABEL, salt].concat();
    let mut key = [0; 32];
    scrypt::scrypt(passphrase.as_bytes(), &salt, &params, &mut key)
        .map_err(|e| SealError::System(e.to_string()))?;
    Ok(key)
}

fn derive(secret: &[u8], salt: Option<&[u8]>, info: &[u8]) -> Result<[u8; 32], SealError> {
    let mut key = [0; 32];
    let done = Hkdf::<Sha256>::new(salt, secret).expand(info, &mut key);
    done.map_err(|e| SealError::System(e.to_string()))?;
    Ok(key)
}

/// Key of the payload that follows the 16 bytes of `nonce`.
pub(super) fn payload_key(file_key: &[u8; 16], nonce: &[u8]) -> Result<[u8; 32], SealError> {
    derive(file_key, Some(nonce), b"payload")
}

fn mac(file_key: &[u8; 16], header: &[u8]) -> Result<Hmac<Sha256>, SealError> {
    let key = derive(file_key, None, b"header")?;
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key)
        .map_err(|e| SealError::System(e.to_string()))?;
    mac.update(header);
    Ok(mac)
}

fn shared(secret: &StaticSecret, public: &PublicKey, salt: &[u8]) -> Result<[u8; 32], SealError> {
    let shared = secret.diffie_hellman(public);
    if !shared.was_contributory() {
        return Err(format("its key is no key"));
    }
    derive(shared.as_bytes(), Some(salt), KEY_LABEL)
}

fn key_of(prefix: &str, text: &str) -> Option<[u8; 32]> {
    bech32::decode(prefix, text.trim())?.try_into().ok()
}

fn secret_of(bytes: [u8; 32]) -> StaticSecret {
    StaticSecret::from(bytes)
}

/// A new secret key and the public one that belongs to it.
///
/// # Errors
/// The system has no random numbers.
pub fn new_identity() -> Result<(String, String), SealError> {
    let mut bytes = [0; 32];
    random(&mut bytes)?;
    let public = PublicKey::from(&secret_of(bytes));
    let identity = bech32::encode(IDENTITY, &bytes).to_uppercase();
    Ok((identity, bech32::encode(RECIPIENT, public.as_bytes())))
}

/// The header of a new file, up to where its payload begins.
pub(super) fn write(file_key: &[u8; 16], lock: &Lock<'_>) -> Result<Vec<u8>, SealError> {
    let (stanza, key) = match lock {
        Lock::Passphrase { passphrase, log_work } => {
            let mut salt = [0; 16];
            random(&mut salt)?;
            let stanza = std::format!("scrypt {} {log_work}", Base64Unpadded::encode_string(&salt));
            (stanza, by_passphrase(passphrase, &salt, *log_work)?)
        }
        Lock::Recipient(text) => {
            let public = key_of(RECIPIENT, text)
                .ok_or_else(|| format("the recipient is no public key of age (age1…)"))?;
            let mut bytes = [0; 32];
            random(&mut bytes)?;
            let ephemeral = secret_of(bytes);
            let share = PublicKey::from(&ephemeral);
            let salt = [share.as_bytes().as_slice(), &public].concat();
            let key = shared(&ephemeral, &PublicKey::from(public), &salt)?;
            let share = Base64Unpadded::encode_string(share.as_bytes());
            (std::format!("X25519 {share}"), key)
        }
    };
    let body = wrap_cipher(&key)
        .encrypt(&Nonce::default(), file_key.as_slice())
        .map_err(|_| SealError::System("the key cannot be wrapped".to_owned()))?;
    let mut out = MAGIC.to_vec();
    let body = Base64Unpadded::encode_string(&body);
    out.extend_from_slice(std::format!("-> {stanza}\n{body}\n---").as_bytes());
    let code = mac(file_key, &out)?.finalize().into_bytes();
    let code = Base64Unpadded::encode_string(&code);
    out.extend_from_slice(std::format!(" {code}\n").as_bytes());
    Ok(out)
}

/// One way to get at the key of a file.
struct Stanza<'a> {
    arguments: Vec<&'a str>,
    body: Vec<u8>,
}

/// Reads a line of a header and what follows.
fn line(bytes: &[u8]) -> Result<(&str, &[u8]), SealError> {
    let end = bytes.iter().take(4096).position(|b| *b == b'\n').ok_or(SealError::Damaged)?;
    let (text, rest) = bytes.split_at(end);
    let text = std::str::from_utf8(text).map_err(|_| SealError::Damaged)?;
    Ok((text, rest.get(1..).unwrap_or_default()))
}

fn decoded(text: &str) -> Result<Vec<u8>, SealError> {
    Base64Unpadded::decode_vec(text).map_err(|_| SealError::Damaged)
}

/// The key of a sealed file and its payload.
pub(super) fn read<'a>(
    sealed: &'a [u8],
    opener: &Opener<'_>,
) -> Result<([u8; 16], &'a [u8]), SealError> {
    let Some(mut rest) = sealed.strip_prefix(MAGIC) else {
        return Err(format("it is not a file of age"));
    };
    let mut stanzas = Vec::new();
    let code = loop {
        let before = rest;
        let (text, after) = line(rest)?;
        if let Some(code) = text.strip_prefix("--- ") {
            rest = after;
            let signed = sealed.len() - before.len() + 3;
            break (signed, decoded(code)?);
        }
        let arguments: Vec<&str> =
            text.strip_prefix("-> ").ok_or(SealError::Damaged)?.split(' ').collect();
        rest = after;
        let mut body = String::new();
        // Lines of 64 letters, and a shorter one at the end.
        loop {
            let (text, after) = line(rest)?;
            rest = after;
            body += text;
            if text.len() < 64 {
                break;
            }
        }
        stanzas.push(Stanza { arguments, body: decoded(&body)? });
        if stanzas.len() > 64 {
            return Err(SealError::Damaged);
        }
    };
    let key = unwrap(&stanzas, opener)?;
    let signed = sealed.get(..code.0).unwrap_or_default();
    mac(&key, signed)?.verify_slice(&code.1).map_err(|_| SealError::Damaged)?;
    Ok((key, rest))
}

fn unwrap(stanzas: &[Stanza<'_>], opener: &Opener<'_>) -> Result<[u8; 16], SealError> {
    let open = |key: &[u8; 32], body: &[u8]| -> Option<[u8; 16]> {
        wrap_cipher(key).decrypt(&Nonce::default(), body).ok()?.try_into().ok()
    };
    let kind = |name: &str| stanzas.iter().any(|s| s.arguments.first() == Some(&name));
    match opener {
        Opener::Passphrase(passphrase) => {
            let [Stanza { arguments, body }] = stanzas else {
                return Err(if kind("X25519") {
                    SealError::Needs("a key")
                } else {
                    format("it is sealed in more than one way")
                });
            };
            let ["scrypt", salt, work] = arguments[..] else {
                return Err(SealError::Needs("a key"));
            };
            let work: u8 = work.parse().map_err(|_| SealError::Damaged)?;
            if !(1..=MOST_LOG_WORK).contains(&work) {
                return Err(format("its work is too large"));
            }
            let salt = decoded(salt)?;
            if salt.len() != 16 {
                return Err(SealError::Damaged);
            }
            open(&by_passphrase(passphrase, &salt, work)?, body).ok_or(SealError::Wrong)
        }
        Opener::Identity(text) => {
            if !kind("X25519") {
                return Err(if kind("scrypt") {
                    SealError::Needs("a passphrase")
                } else {
                    format("it is sealed with a kind of key that is not known here")
                });
            }
            let mut secrets = text.lines().filter_map(|l| key_of(IDENTITY, l)).peekable();
            if secrets.peek().is_none() {
                return Err(format("there is no secret key of age (AGE-SECRET-KEY-1…)"));
            }
            for secret in secrets.map(secret_of) {
                let public = PublicKey::from(&secret);
                for stanza in stanzas {
                    let ["X25519", share] = stanza.arguments[..] else { continue };
                    let Ok(share) = <[u8; 32]>::try_from(decoded(share)?) else { continue };
                    let salt = [share.as_slice(), public.as_bytes()].concat();
                    let key = shared(&secret, &PublicKey::from(share), &salt)?;
                    if let Some(found) = open(&key, &stanza.body) {
                        return Ok(found);
                    }
                }
            }
            Err(SealError::Wrong)
        }
    }
}

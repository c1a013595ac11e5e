//! The content: chunks of 64 KiB, each with a code of its own (STREAM, Hoang et al. 2015).

use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};

use super::header::payload_key;
use super::{SealError, random};

const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
const NONCE: usize = 16;

/// Number of the chunk, and whether it is the last.
fn nonce(number: u64, last: bool) -> Nonce {
    let mut bytes = [0; 12];
    for (to, from) in bytes.iter_mut().skip(3).zip(number.to_be_bytes()) {
        *to = from;
    }
    if let Some(end) = bytes.last_mut() {
        *end = u8::from(last);
    }
    bytes.into()
}

pub(super) fn write(file_key: &[u8; 16], plain: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
    let mut salt = [0; NONCE];
    random(&mut salt)?;
    out.extend_from_slice(&salt);
    let cipher = ChaCha20Poly1305::new(&payload_key(file_key, &salt)?.into());
    let count = plain.len().div_ceil(CHUNK).max(1);
    for number in 0..count {
        let chunk = plain.get(number * CHUNK..).unwrap_or_default();
        let chunk = chunk.get(..CHUNK).unwrap_or(chunk);
        let sealed = cipher
            .encrypt(&nonce(number as u64, number + 1 == count), chunk)
            .map_err(|_| SealError::System("a part cannot be sealed".to_owned()))?;
        out.extend_from_slice(&sealed);
    }
    Ok(())
}

pub(super) fn read(file_key: &[u8; 16], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    let (salt, sealed) = sealed.split_at_checked(NONCE).ok_or(SealError::Damaged)?;
    let cipher = ChaCha20Poly1305::new(&payload_key(file_key, salt)?.into());
    let count = sealed.len().div_ceil(CHUNK + TAG).max(1);
    let mut plain = Vec::with_capacity(sealed.len());
    for number in 0..count {
        let chunk = sealed.get(number * (CHUNK + TAG)..).unwrap_or_default();
        let chunk = chunk.get(..CHUNK + TAG).unwrap_or(chunk);
        let last = number + 1 == count;
        let part =
            cipher.decrypt(&nonce(number as u64, last), chunk).map_err(|_| SealError::Damaged)?;
        if part.is_empty() && number > 0 {
            return Err(SealError::Damaged);
        }
        plain.extend_from_slice(&part);
    }
    Ok(plain)
}

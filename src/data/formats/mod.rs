//! One file per file format, and what they share: bytes, content sniffing, text encoding.

pub(crate) mod bytes;
pub(crate) mod csv;
pub(crate) mod dialect;
pub(crate) mod idx;
pub(crate) mod image_folder;
pub(crate) mod magic;
pub(crate) mod text;

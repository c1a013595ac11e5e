//! One file per file format, and what they share: bytes, content sniffing, text encoding.

pub(crate) mod archive;
pub(crate) mod arrow;
pub(crate) mod build;
pub(crate) mod bytes;
pub(crate) mod csv;
pub(crate) mod dialect;
pub(crate) mod idx;
pub(crate) mod image_folder;
pub(crate) mod image_list;
mod image_names;
pub(crate) mod json;
pub(crate) mod magic;
pub(crate) mod spreadsheet;
pub(crate) mod sqlite;
pub(crate) mod text;
pub(crate) mod text_folder;

//! Opens a model file of any format that this program writes.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::bundle::tree::Tree;
use super::bundle::{CHECKSUMS, MODEL, SIGNATURE};
use super::{ModelFile, onnx, safetensors};
use crate::error::ExportError;

/// Largest ONNX file that is read, the limit of its format.
const MAX_ONNX: u64 = 2 << 30;

/// A model that was read.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Description and weights.
    pub file: ModelFile,
    /// The graph, where the file has one.
    pub graph: Option<onnx::Graph>,
    /// Fingerprint of the key that signed it, of a bundle. Whose key that is cannot be known.
    pub signer: Option<String>,
}

/// Whether a path looks like a model that this program wrote: its first bytes, or for a bundle the
/// files inside.
pub fn is_model(path: &Path) -> bool {
    if path.is_dir() {
        return path.join(SIGNATURE).is_file() && path.join(MODEL).is_file();
    }
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(16).read_to_end(&mut head));
    let safetensors = head.get(8) == Some(&b'{') && head.iter().take(8).any(|b| *b == 0);
    let bundle = || {
        let zip = File::open(path).ok().and_then(|file| zip::ZipArchive::new(file).ok());
        zip.is_some_and(|mut zip| zip.by_name(MODEL).is_ok())
    };
    read.is_ok()
        && (safetensors || onnx::looks_like(&head) || (head.starts_with(b"PK") && bundle()))
}

/// Reads a model file or bundle and checks that it is complete and consistent; of a bundle every
/// file must be as it was signed.
pub fn open(path: &Path) -> Result<Opened, ExportError> {
    let io = |source| ExportError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(io)?;
    let meta = file.metadata().map_err(io)?;
    if meta.is_dir() && [SIGNATURE, CHECKSUMS].iter().any(|name| path.join(name).is_file()) {
        return bundle(path);
    }
    if meta.is_file() {
        let mut head = Vec::new();
        Read::by_ref(&mut file).take(16).read_to_end(&mut head).map_err(io)?;
        if head.starts_with(b"PK\x03\x04") {
            return bundle(path);
        }
        // A safetensors file may begin with the same bytes, but it has a bracket at the ninth. One
        // cut short before that says what is wrong with it by its length.
        if onnx::looks_like(&head) && head.get(8).is_some_and(|b| *b != b'{') {
            let bad = |what: String| ExportError::Format { path: path.to_owned(), what };
            if meta.len() > MAX_ONNX {
                return Err(bad("it is larger than an ONNX file can be".to_owned()));
            }
            file.read_to_end(&mut head).map_err(io)?;
            let (file, graph) = onnx::read(&head).map_err(bad)?;
            return Ok(Opened { file, graph: Some(graph), signer: None });
        }
    }
    Ok(Opened { file: safetensors::read(path)?, graph: None, signer: None })
}

fn bundle(path: &Path) -> Result<Opened, ExportError> {
    let tree = Tree::read(path)?;
    let bad = |what: String| ExportError::Format { path: path.to_owned(), what };
    let model = tree.get(MODEL).ok_or_else(|| bad(format!("it holds no {MODEL}")))?;
    let signer = tree.verify(path)?;
    let file = safetensors::read_bytes(model).map_err(|e| bad(format!("{MODEL}: {e}")))?;
    Ok(Opened { file, graph: None, signer: Some(signer) })
}

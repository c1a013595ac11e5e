//! Model files in the safetensors format.
//!
//! An FP8 matrix `x` is stored as `x` (F8_E4M3 or F8_E5M2) and `x_scale` (F32, powers of two) with
//! value = decode(code) × scale. The scales have shape `[1]`, or `[down, across]` where the recipe
//! scales blocks: value (r, c) belongs to scale (r / block rows, c / block columns). Filters of a
//! convolution, `[out, height, width, in]`, count as a matrix with one row per output. Everything else
//! is F32. `__metadata__` has one entry, `fp8_studio`: the JSON of [`ModelInfo`].

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use ::safetensors::tensor::{Dtype, SafeTensorError, TensorView};
use ::safetensors::{SafeTensors, serialize};

use super::model_file::{Expected, ModelFile, ModelInfo, StoredTensor, StoredValues, VERSION};
use crate::error::ExportError;
use crate::fp8::{Format, Scale};

/// The key of our entry in `__metadata__`.
pub const METADATA_KEY: &str = "fp8_studio";
/// Header bytes that are read at most; the format's own limit.
const MAX_HEADER: u64 = 100_000_000;

fn dtype(format: Format) -> Dtype {
    match format {
        Format::E4M3 => Dtype::F8_E4M3,
        Format::E5M2 => Dtype::F8_E5M2,
    }
}

fn scale_name(name: &str) -> String {
    format!("{name}_scale")
}

/// The bytes of a model file.
pub fn to_bytes(file: &ModelFile) -> Result<Vec<u8>, SafeTensorError> {
    let mut data: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    for t in &file.tensors {
        match &t.values {
            StoredValues::F32(values) => {
                data.push((t.name.clone(), Dtype::F32, t.shape.clone(), f32_bytes(values)));
            }
            StoredValues::Fp8 { format, blocks, scales, codes } => {
                data.push((t.name.clone(), dtype(*format), t.shape.clone(), codes.clone()));
                let scales: Vec<f32> = scales.iter().map(|s| s.value()).collect();
                let name = scale_name(&t.name);
                data.push((name, Dtype::F32, blocks.scale_shape(), f32_bytes(&scales)));
            }
        }
    }
    let views = data
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?))
        })
        .collect::<Result<Vec<_>, SafeTensorError>>()?;
    let info = serde_json::to_string(&file.info).map_err(SafeTensorError::JsonError)?;
    serialize(views, Some(HashMap::from([(METADATA_KEY.to_owned(), info)])))
}

fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Reads a model file and checks that it is complete and consistent.
pub fn read(path: &Path) -> Result<ModelFile, ExportError> {
    let io = |source| ExportError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(io)?;
    let meta = file.metadata().map_err(io)?;
    let bad = |what: String| ExportError::Format { path: path.to_owned(), what };
    if meta.is_dir() {
        return Err(bad("it is a folder; give the .safetensors file".to_owned()));
    }
    // The header first, so that a large file of another kind is not read for nothing.
    let mut length = [0; 8];
    if meta.len() < 8 {
        return Err(bad(format!("it has only {} bytes", meta.len())));
    }
    file.read_exact(&mut length).map_err(io)?;
    let header = u64::from_le_bytes(length);
    if header > MAX_HEADER {
        return Err(bad("it is not in the safetensors format".to_owned()));
    }
    let mut bytes = length.to_vec();
    let got = Read::by_ref(&mut file).take(header).read_to_end(&mut bytes).map_err(io)?;
    let cut = (got as u64) < header;
    if !(bytes[8..].starts_with(b"{") || (cut && got == 0)) {
        return Err(bad("it is not in the safetensors format".to_owned()));
    }
    if cut {
        return Err(bad("it is cut short in its header".to_owned()));
    }
    let info = info(&bytes[8..]).map_err(bad)?;
    file.read_to_end(&mut bytes).map_err(io)?;
    from_bytes(info, &bytes).map_err(bad)
}

/// Our entry of the header.
fn info(header: &[u8]) -> Result<ModelInfo, String> {
    let header: serde_json::Value = serde_json::from_slice(header)
        .map_err(|e| format!("its header is not valid JSON ({e})"))?;
    let ours = header.get("__metadata__").and_then(|m| m.get(METADATA_KEY));
    let ours = ours.and_then(|o| o.as_str()).ok_or(
        "it is a safetensors file of another program; only files exported here hold what is \
         needed to predict",
    )?;
    let ours: serde_json::Value =
        serde_json::from_str(ours).map_err(|e| format!("its description is damaged ({e})"))?;
    match ours.get("version").and_then(serde_json::Value::as_u64) {
        Some(v) if v > u64::from(VERSION) => {
            return Err(format!(
                "it was made by a newer version of this program (file version {v}, this program \
                 reads up to {VERSION}); update this program"
            ));
        }
        Some(_) => {}
        None => return Err("its description has no version".to_owned()),
    }
    let info: ModelInfo =
        serde_json::from_value(ours).map_err(|e| format!("its description is damaged ({e})"))?;
    info.check()?;
    Ok(info)
}

fn from_bytes(info: ModelInfo, bytes: &[u8]) -> Result<ModelFile, String> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| match e {
        SafeTensorError::MetadataIncompleteBuffer => {
            "its length does not match its header; it was cut short or added to".to_owned()
        }
        e => format!("its header is damaged ({e})"),
    })?;
    let expected = info.expected()?;
    let wanted = expected.len() + expected.iter().filter(|e| e.fp8.is_some()).count();
    if tensors.len() != wanted {
        return Err(format!("it has {} tensors where {wanted} belong", tensors.len()));
    }
    let tensors = expected.iter().map(|e| tensor(&tensors, e)).collect::<Result<_, _>>()?;
    Ok(ModelFile { info, tensors })
}

fn tensor(tensors: &SafeTensors<'_>, expected: &Expected) -> Result<StoredTensor, String> {
    let name = &expected.name;
    let values = match expected.fp8 {
        None => StoredValues::F32(f32_values(tensors, name, &expected.shape)?),
        Some((format, blocks)) => {
            let codes = view(tensors, name, dtype(format), &expected.shape)?.to_vec();
            if let Some(i) = codes.iter().position(|&c| !format.decode(c).is_finite()) {
                return Err(format!("{name} has no number at position {i}"));
            }
            let name = scale_name(name);
            let scales = f32_values(tensors, &name, &blocks.scale_shape())?
                .into_iter()
                .map(|v| power_of_two(v).ok_or_else(|| format!("{name} is not a power of two")))
                .collect::<Result<_, _>>()?;
            StoredValues::Fp8 { format, blocks, scales, codes }
        }
    };
    Ok(StoredTensor { name: name.clone(), shape: expected.shape.clone(), values })
}

fn view<'a>(
    tensors: &SafeTensors<'a>,
    name: &str,
    dtype: Dtype,
    shape: &[usize],
) -> Result<&'a [u8], String> {
    let view = tensors.tensor(name).map_err(|_| format!("tensor {name} is missing"))?;
    if view.dtype() != dtype || view.shape() != shape {
        return Err(format!(
            "tensor {name} is {} {:?} where {dtype} {shape:?} belongs",
            view.dtype(),
            view.shape()
        ));
    }
    Ok(view.data())
}

fn f32_values(tensors: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
    let bytes = view(tensors, name, Dtype::F32, shape)?;
    let (words, _) = bytes.as_chunks::<4>();
    let values: Vec<f32> = words.iter().map(|&w| f32::from_le_bytes(w)).collect();
    match values.iter().position(|v| !v.is_finite()) {
        Some(i) => Err(format!("{name} has no number at position {i}")),
        None => Ok(values),
    }
}

/// The scale that has this value.
fn power_of_two(value: f32) -> Option<Scale> {
    let scale = Scale { exponent: (value.to_bits() >> 23) as i32 - 127 };
    let in_range = (-126..=126).contains(&scale.exponent);
    (in_range && scale.value() == value).then_some(scale)
}

/// A model file under a temporary name, beside where it will be.
#[derive(Debug)]
pub struct PendingFile {
    file: tempfile::NamedTempFile,
    path: PathBuf,
    bytes: u64,
}

impl PendingFile {
    /// Writes the bytes; nothing is at `path` yet. A folder that is missing is made.
    pub fn write(model: &ModelFile, path: &Path) -> Result<Self, ExportError> {
        let io = |source| ExportError::Io { path: path.to_owned(), source };
        let bytes = to_bytes(model).map_err(|e| ExportError::Format {
            path: path.to_owned(),
            what: format!("it cannot be written ({e})"),
        })?;
        let folder = match path.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(folder).map_err(io)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".model-").suffix(".safetensors");
        // Readable as any new file is; temporary files are private by default.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(folder).map_err(io)?;
        file.write_all(&bytes).and_then(|()| file.as_file().sync_all()).map_err(io)?;
        Ok(Self { file, path: path.to_owned(), bytes: bytes.len() as u64 })
    }

    /// Where the bytes are for now.
    pub fn temporary(&self) -> &Path {
        self.file.path()
    }

    /// Gives the file its name, replacing one that was there, and returns its size. A pending file
    /// that is dropped leaves nothing behind.
    pub fn finish(self) -> Result<u64, ExportError> {
        let Self { file, path, bytes } = self;
        match file.persist(&path) {
            Ok(_) => Ok(bytes),
            Err(e) => Err(ExportError::Io { path, source: e.error }),
        }
    }
}

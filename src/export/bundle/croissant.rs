//! What the model was trained on, in the Croissant 1.0 vocabulary
//! (<https://docs.mlcommons.org/croissant/docs/croissant-spec.html>).

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::data::{ColumnType, Dataset, Samples};
use crate::error::ExportError;
use crate::export::ModelInfo;

/// Files that are listed one by one; more are described together.
const MOST_FILES: usize = 40;

fn context() -> Value {
    json!({
        "@language": "en",
        "@vocab": "https://schema.org/",
        "citeAs": "cr:citeAs",
        "column": "cr:column",
        "conformsTo": "dct:conformsTo",
        "cr": "http://mlcommons.org/croissant/",
        "data": { "@id": "cr:data", "@type": "@json" },
        "dataType": { "@id": "cr:dataType", "@type": "@vocab" },
        "dct": "http://purl.org/dc/terms/",
        "equivalentProperty": "cr:equivalentProperty",
        "examples": { "@id": "cr:examples", "@type": "@json" },
        "extract": "cr:extract",
        "field": "cr:field",
        "fileObject": "cr:fileObject",
        "fileProperty": "cr:fileProperty",
        "fileSet": "cr:fileSet",
        "format": "cr:format",
        "includes": "cr:includes",
        "isLiveDataset": "cr:isLiveDataset",
        "jsonPath": "cr:jsonPath",
        "key": "cr:key",
        "md5": "cr:md5",
        "parentField": "cr:parentField",
        "path": "cr:path",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "recordSet": "cr:recordSet",
        "references": "cr:references",
        "regex": "cr:regex",
        "repeated": "cr:repeated",
        "replace": "cr:replace",
        "samplingRate": "cr:samplingRate",
        "sc": "https://schema.org/",
        "separator": "cr:separator",
        "source": "cr:source",
        "subField": "cr:subField",
        "transform": "cr:transform"
    })
}

fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|e| e.to_str()).unwrap_or("").to_lowercase().as_str() {
        "csv" => "text/csv",
        "tsv" => "text/tab-separated-values",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gz" => "application/gzip",
        "txt" => "text/plain",
        _ => "application/octet-stream",
    }
}

fn digest(path: &Path) -> Result<String, ExportError> {
    let io = |source| ExportError::Io { path: path.to_owned(), source };
    let mut hash = Sha256::new();
    let mut file = std::fs::File::open(path).map_err(io)?;
    let mut buffer = vec![0_u8; 1 << 16];
    loop {
        match std::io::Read::read(&mut file, &mut buffer).map_err(io)? {
            0 => break,
            n => hash.update(buffer.get(..n).unwrap_or(&[])),
        }
    }
    Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

/// All files under a path, sorted; the run folders of a project are no data.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let mut list = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if name.starts_with('.') || ["runs", "project.toml"].contains(&name.as_ref()) {
                continue;
            }
            if path.is_dir() { folders.push(path) } else { list.push(path) }
        }
    }
    list.sort();
    list
}

/// `croissant.json`.
pub(super) fn describe(
    info: &ModelInfo,
    data: Option<&Dataset>,
    path: Option<&Path>,
    licence: Option<&str>,
) -> Result<Value, ExportError> {
    let all = path.map(files).unwrap_or_default();
    let name = |file: &Path| {
        let inside =
            path.and_then(|p| file.strip_prefix(p).ok()).filter(|p| !p.as_os_str().is_empty());
        match inside {
            Some(inside) => inside.to_string_lossy().replace('\\', "/"),
            None => file.file_name().map_or(String::new(), |n| n.to_string_lossy().into()),
        }
    };
    let mut distribution = Vec::new();
    let mut source = None;
    if all.len() <= MOST_FILES {
        for file in &all {
            let id = name(file);
            let bytes = std::fs::metadata(file).map_or(0, |m| m.len());
            distribution.push(json!({
                "@type": "cr:FileObject",
                "@id": id,
                "name": id,
                "contentUrl": id,
                "contentSize": format!("{bytes} B"),
                "encodingFormat": media_type(file),
                "sha256": digest(file)?,
            }));
        }
        source = all.first().filter(|_| all.len() == 1).map(|f| name(f));
    } else {
        // One digest over the names and contents of all files.
        let mut hash = Sha256::new();
        for file in &all {
            hash.update(format!("{}  {}\n", digest(file)?, name(file)).as_bytes());
        }
        let hash: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
        distribution.push(json!({
            "@type": "cr:FileObject",
            "@id": "files",
            "name": "files",
            "description": format!(
                "A folder of {} files. The SHA-256 is that of a list of all their SHA-256 and names, \
                 as sha256sum prints it, sorted by name.", all.len()),
            "contentUrl": ".",
            "encodingFormat": "inode/directory",
            "sha256": hash,
        }));
    }
    let mut about = json!({
        "@context": context(),
        "@type": "sc:Dataset",
        "name": info.dataset,
        "description": format!(
            "The data that the model \"{}\" was trained on{}. They are not part of this bundle.",
            info.project,
            data.map_or(String::new(), |d| format!(": {} rows", d.len()))),
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "datePublished": info.trained.get(..10).unwrap_or(""),
        "version": "1.0.0",
        "url": "about:blank",
        "citeAs": format!("{}, not published", info.dataset),
        "license": licence.unwrap_or("not known"),
        "distribution": distribution,
    });
    let table = matches!(data.map(|d| &d.samples), Some(Samples::Table(_)));
    if let (true, Some(source), Some(map)) = (table, source, about.as_object_mut()) {
        let columns = info.schema.columns.iter().filter(|(_, k)| *k != ColumnType::Ignore);
        let fields: Vec<Value> = columns
            .map(|(column, kind)| {
                let kind = match kind {
                    ColumnType::Number => "sc:Float",
                    ColumnType::Boolean | ColumnType::Category | ColumnType::Text => "sc:Text",
                    ColumnType::Date => "sc:Date",
                    ColumnType::Ignore => "sc:Text",
                };
                json!({
                    "@type": "cr:Field",
                    "@id": format!("rows/{column}"),
                    "name": column,
                    "dataType": kind,
                    "source": {
                        "fileObject": { "@id": source },
                        "extract": { "column": column },
                    },
                })
            })
            .collect();
        let rows = json!([{
            "@type": "cr:RecordSet",
            "@id": "rows",
            "name": "rows",
            "field": fields,
        }]);
        map.insert("recordSet".to_owned(), rows);
    }
    Ok(about)
}

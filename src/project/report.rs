//! Documents about a project's data: a data-quality report as one HTML page, and a Croissant
//! description (MLCommons Croissant 1.0, JSON-LD).

use std::fmt::Write;

use serde_json::{Value, json};

use super::provenance::Version;
use super::{Gate, Project, audit_log};
use crate::data::{Column, ColumnType, Dataset, Samples, Schema};
use crate::error::ProjectError;
use crate::quality::{Finding, Report, Severity};
use crate::text::{figure, language, of, shown};
use crate::{key, tr};

/// Text for HTML.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#1d2330;background:#fff}\
h1{font-size:1.7em}h2{font-size:1.25em;margin-top:2em;border-bottom:1px solid #ccd}\
table{border-collapse:collapse;width:100%;margin:.6em 0}td,th{border:1px solid #ccd;padding:.25em .5em;text-align:left;vertical-align:top}\
th{background:#f2f4f8}.high{border-left:5px solid #b3261e}.warning{border-left:5px solid #a86400}.info{border-left:5px solid #5a6478}\
.finding{padding:.1em 1em;margin:1em 0;background:#fafbfd}small{color:#4c566a}code{word-break:break-all}\
@media print{body{margin:0;max-width:none}.finding,tr{break-inside:avoid}}";

/// The data-quality report: one page without scripts or outside resources, made to be printed, in
/// the language of this thread.
pub fn html(project: &Project, dataset: &Dataset, schema: &Schema, report: &Report) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = body(&mut page, project, dataset, schema, report);
    page
}

fn row(out: &mut String, cells: &[(&str, String)]) -> std::fmt::Result {
    for (name, value) in cells {
        writeln!(out, "<tr><th scope=row>{}</th><td>{}</td></tr>", plain(name), plain(value))?;
    }
    Ok(())
}

fn body(
    out: &mut String,
    project: &Project,
    dataset: &Dataset,
    schema: &Schema,
    report: &Report,
) -> std::fmt::Result {
    let title = plain(&tr!("Data quality of {name}", name = project.name));
    writeln!(
        out,
        "<!DOCTYPE html>\n<html lang={}><head><meta charset=utf-8><title>{title}</title>\
         <meta name=viewport content=\"width=device-width\"><style>{STYLE}</style></head><body>",
        language().code()
    )?;
    writeln!(out, "<h1>{title}</h1><p>{}</p>", plain(&shown(&report.summary)))?;
    writeln!(
        out,
        "<p><b>{}</b> <small>{}</small></p>",
        tr!("Score {score} of 100.", score = report.score),
        tr!(
            "100: nothing found. A serious finding costs at least 40 points, a check with warnings 7 %."
        )
    )?;
    writeln!(out, "<h2>{}</h2><table>", tr!("Data"))?;
    match Version::of(project, dataset) {
        Ok(v) => row(
            out,
            &[
                (tr!("Source"), v.source),
                ("SHA-256", v.sha256),
                (tr!("Size"), tr!("{n} bytes", n = v.bytes)),
                (tr!("Read"), v.imported),
                (
                    tr!("Licence"),
                    if v.licence.is_empty() { tr!("not given").to_owned() } else { v.licence },
                ),
                (tr!("Version"), v.id),
            ],
        )?,
        Err(e) => row(out, &[(tr!("Source"), shown(&e.to_string()).into_owned())])?,
    }
    row(
        out,
        &[
            (tr!("Rows"), dataset.len().to_string()),
            (tr!("Predicted"), format!("{} ({})", schema.target, task(schema))),
            (tr!("Program"), concat!("FP8 Studio ", env!("CARGO_PKG_VERSION")).to_owned()),
        ],
    )?;
    writeln!(out, "</table>")?;
    let own = |text: &str| shown(text).into_owned();
    list(out, tr!("How it was read"), dataset.notes.iter().map(|n| own(&n.text)))?;
    list(out, tr!("Changes made"), project.steps.iter().map(|s| own(&s.label())))?;
    writeln!(out, "<h2>{}</h2>", tr!("Findings"))?;
    if report.findings.is_empty() {
        writeln!(out, "<p>{}</p>", tr!("None of the checks found a problem."))?;
    }
    for f in &report.findings {
        finding(out, project, dataset, f)?;
    }
    let gate = Gate::of(report, &project.accepted);
    let state = match (gate.open.len(), gate.accepted.len()) {
        (0, 0) => tr!("Nothing stands in the way of training.").to_owned(),
        (0, n) => tr!("{n} serious findings were accepted; nothing else stands in the way.", n),
        (n, _) => tr!("Training waits for {n} serious findings.", n),
    };
    writeln!(out, "<p><b>{}</b></p>", plain(&state))?;
    if let Samples::Table(table) = &dataset.samples {
        writeln!(
            out,
            "<h2>{}</h2><table><tr><th>{}<th>{}<th>{}<th>{}<th>{}</tr>",
            tr!("Columns"),
            tr!("Name"),
            tr!("Type"),
            tr!("Missing"),
            tr!("Different"),
            tr!("Range or commonest")
        )?;
        for column in table.columns() {
            let kind = schema.columns.iter().find(|(n, _)| n == column.name());
            columns_row(out, column, kind.map_or(column.kind, |k| k.1))?;
        }
        writeln!(out, "</table>")?;
    }
    writeln!(
        out,
        "<h2>{}</h2><table><tr><th>{}<th>{}<th>{}</tr>",
        tr!("Checks"),
        tr!("Check"),
        tr!("Result"),
        tr!("Definition, threshold, source")
    )?;
    for c in &report.checks {
        let result = match (&c.skipped, c.findings) {
            (Some(why), _) => tr!("not run: {why}", why = own(why)),
            (None, 0) => tr!("nothing found").to_owned(),
            (None, n) => tr!("{n} found", n),
        };
        writeln!(
            out,
            "<tr><td>{}<td>{}<td><small>{}</small></tr>",
            plain(&own(c.title)),
            plain(&result),
            plain(&own(c.definition))
        )?;
    }
    writeln!(out, "</table>")?;
    let log = audit_log(&project.folder);
    let entries: Vec<String> = match log {
        Ok(log) => log.iter().map(|e| format!("{}: {} {}", e.time, e.action, e.details)).collect(),
        Err(e) => vec![tr!("The audit log cannot be trusted: {e}", e = own(&e.to_string()))],
    };
    list(out, tr!("Decisions"), entries.into_iter())?;
    writeln!(out, "</body></html>")
}

fn list(out: &mut String, title: &str, items: impl Iterator<Item = String>) -> std::fmt::Result {
    let items: Vec<String> = items.collect();
    if items.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h2>{}</h2><ul>", plain(title))?;
    for item in items {
        writeln!(out, "<li>{}</li>", plain(&item))?;
    }
    writeln!(out, "</ul>")
}

fn task(schema: &Schema) -> String {
    match schema.task.classes() {
        [] => tr!("a number").to_owned(),
        classes => tr!("{n} classes", n = classes.len()),
    }
}

fn finding(
    out: &mut String,
    project: &Project,
    dataset: &Dataset,
    f: &Finding,
) -> std::fmt::Result {
    let (class, word) = match f.severity {
        Severity::High => ("high", tr!("serious")),
        Severity::Warning => ("warning", tr!("warning")),
        Severity::Info => ("info", tr!("note")),
    };
    writeln!(
        out,
        "<div class=\"finding {class}\"><p><b>{}</b> ({word}, {})</p>",
        plain(&shown(&f.title)),
        f.check
    )?;
    writeln!(out, "<p>{}</p>", plain(&shown(&f.advice)))?;
    if let (Some(value), Some(threshold)) = (f.value, f.threshold) {
        let measured = tr!("Measured {value:.4}, threshold {threshold:.4}.", value, threshold);
        writeln!(out, "<p><small>{measured}</small></p>")?;
    }
    if !f.rows.is_empty() {
        let rows = f.rows.iter().take(20).map(|&row| match &dataset.samples {
            Samples::Table(t) => t.line(row).to_string(),
            Samples::Images(i) => i
                .paths
                .get(row)
                .and_then(|p| p.file_name())
                .map_or_else(|| (row + 1).to_string(), |n| n.to_string_lossy().into_owned()),
        });
        let rows = rows.collect::<Vec<_>>().join(", ");
        let text = tr!("Rows ({n} in all): {rows}", n = f.row_count, rows);
        writeln!(out, "<p><small>{}</small></p>", plain(&text))?;
    }
    if let Some(a) = project.accepted.iter().find(|a| a.covers(f)) {
        let text = tr!("Accepted at {time}: {reason}", time = a.time, reason = a.reason);
        writeln!(out, "<p>{}</p>", plain(&text))?;
    }
    writeln!(out, "</div>")
}

fn kind_name(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Number => key!("Number"),
        ColumnType::Category => key!("Category"),
        ColumnType::Boolean => key!("Yes or no"),
        ColumnType::Date => key!("Date"),
        ColumnType::Text => key!("Text"),
        ColumnType::Ignore => key!("Not used"),
    }
}

fn columns_row(out: &mut String, column: &Column, kind: ColumnType) -> std::fmt::Result {
    let (codes, values) = column.codes();
    let missing = (0..column.len()).filter(|r| column.is_missing(*r)).count();
    let numbers: Vec<f64> = column.numbers().into_iter().filter(|v| v.is_finite()).collect();
    let what = if kind == ColumnType::Number && !numbers.is_empty() {
        let min = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let max = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        let (min, max) = (figure(min.to_string()), figure(max.to_string()));
        tr!("{min} to {max}, mean {mean:.4}", min, max, mean)
    } else {
        let mut counts = vec![0usize; values.len()];
        for c in codes {
            if let Some(n) = counts.get_mut(c as usize) {
                *n += 1;
            }
        }
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by_key(|i| std::cmp::Reverse(counts[*i]));
        let shown = order.iter().take(5).map(|i| {
            let short: String = values[*i].chars().take(40).collect();
            format!("{short} ({})", counts[*i])
        });
        shown.collect::<Vec<_>>().join(", ")
    };
    writeln!(
        out,
        "<tr><td>{}<td>{}<td>{missing}<td>{}<td>{}</tr>",
        plain(column.name()),
        of(kind_name(kind)),
        values.len(),
        plain(&what)
    )
}

/// The Croissant description of a project's data.
///
/// # Errors
/// The data file cannot be read.
pub fn croissant(
    project: &Project,
    dataset: &Dataset,
    schema: &Schema,
) -> Result<String, ProjectError> {
    let version = Version::of(project, dataset)?;
    let path = project.dataset_path();
    let file = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let encoding = match path.extension().and_then(|e| e.to_str()).unwrap_or_default() {
        "csv" => "text/csv",
        "tsv" | "tab" => "text/tab-separated-values",
        "json" => "application/json",
        "jsonl" | "ndjson" => "application/jsonlines",
        "parquet" => "application/x-parquet",
        "gz" => "application/gzip",
        "zip" => "application/zip",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        _ => "application/octet-stream",
    };
    let field = |name: &str, kind: ColumnType| {
        let data_type = match kind {
            ColumnType::Number => "sc:Float",
            ColumnType::Boolean => "sc:Boolean",
            ColumnType::Date => "sc:Date",
            ColumnType::Category | ColumnType::Text | ColumnType::Ignore => "sc:Text",
        };
        json!({
            "@type": "cr:Field", "@id": format!("rows/{name}"), "name": name,
            "description": if name == schema.target { "What is predicted." } else { "" },
            "dataType": data_type,
            "source": { "fileObject": { "@id": "data" }, "extract": { "column": name } },
        })
    };
    let records: Vec<Value> = match &dataset.samples {
        Samples::Table(t) => {
            let kind = |c: &Column| {
                schema.columns.iter().find(|(n, _)| n == c.name()).map_or(c.kind, |k| k.1)
            };
            let fields: Vec<Value> = t.columns().iter().map(|c| field(c.name(), kind(c))).collect();
            vec![json!({ "@type": "cr:RecordSet", "@id": "rows", "name": "rows", "field": fields })]
        }
        Samples::Images(_) => Vec::new(),
    };
    let licence =
        if version.licence.is_empty() { "not given".to_owned() } else { version.licence.clone() };
    let description = if project.description.is_empty() {
        format!("{} rows from {file}.", version.rows)
    } else {
        project.description.clone()
    };
    let document = json!({
        "@context": {
            "@language": "en", "@vocab": "https://schema.org/",
            "citeAs": "cr:citeAs", "column": "cr:column", "conformsTo": "dct:conformsTo",
            "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
            "data": { "@id": "cr:data", "@type": "@json" },
            "dataType": { "@id": "cr:dataType", "@type": "@vocab" },
            "dct": "http://purl.org/dc/terms/",
            "examples": { "@id": "cr:examples", "@type": "@json" },
            "extract": "cr:extract", "field": "cr:field", "fileProperty": "cr:fileProperty",
            "fileObject": "cr:fileObject", "fileSet": "cr:fileSet", "format": "cr:format",
            "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset",
            "jsonPath": "cr:jsonPath", "key": "cr:key", "md5": "cr:md5",
            "parentField": "cr:parentField", "path": "cr:path", "recordSet": "cr:recordSet",
            "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated",
            "replace": "cr:replace", "sc": "https://schema.org/", "separator": "cr:separator",
            "source": "cr:source", "subField": "cr:subField", "transform": "cr:transform",
        },
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": project.name,
        "description": description,
        "license": licence,
        "version": version.id,
        "datePublished": version.imported,
        "rai:dataPreprocessingProtocol": version.steps,
        "distribution": [{
            "@type": "cr:FileObject", "@id": "data", "name": file, "contentUrl": file,
            "contentSize": format!("{} B", version.bytes), "encodingFormat": encoding,
            "sha256": version.sha256,
        }],
        "recordSet": records,
    });
    serde_json::to_string_pretty(&document)
        .map_err(|e| ProjectError::Format { path, what: e.to_string() })
}

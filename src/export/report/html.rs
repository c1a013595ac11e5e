//! Small parts of the report's page.

use std::fmt::Write;

use crate::text::language;

/// Text that stands for itself in HTML.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            c => out.push(c),
        }
    }
    out
}

/// A table; all cells are plain text.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut out = "<table><tr>".to_owned();
    for name in head {
        let _ = write!(out, "<th>{}</th>", escape(name));
    }
    out += "</tr>";
    for row in rows {
        out += "<tr>";
        for cell in row {
            let _ = write!(out, "<td>{}</td>", escape(cell));
        }
        out += "</tr>";
    }
    out + "</table>"
}

/// A table whose empty cells a person fills in; that is kept only in print or in a saved copy.
pub fn fillable(head: &[&str], rows: &[Vec<String>]) -> String {
    let label = escape(head.last().copied().unwrap_or_default());
    let cell = format!(
        "<td contenteditable=\"true\" role=\"textbox\" aria-label=\"{label}\" class=\"fill\"></td>"
    );
    table(head, rows).replace("<td></td>", &cell)
}

/// A paragraph of plain text.
pub fn paragraph(text: &str) -> String {
    format!("<p>{}</p>", escape(text))
}

/// A heading of the second order.
pub fn heading(text: &str) -> String {
    format!("<h2>{}</h2>", escape(text))
}

/// A field that a person fills in; it is kept only in print or in a saved copy.
pub fn field(label: &str) -> String {
    format!(
        "<p class=\"field\"><strong>{}</strong><br><span contenteditable=\"true\" role=\"textbox\" aria-label=\"{}\"></span></p>",
        escape(label),
        escape(label)
    )
}

/// The whole page.
pub fn page(title: &str, body: &str) -> String {
    const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1b2430;background:#fff}h1{font-size:1.8rem}h2{margin-top:2.2rem;border-bottom:1px solid #d5dbe3;padding-bottom:.2rem}table{border-collapse:collapse;margin:.8rem 0;font-size:.92em;display:block;overflow-x:auto}td,th{padding:.25rem .6rem;border-bottom:1px solid #e3e8ee;text-align:left}.confusion td{text-align:center;min-width:2.4rem}figure{display:inline-block;width:26rem;max-width:100%;margin:.4rem .8rem .4rem 0;vertical-align:top}figcaption{font-weight:600}svg text{font-size:11px;fill:#3a4552}svg .grid{stroke:#e3e8ee}.key span{margin-right:1rem}.key i{display:inline-block;width:.8em;height:.8em;margin-right:.3em;border-radius:2px}.field span{display:block;min-height:2.2rem;border:1px solid #b8c2ce;border-radius:4px;padding:.3rem}.fill{min-width:12rem;border:1px solid #b8c2ce}.big{font-size:1.25rem}@media print{body{margin:0;max-width:none}h2{break-after:avoid}figure,table{break-inside:avoid}}";
    format!(
        "<!doctype html>\n<html lang=\"{}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{}</title><style>{STYLE}</style></head><body>{body}</body></html>\n",
        language().code(),
        escape(title)
    )
}

//! A check as one web page, made to be printed.

use super::{ColumnDrift, Found, Histogram};
use crate::export::report::html::{escape, heading, page, paragraph, table};
use crate::export::report::svg::{Trace, plot};
use crate::quality::{Severity, wording};

/// Columns drawn.
const DRAWN: usize = 8;

/// How much an alert matters, in one word.
pub fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::High => "serious",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

/// The page.
pub fn html(found: &Found) -> String {
    let title = format!("{}: new data \"{}\" against the training", found.project, found.data);
    let mut body = format!("<h1>{}</h1>", escape(&title));
    body += &format!("<p class=\"big\"><strong>{}.</strong> ", found.advice.action.words());
    body += &format!("{}</p>", escape(&found.advice.text));
    body += &paragraph(&format!(
        "{} checked at {} against {} of the model trained at {}.",
        wording::counted(found.rows, "new row"),
        found.time,
        wording::counted(found.reference_rows, "training row"),
        found.trained
    ));
    if !found.alerts.is_empty() {
        body += &heading("What was noticed");
        let rows: Vec<Vec<String>> = found
            .alerts
            .iter()
            .map(|a| vec![severity(a.severity).to_owned(), a.title.clone(), a.advice.clone()])
            .collect();
        body += &table(&["", "What", "What it means"], &rows);
    }
    body += &answers(found);
    body += &heading("Over the new rows");
    body += &over_time(found);
    body += &heading("Columns");
    body += &columns(found);
    for column in found.columns.iter().take(DRAWN) {
        body += &drawn(column);
    }
    body += &heading("How it was measured");
    body += &paragraph(
        "Per column the test that Evidently takes by default: of at most 1,000 reference rows \
         Kolmogorov–Smirnov, χ² or Z with p below 0.05, adjusted for the number of columns (Benjamini \
         and Hochberg); of more rows the Wasserstein distance over the standard deviation or the \
         Jensen–Shannon distance from 0.1 on, where such a p-value is below 0.05 too. The row of a \
         change is that of one change point of the binned columns with the largest likelihood.",
    );
    page(&title, &body)
}

fn answers(found: &Found) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut line = |what: &str, before: String, now: String| {
        rows.push(vec![what.to_owned(), before, now]);
    };
    if let Some(f) = &found.feedback {
        for (i, m) in f.metrics.iter().enumerate() {
            let before = if i == 0 { m.kind.format(f.before) } else { "–".to_owned() };
            let now = format!(
                "{} ({} to {})",
                m.kind.format(m.value),
                m.kind.format(m.interval.low),
                m.kind.format(m.interval.high)
            );
            line(m.kind.label(), before, now);
        }
    }
    if let Some(a) = &found.answers {
        if let Some([before, now]) = a.confidence {
            line("Mean confidence", wording::percent(before), wording::percent(now));
        }
        if let (Some([before, now]), Some(level)) = (a.unsure, a.unsure_below) {
            let what = format!("Answers below {}", wording::percent(level));
            line(&what, wording::percent(before), wording::percent(now));
        }
    }
    let mut out = heading("Answers");
    if !rows.is_empty() {
        out += &table(&["", "at training", "now"], &rows);
    }
    match &found.answers {
        Some(a) => out + &paragraph(&a.drift.summary) + &drawn(&a.drift),
        None => {
            out + &paragraph(
                "The rows could not be answered, or nothing is known of earlier answers.",
            )
        }
    }
}

fn over_time(found: &Found) -> String {
    let timeline = &found.timeline;
    let mut out = match &timeline.change {
        Some(change) => paragraph(&format!(
            "The largest change lies at row {}{}, in {}. {}",
            wording::count(change.row as usize),
            change.date.as_ref().map(|d| format!(" ({d})")).unwrap_or_default(),
            wording::list(&change.columns, 5),
            if change.before_is_normal {
                "The rows before it were like those of the training."
            } else {
                "The rows before it already differed from the training."
            }
        )),
        None => paragraph("The new rows are alike from the first to the last."),
    };
    let middle = |w: &super::Window| (w.rows[0] + w.rows[1]) as f64 / 2.0;
    let share = timeline.windows.iter().map(|w| [middle(w), 100.0 * w.drifting]).collect();
    let traces =
        [Trace { name: "drifting columns", points: share, scattered: false, dashed: false }];
    out += &plot("Drifting columns", "row of the file", "% of columns", &traces);
    let points = |get: &dyn Fn(&super::Window) -> Option<f64>| -> Vec<[f64; 2]> {
        timeline.windows.iter().filter_map(|w| Some([middle(w), get(w)?])).collect()
    };
    let score = points(&|w| w.score);
    if !score.is_empty() {
        let name = found.feedback.as_ref().map_or("score", |f| f.now.kind.label());
        let traces = [Trace { name, points: score, scattered: false, dashed: false }];
        out += &plot("Score", "row of the file", name, &traces);
    }
    let sure = points(&|w| w.confidence);
    if !sure.is_empty() {
        let traces = [Trace { name: "confidence", points: sure, scattered: false, dashed: false }];
        out += &plot("Mean confidence", "row of the file", "probability", &traces);
    }
    out
}

fn columns(found: &Found) -> String {
    let rows: Vec<Vec<String>> = found.columns.iter().map(cells).collect();
    let head =
        ["Column", "Drifts", "Measured by", "Figure", "PSI", "Missing", "Out of range", "Change"];
    table(&head, &rows)
}

fn cells(c: &ColumnDrift) -> Vec<String> {
    let (method, value) = match c.method {
        Some(method) => (method.label().to_owned(), wording::number(c.value)),
        None => ("not tested".to_owned(), "–".to_owned()),
    };
    vec![
        c.name.clone(),
        if c.drifted { "yes" } else { "no" }.to_owned(),
        method,
        value,
        format!("{:.3}", c.psi),
        wording::percent(c.missing[1]),
        c.outside.map_or_else(|| "–".to_owned(), wording::percent),
        c.summary.clone(),
    ]
}

fn drawn(c: &ColumnDrift) -> String {
    let h: &Histogram = &c.histogram;
    if !h.labels.is_empty() {
        let share = |v: Option<&f64>| v.copied().map(wording::percent).unwrap_or_default();
        let rows: Vec<Vec<String>> = h
            .labels
            .iter()
            .enumerate()
            .map(|(i, name)| vec![name.clone(), share(h.reference.get(i)), share(h.new.get(i))])
            .collect();
        let title = format!("<h3>{}</h3>", escape(&c.name));
        return title + &table(&["", "training", "new"], &rows);
    }
    let steps = |shares: &[f64]| -> Vec<[f64; 2]> {
        let ends = h.edges.iter().zip(h.edges.iter().skip(1));
        ends.zip(shares).flat_map(|((a, b), s)| [[*a, 100.0 * s], [*b, 100.0 * s]]).collect()
    };
    let trace = |name, shares: &[f64], dashed| Trace {
        name,
        points: steps(shares),
        scattered: false,
        dashed,
    };
    let traces = [trace("training", &h.reference, true), trace("new", &h.new, false)];
    plot(&c.name, &c.name, "% of rows", &traces)
}

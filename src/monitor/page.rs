//! A check as one web page, made to be printed.

use super::{ColumnDrift, Found, Histogram};
use crate::export::report::html::{escape, heading, page, paragraph, table};
use crate::export::report::svg::{Trace, plot};
use crate::metrics::MetricKind;
use crate::quality::{Severity, wording};
use crate::text::{figure, of, shown};
use crate::{key, tr};

/// Columns drawn.
const DRAWN: usize = 8;

/// How much an alert matters, in one word.
pub fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::High => key!("serious"),
        Severity::Warning => key!("warning"),
        Severity::Info => key!("note"),
    }
}

fn value(kind: MetricKind, value: f64) -> String {
    figure(kind.format(value))
}

/// A category; those in brackets are ours, others the user's.
fn label(name: &str) -> String {
    if name.starts_with('(') { shown(name).into_owned() } else { name.to_owned() }
}

fn percent(share: f64) -> String {
    let english = wording::percent(share);
    match shown(&english) {
        // A figure alone has no entry.
        same if same == english => figure(english),
        own => own.into_owned(),
    }
}

/// The page, in the language of this thread.
pub fn html(found: &Found) -> String {
    let title = tr!(
        "{project}: new data \"{data}\" against the training",
        project = found.project,
        data = found.data
    );
    let mut body = format!("<h1>{}</h1>", escape(&title));
    body += &format!("<p class=\"big\"><strong>{}.</strong> ", of(found.advice.action.words()));
    body += &format!("{}</p>", escape(&shown(&found.advice.text)));
    body += &paragraph(&tr!(
        "{new} checked at {time} against {old} of the model trained at {trained}.",
        new = shown(&wording::counted(found.rows, "new row")),
        time = found.time,
        old = shown(&wording::counted(found.reference_rows, "training row")),
        trained = found.trained
    ));
    if !found.alerts.is_empty() {
        body += &heading(tr!("What was noticed"));
        let rows: Vec<Vec<String>> = found
            .alerts
            .iter()
            .map(|a| {
                vec![
                    of(severity(a.severity)).to_owned(),
                    shown(&a.title).into_owned(),
                    shown(&a.advice).into_owned(),
                ]
            })
            .collect();
        body += &table(&["", tr!("What"), tr!("What it means")], &rows);
    }
    body += &answers(found);
    body += &heading(tr!("Over the new rows"));
    body += &over_time(found);
    body += &heading(tr!("Columns"));
    body += &columns(found);
    for column in found.columns.iter().take(DRAWN) {
        body += &drawn(column);
    }
    body += &heading(tr!("How it was measured"));
    body += &paragraph(tr!(
        "Per column the test that Evidently takes by default: of at most 1,000 reference rows \
         Kolmogorov–Smirnov, χ² or Z with p below 0.05, adjusted for the number of columns (Benjamini \
         and Hochberg); of more rows the Wasserstein distance over the standard deviation or the \
         Jensen–Shannon distance from 0.1 on, where such a p-value is below 0.05 too. The row of a \
         change is that of one change point of the binned columns with the largest likelihood."
    ));
    page(&title, &body)
}

fn answers(found: &Found) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut line = |what: &str, before: String, now: String| {
        rows.push(vec![what.to_owned(), before, now]);
    };
    if let Some(f) = &found.feedback {
        for (i, m) in f.metrics.iter().enumerate() {
            let before = if i == 0 { value(m.kind, f.before) } else { "–".to_owned() };
            let now = tr!(
                "{value} ({low} to {high})",
                value = value(m.kind, m.value),
                low = value(m.kind, m.interval.low),
                high = value(m.kind, m.interval.high)
            );
            line(of(m.kind.label()), before, now);
        }
    }
    if let Some(a) = &found.answers {
        if let Some([before, now]) = a.confidence {
            line(tr!("Mean confidence"), percent(before), percent(now));
        }
        if let (Some([before, now]), Some(level)) = (a.unsure, a.unsure_below) {
            let what = tr!("Answers below {level}", level = percent(level));
            line(&what, percent(before), percent(now));
        }
    }
    let mut out = heading(tr!("Answers"));
    if !rows.is_empty() {
        out += &table(&["", tr!("at training"), tr!("now")], &rows);
    }
    match &found.answers {
        Some(a) => out + &paragraph(&shown(&a.drift.summary)) + &drawn(&a.drift),
        None => {
            out + &paragraph(tr!(
                "The rows could not be answered, or nothing is known of earlier answers."
            ))
        }
    }
}

fn over_time(found: &Found) -> String {
    let timeline = &found.timeline;
    let mut out = match &timeline.change {
        Some(change) => paragraph(&tr!(
            "The largest change lies at row {row}{date}, in {columns}. {before}",
            row = figure(wording::count(change.row as usize)),
            date = change.date.as_ref().map(|d| format!(" ({d})")).unwrap_or_default(),
            columns = shown(&wording::list(&change.columns, 5)),
            before = if change.before_is_normal {
                tr!("The rows before it were like those of the training.")
            } else {
                tr!("The rows before it already differed from the training.")
            }
        )),
        None => paragraph(tr!("The new rows are alike from the first to the last.")),
    };
    let middle = |w: &super::Window| (w.rows[0] + w.rows[1]) as f64 / 2.0;
    let share = timeline.windows.iter().map(|w| [middle(w), 100.0 * w.drifting]).collect();
    let traces =
        [Trace { name: tr!("drifting columns"), points: share, scattered: false, dashed: false }];
    out += &plot(tr!("Drifting columns"), tr!("row of the file"), tr!("% of columns"), &traces);
    let points = |get: &dyn Fn(&super::Window) -> Option<f64>| -> Vec<[f64; 2]> {
        timeline.windows.iter().filter_map(|w| Some([middle(w), get(w)?])).collect()
    };
    let score = points(&|w| w.score);
    if !score.is_empty() {
        let name = found.feedback.as_ref().map_or(tr!("score"), |f| of(f.now.kind.label()));
        let traces = [Trace { name, points: score, scattered: false, dashed: false }];
        out += &plot(tr!("Score"), tr!("row of the file"), name, &traces);
    }
    let sure = points(&|w| w.confidence);
    if !sure.is_empty() {
        let traces =
            [Trace { name: tr!("confidence"), points: sure, scattered: false, dashed: false }];
        out += &plot(tr!("Mean confidence"), tr!("row of the file"), tr!("probability"), &traces);
    }
    out
}

fn columns(found: &Found) -> String {
    let rows: Vec<Vec<String>> = found.columns.iter().map(cells).collect();
    let head = [
        tr!("Column"),
        tr!("Drifts"),
        tr!("Measured by"),
        tr!("Figure"),
        "PSI",
        tr!("Missing"),
        tr!("Out of range"),
        tr!("Change"),
    ];
    table(&head, &rows)
}

fn cells(c: &ColumnDrift) -> Vec<String> {
    let (method, value) = match c.method {
        Some(method) => (of(method.label()).to_owned(), figure(wording::number(c.value))),
        None => (tr!("not tested").to_owned(), "–".to_owned()),
    };
    vec![
        c.name.clone(),
        if c.drifted { tr!("yes") } else { tr!("no") }.to_owned(),
        method,
        value,
        figure(format!("{:.3}", c.psi)),
        percent(c.missing[1]),
        c.outside.map_or_else(|| "–".to_owned(), percent),
        shown(&c.summary).into_owned(),
    ]
}

fn drawn(c: &ColumnDrift) -> String {
    let h: &Histogram = &c.histogram;
    if !h.labels.is_empty() {
        let share = |v: Option<&f64>| v.copied().map(percent).unwrap_or_default();
        let rows: Vec<Vec<String>> = h
            .labels
            .iter()
            .enumerate()
            .map(|(i, name)| vec![label(name), share(h.reference.get(i)), share(h.new.get(i))])
            .collect();
        let title = format!("<h3>{}</h3>", escape(&c.name));
        return title + &table(&["", tr!("training"), tr!("new")], &rows);
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
    let traces = [trace(tr!("training"), &h.reference, true), trace(tr!("new"), &h.new, false)];
    plot(&c.name, &c.name, tr!("% of rows"), &traces)
}
